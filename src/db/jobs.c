/*
 * jobs.c - who does the work behind the calls; see db.h.
 *
 * Role: a queue of flushes and compactions. Worker threads take from it, flushes first; a tender thread prepares log segments and
 *   syncs periodically, so that neither waits for a long merge; one more gives the log to the archive, where there is one. Without threads (tests), the callers run jobs,
 *   in an order that a seed decides, and one who would wait runs one instead.
 * Invariants: (1) one flush at a time, one compaction a collection. (2) jobs_wait_for_flush() never waits for what nobody runs: it
 *   says why instead. (3) A failure in the background is never lost: it fences, or is said through the log callback and tried
 *   again later (disk or memory full), or marks the collection (corrupt input), and later writes say why.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

enum {
    TEND_MS = 100,
    SYNC_MS =
        1000, /* at the latest, whatever the commits ask for: a dead device accepts mapped stores without a word */
    RETRY_MS = 500,  /* after a full disk */
    IDLE_MS = 200,   /* without a commit */
    CALM_MS = 10000, /* without one: who writes now and then does not drive pages out each time */
    REST_ODDS = 8    /* without threads nobody knows how long nobody wrote */
};

static uint64_t mono_ms(const loam_db *db)
{
    return db_now_ns(db) / 1000000;
}

/* ---- asking ---------------------------------------------------------------------------------- */

uint64_t jobs_want_flush(loam_db *db)
{
    mutex_lock(&db->jobs.lock);
    db->jobs.flush_wanted = true;
    const uint64_t ended = db->jobs.ended_count;
    cond_signal(&db->jobs.work);
    mutex_unlock(&db->jobs.lock);
    return ended;
}

static void queue_compact(struct jobs *jobs, struct loam_coll *coll, enum compact_how how)
{
    if (coll->compact_queued && how == COMPACT_DUE) coll->compact_idle = false;
    if (coll->compact_queued || coll->compact_running || coll->compact_stuck) return;
    struct loam_coll **link = &jobs->queue;
    while (*link != NULL)
        link = &(*link)->compact_next;
    *link = coll;
    coll->compact_next = NULL;
    coll->compact_queued = true;
    coll->compact_idle = how == COMPACT_IDLE;
    jobs->queue_count++;
    cond_signal(&jobs->work);
}

void jobs_want_compact(struct loam_coll *coll, enum compact_how how)
{
    mutex_lock(&coll->db->jobs.lock);
    queue_compact(&coll->db->jobs, coll, how);
    mutex_unlock(&coll->db->jobs.lock);
}

void jobs_want_look(loam_db *db)
{
    mutex_lock(&db->jobs.lock);
    db->jobs.look_wanted = true;
    cond_signal(&db->jobs.work);
    mutex_unlock(&db->jobs.lock);
}

void jobs_wake_tender(loam_db *db)
{
    if (atomic_load_explicit(&db->jobs.tend_asked, memory_order_relaxed)) return;
    mutex_lock(&db->jobs.lock);
    if (!db->jobs.tend_asked) cond_signal(&db->jobs.tend);
    db->jobs.tend_asked = true;
    mutex_unlock(&db->jobs.lock);
}

void jobs_wake_writers(loam_db *db)
{
    mutex_lock(&db->jobs.lock);
    db->jobs.ended_count++;
    cond_broadcast(&db->jobs.done);
    mutex_unlock(&db->jobs.lock);
}

void jobs_claim(struct loam_coll *coll)
{
    loam_db *db = coll->db;
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    coll->compact_claims++; /* a worker with one merge after the other to do stands back */
    while (coll->compact_running) {
        check(jobs->running_count + jobs->claimed_count > 0); /* somebody who will end it */
        cond_wait(&jobs->done, &db->jobs.lock);
    }
    coll->compact_claims--;
    jobs->claimed_count++;
    coll->compact_running = true;
    coll->compact_stuck = false; /* the caller will see for himself */
    mutex_unlock(&db->jobs.lock);
}

