/*
 * test_batches.c - all or nothing, across collections, in order.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static loam_batch *batch;

static int set_up(void **state)
{
    fixture_set_up_open(state);
    batch = loam_batch_new();
    return batch == NULL;
}

static int tear_down(void **state)
{
    loam_batch_free(batch);
    return fixture_tear_down(state);
}

static void add(loam_coll *coll, const char *key, const char *value)
{
    expect_ok(loam_batch_put(batch, coll, loam_str(key), loam_str(value)));
}

static void nothing_is_there_before_the_write(void **state)
{
    struct fixture *f = *state;
    add(NULL, "k", "v");
    expect_text(f->db, NULL, "k", NULL);
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", "v");
}

static void a_batch_spans_collections(void **state)
{
    struct fixture *f = *state;
    loam_coll *a, *b;
    expect_ok(loam_create(f->db, "a", NULL, &a));
    expect_ok(loam_create(f->db, "b", NULL, &b));
    put_text(f->db, b, "gone", "v");
    add(a, "k", "in a");
    add(b, "k", "in b");
    add(NULL, "k", "in default");
    expect_ok(loam_batch_delete(batch, b, loam_str("gone")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    fixture_reopen(f);
    expect_ok(loam_collection(f->db, "a", &a));
    expect_ok(loam_collection(f->db, "b", &b));
    expect_text(f->db, a, "k", "in a");
    expect_text(f->db, b, "k", "in b");
    expect_text(f->db, b, "gone", NULL);
    expect_text(f->db, NULL, "k", "in default");
}

static void of_two_entries_with_one_key_the_later_counts(void **state)
{
    struct fixture *f = *state;
    add(NULL, "put put", "first");
    add(NULL, "put put", "second");
    add(NULL, "put delete", "first");
    expect_ok(loam_batch_delete(batch, NULL, loam_str("put delete")));
    expect_ok(loam_batch_delete(batch, NULL, loam_str("delete put")));
    add(NULL, "delete put", "second");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    for (int round = 0; round < 3; round++) {
        expect_text(f->db, NULL, "put put", "second");
        expect_text(f->db, NULL, "put delete", NULL);
        expect_text(f->db, NULL, "delete put", "second");
        assert_string_equal(keys_backward(f->db, NULL, NULL), "put put delete put");
        if (round == 0) fixture_reopen(f);
        if (round == 1) expect_ok(loam_flush(f->db, NULL));
    }
}

static void a_write_leaves_the_batch_unchanged(void **state)
{
    struct fixture *f = *state;
    add(NULL, "k", "v");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    put_text(f->db, NULL, "k", "else");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_PROCESS));
    expect_text(f->db, NULL, "k", "v");
    add(NULL, "k2", "v2");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_COMMIT));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "k k2");
}

static void clear_empties_it_for_use_again(void **state)
{
    struct fixture *f = *state;
    add(NULL, "k", "v");
    loam_batch_clear(batch);
    add(NULL, "other", "v");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "other");
}

static void an_empty_batch_is_ok_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    for (int how = LOAM_DURABLE_DEFAULT; how <= LOAM_DURABLE_PROCESS; how++)
        expect_ok(loam_write(f->db, batch, (loam_durability)how));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
}

static void a_durability_that_is_none_is_invalid(void **state)
{
    struct fixture *f = *state;
    add(NULL, "k", "v");
    expect_failure(LOAM_INVALID, "durability", loam_write(f->db, batch, (loam_durability)4));
    expect_status(LOAM_INVALID, loam_write(f->db, batch, (loam_durability)-1));
    expect_text(f->db, NULL, "k", NULL);
}

static void an_add_that_failed_is_reported_by_the_write_until_cleared(void **state)
{
    struct fixture *f = *state;
    uint8_t *key = fixture_bytes(65536, 1);
    add(NULL, "k", "v");
    expect_failure(LOAM_TOOBIG, "65536",
                   loam_batch_put(batch, NULL, loam_bytes(key, 65536), loam_str("v")));
    add(NULL, "k2", "v2");
    expect_failure(LOAM_TOOBIG, "65536", loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_TOOBIG, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
    loam_batch_clear(batch);
    add(NULL, "k", "v");
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", "v");
    free(key);
}

static void a_broken_slice_fails_the_add(void **state)
{
    struct fixture *f = *state;
    const loam_slice broken = {NULL, 5};
    expect_status(LOAM_INVALID, loam_batch_delete(batch, NULL, broken));
    expect_status(LOAM_INVALID, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
}

static void a_collection_of_another_database_is_refused_whole(void **state)
{
    struct fixture *f = *state;
    loam_db *other;
    loam_coll *theirs, *ours;
    expect_ok(loam_open(fixture_path(f, "other"), NULL, &other));
    expect_ok(loam_create(other, "c", NULL, &theirs));
    expect_ok(loam_create(f->db, "c", NULL, &ours));
    add(NULL, "k", "v");
    add(theirs, "k", "v");
    expect_failure(LOAM_INVALID, "another database",
                   loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    add(ours, "k", "v"); /* of two databases: neither takes it */
    expect_status(LOAM_INVALID, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_INVALID, loam_write(other, batch, LOAM_DURABLE_DEFAULT));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
    assert_string_equal(keys_forward(other, theirs, NULL), "");
    expect_ok(loam_close(other));
}

