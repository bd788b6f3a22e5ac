/*
 * test_merges.c - values that are changed without being read: operators, where merges meet everything else.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- collections with operators --------------------------------------------------------------- */

static loam_coll *make(struct fixture *f, const char *name, const char *merge_operator)
{
    loam_coll_options options = loam_coll_options_default();
    loam_coll *coll;
    options.merge_operator = merge_operator;
    expect_ok(loam_create(f->db, name, &options, &coll));
    return coll;
}

static loam_slice number(int64_t value, uint8_t bytes[static 8])
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    return loam_bytes(bytes, 8);
}

static void add(struct fixture *f, loam_coll *coll, const char *key, int64_t by)
{
    uint8_t bytes[8];
    expect_ok(loam_merge(f->db, coll, loam_str(key), number(by, bytes)));
}

static int64_t number_of(const loam_buf *value)
{
    uint64_t number = 0;
    assert_int_equal(value->len, 8);
    for (int i = 0; i < 8; i++)
        number |= (uint64_t)((const uint8_t *)value->data)[i] << (8 * i);
    return (int64_t)number;
}

static int64_t counter(struct fixture *f, loam_coll *coll, const char *key)
{
    loam_buf value = {0};
    expect_ok(loam_get(f->db, coll, loam_str(key), &value));
    const int64_t number = number_of(&value);
    loam_buf_free(&value);
    return number;
}

static void append(struct fixture *f, loam_coll *coll, const char *key, const char *text)
{
    expect_ok(loam_merge(f->db, coll, loam_str(key), loam_str(text)));
}

/* All values of a collection, forward or backward, joined by blanks. */
static const char *values_of(struct fixture *f, loam_coll *coll, bool backward)
{
    static char text[4096];
    loam_iter *it;
    size_t len = 0;
    expect_ok(loam_iter_open(f->db, coll, NULL, &it));
    while ((backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK) {
        const loam_slice value = loam_iter_value(it);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", len > 0 ? " " : "",
                                (int)value.len, (const char *)value.data);
    }
    text[len] = '\0';
    loam_iter_close(it);
    return text;
}

/* ---- what is there ------------------------------------------------------------------------------ */

static void operands_join_with_what_is_there(void **state)
{
    struct fixture *f = *state;
    loam_coll *sums = make(f, "sums", "add_i64"), *tops = make(f, "tops", "max_i64");
    loam_coll *lists = make(f, "lists", "append");
    uint8_t bytes[8];
    add(f, sums, "n", 40);
    add(f, sums, "n", 2);
    assert_int_equal(counter(f, sums, "n"), 42);
    expect_ok(loam_put(f->db, sums, loam_str("n"), number(INT64_MAX, bytes)));
    add(f, sums, "n", 1);
    assert_true(counter(f, sums, "n") == INT64_MIN);
    expect_ok(loam_delete(f->db, sums, loam_str("n")));
    expect_status(LOAM_NOTFOUND, loam_exists(f->db, sums, loam_str("n")));
    add(f, sums, "n", -7);
    assert_int_equal(counter(f, sums, "n"), -7);
    put_text(f->db, sums, "n", "no number");
    add(f, sums, "n", 3);
    assert_int_equal(counter(f, sums, "n"), 3);
    add(f, tops, "n", -5);
    add(f, tops, "n", -9);
    assert_int_equal(counter(f, tops, "n"), -5);
    append(f, lists, "l", "a");
    append(f, lists, "l", "");
    append(f, lists, "l", "bc");
    expect_text(f->db, lists, "l", "abc");
    expect_ok(loam_delete_range(f->db, lists, NULL));
    append(f, lists, "l", "d");
    expect_text(f->db, lists, "l", "d");
}

