/*
 * simdisk_inside.h - what the simulated disk is made of.
 *
 * Role: shared by simdisk.c (bytes, names, death) and simdisk_calls.c (the table of calls).
 * Invariants: everything is under the disk's lock but the bytes of a mapping, which programs store
 *   into as they like.
 * In the picture: tests only, behind simdisk.h.
 */
#ifndef LOAM_TESTS_LIB_SIMDISK_INSIDE_H
#define LOAM_TESTS_LIB_SIMDISK_INSIDE_H

#include <pthread.h>

#include "base/rand.h"
#include "simdisk.h"

enum { SIM_PAGE = 4096, SIM_SECTOR = 512, SIM_NAME_BYTES = 64, SIM_PATH_BYTES = 256 };

struct simfile {
    uint8_t *cache, *medium; /* cap bytes each; zero behind the size */
    uint8_t *lost;           /* cache at the time a write-out failed, or NULL */
    bool *page_lost;         /* that page looks clean as long as cache equals lost */
    uint64_t size, medium_size, cap;
    unsigned refs;   /* all of uses, and durable names and operations */
    unsigned uses;   /* names, descriptors and mappings: it takes space */
    unsigned errors; /* failed write-outs */
    int error;       /* why the latest did, as -errno */
};

struct simentry {
    char name[SIM_NAME_BYTES];
    struct simfile *file;
};

struct simnames {
    struct simentry *at;
    size_t count;
};

struct simoperation { /* set, then remove, where not empty */
    char set[SIM_NAME_BYTES], removed[SIM_NAME_BYTES];
    struct simfile *file;
};

struct simdir {
    char path[SIM_PATH_BYTES];
    struct simnames now, durable;
    struct simoperation *operations; /* since the last sync */
    size_t operation_count;
};

enum held { HELD_NOT, HELD_SHARED, HELD_EXCLUSIVE };

struct simdescriptor {
    struct simdir *dir; /* one of the two, or closed */
    struct simfile *file;
    enum held held;
    bool writable;
    unsigned errors_seen;
    bool is_beside; /* of another process, which outlives the one that dies */
};

struct simmapping {
    uint8_t *at;
    struct simfile *file; /* NULL when the process that made it is dead: at is then ours to free */
};

struct simdisk {
    pthread_mutex_t lock;
    struct rand rand;
    struct simdir *dirs[64];
    size_t dir_count;
    struct simfile *files[4096]; /* NULL where free */
    size_t file_slots;           /* all behind are free */
    struct simdescriptor *descriptors;
    size_t descriptor_count;
    struct simmapping mappings[256];
    uint64_t calls, fail_at, cut_at; /* calls as counted by calls; 0: never */
    int fail_error;
    bool is_beside; /* who calls now is that process */
    bool fail_forever, is_off, is_cutting, is_short;
    uint64_t full_count; /* calls that found no room */
    uint64_t capacity, mono_ns, slept_ns, wall_ms, memory_bytes, process_id, device;
    uint64_t limits[SYS_LIMIT_FILE_BYTES + 1];
    enum sys_fs fs;
};

/* The block, or the end of the test. */
void *sim_must(void *block);
uint64_t sim_round_up(uint64_t bytes, uint64_t unit);
/* Copies as a device does: unseen by ThreadSanitizer. */
void sim_copy(uint8_t *dst, const uint8_t *src, size_t len);

struct simfile *simfile_new(struct simdisk *disk);
void simfile_ref(struct simfile *file, bool use);
void simfile_unref(struct simdisk *disk, struct simfile *file, bool use);
void simfile_reserve(struct simdisk *disk, struct simfile *file, uint64_t bytes);
bool simfile_is_mapped(const struct simdisk *disk, const struct simfile *file);
/* The pages that touch [from, to) reach the medium, but for those that look clean. */
void simfile_write_out(struct simfile *file, uint64_t from, uint64_t to);
/* They do not, and look clean. */
void simfile_fail_write_out(struct simfile *file, uint64_t from, uint64_t to, int error);
uint64_t simdisk_room(const struct simdisk *disk);

struct simfile *simnames_get(const struct simnames *names, const char *name);
/* One operation: sets a name, then removes one; "" for neither. */
void simnames_operate(struct simdisk *disk, struct simdir *dir, const char *set,
                      const char *removed, struct simfile *file);
void simnames_settle(struct simdisk *disk, struct simdir *dir);
struct simdir *simdisk_find_dir(struct simdisk *disk, const char *path);

/* Descriptors, locks and mappings of the process are gone; its memory stays readable to it. */
void simdisk_end_process(struct simdisk *disk);

#endif
