/*
 * reads.c - what a transaction has read, and whether any of it has changed; see reads.h.
 */
#include "db/reads.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#include "base/poison.h"

enum { SLOTS_LEAST = 16, KEYS_FEW = 16 /* are looked through, and not put in order */ };

void reads_deinit(struct reads *reads)
{
    loam_buf_free(&reads->bytes);
    mem_free(reads->keys);
    mem_free(reads->ranges);
    mem_free(reads->slots);
    mem_free(reads->order);
    *reads = (struct reads){0};
}

size_t reads_bytes(const struct reads *reads)
{
    return reads->bytes.len + reads->key_count * (sizeof(struct read_key) + 2 * sizeof(uint32_t)) +
           reads->range_count * sizeof(struct read_range);
}

static loam_slice kept(const struct reads *reads, size_t at, size_t len)
{
    return len == 0 ? loam_bytes("", 0) : loam_bytes((const uint8_t *)reads->bytes.data + at, len);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static size_t first_slot(const struct reads *reads, uint32_t coll_id, uint64_t hash)
{
    return (size_t)(hash ^ coll_id * UINT64_C(0x9e3779b97f4a7c15)) & (reads->slot_count - 1);
}

/* The slot that holds the key, or the empty one where it would be. */
static uint32_t *slot_for(const struct reads *reads, uint32_t coll_id, loam_slice key,
                          uint64_t hash)
{
    for (size_t at = first_slot(reads, coll_id, hash);; at = (at + 1) & (reads->slot_count - 1)) {
        uint32_t *slot = &reads->slots[at];
        if (*slot == 0) return slot;
        const struct read_key *known = &reads->keys[*slot - 1];
        if (known->hash == hash && known->coll->id == coll_id &&
            bytes_equal(kept(reads, known->at, known->len), key))
            return slot;
    }
}

/* Room for one key more, in an array that doubles and a table of slots that stays half empty. */
static loam_status make_room_for_key(struct reads *reads)
{
    if (reads->key_count < reads->key_cap) return LOAM_OK;
    const size_t cap = reads->key_cap == 0 ? SLOTS_LEAST / 2 : reads->key_cap * 2;
    if (cap > UINT32_MAX / 2) return failed(LOAM_TOOBIG, "a transaction that reads too much");
    struct read_key *keys = mem_realloc(reads->keys, cap * sizeof *keys);
    if (keys == NULL) return LOAM_NOMEM;
    reads->keys = keys;
    uint32_t *slots = mem_zalloc(cap * 2 * sizeof *slots);
    if (slots == NULL) return LOAM_NOMEM;
    mem_free(reads->slots);
    reads->slots = slots;
    reads->slot_count = cap * 2;
    reads->key_cap = cap;
    for (size_t i = 0; i < reads->key_count; i++) {
        const struct read_key *key = &keys[i];
        *slot_for(reads, key->coll->id, kept(reads, key->at, key->len), key->hash) =
            (uint32_t)i + 1;
    }
    return LOAM_OK;
}

loam_status reads_add_key(struct reads *reads, struct loam_coll *coll, loam_slice key)
{
    const uint64_t hash = hash_key(key);
    loam_status rc = make_room_for_key(reads);
    if (rc < 0) return rc;
    uint32_t *slot = slot_for(reads, coll->id, key, hash);
    if (*slot != 0) return LOAM_OK;
    const struct read_key fresh = {coll, hash, reads->bytes.len, key.len};
    rc = buf_append(&reads->bytes, key.data, key.len);
    if (rc < 0) return rc;
    reads->keys[reads->key_count++] = fresh;
    *slot = (uint32_t)reads->key_count;
    return LOAM_OK;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

loam_status reads_add_range(struct reads *reads, struct loam_coll *coll, loam_slice from,
                            const loam_slice *to)
{
    if (reads->range_count == reads->range_cap) {
        const size_t cap = reads->range_cap == 0 ? 4 : reads->range_cap * 2;
        struct read_range *grown = mem_realloc(reads->ranges, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        reads->ranges = grown;
        reads->range_cap = cap;
    }
    struct read_range range = {.coll = coll, .from_at = reads->bytes.len, .from_len = from.len};
    loam_status rc = buf_append(&reads->bytes, from.data, from.len);
    if (rc == LOAM_OK && to != NULL) {
        range.has_to = true;
        range.to_at = reads->bytes.len;
        range.to_len = to->len;
        rc = buf_append(&reads->bytes, to->data, to->len);
    }
    if (rc == LOAM_OK) reads->ranges[reads->range_count++] = range;
    return rc;
}

static loam_slice range_from(const struct reads *reads, const struct read_range *range)
{
    return kept(reads, range->from_at, range->from_len);
}

/* Whether key is behind the range. */
static bool is_behind(const struct reads *reads, const struct read_range *range, loam_slice key)
{
    return range->has_to && bytes_compare(key, kept(reads, range->to_at, range->to_len)) > 0;
}

/* ---- without the lane ------------------------------------------------------------------------ */

static bool is_newer(const struct memrun *memrun, uint64_t since)
{
    return memtable_seq_max(memrun->memtable) > since;
}

/* LOAM_CONFLICT when the newest version of a key is newer than since. */
static loam_status check_read_key_in(const struct view *view, const struct reads *reads,
                                     const struct read_key *known, uint64_t since)
{
    const loam_slice key = kept(reads, known->at, known->len);
    struct entry entry;
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (is_newer(view->memruns[i], since) &&
            memtable_get(view->memruns[i]->memtable, key, known->hash, SEQ_MAX, &entry))
            return entry.seq > since ? LOAM_CONFLICT : LOAM_OK;
    return version_newer_key(view->version, key, known->hash, since);
}

static loam_status check_read_key(const struct reads *reads, const struct read_key *known,
                                  loam_db *db, uint64_t since)
{
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    const struct view *view = atomic_load(&known->coll->view);
    loam_status rc = db_check_there(known->coll);
    if (rc == LOAM_OK) rc = check_read_key_in(view, reads, known, since);
    epoch_leave(ticket);
    return rc;
}

static loam_status check_range_in_memtable(const struct reads *reads,
                                           const struct read_range *range,
                                           const struct memtable *memtable, uint64_t since)
{
    const loam_slice to = kept(reads, range->to_at, range->to_len);
    struct iter *iter = NULL;
    if (memtable_ranges_newer_in(memtable, range_from(reads, range), range->has_to ? &to : NULL,
                                 since))
        return LOAM_CONFLICT;
    loam_status rc = memtable_iter_new(memtable, &iter);
    if (rc < 0) return rc;
    rc = iter->ops->seek(iter, range_from(reads, range), SEQ_MAX);
    while (rc == LOAM_OK && !is_behind(reads, range, iter->at->key)) {
        if (iter->at->seq > since) {
            rc = LOAM_CONFLICT;
            break;
        }
        rc = iter->ops->next(iter);
    }
    iter_close(iter);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static loam_status check_range(const struct reads *reads, const struct read_range *range,
                               uint64_t since)
{
    struct view *view = view_acquire(range->coll);
    const loam_slice to = kept(reads, range->to_at, range->to_len);
    loam_status rc = db_check_there(range->coll);
    for (uint32_t i = 0; rc == LOAM_OK && i < view->memrun_count; i++)
        if (is_newer(view->memruns[i], since))
            rc = check_range_in_memtable(reads, range, view->memruns[i]->memtable, since);
    if (rc == LOAM_OK)
        rc = version_newer_in(view->version, range_from(reads, range), range->has_to ? &to : NULL,
                              since);
    view_unref(view);
    return rc;
}

/* Of an ordered key and one of a collection. */
static int compare_ordered(const struct reads *reads, uint32_t at, uint32_t coll_id, loam_slice key)
{
    const struct read_key *known = &reads->keys[at];
    if (known->coll->id != coll_id) return known->coll->id < coll_id ? -1 : 1;
    return bytes_compare(kept(reads, known->at, known->len), key);
}

/* qsort() knows no context. */
struct ordered {
    const struct reads *reads;
    uint32_t at;
};

static int compare_two(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    const struct read_key *key = &y->reads->keys[y->at];
    return compare_ordered(x->reads, x->at, key->coll->id, kept(y->reads, key->at, key->len));
}

static loam_status put_in_order(struct reads *reads)
{
    const size_t count = reads->key_count;
    struct ordered *some = mem_alloc_array(count + 1, sizeof *some);
    uint32_t *order = mem_alloc_array(count + 1, sizeof *order);
    if (some == NULL || order == NULL) {
        mem_free(some);
        mem_free(order);
        return LOAM_NOMEM;
    }
    for (size_t i = 0; i < count; i++)
        some[i] = (struct ordered){reads, (uint32_t)i};
    qsort(some, count, sizeof *some, compare_two);
    for (size_t i = 0; i < count; i++)
        order[i] = some[i].at;
    mem_free(some);
    mem_free(reads->order);
    reads->order = order;
    reads->order_count = count;
    return LOAM_OK;
}

loam_status reads_check(struct reads *reads, loam_db *db, uint64_t since)
{
    loam_status rc = reads->wants_order ? put_in_order(reads) : LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < reads->key_count; i++)
        rc = check_read_key(reads, &reads->keys[i], db, since);
    for (size_t i = 0; rc == LOAM_OK && i < reads->range_count; i++)
        rc = check_range(reads, &reads->ranges[i], since);
    return rc;
}

/* ---- in the lane ----------------------------------------------------------------------------- */

static bool is_one_of_few_in(const struct reads *reads, uint32_t coll_id, loam_slice from,
                             loam_slice to)
{
    for (size_t i = 0; i < reads->key_count; i++) {
        const loam_slice key = kept(reads, reads->keys[i].at, reads->keys[i].len);
        if (reads->keys[i].coll->id == coll_id && bytes_compare(key, from) >= 0 &&
            (to.len == 0 || bytes_compare(key, to) < 0))
            return true;
    }
    return false;
}

/* Whether one of the keys that were read is in [from, to). */
static bool is_key_read_in(const struct reads *reads, uint32_t coll_id, loam_slice from,
                           loam_slice to)
{
    if (reads->order_count < reads->key_count) return is_one_of_few_in(reads, coll_id, from, to);
    size_t first = 0, count = reads->order_count;
    while (count > 0) {
        const size_t half = count / 2;
        if (compare_ordered(reads, reads->order[first + half], coll_id, from) < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    if (first == reads->order_count) return false;
    const struct read_key *known = &reads->keys[reads->order[first]];
    return known->coll->id == coll_id &&
           (to.len == 0 || bytes_compare(kept(reads, known->at, known->len), to) < 0);
}

static bool is_range_read(const struct reads *reads, uint32_t coll_id, loam_slice from,
                          loam_slice to)
{
    if (is_key_read_in(reads, coll_id, from, to)) return true;
    for (size_t i = 0; i < reads->range_count; i++) {
        const struct read_range *range = &reads->ranges[i];
        const bool ends_before = to.len > 0 && bytes_compare(to, range_from(reads, range)) <= 0;
        if (range->coll->id == coll_id && !ends_before && !is_behind(reads, range, from))
            return true;
    }
    return false;
}

static bool is_read(void *ctx, uint32_t coll_id, const struct entry *entry)
{
    struct reads *reads = ctx;
    const loam_slice key = entry->key;
    if (entry->kind == ENTRY_DELETE_RANGE) {
        if (reads->order_count == reads->key_count || reads->key_count <= KEYS_FEW)
            return is_range_read(reads, coll_id, key, entry->value);
        reads->wants_order = true; /* it is asked again */
        return false;
    }
    if (reads->key_count > 0 && *slot_for(reads, coll_id, key, hash_key(key)) != 0) return true;
    for (size_t i = 0; i < reads->range_count; i++) {
        const struct read_range *range = &reads->ranges[i];
        if (range->coll->id == coll_id && bytes_compare(key, range_from(reads, range)) >= 0 &&
            !is_behind(reads, range, key))
            return true;
    }
    return false;
}

loam_status reads_check_recent(struct reads *reads, loam_db *db, uint64_t since)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < reads->key_count; i++)
        rc = db_check_there(reads->keys[i].coll);
    for (size_t i = 0; rc == LOAM_OK && i < reads->range_count; i++)
        rc = db_check_there(reads->ranges[i].coll);
    if (rc < 0) return rc;
    reads->wants_order = false;
    rc = recent_check(&db->recent, since, is_read, reads);
    return rc == LOAM_OK && reads->wants_order ? LOAM_NOTFOUND : rc;
}
