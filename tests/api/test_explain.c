/*
 * test_explain.c - what is told of a get, a scan and a put fits the store that the test made, and the answers are those of the calls.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "lib/last_words.h"
#include "lib/seeds.h"
#include "lib/told.h"

static struct told told; /* of the latest call */

/* Explains, and holds the answer to loam_get_at()'s. */
static void explain_at(loam_db *db, loam_coll *coll, const loam_snapshot *snap, loam_slice key)
{
    loam_buf value = {0};
    told_free(&told);
    const loam_status rc = loam_explain_get(db, coll, snap, key, told_take, &told);
    const loam_status want = loam_get_at(db, coll, snap, key, &value);
    assert_int_equal(rc, want);
    assert_string_equal(told_line(&told, "answer", 0), strstr(told.text, "answer|")); /* the last */
    assert_true(told_is(told_line(&told, "answer", 0), "status", loam_status_name(want)));
    if (want == LOAM_OK) {
        assert_int_equal(told.value.len, value.len);
        assert_memory_equal(told.value.data, value.data, value.len);
    }
    loam_buf_free(&value);
}

static void explain(struct fixture *f, const char *key)
{
    explain_at(f->db, NULL, NULL, loam_str(key));
}

static const char *answer(void)
{
    return told_line(&told, "answer", 0);
}

static const char *nth_key(char text[static 16], int i)
{
    snprintf(text, 16, "k%06d", i);
    return text;
}

/* k000000, k000002, ...: between two of them is a key that is not there. */
static void put_even(struct fixture *f, int count, const char *value)
{
    char text[16];
    for (int i = 0; i < count; i++)
        put_text(f->db, NULL, nth_key(text, 2 * i), value);
}

/* ---- a get -------------------------------------------------------------------------------------- */

static void a_key_in_the_memtable_is_found_there(void **state)
{
    struct fixture *f = *state;
    put_even(f, 10, "old");
    expect_ok(loam_flush(f->db, NULL));
    put_text(f->db, NULL, "k000004", "new");
    explain(f, "k000004");
    assert_int_equal(told_count(&told, "memtable"), 1);
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "value"));
    assert_true(told_is(told_line(&told, "memtable", 0), "state", "active"));
    assert_int_equal(told_count(&told, "run"), 0);
    assert_int_equal(told_number(answer(), "memtables_asked"), 1);
    assert_int_equal(told_number(answer(), "runs_asked"), 0);
    explain(f, "k000006"); /* and from there it goes on to the tables */
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "absent"));
    assert_true(told_is(told_line(&told, "run", 0), "outcome", "value"));
    assert_int_equal(told_number(told_line(&told, "run", 0), "level"), 0);
    assert_int_equal(told_number(answer(), "sequence"),
                     told_number(told_line(&told, "run", 0), "sequence"));
}

static void pages_come_from_the_disk_once_and_then_from_the_cache(void **state)
{
    struct fixture *f = *state;
    put_even(f, 2000, "v");
    expect_ok(loam_compact(f->db, NULL, NULL));
    fixture_reopen(f);
    explain(f, "k000100");
    assert_int_equal(told_number(told_line(&told, "run", 0), "level"), LOAM_LEVELS_MAX - 1);
    assert_true(told_is(told_line(&told, "run", 0), "filter", "maybe"));
    assert_true(told_is(told_line(&told, "page", 0), "from", "disk"));
    assert_true(told_is(told_line(&told, "page", 0), "outcome", "found"));
    assert_int_equal(told_number(answer(), "pages_read"), 1);
    explain(f, "k000100");
    assert_true(told_is(told_line(&told, "page", 0), "from", "cache"));
    assert_int_equal(told_number(answer(), "pages_cached"), 1);
    assert_int_equal(told_number(answer(), "pages_read"), 0);
}

