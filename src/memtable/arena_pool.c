/*
 * arena_pool.c - pieces of memory between two memtables; see arena_pool.h.
 */
#include "memtable/arena_pool.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "os/pages.h"
#include "os/thread.h"

#include "base/poison.h"

/* The first bytes of a piece that lies in the pool. */
struct pooled_piece {
    struct pooled_piece *next;
};

struct arena_pool {
    struct mutex lock; /* guards pieces and what is uncut */
    struct pooled_piece *pieces;
    uint8_t *uncut; /* addresses that no piece had yet, behind which there is no memory */
    size_t uncut_bytes;
    _Atomic size_t bytes;       /* changed under the lock, read without */
    _Atomic bool wants_tending; /* somebody takes, and little is left */
    size_t keep_bytes;
};

/* The tender may be busy with a segment for a hundred milliseconds. */
#define READY_BYTES (8 * ARENA_PIECE_BYTES)

/* Addresses are asked for in sheets, of which pieces are cut: a writer that maps memory waits while the tender, or anybody
   else, touches fresh memory of this process, and that takes milliseconds where the machine has a host. */
#define SHEET_BYTES (32 * ARENA_PIECE_BYTES)

struct arena_pool *arena_pool_new(size_t keep_bytes)
{
    struct arena_pool *pool = mem_zalloc(sizeof *pool);
    if (pool == NULL) return NULL;
    mutex_init(&pool->lock);
    pool->keep_bytes = keep_bytes;
    return pool;
}

void arena_pool_free(struct arena_pool *pool)
{
    if (pool == NULL) return;
    while (pool->pieces != NULL) {
        struct pooled_piece *piece = pool->pieces;
        pool->pieces = piece->next;
        pages_free(piece, ARENA_PIECE_BYTES);
    }
    pages_free(pool->uncut, pool->uncut_bytes);
    mutex_deinit(&pool->lock);
    mem_free(pool);
}

static uint8_t *take_uncut(struct arena_pool *pool)
{
    mutex_lock(&pool->lock);
    uint8_t *piece = pool->uncut;
    if (piece != NULL) {
        pool->uncut_bytes -= ARENA_PIECE_BYTES;
        pool->uncut = pool->uncut_bytes > 0 ? piece + ARENA_PIECE_BYTES : NULL;
    }
    mutex_unlock(&pool->lock);
    return piece;
}

/* A piece of no memory yet; NULL: out of memory. The lock is not held while addresses are waited for. */
static void *cut_piece(struct arena_pool *pool)
{
    uint8_t *piece = take_uncut(pool);
    if (piece != NULL) return piece;
    piece = pages_alloc(SHEET_BYTES);
    if (piece == NULL) return pages_alloc(ARENA_PIECE_BYTES); /* so many addresses there are not */
    uint8_t *rest = piece + ARENA_PIECE_BYTES;
    mutex_lock(&pool->lock);
    if (pool->uncut == NULL) {
        pool->uncut = rest;
        pool->uncut_bytes = SHEET_BYTES - ARENA_PIECE_BYTES;
        rest = NULL;
    }
    mutex_unlock(&pool->lock);
    pages_free(rest, SHEET_BYTES - ARENA_PIECE_BYTES); /* somebody else was first */
    return piece;
}

size_t arena_pool_bytes(const struct arena_pool *pool)
{
    return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}

void *arena_pool_take(struct arena_pool *pool)
{
    mutex_lock(&pool->lock);
    struct pooled_piece *piece = pool->pieces;
    if (piece != NULL) {
        pool->pieces = piece->next;
        atomic_fetch_sub_explicit(&pool->bytes, ARENA_PIECE_BYTES, memory_order_relaxed);
    }
    if (arena_pool_bytes(pool) < READY_BYTES && pool->keep_bytes >= READY_BYTES)
        atomic_store_explicit(&pool->wants_tending, true, memory_order_relaxed);
    mutex_unlock(&pool->lock);
    return piece != NULL ? piece : cut_piece(pool);
}

void arena_pool_give(struct arena_pool *pool, void *piece)
{
    struct pooled_piece *given = piece;
    mutex_lock(&pool->lock);
    const size_t kept = atomic_load_explicit(&pool->bytes, memory_order_relaxed);
    const bool has_room = kept < pool->keep_bytes && pool->keep_bytes - kept >= ARENA_PIECE_BYTES;
    if (has_room) {
        given->next = pool->pieces;
        pool->pieces = given;
        atomic_store_explicit(&pool->bytes, kept + ARENA_PIECE_BYTES, memory_order_relaxed);
    }
    mutex_unlock(&pool->lock);
    if (!has_room) pages_free(piece, ARENA_PIECE_BYTES);
}

bool arena_pool_wants_tending(const struct arena_pool *pool)
{
    return atomic_load_explicit(&pool->wants_tending, memory_order_relaxed);
}

void arena_pool_tend(struct arena_pool *pool)
{
    if (!arena_pool_wants_tending(pool)) return;
    atomic_store_explicit(&pool->wants_tending, false, memory_order_relaxed);
    void *piece = cut_piece(pool);
    if (piece == NULL) return; /* whoever needs it will say so */
    pages_populate(piece, ARENA_PIECE_BYTES);
    arena_pool_give(pool, piece);
    if (arena_pool_bytes(pool) < READY_BYTES)
        atomic_store_explicit(&pool->wants_tending, true, memory_order_relaxed);
}
