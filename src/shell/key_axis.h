/*
 * key_axis.h - where keys lie on a line, so that each stretch is as wide as the bytes in it.
 *
 * Role: places the first and last keys of tables. What is known of the stretch between two of them is how far apart they are, read as
 *   numbers, which counts for little, and what the tables put there: the narrow ones first. A wide one lays its bytes where they are
 *   already. So tables whose keys follow each other touch, and a gap is one. The page of inspect does the same (makeAxis).
 * Invariants: places are in the order of keys.
 * In the picture: shell layer; of tree_map.
 */
#ifndef LOAM_SHELL_KEY_AXIS_H
#define LOAM_SHELL_KEY_AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loam.h>

struct axis_span { /* of a table */
    loam_slice from, to;
    uint64_t bytes;
};

/* Place 2i is bound i, a first or last key; place 2i + 1 what lies between it and the next. */
struct key_axis {
    loam_slice *bounds; /* borrowed, each */
    double *numbers;    /* of each bound: 0 to 1 */
    double *places;     /* what lies before each, and, behind the last, all */
    size_t count;
    bool is_hexadecimal; /* the keys: letters are digits then */
};

/* Borrows the keys until it is freed. */
struct key_axis key_axis_of(const struct axis_span *spans, size_t count);
void key_axis_free(struct key_axis *axis);
/* Where a bound begins and where it ends, 0 to 1. */
double key_axis_begin(const struct key_axis *axis, loam_slice key);
double key_axis_end(const struct key_axis *axis, loam_slice key);

#endif
