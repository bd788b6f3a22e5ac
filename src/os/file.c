/*
 * file.c - the loops around the calls of sys.h; see store.h.
 */
#include <errno.h>

#include "base/check.h"
#include "os/store.h"

/* A signal storm ends; a device that never answers anything else is broken. */
enum { FILE_INTERRUPTS_MAX = 100 };

int file_write(struct sys_table sys, int fd, uint64_t offset, struct sys_piece piece, bool durable)
{
    const uint8_t *from = piece.data;
    size_t left = piece.len;
    for (unsigned interrupts = 0; left > 0;) {
        const struct sys_piece rest = {from, left};
        const int64_t count = sys.calls->write(sys.ctx, fd, offset, &rest, 1, durable);
        if (count == -EINTR && ++interrupts < FILE_INTERRUPTS_MAX) continue;
        if (count < 0) return (int)count;
        if (count == 0) return -EIO;
        check((uint64_t)count <= left);
        from += count;
        offset += (uint64_t)count;
        left -= (size_t)count;
    }
    return 0;
}

int file_read(struct sys_table sys, int fd, uint64_t offset, void *dst, size_t *len)
{
    uint8_t *at = dst;
    size_t left = *len;
    for (unsigned interrupts = 0; left > 0;) {
        const int64_t count = sys.calls->read(sys.ctx, fd, offset, at, left);
        if (count == -EINTR && ++interrupts < FILE_INTERRUPTS_MAX) continue;
        if (count < 0) return (int)count;
        if (count == 0) break;
        check((uint64_t)count <= left);
        at += count;
        offset += (uint64_t)count;
        left -= (size_t)count;
    }
    *len -= left;
    return 0;
}
