/*
 * test_many_openings.c - a program that opens, writes once and closes, a hundred times, left a log file behind each time.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <loam.h>

static size_t count_files(const char *dir)
{
    size_t count = 0;
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static void many_openings_leave_few_files(void **state)
{
    char dir[] = "/tmp/loam-openings-XXXXXX", key[16], command[64];
    loam_db *db;
    loam_buf value = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(loam_open(dir, NULL, &db), LOAM_OK);
        assert_int_equal(loam_put(db, NULL, loam_str(key), loam_str("v")), LOAM_OK);
        assert_int_equal(loam_close(db), LOAM_OK);
    }
    assert_true(count_files(dir) < 40);
    assert_int_equal(loam_open(dir, NULL, &db), LOAM_OK);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(loam_get(db, NULL, loam_str(key), &value), LOAM_OK);
    }
    assert_int_equal(loam_close(db), LOAM_OK);
    loam_buf_free(&value);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_openings_leave_few_files)};
    return cmocka_run_group_tests_name("regress/many_openings", tests, NULL, NULL);
}
