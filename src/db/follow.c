/*
 * follow.c - a database that shows what another process writes; see follow.h.
 */
#include "db/follow.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

enum {
    REBUILDS_MAX = 100, /* in one refresh: each begins at the root, which says what is there now */
    REFRESHES_OF_REBUILD = 16, /* a changed manifest waits for at most so many */
    REBUILDS_IF_FULL = 4,      /* so many times as often, where memtables take half of the memory */
    IDLE_CHECK_FIRST = 16      /* of refreshes, then after twice as many: is this end damage? */
};
#define DAMAGE_WAIT_NS (UINT64_C(100) * 1000000)

/* ---- life ------------------------------------------------------------------------------------ */

static loam_status new_follow(loam_db *db)
{
    db->follow = mem_zalloc(sizeof *db->follow);
    if (db->follow == NULL) return LOAM_NOMEM;
    mutex_init(&db->follow->refreshing);
    wal_follow_begin(&db->follow->log, db->store);
    return LOAM_OK;
}

void follow_free(struct follow *follow)
{
    if (follow == NULL) return;
    wal_follow_end(&follow->log);
    mutex_deinit(&follow->refreshing);
    mem_free(follow);
}

void follow_note(loam_db *db, const struct wal_tail *tail, uint64_t manifest_end)
{
    struct follow *follow = db->follow;
    const struct log_bounds bounds = catalog_log_bounds(db->catalog);
    const uint32_t floor_number = bounds.floor_segment.number;
    follow->log.epoch = db->root.epoch;
    follow->log.log_key = db->root.log_key;
    follow->log.position = tail->end;
    follow->log.number = tail->extent_count > 0 ? tail->extents[tail->extent_count - 1].id.number
                         : floor_number > 0     ? floor_number
                                                : 1;
    follow->manifest_end = manifest_end;
    follow->cost_bytes = tail->end - bounds.floor + manifest_end;
}

/* ---- reading on ------------------------------------------------------------------------------ */

/* Counts what the commit adds to each collection; *touched is the list of these. */
static loam_status measure_entries(loam_db *db, struct batch_reader reader, uint32_t count,
                                   struct loam_coll **touched)
{
    struct entry entry;
    uint32_t coll_id;
    struct loam_coll *coll = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (batch_next(&reader, &coll_id, &entry) != LOAM_OK) return LOAM_CONFLICT;
        if (coll == NULL || coll->id != coll_id) coll = coll_by_id(db, coll_id);
        if (coll == NULL) return LOAM_CONFLICT;
        if (coll->room_entries == 0) {
            coll->room_next = *touched;
            *touched = coll;
        }
        coll->room_entries++;
        coll->room_bytes += entry_room_bytes(&entry);
    }
    return reader.at == reader.end ? LOAM_OK : LOAM_CONFLICT;
}

static loam_status reserve_entries(loam_db *db, const struct batch_reader *entries, uint32_t count)
{
    struct loam_coll *touched = NULL;
    loam_status rc = measure_entries(db, *entries, count, &touched);
    for (; touched != NULL; touched = touched->room_next) {
        if (rc == LOAM_OK && touched->active == NULL) rc = view_add_memtable(touched);
        if (rc == LOAM_OK)
            rc = memrun_reserve(db, touched->active, touched->room_entries, touched->room_bytes);
        touched->room_entries = touched->room_bytes = 0;
    }
    return rc;
}

/* There is room for all of it. */
static void add_entries(loam_db *db, struct batch_reader reader, const struct wal_commit *commit)
{
    struct entry entry;
    uint32_t coll_id;
    struct loam_coll *coll = NULL;
    for (uint64_t seq = commit->seq; batch_next(&reader, &coll_id, &entry) == LOAM_OK; seq++) {
        if (coll == NULL || coll->id != coll_id) coll = coll_by_id(db, coll_id);
        entry.seq = seq;
        if (entry.kind == ENTRY_DELETE_RANGE) commit_note_range(coll, &entry);
        if (entry.kind == ENTRY_PUT_EXPIRING) expiry_expect(db);
        memrun_add(coll, &entry, hash_key(entry.key), (struct memtable_near){0}, commit->position,
                   commit->end);
    }
}

