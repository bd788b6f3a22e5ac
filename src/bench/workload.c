/* workload.c - the table; see workload.h. */
#include "bench/workload.h"

#include <string.h>

enum { SYNC_ENTRIES_MAX = 20000, KILLED_ENTRIES_MAX = 1000000 };

const struct workload workloads[] = {
    {"fillseq", "puts in the order of the keys", .order = ORDER_KEYS, .mix = {.update = 100}},
    {"fillrandom", "puts in random order", .order = ORDER_SHUFFLED, .mix = {.update = 100}},
    {"overwrite", "puts over all keys in random order", .from = FROM_COPY, .order = ORDER_SHUFFLED,
     .mix = {.update = 100}},
    {"deleterandom", "deletes all keys in random order", .from = FROM_COPY, .order = ORDER_SHUFFLED,
     .mix = {.remove = 100}},
    {"fillbatch", "puts in random order, 1,000 a batch", .order = ORDER_SHUFFLED,
     .mix = {.update = 100}, .batch = 1000},
    {"churn", "puts in random order, ten times over", .order = ORDER_SHUFFLED,
     .mix = {.update = 100}, .times = 10},
    {"readrandom", "gets, every key is there", .from = FROM_SHARED, .order = ORDER_SHUFFLED,
     .mix = {.read = 100}},
    {"readmissing", "gets, no key is there, all lie between those that are", .from = FROM_SHARED,
     .order = ORDER_SHUFFLED, .mix = {.miss = 100}},
    {"readseq", "all rows forward, five times", WORKLOAD_SCAN_FORWARD, .from = FROM_SHARED,
     .threads = 1, .times = 5},
    {"readreverse", "all rows backward, five times", WORKLOAD_SCAN_BACKWARD, .from = FROM_SHARED,
     .threads = 1, .times = 5},
    {"seek10", "a new iterator, a seek and 10 rows on", .from = FROM_SHARED,
     .order = ORDER_SHUFFLED, .mix = {.scan = 100}, .rows = 10, .fewer = 4},
    {"seek100", "a new iterator, a seek and 100 rows on", .from = FROM_SHARED,
     .order = ORDER_SHUFFLED, .mix = {.scan = 100}, .rows = 100, .fewer = 20},
    {"readwhilewriting", "gets, while another thread overwrites at random", .from = FROM_COPY,
     .order = ORDER_SHUFFLED, .mix = {.read = 100}, .beside_writer = true},
    {"ycsb-a", "50% reads, 50% updates, zipfian", .from = FROM_COPY, .order = ORDER_ZIPFIAN,
     .mix = {.read = 50, .update = 50}},
    {"ycsb-b", "95% reads, 5% updates, zipfian", .from = FROM_COPY, .order = ORDER_ZIPFIAN,
     .mix = {.read = 95, .update = 5}},
    {"ycsb-c", "reads, zipfian", .from = FROM_SHARED, .order = ORDER_ZIPFIAN, .mix = {.read = 100}},
    {"ycsb-d", "95% reads of the latest, 5% inserts", .from = FROM_COPY, .order = ORDER_LATEST,
     .mix = {.read = 95, .insert = 5}},
    {"ycsb-e", "95% scans of 1 to 100 rows, 5% inserts, zipfian", .from = FROM_COPY,
     .order = ORDER_ZIPFIAN, .mix = {.scan = 95, .insert = 5}, .rows = 100, .rows_drawn = true,
     .fewer = 10},
    {"ycsb-f", "50% reads, 50% read, modify and write, zipfian", .from = FROM_COPY,
     .order = ORDER_ZIPFIAN, .mix = {.read = 50, .change = 50}},
    {"sync1", "puts in random order, each synced, 1 writer", .order = ORDER_SHUFFLED,
     .mix = {.update = 100}, .sync = true, .threads = 1, .entries_max = SYNC_ENTRIES_MAX},
    {"sync8", "the same, 8 writers", .order = ORDER_SHUFFLED, .mix = {.update = 100}, .sync = true,
     .threads = 8, .entries_max = SYNC_ENTRIES_MAX},
    {"sync32", "the same, 32 writers", .order = ORDER_SHUFFLED, .mix = {.update = 100},
     .sync = true, .threads = 32, .entries_max = SYNC_ENTRIES_MAX},
    {"fill4k", "puts in random order, values of 4 KiB", .order = ORDER_SHUFFLED,
     .mix = {.update = 100}, .value_bytes = 4096},
    {"read4k", "gets of them", .from = FROM_SHARED, .order = ORDER_SHUFFLED, .mix = {.read = 100},
     .value_bytes = 4096},
    {"fill64k", "puts in random order, values of 64 KiB", .order = ORDER_SHUFFLED,
     .mix = {.update = 100}, .value_bytes = 65536},
    {"read64k", "gets of them", .from = FROM_SHARED, .order = ORDER_SHUFFLED, .mix = {.read = 100},
     .value_bytes = 65536},
    {"openkilled", "opening after kill -9 with the last fill in no table", WORKLOAD_OPEN_KILLED,
     .order = ORDER_SHUFFLED, .mix = {.update = 100}, .threads = 1,
     .entries_max = KILLED_ENTRIES_MAX},
    {"readrandom-1", "gets, every key is there, 1 thread", .from = FROM_SHARED,
     .order = ORDER_SHUFFLED, .mix = {.read = 100}, .threads = 1},
    {"readrandom-2", "2 threads", .from = FROM_SHARED, .order = ORDER_SHUFFLED,
     .mix = {.read = 100}, .threads = 2},
    {"readrandom-4", "4 threads", .from = FROM_SHARED, .order = ORDER_SHUFFLED,
     .mix = {.read = 100}, .threads = 4},
    {"readrandom-8", "8 threads", .from = FROM_SHARED, .order = ORDER_SHUFFLED,
     .mix = {.read = 100}, .threads = 8},
};
const size_t workloads_count = sizeof workloads / sizeof *workloads;

