/*
 * test_edit_golden.c - the bytes of edits and of the root, as they stand in stores that were
 * written: they never change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tree/edit.h"
#include "tree/root.h"

static void expect_hex(const void *bytes, size_t len, const char *hex)
{
    char text[2 * 256 + 1];
    assert_true(len <= 256);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    assert_string_equal(text, hex);
}

static void each_kind_of_change_has_its_bytes(void **state)
{
    static const struct {
        struct change change;
        const char *hex;
    } cases[] = {
        {{.tag = CHANGE_COLL_CREATE, .coll = 5, .name = {"fruit", 5}, .compression = LOAM_ZSTD},
         "0105056672756974"
         "01"},
        {{.tag = CHANGE_COLL_RENAME, .coll = 300, .name = {"nuts", 4}}, "02ac02046e757473"},
        {{.tag = CHANGE_COLL_DROP, .coll = 5}, "0305"},
        {{.tag = CHANGE_TABLE_ADD,
          .coll = 5,
          .level = 7,
          .run = 9,
          .meta = {.object = {3, 130},
                   .offset = 4096,
                   .bytes = 70000,
                   .uid = UINT64_C(0xfedcba9876543210),
                   .smallest = {"a", 1},
                   .largest = {"pear", 4},
                   .seq_min = 100,
                   .seq_max = 299,
                   .entry_count = 150,
                   .tombstone_count = 20,
                   .payload_bytes = 65000,
                   .page_count = 17,
                   .dense_count = 2},
          .from = {"b", 1},
          .to = {"c", 1}},
         "04050709"
         "03"
         "8201"
         "8020"
         "f0a204"
         "90e4d0b287d3aeeefe01"
         "0161"
         "0470656172"
         "64"
         "ab02"
         "9601"
         "14"
         "e8fb03"
         "11"
         "02"
         "0162"
         "0163"},
        {{.tag = CHANGE_TABLE_REMOVE, .coll = 5, .level = 7, .run = 9, .uid = 255}, "05050709ff01"},
        {{.tag = CHANGE_TABLE_CLIP, .coll = 5, .level = 7, .run = 9, .uid = 1, .to = {"c", 1}},
         "0605070901000163"},
        {{.tag = CHANGE_FLUSHED, .coll = 5, .seq = 128}, "07058001"},
        {{.tag = CHANGE_LOG_SEGMENT, .object = {1, 2}, .position = 3, .position_end = 4},
         "0801020304"},
        {{.tag = CHANGE_LOG_START, .position = 3, .running = 4, .object = {1, 0}}, "09030401"},
        {{.tag = CHANGE_LOG_FLOOR, .position = 3, .object = {1, 2}}, "0a030102"},
        {{.tag = CHANGE_LOG_ATTEST, .position = 3}, "0b03"},
        {{.tag = CHANGE_COUNTERS, .next_coll = 1, .next_run = 2, .seq = 3, .time_ms = 4},
         "0c01020304"},
        {{.tag = CHANGE_SNAPSHOT_END}, "0d"},
        {{.tag = CHANGE_TABLE_ADD,
          .coll = 5,
          .level = 7,
          .run = 9,
          .meta = {.object = {3, 1},
                   .bytes = 70,
                   .uid = 1,
                   .smallest = {"a", 1},
                   .largest = {"b", 1},
                   .seq_min = 1,
                   .seq_max = 2,
                   .entry_count = 2,
                   .page_count = 1,
                   .swept_seq = 300}},
         "0e05070903010046"
         "010161016201020200000100"
         "0000ac02"},
        {{.tag = CHANGE_RANGES,
          .coll = 5,
          .ranges = {"\x01"
                     "a\x01\x09\x01"
                     "f\x00",
                     7}},
         "0f05070161010901"
         "6600"},
        {{.tag = CHANGE_COLL_OPTIONS,
          .coll = 5,
          .compression = LOAM_UNCOMPRESSED,
          .ttl_ms = 86400000,
          .merge_operator = {"add", 3}},
         "100502"
         "80b89929"
         "03616464"},
        {{.tag = CHANGE_TABLE_ADD,
          .coll = 5,
          .level = 7,
          .run = 9,
          .meta = {.object = {3, 1},
                   .bytes = 70,
                   .uid = 1,
                   .smallest = {"a", 1},
                   .largest = {"b", 1},
                   .seq_min = 1,
                   .seq_max = 2,
                   .entry_count = 2,
                   .page_count = 1,
                   .expiring_count = 2,
                   .expires_first_ms = 128,
                   .expires_last_ms = 300}},
         "1105070903010046"
         "010161016201020200000100"
         "0000"
         "00028001ac02"},
        {{.tag = CHANGE_COLL_CLONE, .coll = 5, .name = {"fruit", 5}, .source = 300, .seq = 128},
         "12050566727569"
         "74ac028001"},
        {{.tag = CHANGE_CALLER_INDEX, .caller_index = 300, .seq = 128}, "15ac028001"},
        {{.tag = CHANGE_TABLE_ADD,
          .coll = 5,
          .level = 7,
          .run = 9,
          .meta = {.object = {3, 1},
                   .bytes = 70,
                   .uid = 1,
                   .smallest = {"a", 1},
                   .largest = {"b", 1},
                   .seq_min = 300,
                   .seq_max = 300,
                   .entry_count = 2,
                   .page_count = 1,
                   .seq_shift = 299}},
         "1305070903010046"
         "0101610162ac02ac020200000100"
         "0000"
         "00000000ab02"},
        {{.tag = CHANGE_INGEST, .coll = 5, .seq = 300}, "1405ac02"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct edit edit = {0};
        assert_int_equal(edit_add(&edit, &cases[i].change), LOAM_OK);
        expect_hex(edit.bytes.data, edit.bytes.len, cases[i].hex);
        edit_deinit(&edit);
    }
}

static void a_root_has_its_bytes(void **state)
{
    const struct root root = {
        .store_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        .epoch = 7,
        .log_key = UINT64_C(0x1122334455667788),
        .manifest = {6, 2},
        .manifest_end = 4096,
        .manifest_running = 5,
        .sealed = true,
        .log_end = 1 << 20,
        .log_running = 99,
    };
    uint8_t bytes[ROOT_BYTES];
    (void)state;
    root_encode(&root, bytes);
    expect_hex(bytes + 8, 80,
               "6c6f616d"
               "52"
               "01"
               "01"
               "00"
               "000102030405060708090a0b0c0d0e0f"
               "07000000"
               "02000000"
               "06000000"
               "00000000"
               "8877665544332211"
               "0010000000000000"
               "0500000000000000"
               "0000100000000000"
               "6300000000000000");
    expect_hex(bytes, 8, "ccd4fa3c9821a79e");
    for (size_t i = 88; i < ROOT_BYTES; i++)
        assert_int_equal(bytes[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_change_has_its_bytes),
        cmocka_unit_test(a_root_has_its_bytes),
    };
    return cmocka_run_group_tests_name("format/edit", tests, NULL, NULL);
}
