/*
 * bench_main.c - loam beside other storage engines, on the same data, machine and budget.
 *
 * Role: options; which trial comes next; the file of results after each, the table at the end.
 * Invariants: (1) in each round, engines take turns at each workload, and the order turns
 *   from round to round. (2) What the results hold already is not measured again, so an
 *   interrupted run can go on. (3) A trial that failed, or had a wrong answer, is no
 *   result, and the exit status says so.
 * In the picture: the benchmark's main program; bench/trial.h does one trial, results and
 *   report do the rest. docs/benchmarks.md says how to use it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <lz4.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engines.h"
#include "limit.h"
#include "report.h"

enum { WORKLOADS_MAX = 64, ENGINES_MAX = 16 };

struct plan_of_run {
    struct parameters parameters;
    const char *dir, *json, *best_of;
    const char *engine_names, *workload_names; /* NULL: all */
    double times_memory;
    bool resume;
    const struct workload *workload[WORKLOADS_MAX];
    const struct engine *engine[ENGINES_MAX];
    uint32_t workloads, engines, rest_ms;
    struct results best; /* of best_of */
};

/* ---- the command line ------------------------------------------------------------------------ */

static const char usage[] =
    "usage: loam_bench [OPTION...]\n"
    "  --entries N          1,000,000\n"
    "  --key-bytes N        16; decimal digits\n"
    "  --value-bytes N      100\n"
    "  --threads N          1; where the workload does not say how many\n"
    "  --rounds N           3\n"
    "  --engines A,B,..     all that this program was built with\n"
    "  --workloads A,B,..   all; a name may end with *\n"
    "  --cache SIZE         512MiB\n"
    "  --write-buffer SIZE  64MiB\n"
    "  --filter-bits N      10; of RocksDB and LevelDB\n"
    "  --memory-limit SIZE  of each trial, page cache included, where the system lets us\n"
    "  --times-memory N     entries for N times the memory limit; cache and write buffer\n"
    "                       become a half and an eighth of it\n"
    "  --best-of FILE       loam and, for each workload, the best peer by these results\n"
    "  --json FILE          writes the results there, after each trial\n"
    "  --resume             goes on with that file\n"
    "  --rest MS            500; for so long a store is idle that is at rest\n"
    "  --dir DIR            build/bench/data; must be on the disk that is to be measured\n"
    "  --list               engines and workloads, and nothing else\n"
    "  --report FILE        the table of these results, and nothing else\n";

static uint64_t number_within(const char *option, const char *text, uint64_t low, uint64_t high)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || number < low || number > high)
        bench_die("--%s %s: wants a number from %" PRIu64 " to %" PRIu64, option, text, low, high);
    return number;
}

static uint64_t size_of(const char *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    const char *units = "KMGT";
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    const int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    const char *rest = unit != NULL ? end + 1 : end;
    const bool whole = *rest == '\0' || strcmp(rest, "iB") == 0;
    if (errno != 0 || *text < '0' || *text > '9' || !whole || number == 0 ||
        number > UINT64_MAX >> 1 >> shift)
        bench_die("--%s %s: wants a size such as 512MiB", option, text);
    return (uint64_t)number << shift;
}

enum option_id {
    OPTION_ENTRIES = 256,
    OPTION_KEY,
    OPTION_VALUE,
    OPTION_THREADS,
    OPTION_ROUNDS,
    OPTION_ENGINES,
    OPTION_WORKLOADS,
    OPTION_CACHE,
    OPTION_BUFFER,
    OPTION_FILTER,
    OPTION_LIMIT,
    OPTION_TIMES,
    OPTION_BEST,
    OPTION_JSON,
    OPTION_RESUME,
    OPTION_REST,
    OPTION_DIR,
    OPTION_LIST,
    OPTION_REPORT,
    OPTION_HELP
};