void jobs_unclaim(struct loam_coll *coll)
{
    loam_db *db = coll->db;
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    jobs->claimed_count--;
    coll->compact_running = false;
    cond_broadcast(&jobs->done);
    mutex_unlock(&db->jobs.lock);
    if (!atomic_load(&coll->dropped)) compact_consider(coll);
}

/* ---- running: the lock is held on entry and on return, not in between ------------------------- */

/* A full disk or memory is tried again later: true. All else that fails here may not be passed over. */
static bool note_failure(loam_db *db, loam_status rc, const char *what)
{
    if (rc >= 0) return false;
    db_log(db, LOAM_LOG_ERROR, "%s failed: %s", what, loam_errmsg());
    if (rc == LOAM_FULL || rc == LOAM_NOMEM) return true;
    (void)db_fence(db, rc);
    return false;
}

static void run_flush(loam_db *db) REQUIRES(&db->jobs.lock)
{
    struct jobs *jobs = &db->jobs;
    const enum flush_how how = jobs->rest_wanted ? FLUSH_ALL : FLUSH_DUE;
    jobs->flush_wanted = jobs->rest_wanted = false;
    jobs->flush_running = true;
    jobs->running_count++;
    mutex_unlock(&db->jobs.lock);
    const loam_status rc = flush_run(db, how);
    const bool again = note_failure(db, rc, "flush");
    mutex_lock(&db->jobs.lock);
    jobs->flush_retry_ms = again ? mono_ms(db) + RETRY_MS : 0;
    if (again) {
        jobs->flush_wanted = true;
        jobs->rest_wanted |= how == FLUSH_ALL;
        jobs->flush_failure = rc;
        failed_keep(jobs->flush_failure_text, sizeof jobs->flush_failure_text);
    }
    jobs->flush_running = false;
    jobs->running_count--;
    jobs->ended_count++;
    cond_broadcast(&jobs->done);
    cond_signal(&jobs->work);
}

static void run_compact(loam_db *db, size_t at) REQUIRES(&db->jobs.lock)
{
    struct jobs *jobs = &db->jobs;
    struct loam_coll **link = &jobs->queue;
    while (at-- > 0)
        link = &(*link)->compact_next;
    struct loam_coll *coll = *link;
    *link = coll->compact_next;
    jobs->queue_count--;
    coll->compact_queued = false;
    if (coll->compact_running || coll->compact_claims > 0 || atomic_load(&coll->dropped))
        return; /* its claimer will consider it */
    const enum compact_how how = coll->compact_idle ? COMPACT_IDLE : COMPACT_DUE;
    coll->compact_running = true;
    jobs->running_count++;
    mutex_unlock(&db->jobs.lock);
    bool did;
    const loam_status rc = compact_run(coll, how, &did);
    const bool corrupt = rc == LOAM_CORRUPT;
    if (corrupt) {
        char name[COLL_NAME_ROOM];
        coll_tell_name(coll, name);
        db_log(db, LOAM_LOG_ERROR, "compaction gives up on \"%s\": %s", name, loam_errmsg());
    }
    const bool again = !corrupt && note_failure(db, rc, "compaction");
    mutex_lock(&db->jobs.lock);
    jobs->compact_retry_ms = again ? mono_ms(db) + RETRY_MS : 0;
    coll->compact_running = false;
    coll->compact_stuck |= corrupt;
    jobs->running_count--;
    jobs->ended_count++;
    if (did || again) queue_compact(jobs, coll, how);
    cond_broadcast(&jobs->done);
}

/* Considers every collection: what is due, or also what is worth doing when nobody is writing. */
static void run_look(loam_db *db, void (*consider)(struct loam_coll *)) REQUIRES(&db->jobs.lock)
{
    db->jobs.look_wanted = false;
    mutex_unlock(&db->jobs.lock);
    mutex_lock(&db->names);
    loam_coll *coll = db->all; /* handles are only ever added in front, and live as long as db */
    mutex_unlock(&db->names);
    for (; coll != NULL; coll = coll->all_next)
        if (!atomic_load(&coll->dropped)) consider(coll);
    mutex_lock(&db->jobs.lock);
}

