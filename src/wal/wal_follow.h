/*
 * wal_follow.h - reads a log on that another process writes.
 *
 * Role: goes on where wal_reader.h stopped, commit by commit, through the segments of one opener.
 * Invariants: (1) a record that is none is one that is not there yet: it is asked for again by the next call. (2) It stands at the
 *   beginning of a commit; no answer but LOAM_OK moves it (over attests, it may move). (3) Segments may be deleted and used again at any
 *   time: nothing is yielded whose checks, which are seeded with the position, do not hold.
 * Threads: one at a time.
 * In the picture: wal layer, beside wal_cursor.h, which reads the log of its own process; db/follow.c is its only user.
 */
#ifndef LOAM_WAL_WAL_FOLLOW_H
#define LOAM_WAL_WAL_FOLLOW_H

#include "wal/segment_piece.h"
#include "wal/wal_reader.h"

struct wal_follow {
    struct segment_piece piece;
    uint32_t epoch, number; /* of the segment that position lies in or is the end of */
    uint64_t log_key, position;
    struct wal_parts parts;
};

void wal_follow_begin(struct wal_follow *follow, struct store *store);
/* The next commit or change; borrows until the next call. LOAM_NOTFOUND: there is none yet; LOAM_CONFLICT: the log cannot be read on from
   here, as the place is gone, or damaged. */
LOAM_MUST loam_status wal_follow_next(struct wal_follow *follow, struct wal_commit *commit);
void wal_follow_end(struct wal_follow *follow);

#endif
