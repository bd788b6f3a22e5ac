/*
 * feed.c - the change feed: what was committed, in its order, as it becomes visible; and the caller's log index; see loam.h.
 *
 * Role: makes events of the records that a wal_cursor finds, and waits for the next one.
 * Invariants: (1) an event is told only when its whole commit is visible, so it never stands in what the lane has not finished.
 *   (2) Writers never wait: what a feed is too slow for goes, and it says so. (3) After a failure the next call tries the same again;
 *   nothing is passed over.
 * In the picture: db layer, on wal/wal_cursor.h. Who waits is woken by commit_publish().
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "base/status.h"
#include "db/db.h"
#include "wal/wal_cursor.h"

#include "base/poison.h"

struct coll_naming { /* the name that a collection has where the feed stands */
    uint32_t id;
    char *name;
};

struct loam_feed {
    loam_db *db;
    struct wal_cursor cursor;
    bool is_placed;    /* the cursor stands at what follows, or before it */
    uint64_t seq;      /* of the last event, or what it began behind */
    uint64_t next_seq; /* of the commit that follows; 0: not known yet */
    uint64_t oldest;   /* not 0: it fell behind, and this is the oldest that there was */
    struct wal_commit commit;
    struct commit_body body;   /* of a commit: what is left of it */
    uint32_t left;             /* entries, or 1 change */
    struct coll_naming *names; /* by id */
    size_t name_count, name_cap;
    loam_coll_options options;
    char operator_name[OPERATOR_NAME_BYTES_MAX + 1];
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The first with at least this id. */
static size_t find_naming(const loam_feed *feed, uint32_t id)
{
    size_t low = 0, high = feed->name_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (feed->names[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Copies it; *name becomes the copy. */
static loam_status note_name(loam_feed *feed, uint32_t id, loam_slice text, const char **name)
{
    const size_t at = find_naming(feed, id);
    const bool is_known = at < feed->name_count && feed->names[at].id == id;
    if (!is_known && feed->name_count == feed->name_cap) {
        const size_t cap = feed->name_cap == 0 ? 8 : feed->name_cap * 2;
        struct coll_naming *grown = mem_realloc(feed->names, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        feed->names = grown;
        feed->name_cap = cap;
    }
    char *copy = mem_zalloc(text.len + 1);
    if (copy == NULL) return LOAM_NOMEM;
    memcpy(copy, text.data, text.len);
    if (is_known) {
        mem_free(feed->names[at].name);
    } else {
        memmove(feed->names + at + 1, feed->names + at,
                (feed->name_count++ - at) * sizeof *feed->names);
    }
    feed->names[at] = (struct coll_naming){id, copy};
    *name = copy;
    return LOAM_OK;
}

/* NULL: what it was called then is not known. */
static loam_status tell_name(loam_feed *feed, uint32_t id, uint64_t seq, const char **name)
{
    char present[COLL_NAME_ROOM];
    uint64_t since;
    const size_t at = find_naming(feed, id);
    *name = NULL;
    if (at < feed->name_count && feed->names[at].id == id) {
        *name = feed->names[at].name;
        return LOAM_OK;
    }
    if (!coll_name_since(feed->db, id, present, &since) || since > seq) return LOAM_OK;
    return note_name(feed, id, loam_str(present), name);
}

/* ---- events --------------------------------------------------------------------------------- */

static loam_status is_damaged(const struct wal_commit *commit, const char *what)
{
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s", commit->name, commit->offset, what);
}

static loam_status tell_entry(loam_feed *feed, loam_event *event)
{
    static const uint8_t kinds[] = {[ENTRY_PUT] = LOAM_EVENT_PUT,
                                    [ENTRY_DELETE] = LOAM_EVENT_DELETE,
                                    [ENTRY_DELETE_RANGE] = LOAM_EVENT_DELETE_RANGE,
                                    [ENTRY_MERGE] = LOAM_EVENT_MERGE,
                                    [ENTRY_PUT_EXPIRING] = LOAM_EVENT_PUT};
    struct batch_reader reader = feed->body.entries;
    struct entry entry;
    if (batch_next(&reader, &event->coll_id, &entry) != LOAM_OK)
        return is_damaged(&feed->commit, "its entries do not parse");
    if (event->ends_commit && reader.at != reader.end)
        return is_damaged(&feed->commit, "more entries than its count");
    const loam_status rc = tell_name(feed, event->coll_id, event->seq, &event->coll_name);
    if (rc < 0) return rc;
    feed->body.entries = reader;
    event->kind = kinds[entry.kind];
    event->caller_index = feed->body.caller_index;
    event->key = entry.key;
    event->value = entry_value(&entry);
    event->expires_ms = entry_expires_ms(&entry);
    return LOAM_OK;
}

static const loam_coll_options *tell_options(loam_feed *feed, const struct change *change)
{
    const loam_slice name = change->merge_operator;
    feed->options = loam_coll_options_default();
    feed->options.compression = (loam_compression)change->compression;
    feed->options.ttl_ms = change->ttl_ms;
    if (name.len == 0) return &feed->options;
    memcpy(feed->operator_name, name.data, name.len);
    feed->operator_name[name.len] = '\0';
    feed->options.merge_operator = feed->operator_name;
    return &feed->options;
}

static loam_status tell_change(loam_feed *feed, loam_event *event)
{
    struct change change, more;
    loam_status rc = db_read_change(&feed->commit, &change, &more);
    if (rc < 0) return rc;
    event->coll_id = change.coll;
    if (change.tag == CHANGE_COLL_CREATE || change.tag == CHANGE_COLL_OPTIONS)
        event->options = tell_options(feed, more.tag == CHANGE_COLL_OPTIONS ? &more : &change);
    if (change.tag == CHANGE_COLL_CLONE) {
        event->source_id = change.source;
        event->source_seq = change.seq;
    }
    if (change.tag == CHANGE_INGEST) {
        event->key = more.meta.smallest;
        event->value = more.meta.largest;
    }
    if (change.tag == CHANGE_COLL_DROP || change.tag == CHANGE_COLL_OPTIONS ||
        change.tag == CHANGE_INGEST) {
        event->kind = change.tag == CHANGE_COLL_DROP ? LOAM_EVENT_DROP
                      : change.tag == CHANGE_INGEST  ? LOAM_EVENT_INGEST
                                                     : LOAM_EVENT_OPTIONS;
        return tell_name(feed, change.coll, event->seq, &event->coll_name);
    }
    event->kind = change.tag == CHANGE_COLL_RENAME  ? LOAM_EVENT_RENAME
                  : change.tag == CHANGE_COLL_CLONE ? LOAM_EVENT_CLONE
                                                    : LOAM_EVENT_CREATE;
    return note_name(feed, change.coll, change.name, &event->coll_name);
}

/* ---- commits -------------------------------------------------------------------------------- */

/* Goes to what follows the last event; LOAM_CONFLICT: that is gone. */
static loam_status seek_place(loam_feed *feed)
{
    loam_db *db = feed->db;
    uint64_t seq = feed->seq + 1;
    mutex_lock(&db->lane);
    const struct wal_place end = {wal_end(db->wal), db->next_seq};
    mutex_unlock(&db->lane);
    const loam_status rc = wal_cursor_seek(&feed->cursor, end, &seq);
    feed->is_placed = rc == LOAM_OK;
    feed->next_seq = 0;
    if (rc == LOAM_CONFLICT) feed->oldest = seq;
    return rc;
}

/* Waits until something behind the last event is visible; false: the time has passed. */
static bool await_visible(loam_feed *feed, uint32_t timeout_ms)
{
    loam_db *db = feed->db;
    bool is_there = atomic_load(&db->visible) > feed->seq;
    if (is_there || timeout_ms == 0) return is_there;
    const uint64_t most = UINT64_C(1000000) * timeout_ms, since = db_now_ns(db);
    mutex_lock(&db->feeds);
    atomic_fetch_add(&db->feed_waiters, 1);
    while (!(is_there = atomic_load(&db->visible) > feed->seq)) {
        const uint64_t passed = db_now_ns(db) - since;
        if (passed >= most || !cond_wait_ns(&db->feeds_shown, &db->feeds, most - passed)) break;
    }
    atomic_fetch_sub(&db->feed_waiters, 1);
    mutex_unlock(&db->feeds);
    return is_there || atomic_load(&db->visible) > feed->seq;
}

void feeds_wake(loam_db *db)
{
    mutex_lock(&db->feeds);
    cond_broadcast(&db->feeds_shown);
    mutex_unlock(&db->feeds);
}

/* What a commit is made of. *entry_count: 1, of a change. */
static loam_status open_commit(loam_feed *feed, uint32_t *entry_count)
{
    const struct wal_commit *commit = &feed->commit;
    loam_status rc = LOAM_OK;
    *entry_count = 1;
    if (feed->next_seq != 0 ? commit->seq != feed->next_seq : commit->seq > feed->seq + 1)
        return is_damaged(commit, "its sequence number does not follow the one before");
    if (commit->kind == RECORD_COMMIT) {
        rc = db_open_commit(commit, &feed->body);
        *entry_count = feed->body.entry_count;
    }
    return rc;
}

static loam_status next_commit(loam_feed *feed)
{
    uint32_t entry_count;
    loam_status rc;
    do {
        rc = feed->is_placed ? LOAM_OK : seek_place(feed);
        if (rc != LOAM_OK) return rc;
        rc = wal_cursor_next(&feed->cursor, &feed->commit);
        feed->is_placed = rc != LOAM_CONFLICT;
    } while (rc == LOAM_CONFLICT);
    if (rc < 0) return rc;
    rc = open_commit(feed, &entry_count);
    if (rc < 0) { /* the same again next time */
        feed->cursor.position = feed->commit.position;
        return rc;
    }
    feed->next_seq = feed->commit.seq + entry_count;
    feed->left = feed->next_seq > feed->seq + 1 ? entry_count : 0;
    return LOAM_OK;
}

/* The next event, wanted or not. */
static loam_status next_event(loam_feed *feed, loam_event *event)
{
    *event = (loam_event){.struct_size = sizeof *event,
                          .seq = feed->next_seq - feed->left,
                          .time_ms = feed->commit.time_ms,
                          .ends_commit = feed->left == 1};
    const loam_status rc =
        feed->commit.kind == RECORD_CHANGE ? tell_change(feed, event) : tell_entry(feed, event);
    if (rc == LOAM_OK) feed->left--;
    return rc;
}

static loam_status go_on(loam_feed *feed, uint32_t timeout_ms, loam_event *event)
{
    loam_status rc = LOAM_OK;
    do {
        while (rc == LOAM_OK && feed->left == 0)
            rc = await_visible(feed, timeout_ms) ? next_commit(feed) : LOAM_NOTFOUND;
        if (rc == LOAM_OK) rc = next_event(feed, event);
    } while (rc == LOAM_OK && event->seq <= feed->seq);
    if (rc == LOAM_OK) feed->seq = event->seq;
    return rc;
}

/* ---- calls ---------------------------------------------------------------------------------- */

loam_status loam_feed_open(loam_db *db, uint64_t since_seq, loam_feed **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_status rc = db_check(db);
    if (rc < 0) return rc;
    if (db->wal == NULL)
        return failed(LOAM_READONLY,
                      "%s was opened read-only; a feed needs a store that is written",
                      store_path(db->store));
    const uint64_t visible = atomic_load(&db->visible);
    if (since_seq == UINT64_MAX) since_seq = visible;
    if (since_seq > visible)
        return failed(LOAM_INVALID,
                      "there is no sequence number %" PRIu64 " yet, the newest is %" PRIu64
                      "; if there once was, it was lost with the power",
                      since_seq, visible);
    loam_feed *feed = mem_zalloc(sizeof *feed);
    if (feed == NULL) return LOAM_NOMEM;
    feed->db = db;
    feed->seq = since_seq;
    wal_cursor_open(db->wal, db->store, &feed->cursor);
    atomic_fetch_add(&db->feed_count, 1);
    rc = seek_place(feed);
    if (rc < 0) {
        loam_feed_close(feed);
        return rc;
    }
    *out = feed; /* if it is behind already, the first call says so */
    return LOAM_OK;
}

loam_status loam_feed_next(loam_feed *feed, uint32_t timeout_ms, loam_event *out)
{
    loam_event event = {.struct_size = sizeof event};
    if (feed == NULL) return failed(LOAM_INVALID, "the feed is NULL");
    loam_status rc = sized_check(out);
    if (rc == LOAM_OK) rc = db_check(feed->db);
    if (rc < 0) return rc;
    if (feed->oldest == 0) rc = go_on(feed, timeout_ms, &event);
    if (feed->oldest != 0) {
        event = (loam_event){.struct_size = sizeof event, .seq = feed->oldest};
        (void)failed(LOAM_CONFLICT,
                     "the log holds nothing before sequence number %" PRIu64
                     " any more; begin anew, or open the store with more feed_bytes",
                     feed->oldest);
        rc = LOAM_CONFLICT;
    }
    if (rc != LOAM_OK && rc != LOAM_CONFLICT) event = (loam_event){.struct_size = sizeof event};
    sized_give(out, &event, sizeof event);
    return rc;
}

void loam_feed_close(loam_feed *feed)
{
    if (feed == NULL) return;
    wal_cursor_close(&feed->cursor);
    atomic_fetch_sub(&feed->db->feed_count, 1);
    for (size_t i = 0; i < feed->name_count; i++)
        mem_free(feed->names[i].name);
    mem_free(feed->names);
    mem_free(feed);
}

/* ---- the caller's log index ------------------------------------------------------------------ */

/* *wait_position: what it takes for it to be visible. */
static struct caller_index newest_index(loam_db *db, uint64_t *wait_position)
{
    mutex_lock(&db->lane);
    const struct caller_index newest = db->caller_index;
    *wait_position = db->durable_end;
    mutex_unlock(&db->lane);
    return newest;
}

/* Where the newest commit that has one is not visible yet, this waits for it as its writer does. */
loam_status loam_index(loam_db *db, uint64_t *index)
{
    uint64_t wait_position;
    if (index == NULL) return failed(LOAM_INVALID, "index is NULL");
    *index = 0;
    loam_status rc = db_check(db);
    if (rc < 0) return rc;
    const struct caller_index newest = newest_index(db, &wait_position);
    if (newest.seq > atomic_load(&db->visible)) rc = commit_publish(db, newest.seq, wait_position);
    if (rc == LOAM_OK) *index = newest.index;
    return rc;
}

loam_status feed_index_to_edit(loam_db *db, struct edit *edit)
{
    uint64_t wait_position;
    const struct caller_index newest = newest_index(db, &wait_position);
    const struct change change = {
        .tag = CHANGE_CALLER_INDEX, .caller_index = newest.index, .seq = newest.seq};
    if (newest.seq <= catalog_counters(db->catalog).caller_index_seq) return LOAM_OK;
    if (newest.end > 0) { /* an edit may not know of what the log can still lose */
        const loam_status rc = commit_publish(db, newest.seq, newest.end);
        if (rc < 0) return rc;
    }
    return edit_add(edit, &change);
}
