/*
 * test_table_filter.c - filters deny what is not there, locators say where the rest is, and writers choose between the two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../lib/sst_lab.h"
#include "base/hash.h"
#include "sstable/table_filter.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

static void the_filter_knows_its_keys_and_denies_most_others(void **state)
{
    static uint64_t hashes[50000];
    enum { COUNT = sizeof hashes / sizeof hashes[0] };
    struct table_filter filter;
    uint64_t passed = 0;
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        hashes[i] = hash_key(loam_bytes(&i, sizeof i));
    const uint64_t bytes = table_filter_bytes(COUNT, 10);
    uint8_t *raw = malloc((size_t)bytes);
    assert_non_null(raw);
    table_filter_build(raw, bytes, hashes, COUNT);
    assert_null(table_filter_open(&filter, loam_bytes(raw, (size_t)bytes)));
    for (uint64_t i = 0; i < COUNT; i++)
        assert_false(table_filter_denies(&filter, hashes[i]));
    for (uint64_t i = COUNT; i < (uint64_t)3 * COUNT; i++)
        passed += !table_filter_denies(&filter, hash_key(loam_bytes(&i, sizeof i)));
    assert_true(passed < 2 * COUNT * 12 / 1000); /* 1.2 %; 0.95 is usual */
    free(raw);
}

/* Of so many keys, each at a place of its own. */
static void check_locator(uint32_t count, uint32_t page_step, uint32_t offset_most)
{
    const uint64_t bytes = locator_bytes(count);
    uint64_t *hashes = malloc(count * sizeof *hashes), passed = 0;
    uint32_t *places = malloc(count * sizeof *places);
    uint8_t *raw = malloc((size_t)bytes);
    struct table_filter filter;
    assert_true(hashes != NULL && places != NULL && raw != NULL);
    for (uint64_t i = 0; i < count; i++) {
        hashes[i] = hash_key(loam_bytes(&i, sizeof i));
        places[i] = (uint32_t)(i * page_step) << 16 | (uint32_t)(i * 7919 % (offset_most + 1));
    }
    locator_build(raw, &(struct locator_source){hashes, places, count});
    assert_null(table_filter_open(&filter, loam_bytes(raw, (size_t)bytes)));
    for (uint64_t i = 0; i < count; i++) {
        const struct located at = {places[i] >> 16, places[i] & 0xffff};
        struct located other = at;
        assert_false(table_filter_denies(&filter, hashes[i]));
        assert_true(table_filter_knows(&filter, hashes[i], at));
        other.page++;
        assert_false(table_filter_knows(&filter, hashes[i], other));
        other = (struct located){at.page, at.offset ^ 1};
        assert_false(table_filter_knows(&filter, hashes[i], other));
    }
    for (uint64_t i = count; i < (uint64_t)3 * count; i++)
        passed += !table_filter_denies(&filter, hash_key(loam_bytes(&i, sizeof i)));
    assert_true(passed <=
                2 * (uint64_t)count * 5 / 100 + 1); /* 3.6 % when places take all 32 bits */
    if (page_step == 0) assert_true(passed <= 2 * (uint64_t)count / 1000);
    free(hashes);
    free(places);
    free(raw);
}

static void the_locator_knows_where_its_keys_are(void **state)
{
    (void)state;
    check_locator(1, 0, 0);
    check_locator(9, 1, 4063);
    check_locator(10, 1, 65535);
    check_locator(65536, 1, 65535);
    check_locator(50000, 0, 4063);
    check_locator(50000, 1, 0);
}

/* All hashes are one: every key goes on to the next bucket, and round the end. */
static void buckets_that_are_full_spill(void **state)
{
    enum { COUNT = 100 };
    static uint64_t hashes[COUNT];
    static uint32_t places[COUNT];
    uint8_t raw[4096];
    struct table_filter filter;
    bool seen[COUNT] = {false};
    struct located at;
    size_t seen_count = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        hashes[i] = UINT64_MAX; /* of the last bucket */
        places[i] = i << 16 | 100;
    }
    const uint64_t bytes = locator_bytes(COUNT);
    assert_true(bytes <= sizeof raw);
    locator_build(raw, &(struct locator_source){hashes, places, COUNT});
    assert_null(table_filter_open(&filter, loam_bytes(raw, (size_t)bytes)));
    struct locator_walk walk = locator_begin(&filter.locator, UINT64_MAX);
    while (locator_next(&filter.locator, UINT64_MAX, &walk, &at)) {
        assert_true(at.page < COUNT && at.offset == 100 && !seen[at.page]);
        seen[at.page] = true;
        seen_count++;
    }
    assert_int_equal(seen_count, COUNT);
    /* Every bucket says that it has spilled, which no builder writes: a walk ends all the same. */
    for (uint64_t bucket = FILTER_HEADER_BYTES; bucket < bytes; bucket += LOCATOR_BUCKET_BYTES)
        raw[bucket + LOCATOR_SPILLED_AT] = 1;
    assert_true(table_filter_denies(&filter, 1));
}

/* The type of the filter of a table of so many keys. */
static uint8_t filter_type_of(unsigned key_count, uint64_t located_max)
{
    const struct table_writer_options options = {LOAM_UNCOMPRESSED, 10, 256, located_max};
    struct sst_lab lab;
    struct sst_rows rows = {0};
    struct table_meta meta;
    struct table *table = NULL;
    size_t at = 0;
    sst_lab_open(&lab, 1 << 20);
    for (unsigned i = 0; i < key_count; i++) {
        char key[9];
        snprintf(key, sizeof key, "%08u", i);
        sst_rows_add(&rows, loam_bytes(key, 8), 2, ENTRY_PUT, loam_str("new"));
        sst_rows_add(&rows, loam_bytes(key, 8), 1, ENTRY_PUT, loam_str("old"));
    }
    assert_ok(sst_build(&lab, &rows, &options, &meta));
    assert_ok(sst_table(&lab, &meta, &table));
    assert_ok(table_verify(table, NULL, NULL));
    uint8_t *bytes = sst_table_bytes(&lab, &meta);
    while (bytes[at + 4] != BLOCK_FILTER)
        at += BLOCK_HEADER_BYTES + get_u32(bytes + at + 12);
    const uint8_t type = bytes[at + BLOCK_HEADER_BYTES];
    free(bytes);
    table_unref(table);
    table_meta_deinit(&meta);
    sst_rows_free(&rows);
    sst_lab_close(&lab);
    return type;
}

static void more_keys_than_may_be_located_have_a_filter(void **state)
{
    (void)state;
    assert_int_equal(filter_type_of(300, 0), FILTER_BLOOM);
    assert_int_equal(filter_type_of(300, 299), FILTER_BLOOM);
    assert_int_equal(filter_type_of(300, 300), FILTER_LOCATOR);
    assert_int_equal(filter_type_of(1, UINT64_MAX), FILTER_LOCATOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_knows_its_keys_and_denies_most_others),
        cmocka_unit_test(the_locator_knows_where_its_keys_are),
        cmocka_unit_test(buckets_that_are_full_spill),
        cmocka_unit_test(more_keys_than_may_be_located_have_a_filter),
    };
    return cmocka_run_group_tests_name("unit/table_filter", tests, NULL, NULL);
}
