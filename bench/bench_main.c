/*
 * bench_main.c - loam beside other storage engines, on the same data, machine and budget.
 *
 * Role: for each round and engine in turn, a child process runs all workloads and
 *   leaves its measures in shared memory; then the medians are printed.
 * Invariants: (1) An engine never meets what another one left in a process: heap,
 *   threads, caches. (2) Before the clock starts the store is at rest and what was
 *   written is on the disk, so nobody pays for the workload before. (3) The order
 *   of engines turns from round to round.
 * In the picture: the benchmark's main program; engine.h is its seam to engines,
 *   workload.h says what is measured.
 */
#include "dataset.h"
#include "engine.h"
#include "report.h"
#include "workload.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct engine *const known_engines[] = {&engine_loam, &engine_leveldb};
static const struct engine_budget budget = {
    .write_buffer_bytes = UINT64_C(64) << 20,
    .cache_bytes = UINT64_C(512) << 20,
    .filter_bits_per_key = 10,
};

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("loam_bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *bench_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory) bench_die("out of memory");
    return memory;
}

static double seconds_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the store's directory ------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t tree_bytes;

static int add_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)path, (void)where;
    if (kind == FTW_F) tree_bytes += (uint64_t)info->st_blocks * 512;
    return 0;
}

static double tree_mib(const char *dir)
{
    tree_bytes = 0;
    nftw(dir, add_one, 16, FTW_PHYS);
    return (double)tree_bytes / (1 << 20);
}

/* At rest: background threads used less than a twentieth of a core for half a second. */
static void settle(const char *dir)
{
    const struct timespec half_second = {.tv_nsec = 500000000};
    for (int i = 0; i < 240; i++) {
        const double before = seconds_now(CLOCK_PROCESS_CPUTIME_ID);
        nanosleep(&half_second, NULL);
        if (seconds_now(CLOCK_PROCESS_CPUTIME_ID) - before < 0.025) break;
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0) bench_die("%s: cannot be synced", dir);
    close(fd);
}

/* ---- one engine, one round -------------------------------------------------------------------- */

static void run_workloads(const struct engine *engine, const char *dir,
                          const struct workload_input *input, struct measures *out)
{
    void *db = NULL;
    for (size_t w = 0; w < WORKLOADS_COUNT; w++) {
        if (workloads[w].fills) {
            if (db) engine->close(db);
            remove_tree(dir);
            db = engine->open(dir, &budget);
        }
        settle(dir);
        const double start = seconds_now(CLOCK_MONOTONIC);
        workloads[w].run(engine, db, input);
        out->seconds[w] = seconds_now(CLOCK_MONOTONIC) - start;
        if (!workloads[w].fills) continue;
        settle(dir);
        out->disk_mib = tree_mib(dir);
    }
    engine->close(db);
    remove_tree(dir);
}

static void run_child(const struct engine *engine, const char *dir,
                      const struct workload_input *input, struct measures *out)
{
    int status = 0;
    struct rusage usage;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        run_workloads(engine, dir, input, out);
        exit(0);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        bench_die("no child process for %s", engine->name);
    if (WIFSIGNALED(status)) bench_die("%s: died of signal %d", engine->name, WTERMSIG(status));
    if (status != 0) exit(1);
    out->cpu_seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                       (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    out->peak_mib = (double)usage.ru_maxrss / 1024;
}

static void run_rounds(struct report *report, const char *dir)
{
    uint32_t *write_order = dataset_shuffled(report->entries, 1);
    uint32_t *read_order = dataset_shuffled(report->entries, UINT64_C(1) << 40);
    const struct workload_input input = {report->entries, write_order, read_order};
    for (int r = 0; r < report->rounds_count; r++) {
        for (int i = 0; i < report->engines_count; i++) {
            const int e = (i + r) % report->engines_count;
            fprintf(stderr, "round %d of %d: %s\n", r + 1, report->rounds_count,
                    report->engines[e]->name);
            run_child(report->engines[e], dir, &input, &report->rounds[r][e]);
        }
    }
    free(write_order);
    free(read_order);
}

/* ---- the command line ------------------------------------------------------------------------- */

static void add_engines(struct report *report, const char *names)
{
    const size_t known_count = sizeof known_engines / sizeof known_engines[0];
    while (*names) {
        const size_t len = strcspn(names, ",");
        const struct engine *found = NULL;
        for (size_t i = 0; i < known_count; i++) {
            const char *name = known_engines[i]->name;
            if (strlen(name) == len && strncmp(name, names, len) == 0) found = known_engines[i];
        }
        if (!found) bench_die("no engine '%.*s'", (int)len, names);
        if (report->engines_count == ENGINES_MAX) bench_die("too many engines");
        report->engines[report->engines_count++] = found;
        names += len + (names[len] == ',');
    }
}

static long number_within(const char *text, long low, long high)
{
    char *end = NULL;
    const long number = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number < low || number > high)
        bench_die("'%s' is not a number from %ld to %ld", text, low, high);
    return number;
}

int main(int argc, char **argv)
{
    struct report report = {.entries = 1000000, .rounds_count = 3};
    const char *engines = "loam,leveldb", *dir = "build/bench/data";
    for (int c; (c = getopt(argc, argv, "n:r:e:d:")) != -1;) {
        if (c == 'n')
            report.entries = (uint32_t)number_within(optarg, 1, 2000000000);
        else if (c == 'r')
            report.rounds_count = (int)number_within(optarg, 1, ROUNDS_MAX);
        else if (c == 'e')
            engines = optarg;
        else if (c == 'd')
            dir = optarg;
        else
            bench_die("usage: loam_bench [-n ENTRIES] [-r ROUNDS] [-e ENGINE,..] [-d DIR]");
    }
    add_engines(&report, engines);
    if (!report.engines_count) bench_die("no engine named");
    const size_t bytes = (size_t)report.rounds_count * sizeof report.rounds[0];
    report.rounds = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report.rounds == MAP_FAILED) bench_die("out of memory");
    run_rounds(&report, dir);
    report_machine(&report, &budget, "."); /* the store itself is gone by now */
    report_table(&report);
    return 0;
}
