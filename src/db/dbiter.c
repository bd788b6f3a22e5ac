/*
 * dbiter.c - the public iterator: hides versions, tombstones and what lies outside its range.
 *
 * Role: the outermost iterator, over a merge of memtables and runs of one pinned view, at one sequence.
 * Invariants: (1) forward, `inner` stands on the entry that is shown, and key and value are its bytes. Backward, `inner` stands
 *   before all versions of the key that is shown, because newer versions of a key come after older ones in that direction; key and
 *   value are bytes that inner has left and kept (iter.h), or copies. What is held across a move is copied when it is not kept. (2) A bound is checked before an entry is hidden, so a scan never reads beyond its range.
 *   (3) A failure is sticky and is no end. (4) For a transaction, its own writes are one more input, with sequence numbers above all
 *   others; and `span` encloses every key that was shown or found missing.
 * In the picture: db layer; see record/iter.h for the inner contract.
 */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"
#include "record/merge.h"

#include "base/poison.h"

enum {
    SKIPS_BEFORE_SEEK = 16 /* versions of one key that are stepped over before a seek is cheaper */
};

enum place { PLACE_NOWHERE, PLACE_ON_ENTRY, PLACE_BEYOND_LAST, PLACE_BEFORE_FIRST };

struct loam_iter {
    loam_db *db;
    loam_coll *coll;
    struct view *view;
    struct iter *inner;
    uint64_t seq, seek_seq;     /* seek_seq: no version that may be shown is above it */
    struct reader_clock clock;  /* what has expired by then is not there */
    uint64_t expires_ms;        /* of the entry that is shown */
    struct dbiter_own own;      /* all-zero: not of a transaction */
    struct dbiter_watch *watch; /* NULL: nobody looks on */
    struct dbiter_span span;
    struct cover_source covers;
    loam_buf from, to; /* owned bounds */
    bool has_to, keys_only;
    enum place place;
    bool backward;           /* where inner stands: see invariant 1 */
    bool inner_beyond_front; /* backward only: inner fell off the front */
    loam_status failure;     /* sticky */
    char failure_text[160];
    loam_slice key, value, seen; /* seen: the key whose further versions are skipped */
    loam_buf key_copy, value_copy, seen_copy;
};

/* ---- bounds --------------------------------------------------------------------------------- */

static loam_slice slice_of(const loam_buf *buf)
{
    return loam_bytes(buf->data, buf->len);
}

static loam_status bound_of_prefix(loam_slice prefix, loam_buf *from, loam_buf *to)
{
    loam_status rc = buf_set(from, prefix.data, prefix.len);
    if (rc == LOAM_OK) rc = buf_set(to, prefix.data, prefix.len);
    if (rc == LOAM_OK) to->len = bytes_behind_prefix(to->data, to->len);
    return rc;
}

loam_status dbiter_bounds(const loam_range *range, loam_buf *from, loam_buf *to)
{
    if (range == NULL) return LOAM_OK;
    if (range->prefix.len > 0) return bound_of_prefix(range->prefix, from, to);
    loam_status rc = buf_set(from, range->from.data, range->from.len);
    if (rc == LOAM_OK) rc = buf_set(to, range->to.data, range->to.len);
    return rc;
}

loam_status dbiter_check_range(const loam_db *db, const loam_range *range)
{
    static const uint64_t zeros[4];
    if (range == NULL) return LOAM_OK;
    if ((range->flags & ~(uint32_t)LOAM_KEYS_ONLY) != 0 ||
        memcmp(range->reserved, zeros, sizeof zeros) != 0)
        return failed(LOAM_INVALID,
                      "the range holds flags or fields that this library does not know");
    if (range->prefix.len > 0 && (range->from.len > 0 || range->to.len > 0))
        return failed(LOAM_INVALID, "a range has a prefix, or from and to, and not both");
    if ((range->from.data == NULL && range->from.len > 0) ||
        (range->to.data == NULL && range->to.len > 0) ||
        (range->prefix.data == NULL && range->prefix.len > 0))
        return failed(LOAM_INVALID, "a slice with a length and no data");
    if (range->at != NULL && range->at->db != db)
        return failed(LOAM_INVALID, "a snapshot of another database");
    return LOAM_OK;
}