static const struct option options[] = {
    {"entries", required_argument, NULL, OPTION_ENTRIES},
    {"key-bytes", required_argument, NULL, OPTION_KEY},
    {"value-bytes", required_argument, NULL, OPTION_VALUE},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"engines", required_argument, NULL, OPTION_ENGINES},
    {"workloads", required_argument, NULL, OPTION_WORKLOADS},
    {"cache", required_argument, NULL, OPTION_CACHE},
    {"write-buffer", required_argument, NULL, OPTION_BUFFER},
    {"filter-bits", required_argument, NULL, OPTION_FILTER},
    {"memory-limit", required_argument, NULL, OPTION_LIMIT},
    {"times-memory", required_argument, NULL, OPTION_TIMES},
    {"best-of", required_argument, NULL, OPTION_BEST},
    {"json", required_argument, NULL, OPTION_JSON},
    {"resume", no_argument, NULL, OPTION_RESUME},
    {"rest", required_argument, NULL, OPTION_REST},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"list", no_argument, NULL, OPTION_LIST},
    {"report", required_argument, NULL, OPTION_REPORT},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static _Noreturn void print_list(void)
{
    printf("engines:");
    for (size_t i = 0; i < engine_choices_count; i++)
        printf(" %s%s", engine_choices[i].name, engine_choices[i].engine ? "" : " (not built)");
    printf("\n");
    for (size_t i = 0; i < workloads_count; i++)
        printf("%-20s%s\n", workloads[i].name, workloads[i].text);
    exit(0);
}

static _Noreturn void print_report(const char *path)
{
    struct results results;
    results_read(&results, path);
    report_print(&results, stdout);
    exit(0);
}

static void take_number(struct parameters *parameters, int option, const char *name)
{
    const char *text = optarg;
    struct dataset *set = &parameters->set;
    if (option == OPTION_ENTRIES)
        set->entries = (uint32_t)number_within(name, text, 1, DATASET_ENTRIES_MAX);
    else if (option == OPTION_KEY)
        set->key_bytes =
            (uint32_t)number_within(name, text, DATASET_KEY_BYTES_MIN, DATASET_KEY_BYTES_MAX);
    else if (option == OPTION_VALUE)
        set->value_bytes =
            (uint32_t)number_within(name, text, DATASET_VALUE_BYTES_MIN, DATASET_VALUE_BYTES_MAX);
    else if (option == OPTION_THREADS)
        parameters->threads = (uint32_t)number_within(name, text, 1, TRIAL_THREADS_MAX);
    else if (option == OPTION_ROUNDS)
        parameters->rounds = (uint32_t)number_within(name, text, 1, 99);
    else if (option == OPTION_FILTER)
        parameters->options.filter_bits_per_key = (uint32_t)number_within(name, text, 1, 32);
    else if (option == OPTION_CACHE)
        parameters->options.cache_bytes = size_of(name, text);
    else if (option == OPTION_BUFFER)
        parameters->options.write_buffer_bytes = size_of(name, text);
    else if (option == OPTION_LIMIT)
        parameters->memory_limit_bytes = size_of(name, text);
}

static void take_option(struct plan_of_run *run, int option, const char *name)
{
    if (option == OPTION_ENGINES)
        run->engine_names = optarg;
    else if (option == OPTION_WORKLOADS)
        run->workload_names = optarg;
    else if (option == OPTION_TIMES)
        run->times_memory = (double)number_within(name, optarg, 1, 1000);
    else if (option == OPTION_BEST)
        run->best_of = optarg;
    else if (option == OPTION_JSON)
        run->json = optarg;
    else if (option == OPTION_RESUME)
        run->resume = true;
    else if (option == OPTION_REST)
        run->rest_ms = (uint32_t)number_within(name, optarg, 1, 60000);
    else if (option == OPTION_DIR)
        run->dir = optarg;
    else if (option == OPTION_LIST)
        print_list();
    else if (option == OPTION_REPORT)
        print_report(optarg);
    else
        take_number(&run->parameters, option, name);
}

