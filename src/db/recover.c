/*
 * recover.c - from what a closed, killed or powerless predecessor left to an open database; see db.h.
 *
 *   root -> manifest -> catalog -> log -> memtables            nothing is written so far
 *   -> unattested tail written again and synced -> fresh manifest -> root swapped: new epoch, new log key -> leftovers deleted
 *
 * Before the root is swapped, nothing that the predecessor left is changed or deleted, so a crash at any moment of this leaves the
 * same recovery to be done again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/follow.h"
#include "db/merges.h"
#include "db/restore.h"
#include "record/batch.h"

#include "base/poison.h"

enum {
    OLD_SEGMENTS_MAX = 16,
    PASSED_SEGMENTS_MAX = 128, /* of one opening that are kept for readers of the log */
    PENDING_MAX = 8,        /* entries on their way: a miss takes about as long as adding so many */
    PENDING_BYTES_MAX = 512 /* larger ones are not worth a copy */
};

/* An entry whose leaf has been asked for. */
struct pending {
    loam_coll *coll;
    struct entry entry; /* over bytes */
    uint64_t hash, from, to;
    struct memtable_near near; /* zeroed: the memtable is another one now */
    uint8_t bytes[PENDING_BYTES_MAX];
};

struct recovery {
    loam_db *db;
    struct wal_tail tail;
    uint64_t expected_seq; /* 0: not known yet */
    loam_coll *coll;       /* of the last entry; a log has runs of one collection */
    uint64_t coll_flushed_seq;
    struct pending pending[PENDING_MAX]; /* a ring */
    uint32_t pending_first, pending_count;
};

/* ---- entries -------------------------------------------------------------------------------- */

static void forget_near(struct recovery *recovery)
{
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        recovery->pending[i].near = (struct memtable_near){0};
}

/* Freezes as a writer would, and flushes what is frozen where he would wait for that. */
static loam_status relieve_recovery(struct recovery *recovery, loam_coll *coll, bool full)
{
    loam_db *db = recovery->db;
    forget_near(recovery);
    mutex_lock(&db->lane);
    const loam_status rc = full ? view_freeze_large(db) : view_freeze(coll);
    mutex_unlock(&db->lane);
    if (rc < 0 || (!full && atomic_load(&coll->memrun_count) < MEMRUNS_MAX)) return rc;
    return flush_run(db, FLUSH_DUE);
}

/* Room for one more entry. A read-only store only grows. */
static loam_status recovered_room(struct recovery *recovery, loam_coll *coll,
                                  const struct entry *entry)
{
    loam_db *db = recovery->db;
    loam_status rc = LOAM_OK;
    if (coll->active == NULL) {
        rc = view_add_memtable(coll);
    } else if (!db->options.read_only) {
        const bool full = atomic_load(&db->memtable_bytes) > db->options.memory_bytes / 2;
        if (full || memrun_is_full(db, coll->active)) rc = relieve_recovery(recovery, coll, full);
    }
    if (rc < 0) return rc;
    return memrun_reserve(db, coll->active, 1, entry_room_bytes(entry));
}

static void look_at_coll(struct recovery *recovery, uint32_t coll_id)
{
    if (recovery->coll != NULL && recovery->coll->id == coll_id) return;
    recovery->coll = coll_by_id(recovery->db, coll_id);
    if (recovery->coll != NULL)
        recovery->coll_flushed_seq =
            catalog_coll_by_id(recovery->db->catalog, coll_id)->flushed_seq;
}

/* Adds what is pending, oldest first, but for the newest `keep`. */
static loam_status add_pending(struct recovery *recovery, uint32_t keep)
{
    while (recovery->pending_count > keep) {
        const struct pending *oldest = &recovery->pending[recovery->pending_first];
        const loam_status rc = recovered_room(recovery, oldest->coll, &oldest->entry);
        if (rc < 0) return rc;
        memrun_add(oldest->coll, &oldest->entry, oldest->hash, oldest->near, oldest->from,
                   oldest->to);
        recovery->pending_first = (recovery->pending_first + 1) % PENDING_MAX;
        recovery->pending_count--;
    }
    return LOAM_OK;
}

