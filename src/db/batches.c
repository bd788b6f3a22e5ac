/*
 * batches.c - the public batch; see batches.h.
 */
#include "db/batches.h"

#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"
#include "record/batch.h"

#include "base/poison.h"

#define BATCH_BYTES_MAX (UINT64_C(1) << 31)

/* In a batch that is not committed, what an entry begins with that expires may be a ttl: with this bit. */
#define EXPIRY_IS_TTL (UINT64_C(1) << 63)

struct share {       /* one collection's part of a batch */
    loam_coll *coll; /* NULL: "default" */
    uint32_t coll_id, entry_count;
    uint64_t room_bytes, range_bytes; /* room: in a memtable */
    bool has_merge, has_odd;          /* odd: operand_is_odd() */
};

struct loam_batch {
    loam_buf bytes;
    uint32_t entry_count, put_count;
    uint64_t payload_bytes, caller_index;
    loam_coll *first_coll;
    bool is_foreign; /* collections of two databases */
    bool has_ttls;   /* of its own: entries that a commit changes */
    struct share *shares;
    size_t share_count, share_cap, share_last; /* last: the one that was used last */
    loam_status failed_rc;                     /* of an add; reported by loam_write() too */
    char failed_text[128];
};

loam_batch *loam_batch_new(void)
{
    return mem_zalloc(sizeof(loam_batch));
}

void loam_batch_free(loam_batch *b)
{
    if (b == NULL) return;
    loam_buf_free(&b->bytes);
    mem_free(b->shares);
    mem_free(b);
}

void loam_batch_clear(loam_batch *b)
{
    if (b == NULL) return;
    const loam_batch empty = {.bytes = {.data = b->bytes.data, .cap = b->bytes.cap},
                              .shares = b->shares,
                              .share_cap = b->share_cap};
    *b = empty;
}

/* A linear search: batches name few collections. share_count: it has none. */
static size_t find_share(const loam_batch *b, uint32_t coll_id)
{
    size_t at = b->share_last;
    if (at < b->share_count && b->shares[at].coll_id == coll_id) return at;
    at = 0;
    while (at < b->share_count && b->shares[at].coll_id != coll_id)
        at++;
    return at;
}

/* The share of a collection, made when it is new. */
static struct share *batch_share(loam_batch *b, loam_coll *coll)
{
    const uint32_t coll_id = coll == NULL ? 0 : coll->id;
    const size_t at = find_share(b, coll_id);
    if (at == b->share_cap) {
        const size_t cap = b->share_cap == 0 ? 4 : b->share_cap * 2;
        struct share *grown = mem_realloc(b->shares, cap * sizeof *grown);
        if (grown == NULL) return NULL;
        b->shares = grown;
        b->share_cap = cap;
    }
    if (at == b->share_count) {
        b->shares[at] = (struct share){.coll = coll, .coll_id = coll_id};
        b->share_count++;
    }
    b->share_last = at;
    return &b->shares[at];
}

static loam_status remember_failure(loam_batch *b, loam_status rc)
{
    if (b->failed_rc == LOAM_OK) {
        b->failed_rc = rc;
        failed_keep(b->failed_text, sizeof b->failed_text);
    }
    return rc;
}

/* `first` stands before the value: of an entry that expires, what it begins with, if the value does not have it. */
static loam_status append_entry(loam_batch *b, loam_coll *coll, const struct entry *entry,
                                loam_slice first)
{
    uint8_t head[BATCH_HEAD_BYTES_MAX];
    const bool is_range = entry->kind == ENTRY_DELETE_RANGE;
    const loam_slice key = entry->key, value = entry->value;
    const size_t payload = key.len + first.len + value.len;
    struct share *share = batch_share(b, coll);
    if (share == NULL) return LOAM_NOMEM;
    const size_t head_bytes =
        batch_head_put(head, entry->kind, share->coll_id, key.len, first.len + value.len);
    const uint64_t total = (uint64_t)b->bytes.len + head_bytes + payload;
    if (total > BATCH_BYTES_MAX)
        return failed(LOAM_TOOBIG, "a batch of more than 2 GiB; write it in several");
    if (is_range && share->range_bytes + payload > RANGES_BYTES_MOST)
        return failed(LOAM_TOOBIG, "a batch with more than 64 MiB of ranges to be deleted");
    loam_status rc = buf_reserve(&b->bytes, (size_t)total);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, head, head_bytes);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, key.data, key.len);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, first.data, first.len);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, value.data, value.len);
    if (rc < 0) return rc;
    share->entry_count++;
    share->room_bytes += entry_room_bytes(entry) + first.len;
    share->has_merge |= entry->kind == ENTRY_MERGE;
    share->has_odd |= operand_is_odd(entry);
    if (is_range) share->range_bytes += payload;
    b->entry_count++;
    b->put_count += entry_is_put(entry->kind);
    b->payload_bytes += payload;
    return LOAM_OK;
}

