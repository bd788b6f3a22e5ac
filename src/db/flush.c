/*
 * flush.c - frozen memtables become runs of level 0; see db.h.
 *
 *   freeze -> log durable up to the last commit in them -> tables, packed into one object -> manifest edit -> views -> log let go
 *
 * Log first: an edit that installs a flushed table while the log behind it is not durable would, after a power cut, leave one collection's
 * half of a batch, and a state that is no prefix of the commits. The edit carries the position, which attests it.
 */

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"
#include "record/merge.h"

#include "base/poison.h"

struct flush_part { /* one collection's share */
    struct loam_coll *coll;
    struct view *view; /* referenced; its memruns behind the first are flushed */
    struct view *spare;
    struct edit edit;
    uint64_t written_bytes, last_seq;
};

struct flush {
    loam_db *db;
    struct flush_part *parts;
    size_t part_count;
    uint64_t commit_seq, commit_position; /* of the last commit there was when it began */
    struct object_writer *object;
    struct object_id object_id;
};

/* ---- what is to be flushed ------------------------------------------------------------------ */

/* Freezes what pins the older half of a log that is too long. Lane held. */
static loam_status freeze_pinning(loam_db *db)
{
    const uint64_t end = wal_end(db->wal), keep = db_log_bound(db) / 2;
    if (!db_log_is_long(db)) return LOAM_OK;
    loam_status rc = LOAM_OK;
    for (struct loam_coll *coll = db->dirty; rc == LOAM_OK && coll != NULL;
         coll = coll->dirty_next) {
        if (coll->active != NULL && coll->active->first_position < end - keep)
            rc = view_freeze(coll);
    }
    return rc;
}

static loam_status freeze_all(loam_db *db)
{
    loam_status rc = LOAM_OK;
    for (struct loam_coll *coll = db->dirty; rc == LOAM_OK && coll != NULL; coll = coll->dirty_next)
        rc = view_freeze(coll);
    return rc;
}

/* What this flush is for becomes frozen. */
static loam_status freeze_for(loam_db *db, enum flush_how how)
{
    const bool recovering = db->manifest == NULL; /* there is no log to be too long */
    loam_status rc = LOAM_OK;
    mutex_lock(&db->lane);
    if (how == FLUSH_ALL) {
        atomic_store(&db->ranges_pending, false);
        rc = freeze_all(db);
    }
    if (how != FLUSH_ALL && !recovering) rc = freeze_pinning(db);
    mutex_unlock(&db->lane);
    return rc;
}

static void note_memrun(struct flush *flush, struct flush_part *part, const struct memrun *memrun)
{
    if (memrun->first_position == UINT64_MAX) return; /* nothing was ever added */
    if (memrun->end_position > flush->commit_position)
        flush->commit_position = memrun->end_position;
    if (memrun->last_seq > part->last_seq) part->last_seq = memrun->last_seq;
}

/* What is to be visible before tables are written. A memtable's last sequence will not do: in a batch over several
   collections it is the middle of a commit. Lane held. */
static void note_last_commit(struct flush *flush)
{
    flush->commit_seq = flush->db->next_seq - 1;
    flush->commit_position = flush->db->durable_end;
}

/* Collects the collections that have something frozen. A list that grew meanwhile is for the next round. */
static loam_status collect_parts(struct flush *flush)
{
    loam_db *db = flush->db;
    size_t count = 0;
    mutex_lock(&db->views);
    for (struct loam_coll *coll = db->dirty; coll != NULL; coll = coll->dirty_next)
        count += atomic_load(&coll->memrun_count) > 1;
    mutex_unlock(&db->views);
    if (count == 0) return LOAM_OK;
    flush->parts = mem_zalloc(count * sizeof *flush->parts);
    if (flush->parts == NULL) return LOAM_NOMEM;
    mutex_lock(&db->lane); /* memruns' positions are the lane's */
    note_last_commit(flush);
    mutex_lock(&db->views);
    for (struct loam_coll *coll = db->dirty; coll != NULL && flush->part_count < count;
         coll = coll->dirty_next) {
        struct view *view = atomic_load(&coll->view);
        if (view->memrun_count < 2) continue;
        struct flush_part *part = &flush->parts[flush->part_count++];
        part->coll = coll;
        part->view = view;
        view_ref(view);
        for (uint32_t i = 1; i < view->memrun_count; i++)
            note_memrun(flush, part, view->memruns[i]);
    }
    mutex_unlock(&db->views);
    mutex_unlock(&db->lane);
    return LOAM_OK;
}

