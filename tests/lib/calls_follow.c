/*
 * calls_follow.c - following the store of the bench, once in each way; see calls.h.
 */
#include "lib/calls_follow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void must_show(const struct model *model, loam_db *db)
{
    const char *differs = model_differs(model, db, NULL);
    if (differs != NULL) fail_msg("the follower: %s", differs);
}

loam_status make_open_to_follow(struct bench *b)
{
    loam_options options = b->options;
    options.follow = true;
    const loam_status rc = db_open_in(&b->world, "db", &options, &b->follower);
    if (rc < 0) assert_null(b->follower);
    return rc;
}

void follow_on(struct bench *b)
{
    bench_ok(make_open_to_follow(b));
    must_show(b->before, b->follower);
    b->shown = model_copy(b->before);
}

void follow_and_write_once(struct bench *b)
{
    follow_on(b);
    bench_ok(loam_batch_put(b->batch, NULL, loam_str("k007"), bench_value(6)));
    bench_ok(loam_batch_put(b->batch, b->coll, loam_str("k007"), bench_value(6)));
    bench_ok(loam_batch_delete(b->batch, NULL, loam_str("k011")));
    bench_ok(loam_write(b->db, b->batch, LOAM_DURABLE_COMMIT));
    loam_batch_clear(b->batch);
    model_put(b->before, "default", loam_str("k007"), bench_value(6));
    model_put(b->before, "other", loam_str("k007"), bench_value(6));
    model_delete(b->before, "default", loam_str("k011"));
}

void follow_and_write(struct bench *b)
{
    char text[16];
    follow_and_write_once(b);
    for (int i = 0; i < BENCH_KEYS; i++) {
        const loam_slice key = bench_key(i, text);
        bench_ok(loam_put(b->db, b->coll, key, bench_value(7)));
        model_put(b->before, "other", key, bench_value(7));
    }
}

void follow_and_change(struct bench *b)
{
    loam_coll *coll;
    follow_and_write(b);
    bench_ok(loam_create(b->db, "third", NULL, &coll));
    bench_ok(loam_put(b->db, coll, loam_str("k"), loam_str("v")));
    bench_ok(loam_rename(b->db, "third", "fourth"));
    bench_ok(loam_flush(b->db, NULL));
    bench_ok(loam_put(b->db, coll, loam_str("l"), loam_str("w")));
    model_create(b->before, "fourth");
    model_put(b->before, "fourth", loam_str("k"), loam_str("v"));
    model_put(b->before, "fourth", loam_str("l"), loam_str("w"));
}

loam_status make_refresh(struct bench *b)
{
    if (b->repairs++ > 0) must_show(b->shown, b->follower); /* nothing fails any more */
    const loam_status rc = loam_refresh(b->follower);
    if (rc != LOAM_OK) return rc;
    model_free(b->shown);
    b->shown = model_copy(b->before);
    return LOAM_OK;
}
