/*
 * gauge.h - what a process and a directory have used so far.
 *
 * Role: clocks, processor time, bytes written, memory at its peak, bytes on disk; and
 *   waiting until a store is at rest.
 * In the picture: bench layer; used by trial.
 */
#ifndef LOAM_BENCH_GAUGE_H
#define LOAM_BENCH_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

double gauge_seconds(void);     /* of the monotonic clock */
double gauge_cpu_seconds(void); /* of this process, its threads included */

/* Bytes that this process made the system write: a page of a file counts once for each time
   that it becomes dirty, also in a mapping. 0 where the system does not say. */
uint64_t gauge_written_bytes(void);

uint64_t gauge_memory_bytes(void);      /* resident now */
uint64_t gauge_memory_peak_bytes(void); /* resident at most since the last reset */
void gauge_memory_reset_peak(void);

/* Asks the system for so much memory, or half of what is free, touches it, and gives it back. Virtual machines return what was
   free for some seconds to their host, in blocks of 2 MiB and more, so it is asked for in huge pages; whoever gets it next would
   wait for the host, ten times as long as for anything that engines do with it. */
void gauge_meet_memory(uint64_t bytes);

uint64_t gauge_disk_bytes(const char *dir); /* of blocks in files below dir; 0: not there */

/* Background threads used less than a twentieth of a core for rest_ms, or two minutes are over; then
   what was written is on the disk. */
void gauge_settle(const char *dir, uint32_t rest_ms);

/* False, and why was said on standard error, if they cannot. Removing what is not there is fine. */
bool gauge_remove_tree(const char *dir);
bool gauge_copy_tree(const char *source, const char *target); /* holes stay holes */

#endif
