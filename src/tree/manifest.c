/*
 * manifest.c - remembers what the store consists of, across restarts; see manifest.h.
 *
 * commit: prepare in memory -> make room -> append, durable -> install. begin a new file: allocate
 * -> snapshot -> sync -> swap the root -> delete the old one.
 */
#include "tree/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

enum {
    CAPACITY_RATIO = 4, /* a file has room for this many snapshots, and is replaced when it holds */
    GROWTH_RATIO = 2,   /* this many */
    PATIENCE = 16       /* on a full disk, room is asked for this often in the life of a file */
};

struct manifest_file {
    struct object_id id;
    struct log *log; /* NULL: there is none */
    struct segment segment;
};

struct manifest {
    struct store *store;
    struct root *root; /* the caller's */
    struct catalog *catalog;
    struct manifest_file file;
    struct manifest_file reserve; /* allocated, not begun */
    uint32_t last_number;
    uint64_t rotate_at;  /* the end beyond which a fresh snapshot is measured */
    uint64_t reserve_at; /* the end beyond which a missing reserve is asked for */
    uint64_t written_bytes;
    bool is_broken; /* a refused edit may be on disk: nothing goes on from here */
};

/* ---- loading --------------------------------------------------------------------------------- */

static loam_status manifest_is_damaged(const struct segment_view *view, uint64_t position,
                                       const char *what)
{
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s", view->name,
                  position + SEGMENT_HEADER_BYTES, what);
}

static loam_status apply_record(const struct segment_view *view, const struct record *record,
                                struct catalog *catalog)
{
    char where[OBJECT_NAME_BYTES + 40];
    if (record->kind != RECORD_EDIT || record->flags != (RECORD_FIRST | RECORD_LAST))
        return manifest_is_damaged(view, record->position, "this record is no edit");
    const loam_status rc = catalog_apply(catalog, record->body);
    if (rc >= 0) return rc;
    (void)snprintf(where, sizeof where, "%s: byte %" PRIu64, view->name,
                   record->position + SEGMENT_HEADER_BYTES);
    return failed_in(rc, where);
}

/* Replays up to the first position that holds no record, or the seal. */
static loam_status replay_records(const struct segment_view *view, const struct root *root,
                                  struct catalog *catalog, uint64_t *end)
{
    struct record record;
    uint64_t position = 0, running = 0;
    for (;;) {
        if (position == root->manifest_end && running != root->manifest_running)
            return manifest_is_damaged(view, position, "the root knows other edits before this");
        if (root->sealed && position == root->manifest_end) break;
        if (segment_record_at(view, position, &running, &record) != LOAM_OK) break;
        if (position < root->manifest_end && record.end > root->manifest_end)
            return manifest_is_damaged(view, position, "the root knows an end within this edit");
        const loam_status rc = apply_record(view, &record, catalog);
        if (rc != LOAM_OK) return rc;
        position = record.end;
    }
    *end = position;
    return LOAM_OK;
}

static loam_status check_header(const struct segment_view *view, const struct root *root)
{
    const struct segment_header *header = &view->header;
    if (memcmp(header->store_id, root->store_id, STORE_ID_BYTES) != 0)
        return failed(LOAM_CORRUPT, "%s: byte 0: this is another store's", view->name);
    if (header->start != 0 || header->running != 0)
        return failed(LOAM_CORRUPT, "%s: byte 0: this begins in the middle", view->name);
    return LOAM_OK;
}

static loam_status replay_manifest(const struct segment_view *view, const struct root *root,
                                   struct catalog *catalog, uint64_t *ended)
{
    uint64_t end = 0, found_at = 0;
    loam_status rc = check_header(view, root);
    if (rc == LOAM_OK) rc = replay_records(view, root, catalog, &end);
    if (rc != LOAM_OK) return rc;
    if (!root->sealed && view->bytes.len % SEGMENT_BLOCK_BYTES != 0)
        return failed(LOAM_CORRUPT, "%s: byte %zu: cut off", view->name, view->bytes.len);
    if (end < root->manifest_end)
        return manifest_is_damaged(view, end, "an edit that the root knows is damaged");
    if (!root->sealed && segment_attested_beyond(view, end, &found_at) > end)
        return manifest_is_damaged(view, end, "an edit that a later one knows is damaged");
    if (!catalog_snapshot_complete(catalog))
        return manifest_is_damaged(view, end, "the state it begins with is not complete");
    if (ended != NULL) *ended = end;
    return LOAM_OK;
}

