/*
 * test_threads_crowd.c - more readers than the engine has places for, and readers that live for a few calls.
 *
 * What a get sees is kept by its epoch, which counts readers in places that threads share once there are more than 64, and
 * that threads leave behind when they end. Meanwhile memtables are frozen, flushed and freed as fast as it goes. Every key
 * is there from the beginning; of each, a reader never sees an older value after a newer one.
 */
#include "../lib/crew.h"

#include <pthread.h>
#include <stdio.h>

enum { KEYS = 32, CROWD = 100, GETS_OF_A_VISITOR = 24 };

static loam_slice key_text(char text[static 16], uint64_t number)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%02u", (unsigned)number));
}

static void put_number(struct hand *hand, uint64_t key, uint64_t number)
{
    uint64_t value[40] = {number};
    char text[16];
    crew_expect(hand, loam_put(hand->crew->db, NULL, key_text(text, key),
                               loam_bytes(value, sizeof value)) == LOAM_OK);
}

/* All keys, again and again, each with a higher number; what is full is flushed behind. */
static void overwrite(struct hand *hand)
{
    for (uint64_t number = 1; crew_goes_on(hand); number++)
        for (uint64_t key = 0; key < KEYS && crew_goes_on(hand); key++)
            put_number(hand, key, number);
}

static void flush_and_merge(struct hand *hand)
{
    loam_stats stats = {.struct_size = sizeof stats};
    while (crew_goes_on(hand)) {
        crew_expect(hand, loam_flush(hand->crew->db, NULL) == LOAM_OK);
        if (rand_below(&hand->rand, 4) == 0)
            crew_expect(hand, loam_compact(hand->crew->db, NULL, NULL) == LOAM_OK);
        crew_expect(hand, loam_stats_get(hand->crew->db, &stats) == LOAM_OK);
        crew_expect(hand, stats.memtable_bytes <= 4 << 20); /* what was flushed is freed */
    }
}

static void get_number(struct hand *hand, uint64_t key, uint64_t seen[KEYS], loam_buf *found)
{
    uint64_t number = 0;
    char text[16];
    const loam_status rc = loam_get(hand->crew->db, NULL, key_text(text, key), found);
    if (!crew_expect(hand, rc == LOAM_OK && found->len == 40 * sizeof number)) return;
    memcpy(&number, found->data, sizeof number);
    crew_expect(hand, number >= seen[key]);
    seen[key] = number;
    atomic_fetch_add_explicit(&hand->crew->did, 1, memory_order_relaxed);
}

static void stay(struct hand *hand)
{
    uint64_t seen[KEYS] = {0};
    loam_buf found = {0};
    while (crew_goes_on(hand)) {
        for (int i = 0; i < 20; i++)
            get_number(hand, rand_below(&hand->rand, KEYS), seen, &found);
        crew_rest(5); /* so many would leave the others no processor */
    }
    loam_buf_free(&found);
}

static void *visit(void *arg)
{
    struct hand hand = *(const struct hand *)arg;
    uint64_t seen[KEYS] = {0};
    loam_buf found = {0};
    for (int i = 0; i < GETS_OF_A_VISITOR; i++)
        get_number(&hand, rand_below(&hand.rand, KEYS), seen, &found);
    loam_buf_free(&found);
    return NULL;
}

static void receive_visitors(struct hand *hand)
{
    while (crew_goes_on(hand)) {
        pthread_t visitors[3];
        struct hand hands[3];
        for (int i = 0; i < 3; i++) {
            hands[i] = *hand;
            hands[i].rand.state = rand_next(&hand->rand);
            if (!crew_expect(hand, pthread_create(&visitors[i], NULL, visit, &hands[i]) == 0))
                return;
        }
        for (int i = 0; i < 3; i++)
            pthread_join(visitors[i], NULL);
    }
}

static void run_crowd(struct fixture *f, const struct crew_job *jobs, const char *what)
{
    struct crew crew = {.seed = crew_seed()};
    struct hand hand = {.crew = &crew};
    crew_open(f, crew.seed, crew_hasty());
    crew.db = f->db;
    for (uint64_t key = 0; key < KEYS; key++)
        put_number(&hand, key, 0);
    crew_run(&crew, jobs, 900);
    print_message("# %llu gets of %s\n", (unsigned long long)atomic_load(&crew.did), what);
}

static void more_readers_than_places_never_miss_a_key(void **state)
{
    const struct crew_job jobs[] = {{overwrite, 1}, {flush_and_merge, 1}, {stay, CROWD}, {NULL, 0}};
    run_crowd(*state, jobs, "a crowd");
}

static void readers_that_come_and_go_never_miss_a_key(void **state)
{
    const struct crew_job jobs[] = {
        {overwrite, 1}, {flush_and_merge, 1}, {receive_visitors, 3}, {NULL, 0}};
    run_crowd(*state, jobs, "visitors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(more_readers_than_places_never_miss_a_key),
        test_closed(readers_that_come_and_go_never_miss_a_key),
    };
    return cmocka_run_group_tests_name("threads/crowd", tests, NULL, NULL);
}
