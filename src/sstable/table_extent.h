/*
 * table_extent.h - reads an entry that is larger than a page: its key at once, its value when wanted.
 *
 * Role: gives iterators the key without the megabytes behind it.
 * Invariants: what an entry claims to take is held against the space of its extent before memory is asked for.
 * In the picture: sstable layer, on table_stream.h; nothing of it goes through the cache.
 */
#ifndef LOAM_SSTABLE_TABLE_EXTENT_H
#define LOAM_SSTABLE_TABLE_EXTENT_H

#include "record/entry.h"
#include "sstable/table_block.h"

struct extent {         /* all-zero is empty */
    struct entry entry; /* the value's bytes are there only after extent_read_value() */
    uint8_t *bytes;     /* the raw entry as far as it was read; from mem_alloc */
    size_t got_bytes, raw_bytes;
    uint64_t at, next_at, end; /* of the table: where it begins, and where the rest stands */
};

/* Reads the key of the extent in [at, end) of the table; empty before and, after a failure, again. */
LOAM_MUST loam_status extent_read_key(const struct block_source *source, uint64_t at, uint64_t end,
                                      struct extent *extent);
/* Reads the rest and completes extent->entry. Nothing if it is complete. */
LOAM_MUST loam_status extent_read_value(const struct block_source *source, struct extent *extent);
/* Of an entry that expires, what its value begins with, which is read with the key; else {NULL, 0}. */
loam_slice extent_expiry(const struct extent *extent);
void extent_clear(struct extent *extent);

#endif
