/* sink.c - see sink.h. */
#include "shell/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/grow.h"
#include "shell/signals.h"

void sink_init(struct sink *sink, int fd)
{
    *sink = (struct sink){.fd = fd, .buffer = grow_array(NULL, SINK_BYTES, 1)};
}

void sink_deinit(struct sink *sink)
{
    free(sink->buffer);
    *sink = (struct sink){.fd = -1};
}

static void write_through(struct sink *sink, const char *bytes, size_t len)
{
    while (len > 0 && sink->error == 0) {
        /* Some systems refuse more than 2 GiB at once. */
        const ssize_t written = write(sink->fd, bytes, len < 1 << 30 ? len : 1 << 30);
        const int error = written < 0 ? errno : 0;
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
        if (error == EAGAIN) {
            struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
            (void)poll(&ready, 1, -1);
        } else if (error != 0 && error != EINTR) {
            sink->error = error;
        }
        /* A write that was woken up may have written a part: what is left would block again. */
        if (len > 0 && sink->error == 0 && signals_stop() != 0) sink->error = EINTR;
    }
}

void sink_flush(struct sink *sink)
{
    const size_t len = sink->len;
    sink->len = 0;
    write_through(sink, sink->buffer, len);
}

void sink_write(struct sink *sink, const void *bytes, size_t len)
{
    if (len > SINK_BYTES - sink->len) sink_flush(sink);
    if (len >= SINK_BYTES) {
        write_through(sink, bytes, len);
        return;
    }
    if (len > 0) memcpy(sink->buffer + sink->len, bytes, len);
    sink->len += len;
}

void sink_text(struct sink *sink, const char *text)
{
    sink_write(sink, text, strlen(text));
}

void sink_byte(struct sink *sink, char byte)
{
    if (sink->len == SINK_BYTES) sink_flush(sink);
    sink->buffer[sink->len++] = byte;
}

void sink_printf(struct sink *sink, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    const int len = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (len > 0) sink_write(sink, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}
