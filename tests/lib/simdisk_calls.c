/*
 * simdisk_calls.c - the table of system calls of the simulated disk; see simdisk.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "simdisk_inside.h"

/* ---- the gate that every counted call passes ---- */

static int enter(struct simdisk *disk)
{
    pthread_mutex_lock(&disk->lock);
    disk->calls++;
    disk->mono_ns += 100;
    disk->is_cutting = disk->cut_at != 0 && disk->calls == disk->cut_at;
    disk->is_off = disk->is_off || disk->is_cutting;
    disk->is_short = false;
    if (disk->is_off) return -EIO;
    if (disk->fail_at == 0 || disk->calls < disk->fail_at) return 0;
    if (disk->calls > disk->fail_at && !disk->fail_forever) return 0;
    disk->is_short = disk->fail_error == SIMDISK_SHORT;
    return disk->is_short ? 0 : -disk->fail_error;
}

static int64_t leave(struct simdisk *disk, int64_t result)
{
    if (disk->is_cutting) simdisk_end_process(disk);
    disk->is_cutting = false;
    pthread_mutex_unlock(&disk->lock);
    return result;
}

static int leave_int(struct simdisk *disk, int result)
{
    return (int)leave(disk, result);
}

static struct simdescriptor *descriptor_of(struct simdisk *disk, int fd)
{
    static struct simdescriptor none;
    none = (struct simdescriptor){0};
    return fd < 0 || (size_t)fd >= disk->descriptor_count ? &none : &disk->descriptors[fd];
}

static int new_descriptor(struct simdisk *disk, struct simdir *dir, struct simfile *file,
                          bool writable)
{
    disk->descriptors = sim_must(
        realloc(disk->descriptors, (disk->descriptor_count + 1) * sizeof *disk->descriptors));
    disk->descriptors[disk->descriptor_count] = (struct simdescriptor){
        dir, file, HELD_NOT, writable, file != NULL ? file->errors : 0, disk->is_beside};
    if (file != NULL) simfile_ref(file, true);
    return (int)disk->descriptor_count++;
}

/* ---- the table: directories ---- */

static int sim_make_dir(void *ctx, const char *path)
{
    struct simdisk *disk = ctx;
    int result = enter(disk);
    if (result < 0) return leave_int(disk, result);
    if (simdisk_find_dir(disk, path) != NULL) return leave_int(disk, -EEXIST);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    check(len < SIM_PATH_BYTES && disk->dir_count < sizeof disk->dirs / sizeof disk->dirs[0]);
    struct simdir *dir = sim_must(calloc(1, sizeof *dir));
    memcpy(dir->path, path, len);
    char *slash = strrchr(dir->path, '/');
    if (slash != NULL && slash != dir->path) {
        *slash = '\0';
        if (simdisk_find_dir(disk, dir->path) == NULL) result = -ENOENT;
        *slash = '/';
    }
    if (result == 0)
        disk->dirs[disk->dir_count++] = dir;
    else
        free(dir);
    return leave_int(disk, result);
}

static int sim_open_dir(void *ctx, const char *path)
{
    struct simdisk *disk = ctx;
    int result = enter(disk);
    if (result == 0) {
        struct simdir *dir = simdisk_find_dir(disk, path);
        result = dir != NULL ? new_descriptor(disk, dir, NULL, false) : -ENOENT;
    }
    return leave_int(disk, result);
}

/* The directory of fd, or NULL and *result says why; also passes the gate. */
static struct simdir *enter_dir(struct simdisk *disk, int fd, int *result)
{
    *result = enter(disk);
    struct simdir *dir = descriptor_of(disk, fd)->dir;
    if (*result == 0 && dir == NULL) *result = -EBADF;
    return *result == 0 ? dir : NULL;
}

static int sim_sync_dir(void *ctx, int fd)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    if (result == 0) simnames_settle(disk, dir);
    return leave_int(disk, result);
}