/* The same in memory, in runs one over another, as one run, and after an opening. */
static void parts_are_joined_wherever_they_are(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append");
    char expected[2000] = "start,", part[32];
    put_text(f->db, lists, "l", "start,");
    append(f, lists, "fresh", "x");
    for (int i = 0; i < 40; i++) {
        snprintf(part, sizeof part, "part %d with some letters,", i);
        append(f, lists, "l", part);
        strncat(expected, part, sizeof expected - strlen(expected) - 1);
        if (i == 20) append(f, lists, "fresh", "y");
        if (i % 7 == 3) expect_ok(loam_flush(f->db, lists));
        if (i == 25) expect_ok(loam_compact(f->db, lists, NULL));
    }
    assert_int_equal(strlen(expected) > 900, 1);
    for (int round = 0; round < 3; round++) {
        char both[2100];
        expect_text(f->db, lists, "l", expected);
        expect_text(f->db, lists, "fresh", "xy");
        snprintf(both, sizeof both, "xy %s", expected);
        assert_string_equal(values_of(f, lists, false), both);
        snprintf(both, sizeof both, "%s xy", expected);
        assert_string_equal(values_of(f, lists, true), both);
        assert_string_equal(keys_forward(f->db, lists, NULL), "fresh l");
        if (round == 0) fixture_reopen(f);
        if (round == 0) expect_ok(loam_collection(f->db, "lists", &lists));
        if (round == 1) expect_ok(loam_compact(f->db, lists, NULL));
    }
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(f->db, lists, &stats));
    assert_int_equal(stats.entry_count, 2); /* of the parts nothing is left */
}

static void snapshots_see_what_was_joined_then(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append");
    loam_snapshot *snaps[6];
    static const char *const seen[] = {"a", "ab", "abc", "abcd", "abcde", "abcdef"};
    for (int i = 0; i < 6; i++) {
        append(f, lists, "l", (const char[2]){(char)('a' + i), '\0'});
        expect_ok(loam_snapshot_open(f->db, &snaps[i]));
        if (i % 2 == 1) expect_ok(loam_flush(f->db, lists));
    }
    for (int gone = 0; gone <= 6; gone++) {
        for (int i = gone; i < 6; i++)
            expect_text_at(f->db, lists, snaps[i], "l", seen[i]);
        expect_text(f->db, lists, "l", "abcdef");
        if (gone < 6) loam_snapshot_close(snaps[gone]);
        expect_ok(loam_compact(f->db, lists, NULL));
    }
}

static void long_values_are_read_in_one_piece(void **state)
{
    struct fixture *f = *state;
    enum { PARTS = 300, PART_BYTES = 10000 };
    static char part[PART_BYTES];
    loam_coll *lists = make(f, "lists", "append");
    loam_buf value = {0};
    for (int i = 0; i < PARTS; i++) {
        memset(part, 'a' + i % 26, sizeof part);
        expect_ok(loam_merge(f->db, lists, loam_str("l"), loam_bytes(part, sizeof part)));
        if (i % 100 == 99) expect_ok(loam_flush(f->db, lists));
    }
    for (int round = 0; round < 2; round++) {
        expect_ok(loam_get(f->db, lists, loam_str("l"), &value));
        assert_int_equal(value.len, PARTS * PART_BYTES);
        for (int i = 0; i < PARTS; i++)
            assert_int_equal(((const char *)value.data)[i * PART_BYTES + 17], 'a' + i % 26);
        expect_ok(loam_compact(f->db, lists, NULL));
    }
    loam_buf_free(&value);
}

static void many_keys_are_looked_up_at_once(void **state)
{
    struct fixture *f = *state;
    loam_coll *sums = make(f, "sums", "add_i64");
    loam_lookup lookups[3] = {
        {.key = loam_str("a")}, {.key = loam_str("b")}, {.key = loam_str("c")}};
    add(f, sums, "a", 1);
    add(f, sums, "b", 2);
    expect_ok(loam_flush(f->db, sums));
    add(f, sums, "b", 3);
    expect_ok(loam_multi_get(f->db, sums, NULL, lookups, 3, 0));
    assert_int_equal(number_of(&lookups[0].value), 1);
    assert_int_equal(number_of(&lookups[1].value), 5);
    assert_int_equal(lookups[2].answer, LOAM_NOTFOUND);
    assert_true(lookups[1].seq > lookups[0].seq);
    expect_ok(loam_multi_get(f->db, sums, NULL, lookups, 3, LOAM_KEYS_ONLY));
    for (int i = 0; i < 3; i++)
        loam_buf_free(&lookups[i].value);
}

/* ---- batches, conditions, transactions ------------------------------------------------------------ */

