/*
 * entry.h - what an entry is, and the one order in which all stores hold entries.
 *
 * Role: a key, a sequence number, a kind, a value. Memtables, tables, merges and the
 *   batch all speak in these.
 * Invariants: order is key ascending, then sequence DESCENDING: the newest version of a key
 *   comes first. (key, sequence) is unique within a collection; a tie is corruption. Sequence
 *   numbers start at 1 and are at most SEQ_MAX.
 *   An entry that expires is a put whose value begins with the moment, the same in log, memtables and tables;
 *   who shows it compares that with a clock of his (db/expiry.c), and takes it for a tombstone from then on.
 * In the picture: record layer. Kinds stand on disk in log records and pages.
 */
#ifndef LOAM_RECORD_ENTRY_H
#define LOAM_RECORD_ENTRY_H

#include <loam.h>

#include "base/bytes.h"
#include "base/codec.h"

enum entry_kind {
    ENTRY_PUT = 1,
    ENTRY_DELETE = 2,
    ENTRY_DELETE_RANGE =
        3,           /* from key on and before value, which empty is no bound; in the log alone */
    ENTRY_MERGE = 4, /* an operand: as it was given in the log, else as operands.h has it */
    ENTRY_PUT_EXPIRING = 5 /* its value is EXPIRY_BYTES, ms since 1970, and then the value */
};

#define SEQ_MAX ((UINT64_C(1) << 56) - 1)
#define KEY_BYTES_MAX 65535u
#define VALUE_BYTES_MAX (UINT32_C(1) << 30)
#define EXPIRY_BYTES 8u

struct entry {
    loam_slice key;
    loam_slice
        value; /* {NULL, 0} for a delete; of a keys-only iteration not to be read, but for an expiry */
    uint64_t seq;
    uint8_t kind; /* enum entry_kind */
};

/* Whether a value is written, or a part of one; else it is a deletion. */
static inline bool entry_is_put(uint8_t kind)
{
    return kind != ENTRY_DELETE && kind != ENTRY_DELETE_RANGE;
}

/* When it expires; 0: never. */
static inline uint64_t entry_expires_ms(const struct entry *entry)
{
    return entry->kind == ENTRY_PUT_EXPIRING ? get_u64(entry->value.data) : 0;
}

/* Is there anything at that time? What has expired is a tombstone; an operand makes its key be there. */
static inline bool entry_shows(const struct entry *entry, uint64_t clock_ms)
{
    if (entry->kind != ENTRY_PUT_EXPIRING) return entry->kind != ENTRY_DELETE;
    return get_u64(entry->value.data) > clock_ms;
}

/* The value of a put, as its user knows it. */
static inline loam_slice entry_value(const struct entry *entry)
{
    if (entry->kind != ENTRY_PUT_EXPIRING) return entry->value;
    return loam_bytes((const uint8_t *)entry->value.data + EXPIRY_BYTES,
                      entry->value.len - EXPIRY_BYTES);
}

/* What no writer makes, of an entry in a table, in words; NULL when all is well. */
static inline const char *entry_fault(uint8_t kind, uint64_t value_bytes)
{
    if (kind == ENTRY_DELETE) return value_bytes > 0 ? "a delete with a value" : NULL;
    if (kind != ENTRY_PUT && kind != ENTRY_MERGE && kind != ENTRY_PUT_EXPIRING)
        return "an entry of unknown kind";
    const uint32_t expiry = kind == ENTRY_PUT_EXPIRING ? EXPIRY_BYTES : 0;
    if (value_bytes < expiry) return "an entry that expires, and does not say when";
    return value_bytes - expiry > VALUE_BYTES_MAX ? "an entry beyond the limits" : NULL;
}

/* The order of (key, seq) pairs: negative when a stands before b. */
static inline int entry_compare(loam_slice a_key, uint64_t a_seq, loam_slice b_key, uint64_t b_seq)
{
    const int order = bytes_compare(a_key, b_key);
    if (order != 0) return order;
    return (a_seq < b_seq) - (a_seq > b_seq);
}

#endif
