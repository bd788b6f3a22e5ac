/*
 * test_crash.c - the power goes at every storage call of a history in turn, and again during the recovery.
 *
 * A history is a seed: puts, deletes, batches over collections, creations, drops, renames, flushes, compactions, background jobs, clean
 * reopenings, under options that the seed chooses. It is run once for each call it makes, with the machine off from that call on; what was not
 * synced is lost, kept, cut short or kept in part. The store must open, hold a prefix of the commits that reaches at least to the
 * last one that was promised, verify clean, and take a write that is still there after the next opening.
 * SEED=n replays one seed, CUT=n one cut of it; HISTORIES=n sets how many there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/history.h"

static uint64_t states, recoveries_cut;

static int random_loss(struct rand *rand)
{
    return (int)rand_below(rand, SIMDISK_LOSSES);
}

/* False when the history ended before the cut. */
static bool cut_once(uint64_t seed, uint64_t cut)
{
    struct history *h = history_new(seed, cut);
    struct rand rand = {seed * 1000003 + cut};
    simdisk_cut_at(h->disk, cut);
    const loam_status rc = history_run(h);
    const bool was_cut = simdisk_is_off(h->disk);
    if (rc < 0 && !was_cut)
        fail_msg("SEED=%llu CUT=%llu: %s failed with the machine on: %s", (unsigned long long)seed,
                 (unsigned long long)cut, h->doing, loam_errmsg());
    history_die(h, random_loss(&rand));
    if (rand_below(&rand, 2) == 0) { /* and again while it recovers */
        simdisk_cut_at(h->disk, 1 + rand_below(&rand, 60));
        if (history_open(h) < 0) h->db = NULL;
        history_die(h, random_loss(&rand));
        recoveries_cut++;
    }
    simdisk_cut_at(h->disk, 0);
    if (history_open(h) != LOAM_OK)
        fail_msg("SEED=%llu CUT=%llu (%s): opening: %s", (unsigned long long)seed,
                 (unsigned long long)cut, h->doing, loam_errmsg());
    history_check(h);
    history_free(h);
    states++;
    return was_cut;
}

static void a_power_cut_at_any_call_leaves_a_promised_prefix(void **state)
{
    (void)state;
    const uint64_t only_seed = history_number("SEED", 0), only_cut = history_number("CUT", 0);
    const uint64_t histories = history_number("HISTORIES", 24 / history_number("SLOWDOWN", 1));
    for (uint64_t i = 0; i < histories; i++) {
        const uint64_t seed = only_seed > 0 ? only_seed : 1 + i;
        if (only_cut > 0)
            (void)cut_once(seed, only_cut);
        else
            for (uint64_t cut = 1; cut_once(seed, cut); cut++) {
            }
        if (only_seed > 0) break;
    }
    print_message("# %llu crash states, %llu of them after a crash during recovery\n",
                  (unsigned long long)states, (unsigned long long)recoveries_cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_call_leaves_a_promised_prefix)};
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
