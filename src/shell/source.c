/* source.c - see source.h. */
#include "shell/source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/grow.h"
#include "shell/signals.h"

enum { SOURCE_BYTES_MIN = 256 * 1024 };

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

int source_fill(struct source *source)
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
