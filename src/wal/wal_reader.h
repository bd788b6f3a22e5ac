/*
 * wal_reader.h - reads the log back after an opener is gone: what counts, where it ends, and whether that is damage.
 *
 * Role: yields whole commits in order; tells a torn tail from corruption.
 * Invariants (the rule of recovery): (1) reading is by position. Segments of earlier openers are listed in the manifest with
 *   their ends, and were durable when they were listed: any fault in them is LOAM_CORRUPT. (2) In the last
 *   opener's segments the first invalid record is the cut P. If the manifest, a segment header, or any valid record at or beyond P says that
 *   the log was durable beyond P, that is damage: LOAM_CORRUPT with file and offset. A file without a header speaks by its records, if the
 *   log went on in it at P. So is a file that is missing or cut off before one that was begun. Otherwise what stands beyond P was never
 *   acknowledged as durable, and is not there. (3) A commit whose LAST part is missing is not there either. (4) A sealed log ends exactly at its seal.
 * In the picture: wal layer; db/recover.c and db/restore.c call it; it never changes a file, but for wal_rewrite_tail().
 */
#ifndef LOAM_WAL_WAL_READER_H
#define LOAM_WAL_WAL_READER_H

#include "wal/segment.h"

struct wal_past { /* what manifest and root know */
    struct store *store;
    const uint8_t *store_id;
    struct wal_extent *listed; /* earlier openers' segments, oldest first, contiguous */
    size_t listed_count;
    uint32_t epoch; /* of the last opener */
    uint64_t log_key;
    uint64_t start, start_running; /* where its log began */
    uint32_t floor_number;         /* its first segment that is needed; 0 = 1 */
    uint64_t floor_start;          /* where that one starts (= start when number is 1) */
    uint64_t floor;                /* commits that end at or below are not wanted */
    uint64_t attested;             /* durable below, says the manifest */
    bool sealed;
    uint64_t seal_end, seal_running;
    bool
        live; /* its writer goes on: the first record that is none may be one in the making, so nothing is concluded from it */
};

void wal_past_deinit(struct wal_past *past); /* frees the list */

struct wal_commit {      /* valid during the call */
    uint8_t kind, flags; /* RECORD_COMMIT, RECORD_CHANGE or RECORD_ATTEST */
    uint64_t seq, time_ms;
    uint64_t position, end;
    loam_slice body;
    const char *name; /* of the segment, and the byte in it, for messages */
    uint64_t offset;
};

/* What a record carries; borrows view. The one of a part has that part's body. */
struct wal_commit wal_commit_from(const struct segment_view *view, const struct record *record);

/* A commit in the making, of its parts; zero is none. */
struct wal_parts {
    bool is_open;
    loam_buf bytes;
    struct wal_commit first;
    char first_name[OBJECT_NAME_BYTES];
};
/* Takes the next record: LOAM_OK and the commit that it is or ends, which borrows from view or parts; LOAM_NOTFOUND: more parts are to
   come; LOAM_CORRUPT: it is not what follows. */
LOAM_MUST loam_status wal_parts_take(struct wal_parts *parts, const struct segment_view *view,
                                     const struct record *record, struct wal_commit *commit);

struct wal_tail {
    uint64_t end, running;      /* the cut, at a commit's end */
    uint64_t attested;          /* durable below */
    struct wal_extent *extents; /* the last opener's segments that count; mem_free */
    size_t extent_count;
    uint64_t commit_count;
};

/* Calls each() for every commit above the floor; its failure ends the reading and is the answer. */
LOAM_MUST loam_status wal_read(const struct wal_past *past,
                               loam_status (*each)(void *ctx, const struct wal_commit *commit),
                               void *ctx, struct wal_tail *tail);
void wal_tail_deinit(struct wal_tail *tail);

/* Of a log that was read up to position, which lies in that segment of the last opener: LOAM_CORRUPT where something says that it was
   durable beyond, and the record there is none, not even afterwards. */
LOAM_MUST loam_status wal_check_end(const struct wal_past *past, uint32_t number,
                                    uint64_t position);

/* Goes on where tail ends, in the segments of an archive, up to a position or to the end of what there is (UINT64_MAX); tail moves. They
   make a chain: each begins where the one before it was cut, and knows the checksum of all before. Any fault before its end, and a gap, is LOAM_CORRUPT.
   What each() answers but LOAM_OK is the end, and the answer. */
LOAM_MUST loam_status wal_read_on(const struct wal_past *past, struct store *archive,
                                  uint64_t limit,
                                  loam_status (*each)(void *ctx, const struct wal_commit *commit),
                                  void *ctx, struct wal_tail *tail);

/* Calls fault() with a sentence for each thing that wal_read() can do without: a copy of a header, and zeros behind the last record
   where no crash and no earlier use of the file can have left other bytes. tail is what wal_read() answered. */
LOAM_MUST loam_status wal_verify(const struct wal_past *past, const struct wal_tail *tail,
                                 void (*fault)(void *ctx, const char *text), void *ctx);

/* Writes what counts but is not attested again, and syncs it: after a failed writeback its pages may look clean and not be on
   the medium. Afterwards all of the tail is durable. */
LOAM_MUST loam_status wal_rewrite_tail(struct store *store, const struct wal_tail *tail);

#endif
