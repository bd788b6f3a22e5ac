/*
 * histogram.h - where most values lie, in little memory.
 *
 * Role: buckets that are 3% wide, and percentiles of counts kept in them. The counts are the caller's: plain or atomic.
 * Source: the layout of HdrHistogram (Tene, 2012).
 * In the picture: base layer; the engine's latencies and the benchmark's.
 */
#ifndef LOAM_BASE_HISTOGRAM_H
#define LOAM_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS
};

/* Up to 2^5 each value has a bucket; from there on each power of two has 2^5 of them. */
static inline uint32_t histogram_bucket(uint64_t value)
{
    const uint32_t sub = 1u << HISTOGRAM_SUB_BITS;
    if (value < sub) return (uint32_t)value;
    const uint32_t shift = (uint32_t)(63 - __builtin_clzll(value)) - HISTOGRAM_SUB_BITS;
    return (shift + 1) * sub + (uint32_t)((value >> shift) - sub);
}

/* The middle of a bucket's values. */
static inline uint64_t histogram_value(uint32_t bucket)
{
    const uint32_t sub = 1u << HISTOGRAM_SUB_BITS;
    if (bucket < sub) return bucket;
    const uint32_t shift = bucket / sub - 1;
    return ((uint64_t)(bucket % sub + sub) << shift) + ((UINT64_C(1) << shift) >> 1);
}

/* The value that `percent` of all are at or below, at most max; 0 when there is none. */
static inline uint64_t histogram_percentile(const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t max,
                                            double percent)
{
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += counts[i];
    const double wanted = (double)total * percent / 100;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += counts[i];
        if (counts[i] == 0 || (double)seen < wanted) continue;
        return histogram_value(i) < max ? histogram_value(i) : max;
    }
    return 0;
}

#endif
