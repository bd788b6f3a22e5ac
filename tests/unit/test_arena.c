/*
 * test_arena.c - arenas keep what they promised and survive being out of memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "memtable/arena.h"
#include "memtable/memtable.h"

static void a_reserve_grants_takings_of_any_sizes(void **state)
{
    (void)state;
    struct rand rand = {11};
    struct arena_pool *pool = arena_pool_new((size_t)64 << 20);
    struct arena arena;
    arena_init(&arena, pool);
    for (unsigned round = 0; round < 3000; round++) {
        size_t left = (size_t)(rand_below(&rand, 9) == 0 ? 300000 : 3000);
        assert_int_equal(arena_reserve(&arena, left), LOAM_OK);
        while (left >= 64) {
            const size_t bytes = 1 + (size_t)rand_below(&rand, left - 7);
            uint8_t *taken;
            if (rand_below(&rand, 2) == 0) {
                taken = arena_take(&arena, bytes);
                assert_int_equal((uintptr_t)taken % 8, 0);
                memset(taken, 0xa5, bytes);
                left -= arena_rounded(bytes);
            } else {
                taken = arena_take_lines(&arena, 64);
                assert_int_equal((uintptr_t)taken % 64, 0);
                memset(taken, 0x5a, 64);
                left -= 64;
            }
        }
    }
    arena_deinit(&arena);
    assert_int_equal(arena_bytes(&arena), 0);
    arena_pool_free(pool);
}

static void takings_do_not_overlap(void **state)
{
    enum { COUNT = 20000 };
    static uint8_t *taken[COUNT];
    static size_t sizes[COUNT];
    (void)state;
    struct rand rand = {5};
    struct arena_pool *pool = arena_pool_new(0);
    struct arena arena;
    arena_init(&arena, pool);
    for (unsigned i = 0; i < COUNT; i++) {
        const bool lines = rand_below(&rand, 4) == 0;
        sizes[i] =
            lines ? 64 * (1 + (size_t)rand_below(&rand, 20)) : (size_t)rand_below(&rand, 400);
        assert_int_equal(arena_reserve(&arena, arena_rounded(sizes[i])), LOAM_OK);
        taken[i] = lines ? arena_take_lines(&arena, sizes[i]) : arena_take(&arena, sizes[i]);
        memset(taken[i], (int)(i % 251), sizes[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            if (taken[i][at] != i % 251) fail_msg("taking %u was overwritten at %zu", i, at);
    arena_deinit(&arena);
    arena_pool_free(pool);
}

static void an_arena_starts_small_and_wastes_little(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(0);
    struct arena arena;
    arena_init(&arena, pool);
    assert_int_equal(arena_bytes(&arena), 0);
    assert_int_equal(arena_reserve(&arena, 100), LOAM_OK);
    assert_int_equal(arena_bytes(&arena), ARENA_FIRST_PIECE_BYTES);
    for (size_t used = 0; used < (size_t)20 << 20; used += 1000) {
        assert_int_equal(arena_reserve(&arena, 4000), LOAM_OK);
        (void)arena_take(&arena, 1000);
    }
    assert_true(arena_bytes(&arena) < (size_t)25 << 20);
    arena_deinit(&arena);
    arena_pool_free(pool);
}

static void a_large_reserve_gets_a_piece_of_its_own(void **state)
{
    (void)state;
    const size_t large = (size_t)5 << 20;
    struct arena_pool *pool = arena_pool_new((size_t)64 << 20);
    struct arena arena;
    arena_init(&arena, pool);
    assert_int_equal(arena_reserve(&arena, large), LOAM_OK);
    memset(arena_take(&arena, large), 1, large);
    assert_true(arena_bytes(&arena) < large + 8192);
    arena_deinit(&arena);
    assert_int_equal(arena_pool_bytes(pool), 0);
    arena_pool_free(pool);
}

static void the_pool_keeps_full_pieces_up_to_its_bound(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(3 * ARENA_PIECE_BYTES + 1);
    for (unsigned round = 0; round < 3; round++) {
        struct arena arena;
        arena_init(&arena, pool);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(arena_reserve(&arena, ARENA_PIECE_BYTES - 4096), LOAM_OK);
            memset(arena_take(&arena, ARENA_PIECE_BYTES - 4096), 7, ARENA_PIECE_BYTES - 4096);
        }
        assert_int_equal(arena_bytes(&arena), 5 * ARENA_PIECE_BYTES);
        assert_int_equal(arena_pool_bytes(pool), 0);
        arena_deinit(&arena);
        assert_int_equal(arena_pool_bytes(pool), 3 * ARENA_PIECE_BYTES);
    }
    arena_pool_free(pool);
}

static void pieces_beyond_those_of_one_sheet_are_as_good(void **state)
{
    (void)state;
    enum { PIECES = 70 };
    uint8_t *pieces[PIECES];
    struct arena_pool *pool = arena_pool_new(0);
    for (unsigned i = 0; i < PIECES; i++) {
        pieces[i] = arena_pool_take(pool);
        assert_non_null(pieces[i]);
        pieces[i][0] = pieces[i][ARENA_PIECE_BYTES - 1] = (uint8_t)(i + 1);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        assert_int_equal(pieces[i][0], i + 1);
        assert_int_equal(pieces[i][ARENA_PIECE_BYTES - 1], i + 1);
        arena_pool_give(pool, pieces[i]);
    }
    arena_pool_free(pool);
}

static void where_a_sheet_is_too_much_a_piece_will_do(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(0);
    mem_fail_at(1, 0); /* the sheet */
    uint8_t *piece = arena_pool_take(pool);
    mem_fail_at(0, 0);
    assert_non_null(piece);
    piece[0] = piece[ARENA_PIECE_BYTES - 1] = 1;
    arena_pool_give(pool, piece);
    arena_pool_free(pool);
}

