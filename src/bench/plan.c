/* plan.c - see plan.h. */
#include "bench/plan.h"

#include <math.h>
#include <stdlib.h>

/* ---- chance ---------------------------------------------------------------------------------- */

enum { SEED_FILL = 1, SEED_OTHER = 2, SEED_INSERT = 3, SEED_BESIDE = 4, SEED_DRAWS = 5 };

static uint64_t seed_of(uint64_t which)
{
    return which << 40;
}

struct draws {
    uint64_t seed, count;
};

static uint64_t draw(struct draws *draws)
{
    return dataset_mix(draws->seed + draws->count++ * UINT64_C(0x9e3779b97f4a7c15));
}

static double draw_fraction(struct draws *draws)
{
    return (double)(draw(draws) >> 11) * 0x1p-53;
}

/* Gray and others, 1994, as YCSB has it: rank 0 is the most popular one. */
struct zipf {
    double count, alpha, zeta, eta;
};

static const double zipf_theta = 0.99;

static struct zipf zipf_over(uint32_t count)
{
    struct zipf zipf = {.count = count, .alpha = 1 / (1 - zipf_theta)};
    for (uint32_t i = 1; i <= count; i++)
        zipf.zeta += pow(i, -zipf_theta);
    const double zeta_two = 1 + pow(2, -zipf_theta);
    zipf.eta = (1 - pow(2.0 / count, 1 - zipf_theta)) / (1 - zeta_two / zipf.zeta);
    return zipf;
}

static uint32_t draw_rank(const struct zipf *zipf, struct draws *draws)
{
    const double u = draw_fraction(draws);
    if (u * zipf->zeta < 1) return 0;
    if (u * zipf->zeta < 1 + pow(0.5, zipf_theta)) return zipf->count > 1;
    const double rank = zipf->count * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha);
    return rank < zipf->count ? (uint32_t)rank : (uint32_t)zipf->count - 1;
}

/* ---- the steps of one thread ----------------------------------------------------------------- */

struct drafting {
    const struct workload *workload;
    const struct dataset *set;
    uint32_t thread, threads;
    struct draws draws;
    struct zipf zipf;
    const uint32_t *order;      /* of reading, overwriting and removing; or of the fill */
    const uint32_t *fill_order; /* of ORDER_LATEST */
    const uint32_t *inserts;    /* in which odd slots are filled */
    uint32_t inserted;
};

static enum step_kind draw_kind(struct drafting *draft, bool *miss, bool *insert)
{
    const struct workload_mix *mix = &draft->workload->mix;
    uint32_t die = (uint32_t)(draw(&draft->draws) % 100);
    *miss = *insert = false;
    if (die < mix->read) return STEP_READ;
    die -= mix->read;
    *miss = die < mix->miss;
    if (*miss) return STEP_READ;
    die -= mix->miss;
    if (die < mix->update) return STEP_PUT;
    die -= mix->update;
    if (die < mix->remove) return STEP_REMOVE;
    die -= mix->remove;
    if (die < mix->scan) return STEP_SCAN;
    die -= mix->scan;
    if (die < mix->change) return STEP_CHANGE;
    *insert = true;
    return STEP_PUT;
}

static uint32_t own_insert(const struct drafting *draft, uint32_t index)
{
    return 2 * draft->inserts[index * draft->threads + draft->thread] + 1;
}

/* The newest are what this thread inserted, then the fill from its end. */
static uint32_t latest_slot(struct drafting *draft)
{
    const uint32_t age = draw_rank(&draft->zipf, &draft->draws);
    if (age < draft->inserted) return own_insert(draft, draft->inserted - 1 - age);
    return 2 * draft->fill_order[draft->set->entries - 1 - (age - draft->inserted)];
}

static uint32_t zipfian_entry(struct drafting *draft)
{
    const uint64_t rank = draw_rank(&draft->zipf, &draft->draws);
    return (uint32_t)(dataset_mix(rank + seed_of(SEED_OTHER)) % draft->set->entries);
}

/* The nearest entry that this thread may write. */
static uint32_t own_entry(const struct drafting *draft, uint32_t entry)
{
    const uint32_t own = entry - entry % draft->threads + draft->thread;
    return own < draft->set->entries ? own : draft->thread;
}