/* All of a commit, or nothing. */
static loam_status take_commit(loam_db *db, const struct wal_commit *commit)
{
    struct follow *follow = db->follow;
    struct commit_body body;
    if (commit->kind != RECORD_COMMIT || commit->seq != follow->next_seq ||
        db_open_commit(commit, &body) < 0)
        return LOAM_CONFLICT;
    mutex_lock(&db->lane);
    const loam_status rc = reserve_entries(db, &body.entries, body.entry_count);
    if (rc == LOAM_OK) add_entries(db, body.entries, commit);
    mutex_unlock(&db->lane);
    if (rc != LOAM_OK) return rc;
    expiry_note_time(db, commit->time_ms);
    follow->next_seq = commit->seq + body.entry_count;
    if (body.caller_index > 0)
        follow->index = (struct caller_index){body.caller_index, follow->next_seq - 1, 0};
    return LOAM_OK;
}

static loam_status take_commits(loam_db *db)
{
    struct wal_follow *log = &db->follow->log;
    struct wal_commit commit;
    for (;;) {
        const uint64_t position = log->position;
        const uint32_t number = log->number;
        loam_status rc = wal_follow_next(log, &commit);
        if (rc != LOAM_OK) return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
        rc = take_commit(db, &commit);
        if (rc == LOAM_OK) continue;
        log->position = position;
        log->number = number;
        return rc;
    }
}

static void show_commits(loam_db *db)
{
    const struct follow *follow = db->follow;
    mutex_lock(&db->lane);
    db->next_seq = follow->next_seq;
    db->caller_index = follow->index;
    atomic_store(&db->visible, follow->next_seq - 1);
    mutex_unlock(&db->lane);
}

/* LOAM_CORRUPT: the log says that it goes on behind its end. */
static loam_status check_end(loam_db *db)
{
    struct wal_past past;
    const struct wal_follow *log = &db->follow->log;
    if (db->root.sealed) return LOAM_OK; /* its end is stated */
    loam_status rc = db_wal_past(db, &past);
    if (rc < 0) return rc;
    rc = wal_check_end(&past, log->number, log->position);
    wal_past_deinit(&past);
    return rc;
}

/* LOAM_CONFLICT: the state is to be rebuilt. */
static loam_status read_on(loam_db *db, const struct root *root)
{
    struct follow *follow = db->follow;
    const uint64_t from = follow->log.position;
    loam_status rc = take_commits(db);
    if (rc != LOAM_OK) return rc;
    if (root->sealed && follow->log.position != root->log_end) return LOAM_CONFLICT;
    follow->paid_bytes += follow->log.position - from;
    follow->idle_count = follow->log.position == from ? follow->idle_count + 1 : 0;
    const uint64_t idle = follow->idle_count;
    if (idle >= IDLE_CHECK_FIRST && (idle & (idle - 1)) == 0 && !root->sealed) {
        rc = check_end(db);
        if (rc != LOAM_OK) return rc == LOAM_CORRUPT ? LOAM_CONFLICT : rc;
    }
    show_commits(db);
    return LOAM_OK;
}

/* ---- rebuilding ------------------------------------------------------------------------------ */

static void free_beside(loam_db *fresh)
{
    if (fresh == NULL) return;
    follow_free(fresh->follow);
    coll_free_all(fresh);
    catalog_free(fresh->catalog);
    db_deinit_locks(fresh);
    mem_free(fresh);
}

/* A second database over the same store, which shares what outlives it. */
static loam_status new_beside(const loam_db *db, loam_db **out)
{
    const struct catalog_config config = {.beside = db->catalog};
    loam_db *fresh = mem_zalloc(sizeof *fresh);
    *out = fresh;
    if (fresh == NULL) return LOAM_NOMEM;
    fresh->sys = db->sys;
    fresh->store = db->store;
    fresh->options = db->options;
    fresh->page_bytes = db->page_bytes;
    fresh->operators = db->operators;
    fresh->operator_count = db->operator_count;
    fresh->cache = db->cache;
    fresh->arenas = db->arenas;
    fresh->epoch = db->epoch;
    fresh->change_position = UINT64_MAX;
    atomic_init(&fresh->expiry_due_ms, UINT64_MAX);
    db_init_locks(fresh);
    loam_status rc = new_follow(fresh);
    if (rc == LOAM_OK) rc = coll_map_init(&fresh->by_id);
    if (rc == LOAM_OK) rc = coll_map_init(&fresh->by_name);
    if (rc == LOAM_OK) rc = catalog_new(&config, &fresh->catalog);
    return rc;
}

