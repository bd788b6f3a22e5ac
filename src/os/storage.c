/*
 * storage.c - stores: their lock, their root, their names; see storage.h. Objects are in object.c.
 */
#include "os/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/names.h"
#include "os/store.h"

enum { STORE_LOG_BYTES_LEAST = 256 << 10 };

static const char root_name[] = "root", root_new_name[] = "root.new", owner_name[] = "owner";

/* ---- the registry: which directories this process has open ---- */

static struct mutex registry_lock = MUTEX_INITIALIZER; /* guards the two below */
static struct store *registry_first;
static bool registry_has_handlers;

static void registry_before_fork(void) UNCHECKED_LOCKS
{
    mutex_lock(&registry_lock);
}

static void registry_after_fork_in_parent(void) UNCHECKED_LOCKS
{
    mutex_unlock(&registry_lock);
}

/* The child's copy of a directory is closed, not unlocked: the lock is the parent's. Were
   the copy left open, the lock would outlive a parent that is killed. */
static void registry_after_fork_in_child(void) UNCHECKED_LOCKS
{
    while (registry_first != NULL) {
        struct store *store = registry_first;
        registry_first = store->next;
        store->registered = false;
        atomic_store_explicit(&store->child, true, memory_order_relaxed);
        if (store->dir >= 0) (void)store->sys.calls->close(store->sys.ctx, store->dir);
        store->dir = -1;
    }
    mutex_unlock(&registry_lock);
}

static bool registry_conflicts(const struct store *store)
{
    for (const struct store *other = registry_first; other != NULL; other = other->next) {
        if (other->identity.device != store->identity.device) continue;
        if (other->identity.inode != store->identity.inode) continue;
        if (other->unlocked || store->unlocked) continue;
        if (!other->read_only || !store->read_only) return true;
    }
    return false;
}

static bool registry_add(struct store *store)
{
    mutex_lock(&registry_lock);
    if (!registry_has_handlers) {
        fork_handlers(registry_before_fork, registry_after_fork_in_parent,
                      registry_after_fork_in_child);
        registry_has_handlers = true;
    }
    store->registered = !registry_conflicts(store);
    if (store->registered) {
        store->next = registry_first;
        registry_first = store;
    }
    const bool added = store->registered;
    mutex_unlock(&registry_lock);
    return added;
}

/* Unlocks and closes the directory in one step with leaving the registry: a fork in between would
   close a descriptor in the child that is somebody else's by now. The close alone would leave the
   lock to a child that has been forked and has not run yet. */
static void registry_leave(struct store *store)
{
    mutex_lock(&registry_lock);
    if (store->registered) {
        struct store **link = &registry_first;
        while (*link != store)
            link = &(*link)->next;
        *link = store->next;
        store->registered = false;
    }
    if (store->dir >= 0) {
        if (!store->unlocked) (void)store->sys.calls->unlock_dir(store->sys.ctx, store->dir);
        (void)store->sys.calls->close(store->sys.ctx, store->dir);
    }
    store->dir = -1;
    mutex_unlock(&registry_lock);
}

/* ---- opening ---- */

static struct store *new_store(struct sys_table sys, const char *dir,
                               const struct store_options *options)
{
    struct store *store = mem_zalloc(sizeof *store);
    if (store == NULL) return NULL;
    size_t len = strlen(dir);
    store->path = mem_copy(dir, len + 1);
    store->prefix = store->path == NULL ? NULL : mem_alloc(len + 2);
    if (store->prefix == NULL) {
        mem_free(store->path);
        mem_free(store);
        return NULL;
    }
    while (len > 0 && dir[len - 1] == '/')
        len--;
    memcpy(store->prefix, dir, len);
    memcpy(store->prefix + len, "/", 2);
    store->sys = sys;
    store->dir = -1;
    store->read_only = options->read_only;
    store->unlocked = options->unlocked;
    store->log_bytes_least =
        options->log_bytes_least > 0 ? options->log_bytes_least : STORE_LOG_BYTES_LEAST;
    mutex_init(&store->root_lock);
    return store;
}

