/*
 * test_threads_ingest.c - bulk loads into a collection that others write to and read.
 *
 * Each load replaces all keys of its thread by the next generation. Who reads sees all of a generation or nothing of it, none older than
 * what was published before he began and none newer than what was begun when he ended; and the same again. A writer tells with each entry which
 * generations had been published before: who sees the entry sees these, too, for commits have one order.
 */
#include "../lib/crew.h"

#include <stdio.h>

enum { LOADERS = 2, WRITERS = 2, READERS = 2, LOADED = 300, WRITTEN = 64, PADDING = 120 };

struct told {                      /* the value of every entry */
    uint32_t generations[LOADERS]; /* a load's: its own alone */
    uint8_t padding[PADDING];
};

struct dock {
    loam_coll *coll;
    _Atomic uint32_t begun[LOADERS], done[LOADERS]; /* generations */
};

static loam_slice dock_key(char text[static 24], char kind, int number, uint32_t i)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "%c/%d/%06u", kind, number, i));
}

static bool load(struct hand *hand, int number, uint32_t generation)
{
    struct dock *dock = hand->ctx;
    char text[24];
    loam_ingest *ingest;
    struct told told = {.generations = {0}};
    told.generations[number] = generation;
    const uint32_t step = rand_below(&hand->rand, 2) == 0 ? 1 : 7; /* in order, or not */
    if (!crew_expect(hand, loam_ingest_begin(hand->crew->db, dock->coll, &ingest) == LOAM_OK))
        return false;
    for (uint32_t i = 0; i < LOADED; i++)
        crew_expect(hand, loam_ingest_put(ingest, dock_key(text, 'a', number, i * step % LOADED),
                                          loam_bytes(&told, sizeof told)) == LOAM_OK);
    atomic_store_explicit(&dock->begun[number], generation, CREW_ORDER);
    const bool gives_up = rand_below(&hand->rand, 8) == 0;
    if (!gives_up) crew_expect(hand, loam_ingest_commit(ingest) == LOAM_OK);
    if (!gives_up) atomic_store_explicit(&dock->done[number], generation, CREW_ORDER);
    loam_ingest_close(ingest);
    return !gives_up;
}

static void load_all_the_time(struct hand *hand)
{
    for (uint32_t generation = 1; crew_goes_on(hand); generation++)
        atomic_fetch_add(&hand->crew->did, load(hand, hand->number, generation));
}

static void write_beside(struct hand *hand)
{
    struct dock *dock = hand->ctx;
    char text[24];
    while (crew_goes_on(hand)) {
        struct told told = {.generations = {0}};
        for (int i = 0; i < LOADERS; i++)
            told.generations[i] = atomic_load_explicit(&dock->done[i], CREW_ORDER);
        const loam_slice key =
            dock_key(text, 'b', hand->number, (uint32_t)rand_below(&hand->rand, WRITTEN));
        crew_expect(hand, loam_put(hand->crew->db, dock->coll, key,
                                   loam_bytes(&told, sizeof told)) == LOAM_OK);
    }
}

static uint32_t generation_in(loam_slice value, int number)
{
    struct told told;
    if (value.len != sizeof told) return 0;
    memcpy(&told, value.data, sizeof told);
    return told.generations[number];
}

/* Tells, in a transaction, the generation that it has read: none can be published in between. */
static void transact_beside(struct hand *hand)
{
    const struct dock *dock = hand->ctx;
    loam_db *db = hand->crew->db;
    char loaded_text[24], own_text[24];
    const loam_slice loaded = dock_key(loaded_text, 'a', 0, 0),
                     own = dock_key(own_text, 'c', hand->number, 0);
    loam_lookup both[2] = {{.key = loaded}, {.key = own}};
    while (crew_goes_on(hand)) {
        loam_txn *txn;
        struct told told = {.generations = {0}};
        if (!crew_expect(hand, loam_txn_begin(db, &txn) == LOAM_OK)) return;
        const loam_status got = loam_txn_get(txn, dock->coll, loaded, &both[0].value);
        const loam_slice value = loam_bytes(both[0].value.data, both[0].value.len);
        if (got == LOAM_OK) told.generations[0] = generation_in(value, 0);
        crew_expect(hand,
                    loam_txn_put(txn, dock->coll, own, loam_bytes(&told, sizeof told)) == LOAM_OK);
        const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
        crew_expect(hand, rc == LOAM_OK || rc == LOAM_CONFLICT);
        loam_txn_close(txn);
        crew_expect(hand, loam_multi_get(db, dock->coll, NULL, both, 2, 0) == LOAM_OK);
        if (both[0].answer != LOAM_OK || both[1].answer != LOAM_OK) continue;
        const loam_slice values[2] = {loam_bytes(both[0].value.data, both[0].value.len),
                                      loam_bytes(both[1].value.data, both[1].value.len)};
        if (both[1].seq > both[0].seq)
            crew_expect(hand, generation_in(values[1], 0) == generation_in(values[0], 0));
    }
    loam_buf_free(&both[0].value);
    loam_buf_free(&both[1].value);
}

