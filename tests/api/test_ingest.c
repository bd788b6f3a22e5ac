/*
 * test_ingest.c - bulk loads: what they hold, in whatever order it came, and how they meet all else.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 20000 };

static loam_slice key_of(char text[static 16], int i)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "%08d", i));
}

static loam_ingest *begin(struct fixture *f, loam_coll *coll)
{
    loam_ingest *ingest;
    expect_ok(loam_ingest_begin(f->db, coll, &ingest));
    return ingest;
}

static void put(loam_ingest *ingest, const char *key, const char *value)
{
    expect_ok(loam_ingest_put(ingest, loam_str(key), loam_str(value)));
}

static void commit(loam_ingest *ingest)
{
    expect_ok(loam_ingest_commit(ingest));
    loam_ingest_close(ingest);
}

/* count keys, from `from` on in steps, each with the value. */
static void put_many(loam_ingest *ingest, int count, int step, const char *value)
{
    char text[16];
    for (int i = 0; i < count; i++)
        expect_ok(loam_ingest_put(ingest, key_of(text, (int)((int64_t)i * step % count)),
                                  loam_str(value)));
}

static void load(struct fixture *f, loam_coll *coll, int count, int step, const char *value)
{
    loam_ingest *ingest = begin(f, coll);
    put_many(ingest, count, step, value);
    commit(ingest);
}

static size_t count_of(struct fixture *f, loam_coll *coll, const loam_snapshot *at,
                       const char *value)
{
    size_t found = 0;
    loam_iter *it;
    const loam_range range = {.at = at};
    expect_ok(loam_iter_open(f->db, coll, &range, &it));
    while (loam_iter_next(it) == LOAM_OK) {
        const loam_slice got = loam_iter_value(it);
        found += got.len == strlen(value) && memcmp(got.data, value, got.len) == 0;
    }
    loam_iter_close(it);
    return found;
}

static loam_coll_stats stats_of(struct fixture *f, loam_coll *coll)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(f->db, coll, &stats));
    return stats;
}

static loam_coll *create(struct fixture *f, const char *name)
{
    loam_coll *coll;
    expect_ok(loam_create(f->db, name, NULL, &coll));
    return coll;
}

/* ---- what it holds --------------------------------------------------------------------------- */

static void what_came_in_order_is_there_at_once_and_in_the_last_level(void **state)
{
    struct fixture *f = *state;
    loam_ingest *ingest = begin(f, NULL);
    put_many(ingest, KEYS, 1, "v");
    assert_int_equal(count_of(f, NULL, NULL, "v"), 0);
    commit(ingest);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(f, NULL, NULL, "v"), KEYS);
        assert_int_equal(stats_of(f, NULL).level[7].run_count, 1);
        assert_int_equal(stats_of(f, NULL).level[0].run_count, 0);
        assert_int_equal(stats_of(f, NULL).entry_count, KEYS);
        expect_text(f->db, NULL, "00000000", "v");
        expect_text(f->db, NULL, "00019999", "v");
        expect_text(f->db, NULL, "00020000", NULL);
        fixture_reopen(f);
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

/* More than the buffer of 256 KiB takes, and so often that spills are merged. */
static void what_came_in_any_order_is_sorted_and_the_last_of_a_key_counts(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    char value[300];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    options.memory_bytes = 4 << 20;
    fixture_open(f, &options);
    loam_ingest *ingest = begin(f, NULL);
    put_many(ingest, KEYS, 7919, "old");
    put_many(ingest, KEYS, KEYS - 1, value);
    put(ingest, "00000003", "early");
    put(ingest, "00000003", "late");
    commit(ingest);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(f, NULL, NULL, value), KEYS - 1);
        assert_int_equal(count_of(f, NULL, NULL, "old"), 0);
        expect_text(f->db, NULL, "00000003", "late");
        assert_int_equal(stats_of(f, NULL).entry_count, KEYS);
        fixture_reopen(f);
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void entries_larger_than_pages(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 300000, COUNT = 12 };
    for (int step = 1; step <= 5; step += 4) {
        loam_ingest *ingest = begin(f, NULL);
        loam_buf buf = {0};
        char text[16];
        for (int i = 0; i < COUNT; i++) {
            const int at = i * step % COUNT;
            uint8_t *bytes = fixture_bytes(LARGE + (size_t)at, (uint64_t)(step + at));
            expect_ok(
                loam_ingest_put(ingest, key_of(text, at), loam_bytes(bytes, LARGE + (size_t)at)));
            free(bytes);
        }
        commit(ingest);
        for (int i = 0; i < COUNT; i++) {
            uint8_t *bytes = fixture_bytes(LARGE + (size_t)i, (uint64_t)(step + i));
            expect_ok(loam_get(f->db, NULL, key_of(text, i), &buf));
            assert_int_equal(buf.len, LARGE + i);
            assert_memory_equal(buf.data, bytes, buf.len);
            free(bytes);
        }
        loam_buf_free(&buf);
    }
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void nothing_and_what_is_given_up_leave_nothing(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_flush(f->db, NULL));
    commit(begin(f, NULL));
    loam_ingest_close(NULL);
    const size_t files = fixture_file_count(f->store);
    loam_ingest *ingest = begin(f, NULL);
    put_many(ingest, KEYS, 7, "v");
    loam_ingest_close(ingest);
    assert_int_equal(fixture_file_count(f->store), files);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "k");
    load(f, create(f, "c"), 100, 3, "v"); /* what was sorted in files is gone as well */
    assert_int_equal(fixture_file_count(f->store), files + 1);
}