/* A put becomes one that expires, at that moment or after a ttl. */
static loam_status append_expiring(loam_batch *b, loam_coll *coll, const struct entry *put,
                                   uint64_t at)
{
    uint8_t stamp[EXPIRY_BYTES];
    put_u64(stamp, at);
    const struct entry entry = {.key = put->key, .value = put->value, .kind = ENTRY_PUT_EXPIRING};
    return append_entry(b, coll, &entry, loam_bytes(stamp, sizeof stamp));
}

loam_status batch_add(loam_batch *b, loam_coll *coll, const struct entry *entry, uint64_t ttl_ms)
{
    if (b == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    const bool has_ttl = entry->kind == ENTRY_PUT && ttl_ms != TTL_OF_COLL;
    const uint64_t ttl = ttl_ms < EXPIRY_IS_TTL ? ttl_ms : EXPIRY_IS_TTL - 1;
    loam_status rc = db_check_entry(entry);
    if (rc == LOAM_OK)
        rc = has_ttl ? append_expiring(b, coll, entry, EXPIRY_IS_TTL | ttl)
                     : append_entry(b, coll, entry, loam_bytes(NULL, 0));
    if (rc < 0) return remember_failure(b, rc);
    if (coll != NULL && b->first_coll == NULL) b->first_coll = coll;
    if (coll != NULL && coll->db != b->first_coll->db) b->is_foreign = true;
    b->has_ttls |= has_ttl || entry->kind == ENTRY_PUT_EXPIRING;
    return LOAM_OK;
}

loam_status loam_batch_put(loam_batch *b, loam_coll *coll, loam_slice key, loam_slice value)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return batch_add(b, coll, &entry, TTL_OF_COLL);
}

loam_status loam_batch_put_ttl(loam_batch *b, loam_coll *coll, loam_slice key, loam_slice value,
                               uint64_t ttl_ms)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return batch_add(b, coll, &entry, ttl_capped(ttl_ms));
}

loam_status loam_batch_delete(loam_batch *b, loam_coll *coll, loam_slice key)
{
    const struct entry entry = {.key = key, .kind = ENTRY_DELETE};
    return batch_add(b, coll, &entry, 0);
}

loam_status loam_batch_merge(loam_batch *b, loam_coll *coll, loam_slice key, loam_slice operand)
{
    const struct entry entry = {.key = key, .value = operand, .kind = ENTRY_MERGE};
    return batch_add(b, coll, &entry, 0);
}

