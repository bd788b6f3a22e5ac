/*
 * catalog.c - all that the manifest says, and how an edit becomes part of it; see catalog.h.
 *
 * prepare: changes go into drafts (catalog_change.c), drafts become versions, lists get their
 * room. install: pointers are swapped and places counted; nothing in it can fail. What an edit
 * touches is copied, all else shared.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "tree/catalog_inside.h"

#include "base/poison.h"

/* ---- collections ----------------------------------------------------------------------------- */

size_t coll_list_find(const struct coll_list *list, uint32_t id)
{
    size_t first = 0, count = list->count;
    if (count > 0 && list->at[count - 1]->state.id < id) return count; /* most are appended */
    while (count > 0) {
        const size_t half = count / 2;
        if (list->at[first + half]->state.id < id) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

loam_status coll_list_reserve(struct coll_list *list, size_t count)
{
    if (count <= list->cap) return LOAM_OK;
    const size_t cap = count < 16 ? 16 : count + count / 2;
    struct coll **grown = mem_realloc(list->at, cap * sizeof(struct coll *));
    if (grown == NULL) return LOAM_NOMEM;
    list->at = grown;
    list->cap = cap;
    return LOAM_OK;
}

loam_status coll_new(const struct change *created, struct coll **out)
{
    const loam_slice name = created->name;
    struct coll *coll = mem_zalloc(sizeof *coll);
    if (coll == NULL) return LOAM_NOMEM;
    coll->state.id = created->coll;
    coll->state.name = mem_zalloc(name.len + 1);
    coll->state.version = version_new();
    const bool is_short = coll->state.name == NULL || coll->state.version == NULL;
    if (is_short || coll_options_take(&coll->state.options, created) < 0) {
        coll_free(coll);
        return LOAM_NOMEM;
    }
    memcpy(coll->state.name, name.data, name.len);
    *out = coll;
    return LOAM_OK;
}

void coll_free(struct coll *coll)
{
    if (coll == NULL) return;
    version_unref(coll->state.version);
    mem_free(coll->state.name);
    mem_free(coll->state.options.merge_operator);
    mem_free(coll);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void free_segments(struct catalog_small *small)
{
    void *segments;
    memcpy(&segments, &small->log.segments, sizeof segments); /* ours, and const only to readers */
    mem_free(segments);
    small->log.segments = NULL;
}

loam_status catalog_new(const struct catalog_config *config, struct catalog **out)
{
    struct catalog *catalog = mem_zalloc(sizeof *catalog);
    if (catalog == NULL) return LOAM_NOMEM;
    const struct shelf_config shelf = {config->store, config->cache, config->delete_object,
                                       config->ctx};
    const struct change created = {.coll = 0, .name = loam_str("default")};
    struct coll *coll = NULL;
    loam_status rc = LOAM_OK;
    if (config->beside == NULL)
        rc = shelf_new(&shelf, &catalog->shelf);
    else
        catalog->shelf = shelf_ref(config->beside->shelf);
    if (rc == LOAM_OK) rc = coll_list_reserve(&catalog->colls, 1);
    if (rc == LOAM_OK) rc = coll_new(&created, &coll);
    if (rc != LOAM_OK) {
        catalog_free(catalog);
        return rc;
    }
    catalog->colls.at[catalog->colls.count++] = coll;
    catalog->small.counters.next_coll = 1;
    catalog->small.counters.next_run = 1;
    *out = catalog;
    return LOAM_OK;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL) return;
    check(catalog->stage == NULL);
    for (size_t i = 0; i < catalog->colls.count; i++) {
        if (shelf_is_shared(catalog->shelf))
            version_unplace(catalog->colls.at[i]->state.version, catalog->shelf);
        coll_free(catalog->colls.at[i]);
    }
    mem_free(catalog->colls.at);
    shelf_unref(catalog->shelf);
    free_segments(&catalog->small);
    mem_free(catalog);
}

void catalog_arm(struct catalog *catalog)
{
    shelf_arm(catalog->shelf);
}

loam_status catalog_pin(const struct catalog *catalog)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < catalog->colls.count; i++)
        rc = version_pin(catalog->colls.at[i]->state.version, catalog->shelf);
    return rc;
}

/* ---- preparing ------------------------------------------------------------------------------- */

