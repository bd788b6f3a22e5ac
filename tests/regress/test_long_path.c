/*
 * test_long_path.c - a path that is longer than a message does not push out the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"

static void the_reason_follows_a_path_of_any_length(void **state)
{
    static const size_t lengths[] = {300, 420, 430, 440, 480, 500, 511, 512, 520, 1000, 3000};
    struct fixture *f = *state;
    char path[4096];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memset(path, 'x', lengths[i]);
        path[lengths[i]] = 0;
        expect_failure(LOAM_IOERR, "File name too long", loam_open(path, NULL, &f->db));
        for (size_t at = 1; at < lengths[i]; at += 2)
            path[at] = '/';
        expect_failure(LOAM_IOERR, "the directory above it is missing",
                       loam_open(path, NULL, &f->db));
        assert_true(strlen(loam_errmsg()) < 512);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(the_reason_follows_a_path_of_any_length),
    };
    return cmocka_run_group_tests_name("long paths", tests, NULL, NULL);
}
