/*
 * wal.h - the write-ahead log: one endless sequence of records over many segments.
 *
 * Role: appends commits, makes them durable in groups, prepares segments ahead and takes dead ones back.
 *   Segments double from the store's least size of a log (256 KiB) to segment_bytes_max; the first is created by the first append.
 *   Keeps account of earlier openers' segments, too, and keeps what recovery does not need any more for who reads it (wal_hold).
 * Invariants: (1) what is appended is in position order without holes. (2) A durable answer for a position
 *   covers all older segments as well. (3) Before a switch to a new segment, nothing stays staged in
 *   the old one (see os/log.h, invariant 2). (4) After any failed append or sync the wal fails for good: every
 *   later call answers the same. (5) wal_reserve() takes all room that can be refused, so that wal_append() fails only
 *   when the device does.
 * Threads: reserve and append: one at a time, the caller's commit lane. All others: any.
 * In the picture: wal layer; db/write.c appends, db/jobs.c tends, db/recover.c reads with wal_reader.h.
 */
#ifndef LOAM_WAL_WAL_H
#define LOAM_WAL_WAL_H

#include "wal/segment.h"

struct wal;

struct wal_config {
    struct store *store;
    uint8_t store_id[STORE_ID_BYTES];
    uint32_t epoch;
    uint64_t log_key;
    uint64_t start, running; /* where this opener's log begins */
    uint64_t floor;          /* from where on earlier openers' is still needed; at most start */
    const struct wal_extent
        *past; /* earlier openers' segments, oldest first; borrowed by wal_new() */
    size_t past_count;
    /* What may stay of the log below what recovery needs: whoever reads, and where somebody does. */
    uint64_t kept_bytes, held_bytes_max;
    uint64_t segment_bytes_max;
    enum log_use use;
};

LOAM_MUST loam_status wal_new(const struct wal_config *config, struct wal **out);

/* Syncs everything, trims the active segment, deletes the spares, frees. The end and its checksum go to *end and *running: the
   seal. On failure all is freed too, and nothing is to be sealed. */
LOAM_MUST loam_status wal_close(struct wal *wal, uint64_t *end, uint64_t *running);
void wal_free(struct wal *wal); /* closes without syncing: for a fenced database; accepts NULL */

/* Lane. Room for one record of body_bytes, whatever the segments' rests. LOAM_FULL changes nothing. */
LOAM_MUST loam_status wal_reserve(struct wal *wal, uint64_t body_bytes);

/* Lane. spec: kind, seq, and RECORD_CALLER_INDEX or 0 as flags (synced_upto is filled in; time_ms, where the wall clock is later). *end is the position to
   wait for when how is LOG_DURABLE. */
LOAM_MUST loam_status wal_append(struct wal *wal, const struct record_spec *spec,
                                 const struct sys_piece *pieces, unsigned piece_count,
                                 enum log_how how, uint64_t *end);

/* Returns when the log is durable below position. Callers group themselves. */
LOAM_MUST loam_status wal_wait(struct wal *wal, uint64_t position);

/* Background. All that is appended now becomes durable. */
LOAM_MUST loam_status wal_sync(struct wal *wal);

/* Background, at least every 100 ms and when wal_wants_tending(): prepares the next segment, starts write-out,
   populates. LOAM_FULL when there is no room to prepare (harmless: tried again later). */
LOAM_MUST loam_status wal_tend(struct wal *wal);
bool wal_wants_tending(const struct wal *wal);

/* Background. Nothing below floor is needed any more; segments that end at or below passed are recycled or deleted, unless they are
   kept. That is the start of the segment that the manifest, durably, names as the first that is needed: the floor lies in it, or is its
   end, or, where the archive lags, lies behind it. */
LOAM_MUST loam_status wal_release(struct wal *wal, uint64_t floor, uint64_t passed);
/* Between the two, dead segments are deleted and not used again: who has one open can read it to its end. */
void wal_pin(struct wal *wal);
void wal_unpin(struct wal *wal);

/* Somebody who reads the log: what ends behind his position stays, as long as that is within held_bytes_max; nobody waits for him. The
   struct is his, from wal_hold() until wal_unhold(). */
struct wal_hold {
    uint64_t position;
    struct wal_hold *next;
};
void wal_hold(struct wal *wal, struct wal_hold *hold, uint64_t position);
void wal_hold_move(struct wal *wal, struct wal_hold *hold, uint64_t position);
void wal_unhold(struct wal *wal, struct wal_hold *hold);

/* Background, of a log that nobody writes to, or hardly (WAL_LEAST). wal_shrink() prepares a small segment; wal_switch(), in the lane, goes on in it, unless a
   commit did; the next wal_release() then leaves a small log. A log that was not begun needs neither. LOAM_FULL changes
   nothing. */
enum wal_rest { WAL_SMALL, WAL_LEAST };
LOAM_MUST loam_status wal_shrink(struct wal *wal, enum wal_rest rest);
LOAM_MUST loam_status wal_switch(struct wal *wal);
/* Is it worth it? The log, with what earlier openers left of it, takes more than a quarter of segment_bytes_max. */
bool wal_is_large(struct wal *wal);

/* Are there commits that no sync has covered? (Attest records do not count, so that an idle log stays idle.) */
bool wal_has_unsynced(const struct wal *wal);
/* Are there commits that are durable, and no later record says so? */
bool wal_is_unattested(const struct wal *wal);

uint64_t wal_end(const struct wal *wal);
uint64_t wal_synced(const struct wal *wal); /* durable below */
uint64_t wal_live_bytes(
    const struct wal *wal); /* from the oldest kept segment's start to the end, whoever's it is */
/* From the floor to the end, earlier openers' part included: what keeps the log long, whatever the segments' sizes. */
uint64_t wal_needed_bytes(const struct wal *wal);
uint64_t wal_written_bytes(const struct wal *wal); /* since open */

/* The segment that holds position: its id and its start. False when none that is still there does. position == end answers the active
   one, if anything has been written yet. */
bool wal_segment_of(struct wal *wal, uint64_t position, struct object_id *id, uint64_t *start);
/* The newest one that starts below position; false: none does. */
bool wal_segment_before(struct wal *wal, uint64_t position, struct object_id *id, uint64_t *start);

#endif
