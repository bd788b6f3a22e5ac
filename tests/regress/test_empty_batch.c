/*
 * test_empty_batch.c - an empty batch keeps the promises of its durability too.
 *
 * It was answered before its durability had been resolved: with the database's default of COMMIT it synced nothing, and on a
 * read-only database it was LOAM_OK.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/simdisk.h"
#include "db/db.h"

static loam_db *open_on(struct simdisk *disk, bool read_only)
{
    const struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true};
    loam_options options = loam_options_default();
    loam_db *db;
    options.read_only = read_only;
    options.memory_bytes = 8 << 20;
    if (db_open_in(&world, "db", &options, &db) != LOAM_OK) fail_msg("%s", loam_errmsg());
    return db;
}

static void one_of_the_default_class_makes_all_before_it_durable(void **state)
{
    (void)state;
    static const loam_durability classes[] = {LOAM_DURABLE_DEFAULT, LOAM_DURABLE_COMMIT};
    for (size_t i = 0; i < 2; i++) {
        struct simdisk *disk = simdisk_new(1);
        loam_db *db = open_on(disk, false);
        loam_batch *batch = loam_batch_new();
        assert_int_equal(loam_batch_put(batch, NULL, loam_str("k"), loam_str("v")), LOAM_OK);
        assert_int_equal(loam_write(db, batch, LOAM_DURABLE_PROCESS), LOAM_OK);
        loam_batch_clear(batch);
        assert_int_equal(loam_write(db, batch, classes[i]), LOAM_OK);
        loam_batch_free(batch);
        simdisk_kill(disk);
        assert_true(loam_close(db) < 0);
        simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
        db = open_on(disk, false);
        assert_int_equal(loam_exists(db, NULL, loam_str("k")), LOAM_OK);
        assert_int_equal(loam_close(db), LOAM_OK);
        simdisk_free(disk);
    }
}

static void one_on_a_read_only_database_is_refused(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    assert_int_equal(loam_close(open_on(disk, false)), LOAM_OK);
    loam_db *db = open_on(disk, true);
    loam_batch *batch = loam_batch_new();
    for (int how = LOAM_DURABLE_DEFAULT; how <= LOAM_DURABLE_PROCESS; how++)
        assert_int_equal(loam_write(db, batch, (loam_durability)how), LOAM_READONLY);
    loam_batch_free(batch);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_the_default_class_makes_all_before_it_durable),
        cmocka_unit_test(one_on_a_read_only_database_is_refused),
    };
    return cmocka_run_group_tests_name("regress/empty_batch", tests, NULL, NULL);
}
