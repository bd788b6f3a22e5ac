/*
 * test_threads_clones.c - collections are cloned, written to, merged and dropped while their source is written to.
 *
 * Each writer puts pairs of ascending numbers, both of a pair in one batch, and tells before and after how far it is. A
 * clone holds of each writer all that was there when the call began, nothing that was not when it ended, no gap, and no
 * half of a pair. What is done to clones changes neither their source nor each other.
 */
#include "../lib/crew.h"

#include <stdio.h>

enum { WRITERS = 2, CLONERS = 2, PADDING = 200 };

struct yard {
    loam_coll *source;
    _Atomic uint32_t begun[WRITERS], done[WRITERS]; /* pairs */
};

static loam_slice pair_key(char text[static 24], int writer, uint32_t number, int half)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "%d/%08u/%d", writer, number, half));
}

static void write_pairs(struct hand *hand)
{
    static const char padding[PADDING];
    struct yard *yard = hand->ctx;
    loam_batch *batch = loam_batch_new();
    char text[24];
    for (uint32_t number = 0; crew_goes_on(hand); number++) {
        loam_batch_clear(batch);
        for (int half = 0; half < 2; half++)
            crew_expect(hand, loam_batch_put(batch, yard->source,
                                             pair_key(text, hand->number, number, half),
                                             loam_bytes(padding, number % PADDING)) == LOAM_OK);
        atomic_store_explicit(&yard->begun[hand->number], number + 1, CREW_ORDER);
        crew_expect(hand, loam_write(hand->crew->db, batch, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        atomic_store_explicit(&yard->done[hand->number], number + 1, CREW_ORDER);
    }
    loam_batch_free(batch);
}

/* All pairs of a writer below some number between the two. */
static uint32_t check_pairs(struct hand *hand, loam_coll *coll, int writer, uint32_t least,
                            uint32_t most)
{
    char prefix[8], text[24];
    uint32_t halves = 0;
    loam_iter *it;
    snprintf(prefix, sizeof prefix, "%d/", writer);
    const loam_range range = {.prefix = loam_str(prefix)};
    if (!crew_expect(hand, loam_iter_open(hand->crew->db, coll, &range, &it) == LOAM_OK)) return 0;
    for (; loam_iter_next(it) == LOAM_OK; halves++) {
        const loam_slice want = pair_key(text, writer, halves / 2, (int)(halves % 2));
        const loam_slice got = loam_iter_key(it);
        if (!crew_expect(hand, got.len == want.len && memcmp(got.data, text, got.len) == 0)) break;
    }
    loam_iter_close(it);
    crew_expect(hand, halves % 2 == 0);
    crew_expect(hand, halves / 2 >= least && halves / 2 <= most);
    return halves / 2;
}

static void use_clone(struct hand *hand, loam_coll *coll, const uint32_t counts[WRITERS])
{
    const struct yard *yard = hand->ctx;
    loam_db *db = hand->crew->db;
    const loam_range own = {.prefix = loam_str("own")};
    for (int i = 0; i < 50; i++)
        crew_expect(hand, loam_put(db, coll, loam_str("own"), loam_str("v")) == LOAM_OK);
    crew_expect(hand, loam_exists(db, yard->source, loam_str("own")) == LOAM_NOTFOUND);
    switch (rand_below(&hand->rand, 4)) {
    case 0:
        crew_expect(hand, loam_compact(db, coll, NULL) == LOAM_OK);
        break;
    case 1:
        crew_expect(hand, loam_compact(db, yard->source, NULL) == LOAM_OK);
        break;
    case 2:
        crew_expect(hand, loam_delete_range(db, coll, &own) == LOAM_OK);
        break;
    default:
        crew_expect(hand, loam_verify_open(db, NULL, NULL) == LOAM_OK);
    }
    for (int i = 0; i < WRITERS; i++)
        check_pairs(hand, coll, i, counts[i], counts[i]);
}

static void clone_all_the_time(struct hand *hand)
{
    struct yard *yard = hand->ctx;
    loam_db *db = hand->crew->db;
    char name[32], of_clone[32];
    snprintf(name, sizeof name, "clone %d", hand->number);
    snprintf(of_clone, sizeof of_clone, "of clone %d", hand->number);
    while (crew_goes_on(hand)) {
        uint32_t counts[WRITERS];
        loam_coll *coll, *second;
        for (int i = 0; i < WRITERS; i++)
            counts[i] = atomic_load_explicit(&yard->done[i], CREW_ORDER);
        if (!crew_expect(hand, loam_clone(db, "source", name, &coll) == LOAM_OK)) return;
        for (int i = 0; i < WRITERS; i++)
            counts[i] = check_pairs(hand, coll, i, counts[i],
                                    atomic_load_explicit(&yard->begun[i], CREW_ORDER));
        crew_expect(hand, loam_clone(db, name, of_clone, &second) == LOAM_OK);
        use_clone(hand, coll, counts);
        const bool first = rand_below(&hand->rand, 2) == 0;
        crew_expect(hand, loam_drop(db, first ? name : of_clone) == LOAM_OK);
        use_clone(hand, first ? second : coll, counts);
        crew_expect(hand, loam_drop(db, first ? of_clone : name) == LOAM_OK);
        atomic_fetch_add(&hand->crew->did, 2);
    }
}

static void clones_hold_one_moment_of_what_is_written_to(void **state)
{
    struct fixture *f = *state;
    struct yard yard = {.source = NULL};
    struct crew crew = {.ctx = &yard, .seed = crew_seed()};
    const struct crew_job jobs[] = {
        {write_pairs, WRITERS}, {clone_all_the_time, CLONERS}, {NULL, 0}};
    crew_open(f, crew.seed, crew_hasty());
    crew.db = f->db;
    expect_ok(loam_create(f->db, "source", NULL, &yard.source));
    crew_run(&crew, jobs, 3000);
    assert_true(atomic_load(&crew.did) > 0);
    print_message("# %llu clones\n", (unsigned long long)atomic_load(&crew.did));
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    expect_ok(loam_close(f->db));
    f->db = NULL;
    expect_ok(loam_verify(f->store, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(clones_hold_one_moment_of_what_is_written_to),
    };
    return cmocka_run_group_tests_name("threads/clones", tests, NULL, NULL);
}
