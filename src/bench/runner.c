/* runner.c - see runner.h. */
#include "bench/runner.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { READS_PER_TIMING = 8, STEPS_AHEAD = 8 };

struct worker {
    const struct team *team;
    const struct plan *plan;
    void *session;
    char *value; /* one, or those of a batch */
    pthread_t thread;
    pthread_barrier_t *start;
    const atomic_bool *stop; /* of the writer beside the others; else NULL */
    uint64_t operations, started_ns, ended_ns;
    struct latency latency;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static _Noreturn void complain_about(const struct team *team, uint32_t slot, const char *wrong)
{
    bench_die("%s, %s: key %" PRIu32 " %s", team->engine->name, team->workload->name, slot, wrong);
}

/* ---- single steps ---------------------------------------------------------------------------- */

static struct bytes_view make_key(const struct team *team, char *key, uint32_t slot)
{
    dataset_key(team->oracle->set, key, slot);
    return (struct bytes_view){key, team->oracle->set->key_bytes};
}

static void step_read(struct worker *worker, uint32_t slot)
{
    const struct team *team = worker->team;
    char key[DATASET_KEY_BYTES_MAX];
    struct bytes_view value = {NULL, 0};
    const struct bytes_view wanted = make_key(team, key, slot);
    struct oracle_window window;
    window.low = oracle_version(team->oracle, slot);
    const bool found = team->engine->get(worker->session, wanted, &value);
    window.high = team->oracle->concurrent ? oracle_version(team->oracle, slot) : window.low;
    const char *wrong = oracle_judge_get(team->oracle, slot, window, found, value);
    if (wrong != NULL) complain_about(team, slot, wrong);
}

static void step_put(struct worker *worker, uint32_t slot)
{
    const struct team *team = worker->team;
    const struct dataset *set = team->oracle->set;
    const uint16_t version =
        team->oracle->slots == NULL ? 1 : oracle_version_after(oracle_version(team->oracle, slot));
    char key[DATASET_KEY_BYTES_MAX];
    dataset_value(set, worker->value, slot, version);
    team->engine->put(worker->session, make_key(team, key, slot),
                      (struct bytes_view){worker->value, set->value_bytes});
    oracle_note(team->oracle, slot, version);
}

static void step_remove(struct worker *worker, uint32_t slot)
{
    char key[DATASET_KEY_BYTES_MAX];
    worker->team->engine->remove(worker->session, make_key(worker->team, key, slot));
    oracle_note(worker->team->oracle, slot, 0);
}

static void step_scan(struct worker *worker, uint32_t slot, uint32_t rows)
{
    const struct team *team = worker->team;
    const struct engine *engine = team->engine;
    struct oracle_scan expected;
    struct bytes_view row[2];
    char key[DATASET_KEY_BYTES_MAX];
    oracle_scan_begin(team->oracle, &expected, slot, false);
    void *scan = engine->scan_open(worker->session);
    bool got = engine->scan_seek(scan, make_key(team, key, slot), row);
    for (uint32_t i = 0;; i++) {
        const char *wrong = oracle_judge_row(team->oracle, &expected, got, row);
        if (wrong != NULL) complain_about(team, slot, wrong);
        if (!got || i == rows) break;
        got = engine->scan_move(scan, MOVE_NEXT, row);
    }
    engine->scan_close(scan);
}

static void do_step(struct worker *worker, const struct step *step)
{
    switch ((enum step_kind)step->kind) {
    case STEP_READ:
        step_read(worker, step->slot);
        break;
    case STEP_PUT:
        step_put(worker, step->slot);
        break;
    case STEP_REMOVE:
        step_remove(worker, step->slot);
        break;
    case STEP_SCAN:
        step_scan(worker, step->slot, step->rows);
        break;
    case STEP_CHANGE:
        step_read(worker, step->slot);
        step_put(worker, step->slot);
        break;
    }
}

/* ---- one thread's share ---------------------------------------------------------------------- */

static const struct step *step_at(const struct worker *worker, uint32_t i)
{
    const struct plan *plan = worker->plan;
    if (i + STEPS_AHEAD < plan->count)
        oracle_expect(worker->team->oracle, plan->step[i + STEPS_AHEAD].slot);
    return &plan->step[i];
}

static void do_reads(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->plan->count; i++) {
        const bool timed = i % READS_PER_TIMING == 0;
        const uint64_t before = timed ? clock_ns() : 0;
        do_step(worker, step_at(worker, i));
        if (timed) latency_add(&worker->latency, clock_ns() - before);
    }
    worker->operations = worker->plan->count;
}

