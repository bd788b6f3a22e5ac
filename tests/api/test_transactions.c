/*
 * test_transactions.c - what a transaction sees, what others see of it, and when it must be begun again.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static loam_txn *begin(loam_db *db)
{
    loam_txn *txn;
    expect_ok(loam_txn_begin(db, &txn));
    return txn;
}

static void txn_put(loam_txn *txn, const char *key, const char *value)
{
    expect_ok(loam_txn_put(txn, NULL, loam_str(key), loam_str(value)));
}

static void expect_seen(loam_txn *txn, const char *key, const char *value)
{
    loam_buf got = {0};
    const loam_status rc = loam_txn_get(txn, NULL, loam_str(key), &got);
    expect_status(value == NULL ? LOAM_NOTFOUND : LOAM_OK, rc);
    expect_status(rc, loam_txn_get(txn, NULL, loam_str(key), NULL));
    if (value != NULL) {
        assert_int_equal(got.len, strlen(value));
        assert_memory_equal(got.data, value, got.len);
    }
    loam_buf_free(&got);
}

/* All keys that a transaction sees in a range, joined by blanks. */
static const char *keys_seen(loam_txn *txn, const loam_range *range, bool backward)
{
    static char text[4000];
    size_t len = 0;
    loam_iter *it;
    expect_ok(loam_txn_iter_open(txn, NULL, range, &it));
    loam_status rc;
    while ((rc = backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", len > 0 ? " " : "",
                                (int)loam_iter_key(it).len, (const char *)loam_iter_key(it).data);
    expect_status(LOAM_NOTFOUND, rc);
    text[len] = 0;
    loam_iter_close(it);
    return text;
}

static loam_status end(loam_txn *txn)
{
    const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
    loam_txn_close(txn);
    return rc;
}

/* ---- what it sees ---------------------------------------------------------------------------- */

static void it_sees_its_beginning_and_its_own_writes(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "old");
    put_text(f->db, NULL, "b", "old");
    put_text(f->db, NULL, "c", "old");
    loam_txn *txn = begin(f->db);
    txn_put(txn, "a", "own");
    txn_put(txn, "aa", "own");
    expect_ok(loam_txn_delete(txn, NULL, loam_str("b")));
    put_text(f->db, NULL, "c", "later");
    put_text(f->db, NULL, "d", "later");
    expect_seen(txn, "a", "own");
    expect_seen(txn, "aa", "own");
    expect_seen(txn, "b", NULL);
    expect_seen(txn, "c", "old");
    expect_seen(txn, "d", NULL);
    assert_string_equal(keys_seen(txn, NULL, false), "a aa c");
    assert_string_equal(keys_seen(txn, NULL, true), "c aa a");
    txn_put(txn, "b", "back");
    txn_put(txn, "a", "own again");
    expect_seen(txn, "a", "own again");
    assert_string_equal(keys_seen(txn, NULL, false), "a aa b c");
    const loam_range some = {.from = loam_str("aa"), .to = loam_str("c")};
    assert_string_equal(keys_seen(txn, &some, true), "b aa");
    expect_text(f->db, NULL, "a", "old"); /* nobody else does */
    expect_text(f->db, NULL, "aa", NULL);
    expect_text(f->db, NULL, "b", "old");
    loam_txn_close(txn);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a b c d");
}

static void an_iterator_sees_what_was_written_before_it_was_opened(void **state)
{
    struct fixture *f = *state;
    loam_txn *txn = begin(f->db);
    loam_iter *it;
    txn_put(txn, "k", "first");
    expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
    for (int i = 0; i < 100; i++) { /* more than are stepped over before it seeks */
        txn_put(txn, "j", "later");
        txn_put(txn, "k", "later");
    }
    expect_ok(loam_iter_next(it));
    assert_memory_equal(loam_iter_key(it).data, "k", 1);
    assert_memory_equal(loam_iter_value(it).data, "first", 5);
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    expect_ok(loam_iter_prev(it));
    assert_memory_equal(loam_iter_value(it).data, "first", 5);
    expect_status(LOAM_NOTFOUND, loam_iter_prev(it));
    loam_iter_close(it);
    expect_ok(end(txn));
    expect_text(f->db, NULL, "k", "later");
}