static void a_batch_merges_in_its_order(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append"), *sums = make(f, "sums", "add_i64");
    loam_batch *batch = loam_batch_new();
    uint8_t bytes[8];
    append(f, lists, "l", "0");
    expect_ok(loam_batch_merge(batch, lists, loam_str("l"), loam_str("1")));
    expect_ok(loam_batch_delete(batch, lists, loam_str("l")));
    expect_ok(loam_batch_merge(batch, lists, loam_str("l"), loam_str("2")));
    expect_ok(loam_batch_merge(batch, lists, loam_str("l"), loam_str("3")));
    expect_ok(loam_batch_merge(batch, sums, loam_str("n"), number(5, bytes)));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, lists, "l", "23");
    assert_int_equal(counter(f, sums, "n"), 10);
    expect_ok(loam_batch_merge(batch, sums, loam_str("n"), loam_str("odd")));
    expect_failure(LOAM_INVALID, "8 bytes", loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_clear(batch);
    expect_ok(loam_batch_merge(batch, NULL, loam_str("n"), loam_str("x")));
    expect_failure(LOAM_INVALID, "\"default\" has no merge operator",
                   loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    assert_int_equal(counter(f, sums, "n"), 10);
    loam_batch_free(batch);
}

static void conditions_compare_what_is_joined(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append");
    put_text(f->db, lists, "l", "ab");
    expect_ok(loam_flush(f->db, lists));
    append(f, lists, "l", "cd");
    const loam_if part = {.kind = LOAM_IF_EQUAL, .value = loam_str("cd")};
    const loam_if whole = {.kind = LOAM_IF_EQUAL, .value = loam_str("abcd")};
    const loam_if absent = {.kind = LOAM_IF_ABSENT};
    expect_status(LOAM_CONFLICT, loam_delete_if(f->db, lists, loam_str("l"), &absent));
    expect_status(LOAM_CONFLICT, loam_delete_if(f->db, lists, loam_str("l"), &part));
    expect_ok(loam_put_if(f->db, lists, loam_str("l"), loam_str("new"), &whole, NULL));
    expect_text(f->db, lists, "l", "new");
}

static void expect_in_txn(loam_txn *txn, loam_coll *coll, const char *key, const char *text)
{
    loam_buf value = {0};
    expect_ok(loam_txn_get(txn, coll, loam_str(key), &value));
    assert_int_equal(value.len, strlen(text));
    assert_memory_equal(value.data, text, value.len);
    loam_buf_free(&value);
}

static void a_transaction_sees_its_operands_on_what_there_was(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append");
    loam_txn *txn;
    loam_iter *it;
    put_text(f->db, lists, "l", "ab");
    expect_ok(loam_txn_begin(f->db, &txn));
    append(f, lists, "l", "!");
    expect_ok(loam_txn_merge(txn, lists, loam_str("l"), loam_str("c")));
    expect_ok(loam_txn_savepoint(txn));
    expect_ok(loam_txn_merge(txn, lists, loam_str("l"), loam_str("d")));
    expect_ok(loam_txn_merge(txn, lists, loam_str("m"), loam_str("n")));
    expect_in_txn(txn, lists, "l", "abcd");
    expect_ok(loam_txn_iter_open(txn, lists, NULL, &it));
    for (int back = 0; back < 2; back++) {
        expect_ok(back ? loam_iter_last(it) : loam_iter_first(it));
        if (back) expect_ok(loam_iter_prev(it));
        assert_int_equal(loam_iter_value(it).len, 4);
        assert_memory_equal(loam_iter_value(it).data, "abcd", 4);
    }
    loam_iter_close(it);
    expect_ok(loam_txn_rollback(txn));
    expect_in_txn(txn, lists, "l", "abc");
    expect_status(LOAM_CONFLICT, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT)); /* it has read */
    loam_txn_close(txn);
    expect_text(f->db, lists, "l", "ab!");
}

static void one_that_only_merges_does_not_conflict(void **state)
{
    struct fixture *f = *state;
    loam_coll *lists = make(f, "lists", "append");
    loam_txn *one, *two;
    expect_ok(loam_txn_begin(f->db, &one));
    expect_ok(loam_txn_begin(f->db, &two));
    expect_ok(loam_txn_merge(one, lists, loam_str("l"), loam_str("1")));
    expect_ok(loam_txn_merge(two, lists, loam_str("l"), loam_str("2")));
    expect_ok(loam_txn_get(one, lists, loam_str("l"), NULL)); /* its own operand says so */
    expect_ok(loam_txn_commit(two, LOAM_DURABLE_DEFAULT));
    expect_ok(loam_txn_commit(one, LOAM_DURABLE_DEFAULT));
    loam_txn_close(one);
    loam_txn_close(two);
    expect_text(f->db, lists, "l", "21");
    expect_ok(loam_txn_begin(f->db, &one));
    expect_in_txn(one, lists, "l", "21");
    expect_ok(loam_txn_merge(one, lists, loam_str("other"), loam_str("1")));
    append(f, lists, "l", "3"); /* a merge is a write for who has read the key */
    expect_status(LOAM_CONFLICT, loam_txn_commit(one, LOAM_DURABLE_DEFAULT));
    loam_txn_close(one);
}

