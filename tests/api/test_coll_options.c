/*
 * test_coll_options.c - options of collections: given, asked for, changed, and kept.
 */
#include "../lib/fixture.h"

#include <stdio.h>

static loam_coll_options options_of(loam_db *db, loam_coll *coll)
{
    loam_coll_options options = {.struct_size = sizeof options};
    expect_ok(loam_coll_options_get(db, coll, &options));
    return options;
}

static void expect_options(loam_db *db, const char *name, loam_compression compression,
                           uint64_t ttl_ms, const char *merge_operator)
{
    loam_coll *coll;
    expect_ok(loam_collection(db, name, &coll));
    const loam_coll_options options = options_of(db, coll);
    assert_int_equal(options.struct_size, sizeof options);
    assert_int_equal(options.compression, compression);
    assert_true(options.ttl_ms == ttl_ms);
    assert_int_equal(options.merge_operator == NULL, merge_operator == NULL);
    if (merge_operator != NULL) assert_string_equal(options.merge_operator, merge_operator);
}

static void make_some(struct fixture *f)
{
    const loam_coll_options all = {
        .struct_size = sizeof all, LOAM_ZSTD, .merge_operator = "append", .ttl_ms = UINT64_MAX};
    const loam_coll_options ttl = {.struct_size = sizeof ttl, .ttl_ms = 1};
    expect_ok(loam_create(f->db, "plain", NULL, NULL));
    expect_ok(loam_create(f->db, "all", &all, NULL));
    expect_ok(loam_create(f->db, "ttl", &ttl, NULL));
    const loam_coll_options here = {
        .struct_size = sizeof here, LOAM_UNCOMPRESSED, .merge_operator = "max_i64"};
    expect_ok(loam_coll_options_set(f->db, NULL, &here));
}

static void expect_some(struct fixture *f)
{
    expect_options(f->db, "default", LOAM_UNCOMPRESSED, 0, "max_i64");
    expect_options(f->db, "plain", LOAM_LZ4, 0, NULL);
    expect_options(f->db, "all", LOAM_ZSTD, UINT64_MAX, "append");
    expect_options(f->db, "ttl", LOAM_LZ4, 1, NULL);
}

static void options_are_kept(void **state)
{
    struct fixture *f = *state;
    make_some(f);
    for (int round = 0; round < 4; round++) { /* log, then manifest, then a fresh one of it */
        expect_some(f);
        fixture_reopen(f);
    }
    expect_ok(loam_rename(f->db, "all", "renamed"));
    expect_options(f->db, "renamed", LOAM_ZSTD, UINT64_MAX, "append");
    fixture_reopen(f);
    expect_options(f->db, "renamed", LOAM_ZSTD, UINT64_MAX, "append");
}

static void a_repaired_store_has_them(void **state)
{
    struct fixture *f = *state;
    make_some(f);
    fixture_close(f);
    expect_ok(loam_repair(f->store, fixture_path(f, "repaired"), NULL, NULL));
    expect_ok(loam_open(fixture_path(f, "repaired"), NULL, &f->db));
    expect_some(f);
}

static void what_is_not_given_stays(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    make_some(f);
    expect_ok(loam_collection(f->db, "all", &coll));
    const loam_coll_options old = {.struct_size = offsetof(loam_coll_options, merge_operator),
                                   .compression = LOAM_UNCOMPRESSED};
    expect_ok(loam_coll_options_set(f->db, coll, &old));
    expect_options(f->db, "all", LOAM_UNCOMPRESSED, UINT64_MAX, "append");
    loam_coll_options got = {.struct_size = offsetof(loam_coll_options, merge_operator),
                             .merge_operator = "untouched"};
    expect_ok(loam_coll_options_get(f->db, coll, &got));
    assert_int_equal(got.compression, LOAM_UNCOMPRESSED);
    assert_string_equal(got.merge_operator, "untouched");
}

static void a_merge_operator_is_set_once(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    loam_coll_options options = options_of(f->db, coll);
    options.ttl_ms = 7;
    options.merge_operator = "add_i64";
    expect_ok(loam_coll_options_set(f->db, coll, &options));
    const char *name = options_of(f->db, coll).merge_operator;
    options.merge_operator = "max_i64";
    expect_failure(LOAM_INVALID, "\"add_i64\"", loam_coll_options_set(f->db, coll, &options));
    options.merge_operator = NULL;
    expect_failure(LOAM_INVALID, "\"add_i64\"", loam_coll_options_set(f->db, coll, &options));
    options.merge_operator = "add_i64";
    options.ttl_ms = 8;
    expect_ok(loam_coll_options_set(f->db, coll, &options));
    expect_options(f->db, "c", LOAM_LZ4, 8, "add_i64");
    assert_ptr_equal(name, options_of(f->db, coll).merge_operator);
}