static struct pending *hold_pending(struct recovery *recovery, const struct entry *entry,
                                    uint64_t hash, const struct wal_commit *commit)
{
    const uint32_t at = (recovery->pending_first + recovery->pending_count++) % PENDING_MAX;
    struct pending *held = &recovery->pending[at];
    held->coll = recovery->coll;
    held->near = (struct memtable_near){0};
    held->entry = *entry;
    held->hash = hash;
    held->from = commit->position;
    held->to = commit->end;
    if (entry->key.len > 0) memcpy(held->bytes, entry->key.data, entry->key.len);
    if (entry->value.len > 0)
        memcpy(held->bytes + entry->key.len, entry->value.data, entry->value.len);
    held->entry.key = loam_bytes(held->bytes, entry->key.len);
    held->entry.value = loam_bytes(held->bytes + entry->key.len, entry->value.len);
    return held;
}

static loam_status clone_in_time(struct recovery *recovery, uint32_t coll_id, uint64_t seq);

static loam_status replay_entry(struct recovery *recovery, uint32_t coll_id,
                                const struct entry *entry, const struct wal_commit *commit)
{
    loam_status rc = clone_in_time(recovery, coll_id, entry->seq);
    if (rc < 0) return rc;
    look_at_coll(recovery, coll_id);
    loam_coll *coll = recovery->coll;
    const uint64_t hash = hash_key(entry->key);
    if (coll == NULL || entry->seq <= recovery->coll_flushed_seq) return LOAM_OK;
    if (entry->kind == ENTRY_DELETE_RANGE) commit_note_range(coll, entry);
    if (entry->kind == ENTRY_PUT_EXPIRING) expiry_expect(recovery->db);
    if (entry->key.len + entry->value.len > PENDING_BYTES_MAX) {
        rc = add_pending(recovery, 0);
        if (rc == LOAM_OK) rc = recovered_room(recovery, coll, entry);
        if (rc == LOAM_OK)
            memrun_add(coll, entry, hash, (struct memtable_near){0}, commit->position, commit->end);
        return rc;
    }
    rc = add_pending(recovery, PENDING_MAX - 1);
    if (rc < 0) return rc;
    struct pending *held = hold_pending(recovery, entry, hash, commit);
    if (coll->active != NULL && entry->kind != ENTRY_DELETE_RANGE)
        held->near = memtable_approach(coll->active->memtable, entry->key, hash);
    return LOAM_OK;
}

static loam_status commit_is_damaged(const struct wal_commit *commit, const char *what)
{
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s", commit->name, commit->offset, what);
}

loam_status db_open_commit(const struct wal_commit *commit, struct commit_body *body)
{
    if (!commit_body_open(commit->body, (commit->flags & RECORD_CALLER_INDEX) != 0, body))
        return commit_is_damaged(commit, "a commit without a count");
    if (body->entry_count - 1 > SEQ_MAX - commit->seq)
        return commit_is_damaged(commit, "its sequence numbers are too high");
    return LOAM_OK;
}

static loam_status replay_entries(struct recovery *recovery, const struct wal_commit *commit,
                                  uint32_t *count)
{
    struct commit_body body;
    struct entry entry;
    uint32_t coll_id;
    loam_status rc = db_open_commit(commit, &body);
    if (rc < 0) return rc;
    *count = body.entry_count;
    if (body.caller_index > 0)
        recovery->db->caller_index =
            (struct caller_index){body.caller_index, commit->seq + *count - 1, 0};
    for (uint32_t i = 0; i < *count; i++) {
        rc = batch_next(&body.entries, &coll_id, &entry);
        if (rc != LOAM_OK) return commit_is_damaged(commit, "its entries do not parse");
        entry.seq = commit->seq + i;
        rc = replay_entry(recovery, coll_id, &entry, commit);
        if (rc < 0) return rc;
    }
    if (body.entries.at != body.entries.end)
        return commit_is_damaged(commit, "more entries than its count");
    return LOAM_OK;
}

/* ---- changes of collections ------------------------------------------------------------------ */

/* Is this name another's? */
static bool is_taken(loam_db *db, const struct coll_state *state)
{
    mutex_lock(&db->names);
    const loam_coll *owner = coll_by_name(db, state->name);
    mutex_unlock(&db->names);
    return owner != NULL && owner->id != state->id;
}

static loam_status show_coll(loam_db *db, const struct coll_state *state)
{
    if (state->id >= db->next_coll) db->next_coll = state->id + 1;
    if (version_expires(state->version)) expiry_expect(db);
    return coll_handle_new(db, state);
}

static loam_status show_rename(loam_db *db, const struct coll_state *state, uint64_t seq)
{
    loam_coll *coll = coll_by_id(db, state->id);
    return coll == NULL ? LOAM_OK : coll_rename_handle(coll, state->name, seq);
}

