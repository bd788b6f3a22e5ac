/*
 * follow.h - a database that shows what another process writes, as of its latest loam_refresh().
 *
 * Role: the follower's place in the writer's log, and the two ways forward from there.
 *
 *   read on:  commits behind that place -> present memtables -> visible        nothing but commits, of the same opener
 *   rebuild:  root -> manifest -> log -> a second database, by recover.c -> every table's object opened -> put in the place of this one
 *
 *   Rebuilt is where reading on comes to a change of collections, an end that is none (a new opener, a segment that is gone), and,
 *   now and then, after the manifest has changed: then memory and the deleted files that are still open are given back.
 * Invariants: (1) readers see memtables and tables of one moment: entries are above `visible` until it moves, and a rebuilt state is put in place
 *   under all locks that snapshots and handles are made under. (2) All objects of a version are open before it is shown, so whatever the
 *   writer deletes stays readable. (3) A failure leaves whole commits in memtables that are not visible, and the place behind them.
 * Locks: refreshing is held over all of it.
 * In the picture: db layer, on recover.c and wal/wal_follow.h; open.c opens with it.
 */
#ifndef LOAM_DB_FOLLOW_H
#define LOAM_DB_FOLLOW_H

#include "db/db.h"
#include "wal/wal_follow.h"

struct follow {
    struct mutex refreshing;
    struct wal_follow log;
    uint64_t next_seq;         /* of the next commit in it */
    struct caller_index index; /* of the newest commit that has one, visible or not */
    uint64_t manifest_end;
    uint64_t cost_bytes,
        paid_bytes; /* a rebuild reads so many; since the manifest has changed, so many were read on for it */
    uint64_t idle_count; /* refreshes since there was something new */
    bool is_built, must_rebuild;
};

LOAM_MUST loam_status follow_open(loam_db *db);
void follow_free(struct follow *follow); /* accepts NULL */
/* Recovery has read that far. */
void follow_note(loam_db *db, const struct wal_tail *tail, uint64_t manifest_end);

#endif
