/*
 * read.c - one key: memtables, newest first, then tables; see db.h.
 *
 * The view is taken before the sequence: whatever a flush or a compaction dropped was already not needed at that sequence.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

/* The newest version of key at seq: LOAM_OK, LOAM_NOTFOUND (also for a tombstone) or a failure. value may be NULL. */
static loam_status look_up(const struct view *view, loam_slice key, uint64_t seq, loam_buf *value)
{
    const uint64_t hash = hash_key(key);
    struct entry entry;
    for (uint32_t i = 0; i < view->memrun_count; i++) {
        if (!memtable_get(view->memruns[i]->memtable, key, hash, seq, &entry)) continue;
        if (entry.kind != ENTRY_PUT) return LOAM_NOTFOUND;
        return value == NULL ? LOAM_OK : buf_set(value, entry.value.data, entry.value.len);
    }
    struct table_hit hit;
    loam_status rc = version_get(view->version, key, hash, seq, &hit);
    if (rc != LOAM_OK) return rc;
    if (hit.entry.kind != ENTRY_PUT)
        rc = LOAM_NOTFOUND;
    else if (value != NULL)
        rc = buf_set(value, hit.entry.value.data, hit.entry.value.len);
    table_hit_release(&hit);
    return rc;
}

static loam_status read_entry(loam_db *db, loam_coll *coll, const loam_snapshot *snap,
                              loam_slice key, loam_buf *value)
{
    loam_status rc = db_check_coll(db, &coll);
    if (rc < 0) return rc;
    if (key.data == NULL && key.len > 0)
        return failed(LOAM_INVALID, "a slice with a length and no data");
    if (snap != NULL && snap->db != db)
        return failed(LOAM_INVALID, "a snapshot of another database");
    if (key.len > KEY_BYTES_MAX) return LOAM_NOTFOUND; /* none that long can be there */
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    const struct view *view = atomic_load(&coll->view);
    const uint64_t seq = snap != NULL ? snap->seq : atomic_load(&db->visible);
    rc = db_check_there(coll);
    if (rc == LOAM_OK) rc = look_up(view, key, seq, value);
    epoch_leave(ticket);
    epoch_count(db->epoch);
    return rc;
}

loam_status loam_get_at(loam_db *db, loam_coll *coll, const loam_snapshot *snap, loam_slice key,
                        loam_buf *value)
{
    if (value == NULL) return failed(LOAM_INVALID, "value is NULL; loam_exists() wants none");
    return read_entry(db, coll, snap, key, value);
}

loam_status loam_get(loam_db *db, loam_coll *coll, loam_slice key, loam_buf *value)
{
    return loam_get_at(db, coll, NULL, key, value);
}

loam_status loam_exists(loam_db *db, loam_coll *coll, loam_slice key)
{
    return read_entry(db, coll, NULL, key, NULL);
}
