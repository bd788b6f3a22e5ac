/*
 * compact.c - runs into one run below; see db.h. What to merge is tree/pick's decision, what may be left out survive.c's.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"
#include "record/merge.h"

#include "base/poison.h"

enum {
    LAST_RATIO = 4, /* the upper levels go down when they hold a quarter of the last */
    TOMBSTONE_PERCENT = 25,
    DELAY_NS_MAX = 20000, /* of 1 KiB: never slower than 50 MB/s because of debt alone */
    DELAY_NS_STEP = 2000
};

struct compaction {
    struct loam_coll *coll;
    struct version *version; /* referenced */
    struct plan plan;
    struct run **inputs; /* newest first */
    size_t input_count;
    struct edit edit;
    struct view *spare;
    uint64_t written_bytes;
};

struct pick_policy compact_policy(loam_db *db)
{
    return (struct pick_policy){.runs_per_level = db->options.runs_per_level,
                                .last_ratio = LAST_RATIO,
                                .tombstone_percent = TOMBSTONE_PERCENT,
                                .oldest_seq = snapshot_oldest_seq(db)};
}

/* ---- inputs --------------------------------------------------------------------------------- */

static void add_runs(struct compaction *compaction, uint32_t level, uint32_t first)
{
    const struct level *runs = &compaction->version->levels[level];
    for (uint32_t i = first; i < runs->run_count; i++)
        compaction->inputs[compaction->input_count++] = runs->runs[i];
}

static loam_status collect_inputs(struct compaction *compaction)
{
    const struct plan *plan = &compaction->plan;
    compaction->inputs =
        mem_alloc_array(version_run_count(compaction->version) + 1, sizeof(struct run *));
    if (compaction->inputs == NULL) return LOAM_NOMEM;
    add_runs(compaction, plan->level_from, plan->first_run);
    for (uint32_t level = plan->level_from + 1; level < plan->level_to; level++)
        add_runs(compaction, level, 0);
    if (plan->level_to == LEVEL_LAST && plan->level_from != LEVEL_LAST && !plan->trivial)
        add_runs(compaction, LEVEL_LAST, 0);
    return LOAM_OK;
}

/* Which level a run of the version stands in. */
static uint32_t level_of(const struct version *version, const struct run *run)
{
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++)
            if (version->levels[level].runs[i] == run) return level;
    check(false);
    return 0;
}

static loam_status remove_inputs(struct compaction *compaction)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; i < compaction->input_count; i++) {
        const struct run *run = compaction->inputs[i];
        const uint32_t level = level_of(compaction->version, run);
        for (uint32_t t = 0; rc == LOAM_OK && t < run->table_count; t++)
            rc = edit_remove_table(&compaction->edit, compaction->coll->id, level, run->number,
                                   table_meta(run->tables[t].table)->uid);
    }
    return rc;
}

/* ---- moving --------------------------------------------------------------------------------- */

/* The same tables, one run lower. In the last level they join the run that is there. */
static loam_status move_tables(struct compaction *compaction)
{
    const struct run *run = compaction->inputs[0];
    const struct level *last = &compaction->version->levels[LEVEL_LAST];
    const uint64_t number = compaction->plan.level_to == LEVEL_LAST && last->run_count > 0
                                ? last->runs[0]->number
                                : db_next_run(compaction->coll->db);
    loam_status rc = remove_inputs(compaction);
    for (uint32_t t = 0; rc == LOAM_OK && t < run->table_count; t++) {
        const struct change change = {.tag = CHANGE_TABLE_ADD,
                                      .coll = compaction->coll->id,
                                      .level = compaction->plan.level_to,
                                      .run = number,
                                      .meta = *table_meta(run->tables[t].table),
                                      .from = run->tables[t].from,
                                      .to = run->tables[t].to};
        rc = edit_add(&compaction->edit, &change);
    }
    return rc;
}

/* ---- merging -------------------------------------------------------------------------------- */

