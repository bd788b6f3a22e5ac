/*
 * pick.h - what to merge next: a pure function of a version and a few numbers.
 *
 * Role: the whole compaction policy. Upper levels hold up to runs_per_level sorted runs side by side; a level that holds more is merged
 *   into one run of the next level, or, when all that stands above the last level has grown to a quarter of it, everything above goes into
 *   the last level's one run (lazy leveling, Dostoevsky). runs_per_level = 1 is classic leveling.
 * Invariants: (1) a plan takes from its level an unbroken sequence of runs that ends with the oldest, so that its output is older
 *   than all that stays there and newer than all below. (2) A plan into the last level includes every last-level table it overlaps. (3) Same version, same answer.
 * In the picture: tree layer; asked by db/compact.c; tested with tables that do not exist.
 */
#ifndef LOAM_TREE_PICK_H
#define LOAM_TREE_PICK_H

#include "tree/version.h"

struct pick_policy {
    uint32_t runs_per_level;
    uint32_t last_ratio; /* the upper levels go down at 1/last_ratio of the last: 4 */
    uint64_t
        tombstone_percent; /* a settled last level with more of them, or an upper run of mostly tombstones, gets priority: 25 */
    bool
        idle; /* nothing else to do: go on towards one run (only if that would drop something or join runs) */
};

/* Inputs: runs [first_run, run_count) of level_from, and of every level down to level_to those that the plan names whole: */
struct plan {
    bool found;
    uint32_t level_from,
        level_to; /* inputs: the oldest runs of level_from; all runs of the levels between; of level_to all if level_to is
                                        LEVEL_LAST (it is one run), else none */
    uint32_t first_run; /* index in level_from: that run and all older ones */
    bool
        trivial; /* nothing to merge: one input run, no overlap in level_to, no tombstones that go into the last level: its tables just move */
    uint64_t input_bytes;
    const char *reason; /* static, for the log */
};

struct plan pick_compaction(const struct version *version, const struct pick_policy *policy);

/* The plan that makes the whole collection one run in the last level; not found when it is that already and holds no tombstones. */
struct plan pick_full(const struct version *version);

/* Bytes that must be rewritten until no level is over its bound: 0 when in shape. What back-pressure is computed from. */
uint64_t pick_debt_bytes(const struct version *version, const struct pick_policy *policy);

#endif
