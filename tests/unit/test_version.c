/*
 * test_version.c - versions of random runs and clips answer as a sorted array does; broken layouts
 * are named.
 *
 * The array is built from the same runs: an entry of a run is in it when a clip of the run shows
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/sst_lab.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "tree/version.h"

enum { KEY_SPACE = 400, WORLDS = 60 };

struct world {
    struct sst_lab lab;
    struct rand rand;
    struct version *version;
    struct sst_rows runs[16]; /* what each run shows, newest first */
    struct sst_rows all;
    size_t run_count;
    uint64_t top_seq;
};

static loam_slice key_of(uint64_t number, char text[static 8])
{
    snprintf(text, 8, "%04u", (unsigned)number % 10000);
    return loam_bytes(text, 4);
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct table *make_table(struct world *world, struct sst_rows *rows)
{
    const struct table_writer_options options = {.filter_bits_per_key = 10, .page_bytes = 256};
    struct table_meta meta;
    struct table *table;
    sst_rows_sort(rows);
    assert_int_equal(sst_build(&world->lab, rows, &options, &meta), LOAM_OK);
    assert_int_equal(sst_table(&world->lab, &meta, &table), LOAM_OK);
    table_meta_deinit(&meta);
    return table;
}

static void show_rows(struct sst_rows *shown, const struct sst_rows *rows,
                      const struct table_ref *ref)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct entry *entry = &rows->at[i];
        if (bytes_compare(entry->key, ref->from) < 0) continue;
        if (ref->to.len > 0 && bytes_compare(entry->key, ref->to) >= 0) continue;
        sst_rows_add(shown, entry->key, entry->seq, entry->kind, entry->value);
    }
}

static void fill_table(struct world *world, struct sst_rows *rows, uint64_t low, uint64_t high,
                       uint64_t first_seq)
{
    char text[8];
    const uint64_t count = 1 + rand_below(&world->rand, 40);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t number = low + rand_below(&world->rand, high - low);
        const bool put = rand_below(&world->rand, 4) > 0;
        sst_rows_add(rows, key_of(number, text), first_seq + i, put ? ENTRY_PUT : ENTRY_DELETE,
                     put ? loam_str("value") : (loam_slice){0});
    }
}

/* A run over all keys whose tables each have a part, with clips that leave something to see. */
static void make_run(struct world *world, uint32_t level, uint64_t number, uint64_t first_seq)
{
    char from[8][8], to[8][8];
    struct table_ref refs[8];
    const uint32_t parts = 1 + (uint32_t)rand_below(&world->rand, 8);
    uint32_t count = 0;
    struct sst_rows *shown = &world->runs[world->run_count++];
    memset(refs, 0, sizeof refs);
    for (uint32_t i = 0; i < parts; i++) {
        struct sst_rows rows = {0};
        const uint64_t low = i * (KEY_SPACE / parts), high = low + KEY_SPACE / parts;
        fill_table(world, &rows, low, high, first_seq + 40 * i);
        struct table_ref *ref = &refs[count];
        *ref = (struct table_ref){.table = make_table(world, &rows)};
        const struct table_meta *meta = table_meta(ref->table);
        if (rand_below(&world->rand, 3) == 0)
            ref->from = key_of(low + rand_below(&world->rand, high - low), from[i]);
        if (rand_below(&world->rand, 3) == 0)
            ref->to = key_of(low + rand_below(&world->rand, high - low), to[i]);
        const bool nothing = bytes_compare(ref->from, meta->largest) > 0 ||
                             (ref->to.len > 0 && (bytes_compare(ref->to, meta->smallest) <= 0 ||
                                                  bytes_compare(ref->from, ref->to) >= 0));
        if (nothing) {
            ref->from = ref->to = (loam_slice){0};
        }
        show_rows(shown, &rows, ref);
        sst_rows_free(&rows);
        count++;
    }
    struct run *run = run_new(number, refs, count);
    assert_non_null(run);
    for (uint32_t i = 0; i < count; i++)
        table_unref(refs[i].table);
    assert_int_equal(version_add_run(world->version, level, run), LOAM_OK);
    run_unref(run);
}