static void a_filter_says_no_or_is_wrong(void **state)
{
    struct fixture *f = *state;
    char text[16];
    int no = 0, wrong = 0;
    loam_options options = fixture_options();
    options.filter_bits_per_key = 10; /* a locator is wrong too seldom */
    fixture_open(f, &options);
    put_even(f, 3000, "v");
    expect_ok(loam_compact(f->db, NULL, NULL));
    for (int i = 0; i < 2999 && (no == 0 || wrong == 0); i++) {
        explain(f, nth_key(text, 2 * i + 1));
        const char *run = told_line(&told, "run", 0);
        if (told_is(run, "filter", "no")) {
            assert_true(told_is(run, "outcome", "absent"));
            assert_int_equal(told_number(run, "pages"), 0);
            assert_int_equal(told_number(answer(), "filters_no"), 1);
            assert_int_equal(told_count(&told, "page"), 0);
            no++;
        } else {
            assert_true(told_is(run, "filter", "maybe"));
            assert_true(told_is(run, "outcome", "false_positive"));
            assert_true(told_is(told_line(&told, "page", 0), "outcome", "absent"));
            assert_int_equal(told_number(answer(), "false_positives"), 1);
            wrong++;
        }
        assert_true(told_is(answer(), "why", "no memtable and no table holds it"));
    }
    assert_true(no > 0 && wrong > 0);
    explain(f, "a"); /* before all of them */
    assert_true(told_is(told_line(&told, "run", 0), "outcome", "outside"));
    assert_int_equal(told_number(answer(), "runs_asked"), 0);
}

static void what_hides_a_key_is_named(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.from = loam_str("k000010"), .to = loam_str("k000020")};
    put_even(f, 50, "v");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_delete(f->db, NULL, loam_str("k000004")));
    expect_ok(loam_delete_range(f->db, NULL, &range));
    explain(f, "k000004");
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "tombstone"));
    assert_true(told_is(answer(), "why", "it was deleted"));
    explain(f, "k000012");
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "range_deletion"));
    assert_true(told_is(answer(), "why", "a deletion of a range holds the key"));
    loam_snapshot *snap;
    expect_ok(loam_snapshot_open(f->db, &snap)); /* keeps the run as it is */
    expect_ok(loam_flush(f->db, NULL));
    put_text(f->db, NULL, "k000014", "again");
    explain(f, "k000012");
    assert_int_equal(told_count(&told, "range_deletion"), 1);
    assert_non_null(told_find(&told, "run", "outcome", "deleted"));
    assert_true(told_is(answer(), "why", "a deletion of a range holds the key"));
    explain(f, "k000014");
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "value"));
    loam_snapshot_close(snap);
}

/* Its run holds something newer than the deletion, so it has to be asked. */
static void what_a_table_holds_may_be_hidden(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.from = loam_str("k000010"), .to = loam_str("k000020")};
    loam_snapshot *snap;
    put_even(f, 50, "v");
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_ok(loam_delete_range(f->db, NULL, &range));
    put_text(f->db, NULL, "z", "newer");
    expect_ok(loam_flush(f->db, NULL));
    explain(f, "k000012");
    assert_int_equal(told_count(&told, "range_deletion"), 1);
    assert_true(told_is(told_line(&told, "run", 0), "outcome", "deleted"));
    assert_int_equal(told_number(answer(), "runs_asked"), 1);
    assert_true(told_is(answer(), "why", "a deletion of a range holds the key"));
    loam_snapshot_close(snap);
}

static void a_snapshot_passes_what_is_newer(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    put_even(f, 10, "old");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_snapshot_open(f->db, &snap));
    put_even(f, 10, "new");
    expect_ok(loam_flush(f->db, NULL));
    explain_at(f->db, NULL, snap, loam_str("k000004"));
    assert_true(told_is(told_line(&told, "run", 0), "outcome", "newer"));
    assert_true(told_is(told_line(&told, "run", 1), "outcome", "value"));
    assert_int_equal(told_number(answer(), "runs_asked"), 1);
    assert_int_equal(told.value.len, 3);
    assert_memory_equal(told.value.data, "old", 3);
    loam_snapshot_close(snap);
}

static void a_large_value_is_an_extent(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = fixture_bytes(100000, 1);
    expect_ok(loam_put(f->db, NULL, loam_str("big"), loam_bytes(bytes, 100000)));
    expect_ok(loam_flush(f->db, NULL));
    explain(f, "big");
    assert_int_equal(told_number(told_line(&told, "page", 0), "extent"), 1);
    assert_true(told_is(told_line(&told, "page", 0), "from", "disk"));
    assert_int_equal(told_number(answer(), "value_bytes"), 100000);
    free(bytes);
}

