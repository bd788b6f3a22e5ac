/*
 * calls_follow.h - rows of calls.c: following the store of the bench while it is open.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_FOLLOW_H
#define LOAM_TESTS_LIB_CALLS_FOLLOW_H

#include "lib/calls.h"

loam_status make_open_to_follow(struct bench *b);
/* Each opens a follower; then some is committed; or collections are changed, too, and all is flushed. */
void follow_on(struct bench *b);
void follow_and_write_once(struct bench *b);
void follow_and_write(struct bench *b);
void follow_and_change(struct bench *b);
/* After a failure it shows what it did before. */
loam_status make_refresh(struct bench *b);

#endif
