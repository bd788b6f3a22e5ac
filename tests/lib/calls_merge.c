/*
 * calls_merge.c - the calls that merge, and calls over operands; see calls.h.
 */
#include "lib/calls_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

loam_status make_merge(struct bench *b)
{
    return loam_merge(b->db, b->coll, loam_str("k007"), loam_str("+"));
}

static void append_to(struct model *model, const char *key, loam_slice operand)
{
    char joined[2 * BENCH_VALUE_BYTES];
    loam_slice value = loam_bytes(NULL, 0);
    (void)model_get(model, "other", loam_str(key), &value);
    assert_true(value.len + operand.len <= sizeof joined);
    if (value.len > 0) memcpy(joined, value.data, value.len);
    memcpy(joined + value.len, operand.data, operand.len);
    model_put(model, "other", loam_str(key), loam_bytes(joined, value.len + operand.len));
}

void change_merge(struct model *after)
{
    append_to(after, "k007", loam_str("+"));
}

/* Of operands on what is in tables, one over another in memory and in a run, and on nothing. */
void merge_some(struct bench *b)
{
    static const char *const keys[] = {"k031", "k033", "k031", "fresh", "k031"};
    for (int i = 0; i < 5; i++) {
        const loam_slice operand = loam_bytes(bench_value(9 + i).data, 80);
        bench_ok(loam_merge(b->db, b->coll, loam_str(keys[i]), operand));
        append_to(b->before, keys[i], operand);
        if (i == 2) bench_ok(loam_flush(b->db, b->coll));
    }
}

void bench_check_value(const struct bench *b, const char *coll, const char *key)
{
    loam_slice value;
    assert_true(model_get(b->before, coll, loam_str(key), &value));
    assert_int_equal(b->buf.len, value.len);
    assert_memory_equal(b->buf.data, value.data, value.len);
}

loam_status make_get_merged(struct bench *b)
{
    const loam_status rc = loam_get(b->db, b->coll, loam_str("k031"), &b->buf);
    if (rc == LOAM_OK) bench_check_value(b, "other", "k031");
    return rc;
}

loam_status make_put_if_merged(struct bench *b)
{
    loam_slice value;
    assert_true(model_get(b->before, "other", loam_str("k031"), &value));
    const loam_if condition = {.kind = LOAM_IF_EQUAL, .value = value};
    return loam_put_if(b->db, b->coll, loam_str("k031"), loam_str("new"), &condition, NULL);
}

void change_put_merged(struct model *after)
{
    model_put(after, "other", loam_str("k031"), loam_str("new"));
}

/* Stands on the key with operands, whichever way it came. */
static loam_status walk_merged(struct bench *b, bool backward)
{
    loam_iter *it;
    const loam_range range = {.prefix = loam_str("k031")};
    loam_status rc = loam_iter_open(b->db, b->coll, &range, &it);
    if (rc < 0) return rc;
    rc = backward ? loam_iter_prev(it) : loam_iter_next(it);
    if (rc == LOAM_OK) {
        const loam_buf kept = b->buf;
        b->buf = (loam_buf){.data = (void *)(uintptr_t)loam_iter_value(it).data,
                            .len = loam_iter_value(it).len};
        bench_check_value(b, "other", "k031");
        b->buf = kept;
    }
    loam_iter_close(it);
    return rc;
}

loam_status make_next_merged(struct bench *b)
{
    return walk_merged(b, false);
}

loam_status make_prev_merged(struct bench *b)
{
    return walk_merged(b, true);
}

loam_status make_flush_merged(struct bench *b)
{
    return loam_flush(b->db, b->coll);
}

loam_status make_compact_merged(struct bench *b)
{
    return loam_compact(b->db, b->coll, NULL);
}

loam_status make_batch_merge(struct bench *b)
{
    return bench_settle_batch(b,
                              loam_batch_merge(b->batch, b->coll, loam_str("k"), bench_value(9)));
}

loam_status make_txn_merge(struct bench *b)
{
    return loam_txn_merge(b->txn, b->coll, loam_str("k031"), loam_str("+"));
}

void merge_in_txn(struct bench *b)
{
    merge_some(b);
    bench_begin_txn(b);
    bench_ok(loam_txn_merge(b->txn, b->coll, loam_str("k031"), loam_str("+")));
}

void merge_in_txn(struct bench *b);
loam_status make_txn_get_merged(struct bench *b)
{
    const loam_status rc = loam_txn_get(b->txn, b->coll, loam_str("k031"), &b->buf);
    if (rc != LOAM_OK) return rc;
    assert_int_equal(((const char *)b->buf.data)[--b->buf.len], '+');
    bench_check_value(b, "other", "k031");
    return rc;
}
