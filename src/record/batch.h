/*
 * batch.h - many writes as bytes: what a caller collects is what the log stores.
 *
 * Role: encodes and decodes the entries of a commit. Committing a batch is a header and a
 *   memcpy: the body of its log record is these bytes, unchanged.
 *
 *   commit: entry count varint32 | [caller's index varint64] | entries
 *   entry:  kind u8 | collection id varint32 | key length varint32 | [value length varint32] | key | [value]
 *           (brackets: not for ENTRY_DELETE)
 *
 * Invariants: (1) one encoding per entry (minimal varints). (2) The reader trusts nothing: lengths
 *   are checked against what remains and against the limits of entry.h.
 * In the picture: record layer; built by db/batches.c, carried by wal/, replayed by db/recover.c.
 */
#ifndef LOAM_RECORD_BATCH_H
#define LOAM_RECORD_BATCH_H

#include "record/entry.h"

/* Whether an entry of this kind has a value: a put's, an operand, or where a range ends. */
static inline bool entry_has_value(uint8_t kind)
{
    return kind != ENTRY_DELETE;
}

/* Of an entry's bytes before its key. */
enum { BATCH_HEAD_BYTES_MAX = 1 + 3 * 5 };

/* Writes the bytes before the key to head; returns how many. Key and value follow as they are. */
size_t batch_head_put(uint8_t head[static BATCH_HEAD_BYTES_MAX], uint8_t kind, uint32_t coll_id,
                      size_t key_bytes, size_t value_bytes);

/* What the body of a commit begins with: how many entries there are, and the caller's log index, if it has one (not 0). */
enum { COMMIT_HEAD_BYTES_MAX = 5 + 10 };
size_t commit_head_put(uint8_t head[static COMMIT_HEAD_BYTES_MAX], uint32_t entry_count,
                       uint64_t caller_index);

struct batch_reader {
    const uint8_t *at, *end;
};

static inline struct batch_reader batch_reader_over(loam_slice bytes)
{
    const uint8_t *from = bytes.data;
    return (struct batch_reader){from, from == NULL ? NULL : from + bytes.len};
}

struct commit_body {
    uint32_t entry_count;
    uint64_t caller_index; /* 0: none */
    struct batch_reader entries;
};
/* False: no writer begins one so. */
bool commit_body_open(loam_slice bytes, bool has_index, struct commit_body *body);

/* LOAM_OK with the next entry (slices into the bytes; seq is left alone), LOAM_NOTFOUND at the end,
   LOAM_CORRUPT for bytes that no writer makes (errmsg says what; the caller adds where). */
loam_status batch_next(struct batch_reader *reader, uint32_t *coll_id, struct entry *entry);

#endif
