/*
 * test_large.c - values of many megabytes, up to the limit where the disk is fast and free enough.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check_large(struct fixture *f, const char *key, const uint8_t *value, size_t len)
{
    loam_buf found = {0};
    expect_ok(loam_get(f->db, NULL, loam_str(key), &found));
    assert_int_equal(found.len, len);
    assert_true(memcmp(found.data, value, len) == 0);
    loam_buf_free(&found);
}

static void values_of_64_mib_come_back_from_log_and_table(void **state)
{
    struct fixture *f = *state;
    const size_t len = 64 * MIB;
    uint8_t *value = fixture_bytes(len, 64);
    expect_ok(loam_put(f->db, NULL, loam_str("large"), loam_bytes(value, len)));
    put_text(f->db, NULL, "small", "beside it");
    check_large(f, "large", value, len);
    fixture_reopen(f);
    check_large(f, "large", value, len);
    expect_ok(loam_flush(f->db, NULL));
    check_large(f, "large", value, len);
    expect_text(f->db, NULL, "small", "beside it");
    assert_string_equal(keys_forward(f->db, NULL, NULL), "large small");
    free(value);
}

static void a_batch_of_large_values_is_one_commit(void **state)
{
    struct fixture *f = *state;
    const size_t len = 5 * MIB + 12345;
    loam_batch *batch = loam_batch_new();
    char key[16];
    for (unsigned i = 0; i < 6; i++) {
        uint8_t *value = fixture_bytes(len, i);
        snprintf(key, sizeof key, "%u", i);
        expect_ok(loam_batch_put(batch, NULL, loam_str(key), loam_bytes(value, len)));
        free(value);
    }
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_COMMIT));
    loam_batch_free(batch);
    fixture_reopen(f);
    for (unsigned i = 0; i < 6; i++) {
        uint8_t *value = fixture_bytes(len, i);
        snprintf(key, sizeof key, "%u", i);
        check_large(f, key, value, len);
        free(value);
    }
}

/* As large as memory and disk have room for: the value, its copies in buffer, memtable, log and page cache. */
static size_t affordable(const struct fixture *f)
{
    struct statvfs disk;
    const uint64_t memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const char *slowdown = getenv("SLOWDOWN");
    const bool slow = slowdown != NULL && atoi(slowdown) > 1;
    if (slow || statvfs(f->home, &disk) < 0) return 0;
    const uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (memory > 5 * 1024 * MIB && room > 8 * 1024 * MIB) return 1024 * MIB;
    return memory > 2 * 1024 * MIB && room > 3 * 1024 * MIB ? 256 * MIB : 0;
}

static void the_largest_value_comes_back(void **state)
{
    struct fixture *f = *state;
    const size_t len = affordable(f);
    if (len == 0) skip();
    const double before = now_s();
    uint8_t *value = fixture_bytes(len, 1);
    const double made = now_s();
    expect_ok(loam_put(f->db, NULL, loam_str("largest"), loam_bytes(value, len)));
    const double put = now_s();
    fixture_reopen(f);
    const double reopened = now_s();
    check_large(f, "largest", value, len);
    free(value);
    print_message("%zu MiB: made in %.1f s, put in %.1f s, reopened in %.1f s, read in %.1f s\n",
                  len / MIB, made - before, put - made, reopened - put, now_s() - reopened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(values_of_64_mib_come_back_from_log_and_table),
        test_open(a_batch_of_large_values_is_one_commit),
        test_open(the_largest_value_comes_back),
    };
    return cmocka_run_group_tests_name("api/large", tests, NULL, NULL);
}
