/*
 * test_pick.c - plans over fabricated versions: legal, and coming to an end in shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tree/pick.h"

enum { FAKES_MAX = 4096, KEYS = 1000, TABLE_BYTES = 100000 };

struct fake { /* a table; those of one level and number are a run */
    uint32_t level;
    uint64_t number;
    uint64_t bytes, entries, tombstones;
    uint64_t expiring, expires_first_ms, expires_last_ms;
    uint64_t seq_min, seq_max;
    unsigned low, high, from; /* keys; from: of its clip, 0 = none */
};

struct world {
    struct fake fakes[FAKES_MAX];
    size_t count;
    uint64_t next_number, next_seq;
    struct page_cache *cache;
};

static const struct pick_policy lazy = {
    .runs_per_level = 8, .last_ratio = 4, .slice_bytes = 4 * TABLE_BYTES, .tombstone_percent = 25};

static struct world world; /* large; one at a time */

static void open_world(void)
{
    memset(&world, 0, sizeof world);
    world.next_number = world.next_seq = 1;
    assert_int_equal(page_cache_new(1 << 20, &world.cache), LOAM_OK);
}

static void close_world(void)
{
    page_cache_free(world.cache);
}

/* ---- worlds and versions --------------------------------------------------------------------- */

static const char *key_of(unsigned key, char text[8])
{
    snprintf(text, 8, "%03u", key % KEYS);
    return text;
}

static struct table *table_of(const struct fake *fake)
{
    char smallest[8], largest[8];
    const struct table_owner owner = {.cache = world.cache};
    const struct table_meta meta = {.object = {1, 1},
                                    .bytes = fake->bytes,
                                    .uid = (uint64_t)(fake - world.fakes) + 1,
                                    .smallest = loam_str(key_of(fake->low, smallest)),
                                    .largest = loam_str(key_of(fake->high, largest)),
                                    .seq_min = fake->seq_min,
                                    .seq_max = fake->seq_max,
                                    .entry_count = fake->entries,
                                    .tombstone_count = fake->tombstones,
                                    .expiring_count = fake->expiring,
                                    .expires_first_ms = fake->expires_first_ms,
                                    .expires_last_ms = fake->expires_last_ms,
                                    .page_count = 1};
    struct table *table;
    assert_int_equal(table_new(&owner, &meta, &table), LOAM_OK);
    return table;
}

/* Runs together, newest first, their tables in order of keys. */
static int by_place(const void *a, const void *b)
{
    const struct fake *x = a, *y = b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->number != y->number) return x->number > y->number ? -1 : 1;
    const unsigned low = x->from > x->low ? x->from : x->low;
    const unsigned other = y->from > y->low ? y->from : y->low;
    return (low > other) - (low < other);
}

static struct version *version_of_world(void)
{
    static struct table_ref refs[FAKES_MAX];
    static char froms[FAKES_MAX][8];
    struct version *version = version_new();
    assert_non_null(version);
    qsort(world.fakes, world.count, sizeof world.fakes[0], by_place);
    for (size_t i = 0, end; i < world.count; i = end) {
        const struct fake *first = &world.fakes[i];
        for (end = i; end < world.count && world.fakes[end].level == first->level &&
                      world.fakes[end].number == first->number;
             end++) {
            const struct fake *fake = &world.fakes[end];
            refs[end] = (struct table_ref){.table = table_of(fake)};
            if (fake->from > 0) refs[end].from = loam_str(key_of(fake->from, froms[end]));
        }
        struct run *run = run_new(first->number, &refs[i], (uint32_t)(end - i));
        assert_non_null(run);
        for (size_t t = i; t < end; t++)
            table_unref(refs[t].table);
        assert_int_equal(version_add_run(version, first->level, run), LOAM_OK);
        run_unref(run);
    }
    if (version_check(version) != LOAM_OK) fail_msg("%s", loam_errmsg());
    return version;
}

static struct fake *put_table(uint32_t level, uint64_t number, uint64_t entries,
                              uint64_t tombstones)
{
    assert_true(world.count < FAKES_MAX);
    struct fake *fake = &world.fakes[world.count++];
    *fake = (struct fake){.level = level,
                          .number = number,
                          .bytes = entries * 100 - tombstones * 80,
                          .entries = entries,
                          .tombstones = tombstones,
                          .seq_min = world.next_seq,
                          .seq_max = world.next_seq + entries - 1,
                          .low = 0,
                          .high = KEYS - 1};
    world.next_seq += entries;
    return fake;
}

