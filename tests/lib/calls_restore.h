/*
 * calls_restore.h - rows of calls.c: checkpoints, archives, and restoring from them.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_RESTORE_H
#define LOAM_TESTS_LIB_CALLS_RESTORE_H

#include "lib/calls.h"

void will_archive(struct bench *b);
/* Makes `archive` and `base`, an earlier checkpoint than what the store holds. */
void archive_some(struct bench *b);
loam_status make_restore(struct bench *b);
loam_status make_checkpoint(struct bench *b);
loam_status make_copy(struct bench *b);

#endif
