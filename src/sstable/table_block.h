/*
 * table_block.h - the frame around every piece of a table: checksum, type, format, codec, lengths.
 *
 * Role: seals raw bytes into an object, compressed where that pays; checks and opens
 *   what was read back.
 * Invariants: (1) nothing in a frame is used before its checksum has passed, but for the stored length,
 *   which is bounds-checked first. (2) what does not shrink by 1/8 is stored raw. (3) the same bytes
 *   and options always make the same frames (within one version of the compressor).
 * In the picture: sstable layer; under pages, streams and the footer. Bytes: table_format.h.
 */
#ifndef LOAM_SSTABLE_TABLE_BLOCK_H
#define LOAM_SSTABLE_TABLE_BLOCK_H

#include <stdbool.h>

#include <loam.h>

#include "os/storage.h"
#include "sstable/table_format.h"

/* Where the bytes of a table come from. */
struct block_source {
    struct object *object;
    uint64_t base; /* of the table within the object */
    uint64_t uid;
    uint64_t seq_shift; /* what is added to the sequence numbers in it; of the manifest alone */
};

struct block_head {
    uint32_t raw_bytes, stored_bytes;
    uint8_t format, codec;
};

/* Records LOAM_CORRUPT (or TOONEW): object, offset within the object, what. */
loam_status block_fault(const struct block_source *source, uint64_t at, const char *what);

/* Checks the block of that type that stands at `at` of the table and starts the len bytes at frame; it may
   end before them. */
LOAM_MUST loam_status block_check(const struct block_source *source, enum block_type type,
                                  uint64_t at, loam_slice frame, struct block_head *head);

/* For salvage: whether a block of any type stands there. LOAM_OK, LOAM_NOTFOUND, or LOAM_TOONEW. */
LOAM_MUST loam_status block_probe(const struct block_source *source, uint64_t at, loam_slice frame,
                                  enum block_type *type, struct block_head *head);

/* Writes the raw bytes of a checked frame to dst, which holds head->raw_bytes. */
LOAM_MUST loam_status block_unpack(const struct block_source *source, uint64_t at,
                                   const struct block_head *head, const uint8_t *frame,
                                   uint8_t *dst);

/* Where the bytes of a table go. */
struct block_sink {
    struct object_writer *object; /* borrowed */
    uint64_t uid, at;             /* at: how many bytes of the table there are */
    uint8_t codec;                /* what to try */
    void *state;                  /* of the compressor */
    uint8_t *packed, *chunk;      /* a header and CHUNK_BYTES each; chunk is for streams */
};
LOAM_MUST loam_status block_sink_init(struct block_sink *sink, struct object_writer *object,
                                      uint64_t uid, loam_compression compression);
void block_sink_deinit(struct block_sink *sink); /* accepts a zeroed one */

/* Appends a block. frame has BLOCK_HEADER_BYTES free bytes, then the raw ones. */
LOAM_MUST loam_status block_put(struct block_sink *sink, enum block_type type, uint8_t *frame,
                                size_t raw_bytes, bool pack);

#endif
