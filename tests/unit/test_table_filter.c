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
    assert_true(locator_build(raw, &(struct locator_source){hashes, places, count}));
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
    assert_true(table_filter_counts(&filter, count));
    assert_false(table_filter_counts(&filter, count - 1));
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
    check_locator(600000, 0, 4063); /* as in a table of 64 MiB: no key goes too far */
    check_locator(50000, 1, 0);
}

/* A hash whose bucket is this one. */
static uint64_t hash_for(uint64_t bucket_count, uint64_t bucket)
{
    const struct table_locator locator = {.bucket_count = bucket_count};
    uint64_t hash = 1;
    while (locator_bucket_index(&locator, hash) != bucket)
        hash++;
    return hash;
}

/* All hashes are one of two: every key goes on to the next bucket, and round the end, but not for ever. */
static void buckets_that_are_full_spill(void **state)
{
    enum { MOST = LOCATOR_WALK_BUCKETS * LOCATOR_BUCKET_KEYS, COUNT = 2 * MOST };
    static uint64_t hashes[COUNT];
    static uint32_t places[COUNT];
    static uint8_t raw[COUNT * LOCATOR_BUCKET_BYTES];
    static bool seen[COUNT];
    struct table_filter filter;
    struct located at;
    size_t seen_count = 0, steps = 0;
    (void)state;
    const uint64_t bytes = locator_bytes(COUNT);
    const uint64_t bucket_count = (bytes - FILTER_HEADER_BYTES) / LOCATOR_BUCKET_BYTES;
    const uint64_t last = hash_for(bucket_count, bucket_count - 1);
    const uint64_t middle = hash_for(bucket_count, bucket_count / 2);
    assert_true(bytes <= sizeof raw);
    for (uint32_t i = 0; i < COUNT; i++) {
        hashes[i] = i % 2 == 0 ? last : middle;
        places[i] = i << 16 | 100;
    }
    assert_true(locator_build(raw, &(struct locator_source){hashes, places, COUNT}));
    assert_null(table_filter_open(&filter, loam_bytes(raw, (size_t)bytes)));
    struct locator_walk walk = locator_begin(&filter.locator, last);
    while (locator_next(&filter.locator, last, &walk, &at)) {
        assert_true(at.page < COUNT && at.page % 2 == 0 && at.offset == 100 && !seen[at.page]);
        seen[at.page] = true;
        seen_count++;
    }
    assert_int_equal(seen_count, MOST);
    hashes[1] = last; /* one too many */
    assert_false(locator_build(raw, &(struct locator_source){hashes, places, COUNT}));
    /* Every bucket holds that key and says that it has spilled, which no builder writes: a walk ends all the same. */
    for (uint64_t bucket = FILTER_HEADER_BYTES; bucket < bytes; bucket += LOCATOR_BUCKET_BYTES) {
        raw[bucket + LOCATOR_SPILLED_AT] = 1;
        raw[bucket + LOCATOR_COUNT_AT] = 0xff;
        memset(raw + bucket, 0xff, LOCATOR_BUCKET_KEYS);
        memset(raw + bucket + LOCATOR_PLACES_AT, 0xff, (size_t)4 * LOCATOR_BUCKET_KEYS);
    }
    walk = locator_begin(&filter.locator, UINT64_MAX);
    while (steps <= COUNT && locator_next(&filter.locator, UINT64_MAX, &walk, &at))
        steps++;
    assert_int_equal(steps, MOST);
}

/* As of keys that are spread over stores by the first bits of the same hash. */
static void hashes_that_begin_alike_fill_all_buckets(void **state)
{
    enum { COUNT = 50000 };
    static uint64_t hashes[COUNT];
    static uint32_t places[COUNT];
    uint8_t *raw = malloc((size_t)locator_bytes(COUNT));
    (void)state;
    assert_non_null(raw);
    for (unsigned bits = 0; bits <= 16; bits += 4) {
        for (uint64_t i = 0; i < COUNT; i++)
            hashes[i] = hash_key(loam_bytes(&i, sizeof i)) >> bits;
        assert_true(locator_build(raw, &(struct locator_source){hashes, places, COUNT}));
        uint64_t spilled = 0;
        for (uint64_t at = FILTER_HEADER_BYTES; at < locator_bytes(COUNT);
             at += LOCATOR_BUCKET_BYTES)
            spilled += raw[at + LOCATOR_SPILLED_AT];
        assert_true(spilled < COUNT / 9 / 5); /* a seventh is usual */
    }
    free(raw);
}

