/*
 * fault.c - one thing that goes wrong; see fault.h.
 */
#include "lib/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/seeds.h"

enum { SECOND_NS = 1000000000, SETTLE_JOBS_MAX = 1000, PAGE = 4096, SLACKS = 4 };

const int FAULTS[FAULT_ERRORS] = {EIO, ENOSPC, EMFILE, EDQUOT, EINTR, SIMDISK_SHORT};

uint64_t fault_noticed, fault_fenced;

/* ---- on and off ---------------------------------------------------------------------------------- */

static struct fault armed;
static uint64_t armed_at;

void fault_arm(struct simdisk *disk, struct fault fault)
{
    armed = fault;
    armed_at = simdisk_call_count(disk);
    if (fault.error == FAULT_NO_MEMORY)
        mem_fail_at(fault.nth, fault.forever);
    else if (fault.error == FAULT_SMALL_DISK)
        simdisk_full(disk, fault.nth * PAGE);
    else if (!fault_is_full(fault))
        simdisk_fail_at(disk, fault.nth, fault.error, fault.forever);
}

bool fault_disarm(struct simdisk *disk)
{
    if (fault_is_full(armed)) {
        simdisk_full(disk, 0);
        return simdisk_full_count(disk) > 0;
    }
    const uint64_t passed =
        armed.error == FAULT_NO_MEMORY ? mem_alloc_count() : simdisk_call_count(disk) - armed_at;
    mem_fail_at(0, false);
    simdisk_fail_at(disk, 0, 0, false);
    return passed >= armed.nth;
}

const char *fault_text(struct fault fault)
{
    static char text[100];
    const char *what = fault_is_full(fault)             ? "a full disk"
                       : fault.error == FAULT_NO_MEMORY ? "no memory"
                       : fault.error == SIMDISK_SHORT   ? "half of it"
                                                        : strerror(fault.error);
    snprintf(text, sizeof text, "CUT=%llu %s %s", (unsigned long long)fault.nth, what,
             fault.forever ? "for good" : "once");
    return text;
}

bool fault_is_full(struct fault fault)
{
    return fault.error == FAULT_SMALL_DISK || fault.error == FAULT_FULL_DISK;
}

bool fault_answer_is_fair(struct fault fault, loam_status rc)
{
    if (fault_is_full(fault)) return rc >= 0 || rc == LOAM_FULL;
    if (rc == LOAM_FULL) return fault.error == ENOSPC || fault.error == EDQUOT;
    if (rc == LOAM_NOMEM) return fault.error == EMFILE || fault.error == FAULT_NO_MEMORY;
    if (rc == LOAM_IOERR || rc == LOAM_READONLY) return fault.error != SIMDISK_SHORT;
    return rc >= 0;
}

void fault_settle(struct simdisk *disk, loam_db *db)
{
    const struct sys_table sys = simdisk_table(disk);
    sys.calls->sleep_ns(sys.ctx, SECOND_NS);
    for (int i = 0; jobs_run_one(db) || jobs_run_one(db);
         i++) /* one that ran nothing may have found something */
        if (i == SETTLE_JOBS_MAX)
            fail_msg("%s: background work goes on for ever", fault_text(armed));
}

/* ---- a history ----------------------------------------------------------------------------------- */

struct watching {
    struct fault fault;
    struct rand rand;
    uint64_t operations;
};

/* After the operation that the fault says, a few pages are left: the space that is taken next, or soon, is not there. */
static void fill_disk(struct history *h, const struct watching *w)
{
    static const uint64_t slacks[SLACKS] = {0, 1, 3, 8};
    if (w->fault.error == FAULT_FULL_DISK && (w->fault.nth - 1) / SLACKS == w->operations)
        simdisk_full(h->disk, simdisk_used(h->disk) + slacks[(w->fault.nth - 1) % SLACKS] * PAGE);
}

#define wrong(h, fault, ...)                                                                       \
    do {                                                                                           \
        char said[700];                                                                            \
        snprintf(said, sizeof said, __VA_ARGS__);                                                  \
        fail_msg("SEED=%llu %s (%s): %s", (unsigned long long)(h)->seed, fault_text(fault),        \
                 (h)->doing, said);                                                                \
    } while (0)

typedef const char *compare_with(const struct model *model, loam_db *db, const loam_snapshot *snap);

static void check_reads(struct history *h, struct fault fault, compare_with *compare)
{
    char first[400];
    history_pass_time(h);
    const char *differs = compare(h->now, h->db, NULL);
    if (differs == NULL) return;
    snprintf(first, sizeof first, "%s", differs);
    if (h->maybe == NULL || compare(h->maybe, h->db, NULL) != NULL)
        wrong(h, fault, "a read: %s", first);
}

static void check_snapshot(struct history *h, struct fault fault)
{
    if (h->snap != NULL) {
        const char *differs = model_contradicts(h->then, h->db, h->snap);
        if (differs != NULL) wrong(h, fault, "a snapshot: %s", differs);
        history_forget_snapshot(h);
    } else if (h->maybe == NULL && loam_snapshot_open(h->db, &h->snap) == LOAM_OK) {
        history_pass_time(h);
        h->then = model_copy(h->now);
    }
}

