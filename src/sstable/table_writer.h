/*
 * table_writer.h - turns sorted entries into an SSTable.
 *
 * Role: fed by flush and compaction; writes pages, then the index, the filter and the footer
 *   into an object, at whatever offset that object stands: several small tables may share one.
 *   The bytes are in docs/format.md and table_format.h.
 * Invariants: (1) entries come in entry order (check). (2) Every byte written is covered by a checksum seeded with the table's uid
 *   and the bytes' offset in the table. (3) The writer holds at most one page, one extent
 *   chunk, the index and the hashes for the filter in memory.
 * In the picture: sstable layer; used by db/flush.c and db/compact.c.
 */
#ifndef LOAM_SSTABLE_TABLE_WRITER_H
#define LOAM_SSTABLE_TABLE_WRITER_H

#include "os/names.h"
#include "os/storage.h"
#include "record/entry.h"

/* What the manifest remembers of a table, and its footer repeats. Keys are owned (mem_free). */
struct table_meta {
    struct object_id object;
    uint64_t offset, bytes; /* within the object */
    uint64_t uid;
    loam_slice smallest, largest; /* keys */
    uint64_t seq_min, seq_max;
    uint64_t
        seq_shift; /* of the manifest alone: the table has its sequence numbers without this, in pages and footer */
    uint64_t entry_count, tombstone_count;
    uint64_t payload_bytes;           /* keys and values, raw */
    uint64_t page_count, dense_count; /* pages; those that are mostly tombstones */
    uint64_t
        swept_seq; /* of the manifest alone: no deletion of a range up to this hides an entry of it */
    /* Of the manifest alone, too: how many entries expire, and when the first and the last of them do. */
    uint64_t expiring_count, expires_first_ms, expires_last_ms;
};
/* Counts one more entry of a table. */
void table_meta_count(struct table_meta *meta, const struct entry *entry);
void table_meta_deinit(struct table_meta *meta);
LOAM_MUST loam_status table_meta_copy(const struct table_meta *from, struct table_meta *to);

struct table_writer_options {
    loam_compression compression;
    uint32_t filter_bits_per_key; /* 0 = no filter */
    uint32_t page_bytes;          /* in memory; 0 = 4 KiB, with zstd 16 KiB; tests use less */
    uint64_t located_max; /* with more keys than that a filter, else a locator in its place */
};

struct table_writer;

/* Borrows object until finish or free; uid is random and new. */
LOAM_MUST loam_status table_writer_new(struct object_writer *object, struct object_id id,
                                       uint64_t uid, const struct table_writer_options *options,
                                       struct table_writer **out);
LOAM_MUST loam_status table_writer_add(struct table_writer *writer, const struct entry *entry);
/* What finish would make of it now, roughly; for deciding where to cut. */
uint64_t table_writer_bytes(const struct table_writer *writer);
uint64_t table_writer_entry_count(const struct table_writer *writer);
/* At least one entry was added (check). *meta is the caller's to deinit. Nothing is synced: object_finish() does. */
LOAM_MUST loam_status table_writer_finish(struct table_writer *writer, struct table_meta *meta);
void table_writer_free(struct table_writer *writer); /* accepts NULL */

#endif
