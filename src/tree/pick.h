/*
 * pick.h - what to merge next: a pure function of a version and a few numbers.
 *
 * Role: the whole compaction policy. Upper levels hold up to runs_per_level sorted runs side by
 *   side; a level that holds more is joined into one run of the next level, or, when all that
 *   stands above the last level has grown to a quarter of it, everything is lowered into the waiting
 *   level, unread, and from there goes into the last level's one run, slice by slice in the order of keys
 *   (lazy leveling, Dostoevsky, 2018; slices as in Spooky, 2022). A slice bounds the room that a
 *   merge takes for a while, and what it has done stays done. Besides, by count of entries: where
 *   tombstones make a quarter of all, everything is lowered, so that the disk comes back by itself. Deletions of
 *   ranges that hide parts of tables stay until these are merged; when they become many, such tables of the last level are rewritten.
 *   Entries that have expired count as tombstones, by an estimate for each table, and a table of nothing else goes unread.
 * Invariants: (1) a plan takes all runs of its level, so that its output is older than all that
 *   stays above and newer than all below. (2) A slice takes, of the keys below its end, everything
 *   that waits and everything in the last level. (3) Same version, same answer. (4) Whoever does what
 *   it says, again and again, and nothing else, comes to an end: a plan lessens runs, what waits,
 *   tombstones, or what deletions of ranges hide.
 * In the picture: tree layer; asked by db/compact.c.
 */
#ifndef LOAM_TREE_PICK_H
#define LOAM_TREE_PICK_H

#include "tree/version.h"

struct pick_policy {
    uint32_t runs_per_level; /* at least 1 */
    uint32_t last_ratio;     /* the upper levels go down at 1/last_ratio of the last: 4 */
    uint64_t slice_bytes;    /* a slice ends at the first table's begin behind so many bytes */
    /* With more tombstones than this among all entries, everything is merged: 25; 0: never. */
    uint64_t tombstone_percent;
    /* Nobody reads below it: the oldest snapshot's sequence, or the newest visible one. Tombstones
       above it cannot be dropped, and ask for nothing. 0: not known; those in the last level ask
       for nothing then. */
    uint64_t oldest_seq;
    /* Nobody reads by an earlier clock: what has expired by it counts as tombstones. 0: nothing has. */
    uint64_t clock_ms;
    /* Nothing else to do: go on towards one run, where the upper levels hold 1/16 of the last. */
    bool idle;
};

enum plan_kind {
    PLAN_NOTHING,
    PLAN_SWEEP, /* tables of which nobody sees anything go unread, and deletions of ranges that hide nothing any more */
    PLAN_JOIN,  /* all runs of `level` into one run of the level below */
    PLAN_LOWER, /* all runs above the waiting level into it, as they are */
    PLAN_SLICE /* what waits below `to`, and tables [first, end) of the last level, into the last */
};

struct plan {
    enum plan_kind kind;
    uint32_t level;
    uint32_t first,
        end;       /* of the last level's tables; the last of them may show keys beyond `to` */
    loam_slice to; /* of the version; empty: no bound */
    uint64_t input_bytes; /* of a JOIN */
    const char *reason;   /* static, for the log */
};

struct plan pick_compaction(const struct version *version, const struct pick_policy *policy);

/* The next plan on the way to one run in the last level without tombstones: lowers what stands
   above, if that is wanted, then goes slice by slice, and at last over the tables with tombstones that begin behind
   the key `after` (data NULL: all). Tombstones that a snapshot needs survive it: the caller moves `after` along. */
struct plan pick_full(const struct version *version, const struct pick_policy *policy, bool lower,
                      loam_slice after);

/* How many of the table's entries are tombstones or have expired, and could go if nobody read as of before. 0 where all of it
   is older than that: a merge lets them go. */
uint64_t pick_held_in(const struct table_ref *ref, const struct pick_policy *policy);

/* When, after clock_ms, time alone may make another answer of pick_compaction(); UINT64_MAX: never. */
uint64_t pick_next_expiry_ms(const struct version *version, uint64_t clock_ms);

/* How often what is flushed now will be written again on its way into the last level, as the tree stands: joined in upper levels, and
   then merged into the last, where so many bytes of that are written for each of its own. */
struct pick_path {
    uint32_t joins;
    double last_per_byte;
};
struct pick_path pick_path_down(const struct version *version, const struct pick_policy *policy,
                                uint64_t flush_bytes);

/* Bytes that must be rewritten until no level is over its bound: 0 when in shape. */
uint64_t pick_debt_bytes(const struct version *version, const struct pick_policy *policy);

#endif
