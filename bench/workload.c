/*
 * workload.c - the workloads; see workload.h.
 */
#include "workload.h"

#include "dataset.h"

#include <inttypes.h>
#include <string.h>

static void put_entry(const struct engine *engine, void *db, uint32_t entry)
{
    char key[KEY_BYTES], value[VALUE_BYTES];
    dataset_key(key, 2 * (uint64_t)entry);
    dataset_value(value, entry);
    engine->put(db, (struct bytes_view){key, KEY_BYTES}, (struct bytes_view){value, VALUE_BYTES});
}

static void fill_in_order(const struct engine *engine, void *db, const struct workload_input *input)
{
    for (uint32_t i = 0; i < input->entries; i++)
        put_entry(engine, db, i);
}

static void fill_at_random(const struct engine *engine, void *db,
                           const struct workload_input *input)
{
    for (uint32_t i = 0; i < input->entries; i++)
        put_entry(engine, db, input->write_order[i]);
}

static void read_at_random(const struct engine *engine, void *db,
                           const struct workload_input *input)
{
    char key[KEY_BYTES];
    struct bytes_view value;
    for (uint32_t i = 0; i < input->entries; i++) {
        const uint32_t entry = input->read_order[i];
        dataset_key(key, 2 * (uint64_t)entry);
        if (!engine->get(db, (struct bytes_view){key, KEY_BYTES}, &value))
            bench_die("%s: entry %" PRIu32 " is not there", engine->name, entry);
        if (!dataset_value_holds(value, entry))
            bench_die("%s: entry %" PRIu32 " has a wrong value", engine->name, entry);
    }
}

static void read_missing(const struct engine *engine, void *db, const struct workload_input *input)
{
    char key[KEY_BYTES];
    struct bytes_view value;
    for (uint32_t i = 0; i < input->entries; i++) {
        dataset_key(key, 2 * (uint64_t)input->read_order[i] + 1);
        if (engine->get(db, (struct bytes_view){key, KEY_BYTES}, &value))
            bench_die("%s: finds key %.16s, which was never stored", engine->name, key);
    }
}

static void expect_row(const struct engine *engine, const char *wanted, struct bytes_view key)
{
    if (key.len != KEY_BYTES || memcmp(key.data, wanted, KEY_BYTES) != 0)
        bench_die("%s: a scan comes to %.*s instead of %.16s", engine->name, (int)key.len, key.data,
                  wanted);
}

static void scan_all(const struct engine *engine, void *db, uint32_t entries, bool backward)
{
    char wanted[KEY_BYTES];
    struct bytes_view key, value;
    uint32_t rows = 0;
    dataset_key(wanted, backward ? 2 * ((uint64_t)entries - 1) : 0);
    void *scan = engine->scan_open(db, backward);
    for (; engine->scan_next(scan, &key, &value); rows++) {
        const uint32_t entry = backward ? entries - 1 - rows : rows;
        expect_row(engine, wanted, key);
        if (!dataset_value_holds(value, entry))
            bench_die("%s: a scan gives %.16s a wrong value", engine->name, wanted);
        if (backward)
            dataset_key_down(wanted);
        else
            dataset_key_up(wanted);
    }
    engine->scan_close(scan);
    if (rows != entries)
        bench_die("%s: a scan has %" PRIu32 " rows, not %" PRIu32, engine->name, rows, entries);
}

static void read_in_order(const struct engine *engine, void *db, const struct workload_input *input)
{
    scan_all(engine, db, input->entries, false);
}

static void read_backwards(const struct engine *engine, void *db,
                           const struct workload_input *input)
{
    scan_all(engine, db, input->entries, true);
}

const struct workload workloads[] = {
    {"fillseq", true, fill_in_order},      {"fillrandom", true, fill_at_random},
    {"readrandom", false, read_at_random}, {"readmissing", false, read_missing},
    {"readseq", false, read_in_order},     {"readreverse", false, read_backwards},
};
_Static_assert(sizeof workloads / sizeof workloads[0] == WORKLOADS_COUNT, "");