/* True once after each job that changed something, when it was the last one. */
static bool idle_is_due(loam_db *db) REQUIRES(&db->jobs.lock)
{
    return db->jobs.ended_count != db->jobs.idle_seen && db->jobs.running_count == 0 &&
           db->jobs.flush_retry_ms == 0 && db->jobs.compact_retry_ms == 0;
}

static void run_idle(loam_db *db) REQUIRES(&db->jobs.lock)
{
    db->jobs.idle_seen = db->jobs.ended_count;
    run_look(db, compact_consider_idle);
}

static bool flush_is_due(loam_db *db) REQUIRES(&db->jobs.lock)
{
    return (db->jobs.flush_wanted || db->jobs.rest_wanted) && !db->jobs.flush_running &&
           (db->jobs.flush_retry_ms == 0 || mono_ms(db) >= db->jobs.flush_retry_ms);
}

static bool compact_is_due(loam_db *db) REQUIRES(&db->jobs.lock)
{
    return db->jobs.queue_count > 0 &&
           (db->jobs.compact_retry_ms == 0 || mono_ms(db) >= db->jobs.compact_retry_ms);
}

/* Asks, once after each commit that was the last one, for the flush that makes a large log small: the disk that it takes is for
   writers, and what it holds would have to be read again by an opening. */
static void want_rest(loam_db *db) REQUIRES(&db->jobs.lock)
{
    struct jobs *jobs = &db->jobs;
    const uint64_t visible = atomic_load(&db->visible);
    if (visible == jobs->rested_at || jobs->flush_running) return;
    if (!wal_is_large(db->wal) && !atomic_load(&db->ranges_pending)) return;
    jobs->rested_at = visible;
    jobs->rest_wanted = true;
    cond_signal(&jobs->work);
}

void jobs_yield_to_flush(loam_db *db)
{
    mutex_lock(&db->jobs.lock);
    if (flush_is_due(db)) run_flush(db);
    mutex_unlock(&db->jobs.lock);
}

/* ---- waiting --------------------------------------------------------------------------------- */

bool jobs_run_one(loam_db *db)
{
    struct jobs *jobs = &db->jobs;
    if (atomic_load(&db->fenced) != LOAM_OK) return false; /* like a worker */
    mutex_lock(&db->jobs.lock);
    if (expiry_is_due(db)) jobs->look_wanted = true;
    const bool flush = flush_is_due(db);
    const size_t compactions = compact_is_due(db) ? jobs->queue_count : 0;
    const size_t choices = compactions + flush;
    const bool look = jobs->look_wanted, idle = choices == 0 && !look && idle_is_due(db);
    if (choices == 0 && rand_below(&jobs->rand, REST_ODDS) == 0) want_rest(db);
    if (look) {
        run_look(db, compact_consider);
    } else if (idle) {
        run_idle(db);
    } else if (choices > 0) {
        const size_t choice = (size_t)rand_below(&jobs->rand, choices);
        if (choice < compactions)
            run_compact(db, choice);
        else
            run_flush(db);
    }
    mutex_unlock(&db->jobs.lock);
    return look || idle || choices > 0; /* a look may have found something to do */
}

loam_status jobs_wait_for_flush(loam_db *db, uint64_t ended_count, const char *reason)
{
    struct jobs *jobs = &db->jobs;
    loam_status rc = LOAM_OK;
    if (!jobs->threaded && jobs_run_one(db)) return LOAM_OK;
    mutex_lock(&db->jobs.lock);
    const bool ended = jobs->ended_count != ended_count || atomic_load(&db->fenced) != LOAM_OK;
    const bool somebody = jobs->running_count > 0 || flush_is_due(db) || compact_is_due(db);
    if (!ended && somebody && jobs->threaded) {
        (void)cond_wait_ns(&jobs->done, &db->jobs.lock, UINT64_C(100000000));
    } else if (
        !ended &&
        !somebody) { /* a flush was asked for: only its own failure can keep it from running */
        check(jobs->flush_retry_ms != 0);
        rc = failed(jobs->flush_failure, "%s, and the flush failed: %s", reason,
                    jobs->flush_failure_text);
    }
    mutex_unlock(&db->jobs.lock);
    return rc;
}