/* ---- what a transaction reads ---- */

/* The span comes to enclose key. */
static void note_read(loam_iter *it, loam_slice key)
{
    struct dbiter_span *span = &it->span;
    if (it->own.closed == NULL || span->failure < 0) return;
    if (!span->is_begun || bytes_compare(key, slice_of(&span->low)) < 0)
        span->failure = buf_set(&span->low, key.data, key.len);
    if (span->failure == LOAM_OK && !span->is_open &&
        (!span->is_begun || bytes_compare(key, slice_of(&span->high)) > 0))
        span->failure = buf_set(&span->high, key.data, key.len);
    span->is_begun = true;
}

/* The span comes to reach the end of the range. */
static void note_end(loam_iter *it)
{
    if (it->has_to)
        note_read(it, slice_of(&it->to));
    else
        it->span.is_open = true; /* down to where, what is found there says */
}

/* ---- deletions of ranges ---- */

static struct cover ask_cover(const void *ctx, loam_slice key)
{
    const loam_iter *it = ctx;
    struct cover cover = cover_nothing();
    view_meet(it->view, &cover, key, it->seq);
    if (it->own.memtable != NULL) memtable_meet(it->own.memtable, &cover, key, it->own.seq);
    return cover;
}

static bool has_ranges(const loam_iter *it)
{
    return view_has_ranges(it->view) ||
           (it->own.memtable != NULL && memtable_newest_range(it->own.memtable) > 0);
}

static uint64_t newest_of_memtable(const void *memtable)
{
    return memtable_newest_entry(memtable);
}

static loam_status open_memtable(const struct memtable *memtable, const struct cover_source *covers,
                                 struct iter **out)
{
    const loam_status rc = memtable_iter_new(memtable, out);
    if (rc < 0 || covers == NULL) return rc;
    return cover_iter_new(*out, covers, newest_of_memtable, memtable, out);
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* A failure leaves what it is about NULL. */
static loam_status watch_runs(const loam_iter *it, struct iter **inputs)
{
    loam_status rc = LOAM_OK;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; rc == LOAM_OK && i < it->view->version->levels[level].run_count; i++)
            rc = it->watch->around(it->watch, NULL, it->view->version->levels[level].runs[i],
                                   inputs++);
    return rc;
}

static loam_status open_inner(loam_iter *it)
{
    const struct view *view = it->view;
    const unsigned flags = it->keys_only ? TABLE_ITER_KEYS_ONLY : 0;
    const size_t run_count = version_run_count(view->version);
    const struct cover_source *covers = has_ranges(it) ? &it->covers : NULL;
    struct iter **inputs =
        mem_alloc_array(view->memrun_count + run_count + 2, sizeof(struct iter *));
    size_t count = 0;
    loam_status rc = inputs == NULL ? LOAM_NOMEM : LOAM_OK;
    if (rc == LOAM_OK && it->own.memtable != NULL) {
        rc = open_memtable(it->own.memtable, covers, &inputs[count]);
        if (rc == LOAM_OK) count++;
    }
    for (uint32_t i = 0; rc == LOAM_OK && i < view->memrun_count; i++) {
        if (memtable_entry_count(view->memruns[i]->memtable) == 0) continue;
        rc = open_memtable(view->memruns[i]->memtable, covers, &inputs[count]);
        if (rc == LOAM_OK && it->watch != NULL)
            rc = it->watch->around(it->watch, view->memruns[i]->memtable, NULL, &inputs[count]);
        if (rc == LOAM_OK) count++;
    }
    if (rc == LOAM_OK) rc = version_iters(view->version, flags, covers, inputs + count);
    if (rc == LOAM_OK) count += run_count;
    if (rc == LOAM_OK && it->watch != NULL) rc = watch_runs(it, inputs + count - run_count);
    if (rc == LOAM_OK) {
        rc = merge_iter_new(inputs, count, &it->inner);
    } else {
        for (size_t i = 0; i < count; i++)
            iter_close(inputs[i]);
    }
    mem_free(inputs);
    return rc;
}

