/*
 * test_memtable.c - a memtable answers as a sorted array of all its versions would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "memtable/memtable.h"

/* What the memtable should hold: entries in the order of entry.h once sorted. */
struct model {
    struct entry *entries;
    size_t count, cap;
    struct arena_pool *pool;
    struct memtable *memtable;
    struct rand rand;
};

static int order_of_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return entry_compare(x->key, x->seq, y->key, y->seq);
}

static struct model new_model(size_t bytes_hint, uint64_t seed)
{
    struct model model = {.rand = {seed}};
    model.pool = arena_pool_new((size_t)32 << 20);
    model.memtable = memtable_new(model.pool, bytes_hint);
    assert_non_null(model.memtable);
    return model;
}

static void free_model(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        mem_free((void *)(uintptr_t)model->entries[i].key.data);
        mem_free((void *)(uintptr_t)model->entries[i].value.data);
    }
    mem_free(model->entries);
    memtable_unref(model->memtable);
    arena_pool_free(model->pool);
}

static void sort_model(struct model *model)
{
    qsort(model->entries, model->count, sizeof *model->entries, order_of_entries);
}

/* Remembers and returns an entry with the next sequence number; every eighth is a delete. */
static struct entry *model_put(struct model *model, const void *key, size_t key_bytes)
{
    if (model->count == model->cap) {
        model->cap = model->cap * 2 + 16;
        model->entries = mem_realloc(model->entries, model->cap * sizeof *model->entries);
        assert_non_null(model->entries);
    }
    struct entry *entry = &model->entries[model->count];
    *entry = (struct entry){.key = {mem_copy(key, key_bytes), key_bytes}, .seq = ++model->count};
    entry->kind = rand_below(&model->rand, 8) == 0 ? ENTRY_DELETE : ENTRY_PUT;
    if (entry->kind == ENTRY_DELETE) return entry;
    uint8_t value[64];
    const size_t value_bytes = (size_t)rand_below(&model->rand, sizeof value);
    memset(value, (int)(entry->seq % 256), sizeof value);
    entry->value = (loam_slice){mem_copy(value, value_bytes), value_bytes};
    return entry;
}

static void add_entry(struct model *model, const struct entry *entry, struct memtable_near near)
{
    memtable_add(model->memtable, entry, hash_key(entry->key), near);
}

static void put(struct model *model, const void *key, size_t key_bytes)
{
    const struct entry *entry = model_put(model, key, key_bytes);
    assert_int_equal(memtable_reserve(model->memtable, 1, entry->key.len + entry->value.len),
                     LOAM_OK);
    add_entry(model, entry, (struct memtable_near){0});
}

static void assert_same_entry(const struct entry *got, const struct entry *want)
{
    assert_int_equal(got->seq, want->seq);
    assert_int_equal(got->kind, want->kind);
    assert_true(bytes_equal(got->key, want->key));
    assert_true(bytes_equal(got->value, want->value));
}

