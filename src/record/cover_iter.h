/*
 * cover_iter.h - sorted entries without those that deletions of ranges hide.
 *
 * Role: put over one input of a merge. Where the input holds nothing that is newer than a deletion, what that covers is not
 *   stepped through but passed by a seek, so a scan pays for a deleted range once and not per key.
 * Invariants: (1) yields what the input does, in its order, but for entries older than a deletion of their key that the source
 *   knows. (2) newest() is asked anew at each jump: a memtable grows, by what its readers do not see.
 * In the picture: record layer; of tables within tree/run.c, of memtables by db/dbiter.c.
 */
#ifndef LOAM_RECORD_COVER_ITER_H
#define LOAM_RECORD_COVER_ITER_H

#include "record/iter.h"
#include "record/range_set.h"

/* Takes the input (closes it with itself, also when it fails). source outlives it. newest(holder): the highest sequence number in the input. */
LOAM_MUST loam_status cover_iter_new(struct iter *input, const struct cover_source *source,
                                     uint64_t (*newest)(const void *holder), const void *holder,
                                     struct iter **out);

#endif
