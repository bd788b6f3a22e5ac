/*
 * report.h - from measured seconds to the table that is printed.
 *
 * Role: keeps what each engine measured in each round; prints the machine, and
 *   medians with the ratio of the first engine to the best of the others.
 * In the picture: filled by bench_main.c from its child processes.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "engine.h"
#include "workload.h"

enum { ROUNDS_MAX = 99, ENGINES_MAX = 16 };

struct measures { /* of one engine in one round */
    double seconds[WORKLOADS_COUNT];
    double disk_mib; /* when settled after the last fill */
    double cpu_seconds, peak_mib;
};

struct report {
    uint32_t entries;
    int engines_count, rounds_count;
    const struct engine *engines[ENGINES_MAX];
    struct measures (*rounds)[ENGINES_MAX]; /* rounds_count rows */
};

void report_machine(const struct report *report, const struct engine_budget *budget,
                    const char *dir);
void report_table(const struct report *report);

#endif
