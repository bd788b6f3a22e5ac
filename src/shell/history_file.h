/*
 * history_file.h - what was typed, kept from one session to the next.
 *
 * Role: a line each in $XDG_STATE_HOME/loam/history, readable by its user only.
 * Invariants: (1) lines are appended as they are entered, so that sessions side
 *   by side lose nothing of each other. (2) No failure here disturbs the shell:
 *   there is then no history. (3) A line that starts with a blank is not kept.
 * In the picture: shell layer; the line editor uses it.
 */
#ifndef LOAM_SHELL_HISTORY_FILE_H
#define LOAM_SHELL_HISTORY_FILE_H

#include <loam.h>

enum { HISTORY_LINES_MAX = 2000 };

struct history_file {
    char *path; /* NULL = no history */
};

/* Finds the file, shortens it if it has become long and shows its lines, oldest first. */
void history_file_open(struct history_file *file, void (*line)(void *ctx, const char *text),
                       void *ctx);
void history_file_add(struct history_file *file, loam_slice line);
void history_file_close(struct history_file *file);

#endif
