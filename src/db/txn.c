/*
 * txn.c - transactions: a snapshot, a batch, and what was read.
 *
 * Role: loam_txn_*. Writes go to a batch, which will be the body of the log record, and to a memtable per collection, in which
 *   the transaction finds them again. Reads are remembered (reads.h).
 *
 *   commit:  lane [ remember commits from here on ] -> reads_check() -> lane [ reads_check_recent() -> as any batch ]
 *
 * Invariants: (1) own entry n has the sequence number OWN_SEQ + n in own memtables, above every committed one. (2) Nothing is read
 *   from disk in the lane. (3) The snapshot is open until close, so that the newest version of a key tells whether it was
 *   written since.
 * In the picture: db layer; on snapshot.c, batches.c, dbiter.c, reads.c; write.c commits.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "db/batches.h"
#include "db/merges.h"
#include "db/reads.h"
#include "record/batch.h"

#include "base/poison.h"

enum {
    BYTES_SHARE = 16,   /* of memory_bytes that a transaction may take */
    ATTEMPTS_MAX = 8,   /* at validating before more commits come than are remembered */
    OWN_HINT_BYTES = 0, /* own memtables are small */
};

struct own { /* what was written to a collection */
    loam_coll *coll;
    struct memtable *memtable;
};

struct loam_txn {
    loam_db *db;
    loam_snapshot *snap;
    loam_batch *batch;
    struct own *owns;
    size_t own_count, own_cap;
    uint64_t entry_count; /* written, ever: of own sequence numbers */
    uint64_t written_bytes;
    struct reads reads;
    size_t *savepoints; /* how long the batch was */
    size_t savepoint_count, savepoint_cap;
    uint32_t iter_count;
    loam_status failure;     /* to remember what was read: it cannot commit */
    bool is_over, is_closed; /* is_closed: the last iterator frees it */
};

/* ---- life ------------------------------------------------------------------------------------ */

static void free_owns(struct own *owns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memtable_unref(owns[i].memtable);
    mem_free(owns);
}

static void free_txn(loam_txn *txn)
{
    free_owns(txn->owns, txn->own_count);
    loam_batch_free(txn->batch);
    reads_deinit(&txn->reads);
    mem_free(txn->savepoints);
    loam_snapshot_close(txn->snap);
    mem_free(txn);
}

void loam_txn_close(loam_txn *txn)
{
    if (txn == NULL) return;
    txn->is_closed = true;
    if (txn->iter_count == 0) free_txn(txn);
}

loam_status loam_txn_begin(loam_db *db, loam_txn **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_txn *txn = mem_zalloc(sizeof *txn);
    if (txn == NULL) return LOAM_NOMEM;
    txn->db = db;
    loam_status rc = loam_snapshot_open(db, &txn->snap);
    if (rc == LOAM_OK) txn->batch = loam_batch_new();
    if (rc == LOAM_OK && txn->batch == NULL) rc = LOAM_NOMEM;
    if (rc < 0) {
        free_txn(txn);
        return rc;
    }
    *out = txn;
    return LOAM_OK;
}

/* What every call asks first; *coll becomes a collection. */
static loam_status check_txn(loam_txn *txn, loam_coll **coll)
{
    if (txn == NULL) return failed(LOAM_INVALID, "the transaction is NULL");
    const loam_status rc = coll != NULL ? db_check_coll(txn->db, coll) : db_check(txn->db);
    if (rc < 0) return rc;
    if (txn->is_over) return failed(LOAM_MISUSE, "the transaction is over");
    if (txn->failure < 0) return failed(txn->failure, "what it has read could not be remembered");
    return LOAM_OK;
}

