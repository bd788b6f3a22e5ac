/*
 * test_fault_full.c - the disk is full: at every size that a history grows to, and after each of its operations.
 *
 * A write answers LOAM_FULL, and nothing else goes wrong: reads are right, nothing is fenced, the store can be closed cleanly while the
 * disk is full. Once there is room, what waits in memory is flushed by itself and the same handle writes on (fault_history() in lib/fault.h).
 * SEED=n replays one history, CUT=n one of its sizes or operations; HISTORIES=n says how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/seeds.h"

enum { HISTORIES = 8 };

static void a_full_disk_refuses_and_heals(void **state)
{
    static const int sizes[] = {FAULT_SMALL_DISK}, moments[] = {FAULT_FULL_DISK};
    (void)state;
    uint64_t small = 0, filled = 0;
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        small += fault_sweep(sizes, 1, fault_history, seed);
        filled += fault_sweep(moments, 1, fault_history, seed);
    }
    figures_print((const struct figure[]){{"small_disks", small},
                                          {"full_disks", filled},
                                          {"refusals", fault_noticed}},
                  3);
    assert_true(fault_fenced == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_full_disk_refuses_and_heals)};
    return cmocka_run_group_tests_name("fault: full", tests, NULL, NULL);
}
