/* trial.c - see trial.h. */
#include "bench/trial.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/gauge.h"
#include "bench/runner.h"

enum { PATH_BYTES = 4096 };

struct path {
    char text[PATH_BYTES];
};

static struct path path_of(const struct trial *trial, const char *what)
{
    const struct dataset set = workload_dataset(trial->workload, &trial->asked);
    struct path path;
    const int len =
        snprintf(path.text, sizeof path.text, "%s/%s-%u-%u-%u.%s", trial->dir, trial->engine->name,
                 set.entries, set.key_bytes, set.value_bytes, what);
    if (len < 0 || (size_t)len >= sizeof path.text) bench_die("%s: too long", trial->dir);
    return path;
}

/* ---- in the child ---------------------------------------------------------------------------- */

struct store {
    struct dataset set;
    struct oracle oracle;
    struct team team;
    const char *path;
    struct engine_options options;
};

static void store_describe(struct store *store, const struct trial *trial,
                           const struct workload *workload, const char *path)
{
    *store = (struct store){.set = workload_dataset(trial->workload, &trial->asked),
                            .path = path,
                            .options = trial->options};
    const uint64_t row_bytes = store->set.key_bytes + store->set.value_bytes;
    store->options.data_bytes = 2 * row_bytes * store->set.entries;
    store->options.sync = workload->sync;
    if (trial->workload->kind == WORKLOAD_OPEN_KILLED)
        store->options.write_buffer_bytes = UINT64_C(256) << 20;
    uint32_t threads = workload->threads > 0 ? workload->threads : trial->threads;
    if (threads > store->set.entries) threads = store->set.entries;
    oracle_init(&store->oracle, &store->set, workload->from != FROM_EMPTY,
                workload_writes(workload));
    store->oracle.concurrent =
        workload_writes(workload) && (threads > 1 || workload->beside_writer);
    store->team = (struct team){.engine = trial->engine,
                                .workload = workload,
                                .oracle = &store->oracle,
                                .threads = threads};
    team_prepare(&store->team);
}

/* What the driver itself keeps was touched before, so it does not count against a limit that begins here. */
static void store_open(struct store *store, const struct trial *trial)
{
    if (trial->begin != NULL) trial->begin();
    store->team.db = store->team.engine->open(store->path, &store->options);
}

static void store_close(struct store *store)
{
    store->team.engine->close(store->team.db);
}

static void store_forget(struct store *store)
{
    team_release(&store->team);
    oracle_deinit(&store->oracle);
}

static void take_result(struct measures *out, const struct team_result *result)
{
    out->operations = (double)result->operations;
    out->seconds = result->seconds;
    out->p50_us = latency_percentile(&result->latency, 50) / 1e3;
    out->p99_us = latency_percentile(&result->latency, 99) / 1e3;
    out->p999_us = latency_percentile(&result->latency, 99.9) / 1e3;
    out->max_us = (double)result->latency.max_ns / 1e3;
    if (result->seconds > 0)
        out->beside_per_second = (double)result->beside_operations / result->seconds;
}

/* Alone again: what was noted is what must be there. */
static void check_contents(struct store *store)
{
    if (store->team.engine->is_device || !workload_writes(store->team.workload)) return;
    store->oracle.concurrent = false;
    (void)team_scan_all(&store->team, false);
}

/* What the gauges showed before the steps that are measured. */
struct before {
    double cpu_seconds, written_bytes, memory_bytes;
};

/* When the store has come to rest: what it took, with what was there before taken off; then it is checked and closed. */
static void end_measured(struct store *store, const struct trial *trial, const char *path,
                         const struct before *before, struct measures *out)
{
    gauge_settle(path, trial->rest_ms);
    out->cpu_seconds = gauge_cpu_seconds() - before->cpu_seconds;
    out->written_bytes = (double)gauge_written_bytes() - before->written_bytes;
    out->memory_bytes = (double)gauge_memory_peak_bytes() - before->memory_bytes;
    out->disk_bytes = (double)gauge_disk_bytes(path);
    check_contents(store);
    store_close(store);
    out->disk_closed_bytes = (double)gauge_disk_bytes(path);
    store_forget(store);
}

