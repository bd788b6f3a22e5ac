/*
 * open.c - opening and closing, options, and how a database becomes read-only; see db.h.
 */
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "base/status.h"
#include "db/follow.h"
#include "db/merges.h"

#include "base/poison.h"

#define MIB (UINT64_C(1) << 20)
#define BUDGET_BYTES_MOST (UINT64_C(1) << 50) /* so that no bound that is a multiple of one wraps */

enum {
    MEMTABLE_BYTES_LEAST = 16 << 10,
    RUNS_PER_LEVEL_MAX = 64,
    FILTER_BITS_MAX = 32,
    THREADS_MAX = 64
};

/* ---- options --------------------------------------------------------------------------------- */

static loam_status resolve_options(struct sys_table sys, loam_options *options)
{
    if ((unsigned)options->durability > LOAM_DURABLE_PROCESS)
        return failed(LOAM_INVALID, "durability %d is none", (int)options->durability);
    if (options->durability == LOAM_DURABLE_DEFAULT) options->durability = LOAM_DURABLE_COMMIT;
    if (options->sync_interval_ms == 0) options->sync_interval_ms = 100;
    if (options->memory_bytes == 0) {
        options->memory_bytes = sys.calls->memory_bytes(sys.ctx) / 4;
        if (options->memory_bytes < 4 * MIB) options->memory_bytes = 4 * MIB;
    }
    if (options->memory_bytes > BUDGET_BYTES_MOST) options->memory_bytes = BUDGET_BYTES_MOST;
    if (options->memory_bytes < 4 * MIB)
        return failed(LOAM_INVALID, "memory_bytes is %llu; at least 4 MiB are needed",
                      (unsigned long long)options->memory_bytes);
    if (options->memtable_bytes == 0) {
        const uint64_t quarter = options->memory_bytes / 4;
        options->memtable_bytes = quarter < 64 * MIB ? quarter : 64 * MIB;
    }
    if (options->memtable_bytes > BUDGET_BYTES_MOST) options->memtable_bytes = BUDGET_BYTES_MOST;
    if (options->memtable_bytes < MEMTABLE_BYTES_LEAST)
        return failed(LOAM_INVALID, "memtable_bytes is %llu; at least 16 KiB are needed",
                      (unsigned long long)options->memtable_bytes);
    if (options->feed_bytes > BUDGET_BYTES_MOST) options->feed_bytes = BUDGET_BYTES_MOST;
    if (options->runs_per_level == 0) options->runs_per_level = 8;
    if (options->runs_per_level > RUNS_PER_LEVEL_MAX)
        return failed(LOAM_INVALID, "runs_per_level is %u; at most %d are allowed",
                      options->runs_per_level, RUNS_PER_LEVEL_MAX);
    if (options->filter_bits_per_key > FILTER_BITS_MAX &&
        options->filter_bits_per_key != LOAM_NO_FILTER)
        return failed(LOAM_INVALID, "filter_bits_per_key is %u; at most %d are allowed",
                      options->filter_bits_per_key, FILTER_BITS_MAX);
    if (options->background_threads == 0) options->background_threads = 1;
    if (options->background_threads > THREADS_MAX)
        return failed(LOAM_INVALID, "background_threads is %u; at most %d are allowed",
                      options->background_threads, THREADS_MAX);
    if (options->follow) options->read_only = options->must_exist = true;
    if (options->must_exist && options->must_not_exist)
        return failed(LOAM_INVALID, "must_exist and must_not_exist contradict each other");
    return LOAM_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void delete_unused(void *ctx, struct object_id id)
{
    loam_db *db = ctx;
    char name[OBJECT_NAME_BYTES];
    if (db->options.follow) return; /* it is not ours */
    object_name_make(OBJECT_TABLES, id, name);
    if (store_delete(db->store, name) < 0) db_log(db, LOAM_LOG_WARNING, "%s", loam_errmsg());
}

void db_init_locks(loam_db *db)
{
    struct mutex *locks[] = {&db->changes, &db->lane,       &db->manifest_lock,
                             &db->views,   &db->names,      &db->snapshots,
                             &db->feeds,   &db->fence_lock, &db->jobs.lock};
    for (size_t i = 0; i < sizeof locks / sizeof locks[0]; i++)
        mutex_init(locks[i]);
    cond_init(&db->jobs.work);
    cond_init(&db->jobs.done);
    cond_init(&db->jobs.tend);
    cond_init(&db->feeds_shown);
    cond_init(&db->jobs.archive);
}

void db_deinit_locks(loam_db *db)
{
    struct mutex *locks[] = {&db->changes, &db->lane,       &db->manifest_lock,
                             &db->views,   &db->names,      &db->snapshots,
                             &db->feeds,   &db->fence_lock, &db->jobs.lock};
    for (size_t i = 0; i < sizeof locks / sizeof locks[0]; i++)
        mutex_deinit(locks[i]);
    cond_deinit(&db->jobs.work);
    cond_deinit(&db->jobs.done);
    cond_deinit(&db->jobs.tend);
    cond_deinit(&db->feeds_shown);
    cond_deinit(&db->jobs.archive);
}

static void free_db(loam_db *db)
{
    follow_free(db->follow);
    coll_free_all(db);
    epoch_free(db->epoch);
    if (db->catalog != NULL) catalog_free(db->catalog);
    if (db->cache != NULL) page_cache_free(db->cache);
    if (db->arenas != NULL) arena_pool_free(db->arenas);
    recent_deinit(&db->recent);
    operators_deinit(db);
    store_close(db->store);
    db_deinit_locks(db);
    mem_free(db->archive_name);
    mem_free(db);
}

static loam_status open_parts(loam_db *db)
{
    const uint64_t memory = db->options.memory_bytes;
    const struct catalog_config config = {
        .store = db->store, .delete_object = delete_unused, .ctx = db};
    struct catalog_config filled = config;
    db->recent.half_bytes = RECENT_HALF_BYTES;
    db->arenas = arena_pool_new((size_t)(memory / 8));
    if (db->arenas == NULL) return LOAM_NOMEM;
    loam_status rc = page_cache_new(memory - memory / UNCOUNTED_SHARE_AT_REST, &db->cache);
    if (rc == LOAM_OK) rc = epoch_new(&db->epoch);
    if (rc == LOAM_OK) rc = coll_map_init(&db->by_id);
    if (rc == LOAM_OK) rc = coll_map_init(&db->by_name);
    filled.cache = db->cache;
    if (rc == LOAM_OK) rc = catalog_new(&filled, &db->catalog);
    if (rc == LOAM_OK) jobs_lend_memory(db);
    return rc;
}

/* After any answer the name is the database's own. */
static loam_status own_archive(loam_db *db)
{
    const char *archive = db->options.archive;
    db->options.archive = NULL;
    if (archive == NULL) return LOAM_OK;
    if (archive[0] == '\0') return failed(LOAM_INVALID, "the archive's name is empty");
    db->options.archive = db->archive_name = mem_copy(archive, strlen(archive) + 1);
    return db->archive_name == NULL ? LOAM_NOMEM : LOAM_OK;
}

/* A failed open undoes itself: nothing was acknowledged, so the log and the manifest are left as they are. */
static void abandon(loam_db *db)
{
    struct failure first;
    failure_save(&first);
    jobs_stop(db);
    wal_free(db->wal);
    manifest_close(db->manifest);
    free_db(db);
    failure_restore(&first);
}

loam_status db_open_in(const struct db_world *world, const char *dir, const loam_options *options,
                       loam_db **out)
{
    bool is_new = false;
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    if (dir == NULL || dir[0] == 0) return failed(LOAM_INVALID, "the directory's name is empty");
    loam_db *db = mem_zalloc(sizeof *db);
    if (db == NULL) return LOAM_NOMEM;
    db->sys = world->sys;
    db->page_bytes = world->page_bytes;
    db->restore = world->restore;
    db->change_position = UINT64_MAX;
    atomic_init(&db->expiry_due_ms, UINT64_MAX);
    db_init_locks(db);
    db->options = loam_options_default();
    loam_status rc = sized_take(&db->options, sizeof db->options, options, "loam_options_default");
    if (rc == LOAM_OK) rc = own_archive(db);
    if (rc == LOAM_OK) rc = resolve_options(world->sys, &db->options);
    if (rc == LOAM_OK) rc = operators_init(db, &db->options);
    if (rc == LOAM_OK) {
        const struct store_options store_options = {.read_only = db->options.read_only,
                                                    .must_exist = db->options.must_exist,
                                                    .must_not_exist = db->options.must_not_exist,
                                                    .unlocked = db->options.follow,
                                                    .log_bytes_least = world->log_bytes_least};
        rc = store_open(world->sys, dir, &store_options, &is_new, &db->store);
    }
    if (rc == LOAM_OK) {
        rc = open_parts(db);
        if (rc == LOAM_OK && db->options.follow)
            rc = follow_open(db);
        else if (rc == LOAM_OK)
            rc = db_recover(db, is_new, world->mapped_log);
        if ((rc == LOAM_CORRUPT || rc == LOAM_TOONEW) && world->restore == NULL)
            rc = failed_in(rc, dir);
    }
    if (rc == LOAM_OK && !db->options.read_only) rc = jobs_start(db, world->threaded, world->seed);
    db->restore = NULL;
    if (rc != LOAM_OK) { /* a restore may have been told to stop */
        abandon(db);
        return rc;
    }
    if (!db->options.read_only) {
        jobs_want_flush(db); /* what recovery froze */
        for (loam_coll *coll = db->all; coll != NULL; coll = coll->all_next)
            compact_consider(coll);
    }
    *out = db;
    return LOAM_OK;
}

struct db_world db_world_real(void)
{
    return (struct db_world){.sys = sys_posix(), .threaded = true, .mapped_log = true};
}

loam_status loam_open(const char *dir, const loam_options *opts, loam_db **out)
{
    const struct db_world world = db_world_real();
    return db_open_in(&world, dir, opts, out);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* What was said to have expired does not come back, whatever time the next opening is told. */
static loam_status note_clock(loam_db *db)
{
    struct edit edit = {0};
    if (!atomic_load(&db->may_expire)) return LOAM_OK;
    mutex_lock(&db->manifest_lock);
    loam_status rc = db_counters_to_edit(db, &edit, 0);
    if (rc == LOAM_OK) rc = manifest_commit(db->manifest, &edit);
    mutex_unlock(&db->manifest_lock);
    edit_deinit(&edit);
    if (rc != LOAM_FULL && rc != LOAM_NOMEM) return rc;
    db_log(db, LOAM_LOG_WARNING, "closed without a word of the time: %s", loam_errmsg());
    return LOAM_OK;
}

static loam_status seal(loam_db *db)
{
    uint64_t end, running;
    if (db->wal == NULL) return LOAM_OK; /* read-only */
    if (atomic_load(&db->fenced) != LOAM_OK) {
        const loam_status rc = atomic_load(&db->fenced);
        wal_free(db->wal);
        manifest_close(db->manifest);
        return failed(rc, "what was written since the database went read-only (%s) may be missing",
                      db->fence_text);
    }
    loam_status rc = wal_close(db->wal, &end, &running);
    if (rc == LOAM_OK) rc = note_clock(db);
    if (rc < 0) {
        manifest_close(db->manifest);
        return rc;
    }
    const loam_status sealed = manifest_seal(db->manifest, end, running);
    if (sealed != LOAM_FULL) return sealed;
    /* All is durable: the next opening recovers it as after a crash. */
    db_log(db, LOAM_LOG_WARNING, "closed without a seal: %s", loam_errmsg());
    return LOAM_OK;
}

loam_status loam_close(loam_db *db)
{
    if (db == NULL) return LOAM_OK;
    if (store_is_child(db->store))
        return failed(LOAM_MISUSE, "this database was opened before fork(); its parent closes it");
    const uint32_t iters = atomic_load(&db->iter_count), feeds = atomic_load(&db->feed_count);
    const uint32_t ingests = atomic_load(&db->ingest_count);
    mutex_lock(&db->snapshots);
    const uint32_t snapshots = db->snapshot_count;
    mutex_unlock(&db->snapshots);
    if (iters > 0 || snapshots > 0)
        return failed(LOAM_BUSY,
                      "%u iterators and %u snapshots or transactions are open; close them first",
                      iters, snapshots);
    if (feeds > 0) return failed(LOAM_BUSY, "%u feeds are open; close them first", feeds);
    if (ingests > 0) return failed(LOAM_BUSY, "%u ingests are open; close them first", ingests);
    jobs_stop(db);
    const loam_status rc = seal(db);
    if (rc == LOAM_OK && !db->options.read_only) archive_end(db);
    free_db(db);
    return rc;
}
