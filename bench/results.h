/*
 * results.h - what was measured so far, in memory and as a JSON file.
 *
 * Role: keeps one entry per trial; writes the file after each of them, and reads one
 *   to go on with it or to learn which peer was the best.
 * Invariants: (1) the file is replaced whole: whoever interrupts a run loses the trial
 *   that was running. (2) A run goes on only with the parameters that it began with.
 * In the picture: the benchmark's own folder; filled by bench_main, printed by report,
 *   drawn by bench/plot.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <jansson.h>

#include "bench/trial.h"

struct parameters {
    struct dataset set;
    struct engine_options options;
    uint32_t threads, rounds;
    uint64_t memory_limit_bytes; /* 0: none */
};

struct result {
    const char *workload, *engine; /* names; borrowed from tables or from the file that was read */
    uint32_t round;                /* from 1 */
    struct measures measures;
};

struct results {
    struct parameters parameters;
    json_t *machine; /* an object: what it ran on, in words */
    json_t *engines; /* an object: of each engine its version and settings */
    struct result *result;
    size_t count, capacity;
    json_t *read_from; /* NULL, or what the borrowed names belong to */
};

void results_init(struct results *results);
void results_deinit(struct results *results);

/* The entry of a trial, or NULL. */
const struct result *results_find(const struct results *results, const char *workload,
                                  const char *engine, uint32_t round);
void results_add(struct results *results, const struct result *result);

/* These die if the file cannot be read or written, or is none of ours. Takes rows, which are what
   report makes of it, for other readers of the file. */
void results_write(const struct results *results, json_t *rows, const char *path);
void results_read(struct results *results, const char *path);

/* Whether a run with these parameters may go on with the other's; says what differs if not. */
bool results_fit(const struct parameters *one, const struct parameters *other,
                 const char **differs);

/* Median, least and most of one measure over the rounds. False: there is none. */
typedef double measure_of(const struct measures *measures);
struct spread {
    double median, least, most;
};
bool results_spread(const struct results *results, const char *workload, const char *engine,
                    measure_of *measure, struct spread *spread);

double measure_rate(const struct measures *measures);
double measure_seconds(const struct measures *measures);

#endif