static void operands_are_told_down_to_what_they_stand_on(void **state)
{
    struct fixture *f = *state;
    loam_coll_options options = loam_coll_options_default();
    loam_coll *coll;
    loam_snapshot *snap;
    options.merge_operator = "append";
    expect_ok(loam_create(f->db, "lists", &options, &coll));
    expect_ok(loam_put(f->db, coll, loam_str("k"), loam_str("a")));
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_merge(f->db, coll, loam_str("k"), loam_str("b")));
    expect_ok(loam_snapshot_open(f->db, &snap)); /* so that the flush does not join them */
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_merge(f->db, coll, loam_str("k"), loam_str("c")));
    explain_at(f->db, coll, NULL, loam_str("k"));
    assert_memory_equal(told.value.data, "abc", 3);
    assert_true(told_is(told_line(&told, "memtable", 0), "outcome", "operand"));
    assert_int_equal(told_count(&told, "operand"), 2);
    assert_true(told_is(told_line(&told, "operand", 0), "joins", "operand"));
    assert_true(told_is(told_line(&told, "operand", 1), "joins", "value"));
    assert_int_equal(told_number(answer(), "operands"), 2);
    loam_snapshot_close(snap);
}

static void what_has_expired_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    expect_ok(loam_put_ttl(f->db, NULL, loam_str("soon"), loam_str("v"), 1));
    expect_ok(loam_put_ttl(f->db, NULL, loam_str("later"), loam_str("v"), 3600000));
    await_expiry(f->db, NULL, loam_str("soon"));
    explain(f, "soon");
    assert_true(told_is(answer(), "why", "it has expired"));
    assert_true(told_number(told_line(&told, "memtable", 0), "expires_ms") > 0);
    explain(f, "later");
    assert_true(told_number(answer(), "expires_ms") >
                told_number(told_line(&told, "memtable", 0), "sequence"));
}

/* ---- a scan ------------------------------------------------------------------------------------- */

static void explain_scan(loam_db *db, loam_coll *coll, const loam_range *range, uint64_t limit)
{
    loam_iter *it;
    uint64_t rows = 0, bytes = 0;
    told_free(&told);
    expect_ok(loam_explain_scan(db, coll, range, limit, told_take, &told));
    expect_ok(loam_iter_open(db, coll, range, &it));
    while ((limit == 0 || rows < limit) && loam_iter_next(it) == LOAM_OK) {
        rows++;
        bytes += loam_iter_value(it).len;
    }
    loam_iter_close(it);
    assert_int_equal(told_number(answer(), "rows"), rows);
    assert_int_equal(told_number(answer(), "value_bytes"), bytes);
}

static uint64_t sum_of(const char *name)
{
    static const char *const kinds[] = {"memtable", "run"};
    uint64_t sum = 0;
    for (int k = 0; k < 2; k++)
        for (unsigned i = 0; told_line(&told, kinds[k], i) != NULL; i++)
            sum += told_number(told_line(&told, kinds[k], i), name);
    return sum;
}

