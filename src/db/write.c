/*
 * write.c - the commit lane: from a call to bytes in the log, entries in memtables, and visibility; see db.h.
 *
 *   throttle -> lane { room in memtables and log -> log -> memtables } -> wait for the log -> visible
 *
 * Everything that can be refused (memory, disk, limits, dropped collections) is refused before the record is in the log. The lane is
 * free while a commit waits for its sync: the next ones are logged and inserted meanwhile, and share the next sync. A commit, durable itself
 * or not, becomes visible when every durable one up to it is on the medium: `durable_end` is where the last such one ends.
 */

#include <inttypes.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/batches.h"
#include "db/merges.h"
#include "db/reads.h"
#include "record/batch.h"

#include "base/poison.h"

enum {
    SLEEP_NS_MIN = 50 * 1000, /* shorter delays add up until they are worth a system call */
    DELAY_UNIT_BYTES = 1024,  /* of loam_coll.delay_ns */
    ENTRIES_AHEAD = 6,        /* a miss takes about as long as adding so many */
    ROOM_TRIES_MAX = 1 << 20
};

/* ---- before the lane ------------------------------------------------------------------------ */

/* A delay in proportion to the bytes written, from the collection's own debt. */
static void throttle(loam_db *db, const struct commit *commit)
{
    static _Thread_local uint64_t owed_ns;
    const uint64_t unit_ns = atomic_load_explicit(&commit->debtor->delay_ns, memory_order_relaxed);
    if (unit_ns == 0) return;
    owed_ns += unit_ns * (commit->payload_bytes + 32) / DELAY_UNIT_BYTES;
    if (owed_ns < SLEEP_NS_MIN) return;
    db->sys.calls->sleep_ns(db->sys.ctx, owed_ns);
    atomic_fetch_add_explicit(&db->stall_total_ns, owed_ns, memory_order_relaxed);
    if (commit->trace != NULL) commit->trace->throttled_ns = owed_ns;
    owed_ns = 0;
}

/* Waits, outside the lane, until a flush gave memory or log back. */
static loam_status wait_for_flush(loam_db *db, const char *reason)
{
    const uint64_t since = db_now_ns(db);
    atomic_store(&db->stall_reason, reason);
    loam_status rc = jobs_wait_for_flush(db, jobs_want_flush(db), reason);
    atomic_store(&db->stall_reason, NULL);
    const uint64_t passed = db_now_ns(db) - since;
    atomic_fetch_add_explicit(&db->stall_total_ns, passed, memory_order_relaxed);
    if (passed > atomic_load(&db->stall_max_ns)) atomic_store(&db->stall_max_ns, passed);
    db_log(db, LOAM_LOG_INFO, "stall ms=%" PRIu64 " reason=\"%s\"", passed / 1000000, reason);
    if (rc == LOAM_OK) rc = db_writable(db);
    return rc;
}

/* ---- room in memtables ---------------------------------------------------------------------- */

/* What all memtables may take: half of the budget. */
static bool memory_is_full(loam_db *db)
{
    return atomic_load_explicit(&db->memtable_bytes, memory_order_relaxed) >
           db->options.memory_bytes / 2;
}

/* Makes the collection's active memtable one with room. *wait is set to the reason for which the caller must let the lane go
   and wait. Lane held. */
static loam_status memtable_room(loam_db *db, loam_coll *coll, uint32_t entry_count,
                                 uint64_t payload_bytes, const char **wait)
{
    struct memrun *memrun = coll->active;
    loam_status rc = LOAM_OK;
    if (coll->is_gated) {
        *wait = "an ingest into the collection is being published";
        return LOAM_OK;
    }
    if (memrun == NULL) {
        rc = view_add_memtable(coll);
    } else if (memrun_is_full(db, memrun)) {
        if (atomic_load(&coll->memrun_count) >= MEMRUNS_MAX) {
            *wait = "as many memtables as a collection may have wait to be flushed";
            return LOAM_OK;
        }
        rc = view_add_memtable(coll);
        if (rc == LOAM_OK) jobs_want_flush(db);
    }
    if (rc < 0) return rc;
    return memrun_reserve(db, coll->active, entry_count, payload_bytes);
}

