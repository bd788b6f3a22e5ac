/*
 * iter.h - how to walk sorted entries, whoever holds them.
 *
 * Role: the interface that memtables, tables, runs and merges implement, and that the
 *   public iterator, flush and compaction consume. An inner iterator yields every version
 *   and every tombstone, in the order of entry.h; only the outermost hides them.
 * Invariants: (1) a move answers LOAM_OK (it stands on an entry, `at` is valid), LOAM_NOTFOUND (beyond
 *   an end; `at` is invalid) or a failure. An end is never mistaken for a failure. (2) what `at` points to,
 *   and the bytes that this points to, are valid until the next move or close. (3) After LOAM_NOTFOUND or a failure only first,
 *   last, seek and seek_back may follow; next and prev only after LOAM_OK. (4) next after a seek_back and prev
 *   after a seek are allowed: direction may change at any time.
 * In the picture: record layer; the first member of every implementation's own struct.
 */
#ifndef LOAM_RECORD_ITER_H
#define LOAM_RECORD_ITER_H

#include "record/entry.h"

struct iter;

struct iter_ops {
    loam_status (*first)(struct iter *iter);
    loam_status (*last)(struct iter *iter);
    /* The first entry at or after (key, seq) in entry order: seek(k, SEQ_MAX) is the newest version
       of the first key >= k; seek(k, s) skips versions of k newer than s. */
    loam_status (*seek)(struct iter *iter, loam_slice key, uint64_t seq);
    /* The last entry at or before (key, seq): seek_back(k, 0) is the oldest version of the last
       key <= k; seek_back(k, SEQ_MAX) is, as no entry has SEQ_MAX, the oldest version of the last key < k. */
    loam_status (*seek_back)(struct iter *iter, loam_slice key, uint64_t seq);
    loam_status (*next)(struct iter *iter);
    loam_status (*prev)(struct iter *iter);
    void (*close)(struct iter *iter); /* frees it */
};

struct iter {
    const struct iter_ops *ops;
    const struct entry *at; /* of whoever holds it: what is laid over others passes theirs on */
    /* The next move, if it is a next or a prev, leaves the bytes that it points to where they are. */
    bool keeps;
};

static inline void iter_close(struct iter *iter) /* accepts NULL */
{
    if (iter != NULL) iter->ops->close(iter);
}

#endif
