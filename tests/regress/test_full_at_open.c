/*
 * test_full_at_open.c - a disk that is full when a store is opened is said to be full.
 *
 * The root was compared with the new opener's, which differs from the one on the disk, so a root that could not be written
 * for want of room was taken for one in doubt: LOAM_IOERR, and without the name of the store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "../lib/simdisk.h"
#include "db/db.h"

static loam_status open_on(struct simdisk *disk, loam_db **out)
{
    const struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true};
    loam_options options = loam_options_default();
    options.memory_bytes = 8 << 20;
    return db_open_in(&world, "db", &options, out);
}

/* A directory whose sync failed may have lost the name: that is more than a full disk. Reading needs no room. */
static bool is_no_want_of_room(const char *message)
{
    static const char *const doings[] = {"syncing the directory", "opening it", "reading",
                                         "asking for its size", "listing it"};
    bool is = false;
    for (size_t i = 0; i < sizeof doings / sizeof doings[0]; i++)
        is |= strstr(message, doings[i]) != NULL;
    return is;
}

static void a_full_disk_at_open_is_full_and_names_the_file(void **state)
{
    (void)state;
    bool completed = false;
    for (uint64_t nth = 1; !completed; nth++) {
        struct simdisk *disk = simdisk_new(1);
        loam_db *db;
        assert_int_equal(open_on(disk, &db), LOAM_OK);
        assert_int_equal(loam_put(db, NULL, loam_str("k"), loam_str("v")), LOAM_OK);
        assert_int_equal(loam_close(db), LOAM_OK);

        const uint64_t before = simdisk_call_count(disk);
        simdisk_fail_at(disk, nth, ENOSPC, false);
        const loam_status rc = open_on(disk, &db);
        completed = rc == LOAM_OK && simdisk_call_count(disk) - before < nth;
        if (rc == LOAM_IOERR) assert_true(is_no_want_of_room(loam_errmsg()));
        if (rc == LOAM_FULL && strstr(loam_errmsg(), "root") != NULL)
            assert_non_null(strstr(loam_errmsg(), "db/root"));
        if (rc != LOAM_OK && rc != LOAM_IOERR) assert_int_equal(rc, LOAM_FULL);
        simdisk_fail_at(disk, 0, 0, false);
        if (rc == LOAM_OK) assert_int_equal(loam_close(db), LOAM_OK);

        assert_int_equal(open_on(disk, &db), LOAM_OK);
        assert_int_equal(loam_exists(db, NULL, loam_str("k")), LOAM_OK);
        assert_int_equal(loam_close(db), LOAM_OK);
        simdisk_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_at_open_is_full_and_names_the_file),
    };
    return cmocka_run_group_tests_name("full at open", tests, NULL, NULL);
}
