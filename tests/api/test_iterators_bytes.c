/*
 * test_iterators_bytes.c - prefixes and bounds of every byte, many versions, long scans both ways, and damage.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* How many keys a range holds, forward and backward. */
static int count_range(struct fixture *f, const loam_range *range)
{
    loam_iter *it;
    int forward = 0, backward = 0;
    expect_ok(loam_iter_open(f->db, NULL, range, &it));
    while (loam_iter_next(it) == LOAM_OK)
        forward++;
    loam_iter_close(it);
    expect_ok(loam_iter_open(f->db, NULL, range, &it));
    while (loam_iter_prev(it) == LOAM_OK)
        backward++;
    loam_iter_close(it);
    assert_int_equal(forward, backward);
    return forward;
}

static void a_prefix_of_any_bytes_finds_what_begins_with_it(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t len;
        int count;
    } cases[] = {{"", 0, 258},
                 {"\0", 1, 1},
                 {"a", 1, 1},
                 {"\xfe", 1, 1},
                 {"\xff", 1, 3},
                 {"\xff\xff", 2, 2},
                 {"\xff\xff\xff", 3, 1},
                 {"\xff\xff\xff\xff", 4, 0},
                 {"aa", 2, 0}};
    for (int i = 0; i < 256; i++) {
        const uint8_t key = (uint8_t)i;
        expect_ok(loam_put(f->db, NULL, loam_bytes(&key, 1), loam_str("v")));
        if (i == 128) expect_ok(loam_flush(f->db, NULL));
    }
    expect_ok(loam_put(f->db, NULL, loam_bytes("\xff\xff", 2), loam_str("v")));
    expect_ok(loam_put(f->db, NULL, loam_bytes("\xff\xff\xff", 3), loam_str("v")));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const loam_range range = {.prefix = loam_bytes(cases[i].bytes, cases[i].len)};
            assert_int_equal(count_range(f, &range), cases[i].count);
        }
        expect_ok(loam_compact(f->db, NULL, NULL));
    }
}

static void a_prefix_before_ff_ends_at_the_next_byte(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a\xff", "v");
    put_text(f->db, NULL, "a\xff\xff", "v");
    put_text(f->db, NULL, "a\xfe\xff", "v");
    put_text(f->db, NULL, "b", "v");
    const loam_range range = {.prefix = loam_str("a\xff")};
    assert_int_equal(count_range(f, &range), 2);
    const loam_range wider = {.prefix = loam_str("a")};
    assert_int_equal(count_range(f, &wider), 3);
}

static void the_empty_key_is_the_first(void **state)
{
    struct fixture *f = *state;
    loam_iter *it;
    put_text(f->db, NULL, "", "empty");
    put_text(f->db, NULL, "a", "v");
    for (int round = 0; round < 2; round++) {
        expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
        expect_ok(loam_iter_first(it));
        assert_non_null(loam_iter_key(it).data); /* it stands somewhere */
        assert_int_equal(loam_iter_key(it).len, 0);
        assert_memory_equal(loam_iter_value(it).data, "empty", 5);
        expect_status(LOAM_NOTFOUND, loam_iter_prev(it));
        expect_ok(loam_iter_seek(it, loam_bytes(NULL, 0)));
        assert_int_equal(loam_iter_key(it).len, 0);
        expect_ok(loam_iter_next(it));
        expect_ok(loam_iter_prev(it));
        assert_memory_equal(loam_iter_value(it).data, "empty", 5);
        expect_ok(loam_iter_seek_back(it, loam_bytes(NULL, 0)));
        assert_memory_equal(loam_iter_value(it).data, "empty", 5);
        loam_iter_close(it);
        expect_ok(loam_flush(f->db, NULL));
    }
}

static void many_versions_and_tombstones_are_passed_over(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snap;
    char key[16], value[16];
    expect_ok(loam_snapshot_open(f->db, &snap)); /* keeps every version */
    for (int version = 0; version < 200; version++) {
        for (int i = 0; i < 5; i++) {
            snprintf(key, sizeof key, "k%d", i);
            snprintf(value, sizeof value, "%d", version);
            if (version % 7 == 2)
                expect_ok(loam_delete(f->db, NULL, loam_str(key)));
            else
                put_text(f->db, NULL, key, value);
        }
        if (version == 90) expect_ok(loam_flush(f->db, NULL));
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "x%05d", i);
        expect_ok(loam_delete(f->db, NULL, loam_str(key)));
    }
    put_text(f->db, NULL, "z", "199");
    for (int round = 0; round < 3; round++) {
        assert_string_equal(keys_forward(f->db, NULL, NULL), "k0 k1 k2 k3 k4 z");
        assert_string_equal(keys_backward(f->db, NULL, NULL), "z k4 k3 k2 k1 k0");
        expect_text(f->db, NULL, "k3", "199");
        if (round == 0) expect_ok(loam_flush(f->db, NULL));
        if (round == 1) expect_ok(loam_compact(f->db, NULL, NULL));
    }
    const loam_range at = {.at = snap};
    assert_string_equal(keys_forward(f->db, NULL, &at), "");
    loam_snapshot_close(snap);
}

