/*
 * test_clones.c - clones: what they hold, that writes part ways, and who keeps the tables that are shared.
 */
#include "../lib/fixture.h"

#include <stdio.h>

enum { KEYS = 3000 };

static void fill(struct fixture *f, loam_coll *coll, int from, int to, const char *value)
{
    char key[16];
    loam_batch *batch = loam_batch_new();
    for (int i = from; i < to; i++) {
        const int len = snprintf(key, sizeof key, "%08d", i);
        expect_ok(loam_batch_put(batch, coll, loam_bytes(key, (size_t)len), loam_str(value)));
    }
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_PROCESS));
    loam_batch_free(batch);
}

static size_t count(struct fixture *f, loam_coll *coll, const char *value)
{
    size_t found = 0;
    loam_iter *it;
    expect_ok(loam_iter_open(f->db, coll, NULL, &it));
    while (loam_iter_next(it) == LOAM_OK) {
        const loam_slice got = loam_iter_value(it);
        found += got.len == strlen(value) && memcmp(got.data, value, got.len) == 0;
    }
    loam_iter_close(it);
    return found;
}

static loam_coll *clone_of(struct fixture *f, const char *from, const char *to)
{
    loam_coll *coll;
    expect_ok(loam_clone(f->db, from, to, &coll));
    return coll;
}

static uint64_t disk_bytes(struct fixture *f)
{
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(f->db, &stats));
    return stats.disk_bytes;
}

static uint64_t table_bytes(struct fixture *f, loam_coll *coll)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    uint64_t bytes = 0;
    expect_ok(loam_coll_stats_get(f->db, coll, &stats));
    for (int i = 0; i < LOAM_LEVELS_MAX; i++)
        bytes += stats.level[i].bytes;
    return bytes;
}

/* ---- what it holds --------------------------------------------------------------------------- */

static void a_clone_holds_what_there_was_and_then_they_part(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "both", "old");
    put_text(f->db, NULL, "gone", "x");
    expect_ok(loam_delete(f->db, NULL, loam_str("gone")));
    loam_coll *coll = clone_of(f, "default", "copy");
    for (int round = 0; round < 3; round++) {
        expect_text(f->db, coll, "both", round == 0 ? "old" : "in the clone");
        expect_text(f->db, coll, "gone", NULL);
        put_text(f->db, coll, "both", "in the clone");
        put_text(f->db, NULL, "both", "in the source");
        put_text(f->db, NULL, "later", "x");
        expect_text(f->db, coll, "later", NULL);
        expect_text(f->db, NULL, "both", "in the source");
        fixture_reopen(f);
        expect_ok(loam_collection(f->db, "copy", &coll));
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void clones_of_nothing_and_of_clones(void **state)
{
    struct fixture *f = *state;
    clone_of(f, "default", "empty");
    assert_string_equal(keys_forward(f->db, clone_of(f, "empty", "empty too"), NULL), "");
    put_text(f->db, NULL, "a", "1");
    put_text(f->db, clone_of(f, "default", "first"), "b", "2");
    put_text(f->db, clone_of(f, "first", "second"), "c", "3");
    loam_coll *third = clone_of(f, "second", "third");
    expect_ok(loam_drop(f->db, "first"));
    expect_ok(loam_rename(f->db, "second", "first"));
    expect_ok(loam_delete(f->db, third, loam_str("a")));
    for (int round = 0; round < 2; round++) {
        loam_coll *coll;
        expect_ok(loam_collection(f->db, "third", &coll));
        assert_string_equal(keys_forward(f->db, coll, NULL), "b c");
        expect_ok(loam_collection(f->db, "first", &coll));
        assert_string_equal(keys_forward(f->db, coll, NULL), "a b c");
        assert_string_equal(keys_forward(f->db, NULL, NULL), "a");
        fixture_reopen(f);
    }
}

static void options_and_deletions_of_ranges_come_along(void **state)
{
    struct fixture *f = *state;
    const loam_coll_options options = {.struct_size = sizeof options,
                                       LOAM_ZSTD,
                                       .merge_operator = "add_i64",
                                       .ttl_ms = UINT64_MAX};
    const loam_range middle = {.from = loam_str("00000500"), .to = loam_str("00001500")};
    loam_coll *coll;
    loam_snapshot *snap;
    expect_ok(loam_create(f->db, "c", &options, &coll));
    fill(f, coll, 0, KEYS, "v");
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_snapshot_open(f->db, &snap)); /* keeps the deletion from being applied */
    expect_ok(loam_delete_range(f->db, coll, &middle));
    loam_coll *copy = clone_of(f, "c", "copy");
    loam_coll_options got = {.struct_size = sizeof got};
    expect_ok(loam_coll_options_get(f->db, copy, &got));
    assert_int_equal(got.compression, LOAM_ZSTD);
    assert_string_equal(got.merge_operator, "add_i64");
    assert_true(got.ttl_ms == UINT64_MAX);
    fill(f, copy, 600, 700, "again");
    assert_int_equal(count(f, copy, "v"), KEYS - 1000);
    assert_int_equal(count(f, copy, "again"), 100);
    assert_int_equal(count(f, coll, "v"), KEYS - 1000);
    loam_snapshot_close(snap);
    expect_ok(loam_compact(f->db, copy, NULL));
    expect_ok(loam_compact(f->db, coll, NULL));
    assert_int_equal(count(f, copy, "again"), 100);
    assert_int_equal(count(f, coll, "v"), KEYS - 1000);
}