static void take_options(struct plan_of_run *run, int argc, char **argv)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            exit(0);
        }
        if (option == '?') exit(64);
        take_option(run, option, options[index].name);
    }
    if (optind < argc) bench_die("%s: no option; --help lists them", argv[optind]);
    if (run->json != NULL && *run->json == '\0') bench_die("--json wants FILE");
    if (run->resume && run->json == NULL) bench_die("--resume wants --json FILE");
}

/* ---- what is to be run ----------------------------------------------------------------------- */

static void complain_of_unknown(const struct plan_of_run *run)
{
    size_t len = 0;
    const char *unknown = workload_find_unknown(run->workload_names, &len);
    if (unknown != NULL) bench_die("%.*s: no such workload; --list has them", (int)len, unknown);
    for (const char *at = run->engine_names; at != NULL && *at != '\0';) {
        bool known = false;
        len = strcspn(at, ",");
        for (size_t i = 0; i < engine_choices_count; i++)
            known |= strlen(engine_choices[i].name) == len &&
                     strncmp(engine_choices[i].name, at, len) == 0;
        if (!known) bench_die("%.*s: no such engine; --list has them", (int)len, at);
        at += len + (at[len] == ',');
    }
}

static void choose(struct plan_of_run *run)
{
    complain_of_unknown(run);
    for (size_t i = 0; i < engine_choices_count; i++) {
        const struct engine_choice *choice = &engine_choices[i];
        if (!workload_is_listed(run->engine_names, choice->name)) continue;
        if (choice->engine == NULL)
            fprintf(stderr, "bench: %s is left out: it was not there when this was built\n",
                    choice->name);
        else
            run->engine[run->engines++] = choice->engine;
    }
    for (size_t i = 0; i < workloads_count && run->workloads < WORKLOADS_MAX; i++) {
        if (workload_is_listed(run->workload_names, workloads[i].name))
            run->workload[run->workloads++] = &workloads[i];
    }
    if (run->engines == 0 || run->workloads == 0) bench_die("nothing is left to be run");
    if (run->best_of != NULL) results_read(&run->best, run->best_of);
}

static bool is_wanted(const struct plan_of_run *run, const struct workload *workload,
                      const struct engine *engine)
{
    if (!trial_is_possible(engine, workload)) return false;
    if (run->best_of == NULL || engine == &engine_loam) return true;
    const char *rival = report_rival(&run->best, workload->name);
    return rival != NULL && strcmp(rival, engine->name) == 0;
}

static void choose_sizes(struct plan_of_run *run)
{
    struct parameters *parameters = &run->parameters;
    const uint64_t limit = parameters->memory_limit_bytes;
    if (run->times_memory > 0) {
        if (limit == 0) bench_die("--times-memory wants --memory-limit");
        const double row = parameters->set.key_bytes + parameters->set.value_bytes;
        const double entries = run->times_memory * (double)limit / row;
        if (entries > DATASET_ENTRIES_MAX)
            bench_die("--times-memory: more than 1,000,000,000 entries");
        parameters->set.entries = (uint32_t)entries;
        parameters->options.cache_bytes = limit / 2;
        parameters->options.write_buffer_bytes = limit / 8;
    }
    const uint64_t wanted =
        parameters->options.cache_bytes + parameters->options.write_buffer_bytes;
    if (limit > 0 && limit < wanted)
        bench_die("--memory-limit: less than cache and write buffer, %" PRIu64
                  " MiB; --times-memory chooses those after the limit",
                  wanted >> 20);
}

static void limit_memory(struct plan_of_run *run)
{
    const char *why = NULL;
    const uint64_t limit = run->parameters.memory_limit_bytes;
    if (limit == 0 || limit_set_up(limit, &why)) return;
    fprintf(
        stderr,
        "bench: the memory limit is not set: %s. Caches and write buffers keep to their sizes; the "
        "system's page cache is not limited.\n",
        why);
    run->parameters.memory_limit_bytes = 0;
}

