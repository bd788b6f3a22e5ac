/*
 * wal_cursor.h - reads the log of a running database, commit by commit, while it is written.
 *
 * Role: finds the commit with a sequence number, and yields it and those that follow. Holds the log from where it stands.
 * Invariants: (1) nothing is yielded whose checks, which are seeded with the position, do not hold: what stands in a file that was
 *   used again meanwhile is no commit of this log. (2) It stands at the beginning of a commit; a failure moves it nowhere.
 *   (3) It never waits: who asks for the next commit knows that it is visible, and so wholly in the file. (4) Whether a segment is
 *   gone is told by the wal's list, after reading: before that it may go at any time.
 * Threads: one at a time; the wal's lanes go on.
 * In the picture: wal layer, beside wal_reader.h, which reads what an opener left; db/feed.c is its only user.
 */
#ifndef LOAM_WAL_WAL_CURSOR_H
#define LOAM_WAL_WAL_CURSOR_H

#include "wal/segment_piece.h"
#include "wal/wal.h"
#include "wal/wal_reader.h"

struct wal_cursor {
    struct wal *wal;
    struct wal_hold hold;
    uint64_t position;          /* of the next commit, or of attests before it */
    struct segment_piece piece; /* of the segment that is read */
    struct wal_parts parts;
};

/* The log's end, and the sequence number that the next commit after it gets. */
struct wal_place {
    uint64_t position, seq;
};

void wal_cursor_open(struct wal *wal, struct store *store, struct wal_cursor *cursor);
/* Goes to the commit with this sequence number, at most end's, or to one before it. LOAM_CONFLICT: it is gone, and *seq becomes the oldest that
   there is; end's, if there is none. */
LOAM_MUST loam_status wal_cursor_seek(struct wal_cursor *cursor, struct wal_place end,
                                      uint64_t *seq);
/* The next commit or change, which is known to be there; borrows from the cursor until the next call. LOAM_CONFLICT: it is gone. After other
   failures it may be tried again. */
LOAM_MUST loam_status wal_cursor_next(struct wal_cursor *cursor, struct wal_commit *commit);
void wal_cursor_close(struct wal_cursor *cursor);

#endif