static bool may_go_on(void *ctx)
{
    const struct loam_coll *coll = ctx;
    jobs_yield_to_flush(coll->db);
    return !atomic_load_explicit(&coll->db->jobs.stopping, memory_order_relaxed) &&
           !atomic_load_explicit(&coll->dropped, memory_order_relaxed);
}

static loam_status open_inputs(struct compaction *compaction, struct iter **out)
{
    struct iter **iters = mem_alloc_array(compaction->input_count, sizeof(struct iter *));
    loam_status rc = iters == NULL ? LOAM_NOMEM : LOAM_OK;
    size_t count = 0;
    while (rc == LOAM_OK && count < compaction->input_count) {
        rc = run_iter_new(compaction->inputs[count], TABLE_ITER_BULK, &iters[count]);
        if (rc == LOAM_OK) count++;
    }
    if (rc == LOAM_OK) {
        rc = merge_iter_new(iters, count, out);
    } else {
        while (count > 0)
            iter_close(iters[--count]);
    }
    mem_free(iters);
    return rc;
}

/* Every entry of the inputs was seen: an iterator that ended early must not pass for one that reached the end. */
static loam_status check_counts(const struct compaction *compaction,
                                const struct survival *survival)
{
    uint64_t expected = 0;
    for (size_t i = 0; i < compaction->input_count; i++) {
        const struct run *run = compaction->inputs[i];
        for (uint32_t t = 0; t < run->table_count; t++) {
            if (run->tables[t].from.len > 0 || run->tables[t].to.len > 0) return LOAM_OK;
            expected += table_meta(run->tables[t].table)->entry_count;
        }
    }
    if (expected == survival->seen_count) return LOAM_OK;
    char name[COLL_NAME_ROOM];
    coll_tell_name(compaction->coll, name);
    return failed(LOAM_CORRUPT, "a merge of \"%s\" saw %llu entries where its tables promise %llu",
                  name, (unsigned long long)survival->seen_count, (unsigned long long)expected);
}

static loam_status merge_tables(struct compaction *compaction)
{
    struct run_writer *writer = NULL;
    struct survival survival = {0};
    struct iter *iter = NULL;
    const bool into_last = compaction->plan.level_to == LEVEL_LAST;
    const struct run_writer_spec spec = {.coll = compaction->coll,
                                         .level = compaction->plan.level_to,
                                         .run = db_next_run(compaction->coll->db),
                                         .compress = into_last};
    loam_status rc = survival_init(&survival, compaction->coll->db);
    if (rc < 0) goto out;
    survival.version = into_last ? NULL : compaction->version;
    survival.level = compaction->plan.level_from;
    survival.run_number = compaction->inputs[compaction->input_count - 1]->number;
    rc = open_inputs(compaction, &iter);
    if (rc < 0) goto out;
    rc = run_writer_new(&spec, &writer);
    if (rc < 0) goto out;
    rc = run_writer_drain(writer, iter, &survival, may_go_on, compaction->coll);
    if (rc != LOAM_OK) goto out;
    rc = check_counts(compaction, &survival);
    if (rc == LOAM_OK) rc = remove_inputs(compaction);
    if (rc == LOAM_OK)
        rc = run_writer_finish(writer, &compaction->edit, &compaction->written_bytes);
out:
    run_writer_free(writer);
    iter_close(iter);
    survival_deinit(&survival);
    return rc;
}

/* ---- installing ----------------------------------------------------------------------------- */

/* What a merge wrote and could not install. */
static void delete_outputs(struct compaction *compaction)
{
    struct edit_reader reader =
        edit_reader_over(loam_bytes(compaction->edit.bytes.data, compaction->edit.bytes.len));
    struct change change;
    char name[OBJECT_NAME_BYTES];
    while (!compaction->plan.trivial && edit_next(&reader, &change) == LOAM_OK) {
        if (change.tag != CHANGE_TABLE_ADD) continue;
        object_name_make(OBJECT_TABLES, change.meta.object, name);
        if (store_delete(compaction->coll->db->store, name) < 0)
            db_log(compaction->coll->db, LOAM_LOG_WARNING, "%s", loam_errmsg());
    }
}

