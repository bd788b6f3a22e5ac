/*
 * table_filter.c - the blocked Bloom filter; see table_filter.h.
 */
#include "sstable/table_filter.h"

#include "base/check.h"

#include "base/poison.h"

enum { FILTER_BITS_PER_KEY_MAX = 64 };

const char *table_filter_open(struct table_filter *filter, loam_slice bytes)
{
    const uint8_t *at = bytes.data;
    memset(filter, 0, sizeof *filter);
    if (bytes.len == 0) return NULL;
    if (bytes.len < FILTER_HEADER_BYTES) return "too short for a filter";
    if (at[0] == FILTER_LOCATOR) return locator_open(&filter->locator, bytes);
    if (at[0] != FILTER_BLOOM || at[1] != FILTER_BLOOM_PROBES) return "unknown filter type";
    const uint64_t count = get_u32(at + 4);
    if (count == 0 || bytes.len - FILTER_HEADER_BYTES != count * FILTER_BLOCK_BYTES)
        return "impossible filter length";
    filter->blocks = at + FILTER_HEADER_BYTES;
    filter->block_count = count;
    return NULL;
}

bool table_filter_knows(const struct table_filter *filter, uint64_t hash, struct located at)
{
    if (!table_filter_locates(filter)) return !table_filter_denies(filter, hash);
    struct locator_walk walk = locator_begin(&filter->locator, hash);
    struct located said;
    while (locator_next(&filter->locator, hash, &walk, &said)) {
        if (said.page == at.page && said.offset == at.offset) return true;
    }
    return false;
}

bool table_filter_counts(const struct table_filter *filter, uint64_t key_count)
{
    return !table_filter_locates(filter) || locator_key_count(&filter->locator) == key_count;
}

uint64_t table_filter_bytes(uint64_t hash_count, uint32_t bits_per_key)
{
    if (hash_count == 0 || bits_per_key == 0) return 0;
    if (bits_per_key > FILTER_BITS_PER_KEY_MAX) bits_per_key = FILTER_BITS_PER_KEY_MAX;
    if (hash_count > UINT32_MAX) hash_count = UINT32_MAX;
    const uint64_t block_bits = UINT64_C(8) * FILTER_BLOCK_BYTES;
    return FILTER_HEADER_BYTES +
           (hash_count * bits_per_key + block_bits - 1) / block_bits * FILTER_BLOCK_BYTES;
}

void table_filter_build(uint8_t *dst, uint64_t bytes, const uint64_t *hashes, uint64_t hash_count)
{
    const uint64_t count = (bytes - FILTER_HEADER_BYTES) / FILTER_BLOCK_BYTES;
    uint8_t *blocks = dst + FILTER_HEADER_BYTES;
    check(count > 0 && count <= UINT32_MAX);
    memset(dst, 0, (size_t)bytes);
    dst[0] = FILTER_BLOOM;
    dst[1] = FILTER_BLOOM_PROBES;
    put_u32(dst + 4, (uint32_t)count);
    for (uint64_t i = 0; i < hash_count; i++) {
        uint8_t *block = blocks + FILTER_BLOCK_BYTES * table_filter_block(hashes[i], count);
        uint64_t bits = table_filter_bits(hashes[i]);
        for (unsigned probe = 0; probe < FILTER_BLOOM_PROBES; probe++, bits <<= 9) {
            const uint64_t bit = bits >> 55;
            block[bit / 8] = (uint8_t)(block[bit / 8] | 1u << bit % 8);
        }
    }
}
