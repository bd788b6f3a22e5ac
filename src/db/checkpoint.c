/*
 * checkpoint.c - the store once more, in another directory; see loam.h.
 *
 * Role: makes what a crash at one moment would leave: root, manifest and log as they were then, byte by byte, and the tables that
 *   this manifest names. Opening it is a recovery, so there is no other way to read it, and no bytes of its own.
 *
 *   sync the log -> the moment { root, manifest, segments opened, versions held } -> links, copies -> root
 *
 * Invariants: (1) nothing that will be written again is shared: tables alone are. (2) The moment lies within the manifest lock, so log and
 *   manifest fit each other: the log that is taken is durable, and reaches beyond all that the manifest says of it. (3) What the moment
 *   names stays until it is copied: versions hold tables, and a pinned log deletes its dead segments, which can then still be read,
 *   instead of using them again. (4) The root comes last: without one, a directory is no store.
 * In the picture: db layer.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "base/status.h"
#include "db/db.h"
#include "sstable/table_format.h"

#include "base/poison.h"

struct log_piece { /* what is taken of a segment */
    struct object *object;
    uint64_t bytes;
};

struct checkpoint {
    loam_db *db;
    loam_checkpoint_options options;
    struct store *target, *base; /* base may be NULL */
    loam_buf root, manifest;
    struct object_id manifest_id;
    struct log_piece *pieces;
    size_t piece_count;
    struct version **versions;
    size_t version_count;
    uint64_t done_bytes, total_bytes;
};

/* ---- the moment ----------------------------------------------------------------------------- */

static loam_status hold_versions(struct checkpoint *cp)
{
    const struct catalog *catalog = cp->db->catalog;
    const size_t count = catalog_coll_count(catalog);
    cp->versions = mem_alloc_array(count + 1, sizeof(struct version *));
    if (cp->versions == NULL) return LOAM_NOMEM;
    for (size_t i = 0; i < count; i++) {
        cp->versions[i] = catalog_coll_at(catalog, i)->version;
        version_ref(cp->versions[i]);
    }
    cp->version_count = count;
    return LOAM_OK;
}

static loam_status take_manifest(struct checkpoint *cp)
{
    char name[OBJECT_NAME_BYTES];
    struct root root = {0};
    struct object *object = NULL;
    loam_status rc = store_root_read(cp->db->store, &cp->root);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "root: is missing; somebody removed it");
    if (rc == LOAM_OK) rc = root_decode(loam_bytes(cp->root.data, cp->root.len), "root", &root);
    if (rc < 0 || root.manifest.number == 0) return rc;
    cp->manifest_id = root.manifest;
    object_name_make(OBJECT_MANIFEST, root.manifest, name);
    rc = object_open(cp->db->store, name, &object);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "%s: is missing", name);
    if (rc < 0) return rc;
    rc = buf_reserve(&cp->manifest, (size_t)object_bytes(object));
    if (rc == LOAM_OK) {
        cp->manifest.len = (size_t)object_bytes(object);
        rc = object_read(object, 0, cp->manifest.data, cp->manifest.len);
    }
    object_close(object);
    return rc;
}

/* The last segment that is taken, and how many of its bytes. A log that nobody writes is taken to its end. */
static void end_of_log(const struct checkpoint *cp, struct object_id *last, uint64_t *bytes)
{
    const struct wal *wal = cp->db->wal;
    uint64_t start = 0;
    *last = (struct object_id){catalog_log_bounds(cp->db->catalog).epoch, UINT32_MAX};
    *bytes = UINT64_MAX;
    if (wal == NULL) return;
    const uint64_t end = wal_synced(wal);
    last->number = 0;
    if (wal_segment_of(cp->db->wal, end, last, &start)) *bytes = SEGMENT_HEADER_BYTES + end - start;
}

