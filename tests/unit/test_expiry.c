/*
 * test_expiry.c - entries that expire: by which clock, for whom, and how they leave the disk.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "lib/simdisk.h"

enum { KEYS = 4000, SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS };
#define WALL_MS UINT64_C(1700000000000)

struct world {
    struct simdisk *disk;
    struct sys calls; /* the disk's, but for the wall clock, whose askers are counted */
    struct sys_table below;
    uint64_t asked;
    loam_db *db;
};

static struct world *the_world; /* the calls know the disk alone */

static uint64_t asked_wall_ms(void *ctx)
{
    the_world->asked++;
    return the_world->below.calls->wall_ms(ctx);
}

static struct db_world world_of(struct world *w)
{
    return (struct db_world){
        .sys = {&w->calls, w->below.ctx}, .page_bytes = 256, .log_bytes_least = 16384, .seed = 1};
}

static void open_world(struct world *w)
{
    const struct db_world world = world_of(w);
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 64 << 10;
    expect_ok(db_open_in(&world, "db", &options, &w->db));
}

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->disk = simdisk_new(1);
    w->below = simdisk_table(w->disk);
    w->calls = *w->below.calls;
    w->calls.wall_ms = asked_wall_ms;
    the_world = w;
    simdisk_set_wall_ms(w->disk, WALL_MS);
    open_world(w);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    const loam_status rc = loam_close(w->db);
    simdisk_free(w->disk);
    free(w);
    return rc == LOAM_OK ? 0 : -1;
}

static void pass(struct world *w, uint64_t ms)
{
    w->calls.sleep_ns(w->below.ctx, ms * 1000000);
}

static void run_jobs(struct world *w)
{
    while (jobs_run_one(w->db) || jobs_run_one(w->db)) {
    }
}

static loam_slice number(int i, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%06d", i));
}

static void put_numbers(struct world *w, int from, int to, uint64_t ttl_ms)
{
    char text[16];
    for (int i = from; i < to; i++)
        expect_ok(
            loam_put_ttl(w->db, NULL, number(i, text), loam_str("a value not so short"), ttl_ms));
}

static uint64_t tables(struct world *w, uint64_t *bytes)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    uint64_t count = 0;
    *bytes = 0;
    expect_ok(loam_coll_stats_get(w->db, NULL, &stats));
    for (int i = 0; i < LOAM_LEVELS_MAX; i++) {
        count += stats.level[i].table_count;
        *bytes += stats.level[i].bytes;
    }
    return count;
}

static loam_status get(struct world *w, const char *key)
{
    return loam_exists(w->db, NULL, loam_str(key));
}

static uint64_t expires(struct world *w, const char *key)
{
    loam_lookup lookup = {.key = loam_str(key)};
    expect_ok(loam_multi_get(w->db, NULL, NULL, &lookup, 1, LOAM_KEYS_ONLY));
    return lookup.expires_ms;
}

/* ---- the clock ---- */

static void the_moment_is_the_commits(void **state)
{
    struct world *w = *state;
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put_ttl(batch, NULL, loam_str("k"), loam_str("v"), SECOND_MS));
    expect_ok(loam_batch_put_ttl(batch, NULL, loam_str("ever"), loam_str("v"), 0));
    for (int i = 0; i < 2; i++) {
        pass(w, HOUR_MS);
        expect_ok(loam_write(w->db, batch, LOAM_DURABLE_DEFAULT));
        assert_true(expires(w, "k") == WALL_MS + (uint64_t)(i + 1) * HOUR_MS + SECOND_MS);
        assert_int_equal(expires(w, "ever"), 0);
    }
    loam_batch_free(batch);
    pass(w, SECOND_MS - 1);
    expect_ok(get(w, "k"));
    pass(w, 1);
    expect_status(LOAM_NOTFOUND, get(w, "k"));
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("far"), loam_str("v"), UINT64_MAX));
    expect_ok(get(w, "far"));
}