static loam_status copy_small(const struct catalog_small *from, struct catalog_stage *stage)
{
    const size_t count = from->log.segment_count;
    stage->small = *from;
    stage->small.log.segments = NULL;
    struct log_segment *segments = mem_alloc_array(count + 1, sizeof *segments);
    if (segments == NULL) return LOAM_NOMEM;
    if (count > 0) memcpy(segments, from->log.segments, count * sizeof *segments);
    stage->small.log.segments = segments;
    stage->segment_cap = count + 1;
    return LOAM_OK;
}

/* Deletions of ranges come with what is flushed, and tables are swept up to one of them. */
static loam_status check_ranges(const struct coll_draft *draft)
{
    const struct range_set *ranges = draft->version->ranges;
    if (ranges != NULL && ranges->seq_max > draft->flushed_seq)
        return failed(LOAM_CORRUPT, "a deletion of a range that is newer than what is flushed");
    if (draft_swept_seq(&draft->draft) > draft->flushed_seq)
        return failed(LOAM_CORRUPT, "a table that is swept beyond what is flushed");
    return LOAM_OK;
}

static loam_status build_drafts(struct catalog_stage *stage)
{
    loam_status rc = coll_list_reserve(&stage->catalog->colls,
                                       stage->catalog->colls.count + stage->created.count);
    for (size_t i = 0; rc == LOAM_OK && i < stage->draft_count; i++) {
        struct coll_draft *draft = stage->drafts[i];
        if (!draft->is_dropped) rc = draft_build(&draft->draft, &draft->version);
        if (!draft->is_dropped && rc == LOAM_OK) rc = check_ranges(draft);
        if (rc == LOAM_CORRUPT) rc = failed_in(rc, draft->coll->state.name);
    }
    return rc;
}

loam_status catalog_prepare(struct catalog *catalog, loam_slice edit_bytes,
                            struct catalog_stage **out)
{
    struct edit_reader reader = edit_reader_over(edit_bytes);
    struct change change;
    check(catalog->stage == NULL);
    struct catalog_stage *stage = mem_zalloc(sizeof *stage);
    if (stage == NULL) return LOAM_NOMEM;
    stage->catalog = catalog;
    catalog->stage = stage;
    loam_status rc = copy_small(&catalog->small, stage);
    while (rc == LOAM_OK && (rc = edit_next(&reader, &change)) == LOAM_OK)
        rc = stage_change(stage, &change);
    if (rc == LOAM_NOTFOUND) rc = build_drafts(stage);
    if (rc < 0)
        catalog_discard(stage);
    else
        *out = stage;
    return rc;
}

struct version *catalog_staged_version(const struct catalog_stage *stage, uint32_t coll)
{
    size_t at = 0;
    while (at < stage->draft_count && stage->drafts[at]->coll->state.id != coll)
        at++;
    check(at < stage->draft_count);
    return stage->drafts[at]->version;
}

static void free_stage(struct catalog_stage *stage)
{
    for (size_t i = 0; i < stage->draft_count; i++) {
        struct coll_draft *draft = stage->drafts[i];
        version_unref(draft->version);
        draft_deinit(&draft->draft);
        mem_free(draft->name);
        mem_free(draft->options.merge_operator);
        mem_free(draft);
    }
    mem_free(stage->drafts);
    mem_free(stage->created.at);
    mem_free(stage->fresh);
    free_segments(&stage->small);
    stage->catalog->stage = NULL;
    mem_free(stage);
}

void catalog_discard(struct catalog_stage *stage)
{
    if (stage == NULL) return;
    struct table_shelf *shelf = stage->catalog->shelf;
    for (size_t i = 0; i < stage->draft_count; i++) {
        struct coll_draft *draft = stage->drafts[i];
        version_unref(draft->version);
        draft->version = NULL;
        if (!draft->is_created) draft->coll->draft = NULL;
    }
    for (size_t i = 0; i < stage->created.count; i++)
        coll_free(stage->created.at[i]);
    for (size_t i = 0; i < stage->fresh_count; i++)
        shelf_forget(shelf, stage->fresh[i]);
    free_stage(stage);
}

/* ---- installing ------------------------------------------------------------------------------ */

