/*
 * test_snapshots.c - what a snapshot sees, whatever happens after it, and what the order of commits promises.
 */
#include "../lib/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void a_snapshot_sees_what_was_there_when_it_was_opened(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    put_text(f->db, NULL, "kept", "old");
    put_text(f->db, NULL, "deleted", "old");
    expect_ok(loam_snapshot_open(f->db, &snap));
    put_text(f->db, NULL, "kept", "new");
    put_text(f->db, NULL, "added", "new");
    expect_ok(loam_delete(f->db, NULL, loam_str("deleted")));
    expect_text_at(f->db, NULL, snap, "kept", "old");
    expect_text_at(f->db, NULL, snap, "deleted", "old");
    expect_text_at(f->db, NULL, snap, "added", NULL);
    expect_text_at(f->db, NULL, NULL, "kept", "new");
    expect_text(f->db, NULL, "deleted", NULL);
    const loam_range range = {.at = snap};
    assert_string_equal(keys_forward(f->db, NULL, &range), "deleted kept");
    assert_string_equal(keys_backward(f->db, NULL, &range), "kept deleted");
    assert_string_equal(keys_forward(f->db, NULL, NULL), "added kept");
    loam_snapshot_close(snap);
}

static void flush_and_compaction_do_not_take_it_away(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snaps[4];
    char value[16];
    for (int i = 0; i < 4; i++) {
        snprintf(value, sizeof value, "%d", i);
        put_text(f->db, NULL, "k", value);
        expect_ok(loam_snapshot_open(f->db, &snaps[i]));
        if (i % 2 == 0) expect_ok(loam_flush(f->db, NULL));
    }
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            snprintf(value, sizeof value, "%d", i);
            expect_text_at(f->db, NULL, snaps[i], "k", value);
        }
        expect_text(f->db, NULL, "k", NULL);
        if (round == 0) expect_ok(loam_flush(f->db, NULL));
        if (round == 1) expect_ok(loam_compact(f->db, NULL, NULL));
    }
    loam_snapshot_close(snaps[1]); /* not in order of opening */
    loam_snapshot_close(snaps[3]);
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_text_at(f->db, NULL, snaps[0], "k", "0");
    expect_text_at(f->db, NULL, snaps[2], "k", "2");
    loam_snapshot_close(snaps[0]);
    loam_snapshot_close(snaps[2]);
    expect_ok(loam_compact(f->db, NULL, NULL));
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(f->db, NULL, &stats));
    assert_int_equal(stats.entry_count, 0);
}

static void a_snapshot_spans_all_collections(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll, *later;
    loam_snapshot *snap;
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    put_text(f->db, coll, "k", "old");
    expect_ok(loam_snapshot_open(f->db, &snap));
    put_text(f->db, coll, "k", "new");
    expect_ok(loam_create(f->db, "later", NULL, &later));
    put_text(f->db, later, "k", "new");
    expect_text_at(f->db, coll, snap, "k", "old");
    expect_text_at(f->db, later, snap, "k", NULL);
    loam_snapshot_close(snap);
}

static void an_iterator_goes_on_when_its_snapshot_is_closed(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    loam_iter *it;
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%04d", i);
        put_text(f->db, NULL, key, "old");
        if (i == 500) expect_ok(loam_flush(f->db, NULL));
    }
    expect_ok(loam_snapshot_open(f->db, &snap));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%04d", i);
        put_text(f->db, NULL, key, "new");
    }
    const loam_range range = {.at = snap};
    expect_ok(loam_iter_open(f->db, NULL, &range, &it));
    expect_ok(loam_iter_next(it));
    loam_snapshot_close(snap);
    expect_ok(loam_compact(f->db, NULL, NULL));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%04d", i);
        assert_memory_equal(loam_iter_key(it).data, key, 4);
        assert_memory_equal(loam_iter_value(it).data, "old", 3);
        expect_status(i < 999 ? LOAM_OK : LOAM_NOTFOUND, loam_iter_next(it));
    }
    loam_iter_close(it);
}