static loam_status gone_back(void)
{
    return failed(LOAM_CORRUPT, "root: the store has gone back: somebody put an older copy in its "
                                "place; open it again to see that");
}

static loam_status build_beside(const loam_db *db, loam_db *fresh)
{
    loam_status rc = db_recover(fresh, false, false);
    if (rc == LOAM_OK && db->follow->is_built &&
        memcmp(fresh->root.store_id, db->root.store_id, STORE_ID_BYTES) != 0)
        rc = failed(LOAM_CORRUPT, "root: is another store's than before");
    if (rc == LOAM_OK) rc = catalog_pin(fresh->catalog);
    if (rc == LOAM_OK) rc = check_end(fresh);
    if (rc == LOAM_OK && atomic_load(&fresh->visible) < atomic_load(&db->visible)) rc = gone_back();
    return rc;
}

static loam_status check_idle(loam_db *db)
{
    if (db->snapshot_count == 0) return LOAM_OK;
    return failed(LOAM_BUSY,
                  "%u snapshots or transactions are open, which keep what they see; close them "
                  "first",
                  db->snapshot_count);
}

struct spares { /* an empty view for each collection that is to go */
    struct view **views;
    size_t count;
};

static loam_status make_spares(loam_db *db, loam_db *fresh, struct spares *spares)
{
    size_t count = 1;
    for (const struct loam_coll *coll = db->all; coll != NULL; coll = coll->all_next)
        count += !atomic_load(&coll->dropped) && coll_by_id(fresh, coll->id) == NULL;
    spares->views = mem_alloc_array(count, sizeof(struct view *));
    if (spares->views == NULL) return LOAM_NOMEM;
    for (; spares->count + 1 < count; spares->count++) {
        struct view *view = view_spare();
        if (view == NULL) return LOAM_NOMEM;
        spares->views[spares->count] = view;
        view->version = version_new();
        if (view->version != NULL) continue;
        mem_free(view);
        return LOAM_NOMEM;
    }
    return LOAM_OK;
}

/* Nothing in it can fail. Under all the locks of its caller. */
static void exchange(loam_db *db, loam_db *fresh, const struct spares *spares)
{
    struct catalog *catalog = db->catalog;
    struct wal_follow log = db->follow->log;
    db->catalog = fresh->catalog;
    fresh->catalog = catalog;
    db->root = fresh->root;
    db->next_run = fresh->next_run;
    db->next_coll = fresh->next_coll;
    db->next_seq = fresh->next_seq;
    db->caller_index = fresh->caller_index;
    atomic_store(&db->memtable_bytes, atomic_load(&fresh->memtable_bytes));
    expiry_note_time(db, atomic_load(&fresh->clock_ms));
    if (atomic_load(&fresh->may_expire)) expiry_expect(db);
    /* Before the views, as readers take theirs first: in the old ones is nothing above what was visible but whole commits. */
    atomic_store(&db->visible, atomic_load(&fresh->visible));
    coll_adopt_all(db, fresh, spares->views);
    db->follow->log = fresh->follow->log;
    fresh->follow->log = log;
    db->follow->next_seq = fresh->next_seq;
    db->follow->index = fresh->caller_index;
    db->follow->manifest_end = fresh->follow->manifest_end;
    db->follow->cost_bytes = fresh->follow->cost_bytes;
    db->follow->paid_bytes = db->follow->idle_count = 0;
    db->follow->is_built = true;
    db->follow->must_rebuild = false;
}

static loam_status exchange_if_idle(loam_db *db, loam_db *fresh, struct spares *spares)
{
    mutex_lock(&db->manifest_lock);
    mutex_lock(&db->lane);
    mutex_lock(&db->views);
    mutex_lock(&db->names);
    mutex_lock(&db->snapshots);
    const loam_status rc = check_idle(db); /* once more: nobody opens a snapshot of two states */
    if (rc == LOAM_OK) {
        exchange(db, fresh, spares);
        spares->count = 0;
    }
    mutex_unlock(&db->snapshots);
    mutex_unlock(&db->names);
    mutex_unlock(&db->views);
    mutex_unlock(&db->lane);
    mutex_unlock(&db->manifest_lock);
    return rc;
}

