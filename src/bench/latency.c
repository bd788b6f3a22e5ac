/* latency.c - see latency.h. */
#include "bench/latency.h"

enum { SUB = 1 << LATENCY_SUB_BITS };

/* Up to 2^5 each value has a bucket; from there on each power of two has 2^5 of them. */
static uint32_t bucket_of(uint64_t ns)
{
    if (ns < SUB) return (uint32_t)ns;
    const uint32_t shift = (uint32_t)(63 - __builtin_clzll(ns)) - LATENCY_SUB_BITS;
    return (shift + 1) * SUB + (uint32_t)((ns >> shift) - SUB);
}

static double middle_of(uint32_t bucket)
{
    if (bucket < SUB) return bucket;
    const uint32_t shift = bucket / SUB - 1;
    const double width = (double)(UINT64_C(1) << shift);
    return ((double)(bucket % SUB + SUB) + 0.5) * width;
}

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->count++;
    latency->bucket[bucket_of(ns)]++;
    if (ns > latency->max_ns) latency->max_ns = ns;
}

void latency_merge(struct latency *target, const struct latency *source)
{
    target->count += source->count;
    if (source->max_ns > target->max_ns) target->max_ns = source->max_ns;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
        target->bucket[i] += source->bucket[i];
}

double latency_percentile(const struct latency *latency, double percent)
{
    const double wanted = (double)latency->count * percent / 100;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->bucket[i];
        if (latency->bucket[i] == 0 || (double)seen < wanted) continue;
        const double middle = middle_of(i);
        return middle < (double)latency->max_ns ? middle : (double)latency->max_ns;
    }
    return 0;
}
