/*
 * workload.h - what is measured: one function per workload, all of them in one table.
 *
 * Role: runs a workload against an open store and dies if an answer is wrong.
 * Invariants: (1) Everything that can be prepared is prepared before the clock
 *   starts: the orders in which keys are written and looked up. (2) A workload that
 *   does not start from an empty store finds all entries in it.
 * In the picture: between bench_main.c, which owns stores and clocks, and dataset.h.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "engine.h"

struct workload_input {
    uint32_t entries;
    const uint32_t *write_order;
    const uint32_t *read_order;
};

struct workload {
    const char *name;
    bool fills; /* starts from an empty store, and leaves all entries in it */
    void (*run)(const struct engine *engine, void *db, const struct workload_input *input);
};

extern const struct workload workloads[]; /* in order of running; the first ones fill */
enum { WORKLOADS_COUNT = 6 };

#endif
