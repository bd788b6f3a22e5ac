/*
 * table_stream.h - what is larger than a page: a row of blocks of 64 KiB each.
 *
 * Role: extents, index, filter and bounds are written and read with these.
 * Invariants: (1) all chunks but the last hold CHUNK_BYTES raw. (2) The reader holds two chunks at a time.
 * In the picture: sstable layer, on table_block.h.
 */
#ifndef LOAM_SSTABLE_TABLE_STREAM_H
#define LOAM_SSTABLE_TABLE_STREAM_H

#include "sstable/table_block.h"

/* Appends the pieces, as if they lay together. */
LOAM_MUST loam_status stream_put(struct block_sink *sink, enum block_type type,
                                 const loam_slice *pieces, size_t count, bool pack);

/* The bytes that a stream of raw ones takes when nothing is packed. */
static inline uint64_t stream_bytes(uint64_t raw_bytes)
{
    return raw_bytes + (raw_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * BLOCK_HEADER_BYTES;
}

struct stream_reader {
    const struct block_source *source;
    enum block_type type;
    uint64_t at, end; /* in the table: the next block, the end of the stream */
    uint8_t *window;  /* bytes from `at` on, at window_from */
    size_t window_cap, window_from, window_len;
};

/* Borrows source until close. */
LOAM_MUST loam_status stream_open(struct stream_reader *reader, const struct block_source *source,
                                  enum block_type type, uint64_t at, uint64_t end);
/* The next chunk, raw, at dst; *raw_bytes is 1 to cap. LOAM_CORRUPT also where the stream has ended. */
LOAM_MUST loam_status stream_chunk(struct stream_reader *reader, uint8_t *dst, size_t cap,
                                   size_t *raw_bytes);
/* All that is left, which must be exactly len bytes. */
LOAM_MUST loam_status stream_rest(struct stream_reader *reader, uint8_t *dst, size_t len);
void stream_close(struct stream_reader *reader); /* accepts a zeroed one */

#endif