static void a_name_of_an_operator_is_64_bytes_less_one(void **state)
{
    static const char *const bad[] = {
        "",    "Add",      "a b",
        "a-b", "\xc3\xa9", "a23456789_b23456789_c23456789_d23456789_e23456789_f23456789_1234"};
    struct fixture *f = *state;
    loam_coll_options options = loam_coll_options_default();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.merge_operator = bad[i];
        expect_failure(LOAM_INVALID, "merge operator", loam_create(f->db, "bad", &options, NULL));
        expect_failure(LOAM_INVALID, "merge operator",
                       loam_coll_options_set(f->db, NULL, &options));
    }
    expect_status(LOAM_NOTFOUND, loam_drop(f->db, "bad"));
    expect_options(f->db, "default", LOAM_LZ4, 0, NULL);
    options.merge_operator = "a23456789_b23456789_c23456789_d23456789_e23456789_f23456789_123";
    expect_failure(LOAM_INVALID, "there is no merge operator \"a23",
                   loam_coll_options_set(f->db, NULL, &options));
}

static void bad_calls_are_refused(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    loam_coll_options options = loam_coll_options_default(), none = {.struct_size = 0};
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    expect_failure(LOAM_INVALID, "NULL", loam_coll_options_set(f->db, coll, NULL));
    expect_failure(LOAM_INVALID, "NULL", loam_coll_options_get(f->db, coll, NULL));
    expect_status(LOAM_INVALID, loam_coll_options_set(f->db, coll, &none));
    expect_status(LOAM_INVALID, loam_coll_options_get(f->db, coll, &none));
    options.compression = (loam_compression)3;
    expect_status(LOAM_INVALID, loam_coll_options_set(f->db, coll, &options));
    options.compression = LOAM_ZSTD;
    expect_ok(loam_drop(f->db, "c"));
    expect_status(LOAM_MISUSE, loam_coll_options_set(f->db, coll, &options));
    expect_status(LOAM_MISUSE, loam_coll_options_get(f->db, coll, &options));
    loam_options read_only = fixture_options();
    read_only.read_only = true;
    fixture_close(f);
    fixture_open(f, &read_only);
    expect_status(LOAM_READONLY, loam_coll_options_set(f->db, NULL, &options));
    expect_options(f->db, "default", LOAM_LZ4, 0, NULL);
}

static uint64_t bytes_on_disk(struct fixture *f)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    uint64_t bytes = 0;
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_ok(loam_coll_stats_get(f->db, NULL, &stats));
    for (int i = 0; i < LOAM_LEVELS_MAX; i++)
        bytes += stats.level[i].bytes;
    return bytes;
}

static void tables_are_compressed_as_the_options_say_when_they_are_written(void **state)
{
    struct fixture *f = *state;
    char key[16], value[1000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 2000; i++) {
        const int len = snprintf(key, sizeof key, "%08d", i);
        expect_ok(
            loam_put(f->db, NULL, loam_bytes(key, (size_t)len), loam_bytes(value, sizeof value)));
    }
    assert_true(bytes_on_disk(f) < 1000000);
    loam_coll_options options = loam_coll_options_default();
    options.compression = LOAM_UNCOMPRESSED;
    expect_ok(loam_coll_options_set(f->db, NULL, &options));
    put_text(f->db, NULL, "00000000", "so that there is something to merge");
    put_text(f->db, NULL, "00001999", "from the first key to the last");
    assert_true(bytes_on_disk(f) > 1900000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(options_are_kept),
        test_open(a_repaired_store_has_them),
        test_open(what_is_not_given_stays),
        test_open(a_merge_operator_is_set_once),
        test_open(a_name_of_an_operator_is_64_bytes_less_one),
        test_open(bad_calls_are_refused),
        test_open(tables_are_compressed_as_the_options_say_when_they_are_written),
    };
    return cmocka_run_group_tests_name("api/coll_options", tests, NULL, NULL);
}
