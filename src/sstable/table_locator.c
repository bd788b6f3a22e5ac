/*
 * table_locator.c - a table's hash table of keys, checked and built; see table_locator.h.
 */
#include "sstable/table_locator.h"

#include "base/check.h"

#include "base/poison.h"

/* Of 12: one key in twenty stands in a later bucket than its own, of six million none more than 21 further; with ten keys to a bucket it
   were one in eight, and 37. */
enum { BUCKET_KEYS_MEAN = 9 };

const char *locator_open(struct table_locator *locator, loam_slice bytes)
{
    const uint8_t *at = bytes.data;
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
static bool add_place(const struct table_locator *locator, uint8_t *buckets, uint64_t hash,
                      uint32_t place)
{
    uint64_t index = locator_bucket_index(locator, hash);
    for (unsigned i = 0; i < LOCATOR_WALK_BUCKETS; i++) {
        uint8_t *bucket = buckets + LOCATOR_BUCKET_BYTES * index;
        const unsigned count = bucket[LOCATOR_COUNT_AT];
        if (count < LOCATOR_BUCKET_KEYS) {
            bucket[LOCATOR_COUNT_AT] = (uint8_t)(count + 1);
            bucket[count] = locator_tag(hash);
            put_u32(bucket + LOCATOR_PLACES_AT + (size_t)4 * count,
                    place | locator_more_tag(hash, locator->place_bits));
            return true;
        }
        bucket[LOCATOR_SPILLED_AT] = 1;
        if (++index == locator->bucket_count) index = 0;
    }
    return false;
}

bool locator_build(uint8_t *dst, const struct locator_source *source)
{
    const uint64_t bytes = locator_bytes(source->count);
    struct table_locator locator;
    uint32_t offset_most = 0;
    check(source->count > 0 && source->count <= UINT32_MAX);
    for (uint64_t i = 0; i < source->count; i++) {
        const uint32_t offset = source->places[i] & 0xffff;
        if (offset > offset_most) offset_most = offset;
    }
    const unsigned offset_bits = bits_for(offset_most);
    memset(dst, 0, (size_t)bytes);
    dst[0] = FILTER_LOCATOR;
    dst[1] = (uint8_t)offset_bits;
    dst[2] = (uint8_t)bits_for(source->places[source->count - 1] >> 16); /* they ascend */
    put_u32(dst + 4, (uint32_t)((bytes - FILTER_HEADER_BYTES) / LOCATOR_BUCKET_BYTES));
    check(locator_open(&locator, loam_bytes(dst, (size_t)bytes)) == NULL);
    for (uint64_t i = 0; i < source->count; i++) {
        const uint32_t page = source->places[i] >> 16, offset = source->places[i] & 0xffff;
        if (!add_place(&locator, dst + FILTER_HEADER_BYTES, source->hashes[i],
                       page << offset_bits | offset))
            return false;
    }
    return true;
}

uint64_t locator_key_count(const struct table_locator *locator)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < locator->bucket_count; i++)
        count += locator->buckets[LOCATOR_BUCKET_BYTES * i + LOCATOR_COUNT_AT];
    return count;
}
