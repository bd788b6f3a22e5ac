/*
 * seeds.h - which seeds a suite runs, and for how long.
 *
 * Role: the one way in which suites that draw by chance are steered from outside:
 *     SEED=n        replays that one seed
 *     FIRST_SEED=n  begins there instead of at 1
 *     SOAK=n        goes on to fresh seeds for n seconds, instead of a fixed budget
 *     SLOWDOWN=n    divides the budget: how much slower than a plain build this one is
 * In the picture: tests only; scripts/soak adds up the lines that figures_print() writes.
 */
#ifndef LOAM_TESTS_LIB_SEEDS_H
#define LOAM_TESTS_LIB_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

uint64_t environment_number(const char *variable, uint64_t otherwise);

struct seeds {
    uint64_t next, end, ends_at_ms; /* ends_at_ms: 0 without SOAK */
};

/* `variable` of the environment says how many there are; else count / SLOWDOWN, at least one. */
struct seeds seeds_begin(const char *variable, uint64_t count);
/* For plain cases, of which few are enough: SOAK does not make them more. */
struct seeds seeds_few(const char *variable, uint64_t count);
bool seeds_next(struct seeds *seeds, uint64_t *seed);

/* The step of a walk that meets everything in a plain build, and every nth thing in a slower one. */
uint64_t seeds_stride(uint64_t slow);

/* For suites whose budget is not a number of seeds: true until the budget, or the time, is used up. */
bool seeds_go_on(const struct seeds *seeds, uint64_t done, uint64_t budget);

struct figure {
    const char *name; /* as a word: crash_states */
    uint64_t value;
};
/* "# figures crash_states=12 recovery_crashes=3", for people and for the sum. */
void figures_print(const struct figure *figures, unsigned count);

#endif
