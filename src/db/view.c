/*
 * view.c - what a reader of one collection sees, replaced without disturbing readers; see db.h.
 *
 * A view's count starts at one, held by its collection. Replacing it stores the new pointer and retires the old view: the
 * collection's count is given back only when no reader can be between loading the pointer and taking a count of his own.
 */

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

void memrun_unref(struct memrun *memrun)
{
    if (atomic_fetch_sub(&memrun->refs, 1) != 1) return;
    memtable_unref(memrun->memtable);
    mem_free(memrun);
}

static struct memrun *memrun_new(loam_db *db)
{
    struct memrun *memrun = mem_zalloc(sizeof *memrun);
    if (memrun == NULL) return NULL;
    memrun->memtable = memtable_new(db->arenas, (size_t)db->options.memtable_bytes);
    if (memrun->memtable == NULL) {
        mem_free(memrun);
        return NULL;
    }
    atomic_init(&memrun->refs, 1);
    memrun->first_position = memrun->end_position = UINT64_MAX;
    return memrun;
}

void memrun_add(struct loam_coll *coll, const struct entry *entry, uint64_t hash,
                struct memtable_near near, uint64_t from, uint64_t to)
{
    struct memrun *memrun = coll->active;
    if (memrun->first_position == UINT64_MAX) memrun->first_position = from;
    memrun->end_position = to;
    if (entry->seq > memrun->last_seq) memrun->last_seq = entry->seq;
    merge_add(coll, memrun->memtable, entry, hash, near);
}

/* Differences may be negative: they wrap, and so does their sum. */
static void count_bytes(loam_db *db, struct memrun *memrun)
{
    const uint64_t bytes = memtable_bytes(memrun->memtable);
    if (bytes == memrun->counted_bytes) return;
    atomic_fetch_add_explicit(&db->memtable_bytes, bytes - memrun->counted_bytes,
                              memory_order_relaxed);
    memrun->counted_bytes = bytes;
}

loam_status memrun_reserve(loam_db *db, struct memrun *memrun, size_t entry_count,
                           uint64_t payload_bytes)
{
    const loam_status rc = memtable_reserve(memrun->memtable, entry_count, (size_t)payload_bytes);
    count_bytes(db, memrun);
    return rc;
}

void memrun_unreserve(loam_db *db, struct memrun *memrun)
{
    memtable_unreserve(memrun->memtable);
    count_bytes(db, memrun);
}

bool memrun_is_full(const loam_db *db, const struct memrun *memrun)
{
    const struct memtable *memtable = memrun->memtable;
    return memtable_entry_count(memtable) > 0 &&
           (memtable_bytes(memtable) >= db->options.memtable_bytes || memtable_is_ripe(memtable));
}

struct view *view_spare(void)
{
    struct view *view = mem_zalloc(sizeof *view);
    if (view != NULL) atomic_init(&view->refs, 1);
    return view;
}

void view_ref(struct view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
}

void view_unref(struct view *view)
{
    if (atomic_fetch_sub(&view->refs, 1) != 1) return;
    for (uint32_t i = 0; i < view->memrun_count; i++)
        memrun_unref(view->memruns[i]);
    version_unref(view->version);
    mem_free(view);
}

bool view_has_ranges(const struct view *view)
{
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_newest_range(view->memruns[i]->memtable) > 0) return true;
    return view->version->ranges != NULL;
}

void view_meet(const struct view *view, struct cover *cover, loam_slice key, uint64_t seq)
{
    for (uint32_t i = 0; i < view->memrun_count; i++)
        memtable_meet(view->memruns[i]->memtable, cover, key, seq);
    range_set_meet(view->version->ranges, cover, key, seq);
}

bool view_get_in_memory(const struct view *view, loam_slice key, uint64_t hash, uint64_t seq,
                        struct entry *entry)
{
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_get(view->memruns[i]->memtable, key, hash, seq, entry)) return true;
    return false;
}

static bool watch_in_memory(const struct view *view, loam_slice key, uint64_t hash, uint64_t seq,
                            struct watch *watch, struct entry *entry)
{
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_get_watched(view->memruns[i]->memtable, key, hash, seq, watch, entry))
            return true;
    return false;
}

loam_status view_get(const struct view *view, loam_slice key, uint64_t hash, uint64_t seq,
                     struct watch *watch, struct table_hit *hit)
{
    *hit = (struct table_hit){.owned = NULL};
    if (watch != NULL)
        return watch_in_memory(view, key, hash, seq, watch, &hit->entry)
                   ? LOAM_OK
                   : version_get_watched(view->version, key, hash, seq, watch, hit);
    if (view_get_in_memory(view, key, hash, seq, &hit->entry)) return LOAM_OK;
    return version_get(view->version, key, hash, seq, hit);
}

