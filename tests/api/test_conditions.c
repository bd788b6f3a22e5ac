/*
 * test_conditions.c - put_if and delete_if: looking and writing in one step.
 */
#include "../lib/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const loam_if ABSENT = {.kind = LOAM_IF_ABSENT};

static loam_if equal_to(const char *text)
{
    return (loam_if){.kind = LOAM_IF_EQUAL, .value = loam_str(text)};
}

static loam_if at_seq(uint64_t seq)
{
    return (loam_if){.kind = LOAM_IF_SEQ, .seq = seq};
}

static loam_status put_if(loam_db *db, const char *key, const char *value, loam_if condition,
                          uint64_t *seq)
{
    return loam_put_if(db, NULL, loam_str(key), loam_str(value), &condition, seq);
}

static uint64_t seq_of(loam_db *db, const char *key)
{
    loam_lookup lookup = {.key = loam_str(key)};
    expect_ok(loam_multi_get(db, NULL, NULL, &lookup, 1, LOAM_KEYS_ONLY));
    return lookup.answer == LOAM_OK ? lookup.seq : 0;
}

/* Runs in memory, then from a table, then from a compacted one. */
static void settle(struct fixture *f, int round)
{
    if (round == 1) expect_ok(loam_flush(f->db, NULL));
    if (round == 2) expect_ok(loam_compact(f->db, NULL, NULL));
    if (round == 3) fixture_reopen(f);
}

static void only_what_is_absent_is_put(void **state)
{
    struct fixture *f = *state;
    expect_ok(put_if(f->db, "k", "first", ABSENT, NULL));
    for (int round = 0; round < 4; round++) {
        settle(f, round);
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "second", ABSENT, NULL));
        expect_text(f->db, NULL, "k", "first");
    }
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    for (int round = 0; round < 4; round++) {
        settle(f, round);
        expect_ok(put_if(f->db, "k", "again", ABSENT, NULL));
        expect_text(f->db, NULL, "k", "again");
        expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    }
}

static void only_an_equal_value_is_replaced(void **state)
{
    struct fixture *f = *state;
    expect_status(LOAM_CONFLICT, put_if(f->db, "k", "new", equal_to(""), NULL));
    put_text(f->db, NULL, "k", "");
    expect_ok(put_if(f->db, "k", "one", equal_to(""), NULL));
    for (int round = 0; round < 4; round++) {
        settle(f, round);
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "two", equal_to("on"), NULL));
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "two", equal_to("ones"), NULL));
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "two", equal_to("onE"), NULL));
        expect_ok(put_if(f->db, "k", "one", equal_to("one"), NULL));
    }
}

static void a_sequence_number_tells_whether_anybody_has_put(void **state)
{
    struct fixture *f = *state;
    uint64_t first = 0, second = 0;
    expect_ok(put_if(f->db, "k", "v", ABSENT, &first));
    assert_int_equal(first, seq_of(f->db, "k"));
    for (int round = 0; round < 4; round++) {
        settle(f, round);
        assert_int_equal(first, seq_of(f->db, "k"));
        expect_ok(put_if(f->db, "k", "v", at_seq(first), &second));
        assert_true(second > first);
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "v", at_seq(first), NULL));
        expect_status(LOAM_CONFLICT, put_if(f->db, "k", "v", at_seq(second + 1), NULL));
        first = second;
    }
    put_text(f->db, NULL, "k", "v"); /* the same value is another put */
    expect_status(LOAM_CONFLICT, put_if(f->db, "k", "v", at_seq(first), NULL));
    first = seq_of(f->db, "k");
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    expect_status(LOAM_CONFLICT, put_if(f->db, "k", "v", at_seq(first), NULL));
    expect_status(LOAM_CONFLICT, put_if(f->db, "k", "v", at_seq(0), NULL));
}