static void a_clock_that_is_set_back_revives_nothing(void **state)
{
    struct world *w = *state;
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("k"), loam_str("v"), SECOND_MS));
    simdisk_set_wall_ms(w->disk, WALL_MS + HOUR_MS);
    expect_status(LOAM_NOTFOUND, get(w, "k"));
    simdisk_set_wall_ms(w->disk, WALL_MS);
    expect_status(LOAM_NOTFOUND, get(w, "k"));
    expect_ok(loam_close(w->db));
    open_world(w); /* from the manifest */
    expect_status(LOAM_NOTFOUND, get(w, "k"));
    simdisk_set_wall_ms(w->disk, WALL_MS + 2 * HOUR_MS);
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("l"), loam_str("v"), SECOND_MS));
    simdisk_set_wall_ms(w->disk, WALL_MS + 3 * HOUR_MS);
    expect_status(LOAM_NOTFOUND, get(w, "l"));
    simdisk_set_wall_ms(w->disk, WALL_MS);
    expect_ok(loam_put(w->db, NULL, loam_str("m"), loam_str("v")));
    simdisk_kill(w->disk);
    const loam_status rc = loam_close(w->db);
    (void)rc;
    open_world(w); /* from the log */
    expect_status(LOAM_NOTFOUND, get(w, "l"));
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("n"), loam_str("v"), SECOND_MS));
    assert_true(expires(w, "n") == WALL_MS + 3 * HOUR_MS + SECOND_MS);
}

static void where_nothing_expires_nobody_asks_for_the_time(void **state)
{
    struct world *w = *state;
    loam_snapshot *snap;
    loam_iter *it;
    put_numbers(w, 0, 100, 0);
    expect_ok(loam_flush(w->db, NULL));
    const uint64_t asked = w->asked;
    expect_ok(loam_snapshot_open(w->db, &snap));
    expect_ok(loam_iter_open(w->db, NULL, NULL, &it));
    expect_ok(loam_iter_next(it));
    expect_ok(get(w, "000050"));
    loam_iter_close(it);
    loam_snapshot_close(snap);
    for (int i = 0; i < 10; i++)
        (void)jobs_run_one(w->db);
    assert_int_equal(w->asked, asked);
    assert_true(atomic_load(&w->db->expiry_due_ms) == UINT64_MAX);
}

/* ---- who sees it ---- */

static void who_began_before_goes_on_seeing_it(void **state)
{
    struct world *w = *state;
    loam_snapshot *snap;
    loam_iter *it;
    loam_txn *txn;
    loam_buf value = {0};
    put_numbers(w, 0, 10, SECOND_MS);
    put_numbers(w, 10, 20, 0);
    expect_ok(loam_snapshot_open(w->db, &snap));
    expect_ok(loam_iter_open(w->db, NULL, NULL, &it));
    expect_ok(loam_txn_begin(w->db, &txn));
    pass(w, SECOND_MS);
    for (int i = 0; i < 3; i++) {
        expect_status(LOAM_NOTFOUND, get(w, "000005"));
        expect_ok(loam_get_at(w->db, NULL, snap, loam_str("000005"), &value));
        assert_int_equal(value.len, strlen("a value not so short"));
        expect_ok(loam_txn_get(txn, NULL, loam_str("000006"), NULL));
        expect_ok(loam_iter_seek(it, loam_str("000007")));
        assert_true(loam_iter_expires_ms(it) == WALL_MS + SECOND_MS);
        assert_memory_equal(loam_iter_key(it).data, "000007", 6);
        expect_ok(loam_iter_prev(it));
        assert_memory_equal(loam_iter_key(it).data, "000006", 6);
        assert_int_equal(loam_iter_value(it).len, value.len);
        expect_ok(i == 0 ? loam_flush(w->db, NULL) : loam_compact(w->db, NULL, NULL));
    }
    loam_iter_close(it);
    loam_snapshot_close(snap);
    expect_ok(loam_txn_put_ttl(txn, NULL, loam_str("own"), loam_str("v"), SECOND_MS));
    expect_ok(loam_txn_get(txn, NULL, loam_str("own"), NULL));
    expect_ok(
        loam_txn_commit(txn, LOAM_DURABLE_DEFAULT)); /* that something expired is no conflict */
    loam_txn_close(txn);
    assert_true(expires(w, "own") == WALL_MS + 2 * SECOND_MS);
    expect_ok(loam_compact(w->db, NULL, NULL));
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(w->db, NULL, &stats));
    assert_int_equal(stats.entry_count, 11);
    loam_buf_free(&value);
}

static void what_it_hid_stays_hidden(void **state)
{
    struct world *w = *state;
    put_numbers(w, 0, 100, 0);
    expect_ok(loam_compact(w->db, NULL, NULL));
    put_numbers(w, 0, 100, SECOND_MS);
    expect_ok(loam_flush(w->db, NULL));
    pass(w, SECOND_MS);
    for (int i = 0; i < 3; i++) {
        loam_iter *it;
        expect_status(LOAM_NOTFOUND, get(w, "000050"));
        expect_ok(loam_iter_open(w->db, NULL, NULL, &it));
        expect_status(LOAM_NOTFOUND, i == 0 ? loam_iter_next(it) : loam_iter_prev(it));
        loam_iter_close(it);
        jobs_tend_once(w->db);
        run_jobs(w);
    }
    expect_ok(loam_verify_open(w->db, NULL, NULL));
    uint64_t bytes;
    assert_int_equal(tables(w, &bytes), 0);
}