static bool is_needed(const struct checkpoint *cp, struct object_id id, struct object_id last)
{
    const struct log_bounds bounds = catalog_log_bounds(cp->db->catalog);
    for (size_t i = 0; i < bounds.segment_count; i++)
        if (object_id_equal(id, bounds.segments[i].id))
            return bounds.segments[i].end > bounds.floor;
    return id.epoch == last.epoch && id.number >= bounds.floor_segment.number &&
           id.number <= last.number;
}

static loam_status open_segments(struct checkpoint *cp)
{
    char name[OBJECT_NAME_BYTES];
    struct object_id *ids = NULL, last;
    size_t count = 0;
    uint64_t last_bytes;
    end_of_log(cp, &last, &last_bytes);
    loam_status rc = store_objects(cp->db->store, OBJECT_SEGMENT, &ids, &count);
    if (rc == LOAM_OK) {
        cp->pieces = mem_alloc_array(count + 1, sizeof *cp->pieces);
        if (cp->pieces == NULL) rc = LOAM_NOMEM;
    }
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        if (!is_needed(cp, ids[i], last)) continue;
        struct log_piece *piece = &cp->pieces[cp->piece_count];
        object_name_make(OBJECT_SEGMENT, ids[i], name);
        rc = object_open(cp->db->store, name, &piece->object);
        if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "%s: is missing", name);
        if (rc < 0) break;
        piece->bytes = object_bytes(piece->object);
        if (object_id_equal(ids[i], last) && last_bytes < piece->bytes) piece->bytes = last_bytes;
        cp->total_bytes += piece->bytes;
        cp->piece_count++;
    }
    mem_free(ids);
    return rc;
}

/* Everything is told apart here; from now on there is time. */
static loam_status take_moment(struct checkpoint *cp)
{
    loam_db *db = cp->db;
    loam_status rc = db->wal != NULL ? loam_sync(db) : LOAM_OK;
    if (rc < 0) return rc;
    mutex_lock(&db->manifest_lock);
    rc = hold_versions(cp);
    if (rc == LOAM_OK) rc = take_manifest(cp);
    if (rc == LOAM_OK) rc = open_segments(cp);
    cp->total_bytes += catalog_table_bytes(db->catalog);
    mutex_unlock(&db->manifest_lock);
    return rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

static loam_status note_progress(void *ctx, uint64_t bytes)
{
    struct checkpoint *cp = ctx;
    cp->done_bytes += bytes;
    if (cp->options.progress == NULL) return LOAM_OK;
    const uint64_t done = cp->done_bytes < cp->total_bytes ? cp->done_bytes : cp->total_bytes;
    if (cp->options.progress(cp->options.ctx, done, cp->total_bytes)) return LOAM_OK;
    (void)failed(LOAM_CONFLICT, "the checkpoint was told to stop");
    return LOAM_CONFLICT;
}

/* The first bytes of an object, and zeros up to a whole block: a file that is cut is told by its size. */
static loam_status append_bytes(struct checkpoint *cp, struct object *object, uint64_t bytes,
                                struct object_writer *writer)
{
    loam_status rc = object_append_from(writer, object, bytes, note_progress, cp);
    static const uint8_t zeros[SEGMENT_BLOCK_BYTES];
    const size_t odd = (size_t)(bytes % SEGMENT_BLOCK_BYTES);
    const bool is_cut = bytes < object_bytes(object);
    if (rc == LOAM_OK && is_cut && odd > 0)
        rc = object_append(writer, zeros, SEGMENT_BLOCK_BYTES - odd);
    return rc;
}

static loam_status copy_object(struct checkpoint *cp, struct object *object, uint64_t bytes)
{
    struct object_writer *writer = NULL;
    loam_status rc = object_create(cp->target, object_name(object), &writer);
    if (rc < 0) return rc;
    rc = append_bytes(cp, object, bytes, writer);
    if (rc == LOAM_OK) rc = object_finish(writer);
    if (rc != LOAM_OK) object_abandon(writer);
    return rc;
}

/* Does base have this very object? Its end is the footer of a table, with that table's own random number, and it was written
   once. */
static loam_status is_in_base(struct checkpoint *cp, struct object *object, bool *answer)
{
    struct object *other = NULL;
    uint8_t footer[FOOTER_BYTES], footer_there[FOOTER_BYTES];
    const uint64_t bytes = object_bytes(object);
    *answer = false;
    if (cp->base == NULL || bytes < FOOTER_BYTES) return LOAM_OK;
    loam_status rc = object_open(cp->base, object_name(object), &other);
    if (rc != LOAM_OK) return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
    if (object_bytes(other) == bytes) {
        rc = object_read(object, bytes - FOOTER_BYTES, footer, FOOTER_BYTES);
        if (rc == LOAM_OK)
            rc = object_read(other, bytes - FOOTER_BYTES, footer_there, FOOTER_BYTES);
        *answer = rc == LOAM_OK && memcmp(footer, footer_there, FOOTER_BYTES) == 0;
    }
    object_close(other);
    return rc;
}

static loam_status take_object(struct checkpoint *cp, const char *name)
{
    struct object *object = NULL;
    bool is_there;
    loam_status rc = object_open(cp->db->store, name, &object);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "%s: is missing", name);
    if (rc < 0) return rc;
    const uint64_t bytes = object_bytes(object);
    rc = is_in_base(cp, object, &is_there);
    if (rc == LOAM_OK) {
        rc = LOAM_NOTFOUND;
        if (is_there)
            rc = object_link(cp->base, name, cp->target);
        else if (!cp->options.copy)
            rc = object_link(cp->db->store, name, cp->target);
        if (rc == LOAM_OK) rc = note_progress(cp, bytes);
        if (rc == LOAM_NOTFOUND) rc = copy_object(cp, object, bytes);
    }
    object_close(object);
    return rc;
}

