/*
 * object.c - objects: written once from front to back, then read at offsets; see storage.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/store.h"

enum { OBJECT_BUFFER_BYTES = 1 << 20, OBJECT_REWRITE_BYTES = 64 << 10, OBJECT_PIECE_BYTES = 4096 };

static const char copy_name[] = "copy.new"; /* of what has no name of its own yet */

struct object {
    struct store *store;
    int fd;
    uint64_t bytes;
    char name[]; /* of any length: it may be no name of ours */
};

struct object_writer {
    struct store *store;
    int fd;           /* -1 once closed */
    uint8_t *buffer;  /* OBJECT_BUFFER_BYTES */
    size_t buffered;  /* of them filled */
    uint64_t written; /* handed to the system */
    char name[OBJECT_NAME_BYTES];
};

static void set_object_name(char dst[OBJECT_NAME_BYTES], const char *name)
{
    const size_t len = strlen(name);
    check(len < OBJECT_NAME_BYTES);
    memcpy(dst, name, len + 1);
}

/* ---- reading ---- */

static loam_status open_existing(struct store *store, const char *name, enum sys_open how, int *fd)
{
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int opened = store->sys.calls->open(store->sys.ctx, store->dir, name, how);
    if (opened == -ENOENT) return LOAM_NOTFOUND;
    if (opened < 0) return not_full(failed_errno(-opened, "%s%s: opening it", store->prefix, name));
    *fd = opened;
    return LOAM_OK;
}

loam_status object_open(struct store *store, const char *name, struct object **out)
{
    const struct sys_table sys = store->sys;
    int fd = -1;
    const size_t name_bytes = strlen(name) + 1;
    struct object *object = mem_zalloc(sizeof *object + name_bytes);
    if (object == NULL) return LOAM_NOMEM;
    loam_status rc = open_existing(store, name, SYS_READ, &fd);
    if (rc != LOAM_OK) goto out;
    object->store = store;
    object->fd = fd;
    memcpy(object->name, name, name_bytes);
    const int sized = sys.calls->size(sys.ctx, fd, &object->bytes);
    if (sized < 0) {
        rc = not_full(failed_errno(-sized, "%s%s: asking for its size", store->prefix, name));
        goto out;
    }
    *out = object;
    return LOAM_OK;
out:
    if (fd >= 0) (void)sys.calls->close(sys.ctx, fd);
    mem_free(object);
    return rc;
}

/* Exactly len bytes. */
static loam_status read_whole(struct store *store, const char *name, int fd, uint64_t offset,
                              loam_buf dst)
{
    size_t got = dst.len;
    const int result = file_read(store->sys, fd, offset, dst.data, &got);
    if (result < 0)
        return not_full(failed_errno(-result, "%s%s: reading %zu bytes at %" PRIu64, store->prefix,
                                     name, dst.len, offset));
    if (got < dst.len)
        return failed(LOAM_CORRUPT, "%s%s: ends at byte %" PRIu64, store->prefix, name,
                      offset + got);
    return LOAM_OK;
}

loam_status object_read(struct object *object, uint64_t offset, void *dst, size_t len)
{
    /* An offset from a damaged file may lie anywhere; the system's are signed. */
    if (offset > object->bytes || len > object->bytes - offset)
        return failed(LOAM_CORRUPT, "%s%s: ends at byte %" PRIu64, object->store->prefix,
                      object->name, object->bytes);
    return read_whole(object->store, object->name, object->fd, offset, (loam_buf){dst, len, len});
}

bool object_was_refused(void)
{
    return loam_errno() == EACCES || loam_errno() == EPERM;
}

loam_status object_read_salvage(struct object *object, uint64_t offset, void *dst, size_t len,
                                size_t *lost)
{
    loam_status rc = object_read(object, offset, dst, len);
    *lost = 0;
    if (rc != LOAM_IOERR && rc != LOAM_CORRUPT) return rc;
    for (size_t at = 0; at < len; at += OBJECT_PIECE_BYTES) {
        const size_t piece = len - at < OBJECT_PIECE_BYTES ? len - at : OBJECT_PIECE_BYTES;
        rc = object_read(object, offset + at, (uint8_t *)dst + at, piece);
        if (rc == LOAM_OK) continue;
        if (rc != LOAM_IOERR && rc != LOAM_CORRUPT) return rc;
        memset((uint8_t *)dst + at, 0, piece);
        *lost += piece;
    }
    return LOAM_OK;
}

