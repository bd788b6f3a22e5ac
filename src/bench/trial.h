/*
 * trial.h - one workload, on one engine, once: in a process of its own.
 *
 * Role: prepares the store that the workload begins with, lets a child process run it,
 *   and brings back what that measured.
 * Invariants: (1) an engine never meets what another one left in a process: heap,
 *   threads, caches; processor time and memory are its own. (2) Before the clock starts
 *   the store is at rest, what was written is on the disk, and the memory that a workload which writes will take is
 *   the machine's, so nobody pays for what came before; after it stopped, background work is waited for and counted.
 *   (3) After a workload that writes, every row is read again and judged.
 * In the picture: bench layer, its top; used by bench/ and by the command bench.
 */
#ifndef LOAM_BENCH_TRIAL_H
#define LOAM_BENCH_TRIAL_H

#include "bench/workload.h"

enum { TRIAL_THREADS_MAX = 256, TRIAL_REST_MS = 500 };

struct trial {
    const struct engine *engine;
    const struct workload *workload;
    struct dataset asked;
    struct engine_options options; /* data_bytes and sync are set by the workload */
    uint32_t threads;              /* where the workload leaves them open */
    uint32_t rest_ms;              /* for how long a store is idle that is at rest */
    const char *dir;               /* its stores live below, under names of their own */
    bool is_limited;               /* in its memory: none of it is met before the clock starts */
    bool (*stop)(void);            /* NULL, or asked now and then: true ends the child */
    void (*begin)(void); /* NULL, or called in each child before it opens or copies a store */
};

struct measures {
    double operations, seconds; /* per_second is derived; of opening, seconds is all there is */
    double p50_us, p99_us, p999_us, max_us; /* 0: not measured */
    double beside_per_second;               /* of the writer beside the workload */
    double cpu_seconds;                     /* until the store was at rest again */
    double written_bytes;                   /* the same */
    double memory_bytes;                    /* at its peak, above what the driver itself has */
    double disk_bytes, disk_closed_bytes;   /* at rest, before and after closing */
};

/* False: it did not come to its end, and why was said on standard error, or stop() said so. */
bool trial_run(const struct trial *trial, struct measures *measures);

/* Whether the engine can do it at all. */
bool trial_is_possible(const struct engine *engine, const struct workload *workload);

/* Removes the stores that trials of this engine have left below dir for each other. */
void trial_forget(const struct trial *trial);

#endif