static struct fake *put_run(uint32_t level, uint64_t entries, uint64_t tombstones)
{
    return put_table(level, world.next_number++, entries, tombstones);
}

/* A run of that many tables, which share the keys. */
static void put_wide_run(uint32_t level, unsigned tables, uint64_t entries)
{
    const uint64_t number = world.next_number++;
    for (unsigned i = 0; i < tables; i++) {
        struct fake *fake = put_table(level, number, entries / tables, 0);
        fake->low = i * KEYS / tables;
        fake->high = (i + 1) * KEYS / tables - 1;
    }
}

/* What a plan says, without the version it was made of. */
struct picked {
    enum plan_kind kind;
    uint32_t level, first, end;
    unsigned to; /* KEYS: no bound */
};

static struct picked picked_of(const struct plan *plan)
{
    char text[8] = "";
    if (plan->to.len > 0) memcpy(text, plan->to.data, plan->to.len < 7 ? plan->to.len : 7);
    if (plan->kind != PLAN_NOTHING) assert_non_null(plan->reason);
    return (struct picked){plan->kind, plan->level, plan->first, plan->end,
                           plan->to.len > 0 ? (unsigned)strtoul(text, NULL, 10) : KEYS};
}

static struct picked pick_in_world(const struct pick_policy *policy)
{
    struct version *version = version_of_world();
    const struct plan plan = pick_compaction(version, policy);
    const struct picked picked = picked_of(&plan);
    version_unref(version);
    return picked;
}

static uint64_t debt_in_world(const struct pick_policy *policy)
{
    struct version *version = version_of_world();
    const uint64_t debt = pick_debt_bytes(version, policy);
    version_unref(version);
    return debt;
}

/* ---- carrying out ---------------------------------------------------------------------------- */

static uint32_t runs_in(uint32_t level)
{
    uint32_t count = 0;
    for (size_t i = 0; i < world.count; i++) {
        bool is_new = world.fakes[i].level == level;
        for (size_t k = 0; k < i && is_new; k++)
            is_new =
                world.fakes[k].level != level || world.fakes[k].number != world.fakes[i].number;
        count += is_new;
    }
    return count;
}

static void expect_legal(const struct picked *plan)
{
    uint64_t last_bytes = 0, largest = 0;
    uint32_t index = 0;
    for (size_t i = 0; i < world.count; i++) {
        if (world.fakes[i].level != LEVEL_LAST) continue;
        if (index >= plan->first && index < plan->end) last_bytes += world.fakes[i].bytes;
        if (world.fakes[i].bytes > largest) largest = world.fakes[i].bytes;
        index++;
    }
    switch (plan->kind) {
    case PLAN_JOIN:
        assert_true(plan->level + 1 < LEVEL_WAITING);
        assert_true(runs_in(plan->level) > 1);
        break;
    case PLAN_LOWER:
        assert_true(plan->first == plan->end);
        break;
    case PLAN_SLICE:
        assert_true(plan->level == LEVEL_LAST || runs_in(LEVEL_WAITING) > 0);
        assert_true(plan->level == LEVEL_WAITING || plan->first < plan->end);
        assert_true(plan->end <= index);
        if (last_bytes > 2 * lazy.slice_bytes + 2 * largest)
            fail_msg("a slice of %llu bytes", (unsigned long long)last_bytes);
        break;
    case PLAN_SWEEP:
        fail_msg("a sweep of no deletions");
        break;
    case PLAN_NOTHING:
        fail_msg("a plan for nothing");
    }
}

static void keep(bool is_kept[static FAKES_MAX])
{
    size_t kept = 0;
    for (size_t i = 0; i < world.count; i++)
        if (is_kept[i]) world.fakes[kept++] = world.fakes[i];
    world.count = kept;
}

