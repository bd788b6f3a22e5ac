/*
 * test_pick.c - plans over fabricated versions: legal, and coming to an end in shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tree/pick.h"

enum { RUNS_MAX = 512, KEYS = 100 };

struct fake { /* a run of one table */
    uint32_t level;
    uint64_t number;
    uint64_t bytes, entries, tombstones;
    uint64_t seq_min, seq_max;
    unsigned low, high; /* keys */
};

struct world {
    struct fake runs[RUNS_MAX];
    size_t count;
    uint64_t next_number, next_seq;
    struct page_cache *cache;
};

static const struct pick_policy lazy = {
    .runs_per_level = 8, .last_ratio = 4, .tombstone_percent = 25};

static void open_world(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->next_number = world->next_seq = 1;
    assert_int_equal(page_cache_new(1 << 20, &world->cache), LOAM_OK);
}

/* ---- worlds and versions --------------------------------------------------------------------- */

static struct table *table_of(const struct world *world, const struct fake *fake)
{
    char smallest[8], largest[8];
    snprintf(smallest, sizeof smallest, "%03u", fake->low % 1000);
    snprintf(largest, sizeof largest, "%03u", fake->high % 1000);
    const struct table_owner owner = {.cache = world->cache};
    const struct table_meta meta = {.object = {1, 1},
                                    .bytes = fake->bytes,
                                    .uid = fake->number,
                                    .smallest = loam_str(smallest),
                                    .largest = loam_str(largest),
                                    .seq_min = fake->seq_min,
                                    .seq_max = fake->seq_max,
                                    .entry_count = fake->entries,
                                    .tombstone_count = fake->tombstones,
                                    .page_count = 1};
    struct table *table;
    assert_int_equal(table_new(&owner, &meta, &table), LOAM_OK);
    return table;
}

static struct version *version_of(const struct world *world)
{
    struct version *version = version_new();
    assert_non_null(version);
    for (size_t i = 0; i < world->count; i++) {
        const struct fake *fake = &world->runs[i];
        struct table_ref ref = {.table = table_of(world, fake)};
        struct run *run = run_new(fake->number, &ref, 1);
        assert_non_null(run);
        table_unref(ref.table);
        assert_int_equal(version_add_run(version, fake->level, run), LOAM_OK);
        run_unref(run);
    }
    if (version_check(version) != LOAM_OK) fail_msg("%s", loam_errmsg());
    return version;
}

static struct plan pick_in(const struct world *world, const struct pick_policy *policy)
{
    struct version *version = version_of(world);
    const struct plan plan = pick_compaction(version, policy);
    version_unref(version);
    return plan;
}

static struct plan pick_full_in(const struct world *world)
{
    struct version *version = version_of(world);
    const struct plan plan = pick_full(version);
    version_unref(version);
    return plan;
}

static uint64_t debt_in(const struct world *world, const struct pick_policy *policy)
{
    struct version *version = version_of(world);
    const uint64_t debt = pick_debt_bytes(version, policy);
    version_unref(version);
    return debt;
}

static struct fake *put_run(struct world *world, uint32_t level, uint64_t entries,
                            uint64_t tombstones)
{
    assert_true(world->count < RUNS_MAX);
    struct fake *fake = &world->runs[world->count++];
    *fake = (struct fake){.level = level,
                          .number = world->next_number++,
                          .bytes = entries * 100 - tombstones * 80,
                          .entries = entries,
                          .tombstones = tombstones,
                          .seq_min = world->next_seq,
                          .seq_max = world->next_seq + entries - 1,
                          .low = 0,
                          .high = KEYS - 1};
    world->next_seq += entries;
    return fake;
}

/* ---- carrying out ---------------------------------------------------------------------------- */

static bool is_input(const struct world *world, const struct plan *plan, size_t index)
{
    const struct fake *fake = &world->runs[index];
    if (fake->level < plan->level_from || fake->level > plan->level_to) return false;
    if (fake->level == plan->level_from) {
        uint32_t newer = 0;
        for (size_t i = 0; i < world->count; i++)
            newer += world->runs[i].level == fake->level && world->runs[i].number > fake->number;
        return newer >= plan->first_run;
    }
    return fake->level < plan->level_to || (plan->level_to == LEVEL_LAST && !plan->trivial);
}