static void a_commit_is_seen_at_once_and_whole(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    put_text(f->db, coll, "gone", "v");
    loam_txn *txn = begin(f->db);
    txn_put(txn, "k", "one");
    txn_put(txn, "k", "two");
    expect_ok(loam_txn_put(txn, coll, loam_str("k"), loam_str("other")));
    expect_ok(loam_txn_delete(txn, coll, loam_str("gone")));
    expect_ok(end(txn));
    for (int round = 0; round < 2; round++) {
        expect_text(f->db, NULL, "k", "two");
        expect_text(f->db, coll, "k", "other");
        expect_text(f->db, coll, "gone", NULL);
        fixture_reopen(f);
        expect_ok(loam_collection(f->db, "c", &coll));
    }
}

/* ---- conflicts ------------------------------------------------------------------------------- */

/* Reads key, or the keys of a range, while another write happens, and writes something. */
struct conflict {
    const char *key, *from, *to, *prefix; /* what is read */
    const char *put, *remove;             /* what others do meanwhile */
    loam_status answer;
};

static void read_of(loam_txn *txn, const struct conflict *c)
{
    loam_range range = {.flags = 0};
    if (c->key != NULL) {
        const loam_status rc = loam_txn_get(txn, NULL, loam_str(c->key), NULL);
        assert_true(rc >= 0);
        return;
    }
    if (c->prefix != NULL) range.prefix = loam_str(c->prefix);
    if (c->from != NULL) range.from = loam_str(c->from);
    if (c->to != NULL) range.to = loam_str(c->to);
    (void)keys_seen(txn, &range, c->answer == LOAM_CONFLICT);
}

static void run_conflict(struct fixture *f, const struct conflict *c, int settle)
{
    const char *const there[] = {"b", "d", "f", "h"};
    for (size_t i = 0; i < 4; i++)
        put_text(f->db, NULL, there[i], "v");
    expect_ok(loam_delete(f->db, NULL, loam_str("c")));
    loam_txn *txn = begin(f->db);
    read_of(txn, c);
    if (c->put != NULL) put_text(f->db, NULL, c->put, "v");
    if (c->remove != NULL) expect_ok(loam_delete(f->db, NULL, loam_str(c->remove)));
    if (settle == 1) expect_ok(loam_flush(f->db, NULL));
    if (settle == 2) expect_ok(loam_compact(f->db, NULL, NULL));
    txn_put(txn, "z", "own");
    const loam_status rc = end(txn);
    if (rc != c->answer)
        fail_msg("key %s, range %s-%s, put %s, removed %s, settled %d: %s", c->key, c->from, c->to,
                 c->put, c->remove, settle, loam_status_name(rc));
    expect_text(f->db, NULL, "z", rc == LOAM_OK ? "own" : NULL);
    expect_ok(loam_delete(f->db, NULL, loam_str("z")));
}

