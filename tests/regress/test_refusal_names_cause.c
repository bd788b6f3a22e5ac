/*
 * test_refusal_names_cause.c - a write that is refused because nothing can be flushed says why nothing can.
 *
 * It said that memtables are full and to make room on the disk, without the file and the system's reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "../lib/seeds.h"
#include "../lib/simdisk.h"
#include "db/db.h"

enum { VALUE_BYTES = 10000, PUTS_MAX = 200000 };

/* Writes until it is refused; *waited: because nothing could be flushed. */
static loam_status put_until_refused(loam_db *db, bool *waited)
{
    static const char value[VALUE_BYTES];
    loam_status rc = LOAM_OK;
    for (int i = 0; rc == LOAM_OK && i < PUTS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08d", i);
        rc = loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value));
    }
    *waited = strstr(loam_errmsg(), "memtables take half") != NULL ||
              strstr(loam_errmsg(), "the log is as long") != NULL ||
              strstr(loam_errmsg(), "wait to be flushed") != NULL;
    return rc;
}

static void a_refused_write_names_file_and_reason(void **state)
{
    (void)state;
    int waits = 0;
    for (uint64_t room = 1 << 20; room < 12 << 20; room += seeds_stride(4) << 18) {
        struct simdisk *disk = simdisk_new(room);
        const struct db_world world = {
            .sys = simdisk_table(disk), .mapped_log = true, .seed = room};
        loam_options options = loam_options_default();
        loam_db *db;
        bool waited;
        options.memory_bytes = 4 << 20;
        assert_int_equal(db_open_in(&world, "db", &options, &db), LOAM_OK);
        simdisk_full(disk, room);
        assert_int_equal(put_until_refused(db, &waited), LOAM_FULL);
        waits += waited;
        const bool where =
            strstr(loam_errmsg(), "db/") != NULL || strstr(loam_errmsg(), "db: the log") != NULL;
        if (!where || strstr(loam_errmsg(), strerror(ENOSPC)) == NULL)
            fail_msg("%s", loam_errmsg());
        simdisk_full(disk, UINT64_MAX);
        assert_int_equal(loam_close(db), LOAM_OK);
        simdisk_free(disk);
    }
    assert_true(waits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_write_names_file_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
