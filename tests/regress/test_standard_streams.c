/*
 * test_standard_streams.c - what a program writes to a standard stream that it closed does not land in the store.
 *
 * The files of the store took the lowest free descriptors, so a daemon's next message to standard error was the header
 * of its log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <unistd.h>

static int write_with_closed_streams(struct fixture *f)
{
    int said = 0;
    loam_options options = fixture_options();
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    if (loam_open(f->store, &options, &f->db) != LOAM_OK) return 1;
    for (int round = 0; round < 2; round++) {
        if (loam_put(f->db, NULL, loam_str("k"), loam_str("v")) != LOAM_OK) return 2;
        for (int fd = 0; fd < 3; fd++)
            said += write(fd, "somebody's message", 18) >= 0;
    }
    if (loam_flush(f->db, NULL) != LOAM_OK) return 3;
    return said == 0 ? 0 : 4; /* and no close */
}

static void closed_standard_streams_stay_closed(void **state)
{
    struct fixture *f = *state;
    struct fixture_child child = fixture_child_start(f, write_with_closed_streams);
    assert_int_equal(fixture_child_end(&child), 0);
    expect_ok(loam_verify(f->store, NULL, NULL));
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(closed_standard_streams_stay_closed),
    };
    return cmocka_run_group_tests_name("standard streams", tests, NULL, NULL);
}
