/* results.c - see results.h. */
#include "results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

/* One table drives writing and reading, so that they cannot disagree. */
static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    {"operations", offsetof(struct measures, operations)},
    {"seconds", offsetof(struct measures, seconds)},
    {"p50_us", offsetof(struct measures, p50_us)},
    {"p99_us", offsetof(struct measures, p99_us)},
    {"p999_us", offsetof(struct measures, p999_us)},
    {"max_us", offsetof(struct measures, max_us)},
    {"beside_per_second", offsetof(struct measures, beside_per_second)},
    {"cpu_seconds", offsetof(struct measures, cpu_seconds)},
    {"written_bytes", offsetof(struct measures, written_bytes)},
    {"memory_bytes", offsetof(struct measures, memory_bytes)},
    {"disk_bytes", offsetof(struct measures, disk_bytes)},
    {"disk_closed_bytes", offsetof(struct measures, disk_closed_bytes)},
};
enum { FIELDS_COUNT = sizeof fields / sizeof *fields };

void results_init(struct results *results)
{
    *results = (struct results){.machine = json_object(), .engines = json_object()};
}

void results_deinit(struct results *results)
{
    json_decref(results->machine);
    json_decref(results->engines);
    json_decref(results->read_from);
    free(results->result);
    *results = (struct results){0};
}

const struct result *results_find(const struct results *results, const char *workload,
                                  const char *engine, uint32_t round)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct result *result = &results->result[i];
        if (result->round == round && strcmp(result->workload, workload) == 0 &&
            strcmp(result->engine, engine) == 0)
            return result;
    }
    return NULL;
}

void results_add(struct results *results, const struct result *result)
{
    if (results->count == results->capacity) {
        results->capacity = results->capacity > 0 ? 2 * results->capacity : 256;
        results->result = realloc(results->result, results->capacity * sizeof *results->result);
        if (results->result == NULL) bench_die("out of memory");
    }
    results->result[results->count++] = *result;
}

/* ---- the file -------------------------------------------------------------------------------- */

static json_t *json_of_parameters(const struct parameters *parameters)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "entries",
                     (json_int_t)parameters->set.entries, "key_bytes",
                     (json_int_t)parameters->set.key_bytes, "value_bytes",
                     (json_int_t)parameters->set.value_bytes, "threads",
                     (json_int_t)parameters->threads, "rounds", (json_int_t)parameters->rounds,
                     "write_buffer_bytes", (json_int_t)parameters->options.write_buffer_bytes,
                     "cache_bytes", (json_int_t)parameters->options.cache_bytes,
                     "filter_bits_per_key", (json_int_t)parameters->options.filter_bits_per_key,
                     "memory_limit_bytes", (json_int_t)parameters->memory_limit_bytes);
}

static json_t *json_of_result(const struct result *result)
{
    json_t *object = json_pack("{s:s,s:s,s:I}", "workload", result->workload, "engine",
                               result->engine, "round", (json_int_t)result->round);
    for (size_t i = 0; i < FIELDS_COUNT; i++) {
        double number;
        memcpy(&number, (const char *)&result->measures + fields[i].offset, sizeof number);
        json_object_set_new(object, fields[i].name, json_real(number));
    }
    return object;
}

void results_write(const struct results *results, json_t *rows, const char *path)
{
    char aside[4200];
    json_t *trials = json_array();
    for (size_t i = 0; i < results->count; i++)
        json_array_append_new(trials, json_of_result(&results->result[i]));
    json_t *all =
        json_pack("{s:i,s:O,s:o,s:O,s:o,s:o}", "loam_bench", FORMAT, "machine", results->machine,
                  "parameters", json_of_parameters(&results->parameters), "engines",
                  results->engines, "rows", rows, "trials", trials);
    snprintf(aside, sizeof aside, "%s.part", path);
    if (all == NULL || json_dump_file(all, aside, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) != 0 ||
        rename(aside, path) != 0)
        bench_die("%s: cannot be written: %s", path, strerror(errno));
    json_decref(all);
}