/* ---- what is refused ------------------------------------------------------------------------------ */

static void merges_without_an_operator_are_refused(void **state)
{
    struct fixture *f = *state;
    loam_txn *txn;
    loam_coll *sums = make(f, "sums", "add_i64");
    expect_failure(LOAM_INVALID, "\"default\" has no merge operator; set one",
                   loam_merge(f->db, NULL, loam_str("k"), loam_str("12345678")));
    expect_failure(LOAM_INVALID, "8 bytes", loam_merge(f->db, sums, loam_str("k"), loam_str("1")));
    expect_ok(loam_txn_begin(f->db, &txn));
    expect_status(LOAM_INVALID, loam_txn_merge(txn, NULL, loam_str("k"), loam_str("1")));
    expect_status(LOAM_INVALID, loam_txn_merge(txn, sums, loam_str("k"), loam_str("1")));
    loam_txn_close(txn);
    const char byte = 0;
    expect_failure(LOAM_TOOBIG, "1073741817 bytes",
                   loam_merge(f->db, sums, loam_str("k"), loam_bytes(&byte, (1u << 30) - 7)));
    loam_coll_options options = loam_coll_options_default();
    options.merge_operator = "append";
    expect_ok(loam_coll_options_set(f->db, NULL, &options));
    put_text(f->db, NULL, "k", "a");
    append(f, NULL, "k", "b");
    expect_text(f->db, NULL, "k", "ab");
}

static size_t keep_longer(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    const loam_slice longer = newer.len > older.len ? newer : older;
    ++*(int *)ctx;
    if (longer.len > 0) memcpy(result, longer.data, longer.len);
    return longer.len;
}

static void open_with(struct fixture *f, const loam_merge_operator *operators, size_t count)
{
    loam_options options = fixture_options();
    options.merge_operators = operators;
    options.merge_operator_count = count;
    fixture_open(f, &options);
}

static void bad_operators_are_refused_at_open(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    const loam_merge_operator good = {"longer", keep_longer, &calls};
    const struct {
        loam_merge_operator operators[2];
        const char *why;
    } cases[] = {
        {{good, good}, "a merge operator \"longer\" is built in or given already"},
        {{good, {"append", keep_longer, &calls}}, "\"append\""},
        {{good, {"Longer", keep_longer, &calls}}, "a-z"},
        {{good, {"", keep_longer, &calls}}, "a-z"},
        {{good, {NULL, keep_longer, &calls}}, "a-z"},
        {{good, {"other", NULL, &calls}}, "combine"},
    };
    loam_options options = fixture_options();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        options.merge_operators = cases[i].operators;
        options.merge_operator_count = 2;
        expect_failure(LOAM_INVALID, cases[i].why, loam_open(f->store, &options, &f->db));
    }
    options.merge_operators = NULL;
    expect_failure(LOAM_INVALID, "merge_operators is NULL", loam_open(f->store, &options, &f->db));
    assert_int_equal(calls, 0);
}

static void a_registered_operator_is_used(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    char name[] = "longer";
    const loam_merge_operator longer = {name, keep_longer, &calls};
    open_with(f, &longer, 1);
    name[0] = '!'; /* it was copied */
    loam_coll *coll = make(f, "c", "longer");
    append(f, coll, "k", "longest");
    expect_ok(loam_flush(f->db, coll));
    append(f, coll, "k", "short");
    expect_text(f->db, coll, "k", "longest");
    assert_true(calls > 0);
    fixture_close(f);
}

