/*
 * pick.c - what to merge next; see pick.h.
 *
 * In order: a level over its bound; a slice of what waits; tombstones; and, when idle, towards one
 * run. The first is decided on bytes and counts of levels alone (struct shape), so that the debt
 * can be computed by carrying the plans out on them.
 */
#include "tree/pick.h"

#include "base/bytes.h"
#include "base/check.h"

#include "base/poison.h"

enum { IDLE_RATIO = 16 };

/* Deletions of ranges are many when their numbers are more than these, but at most RANGES_MOST: what
   they cost in memory, and what rewriting tables for them costs, are in proportion then. */
enum { RANGES_MANY = 1024, BYTES_PER_RANGE = 8192, RANGES_MOST = 1 << 16 };

/* A table of which some entries have expired is looked at so many times until all have, but not more often than this. */
enum { EXPIRY_LOOKS = 16, EXPIRY_STEP_MS = 1000 };

struct shape {
    struct {
        uint32_t run_count;
        uint64_t bytes;
    } levels[LEVEL_COUNT];
};

static struct shape shape_of(const struct version *version)
{
    struct shape shape;
    for (uint32_t i = 0; i < LEVEL_COUNT; i++) {
        shape.levels[i].run_count = version->levels[i].run_count;
        shape.levels[i].bytes = version->levels[i].bytes;
    }
    return shape;
}

static uint64_t upper_bytes(const struct shape *shape)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < LEVEL_WAITING; i++)
        bytes += shape->levels[i].bytes;
    return bytes;
}

static bool has_upper(const struct version *version)
{
    for (uint32_t i = 0; i < LEVEL_WAITING; i++)
        if (version->levels[i].run_count > 0) return true;
    return false;
}

/* What the last level will be when nothing waits any more. */
static uint64_t lower_bytes(const struct shape *shape)
{
    return shape->levels[LEVEL_WAITING].bytes + shape->levels[LEVEL_LAST].bytes;
}

static struct plan plan_lower(const char *reason)
{
    return (struct plan){.kind = PLAN_LOWER, .reason = reason};
}

/* ---- a level over its bound ------------------------------------------------------------------ */

/* Is the last level the place for what leaves this one? Not while others wait to get there: their runs would pile up. */
static bool goes_to_last(const struct shape *shape, uint32_t level, uint32_t last_ratio)
{
    if (level + 1 == LEVEL_WAITING) return true;
    if (shape->levels[LEVEL_WAITING].run_count > 0) return false;
    if (lower_bytes(shape) > 0) return upper_bytes(shape) >= lower_bytes(shape) / last_ratio;
    for (uint32_t deeper = level + 1; deeper < LEVEL_WAITING; deeper++)
        if (shape->levels[deeper].run_count > 0) return false;
    return true;
}

static struct plan plan_overfull(const struct shape *shape, const struct pick_policy *policy)
{
    uint32_t level = 0;
    while (level < LEVEL_WAITING && shape->levels[level].run_count <= policy->runs_per_level)
        level++;
    if (level == LEVEL_WAITING) return (struct plan){.kind = PLAN_NOTHING};
    if (goes_to_last(shape, level, policy->last_ratio))
        return plan_lower("a level is full, and the last is due");
    return (struct plan){.kind = PLAN_JOIN,
                         .level = level,
                         .input_bytes = shape->levels[level].bytes,
                         .reason = "a level is full"};
}

/* As if nothing were dropped. */
static void carry_out(struct shape *shape, const struct plan *plan)
{
    const bool lowers = plan->kind == PLAN_LOWER;
    const uint32_t from = lowers ? 0 : plan->level, to = lowers ? LEVEL_WAITING : plan->level + 1;
    for (uint32_t i = from; i < to; i++) {
        shape->levels[to].run_count += lowers ? shape->levels[i].run_count : 0;
        shape->levels[to].bytes += shape->levels[i].bytes;
        shape->levels[i].run_count = 0;
        shape->levels[i].bytes = 0;
    }
    shape->levels[to].run_count += !lowers;
}

/* ---- slices ---------------------------------------------------------------------------------- */

/* The least key that waits. */
static loam_slice waiting_front(const struct level *waiting)
{
    loam_slice front = table_ref_smallest(&waiting->runs[0]->tables[0]);
    for (uint32_t i = 1; i < waiting->run_count; i++) {
        const loam_slice smallest = table_ref_smallest(&waiting->runs[i]->tables[0]);
        if (bytes_compare(smallest, front) < 0) front = smallest;
    }
    return front;
}

/* Walks the begins of tables behind `front` in the order of keys, runs of what waits and of the last
   level together; a table counts when the next one of its run begins. */