/* Several tables may stand in one object. */
static loam_status take_table(struct checkpoint *cp, const struct table_ref *ref)
{
    char name[OBJECT_NAME_BYTES];
    struct object *there = NULL;
    object_name_make(OBJECT_TABLES, table_meta(ref->table)->object, name);
    const loam_status rc = object_open(cp->target, name, &there);
    object_close(there);
    return rc == LOAM_NOTFOUND ? take_object(cp, name) : rc;
}

static loam_status take_version(struct checkpoint *cp, const struct version *version)
{
    loam_status rc = LOAM_OK;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++)
            for (uint32_t t = 0; rc == LOAM_OK && t < version->levels[level].runs[i]->table_count;
                 t++)
                rc = take_table(cp, &version->levels[level].runs[i]->tables[t]);
    return rc;
}

static loam_status write_manifest(struct checkpoint *cp)
{
    char name[OBJECT_NAME_BYTES];
    struct object_writer *writer = NULL;
    if (cp->manifest_id.number == 0) return LOAM_OK;
    object_name_make(OBJECT_MANIFEST, cp->manifest_id, name);
    loam_status rc = object_create(cp->target, name, &writer);
    if (rc < 0) return rc;
    rc = object_append(writer, cp->manifest.data, cp->manifest.len);
    if (rc == LOAM_OK) rc = object_finish(writer);
    if (rc != LOAM_OK) object_abandon(writer);
    return rc;
}

/* The manifest is finished last, which makes all names durable, linked ones too. */
static loam_status write_files(struct checkpoint *cp)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < cp->version_count; i++)
        rc = take_version(cp, cp->versions[i]);
    for (size_t i = 0; rc == LOAM_OK && i < cp->piece_count; i++)
        rc = copy_object(cp, cp->pieces[i].object, cp->pieces[i].bytes);
    if (rc == LOAM_OK) rc = write_manifest(cp);
    if (rc == LOAM_OK) rc = store_root_swap(cp->target, loam_bytes(cp->root.data, cp->root.len));
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------ */