/* Adds what a plan takes of a table to its output. Everything droppable at or below oldest_seq drops, with what it hides. */
static void take_part(struct fake *output, const struct fake *fake, unsigned to, bool drops)
{
    const unsigned low = fake->from > fake->low ? fake->from : fake->low;
    const unsigned high = fake->high < to ? fake->high : to - 1;
    const double share = (double)(high - low + 1) / (double)(fake->high - fake->low + 1);
    const uint64_t gone = drops ? fake->tombstones : 0;
    output->entries += (uint64_t)((double)(fake->entries - gone) * share);
    output->tombstones += (uint64_t)((double)(fake->tombstones - gone) * share);
    output->bytes += (uint64_t)((double)(fake->bytes - gone * 20) * share);
    if (fake->seq_min < output->seq_min) output->seq_min = fake->seq_min;
    if (fake->seq_max > output->seq_max) output->seq_max = fake->seq_max;
    if (low < output->low) output->low = low;
    if (high > output->high) output->high = high;
}

/* In the last level, tables of about TABLE_BYTES that share the keys. */
static void put_output(const struct fake *output)
{
    const uint64_t wanted = output->bytes / TABLE_BYTES + 1, keys = output->high - output->low + 1;
    const unsigned tables =
        output->level < LEVEL_LAST ? 1 : (unsigned)(wanted < keys ? wanted : keys);
    if (output->entries < tables) return;
    for (unsigned i = 0; i < tables; i++) {
        assert_true(world.count < FAKES_MAX);
        struct fake *fake = &world.fakes[world.count++];
        *fake = *output;
        fake->bytes /= tables;
        fake->entries /= tables;
        fake->tombstones /= tables;
        fake->low = output->low + (unsigned)(i * keys / tables);
        fake->high = output->low + (unsigned)((i + 1) * keys / tables) - 1;
    }
}

static void lower_all(void)
{
    for (size_t i = world.count; i-- > 0;) { /* the oldest run first */
        struct fake *fake = &world.fakes[i];
        const uint32_t level = fake->level;
        const uint64_t number = fake->number;
        if (level >= LEVEL_WAITING) continue;
        for (size_t k = 0; k <= i; k++)
            if (world.fakes[k].level == level && world.fakes[k].number == number) {
                world.fakes[k].level = LEVEL_WAITING;
                world.fakes[k].number = world.next_number;
            }
        world.next_number++;
    }
}

/* Answers how many bytes that writes. */
static uint64_t carry_out_plan(const struct picked *plan, uint64_t oldest_seq)
{
    static bool is_kept[FAKES_MAX];
    struct fake output = {.low = KEYS, .seq_min = UINT64_MAX};
    uint32_t index = 0;
    if (plan->kind == PLAN_LOWER) {
        lower_all();
        return 0;
    }
    const bool slice = plan->kind == PLAN_SLICE;
    output.level = slice ? LEVEL_LAST : plan->level + 1;
    output.number = world.next_number++;
    for (size_t i = 0; i < world.count; i++) {
        struct fake *fake = &world.fakes[i];
        const bool is_last = slice && fake->level == LEVEL_LAST;
        bool taken = !is_last && fake->level == plan->level;
        if (is_last) {
            output.number = fake->number;
            taken = index >= plan->first && index < plan->end;
            index++;
        }
        const unsigned low = fake->from > fake->low ? fake->from : fake->low;
        is_kept[i] = true;
        if (!taken || low >= plan->to) continue;
        take_part(&output, fake, plan->to, slice && fake->seq_max <= oldest_seq);
        is_kept[i] = fake->high >= plan->to;
        fake->from = plan->to;
    }
    keep(is_kept);
    put_output(&output);
    return output.bytes;
}

static size_t settle_world(const struct pick_policy *policy, uint64_t oldest_seq)
{
    for (size_t steps = 0;; steps++) {
        const struct picked plan = pick_in_world(policy);
        if (plan.kind == PLAN_NOTHING) return steps;
        expect_legal(&plan);
        carry_out_plan(&plan, oldest_seq);
        assert_true(steps < 2000);
    }
}

/* ---- properties ------------------------------------------------------------------------------ */

