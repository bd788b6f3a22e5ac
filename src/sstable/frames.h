/*
 * frames.h - the memory that pages stand in: blocks of 4 KiB, 8 KiB and so on, in large pieces.
 *
 * Role: the page cache's own allocator. A point read in memory is two or three dependent misses, and on small
 *   pages of memory each of them is one of address translation as well; so blocks are cut from pieces of 2 MiB,
 *   which the system backs by huge pages, and are used again, because a first touch costs more than reading the page.
 *   What is looked at first in each page stands once more at its side, dense, all of a piece's together: a
 *   processor's cache holds that of a hundred times as many pages as fit into it.
 * Invariants: (1) a buddy system (Knowlton, 1965): a block of 2^k units begins at a multiple of 2^k units of its
 *   piece, and no two free blocks are each other's buddies. (2) A frame's index tells where its bytes are, without
 *   another look at memory than at its piece; a piece stays where it is until the end, also when its memory has
 *   been given back, so that who peeks without a pin reads nothing that is gone. (3) resident_bytes is what the
 *   pieces occupy at most.
 * Threads: the caller locks; frames_bytes() by any thread that has the index.
 * In the picture: sstable layer, on os/pages.h; cache.c decides what goes.
 */
#ifndef LOAM_SSTABLE_FRAMES_H
#define LOAM_SSTABLE_FRAMES_H

#include <stdatomic.h>
#include <stdbool.h>

#include <loam.h>

enum {
    FRAME_UNIT_BYTES = 4096,
    FRAME_SIDE_BYTES = 128, /* of each unit, apart from its bytes */
    FRAME_ORDERS = 10,      /* the largest block is a piece of 2 MiB */
    FRAME_ORDER_LEAST = 5,  /* of a piece: any page fits, however small the budget */
    FRAME_LEVELS = 24       /* of the directory, each twice as long as the one before */
};

enum frame_state {
    FRAME_INNER,
    FRAME_FREE,
    FRAME_TAKEN
}; /* INNER: not the first unit of a block */

struct frame {              /* one for each unit; it counts where a block begins */
    _Atomic uint64_t *slot; /* TAKEN: who points here, for the cache */
    uint32_t next, prev;    /* FREE: others of its order; 0 = none */
    uint8_t order, state;
};

struct frame_piece {
    uint8_t *bytes;
    bool is_resident;
    struct frame frames[];
};

struct frames {
    uint32_t piece_order; /* log2 of a piece's units */
    uint32_t piece_count;
    uint64_t resident_bytes, taken_bytes;
    uint32_t free[FRAME_ORDERS]; /* the first free block of each order */
    _Atomic(_Atomic(struct frame_piece *) *) levels[FRAME_LEVELS];
};

void frames_init(struct frames *frames, uint64_t capacity_bytes); /* chooses the size of pieces */
void frames_deinit(struct frames *frames);

/* All that a piece takes: its units, and behind them their sides. */
static inline uint64_t frames_piece_bytes(const struct frames *frames)
{
    return (uint64_t)(FRAME_UNIT_BYTES + FRAME_SIDE_BYTES) << frames->piece_order;
}

/* The order of the smallest block that has so many bytes; may be more than a piece's. */
unsigned frames_order_for(uint64_t bytes);

/* Index of a block that was free, or 0. Nothing is allocated. */
uint32_t frames_take(struct frames *frames, unsigned order);
void frames_give(struct frames *frames, uint32_t index);  /* a taken one */
LOAM_MUST loam_status frames_grow(struct frames *frames); /* by a piece, all of it free */
/* Gives the memory of a piece back to the system if all of it is free. */
bool frames_shrink(struct frames *frames, uint32_t piece);

/* Whoever knows an index got it by an acquire that follows the stores here. */
static inline struct frame_piece *frames_piece(const struct frames *frames, uint32_t piece)
{
    const uint32_t place = piece + 64;
    const unsigned level = 25u - (unsigned)__builtin_clz(place);
    _Atomic(struct frame_piece *) *pieces =
        atomic_load_explicit(&frames->levels[level], memory_order_relaxed);
    return atomic_load_explicit(&pieces[place - (UINT32_C(64) << level)], memory_order_relaxed);
}

static inline struct frame *frames_at(const struct frames *frames, uint32_t index)
{
    const uint32_t unit = index - 1;
    return &frames_piece(frames, unit >> frames->piece_order)
                ->frames[unit & ((UINT32_C(1) << frames->piece_order) - 1)];
}

/* Where a block is, and its side. */
static inline uint8_t *frames_bytes(const struct frames *frames, uint32_t index, uint8_t **side)
{
    const uint32_t units = UINT32_C(1) << frames->piece_order;
    const size_t unit = (index - 1) & (units - 1);
    uint8_t *piece = frames_piece(frames, (index - 1) >> frames->piece_order)->bytes;
    *side = piece + (size_t)units * FRAME_UNIT_BYTES + unit * FRAME_SIDE_BYTES;
    return piece + unit * FRAME_UNIT_BYTES;
}

#endif
