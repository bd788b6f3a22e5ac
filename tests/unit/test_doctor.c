/*
 * test_doctor.c - stores made ill in each way, and what the doctor says of them.
 *
 * On the simulated disk, so that machine, limits and clock are the test's.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "lib/simdisk.h"
#include "lib/told.h"

struct ward {
    struct simdisk *disk;
    struct sys calls; /* the disk's, but for syncs that take their time */
    struct sys_table below;
    loam_options options;
    loam_db *db;
};

static uint64_t sync_ns;
static struct sys_table below;

static int slow_sync(void *ctx, int fd)
{
    if (sync_ns > 0) below.calls->sleep_ns(ctx, sync_ns);
    return below.calls->sync(ctx, fd);
}

static void open_ward(struct ward *w)
{
    const struct db_world world = {
        .sys = {&w->calls, w->below.ctx}, .page_bytes = 256, .log_bytes_least = 16384, .seed = 1};
    expect_ok(db_open_in(&world, "db", &w->options, &w->db));
}

static void reopen(struct ward *w)
{
    expect_ok(loam_close(w->db));
    open_ward(w);
}

static int make_ward(void **state)
{
    struct ward *w = calloc(1, sizeof *w);
    w->disk = simdisk_new(1);
    w->below = below = simdisk_table(w->disk);
    w->calls = *w->below.calls;
    w->calls.sync = slow_sync;
    sync_ns = 0;
    w->options = fixture_options();
    w->options.memory_bytes = 16 << 20;
    w->options.memtable_bytes = 256 << 10;
    open_ward(w);
    *state = w;
    return 0;
}

static int end_ward(void **state)
{
    struct ward *w = *state;
    const loam_status rc = loam_close(w->db);
    simdisk_free(w->disk);
    free(w);
    return rc == LOAM_OK ? 0 : -1;
}

static void put_some(struct ward *w, loam_coll *coll, int from, int to, size_t len)
{
    static const char bytes[400];
    for (int i = from; i < to; i++) {
        char text[16];
        snprintf(text, sizeof text, "k%06d", i);
        expect_ok(loam_put(w->db, coll, loam_str(text), loam_bytes(bytes, len)));
    }
}

/* The names of all advice, joined by blanks. */
static const char *advice(struct ward *w)
{
    static char names[400];
    struct told told = {0};
    names[0] = '\0';
    expect_ok(loam_doctor(w->db, told_take, &told));
    const char *verdict = told_line(&told, "verdict", 0);
    for (unsigned i = 0; told_line(&told, "advice", i) != NULL; i++) {
        const char *line = told_line(&told, "advice", i);
        const char *name = strstr(line, "name=") + 5;
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.*s", i > 0 ? " " : "",
                 (int)strcspn(name, "|"), name);
        assert_true(strstr(line, "text=") != NULL && strstr(line, "remedy=") != NULL);
    }
    assert_int_equal(told_number(verdict, "advice"), told_count(&told, "advice"));
    assert_int_equal(told_number(verdict, "healthy"), names[0] == '\0');
    assert_int_equal(told_count(&told, "machine"), 1);
    assert_int_equal(told_count(&told, "settings"), 1);
    told_free(&told);
    return names;
}

static void a_healthy_store_needs_nothing(void **state)
{
    struct ward *w = *state;
    assert_string_equal(advice(w), "");
    put_some(w, NULL, 0, 3000, 100);
    expect_ok(loam_flush(w->db, NULL));
    assert_string_equal(advice(w), "");
    w->options.read_only = true;
    reopen(w);
    assert_string_equal(advice(w), "");
}

static void limits_of_the_system_are_seen(void **state)
{
    struct ward *w = *state;
    put_some(w, NULL, 0, 1000, 100);
    expect_ok(loam_flush(w->db, NULL));
    simdisk_set_limit(w->disk, SYS_LIMIT_FILES, 64);
    assert_string_equal(advice(w), "files_limit");
    simdisk_set_limit(w->disk, SYS_LIMIT_FILES, 65);
    assert_string_equal(advice(w), "");
    simdisk_set_limit(w->disk, SYS_LIMIT_FILE_BYTES, 20000);
    assert_string_equal(advice(w), "file_size_limit");
    simdisk_set_limit(w->disk, SYS_LIMIT_FILE_BYTES, UINT64_MAX);
    simdisk_full(w->disk, simdisk_used(w->disk) + (100 << 10));
    assert_string_equal(advice(w), "disk_room");
    simdisk_full(w->disk, 0);
    simdisk_set_memory_bytes(w->disk, 17 << 20);
    assert_string_equal(advice(w), "memory_above_machine");
}

