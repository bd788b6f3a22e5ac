/*
 * sorter.h - entries in whatever order they come, sorted all at once.
 *
 * Role: what a bulk load has in memory. Nobody reads while it is filled, so an entry is one copy and no search: several times
 *   less than a place in a tree costs.
 * Invariants: (1) of two entries with one key the later is the newer one. (2) What is there stays until it is freed.
 * Threads: one at a time; iterators of any.
 * In the picture: memtable layer, cells in an arena; used by db/ingest.c.
 */
#ifndef LOAM_MEMTABLE_SORTER_H
#define LOAM_MEMTABLE_SORTER_H

#include "memtable/arena_pool.h"
#include "record/iter.h"

struct sorter;

/* Keeps pool until it is freed. NULL: out of memory. */
struct sorter *sorter_new(struct arena_pool *pool);
void sorter_free(struct sorter *sorter); /* accepts NULL */

/* Copies key and value. LOAM_NOMEM changes nothing. While nobody iterates. */
LOAM_MUST loam_status sorter_add(struct sorter *sorter, const struct entry *entry);

/* What it takes, with what sorting will. */
size_t sorter_bytes(const struct sorter *sorter);

/* Sorts what is there, if it is not. */
LOAM_MUST loam_status sorter_sort(struct sorter *sorter);

/* Once it is sorted; the latest of a key stands first. Each iterator goes forward alone: first, seek and next. The sorter outlives it. */
LOAM_MUST loam_status sorter_iter_new(const struct sorter *sorter, struct iter **out);
loam_slice
sorter_middle(const struct sorter *sorter); /* the key of the entry in the middle, of some */

#endif
