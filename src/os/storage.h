/*
 * storage.h - the engine's whole view of a disk: a store of named objects and one root.
 *
 * Role: the upper seam. An object is created exclusively, written once from front to
 *   back, made durable, read at offsets, deleted. The root is one small value that is
 *   replaced atomically. Logs, which are appended to for long, are in os/log.h.
 *   Another implementation may stand on a replicated object store: no rename of data,
 *   no dependence on listing, nothing mapped is visible above.
 * Invariants: (1) a store has one writing owner: flock on the directory, and a registry
 *   by device and inode in the process; several readers may share it. (2) object_finish()
 *   returns only when bytes and name are durable. (3) after fork() the child's stores are
 *   closed and useless. (4) a failed sync is never tried again.
 * Errors: all calls: LOAM_IOERR with path and reason, LOAM_FULL, LOAM_NOMEM.
 * Threads: a store and an object may be used by any number; a writer by one at a time.
 * In the picture: os layer; storage.c, on the table of sys.h.
 */
#ifndef LOAM_OS_STORAGE_H
#define LOAM_OS_STORAGE_H

#include <loam.h>

#include "os/names.h"
#include "os/sys.h"

struct store;
struct object;        /* open for reading */
struct object_writer; /* being written */

enum { STORE_ROOT_BYTES_MAX = 4096, OBJECT_NAME_BYTES = 32 };

struct store_options {
    bool read_only; /* shared lock; nothing is created or written */
    bool must_exist, must_not_exist;
    uint64_t log_bytes_least; /* 0: 256 KiB; tests take less, to cross more boundaries sooner */
    bool salvage;             /* with read_only: whatever stands there, also without a root */
    bool unlocked;            /* with read_only: beside whoever writes; what is read may be torn */
    bool
        bare; /* no store but a directory of objects, each of which appears whole: neither locked nor asked for a root */
};

/* Opens or creates dir and locks it. Creation makes the directory where it is missing (its last
   component only). LOAM_LOCKED names the owner's pid; LOAM_IOERR with ENOENT / EEXIST as the options
   ask; LOAM_INVALID where dir holds something that is no store (any file that is not ours, without a
   root), LOAM_IOERR on NFS; LOAM_CORRUPT where objects of ours stand without a root. *is_new says
   that there is no root yet: the caller then swaps in the first one. A read-only open of a directory
   without a store is LOAM_IOERR with ENOENT. */
LOAM_MUST loam_status store_open(struct sys_table sys, const char *dir,
                                 const struct store_options *options, bool *is_new,
                                 struct store **out);
void store_close(struct store *store); /* unlocks; accepts NULL */
/* Looks at path without a lock: it is the store's directory, and *name becomes empty, or else a file, and *name the last part of
   path. Whether there is such a file is not asked. */
LOAM_MUST loam_status store_look(struct sys_table sys, const char *path, const char **name,
                                 struct store **out);

const char *store_path(const struct store *store); /* as given to store_open; for messages */
/* Is path the store's directory, or something in it? For who must not write there. */
LOAM_MUST loam_status store_holds(const struct store *store, const char *path, bool *holds);
struct sys_table store_sys(const struct store *store);
bool store_is_mappable(const struct store *store); /* may its files be mapped for writing? */
uint64_t store_log_bytes_least(const struct store *store); /* a log file has at least this size */
bool store_is_child(const struct store *store); /* true in a process forked after the open */

/* Somebody commits durably: for a while, background writing leaves him half of the device. */
void store_note_commit(struct store *store);

/* The root, whole. read: LOAM_NOTFOUND where there is none; buf gets the bytes (at most
   STORE_ROOT_BYTES_MAX, else LOAM_CORRUPT). swap: written aside, synced, renamed, directory synced;
   durable when it returns LOAM_OK. After a failure the root is the old or the new one. */
LOAM_MUST loam_status store_root_read(struct store *store, loam_buf *buf);
LOAM_MUST loam_status store_root_swap(struct store *store, loam_slice bytes);

/* Calls each(ctx, name) for every object (not the root, not `owner`); for cleaning up only. */
LOAM_MUST loam_status store_list(struct store *store, void (*each)(void *ctx, const char *name),
                                 void *ctx);
/* The same for all other names but the root's and `owner`: what is no part of a store. */
LOAM_MUST loam_status store_list_foreign(struct store *store,
                                         void (*each)(void *ctx, const char *name), void *ctx);
