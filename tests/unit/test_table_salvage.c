/*
 * test_table_salvage.c - of a damaged table all comes out that is intact, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/sst_lab.h"
#include "base/codec.h"
#include "sstable/table_salvage.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

struct bench {
    struct sst_lab lab;
    struct sst_rows rows;
    struct table_meta meta;
    uint8_t *live; /* the table's bytes on the simulated disk */
    bool *seen;    /* of rows */
    uint64_t hole_bytes, harmless_bytes;
};

static void build(struct bench *bench, loam_compression compression)
{
    const struct table_writer_options options = {compression, 10, 256, UINT64_MAX};
    char name[OBJECT_NAME_BYTES];
    uint64_t len = 0;
    assert_ok(sst_build(&bench->lab, &bench->rows, &options, &bench->meta));
    object_name_make(OBJECT_TABLES, bench->meta.object, name);
    bench->live = simdisk_bytes(bench->lab.disk, "db", name, &len);
    assert_non_null(bench->live);
    bench->seen = calloc(bench->rows.count, sizeof *bench->seen);
    assert_non_null(bench->seen);
}

static void free_bench(struct bench *bench)
{
    free(bench->seen);
    table_meta_deinit(&bench->meta);
    sst_rows_free(&bench->rows);
    sst_lab_close(&bench->lab);
}

/* It is one of the rows, and was not there yet. */
static loam_status meet(void *ctx, const struct entry *entry)
{
    struct bench *bench = ctx;
    for (size_t i = 0; i < bench->rows.count; i++) {
        const struct entry *row = &bench->rows.at[i];
        if (row->seq != entry->seq || !bytes_equal(row->key, entry->key)) continue;
        assert_int_equal(row->kind, entry->kind);
        assert_true(bytes_equal(row->value, entry->value));
        assert_false(bench->seen[i]);
        bench->seen[i] = true;
        return LOAM_OK;
    }
    fail_msg("an entry that was never written");
    return LOAM_CORRUPT;
}

static void meet_hole(void *ctx, uint64_t at, uint64_t bytes, bool harmless)
{
    struct bench *bench = ctx;
    assert_true(at + bytes <= bench->meta.bytes);
    *(harmless ? &bench->harmless_bytes : &bench->hole_bytes) += bytes;
}

static struct table_found walk(struct bench *bench)
{
    struct table_found found;
    struct object *object = NULL;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, bench->meta.object, name);
    assert_ok(object_open(bench->lab.store, name, &object));
    const struct table_salvage salvage = {.object = object,
                                          .bytes = bench->meta.bytes,
                                          .uid = bench->meta.uid,
                                          .each = meet,
                                          .hole = meet_hole,
                                          .ctx = bench};
    memset(bench->seen, 0, bench->rows.count * sizeof *bench->seen);
    bench->hole_bytes = bench->harmless_bytes = 0;
    assert_ok(table_salvage_walk(&salvage, &found));
    object_close(object);
    return found;
}

static void any_byte_changed_costs_one_page_at_most(void **state)
{
    (void)state;
    for (unsigned compression = LOAM_LZ4; compression <= LOAM_UNCOMPRESSED; compression++) {
        struct bench bench = {0};
        sst_lab_open(&bench.lab, 1 << 20);
        sst_rows_make(&bench.rows, &(struct sst_recipe){SST_KEYS_FEW, 25, 60, 1, 1500, 5});
        build(&bench, (loam_compression)compression);
        struct table_found found = walk(&bench);
        assert_int_equal(found.entry_count, bench.rows.count);
        assert_int_equal(found.page_count, bench.meta.page_count);
        assert_int_equal(bench.hole_bytes + bench.harmless_bytes, 0);
        for (uint64_t at = 0; at < bench.meta.bytes; at++) {
            bench.live[at] ^= 0x21;
            found = walk(&bench);
            assert_true(found.page_count + 1 >= bench.meta.page_count);
            assert_true(found.page_count == bench.meta.page_count || bench.hole_bytes > 0);
            assert_true(bench.hole_bytes + bench.harmless_bytes > 0);
            bench.live[at] ^= 0x21;
        }
        free_bench(&bench);
    }
}

/* A value whose second chunk looks like an extent that begins there. */
static void a_chunk_of_a_value_is_no_entry(void **state)
{
    (void)state;
    enum { FORGED_KEY = 6, FORGED_BYTES = 1 + 1 + 3 + 1 + FORGED_KEY + 20000 };
    struct bench bench = {0};
    const char key[] = "real";
    const size_t head = 1 + 1 + 3 + 1 + 4; /* of the entry, before its value */
    const size_t len = CHUNK_BYTES - head + FORGED_BYTES;
    uint8_t *value = malloc(len), *at = value + CHUNK_BYTES - head;
    assert_non_null(value);
    memset(value, 'v', len);
    *at++ = ENTRY_PUT;
    at = put_varint64(at, FORGED_KEY);
    at = put_varint64(at, 20000);
    at = put_varint64(at, 7);
    memcpy(at, "forged", FORGED_KEY);
    sst_lab_open(&bench.lab, 1 << 20);
    sst_rows_add(&bench.rows, loam_str(key), 9, ENTRY_PUT, loam_bytes(value, len));
    sst_rows_add(&bench.rows, loam_str("small"), 8, ENTRY_PUT, loam_str("x"));
    build(&bench, LOAM_UNCOMPRESSED);
    assert_int_equal(walk(&bench).entry_count, 2);
    bench.live[100] ^= 1;
    assert_int_equal(walk(&bench).entry_count, 1); /* the index says where extents begin */
    bench.live[bench.meta.bytes - 1] ^= 1;
    assert_int_equal(walk(&bench).entry_count, 1); /* nothing says so */
    free(value);
    free_bench(&bench);
}

static void tables_are_found_by_their_footers(void **state)
{
    (void)state;
    struct bench bench = {0};
    struct object *object = NULL;
    struct object_id id;
    struct table_meta met;
    char name[OBJECT_NAME_BYTES];
    sst_lab_open(&bench.lab, 1 << 20);
    sst_rows_make(&bench.rows, &(struct sst_recipe){SST_KEYS_DECIMAL, 25, 60, 0, 0, 5});
    build(&bench, LOAM_LZ4);
    const size_t len = (size_t)bench.meta.bytes;
    uint8_t *three = malloc(3 * len);
    assert_non_null(three);
    for (size_t i = 0; i < 3; i++)
        memcpy(three + i * len, bench.live, len);
    three[2 * len - 10] ^= 1; /* the second has lost its footer */
    sst_put_object(&bench.lab, loam_bytes(three, 3 * len), &id);
    object_name_make(OBJECT_TABLES, id, name);
    assert_ok(object_open(bench.lab.store, name, &object));
    uint64_t end = 3 * len;
    assert_ok(table_salvage_find(object, &end, &met));
    assert_true(end == 3 * len && met.offset == 2 * len && met.uid == bench.meta.uid);
    end = met.offset;
    assert_ok(table_salvage_find(object, &end, &met));
    assert_true(end == len && met.offset == 0 && met.entry_count == bench.rows.count);
    end = 0;
    assert_int_equal(table_salvage_find(object, &end, &met), LOAM_NOTFOUND);
    object_close(object);
    free(three);
    free_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_byte_changed_costs_one_page_at_most),
        cmocka_unit_test(a_chunk_of_a_value_is_no_entry),
        cmocka_unit_test(tables_are_found_by_their_footers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
