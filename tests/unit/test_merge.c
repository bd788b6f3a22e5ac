/*
 * test_merge.c - a merge of sorted inputs walks as one sorted array would.
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
#include "base/status.h"
#include "record/merge.h"

enum { INPUTS_MAX = 20, ENTRIES_MAX = 4000, KEY_BYTES = 160 };

static unsigned open_inputs;

/* An input over a sorted array; its moves count down *moves_left, and at 0 they fail. */
struct array_iter {
    struct iter iter;
    const struct entry *entries;
    size_t count, at;
    struct entry entry;
    uint64_t *moves_left;
};

static loam_status stand_at(struct array_iter *it, size_t at)
{
    memset(&it->entry, 0xee, sizeof it->entry);
    it->at = at;
    if (*it->moves_left > 0 && --*it->moves_left == 0)
        return failed(LOAM_IOERR, "a move that fails");
    if (at >= it->count) return LOAM_NOTFOUND;
    it->entry = it->entries[at];
    return LOAM_OK;
}

static size_t lower_bound(const struct entry *entries, size_t count, loam_slice key, uint64_t seq)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (entry_compare(entries[middle].key, entries[middle].seq, key, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* SIZE_MAX when there is none. */
static size_t last_at_or_before(const struct entry *entries, size_t count, loam_slice key,
                                uint64_t seq)
{
    const size_t at = lower_bound(entries, count, key, seq);
    const bool is_there =
        at < count && entry_compare(entries[at].key, entries[at].seq, key, seq) == 0;
    return is_there ? at : at - 1;
}

static loam_status array_first(struct iter *iter)
{
    return stand_at((struct array_iter *)iter, 0);
}

static loam_status array_last(struct iter *iter)
{
    struct array_iter *it = (struct array_iter *)iter;
    return stand_at(it, it->count - 1);
}

static loam_status array_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct array_iter *it = (struct array_iter *)iter;
    return stand_at(it, lower_bound(it->entries, it->count, key, seq));
}

static loam_status array_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct array_iter *it = (struct array_iter *)iter;
    return stand_at(it, last_at_or_before(it->entries, it->count, key, seq));
}

static loam_status array_next(struct iter *iter)
{
    struct array_iter *it = (struct array_iter *)iter;
    assert_true(it->at < it->count);
    return stand_at(it, it->at + 1);
}

static loam_status array_prev(struct iter *iter)
{
    struct array_iter *it = (struct array_iter *)iter;
    assert_true(it->at < it->count);
    return stand_at(it, it->at - 1);
}

static void array_close(struct iter *iter)
{
    open_inputs--;
    mem_free(iter);
}

static struct iter *array_iter_new(const struct entry *entries, size_t count, uint64_t *moves_left)
{
    static const struct iter_ops ops = {array_first, array_last, array_seek, array_seek_back,
                                        array_next,  array_prev, array_close};
    struct array_iter *it = mem_zalloc(sizeof *it);
    assert_non_null(it);
    *it = (struct array_iter){.iter = {.ops = &ops, .at = &it->entry},
                              .entries = entries,
                              .count = count,
                              .at = SIZE_MAX,
                              .moves_left = moves_left};
    open_inputs++;
    return &it->iter;
}

/* Entries dealt out to inputs, and all of them sorted. */
struct deal {
    struct rand rand;
    struct entry all[ENTRIES_MAX], dealt[INPUTS_MAX][ENTRIES_MAX];
    size_t all_count, dealt_counts[INPUTS_MAX], input_count;
    uint8_t keys[ENTRIES_MAX][KEY_BYTES];
    uint64_t moves_left;
    struct iter *merge;
};

static int order_of_merged(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return entry_compare(x->key, x->seq, y->key, y->seq);
}

/* The ways keys look like in one deal. */
enum key_look { DECIMAL, BINARY, LONG_PREFIX, FEW_KEYS, TWO_GROUPS, EXTREME, KEY_LOOKS };

static size_t look_like(enum key_look look, uint8_t *key, uint64_t chance)
{
    static const char *const groups[] = {"a/very/long/way/to/the/", "b/"};
    switch (look) {
    case DECIMAL:
        return (size_t)snprintf((char *)key, KEY_BYTES, "%016u", (unsigned)(chance % 100000));
    case BINARY:
        put_u64(key, chance);
        return 8;
    case LONG_PREFIX:
        return (size_t)snprintf((char *)key, KEY_BYTES, "%0140u%x", 0, (unsigned)chance);
    case FEW_KEYS:
        return (size_t)snprintf((char *)key, KEY_BYTES, "key%u", (unsigned)(chance % 30));
    case TWO_GROUPS:
        return (size_t)snprintf((char *)key, KEY_BYTES, "%s%u", groups[chance % 2],
                                (unsigned)(chance >> 40));
    case EXTREME: /* of bytes 0 and 255, where heads saturate */
        for (size_t i = 0; i < 20; i++)
            key[i] = chance >> i & 1 ? 255 : 0;
        return chance >> 20 & 15;
    case KEY_LOOKS:
        break;
    }
    return 0;
}

