/*
 * pick.c - what to merge next; see pick.h.
 *
 * In order: a level over its bound; tombstones; and, when idle, towards one run. The first is
 * decided on bytes and counts of levels alone (struct shape), so that the debt can be computed by
 * carrying the plans out on them.
 */
#include "tree/pick.h"

#include "base/check.h"

#include "base/poison.h"

enum { IDLE_RATIO = 16 };

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

/* The topmost level with runs; LEVEL_COUNT when there are none. */
static uint32_t top_level(const struct shape *shape)
{
    uint32_t level = 0;
    while (level < LEVEL_COUNT && shape->levels[level].run_count == 0)
        level++;
    return level;
}

static uint64_t upper_bytes(const struct shape *shape)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < LEVEL_LAST; i++)
        bytes += shape->levels[i].bytes;
    return bytes;
}

static struct plan plan_everything(const struct shape *shape, const char *reason)
{
    const uint32_t top = top_level(shape);
    return (struct plan){.found = true,
                         .level_from = top,
                         .level_to = LEVEL_LAST,
                         .input_bytes = upper_bytes(shape) + shape->levels[LEVEL_LAST].bytes,
                         .reason = reason};
}

/* ---- a level over its bound ------------------------------------------------------------------ */

/* Is the last level the place for what leaves this one? */
static bool goes_to_last(const struct shape *shape, uint32_t level, uint32_t last_ratio)
{
    if (level + 1 == LEVEL_LAST) return true;
    if (shape->levels[LEVEL_LAST].run_count > 0)
        return upper_bytes(shape) >= shape->levels[LEVEL_LAST].bytes / last_ratio;
    for (uint32_t deeper = level + 1; deeper < LEVEL_LAST; deeper++)
        if (shape->levels[deeper].run_count > 0) return false;
    return true;
}

static struct plan plan_overfull(const struct shape *shape, const struct pick_policy *policy)
{
    uint32_t level = 0;
    while (level < LEVEL_LAST && shape->levels[level].run_count <= policy->runs_per_level)
        level++;
    if (level == LEVEL_LAST) return (struct plan){.found = false};
    if (goes_to_last(shape, level, policy->last_ratio))
        return plan_everything(shape, "a level is full, and the last is due");
    return (struct plan){.found = true,
                         .level_from = level,
                         .level_to = level + 1,
                         .input_bytes = shape->levels[level].bytes,
                         .reason = "a level is full"};
}

/* As if nothing were dropped. */
static void carry_out(struct shape *shape, const struct plan *plan)
{
    for (uint32_t i = plan->level_from; i < plan->level_to; i++) {
        shape->levels[i].run_count = 0;
        shape->levels[i].bytes = 0;
    }
    if (plan->level_to == LEVEL_LAST) {
        shape->levels[LEVEL_LAST].run_count = 1;
        shape->levels[LEVEL_LAST].bytes = plan->input_bytes;
    } else {
        shape->levels[plan->level_to].run_count++;
        shape->levels[plan->level_to].bytes += plan->input_bytes;
    }
}

uint64_t pick_debt_bytes(const struct version *version, const struct pick_policy *policy)
{
    struct shape shape = shape_of(version);
    struct plan plan;
    uint64_t debt = 0;
    while ((plan = plan_overfull(&shape, policy)).found) {
        debt += plan.input_bytes;
        carry_out(&shape, &plan);
    }
    return debt;
}

/* ---- tombstones ------------------------------------------------------------------------------ */

struct tombstone_count {
    uint64_t droppable, entries;
};

/* Those of runs that are all old enough: of the others it is not certain that any would go. */
static struct tombstone_count count_tombstones(const struct version *version, uint64_t oldest_seq)
{
    struct tombstone_count count = {0};
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            const bool old = oldest_seq == 0 ? level < LEVEL_LAST : run->seq_max <= oldest_seq;
            count.entries += run->entry_count;
            if (old) count.droppable += run->tombstone_count;
        }
    }
    return count;
}

static bool has_many_tombstones(const struct version *version, const struct pick_policy *policy)
{
    if (policy->tombstone_percent == 0) return false;
    const struct tombstone_count count = count_tombstones(version, policy->oldest_seq);
    return count.droppable > 0 &&
           count.droppable * 100 >= count.entries * policy->tombstone_percent;
}

/* ---- idle ------------------------------------------------------------------------------------ */

static bool is_worth_joining(const struct version *version, const struct shape *shape)
{
    const uint64_t last = shape->levels[LEVEL_LAST].bytes;
    return version_run_count(version) > 1 && top_level(shape) < LEVEL_LAST &&
           upper_bytes(shape) >= last / IDLE_RATIO;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static bool meets_last(const struct version *version, const struct run *run)
{
    if (version->levels[LEVEL_LAST].run_count == 0) return false;
    const struct run *last = version->levels[LEVEL_LAST].runs[0];
    for (uint32_t i = 0; i < run->table_count; i++)
        if (run_overlaps(last, &run->tables[i])) return true;
    return false;
}

/* A plan for everything with one run above the last level, which lies beside all that is there. */
static struct plan make_trivial(const struct version *version, struct plan plan)
{
    const bool has_last = version->levels[LEVEL_LAST].run_count > 0;
    if (version_run_count(version) != 1 + (size_t)has_last || plan.level_from == LEVEL_LAST)
        return plan;
    const struct run *run = version->levels[plan.level_from].runs[0];
    if (run->tombstone_count > 0 || meets_last(version, run)) return plan;
    plan.trivial = true;
    plan.input_bytes = run->bytes;
    return plan;
}

/* ---- the answers ----------------------------------------------------------------------------- */

struct plan pick_compaction(const struct version *version, const struct pick_policy *policy)
{
    check(policy->runs_per_level > 0);
    check(policy->last_ratio > 0);
    const struct shape shape = shape_of(version);
    struct plan plan = plan_overfull(&shape, policy);
    if (!plan.found && has_many_tombstones(version, policy))
        plan = plan_everything(&shape, "many tombstones");
    if (!plan.found && policy->idle && is_worth_joining(version, &shape))
        plan = make_trivial(version, plan_everything(&shape, "idle"));
    return plan;
}

struct plan pick_full(const struct version *version)
{
    const struct shape shape = shape_of(version);
    const struct level *last = &version->levels[LEVEL_LAST];
    const uint32_t top = top_level(&shape);
    if (top == LEVEL_COUNT) return (struct plan){.found = false};
    if (top == LEVEL_LAST && last->runs[0]->tombstone_count == 0)
        return (struct plan){.found = false};
    return plan_everything(&shape, "asked for");
}