/* ---- over what is there ---------------------------------------------------------------------- */

static void it_replaces_what_is_older_and_is_replaced_by_what_is_newer(void **state)
{
    struct fixture *f = *state;
    const loam_range all = {.from = loam_str("0")}, some = {.from = loam_str("00000500")};
    put_text(f->db, NULL, "00000001", "before");
    put_text(f->db, NULL, "other", "before");
    expect_ok(loam_delete(f->db, NULL, loam_str("00000002")));
    expect_ok(loam_delete_range(f->db, NULL, &all)); /* what is newer is not hidden by it */
    put_text(f->db, NULL, "other", "before");
    load(f, NULL, 1000, 1, "first");
    load(f, NULL, 1000, 3, "second");
    assert_int_equal(count_of(f, NULL, NULL, "second"), 1000);
    expect_text(f->db, NULL, "other", "before");
    put_text(f->db, NULL, "00000001", "after");
    expect_ok(loam_delete(f->db, NULL, loam_str("00000002")));
    expect_ok(loam_delete_range(f->db, NULL, &some));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(count_of(f, NULL, NULL, "second"), 498);
        expect_text(f->db, NULL, "00000001", "after");
        expect_text(f->db, NULL, "00000002", NULL);
        expect_text(f->db, NULL, "other", NULL);
        if (round == 1) expect_ok(loam_compact(f->db, NULL, NULL));
        fixture_reopen(f);
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void operands_over_it_join_and_under_it_are_gone(void **state)
{
    struct fixture *f = *state;
    const loam_coll_options options = {.struct_size = sizeof options, .merge_operator = "append"};
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", &options, &coll));
    expect_ok(loam_merge(f->db, coll, loam_str("k"), loam_str("gone")));
    loam_ingest *ingest = begin(f, coll);
    put(ingest, "k", "a");
    expect_ok(loam_merge(f->db, coll, loam_str("k"), loam_str(", too")));
    commit(ingest);
    expect_ok(loam_merge(f->db, coll, loam_str("k"), loam_str("b")));
    for (int round = 0; round < 3; round++) {
        expect_text(f->db, coll, "k", "ab");
        if (round == 1) expect_ok(loam_compact(f->db, coll, NULL));
        fixture_reopen(f);
        expect_ok(loam_collection(f->db, "c", &coll));
    }
}

static void entries_expire_as_they_were_put(void **state)
{
    struct fixture *f = *state;
    const loam_coll_options options = {.struct_size = sizeof options, .ttl_ms = 1};
    loam_coll *coll;
    expect_ok(loam_create(f->db, "c", &options, &coll));
    loam_ingest *ingest = begin(f, coll);
    expect_ok(loam_ingest_put_ttl(ingest, loam_str("a"), loam_str("v"), 0));
    put(ingest, "b", "gone");
    expect_ok(loam_ingest_put_ttl(ingest, loam_str("c"), loam_str("v"), 3600000));
    expect_ok(loam_ingest_put_ttl(ingest, loam_str("a2"), loam_str("gone"), 1));
    commit(ingest);
    loam_lookup lookup = {.key = loam_str("c")};
    while (loam_exists(f->db, coll, loam_str("b")) == LOAM_OK) {
    }
    assert_string_equal(keys_forward(f->db, coll, NULL), "a c");
    expect_ok(loam_multi_get(f->db, coll, NULL, &lookup, 1, 0));
    assert_true(lookup.expires_ms > 0);
    loam_buf_free(&lookup.value);
    expect_ok(loam_compact(f->db, coll, NULL));
    assert_string_equal(keys_forward(f->db, coll, NULL), "a c");
}

/* ---- who reads ------------------------------------------------------------------------------- */

static void snapshots_and_iterators_from_before_do_not_see_it(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap, *between;
    loam_iter *it;
    put_text(f->db, NULL, "00000000", "old");
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    load(f, NULL, 1000, 1, "new");
    expect_ok(loam_snapshot_open(f->db, &between));
    load(f, NULL, 1000, 1, "newest");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(f, NULL, snap, "new"), 0);
        assert_int_equal(count_of(f, NULL, snap, "old"), 1);
        expect_text_at(f->db, NULL, snap, "00000000", "old");
        expect_text_at(f->db, NULL, snap, "00000001", NULL);
        assert_int_equal(count_of(f, NULL, between, "new"), 1000);
        assert_int_equal(count_of(f, NULL, NULL, "newest"), 1000);
        expect_ok(loam_compact(f->db, NULL, NULL));
    }
    expect_ok(loam_iter_first(it));
    assert_memory_equal(loam_iter_value(it).data, "old", 3);
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    loam_iter_close(it);
    loam_snapshot_close(snap);
    loam_snapshot_close(between);
}

