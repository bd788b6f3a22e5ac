/*
 * table_salvage.h - what of a damaged table is intact, without asking its index.
 *
 * Role: walks the blocks of a table from front to back; behind damage it looks, byte by byte, for the next
 *   block that its checksum says is this table's and stands where it belongs. Finds tables in an object
 *   by their footers, for whoever has no manifest.
 * Invariants: (1) an entry is yielded only from a block whose checksum, seeded with uid and offset, has passed.
 *   (2) A chunk in the middle of a damaged extent is never taken for the beginning of another: behind damage, where
 *   there is no index to ask, extents are passed over up to the next place that is a beginning for certain.
 *   (3) Memory: a few chunks and the entry at hand.
 * In the picture: sstable layer; db/repair.c and db/inspect.c call it.
 */
#ifndef LOAM_SSTABLE_TABLE_SALVAGE_H
#define LOAM_SSTABLE_TABLE_SALVAGE_H

#include "record/entry.h"
#include "sstable/table_block.h"
#include "sstable/table_writer.h"

struct salvaged_page {
    uint64_t at, bytes;     /* of the object; with headers, of an extent all blocks */
    struct block_head head; /* of the first block */
    bool is_extent;
    uint32_t entry_count;
    loam_slice first, last; /* keys */
};

struct table_salvage {
    struct object *object; /* borrowed */
    uint64_t offset, bytes, uid;
    uint64_t seq_shift; /* as the manifest has it; 0 where nothing is known of it */
    /* Entries in entry order, all versions. A failure ends the walk and is its answer. */
    loam_status (*each)(void *ctx, const struct entry *entry);
    /* Before the entries of each page and extent; answers as each(). NULL: nobody asks. */
    loam_status (*page)(void *ctx, const struct salvaged_page *page);
    /* Damage at a byte of the object; harmless: no entry is lost by it. NULL: nobody asks. */
    void (*hole)(void *ctx, uint64_t at, uint64_t bytes, bool harmless);
    void *ctx;
};

struct table_found {
    uint64_t entry_count, page_count; /* pages and extents */
    uint64_t seq_min, seq_max;        /* 0 when there was no entry */
    uint64_t lost_bytes;              /* holes that are not harmless */
};

/* LOAM_OK however much is damaged; LOAM_TOONEW, LOAM_NOMEM, or what each() answered. */
LOAM_MUST loam_status table_salvage_walk(const struct table_salvage *salvage,
                                         struct table_found *found);

/* The table that ends at *end of the object, or failing that, the last one whose footer stands before: *meta as
   of table_footer_probe(), and *end becomes the byte where the footer ends. LOAM_NOTFOUND when there is none. */
LOAM_MUST loam_status table_salvage_find(struct object *object, uint64_t *end,
                                         struct table_meta *meta);

#endif