static loam_status show_options(loam_db *db, const struct coll_state *state)
{
    loam_coll *coll = coll_by_id(db, state->id);
    char *name;
    if (coll == NULL) return LOAM_OK;
    const loam_status rc = coll_copy_operator(coll, state->options.merge_operator, &name);
    if (rc == LOAM_OK) coll_show_options(coll, &state->options, name);
    return rc;
}

static loam_status show_ingest_again(loam_db *db, const struct coll_state *state,
                                     const struct wal_commit *commit)
{
    loam_coll *coll = coll_by_id(db, state->id);
    if (coll == NULL) return LOAM_OK;
    const struct view *view = atomic_load(&coll->view);
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_entry_count(view->memruns[i]->memtable) > 0)
            return commit_is_damaged(commit, "an ingest over entries that are in no table");
    struct view *spare = view_spare();
    if (spare == NULL) return LOAM_NOMEM;
    if (version_expires(state->version)) expiry_expect(db);
    view_install(coll, spare, state->version, 0);
    return LOAM_OK;
}

static loam_status show_drop(loam_db *db, uint32_t coll_id)
{
    loam_coll *coll = coll_by_id(db, coll_id);
    if (coll == NULL) return LOAM_OK;
    struct view *spare = view_spare();
    struct version *empty = version_new();
    if (spare == NULL || empty == NULL) {
        mem_free(spare);
        version_unref(empty);
        return LOAM_NOMEM;
    }
    coll_forget(coll);
    view_install(coll, spare, empty, atomic_load(&coll->memrun_count));
    version_unref(empty);
    return LOAM_OK;
}

/* Behind an ingest, its tables, one at least, all of its number. *all is the first, up to where the last one ends. */
static loam_status read_tables(struct edit_reader *reader, const struct change *ingest,
                               const struct wal_commit *commit, struct change *all)
{
    struct change change;
    loam_status rc;
    uint64_t count = 0;
    if (ingest->seq != commit->seq) return commit_is_damaged(commit, "an ingest of another number");
    while ((rc = edit_next(reader, &change)) == LOAM_OK) {
        if (change.tag != CHANGE_TABLE_ADD || change.coll != ingest->coll ||
            change.meta.seq_min != commit->seq || change.meta.seq_max != commit->seq)
            return commit_is_damaged(commit, "an ingest of other tables than its own");
        if (count++ == 0) *all = change;
        all->meta.largest = change.meta.largest;
        if (change.run > all->run) all->run = change.run;
    }
    if (rc == LOAM_NOTFOUND && count > 0) return LOAM_OK;
    return commit_is_damaged(commit, "an ingest whose tables do not parse");
}

loam_status db_read_change(const struct wal_commit *commit, struct change *change,
                           struct change *more)
{
    struct change another;
    struct edit_reader reader = edit_reader_over(commit->body);
    memset(more, 0, sizeof *more);
    if ((commit->flags & RECORD_CALLER_INDEX) != 0)
        return commit_is_damaged(commit, "a change with a caller's index");
    if (edit_next(&reader, change) != LOAM_OK)
        return commit_is_damaged(commit, "a change that does not parse");
    if (change->tag != CHANGE_COLL_CREATE && change->tag != CHANGE_COLL_RENAME &&
        change->tag != CHANGE_COLL_DROP && change->tag != CHANGE_COLL_OPTIONS &&
        change->tag != CHANGE_COLL_CLONE && change->tag != CHANGE_INGEST)
        return commit_is_damaged(commit, "a change that is none of collections");
    if (change->tag == CHANGE_INGEST) return read_tables(&reader, change, commit, more);
    loam_status rc = edit_next(&reader, &another);
    if (rc == LOAM_OK && change->tag == CHANGE_COLL_CREATE && another.tag == CHANGE_COLL_OPTIONS &&
        another.coll == change->coll) {
        *more = another;
        rc = edit_next(&reader, &another);
    }
    return rc == LOAM_NOTFOUND ? LOAM_OK : commit_is_damaged(commit, "more than one change");
}

