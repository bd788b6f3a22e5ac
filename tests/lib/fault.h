/*
 * fault.h - one thing that goes wrong: the nth storage call, or the nth allocation, once or from then on.
 *
 * Role: what the files of the fault suite share: the faults there are, switching them on and off, which answers they may have,
 *   and a whole history that meets one.
 * In the picture: tests only; on simdisk.h, history.h and base/mem.h.
 */
#ifndef LOAM_TESTS_LIB_FAULT_H
#define LOAM_TESTS_LIB_FAULT_H

#include "lib/history.h"

enum {
    FAULT_ERRORS = 6,
    FAULT_NO_MEMORY = -1,  /* the nth allocation */
    FAULT_SMALL_DISK = -2, /* the disk has nth pages */
    FAULT_FULL_DISK = -3   /* after some operation, as nth says, nothing or little more fits */
};

struct fault {
    uint64_t nth;
    int error; /* an errno or SIMDISK_SHORT: of the nth storage call; or one of the above */
    bool forever;
};

extern const int FAULTS[FAULT_ERRORS]; /* those of storage calls */

void fault_arm(struct simdisk *disk, struct fault fault);
/* False when it was never met. */
bool fault_disarm(struct simdisk *disk);
/* For messages, in static storage. */
const char *fault_text(struct fault fault);

/* One that loam.h allows for this fault: never corruption, for the bytes are right; a cause that heals only where it does. */
bool fault_answer_is_fair(struct fault fault, loam_status rc);

/* Waits that end by themselves, once nothing is wrong any more: time passes and background work is done. */
void fault_settle(struct simdisk *disk, loam_db *db);

/* Is it a disk without room? Such a one fences nothing, reads nothing wrong, and is closed cleanly. */
bool fault_is_full(struct fault fault);

/* A history that meets the fault and goes on. While it lasts, reads are right or fail; when it is over, a store that has not fenced
   itself works on in the same handle, one that has says why, and what a kill, a loss of power or a close leaves is as in crash.
   False when the history ended before the fault. */
bool fault_history(uint64_t seed, struct fault fault);
/* How many of them noticed something, and how many fenced. */
extern uint64_t fault_noticed, fault_fenced;

/* Every fault of `errors` for every nth, until a whole round is not met; CUT=n is one nth, SLOWDOWN takes every SLOWDOWNth. Answers
   how many were met. */
uint64_t fault_sweep(const int *errors, size_t error_count,
                     bool (*meet)(uint64_t seed, struct fault), uint64_t seed);

#endif