/* What a plan may be. */
static void expect_legal(const struct world *world, const struct plan *plan)
{
    uint64_t bytes = 0;
    size_t inputs = 0;
    assert_true(plan->level_to < LEVEL_COUNT);
    assert_true(plan->level_from <= plan->level_to);
    assert_true(plan->level_from < plan->level_to || plan->level_to == LEVEL_LAST);
    assert_non_null(plan->reason);
    for (size_t i = 0; i < world->count; i++) {
        if (is_input(world, plan, i)) {
            inputs++;
            bytes += world->runs[i].bytes;
        } else if (plan->level_to == LEVEL_LAST && !plan->trivial) {
            fail_msg("a run of level %u is left above a merge into the last", world->runs[i].level);
        }
    }
    assert_true(inputs > 0);
    assert_int_equal(plan->input_bytes, bytes);
    if (plan->trivial) assert_int_equal(inputs, 1);
    if (!plan->trivial && inputs == 1) assert_true(plan->level_to == LEVEL_LAST);
}

/* Everything droppable at or below oldest_seq drops, with what it hides. */
static void carry_out_plan(struct world *world, const struct plan *plan, uint64_t oldest_seq)
{
    struct fake output = {.level = plan->level_to, .number = world->next_number++, .low = KEYS};
    size_t kept = 0;
    output.seq_min = UINT64_MAX;
    struct fake rest[RUNS_MAX];
    for (size_t i = 0; i < world->count; i++) {
        const struct fake *fake = &world->runs[i];
        const bool joins = plan->trivial && fake->level == LEVEL_LAST; /* its run is one */
        if (!is_input(world, plan, i) && !joins) {
            rest[kept++] = *fake;
            continue;
        }
        const bool drops = plan->level_to == LEVEL_LAST && fake->seq_max <= oldest_seq;
        const uint64_t gone = drops ? fake->tombstones : 0;
        output.entries += fake->entries - gone;
        output.tombstones += fake->tombstones - gone;
        output.bytes += fake->bytes - gone * 20;
        if (fake->seq_min < output.seq_min) output.seq_min = fake->seq_min;
        if (fake->seq_max > output.seq_max) output.seq_max = fake->seq_max;
        if (fake->low < output.low) output.low = fake->low;
        if (fake->high > output.high) output.high = fake->high;
    }
    memcpy(world->runs, rest, kept * sizeof rest[0]);
    world->count = kept;
    if (output.entries > 0) world->runs[world->count++] = output;
}

static size_t settle_world(struct world *world, const struct pick_policy *policy,
                           uint64_t oldest_seq)
{
    size_t steps = 0;
    for (;; steps++) {
        const struct plan plan = pick_in(world, policy);
        if (!plan.found) return steps;
        expect_legal(world, &plan);
        carry_out_plan(world, &plan, oldest_seq);
        assert_true(steps < 100);
    }
}

static uint32_t runs_in(const struct world *world, uint32_t level)
{
    uint32_t count = 0;
    for (size_t i = 0; i < world->count; i++)
        count += world->runs[i].level == level;
    return count;
}

/* ---- properties ------------------------------------------------------------------------------ */

static void make_random(struct world *world, struct rand *rand)
{
    open_world(world);
    if (rand_below(rand, 4) > 0)
        put_run(world, LEVEL_LAST, 1 + rand_below(rand, 100000), rand_below(rand, 2));
    for (uint32_t level = LEVEL_LAST; level-- > 0;) {
        const uint64_t runs = rand_below(rand, 3) == 0 ? rand_below(rand, 12) : 0;
        for (uint64_t i = 0; i < runs; i++) {
            const uint64_t entries = 1 + rand_below(rand, 5000);
            struct fake *fake = put_run(world, level, entries,
                                        rand_below(rand, 5) == 0 ? rand_below(rand, entries) : 0);
            if (rand_below(rand, 3) > 0) continue;
            fake->low = (unsigned)rand_below(rand, KEYS);
            fake->high = fake->low + (unsigned)rand_below(rand, KEYS - fake->low);
        }
    }
}

static void plans_are_legal_and_end_in_shape(void **state)
{
    static const uint32_t runs_per_level[] = {1, 2, 8};
    struct rand rand = {5};
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct world world;
        make_random(&world, &rand);
        struct pick_policy policy = lazy;
        policy.runs_per_level = runs_per_level[round % 3];
        policy.idle = rand_below(&rand, 2) == 0;
        const uint64_t oldest = rand_below(&rand, world.next_seq + 1);
        policy.oldest_seq = rand_below(&rand, 2) == 0 ? 0 : oldest;
        const uint64_t debt = debt_in(&world, &policy);
        const size_t steps = settle_world(&world, &policy, oldest);
        assert_int_equal(debt_in(&world, &policy), 0);
        if (debt > 0) assert_true(steps > 0);
        for (uint32_t level = 0; level < LEVEL_LAST; level++)
            assert_in_range(runs_in(&world, level), 0, policy.runs_per_level);
        assert_in_range(runs_in(&world, LEVEL_LAST), 0, 1);
        page_cache_free(world.cache);
    }
}

