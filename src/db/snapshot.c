/*
 * snapshot.c - a sequence number that flush and compaction respect; see db.h.
 */
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

loam_status loam_snapshot_open(loam_db *db, loam_snapshot **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    const loam_status rc = db_check(db);
    if (rc < 0) return rc;
    loam_snapshot *snap = mem_zalloc(sizeof *snap);
    if (snap == NULL) return LOAM_NOMEM;
    snap->db = db;
    snap->opened_ms = db_now_ns(db) / 1000000;
    mutex_lock(&db->snapshots);
    snap->seq = atomic_load(&db->visible);
    snap->clock_ms = expiry_reader_clock_ms(db);
    snap->prev = db->snapshot_newest;
    if (db->snapshot_newest != NULL)
        db->snapshot_newest->next = snap;
    else
        db->snapshot_oldest = snap;
    db->snapshot_newest = snap;
    db->snapshot_count++;
    mutex_unlock(&db->snapshots);
    *out = snap;
    return LOAM_OK;
}

void loam_snapshot_close(loam_snapshot *snap)
{
    if (snap == NULL) return;
    loam_db *db = snap->db;
    mutex_lock(&db->snapshots);
    const bool was_oldest = snap->prev == NULL;
    *(snap->prev != NULL ? &snap->prev->next : &db->snapshot_oldest) = snap->next;
    *(snap->next != NULL ? &snap->next->prev : &db->snapshot_newest) = snap->prev;
    db->snapshot_count--;
    mutex_unlock(&db->snapshots);
    mem_free(snap);
    if (was_oldest && !db->options.read_only) jobs_want_look(db);
}

struct horizon snapshot_horizon(loam_db *db)
{
    struct horizon horizon;
    mutex_lock(&db->snapshots);
    if (db->snapshot_oldest != NULL) {
        horizon = (struct horizon){db->snapshot_oldest->seq, db->snapshot_oldest->clock_ms};
    } else {
        horizon.seq = atomic_load(&db->visible);
        horizon.clock_ms = expiry_reader_clock_ms(db);
    }
    mutex_unlock(&db->snapshots);
    return horizon;
}
