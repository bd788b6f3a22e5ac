/*
 * test_os_log.c - logs: what was waited for survives power loss, what was appended survives a kill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "../lib/simdisk.h"
#include "base/mem.h"
#include "os/log.h"

#define LOG_NAME "00000001-00000001.wal"
#define NEXT_NAME "00000001-00000002.wal"

enum { LOG_BYTES = 256 << 10 };

static struct simdisk *disk;
static struct store *store;
static struct sys_table sys;
static struct log *wal;
static enum log_use use; /* every test runs all ways */

/* Runs once, inside the next durable write, before a byte of it is in the page cache. */
static void (*during_durable_write)(void);

static unsigned write_count; /* so far */

static int64_t write_with_company(void *ctx, int fd, uint64_t offset,
                                  const struct sys_piece *pieces, unsigned piece_count,
                                  bool durable)
{
    void (*meanwhile)(void) = durable ? during_durable_write : NULL;
    write_count++;
    if (meanwhile != NULL) {
        during_durable_write = NULL;
        meanwhile();
    }
    return simdisk_table(ctx).calls->write(ctx, fd, offset, pieces, piece_count, durable);
}

/* Runs once, when the next sync has done its work and has not returned. */
static void (*during_sync)(void);

static int sync_with_company(void *ctx, int fd)
{
    const int result = simdisk_table(ctx).calls->sync(ctx, fd);
    void (*meanwhile)(void) = during_sync;
    during_sync = NULL;
    if (meanwhile != NULL) meanwhile();
    return result;
}

static void open_disk(uint64_t seed)
{
    static const struct store_options options;
    static struct sys calls;
    bool is_new;
    disk = simdisk_new(seed);
    calls = *simdisk_table(disk).calls;
    calls.write = write_with_company;
    calls.sync = sync_with_company;
    sys = (struct sys_table){&calls, disk};
    assert_int_equal(store_open(sys, "d", &options, &is_new, &store), LOAM_OK);
    assert_int_equal(store_root_swap(store, loam_str("root")), LOAM_OK);
}

static int set_up(void **state)
{
    use = *(const enum log_use *)*state;
    open_disk(1);
    assert_int_equal(log_create(store, LOG_NAME, LOG_BYTES, use, &wal), LOAM_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    /* Most tests end in a crash, after which its descriptor is dead. */
    const loam_status rc = wal != NULL ? log_close(wal, false) : LOAM_OK;
    assert_true(rc == LOAM_OK || rc == LOAM_IOERR || rc == LOAM_FULL);
    wal = NULL;
    store_close(store);
    simdisk_free(disk);
    return 0;
}

static void begin_again(uint64_t seed)
{
    assert_int_equal(tear_down(NULL), 0);
    open_disk(seed);
    assert_int_equal(log_create(store, LOG_NAME, LOG_BYTES, use, &wal), LOAM_OK);
}

/* ---- helpers ---- */

static loam_status append(const char *text, enum log_how how)
{
    const size_t half = strlen(text) / 2;
    const struct sys_piece pieces[] = {{text, half}, {NULL, 0}, {text + half, strlen(text) - half}};
    return log_append(wal, pieces, 3, how);
}

static void append_ok(const char *text, enum log_how how)
{
    if (append(text, how) < 0) fail_msg("append: %s", loam_errmsg());
}

static void wait_ok(void)
{
    if (log_wait(wal, log_end(wal)) < 0) fail_msg("wait: %s", loam_errmsg());
    assert_int_equal(log_synced(wal), log_end(wal));
}

static void assert_starts_with(const char *text)
{
    uint64_t len = 0;
    const uint8_t *bytes = simdisk_bytes(disk, "d", LOG_NAME, &len);
    assert_non_null(bytes);
    assert_int_equal(len, LOG_BYTES);
    assert_memory_equal(bytes, text, strlen(text));
}

static uint64_t calls_of_wait(void)
{
    const uint64_t before = simdisk_call_count(disk);
    wait_ok();
    return simdisk_call_count(disk) - before;
}

/* ---- one thread ---- */

static void a_new_log_is_empty_zeroed_and_durable(void **state)
{
    (void)state;
    assert_int_equal(log_end(wal), 0);
    assert_int_equal(log_synced(wal), 0);
    assert_int_equal(log_capacity(wal), LOG_BYTES);
    assert_string_equal(log_name(wal), LOG_NAME);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", LOG_NAME, &len);
    assert_non_null(bytes);
    assert_int_equal(len, LOG_BYTES);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], 0);
}