static void each_input_of_a_scan_says_what_it_gave(void **state)
{
    struct fixture *f = *state;
    put_even(f, 100, "old");
    expect_ok(loam_compact(f->db, NULL, NULL));
    for (int i = 0; i < 30; i++) {
        char text[16];
        put_text(f->db, NULL, nth_key(text, 2 * i), "new");
    }
    expect_ok(loam_flush(f->db, NULL));
    for (int i = 90; i < 100; i++) {
        char text[16];
        expect_ok(loam_delete(f->db, NULL, loam_str(nth_key(text, 2 * i))));
    }
    explain_scan(f->db, NULL, NULL, 0);
    assert_int_equal(told_number(answer(), "rows"), 90);
    assert_int_equal(told_number(told_line(&told, "memtable", 0), "tombstones"), 10);
    const char *young = told_line(&told, "run", 0), *last = told_line(&told, "run", 1);
    assert_int_equal(told_number(young, "values"), 30);
    assert_int_equal(told_number(young, "old_versions"), 0);
    assert_int_equal(told_number(last, "values"), 60);
    assert_int_equal(told_number(last, "old_versions"), 40); /* 30 replaced, 10 deleted */
    assert_int_equal(told_number(last, "level"), LOAM_LEVELS_MAX - 1);
    assert_int_equal(told_number(answer(), "taken"), 140);
    assert_int_equal(told_number(last, "tables_opened"), 1);
    assert_true(told_number(last, "pages_cached") + told_number(last, "pages_read") > 0);
    explain_scan(f->db, NULL, NULL, 35);
    assert_int_equal(told_number(told_line(&told, "run", 0), "values"), 30);
    assert_int_equal(told_number(told_line(&told, "run", 1), "values"), 5);
    assert_int_equal(sum_of("taken"), 65);
    const loam_range one = {.from = loam_str("k000002"), .to = loam_str("k000003")};
    explain_scan(f->db, NULL, &one, 0);
    assert_int_equal(told_number(answer(), "rows"), 1);
    assert_int_equal(told_number(answer(), "taken"), 2);
    explain_scan(f->db, NULL, &one, 1); /* it has seen no further than the row */
    assert_int_equal(told_number(answer(), "taken"), 1);
}

static void many_versions_and_newer_ones_are_counted(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    for (int i = 0; i < 100; i++)
        put_text(f->db, NULL, "hot", "v");
    expect_ok(loam_snapshot_open(f->db, &snap));
    for (int i = 0; i < 7; i++)
        put_text(f->db, NULL, "hot", "newer");
    put_text(f->db, NULL, "z", "newer");
    const loam_range at = {.at = snap};
    explain_scan(f->db, NULL, &at, 0);
    assert_int_equal(told_number(told_line(&told, "memtable", 0), "values"), 1);
    assert_true(told_number(told_line(&told, "memtable", 0), "newer") >= 2);
    assert_true(told_number(told_line(&told, "memtable", 0), "old_versions") >= 16);
    assert_int_equal(sum_of("taken"), sum_of("values") + sum_of("newer") + sum_of("old_versions"));
    loam_snapshot_close(snap);
}

static void tables_that_are_outside_or_hidden_are_not_opened(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    char text[16], value[400];
    loam_snapshot *snap;
    options.memtable_bytes = 64 << 10;
    fixture_close(f);
    fixture_open(f, &options);
    for (int i = 0; i < 2000; i++) { /* that do not compress */
        uint8_t *bytes = fixture_bytes(sizeof value, (uint64_t)i);
        expect_ok(
            loam_put(f->db, NULL, loam_str(nth_key(text, i)), loam_bytes(bytes, sizeof value)));
        free(bytes);
    }
    expect_ok(loam_compact(f->db, NULL, NULL));
    const loam_range few = {.from = loam_str("k000010"), .to = loam_str("k000020")};
    explain_scan(f->db, NULL, &few, 0);
    const char *run = told_line(&told, "run", 0);
    assert_true(told_number(run, "tables") >= 3);
    assert_int_equal(told_number(run, "tables_opened"), 1);
    assert_int_equal(told_number(run, "tables_outside"), told_number(run, "tables") - 1);
    const loam_range most = {.from = loam_str("k000001"), .to = loam_str("k001999")};
    expect_ok(loam_snapshot_open(f->db, &snap));
    expect_ok(loam_delete_range(f->db, NULL, &most));
    explain_scan(f->db, NULL, NULL, 0);
    run = told_line(&told, "run", 0);
    assert_int_equal(told_number(answer(), "rows"), 2);
    assert_true(told_number(run, "tables_hidden") >= told_number(run, "tables") - 2);
    loam_snapshot_close(snap);
}

/* ---- a put -------------------------------------------------------------------------------------- */