static void make_random(struct rand *rand)
{
    open_world();
    if (rand_below(rand, 4) > 0)
        put_wide_run(LEVEL_LAST, 1 + (unsigned)rand_below(rand, 90),
                     1000 + rand_below(rand, 90000));
    for (uint32_t level = LEVEL_LAST; level-- > 0;) {
        const uint64_t runs = rand_below(rand, 3) == 0 ? rand_below(rand, 12) : 0;
        for (uint64_t i = 0; i < runs; i++) {
            const uint64_t entries = 1000 + rand_below(rand, 5000);
            if (rand_below(rand, 4) == 0) {
                put_wide_run(level, 1 + (unsigned)rand_below(rand, 9), entries);
                continue;
            }
            struct fake *fake =
                put_run(level, entries, rand_below(rand, 5) == 0 ? rand_below(rand, entries) : 0);
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
    for (int round = 0; round < 600; round++) {
        make_random(&rand);
        struct pick_policy policy = lazy;
        policy.runs_per_level = runs_per_level[round % 3];
        policy.idle = rand_below(&rand, 2) == 0;
        const uint64_t oldest = rand_below(&rand, world.next_seq + 1);
        policy.oldest_seq = rand_below(&rand, 2) == 0 ? 0 : oldest;
        const uint64_t debt = debt_in_world(&policy);
        const size_t steps = settle_world(&policy, oldest);
        assert_int_equal(debt_in_world(&policy), 0);
        if (debt > 0) assert_true(steps > 0);
        for (uint32_t level = 0; level < LEVEL_WAITING; level++)
            assert_in_range(runs_in(level), 0, policy.runs_per_level);
        assert_int_equal(runs_in(LEVEL_WAITING), 0);
        assert_in_range(runs_in(LEVEL_LAST), 0, 1);
        close_world();
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
        uint64_t flushed = 0, written = 0;
        open_world();
        struct pick_policy policy = lazy;
        policy.runs_per_level = cases[c].runs_per_level;
        for (int i = 0; i < 500; i++) {
            flushed += put_run(0, 1000, 0)->bytes;
            for (struct picked plan; (plan = pick_in_world(&policy)).kind != PLAN_NOTHING;) {
                expect_legal(&plan);
                written += carry_out_plan(&plan, UINT64_MAX);
            }
        }
        const double amplification = 1 + (double)written / (double)flushed;
        if (amplification > cases[c].most) fail_msg("%.1f", amplification);
        close_world();
    }
}

static void asking_changes_nothing_and_answers_the_same(void **state)
{
    struct rand rand = {6};
    (void)state;
    for (int round = 0; round < 200; round++) {
        make_random(&rand);
        const struct picked a = pick_in_world(&lazy), b = pick_in_world(&lazy);
        assert_int_equal(a.kind, b.kind);
        assert_int_equal(a.level, b.level);
        assert_int_equal(a.first, b.first);
        assert_int_equal(a.end, b.end);
        assert_int_equal(a.to, b.to);
        close_world();
    }
}

/* ---- single cases ---------------------------------------------------------------------------- */

static void expect_plan(const struct pick_policy *policy, enum plan_kind kind, uint32_t level)
{
    const struct picked plan = pick_in_world(policy);
    assert_int_equal(plan.kind, kind);
    if (kind != PLAN_NOTHING && kind != PLAN_LOWER) assert_int_equal(plan.level, level);
}

static void a_full_level_goes_one_down_while_the_last_is_large(void **state)
{
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 100000, 0);
    for (int i = 0; i < 8; i++)
        put_run(0, 100, 0);
    expect_plan(&lazy, PLAN_NOTHING, 0);
    put_run(0, 100, 0);
    expect_plan(&lazy, PLAN_JOIN, 0);
    assert_int_equal(debt_in_world(&lazy), 9 * 100 * 100);
    close_world();
}

static void a_quarter_of_the_last_takes_everything_down(void **state)
{
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 100000, 0);
    put_run(3, 24100, 0);
    for (int i = 0; i < 9; i++)
        put_run(0, 100, 0);
    expect_plan(&lazy, PLAN_LOWER, 0);
    assert_int_equal(debt_in_world(&lazy), (100000 + 24100 + 900) * 100);
    const struct picked plan = pick_in_world(&lazy);
    carry_out_plan(&plan, 0);
    assert_int_equal(runs_in(LEVEL_WAITING), 10);
    expect_plan(&lazy, PLAN_SLICE, LEVEL_WAITING);
    close_world();
}

static void the_first_full_level_founds_the_last(void **state)
{
    (void)state;
    open_world();
    for (int i = 0; i < 9; i++)
        put_run(0, 100, 0);
    expect_plan(&lazy, PLAN_LOWER, 0);
    close_world();
    open_world(); /* but not past a deeper level that is in use */
    put_run(3, 10, 0);
    for (int i = 0; i < 9; i++)
        put_run(0, 100, 0);
    expect_plan(&lazy, PLAN_JOIN, 0);
    close_world();
}

