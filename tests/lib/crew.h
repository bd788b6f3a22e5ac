/*
 * crew.h - threads that work on one store, until a time has passed, and count what is wrong.
 *
 * Role: draws the options of a store that flushes, merges and recycles its log all the time; starts
 *   threads, each with a number and a sequence of chance of its own; ends them; gathers their complaints,
 *   since cmocka's assertions may not leave another thread. A store stands in a real directory and has its
 *   background threads: nothing here replays call by call, but SEED=n draws the same options and operations again,
 *   and SECONDS_EACH=n lets every test run longer.
 * In the picture: tests only; used by tests/threads.
 */
#ifndef LOAM_TESTS_LIB_CREW_H
#define LOAM_TESTS_LIB_CREW_H

#include "../lib/fixture.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/rand.h"
#include "os/sys.h"

/* Of the counters that threads share to tell what came before what. A call that returned before another began
   must have the lower number, so sequentially consistent; but under ThreadSanitizer such a counter would
   itself put the calls in order and hide what it looks for. (On x86, where it runs, relaxed does as well.) */
#if defined(__SANITIZE_THREAD__)
#define CREW_ORDER memory_order_relaxed
#else
#define CREW_ORDER memory_order_seq_cst
#endif

enum { CREW_MAX = 160 };

struct crew {
    loam_db *db;
    void *ctx;
    uint64_t seed;
    _Atomic bool stop;
    _Atomic int wrong;
    _Atomic uint64_t did; /* what the test prints as its work */
};

struct hand { /* one thread of a crew */
    struct crew *crew;
    void *ctx;  /* the crew's */
    int number; /* from 0 in the order of the table below */
    struct rand rand;
};

struct crew_job {
    void (*work)(struct hand *hand);
    int count;
};

/* The environment's number of that name, or the other. */
uint64_t crew_number(const char *name, uint64_t otherwise);
/* SEED, or one of this moment; said once. */
uint64_t crew_seed(void);

/* A threaded store with pages of 256 bytes or more, memtables of 16 to 64 KiB and one to four runs a level,
   all drawn from the seed, in f->store. */
void crew_open(struct fixture *f, uint64_t seed, struct sys_table sys);
void crew_open_as(struct fixture *f, const loam_options *options, uint64_t seed,
                  struct sys_table sys);
/* With a mapped log and pages as usual. */
void crew_open_mapped(struct fixture *f, const loam_options *options, struct sys_table sys);
loam_options crew_options(uint64_t seed);
/* The kernel, but syncs do not wait for the medium: more happens in the same time. */
struct sys_table crew_hasty(void);
/* The same as a table to be changed. */
struct sys crew_hasty_calls(void);

/* Runs the jobs (the last has a count of 0) for SECONDS_EACH or, without it, so many ms; then sets stop, waits for all, and
   fails if anybody complained. */
void crew_run(struct crew *crew, const struct crew_job *jobs, uint64_t ms);
/* The same in pieces, for what the test itself does meanwhile. */
void crew_start(struct crew *crew, const struct crew_job *jobs);
void crew_rest(uint64_t ms);
void crew_end(struct crew *crew);

static inline bool crew_goes_on(const struct hand *hand)
{
    return !atomic_load_explicit(&hand->crew->stop, memory_order_relaxed);
}

/* Complains when the condition does not hold; answers whether it does. */
#define crew_expect(hand, condition)                                                               \
    ((condition) ||                                                                                \
     (crew_complain((hand)->crew, "%s:%d: %s: %s", __FILE__, __LINE__, #condition, loam_errmsg()), \
      false))
void crew_complain(struct crew *crew, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
