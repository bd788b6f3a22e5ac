/*
 * segments.h - small inputs made into whole segments, whose checksums are right where the input asks for it.
 *
 * Role: a real segment begins with 8 KiB of header that a fuzzer would waste its time on, and every byte of it stands
 *   under a checksum. An input is the 128 bytes of a header and then records; bits say which sums are put right.
 * In the picture: shared by fuzz_segment.c and fuzz_wal.c.
 */
#ifndef LOAM_FUZZ_SEGMENTS_H
#define LOAM_FUZZ_SEGMENTS_H

#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "wal/segment.h"

enum { FUZZ_HEADER_BYTES = 128 };

enum fuzz_repair {
    REPAIR_HEADER = 1,     /* its type, format and check */
    REPAIR_RECORDS = 2,    /* checks of the records that stand one behind the other */
    REPAIR_SECOND_COPY = 4 /* the header's second copy is as the first; else it is zero */
};

static inline void repair_header(uint8_t *header)
{
    header[4] = 'S';
    header[5] = SEGMENT_FORMAT;
    put_u32(header, (uint32_t)hash_seeded(header + 4, FUZZ_HEADER_BYTES - 4, 'S'));
}

/* As far as lengths lead from one record to the next. */
static inline void repair_records(uint8_t *bytes, size_t len)
{
    const uint64_t start = get_u64(bytes + 32), key = get_u64(bytes + 56);
    size_t at = SEGMENT_HEADER_BYTES;
    while (len - at >= RECORD_HEAD_BYTES) {
        uint8_t *head = bytes + at;
        const uint64_t seed = key ^ (start + (at - SEGMENT_HEADER_BYTES));
        uint64_t body_bytes = get_u32(head + 8);
        if (record_bytes(body_bytes) > len - at) return;
        memset(head + RECORD_HEAD_BYTES + body_bytes, 0, -body_bytes & 7);
        put_u32(head + 4,
                (uint32_t)hash_seeded(head + RECORD_HEAD_BYTES, (size_t)body_bytes, seed));
        put_u32(head, (uint32_t)hash_seeded(head + 4, RECORD_HEAD_BYTES - 4, seed));
        at += (size_t)record_bytes(body_bytes);
    }
}

/* The whole segment, in memory that is exactly as long; NULL when the input is too short. The caller frees it. */
static inline uint8_t *make_segment(const uint8_t *data, size_t size, unsigned repair, size_t *len)
{
    if (size < FUZZ_HEADER_BYTES) return NULL;
    const size_t records_bytes = size - FUZZ_HEADER_BYTES;
    *len = SEGMENT_HEADER_BYTES + records_bytes;
    uint8_t *bytes = calloc(1, *len);
    if (bytes == NULL) return NULL;
    memcpy(bytes, data, FUZZ_HEADER_BYTES);
    if (records_bytes > 0)
        memcpy(bytes + SEGMENT_HEADER_BYTES, data + FUZZ_HEADER_BYTES, records_bytes);
    if (repair & REPAIR_HEADER) repair_header(bytes);
    if (repair & REPAIR_RECORDS) repair_records(bytes, *len);
    if (repair & REPAIR_SECOND_COPY) memcpy(bytes + 4096, bytes, FUZZ_HEADER_BYTES);
    return bytes;
}

#endif