void store_close(struct store *store)
{
    if (store == NULL) return;
    if (store->owner_written) (void)store_remove(store, owner_name);
    registry_leave(store);
    mutex_deinit(&store->root_lock);
    mem_free(store->prefix);
    mem_free(store->path);
    mem_free(store);
}

static loam_status open_failed(const struct store *store, int error)
{
    if (error == ENOTDIR)
        return failed(LOAM_INVALID, "%s: is not a directory; a store is one", store->path);
    return failed_errno(error, "%s: opening the directory", store->path);
}

static loam_status make_missing_dir(struct store *store)
{
    const struct sys *calls = store->sys.calls;
    const int made = calls->make_dir(store->sys.ctx, store->path);
    if (made == -ENOENT)
        return failed_errno(ENOENT, "%s: the directory above it is missing; create that first",
                            store->path);
    if (made < 0 && made != -EEXIST) return failed_errno(-made, "%s: creating it", store->path);
    return LOAM_OK;
}

static loam_status open_directory(struct store *store, const struct store_options *options)
{
    const struct sys *calls = store->sys.calls;
    const bool may_create = !options->read_only && !options->must_exist;
    int dir = calls->open_dir(store->sys.ctx, store->path);
    if (dir == -ENOENT && may_create) {
        const loam_status rc = make_missing_dir(store);
        if (rc < 0) return rc;
        dir = calls->open_dir(store->sys.ctx, store->path);
    }
    if (dir < 0) return open_failed(store, -dir);
    store->dir = dir;
    const int identified = calls->identify(store->sys.ctx, dir, &store->identity);
    if (identified < 0) return failed_errno(-identified, "%s: identifying it", store->path);
    const int found = calls->fs_kind(store->sys.ctx, dir, &store->fs);
    if (found < 0) return failed_errno(-found, "%s: asking for its file system", store->path);
    if (store->fs == SYS_FS_NETWORK && !options->bare)
        return failed_errno(EOPNOTSUPP,
                            "%s: is on a network file system; use a local one, locks and syncs "
                            "are not safe there",
                            store->path);
    return LOAM_OK;
}

/* Speaks of whoever holds the lock: the pid in `owner` is right as long as a writer holds it. */
static loam_status locked_by_other(struct store *store)
{
    const struct sys_table sys = store->sys;
    uint64_t pid = 0;
    /* Where a shared lock is to be had, those in the way are readers, and `owner` is out of date.
       It is given back by the close that follows. */
    if (!store->read_only && sys.calls->lock_dir(sys.ctx, store->dir, false) == 0)
        return failed(LOAM_LOCKED, "%s: locked by a process that reads it; close it there or wait",
                      store->path);
    char text[24] = "";
    size_t len = sizeof text - 1;
    const int fd = sys.calls->open(sys.ctx, store->dir, owner_name, SYS_READ);
    if (fd >= 0) {
        if (file_read(sys, fd, 0, text, &len) < 0) len = 0;
        (void)sys.calls->close(sys.ctx, fd);
        for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9' && pid < UINT32_MAX; i++)
            pid = pid * 10 + (uint64_t)(text[i] - '0');
    }
    if (pid == 0)
        return failed(LOAM_LOCKED, "%s: locked by another process; close it there or wait",
                      store->path);
    return failed(LOAM_LOCKED, "%s: locked by process %" PRIu64 "; close it there or wait",
                  store->path, pid);
}

static loam_status lock_store(struct store *store)
{
    const struct sys_table sys = store->sys;
    if (!registry_add(store))
        return failed(LOAM_LOCKED,
                      "%s: locked by process %" PRIu64 ", which is this one; close it first",
                      store->path, sys.calls->process_id(sys.ctx));
    if (store->unlocked) return LOAM_OK; /* it was only to be found by a fork */
    const int locked = sys.calls->lock_dir(sys.ctx, store->dir, !store->read_only);
    if (locked == -EWOULDBLOCK) return locked_by_other(store);
    return locked < 0 ? failed_errno(-locked, "%s: locking it", store->path) : LOAM_OK;
}

