/*
 * test_care.c - stats, flush, compact and verify.
 */
#include "../lib/fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static loam_stats stats_of(loam_db *db)
{
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(db, &stats));
    return stats;
}

static loam_coll_stats coll_stats_of(loam_db *db, loam_coll *coll)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(db, coll, &stats));
    return stats;
}

static void fill(struct fixture *f, unsigned from, unsigned count)
{
    char key[16];
    for (unsigned i = from; i < from + count; i++) {
        snprintf(key, sizeof key, "%08u", i);
        put_text(f->db, NULL, key, "a value that is neither long nor short");
    }
}

/* ---- stats ----------------------------------------------------------------------------------- */

static void stats_count_what_was_done(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    loam_batch *batch = loam_batch_new();
    const loam_stats before = stats_of(f->db);
    put_text(f->db, NULL, "key", "value");
    put_text(f->db, NULL, "key", "value");
    expect_ok(loam_delete(f->db, NULL, loam_str("key")));
    expect_status(LOAM_NOTFOUND, loam_get(f->db, NULL, loam_str("key"), &value));
    expect_ok(loam_batch_put(batch, NULL, loam_str("b"), loam_str("v")));
    expect_ok(loam_batch_delete(batch, NULL, loam_str("b")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_ok(loam_flush(f->db, NULL));
    const loam_stats after = stats_of(f->db);
    assert_int_equal(after.put_count - before.put_count, 3);
    assert_int_equal(after.delete_count - before.delete_count, 2);
    assert_int_equal(after.get_count - before.get_count, 1);
    assert_int_equal(after.flush_count - before.flush_count, 1);
    assert_int_equal(after.user_written_bytes - before.user_written_bytes, 8 + 8 + 3 + 2 + 1);
    assert_true(after.log_written_bytes > before.log_written_bytes);
    assert_true(after.disk_written_bytes >= after.log_written_bytes);
    assert_true(after.disk_bytes > 0);
    assert_int_equal(after.fenced, LOAM_OK);
    assert_null(after.stall_reason);
    loam_batch_free(batch);
}

static void expect_latency(loam_latency latency, uint64_t count)
{
    assert_int_equal(latency.count, count);
    if (count == 0) return;
    assert_true(latency.p50_ns > 0);
    assert_true(latency.p50_ns <= latency.p99_ns && latency.p99_ns <= latency.p999_ns);
    assert_true(latency.p999_ns <= latency.max_ns);
}

static void latencies_are_those_of_one_in_64(void **state)
{
    struct fixture *f = *state;
    loam_iter *it;
    loam_buf value = {0};
    const loam_stats none = stats_of(f->db);
    expect_latency(none.get_latency, 0);
    expect_latency(none.seek_latency, 0);
    for (int i = 0; i < 6400; i++)
        put_text(f->db, NULL, "key", "value");
    for (int i = 0; i < 6400; i++)
        expect_ok(loam_get(f->db, NULL, loam_str("key"), &value));
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    for (int i = 0; i < 640; i++) {
        expect_ok(loam_iter_seek(it, loam_str("k")));
        expect_ok(loam_iter_last(it));
    }
    loam_iter_close(it);
    loam_buf_free(&value);
    const loam_stats stats = stats_of(f->db);
    expect_latency(stats.write_latency, 100);
    expect_latency(stats.get_latency, 100);
    expect_latency(stats.seek_latency, 20);
}

static void at_most_struct_size_bytes_are_written(void **state)
{
    struct fixture *f = *state;
    union {
        loam_stats known;
        unsigned char bytes[sizeof(loam_stats) + 16];
    } stats;
    put_text(f->db, NULL, "k", "v");
    for (size_t size = sizeof(size_t); size <= sizeof stats; size += 8) {
        memset(&stats, 0xaa, sizeof stats);
        stats.known.struct_size = size;
        expect_ok(loam_stats_get(f->db, &stats.known));
        assert_int_equal(stats.known.struct_size, size);
        for (size_t at = size; at < sizeof stats; at++)
            assert_int_equal(stats.bytes[at], 0xaa);
    }
    stats.known.struct_size = 0;
    expect_failure(LOAM_INVALID, "struct_size", loam_stats_get(f->db, &stats.known));
    loam_coll_stats coll_stats = {.struct_size = 0};
    expect_status(LOAM_INVALID, loam_coll_stats_get(f->db, NULL, &coll_stats));
}

static void collection_stats_estimate_entries_and_bytes(void **state)
{
    struct fixture *f = *state;
    fill(f, 0, 5000);
    loam_coll_stats stats = coll_stats_of(f->db, NULL);
    assert_int_equal(stats.entry_count, 5000);
    assert_true(stats.bytes >= 5000 * (8 + 38));
    assert_int_equal(stats.level[0].run_count, 0);
    expect_ok(loam_flush(f->db, NULL));
    fill(f, 5000, 10);
    stats = coll_stats_of(f->db, NULL);
    assert_int_equal(stats.entry_count, 5010);
    uint64_t runs = 0, tables = 0;
    for (int level = 0; level < LOAM_LEVELS_MAX; level++) {
        runs += stats.level[level].run_count;
        tables += stats.level[level].table_count;
    }
    assert_int_equal(runs, 1);
    assert_true(tables >= 1);
}

/* ---- flush and compact ------------------------------------------------------------------------- */

static void flush_turns_the_memtable_into_a_table_and_waits(void **state)
{
    struct fixture *f = *state;
    char path[512];
    put_text(f->db, NULL, "k", "v");
    assert_false(fixture_find_file(f, ".sst", path));
    expect_ok(loam_flush(f->db, NULL));
    assert_true(fixture_find_file(f, ".sst", path));
    assert_true(coll_stats_of(f->db, NULL).level[0].run_count > 0);
    expect_text(f->db, NULL, "k", "v");
    const uint64_t flushes = stats_of(f->db).flush_count;
    expect_ok(loam_flush(f->db, NULL)); /* nothing to do */
    assert_int_equal(stats_of(f->db).flush_count, flushes);
}

static void compact_makes_one_run_and_forgets_what_is_hidden(void **state)
{
    struct fixture *f = *state;
    char key[16];
    for (int round = 0; round < 5; round++) {
        fill(f, 0, 2000);
        expect_ok(loam_flush(f->db, NULL));
    }
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        expect_ok(loam_delete(f->db, NULL, loam_str(key)));
    }
    expect_ok(loam_compact(f->db, NULL, NULL));
    const loam_coll_stats stats = coll_stats_of(f->db, NULL);
    uint64_t runs = 0;
    for (int level = 0; level < LOAM_LEVELS_MAX; level++)
        runs += stats.level[level].run_count;
    assert_int_equal(runs, 1);
    assert_int_equal(stats.level[LOAM_LEVELS_MAX - 1].run_count, 1);
    assert_int_equal(stats.entry_count, 1000);
    expect_text(f->db, NULL, "00000999", NULL);
    expect_text(f->db, NULL, "00001000", "a value that is neither long nor short");
    fixture_reopen(f);
    expect_text(f->db, NULL, "00000999", NULL);
    expect_text(f->db, NULL, "00001999", "a value that is neither long nor short");
}

static void compact_takes_a_range(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.from = loam_str("0"), .to = loam_str("00000500")};
    const loam_range beyond = {.prefix = loam_str("x")}, before = {.prefix = loam_str("-")};
    const loam_range within = {.prefix = loam_str("000003")};
    const loam_range bad = {.flags = 1u << 7};
    fill(f, 0, 1000);
    expect_ok(loam_compact(f->db, NULL, &range));
    expect_ok(loam_compact(f->db, NULL, &beyond));
    expect_ok(loam_compact(f->db, NULL, &before));
    expect_ok(loam_compact(f->db, NULL, &within));
    expect_text(f->db, NULL, "00000001", "a value that is neither long nor short");
    expect_status(LOAM_INVALID, loam_compact(f->db, NULL, &bad));
}

