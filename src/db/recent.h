/*
 * recent.h - the keys of the latest commits, for who must know whether what he has read was among them.
 *
 * Role: a transaction is validated against memtables and tables without the commit lane, up to the last commit there was
 *   when that began; what was committed since is found here, by the lane, without searching or reading anything. Nothing is
 *   remembered while nobody asks for it.
 * Invariants: (1) every entry whose sequence number is complete_from or above is here. (2) Bounded: of two halves the older is
 *   forgotten when the newer is full, and complete_from moves on.
 * Threads: who holds the lane.
 * In the picture: db layer; reads.c asks, write.c adds.
 */
#ifndef LOAM_DB_RECENT_H
#define LOAM_DB_RECENT_H

#include "record/entry.h"

struct recent {
    uint32_t user_count;
    uint64_t complete_from;
    uint64_t half_from; /* the first sequence number of halves[1] */
    size_t half_bytes;
    loam_buf halves[2]; /* the older, the newer */
};

/* From now on commits are remembered; next_seq is the next one's. Pairs with recent_end(). */
LOAM_MUST loam_status recent_begin(struct recent *recent, uint64_t next_seq);
void recent_end(struct recent *recent);
void recent_deinit(struct recent *recent);

/* What was committed with that number is not told here: all look again. */
void recent_pass_over(struct recent *recent, uint64_t seq);
void recent_add_slowly(struct recent *recent, uint32_t coll_id, const struct entry *entry);

/* An entry was committed. */
static inline void recent_add(struct recent *recent, uint32_t coll_id, const struct entry *entry)
{
    if (recent->user_count > 0) recent_add_slowly(recent, coll_id, entry);
}

/* Asks is_read(ctx) about each entry above since, until it says yes: LOAM_CONFLICT. LOAM_OK: it never did. LOAM_NOTFOUND: some of
   them are forgotten. Of an entry there are key, seq and kind, and the value of a deletion of a range. */
LOAM_MUST loam_status recent_check(const struct recent *recent, uint64_t since,
                                   bool (*is_read)(void *ctx, uint32_t coll_id,
                                                   const struct entry *entry),
                                   void *ctx);

#endif
