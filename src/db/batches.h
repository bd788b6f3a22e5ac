/*
 * batches.h - the public batch: bytes that grow, and what the lane wants to know of them.
 *
 * Role: loam_batch is the body of a log record in the making (record/batch.h), with counts beside it.
 * In the picture: db layer; write.c commits it.
 */
#ifndef LOAM_DB_BATCHES_H
#define LOAM_DB_BATCHES_H

#include "db/db.h"

struct batch_facts {
    loam_slice bytes;
    uint32_t entry_count, put_count;
    uint64_t payload_bytes, caller_index;
    loam_coll *first_coll; /* NULL: only the default collection is named */
    const loam_batch *batch;
};

/* LOAM_INVALID for NULL or another database's collections; the failure of an earlier add. */
LOAM_MUST loam_status batch_facts(const loam_batch *batch, const loam_db *db,
                                  struct batch_facts *facts);

/* Adds an entry: a put with a ttl of its own, or TTL_OF_COLL; anything else, one with an expiry included, as it is. */
loam_status batch_add(loam_batch *b, loam_coll *coll, const struct entry *entry, uint64_t ttl_ms);

/* The same with ttls become expiries, own ones and those of collections, for a commit that begins now; NULL: there are none, and
   it is what b is. */
LOAM_MUST loam_status batch_stamp(const loam_batch *b, const loam_db *db, loam_batch **out);

/* The entries so far, for who reads them back. */
loam_slice batch_entries(const loam_batch *batch);

/* ranges_room() for each collection of which the batch deletes ranges, merge_check() for each in which it merges. */
LOAM_MUST loam_status batch_check(const loam_batch *batch, loam_db *db);

/* Calls make_room() once for every collection that the commit's entries name, with that collection's share. LOAM_MISUSE when one of
   them has been dropped. Lane held. */
LOAM_MUST loam_status batch_make_room(loam_db *db, const struct commit *commit, const char **wait,
                                      loam_status (*make_room)(loam_db *db, loam_coll *coll,
                                                               uint32_t entry_count,
                                                               uint64_t payload_bytes,
                                                               const char **wait));

#endif