struct inventory {                  /* what stands in a directory besides the names of storage.c */
    char object[OBJECT_NAME_BYTES]; /* empty: none */
    char foreign[64];
};

static bool is_own_name(const char *name)
{
    return strcmp(name, root_name) == 0 || strcmp(name, root_new_name) == 0 ||
           strcmp(name, owner_name) == 0;
}

static void take_inventory(void *ctx, const char *name)
{
    struct inventory *found = ctx;
    enum object_kind kind;
    struct object_id id;
    if (is_own_name(name)) return;
    if (object_name_parse(name, &kind, &id))
        (void)snprintf(found->object, sizeof found->object, "%s", name);
    else
        (void)snprintf(found->foreign, sizeof found->foreign, "%s", name);
}

/* A directory without a root: may a store begin in it? */
static loam_status check_empty(struct store *store)
{
    struct inventory found = {"", ""};
    const int listed = store->sys.calls->list(store->sys.ctx, store->dir, take_inventory, &found);
    if (listed < 0) return failed_errno(-listed, "%s: listing it", store->path);
    if (found.object[0] != '\0')
        return failed(LOAM_CORRUPT,
                      "%sroot: is missing, but %s is there; restore it, or the whole directory, "
                      "from a copy",
                      store->prefix, found.object);
    if (found.foreign[0] != '\0')
        return failed(LOAM_INVALID,
                      "%s: is not a loam store (it holds `%s`); give an empty or a new directory",
                      store->path, found.foreign);
    return LOAM_OK;
}

static loam_status find_root(struct store *store, const struct store_options *options, bool *is_new)
{
    const struct sys_table sys = store->sys;
    *is_new = false;
    if (options->salvage) return LOAM_OK;
    const int fd = sys.calls->open(sys.ctx, store->dir, root_name, SYS_READ);
    if (fd >= 0) {
        (void)sys.calls->close(sys.ctx, fd);
        if (!options->must_not_exist) return LOAM_OK;
        return failed_errno(EEXIST, "%s: there is a store already", store->path);
    }
    if (fd != -ENOENT) return failed_errno(-fd, "%sroot: opening it", store->prefix);
    const loam_status rc = check_empty(store);
    if (rc < 0) return rc;
    if (options->read_only || options->must_exist)
        return failed_errno(ENOENT, "%s: there is no store in it", store->path);
    *is_new = true;
    /* The directory may be what a killed process made and did not sync. */
    return make_missing_dir(store);
}

/* For messages of others only: nothing depends on it, so its failures are nobody's. */
static void write_owner(struct store *store)
{
    const struct sys_table sys = store->sys;
    char text[24];
    const int len = snprintf(text, sizeof text, "%" PRIu64 "\n", sys.calls->process_id(sys.ctx));
    (void)store_remove(store, owner_name);
    const int fd = sys.calls->open(sys.ctx, store->dir, owner_name, SYS_CREATE);
    if (fd < 0) return;
    store->owner_written = true;
    (void)file_write(sys, fd, 0, (struct sys_piece){text, (size_t)len}, false);
    (void)sys.calls->close(sys.ctx, fd);
}

loam_status store_open(struct sys_table sys, const char *dir, const struct store_options *options,
                       bool *is_new, struct store **out)
{
    bool without_root = false;
    struct store *store = new_store(sys, dir, options);
    if (store == NULL) return LOAM_NOMEM;
    loam_status rc = open_directory(store, options);
    if (rc == LOAM_OK && !options->bare && !(options->unlocked && options->salvage))
        rc = lock_store(store);
    if (rc == LOAM_OK && options->bare && !options->read_only && !options->must_exist)
        rc = make_missing_dir(store); /* as in find_root() */
    if (rc == LOAM_OK && !options->bare) rc = find_root(store, options, &without_root);
    if (rc < 0) {
        store_close(store);
        return rc;
    }
    if (!store->read_only && !options->bare) write_owner(store);
    *is_new = without_root;
    *out = store;
    return LOAM_OK;
}

