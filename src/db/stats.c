/*
 * stats.c - what the database is and does, in numbers; see loam.h.
 */
#include <string.h>

#include "base/sized.h"
#include "db/db.h"

#include "base/poison.h"

static uint64_t total_debt(loam_db *db)
{
    const struct pick_policy policy = compact_policy(db);
    uint64_t debt = 0;
    mutex_lock(&db->manifest_lock);
    for (size_t i = 0; i < catalog_coll_count(db->catalog); i++)
        debt += pick_debt_bytes(catalog_coll_at(db->catalog, i)->version, &policy);
    mutex_unlock(&db->manifest_lock);
    return debt;
}

/* Tables, and of a log that nobody writes what is listed. */
static uint64_t listed_bytes(loam_db *db)
{
    uint64_t bytes = 0;
    mutex_lock(&db->manifest_lock);
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    for (size_t i = 0; db->wal == NULL && i < bounds.segment_count; i++)
        bytes += bounds.segments[i].end - bounds.segments[i].start;
    bytes += catalog_table_bytes(db->catalog);
    mutex_unlock(&db->manifest_lock);
    return bytes;
}

void latencies_note(struct latencies *latencies, const loam_db *db, uint64_t since_ns)
{
    if (since_ns == 0) return;
    const uint64_t ns = db_now_ns(db) - since_ns;
    uint64_t seen = atomic_load_explicit(&latencies->max_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&latencies->counts[histogram_bucket(ns)], 1, memory_order_relaxed);
    while (seen < ns &&
           !atomic_compare_exchange_weak_explicit(&latencies->max_ns, &seen, ns,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static loam_latency latency_of(const struct latencies *latencies)
{
    uint64_t counts[HISTOGRAM_BUCKETS];
    loam_latency latency = {.max_ns =
                                atomic_load_explicit(&latencies->max_ns, memory_order_relaxed)};
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&latencies->counts[i], memory_order_relaxed);
        latency.count += counts[i];
    }
    latency.p50_ns = histogram_percentile(counts, latency.max_ns, 50);
    latency.p99_ns = histogram_percentile(counts, latency.max_ns, 99);
    latency.p999_ns = histogram_percentile(counts, latency.max_ns, 99.9);
    return latency;
}

loam_status loam_stats_get(loam_db *db, loam_stats *out)
{
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = sized_check(out);
    if (rc < 0) return rc;
    const struct page_cache_stats cache = page_cache_stats(db->cache);
    const uint64_t log_bytes = db->wal == NULL ? 0 : wal_live_bytes(db->wal);
    loam_stats stats = {
        .disk_bytes = listed_bytes(db) + log_bytes,
        .memtable_bytes = atomic_load(&db->memtable_bytes) + arena_pool_bytes(db->arenas),
        .cache_bytes = cache.frame_bytes,
        .metadata_bytes = cache.charged_bytes,
        .get_count = epoch_count_sum(db->epoch),
        .put_count = atomic_load(&db->put_count),
        .delete_count = atomic_load(&db->delete_count),
        .flush_count = atomic_load(&db->flush_count),
        .compaction_count = atomic_load(&db->compaction_count),
        .user_written_bytes = atomic_load(&db->user_written_bytes),
        .log_written_bytes = db->wal == NULL ? 0 : wal_written_bytes(db->wal),
        .compaction_debt_bytes = total_debt(db),
        .stall_total_ms = atomic_load(&db->stall_total_ns) / 1000000,
        .stall_max_ms = atomic_load(&db->stall_max_ns) / 1000000,
        .fenced = (loam_status)atomic_load(&db->fenced),
        .stall_reason = atomic_load(&db->stall_reason),
        .get_latency = latency_of(&db->get_latencies),
        .write_latency = latency_of(&db->write_latencies),
        .seek_latency = latency_of(&db->seek_latencies),
    };
    stats.disk_written_bytes = atomic_load(&db->disk_written_bytes) + stats.log_written_bytes;
    if (db->manifest != NULL) {
        mutex_lock(&db->manifest_lock);
        stats.disk_written_bytes += manifest_written_bytes(db->manifest);
        mutex_unlock(&db->manifest_lock);
    }
    mutex_lock(&db->snapshots);
    if (db->snapshot_oldest != NULL)
        stats.snapshot_oldest_ms = db_now_ns(db) / 1000000 - db->snapshot_oldest->opened_ms;
    mutex_unlock(&db->snapshots);
    sized_give(out, &stats, sizeof stats);
    return LOAM_OK;
}

static void estimate_memtable(const struct memtable *memtable, loam_slice from, loam_slice to,
                              struct amount *sum)
{
    const struct memtable_stats stats = memtable_stats(memtable);
    const double low = memtable_share_before(memtable, from);
    const double high = to.len > 0 ? memtable_share_before(memtable, to) : 1;
    if (stats.entry_count == 0 || high <= low) return;
    sum->entry_count += (uint64_t)((high - low) * (double)stats.entry_count + 0.5);
    sum->bytes += (uint64_t)((high - low) * (double)stats.payload_bytes);
}

enum { PIECES_MAX = 32 }; /* of a range; behind them, what deletions hide is counted */

/* Of keys that one deletion of a range holds, or none (covered: 0): what is not older than that as a whole. */
static loam_status estimate_piece(const struct view *view, loam_slice from, loam_slice to,
                                  uint64_t covered, struct amount *sum)
{
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_newest_entry(view->memruns[i]->memtable) > covered)
            estimate_memtable(view->memruns[i]->memtable, from, to, sum);
    return version_estimate(view->version, from, to, covered, sum);
}

