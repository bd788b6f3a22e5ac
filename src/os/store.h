/*
 * store.h - the inside of a store, and the loops around the calls of sys.h.
 *
 * Role: what storage.c (lock, root, list), object.c and log.c share; the retries after EINTR and
 *   short counts live here, once.
 * Invariants: (1) dir is -1 in a forked child, so that no name can be reached from it. (2) After a
 *   failed sync of the directory every later one answers the same error.
 * In the picture: os layer; nobody outside os/ includes it.
 */
#ifndef LOAM_OS_STORE_H
#define LOAM_OS_STORE_H

#include <stdatomic.h>

#include "os/storage.h"
#include "os/thread.h"

struct store {
    struct sys_table sys;
    char *path;   /* as given */
    char *prefix; /* path with one '/' at its end: messages write prefix, name */
    int dir;
    bool read_only, unlocked;
    enum sys_fs fs;
    uint64_t log_bytes_least;
    struct sys_identity identity;
    struct store *next; /* in the registry; guarded by its lock */
    bool registered;    /* likewise */
    bool owner_written; /* `owner` is ours to remove */
    _Atomic bool child;
    _Atomic int dir_error;      /* errno of the first failed sync of dir; sticky */
    _Atomic uint64_t commit_ns; /* when a commit last waited for the device; 0: never. A hint. */
    struct mutex root_lock;
};

/* LOAM_MISUSE in a forked child. */
LOAM_MUST loam_status store_usable(const struct store *store);

/* Reading takes no room: whatever the system means by it, making room would not help. */
static inline loam_status not_full(loam_status rc)
{
    return rc == LOAM_FULL ? LOAM_IOERR : rc;
}

/* Makes names durable. */
LOAM_MUST loam_status store_sync_names(struct store *store);

/* Removes name; absent is fine. 0 or -errno. */
int store_remove(struct store *store, const char *name);

/* Removes a file of that name and creates it, empty. */
LOAM_MUST loam_status store_create(struct store *store, const char *name, int *fd);

/* 0 or -errno; a device that takes nothing is -EIO. */
int file_write(struct sys_table sys, int fd, uint64_t offset, struct sys_piece piece, bool durable);

/* Reads *len bytes, or as many as the file has; *len becomes their number. */
int file_read(struct sys_table sys, int fd, uint64_t offset, void *dst, size_t *len);

/* Has the device begin on bytes that were written and that nobody waits for. Beside durable commits, which would queue
   behind them, it goes by small pieces, each of which is waited for and followed by a pause as long: half of the
   device is theirs. 0, or -errno where a piece that was waited for failed. */
int store_write_out(struct store *store, int fd, uint64_t offset, uint64_t len);

#endif
