/*
 * sys.h - the table of system calls that everything else in os/ stands on.
 *
 * Role: the lower of the two seams. sys_posix() is the kernel; the simulated disk
 *   of the tests is another table, so that recycling, mapped stores and directory
 *   syncs lose power and fail too. Clock and random numbers come through here as well.
 * Invariants: (1) every call answers 0 or a count, or -errno; nothing reads errno.
 *   (2) descriptors are small non-negative ints; names are relative to a directory
 *   descriptor and hold no '/'. (3) calls do not retry and do not loop: EINTR and
 *   short counts are the caller's business (storage.c has the loops).
 * In the picture: os layer; seen by os/ and, to be replaced, by tests only.
 */
#ifndef LOAM_OS_SYS_H
#define LOAM_OS_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sys_open { SYS_READ, SYS_READ_WRITE, SYS_CREATE /* read-write, exclusively new */ };

enum sys_fs {
    SYS_FS_MAPPABLE, /* stores through a mapping of fallocated, pre-written blocks cannot SIGBUS */
    SYS_FS_OTHER,
    SYS_FS_NETWORK
};

enum sys_kind { SYS_FILE, SYS_DIRECTORY, SYS_LINK, SYS_FIFO, SYS_SOCKET, SYS_DEVICE };

enum sys_limit { SYS_LIMIT_FILES, SYS_LIMIT_FILE_BYTES }; /* of the process */

struct sys_piece { /* one piece of a gathered write; laid out as struct iovec */
    const void *data;
    size_t len;
};

struct sys_identity {
    uint64_t device, inode;
};

struct sys {
    /* Directories. open_dir follows symbolic links; make_dir makes the last component, mode 0777
       less the umask, and syncs the parent, also when it answers -EEXIST: whoever made the
       directory may not have. */
    int (*make_dir)(void *ctx, const char *path);
    int (*open_dir)(void *ctx, const char *path);
    int (*sync_dir)(void *ctx, int dir);
    int (*lock_dir)(void *ctx, int dir, bool exclusive); /* -EWOULDBLOCK when held by another */
    int (*unlock_dir)(void *ctx, int dir); /* also where a forked child has a copy of dir */
    int (*identify)(void *ctx, int dir, struct sys_identity *identity);
    int (*fs_kind)(void *ctx, int dir, enum sys_fs *kind);
    int (*free_bytes)(void *ctx, int dir, uint64_t *bytes);
    int (*list)(void *ctx, int dir, void (*each)(void *each_ctx, const char *name), void *each_ctx);

    /* Names. kind: of what has the name, which is not opened, nor followed if it is a link. */
    int (*kind)(void *ctx, int dir, const char *name, enum sys_kind *kind);
    int (*open)(void *ctx, int dir, const char *name, enum sys_open how);
    int (*rename)(void *ctx, int dir, const char *from, const char *to);
    int (*unlink)(void *ctx, int dir, const char *name);
    int (*link)(void *ctx, int dir, const char *name, int other_dir); /* the same name there, too */

    /* Files. write with durable is pwritev2(RWF_DSYNC). sync is fdatasync. write_out has the
       device begin on a range; with wait it returns when the device has taken it, or says why not, which the next
       sync then need not say again. Without, it is a hint, as will_need is. */
    int (*close)(void *ctx, int fd);
    int (*size)(void *ctx, int fd, uint64_t *bytes);
    int64_t (*read)(void *ctx, int fd, uint64_t offset, void *dst, size_t len);
    int64_t (*write)(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                     unsigned piece_count, bool durable);
    int (*allocate)(void *ctx, int fd, uint64_t bytes); /* from 0; the size becomes bytes */
    int (*truncate)(void *ctx, int fd, uint64_t bytes);
    int (*sync)(void *ctx, int fd);
    int (*write_out)(void *ctx, int fd, uint64_t offset, uint64_t len, bool wait);
    void (*will_need)(void *ctx, int fd, uint64_t offset, uint64_t len);

    /* Mappings, shared and writable, of whole files. populate faults a part in for writing; depopulate
       takes it out again (the file keeps the bytes): writing out pages that are mapped interrupts every
       processor once for each of them, and this once for all. */
    int (*map)(void *ctx, int fd, size_t len, void **out);
    void (*unmap)(void *ctx, void *at, size_t len);
    void (*populate)(void *ctx, void *at, size_t len);
    void (*depopulate)(void *ctx, void *at, size_t len);

    /* The world. */
    uint64_t (*wall_ms)(void *ctx);
    uint64_t (*mono_ns)(void *ctx);
    void (*sleep_ns)(void *ctx, uint64_t ns);
    int (*random)(void *ctx, void *dst, size_t len); /* len <= 256 */
    uint64_t (*memory_bytes)(void *ctx); /* of the machine, or of the cgroup if that is less */
    uint64_t (*limit)(void *ctx, enum sys_limit which); /* UINT64_MAX: none */
    uint64_t (*process_id)(void *ctx);
};

/* A table and what it hangs on. */
struct sys_table {
    const struct sys *calls;
    void *ctx;
};

/* The kernel's. */
struct sys_table sys_posix(void);

#endif