/* What an iterator sees of the loads, and the newest of which writers tell. */
struct seen {
    uint32_t counts[LOADERS], generations[LOADERS], told[LOADERS];
};

static void see_entry(struct hand *hand, loam_iter *it, struct seen *seen)
{
    const char *key = loam_iter_key(it).data;
    struct told told;
    if (!crew_expect(hand, loam_iter_value(it).len == sizeof told)) return;
    memcpy(&told, loam_iter_value(it).data, sizeof told);
    for (int i = 0; i < LOADERS; i++) {
        if (key[0] == 'b' && told.generations[i] > seen->told[i])
            seen->told[i] = told.generations[i];
        if (key[0] != 'a' || key[2] != '0' + i) continue;
        if (seen->counts[i]++ == 0) seen->generations[i] = told.generations[i];
        crew_expect(hand, seen->generations[i] == told.generations[i]);
    }
}

static bool look(struct hand *hand, const loam_snapshot *at, struct seen *seen)
{
    const struct dock *dock = hand->ctx;
    const loam_range range = {.at = at};
    loam_iter *it;
    if (!crew_expect(hand, loam_iter_open(hand->crew->db, dock->coll, &range, &it) == LOAM_OK))
        return false;
    while (loam_iter_next(it) == LOAM_OK)
        see_entry(hand, it, seen);
    loam_iter_close(it);
    return true;
}

/* Now, or twice the same at a snapshot. */
static void read_beside(struct hand *hand)
{
    const struct dock *dock = hand->ctx;
    while (crew_goes_on(hand)) {
        struct seen seen = {.counts = {0}}, again = {.counts = {0}};
        uint32_t least[LOADERS];
        loam_snapshot *snap = NULL;
        for (int i = 0; i < LOADERS; i++)
            least[i] = atomic_load_explicit(&dock->done[i], CREW_ORDER);
        if (rand_below(&hand->rand, 2) == 0)
            crew_expect(hand, loam_snapshot_open(hand->crew->db, &snap) == LOAM_OK);
        if (!look(hand, snap, &seen)) return;
        if (snap != NULL && look(hand, snap, &again))
            crew_expect(hand, memcmp(&seen, &again, sizeof seen) == 0);
        loam_snapshot_close(snap);
        for (int i = 0; i < LOADERS; i++) {
            crew_expect(hand, seen.counts[i] == (seen.generations[i] > 0 ? LOADED : 0));
            crew_expect(hand, seen.generations[i] >= least[i]);
            crew_expect(hand, seen.generations[i] >= seen.told[i]);
            crew_expect(hand,
                        seen.generations[i] <= atomic_load_explicit(&dock->begun[i], CREW_ORDER));
        }
    }
}

static void loads_come_as_a_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct dock dock = {.coll = NULL};
    struct crew crew = {.ctx = &dock, .seed = crew_seed()};
    const struct crew_job jobs[] = {{load_all_the_time, LOADERS},
                                    {write_beside, WRITERS},
                                    {read_beside, READERS},
                                    {transact_beside, 1},
                                    {NULL, 0}};
    crew_open(f, crew.seed, crew_hasty());
    crew.db = f->db;
    expect_ok(loam_create(f->db, "dock", NULL, &dock.coll));
    crew_run(&crew, jobs, 3000);
    assert_true(atomic_load(&crew.did) > 0);
    print_message("# %llu loads\n", (unsigned long long)atomic_load(&crew.did));
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    expect_ok(loam_close(f->db));
    f->db = NULL;
    expect_ok(loam_verify(f->store, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(loads_come_as_a_whole_and_in_order),
    };
    return cmocka_run_group_tests_name("threads/ingest", tests, NULL, NULL);
}
