/*
 * test_lifetimes.c - what outlives what: handles and their database, a process and its child.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void closing_and_freeing_accept_null(void **state)
{
    (void)state;
    loam_snapshot_close(NULL);
    loam_iter_close(NULL);
    loam_batch_free(NULL);
    loam_batch_clear(NULL);
    loam_buf_free(NULL);
    expect_ok(loam_close(NULL));
}

static void close_with_children_open_is_busy_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    loam_iter *iters[3];
    loam_snapshot *snaps[2];
    put_text(f->db, NULL, "k", "v");
    for (int i = 0; i < 3; i++)
        expect_ok(loam_iter_open(f->db, NULL, NULL, &iters[i]));
    for (int i = 0; i < 2; i++)
        expect_ok(loam_snapshot_open(f->db, &snaps[i]));
    expect_failure(LOAM_BUSY, "3 iter", loam_close(f->db));
    expect_message("2 snapshot");
    put_text(f->db, NULL, "k", "it goes on");
    expect_text(f->db, NULL, "k", "it goes on");
    for (int i = 0; i < 3; i++) {
        expect_ok(loam_iter_next(iters[i]));
        loam_iter_close(iters[i]);
    }
    expect_failure(LOAM_BUSY, "2 snapshot", loam_close(f->db));
    loam_snapshot_close(snaps[0]);
    expect_failure(LOAM_BUSY, "1 snapshot", loam_close(f->db));
    loam_snapshot_close(snaps[1]);
    fixture_close(f);
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "it goes on");
}

static void an_iterator_alone_keeps_the_database_open(void **state)
{
    struct fixture *f = *state;
    loam_iter *it;
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    expect_failure(LOAM_BUSY, "1 iter", loam_close(f->db));
    loam_iter_close(it);
    fixture_close(f);
}

static void a_failed_open_of_an_iterator_keeps_nothing_open(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.flags = 8};
    loam_iter *it;
    expect_status(LOAM_INVALID, loam_iter_open(f->db, NULL, &range, &it));
    fixture_close(f);
}

static void a_batch_outlives_the_database_it_was_written_to(void **state)
{
    struct fixture *f = *state;
    loam_batch *batch = loam_batch_new();
    assert_non_null(batch);
    expect_ok(loam_batch_put(batch, NULL, loam_str("k"), loam_str("v")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    fixture_reopen(f);
    expect_text(f->db, NULL, "k", NULL);
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", "v");
    loam_batch_free(batch);
}

static void a_store_can_be_opened_and_closed_many_times(void **state)
{
    struct fixture *f = *state;
    char key[16];
    size_t most = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%03d", i);
        put_text(f->db, NULL, key, "v");
        if (i % 3 == 0) expect_ok(loam_flush(f->db, NULL));
        fixture_reopen(f);
        const size_t count = fixture_file_count(f->store);
        if (count > most) most = count;
    }
    assert_true(most < 60);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%03d", i);
        expect_text(f->db, NULL, key, "v");
    }
}

/* ---- fork --------------------------------------------------------------------------------------- */

static loam_iter *inherited_iter;
static loam_snapshot *inherited_snap;

static int misuse(loam_status rc)
{
    return rc == LOAM_MISUSE ? 0 : 1;
}

