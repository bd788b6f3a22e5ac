/*
 * calls_ttl.c - the calls by which entries expire, once each; see calls.h.
 */
#include "lib/calls_ttl.h"

enum { HOUR_MS = 3600000 };

loam_status make_put_ttl(struct bench *b)
{
    return loam_put_ttl(b->db, NULL, loam_str("k007"), loam_str("new"), HOUR_MS);
}

void change_put_ttl(struct model *after)
{
    model_put_until(after, "default", loam_str("k007"), loam_str("new"), MODEL_SOME_TIME);
}

/* In a run of their own, over others that they hide. */
void expire_some(struct bench *b)
{
    char text[16];
    for (int i = 7; i < 12; i++)
        bench_ok(loam_put_ttl(b->db, NULL, bench_key(i, text), bench_value(7), 1));
    bench_ok(loam_flush(b->db, NULL));
    b->world.sys.calls->sleep_ns(b->world.sys.ctx, 1000000);
    model_delete_range(b->before, "default", loam_str("k007"), loam_str("k012"));
}

loam_status make_batch_put_ttl(struct bench *b)
{
    return bench_settle_batch(
        b, loam_batch_put_ttl(b->batch, b->coll, loam_str("k"), bench_value(9), HOUR_MS));
}

void fill_batch_ttl(struct bench *b)
{
    bench_ok(loam_batch_put_ttl(b->batch, NULL, loam_str("k007"), loam_str("new"), HOUR_MS));
}

loam_status make_put_if_ttl(struct bench *b)
{
    const loam_if condition = bench_equals_old(b);
    return loam_put_if_ttl(b->db, NULL, loam_str("k007"), loam_str("new"), HOUR_MS, &condition,
                           NULL);
}

loam_status make_txn_put_ttl(struct bench *b)
{
    return loam_txn_put_ttl(b->txn, b->coll, loam_str("k003"), bench_value(20), HOUR_MS);
}
