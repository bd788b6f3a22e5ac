/*
 * test_cache.c - the page cache: what is pinned stays, what is not may go, and the budget holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "base/status.h"
#include "os/thread.h"
#include "sstable/cache.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

enum { PAGES = 500, PAGE_BYTES = 12000, LEAST_BYTES = 132 << 10 /* one piece of frames */ };

struct source { /* of pages filled with their number */
    _Atomic uint64_t loads;
    uint32_t failing_page;
    uint32_t salt;
};

static uint32_t page_len(uint32_t page_index)
{
    return PAGE_BYTES / (1 + page_index % 4) + page_index % 7; /* of one, two and four units */
}

static loam_status load_numbered(void *ctx, uint32_t page_index, struct page_room *room)
{
    struct source *source = ctx;
    atomic_fetch_add(&source->loads, 1);
    if (page_index == source->failing_page) return failed(LOAM_IOERR, "no such page");
    const uint32_t count = page_len(page_index);
    const loam_status rc = page_room_take(room, count);
    if (rc < 0) return rc;
    memset(room->bytes, (int)(page_index * 31 + source->salt), count);
    assert_in_range(room->side_bytes, count / 32, 2 * (count / 32) + 128);
    memset(room->side, (int)(page_index * 29 + source->salt), room->side_bytes);
    return LOAM_OK;
}

static bool holds_page(const struct page_pin *pin, uint32_t page_index, uint32_t salt)
{
    const uint8_t wanted = (uint8_t)(page_index * 31 + salt);
    for (uint32_t i = 0; i < page_len(page_index); i += 37) {
        if (pin->bytes[i] != wanted) return false;
    }
    for (uint32_t i = 0; i < page_len(page_index) / 32; i++) {
        if (pin->side[i] != (uint8_t)(page_index * 29 + salt)) return false;
    }
    return pin->bytes[page_len(page_index) - 1] == wanted;
}

static void a_page_is_loaded_once_while_there_is_room(void **state)
{
    static page_slot slots[PAGES];
    struct source source = {0, UINT32_MAX, 0};
    struct page_cache *cache = NULL;
    (void)state;
    assert_ok(page_cache_new(20 << 20, &cache));
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            struct page_pin pin = {0};
            assert_ok(page_pin(cache, slots, i, load_numbered, &source, &pin));
            assert_true(holds_page(&pin, i, 0));
            page_unpin(&pin);
            assert_null(pin.slot);
            page_unpin(&pin);
        }
    }
    assert_int_equal(source.loads, PAGES);
    assert_int_equal(page_cache_stats(cache).miss_count, PAGES);
    assert_int_equal(page_cache_stats(cache).evicted_count, 0);
    page_slots_drop(cache, slots, PAGES);
    page_cache_free(cache);
}

static void the_budget_holds_and_hot_pages_stay(void **state)
{
    static page_slot slots[PAGES];
    const uint64_t capacity = 100 * 16384;
    struct source source = {0, UINT32_MAX, 0};
    struct page_cache *cache = NULL;
    uint64_t hot_misses = 0;
    (void)state;
    assert_ok(page_cache_new(capacity, &cache));
    for (uint32_t i = 0; i < 20 * PAGES; i++) {
        struct page_pin pin = {0};
        const uint32_t hot = i % 10;
        const uint64_t before = source.loads;
        assert_ok(page_pin(cache, slots, hot, load_numbered, &source, &pin));
        hot_misses += source.loads - before;
        page_unpin(&pin);
        const uint32_t cold = 10 + i % (PAGES - 10);
        assert_ok(page_pin(cache, slots, cold, load_numbered, &source, &pin));
        assert_true(holds_page(&pin, cold, 0));
        page_unpin(&pin);
        assert_true(page_cache_stats(cache).frame_bytes <= capacity);
    }
    assert_true(hot_misses < 30);
    page_slots_drop(cache, slots, PAGES);
    page_cache_free(cache);
}