static void a_slice_ends_at_a_table_and_the_next_one_goes_on_there(void **state)
{
    (void)state;
    open_world();
    put_wide_run(LEVEL_LAST, 10, 10000); /* tables of 100 keys and 100,000 bytes */
    put_run(LEVEL_WAITING, 2000, 0);
    for (unsigned to = 400; to < 1000; to += 400) {
        struct picked plan = pick_in_world(&lazy);
        assert_int_equal(plan.kind, PLAN_SLICE);
        assert_int_equal(plan.to, to);
        assert_int_equal(plan.end - plan.first, 4);
        carry_out_plan(&plan, 0);
    }
    const struct picked plan = pick_in_world(&lazy);
    assert_int_equal(plan.to, KEYS);
    assert_int_equal(settle_world(&lazy, 0), 1);
    assert_int_equal(runs_in(LEVEL_LAST), 1);
    close_world();
}

static void a_slice_takes_a_table_of_the_last_level_from_its_begin(void **state)
{
    (void)state;
    open_world();
    put_wide_run(LEVEL_LAST, 10, 10000);
    struct fake *upper = put_run(LEVEL_WAITING, 2000, 0);
    upper->low = 250;
    upper->high = 260;
    const struct picked plan = pick_in_world(&lazy);
    assert_int_equal(plan.kind, PLAN_SLICE);
    assert_int_equal(plan.first, 2);
    assert_true(plan.end > plan.first);
    close_world();
}

static void deletes_give_the_disk_back_without_being_asked(void **state)
{
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 1000, 0);
    put_run(0, 300, 300); /* 300 of 1300 */
    expect_plan(&lazy, PLAN_NOTHING, 0);
    put_run(0, 50, 50); /* 350 of 1350 */
    expect_plan(&lazy, PLAN_LOWER, 0);
    close_world();
}

static void tombstones_that_a_snapshot_needs_ask_for_nothing(void **state)
{
    struct pick_policy policy = lazy;
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 1000, 0);
    put_run(0, 900, 900);
    policy.oldest_seq = 1000; /* a snapshot from before the deletes */
    expect_plan(&policy, PLAN_NOTHING, 0);
    policy.oldest_seq = 1900;
    expect_plan(&policy, PLAN_LOWER, 0);
    policy.tombstone_percent = 0;
    expect_plan(&policy, PLAN_NOTHING, 0);
    close_world();
}

static void tombstones_left_in_the_last_level_go_once_they_can(void **state)
{
    struct pick_policy policy = lazy;
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 1000, 400);
    expect_plan(&policy, PLAN_NOTHING, 0); /* it is not known whether they can */
    policy.oldest_seq = 999;
    expect_plan(&policy, PLAN_NOTHING, 0);
    policy.oldest_seq = 1000;
    expect_plan(&policy, PLAN_SLICE, LEVEL_LAST);
    close_world();
}

static void an_idle_store_joins_its_runs_when_it_is_worth_it(void **state)
{
    struct pick_policy policy = lazy;
    (void)state;
    policy.idle = true;
    open_world();
    expect_plan(&policy, PLAN_NOTHING, 0);
    put_run(LEVEL_LAST, 16000, 0);
    expect_plan(&policy, PLAN_NOTHING, 0);
    put_run(0, 999, 0);
    expect_plan(&policy, PLAN_NOTHING, 0);
    put_run(0, 1, 0);
    expect_plan(&policy, PLAN_LOWER, 0);
    policy.idle = false;
    expect_plan(&policy, PLAN_NOTHING, 0);
    close_world();
    open_world(); /* one run is at rest wherever it stands */
    put_run(0, 999, 0);
    policy.idle = true;
    expect_plan(&policy, PLAN_NOTHING, 0);
    close_world();
}

static void expire_fake(struct fake *fake, uint64_t count, uint64_t first_ms, uint64_t last_ms)
{
    fake->expiring = count;
    fake->expires_first_ms = first_ms;
    fake->expires_last_ms = last_ms;
}

static uint64_t next_look(uint64_t clock_ms)
{
    struct version *version = version_of_world();
    const uint64_t next_ms = pick_next_expiry_ms(version, clock_ms);
    version_unref(version);
    return next_ms;
}

