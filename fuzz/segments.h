/*
 * segments.h - small inputs made into whole segments, whose checksums are right where the input asks for it.
 *
 * Role: a real segment begins with 8 KiB of header that a fuzzer would waste its time on, and every byte of it stands
 *   under a checksum. An input is the 128 bytes of a header and then records; bits say which sums are put right. Of several,
 *   each may go on where the one before it ends.
 * In the picture: shared by fuzz_segment.c, fuzz_wal.c, fuzz_archive.c and fuzz_salvage.c.
 */
#ifndef LOAM_FUZZ_SEGMENTS_H
#define LOAM_FUZZ_SEGMENTS_H

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "wal/segment.h"

enum { FUZZ_HEADER_BYTES = 128, FUZZ_LOG_KEY = 42 };

enum fuzz_repair {
    REPAIR_HEADER = 1,      /* its type, format and check */
    REPAIR_RECORDS = 2,     /* checks of the records that stand one behind the other */
    REPAIR_SECOND_COPY = 4, /* the header's second copy is as the first; else it is zero */
    /* Of several: */
    REPAIR_IDENTITY = 8, /* store id, epoch, number, log key */
    REPAIR_CHAIN = 16    /* begins where the one before it ends, with its running checksum */
};

static const uint8_t FUZZ_STORE_ID[STORE_ID_BYTES] = "a store to fuzz";

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

struct chain {
    uint64_t end, running; /* of the records so far */
};

static inline void follow_records(struct chain *chain, uint8_t *bytes, size_t len)
{
    struct segment_view view = {.bytes = {.data = bytes, .len = len, .cap = len}};
    struct record record;
    bool too_new;
    if (!segment_header_get(bytes, &view.header, &too_new)) return;
    chain->end = view.header.start;
    chain->running = view.header.running;
    while (segment_record_at(&view, chain->end, &chain->running, &record) == LOAM_OK)
        chain->end = record.end;
}

/* Of input: a byte of repairs, a u16 that the caller has read, and what make_segment() takes. */
static inline uint8_t *make_linked(uint8_t *input, size_t size, struct object_id id,
                                   struct chain *chain, size_t *len)
{
    const unsigned repair = input[0];
    uint8_t *header = input + 3;
    if (size < 3 + FUZZ_HEADER_BYTES) return NULL;
    if (repair & REPAIR_IDENTITY) {
        memcpy(header + 8, FUZZ_STORE_ID, STORE_ID_BYTES);
        put_u32(header + 24, id.epoch);
        put_u32(header + 28, id.number);
        put_u64(header + 56, FUZZ_LOG_KEY);
    }
    if (repair & REPAIR_CHAIN) {
        put_u64(header + 32, chain->end);
        put_u64(header + 40, chain->running);
    }
    uint8_t *bytes = make_segment(header, size - 3, repair, len);
    if (bytes != NULL) follow_records(chain, bytes, *len);
    return bytes;
}

static inline void write_segment(struct store *store, struct object_id id, const uint8_t *bytes,
                                 size_t len)
{
    struct object_writer *writer;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_SEGMENT, id, name);
    check(object_create(store, name, &writer) == LOAM_OK);
    check(object_append(writer, bytes, len) == LOAM_OK);
    check(object_finish(writer) == LOAM_OK);
}

#endif
