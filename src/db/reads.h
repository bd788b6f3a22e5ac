/*
 * reads.h - what a transaction has read, and whether any of it has changed.
 *
 * Role: keys and ranges of keys, and the two halves of validation: reads_check() searches memtables and tables without the
 *   commit lane; reads_check_recent(), in the lane, asks what was committed meanwhile. Together they see every commit
 *   between the transaction's snapshot and its own. It is optimistic concurrency control with backward validation (Kung and
 *   Robinson, 1981); ranges as a whole are read, so there are no phantoms.
 * Invariants: (1) a key that was read is found by reads_check() in the same order as by a reader: the newest version decides. A snapshot
 *   at or below `since` is open meanwhile, so no tombstone above it has been left out. (2) Ranges may be larger than what was
 *   read, never smaller: an unneeded conflict costs a repetition.
 * Threads: its owner's.
 * In the picture: db layer; txn.c and condition.c own them, write.c carries one with a commit.
 */
#ifndef LOAM_DB_READS_H
#define LOAM_DB_READS_H

#include "db/db.h"

struct read_key {
    struct loam_coll *coll;
    uint64_t hash; /* hash_key() */
    size_t at, len;
};

struct read_range { /* [from, to], both in it */
    struct loam_coll *coll;
    size_t from_at, from_len, to_at, to_len;
    bool has_to;
};

struct reads {
    loam_buf bytes; /* of all keys */
    struct read_key *keys;
    struct read_range *ranges;
    size_t key_count, key_cap, range_count, range_cap;
    uint32_t *slots; /* open addressing: 1 + the index of a key, or 0 */
    size_t slot_count;
    uint32_t *order; /* of the keys: collection, key; of the first order_count, if that is all */
    size_t order_count;
    bool wants_order; /* reads_check_recent() has met a deletion of a range */
};

void reads_deinit(struct reads *reads);
LOAM_MUST loam_status reads_add_key(struct reads *reads, struct loam_coll *coll, loam_slice key);
/* From `from` to `to`, to which it belongs; to NULL: to the end. */
LOAM_MUST loam_status reads_add_range(struct reads *reads, struct loam_coll *coll, loam_slice from,
                                      const loam_slice *to);
size_t reads_bytes(const struct reads *reads); /* of memory, about */

/* Whether anything was written to what was read after `since`: LOAM_OK or LOAM_CONFLICT. LOAM_MISUSE: of a collection that was
   dropped. Sees all that was committed before the call, and maybe more. May read tables. */
LOAM_MUST loam_status reads_check(struct reads *reads, loam_db *db, uint64_t since);
/* The same in the lane, for what was committed after the call of reads_check(). LOAM_NOTFOUND: it is too long ago to be known, or
   reads_check() is to bring the keys in order first, to look for ranges among them. */
LOAM_MUST loam_status reads_check_recent(struct reads *reads, loam_db *db, uint64_t since);

#endif
