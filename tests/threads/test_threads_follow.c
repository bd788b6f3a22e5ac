/*
 * test_threads_follow.c - a follower is refreshed and read while its writer's threads commit, flush, merge, and change collections.
 *
 * Each writer commits one number under two keys of one collection and under one of another, all in one batch, tells before and after how far it
 * is, and adds one to a sum. After a refresh the follower shows at least what was acknowledged before; between refreshes nothing
 * moves; two keys of one collection always agree at one moment, and those of two collections in a snapshot. Numbers never fall.
 */
#include "../lib/crew.h"

#include <stdio.h>

enum {
    WRITERS = 3,
    PADDING = 700,
    OTHERS = 300 /* so that putting a state in its place takes a while */
};

struct pasture {
    loam_db *follower;
    loam_coll *other, *other_seen;
    _Atomic uint32_t done[WRITERS];
    _Atomic uint64_t refreshes, busy, snapshots;
};

static loam_slice key_of(char text[static 16], int writer, const char *half)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%d/%s", writer, half));
}

static void write_numbers(struct hand *hand)
{
    static const char padding[PADDING];
    struct pasture *pasture = hand->ctx;
    loam_batch *batch = loam_batch_new();
    char key[16], value[PADDING + 16];
    for (uint32_t number = 1; crew_goes_on(hand); number++) {
        const size_t len = (size_t)snprintf(value, sizeof value, "%010u", number);
        memcpy(value + len, padding, number % PADDING);
        const loam_slice slice = loam_bytes(value, len + number % PADDING);
        bool ok = true;
        loam_batch_clear(batch);
        ok &= loam_batch_put(batch, NULL, key_of(key, hand->number, "a"), slice) == LOAM_OK;
        ok &= loam_batch_put(batch, NULL, key_of(key, hand->number, "b"), slice) == LOAM_OK;
        ok &=
            loam_batch_put(batch, pasture->other, key_of(key, hand->number, "a"), slice) == LOAM_OK;
        ok &= loam_batch_merge(batch, pasture->other, key_of(key, hand->number, "sum"),
                               loam_bytes("\1\0\0\0\0\0\0\0", 8)) == LOAM_OK;
        crew_expect(hand, ok);
        const bool syncs = rand_below(&hand->rand, 50) == 0;
        crew_expect(hand,
                    loam_write(hand->crew->db, batch,
                               syncs ? LOAM_DURABLE_COMMIT : LOAM_DURABLE_DEFAULT) == LOAM_OK);
        atomic_store_explicit(&pasture->done[hand->number], number, CREW_ORDER);
    }
    loam_batch_free(batch);
}

static void change_collections(struct hand *hand)
{
    loam_db *db = hand->crew->db;
    loam_coll *coll;
    while (crew_goes_on(hand)) {
        crew_expect(hand, loam_create(db, "first", NULL, &coll) == LOAM_OK);
        crew_expect(hand, loam_put(db, coll, loam_str("in it"), loam_str("v")) == LOAM_OK);
        crew_expect(hand, loam_rename(db, "first", "second") == LOAM_OK);
        crew_rest(20);
        crew_expect(hand, loam_drop(db, "second") == LOAM_OK);
        crew_rest(20);
        if (rand_below(&hand->rand, 4) == 0)
            crew_expect(hand, loam_compact(db, NULL, NULL) == LOAM_OK);
    }
}

static uint32_t number_in(struct hand *hand, loam_status rc, const loam_buf *value)
{
    if (rc == LOAM_NOTFOUND) return 0;
    if (!crew_expect(hand, rc == LOAM_OK && value->len >= 10)) return 0;
    return (uint32_t)number_at(loam_bytes(value->data, 10));
}

static uint64_t sum_of(struct hand *hand, loam_coll *coll, int writer, loam_buf *value)
{
    char key[16];
    uint64_t sum = 0;
    const struct pasture *pasture = hand->ctx;
    const loam_status rc = loam_get(pasture->follower, coll, key_of(key, writer, "sum"), value);
    if (rc == LOAM_NOTFOUND) return 0;
    if (crew_expect(hand, rc == LOAM_OK && value->len == 8)) memcpy(&sum, value->data, 8);
    return sum;
}

/* The only one who refreshes, so nothing moves between two calls of it. */
static void refresh(struct hand *hand)
{
    struct pasture *pasture = hand->ctx;
    loam_db *db = pasture->follower;
    loam_buf value = {0};
    char key[16];
    while (crew_goes_on(hand)) {
        uint32_t done[WRITERS];
        for (int w = 0; w < WRITERS; w++)
            done[w] = atomic_load_explicit(&pasture->done[w], CREW_ORDER);
        const loam_status rc = loam_refresh(db);
        if (rc == LOAM_BUSY) {
            atomic_fetch_add(&pasture->busy, 1);
            continue;
        }
        if (!crew_expect(hand, rc == LOAM_OK)) break;
        atomic_fetch_add(&pasture->refreshes, 1);
        for (int w = 0; w < WRITERS; w++) {
            const uint32_t a =
                number_in(hand, loam_get(db, NULL, key_of(key, w, "a"), &value), &value);
            crew_expect(hand, a >= done[w]);
            crew_expect(
                hand,
                a == number_in(hand, loam_get(db, pasture->other_seen, key_of(key, w, "a"), &value),
                               &value));
            crew_expect(hand, a == sum_of(hand, pasture->other_seen, w, &value));
        }
    }
    loam_buf_free(&value);
}

