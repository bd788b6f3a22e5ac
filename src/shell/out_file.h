/*
 * out_file.h - a file that a command writes.
 *
 * Role: opens it, and makes it last or leaves nothing.
 * Invariants: (1) FILE is replaced by a complete, synced file or not at all: a new one is written beside it and renamed. What is no
 *   regular file is written directly. (2) The files of a store are nobody's to replace.
 * In the picture: shell layer; on sink; export and inspect write with it.
 */
#ifndef LOAM_SHELL_OUT_FILE_H
#define LOAM_SHELL_OUT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "shell/sink.h"

struct out_file {
    struct sink sink;
    const char *store_dir;
    char *path;  /* what FILE is in the end, behind links */
    char *aside; /* what is written and renamed; NULL: path itself is written */
    mode_t mode;
    bool replace;
};

/* Both complain themselves and return an exit status. One that is there already is replaced, or refused. */
int out_file_open(struct out_file *out, const char *file, const char *store_dir, bool replace);
/* code is how writing went; unless that is CODE_DONE, nothing is left of the file. Frees, always. */
int out_file_finish(struct out_file *out, int code);

#endif