static void do_writes(struct worker *worker)
{
    const uint32_t times = worker->team->workload->times;
    uint64_t before = clock_ns();
    for (uint32_t time = 0; time == 0 || time < times; time++) {
        for (uint32_t i = 0; i < worker->plan->count; i++) {
            do_step(worker, step_at(worker, i));
            const uint64_t now = clock_ns();
            latency_add(&worker->latency, now - before);
            before = now;
        }
        worker->operations += worker->plan->count;
    }
}

/* Round and round until the others have done. */
static void do_writes_beside(struct worker *worker)
{
    while (!atomic_load_explicit(worker->stop, memory_order_relaxed)) {
        const uint32_t i = (uint32_t)(worker->operations % worker->plan->count);
        step_put(worker, step_at(worker, i)->slot);
        worker->operations++;
    }
}

static void do_batches(struct worker *worker)
{
    const struct team *team = worker->team;
    const struct dataset *set = team->oracle->set;
    const size_t batch = team->workload->batch;
    struct bytes_view *keys = bench_alloc(2 * batch * sizeof *keys);
    struct bytes_view *values = keys + batch;
    char *key_text = bench_alloc(batch * set->key_bytes);
    for (uint32_t i = 0; i < worker->plan->count;) {
        const uint64_t before = clock_ns();
        size_t n = 0;
        for (; n < batch && i < worker->plan->count; n++, i++) {
            const uint32_t slot = worker->plan->step[i].slot;
            char *value = worker->value + n * set->value_bytes;
            dataset_value(set, value, slot, 1);
            keys[n] = make_key(team, key_text + n * set->key_bytes, slot);
            values[n] = (struct bytes_view){value, set->value_bytes};
        }
        team->engine->put_batch(worker->session, keys, values, n);
        latency_add(&worker->latency, clock_ns() - before);
    }
    for (uint32_t i = 0; i < worker->plan->count; i++)
        oracle_note(team->oracle, worker->plan->step[i].slot, 1);
    worker->operations = worker->plan->count;
    free(key_text);
    free(keys);
}

static uint64_t scan_in_session(const struct team *team, void *session, bool backward)
{
    const struct engine *engine = team->engine;
    const uint32_t slots = 2 * team->oracle->set->entries;
    struct oracle_scan expected;
    struct bytes_view row[2];
    uint64_t rows = 0;
    oracle_scan_begin(team->oracle, &expected, backward ? slots - 1 : 0, backward);
    void *scan = engine->scan_open(session);
    bool got = engine->scan_move(scan, backward ? MOVE_LAST : MOVE_FIRST, row);
    for (;; rows++) {
        const char *wrong = oracle_judge_row(team->oracle, &expected, got, row);
        if (wrong != NULL) complain_about(team, expected.slot, wrong);
        if (!got) break;
        got = engine->scan_move(scan, backward ? MOVE_PREV : MOVE_NEXT, row);
    }
    engine->scan_close(scan);
    return rows;
}

