/* source.c - see source.h. */
#include "shell/source.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/grow.h"
#include "shell/signals.h"

enum {
    SOURCE_BYTES_MIN = 256 * 1024,
    PATIENCE_MS = 20 /* how long more of a long record may take to come */
};

/* Makes room behind end: by moving what is left to the front, or else by doubling. */
static void source_make_room(struct source *source)
{
    const size_t len = source->end - source->start;
    if (len > 0 && source->start > 0) memmove(source->data, source->data + source->start, len);
    source->start = 0;
    source->end = len;
    if (source->cap - len >= SOURCE_BYTES_MIN / 2) return;
    const size_t cap = source->cap == 0 ? SOURCE_BYTES_MIN : source->cap * 2;
    source->data = grow_array(source->data, cap, 1);
    source->cap = cap;
}

static int read_some(struct source *source)
{
    source_make_room(source);
    for (;;) {
        const ssize_t got = read(source->fd, source->data + source->end, source->cap - source->end);
        if (got >= 0) {
            source->end += (size_t)got;
            source->last = got == 0;
            return 0;
        }
        if (errno != EINTR || signals_stop() != 0) return errno;
    }
}

static bool more_is_coming(const struct source *source)
{
    struct pollfd poll_fd = {.fd = source->fd, .events = POLLIN};
    return poll(&poll_fd, 1, PATIENCE_MS) > 0;
}

/* A record that is not complete is looked through from its beginning after each call. So that a pipe, which gives 64 KiB at a
   time, does not make this quadratic, a long one grows by a quarter at a time, unless its writer pauses. */
int source_fill(struct source *source)
{
    const size_t len = source->end - source->start;
    const size_t enough = len < SOURCE_BYTES_MIN ? len + 1 : len + len / 4;
    int error = read_some(source);
    while (error == 0 && !source->last && source->end - source->start < enough &&
           signals_stop() == 0 && more_is_coming(source))
        error = read_some(source);
    return error;
}

loam_slice source_rest(const struct source *source)
{
    if (source->end == source->start) return loam_bytes("", 0);
    return loam_bytes(source->data + source->start, source->end - source->start);
}

void source_skip(struct source *source, size_t len)
{
    source->start += len;
}

void source_deinit(struct source *source)
{
    free(source->data);
    *source = (struct source){.fd = -1};
}
