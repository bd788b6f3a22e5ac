/*
 * table_locator.h - says where the newest version of a key begins, mostly after one cache miss.
 *
 * Role: a hash table of the distinct keys, in a Bloom filter's place where memory allows: a key's hash picks a bucket
 *   of 64 bytes, in which tags are compared at once; a tag that matches comes with page and offset. So a point read
 *   asks neither the index nor the page's fingerprints. 7.1 bytes a key. docs/decisions/0035.
 * Invariants: (1) the place of a key that was added is always among those of its walk. (2) A place is not believed: page
 *   and offset may be anything, and another key may stand there. (3) A walk ends after LOCATOR_WALK_BUCKETS; keys whose hashes
 *   somebody chose to need more make no locator.
 * In the picture: sstable layer; knows no file. Bytes: table_format.h.
 */
#ifndef LOAM_SSTABLE_TABLE_LOCATOR_H
#define LOAM_SSTABLE_TABLE_LOCATOR_H

#include <stdbool.h>

#include <loam.h>

#include "base/codec.h"
#include "base/match.h"
#include "sstable/table_format.h"

struct table_locator {
    const uint8_t *buckets;
    uint64_t bucket_count;
    unsigned offset_bits,
        place_bits; /* of a place, from below: offset, page; above them is more of the tag */
};

struct locator_walk {
    const uint8_t *bucket;
    unsigned left;   /* how many buckets it may still go on to */
    uint32_t mask;   /* of tags in the bucket that match */
    uint32_t wanted; /* what stands above the page in a place */
};

/* Where an entry may begin. */
struct located {
    uint32_t page, offset;
};

/* All bits of the hash count: whoever spreads keys over stores by the first bits of the same hash leaves no bucket empty. */
static inline uint64_t locator_bucket_index(const struct table_locator *locator, uint64_t hash)
{
    return (hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) * locator->bucket_count >> 32;
}

static inline const uint8_t *locator_bucket(const struct table_locator *locator, uint64_t hash)
{
    return locator->buckets + LOCATOR_BUCKET_BYTES * locator_bucket_index(locator, hash);
}

static inline uint8_t locator_tag(uint64_t hash)
{
    return (uint8_t)hash;
}

/* The rest of the tag, as it stands in a place. */
static inline uint32_t locator_more_tag(uint64_t hash, unsigned place_bits)
{
    return place_bits == 32 ? 0 : (uint32_t)(hash >> 8) << place_bits;
}

static inline uint32_t locator_matches(const uint8_t *bucket, uint64_t hash)
{
    const uint32_t there = (UINT32_C(1) << (bucket[LOCATOR_COUNT_AT] & 15)) - 1;
    return match_16_bytes(bucket, locator_tag(hash)) & there &
           ((UINT32_C(1) << LOCATOR_BUCKET_KEYS) - 1);
}

static inline struct locator_walk locator_begin(const struct table_locator *locator, uint64_t hash)
{
    const uint8_t *bucket = locator_bucket(locator, hash);
    return (struct locator_walk){
        .bucket = bucket,
        .left = LOCATOR_WALK_BUCKETS - 1,
        .mask = locator_matches(bucket, hash),
        .wanted = locator_more_tag(hash, locator->place_bits),
    };
}

/* The next place where the key of that hash may begin; false: there is none. */
static inline bool locator_next(const struct table_locator *locator, uint64_t hash,
                                struct locator_walk *walk, struct located *at)
{
    for (;;) {
        for (; walk->mask != 0; walk->mask &= walk->mask - 1) {
            const unsigned i = (unsigned)__builtin_ctz(walk->mask);
            const uint32_t place =
                get_u32(walk->bucket + LOCATOR_PLACES_AT + (size_t)4 * i) ^ walk->wanted;
            if ((uint64_t)place >> locator->place_bits != 0) continue;
            walk->mask &= walk->mask - 1;
            *at = (struct located){place >> locator->offset_bits,
                                   place & ((UINT32_C(1) << locator->offset_bits) - 1)};
            return true;
        }
        if (walk->bucket[LOCATOR_SPILLED_AT] == 0 || walk->left-- == 0) return false;
        walk->bucket += LOCATOR_BUCKET_BYTES;
        if (walk->bucket == locator->buckets + LOCATOR_BUCKET_BYTES * locator->bucket_count)
            walk->bucket = locator->buckets;
        walk->mask = locator_matches(walk->bucket, hash);
    }
}

static inline bool locator_denies(const struct table_locator *locator, uint64_t hash)
{
    struct locator_walk walk = locator_begin(locator, hash);
    struct located at;
    return !locator_next(locator, hash, &walk, &at);
}

/* Checks the bytes, a header at least, which stay the caller's; NULL or what is wrong. */
const char *locator_open(struct table_locator *locator, loam_slice bytes);
uint64_t locator_key_count(const struct table_locator *locator); /* of all buckets */

/* The writing side: hashes of the distinct keys, u64 each, and where they begin: page << 16 | offset, u32 each. */
struct locator_source {
    const uint64_t *hashes;
    const uint32_t *places;
    uint64_t count;
};
#define LOCATOR_PAGES_MAX 65536

/* The bytes of a locator of that many keys. */
uint64_t locator_bytes(uint64_t count);
/* Writes it to dst, of locator_bytes(source->count). False: no bucket near its own has room for some key. */
bool locator_build(uint8_t *dst, const struct locator_source *source);

#endif