static void volatile_bytes_survive_a_kill(void **state)
{
    (void)state;
    append_ok("first.", LOG_VOLATILE);
    append_ok("second.", LOG_VOLATILE);
    simdisk_kill(disk);
    assert_starts_with("first.second.");
}

static void durable_bytes_survive_every_power_loss_with_all_before_them(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 5 * SIMDISK_LOSSES; seed++) {
        append_ok("volatile.", LOG_VOLATILE);
        append_ok("durable.", LOG_DURABLE);
        wait_ok();
        append_ok("durable too.", LOG_DURABLE);
        append_ok("and this.", LOG_DURABLE);
        wait_ok();
        append_ok("not waited for", seed & 1 ? LOG_DURABLE : LOG_VOLATILE);
        simdisk_power_loss(disk, seed % SIMDISK_LOSSES);
        assert_starts_with("volatile.durable.durable too.and this.");
        begin_again(seed);
    }
}

static void a_durable_append_behind_durable_bytes_is_one_call(void **state)
{
    (void)state;
    append_ok("one.", LOG_DURABLE);
    assert_int_equal(calls_of_wait(), 1);
    append_ok("two.", LOG_DURABLE);
    append_ok("three.", LOG_DURABLE);
    assert_int_equal(calls_of_wait(), 1);
    assert_int_equal(calls_of_wait(), 0);
}

static void a_volatile_append_behind_a_staged_one_leaves_no_hole(void **state)
{
    (void)state;
    append_ok("one.", LOG_DURABLE);
    wait_ok();
    append_ok("staged.", LOG_DURABLE);
    append_ok("staged too.", LOG_DURABLE);
    append_ok("volatile.", LOG_VOLATILE);
    simdisk_kill(disk);
    assert_starts_with("one.staged.staged too.volatile.");
}

static void staged_bytes_that_a_volatile_append_stored_become_durable(void **state)
{
    (void)state;
    append_ok("staged.", LOG_DURABLE);
    const uint64_t upto = log_end(wal);
    append_ok("volatile.", LOG_VOLATILE);
    append_ok("staged too.", LOG_DURABLE);
    assert_int_equal(log_wait(wal, upto), LOAM_OK);
    assert_int_equal(log_synced(wal), log_end(wal));
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("staged.volatile.staged too.");
}

static void append_behind_a_group_in_flight(void)
{
    append_ok("staged meanwhile.", LOG_DURABLE);
    append_ok("volatile meanwhile.", LOG_VOLATILE);
    append_ok("and another.", LOG_VOLATILE);
    assert_starts_with("in flight.staged meanwhile.volatile meanwhile.and another.");
}

static void a_volatile_append_behind_a_group_in_flight_leaves_no_hole(void **state)
{
    (void)state;
    append_ok("in flight.", LOG_DURABLE);
    const uint64_t upto = log_end(wal);
    during_durable_write = append_behind_a_group_in_flight;
    assert_int_equal(log_wait(wal, upto), LOAM_OK);
    assert_null(during_durable_write);
    assert_int_equal(log_synced(wal), upto);
    append_ok("more.", LOG_DURABLE);
    wait_ok();
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("in flight.staged meanwhile.volatile meanwhile.and another.more.");
}

static void append_behind_a_sync(void)
{
    append_ok("later.", LOG_VOLATILE);
    append_ok("staged.", LOG_DURABLE);
}

static void a_sync_says_nothing_of_what_came_while_it_ran(void **state)
{
    (void)state;
    append_ok("before.", LOG_VOLATILE);
    const uint64_t upto = log_end(wal);
    during_sync = append_behind_a_sync;
    assert_int_equal(log_wait(wal, upto), LOAM_OK);
    assert_null(during_sync);
    assert_int_equal(log_synced(wal), upto);
    wait_ok();
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("before.later.staged.");
}

static void stage_behind_a_group_in_flight(void)
{
    append_ok("staged meanwhile.", LOG_DURABLE);
}

static void a_group_staged_behind_one_in_flight_is_one_call_again(void **state)
{
    (void)state;
    append_ok("in flight.", LOG_DURABLE);
    const uint64_t upto = log_end(wal);
    during_durable_write = stage_behind_a_group_in_flight;
    assert_int_equal(log_wait(wal, upto), LOAM_OK);
    assert_int_equal(log_synced(wal), upto);
    assert_int_equal(calls_of_wait(), 1);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("in flight.staged meanwhile.");
}

