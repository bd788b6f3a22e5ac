/*
 * test_threads_merge.c - counters that many threads add to at once: nothing is lost, and nobody sees one go back.
 *
 * Eight writers add ones to a few counters, by calls, batches and transactions, while memtables are frozen, flushed and
 * merged, and readers look by every way there is. In the end each counter is the number of ones that were added.
 */
#include "../lib/crew.h"

#include <stdio.h>

enum { COUNTERS = 6, WRITERS = 8, READERS = 2 };

struct counters {
    loam_coll *coll;
    _Atomic uint64_t added[COUNTERS];
};

static loam_slice counter_key(char text[static 16], uint64_t number)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "counter %u", (unsigned)number));
}

static loam_slice one_of(uint8_t bytes[static 8])
{
    for (int i = 0; i < 8; i++)
        bytes[i] = i == 0;
    return loam_bytes(bytes, 8);
}

static uint64_t number_in(loam_slice value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++)
        number |= (uint64_t)((const uint8_t *)value.data)[i] << (8 * i);
    return number;
}

static bool add_in_txn(struct hand *hand, const struct counters *counters, loam_slice key)
{
    uint8_t one[8];
    loam_txn *txn;
    crew_expect(hand, loam_txn_begin(hand->crew->db, &txn) == LOAM_OK);
    crew_expect(hand, loam_txn_merge(txn, counters->coll, key, one_of(one)) == LOAM_OK);
    const bool done = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT) == LOAM_OK;
    crew_expect(hand, done); /* it has read nothing */
    loam_txn_close(txn);
    return done;
}

static void add_ones(struct hand *hand)
{
    struct counters *counters = hand->ctx;
    loam_batch *batch = loam_batch_new();
    uint8_t one[8];
    char text[16];
    while (crew_goes_on(hand)) {
        const uint64_t number = rand_below(&hand->rand, COUNTERS);
        const uint64_t how = rand_below(&hand->rand, 16);
        const loam_slice key = counter_key(text, number);
        uint64_t count = 1;
        if (how == 0) {
            count = add_in_txn(hand, counters, key);
        } else if (how == 1) {
            count = 1 + rand_below(&hand->rand, 5);
            loam_batch_clear(batch);
            for (uint64_t i = 0; i < count; i++)
                crew_expect(hand,
                            loam_batch_merge(batch, counters->coll, key, one_of(one)) == LOAM_OK);
            crew_expect(hand, loam_write(hand->crew->db, batch, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        } else {
            crew_expect(hand,
                        loam_merge(hand->crew->db, counters->coll, key, one_of(one)) == LOAM_OK);
        }
        atomic_fetch_add(&counters->added[number], count);
        atomic_fetch_add_explicit(&hand->crew->did, count, memory_order_relaxed);
    }
    loam_batch_free(batch);
}

static void see(struct hand *hand, uint64_t seen[COUNTERS], uint64_t number, loam_slice value)
{
    const uint64_t now = number_in(value);
    crew_expect(hand, value.len == 8 && now >= seen[number]);
    seen[number] = now;
}

static void look_at_all(struct hand *hand, uint64_t seen[COUNTERS], bool backward)
{
    const struct counters *counters = hand->ctx;
    loam_iter *it;
    crew_expect(hand, loam_iter_open(hand->crew->db, counters->coll, NULL, &it) == LOAM_OK);
    while ((backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK) {
        const loam_slice key = loam_iter_key(it);
        see(hand, seen, (uint64_t)(((const char *)key.data)[key.len - 1] - '0'),
            loam_iter_value(it));
    }
    loam_iter_close(it);
}

static void look(struct hand *hand)
{
    const struct counters *counters = hand->ctx;
    uint64_t seen[COUNTERS] = {0};
    loam_buf value = {0};
    char text[16];
    while (crew_goes_on(hand)) {
        const uint64_t number = rand_below(&hand->rand, COUNTERS);
        const loam_slice key = counter_key(text, number);
        const loam_status rc = loam_get(hand->crew->db, counters->coll, key, &value);
        if (rc == LOAM_OK)
            see(hand, seen, number, loam_bytes(value.data, value.len));
        else
            crew_expect(hand, rc == LOAM_NOTFOUND && seen[number] == 0);
        if (rand_below(&hand->rand, 8) == 0)
            look_at_all(hand, seen, rand_below(&hand->rand, 2) == 0);
    }
    loam_buf_free(&value);
}

static void flush_and_merge(struct hand *hand)
{
    const struct counters *counters = hand->ctx;
    loam_snapshot *snap;
    while (crew_goes_on(hand)) {
        crew_expect(hand, loam_snapshot_open(hand->crew->db, &snap) == LOAM_OK);
        crew_expect(hand, loam_flush(hand->crew->db, counters->coll) == LOAM_OK);
        if (rand_below(&hand->rand, 3) == 0)
            crew_expect(hand, loam_compact(hand->crew->db, counters->coll, NULL) == LOAM_OK);
        loam_snapshot_close(snap);
    }
}

static void counters_under_contention_lose_nothing(void **state)
{
    struct fixture *f = *state;
    struct counters counters = {.coll = NULL};
    struct crew crew = {.seed = crew_seed(), .ctx = &counters};
    const struct crew_job jobs[] = {
        {add_ones, WRITERS}, {look, READERS}, {flush_and_merge, 1}, {NULL, 0}};
    loam_coll_options options = loam_coll_options_default();
    loam_buf value = {0};
    char text[16];
    crew_open(f, crew.seed, crew_hasty());
    crew.db = f->db;
    options.merge_operator = "add_i64";
    expect_ok(loam_create(f->db, "counters", &options, &counters.coll));
    crew_run(&crew, jobs, 1500);
    for (int reopened = 0; reopened < 2; reopened++) {
        expect_ok(loam_collection(f->db, "counters", &counters.coll));
        for (uint64_t i = 0; i < COUNTERS; i++) {
            const uint64_t added = atomic_load(&counters.added[i]);
            const loam_status rc = loam_get(f->db, counters.coll, counter_key(text, i), &value);
            expect_status(added > 0 ? LOAM_OK : LOAM_NOTFOUND, rc);
            if (added > 0) assert_true(number_in(loam_bytes(value.data, value.len)) == added);
        }
        if (reopened == 0) fixture_reopen(f);
    }
    loam_buf_free(&value);
    print_message("# %llu ones\n", (unsigned long long)atomic_load(&crew.did));
}

int main(void)
{
    const struct CMUnitTest tests[] = {test_closed(counters_under_contention_lose_nothing)};
    return cmocka_run_group_tests_name("threads/merge", tests, NULL, NULL);
}