loam_status object_load_salvage(struct store *store, const char *name, uint64_t limit,
                                struct object_load *load)
{
    struct object *object = NULL;
    load->bytes.len = load->lost = 0;
    loam_status rc = object_open(store, name, &object);
    if (rc == LOAM_IOERR && !object_was_refused()) rc = LOAM_CORRUPT;
    if (rc != LOAM_OK || object == NULL) return rc;
    load->size = object_bytes(object);
    const size_t len = (size_t)(load->size < limit ? load->size : limit);
    rc = buf_reserve(&load->bytes, len > 0 ? len : 1);
    if (rc == LOAM_NOMEM)
        rc = failed(rc, "%s%s: has %zu bytes, for which there is no memory", store->prefix, name,
                    len);
    if (rc == LOAM_OK) rc = object_read_salvage(object, 0, load->bytes.data, len, &load->lost);
    if (rc == LOAM_OK) load->bytes.len = len;
    object_close(object);
    return rc;
}

void object_will_need(struct object *object, uint64_t offset, uint64_t len)
{
    const struct sys_table sys = object->store->sys;
    sys.calls->will_need(sys.ctx, object->fd, offset, len);
}

uint64_t object_bytes(const struct object *object)
{
    return object->bytes;
}

const char *object_name(const struct object *object)
{
    return object->name;
}

void object_close(struct object *object)
{
    if (object == NULL) return;
    const struct sys_table sys = object->store->sys;
    (void)sys.calls->close(sys.ctx, object->fd); /* nothing was written: nothing can be lost */
    mem_free(object);
}

loam_status object_link(struct store *store, const char *name, struct store *to)
{
    check(!to->read_only);
    loam_status rc = store_usable(store);
    if (rc == LOAM_OK) rc = store_usable(to);
    if (rc < 0) return rc;
    const int linked = store->sys.calls->link(store->sys.ctx, store->dir, name, to->dir);
    switch (-linked) {
    case 0:
        return LOAM_OK;
    case EEXIST: /* which a copy replaces whole */
    case ENOENT:
    case EXDEV:  /* another file system */
    case EPERM:  /* one that has no links, or a system that allows none to others' files */
    case EMLINK: /* as many as there may be */
    case EOPNOTSUPP:
        return LOAM_NOTFOUND;
    default:
        return failed_errno(-linked, "%s%s: linking it", to->prefix, name);
    }
}

/* ---- rewriting ---- */

struct byte_range {
    uint64_t offset, len;
};

static loam_status rewrite_range(struct store *store, const char *name, int fd,
                                 struct byte_range range, loam_slice front)
{
    loam_status rc = LOAM_OK;
    uint8_t *bytes = mem_alloc(OBJECT_REWRITE_BYTES);
    if (bytes == NULL) return LOAM_NOMEM;
    while (range.len > 0 && rc == LOAM_OK) {
        const size_t len = range.len < OBJECT_REWRITE_BYTES ? range.len : OBJECT_REWRITE_BYTES;
        rc = read_whole(store, name, fd, range.offset, (loam_buf){bytes, len, len});
        if (rc < 0) break;
        const size_t first = front.len < len ? front.len : len;
        if (first > 0) {
            memcpy(bytes, front.data, first);
            front = loam_bytes((const uint8_t *)front.data + first, front.len - first);
        }
        const struct sys_piece piece = {bytes, len};
        const int result = file_write(store->sys, fd, range.offset, piece, false);
        if (result < 0)
            rc = failed_errno(-result, "%s%s: writing %zu bytes again at %" PRIu64, store->prefix,
                              name, len, range.offset);
        range.offset += len;
        range.len -= len;
    }
    mem_free(bytes);
    return rc;
}

loam_status object_rewrite(struct store *store, const char *name, uint64_t offset, uint64_t len,
                           loam_slice front)
{
    const struct sys_table sys = store->sys;
    int fd = -1;
    check(!store->read_only);
    loam_status rc = open_existing(store, name, SYS_READ_WRITE, &fd);
    if (rc != LOAM_OK) return rc;
    rc = rewrite_range(store, name, fd, (struct byte_range){offset, len}, front);
    if (rc == LOAM_OK) {
        const int synced = sys.calls->sync(sys.ctx, fd);
        if (synced < 0) rc = failed_errno(-synced, "%s%s: syncing it", store->prefix, name);
    }
    const int closed = sys.calls->close(sys.ctx, fd);
    if (rc == LOAM_OK && closed < 0)
        rc = failed_errno(-closed, "%s%s: closing it", store->prefix, name);
    return rc;
}

/* ---- writing ---- */

loam_status object_create(struct store *store, const char *name, struct object_writer **out)
{
    check(!store->read_only);
    struct object_writer *writer = mem_zalloc(sizeof *writer);
    if (writer == NULL) return LOAM_NOMEM;
    loam_status rc = LOAM_NOMEM;
    writer->buffer = mem_alloc(OBJECT_BUFFER_BYTES);
    if (writer->buffer != NULL) rc = store_create(store, name, &writer->fd);
    if (rc < 0) {
        mem_free(writer->buffer);
        mem_free(writer);
        return rc;
    }
    writer->store = store;
    set_object_name(writer->name, name);
    *out = writer;
    return LOAM_OK;
}

