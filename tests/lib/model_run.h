/*
 * model_run.h - one random history against the model: what the store must hold, and its openings, deaths and losses of power.
 *
 * Role: the store, the two pictures of it (all that was acknowledged; what must survive a loss of power), and the snapshots that are open.
 *   After a death every commit must be there; after a loss of power, a prefix of the commits that reaches at least to the last one that was
 *   promised.
 * In the picture: tests only; model/test_model.c draws the operations.
 */
#ifndef LOAM_TESTS_LIB_MODEL_RUN_H
#define LOAM_TESTS_LIB_MODEL_RUN_H

#include "db/db.h"
#include "lib/model_feed.h"
#include "lib/model_follow.h"
#include "lib/model_steps.h"
#include "lib/simdisk.h"

enum { SNAPSHOTS = 3, PENDING_MAX = 4000, DIR_BYTES = 20, MOMENTS_MAX = 6 };

struct moment_noted {
    uint64_t seq;
    struct model *model; /* what the store held then */
};

struct model_run {
    uint64_t seed;
    struct rand rand;
    struct simdisk *disk;
    loam_db *db;
    loam_options options;
    struct db_world world;
    struct model *model;   /* all that was acknowledged */
    struct model *durable; /* what must survive a loss of power; pending brings it to model */
    struct step pending[PENDING_MAX];
    size_t pending_count;
    loam_snapshot *snaps[SNAPSHOTS];
    struct model *snap_models[SNAPSHOTS];
    size_t key_space;
    uint64_t
        logged_ms; /* what the store last took the time for before a commit: no death may lose that */
    uint64_t ops, deaths, losses, reopens, feeds_equal, feeds_behind;
    struct model_feed feed;
    uint64_t index, durable_index; /* the caller's, in the two pictures */
    char dir[DIR_BYTES],
        base[DIR_BYTES]; /* base: of the latest checkpoint or what it was made of; empty: none */
    unsigned checkpoints;
    struct {                                   /* model_restore.h; name empty: none */
        char name[DIR_BYTES], from[DIR_BYTES]; /* from: a checkpoint, of from_seq; empty: none */
        uint64_t from_seq;
        struct moment_noted moments[MOMENTS_MAX];
        size_t moment_count;
        unsigned names;
    } archive;
    uint64_t restores, follows;
    struct model_follow follow;
};

#define expect(h, condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("SEED=%llu after %llu operations: %s (%s)", (unsigned long long)(h)->seed,    \
                     (unsigned long long)(h)->ops, #condition, loam_errmsg());                     \
    } while (0)

/* What the store takes the time for: it stands still while the wall clock is behind. */
uint64_t model_run_clock(const struct model_run *h);

/* Steps of one commit; durable: it and all before it. And: all that was committed so far is promised to survive a loss of power. */
void model_run_committed(struct model_run *h, const struct step *steps, size_t count, bool durable);
void model_run_durable(struct model_run *h);
void model_run_free_steps(struct model_run *h, size_t count); /* the first that are pending */

void model_run_close_snapshot(struct model_run *h, size_t i);
void model_run_close_snapshots(struct model_run *h);
/* Everything, and the snapshots not; and the caller's index. */
void model_run_check(struct model_run *h);

/* With options that are drawn. */
void model_run_open(struct model_run *h);
void model_run_reopen(struct model_run *h);
void model_run_kill(struct model_run *h);
/* Finds the commit up to which the store came back, and goes on from there. */
void model_run_lose_power(struct model_run *h);
/* The clock may be where it was earlier: of what has expired since, the store has said nothing, or nothing that it had to remember. */
void model_run_clock_fell(struct model_run *h);

#endif
