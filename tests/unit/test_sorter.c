/*
 * test_sorter.c - entries of any keys, in any order, come out of a sorter as a comparison would sort them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "memtable/sorter.h"

enum { COUNT = 6000, KEY_BYTES = 600 };

/* Each makes a key of at most KEY_BYTES, and answers its length. */
typedef size_t make_key(struct rand *rand, uint8_t *key);

static size_t random_bytes(struct rand *rand, uint8_t *key)
{
    put_u64(key, rand_next(rand));
    put_u64(key + 8, rand_next(rand));
    return 16;
}

static size_t short_and_empty(struct rand *rand, uint8_t *key)
{
    put_u64(key, rand_next(rand));
    return (size_t)rand_below(rand, 3);
}

static size_t behind_one_prefix(struct rand *rand, uint8_t *key)
{
    memcpy(key, "a prefix/", 9);
    put_u64(key + 9, rand_below(rand, 100000));
    return 17;
}

static size_t behind_many_prefixes(struct rand *rand, uint8_t *key)
{
    memset(key, 'p', 40);
    key[5] = (uint8_t)rand_below(rand, 5);
    key[21] = (uint8_t)rand_below(rand, 7);
    put_u64(key + 40, rand_below(rand, 1000));
    return 48;
}

static size_t zeros_of_any_length(struct rand *rand, uint8_t *key)
{
    memset(key, 0, KEY_BYTES);
    return (size_t)rand_below(rand, KEY_BYTES);
}

static size_t each_longer_than_the_one_before(struct rand *rand, uint8_t *key)
{
    const size_t len = 1 + (size_t)rand_below(rand, KEY_BYTES - 1);
    memset(key, 'a', len);
    key[len - 1] = (uint8_t)('a' + rand_below(rand, 2));
    return len;
}

static size_t few_that_come_often(struct rand *rand, uint8_t *key)
{
    memcpy(key, "the same\0bytes\0", 16);
    return 8 + (size_t)rand_below(rand, 8);
}

static int order_of_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return entry_compare(x->key, x->seq, y->key, y->seq);
}

static void expect_sorted(struct arena_pool *pool, make_key *make, size_t count)
{
    static struct entry entries[COUNT];
    static uint8_t keys[COUNT][KEY_BYTES];
    struct rand rand = {count + 1};
    struct sorter *sorter = sorter_new(pool);
    struct iter *iter = NULL;
    assert_non_null(sorter);
    for (size_t i = 0; i < count; i++) {
        const size_t len = make(&rand, keys[i]);
        entries[i] = (struct entry){.key = loam_bytes(keys[i], len),
                                    .value = loam_bytes(keys[i], i % 50),
                                    .seq = i + 1,
                                    .kind = ENTRY_PUT};
        assert_int_equal(sorter_add(sorter, &entries[i]), LOAM_OK);
    }
    assert_true(count == 0 || sorter_bytes(sorter) > count * 24);
    qsort(entries, count, sizeof *entries, order_of_entries);
    assert_int_equal(sorter_sort(sorter), LOAM_OK);
    assert_int_equal(sorter_iter_new(sorter, &iter), LOAM_OK);
    loam_status rc = iter->ops->first(iter);
    for (size_t i = 0; i < count; i++, rc = iter->ops->next(iter)) {
        assert_int_equal(rc, LOAM_OK);
        assert_true(bytes_equal(iter->at->key, entries[i].key));
        assert_true(bytes_equal(iter->at->value, entries[i].value));
        assert_int_equal(iter->at->seq, entries[i].seq);
        assert_int_equal(iter->at->kind, ENTRY_PUT);
    }
    assert_int_equal(rc, LOAM_NOTFOUND);
    for (size_t i = 0; i < count; i += 1 + count / 50) {
        assert_int_equal(iter->ops->seek(iter, entries[i].key, entries[i].seq), LOAM_OK);
        assert_int_equal(iter->at->seq, entries[i].seq);
        assert_true(bytes_equal(iter->at->key, entries[i].key));
    }
    if (count > 0) assert_true(bytes_equal(sorter_middle(sorter), entries[count / 2].key));
    iter_close(iter);
    sorter_free(sorter);
}

static void any_keys_in_any_order_are_sorted_the_newest_of_a_key_first(void **state)
{
    static make_key *const makes[] = {random_bytes,        short_and_empty,
                                      behind_one_prefix,   behind_many_prefixes,
                                      zeros_of_any_length, each_longer_than_the_one_before,
                                      few_that_come_often};
    static const size_t counts[] = {0, 1, 2, 24, 25, 100, COUNT};
    (void)state;
    struct arena_pool *pool = arena_pool_new((size_t)8 << 20);
    for (size_t i = 0; i < sizeof makes / sizeof makes[0]; i++)
        for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++)
            expect_sorted(pool, makes[i], counts[j]);
    arena_pool_free(pool);
}

static void out_of_memory_changes_nothing(void **state)
{
    struct entry entry = {.key = loam_str("key"), .seq = 1, .kind = ENTRY_PUT};
    struct iter *iter = NULL;
    (void)state;
    struct arena_pool *pool = arena_pool_new(0);
    mem_fail_at(0, 0); /* from here on they are counted */
    const int64_t live = mem_live_count();
    struct sorter *sorter = sorter_new(pool);
    mem_fail_at(1, 0);
    assert_int_equal(sorter_add(sorter, &entry), LOAM_NOMEM);
    assert_int_equal(sorter_bytes(sorter), 0);
    assert_int_equal(sorter_add(sorter, &entry), LOAM_OK);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        mem_fail_at(nth, 0);
        assert_int_equal(sorter_sort(sorter), LOAM_NOMEM);
    }
    mem_fail_at(0, 0);
    assert_int_equal(sorter_sort(sorter), LOAM_OK);
    mem_fail_at(1, 0);
    assert_int_equal(sorter_iter_new(sorter, &iter), LOAM_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(sorter_iter_new(sorter, &iter), LOAM_OK);
    assert_int_equal(iter->ops->first(iter), LOAM_OK);
    assert_int_equal(iter->ops->next(iter), LOAM_NOTFOUND);
    iter_close(iter);
    sorter_free(sorter);
    assert_int_equal(mem_live_count(), live);
    arena_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_keys_in_any_order_are_sorted_the_newest_of_a_key_first),
        cmocka_unit_test(out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests_name("sorter", tests, NULL, NULL);
}
