/*
 * calls.h - each call of loam.h once, with what it needs before and what it changes.
 *
 * Role: a table whose rows are made on a bench: a store with an open collection, snapshot, iterator and batch. What a call
 *   may answer when something inside it fails stands beside it.
 * In the picture: tests only; used by fault/test_fault_calls, which makes the benches.
 */
#ifndef LOAM_TESTS_LIB_CALLS_H
#define LOAM_TESTS_LIB_CALLS_H

#include "lib/model.h"
#include "lib/simdisk.h"

#include "db/db.h"

enum { BENCH_KEYS = 40, BENCH_VALUE_BYTES = 300 };

struct bench {
    struct simdisk *disk;
    struct db_world world;
    loam_options options;
    loam_db *db;
    loam_coll *coll;
    loam_snapshot *snap;
    loam_iter *it;
    loam_batch *batch;
    loam_txn *txn;
    loam_feed *feed;
    loam_db *follower;
    struct model *shown; /* by it, before the call */
    uint64_t feed_seq;   /* of its last event */
    loam_buf buf;
    char repaired[16]; /* the new store of a repair or checkpoint that went well */
    unsigned repairs;
    struct model *before, *after; /* what the store holds without the call, and with it */
};

enum answers { NOTHING, READS, MOVES, WRITES, READS_AND_WRITES, OPENS, CLOSES, BATCH, REPAIRS };

struct call {
    const char *name;
    const char *how; /* which of several rows, or NULL */
    enum answers may;
    loam_status (*make)(struct bench *b);
    void (*prepare)(struct bench *b);    /* more than every bench has, or NULL */
    void (*change)(struct model *after); /* what the call does to the store, or NULL */
    bool on_closed, on_nothing;          /* no database is open; there is no store */
};

extern const struct call calls[];
extern const size_t calls_count;

/* Of the store that benches stand on: key i, "k007", and a value that tells its version. */
loam_slice bench_key(int i, char text[static 16]);
loam_slice bench_value(int version);
/* Fails the test with the library's words. */
void bench_ok(loam_status rc);
/* What the bench's buf holds is the value that the model has before the call. */
void bench_check_value(const struct bench *b, const char *coll, const char *key);
/* After an add to the batch: one that failed is remembered; a batch that is cleared is as new. */
loam_status bench_settle_batch(struct bench *b, loam_status rc);
void bench_begin_txn(struct bench *b);
/* That "k007" has the value that the model has before the call. */
loam_if bench_equals_old(const struct bench *b);
/* loam_open() of "db" in the bench's world. */
loam_status bench_open(struct bench *b);

#endif