static void view_release(struct epoch_node *node)
{
    view_unref((struct view *)node);
}

struct view *view_acquire(struct loam_coll *coll)
{
    const struct epoch_ticket ticket = epoch_enter(coll->db->epoch);
    struct view *view = atomic_load(&coll->view);
    view_ref(view);
    epoch_leave(ticket);
    return view;
}

void view_replace(struct loam_coll *coll, struct view *fresh)
{
    struct view *old = atomic_load(&coll->view);
    atomic_store(&coll->view, fresh);
    atomic_store(&coll->memrun_count, fresh->memrun_count);
    old->node.release = view_release;
    epoch_retire(coll->db->epoch, &old->node);
}

static void mark_dirty(struct loam_coll *coll, bool dirty)
{
    loam_db *db = coll->db;
    if (coll->is_dirty == dirty) return;
    coll->is_dirty = dirty;
    if (dirty) {
        coll->dirty_prev = NULL;
        coll->dirty_next = db->dirty;
        if (db->dirty != NULL) db->dirty->dirty_prev = coll;
        db->dirty = coll;
        return;
    }
    if (coll->dirty_prev != NULL) coll->dirty_prev->dirty_next = coll->dirty_next;
    if (coll->dirty_next != NULL) coll->dirty_next->dirty_prev = coll->dirty_prev;
    if (db->dirty == coll) db->dirty = coll->dirty_next;
}

/* Copies [0, count) of from's memruns behind the ones that are in to. */
static void share_memruns(struct view *to, const struct view *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        check(to->memrun_count < MEMRUNS_MAX);
        atomic_fetch_add(&from->memruns[i]->refs, 1);
        to->memruns[to->memrun_count++] = from->memruns[i];
    }
}

loam_status view_add_memtable(struct loam_coll *coll)
{
    struct memrun *memrun = memrun_new(coll->db);
    struct view *fresh = memrun == NULL ? NULL : view_spare();
    if (fresh == NULL) {
        if (memrun != NULL) memrun_unref(memrun);
        return LOAM_NOMEM;
    }
    fresh->memruns[fresh->memrun_count++] = memrun;
    mutex_lock(&coll->db->views);
    const struct view *old = atomic_load(&coll->view);
    share_memruns(fresh, old, old->memrun_count);
    version_ref(old->version);
    fresh->version = old->version;
    view_replace(coll, fresh);
    coll->active = memrun;
    mark_dirty(coll, true);
    mutex_unlock(&coll->db->views);
    return LOAM_OK;
}

void view_install(struct loam_coll *coll, struct view *spare, struct version *version,
                  uint32_t flushed_count)
{
    mutex_lock(&coll->db->views);
    const struct view *old = atomic_load(&coll->view);
    check(flushed_count <= old->memrun_count);
    share_memruns(spare, old, old->memrun_count - flushed_count);
    for (uint32_t i = old->memrun_count - flushed_count; i < old->memrun_count; i++)
        atomic_fetch_sub(&coll->db->memtable_bytes, old->memruns[i]->counted_bytes);
    version_ref(version);
    spare->version = version;
    view_replace(coll, spare);
    if (spare->memrun_count == 0) mark_dirty(coll, false);
    mutex_unlock(&coll->db->views);
}

loam_status view_freeze(struct loam_coll *coll)
{
    const struct memrun *memrun = coll->active;
    if (memrun == NULL || memtable_entry_count(memrun->memtable) == 0) return LOAM_OK;
    if (atomic_load(&coll->memrun_count) >= MEMRUNS_MAX) return LOAM_OK;
    return view_add_memtable(coll);
}

loam_status view_freeze_large(loam_db *db)
{
    uint64_t total = 0, count = 0;
    loam_status rc = LOAM_OK;
    for (loam_coll *coll = db->dirty; coll != NULL; coll = coll->dirty_next) {
        if (memtable_entry_count(coll->active->memtable) == 0) {
            memrun_unreserve(db, coll->active);
            continue;
        }
        total += memtable_bytes(coll->active->memtable);
        count++;
    }
    if (total * 2 < atomic_load(&db->memtable_bytes))
        return LOAM_OK; /* enough is frozen and on its way */
    for (loam_coll *coll = db->dirty; rc == LOAM_OK && coll != NULL; coll = coll->dirty_next)
        if (memtable_bytes(coll->active->memtable) * count * 2 >= total) rc = view_freeze(coll);
    return rc;
}
