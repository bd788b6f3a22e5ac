/*
 * archive.c - complete segments of the log in a directory of their own, for who restores to a moment; see loam.h and restore.c.
 *
 * Role: gives each segment that the log has gone on behind, in order, to the archive, in the background, at a close, and those of
 *   earlier openers after an opening.
 * Invariants: (1) what is given is durable, as bytes and as a name, before `archived_upto` passes it, and the manifest's floor never passes
 *   that: so nothing is deleted that is not there, and a recovery reads what is still to be given. (2) What was given is never
 *   written again: a log with an archive is pinned, its dead segments are deleted. (3) An archive has the segments of one log, and
 *   is given more only where the newest of those that it was given is: another directory may have come to bear its name.
 * Threads: archive_once() by one at a time; flush.c reads archived_upto.
 * In the picture: db layer; a thread of jobs.c calls it, which may wait for a slow disk while nobody waits for it.
 */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

#define RETRY_NS UINT64_C(1000000000) /* after a failure */
#define AGE_NS                                                                                     \
    UINT64_C(60000000000) /* of what is written and not archived, since its segment is not full */

static loam_status open_archive(const loam_db *db, bool may_create, struct store **out)
{
    const struct store_options options = {.bare = true, .must_exist = !may_create};
    bool is_new;
    return store_open(db->sys, db->options.archive, &options, &is_new, out);
}

/* ---- whose is it? ---------------------------------------------------------------------------- */

loam_status archive_check(struct store *archive, const uint8_t *store_id, struct object_id id,
                          struct segment_header *header)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_SEGMENT, id, name);
    const loam_status rc = segment_peek(archive, OBJECT_SEGMENT, id, header);
    if (rc < 0) return failed_in(rc, store_path(archive));
    if (rc == LOAM_NOTFOUND)
        return failed(LOAM_CORRUPT, "%s: %s: byte 0: without a valid header", store_path(archive),
                      name);
    if (memcmp(header->store_id, store_id, STORE_ID_BYTES) == 0) return LOAM_OK;
    return failed(LOAM_INVALID, "%s: is the archive of another store (%s says so)",
                  store_path(archive), name);
}

static bool are_of_one_log(const struct segment_header *a, const struct segment_header *b)
{
    return memcmp(a->store_id, b->store_id, STORE_ID_BYTES) == 0 && a->log_key == b->log_key;
}

static loam_status belongs_to_a_copy(const struct store *archive)
{
    return failed(LOAM_INVALID,
                  "%s: another copy of this store has its archive there; name another directory",
                  store_path(archive));
}

/* Looks at the newest segment there. That its name was made durable nobody knows: it is given again, if it is still in the log. */
static loam_status meet_newest(loam_db *db, struct store *archive)
{
    struct object_id *ids = NULL;
    struct segment_header header = {.start = 0};
    size_t count = 0;
    loam_status rc = store_objects(archive, OBJECT_SEGMENT, &ids, &count);
    if (rc == LOAM_OK && count > 0)
        rc = archive_check(archive, db->root.store_id, ids[count - 1], &header);
    if (rc == LOAM_CORRUPT) { /* of the store nothing is damaged */
        char what[STATUS_TEXT_MAX];
        failed_keep(what, sizeof what);
        rc =
            failed(LOAM_INVALID, "%s; take it out of the archive, or name another directory", what);
    }
    if (rc == LOAM_OK && count > 0 && header.id.epoch >= db->root.epoch &&
        header.log_key != db->root.log_key)
        rc = belongs_to_a_copy(archive);
    if (rc == LOAM_OK && count > 0) db->archive_newest = header;
    if (rc == LOAM_OK && count > 1) db->archived = ids[count - 2];
    mem_free(ids);
    return rc;
}

