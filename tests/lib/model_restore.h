/*
 * model_restore.h - of a random history with an archive: moments of it are restored, and must be what they were.
 *
 * Role: notes now and then what the model holds at a sequence number, and which checkpoint is the latest; restores one of those moments from
 *   both, across all that the history did meanwhile.
 * In the picture: tests only; beside model_run.h, for model/test_model.c.
 */
#ifndef LOAM_TESTS_LIB_MODEL_RESTORE_H
#define LOAM_TESTS_LIB_MODEL_RESTORE_H

#include "lib/model_run.h"

/* Before the first opening; some histories have none. */
void model_restore_begin(struct model_run *h);
/* What is there now can be restored later; a checkpoint of it can be begun with. */
void model_restore_note(struct model_run *h);
void model_restore_from(struct model_run *h, const char *dir);
/* Restores one of the moments, or the present one; target is a name that is free. */
void model_restore_try(struct model_run *h, const char *target);
/* Commits above what the store holds are lost, and their numbers are given again. */
void model_restore_lost(struct model_run *h);
/* What has come now is in no archive: a checkpoint is to be made behind it. */
void model_restore_passed(struct model_run *h);
/* The history goes on in a copy, which takes another archive. */
void model_restore_moved(struct model_run *h);
void model_restore_end(struct model_run *h);

#endif
