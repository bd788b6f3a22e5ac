/*
 * catalog_change.c - what each kind of change does to a stage; see catalog_inside.h and edit.h.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "tree/catalog_inside.h"

#include "base/poison.h"

/* ---- collections ----------------------------------------------------------------------------- */

static struct coll *staged_coll(const struct catalog_stage *stage, uint32_t id)
{
    const struct coll_list *lists[2] = {&stage->catalog->colls, &stage->created};
    for (size_t i = 0; i < 2; i++) {
        const size_t at = coll_list_find(lists[i], id);
        if (at < lists[i]->count && lists[i]->at[at]->state.id == id) return lists[i]->at[at];
    }
    return NULL;
}

static loam_status start_draft(struct catalog_stage *stage, struct coll *coll)
{
    if (stage->draft_count == stage->draft_cap) {
        const size_t cap = stage->draft_cap == 0 ? 4 : stage->draft_cap * 2;
        struct coll_draft **grown = mem_realloc(stage->drafts, cap * sizeof(struct coll_draft *));
        if (grown == NULL) return LOAM_NOMEM;
        stage->drafts = grown;
        stage->draft_cap = cap;
    }
    struct coll_draft *draft = mem_zalloc(sizeof *draft);
    if (draft == NULL) return LOAM_NOMEM;
    draft->coll = coll;
    draft->draft.base = coll->state.version;
    draft->flushed_seq = coll->state.flushed_seq;
    coll->draft = draft;
    stage->drafts[stage->draft_count++] = draft;
    return LOAM_OK;
}

/* The draft of a collection that is there. NULL: *rc says why. */
static struct coll_draft *draft_of(struct catalog_stage *stage, uint32_t id, loam_status *rc)
{
    struct coll *coll = staged_coll(stage, id);
    *rc = LOAM_OK;
    if (coll == NULL || (coll->draft != NULL && coll->draft->is_dropped)) {
        *rc = failed(LOAM_CORRUPT, "a change of collection %u, which is not there", id);
        return NULL;
    }
    if (coll->draft == NULL) *rc = start_draft(stage, coll);
    return coll->draft;
}

/* source: what it is a clone of, or NULL. */
static loam_status create_coll(struct catalog_stage *stage, const struct change *change,
                               const struct coll *source)
{
    struct coll *coll = NULL;
    if (staged_coll(stage, change->coll) != NULL)
        return failed(LOAM_CORRUPT, "collection %u is created twice", change->coll);
    loam_status rc = coll_list_reserve(&stage->created, stage->created.count + 1);
    if (rc == LOAM_OK) rc = coll_new(change, &coll);
    if (rc == LOAM_OK && source != NULL) {
        version_unref(coll->state.version);
        version_ref(source->state.version);
        coll->state.version = source->state.version;
        coll->state.flushed_seq = source->state.flushed_seq;
    }
    if (rc == LOAM_OK) rc = start_draft(stage, coll);
    if (rc != LOAM_OK) {
        coll_free(coll);
        return rc;
    }
    coll->draft->is_created = true;
    coll->draft->is_cloned = source != NULL;
    struct coll_list *created = &stage->created;
    const size_t to = coll_list_find(created, change->coll);
    for (size_t at = created->count++; at > to; at--)
        created->at[at] = created->at[at - 1];
    created->at[to] = coll;
    return LOAM_OK;
}

static loam_status clone_coll(struct catalog_stage *stage, const struct change *change)
{
    const struct coll *source = staged_coll(stage, change->source);
    struct change created = *change;
    if (source == NULL || source->draft != NULL)
        return failed(LOAM_CORRUPT,
                      "a clone of collection %u, which is not there or is being changed",
                      change->source);
    if (source->state.flushed_seq != change->seq)
        return failed(LOAM_CORRUPT,
                      "a clone of collection %u up to %" PRIu64 ", which is flushed up to %" PRIu64,
                      change->source, change->seq, source->state.flushed_seq);
    const loam_coll_options options = coll_options_public(&source->state.options);
    change_set_options(&created, &options);
    return create_coll(stage, &created, source);
}

static loam_status check_not_default(const struct change *change)
{
    if (change->coll != 0) return LOAM_OK;
    return failed(LOAM_CORRUPT, "a change of the default collection that there cannot be");
}