static loam_status show_change(loam_db *db, enum change_tag tag, uint32_t coll_id,
                               const struct wal_commit *commit)
{
    if (tag == CHANGE_COLL_DROP) return show_drop(db, coll_id);
    const struct coll_state *state = catalog_coll_by_id(db->catalog, coll_id);
    if (tag == CHANGE_COLL_OPTIONS) return show_options(db, state);
    if (tag == CHANGE_INGEST) return show_ingest_again(db, state, commit);
    if (is_taken(db, state)) return commit_is_damaged(commit, "a name that another collection has");
    return tag == CHANGE_COLL_RENAME ? show_rename(db, state, commit->seq) : show_coll(db, state);
}

/* A clone shares what its source had in tables. If this recovery has flushed the source since, that is the beginning of more, and
   may end within a commit: then it shares all that there was before the clone. And so if a restore has what it shares in memory: then there is
   nothing more before the clone. */
static loam_status apply_clone(loam_db *db, const struct change *change)
{
    const struct coll_state *source = catalog_coll_by_id(db->catalog, change->source);
    struct edit edit = {0};
    loam_status rc = LOAM_OK;
    uint64_t seq = change->seq;
    /* What a follower contradicts is newer than the manifest that it has read. */
    const uint64_t flushed = source == NULL || db->follow != NULL ? seq : source->flushed_seq;
    if (flushed > seq || (flushed < seq && db->restore != NULL)) rc = flush_run(db, FLUSH_ALL);
    if (flushed > seq) seq = catalog_coll_by_id(db->catalog, change->source)->flushed_seq;
    if (rc == LOAM_OK) rc = edit_clone_coll(&edit, change->coll, change->name, change->source, seq);
    if (rc == LOAM_OK) rc = catalog_apply(db->catalog, loam_bytes(edit.bytes.data, edit.bytes.len));
    edit_deinit(&edit);
    return rc;
}

/* What the manifest says, which is as old as the change or older. */
static loam_status contradicts(const struct wal_commit *commit)
{
    char where[OBJECT_NAME_BYTES + 32];
    (void)snprintf(where, sizeof where, "%s: byte %" PRIu64, commit->name, commit->offset);
    return failed_in(LOAM_CORRUPT, where);
}

static loam_status replay_change(struct recovery *recovery, const struct wal_commit *commit)
{
    loam_db *db = recovery->db;
    struct change change = {.coll = 0}, more = {.coll = 0};
    if (commit->seq <= catalog_counters(db->catalog).change_seq) return LOAM_OK; /* it has it */
    loam_status rc = add_pending(recovery, 0); /* it may drop their collection */
    if (rc == LOAM_OK) rc = db_read_change(commit, &change, &more);
    if (rc < 0) return rc;
    if (more.run >= db->next_run) db->next_run = more.run + (more.run < UINT64_MAX);
    rc = change.tag == CHANGE_COLL_CLONE ? apply_clone(db, &change)
                                         : catalog_apply(db->catalog, commit->body);
    if (rc == LOAM_CORRUPT) rc = contradicts(commit);
    if (rc == LOAM_OK) rc = show_change(db, change.tag, change.coll, commit);
    struct edit edit = {0};
    if (rc == LOAM_OK) rc = db_counters_to_edit(db, &edit, commit->seq);
    if (rc == LOAM_OK) rc = catalog_apply(db->catalog, loam_bytes(edit.bytes.data, edit.bytes.len));
    edit_deinit(&edit);
    recovery->coll = NULL;
    return rc;
}

/* Before a restore adds what its source has later. Nothing else was changed between that and the clone. */
static loam_status clone_in_time(struct recovery *recovery, uint32_t coll_id, uint64_t seq)
{
    loam_status rc = LOAM_OK;
    for (const struct wal_commit *due;
         rc == LOAM_OK && recovery->db->restore != NULL &&
         (due = restore_due_clone(recovery->db->restore, coll_id, seq)) != NULL;)
        rc = replay_change(recovery, due);
    return rc;
}