static void a_growing_store_stays_in_shape_and_writes_little(void **state)
{
    static const struct {
        uint32_t runs_per_level;
        double most; /* times each byte is written */
    } cases[] = {{1, 20}, {2, 16}, {8, 9}};
    (void)state;
    for (size_t c = 0; c < 3; c++) {
        struct world world;
        uint64_t flushed = 0, written = 0;
        open_world(&world);
        struct pick_policy policy = lazy;
        policy.runs_per_level = cases[c].runs_per_level;
        for (int i = 0; i < 1000; i++) {
            flushed += put_run(&world, 0, 100, 0)->bytes;
            for (struct plan plan; (plan = pick_in(&world, &policy)).found;) {
                expect_legal(&world, &plan);
                written += plan.input_bytes;
                carry_out_plan(&world, &plan, UINT64_MAX);
            }
        }
        const double amplification = 1 + (double)written / (double)flushed;
        if (amplification > cases[c].most) fail_msg("%.1f", amplification);
        page_cache_free(world.cache);
    }
}

static void asking_changes_nothing_and_answers_the_same(void **state)
{
    struct rand rand = {6};
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct world world;
        make_random(&world, &rand);
        const struct plan a = pick_in(&world, &lazy), b = pick_in(&world, &lazy);
        assert_int_equal(a.found, b.found);
        assert_int_equal(a.level_from, b.level_from);
        assert_int_equal(a.level_to, b.level_to);
        assert_int_equal(a.input_bytes, b.input_bytes);
        page_cache_free(world.cache);
    }
}

/* ---- single cases ---------------------------------------------------------------------------- */

#define expect_plan(picked, from, to, is_trivial)                                                  \
    do {                                                                                           \
        const struct plan p = (picked);                                                            \
        assert_true(p.found);                                                                      \
        assert_int_equal(p.level_from, from);                                                      \
        assert_int_equal(p.level_to, to);                                                          \
        assert_int_equal(p.first_run, 0);                                                          \
        assert_int_equal(p.trivial, is_trivial);                                                   \
    } while (0)

static void a_full_level_goes_one_down_while_the_last_is_large(void **state)
{
    struct world world;
    (void)state;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 100000, 0);
    for (int i = 0; i < 8; i++)
        put_run(&world, 0, 100, 0);
    assert_false(pick_in(&world, &lazy).found);
    put_run(&world, 0, 100, 0);
    expect_plan(pick_in(&world, &lazy), 0, 1, false);
    assert_int_equal(debt_in(&world, &lazy), 9 * 100 * 100);
    page_cache_free(world.cache);
}

static void a_quarter_of_the_last_takes_everything_down(void **state)
{
    struct world world;
    (void)state;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 100000, 0);
    put_run(&world, 3, 24100, 0);
    for (int i = 0; i < 9; i++)
        put_run(&world, 0, 100, 0);
    expect_plan(pick_in(&world, &lazy), 0, LEVEL_LAST, false);
    assert_int_equal(debt_in(&world, &lazy), (100000 + 24100 + 900) * 100);
    page_cache_free(world.cache);
}

static void the_first_full_level_founds_the_last(void **state)
{
    struct world world;
    (void)state;
    open_world(&world);
    for (int i = 0; i < 9; i++)
        put_run(&world, 0, 100, 0);
    expect_plan(pick_in(&world, &lazy), 0, LEVEL_LAST, false);
    page_cache_free(world.cache);
    open_world(&world); /* but not past a deeper level that is in use */
    put_run(&world, 3, 10, 0);
    for (int i = 0; i < 9; i++)
        put_run(&world, 0, 100, 0);
    expect_plan(pick_in(&world, &lazy), 0, 1, false);
    page_cache_free(world.cache);
}

static void deletes_give_the_disk_back_without_being_asked(void **state)
{
    struct world world;
    (void)state;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 1000, 0);
    put_run(&world, 0, 300, 300); /* 300 of 1300 */
    assert_false(pick_in(&world, &lazy).found);
    put_run(&world, 0, 50, 50); /* 350 of 1350 */
    expect_plan(pick_in(&world, &lazy), 0, LEVEL_LAST, false);
    page_cache_free(world.cache);
}

