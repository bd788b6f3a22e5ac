/*
 * test_floor_at_the_end.c - the segment that the manifest names as the log's floor stays, also when it ends just there.
 *
 * A flush of all that there is leaves the floor at the log's end, within its last segment, which the manifest then names. If the next commit
 * begins another one before the log is let go, that segment ends at the floor, and was deleted: after a kill the store did not open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/db.h"
#include "lib/last_words.h"
#include "lib/simdisk.h"

enum { LOG_BYTES = 16 << 10, SECONDS_MAX = 60 };

static struct {
    struct sys calls;
    struct sys_table below;
    loam_db *db;
    bool is_armed;
    int manifest_fds[2];
    int met;
} lab;

static int open_seen(void *ctx, int dir, const char *name, enum sys_open how)
{
    const int fd = lab.below.calls->open(ctx, dir, name, how);
    if (how == SYS_CREATE && strstr(name, ".manifest") != NULL) {
        lab.manifest_fds[1] = lab.manifest_fds[0];
        lab.manifest_fds[0] = fd;
    }
    return fd;
}

static void put(const char *key, size_t bytes)
{
    void *value = calloc(1, bytes);
    assert_int_equal(loam_put(lab.db, NULL, loam_str(key), loam_bytes(value, bytes)), LOAM_OK);
    free(value);
}

/* While the flush's edit is written, somebody commits what the last segment has no room for. */
static int64_t write_seen(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                          unsigned piece_count, bool durable)
{
    const bool is_manifest = fd == lab.manifest_fds[0] || fd == lab.manifest_fds[1];
    if (lab.is_armed && is_manifest && durable) {
        lab.is_armed = false;
        lab.met++;
        put("meanwhile", LOG_BYTES);
    }
    return lab.below.calls->write(ctx, fd, offset, pieces, piece_count, durable);
}

static void open_store(struct simdisk *disk)
{
    loam_options options = loam_options_default();
    lab.below = simdisk_table(disk);
    lab.calls = *lab.below.calls;
    lab.calls.open = open_seen;
    lab.calls.write = write_seen;
    const struct db_world world = {.sys = {&lab.calls, lab.below.ctx},
                                   .mapped_log = true,
                                   .log_bytes_least = LOG_BYTES,
                                   .seed = 1};
    options.memory_bytes = 16 << 20;
    options.durability = LOAM_DURABLE_PROCESS;
    if (db_open_in(&world, "db", &options, &lab.db) != LOAM_OK)
        fail_msg("opening: %s", loam_errmsg());
}

static void a_kill_after_such_a_flush_loses_nothing(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    last_words(SECONDS_MAX, "SEED=1");
    open_store(disk);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i <= round;
             i++) /* sometimes the rest is too small for a part of a commit */
            put("before", 900);
        lab.is_armed = true;
        assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
        assert_false(lab.is_armed);
        simdisk_kill(disk);
        const loam_status rc = loam_close(lab.db);
        (void)rc; /* the process is gone */
        open_store(disk);
        assert_int_equal(loam_exists(lab.db, NULL, loam_str("before")), LOAM_OK);
        assert_int_equal(loam_exists(lab.db, NULL, loam_str("meanwhile")), LOAM_OK);
        assert_int_equal(loam_delete(lab.db, NULL, loam_str("meanwhile")), LOAM_OK);
    }
    assert_int_equal(lab.met, 20);
    assert_int_equal(loam_close(lab.db), LOAM_OK);
    simdisk_free(disk);
    last_words_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_kill_after_such_a_flush_loses_nothing)};
    return cmocka_run_group_tests_name("regress/floor_at_the_end", tests, NULL, NULL);
}