/* ---- what it ran on -------------------------------------------------------------------------- */

static void note(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, json_string(text));
}

static void describe_cpu(json_t *machine)
{
    char line[256], text[400] = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, sizeof text, "%s", colon + 2);
        break;
    }
    if (file) fclose(file);
    const size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, ", %ld cores, %.0f GiB", sysconf(_SC_NPROCESSORS_ONLN),
             (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30));
    note(machine, "machine", text);
}

/* What LZ4 makes of the rows of a block of 16 KiB, in the order of their keys (loam's have 4 KiB). */
static void describe_data(json_t *machine, const struct dataset *set)
{
    const size_t row = set->key_bytes + set->value_bytes, rows = row < 16384 ? 16384 / row : 1;
    char text[100], *raw = bench_alloc(rows * row);
    for (uint32_t i = 0; i < rows; i++) {
        dataset_key(set, raw + i * row, 2 * i);
        dataset_value(set, raw + i * row + set->key_bytes, 2 * i, 1);
    }
    const int bound = LZ4_compressBound((int)(rows * row));
    char *packed = bench_alloc((size_t)bound);
    const int bytes = LZ4_compress_default(raw, packed, (int)(rows * row), bound);
    snprintf(text, sizeof text, "LZ4 makes %.0f%% of rows in blocks of 16 KiB",
             100.0 * bytes / (double)(rows * row));
    note(machine, "data packs", text);
    free(packed);
    free(raw);
}

/* A run that went on with other code names both. */
static void note_commit(json_t *machine, const char *commit)
{
    char text[400];
    const char *before = json_string_value(json_object_get(machine, "commit"));
    if (before != NULL && strstr(before, commit) != NULL) return;
    snprintf(text, sizeof text, "%s%s%s", before ? before : "", before ? ", then " : "", commit);
    note(machine, "commit", text);
}

static void describe_machine(struct results *results, const char *dir)
{
    char text[600];
    struct utsname system;
    struct statfs fs;
    const char *commit = getenv("BENCH_COMMIT");
    describe_cpu(results->machine);
    if (uname(&system) == 0) {
        snprintf(text, sizeof text, "%s %s", system.sysname, system.release);
        note(results->machine, "system", text);
    }
    if (statfs(dir, &fs) == 0) {
        snprintf(text, sizeof text, "type 0x%lx, blocks of %ld bytes", (unsigned long)fs.f_type,
                 (long)fs.f_bsize);
        note(results->machine, "file system", text);
    }
    note_commit(results->machine, commit && *commit ? commit : "unknown");
    describe_data(results->machine, &results->parameters.set);
    if (results->parameters.memory_limit_bytes > 0) {
        snprintf(text, sizeof text, "%" PRIu64 " MiB",
                 results->parameters.memory_limit_bytes >> 20);
        note(results->machine, "memory limit", text);
    }
}

static void describe_engines(struct results *results, const struct plan_of_run *run)
{
    for (uint32_t e = 0; e < run->engines; e++) {
        char version[64] = "";
        run->engine[e]->version(version, sizeof version);
        json_object_set_new(
            results->engines, run->engine[e]->name,
            json_pack("{s:s,s:s}", "version", version, "settings", run->engine[e]->settings));
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static volatile sig_atomic_t stopping_signal;

static void note_signal(int number)
{
    stopping_signal = number;
}

static bool is_stopped(void)
{
    return stopping_signal != 0;
}

/* What is half done is taken away; what is done stands in the results. */
static void heed_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

/* Two runs would take each other's stores away. Children have the descriptor too, and end with this process. */
static void lock_directory(const char *dir)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) bench_die("%s: %s", dir, strerror(errno));
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        bench_die("%s: another run is using it; --dir names another directory", dir);
}