static void fail_behind_a_group_in_flight(void)
{
    append_ok("volatile meanwhile.", LOG_VOLATILE);
    simdisk_fail_at(disk, 1, EIO, false);
}

static void a_group_that_fails_in_flight_is_the_answer_for_ever(void **state)
{
    (void)state;
    append_ok("in flight.", LOG_DURABLE);
    const uint64_t upto = log_end(wal);
    during_durable_write = fail_behind_a_group_in_flight;
    assert_int_equal(log_wait(wal, upto), LOAM_IOERR);
    assert_int_equal(log_synced(wal), 0);
    assert_int_equal(append("more", LOG_VOLATILE), LOAM_IOERR);
    assert_int_equal(log_sync(wal), LOAM_IOERR);
}

static void sync_makes_everything_durable(void **state)
{
    (void)state;
    append_ok("volatile.", LOG_VOLATILE);
    assert_int_equal(log_sync(wal), LOAM_OK);
    append_ok("staged.", LOG_DURABLE);
    assert_int_equal(log_sync(wal), LOAM_OK);
    const uint64_t before = simdisk_call_count(disk);
    assert_int_equal(log_sync(wal), LOAM_OK);
    assert_int_equal(simdisk_call_count(disk), before);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("volatile.staged.");
}

static void more_than_fits_the_staging_buffer_is_stored_and_synced(void **state)
{
    static char text[(1 << 20) + 4097];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    struct log *large = NULL;
    assert_int_equal(log_create(store, NEXT_NAME, 8 << 20, use, &large), LOAM_OK);
    const struct sys_piece pieces[] = {{text, 700000}, {text, sizeof text - 1}, {text, 3}};
    static const struct {
        unsigned first, count;
        enum log_how how;
    } cases[] = {
        {0, 1, LOG_DURABLE},  {0, 1, LOG_DURABLE},  {1, 1, LOG_DURABLE},
        {0, 3, LOG_VOLATILE}, {2, 1, LOG_VOLATILE}, {0, 2, LOG_DURABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(log_append(large, pieces + cases[i].first, cases[i].count, cases[i].how),
                         LOAM_OK);
    assert_int_equal(log_wait(large, log_end(large)), LOAM_OK);
    log_tend(large);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", NEXT_NAME, &len);
    const uint64_t end = log_end(large);
    assert_int_equal(end, 4 * 700000 + 3 * (sizeof text - 1) + 6);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], i < end ? 'x' : 0);
    assert_int_equal(log_close(large, false), LOAM_IOERR); /* its descriptor died */
}

static void a_log_takes_bytes_up_to_its_last_one(void **state)
{
    static char text[LOG_BYTES + 1];
    (void)state;
    memset(text, 'y', LOG_BYTES);
    append_ok(text + 10, LOG_DURABLE);
    append_ok(text + LOG_BYTES - 7, LOG_DURABLE);
    append_ok(text + LOG_BYTES - 3, LOG_VOLATILE);
    wait_ok();
    assert_int_equal(log_end(wal), LOG_BYTES);
    log_tend(wal);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with(text);
}

static void trimming_leaves_what_was_appended(void **state)
{
    (void)state;
    append_ok("text.", LOG_VOLATILE);
    append_ok("never waited for.", LOG_DURABLE);
    assert_int_equal(log_close(wal, true), LOAM_OK);
    wal = NULL;
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", LOG_NAME, &len);
    assert_int_equal(len, 22);
    assert_memory_equal(bytes, "text.never waited for.", 22);
}

static void a_recycled_log_begins_again_under_its_new_name(void **state)
{
    (void)state;
    append_ok("old bytes", LOG_VOLATILE);
    assert_int_equal(log_sync(wal), LOAM_OK);
    assert_int_equal(log_recycle(wal, NEXT_NAME, &wal), LOAM_OK);
    assert_string_equal(log_name(wal), NEXT_NAME);
    assert_int_equal(log_end(wal), 0);
    assert_int_equal(log_synced(wal), 0);
    append_ok("new", LOG_DURABLE);
    wait_ok();
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    uint64_t len;
    assert_null(simdisk_bytes(disk, "d", LOG_NAME, &len));
    assert_memory_equal(simdisk_bytes(disk, "d", NEXT_NAME, &len), "new bytes", 9);
}

