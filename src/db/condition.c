/*
 * condition.c - looking and writing in one step; see loam.h.
 *
 * Role: loam_put_if(), loam_delete_if(): a transaction of one key, which reads the newest version there is, visible already or not: the
 *   write will stand behind it in the log.
 * In the picture: db layer; see txn.c for the two halves of validation.
 */
#include "base/hash.h"
#include "base/status.h"
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

/* entry is the newest version of the key, or NULL. */
static bool holds(const loam_if *condition, const struct entry *entry)
{
    const bool is_there = entry != NULL && entry->kind == ENTRY_PUT;
    if (condition->kind == LOAM_IF_ABSENT) return !is_there;
    if (!is_there) return false;
    return condition->kind == LOAM_IF_SEQ ? entry->seq == condition->seq
                                          : bytes_equal(entry->value, condition->value);
}

/* LOAM_OK: it holds; LOAM_CONFLICT. */
static loam_status ask_in(const struct view *view, loam_slice key, const loam_if *condition)
{
    const uint64_t hash = hash_key(key);
    struct table_hit hit;
    struct entry entry;
    for (uint32_t i = 0; i < view->memrun_count; i++)
        if (memtable_get(view->memruns[i]->memtable, key, hash, SEQ_MAX, &entry))
            return holds(condition, &entry) ? LOAM_OK : LOAM_CONFLICT;
    const loam_status rc = version_get(view->version, key, hash, SEQ_MAX, &hit);
    if (rc < 0) return rc;
    const bool answer = holds(condition, rc == LOAM_OK ? &hit.entry : NULL);
    if (rc == LOAM_OK) table_hit_release(&hit);
    return answer ? LOAM_OK : LOAM_CONFLICT;
}

static loam_status ask(loam_db *db, loam_coll *coll, loam_slice key, const loam_if *condition)
{
    const struct epoch_ticket ticket = epoch_enter(db->epoch);
    loam_status rc = ask_in(atomic_load(&coll->view), key, condition);
    const loam_status there = db_check_there(coll);
    epoch_leave(ticket);
    return there < 0 ? there : rc;
}

static loam_status write_if(loam_db *db, loam_coll *coll, const struct entry *entry,
                            const loam_if *condition, uint64_t *seq)
{
    struct reads reads = {0};
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc == LOAM_OK) rc = db_check_entry(entry->key, entry->value);
    if (rc == LOAM_OK) rc = check_condition(condition);
    if (rc == LOAM_OK) rc = reads_add_key(&reads, coll, entry->key);
    if (rc == LOAM_OK) rc = commit_remember(db);
    if (rc < 0) {
        reads_deinit(&reads);
        return rc;
    }
    for (;;) {
        const uint64_t since = commit_last_seq(db);
        rc = ask(db, coll, entry->key, condition);
        if (rc != LOAM_OK) break;
        rc = commit_entry(db, coll, entry, &reads, since, seq);
        /* The key was written between: it is asked again. Somebody else got on, so this ends. */
        if (rc != LOAM_CONFLICT && rc != COMMIT_STALE) break;
    }
    commit_forget(db);
    reads_deinit(&reads);
    return rc;
}

loam_status loam_put_if(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value,
                        const loam_if *condition, uint64_t *seq)
{
    const struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return write_if(db, coll, &entry, condition, seq);
}

loam_status loam_delete_if(loam_db *db, loam_coll *coll, loam_slice key, const loam_if *condition)
{
    const struct entry entry = {.key = key, .kind = ENTRY_DELETE};
    return write_if(db, coll, &entry, condition, NULL);
}