/* "a socket", of what has a name and is no file; NULL: it is one, or nobody knows. Nothing is opened: a device may not like it. */
const char *store_odd_kind(const struct store *store, const char *name);
/* All objects of a kind, by epoch and number; *ids is the caller's to mem_free(). */
LOAM_MUST loam_status store_objects(struct store *store, enum object_kind kind,
                                    struct object_id **ids, size_t *count);
LOAM_MUST loam_status store_delete(struct store *store, const char *name); /* absent is OK */
/* Deletes the root, and then all objects, of one that was begun and is given up. What cannot be deleted stays, and is no store. */
void store_clear(struct store *store);
LOAM_MUST loam_status store_free_bytes(struct store *store, uint64_t *bytes);

/* Reading. open: LOAM_NOTFOUND where there is no such object. read: exactly len bytes, or
   LOAM_CORRUPT "NAME: ends at byte N" where the object ends first. will_need announces a read. */
LOAM_MUST loam_status object_open(struct store *store, const char *name, struct object **out);
LOAM_MUST loam_status object_read(struct object *object, uint64_t offset, void *dst, size_t len);
/* For salvage: what the device does not give, in pieces of 4 KiB, becomes zeros and is counted in
   *lost. LOAM_NOMEM and LOAM_MISUSE only. */
LOAM_MUST loam_status object_read_salvage(struct object *object, uint64_t offset, void *dst,
                                          size_t len, size_t *lost);
/* Likewise the first bytes of an object, at most limit. LOAM_NOTFOUND: there is none; LOAM_CORRUPT: it is there, and the device does
   not open it. */
struct object_load {
    loam_buf bytes; /* the caller's to free, whatever is answered */
    uint64_t size;  /* of the object */
    size_t lost;
};
LOAM_MUST loam_status object_load_salvage(struct store *store, const char *name, uint64_t limit,
                                          struct object_load *load);
/* Is the latest LOAM_IOERR a refusal of permission? For salvage, to which only what a device fails to give is damage. */
bool object_was_refused(void);
void object_will_need(struct object *object, uint64_t offset, uint64_t len);
/* Gives an object a second name, the same one, in another store; durable with the next object that is finished there.
   LOAM_NOTFOUND: the two cannot share a file, there is none, or one of that name is there already. */
LOAM_MUST loam_status object_link(struct store *store, const char *name, struct store *to);
/* The same, or a copy where that cannot be, which also replaces one of that name; whole and durable when it returns.
   LOAM_NOTFOUND: there is none. */
LOAM_MUST loam_status object_give(struct store *store, const char *name, struct store *to);
uint64_t object_bytes(const struct object *object); /* its size when it was opened */
const char *object_name(const struct object *object);
void object_close(struct object *object);

/* Reads [offset, offset + len) and writes the same bytes back, then syncs: for bytes that were
   read from a page cache which a failed writeback may have left clean but not on the medium. front: what the first
   of them should be, whatever they are. */
LOAM_MUST loam_status object_rewrite(struct store *store, const char *name, uint64_t offset,
                                     uint64_t len, loam_slice front);

/* Writing. A name that is there already (left by a crash) is deleted first: names carry the
   epoch of their owner, so nobody else can mean it. append buffers up to 1 MiB and starts
   write-back behind itself; finish writes the rest, syncs the object and the directory, and frees
   the writer; abandon deletes the object and frees the writer. After any failure the only calls
   left are abandon. */
LOAM_MUST loam_status object_create(struct store *store, const char *name,
                                    struct object_writer **out);
LOAM_MUST loam_status object_append(struct object_writer *writer, const void *bytes, size_t len);
/* Appends the first bytes of another object. noted(), or NULL, hears of each piece; what it answers but LOAM_OK is the end of it. */
LOAM_MUST loam_status object_append_from(struct object_writer *writer, struct object *from,
                                         uint64_t bytes,
                                         loam_status (*noted)(void *ctx, uint64_t bytes),
                                         void *ctx);
uint64_t object_written(const struct object_writer *writer);
LOAM_MUST loam_status object_finish(struct object_writer *writer);
/* The same under another name, which appears when it is whole. */
LOAM_MUST loam_status object_finish_as(struct object_writer *writer, const char *name);
void object_abandon(struct object_writer *writer); /* accepts NULL */

#endif
