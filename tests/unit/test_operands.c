/*
 * test_operands.c - operands of merges: their bytes, the built-in operators, and joining.
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
#include "record/operands.h"

static void an_operand_begins_with_a_number_up_to_its_own(void **state)
{
    (void)state;
    static const struct {
        uint64_t seq;
        const char *bytes;
        size_t len;
        uint64_t since; /* 0: refused */
    } cases[] = {
        {5, "\x01", 1, 1},
        {5, "\x05xy", 3, 5},
        {5, "\x06xy", 3, 0},
        {5, "\x00xy", 3, 0},
        {5, "", 0, 0},
        {5, "\x80", 1, 0},
        {5, "\x81\x00x", 3, 0},
        {300, "\xac\x02x", 3, 300},
        {299, "\xac\x02x", 3, 0},
        {SEQ_MAX, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, SEQ_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *exact = mem_copy(cases[i].bytes, cases[i].len);
        const struct entry entry = {
            .value = loam_bytes(exact, cases[i].len), .seq = cases[i].seq, .kind = ENTRY_MERGE};
        uint64_t since = 0;
        loam_slice operand;
        uint8_t head[OPERAND_HEAD_BYTES_MAX];
        const bool is_sound = operand_get(&entry, &since, &operand);
        assert_int_equal(is_sound, cases[i].since > 0);
        if (is_sound) {
            assert_int_equal(since, cases[i].since);
            assert_int_equal(operand_head_put(head, since) + operand.len, cases[i].len);
        }
        mem_free(exact);
    }
    const struct entry nothing = {.seq = 1, .kind = ENTRY_MERGE};
    assert_false(operand_is_sound(&nothing));
}

static int64_t combine_i64(const char *name, int64_t older, int64_t newer)
{
    const loam_merge_operator *merger = operator_built_in(name);
    uint8_t a[8], b[8], result[16];
    put_u64(a, (uint64_t)older);
    put_u64(b, (uint64_t)newer);
    assert_true(operator_wants_i64(merger));
    assert_int_equal(merger->combine(merger->ctx, loam_bytes(a, 8), loam_bytes(b, 8), result), 8);
    return (int64_t)get_u64(result);
}

static void what_is_built_in_is_total(void **state)
{
    (void)state;
    assert_int_equal(combine_i64("add_i64", 40, 2), 42);
    assert_int_equal(combine_i64("add_i64", -40, 2), -38);
    assert_true(combine_i64("add_i64", INT64_MAX, 1) == INT64_MIN);
    assert_int_equal(combine_i64("max_i64", -5, -7), -5);
    assert_int_equal(combine_i64("max_i64", -5, 3), 3);
    char result[64];
    const char *const names[] = {"add_i64", "max_i64"};
    for (size_t i = 0; i < 2; i++) {
        const loam_merge_operator *merger = operator_built_in(names[i]);
        assert_int_equal(merger->combine(NULL, loam_str("odd"), loam_str("12345678"), result), 8);
        assert_memory_equal(result, "12345678", 8);
        assert_int_equal(merger->combine(NULL, loam_str("12345678"), loam_str(""), result), 8);
        assert_int_equal(merger->combine(NULL, loam_str("odd"), loam_str("even"), result), 3);
    }
    const loam_merge_operator *append = operator_built_in("append");
    assert_false(operator_wants_i64(append));
    assert_int_equal(append->combine(NULL, loam_str("ab"), loam_str("c"), result), 3);
    assert_memory_equal(result, "abc", 3);
    assert_int_equal(append->combine(NULL, loam_bytes(NULL, 0), loam_bytes(NULL, 0), result), 0);
    assert_null(operator_built_in("add"));
}

/* Operands of all lengths, come in from the newest on, are one string in order; few parts are held. */
static void many_join_into_one_in_order(void **state)
{
    (void)state;
    enum { TEXT_BYTES = 20000 };
    static char text[TEXT_BYTES];
    struct rand rand = {7};
    struct joining joining = {.part_count = 0};
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)rand_next(&rand);
    for (int round = 0; round < 60; round++) {
        const uint64_t most = UINT64_C(1) << rand_below(&rand, 13);
        size_t at = TEXT_BYTES;
        loam_slice joined;
        joining_begin(&joining, operator_built_in("append"));
        while (at > 0) {
            const size_t want = (size_t)rand_below(&rand, most + 1);
            const size_t len = want < at ? want : at;
            at -= len;
            assert_int_equal(joining_add_older(&joining, loam_bytes(text + at, len)), LOAM_OK);
        }
        assert_true(joining.part_count < 20);
        assert_int_equal(joining_join(&joining, &joined), LOAM_OK);
        assert_int_equal(joined.len, TEXT_BYTES);
        assert_memory_equal(joined.data, text, TEXT_BYTES);
    }
    joining_deinit(&joining);
}

static void room_is_asked_for_after_joining(void **state)
{
    (void)state;
    struct joining joining = {.part_count = 0};
    bool has_room;
    joining_begin(&joining, operator_built_in("add_i64"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(joining_has_room(&joining, 8, 16, &has_room), LOAM_OK);
        assert_true(has_room);
        assert_int_equal(joining_add_older(&joining, loam_bytes("\1\0\0\0\0\0\0\0", 8)), LOAM_OK);
    }
    assert_int_equal(joining_has_room(&joining, 9, 16, &has_room), LOAM_OK);
    assert_false(has_room);
    loam_slice joined;
    assert_int_equal(joining_join(&joining, &joined), LOAM_OK);
    assert_int_equal(get_u64(joined.data), 3);
    joining_deinit(&joining);
}

static void running_out_of_memory_is_said(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct joining joining = {.part_count = 0};
        loam_slice joined;
        joining_begin(&joining, operator_built_in("append"));
        mem_fail_at(nth, 0);
        loam_status rc = joining_add_older(&joining, loam_str("b"));
        if (rc == LOAM_OK) rc = joining_add_older(&joining, loam_str("a"));
        if (rc == LOAM_OK) rc = joining_join(&joining, &joined);
        mem_fail_at(0, 0);
        if (rc == LOAM_OK) assert_memory_equal(joined.data, "ab", 2);
        joining_deinit(&joining);
        if (rc == LOAM_OK) {
            assert_true(nth > 2);
            return;
        }
        assert_int_equal(rc, LOAM_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operand_begins_with_a_number_up_to_its_own),
        cmocka_unit_test(what_is_built_in_is_total),
        cmocka_unit_test(many_join_into_one_in_order),
        cmocka_unit_test(room_is_asked_for_after_joining),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests_name("record/operands", tests, NULL, NULL);
}
