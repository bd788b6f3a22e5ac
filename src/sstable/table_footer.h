/*
 * table_footer.h - the last bytes of a table: what it holds, and where index, filter and bounds stand.
 *
 * Role: repeats what the manifest knows of the table, so that either betrays a wrong other.
 * Invariants: (1) the three streams follow the pages and each other without a gap, up to the footer. (2) the uid in it is
 *   the one that seeds all checksums, its own included.
 * In the picture: sstable layer; written last, read first. Bytes: table_footer.c.
 */
#ifndef LOAM_SSTABLE_TABLE_FOOTER_H
#define LOAM_SSTABLE_TABLE_FOOTER_H

#include "sstable/table_block.h"
#include "sstable/table_writer.h"

struct footer_place { /* of a stream */
    uint64_t at, stored_bytes, raw_bytes;
};

struct table_footer {
    struct footer_place index, filter, bounds;
    uint32_t smallest_bytes, largest_bytes; /* of the keys in the bounds; when it was read */
};

/* Appends bounds and footer; meta is complete but for its bytes, which become known. */
LOAM_MUST loam_status table_footer_put(struct block_sink *sink, struct table_footer *footer,
                                       struct table_meta *meta);

/* Reads it and holds it against meta. */
LOAM_MUST loam_status table_footer_read(const struct block_source *source,
                                        const struct table_meta *meta, struct table_footer *footer);

/* For salvage: the footer that ends at `end` of the object, and what it says of its table (no keys, no
   object id). LOAM_NOTFOUND: none does; LOAM_TOONEW, LOAM_NOMEM. */
LOAM_MUST loam_status table_footer_probe(struct object *object, uint64_t end,
                                         struct table_meta *meta, struct table_footer *footer);
/* The two keys in the raw bytes of the bounds; false: they do not fit. */
bool table_footer_keys(const struct table_footer *footer, loam_slice bounds, loam_slice *smallest,
                       loam_slice *largest);
/* The raw bytes of a stream, into bytes. LOAM_CORRUPT: it is damaged. */
LOAM_MUST loam_status table_footer_stream(const struct block_source *source, enum block_type type,
                                          const struct footer_place *place, loam_buf *bytes);

#endif
