/*
 * wal_salvage.h - what of a damaged log is intact, and what is missing from it.
 *
 * Role: yields whole commits in order of their positions, over all segments that are there; goes on behind damage where
 *   a record's check says that it belongs there. Believes a segment's own header before its file's name, and does
 *   without a header where the neighbours tell the key and the position.
 * Invariants: (1) what a later opener passed over stays dead: the records of an opener end where the next one's log
 *   starts. (2) The log ends behind the last valid record. A fault is its torn tail, and nothing is said of it, where nothing
 *   valid stands behind it and nothing says that the log was durable beyond; else it is a hole, also where wal_reader.h would
 *   end the log: what stands behind was written, and whoever repairs wants it. Without damage, and after a kill, both yield
 *   the same commits. (3) A commit of which a part is missing is not there.
 * In the picture: wal layer; db/repair.c and db/inspect.c call it. Changes no file.
 */
#ifndef LOAM_WAL_WAL_SALVAGE_H
#define LOAM_WAL_WAL_SALVAGE_H

#include "wal/wal_reader.h"

struct wal_clues { /* what root and manifest say, as far as they are there */
    struct store *store;
    const uint8_t *store_id; /* NULL: not known */
    uint32_t epoch;          /* of the last opener, whose key is log_key; 0: not known */
    uint64_t log_key;
    bool sealed;
    uint64_t seal_end;
    bool has_bounds; /* the rest is known */
    uint32_t start_epoch;
    uint64_t start, floor, attested;
};

struct wal_salvage;

struct wal_hole {     /* in the log, or a file that is of no use */
    const char *text; /* names file and byte; NULL: a hole in what is not needed any more */
    uint64_t bytes;   /* 0 where the log is known to have lost nothing by it */
    bool
        misses_file; /* a whole segment is gone: it was lost, or what says that it is needed is out of date */
};

typedef void wal_salvage_hole(void *ctx, const struct wal_hole *hole);

/* Looks at all segments. LOAM_TOONEW, LOAM_NOMEM, or what listing the store answered. Copies clues. */
LOAM_MUST loam_status wal_salvage_new(const struct wal_clues *clues, struct wal_salvage **out);
void wal_salvage_free(struct wal_salvage *salvage);            /* accepts NULL */
uint64_t wal_salvage_bytes(const struct wal_salvage *salvage); /* that a walk reads, about */

/* Calls each() for every commit and change; those below the floor too, as far as they are still there. hole may be NULL. May be
   called again, and then answers the same. */
LOAM_MUST loam_status wal_salvage_walk(const struct wal_salvage *salvage,
                                       loam_status (*each)(void *ctx,
                                                           const struct wal_commit *commit),
                                       wal_salvage_hole *hole, void *ctx);

#endif
