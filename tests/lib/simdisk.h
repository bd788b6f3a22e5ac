/*
 * simdisk.h - a disk in memory that loses power, fails and fills up when told to.
 *
 * Role: a table for os/sys.h. Below every file are two copies: the page cache, which survives the
 *   death of the process, and the medium, which survives power loss. Names are kept likewise: what
 *   a sync of the directory has made durable, and the operations since.
 * Invariants: (1) a seed and a sequence of calls reproduce everything. (2) Mappings point into the
 *   page cache; when the process dies they are cut off from it, so that what a dead process still
 *   stores reaches nothing. (3) Descriptors are never given twice: one from before a death stays dead.
 * Calls are counted, and can fail or be the last: all but clocks, process id, memory, will_need, unmap
 *   and populate.
 * In the picture: tests only; any number of threads.
 */
#ifndef LOAM_TESTS_LIB_SIMDISK_H
#define LOAM_TESTS_LIB_SIMDISK_H

#include "os/sys.h"

struct simdisk;

/* What of the unsynced remains after power loss, of bytes by sectors of 512 and of names by operations
   (a rename is one). The size of a file that was not synced is the old or the new one. */
enum simdisk_loss {
    SIMDISK_LOSE_ALL,
    SIMDISK_LOSE_NOTHING,
    SIMDISK_KEEP_PREFIX, /* in each file and directory, up to a random point */
    SIMDISK_KEEP_RANDOM, /* a random subset */
    SIMDISK_LOSSES
};

/* As an error of simdisk_fail_at(): the read or write does half of what was asked; other calls
   succeed. */
#define SIMDISK_SHORT 10001

struct simdisk *simdisk_new(uint64_t seed);
void simdisk_free(struct simdisk *disk);
struct sys_table simdisk_table(struct simdisk *disk);

/* Another disk with the same bytes, names, clock and chance, which no process uses. */
struct simdisk *simdisk_twin(const struct simdisk *disk);
/* A hash of all names and bytes, of page cache and medium. */
uint64_t simdisk_digest(const struct simdisk *disk);

/* Calls since simdisk_new(). */
uint64_t simdisk_call_count(const struct simdisk *disk);

/* The nth call from now (1 = the next) fails with this errno and does nothing; if forever, all after
   it too. 0 switches it off. A sync, durable write or write-out that fails leaves its pages looking
   clean, but not on the medium: later syncs succeed and do not write them. Each descriptor open at
   that moment hears of it once. */
void simdisk_fail_at(struct simdisk *disk, uint64_t nth, int error, bool forever);

/* From the nth call from now on the machine is off: every call answers -EIO. If that call is a write,
   its bytes are in the page cache, unsynced. 0 switches it off. */
void simdisk_cut_at(struct simdisk *disk, uint64_t nth);
bool simdisk_is_off(const struct simdisk *disk);

/* The process has died: descriptors, locks and mappings are gone, the page cache stays. Also ends a
   cut: cut_at and then kill is a kill at that call. */
void simdisk_kill(struct simdisk *disk);
/* From now on it is another process that calls, or no more: it outlives the death of the first. It maps nothing. */
void simdisk_beside(struct simdisk *disk, bool is_beside);
/* The machine has lost power, and is on again. */
void simdisk_power_loss(struct simdisk *disk, enum simdisk_loss loss);

/* Bytes that fit on it in all, in pages of 4096; 0: no limit. */
void simdisk_full(struct simdisk *disk, uint64_t bytes);
uint64_t simdisk_used(const struct simdisk *disk);
/* Calls that found no room so far. */
uint64_t simdisk_full_count(const struct simdisk *disk);

void simdisk_set_wall_ms(struct simdisk *disk, uint64_t wall_ms);
void simdisk_set_fs(struct simdisk *disk, enum sys_fs kind);
void simdisk_set_limit(struct simdisk *disk, enum sys_limit which, uint64_t limit);
void simdisk_set_memory_bytes(struct simdisk *disk, uint64_t bytes);

/* The bytes of a file as a reader sees them, until its size changes; NULL if there is none. For
   looking, and with simdisk_settle() for damaging. */
uint8_t *simdisk_bytes(struct simdisk *disk, const char *dir, const char *name, uint64_t *len);
/* All that is in the page cache, and all names, are durable, as after a long time. */
void simdisk_settle(struct simdisk *disk);

#endif
