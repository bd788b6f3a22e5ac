/*
 * latency.h - how long single operations took: a histogram.
 *
 * Role: counts nanoseconds; answers percentiles.
 * Invariants: adding is a few instructions and allocates nothing. One thread at a time.
 * In the picture: bench layer, on base/histogram.h; each worker of runner has one, they are added up at the end.
 */
#ifndef LOAM_BENCH_LATENCY_H
#define LOAM_BENCH_LATENCY_H

#include "base/histogram.h"

struct latency {
    uint64_t count, max_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns);
void latency_merge(struct latency *target, const struct latency *source);
double latency_percentile(const struct latency *latency, double percent); /* ns; 0 if none */

#endif
