/*
 * thread.h - mutexes, conditions and threads, with clang's lock annotations.
 *
 * Role: the only user of <pthread.h>. Locks cannot fail; a thread can fail to start.
 * In the picture: os layer; the lock map is in db/db.h.
 */
#ifndef LOAM_OS_THREAD_H
#define LOAM_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <loam.h>

#if defined(__clang__)
#define CAPABILITY(name) __attribute__((capability(name)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define UNCHECKED_LOCKS __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define ACQUIRES(...)
#define RELEASES(...)
#define REQUIRES(...)
#define UNCHECKED_LOCKS
#endif

struct CAPABILITY("mutex") mutex {
    pthread_mutex_t raw;
};

#define MUTEX_INITIALIZER                                                                          \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    } /* for static ones */

struct cond { /* waits on the monotonic clock */
    pthread_cond_t raw;
};

struct thread {
    pthread_t raw;
    bool started;
};

void mutex_init(struct mutex *mutex);
void mutex_deinit(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) ACQUIRES(mutex);
void mutex_unlock(struct mutex *mutex) RELEASES(mutex);

void cond_init(struct cond *cond);
void cond_deinit(struct cond *cond);
void cond_wait(struct cond *cond, struct mutex *mutex) REQUIRES(mutex);
/* Returns false when timeout_ns passed first. */
bool cond_wait_ns(struct cond *cond, struct mutex *mutex, uint64_t timeout_ns) REQUIRES(mutex);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

/* Starts run(arg) with all signals blocked but those of its own faults, named name (at most 15
   bytes) for top and gdb. */
LOAM_MUST loam_status thread_start(struct thread *thread, const char *name, void (*run)(void *),
                                   void *arg);
void thread_join(struct thread *thread); /* nothing if it was not started */
/* Tests only: the nth thread from now (1 = the next) is one more than the system has; 0 switches it off. */
void thread_fail_at(unsigned nth);

void thread_yield(void);

/* A small number that differs between threads of one moment: for striped counters. */
unsigned thread_stripe(void);

/* Runs prepare before every fork() of the process, and then parent and child in each of them. */
void fork_handlers(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
