/*
 * arena.c - memory that is handed out in order and given back all at once; see arena.h.
 */
#include "memtable/arena.h"

#include "base/mem.h"
#include "base/status.h"
#include "os/pages.h"

#include "base/poison.h"

/* The first bytes of every piece. */
struct arena_piece {
    struct arena_piece *next;
    size_t bytes;
};

_Static_assert(sizeof(struct arena_piece) <= ARENA_LINE_BYTES, "a piece's head is one line");

/* What a piece's head and the alignment of its ends may cost. */
#define PIECE_OVERHEAD_BYTES (2 * (size_t)ARENA_LINE_BYTES)
/* A larger piece has no place in memory; the bound keeps sums of sizes from wrapping. */
#define RESERVE_BYTES_MAX (SIZE_MAX / 4)

void arena_init(struct arena *arena, struct arena_pool *pool)
{
    *arena = (struct arena){.pool = pool, .next_piece_bytes = ARENA_FIRST_PIECE_BYTES};
}

void arena_deinit(struct arena *arena)
{
    while (arena->pieces != NULL) {
        struct arena_piece *piece = arena->pieces;
        arena->pieces = piece->next;
        if (piece->bytes < ARENA_PIECE_BYTES)
            mem_free(piece);
        else if (piece->bytes == ARENA_PIECE_BYTES)
            arena_pool_give(arena->pool, piece);
        else
            pages_free(piece, piece->bytes);
    }
    arena->main = arena->spare = (struct arena_area){0};
    arena->granted_bytes = 0;
    arena->next_piece_bytes = ARENA_FIRST_PIECE_BYTES;
    atomic_store_explicit(&arena->bytes, 0, memory_order_relaxed);
}

static size_t piece_bytes_for(const struct arena *arena, size_t bytes)
{
    const size_t needed = bytes + PIECE_OVERHEAD_BYTES;
    if (needed > ARENA_PIECE_BYTES) return needed;
    size_t size = arena->next_piece_bytes;
    while (size < needed)
        size *= 2;
    return size;
}

static struct arena_piece *new_piece(struct arena *arena, size_t bytes)
{
    if (bytes < ARENA_PIECE_BYTES) return mem_alloc(bytes);
    return bytes == ARENA_PIECE_BYTES ? arena_pool_take(arena->pool) : pages_alloc(bytes);
}

static struct arena_area area_of(struct arena_piece *piece)
{
    uint8_t *from = (uint8_t *)piece + sizeof *piece, *to = (uint8_t *)piece + piece->bytes;
    const size_t over = (uintptr_t)from % ARENA_LINE_BYTES;
    return (struct arena_area){
        .low = over > 0 ? from + (ARENA_LINE_BYTES - over) : from,
        .high = to - (uintptr_t)to % ARENA_LINE_BYTES,
    };
}

loam_status arena_reserve_slowly(struct arena *arena, size_t bytes)
{
    if (bytes > RESERVE_BYTES_MAX) return failed(LOAM_NOMEM, "out of memory: %zu bytes", bytes);
    const size_t piece_bytes = piece_bytes_for(arena, bytes);
    struct arena_piece *piece = new_piece(arena, piece_bytes);
    if (piece == NULL) return LOAM_NOMEM;
    *piece = (struct arena_piece){.next = arena->pieces, .bytes = piece_bytes};
    arena->pieces = piece;
    if (piece_bytes < ARENA_PIECE_BYTES) arena->next_piece_bytes = 2 * piece_bytes;
    atomic_store_explicit(&arena->bytes, arena_bytes(arena) + piece_bytes, memory_order_relaxed);
    /* The emptier area is given up: it was asked first and has little left. */
    if (arena_area_bytes(&arena->spare) > arena_area_bytes(&arena->main))
        arena->main = arena->spare;
    arena->spare = area_of(piece);
    arena->granted_bytes = bytes;
    return LOAM_OK;
}
