/*
 * catalog_snapshot.c - the present state as edits that rebuild it; see catalog.h.
 *
 * After each of the edits the layout is whole: runs that are partly there are in order too.
 */
#include "tree/catalog.h"

#include "base/mem.h"

#include "base/poison.h"

enum { SNAPSHOT_EDIT_BYTES = 48 << 10 }; /* an edit is sent on when it has grown to this */

struct snapshot_sink {
    struct edit edit;
    loam_status (*emit)(void *ctx, loam_slice edit_bytes);
    void *ctx;
};

static loam_status emit_edit(struct snapshot_sink *sink)
{
    const loam_status rc =
        sink->emit(sink->ctx, loam_bytes(sink->edit.bytes.data, sink->edit.bytes.len));
    sink->edit.bytes.len = 0;
    return rc;
}

static loam_status put_change(struct snapshot_sink *sink, const struct change *change)
{
    const loam_status rc = edit_add(&sink->edit, change);
    return rc < 0 || sink->edit.bytes.len < SNAPSHOT_EDIT_BYTES ? rc : emit_edit(sink);
}

static loam_status put_run(struct snapshot_sink *sink, uint32_t coll, uint32_t level,
                           const struct run *run)
{
    loam_status rc = LOAM_OK;
    for (uint32_t i = 0; rc == LOAM_OK && i < run->table_count; i++) {
        const struct table_ref *ref = &run->tables[i];
        const struct change change = {.tag = CHANGE_TABLE_ADD,
                                      .coll = coll,
                                      .level = level,
                                      .run = run->number,
                                      .meta = *table_meta(ref->table),
                                      .from = ref->from,
                                      .to = ref->to};
        rc = put_change(sink, &change);
    }
    return rc;
}

static loam_status put_coll(struct snapshot_sink *sink, const struct coll_state *coll)
{
    const struct change flushed = {
        .tag = CHANGE_FLUSHED, .coll = coll->id, .seq = coll->flushed_seq};
    const loam_coll_options options = coll_options_public(&coll->options);
    loam_status rc = edit_create_coll(&sink->edit, coll->id, loam_str(coll->name), &options);
    if (rc == LOAM_OK && coll->flushed_seq > 0) rc = put_change(sink, &flushed);
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; rc == LOAM_OK && i < coll->version->levels[level].run_count; i++)
            rc = put_run(sink, coll->id, level, coll->version->levels[level].runs[i]);
    if (rc == LOAM_OK && coll->version->ranges != NULL)
        rc = edit_set_ranges(&sink->edit, coll->id, coll->version->ranges);
    return rc < 0 || sink->edit.bytes.len < SNAPSHOT_EDIT_BYTES ? rc : emit_edit(sink);
}

static loam_status put_log(struct snapshot_sink *sink, const struct log_bounds *log)
{
    const struct change changes[3] = {
        {.tag = CHANGE_LOG_START,
         .position = log->start,
         .running = log->start_running,
         .object = {log->epoch, 0}},
        {.tag = CHANGE_LOG_FLOOR, .position = log->floor, .object = log->floor_segment},
        {.tag = CHANGE_LOG_ATTEST, .position = log->attested}};
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < 3; i++)
        rc = put_change(sink, &changes[i]);
    for (size_t i = 0; rc == LOAM_OK && i < log->segment_count; i++) {
        const struct change change = {.tag = CHANGE_LOG_SEGMENT,
                                      .object = log->segments[i].id,
                                      .position = log->segments[i].start,
                                      .position_end = log->segments[i].end};
        rc = put_change(sink, &change);
    }
    return rc;
}

static loam_status put_end(struct snapshot_sink *sink, const struct catalog_counters *counters)
{
    const struct change index = {.tag = CHANGE_CALLER_INDEX,
                                 .caller_index = counters->caller_index,
                                 .seq = counters->caller_index_seq};
    const struct change changes[2] = {{.tag = CHANGE_COUNTERS,
                                       .next_coll = counters->next_coll,
                                       .next_run = counters->next_run,
                                       .seq = counters->change_seq,
                                       .time_ms = counters->time_ms},
                                      {.tag = CHANGE_SNAPSHOT_END}};
    loam_status rc = put_change(sink, &changes[0]);
    if (rc == LOAM_OK && index.caller_index > 0) rc = put_change(sink, &index);
    if (rc == LOAM_OK) rc = edit_add(&sink->edit, &changes[1]);
    return rc < 0 ? rc : emit_edit(sink);
}

loam_status catalog_snapshot(const struct catalog *catalog,
                             loam_status (*emit)(void *ctx, loam_slice edit_bytes), void *ctx)
{
    struct snapshot_sink sink = {.emit = emit, .ctx = ctx};
    const struct log_bounds log = catalog_log_bounds(catalog);
    const struct catalog_counters counters = catalog_counters(catalog);
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < catalog_coll_count(catalog); i++)
        rc = put_coll(&sink, catalog_coll_at(catalog, i));
    if (rc == LOAM_OK) rc = put_log(&sink, &log);
    if (rc == LOAM_OK) rc = put_end(&sink, &counters);
    edit_deinit(&sink.edit);
    return rc;
}
