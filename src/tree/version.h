/*
 * version.h - which tables make up one collection at one moment.
 *
 * Role: levels of sorted runs of tables, immutable once built and shared by reference count; point
 *   reads and iterators over them.
 *
 *   level 0   run 9 | run 8 | run 7      newest first; a flush adds one
 *   level 1   run 6 | run 5
 *   ...
 *   level 6                              runs that wait to be merged into the last, slice by slice
 *   level 7   run 4                      the last level is one run of many tables
 *
 * Invariants (version_check, after every edit, in release builds too): (1) within a run, tables
 *   are in key order and their clipped ranges do not overlap. (2) For each key, everything in a
 *   newer run is newer than in an older one, and level i is newer than level i + 1; run numbers
 *   fall from left to right within a level. What is checked: where tables of two runs show
 *   overlapping key ranges, the newer one's sequence numbers are all above the older one's. (3) A
 *   table reference is seen only within its clip [from, to), and shows something. (4) The last
 *   level holds at most one run. (5) All versions of a key in one run are in one table (it follows
 *   from 1).
 * Threads: versions and runs may be used, referenced and dropped by any number.
 * In the picture: tree layer, on sstable/; run.c builds and walks runs, version.c stacks them,
 *   draft.c makes new versions of old ones, catalog.c holds them, db/view.c pins them.
 */
#ifndef LOAM_TREE_VERSION_H
#define LOAM_TREE_VERSION_H

#include <stdatomic.h>

#include "record/cover_iter.h"
#include "sstable/table.h"

enum {
    LEVEL_COUNT = LOAM_LEVELS_MAX,
    LEVEL_LAST = LOAM_LEVELS_MAX - 1,
    LEVEL_WAITING =
        LEVEL_LAST - 1 /* runs on their way into the last level, which is done in slices */
};

struct table_ref {
    struct table *table; /* referenced by the run */
    loam_slice from, to; /* owned by the run; to empty = no bound. from empty = no bound */
    uint64_t bytes;      /* of the table that the clip makes its own: all of it, or an estimate */
};

struct run {
    _Atomic uint32_t refs;
    uint32_t table_count; /* at least 1 */
    uint64_t number;
    uint64_t bytes, entry_count, tombstone_count; /* sums; estimates where clips cut */
    uint64_t expiring_count;                      /* of all tables, whole */
    uint64_t seq_min, seq_max;                    /* of all tables, whole */
    struct table_ref tables[];
};

struct level {
    uint32_t run_count;
    struct run **runs; /* newest first */
    uint64_t bytes;
};

struct version {
    _Atomic uint32_t refs;
    struct range_set
        *ranges; /* deletions that hide something in the tables; referenced; NULL: none */
    struct level levels[LEVEL_COUNT];
};

/* From where on anybody reads: nobody below seq, and nobody by a clock before clock_ms. */
struct horizon {
    uint64_t seq, clock_ms;
};

/* ---- references to tables ------------------------------------------------------------------- */

/* The lower key bound of what a reference shows: the table's range within its clip. The upper one
   is the lesser of the table's largest key and, exclusively, `to`. */
loam_slice table_ref_smallest(const struct table_ref *ref);
/* All that a shows lies before all that b shows. */
bool table_ref_before(const struct table_ref *a, const struct table_ref *b);

/* Whether deletions of ranges hide all that it shows. */
bool table_ref_is_hidden(const struct table_ref *ref, const struct cover_source *source);

/* ---- runs ----------------------------------------------------------------------------------- */

/* A run of these tables, in this order, with one reference. References the tables and copies the
   clips; `bytes` of refs is not looked at. count is at least 1. NULL: out of memory. */
struct run *run_new(uint64_t number, const struct table_ref *refs, uint32_t count);
void run_ref(struct run *run);
void run_unref(struct run *run); /* accepts NULL */

/* LOAM_CORRUPT and a sentence when the tables of a run are out of order or a clip shows nothing. */
LOAM_MUST loam_status run_check(const struct run *run);

/* The first table that shows keys at or after key, if any are: table_count when there is none. */
uint32_t run_find(const struct run *run, loam_slice key);
/* The table whose clip and range of keys hold the key; NULL: none. */
struct table *run_table_for(const struct run *run, loam_slice key);
/* Does any table show keys of what ref shows? */
bool run_overlaps(const struct run *run, const struct table_ref *ref);

/* Of one run; see version_newer_in(). */
LOAM_MUST loam_status run_newer_in(const struct run *run, loam_slice from, const loam_slice *to,
                                   uint64_t since);

