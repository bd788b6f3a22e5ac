/*
 * expiry.c - what time it is for entries that expire, and when a put does; see db.h.
 *
 *   ttl of a put, or of its collection --commit--> a moment in its value --clock--> a tombstone --survive.c, PLAN_SWEEP--> gone
 *
 * The clock is the system's, but it never falls: not while the database is open, and at opening it begins at the newest time that
 * manifest and log know. So nothing comes back that was said to have expired. As long as nothing expires, nobody asks for it.
 */
#include "base/codec.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

#define TTL_MS_MOST (UINT64_C(1) << 62) /* no clock gets there, and no sum overflows */

void expiry_note_time(loam_db *db, uint64_t time_ms)
{
    uint64_t clock = atomic_load(&db->clock_ms);
    while (clock < time_ms && !atomic_compare_exchange_weak(&db->clock_ms, &clock, time_ms)) {
    }
}

uint64_t expiry_clock_ms(loam_db *db)
{
    expiry_note_time(db, db_now_ms(db));
    return atomic_load(&db->clock_ms);
}

void expiry_expect(loam_db *db)
{
    if (!atomic_load_explicit(&db->may_expire, memory_order_relaxed))
        atomic_store(&db->may_expire, true);
}

uint64_t expiry_reader_clock_ms(loam_db *db)
{
    return atomic_load(&db->may_expire) ? expiry_clock_ms(db) : 0;
}

uint64_t expiry_of_ttl(const loam_coll *coll, uint64_t ttl_ms)
{
    if (ttl_ms == TTL_OF_COLL) ttl_ms = atomic_load_explicit(&coll->ttl_ms, memory_order_relaxed);
    if (ttl_ms == 0) return 0;
    expiry_expect(coll->db);
    return expiry_clock_ms(coll->db) + (ttl_ms < TTL_MS_MOST ? ttl_ms : TTL_MS_MOST);
}

loam_status expiry_stamp(const loam_coll *coll, uint64_t ttl_ms, struct entry *entry, loam_buf *buf)
{
    uint8_t stamp[EXPIRY_BYTES];
    const uint64_t expires_ms = entry->kind == ENTRY_PUT ? expiry_of_ttl(coll, ttl_ms) : 0;
    if (expires_ms == 0) return LOAM_OK;
    put_u64(stamp, expires_ms);
    loam_status rc = buf_reserve(buf, EXPIRY_BYTES + entry->value.len);
    if (rc == LOAM_OK) rc = buf_append(buf, stamp, EXPIRY_BYTES);
    if (rc == LOAM_OK) rc = buf_append(buf, entry->value.data, entry->value.len);
    if (rc < 0) return rc;
    entry->kind = ENTRY_PUT_EXPIRING;
    entry->value = loam_bytes(buf->data, buf->len);
    return LOAM_OK;
}

/* ---- when to look again ---------------------------------------------------------------------- */

void expiry_schedule(loam_db *db, uint64_t at_ms)
{
    uint64_t due = atomic_load(&db->expiry_due_ms);
    while (at_ms < due && !atomic_compare_exchange_weak(&db->expiry_due_ms, &due, at_ms)) {
    }
}

bool expiry_is_due(loam_db *db)
{
    const uint64_t due = atomic_load_explicit(&db->expiry_due_ms, memory_order_relaxed);
    if (due == UINT64_MAX || expiry_clock_ms(db) < due) return false;
    atomic_store(&db->expiry_due_ms, UINT64_MAX); /* whoever looks schedules the next */
    return true;
}
