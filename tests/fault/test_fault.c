/*
 * test_fault.c - every storage call of a history fails in turn, with each error, once and for good.
 *
 * The history goes on after the failure as a program would. Nothing may crash or hang; what is refused is not there; after a failed write
 * or sync of the log or the manifest the store is read-only and says so. Then the process dies, or the power goes, the disk is well again,
 * and the store must open, hold a promised prefix of the commits, verify clean and take a write.
 * SEED=n replays one seed, CUT=n one call of it; HISTORIES=n sets how many there are.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/history.h"
#include "lib/seeds.h"

static const int ERRORS[] = {EIO, ENOSPC, EMFILE, EDQUOT, EINTR, SIMDISK_SHORT};

enum { ERROR_COUNT = sizeof ERRORS / sizeof ERRORS[0] };

static uint64_t faults, refused;

/* False when the history ended before the call. */
static bool fail_once(uint64_t seed, uint64_t nth, int error, bool forever)
{
    struct history *h = history_new(seed, nth);
    struct rand rand = {seed * 7919 + nth};
    const uint64_t first = simdisk_call_count(h->disk);
    h->goes_on = true;
    simdisk_fail_at(h->disk, nth, error, forever);
    const loam_status rc = history_run(h);
    const bool reached = simdisk_call_count(h->disk) - first >= nth;
    refused += rc < 0;
    /* After a failed sync the page cache is what a kill leaves, and the medium what a loss of power does. */
    history_die(h, (int)rand_below(&rand, SIMDISK_LOSSES + 1) - 1);
    simdisk_fail_at(h->disk, 0, 0, false);
    if (history_open(h) != LOAM_OK)
        fail_msg("SEED=%llu CUT=%llu error %d %d (%s): opening: %s", (unsigned long long)seed,
                 (unsigned long long)nth, error, forever, h->doing, loam_errmsg());
    history_check(h);
    history_free(h);
    faults++;
    return reached;
}

static void a_failing_call_is_reported_and_loses_nothing(void **state)
{
    (void)state;
    const uint64_t only_seed = environment_number("SEED", 0),
                   only_call = environment_number("CUT", 0);
    const uint64_t histories =
        environment_number("HISTORIES", 8 / environment_number("SLOWDOWN", 1) + 1);
    for (uint64_t i = 0; i < histories; i++) {
        const uint64_t seed = only_seed > 0 ? only_seed : 501 + i;
        bool reached = true;
        for (uint64_t nth = only_call > 0 ? only_call : 1; reached; nth++) {
            /* Each call meets one of the errors in each history; over the histories it meets them all. */
            const int error = ERRORS[(nth + i) % ERROR_COUNT];
            reached = fail_once(seed, nth, error,
                                (nth / ERROR_COUNT + i) % 2 == 0 && error != EINTR &&
                                    error != SIMDISK_SHORT);
            if (only_call > 0) break;
        }
        if (only_seed > 0) break;
    }
    print_message("# %llu failing calls; %llu histories noticed\n", (unsigned long long)faults,
                  (unsigned long long)refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_call_is_reported_and_loses_nothing)};
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
