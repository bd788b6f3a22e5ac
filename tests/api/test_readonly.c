/*
 * test_readonly.c - reading without writing, and who may have a store open beside whom.
 */
#include "../lib/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static loam_options reading(void)
{
    loam_options options = fixture_options();
    options.read_only = true;
    return options;
}

/* A store with tables, a collection and a tail of the log. */
static void fill(struct fixture *f)
{
    loam_coll *coll;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "in a table", "1");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_create(f->db, "other", NULL, &coll));
    put_text(f->db, coll, "in the log", "2");
    put_text(f->db, NULL, "in a table", "3");
}

static void check_filled(loam_db *db)
{
    loam_coll *coll;
    expect_ok(loam_collection(db, "other", &coll));
    expect_text(db, coll, "in the log", "2");
    expect_text(db, NULL, "in a table", "3");
    assert_string_equal(keys_backward(db, NULL, NULL), "in a table");
}

/* Dies while the store is open, as with kill -9. */
static int fill_and_die(struct fixture *f)
{
    fill(f);
    return 0;
}

static void it_replays_the_log_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    struct fixture_child child = fixture_child_start(f, fill_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    char *before = fixture_listing(f->store);
    for (int round = 0; round < 2; round++) {
        fixture_open(f, &options);
        check_filled(f->db);
        fixture_close(f);
    }
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
    fixture_open(f, NULL);
    check_filled(f->db);
}

static void it_opens_what_was_closed_cleanly(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    fill(f);
    fixture_close(f);
    char *before = fixture_listing(f->store);
    fixture_open(f, &options);
    check_filled(f->db);
    fixture_close(f);
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void it_refuses_every_write(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    const loam_slice k = loam_str("k");
    loam_batch *batch = loam_batch_new();
    loam_coll *coll;
    fill(f);
    fixture_close(f);
    fixture_open(f, &options);
    expect_ok(loam_batch_put(batch, NULL, k, k));
    expect_failure(LOAM_READONLY, "read-only", loam_put(f->db, NULL, k, k));
    expect_status(LOAM_READONLY, loam_delete(f->db, NULL, k));
    expect_status(LOAM_READONLY, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_READONLY, loam_create(f->db, "new", NULL, &coll));
    expect_status(LOAM_READONLY, loam_rename(f->db, "other", "else"));
    expect_status(LOAM_READONLY, loam_drop(f->db, "other"));
    expect_status(LOAM_READONLY, loam_flush(f->db, NULL));
    expect_status(LOAM_READONLY, loam_compact(f->db, NULL, NULL));
    check_filled(f->db);
    loam_batch_free(batch);
}

static void it_does_all_that_reads(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_snapshot *snap;
    loam_stats stats = {.struct_size = sizeof stats};
    fill(f);
    fixture_close(f);
    fixture_open(f, &options);
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_text_at(f->db, NULL, snap, "in a table", "3");
    expect_ok(loam_exists(f->db, NULL, loam_str("in a table")));
    expect_ok(loam_stats_get(f->db, &stats));
    assert_int_equal(stats.fenced, LOAM_OK);
    assert_int_equal(stats.put_count, 0);
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    loam_snapshot_close(snap);
}

static void it_never_creates_a_store(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_db *db;
    expect_status(LOAM_IOERR, loam_open(f->store, &options, &db));
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_equal(fixture_file_count(f->home), 0);
}

/* ---- one writer, or any number of readers ----------------------------------------------------- */

static void a_second_open_in_this_process_is_locked(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_db *second;
    char pid[24];
    fixture_open(f, NULL);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    expect_failure(LOAM_LOCKED, pid, loam_open(f->store, NULL, &second));
    expect_message(f->store);
    expect_status(LOAM_LOCKED, loam_open(f->store, &options, &second));
    put_text(f->db, NULL, "k", "the first is untouched");
    fixture_close(f);
    expect_ok(loam_open(f->store, NULL, &f->db));
}

static void several_readers_in_one_process_share_a_store(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_db *second, *writer;
    fill(f);
    fixture_close(f);
    fixture_open(f, &options);
    expect_ok(loam_open(f->store, &options, &second));
    check_filled(f->db);
    check_filled(second);
    expect_status(LOAM_LOCKED, loam_open(f->store, NULL, &writer));
    fixture_close(f);
    expect_status(LOAM_LOCKED, loam_open(f->store, NULL, &writer));
    expect_ok(loam_close(second));
    fixture_open(f, NULL);
}

static int hold_writing(struct fixture *f)
{
    fixture_open(f, NULL);
    fixture_child_ready();
    return loam_close(f->db) == LOAM_OK ? 0 : 1;
}

static int hold_reading(struct fixture *f)
{
    const loam_options options = reading();
    fixture_open(f, &options);
    fixture_child_ready();
    return loam_close(f->db) == LOAM_OK ? 0 : 1;
}

static void another_process_that_writes_locks_out_all_and_is_named(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_db *db;
    char pid[24];
    fill(f);
    fixture_close(f);
    struct fixture_child child = fixture_child_start(f, hold_writing);
    snprintf(pid, sizeof pid, "%ld", (long)child.pid);
    expect_failure(LOAM_LOCKED, pid, loam_open(f->store, NULL, &db));
    expect_failure(LOAM_LOCKED, pid, loam_open(f->store, &options, &db));
    expect_status(LOAM_LOCKED, loam_verify(f->store, NULL, NULL));
    assert_int_equal(fixture_child_end(&child), 0);
    fixture_open(f, NULL);
    check_filled(f->db);
}

static void another_process_that_reads_locks_out_writers_only(void **state)
{
    struct fixture *f = *state;
    const loam_options options = reading();
    loam_db *db;
    fill(f);
    fixture_close(f);
    struct fixture_child child = fixture_child_start(f, hold_reading);
    expect_status(LOAM_LOCKED, loam_open(f->store, NULL, &db));
    expect_ok(loam_open(f->store, &options, &db));
    check_filled(db);
    expect_ok(loam_close(db));
    assert_int_equal(fixture_child_end(&child), 0);
    fixture_open(f, NULL);
}

static int open_and_die(struct fixture *f)
{
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_child_ready();
    return 0;
}

static void a_dead_process_locks_nobody_out(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    struct fixture_child child = fixture_child_start(f, open_and_die);
    expect_status(LOAM_LOCKED, loam_open(f->store, NULL, &db));
    assert_int_equal(fixture_child_end(&child), 0);
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(it_replays_the_log_and_writes_nothing),
        test_closed(it_opens_what_was_closed_cleanly),
        test_closed(it_refuses_every_write),
        test_closed(it_does_all_that_reads),
        test_closed(it_never_creates_a_store),
        test_closed(a_second_open_in_this_process_is_locked),
        test_closed(several_readers_in_one_process_share_a_store),
        test_closed(another_process_that_writes_locks_out_all_and_is_named),
        test_closed(another_process_that_reads_locks_out_writers_only),
        test_closed(a_dead_process_locks_nobody_out),
    };
    return cmocka_run_group_tests_name("api/readonly", tests, NULL, NULL);
}
