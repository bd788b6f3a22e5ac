/*
 * cell.h - one version of one key in the memory of a memtable.
 *
 * Role: a head of 16 bytes, the key, the value. The versions of a key form a chain, newest first.
 *   A cell that has an older one is preceded by its links: the older cell, and one further back,
 *   so placed (skew-binary numbers, Myers 1983) that any version is found in logarithmic steps.
 *   The first version of a key, which is most of them, has no links and pays nothing.
 * Invariants: immutable once a reader can reach it; whoever reaches one reaches the whole chain
 *   behind it.
 * In the picture: memtable layer; nodes point to cells, iterators hold them.
 */
#ifndef LOAM_MEMTABLE_CELL_H
#define LOAM_MEMTABLE_CELL_H

#include "base/check.h"
#include "record/entry.h"

struct cell {
    uint64_t seq_kind; /* seq << 8 | kind */
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint16_t has_older;
    uint8_t key[]; /* then the value */
};

struct cell_links {
    const struct cell *older, *jump;
    uint64_t older_count; /* cells behind this one */
};

_Static_assert(sizeof(struct cell) == 16, "a cell's head");
_Static_assert(KEY_BYTES_MAX <= UINT16_MAX, "key_bytes holds every length");
_Static_assert(VALUE_BYTES_MAX <= UINT32_MAX, "value_bytes holds every length");

#define CELL_HEAD_BYTES_MAX (sizeof(struct cell_links) + sizeof(struct cell))

static inline loam_slice cell_key(const struct cell *cell)
{
    return loam_bytes(cell->key, cell->key_bytes);
}

static inline uint64_t cell_seq(const struct cell *cell)
{
    return cell->seq_kind >> 8;
}

static inline const struct cell_links *cell_links(const struct cell *cell)
{
    return (const struct cell_links *)(const void *)cell - 1;
}

static inline const struct cell *cell_older(const struct cell *cell)
{
    return cell->has_older != 0 ? cell_links(cell)->older : NULL;
}

static inline void cell_get(const struct cell *cell, struct entry *out)
{
    const uint8_t kind = (uint8_t)cell->seq_kind;
    out->key = cell_key(cell);
    out->value =
        loam_bytes(kind != ENTRY_DELETE ? cell->key + cell->key_bytes : NULL, cell->value_bytes);
    out->seq = cell_seq(cell);
    out->kind = kind;
}

/* head: what stands before the entry's value. */
static inline size_t cell_bytes(const struct entry *entry, loam_slice head,
                                const struct cell *older)
{
    return (older != NULL ? sizeof(struct cell_links) : 0) + sizeof(struct cell) + entry->key.len +
           head.len + entry->value.len;
}

/* Writes a cell in front of older (may be NULL) to cell_bytes() of memory aligned to 8. */
const struct cell *cell_put(void *memory, const struct entry *entry, loam_slice head,
                            const struct cell *older);

/* The newest version with seq <= the given one, or NULL. */
const struct cell *cell_at_most(const struct cell *newest, uint64_t seq);

/* The oldest version with seq > the given one; newest itself has one. */
const struct cell *cell_above(const struct cell *newest, uint64_t seq);

#endif