static void a_deleted_log_is_gone(void **state)
{
    (void)state;
    append_ok("text", LOG_DURABLE);
    assert_int_equal(log_delete(wal), LOAM_OK);
    wal = NULL;
    uint64_t len;
    assert_null(simdisk_bytes(disk, "d", LOG_NAME, &len));
}

/* ---- failures ---- */

static void a_failed_sync_is_the_answer_for_ever(void **state)
{
    (void)state;
    append_ok("fine.", LOG_DURABLE);
    wait_ok();
    const uint64_t synced = log_synced(wal);
    append_ok("lost.", LOG_VOLATILE);
    simdisk_fail_at(disk, 1, EIO, false);
    assert_int_equal(log_sync(wal), LOAM_IOERR);
    assert_non_null(strstr(loam_errmsg(), "d/" LOG_NAME));
    const uint64_t calls = simdisk_call_count(disk);
    assert_int_equal(log_sync(wal), LOAM_IOERR);
    assert_int_equal(log_wait(wal, log_end(wal)), LOAM_IOERR);
    assert_int_equal(append("volatile", LOG_VOLATILE), LOAM_IOERR);
    assert_int_equal(append("durable", LOG_DURABLE), LOAM_IOERR);
    assert_int_equal(loam_errno(), EIO);
    assert_int_equal(simdisk_call_count(disk), calls);
    assert_int_equal(log_wait(wal, synced), LOAM_OK);
    assert_int_equal(log_synced(wal), synced);
    assert_int_equal(log_recycle(wal, NEXT_NAME, &wal), LOAM_IOERR);
    wal = NULL;
    uint64_t len;
    assert_null(simdisk_bytes(disk, "d", LOG_NAME, &len));
    assert_null(simdisk_bytes(disk, "d", NEXT_NAME, &len));
}

static void a_failed_durable_write_is_the_answer_for_ever(void **state)
{
    (void)state;
    append_ok("lost.", LOG_DURABLE);
    simdisk_fail_at(disk, 1, ENOSPC, false);
    assert_int_equal(log_wait(wal, log_end(wal)), LOAM_FULL);
    assert_int_equal(append("more", LOG_DURABLE), LOAM_FULL);
    assert_int_equal(append("more", LOG_VOLATILE), LOAM_FULL);
    assert_int_equal(log_wait(wal, log_end(wal)), LOAM_FULL);
    assert_int_equal(log_synced(wal), 0);
}

/* Its pieces are written past the mapping, the first one last: without it the others are not a record. */
static void a_long_append_of_which_a_piece_fails_is_the_answer_for_ever(void **state)
{
    static char text[(1 << 20) + 1];
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct log *large = NULL;
        assert_int_equal(log_create(store, NEXT_NAME, 8 << 20, use, &large), LOAM_OK);
        const struct sys_piece pieces[] = {{"head", 4}, {text, sizeof text}};
        simdisk_fail_at(disk, nth, EIO, false);
        assert_int_equal(log_append(large, pieces, 2, LOG_VOLATILE), LOAM_IOERR);
        assert_non_null(strstr(loam_errmsg(), NEXT_NAME));
        assert_int_equal(log_append(large, pieces, 1, LOG_VOLATILE), LOAM_IOERR);
        assert_int_equal(log_append(large, pieces, 1, LOG_DURABLE), LOAM_IOERR);
        assert_int_equal(log_end(large), 0);
        simdisk_fail_at(disk, 0, 0, false);
        assert_int_equal(log_delete(large), LOAM_OK);
    }
}

static void a_writeback_that_failed_in_the_background_is_heard(void **state)
{
    static char text[LOG_BYTES / 4];
    (void)state;
    memset(text, 'z', sizeof text - 1);
    struct log *large = NULL;
    assert_int_equal(log_create(store, NEXT_NAME, 4 << 20, use, &large), LOAM_OK);
    const struct sys_piece piece = {text, sizeof text};
    for (unsigned i = 0; i < 17; i++)
        assert_int_equal(log_append(large, &piece, 1, LOG_VOLATILE), LOAM_OK);
    simdisk_fail_at(disk, 1, EIO, false);
    log_tend(large);
    assert_int_equal(log_sync(large), LOAM_IOERR);
    assert_int_equal(log_synced(large), 0);
    assert_int_equal(log_close(large, false), LOAM_OK);
}