static void deletes_have_conditions_too(void **state)
{
    struct fixture *f = *state;
    const loam_if wrong = equal_to("w"), right = equal_to("v");
    put_text(f->db, NULL, "k", "v");
    expect_status(LOAM_CONFLICT, loam_delete_if(f->db, NULL, loam_str("k"), &wrong));
    expect_text(f->db, NULL, "k", "v");
    expect_ok(loam_delete_if(f->db, NULL, loam_str("k"), &right));
    expect_text(f->db, NULL, "k", NULL);
    expect_status(LOAM_CONFLICT, loam_delete_if(f->db, NULL, loam_str("k"), &right));
    expect_ok(loam_delete_if(f->db, NULL, loam_str("k"), &ABSENT));
}

static void nonsense_is_refused(void **state)
{
    struct fixture *f = *state;
    loam_coll *gone;
    const loam_if none = {0}, hollow = {.kind = LOAM_IF_EQUAL, .value = {NULL, 3}};
    expect_status(LOAM_INVALID, loam_put_if(f->db, NULL, loam_str("k"), loam_str("v"), NULL, NULL));
    expect_failure(LOAM_INVALID, "condition 0", put_if(f->db, "k", "v", none, NULL));
    expect_failure(LOAM_INVALID, "no data", put_if(f->db, "k", "v", hollow, NULL));
    expect_status(LOAM_INVALID, loam_delete_if(f->db, NULL, loam_str("k"), NULL));
    expect_ok(loam_create(f->db, "gone", NULL, &gone));
    expect_ok(loam_drop(f->db, "gone"));
    expect_status(LOAM_MISUSE,
                  loam_put_if(f->db, gone, loam_str("k"), loam_str("v"), &ABSENT, NULL));
    char *large = calloc(1, 70000);
    expect_status(LOAM_TOOBIG,
                  loam_put_if(f->db, NULL, loam_bytes(large, 70000), loam_str("v"), &ABSENT, NULL));
    free(large);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
}

/* ---- many threads, one key ------------------------------------------------------------------- */

enum { THREADS = 4, STEPS = 3000 };

static void *count_up(void *arg)
{
    loam_db *db = arg;
    loam_buf value = {0};
    for (int done = 0; done < STEPS;) {
        char text[24] = "";
        expect_ok(loam_get(db, NULL, loam_str("counter"), &value));
        memcpy(text, value.data, value.len);
        const loam_if same = {.kind = LOAM_IF_EQUAL, .value = loam_bytes(value.data, value.len)};
        char next[24];
        snprintf(next, sizeof next, "%ld", strtol(text, NULL, 10) + 1);
        const loam_status rc =
            loam_put_if(db, NULL, loam_str("counter"), loam_str(next), &same, NULL);
        assert_true(rc == LOAM_OK || rc == LOAM_CONFLICT);
        done += rc == LOAM_OK;
    }
    loam_buf_free(&value);
    return NULL;
}

static void *put_others(void *arg)
{
    loam_db *db = arg;
    char key[24];
    for (int i = 0; i < STEPS; i++) {
        snprintf(key, sizeof key, "other %d", i);
        put_text(db, NULL, key, key);
    }
    return NULL;
}

static void counters_lose_nothing(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS + 1];
    char total[24];
    put_text(f->db, NULL, "counter", "0");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, f->db), 0);
    assert_int_equal(pthread_create(&threads[THREADS], NULL, put_others, f->db), 0);
    for (int i = 0; i <= THREADS; i++)
        pthread_join(threads[i], NULL);
    snprintf(total, sizeof total, "%d", THREADS * STEPS);
    expect_text(f->db, NULL, "counter", total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(only_what_is_absent_is_put),
        test_open(only_an_equal_value_is_replaced),
        test_open(a_sequence_number_tells_whether_anybody_has_put),
        test_open(deletes_have_conditions_too),
        test_open(nonsense_is_refused),
        test_open(counters_lose_nothing),
    };
    return cmocka_run_group_tests_name("api: conditions", tests, NULL, NULL);
}