struct cut_walk {
    const struct version *version;
    loam_slice front, at;
    uint64_t passed_bytes;
};

static const struct run *walked_run(const struct version *version, uint32_t number)
{
    const struct level *waiting = &version->levels[LEVEL_WAITING];
    if (number < waiting->run_count) return waiting->runs[number];
    return number - waiting->run_count < version->levels[LEVEL_LAST].run_count
               ? version->levels[LEVEL_LAST].runs[0]
               : NULL;
}

/* The first table of the run that begins behind key; table_count if none does. */
static uint32_t first_behind(const struct run *run, loam_slice key)
{
    uint32_t first = run_find(run, key);
    if (first < run->table_count &&
        bytes_compare(table_ref_smallest(&run->tables[first]), key) <= 0)
        first++;
    return first;
}

/* The next begin of a table, to walk->at; false when there is none. */
static bool next_cut(struct cut_walk *walk)
{
    const struct run *run;
    bool found = false;
    loam_slice least = {0};
    for (uint32_t i = 0; (run = walked_run(walk->version, i)) != NULL; i++) {
        const uint32_t next = first_behind(run, walk->at);
        if (next == run->table_count) continue;
        const loam_slice smallest = table_ref_smallest(&run->tables[next]);
        if (found && bytes_compare(smallest, least) >= 0) continue;
        least = smallest;
        found = true;
    }
    if (!found) return false;
    walk->at = least;
    walk->passed_bytes = 0;
    for (uint32_t i = 0; (run = walked_run(walk->version, i)) != NULL; i++) {
        const uint32_t behind = first_behind(run, least);
        for (uint32_t t = run_find(run, walk->front); t + 1 < behind; t++)
            walk->passed_bytes += run->tables[t].bytes;
    }
    return true;
}

static struct plan plan_slice(const struct version *version, uint64_t slice_bytes)
{
    const struct level *waiting = &version->levels[LEVEL_WAITING];
    const struct level *last = &version->levels[LEVEL_LAST];
    struct plan plan = {.kind = PLAN_SLICE, .level = LEVEL_WAITING, .reason = "a slice"};
    const loam_slice front = waiting_front(waiting);
    struct cut_walk walk = {.version = version, .front = front, .at = front};
    while (next_cut(&walk))
        if (walk.passed_bytes >= slice_bytes) {
            plan.to = walk.at;
            break;
        }
    if (last->run_count == 0) return plan;
    const struct run *run = last->runs[0];
    plan.first = plan.end = run_find(run, front);
    while (plan.end < run->table_count &&
           (plan.to.len == 0 ||
            bytes_compare(table_ref_smallest(&run->tables[plan.end]), plan.to) < 0))
        plan.end++;
    return plan;
}

/* What slices still have to read of the last level when something waits. */
static uint64_t last_bytes_ahead(const struct version *version)
{
    uint64_t bytes = 0;
    const struct level *last = &version->levels[LEVEL_LAST];
    if (last->run_count == 0) return 0;
    if (version->levels[LEVEL_WAITING].run_count == 0) return last->bytes;
    const struct run *run = last->runs[0];
    const loam_slice front = waiting_front(&version->levels[LEVEL_WAITING]);
    for (uint32_t t = run_find(run, front); t < run->table_count; t++)
        bytes += run->tables[t].bytes;
    return bytes;
}

uint64_t pick_debt_bytes(const struct version *version, const struct pick_policy *policy)
{
    struct shape shape = shape_of(version);
    struct plan plan;
    uint64_t debt = 0;
    while ((plan = plan_overfull(&shape, policy)).kind != PLAN_NOTHING) {
        debt += plan.input_bytes;
        carry_out(&shape, &plan);
    }
    const uint64_t waiting = shape.levels[LEVEL_WAITING].bytes, upper = upper_bytes(&shape);
    if (waiting == 0) return debt;
    /* Were it not for those that wait, this would be due, and cost ratio times as much again. */
    const uint64_t due = lower_bytes(&shape) / policy->last_ratio;
    if (upper > due) debt += (upper - due) * (1 + policy->last_ratio);
    return debt + waiting + last_bytes_ahead(version);
}

struct pick_path pick_path_down(const struct version *version, const struct pick_policy *policy,
                                uint64_t flush_bytes)
{
    const struct shape shape = shape_of(version);
    const uint64_t fan = policy->runs_per_level + 1;
    const uint64_t upper_most = lower_bytes(&shape) / policy->last_ratio;
    struct pick_path path = {.joins = 0};
    uint64_t level_bytes = flush_bytes * fan; /* at which a level is joined, or all goes down */
    while (level_bytes < upper_most && path.joins < LEVEL_WAITING - 1) {
        path.joins++;
        level_bytes *= fan;
    }
    const uint64_t comes = upper_most > level_bytes ? upper_most : level_bytes;
    if (comes > 0) path.last_per_byte = (double)lower_bytes(&shape) / (double)comes;
    return path;
}