static void conditions_ask_the_clock(void **state)
{
    struct world *w = *state;
    const loam_if absent = {.kind = LOAM_IF_ABSENT};
    const loam_if equal = {.kind = LOAM_IF_EQUAL, .value = loam_str("v")};
    uint64_t seq;
    expect_ok(loam_put_if_ttl(w->db, NULL, loam_str("k"), loam_str("v"), SECOND_MS, &absent, &seq));
    expect_status(LOAM_CONFLICT,
                  loam_put_if(w->db, NULL, loam_str("k"), loam_str("v"), &absent, NULL));
    expect_ok(loam_put_if_ttl(w->db, NULL, loam_str("k"), loam_str("v"), SECOND_MS, &equal, &seq));
    pass(w, SECOND_MS);
    const loam_if same = {.kind = LOAM_IF_SEQ, .seq = seq};
    expect_status(LOAM_CONFLICT,
                  loam_put_if(w->db, NULL, loam_str("k"), loam_str("v"), &equal, NULL));
    expect_status(LOAM_CONFLICT, loam_delete_if(w->db, NULL, loam_str("k"), &same));
    expect_ok(loam_put_if(w->db, NULL, loam_str("k"), loam_str("v"), &absent, NULL));
    assert_int_equal(expires(w, "k"), 0);
}

/* Larger than a page, with keys that end in the first chunk of it, and that do not. */
static void a_walk_over_keys_knows_what_has_expired(void **state)
{
    struct world *w = *state;
    static char bytes[200000];
    static const size_t lengths[] = {3, 65500, 65527, 65535};
    loam_range range = {.flags = LOAM_KEYS_ONLY};
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < 4; i++)
        expect_ok(loam_put_ttl(w->db, NULL, loam_bytes(bytes, lengths[i]),
                               loam_bytes(bytes, i == 1 ? 0 : sizeof bytes),
                               i % 2 == 0 ? SECOND_MS : HOUR_MS));
    for (int round = 0; round < 2; round++) {
        loam_iter *it;
        if (round == 1) expect_ok(loam_flush(w->db, NULL));
        for (int late = 0; late < 2; late++) {
            loam_snapshot *snap;
            expect_ok(loam_snapshot_open(w->db, &snap));
            range.at = snap;
            expect_ok(loam_iter_open(w->db, NULL, &range, &it));
            for (size_t i = late && round; i < 4; i += late && round ? 2 : 1) {
                expect_ok(loam_iter_next(it));
                assert_int_equal(loam_iter_key(it).len, lengths[i]);
                assert_null(loam_iter_value(it).data);
                assert_true(loam_iter_expires_ms(it) ==
                            WALL_MS + (i % 2 == 0 ? SECOND_MS : HOUR_MS));
            }
            expect_status(LOAM_NOTFOUND, loam_iter_next(it));
            loam_iter_close(it);
            loam_snapshot_close(snap);
            if (round == 1 && late == 0) pass(w, SECOND_MS);
        }
    }
}

/* ---- the disk ---- */

static void whole_tables_go_unread_by_themselves(void **state)
{
    struct world *w = *state;
    uint64_t bytes;
    put_numbers(w, 0, KEYS, SECOND_MS);
    expect_ok(loam_compact(w->db, NULL, NULL));
    put_numbers(w, KEYS / 2, KEYS, SECOND_MS); /* a run over another */
    expect_ok(loam_flush(w->db, NULL));
    assert_true(tables(w, &bytes) > 2);
    expect_ok(loam_close(w->db));
    open_world(w); /* nothing is cached */
    run_jobs(w);
    pass(w, SECOND_MS);
    const uint64_t calls = simdisk_call_count(w->disk);
    jobs_tend_once(w->db);
    run_jobs(w);
    assert_int_equal(tables(w, &bytes), 0);
    assert_true(simdisk_call_count(w->disk) - calls < 40); /* a few edits, and files to delete */
    assert_true(atomic_load(&w->db->expiry_due_ms) == UINT64_MAX);
    expect_status(LOAM_NOTFOUND, get(w, "000007"));
}