/* Nobody knows how to join: nothing is read, nothing is lost. */
static void without_its_operator_a_collection_waits(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    const loam_merge_operator longer = {"longer", keep_longer, &calls};
    loam_buf value = {0};
    loam_iter *it;
    open_with(f, &longer, 1);
    loam_coll *coll = make(f, "c", "longer");
    make(f, "drop me", "longer");
    append(f, coll, "k", "long");
    expect_ok(loam_flush(f->db, coll));
    append(f, coll, "k", "longest");
    append(f, coll, "alone", "x");
    fixture_close(f);

    fixture_open(f, NULL);
    expect_ok(loam_collection(f->db, "c", &coll));
    const char *why = "merge operator \"longer\"";
    expect_failure(LOAM_INVALID, why, loam_get(f->db, coll, loam_str("k"), &value));
    expect_failure(LOAM_INVALID, why, loam_exists(f->db, coll, loam_str("k")));
    expect_failure(LOAM_INVALID, why, loam_iter_open(f->db, coll, NULL, &it));
    expect_failure(LOAM_INVALID, why, loam_put(f->db, coll, loam_str("k"), loam_str("v")));
    expect_failure(LOAM_INVALID, why, loam_delete(f->db, coll, loam_str("k")));
    expect_failure(LOAM_INVALID, why, loam_delete_range(f->db, coll, NULL));
    expect_failure(LOAM_INVALID, why, loam_merge(f->db, coll, loam_str("k"), loam_str("v")));
    loam_batch *batch = loam_batch_new();
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_batch_delete(batch, NULL, loam_str("k")));
    expect_ok(loam_batch_put(batch, coll, loam_str("k"), loam_str("v")));
    expect_failure(LOAM_INVALID, why, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    expect_text(f->db, NULL, "k", "v");
    loam_batch_free(batch);
    loam_coll_options options = {.struct_size = sizeof options};
    expect_ok(loam_coll_options_get(f->db, coll, &options));
    assert_string_equal(options.merge_operator, "longer");
    options.ttl_ms = 0;
    options.compression = LOAM_ZSTD;
    expect_ok(loam_coll_options_set(f->db, coll, &options));
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_compact(f->db, coll, NULL));
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    expect_ok(loam_rename(f->db, "c", "renamed"));
    expect_ok(loam_drop(f->db, "drop me"));
    fixture_close(f);

    open_with(f, &longer, 1);
    expect_ok(loam_collection(f->db, "renamed", &coll));
    expect_text(f->db, coll, "k", "longest");
    expect_text(f->db, coll, "alone", "x");
    expect_ok(loam_compact(f->db, coll, NULL));
    expect_text(f->db, coll, "k", "longest");
    fixture_close(f);
    loam_buf_free(&value);
}

/* Of a repaired store, operands go on in what they went on in; an operator that repair does not know is waited for. */
static void repair_copies_operands(void **state)
{
    struct fixture *f = *state;
    int calls = 0;
    const loam_merge_operator longer = {"longer", keep_longer, &calls};
    loam_snapshot *snap;
    loam_coll *lists, *coll;
    char target[300];
    open_with(f, &longer, 1);
    lists = make(f, "lists", "append");
    coll = make(f, "c", "longer");
    put_text(f->db, lists, "l", "0");
    expect_ok(loam_flush(f->db, lists));
    for (int i = 1; i < 8; i++) {
        append(f, lists, "l", (const char[2]){(char)('0' + i), '\0'});
        append(f, coll, "k", &"longest"[i]);
        if (i == 3) expect_ok(loam_snapshot_open(f->db, &snap));
        if (i == 5) expect_ok(loam_flush(f->db, lists));
    }
    append(f, lists, "m", "x");
    loam_snapshot_close(snap);
    fixture_close(f);
    snprintf(target, sizeof target, "%s/repaired", f->home);
    expect_ok(loam_repair(f->store, target, NULL, NULL));
    loam_options options = fixture_options();
    options.merge_operators = &longer;
    options.merge_operator_count = 1;
    loam_db *db;
    expect_ok(loam_open(target, &options, &db));
    expect_ok(loam_collection(db, "lists", &lists));
    expect_ok(loam_collection(db, "c", &coll));
    expect_text(db, lists, "l", "01234567");
    expect_text(db, lists, "m", "x");
    expect_text(db, coll, "k", "ongest");
    expect_ok(loam_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(operands_join_with_what_is_there),
        test_open(parts_are_joined_wherever_they_are),
        test_open(snapshots_see_what_was_joined_then),
        test_open(long_values_are_read_in_one_piece),
        test_open(many_keys_are_looked_up_at_once),
        test_open(a_batch_merges_in_its_order),
        test_open(conditions_compare_what_is_joined),
        test_open(a_transaction_sees_its_operands_on_what_there_was),
        test_open(one_that_only_merges_does_not_conflict),
        test_open(merges_without_an_operator_are_refused),
        test_closed(bad_operators_are_refused_at_open),
        test_closed(a_registered_operator_is_used),
        test_closed(without_its_operator_a_collection_waits),
        test_closed(repair_copies_operands),
    };
    return cmocka_run_group_tests_name("merges", tests, NULL, NULL);
}
