/* report.c - see report.h. */
#include "report.h"

#include <inttypes.h>
#include <string.h>

#include "engines.h"

/* ---- rows ------------------------------------------------------------------------------------ */

struct row {
    const char *name, *workload;
    const char *unit;
    measure_of *measure;
    double asked;         /* ratio to the best peer; 0: nothing was asked */
    double asked_at_most; /* or a figure */
    bool less_is_better, against_device;
};

static double measure_disk(const struct measures *measures)
{
    return measures->disk_bytes / (1 << 20);
}

static double measure_disk_closed(const struct measures *measures)
{
    return measures->disk_closed_bytes / (1 << 20);
}

static double measure_written(const struct measures *measures)
{
    return measures->written_bytes / (1 << 20);
}

static double measure_p50(const struct measures *measures)
{
    return measures->p50_us;
}

static double measure_p99(const struct measures *measures)
{
    return measures->p99_us;
}

static double measure_p999(const struct measures *measures)
{
    return measures->p999_us;
}

static double measure_max(const struct measures *measures)
{
    return measures->max_us;
}

static const struct row special_rows[] = {
    {"openkilled", "openkilled", "s", measure_seconds, .asked_at_most = 0.6,
     .less_is_better = true},
    {"disk", "fillrandom", "MiB", measure_disk, .asked = 1, .less_is_better = true},
    {"disk, closed", "fillrandom", "MiB", measure_disk_closed, .less_is_better = true},
    {"disk, overwritten", "overwrite", "MiB", measure_disk, .less_is_better = true},
    {"written by overwrite", "overwrite", "MiB", measure_written, .less_is_better = true},
    {"churn, p99.9", "churn", "us", measure_p999, .asked_at_most = 1000, .less_is_better = true},
    {"churn, longest wait", "churn", "us", measure_max, .asked_at_most = 20000,
     .less_is_better = true},
};
enum { SPECIAL_ROWS_COUNT = sizeof special_rows / sizeof *special_rows };

static const struct {
    const char *workload;
    double asked;
} goals[] = {
    {"fillseq", 2},       {"fillrandom", 3}, {"overwrite", 3},   {"deleterandom", 5},
    {"fillbatch", 4},     {"readrandom", 2}, {"readmissing", 2}, {"readseq", 1.5},
    {"readreverse", 1.5}, {"seek10", 1.5},   {"seek100", 1.5},   {"readwhilewriting", 2},
    {"ycsb-a", 2},        {"ycsb-b", 2},     {"ycsb-c", 2},      {"ycsb-d", 1.5},
    {"ycsb-e", 1.5},      {"ycsb-f", 1.5},   {"sync1", 1},       {"sync8", 2.5},
};

static struct row row_of(const struct workload *workload)
{
    struct row row = {workload->name, workload->name, "/s", measure_rate, .asked = 0};
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++) {
        if (strcmp(goals[i].workload, workload->name) == 0) row.asked = goals[i].asked;
    }
    row.against_device = strcmp(workload->name, "sync1") == 0;
    return row;
}

/* All rows, in the order of the table. False: there are no more. */
static bool row_at(size_t index, struct row *row)
{
    if (index < workloads_count) {
        *row = row_of(&workloads[index]);
        if (workloads[index].kind == WORKLOAD_OPEN_KILLED) *row = special_rows[0];
        return true;
    }
    index -= workloads_count - 1;
    if (index >= SPECIAL_ROWS_COUNT) return false;
    *row = special_rows[index];
    return true;
}

static bool is_device(const char *engine)
{
    return strcmp(engine, engine_bare.name) == 0;
}

/* The best of the others. False: there is none. */
static bool find_rival(const struct results *results, const struct row *row, const char **rival,
                       double *best)
{
    struct spread spread;
    *rival = NULL;
    for (size_t i = 1; i < engine_choices_count; i++) {
        const char *name = engine_choices[i].name;
        if (is_device(name) != row->against_device) continue;
        if (!results_spread(results, row->workload, name, row->measure, &spread)) continue;
        const bool better = row->less_is_better ? spread.median < *best : spread.median > *best;
        if (*rival != NULL && !better) continue;
        *rival = name;
        *best = spread.median;
    }
    return *rival != NULL;
}

const char *report_rival(const struct results *results, const char *workload)
{
    const char *rival = NULL;
    double best = 0;
    struct row row;
    for (size_t i = 0; row_at(i, &row); i++) {
        if (strcmp(row.workload, workload) == 0 && find_rival(results, &row, &rival, &best)) break;
    }
    return rival;
}

