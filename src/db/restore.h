/*
 * restore.h - what an opening knows that goes on in an archive, up to a moment.
 *
 * Role: at the opening of `from`, for reading, restore_survey() finds how far the archive leads and which clones are made on the way; at that of its
 *   copy recover.c replays all of it, up to `limit`. A clone is made before what its source has later comes, since it shares tables: that is earlier
 *   than its own record stands, but nothing else was changed in between.
 * In the picture: db layer; restore.c, used by recover.c.
 */
#ifndef LOAM_DB_RESTORE_H
#define LOAM_DB_RESTORE_H

#include "db/db.h"

struct logged_clone {
    struct wal_commit commit; /* over body and name */
    loam_buf body;
    char name[OBJECT_NAME_BYTES];
    uint32_t source;
    uint64_t seq; /* what the source has above that is not the clone's */
    bool is_made;
};

struct restore {
    loam_restore_options options;
    struct store *archive;
    loam_moment reached;
    uint64_t begin,
        limit; /* positions: the end of the copy's own log, and of the last commit that is wanted */
    uint64_t known_seq; /* changes of collections up to there are in the manifest of `from` */
    bool in_archive;    /* the survey has come there */
    struct logged_clone *clones;
    size_t clone_count;
    uint64_t copied_bytes, noted; /* for progress; noted: the position that was told last */
};

/* Sets limit and reached. A failure says what can be reached; LOAM_CONFLICT: told to stop. */
LOAM_MUST loam_status restore_survey(struct restore *restore, loam_db *db,
                                     const struct wal_past *past);
/* The commit is replayed now; LOAM_CONFLICT: told to stop. */
LOAM_MUST loam_status restore_note(struct restore *restore, const struct wal_commit *commit);
/* A clone of this collection that must be made before an entry with that sequence number is added to it; NULL: there is none. */
const struct wal_commit *restore_due_clone(struct restore *restore, uint32_t source, uint64_t seq);

#endif
