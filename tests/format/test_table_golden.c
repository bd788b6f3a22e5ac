/*
 * test_table_golden.c - tables written by formats 1 and 2 are read for ever, and those of 2 are still written byte by byte.
 *
 * The files are never made anew: a difference is a change of the format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/sst_lab.h"
#include "sstable/table_format.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

enum { GOLDEN_BYTES_MAX = 1 << 20 };

/* Two collections of keys, versions, tombstones, an empty key and value, an extent in two chunks. */
static void make_golden_rows(struct sst_rows *rows, size_t large_bytes)
{
    static uint8_t value[70000];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i / 64 + i % 5);
    sst_rows_add(rows, loam_bytes("", 0), 1, ENTRY_PUT, loam_bytes("", 0));
    for (unsigned i = 0; i < 300; i++) {
        char key[32];
        const int len = snprintf(key, sizeof key, i % 3 == 0 ? "user:%05u" : "item/%u", i * 37);
        for (unsigned version = 0; version < 1 + i % 4; version++) {
            const bool is_delete = (i + version) % 7 == 0;
            sst_rows_add(rows, loam_bytes(key, (size_t)len), 1000 + 5000 * version + i,
                         is_delete ? ENTRY_DELETE : ENTRY_PUT,
                         loam_bytes(value + i, is_delete ? 0 : i * 7 % 90));
        }
    }
    sst_rows_add(rows, loam_bytes("\xff\x00\xff", 3), SEQ_MAX, ENTRY_PUT,
                 loam_bytes(value, large_bytes));
    sst_rows_sort(rows);
}

static size_t read_golden(const char *path, uint8_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("%s is missing (tests run in the project's root)", path);
    const size_t len = fread(bytes, 1, GOLDEN_BYTES_MAX, file);
    assert_int_equal(fclose(file), 0);
    return len;
}

static void refuse_line(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

/* Reads the golden file with the meta of a table that is made of the same rows now. */
static void check_golden_of(unsigned format, const char *path,
                            const struct table_writer_options *options, size_t large_bytes)
{
    static uint8_t golden[GOLDEN_BYTES_MAX];
    struct sst_lab lab;
    struct sst_rows rows = {0};
    struct table_meta meta;
    struct table *table = NULL;
    sst_lab_open(&lab, 1 << 20);
    make_golden_rows(&rows, large_bytes);
    assert_ok(sst_build(&lab, &rows, options, &meta));
    uint8_t *bytes = sst_table_bytes(&lab, &meta);
    const char *remake = getenv("LOAM_GOLDEN_NEW"); /* for a new file of a new format only */
    if (remake != NULL && format == BLOCK_FORMAT) {
        FILE *file = fopen(path, "wbx");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, (size_t)meta.bytes, file), meta.bytes);
        assert_int_equal(fclose(file), 0);
    }
    const size_t len = read_golden(path, golden);
    /* Compressors may change; what they made is still read. */
    if (options->compression == LOAM_UNCOMPRESSED && format == BLOCK_FORMAT) {
        assert_int_equal(len, meta.bytes);
        assert_memory_equal(golden, bytes, len);
    }
    free(bytes);
    meta.bytes = len; /* the rest of the meta follows from the entries */
    sst_put_object(&lab, loam_bytes(golden, len), &meta.object);
    assert_ok(sst_table(&lab, &meta, &table));
    assert_ok(table_verify(table, refuse_line, NULL));
    assert_int_equal(sst_check_scan(table, &rows, 0, false), SST_RIGHT);
    assert_int_equal(sst_check_scan(table, &rows, TABLE_ITER_BULK, true), SST_RIGHT);
    for (size_t i = 0; i < rows.count; i++)
        assert_int_equal(sst_check_get(table, &rows, rows.at[i].key, rows.at[i].seq), SST_RIGHT);
    table_unref(table);
    table_meta_deinit(&meta);
    sst_rows_free(&rows);
    sst_lab_close(&lab);
}

static void check_golden(unsigned format, const char *path, loam_compression compression,
                         size_t large_bytes)
{
    const struct table_writer_options options = {compression, 10, 512, 0};
    check_golden_of(format, path, &options, large_bytes);
}

static void a_table_with_a_locator_is_read_and_written(void **state)
{
    const struct table_writer_options options = {LOAM_UNCOMPRESSED, 10, 512, UINT64_MAX};
    (void)state;
    check_golden_of(2, "tests/format/golden/table-2-located.sst", &options, 3000);
}

static void a_raw_table_is_read_and_written(void **state)
{
    (void)state;
    check_golden(1, "tests/format/golden/table-1.sst", LOAM_UNCOMPRESSED, 3000);
    check_golden(2, "tests/format/golden/table-2.sst", LOAM_UNCOMPRESSED, 3000);
}

static void an_lz4_table_is_read(void **state)
{
    (void)state;
    check_golden(1, "tests/format/golden/table-1-lz4.sst", LOAM_LZ4, 70000);
    check_golden(2, "tests/format/golden/table-2-lz4.sst", LOAM_LZ4, 70000);
}

static void a_zstd_table_is_read(void **state)
{
    (void)state;
    check_golden(1, "tests/format/golden/table-1-zstd.sst", LOAM_ZSTD, 70000);
    check_golden(2, "tests/format/golden/table-2-zstd.sst", LOAM_ZSTD, 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_table_is_read_and_written),
        cmocka_unit_test(a_table_with_a_locator_is_read_and_written),
        cmocka_unit_test(an_lz4_table_is_read),
        cmocka_unit_test(a_zstd_table_is_read),
    };
    return cmocka_run_group_tests_name("format/table", tests, NULL, NULL);
}