static void what_was_read_must_not_have_changed(void **state)
{
    static const struct conflict conflicts[] = {
        {.key = "b", .put = "b", .answer = LOAM_CONFLICT},
        {.key = "b", .remove = "b", .answer = LOAM_CONFLICT},
        {.key = "b", .put = "ba", .answer = LOAM_OK},
        {.key = "c", .put = "c", .answer = LOAM_CONFLICT},    /* what was not there counts */
        {.key = "c", .remove = "c", .answer = LOAM_CONFLICT}, /* though nothing has changed by it */
        {.key = "c", .put = "d", .answer = LOAM_OK},
        {.key = "", .put = "", .answer = LOAM_CONFLICT},
        {.from = "c", .to = "g", .put = "e", .answer = LOAM_CONFLICT}, /* a phantom */
        {.from = "c", .to = "g", .put = "c", .answer = LOAM_CONFLICT},
        {.from = "c", .to = "g", .put = "d", .answer = LOAM_CONFLICT},
        {.from = "c", .to = "g", .remove = "f", .answer = LOAM_CONFLICT},
        {.from = "c", .to = "g", .put = "h", .answer = LOAM_OK},
        {.from = "c", .to = "g", .put = "b", .answer = LOAM_OK},
        {.from = "c", .put = "zz", .answer = LOAM_CONFLICT},
        {.to = "c", .put = "", .answer = LOAM_CONFLICT},
        {.to = "c", .put = "d", .answer = LOAM_OK},
        {.prefix = "d", .put = "dd", .answer = LOAM_CONFLICT},
        {.prefix = "d", .put = "ee", .answer = LOAM_OK},
        {.put = "anything", .answer = LOAM_CONFLICT}, /* the whole collection was read */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof conflicts / sizeof conflicts[0]; i++)
        for (int settle = 0; settle < 3; settle++)
            run_conflict(f, &conflicts[i], settle);
}

static void an_iterator_has_read_what_it_passed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *put;
        loam_status answer;
    } cases[] = {{"c", LOAM_OK},       {"d", LOAM_CONFLICT}, {"e", LOAM_CONFLICT},
                 {"f", LOAM_CONFLICT}, {"g", LOAM_CONFLICT}, {"h", LOAM_CONFLICT},
                 {"i", LOAM_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int backward = 0; backward < 2; backward++) {
            loam_iter *it;
            const char *const there[] = {"b", "d", "f", "h", "j"};
            for (size_t k = 0; k < 5; k++)
                put_text(f->db, NULL, there[k], "v");
            loam_txn *txn = begin(f->db);
            expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
            expect_ok(backward ? loam_iter_seek_back(it, loam_str("h"))
                               : loam_iter_seek(it, loam_str("d")));
            for (int steps = 0; steps < 2; steps++)
                expect_ok(backward ? loam_iter_prev(it) : loam_iter_next(it));
            loam_iter_close(it);
            put_text(f->db, NULL, cases[i].put, "v");
            txn_put(txn, "z", "own");
            expect_status(cases[i].answer, end(txn));
            expect_ok(loam_delete(f->db, NULL, loam_str(cases[i].put)));
        }
    }
}

/* Who looks at the end has not read all before it. */
static void the_last_key_is_not_all_keys(void **state)
{
    static const struct {
        const char *put;
        loam_status answer;
    } cases[] = {{"a", LOAM_OK}, {"j", LOAM_CONFLICT}, {"k", LOAM_CONFLICT}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loam_iter *it;
        put_text(f->db, NULL, "b", "v");
        put_text(f->db, NULL, "j", "v");
        loam_txn *txn = begin(f->db);
        expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
        expect_ok(loam_iter_last(it));
        loam_iter_close(it);
        put_text(f->db, NULL, cases[i].put, "v");
        expect_ok(loam_txn_put(txn, NULL, loam_str("0"), loam_str("own")));
        expect_status(cases[i].answer, end(txn));
        expect_ok(loam_delete(f->db, NULL, loam_str(cases[i].put)));
    }
}

static void its_iterators_may_outlive_it(void **state)
{
    struct fixture *f = *state;
    loam_iter *it, *other;
    loam_txn *txn = begin(f->db);
    txn_put(txn, "k", "own");
    expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
    expect_ok(loam_txn_iter_open(txn, NULL, NULL, &other));
    loam_txn_close(txn);
    expect_failure(LOAM_BUSY, "iterators", loam_close(f->db));
    expect_ok(loam_iter_next(it));
    assert_memory_equal(loam_iter_value(it).data, "own", 3);
    loam_iter_close(it);
    expect_ok(loam_iter_last(other));
    assert_memory_equal(loam_iter_key(other).data, "k", 1);
    loam_iter_close(other);
    expect_text(f->db, NULL, "k", NULL);
}

