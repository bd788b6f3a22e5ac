/*
 * survive.c - which entries a flush or a compaction may leave out; see db.h.
 *
 * An entry E may go only if
 *   (a) a newer entry N of its key passed before it, and nobody reads at a sequence s with E.seq <= s < N.seq; or
 *   (b) E is a tombstone, nobody reads below it (E.seq <= the oldest bound), and no run older than the oldest input covers its
 *       key: then there is nothing left that it hides.
 *   (c) a deletion of a range that holds its key is newer, and nobody reads between the two. The deletion itself stays until no table
 *       holds anything that it hides (db/ranges.c), so an entry that survives elsewhere stays hidden.
 * What an entry dropped by (b) would have hidden among the inputs is dropped by (a), since it counts as passed.
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
    survival->bounds = mem_alloc_array(db->snapshot_count + 1, sizeof(uint64_t));
    if (survival->bounds == NULL) rc = LOAM_NOMEM;
    if (rc == LOAM_OK) {
        for (const loam_snapshot *snap = db->snapshot_oldest; snap != NULL; snap = snap->next)
            survival->bounds[survival->bound_count++] = snap->seq;
        survival->bounds[survival->bound_count++] = atomic_load(&db->visible);
    }
    mutex_unlock(&db->snapshots);
    return rc;
}

void survival_deinit(struct survival *survival)
{
    mem_free(survival->bounds);
    loam_buf_free(&survival->key);
    range_set_unref(survival->covers);
}

/* The first s >= low at which anybody reads; UINT64_MAX: nobody does. Bounds are ascending: snapshots are opened in order of
   visible. */
static uint64_t first_reader(const struct survival *survival, uint64_t low)
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
    return first < survival->bound_count ? survival->bounds[first] : UINT64_MAX;
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

static bool is_spent_tombstone(const struct survival *survival, const struct entry *entry)
{
    if (entry->kind != ENTRY_DELETE || entry->seq > survival->bounds[0]) return false;
    return survival->version == NULL ||
           !version_covers_below(survival->version, survival->level, survival->run_number,
                                 entry->key, entry->key);
}

loam_status survival_ask(struct survival *survival, const struct entry *entry, bool *keep)
{
    const bool same = survival->has_key &&
                      bytes_equal(entry->key, loam_bytes(survival->key.data, survival->key.len));
    if (!same) {
        const loam_status rc = buf_set(&survival->key, entry->key.data, entry->key.len);
        if (rc < 0) return rc;
        survival->has_key = true;
        *keep = !is_spent_tombstone(survival, entry);
    } else {
        check(entry->seq < survival->newer_seq);
        *keep = is_read_between(survival, entry->seq, survival->newer_seq) &&
                !is_spent_tombstone(survival, entry);
    }
    if (*keep && is_covered(survival, entry)) *keep = false;
    survival->newer_seq = entry->seq;
    survival->seen_count++;
    if (!*keep) survival->dropped_count++;
    return LOAM_OK;
}