static double ratio_of(const struct row *row, double own, double best)
{
    if (own <= 0 || best <= 0) return 0;
    return row->less_is_better ? best / own : own / best;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static json_t *json_of_row(const struct results *results, const struct row *row)
{
    const char *rival = NULL;
    double best = 0, own = 0;
    json_t *engines = json_object();
    for (size_t i = 0; i < engine_choices_count; i++) {
        const char *name = engine_choices[i].name;
        struct spread spread;
        if (!results_spread(results, row->workload, name, row->measure, &spread)) continue;
        json_object_set_new(engines, name,
                            json_pack("{s:f,s:f,s:f}", "median", spread.median, "least",
                                      spread.least, "most", spread.most));
        if (i == 0) own = spread.median;
    }
    if (json_object_size(engines) == 0) {
        json_decref(engines);
        return NULL;
    }
    json_t *object = json_pack("{s:s,s:s,s:b,s:o}", "row", row->name, "unit", row->unit,
                               "less_is_better", (int)row->less_is_better, "engines", engines);
    if (row->asked > 0) json_object_set_new(object, "asked", json_real(row->asked));
    if (row->asked_at_most > 0)
        json_object_set_new(object, "asked_at_most", json_real(row->asked_at_most));
    if (!find_rival(results, row, &rival, &best)) return object;
    json_object_set_new(object, "rival", json_string(rival));
    const double ratio = ratio_of(row, own, best);
    if (ratio > 0) json_object_set_new(object, "ratio", json_real(ratio));
    return object;
}

json_t *report_rows(const struct results *results)
{
    json_t *rows = json_array();
    struct row row;
    for (size_t i = 0; row_at(i, &row); i++) {
        json_t *object = json_of_row(results, &row);
        if (object != NULL) json_array_append_new(rows, object);
    }
    return rows;
}

/* ---- as text --------------------------------------------------------------------------------- */

enum { NAME_WIDTH = 22, FIGURE_WIDTH = 11 };

static void print_figure(FILE *out, double figure)
{
    if (figure <= 0)
        fprintf(out, "%*s", FIGURE_WIDTH, "-");
    else if (figure >= 1e7)
        fprintf(out, "%*.1fM", FIGURE_WIDTH - 1, figure / 1e6);
    else if (figure >= 1e6)
        fprintf(out, "%*.2fM", FIGURE_WIDTH - 1, figure / 1e6);
    else if (figure >= 1e4)
        fprintf(out, "%*.0fk", FIGURE_WIDTH - 1, figure / 1e3);
    else if (figure >= 1e3)
        fprintf(out, "%*.2fk", FIGURE_WIDTH - 1, figure / 1e3);
    else
        fprintf(out, figure >= 100 ? "%*.0f" : "%*.2f", FIGURE_WIDTH, figure);
}

static bool has_engine(const struct results *results, const char *name)
{
    return json_object_get(results->engines, name) != NULL;
}

static void print_asked(FILE *out, const struct row *row, double own, double ratio)
{
    if (row->asked > 0)
        fprintf(out, " %5.1f %s", row->asked, ratio >= row->asked ? "yes" : "no");
    else if (row->asked_at_most > 0)
        fprintf(out, " <%.*f %s %s", row->asked_at_most < 10, row->asked_at_most, row->unit,
                own <= row->asked_at_most ? "yes" : "no");
}

/* How far the rounds lie apart, of the median, in percent. */
static double width_of(const struct spread *spread)
{
    return spread->median > 0 ? 100 * (spread->most - spread->least) / spread->median : 0;
}

static void print_row(const struct results *results, const struct row *row, FILE *out)
{
    const char *rival = NULL;
    double best = 0, own = 0, widest = 0;
    bool has_own = false;
    json_t *object = json_of_row(results, row);
    if (object == NULL) return;
    json_decref(object);
    fprintf(out, "%-*s", NAME_WIDTH, row->name);
    for (size_t i = 0; i < engine_choices_count; i++) {
        struct spread spread;
        if (!has_engine(results, engine_choices[i].name)) continue;
        if (!results_spread(results, row->workload, engine_choices[i].name, row->measure,
                            &spread)) {
            fprintf(out, "%*s", FIGURE_WIDTH, "-");
            continue;
        }
        print_figure(out, spread.median);
        if (i == 0) {
            own = spread.median;
            has_own = true;
        }
        if (width_of(&spread) > widest) widest = width_of(&spread);
    }
    fprintf(out, " %-4s%5.0f%%", row->unit, widest);
    if (!has_own && has_engine(results, engine_choices[0].name)) {
        fprintf(out, "  no result of %s", engine_choices[0].name);
    } else if (find_rival(results, row, &rival, &best)) {
        const double ratio = ratio_of(row, own, best);
        fprintf(out, "  %-10s%7.2f", rival, ratio);
        print_asked(out, row, own, ratio);
    }
    fprintf(out, "\n");
}

static void print_rows(const struct results *results, FILE *out)
{
    struct row row;
    fprintf(out, "%-*s", NAME_WIDTH, "medians");
    for (size_t i = 0; i < engine_choices_count; i++) {
        if (has_engine(results, engine_choices[i].name))
            fprintf(out, "%*s", FIGURE_WIDTH, engine_choices[i].name);
    }
    fprintf(out, " unit spread  %-10s  ratio  asked\n", "best peer");
    for (size_t i = 0; row_at(i, &row); i++)
        print_row(results, &row, out);
}

/* ---- what trials cost ------------------------------------------------------------------------ */

static double measure_cpu(const struct measures *m)
{
    return m->cpu_seconds;
}
static double measure_memory(const struct measures *m)
{
    return m->memory_bytes / (1 << 20);
}
static double measure_beside(const struct measures *m)
{
    return m->beside_per_second;
}

static const struct {
    const char *title;
    measure_of *measure;
} costs[] = {
    {"p50 us", measure_p50},        {"p99 us", measure_p99},    {"p99.9 us", measure_p999},
    {"max us", measure_max},        {"CPU s", measure_cpu},     {"written MiB", measure_written},
    {"memory MiB", measure_memory}, {"disk MiB", measure_disk}, {"closed MiB", measure_disk_closed},
    {"beside /s", measure_beside},
};
enum { COSTS_COUNT = sizeof costs / sizeof *costs };

static void print_costs(const struct results *results, FILE *out)
{
    fprintf(out, "\n%-*s%-*s", NAME_WIDTH, "what it cost, medians", FIGURE_WIDTH, "");
    for (size_t c = 0; c < COSTS_COUNT; c++)
        fprintf(out, "%*s", FIGURE_WIDTH + 1, costs[c].title);
    fprintf(out, "\n");
    for (size_t w = 0; w < workloads_count; w++) {
        for (size_t e = 0; e < engine_choices_count; e++) {
            const char *workload = workloads[w].name, *engine = engine_choices[e].name;
            struct spread spread;
            if (!results_spread(results, workload, engine, measure_cpu, &spread)) continue;
            fprintf(out, "%-*s%-*s", NAME_WIDTH, workload, FIGURE_WIDTH, engine);
            for (size_t c = 0; c < COSTS_COUNT; c++) {
                (void)results_spread(results, workload, engine, costs[c].measure, &spread);
                fputc(' ', out);
                print_figure(out, spread.median);
            }
            fprintf(out, "\n");
        }
    }
}

static void print_object(FILE *out, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value))
            fprintf(out, "%-11s %s\n", name, json_string_value(value));
        else
            fprintf(out, "%-11s %s; %s\n", name,
                    json_string_value(json_object_get(value, "version")),
                    json_string_value(json_object_get(value, "settings")));
    }
}

void report_print(const struct results *results, FILE *out)
{
    const struct parameters *parameters = &results->parameters;
    print_object(out, results->machine);
    fprintf(out,
            "%-12s%" PRIu32 " x (%" PRIu32 " + %" PRIu32 ") bytes, %" PRIu32 " round%s, %" PRIu32
            " thread%s\n",
            "data", parameters->set.entries, parameters->set.key_bytes, parameters->set.value_bytes,
            parameters->rounds, parameters->rounds == 1 ? "" : "s", parameters->threads,
            parameters->threads == 1 ? "" : "s");
    fprintf(out,
            "%-12swrite buffer %" PRIu64 " MiB, cache %" PRIu64 " MiB, filters %" PRIu32
            " bits a key where an engine is told; no sync per commit but in the sync rows; every "
            "value read was verified\n\n",
            "rules", parameters->options.write_buffer_bytes >> 20,
            parameters->options.cache_bytes >> 20, parameters->options.filter_bits_per_key);
    print_object(out, results->engines);
    fprintf(out, "\n");
    print_rows(results, out);
    print_costs(results, out);
}
