/*
 * test_table.c - a table answers as the array of entries it was made of, however it is asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/sst_lab.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "os/names.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

static const struct {
    const char *what;
    struct sst_recipe recipe;
    struct table_writer_options options;
} shapes[] = {
    {"binary keys, tiny pages",
     {SST_KEYS_BINARY, 3000, 40, 0, 0, 1},
     {LOAM_UNCOMPRESSED, 10, 256, 0}},
    {"binary keys, pages of one entry",
     {SST_KEYS_BINARY, 700, 90, 0, 0, 2},
     {LOAM_UNCOMPRESSED, 10, 64, 0}},
    {"binary keys, default pages", {SST_KEYS_BINARY, 9000, 200, 0, 0, 3}, {LOAM_LZ4, 10, 0, 0}},
    {"binary keys, no filter",
     {SST_KEYS_BINARY, 2000, 30, 0, 0, 4},
     {LOAM_UNCOMPRESSED, 0, 512, 0}},
    {"decimal keys", {SST_KEYS_DECIMAL, 9000, 100, 0, 0, 5}, {LOAM_UNCOMPRESSED, 10, 0, 0}},
    {"decimal keys, zstd", {SST_KEYS_DECIMAL, 5000, 100, 0, 0, 6}, {LOAM_ZSTD, 10, 0, 0}},
    {"decimal keys, lz4, tiny pages",
     {SST_KEYS_DECIMAL, 2000, 100, 0, 0, 7},
     {LOAM_LZ4, 10, 256, 0}},
    {"keys that share their heads",
     {SST_KEYS_SHARED, 6000, 20, 0, 0, 8},
     {LOAM_UNCOMPRESSED, 10, 256, 0}},
    {"keys that share their heads, lz4",
     {SST_KEYS_SHARED, 6000, 20, 0, 0, 9},
     {LOAM_LZ4, 3, 1024, 0}},
    {"versions that span pages",
     {SST_KEYS_FEW, 2000, 30, 0, 0, 10},
     {LOAM_UNCOMPRESSED, 10, 256, 0}},
    {"one entry", {SST_KEYS_DECIMAL, 1, 30, 0, 0, 11}, {LOAM_ZSTD, 10, 256, 0}},
    {"no values", {SST_KEYS_BINARY, 4000, 0, 0, 0, 12}, {LOAM_UNCOMPRESSED, 10, 0, 0}},
    {"entries larger than a quarter of a page",
     {SST_KEYS_DECIMAL, 700, 1500, 0, 0, 19},
     {LOAM_LZ4, 10, 0, 0}},
    {"entries larger than a page", {SST_KEYS_BINARY, 200, 9000, 0, 0, 20}, {LOAM_LZ4, 10, 0, 0}},
    {"a few extents", {SST_KEYS_BINARY, 300, 40, 12, 5000, 13}, {LOAM_UNCOMPRESSED, 10, 256, 0}},
    {"extents and versions", {SST_KEYS_FEW, 300, 40, 60, 3000, 14}, {LOAM_LZ4, 10, 256, 0}},
    {"large extents", {SST_KEYS_DECIMAL, 60, 100, 5, 3000000, 15}, {LOAM_UNCOMPRESSED, 10, 0, 0}},
    {"large extents, lz4", {SST_KEYS_DECIMAL, 60, 100, 5, 3000000, 16}, {LOAM_LZ4, 10, 0, 0}},
    {"large extents, zstd", {SST_KEYS_DECIMAL, 60, 100, 4, 1000000, 17}, {LOAM_ZSTD, 10, 0, 0}},
    {"nothing but extents", {SST_KEYS_BINARY, 40, 90000, 40, 90000, 18}, {LOAM_LZ4, 10, 256, 0}},
};
/* Each of them with a filter, and then once more with a locator, if it has a filter. */
enum { RECIPES = sizeof shapes / sizeof shapes[0], SHAPES = 2 * RECIPES };

