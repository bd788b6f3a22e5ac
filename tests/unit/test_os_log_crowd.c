/*
 * test_os_log_crowd.c - logs with many writers at once, and logs of the real kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/simdisk.h"
#include "os/log.h"
#include "os/thread.h"

#define LOG_NAME "00000001-00000001.wal"
#define NEXT_NAME "00000001-00000002.wal"

enum { LOG_BYTES = 256 << 10 };

static struct simdisk *disk;
static struct store *store;
static struct log *wal;
static enum log_use use; /* every test runs all ways */

static void begin(uint64_t seed)
{
    static const struct store_options options;
    bool is_new;
    disk = simdisk_new(seed);
    assert_int_equal(store_open(simdisk_table(disk), "d", &options, &is_new, &store), LOAM_OK);
    assert_int_equal(log_create(store, LOG_NAME, LOG_BYTES, use, &wal), LOAM_OK);
}

static int set_up(void **state)
{
    use = *(const enum log_use *)*state;
    begin(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    /* After a crash its descriptor is dead. */
    const loam_status rc = log_close(wal, false);
    assert_true(rc == LOAM_OK || rc == LOAM_IOERR);
    store_close(store);
    simdisk_free(disk);
    return 0;
}

static void begin_again(uint64_t seed)
{
    assert_int_equal(tear_down(NULL), 0);
    begin(seed);
}

static void append_ok(const char *text, enum log_how how)
{
    const struct sys_piece piece = {text, strlen(text)};
    if (log_append(wal, &piece, 1, how) < 0) fail_msg("append: %s", loam_errmsg());
}

static void wait_ok(void)
{
    if (log_wait(wal, log_end(wal)) < 0) fail_msg("wait: %s", loam_errmsg());
    assert_int_equal(log_synced(wal), log_end(wal));
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 60, RECORD_BYTES = 24 };

struct crowd {
    struct mutex lane;
    struct log *log;
    unsigned mixed; /* every so many appends are volatile; 0: none */
};

struct member {
    struct thread thread;
    struct crowd *crowd;
    unsigned number;
    loam_status rc;
    unsigned acked;
};

/* A record is its own position, its writer, its round. */
static loam_status append_record(struct crowd *crowd, const uint64_t record[2], enum log_how how,
                                 uint64_t *end)
{
    mutex_lock(&crowd->lane);
    const uint64_t position = log_end(crowd->log);
    const struct sys_piece pieces[] = {{&position, 8}, {record, 16}};
    const loam_status rc = log_append(crowd->log, pieces, 2, how);
    *end = position + RECORD_BYTES;
    mutex_unlock(&crowd->lane);
    return rc;
}

static void run_member(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    for (unsigned round = 0; round < ROUNDS && member->rc == LOAM_OK; round++) {
        const uint64_t record[2] = {member->number, round};
        const bool is_volatile = crowd->mixed != 0 && (round + member->number) % crowd->mixed == 0;
        uint64_t end = 0;
        member->rc = append_record(crowd, record, is_volatile ? LOG_VOLATILE : LOG_DURABLE, &end);
        if (member->rc == LOAM_OK && !is_volatile) member->rc = log_wait(crowd->log, end);
        if (member->rc == LOAM_OK) member->acked++;
    }
}

static void run_tender(void *arg)
{
    struct member *member = arg;
    for (unsigned i = 0; i < ROUNDS && member->rc == LOAM_OK; i++) {
        log_tend(member->crowd->log);
        member->rc = log_sync(member->crowd->log);
    }
}

static void run_crowd(struct crowd *crowd, struct member members[THREADS + 1])
{
    mutex_init(&crowd->lane);
    for (unsigned i = 0; i <= THREADS; i++) {
        members[i] = (struct member){.crowd = crowd, .number = i};
        assert_int_equal(thread_start(&members[i].thread, "crowd",
                                      i < THREADS ? run_member : run_tender, &members[i]),
                         LOAM_OK);
    }
    for (unsigned i = 0; i <= THREADS; i++)
        thread_join(&members[i].thread);
    mutex_deinit(&crowd->lane);
}

/* Every record once, in each member's order. */
static void assert_records(const uint8_t *bytes, uint64_t upto)
{
    uint64_t rounds[THREADS] = {0};
    for (uint64_t at = 0; at < upto; at += RECORD_BYTES) {
        uint64_t record[3];
        memcpy(record, bytes + at, sizeof record);
        assert_int_equal(record[0], at);
        assert_true(record[1] < THREADS);
        assert_int_equal(record[2], rounds[record[1]]++);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(rounds[i], ROUNDS);
}

static void a_crowd_of_writers_loses_nothing(void **state)
{
    (void)state;
    for (unsigned mixed = 0; mixed < 4; mixed++) {
        struct crowd crowd = {.log = wal, .mixed = mixed == 1 ? 5 : mixed};
        struct member members[THREADS + 1];
        uint64_t len;
        run_crowd(&crowd, members);
        for (unsigned i = 0; i <= THREADS; i++)
            assert_int_equal(members[i].rc, LOAM_OK);
        wait_ok();
        assert_int_equal(log_end(wal), THREADS * ROUNDS * RECORD_BYTES);
        simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
        assert_records(simdisk_bytes(disk, "d", LOG_NAME, &len), log_end(wal));
        begin_again(mixed);
    }
}

static void a_failure_in_a_crowd_reaches_everybody_who_comes_later(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth += 3) {
        struct crowd crowd = {.log = wal, .mixed = nth % 2 == 0 ? 3 : 0};
        struct member members[THREADS + 1];
        uint64_t rounds[THREADS] = {0}, len;
        simdisk_fail_at(disk, nth, EIO, false);
        run_crowd(&crowd, members);
        for (unsigned i = 0; i < THREADS;
             i++) /* who was done before it failed has not heard of it */
            assert_int_equal(members[i].rc, members[i].acked == ROUNDS ? LOAM_OK : LOAM_IOERR);
        const uint64_t synced = log_synced(wal);
        simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
        const uint8_t *bytes = simdisk_bytes(disk, "d", LOG_NAME, &len);
        for (uint64_t at = 0; at < synced; at += RECORD_BYTES) {
            uint64_t record[3];
            memcpy(record, bytes + at, sizeof record);
            assert_int_equal(record[0], at);
            rounds[record[1]]++;
        }
        for (unsigned i = 0; i < THREADS && crowd.mixed == 0; i++)
            assert_true(members[i].acked <= rounds[i]);
        begin_again(nth);
    }
}

/* ---- the real kernel ---- */

static char real_dir[256];

static int set_up_real(void **state)
{
    static const struct store_options options;
    const char *tmp = getenv("TMPDIR");
    bool is_new;
    use = *(const enum log_use *)*state;
    snprintf(real_dir, sizeof real_dir, "%s/loam-log-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(real_dir) == NULL) return -1;
    assert_int_equal(store_open(sys_posix(), real_dir, &options, &is_new, &store), LOAM_OK);
    assert_int_equal(log_create(store, LOG_NAME, 4 << 20, use, &wal), LOAM_OK);
    return 0;
}

static int tear_down_real(void **state)
{
    (void)state;
    if (wal != NULL) assert_int_equal(log_delete(wal), LOAM_OK);
    wal = NULL;
    assert_int_equal(store_delete(store, NEXT_NAME), LOAM_OK);
    store_close(store);
    return rmdir(real_dir);
}

static void the_kernel_keeps_what_a_crowd_appends(void **state)
{
    static uint8_t bytes[THREADS * ROUNDS * RECORD_BYTES];
    struct crowd crowd = {.log = wal, .mixed = 4};
    struct member members[THREADS + 1];
    struct object *object = NULL;
    (void)state;
    run_crowd(&crowd, members);
    for (unsigned i = 0; i <= THREADS; i++)
        assert_int_equal(members[i].rc, LOAM_OK);
    wait_ok();
    assert_int_equal(log_close(wal, true), LOAM_OK);
    wal = NULL;
    assert_int_equal(object_open(store, LOG_NAME, &object), LOAM_OK);
    assert_int_equal(object_bytes(object), sizeof bytes);
    assert_int_equal(object_read(object, 0, bytes, sizeof bytes), LOAM_OK);
    assert_records(bytes, sizeof bytes);
    object_close(object);
    assert_int_equal(store_delete(store, LOG_NAME), LOAM_OK);
}

static void the_kernel_recycles_and_takes_large_pieces(void **state)
{
    static uint8_t large[(1 << 20) + 1], bytes[2 << 20];
    struct object *object = NULL;
    (void)state;
    memset(large, 'l', sizeof large);
    append_ok("old", LOG_DURABLE);
    wait_ok();
    assert_int_equal(log_recycle(wal, NEXT_NAME, &wal), LOAM_OK);
    const struct sys_piece pieces[] = {{"head.", 5}, {large, sizeof large}, {".tail.", 6}};
    assert_int_equal(log_append(wal, pieces, 3, LOG_DURABLE), LOAM_OK);
    append_ok("end", LOG_VOLATILE);
    log_tend(wal);
    wait_ok();
    assert_int_equal(log_close(wal, true), LOAM_OK);
    wal = NULL;
    assert_int_equal(object_open(store, NEXT_NAME, &object), LOAM_OK);
    assert_int_equal(object_bytes(object), sizeof large + 14);
    assert_int_equal(object_read(object, 0, bytes, sizeof large + 14), LOAM_OK);
    assert_memory_equal(bytes, "head.", 5);
    assert_memory_equal(bytes + 5, large, sizeof large);
    assert_memory_equal(bytes + 5 + sizeof large, ".tail.end", 9);
    object_close(object);
}

int main(void)
{
    static enum log_use written = LOG_WRITTEN, mapped = LOG_MAPPED, huge = LOG_MAPPED_HUGE;
#define ALL_WAYS(name)                                                                             \
    {#name ": mapped", name, set_up, tear_down, &mapped},                                          \
        {#name ": huge", name, set_up, tear_down, &huge},                                          \
    {                                                                                              \
#name, name, set_up, tear_down, &written                                                   \
    }
#define REAL_FACT(name)                                                                            \
    {#name ": mapped", name, set_up_real, tear_down_real, &mapped},                                \
        {#name ": huge", name, set_up_real, tear_down_real, &huge},                                \
    {                                                                                              \
#name, name, set_up_real, tear_down_real, &written                                         \
    }
    const struct CMUnitTest tests[] = {
        ALL_WAYS(a_crowd_of_writers_loses_nothing),
        ALL_WAYS(a_failure_in_a_crowd_reaches_everybody_who_comes_later),
        REAL_FACT(the_kernel_keeps_what_a_crowd_appends),
        REAL_FACT(the_kernel_recycles_and_takes_large_pieces),
    };
    return cmocka_run_group_tests_name("os/log crowd", tests, NULL, NULL);
}