loam_status dbiter_open(loam_db *db, loam_coll *coll, const loam_range *range,
                        const struct dbiter_own *own, struct dbiter_watch *watch, loam_iter **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = dbiter_check_range(db, range);
    if (rc < 0) return rc;
    loam_iter *it = mem_zalloc(sizeof *it);
    if (it == NULL) return LOAM_NOMEM;
    it->db = db;
    it->watch = watch;
    if (own != NULL) {
        it->own = *own;
        it->own.closed = NULL; /* until it is open */
    }
    atomic_fetch_add(&db->iter_count, 1);
    it->coll = coll;
    it->view = view_acquire(coll);
    it->seq = range != NULL && range->at != NULL ? range->at->seq : atomic_load(&db->visible);
    it->clock.db = db;
    it->clock.ms =
        range != NULL && range->at != NULL ? range->at->clock_ms : expiry_reader_clock_ms(db);
    it->covers = (struct cover_source){ask_cover, it};
    it->seek_seq = it->own.memtable != NULL ? SEQ_MAX : it->seq;
    rc = db_check_there(coll);
    if (rc == LOAM_OK) rc = dbiter_bounds(range, &it->from, &it->to);
    it->has_to = it->to.len > 0;
    it->keys_only = range != NULL && (range->flags & LOAM_KEYS_ONLY) != 0;
    if (rc == LOAM_OK) rc = open_inner(it);
    if (rc < 0) {
        loam_iter_close(it);
        return rc;
    }
    if (own != NULL) it->own.closed = own->closed;
    *out = it;
    return LOAM_OK;
}

struct dbiter_place dbiter_place(const loam_iter *it)
{
    return (struct dbiter_place){it->view, it->seq, &it->clock, it->inner};
}

loam_status loam_iter_open(loam_db *db, loam_coll *coll, const loam_range *range, loam_iter **out)
{
    return dbiter_open(db, coll, range, NULL, NULL, out);
}

void loam_iter_close(loam_iter *it)
{
    if (it == NULL) return;
    loam_db *db = it->db;
    if (it->place == PLACE_ON_ENTRY) note_read(it, it->key);
    iter_close(it->inner);
    if (it->own.closed != NULL) it->own.closed(it->own.ctx, &it->span); /* may free own entries */
    loam_buf_free(&it->span.low);
    loam_buf_free(&it->span.high);
    view_unref(it->view);
    loam_buf_free(&it->from);
    loam_buf_free(&it->to);
    loam_buf_free(&it->key_copy);
    loam_buf_free(&it->value_copy);
    loam_buf_free(&it->seen_copy);
    mem_free(it);
    atomic_fetch_sub(&db->iter_count, 1);
}

loam_slice loam_iter_key(const loam_iter *it)
{
    return it == NULL || it->place != PLACE_ON_ENTRY ? loam_bytes(NULL, 0) : it->key;
}

loam_slice loam_iter_value(const loam_iter *it)
{
    return it == NULL || it->place != PLACE_ON_ENTRY ? loam_bytes(NULL, 0) : it->value;
}

uint64_t loam_iter_expires_ms(const loam_iter *it)
{
    return it == NULL || it->place != PLACE_ON_ENTRY ? 0 : it->expires_ms;
}

/* ---- moving --------------------------------------------------------------------------------- */

static inline loam_status stand_on_entry(loam_iter *it)
{
    if (it->keys_only) it->value = loam_bytes(NULL, 0);
    it->place = PLACE_ON_ENTRY;
    return LOAM_OK;
}