const struct workload *workload_find(const char *name, size_t name_len)
{
    for (size_t i = 0; i < workloads_count; i++) {
        if (strlen(workloads[i].name) == name_len && memcmp(workloads[i].name, name, name_len) == 0)
            return &workloads[i];
    }
    return NULL;
}

static bool is_meant(const char *element, size_t len, const char *name)
{
    if (len > 0 && element[len - 1] == '*') return strncmp(element, name, len - 1) == 0;
    return strlen(name) == len && strncmp(element, name, len) == 0;
}

bool workload_is_listed(const char *list, const char *name)
{
    for (const char *at = list; at != NULL && *at != '\0';) {
        const size_t len = strcspn(at, ",");
        if (is_meant(at, len, name)) return true;
        at += len + (at[len] == ',');
    }
    return list == NULL;
}

const char *workload_find_unknown(const char *list, size_t *len)
{
    for (const char *at = list; at != NULL && *at != '\0'; at += *len + (at[*len] == ',')) {
        size_t w = 0;
        *len = strcspn(at, ",");
        while (w < workloads_count && !is_meant(at, *len, workloads[w].name))
            w++;
        if (w == workloads_count) return at;
    }
    return NULL;
}

bool workload_writes(const struct workload *workload)
{
    const struct workload_mix *mix = &workload->mix;
    return workload->beside_writer || mix->update + mix->remove + mix->insert + mix->change > 0;
}

/* Larger values are fewer entries, with four times the bytes in all. */
struct dataset workload_dataset(const struct workload *workload, const struct dataset *asked)
{
    struct dataset set = *asked;
    if (workload->value_bytes != 0) {
        const uint64_t bytes =
            4 * (uint64_t)asked->entries * (asked->key_bytes + asked->value_bytes);
        const uint64_t entries = bytes / (asked->key_bytes + workload->value_bytes);
        set.value_bytes = workload->value_bytes;
        set.entries = entries < 16 ? 16 : (uint32_t)entries;
    }
    if (workload->entries_max != 0 && set.entries > workload->entries_max)
        set.entries = workload->entries_max;
    return set;
}
