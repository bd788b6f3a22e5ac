/*
 * sink.h - buffered output to a descriptor that remembers what went wrong.
 *
 * Role: standard output and export files.
 * Invariants: (1) after an error nothing more is written and the error stays.
 *   (2) A signal that asks us to stop ends a blocked write: the error is EINTR.
 * In the picture: shell layer; on signals.
 */
#ifndef LOAM_SHELL_SINK_H
#define LOAM_SHELL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loam.h>

enum { SINK_BYTES = 256 * 1024 };

struct sink {
    int fd;
    int error; /* errno of the first failure, or 0 */
    char *buffer;
    size_t len;
    bool in_html; /* JSON is written so that no < stands in it */
};

void sink_init(struct sink *sink, int fd);
void sink_deinit(struct sink *sink); /* forgets what is not flushed */
void sink_flush(struct sink *sink);
void sink_write(struct sink *sink, const void *bytes, size_t len);
void sink_text(struct sink *sink, const char *text);
void sink_byte(struct sink *sink, char byte);
void sink_printf(struct sink *sink, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
