/*
 * tree_map.h - the tree of a collection, drawn to scale.
 *
 * Role: takes the findings of loam_tree() and draws a line for each run: its tables from their first to their last key. The axis is
 *   that of keys in their order, to scale in bytes: where more of the data is, there is more room.
 * Invariants: no line is wider than was asked for; a table has at least one column.
 * In the picture: shell layer; of cmd_levels.
 */
#ifndef LOAM_SHELL_TREE_MAP_H
#define LOAM_SHELL_TREE_MAP_H

#include <loam_inspect.h>

#include "shell/grow.h"

struct map_table {
    loam_slice from, to; /* owned */
    uint64_t bytes, entries, tombstones;
};

struct map_run {
    uint64_t level, number, bytes, entries, tombstones, age;
    size_t first, count; /* of the map's tables */
};

struct map_memtable {
    uint64_t entries, bytes, full_bytes;
};

struct tree_map { /* all-zero is empty */
    char *coll;
    uint64_t sequence, debt_bytes;
    struct map_memtable *memtables;
    struct map_run *runs;
    struct map_table *tables;
    size_t memtable_count, run_count, table_count;
};

/* A loam_found; ctx is a struct tree_map. */
bool tree_map_take(void *ctx, const loam_finding *finding);
struct map_look {
    size_t columns;
    bool colour, utf8;
};
/* Appends lines. */
void tree_map_draw(struct tree_map *map, const struct map_look *look, struct grow *text);
void tree_map_deinit(struct tree_map *map);

#endif
