/*
 * pick.h - what to merge next: a pure function of a version and a few numbers.
 *
 * Role: the whole compaction policy. Upper levels hold up to runs_per_level sorted runs side by
 *   side; a level that holds more is merged into one run of the next level, or, when all that
 *   stands above the last level has grown to a quarter of it, everything goes into the last
 *   level's one run (lazy leveling, Dostoevsky). Besides, by count of entries: where tombstones
 *   make a quarter of all, everything is merged, so that the disk comes back by itself.
 * Invariants: (1) a plan takes from its level an unbroken sequence of runs that ends with the
 *   oldest, so that its output is older than all that stays there and newer than all below. (2) A
 *   plan into the last level includes all runs above it and its run, unless it is trivial. (3)
 *   Same version, same answer. (4) Whoever does what it says, again and again, and nothing else,
 *   comes to an end: a plan lessens runs, or drops tombstones.
 * In the picture: tree layer; asked by db/compact.c.
 */
#ifndef LOAM_TREE_PICK_H
#define LOAM_TREE_PICK_H

#include "tree/version.h"

struct pick_policy {
    uint32_t runs_per_level; /* at least 1 */
    uint32_t last_ratio;     /* the upper levels go down at 1/last_ratio of the last: 4 */
    /* With more tombstones than this among all entries, everything is merged: 25; 0: never. */
    uint64_t tombstone_percent;
    /* Nobody reads below it: the oldest snapshot's sequence, or the newest visible one. Tombstones
       above it cannot be dropped, and ask for nothing. 0: not known; those in the last level ask
       for nothing then. */
    uint64_t oldest_seq;
    /* Nothing else to do: go on towards one run, where the upper levels hold 1/16 of the last. */
    bool idle;
};

/* Inputs: runs [first_run, run_count) of level_from, all runs of the levels between, and of
   level_to its one run if that is LEVEL_LAST and the plan is not trivial, else none. */
struct plan {
    bool found;
    uint32_t level_from, level_to; /* equal when the last level's run is rewritten */
    uint32_t first_run;            /* index in level_from: that run and all older ones */
    /* One input run, no overlap in level_to, no tombstones: its tables just move, and join the run
       there. */
    bool trivial;
    uint64_t input_bytes;
    const char *reason; /* static, for the log */
};

struct plan pick_compaction(const struct version *version, const struct pick_policy *policy);

/* The plan that makes the whole collection one run in the last level; not found when it is that
   already and holds no tombstones. Never trivial: what it writes is without what nobody reads, and
   compressed. Tombstones that a snapshot needs survive it, so it is not to be repeated until it
   finds nothing. */
struct plan pick_full(const struct version *version);

/* Bytes that must be rewritten until no level is over its bound: 0 when in shape. What
   back-pressure is computed from. */
uint64_t pick_debt_bytes(const struct version *version, const struct pick_policy *policy);

#endif