/* An opener may rename it, a disk may not be mounted, a file may be taken away. */
static loam_status check_newest(const loam_db *db, struct store *archive)
{
    const struct segment_header *newest = &db->archive_newest;
    struct segment_header there;
    char name[OBJECT_NAME_BYTES];
    if (newest->id.number == 0) return LOAM_OK;
    const loam_status rc = segment_peek(archive, OBJECT_SEGMENT, newest->id, &there);
    if (rc < 0) return rc;
    if (rc == LOAM_OK && are_of_one_log(&there, newest)) return LOAM_OK;
    object_name_make(OBJECT_SEGMENT, newest->id, name);
    return failed(
        LOAM_INVALID,
        "%s: is not what it was: %s, which it had, is not there; put it back, or open the "
        "store again to begin anew",
        store_path(archive), name);
}

loam_status archive_begin(loam_db *db)
{
    struct store *archive = NULL;
    atomic_store(&db->archived_upto, UINT64_MAX);
    if (db->options.archive == NULL) return LOAM_OK;
    loam_status rc = db_check_place(db->store, db->options.archive, "the store");
    if (rc == LOAM_OK) rc = open_archive(db, true, &archive);
    if (rc == LOAM_OK) rc = db_check_place(archive, store_path(db->store), "the archive");
    if (rc == LOAM_OK) rc = meet_newest(db, archive);
    store_close(archive);
    return rc;
}

/* Where the newest segment ends: a later opener may have cut it, but begins not behind that. */
static loam_status find_end(const loam_db *db, uint64_t *end)
{
    struct store *archive = NULL;
    struct segment_view view;
    struct record record;
    uint64_t running = 0;
    *end = 0;
    if (db->archive_newest.id.number == 0) return LOAM_OK;
    loam_status rc = open_archive(db, false, &archive);
    if (rc == LOAM_OK) rc = segment_load(archive, OBJECT_SEGMENT, db->archive_newest.id, &view);
    if (rc == LOAM_OK) {
        *end = view.header.start;
        while (segment_record_at(&view, *end, &running, &record) == LOAM_OK)
            *end = record.end;
        segment_view_deinit(&view);
    }
    store_close(archive);
    return rc;
}

loam_status archive_go_on(loam_db *db, uint64_t start)
{
    uint64_t end = start;
    atomic_store(&db->archived_upto, start);
    if (start > db->archive_newest.start) {
        const loam_status rc = find_end(db, &end);
        if (rc < 0 && rc != LOAM_CORRUPT) return rc; /* what cannot be read is missing, too */
    }
    if (end < start)
        db_log(
            db, LOAM_LOG_WARNING,
            "%s: does not have all that was written until now; make a backup, from which it can be "
            "restored to what comes",
            db->options.archive);
    return LOAM_OK;
}

/* ---- giving ---------------------------------------------------------------------------------- */

/* One of the name is there only if a crash came before it was known to be durable, or if it is none of ours. */
static loam_status give_segment(loam_db *db, struct store *archive,
                                const struct segment_header *header)
{
    char name[OBJECT_NAME_BYTES];
    struct segment_header there;
    object_name_make(OBJECT_SEGMENT, header->id, name);
    loam_status rc = segment_peek(archive, OBJECT_SEGMENT, header->id, &there);
    if (rc == LOAM_OK && !are_of_one_log(&there, header)) return belongs_to_a_copy(archive);
    if (rc >= 0) rc = object_give(db->store, name, archive);
    if (rc == LOAM_OK) db->archive_newest = *header;
    return rc == LOAM_NOTFOUND ? failed(LOAM_CORRUPT, "%s: is missing", name) : rc;
}

/* Gives a segment that ends where the next one starts. One without a record is not missed. */
static loam_status give_up_to(loam_db *db, struct store *archive,
                              const struct segment_header *header, uint64_t end)
{
    loam_status rc = LOAM_OK;
    if (header->id.number == 0) return LOAM_OK; /* there is none before the first */
    if (end > header->start) rc = give_segment(db, archive, header);
    if (rc < 0) return rc;
    db->archived = header->id;
    if (end > atomic_load(&db->archived_upto)) atomic_store(&db->archived_upto, end);
    return LOAM_OK;
}