loam_status store_look(struct sys_table sys, const char *path, const char **name,
                       struct store **out)
{
    const struct store_options options = {
        .read_only = true, .must_exist = true, .salvage = true, .unlocked = true};
    const char *slash = strrchr(path, '/');
    bool is_new;
    const int dir = sys.calls->open_dir(sys.ctx, path);
    if (dir >= 0) (void)sys.calls->close(sys.ctx, dir);
    const bool is_file = dir == -ENOTDIR || dir == -ENOENT;
    *name = !is_file ? "" : slash == NULL ? path : slash + 1;
    if ((*name)[0] == '\0') return store_open(sys, path, &options, &is_new, out);
    if (slash == NULL) return store_open(sys, ".", &options, &is_new, out);
    const size_t len = slash > path ? (size_t)(slash - path) : 1;
    char *parent = mem_zalloc(len + 1);
    if (parent == NULL) return LOAM_NOMEM;
    memcpy(parent, path, len);
    const loam_status rc = store_open(sys, parent, &options, &is_new, out);
    mem_free(parent);
    return rc;
}

const char *store_path(const struct store *store)
{
    return store->path;
}

/* *there is false where there is no such directory. */
static loam_status identify_path(const struct store *store, const char *path,
                                 struct sys_identity *identity, bool *there)
{
    const struct sys *calls = store->sys.calls;
    const int dir = calls->open_dir(store->sys.ctx, path);
    *there = dir != -ENOENT && dir != -ENOTDIR;
    if (!*there) return LOAM_OK;
    if (dir < 0) return failed_errno(-dir, "%s: opening the directory", path);
    const int identified = calls->identify(store->sys.ctx, dir, identity);
    (void)calls->close(store->sys.ctx, dir);
    return identified < 0 ? failed_errno(-identified, "%s: identifying it", path) : LOAM_OK;
}

static bool is_same_directory(struct sys_identity a, struct sys_identity b)
{
    return a.device == b.device && a.inode == b.inode;
}

/* Goes up from path, or from where it would be made, until a directory is its own parent. */
loam_status store_holds(const struct store *store, const char *path, bool *holds)
{
    struct sys_identity here = {0}, below = {0};
    loam_buf at = {0};
    bool there = false;
    size_t len = strlen(path);
    *holds = false;
    loam_status rc = identify_path(store, path, &here, &there);
    if (rc == LOAM_OK && !there) {
        while (len > 1 && path[len - 1] == '/')
            len--;
        while (len > 0 && path[len - 1] != '/')
            len--;
    }
    if (rc == LOAM_OK) rc = len > 0 ? buf_set(&at, path, len) : buf_set(&at, ".", 1);
    if (rc == LOAM_OK) rc = buf_append(&at, "", 1);
    if (rc == LOAM_OK && !there) rc = identify_path(store, at.data, &here, &there);
    while (rc == LOAM_OK && there && !*holds && !is_same_directory(here, below)) {
        *holds = is_same_directory(here, store->identity);
        below = here;
        at.len--; /* the zero at its end */
        rc = buf_append(&at, "/..", 4);
        if (rc == LOAM_OK) rc = identify_path(store, at.data, &here, &there);
    }
    loam_buf_free(&at);
    return rc;
}

struct sys_table store_sys(const struct store *store)
{
    return store->sys;
}

uint64_t store_log_bytes_least(const struct store *store)
{
    return store->log_bytes_least;
}

bool store_is_mappable(const struct store *store)
{
    return store->fs == SYS_FS_MAPPABLE;
}

bool store_is_child(const struct store *store)
{
    return atomic_load_explicit(&store->child, memory_order_relaxed);
}

loam_status store_usable(const struct store *store)
{
    if (!store_is_child(store)) return LOAM_OK;
    return failed(LOAM_MISUSE,
                  "%s: was opened before fork(); open it anew in the child, after the "
                  "parent has closed it",
                  store->path);
}

/* ---- names ---- */