static void a_dropped_collection_is_refused_whole(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    add(NULL, "k", "v");
    add(coll, "k", "v");
    expect_ok(loam_drop(f->db, "c"));
    expect_failure(LOAM_MISUSE, "dropped", loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", NULL);
    expect_ok(loam_create(f->db, "c", NULL, &coll)); /* the name, and not the collection */
    expect_status(LOAM_MISUSE, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, coll, "k", NULL);
    put_text(f->db, NULL, "k", "the database goes on");
}

/* 2 GiB of adds without a write; only the batch holds them. */
static void a_batch_over_2_gib_is_too_big(void **state)
{
    struct fixture *f = *state;
    const size_t piece = (size_t)255 << 20;
    const char *slowdown = getenv("SLOWDOWN");
    const uint64_t memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (memory < UINT64_C(6) << 30 || (slowdown != NULL && atoi(slowdown) > 1)) skip();
    uint8_t *value = calloc(1, piece);
    loam_status rc = LOAM_OK;
    unsigned added = 0;
    while (rc == LOAM_OK && added < 20) {
        rc = loam_batch_put(batch, NULL, loam_str("k"), loam_bytes(value, piece));
        added += rc == LOAM_OK;
    }
    free(value);
    expect_failure(LOAM_TOOBIG, "2 GiB", rc);
    assert_int_equal(added, 8);
    expect_status(LOAM_TOOBIG, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", NULL);
}

static void a_batch_of_many_entries_is_visible_at_once(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 50000 };
    char key[16];
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%06u", i * 7919 % COUNT);
        add(NULL, key, "v");
    }
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    fixture_reopen(f);
    loam_iter *it;
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%06u", i);
        expect_ok(loam_iter_next(it));
        assert_memory_equal(loam_iter_key(it).data, key, 6);
    }
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    loam_iter_close(it);
}

#define test_batch(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_batch(nothing_is_there_before_the_write),
        test_batch(a_batch_spans_collections),
        test_batch(of_two_entries_with_one_key_the_later_counts),
        test_batch(a_write_leaves_the_batch_unchanged),
        test_batch(clear_empties_it_for_use_again),
        test_batch(an_empty_batch_is_ok_and_changes_nothing),
        test_batch(a_durability_that_is_none_is_invalid),
        test_batch(an_add_that_failed_is_reported_by_the_write_until_cleared),
        test_batch(a_broken_slice_fails_the_add),
        test_batch(a_collection_of_another_database_is_refused_whole),
        test_batch(a_dropped_collection_is_refused_whole),
        test_batch(a_batch_over_2_gib_is_too_big),
        test_batch(a_batch_of_many_entries_is_visible_at_once),
    };
    return cmocka_run_group_tests_name("api/batches", tests, NULL, NULL);
}
