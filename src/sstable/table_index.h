/*
 * table_index.h - which page a key would be in.
 *
 * Role: one separator per page, the shortest key at or above the page's last one and below the next page's
 *   first one; of each the 8-byte head after the common prefix, in an array, and every 64th head (the last of its
 *   group) in a smaller one above it. Used in place as it stands on the disk.
 * Invariants: (1) separators ascend, and are equal only where versions of one key span pages. (2) A page holds
 *   no key above its separator and none at or below the one before, unless that one is the key itself.
 *   (3) index_open() has checked all lengths, ends, heads and the order.
 * In the picture: sstable layer; knows no file. Bytes: table_format.h.
 */
#ifndef LOAM_SSTABLE_TABLE_INDEX_H
#define LOAM_SSTABLE_TABLE_INDEX_H

#include <stdbool.h>

#include <loam.h>

#include "base/codec.h"
#include "sstable/table_format.h"

struct table_index {
    const uint8_t *tops, *heads, *page_ends, *separator_ends, *prefix, *separators;
    uint64_t page_count;
    uint32_t prefix_bytes;
};

/* Checks the bytes, which stay the caller's, against the space that all pages take; NULL or what is wrong. */
const char *index_open(struct table_index *index, loam_slice bytes, uint64_t pages_end);

/* The first page whose separator is >= key; page_count if there is none. */
uint64_t index_find(const struct table_index *index, loam_slice key);
/* Whether the page's separator is that very key: then versions of it may follow in the next page. */
bool index_separator_is(const struct table_index *index, uint64_t page, loam_slice key);
/* How the separator stands to the key. */
int index_separator_compare(const struct table_index *index, uint64_t page, loam_slice key);

static inline uint64_t index_page_end(const struct table_index *index, uint64_t page)
{
    return get_u64(index->page_ends + 8 * page) & ~INDEX_EXTENT_BIT;
}

static inline uint64_t index_page_start(const struct table_index *index, uint64_t page)
{
    return page == 0 ? 0 : index_page_end(index, page - 1);
}

static inline bool index_is_extent(const struct table_index *index, uint64_t page)
{
    return (get_u64(index->page_ends + 8 * page) & INDEX_EXTENT_BIT) != 0;
}

/* The writing side. All-zero is an empty one. */
struct index_builder {
    loam_buf ends;       /* of pages and of separators, u64 each, by turns */
    loam_buf separators; /* whole */
    uint64_t page_count;
};
/* Pages are added in order; last is their last key, next the first key behind them (NULL: none). */
LOAM_MUST loam_status index_builder_add(struct index_builder *builder, uint64_t page_end,
                                        loam_slice last, const loam_slice *next);
LOAM_MUST loam_status index_builder_finish(struct index_builder *builder, loam_buf *out);
uint64_t
index_builder_bytes(const struct index_builder *builder); /* about, as finish would have it */
void index_builder_deinit(struct index_builder *builder);

#endif