static void a_full_disk_is_no_failure(void **state)
{
    struct ward *w = *state;
    w->options.durability = LOAM_DURABLE_COMMIT;
    reopen(w);
    simdisk_full(w->disk, simdisk_used(w->disk));
    assert_string_equal(advice(w), "disk_room");
    simdisk_full(w->disk, 0);
}

static void what_is_held_is_seen_and_by_whom(void **state)
{
    struct ward *w = *state;
    loam_snapshot *snap;
    put_some(w, NULL, 0, 300, 100);
    expect_ok(loam_snapshot_open(w->db, &snap));
    for (int i = 0; i < 300; i++) {
        char text[16];
        snprintf(text, sizeof text, "k%06d", i);
        expect_ok(loam_delete(w->db, NULL, loam_str(text)));
    }
    expect_ok(loam_flush(w->db, NULL));
    assert_string_equal(advice(w), "tombstones_held");
    w->calls.sleep_ns(w->below.ctx, UINT64_C(11) * 60 * 1000000000);
    assert_string_equal(advice(w), "old_snapshot tombstones_held");
    loam_snapshot_close(snap);
    assert_string_equal(advice(w), "");
}

static void settings_that_do_not_fit_are_seen(void **state)
{
    struct ward *w = *state;
    w->options.filter_bits_per_key = LOAM_NO_FILTER;
    reopen(w);
    put_some(w, NULL, 0, 100, 100);
    expect_ok(loam_flush(w->db, NULL));
    assert_string_equal(advice(w), "");
    put_some(w, NULL, 0, 100, 100);
    expect_ok(loam_flush(w->db, NULL));
    assert_string_equal(advice(w), "no_filters");
    w->options.filter_bits_per_key = 10;
    w->options.durability = LOAM_DURABLE_COMMIT;
    sync_ns = 50000000;
    reopen(w);
    assert_string_equal(advice(w), "slow_sync");
    sync_ns = 0;
    assert_string_equal(advice(w), "");
}

static void small_memtables_under_much_data_are_seen(void **state)
{
    struct ward *w = *state;
    put_some(w, NULL, 0, 8000, 400);
    expect_ok(loam_compact(w->db, NULL, NULL));
    assert_string_equal(advice(w), "");
    w->options.memtable_bytes = 16 << 10;
    w->options.memory_bytes = 4 << 20;
    w->options.runs_per_level = 1;
    reopen(w);
    assert_string_equal(advice(w), "memtable_small");
}

static void runs_that_nobody_merges_are_seen(void **state)
{
    struct ward *w = *state;
    for (int i = 0; i < 4; i++) {
        put_some(w, NULL, 0, 400, 200);
        expect_ok(loam_flush(w->db, NULL));
    }
    assert_string_equal(advice(w), "");
    w->options.runs_per_level = 1;
    w->options.read_only = true;
    reopen(w);
    assert_string_equal(advice(w), "runs_many");
    w->options.memtable_bytes = 16 << 10;
    reopen(w);
    assert_string_equal(advice(w), "merge_debt runs_many");
}

static void many_tiny_collections_are_seen(void **state)
{
    struct ward *w = *state;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        expect_ok(loam_create(w->db, name, NULL, NULL));
    }
    assert_string_equal(advice(w), "tiny_collections");
}

static void tables_that_clones_share_are_counted_once(void **state)
{
    struct ward *w = *state;
    struct told told = {0};
    put_some(w, NULL, 0, 100, 100);
    expect_ok(loam_clone(w->db, "default", "clone", NULL));
    for (int again = 0; again < 2; again++) {
        expect_ok(loam_doctor(w->db, told_take, &told));
        assert_int_equal(told_number(told_line(&told, "store", 0), "tables"), 1);
        assert_int_equal(told_number(told_line(&told, "store", 0), "collections"), 2);
        told_free(&told);
    }
}

