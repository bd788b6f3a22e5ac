/*
 * file.c - the loops around the calls of sys.h; see store.h.
 */
#include <errno.h>

#include "base/check.h"
#include "os/store.h"

enum {
    FILE_INTERRUPTS_MAX =
        100, /* a signal storm ends; a device that never answers anything else is broken */
    PACE_BYTES = 256 << 10, /* what a commit may find before it at the device */
    PACE_PAUSE_NS_MAX = 20 * 1000 * 1000,
    PACE_WITHIN_NS = 50 * 1000 * 1000 /* commits that are further apart hardly meet */
};

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

void store_note_commit(struct store *store)
{
    const uint64_t now = store->sys.calls->mono_ns(store->sys.ctx);
    atomic_store_explicit(&store->commit_ns, now, memory_order_relaxed);
}

/* Unpaced, background writing takes the 99th percentile of a commit from 0.4 ms to 12. */
int store_write_out(struct store *store, int fd, uint64_t offset, uint64_t len)
{
    const struct sys_table sys = store->sys;
    const uint64_t end = offset + len;
    while (offset < end) {
        const uint64_t since = sys.calls->mono_ns(sys.ctx);
        const uint64_t commit_ns = atomic_load_explicit(&store->commit_ns, memory_order_relaxed);
        const bool is_paced = commit_ns != 0 && since < commit_ns + PACE_WITHIN_NS;
        const uint64_t piece = is_paced && end - offset > PACE_BYTES ? PACE_BYTES : end - offset;
        const int result = sys.calls->write_out(sys.ctx, fd, offset, piece, is_paced);
        offset += piece;
        if (!is_paced) continue;
        if (result < 0) return result;
        const uint64_t took = sys.calls->mono_ns(sys.ctx) - since;
        sys.calls->sleep_ns(sys.ctx, took < PACE_PAUSE_NS_MAX ? took : PACE_PAUSE_NS_MAX);
    }
    return 0;
}