static void a_put_is_done_and_told(void **state)
{
    struct fixture *f = *state;
    loam_lookup lookup = {.key = loam_str("k")};
    uint64_t position = 0;
    for (int i = 0; i < 3; i++) {
        told_free(&told);
        expect_ok(
            loam_explain_put(f->db, NULL, loam_str("k"), loam_str("value"), told_take, &told));
        const char *log = told_line(&told, "log", 0);
        expect_ok(loam_multi_get(f->db, NULL, NULL, &lookup, 1, 0));
        assert_int_equal(told_number(answer(), "sequence"), lookup.seq);
        assert_int_equal(told_number(log, "sequence"), lookup.seq);
        assert_true(told_number(log, "bytes") > 6 && told_number(log, "bytes") < 200);
        if (i > 0) assert_int_equal(told_number(log, "position"), position);
        position = told_number(log, "position") + told_number(log, "bytes");
        assert_int_equal(told_number(told_line(&told, "memtable", 0), "memtable"), 0);
        assert_int_equal(told_number(told_line(&told, "memtable", 0), "entries"), i + 1);
        assert_true(told_is(told_line(&told, "durability", 0), "durability", "process"));
        assert_int_equal(told_number(told_line(&told, "throttle", 0), "delay_per_kib_ns"), 0);
        assert_int_equal(told_number(told_line(&told, "later", 0), "flushes"), 1);
        assert_true(told_number(told_line(&told, "later", 0), "times_written") >= 3);
        loam_buf_free(&lookup.value);
    }
    loam_options options = fixture_options();
    options.durability = LOAM_DURABLE_COMMIT;
    fixture_close(f);
    fixture_open(f, &options);
    told_free(&told);
    expect_ok(loam_explain_put(f->db, NULL, loam_str("k"), loam_str("value"), told_take, &told));
    assert_int_equal(told_number(told_line(&told, "durability", 0), "survives_power_loss"), 1);
}

/* ---- the tree ----------------------------------------------------------------------------------- */

static void the_tree_adds_up_to_the_statistics(void **state)
{
    struct fixture *f = *state;
    loam_coll_stats stats = {.struct_size = sizeof stats};
    for (int i = 0; i < 3; i++) {
        put_even(f, 500, "v");
        expect_ok(i == 0 ? loam_compact(f->db, NULL, NULL) : loam_flush(f->db, NULL));
    }
    put_even(f, 20, "w");
    expect_ok(loam_delete(f->db, NULL, loam_str("k000002")));
    told_free(&told);
    expect_ok(loam_tree(f->db, NULL, told_take, &told));
    expect_ok(loam_coll_stats_get(f->db, NULL, &stats));
    uint64_t entries = told_number(told_line(&told, "memtable", 0), "entries");
    unsigned at = 0;
    assert_int_equal(entries, 21);
    for (uint64_t level = 0; level < LOAM_LEVELS_MAX; level++) {
        if (stats.level[level].run_count == 0) continue;
        const char *line = told_line(&told, "level", at++);
        assert_int_equal(told_number(line, "level"), level);
        assert_int_equal(told_number(line, "runs"), stats.level[level].run_count);
        assert_int_equal(told_number(line, "tables"), stats.level[level].table_count);
        assert_int_equal(told_number(line, "bytes"), stats.level[level].bytes);
    }
    assert_int_equal(told_count(&told, "level"), at);
    for (unsigned i = 0; i < told_count(&told, "run"); i++)
        entries += told_number(told_line(&told, "run", i), "entries");
    assert_int_equal(entries, stats.entry_count);
    const char *table = told_line(&told, "table", 0);
    assert_true(told_is(table, "from", "k000000") && told_is(table, "to", "k000998"));
    assert_int_equal(told_number(table, "clipped"), 0);
    assert_int_equal(told_number(table, "age"),
                     told_number(told_line(&told, "tree", 0), "sequence") -
                         told_number(table, "seq_last"));
    assert_true(told_number(told_line(&told, "table", 1), "age") > told_number(table, "age"));
}

/* ---- random histories --------------------------------------------------------------------------- */

enum { KEYS = 60, STEPS = 2000, HISTORIES = 4 };