static loam_status rename_coll(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc = check_not_default(change);
    if (rc != LOAM_OK) return rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft == NULL) return rc;
    char *name = mem_zalloc(change->name.len + 1);
    if (name == NULL) return LOAM_NOMEM;
    memcpy(name, change->name.data, change->name.len);
    mem_free(draft->name);
    draft->name = name;
    return LOAM_OK;
}

static loam_status drop_coll(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc = check_not_default(change);
    if (rc != LOAM_OK) return rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft != NULL) draft->is_dropped = true;
    return rc;
}

static loam_status set_options(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft == NULL) return rc;
    const struct coll_options *before =
        draft->has_options ? &draft->options : &draft->coll->state.options;
    if (before->merge_operator != NULL &&
        !bytes_equal(loam_str(before->merge_operator), change->merge_operator))
        return failed(LOAM_CORRUPT, "collection %u gets another merge operator than it has",
                      change->coll);
    rc = coll_options_take(&draft->options, change);
    if (rc == LOAM_OK) draft->has_options = true;
    return rc;
}

static loam_status set_flushed(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft == NULL) return rc;
    if (change->seq < draft->flushed_seq)
        return failed(LOAM_CORRUPT,
                      "collection %u is flushed up to %" PRIu64 ", less than %" PRIu64 " before",
                      change->coll, change->seq, draft->flushed_seq);
    draft->flushed_seq = change->seq;
    return LOAM_OK;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static loam_status reserve_fresh(struct catalog_stage *stage)
{
    if (stage->fresh_count < stage->fresh_cap) return LOAM_OK;
    const size_t cap = stage->fresh_cap == 0 ? 8 : stage->fresh_cap * 2;
    struct table **grown = mem_realloc(stage->fresh, cap * sizeof(struct table *));
    if (grown == NULL) return LOAM_NOMEM;
    stage->fresh = grown;
    stage->fresh_cap = cap;
    return LOAM_OK;
}

static loam_status add_table(struct catalog_stage *stage, const struct change *change)
{
    struct table *table = NULL;
    bool is_new = false;
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft == NULL) return rc;
    rc = reserve_fresh(stage);
    if (rc == LOAM_OK) rc = shelf_take(stage->catalog->shelf, &change->meta, &table, &is_new);
    if (rc != LOAM_OK) return rc;
    if (is_new) stage->fresh[stage->fresh_count++] = table;
    return draft_add(&draft->draft, change, table);
}

static loam_status remove_table(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    return draft == NULL ? rc : draft_remove(&draft->draft, change);
}

static loam_status clip_table(struct catalog_stage *stage, const struct change *change)
{
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    return draft == NULL ? rc : draft_clip(&draft->draft, change);
}

static loam_status set_ranges(struct catalog_stage *stage, const struct change *change)
{
    struct range_set *set;
    loam_status rc;
    struct coll_draft *draft = draft_of(stage, change->coll, &rc);
    if (draft == NULL) return rc;
    rc = range_set_decode(change->ranges, &set);
    if (rc == LOAM_OK) draft_set_ranges(&draft->draft, set);
    return rc;
}

/* ---- the log --------------------------------------------------------------------------------- */

static struct log_segment *staged_segments(struct catalog_stage *stage)
{
    struct log_segment *segments;
    memcpy(&segments, &stage->small.log.segments,
           sizeof(struct log_segment *)); /* the stage's own copy */
    return segments;
}

static loam_status add_segment(struct catalog_stage *stage, const struct change *change)
{
    struct log_bounds *log = &stage->small.log;
    struct log_segment *segments = staged_segments(stage);
    if (log->segment_count > 0 && segments[log->segment_count - 1].end > change->position)
        return failed(LOAM_CORRUPT, "the log's segments are out of order at %" PRIu64,
                      change->position);
    if (log->segment_count == stage->segment_cap) {
        const size_t cap = stage->segment_cap * 2;
        segments = mem_realloc(segments, cap * sizeof *segments);
        if (segments == NULL) return LOAM_NOMEM;
        log->segments = segments;
        stage->segment_cap = cap;
    }
    segments[log->segment_count++] =
        (struct log_segment){change->object, change->position, change->position_end};
    return LOAM_OK;
}

