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

struct share { /* one collection's part of a batch */
    uint32_t coll_id, entry_count;
    uint64_t room_bytes, range_bytes; /* room: in a memtable */
    bool has_merge, has_odd;          /* odd: operand_is_odd() */
};

struct loam_batch {
    loam_buf bytes;
    uint32_t entry_count, put_count;
    uint64_t payload_bytes;
    loam_coll *first_coll;
    bool is_foreign; /* collections of two databases */
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

/* The share of a collection, made when it is new. A linear search: batches name few collections. */
static struct share *batch_share(loam_batch *b, uint32_t coll_id)
{
    if (b->share_count > 0 && b->shares[b->share_last].coll_id == coll_id)
        return &b->shares[b->share_last];
    size_t at = 0;
    while (at < b->share_count && b->shares[at].coll_id != coll_id)
        at++;
    if (at == b->share_cap) {
        const size_t cap = b->share_cap == 0 ? 4 : b->share_cap * 2;
        struct share *grown = mem_realloc(b->shares, cap * sizeof *grown);
        if (grown == NULL) return NULL;
        b->shares = grown;
        b->share_cap = cap;
    }
    if (at == b->share_count) {
        b->shares[at] = (struct share){.coll_id = coll_id};
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

static loam_status append_entry(loam_batch *b, uint32_t coll_id, const struct entry *entry)
{
    const uint8_t kind = entry->kind;
    const loam_slice key = entry->key, value = entry->value;
    uint8_t head[BATCH_HEAD_BYTES_MAX];
    const size_t head_bytes = batch_head_put(head, kind, coll_id, key.len, value.len);
    const uint64_t total = (uint64_t)b->bytes.len + head_bytes + key.len + value.len;
    if (total > BATCH_BYTES_MAX)
        return failed(LOAM_TOOBIG, "a batch of more than 2 GiB; write it in several");
    struct share *share = batch_share(b, coll_id);
    if (share == NULL) return LOAM_NOMEM;
    if (kind == ENTRY_DELETE_RANGE && share->range_bytes + key.len + value.len > RANGES_BYTES_MOST)
        return failed(LOAM_TOOBIG, "a batch with more than 64 MiB of ranges to be deleted");
    loam_status rc = buf_reserve(&b->bytes, (size_t)total);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, head, head_bytes);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, key.data, key.len);
    if (rc == LOAM_OK) rc = buf_append(&b->bytes, value.data, value.len);
    if (rc < 0) return rc;
    share->entry_count++;
    share->room_bytes += entry_room_bytes(entry);
    share->has_merge |= kind == ENTRY_MERGE;
    share->has_odd |= operand_is_odd(entry);
    if (kind == ENTRY_DELETE_RANGE) share->range_bytes += key.len + value.len;
    b->entry_count++;
    b->put_count += entry_is_put(kind);
    b->payload_bytes += key.len + value.len;
    return LOAM_OK;
}

loam_status batch_add(loam_batch *b, loam_coll *coll, const struct entry *entry)
{
    if (b == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    loam_status rc = db_check_entry(entry);
    if (rc == LOAM_OK) rc = append_entry(b, coll == NULL ? 0 : coll->id, entry);
    if (rc < 0) return remember_failure(b, rc);
    if (coll != NULL && b->first_coll == NULL) b->first_coll = coll;
    if (coll != NULL && coll->db != b->first_coll->db) b->is_foreign = true;
    return LOAM_OK;
}

loam_status loam_batch_put(loam_batch *b, loam_coll *coll, loam_slice key, loam_slice value)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return batch_add(b, coll, &entry);
}

loam_status loam_batch_delete(loam_batch *b, loam_coll *coll, loam_slice key)
{
    const struct entry entry = {.key = key, .kind = ENTRY_DELETE};
    return batch_add(b, coll, &entry);
}

loam_status loam_batch_merge(loam_batch *b, loam_coll *coll, loam_slice key, loam_slice operand)
{
    const struct entry entry = {.key = key, .value = operand, .kind = ENTRY_MERGE};
    return batch_add(b, coll, &entry);
}

loam_status loam_batch_delete_range(loam_batch *b, loam_coll *coll, const loam_range *range)
{
    loam_buf bounds[2] = {{0}};
    struct entry entry;
    bool is_empty;
    if (b == NULL) return failed(LOAM_INVALID, "the batch is NULL");
    loam_status rc = range_entry(NULL, range, bounds, &entry, &is_empty);
    if (rc < 0) (void)remember_failure(b, rc);
    if (rc == LOAM_OK && !is_empty) rc = batch_add(b, coll, &entry);
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
                                  .first_coll = batch->first_coll,
                                  .batch = batch};
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