/* The index of the first entry at or after (key, seq) in the sorted model. */
static size_t model_seek(const struct model *model, loam_slice key, uint64_t seq)
{
    size_t low = 0, high = model->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct entry *entry = &model->entries[middle];
        if (entry_compare(entry->key, entry->seq, key, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void assert_get_answers(const struct model *model, loam_slice key, uint64_t seq)
{
    struct entry got;
    const size_t at = model_seek(model, key, seq);
    const bool want = at < model->count && bytes_equal(model->entries[at].key, key);
    assert_int_equal(memtable_get(model->memtable, key, hash_key(key), seq, &got), want);
    if (want) assert_same_entry(&got, &model->entries[at]);
}

static loam_slice any_key(struct model *model)
{
    return model->entries[rand_below(&model->rand, model->count)].key;
}

static void check_gets(struct model *model)
{
    for (unsigned i = 0; i < 20000; i++) {
        const uint64_t bound = rand_below(&model->rand, model->count + 2);
        assert_get_answers(model, any_key(model), i % 2 == 0 ? SEQ_MAX : bound);
        uint8_t near[80];
        const loam_slice key = any_key(model);
        const size_t len = key.len < sizeof near ? key.len : sizeof near;
        if (len == 0) continue;
        memcpy(near, key.data, len);
        near[rand_below(&model->rand, len)] ^= (uint8_t)(1u << rand_below(&model->rand, 8));
        assert_get_answers(model, loam_bytes(near, len - i % 2), SEQ_MAX);
    }
}

static void check_full_walks(const struct model *model)
{
    struct iter *iter;
    assert_int_equal(memtable_iter_new(model->memtable, &iter), LOAM_OK);
    size_t at = 0;
    loam_status rc = iter->ops->first(iter);
    for (; rc == LOAM_OK; rc = iter->ops->next(iter))
        assert_same_entry(iter->at, &model->entries[at++]);
    assert_int_equal(rc, LOAM_NOTFOUND);
    assert_int_equal(at, model->count);
    for (rc = iter->ops->last(iter); rc == LOAM_OK; rc = iter->ops->prev(iter))
        assert_same_entry(iter->at, &model->entries[--at]);
    assert_int_equal(rc, LOAM_NOTFOUND);
    assert_int_equal(at, 0);
    iter_close(iter);
}

/* at counts from 1 so that 0 is in front of all; count + 1 is behind all. */
static size_t random_jump(struct model *model, struct iter *iter, loam_status *rc)
{
    const uint64_t choice = rand_below(&model->rand, 20);
    if (choice == 0) {
        *rc = iter->ops->first(iter);
        return 1;
    }
    if (choice == 1) {
        *rc = iter->ops->last(iter);
        return model->count;
    }
    uint8_t bytes[80];
    loam_slice key = any_key(model);
    if (choice % 4 == 0 && key.len > 0 && key.len < sizeof bytes) {
        memcpy(bytes, key.data, key.len);
        bytes[key.len - 1] ^= 1;
        key.data = bytes;
    }
    const uint64_t below = rand_below(&model->rand, model->count + 1);
    const uint64_t seq = choice % 3 == 0 ? SEQ_MAX : choice % 3 == 1 ? 0 : below;
    const size_t at = model_seek(model, key, seq);
    if (choice % 2 == 0) {
        *rc = iter->ops->seek(iter, key, seq);
        return at + 1;
    }
    *rc = iter->ops->seek_back(iter, key, seq);
    const bool is_there = at < model->count && model->entries[at].seq == seq &&
                          bytes_equal(model->entries[at].key, key);
    return is_there ? at + 1 : at;
}

static void check_random_walk(struct model *model)
{
    struct iter *iter;
    loam_status rc = LOAM_NOTFOUND;
    size_t at = 0;
    assert_int_equal(memtable_iter_new(model->memtable, &iter), LOAM_OK);
    for (unsigned i = 0; i < 60000; i++) {
        const uint64_t choice = rand_below(&model->rand, 16);
        if (rc != LOAM_OK || choice == 0) {
            at = random_jump(model, iter, &rc);
        } else if (choice % 2 == 0) {
            rc = iter->ops->next(iter);
            at++;
        } else {
            rc = iter->ops->prev(iter);
            at--;
        }
        const bool is_inside = at > 0 && at <= model->count;
        assert_int_equal(rc, is_inside ? LOAM_OK : LOAM_NOTFOUND);
        if (is_inside) assert_same_entry(iter->at, &model->entries[at - 1]);
    }
    iter_close(iter);
}

static void check_all(struct model *model)
{
    const struct memtable_stats stats = memtable_stats(model->memtable);
    uint64_t payload = 0;
    sort_model(model);
    for (size_t i = 0; i < model->count; i++)
        payload += model->entries[i].key.len + model->entries[i].value.len;
    assert_int_equal(stats.entry_count, model->count);
    assert_int_equal(stats.payload_bytes, payload);
    assert_int_equal(stats.seq_min, 1);
    assert_int_equal(stats.seq_max, model->count);
    assert_true(stats.arena_bytes > payload);
    check_full_walks(model);
    check_random_walk(model);
    check_gets(model);
}

/* Makes the number-th key of a pattern; returns its length. */
typedef size_t key_maker(uint8_t *key, uint64_t number, uint64_t chance);

enum { PATTERN_KEYS = 40000, BATCH_MAX = 1500, MADE_KEY_BYTES = 400 };

static size_t make_random(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)number;
    put_u64(key, chance);
    put_u64(key + 8, ~chance * 7);
    return 16;
}

static size_t make_short_binary(uint8_t *key, uint64_t number, uint64_t chance)
{
    static const uint8_t alphabet[] = {0, 0, 1, 255};
    (void)number;
    const size_t len = chance % 14;
    for (size_t i = 0; i < len; i++)
        key[i] = alphabet[(chance >> (8 + 2 * i)) % 4];
    return len;
}

static size_t make_decimal(uint8_t *key, uint64_t number)
{
    return (size_t)snprintf((char *)key, MADE_KEY_BYTES, "%016llu", (unsigned long long)number);
}

static size_t make_sequential(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)chance;
    return make_decimal(key, number);
}

static size_t make_reverse(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)chance;
    return make_decimal(key, PATTERN_KEYS - number);
}