/* ---- tables --------------------------------------------------------------------------------- */

static loam_status open_frozen(const struct view *view, struct iter **out)
{
    struct iter *inputs[MEMRUNS_MAX];
    size_t count = 0;
    for (uint32_t i = 1; i < view->memrun_count; i++) {
        const loam_status rc = memtable_iter_new(view->memruns[i]->memtable, &inputs[count]);
        if (rc < 0) {
            while (count > 0)
                iter_close(inputs[--count]);
            return rc;
        }
        count++;
    }
    return merge_iter_new(inputs, count, out);
}

static loam_status write_part(struct flush *flush, struct flush_part *part)
{
    struct run_writer *writer = NULL;
    struct survival survival = {0};
    struct iter *iter = NULL;
    struct run_writer_spec spec = {.coll = part->coll,
                                   .level = 0,
                                   .run = db_next_run(flush->db),
                                   .into = flush->object,
                                   .into_id = flush->object_id};
    loam_status rc = survival_init(&survival, flush->db);
    if (rc < 0) goto out;
    survival.version = part->view->version;
    survival.level = 0;
    survival.run_number = UINT64_MAX; /* every run there is lies below */
    rc = ranges_join(flush->db, part->view->version, part->view, 1, NULL, &survival.covers);
    if (rc < 0) goto out;
    rc = open_frozen(part->view, &iter);
    if (rc < 0) goto out;
    spec.swept_seq = ranges_swept_seq(&survival);
    rc = run_writer_new(&spec, &writer);
    if (rc < 0) goto out;
    rc = run_writer_drain(writer, iter, &survival, NULL, NULL);
    if (rc < 0) goto out;
    rc = run_writer_finish(writer, &part->edit, &part->written_bytes);
    if (rc < 0) goto out;
    if (part->last_seq > 0) rc = edit_set_flushed(&part->edit, part->coll->id, part->last_seq);
out:
    run_writer_free(writer);
    iter_close(iter);
    survival_deinit(&survival);
    return rc;
}

static loam_status write_tables(struct flush *flush)
{
    char name[OBJECT_NAME_BYTES];
    uint64_t written = 0;
    flush->object_id = db_new_object(flush->db);
    object_name_make(OBJECT_TABLES, flush->object_id, name);
    loam_status rc = object_create(flush->db->store, name, &flush->object);
    for (size_t i = 0; rc == LOAM_OK && i < flush->part_count; i++) {
        flush->parts[i].spare = view_spare();
        rc = flush->parts[i].spare == NULL ? LOAM_NOMEM : write_part(flush, &flush->parts[i]);
        written += flush->parts[i].written_bytes;
    }
    if (rc == LOAM_OK && written > 0) {
        rc = object_finish(flush->object);
        if (rc == LOAM_OK) flush->object = NULL;
    }
    atomic_fetch_add_explicit(&flush->db->disk_written_bytes, written, memory_order_relaxed);
    return rc;
}

/* ---- the log's floor ------------------------------------------------------------------------ */

/* The position below which the log is not needed once these parts are in tables. */
static uint64_t floor_without(struct flush *flush)
{
    loam_db *db = flush->db;
    mutex_lock(&db->lane);
    uint64_t floor = wal_end(db->wal);
    if (db->change_position < floor) floor = db->change_position;
    mutex_lock(&db->views);
    for (struct loam_coll *coll = db->dirty; coll != NULL; coll = coll->dirty_next) {
        const struct view *view = atomic_load(&coll->view);
        const struct view *flushed = NULL;
        for (size_t i = 0; i < flush->part_count && flushed == NULL; i++)
            if (flush->parts[i].coll == coll) flushed = flush->parts[i].view;
        const uint32_t gone = flushed == NULL ? 0 : flushed->memrun_count - 1;
        for (uint32_t i = 0; i + gone < view->memrun_count; i++)
            if (view->memruns[i]->first_position < floor) floor = view->memruns[i]->first_position;
    }
    mutex_unlock(&db->views);
    mutex_unlock(&db->lane);
    return floor;
}

