/*
 * calls_feed.c - the change feed and the caller's log index, once each; see calls.h.
 */
#include "lib/calls_feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

loam_status make_batch_set_index(struct bench *b)
{
    return loam_batch_set_index(b->batch, 7);
}

void fill_batch_with_index(struct bench *b)
{
    bench_ok(loam_batch_put(b->batch, NULL, loam_str("k007"), loam_str("new")));
    bench_ok(loam_batch_set_index(b->batch, 7));
}

/* Not durable yet. */
void write_with_index(struct bench *b)
{
    bench_ok(loam_batch_put(b->batch, NULL, loam_str("weak"), bench_value(3)));
    bench_ok(loam_batch_set_index(b->batch, 7));
    bench_ok(loam_write(b->db, b->batch, LOAM_DURABLE_PROCESS));
    model_put(b->before, "default", loam_str("weak"), bench_value(3));
}

loam_status make_index(struct bench *b)
{
    uint64_t index;
    const loam_status rc = loam_index(b->db, &index);
    if (rc == LOAM_OK) assert_int_equal(index, 7);
    return rc;
}

loam_status make_feed_open(struct bench *b)
{
    loam_feed_close(b->feed);
    return loam_feed_open(b->db, 1, &b->feed);
}

/* Of the log that a death left. */
void open_feed_at_oldest(struct bench *b)
{
    loam_event event = {.struct_size = sizeof event};
    bench_ok(make_feed_open(b));
    assert_int_equal(loam_feed_next(b->feed, 0, &event), LOAM_CONFLICT);
    loam_feed_close(b->feed);
    b->feed_seq = event.seq - 1;
    bench_ok(loam_feed_open(b->db, b->feed_seq, &b->feed));
}

/* All that there is, without a gap, whatever failed in between. */
loam_status make_feed_next(struct bench *b)
{
    loam_event event = {.struct_size = sizeof event};
    loam_status rc;
    while ((rc = loam_feed_next(b->feed, 0, &event)) == LOAM_OK)
        assert_int_equal(event.seq, ++b->feed_seq);
    if (rc != LOAM_NOTFOUND) return rc;
    assert_int_equal(b->feed_seq, atomic_load(&b->db->visible));
    return LOAM_OK;
}

loam_status make_feed_close(struct bench *b)
{
    loam_feed_close(b->feed);
    b->feed = NULL;
    return LOAM_OK;
}