static void what_expires_among_others_comes_back_too(void **state)
{
    struct world *w = *state;
    uint64_t before, after;
    for (int i = 0; i < KEYS; i += 2) {
        put_numbers(w, i, i + 1, SECOND_MS + (uint64_t)i);
        put_numbers(w, i + 1, i + 2, 0);
    }
    expect_ok(loam_compact(w->db, NULL, NULL));
    (void)tables(w, &before);
    for (int i = 0; i < 10; i++) {
        pass(w, SECOND_MS);
        jobs_tend_once(w->db);
        run_jobs(w);
    }
    (void)tables(w, &after);
    assert_true(after < before * 6 / 10);
    expect_ok(get(w, "000007"));
    expect_status(LOAM_NOTFOUND, get(w, "000008"));
}

static void repair_keeps_when(void **state)
{
    struct world *w = *state;
    loam_coll *coll;
    loam_coll_options options = loam_coll_options_default();
    options.ttl_ms = 2 * SECOND_MS;
    expect_ok(loam_create(w->db, "c", &options, &coll));
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("flushed"), loam_str("v"), HOUR_MS));
    expect_ok(loam_flush(w->db, NULL));
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("logged"), loam_str("v"), HOUR_MS));
    expect_ok(loam_put_ttl(w->db, coll, loam_str("ever"), loam_str("v"), 0));
    expect_ok(loam_put(w->db, coll, loam_str("k"), loam_str("v")));
    expect_ok(loam_close(w->db));
    pass(w, SECOND_MS);
    const struct db_world world = world_of(w);
    expect_ok(db_repair_in(&world, "db", "repaired", NULL, NULL));
    loam_db *repaired;
    expect_ok(db_open_in(&world, "repaired", NULL, &repaired));
    loam_lookup lookups[2] = {{.key = loam_str("flushed")}, {.key = loam_str("logged")}};
    expect_ok(loam_multi_get(repaired, NULL, NULL, lookups, 2, LOAM_KEYS_ONLY));
    assert_true(lookups[0].expires_ms == WALL_MS + HOUR_MS);
    assert_true(lookups[1].expires_ms == WALL_MS + HOUR_MS);
    expect_ok(loam_collection(repaired, "c", &coll));
    loam_lookup others[2] = {{.key = loam_str("ever")}, {.key = loam_str("k")}};
    expect_ok(loam_multi_get(repaired, coll, NULL, others, 2, LOAM_KEYS_ONLY));
    assert_int_equal(others[0].expires_ms, 0);
    assert_true(others[0].seq > 0);
    assert_true(others[1].expires_ms == WALL_MS + 2 * SECOND_MS);
    expect_ok(loam_close(repaired));
    open_world(w);
}

static void what_had_expired_does_not_come_back_by_a_repair(void **state)
{
    struct world *w = *state;
    const struct db_world world = world_of(w);
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("k"), loam_str("v"), SECOND_MS));
    expect_ok(loam_put_ttl(w->db, NULL, loam_str("later"), loam_str("v"), 9 * HOUR_MS));
    simdisk_set_wall_ms(w->disk, WALL_MS + HOUR_MS);
    expect_status(LOAM_NOTFOUND, get(w, "k"));
    expect_ok(loam_put(w->db, NULL, loam_str("m"), loam_str("v")));
    simdisk_set_wall_ms(w->disk, WALL_MS);
    expect_ok(loam_close(w->db));
    expect_ok(db_repair_in(&world, "db", "repaired", NULL, NULL));
    loam_db *repaired;
    expect_ok(db_open_in(&world, "repaired", NULL, &repaired));
    expect_status(LOAM_NOTFOUND, loam_exists(repaired, NULL, loam_str("k")));
    expect_status(LOAM_OK, loam_exists(repaired, NULL, loam_str("later")));
    expect_ok(loam_close(repaired));
    open_world(w);
}

#define test_in_world(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_world(the_moment_is_the_commits),
        test_in_world(a_clock_that_is_set_back_revives_nothing),
        test_in_world(where_nothing_expires_nobody_asks_for_the_time),
        test_in_world(who_began_before_goes_on_seeing_it),
        test_in_world(what_it_hid_stays_hidden),
        test_in_world(conditions_ask_the_clock),
        test_in_world(a_walk_over_keys_knows_what_has_expired),
        test_in_world(whole_tables_go_unread_by_themselves),
        test_in_world(what_expires_among_others_comes_back_too),
        test_in_world(repair_keeps_when),
        test_in_world(what_had_expired_does_not_come_back_by_a_repair),
    };
    return cmocka_run_group_tests_name("db/expiry", tests, NULL, NULL);
}