/* Memory or log beyond their bounds: freezes what helps most and says what to wait for. Lane held. */
static loam_status relieve(loam_db *db, const char **wait)
{
    if (memory_is_full(db)) {
        const loam_status rc = view_freeze_large(db);
        if (rc < 0) return rc;
        if (memory_is_full(db)) *wait = "memtables take half of memory_bytes";
    } else if (db_log_is_long(db)) {
        *wait = "the log is as long as it may be"; /* the flush freezes those that pin it */
    }
    return LOAM_OK;
}

static loam_status room_for_entries(loam_db *db, const struct commit *commit, const char **wait)
{
    if (commit->record_kind == RECORD_CHANGE) return LOAM_OK;
    if (commit->coll != NULL)
        return memtable_room(db, commit->coll, 1, entry_room_bytes(&commit->entry), wait);
    return batch_make_room(db, commit, wait, memtable_room);
}

static loam_status room_for(loam_db *db, const struct commit *commit, const char **wait)
{
    loam_status rc = LOAM_OK;
    *wait = NULL;
    if (memory_is_full(db) || db_log_is_long(db)) rc = relieve(db, wait);
    if (rc == LOAM_OK && *wait == NULL) rc = room_for_entries(db, commit, wait);
    if (rc == LOAM_OK && *wait == NULL) rc = wal_reserve(db->wal, commit->body_bytes);
    return rc;
}

/* ---- the lane ------------------------------------------------------------------------------- */

struct on_its_way { /* an entry whose leaf was asked for */
    struct entry entry;
    loam_coll *coll;
    uint64_t hash;
    struct memtable_near near;
};

void commit_note_range(struct loam_coll *coll, const struct entry *entry)
{
    _Atomic bool *pending = &coll->db->ranges_pending;
    if (atomic_load_explicit(pending, memory_order_relaxed)) return;
    const struct range range = {entry->key, entry->value, entry->seq};
    struct view *view = view_acquire(coll);
    if (version_wants_range(view->version, &range))
        atomic_store_explicit(pending, true, memory_order_relaxed);
    view_unref(view);
}

static void add_batch(loam_db *db, loam_slice entries, uint64_t seq, uint64_t from, uint64_t to)
{
    struct on_its_way ring[ENTRIES_AHEAD];
    struct batch_reader reader = batch_reader_over(entries);
    uint64_t taken = 0, added = 0;
    loam_coll *coll = NULL;
    uint32_t coll_id;
    for (bool more = true; more || added < taken;) {
        if (!more || taken - added == ENTRIES_AHEAD) {
            const struct on_its_way *oldest = &ring[added++ % ENTRIES_AHEAD];
            memrun_add(oldest->coll, &oldest->entry, oldest->hash, oldest->near, from, to);
            continue;
        }
        struct on_its_way *next = &ring[taken % ENTRIES_AHEAD];
        const loam_status rc = batch_next(&reader, &coll_id, &next->entry);
        check(rc >= 0); /* we have made it */
        more = rc == LOAM_OK;
        if (!more) continue;
        if (coll == NULL || coll->id != coll_id) coll = coll_by_id(db, coll_id);
        next->entry.seq = seq + taken++;
        recent_add(&db->recent, coll_id, &next->entry);
        next->coll = coll;
        if (next->entry.kind == ENTRY_DELETE_RANGE) {
            commit_note_range(coll, &next->entry);
            continue;
        }
        next->hash = hash_key(next->entry.key);
        next->near = memtable_approach(coll->active->memtable, next->entry.key, next->hash);
    }
}

/* What the lane alone writes needs no atomic addition. */
static void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static void count_commit(loam_db *db, const struct commit *commit)
{
    count_up(&db->put_count, commit->put_count);
    count_up(&db->delete_count, commit->entry_count - commit->put_count);
    count_up(&db->user_written_bytes, commit->payload_bytes);
}

