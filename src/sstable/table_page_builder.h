/*
 * table_page_builder.h - collects entries until a page is full.
 *
 * Role: the writing side of table_page.h.
 * Invariants: (1) a page takes at most page_bytes in memory; up to grown_bytes, if otherwise more than an eighth of its frame
 *   were empty; up to alone_bytes, if it holds one entry. Beyond that it is the caller's to write an extent.
 *   (2) The same entries make the same bytes.
 * In the picture: sstable layer; used by table_writer.c.
 */
#ifndef LOAM_SSTABLE_TABLE_PAGE_BUILDER_H
#define LOAM_SSTABLE_TABLE_PAGE_BUILDER_H

#include <stdbool.h>

#include <loam.h>

#include "record/entry.h"

struct page_limits { /* ascending */
    uint32_t page_bytes, grown_bytes, alone_bytes;
};

struct page_builder {
    uint8_t *frame; /* BLOCK_HEADER_BYTES for the caller, then the page as it is stored */
    struct page_limits limits;
    uint32_t entry_count, entries_bytes, tombstone_count;
    uint32_t first_key_at, first_key_bytes, last_key_at, last_key_bytes; /* in the entries */
    uint64_t seq_base;
};

LOAM_MUST loam_status page_builder_init(struct page_builder *builder,
                                        const struct page_limits *limits);
void page_builder_deinit(struct page_builder *builder); /* accepts a zeroed one */

/* Whether the entry could stand in a page of its own. */
bool page_builder_takes(const struct page_builder *builder, const struct entry *entry);
/* Whether there is room for it now (an empty builder has room for all it takes). */
bool page_builder_has_room(const struct page_builder *builder, const struct entry *entry);
void page_builder_add(struct page_builder *builder, const struct entry *entry);

/* Completes the page behind frame's header, returns its raw bytes and starts anew; not for an empty one. */
size_t page_builder_finish(struct page_builder *builder);

#endif