/* The change that says so, in whole segments: the first that is needed, by number if it is of this opening. False when the floor does not
   move. manifest lock. */
static bool floor_change(loam_db *db, uint64_t floor, struct change *change)
{
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    *change = (struct change){.tag = CHANGE_LOG_FLOOR, .position = bounds.start};
    if (!wal_segment_of(db->wal, floor, &change->object, &change->position) ||
        change->object.epoch != bounds.epoch)
        change->object = (struct object_id){bounds.epoch, 0};
    return change->object.number != bounds.floor_segment.number || change->position > bounds.floor;
}

/* ---- installing ----------------------------------------------------------------------------- */

/* The parts' edits as one; a collection that was dropped meanwhile is left out. */
static loam_status join_edits(struct flush *flush, struct edit *edit)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < flush->part_count; i++) {
        const struct flush_part *part = &flush->parts[i];
        if (atomic_load(&part->coll->dropped)) continue;
        rc = buf_append(&edit->bytes, part->edit.bytes.data, part->edit.bytes.len);
        if (rc == LOAM_OK) rc = ranges_flush(flush->db, part->coll, part->view, edit);
    }
    if (rc == LOAM_OK) rc = db_counters_to_edit(flush->db, edit, 0);
    return rc;
}

static void install_parts(struct flush *flush)
{
    for (size_t i = 0; i < flush->part_count; i++) {
        struct flush_part *part = &flush->parts[i];
        if (atomic_load(&part->coll->dropped)) continue;
        const struct coll_state *state = catalog_coll_by_id(flush->db->catalog, part->coll->id);
        view_install(part->coll, part->spare, state->version, part->view->memrun_count - 1);
        part->spare = NULL;
    }
}

/* Recovery: the log is read from elsewhere, and the fresh manifest will say all this. */
static loam_status install_recovered(struct flush *flush)
{
    struct edit edit = {0};
    loam_status rc = join_edits(flush, &edit);
    if (rc == LOAM_OK)
        rc = catalog_apply(flush->db->catalog, loam_bytes(edit.bytes.data, edit.bytes.len));
    if (rc == LOAM_OK) install_parts(flush);
    edit_deinit(&edit);
    return rc;
}

static loam_status install(struct flush *flush)
{
    loam_db *db = flush->db;
    struct edit edit = {0};
    struct change change = {.tag = CHANGE_LOG_ATTEST, .position = wal_synced(db->wal)};
    const uint64_t floor = floor_without(flush), archived = atomic_load(&db->archived_upto);

    atomic_store(&db->floor_waits, false);
    mutex_lock(&db->manifest_lock);
    loam_status rc = join_edits(flush, &edit);
    if (rc == LOAM_OK) rc = feed_index_to_edit(db, &edit);
    if (rc == LOAM_OK) rc = edit_add(&edit, &change);
    if (rc == LOAM_OK && floor_change(db, floor < archived ? floor : archived, &change))
        rc = edit_add(&edit, &change);
    if (rc == LOAM_OK) rc = manifest_commit(db->manifest, &edit);
    if (rc == LOAM_OK) install_parts(flush);
    /* Not the floor: since that was taken, its segment may have ended there. */
    const uint64_t first_needed = catalog_log_bounds(db->catalog).floor;
    mutex_unlock(&db->manifest_lock);

    if (rc == LOAM_OK) {
        rc = wal_release(db->wal, floor, first_needed);
        /* A segment that is not recycled is only disk space; else the log's files or their directory fail, for good. */
        if (rc == LOAM_FULL || rc == LOAM_NOMEM) {
            db_log(db, LOAM_LOG_WARNING, "%s", loam_errmsg());
            rc = LOAM_OK;
        }
    }
    edit_deinit(&edit);
    return rc;
}