loam_status manifest_load(struct store *store, const struct root *root, struct catalog *catalog,
                          uint64_t *end)
{
    struct segment_view view;
    char name[OBJECT_NAME_BYTES];
    if (end != NULL) *end = 0;
    if (root->manifest.number == 0) return LOAM_OK; /* its creation was cut short: it is empty */
    loam_status rc = segment_load(store, OBJECT_MANIFEST, root->manifest, &view);
    if (rc == LOAM_NOTFOUND) {
        object_name_make(OBJECT_MANIFEST, root->manifest, name);
        return failed(LOAM_CORRUPT, "%s: byte 0: the manifest is missing or has no header", name);
    }
    if (rc != LOAM_OK) return rc;
    rc = replay_manifest(&view, root, catalog, end);
    segment_view_deinit(&view);
    return rc;
}

/* A file of a manifest is never used again, so zeros stand where nothing was written. */
loam_status manifest_look(struct store *store, struct object_id id, uint64_t end, bool *goes_on)
{
    uint8_t head[RECORD_HEAD_BYTES] = {0};
    struct object *object = NULL;
    char name[OBJECT_NAME_BYTES];
    *goes_on = false;
    if (id.number == 0) return LOAM_OK;
    object_name_make(OBJECT_MANIFEST, id, name);
    loam_status rc = object_open(store, name, &object);
    if (rc != LOAM_OK) return rc;
    const uint64_t offset = SEGMENT_HEADER_BYTES + end, size = object_bytes(object);
    if (offset + sizeof head <= size) rc = object_read(object, offset, head, sizeof head);
    object_close(object);
    for (size_t i = 0; i < sizeof head; i++)
        *goes_on |= head[i] != 0;
    return rc;
}

