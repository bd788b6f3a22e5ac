/*
 * sys_posix.c - the kernel's table of system calls; see sys.h.
 */
#include "os/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "os/cgroup.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

_Static_assert(sizeof(struct sys_piece) == sizeof(struct iovec), "pieces are iovecs");
_Static_assert(offsetof(struct sys_piece, data) == offsetof(struct iovec, iov_base), "");
_Static_assert(offsetof(struct sys_piece, len) == offsetof(struct iovec, iov_len), "");

static int answer(int result)
{
    return result < 0 ? -errno : result;
}

/* A program that closed its standard streams still writes to them: what it says must not land in our files. */
static int keep_off_standard_streams(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) return answer(fd);
    const int moved = answer(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    close(fd);
    return moved;
}

/* ---- directories ---- */

static int posix_open_dir(void *ctx, const char *path)
{
    (void)ctx;
    return keep_off_standard_streams(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof parent) return -ENAMETOOLONG;
    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    memcpy(parent, path, len);
    parent[len] = '\0';
    const int fd = posix_open_dir(NULL, len > 0 ? parent : ".");
    if (fd < 0) return fd;
    const int result = answer(fsync(fd));
    close(fd);
    return result;
}

static int posix_make_dir(void *ctx, const char *path)
{
    (void)ctx;
    if (mkdir(path, 0777) == 0) {
        const int result = sync_parent(path);
        if (result < 0) rmdir(path);
        return result;
    }
    const int error = errno;
    /* A directory that somebody else made may stand in one that this process cannot read. */
    if (error == EEXIST) {
        const int result = sync_parent(path);
        if (result < 0 && result != -EACCES) return result;
    }
    return -error;
}

static int posix_sync_dir(void *ctx, int dir)
{
    (void)ctx;
    return answer(fsync(dir));
}

static int posix_lock_dir(void *ctx, int dir, bool exclusive)
{
    (void)ctx;
    return answer(flock(dir, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB));
}

static int posix_unlock_dir(void *ctx, int dir)
{
    (void)ctx;
    return answer(flock(dir, LOCK_UN));
}

static int posix_identify(void *ctx, int dir, struct sys_identity *identity)
{
    struct stat about;
    (void)ctx;
    if (fstat(dir, &about) < 0) return -errno;
    identity->device = about.st_dev;
    identity->inode = about.st_ino;
    return 0;
}

static int posix_fs_kind(void *ctx, int dir, enum sys_fs *kind)
{
    /* From <linux/magic.h>, which has not all of them everywhere. */
    enum { EXT = 0xef53, TMPFS = 0x01021994, NFS = 0x6969, SMB = 0x517b };
    const uint32_t cifs = 0xff534d42, smb2 = 0xfe534d42;
    struct statfs about;
    (void)ctx;
    if (fstatfs(dir, &about) < 0) return -errno;
    const uint32_t type = (uint32_t)about.f_type;
    if (type == EXT || type == TMPFS)
        *kind = SYS_FS_MAPPABLE;
    else if (type == NFS || type == SMB || type == cifs || type == smb2)
        *kind = SYS_FS_NETWORK;
    else
        *kind = SYS_FS_OTHER;
    return 0;
}

static int posix_free_bytes(void *ctx, int dir, uint64_t *bytes)
{
    struct statvfs about;
    (void)ctx;
    if (fstatvfs(dir, &about) < 0) return -errno;
    *bytes = (uint64_t)about.f_bavail * about.f_frsize;
    return 0;
}

static int posix_list(void *ctx, int dir, void (*each)(void *each_ctx, const char *name),
                      void *each_ctx)
{
    (void)ctx;
    /* A descriptor of its own: a duplicate would share the position with other lists. */
    const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        const int error = errno;
        close(fd);
        return -error;
    }
    struct dirent *entry;
    /* The stream is this call's own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (errno = 0, (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(each_ctx, entry->d_name);
    }
    const int error = errno;
    closedir(stream);
    return -error;
}

/* ---- names ---- */