static void short_and_interrupted_writes_are_finished(void **state)
{
    (void)state;
    append_ok("a durable write that takes several calls", LOG_DURABLE);
    simdisk_fail_at(disk, 1, SIMDISK_SHORT, true);
    wait_ok();
    append_ok(", and a volatile one", LOG_VOLATILE);
    simdisk_fail_at(disk, 0, 0, false);
    append_ok("; done.", LOG_DURABLE);
    if (use == LOG_WRITTEN)
        simdisk_fail_at(disk, 1, EINTR, false); /* else the next call is a sync */
    wait_ok();
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_starts_with("a durable write that takes several calls, and a volatile one; done.");
}

static void a_full_disk_at_creation_leaves_nothing_behind(void **state)
{
    struct log *other = NULL;
    uint64_t len, before = 0, after = 0;
    (void)state;
    simdisk_full(disk, LOG_BYTES + 100000);
    assert_int_equal(store_free_bytes(store, &before), LOAM_OK);
    assert_int_equal(log_create(store, NEXT_NAME, LOG_BYTES, use, &other), LOAM_FULL);
    assert_null(other);
    assert_null(simdisk_bytes(disk, "d", NEXT_NAME, &len));
    assert_int_equal(store_free_bytes(store, &after), LOAM_OK);
    assert_int_equal(before, after);
    append_ok("the other one goes on", LOG_VOLATILE);
    wait_ok();
}

static void any_failure_at_creation_and_recycling_leaves_nothing_behind(void **state)
{
    bool completed = false;
    (void)state;
    for (uint64_t nth = 1; !completed; nth++) {
        struct log *other = NULL;
        uint64_t len;
        simdisk_fail_at(disk, nth, EIO, false);
        const uint64_t calls = simdisk_call_count(disk);
        loam_status rc = log_create(store, NEXT_NAME, LOG_BYTES, use, &other);
        if (rc == LOAM_OK) rc = log_recycle(other, "00000001-00000003.wal", &other);
        completed = simdisk_call_count(disk) - calls < nth;
        if (rc < 0) {
            assert_null(simdisk_bytes(disk, "d", NEXT_NAME, &len));
            assert_null(simdisk_bytes(disk, "d", "00000001-00000003.wal", &len));
        } else {
            assert_int_equal(log_delete(other), LOAM_OK);
        }
        simdisk_fail_at(disk, 0, 0, false);
        begin_again(nth);
    }
}

static void any_failing_allocation_at_creation_is_reported(void **state)
{
    bool completed = false;
    (void)state;
    for (uint64_t nth = 1; !completed; nth++) {
        struct log *other = NULL;
        mem_fail_at(nth, false);
        const int64_t live = mem_live_count();
        const loam_status rc = log_create(store, NEXT_NAME, LOG_BYTES, use, &other);
        completed = mem_alloc_count() < nth;
        assert_int_equal(rc, completed ? LOAM_OK : LOAM_NOMEM);
        if (rc == LOAM_OK) assert_int_equal(log_delete(other), LOAM_OK);
        assert_int_equal(mem_live_count(), live);
        mem_fail_at(0, false);
    }
}

/* ---- cut at every call ---- */

/* Appends numbered letters in a fixed pattern; *acked and *stored become the number of bytes that are
   promised to survive power loss and a kill. */
static void append_until_cut(uint64_t *acked, uint64_t *stored)
{
    static const char pattern[] = "dwdvdwvvwddvwvdwsvdds";
    char letter[2] = "A";
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && pattern[i] != '\0'; i++) {
        const enum log_how how = pattern[i] == 'd' ? LOG_DURABLE : LOG_VOLATILE;
        if (pattern[i] == 'w')
            rc = log_wait(wal, log_end(wal));
        else if (pattern[i] == 's')
            rc = log_sync(wal);
        else {
            rc = append(letter, how);
            letter[0]++;
            /* A mapped store cannot know that the machine is off. */
            if (rc == LOAM_OK && how == LOG_VOLATILE && !simdisk_is_off(disk))
                *stored = log_end(wal);
        }
        *acked = log_synced(wal);
    }
    if (*stored < *acked) *stored = *acked;
}

static unsigned writes_of_a_volatile_append(void)
{
    const unsigned before = write_count;
    append_ok("some", LOG_VOLATILE);
    return write_count - before;
}

