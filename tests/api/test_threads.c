/*
 * test_threads.c - many threads on one database: writing, reading, iterating, changing collections.
 *
 * cmocka's assertions may not leave another thread, so threads count what is wrong and the test asks for 0.
 */
#include "../lib/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 16 };

struct crew {
    struct fixture *f;
    loam_coll *coll;
    _Atomic int next_number;
    _Atomic int wrong;
    _Atomic bool stop;
};

static void run_crew(struct crew *crew, int count, void *(*work)(void *))
{
    pthread_t threads[THREADS_MAX];
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, crew), 0);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crew->wrong), 0);
}

static void expect_in_thread(struct crew *crew, bool condition, const char *what)
{
    if (condition) return;
    if (atomic_fetch_add(&crew->wrong, 1) < 5) print_error("%s: %s\n", what, loam_errmsg());
}

/* ---- writers of keys of their own --------------------------------------------------------------- */

enum { KEYS_EACH = 1000 };

static void *write_own_keys(void *arg)
{
    struct crew *crew = arg;
    loam_db *db = crew->f->db;
    const int number = atomic_fetch_add(&crew->next_number, 1);
    char key[24];
    loam_buf value = {0};
    for (int i = 0; i < KEYS_EACH; i++) {
        snprintf(key, sizeof key, "%02d/%05d", number, i);
        expect_in_thread(crew, loam_put(db, NULL, loam_str(key), loam_str(key)) == LOAM_OK, "put");
        const bool there = loam_get(db, NULL, loam_str(key), &value) == LOAM_OK;
        expect_in_thread(crew, there && value.len == strlen(key), "a thread reads what it wrote");
        if (i % 10 == 9)
            expect_in_thread(crew, loam_delete(db, NULL, loam_str(key)) == LOAM_OK, "delete");
        if (i % 500 == 499) expect_in_thread(crew, loam_flush(db, NULL) == LOAM_OK, "flush");
    }
    loam_buf_free(&value);
    return NULL;
}

static void many_threads_write_and_read_their_own(void **state)
{
    struct crew crew = {.f = *state};
    loam_iter *it;
    char key[24];
    run_crew(&crew, 8, write_own_keys);
    for (int round = 0; round < 2; round++) {
        expect_ok(loam_iter_open(crew.f->db, NULL, NULL, &it));
        for (int number = 0; number < 8; number++) {
            for (int i = 0; i < KEYS_EACH; i++) {
                if (i % 10 == 9) continue;
                snprintf(key, sizeof key, "%02d/%05d", number, i);
                expect_ok(loam_iter_next(it));
                assert_memory_equal(loam_iter_key(it).data, key, strlen(key));
            }
        }
        expect_status(LOAM_NOTFOUND, loam_iter_next(it));
        loam_iter_close(it);
        fixture_reopen(crew.f);
    }
}

static void many_threads_write_durably(void **state)
{
    struct crew crew = {.f = *state};
    loam_options options = fixture_options();
    options.durability = LOAM_DURABLE_COMMIT;
    options.memtable_bytes = 64 << 10;
    fixture_close(crew.f);
    fixture_open(crew.f, &options);
    run_crew(&crew, 4, write_own_keys);
    const loam_coll_stats none = {.struct_size = sizeof none};
    loam_coll_stats stats = none;
    expect_ok(loam_coll_stats_get(crew.f->db, NULL, &stats));
    assert_true(stats.entry_count >= 4 * KEYS_EACH * 9 / 10);
}

/* ---- batches against readers --------------------------------------------------------------------- */

enum { ACCOUNTS = 20, TRANSFERS = 400 };

/* Every batch sets all accounts to one number: whoever sees two numbers saw half a batch. */
static void *set_all_accounts(void *arg)
{
    struct crew *crew = arg;
    const int number = atomic_fetch_add(&crew->next_number, 1);
    loam_batch *batch = loam_batch_new();
    char key[16], value[16];
    for (int i = 0; i < TRANSFERS; i++) {
        loam_batch_clear(batch);
        snprintf(value, sizeof value, "%d.%06d", number, i);
        for (int account = 0; account < ACCOUNTS; account++) {
            snprintf(key, sizeof key, "%04d", account);
            loam_coll *coll = account % 2 == 0 ? NULL : crew->coll;
            (void)loam_batch_put(batch, coll, loam_str(key), loam_str(value));
        }
        expect_in_thread(crew, loam_write(crew->f->db, batch, LOAM_DURABLE_DEFAULT) == LOAM_OK,
                         "write");
        if (i % 100 == 50)
            expect_in_thread(crew, loam_flush(crew->f->db, NULL) == LOAM_OK, "flush");
    }
    loam_batch_free(batch);
    atomic_store(&crew->stop, true);
    return NULL;
}

/* All accounts of one collection at one sequence hold one value; which goes to found. */
static void read_accounts(struct crew *crew, loam_coll *coll, const loam_snapshot *snap,
                          char found[static 16])
{
    loam_iter *it;
    const loam_range range = {.at = snap};
    int count = 0;
    found[0] = '\0';
    expect_in_thread(crew, loam_iter_open(crew->f->db, coll, &range, &it) == LOAM_OK, "iter");
    if (it == NULL) return;
    while (loam_iter_next(it) == LOAM_OK) {
        const loam_slice value = loam_iter_value(it);
        char text[16];
        snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
        if (count++ == 0) memcpy(found, text, sizeof text);
        expect_in_thread(crew, strcmp(found, text) == 0, "half a batch");
    }
    expect_in_thread(crew, count == ACCOUNTS / 2, "all accounts are there");
    loam_iter_close(it);
}

