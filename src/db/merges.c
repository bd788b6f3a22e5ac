/*
 * merges.c - operands on their way in and out; see merges.h.
 */
#include "db/merges.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include "base/poison.h"

/* ---- operators ---------------------------------------------------------------------------------- */

static loam_status take_operator(loam_db *db, const loam_merge_operator *given)
{
    if (given->name == NULL || !operator_name_holds(loam_str(given->name)) ||
        given->combine == NULL)
        return failed(LOAM_INVALID, "a merge operator has a name, which is 1 to 63 bytes of a-z, "
                                    "0-9 and _, and combine");
    if (operator_find(db, given->name) != NULL)
        return failed(LOAM_INVALID, "a merge operator \"%s\" is built in or given already",
                      given->name);
    loam_merge_operator *taken = &db->operators[db->operator_count];
    *taken = *given;
    taken->name = mem_copy(given->name, strlen(given->name) + 1);
    if (taken->name == NULL) return LOAM_NOMEM;
    db->operator_count++;
    return LOAM_OK;
}

loam_status operators_init(loam_db *db, const loam_options *options)
{
    const size_t count = options->merge_operator_count;
    loam_status rc = LOAM_OK;
    if (count == 0) return LOAM_OK;
    if (options->merge_operators == NULL)
        return failed(LOAM_INVALID, "merge_operators is NULL, and merge_operator_count is not 0");
    db->operators = mem_alloc_array(count, sizeof *db->operators);
    if (db->operators == NULL) return LOAM_NOMEM;
    for (size_t i = 0; rc == LOAM_OK && i < count; i++)
        rc = take_operator(db, &options->merge_operators[i]);
    return rc;
}

void operators_deinit(loam_db *db)
{
    for (size_t i = 0; i < db->operator_count; i++)
        /* A copy of ours behind a public const. NOLINTNEXTLINE(performance-no-int-to-ptr) */
        mem_free((void *)(uintptr_t)db->operators[i].name);
    mem_free(db->operators);
}

const loam_merge_operator *operator_find(const loam_db *db, const char *name)
{
    for (size_t i = 0; i < db->operator_count; i++)
        if (strcmp(db->operators[i].name, name) == 0) return &db->operators[i];
    return operator_built_in(name);
}

static loam_status has_no_operator(loam_coll *coll)
{
    char name[COLL_NAME_ROOM];
    coll_tell_name(coll, name);
    return failed(LOAM_INVALID,
                  "\"%s\" has no merge operator; set one with loam_coll_options_set()", name);
}