static void an_empty_collection_flushes_and_compacts(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_compact(f->db, coll, NULL));
    put_text(f->db, coll, "k", "v");
    expect_ok(loam_delete(f->db, coll, loam_str("k")));
    expect_ok(loam_compact(f->db, coll, NULL));
    assert_int_equal(coll_stats_of(f->db, coll).entry_count, 0);
}

/* ---- verify ------------------------------------------------------------------------------------- */

struct faults {
    unsigned count;
    char text[1024];
};

static void take_fault(void *ctx, const char *text)
{
    struct faults *faults = ctx;
    if (faults->count++ == 0) snprintf(faults->text, sizeof faults->text, "%s", text);
}

static void a_sound_store_verifies_open_and_closed(void **state)
{
    struct fixture *f = *state;
    struct faults faults = {0};
    loam_coll *coll;
    fill(f, 0, 3000);
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    expect_ok(loam_flush(f->db, NULL));
    put_text(f->db, coll, "k", "v");
    fill(f, 1000, 100);
    expect_ok(loam_verify_open(f->db, take_fault, &faults));
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    fixture_close(f);
    char *before = fixture_listing(f->store);
    expect_ok(loam_verify(f->store, take_fault, &faults));
    expect_ok(loam_verify(f->store, NULL, NULL));
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    assert_int_equal(faults.count, 0);
    free(before);
    free(after);
}

