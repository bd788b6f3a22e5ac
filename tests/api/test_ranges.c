/*
 * test_ranges.c - deletions of ranges: what is gone, and for whom.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- what is gone ---------------------------------------------------------------------------- */

static void a_range_is_gone_and_its_ends_are_right(void **state)
{
    struct fixture *f = *state;
    const char *keys[] = {"a", "b", "ba", "bb", "c", "d"};
    for (int i = 0; i < 6; i++)
        put_text(f->db, NULL, keys[i], "v");
    const loam_range middle = {.from = loam_str("b"), .to = loam_str("bb")};
    expect_ok(loam_delete_range(f->db, NULL, &middle));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a bb c d");
    put_text(f->db, NULL, "ba", "again");
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a ba bb c d");
    const loam_range prefix = {.prefix = loam_str("b")}, rest = {.from = loam_str("c")};
    expect_ok(loam_delete_range(f->db, NULL, &prefix));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a c d");
    expect_ok(loam_delete_range(f->db, NULL, &rest));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a");
    const loam_range nothing = {.from = loam_str("b"), .to = loam_str("a")};
    expect_ok(loam_delete_range(f->db, NULL, &nothing));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a");
    expect_ok(loam_delete_range(f->db, NULL, NULL));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
}

static void other_collections_keep_theirs(void **state)
{
    struct fixture *f = *state;
    loam_coll *other;
    expect_ok(loam_create(f->db, "other", NULL, &other));
    put_text(f->db, NULL, "k", "v");
    put_text(f->db, other, "k", "v");
    expect_ok(loam_delete_range(f->db, other, NULL));
    expect_text(f->db, NULL, "k", "v");
    expect_text(f->db, other, "k", NULL);
}

static void a_range_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    loam_batch *batch = loam_batch_new();
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_snapshot_open(f->db, &snap));
    const loam_range at = {.at = snap}, keys = {.flags = LOAM_KEYS_ONLY};
    const loam_range both = {.from = loam_str("a"), .prefix = loam_str("b")};
    const loam_range *const none[] = {&at, &keys, &both};
    for (int i = 0; i < 3; i++) {
        expect_status(LOAM_INVALID, loam_delete_range(f->db, NULL, none[i]));
        expect_status(LOAM_INVALID, loam_batch_delete_range(batch, NULL, none[i]));
        expect_failure(LOAM_INVALID, "an add to this batch failed",
                       loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
        loam_batch_clear(batch);
    }
    loam_batch_free(batch);
    loam_snapshot_close(snap);
    expect_text(f->db, NULL, "k", "v");
}

/* Bounds may be longer than keys can be: "just behind the longest key" is one. */
static void bounds_may_be_longer_than_keys(void **state)
{
    enum { MOST = 65535 };
    struct fixture *f = *state;
    static char key[MOST + 3], last[MOST + 3];
    memset(key, 'k', sizeof key);
    memset(last, 0xff, sizeof last);
    const loam_slice longest = loam_bytes(key, MOST), highest = loam_bytes(last, MOST);
    for (int way = 0; way < 6; way++) {
        const loam_range only = {.from = longest, .to = loam_bytes(key, MOST + 1)};
        const loam_range behind = {.from = loam_bytes(key, MOST + 2)};
        const loam_range none = {.from = loam_bytes(last, MOST + 1)};
        const loam_range *const ranges[] = {&only, &behind, &none};
        loam_batch *batch = loam_batch_new();
        expect_ok(loam_put(f->db, NULL, longest, loam_str("v")));
        expect_ok(loam_put(f->db, NULL, highest, loam_str("v")));
        put_text(f->db, NULL, "kk", "v");
        put_text(f->db, NULL, "l", "v");
        if (way < 3) {
            expect_ok(loam_delete_range(f->db, NULL, ranges[way]));
        } else {
            expect_ok(loam_batch_delete_range(batch, NULL, ranges[way - 3]));
            expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
        }
        loam_batch_free(batch);
        for (int again = 0; again < 3; again++) {
            expect_status(way % 3 == 0 ? LOAM_NOTFOUND : LOAM_OK,
                          loam_exists(f->db, NULL, longest));
            expect_status(way % 3 == 1 ? LOAM_NOTFOUND : LOAM_OK,
                          loam_exists(f->db, NULL, highest));
            expect_text(f->db, NULL, "kk", "v");
            expect_text(f->db, NULL, "l", way % 3 == 1 ? NULL : "v");
            if (again == 1) expect_ok(loam_flush(f->db, NULL));
            fixture_reopen(f);
        }
    }
}

/* They are in memory and in the manifest, and a snapshot may keep them there for long. */
static void so_many_bytes_of_ranges_and_no_more(void **state)
{
    enum { LONG = 65000, HALF = 260 };
    struct fixture *f = *state;
    static char from[LONG], to[LONG];
    loam_options options = fixture_options();
    loam_batch *batch = loam_batch_new();
    loam_snapshot *snap;
    const loam_range range = {.from = loam_bytes(from, LONG), .to = loam_bytes(to, LONG)};
    memset(from, 'f', LONG);
    memset(to, 'f', LONG);
    options.memory_bytes = 512 << 20;
    fixture_close(f);
    fixture_open(f, &options);
    put_text(f->db, NULL, "g", "v");
    put_text(f->db, NULL, "a", "v");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_snapshot_open(f->db, &snap));
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < HALF; i++) {
            snprintf(from + 10, 16, "%08d", half * HALF + i);
            snprintf(to + 10, 16, "%08dx", half * HALF + i);
            expect_ok(loam_batch_delete_range(batch, NULL, &range));
        }
        expect_status(half == 0 ? LOAM_OK : LOAM_FULL,
                      loam_write(f->db, batch, LOAM_DURABLE_PROCESS));
        if (half == 1) expect_message("older snapshots");
        if (half == 0) loam_batch_clear(batch);
        expect_ok(loam_flush(f->db, NULL));
    }
    loam_status rc;
    while ((rc = loam_batch_delete_range(batch, NULL, &range)) == LOAM_OK) {
    }
    expect_failure(LOAM_TOOBIG, "64 MiB", rc);
    loam_snapshot_close(snap);
    loam_batch_free(batch);
    expect_ok(loam_compact(f->db, NULL, NULL));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a g");
    fixture_reopen(f);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a g");
}