loam_status db_check_place(const struct store *store, const char *dir, const char *of)
{
    bool is_inside;
    const loam_status rc = store_holds(store, dir, &is_inside);
    if (rc < 0 || !is_inside) return rc;
    return failed(LOAM_INVALID, "%s: is in %s itself; name another place", dir, of);
}

static loam_status open_base(struct checkpoint *cp, const char *dir)
{
    const struct store_options present = {.read_only = true, .must_exist = true};
    struct root root = {0};
    bool is_new;
    loam_status rc = store_open(cp->db->sys, cp->options.base, &present, &is_new, &cp->base);
    if (rc == LOAM_OK) rc = db_check_place(cp->base, dir, "the base");
    if (rc == LOAM_OK) rc = db_read_root(cp->base, &root);
    if (rc < 0 || memcmp(root.store_id, cp->db->root.store_id, STORE_ID_BYTES) == 0) return rc;
    return failed(LOAM_INVALID, "%s: is a copy of another store", store_path(cp->base));
}

static loam_status open_stores(struct checkpoint *cp, const char *dir)
{
    const struct sys_table sys = cp->db->sys;
    const struct store_options fresh = {.must_not_exist = true};
    bool is_new;
    loam_status rc = db_check_place(cp->db->store, dir, "the store");
    if (rc == LOAM_OK && cp->options.base != NULL) rc = open_base(cp, dir);
    return rc == LOAM_OK ? store_open(sys, dir, &fresh, &is_new, &cp->target) : rc;
}

static void end_checkpoint(struct checkpoint *cp)
{
    for (size_t i = 0; i < cp->version_count; i++)
        version_unref(cp->versions[i]);
    for (size_t i = 0; i < cp->piece_count; i++)
        object_close(cp->pieces[i].object);
    mem_free(cp->versions);
    mem_free(cp->pieces);
    loam_buf_free(&cp->root);
    loam_buf_free(&cp->manifest);
    store_close(cp->base);
    store_close(cp->target);
}

/* With the next segment, what came before the checkpoint can be had from the archive and an earlier one, too. */
static void end_segment(loam_db *db)
{
    struct object_id id;
    uint64_t start;
    if (db->options.archive == NULL || db->wal == NULL) return;
    const uint64_t end = wal_end(db->wal);
    if (!wal_segment_of(db->wal, end, &id, &start) || start == end) return;
    const loam_status rc = flush_switch_log(db, WAL_SMALL);
    if (rc < 0 && rc != LOAM_FULL && rc != LOAM_NOMEM) (void)db_fence(db, rc);
}

static loam_status make_checkpoint(struct checkpoint *cp, const char *dir)
{
    struct wal *wal = cp->db->wal;
    struct failure first;
    loam_status rc = open_stores(cp, dir);
    if (rc == LOAM_OK) {
        if (wal != NULL) wal_pin(wal);
        rc = take_moment(cp);
        if (rc == LOAM_OK) rc = write_files(cp);
        if (wal != NULL) wal_unpin(wal);
    }
    if (rc == LOAM_OK || cp->target == NULL) return rc;
    failure_save(&first);
    store_clear(cp->target);
    failure_restore(&first);
    return rc;
}

loam_status loam_checkpoint(loam_db *db, const char *dir, const loam_checkpoint_options *opts)
{
    struct checkpoint cp = {.db = db, .options = loam_checkpoint_options_default()};
    loam_status rc = db_check(db);
    if (rc == LOAM_OK && dir == NULL) rc = failed(LOAM_INVALID, "dir is NULL");
    if (rc == LOAM_OK && db->options.follow)
        rc = failed(LOAM_MISUSE, "%s is open to follow; its writer makes checkpoints",
                    store_path(db->store));
    if (rc == LOAM_OK)
        rc = sized_take(&cp.options, sizeof cp.options, opts, "loam_checkpoint_options_default");
    if (rc < 0) return rc;
    rc = make_checkpoint(&cp, dir);
    if (rc == LOAM_OK) end_segment(db);
    end_checkpoint(&cp);
    return rc;
}
