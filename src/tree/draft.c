/*
 * draft.c - a version while an edit changes it; see draft.h.
 *
 * A run is copied out of the base when it is first touched. Removed tables stay as marked items
 * until the version is built, so that removing all tables of a run in order, as a merge does,
 * looks at each once.
 */
#include "tree/draft.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

struct draft_item {
    struct table_ref ref; /* borrowed: of the base, the shelf and the edit */
    bool is_old, is_gone;
};

struct draft_run {
    uint32_t level;
    uint64_t number;
    const struct run *base; /* NULL: a new one */
    struct draft_item *items;
    size_t count, cap;
    size_t hint; /* where the next table to be removed probably stands */
};

void draft_deinit(struct draft *draft)
{
    for (size_t i = 0; i < draft->run_count; i++)
        mem_free(draft->runs[i].items);
    mem_free(draft->runs);
    range_set_unref(draft->ranges);
    *draft = (struct draft){0};
}

/* ---- touching runs --------------------------------------------------------------------------- */

static struct run *base_run(const struct draft *draft, uint32_t level, uint64_t number)
{
    const struct level *runs = &draft->base->levels[level];
    for (uint32_t i = 0; i < runs->run_count; i++)
        if (runs->runs[i]->number == number) return runs->runs[i];
    return NULL;
}

static struct draft_run *touched_run(const struct draft *draft, uint32_t level, uint64_t number)
{
    for (size_t i = draft->run_count; i > 0; i--) {
        struct draft_run *run = &draft->runs[i - 1];
        if (run->level == level && run->number == number) return run;
    }
    return NULL;
}

static loam_status grow_items(struct draft_run *run, size_t count)
{
    if (run->items != NULL && count <= run->cap) return LOAM_OK;
    const size_t cap = count < 8 ? 8 : count + count / 2;
    struct draft_item *grown = mem_realloc(run->items, cap * sizeof run->items[0]);
    if (grown == NULL) return LOAM_NOMEM;
    run->items = grown;
    run->cap = cap;
    return LOAM_OK;
}

static loam_status copy_base_run(struct draft_run *run)
{
    const uint32_t count = run->base == NULL ? 0 : run->base->table_count;
    const loam_status rc = grow_items(run, count);
    if (rc != LOAM_OK) return rc;
    for (uint32_t i = 0; i < count; i++)
        run->items[i] = (struct draft_item){.ref = run->base->tables[i], .is_old = true};
    run->count = count;
    return LOAM_OK;
}

static loam_status touch_run(struct draft *draft, uint32_t level, uint64_t number,
                             struct draft_run **out)
{
    *out = touched_run(draft, level, number);
    if (*out != NULL) return LOAM_OK;
    struct draft_run *grown =
        mem_realloc(draft->runs, (draft->run_count + 1) * sizeof draft->runs[0]);
    if (grown == NULL) return LOAM_NOMEM;
    draft->runs = grown;
    struct draft_run *run = &grown[draft->run_count];
    *run = (struct draft_run){
        .level = level, .number = number, .base = base_run(draft, level, number)};
    const loam_status rc = copy_base_run(run);
    if (rc != LOAM_OK) return rc;
    draft->run_count++;
    *out = run;
    return LOAM_OK;
}

/* ---- changes --------------------------------------------------------------------------------- */

loam_status draft_add(struct draft *draft, const struct change *change, struct table *table)
{
    struct draft_run *run;
    loam_status rc = touch_run(draft, change->level, change->run, &run);
    if (rc == LOAM_OK) rc = grow_items(run, run->count + 1);
    if (rc != LOAM_OK) return rc;
    run->items[run->count++] =
        (struct draft_item){.ref = {.table = table, .from = change->from, .to = change->to}};
    return LOAM_OK;
}

static struct draft_item *search_run(struct draft_run *run, uint64_t uid)
{
    for (size_t tried = 0; tried < run->count; tried++) {
        const size_t at = (run->hint + tried) % run->count;
        struct draft_item *item = &run->items[at];
        if (item->is_gone || table_meta(item->ref.table)->uid != uid) continue;
        run->hint = at + 1;
        return item;
    }
    return NULL;
}

/* NULL: *rc says why. */
static struct draft_item *find_item(struct draft *draft, const struct change *change,
                                    loam_status *rc)
{
    struct draft_run *run;
    *rc = touch_run(draft, change->level, change->run, &run);
    if (*rc != LOAM_OK) return NULL;
    struct draft_item *item = search_run(run, change->uid);
    if (item == NULL)
        *rc = failed(LOAM_CORRUPT,
                     "table %016" PRIx64 " is not in run %" PRIu64 " of level %u of collection %u",
                     change->uid, change->run, change->level, change->coll);
    return item;
}

loam_status draft_remove(struct draft *draft, const struct change *change)
{
    loam_status rc;
    struct draft_item *item = find_item(draft, change, &rc);
    if (item != NULL) item->is_gone = true;
    return rc;
}

loam_status draft_clip(struct draft *draft, const struct change *change)
{
    loam_status rc;
    struct draft_item *item = find_item(draft, change, &rc);
    if (item == NULL) return rc;
    item->ref.from = change->from;
    item->ref.to = change->to;
    return LOAM_OK;
}

void draft_set_ranges(struct draft *draft, struct range_set *ranges)
{
    range_set_unref(draft->ranges);
    draft->ranges = ranges;
    draft->has_ranges = true;
}

/* ---- building -------------------------------------------------------------------------------- */

