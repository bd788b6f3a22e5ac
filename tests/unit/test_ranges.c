/*
 * test_ranges.c - deletions of ranges in tables: what of them and under them goes from disk, unread, and what stays for whom.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <string.h>

#include "db/db.h"
#include "db/reads.h"
#include "lib/simdisk.h"

enum { KEYS = 4000 };

static loam_slice number(int i, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%06d", i));
}

static void put_numbers(loam_db *db, int from, int to)
{
    char text[16];
    for (int i = from; i < to; i++)
        expect_ok(loam_put(db, NULL, number(i, text), loam_str("a value that is not so short")));
}

static void delete_numbers(loam_db *db, int from, int to)
{
    char a[16], b[16];
    const loam_range range = {.from = number(from, a), .to = number(to, b)};
    expect_ok(loam_delete_range(db, NULL, &range));
}

/* Exactly these numbers are there, however one looks. */
static void expect_numbers(loam_db *db, const loam_snapshot *snap, int gone_from, int gone_to,
                           int end)
{
    char text[16];
    const loam_range range = {.at = snap};
    loam_buf value = {0};
    loam_iter *it;
    expect_ok(loam_iter_open(db, NULL, &range, &it));
    for (int backward = 0; backward <= 1; backward++) {
        for (int n = 0; n < end; n++) {
            const int i = backward ? end - 1 - n : n;
            if (i >= gone_from && i < gone_to) continue;
            expect_ok(backward ? loam_iter_prev(it) : loam_iter_next(it));
            assert_memory_equal(loam_iter_key(it).data, number(i, text).data, 6);
        }
        expect_status(LOAM_NOTFOUND, backward ? loam_iter_prev(it) : loam_iter_next(it));
    }
    loam_iter_close(it);
    for (int i = 0; i < end; i += 7)
        expect_status(i >= gone_from && i < gone_to ? LOAM_NOTFOUND : LOAM_OK,
                      loam_get_at(db, NULL, snap, number(i, text), &value));
    loam_buf_free(&value);
}

static const struct version *tables(loam_db *db)
{
    return atomic_load(&db->default_coll->view)->version;
}

static void it_outlives_memory_and_the_process(void **state)
{
    struct fixture *f = *state;
    put_numbers(f->db, 0, 500);
    expect_ok(loam_flush(f->db, NULL));
    delete_numbers(f->db, 100, 200);
    fixture_reopen(f); /* from the log */
    expect_numbers(f->db, NULL, 100, 200, 500);
    expect_ok(loam_flush(f->db, NULL));
    fixture_reopen(f); /* from the manifest */
    expect_numbers(f->db, NULL, 100, 200, 500);
    assert_non_null(tables(f->db)->ranges);
    expect_ok(loam_compact(f->db, NULL, NULL));
    assert_null(tables(f->db)->ranges); /* nothing is left that it hides */
    fixture_reopen(f);
    expect_numbers(f->db, NULL, 100, 200, 500);
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void a_snapshot_keeps_what_it_sees(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    loam_iter *it;
    put_numbers(f->db, 0, 500);
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    delete_numbers(f->db, 0, 400);
    for (int i = 0; i < 3; i++) {
        expect_numbers(f->db, NULL, 0, 400, 500);
        expect_numbers(f->db, snap, 0, 0, 500);
        expect_ok(i == 0 ? loam_flush(f->db, NULL) : loam_compact(f->db, NULL, NULL));
    }
    int seen = 0;
    while (loam_iter_next(it) == LOAM_OK)
        seen++;
    assert_int_equal(seen, 500);
    loam_iter_close(it);
    assert_non_null(tables(f->db)->ranges);
    loam_snapshot_close(snap);
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_numbers(f->db, NULL, 0, 400, 500);
    assert_null(tables(f->db)->ranges);
}

static loam_db *open_on(struct simdisk *disk, uint64_t memtable_bytes)
{
    const struct db_world world = {
        .sys = simdisk_table(disk), .page_bytes = 256, .log_bytes_least = 16384, .seed = 1};
    loam_options options = fixture_options();
    loam_db *db;
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = memtable_bytes;
    expect_ok(db_open_in(&world, "db", &options, &db));
    return db;
}

static uint64_t table_count(loam_db *db)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    uint64_t count = 0;
    expect_ok(loam_coll_stats_get(db, NULL, &stats));
    for (int i = 0; i < LOAM_LEVELS_MAX; i++)
        count += stats.level[i].table_count;
    return count;
}

/* How many calls of the system it takes to find the first key. */
static uint64_t calls_of_scan(struct simdisk *disk, loam_db *db, loam_status want, bool backward)
{
    loam_iter *it;
    const uint64_t before = simdisk_call_count(disk);
    expect_ok(loam_iter_open(db, NULL, NULL, &it));
    expect_status(want, backward ? loam_iter_prev(it) : loam_iter_next(it));
    loam_iter_close(it);
    return simdisk_call_count(disk) - before;
}