static int sim_lock_dir(void *ctx, int fd, bool exclusive)
{
    struct simdisk *disk = ctx;
    int result = enter(disk);
    struct simdescriptor *own = descriptor_of(disk, fd);
    if (result == 0 && own->dir == NULL) result = -EBADF;
    for (size_t i = 0; result == 0 && i < disk->descriptor_count; i++) {
        const struct simdescriptor *other = &disk->descriptors[i];
        if (other == own || other->dir != own->dir || other->held == HELD_NOT) continue;
        if (exclusive || other->held == HELD_EXCLUSIVE) result = -EWOULDBLOCK;
    }
    if (result == 0) own->held = exclusive ? HELD_EXCLUSIVE : HELD_SHARED;
    return leave_int(disk, result);
}

static int sim_unlock_dir(void *ctx, int fd)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    if (dir != NULL) descriptor_of(disk, fd)->held = HELD_NOT;
    return leave_int(disk, result);
}

static int sim_identify(void *ctx, int fd, struct sys_identity *identity)
{
    struct simdisk *disk = ctx;
    int result;
    const struct simdir *dir = enter_dir(disk, fd, &result);
    if (result == 0) {
        identity->device = disk->device;
        identity->inode = (uint64_t)(uintptr_t)dir;
    }
    return leave_int(disk, result);
}

static int sim_fs_kind(void *ctx, int fd, enum sys_fs *kind)
{
    struct simdisk *disk = ctx;
    const int result = enter(disk);
    (void)fd;
    if (result == 0) *kind = disk->fs;
    return leave_int(disk, result);
}

static int sim_free_bytes(void *ctx, int fd, uint64_t *bytes)
{
    struct simdisk *disk = ctx;
    const int result = enter(disk);
    (void)fd;
    if (result == 0) *bytes = simdisk_room(disk);
    return leave_int(disk, result);
}

static int sim_list(void *ctx, int fd, void (*each)(void *each_ctx, const char *name),
                    void *each_ctx)
{
    struct simdisk *disk = ctx;
    int result;
    const struct simdir *dir = enter_dir(disk, fd, &result);
    if (result < 0) return leave_int(disk, result);
    /* each() may call the disk, so it gets a copy, without the lock. */
    const size_t count = dir->now.count;
    struct simentry *entries = sim_must(malloc((count + 1) * sizeof *entries));
    if (count > 0) memcpy(entries, dir->now.at, count * sizeof *entries);
    leave_int(disk, 0);
    for (size_t i = 0; i < count; i++)
        each(each_ctx, entries[i].name);
    free(entries);
    return 0;
}

/* ---- the table: names ---- */

static int sim_open(void *ctx, int dir_fd, const char *name, enum sys_open how)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, dir_fd, &result);
    if (result < 0) return leave_int(disk, result);
    struct simfile *file = simnames_get(&dir->now, name);
    if (how == SYS_CREATE && file != NULL) return leave_int(disk, -EEXIST);
    if (how != SYS_CREATE && file == NULL) return leave_int(disk, -ENOENT);
    if (file == NULL) {
        file = simfile_new(disk);
        simnames_operate(disk, dir, name, "", file);
    }
    return leave_int(disk, new_descriptor(disk, NULL, file, how != SYS_READ));
}

static int sim_rename(void *ctx, int fd, const char *from, const char *to)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    struct simfile *file = result == 0 ? simnames_get(&dir->now, from) : NULL;
    if (result == 0 && file == NULL) result = -ENOENT;
    if (result == 0) simnames_operate(disk, dir, to, from, file);
    return leave_int(disk, result);
}

static int sim_kind(void *ctx, int fd, const char *name, enum sys_kind *kind)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    if (result == 0 && simnames_get(&dir->now, name) == NULL) result = -ENOENT;
    if (result == 0) *kind = SYS_FILE;
    return leave_int(disk, result);
}

static int sim_unlink(void *ctx, int fd, const char *name)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    struct simfile *file = result == 0 ? simnames_get(&dir->now, name) : NULL;
    if (result == 0 && file == NULL) result = -ENOENT;
    if (result == 0) simnames_operate(disk, dir, "", name, file);
    return leave_int(disk, result);
}

