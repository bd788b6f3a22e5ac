/*
 * codec.h - integers as bytes, the one place that knows about byte order.
 *
 * Role: every multi-byte integer on disk or on the wire passes through here.
 * Invariants: fixed-width integers are little-endian and need no alignment; a
 *   varint is at most 10 bytes and must be minimal (one encoding per value).
 * In the picture: base layer; includes nothing of ours, allocates nothing.
 */
#ifndef LOAM_BASE_CODEC_H
#define LOAM_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VARINT64_BYTES_MAX 10

/* Whole words are copied. Shifts of single bytes mean the same, but where gcc 12 has a word in a register already, it takes it apart for
   them and puts it together again. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define AS_LITTLE_ENDIAN(bits, word) (word)
#else
#define AS_LITTLE_ENDIAN(bits, word) __builtin_bswap##bits(word)
#endif

static inline void put_u16(uint8_t *dst, uint16_t value)
{
    const uint16_t word = AS_LITTLE_ENDIAN(16, value);
    memcpy(dst, &word, sizeof word);
}

static inline uint16_t get_u16(const uint8_t *src)
{
    uint16_t word;
    memcpy(&word, src, sizeof word);
    return AS_LITTLE_ENDIAN(16, word);
}

static inline void put_u32(uint8_t *dst, uint32_t value)
{
    const uint32_t word = AS_LITTLE_ENDIAN(32, value);
    memcpy(dst, &word, sizeof word);
}

static inline uint32_t get_u32(const uint8_t *src)
{
    uint32_t word;
    memcpy(&word, src, sizeof word);
    return AS_LITTLE_ENDIAN(32, word);
}

static inline void put_u64(uint8_t *dst, uint64_t value)
{
    const uint64_t word = AS_LITTLE_ENDIAN(64, value);
    memcpy(dst, &word, sizeof word);
}

static inline uint64_t get_u64(const uint8_t *src)
{
    uint64_t word;
    memcpy(&word, src, sizeof word);
    return AS_LITTLE_ENDIAN(64, word);
}

#undef AS_LITTLE_ENDIAN

/* Most significant byte first, so that integers compare as the bytes do. */
static inline uint64_t get_u64_big_endian(const uint8_t *src)
{
    return __builtin_bswap64(get_u64(src));
}

/* Appends value at dst, which has VARINT64_BYTES_MAX bytes free; returns the new end. */
uint8_t *put_varint64(uint8_t *dst, uint64_t value);

/* How many bytes put_varint64() writes for value. */
static inline size_t varint64_bytes(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

const uint8_t *get_varint64_long(const uint8_t *src, const uint8_t *end, uint64_t *value);

/*
 * Reads a varint from [src, end). Returns the byte after it, or NULL if the
 * bytes are truncated, too long or not minimal; *value is then untouched.
 */
static inline const uint8_t *get_varint64(const uint8_t *src, const uint8_t *end, uint64_t *value)
{
    if (src == end || *src >= 0x80) return get_varint64_long(src, end, value);
    *value = *src;
    return src + 1;
}

/* The same for a value that must fit 32 bits; larger ones are NULL as well. */
const uint8_t *get_varint32(const uint8_t *src, const uint8_t *end, uint32_t *value);

#endif
