/*
 * test_bytes.c - the order of keys, and heads that never contradict it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rand.h"

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void order_is_memcmp_then_length(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        size_t a_len;
        const char *b;
        size_t b_len;
        int order;
    } cases[] = {
        {"", 0, "", 0, 0},
        {NULL, 0, NULL, 0, 0},
        {NULL, 0, "a", 1, -1},
        {"a", 1, NULL, 0, 1},
        {"a", 1, "b", 1, -1},
        {"a", 1, "aa", 2, -1},
        {"aa", 2, "a", 1, 1},
        {"ab", 2, "b", 1, -1},
        {"\x7f", 1, "\x80", 1, -1},
        {"\xff", 1, "\0", 1, 1},
        {"a\0", 2, "a", 1, 1},
        {"a\0b", 3, "a\0c", 3, -1},
        {"12345678", 8, "12345678", 8, 0},
        {"123456789", 9, "12345678", 8, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const loam_slice a = loam_bytes(cases[i].a, cases[i].a_len);
        const loam_slice b = loam_bytes(cases[i].b, cases[i].b_len);
        assert_int_equal(sign(bytes_compare(a, b)), cases[i].order);
        assert_int_equal(sign(bytes_compare(b, a)), -cases[i].order);
        assert_int_equal(bytes_equal(a, b), cases[i].order == 0);
    }
}

static void a_prefix_is_recognised(void **state)
{
    (void)state;
    assert_true(bytes_start_with(loam_str("abc"), loam_str("abc")));
    assert_true(bytes_start_with(loam_str("abc"), loam_str("ab")));
    assert_true(bytes_start_with(loam_str("abc"), loam_bytes(NULL, 0)));
    assert_true(bytes_start_with(loam_bytes(NULL, 0), loam_bytes(NULL, 0)));
    assert_false(bytes_start_with(loam_str("abc"), loam_str("abcd")));
    assert_false(bytes_start_with(loam_str("abc"), loam_str("b")));
    assert_false(bytes_start_with(loam_bytes(NULL, 0), loam_str("a")));
}

/* Short keys of few letters, so that prefixes and neighbours occur. */
static size_t random_key(struct rand *rand, uint8_t key[static 40])
{
    static const uint8_t letters[] = {0, 1, 'a', 0x7f, 0x80, 0xff};
    const size_t len = (size_t)rand_below(rand, 25);
    const uint8_t filler = letters[rand_below(rand, sizeof letters)];
    for (size_t i = 0; i < len; i++)
        key[i] = rand_below(rand, 6) == 0 ? letters[rand_below(rand, sizeof letters)] : filler;
    return len;
}

static void common_counts_the_bytes_that_are_shared(void **state)
{
    (void)state;
    struct rand rand = {7};
    uint8_t x[40], y[40];
    for (int i = 0; i < 20000; i++) {
        const loam_slice a = loam_bytes(x, random_key(&rand, x));
        const loam_slice b = loam_bytes(y, random_key(&rand, y));
        size_t common = 0;
        while (common < a.len && common < b.len && x[common] == y[common])
            common++;
        assert_int_equal(bytes_common(a, b), common);
        assert_int_equal(bytes_common(b, a), common);
        assert_int_equal(bytes_common(a, a), a.len);
    }
}

static void a_head_is_eight_bytes_padded_with_zeros(void **state)
{
    (void)state;
    const loam_slice key = loam_str("abcdefghij");
    assert_true(bytes_head(key, 0) == UINT64_C(0x6162636465666768));
    assert_true(bytes_head(key, 2) == UINT64_C(0x636465666768696a));
    assert_true(bytes_head(key, 3) == UINT64_C(0x6465666768696a00));
    assert_true(bytes_head(key, 9) == UINT64_C(0x6a00000000000000));
    assert_true(bytes_head(key, 10) == 0);
    assert_true(bytes_head(key, 11) == 0);
    assert_true(bytes_head(key, 100000) == 0);
    assert_true(bytes_head(loam_bytes(NULL, 0), 0) == 0);
}

static void heads_never_contradict_the_order(void **state)
{
    (void)state;
    struct rand rand = {11};
    uint8_t x[40], y[40];
    for (int i = 0; i < 50000; i++) {
        const loam_slice a = loam_bytes(x, random_key(&rand, x));
        const loam_slice b = loam_bytes(y, random_key(&rand, y));
        for (size_t skip = 0; skip <= bytes_common(a, b); skip++) {
            const uint64_t head_a = bytes_head(a, skip), head_b = bytes_head(b, skip);
            if (head_a < head_b) assert_true(bytes_compare(a, b) < 0);
            if (head_a > head_b) assert_true(bytes_compare(a, b) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_memcmp_then_length),
        cmocka_unit_test(a_prefix_is_recognised),
        cmocka_unit_test(common_counts_the_bytes_that_are_shared),
        cmocka_unit_test(a_head_is_eight_bytes_padded_with_zeros),
        cmocka_unit_test(heads_never_contradict_the_order),
    };
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