static void a_table_that_has_expired_goes_if_it_lies_over_nothing(void **state)
{
    struct pick_policy policy = lazy;
    (void)state;
    open_world();
    put_run(LEVEL_LAST, 1000, 0);
    expire_fake(put_run(0, 100, 0), 100, 500, 600);
    policy.oldest_seq = 1100;
    policy.clock_ms = 600;
    expect_plan(&policy, PLAN_NOTHING, 0); /* a run below holds its keys; too little for a merge */
    for (size_t i = 0; i < world.count; i++)
        if (world.fakes[i].level == LEVEL_LAST) expire_fake(&world.fakes[i], 1000, 500, 600);
    expect_plan(&policy, PLAN_SWEEP, 0);
    policy.clock_ms = 599;
    assert_int_equal(next_look(599), 600);
    policy.clock_ms = 499;
    expect_plan(&policy, PLAN_NOTHING, 0);
    policy.clock_ms = 600;
    policy.oldest_seq = 999; /* a snapshot from before the last of them */
    expect_plan(&policy, PLAN_NOTHING, 0);
    close_world();
}

static void what_has_expired_counts_as_tombstones(void **state)
{
    struct pick_policy policy = lazy;
    (void)state;
    policy.oldest_seq = 1000;
    open_world();
    expire_fake(put_run(LEVEL_LAST, 1000, 0), 500, 100000, 300000);
    assert_true(next_look(0) == 100000);
    policy.clock_ms = 199000; /* as if they went evenly: 249 of 1000 */
    expect_plan(&policy, PLAN_NOTHING, 0);
    assert_true(next_look(199000) == 199000 + 200000 / 16);
    policy.clock_ms = 201000;
    expect_plan(&policy, PLAN_SLICE, LEVEL_LAST);
    policy.tombstone_percent = 0;
    expect_plan(&policy, PLAN_NOTHING, 0);
    assert_true(next_look(299500) == 300000);
    assert_true(next_look(300000) == UINT64_MAX);
    close_world();
}

static enum plan_kind pick_full_in_world(bool lower, const char *after)
{
    struct version *version = version_of_world();
    const struct plan plan =
        pick_full(version, &lazy, lower, after == NULL ? loam_bytes(NULL, 0) : loam_str(after));
    version_unref(version);
    return plan.kind;
}

static void a_full_merge_is_everything_until_it_is_one_clean_run(void **state)
{
    (void)state;
    open_world();
    assert_int_equal(pick_full_in_world(true, NULL), PLAN_NOTHING);
    put_run(0, 10, 0);
    assert_int_equal(pick_full_in_world(true, NULL), PLAN_LOWER);
    assert_int_equal(pick_full_in_world(false, NULL), PLAN_NOTHING); /* flushed meanwhile */
    world.fakes[0].level = LEVEL_WAITING;
    assert_int_equal(pick_full_in_world(true, NULL), PLAN_SLICE);
    world.fakes[0].level = LEVEL_LAST;
    assert_int_equal(pick_full_in_world(true, NULL), PLAN_NOTHING);
    world.fakes[0].tombstones = 1;
    assert_int_equal(pick_full_in_world(true, NULL), PLAN_SLICE);
    assert_int_equal(pick_full_in_world(true, "999"), PLAN_NOTHING); /* it was tried */
    close_world();
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
        cmocka_unit_test(a_slice_ends_at_a_table_and_the_next_one_goes_on_there),
        cmocka_unit_test(a_slice_takes_a_table_of_the_last_level_from_its_begin),
        cmocka_unit_test(deletes_give_the_disk_back_without_being_asked),
        cmocka_unit_test(tombstones_that_a_snapshot_needs_ask_for_nothing),
        cmocka_unit_test(tombstones_left_in_the_last_level_go_once_they_can),
        cmocka_unit_test(an_idle_store_joins_its_runs_when_it_is_worth_it),
        cmocka_unit_test(a_table_that_has_expired_goes_if_it_lies_over_nothing),
        cmocka_unit_test(what_has_expired_counts_as_tombstones),
        cmocka_unit_test(a_full_merge_is_everything_until_it_is_one_clean_run),
    };
    return cmocka_run_group_tests_name("tree/pick", tests, NULL, NULL);
}