static loam_status replay(void *ctx, const struct wal_commit *commit)
{
    struct recovery *recovery = ctx;
    uint32_t count = commit->kind == RECORD_CHANGE;
    loam_status rc = LOAM_OK;
    if (recovery->db->restore != NULL) rc = restore_note(recovery->db->restore, commit);
    if (rc != LOAM_OK) return rc;
    if (recovery->expected_seq != 0 && commit->seq != recovery->expected_seq)
        return commit_is_damaged(commit, "its sequence number does not follow the one before");
    if (commit->seq == 0 || commit->seq > SEQ_MAX)
        return commit_is_damaged(commit, "its sequence number is none");
    expiry_note_time(recovery->db, commit->time_ms);
    if (commit->kind == RECORD_COMMIT) rc = replay_entries(recovery, commit, &count);
    if (commit->kind == RECORD_CHANGE) rc = replay_change(recovery, commit);
    recovery->expected_seq = commit->seq + count;
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

static loam_status make_handles(loam_db *db)
{
    char name[OBJECT_NAME_BYTES];
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < catalog_coll_count(db->catalog); i++) {
        const struct coll_state *state = catalog_coll_at(db->catalog, i);
        if (!is_taken(db, state)) {
            rc = show_coll(db, state);
            if (rc == LOAM_OK && state->id != 0) /* any change so far may have been its renaming */
                (void)coll_doubt_name(coll_by_id(db, state->id),
                                      catalog_counters(db->catalog).change_seq);
            continue;
        }
        object_name_make(OBJECT_MANIFEST, db->root.manifest, name);
        rc = failed(LOAM_CORRUPT, "%s: collection %u has the name of another, \"%s\"", name,
                    state->id, state->name);
    }
    return rc;
}

uint64_t highest_flushed(const struct catalog *catalog)
{
    uint64_t seq = catalog_counters(catalog).change_seq;
    for (size_t i = 0; i < catalog_coll_count(catalog); i++)
        if (catalog_coll_at(catalog, i)->flushed_seq > seq)
            seq = catalog_coll_at(catalog, i)->flushed_seq;
    return seq;
}

loam_status db_wal_past(const loam_db *db, struct wal_past *past)
{
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    struct wal_extent *listed = mem_alloc_array(bounds.segment_count + 1, sizeof *listed);
    if (listed == NULL) return LOAM_NOMEM;
    for (size_t i = 0; i < bounds.segment_count; i++)
        listed[i] = (struct wal_extent){bounds.segments[i].id, bounds.segments[i].start,
                                        bounds.segments[i].end};
    *past = (struct wal_past){
        .store = db->store,
        .store_id = db->root.store_id,
        .listed = listed,
        .listed_count = bounds.segment_count,
        .epoch = db->root.epoch,
        .log_key = db->root.log_key,
        .start = bounds.start,
        .start_running = bounds.start_running,
        .floor_number = bounds.floor_segment.number,
        .floor = bounds.floor,
        .attested = bounds.attested,
        .sealed = db->root.sealed,
        .seal_end = db->root.log_end,
        .seal_running = db->root.log_running,
        .live = db->follow != NULL,
    };
    return LOAM_OK;
}

static loam_status read_log(struct recovery *recovery)
{
    struct wal_past past;
    struct restore *restore = recovery->db->restore;
    loam_status rc = db_wal_past(recovery->db, &past);
    if (rc < 0) return rc;
    if (restore != NULL && recovery->db->options.read_only) { /* this is what will be copied */
        rc = restore_survey(restore, recovery->db, &past);
        recovery->db->restore = restore = NULL;
    }
    if (rc == LOAM_OK) rc = wal_read(&past, replay, recovery, &recovery->tail);
    if (rc == LOAM_OK && restore != NULL)
        rc =
            wal_read_on(&past, restore->archive, restore->limit, replay, recovery, &recovery->tail);
    if (rc == LOAM_OK) rc = add_pending(recovery, 0);
    wal_past_deinit(&past);
    return rc;
}

loam_status db_read_root(struct store *store, struct root *root)
{
    loam_buf bytes = {0};
    loam_status rc = store_root_read(store, &bytes);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "root: is missing; somebody removed it");
    if (rc == LOAM_OK) rc = root_decode(loam_bytes(bytes.data, bytes.len), "root", root);
    loam_buf_free(&bytes);
    return rc;
}

static loam_status read_past(struct recovery *recovery)
{
    loam_db *db = recovery->db;
    uint64_t manifest_end = 0;
    loam_status rc = db_read_root(db->store, &db->root);
    if (rc == LOAM_OK) rc = manifest_load(db->store, &db->root, db->catalog, &manifest_end);
    if (rc < 0) return rc;
    const struct catalog_counters counters = catalog_counters(db->catalog);
    expiry_note_time(db, counters.time_ms);
    db->caller_index = (struct caller_index){counters.caller_index, counters.caller_index_seq, 0};
    db->next_coll = counters.next_coll;
    db->next_run = counters.next_run;
    db->object_epoch =
        db->root.epoch +
        1; /* what is flushed before the fresh manifest is there is the new epoch's */
    rc = make_handles(db);
    if (rc == LOAM_OK) rc = read_log(recovery);
    if (rc == LOAM_OK && db->follow != NULL) follow_note(db, &recovery->tail, manifest_end);
    return rc;
}

