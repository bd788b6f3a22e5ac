/*
 * key_filter.h - says fast that a memtable does not hold a key.
 *
 * Role: a blocked Bloom filter: one 64-byte block per key, one bit in each of its 8 words. At 16
 *   bits a key one absent key in a thousand passes.
 * Invariants: (1) a key that was added always passes. (2) One thread adds, any number ask; the
 *   words are relaxed atomics, because whoever must see a key has been told so through the tree
 *   or through a sequence number, with the order that carries.
 * In the picture: memtable layer, of memory alone; the tables' filters are another format.
 */
#ifndef LOAM_MEMTABLE_KEY_FILTER_H
#define LOAM_MEMTABLE_KEY_FILTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_FILTER_WORDS 8u

struct key_filter_block {
    _Atomic uint64_t words[KEY_FILTER_WORDS];
};

struct key_filter {
    struct key_filter_block *blocks;
    uint64_t block_count; /* at most UINT32_MAX */
};

/* NULL: out of memory. */
struct key_filter *key_filter_new(uint64_t key_count);
void key_filter_free(struct key_filter *filter); /* accepts NULL */
size_t key_filter_bytes(const struct key_filter *filter);

static inline struct key_filter_block *key_filter_block_of(const struct key_filter *filter,
                                                           uint64_t hash)
{
    return &filter->blocks[(hash >> 32) * filter->block_count >> 32];
}

/* For who will ask or add in a while: a filter is larger than most caches. */
static inline void key_filter_prefetch(const struct key_filter *filter, uint64_t hash)
{
    __builtin_prefetch(key_filter_block_of(filter, hash));
}

/* 6 bits for each word, from the half of the hash that did not choose the block. */
static inline uint64_t key_filter_bits_of(uint64_t hash)
{
    return (hash & UINT32_MAX) * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static inline void key_filter_add(struct key_filter *filter, uint64_t hash)
{
    struct key_filter_block *block = key_filter_block_of(filter, hash);
    uint64_t bits = key_filter_bits_of(hash);
    for (unsigned i = 0; i < KEY_FILTER_WORDS; i++, bits >>= 6) {
        const uint64_t word = atomic_load_explicit(&block->words[i], memory_order_relaxed);
        atomic_store_explicit(&block->words[i], word | UINT64_C(1) << (bits & 63),
                              memory_order_relaxed);
    }
}

static inline bool key_filter_may_hold(const struct key_filter *filter, uint64_t hash)
{
    const struct key_filter_block *block = key_filter_block_of(filter, hash);
    uint64_t bits = key_filter_bits_of(hash), all = 1;
    for (unsigned i = 0; i < KEY_FILTER_WORDS; i++, bits >>= 6)
        all &= atomic_load_explicit(&block->words[i], memory_order_relaxed) >> (bits & 63);
    return all != 0;
}

#endif
