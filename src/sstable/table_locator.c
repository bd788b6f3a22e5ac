/*
 * table_locator.c - a table's hash table of keys, checked and built; see table_locator.h.
 */
#include "sstable/table_locator.h"

#include "base/check.h"

#include "base/poison.h"

enum { BUCKET_KEYS_MEAN = 9 }; /* of 12: one key in eight looks into a second bucket */

const char *locator_open(struct table_locator *locator, loam_slice bytes)
{
    const uint8_t *at = bytes.data;
    if (bytes.len < FILTER_HEADER_BYTES) return "too short for a locator";
    const unsigned offset_bits = at[1], page_bits = at[2];
    const uint64_t count = get_u32(at + 4);
    if (offset_bits > 16 || page_bits > 16 || at[3] != 0) return "impossible places of a locator";
    if (count == 0 || bytes.len - FILTER_HEADER_BYTES != count * LOCATOR_BUCKET_BYTES)
        return "impossible locator length";
    *locator = (struct table_locator){
        .buckets = at + FILTER_HEADER_BYTES,
        .bucket_count = count,
        .offset_bits = offset_bits,
        .place_bits = offset_bits + page_bits,
    };
    return NULL;
}

uint64_t locator_bytes(uint64_t count)
{
    return FILTER_HEADER_BYTES +
           (count + BUCKET_KEYS_MEAN - 1) / BUCKET_KEYS_MEAN * LOCATOR_BUCKET_BYTES;
}

static unsigned bits_for(uint32_t value)
{
    return value == 0 ? 0 : 32 - (unsigned)__builtin_clz(value);
}

/* Into its bucket, or the next one that has room. */
static void add_place(const struct table_locator *locator, uint8_t *buckets, uint64_t hash,
                      uint32_t place)
{
    uint8_t *bucket = buckets + (locator_bucket(locator, hash) - locator->buckets);
    const uint8_t *end = buckets + LOCATOR_BUCKET_BYTES * locator->bucket_count;
    while (bucket[LOCATOR_COUNT_AT] == LOCATOR_BUCKET_KEYS) {
        bucket[LOCATOR_SPILLED_AT] = 1;
        bucket += LOCATOR_BUCKET_BYTES;
        if (bucket == end) bucket = buckets;
    }
    const unsigned i = bucket[LOCATOR_COUNT_AT]++;
    bucket[i] = locator_tag(hash);
    put_u32(bucket + LOCATOR_PLACES_AT + (size_t)4 * i,
            place | locator_more_tag(hash, locator->place_bits));
}

void locator_build(uint8_t *dst, const struct locator_source *source)
{
    const uint64_t bytes = locator_bytes(source->count);
    const uint64_t count = (bytes - FILTER_HEADER_BYTES) / LOCATOR_BUCKET_BYTES;
    uint32_t offset_most = 0;
    check(source->count > 0 && count <= UINT32_MAX);
    for (uint64_t i = 0; i < source->count; i++) {
        const uint32_t offset = source->places[i] & 0xffff;
        if (offset > offset_most) offset_most = offset;
    }
    const unsigned offset_bits = bits_for(offset_most);
    const unsigned page_bits = bits_for(source->places[source->count - 1] >> 16); /* they ascend */
    memset(dst, 0, (size_t)bytes);
    dst[0] = FILTER_LOCATOR;
    dst[1] = (uint8_t)offset_bits;
    dst[2] = (uint8_t)page_bits;
    put_u32(dst + 4, (uint32_t)count);
    const struct table_locator locator = {.buckets = dst + FILTER_HEADER_BYTES,
                                          .bucket_count = count,
                                          .offset_bits = offset_bits,
                                          .place_bits = offset_bits + page_bits};
    for (uint64_t i = 0; i < source->count; i++) {
        const uint32_t place =
            source->places[i] >> 16 << offset_bits | (source->places[i] & 0xffff);
        add_place(&locator, dst + FILTER_HEADER_BYTES, source->hashes[i], place);
    }
}
