/*
 * test_log_bound.c - a log that no flush could shorten stopped the process: a writer waited for room until a check of ours gave up.
 *
 * The log's length was measured in whole segments. One large value makes a large segment, and a small memtable_bytes a small bound,
 * so that the active segment alone was longer than the log might be. Later, a store that nobody wrote to any more kept a log of up to four
 * times memtable_bytes, three times as large as its tables.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fixture.h"

static void small_values_follow_a_large_one_under_a_small_memtable(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    const size_t large = 6 << 20;
    uint8_t *bytes = fixture_bytes(large, 1);
    loam_buf value = {0};
    options.memtable_bytes = 16 << 10;
    fixture_open(f, &options);
    for (int i = 0; i < 3; i++) {
        expect_ok(loam_put(f->db, NULL, loam_str("large"), loam_bytes(bytes, large)));
        put_text(f->db, NULL, "small", "v");
    }
    fixture_reopen(f);
    expect_ok(loam_get(f->db, NULL, loam_str("large"), &value));
    assert_int_equal(value.len, large);
    assert_memory_equal(value.data, bytes, large);
    expect_text(f->db, NULL, "small", "v");
    loam_buf_free(&value);
    free(bytes);
}

/* What pinned the log is gone, so there is nothing to flush. */
static void writes_go_on_when_all_that_filled_the_log_is_dropped(void **state)
{
    enum { COLLS = 120, VALUE_BYTES = 10000 };
    struct fixture *f = *state;
    loam_options options = fixture_options();
    char name[16];
    uint8_t *bytes = fixture_bytes(VALUE_BYTES, 1);
    options.memtable_bytes = 16 << 10;
    fixture_open(f, &options);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COLLS; i++) {
            loam_coll *coll;
            snprintf(name, sizeof name, "c%d", i);
            expect_ok(loam_create(f->db, name, NULL, &coll));
            expect_ok(loam_put(f->db, coll, loam_str("k"), loam_bytes(bytes, VALUE_BYTES)));
        }
        for (int i = 0; i < COLLS; i++) {
            snprintf(name, sizeof name, "c%d", i);
            expect_ok(loam_drop(f->db, name));
        }
        put_text(f->db, NULL, "after", "v");
    }
    fixture_reopen(f);
    expect_text(f->db, NULL, "after", "v");
    free(bytes);
}

/* Four times memtable_bytes wrapped to 0, so that each write waited for a flush of the one before it. */
static void a_boundless_memtable_is_not_flushed_at_each_write(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    loam_stats stats = {.struct_size = sizeof stats};
    options.memtable_bytes = UINT64_C(1) << 62;
    options.durability = LOAM_DURABLE_PROCESS;
    fixture_open(f, &options);
    for (int i = 0; i < 50; i++)
        put_text(f->db, NULL, "key", "value");
    expect_ok(loam_stats_get(f->db, &stats));
    assert_int_equal(stats.flush_count, 0);
}

static uint64_t log_files_bytes(const char *dir)
{
    uint64_t bytes = 0;
    DIR *stream = opendir(dir);
    assert_non_null(stream);
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[4096];
        struct stat info;
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".wal") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (stat(path, &info) == 0) bytes += (uint64_t)info.st_size;
    }
    closedir(stream);
    return bytes;
}

enum { VALUES = 48, VALUE_BYTES = 1 << 20 };

static loam_options large_memtables(void)
{
    loam_options options = fixture_options();
    options.memtable_bytes = 64 << 20;
    options.memory_bytes = 256 << 20;
    return options;
}

static void put_values(struct fixture *f)
{
    uint8_t *bytes = fixture_bytes(VALUE_BYTES, 1);
    char key[16];
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "%d", i);
        expect_ok(loam_put(f->db, NULL, loam_str(key), loam_bytes(bytes, VALUE_BYTES)));
    }
    free(bytes);
}

static void expect_values(struct fixture *f)
{
    uint8_t *bytes = fixture_bytes(VALUE_BYTES, 1);
    char key[16];
    loam_buf value = {0};
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "%d", i);
        expect_ok(loam_get(f->db, NULL, loam_str(key), &value));
        assert_memory_equal(value.data, bytes, VALUE_BYTES);
    }
    loam_buf_free(&value);
    free(bytes);
}

static void wait_until_the_log_is_small(const struct fixture *f)
{
    while (log_files_bytes(f->store) > 8 << 20)
        usleep(20000); /* for how long, the runner's bound says */
}

static void the_log_of_a_store_at_rest_becomes_small(void **state)
{
    struct fixture *f = *state;
    const loam_options options = large_memtables();
    fixture_open(f, &options);
    put_values(f);
    assert_true(log_files_bytes(f->store) > 32 << 20);
    wait_until_the_log_is_small(f);
    put_text(f->db, NULL, "after", "v");
    fixture_reopen(f);
    expect_text(f->db, NULL, "after", "v");
    expect_values(f);
}

static int put_values_and_end(struct fixture *f)
{
    const loam_options options = large_memtables();
    fixture_open(f, &options);
    put_values(f);
    return 0; /* without a rest, and without closing */
}

static void the_log_of_an_earlier_opening_becomes_small(void **state)
{
    struct fixture *f = *state;
    const loam_options options = large_memtables();
    struct fixture_child child = fixture_child_start(f, put_values_and_end);
    assert_int_equal(fixture_child_end(&child), 0);
    assert_true(log_files_bytes(f->store) > 32 << 20);
    fixture_open(f, &options);
    wait_until_the_log_is_small(f);
    fixture_reopen(f);
    expect_values(f);
}

/* Something that nobody changes any more pins the log from the first opening on. */
static void the_bound_holds_over_openings(void **state)
{
    enum { OPENINGS = 5, PUTS = 3500, BYTES = 1000, MEMTABLE_BYTES = 1 << 20 };
    struct fixture *f = *state;
    loam_options options = fixture_options();
    char key[16];
    uint8_t *bytes = fixture_bytes(BYTES, 1);
    loam_coll *cold;
    options.memtable_bytes = MEMTABLE_BYTES;
    for (int opening = 0; opening < OPENINGS; opening++) {
        fixture_open(f, &options);
        if (opening == 0) expect_ok(loam_create(f->db, "cold", NULL, &cold));
        if (opening == 0) put_text(f->db, cold, "x", "y");
        for (int i = 0; i < PUTS; i++) {
            snprintf(key, sizeof key, "%d", opening * PUTS + i);
            expect_ok(loam_put(f->db, NULL, loam_str(key), loam_bytes(bytes, BYTES)));
        }
        expect_ok(loam_flush(f->db, NULL));
        fixture_close(f);
        assert_true(log_files_bytes(f->store) <= 6 * MEMTABLE_BYTES);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(small_values_follow_a_large_one_under_a_small_memtable),
        test_closed(writes_go_on_when_all_that_filled_the_log_is_dropped),
        test_closed(a_boundless_memtable_is_not_flushed_at_each_write),
        test_closed(the_log_of_a_store_at_rest_becomes_small),
        test_closed(the_log_of_an_earlier_opening_becomes_small),
        test_closed(the_bound_holds_over_openings),
    };
    return cmocka_run_group_tests_name("regress/log_bound", tests, NULL, NULL);
}