static void make_world_in(struct world *world, uint64_t seed, uint64_t cache_bytes)
{
    memset(world, 0, sizeof *world);
    sst_lab_open(&world->lab, cache_bytes);
    world->rand.state = seed;
    world->version = version_new();
    assert_non_null(world->version);
    const size_t runs = rand_below(&world->rand, 8);
    uint64_t seq = 1000000;
    world->top_seq = seq;
    for (size_t i = 0; i < runs; i++) {
        const bool last = i + 1 == runs;
        seq -= 1000;
        make_run(world, last ? LEVEL_LAST : (uint32_t)(i / 2), 100 - i, seq);
    }
    for (size_t i = 0; i < world->run_count; i++)
        for (size_t k = 0; k < world->runs[i].count; k++) {
            const struct entry *entry = &world->runs[i].at[k];
            sst_rows_add(&world->all, entry->key, entry->seq, entry->kind, entry->value);
        }
    if (world->all.count > 0) sst_rows_sort(&world->all);
    if (version_check(world->version) != LOAM_OK) fail_msg("%s", loam_errmsg());
}

static void make_world(struct world *world, uint64_t seed)
{
    make_world_in(world, seed, 1 << 20);
}

static void free_world(struct world *world)
{
    version_unref(world->version);
    for (size_t i = 0; i < world->run_count; i++)
        sst_rows_free(&world->runs[i]);
    sst_rows_free(&world->all);
    sst_lab_close(&world->lab);
}

/* ---- the model ------------------------------------------------------------------------------- */

/* The index of the first row at or after (key, seq). */
static size_t model_at(const struct sst_rows *rows, loam_slice key, uint64_t seq)
{
    size_t at = 0;
    while (at < rows->count && entry_compare(rows->at[at].key, rows->at[at].seq, key, seq) < 0)
        at++;
    return at;
}

static void expect_entry(const struct entry *got, const struct entry *want)
{
    assert_true(bytes_equal(got->key, want->key));
    assert_int_equal(got->seq, want->seq);
    assert_int_equal(got->kind, want->kind);
    assert_true(bytes_equal(got->value, want->value));
}

/* index may be -1 or count: beyond an end. */
static void expect_at(loam_status rc, const struct iter *iter, const struct sst_rows *rows,
                      int64_t index)
{
    const bool inside = index >= 0 && index < (int64_t)rows->count;
    assert_int_equal(rc, inside ? LOAM_OK : LOAM_NOTFOUND);
    if (inside) expect_entry(iter->at, &rows->at[index]);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void check_gets(struct world *world)
{
    char text[8];
    for (int i = 0; i < 300; i++) {
        const loam_slice key = key_of(rand_below(&world->rand, KEY_SPACE + 20), text);
        const uint64_t seq = rand_below(&world->rand, 3) == 0
                                 ? SEQ_MAX
                                 : world->top_seq - rand_below(&world->rand, 9000);
        struct table_hit hit;
        const size_t at = model_at(&world->all, key, seq);
        const bool there = at < world->all.count && bytes_equal(world->all.at[at].key, key);
        const loam_status rc = version_get(world->version, key, hash_key(key), seq, &hit);
        assert_int_equal(rc, there ? LOAM_OK : LOAM_NOTFOUND);
        if (!there) continue;
        expect_entry(&hit.entry, &world->all.at[at]);
        table_hit_release(&hit);
    }
}

static void get_finds_the_newest_visible_version_that_a_clip_shows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        struct world world;
        make_world(&world, seed);
        check_gets(&world);
        free_world(&world);
    }
}

/* Both in one frame of the page cache, the smallest there are: so who left the first one has not unpinned it. */
static bool is_same_page(const void *one, const void *other)
{
    return ((uintptr_t)one ^ (uintptr_t)other) < 4096;
}