static void pinned_pages_exceed_the_budget_and_stay(void **state)
{
    static page_slot slots[PAGES];
    static page_slot others[1];
    static struct page_pin pins[PAGES];
    struct source source = {0, UINT32_MAX, 0};
    struct page_cache *cache = NULL;
    (void)state;
    assert_ok(page_cache_new(LEAST_BYTES, &cache));
    for (uint32_t i = 0; i < PAGES; i++)
        assert_ok(page_pin(cache, slots, i, load_numbered, &source, &pins[i]));
    assert_int_equal(page_cache_stats(cache).pinned_count, PAGES);
    assert_true(page_cache_stats(cache).frame_bytes > PAGES * PAGE_BYTES / 4);
    assert_true(page_slots_pinned(slots, PAGES));
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_true(holds_page(&pins[i], i, 0));
        page_unpin(&pins[i]);
    }
    assert_false(page_slots_pinned(slots, PAGES));
    /* The next load finds them unpinned. */
    struct page_pin pin = {0};
    assert_ok(page_pin(cache, others, 0, load_numbered, &source, &pin));
    page_unpin(&pin);
    assert_true(page_cache_stats(cache).frame_bytes <= LEAST_BYTES);
    page_slots_drop(cache, slots, PAGES);
    page_slots_drop(cache, others, 1);
    page_cache_free(cache);
}

static void a_failed_load_is_passed_on_and_tried_again(void **state)
{
    static page_slot slots[PAGES];
    struct source source = {0, 3, 0};
    struct page_cache *cache = NULL;
    struct page_pin pin = {0};
    (void)state;
    assert_ok(page_cache_new(1 << 20, &cache));
    assert_int_equal(page_pin(cache, slots, 3, load_numbered, &source, &pin), LOAM_IOERR);
    assert_false(page_pin_cached(cache, slots, 3, &pin));
    assert_null(page_peek(cache, slots, 3, NULL));
    source.failing_page = UINT32_MAX;
    assert_ok(page_pin(cache, slots, 3, load_numbered, &source, &pin));
    page_unpin(&pin);
    assert_true(page_pin_cached(cache, slots, 3, &pin));
    assert_ptr_equal(page_peek(cache, slots, 3, NULL), pin.bytes);
    page_unpin(&pin);
    page_slots_drop(cache, slots, PAGES);
    page_cache_free(cache);
}

static void out_of_memory_is_an_answer(void **state)
{
    static page_slot slots[PAGES];
    struct source source = {0, UINT32_MAX, 0};
    loam_status rc = LOAM_NOMEM;
    (void)state;
    mem_fail_at(0, 0);
    const int64_t live = mem_live_count();
    for (uint64_t nth = 1; rc != LOAM_OK; nth++) {
        struct page_cache *cache = NULL;
        struct page_pin pin = {0};
        mem_fail_at(nth, 0);
        rc = page_cache_new(1 << 20, &cache);
        if (rc == LOAM_OK) rc = page_pin(cache, slots, 1, load_numbered, &source, &pin);
        mem_fail_at(0, 0);
        if (rc != LOAM_OK) assert_int_equal(rc, LOAM_NOMEM);
        page_unpin(&pin);
        if (cache != NULL) page_slots_drop(cache, slots, PAGES);
        page_cache_free(cache);
        assert_int_equal(mem_live_count(), live);
    }
}

struct hoard {
    struct cache_client client;
    struct page_cache *cache;
    int64_t bytes;
    bool busy;
};

static bool trim_hoard(struct cache_client *client)
{
    struct hoard *hoard = (struct hoard *)client;
    if (hoard->busy) return false;
    page_cache_charge(hoard->cache, -hoard->bytes);
    hoard->bytes = 0;
    return true;
}

