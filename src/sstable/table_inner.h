/*
 * table_inner.h - the inside of a table, for the files that read one.
 *
 * Role: the object, index and filter of a table come into memory at the first use (table_hold), and
 *   go again when the cache asks for memory and nobody has used the table since it asked before.
 * Invariants: (1) `loaded` is used only between hold and release; holders are counted in stripes, so that readers on
 *   different cores do not write one cache line. (2) It is replaced under `lock`. It goes only when all stripes
 *   are zero after it was hidden (hold counts first and looks second, both in one total order) and no page is pinned.
 *   (3) A page pin outlives a hold, and keeps the whole from going; the caller's reference on the table keeps the table.
 * In the picture: sstable layer; table.c, table_iter.c, table_verify.c.
 */
#ifndef LOAM_SSTABLE_TABLE_INNER_H
#define LOAM_SSTABLE_TABLE_INNER_H

#include "os/thread.h"
#include "sstable/table.h"
#include "sstable/table_block.h"
#include "sstable/table_filter.h"
#include "sstable/table_footer.h"
#include "sstable/table_index.h"

enum { TABLE_STRIPES = 8 };

struct table_loaded {
    struct block_source source;
    struct table_footer footer;
    struct table_index index;
    struct table_filter filter;
    uint8_t *memory; /* of index and filter */
    page_slot *slots;
    int64_t charged_bytes;
};

struct table {
    struct cache_client client; /* first: trim gets it back */
    struct table_owner owner;
    struct table_meta meta;
    _Atomic uint32_t ref_count;
    _Atomic bool doomed, used; /* used: since the cache last asked */
    _Atomic uint64_t mark;
    struct mutex lock;     /* of loading and of trimming */
    struct object *pinned; /* borrowed: kept open by others; or NULL */
    _Atomic(struct table_loaded *) loaded;
    struct table_stripe {
        _Atomic uint32_t holders;
        char apart[60];
    } stripes[TABLE_STRIPES];
};

struct table_hold {
    struct table_loaded *loaded;
    _Atomic uint32_t *holders;
};
LOAM_MUST loam_status table_hold(struct table *table, struct table_hold *hold);
void table_release(struct table_hold *hold); /* accepts a zeroed one */

/* A page as the cache holds it: laid out, with its fingerprints, its front at the side as well if that has room.
   A page_load for pages that are no extents; ctx is a struct table_loaded. */
loam_status table_load_page(void *ctx, uint32_t page_index, struct page_room *room);

/* Room for one page, as it is stored and as it is laid out, which grows as needed; all-zero has none. */
struct page_space {
    loam_buf unpacked, bytes;
};
void page_space_deinit(struct page_space *space);

/* The same in two steps over bytes that were read by the caller: the frame's checksum and lengths, then the page, laid
   out in space->bytes without fingerprints. PAGE_SLACK_BYTES readable bytes follow the frame. */
LOAM_MUST loam_status table_check_frame(const struct table_loaded *loaded, uint32_t page_index,
                                        const uint8_t *frame, struct block_head *head);
LOAM_MUST loam_status table_open_page(const struct table_loaded *loaded, uint32_t page_index,
                                      const struct block_head *head, const uint8_t *frame,
                                      struct page_space *space);

#endif