/* As much as the engine may use, and once more for the pages of its files. */
static void meet_memory(const struct trial *trial)
{
    const struct engine_options *options = &trial->options;
    if (!trial->is_limited)
        gauge_meet_memory(2 * (options->cache_bytes + options->write_buffer_bytes));
}

static void run_steps(const struct trial *trial, const char *path, struct measures *out)
{
    struct store store;
    struct team_result result;
    store_describe(&store, trial, trial->workload, path);
    struct before before = {.memory_bytes = (double)gauge_memory_bytes()};
    store_open(&store, trial);
    if (trial->workload->from != FROM_EMPTY) team_warm(&store.team);
    gauge_settle(path, trial->rest_ms);
    if (workload_writes(trial->workload)) meet_memory(trial);
    gauge_memory_reset_peak();
    before.cpu_seconds = gauge_cpu_seconds();
    before.written_bytes = (double)gauge_written_bytes();
    team_run(&store.team, &result);
    take_result(out, &result);
    end_measured(&store, trial, path, &before, out);
}

/* As the workload fillrandom does on one thread; whatever this trial is about comes later. */
static void describe_fill(struct store *store, const struct trial *trial, const char *path)
{
    struct trial alone = *trial;
    alone.threads = 1;
    store_describe(store, &alone, workload_find("fillrandom", strlen("fillrandom")), path);
}

static void fill_base(const struct trial *trial, const char *path, struct measures *out)
{
    struct store store;
    struct team_result result;
    (void)out;
    describe_fill(&store, trial, path);
    store_open(&store, trial);
    team_run(&store.team, &result);
    gauge_settle(path, trial->rest_ms);
    check_contents(&store);
    store_close(&store);
    store_forget(&store);
}

/* Whoever copies a file has its pages counted as its memory: it has to be one whose memory is limited. */
static void copy_base(const struct trial *trial, const char *path, struct measures *out)
{
    const struct path base = path_of(trial, "base");
    (void)out;
    (void)signal(SIGTERM,
                 SIG_IGN); /* who stops waits for the copy, or it would grow while it is removed */
    if (trial->begin != NULL) trial->begin();
    if (!gauge_copy_tree(base.text, path)) _exit(1);
}

/* Puts everything, and is killed before anything could be closed. */
static void fill_and_die(const struct trial *trial, const char *path, struct measures *out)
{
    struct store store;
    struct team_result result;
    (void)out;
    describe_fill(&store, trial, path);
    store_open(&store, trial);
    team_run(&store.team, &result);
    (void)kill(getpid(), SIGKILL);
}

static void open_killed(const struct trial *trial, const char *path, struct measures *out)
{
    struct store store;
    store_describe(&store, trial, trial->workload, path);
    struct before before = {.memory_bytes = (double)gauge_memory_bytes()};
    before.written_bytes = (double)gauge_written_bytes();
    for (uint32_t i = 0; i < store.set.entries; i++)
        oracle_note(&store.oracle, 2 * i, 1);
    meet_memory(trial);
    gauge_memory_reset_peak();
    before.cpu_seconds = gauge_cpu_seconds();
    const double start = gauge_seconds();
    store_open(&store, trial);
    out->seconds = gauge_seconds() - start;
    out->operations = 1;
    out->p50_us = out->p99_us = out->p999_us = out->max_us = 1e6 * out->seconds;
    end_measured(&store, trial, path, &before, out);
}

/* ---- its parent ------------------------------------------------------------------------------ */

