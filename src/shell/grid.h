/*
 * grid.h - tables: aligned and cut for a terminal, tab-separated for a pipe.
 *
 * Role: collects cells row by row, then prints them.
 * In the picture: shell layer; collections, stats and levels print with it.
 */
#ifndef LOAM_SHELL_GRID_H
#define LOAM_SHELL_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shell/sink.h"

struct grid {
    const char *const *titles; /* borrowed */
    const char *align;         /* a letter for each column: l or r */
    size_t columns;
    char **cell;
    size_t cell_count;
};

void grid_init(struct grid *grid, const char *const *titles, const char *align);
void grid_add(struct grid *grid, const char *text); /* the next cell, in reading order */
void grid_add_number(struct grid *grid, uint64_t number);

/* columns = 0: for a pipe, without titles. */
void grid_print(const struct grid *grid, struct sink *sink, size_t columns, bool colour);
void grid_deinit(struct grid *grid);

#endif