/* ---- the tender ------------------------------------------------------------------------------ */

/* Says in the log that a sync happened, a commit's or ours; otherwise nothing would attest it until the next commit. */
static loam_status attest(loam_db *db)
{
    uint64_t end;
    mutex_lock(&db->lane);
    const struct record_spec spec = {
        .kind = RECORD_ATTEST, .seq = db->next_seq, .time_ms = atomic_load(&db->clock_ms)};
    loam_status rc = wal_reserve(db->wal, 0);
    if (rc == LOAM_OK) rc = wal_append(db->wal, &spec, NULL, 0, LOG_VOLATILE, &end);
    mutex_unlock(&db->lane);
    return rc == LOAM_FULL || rc == LOAM_NOMEM ? LOAM_OK : rc;
}

static loam_status tend(loam_db *db)
{
    loam_status rc = wal_tend(db->wal);
    if (rc == LOAM_FULL || rc == LOAM_NOMEM)
        rc = LOAM_OK; /* the commit that needs it will say so */
    if (rc < 0) return rc;
    const uint64_t now = db_now_ns(db);
    const bool periodic = atomic_load(&db->periodic_pending);
    const uint64_t interval_ms =
        periodic && db->options.sync_interval_ms < SYNC_MS ? db->options.sync_interval_ms : SYNC_MS;
    if (now - db->synced_at_ns < interval_ms * 1000000) return LOAM_OK;
    atomic_store(&db->periodic_pending, false);
    db->synced_at_ns = now;
    if (wal_has_unsynced(db->wal)) rc = wal_sync(db->wal);
    return rc == LOAM_OK && wal_is_unattested(db->wal) ? attest(db) : rc;
}

void jobs_lend_memory(loam_db *db)
{
    const uint64_t memory = db->options.memory_bytes;
    uint64_t lent = atomic_load(&db->memtable_bytes) + arena_pool_bytes(db->arenas);
    mutex_lock(&db->jobs.lock);
    const bool rests = db->jobs.running_count == 0 && db->quiet_ns >= UINT64_C(1000000) * CALM_MS;
    mutex_unlock(&db->jobs.lock);
    if (!rests) lent += memory / UNCOUNTED_SHARE - memory / UNCOUNTED_SHARE_AT_REST;
    page_cache_lend(db->cache, lent);
}

void jobs_tend_once(loam_db *db)
{
    if (atomic_load(&db->fenced) != LOAM_OK) return;
    const loam_status rc = tend(db);
    if (rc < 0) (void)db_fence(db, rc);
    arena_pool_tend(db->arenas);
    jobs_lend_memory(db);
    if (expiry_is_due(db)) jobs_want_look(db);
    if (!db->jobs.threaded) archive_once(db);
}

/* How long has the last commit been there? */
static void measure_quiet(loam_db *db)
{
    const uint64_t visible = atomic_load(&db->visible), now = db_now_ns(db);
    if (visible != db->tended_at) db->quiet_since_ns = now;
    db->tended_at = visible;
    db->quiet_ns = now - db->quiet_since_ns;
}

static uint64_t tend_interval_ns(const loam_db *db)
{
    const uint64_t ms =
        db->options.sync_interval_ms < TEND_MS ? db->options.sync_interval_ms : TEND_MS;
    return ms * 1000000;
}

static void tender_main(void *arg)
{
    loam_db *db = arg;
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    while (!atomic_load(&jobs->stopping)) {
        const bool goes_on =
            arena_pool_wants_tending(db->arenas) && atomic_load(&db->fenced) == LOAM_OK;
        if (!jobs->tend_asked && !goes_on)
            (void)cond_wait_ns(&jobs->tend, &db->jobs.lock, tend_interval_ns(db));
        jobs->tend_asked = false;
        mutex_unlock(&db->jobs.lock);
        measure_quiet(db);
        jobs_tend_once(db);
        mutex_lock(&db->jobs.lock);
        if (db->quiet_ns >= UINT64_C(1000000) * IDLE_MS) want_rest(db);
    }
    mutex_unlock(&db->jobs.lock);
}

