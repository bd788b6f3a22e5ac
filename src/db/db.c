/*
 * db.c - what every file of this folder asks of an open database: may I, what time is it, what number comes next; see db.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

enum { LOG_LINE_BYTES = 600 };

/* ---- may I ----------------------------------------------------------------------------------- */

loam_status db_check(const loam_db *db)
{
    if (db == NULL) return failed(LOAM_INVALID, "the database is NULL");
    if (store_is_child(db->store))
        return failed(LOAM_MISUSE, "this database was opened before fork(); open it in the child");
    return LOAM_OK;
}

static loam_status why_shut(const loam_coll *coll)
{
    if (atomic_load_explicit(&coll->dropped, memory_order_relaxed))
        return failed(LOAM_MISUSE, "the collection has been dropped");
    return failed(LOAM_INVALID,
                  "the collection's merge operator \"%s\" is not among the merge_operators of "
                  "loam_options",
                  coll->merge_operator);
}

static inline loam_status take_coll(loam_db *db, loam_coll **coll)
{
    const loam_status rc = db_check(db);
    if (rc < 0) return rc;
    if (*coll == NULL) *coll = db->default_coll;
    if ((*coll)->db != db) return failed(LOAM_INVALID, "a collection of another database");
    return LOAM_OK;
}

loam_status db_check_handle(loam_db *db, loam_coll **coll)
{
    const loam_status rc = take_coll(db, coll);
    if (rc < 0) return rc;
    return atomic_load_explicit(&(*coll)->dropped, memory_order_relaxed) ? why_shut(*coll)
                                                                         : LOAM_OK;
}

loam_status db_check_coll(loam_db *db, loam_coll **coll)
{
    const loam_status rc = take_coll(db, coll);
    return rc < 0 ? rc : db_check_there(*coll);
}

loam_status db_check_there(const loam_coll *coll)
{
    /* Acquire: whoever sees it sees why. */
    return atomic_load_explicit(&coll->is_shut, memory_order_acquire) ? why_shut(coll) : LOAM_OK;
}

loam_status db_check_entry(const struct entry *entry)
{
    const loam_slice key = entry->key, value = entry_value(entry);
    const uint32_t value_most = entry->kind == ENTRY_MERGE ? OPERAND_BYTES_MAX : VALUE_BYTES_MAX;
    if ((key.data == NULL && key.len > 0) || (value.data == NULL && value.len > 0))
        return failed(LOAM_INVALID, "a slice with a length and no data");
    if (key.len > KEY_BYTES_MAX)
        return failed(LOAM_TOOBIG, "a key of %zu bytes; at most %u are allowed", key.len,
                      KEY_BYTES_MAX);
    if (value.len > value_most)
        return failed(LOAM_TOOBIG, "a value of %zu bytes; at most %u are allowed", value.len,
                      value_most);
    return LOAM_OK;
}

/* ---- becoming read-only ------------------------------------------------------------------------- */

loam_status db_fence(loam_db *db, loam_status rc)
{
    mutex_lock(&db->fence_lock);
    const bool first = atomic_load(&db->fenced) == LOAM_OK;
    if (first) {
        failed_keep(db->fence_text, sizeof db->fence_text);
        atomic_store(&db->fenced, rc);
    }
    mutex_unlock(&db->fence_lock);
    if (first) db_log(db, LOAM_LOG_ERROR, "read-only from now on: %s", db->fence_text);
    return rc;
}

loam_status db_writable(loam_db *db)
{
    if (db->options.read_only)
        return failed(LOAM_READONLY, "%s was opened read-only", store_path(db->store));
    if (atomic_load_explicit(&db->fenced, memory_order_acquire) == LOAM_OK) return LOAM_OK;
    return failed(LOAM_READONLY,
                  "read-only since a failure (%s); close and open the database again",
                  db->fence_text);
}

/* ---- saying, time, numbers ---------------------------------------------------------------------- */

void db_log(const loam_db *db, loam_log_level level, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list args;
    if (db->options.log == NULL) return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    db->options.log(db->options.log_ctx, level, line);
}

uint64_t db_now_ms(const loam_db *db)
{
    return db->sys.calls->wall_ms(db->sys.ctx);
}

uint64_t db_now_ns(const loam_db *db)
{
    return db->sys.calls->mono_ns(db->sys.ctx);
}

loam_status db_random_u64(const loam_db *db, uint64_t *out)
{
    const int error = db->sys.calls->random(db->sys.ctx, out, sizeof *out);
    return error < 0 ? failed_errno(-error, "random numbers from the system") : LOAM_OK;
}

struct object_id db_new_object(loam_db *db)
{
    return (struct object_id){db->object_epoch, atomic_fetch_add(&db->next_object, 1) + 1};
}

uint64_t db_log_bound(const loam_db *db)
{
    const uint64_t unit = db->options.memtable_bytes, least = store_log_bytes_least(db->store);
    return LOG_MEMTABLES_MAX * (unit > least ? unit : least);
}

bool db_log_is_long(const loam_db *db)
{
    return wal_needed_bytes(db->wal) > db_log_bound(db);
}

uint64_t db_next_run(loam_db *db)
{
    mutex_lock(&db->manifest_lock);
    const uint64_t run = db->next_run++;
    mutex_unlock(&db->manifest_lock);
    return run;
}

loam_status db_counters_to_edit(loam_db *db, struct edit *edit, uint64_t change_seq)
{
    const struct catalog_counters was = catalog_counters(db->catalog);
    const struct change change = {
        .tag = CHANGE_COUNTERS,
        .next_coll = db->next_coll,
        .next_run = db->next_run,
        .seq = change_seq > was.change_seq ? change_seq : was.change_seq,
        .time_ms = expiry_clock_ms(db),
    };
    return edit_add(edit, &change);
}