static void in_a_batch_the_order_counts(void **state)
{
    struct fixture *f = *state;
    loam_batch *batch = loam_batch_new();
    put_text(f->db, NULL, "k1", "old");
    expect_ok(loam_batch_put(batch, NULL, loam_str("k2"), loam_str("before")));
    expect_ok(loam_batch_delete_range(batch, NULL, NULL));
    expect_ok(loam_batch_put(batch, NULL, loam_str("k3"), loam_str("behind")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "k3");
    loam_batch_free(batch);
}

/* ---- transactions and conditions ---- */

static void a_transaction_sees_its_own(void **state)
{
    struct fixture *f = *state;
    const loam_range some = {.from = loam_str("b"), .to = loam_str("d")};
    loam_txn *txn;
    loam_iter *it;
    put_text(f->db, NULL, "a", "1");
    put_text(f->db, NULL, "b", "2");
    put_text(f->db, NULL, "c", "3");
    expect_ok(loam_txn_begin(f->db, &txn));
    expect_ok(loam_txn_put(txn, NULL, loam_str("bb"), loam_str("own")));
    expect_ok(loam_txn_savepoint(txn));
    expect_ok(loam_txn_delete_range(txn, NULL, &some));
    expect_status(LOAM_NOTFOUND, loam_txn_get(txn, NULL, loam_str("b"), NULL));
    expect_status(LOAM_NOTFOUND, loam_txn_get(txn, NULL, loam_str("bb"), NULL));
    expect_ok(loam_txn_put(txn, NULL, loam_str("c"), loam_str("own")));
    expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
    expect_ok(loam_iter_last(it));
    assert_memory_equal(loam_iter_key(it).data, "c", 1);
    expect_ok(loam_iter_prev(it));
    assert_memory_equal(loam_iter_key(it).data, "a", 1);
    expect_status(LOAM_NOTFOUND, loam_iter_prev(it));
    loam_iter_close(it);
    expect_ok(loam_txn_rollback(txn));
    expect_ok(loam_txn_get(txn, NULL, loam_str("b"), NULL));
    expect_ok(loam_txn_get(txn, NULL, loam_str("bb"), NULL));
    expect_ok(loam_txn_delete_range(txn, NULL, &some));
    expect_text(f->db, NULL, "b", "2");
    expect_ok(loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    loam_txn_close(txn);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a");
}

/* What it has read was deleted, by a range that is in memory, or in tables already, or came when it was about to commit. */
static void who_has_read_it_conflicts(void **state)
{
    struct fixture *f = *state;
    const loam_range over = {.from = loam_str("j"), .to = loam_str("l")};
    const loam_range beside = {.from = loam_str("l"), .to = loam_str("m")};
    for (int flushed = 0; flushed <= 1; flushed++)
        for (int reads_range = 0; reads_range <= 1; reads_range++)
            for (int hits = 0; hits <= 1; hits++) {
                loam_txn *txn;
                loam_iter *it;
                put_text(f->db, NULL, "k", "v");
                expect_ok(loam_txn_begin(f->db, &txn));
                if (reads_range) {
                    const loam_range read = {.prefix = loam_str("k")};
                    expect_ok(loam_txn_iter_open(txn, NULL, &read, &it));
                    expect_ok(loam_iter_next(it));
                    loam_iter_close(it);
                } else {
                    expect_ok(loam_txn_get(txn, NULL, loam_str("k"), NULL));
                }
                expect_ok(loam_txn_put(txn, NULL, loam_str("z"), loam_str("v")));
                expect_ok(loam_delete_range(f->db, NULL, hits ? &over : &beside));
                if (flushed) expect_ok(loam_flush(f->db, NULL));
                expect_status(hits ? LOAM_CONFLICT : LOAM_OK,
                              loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
                loam_txn_close(txn);
            }
}

static void a_condition_finds_nothing_there(void **state)
{
    struct fixture *f = *state;
    const loam_if equal = {.kind = LOAM_IF_EQUAL, .value = loam_str("v")};
    const loam_if absent = {.kind = LOAM_IF_ABSENT};
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_delete_range(f->db, NULL, NULL));
    expect_status(LOAM_CONFLICT, loam_delete_if(f->db, NULL, loam_str("k"), &equal));
    expect_ok(loam_put_if(f->db, NULL, loam_str("k"), loam_str("w"), &absent, NULL));
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_delete_range(f->db, NULL, NULL));
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_put_if(f->db, NULL, loam_str("k"), loam_str("x"), &absent, NULL));
    expect_text(f->db, NULL, "k", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_range_is_gone_and_its_ends_are_right),
        test_open(other_collections_keep_theirs),
        test_open(a_range_that_is_none_is_refused),
        test_open(bounds_may_be_longer_than_keys),
        test_open(so_many_bytes_of_ranges_and_no_more),
        test_open(in_a_batch_the_order_counts),
        test_open(a_transaction_sees_its_own),
        test_open(who_has_read_it_conflicts),
        test_open(a_condition_finds_nothing_there),
    };
    return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