static size_t make_shuffled(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)chance;
    return make_decimal(key, number * 7919 % PATTERN_KEYS);
}

/* Long shared beginnings; 16 equal bytes within them make whole nodes of equal heads. */
static size_t make_long(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)number;
    const size_t group = chance % 5;
    memset(key, 'a', MADE_KEY_BYTES);
    key[group * 60] = (uint8_t)('b' + chance / 5 % 3);
    put_u32(key + 300, (uint32_t)(chance >> 20) % 5000);
    return 304 + (chance >> 40) % 3;
}

/* Runs of keys under a few beginnings of their own: the leaf between two of them is split where the longer prefix ends. */
static size_t make_groups(uint8_t *key, uint64_t number, uint64_t chance)
{
    static const char *const groups[] = {"", "a", "customer-1/", "customer-2/", "customer-20/"};
    const char *group = groups[number / 7 % 5];
    memcpy(key, group, strlen(group));
    put_u64(key + strlen(group), chance);
    return strlen(group) + 1 + chance % 8;
}

static size_t make_few(uint8_t *key, uint64_t number, uint64_t chance)
{
    (void)number;
    return make_decimal(key, chance % 50);
}

static void fill(struct model *model, key_maker *make, size_t count)
{
    uint8_t key[MADE_KEY_BYTES + 1];
    for (size_t i = 0; i < count; i++)
        put(model, key, make(key, i, rand_next(&model->rand)));
}

static void it_answers_as_a_sorted_array_for_every_pattern(void **state)
{
    static const struct {
        const char *name;
        key_maker *make;
    } patterns[] = {
        {"random", make_random},   {"short binary", make_short_binary},
        {"few keys", make_few},    {"sequential", make_sequential},
        {"reverse", make_reverse}, {"shuffled", make_shuffled},
        {"long", make_long},
    };
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        print_message("# %s\n", patterns[i].name);
        struct model model = new_model((size_t)4 << 20, i + 1);
        fill(&model, patterns[i].make, PATTERN_KEYS);
        check_all(&model);
        free_model(&model);
    }
}

static void it_answers_at_every_small_size(void **state)
{
    (void)state;
    for (size_t count = 1; count < 200; count += 1 + count / 20) {
        struct model model = new_model(1 << 20, count);
        fill(&model, count % 2 == 0 ? make_random : make_short_binary, count);
        sort_model(&model);
        check_full_walks(&model);
        free_model(&model);
    }
}

static void an_empty_memtable_has_nothing_and_costs_nothing(void **state)
{
    (void)state;
    struct model model = new_model(1 << 20, 1);
    struct iter *iter;
    struct entry entry;
    const loam_slice key = loam_bytes("k", 1);
    assert_false(memtable_get(model.memtable, key, hash_key(key), SEQ_MAX, &entry));
    assert_int_equal(memtable_iter_new(model.memtable, &iter), LOAM_OK);
    assert_int_equal(iter->ops->first(iter), LOAM_NOTFOUND);
    assert_int_equal(iter->ops->last(iter), LOAM_NOTFOUND);
    assert_int_equal(iter->ops->seek(iter, key, SEQ_MAX), LOAM_NOTFOUND);
    assert_int_equal(iter->ops->seek_back(iter, key, 0), LOAM_NOTFOUND);
    iter_close(iter);
    const struct memtable_stats stats = memtable_stats(model.memtable);
    assert_int_equal(stats.arena_bytes, 0);
    assert_int_equal(stats.entry_count, 0);
    assert_int_equal(stats.seq_min, 0);
    assert_int_equal(stats.seq_max, 0);
    free_model(&model);
}