static void step_at_random(struct fixture *f, struct rand *rand, loam_coll *coll)
{
    char text[16];
    const uint64_t choice = rand_below(rand, 100);
    const loam_slice key = loam_str(nth_key(text, (int)rand_below(rand, KEYS)));
    if (choice < 40) {
        expect_ok(loam_put(f->db, coll, key, loam_bytes("0123456789", rand_below(rand, 11))));
    } else if (choice < 55) {
        expect_ok(loam_delete(f->db, coll, key));
    } else if (choice < 85) {
        expect_ok(loam_merge(f->db, coll, key, loam_str("+")));
    } else if (choice < 90) {
        expect_ok(loam_put_ttl(f->db, coll, key, loam_str("short"), 1 + rand_below(rand, 3)));
    } else if (choice < 93) {
        const loam_range range = {.from = key, .to = loam_str("k000050")};
        expect_ok(loam_delete_range(f->db, coll, &range));
    } else if (choice < 98) {
        expect_ok(loam_flush(f->db, coll));
    } else {
        expect_ok(loam_compact(f->db, coll, NULL));
    }
}

/* An entry may expire between the two calls: then once more. */
static bool same_answer(loam_db *db, loam_coll *coll, const loam_snapshot *snap, loam_slice key)
{
    loam_buf value = {0};
    told_free(&told);
    const loam_status rc = loam_explain_get(db, coll, snap, key, told_take, &told);
    const loam_status want = loam_get_at(db, coll, snap, key, &value);
    const bool same =
        rc == want && (rc != LOAM_OK || (told.value.len == value.len &&
                                         memcmp(told.value.data, value.data, value.len) == 0));
    loam_buf_free(&value);
    return same;
}

static void live_a_history(struct fixture *f, uint64_t seed)
{
    struct rand rand = {seed};
    loam_coll_options options = loam_coll_options_default();
    loam_coll *coll;
    loam_snapshot *snap;
    options.merge_operator = "append";
    expect_ok(loam_create(f->db, "c", &options, &coll));
    expect_ok(loam_snapshot_open(f->db, &snap));
    for (int i = 0; i < STEPS; i++) {
        char text[16];
        step_at_random(f, &rand, coll);
        const loam_slice key = loam_str(nth_key(text, (int)rand_below(&rand, KEYS + 1)));
        if (!same_answer(f->db, coll, NULL, key)) assert_true(same_answer(f->db, coll, NULL, key));
        assert_true(same_answer(f->db, coll, snap, key));
        if (i % 50 > 0) continue;
        told_free(&told);
        expect_ok(loam_explain_scan(f->db, coll, NULL, 0, told_take, &told));
        assert_int_equal(sum_of("taken"), sum_of("values") + sum_of("tombstones") +
                                              sum_of("operands") + sum_of("old_versions") +
                                              sum_of("newer") + sum_of("expired"));
        assert_int_equal(told_number(answer(), "rows"), sum_of("values") + sum_of("operands"));
        if (i % 500 > 0) continue;
        loam_snapshot_close(snap);
        expect_ok(loam_snapshot_open(f->db, &snap));
    }
    loam_snapshot_close(snap);
    expect_ok(loam_drop(f->db, "c"));
}

static void answers_are_those_of_get_in_random_histories(void **state)
{
    struct seeds seeds = seeds_begin("HISTORIES", HISTORIES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        last_words(60, "SEED=%llu", (unsigned long long)seed);
        live_a_history(*state, seed);
    }
}

/* ---- found() and arguments ---------------------------------------------------------------------- */

static loam_status call(struct fixture *f, int which, loam_found found)
{
    switch (which) {
    case 0:
        return loam_explain_get(f->db, NULL, NULL, loam_str("k000000"), found, &told);
    case 1:
        return loam_explain_scan(f->db, NULL, NULL, 0, found, &told);
    case 2:
        return loam_explain_put(f->db, NULL, loam_str("put"), loam_str("v"), found, &told);
    case 3:
        return loam_tree(f->db, NULL, found, &told);
    default:
        return loam_doctor(f->db, found, &told);
    }
}

