/*
 * history.h - a short life of a store from a seed, and what must be found after its end.
 *
 * Role: what the crash and fault suites share: operations that follow from the seed alone, a list of the commits that were asked
 *   for and of those that were promised, and the check that a reopened store holds a promised prefix of them. There is one thread,
 *   but commits fall into the middle of flushes and compactions all the same: one is made from within a write to a table.
 * Invariants: a commit that was refused (full, no memory, read-only) is not on the list; one that failed otherwise may or may not be there, whole.
 * In the picture: tests only; on simdisk.h and model.h.
 */
#ifndef LOAM_TESTS_LIB_HISTORY_H
#define LOAM_TESTS_LIB_HISTORY_H

#include "base/rand.h"
#include "db/db.h"
#include "lib/model.h"
#include "lib/simdisk.h"

enum { HISTORY_OPS = 60, HISTORY_COLLS = 4, HISTORY_STEPS_MAX = 4000 };

struct step {
    char what; /* see model_step(); x: between the keys `key` and `to` */
    bool last; /* of its commit */
    uint8_t coll, to, key;
    uint16_t value_bytes;
    uint8_t value_byte;
    uint64_t ttl_ms, expires_ms; /* of a put: TTL_OF_COLL: none of its own */
    uint64_t index;              /* the caller's, of its commit; 0: none, or another step says so */
};

struct history {
    uint64_t seed, cut; /* cut: which call is hurt; for messages, and for the disk's own chance */
    uint64_t again;     /* which call of the recovery is hurt; for messages */
    struct rand rand;
    struct simdisk *disk;
    loam_db *db;
    loam_options options;
    struct db_world world;
    struct step steps[HISTORY_STEPS_MAX]; /* of all commits that may be there, in order */
    struct {
        uint64_t durable_ns; /* when the tender must have synced it */
        size_t step_count;
    } awaited[2 * HISTORY_OPS]; /* commits that were acknowledged before they were durable */
    size_t awaited_count;
    size_t step_count, acknowledged,
        promised;    /* steps that must survive a death, a loss of power */
    bool power_lost; /* since the run; else it is the acknowledged that must be there */
    bool has[HISTORY_COLLS];
    const char *doing;
    bool reads;       /* that may fail for a read, which is no reason for a fence */
    struct sys calls; /* the disk's, but for those that let a commit in */
    struct sys_table below;
    int table_fd;        /* of the table that was begun last */
    int manifest_fds[2]; /* of a manifest and the one in reserve */
    bool lets_in;        /* once, from now on */
    loam_status let_in;  /* what that commit answered */
    bool goes_on;        /* after a failure: the history plays to its end, in the same handle */
    bool has_failed;
    /* Called after each operation but the last close, with its answer; now and maybe are kept for it: what was acknowledged, and
       (or NULL) that and the commit behind it of which nobody knows. */
    void (*watch)(struct history *h, loam_status rc);
    void *watch_ctx;
    /* Called before each call that changes the disk, from within whatever makes it; or NULL. */
    void (*before_change)(struct history *h);
    struct model *now, *maybe;
    loam_feed *feed;   /* open now and then, across operations */
    uint64_t feed_seq; /* of its last event */
    loam_snapshot
        *snap; /* of the watcher's; gone with the next change of collections, and at a close */
    struct model *then; /* what it sees */
};

/* A history on a disk of its own, not begun. */
struct history *history_new(uint64_t seed, uint64_t cut);
void history_free(struct history *h);

/* Opens, operates, closes: to the end, or to the first failure unless it goes on. What must not fail fails the test. */
loam_status history_run(struct history *h);

/* One more put or delete, which is on the list like those of a run. */
loam_status history_write(struct history *h);
void history_forget_snapshot(struct history *h);
void history_let_go(struct history *h); /* of all that a close would refuse for */
/* Has what has expired by now leave `now` and `maybe`. */
void history_pass_time(struct history *h);

/* The process is gone; loss < 0 leaves the machine on. */
void history_die(struct history *h, int loss);
/* Goes on on another disk. */
void history_move(struct history *h, struct simdisk *disk);
loam_status history_open(struct history *h);
/* The open store holds the model after some commit at or behind the promised one, verifies clean, and takes a
   write that is there after a loss of power. Closes it. */
void history_check(struct history *h);
/* Opened read-only, the closed store holds such a model too, and not a byte of it changes. */
void history_check_reading(struct history *h);

#endif