static void tombstones_that_a_snapshot_needs_ask_for_nothing(void **state)
{
    struct world world;
    struct pick_policy policy = lazy;
    (void)state;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 1000, 0);
    put_run(&world, 0, 900, 900);
    policy.oldest_seq = 1000; /* a snapshot from before the deletes */
    assert_false(pick_in(&world, &policy).found);
    policy.oldest_seq = 1900;
    expect_plan(pick_in(&world, &policy), 0, LEVEL_LAST, false);
    policy.tombstone_percent = 0;
    assert_false(pick_in(&world, &policy).found);
    page_cache_free(world.cache);
}

static void tombstones_left_in_the_last_level_go_once_they_can(void **state)
{
    struct world world;
    struct pick_policy policy = lazy;
    (void)state;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 1000, 400);
    assert_false(pick_in(&world, &policy).found); /* it is not known whether they can */
    policy.oldest_seq = 999;
    assert_false(pick_in(&world, &policy).found);
    policy.oldest_seq = 1000;
    expect_plan(pick_in(&world, &policy), LEVEL_LAST, LEVEL_LAST, false);
    page_cache_free(world.cache);
}

static void an_idle_store_joins_its_runs_when_it_is_worth_it(void **state)
{
    struct world world;
    struct pick_policy policy = lazy;
    (void)state;
    policy.idle = true;
    open_world(&world);
    assert_false(pick_in(&world, &policy).found);
    put_run(&world, LEVEL_LAST, 16000, 0);
    assert_false(pick_in(&world, &policy).found);
    put_run(&world, 0, 999, 0);
    assert_false(pick_in(&world, &policy).found);
    put_run(&world, 0, 1, 0);
    expect_plan(pick_in(&world, &policy), 0, LEVEL_LAST, false);
    policy.idle = false;
    assert_false(pick_in(&world, &policy).found);
    page_cache_free(world.cache);
    open_world(&world); /* one run is at rest wherever it stands */
    put_run(&world, 0, 999, 0);
    policy.idle = true;
    assert_false(pick_in(&world, &policy).found);
    page_cache_free(world.cache);
}

static void a_run_beside_the_last_moves_unless_it_deletes(void **state)
{
    struct world world;
    struct pick_policy policy = lazy;
    (void)state;
    policy.idle = true;
    open_world(&world);
    put_run(&world, LEVEL_LAST, 1000, 0)->high = 49;
    struct fake *upper = put_run(&world, 2, 500, 0);
    upper->low = 50;
    expect_plan(pick_in(&world, &policy), 2, LEVEL_LAST, true);
    assert_int_equal(pick_in(&world, &policy).input_bytes, upper->bytes);
    upper->low = 49;
    expect_plan(pick_in(&world, &policy), 2, LEVEL_LAST, false);
    upper->low = 50;
    upper->tombstones = 1;
    expect_plan(pick_in(&world, &policy), 2, LEVEL_LAST, false);
    page_cache_free(world.cache);
}

static void a_full_merge_is_everything_until_it_is_one_clean_run(void **state)
{
    struct world world;
    (void)state;
    open_world(&world);
    assert_false(pick_full_in(&world).found);
    put_run(&world, 0, 10, 0);
    expect_plan(pick_full_in(&world), 0, LEVEL_LAST, false);
    world.runs[0].level = LEVEL_LAST;
    assert_false(pick_full_in(&world).found);
    put_run(&world, 3, 10, 0);
    expect_plan(pick_full_in(&world), 3, LEVEL_LAST, false);
    world.count = 1;
    world.runs[0].tombstones = 1;
    expect_plan(pick_full_in(&world), LEVEL_LAST, LEVEL_LAST, false);
    page_cache_free(world.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_legal_and_end_in_shape),
        cmocka_unit_test(a_growing_store_stays_in_shape_and_writes_little),
        cmocka_unit_test(asking_changes_nothing_and_answers_the_same),
        cmocka_unit_test(a_full_level_goes_one_down_while_the_last_is_large),
        cmocka_unit_test(a_quarter_of_the_last_takes_everything_down),
        cmocka_unit_test(the_first_full_level_founds_the_last),
        cmocka_unit_test(deletes_give_the_disk_back_without_being_asked),
        cmocka_unit_test(tombstones_that_a_snapshot_needs_ask_for_nothing),
        cmocka_unit_test(tombstones_left_in_the_last_level_go_once_they_can),
        cmocka_unit_test(an_idle_store_joins_its_runs_when_it_is_worth_it),
        cmocka_unit_test(a_run_beside_the_last_moves_unless_it_deletes),
        cmocka_unit_test(a_full_merge_is_everything_until_it_is_one_clean_run),
    };
    return cmocka_run_group_tests_name("tree/pick", tests, NULL, NULL);
}
