/*
 * condition.c - looking and writing in one step; see loam.h.
 *
 * Role: loam_put_if(), loam_delete_if(): a transaction of one key, which reads the newest version there is, visible already or not: the
 *   write will stand behind it in the log.
 * In the picture: db layer; see txn.c for the two halves of validation.
 */
#include "base/hash.h"
#include "base/status.h"
#include "db/merges.h"
#include "db/reads.h"

#include "base/poison.h"

static loam_status check_condition(const loam_if *condition)
{
    if (condition == NULL) return failed(LOAM_INVALID, "the condition is NULL");
    switch (condition->kind) {
    case LOAM_IF_ABSENT:
    case LOAM_IF_SEQ:
        return LOAM_OK;
    case LOAM_IF_EQUAL:
        if (condition->value.data == NULL && condition->value.len > 0)
            return failed(LOAM_INVALID, "a slice with a length and no data");
        return LOAM_OK;
    }
    return failed(LOAM_INVALID, "condition %d is none", (int)condition->kind);
}

/* entry is the newest version of the key; LOAM_OK: it holds; LOAM_CONFLICT. */
static loam_status compare_value(const struct merge_source *source, const struct entry *entry,
                                 loam_slice wanted)
{
    loam_buf value = {0};
    loam_status rc = merge_read(source, entry, &value);
    if (rc == LOAM_OK && !bytes_equal(loam_bytes(value.data, value.len), wanted))
        rc = LOAM_CONFLICT;
    loam_buf_free(&value);
    return rc;
}

static loam_status holds(const struct merge_source *source, const struct entry *entry,
                         const loam_if *condition)
{
    const bool is_there = reader_sees(source->clock, entry);
    if (condition->kind == LOAM_IF_ABSENT) return is_there ? LOAM_CONFLICT : LOAM_OK;
    if (!is_there) return LOAM_CONFLICT;
    if (condition->kind == LOAM_IF_SEQ)
        return entry->seq == condition->seq ? LOAM_OK : LOAM_CONFLICT;
    if (entry->kind == ENTRY_MERGE) return compare_value(source, entry, condition->value);
    return bytes_equal(entry_value(entry), condition->value) ? LOAM_OK : LOAM_CONFLICT;
}

static loam_status ask(loam_db *db, loam_coll *coll, loam_slice key, const loam_if *condition)
{
    struct table_hit hit;
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    struct reader_clock clock = {.db = db};
    const struct merge_source source = {
        .coll = coll, .view = atomic_load(&coll->view), .seq = SEQ_MAX, .clock = &clock};
    loam_status rc = view_get(source.view, key, hash_key(key), SEQ_MAX, NULL, &hit);
    if (rc == LOAM_OK) {
        rc = holds(&source, &hit.entry, condition);
        table_hit_release(&hit);
    } else if (rc == LOAM_NOTFOUND) {
        const struct entry nothing = {.kind = ENTRY_DELETE};
        rc = holds(&source, &nothing, condition);
    }
    const loam_status there = db_check_there(coll);
    epoch_leave(ticket);
    return there < 0 ? there : rc;
}

/* A put with a ttl of its own, or its collection's; or a deletion. */
struct wish {
    struct entry entry;
    uint64_t ttl_ms;
};

static loam_status write_if(loam_db *db, loam_coll *coll, const struct wish *wish,
                            const loam_if *condition, uint64_t *seq)
{
    struct reads reads = {0};
    struct entry stamped = wish->entry, *const entry = &stamped;
    loam_buf buf = {0};
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc == LOAM_OK) rc = db_check_entry(entry);
    if (rc == LOAM_OK) rc = check_condition(condition);
    if (rc == LOAM_OK) rc = expiry_stamp(coll, wish->ttl_ms, entry, &buf);
    if (rc == LOAM_OK) rc = reads_add_key(&reads, coll, entry->key);
    if (rc == LOAM_OK) rc = commit_remember(db);
    if (rc < 0) goto out;
    for (;;) {
        struct commit_wish checked = {&reads, commit_last_seq(db), NULL, NULL};
        checked.seq = seq;
        rc = ask(db, coll, entry->key, condition);
        if (rc != LOAM_OK) break;
        rc = commit_entry(db, coll, entry, &checked);
        /* The key was written between: it is asked again. Somebody else got on, so this ends. */
        if (rc != LOAM_CONFLICT && rc != COMMIT_STALE) break;
    }
    commit_forget(db);
out:
    reads_deinit(&reads);
    loam_buf_free(&buf);
    return rc;
}

loam_status loam_put_if(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value,
                        const loam_if *condition, uint64_t *seq)
{
    const struct wish wish = {{.key = key, .value = value, .kind = ENTRY_PUT}, TTL_OF_COLL};
    return write_if(db, coll, &wish, condition, seq);
}

/* All of loam_put_if's, and a time. NOLINTNEXTLINE(readability-function-size) */
loam_status loam_put_if_ttl(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value,
                            uint64_t ttl_ms, const loam_if *condition, uint64_t *seq)
{
    const struct wish wish = {{.key = key, .value = value, .kind = ENTRY_PUT}, ttl_capped(ttl_ms)};
    return write_if(db, coll, &wish, condition, seq);
}

loam_status loam_delete_if(loam_db *db, loam_coll *coll, loam_slice key, const loam_if *condition)
{
    const struct wish wish = {.entry = {.key = key, .kind = ENTRY_DELETE}};
    return write_if(db, coll, &wish, condition, NULL);
}