static loam_status estimate_view(const struct view *view, const loam_range *range,
                                 struct amount *sum)
{
    loam_buf from_buf = {0}, to_buf = {0};
    loam_status rc = dbiter_bounds(range, &from_buf, &to_buf);
    loam_slice at = loam_bytes(from_buf.data, from_buf.len);
    const loam_slice to = loam_bytes(to_buf.data, to_buf.len);
    const bool is_simple = !view_has_ranges(view);
    bool is_last = false;
    for (unsigned pieces = 0; rc == LOAM_OK && !is_last; pieces++) {
        struct cover cover = cover_nothing();
        if (!is_simple && pieces < PIECES_MAX) view_meet(view, &cover, at, SEQ_MAX);
        is_last = cover.high.len == 0 || (to.len > 0 && bytes_compare(cover.high, to) >= 0);
        rc = estimate_piece(view, at, is_last ? to : cover.high, cover.seq, sum);
        at = cover.high;
    }
    loam_buf_free(&from_buf);
    loam_buf_free(&to_buf);
    return rc;
}

loam_status loam_estimate(loam_db *db, loam_coll *coll, const loam_range *range,
                          uint64_t *entry_count, uint64_t *bytes)
{
    struct amount sum = {0};
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = dbiter_check_range(db, range);
    if (rc < 0) return rc;
    struct view *view = view_acquire(coll);
    rc = db_check_there(coll);
    if (rc == LOAM_OK) rc = estimate_view(view, range, &sum);
    view_unref(view);
    if (rc < 0) return rc;
    if (entry_count != NULL) *entry_count = sum.entry_count;
    if (bytes != NULL) *bytes = sum.bytes;
    return LOAM_OK;
}

loam_status loam_coll_stats_get(loam_db *db, loam_coll *coll, loam_coll_stats *out)
{
    loam_status rc = db_check_handle(db, &coll);
    if (rc == LOAM_OK) rc = sized_check(out);
    if (rc < 0) return rc;
    loam_coll_stats stats = {0};
    struct view *view = view_acquire(coll);
    for (uint32_t i = 0; i < view->memrun_count; i++) {
        const struct memtable_stats memtable = memtable_stats(view->memruns[i]->memtable);
        stats.entry_count += memtable.entry_count;
        stats.bytes += memtable.payload_bytes;
    }
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *from = &view->version->levels[level];
        stats.level[level].run_count = from->run_count;
        for (uint32_t i = 0; i < from->run_count; i++) {
            stats.level[level].table_count += from->runs[i]->table_count;
            stats.level[level].bytes += from->runs[i]->bytes;
            stats.entry_count += from->runs[i]->entry_count;
            stats.bytes += from->runs[i]->bytes;
        }
    }
    view_unref(view);
    sized_give(out, &stats, sizeof stats);
    return LOAM_OK;
}