static loam_status install_merged(struct compaction *compaction)
{
    struct loam_coll *coll = compaction->coll;
    loam_db *db = coll->db;
    mutex_lock(&db->manifest_lock);
    loam_status rc = atomic_load(&coll->dropped) ? LOAM_CONFLICT : LOAM_OK;
    if (rc == LOAM_OK) rc = db_counters_to_edit(db, &compaction->edit, 0);
    if (rc == LOAM_OK) rc = manifest_commit(db->manifest, &compaction->edit);
    if (rc == LOAM_OK) {
        view_install(coll, compaction->spare, catalog_coll_by_id(db->catalog, coll->id)->version,
                     0);
        compaction->spare = NULL;
    }
    mutex_unlock(&db->manifest_lock);
    if (rc == LOAM_CONFLICT || rc == LOAM_FULL || rc == LOAM_NOMEM) delete_outputs(compaction);
    return rc;
}

static loam_status run_plan(struct compaction *compaction)
{
    loam_db *db = compaction->coll->db;
    compaction->spare = view_spare();
    loam_status rc = compaction->spare == NULL ? LOAM_NOMEM : collect_inputs(compaction);
    if (rc == LOAM_OK)
        rc = compaction->plan.trivial ? move_tables(compaction) : merge_tables(compaction);
    if (rc == LOAM_OK) rc = install_merged(compaction);
    if (rc != LOAM_OK) return rc;
    atomic_fetch_add(&db->compaction_count, 1);
    atomic_fetch_add(&db->disk_written_bytes, compaction->written_bytes);
    char name[COLL_NAME_ROOM];
    coll_tell_name(compaction->coll, name);
    db_log(db, LOAM_LOG_INFO, "%s: %s: level %u to %u, %zu runs, %llu bytes in, %llu out", name,
           compaction->plan.reason, compaction->plan.level_from, compaction->plan.level_to,
           compaction->input_count, (unsigned long long)compaction->plan.input_bytes,
           (unsigned long long)compaction->written_bytes);
    return LOAM_OK;
}

loam_status compact_run(struct loam_coll *coll, enum compact_how how, bool *did)
{
    struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    struct compaction compaction = {.coll = coll, .version = view->version};
    policy.idle = how == COMPACT_IDLE;
    compaction.plan =
        how == COMPACT_FULL ? pick_full(view->version) : pick_compaction(view->version, &policy);
    *did = false;
    loam_status rc = LOAM_OK;
    if (compaction.plan.found) {
        rc = run_plan(&compaction);
        *did = rc == LOAM_OK;
    }
    mem_free(compaction.inputs);
    mem_free(compaction.spare);
    edit_deinit(&compaction.edit);
    view_unref(view);
    if (*did) compact_consider(coll);
    return rc;
}

/* Smooth: nothing while the debt is what a level may hold, then with the square of what is beyond it. */
static uint32_t delay_for(const loam_db *db, uint64_t debt_bytes)
{
    const uint64_t unit = db->options.memtable_bytes * (db->options.runs_per_level + 1);
    const uint64_t percent = debt_bytes / (unit / 100 + 1);
    if (percent <= 100) return 0;
    const uint64_t beyond = percent - 100, delay = beyond * beyond * DELAY_NS_STEP / 10000;
    return delay < DELAY_NS_MAX ? (uint32_t)delay : DELAY_NS_MAX;
}

void compact_consider(struct loam_coll *coll)
{
    const struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    const uint64_t debt = pick_debt_bytes(view->version, &policy);
    atomic_store_explicit(&coll->delay_ns, delay_for(coll->db, debt), memory_order_relaxed);
    const bool wanted = pick_compaction(view->version, &policy).found;
    view_unref(view);
    if (wanted) jobs_want_compact(coll, COMPACT_DUE);
}

