/*
 * range_set.h - ranges of keys that were deleted, and what they hide.
 *
 * Role: a deletion of the range [from, to) with sequence number c hides every entry of a key in it that is older
 *   than c, from whoever reads at c or later. A memtable holds its deletions as a list, one collection's tables share a
 *   range_set: the deletions cut at each other's ends, so that a binary search finds all that hold a key.
 *
 *   key     a          f          m          (no bound)
 *   seqs    | 9        | 9 4      | -        a mark: from its key on, up to the next mark
 *
 * Invariants of a set: (1) immutable, shared by reference count, never empty. (2) Marks ascend; the first has sequence numbers,
 *   and no two neighbours have the same ones. (3) Those of a mark descend.
 * Threads: a set may be used, referenced and dropped by any number.
 * In the picture: record layer. memtable/ keeps the list, tree/version.h the set, cover_iter.h applies both.
 */
#ifndef LOAM_RECORD_RANGE_SET_H
#define LOAM_RECORD_RANGE_SET_H

#include <stdatomic.h>

#include "record/entry.h"

struct range {
    loam_slice from, to; /* to empty: no bound */
    uint64_t seq;
};

/* Whether no key can be in it. */
static inline bool range_is_empty(loam_slice from, loam_slice to)
{
    return to.len > 0 && bytes_compare(from, to) >= 0;
}

/* What holds at a key, and at all others in [low, high): the newest deletion, seq 0 being none. */
struct cover {
    uint64_t seq;
    loam_slice low, high; /* borrowed of the ranges; high empty: no bound */
    bool is_known;        /* false: it says nothing about any key */
};

static inline bool cover_holds(const struct cover *cover, loam_slice key)
{
    return cover->is_known && bytes_compare(key, cover->low) >= 0 &&
           (cover->high.len == 0 || bytes_compare(key, cover->high) < 0);
}

/* Before anything has been asked: nothing anywhere. Then each holder of ranges lessens [low, high) and raises seq. */
static inline struct cover cover_nothing(void)
{
    return (struct cover){.low = {"", 0}, .is_known = true};
}

/* One range; only if it is not newer than seq. */
void cover_meet_range(struct cover *cover, const struct range *range, loam_slice key, uint64_t seq);

/* Whoever knows all ranges that a reader has to mind. */
struct cover_source {
    struct cover (*ask)(const void *ctx, loam_slice key);
    const void *ctx;
};

/* ---- sets ---- */

struct range_mark {
    loam_slice key;
    const uint64_t *seqs;
    uint32_t seq_count;
};

struct range_set {
    _Atomic uint32_t refs;
    uint32_t mark_count; /* at least 1 */
    uint64_t seq_max;
    uint64_t weight, bytes;
    struct range_mark marks[];
};

void range_set_ref(struct range_set *set);   /* accepts NULL */
void range_set_unref(struct range_set *set); /* accepts NULL */

/* Of deletions in any order, which may overlap; bytes are copied. Left out is what no reader can tell: of two that hold the same keys the
   older, if nobody reads between them. bounds: where somebody reads, ascending. *out becomes NULL when nothing is left. Costs n log n. */
LOAM_MUST loam_status range_set_new(const struct range *ranges, size_t count,
                                    const uint64_t *bounds, size_t bound_count,
                                    struct range_set **out);

/* Likewise, of everything: nothing is left out, and bytes are borrowed. LOAM_TOOBIG: its weight would be more than that. */
LOAM_MUST loam_status range_set_new_whole(const struct range *ranges, size_t count,
                                          uint64_t weight_max, struct range_set **out);

/* Calls each() for every piece: [from, to) and one sequence number; until it answers something else than LOAM_OK. */
LOAM_MUST loam_status range_set_each(const struct range_set *set,
                                     loam_status (*each)(void *ctx, const struct range *range),
                                     void *ctx);

/* set may be NULL. */
void range_set_meet(const struct range_set *set, struct cover *cover, loam_slice key, uint64_t seq);

/* Is a deletion with above < seq <= upto of a key from `from` on, up to and with `to` (NULL: no bound)? set may be NULL. */
bool range_set_holds(const struct range_set *set, loam_slice from, const loam_slice *to,
                     uint64_t above, uint64_t upto);

/* How many marks and numbers it has; and what it takes of memory, about, without keys that are borrowed. set may be NULL. */
uint64_t range_set_weight(const struct range_set *set);
uint64_t range_set_bytes(const struct range_set *set);

/* As bytes, and back:  mark*, each: key length | key | number of seqs | seqs        all but keys varints
   Decoding trusts nothing: LOAM_CORRUPT for what no encoder makes. No bytes are no set: *out is NULL. */
LOAM_MUST loam_status range_set_encode(const struct range_set *set, loam_buf *out); /* appends */
LOAM_MUST loam_status range_set_decode(loam_slice bytes, struct range_set **out);

#endif