loam_status commit_locked(loam_db *db, const struct commit *commit, loam_durability how,
                          uint64_t *seq, uint64_t *wait_position)
{
    const bool durable = how == LOAM_DURABLE_COMMIT;
    const uint64_t from = wal_end(db->wal);
    const struct record_spec spec = {.kind = commit->record_kind,
                                     .flags = commit->caller_index > 0 ? RECORD_CALLER_INDEX : 0,
                                     .seq = db->next_seq,
                                     .time_ms =
                                         atomic_load_explicit(&db->clock_ms, memory_order_relaxed)};
    struct memtable_near near = {0};
    uint64_t end;
    if (commit->coll != NULL && commit->entry.kind != ENTRY_DELETE_RANGE)
        near = memtable_approach(commit->coll->active->memtable, commit->entry.key, commit->hash);
    const loam_status rc = wal_append(db->wal, &spec, commit->pieces, commit->piece_count,
                                      durable ? LOG_DURABLE : LOG_VOLATILE, &end);
    if (rc < 0) return db_fence(db, rc);
    *seq = db->next_seq;
    if (commit->record_kind == RECORD_CHANGE) db->change_position = from;
    if (commit->coll != NULL) {
        struct entry entry = commit->entry;
        entry.seq = *seq;
        recent_add(&db->recent, commit->coll->id, &entry);
        if (entry.kind == ENTRY_DELETE_RANGE) commit_note_range(commit->coll, &entry);
        memrun_add(commit->coll, &entry, commit->hash, near, from, end);
    } else if (commit->record_kind == RECORD_COMMIT) {
        add_batch(db, commit->entries, *seq, from, end);
    }
    if (commit->record_kind == RECORD_COMMIT) count_commit(db, commit);
    if (commit->trace != NULL) {
        commit->trace->from = from;
        commit->trace->end = end;
        commit->trace->logged_ns = db_now_ns(db);
    }
    db->next_seq += commit->entry_count;
    if (commit->caller_index > 0)
        db->caller_index = (struct caller_index){commit->caller_index, db->next_seq - 1, end};
    if (durable) db->durable_end = end;
    *wait_position = db->durable_end;
    return LOAM_OK;
}

loam_status commit_publish(loam_db *db, uint64_t last_seq, uint64_t wait_position)
{
    if (wal_synced(db->wal) < wait_position) {
        const loam_status rc = wal_wait(db->wal, wait_position);
        if (rc < 0) return db_fence(db, rc);
    }
    uint64_t seen = atomic_load_explicit(&db->visible, memory_order_relaxed);
    while (seen < last_seq && !atomic_compare_exchange_weak(&db->visible, &seen, last_seq)) {
    }
    /* After that: who waits counts himself in and then looks at visible, in this order. */
    if (atomic_load(&db->feed_waiters) > 0) feeds_wake(db);
    return LOAM_OK;
}

/* One try under the lane; *wait says what to wait for when it did not commit. */
static loam_status try_commit(loam_db *db, const struct commit *commit, loam_durability how,
                              uint64_t *last_seq, uint64_t *wait_position, const char **wait)
{
    uint64_t seq = 0;
    mutex_lock(&db->lane);
    loam_status rc = db_writable(db);
    if (rc == LOAM_OK && commit->coll != NULL) rc = db_check_there(commit->coll);
    if (rc == LOAM_OK) rc = room_for(db, commit, wait);
    if (rc == LOAM_IOERR) rc = db_fence(db, rc); /* loam.h: no write answers it and goes on */
    const bool is_ready = rc == LOAM_OK && *wait == NULL;
    if (is_ready && commit->reads != NULL)
        rc = reads_check_recent(commit->reads, db, commit->since);
    if (is_ready && rc == LOAM_OK) rc = commit_locked(db, commit, how, &seq, wait_position);
    mutex_unlock(&db->lane);
    *last_seq = seq + commit->entry_count - 1;
    return rc;
}

static loam_status commit_and_wait(loam_db *db, const struct commit *commit, loam_durability how,
                                   uint64_t *last)
{
    uint64_t last_seq = 0, wait_position = 0;
    const char *wait = NULL;
    if (how == LOAM_DURABLE_DEFAULT) how = db->options.durability;
    loam_status rc;
    for (unsigned tries = 0;; tries++) {
        rc = try_commit(db, commit, how, &last_seq, &wait_position, &wait);
        if (rc != LOAM_OK) return rc;
        if (wait == NULL) break;
        if (tries == ROOM_TRIES_MAX) return failed(LOAM_NOMEM, "%s, and no flush helps", wait);
        rc = wait_for_flush(db, wait);
        if (commit->trace != NULL) commit->trace->wait = wait;
        if (rc < 0) return rc;
    }
    if (how == LOAM_DURABLE_COMMIT) store_note_commit(db->store);
    if (how == LOAM_DURABLE_PERIODIC) atomic_store(&db->periodic_pending, true);
    if (wal_wants_tending(db->wal) || arena_pool_wants_tending(db->arenas)) jobs_wake_tender(db);
    if (last != NULL) *last = last_seq;
    return commit_publish(db, last_seq, wait_position);
}