void compact_consider_idle(struct loam_coll *coll)
{
    struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    policy.idle = true;
    const bool wanted = pick_compaction(view->version, &policy).found;
    view_unref(view);
    if (wanted) jobs_want_compact(coll, COMPACT_IDLE);
}

/* ---- the public calls ------------------------------------------------------------------------ */

/* Is the memtable still shown? If it is the one that is written, freezes it, as soon as there is room for another. */
static loam_status freeze_if_there(struct loam_coll *coll, const struct memrun *memrun, bool *there)
{
    loam_status rc = LOAM_OK;
    *there = false;
    mutex_lock(&coll->db->lane);
    struct view *view = view_acquire(coll);
    for (uint32_t i = 0; i < view->memrun_count; i++)
        *there |= view->memruns[i] == memrun;
    if (*there && view->memruns[0] == memrun) rc = view_freeze(coll);
    view_unref(view);
    mutex_unlock(&coll->db->lane);
    return rc;
}

/* The memtable that holds the newest entry, referenced; NULL when nothing is in memory. */
static struct memrun *newest_memrun(struct loam_coll *coll)
{
    struct memrun *memrun = NULL;
    struct view *view = view_acquire(coll);
    for (uint32_t i = 0; i < view->memrun_count && memrun == NULL; i++)
        if (memtable_stats(view->memruns[i]->memtable).entry_count > 0) memrun = view->memruns[i];
    if (memrun != NULL) atomic_fetch_add(&memrun->refs, 1);
    view_unref(view);
    return memrun;
}

static loam_status flush_now(loam_db *db, struct loam_coll *coll)
{
    struct memrun *memrun = newest_memrun(coll);
    bool there = memrun != NULL;
    loam_status rc = there ? freeze_if_there(coll, memrun, &there) : LOAM_OK;
    while (rc == LOAM_OK && there) {
        rc = db_writable(db);
        if (rc < 0) break;
        rc = jobs_wait_for_flush(db, jobs_want_flush(db), "there is something to flush");
        if (rc == LOAM_OK) rc = freeze_if_there(coll, memrun, &there);
    }
    if (memrun != NULL) memrun_unref(memrun);
    return rc;
}

loam_status loam_flush(loam_db *db, loam_coll *coll)
{
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = db_writable(db);
    return rc < 0 ? rc : flush_now(db, coll);
}

static bool range_holds_tables(struct loam_coll *coll, const loam_range *range)
{
    bool holds = range == NULL;
    struct view *view = view_acquire(coll);
    for (uint32_t level = 0; level < LEVEL_COUNT && !holds; level++) {
        for (uint32_t i = 0; i < view->version->levels[level].run_count && !holds; i++) {
            const struct run *run = view->version->levels[level].runs[i];
            for (uint32_t t = 0; t < run->table_count && !holds; t++) {
                const struct table_meta *meta = table_meta(run->tables[t].table);
                const loam_slice from = range->prefix.len > 0 ? range->prefix : range->from;
                const bool below = bytes_compare(meta->largest, from) < 0;
                const bool above =
                    range->prefix.len > 0
                        ? bytes_compare(meta->smallest, from) > 0 &&
                              !bytes_start_with(meta->smallest, from)
                        : range->to.len > 0 && bytes_compare(meta->smallest, range->to) >= 0;
                holds = !below && !above;
            }
        }
    }
    view_unref(view);
    return holds;
}

loam_status loam_compact(loam_db *db, loam_coll *coll, const loam_range *range)
{
    bool did;
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = dbiter_check_range(db, range);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc == LOAM_OK) rc = flush_now(db, coll);
    if (rc < 0 || !range_holds_tables(coll, range)) return rc;
    jobs_claim(coll);
    rc = compact_run(coll, COMPACT_FULL, &did); /* what is flushed meanwhile is for the next time */
    jobs_unclaim(coll);
    if (rc == LOAM_CONFLICT) return failed(LOAM_MISUSE, "the collection has been dropped");
    if (rc == LOAM_IOERR) return db_fence(db, rc);
    return rc;
}
