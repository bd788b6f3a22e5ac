/*
 * version.c - levels of runs: building, checking and reading them; see version.h.
 */
#include "tree/version.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

/* ---- life ------------------------------------------------------------------------------------ */

struct version *version_new(void)
{
    struct version *version = mem_zalloc(sizeof *version);
    if (version != NULL) atomic_init(&version->refs, 1);
    return version;
}

void version_ref(struct version *version)
{
    atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);
}

void version_unref(struct version *version)
{
    if (version == NULL) return;
    /* Releases this user's reads, and the last one acquires everybody's. */
    if (atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < LEVEL_COUNT; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++)
            run_unref(version->levels[i].runs[k]);
        mem_free(version->levels[i].runs);
    }
    range_set_unref(version->ranges);
    mem_free(version);
}

loam_status version_add_run(struct version *version, uint32_t level_index, struct run *run)
{
    struct level *level = &version->levels[level_index];
    struct run **grown =
        mem_realloc(level->runs, ((size_t)level->run_count + 1) * sizeof(struct run *));
    if (grown == NULL) return LOAM_NOMEM;
    uint32_t at = level->run_count++;
    for (; at > 0 && grown[at - 1]->number < run->number; at--)
        grown[at] = grown[at - 1];
    run_ref(run);
    grown[at] = run;
    level->runs = grown;
    level->bytes += run->bytes;
    return LOAM_OK;
}

/* ---- the runs of a version in order of age, newest first ------------------------------------ */

struct run_place {
    uint32_t level, index;
};

static struct run *run_at(const struct version *version, struct run_place place)
{
    return version->levels[place.level].runs[place.index];
}

/* Moves on to a place that holds a run; false when there is none. */
static bool settle_place(const struct version *version, struct run_place *place)
{
    while (place->level < LEVEL_COUNT && place->index >= version->levels[place->level].run_count)
        *place = (struct run_place){place->level + 1, 0};
    return place->level < LEVEL_COUNT;
}

size_t version_run_count(const struct version *version)
{
    size_t count = 0;
    for (uint32_t i = 0; i < LEVEL_COUNT; i++)
        count += version->levels[i].run_count;
    return count;
}

/* ---- checking -------------------------------------------------------------------------------- */

static loam_status check_newer(const struct run *newer, const struct run *older)
{
    if (newer->seq_min > older->seq_max) return LOAM_OK;
    /* Intervals may cross where a part of the newer run has gone down: then it is for the tables
       that meet. */
    for (uint32_t i = 0; i < newer->table_count; i++) {
        const struct table_ref *ref = &newer->tables[i];
        const struct table_meta *meta = table_meta(ref->table);
        for (uint32_t k = run_find(older, table_ref_smallest(ref));
             k < older->table_count && !table_ref_before(ref, &older->tables[k]); k++) {
            const struct table_meta *below = table_meta(older->tables[k].table);
            if (meta->seq_min <= below->seq_max)
                return failed(LOAM_CORRUPT,
                              "run %" PRIu64 ": table %016" PRIx64 " is not newer than %016" PRIx64
                              " of run %" PRIu64,
                              newer->number, meta->uid, below->uid, older->number);
        }
    }
    return LOAM_OK;
}

static loam_status check_against_older(const struct version *version, struct run_place place)
{
    const struct run *run = run_at(version, place);
    for (place.index++; settle_place(version, &place); place.index++) {
        const loam_status rc = check_newer(run, run_at(version, place));
        if (rc < 0) return rc;
    }
    return LOAM_OK;
}