static void read_pair(struct hand *hand, uint32_t seen[WRITERS])
{
    struct pasture *pasture = hand->ctx;
    const int w = (int)rand_below(&hand->rand, WRITERS);
    char keys[2][16];
    loam_lookup lookups[2] = {{.key = key_of(keys[0], w, "a")}, {.key = key_of(keys[1], w, "b")}};
    crew_expect(hand, loam_multi_get(pasture->follower, NULL, NULL, lookups, 2, 0) == LOAM_OK);
    const uint32_t a = number_in(hand, lookups[0].answer, &lookups[0].value);
    crew_expect(hand, a == number_in(hand, lookups[1].answer, &lookups[1].value));
    crew_expect(hand, a >= seen[w]);
    seen[w] = a;
    loam_buf_free(&lookups[0].value);
    loam_buf_free(&lookups[1].value);
}

static void scan_pairs(struct hand *hand)
{
    const struct pasture *pasture = hand->ctx;
    loam_iter *it;
    char numbers[2][16] = {"", ""};
    unsigned count = 0;
    if (!crew_expect(hand, loam_iter_open(pasture->follower, NULL, NULL, &it) == LOAM_OK)) return;
    for (; loam_iter_next(it) == LOAM_OK; count++) {
        memcpy(numbers[count % 2], loam_iter_value(it).data, 10);
        if (count % 2 == 1) crew_expect(hand, memcmp(numbers[0], numbers[1], 10) == 0);
    }
    crew_expect(hand, count % 2 == 0);
    loam_iter_close(it);
}

static void read_snapshot(struct hand *hand)
{
    struct pasture *pasture = hand->ctx;
    loam_snapshot *snap;
    loam_buf value = {0};
    char key[16];
    if (!crew_expect(hand, loam_snapshot_open(pasture->follower, &snap) == LOAM_OK)) return;
    for (int w = 0; w < WRITERS; w++) {
        const loam_slice slice = key_of(key, w, "a");
        const uint32_t one =
            number_in(hand, loam_get_at(pasture->follower, NULL, snap, slice, &value), &value);
        const uint32_t two = number_in(
            hand, loam_get_at(pasture->follower, pasture->other_seen, snap, slice, &value), &value);
        crew_expect(hand, one == two);
    }
    loam_snapshot_close(snap);
    loam_buf_free(&value);
    atomic_fetch_add(&pasture->snapshots, 1);
}

static void read_all_the_time(struct hand *hand)
{
    struct pasture *pasture = hand->ctx;
    uint32_t seen[WRITERS] = {0};
    loam_coll *coll;
    loam_stats stats = {.struct_size = sizeof stats};
    while (crew_goes_on(hand)) {
        read_pair(hand, seen);
        if (rand_below(&hand->rand, 10) == 0) scan_pairs(hand);
        if (rand_below(&hand->rand, 1000) == 0) read_snapshot(hand);
        if (rand_below(&hand->rand, 10) == 0 &&
            loam_collection(pasture->follower, "second", &coll) == LOAM_OK) {
            const loam_status rc = loam_exists(pasture->follower, coll, loam_str("in it"));
            crew_expect(hand, rc == LOAM_OK || rc == LOAM_MISUSE);
        }
        if (rand_below(&hand->rand, 50) == 0)
            crew_expect(hand, loam_stats_get(pasture->follower, &stats) == LOAM_OK);
        atomic_fetch_add(&hand->crew->did, 1);
    }
}

static void a_follower_shows_whole_commits_to_all_its_threads(void **state)
{
    struct fixture *f = *state;
    struct pasture pasture = {.refreshes = 0};
    struct crew crew = {.ctx = &pasture, .seed = crew_seed()};
    const struct crew_job jobs[] = {{write_numbers, WRITERS},
                                    {change_collections, 1},
                                    {refresh, 1},
                                    {read_all_the_time, 2},
                                    {NULL, 0}};
    loam_coll_options sums = loam_coll_options_default();
    loam_options options = crew_options(crew.seed), following = fixture_options();
    sums.merge_operator = "add_i64";
    following.follow = true;
    crew_open_as(f, &options, crew.seed, crew_hasty());
    crew.db = f->db;
    expect_ok(loam_create(f->db, "other", &sums, &pasture.other));
    for (unsigned i = 0; i < OTHERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "other %u", i);
        expect_ok(loam_create(f->db, name, NULL, NULL));
    }
    expect_ok(loam_open(f->store, &following, &pasture.follower));
    expect_ok(loam_collection(pasture.follower, "other", &pasture.other_seen));
    crew_run(&crew, jobs, 3000);
    print_message("# %llu refreshes, %llu busy, %llu snapshots, %llu reads\n",
                  (unsigned long long)atomic_load(&pasture.refreshes),
                  (unsigned long long)atomic_load(&pasture.busy),
                  (unsigned long long)atomic_load(&pasture.snapshots),
                  (unsigned long long)atomic_load(&crew.did));
    assert_true(atomic_load(&pasture.refreshes) > 0);
    assert_true(atomic_load(&crew.did) > 0);
    expect_ok(loam_close(pasture.follower));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(a_follower_shows_whole_commits_to_all_its_threads),
    };
    return cmocka_run_group_tests_name("threads/follow", tests, NULL, NULL);
}
