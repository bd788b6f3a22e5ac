/*
 * progress.h - how far a long command is, on standard error.
 *
 * Role: one line that is written over on a terminal, or a line now and then; and whether the command is to stop.
 * In the picture: shell layer; repair, checkpoint, backup and restore use it.
 */
#ifndef LOAM_SHELL_PROGRESS_H
#define LOAM_SHELL_PROGRESS_H

#include "shell/session.h"

struct progress {
    struct session *session;
    double spoke; /* when it was last shown */
    bool on_terminal, line_open;
};

struct progress progress_begin(struct session *session);
/* Fits loam_checkpoint(): ctx is the struct progress. False: somebody wants it to end. */
bool progress_show(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
void progress_end(struct progress *progress); /* before anything else is said */

#endif