static void deal_out(struct deal *deal, enum key_look look, size_t input_count, size_t entry_count)
{
    deal->input_count = input_count;
    deal->all_count = entry_count;
    deal->moves_left = UINT64_MAX;
    memset(deal->dealt_counts, 0, sizeof deal->dealt_counts);
    for (size_t i = 0; i < entry_count; i++) {
        const size_t len = look_like(look, deal->keys[i], rand_next(&deal->rand));
        deal->all[i] = (struct entry){.key = loam_bytes(deal->keys[i], len),
                                      .value = loam_bytes(deal->keys[i], len / 2),
                                      .seq = i + 1,
                                      .kind = (uint8_t)(1 + i % 2)};
    }
    qsort(deal->all, entry_count, sizeof deal->all[0], order_of_merged);
    const bool is_skewed = rand_below(&deal->rand, 2) == 0;
    for (size_t i = 0; i < entry_count && input_count > 0; i++) {
        const bool is_main = is_skewed && rand_below(&deal->rand, 10) > 0;
        const size_t to = is_main ? 0 : (size_t)rand_below(&deal->rand, input_count);
        deal->dealt[to][deal->dealt_counts[to]++] = deal->all[i];
    }
    if (input_count == 0) deal->all_count = 0;
}

static loam_status open_merge(struct deal *deal)
{
    struct iter *inputs[INPUTS_MAX];
    for (size_t i = 0; i < deal->input_count; i++)
        inputs[i] = array_iter_new(deal->dealt[i], deal->dealt_counts[i], &deal->moves_left);
    return merge_iter_new(inputs, deal->input_count, &deal->merge);
}

static void assert_stands_at(const struct deal *deal, loam_status rc, size_t at)
{
    if (at >= deal->all_count) {
        assert_int_equal(rc, LOAM_NOTFOUND);
        return;
    }
    assert_int_equal(rc, LOAM_OK);
    assert_memory_equal(&deal->merge->at->key, &deal->all[at].key, sizeof(loam_slice));
    assert_memory_equal(&deal->merge->at->value, &deal->all[at].value, sizeof(loam_slice));
    assert_int_equal(deal->merge->at->seq, deal->all[at].seq);
    assert_int_equal(deal->merge->at->kind, deal->all[at].kind);
}

static void check_both_ways(const struct deal *deal)
{
    struct iter *merge = deal->merge;
    size_t at = 0;
    loam_status rc = merge->ops->first(merge);
    for (; rc == LOAM_OK; rc = merge->ops->next(merge))
        assert_stands_at(deal, rc, at++);
    assert_int_equal(rc, LOAM_NOTFOUND);
    assert_int_equal(at, deal->all_count);
    for (rc = merge->ops->last(merge); rc == LOAM_OK; rc = merge->ops->prev(merge))
        assert_stands_at(deal, rc, --at);
    assert_int_equal(rc, LOAM_NOTFOUND);
    assert_int_equal(at, 0);
}

static size_t jump_somewhere(struct deal *deal, loam_status *rc)
{
    struct iter *merge = deal->merge;
    const struct entry *entries = deal->all;
    const size_t count = deal->all_count;
    const struct entry *target = &entries[rand_below(&deal->rand, count)];
    const uint64_t seqs[] = {SEQ_MAX, 0, target->seq, rand_below(&deal->rand, count)};
    const uint64_t seq = seqs[rand_below(&deal->rand, 4)];
    switch (rand_below(&deal->rand, 8)) {
    case 0:
        *rc = merge->ops->first(merge);
        return 0;
    case 1:
        *rc = merge->ops->last(merge);
        return count - 1;
    case 2:
    case 3:
    case 4:
        *rc = merge->ops->seek_back(merge, target->key, seq);
        return last_at_or_before(entries, count, target->key, seq);
    default:
        *rc = merge->ops->seek(merge, target->key, seq);
        return lower_bound(entries, count, target->key, seq);
    }
}

/* Mostly one way, often turning. */
static void check_wandering(struct deal *deal)
{
    struct iter *merge = deal->merge;
    loam_status rc = LOAM_NOTFOUND;
    size_t at = 0;
    for (unsigned i = 0; i < 3000 && deal->all_count > 0; i++) {
        const uint64_t choice = rand_below(&deal->rand, 40);
        if (rc != LOAM_OK || choice == 0) {
            at = jump_somewhere(deal, &rc);
        } else if ((choice < 30) == (i / 64 % 2 == 0)) {
            rc = merge->ops->next(merge);
            at++;
        } else {
            rc = merge->ops->prev(merge);
            at--;
        }
        assert_stands_at(deal, rc, at);
    }
}

static struct deal *new_deal(void)
{
    struct deal *deal = mem_zalloc(sizeof *deal);
    assert_non_null(deal);
    deal->rand.state = 42;
    return deal;
}

