/*
 * epoch.h - when may something be freed that readers reach without a lock?
 *
 * Role: readers of a view announce themselves in a counter of their stripe of threads, so that no two cores write one
 *   line; what was taken out of sight is freed two phases later, when nobody who could have seen it is left.
 * Invariants: (1) a reader is registered in the counter of phase p's parity only if the phase was still p after it had
 *   registered; so all readers are in the present phase or the one before. (2) The phase moves from p to p + 1
 *   only when no reader of p - 1 is left. (3) What is retired in phase p is freed in phase p + 2 or later. (4) Nobody waits:
 *   retiring tries to move the phase, and leaves the rest to the next who retires.
 * Memory order: registering and reading the phase are sequentially consistent, paired with the load of the
 *   counters after the store of the phase; the pointer that is retired was replaced before (seq_cst store).
 * Sources: RCU with two counters (McKenney's SRCU); epochs of Fraser.
 * In the picture: db layer; view.c retires views, read.c and dbiter.c enter.
 */
#ifndef LOAM_DB_EPOCH_H
#define LOAM_DB_EPOCH_H

#include <stdatomic.h>

#include <loam.h>

struct epoch;

enum { EPOCH_STRIPES = 64 };

struct epoch_ticket {
    _Atomic uint64_t *counter;
};

LOAM_MUST loam_status epoch_new(struct epoch **out);
void epoch_free(struct epoch *epoch); /* frees all that is retired; no reader is left */

/* Between enter and leave, nothing that was visible at or after enter is freed. */
struct epoch_ticket epoch_enter(struct epoch *epoch);
static inline void epoch_leave(struct epoch_ticket ticket)
{
    atomic_fetch_sub_explicit(ticket.counter, 1, memory_order_release);
}

/* Calls release(item) when no reader can hold it any more; now or later, on this or another thread. node is
   memory inside item that the epoch uses for its list. */
struct epoch_node {
    struct epoch_node *next;
    uint64_t phase;
    void (*release)(struct epoch_node *node);
};
void epoch_retire(struct epoch *epoch, struct epoch_node *node);

/* A counter per stripe for the caller's statistics; answers what it was. sum() reads them all. */
uint64_t epoch_count(struct epoch *epoch);
uint64_t epoch_count_sum(const struct epoch *epoch);

#endif
