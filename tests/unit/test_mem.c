/*
 * test_mem.c - allocations that fail when told to, and buffers that stay whole when they do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static int switch_off(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    return 0;
}

static void nothing_is_a_unique_pointer(void **state)
{
    (void)state;
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_copy(NULL, 0), *d = mem_alloc_array(0, 8);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_non_null(d);
    assert_true(a != b && b != c && a != c && c != d);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(NULL);
}

static void zalloc_zeroes_copy_copies(void **state)
{
    (void)state;
    uint8_t *zeros = mem_zalloc(1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
    uint8_t *lines = mem_zalloc_lines(100);
    assert_int_equal((uintptr_t)lines % 64, 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(lines[i], 0);
    char *copy = mem_copy("text", 5);
    assert_string_equal(copy, "text");
    mem_free(zeros);
    mem_free(lines);
    mem_free(copy);
}

static void arrays_are_checked_for_overflow(void **state)
{
    (void)state;
    assert_null(mem_alloc_array(SIZE_MAX / 2, 3));
    assert_null(mem_alloc_array(SIZE_MAX, SIZE_MAX));
    assert_null(mem_zalloc_lines(SIZE_MAX));
    assert_string_not_equal(loam_errmsg(), "");
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    mem_fail_at(3, 0);
    void *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = mem_alloc(10);
    assert_non_null(blocks[0]);
    assert_non_null(blocks[1]);
    assert_null(blocks[2]);
    assert_non_null(strstr(loam_errmsg(), "out of memory"));
    assert_non_null(blocks[3]);
    assert_int_equal(mem_alloc_count(), 4);
    for (int i = 0; i < 4; i++)
        mem_free(blocks[i]);
}

static void or_all_from_the_nth_on(void **state)
{
    (void)state;
    mem_fail_at(2, 1);
    void *first = mem_alloc(10);
    assert_non_null(first);
    assert_null(mem_alloc(10));
    assert_null(mem_zalloc(10));
    assert_null(mem_copy("x", 1));
    assert_null(mem_realloc(NULL, 10));
    mem_fail_at(0, 0);
    mem_free(first);
}

static void a_failed_realloc_leaves_the_old_block(void **state)
{
    (void)state;
    char *block = mem_copy("still here", 11);
    mem_fail_at(1, 0);
    assert_null(mem_realloc(block, 100000));
    assert_string_equal(block, "still here");
    block = mem_realloc(block, 100000);
    assert_non_null(block);
    assert_string_equal(block, "still here");
    mem_free(block);
}

static void live_blocks_are_counted(void **state)
{
    (void)state;
    mem_fail_at(0, 0); /* counting is on from here */
    const int64_t before = mem_live_count();
    void *a = mem_alloc(1), *b = mem_zalloc(1), *c = mem_realloc(NULL, 1);
    assert_int_equal(mem_live_count() - before, 3);
    c = mem_realloc(c, 1000);
    assert_int_equal(mem_live_count() - before, 3);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(NULL);
    assert_int_equal(mem_live_count() - before, 0);
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void a_buffer_appends_and_replaces(void **state)
{
    (void)state;
    loam_buf buf = {0};
    assert_int_equal(buf_append(&buf, "abc", 3), LOAM_OK);
    assert_int_equal(buf_append(&buf, NULL, 0), LOAM_OK);
    assert_int_equal(buf_append(&buf, "def", 3), LOAM_OK);
    assert_int_equal(buf.len, 6);
    assert_memory_equal(buf.data, "abcdef", 6);
    assert_int_equal(buf_set(&buf, "x", 1), LOAM_OK);
    assert_int_equal(buf.len, 1);
    assert_int_equal(buf_reserve(&buf, 5000), LOAM_OK);
    assert_true(buf.cap >= 5000 && buf.len == 1);
    assert_memory_equal(buf.data, "x", 1);
    assert_int_equal(buf_set(&buf, NULL, 0), LOAM_OK);
    assert_int_equal(buf.len, 0);
    assert_non_null(buf.data); /* an empty value is not the absence of one */
    loam_buf_free(&buf);
    assert_true(buf.data == NULL && buf.len == 0 && buf.cap == 0);
}

static void a_buffer_grows_by_doubling(void **state)
{
    (void)state;
    loam_buf buf = {0};
    mem_fail_at(0, 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_append(&buf, "x", 1), LOAM_OK);
    assert_int_equal(buf.len, 100000);
    assert_true(mem_alloc_count() < 20);
    loam_buf_free(&buf);
}

static void a_buffer_is_unchanged_when_memory_runs_out(void **state)
{
    (void)state;
    loam_buf buf = {0};
    uint8_t much[4096] = {0};
    assert_int_equal(buf_set(&buf, "kept", 4), LOAM_OK);
    const loam_buf before = buf;
    mem_fail_at(1, 1);
    assert_int_equal(buf_append(&buf, much, sizeof much), LOAM_NOMEM);
    assert_int_equal(buf_set(&buf, much, sizeof much), LOAM_NOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), LOAM_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(buf_append(&buf, much, SIZE_MAX - 1), LOAM_NOMEM);
    assert_true(buf.data == before.data && buf.len == 4 && buf.cap == before.cap);
    assert_memory_equal(buf.data, "kept", 4);
    loam_buf_free(&buf);
}

#define test_memory(test) cmocka_unit_test_teardown(test, switch_off)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_memory(nothing_is_a_unique_pointer),
        test_memory(zalloc_zeroes_copy_copies),
        test_memory(arrays_are_checked_for_overflow),
        test_memory(the_nth_allocation_fails_once),
        test_memory(or_all_from_the_nth_on),
        test_memory(a_failed_realloc_leaves_the_old_block),
        test_memory(live_blocks_are_counted),
        test_memory(a_buffer_appends_and_replaces),
        test_memory(a_buffer_grows_by_doubling),
        test_memory(a_buffer_is_unchanged_when_memory_runs_out),
    };
    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}