static void end_flush(struct flush *flush)
{
    object_abandon(flush->object);
    for (size_t i = 0; i < flush->part_count; i++) {
        edit_deinit(&flush->parts[i].edit);
        mem_free(flush->parts[i].spare);
        view_unref(flush->parts[i].view);
    }
    mem_free(flush->parts);
}

/* What was written and is not wanted: not in the manifest, so nobody will ever ask for it. */
static void discard_object(struct flush *flush)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, flush->object_id, name);
    if (flush->object == NULL && store_delete(flush->db->store, name) < 0)
        db_log(flush->db, LOAM_LOG_WARNING, "%s", loam_errmsg());
}

static bool all_dropped(const struct flush *flush)
{
    for (size_t i = 0; i < flush->part_count; i++)
        if (!atomic_load(&flush->parts[i].coll->dropped)) return false;
    return true;
}

static loam_status flush_parts(struct flush *flush)
{
    loam_db *db = flush->db;
    const bool recovering = db->manifest == NULL;
    loam_status rc =
        recovering ? LOAM_OK : commit_publish(db, flush->commit_seq, flush->commit_position);
    if (rc == LOAM_OK) rc = write_tables(flush);
    if (rc < 0) return rc;
    const bool wrote = flush->object == NULL, unused = all_dropped(flush);
    rc = recovering ? install_recovered(flush) : install(flush);
    if (wrote && (rc == LOAM_FULL || rc == LOAM_NOMEM || (rc == LOAM_OK && unused)))
        discard_object(flush);
    return rc;
}

loam_status flush_switch_log(loam_db *db, enum wal_rest rest)
{
    loam_status rc = wal_shrink(db->wal, rest);
    if (rc < 0) return rc;
    mutex_lock(&db->lane);
    rc = wal_switch(db->wal);
    mutex_unlock(&db->lane);
    return rc;
}

/* Everything is in tables: the log goes on in a small segment. One that has no room for that is none the worse. */
static loam_status begin_log_anew(loam_db *db)
{
    struct flush nothing = {.db = db};
    const loam_status rc = flush_switch_log(db, WAL_SMALL);
    if (rc == LOAM_FULL || rc == LOAM_NOMEM) return LOAM_OK;
    return rc < 0 ? rc : install(&nothing);
}

static void note_flush(const struct flush *flush, uint64_t since_ns)
{
    loam_db *db = flush->db;
    uint64_t written = 0;
    for (size_t i = 0; i < flush->part_count; i++)
        written += flush->parts[i].written_bytes;
    atomic_fetch_add(&db->flush_count, 1);
    db_log(db, LOAM_LOG_INFO, "flush collections=%zu out_bytes=%" PRIu64 " ms=%" PRIu64,
           flush->part_count, written, (db_now_ns(db) - since_ns) / 1000000);
}

loam_status flush_run(loam_db *db, enum flush_how how)
{
    struct flush flush = {.db = db};
    const uint64_t since_ns = db_now_ns(db);
    loam_status rc = freeze_for(db, how);
    if (rc == LOAM_OK) rc = collect_parts(&flush);
    if (rc == LOAM_OK && flush.part_count > 0) {
        rc = flush_parts(&flush);
        if (rc == LOAM_OK) note_flush(&flush, since_ns);
        for (size_t i = 0; rc == LOAM_OK && db->manifest != NULL && i < flush.part_count; i++)
            if (!atomic_load(&flush.parts[i].coll->dropped)) compact_consider(flush.parts[i].coll);
    } else if (rc == LOAM_OK && db->manifest != NULL &&
               (db_log_is_long(db) || atomic_load(&db->floor_waits))) {
        rc =
            install(&flush); /* what pinned it was dropped, or is archived: the floor alone moves */
    }
    if (rc == LOAM_OK && db->manifest != NULL && how == FLUSH_ALL) rc = begin_log_anew(db);
    end_flush(&flush);
    return rc;
}
