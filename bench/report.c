/*
 * report.c - medians, ratios, and the machine they were taken on; see report.h.
 */
#include "report.h"

#include "dataset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

static void print_cpu(void)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !name) continue;
        line[strcspn(line, "\n")] = '\0';
        printf("%s, ", name + 2);
        break;
    }
    if (file) fclose(file);
    const double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
    printf("%ld cores, %.0f GiB", sysconf(_SC_NPROCESSORS_ONLN), gib);
}

void report_machine(const struct report *report, const struct engine_budget *budget,
                    const char *dir)
{
    struct utsname system;
    struct statfs fs;
    const char *commit = getenv("BENCH_COMMIT");
    printf("machine   ");
    print_cpu();
    if (uname(&system) == 0) printf(", %s %s", system.sysname, system.release);
    if (statfs(dir, &fs) == 0) printf(", file system 0x%lx", (unsigned long)fs.f_type);
    printf("\nengines   ");
    for (int e = 0; e < report->engines_count; e++) {
        char version[64] = "";
        report->engines[e]->version(version, sizeof version);
        printf("%s%s %s", e ? ", " : "", report->engines[e]->name, version);
    }
    printf("\ncommit    %s\n", commit && *commit ? commit : "unknown");
    printf("data      %" PRIu32 " x (%d + %d) bytes, %d round%s, every value verified\n",
           report->entries, KEY_BYTES, VALUE_BYTES, report->rounds_count,
           report->rounds_count == 1 ? "" : "s");
    printf("options   write buffer %" PRIu64 " MiB, cache %" PRIu64
           " MiB, filter %d bits a key, compression on, no sync per commit\n\n",
           budget->write_buffer_bytes >> 20, budget->cache_bytes >> 20,
           budget->filter_bits_per_key);
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The median over the rounds of the double that stands at an offset in struct measures. */
static double median_of(const struct report *report, int engine, size_t offset)
{
    double values[ROUNDS_MAX];
    const size_t count = (size_t)report->rounds_count;
    for (size_t r = 0; r < count; r++)
        memcpy(&values[r], (const char *)&report->rounds[r][engine] + offset, sizeof values[r]);
    qsort(values, count, sizeof values[0], compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void print_ratio(double own, double best, bool more_is_better)
{
    if (own > 0 && best > 0) printf("%10.2f x", more_is_better ? own / best : best / own);
    printf("\n");
}

static void print_rates(const struct report *report, size_t w)
{
    double own = 0, best = 0;
    printf("%-24s", workloads[w].name);
    for (int e = 0; e < report->engines_count; e++) {
        const size_t offset = offsetof(struct measures, seconds) + w * sizeof(double);
        const double rate = report->entries / median_of(report, e, offset);
        printf("%14.0f", rate);
        if (e == 0)
            own = rate;
        else if (rate > best)
            best = rate;
    }
    print_ratio(own, best, true);
}

static void print_costs(const struct report *report, const char *name, size_t offset)
{
    double own = 0, best = 0;
    printf("%-24s", name);
    for (int e = 0; e < report->engines_count; e++) {
        const double cost = median_of(report, e, offset);
        printf("%14.1f", cost);
        if (e == 0)
            own = cost;
        else if (best <= 0 || cost < best)
            best = cost;
    }
    print_ratio(own, best, false);
}

void report_table(const struct report *report)
{
    printf("%-24s", "operations/s, median");
    for (int e = 0; e < report->engines_count; e++)
        printf("%14s", report->engines[e]->name);
    if (report->engines_count > 1) printf("  %s is better by", report->engines[0]->name);
    printf("\n");
    for (size_t w = 0; w < WORKLOADS_COUNT; w++)
        print_rates(report, w);
    print_costs(report, "MiB on disk, settled", offsetof(struct measures, disk_mib));
    print_costs(report, "CPU seconds, in all", offsetof(struct measures, cpu_seconds));
    print_costs(report, "peak memory, MiB", offsetof(struct measures, peak_mib));
}
