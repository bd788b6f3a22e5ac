/*
 * memtable_iter.h - walks the cells of a memtable's tree, both ways, while it is written.
 *
 * Role: the iter of memtable_iter_new(): holds a cell, which never changes, and a place in a
 *   leaf, which may go stale; then the cell's key finds the place again.
 * In the picture: memtable layer, between memtable.c and btree.c.
 */
#ifndef LOAM_MEMTABLE_MEMTABLE_ITER_H
#define LOAM_MEMTABLE_MEMTABLE_ITER_H

#include "memtable/btree.h"
#include "record/iter.h"

/* NULL: out of memory. The tree outlives it. */
struct iter *btree_iter_new(const struct btree *tree);

#endif
