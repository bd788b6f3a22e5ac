/*
 * match.h - which of 16 bytes are the wanted one.
 *
 * Role: small fingerprints stand beside each other and are compared at once, by one instruction where the processor has one.
 *   The idea is that of Swiss tables (Abseil) and F14 (Folly).
 * In the picture: base layer; fingerprints of pages and tags of locators.
 */
#ifndef LOAM_BASE_MATCH_H
#define LOAM_BASE_MATCH_H

#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A bit for each of the 16 bytes at `bytes` that equals wanted. */
static inline uint32_t match_16_bytes(const uint8_t *bytes, uint8_t wanted)
{
#if defined(__SSE2__)
    const __m128i all = _mm_set1_epi8((char)wanted);
    const __m128i there = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(there, all));
#else
    uint32_t mask = 0;
    for (unsigned i = 0; i < 16; i++)
        mask |= (uint32_t)(bytes[i] == wanted) << i;
    return mask;
#endif
}

#endif