static struct table_writer_options options_of(size_t shape)
{
    struct table_writer_options options = shapes[shape % RECIPES].options;
    options.located_max = shape < RECIPES ? 0 : UINT64_MAX;
    return options;
}

struct built {
    struct sst_lab lab;
    struct sst_rows rows;
    struct table_meta meta;
    struct table *table;
};

static void build_shape(struct built *built, size_t shape, uint64_t cache_bytes)
{
    memset(built, 0, sizeof *built);
    sst_lab_open(&built->lab, cache_bytes);
    const struct table_writer_options options = options_of(shape);
    sst_rows_make(&built->rows, &shapes[shape % RECIPES].recipe);
    assert_ok(sst_build(&built->lab, &built->rows, &options, &built->meta));
    assert_ok(sst_table(&built->lab, &built->meta, &built->table));
}

static void unbuild(struct built *built)
{
    table_unref(built->table);
    table_meta_deinit(&built->meta);
    sst_rows_free(&built->rows);
    sst_lab_close(&built->lab);
}

/* Rows that a test of that many steps looks at. */
static size_t stride(const struct built *built, size_t steps)
{
    return built->rows.count / steps + 1;
}

static void get_returns_the_newest_version_below_the_sequence(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        build_shape(&built, shape, 1 << 20);
        for (size_t i = 0; i < built.rows.count; i += stride(&built, 600)) {
            const struct entry *row = &built.rows.at[i];
            const uint64_t seqs[] = {SEQ_MAX, row->seq, row->seq - 1, row->seq + 1, 1, 0};
            for (size_t j = 0; j < sizeof seqs / sizeof seqs[0]; j++)
                assert_int_equal(sst_check_get(built.table, &built.rows, row->key, seqs[j]),
                                 SST_RIGHT);
        }
        unbuild(&built);
    }
}

/* Keys beside those of the table: shorter, longer, one bit away. */
static void beside(const struct entry *row, struct rand *rand, loam_buf *key)
{
    assert_ok(buf_set(key, row->key.data, row->key.len));
    switch (rand_below(rand, 3)) {
    case 0:
        if (key->len > 0) key->len -= 1 + (size_t)rand_below(rand, key->len);
        break;
    case 1:
        assert_ok(buf_append(key, rand_below(rand, 2) ? "\xff" : "\0", 1));
        break;
    default:
        if (key->len > 0)
            ((uint8_t *)key->data)[rand_below(rand, key->len)] ^=
                (uint8_t)(1u << rand_below(rand, 8));
    }
}

static void get_misses_what_is_not_there(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        struct rand rand = {shape};
        loam_buf key = {0};
        build_shape(&built, shape, 1 << 20);
        for (size_t i = 0; i < built.rows.count; i += stride(&built, 1000)) {
            beside(&built.rows.at[i], &rand, &key);
            assert_int_equal(
                sst_check_get(built.table, &built.rows, loam_bytes(key.data, key.len), SEQ_MAX),
                SST_RIGHT);
        }
        loam_buf_free(&key);
        unbuild(&built);
    }
}

static void scans_yield_every_entry_both_ways(void **state)
{
    static const unsigned flags[] = {0, TABLE_ITER_KEYS_ONLY, TABLE_ITER_BULK,
                                     TABLE_ITER_BULK | TABLE_ITER_KEYS_ONLY};
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        build_shape(&built, shape, 1 << 20);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(sst_check_scan(built.table, &built.rows, flags[i], false), SST_RIGHT);
            assert_int_equal(sst_check_scan(built.table, &built.rows, flags[i], true), SST_RIGHT);
        }
        unbuild(&built);
    }
}

