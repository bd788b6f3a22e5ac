/* latency.c - see latency.h. */
#include "bench/latency.h"

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->count++;
    latency->bucket[histogram_bucket(ns)]++;
    if (ns > latency->max_ns) latency->max_ns = ns;
}

void latency_merge(struct latency *target, const struct latency *source)
{
    target->count += source->count;
    if (source->max_ns > target->max_ns) target->max_ns = source->max_ns;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        target->bucket[i] += source->bucket[i];
}

double latency_percentile(const struct latency *latency, double percent)
{
    return (double)histogram_percentile(latency->bucket, latency->max_ns, percent);
}