static bool run_one(const struct plan_of_run *run, struct results *results, uint32_t round,
                    const struct workload *workload, const struct engine *engine)
{
    const struct trial trial = {.engine = engine,
                                .workload = workload,
                                .asked = run->parameters.set,
                                .options = run->parameters.options,
                                .threads = run->parameters.threads,
                                .rest_ms = run->rest_ms,
                                .dir = run->dir,
                                .is_limited = run->parameters.memory_limit_bytes > 0,
                                .begin = limit_enter,
                                .stop = is_stopped};
    struct result result = {.workload = workload->name, .engine = engine->name, .round = round};
    if (results_find(results, workload->name, engine->name, round) != NULL) return true;
    if (!trial_run(&trial, &result.measures)) {
        if (is_stopped()) return false;
        fprintf(stderr, "bench: round %" PRIu32 ", %s, %s: failed, and is no result\n", round,
                workload->name, engine->name);
        return false;
    }
    results_add(results, &result);
    if (run->json != NULL) results_write(results, report_rows(results), run->json);
    fprintf(stderr, "round %" PRIu32 "  %-18s %-12s %12.0f/s  %8.3f s\n", round, workload->name,
            engine->name, measure_rate(&result.measures), result.measures.seconds);
    return true;
}

static void forget_stores(const struct plan_of_run *run)
{
    for (uint32_t e = 0; e < run->engines; e++) {
        const struct trial trial = {
            .engine = run->engine[e], .asked = run->parameters.set, .dir = run->dir};
        trial_forget(&trial);
    }
}

static bool run_round(const struct plan_of_run *run, struct results *results, uint32_t round)
{
    bool good = true;
    for (uint32_t w = 0; w < run->workloads; w++) {
        for (uint32_t i = 0; i < run->engines; i++) {
            const struct engine *engine = run->engine[(i + round + w) % run->engines];
            if (is_stopped()) return false;
            if (is_wanted(run, run->workload[w], engine))
                good &= run_one(run, results, round, run->workload[w], engine);
        }
    }
    forget_stores(run);
    return good;
}

static void begin_results(struct plan_of_run *run, struct results *results)
{
    const char *differs = NULL;
    lock_directory(run->dir);
    limit_memory(run);
    heed_signals();
    if (run->resume && access(run->json, F_OK) == 0) {
        results_read(results, run->json);
        if (!results_fit(&results->parameters, &run->parameters, &differs)) {
            limit_take_down();
            bench_die("%s: cannot go on with another %s", run->json, differs);
        }
    } else {
        results_init(results);
        forget_stores(run);
    }
    results->parameters = run->parameters;
    describe_machine(results, run->dir);
    describe_engines(results, run);
}

int main(int argc, char **argv)
{
    struct plan_of_run run = {
        .parameters = {.set = {.entries = 1000000, .key_bytes = 16, .value_bytes = 100},
                       .options = {.write_buffer_bytes = UINT64_C(64) << 20,
                                   .cache_bytes = UINT64_C(512) << 20,
                                   .filter_bits_per_key = 10},
                       .threads = 1,
                       .rounds = 3},
        .rest_ms = TRIAL_REST_MS,
        .dir = "build/bench/data"};
    struct results results;
    bool good = true;
    take_options(&run, argc, argv);
    choose(&run);
    choose_sizes(&run);
    begin_results(&run, &results);
    for (uint32_t round = 1; round <= run.parameters.rounds; round++)
        good &= run_round(&run, &results, round);
    limit_take_down();
    (void)rmdir(run.dir); /* unless stores are left for --resume */
    if (is_stopped() && run.json != NULL)
        fprintf(stderr, "bench: stopped; --resume goes on with %s\n", run.json);
    report_print(&results, stdout);
    results_deinit(&results);
    if (run.best_of != NULL) results_deinit(&run.best);
    return is_stopped() ? 128 + (int)stopping_signal : good ? 0 : 1;
}