static void seeks_stand_where_the_model_says(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        struct rand rand = {shape};
        loam_buf key = {0};
        build_shape(&built, shape, 1 << 20);
        const bool is_heavy = shapes[shape % RECIPES].recipe.large_bytes_most > 100000;
        for (size_t i = 0; i < built.rows.count; i += stride(&built, is_heavy ? 10 : 500)) {
            const struct entry *row = &built.rows.at[i];
            const uint64_t seqs[] = {SEQ_MAX, row->seq, row->seq - 1, row->seq + 1, 0};
            for (size_t j = 0; j < sizeof seqs / sizeof seqs[0]; j++)
                assert_int_equal(sst_check_seek(built.table, &built.rows, row->key, seqs[j]),
                                 SST_RIGHT);
            beside(row, &rand, &key);
            assert_int_equal(
                sst_check_seek(built.table, &built.rows, loam_bytes(key.data, key.len), SEQ_MAX),
                SST_RIGHT);
            assert_int_equal(
                sst_check_seek(built.table, &built.rows, loam_bytes(key.data, key.len), 0),
                SST_RIGHT);
        }
        loam_buf_free(&key);
        unbuild(&built);
    }
}

static void the_ends_are_beyond_all_keys(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        build_shape(&built, shape, 1 << 20);
        assert_int_equal(sst_check_seek(built.table, &built.rows, loam_bytes(NULL, 0), SEQ_MAX),
                         SST_RIGHT);
        assert_int_equal(sst_check_seek(built.table, &built.rows, loam_bytes(NULL, 0), 0),
                         SST_RIGHT);
        assert_int_equal(sst_check_seek(built.table, &built.rows,
                                        loam_str("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 9),
                         SST_RIGHT);
        assert_int_equal(sst_check_get(built.table, &built.rows, loam_bytes(NULL, 0), SEQ_MAX),
                         SST_RIGHT);
        assert_int_equal(sst_check_get(built.table, &built.rows,
                                       loam_str("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 9),
                         SST_RIGHT);
        unbuild(&built);
    }
}

static void refuse_line(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("verify: %s", text);
}

static void verify_finds_no_fault_and_the_meta_counts_right(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        build_shape(&built, shape, 1 << 20);
        const struct sst_rows *rows = &built.rows;
        uint64_t tombstones = 0, payload = 0, low = SEQ_MAX, high = 0;
        for (size_t i = 0; i < rows->count; i++) {
            tombstones += rows->at[i].kind == ENTRY_DELETE;
            payload += rows->at[i].key.len + rows->at[i].value.len;
            if (rows->at[i].seq < low) low = rows->at[i].seq;
            if (rows->at[i].seq > high) high = rows->at[i].seq;
        }
        const struct table_meta *meta = table_meta(built.table);
        assert_int_equal(meta->entry_count, rows->count);
        assert_int_equal(meta->tombstone_count, tombstones);
        assert_int_equal(meta->payload_bytes, payload);
        assert_int_equal(meta->seq_min, low);
        assert_int_equal(meta->seq_max, high);
        assert_true(bytes_equal(meta->smallest, rows->at[0].key));
        assert_true(bytes_equal(meta->largest, rows->at[rows->count - 1].key));
        assert_ok(table_verify(built.table, refuse_line, NULL));
        unbuild(&built);
    }
}

static void the_same_entries_make_the_same_bytes(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct built built;
        struct table_meta again;
        const struct table_writer_options options = options_of(shape);
        build_shape(&built, shape, 1 << 20);
        assert_ok(sst_build(&built.lab, &built.rows, &options, &again));
        uint8_t *first = sst_table_bytes(&built.lab, &built.meta);
        uint8_t *second = sst_table_bytes(&built.lab, &again);
        assert_int_equal(built.meta.bytes, again.bytes);
        assert_memory_equal(first, second, (size_t)again.bytes);
        free(first);
        free(second);
        table_meta_deinit(&again);
        unbuild(&built);
    }
}

static void keys_of_64_kib_are_as_good_as_others(void **state)
{
    struct built built = {0};
    const struct table_writer_options options = {LOAM_LZ4, 10, 0, 0};
    static uint8_t key[KEY_BYTES_MAX], value[200000];
    (void)state;
    sst_lab_open(&built.lab, 1 << 20);
    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * i >> 7);
    for (uint64_t i = 0; i < 8; i++) { /* they differ in their last byte alone */
        key[KEY_BYTES_MAX - 1] = (uint8_t)('a' + i / 2);
        sst_rows_add(&built.rows, loam_bytes(key, sizeof key), 10 + i, ENTRY_PUT,
                     loam_bytes(value, i * 25000));
    }
    sst_rows_add(&built.rows, loam_bytes(key, sizeof key), 99, ENTRY_DELETE, loam_bytes(NULL, 0));
    sst_rows_add(&built.rows, loam_bytes(key, 3), 7, ENTRY_PUT, loam_str("short"));
    sst_rows_sort(&built.rows);
    assert_ok(sst_build(&built.lab, &built.rows, &options, &built.meta));
    assert_ok(sst_table(&built.lab, &built.meta, &built.table));
    for (size_t i = 0; i < built.rows.count; i++) {
        const struct entry *row = &built.rows.at[i];
        assert_int_equal(sst_check_get(built.table, &built.rows, row->key, row->seq), SST_RIGHT);
        assert_int_equal(sst_check_seek(built.table, &built.rows, row->key, row->seq), SST_RIGHT);
    }
    assert_int_equal(sst_check_scan(built.table, &built.rows, TABLE_ITER_KEYS_ONLY, false),
                     SST_RIGHT);
    assert_int_equal(sst_check_scan(built.table, &built.rows, 0, true), SST_RIGHT);
    assert_ok(table_verify(built.table, refuse_line, NULL));
    unbuild(&built);
}

