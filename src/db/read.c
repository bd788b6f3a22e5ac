/*
 * read.c - one key: memtables, newest first, then tables; see db.h.
 *
 * The view is taken before the sequence: whatever a flush or a compaction dropped was already not needed at that sequence.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

/* What a look asks for, and how far it has come. */
struct look {
    loam_slice key;
    uint64_t hash;
    struct merge_source source; /* where, and at which sequence number and time */
    loam_buf *value;            /* may be NULL */
    loam_lookup *lookup;        /* may be NULL: gets what else is known of the entry */
};

static loam_status take_value(const struct look *look, const struct entry *entry)
{
    if (!reader_sees(look->source.clock, entry)) return LOAM_NOTFOUND;
    if (look->lookup != NULL) {
        look->lookup->seq = entry->seq;
        look->lookup->expires_ms = entry_expires_ms(entry);
    }
    if (look->value == NULL) return LOAM_OK;
    if (entry->kind == ENTRY_PUT) return buf_set(look->value, entry->value.data, entry->value.len);
    return merge_read(&look->source, entry, look->value);
}

/* True when a memtable holds the key, and the answer in *rc. */
static bool look_in_memtables(const struct look *look, loam_status *rc)
{
    struct entry entry;
    const struct merge_source *source = &look->source;
    if (!view_get_in_memory(source->view, look->key, look->hash, source->seq, &entry)) return false;
    *rc = take_value(look, &entry);
    return true;
}

static loam_status look_in_tables(const struct look *look)
{
    struct table_hit hit;
    const struct merge_source *source = &look->source;
    loam_status rc = version_get(source->view->version, look->key, look->hash, source->seq, &hit);
    if (rc != LOAM_OK) return rc;
    rc = take_value(look, &hit.entry);
    table_hit_release(&hit);
    return rc;
}

loam_status read_watched(const struct merge_source *source, loam_slice key, loam_lookup *lookup)
{
    struct table_hit hit;
    const struct look look = {key, hash_key(key), *source, &lookup->value, lookup};
    loam_status rc = view_get(source->view, key, look.hash, source->seq, source->watch, &hit);
    if (rc != LOAM_OK) return rc;
    rc = take_value(&look, &hit.entry);
    table_hit_release(&hit);
    return rc;
}

loam_status read_check_key(loam_slice key)
{
    if (key.data == NULL && key.len > 0)
        return failed(LOAM_INVALID, "a slice with a length and no data");
    return key.len > KEY_BYTES_MAX ? LOAM_NOTFOUND : LOAM_OK; /* none that long can be there */
}

loam_status read_check(loam_db *db, loam_coll **coll, const loam_snapshot *snap)
{
    const loam_status rc = db_check_coll(db, coll);
    if (rc == LOAM_OK && snap != NULL && snap->db != db)
        return failed(LOAM_INVALID, "a snapshot of another database");
    return rc;
}

loam_status read_entry(loam_db *db, loam_coll *coll, const loam_snapshot *snap, loam_slice key,
                       loam_buf *value)
{
    loam_status rc = read_check(db, &coll, snap);
    if (rc == LOAM_OK) rc = read_check_key(key);
    if (rc != LOAM_OK) return rc;
    const bool timed = epoch_count(db->epoch) % LATENCY_SAMPLED_OF == 0;
    const uint64_t since_ns = timed ? db_now_ns(db) : 0;
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    const struct view *view = atomic_load(&coll->view);
    const uint64_t seq = snap != NULL ? snap->seq : atomic_load(&db->visible);
    struct reader_clock clock = {db, snap != NULL ? snap->clock_ms : 0};
    const struct look look = {
        key, hash_key(key), {coll, view, seq, NULL, &clock, NULL}, value, NULL};
    rc = db_check_there(coll);
    if (rc == LOAM_OK && !look_in_memtables(&look, &rc)) rc = look_in_tables(&look);
    epoch_leave(ticket);
    latencies_note(&db->get_latencies, db, since_ns);
    return rc;
}

/* ---- many keys ------------------------------------------------------------------------------ */

enum { LOOKS_MAX = 32 }; /* as many misses as may usefully be under way */

/* What is not in memtables is looked for in tables, all of it together. */
static void look_for_all(const struct look *looks, loam_lookup *const *of, size_t count)
{
    const struct look *left[LOOKS_MAX];
    size_t left_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!look_in_memtables(&looks[i], &of[i]->answer)) left[left_count++] = &looks[i];
    for (int what = TABLE_AHEAD_FILTER; what <= TABLE_AHEAD_PAGE; what++)
        for (size_t i = 0; i < left_count; i++)
            version_look_ahead(left[i]->source.view->version, left[i]->key, left[i]->hash,
                               left[i]->source.seq, (enum table_ahead)what);
    for (size_t i = 0; i < left_count; i++)
        of[left[i] - looks]->answer = look_in_tables(left[i]);
}

loam_status loam_multi_get(loam_db *db, loam_coll *coll, const loam_snapshot *snap,
                           loam_lookup *lookups, size_t count, uint32_t flags)
{
    loam_status rc = read_check(db, &coll, snap);
    if (rc < 0) return rc;
    if ((count > 0 && lookups == NULL) || (flags & ~(uint32_t)LOAM_KEYS_ONLY) != 0)
        return failed(LOAM_INVALID, "lookups is NULL, or a flag is unknown");
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    const struct view *view = atomic_load(&coll->view);
    const uint64_t seq = snap != NULL ? snap->seq : atomic_load(&db->visible);
    struct reader_clock clock = {db, snap != NULL ? snap->clock_ms : 0};
    rc = db_check_there(coll);
    for (size_t next = 0; rc != LOAM_MISUSE && next < count;) {
        struct look looks[LOOKS_MAX];
        loam_lookup *of[LOOKS_MAX];
        size_t some = 0;
        for (; next < count && some < LOOKS_MAX; next++) {
            loam_lookup *lookup = &lookups[next];
            loam_buf *value = (flags & LOAM_KEYS_ONLY) != 0 ? NULL : &lookup->value;
            lookup->seq = lookup->expires_ms = 0;
            lookup->answer = read_check_key(lookup->key);
            if (lookup->answer < 0) rc = lookup->answer;
            if (lookup->answer != LOAM_OK) continue;
            looks[some] = (struct look){lookup->key,
                                        hash_key(lookup->key),
                                        {coll, view, seq, NULL, &clock, NULL},
                                        value,
                                        lookup};
            of[some++] = lookup;
        }
        look_for_all(looks, of, some);
        for (size_t i = 0; i < some; i++) {
            if (of[i]->answer < 0) rc = of[i]->answer;
            (void)epoch_count(db->epoch);
        }
    }
    epoch_leave(ticket);
    return rc;
}

/* ---- one key -------------------------------------------------------------------------------- */

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