static void walk_randomly(struct world *world, struct iter *iter, const struct sst_rows *rows,
                          bool is_cached)
{
    char text[8];
    int64_t at = -1;
    bool stands = false;
    for (int i = 0; i < 400; i++) {
        const uint64_t move = rand_below(&world->rand, stands ? 12 : 4);
        const loam_slice key = key_of(rand_below(&world->rand, KEY_SPACE + 20), text);
        const uint64_t seq = rand_below(&world->rand, 2) == 0
                                 ? SEQ_MAX * rand_below(&world->rand, 2)
                                 : world->top_seq - rand_below(&world->rand, 9000);
        const void *kept = stands && iter->keeps ? iter->at->key.data : NULL;
        const size_t kept_len = kept != NULL ? iter->at->key.len : 0;
        uint8_t copy[16];
        assert_true(kept_len <= sizeof copy);
        if (kept != NULL) memcpy(copy, kept, kept_len);
        loam_status rc;
        if (move == 0) {
            at = 0;
            rc = iter->ops->first(iter);
        } else if (move == 1) {
            at = (int64_t)rows->count - 1;
            rc = iter->ops->last(iter);
        } else if (move == 2) {
            at = (int64_t)model_at(rows, key, seq);
            rc = iter->ops->seek(iter, key, seq);
        } else if (move == 3) {
            at = (int64_t)model_at(rows, key, seq);
            const bool exact = at < (int64_t)rows->count &&
                               entry_compare(rows->at[at].key, rows->at[at].seq, key, seq) == 0;
            at -= exact ? 0 : 1;
            rc = iter->ops->seek_back(iter, key, seq);
        } else if (move < 8) {
            at++;
            rc = iter->ops->next(iter);
        } else {
            at--;
            rc = iter->ops->prev(iter);
        }
        expect_at(rc, iter, rows, at);
        stands = rc == LOAM_OK;
        if (kept != NULL && move >= 4) assert_memory_equal(copy, kept, kept_len);
        if (is_cached && kept != NULL && move >= 4)
            assert_true(stands && is_same_page(kept, iter->at->key.data));
    }
}

static void a_run_is_walked_both_ways_as_its_clips_show_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        struct world world;
        struct iter *iters[16];
        /* With room for all pages, so that a scan has none of its own; without any; as a merge. */
        const bool is_cached = seed % 3 == 0;
        make_world_in(&world, seed, is_cached ? 64 << 20 : 1 << 16);
        assert_int_equal(version_run_count(world.version), world.run_count);
        assert_int_equal(
            version_iters(world.version, seed % 3 == 1 ? TABLE_ITER_BULK : 0, NULL, iters),
            LOAM_OK);
        for (size_t i = 0; i < world.run_count; i++) {
            if (world.runs[i].count > 0) sst_rows_sort(&world.runs[i]);
            walk_randomly(&world, iters[i], &world.runs[i], is_cached);
            iter_close(iters[i]);
        }
        free_world(&world);
    }
}

static void iterators_that_find_no_memory_leave_nothing_open(void **state)
{
    struct world world;
    struct iter *iters[16];
    loam_status rc = LOAM_NOMEM;
    (void)state;
    make_world(&world, 3);
    assert_true(world.run_count > 1);
    for (uint64_t nth = 1; rc == LOAM_NOMEM; nth++) {
        mem_fail_at(nth, 0);
        rc = version_iters(world.version, 0, NULL, iters);
    }
    mem_fail_at(0, 0);
    assert_int_equal(rc, LOAM_OK);
    for (size_t i = 0; i < world.run_count; i++)
        iter_close(iters[i]);
    free_world(&world);
}