/* A new opener's log: what is still needed of earlier ones is listed anew. What was attested
   before may lie beyond its start: synced parts of a commit that was never finished. */
static loam_status start_log(struct catalog_stage *stage, const struct change *change)
{
    struct log_bounds *log = &stage->small.log;
    if (change->object.epoch < log->epoch)
        return failed(LOAM_CORRUPT, "a log of epoch %u after one of epoch %u", change->object.epoch,
                      log->epoch);
    *log = (struct log_bounds){
        .segments = log->segments,
        .epoch = change->object.epoch,
        .start = change->position,
        .start_running = change->running,
        .floor_segment = {change->object.epoch, 0},
        .attested = change->position,
    };
    return LOAM_OK;
}

static loam_status move_floor(struct catalog_stage *stage, const struct change *change)
{
    struct log_bounds *log = &stage->small.log;
    if (change->position < log->floor)
        return failed(LOAM_CORRUPT, "the log's floor falls from %" PRIu64 " to %" PRIu64,
                      log->floor, change->position);
    log->floor = change->position;
    log->floor_segment = change->object;
    return LOAM_OK;
}

static void raise_attested(struct catalog_stage *stage, const struct change *change)
{
    struct log_bounds *log = &stage->small.log;
    if (change->position > log->attested) log->attested = change->position;
}

/* Counters only rise, whatever order the edits of several hands come in. */
static void raise_counters(struct catalog_stage *stage, const struct change *change)
{
    struct catalog_counters *counters = &stage->small.counters;
    if (change->next_coll > counters->next_coll) counters->next_coll = change->next_coll;
    if (change->next_run > counters->next_run) counters->next_run = change->next_run;
    if (change->seq > counters->change_seq) counters->change_seq = change->seq;
    if (change->time_ms > counters->time_ms) counters->time_ms = change->time_ms;
}

static void raise_index(struct catalog_stage *stage, const struct change *change)
{
    struct catalog_counters *counters = &stage->small.counters;
    if (change->seq <= counters->caller_index_seq) return;
    counters->caller_index = change->caller_index;
    counters->caller_index_seq = change->seq;
}

/* ---- all of them ----------------------------------------------------------------------------- */

loam_status stage_change(struct catalog_stage *stage, const struct change *change)
{
    switch (change->tag) {
    case CHANGE_COLL_CREATE:
        return create_coll(stage, change, NULL);
    case CHANGE_COLL_CLONE:
        return clone_coll(stage, change);
    case CHANGE_COLL_RENAME:
        return rename_coll(stage, change);
    case CHANGE_COLL_DROP:
        return drop_coll(stage, change);
    case CHANGE_COLL_OPTIONS:
        return set_options(stage, change);
    case CHANGE_TABLE_ADD:
        return add_table(stage, change);
    case CHANGE_TABLE_REMOVE:
        return remove_table(stage, change);
    case CHANGE_TABLE_CLIP:
        return clip_table(stage, change);
    case CHANGE_FLUSHED:
    case CHANGE_INGEST:
        return set_flushed(stage, change);
    case CHANGE_LOG_SEGMENT:
        return add_segment(stage, change);
    case CHANGE_LOG_START:
        return start_log(stage, change);
    case CHANGE_LOG_FLOOR:
        return move_floor(stage, change);
    case CHANGE_LOG_ATTEST:
        raise_attested(stage, change);
        return LOAM_OK;
    case CHANGE_COUNTERS:
        raise_counters(stage, change);
        return LOAM_OK;
    case CHANGE_CALLER_INDEX:
        raise_index(stage, change);
        return LOAM_OK;
    case CHANGE_RANGES:
        return set_ranges(stage, change);
    case CHANGE_TABLE_ADD_SWEPT: /* edit_next() says CHANGE_TABLE_ADD */
    case CHANGE_TABLE_ADD_EXPIRING:
    case CHANGE_TABLE_ADD_SHIFTED:
        break;
    case CHANGE_SNAPSHOT_END:
        stage->small.snapshot_complete = true;
        return LOAM_OK;
    }
    check(false); /* edit_next() lets no other through */
    return LOAM_CORRUPT;
}
