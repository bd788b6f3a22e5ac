/*
 * test_fault_memory.c - every allocation of a history fails, once and for good: opening, recovery, background work and closing included.
 *
 * What must hold is said at fault_history() in lib/fault.h: a call that answers LOAM_NOMEM has changed nothing, and with memory back the
 * store works on. SEED=n replays one history, CUT=n one allocation of it; HISTORIES=n says how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/seeds.h"

enum { HISTORIES = 3 };

static void a_failing_allocation_changes_nothing(void **state)
{
    static const int none[] = {FAULT_NO_MEMORY};
    (void)state;
    uint64_t met = 0, histories = 0;
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed); histories++)
        met += fault_sweep(none, 1, fault_history, seed);
    figures_print((const struct figure[]){{"histories", histories},
                                          {"failing_allocations", met},
                                          {"noticed", fault_noticed},
                                          {"fenced", fault_fenced}},
                  4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_failing_allocation_changes_nothing)};
    return cmocka_run_group_tests_name("fault: memory", tests, NULL, NULL);
}
