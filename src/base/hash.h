/*
 * hash.h - XXH3, the one hash: for keys, for pages, for records.
 *
 * Role: hash_key() is computed once per operation and serves the memtable's
 *   filter, the tables' filters and the fingerprints in pages; hash_seeded() is
 *   the checksum, seeded with where the bytes belong, so that bytes that are
 *   intact but in the wrong place do not pass.
 * In the picture: base layer on libxxhash; both values are part of the disk format.
 */
#ifndef LOAM_BASE_HASH_H
#define LOAM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <loam.h>

uint64_t hash_key(loam_slice key);
uint64_t hash_seeded(const void *bytes, size_t len, uint64_t seed);

/* The same over pieces, for bytes that do not lie together. */
uint64_t hash_seeded_pieces(const loam_slice *pieces, size_t count, uint64_t seed);

#endif