static loam_status commit_after_reading(struct fixture *f, const char *key, bool range)
{
    loam_txn *txn;
    loam_iter *it;
    const loam_range read = {.from = loam_str(key), .to = loam_str("00000009")};
    expect_ok(loam_txn_begin(f->db, &txn));
    if (range) {
        expect_ok(loam_txn_iter_open(txn, NULL, &read, &it));
        expect_status(LOAM_NOTFOUND, loam_iter_next(it));
        loam_iter_close(it);
    } else {
        expect_status(LOAM_NOTFOUND, loam_txn_get(txn, NULL, loam_str(key), NULL));
    }
    expect_ok(loam_txn_put(txn, NULL, loam_str("z"), loam_str("z")));
    loam_ingest *ingest = begin(f, NULL);
    put(ingest, "00000003", "v");
    put(ingest, "00000005", "v");
    commit(ingest);
    const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
    loam_txn_close(txn);
    expect_ok(loam_delete_range(f->db, NULL, NULL));
    return rc;
}

static void a_transaction_conflicts_if_it_has_read_what_was_ingested(void **state)
{
    struct fixture *f = *state;
    expect_status(LOAM_CONFLICT, commit_after_reading(f, "00000003", false));
    expect_ok(commit_after_reading(f, "00000004", false));
    expect_status(LOAM_CONFLICT, commit_after_reading(f, "00000004", true));
    expect_ok(commit_after_reading(f, "00000006", true));
    loam_lookup lookup = {.key = loam_str("k")};
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_multi_get(f->db, NULL, NULL, &lookup, 1, 0));
    loam_ingest *ingest = begin(f, NULL);
    put(ingest, "k", "v");
    commit(ingest);
    const loam_if same = {.kind = LOAM_IF_SEQ, .seq = lookup.seq};
    expect_status(LOAM_CONFLICT,
                  loam_put_if(f->db, NULL, loam_str("k"), loam_str("w"), &same, NULL));
    loam_buf_free(&lookup.value);
}

/* ---- others beside it ------------------------------------------------------------------------ */