/* How many pages so many entries with values of that length make. */
static uint64_t pages_of(size_t value_bytes, unsigned count)
{
    static uint8_t value[20000];
    const struct table_writer_options options = {LOAM_UNCOMPRESSED, 10, 0, 0};
    struct built built = {0};
    assert_true(value_bytes <= sizeof value);
    sst_lab_open(&built.lab, 1 << 20);
    for (unsigned i = 0; i < count; i++) {
        char key[9];
        snprintf(key, sizeof key, "%08u", i);
        sst_rows_add(&built.rows, loam_bytes(key, 8), 1 + i, ENTRY_PUT,
                     loam_bytes(value, value_bytes));
    }
    assert_ok(sst_build(&built.lab, &built.rows, &options, &built.meta));
    assert_ok(sst_table(&built.lab, &built.meta, &built.table));
    const uint64_t pages = built.meta.page_count;
    struct iter *iter = NULL;
    struct tally tally = {0};
    assert_ok(table_iter_new(built.table, 0, &iter));
    table_iter_count(iter, &tally);
    assert_ok(iter->ops->first(iter));
    while (iter->ops->next(iter) == LOAM_OK)
        continue;
    assert_int_equal(tally.extents, 0);
    iter_close(iter);
    assert_int_equal(sst_check_scan(built.table, &built.rows, 0, false), SST_RIGHT);
    unbuild(&built);
    return pages;
}

static void pages_fill_frames(void **state)
{
    (void)state;
    assert_int_equal(pages_of(100, 1200), 38);   /* 32 in 4 KiB */
    assert_int_equal(pages_of(1300, 1200), 400); /* 3 would leave a twentieth of 4 KiB: enough */
    assert_int_equal(pages_of(1500, 1200), 240); /* 5 in 8 KiB, where 2 in 4 KiB leave a quarter */
    assert_int_equal(pages_of(4096, 1200), 400); /* 3 in 16 KiB, which is as far as a page grows */
    assert_int_equal(pages_of(9000, 1200), 1200);
    assert_int_equal(pages_of(16400, 12), 12); /* alone, and no extent yet */
}

