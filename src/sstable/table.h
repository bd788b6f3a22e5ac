/*
 * table.h - reads an SSTable, trusting no byte of it.
 *
 * Role: point reads and iterators over one table. Opening costs nothing; footer, index and filter are
 *   loaded at the first use and given back when the cache wants their memory.
 * Invariants: (1) every byte used has passed its checksum, seeded with the table's uid and its offset; then every
 *   count, offset and length in it is still bounds-checked. A fault is LOAM_CORRUPT naming object, offset and what
 *   is wrong. (2) The footer agrees with the meta that the manifest gave, or it is corrupt. (3) A page is
 *   used only while it is pinned.
 * Threads: any number.
 * In the picture: sstable layer, on cache.h; tree/ puts tables into runs and clips them.
 */
#ifndef LOAM_SSTABLE_TABLE_H
#define LOAM_SSTABLE_TABLE_H

#include "record/iter.h"
#include "record/watch.h"
#include "sstable/cache.h"
#include "sstable/table_writer.h"

struct table;

/* Copies meta. Reference counted: the last unref closes. dropped(ctx, object, id) is called at that moment
   if table_doom() had been called, after the table's own handle on the object is closed. */
struct table_owner {
    struct store *store;
    struct page_cache *cache;
    void (*doomed)(void *ctx, const struct table_meta *meta);
    void *ctx;
};
LOAM_MUST loam_status table_new(const struct table_owner *owner, const struct table_meta *meta,
                                struct table **out);
void table_ref(struct table *table);
void table_unref(struct table *table); /* accepts NULL */
void table_doom(
    struct table *table); /* its bytes are not wanted any more: owner->doomed at the last unref */
const struct table_meta *table_meta(const struct table *table);

/* Before its first read: from now on it reads *object, which is opened if it is NULL, and outlives the table's loads: so it can be read
   whoever deletes its name. LOAM_CORRUPT: it is missing. */
LOAM_MUST loam_status table_pin(struct table *table, struct object **object);
/* Does it end where it should in the object that it is pinned to? LOAM_CORRUPT: that is another file than the manifest speaks of. */
LOAM_MUST loam_status table_check_pinned(const struct table *table);
/* Leaves a mark, and answers the one before (at first 0): for who meets a table in several collections. */
uint64_t table_mark(struct table *table, uint64_t mark);

/* A found entry and what keeps its bytes in place; release when done with it. */
struct table_hit {
    struct entry entry;
    struct page_pin pin; /* of cache.h */
    void *owned;         /* an entry larger than a page is read into memory of its own */
};
void table_hit_release(struct table_hit *hit);

/* The newest version of key with seq <= the given one, also a tombstone: LOAM_OK and *hit to release,
   LOAM_NOTFOUND, or a failure. */
LOAM_MUST loam_status table_get(struct table *table, loam_slice key, uint64_t hash, uint64_t seq,
                                struct table_hit *hit);

/* The same, and tells the watch. */
LOAM_MUST loam_status table_get_watched(struct table *table, loam_slice key, uint64_t hash,
                                        uint64_t seq, struct watch *watch, struct table_hit *hit);

/* For who will table_get() a key in a while: asks for what that will read, of memory and of the disk. Twice, with
   other keys in between: first the filter, then the page that it does not deny. Failures are get's to meet. */
enum table_ahead { TABLE_AHEAD_FILTER, TABLE_AHEAD_PAGE };
void table_look_ahead(struct table *table, loam_slice key, uint64_t hash, enum table_ahead what);

enum table_iter_flags {
    TABLE_ITER_KEYS_ONLY = 1, /* values of entries larger than a page are not read ({NULL, 0}) */
    TABLE_ITER_BULK = 2       /* for merges: reads ahead and does not fill the cache */
};
/* Holds a reference on the table. One that walks on through a table whose pages find no room in the cache reads them into memory of
   its own, 256 KiB and two pages. */
LOAM_MUST loam_status table_iter_new(struct table *table, unsigned flags, struct iter **out);
/* Has it count its pages; before its first move. The tally outlives it. */
void table_iter_count(struct iter *iter, struct tally *tally);

/* Reads every byte: each page, index, filter and footer; checks sums, order, counts, separators and that the filter knows every key.
   line() gets a sentence per fault. LOAM_OK, LOAM_CORRUPT, or LOAM_IOERR/NOMEM. */
LOAM_MUST loam_status table_verify(struct table *table, void (*line)(void *ctx, const char *text),
                                   void *ctx);

/* Payload bytes between two keys (empty to = no bound), from the index, without reading pages. */
LOAM_MUST loam_status table_estimate(struct table *table, loam_slice from, loam_slice to,
                                     uint64_t *bytes);

#endif
