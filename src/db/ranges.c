/*
 * ranges.c - deletions of ranges, from memtables to where nothing is left of them; see db.h.
 *
 *   memtable's list --flush--> version's set --sweep--> gone, with the tables that they hide
 *
 * A deletion stands in the log, then in a memtable, then in the manifest, and never in a table: so it is looked up before any
 * table is read, and drops whole tables without reading them. It stays until no table may hold anything that it hides: flushes and
 * merges leave that out, and note in their tables up to where they did (table_meta.swept_seq).
 */
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

struct ranges_gathered {
    const struct version *version;
    bool (*wanted)(const struct version *version, const struct range *range);
    loam_buf ranges; /* struct range */
};

static loam_status gather(void *ctx, const struct range *range)
{
    struct ranges_gathered *gathering = ctx;
    if (gathering->wanted != NULL && !gathering->wanted(gathering->version, range)) return LOAM_OK;
    return buf_append(&gathering->ranges, range, sizeof *range);
}

loam_status ranges_join(loam_db *db, const struct version *version, const struct view *view,
                        uint32_t first_memrun,
                        bool (*wanted)(const struct version *version, const struct range *range),
                        struct range_set **out)
{
    struct ranges_gathered gathering = {.version = version, .wanted = wanted};
    struct survival readers = {0};
    *out = NULL;
    loam_status rc = range_set_each(version->ranges, gather, &gathering);
    for (uint32_t i = first_memrun; view != NULL && rc == LOAM_OK && i < view->memrun_count; i++)
        rc = memtable_each_range(view->memruns[i]->memtable, gather, &gathering);
    if (rc == LOAM_OK) rc = survival_init(&readers, db);
    if (rc == LOAM_OK)
        rc = range_set_new(gathering.ranges.data, gathering.ranges.len / sizeof(struct range),
                           readers.bounds, readers.bound_count, out);
    survival_deinit(&readers);
    loam_buf_free(&gathering.ranges);
    return rc;
}

static bool has_frozen_ranges(const struct view *view)
{
    for (uint32_t i = 1; i < view->memrun_count; i++)
        if (memtable_newest_range(view->memruns[i]->memtable) > 0) return true;
    return false;
}

loam_status ranges_flush(loam_db *db, const struct loam_coll *coll, const struct view *view,
                         struct edit *edit)
{
    struct range_set *set;
    if (!has_frozen_ranges(view)) return LOAM_OK;
    const struct version *version = catalog_coll_by_id(db->catalog, coll->id)->version;
    loam_status rc = ranges_join(db, version, view, 1, NULL, &set);
    if (rc == LOAM_OK) rc = edit_set_ranges(edit, coll->id, set);
    range_set_unref(set);
    return rc;
}

loam_status ranges_room(struct loam_coll *coll, uint64_t bytes)
{
    char name[COLL_NAME_ROOM];
    struct view *view = view_acquire(coll);
    bytes += range_set_bytes(view->version->ranges);
    for (uint32_t i = 0; i < view->memrun_count; i++)
        bytes += memtable_range_bytes(view->memruns[i]->memtable);
    view_unref(view);
    if (bytes <= RANGES_BYTES_MOST) return LOAM_OK;
    coll_tell_name(coll, name);
    return failed(
        LOAM_FULL,
        "deletions of ranges of \"%s\" would take more than 64 MiB; they go when merges have "
        "been there and older snapshots are closed",
        name);
}

struct removal {
    uint32_t coll_id;
    struct edit *edit;
};

static loam_status remove_gone(void *ctx, uint32_t level, const struct run *run,
                               const struct table_ref *ref)
{
    const struct removal *removal = ctx;
    return edit_remove_table(removal->edit, removal->coll_id, level, run->number,
                             table_meta(ref->table)->uid);
}

loam_status ranges_sweep(loam_db *db, const struct loam_coll *coll, struct edit *edit)
{
    const struct version *version = catalog_coll_by_id(db->catalog, coll->id)->version;
    struct removal removal = {coll->id, edit};
    struct range_set *set = NULL;
    loam_status rc = version_each_gone(version, snapshot_horizon(db), remove_gone, &removal);
    if (version->ranges == NULL) return rc;
    if (rc == LOAM_OK) rc = ranges_join(db, version, NULL, 0, version_wants_range, &set);
    if (rc == LOAM_OK) rc = edit_set_ranges(edit, coll->id, set);
    range_set_unref(set);
    return rc;
}

uint64_t ranges_swept_seq(const struct survival *survival)
{
    const struct range_set *covers = survival->covers;
    if (covers == NULL) return 0;
    return covers->seq_max < survival->bounds[0] ? covers->seq_max : survival->bounds[0];
}
