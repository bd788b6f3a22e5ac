/*
 * entry.h - what an entry is, and the one order in which all stores hold entries.
 *
 * Role: a key, a sequence number, a kind, a value. Memtables, tables, merges and the
 *   batch all speak in these.
 * Invariants: order is key ascending, then sequence DESCENDING: the newest version of a key
 *   comes first. (key, sequence) is unique within a collection; a tie is corruption. Sequence
 *   numbers start at 1 and are at most SEQ_MAX.
 * In the picture: record layer. Kinds stand on disk in log records and pages.
 */
#ifndef LOAM_RECORD_ENTRY_H
#define LOAM_RECORD_ENTRY_H

#include <loam.h>

#include "base/bytes.h"

enum entry_kind {
    ENTRY_PUT = 1,
    ENTRY_DELETE = 2,
    ENTRY_DELETE_RANGE =
        3,          /* from key on and before value, which empty is no bound; in the log alone */
    ENTRY_MERGE = 4 /* an operand: as it was given in the log, else as operands.h has it */
    /* 5 put with expiry: reserved, refused by every decoder. */
};

#define SEQ_MAX ((UINT64_C(1) << 56) - 1)
#define KEY_BYTES_MAX 65535u
#define VALUE_BYTES_MAX (UINT32_C(1) << 30)

struct entry {
    loam_slice key;
    loam_slice value; /* {NULL, 0} for a delete, and under keys-only iteration */
    uint64_t seq;
    uint8_t kind; /* enum entry_kind */
};

/* Whether a value is written, or a part of one; else it is a deletion. */
static inline bool entry_is_put(uint8_t kind)
{
    return kind != ENTRY_DELETE && kind != ENTRY_DELETE_RANGE;
}

/* Whether tables hold entries of this kind. */
static inline bool entry_is_stored(uint8_t kind)
{
    return kind == ENTRY_PUT || kind == ENTRY_DELETE || kind == ENTRY_MERGE;
}

/* The order of (key, seq) pairs: negative when a stands before b. */
static inline int entry_compare(loam_slice a_key, uint64_t a_seq, loam_slice b_key, uint64_t b_seq)
{
    const int order = bytes_compare(a_key, b_key);
    if (order != 0) return order;
    return (a_seq < b_seq) - (a_seq > b_seq);
}

#endif