/* ---- taking over ----------------------------------------------------------------------------- */

static uint64_t lowest_needed(loam_db *db, uint64_t end)
{
    uint64_t lowest = end;
    for (const loam_coll *coll = db->dirty; coll != NULL; coll = coll->dirty_next) {
        const struct view *view = atomic_load(&coll->view);
        for (uint32_t i = 0; i < view->memrun_count; i++)
            if (view->memruns[i]->first_position < lowest)
                lowest = view->memruns[i]->first_position;
    }
    return lowest;
}

/* The segments that the new opener's manifest lists. */
struct log_listing {
    const loam_db *db;
    struct edit *edit;
    uint64_t lowest; /* recovery needs nothing below */
    uint64_t kept;   /* and readers nothing below this */
};

static loam_status list_segment(const struct log_listing *listing, struct wal_extent extent)
{
    struct segment_header header;
    const struct change change = {.tag = CHANGE_LOG_SEGMENT,
                                  .object = extent.id,
                                  .position = extent.start,
                                  .position_end = extent.end};
    if (extent.end <= listing->kept) return LOAM_OK;
    if (extent.end <= listing->lowest) { /* which recovery has not read */
        const loam_status rc = segment_peek(listing->db->store, OBJECT_SEGMENT, extent.id, &header);
        if (rc < 0 && rc != LOAM_CORRUPT) return rc;
        if (rc != LOAM_OK || header.start != extent.start ||
            memcmp(header.store_id, listing->db->root.store_id, STORE_ID_BYTES) != 0)
            return LOAM_OK;
    }
    return edit_add(listing->edit, &change);
}

/* The last opener's segments before the first that recovery needed: those that are still there have successive numbers, and each ends
   where the next one starts. */
static loam_status list_passed(const struct log_listing *listing, const struct log_bounds *old)
{
    struct segment_header header;
    struct wal_extent extents[PASSED_SEGMENTS_MAX];
    struct object_id id = old->floor_segment;
    uint64_t end = old->floor;
    size_t count = 0;
    loam_status rc = LOAM_OK;
    while (id.number > 1 && end > listing->kept && count < PASSED_SEGMENTS_MAX) {
        id.number--;
        rc = segment_peek(listing->db->store, OBJECT_SEGMENT, id, &header);
        if (rc != LOAM_OK || header.start > end) break;
        extents[count++] = (struct wal_extent){id, header.start, end};
        end = header.start;
    }
    if (rc < 0 && rc != LOAM_CORRUPT) return rc;
    rc = LOAM_OK;
    while (rc == LOAM_OK && count > 0)
        rc = list_segment(listing, extents[--count]);
    return rc;
}

/* Where recovery begins to need the log: at the start of the segment that `lowest` lies in. */
static uint64_t floor_of(const struct wal_tail *tail, const struct log_bounds *old, uint64_t lowest)
{
    uint64_t floor = tail->end;
    for (size_t i = 0; i < old->segment_count; i++)
        if (old->segments[i].end > lowest && old->segments[i].start < floor)
            floor = old->segments[i].start;
    for (size_t i = 0; i < tail->extent_count; i++)
        if (tail->extents[i].end > lowest && tail->extents[i].start < floor)
            floor = tail->extents[i].start;
    return floor;
}

/* The log's bounds as the new opener sees them: the old segments that are needed or kept, and where its own begin. */
static loam_status bounds_edit(struct recovery *recovery, struct edit *edit)
{
    loam_db *db = recovery->db;
    const struct wal_tail *tail = &recovery->tail;
    const struct log_bounds old = catalog_log_bounds(db->catalog);
    const uint64_t in_memory = lowest_needed(db, tail->end), most = db->options.feed_bytes;
    const uint64_t archived = atomic_load(&db->archived_upto);
    const uint64_t lowest = in_memory < archived ? in_memory : archived;
    const struct log_listing listing = {db, edit, lowest, lowest > most ? lowest - most : 0};
    const struct change begin[3] = {
        {.tag = CHANGE_LOG_START,
         .object = {db->root.epoch, 0},
         .position = tail->end,
         .running = tail->running},
        {.tag = CHANGE_LOG_FLOOR,
         .object = {db->root.epoch, 0},
         .position = floor_of(tail, &old, lowest)},
        {.tag = CHANGE_LOG_ATTEST, .position = tail->end},
    };
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < 3; i++)
        rc = edit_add(edit, &begin[i]);
    for (size_t i = 0; rc == LOAM_OK && i < old.segment_count; i++)
        rc = list_segment(&listing, (struct wal_extent){old.segments[i].id, old.segments[i].start,
                                                        old.segments[i].end});
    if (rc == LOAM_OK) rc = list_passed(&listing, &old);
    for (size_t i = 0; rc == LOAM_OK && i < tail->extent_count; i++)
        rc = list_segment(&listing, tail->extents[i]);
    if (rc == LOAM_OK) rc = feed_index_to_edit(db, edit);
    if (rc == LOAM_OK) rc = db_counters_to_edit(db, edit, 0);
    return rc;
}