/* In the child: everything answers LOAM_MISUSE; the exit status counts what does not. */
static int use_inherited(struct fixture *f)
{
    loam_buf value = {0};
    loam_coll *coll;
    loam_iter *it;
    loam_snapshot *snap;
    loam_stats stats = {.struct_size = sizeof stats};
    loam_batch *batch = loam_batch_new();
    const loam_slice k = loam_str("k");
    int wrong = 0;
    if (loam_batch_put(batch, NULL, k, k) < 0) wrong++;
    wrong += misuse(loam_put(f->db, NULL, k, loam_str("from the child")));
    wrong += misuse(loam_delete(f->db, NULL, k));
    wrong += misuse(loam_get(f->db, NULL, k, &value));
    wrong += misuse(loam_exists(f->db, NULL, k));
    wrong += misuse(loam_get_at(f->db, NULL, inherited_snap, k, &value));
    wrong += misuse(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    wrong += misuse(loam_sync(f->db));
    wrong += misuse(loam_create(f->db, "c", NULL, &coll));
    wrong += misuse(loam_collection(f->db, "default", &coll));
    wrong += misuse(loam_rename(f->db, "a", "b"));
    wrong += misuse(loam_drop(f->db, "a"));
    wrong += misuse(loam_snapshot_open(f->db, &snap));
    wrong += misuse(loam_iter_open(f->db, NULL, NULL, &it));
    wrong += misuse(loam_iter_next(inherited_iter));
    wrong += misuse(loam_iter_first(inherited_iter));
    wrong += misuse(loam_stats_get(f->db, &stats));
    wrong += misuse(loam_flush(f->db, NULL));
    wrong += misuse(loam_compact(f->db, NULL, NULL));
    wrong += misuse(loam_verify_open(f->db, NULL, NULL));
    wrong += misuse(loam_close(f->db));
    wrong += strstr(loam_errmsg(), "fork") == NULL;
    loam_batch_free(batch);
    return wrong;
}

static void a_forked_child_gets_misuse_and_its_parent_goes_on(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_iter_open(f->db, NULL, NULL, &inherited_iter));
    expect_ok(loam_snapshot_open(f->db, &inherited_snap));
    struct fixture_child child = fixture_child_start(f, use_inherited);
    assert_int_equal(fixture_child_end(&child), 0);
    expect_ok(loam_iter_next(inherited_iter));
    loam_iter_close(inherited_iter);
    loam_snapshot_close(inherited_snap);
    put_text(f->db, NULL, "k2", "v2");
    expect_ok(loam_flush(f->db, NULL));
    fixture_reopen(f);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "k k2");
}

static int sleep_on(struct fixture *f)
{
    (void)f;
    fixture_child_ready();
    return 0;
}

static void a_forked_child_does_not_keep_the_lock(void **state)
{
    struct fixture *f = *state;
    struct fixture_child child = fixture_child_start(f, sleep_on);
    fixture_close(f);
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    assert_int_equal(fixture_child_end(&child), 0);
    expect_text(f->db, NULL, "k", "v");
}

static int try_open(struct fixture *f)
{
    loam_db *db;
    const loam_status rc = loam_open(f->store, NULL, &db);
    return rc == LOAM_LOCKED ? 0 : 1;
}

static void a_forked_child_that_opens_the_store_anew_finds_it_locked(void **state)
{
    struct fixture *f = *state;
    struct fixture_child child = fixture_child_start(f, try_open);
    assert_int_equal(fixture_child_end(&child), 0);
    put_text(f->db, NULL, "k", "v");
}

static int open_when_told(struct fixture *f)
{
    loam_db *db;
    fixture_child_ready();
    if (loam_open(f->store, NULL, &db) != LOAM_OK) return 1;
    if (loam_put(db, NULL, loam_str("child"), loam_str("v")) != LOAM_OK) return 2;
    return loam_close(db) == LOAM_OK ? 0 : 3;
}

static void a_child_may_open_the_store_when_its_parent_has_closed_it(void **state)
{
    struct fixture *f = *state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* it allows no threads in the child of a process that has some */
#endif
    struct fixture_child child = fixture_child_start(f, open_when_told);
    put_text(f->db, NULL, "parent", "v");
    fixture_close(f);
    assert_int_equal(fixture_child_end(&child), 0);
    fixture_open(f, NULL);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "child parent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_and_freeing_accept_null),
        test_open(close_with_children_open_is_busy_and_changes_nothing),
        test_open(an_iterator_alone_keeps_the_database_open),
        test_open(a_failed_open_of_an_iterator_keeps_nothing_open),
        test_open(a_batch_outlives_the_database_it_was_written_to),
        test_open(a_store_can_be_opened_and_closed_many_times),
        test_open(a_forked_child_gets_misuse_and_its_parent_goes_on),
        test_open(a_forked_child_does_not_keep_the_lock),
        test_open(a_forked_child_that_opens_the_store_anew_finds_it_locked),
        test_open(a_child_may_open_the_store_when_its_parent_has_closed_it),
    };
    return cmocka_run_group_tests_name("api/lifetimes", tests, NULL, NULL);
}