static void keys_only_does_not_read_large_values(void **state)
{
    struct built built;
    struct table_meta damaged;
    struct table *table = NULL;
    (void)state;
    build_shape(&built, 16, 1 << 20); /* large extents, whose values make up most of the table */
    uint8_t *bytes = sst_table_bytes(&built.lab, &built.meta);
    bytes[built.meta.bytes / 2] ^= 1;
    assert_ok(table_meta_copy(&built.meta, &damaged));
    sst_put_object(&built.lab, loam_bytes(bytes, (size_t)built.meta.bytes), &damaged.object);
    assert_ok(sst_table(&built.lab, &damaged, &table));
    assert_int_equal(sst_check_scan(table, &built.rows, 0, false), SST_REFUSED);
    assert_int_equal(sst_check_scan(table, &built.rows, TABLE_ITER_KEYS_ONLY, false), SST_RIGHT);
    table_unref(table);
    table_meta_deinit(&damaged);
    free(bytes);
    unbuild(&built);
}

static void several_tables_share_an_object(void **state)
{
    struct sst_lab lab;
    struct sst_rows rows[3] = {{0}};
    struct table_meta metas[3];
    struct object_writer *object = NULL;
    const struct object_id id = {7, 7};
    char name[OBJECT_NAME_BYTES];
    (void)state;
    sst_lab_open(&lab, 1 << 20);
    object_name_make(OBJECT_TABLES, id, name);
    assert_ok(object_create(lab.store, name, &object));
    for (size_t i = 0; i < 3; i++) {
        struct table_writer *writer = NULL;
        sst_rows_make(&rows[i], &(struct sst_recipe){SST_KEYS_BINARY, 300, 50, 2, 3000, 40 + i});
        assert_ok(table_writer_new(object, id, 1000 + i, &shapes[0].options, &writer));
        for (size_t j = 0; j < rows[i].count; j++)
            assert_ok(table_writer_add(writer, &rows[i].at[j]));
        assert_int_equal(table_writer_entry_count(writer), rows[i].count);
        assert_true(table_writer_bytes(writer) > rows[i].count);
        assert_ok(table_writer_finish(writer, &metas[i]));
        assert_int_equal(metas[i].offset + metas[i].bytes, object_written(object));
        table_writer_free(writer);
    }
    assert_ok(object_finish(object));
    for (size_t i = 0; i < 3; i++) {
        struct table *table = NULL;
        assert_ok(sst_table(&lab, &metas[i], &table));
        assert_int_equal(sst_check_scan(table, &rows[i], 0, false), SST_RIGHT);
        assert_ok(table_verify(table, refuse_line, NULL));
        table_unref(table);
        table_meta_deinit(&metas[i]);
        sst_rows_free(&rows[i]);
    }
    sst_lab_close(&lab);
}

static void check_foreseen(size_t shape)
{
    const struct table_writer_options options = options_of(shape);
    struct sst_lab lab;
    struct sst_rows rows = {0};
    struct table_meta meta;
    struct object_writer *object = NULL;
    struct table_writer *writer = NULL;
    sst_lab_open(&lab, 1 << 20);
    sst_rows_make(&rows, &(struct sst_recipe){SST_KEYS_DECIMAL, 20000, 100, 0, 0, 3});
    assert_ok(object_create(lab.store, "00000001-00000001.sst", &object));
    assert_ok(table_writer_new(object, (struct object_id){1, 1}, 5, &options, &writer));
    for (size_t i = 0; i < rows.count; i++)
        assert_ok(table_writer_add(writer, &rows.at[i]));
    const uint64_t foreseen = table_writer_bytes(writer);
    assert_ok(table_writer_finish(writer, &meta));
    assert_in_range(foreseen, meta.bytes - meta.bytes / 50, meta.bytes + meta.bytes / 50);
    table_writer_free(writer);
    assert_ok(object_finish(object));
    table_meta_deinit(&meta);
    sst_rows_free(&rows);
    sst_lab_close(&lab);
}

static void the_writer_foresees_its_size(void **state)
{
    (void)state;
    check_foreseen(4);
    check_foreseen(RECIPES + 4); /* with a locator */
}