struct amount {
    uint64_t entry_count, bytes; /* of keys and values */
};
/* Adds about what the runs hold from `from` on and before `to` (empty: no bound), from indexes alone; not what is in tables
   without anything newer than `covered`. */
LOAM_MUST loam_status version_estimate(const struct version *version, loam_slice from,
                                       loam_slice to, uint64_t covered, struct amount *sum);
LOAM_MUST loam_status run_estimate(const struct run *run, loam_slice from, loam_slice to,
                                   uint64_t covered, struct amount *sum);

/* An iterator over one run, clipped, tables opened one after the other. Holds a reference on the
   run. flags: table_iter_flags. source, if not NULL: what deletions of ranges hide is left out, and not read
   where that is whole pages or tables; it outlives the iterator. */
LOAM_MUST loam_status run_iter_new(struct run *run, unsigned flags,
                                   const struct cover_source *source, struct iter **out);

/* Has it count; before its first move. The tally outlives it. */
void run_iter_count(struct iter *iter, struct tally *tally);

/* ---- versions ------------------------------------------------------------------------------- */

/* An empty one, with one reference; NULL: out of memory. */
struct version *version_new(void);
void version_ref(struct version *version);
void version_unref(struct version *version); /* accepts NULL */

/* While it is being built: puts a run, which it references, where its number belongs. */
LOAM_MUST loam_status version_add_run(struct version *version, uint32_t level, struct run *run);

/* LOAM_CORRUPT and a sentence when an invariant does not hold. */
LOAM_MUST loam_status version_check(const struct version *version);

/* The newest version of key with seq <= the given one, tombstones too, for which a deletion of a range that holds the key
   passes: LOAM_OK (release hit), LOAM_NOTFOUND or a failure. */
LOAM_MUST loam_status version_get(const struct version *version, loam_slice key, uint64_t hash,
                                  uint64_t seq, struct table_hit *hit);

/* The same, and tells the watch. */
LOAM_MUST loam_status version_get_watched(const struct version *version, loam_slice key,
                                          uint64_t hash, uint64_t seq, struct watch *watch,
                                          struct table_hit *hit);

/* Is there a version newer than `since` of key, or of a key from `from` on and up to `to`, inclusive (NULL: no bound)? LOAM_CONFLICT:
   there is; LOAM_OK: there is none; or a failure. Looks only into tables that hold something newer. */
LOAM_MUST loam_status version_newer_key(const struct version *version, loam_slice key,
                                        uint64_t hash, uint64_t since);
LOAM_MUST loam_status version_newer_in(const struct version *version, loam_slice from,
                                       const loam_slice *to, uint64_t since);

/* See table_look_ahead(). */
void version_look_ahead(const struct version *version, loam_slice key, uint64_t hash, uint64_t seq,
                        enum table_ahead what);

/* How many iterators version_iters() makes, and makes them: one per run, in order of age, newest
   first. On failure none is left. */
size_t version_run_count(const struct version *version);
LOAM_MUST loam_status version_iters(const struct version *version, unsigned flags,
                                    const struct cover_source *source, struct iter **iters);

/* Does the deletion hide anything in tables, as far as their sequence numbers and key ranges tell? */
bool version_wants_range(const struct version *version, const struct range *range);
/* May the table hold something that a deletion up to oldest_seq hides? Rewriting it would leave that out. */
bool version_is_unswept(const struct version *version, const struct table_ref *ref,
                        uint64_t oldest_seq);
/* About how many of the entries that it shows deletions up to oldest_seq hide, judged by the keys' heads; and in how many pieces. */
struct hidden {
    uint64_t entry_count, pieces;
};
struct hidden version_hidden_in(const struct version *version, const struct table_ref *ref,
                                uint64_t oldest_seq);
/* Calls each() for every table of which nobody sees anything, until it answers something else than LOAM_OK: deletions hide it as a
   whole, or all of it has expired and lies over nothing. */
LOAM_MUST loam_status version_each_gone(const struct version *version, struct horizon horizon,
                                        loam_status (*each)(void *ctx, uint32_t level,
                                                            const struct run *run,
                                                            const struct table_ref *ref),
                                        void *ctx);
bool version_expires(const struct version *version); /* does any entry in its tables? */

/* Is a key of [smallest, largest] possibly in a run older than (level, run)? For the rule of
   dropped tombstones. */
bool version_covers_below(const struct version *version, uint32_t level, uint64_t run_number,
                          loam_slice smallest, loam_slice largest);

#endif