static int posix_kind(void *ctx, int dir, const char *name, enum sys_kind *kind)
{
    struct stat about;
    (void)ctx;
    if (fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
    *kind = S_ISREG(about.st_mode)    ? SYS_FILE
            : S_ISDIR(about.st_mode)  ? SYS_DIRECTORY
            : S_ISLNK(about.st_mode)  ? SYS_LINK
            : S_ISFIFO(about.st_mode) ? SYS_FIFO
            : S_ISSOCK(about.st_mode) ? SYS_SOCKET
                                      : SYS_DEVICE;
    return 0;
}

static int posix_open(void *ctx, int dir, const char *name, enum sys_open how)
{
    /* Nothing waits for the other end of what turns out to be a fifo; it then reads as no file of ours. */
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    (void)ctx;
    switch (how) {
    case SYS_READ:
        flags |= O_RDONLY;
        break;
    case SYS_READ_WRITE:
        flags |= O_RDWR;
        break;
    case SYS_CREATE:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    return keep_off_standard_streams(openat(dir, name, flags, 0666));
}

static int posix_rename(void *ctx, int dir, const char *from, const char *to)
{
    (void)ctx;
    return answer(renameat(dir, from, dir, to));
}

static int posix_unlink(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return answer(unlinkat(dir, name, 0));
}

static int posix_link(void *ctx, int dir, const char *name, int other_dir)
{
    (void)ctx;
    return answer(linkat(dir, name, other_dir, name, 0));
}

/* ---- files ---- */

static int posix_close(void *ctx, int fd)
{
    (void)ctx;
    /* Linux has closed the descriptor when it answers EINTR. */
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int posix_size(void *ctx, int fd, uint64_t *bytes)
{
    struct stat about;
    (void)ctx;
    if (fstat(fd, &about) < 0) return -errno;
    *bytes = (uint64_t)about.st_size;
    return 0;
}

static int64_t posix_read(void *ctx, int fd, uint64_t offset, void *dst, size_t len)
{
    (void)ctx;
    const ssize_t count = pread(fd, dst, len, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int64_t posix_write(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                           unsigned piece_count, bool durable)
{
    const struct iovec *iov = (const struct iovec *)(const void *)pieces;
    (void)ctx;
    if (durable) {
        const ssize_t count = pwritev2(fd, iov, (int)piece_count, (off_t)offset, RWF_DSYNC);
        if (count >= 0) return count;
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) return -errno;
    }
    const ssize_t count = pwritev(fd, iov, (int)piece_count, (off_t)offset);
    if (count < 0) return -errno;
    if (durable && fdatasync(fd) < 0) return -errno;
    return count;
}

static int posix_allocate(void *ctx, int fd, uint64_t bytes)
{
    (void)ctx;
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0) return 0;
    /* Without fallocate the caller's zeros claim the space. */
    if (errno != EOPNOTSUPP && errno != ENOSYS) return -errno;
    return answer(ftruncate(fd, (off_t)bytes));
}

static int posix_truncate(void *ctx, int fd, uint64_t bytes)
{
    (void)ctx;
    return answer(ftruncate(fd, (off_t)bytes));
}

static int posix_sync(void *ctx, int fd)
{
    (void)ctx;
    return answer(fdatasync(fd));
}

static int posix_write_out(void *ctx, int fd, uint64_t offset, uint64_t len, bool wait)
{
    const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
    (void)ctx;
    return answer(
        sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE | (wait ? flags : 0)));
}

static void posix_will_need(void *ctx, int fd, uint64_t offset, uint64_t len)
{
    (void)ctx;
    (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

/* ---- mappings ---- */

static int posix_map(void *ctx, int fd, size_t len, void **out)
{
    (void)ctx;
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return -errno;
    *out = at;
    return 0;
}

static void posix_unmap(void *ctx, void *at, size_t len)
{
    (void)ctx;
    (void)munmap(at, len);
}

static void posix_populate(void *ctx, void *at, size_t len)
{
    (void)ctx;
    /* Kernels that cannot do it fault page by page, as before. */
    (void)madvise(at, len, MADV_POPULATE_WRITE);
}

static void posix_depopulate(void *ctx, void *at, size_t len)
{
    (void)ctx;
    (void)madvise(at, len, MADV_DONTNEED); /* of a shared mapping of a file: nothing is lost */
}

/* ---- the world ---- */

static uint64_t posix_clock_ns(clockid_t clock)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t posix_wall_ms(void *ctx)
{
    (void)ctx;
    return posix_clock_ns(CLOCK_REALTIME_COARSE) / 1000000;
}

static uint64_t posix_mono_ns(void *ctx)
{
    (void)ctx;
    return posix_clock_ns(CLOCK_MONOTONIC);
}

static void posix_sleep_ns(void *ctx, uint64_t ns)
{
    const struct timespec length = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    (void)ctx;
    (void)nanosleep(&length, NULL);
}

static int posix_random(void *ctx, void *dst, size_t len)
{
    (void)ctx;
    return answer(getentropy(dst, len));
}

static uint64_t posix_memory_bytes(void *ctx)
{
    (void)ctx;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    const uint64_t group = cgroup_memory_bytes();
    return machine == 0 || group < machine ? group : machine;
}

static uint64_t posix_limit(void *ctx, enum sys_limit which)
{
    struct rlimit limit;
    (void)ctx;
    if (getrlimit(which == SYS_LIMIT_FILES ? RLIMIT_NOFILE : RLIMIT_FSIZE, &limit) < 0)
        return UINT64_MAX;
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}

static uint64_t posix_process_id(void *ctx)
{
    (void)ctx;
    return (uint64_t)getpid();
}

struct sys_table sys_posix(void)
{
    static const struct sys calls = {
        .make_dir = posix_make_dir,
        .open_dir = posix_open_dir,
        .sync_dir = posix_sync_dir,
        .lock_dir = posix_lock_dir,
        .unlock_dir = posix_unlock_dir,
        .identify = posix_identify,
        .kind = posix_kind,
        .fs_kind = posix_fs_kind,
        .free_bytes = posix_free_bytes,
        .list = posix_list,
        .open = posix_open,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .link = posix_link,
        .close = posix_close,
        .size = posix_size,
        .read = posix_read,
        .write = posix_write,
        .allocate = posix_allocate,
        .truncate = posix_truncate,
        .sync = posix_sync,
        .write_out = posix_write_out,
        .will_need = posix_will_need,
        .map = posix_map,
        .unmap = posix_unmap,
        .populate = posix_populate,
        .depopulate = posix_depopulate,
        .wall_ms = posix_wall_ms,
        .mono_ns = posix_mono_ns,
        .sleep_ns = posix_sleep_ns,
        .random = posix_random,
        .memory_bytes = posix_memory_bytes,
        .limit = posix_limit,
        .process_id = posix_process_id,
    };
    return (struct sys_table){&calls, NULL};
}