/* Each step is asked of an array: next and prev at random, over several runs and memtables. */
static void a_random_walk_stands_where_it_should(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 3000 };
    bool there[KEYS] = {false};
    char key[16];
    unsigned seed = 12345;
    loam_iter *it;
    for (int i = 0; i < 9000; i++) {
        const unsigned number = (seed = seed * 1103515245 + 12345) / 65536 % KEYS;
        snprintf(key, sizeof key, "%06u", number);
        there[number] = i % 3 != 0;
        if (there[number])
            put_text(f->db, NULL, key, key);
        else
            expect_ok(loam_delete(f->db, NULL, loam_str(key)));
        if (i % 2000 == 1999) expect_ok(loam_flush(f->db, NULL));
    }
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    int at = -1;
    for (int i = 0; i < 30000; i++) {
        seed = seed * 1103515245 + 12345;
        const bool forward = seed / 65536 % 8 < (i / 1000 % 2 == 0 ? 5 : 3);
        const int step = forward ? 1 : -1;
        if (at < 0 && !forward && i == 0) at = KEYS;
        do {
            at += step;
        } while (at >= 0 && at < KEYS && !there[at]);
        if (at < -1) at = -1;
        if (at > KEYS) at = KEYS;
        const loam_status rc = forward ? loam_iter_next(it) : loam_iter_prev(it);
        const bool inside = at >= 0 && at < KEYS;
        expect_status(inside ? LOAM_OK : LOAM_NOTFOUND, rc);
        if (!inside) continue;
        snprintf(key, sizeof key, "%06d", at);
        assert_memory_equal(loam_iter_key(it).data, key, 6);
        assert_memory_equal(loam_iter_value(it).data, key, 6);
    }
    loam_iter_close(it);
}

static void a_key_and_a_value_are_valid_until_the_next_move(void **state)
{
    struct fixture *f = *state;
    char key[24];
    loam_iter *it;
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%06d", i);
        put_text(f->db, NULL, key, "v");
    }
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    expect_ok(loam_iter_seek(it, loam_str("001000")));
    const loam_slice held = loam_iter_key(it);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%06d", i);
        put_text(f->db, NULL, key, "another");
    }
    expect_ok(loam_compact(f->db, NULL, NULL));
    assert_memory_equal(held.data, "001000", 6);
    expect_ok(loam_iter_seek(it, loam_iter_key(it))); /* its own key may be given back to it */
    assert_memory_equal(loam_iter_key(it).data, "001000", 6);
    expect_ok(loam_iter_prev(it));
    expect_ok(loam_iter_seek(it, loam_iter_key(it)));
    assert_memory_equal(loam_iter_key(it).data, "000999", 6);
    expect_ok(loam_iter_prev(it));
    expect_ok(loam_iter_seek_back(it, loam_iter_key(it)));
    assert_memory_equal(loam_iter_key(it).data, "000998", 6);
    loam_iter_close(it);
}

static void a_failure_sticks_and_is_no_end(void **state)
{
    struct fixture *f = *state;
    char key[24], path[512];
    loam_iter *it;
    loam_status rc;
    uint8_t *value = fixture_bytes(500, 1);
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "%06d", i);
        expect_ok(loam_put(f->db, NULL, loam_str(key), loam_bytes(value, 500)));
    }
    free(value);
    expect_ok(loam_flush(f->db, NULL));
    fixture_close(f);
    assert_true(fixture_find_file(f, ".sst", path));
    fixture_flip_byte(path, 1000000);
    fixture_open(f, NULL);
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    while ((rc = loam_iter_next(it)) == LOAM_OK) {
    }
    expect_failure(LOAM_CORRUPT, strrchr(path, '/') + 1, rc);
    assert_null(loam_iter_key(it).data);
    expect_failure(LOAM_CORRUPT, strrchr(path, '/') + 1, loam_iter_next(it));
    expect_status(LOAM_CORRUPT, loam_iter_prev(it));
    expect_status(LOAM_CORRUPT, loam_iter_first(it));
    expect_status(LOAM_CORRUPT, loam_iter_seek(it, loam_str("0")));
    loam_iter_close(it);
    expect_text(f->db, NULL, "no such key", NULL); /* the database goes on */
    put_text(f->db, NULL, "k", "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_prefix_of_any_bytes_finds_what_begins_with_it),
        test_open(a_prefix_before_ff_ends_at_the_next_byte),
        test_open(the_empty_key_is_the_first),
        test_open(many_versions_and_tombstones_are_passed_over),
        test_open(a_random_walk_stands_where_it_should),
        test_open(a_key_and_a_value_are_valid_until_the_next_move),
        test_open(a_failure_sticks_and_is_no_end),
    };
    return cmocka_run_group_tests_name("api/iterators_bytes", tests, NULL, NULL);
}