static void covers_below_sees_every_key_of_older_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        struct world world;
        char text[8];
        make_world(&world, seed);
        for (uint64_t number = 0; number < KEY_SPACE; number++) {
            const loam_slice key = key_of(number, text);
            for (size_t from = 0; from < world.run_count; from++) {
                bool there = false;
                for (size_t i = from + 1; i < world.run_count; i++) {
                    const size_t at = model_at(&world.runs[i], key, SEQ_MAX);
                    there |= at < world.runs[i].count && bytes_equal(world.runs[i].at[at].key, key);
                }
                const uint32_t level =
                    from + 1 == world.run_count ? LEVEL_LAST : (uint32_t)(from / 2);
                const bool covers =
                    version_covers_below(world.version, level, 100 - from, key, key);
                if (there) assert_true(covers);
                if (from + 1 == world.run_count) assert_false(covers);
            }
        }
        free_world(&world);
    }
}

/* ---- layouts --------------------------------------------------------------------------------- */

struct ref_text { /* one table of a layout, by words */
    uint32_t level;
    uint64_t run;
    const char *smallest, *largest, *from, *to;
    uint64_t seq_min, seq_max;
};

static struct table *fabricate(struct page_cache *cache, const struct ref_text *text, uint64_t uid)
{
    const struct table_owner owner = {.cache = cache};
    const struct table_meta meta = {.object = {1, (uint32_t)uid},
                                    .bytes = 1000,
                                    .uid = uid,
                                    .smallest = loam_str(text->smallest),
                                    .largest = loam_str(text->largest),
                                    .seq_min = text->seq_min,
                                    .seq_max = text->seq_max,
                                    .entry_count = 100,
                                    .page_count = 1};
    struct table *table;
    assert_int_equal(table_new(&owner, &meta, &table), LOAM_OK);
    return table;
}

static loam_slice optional(const char *text)
{
    return text == NULL ? (loam_slice){0} : loam_str(text);
}

/* Tables of one run follow each other in the array. */
static loam_status check_layout(const struct ref_text *texts, size_t count)
{
    struct page_cache *cache;
    struct version *version = version_new();
    assert_non_null(version);
    assert_int_equal(page_cache_new(1 << 20, &cache), LOAM_OK);
    for (size_t i = 0, next; i < count; i = next) {
        struct table_ref refs[8];
        uint32_t refs_count = 0;
        for (next = i; next < count && texts[next].run == texts[i].run; next++)
            refs[refs_count++] =
                (struct table_ref){.table = fabricate(cache, &texts[next], next + 1),
                                   .from = optional(texts[next].from),
                                   .to = optional(texts[next].to)};
        struct run *run = run_new(texts[i].run, refs, refs_count);
        assert_non_null(run);
        assert_int_equal(version_add_run(version, texts[i].level, run), LOAM_OK);
        run_unref(run);
        while (refs_count > 0)
            table_unref(refs[--refs_count].table);
    }
    const loam_status rc = version_check(version);
    version_unref(version);
    page_cache_free(cache);
    return rc;
}

#define expect_layout(want, ...)                                                                   \
    do {                                                                                           \
        const struct ref_text texts[] = {__VA_ARGS__};                                             \
        assert_int_equal(check_layout(texts, sizeof texts / sizeof texts[0]), want);               \
    } while (0)

static void sound_layouts_pass(void **state)
{
    (void)state;
    /* flushes over a merged run */
    expect_layout(LOAM_OK, {0, 9, "a", "z", NULL, NULL, 30, 40},
                  {0, 8, "a", "z", NULL, NULL, 20, 29}, {7, 3, "a", "m", NULL, NULL, 1, 19},
                  {7, 3, "n", "z", NULL, NULL, 1, 19});
    /* numbers need not fall from level to level */
    expect_layout(LOAM_OK, {0, 3, "a", "z", NULL, NULL, 30, 40},
                  {1, 9, "a", "z", NULL, NULL, 20, 29});
    /* clips make room for each other */
    expect_layout(LOAM_OK, {7, 3, "a", "p", NULL, "k", 1, 9}, {7, 3, "c", "z", "k", NULL, 1, 9});
    /* the lower half of a run has gone down: times cross, keys do not */
    expect_layout(LOAM_OK, {0, 9, "a", "z", "m", NULL, 30, 40}, {7, 3, "a", "l", NULL, NULL, 1, 40},
                  {7, 3, "m", "z", NULL, NULL, 1, 29});
    /* an empty key is a key */
    expect_layout(LOAM_OK, {0, 9, "", "", NULL, NULL, 30, 40},
                  {0, 8, "a", "z", NULL, NULL, 35, 45});
}

