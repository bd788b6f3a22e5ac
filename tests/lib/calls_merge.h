/*
 * calls_merge.h - rows of calls.c for merges: what they make, prepare and change.
 *
 * In the picture: tests only; see calls.h.
 */
#ifndef LOAM_TESTS_LIB_CALLS_MERGE_H
#define LOAM_TESTS_LIB_CALLS_MERGE_H

#include "lib/calls.h"

loam_status make_merge(struct bench *b);
void change_merge(struct model *after);
void merge_some(struct bench *b);
loam_status make_get_merged(struct bench *b);
loam_status make_put_if_merged(struct bench *b);
void change_put_merged(struct model *after);
loam_status make_next_merged(struct bench *b);
loam_status make_prev_merged(struct bench *b);
loam_status make_flush_merged(struct bench *b);
loam_status make_compact_merged(struct bench *b);
loam_status make_batch_merge(struct bench *b);
loam_status make_txn_merge(struct bench *b);
void merge_in_txn(struct bench *b);
loam_status make_txn_get_merged(struct bench *b);

#endif