/* ---- tombstones ------------------------------------------------------------------------------ */

/* About how many of its entries have expired, as if they did so evenly; at least one if any has. */
static uint64_t expired_in(const struct table_meta *meta, uint64_t clock_ms)
{
    const uint64_t first = meta->expires_first_ms, last = meta->expires_last_ms;
    if (meta->expiring_count == 0 || clock_ms < first) return 0;
    if (clock_ms >= last) return meta->expiring_count;
    const double share = (double)(clock_ms - first) / (double)(last - first);
    return 1 + (uint64_t)(share * (double)(meta->expiring_count - 1));
}

/* Those of a table whose entries are all old enough go for certain. */
static uint64_t droppable_in(const struct table_ref *ref, struct horizon horizon)
{
    const struct table_meta *meta = table_meta(ref->table);
    return meta->seq_max > horizon.seq ? 0
                                       : meta->tombstone_count + expired_in(meta, horizon.clock_ms);
}

uint64_t pick_held_in(const struct table_ref *ref, const struct pick_policy *policy)
{
    const struct table_meta *meta = table_meta(ref->table);
    if (meta->seq_max <= policy->oldest_seq) return 0;
    return meta->tombstone_count + expired_in(meta, policy->clock_ms);
}

static struct horizon horizon_of(const struct pick_policy *policy)
{
    return (struct horizon){policy->oldest_seq, policy->clock_ms};
}

static bool has_many_tombstones(const struct version *version, const struct pick_policy *policy)
{
    uint64_t droppable = 0, entries = 0;
    if (policy->tombstone_percent == 0) return false;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        struct horizon horizon = horizon_of(policy);
        if (policy->oldest_seq == 0 && level < LEVEL_LAST) horizon.seq = UINT64_MAX;
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            entries += run->entry_count;
            for (uint32_t t = 0; t < run->table_count; t++) {
                droppable += droppable_in(&run->tables[t], horizon);
                if (version->ranges != NULL)
                    droppable +=
                        version_hidden_in(version, &run->tables[t], policy->oldest_seq).entry_count;
            }
        }
    }
    return droppable > 0 && droppable * 100 >= entries * policy->tombstone_percent;
}

/* ---- deletions of ranges --------------------------------------------------------------------- */

static loam_status find_gone(void *ctx, uint32_t level, const struct run *run,
                             const struct table_ref *ref)
{
    (void)ctx, (void)level, (void)run, (void)ref;
    return LOAM_EXISTS;
}

static loam_status find_unwanted(void *ctx, const struct range *range)
{
    const struct version *const *version = ctx;
    return version_wants_range(*version, range) ? LOAM_OK : LOAM_EXISTS;
}

static bool has_to_sweep(const struct version *version, struct horizon horizon)
{
    return (version->ranges != NULL &&
            range_set_each(version->ranges, find_unwanted, &version) != LOAM_OK) ||
           version_each_gone(version, horizon, find_gone, NULL) != LOAM_OK;
}

static bool has_many_ranges(const struct version *version)
{
    uint64_t bytes = 0;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        bytes += version->levels[level].bytes;
    const uint64_t many = RANGES_MANY + bytes / BYTES_PER_RANGE;
    return range_set_weight(version->ranges) > (many < RANGES_MOST ? many : RANGES_MOST);
}

static bool has_unswept_upper(const struct version *version, uint64_t oldest_seq)
{
    for (uint32_t level = 0; level < LEVEL_WAITING; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            for (uint32_t t = 0; t < run->table_count; t++)
                if (version_is_unswept(version, &run->tables[t], oldest_seq)) return true;
        }
    return false;
}

/* Would rewriting it leave something out? Where a share of all has expired, nearly every table has lost something, and a little is
   not worth it; some table has lost as much as all have. */
static bool is_worth_rewriting(const struct version *version, const struct table_ref *ref,
                               const struct pick_policy *policy)
{
    const struct table_meta *meta = table_meta(ref->table);
    const uint64_t droppable = droppable_in(ref, horizon_of(policy));
    return (droppable > 0 && (meta->tombstone_count > 0 ||
                              droppable * 100 >= meta->entry_count * policy->tombstone_percent)) ||
           version_is_unswept(version, ref, policy->oldest_seq);
}

/* The first table of the run that begins behind `after` (data NULL: of all; a key may be empty) and is worth it; table_count: none is.
   Of all, the one with the most pieces that deletions of ranges hide. */