bool db_wants_object(loam_db *db, enum object_kind kind, struct object_id id)
{
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    if (kind == OBJECT_MANIFEST) return object_id_equal(id, db->root.manifest);
    if (kind == OBJECT_TABLES) return catalog_uses_object(db->catalog, id);
    for (size_t i = 0; i < bounds.segment_count; i++)
        if (object_id_equal(id, bounds.segments[i].id)) return true;
    return false;
}

static void delete_leftover(void *ctx, const char *name)
{
    loam_db *db = ctx;
    enum object_kind kind;
    struct object_id id;
    if (!object_name_parse(name, &kind, &id) || db_wants_object(db, kind, id)) return;
    if (kind == OBJECT_MANIFEST && id.epoch == db->root.epoch) return; /* the one in reserve */
    if (store_delete(db->store, name) < 0) db_log(db, LOAM_LOG_WARNING, "%s", loam_errmsg());
}

static loam_status new_identity(loam_db *db, bool is_new)
{
    uint64_t random[3];
    for (size_t i = 0; i < 3; i++) {
        const loam_status rc = db_random_u64(db, &random[i]);
        if (rc < 0) return rc;
    }
    if (is_new) memcpy(db->root.store_id, random, STORE_ID_BYTES);
    db->root.log_key = random[2];
    db->object_epoch = ++db->root.epoch;
    db->root.sealed = false;
    db->root.log_end = db->root.log_running = 0;
    return LOAM_OK;
}

/* Where each commit is synced, syncs must be cheap; else storing must be. */
static enum log_use log_use_of(const loam_db *db, bool mapped)
{
    if (!mapped) return LOG_WRITTEN;
    return db->options.durability == LOAM_DURABLE_COMMIT ? LOG_MAPPED : LOG_MAPPED_HUGE;
}

static loam_status begin_log(struct recovery *recovery, bool mapped)
{
    loam_db *db = recovery->db;
    const uint64_t least = store_log_bytes_least(db->store), kept = db->options.feed_bytes;
    uint64_t most = db->options.memtable_bytes / SEGMENTS_OF_MEMTABLE & ~UINT64_C(4095);
    if (most < least) most = least;
    if (most > SEGMENT_BYTES_MOST) most = SEGMENT_BYTES_MOST;
    struct wal_past past;
    loam_status rc = db_wal_past(db, &past);
    if (rc < 0) return rc;
    struct wal_config config = {.store = db->store,
                                .epoch = db->root.epoch,
                                .log_key = db->root.log_key,
                                .start = recovery->tail.end,
                                .running = recovery->tail.running,
                                .floor = past.floor,
                                .past = past.listed,
                                .past_count = past.listed_count,
                                .kept_bytes = kept,
                                .held_bytes_max = kept > 0 ? kept : db_log_bound(db),
                                .segment_bytes_max = most,
                                .use = log_use_of(db, mapped)};
    memcpy(config.store_id, db->root.store_id, STORE_ID_BYTES);
    rc = wal_new(&config, &db->wal);
    wal_past_deinit(&past);
    return rc;
}

/* Every opening leaves segments behind, often one. When they become many, what they hold goes to tables, so that openings stay quick
   and the directory small, also for a program that opens, writes once and closes; those of the last one alone are as many as it wrote, and
   cost no more than their bytes. No room for it is no reason not to open. */