static void an_older_snapshot_sees_what_it_sees_in_the_source(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    put_text(f->db, NULL, "k", "then");
    expect_ok(loam_snapshot_open(f->db, &snap));
    put_text(f->db, NULL, "k", "now");
    loam_coll *coll = clone_of(f, "default", "copy");
    expect_text_at(f->db, coll, snap, "k", "then");
    expect_text(f->db, coll, "k", "now");
    expect_ok(loam_delete(f->db, coll, loam_str("k")));
    expect_ok(loam_compact(f->db, coll, NULL));
    expect_text_at(f->db, coll, snap, "k", "then");
    expect_text(f->db, coll, "k", NULL);
    loam_snapshot_close(snap);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void shared_tables_are_on_disk_once_and_counted_by_each(void **state)
{
    struct fixture *f = *state;
    fill(f, NULL, 0, KEYS, "some value that takes a little room, but not much");
    expect_ok(loam_compact(f->db, NULL, NULL));
    const uint64_t before = disk_bytes(f), files = fixture_file_count(f->store);
    loam_coll *coll = clone_of(f, "default", "copy");
    assert_int_equal(fixture_file_count(f->store), files);
    assert_true(disk_bytes(f) < before + 4096);
    assert_true(table_bytes(f, coll) == table_bytes(f, NULL));
    assert_true(table_bytes(f, coll) > 0);
}

static void what_one_side_merges_or_drops_the_other_keeps(void **state)
{
    struct fixture *f = *state;
    const loam_range all = {.from = loam_str("")};
    loam_coll *left, *right;
    loam_iter *it;
    expect_ok(loam_create(f->db, "left", NULL, &left));
    fill(f, left, 0, KEYS, "old");
    right = clone_of(f, "left", "right");
    expect_ok(loam_iter_open(f->db, right, NULL, &it));
    fill(f, left, 0, KEYS, "new");
    expect_ok(loam_compact(f->db, left, NULL));
    assert_int_equal(count(f, left, "new"), KEYS);
    assert_int_equal(count(f, right, "old"), KEYS);
    expect_ok(loam_delete_range(f->db, left, &all));
    expect_ok(loam_compact(f->db, left, NULL)); /* a sweep */
    assert_int_equal(count(f, right, "old"), KEYS);
    size_t seen = 0;
    while (loam_iter_next(it) == LOAM_OK)
        seen++;
    assert_int_equal(seen, KEYS);
    loam_iter_close(it);
    fixture_reopen(f); /* deletes what nothing refers to */
    expect_ok(loam_collection(f->db, "right", &right));
    assert_int_equal(count(f, right, "old"), KEYS);
}

static void either_side_may_be_dropped(void **state)
{
    struct fixture *f = *state;
    const char *const names[] = {"left", "right"};
    for (int gone = 0; gone < 2; gone++) {
        loam_coll *left, *right;
        expect_ok(loam_create(f->db, "left", NULL, &left));
        fill(f, left, 0, KEYS, "old");
        right = clone_of(f, "left", "right");
        expect_ok(loam_drop(f->db, names[gone]));
        assert_int_equal(count(f, gone == 0 ? right : left, "old"), KEYS);
        fixture_reopen(f);
        loam_coll *kept;
        expect_ok(loam_collection(f->db, names[1 - gone], &kept));
        assert_int_equal(count(f, kept, "old"), KEYS);
        expect_ok(loam_verify_open(f->db, NULL, NULL));
        expect_ok(loam_drop(f->db, names[1 - gone]));
    }
    char path[512];
    expect_ok(loam_flush(f->db, NULL));
    assert_false(fixture_find_file(f, ".sst", path)); /* the last reference is gone */
}

static void both_come_back_from_a_repair(void **state)
{
    struct fixture *f = *state;
    fill(f, NULL, 0, KEYS, "shared");
    loam_coll *coll = clone_of(f, "default", "copy");
    fill(f, coll, 0, 10, "own");
    fill(f, NULL, KEYS, KEYS + 10, "own");
    fixture_close(f);
    expect_ok(loam_repair(f->store, fixture_path(f, "repaired"), NULL, NULL));
    expect_ok(loam_open(fixture_path(f, "repaired"), NULL, &f->db));
    expect_ok(loam_collection(f->db, "copy", &coll));
    assert_int_equal(count(f, coll, "shared"), KEYS - 10);
    assert_int_equal(count(f, coll, "own"), 10);
    assert_int_equal(count(f, NULL, "shared"), KEYS);
    assert_int_equal(count(f, NULL, "own"), 10);
}

static void count_fault(void *ctx, const char *text)
{
    if (strstr(text, "no fault") == NULL) ++*(int *)ctx;
}

static void verify_says_a_shared_tables_fault_once(void **state)
{
    struct fixture *f = *state;
    char path[512];
    int faults[2] = {0};
    for (int clones = 0; clones < 2; clones++) {
        if (clones == 1) fixture_open(f, NULL);
        if (clones == 0) fill(f, NULL, 0, KEYS, "v");
        if (clones == 0) expect_ok(loam_flush(f->db, NULL));
        if (clones == 1) clone_of(f, "default", "copy");
        fixture_close(f);
        assert_true(fixture_find_file(f, ".sst", path));
        if (clones == 0) fixture_flip_byte(path, 5000);
        expect_status(LOAM_CORRUPT, loam_verify(f->store, count_fault, &faults[clones]));
    }
    assert_true(faults[0] > 0);
    assert_int_equal(faults[0], faults[1]);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void names_are_those_of_create(void **state)
{
    struct fixture *f = *state;
    loam_coll *there, *coll;
    char longer[300];
    memset(longer, 'n', sizeof longer);
    longer[256] = '\0';
    expect_ok(loam_create(f->db, "there", NULL, &there));
    expect_status(LOAM_NOTFOUND, loam_clone(f->db, "none", "new", &coll));
    assert_null(coll);
    expect_status(LOAM_NOTFOUND, loam_clone(f->db, "none", "there", &coll));
    assert_null(coll);
    expect_status(LOAM_EXISTS, loam_clone(f->db, "default", "there", &coll));
    assert_ptr_equal(coll, there);
    expect_status(LOAM_EXISTS, loam_clone(f->db, "there", "there", NULL));
    expect_status(LOAM_EXISTS, loam_clone(f->db, "there", "default", NULL));
    expect_failure(LOAM_INVALID, "name", loam_clone(f->db, "there", "a/b", NULL));
    expect_failure(LOAM_INVALID, "empty", loam_clone(f->db, NULL, "new", NULL));
    expect_failure(LOAM_INVALID, "empty", loam_clone(f->db, "there", "", NULL));
    expect_status(LOAM_TOOBIG, loam_clone(f->db, "there", longer, NULL));
    loam_options read_only = fixture_options();
    read_only.read_only = true;
    fixture_close(f);
    fixture_open(f, &read_only);
    expect_status(LOAM_READONLY, loam_clone(f->db, "there", "new", &coll));
    assert_null(coll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_clone_holds_what_there_was_and_then_they_part),
        test_open(clones_of_nothing_and_of_clones),
        test_open(options_and_deletions_of_ranges_come_along),
        test_open(an_older_snapshot_sees_what_it_sees_in_the_source),
        test_open(shared_tables_are_on_disk_once_and_counted_by_each),
        test_open(what_one_side_merges_or_drops_the_other_keeps),
        test_open(either_side_may_be_dropped),
        test_open(both_come_back_from_a_repair),
        test_open(verify_says_a_shared_tables_fault_once),
        test_open(names_are_those_of_create),
    };
    return cmocka_run_group_tests_name("api/clones", tests, NULL, NULL);
}