static int sim_link(void *ctx, int fd, const char *name, int other_fd)
{
    struct simdisk *disk = ctx;
    int result;
    struct simdir *dir = enter_dir(disk, fd, &result);
    struct simfile *file = result == 0 ? simnames_get(&dir->now, name) : NULL;
    struct simdir *other = descriptor_of(disk, other_fd)->dir;
    if (result == 0 && other == NULL) result = -EBADF;
    if (result == 0 && file == NULL) result = -ENOENT;
    if (result == 0 && simnames_get(&other->now, name) != NULL) result = -EEXIST;
    if (result == 0) simnames_operate(disk, other, name, "", file);
    return leave_int(disk, result);
}

/* ---- the table: files ---- */

static int sim_close(void *ctx, int fd)
{
    struct simdisk *disk = ctx;
    int result = enter(disk);
    struct simdescriptor *own = descriptor_of(disk, fd);
    struct simfile *file = own->file;
    if (result == 0 && file == NULL && own->dir == NULL) result = -EBADF;
    *own = (struct simdescriptor){0}; /* closed, whatever the answer */
    if (file != NULL) simfile_unref(disk, file, true);
    return leave_int(disk, result);
}

/* The file of fd, or NULL and *result says why; also passes the gate. */
static struct simfile *enter_file(struct simdisk *disk, int fd, bool to_write, int *result)
{
    *result = enter(disk);
    const struct simdescriptor *own = descriptor_of(disk, fd);
    if (*result == 0 && (own->file == NULL || (to_write && !own->writable))) *result = -EBADF;
    return *result == 0 ? own->file : NULL;
}

static int sim_size(void *ctx, int fd, uint64_t *bytes)
{
    int result;
    const struct simfile *file = enter_file(ctx, fd, false, &result);
    if (file != NULL) *bytes = file->size;
    return leave_int(ctx, result);
}

static int64_t sim_read(void *ctx, int fd, uint64_t offset, void *dst, size_t len)
{
    struct simdisk *disk = ctx;
    int result;
    const struct simfile *file = enter_file(disk, fd, false, &result);
    if (file == NULL) return leave(disk, result);
    const uint64_t there = offset < file->size ? file->size - offset : 0;
    if (disk->is_short && len > 1) len /= 2;
    if (len > there) len = (size_t)there;
    if (len > 0) sim_copy(dst, file->cache + offset, len);
    return leave(disk, (int64_t)len);
}

/* How many of len bytes at offset there is room for. */
static uint64_t clip_to_room(struct simdisk *disk, const struct simfile *file, uint64_t offset,
                             uint64_t len)
{
    const uint64_t has = sim_round_up(file->size, SIM_PAGE),
                   needs = sim_round_up(offset + len, SIM_PAGE);
    const uint64_t free_bytes = simdisk_room(disk);
    if (needs <= has || needs - has <= free_bytes) return len;
    disk->full_count++;
    const uint64_t end = has + free_bytes / SIM_PAGE * SIM_PAGE;
    return end > offset ? end - offset : 0;
}

static int64_t write_to_cache(struct simdisk *disk, struct simfile *file, uint64_t offset,
                              const struct sys_piece *pieces, unsigned piece_count)
{
    uint64_t len = 0, done = 0;
    for (unsigned i = 0; i < piece_count; i++)
        len += pieces[i].len;
    if (disk->is_short && len > 1) len /= 2;
    const uint64_t fits = clip_to_room(disk, file, offset, len);
    if (fits == 0 && len > 0) return -ENOSPC;
    simfile_reserve(disk, file, offset + fits);
    for (unsigned i = 0; i < piece_count && done < fits; i++) {
        const uint64_t part = pieces[i].len < fits - done ? pieces[i].len : fits - done;
        if (part > 0) sim_copy(file->cache + offset + done, pieces[i].data, part);
        done += part;
    }
    if (offset + fits > file->size) file->size = offset + fits;
    for (uint64_t page = offset / SIM_PAGE; file->lost != NULL && page * SIM_PAGE < offset + fits;
         page++)
        file->page_lost[page] = false;
    return (int64_t)fits;
}

/* Answers a failure of an earlier write-out to each descriptor once. */
static int hear_errors(struct simdescriptor *own)
{
    if (own->errors_seen == own->file->errors) return 0;
    own->errors_seen = own->file->errors;
    return own->file->error;
}

