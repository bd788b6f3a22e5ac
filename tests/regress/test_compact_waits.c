/*
 * test_compact_waits.c - who waits for a merge to end has the next turn.
 *
 * A worker that had one merge of a collection after the other to do kept the lock from the end of one to the beginning of the
 * next, so that loam_compact() waited for as long as writers kept the worker busy. Here a caller waits while the test ends a merge
 * and takes up the next, as that worker did: before the caller has come to the lock.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/last_words.h"
#include "../lib/simdisk.h"
#include "db/db.h"

enum { RUNS = 12, SECONDS_MAX = 20 };

static loam_db *open_on(struct simdisk *disk)
{
    const struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true};
    loam_options options = loam_options_default();
    loam_db *db;
    options.memory_bytes = 8 << 20;
    options.runs_per_level = 2;
    if (db_open_in(&world, "db", &options, &db) != LOAM_OK) fail_msg("%s", loam_errmsg());
    /* Opening asks for a flush, and the end of one would wake the caller. */
    while (jobs_run_one(db))
        continue;
    return db;
}

/* Flushes, without a thread that merges: several merges are due, one after the other. */
static void make_work(loam_db *db)
{
    for (uint8_t run = 0; run < RUNS; run++) {
        assert_int_equal(loam_put(db, NULL, loam_bytes(&run, 1), loam_str("v")), LOAM_OK);
        mutex_lock(&db->lane);
        assert_int_equal(view_freeze(db->default_coll), LOAM_OK);
        mutex_unlock(&db->lane);
        assert_int_equal(flush_run(db, FLUSH_DUE), LOAM_OK);
    }
    assert_true(db->default_coll->compact_queued);
}

static uint64_t merges_done(loam_db *db)
{
    return atomic_load(&db->compaction_count);
}

static void *compact(void *db)
{
    static loam_status rc;
    rc = loam_compact(db, NULL, NULL);
    return &rc;
}

static void await_claim(loam_db *db)
{
    for (bool waits = false; !waits; sched_yield()) {
        mutex_lock(&db->jobs.lock);
        waits = db->default_coll->compact_claims > 0;
        mutex_unlock(&db->jobs.lock);
    }
}

/* What a worker does at the end of its merge; the caller is not woken yet. */
static void end_merge(loam_db *db)
{
    mutex_lock(&db->jobs.lock);
    db->jobs.claimed_count--;
    db->default_coll->compact_running = false;
    mutex_unlock(&db->jobs.lock);
}

static void a_worker_with_more_to_do_lets_a_waiting_caller_go_first(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    loam_db *db = open_on(disk);
    pthread_t caller;
    void *answer;
    last_words(SECONDS_MAX, "loam_compact() does not come to its turn");
    make_work(db);
    jobs_claim(db->default_coll); /* a merge runs */
    const uint64_t before = merges_done(db);
    assert_int_equal(pthread_create(&caller, NULL, compact, db), 0);
    await_claim(db);
    end_merge(db);
    assert_true(db->default_coll->compact_queued);
    while (db->default_coll->compact_queued)
        assert_true(jobs_run_one(db));
    assert_int_equal(merges_done(db), before);

    mutex_lock(&db->jobs.lock);
    cond_broadcast(&db->jobs.done);
    mutex_unlock(&db->jobs.lock);
    assert_int_equal(pthread_join(caller, &answer), 0);
    assert_int_equal(*(loam_status *)answer, LOAM_OK);
    assert_true(merges_done(db) > before);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
    last_words_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_with_more_to_do_lets_a_waiting_caller_go_first),
    };
    return cmocka_run_group_tests_name("regress/compact_waits", tests, NULL, NULL);
}