static loam_status write_commit(loam_db *db, const struct commit *commit, loam_durability how,
                                uint64_t *last)
{
    static _Thread_local uint32_t turn;
    const uint64_t since_ns = turn++ % LATENCY_SAMPLED_OF == 0 ? db_now_ns(db) : 0;
    throttle(db, commit);
    const loam_status rc = commit_and_wait(db, commit, how, last);
    latencies_note(&db->write_latencies, db, since_ns);
    return rc;
}

/* ---- for transactions ---- */

loam_status commit_remember(loam_db *db)
{
    mutex_lock(&db->lane);
    const loam_status rc = recent_begin(&db->recent, db->next_seq);
    mutex_unlock(&db->lane);
    return rc;
}

void commit_forget(loam_db *db)
{
    mutex_lock(&db->lane);
    recent_end(&db->recent);
    mutex_unlock(&db->lane);
}

uint64_t commit_last_seq(loam_db *db)
{
    mutex_lock(&db->lane);
    const uint64_t seq = db->next_seq - 1;
    mutex_unlock(&db->lane);
    return seq;
}

/* ---- one entry ------------------------------------------------------------------------------ */

loam_status commit_entry(loam_db *db, loam_coll *coll, const struct entry *entry,
                         const struct commit_wish *wish)
{
    static const struct commit_wish none;
    if (wish == NULL) wish = &none;
    if (entry->kind == ENTRY_DELETE_RANGE) {
        const loam_status rc = ranges_room(coll, entry->key.len + entry->value.len);
        if (rc < 0) return rc;
    }
    uint8_t head[1 + BATCH_HEAD_BYTES_MAX];
    const loam_slice key = entry->key, value = entry->value;
    head[0] = 1; /* the entry count, as a varint */
    const size_t head_bytes =
        1 + batch_head_put(head + 1, entry->kind, coll->id, key.len, value.len);
    const struct sys_piece pieces[3] = {
        {head, head_bytes}, {key.data, key.len}, {value.data, value.len}};
    const struct commit commit = {.pieces = pieces,
                                  .piece_count = 3,
                                  .body_bytes = head_bytes + key.len + value.len,
                                  .record_kind = RECORD_COMMIT,
                                  .entry_count = 1,
                                  .put_count = entry_is_put(entry->kind),
                                  .payload_bytes = key.len + value.len,
                                  .debtor = coll,
                                  .coll = coll,
                                  .entry = *entry,
                                  .hash = hash_key(key),
                                  .reads = wish->reads,
                                  .since = wish->since,
                                  .trace = wish->trace};
    return write_commit(db, &commit, LOAM_DURABLE_DEFAULT, wish->seq);
}

loam_status write_entry(loam_db *db, loam_coll *coll, struct entry *entry, uint64_t ttl_ms,
                        const struct commit_wish *wish)
{
    loam_buf stamped = {0};
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = db_check_entry(entry);
    if (rc == LOAM_OK && entry->kind == ENTRY_MERGE) rc = merge_check(coll, operand_is_odd(entry));
    if (rc == LOAM_OK) rc = expiry_stamp(coll, ttl_ms, entry, &stamped);
    if (rc == LOAM_OK) rc = commit_entry(db, coll, entry, wish);
    if (stamped.data != NULL) loam_buf_free(&stamped);
    return rc;
}

loam_status loam_put(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value)
{
    struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return write_entry(db, coll, &entry, TTL_OF_COLL, NULL);
}

loam_status loam_put_ttl(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value,
                         uint64_t ttl_ms)
{
    struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return write_entry(db, coll, &entry, ttl_capped(ttl_ms), NULL);
}

loam_status loam_delete(loam_db *db, loam_coll *coll, loam_slice key)
{
    struct entry entry = {.key = key, .kind = ENTRY_DELETE};
    return write_entry(db, coll, &entry, 0, NULL);
}

loam_status loam_merge(loam_db *db, loam_coll *coll, loam_slice key, loam_slice operand)
{
    struct entry entry = {.key = key, .value = operand, .kind = ENTRY_MERGE};
    return write_entry(db, coll, &entry, 0, NULL);
}