static void charges_push_pages_out_and_idle_clients_too(void **state)
{
    static page_slot slots[PAGES];
    struct source source = {0, UINT32_MAX, 0};
    struct hoard hoards[4] = {{{0}, NULL, 0, false}};
    struct page_cache *cache = NULL;
    (void)state;
    assert_ok(page_cache_new(1000000, &cache));
    for (uint32_t i = 0; i < PAGES; i++) {
        struct page_pin pin = {0};
        assert_ok(page_pin(cache, slots, i, load_numbered, &source, &pin));
        page_unpin(&pin);
    }
    for (size_t i = 0; i < 4; i++) {
        hoards[i] = (struct hoard){{.trim = trim_hoard}, cache, 200000, i < 2};
        page_cache_join(cache, &hoards[i].client);
        page_cache_charge(cache, 200000);
        const struct page_cache_stats stats = page_cache_stats(cache);
        assert_true(stats.charged_bytes + stats.frame_bytes <= 1000000);
    }
    assert_int_equal(hoards[0].bytes + hoards[1].bytes, 400000); /* busy ones keep theirs */
    assert_int_equal(page_cache_stats(cache).charged_bytes, 400000);
    for (size_t i = 0; i < 4; i++) {
        page_cache_leave(cache, &hoards[i].client);
        page_cache_leave(cache, &hoards[i].client);
        page_cache_charge(cache, -hoards[i].bytes);
    }
    page_slots_drop(cache, slots, PAGES);
    page_cache_free(cache);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 30000, HELD = 8 };

static page_slot shared_slots[PAGES];

struct worker {
    struct thread thread;
    struct page_cache *cache;
    struct source *source;
    uint64_t seed, wrong;
};

/* Each thread pins pages all share, holds some for long, and now and then takes an array of its own
   through its life. */
static void run_worker(void *arg)
{
    struct worker *worker = arg;
    struct rand rand = {worker->seed};
    struct page_pin held[HELD] = {{0}};
    uint32_t held_page[HELD] = {0};
    page_slot *own = calloc(20, sizeof *own);
    struct source own_source = {0, UINT32_MAX, (uint32_t)worker->seed};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const size_t at = (size_t)rand_below(&rand, HELD);
        if (held[at].slot != NULL && !holds_page(&held[at], held_page[at], 0)) worker->wrong++;
        page_unpin(&held[at]);
        held_page[at] = (uint32_t)rand_below(&rand, PAGES);
        if (page_pin(worker->cache, shared_slots, held_page[at], load_numbered, worker->source,
                     &held[at]) != LOAM_OK)
            worker->wrong++;
        struct page_pin pin = {0};
        const uint32_t page = (uint32_t)rand_below(&rand, 20);
        if (page_pin(worker->cache, own, page, load_numbered, &own_source, &pin) != LOAM_OK ||
            !holds_page(&pin, page, own_source.salt))
            worker->wrong++;
        page_unpin(&pin);
        (void)page_peek(worker->cache, shared_slots, (uint32_t)rand_below(&rand, PAGES), NULL);
        if (round % 100 != 99) continue;
        page_slots_drop(worker->cache, own, 20);
        free(own);
        own = calloc(20, sizeof *own);
    }
    for (size_t i = 0; i < HELD; i++)
        page_unpin(&held[i]);
    page_slots_drop(worker->cache, own, 20);
    free(own);
}

static void threads_see_the_right_pages_in_a_cache_much_too_small(void **state)
{
    static struct worker workers[THREADS];
    struct source source = {0, UINT32_MAX, 0};
    struct page_cache *cache = NULL;
    (void)state;
    assert_ok(page_cache_new(60 * 16384, &cache));
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.cache = cache, .source = &source, .seed = i + 1};
        assert_ok(thread_start(&workers[i].thread, "worker", run_worker, &workers[i]));
    }
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(&workers[i].thread);
        assert_int_equal(workers[i].wrong, 0);
    }
    const struct page_cache_stats stats = page_cache_stats(cache);
    assert_int_equal(stats.pinned_count, 0);
    assert_true(stats.evicted_count > 1000);
    page_slots_drop(cache, shared_slots, PAGES);
    page_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_loaded_once_while_there_is_room),
        cmocka_unit_test(the_budget_holds_and_hot_pages_stay),
        cmocka_unit_test(pinned_pages_exceed_the_budget_and_stay),
        cmocka_unit_test(a_failed_load_is_passed_on_and_tried_again),
        cmocka_unit_test(out_of_memory_is_an_answer),
        cmocka_unit_test(charges_push_pages_out_and_idle_clients_too),
        cmocka_unit_test(threads_see_the_right_pages_in_a_cache_much_too_small),
    };
    return cmocka_run_group_tests_name("sstable/cache", tests, NULL, NULL);
}