static uint32_t find_worth_rewriting(const struct version *version, const struct run *run,
                                     const struct pick_policy *policy, loam_slice after)
{
    uint32_t found = run->table_count;
    uint64_t most = 0;
    for (uint32_t t = after.data != NULL ? first_behind(run, after) : 0; t < run->table_count;
         t++) {
        if (!is_worth_rewriting(version, &run->tables[t], policy)) continue;
        if (after.data != NULL || version->ranges == NULL) return t;
        const uint64_t pieces =
            version_hidden_in(version, &run->tables[t], policy->oldest_seq).pieces;
        if (found < run->table_count && pieces <= most) continue;
        found = t;
        most = pieces;
    }
    return found;
}

/* Tables of the last level with something to leave out, side by side, the first of which begins behind `after`. */
static struct plan plan_rewrite(const struct version *version, const struct pick_policy *policy,
                                loam_slice after, const char *reason)
{
    struct plan plan = {.kind = PLAN_NOTHING};
    if (version->levels[LEVEL_LAST].run_count == 0) return plan;
    const struct run *run = version->levels[LEVEL_LAST].runs[0];
    const uint32_t first = find_worth_rewriting(version, run, policy, after);
    if (first == run->table_count) return plan;
    plan = (struct plan){
        .kind = PLAN_SLICE, .level = LEVEL_LAST, .first = first, .end = first, .reason = reason};
    for (uint64_t bytes = 0; plan.end < run->table_count && bytes < policy->slice_bytes &&
                             is_worth_rewriting(version, &run->tables[plan.end], policy);
         plan.end++)
        bytes += run->tables[plan.end].bytes;
    return plan;
}

/* ---- the answers ----------------------------------------------------------------------------- */

static bool is_worth_joining(const struct version *version, const struct shape *shape)
{
    return version_run_count(version) > 1 && has_upper(version) &&
           upper_bytes(shape) >= shape->levels[LEVEL_LAST].bytes / IDLE_RATIO;
}

struct plan pick_compaction(const struct version *version, const struct pick_policy *policy)
{
    check(policy->runs_per_level > 0);
    check(policy->last_ratio > 0);
    const struct shape shape = shape_of(version);
    if (has_to_sweep(version, horizon_of(policy)))
        return (struct plan){.kind = PLAN_SWEEP, .reason = "nobody sees it"};
    struct plan plan = plan_overfull(&shape, policy);
    if (plan.kind != PLAN_NOTHING) return plan;
    if (version->levels[LEVEL_WAITING].run_count > 0)
        return plan_slice(version, policy->slice_bytes);
    if (has_many_tombstones(version, policy)) {
        if (has_upper(version)) return plan_lower("many tombstones");
        plan = plan_rewrite(version, policy, loam_bytes(NULL, 0), "many tombstones");
        if (plan.kind != PLAN_NOTHING) return plan;
    }
    if (has_many_ranges(version)) {
        plan = plan_rewrite(version, policy, loam_bytes(NULL, 0), "many deletions of ranges");
        if (plan.kind == PLAN_NOTHING && has_unswept_upper(version, policy->oldest_seq))
            plan = plan_lower("many deletions of ranges");
        if (plan.kind != PLAN_NOTHING) return plan;
    }
    if (policy->idle && is_worth_joining(version, &shape)) return plan_lower("idle");
    return plan;
}

struct plan pick_full(const struct version *version, const struct pick_policy *policy, bool lower,
                      loam_slice after)
{
    struct pick_policy all = *policy;
    all.oldest_seq = UINT64_MAX;
    all.tombstone_percent = 0;
    if (lower && has_upper(version)) return plan_lower("asked for");
    if (version->levels[LEVEL_WAITING].run_count > 0)
        return plan_slice(version, policy->slice_bytes);
    return plan_rewrite(version, &all, after, "asked for");
}

/* The moment at which a table is worth another look: when its first entry expires, when the last has, and some in between. */
static uint64_t next_expiry_in(const struct table_meta *meta, uint64_t clock_ms)
{
    const uint64_t first = meta->expires_first_ms, last = meta->expires_last_ms;
    if (meta->expiring_count == 0 || clock_ms >= last) return UINT64_MAX;
    if (clock_ms < first) return first;
    const uint64_t step = (last - first) / EXPIRY_LOOKS;
    const uint64_t next = clock_ms + (step > EXPIRY_STEP_MS ? step : EXPIRY_STEP_MS);
    return next < last ? next : last;
}

uint64_t pick_next_expiry_ms(const struct version *version, uint64_t clock_ms)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            for (uint32_t t = 0; run->expiring_count > 0 && t < run->table_count; t++) {
                const uint64_t at = next_expiry_in(table_meta(run->tables[t].table), clock_ms);
                if (at < next) next = at;
            }
        }
    return next;
}
