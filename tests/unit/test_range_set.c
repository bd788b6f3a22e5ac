/*
 * test_range_set.c - sets of deleted ranges against the list that they were made of.
 *
 * SEED=n replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "lib/seeds.h"
#include "record/range_set.h"

enum { RANGES_MAX = 24, BOUNDS_MAX = 4, KEY_SPACE = 30, SETS = 20000 };

struct scene {
    struct rand rand;
    uint64_t seed;
    char texts[2 * RANGES_MAX][4];
    struct range ranges[RANGES_MAX], kept[RANGES_MAX]; /* kept: in the order of making */
    size_t count;
    uint64_t bounds[BOUNDS_MAX + 1];
    size_t bound_count;
};

static loam_slice key_text(char text[static 4], uint64_t number)
{
    return loam_bytes(text, number == 0 ? 0 : (size_t)snprintf(text, 4, "%02u", (unsigned)number));
}

static void make_scene(struct scene *scene, uint64_t seed)
{
    memset(scene, 0, sizeof *scene);
    scene->seed = scene->rand.state = seed;
    scene->count = (size_t)rand_below(&scene->rand, RANGES_MAX + 1);
    for (size_t i = 0; i < scene->count; i++) {
        scene->ranges[i] = (struct range){
            key_text(scene->texts[2 * i], rand_below(&scene->rand, KEY_SPACE)),
            key_text(scene->texts[2 * i + 1], rand_below(&scene->rand, KEY_SPACE)), 1 + 3 * i};
        scene->kept[i] = scene->ranges[i];
    }
    const uint64_t newest = 3 * RANGES_MAX + 5;
    for (uint64_t at = rand_below(&scene->rand, 40); at < newest && scene->bound_count < BOUNDS_MAX;
         at += rand_below(&scene->rand, 40))
        scene->bounds[scene->bound_count++] = at;
    scene->bounds[scene->bound_count++] = newest;
}

static uint64_t cover_of_list(const struct scene *scene, loam_slice key, uint64_t seq)
{
    struct cover cover = cover_nothing();
    for (size_t i = 0; i < scene->count; i++)
        if (!range_is_empty(scene->kept[i].from, scene->kept[i].to))
            cover_meet_range(&cover, &scene->kept[i], key, seq);
    return cover.seq;
}

static uint64_t cover_plainly(const struct scene *scene, loam_slice key, uint64_t seq)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < scene->count; i++) {
        const struct range *range = &scene->kept[i];
        const bool holds = bytes_compare(key, range->from) >= 0 &&
                           (range->to.len == 0 || bytes_compare(key, range->to) < 0);
        if (holds && range->seq <= seq && range->seq > newest) newest = range->seq;
    }
    return newest;
}

#define expect(scene, condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("SEED=%llu: %s", (unsigned long long)(scene)->seed, #condition);              \
    } while (0)

/* At every key and for every reader, what the list says; and the same at both ends of where the answer holds. */
static void compare(const struct scene *scene, const struct range_set *set)
{
    char text[4];
    for (uint64_t number = 0; number < KEY_SPACE + 1; number++)
        for (size_t b = 0; b < scene->bound_count; b++) {
            const loam_slice key = key_text(text, number);
            const uint64_t seq = scene->bounds[b], want = cover_plainly(scene, key, seq);
            struct cover cover = cover_nothing();
            range_set_meet(set, &cover, key, seq);
            expect(scene, cover_holds(&cover, key));
            expect(scene, cover.seq == want);
            expect(scene, cover_of_list(scene, key, seq) == want);
            expect(scene, cover_plainly(scene, cover.low, seq) == want);
            expect(scene,
                   range_set_holds(set, key, &key, want == 0 ? 0 : want - 1, seq) == (want > 0));
            expect(scene, !range_set_holds(set, key, &key, want, seq));
        }
}

static void compare_bytes(const struct scene *scene, const struct range_set *set)
{
    loam_buf bytes = {0}, again = {0};
    struct range_set *read;
    expect(scene, range_set_encode(set, &bytes) == LOAM_OK);
    expect(scene, range_set_decode(loam_bytes(bytes.data, bytes.len), &read) == LOAM_OK);
    expect(scene, (set == NULL) == (read == NULL));
    expect(scene, range_set_weight(set) == range_set_weight(read));
    compare(scene, read);
    expect(scene, range_set_encode(read, &again) == LOAM_OK);
    expect(scene, again.len == bytes.len);
    if (bytes.len > 0) expect(scene, memcmp(again.data, bytes.data, bytes.len) == 0);
    range_set_unref(read);
    loam_buf_free(&bytes);
    loam_buf_free(&again);
}

static loam_status gather(void *ctx, const struct range *range)
{
    loam_buf *ranges = ctx;
    return buf_append(ranges, range, sizeof *range);
}

/* What a set is cut into makes the same set. */
static void compare_pieces(const struct scene *scene, const struct range_set *set)
{
    loam_buf pieces = {0};
    struct range_set *again;
    expect(scene, range_set_each(set, gather, &pieces) == LOAM_OK);
    expect(scene, range_set_new(pieces.data, pieces.len / sizeof(struct range), scene->bounds,
                                scene->bound_count, &again) == LOAM_OK);
    expect(scene, range_set_weight(set) == range_set_weight(again));
    compare(scene, again);
    range_set_unref(again);
    loam_buf_free(&pieces);
}

