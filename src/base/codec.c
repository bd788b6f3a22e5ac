/*
 * codec.c - variable-length integers; see codec.h for the contract.
 */
#include "base/codec.h"

#include <stddef.h>

uint8_t *put_varint64(uint8_t *dst, uint64_t value)
{
    while (value >= 0x80) {
        *dst++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *dst++ = (uint8_t)value;
    return dst;
}

const uint8_t *get_varint64_long(const uint8_t *src, const uint8_t *end, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && src < end; shift += 7) {
        const uint8_t byte = *src++;
        const uint64_t low = byte & 0x7f;
        if (shift == 63 && low > 1) return NULL; /* would not fit 64 bits */
        if (byte == 0 && shift > 0) return NULL; /* not minimal */
        result |= low << shift;
        if (byte < 0x80) {
            *value = result;
            return src;
        }
    }
    return NULL;
}

const uint8_t *get_varint32(const uint8_t *src, const uint8_t *end, uint32_t *value)
{
    uint64_t wide;
    src = get_varint64(src, end, &wide);
    if (src == NULL || wide > UINT32_MAX) return NULL;
    *value = (uint32_t)wide;
    return src;
}