static void several_at_once_and_writers_beside_them(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll = create(f, "c");
    loam_ingest *first = begin(f, coll), *second = begin(f, coll), *other = begin(f, NULL);
    for (int i = 0; i < 3; i++) {
        loam_ingest *ingest = i == 0 ? first : i == 1 ? second : other;
        put_many(ingest, 500 * (i + 1), 7, i == 0 ? "first" : i == 1 ? "second" : "other");
        put_text(f->db, coll, "00000001", "beside");
    }
    commit(second);
    put_text(f->db, coll, "00000002", "beside");
    commit(first);
    commit(other);
    put_text(f->db, coll, "00000003", "beside");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(count_of(f, coll, NULL, "first"), 499);
        assert_int_equal(count_of(f, coll, NULL, "second"), 500);
        assert_int_equal(count_of(f, coll, NULL, "beside"), 1);
        assert_int_equal(count_of(f, NULL, NULL, "other"), 1500);
        if (round == 1) expect_ok(loam_compact(f->db, coll, NULL));
        fixture_reopen(f);
        expect_ok(loam_collection(f->db, "c", &coll));
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void clones_and_checkpoints_hold_what_was_ingested(void **state)
{
    struct fixture *f = *state;
    loam_coll *copy;
    load(f, NULL, 1000, 1, "v");
    load(f, NULL, 100, 1, "w");
    expect_ok(loam_clone(f->db, "default", "copy", &copy));
    loam_ingest *open = begin(f, NULL); /* is in no checkpoint */
    put_many(open, 1000, 3, "x");
    expect_ok(loam_checkpoint(f->db, fixture_path(f, "checkpoint"), NULL));
    commit(open);
    assert_int_equal(count_of(f, copy, NULL, "v"), 900);
    assert_int_equal(count_of(f, copy, NULL, "w"), 100);
    assert_int_equal(count_of(f, NULL, NULL, "x"), 1000);
    expect_ok(loam_compact(f->db, copy, NULL));
    assert_int_equal(count_of(f, copy, NULL, "w"), 100);
    fixture_close(f);
    loam_repair_stats found = {.struct_size = sizeof found};
    expect_ok(loam_repair(f->store, fixture_path(f, "repaired"), NULL, &found));
    const char *const dirs[] = {"checkpoint", "repaired"};
    for (int i = 0; i < 2; i++) {
        expect_ok(loam_verify(fixture_path(f, dirs[i]), NULL, NULL));
        expect_ok(loam_open(fixture_path(f, dirs[i]), NULL, &f->db));
        expect_ok(loam_collection(f->db, "copy", &copy));
        assert_int_equal(count_of(f, copy, NULL, "v"), 900);
        assert_int_equal(count_of(f, copy, NULL, "w"), 100);
        assert_int_equal(count_of(f, NULL, NULL, "x"), i == 0 ? 0 : 1000);
        fixture_close(f);
    }
}

static void a_dropped_collection_and_an_open_one_are_said(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll = create(f, "c");
    loam_ingest *ingest = begin(f, coll), *put_to = begin(f, coll);
    put(put_to, "k", "v");
    expect_ok(loam_drop(f->db, "c"));
    expect_failure(LOAM_MISUSE, "dropped", loam_ingest_put(ingest, loam_str("k"), loam_str("v")));
    expect_failure(LOAM_MISUSE, "dropped", loam_ingest_commit(put_to));
    expect_failure(LOAM_BUSY, "2 ingests", loam_close(f->db));
    loam_ingest_close(ingest);
    loam_ingest_close(put_to);
    expect_failure(LOAM_MISUSE, "dropped", loam_ingest_begin(f->db, coll, &ingest));
    assert_null(ingest);
}

static void misuse_is_answered(void **state)
{
    struct fixture *f = *state;
    static char bytes[65536];
    loam_ingest *ingest = begin(f, NULL);
    expect_status(LOAM_TOOBIG,
                  loam_ingest_put(ingest, loam_bytes(bytes, sizeof bytes), loam_str("v")));
    expect_status(LOAM_INVALID, loam_ingest_put(ingest, loam_bytes(NULL, 1), loam_str("v")));
    put(ingest, "", "the empty key");
    expect_ok(loam_ingest_commit(ingest));
    expect_failure(LOAM_MISUSE, "over", loam_ingest_put(ingest, loam_str("k"), loam_str("v")));
    expect_failure(LOAM_MISUSE, "over", loam_ingest_commit(ingest));
    loam_ingest_close(ingest);
    expect_text(f->db, NULL, "", "the empty key");
    expect_status(LOAM_INVALID, loam_ingest_put(NULL, loam_str("k"), loam_str("v")));
    expect_status(LOAM_INVALID, loam_ingest_commit(NULL));
    expect_status(LOAM_INVALID, loam_ingest_begin(f->db, NULL, NULL));
    fixture_close(f);
    loam_options options = fixture_options();
    options.read_only = true;
    fixture_open(f, &options);
    expect_status(LOAM_READONLY, loam_ingest_begin(f->db, NULL, &ingest));
}

static void statistics_count_it(void **state)
{
    struct fixture *f = *state;
    loam_stats stats = {.struct_size = sizeof stats};
    load(f, NULL, 1000, 1, "0123456789");
    expect_ok(loam_stats_get(f->db, &stats));
    assert_int_equal(stats.put_count, 1000);
    assert_int_equal(stats.user_written_bytes, 18000);
    assert_true(stats.disk_written_bytes > stats.log_written_bytes + 1000);
    assert_true(stats.log_written_bytes < 1000);
    uint64_t entries, bytes;
    expect_ok(loam_estimate(f->db, NULL, NULL, &entries, &bytes));
    assert_int_equal(entries, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(what_came_in_order_is_there_at_once_and_in_the_last_level),
        test_closed(what_came_in_any_order_is_sorted_and_the_last_of_a_key_counts),
        test_open(entries_larger_than_pages),
        test_open(nothing_and_what_is_given_up_leave_nothing),
        test_open(it_replaces_what_is_older_and_is_replaced_by_what_is_newer),
        test_open(operands_over_it_join_and_under_it_are_gone),
        test_open(entries_expire_as_they_were_put),
        test_open(snapshots_and_iterators_from_before_do_not_see_it),
        test_open(a_transaction_conflicts_if_it_has_read_what_was_ingested),
        test_open(several_at_once_and_writers_beside_them),
        test_open(clones_and_checkpoints_hold_what_was_ingested),
        test_open(a_dropped_collection_and_an_open_one_are_said),
        test_open(misuse_is_answered),
        test_open(statistics_count_it),
    };
    return cmocka_run_group_tests_name("api/ingest", tests, NULL, NULL);
}