static void sets_equal_the_list(void **state)
{
    (void)state;
    struct seeds seeds = seeds_begin("SETS", SETS / (uint32_t)environment_number("SLOWDOWN", 1));
    uint64_t seed;
    while (seeds_next(&seeds, &seed)) {
        struct scene scene;
        struct range_set *set;
        make_scene(&scene, seed);
        expect(&scene, range_set_new(scene.ranges, scene.count, scene.bounds, scene.bound_count,
                                     &set) == LOAM_OK);
        compare(&scene, set);
        compare_bytes(&scene, set);
        compare_pieces(&scene, set);
        range_set_unref(set);
    }
    assert_int_equal(mem_live_count(), 0);
}

/* So many that looking for the next one climbs. */
static void thousands_equal_the_list(void **state)
{
    enum { MANY = 9000, KEYS = 700 };
    static struct range ranges[MANY];
    static char texts[KEYS][16];
    static const uint64_t bounds[] = {0, 4000, 4001, 7777, 2 * MANY};
    struct rand rand = {7};
    struct range_set *set, *whole;
    (void)state;
    for (int i = 0; i < KEYS; i++)
        snprintf(texts[i], 16, "%04d", i);
    for (int i = 0; i < MANY; i++) {
        const uint64_t from = rand_below(&rand, KEYS), width = rand_below(&rand, 9);
        const loam_slice to = rand_below(&rand, 500) == 0 || from + width >= KEYS
                                  ? loam_bytes(NULL, 0)
                                  : loam_bytes(texts[from + width], 4);
        ranges[i] = (struct range){loam_bytes(texts[from], 4), to, (uint64_t)(i * 7919 % MANY + 1)};
    }
    assert_int_equal(range_set_new(ranges, MANY, bounds, 5, &set), LOAM_OK);
    assert_int_equal(range_set_new_whole(ranges, MANY, UINT64_MAX, &whole), LOAM_OK);
    assert_true(range_set_weight(whole) > range_set_weight(set));
    for (int k = 0; k < KEYS; k++)
        for (int b = 0; b < 5; b++) {
            const loam_slice key = loam_bytes(texts[k], 4);
            uint64_t want = 0;
            for (int i = 0; i < MANY; i++)
                if (ranges[i].seq <= bounds[b] && ranges[i].seq > want &&
                    bytes_compare(key, ranges[i].from) >= 0 &&
                    (ranges[i].to.len == 0 || bytes_compare(key, ranges[i].to) < 0))
                    want = ranges[i].seq;
            struct cover pruned = cover_nothing(), all = cover_nothing();
            range_set_meet(set, &pruned, key, bounds[b]);
            range_set_meet(whole, &all, key, bounds[b]);
            assert_int_equal(pruned.seq, want);
            assert_int_equal(all.seq, want);
        }
    range_set_unref(set);
    assert_int_equal(range_set_new_whole(ranges, MANY, range_set_weight(whole) - 1, &set),
                     LOAM_TOOBIG);
    range_set_unref(whole);
    assert_int_equal(mem_live_count(), 0);
}

/* Nobody reads between them: one number for each key is left. */
static void what_nobody_tells_apart_is_one(void **state)
{
    (void)state;
    struct range ranges[RANGES_MAX];
    struct range_set *set;
    const uint64_t bounds[] = {1000};
    for (size_t i = 0; i < RANGES_MAX; i++)
        ranges[i] = (struct range){loam_str("a"), loam_str("b"), i + 1};
    assert_int_equal(range_set_new(ranges, RANGES_MAX, bounds, 1, &set), LOAM_OK);
    assert_int_equal(set->mark_count, 2);
    assert_int_equal(set->marks[0].seq_count, 1);
    assert_int_equal(set->seq_max, RANGES_MAX);
    range_set_unref(set);
}

static void damaged_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x01", 1}, /* a key that is not there */
        {"\x01"
         "a",
         2}, /* no number of seqs */
        {"\x01"
         "a\x01",
         3}, /* a seq that is not there */
        {"\x01"
         "a\x01\x00",
         4}, /* 0 */
        {"\x01"
         "a\x00",
         3}, /* a first mark without any */
        {"\x01"
         "a\x02\x03\x03",
         5}, /* not descending */
        {"\x01"
         "b\x01\x03\x01"
         "a\x00",
         7}, /* keys out of order */
        {"\x01"
         "a\x01\x03\x01"
         "b\x01\x03",
         8}, /* two that are one */
        {"\xff\xff\x04"
         "a\x01\x03",
         6}, /* a key of 81,919 bytes */
        {"\x01"
         "a\xff\xff\xff\xff\x0f\x03",
         8}, /* four thousand million seqs */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct range_set *set;
        assert_int_equal(range_set_decode(loam_bytes(cases[i].bytes, cases[i].len), &set),
                         LOAM_CORRUPT);
        assert_null(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sets_equal_the_list),
                                       cmocka_unit_test(thousands_equal_the_list),
                                       cmocka_unit_test(what_nobody_tells_apart_is_one),
                                       cmocka_unit_test(damaged_bytes_are_refused)};
    return cmocka_run_group_tests_name("record/range_set", tests, NULL, NULL);
}
