/*
 * test_epoch.c - what is retired is freed once, later, and never under a reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "db/epoch.h"
#include "os/thread.h"

struct item {
    struct epoch_node node; /* first */
    _Atomic int alive;
    _Atomic int *freed;
};

static void release_item(struct epoch_node *node)
{
    struct item *item = (struct item *)node;
    atomic_store(&item->alive, 0);
    atomic_fetch_add(item->freed, 1);
    free(item);
}

static struct item *new_item(_Atomic int *freed)
{
    struct item *item = calloc(1, sizeof *item);
    atomic_init(&item->alive, 1);
    item->freed = freed;
    item->node.release = release_item;
    return item;
}

static void without_readers_it_is_freed_soon(void **state)
{
    (void)state;
    struct epoch *epoch;
    _Atomic int freed = 0;
    assert_int_equal(epoch_new(&epoch), LOAM_OK);
    for (int i = 0; i < 100; i++) {
        epoch_retire(epoch, &new_item(&freed)->node);
        assert_true(atomic_load(&freed) >= i - 1); /* nothing piles up */
    }
    epoch_free(epoch);
    assert_int_equal(atomic_load(&freed), 100);
}

static void a_reader_keeps_what_was_retired_after_it_entered(void **state)
{
    (void)state;
    struct epoch *epoch;
    _Atomic int freed = 0;
    assert_int_equal(epoch_new(&epoch), LOAM_OK);
    const struct epoch_ticket ticket = epoch_enter(epoch);
    for (int i = 0; i < 10; i++)
        epoch_retire(epoch, &new_item(&freed)->node);
    assert_int_equal(atomic_load(&freed), 0);
    epoch_leave(ticket);
    epoch_retire(epoch, &new_item(&freed)->node);
    assert_true(atomic_load(&freed) >= 10);
    epoch_free(epoch);
    assert_int_equal(atomic_load(&freed), 11);
}

static void overlapping_readers_each_keep_their_own(void **state)
{
    (void)state;
    struct epoch *epoch;
    _Atomic int first = 0, second = 0, last = 0;
    assert_int_equal(epoch_new(&epoch), LOAM_OK);
    const struct epoch_ticket a = epoch_enter(epoch);
    epoch_retire(epoch, &new_item(&first)->node);
    const struct epoch_ticket b = epoch_enter(epoch);
    epoch_retire(epoch, &new_item(&second)->node);
    assert_int_equal(atomic_load(&first), 0);
    epoch_leave(a);
    epoch_retire(epoch, &new_item(&last)->node);
    assert_int_equal(atomic_load(&second), 0); /* b entered before it was retired */
    epoch_leave(b);
    epoch_retire(epoch, &new_item(&last)->node);
    assert_int_equal(atomic_load(&first) + atomic_load(&second), 2);
    epoch_free(epoch);
    assert_int_equal(atomic_load(&last), 2);
}

static void readers_may_nest(void **state)
{
    (void)state;
    struct epoch *epoch;
    _Atomic int freed = 0;
    assert_int_equal(epoch_new(&epoch), LOAM_OK);
    const struct epoch_ticket outer = epoch_enter(epoch);
    for (int i = 0; i < 5; i++) {
        const struct epoch_ticket inner = epoch_enter(epoch);
        epoch_retire(epoch, &new_item(&freed)->node);
        epoch_leave(inner);
        assert_int_equal(atomic_load(&freed), 0);
    }
    epoch_leave(outer);
    epoch_free(epoch);
    assert_int_equal(atomic_load(&freed), 5);
}

static void counts_add_up(void **state)
{
    (void)state;
    struct epoch *epoch;
    assert_int_equal(epoch_new(&epoch), LOAM_OK);
    for (int i = 0; i < 1000; i++)
        epoch_count(epoch);
    assert_int_equal(epoch_count_sum(epoch), 1000);
    epoch_free(epoch);
    epoch_free(NULL);
}

/* ---- threads ----------------------------------------------------------------------------------- */

enum { READERS = 4, REPLACEMENTS = 5000 };

struct arena_of_threads {
    struct epoch *epoch;
    _Atomic(struct item *) present;
    _Atomic bool stop;
    _Atomic int dead_seen;
    _Atomic uint64_t reads;
};

static void read_present(void *arg)
{
    struct arena_of_threads *shared = arg;
    while (!atomic_load(&shared->stop)) {
        const struct epoch_ticket ticket = epoch_enter(shared->epoch);
        const struct item *item = atomic_load(&shared->present);
        for (int i = 0; i < 3; i++)
            if (atomic_load(&item->alive) != 1) atomic_fetch_add(&shared->dead_seen, 1);
        epoch_leave(ticket);
        epoch_count(shared->epoch);
        atomic_fetch_add(&shared->reads, 1);
    }
}

static void nothing_is_freed_under_a_reader(void **state)
{
    (void)state;
    struct arena_of_threads shared = {.stop = false};
    struct thread threads[READERS];
    _Atomic int freed = 0;
    assert_int_equal(epoch_new(&shared.epoch), LOAM_OK);
    atomic_init(&shared.present, new_item(&freed));
    for (int i = 0; i < READERS; i++)
        assert_int_equal(thread_start(&threads[i], "reader", read_present, &shared), LOAM_OK);
    for (int i = 0; i < REPLACEMENTS; i++) {
        struct item *old = atomic_exchange(&shared.present, new_item(&freed));
        epoch_retire(shared.epoch, &old->node);
        if (i % 64 == 0) thread_yield();
    }
    while (atomic_load(&shared.reads) < 100)
        thread_yield();
    atomic_store(&shared.stop, true);
    for (int i = 0; i < READERS; i++)
        thread_join(&threads[i]);
    assert_int_equal(atomic_load(&shared.dead_seen), 0);
    assert_true(epoch_count_sum(shared.epoch) == atomic_load(&shared.reads));
    epoch_retire(shared.epoch, &atomic_load(&shared.present)->node);
    epoch_free(shared.epoch);
    assert_int_equal(atomic_load(&freed), REPLACEMENTS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_readers_it_is_freed_soon),
        cmocka_unit_test(a_reader_keeps_what_was_retired_after_it_entered),
        cmocka_unit_test(overlapping_readers_each_keep_their_own),
        cmocka_unit_test(readers_may_nest),
        cmocka_unit_test(counts_add_up),
        cmocka_unit_test(nothing_is_freed_under_a_reader),
    };
    return cmocka_run_group_tests_name("db/epoch", tests, NULL, NULL);
}