static void out_of_memory_leaves_an_arena_usable(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    const int64_t before = mem_live_count();
    struct arena_pool *pool = arena_pool_new(0);
    struct arena arena;
    arena_init(&arena, pool);
    const size_t sizes[] = {104, 10000, ARENA_PIECE_BYTES / 2 + 8, 3 * ARENA_PIECE_BYTES, SIZE_MAX};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t bytes = arena_bytes(&arena);
        mem_fail_at(1, 1);
        assert_int_equal(arena_reserve(&arena, sizes[i]), LOAM_NOMEM);
        mem_fail_at(0, 0);
        assert_int_equal(arena_bytes(&arena), bytes);
        if (sizes[i] == SIZE_MAX) break;
        assert_int_equal(arena_reserve(&arena, sizes[i]), LOAM_OK);
        memset(arena_take(&arena, sizes[i]), 3, sizes[i]);
    }
    arena_deinit(&arena);
    arena_pool_free(pool);
    assert_int_equal(mem_live_count(), before);
}

static void out_of_memory_gives_no_pool_and_no_memtable(void **state)
{
    (void)state;
    mem_fail_at(1, 0);
    assert_null(arena_pool_new(0));
    struct arena_pool *pool = arena_pool_new(0);
    mem_fail_at(1, 0);
    assert_null(memtable_new(pool, 1 << 20));
    mem_fail_at(0, 0);
    arena_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_leaves_an_arena_usable),
        cmocka_unit_test(out_of_memory_gives_no_pool_and_no_memtable),
        cmocka_unit_test(a_reserve_grants_takings_of_any_sizes),
        cmocka_unit_test(takings_do_not_overlap),
        cmocka_unit_test(an_arena_starts_small_and_wastes_little),
        cmocka_unit_test(a_large_reserve_gets_a_piece_of_its_own),
        cmocka_unit_test(the_pool_keeps_full_pieces_up_to_its_bound),
        cmocka_unit_test(pieces_beyond_those_of_one_sheet_are_as_good),
        cmocka_unit_test(where_a_sheet_is_too_much_a_piece_will_do),
    };
    return cmocka_run_group_tests_name("memtable/arena", tests, NULL, NULL);
}
