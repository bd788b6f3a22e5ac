/*
 * table_filter.h - says "not here" for nearly all absent keys after one cache miss.
 *
 * Role: a blocked Bloom filter: the hash's upper half picks a block of 64 bytes, six times 9 bits of the
 *   hash, multiplied, pick bits in it; or, by its type tag, a locator, which is a filter as well.
 * Invariants: (1) a key that was added is never denied. (2) Blocks are aligned to cache lines when the
 *   filter's bytes are.
 * In the picture: sstable layer; knows no file. Bytes: table_format.h.
 */
#ifndef LOAM_SSTABLE_TABLE_FILTER_H
#define LOAM_SSTABLE_TABLE_FILTER_H

#include <stdbool.h>

#include <loam.h>

#include "base/codec.h"
#include "sstable/table_locator.h"

struct table_filter { /* all-zero denies nothing; one of the two is there */
    const uint8_t *blocks;
    uint64_t block_count;
    struct table_locator locator; /* if bucket_count is not 0 */
};

/* Checks the bytes, which stay the caller's; NULL or what is wrong. */
const char *table_filter_open(struct table_filter *filter, loam_slice bytes);

static inline uint64_t table_filter_block(uint64_t hash, uint64_t block_count)
{
    return (hash >> 32) * block_count >> 32;
}

/* The six bit numbers of a key stand in the upper 54 bits. */
static inline uint64_t table_filter_bits(uint64_t hash)
{
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static inline bool table_filter_locates(const struct table_filter *filter)
{
    return filter->locator.bucket_count > 0;
}

static inline bool table_filter_is_absent(const struct table_filter *filter)
{
    return filter->block_count == 0 && !table_filter_locates(filter);
}

static inline void table_filter_prefetch(const struct table_filter *filter, uint64_t hash)
{
    if (table_filter_locates(filter))
        __builtin_prefetch(locator_bucket(&filter->locator, hash));
    else if (filter->block_count > 0)
        __builtin_prefetch(filter->blocks +
                           FILTER_BLOCK_BYTES * table_filter_block(hash, filter->block_count));
}

static inline bool table_filter_denies(const struct table_filter *filter, uint64_t hash)
{
    if (table_filter_locates(filter)) return locator_denies(&filter->locator, hash);
    if (filter->block_count == 0) return false;
    const uint8_t *block =
        filter->blocks + FILTER_BLOCK_BYTES * table_filter_block(hash, filter->block_count);
    uint64_t bits = table_filter_bits(hash), all = 1;
    for (unsigned probe = 0; probe < FILTER_BLOOM_PROBES; probe++, bits <<= 9)
        all &= get_u64(block + 8 * (bits >> 61)) >> (bits >> 55 & 63);
    return (all & 1) == 0;
}

/* What is true of a key whose newest version begins there. */
bool table_filter_knows(const struct table_filter *filter, uint64_t hash, struct located at);
/* What is true of a filter that was made of so many keys. */
bool table_filter_counts(const struct table_filter *filter, uint64_t key_count);

/* The bytes of a filter over that many hashes; 0 for no filter. */
uint64_t table_filter_bytes(uint64_t hash_count, uint32_t bits_per_key);

/* Writes a filter over hashes to dst, of table_filter_bytes(). */
void table_filter_build(uint8_t *dst, uint64_t bytes, const uint64_t *hashes, uint64_t hash_count);

#endif