loam_status manifest_verify(struct store *store, const struct root *root,
                            void (*fault)(void *ctx, const char *text), void *ctx)
{
    struct segment_view view;
    char text[OBJECT_NAME_BYTES + 120];
    uint64_t at = 0;
    if (root->manifest.number == 0) return LOAM_OK;
    const loam_status rc = segment_load(store, OBJECT_MANIFEST, root->manifest, &view);
    if (rc != LOAM_OK) return rc;
    if (segment_header_is_spoilt(&view, &at)) {
        (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": a copy of the header is damaged",
                       view.name, at);
        fault(ctx, text);
    }
    if (root->sealed && segment_rest_is_spoilt(&view, root->manifest_end, &at)) {
        (void)snprintf(text, sizeof text,
                       "%s: byte %" PRIu64 ": behind the end something was written", view.name, at);
        fault(ctx, text);
    }
    segment_view_deinit(&view);
    return LOAM_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint64_t file_room(const struct manifest_file *file)
{
    return log_capacity(file->log) - SEGMENT_HEADER_BYTES;
}

static uint64_t bytes_for(const struct manifest *manifest, uint64_t snapshot_bytes,
                          uint64_t edit_bytes)
{
    const uint64_t least = store_log_bytes_least(manifest->store);
    uint64_t bytes = CAPACITY_RATIO * snapshot_bytes + edit_bytes + SEGMENT_HEADER_BYTES;
    if (bytes < least) bytes = least;
    return (bytes + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
}

static loam_status allocate_file(struct manifest *manifest, uint64_t bytes,
                                 struct manifest_file *file)
{
    char name[OBJECT_NAME_BYTES];
    const struct object_id id = {manifest->root->epoch, manifest->last_number + 1};
    struct log *log = NULL;
    object_name_make(OBJECT_MANIFEST, id, name);
    const loam_status rc = log_create(manifest->store, name, bytes, LOG_WRITTEN, &log);
    if (rc != LOAM_OK) return rc;
    manifest->last_number++;
    *file = (struct manifest_file){.id = id, .log = log};
    return LOAM_OK;
}

/* Closes and deletes. What cannot be deleted now is deleted by the next opener, who finds it
   unnamed. */
static void delete_file(struct manifest_file *file)
{
    if (file->log == NULL) return;
    const loam_status rc = log_delete(file->log);
    (void)rc;
    file->log = NULL;
}

static uint64_t manifest_now_ms(const struct manifest *manifest)
{
    const struct sys_table sys = store_sys(manifest->store);
    return sys.calls->wall_ms(sys.ctx);
}

/* Two files of one opener must not take each other's records for their own. */
static uint64_t file_key(const struct root *root, struct object_id id)
{
    return hash_seeded(&(uint64_t){(uint64_t)id.epoch << 32 | id.number}, sizeof(uint64_t),
                       root->log_key);
}

static loam_status append_edit(struct manifest *manifest, struct manifest_file *file,
                               loam_slice bytes, enum log_how how)
{
    const struct sys_piece piece = {bytes.data, bytes.len};
    const struct record_spec spec = {
        .kind = RECORD_EDIT,
        .flags = RECORD_FIRST | RECORD_LAST,
        .time_ms = manifest_now_ms(manifest),
        .synced_upto = how == LOG_DURABLE ? file->segment.end : 0, /* each is waited for */
    };
    manifest->written_bytes += record_bytes(bytes.len);
    return segment_append(&file->segment, &spec, &piece, 1, how);
}

/* ---- beginning a file ------------------------------------------------------------------------ */

static loam_status measure_edit(void *ctx, loam_slice bytes)
{
    uint64_t *total = ctx;
    *total += record_bytes(bytes.len);
    return LOAM_OK;
}

static loam_status measure_snapshot(const struct manifest *manifest, uint64_t *bytes)
{
    *bytes = 0;
    return catalog_snapshot(manifest->catalog, measure_edit, bytes);
}

struct snapshot_writer {
    struct manifest *manifest;
    struct manifest_file *file;
};

static loam_status write_snapshot_edit(void *ctx, loam_slice bytes)
{
    const struct snapshot_writer *writer = ctx;
    return append_edit(writer->manifest, writer->file, bytes, LOG_VOLATILE);
}

static loam_status write_snapshot(struct manifest *manifest, struct manifest_file *file)
{
    const struct segment_header header = {
        .store_id = {0},
        .id = file->id,
        .log_key = file_key(manifest->root, file->id),
        .base_ms = manifest_now_ms(manifest),
    };
    struct segment_header filled = header;
    memcpy(filled.store_id, manifest->root->store_id, STORE_ID_BYTES);
    struct snapshot_writer writer = {manifest, file};
    loam_status rc = segment_start(&file->segment, file->log, &filled);
    if (rc == LOAM_OK) rc = catalog_snapshot(manifest->catalog, write_snapshot_edit, &writer);
    if (rc == LOAM_OK) rc = log_sync(file->log);
    return rc;
}

static loam_status swap_root(struct manifest *manifest, const struct root *root)
{
    uint8_t bytes[ROOT_BYTES];
    root_encode(root, bytes);
    const loam_status rc = store_root_swap(manifest->store, loam_bytes(bytes, sizeof bytes));
    if (rc == LOAM_OK) *manifest->root = *root;
    return rc;
}

/* After a failed swap: does the root still say what it said before? If that is not certain, nothing
   may go on. At open the root in memory is ahead of it: it has the new opener's epoch. */
static bool root_is_unchanged(const struct manifest *manifest, const loam_buf *before)
{
    loam_buf found = {0};
    const bool same =
        store_root_read(manifest->store, &found) == LOAM_OK &&
        bytes_equal(loam_bytes(found.data, found.len), loam_bytes(before->data, before->len));
    loam_buf_free(&found);
    return same;
}

/* The failure once more, after calls that may have told of others. */
static loam_status tell_again(loam_status rc, int os_error, const char *what)
{
    if (os_error == 0) return failed(rc, "%s", what);
    const loam_status ignored = failed_errno(os_error, "%s", what);
    (void)ignored; /* rc says how much is certain, which the system's reason does not */
    return rc;
}

/* Says again why the swap failed: as it is when the root is what it was, else as what may not be passed over. */
static loam_status settle_failed_swap(struct manifest *manifest, loam_status rc,
                                      const loam_buf *before)
{
    struct failure failure;
    failure_save(&failure);
    const bool is_settled =
        (rc == LOAM_FULL || rc == LOAM_NOMEM) && root_is_unchanged(manifest, before);
    failure_restore(&failure);
    if (is_settled) return rc;
    manifest->is_broken = true;
    return LOAM_IOERR;
}

/* The root names file from now on. is_broken when it is uncertain what it names. */
static loam_status name_in_root(struct manifest *manifest, struct manifest_file *file)
{
    struct root root = *manifest->root;
    loam_buf before = {0};
    loam_status rc = store_root_read(manifest->store, &before);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "root: is missing; somebody removed it");
    root.manifest = file->id;
    root.manifest_end = file->segment.end;
    root.manifest_running = file->segment.running;
    root.sealed = false;
    if (rc == LOAM_OK) {
        rc = swap_root(manifest, &root);
        if (rc != LOAM_OK) rc = settle_failed_swap(manifest, rc, &before);
    }
    loam_buf_free(&before);
    return rc;
}

/* A file of at least this size: the one in reserve, if it is large enough. */
static loam_status take_file(struct manifest *manifest, uint64_t bytes, uint64_t needed,
                             struct manifest_file *file)
{
    if (manifest->reserve.log != NULL && file_room(&manifest->reserve) >= needed) {
        *file = manifest->reserve;
        manifest->reserve.log = NULL;
        return LOAM_OK;
    }
    delete_file(&manifest->reserve);
    return allocate_file(manifest, bytes, file);
}

/* Begins a new file with the present state, with room for an edit of edit_bytes beyond it. When it
   fails, the old one is in force, unless is_broken. */
static loam_status begin_file(struct manifest *manifest, uint64_t edit_bytes)
{
    struct manifest_file file = {.log = NULL}, old = manifest->file;
    uint64_t snapshot_bytes;
    loam_status rc = measure_snapshot(manifest, &snapshot_bytes);
    if (rc != LOAM_OK) return rc;
    const uint64_t edit_record = record_bytes(edit_bytes);
    rc = take_file(manifest, bytes_for(manifest, snapshot_bytes, edit_record),
                   snapshot_bytes + edit_record, &file);
    if (rc == LOAM_OK) rc = write_snapshot(manifest, &file);
    if (rc == LOAM_OK) rc = name_in_root(manifest, &file);
    if (rc != LOAM_OK) {
        if (!manifest->is_broken) {
            delete_file(&file);
        } else if (file.log != NULL) { /* the root may name it */
            const loam_status closed = log_close(file.log, false);
            (void)closed;
        }
        return rc;
    }
    manifest->file = file;
    manifest->rotate_at = GROWTH_RATIO * snapshot_bytes;
    manifest->reserve_at = 0;
    delete_file(&old);
    return LOAM_OK;
}

static void delete_by_id(struct store *store, struct object_id id)
{
    char name[OBJECT_NAME_BYTES];
    if (id.number == 0) return;
    object_name_make(OBJECT_MANIFEST, id, name);
    const loam_status rc = store_delete(store, name); /* else the next opener will */
    (void)rc;
}

loam_status manifest_create(struct store *store, struct root *root, struct catalog *catalog,
                            struct manifest **out)
{
    const struct object_id old = root->manifest;
    struct manifest *manifest = mem_zalloc(sizeof *manifest);
    if (manifest == NULL) return LOAM_NOMEM;
    manifest->store = store;
    manifest->root = root;
    manifest->catalog = catalog;
    manifest->last_number = old.epoch == root->epoch ? old.number : 0;
    loam_status rc = LOAM_OK;
    /* A new store's root comes before its files: files of ours without a root are damage. */
    if (old.number == 0) rc = swap_root(manifest, root);
    if (rc == LOAM_OK) rc = begin_file(manifest, 0);
    if (rc != LOAM_OK) {
        manifest_close(manifest);
        return rc;
    }
    delete_by_id(store, old);
    *out = manifest;
    return LOAM_OK;
}

/* ---- committing ------------------------------------------------------------------------------ */

static bool has_room(const struct manifest *manifest, uint64_t edit_bytes)
{
    const struct segment *segment = &manifest->file.segment;
    return segment_capacity_end(segment) - segment->end >= record_bytes(edit_bytes);
}

/* Has the file grown to twice a snapshot of what it says? Measured seldom: only when it has grown
   to twice the last measure. */
static loam_status is_overgrown(struct manifest *manifest, bool *overgrown)
{
    const uint64_t end = manifest->file.segment.end;
    uint64_t snapshot_bytes;
    *overgrown = false;
    if (end < store_log_bytes_least(manifest->store) / GROWTH_RATIO || end < manifest->rotate_at)
        return LOAM_OK;
    const loam_status rc = measure_snapshot(manifest, &snapshot_bytes);
    if (rc != LOAM_OK) return rc;
    manifest->rotate_at = GROWTH_RATIO * snapshot_bytes;
    *overgrown = end >= manifest->rotate_at;
    return LOAM_OK;
}

static uint64_t patient_end(const struct manifest *manifest)
{
    return manifest->file.segment.end + file_room(&manifest->file) / PATIENCE;
}

static loam_status make_edit_room(struct manifest *manifest, uint64_t edit_bytes)
{
    bool overgrown;
    loam_status rc = is_overgrown(manifest, &overgrown);
    if (rc != LOAM_OK) return rc;
    if (has_room(manifest, edit_bytes) && !overgrown) return LOAM_OK;
    rc = begin_file(manifest, edit_bytes);
    const bool may_wait = (rc == LOAM_FULL || rc == LOAM_NOMEM) && has_room(manifest, edit_bytes);
    if (may_wait) manifest->rotate_at = patient_end(manifest);
    return may_wait ? LOAM_OK : rc;
}

/* So that a full disk can be cleaned up: the next file is allocated before it is needed, where there
   is room for it. */
static loam_status keep_reserve(struct manifest *manifest)
{
    if (manifest->reserve.log != NULL || manifest->file.segment.end < manifest->reserve_at)
        return LOAM_OK;
    const loam_status rc =
        allocate_file(manifest, log_capacity(manifest->file.log), &manifest->reserve);
    if (rc != LOAM_FULL && rc != LOAM_NOMEM) return rc;
    manifest->reserve_at = patient_end(manifest);
    return LOAM_OK;
}

/* The edit may or may not be in the file. A new file without it settles that: it will never be
   seen again. */
static loam_status disown_edit(struct manifest *manifest, loam_status rc)
{
    char what[OBJECT_NAME_BYTES + 40];
    const int os_error = loam_errno();
    (void)snprintf(what, sizeof what, "%s: writing an edit", log_name(manifest->file.log));
    const bool is_settled = begin_file(manifest, 0) == LOAM_OK;
    if (!is_settled) manifest->is_broken = true;
    return tell_again(is_settled ? rc : LOAM_IOERR, os_error, what);
}

static loam_status append_durably(struct manifest *manifest, loam_slice bytes)
{
    struct manifest_file *file = &manifest->file;
    loam_status rc = append_edit(manifest, file, bytes, LOG_DURABLE);
    if (rc == LOAM_OK) rc = log_wait(file->log, log_end(file->log));
    return rc < 0 ? disown_edit(manifest, rc) : rc;
}

static loam_status check_whole(const struct manifest *manifest)
{
    if (!manifest->is_broken) return LOAM_OK;
    return failed(LOAM_IOERR, "the manifest failed before; nothing is written to it any more");
}

loam_status manifest_reserve(struct manifest *manifest, uint64_t edit_bytes)
{
    loam_status rc = check_whole(manifest);
    if (rc == LOAM_OK && edit_bytes > RECORD_BODY_BYTES_MAX)
        rc = failed(LOAM_TOOBIG, "an edit of %" PRIu64 " bytes", edit_bytes);
    if (rc == LOAM_OK) rc = keep_reserve(manifest);
    return rc == LOAM_OK ? make_edit_room(manifest, edit_bytes) : rc;
}

loam_status manifest_append(struct manifest *manifest, const struct edit *edit,
                            struct catalog_stage *stage)
{
    const loam_slice bytes = loam_bytes(edit->bytes.data, edit->bytes.len);
    check(has_room(manifest, bytes.len));
    const loam_status rc = append_durably(manifest, bytes);
    if (rc == LOAM_OK)
        catalog_install(stage);
    else
        catalog_discard(stage);
    return rc;
}

loam_status manifest_commit(struct manifest *manifest, const struct edit *edit)
{
    struct catalog_stage *stage = NULL;
    loam_status rc =
        catalog_prepare(manifest->catalog, loam_bytes(edit->bytes.data, edit->bytes.len), &stage);
    if (rc != LOAM_OK) return rc;
    rc = manifest_reserve(manifest, edit->bytes.len);
    if (rc == LOAM_OK) return manifest_append(manifest, edit, stage);
    catalog_discard(stage);
    return rc;
}

/* ---- ending ---------------------------------------------------------------------------------- */

loam_status manifest_seal(struct manifest *manifest, uint64_t log_end, uint64_t log_running)
{
    struct root root = *manifest->root;
    loam_status rc = check_whole(manifest);
    if (rc == LOAM_OK) {
        delete_file(&manifest->reserve); /* its room may be what the root needs */
        root.manifest_end = manifest->file.segment.end;
        root.manifest_running = manifest->file.segment.running;
        root.sealed = true;
        root.log_end = log_end;
        root.log_running = log_running;
        rc = swap_root(manifest, &root);
    }
    if (rc == LOAM_OK) {
        const loam_status trimmed = log_close(manifest->file.log, true); /* only space */
        (void)trimmed;
        manifest->file.log = NULL;
    }
    manifest_close(manifest);
    return rc;
}

void manifest_close(struct manifest *manifest)
{
    if (manifest == NULL) return;
    if (!store_is_child(manifest->store)) delete_file(&manifest->reserve);
    struct log *const logs[2] = {manifest->file.log, manifest->reserve.log};
    for (size_t i = 0; i < 2; i++) {
        if (logs[i] == NULL) continue;
        const loam_status rc = log_close(logs[i], false); /* every edit was waited for */
        (void)rc;
    }
    mem_free(manifest);
}

uint64_t manifest_written_bytes(const struct manifest *manifest)
{
    return manifest->written_bytes;
}