static void do_scans(struct worker *worker)
{
    const struct workload *workload = worker->team->workload;
    const bool backward = workload->kind == WORKLOAD_SCAN_BACKWARD;
    for (uint32_t time = 0; time == 0 || time < workload->times; time++)
        worker->operations += scan_in_session(worker->team, worker->session, backward);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    const struct workload *workload = worker->team->workload;
    (void)pthread_barrier_wait(worker->start);
    worker->started_ns = clock_ns();
    if (worker->stop != NULL)
        do_writes_beside(worker);
    else if (workload->kind != WORKLOAD_STEPS)
        do_scans(worker);
    else if (workload->batch > 0)
        do_batches(worker);
    else if (workload_writes(workload) && !workload->beside_writer)
        do_writes(worker);
    else
        do_reads(worker);
    worker->ended_ns = clock_ns();
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

void team_prepare(struct team *team)
{
    const struct dataset *set = team->oracle->set;
    team->plans = bench_alloc((team->threads + 1) * sizeof *team->plans);
    for (uint32_t t = 0; t < team->threads; t++)
        team->plans[t] = plan_make(team->workload, set, t, team->threads);
    if (team->workload->beside_writer) team->plans[team->threads] = plan_make_overwrites(set);
}

void team_release(struct team *team)
{
    for (uint32_t t = 0; t <= team->threads; t++)
        free(team->plans[t].step);
    free(team->plans);
}

static void hire(struct worker *worker, const struct team *team, uint32_t index)
{
    const size_t values = team->workload->batch > 0 ? team->workload->batch : 1;
    worker->team = team;
    worker->plan = &team->plans[index];
    worker->value = bench_alloc(values * team->oracle->set->value_bytes);
    worker->session = team->engine->session_open(team->db);
}

static void let_go(struct worker *worker)
{
    worker->team->engine->session_close(worker->session);
    free(worker->value);
}

static void add_up(struct team_result *result, const struct worker *worker, uint32_t count)
{
    uint64_t first = UINT64_MAX, last = 0;
    for (uint32_t t = 0; t < count; t++) {
        if (worker[t].started_ns < first) first = worker[t].started_ns;
        if (worker[t].ended_ns > last) last = worker[t].ended_ns;
        result->operations += worker[t].operations;
        latency_merge(&result->latency, &worker[t].latency);
    }
    result->seconds = (double)(last - first) / 1e9;
}

void team_run(const struct team *team, struct team_result *result)
{
    const uint32_t all = team->threads + team->workload->beside_writer;
    struct worker *worker = bench_alloc(all * sizeof *worker);
    atomic_bool stop = false;
    pthread_barrier_t start;
    (void)pthread_barrier_init(&start, NULL, all);
    for (uint32_t t = 0; t < all; t++) {
        hire(&worker[t], team, t);
        worker[t].start = &start;
        if (t == team->threads) worker[t].stop = &stop;
    }
    for (uint32_t t = 0; t < all; t++) {
        if (pthread_create(&worker[t].thread, NULL, run_worker, &worker[t]) != 0)
            bench_die("no thread");
    }
    for (uint32_t t = 0; t < all; t++) {
        if (t == team->threads) atomic_store_explicit(&stop, true, memory_order_relaxed);
        (void)pthread_join(worker[t].thread, NULL);
    }
    *result = (struct team_result){0};
    add_up(result, worker, team->threads);
    if (all > team->threads) result->beside_operations = worker[team->threads].operations;
    for (uint32_t t = 0; t < all; t++)
        let_go(&worker[t]);
    (void)pthread_barrier_destroy(&start);
    free(worker);
}

void team_warm(const struct team *team)
{
    struct plan plan = plan_make_warming(team->oracle->set);
    struct worker worker = {.team = team, .plan = &plan};
    worker.session = team->engine->session_open(team->db);
    for (uint32_t i = 0; i < plan.count; i++)
        step_read(&worker, plan.step[i].slot);
    team->engine->session_close(worker.session);
    free(plan.step);
}

uint64_t team_scan_all(const struct team *team, bool backward)
{
    void *session = team->engine->session_open(team->db);
    const uint64_t rows = scan_in_session(team, session, backward);
    team->engine->session_close(session);
    return rows;
}