static loam_status stand_beyond(loam_iter *it, enum place place)
{
    it->place = place;
    if (place == PLACE_BEYOND_LAST)
        note_end(it);
    else
        note_read(it, slice_of(&it->from));
    return LOAM_NOTFOUND;
}

static loam_status stick(loam_iter *it, loam_status rc)
{
    it->failure = rc;
    it->place = PLACE_NOWHERE;
    failed_keep(it->failure_text, sizeof it->failure_text);
    return rc;
}

static loam_status begin_move(loam_iter *it)
{
    if (it == NULL) return failed(LOAM_INVALID, "the iterator is NULL");
    if (store_is_child(it->db->store)) return db_check(it->db);
    if (it->failure < 0) return failed(it->failure, "%s", it->failure_text);
    if (it->place == PLACE_ON_ENTRY) note_read(it, it->key);
    return LOAM_OK;
}

/* Makes what is held a copy, if it is not one. */
static loam_status copy_held(loam_slice *held, loam_buf *copy)
{
    if (held->len == 0 || held->data == copy->data) return LOAM_OK;
    const loam_status rc = buf_set(copy, held->data, held->len);
    if (rc == LOAM_OK) *held = slice_of(copy);
    return rc;
}

/* inner's next or prev, after which what is held is still there. */
static loam_status next_keeping_seen(loam_iter *it)
{
    loam_status rc = it->inner->keeps ? LOAM_OK : copy_held(&it->seen, &it->seen_copy);
    return rc < 0 ? rc : it->inner->ops->next(it->inner);
}

static loam_status prev_keeping_entry(loam_iter *it)
{
    loam_status rc = LOAM_OK;
    if (!it->inner->keeps) {
        rc = copy_held(&it->key, &it->key_copy);
        if (rc == LOAM_OK) rc = copy_held(&it->value, &it->value_copy);
    }
    return rc < 0 ? rc : it->inner->ops->prev(it->inner);
}

/* Is a version that was written later, or by another transaction. */
static bool is_hidden(const loam_iter *it, uint64_t seq)
{
    return seq > it->seq && (seq < OWN_SEQ || seq > it->own.seq);
}

/* The highest sequence number below that of a hidden version which may be shown. */
static uint64_t shown_below(const loam_iter *it, uint64_t seq)
{
    return seq >= OWN_SEQ ? it->own.seq : it->seq;
}

/* An operand is joined with what is below it by a look into the view, so inner stays where it is. */
static loam_status join_shown(loam_iter *it, const struct entry *newest)
{
    const struct merge_source source = {it->coll,         it->view,   it->seq,
                                        it->own.memtable, &it->clock, NULL};
    const loam_status rc = merge_read(&source, newest, &it->value_copy);
    if (rc < 0) return stick(it, rc);
    it->value = slice_of(&it->value_copy);
    return stand_on_entry(it);
}

/* Shows it->key, of which a version of this kind is the newest, and it->value as it is stored; not a plain put, which is shown as it
   is. Not inlined: its caller is what every row passes. */
static __attribute__((noinline)) loam_status show_odd(loam_iter *it, uint8_t kind, uint64_t seq)
{
    const struct entry newest = {it->key, it->value, seq, kind};
    it->expires_ms = entry_expires_ms(&newest);
    it->value = entry_value(&newest);
    if (kind == ENTRY_MERGE && !it->keys_only) return join_shown(it, &newest);
    return stand_on_entry(it);
}

static inline loam_status show_newest(loam_iter *it, uint8_t kind, uint64_t seq)
{
    if (kind != ENTRY_PUT) return show_odd(it, kind, seq);
    it->expires_ms = 0;
    return stand_on_entry(it);
}

/* Is the key there, if this is its newest version? */
static inline bool is_shown(loam_iter *it, const struct entry *entry)
{
    return entry->kind == ENTRY_PUT || reader_sees(&it->clock, entry);
}

