/*
 * log.c - one log file, appended to fast or durably; see log.h.
 *
 * Staging has two buffers: `fill` takes durable appends, `flight` is what the leader of a group is
 * writing. Only the lane adds to fill, and only the lane moves end; so when `detour` is false the
 * lane knows without the lock that nothing below end is missing in the page cache.
 */
#include "os/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/pages.h"
#include "os/store.h"

enum {
    LOG_STAGE_BYTES_MAX = 1 << 20,
    LOG_FOLIO_BYTES = 32 << 10, /* see enum log_use */
    LOG_HUGE_FOLIO_BYTES = 2 << 20,
    LOG_STEP_BYTES = 1 << 20,
    LOG_INTERRUPTS_MAX = 100,
    LOG_FAST_BYTES_PER_MS =
        8 << 10, /* from which on a huge folio fills before it is often synced */
    LOG_RATED_NS =
        10 * 1000 * 1000, /* a time, or LOG_WORTH_POPULATING bytes, that tells how fast */
    LOG_COMPANY_NS = 40000,
    LOG_PREFETCH_BYTES = 512,
    LOG_COMPANY_YIELDS_MAX = 1000,  /* for a clock that stands still */
    LOG_WORTH_POPULATING = 64 << 10 /* so many volatile bytes since the last time */
};

struct stage {
    uint8_t *bytes;
    uint64_t start; /* its place in the file, where len > 0 */
    size_t len;
};

struct log {
    struct store *store;
    uint8_t *map; /* NULL: everything goes by write */
    uint64_t capacity;
    uint64_t folio_bytes; /* in which it is prepared */
    uint64_t step_bytes;  /* of write-out and of populating: whole folios */
    bool is_huge;
    _Atomic bool is_fast; /* what is stored goes through the mapping; see enum log_use */
    size_t stage_bytes;   /* size of each buffer; what is longer is never staged */

    /* The lane stores end with release, after the bytes; leaders load it with acquire before they
       sync. detour is stored with release by who stored the last staged byte, or after a failure. */
    _Atomic uint64_t end;
    _Atomic bool detour;
    _Atomic uint64_t synced; /* stored under lock, with release; pairs with log_synced() */

    struct mutex lock;   /* guards what follows, up to the next blank line */
    struct cond settled; /* a leader has finished */
    struct stage fill, flight;
    bool flight_stored; /* the lane has put flight's bytes into the page cache, too */
    bool leading;
    unsigned inside;          /* threads in log_wait() */
    unsigned last_inside;     /* the same, when the last group was done */
    _Atomic unsigned pending; /* durable appends not taken yet; the leader watches without lock */
    int error;                /* errno of the first failure; sticky */
    const char *error_doing;

    /* Hints of log_tend() to itself; relaxed. */
    _Atomic uint64_t started;         /* write-out has begun below */
    _Atomic uint64_t populated;       /* faulted in below */
    _Atomic uint64_t past_map;        /* bytes that went to the file past the mapping, ever */
    _Atomic uint64_t volatile_before; /* volatile bytes at the last populating */
    _Atomic uint64_t rated_end, rated_ns;

    int fd;
    char name[OBJECT_NAME_BYTES];
};

/* ---- failures ---- */

static void set_detour(struct log *log) REQUIRES(log->lock)
{
    const bool flight_missing = log->flight.len > 0 && !log->flight_stored;
    const bool detour = log->error != 0 || log->fill.len > 0 || flight_missing;
    atomic_store_explicit(&log->detour, detour, memory_order_release);
}

static loam_status log_status(const struct log *log) REQUIRES(log->lock)
{
    if (log->error == 0) return LOAM_OK;
    return failed_errno(log->error, "%s%s: %s; it takes nothing more", log->store->prefix,
                        log->name, log->error_doing);
}

/* result is 0 or -errno of doing. */
static loam_status note_result(struct log *log, int result, const char *doing) REQUIRES(log->lock)
{
    if (result < 0 && log->error == 0) {
        log->error = -result;
        log->error_doing = doing;
        log->fill.len = 0; /* nobody will be told that these are durable */
        set_detour(log);
    }
    return result < 0 ? log_status(log) : LOAM_OK;
}

