/*
 * test_fault.c - every storage call of a history fails, with each error, once and for good.
 *
 * What must hold is said at fault_history() in lib/fault.h. SEED=n replays one history, CUT=n one call of it; HISTORIES=n says how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/seeds.h"

enum { HISTORIES = 3 };

static void a_failing_call_is_reported_and_loses_nothing(void **state)
{
    (void)state;
    uint64_t met = 0, histories = 0;
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed); histories++)
        met += fault_sweep(FAULTS, FAULT_ERRORS, fault_history, seed);
    figures_print((const struct figure[]){{"histories", histories},
                                          {"failing_calls", met},
                                          {"noticed", fault_noticed},
                                          {"fenced", fault_fenced}},
                  4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_call_is_reported_and_loses_nothing)};
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