/* A store that has fenced itself says why. */
static bool check_fence(struct history *h, struct fault fault)
{
    loam_stats stats = {.struct_size = sizeof stats};
    assert_int_equal(loam_stats_get(h->db, &stats), LOAM_OK);
    if (stats.fenced == LOAM_OK) return false;
    const loam_status rc = loam_put(h->db, NULL, loam_str("k"), loam_str("v"));
    const char *cause = fault.error == FAULT_NO_MEMORY ? "memory" : strerror(fault.error);
    if (rc != LOAM_READONLY || strstr(loam_errmsg(), cause) == NULL)
        wrong(h, fault, "fenced, and a write answers %s: %s", loam_status_name(rc), loam_errmsg());
    return true;
}

static void watch_history(struct history *h, loam_status rc)
{
    struct watching *w = h->watch_ctx;
    if (!fault_answer_is_fair(w->fault, rc))
        wrong(h, w->fault, "answers %s: %s", loam_status_name(rc), loam_errmsg());
    fill_disk(h, w);
    w->operations++;
    if (h->db == NULL) return;
    if (rc < 0 && check_fence(h, w->fault) && w->fault.error < 0)
        wrong(h, w->fault, "fenced for that: %s", h->db->fence_text);
    if (rc < 0 && !h->reads && !check_fence(h, w->fault) &&
        (rc == LOAM_IOERR || rc == LOAM_READONLY))
        wrong(h, w->fault, "%s without a fence: %s", loam_status_name(rc), loam_errmsg());
    const uint64_t choice = rand_below(&w->rand, 16);
    if (choice < 2)
        check_reads(h, w->fault, fault_is_full(w->fault) ? model_differs : model_contradicts);
    if (choice > 12) check_snapshot(h, w->fault);
}

static void check_all_flushed(struct history *h, struct fault fault)
{
    for (const loam_coll *coll = h->db->all; coll != NULL; coll = coll->all_next)
        if (atomic_load(&coll->memrun_count) > 1)
            wrong(h, fault, "\"%s\" has frozen memtables that nobody flushes", coll->name);
}

/* Nothing is wrong any more: the same handle works on as if nothing had been, or is fenced. */
static void check_healed(struct history *h, struct fault fault)
{
    fault_settle(h->disk, h->db);
    const bool fenced = check_fence(h, fault);
    h->doing = "healing";
    check_reads(h, fault, model_differs);
    if (fenced) {
        fault_fenced++;
        return;
    }
    check_all_flushed(h, fault);
    loam_status rc = history_write(h);
    if (rc == LOAM_OK) rc = loam_sync(h->db);
    if (rc == LOAM_OK) rc = loam_flush(h->db, NULL);
    if (rc == LOAM_OK) rc = loam_compact(h->db, NULL, NULL);
    if (rc != LOAM_OK) wrong(h, fault, "%s: %s", loam_status_name(rc), loam_errmsg());
    check_reads(h, fault, model_differs);
    h->promised = h->step_count;
}

static void close_history(struct history *h, struct fault fault)
{
    const bool fenced = atomic_load(&h->db->fenced) != LOAM_OK;
    history_let_go(h);
    const loam_status rc = loam_close(h->db);
    h->db = NULL;
    if (fenced != (rc < 0)) wrong(h, fault, "closing: %s: %s", loam_status_name(rc), loam_errmsg());
    if (rc == LOAM_OK) h->promised = h->acknowledged = h->step_count;
}

/* Closed, killed, or without power. */
static void end_history(struct history *h, struct watching *w)
{
    const int how = (int)rand_below(&w->rand, SIMDISK_LOSSES + 2) - 2;
    if (h->db != NULL && how < -1)
        close_history(h, w->fault);
    else
        history_die(h, how < -1 ? -1 : how);
}

bool fault_history(uint64_t seed, struct fault fault)
{
    const int64_t live = mem_live_count();
    struct history *h = history_new(seed, fault.nth);
    struct watching w = {.fault = fault, .rand = {seed * 7919 + fault.nth}};
    h->goes_on = true;
    h->watch = watch_history;
    h->watch_ctx = &w;
    fault_arm(h->disk, fault);
    const loam_status rc = history_run(h);
    const bool full = fault_is_full(fault);
    if (full && h->db != NULL && fault.nth % 2 == 0) close_history(h, fault);
    const bool met = fault_disarm(h->disk);
    fault_noticed += rc < 0;
    if (!fault_answer_is_fair(fault, rc)) wrong(h, fault, "answers %s", loam_status_name(rc));
    if (h->db != NULL) check_healed(h, fault);
    end_history(h, &w);
    if (history_open(h) != LOAM_OK) wrong(h, fault, "opening: %s", loam_errmsg());
    history_check(h);
    history_free(h);
    if (mem_live_count() != live)
        fail_msg("SEED=%llu %s: %lld blocks of memory leak", (unsigned long long)seed,
                 fault_text(fault), (long long)(mem_live_count() - live));
    return met;
}

uint64_t fault_sweep(const int *errors, size_t error_count,
                     bool (*meet)(uint64_t seed, struct fault), uint64_t seed)
{
    const uint64_t only = environment_number("CUT", 0), step = environment_number("SLOWDOWN", 1);
    uint64_t met_count = 0;
    bool met = true;
    mem_fail_at(0, false); /* from now on memory is counted */
    for (uint64_t nth = only > 0 ? only : 1 + seed % step; met; nth += step) {
        met = false;
        for (size_t i = 0; i < 2 * error_count; i++)
            if (meet(seed, (struct fault){nth, errors[i / 2], i % 2 == 1})) {
                met = true;
                met_count++;
            }
        if (only > 0) break;
    }
    return met_count;
}