static void keys_of_every_length_are_kept_apart(void **state)
{
    (void)state;
    struct model model = new_model(1 << 20, 3);
    uint8_t *key = mem_zalloc(KEY_BYTES_MAX);
    static const size_t lengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 255, 4096, 65534, 65535};
    for (unsigned round = 0; round < 60; round++) {
        memset(key, round % 3 == 0 ? 0 : (int)round, KEY_BYTES_MAX);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            put(&model, key, lengths[i]);
    }
    mem_free(key);
    check_all(&model);
    free_model(&model);
}

static void every_snapshot_of_a_hot_key_sees_its_version(void **state)
{
    enum { VERSIONS = 5000 };
    (void)state;
    struct model model = new_model(1 << 20, 9);
    const loam_slice hot = loam_bytes("hot", 3);
    struct entry got;
    for (unsigned i = 0; i < VERSIONS; i++)
        put(&model, "hot", 3);
    for (uint64_t seq = 1; seq <= VERSIONS; seq++) {
        assert_true(memtable_get(model.memtable, hot, hash_key(hot), seq, &got));
        assert_int_equal(got.seq, seq);
    }
    assert_false(memtable_get(model.memtable, hot, hash_key(hot), 0, &got));
    check_all(&model);
    free_model(&model);
}

/* The arena checks that no more is taken than was reserved. */
/* Also with leaves that were approached before others of the batch split them. */
static void a_batch_never_takes_more_than_was_reserved(void **state)
{
    static struct memtable_near near[BATCH_MAX];
    static key_maker *const makers[] = {make_random, make_shuffled, make_sequential,
                                        make_few,    make_long,     make_groups};
    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        struct model model = new_model(1 << 20, 77 + i);
        fill(&model, make_sequential, 3000); /* full leaves: the worst to come to */
        while (model.count < PATTERN_KEYS) {
            uint8_t key[MADE_KEY_BYTES + 1];
            const size_t first = model.count;
            const size_t count = 1 + (size_t)rand_below(&model.rand, i == 0 ? 3 : BATCH_MAX);
            size_t payload = 0;
            for (size_t j = 0; j < count; j++) {
                const uint64_t chance = rand_next(&model.rand);
                const struct entry *entry =
                    model_put(&model, key, makers[i](key, model.count, chance));
                payload += entry->key.len + entry->value.len;
            }
            assert_int_equal(memtable_reserve(model.memtable, count, payload), LOAM_OK);
            for (size_t j = 0; j < count; j++) {
                const loam_slice wanted = model.entries[first + j].key;
                near[j] = (struct memtable_near){0};
                if (rand_below(&model.rand, 4) != 0)
                    near[j] = memtable_approach(model.memtable, wanted, hash_key(wanted));
            }
            for (size_t j = 0; j < count; j++)
                add_entry(&model, &model.entries[first + j], near[j]);
        }
        check_all(&model);
        free_model(&model);
    }
}

/* Full leaves all over, then one key into the middle of each. */
static void a_batch_that_splits_every_leaf_fits_its_reserve(void **state)
{
    (void)state;
    struct model model = new_model(1 << 20, 4);
    uint8_t key[MADE_KEY_BYTES + 1];
    const size_t step = 64;
    fill(&model, make_sequential, 300 * step);
    const size_t first = model.count;
    size_t payload = 0;
    for (size_t i = 0; i < 300; i++) {
        const size_t len = make_decimal(key, i * step + step / 2);
        key[len] = 'x';
        const struct entry *entry = model_put(&model, key, len + 1);
        payload += entry->key.len + entry->value.len;
    }
    assert_int_equal(memtable_reserve(model.memtable, 300, payload), LOAM_OK);
    for (size_t i = first; i < model.count; i++)
        add_entry(&model, &model.entries[i], (struct memtable_near){0});
    check_all(&model);
    free_model(&model);
}

