/*
 * engine_bare.c - no engine: what the machine does when nobody sorts anything.
 *
 * Role: the row beside which the others are read. Without sync a put is one write(2) at
 *   the end of a file, and its longest wait is the machine's own; with sync it is
 *   one pwritev2(RWF_DSYNC) into blocks that were written before, so that it changes
 *   nothing but data: as fast as this device makes anything durable.
 * Invariants: it keeps nothing that could be read, and says so (is_device).
 * In the picture: an adapter like the others; see bench/engine.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engines.h"

enum { REGION_BYTES = 64 << 20, PIECE_BYTES = 1 << 20 };

struct bare_handle {
    int fd;
    bool sync;
    atomic_ulong offset;
};

static void describe_bare(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "write(2), RWF_DSYNC");
}

static void write_region(int fd)
{
    char *piece = bench_alloc(PIECE_BYTES);
    for (off_t at = 0; at < REGION_BYTES; at += PIECE_BYTES) {
        if (pwrite(fd, piece, PIECE_BYTES, at) != PIECE_BYTES)
            bench_die("bare: write: %s", strerror(errno));
    }
    if (fsync(fd) != 0) bench_die("bare: sync: %s", strerror(errno));
    free(piece);
}

static void *open_bare(const char *dir, const struct engine_options *options)
{
    char path[4200];
    struct bare_handle *handle = bench_alloc(sizeof *handle);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) bench_die("bare: %s: no directory", dir);
    snprintf(path, sizeof path, "%s/log", dir);
    handle->sync = options->sync;
    handle->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (options->sync ? 0 : O_APPEND), 0666);
    if (handle->fd < 0) bench_die("bare: %s: %s", path, strerror(errno));
    if (options->sync) write_region(handle->fd);
    return handle;
}

static void close_bare(void *db)
{
    struct bare_handle *handle = db;
    close(handle->fd);
    free(handle);
}

static void *open_bare_session(void *db)
{
    return db;
}

static void close_bare_session(void *session)
{
    (void)session;
}

static struct iovec part_of(struct bytes_view bytes)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len};
}

static void put_bare(void *session, struct bytes_view key, struct bytes_view value)
{
    struct bare_handle *handle = session;
    const struct iovec parts[2] = {part_of(key), part_of(value)};
    const size_t bytes = key.len + value.len;
    ssize_t done = 0;
    if (handle->sync) {
        const unsigned long at = atomic_fetch_add(&handle->offset, bytes);
        done = pwritev2(handle->fd, parts, 2, (off_t)(at % (REGION_BYTES - bytes)), RWF_DSYNC);
    } else {
        done = writev(handle->fd, parts, 2);
    }
    if (done != (ssize_t)bytes) bench_die("bare: write: %s", strerror(errno));
}

static void remove_bare(void *session, struct bytes_view key)
{
    put_bare(session, key, (struct bytes_view){"", 0});
}

static void put_bare_batch(void *session, const struct bytes_view *keys,
                           const struct bytes_view *values, size_t count)
{
    const struct bare_handle *handle = session;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += keys[i].len + values[i].len;
    char *batch = bench_alloc(bytes), *end = batch;
    for (size_t i = 0; i < count; i++) {
        end = (char *)memcpy(end, keys[i].data, keys[i].len) + keys[i].len;
        end = (char *)memcpy(end, values[i].data, values[i].len) + values[i].len;
    }
    if (write(handle->fd, batch, bytes) != (ssize_t)bytes)
        bench_die("bare: write: %s", strerror(errno));
    free(batch);
}

const struct engine engine_bare = {
    .name = "bare",
    .settings =
        "no store: one write(2) a put; sync rows: one pwritev2(RWF_DSYNC) into written blocks",
    .is_device = true,
    .version = describe_bare,
    .open = open_bare,
    .close = close_bare,
    .session_open = open_bare_session,
    .session_close = close_bare_session,
    .put = put_bare,
    .remove = remove_bare,
    .put_batch = put_bare_batch,
};