static int64_t sim_write(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                         unsigned piece_count, bool durable)
{
    struct simdisk *disk = ctx;
    const int gate = enter(disk);
    struct simdescriptor *own = descriptor_of(disk, fd);
    struct simfile *file = own->file;
    if (gate < 0 && !disk->is_cutting && (!durable || disk->is_off)) return leave(disk, gate);
    if (file == NULL || !own->writable) return leave(disk, gate < 0 ? gate : -EBADF);
    const int64_t count = write_to_cache(disk, file, offset, pieces, piece_count);
    if (gate < 0 && durable && !disk->is_cutting && count > 0) {
        simfile_fail_write_out(file, offset, offset + (uint64_t)count, gate);
        own->errors_seen = file->errors;
    }
    if (gate < 0) return leave(disk, gate);
    if (count < 0 || !durable) return leave(disk, count);
    simfile_write_out(file, offset, offset + (uint64_t)count);
    if (file->medium_size < file->size) file->medium_size = file->size;
    const int heard = hear_errors(own);
    return leave(disk, heard < 0 ? heard : count);
}

static int sim_allocate(void *ctx, int fd, uint64_t bytes)
{
    struct simdisk *disk = ctx;
    int result;
    struct simfile *file = enter_file(disk, fd, true, &result);
    if (file == NULL) return leave_int(disk, result);
    if (bytes > file->size &&
        clip_to_room(disk, file, file->size, bytes - file->size) < bytes - file->size)
        return leave_int(disk, -ENOSPC);
    simfile_reserve(disk, file, bytes);
    if (bytes > file->size) file->size = bytes;
    return leave_int(disk, 0);
}

static int sim_truncate(void *ctx, int fd, uint64_t bytes)
{
    struct simdisk *disk = ctx;
    int result;
    struct simfile *file = enter_file(disk, fd, true, &result);
    if (file == NULL) return leave_int(disk, result);
    simfile_reserve(disk, file, bytes);
    if (bytes < file->size) memset(file->cache + bytes, 0, file->size - bytes);
    file->size = bytes;
    return leave_int(disk, 0);
}

static int sim_sync(void *ctx, int fd)
{
    struct simdisk *disk = ctx;
    int result = enter(disk);
    struct simdescriptor *own = descriptor_of(disk, fd);
    if (disk->is_off || own->file == NULL) return leave_int(disk, result < 0 ? result : -EBADF);
    if (result < 0) {
        simfile_fail_write_out(own->file, 0, own->file->cap, result);
        own->errors_seen = own->file->errors;
        return leave_int(disk, result);
    }
    simfile_write_out(own->file, 0, own->file->cap);
    own->file->medium_size = own->file->size;
    return leave_int(disk, hear_errors(own));
}

/* A write-out promises nothing, as the device has a cache of its own: it does nothing unless it fails. One
   that was waited for hears the errors so far, as a sync does. */
static int sim_write_out(void *ctx, int fd, uint64_t offset, uint64_t len, bool wait)
{
    struct simdisk *disk = ctx;
    const int result = enter(disk);
    struct simdescriptor *own = descriptor_of(disk, fd);
    if (disk->is_off || own->file == NULL) return leave_int(disk, result < 0 ? result : -EBADF);
    if (result < 0) simfile_fail_write_out(own->file, offset, offset + len, result);
    if (!wait) return leave_int(disk, 0);
    const int heard = hear_errors(own);
    return leave_int(disk, result < 0 ? result : heard);
}

static void sim_will_need(void *ctx, int fd, uint64_t offset, uint64_t len)
{
    (void)ctx, (void)fd, (void)offset, (void)len;
}

/* ---- the table: mappings ---- */

static int sim_map(void *ctx, int fd, size_t len, void **out)
{
    struct simdisk *disk = ctx;
    int result;
    struct simfile *file = enter_file(disk, fd, true, &result);
    if (file == NULL) return leave_int(disk, result);
    check(len <= file->cap && !simfile_is_mapped(disk, file));
    size_t slot = 0;
    while (disk->mappings[slot].at != NULL)
        check(++slot < sizeof disk->mappings / sizeof disk->mappings[0]);
    disk->mappings[slot] = (struct simmapping){file->cache, file};
    simfile_ref(file, true);
    *out = file->cache;
    return leave_int(disk, 0);
}