loam_status version_check(const struct version *version)
{
    loam_status rc = LOAM_OK;
    if (version->levels[LEVEL_LAST].run_count > 1)
        return failed(LOAM_CORRUPT, "the last level holds %u runs",
                      version->levels[LEVEL_LAST].run_count);
    for (struct run_place place = {0, 0}; rc == LOAM_OK && settle_place(version, &place);
         place.index++) {
        const struct level *level = &version->levels[place.level];
        if (place.index > 0 &&
            level->runs[place.index - 1]->number <= level->runs[place.index]->number)
            return failed(LOAM_CORRUPT, "level %u: two runs with number %" PRIu64, place.level,
                          level->runs[place.index]->number);
        rc = run_check(level->runs[place.index]);
        if (rc == LOAM_OK) rc = check_against_older(version, place);
    }
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The table of a run that may hold the key at seq; NULL: none may. */
static struct table *table_for(const struct run *run, loam_slice key, uint64_t seq)
{
    return run->seq_min > seq ? NULL : run_table_for(run, key);
}

/* Of the newest deletion of a range that holds the key; 0: there is none. */
static uint64_t cover_seq_of(const struct version *version, loam_slice key, uint64_t seq)
{
    struct cover cover = cover_nothing();
    if (version->ranges == NULL) return 0;
    range_set_meet(version->ranges, &cover, key, seq);
    return cover.seq;
}

static void tell_run(struct watch *watch, uint32_t level, const struct run *run,
                     const struct table *table, const struct entry *found)
{
    watch->tell(watch,
                &(struct watch_step){
                    .kind = WATCH_RUN, .of = run, .level = level, .table = table, .found = found});
}

static void tell_skip(struct watch *watch, uint32_t level, const struct run *run, uint64_t seq,
                      uint64_t covered)
{
    enum watch_skip skip = SKIP_OUTSIDE;
    if (run->seq_min > seq) skip = SKIP_NEWER;
    if (run->seq_max < covered) skip = SKIP_DELETED;
    watch->tell(watch,
                &(struct watch_step){.kind = WATCH_RUN, .of = run, .level = level, .skip = skip});
}

WATCHED loam_status get_from_runs(const struct version *version, loam_slice key, uint64_t hash,
                                  uint64_t seq, struct watch *watch, struct table_hit *hit)
{
    const uint64_t covered = cover_seq_of(version, key, seq);
    if (watch != NULL && covered > 0)
        watch->tell(watch, &(struct watch_step){.kind = WATCH_RANGE, .number = covered});
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        const struct run *run = run_at(version, place);
        struct table *table = run->seq_max < covered ? NULL : table_for(run, key, seq);
        if (table == NULL) {
            if (watch != NULL) tell_skip(watch, place.level, run, seq, covered);
            continue;
        }
        const loam_status rc = watch != NULL ? table_get_watched(table, key, hash, seq, watch, hit)
                                             : table_get(table, key, hash, seq, hit);
        if (watch != NULL)
            tell_run(watch, place.level, run, table, rc == LOAM_OK ? &hit->entry : NULL);
        if (rc == LOAM_NOTFOUND) continue;
        if (rc < 0 || hit->entry.seq > covered) return rc;
        table_hit_release(hit);
        break;
    }
    if (covered == 0) return LOAM_NOTFOUND;
    *hit = (struct table_hit){.entry = {.key = key, .seq = covered, .kind = ENTRY_DELETE}};
    return LOAM_OK;
}

loam_status version_get(const struct version *version, loam_slice key, uint64_t hash, uint64_t seq,
                        struct table_hit *hit)
{
    return get_from_runs(version, key, hash, seq, NULL, hit);
}

loam_status version_get_watched(const struct version *version, loam_slice key, uint64_t hash,
                                uint64_t seq, struct watch *watch, struct table_hit *hit)
{
    return get_from_runs(version, key, hash, seq, watch, hit);
}

loam_status version_newer_key(const struct version *version, loam_slice key, uint64_t hash,
                              uint64_t since)
{
    if (cover_seq_of(version, key, SEQ_MAX) > since) return LOAM_CONFLICT;
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        struct table_hit hit;
        struct table *table = table_for(run_at(version, place), key, SEQ_MAX);
        if (table == NULL || table_meta(table)->seq_max <= since) continue;
        loam_status rc = table_get(table, key, hash, SEQ_MAX, &hit);
        if (rc == LOAM_NOTFOUND) continue;
        if (rc == LOAM_OK) {
            rc = hit.entry.seq > since ? LOAM_CONFLICT : LOAM_OK;
            table_hit_release(&hit);
        }
        return rc;
    }
    return LOAM_OK;
}

loam_status version_newer_in(const struct version *version, loam_slice from, const loam_slice *to,
                             uint64_t since)
{
    loam_status rc =
        range_set_holds(version->ranges, from, to, since, SEQ_MAX) ? LOAM_CONFLICT : LOAM_OK;
    for (struct run_place place = {0, 0}; rc == LOAM_OK && settle_place(version, &place);
         place.index++)
        rc = run_newer_in(run_at(version, place), from, to, since);
    return rc;
}

loam_status version_estimate(const struct version *version, loam_slice from, loam_slice to,
                             uint64_t covered, struct amount *sum)
{
    loam_status rc = LOAM_OK;
    for (struct run_place place = {0, 0}; rc == LOAM_OK && settle_place(version, &place);
         place.index++)
        rc = run_estimate(run_at(version, place), from, to, covered, sum);
    return rc;
}

