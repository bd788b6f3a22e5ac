/*
 * thread.c - mutexes, conditions and threads; see thread.h.
 */
#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"

void mutex_init(struct mutex *mutex)
{
    check(pthread_mutex_init(&mutex->raw, NULL) == 0);
}

void mutex_deinit(struct mutex *mutex)
{
    check(pthread_mutex_destroy(&mutex->raw) == 0);
}

void mutex_lock(struct mutex *mutex) UNCHECKED_LOCKS
{
    check(pthread_mutex_lock(&mutex->raw) == 0);
}

void mutex_unlock(struct mutex *mutex) UNCHECKED_LOCKS
{
    check(pthread_mutex_unlock(&mutex->raw) == 0);
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&cond->raw, &attr) == 0);
    check(pthread_condattr_destroy(&attr) == 0);
}

void cond_deinit(struct cond *cond)
{
    check(pthread_cond_destroy(&cond->raw) == 0);
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    check(pthread_cond_wait(&cond->raw, &mutex->raw) == 0);
}

bool cond_wait_ns(struct cond *cond, struct mutex *mutex, uint64_t timeout_ns)
{
    /* A year is for ever, and keeps the sum within time_t everywhere. */
    const uint64_t second = 1000000000, year = second * 86400 * 365;
    struct timespec until;
    check(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    const uint64_t ns = (uint64_t)until.tv_nsec + (timeout_ns < year ? timeout_ns : year);
    until.tv_sec += (time_t)(ns / second);
    until.tv_nsec = (long)(ns % second);
    return pthread_cond_timedwait(&cond->raw, &mutex->raw, &until) == 0;
}

void cond_signal(struct cond *cond)
{
    check(pthread_cond_signal(&cond->raw) == 0);
}

void cond_broadcast(struct cond *cond)
{
    check(pthread_cond_broadcast(&cond->raw) == 0);
}

struct thread_errand {
    void (*run)(void *);
    void *arg;
    char name[16];
};

static void *run_errand(void *errand)
{
    const struct thread_errand work = *(struct thread_errand *)errand;
    mem_free(errand);
    /* A thread without its name works as well. */
    (void)pthread_setname_np(pthread_self(), work.name);
    work.run(work.arg);
    return NULL;
}

/* The program's signals are for its own threads; what a thread raises by its own fault stays
   deliverable, so that crash handlers and sanitizers speak. */
static void block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&blocked, faults[i]);
    check(pthread_sigmask(SIG_SETMASK, &blocked, before) == 0);
}

static _Atomic unsigned starts_left; /* before one fails; 0: none will */

void thread_fail_at(unsigned nth)
{
    atomic_store(&starts_left, nth);
}

static bool must_not_start(void)
{
    return atomic_load(&starts_left) > 0 && atomic_fetch_sub(&starts_left, 1) == 1;
}

loam_status thread_start(struct thread *thread, const char *name, void (*run)(void *), void *arg)
{
    struct thread_errand *errand = mem_zalloc(sizeof *errand);
    if (errand == NULL) return LOAM_NOMEM;
    errand->run = run;
    errand->arg = arg;
    memcpy(errand->name, name, strnlen(name, sizeof errand->name - 1));

    sigset_t before;
    block_signals(&before);
    const int error =
        must_not_start() ? EAGAIN : pthread_create(&thread->raw, NULL, run_errand, errand);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    thread->started = error == 0;
    if (error == 0) return LOAM_OK;
    mem_free(errand);
    return failed_errno(error, "cannot start thread %s", name);
}

void thread_join(struct thread *thread)
{
    if (!thread->started) return;
    check(pthread_join(thread->raw, NULL) == 0);
    thread->started = false;
}

void thread_yield(void)
{
    sched_yield();
}

unsigned thread_stripe(void)
{
    static _Atomic unsigned stripes_given;
    static _Thread_local unsigned stripe; /* 0: none yet */
    if (stripe == 0)
        stripe = atomic_fetch_add_explicit(&stripes_given, 1, memory_order_relaxed) + 1;
    return stripe - 1;
}

void fork_handlers(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    /* Fails only without memory, at the first open of a process; forking then is as unsafe as it
       is in any program that opens files, and nothing else depends on it. */
    (void)pthread_atfork(prepare, parent, child);
}
