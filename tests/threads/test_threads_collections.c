/*
 * test_threads_collections.c - collections come, go and change names under threads that use them.
 *
 * Some collections belong to one thread, which knows all about them; one is filled, shown to all and dropped again and
 * again; one has two names in turn. Readers of a collection that is dropped get what it holds or LOAM_MISUSE, and
 * never hear that nothing is there; a list of names shows one moment; a batch that names a dropped collection writes
 * nothing anywhere.
 */
#include "../lib/crew.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 40, OWNERS = 2, STABLE = 3 };

struct town {
    loam_coll *stable[STABLE], *renamed;
    _Atomic(loam_coll *) shown;    /* filled, and maybe dropped by now */
    _Atomic uint32_t left[OWNERS]; /* how many collections an owner has left behind */
    _Atomic uint64_t lines;        /* of the log callback */
};

/* ---- contents: the same for every collection ----------------------------------------------------------- */

static loam_slice key_text(char text[static 16], int number)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%06d", number));
}

static void fill(struct hand *hand, loam_coll *coll)
{
    static const char big[60000];
    char text[16];
    for (int i = 0; i < ENTRIES; i++) {
        const loam_slice value = loam_bytes(big, i % 20 == 7 ? sizeof big : (size_t)i * 7);
        crew_expect(hand, loam_put(hand->crew->db, coll, key_text(text, i), value) == LOAM_OK);
    }
}

/* All entries from where the iterator stands, forward. */
static void check_walk(struct hand *hand, loam_iter *it, int number)
{
    char text[16];
    for (; number < ENTRIES; number++) {
        if (!crew_expect(hand, loam_iter_next(it) == LOAM_OK)) return;
        crew_expect(hand, memcmp(loam_iter_key(it).data, text, key_text(text, number).len) == 0);
        crew_expect(hand,
                    loam_iter_value(it).len == (number % 20 == 7 ? 60000 : (size_t)number * 7));
    }
    crew_expect(hand, loam_iter_next(it) == LOAM_NOTFOUND);
}

/* ---- those who know all about theirs ------------------------------------------------------------------- */

static void expect_gone(struct hand *hand, loam_coll *coll)
{
    loam_db *db = hand->crew->db;
    loam_batch *batch = loam_batch_new();
    loam_coll_stats stats = {.struct_size = sizeof stats};
    const struct town *town = hand->ctx;
    loam_buf found = {0};
    loam_iter *it;
    char text[24];
    const loam_slice key =
        loam_bytes(text, (size_t)snprintf(text, sizeof text, "gone/%d", hand->number));
    crew_expect(hand, loam_put(db, coll, key, key) == LOAM_MISUSE);
    crew_expect(hand, strstr(loam_errmsg(), "dropped") != NULL);
    crew_expect(hand, loam_delete(db, coll, key) == LOAM_MISUSE);
    crew_expect(hand, loam_get(db, coll, key, &found) == LOAM_MISUSE);
    crew_expect(hand, loam_exists(db, coll, key) == LOAM_MISUSE);
    crew_expect(hand, loam_iter_open(db, coll, NULL, &it) == LOAM_MISUSE && it == NULL);
    crew_expect(hand, loam_flush(db, coll) == LOAM_MISUSE);
    crew_expect(hand, loam_compact(db, coll, NULL) == LOAM_MISUSE);
    crew_expect(hand, loam_coll_stats_get(db, coll, &stats) == LOAM_MISUSE);
    crew_expect(hand, loam_batch_put(batch, town->stable[0], key, key) == LOAM_OK);
    crew_expect(hand, loam_batch_put(batch, coll, key, key) == LOAM_OK);
    crew_expect(hand, loam_write(db, batch, LOAM_DURABLE_PROCESS) == LOAM_MISUSE);
    crew_expect(hand, loam_exists(db, town->stable[0], key) == LOAM_NOTFOUND);
    loam_batch_free(batch);
    loam_buf_free(&found);
}

/* One life of a collection; what was opened before it ends goes on after. */
static void live_once(struct hand *hand, const char *name, const char *other)
{
    loam_db *db = hand->crew->db;
    loam_coll *coll, *same;
    loam_iter *it, *late;
    const uint64_t care = rand_below(&hand->rand, 4);
    if (!crew_expect(hand, loam_create(db, name, NULL, &coll) == LOAM_OK)) return;
    crew_expect(hand, loam_create(db, name, NULL, &same) == LOAM_EXISTS && same == coll);
    fill(hand, coll);
    if (care == 1) crew_expect(hand, loam_flush(db, coll) == LOAM_OK);
    if (care == 2) crew_expect(hand, loam_compact(db, coll, NULL) == LOAM_OK);
    crew_expect(hand, loam_iter_open(db, coll, NULL, &it) == LOAM_OK);
    crew_expect(hand, loam_rename(db, name, other) == LOAM_OK);
    crew_expect(hand, loam_collection(db, name, &same) == LOAM_NOTFOUND);
    crew_expect(hand, loam_rename(db, name, other) == LOAM_NOTFOUND);
    crew_expect(hand, loam_collection(db, other, &same) == LOAM_OK && same == coll);
    crew_expect(hand, loam_rename(db, other, "default") == LOAM_EXISTS);
    crew_expect(hand, loam_iter_open(db, coll, NULL, &late) == LOAM_OK);
    if (crew_expect(hand, loam_iter_next(late) == LOAM_OK)) {
        crew_expect(hand, loam_drop(db, other) == LOAM_OK);
        check_walk(hand, late, 1);
    }
    check_walk(hand, it, 0);
    crew_expect(hand, loam_drop(db, other) == LOAM_NOTFOUND);
    expect_gone(hand, coll);
    loam_iter_close(it);
    loam_iter_close(late);
}