void version_look_ahead(const struct version *version, loam_slice key, uint64_t hash, uint64_t seq,
                        enum table_ahead what)
{
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        struct table *table = table_for(run_at(version, place), key, seq);
        if (table != NULL) table_look_ahead(table, key, hash, what);
    }
}

loam_status version_iters(const struct version *version, unsigned flags,
                          const struct cover_source *source, struct iter **iters)
{
    size_t count = 0;
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        const loam_status rc = run_iter_new(run_at(version, place), flags, source, &iters[count]);
        if (rc < 0) {
            while (count > 0)
                iter_close(iters[--count]);
            return rc;
        }
        count++;
    }
    return LOAM_OK;
}

/* ---- what deletions of ranges hide ---- */

bool version_wants_range(const struct version *version, const struct range *range)
{
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        const struct run *run = run_at(version, place);
        if (run->seq_min > range->seq) continue;
        for (uint32_t i = run_find(run, range->from); i < run->table_count; i++) {
            const struct table_meta *meta = table_meta(run->tables[i].table);
            if (range->to.len > 0 &&
                bytes_compare(table_ref_smallest(&run->tables[i]), range->to) >= 0)
                break;
            if (meta->seq_min < range->seq && meta->swept_seq < range->seq) return true;
        }
    }
    return false;
}

bool version_is_unswept(const struct version *version, const struct table_ref *ref,
                        uint64_t oldest_seq)
{
    const struct table_meta *meta = table_meta(ref->table);
    const uint64_t above = meta->swept_seq > meta->seq_min ? meta->swept_seq : meta->seq_min;
    const bool is_cut = ref->to.len > 0 && bytes_compare(ref->to, meta->largest) < 0;
    return range_set_holds(version->ranges, table_ref_smallest(ref),
                           is_cut ? &ref->to : &meta->largest, above, oldest_seq);
}

struct version_reader {
    const struct version *version;
    uint64_t seq;
};

static struct cover ask_version(const void *ctx, loam_slice key)
{
    const struct version_reader *reader = ctx;
    struct cover cover = cover_nothing();
    range_set_meet(reader->version->ranges, &cover, key, reader->seq);
    return cover;
}

static bool run_covers(const struct run *run, loam_slice smallest, loam_slice largest)
{
    const uint32_t at = run_find(run, smallest);
    return at < run->table_count &&
           bytes_compare(table_ref_smallest(&run->tables[at]), largest) <= 0;
}

bool version_covers_below(const struct version *version, uint32_t level, uint64_t run_number,
                          loam_slice smallest, loam_slice largest)
{
    for (struct run_place place = {level, 0}; settle_place(version, &place); place.index++) {
        const struct run *run = run_at(version, place);
        if (place.level == level && run->number >= run_number) continue;
        if (run_covers(run, smallest, largest)) return true;
    }
    return false;
}

/* ---- what nobody sees ---- */

bool version_expires(const struct version *version)
{
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++)
        if (run_at(version, place)->expiring_count > 0) return true;
    return false;
}

/* All of it has expired for whoever reads, and nothing older would come to light without it. */
static bool is_expired(const struct version *version, struct run_place place,
                       const struct table_ref *ref, struct horizon horizon)
{
    const struct table_meta *meta = table_meta(ref->table);
    return meta->expiring_count == meta->entry_count && meta->expires_last_ms <= horizon.clock_ms &&
           meta->seq_max <= horizon.seq &&
           !version_covers_below(version, place.level, run_at(version, place)->number,
                                 table_ref_smallest(ref), meta->largest);
}

loam_status version_each_gone(const struct version *version, struct horizon horizon,
                              loam_status (*each)(void *ctx, uint32_t level, const struct run *run,
                                                  const struct table_ref *ref),
                              void *ctx)
{
    const struct version_reader reader = {version, horizon.seq};
    const struct cover_source source = {ask_version, &reader};
    loam_status rc = LOAM_OK;
    for (struct run_place place = {0, 0}; settle_place(version, &place); place.index++) {
        const struct run *run = run_at(version, place);
        if (version->ranges == NULL && run->expiring_count == 0) continue;
        for (uint32_t i = 0; rc == LOAM_OK && i < run->table_count; i++)
            if ((version->ranges != NULL && table_ref_is_hidden(&run->tables[i], &source)) ||
                is_expired(version, place, &run->tables[i], horizon))
                rc = each(ctx, place.level, run, &run->tables[i]);
    }
    return rc;
}