static void writes_alone_never_conflict(void **state)
{
    struct fixture *f = *state;
    loam_txn *one = begin(f->db), *other = begin(f->db);
    txn_put(one, "k", "one");
    txn_put(other, "k", "other");
    expect_seen(one, "k", "one"); /* its own, so nothing of the store was read */
    expect_ok(end(other));
    expect_ok(end(one));
    expect_text(f->db, NULL, "k", "one");
}

static void one_that_only_reads_never_conflicts(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "k", "old");
    loam_txn *txn = begin(f->db);
    expect_seen(txn, "k", "old");
    put_text(f->db, NULL, "k", "new");
    expect_seen(txn, "k", "old");
    expect_ok(end(txn));
}

/* Each reads both and changes one: a snapshot alone would let both commit. */
static void write_skew_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "x", "1");
    put_text(f->db, NULL, "y", "1");
    loam_txn *one = begin(f->db), *other = begin(f->db);
    expect_seen(one, "x", "1");
    expect_seen(one, "y", "1");
    expect_seen(other, "x", "1");
    expect_seen(other, "y", "1");
    txn_put(one, "x", "0");
    txn_put(other, "y", "0");
    expect_ok(end(one));
    expect_status(LOAM_CONFLICT, end(other));
    expect_text(f->db, NULL, "y", "1");
}

/* ---- savepoints ------------------------------------------------------------------------------ */

static void rollback_goes_to_the_latest_savepoint(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "k", "old");
    loam_txn *txn = begin(f->db);
    txn_put(txn, "k", "one");
    expect_ok(loam_txn_savepoint(txn));
    txn_put(txn, "k", "two");
    txn_put(txn, "l", "two");
    expect_ok(loam_txn_savepoint(txn));
    expect_ok(loam_txn_delete(txn, NULL, loam_str("k")));
    expect_seen(txn, "k", NULL);
    expect_ok(loam_txn_rollback(txn));
    expect_seen(txn, "k", "two");
    assert_string_equal(keys_seen(txn, NULL, false), "k l");
    expect_ok(loam_txn_rollback(txn));
    expect_seen(txn, "k", "one");
    expect_seen(txn, "l", NULL);
    assert_string_equal(keys_seen(txn, NULL, false), "k");
    txn_put(txn, "m", "three");
    expect_ok(end(txn));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "k m");
    expect_text(f->db, NULL, "k", "one");

    txn = begin(f->db);
    txn_put(txn, "n", "never");
    expect_ok(loam_txn_rollback(txn)); /* there is no savepoint: all of it */
    expect_seen(txn, "n", NULL);
    expect_ok(end(txn));
    expect_text(f->db, NULL, "n", NULL);
}

/* ---- misuse and limits ----------------------------------------------------------------------- */