static void broken_layouts_are_corrupt(void **state)
{
    (void)state;
    /* two tables of a run share a key, or stand in the wrong order */
    expect_layout(LOAM_CORRUPT, {7, 3, "a", "m", NULL, NULL, 1, 9},
                  {7, 3, "m", "z", NULL, NULL, 1, 9});
    expect_layout(LOAM_CORRUPT, {7, 3, "n", "z", NULL, NULL, 1, 9},
                  {7, 3, "a", "m", NULL, NULL, 1, 9});
    /* a clip shows nothing: beyond the table, before it, or of no width */
    expect_layout(LOAM_CORRUPT, {7, 3, "a", "m", "n", NULL, 1, 9});
    expect_layout(LOAM_CORRUPT, {7, 3, "b", "m", NULL, "b", 1, 9});
    expect_layout(LOAM_CORRUPT, {7, 3, "a", "m", "c", "c", 1, 9});
    /* two runs in the last level, two of one number */
    expect_layout(LOAM_CORRUPT, {7, 4, "a", "b", NULL, NULL, 10, 12},
                  {7, 3, "c", "d", NULL, NULL, 1, 9});
    /* older entries in a newer run: within a level, between levels, at one key, at one sequence */
    expect_layout(LOAM_CORRUPT, {0, 9, "a", "z", NULL, NULL, 1, 9},
                  {0, 8, "a", "z", NULL, NULL, 10, 19});
    expect_layout(LOAM_CORRUPT, {0, 9, "a", "m", NULL, NULL, 1, 9},
                  {5, 2, "m", "z", NULL, NULL, 9, 19});
    /* tables that meet only because a clip is too wide */
    expect_layout(LOAM_CORRUPT, {0, 9, "a", "z", "k", NULL, 30, 40},
                  {7, 3, "a", "l", NULL, NULL, 1, 40}, {7, 3, "m", "z", NULL, NULL, 1, 29});
}

static void clips_make_a_share_of_a_table(void **state)
{
    struct page_cache *cache;
    const struct ref_text whole = {
        .smallest = "key000", .largest = "key999", .seq_min = 1, .seq_max = 9};
    (void)state;
    assert_int_equal(page_cache_new(1 << 20, &cache), LOAM_OK);
    struct table_ref ref = {.table = fabricate(cache, &whole, 1)};
    ref.from = loam_str("key250");
    ref.to = loam_str("key750");
    struct run *run = run_new(1, &ref, 1);
    assert_non_null(run);
    assert_in_range(run->bytes, 400, 600);
    assert_in_range(run->entry_count, 40, 60);
    assert_int_equal(run->bytes, run->tables[0].bytes);
    run_unref(run);
    table_unref(ref.table);
    page_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_finds_the_newest_visible_version_that_a_clip_shows),
        cmocka_unit_test(a_run_is_walked_both_ways_as_its_clips_show_it),
        cmocka_unit_test(iterators_that_find_no_memory_leave_nothing_open),
        cmocka_unit_test(covers_below_sees_every_key_of_older_runs),
        cmocka_unit_test(sound_layouts_pass),
        cmocka_unit_test(broken_layouts_are_corrupt),
        cmocka_unit_test(clips_make_a_share_of_a_table),
    };
    return cmocka_run_group_tests_name("tree/version", tests, NULL, NULL);
}
