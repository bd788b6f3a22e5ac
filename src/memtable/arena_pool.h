/*
 * arena_pool.h - pieces of memory between two memtables.
 *
 * Role: keeps pieces that one memtable has given back for the next one: the first touch of fresh
 *   memory costs more than the writes that follow.
 * Invariants: thread-safe; holds at most keep_bytes, and addresses for a while ahead, without
 *   memory behind them; every piece is ARENA_PIECE_BYTES long.
 * In the picture: memtable layer, on os/pages.h; db/ owns the pool, arenas use it.
 */
#ifndef LOAM_MEMTABLE_ARENA_POOL_H
#define LOAM_MEMTABLE_ARENA_POOL_H

#include <stdbool.h>
#include <stddef.h>

#define ARENA_PIECE_BYTES ((size_t)2 << 20)

/*
 * Recycled 2 MiB pieces, shared by all memtables of a database. keep_bytes bounds what it keeps
 * for later; arena_pool_bytes() is what it keeps now.
 */
struct arena_pool *arena_pool_new(size_t keep_bytes); /* NULL: out of memory */
void arena_pool_free(struct arena_pool *pool);        /* after all memtables on it; accepts NULL */
size_t arena_pool_bytes(const struct arena_pool *pool);

/* For a background thread: makes a piece ready whose first touch is behind it, and wants tending again until
   there are as many as a writer may take meanwhile. Cheap when there is nothing to do. */
void arena_pool_tend(struct arena_pool *pool);
bool arena_pool_wants_tending(const struct arena_pool *pool);

/* For arenas. A piece as it was given, or a fresh one; NULL: out of memory. */
void *arena_pool_take(struct arena_pool *pool);
/* Keeps the piece or, above the bound, frees it. */
void arena_pool_give(struct arena_pool *pool, void *piece);

#endif