static loam_status adopt(loam_db *db, loam_db *fresh)
{
    struct spares spares = {0};
    loam_status rc = make_spares(db, fresh, &spares);
    if (rc == LOAM_OK) rc = exchange_if_idle(db, fresh, &spares);
    for (size_t i = 0; i < spares.count; i++)
        view_unref(spares.views[i]);
    mem_free(spares.views);
    return rc;
}

static loam_status rebuild_once(loam_db *db)
{
    loam_db *fresh;
    struct failure failure;
    loam_status rc = new_beside(db, &fresh);
    if (rc == LOAM_OK) rc = build_beside(db, fresh);
    if (rc == LOAM_OK) rc = adopt(db, fresh);
    failure_save(&failure);
    free_beside(fresh);
    failure_restore(&failure);
    return rc;
}

/* What stands in the way while the writer goes on is not there any more at the next look; damage is. */
static loam_status rebuild(loam_db *db)
{
    struct failure before = {.os_error = 0}, failure;
    unsigned same_count = 0;
    for (unsigned i = 0; i < REBUILDS_MAX; i++) {
        const loam_status rc = rebuild_once(db);
        if (rc != LOAM_CORRUPT) return rc;
        failure_save(&failure);
        same_count = strcmp(failure.text, before.text) == 0 ? same_count + 1 : 0;
        if (same_count == 2) return rc;
        if (same_count == 1) db->sys.calls->sleep_ns(db->sys.ctx, DAMAGE_WAIT_NS);
        before = failure;
    }
    return failed(LOAM_BUSY, "%s: changes faster than it can be read (%s); try again",
                  store_path(db->store), before.text);
}

/* ---- refreshing ------------------------------------------------------------------------------ */

static loam_status is_due(const loam_db *db, const struct root *root, bool *due)
{
    struct follow *follow = db->follow;
    bool changed = true;
    *due = follow->must_rebuild || root->epoch != db->root.epoch;
    if (*due) return LOAM_OK;
    if (object_id_equal(root->manifest, db->root.manifest)) {
        const loam_status rc =
            manifest_look(db->store, root->manifest, follow->manifest_end, &changed);
        if (rc < 0 && rc != LOAM_CORRUPT) return rc; /* a close cuts it to its end */
        if (rc != LOAM_OK) changed = true;
    }
    if (!changed) {
        follow->paid_bytes = 0;
        return LOAM_OK;
    }
    follow->paid_bytes += follow->cost_bytes / REFRESHES_OF_REBUILD + 1;
    const bool memory_is_full = atomic_load(&db->memtable_bytes) > db->options.memory_bytes / 2;
    *due = follow->paid_bytes * (memory_is_full ? REBUILDS_IF_FULL : 1) >= follow->cost_bytes;
    return LOAM_OK;
}

/* Each opener has an epoch, one more than the last one's, and a key of its own. */
static bool is_older(const struct root *root, const struct root *before)
{
    return root->epoch < before->epoch ||
           (root->epoch == before->epoch && root->log_key != before->log_key);
}

static loam_status refresh_locked(loam_db *db)
{
    struct root root;
    bool due = false;
    loam_status rc = db_read_root(db->store, &root);
    if (rc == LOAM_OK && is_older(&root, &db->root)) rc = gone_back();
    if (rc == LOAM_OK) rc = is_due(db, &root, &due);
    if (rc == LOAM_OK && !due) {
        rc = read_on(db, &root);
        due = rc == LOAM_CONFLICT;
    }
    if (!due) return rc;
    db->follow->must_rebuild = true; /* until one has succeeded */
    return rebuild(db);
}

loam_status follow_open(loam_db *db)
{
    const loam_status rc = new_follow(db);
    catalog_arm(db->catalog); /* an object is closed with its last table */
    return rc == LOAM_OK ? rebuild(db) : rc;
}

loam_status loam_refresh(loam_db *db)
{
    loam_status rc = db_check(db);
    if (rc == LOAM_OK && db->follow == NULL)
        rc = failed(LOAM_MISUSE, "%s was not opened with `follow`", store_path(db->store));
    if (rc < 0) return rc;
    mutex_lock(&db->follow->refreshing);
    mutex_lock(&db->snapshots);
    rc = check_idle(db);
    mutex_unlock(&db->snapshots);
    if (rc == LOAM_OK) rc = refresh_locked(db);
    if (rc == LOAM_CORRUPT || rc == LOAM_TOONEW) rc = failed_in(rc, store_path(db->store));
    mutex_unlock(&db->follow->refreshing);
    return rc;
}
