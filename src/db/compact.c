/*
 * compact.c - runs into one run below; see db.h. What to merge is tree/pick's decision, what may be left out survive.c's.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"
#include "record/merge.h"

#include "base/poison.h"

enum {
    LAST_RATIO = 4, /* the upper levels go down when they hold a quarter of the last */
    TOMBSTONE_PERCENT = 25,
    SLICE_TABLES = 4,
    DELAY_NS_MAX = 200000, /* of 1 KiB: never slower than 5 MB/s because of debt alone */
    DELAY_NS_STEP = 2000
};

struct compaction {
    struct loam_coll *coll;
    struct version *version; /* referenced */
    struct plan plan;
    struct run **inputs; /* newest first; referenced. Of a slice: what of the runs it takes */
    size_t input_count;
    struct edit edit;
    struct view *spare;
    uint64_t written_bytes;
};

static uint64_t slice_bytes(const loam_db *db)
{
    return SLICE_TABLES * run_writer_table_bytes(db);
}

struct pick_policy compact_policy(loam_db *db)
{
    const struct horizon horizon = snapshot_horizon(db);
    return (struct pick_policy){.runs_per_level = db->options.runs_per_level,
                                .last_ratio = LAST_RATIO,
                                .slice_bytes = slice_bytes(db),
                                .tombstone_percent = TOMBSTONE_PERCENT,
                                .oldest_seq = horizon.seq,
                                .clock_ms = horizon.clock_ms};
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* Whether all that the reference shows lies before the plan's end. */
static bool ends_before(const struct plan *plan, const struct table_ref *ref)
{
    if (plan->to.len == 0) return true;
    if (ref->to.len > 0 && bytes_compare(ref->to, plan->to) <= 0) return true;
    return bytes_compare(table_meta(ref->table)->largest, plan->to) < 0;
}

static bool begins_before(const struct plan *plan, const struct table_ref *ref)
{
    return plan->to.len == 0 || bytes_compare(table_ref_smallest(ref), plan->to) < 0;
}

/* What of tables [first, end) of a run lies before the plan's end, as a run of its own. */
static loam_status add_slice_of(struct compaction *compaction, const struct run *run,
                                uint32_t first, uint32_t end)
{
    const struct plan *plan = &compaction->plan;
    struct table_ref *refs = mem_alloc_array(end - first + 1, sizeof *refs);
    uint32_t count = 0;
    if (refs == NULL) return LOAM_NOMEM;
    for (uint32_t t = first; t < end && begins_before(plan, &run->tables[t]); t++) {
        refs[count] = run->tables[t];
        if (!ends_before(plan, &refs[count])) refs[count].to = plan->to;
        count++;
    }
    struct run *slice = count > 0 ? run_new(run->number, refs, count) : NULL;
    mem_free(refs);
    if (count == 0) return LOAM_OK;
    if (slice == NULL) return LOAM_NOMEM;
    compaction->inputs[compaction->input_count++] = slice;
    return LOAM_OK;
}

static loam_status collect_slice(struct compaction *compaction)
{
    const struct plan *plan = &compaction->plan;
    const struct level *waiting = &compaction->version->levels[LEVEL_WAITING];
    const struct level *last = &compaction->version->levels[LEVEL_LAST];
    loam_status rc = LOAM_OK;
    for (uint32_t i = 0; rc == LOAM_OK && plan->level == LEVEL_WAITING && i < waiting->run_count;
         i++)
        rc = add_slice_of(compaction, waiting->runs[i], 0, waiting->runs[i]->table_count);
    if (rc == LOAM_OK && plan->first < plan->end)
        rc = add_slice_of(compaction, last->runs[0], plan->first, plan->end);
    return rc;
}

static loam_status collect_inputs(struct compaction *compaction)
{
    compaction->inputs =
        mem_alloc_array(version_run_count(compaction->version) + 1, sizeof(struct run *));
    if (compaction->inputs == NULL) return LOAM_NOMEM;
    if (compaction->plan.kind == PLAN_SLICE) return collect_slice(compaction);
    const struct level *level = &compaction->version->levels[compaction->plan.level];
    for (uint32_t i = 0; i < level->run_count; i++) {
        run_ref(level->runs[i]);
        compaction->inputs[compaction->input_count++] = level->runs[i];
    }
    return LOAM_OK;
}

static void free_inputs(struct compaction *compaction)
{
    for (size_t i = 0; i < compaction->input_count; i++)
        run_unref(compaction->inputs[i]);
    mem_free(compaction->inputs);
}

/* Takes from a run what the plan has taken of it: whole tables, or what they show before its end. */
static loam_status remove_from(struct compaction *compaction, uint32_t level, const struct run *run,
                               uint32_t first, uint32_t end)
{
    const struct plan *plan = &compaction->plan;
    const uint32_t coll = compaction->coll->id;
    loam_status rc = LOAM_OK;
    for (uint32_t t = first; rc == LOAM_OK && t < end && begins_before(plan, &run->tables[t]);
         t++) {
        const struct table_ref *ref = &run->tables[t];
        const uint64_t uid = table_meta(ref->table)->uid;
        const struct change clip = {.tag = CHANGE_TABLE_CLIP,
                                    .coll = coll,
                                    .level = level,
                                    .run = run->number,
                                    .uid = uid,
                                    .from = plan->to,
                                    .to = ref->to};
        if (ends_before(plan, ref))
            rc = edit_remove_table(&compaction->edit, coll, level, run->number, uid);
        else
            rc = edit_add(&compaction->edit, &clip);
    }
    return rc;
}

static loam_status remove_inputs(struct compaction *compaction)
{
    const struct plan *plan = &compaction->plan;
    const struct level *level = &compaction->version->levels[plan->level];
    const struct level *last = &compaction->version->levels[LEVEL_LAST];
    loam_status rc = LOAM_OK;
    for (uint32_t i = 0; rc == LOAM_OK && plan->level != LEVEL_LAST && i < level->run_count; i++)
        rc = remove_from(compaction, plan->level, level->runs[i], 0, level->runs[i]->table_count);
    if (rc == LOAM_OK && plan->first < plan->end)
        rc = remove_from(compaction, LEVEL_LAST, last->runs[0], plan->first, plan->end);
    return rc;
}

/* ---- lowering ------------------------------------------------------------------------------- */

/* The same tables, as a run of another level; the number says that it is newer than all that is there. */
static loam_status move_run(struct compaction *compaction, uint32_t level, const struct run *run)
{
    const uint64_t number = db_next_run(compaction->coll->db);
    loam_status rc = remove_from(compaction, level, run, 0, run->table_count);
    for (uint32_t t = 0; rc == LOAM_OK && t < run->table_count; t++) {
        const struct change change = {.tag = CHANGE_TABLE_ADD,
                                      .coll = compaction->coll->id,
                                      .level = LEVEL_WAITING,
                                      .run = number,
                                      .meta = *table_meta(run->tables[t].table),
                                      .from = run->tables[t].from,
                                      .to = run->tables[t].to};
        rc = edit_add(&compaction->edit, &change);
    }
    return rc;
}

static loam_status lower_runs(struct compaction *compaction)
{
    loam_status rc = LOAM_OK;
    for (uint32_t level = LEVEL_WAITING; level-- > 0;) {
        const struct level *runs = &compaction->version->levels[level];
        for (uint32_t i = runs->run_count; rc == LOAM_OK && i-- > 0;) /* the oldest first */
            rc = move_run(compaction, level, runs->runs[i]);
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
        rc = run_iter_new(compaction->inputs[count], TABLE_ITER_BULK, NULL, &iters[count]);
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

static uint64_t entries_to_merge(const struct compaction *compaction)
{
    uint64_t count = 0;
    for (size_t i = 0; i < compaction->input_count; i++)
        count += compaction->inputs[i]->entry_count;
    return count;
}

static loam_status merge_tables(struct compaction *compaction)
{
    struct run_writer *writer = NULL;
    struct survival survival = {0};
    struct iter *iter = NULL;
    const bool into_last = compaction->plan.kind == PLAN_SLICE;
    const struct level *last = &compaction->version->levels[LEVEL_LAST];
    const bool joins = into_last && last->run_count > 0;
    struct run_writer_spec spec = {.coll = compaction->coll,
                                   .level = into_last ? LEVEL_LAST : compaction->plan.level + 1,
                                   .run = joins ? last->runs[0]->number
                                                : db_next_run(compaction->coll->db),
                                   .is_settled = into_last,
                                   .replaced_count = entries_to_merge(compaction)};
    loam_status rc = survival_init(&survival, compaction->coll->db);
    if (rc < 0) goto out;
    survival.version = into_last ? NULL : compaction->version;
    survival.level = compaction->plan.level;
    survival.run_number = compaction->inputs[compaction->input_count - 1]->number;
    survival.covers = compaction->version->ranges; /* what is in memtables may be lost yet */
    range_set_ref(survival.covers);
    spec.swept_seq = ranges_swept_seq(&survival);
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
    while (compaction->input_count > 0 && edit_next(&reader, &change) == LOAM_OK) {
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
    loam_status rc =
        db_writable(db); /* else an ingest may be shown that the catalog does not have */
    if (rc == LOAM_OK && atomic_load(&coll->dropped)) rc = LOAM_CONFLICT;
    if (rc == LOAM_OK && compaction->plan.kind == PLAN_SWEEP)
        rc = ranges_sweep(db, coll, &compaction->edit);
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
    const uint64_t since_ns = db_now_ns(db);
    compaction->spare = view_spare();
    loam_status rc = compaction->spare == NULL ? LOAM_NOMEM : LOAM_OK;
    if (rc == LOAM_OK && compaction->plan.kind == PLAN_LOWER) {
        rc = lower_runs(compaction);
    } else if (rc == LOAM_OK && compaction->plan.kind != PLAN_SWEEP) {
        rc = collect_inputs(compaction);
        if (rc == LOAM_OK) rc = merge_tables(compaction);
    }
    if (rc == LOAM_OK) rc = install_merged(compaction);
    if (rc != LOAM_OK) return rc;
    atomic_fetch_add(&db->compaction_count, 1);
    atomic_fetch_add(&db->disk_written_bytes, compaction->written_bytes);
    char name[COLL_NAME_ROOM];
    uint64_t input_bytes = 0;
    for (size_t i = 0; i < compaction->input_count; i++)
        input_bytes += compaction->inputs[i]->bytes;
    coll_tell_name(compaction->coll, name);
    db_log(db, LOAM_LOG_INFO,
           "compaction level=%u runs=%zu in_bytes=%" PRIu64 " out_bytes=%" PRIu64 " ms=%" PRIu64
           " reason=\"%s\" collection=\"%s\"",
           compaction->plan.level, compaction->input_count, input_bytes, compaction->written_bytes,
           (db_now_ns(db) - since_ns) / 1000000, compaction->plan.reason, name);
    return LOAM_OK;
}

/* Carries a plan out; the view is the one it was made of. */
static loam_status carry_out_plan(struct loam_coll *coll, const struct view *view,
                                  const struct plan *plan)
{
    struct compaction compaction = {.coll = coll, .version = view->version, .plan = *plan};
    const loam_status rc = run_plan(&compaction);
    free_inputs(&compaction);
    mem_free(compaction.spare);
    edit_deinit(&compaction.edit);
    return rc;
}

loam_status compact_run(struct loam_coll *coll, enum compact_how how, bool *did)
{
    struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    policy.idle = how == COMPACT_IDLE;
    const struct plan plan = pick_compaction(view->version, &policy);
    loam_status rc = LOAM_OK;
    if (plan.kind != PLAN_NOTHING) rc = carry_out_plan(coll, view, &plan);
    view_unref(view);
    *did = plan.kind != PLAN_NOTHING && rc == LOAM_OK;
    if (*did) compact_consider(coll);
    return rc;
}

/* What nobody sees need not be read. */
static loam_status sweep(struct loam_coll *coll)
{
    const struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    const struct plan plan = pick_compaction(view->version, &policy);
    const loam_status rc = plan.kind == PLAN_SWEEP ? carry_out_plan(coll, view, &plan) : LOAM_OK;
    view_unref(view);
    return rc;
}

/* Until all that is in tables now is one run of the last level. What is flushed meanwhile is for the next time. */
static loam_status compact_fully(struct loam_coll *coll)
{
    loam_buf after = {0};
    loam_status rc = sweep(coll);
    bool lower = true, found = true;
    while (rc == LOAM_OK && found) {
        struct view *view = view_acquire(coll);
        const struct pick_policy policy = compact_policy(coll->db);
        const struct plan plan =
            pick_full(view->version, &policy, lower, loam_bytes(after.data, after.len));
        found = plan.kind != PLAN_NOTHING;
        lower = false;
        if (found && plan.level == LEVEL_LAST) {
            const struct run *last = view->version->levels[LEVEL_LAST].runs[0];
            const loam_slice largest = table_meta(last->tables[plan.end - 1].table)->largest;
            rc = buf_set(&after, largest.data, largest.len);
        }
        if (found && rc == LOAM_OK) rc = carry_out_plan(coll, view, &plan);
        view_unref(view);
    }
    loam_buf_free(&after);
    return rc == LOAM_OK ? sweep(coll) : rc;
}

/* Smooth: nothing while the debt is what levels may hold and what one round through the last level costs,
   then with the square of what is beyond it. */
uint32_t compact_delay_ns(const loam_db *db, const struct version *version, uint64_t debt_bytes)
{
    const uint64_t last = version->levels[LEVEL_LAST].bytes;
    const uint64_t unit =
        db->options.memtable_bytes * (db->options.runs_per_level + 1) + last + last / LAST_RATIO;
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
    atomic_store_explicit(&coll->delay_ns, compact_delay_ns(coll->db, view->version, debt),
                          memory_order_relaxed);
    const bool wanted = pick_compaction(view->version, &policy).kind != PLAN_NOTHING;
    if (version_expires(view->version))
        expiry_schedule(coll->db, pick_next_expiry_ms(view->version, expiry_clock_ms(coll->db)));
    view_unref(view);
    if (wanted) jobs_want_compact(coll, COMPACT_DUE);
}

void compact_consider_idle(struct loam_coll *coll)
{
    struct pick_policy policy = compact_policy(coll->db);
    struct view *view = view_acquire(coll);
    policy.idle = true;
    const bool wanted = pick_compaction(view->version, &policy).kind != PLAN_NOTHING;
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
        if (memtable_entry_count(view->memruns[i]->memtable) > 0) memrun = view->memruns[i];
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
    loam_status rc = db_check_handle(db, &coll);
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
    loam_status rc = db_check_handle(db, &coll);
    if (rc == LOAM_OK) rc = dbiter_check_range(db, range);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc == LOAM_OK) rc = flush_now(db, coll);
    if (rc < 0 || !range_holds_tables(coll, range)) return rc;
    jobs_claim(coll);
    rc = compact_fully(coll);
    jobs_unclaim(coll);
    if (rc == LOAM_CONFLICT) return failed(LOAM_MISUSE, "the collection has been dropped");
    if (rc == LOAM_IOERR) return db_fence(db, rc);
    return rc;
}