static loam_status check_size(const loam_txn *txn, uint64_t more_bytes)
{
    const uint64_t most = txn->db->options.memory_bytes / BYTES_SHARE;
    if (txn->written_bytes + reads_bytes(&txn->reads) + more_bytes <= most) return LOAM_OK;
    return failed(LOAM_TOOBIG, "a transaction of more than 1/%d of memory_bytes", BYTES_SHARE);
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct own *own_of(const loam_txn *txn, const loam_coll *coll)
{
    for (size_t i = 0; i < txn->own_count; i++)
        if (txn->owns[i].coll == coll) return &txn->owns[i];
    return NULL;
}

static struct own *own_for(loam_txn *txn, loam_coll *coll)
{
    struct own *own = own_of(txn, coll);
    if (own != NULL) return own;
    if (txn->own_count == txn->own_cap) {
        const size_t cap = txn->own_cap == 0 ? 4 : txn->own_cap * 2;
        struct own *grown = mem_realloc(txn->owns, cap * sizeof *grown);
        if (grown == NULL) return NULL;
        txn->owns = grown;
        txn->own_cap = cap;
    }
    struct memtable *memtable = memtable_new(txn->db->arenas, OWN_HINT_BYTES);
    if (memtable == NULL) return NULL;
    own = &txn->owns[txn->own_count++];
    *own = (struct own){coll, memtable};
    return own;
}

/* The batch comes last: a failure leaves an own entry that has a sequence number of nobody, which no read asks for. When a put
   expires is known when it commits: until then it does not. */
static loam_status write_own(loam_txn *txn, loam_coll *coll, const struct entry *entry,
                             uint64_t ttl_ms)
{
    const uint64_t hash = hash_key(entry->key);
    const size_t bytes = entry->key.len + entry->value.len;
    struct own *own = own_for(txn, coll);
    if (own == NULL) return LOAM_NOMEM;
    loam_status rc = memtable_reserve(own->memtable, 1, entry_room_bytes(entry));
    if (rc == LOAM_OK) rc = batch_add(txn->batch, coll, entry, ttl_ms);
    if (rc < 0) return rc;
    struct entry own_entry = *entry;
    own_entry.value = entry_value(entry);
    own_entry.seq = OWN_SEQ + ++txn->entry_count;
    if (entry->kind == ENTRY_PUT_EXPIRING) own_entry.kind = ENTRY_PUT;
    merge_add(coll, own->memtable, &own_entry, hash, (struct memtable_near){0});
    txn->written_bytes += 2 * bytes + BATCH_HEAD_BYTES_MAX;
    return LOAM_OK;
}

static loam_status write_checked(loam_txn *txn, loam_coll *coll, const struct entry *entry,
                                 uint64_t ttl_ms)
{
    loam_status rc = check_txn(txn, &coll);
    if (rc == LOAM_OK) rc = db_writable(txn->db);
    if (rc == LOAM_OK) rc = db_check_entry(entry);
    if (rc == LOAM_OK && entry->kind == ENTRY_MERGE) rc = merge_check(coll, operand_is_odd(entry));
    if (rc == LOAM_OK) rc = check_size(txn, entry->key.len + entry->value.len);
    return rc < 0 ? rc : write_own(txn, coll, entry, ttl_ms);
}

loam_status loam_txn_put(loam_txn *txn, loam_coll *coll, loam_slice key, loam_slice value)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return write_checked(txn, coll, &entry, TTL_OF_COLL);
}

loam_status loam_txn_put_ttl(loam_txn *txn, loam_coll *coll, loam_slice key, loam_slice value,
                             uint64_t ttl_ms)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return write_checked(txn, coll, &entry, ttl_capped(ttl_ms));
}

loam_status loam_txn_delete(loam_txn *txn, loam_coll *coll, loam_slice key)
{
    const struct entry entry = {.key = key, .kind = ENTRY_DELETE};
    return write_checked(txn, coll, &entry, 0);
}

loam_status loam_txn_merge(loam_txn *txn, loam_coll *coll, loam_slice key, loam_slice operand)
{
    const struct entry entry = {.key = key, .value = operand, .kind = ENTRY_MERGE};
    return write_checked(txn, coll, &entry, 0);
}

