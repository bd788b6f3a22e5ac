/*
 * test_fifo.c - a fifo under the name of a file of ours stopped the process: opening one waits for its other end.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/fixture.h"

enum { PATIENCE_SECONDS = 120 };

static void no_call_waits_for_the_other_end_of_a_fifo(void **state)
{
    static const char *const names[] = {"root", "00000001-00000001.manifest",
                                        "00000001-00000001.wal"};
    struct fixture *f = *state;
    char path[600];
    alarm(PATIENCE_SECONDS);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char dir[512];
        snprintf(dir, sizeof dir, "%s-%zu", f->store, i);
        expect_ok(loam_open(dir, NULL, &f->db));
        put_text(f->db, NULL, "key", "value");
        expect_ok(loam_close(f->db));
        f->db = NULL;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_true(loam_open(dir, NULL, &f->db) < 0);
        assert_non_null(strstr(loam_errmsg(), names[i]));
        assert_true(loam_verify(dir, NULL, NULL) < 0);
        assert_int_not_equal(loam_repair(dir, NULL, NULL, NULL), LOAM_LOCKED);
    }
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(no_call_waits_for_the_other_end_of_a_fifo),
    };
    return cmocka_run_group_tests_name("regress/fifo", tests, NULL, NULL);
}
