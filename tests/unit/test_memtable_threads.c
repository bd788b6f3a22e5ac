/*
 * test_memtable_threads.c - one writer, several readers: what was there is found, in order, whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/rand.h"
#include "memtable/memtable.h"
#include "os/thread.h"

enum { READERS = 3, KEYS = 30000, VALUE_BYTES = 24 };

/* Writes number i makes with sequence i + 1; its key is that of rank i * stride % KEYS. */
struct scene {
    struct memtable *memtable;
    uint64_t stride, writes;
    _Atomic uint64_t written; /* sequences up to here are visible */
    _Atomic bool has_ended;
    _Atomic uint64_t walked, got;
};

/* rank, as a key whose first bytes sometimes tie and sometimes differ. */
static size_t make_key(uint8_t key[32], uint64_t rank)
{
    return (size_t)snprintf((char *)key, 32, "user%02u/%010u", (unsigned)(rank / 5000),
                            (unsigned)rank);
}

static uint64_t rank_of(const struct scene *scene, uint64_t seq)
{
    return (seq - 1) * scene->stride % KEYS;
}

static void check_whole(const struct scene *scene, const struct entry *entry)
{
    uint8_t key[32];
    const size_t len = make_key(key, rank_of(scene, entry->seq));
    check(bytes_equal(entry->key, loam_bytes(key, len)));
    check(entry->value.len == VALUE_BYTES);
    for (size_t i = 0; i < VALUE_BYTES; i++)
        check(((const uint8_t *)entry->value.data)[i] == entry->seq % 256);
}

static void get_what_is_there(struct scene *scene, struct rand *rand)
{
    const uint64_t written = atomic_load_explicit(&scene->written, memory_order_acquire);
    if (written == 0) return;
    uint8_t key[32];
    struct entry got;
    const uint64_t seq = 1 + rand_below(rand, written);
    const loam_slice slice = loam_bytes(key, make_key(key, rank_of(scene, seq)));
    check(memtable_get(scene->memtable, slice, hash_key(slice), seq, &got));
    check(got.seq == seq);
    check_whole(scene, &got);
    check(memtable_get(scene->memtable, slice, hash_key(slice), SEQ_MAX, &got));
    check(got.seq >= seq);
    check_whole(scene, &got);
    atomic_fetch_add_explicit(&scene->got, 1, memory_order_relaxed);
}

/* Walks from somewhere and counts: all that was written before, in that range, must be met. */
static void walk_forward(struct scene *scene, struct iter *iter, struct rand *rand, uint64_t steps)
{
    const uint64_t written = atomic_load_explicit(&scene->written, memory_order_acquire);
    uint8_t key[32];
    uint64_t rank = steps < KEYS ? rand_below(rand, KEYS) : 0, old_met = 0, old_there = 0;
    const uint64_t from = rank;
    loam_status rc = iter->ops->seek(iter, loam_bytes(key, make_key(key, rank)), SEQ_MAX);
    uint64_t last_seq = SEQ_MAX;
    for (; rc == LOAM_OK && steps > 0; rc = iter->ops->next(iter), steps--) {
        const uint64_t at = rank_of(scene, iter->at->seq);
        check_whole(scene, iter->at);
        check(at > rank || (at == rank && iter->at->seq < last_seq));
        rank = at;
        last_seq = iter->at->seq;
        old_met += iter->at->seq <= written;
        atomic_fetch_add_explicit(&scene->walked, 1, memory_order_relaxed);
    }
    check(rc >= 0);
    for (uint64_t seq = 1; rc == LOAM_NOTFOUND && seq <= written; seq++)
        old_there += rank_of(scene, seq) >= from;
    check(rc != LOAM_NOTFOUND || old_met == old_there);
}