static void archiver_main(void *arg)
{
    loam_db *db = arg;
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    while (!atomic_load(&jobs->stopping)) {
        (void)cond_wait_ns(&jobs->archive, &db->jobs.lock, UINT64_C(1000000) * TEND_MS);
        mutex_unlock(&db->jobs.lock);
        archive_once(db);
        mutex_lock(&db->jobs.lock);
    }
    mutex_unlock(&db->jobs.lock);
}

/* Runs what is most urgent; false when nothing is due. */
static bool run_due(loam_db *db) REQUIRES(&db->jobs.lock)
{
    if (flush_is_due(db))
        run_flush(db);
    else if (db->jobs.look_wanted)
        run_look(db, compact_consider);
    else if (compact_is_due(db))
        run_compact(db, 0);
    else
        return false;
    return true;
}

/* Sleeps until there is something to do; after a while without a commit, idleness itself is something. */
static void wait_for_work(loam_db *db) REQUIRES(&db->jobs.lock)
{
    struct jobs *jobs = &db->jobs;
    const uint64_t visible = atomic_load(&db->visible);
    const bool retry = jobs->flush_retry_ms != 0 || jobs->compact_retry_ms != 0;
    if (atomic_load(&db->fenced) != LOAM_OK || (!retry && !idle_is_due(db))) {
        cond_wait(&jobs->work, &db->jobs.lock);
    } else if (retry) {
        (void)cond_wait_ns(&jobs->work, &db->jobs.lock, UINT64_C(1000000) * TEND_MS);
    } else {
        const bool quiet = !cond_wait_ns(&jobs->work, &db->jobs.lock, UINT64_C(1000000) * IDLE_MS);
        if (quiet && atomic_load(&db->visible) == visible && idle_is_due(db)) run_idle(db);
    }
}

static void worker_main(void *arg)
{
    loam_db *db = arg;
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    while (!atomic_load(&jobs->stopping)) {
        if (atomic_load(&db->fenced) == LOAM_OK && run_due(db)) continue;
        wait_for_work(db);
    }
    mutex_unlock(&db->jobs.lock);
}

/* ---- life ------------------------------------------------------------------------------------ */

loam_status jobs_start(loam_db *db, bool threaded, uint64_t seed)
{
    struct jobs *jobs = &db->jobs;
    loam_status rc = LOAM_OK;
    jobs->rand.state = seed;
    jobs->threaded = threaded;
    db->synced_at_ns = db_now_ns(db);
    if (!threaded) return LOAM_OK;
    jobs->workers = mem_zalloc(db->options.background_threads * sizeof *jobs->workers);
    if (jobs->workers == NULL) return LOAM_NOMEM;
    jobs->worker_count = db->options.background_threads;
    rc = thread_start(&jobs->tender, "loam-log", tender_main, db);
    if (rc == LOAM_OK && db->options.archive != NULL)
        rc = thread_start(&jobs->archiver, "loam-archive", archiver_main, db);
    for (uint32_t i = 0; rc == LOAM_OK && i < jobs->worker_count; i++)
        rc = thread_start(&jobs->workers[i], "loam-work", worker_main, db);
    return rc;
}

void jobs_stop(loam_db *db)
{
    struct jobs *jobs = &db->jobs;
    mutex_lock(&db->jobs.lock);
    atomic_store(&jobs->stopping, true);
    cond_broadcast(&jobs->work);
    cond_broadcast(&jobs->tend);
    cond_broadcast(&jobs->archive);
    cond_broadcast(&jobs->done);
    mutex_unlock(&db->jobs.lock);
    if (jobs->threaded) {
        thread_join(&jobs->tender);
        thread_join(&jobs->archiver);
        for (uint32_t i = 0; i < jobs->worker_count; i++)
            thread_join(&jobs->workers[i]);
    }
    mem_free(jobs->workers);
    jobs->workers = NULL;
}