static void an_estimate_is_near_the_truth(void **state)
{
    struct built built;
    uint64_t bytes = 0;
    (void)state;
    build_shape(&built, 4, 1 << 20);
    const struct sst_rows *rows = &built.rows;
    assert_ok(table_estimate(built.table, loam_bytes(NULL, 0), loam_bytes(NULL, 0), &bytes));
    assert_int_equal(bytes, built.meta.payload_bytes);
    assert_ok(table_estimate(built.table, rows->at[rows->count / 4].key,
                             rows->at[rows->count * 3 / 4].key, &bytes));
    assert_in_range(bytes, built.meta.payload_bytes * 4 / 10, built.meta.payload_bytes * 6 / 10);
    assert_ok(table_estimate(built.table, rows->at[9].key, rows->at[9].key, &bytes));
    assert_int_equal(bytes, 0);
    assert_ok(table_estimate(built.table, loam_str("zzz"), loam_bytes(NULL, 0), &bytes));
    assert_int_equal(bytes, 0);
    unbuild(&built);
}

static void count_doomed(void *ctx, const struct table_meta *meta)
{
    assert_int_equal(meta->uid, UINT64_C(0x1234567890abcdef));
    ++*(int *)ctx;
}

static void a_doomed_table_is_given_up_by_its_last_user(void **state)
{
    struct built built;
    struct table *table = NULL;
    struct iter *iter = NULL;
    int doomed = 0;
    (void)state;
    build_shape(&built, 0, 1 << 20);
    const struct table_owner owner = {built.lab.store, built.lab.cache, count_doomed, &doomed};
    assert_ok(table_new(&owner, &built.meta, &table));
    table_doom(table);
    table_ref(table);
    assert_ok(table_iter_new(table, 0, &iter));
    assert_ok(iter->ops->first(iter));
    table_unref(table);
    table_unref(table);
    assert_ok(iter->ops->next(iter));
    assert_int_equal(doomed, 0);
    iter_close(iter);
    assert_int_equal(doomed, 1);
    assert_ok(table_new(&owner, &built.meta, &table));
    table_unref(table);
    assert_int_equal(doomed, 1);
    unbuild(&built);
}

static void a_hit_keeps_its_bytes_while_the_cache_is_swept(void **state)
{
    struct built built;
    struct table_hit hit;
    (void)state;
    build_shape(&built, 4, 20000);
    const struct entry *row = &built.rows.at[built.rows.count / 2];
    assert_ok(table_get(built.table, row->key, hash_key(row->key), row->seq, &hit));
    for (int i = 0; i < 3; i++)
        assert_int_equal(sst_check_scan(built.table, &built.rows, 0, i & 1), SST_RIGHT);
    assert_true(bytes_equal(hit.entry.key, row->key));
    assert_true(bytes_equal(hit.entry.value, row->value));
    assert_int_equal(page_cache_stats(built.lab.cache).pinned_count, 1);
    table_hit_release(&hit);
    table_hit_release(&hit);
    unbuild(&built);
}

static void scan_all(struct built *built, bool backward)
{
    assert_int_equal(sst_check_scan(built->table, &built->rows, 0, backward), SST_RIGHT);
}

/* Small pages, zstd's, entries larger than a page, extents among pages, large extents. */
static const size_t shapes_to_scan[] = {2, 5, 13, 14, 16};

static void a_long_scan_leaves_a_full_cache_to_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes_to_scan / sizeof shapes_to_scan[0]; i++) {
        struct built built;
        build_shape(&built, shapes_to_scan[i], 100000);
        for (size_t row = 0; row < built.rows.count; row += 2)
            (void)sst_check_get(built.table, &built.rows, built.rows.at[row].key, SEQ_MAX);
        for (int scan = 1; scan <= 6; scan++) {
            const uint64_t before = page_cache_stats(built.lab.cache).miss_count;
            scan_all(&built, scan % 2 == 0);
            const uint64_t missed_count = page_cache_stats(built.lab.cache).miss_count - before;
            if (missed_count > 8)
                fail_msg("%s: %d", shapes[shapes_to_scan[i]].what, (int)missed_count);
        }
        unbuild(&built);
    }
}

