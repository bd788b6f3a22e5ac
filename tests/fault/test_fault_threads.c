/*
 * test_fault_threads.c - faults where threads do the work: there is no thread, or the work in the background fails.
 *
 * An opening without a thread says so. What fails in the background is heard by the next writers: they are refused, with the cause, or wait for
 * nothing that nobody does; and when a full disk has room again, what waits is flushed without anybody asking.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "db/db.h"
#include "lib/simdisk.h"
#include "memtable/arena_pool.h"

enum { THREADS = 3, PUTS_MAX = 100000, WAITS_MAX = 20000, WAIT_US = 5000, PAGE = 4096 };

static loam_status open_on(struct simdisk *disk, loam_db **out)
{
    const struct db_world world = {.sys = simdisk_table(disk),
                                   .threaded = true,
                                   .mapped_log = true,
                                   .log_bytes_least = 16384,
                                   .page_bytes = 256};
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 16 << 10;
    options.background_threads = THREADS;
    options.durability = LOAM_DURABLE_PROCESS;
    return db_open_in(&world, "db", &options, out);
}

static loam_status put_number(loam_db *db, unsigned i)
{
    char key[16];
    snprintf(key, sizeof key, "%08u", i);
    static const char value[200];
    return loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value));
}

/* Puts until one is refused; answers its status and how many were taken. */
static loam_status put_until_refused(loam_db *db, unsigned *taken)
{
    loam_status rc = LOAM_OK;
    for (*taken = 0; *taken < PUTS_MAX; ++*taken) {
        rc = put_number(db, *taken);
        if (rc < 0) break;
    }
    return rc;
}

static void check_all_there(loam_db *db, unsigned count)
{
    char key[16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%08u", i);
        assert_int_equal(loam_exists(db, NULL, loam_str(key)), LOAM_OK);
    }
}

static void an_opening_without_a_thread_says_so(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    loam_db *db;
    assert_int_equal(open_on(disk, &db), LOAM_OK);
    assert_int_equal(put_number(db, 0), LOAM_OK);
    assert_int_equal(loam_close(db), LOAM_OK);
    mem_fail_at(0, false);
    const int64_t live = mem_live_count();
    for (unsigned nth = 1; nth <= THREADS + 1;
         nth++) { /* the one that tends the log, and the others */
        thread_fail_at(nth);
        assert_int_equal(open_on(disk, &db), LOAM_IOERR);
        assert_null(db);
        assert_int_equal(loam_errno(), EAGAIN);
        assert_non_null(strstr(loam_errmsg(), "thread"));
        assert_int_equal(mem_live_count(), live);
    }
    thread_fail_at(0);
    assert_int_equal(open_on(disk, &db), LOAM_OK);
    check_all_there(db, 1);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
}

static void an_error_in_the_background_is_every_later_writers(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(2);
    loam_db *db;
    unsigned taken;
    assert_int_equal(open_on(disk, &db), LOAM_OK);
    assert_int_equal(put_number(db, 0), LOAM_OK); /* the log has a segment */
    simdisk_fail_at(disk, 1, EIO, true);
    const loam_status rc = put_until_refused(db, &taken);
    assert_true(rc == LOAM_READONLY || rc == LOAM_IOERR);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put_number(db, 0), LOAM_READONLY);
        assert_non_null(strstr(loam_errmsg(), strerror(EIO)));
        assert_int_equal(loam_flush(db, NULL), LOAM_READONLY);
        assert_int_equal(loam_create(db, "c", NULL, NULL), LOAM_READONLY);
    }
    simdisk_fail_at(disk, 0, 0, false);
    assert_int_equal(put_number(db, 0), LOAM_READONLY); /* a failed sync is not tried again */
    check_all_there(db, taken);
    assert_int_equal(loam_close(db), LOAM_IOERR);
    assert_int_equal(open_on(disk, &db), LOAM_OK);
    assert_int_equal(put_number(db, 0), LOAM_OK);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
}

static unsigned frozen_count(loam_db *db)
{
    return atomic_load(&db->default_coll->memrun_count) - 1;
}

static void a_disk_with_room_again_is_written_to_without_asking(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(3);
    const struct sys_table sys = simdisk_table(disk);
    loam_db *db;
    unsigned taken, waits = 0;
    assert_int_equal(open_on(disk, &db), LOAM_OK);
    simdisk_full(disk, simdisk_used(disk) + 20 * PAGE);
    assert_int_equal(put_until_refused(db, &taken), LOAM_FULL);
    assert_non_null(strstr(loam_errmsg(), strerror(ENOSPC)));
    check_all_there(db, taken);
    assert_true(frozen_count(db) > 0);
    simdisk_full(disk, 0);
    while (frozen_count(db) > 0 && waits++ < WAITS_MAX) {
        sys.calls->sleep_ns(sys.ctx, 100000000);
        usleep(WAIT_US);
    }
    assert_int_equal(frozen_count(db), 0);
    assert_int_equal(put_number(db, taken), LOAM_OK);
    check_all_there(db, taken + 1);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
}

/* The simulated clock moves with each look at it, so it counts the turns of the thread that tends the log. */
static void a_fenced_database_leaves_the_processor_alone(void **state)
{
    enum { MONO_NS_A_LOOK = 100, REST_US = 300000, LOOKS_MAX = 1000 };
    struct simdisk *disk = simdisk_new(1);
    const struct sys_table sys = simdisk_table(disk);
    const struct db_world world = {.sys = sys, .threaded = true, .mapped_log = true};
    loam_options options = loam_options_default();
    loam_db *db;
    (void)state;
    options.memory_bytes = UINT64_C(256) << 20;
    assert_int_equal(db_open_in(&world, "db", &options, &db), LOAM_OK);
    assert_int_equal(db_fence(db, LOAM_IOERR), LOAM_IOERR);
    void *piece = arena_pool_take(db->arenas);
    assert_true(arena_pool_wants_tending(db->arenas));
    const uint64_t before = sys.calls->mono_ns(sys.ctx);
    usleep(REST_US);
    assert_true(sys.calls->mono_ns(sys.ctx) - before < LOOKS_MAX * MONO_NS_A_LOOK);
    arena_pool_give(db->arenas, piece);
    assert_int_equal(loam_close(db), LOAM_IOERR);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_opening_without_a_thread_says_so),
        cmocka_unit_test(a_fenced_database_leaves_the_processor_alone),
        cmocka_unit_test(an_error_in_the_background_is_every_later_writers),
        cmocka_unit_test(a_disk_with_room_again_is_written_to_without_asking),
    };
    return cmocka_run_group_tests_name("fault: threads", tests, NULL, NULL);
}