static void misuse_is_refused(void **state)
{
    struct fixture *f = *state;
    loam_coll *gone;
    loam_iter *it;
    loam_buf value = {0};
    loam_txn *txn = begin(f->db);
    expect_status(LOAM_INVALID, loam_txn_begin(f->db, NULL));
    expect_status(LOAM_INVALID, loam_txn_put(NULL, NULL, loam_str("k"), loam_str("v")));
    expect_status(LOAM_INVALID, loam_txn_commit(NULL, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_INVALID, loam_txn_get(txn, NULL, loam_bytes(NULL, 2), &value));
    expect_status(LOAM_INVALID, loam_txn_put(txn, NULL, loam_bytes(NULL, 2), loam_str("v")));
    loam_snapshot *snap;
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_failure(LOAM_INVALID, "beginning",
                   loam_txn_iter_open(txn, NULL, &(loam_range){.at = snap}, &it));
    loam_snapshot_close(snap);
    expect_failure(LOAM_BUSY, "snapshot", loam_close(f->db)); /* children are open */

    txn_put(txn, "k", "v");
    expect_ok(loam_txn_iter_open(txn, NULL, NULL, &it));
    expect_failure(LOAM_BUSY, "iterators", loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    expect_failure(LOAM_BUSY, "iterators", loam_txn_rollback(txn));
    loam_iter_close(it);
    expect_failure(LOAM_INVALID, "durability", loam_txn_commit(txn, (loam_durability)9));
    expect_ok(loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    expect_failure(LOAM_MISUSE, "over", loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    expect_failure(LOAM_MISUSE, "over", loam_txn_get(txn, NULL, loam_str("k"), &value));
    expect_failure(LOAM_MISUSE, "over", loam_txn_put(txn, NULL, loam_str("k"), loam_str("v")));
    loam_txn_close(txn);
    loam_txn_close(NULL);

    expect_ok(loam_create(f->db, "gone", NULL, &gone));
    txn = begin(f->db);
    expect_status(LOAM_NOTFOUND, loam_txn_get(txn, gone, loam_str("k"), &value));
    txn_put(txn, "l", "v");
    expect_ok(loam_drop(f->db, "gone"));
    expect_status(LOAM_MISUSE, loam_txn_put(txn, gone, loam_str("k"), loam_str("v")));
    expect_status(LOAM_MISUSE, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    loam_txn_close(txn);
    expect_text(f->db, NULL, "l", NULL);
    loam_buf_free(&value);
}

static void its_size_is_bounded(void **state)
{
    struct fixture *f = *state; /* 32 MiB of memory: 2 for a transaction */
    char *large = calloc(1, 200000);
    loam_txn *txn = begin(f->db);
    loam_status rc = LOAM_OK;
    int count = 0;
    while (rc == LOAM_OK && count < 100) {
        char key[16];
        snprintf(key, sizeof key, "%d", count);
        rc = loam_txn_put(txn, NULL, loam_str(key), loam_bytes(large, 200000));
        count += rc == LOAM_OK;
    }
    expect_status(LOAM_TOOBIG, rc);
    assert_in_range(count, 4, 10);
    expect_ok(end(txn)); /* with what it has */
    free(large);
    txn = begin(f->db);
    char key[40];
    rc = LOAM_NOTFOUND;
    for (count = 0; rc == LOAM_NOTFOUND && count < 1000000; count++) {
        snprintf(key, sizeof key, "missing %d", count);
        rc = loam_txn_get(txn, NULL, loam_str(key), NULL);
    }
    expect_status(LOAM_TOOBIG, rc);
    assert_in_range(count, 10000, 100000);
    expect_ok(loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    loam_txn_close(txn);
}

/* More is written, between validation and commit, than the lane remembers: it is validated again. */
static void much_else_may_be_written_meanwhile(void **state)
{
    struct fixture *f = *state;
    loam_txn *txn = begin(f->db);
    expect_seen(txn, "k", NULL);
    loam_batch *batch = loam_batch_new();
    for (int i = 0; i < 20000; i++) {
        char key[40];
        snprintf(key, sizeof key, "other key %d", i);
        expect_ok(loam_batch_put(batch, NULL, loam_str(key), loam_str("v")));
    }
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    txn_put(txn, "l", "v");
    expect_ok(end(txn));
    txn = begin(f->db);
    expect_seen(txn, "other key 77", "v");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    txn_put(txn, "l", "w");
    expect_status(LOAM_CONFLICT, end(txn));
    loam_batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(it_sees_its_beginning_and_its_own_writes),
        test_open(an_iterator_sees_what_was_written_before_it_was_opened),
        test_open(a_commit_is_seen_at_once_and_whole),
        test_open(what_was_read_must_not_have_changed),
        test_open(an_iterator_has_read_what_it_passed),
        test_open(the_last_key_is_not_all_keys),
        test_open(its_iterators_may_outlive_it),
        test_open(writes_alone_never_conflict),
        test_open(one_that_only_reads_never_conflicts),
        test_open(write_skew_is_a_conflict),
        test_open(rollback_goes_to_the_latest_savepoint),
        test_open(misuse_is_refused),
        test_open(its_size_is_bounded),
        test_open(much_else_may_be_written_meanwhile),
    };
    return cmocka_run_group_tests_name("api: transactions", tests, NULL, NULL);
}