/* The device gets its work early, so that the sync at the end finds little left. */
static loam_status write_buffer(struct object_writer *writer)
{
    struct store *store = writer->store;
    const uint64_t offset = writer->written;
    const size_t len = writer->buffered;
    const struct sys_piece piece = {writer->buffer, len};
    int result = file_write(store->sys, writer->fd, offset, piece, false);
    if (result == 0) result = store_write_out(store, writer->fd, offset, len);
    if (result < 0)
        return failed_errno(-result, "%s%s: writing %zu bytes at %" PRIu64, store->prefix,
                            writer->name, len, offset);
    writer->written += len;
    writer->buffered = 0;
    return LOAM_OK;
}

loam_status object_append(struct object_writer *writer, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        const size_t room = OBJECT_BUFFER_BYTES - writer->buffered;
        const size_t part = len < room ? len : room;
        memcpy(writer->buffer + writer->buffered, from, part);
        writer->buffered += part;
        from += part;
        len -= part;
        if (writer->buffered < OBJECT_BUFFER_BYTES) break;
        const loam_status rc = write_buffer(writer);
        if (rc < 0) return rc;
    }
    return LOAM_OK;
}

/* Read into the writer's own buffer. */
loam_status object_append_from(struct object_writer *writer, struct object *from, uint64_t bytes,
                               loam_status (*noted)(void *ctx, uint64_t bytes), void *ctx)
{
    loam_status rc = LOAM_OK;
    for (uint64_t at = 0; rc == LOAM_OK && at < bytes;) {
        const size_t room = OBJECT_BUFFER_BYTES - writer->buffered;
        const size_t len = bytes - at < room ? (size_t)(bytes - at) : room;
        rc = object_read(from, at, writer->buffer + writer->buffered, len);
        if (rc < 0) break;
        at += len;
        writer->buffered += len;
        if (writer->buffered == OBJECT_BUFFER_BYTES) rc = write_buffer(writer);
        if (rc == LOAM_OK && noted != NULL) rc = noted(ctx, len);
    }
    return rc;
}

uint64_t object_written(const struct object_writer *writer)
{
    return writer->written + writer->buffered;
}

static void free_writer(struct object_writer *writer)
{
    mem_free(writer->buffer);
    mem_free(writer);
}

loam_status object_finish_as(struct object_writer *writer, const char *name)
{
    struct store *store = writer->store;
    const struct sys_table sys = store->sys;
    loam_status rc = write_buffer(writer);
    if (rc < 0) return rc;
    const int synced = sys.calls->sync(sys.ctx, writer->fd);
    if (synced < 0) return failed_errno(-synced, "%s%s: syncing it", store->prefix, writer->name);
    const int closed = sys.calls->close(sys.ctx, writer->fd);
    writer->fd = -1;
    if (closed < 0) return failed_errno(-closed, "%s%s: closing it", store->prefix, writer->name);
    if (strcmp(name, writer->name) != 0) {
        const int renamed = sys.calls->rename(sys.ctx, store->dir, writer->name, name);
        if (renamed < 0)
            return failed_errno(-renamed, "%s%s: naming it %s", store->prefix, writer->name, name);
        set_object_name(writer->name, name);
    }
    rc = store_sync_names(store);
    if (rc < 0) return rc;
    free_writer(writer);
    return LOAM_OK;
}

loam_status object_finish(struct object_writer *writer)
{
    return object_finish_as(writer, writer->name);
}

void object_abandon(struct object_writer *writer)
{
    if (writer == NULL) return;
    const struct sys_table sys = writer->store->sys;
    /* What is left behind has a name nobody lists in a version; the next open clears it away. */
    if (writer->fd >= 0) (void)sys.calls->close(sys.ctx, writer->fd);
    if (!store_is_child(writer->store)) (void)store_remove(writer->store, writer->name);
    free_writer(writer);
}

static loam_status give_copy(struct store *store, const char *name, struct store *to)
{
    struct object *object = NULL;
    struct object_writer *writer = NULL;
    loam_status rc = object_open(store, name, &object);
    if (object == NULL) return rc;
    rc = object_create(to, copy_name, &writer);
    if (rc == LOAM_OK) rc = object_append_from(writer, object, object_bytes(object), NULL, NULL);
    if (rc == LOAM_OK) rc = object_finish_as(writer, name);
    if (rc != LOAM_OK) object_abandon(writer);
    object_close(object);
    return rc;
}

loam_status object_give(struct store *store, const char *name, struct store *to)
{
    const loam_status rc = object_link(store, name, to);
    return rc == LOAM_NOTFOUND ? give_copy(store, name, to)
           : rc == LOAM_OK     ? store_sync_names(to)
                               : rc;
}