static void sim_unmap(void *ctx, void *at, size_t len)
{
    struct simdisk *disk = ctx;
    size_t slot = 0;
    (void)len;
    pthread_mutex_lock(&disk->lock);
    while (disk->mappings[slot].at != at)
        check(++slot < sizeof disk->mappings / sizeof disk->mappings[0]);
    struct simfile *file = disk->mappings[slot].file;
    disk->mappings[slot] = (struct simmapping){NULL, NULL};
    if (file != NULL)
        simfile_unref(disk, file, true);
    else
        free(at);
    pthread_mutex_unlock(&disk->lock);
}

static void sim_populate(void *ctx, void *at, size_t len)
{
    (void)ctx, (void)at, (void)len;
}

static void sim_depopulate(void *ctx, void *at, size_t len)
{
    (void)ctx, (void)at, (void)len;
}

/* ---- the table: the world ---- */

static uint64_t sim_wall_ms(void *ctx)
{
    struct simdisk *disk = ctx;
    pthread_mutex_lock(&disk->lock);
    const uint64_t wall_ms = disk->wall_ms + disk->slept_ns / 1000000;
    pthread_mutex_unlock(&disk->lock);
    return wall_ms;
}

static void sim_sleep_ns(void *ctx, uint64_t ns)
{
    struct simdisk *disk = ctx;
    pthread_mutex_lock(&disk->lock);
    disk->mono_ns += ns;
    disk->slept_ns += ns;
    pthread_mutex_unlock(&disk->lock);
}

static uint64_t sim_mono_ns(void *ctx)
{
    struct simdisk *disk = ctx;
    pthread_mutex_lock(&disk->lock);
    const uint64_t mono_ns = disk->mono_ns += 100;
    pthread_mutex_unlock(&disk->lock);
    return mono_ns;
}

static int sim_random(void *ctx, void *dst, size_t len)
{
    struct simdisk *disk = ctx;
    const int result = enter(disk);
    uint8_t *bytes = dst;
    for (size_t i = 0; result == 0 && i < len; i++)
        bytes[i] = (uint8_t)rand_next(&disk->rand);
    return leave_int(disk, result);
}

static uint64_t sim_memory_bytes(void *ctx)
{
    return ((struct simdisk *)ctx)->memory_bytes;
}

static uint64_t sim_limit(void *ctx, enum sys_limit which)
{
    return ((struct simdisk *)ctx)->limits[which];
}

static uint64_t sim_process_id(void *ctx)
{
    return ((struct simdisk *)ctx)->process_id;
}

struct sys_table simdisk_table(struct simdisk *disk)
{
    static const struct sys calls = {
        .make_dir = sim_make_dir,
        .open_dir = sim_open_dir,
        .sync_dir = sim_sync_dir,
        .lock_dir = sim_lock_dir,
        .unlock_dir = sim_unlock_dir,
        .identify = sim_identify,
        .kind = sim_kind,
        .fs_kind = sim_fs_kind,
        .free_bytes = sim_free_bytes,
        .list = sim_list,
        .open = sim_open,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .link = sim_link,
        .close = sim_close,
        .size = sim_size,
        .read = sim_read,
        .write = sim_write,
        .allocate = sim_allocate,
        .truncate = sim_truncate,
        .sync = sim_sync,
        .write_out = sim_write_out,
        .will_need = sim_will_need,
        .map = sim_map,
        .unmap = sim_unmap,
        .populate = sim_populate,
        .depopulate = sim_depopulate,
        .wall_ms = sim_wall_ms,
        .mono_ns = sim_mono_ns,
        .sleep_ns = sim_sleep_ns,
        .random = sim_random,
        .memory_bytes = sim_memory_bytes,
        .limit = sim_limit,
        .process_id = sim_process_id,
    };
    return (struct sys_table){&calls, disk};
}