static void a_damaged_table_is_named_open_and_closed(void **state)
{
    struct fixture *f = *state;
    struct faults faults = {0};
    char path[512];
    fill(f, 0, 5000);
    expect_ok(loam_compact(f->db, NULL, NULL));
    put_text(f->db, NULL, "in the log", "v");
    assert_true(fixture_find_file(f, ".sst", path));
    const char *name = strrchr(path, '/') + 1;
    fixture_flip_byte(path, 5000);
    expect_failure(LOAM_CORRUPT, f->store, loam_verify_open(f->db, take_fault, &faults));
    assert_true(faults.count > 0);
    assert_non_null(strstr(faults.text, name));
    expect_text(f->db, NULL, "in the log", "v");
    fixture_close(f);
    memset(&faults, 0, sizeof faults);
    expect_status(LOAM_CORRUPT, loam_verify(f->store, take_fault, &faults));
    assert_true(faults.count > 0);
    assert_non_null(strstr(faults.text, name));
    expect_status(LOAM_CORRUPT, loam_verify(f->store, NULL, NULL));
}

static void a_damaged_log_or_manifest_is_named(void **state)
{
    struct fixture *f = *state;
    static const char *const endings[] = {".wal", ".manifest"};
    char path[512];
    fill(f, 0, 200);
    fixture_close(f);
    for (size_t i = 0; i < 2; i++) {
        struct faults faults = {0};
        assert_true(fixture_find_file(f, endings[i], path));
        fixture_flip_byte(path, 8192 + 40);
        expect_status(LOAM_CORRUPT, loam_verify(f->store, take_fault, &faults));
        assert_int_equal(faults.count, 1);
        assert_non_null(strstr(faults.text, strrchr(path, '/') + 1));
        fixture_flip_byte(path, 8192 + 40);
        expect_ok(loam_verify(f->store, take_fault, &faults));
    }
}

static void verifying_what_is_no_store_is_a_failure_and_creates_nothing(void **state)
{
    struct fixture *f = *state;
    expect_status(LOAM_IOERR, loam_verify(fixture_path(f, "missing"), NULL, NULL));
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_not_equal(access(fixture_path(f, "missing"), F_OK), 0);
    expect_status(LOAM_LOCKED, loam_verify(f->store, NULL, NULL)); /* it is open here */
}

static void a_damaged_table_is_never_answered_from(void **state)
{
    struct fixture *f = *state;
    char path[512], key[16];
    unsigned corrupt = 0;
    loam_buf value = {0};
    fill(f, 0, 5000);
    expect_ok(loam_compact(f->db, NULL, NULL));
    fixture_close(f);
    assert_true(fixture_find_file(f, ".sst", path));
    fixture_flip_byte(path, 5000);
    fixture_open(f, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        const loam_status rc = loam_get(f->db, NULL, loam_str(key), &value);
        if (rc == LOAM_CORRUPT) {
            corrupt++;
            expect_message(strrchr(path, '/') + 1);
            continue;
        }
        expect_ok(rc);
        assert_int_equal(value.len, 38);
        assert_memory_equal(value.data, "a value that is neither long nor short", 38);
    }
    assert_true(corrupt > 0 && corrupt < 5000);
    loam_buf_free(&value);
}

static void note_giving_up(void *ctx, loam_log_level level, const char *text)
{
    _Atomic unsigned *times = ctx;
    if (level == LOAM_LOG_ERROR && strstr(text, "gives up") != NULL && strstr(text, ".sst") != NULL)
        atomic_fetch_add(times, 1);
}

