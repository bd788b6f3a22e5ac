/*
 * survive.c - which entries a flush or a compaction may leave out; see db.h.
 *
 * An entry E may go only if
 *   (a) a newer entry N of its key passed before it, and nobody reads at a sequence s with E.seq <= s < N.seq; or
 *   (b) E is a tombstone, nobody reads below it (E.seq <= the oldest bound), and no run older than the oldest input covers its
 *       key: then there is nothing left that it hides.
 *   (c) a deletion of a range that holds its key is newer, and nobody reads between the two. The deletion itself stays until no table
 *       holds anything that it hides (db/ranges.c), so an entry that survives elsewhere stays hidden.
 * An entry that has expired by the clock of the first who reads at or above it has expired for all of them, for clocks rise with
 * bounds: it is a tombstone, and so it is treated.
 * What an entry dropped by (b) would have hidden among the inputs is dropped by (a), since it counts as passed.
 *
 * Operands (record/operands.h): one that stays goes on at since - 1, so it counts as somebody who reads there, whoever else does. Therefore
 * it waits: if the entry that it goes on in is read by nobody but it, that becomes a part of it and is dropped, and it goes on where that
 * did, or is a value. What lies between a newer operand that stays and its continuation is never joined with what is below: the
 * newer one reads that, too. Nothing becomes a part of a value that will expire: that goes alone, and leaves the operands.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

loam_status survival_init(struct survival *survival, loam_db *db)
{
    *survival = (struct survival){0};
    loam_status rc = LOAM_OK;
    mutex_lock(&db->snapshots);
    const size_t most = db->snapshot_count + 1;
    survival->bounds = mem_alloc_array(2 * most, sizeof(uint64_t));
    if (survival->bounds == NULL) rc = LOAM_NOMEM;
    if (rc == LOAM_OK) {
        uint64_t *clocks = survival->bounds + most;
        for (const loam_snapshot *snap = db->snapshot_oldest; snap != NULL; snap = snap->next) {
            clocks[survival->bound_count] = snap->clock_ms;
            survival->bounds[survival->bound_count++] = snap->seq;
        }
        survival->bounds[survival->bound_count++] = atomic_load(&db->visible);
        clocks[most - 1] = expiry_reader_clock_ms(db);
        survival->clocks = clocks;
    }
    mutex_unlock(&db->snapshots);
    return rc;
}

void survival_deinit(struct survival *survival)
{
    mem_free(survival->bounds);
    loam_buf_free(&survival->key);
    range_set_unref(survival->covers);
    joining_deinit(&survival->pending.joining);
    loam_buf_free(&survival->pending.key);
    loam_buf_free(&survival->pending.value);
}

/* Of the first bound at or above low; bound_count: none is. Bounds are ascending: snapshots are opened in order of visible. */
static size_t first_reader_at(const struct survival *survival, uint64_t low)
{
    size_t first = 0, count = survival->bound_count;
    while (count > 0) { /* the first bound >= low */
        const size_t half = count / 2;
        if (survival->bounds[first + half] < low) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/* The first s >= low at which anybody reads; UINT64_MAX: nobody does. */
static uint64_t first_reader(const struct survival *survival, uint64_t low)
{
    const size_t first = first_reader_at(survival, low);
    return first < survival->bound_count ? survival->bounds[first] : UINT64_MAX;
}

void survival_expire(const struct survival *survival, struct entry *entry)
{
    if (entry->kind != ENTRY_PUT_EXPIRING || survival->clocks == NULL) return;
    const size_t first = first_reader_at(survival, entry->seq);
    if (first == survival->bound_count || entry_shows(entry, survival->clocks[first])) return;
    entry->kind = ENTRY_DELETE;
    entry->value = loam_bytes(NULL, 0);
}

static bool is_within(uint64_t seq, uint64_t low, uint64_t high)
{
    return seq >= low && seq < high;
}

/* Does anybody read at s with low <= s < high? */
static bool is_read_between(const struct survival *survival, uint64_t low, uint64_t high)
{
    return first_reader(survival, low) < high;
}

/* Who reads at the first s from which on the entry could be seen sees the deletion as well; so do all who read later. */
static bool is_covered(struct survival *survival, const struct entry *entry)
{
    if (survival->covers == NULL) return false;
    const uint64_t seq = first_reader(survival, entry->seq);
    if (survival->cover_seq != seq || !cover_holds(&survival->cover, entry->key)) {
        survival->cover = cover_nothing();
        survival->cover_seq = seq;
        range_set_meet(survival->covers, &survival->cover, entry->key, seq);
    }
    return survival->cover.seq > entry->seq;
}

/* Does anything that is older than all inputs perhaps hold the key? */
static bool is_covered_below(const struct survival *survival, loam_slice key)
{
    return survival->version != NULL &&
           version_covers_below(survival->version, survival->level, survival->run_number, key, key);
}

static bool is_spent_tombstone(const struct survival *survival, const struct entry *entry)
{
    return entry->kind == ENTRY_DELETE && entry->seq <= survival->bounds[0] &&
           !is_covered_below(survival, entry->key);
}

/* ---- operands ----------------------------------------------------------------------------------- */

enum {
    PENDING_BYTES_MAX = 1 << 20
}; /* longer values are left in pieces: each merge would write all of it again */

static loam_status put_pending(struct survival *survival, uint8_t kind)
{
    struct pending_merge *pending = &survival->pending;
    uint8_t head[OPERAND_HEAD_BYTES_MAX];
    const size_t head_bytes = kind == ENTRY_MERGE ? operand_head_put(head, pending->since) : 0;
    loam_slice joined = loam_bytes(NULL, 0);
    loam_status rc = joining_join(&pending->joining, &joined);
    if (rc == LOAM_OK) rc = buf_set(&pending->value, head, head_bytes);
    if (rc == LOAM_OK) rc = buf_append(&pending->value, joined.data, joined.len);
    if (rc < 0) return rc;
    const struct entry entry = {.key = loam_bytes(pending->key.data, pending->key.len),
                                .value = loam_bytes(pending->value.data, pending->value.len),
                                .seq = pending->seq,
                                .kind = kind};
    pending->is_there = false;
    if (kind == ENTRY_MERGE) survival->continued_at = pending->since - 1;
    return survival->put(survival->ctx, &entry);
}

/* No version that came goes on from it: if there is none elsewhere either, it is a value. */
static loam_status end_key(struct survival *survival)
{
    struct pending_merge *pending = &survival->pending;
    survival->continued_at = 0;
    if (!pending->is_there) return LOAM_OK;
    const loam_slice key = loam_bytes(pending->key.data, pending->key.len);
    const bool is_value = survival->merger != NULL && !is_covered_below(survival, key);
    const loam_status rc = put_pending(survival, is_value ? ENTRY_PUT : ENTRY_MERGE);
    survival->continued_at = 0;
    return rc;
}

/* What stays goes out, or waits for what is below. */
static loam_status keep_entry(struct survival *survival, const struct entry *entry)
{
    struct pending_merge *pending = &survival->pending;
    loam_status rc = LOAM_OK;
    loam_slice operand;
    if (pending->is_there) rc = put_pending(survival, ENTRY_MERGE);
    if (rc < 0) return rc;
    if (entry->kind != ENTRY_MERGE) return survival->put(survival->ctx, entry);
    if (!operand_get(entry, &pending->since, &operand))
        return failed(LOAM_CORRUPT, "an operand that begins nowhere");
    joining_begin(&pending->joining, survival->merger);
    rc = joining_add_older(&pending->joining, operand);
    if (rc == LOAM_OK) rc = buf_set(&pending->key, entry->key.data, entry->key.len);
    pending->seq = entry->seq;
    pending->is_there = rc == LOAM_OK;
    return rc;
}

/* The pending operand goes on in this entry, which nobody else reads: it becomes a part of it, if that does not become too long. */
static loam_status join_entry(struct survival *survival, const struct entry *entry, bool *joined)
{
    struct pending_merge *pending = &survival->pending;
    loam_slice operand = entry->value;
    uint64_t since = 0;
    if (entry->kind == ENTRY_MERGE && !operand_get(entry, &since, &operand))
        return failed(LOAM_CORRUPT, "an operand that begins nowhere");
    loam_status rc = joining_has_room(&pending->joining, operand.len, PENDING_BYTES_MAX, joined);
    if (rc == LOAM_OK && *joined) rc = joining_add_older(&pending->joining, operand);
    if (rc < 0 || !*joined) return rc;
    pending->since = since;
    return entry->kind == ENTRY_MERGE ? LOAM_OK : put_pending(survival, ENTRY_PUT);
}

/* ---- entries --------------------------------------------------------------------------------------- */

static loam_status begin_key(struct survival *survival, const struct entry *entry)
{
    const loam_status rc = end_key(survival);
    survival->has_key = true;
    return rc < 0 ? rc : buf_set(&survival->key, entry->key.data, entry->key.len);
}

loam_status survival_take(struct survival *survival, const struct entry *entry)
{
    const struct pending_merge *pending = &survival->pending;
    const bool same = survival->has_key &&
                      bytes_equal(entry->key, loam_bytes(survival->key.data, survival->key.len));
    loam_status rc = same ? LOAM_OK : begin_key(survival, entry);
    if (rc < 0) return rc;
    const uint64_t newer_seq = same ? survival->newer_seq : UINT64_MAX;
    check(entry->seq < newer_seq);
    survival->newer_seq = entry->seq;
    survival->seen_count++;
    const bool is_gone = is_covered(survival, entry);
    const bool is_base = pending->is_there && is_within(pending->since - 1, entry->seq, newer_seq);
    const bool is_read = !same || is_read_between(survival, entry->seq, newer_seq) ||
                         is_within(survival->continued_at, entry->seq, newer_seq);
    bool joined = false;
    if (is_base && survival->merger != NULL && (is_gone || entry->kind == ENTRY_DELETE)) {
        if (is_gone || !is_read) joined = true;
        if (joined) rc = put_pending(survival, ENTRY_PUT);
    } else if (is_base && survival->merger != NULL && !is_read &&
               entry->kind != ENTRY_PUT_EXPIRING) {
        rc = join_entry(survival, entry, &joined);
    }
    const bool keep =
        !joined && !is_gone && (is_read || is_base) && !is_spent_tombstone(survival, entry);
    if (!keep) survival->dropped_count++;
    return rc < 0 || !keep ? rc : keep_entry(survival, entry);
}

loam_status survival_end(struct survival *survival)
{
    return end_key(survival);
}
