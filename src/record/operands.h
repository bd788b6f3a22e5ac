/*
 * operands.h - operands of merges: their bytes, the operators that are built in, and many joined into one.
 *
 * Role: a merge gives an operand and leaves the rest for later. In the log it stands as it was given. Memtables and tables hold
 *
 *   value of an ENTRY_MERGE:  since varint | operand     "all operands of the key from since up to my sequence number, joined"
 *
 *   and what is below is the newest version at since - 1: a put, a tombstone, nothing, or again an ENTRY_MERGE.
 * Invariants: (1) 1 <= since <= seq. (2) Of two entries of a key, where the newer one's [since, seq] holds the older one's seq,
 *   both have the same since: what a join has passed over, it holds. (3) Whoever joins neighbours, joins all between.
 * In the picture: record layer. db/merges.c adds and reads them, db/survive.c joins what a flush or merge brings together.
 */
#ifndef LOAM_RECORD_OPERANDS_H
#define LOAM_RECORD_OPERANDS_H

#include "base/codec.h"
#include "record/entry.h"

#define OPERAND_HEAD_BYTES_MAX 8u /* a varint up to SEQ_MAX */
#define OPERAND_BYTES_MAX (VALUE_BYTES_MAX - OPERAND_HEAD_BYTES_MAX)

_Static_assert(SEQ_MAX < UINT64_C(1) << (7 * OPERAND_HEAD_BYTES_MAX), "a varint of so many bytes");

/* Writes what stands before the operand; returns how many bytes. */
static inline size_t operand_head_put(uint8_t head[static OPERAND_HEAD_BYTES_MAX], uint64_t since)
{
    return (size_t)(put_varint64(head, since) - head);
}

/* The parts of an ENTRY_MERGE's value. False: bytes that no writer makes. */
bool operand_get(const struct entry *entry, uint64_t *since, loam_slice *operand);

/* The same question of what is read from a table, be it a merge or not. */
static inline bool operand_is_sound(const struct entry *entry)
{
    uint64_t since;
    loam_slice operand;
    return entry->kind != ENTRY_MERGE || operand_get(entry, &since, &operand);
}

/* ---- operators ---- */

/* NULL: none of that name. */
const loam_merge_operator *operator_built_in(const char *name);
/* Its operands are integers of 8 bytes. */
bool operator_wants_i64(const loam_merge_operator *merger);

/* Is of a length that such an operator does not take. */
static inline bool operand_is_odd(const struct entry *entry)
{
    return entry->kind == ENTRY_MERGE && entry->value.len != sizeof(uint64_t);
}

/* ---- joining: operands come from the newest to the oldest ---- */

enum { JOINING_PARTS_MAX = 40 };

/* Each part is more than twice as long as the one above, so there are few, and each byte is copied few times. */
struct joining {
    const loam_merge_operator *merger;
    loam_buf bytes, spare; /* bytes: the parts, the newest first */
    size_t ends[JOINING_PARTS_MAX];
    uint32_t part_count;
};

void joining_begin(struct joining *joining,
                   const loam_merge_operator *merger); /* forgets what there was */
void joining_deinit(struct joining *joining);
/* Is there room for so many more bytes? What there is is joined first where that decides. */
LOAM_MUST loam_status joining_has_room(struct joining *joining, size_t more_bytes, size_t bytes_max,
                                       bool *has_room);
/* A second one only with an operator. */
LOAM_MUST loam_status joining_add_older(struct joining *joining, loam_slice operand);
/* All of them as one, until the next call. At least one was added. */
LOAM_MUST loam_status joining_join(struct joining *joining, loam_slice *joined);

#endif