/* It neither tries again for ever nor stops the store: what is sound is read, and new writes are taken. */
static void a_merge_that_meets_damage_gives_up_once_and_says_so(void **state)
{
    struct fixture *f = *state;
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    _Atomic unsigned times = 0;
    loam_options options = fixture_options();
    char path[512];
    options.runs_per_level = 2;
    options.log = note_giving_up;
    options.log_ctx = &times;
    fill(f, 0, 5000);
    expect_ok(loam_flush(f->db, NULL));
    fixture_close(f);
    assert_true(fixture_find_file(f, ".sst", path));
    fixture_flip_byte(path, 5000);
    fixture_open(f, &options);
    for (unsigned round = 1; round < 5; round++) {
        fill(f, round * 10000, 5000);
        expect_ok(loam_flush(f->db, NULL));
    }
    for (unsigned waits = 0; atomic_load(&times) == 0 && waits < 3000; waits++)
        nanosleep(&pause, NULL);
    assert_int_equal(atomic_load(&times), 1);
    expect_failure(LOAM_CORRUPT, strrchr(path, '/') + 1, loam_compact(f->db, NULL, NULL));
    assert_int_equal(stats_of(f->db).fenced, LOAM_OK);
    put_text(f->db, NULL, "new", "value");
    expect_text(f->db, NULL, "new", "value");
    expect_text(f->db, NULL, "00024999", "a value that is neither long nor short");
}

/* ---- estimates ------------------------------------------------------------------------------- */

static void expect_about(struct fixture *f, const loam_range *range, uint64_t count, uint64_t off)
{
    uint64_t entry_count, bytes;
    expect_ok(loam_estimate(f->db, NULL, range, &entry_count, &bytes));
    assert_in_range(entry_count, count > off ? count - off : 0, count + off);
    assert_in_range(bytes, (count > off ? count - off : 0) * 110, (count + off) * 110);
}

static void an_estimate_is_near_without_reading(void **state)
{
    enum { COUNT = 20000 };
    struct fixture *f = *state;
    char key[16];
    char value[100] = {0};
    expect_about(f, NULL, 0, 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key %06d", i * 7919 % COUNT);
        expect_ok(loam_put(f->db, NULL, loam_str(key), loam_bytes(value, sizeof value)));
    }
    const loam_range some = {.from = loam_str("key 005000"), .to = loam_str("key 015000")};
    const loam_range few = {.from = loam_str("key 007000"), .to = loam_str("key 007010")};
    const loam_range tail = {.from = loam_str("key 019990")};
    const loam_range prefix = {.prefix = loam_str("key 01")};
    const loam_range none = {.prefix = loam_str("kez")};
    const loam_range turned = {.from = loam_str("key 015000"), .to = loam_str("key 005000")};
    for (int round = 0; round < 3; round++) { /* in memory, in a table, in a merged one */
        if (round == 1) expect_ok(loam_flush(f->db, NULL));
        if (round == 2) expect_ok(loam_compact(f->db, NULL, NULL));
        expect_about(f, NULL, COUNT, COUNT / 50);
        expect_about(f, &some, COUNT / 2, COUNT / 20);
        expect_about(f, &few, 10, 400);
        expect_about(f, &tail, 10, 400);
        expect_about(f, &prefix, COUNT / 2, COUNT / 20);
        expect_about(f, &none, 0, 400);
        expect_about(f, &turned, 0, 0);
    }
    const loam_range wrong = {.flags = 8};
    expect_status(LOAM_INVALID, loam_estimate(f->db, NULL, &wrong, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(stats_count_what_was_done),
        test_open(latencies_are_those_of_one_in_64),
        test_open(at_most_struct_size_bytes_are_written),
        test_open(collection_stats_estimate_entries_and_bytes),
        test_open(flush_turns_the_memtable_into_a_table_and_waits),
        test_open(compact_makes_one_run_and_forgets_what_is_hidden),
        test_open(compact_takes_a_range),
        test_open(an_empty_collection_flushes_and_compacts),
        test_open(a_sound_store_verifies_open_and_closed),
        test_open(a_damaged_table_is_named_open_and_closed),
        test_open(a_damaged_log_or_manifest_is_named),
        test_open(verifying_what_is_no_store_is_a_failure_and_creates_nothing),
        test_open(a_damaged_table_is_never_answered_from),
        test_open(a_merge_that_meets_damage_gives_up_once_and_says_so),
        test_open(an_estimate_is_near_without_reading),
    };
    return cmocka_run_group_tests_name("api/care", tests, NULL, NULL);
}