static size_t combine(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    (void)ctx, (void)older;
    memcpy(result, newer.data, newer.len);
    return newer.len;
}

static void an_operator_that_is_missing_is_named(void **state)
{
    struct ward *w = *state;
    const loam_merge_operator latest = {"latest", combine, NULL};
    loam_coll_options options = loam_coll_options_default();
    w->options.merge_operators = &latest;
    w->options.merge_operator_count = 1;
    reopen(w);
    options.merge_operator = "latest";
    expect_ok(loam_create(w->db, "c", &options, NULL));
    assert_string_equal(advice(w), "");
    w->options.merge_operator_count = 0;
    reopen(w);
    assert_string_equal(advice(w), "operator_unknown");
}

static void a_fenced_store_says_why(void **state)
{
    struct ward *w = *state;
    w->options.durability = LOAM_DURABLE_COMMIT;
    reopen(w);
    simdisk_fail_at(w->disk, 1, 5, true);
    expect_status(LOAM_IOERR, loam_put(w->db, NULL, loam_str("k"), loam_str("v")));
    simdisk_fail_at(w->disk, 0, 0, false);
    assert_string_equal(advice(w), "fenced");
    simdisk_kill(w->disk);
    const loam_status rc = loam_close(w->db);
    (void)rc;
    open_ward(w);
}

static void a_long_log_is_seen_where_it_is_read_again_and_again(void **state)
{
    struct ward *w = *state;
    put_some(w, NULL, 0, 500, 400);
    simdisk_kill(w->disk);
    const loam_status rc = loam_close(w->db);
    (void)rc;
    w->options.read_only = true;
    w->options.memtable_bytes = 32 << 10;
    open_ward(w);
    assert_string_equal(advice(w), "log_long");
    w->options.read_only = false;
    reopen(w);
    expect_ok(loam_flush(w->db, NULL));
    w->options.read_only = true;
    reopen(w);
    assert_string_equal(advice(w), "");
}

static void damage_and_stray_files_are_told_apart(void **state)
{
    struct ward *w = *state;
    struct told told = {0};
    uint64_t len;
    put_some(w, NULL, 0, 300, 100);
    expect_ok(loam_flush(w->db, NULL));
    w->options.read_only = true;
    reopen(w);
    const int dir = w->calls.open_dir(w->below.ctx, "db");
    const int fd = w->calls.open(w->below.ctx, dir, "notes.txt", SYS_CREATE);
    assert_true(dir >= 0 && fd >= 0);
    expect_ok(loam_doctor(w->db, told_take, &told));
    assert_int_equal(told_count(&told, "damage"), 0);
    assert_true(told_is(told_line(&told, "note", 0), "name", "stray_file"));
    assert_int_equal(told_number(told_line(&told, "verdict", 0), "healthy"), 1);
    told_free(&told);
    uint8_t *bytes = simdisk_bytes(w->disk, "db", "00000001-00000001.sst", &len);
    assert_non_null(bytes);
    bytes[len / 2] ^= 1;
    expect_failure(LOAM_CORRUPT, "damaged", loam_doctor(w->db, told_take, &told));
    assert_true(strstr(told_line(&told, "damage", 0), "00000001-00000001.sst") != NULL);
    assert_int_equal(told_number(told_line(&told, "verdict", 0), "damage"),
                     told_count(&told, "damage"));
    told_free(&told);
}

#define in_ward(test) cmocka_unit_test_setup_teardown(test, make_ward, end_ward)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_ward(a_healthy_store_needs_nothing),
        in_ward(limits_of_the_system_are_seen),
        in_ward(a_full_disk_is_no_failure),
        in_ward(what_is_held_is_seen_and_by_whom),
        in_ward(settings_that_do_not_fit_are_seen),
        in_ward(small_memtables_under_much_data_are_seen),
        in_ward(runs_that_nobody_merges_are_seen),
        in_ward(many_tiny_collections_are_seen),
        in_ward(tables_that_clones_share_are_counted_once),
        in_ward(an_operator_that_is_missing_is_named),
        in_ward(a_fenced_store_says_why),
        in_ward(a_long_log_is_seen_where_it_is_read_again_and_again),
        in_ward(damage_and_stray_files_are_told_apart),
    };
    return cmocka_run_group_tests_name("unit/doctor", tests, NULL, NULL);
}