/* And still all before it is durable, if that is asked. */
static loam_status commit_nothing(loam_db *db, loam_durability how)
{
    return how == LOAM_DURABLE_COMMIT ? loam_sync(db) : db_writable(db);
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* No key is that long: what is behind the bound is behind all keys that begin with its first bytes. False: nothing is. */
static bool cut_bound(loam_buf *bound)
{
    if (bound->len <= KEY_BYTES_MAX) return true;
    bound->len = bytes_behind_prefix(bound->data, KEY_BYTES_MAX);
    return bound->len > 0;
}

loam_status range_entry(const loam_db *db, const loam_range *range, loam_buf *bounds,
                        struct entry *entry, bool *is_empty)
{
    loam_status rc = dbiter_check_range(db, range);
    if (rc == LOAM_OK && range != NULL && (range->at != NULL || range->flags != 0))
        rc = failed(LOAM_INVALID, "a range to be deleted has no snapshot and no flags");
    if (rc == LOAM_OK) rc = dbiter_bounds(range, &bounds[0], &bounds[1]);
    if (rc < 0) return rc;
    *is_empty = !cut_bound(&bounds[0]);
    (void)cut_bound(&bounds[1]);
    *entry = (struct entry){.key = loam_bytes(bounds[0].data, bounds[0].len),
                            .value = loam_bytes(bounds[1].data, bounds[1].len),
                            .kind = ENTRY_DELETE_RANGE};
    *is_empty |= range_is_empty(entry->key, entry->value);
    return LOAM_OK;
}

loam_status loam_delete_range(loam_db *db, loam_coll *coll, const loam_range *range)
{
    loam_buf bounds[2] = {{0}};
    struct entry entry;
    bool is_empty;
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = range_entry(db, range, bounds, &entry, &is_empty);
    if (rc == LOAM_OK && !is_empty)
        rc = commit_entry(db, coll, &entry, NULL);
    else if (rc == LOAM_OK)
        rc = commit_nothing(db, db->options.durability);
    loam_buf_free(&bounds[0]);
    loam_buf_free(&bounds[1]);
    return rc;
}

/* ---- batches -------------------------------------------------------------------------------- */

/* A batch as the log is to hold it. */
static loam_status commit_stamped(loam_db *db, const struct batch_facts *facts, loam_durability how,
                                  struct reads *reads, uint64_t since)
{
    uint8_t head[COMMIT_HEAD_BYTES_MAX];
    if (facts->entry_count == 0 && facts->caller_index > 0)
        return failed(LOAM_INVALID, "a batch with an index and no entry that it could stand with");
    if (facts->entry_count == 0) return commit_nothing(db, how);
    const size_t head_bytes = commit_head_put(head, facts->entry_count, facts->caller_index);
    const struct sys_piece pieces[2] = {{head, head_bytes}, {facts->bytes.data, facts->bytes.len}};
    const struct commit commit = {.pieces = pieces,
                                  .piece_count = 2,
                                  .body_bytes = head_bytes + facts->bytes.len,
                                  .record_kind = RECORD_COMMIT,
                                  .caller_index = facts->caller_index,
                                  .entry_count = facts->entry_count,
                                  .put_count = facts->put_count,
                                  .payload_bytes = facts->payload_bytes,
                                  .debtor = facts->first_coll == NULL ? db->default_coll
                                                                      : facts->first_coll,
                                  .entries = facts->bytes,
                                  .batch = facts->batch,
                                  .reads = reads,
                                  .since = since};
    return write_commit(db, &commit, how, NULL);
}

loam_status commit_batch(loam_db *db, const loam_batch *b, loam_durability how, struct reads *reads,
                         uint64_t since)
{
    struct batch_facts facts = {.entry_count = 0};
    loam_batch *stamped = NULL;
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = batch_facts(b, db, &facts);
    if (rc == LOAM_OK) rc = batch_check(b, db);
    if (rc == LOAM_OK && (unsigned)how > LOAM_DURABLE_PROCESS)
        rc = failed(LOAM_INVALID, "durability %d is none", (int)how);
    if (rc == LOAM_OK) rc = batch_stamp(b, db, &stamped);
    if (rc == LOAM_OK && stamped != NULL) rc = batch_facts(stamped, db, &facts);
    if (rc == LOAM_OK && how == LOAM_DURABLE_DEFAULT) how = db->options.durability;
    if (rc == LOAM_OK) rc = commit_stamped(db, &facts, how, reads, since);
    loam_batch_free(stamped);
    return rc;
}

loam_status loam_write(loam_db *db, const loam_batch *b, loam_durability how)
{
    return commit_batch(db, b, how, NULL, 0);
}

loam_status loam_sync(loam_db *db)
{
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    rc = wal_wait(db->wal, wal_end(db->wal));
    return rc < 0 ? db_fence(db, rc) : rc;
}