loam_status loam_txn_delete_range(loam_txn *txn, loam_coll *coll, const loam_range *range)
{
    loam_buf bounds[2] = {{0}};
    struct entry entry;
    bool is_empty;
    loam_status rc = check_txn(txn, &coll);
    if (rc == LOAM_OK) rc = range_entry(txn->db, range, bounds, &entry, &is_empty);
    if (rc == LOAM_OK && !is_empty) rc = write_checked(txn, coll, &entry, 0);
    loam_buf_free(&bounds[0]);
    loam_buf_free(&bounds[1]);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Own operands, joined with what is in the store. */
static loam_status read_onto(const loam_txn *txn, const struct own *own, const struct entry *newest,
                             loam_buf *value)
{
    struct view *view = view_acquire(own->coll);
    struct reader_clock clock = {txn->db, txn->snap->clock_ms};
    const struct merge_source source = {own->coll,     view,   txn->snap->seq,
                                        own->memtable, &clock, NULL};
    loam_status rc = db_check_there(own->coll);
    if (rc == LOAM_OK) rc = merge_read(&source, newest, value);
    view_unref(view);
    return rc;
}

loam_status loam_txn_get(loam_txn *txn, loam_coll *coll, loam_slice key, loam_buf *value)
{
    struct entry entry;
    loam_status rc = check_txn(txn, &coll);
    if (rc < 0) return rc;
    if (key.data == NULL && key.len > 0)
        return failed(LOAM_INVALID, "a slice with a length and no data");
    if (key.len > KEY_BYTES_MAX) return LOAM_NOTFOUND;
    const struct own *own = own_of(txn, coll);
    const bool is_own = own != NULL && memtable_get(own->memtable, key, hash_key(key),
                                                    OWN_SEQ + txn->entry_count, &entry);
    if (is_own && entry.kind == ENTRY_DELETE) return LOAM_NOTFOUND;
    if (is_own && value == NULL) return LOAM_OK;
    if (is_own && entry.kind == ENTRY_PUT) return buf_set(value, entry.value.data, entry.value.len);
    rc = check_size(txn, key.len);
    if (rc == LOAM_OK) rc = reads_add_key(&txn->reads, coll, key);
    if (rc < 0) return rc;
    return is_own ? read_onto(txn, own, &entry, value)
                  : read_entry(txn->db, coll, txn->snap, key, value);
}

struct txn_iter { /* of an open iterator: what to do when it closes */
    loam_txn *txn;
    loam_coll *coll;
};

static void iter_closed(void *ctx, const struct dbiter_span *span)
{
    struct txn_iter *iter = ctx;
    loam_txn *txn = iter->txn;
    const loam_slice low = loam_bytes(span->low.data, span->low.len);
    const loam_slice high = loam_bytes(span->high.data, span->high.len);
    loam_status rc = span->failure;
    if (rc == LOAM_OK && span->is_begun)
        rc = reads_add_range(&txn->reads, iter->coll, low, span->is_open ? NULL : &high);
    if (rc < 0) txn->failure = rc;
    mem_free(iter);
    if (--txn->iter_count == 0 && txn->is_closed) free_txn(txn);
}

loam_status loam_txn_iter_open(loam_txn *txn, loam_coll *coll, const loam_range *range,
                               loam_iter **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_status rc = check_txn(txn, &coll);
    if (rc == LOAM_OK) rc = check_size(txn, 0);
    if (rc < 0) return rc;
    if (range != NULL && range->at != NULL)
        return failed(LOAM_INVALID, "a transaction reads as of its own beginning");
    struct txn_iter *iter = mem_alloc(sizeof *iter);
    if (iter == NULL) return LOAM_NOMEM;
    *iter = (struct txn_iter){txn, coll};
    loam_range seen = range != NULL ? *range : (loam_range){.at = NULL};
    seen.at = txn->snap;
    const struct own *own = own_of(txn, coll);
    const struct dbiter_own spec = {.memtable = own != NULL ? own->memtable : NULL,
                                    .seq = OWN_SEQ + txn->entry_count,
                                    .closed = iter_closed,
                                    .ctx = iter};
    rc = dbiter_open(txn->db, coll, &seen, &spec, NULL, out);
    if (rc < 0)
        mem_free(iter);
    else
        txn->iter_count++;
    return rc;
}

/* ---- savepoints ------------------------------------------------------------------------------ */

static loam_status check_no_iters(const loam_txn *txn)
{
    if (txn->iter_count == 0) return LOAM_OK;
    return failed(LOAM_BUSY, "%u iterators of the transaction are open", txn->iter_count);
}

loam_status loam_txn_savepoint(loam_txn *txn)
{
    const loam_status rc = check_txn(txn, NULL);
    if (rc < 0) return rc;
    if (txn->savepoint_count == txn->savepoint_cap) {
        const size_t cap = txn->savepoint_cap == 0 ? 4 : txn->savepoint_cap * 2;
        size_t *grown = mem_realloc(txn->savepoints, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        txn->savepoints = grown;
        txn->savepoint_cap = cap;
    }
    txn->savepoints[txn->savepoint_count++] = batch_entries(txn->batch).len;
    return LOAM_OK;
}

/* Writes the first bytes of another transaction's batch into one that has written nothing. */
static loam_status write_again(loam_txn *fresh, const loam_txn *from, size_t len)
{
    const loam_slice entries = loam_bytes(batch_entries(from->batch).data, len);
    struct batch_reader reader = batch_reader_over(entries);
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK && reader.at != reader.end) {
        struct entry entry;
        uint32_t coll_id;
        rc = batch_next(&reader, &coll_id, &entry);
        size_t at = 0;
        while (rc == LOAM_OK && from->owns[at].coll->id != coll_id)
            at++;
        if (rc == LOAM_OK) rc = write_own(fresh, from->owns[at].coll, &entry, TTL_OF_COLL);
    }
    return rc;
}

loam_status loam_txn_rollback(loam_txn *txn)
{
    loam_status rc = check_txn(txn, NULL);
    if (rc == LOAM_OK) rc = check_no_iters(txn);
    if (rc < 0) return rc;
    const size_t last = txn->savepoint_count;
    loam_txn fresh = {.db = txn->db, .batch = loam_batch_new()};
    rc = fresh.batch == NULL ? LOAM_NOMEM : LOAM_OK;
    if (rc == LOAM_OK && last > 0) rc = write_again(&fresh, txn, txn->savepoints[last - 1]);
    loam_txn *gone = rc == LOAM_OK ? txn : &fresh;
    free_owns(gone->owns, gone->own_count);
    loam_batch_free(gone->batch);
    if (rc < 0) return rc;
    txn->batch = fresh.batch;
    txn->owns = fresh.owns;
    txn->own_count = fresh.own_count;
    txn->own_cap = fresh.own_cap;
    txn->entry_count = fresh.entry_count;
    txn->written_bytes = fresh.written_bytes;
    if (last > 0) txn->savepoint_count--;
    return LOAM_OK;
}

/* ---- committing ------------------------------------------------------------------------------ */

static loam_status commit_validated(loam_txn *txn, loam_durability how)
{
    loam_db *db = txn->db;
    uint64_t since = txn->snap->seq;
    loam_status rc = COMMIT_STALE;
    for (unsigned i = 0; rc == COMMIT_STALE && i < ATTEMPTS_MAX; i++) {
        const uint64_t upto = commit_last_seq(db);
        rc = reads_check(&txn->reads, db, since);
        since = upto;
        if (rc == LOAM_OK) rc = commit_batch(db, txn->batch, how, &txn->reads, since);
    }
    return rc == COMMIT_STALE ? LOAM_CONFLICT : rc; /* more is written than can be followed */
}

loam_status loam_txn_commit(loam_txn *txn, loam_durability how)
{
    loam_status rc = check_txn(txn, NULL);
    if (rc == LOAM_OK) rc = check_no_iters(txn);
    if (rc < 0) return rc;
    if (batch_entries(txn->batch).len > 0) {
        rc = commit_remember(txn->db);
        if (rc < 0) return rc;
        rc = commit_validated(txn, how);
        commit_forget(txn->db);
    }
    if (rc >= 0) txn->is_over = true;
    return rc;
}
