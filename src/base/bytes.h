/*
 * bytes.h - comparing byte strings, and the 8-byte heads that make it cheap.
 *
 * Role: the one order of keys (memcmp, then length), common prefixes, heads.
 * Invariants: head order never contradicts key order: for keys that share their
 *   first `skip` bytes, head(a) < head(b) implies a < b; equal heads say nothing.
 * In the picture: base layer; memtable nodes, page indexes and the merge heap
 *   hold heads, because an integer compare in the node saves the cache miss of
 *   following a pointer to the key.
 */
#ifndef LOAM_BASE_BYTES_H
#define LOAM_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#include <loam.h>

#include "base/codec.h"

/* Two words, which may overlap, are all of 8 to 16 bytes: most keys need no call. */
static inline int bytes_compare(loam_slice a, loam_slice b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    if (len - 8 <= 8) {
        const uint8_t *x = a.data, *y = b.data;
        uint64_t one = get_u64_big_endian(x), other = get_u64_big_endian(y);
        if (one == other) {
            one = get_u64_big_endian(x + len - 8);
            other = get_u64_big_endian(y + len - 8);
        }
        if (one != other) return one < other ? -1 : 1;
        return (a.len > b.len) - (a.len < b.len);
    }
    const int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

static inline bool bytes_equal(loam_slice a, loam_slice b)
{
    if (a.len != b.len) return false;
    if (a.len - 8 <= 8) {
        const uint8_t *x = a.data, *y = b.data;
        return ((get_u64(x) ^ get_u64(y)) | (get_u64(x + a.len - 8) ^ get_u64(y + a.len - 8))) == 0;
    }
    return a.len == 0 || memcmp(a.data, b.data, a.len) == 0;
}

static inline bool bytes_start_with(loam_slice text, loam_slice prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

/* Makes of a prefix the first string that is behind all that start with it, and answers its length; 0: there is none. */
static inline size_t bytes_behind_prefix(uint8_t *prefix, size_t len)
{
    while (len > 0 && prefix[len - 1] == 0xff)
        len--;
    if (len > 0) prefix[len - 1]++;
    return len;
}

/* How many leading bytes a and b share. */
static inline size_t bytes_common(loam_slice a, loam_slice b)
{
    const uint8_t *x = a.data, *y = b.data;
    const size_t len = a.len < b.len ? a.len : b.len;
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        const uint64_t differ = get_u64(x + at) ^ get_u64(y + at);
        if (differ != 0) return at + (size_t)__builtin_ctzll(differ) / 8;
    }
    if (at > 0) { /* the last word overlaps the one before, which is equal */
        const uint64_t differ = get_u64(x + len - 8) ^ get_u64(y + len - 8);
        return differ == 0 ? len : len - 8 + (size_t)__builtin_ctzll(differ) / 8;
    }
    while (at < len && x[at] == y[at])
        at++;
    return at;
}

/* The 8 bytes of key after its first skip ones, as a number that orders as they do; a shorter
   key is padded with zeros. skip may lie beyond the key's end. */
static inline uint64_t bytes_head(loam_slice key, size_t skip)
{
    const uint8_t *from = key.data;
    if (key.len >= skip + 8) return get_u64_big_endian(from + skip);
    if (key.len >= 8) /* what there is stands in the last word */
        return key.len > skip ? get_u64_big_endian(from + key.len - 8) << 8 * (skip + 8 - key.len)
                              : 0;
    uint64_t head = 0;
    for (size_t i = skip; i < skip + 8; i++)
        head = head << 8 | (i < key.len ? from[i] : 0);
    return head;
}

#endif
