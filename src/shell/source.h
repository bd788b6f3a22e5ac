/*
 * source.h - buffered input that keeps what was not consumed together.
 *
 * Role: scripts are read by the line, imports by the item, of any length.
 * Invariants: the unconsumed bytes are contiguous; the buffer doubles, so that
 *   looking again at an item that was incomplete costs a constant factor.
 * In the picture: shell layer; on signals, which end a wait.
 */
#ifndef LOAM_SHELL_SOURCE_H
#define LOAM_SHELL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include <loam.h>

struct source {
    int fd;
    char *data;
    size_t start, end, cap;
    bool last; /* nothing follows what is there */
};

/* All-zero but for fd is a fresh one. source_fill() reads more: 0, or an errno; EINTR means that
   a signal asks us to stop. */
int source_fill(struct source *source);
loam_slice source_rest(const struct source *source);
void source_skip(struct source *source, size_t len);
void source_deinit(struct source *source); /* does not close fd */

#endif