/* Huge folios would be written out as a whole for a few records. */
static void a_huge_log_is_stored_to_while_it_fills_fast(void **state)
{
    const unsigned written = use != LOG_MAPPED, written_at_speed = use == LOG_WRITTEN;
    static const uint8_t much[4096];
    struct log *large;
    (void)state;
    assert_int_equal(log_create(store, NEXT_NAME, 8 << 20, use, &large), LOAM_OK);
    struct log *small = wal;
    wal = large;
    assert_int_equal(writes_of_a_volatile_append(), written);
    assert_false(log_wants_tending(wal));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            assert_int_equal(
                log_append(wal, &(struct sys_piece){much, sizeof much}, 1, LOG_VOLATILE), LOAM_OK);
        assert_true(use == LOG_WRITTEN || round > 0 || log_wants_tending(wal));
        log_tend(wal);
        assert_int_equal(writes_of_a_volatile_append(), written_at_speed);
        append_ok("durable", LOG_DURABLE);
        wait_ok();
        sys.calls->sleep_ns(sys.ctx, 100000000);
        log_tend(wal);
        assert_int_equal(writes_of_a_volatile_append(), written);
        wait_ok();
    }
    wal = small;
    assert_int_equal(log_delete(large), LOAM_OK);
}

static void a_cut_at_any_call_leaves_a_prefix_with_all_that_was_promised(void **state)
{
    bool completed = false;
    (void)state;
    for (uint64_t nth = 1; !completed; nth++) {
        for (unsigned seed = 0; seed < 10 * (SIMDISK_LOSSES + 1); seed++) {
            const unsigned loss = seed % (SIMDISK_LOSSES + 1);
            uint64_t acked = 0, stored = 0, len = 0;
            begin_again(seed);
            simdisk_cut_at(disk, nth);
            append_until_cut(&acked, &stored);
            completed = !simdisk_is_off(disk);
            if (loss == SIMDISK_LOSSES)
                simdisk_kill(disk);
            else
                simdisk_power_loss(disk, loss);
            const uint8_t *bytes = simdisk_bytes(disk, "d", LOG_NAME, &len);
            const uint64_t promised = loss == SIMDISK_LOSSES ? stored : acked;
            for (uint64_t i = 0; i < promised; i++)
                assert_int_equal(bytes[i], 'A' + i);
        }
    }
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
        ALL_WAYS(a_new_log_is_empty_zeroed_and_durable),
        ALL_WAYS(volatile_bytes_survive_a_kill),
        ALL_WAYS(durable_bytes_survive_every_power_loss_with_all_before_them),
        ALL_WAYS(a_durable_append_behind_durable_bytes_is_one_call),
        ALL_WAYS(a_volatile_append_behind_a_staged_one_leaves_no_hole),
        ALL_WAYS(staged_bytes_that_a_volatile_append_stored_become_durable),
        ALL_WAYS(a_volatile_append_behind_a_group_in_flight_leaves_no_hole),
        ALL_WAYS(a_group_staged_behind_one_in_flight_is_one_call_again),
        ALL_WAYS(a_sync_says_nothing_of_what_came_while_it_ran),
        ALL_WAYS(a_group_that_fails_in_flight_is_the_answer_for_ever),
        ALL_WAYS(sync_makes_everything_durable),
        ALL_WAYS(more_than_fits_the_staging_buffer_is_stored_and_synced),
        ALL_WAYS(a_log_takes_bytes_up_to_its_last_one),
        ALL_WAYS(trimming_leaves_what_was_appended),
        ALL_WAYS(a_recycled_log_begins_again_under_its_new_name),
        ALL_WAYS(a_deleted_log_is_gone),
        ALL_WAYS(a_failed_sync_is_the_answer_for_ever),
        ALL_WAYS(a_failed_durable_write_is_the_answer_for_ever),
        ALL_WAYS(a_long_append_of_which_a_piece_fails_is_the_answer_for_ever),
        ALL_WAYS(a_writeback_that_failed_in_the_background_is_heard),
        ALL_WAYS(short_and_interrupted_writes_are_finished),
        ALL_WAYS(a_huge_log_is_stored_to_while_it_fills_fast),
        ALL_WAYS(a_full_disk_at_creation_leaves_nothing_behind),
        ALL_WAYS(any_failure_at_creation_and_recycling_leaves_nothing_behind),
        ALL_WAYS(any_failing_allocation_at_creation_is_reported),
        ALL_WAYS(a_cut_at_any_call_leaves_a_prefix_with_all_that_was_promised),
    };
    return cmocka_run_group_tests_name("os/log", tests, NULL, NULL);
}
