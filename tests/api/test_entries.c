/*
 * test_entries.c - put, get, delete and exists, for keys and values of every allowed length.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void many_keys_are_answered_each(void **state)
{
    struct fixture *f = *state;
    char text[100][16];
    loam_lookup lookups[100] = {{.answer = LOAM_OK}};
    for (size_t i = 0; i < 100; i++) {
        snprintf(text[i], sizeof text[i], "key%zu", i);
        lookups[i].key = loam_str(text[i]);
        if (i % 3 > 0) expect_ok(loam_put(f->db, NULL, lookups[i].key, lookups[i].key));
        if (i == 50) expect_ok(loam_flush(f->db, NULL));
    }
    lookups[7].key = loam_bytes(NULL, 3);
    expect_status(LOAM_INVALID, loam_multi_get(f->db, NULL, NULL, lookups, 100, 0));
    for (size_t i = 0; i < 100; i++) {
        const loam_lookup *got = &lookups[i];
        const loam_status want = i == 7 ? LOAM_INVALID : i % 3 > 0 ? LOAM_OK : LOAM_NOTFOUND;
        assert_int_equal(got->answer, want);
        if (want == LOAM_OK) assert_int_equal(got->value.len, got->key.len);
        if (want == LOAM_OK) assert_memory_equal(got->value.data, got->key.data, got->key.len);
        loam_buf_free(&lookups[i].value);
    }
    expect_ok(loam_multi_get(f->db, NULL, NULL, NULL, 0, 0));
    expect_status(LOAM_INVALID, loam_multi_get(f->db, NULL, NULL, NULL, 1, 0));
    expect_status(LOAM_INVALID, loam_multi_get(f->db, NULL, NULL, lookups, 1, 8));
}

static void put_replaces_get_finds_delete_removes(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    expect_text(f->db, NULL, "k", NULL);
    expect_status(LOAM_NOTFOUND, loam_exists(f->db, NULL, loam_str("k")));
    put_text(f->db, NULL, "k", "one");
    expect_text(f->db, NULL, "k", "one");
    expect_ok(loam_exists(f->db, NULL, loam_str("k")));
    put_text(f->db, NULL, "k", "two");
    expect_text(f->db, NULL, "k", "two");
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    expect_text(f->db, NULL, "k", NULL);
    expect_status(LOAM_NOTFOUND, loam_get(f->db, NULL, loam_str("k"), &value));
    put_text(f->db, NULL, "k", "three");
    expect_text(f->db, NULL, "k", "three");
    loam_buf_free(&value);
}

static void deleting_what_is_absent_is_ok(void **state)
{
    struct fixture *f = *state;
    expect_ok(loam_delete(f->db, NULL, loam_str("never there")));
    expect_ok(loam_delete(f->db, NULL, loam_str("never there")));
    expect_ok(loam_delete(f->db, NULL, loam_bytes(NULL, 0)));
}

static void a_delete_hides_what_older_tables_hold(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "k", "v");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_delete(f->db, NULL, loam_str("k")));
    expect_text(f->db, NULL, "k", NULL);
    expect_ok(loam_flush(f->db, NULL));
    expect_text(f->db, NULL, "k", NULL);
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_text(f->db, NULL, "k", NULL);
    fixture_reopen(f);
    expect_text(f->db, NULL, "k", NULL);
}

static void keys_are_bytes(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    static const struct {
        const char *bytes;
        size_t len;
    } keys[] = {{"", 0},     {"\0", 1},     {"\0\0", 2},         {"\0\1", 2},
                {"a\0b", 3}, {"a\0c", 3},   {"\x7f", 1},         {"\x80", 1},
                {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff\xff", 3}, {"a/b\n", 4}};
    enum { COUNT = sizeof keys / sizeof keys[0] };
    for (size_t i = 0; i < COUNT; i++)
        expect_ok(loam_put(f->db, NULL, loam_bytes(keys[i].bytes, keys[i].len),
                           loam_bytes(&i, sizeof i)));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            expect_ok(loam_get(f->db, NULL, loam_bytes(keys[i].bytes, keys[i].len), &value));
            assert_int_equal(value.len, sizeof i);
            assert_memory_equal(value.data, &i, sizeof i);
        }
        expect_status(LOAM_NOTFOUND, loam_get(f->db, NULL, loam_bytes("\0\0\0", 3), &value));
        if (round == 0) expect_ok(loam_flush(f->db, NULL));
        if (round == 1) fixture_reopen(f);
    }
    loam_buf_free(&value);
}

static void keys_are_ordered_by_memcmp_then_length(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"",          "A",  "Z", "a",    "a ",   "aa",
                                       "aaaaaaaaa", "ab", "b", "\x7f", "\x80", "\xff"};
    enum { COUNT = sizeof keys / sizeof keys[0] };
    loam_iter *it;
    for (size_t i = 0; i < COUNT; i++) {
        put_text(f->db, NULL, keys[i * 5 % COUNT], "v");
        if (i == COUNT / 2) expect_ok(loam_flush(f->db, NULL));
    }
    expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
    for (size_t i = 0; i < COUNT; i++) {
        expect_ok(loam_iter_next(it));
        assert_int_equal(loam_iter_key(it).len, strlen(keys[i]));
        if (i > 0) assert_memory_equal(loam_iter_key(it).data, keys[i], strlen(keys[i]));
    }
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    loam_iter_close(it);
}

/* ---- lengths ----------------------------------------------------------------------------------- */

static void check_value(struct fixture *f, loam_slice key, size_t value_bytes)
{
    loam_buf found = {0};
    uint8_t *value = fixture_bytes(value_bytes, key.len);
    expect_ok(loam_get(f->db, NULL, key, &found));
    assert_int_equal(found.len, value_bytes);
    if (value_bytes > 0) assert_true(memcmp(found.data, value, value_bytes) == 0);
    expect_ok(loam_exists(f->db, NULL, key));
    loam_buf_free(&found);
    free(value);
}

