/*
 * arena.h - memory that is handed out in order and given back all at once.
 *
 * Role: cells and nodes of one memtable. Cells are taken from the low end of a piece, nodes in
 *   whole cache lines from its high end, so that neither pays for the other's alignment. Pieces
 *   start at 8 KiB and double to 2 MiB; those of 2 MiB come from the pool and return to it,
 *   because the first touch of fresh memory costs more than the writes that follow.
 * Invariants: (1) one thread takes; arena_bytes() may be asked by any. (2) What was taken stays
 *   where it is until deinit. (3) After arena_reserve(n), takings of n bytes together cannot
 *   fail, whatever their sizes: one of the two open areas holds all of them. More than n is a
 *   check.
 * In the picture: memtable layer, on arena_pool.c and os/pages.h; under btree.c and memtable.c.
 */
#ifndef LOAM_MEMTABLE_ARENA_H
#define LOAM_MEMTABLE_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <loam.h>

#include "base/check.h"
#include "memtable/arena_pool.h"

#define ARENA_FIRST_PIECE_BYTES ((size_t)8 << 10)
#define ARENA_LINE_BYTES 64u

struct arena_piece;

/* What is free of a piece. */
struct arena_area {
    uint8_t *low, *high;
};

struct arena {
    struct arena_pool *pool;
    struct arena_piece *pieces;
    struct arena_area main,
        spare;            /* main is asked first; at slow steps it becomes the fuller one */
    size_t granted_bytes; /* reserved and not taken yet */
    size_t next_piece_bytes;
    _Atomic size_t bytes;
};

static inline size_t arena_rounded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static inline size_t arena_area_bytes(const struct arena_area *area)
{
    return (size_t)(area->high - area->low);
}

void arena_init(struct arena *arena, struct arena_pool *pool); /* keeps pool until deinit */
void arena_deinit(struct arena *arena);                        /* leaves an empty one */

LOAM_MUST loam_status arena_reserve_slowly(struct arena *arena, size_t bytes);

/* Replaces what was reserved before. bytes counts takings rounded with arena_rounded(). */
LOAM_MUST static inline loam_status arena_reserve(struct arena *arena, size_t bytes)
{
    if (arena_area_bytes(&arena->main) < bytes && arena_area_bytes(&arena->spare) < bytes)
        return arena_reserve_slowly(arena, bytes);
    arena->granted_bytes = bytes;
    return LOAM_OK;
}

static inline struct arena_area *arena_area_for(struct arena *arena, size_t bytes)
{
    check(bytes <= arena->granted_bytes);
    arena->granted_bytes -= bytes;
    return arena_area_bytes(&arena->main) >= bytes ? &arena->main : &arena->spare;
}

/* Aligned to 8; not zeroed. */
static inline void *arena_take(struct arena *arena, size_t bytes)
{
    const size_t rounded = arena_rounded(bytes);
    struct arena_area *area = arena_area_for(arena, rounded);
    void *taken = area->low;
    area->low += rounded;
    return taken;
}

/* Whole cache lines: bytes is a multiple of ARENA_LINE_BYTES; not zeroed. */
static inline void *arena_take_lines(struct arena *arena, size_t bytes)
{
    struct arena_area *area = arena_area_for(arena, bytes);
    area->high -= bytes;
    return area->high;
}

/* All that its pieces occupy. */
static inline size_t arena_bytes(const struct arena *arena)
{
    return atomic_load_explicit(&arena->bytes, memory_order_relaxed);
}

#endif
