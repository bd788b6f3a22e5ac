/*
 * test_crash.c - the power goes at every storage call of a history in turn, and again during the recovery.
 *
 * A history is a seed: puts, deletes, batches over collections, creations, drops, renames, flushes, compactions, background jobs, clean
 * reopenings, under options that the seed chooses. It is run once for each call it makes, with the machine off from that call on; what was not
 * synced is lost, kept, cut short or kept in part, or the process alone has died. The store must open, hold a prefix of the commits that
 * reaches at least to the last one that was promised, verify clean, and take a write that is still there after the next opening. Then the
 * same for a recovery that is itself cut: at one call of each, and of some at every call.
 * SEED=n replays one seed, CUT=n one cut of it, AGAIN=n one cut of its recovery; HISTORIES=n sets how many there are.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/history.h"
#include "lib/seeds.h"

enum { HISTORIES = 80, EVERY_CALL_OF_ONE_IN = 64, READ_ONE_IN = 8, TWINS = 20 };

static uint64_t histories, crash_states, recovery_crashes;

static int random_loss(struct rand *rand)
{
    return (int)rand_below(rand, SIMDISK_LOSSES + 1) - 1;
}

static void must_open(struct history *h)
{
    if (history_open(h) == LOAM_OK) return;
    fail_msg("SEED=%llu CUT=%llu AGAIN=%llu (%s): opening: %s", (unsigned long long)h->seed,
             (unsigned long long)h->cut, (unsigned long long)h->again, h->doing, loam_errmsg());
}

/* Recovers a twin of the dead disk, from the nth call on without power, and once more with it; nth 0 lets the first one be.
   Answers how many calls the last recovery made. */
static uint64_t recover(struct history *h, const struct simdisk *dead, uint64_t nth, int loss)
{
    const bool power_was_lost = h->power_lost;
    history_move(h, simdisk_twin(dead));
    h->again = nth;
    if (nth > 0) {
        simdisk_cut_at(h->disk, nth);
        if (history_open(h) < 0) h->db = NULL;
        recovery_crashes += simdisk_is_off(h->disk);
        history_die(h, loss);
    }
    if (h->cut % READ_ONE_IN == 0) history_check_reading(h);
    const uint64_t before = simdisk_call_count(h->disk);
    must_open(h);
    const uint64_t calls = simdisk_call_count(h->disk) - before;
    history_check(h);
    h->power_lost = power_was_lost;
    simdisk_free(h->disk);
    crash_states++;
    return calls;
}

static void recover_in_every_way(struct history *h, const struct simdisk *dead, struct rand *rand)
{
    const uint64_t only = environment_number("AGAIN", 0);
    const uint64_t calls = recover(h, dead, 0, 0);
    uint64_t nth = 1 + rand_below(rand, calls), last = nth;
    if (rand_below(rand, EVERY_CALL_OF_ONE_IN) == 0) nth = 1, last = calls;
    if (only > 0 && nth == last) nth = only; /* it had the first loss that is drawn */
    if (only > 0) last = only;               /* else the losses before it are drawn as they were */
    for (; nth <= last; nth++)
        (void)recover(h, dead, nth, random_loss(rand));
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
    struct simdisk *dead = h->disk;
    recover_in_every_way(h, dead, &rand);
    history_move(h, dead);
    history_free(h);
    return was_cut;
}

static void a_power_cut_at_any_call_leaves_a_promised_prefix(void **state)
{
    (void)state;
    const uint64_t only_cut = environment_number("CUT", 0);
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed); histories++) {
        if (only_cut > 0)
            (void)cut_once(seed, only_cut);
        else
            for (uint64_t cut = 1; cut_once(seed, cut); cut++) {
            }
    }
    figures_print((const struct figure[]){{"histories", histories},
                                          {"crash_states", crash_states},
                                          {"recovery_crashes", recovery_crashes}},
                  3);
}

static void *digest_history(void *ctx)
{
    uint64_t *seed_then_digest = ctx;
    struct history *h = history_new(*seed_then_digest, 0);
    const bool ran = history_run(h) == LOAM_OK;
    *seed_then_digest = ran ? simdisk_digest(h->disk) ^ simdisk_call_count(h->disk) : 0;
    history_free(h);
    return NULL;
}

/* Each on a new thread: which operations are timed, and so look at the clock, a thread counts from its beginning. */
static uint64_t digest_of(uint64_t seed)
{
    pthread_t thread;
    uint64_t digest = seed;
    assert_int_equal(pthread_create(&thread, NULL, digest_history, &digest), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(digest != 0);
    return digest;
}

/* What replaying a seed rests on. */
static void a_seed_makes_the_same_calls_and_bytes_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= TWINS; seed++) {
        assert_int_equal(digest_of(seed), digest_of(seed));
        assert_int_not_equal(digest_of(seed), digest_of(seed + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_makes_the_same_calls_and_bytes_twice),
        cmocka_unit_test(a_power_cut_at_any_call_leaves_a_promised_prefix),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