static loam_status flush_many_segments(struct recovery *recovery)
{
    loam_db *db = recovery->db;
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    size_t count = recovery->tail.extent_count > 0;
    for (size_t i = 0; i < bounds.segment_count; i++)
        count += bounds.segments[i].end > bounds.floor;
    if (count <= OLD_SEGMENTS_MAX && db->restore == NULL) return LOAM_OK;
    const loam_status rc = flush_run(db, FLUSH_ALL);
    return (rc == LOAM_FULL || rc == LOAM_NOMEM) && db->restore == NULL ? LOAM_OK : rc;
}

/* Where the first segment begins that the archive does not have yet. */
static uint64_t first_unarchived(const struct recovery *recovery)
{
    const struct wal_tail *tail = &recovery->tail;
    const struct log_bounds old = catalog_log_bounds(recovery->db->catalog);
    for (size_t i = 0; i < old.segment_count; i++) /* those below the floor are there for feeds */
        if (old.segments[i].end > old.floor &&
            object_id_before(recovery->db->archived, old.segments[i].id))
            return old.segments[i].start;
    for (size_t i = 0; i < tail->extent_count; i++)
        if (object_id_before(recovery->db->archived, tail->extents[i].id))
            return tail->extents[i].start;
    return tail->end;
}

static loam_status take_over(struct recovery *recovery, bool is_new, bool mapped_log)
{
    loam_db *db = recovery->db;
    struct edit edit = {0};
    loam_status rc = wal_rewrite_tail(db->store, &recovery->tail);
    if (rc == LOAM_OK) rc = flush_many_segments(recovery);
    if (rc == LOAM_OK) rc = new_identity(db, is_new);
    if (rc == LOAM_OK) rc = bounds_edit(recovery, &edit);
    if (rc == LOAM_OK) rc = catalog_apply(db->catalog, loam_bytes(edit.bytes.data, edit.bytes.len));
    if (rc == LOAM_OK) rc = begin_log(recovery, mapped_log);
    if (rc == LOAM_OK) rc = manifest_create(db->store, &db->root, db->catalog, &db->manifest);
    if (rc == LOAM_OK) {
        catalog_arm(db->catalog);
        rc = store_list(db->store, delete_leftover, db);
    }
    edit_deinit(&edit);
    return rc;
}

/* Numbers that no writer comes to, and from which it could not go on. */
static loam_status check_numbers(const struct recovery *recovery)
{
    const loam_db *db = recovery->db;
    const char *what = NULL;
    if (db->next_seq > SEQ_MAX / 2 + 1) what = "sequence numbers";
    if (db->next_run > UINT64_MAX / 2) what = "numbers of runs";
    if (db->root.epoch > UINT32_MAX - 2) what = "epochs";
    if (recovery->tail.end > UINT64_MAX / 4) what = "positions of the log";
    if (what == NULL) return LOAM_OK;
    return failed(LOAM_CORRUPT, "%s: its %s leave no room for more", store_path(db->store), what);
}

loam_status db_recover(loam_db *db, bool is_new, bool mapped_log)
{
    const uint64_t since_ns = db_now_ns(db);
    struct recovery recovery = {.db = db};
    loam_status rc = is_new ? make_handles(db) : read_past(&recovery);
    if (rc == LOAM_OK) {
        const uint64_t flushed = highest_flushed(db->catalog);
        db->next_seq = flushed + 1 > recovery.expected_seq ? flushed + 1 : recovery.expected_seq;
        atomic_store(&db->visible, db->next_seq - 1);
        rc = check_numbers(&recovery);
    }
    if (is_new) db->next_coll = 1;
    if (is_new) db->next_run = 1;
    const bool takes_over = rc == LOAM_OK && !db->options.read_only;
    const bool archives = takes_over && db->options.archive != NULL;
    if (takes_over) rc = archive_begin(db);
    if (rc == LOAM_OK && archives) rc = archive_go_on(db, first_unarchived(&recovery));
    /* What is restored goes its own way, with an id of its own. No segment is kept, so nothing has the old one. */
    if (rc == LOAM_OK && takes_over)
        rc = take_over(&recovery, is_new || db->restore != NULL, mapped_log);
    if (rc == LOAM_OK && archives) wal_pin(db->wal); /* for good */
    if (rc == LOAM_OK && recovery.tail.commit_count > 0)
        db_log(db, LOAM_LOG_INFO, "recovery commits=%" PRIu64 " ms=%" PRIu64 " store=\"%s\"",
               recovery.tail.commit_count, (db_now_ns(db) - since_ns) / 1000000,
               store_path(db->store));
    wal_tail_deinit(&recovery.tail);
    return rc;
}