static void own_collections(struct hand *hand)
{
    struct town *town = hand->ctx;
    char name[32], other[32], kept[32];
    while (crew_goes_on(hand)) {
        loam_coll *coll;
        snprintf(name, sizeof name, "own %d", hand->number);
        snprintf(other, sizeof other, "own %d renamed", hand->number);
        live_once(hand, name, other);
        snprintf(kept, sizeof kept, "kept %d %u", hand->number, town->left[hand->number]);
        if (rand_below(&hand->rand, 3) == 0) {
            crew_expect(hand, loam_create(hand->crew->db, kept, NULL, &coll) == LOAM_OK);
            fill(hand, coll);
            atomic_fetch_add(&town->left[hand->number], 1);
        }
        atomic_fetch_add(&hand->crew->did, 1);
    }
}

/* ---- one that is shown to all and dropped -------------------------------------------------------------- */

static void show_and_drop(struct hand *hand)
{
    struct town *town = hand->ctx;
    loam_db *db = hand->crew->db;
    char name[24];
    for (int number = 0; crew_goes_on(hand); number++) {
        loam_coll *coll;
        snprintf(name, sizeof name, "shown %d", number);
        if (!crew_expect(hand, loam_create(db, name, NULL, &coll) == LOAM_OK)) return;
        fill(hand, coll);
        if (number % 3 == 0) crew_expect(hand, loam_flush(db, coll) == LOAM_OK);
        atomic_store(&town->shown, coll);
        for (uint64_t pause = rand_below(&hand->rand, 2000); pause > 0; pause--)
            crew_expect(hand, loam_exists(db, coll, loam_str("x")) == LOAM_NOTFOUND);
        crew_expect(hand, loam_drop(db, name) == LOAM_OK);
        atomic_fetch_add(&hand->crew->did, 1);
    }
}

/* What is there until the drop is there, or the answer is that the collection is not. */
static void read_shown(struct hand *hand)
{
    const struct town *town = hand->ctx;
    loam_db *db = hand->crew->db;
    loam_buf found = {0};
    char text[16];
    while (crew_goes_on(hand)) {
        loam_coll *coll = atomic_load(&town->shown);
        const int number = (int)rand_below(&hand->rand, ENTRIES);
        const loam_slice key = key_text(text, number);
        loam_status rc = loam_get(db, coll, key, &found);
        crew_expect(hand, rc == LOAM_MISUSE ||
                              (rc == LOAM_OK &&
                               found.len == (number % 20 == 7 ? 60000 : (size_t)number * 7)));
        rc = loam_exists(db, coll, key);
        crew_expect(hand, rc == LOAM_MISUSE || rc == LOAM_OK);
        if (rand_below(&hand->rand, 8) > 0) continue;
        loam_iter *it;
        rc = loam_iter_open(db, coll, NULL, &it);
        if (crew_expect(hand, rc == LOAM_MISUSE || rc == LOAM_OK) && it != NULL)
            check_walk(hand, it, 0);
        loam_iter_close(it);
    }
    loam_buf_free(&found);
}

/* All of the batch or, with the collection dropped, nothing. */
static void write_shown(struct hand *hand)
{
    const struct town *town = hand->ctx;
    loam_db *db = hand->crew->db;
    loam_batch *batch = loam_batch_new();
    char text[40];
    for (int number = 0; crew_goes_on(hand); number++) {
        loam_coll *coll = atomic_load(&town->shown);
        loam_coll *stable = town->stable[number % STABLE];
        const loam_slice key = loam_bytes(
            text, (size_t)snprintf(text, sizeof text, "written/%d/%d", hand->number, number));
        loam_batch_clear(batch);
        crew_expect(hand, loam_batch_put(batch, stable, key, key) == LOAM_OK);
        crew_expect(hand, loam_batch_delete(batch, coll, key) == LOAM_OK);
        const loam_status rc = loam_write(db, batch, LOAM_DURABLE_DEFAULT);
        crew_expect(hand, rc == LOAM_OK || rc == LOAM_MISUSE);
        crew_expect(hand,
                    loam_exists(db, stable, key) == (rc == LOAM_OK ? LOAM_OK : LOAM_NOTFOUND));
        const loam_status care = rand_below(&hand->rand, 50) > 0 ? LOAM_OK
                                 : rand_below(&hand->rand, 2)    ? loam_flush(db, coll)
                                                                 : loam_compact(db, coll, NULL);
        crew_expect(hand, care == LOAM_OK || care == LOAM_MISUSE);
    }
    loam_batch_free(batch);
}