static void it_walks_as_one_sorted_array_for_every_look_of_keys(void **state)
{
    (void)state;
    struct deal *deal = new_deal();
    for (unsigned look = 0; look < KEY_LOOKS; look++) {
        for (size_t inputs = 0; inputs <= INPUTS_MAX; inputs++) {
            deal_out(deal, (enum key_look)look, inputs, inputs % 3 == 0 ? 3000 : 10 * inputs);
            assert_int_equal(open_merge(deal), LOAM_OK);
            check_both_ways(deal);
            check_wandering(deal);
            iter_close(deal->merge);
            assert_int_equal(open_inputs, 0);
        }
    }
    mem_free(deal);
}

static void one_input_is_returned_itself(void **state)
{
    (void)state;
    uint64_t moves_left = UINT64_MAX;
    struct iter *input = array_iter_new(NULL, 0, &moves_left), *merge;
    assert_int_equal(merge_iter_new(&input, 1, &merge), LOAM_OK);
    assert_ptr_equal(merge, input);
    iter_close(merge);
}

static void the_same_version_twice_is_corrupt(void **state)
{
    (void)state;
    struct deal *deal = new_deal();
    for (unsigned look = 0; look < KEY_LOOKS; look++) {
        deal_out(deal, (enum key_look)look, 6, 500);
        const struct entry twice = deal->all[250];
        for (size_t i = 0; i < 6; i++) {
            struct entry *entries = deal->dealt[i];
            const size_t count = deal->dealt_counts[i];
            const size_t at = lower_bound(entries, count, twice.key, twice.seq);
            if (at < count && entries[at].seq == twice.seq) continue;
            memmove(&entries[at + 1], &entries[at], (count - at) * sizeof *entries);
            entries[at] = twice;
            deal->dealt_counts[i]++;
            break;
        }
        assert_int_equal(open_merge(deal), LOAM_OK);
        struct iter *merge = deal->merge;
        loam_status rc = merge->ops->first(merge);
        size_t seen = 0;
        for (; rc == LOAM_OK; rc = merge->ops->next(merge))
            seen++;
        assert_int_equal(rc, LOAM_CORRUPT);
        assert_int_equal(seen, 250);
        for (rc = merge->ops->last(merge), seen = 0; rc == LOAM_OK; rc = merge->ops->prev(merge))
            seen++;
        assert_int_equal(rc, LOAM_CORRUPT);
        assert_int_equal(seen, 249);
        assert_int_equal(merge->ops->seek(merge, twice.key, twice.seq), LOAM_CORRUPT);
        assert_int_equal(merge->ops->first(merge), LOAM_OK);
        iter_close(merge);
    }
    mem_free(deal);
}

/* Every move in turn fails; what came before it was right, and placing anew mends all. */
static void an_input_that_fails_fails_the_move(void **state)
{
    (void)state;
    struct deal *deal = new_deal();
    deal_out(deal, DECIMAL, 5, 120);
    assert_int_equal(open_merge(deal), LOAM_OK);
    struct iter *merge = deal->merge;
    for (uint64_t fail_at = 1; fail_at < 160; fail_at++) {
        deal->moves_left = fail_at;
        size_t at = 0;
        loam_status rc = merge->ops->first(merge);
        for (; rc == LOAM_OK && at < 60; rc = merge->ops->next(merge))
            assert_stands_at(deal, rc, at++);
        for (; rc == LOAM_OK; rc = merge->ops->prev(merge))
            assert_stands_at(deal, rc, at--);
        assert_int_equal(rc, deal->moves_left == 0 ? LOAM_IOERR : LOAM_NOTFOUND);
    }
    deal->moves_left = UINT64_MAX;
    check_both_ways(deal);
    iter_close(merge);
    mem_free(deal);
}

static void out_of_memory_closes_the_inputs(void **state)
{
    (void)state;
    struct deal *deal = new_deal();
    deal_out(deal, BINARY, 4, 10);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct iter *inputs[4];
        for (size_t i = 0; i < 4; i++)
            inputs[i] = array_iter_new(deal->dealt[i], deal->dealt_counts[i], &deal->moves_left);
        mem_fail_at(0, 0);
        mem_fail_at(nth, 0);
        assert_int_equal(merge_iter_new(inputs, 4, &deal->merge), LOAM_NOMEM);
        mem_fail_at(0, 0);
        assert_int_equal(open_inputs, 0);
    }
    mem_free(deal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_walks_as_one_sorted_array_for_every_look_of_keys),
        cmocka_unit_test(one_input_is_returned_itself),
        cmocka_unit_test(the_same_version_twice_is_corrupt),
        cmocka_unit_test(an_input_that_fails_fails_the_move),
        cmocka_unit_test(out_of_memory_closes_the_inputs),
    };
    return cmocka_run_group_tests_name("record/merge", tests, NULL, NULL);
}