static void put_value(struct fixture *f, loam_slice key, size_t value_bytes)
{
    uint8_t *value = fixture_bytes(value_bytes, key.len);
    expect_ok(loam_put(f->db, NULL, key, loam_bytes(value, value_bytes)));
    free(value);
}

static void keys_have_0_to_65535_bytes(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {0,    1,    7,    8,    9,     255,   256,   4095,
                                     4096, 4097, 8191, 9000, 16384, 32768, 65534, 65535};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    uint8_t *key = fixture_bytes(65536, 1);
    for (size_t i = 0; i < COUNT; i++)
        put_value(f, loam_bytes(key, lengths[i]), lengths[i] % 1000);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT; i++)
            check_value(f, loam_bytes(key, lengths[i]), lengths[i] % 1000);
        expect_status(LOAM_NOTFOUND, loam_exists(f->db, NULL, loam_bytes(key, 65533)));
        if (round == 0) expect_ok(loam_flush(f->db, NULL));
        if (round == 1) fixture_reopen(f);
        if (round == 2) expect_ok(loam_compact(f->db, NULL, NULL));
    }
    free(key);
}

static void a_key_of_65536_bytes_is_too_big_to_write_and_never_there(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    uint8_t *key = fixture_bytes(65536, 1);
    const loam_slice long_key = loam_bytes(key, 65536);
    expect_failure(LOAM_TOOBIG, "65536", loam_put(f->db, NULL, long_key, loam_str("v")));
    expect_status(LOAM_TOOBIG, loam_delete(f->db, NULL, long_key));
    const loam_status got = loam_get(f->db, NULL, long_key, &value);
    assert_true(got == LOAM_NOTFOUND || got == LOAM_TOOBIG);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
    loam_buf_free(&value);
    free(key);
}

static void values_around_every_page_size_come_back(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {0,      1,      2,      100,     2047,    2048,   2049,
                                     4095,   4096,   4097,   8191,    8192,    16383,  16384,
                                     16385,  32768,  65534,  65535,   65536,   65537,  99999,
                                     131071, 131072, 131073, 1048575, 1048576, 1048577};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    char key[16];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%zu", lengths[i]);
        put_value(f, loam_str(key), lengths[i]);
    }
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            snprintf(key, sizeof key, "%zu", lengths[i]);
            check_value(f, loam_str(key), lengths[i]);
        }
        if (round == 0) fixture_reopen(f);
        if (round == 1) expect_ok(loam_flush(f->db, NULL));
        if (round == 2) expect_ok(loam_compact(f->db, NULL, NULL));
    }
}

static void an_empty_value_is_a_value(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    expect_ok(loam_put(f->db, NULL, loam_str("k"), loam_bytes(NULL, 0)));
    expect_ok(loam_exists(f->db, NULL, loam_str("k")));
    expect_ok(loam_get(f->db, NULL, loam_str("k"), &value));
    assert_int_equal(value.len, 0);
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_get(f->db, NULL, loam_str("k"), &value));
    assert_int_equal(value.len, 0);
    loam_buf_free(&value);
}

static void a_value_over_1_gib_is_too_big_without_being_read(void **state)
{
    struct fixture *f = *state;
    static const char nothing[1];
    loam_batch *batch = loam_batch_new();
    const loam_slice huge = loam_bytes(nothing, (1u << 30) + 1u);
    expect_failure(LOAM_TOOBIG, "1073741825", loam_put(f->db, NULL, loam_str("k"), huge));
    expect_status(LOAM_TOOBIG, loam_put(f->db, NULL, loam_str("k"), loam_bytes(nothing, SIZE_MAX)));
    expect_status(LOAM_TOOBIG, loam_batch_put(batch, NULL, loam_str("k"), huge));
    expect_text(f->db, NULL, "k", NULL);
    loam_batch_free(batch);
}

static void many_small_entries_come_back_from_memory_and_tables(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 30000 };
    loam_options options = fixture_options();
    char key[24], value[24];
    options.memtable_bytes = 256 << 10;
    fixture_close(f);
    fixture_open(f, &options);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%08u", i * 7919 % COUNT);
        snprintf(value, sizeof value, "value %u", i * 7919 % COUNT);
        put_text(f->db, NULL, key, value);
    }
    for (unsigned i = 0; i < COUNT; i += 3) {
        snprintf(key, sizeof key, "%08u", i);
        expect_ok(loam_delete(f->db, NULL, loam_str(key)));
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            snprintf(key, sizeof key, "%08u", i);
            snprintf(value, sizeof value, "value %u", i);
            expect_text(f->db, NULL, key, i % 3 == 0 ? NULL : value);
        }
        fixture_close(f);
        fixture_open(f, &options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(put_replaces_get_finds_delete_removes),
        test_open(many_keys_are_answered_each),
        test_open(deleting_what_is_absent_is_ok),
        test_open(a_delete_hides_what_older_tables_hold),
        test_open(keys_are_bytes),
        test_open(keys_are_ordered_by_memcmp_then_length),
        test_open(keys_have_0_to_65535_bytes),
        test_open(a_key_of_65536_bytes_is_too_big_to_write_and_never_there),
        test_open(values_around_every_page_size_come_back),
        test_open(an_empty_value_is_a_value),
        test_open(a_value_over_1_gib_is_too_big_without_being_read),
        test_open(many_small_entries_come_back_from_memory_and_tables),
    };
    return cmocka_run_group_tests_name("api/entries", tests, NULL, NULL);
}