loam_status merge_check(loam_coll *coll, bool has_odd)
{
    const loam_merge_operator *merger = coll_operator(coll);
    if (coll->db->takes_any_operand) return LOAM_OK;
    if (merger == NULL) return has_no_operator(coll);
    if (has_odd && operator_wants_i64(merger))
        return failed(LOAM_INVALID, "an operand of %s has 8 bytes", merger->name);
    return LOAM_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* Joins an operand with the newest version, if there is room in `joined`. A join on a value, or on nothing, is a put; a value that
   expires is left to those who read, each at his time. */
static void join_with_newest(const loam_merge_operator *merger, const struct entry *newest,
                             struct entry *entry, uint64_t *since, uint8_t *joined)
{
    loam_slice older = newest->value;
    uint64_t older_since = 0;
    if (newest->kind == ENTRY_DELETE) {
        entry->kind = ENTRY_PUT;
        return;
    }
    if (newest->kind == ENTRY_MERGE) check(operand_get(newest, &older_since, &older));
    if (newest->kind == ENTRY_PUT_EXPIRING) return;
    if (older.len + entry->value.len > JOINED_BYTES_MAX) return;
    const size_t len = merger->combine(merger->ctx, older, entry->value, joined);
    check(len <= older.len + entry->value.len);
    entry->value = loam_bytes(joined, len);
    entry->kind = newest->kind;
    *since = older_since;
}

static void add_operand(const loam_merge_operator *merger, struct memtable *memtable,
                        struct entry entry, uint64_t hash, struct memtable_near near)
{
    uint8_t joined[JOINED_BYTES_MAX];
    uint64_t since = entry.seq;
    struct entry newest;
    if (merger != NULL && memtable_newest(memtable, entry.key, near, &newest))
        join_with_newest(merger, &newest, &entry, &since, joined);
    if (entry.kind == ENTRY_MERGE)
        memtable_add_merge(memtable, &entry, since, hash, near);
    else
        memtable_add(memtable, &entry, hash, near);
}

void merge_add_other(const loam_coll *coll, struct memtable *memtable, const struct entry *entry,
                     uint64_t hash, struct memtable_near near)
{
    if (entry->kind == ENTRY_DELETE_RANGE)
        memtable_add_range(memtable, entry);
    else
        add_operand(coll_operator(coll), memtable, *entry, hash, near);
}

/* ---- reading -------------------------------------------------------------------------------------- */

/* The newest version at seq: LOAM_OK and *hit to release, LOAM_NOTFOUND, or a failure. */
static loam_status find_version(const struct merge_source *source, loam_slice key, uint64_t hash,
                                uint64_t seq, struct table_hit *hit)
{
    *hit = (struct table_hit){.owned = NULL};
    if (source->own != NULL && memtable_get(source->own, key, hash, seq, &hit->entry))
        return LOAM_OK;
    return view_get(source->view, key, hash, seq < source->seq ? seq : source->seq, source->watch,
                    hit);
}

static loam_status gather_operand(struct joining *joining, const struct entry *entry,
                                  uint64_t *since)
{
    loam_slice operand = entry_value(entry);
    bool has_room = true;
    *since = 0;
    if (entry->kind == ENTRY_MERGE && !operand_get(entry, since, &operand))
        return failed(LOAM_CORRUPT, "an operand that begins nowhere");
    loam_status rc = joining_has_room(joining, operand.len, (size_t)2 * VALUE_BYTES_MAX, &has_room);
    if (rc == LOAM_OK && !has_room) rc = failed(LOAM_TOOBIG, "a merged value of more than 1 GiB");
    return rc < 0 ? rc : joining_add_older(joining, operand);
}

/* From the newest operand back to a value, a tombstone or nothing. */
static loam_status gather_operands(const struct merge_source *source, const struct entry *newest,
                                   struct joining *joining)
{
    const uint64_t hash = hash_key(newest->key);
    uint64_t since;
    loam_status rc = gather_operand(joining, newest, &since);
    while (rc == LOAM_OK && since > 0) {
        struct table_hit hit;
        rc = find_version(source, newest->key, hash, since - 1, &hit);
        if (rc != LOAM_OK) break;
        since = 0;
        if (reader_sees(source->clock, &hit.entry))
            rc = gather_operand(joining, &hit.entry, &since);
        if (source->watch != NULL)
            source->watch->tell(source->watch,
                                &(struct watch_step){.kind = WATCH_VERSION, .found = &hit.entry});
        table_hit_release(&hit);
    }
    return rc < 0 ? rc : LOAM_OK;
}

loam_status merge_read(const struct merge_source *source, const struct entry *newest,
                       loam_buf *value)
{
    struct joining joining = {.merger = coll_operator(source->coll)};
    loam_slice joined = loam_bytes(NULL, 0);
    if (newest->kind != ENTRY_MERGE) {
        const loam_slice known = entry_value(newest);
        return buf_set(value, known.data, known.len);
    }
    if (joining.merger == NULL) return has_no_operator(source->coll);
    loam_status rc = gather_operands(source, newest, &joining);
    if (rc == LOAM_OK) rc = joining_join(&joining, &joined);
    if (rc == LOAM_OK && joined.len > VALUE_BYTES_MAX)
        rc = failed(LOAM_TOOBIG, "a merged value of more than 1 GiB");
    if (rc == LOAM_OK) rc = buf_set(value, joined.data, joined.len);
    joining_deinit(&joining);
    return rc;
}