/* From inner's place on (rc is the answer of the move that brought it there), the first key that is there at seq. With `seen`
   set, versions of that key are passed over. */
static loam_status settle_forward(loam_iter *it, loam_status rc, bool has_seen)
{
    unsigned skips = 0;
    it->backward = false;
    while (rc == LOAM_OK) {
        const struct entry *at = it->inner->at;
        if (it->has_to && bytes_compare(at->key, slice_of(&it->to)) >= 0)
            return stand_beyond(it, PLACE_BEYOND_LAST);
        const bool hidden = is_hidden(it, at->seq) || (has_seen && bytes_equal(at->key, it->seen));
        if (!hidden && is_shown(it, at)) {
            it->key = at->key;
            it->value = at->value;
            return show_newest(it, at->kind, at->seq);
        }
        if (!hidden) { /* a tombstone, or expired: older versions of its key are gone */
            it->seen = at->key;
            has_seen = true;
            skips = 0;
        }
        if (hidden && ++skips > SKIPS_BEFORE_SEEK) {
            const bool behind = has_seen && bytes_equal(at->key, it->seen);
            rc = copy_held(&it->seen, &it->seen_copy);
            if (rc == LOAM_OK) rc = buf_set(&it->key_copy, at->key.data, at->key.len);
            if (rc == LOAM_OK)
                rc = it->inner->ops->seek(it->inner, slice_of(&it->key_copy),
                                          behind ? 0 : shown_below(it, at->seq));
            skips = 0;
        } else {
            rc = next_keeping_seen(it);
        }
    }
    return rc == LOAM_NOTFOUND ? stand_beyond(it, PLACE_BEYOND_LAST) : stick(it, rc);
}

/* Holds key and value of the newest version at seq of the key under inner, and moves inner before the key. *kind is ENTRY_DELETE where
   the key is not there. */
static loam_status take_key_backward(loam_iter *it, uint8_t *kind, uint64_t *seq)
{
    struct iter *inner = it->inner;
    loam_status rc = LOAM_OK;
    it->key = inner->at->key;
    it->value = loam_bytes(NULL, 0);
    *kind = ENTRY_DELETE;
    while (rc == LOAM_OK && bytes_equal(inner->at->key, it->key)) {
        if (!is_hidden(it, inner->at->seq)) {
            *kind = is_shown(it, inner->at) ? inner->at->kind : ENTRY_DELETE;
            *seq = inner->at->seq;
            it->value =
                it->keys_only && *kind == ENTRY_PUT ? loam_bytes(NULL, 0) : inner->at->value;
        }
        rc = prev_keeping_entry(it);
    }
    it->inner_beyond_front = rc == LOAM_NOTFOUND;
    return rc < 0 ? rc : LOAM_OK;
}

/* From inner's place back, the last key that is there at seq. */
static loam_status settle_backward(loam_iter *it, loam_status rc)
{
    it->backward = true;
    it->inner_beyond_front = rc == LOAM_NOTFOUND;
    while (rc == LOAM_OK) {
        uint8_t kind;
        uint64_t seq = 0;
        if (bytes_compare(it->inner->at->key, slice_of(&it->from)) < 0)
            return stand_beyond(it, PLACE_BEFORE_FIRST);
        rc = take_key_backward(it, &kind, &seq);
        if (rc == LOAM_OK && kind != ENTRY_DELETE) return show_newest(it, kind, seq);
        if (rc == LOAM_OK && it->inner_beyond_front) rc = LOAM_NOTFOUND;
    }
    return rc == LOAM_NOTFOUND ? stand_beyond(it, PLACE_BEFORE_FIRST) : stick(it, rc);
}

/* One seek in so many is timed. */
static uint64_t begin_seek(const loam_iter *it)
{
    static _Thread_local uint32_t turn;
    return turn++ % LATENCY_SAMPLED_OF == 0 ? db_now_ns(it->db) : 0;
}