/* ---- storing: bytes reach the page cache ---- */

/* The first piece last: a record is seen whole or not at all by whoever reads after a kill. Within one
   machine the order of the stores is all it takes, so the fence is for the compiler. */
static void copy_pieces(uint8_t *dst, const struct sys_piece *pieces, unsigned piece_count)
{
    uint8_t *at = dst + pieces[0].len;
    for (unsigned i = 1; i < piece_count; i++) {
        if (pieces[i].len > 0) memcpy(at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
    }
    atomic_signal_fence(memory_order_release);
    if (pieces[0].len > 0) memcpy(dst, pieces[0].data, pieces[0].len);
}

static bool stores_mapped(const struct log *log)
{
    return log->map != NULL && atomic_load_explicit(&log->is_fast, memory_order_relaxed);
}

static int store_stage(struct log *log, const struct stage *stage)
{
    if (stores_mapped(log)) {
        memcpy(log->map + stage->start, stage->bytes, stage->len);
        return 0;
    }
    const struct sys_piece piece = {stage->bytes, stage->len};
    atomic_fetch_add_explicit(&log->past_map, stage->len, memory_order_relaxed);
    return file_write(log->store->sys, log->fd, stage->start, piece, false);
}

/* Everything below end reaches the page cache. The kernel may be copying the same bytes of flight to
   the same place. */
static int store_staged(struct log *log) REQUIRES(log->lock)
{
    int result = 0;
    if (log->flight.len > 0 && !log->flight_stored) {
        result = store_stage(log, &log->flight);
        log->flight_stored = result == 0;
    }
    if (result == 0 && log->fill.len > 0) {
        result = store_stage(log, &log->fill);
        if (result == 0) log->fill.len = 0;
    }
    set_detour(log);
    return result;
}

/* Nothing is staged. fill serves to make one write of all pieces. */
static int store_short(struct log *log, const struct sys_piece *pieces, unsigned piece_count,
                       size_t len) REQUIRES(log->lock)
{
    const uint64_t end = atomic_load_explicit(&log->end, memory_order_relaxed);
    if (stores_mapped(log)) {
        copy_pieces(log->map + end, pieces, piece_count);
        return 0;
    }
    copy_pieces(log->fill.bytes, pieces, piece_count);
    const struct stage stage = {log->fill.bytes, end, len};
    return store_stage(log, &stage);
}

/* Past the mapping, which would fault for every page. */
static int store_long(struct log *log, const struct sys_piece *pieces, unsigned piece_count)
{
    const struct sys_table sys = log->store->sys;
    const uint64_t end = atomic_load_explicit(&log->end, memory_order_relaxed);
    uint64_t at = end + pieces[0].len;
    for (unsigned i = 1; i < piece_count; i++) {
        const int result = file_write(sys, log->fd, at, pieces[i], false);
        if (result < 0) return result;
        at += pieces[i].len;
    }
    atomic_fetch_add_explicit(&log->past_map, at - end, memory_order_relaxed);
    return file_write(sys, log->fd, end, pieces[0], false);
}

/* ---- appending; the lane ---- */

static void move_end(struct log *log, uint64_t by)
{
    const uint64_t end = atomic_load_explicit(&log->end, memory_order_relaxed);
    atomic_store_explicit(&log->end, end + by, memory_order_release);
}

static void stage_pieces(struct log *log, const struct sys_piece *pieces, unsigned piece_count,
                         size_t len) REQUIRES(log->lock)
{
    struct stage *fill = &log->fill;
    if (fill->len == 0) fill->start = atomic_load_explicit(&log->end, memory_order_relaxed);
    copy_pieces(fill->bytes + fill->len, pieces, piece_count);
    fill->len += len;
    set_detour(log);
}

static loam_status append_short(struct log *log, const struct sys_piece *pieces,
                                unsigned piece_count, size_t len, enum log_how how)
{
    mutex_lock(&log->lock);
    loam_status rc = log_status(log);
    if (rc < 0) goto out;
    if (how == LOG_DURABLE) atomic_fetch_add_explicit(&log->pending, 1, memory_order_relaxed);
    if (how == LOG_DURABLE && len <= log->stage_bytes - log->fill.len) {
        stage_pieces(log, pieces, piece_count, len);
    } else {
        int result = store_staged(log);
        if (result == 0) result = store_short(log, pieces, piece_count, len);
        rc = note_result(log, result, "writing");
        if (rc < 0) goto out;
    }
    move_end(log, len);
out:
    mutex_unlock(&log->lock);
    return rc;
}

/* The lock is not held while so much is copied: nobody but the lane could stage anything. */
static loam_status append_long(struct log *log, const struct sys_piece *pieces,
                               unsigned piece_count, size_t len, enum log_how how)
{
    mutex_lock(&log->lock);
    if (how == LOG_DURABLE) atomic_fetch_add_explicit(&log->pending, 1, memory_order_relaxed);
    loam_status rc = log_status(log);
    if (rc == LOAM_OK) rc = note_result(log, store_staged(log), "writing");
    mutex_unlock(&log->lock);
    if (rc < 0) return rc;

    const int result = store_long(log, pieces, piece_count);
    if (result == 0) {
        move_end(log, len);
        return LOAM_OK;
    }
    mutex_lock(&log->lock);
    rc = note_result(log, result, "writing");
    mutex_unlock(&log->lock);
    return rc;
}

loam_status log_append(struct log *log, const struct sys_piece *pieces, unsigned piece_count,
                       enum log_how how)
{
    size_t len = 0;
    for (unsigned i = 0; i < piece_count; i++)
        len += pieces[i].len;
    const uint64_t end = atomic_load_explicit(&log->end, memory_order_relaxed);
    check(len <= log->capacity - end);
    if (len > log->stage_bytes) return append_long(log, pieces, piece_count, len, how);
    if (how == LOG_DURABLE || !stores_mapped(log) ||
        atomic_load_explicit(&log->detour, memory_order_acquire))
        return append_short(log, pieces, piece_count, len, how);
    copy_pieces(log->map + end, pieces, piece_count);
    /* Where the next ones will stand nobody has looked for long. */
    for (size_t at = 0; at < len + 64 && at < LOG_PREFETCH_BYTES; at += 64)
        __builtin_prefetch(log->map + end + len + LOG_PREFETCH_BYTES + at, 1);
    atomic_store_explicit(&log->end, end + len, memory_order_release);
    return LOAM_OK;
}

/* ---- making durable; whoever leads ---- */

static void move_synced(struct log *log, uint64_t upto) REQUIRES(log->lock)
{
    atomic_store_explicit(&log->synced, upto, memory_order_release);
}

/* All before the group is durable, so the pages it touches are all there is to write. */
static void write_group(struct log *log) REQUIRES(log->lock)
{
    const struct stage group = log->fill;
    const struct sys_piece piece = {group.bytes, group.len};
    log->fill = (struct stage){log->flight.bytes, 0, 0};
    log->flight = group;
    log->flight_stored = false;
    mutex_unlock(&log->lock);
    const int result = file_write(log->store->sys, log->fd, group.start, piece, true);
    mutex_lock(&log->lock);
    log->flight.len = 0;
    if (note_result(log, result, "writing durably") == LOAM_OK)
        move_synced(log, group.start + group.len);
    atomic_fetch_add_explicit(&log->past_map, group.len, memory_order_relaxed);
    set_detour(log);
}

/* Bytes that are not durable lie before the group, or there is no group. */
static void sync_file(struct log *log) REQUIRES(log->lock)
{
    const struct sys_table sys = log->store->sys;
    if (note_result(log, store_staged(log), "writing") < 0) return;
    const uint64_t upto = atomic_load_explicit(&log->end, memory_order_acquire);
    mutex_unlock(&log->lock);
    const int result = sys.calls->sync(sys.ctx, log->fd);
    mutex_lock(&log->lock);
    if (note_result(log, result, "syncing") == LOAM_OK) move_synced(log, upto);
}

/* Whoever was there when the last group was done, served by it or already waiting for this one, is likely to come back at once, and a
   sync for all of them costs as much as one for the first. To expect no more than the last group had would keep halves
   apart that take turns. A lone writer has nobody to wait for. */
static void await_company(struct log *log) REQUIRES(log->lock)
{
    const struct sys_table sys = log->store->sys;
    const unsigned expected = log->last_inside;
    if (expected < 2) return;
    mutex_unlock(&log->lock);
    const uint64_t since = sys.calls->mono_ns(sys.ctx);
    for (unsigned i = 0; i < LOG_COMPANY_YIELDS_MAX; i++) {
        if (atomic_load_explicit(&log->pending, memory_order_relaxed) >= expected) break;
        if (sys.calls->mono_ns(sys.ctx) - since > LOG_COMPANY_NS) break;
        thread_yield();
    }
    mutex_lock(&log->lock);
}

static void lead_group(struct log *log, bool with_company) REQUIRES(log->lock)
{
    log->leading = true;
    if (with_company) await_company(log);
    if (log->error == 0) {
        atomic_store_explicit(&log->pending, 0, memory_order_relaxed);
        const uint64_t synced = atomic_load_explicit(&log->synced, memory_order_relaxed);
        if (log->fill.len > 0 && log->fill.start == synced)
            write_group(log);
        else
            sync_file(log);
        log->last_inside = log->inside;
    }
    log->leading = false;
    cond_broadcast(&log->settled);
}

static loam_status settle(struct log *log, uint64_t upto, bool with_company)
{
    check(upto <= log_end(log));
    if (log_synced(log) >= upto) return LOAM_OK;
    mutex_lock(&log->lock);
    log->inside += with_company;
    while (log_synced(log) < upto && log->error == 0) {
        if (log->leading)
            cond_wait(&log->settled, &log->lock);
        else
            lead_group(log, with_company);
    }
    log->inside -= with_company;
    const loam_status rc = log_synced(log) >= upto ? LOAM_OK : log_status(log);
    mutex_unlock(&log->lock);
    return rc;
}

loam_status log_wait(struct log *log, uint64_t upto)
{
    return settle(log, upto, true);
}

loam_status log_sync(struct log *log)
{
    return settle(log, log_end(log), false);
}

/* ---- life ---- */

static void free_log(struct log *log)
{
    const struct sys_table sys = log->store->sys;
    if (log->map != NULL) sys.calls->unmap(sys.ctx, log->map, log->capacity);
    if (log->fd >= 0) (void)sys.calls->close(sys.ctx, log->fd);
    pages_free(log->fill.bytes, log->stage_bytes);
    pages_free(log->flight.bytes, log->stage_bytes);
    cond_deinit(&log->settled);
    mutex_deinit(&log->lock);
    mem_free(log);
}

static struct log *new_log(struct store *store, uint64_t bytes)
{
    struct log *log = mem_zalloc(sizeof *log);
    if (log == NULL) return NULL;
    log->store = store;
    log->fd = -1;
    log->capacity = bytes;
    log->stage_bytes = bytes < LOG_STAGE_BYTES_MAX ? (size_t)bytes : LOG_STAGE_BYTES_MAX;
    mutex_init(&log->lock);
    cond_init(&log->settled);
    log->fill.bytes = pages_alloc(log->stage_bytes);
    if (log->fill.bytes != NULL) log->flight.bytes = pages_alloc(log->stage_bytes);
    if (log->flight.bytes != NULL) return log;
    free_log(log);
    return NULL;
}

/* One call: it is what makes one folio. Few bytes, many times: they stay in the processor's cache. */
static int64_t write_some_zeros(struct log *log, uint64_t at)
{
    static const uint8_t zeros[LOG_FOLIO_BYTES];
    struct sys_piece pieces[LOG_HUGE_FOLIO_BYTES / LOG_FOLIO_BYTES];
    const struct sys_table sys = log->store->sys;
    const uint64_t left = log->capacity - at;
    uint64_t len = left < log->folio_bytes ? left : log->folio_bytes;
    unsigned count = 0;
    for (; len > 0; len -= pieces[count++].len)
        pieces[count] = (struct sys_piece){zeros, len < sizeof zeros ? (size_t)len : sizeof zeros};
    return sys.calls->write(sys.ctx, log->fd, at, pieces, count, false);
}

/* Blocks that are written already, so that a durable write meets none that is not. In huge folios, where few commits are synced,
   the length alone is made durable: the zeros make the folios, and what is appended overtakes most of them on
   their way to the disk. 0 or -errno. */
static int write_zeros(struct log *log)
{
    const struct sys_table sys = log->store->sys;
    int result = sys.calls->allocate(sys.ctx, log->fd, log->capacity);
    if (result == 0 && log->is_huge) result = sys.calls->sync(sys.ctx, log->fd);
    uint64_t sent = 0;
    unsigned interrupts = 0;
    for (uint64_t at = 0; result == 0 && at < log->capacity;) {
        const int64_t count = write_some_zeros(log, at);
        if (count == -EINTR && ++interrupts < LOG_INTERRUPTS_MAX) continue;
        if (count <= 0) return count < 0 ? (int)count : -EIO;
        at += (uint64_t)count;
        if (log->is_huge || at - sent < log->step_bytes) continue;
        result = store_write_out(log->store, log->fd, sent, at - sent);
        sent = at;
    }
    return result < 0 || log->is_huge ? result : sys.calls->sync(sys.ctx, log->fd);
}

static void populate_first(struct log *log)
{
    const struct sys_table sys = log->store->sys;
    if (log->map == NULL) return;
    const size_t len =
        log->capacity < log->step_bytes ? (size_t)log->capacity : (size_t)log->step_bytes;
    sys.calls->populate(sys.ctx, log->map, len);
    atomic_store_explicit(&log->populated, len, memory_order_relaxed);
}

loam_status log_create(struct store *store, const char *name, uint64_t bytes, enum log_use use,
                       struct log **out)
{
    const struct sys_table sys = store->sys;
    check(bytes > 0 && bytes % 4096 == 0);
    check(strlen(name) < OBJECT_NAME_BYTES);
    struct log *log = new_log(store, bytes);
    if (log == NULL) return LOAM_NOMEM;
    memcpy(log->name, name, strlen(name) + 1);
    log->is_huge = use == LOG_MAPPED_HUGE;
    log->folio_bytes = log->is_huge ? LOG_HUGE_FOLIO_BYTES : LOG_FOLIO_BYTES;
    log->step_bytes = log->is_huge ? LOG_HUGE_FOLIO_BYTES : LOG_STEP_BYTES;
    atomic_init(&log->is_fast, !log->is_huge);
    loam_status rc = store_create(store, name, &log->fd);
    if (rc < 0) {
        free_log(log);
        return rc;
    }
    const int result = write_zeros(log);
    if (result < 0) rc = failed_errno(-result, "%s%s: preparing it", store->prefix, name);
    if (rc == LOAM_OK) rc = store_sync_names(store);
    if (rc < 0) {
        (void)store_remove(store, name);
        free_log(log);
        return rc;
    }
    void *map = NULL;
    /* Where it cannot be mapped, it can be written. */
    if (use != LOG_WRITTEN && store->fs == SYS_FS_MAPPABLE && bytes <= SIZE_MAX &&
        sys.calls->map(sys.ctx, log->fd, (size_t)bytes, &map) == 0)
        log->map = map;
    populate_first(log);
    *out = log;
    return LOAM_OK;
}

/* As new; nobody else uses it. */
static void reset_log(struct log *log, const char *name)
{
    memcpy(log->name, name, strlen(name) + 1);
    atomic_store_explicit(&log->end, 0, memory_order_relaxed);
    atomic_store_explicit(&log->synced, 0, memory_order_relaxed);
    atomic_store_explicit(&log->pending, 0, memory_order_relaxed);
    atomic_store_explicit(&log->started, 0, memory_order_relaxed);
    atomic_store_explicit(&log->past_map, 0, memory_order_relaxed);
    atomic_store_explicit(&log->volatile_before, 0, memory_order_relaxed);
    atomic_store_explicit(&log->rated_end, 0, memory_order_relaxed);
    atomic_store_explicit(&log->is_fast, !log->is_huge, memory_order_relaxed);
    log->last_inside = 0;
    log->fill.len = 0;
}

/* Gives the file its new name, durably. */
static loam_status rename_log(struct log *log, const char *name)
{
    struct store *store = log->store;
    const struct sys_table sys = store->sys;
    mutex_lock(&log->lock);
    loam_status rc = log_status(log);
    mutex_unlock(&log->lock);
    if (rc == LOAM_OK) rc = store_usable(store);
    if (rc < 0) return rc;
    const int renamed = sys.calls->rename(sys.ctx, store->dir, log->name, name);
    if (renamed < 0)
        return failed_errno(-renamed, "%s%s: renaming it to %s", store->prefix, log->name, name);
    rc = store_sync_names(store);
    if (rc < 0) (void)store_remove(store, name);
    return rc;
}

loam_status log_recycle(struct log *log, const char *name, struct log **out)
{
    check(strlen(name) < OBJECT_NAME_BYTES);
    const loam_status rc = rename_log(log, name);
    if (rc < 0) {
        (void)store_remove(log->store, log->name);
        free_log(log);
        return rc;
    }
    reset_log(log, name);
    populate_first(log);
    *out = log;
    return LOAM_OK;
}

/* Bytes that nobody waited for are kept all the same, when that is possible. */
static loam_status store_rest(struct log *log)
{
    mutex_lock(&log->lock);
    loam_status rc = LOAM_OK;
    if (log->error == 0) rc = note_result(log, store_staged(log), "writing");
    mutex_unlock(&log->lock);
    return rc;
}

loam_status log_close(struct log *log, bool trim)
{
    struct store *store = log->store;
    const struct sys_table sys = store->sys;
    const bool ours = !store_is_child(store); /* else it is only unmapped here */
    loam_status rc = ours ? store_rest(log) : LOAM_OK;
    if (log->map != NULL) sys.calls->unmap(sys.ctx, log->map, log->capacity);
    log->map = NULL;
    if (rc == LOAM_OK && trim && ours) {
        const int cut = sys.calls->truncate(sys.ctx, log->fd, log_end(log));
        if (cut < 0) rc = failed_errno(-cut, "%s%s: trimming it", store->prefix, log->name);
    }
    const int closed = sys.calls->close(sys.ctx, log->fd);
    log->fd = -1;
    if (rc == LOAM_OK && closed < 0)
        rc = failed_errno(-closed, "%s%s: closing it", store->prefix, log->name);
    free_log(log);
    return rc;
}

loam_status log_delete(struct log *log)
{
    struct store *store = log->store;
    char name[OBJECT_NAME_BYTES];
    memcpy(name, log->name, sizeof name);
    free_log(log);
    return store_delete(store, name);
}

/* ---- tending ---- */

static void start_write_out(struct log *log, uint64_t end)
{
    const struct sys_table sys = log->store->sys;
    const uint64_t full = end - end % log->step_bytes;
    const uint64_t synced = log_synced(log);
    uint64_t started = atomic_load_explicit(&log->started, memory_order_relaxed);
    if (full <= started) return;
    if (!atomic_compare_exchange_strong_explicit(&log->started, &started, full,
                                                 memory_order_relaxed, memory_order_relaxed))
        return; /* another thread does it */
    const uint64_t from = synced > started ? synced - synced % 4096 : started;
    if (from >= full) return;
    if (log->map != NULL) sys.calls->depopulate(sys.ctx, log->map + from, (size_t)(full - from));
    (void)sys.calls->write_out(sys.ctx, log->fd, from, full - from, false);
}

/* Populating makes pages dirty, which a log that is only written durably would pay for with its
   next fdatasync; so it takes volatile appends to earn it. */
static bool populating_is_due(const struct log *log, uint64_t end)
{
    const uint64_t past = atomic_load_explicit(&log->past_map, memory_order_relaxed);
    const uint64_t before = atomic_load_explicit(&log->volatile_before, memory_order_relaxed);
    const uint64_t from = atomic_load_explicit(&log->populated, memory_order_relaxed);
    return log->map != NULL && from < log->capacity && from < end + log->step_bytes &&
           end >= past + before + LOG_WORTH_POPULATING;
}

static void populate_next(struct log *log, uint64_t end)
{
    const struct sys_table sys = log->store->sys;
    const uint64_t past = atomic_load_explicit(&log->past_map, memory_order_relaxed);
    uint64_t from = atomic_load_explicit(&log->populated, memory_order_relaxed);
    if (!populating_is_due(log, end)) return;
    const uint64_t start = from > end ? from : end - end % log->step_bytes;
    const uint64_t left = log->capacity - start;
    const uint64_t len = left < log->step_bytes ? left : log->step_bytes;
    if (!atomic_compare_exchange_strong_explicit(&log->populated, &from, start + len,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    atomic_store_explicit(&log->volatile_before, end - past, memory_order_relaxed);
    sys.calls->populate(sys.ctx, log->map + start, (size_t)len);
}

static bool rating_is_due(const struct log *log, uint64_t end)
{
    return !atomic_load_explicit(&log->is_fast, memory_order_relaxed) &&
           end >=
               atomic_load_explicit(&log->rated_end, memory_order_relaxed) + LOG_WORTH_POPULATING;
}

/* Do huge folios fill fast enough? Else each sync would write 2 MiB for a few records. */
static void rate(struct log *log, uint64_t end)
{
    const struct sys_table sys = log->store->sys;
    const uint64_t now = sys.calls->mono_ns(sys.ctx);
    const uint64_t bytes = end - atomic_load_explicit(&log->rated_end, memory_order_relaxed);
    const uint64_t ns = now - atomic_load_explicit(&log->rated_ns, memory_order_relaxed);
    if (!log->is_huge || (ns < LOG_RATED_NS && bytes < LOG_WORTH_POPULATING)) return;
    atomic_store_explicit(&log->is_fast, bytes >= ns / 1000000 * LOG_FAST_BYTES_PER_MS,
                          memory_order_relaxed);
    atomic_store_explicit(&log->rated_end, end, memory_order_relaxed);
    atomic_store_explicit(&log->rated_ns, now, memory_order_relaxed);
}

void log_follow(struct log *log, const struct log *before)
{
    const struct sys_table sys = log->store->sys;
    atomic_store_explicit(&log->is_fast, atomic_load(&before->is_fast), memory_order_relaxed);
    atomic_store_explicit(&log->rated_ns, sys.calls->mono_ns(sys.ctx), memory_order_relaxed);
}

bool log_wants_tending(const struct log *log)
{
    const uint64_t end = log_end(log);
    const uint64_t started = atomic_load_explicit(&log->started, memory_order_relaxed);
    return end >= started + log->step_bytes || populating_is_due(log, end) ||
           rating_is_due(log, end);
}

void log_tend(struct log *log)
{
    const uint64_t end = log_end(log);
    rate(log, end);
    populate_next(log, end); /* somebody is about to need it; the other may wait for the device */
    start_write_out(log, end);
}

/* ---- answers ---- */

uint64_t log_end(const struct log *log)
{
    return atomic_load_explicit(&log->end, memory_order_acquire);
}

uint64_t log_synced(const struct log *log)
{
    return atomic_load_explicit(&log->synced, memory_order_acquire);
}

uint64_t log_capacity(const struct log *log)
{
    return log->capacity;
}

const char *log_name(const struct log *log)
{
    return log->name;
}
