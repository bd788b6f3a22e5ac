/*
 * test_exchanged_segments.c - two segments of a log that changed places are damage, not the end of the log.
 *
 * After a crash the log is read until a segment that was never begun. One that held another's header passed for such, so the
 * log ended there, and all commits behind it were silently gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <unistd.h>

enum { ENTRIES = 1000, VALUE_BYTES = 1000 };

static int write_and_die(struct fixture *f)
{
    static const char value[VALUE_BYTES];
    char key[16];
    fixture_open(f, NULL);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        if (loam_put(f->db, NULL, loam_str(key), loam_bytes(value, sizeof value)) != LOAM_OK)
            return 1;
    }
    return loam_sync(f->db) == LOAM_OK ? 0 : 1; /* and no close */
}

/* The paths of the log's last two segments that were begun. */
static void last_two(const struct fixture *f, char paths[static 2][512])
{
    unsigned count = 0;
    for (;; count++) {
        char path[512];
        snprintf(path, sizeof path, "%s/00000001-%08x.wal", f->store, count + 1);
        if (access(path, F_OK) != 0) break;
    }
    assert_true(count >= 3);
    for (unsigned i = 0; i < 2; i++) /* the last is prepared only */
        snprintf(paths[i], 512, "%s/00000001-%08x.wal", f->store, count - 2 + i);
}

static void exchanged_segments_are_corruption(void **state)
{
    struct fixture *f = *state;
    char paths[2][512], aside[512];
    loam_options options = fixture_options();
    struct fixture_child child = fixture_child_start(f, write_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    last_two(f, paths);
    snprintf(aside, sizeof aside, "%s", fixture_path(f, "aside"));
    assert_int_equal(rename(paths[0], aside), 0);
    assert_int_equal(rename(paths[1], paths[0]), 0);
    assert_int_equal(rename(aside, paths[1]), 0);
    for (int read_only = 0; read_only < 2; read_only++) {
        options.read_only = read_only == 1;
        expect_failure(LOAM_CORRUPT, strrchr(paths[0], '/') + 1,
                       loam_open(f->store, &options, &f->db));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(exchanged_segments_are_corruption),
    };
    return cmocka_run_group_tests_name("exchanged segments", tests, NULL, NULL);
}