loam_status store_sync_names(struct store *store)
{
    int error = atomic_load_explicit(&store->dir_error, memory_order_relaxed);
    if (error == 0) {
        error = -store->sys.calls->sync_dir(store->sys.ctx, store->dir);
        if (error == 0) return LOAM_OK;
        atomic_store_explicit(&store->dir_error, error, memory_order_relaxed);
    }
    (void)failed_errno(error, "%s: syncing the directory", store->path);
    return LOAM_IOERR; /* also for a full disk: it is never tried again, so making room does not help */
}

int store_remove(struct store *store, const char *name)
{
    const int removed = store->sys.calls->unlink(store->sys.ctx, store->dir, name);
    return removed == -ENOENT ? 0 : removed;
}

loam_status store_create(struct store *store, const char *name, int *fd)
{
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int removed = store_remove(store, name);
    if (removed < 0)
        return failed_errno(-removed, "%s%s: deleting an old one", store->prefix, name);
    const int created = store->sys.calls->open(store->sys.ctx, store->dir, name, SYS_CREATE);
    if (created < 0) return failed_errno(-created, "%s%s: creating it", store->prefix, name);
    *fd = created;
    return LOAM_OK;
}

struct listing {
    void (*each)(void *ctx, const char *name);
    void *ctx;
};

static void list_if_object(void *ctx, const char *name)
{
    const struct listing *listing = ctx;
    enum object_kind kind;
    struct object_id id;
    if (object_name_parse(name, &kind, &id)) listing->each(listing->ctx, name);
}

static void list_if_foreign(void *ctx, const char *name)
{
    const struct listing *listing = ctx;
    enum object_kind kind;
    struct object_id id;
    if (strcmp(name, root_name) == 0 || strcmp(name, owner_name) == 0) return;
    if (!object_name_parse(name, &kind, &id)) listing->each(listing->ctx, name);
}

static loam_status list_names(struct store *store, void (*each)(void *ctx, const char *name),
                              struct listing listing)
{
    const struct sys_table sys = store->sys;
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int listed = sys.calls->list(sys.ctx, store->dir, each, &listing);
    if (listed >= 0) return LOAM_OK;
    return not_full(failed_errno(-listed, "%s: listing it", store->path));
}

loam_status store_list(struct store *store, void (*each)(void *ctx, const char *name), void *ctx)
{
    return list_names(store, list_if_object, (struct listing){each, ctx});
}

loam_status store_list_foreign(struct store *store, void (*each)(void *ctx, const char *name),
                               void *ctx)
{
    return list_names(store, list_if_foreign, (struct listing){each, ctx});
}

const char *store_odd_kind(const struct store *store, const char *name)
{
    static const char *const kinds[] = {
        [SYS_FILE] = NULL,     [SYS_DIRECTORY] = "a directory", [SYS_LINK] = "a link",
        [SYS_FIFO] = "a fifo", [SYS_SOCKET] = "a socket",       [SYS_DEVICE] = "a device"};
    enum sys_kind kind = SYS_FILE;
    if (store->dir < 0) return NULL; /* in a forked child */
    const int asked = store->sys.calls->kind(store->sys.ctx, store->dir, name, &kind);
    return asked < 0 ? NULL : kinds[kind];
}

struct gathering {
    enum object_kind kind;
    struct object_id *ids;
    size_t count, cap;
    bool no_memory;
};

