/*
 * memtable.h - the newest entries, sorted, in memory: a B+-tree of one writer and lock-free readers.
 *
 * Role: takes every write after the log has it; answers reads; is frozen when full and flushed to
 *   a table. Nodes of 64 slots hold 8-byte heads of the keys (after the node's common prefix)
 *   beside pointers, so a descent costs about one miss a level: 4-5 times a skip
 *   list's speed. One slot per key; behind it a chain of versions, newest first, with a second
 *   pointer that jumps, so that an old snapshot under a hot key costs logarithmic steps.
 *   Appending in key order skips the descent. A blocked Bloom filter (16 bits a key, 64-byte
 *   blocks) stands in front once the memtable holds 256 KiB: a miss in the tree costs more than a
 *   whole table read.
 * Invariants: (1) one thread adds at a time; any number read meanwhile, without a lock.
 *   Optimistic node versions (Bayer/Schkolnick's idea in Leis' form): slots are written before
 *   the count, nodes are filled before they are linked, a slot is replaced by one release store,
 *   a node that moves slots or splits bumps its version; readers check it and start again. All
 *   shared words are relaxed or acquire/release atomics. (2) Memory lives as long as the
 *   memtable: a reader can never follow a freed pointer. (3) After memtable_reserve() of enough
 *   room, memtable_add() cannot fail. (4) An entry is visible to readers with seq >= its own as
 *   soon as add returns; readers bound by a smaller seq never see it.
 * In the picture: memtable layer, on record/ and os/pages.h; db/ owns it.
 */
#ifndef LOAM_MEMTABLE_MEMTABLE_H
#define LOAM_MEMTABLE_MEMTABLE_H

#include "memtable/arena_pool.h"
#include "record/iter.h"
#include "record/range_set.h"
#include "record/watch.h"

struct memtable;

/* Where a key will go, as far as it was looked up; all-zero: it was not. */
struct memtable_near {
    struct btree_node *leaf;
    const struct cell *high;
};

/* bytes_hint: the size at which it will be frozen, for the filter. Costs under 1 KiB until
   something is added; its arena then starts at 8 KiB and doubles to 2 MiB pieces. Reference
   counted: new returns one, the last unref frees. NULL: out of memory. */
struct memtable *memtable_new(struct arena_pool *pool, size_t bytes_hint);
void memtable_ref(struct memtable *memtable);
void memtable_unref(struct memtable *memtable); /* accepts NULL */

/* Writer only. Makes room for entry_count entries of payload_bytes keys and values together,
   whatever splits they cause. LOAM_OK or LOAM_NOMEM; reserving again before adding replaces, it
   does not add up. */
LOAM_MUST loam_status memtable_reserve(struct memtable *memtable, size_t entry_count,
                                       size_t payload_bytes);

/* Writer. Gives the memory back that was reserved, of a memtable without entries. */
void memtable_unreserve(struct memtable *memtable);

/* Writer, who will add the key in a while: asks for what that will touch, so that the misses pass meanwhile. The answer is
   for memtable_add() of this key into this memtable, before or after others. */
struct memtable_near memtable_approach(const struct memtable *memtable, loam_slice key,
                                       uint64_t hash);
/* Writer only, after a sufficient reserve (check). Copies key and value. seq is larger than that
   of any version of the key that is there (check in debug builds); hash is hash_key(key); near is what
   memtable_approach() answered, or zeroed. */
void memtable_add(struct memtable *memtable, const struct entry *entry, uint64_t hash,
                  struct memtable_near near);

/* Likewise an ENTRY_MERGE, whose value is the operand alone: the join of all of the key since then (record/operands.h). */
void memtable_add_merge(struct memtable *memtable, const struct entry *entry, uint64_t since,
                        uint64_t hash, struct memtable_near near);

/* Writer only, after a sufficient reserve, as for an entry: the range [key, value) of an ENTRY_DELETE_RANGE. */
void memtable_add_range(struct memtable *memtable, const struct entry *entry);

/* Should it be frozen, however small it is? Deletions of ranges are looked through one by one, and what they hide among its own
   entries is passed at once only when nothing newer comes. */
bool memtable_is_ripe(const struct memtable *memtable);

/* The newest version of key with seq <= the given one, also a tombstone, for which a deletion of a range that holds
   the key passes; slices live as long as the memtable. False when there is none. */
bool memtable_get(const struct memtable *memtable, loam_slice key, uint64_t hash, uint64_t seq,
                  struct entry *out);

/* The same, and tells the watch. */
bool memtable_get_watched(const struct memtable *memtable, loam_slice key, uint64_t hash,
                          uint64_t seq, struct watch *watch, struct entry *out);

/* Writer only: memtable_get() of all, by way of what memtable_approach() answered, or zeroed. */
bool memtable_newest(const struct memtable *memtable, loam_slice key, struct memtable_near near,
                     struct entry *out);

/* Its deletions of ranges: the newest; those with seq <= the given one; and those newer than `since` of a key from `from` on, up to and with `to` (NULL: no bound). */
uint64_t memtable_newest_range(const struct memtable *memtable); /* its seq; 0: there is none */
uint64_t memtable_range_bytes(const struct memtable *memtable);  /* of keys; any thread */
void memtable_meet(const struct memtable *memtable, struct cover *cover, loam_slice key,
                   uint64_t seq);
bool memtable_ranges_newer_in(const struct memtable *memtable, loam_slice from,
                              const loam_slice *to, uint64_t since);
/* Calls each() for all of them, newest first, until it answers something else than LOAM_OK. */
LOAM_MUST loam_status memtable_each_range(const struct memtable *memtable,
                                          loam_status (*each)(void *ctx, const struct range *range),
                                          void *ctx);

/* An iterator over its entries, deletions of ranges not among them, also while it is written: it sees at least what was there when it moved.
   Takes no reference: the caller's outlives it. Its slices live as long as the memtable. */
LOAM_MUST loam_status memtable_iter_new(const struct memtable *memtable, struct iter **out);

struct memtable_stats {
    uint64_t entry_count,
        payload_bytes;         /* versions and deletions of ranges, and their keys and values */
    uint64_t arena_bytes;      /* memory taken */
    uint64_t seq_min, seq_max; /* 0, 0 when empty */
};
/* Any thread; exact for the writer and once frozen. */
struct memtable_stats memtable_stats(const struct memtable *memtable);
/* Of these, what is asked at every write. */
uint64_t memtable_entry_count(const struct memtable *memtable);
uint64_t memtable_bytes(const struct memtable *memtable);
/* About what share of its keys stand before key: 0 to 1. */
double memtable_share_before(const struct memtable *memtable, loam_slice key);
uint64_t memtable_seq_max(const struct memtable *memtable);
/* Of entries alone. */
uint64_t memtable_newest_entry(const struct memtable *memtable);

#endif