/* All segments in front of `before`, which begins at `start`. */
static loam_status give_segments(loam_db *db, struct store *archive, struct object_id before,
                                 uint64_t start)
{
    struct object_id *ids = NULL;
    struct segment_header header = {.start = 0}, next;
    char name[OBJECT_NAME_BYTES];
    size_t count = 0;
    loam_status rc = store_objects(db->store, OBJECT_SEGMENT, &ids, &count);
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        if (!object_id_before(db->archived, ids[i]) || !object_id_before(ids[i], before)) continue;
        rc = segment_peek(db->store, OBJECT_SEGMENT, ids[i], &next);
        object_name_make(OBJECT_SEGMENT, ids[i], name);
        if (rc == LOAM_NOTFOUND)
            rc = failed(LOAM_CORRUPT, "%s: byte 0: without a valid header", name);
        if (rc == LOAM_OK) rc = give_up_to(db, archive, &header, next.start);
        header = next;
    }
    if (rc == LOAM_OK) rc = give_up_to(db, archive, &header, start);
    if (rc == LOAM_OK) atomic_store(&db->archived_upto, start);
    mem_free(ids);
    return rc;
}

/* Said once, until it goes well again. */
static void note_failure_to_give(loam_db *db)
{
    if (!db->archive_fails)
        db_log(db, LOAM_LOG_WARNING, "the log is not archived, and kept, until this goes well: %s",
               loam_errmsg());
    db->archive_fails = true;
    db->archive_retry_ns = db_now_ns(db) + RETRY_NS;
}

static void give_before(loam_db *db, struct object_id before, uint64_t start)
{
    struct store *archive = NULL;
    loam_status rc = open_archive(db, false, &archive);
    if (rc == LOAM_OK) rc = check_newest(db, archive);
    if (rc == LOAM_OK) rc = give_segments(db, archive, before, start);
    store_close(archive);
    if (rc < 0) {
        note_failure_to_give(db);
        return;
    }
    db->archive_fails = false;
    db->archive_retry_ns = 0;
    db->archive_seen = before;
}

/* The segment that is written, and where it begins. */
static struct object_id find_active(const loam_db *db, uint64_t *start)
{
    struct object_id active = {db->object_epoch, 0};
    *start = wal_end(db->wal);
    (void)wal_segment_of(db->wal, *start, &active, start); /* false: not begun, and has no other */
    return active;
}

/* What has been written for a while is not to wait until enough comes behind it. An archive that takes nothing gains nothing by that. */
static void end_old_segment(loam_db *db)
{
    uint64_t start;
    const struct object_id active = find_active(db, &start);
    const uint64_t now = db_now_ns(db);
    const bool is_known = object_id_equal(active, db->archive_active);
    if (is_known && wal_end(db->wal) > start && now - db->archive_since_ns < AGE_NS) return;
    db->archive_active = active;
    db->archive_since_ns = now;
    if (!is_known || wal_end(db->wal) == start || db->archive_fails) return;
    const loam_status rc = flush_switch_log(db, WAL_LEAST);
    if (rc < 0 && rc != LOAM_FULL && rc != LOAM_NOMEM) (void)db_fence(db, rc);
}

void archive_once(loam_db *db)
{
    uint64_t start;
    if (db->options.archive == NULL || atomic_load(&db->fenced) != LOAM_OK) return;
    end_old_segment(db);
    const struct object_id active = find_active(db, &start);
    if (object_id_equal(active, db->archive_seen)) return;
    if (db->archive_retry_ns > db_now_ns(db)) return;
    const loam_status rc = wal_wait(db->wal, start);
    if (rc < 0) {
        (void)db_fence(db, rc);
        return;
    }
    give_before(db, active, start);
    if (db->archive_fails) return;
    atomic_store(&db->floor_waits, true);
    (void)jobs_want_flush(db);
}

void archive_end(loam_db *db)
{
    const struct object_id all = {UINT32_MAX, UINT32_MAX};
    if (db->options.archive != NULL) give_before(db, all, UINT64_MAX);
}