static int compare_refs(const void *a, const void *b)
{
    return bytes_compare(table_ref_smallest(a), table_ref_smallest(b));
}

static void sort_refs(struct table_ref *refs, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (compare_refs(&refs[i - 1], &refs[i]) <= 0) continue;
        qsort(refs, count, sizeof refs[0], compare_refs);
        return;
    }
}

/* A table may be in a run once: changes name it by its uid. Only clipped ones could be there twice
   without overlapping. */
static loam_status check_single(const struct table_ref *refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (refs[i].from.len == 0 && refs[i].to.len == 0) continue;
        for (uint32_t k = i + 1; k < count; k++)
            if (refs[k].table == refs[i].table)
                return failed(LOAM_CORRUPT, "table %016" PRIx64 " is in a run twice",
                              table_meta(refs[i].table)->uid);
    }
    return LOAM_OK;
}

/* The run as it is now; NULL when nothing is left of it. */
static loam_status build_run(const struct draft_run *draft, struct run **out)
{
    uint32_t count = 0;
    *out = NULL;
    if (draft->count > UINT32_MAX) return failed(LOAM_CORRUPT, "a run of too many tables");
    struct table_ref *refs = mem_alloc_array(draft->count + 1, sizeof *refs);
    if (refs == NULL) return LOAM_NOMEM;
    for (size_t i = 0; i < draft->count; i++)
        if (!draft->items[i].is_gone) refs[count++] = draft->items[i].ref;
    sort_refs(refs, count);
    loam_status rc = check_single(refs, count);
    if (rc == LOAM_OK && count > 0) {
        *out = run_new(draft->number, refs, count);
        if (*out == NULL) rc = LOAM_NOMEM;
    }
    mem_free(refs);
    return rc;
}

static loam_status keep_untouched(const struct draft *draft, struct version *version)
{
    loam_status rc = LOAM_OK;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &draft->base->levels[level];
        for (uint32_t i = 0; rc == LOAM_OK && i < runs->run_count; i++)
            if (touched_run(draft, level, runs->runs[i]->number) == NULL)
                rc = version_add_run(version, level, runs->runs[i]);
    }
    return rc;
}

loam_status draft_build(struct draft *draft, struct version **out)
{
    if (draft->run_count == 0 && !draft->has_ranges) {
        version_ref(draft->base);
        *out = draft->base;
        return LOAM_OK;
    }
    struct version *version = version_new();
    if (version == NULL) return LOAM_NOMEM;
    version->ranges = draft->has_ranges ? draft->ranges : draft->base->ranges;
    range_set_ref(version->ranges);
    loam_status rc = keep_untouched(draft, version);
    for (size_t i = 0; rc == LOAM_OK && i < draft->run_count; i++) {
        struct run *run;
        rc = build_run(&draft->runs[i], &run);
        if (rc == LOAM_OK && run != NULL) rc = version_add_run(version, draft->runs[i].level, run);
        run_unref(run);
    }
    if (rc == LOAM_OK) rc = version_check(version);
    if (rc < 0)
        version_unref(version);
    else
        *out = version;
    return rc;
}

uint64_t draft_swept_seq(const struct draft *draft)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < draft->run_count; i++)
        for (size_t k = 0; k < draft->runs[i].count; k++) {
            const struct draft_item *item = &draft->runs[i].items[k];
            const uint64_t swept = item->is_old ? 0 : table_meta(item->ref.table)->swept_seq;
            if (swept > highest) highest = swept;
        }
    return highest;
}

/* ---- settling -------------------------------------------------------------------------------- */

void draft_settle_added(const struct draft *draft, struct table_shelf *shelf)
{
    for (size_t i = 0; i < draft->run_count; i++) {
        const struct draft_run *run = &draft->runs[i];
        for (size_t k = 0; k < run->count; k++)
            if (!run->items[k].is_old && !run->items[k].is_gone)
                shelf_place(shelf, run->items[k].ref.table);
    }
}

void draft_settle_gone(const struct draft *draft, struct table_shelf *shelf)
{
    for (size_t i = 0; i < draft->run_count; i++) {
        const struct draft_run *run = &draft->runs[i];
        for (size_t k = 0; k < run->count; k++)
            if (run->items[k].is_old && run->items[k].is_gone)
                shelf_unplace(shelf, run->items[k].ref.table);
    }
}

static void each_table(const struct version *version, struct table_shelf *shelf,
                       void (*settle)(struct table_shelf *shelf, struct table *table))
{
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &version->levels[level];
        for (uint32_t i = 0; i < runs->run_count; i++)
            for (uint32_t t = 0; t < runs->runs[i]->table_count; t++)
                settle(shelf, runs->runs[i]->tables[t].table);
    }
}

void draft_settle_cloned(const struct draft *draft, struct table_shelf *shelf)
{
    each_table(draft->base, shelf, shelf_place);
}

void version_unplace(const struct version *version, struct table_shelf *shelf)
{
    each_table(version, shelf, shelf_unplace);
}

void draft_settle_dropped(const struct draft *draft, struct table_shelf *shelf)
{
    version_unplace(draft->base, shelf);
}

loam_status version_pin(const struct version *version, struct table_shelf *shelf)
{
    loam_status rc = LOAM_OK;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &version->levels[level];
        for (uint32_t i = 0; i < runs->run_count; i++)
            for (uint32_t t = 0; rc == LOAM_OK && t < runs->runs[i]->table_count; t++)
                rc = shelf_pin(shelf, runs->runs[i]->tables[t].table);
    }
    return rc;
}