static void a_snapshot_of_another_database_is_invalid(void **state)
{
    struct fixture *f = *state;
    loam_db *other;
    loam_snapshot *snap;
    loam_iter *it;
    loam_buf value = {0};
    expect_ok(loam_open(fixture_path(f, "other"), NULL, &other));
    expect_ok(loam_snapshot_open(other, &snap));
    const loam_range range = {.at = snap};
    expect_failure(LOAM_INVALID, "another database",
                   loam_get_at(f->db, NULL, snap, loam_str("k"), &value));
    expect_status(LOAM_INVALID, loam_iter_open(f->db, NULL, &range, &it));
    loam_snapshot_close(snap);
    expect_ok(loam_close(other));
}

static void stats_tell_the_age_of_the_oldest(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *first, *second;
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(f->db, &stats));
    assert_int_equal(stats.snapshot_oldest_ms, 0);
    expect_ok(loam_snapshot_open(f->db, &first));
    usleep(20000); /* the clock is the system's here */
    expect_ok(loam_snapshot_open(f->db, &second));
    expect_ok(loam_stats_get(f->db, &stats));
    assert_true(stats.snapshot_oldest_ms >= 19);
    loam_snapshot_close(first);
    loam_snapshot_close(second);
    expect_ok(loam_stats_get(f->db, &stats));
    assert_int_equal(stats.snapshot_oldest_ms, 0);
}

/* ---- what survives a kill ---------------------------------------------------------------------- */

/* Commits in every class, then dies without a word. */
static int commit_and_die(struct fixture *f)
{
    char key[16];
    fixture_open(f, NULL);
    for (int i = 0; i < 600; i++) {
        loam_batch *batch = loam_batch_new();
        snprintf(key, sizeof key, "%04d", i);
        if (loam_batch_put(batch, NULL, loam_str(key), loam_str("one")) < 0) return 1;
        snprintf(key, sizeof key, "%04d+", i);
        if (loam_batch_put(batch, NULL, loam_str(key), loam_str("two")) < 0) return 1;
        if (loam_write(f->db, batch, (loam_durability)(i % 4)) < 0) return 2;
        loam_batch_free(batch);
    }
    raise(SIGKILL);
    return 3;
}

static void every_acknowledged_commit_survives_kill_whatever_its_class(void **state)
{
    struct fixture *f = *state;
    char key[16];
    loam_iter *it;
    struct fixture_child child = fixture_child_start(f, commit_and_die);
    assert_int_equal(fixture_child_end(&child), -1);
    fixture_open(f, NULL);
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    for (int i = 0; i < 1200; i++) {
        snprintf(key, sizeof key, "%04d%s", i / 2, i % 2 ? "+" : "");
        expect_ok(loam_iter_next(it));
        assert_int_equal(loam_iter_key(it).len, strlen(key));
        assert_memory_equal(loam_iter_key(it).data, key, strlen(key));
    }
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    loam_iter_close(it);
}

static void every_durability_can_be_asked_of_database_and_batch(void **state)
{
    struct fixture *f = *state;
    char key[24];
    size_t count = 0;
    for (int opened = 0; opened < 4; opened++) {
        loam_options options = fixture_options();
        options.durability = (loam_durability)opened;
        fixture_open(f, &options);
        for (int how = 0; how < 4; how++) {
            loam_batch *batch = loam_batch_new();
            snprintf(key, sizeof key, "%d %d", opened, how);
            expect_ok(loam_batch_put(batch, NULL, loam_str(key), loam_str("v")));
            expect_ok(loam_write(f->db, batch, (loam_durability)how));
            loam_batch_free(batch);
            expect_text(f->db, NULL, key, "v");
            count++;
        }
        expect_ok(loam_sync(f->db));
        expect_ok(loam_sync(f->db));
        fixture_close(f);
    }
    fixture_open(f, NULL);
    assert_int_equal(strlen(keys_forward(f->db, NULL, NULL)), count * 4 - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_snapshot_sees_what_was_there_when_it_was_opened),
        test_open(flush_and_compaction_do_not_take_it_away),
        test_open(a_snapshot_spans_all_collections),
        test_open(an_iterator_goes_on_when_its_snapshot_is_closed),
        test_open(a_snapshot_of_another_database_is_invalid),
        test_open(stats_tell_the_age_of_the_oldest),
        test_closed(every_acknowledged_commit_survives_kill_whatever_its_class),
        test_closed(every_durability_can_be_asked_of_database_and_batch),
    };
    return cmocka_run_group_tests_name("api/snapshots", tests, NULL, NULL);
}
