/*
 * plan.h - the steps of a workload, drawn before the clock starts.
 *
 * Role: turns a row of the table of workloads into one array of steps per thread.
 * Invariants: (1) the same workload, data set and number of threads make the same steps,
 *   whatever the engine. (2) No two threads ever write one slot.
 * In the picture: bench layer; between workload and runner.
 */
#ifndef LOAM_BENCH_PLAN_H
#define LOAM_BENCH_PLAN_H

#include "bench/workload.h"

enum step_kind { STEP_READ, STEP_PUT, STEP_REMOVE, STEP_SCAN, STEP_CHANGE };

struct step {
    uint32_t slot;
    uint16_t kind;
    uint16_t rows; /* of a scan, beside the first */
};

struct plan {
    struct step *step;
    uint32_t count;
};

/* The share of one of `threads` threads; the caller frees plan->step. */
struct plan plan_make(const struct workload *workload, const struct dataset *set, uint32_t thread,
                      uint32_t threads);

/* For the writer beside a workload: all entries, in another order. */
struct plan plan_make_overwrites(const struct dataset *set);

/* For warming up: gets of a quarter of the entries. */
struct plan plan_make_warming(const struct dataset *set);

#endif