/* ---- one with two names, and the list ---------------------------------------------------------------------- */

static void rename_to_and_fro(struct hand *hand)
{
    loam_db *db = hand->crew->db;
    while (crew_goes_on(hand)) {
        crew_expect(hand, loam_rename(db, "ping", "pong") == LOAM_OK);
        crew_expect(hand, loam_rename(db, "pong", "ping") == LOAM_OK);
        atomic_fetch_add(&hand->crew->did, 1);
    }
}

/* Merges say a name in the log, which may be changing. */
static void merge_what_is_renamed(struct hand *hand)
{
    const struct town *town = hand->ctx;
    while (crew_goes_on(hand)) {
        fill(hand, town->renamed);
        crew_expect(hand, loam_compact(hand->crew->db, town->renamed, NULL) == LOAM_OK);
    }
}

struct list {
    struct hand *hand;
    char last[300];
    int stable, ping_pong;
};

static void note_name(void *ctx, const char *name)
{
    struct list *list = ctx;
    loam_coll *coll;
    crew_expect(list->hand, strcmp(list->last, name) < 0);
    snprintf(list->last, sizeof list->last, "%s", name);
    list->stable += strncmp(name, "stable", 6) == 0 || strcmp(name, "default") == 0;
    list->ping_pong += strcmp(name, "ping") == 0 || strcmp(name, "pong") == 0;
    const loam_status rc =
        loam_collection(list->hand->crew->db, name, &coll); /* it may call loam */
    crew_expect(list->hand, rc == LOAM_OK || rc == LOAM_NOTFOUND);
}

static void list_all(struct hand *hand)
{
    while (crew_goes_on(hand)) {
        struct list list = {.hand = hand};
        crew_expect(hand, loam_collections(hand->crew->db, note_name, &list) == LOAM_OK);
        crew_expect(hand, list.stable == STABLE && list.ping_pong == 1);
        crew_expect(hand, loam_verify_open(hand->crew->db, NULL, NULL) == LOAM_OK);
    }
}

/* ---- the test ------------------------------------------------------------------------------------------------ */

static void count_line(void *ctx, loam_log_level level, const char *line)
{
    struct town *town = ctx;
    (void)level;
    if (line[0] != '\0') atomic_fetch_add_explicit(&town->lines, 1, memory_order_relaxed);
}

static void open_town(struct fixture *f, struct town *town, uint64_t seed)
{
    static const char *const names[STABLE] = {"default", "stable 1", "stable 2"};
    loam_options options = crew_options(seed);
    options.log = count_line;
    options.log_ctx = town;
    crew_open_as(f, &options, seed, crew_hasty());
    for (int i = 0; i < STABLE; i++) {
        const loam_status rc = loam_create(f->db, names[i], NULL, &town->stable[i]);
        assert_true(rc == LOAM_OK || rc == LOAM_EXISTS);
    }
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

/* After opening again, exactly what every thread has left is there. */
static void check_left(struct fixture *f, struct town *town, struct crew *crew)
{
    struct hand hand = {.crew = crew, .ctx = town};
    int want = STABLE + 1, count = 0;
    char name[32];
    for (int owner = 0; owner < OWNERS; owner++) {
        for (uint32_t i = 0; i < town->left[owner]; i++, want++) {
            loam_coll *coll;
            loam_iter *it;
            snprintf(name, sizeof name, "kept %d %u", owner, i);
            expect_ok(loam_collection(f->db, name, &coll));
            expect_ok(loam_iter_open(f->db, coll, NULL, &it));
            check_walk(&hand, it, 0);
            loam_iter_close(it);
        }
    }
    expect_ok(loam_collections(f->db, count_name, &count));
    assert_int_equal(count, want);
    assert_int_equal(crew->wrong, 0);
}

static void collections_change_under_those_who_use_them(void **state)
{
    const struct crew_job jobs[] = {
        {own_collections, OWNERS}, {show_and_drop, 1},         {read_shown, 2}, {write_shown, 1},
        {rename_to_and_fro, 1},    {merge_what_is_renamed, 1}, {list_all, 1},   {NULL, 0}};
    struct fixture *f = *state;
    static struct town town;
    struct crew crew = {.ctx = &town, .seed = crew_seed()};
    town = (struct town){.lines = 0};
    open_town(f, &town, crew.seed);
    expect_ok(loam_create(f->db, "ping", NULL, &town.renamed));
    loam_coll *first;
    struct hand hand = {.crew = &crew};
    crew.db = f->db;
    expect_ok(loam_create(f->db, "shown first", NULL, &first));
    fill(&hand, first);
    atomic_store(&town.shown, first);
    crew_run(&crew, jobs, 2000);
    expect_ok(loam_drop(f->db, "shown first"));
    fixture_close(f);
    open_town(f, &town, crew.seed + 1);
    check_left(f, &town, &crew);
    print_message("# %llu lives of collections; %u and %u are left\n",
                  (unsigned long long)atomic_load(&crew.did), town.left[0], town.left[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(collections_change_under_those_who_use_them),
    };
    return cmocka_run_group_tests_name("threads/collections", tests, NULL, NULL);
}