static void an_iterator_keeps_its_place_while_leaves_move(void **state)
{
    (void)state;
    struct model model = new_model(1 << 20, 6);
    struct iter *iter;
    uint8_t key[MADE_KEY_BYTES + 1];
    for (uint64_t i = 0; i < 2000; i++)
        put(&model, key, make_decimal(key, i * 1000));
    assert_int_equal(memtable_iter_new(model.memtable, &iter), LOAM_OK);
    assert_int_equal(iter->ops->first(iter), LOAM_OK);
    uint64_t seen = 0; /* of the first 2000: their sequence is their place */
    for (loam_status rc = LOAM_OK; rc == LOAM_OK; rc = iter->ops->next(iter)) {
        if (iter->at->seq <= 2000) assert_int_equal(iter->at->seq, ++seen);
        put(&model, key, make_decimal(key, rand_below(&model.rand, 2000000)));
        if (model.count > 60000) break;
    }
    assert_true(seen == 2000 || model.count > 60000);
    assert_int_equal(iter->ops->last(iter), LOAM_OK);
    for (seen = 2001; iter->at->seq > 2000;)
        assert_int_equal(iter->ops->prev(iter), LOAM_OK);
    for (loam_status rc = LOAM_OK; rc == LOAM_OK; rc = iter->ops->prev(iter)) {
        if (iter->at->seq <= 2000) assert_int_equal(iter->at->seq, --seen);
        if (model.count < 120000)
            put(&model, key, make_decimal(key, rand_below(&model.rand, 2000000)));
    }
    assert_int_equal(seen, 1);
    iter_close(iter);
    free_model(&model);
}

static void a_reserve_that_fails_leaves_it_as_it_was(void **state)
{
    (void)state;
    struct model model = new_model(1 << 20, 8);
    unsigned failures = 0;
    for (unsigned i = 0; i < 9000; i++) {
        uint8_t key[MADE_KEY_BYTES + 1];
        const struct entry *entry =
            model_put(&model, key, make_random(key, i, rand_next(&model.rand)));
        const size_t payload = entry->key.len + entry->value.len;
        mem_fail_at(1, 1);
        loam_status rc = memtable_reserve(model.memtable, 1, payload);
        mem_fail_at(0, 0);
        if (rc < 0) {
            assert_int_equal(rc, LOAM_NOMEM);
            failures++;
            rc = memtable_reserve(model.memtable, 1, payload);
        }
        assert_int_equal(rc, LOAM_OK);
        add_entry(&model, entry, (struct memtable_near){0});
    }
    assert_true(failures > 3);
    struct iter *iter;
    mem_fail_at(1, 0);
    assert_int_equal(memtable_iter_new(model.memtable, &iter), LOAM_NOMEM);
    mem_fail_at(0, 0);
    check_all(&model);
    free_model(&model);
}

static void the_last_unref_frees_it(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    const int64_t before = mem_live_count();
    struct model model = new_model(1 << 20, 2);
    fill(&model, make_random, 10);
    memtable_ref(model.memtable);
    memtable_unref(model.memtable);
    assert_get_answers(&model, model.entries[9].key, 0);
    free_model(&model);
    memtable_unref(NULL);
    assert_int_equal(mem_live_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_memtable_has_nothing_and_costs_nothing),
        cmocka_unit_test(it_answers_at_every_small_size),
        cmocka_unit_test(it_answers_as_a_sorted_array_for_every_pattern),
        cmocka_unit_test(keys_of_every_length_are_kept_apart),
        cmocka_unit_test(every_snapshot_of_a_hot_key_sees_its_version),
        cmocka_unit_test(a_batch_never_takes_more_than_was_reserved),
        cmocka_unit_test(a_batch_that_splits_every_leaf_fits_its_reserve),
        cmocka_unit_test(an_iterator_keeps_its_place_while_leaves_move),
        cmocka_unit_test(a_reserve_that_fails_leaves_it_as_it_was),
        cmocka_unit_test(the_last_unref_frees_it),
    };
    return cmocka_run_group_tests_name("memtable/memtable", tests, NULL, NULL);
}