static void *read_all_accounts(void *arg)
{
    struct crew *crew = arg;
    char here[16], there[16];
    while (!atomic_load(&crew->stop)) {
        loam_snapshot *snap;
        expect_in_thread(crew, loam_snapshot_open(crew->f->db, &snap) == LOAM_OK, "snapshot");
        read_accounts(crew, NULL, snap, here);
        read_accounts(crew, crew->coll, snap, there);
        expect_in_thread(crew, strcmp(here, there) == 0, "half a batch across collections");
        loam_snapshot_close(snap);
        read_accounts(crew, NULL, NULL, here);
    }
    return NULL;
}

static void *write_or_read(void *arg)
{
    struct crew *crew = arg;
    static _Atomic int role;
    return atomic_fetch_add(&role, 1) % 4 < 2 ? set_all_accounts(crew) : read_all_accounts(crew);
}

static void nobody_ever_sees_half_a_batch(void **state)
{
    struct crew crew = {.f = *state};
    loam_batch *batch = loam_batch_new();
    char key[16];
    expect_ok(loam_create(crew.f->db, "odd", NULL, &crew.coll));
    for (int account = 0; account < ACCOUNTS; account++) {
        snprintf(key, sizeof key, "%04d", account);
        expect_ok(loam_batch_put(batch, account % 2 == 0 ? NULL : crew.coll, loam_str(key),
                                 loam_str("start")));
    }
    expect_ok(loam_write(crew.f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    run_crew(&crew, 4, write_or_read);
}

/* ---- order ------------------------------------------------------------------------------------------ */

/* Commits are numbered 1, 2, ... under the writer's own lock; a reader who sees n sees all below. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int committed;

static void *commit_in_turn(void *arg)
{
    struct crew *crew = arg;
    char key[16];
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&turn);
        snprintf(key, sizeof key, "%06d", ++committed);
        const bool ok = loam_put(crew->f->db, NULL, loam_str(key), loam_str("v")) == LOAM_OK;
        pthread_mutex_unlock(&turn);
        expect_in_thread(crew, ok, "put");
    }
    atomic_store(&crew->stop, true);
    return NULL;
}

static void *see_a_prefix(void *arg)
{
    struct crew *crew = arg;
    char key[16];
    while (!atomic_load(&crew->stop)) {
        loam_iter *it;
        int seen = 0;
        expect_in_thread(crew, loam_iter_open(crew->f->db, NULL, NULL, &it) == LOAM_OK, "iter");
        while (loam_iter_next(it) == LOAM_OK) {
            snprintf(key, sizeof key, "%06d", ++seen);
            expect_in_thread(crew, memcmp(loam_iter_key(it).data, key, 6) == 0, "a hole");
        }
        loam_iter_close(it);
    }
    return NULL;
}

static void *commit_or_see(void *arg)
{
    struct crew *crew = arg;
    const int number = atomic_fetch_add(&crew->next_number, 1);
    return number < 3 ? commit_in_turn(crew) : see_a_prefix(crew);
}

static void what_is_visible_is_a_prefix_of_the_commit_order(void **state)
{
    struct crew crew = {.f = *state};
    committed = 0;
    run_crew(&crew, 5, commit_or_see);
}

/* ---- collections ---------------------------------------------------------------------------------------- */

static void *change_collections(void *arg)
{
    struct crew *crew = arg;
    loam_db *db = crew->f->db;
    const int number = atomic_fetch_add(&crew->next_number, 1);
    char name[24], other[24];
    for (int i = 0; i < 60; i++) {
        loam_coll *coll, *shared;
        snprintf(name, sizeof name, "own %d", number);
        snprintf(other, sizeof other, "renamed %d", number);
        expect_in_thread(crew, loam_create(db, name, NULL, &coll) == LOAM_OK, "create");
        expect_in_thread(crew, loam_put(db, coll, loam_str("k"), loam_str("v")) == LOAM_OK, "put");
        expect_in_thread(crew, loam_rename(db, name, other) == LOAM_OK, "rename");
        expect_in_thread(crew, loam_exists(db, coll, loam_str("k")) == LOAM_OK, "exists");
        expect_in_thread(crew, loam_drop(db, other) == LOAM_OK, "drop");
        expect_in_thread(crew, loam_exists(db, coll, loam_str("k")) == LOAM_MISUSE, "dropped");
        const loam_status rc = loam_create(db, "shared", NULL, &shared);
        expect_in_thread(crew, rc == LOAM_OK || rc == LOAM_EXISTS, "create or exists");
        const loam_status put = loam_put(db, shared, loam_str("k"), loam_str("v"));
        expect_in_thread(crew, put == LOAM_OK || put == LOAM_MISUSE, "put or dropped");
        const loam_status dropped = loam_drop(db, "shared");
        expect_in_thread(crew, dropped == LOAM_OK || dropped == LOAM_NOTFOUND, "drop or gone");
    }
    return NULL;
}

static void count_names(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

static void many_threads_change_collections(void **state)
{
    struct crew crew = {.f = *state};
    int count = 0;
    run_crew(&crew, 4, change_collections);
    expect_ok(loam_collections(crew.f->db, count_names, &count));
    assert_int_equal(count, 1);
    fixture_reopen(crew.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(many_threads_write_and_read_their_own),
        test_open(many_threads_write_durably),
        test_open(nobody_ever_sees_half_a_batch),
        test_open(what_is_visible_is_a_prefix_of_the_commit_order),
        test_open(many_threads_change_collections),
    };
    return cmocka_run_group_tests_name("api/threads", tests, NULL, NULL);
}
