/* cmd_bench.c - measures how fast loam is on this machine; see handlers.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/trial.h"
#include "shell/exit_code.h"
#include "shell/grid.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/signals.h"

#define BENCH_ENTRIES UINT64_C(1000000)
#define BENCH_BUFFER_BYTES (UINT64_C(64) << 20)
#define BENCH_CACHE_BYTES (UINT64_C(512) << 20)

static bool is_stopped(void)
{
    return signals_stop() != 0;
}

/* What is left of --memory is for the cache. */
static struct engine_options options_of(const struct session *session)
{
    struct engine_options options = {.write_buffer_bytes = BENCH_BUFFER_BYTES,
                                     .cache_bytes = BENCH_CACHE_BYTES};
    if (session->memory_bytes == 0) return options;
    if (session->memory_bytes / 4 < options.write_buffer_bytes)
        options.write_buffer_bytes = session->memory_bytes / 4;
    options.cache_bytes = session->memory_bytes - options.write_buffer_bytes;
    return options;
}

static double rate_of(const struct measures *measures)
{
    return measures->seconds > 0 ? measures->operations / measures->seconds : 0;
}

static void print_json(struct session *session, const struct workload *workload,
                       const struct measures *m)
{
    sink_printf(&session->out,
                "{\"workload\":\"%s\",\"per_second\":%.1f,\"seconds\":%.6f,\"p50_us\":%.2f,"
                "\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,\"cpu_seconds\":%.3f,"
                "\"written_bytes\":%.0f,\"memory_bytes\":%.0f,\"disk_bytes\":%.0f}\n",
                workload->name, rate_of(m), m->seconds, m->p50_us, m->p99_us, m->p999_us, m->max_us,
                m->cpu_seconds, m->written_bytes, m->memory_bytes, m->disk_bytes);
}

static void add_figure(struct grid *grid, double figure, int decimals)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.*f", decimals, figure);
    grid_add(grid, text);
}

static void add_row(struct grid *grid, const struct workload *workload, const struct measures *m)
{
    grid_add(grid, workload->name);
    add_figure(grid, rate_of(m), rate_of(m) < 100 ? 1 : 0);
    add_figure(grid, m->p50_us, 1);
    add_figure(grid, m->p99_us, 1);
    add_figure(grid, m->p999_us, 1);
    add_figure(grid, m->max_us, 0);
    add_figure(grid, m->cpu_seconds, 2);
    add_figure(grid, m->written_bytes / (1 << 20), 1);
    add_figure(grid, m->memory_bytes / (1 << 20), 1);
    add_figure(grid, m->disk_bytes / (1 << 20), 1);
}

static int run_workloads(struct session *session, const struct args *args, struct trial *trial)
{
    static const char *const titles[] = {"workload",   "per second", "p50 us", "p99 us",
                                         "p99.9 us",   "max us",     "CPU s",  "MiB written",
                                         "MiB memory", "MiB disk"};
    const bool json = session->json || args_have(args, OPTION_JSON);
    const char *list = args_have(args, OPTION_WORKLOADS) ? args->workloads.data : NULL;
    struct grid grid;
    int code = CODE_DONE;
    grid_init(&grid, titles, "lrrrrrrrrr");
    for (size_t i = 0; i < workloads_count && code == CODE_DONE; i++) {
        struct measures measures;
        trial->workload = &workloads[i];
        if (!workload_is_listed(list, workloads[i].name)) continue;
        if (!session->quiet)
            (void)fprintf(stderr, "%s: %s\n", workloads[i].name, workloads[i].text);
        if (!trial_run(trial, &measures))
            code = is_stopped() ? signals_stop() : CODE_FAILED;
        else if (json)
            print_json(session, &workloads[i], &measures);
        else
            add_row(&grid, &workloads[i], &measures);
        if (json && code == CODE_DONE) code = session_flush(session);
    }
    if (!json) grid_print(&grid, &session->out, session_columns(session), session_colour(session));
    grid_deinit(&grid);
    return code;
}

/* As it was asked for: made, or there and empty. */
static int take_directory(const char *dir, bool *made)
{
    *made = mkdir(dir, 0777) == 0;
    if (*made) return CODE_DONE;
    if (errno != EEXIST) return complain_file(dir, errno);
    DIR *stream = opendir(dir);
    if (stream == NULL) return complain_file(dir, errno);
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(stream)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(stream);
    if (empty) return CODE_DONE;
    complain("bench: %s is not empty; name a directory that is missing or empty",
             shown_text(dir).text);
    return CODE_EXISTS;
}

int cmd_bench(struct session *session, const struct args *args)
{
    const char *dir = args->count > 0 ? args->arg[0].data : session->dir;
    const char *list = args_have(args, OPTION_WORKLOADS) ? args->workloads.data : NULL;
    const uint64_t entries = args_have(args, OPTION_ENTRIES) ? args->entries : BENCH_ENTRIES;
    if (session->db != NULL || dir == NULL) {
        complain("bench: not within a store; leave, and say `loam bench DIR`");
        return CODE_USAGE;
    }
    if (entries == 0 || entries > DATASET_ENTRIES_MAX) {
        complain("bench: --entries is from 1 to 1,000,000,000");
        return CODE_USAGE;
    }
    size_t len = 0;
    const char *unknown = workload_find_unknown(list, &len);
    if (unknown != NULL) {
        complain("bench: %s: no such workload; docs/benchmarks.md lists them",
                 shown_bytes(loam_bytes(unknown, len)).text);
        return CODE_USAGE;
    }
    bool made = false;
    const int taken = take_directory(dir, &made);
    if (taken != CODE_DONE) return taken;
    struct trial trial = {
        .engine = &engine_loam,
        .asked = {.entries = (uint32_t)entries, .key_bytes = 16, .value_bytes = 100},
        .options = options_of(session),
        .threads = 1,
        .rest_ms = TRIAL_REST_MS,
        .dir = dir,
        .stop = is_stopped};
    const int code = run_workloads(session, args, &trial);
    trial_forget(&trial);
    if (made) (void)rmdir(dir);
    return code;
}