/* The created ones join the list, from the back, so that each is moved once. */
static void merge_created(struct coll_list *list, const struct coll_list *created)
{
    size_t kept = list->count, added = created->count, to = kept + added;
    check(to <= list->cap);
    list->count = to;
    while (added > 0) {
        const bool takes_old =
            kept > 0 && list->at[kept - 1]->state.id > created->at[added - 1]->state.id;
        list->at[--to] = takes_old ? list->at[--kept] : created->at[--added];
    }
}

static void free_dropped(struct coll_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct coll *coll = list->at[i];
        if (coll->draft != NULL && coll->draft->is_dropped)
            coll_free(coll);
        else
            list->at[kept++] = coll;
    }
    list->count = kept;
}

/* Swaps the new state in; the old version, name and options go with the draft. */
static void settle_coll(struct coll_draft *draft)
{
    struct coll_state *state = &draft->coll->state;
    struct version *version = state->version;
    state->version = draft->version;
    draft->version = version;
    if (draft->name != NULL) {
        char *name = state->name;
        state->name = draft->name;
        draft->name = name;
    }
    if (draft->has_options) {
        const struct coll_options options = state->options;
        state->options = draft->options;
        draft->options = options;
    }
    state->flushed_seq = draft->flushed_seq;
    draft->coll->draft = NULL;
}

static void settle_places(struct catalog_stage *stage)
{
    struct table_shelf *shelf = stage->catalog->shelf;
    for (size_t i = 0; i < stage->draft_count; i++) {
        if (stage->drafts[i]->is_cloned) draft_settle_cloned(&stage->drafts[i]->draft, shelf);
        if (!stage->drafts[i]->is_dropped) draft_settle_added(&stage->drafts[i]->draft, shelf);
    }
    for (size_t i = 0; i < stage->draft_count; i++) {
        if (stage->drafts[i]->is_dropped)
            draft_settle_dropped(&stage->drafts[i]->draft, shelf);
        else
            draft_settle_gone(&stage->drafts[i]->draft, shelf);
    }
    for (size_t i = 0; i < stage->fresh_count; i++)
        shelf_sweep(shelf, stage->fresh[i]);
}

void catalog_install(struct catalog_stage *stage)
{
    struct catalog *catalog = stage->catalog;
    bool drops = false;
    settle_places(stage);
    merge_created(&catalog->colls, &stage->created);
    for (size_t i = 0; i < stage->draft_count; i++)
        drops |= stage->drafts[i]->is_dropped;
    if (drops) free_dropped(&catalog->colls);
    for (size_t i = 0; i < stage->draft_count; i++)
        if (!stage->drafts[i]->is_dropped) settle_coll(stage->drafts[i]);
    const struct catalog_small small = catalog->small;
    catalog->small = stage->small;
    stage->small = small;
    free_stage(stage);
}

loam_status catalog_apply(struct catalog *catalog, loam_slice edit_bytes)
{
    struct catalog_stage *stage;
    const loam_status rc = catalog_prepare(catalog, edit_bytes, &stage);
    if (rc == LOAM_OK) catalog_install(stage);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

size_t catalog_coll_count(const struct catalog *catalog)
{
    return catalog->colls.count;
}

const struct coll_state *catalog_coll_at(const struct catalog *catalog, size_t index)
{
    check(index < catalog->colls.count);
    return &catalog->colls.at[index]->state;
}

const struct coll_state *catalog_coll_by_id(const struct catalog *catalog, uint32_t id)
{
    const size_t at = coll_list_find(&catalog->colls, id);
    if (at == catalog->colls.count || catalog->colls.at[at]->state.id != id) return NULL;
    return &catalog->colls.at[at]->state;
}

struct log_bounds catalog_log_bounds(const struct catalog *catalog)
{
    return catalog->small.log;
}

struct catalog_counters catalog_counters(const struct catalog *catalog)
{
    return catalog->small.counters;
}

bool catalog_snapshot_complete(const struct catalog *catalog)
{
    return catalog->small.snapshot_complete;
}

bool catalog_uses_object(const struct catalog *catalog, struct object_id id)
{
    return shelf_uses_object(catalog->shelf, id);
}

uint64_t catalog_table_bytes(const struct catalog *catalog)
{
    return shelf_object_bytes(catalog->shelf);
}

uint64_t catalog_entry_count(const struct catalog *catalog)
{
    return shelf_entry_count(catalog->shelf);
}