static void walk_backward(struct scene *scene, struct iter *iter, struct rand *rand, uint64_t steps)
{
    const uint64_t written = atomic_load_explicit(&scene->written, memory_order_acquire);
    uint8_t key[32];
    uint64_t rank = steps < KEYS ? rand_below(rand, KEYS) : KEYS - 1, old_met = 0, old_there = 0;
    const uint64_t from = rank;
    loam_status rc = iter->ops->seek_back(iter, loam_bytes(key, make_key(key, rank)), 0);
    uint64_t last_seq = 0;
    for (; rc == LOAM_OK && steps > 0; rc = iter->ops->prev(iter), steps--) {
        const uint64_t at = rank_of(scene, iter->at->seq);
        check_whole(scene, iter->at);
        check(at < rank || (at == rank && iter->at->seq > last_seq));
        rank = at;
        last_seq = iter->at->seq;
        old_met += iter->at->seq <= written;
        atomic_fetch_add_explicit(&scene->walked, 1, memory_order_relaxed);
    }
    check(rc >= 0);
    for (uint64_t seq = 1; rc == LOAM_NOTFOUND && seq <= written; seq++)
        old_there += rank_of(scene, seq) <= from;
    check(rc != LOAM_NOTFOUND || old_met == old_there);
}

static void read_until_the_end(void *arg)
{
    static _Atomic uint64_t seeds;
    struct scene *scene = arg;
    struct rand rand = {atomic_fetch_add(&seeds, 1)};
    struct iter *iter;
    check(memtable_iter_new(scene->memtable, &iter) == LOAM_OK);
    bool is_last;
    do {
        is_last = atomic_load(&scene->has_ended);
        for (unsigned i = 0; i < 200; i++)
            get_what_is_there(scene, &rand);
        walk_forward(scene, iter, &rand, 300);
        walk_backward(scene, iter, &rand, 300);
        if (rand_below(&rand, 8) == 0 || is_last) {
            walk_forward(scene, iter, &rand, UINT64_MAX);
            walk_backward(scene, iter, &rand, UINT64_MAX);
        }
        const struct memtable_stats stats = memtable_stats(scene->memtable);
        check(stats.seq_max <= scene->writes);
    } while (!is_last);
    iter_close(iter);
}

static void write_all(struct scene *scene)
{
    for (uint64_t seq = 1; seq <= scene->writes; seq++) {
        uint8_t key[32], value[VALUE_BYTES];
        memset(value, (int)(seq % 256), sizeof value);
        const struct entry entry = {
            .key = loam_bytes(key, make_key(key, rank_of(scene, seq))),
            .value = loam_bytes(value, sizeof value),
            .seq = seq,
            .kind = ENTRY_PUT,
        };
        check(memtable_reserve(scene->memtable, 1, entry.key.len + VALUE_BYTES) == LOAM_OK);
        memtable_add(scene->memtable, &entry, hash_key(entry.key), (struct memtable_near){0});
        atomic_store_explicit(&scene->written, seq, memory_order_release);
        if (seq % 512 == 0) thread_yield();
    }
}

static void play(uint64_t stride, uint64_t writes)
{
    struct arena_pool *pool = arena_pool_new(0);
    struct scene scene = {.stride = stride, .writes = writes};
    scene.memtable = memtable_new(pool, (size_t)4 << 20);
    assert_non_null(scene.memtable);
    struct thread threads[READERS];
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(thread_start(&threads[i], "reader", read_until_the_end, &scene), LOAM_OK);
    write_all(&scene);
    atomic_store(&scene.has_ended, true);
    for (unsigned i = 0; i < READERS; i++)
        thread_join(&threads[i]);
    assert_true(atomic_load(&scene.walked) > writes);
    assert_true(atomic_load(&scene.got) >= 200);
    memtable_unref(scene.memtable);
    arena_pool_free(pool);
}

static void readers_see_all_that_was_there_under_scattered_writes(void **state)
{
    (void)state;
    play(7919, KEYS + 5000); /* the last 5000 overwrite */
}

static void readers_see_all_that_was_there_under_writes_in_order(void **state)
{
    (void)state;
    play(1, KEYS);
}

static void readers_see_all_that_was_there_under_writes_in_reverse(void **state)
{
    (void)state;
    play(KEYS - 1, KEYS);
}

static void readers_see_all_that_was_there_under_overwrites(void **state)
{
    (void)state;
    play(KEYS / 100, 20000); /* 100 keys, 200 versions each */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_all_that_was_there_under_scattered_writes),
        cmocka_unit_test(readers_see_all_that_was_there_under_writes_in_order),
        cmocka_unit_test(readers_see_all_that_was_there_under_writes_in_reverse),
        cmocka_unit_test(readers_see_all_that_was_there_under_overwrites),
    };
    return cmocka_run_group_tests_name("memtable/threads", tests, NULL, NULL);
}