static void gather_object(void *ctx, const char *name)
{
    struct gathering *gathering = ctx;
    enum object_kind kind;
    struct object_id id;
    if (!object_name_parse(name, &kind, &id) || kind != gathering->kind) return;
    if (gathering->count == gathering->cap) {
        const size_t cap = gathering->cap == 0 ? 16 : gathering->cap * 2;
        struct object_id *grown = mem_realloc(gathering->ids, cap * sizeof *grown);
        gathering->no_memory |= grown == NULL;
        if (grown == NULL) return;
        gathering->ids = grown;
        gathering->cap = cap;
    }
    gathering->ids[gathering->count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    const struct object_id *left = a, *right = b;
    return object_id_before(*right, *left) - object_id_before(*left, *right);
}

loam_status store_objects(struct store *store, enum object_kind kind, struct object_id **ids,
                          size_t *count)
{
    struct gathering gathering = {.kind = kind};
    loam_status rc = store_list(store, gather_object, &gathering);
    if (rc == LOAM_OK && gathering.no_memory) rc = LOAM_NOMEM;
    if (rc < 0) {
        mem_free(gathering.ids);
        return rc;
    }
    if (gathering.count > 0)
        qsort(gathering.ids, gathering.count, sizeof *gathering.ids, compare_ids);
    *ids = gathering.ids;
    *count = gathering.count;
    return LOAM_OK;
}

loam_status store_delete(struct store *store, const char *name)
{
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int removed = store_remove(store, name);
    return removed < 0 ? failed_errno(-removed, "%s%s: deleting it", store->prefix, name) : LOAM_OK;
}

static void remove_object(void *ctx, const char *name)
{
    (void)store_remove(ctx, name);
}

void store_clear(struct store *store)
{
    check(!store->read_only);
    const int removed = store_remove(store, root_name);
    if (removed < 0) return; /* without objects it would be a damaged store */
    (void)store_remove(store, root_new_name);
    const loam_status listed = store_list(store, remove_object, store);
    (void)listed;
}

loam_status store_free_bytes(struct store *store, uint64_t *bytes)
{
    const struct sys_table sys = store->sys;
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int asked = sys.calls->free_bytes(sys.ctx, store->dir, bytes);
    return asked < 0 ? failed_errno(-asked, "%s: asking for free space", store->path) : LOAM_OK;
}

/* ---- the root ---- */

loam_status store_root_read(struct store *store, loam_buf *buf)
{
    uint8_t bytes[STORE_ROOT_BYTES_MAX];
    const struct sys_table sys = store->sys;
    size_t len = sizeof bytes;
    uint64_t size = 0;
    const loam_status rc = store_usable(store);
    if (rc < 0) return rc;
    const int fd = sys.calls->open(sys.ctx, store->dir, root_name, SYS_READ);
    if (fd == -ENOENT) return LOAM_NOTFOUND;
    if (fd < 0) return not_full(failed_errno(-fd, "%sroot: opening it", store->prefix));
    int result = sys.calls->size(sys.ctx, fd, &size);
    if (result == 0) result = file_read(sys, fd, 0, bytes, &len);
    (void)sys.calls->close(sys.ctx, fd);
    if (result < 0) return not_full(failed_errno(-result, "%sroot: reading it", store->prefix));
    if (size > sizeof bytes || len != size)
        return failed(LOAM_CORRUPT,
                      "%sroot: byte %zu: has %" PRIu64 " bytes, of which %zu are there; %d are "
                      "the most",
                      store->prefix, len, size, len, STORE_ROOT_BYTES_MAX);
    return buf_set(buf, bytes, len);
}

/* root.new, complete and durable but for its name. 0 or -errno. */
static int write_root_aside(struct store *store, int fd, loam_slice bytes)
{
    const struct sys_table sys = store->sys;
    int result = file_write(sys, fd, 0, (struct sys_piece){bytes.data, bytes.len}, false);
    if (result == 0) result = sys.calls->sync(sys.ctx, fd);
    const int closed = sys.calls->close(sys.ctx, fd);
    return result < 0 ? result : closed;
}

static loam_status swap_root_locked(struct store *store, loam_slice bytes)
    REQUIRES(store->root_lock)
{
    const struct sys_table sys = store->sys;
    int fd = -1;
    const loam_status rc = store_create(store, root_new_name, &fd);
    if (rc < 0) return rc;
    int result = write_root_aside(store, fd, bytes);
    if (result == 0) result = sys.calls->rename(sys.ctx, store->dir, root_new_name, root_name);
    if (result == 0) return store_sync_names(store);
    (void)store_remove(store, root_new_name);
    return failed_errno(-result, "%sroot: replacing it", store->prefix);
}

loam_status store_root_swap(struct store *store, loam_slice bytes)
{
    check(!store->read_only);
    check(bytes.len <= STORE_ROOT_BYTES_MAX);
    mutex_lock(&store->root_lock);
    const loam_status rc = swap_root_locked(store, bytes);
    mutex_unlock(&store->root_lock);
    return rc;
}