static loam_status end_seek(const loam_iter *it, uint64_t since_ns, loam_status rc)
{
    latencies_note(&it->db->seek_latencies, it->db, since_ns);
    return rc;
}

static loam_status seek_forward(loam_iter *it, loam_slice key)
{
    const uint64_t since_ns = begin_seek(it);
    note_read(it, key);
    const loam_status rc = it->inner->ops->seek(it->inner, key, it->seek_seq);
    return end_seek(it, since_ns, settle_forward(it, rc, false));
}

loam_status loam_iter_first(loam_iter *it)
{
    const loam_status rc = begin_move(it);
    return rc < 0 ? rc : seek_forward(it, slice_of(&it->from));
}

/* Backward from below a bound: all versions of keys < to. */
static loam_status last_below(loam_iter *it)
{
    const uint64_t since_ns = begin_seek(it);
    struct iter *inner = it->inner;
    note_end(it);
    const loam_status rc = it->has_to ? inner->ops->seek_back(inner, slice_of(&it->to), SEQ_MAX)
                                      : inner->ops->last(inner);
    return end_seek(it, since_ns, settle_backward(it, rc));
}

loam_status loam_iter_last(loam_iter *it)
{
    const loam_status rc = begin_move(it);
    return rc < 0 ? rc : last_below(it);
}

loam_status loam_iter_seek(loam_iter *it, loam_slice key)
{
    const loam_status rc = begin_move(it);
    if (rc < 0) return rc;
    if (key.data == NULL && key.len > 0)
        return failed(LOAM_INVALID, "a slice with a length and no data");
    const loam_slice from = slice_of(&it->from);
    return seek_forward(it, bytes_compare(key, from) < 0 ? from : key);
}

loam_status loam_iter_seek_back(loam_iter *it, loam_slice key)
{
    loam_status rc = begin_move(it);
    if (rc < 0) return rc;
    if (key.data == NULL && key.len > 0)
        return failed(LOAM_INVALID, "a slice with a length and no data");
    if (it->has_to && bytes_compare(key, slice_of(&it->to)) >= 0) return last_below(it);
    const uint64_t since_ns = begin_seek(it);
    note_read(it, key);
    rc = settle_backward(it, it->inner->ops->seek_back(it->inner, key, 0));
    return end_seek(it, since_ns, rc);
}

loam_status loam_iter_next(loam_iter *it)
{
    loam_status rc = begin_move(it);
    if (rc < 0) return rc;
    if (it->place == PLACE_BEYOND_LAST) return LOAM_NOTFOUND;
    if (it->place != PLACE_ON_ENTRY) return loam_iter_first(it);
    if (it->backward) { /* inner stands before the key: the first entry behind all its versions */
        rc = copy_held(&it->key, &it->key_copy);
        if (rc < 0) return stick(it, rc);
        return settle_forward(it, it->inner->ops->seek(it->inner, it->key, 0), false);
    }
    it->seen = it->key;
    return settle_forward(it, next_keeping_seen(it), true);
}

loam_status loam_iter_prev(loam_iter *it)
{
    loam_status rc = begin_move(it);
    if (rc < 0) return rc;
    if (it->place == PLACE_BEFORE_FIRST) return LOAM_NOTFOUND;
    if (it->place != PLACE_ON_ENTRY) return loam_iter_last(it);
    struct iter *inner = it->inner;
    if (it->backward) return settle_backward(it, it->inner_beyond_front ? LOAM_NOTFOUND : LOAM_OK);
    rc = copy_held(&it->key, &it->key_copy);
    if (rc < 0) return stick(it, rc);
    do { /* newer versions of the key that is shown */
        rc = inner->ops->prev(inner);
    } while (rc == LOAM_OK && bytes_equal(inner->at->key, it->key));
    return settle_backward(it, rc);
}