static uint32_t pick_slot(struct drafting *draft, uint32_t index, enum step_kind kind)
{
    const uint32_t at = index * draft->threads + draft->thread;
    switch (draft->workload->order) {
    case ORDER_KEYS:
        return 2 * at;
    case ORDER_SHUFFLED:
        return 2 * draft->order[at];
    case ORDER_LATEST:
        return latest_slot(draft);
    case ORDER_ZIPFIAN:
        break;
    }
    const uint32_t entry = zipfian_entry(draft);
    return 2 * (kind == STEP_PUT || kind == STEP_CHANGE ? own_entry(draft, entry) : entry);
}

static struct step draw_step(struct drafting *draft, uint32_t index)
{
    bool miss = false, insert = false;
    const enum step_kind kind = draw_kind(draft, &miss, &insert);
    struct step step = {.kind = (uint16_t)kind};
    if (insert && draft->inserts == NULL)
        bench_die("%s: its mix is less than a hundred", draft->workload->name);
    if (insert)
        step.slot = own_insert(draft, draft->inserted++);
    else
        step.slot = pick_slot(draft, index, kind) + miss;
    if (kind == STEP_SCAN) step.rows = draft->workload->rows;
    if (kind == STEP_SCAN && draft->workload->rows_drawn)
        step.rows = (uint16_t)(draw(&draft->draws) % step.rows);
    return step;
}

static uint64_t order_seed(const struct workload *workload)
{
    const bool fills = workload->from == FROM_EMPTY;
    return seed_of(fills ? SEED_FILL : SEED_OTHER);
}

struct plan plan_make(const struct workload *workload, const struct dataset *set, uint32_t thread,
                      uint32_t threads)
{
    if (set->entries == 0 || threads == 0) bench_die("a plan without entries");
    uint32_t total = set->entries / (workload->fewer > 0 ? workload->fewer : 1);
    if (total == 0) total = 1;
    uint32_t count = total / threads + (thread < total % threads);
    if (workload->kind != WORKLOAD_STEPS) count = 0;
    struct plan plan = {bench_alloc(((size_t)count + 1) * sizeof *plan.step), count};
    const bool shuffled = workload->order == ORDER_SHUFFLED;
    const bool latest = workload->order == ORDER_LATEST;
    uint32_t *order = shuffled ? dataset_shuffled(set->entries, order_seed(workload)) : NULL;
    uint32_t *fill_order = latest ? dataset_shuffled(set->entries, seed_of(SEED_FILL)) : NULL;
    uint32_t *inserts = NULL;
    if (workload->mix.insert > 0) inserts = dataset_shuffled(set->entries, seed_of(SEED_INSERT));
    struct drafting draft = {.workload = workload,
                             .set = set,
                             .thread = thread,
                             .threads = threads,
                             .draws = {.seed = seed_of(SEED_DRAWS + thread)},
                             .order = order,
                             .fill_order = fill_order,
                             .inserts = inserts};
    if (latest || workload->order == ORDER_ZIPFIAN) draft.zipf = zipf_over(set->entries);
    for (uint32_t i = 0; i < count; i++)
        plan.step[i] = draw_step(&draft, i);
    free(order);
    free(fill_order);
    free(inserts);
    return plan;
}

static struct plan plan_in_order(const struct dataset *set, uint64_t seed, enum step_kind kind,
                                 uint32_t count)
{
    struct plan plan = {bench_alloc(((size_t)count + 1) * sizeof *plan.step), count};
    uint32_t *order = dataset_shuffled(set->entries, seed);
    for (uint32_t i = 0; i < count; i++)
        plan.step[i] = (struct step){.slot = 2 * order[i], .kind = (uint16_t)kind};
    free(order);
    return plan;
}

struct plan plan_make_overwrites(const struct dataset *set)
{
    return plan_in_order(set, seed_of(SEED_BESIDE), STEP_PUT, set->entries);
}

struct plan plan_make_warming(const struct dataset *set)
{
    return plan_in_order(set, seed_of(SEED_BESIDE), STEP_READ, (set->entries + 3) / 4);
}
