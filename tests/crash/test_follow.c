/*
 * test_follow.c - at every change of the disk that a history makes, a follower shows what would be recovered if its writer died now.
 *
 * The history's calls are let in on: before each call that changes the disk, from within whatever the writer is doing, the follower is
 * refreshed; and, at some of them, a copy of the disk as it stands is opened as after a death, and both show the same. The follower
 * is opened somewhere in the history, stands still for a while now and then, and lives on over the writer's closings and openings.
 * SEED=n replays one seed; HISTORIES=n sets how many there are.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"
#include "lib/history.h"
#include "lib/same.h"
#include "lib/seeds.h"

enum { HISTORIES = 150, COMPARE_ONE_IN = 5, REST_ONE_IN = 40, REST_MOST = 60 };

static uint64_t histories, refreshes, compared;

struct following {
    struct history *history;
    struct rand rand;
    struct db_world world;
    loam_options options;
    loam_db *db;
    uint64_t rests; /* calls until the next refresh */
    bool is_inside;
};

static void must(const struct following *f, const char *what, loam_status rc)
{
    if (rc == LOAM_OK) return;
    fail_msg("SEED=%llu (%s), refresh %llu: %s: %s %s", (unsigned long long)f->history->seed,
             f->history->doing, (unsigned long long)refreshes, what, loam_status_name(rc),
             loam_errmsg());
}

/* What a crash of the writer now would recover. */
static void compare_with_a_recovered_copy(struct following *f)
{
    struct simdisk *twin = simdisk_twin(f->history->disk);
    struct db_world world = f->world;
    loam_options options = f->options;
    loam_db *db = NULL;
    world.sys = simdisk_table(twin);
    options.follow = false;
    must(f, "opening a copy", db_open_in(&world, "db", &options, &db));
    expiry_note_time(f->db, atomic_load(&db->clock_ms)); /* the manifest may know of a later time */
    expiry_note_time(db, atomic_load(&f->db->clock_ms));
    const char *differs = same_differs(f->db, db);
    if (differs != NULL)
        fail_msg("SEED=%llu (%s), refresh %llu: %s", (unsigned long long)f->history->seed,
                 f->history->doing, (unsigned long long)refreshes, differs);
    must(f, "closing a copy", loam_close(db));
    simdisk_free(twin);
    compared++;
}

static void open_follower(struct following *f)
{
    const struct history *h = f->history;
    f->options = loam_options_default();
    f->options.memory_bytes = 4 << 20;
    f->options.merge_operators = &model_tail;
    f->options.merge_operator_count = 1;
    f->options.follow = true;
    f->options.read_only = f->options.must_exist = true;
    f->world = (struct db_world){.sys = simdisk_table(h->disk), .page_bytes = 256};
    const loam_status rc = db_open_in(&f->world, "db", &f->options, &f->db);
    if (rc == LOAM_IOERR && loam_errno() == ENOENT && h->acknowledged == 0) return;
    must(f, "opening", rc);
}

static void follow_change(struct history *h)
{
    struct following *f = h->watch_ctx;
    struct failure failure;
    if (f->is_inside) return;
    if (f->rests > 0) {
        f->rests--;
        return;
    }
    f->is_inside = true;
    failure_save(&failure);
    if (f->db == NULL)
        open_follower(f);
    else
        must(f, "refreshing", loam_refresh(f->db));
    refreshes++;
    if (f->db != NULL && rand_below(&f->rand, COMPARE_ONE_IN) == 0)
        compare_with_a_recovered_copy(f);
    if (rand_below(&f->rand, REST_ONE_IN) == 0) f->rests = rand_below(&f->rand, REST_MOST);
    failure_restore(&failure);
    f->is_inside = false;
}

static void follow_history(uint64_t seed)
{
    struct history *h = history_new(seed, 0);
    struct following f = {.history = h, .rand = {seed * 7919}};
    f.rests = rand_below(&f.rand, 200);
    h->watch_ctx = &f;
    h->before_change = follow_change;
    must(&f, "the history", history_run(h));
    f.rests = 0;
    follow_change(h);
    h->before_change = NULL;
    must(&f, "closing", loam_close(f.db));
    history_free(h);
}

static void a_follower_shows_what_a_death_of_the_writer_would_leave(void **state)
{
    (void)state;
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed); histories++)
        follow_history(seed);
    figures_print((const struct figure[]){{"histories", histories},
                                          {"refreshes", refreshes},
                                          {"compared", compared}},
                  3);
}

/* ---- a snapshot of two states ---------------------------------------------------------------- */

static struct meanwhile { /* what the follower's own calls of the disk let in */
    struct sys calls;
    const struct sys *below;
    loam_db *db;
    loam_snapshot *snap;
    bool is_due;
} meanwhile;

static int64_t read_meanwhile(void *ctx, int fd, uint64_t offset, void *dst, size_t len)
{
    if (meanwhile.is_due && meanwhile.snap == NULL)
        assert_int_equal(loam_snapshot_open(meanwhile.db, &meanwhile.snap), LOAM_OK);
    return meanwhile.below->read(ctx, fd, offset, dst, len);
}

static void put(loam_db *db, loam_coll *coll, const char *key, const char *value)
{
    assert_int_equal(loam_put(db, coll, loam_str(key), loam_str(value)), LOAM_OK);
}

static void expect_at(loam_db *db, const loam_snapshot *snap, const char *key, const char *value)
{
    loam_buf found = {0};
    assert_int_equal(loam_get_at(db, NULL, snap, loam_str(key), &found), LOAM_OK);
    assert_int_equal(found.len, strlen(value));
    assert_memory_equal(found.data, value, found.len);
    loam_buf_free(&found);
}

static void a_snapshot_that_is_opened_during_a_refresh_sees_what_was_before(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct db_world world = {.sys = simdisk_table(disk), .seed = 1};
    loam_options options = loam_options_default();
    loam_db *writer;
    options.memory_bytes = 4 << 20;
    assert_int_equal(db_open_in(&world, "db", &options, &writer), LOAM_OK);
    put(writer, NULL, "k", "old");
    meanwhile = (struct meanwhile){.below = world.sys.calls, .calls = *world.sys.calls};
    meanwhile.calls.read = read_meanwhile;
    world.sys.calls = &meanwhile.calls;
    options.follow = true;
    assert_int_equal(db_open_in(&world, "db", &options, &meanwhile.db), LOAM_OK);
    put(writer, NULL, "k", "new");
    assert_int_equal(loam_flush(writer, NULL), LOAM_OK);
    assert_int_equal(loam_create(writer, "more", NULL, NULL), LOAM_OK);
    meanwhile.is_due = true;
    assert_int_equal(loam_refresh(meanwhile.db), LOAM_BUSY);
    assert_non_null(meanwhile.snap);
    expect_at(meanwhile.db, meanwhile.snap, "k", "old");
    loam_snapshot_close(meanwhile.snap);
    meanwhile.is_due = false;
    assert_int_equal(loam_refresh(meanwhile.db), LOAM_OK);
    expect_at(meanwhile.db, NULL, "k", "new");
    assert_int_equal(loam_close(meanwhile.db), LOAM_OK);
    assert_int_equal(loam_close(writer), LOAM_OK);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_that_is_opened_during_a_refresh_sees_what_was_before),
        cmocka_unit_test(a_follower_shows_what_a_death_of_the_writer_would_leave),
    };
    return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
