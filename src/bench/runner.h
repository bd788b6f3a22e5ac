/*
 * runner.h - does the steps of a workload on an open store, judges answers, takes the time.
 *
 * Role: one worker per thread, each with a session, a plan and a histogram of its own.
 * Invariants: (1) keys and values are made, and answers are judged, within the measured time:
 *   the same work for every engine. (2) A wrong answer ends the process. (3) Writes are
 *   timed one by one, so that no wait is missed; of reads one in eight is, since the
 *   clock would cost as much as the fastest of them.
 * In the picture: bench layer; on plan, oracle and latency; used by trial.
 */
#ifndef LOAM_BENCH_RUNNER_H
#define LOAM_BENCH_RUNNER_H

#include "bench/latency.h"
#include "bench/oracle.h"
#include "bench/plan.h"

struct team {
    const struct engine *engine;
    void *db;
    const struct workload *workload;
    struct oracle *oracle;
    uint32_t threads;
    struct plan *plans; /* one per thread, then that of the writer beside them, if there is one */
};

struct team_result {
    double seconds;
    uint64_t operations;        /* steps, rows or entries */
    uint64_t beside_operations; /* of the writer beside the workload */
    struct latency latency;
};

/* Draws the plans, and frees them. */
void team_prepare(struct team *team);
void team_release(struct team *team);

void team_run(const struct team *team, struct team_result *result);

/* Gets of a quarter of the entries, on this thread. */
void team_warm(const struct team *team);
/* Reads every row and judges it. Returns how many there are. */
uint64_t team_scan_all(const struct team *team, bool backward);

#endif