static void headers_that_no_writer_writes_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } cases[] = {{0, 3, "unknown filter type"},
                 {0, 0, "unknown filter type"},
                 {1, 17, "impossible places of a locator"},
                 {1, 255, "impossible places of a locator"},
                 {2, 17, "impossible places of a locator"},
                 {3, 1, "impossible places of a locator"},
                 {4, 0, "impossible locator length"},
                 {4, 3, "impossible locator length"},
                 {7, 1, "impossible locator length"}};
    const uint64_t hashes[10] = {0};
    const uint32_t places[10] = {0};
    uint8_t raw[1024];
    struct table_filter filter;
    (void)state;
    const size_t len = (size_t)locator_bytes(10);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(locator_build(raw, &(struct locator_source){hashes, places, 10}));
        assert_null(table_filter_open(&filter, loam_bytes(raw, len)));
        raw[cases[i].at] = cases[i].value;
        assert_string_equal(table_filter_open(&filter, loam_bytes(raw, len)), cases[i].what);
    }
    raw[7] = 0;
    assert_string_equal(table_filter_open(&filter, loam_bytes(raw, 63)), "too short for a filter");
    assert_string_equal(table_filter_open(&filter, loam_bytes(raw, len - 1)),
                        "impossible locator length");
}

/* The type of the filter of a table of so many keys; of the first bucket alone: keys that are chosen for it. */
static uint8_t filter_type_of(unsigned key_count, const struct table_writer_options *options,
                              bool of_the_first_bucket)
{
    const struct table_locator locator = {
        .bucket_count = (locator_bytes(key_count) - FILTER_HEADER_BYTES) / LOCATOR_BUCKET_BYTES};
    struct sst_lab lab;
    struct sst_rows rows = {0};
    struct table_meta meta;
    struct table *table = NULL;
    size_t at = 0;
    sst_lab_open(&lab, 1 << 20);
    for (unsigned i = 0; rows.count < (size_t)2 * key_count; i++) {
        char text[9];
        snprintf(text, sizeof text, "%08u", i);
        const loam_slice key = loam_bytes(text, 8);
        if (of_the_first_bucket && locator_bucket_index(&locator, hash_key(key)) != 0) continue;
        sst_rows_add(&rows, key, 2, ENTRY_PUT, loam_str("new"));
        sst_rows_add(&rows, key, 1, ENTRY_PUT, loam_str("old"));
    }
    assert_ok(sst_build(&lab, &rows, options, &meta));
    assert_ok(sst_table(&lab, &meta, &table));
    assert_ok(table_verify(table, NULL, NULL));
    for (size_t i = 0; i < rows.count; i += rows.count / 50 + 1)
        assert_int_equal(sst_check_get(table, &rows, rows.at[i].key, rows.at[i].seq), SST_RIGHT);
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

static void what_cannot_have_a_locator_has_a_filter(void **state)
{
    enum { WALK_MOST = LOCATOR_WALK_BUCKETS * LOCATOR_BUCKET_KEYS };
    struct table_writer_options options = {LOAM_UNCOMPRESSED, 10, 256, 0};
    (void)state;
    assert_int_equal(filter_type_of(300, &options, false), FILTER_BLOOM);
    options.located_max = 299;
    assert_int_equal(filter_type_of(300, &options, false), FILTER_BLOOM);
    options.located_max = 300;
    assert_int_equal(filter_type_of(300, &options, false), FILTER_LOCATOR);
    options.located_max = UINT64_MAX;
    assert_int_equal(filter_type_of(1, &options, false), FILTER_LOCATOR);
    assert_int_equal(filter_type_of(WALK_MOST, &options, true), FILTER_LOCATOR);
    assert_int_equal(filter_type_of(WALK_MOST + 1, &options, true), FILTER_BLOOM);
    options.page_bytes = 64; /* a page for each entry */
    assert_int_equal(filter_type_of(LOCATOR_PAGES_MAX / 2, &options, false), FILTER_LOCATOR);
    assert_int_equal(filter_type_of(LOCATOR_PAGES_MAX / 2 + 1, &options, false), FILTER_BLOOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_knows_its_keys_and_denies_most_others),
        cmocka_unit_test(the_locator_knows_where_its_keys_are),
        cmocka_unit_test(buckets_that_are_full_spill),
        cmocka_unit_test(hashes_that_begin_alike_fill_all_buckets),
        cmocka_unit_test(headers_that_no_writer_writes_are_refused),
        cmocka_unit_test(what_cannot_have_a_locator_has_a_filter),
    };
    return cmocka_run_group_tests_name("unit/table_filter", tests, NULL, NULL);
}
