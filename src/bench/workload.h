/*
 * workload.h - what is measured: all workloads in one table.
 *
 * Role: says of each workload what store it begins with, which operations it does in
 *   which order, and on how many threads. Nothing here runs.
 * Invariants: a workload is data; plan makes the steps of it and runner does them, so
 *   that one more row of the table is one more workload, on every engine.
 * In the picture: bench layer; used by plan, runner and trial.
 */
#ifndef LOAM_BENCH_WORKLOAD_H
#define LOAM_BENCH_WORKLOAD_H

#include "bench/dataset.h"

enum workload_kind {
    WORKLOAD_STEPS,         /* steps of a plan */
    WORKLOAD_SCAN_FORWARD,  /* every row, from the first to the last */
    WORKLOAD_SCAN_BACKWARD, /* and from the last to the first */
    WORKLOAD_OPEN_KILLED    /* opening what a killed process left */
};

enum workload_from {
    FROM_EMPTY,  /* a new store */
    FROM_SHARED, /* all entries, put in random order, settled, closed; then opened and warmed.
                    Who only reads may use the same one */
    FROM_COPY    /* a copy of it, for who changes it */
};

enum workload_order {
    ORDER_KEYS,     /* that of the keys */
    ORDER_SHUFFLED, /* each entry once, in random order */
    ORDER_ZIPFIAN,  /* drawn, theta 0.99, the popular ones spread over all keys, as YCSB does */
    ORDER_LATEST    /* the same, but the newest are the popular ones */
};

/* How often of a hundred. */
struct workload_mix {
    uint8_t read, miss, update, remove, insert, scan, change; /* change: read, modify, write */
};

struct workload {
    const char *name;
    const char *text; /* what it does, in half a line */
    enum workload_kind kind;
    enum workload_from from;
    enum workload_order order;
    struct workload_mix mix;
    uint16_t rows; /* of a scan, beside the first; or drawn, up to this */
    bool rows_drawn;
    bool sync;            /* each commit survives a loss of power */
    bool beside_writer;   /* one more thread overwrites at random all the while */
    uint16_t batch;       /* entries of a commit; 0 is 1 */
    uint16_t threads;     /* 0: as asked for */
    uint16_t fewer;       /* steps are entries / fewer; 0 is 1 */
    uint16_t times;       /* all of it so many times over; 0 is 1; writes and scans */
    uint32_t value_bytes; /* 0: as asked for */
    uint32_t entries_max; /* 0: none */
};

extern const struct workload workloads[];
extern const size_t workloads_count;

const struct workload *workload_find(const char *name, size_t name_len);
/* Whether a name is in a list with commas, in which a * ends a name that goes on; or list is NULL. */
bool workload_is_listed(const char *list, const char *name);
/* The first element of such a list that means no workload, or NULL. */
const char *workload_find_unknown(const char *list, size_t *len);

bool workload_writes(const struct workload *workload);

/* The data set that it works on, given the one that was asked for. */
struct dataset workload_dataset(const struct workload *workload, const struct dataset *asked);

#endif
