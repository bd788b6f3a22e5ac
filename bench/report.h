/*
 * report.h - what the results say: the table, and the same rows for bench/plot.
 *
 * Role: of each row the median of each engine, the best peer, the ratio, and the ratio
 *   that is asked for; then what each trial cost.
 * Invariants: a ratio above 1 is good for loam, whatever the unit of the row.
 * In the picture: the benchmark's own folder; reads results, used by bench_main.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "results.h"

void report_print(const struct results *results, FILE *out);
json_t *report_rows(const struct results *results);

/* The engine beside which loam stands in this workload, by these results: of the peers the best
   or, where the device is the measure, that. NULL: nobody else did it. */
const char *report_rival(const struct results *results, const char *workload);

#endif