/* Moves at random, turning at the edges of what one read takes as well, with the cache full all the time. */
static void a_scan_may_turn_round_and_be_sought_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes_to_scan / sizeof shapes_to_scan[0]; i++) {
        struct built built;
        struct iter *iter = NULL;
        struct rand rand = {.state = i + 1};
        size_t at = 0;
        build_shape(&built, shapes_to_scan[i], 100000);
        const struct sst_rows *rows = &built.rows;
        assert_ok(table_iter_new(built.table, 0, &iter));
        assert_ok(iter->ops->first(iter));
        for (int leg = 0; leg < 300; leg++) {
            const bool backward = rand_below(&rand, 2) == 0;
            size_t steps = rand_below(&rand, leg % 3 == 0 ? 40 : rows->count);
            if (leg % 5 == 0) {
                at = rand_below(&rand, rows->count);
                assert_ok(iter->ops->seek(iter, rows->at[at].key, rows->at[at].seq));
            }
            for (; steps > 0 && (backward ? at > 0 : at + 1 < rows->count); steps--) {
                assert_ok(backward ? iter->ops->prev(iter) : iter->ops->next(iter));
                at += backward ? SIZE_MAX : 1;
                assert_int_equal(iter->at->seq, rows->at[at].seq);
                assert_true(bytes_equal(iter->at->key, rows->at[at].key));
                assert_true(bytes_equal(iter->at->value, rows->at[at].value));
            }
        }
        iter_close(iter);
        unbuild(&built);
    }
}

/* Of many pages that are read at once: the page that is wanted may be another one. */
static void what_cannot_be_read_at_once_is_read_alone(void **state)
{
    struct built built;
    struct iter *iter = NULL;
    (void)state;
    build_shape(&built, 2, 100000);
    assert_ok(table_iter_new(built.table, 0, &iter));
    assert_ok(iter->ops->first(iter));
    for (size_t at = 1; at < built.rows.count; at++) {
        if (at % 1000 == 0) simdisk_fail_at(built.lab.disk, 1, EIO, false);
        assert_ok(iter->ops->next(iter));
        assert_true(bytes_equal(iter->at->value, built.rows.at[at].value));
    }
    simdisk_fail_at(built.lab.disk, 1, EIO, true);
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK)
        rc = iter->ops->prev(iter);
    assert_int_equal(rc, LOAM_IOERR);
    iter_close(iter);
    unbuild(&built);
}

static void a_scan_fills_a_cache_that_has_room(void **state)
{
    struct built built;
    (void)state;
    build_shape(&built, 2, 4 << 20);
    for (int scan = 1; scan <= 4; scan++) {
        scan_all(&built, scan % 2 == 0);
        assert_int_equal(page_cache_stats(built.lab.cache).miss_count, built.meta.page_count);
    }
    unbuild(&built);
}

static void idle_tables_give_their_metadata_back(void **state)
{
    struct built built;
    struct table *tables[20];
    (void)state;
    build_shape(&built, 4, 400000); /* each table's index and filter are about 20 KB */
    for (size_t i = 0; i < 20; i++)
        assert_ok(sst_table(&built.lab, &built.meta, &tables[i]));
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 20; i++) {
            const struct entry *row = &built.rows.at[i * 17 % built.rows.count];
            assert_int_equal(sst_check_get(tables[i], &built.rows, row->key, SEQ_MAX), SST_RIGHT);
            const struct page_cache_stats stats = page_cache_stats(built.lab.cache);
            assert_true(stats.charged_bytes + stats.frame_bytes <= 400000);
            assert_true(stats.charged_bytes <= 250000);
        }
    }
    for (size_t i = 0; i < 20; i++)
        table_unref(tables[i]);
    unbuild(&built);
}

