/*
 * log.h - one log file: a fixed-size object that is appended to, fast or durably.
 *
 * Role: where a commit becomes bytes on a disk. Knows nothing of records.
 *   Volatile: a memcpy into a shared mapping; it survives kill -9, because the page cache
 *   is the kernel's. Durable: staged, and written by one pwritev2(RWF_DSYNC) for a whole
 *   group of committers, or, when volatile bytes lie in between, by fdatasync.
 *
 *      0 ........ synced ............ stored ........... end ........ capacity
 *        durable  |  in the page cache | staged in memory | free
 *
 * Invariants: (1) synced <= stored <= end. (2) Staged bytes exist only while every one of them
 *   belongs to a durable append whose caller has not returned; a volatile append first stores all
 *   that is staged or being written before it, so no hole can open below an acknowledged byte.
 *   (3) RWF_DSYNC covers only the pages it touches: it is used only if all bytes before the
 *   group are synced; else the group is stored through the mapping and fdatasync covers the file.
 *   (4) A failed sync is sticky: every later append and wait answers the same failure; nothing is
 *   tried again. (5) One descriptor from preparation to close, so no error report is missed.
 *   (6) The first piece of an append is stored last: a record's header after its body. (Without a
 *   mapping, an append that fits the staging buffer is one write.)
 * Preparation (log_create): fallocate (a full disk is LOAM_FULL here and no SIGBUS later),
 *   pre-written with zeros, synced (LOG_MAPPED_HUGE: in its length), name synced, mapped where the file system is known to be safe
 *   (sys fs_kind), the first MiB populated. Elsewhere, and with store option no_mapping, the same
 *   through write.
 * Threads: log_append by one at a time (the caller's commit lane); log_wait, log_sync, log_synced
 *   and log_end by any number, also while an append runs.
 * In the picture: os layer, below wal/ (segments) and tree/ (the manifest).
 */
#ifndef LOAM_OS_LOG_H
#define LOAM_OS_LOG_H

#include "os/storage.h"

struct log;

enum log_how { LOG_VOLATILE, LOG_DURABLE };

/*
 * How a log will be used, which decides in what pieces of the page cache (folios) it stands. A store through the mapping
 * makes all of its folio dirty. So where every commit is synced, folios are small: 32 KiB. Where few are, they are huge and
 * mapped as huge pages: the first touch of each 4 KiB page costs as much as 25 stores, and that of a huge one hardly more; but a
 * sync that follows stores writes 2 MiB. So there, appends go by write, which makes dirty what it wrote and no more, until
 * 8 MiB come in a second. Durable commits alone cost the same in both.
 */
enum log_use { LOG_WRITTEN, LOG_MAPPED, LOG_MAPPED_HUGE };

/* bytes is a multiple of 4096. The file has exactly that size. LOG_WRITTEN: everything goes by write, as it does
   where files are not to be mapped. A name that is there already is deleted first. */
LOAM_MUST loam_status log_create(struct store *store, const char *name, uint64_t bytes,
                                 enum log_use use, struct log **out);

/* Gives a log that is no longer needed a new name and a new life: end = synced = 0, contents
   arbitrary old bytes, name synced. On failure the log is closed and deleted. Takes log. */
LOAM_MUST loam_status log_recycle(struct log *log, const char *name, struct log **out);

/* Closes; with trim, cuts the file to log_end() first (fails with LOAM_IOERR; closed all the same).
   Does not sync. log_delete() closes and unlinks. */
LOAM_MUST loam_status log_close(struct log *log, bool trim);
LOAM_MUST loam_status log_delete(struct log *log);

/*
 * Appends the pieces; there must be room (check). LOG_VOLATILE: on return they are in the page
 * cache. LOG_DURABLE: they may still be staged; the caller must log_wait() for log_end() before it
 * acknowledges anything at or behind them. Fails only in the write path, or when the log failed
 * before. The staging buffer is part of struct log; a durable append too large for it is
 * stored like a volatile one.
 */
LOAM_MUST loam_status log_append(struct log *log, const struct sys_piece *pieces,
                                 unsigned piece_count, enum log_how how);

/*
 * Returns when bytes [0, upto) are durable, or with the failure. Callers form a group: one leads,
 * writes for all, and wakes the others. Where several threads were inside when the last group was done, it first waits
 * up to 40 us while fewer durable appends have come than those; a lone writer never waits.
 */
LOAM_MUST loam_status log_wait(struct log *log, uint64_t upto);

/* Makes everything appended before the call durable, with fdatasync or RWF_DSYNC as above, without
   waiting for company. */
LOAM_MUST loam_status log_sync(struct log *log);

/* Before the first append: log goes on where `before`, full, ends, and will be filled as fast. */
void log_follow(struct log *log, const struct log *before);

/* Hints for a background thread: starts write-out of the full MiBs behind the end that have not
   been started; faults in the next MiB before the end if there have been volatile appends of late
   (it makes the pages dirty, for which the next fdatasync pays). Cheap when there is nothing to
   do. */
void log_tend(struct log *log);
bool log_wants_tending(const struct log *log);

uint64_t log_end(const struct log *log);
uint64_t log_synced(const struct log *log);
uint64_t log_capacity(const struct log *log);
const char *log_name(const struct log *log);

#endif