static void found_may_say_stop_at_any_finding(void **state)
{
    struct fixture *f = *state;
    put_even(f, 10, "v");
    expect_ok(loam_flush(f->db, NULL));
    for (int which = 0; which < 5; which++) {
        told.stop_at = 0;
        told_free(&told);
        expect_ok(call(f, which, told_take));
        const unsigned all = told.count;
        assert_true(all >= 3);
        for (told.stop_at = 1; told.stop_at <= all; told.stop_at++) {
            told_free(&told);
            expect_status(LOAM_CONFLICT, call(f, which, told_take));
            assert_int_equal(told.count, told.stop_at);
        }
        told.stop_at = 0;
        expect_failure(LOAM_INVALID, "found is NULL", call(f, which, NULL));
    }
    expect_text(f->db, NULL, "put", "v"); /* it is done all the same */
}

static void arguments_are_checked_as_elsewhere(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    const loam_slice none = {NULL, 1};
    const loam_range range = {.from = none};
    static char longest[65536];
    told_free(&told);
    expect_status(LOAM_INVALID, loam_explain_get(f->db, NULL, NULL, none, told_take, &told));
    expect_status(LOAM_INVALID, loam_explain_scan(f->db, NULL, &range, 0, told_take, &told));
    expect_status(LOAM_INVALID,
                  loam_explain_put(f->db, NULL, none, loam_str(""), told_take, &told));
    expect_status(LOAM_TOOBIG, loam_explain_put(f->db, NULL, loam_bytes(longest, sizeof longest),
                                                loam_str(""), told_take, &told));
    assert_int_equal(told.count, 0);
    explain_at(f->db, NULL, NULL, loam_bytes(longest, sizeof longest));
    expect_ok(loam_create(f->db, "gone", NULL, &coll));
    expect_ok(loam_drop(f->db, "gone"));
    told_free(&told);
    expect_status(LOAM_MISUSE,
                  loam_explain_get(f->db, coll, NULL, loam_str("k"), told_take, &told));
    expect_status(LOAM_MISUSE, loam_explain_scan(f->db, coll, NULL, 0, told_take, &told));
    expect_status(LOAM_MISUSE, loam_tree(f->db, coll, told_take, &told));
    assert_int_equal(told.count, 0);
}

static void damage_is_a_failure_that_names_the_file(void **state)
{
    struct fixture *f = *state;
    char path[512];
    put_even(f, 200, "v");
    expect_ok(loam_compact(f->db, NULL, NULL));
    fixture_close(f);
    assert_true(fixture_find_file(f, ".sst", path));
    fixture_flip_byte(path, 100);
    fixture_open(f, NULL);
    told_free(&told);
    expect_failure(LOAM_CORRUPT, ".sst",
                   loam_explain_get(f->db, NULL, NULL, loam_str("k000000"), told_take, &told));
    assert_null(told_line(&told, "answer", 0));
    told_free(&told);
    expect_failure(LOAM_CORRUPT, "damaged", loam_doctor(f->db, told_take, &told));
    assert_non_null(told_line(&told, "damage", 0));
    assert_int_equal(told_number(told_line(&told, "verdict", 0), "healthy"), 0);
}

static int end_told(void **state)
{
    (void)state;
    told_free(&told);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_key_in_the_memtable_is_found_there),
        test_open(pages_come_from_the_disk_once_and_then_from_the_cache),
        test_closed(a_filter_says_no_or_is_wrong),
        test_open(what_hides_a_key_is_named),
        test_open(what_a_table_holds_may_be_hidden),
        test_open(a_snapshot_passes_what_is_newer),
        test_open(a_large_value_is_an_extent),
        test_open(operands_are_told_down_to_what_they_stand_on),
        test_open(what_has_expired_is_told_as_such),
        test_open(each_input_of_a_scan_says_what_it_gave),
        test_open(many_versions_and_newer_ones_are_counted),
        test_open(tables_that_are_outside_or_hidden_are_not_opened),
        test_open(a_put_is_done_and_told),
        test_open(the_tree_adds_up_to_the_statistics),
        test_open(answers_are_those_of_get_in_random_histories),
        test_open(found_may_say_stop_at_any_finding),
        test_open(arguments_are_checked_as_elsewhere),
        test_open(damage_is_a_failure_that_names_the_file),
    };
    return cmocka_run_group_tests_name("api/explain", tests, NULL, end_told);
}