/* False, always. This may be a program that has more to do: it does not die. */
static bool is_refused(const char *what)
{
    (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    return false;
}

typedef void child_part(const struct trial *trial, const char *path, struct measures *out);

enum child_end { CHILD_DONE, CHILD_KILLED, CHILD_FAILED };

static bool is_done(const struct trial *trial, enum child_end end)
{
    if (end == CHILD_KILLED)
        (void)fprintf(stderr, "bench: %s, %s: was killed; %s\n", trial->engine->name,
                      trial->workload->name,
                      trial->is_limited ? "it wants more than --memory-limit"
                                        : "is the system short of memory?");
    return end == CHILD_DONE;
}

static enum child_end wait_for(const struct trial *trial, pid_t child)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    int status = 0;
    bool ended = false;
    pid_t got = 0;
    for (; got == 0; got = waitpid(child, &status, WNOHANG)) {
        (void)nanosleep(&moment, NULL);
        if (ended || trial->stop == NULL || !trial->stop()) continue;
        (void)kill(child, SIGTERM);
        ended = true;
    }
    if (got != child) return CHILD_FAILED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return CHILD_DONE;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return CHILD_KILLED;
    if (WIFSIGNALED(status) && !ended)
        (void)fprintf(stderr, "bench: %s, %s: died of signal %d\n", trial->engine->name,
                      trial->workload->name, WTERMSIG(status));
    return CHILD_FAILED;
}

/* The child dies with its parent, and of the signals that its parent may have chosen to handle. */
static enum child_end in_child(const struct trial *trial, const char *path, child_part *part,
                               struct measures *out)
{
    const pid_t parent = getpid();
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child < 0) (void)is_refused("no process");
    if (child < 0) return CHILD_FAILED;
    if (child > 0) return wait_for(trial, child);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    part(trial, path, out);
    _exit(0);
}

/* The store that FROM_SHARED and FROM_COPY begin with: made once, under its name when complete. */
static bool base_ensure(const struct trial *trial, const char *base)
{
    if (access(base, F_OK) == 0) return true;
    const struct path part = path_of(trial, "part");
    if (!gauge_remove_tree(part.text)) return false;
    if (!is_done(trial, in_child(trial, part.text, fill_base, NULL))) return false;
    return rename(part.text, base) == 0 || is_refused(base);
}

bool trial_is_possible(const struct engine *engine, const struct workload *workload)
{
    return !engine->is_device || (workload->kind == WORKLOAD_STEPS && workload->from == FROM_EMPTY);
}

static bool prepare_and_run(const struct trial *trial, const char *work, struct measures *out)
{
    const struct path base = path_of(trial, "base");
    const bool killed = trial->workload->kind == WORKLOAD_OPEN_KILLED;
    if (trial->workload->from != FROM_EMPTY && !base_ensure(trial, base.text)) return false;
    if (trial->workload->from == FROM_SHARED)
        return is_done(trial, in_child(trial, base.text, run_steps, out));
    if (trial->workload->from == FROM_COPY &&
        !is_done(trial, in_child(trial, work, copy_base, NULL)))
        return false;
    if (killed && in_child(trial, work, fill_and_die, NULL) != CHILD_KILLED) return false;
    return is_done(trial, in_child(trial, work, killed ? open_killed : run_steps, out));
}

bool trial_run(const struct trial *trial, struct measures *measures)
{
    const struct path work = path_of(trial, "work");
    struct measures *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return is_refused("memory");
    bool done = mkdir(trial->dir, 0777) == 0 || errno == EEXIST || is_refused(trial->dir);
    done = done && gauge_remove_tree(work.text) && prepare_and_run(trial, work.text, shared);
    (void)gauge_remove_tree(work.text);
    if (done) *measures = *shared;
    (void)munmap(shared, sizeof *shared);
    return done;
}

void trial_forget(const struct trial *trial)
{
    for (size_t i = 0; i < workloads_count; i++) {
        struct trial other = *trial;
        other.workload = &workloads[i];
        (void)gauge_remove_tree(path_of(&other, "base").text);
        (void)gauge_remove_tree(path_of(&other, "part").text);
        (void)gauge_remove_tree(path_of(&other, "work").text);
    }
}
