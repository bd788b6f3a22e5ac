/*
 * test_descriptors.c - a process that runs out of file descriptors for a while does not lose its database.
 *
 * A log segment or a table that could not be created for want of a descriptor fenced the database: read-only until it was
 * opened again, long after the descriptors were back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 256, ROUNDS = 5000, VALUE_BYTES = 1000 };

static int taken[DESCRIPTORS_MAX];
static size_t taken_count;

static void take_all_descriptors(void)
{
    for (int fd; taken_count < DESCRIPTORS_MAX && (fd = open("/dev/null", O_RDONLY)) >= 0;)
        taken[taken_count++] = fd;
}

static void give_them_back(void)
{
    while (taken_count > 0)
        close(taken[--taken_count]);
}

/* Writes until a failure or the last round; answers how many entries are there. */
static int put_some(loam_db *db, int from, loam_status *rc)
{
    static const char value[VALUE_BYTES];
    char key[16];
    int i = from;
    for (*rc = LOAM_OK; *rc == LOAM_OK && i < from + ROUNDS; i += *rc == LOAM_OK) {
        snprintf(key, sizeof key, "%08d", i);
        *rc = loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value));
    }
    return i;
}

static void writes_go_on_when_descriptors_are_back(void **state)
{
    struct fixture *f = *state;
    const struct rlimit few = {DESCRIPTORS_MAX / 2, DESCRIPTORS_MAX / 2};
    loam_options options = fixture_options();
    loam_status rc;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    options.memory_bytes = 4 << 20;
    fixture_open(f, &options);

    take_all_descriptors();
    const int first = put_some(f->db, 0, &rc);
    give_them_back();
    assert_int_equal(rc, LOAM_NOMEM);

    const int all = put_some(f->db, first, &rc);
    assert_int_equal(rc, LOAM_OK);
    expect_ok(loam_flush(f->db, NULL));
    fixture_reopen(f);
    char key[16];
    for (int i = 0; i < all; i++) {
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(loam_exists(f->db, NULL, loam_str(key)), LOAM_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(writes_go_on_when_descriptors_are_back),
    };
    return cmocka_run_group_tests_name("no descriptor left", tests, NULL, NULL);
}
