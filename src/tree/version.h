/*
 * version.h - which tables make up one collection at one moment.
 *
 * Role: levels of sorted runs of tables, immutable and shared by reference count; point reads and iterators
 *   over them.
 *
 *   level 0   run 9 | run 8 | run 7      newest first; a flush adds one
 *   level 1   run 6 | run 5
 *   ...
 *   level 7   run 4                      the last level is one run of many tables
 *
 * Invariants (version_check, after every edit, in release builds too): (1) within a run, tables are in key order and their
 *   clipped ranges do not overlap. (2) For each key, everything in a newer run is newer than in an older one, and
 *   level i is newer than level i + 1; run numbers fall from left to right within a level. (3) A table reference is seen only
 *   within its clip [from, to). (4) The last level holds at most one run.
 *   (5) All versions of a key in one run are in one table.
 * In the picture: tree layer, on sstable/; catalog.c makes versions, db/view.c pins them.
 */
#ifndef LOAM_TREE_VERSION_H
#define LOAM_TREE_VERSION_H

#include <stdatomic.h>

#include "sstable/table.h"

enum { LEVEL_COUNT = LOAM_LEVELS_MAX, LEVEL_LAST = LOAM_LEVELS_MAX - 1 };

struct table_ref {
    struct table *table;
    loam_slice from, to; /* owned by the run; to empty = no bound. from empty = no bound */
    uint64_t bytes;      /* of the object that the clip makes its own: all of it, or an estimate */
};

struct run {
    _Atomic uint32_t refs;
    uint32_t table_count;
    uint64_t number;
    uint64_t bytes, entry_count, tombstone_count; /* sums */
    struct table_ref tables[];
};

struct level {
    uint32_t run_count;
    struct run **runs; /* newest first */
    uint64_t bytes;
};

struct version {
    _Atomic uint32_t refs;
    struct level levels[LEVEL_COUNT];
};

/* An empty one, with one reference; NULL: out of memory. */
struct version *version_new(void);
void version_ref(struct version *version);
void version_unref(struct version *version); /* accepts NULL */

/* Key bounds of what a reference shows: the table's range within its clip. */
loam_slice table_ref_smallest(const struct table_ref *ref);
bool table_ref_covers(const struct table_ref *ref, loam_slice key); /* within clip and key range */

/* The newest version of key with seq <= the given one, tombstones too: LOAM_OK (release hit), LOAM_NOTFOUND or a failure. */
LOAM_MUST loam_status version_get(const struct version *version, loam_slice key, uint64_t hash,
                                  uint64_t seq, struct table_hit *hit);

/* An iterator over one run, clipped, tables opened one after the other. Holds a reference on the run. flags: table_iter_flags. */
LOAM_MUST loam_status run_iter_new(struct run *run, unsigned flags, struct iter **out);

/* How many iterators version_iters() makes, and makes them: one per run, in order of age, newest first. On failure none is left. */
size_t version_run_count(const struct version *version);
LOAM_MUST loam_status version_iters(const struct version *version, unsigned flags,
                                    struct iter **iters);

/* LOAM_CORRUPT and a sentence when an invariant does not hold. */
LOAM_MUST loam_status version_check(const struct version *version);

/* Is a key of [smallest, largest] possibly in a run older than (level, run)? For the rule of dropped tombstones. */
bool version_covers_below(const struct version *version, uint32_t level, uint64_t run_number,
                          loam_slice smallest, loam_slice largest);

#endif
