/*
 * calls_feed.h - rows of calls.c: the change feed and the caller's log index.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_FEED_H
#define LOAM_TESTS_LIB_CALLS_FEED_H

#include "lib/calls.h"

loam_status make_batch_set_index(struct bench *b);
void fill_batch_with_index(struct bench *b);
void write_with_index(struct bench *b);
loam_status make_index(struct bench *b);
loam_status make_feed_open(struct bench *b);
loam_status make_feed_next(struct bench *b);
loam_status make_feed_close(struct bench *b);
void open_feed_at_oldest(struct bench *b);

#endif