static void what_it_covers_is_neither_read_nor_kept(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    loam_db *db = open_on(disk, 16 << 10);
    put_numbers(db, 0, KEYS);
    expect_ok(loam_compact(db, NULL, NULL));
    const uint64_t before = table_count(db);
    assert_true(before > 8);
    expect_ok(loam_close(db));

    db = open_on(disk, 16 << 10); /* nothing is cached */
    delete_numbers(db, 10, KEYS - 10);
    loam_iter *it;
    expect_ok(loam_iter_open(db, NULL, NULL, &it));
    for (int i = 0; i < 10; i++)
        expect_ok(loam_iter_next(it));
    const uint64_t calls = simdisk_call_count(disk);
    expect_ok(loam_iter_next(it)); /* over all the rest, to one of the last ten */
    assert_true(simdisk_call_count(disk) - calls < 12);
    loam_iter_close(it);

    expect_ok(loam_flush(db, NULL));
    while (jobs_run_one(db)) {
    }
    assert_int_equal(table_count(db), 1); /* of what those at the ends had left, as it was little */
    expect_numbers(db, NULL, 10, KEYS - 10, KEYS);
    const uint64_t reading = simdisk_call_count(disk);
    expect_ok(loam_delete_range(db, NULL, NULL));
    assert_true(calls_of_scan(disk, db, LOAM_NOTFOUND, false) == 0);
    assert_true(calls_of_scan(disk, db, LOAM_NOTFOUND, true) == 0);
    expect_ok(loam_flush(db, NULL));
    while (jobs_run_one(db)) {
    }
    assert_true(simdisk_call_count(disk) - reading < 60); /* of one flush and two edits */
    assert_int_equal(table_count(db), 0);
    assert_null(tables(db)->ranges);
    expect_ok(loam_close(db));
    simdisk_free(disk);
}

/* In the lane, a deletion of a range is looked for among the keys that were read: few one by one, many when they are in order. */
static void many_reads_are_put_in_order_first(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll = f->db->default_coll, *other;
    char text[16];
    expect_ok(loam_create(f->db, "other", NULL, &other));
    for (int many = 0; many <= 1; many++) {
        struct reads reads = {0};
        for (int i = 0; i < (many ? 1000 : 5); i++)
            expect_ok(reads_add_key(&reads, coll, number(i * 2, text)));
        expect_ok(commit_remember(f->db));
        const uint64_t since = commit_last_seq(f->db);
        delete_numbers(f->db, 5, 6);
        expect_ok(loam_delete_range(f->db, other, NULL));
        for (int hits = 0; hits <= 1; hits++) {
            if (hits) delete_numbers(f->db, 5, 7);
            mutex_lock(&f->db->lane);
            loam_status rc = reads_check_recent(&reads, f->db, since);
            mutex_unlock(&f->db->lane);
            if (many && !hits) {
                expect_status(LOAM_NOTFOUND, rc);
                expect_ok(reads_check(&reads, f->db, since));
                mutex_lock(&f->db->lane);
                rc = reads_check_recent(&reads, f->db, since);
                mutex_unlock(&f->db->lane);
            }
            expect_status(hits ? LOAM_CONFLICT : LOAM_OK, rc);
        }
        commit_forget(f->db);
        reads_deinit(&reads);
    }
}

/* Half of a table is not left for long: as for tombstones, a quarter is much. */
static void what_is_hidden_within_tables_comes_back(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(3);
    loam_db *db = open_on(disk, 1 << 20);
    loam_coll_stats before = {.struct_size = sizeof before}, after = before;
    put_numbers(db, 0, KEYS);
    expect_ok(loam_compact(db, NULL, NULL));
    expect_ok(loam_coll_stats_get(db, NULL, &before));
    assert_int_equal(table_count(db), 1);
    delete_numbers(db, 10, KEYS / 2);
    expect_ok(loam_flush(db, NULL));
    while (jobs_run_one(db)) {
    }
    expect_ok(loam_coll_stats_get(db, NULL, &after));
    assert_true(after.bytes < before.bytes * 6 / 10);
    assert_int_equal(after.entry_count, KEYS / 2 + 10);
    assert_null(tables(db)->ranges);
    expect_ok(loam_close(db));
    simdisk_free(disk);
}

/* What is not in the last level goes there when deletions become many. */
static void many_over_an_upper_run_are_not_kept(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(4);
    loam_db *db = open_on(disk, 1 << 20);
    put_numbers(db, 0, KEYS);
    expect_ok(loam_flush(db, NULL));
    for (int i = 0; i + 1 < KEYS; i += 8) /* less than a quarter, which would be reason enough */
        delete_numbers(db, i, i + 1);
    expect_ok(loam_flush(db, NULL));
    while (jobs_run_one(db)) {
    }
    assert_true(range_set_weight(tables(db)->ranges) < 1100);
    expect_ok(loam_close(db));
    simdisk_free(disk);
}

/* Holes in all tables: they are many, so the tables are rewritten, and then there are none. */
static void many_are_not_kept(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(2);
    loam_db *db = open_on(disk, 64 << 10);
    char text[16];
    put_numbers(db, 0, KEYS);
    expect_ok(loam_compact(db, NULL, NULL));
    for (int i = 0; i + 1 < KEYS; i += 8)
        delete_numbers(db, i, i + 1);
    expect_ok(loam_flush(db, NULL));
    while (jobs_run_one(db)) {
    }
    assert_true(range_set_weight(tables(db)->ranges) < 1100);
    for (int i = 0; i < KEYS; i++)
        expect_status(i % 8 == 0 ? LOAM_NOTFOUND : LOAM_OK, loam_exists(db, NULL, number(i, text)));
    expect_ok(loam_compact(db, NULL, NULL));
    assert_null(tables(db)->ranges);
    expect_ok(loam_close(db));
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(it_outlives_memory_and_the_process),
        test_open(a_snapshot_keeps_what_it_sees),
        test_open(many_reads_are_put_in_order_first),
        cmocka_unit_test(what_it_covers_is_neither_read_nor_kept),
        cmocka_unit_test(what_is_hidden_within_tables_comes_back),
        cmocka_unit_test(many_over_an_upper_run_are_not_kept),
        cmocka_unit_test(many_are_not_kept),
    };
    return cmocka_run_group_tests_name("db/ranges", tests, NULL, NULL);
}