loam_status loam_batch_delete_range(loam_batch *b, loam_coll *coll, const loam_range *range)
{
    loam_buf bounds[2] = {{0}};
    struct entry entry;
    bool is_empty;
    if (b == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    loam_status rc = range_entry(NULL, range, bounds, &entry, &is_empty);
    if (rc < 0) (void)remember_failure(b, rc);
    if (rc == LOAM_OK && !is_empty) rc = batch_add(b, coll, &entry, 0);
    loam_buf_free(&bounds[0]);
    loam_buf_free(&bounds[1]);
    return rc;
}

loam_slice batch_entries(const loam_batch *batch)
{
    return loam_bytes(batch->bytes.data, batch->bytes.len);
}

loam_status batch_facts(const loam_batch *batch, const loam_db *db, struct batch_facts *facts)
{
    if (batch == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    if (batch->failed_rc < 0)
        return failed(batch->failed_rc, "an add to this batch failed: %s", batch->failed_text);
    if (batch->is_foreign || (batch->first_coll != NULL && batch->first_coll->db != db))
        return failed(LOAM_INVALID, "the batch names a collection of another database");
    *facts = (struct batch_facts){.bytes = loam_bytes(batch->bytes.data, batch->bytes.len),
                                  .entry_count = batch->entry_count,
                                  .put_count = batch->put_count,
                                  .payload_bytes = batch->payload_bytes,
                                  .caller_index = batch->caller_index,
                                  .first_coll = batch->first_coll,
                                  .batch = batch};
    return LOAM_OK;
}

loam_status loam_batch_set_index(loam_batch *b, uint64_t index)
{
    if (b == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    if (index == 0) return failed(LOAM_INVALID, "index 0 stands for none; begin with 1");
    b->caller_index = index;
    return LOAM_OK;
}

/* ---- expiries -------------------------------------------------------------------------------- */

static const loam_coll *coll_of(const struct share *share, const loam_db *db)
{
    return share->coll != NULL ? share->coll : db->default_coll;
}

static bool wants_stamps(const loam_batch *b, const loam_db *db)
{
    bool wants = b->has_ttls;
    for (size_t i = 0; i < b->share_count && !wants; i++)
        wants = atomic_load_explicit(&coll_of(&b->shares[i], db)->ttl_ms, memory_order_relaxed) > 0;
    return wants;
}

static loam_status stamp_entry(loam_batch *to, const struct share *share, const loam_coll *coll,
                               struct entry entry)
{
    uint64_t at = entry_expires_ms(&entry), ttl = TTL_OF_COLL;
    if ((at & EXPIRY_IS_TTL) != 0) {
        ttl = at & ~EXPIRY_IS_TTL;
        entry.value = entry_value(&entry);
        entry.kind = ENTRY_PUT;
    }
    if (entry.kind == ENTRY_PUT_EXPIRING) expiry_expect(coll->db); /* a copy, from a repair */
    at = entry.kind == ENTRY_PUT ? expiry_of_ttl(coll, ttl) : 0;
    return at > 0 ? append_expiring(to, share->coll, &entry, at)
                  : append_entry(to, share->coll, &entry, loam_bytes(NULL, 0));
}

loam_status batch_stamp(const loam_batch *b, const loam_db *db, loam_batch **out)
{
    struct batch_reader reader = batch_reader_over(batch_entries(b));
    struct entry entry;
    uint32_t coll_id;
    *out = NULL;
    if (!wants_stamps(b, db)) return LOAM_OK;
    loam_batch *stamped = loam_batch_new();
    loam_status rc = stamped == NULL ? LOAM_NOMEM : LOAM_OK;
    while (rc == LOAM_OK && (rc = batch_next(&reader, &coll_id, &entry)) == LOAM_OK) {
        const struct share *share = &b->shares[find_share(b, coll_id)];
        rc = stamp_entry(stamped, share, coll_of(share, db), entry);
    }
    if (rc < 0) {
        loam_batch_free(stamped);
        return rc;
    }
    stamped->first_coll = b->first_coll;
    stamped->caller_index = b->caller_index;
    *out = stamped;
    return LOAM_OK;
}

loam_status batch_check(const loam_batch *batch, loam_db *db)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < batch->share_count; i++) {
        const struct share *share = &batch->shares[i];
        if (share->range_bytes == 0 && !share->has_merge) continue;
        mutex_lock(&db->lane);
        loam_coll *coll = coll_by_id(db, share->coll_id);
        mutex_unlock(&db->lane);
        if (coll == NULL) continue; /* is refused later */
        if (share->range_bytes > 0) rc = ranges_room(coll, share->range_bytes);
        if (rc == LOAM_OK && share->has_merge) rc = merge_check(coll, share->has_odd);
    }
    return rc;
}

loam_status batch_make_room(loam_db *db, const struct commit *commit, const char **wait,
                            loam_status (*make_room)(loam_db *db, loam_coll *coll,
                                                     uint32_t entry_count, uint64_t payload_bytes,
                                                     const char **wait))
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && *wait == NULL && i < commit->batch->share_count; i++) {
        const struct share *share = &commit->batch->shares[i];
        loam_coll *coll = coll_by_id(db, share->coll_id);
        if (coll == NULL)
            return failed(LOAM_MISUSE, "the batch names a collection that has been dropped");
        rc = db_check_there(coll);
        if (rc == LOAM_OK) rc = make_room(db, coll, share->entry_count, share->room_bytes, wait);
    }
    return rc;
}