static loam_status use_table(struct sst_lab *lab, const struct table_meta *meta,
                             const struct sst_rows *rows)
{
    struct table *table = NULL;
    struct iter *iter = NULL;
    struct table_hit hit = {0};
    loam_status rc = sst_table(lab, meta, &table);
    if (rc < 0) return rc;
    for (size_t i = 0; i < rows->count && rc >= 0; i += 30) {
        const struct entry *row = &rows->at[i];
        rc = table_get(table, row->key, hash_key(row->key), SEQ_MAX, &hit);
        if (rc == LOAM_OK) table_hit_release(&hit);
    }
    for (unsigned flags = 0; flags < 4 && rc >= 0; flags++) {
        rc = table_iter_new(table, flags, &iter);
        if (rc < 0) break;
        for (rc = iter->ops->last(iter); rc == LOAM_OK;)
            rc = iter->ops->prev(iter);
        iter_close(iter);
    }
    if (rc >= 0) rc = table_verify(table, NULL, NULL);
    table_unref(table);
    return rc;
}

static void out_of_memory_is_an_answer_and_leaks_nothing(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2 * (LOAM_UNCOMPRESSED + 1); kind++) {
        const struct table_writer_options options = {(loam_compression)(kind / 2), 10, 256,
                                                     kind % 2 == 0 ? UINT64_MAX : 0};
        struct sst_lab lab;
        struct sst_rows rows = {0};
        struct table_meta meta;
        sst_lab_open(&lab, 8 << 10);
        sst_rows_make(&rows, &(struct sst_recipe){SST_KEYS_BINARY, 150, 60, 3, 70000, kind / 2});
        loam_status rc = LOAM_NOMEM;
        for (uint64_t nth = 1; rc != LOAM_OK; nth++) {
            mem_fail_at(0, 0);
            const int64_t live = mem_live_count();
            mem_fail_at(nth, nth % 2 == 0);
            rc = sst_build(&lab, &rows, &options, &meta);
            mem_fail_at(0, 0);
            if (rc != LOAM_OK) {
                assert_int_equal(rc, LOAM_NOMEM);
                assert_int_equal(mem_live_count(), live);
            }
        }
        rc = LOAM_NOMEM;
        for (uint64_t nth = 1; rc != LOAM_OK; nth++) {
            const int64_t live = mem_live_count();
            mem_fail_at(nth, nth % 2 == 0);
            rc = use_table(&lab, &meta, &rows);
            mem_fail_at(0, 0);
            if (rc != LOAM_OK) assert_int_equal(rc, LOAM_NOMEM);
            /* Frames come in pieces that the cache keeps. */
            assert_in_range(mem_live_count() - live, 0, 3);
        }
        table_meta_deinit(&meta);
        sst_rows_free(&rows);
        sst_lab_close(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_returns_the_newest_version_below_the_sequence),
        cmocka_unit_test(get_misses_what_is_not_there),
        cmocka_unit_test(scans_yield_every_entry_both_ways),
        cmocka_unit_test(seeks_stand_where_the_model_says),
        cmocka_unit_test(the_ends_are_beyond_all_keys),
        cmocka_unit_test(verify_finds_no_fault_and_the_meta_counts_right),
        cmocka_unit_test(the_same_entries_make_the_same_bytes),
        cmocka_unit_test(keys_of_64_kib_are_as_good_as_others),
        cmocka_unit_test(pages_fill_frames),
        cmocka_unit_test(keys_only_does_not_read_large_values),
        cmocka_unit_test(several_tables_share_an_object),
        cmocka_unit_test(the_writer_foresees_its_size),
        cmocka_unit_test(an_estimate_is_near_the_truth),
        cmocka_unit_test(a_doomed_table_is_given_up_by_its_last_user),
        cmocka_unit_test(a_hit_keeps_its_bytes_while_the_cache_is_swept),
        cmocka_unit_test(a_long_scan_leaves_a_full_cache_to_others),
        cmocka_unit_test(a_scan_may_turn_round_and_be_sought_anywhere),
        cmocka_unit_test(what_cannot_be_read_at_once_is_read_alone),
        cmocka_unit_test(a_scan_fills_a_cache_that_has_room),
        cmocka_unit_test(idle_tables_give_their_metadata_back),
        cmocka_unit_test(out_of_memory_is_an_answer_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("sstable/table", tests, NULL, NULL);
}