static uint64_t number_of(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void take_parameters(struct parameters *parameters, const json_t *object)
{
    *parameters = (struct parameters){
        .set = {.entries = (uint32_t)number_of(object, "entries"),
                .key_bytes = (uint32_t)number_of(object, "key_bytes"),
                .value_bytes = (uint32_t)number_of(object, "value_bytes")},
        .options = {.write_buffer_bytes = number_of(object, "write_buffer_bytes"),
                    .cache_bytes = number_of(object, "cache_bytes"),
                    .filter_bits_per_key = (uint32_t)number_of(object, "filter_bits_per_key")},
        .threads = (uint32_t)number_of(object, "threads"),
        .rounds = (uint32_t)number_of(object, "rounds"),
        .memory_limit_bytes = number_of(object, "memory_limit_bytes")};
}

static bool take_result(struct result *result, const json_t *object)
{
    *result = (struct result){.workload = json_string_value(json_object_get(object, "workload")),
                              .engine = json_string_value(json_object_get(object, "engine")),
                              .round = (uint32_t)number_of(object, "round")};
    for (size_t i = 0; i < FIELDS_COUNT; i++) {
        const double number = json_number_value(json_object_get(object, fields[i].name));
        memcpy((char *)&result->measures + fields[i].offset, &number, sizeof number);
    }
    return result->workload != NULL && result->engine != NULL;
}

void results_read(struct results *results, const char *path)
{
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error);
    if (all == NULL) bench_die("%s: %s", path, error.text);
    if (number_of(all, "loam_bench") != FORMAT) bench_die("%s: no results of this program", path);
    results_init(results);
    results->read_from = all;
    take_parameters(&results->parameters, json_object_get(all, "parameters"));
    json_object_update(results->machine, json_object_get(all, "machine"));
    json_object_update(results->engines, json_object_get(all, "engines"));
    const json_t *trials = json_object_get(all, "trials");
    for (size_t i = 0; i < json_array_size(trials); i++) {
        struct result result;
        if (!take_result(&result, json_array_get(trials, i)))
            bench_die("%s: trial %zu has no name", path, i);
        results_add(results, &result);
    }
}

bool results_fit(const struct parameters *one, const struct parameters *other, const char **differs)
{
    *differs = one->set.entries != other->set.entries           ? "entries"
               : one->set.key_bytes != other->set.key_bytes     ? "key size"
               : one->set.value_bytes != other->set.value_bytes ? "value size"
               : one->threads != other->threads                 ? "threads"
               : one->options.write_buffer_bytes != other->options.write_buffer_bytes
                   ? "write buffer"
               : one->options.cache_bytes != other->options.cache_bytes ? "cache"
               : one->options.filter_bits_per_key != other->options.filter_bits_per_key
                   ? "number of filter bits"
               : one->memory_limit_bytes != other->memory_limit_bytes ? "memory limit"
                                                                      : NULL;
    return *differs == NULL;
}

/* ---- over the rounds ------------------------------------------------------------------------- */

double measure_rate(const struct measures *measures)
{
    return measures->seconds > 0 ? measures->operations / measures->seconds : 0;
}

double measure_seconds(const struct measures *measures)
{
    return measures->seconds;
}

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

bool results_spread(const struct results *results, const char *workload, const char *engine,
                    measure_of *measure, struct spread *spread)
{
    double *numbers = bench_alloc((results->count + 1) * sizeof *numbers);
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        const struct result *result = &results->result[i];
        if (strcmp(result->workload, workload) == 0 && strcmp(result->engine, engine) == 0)
            numbers[count++] = measure(&result->measures);
    }
    if (count > 0) {
        qsort(numbers, count, sizeof *numbers, compare_doubles);
        spread->median = (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
        spread->least = numbers[0];
        spread->most = numbers[count - 1];
    }
    free(numbers);
    return count > 0;
}
