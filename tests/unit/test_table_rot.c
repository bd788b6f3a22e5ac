/*
 * test_table_rot.c - no damage to a table gives a wrong answer: right ones, or a refusal that verify shares.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lib/seeds.h"
#include "../lib/sst_lab.h"
#include "base/codec.h"
#include "base/hash.h"
#include "os/names.h"
#include "sstable/table_format.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

#define ROT_UID UINT64_C(0x1234567890abcdef) /* of all tables that sst_build() makes */

enum { ROT_KINDS = 2 * (LOAM_UNCOMPRESSED + 1) }; /* each compression, with a locator and without */

struct rot { /* a small sound table with pages, an extent, versions */
    struct sst_lab lab;
    struct sst_rows rows;
    struct table_meta meta;
    uint8_t *bytes; /* of the table as it was written */
    uint8_t *live;  /* and on the simulated disk, to be damaged */
    size_t len;
};

/* Of two tables that are compressed alike, one has a filter and one a locator. */
static void make_rot_of(struct rot *rot, loam_compression compression, bool locates)
{
    const struct table_writer_options options = {compression, 10, 256, locates ? UINT64_MAX : 0};
    char name[OBJECT_NAME_BYTES];
    uint64_t len = 0;
    memset(rot, 0, sizeof *rot);
    sst_lab_open(&rot->lab, 1 << 20);
    sst_rows_make(&rot->rows, &(struct sst_recipe){SST_KEYS_FEW, 25, 60, 1, 1500, 5});
    sst_rows_make(&rot->rows, &(struct sst_recipe){SST_KEYS_DECIMAL, 15, 40, 0, 0, 6});
    assert_ok(sst_build(&rot->lab, &rot->rows, &options, &rot->meta));
    rot->len = (size_t)rot->meta.bytes;
    rot->bytes = sst_table_bytes(&rot->lab, &rot->meta);
    object_name_make(OBJECT_TABLES, rot->meta.object, name);
    rot->live = simdisk_bytes(rot->lab.disk, "db", name, &len);
    assert_non_null(rot->live);
    assert_int_equal(len, rot->len);
}

static void make_rot(struct rot *rot, loam_compression compression)
{
    make_rot_of(rot, compression, true);
}

static void free_rot(struct rot *rot)
{
    free(rot->bytes);
    table_meta_deinit(&rot->meta);
    sst_rows_free(&rot->rows);
    sst_lab_close(&rot->lab);
}

/* Reads all of a damaged table and answers what verify says; gets and scans are right or refused. */
static loam_status read_damaged(struct rot *rot, const struct table_meta *meta, unsigned turn)
{
    struct table *table = NULL;
    assert_ok(sst_table(&rot->lab, meta, &table));
    for (size_t i = turn % 3; i < rot->rows.count; i += 3) {
        const struct entry *row = &rot->rows.at[i];
        (void)sst_check_get(table, &rot->rows, row->key, row->seq);
    }
    const struct entry *row = &rot->rows.at[turn % rot->rows.count];
    (void)sst_check_seek(table, &rot->rows, row->key, row->seq);
    (void)sst_check_get(table, &rot->rows, loam_str("k99"), SEQ_MAX);
    (void)sst_check_scan(table, &rot->rows, turn % 4, turn % 8 < 4);
    const loam_status rc = table_verify(table, NULL, NULL);
    table_unref(table);
    return rc;
}

/* Reads the table as it lies damaged on the disk, and makes it whole again. */
static loam_status try_damage(struct rot *rot, unsigned turn)
{
    const loam_status rc = read_damaged(rot, &rot->meta, turn);
    memcpy(rot->live, rot->bytes, rot->len);
    return rc;
}

static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < ROT_KINDS; kind++) {
        struct rot rot;
        make_rot_of(&rot, (loam_compression)(kind / 2), kind % 2 == 0);
        for (unsigned turn = 0; turn < 8; turn++)
            assert_int_equal(try_damage(&rot, turn), LOAM_OK);
        for (size_t at = 0; at < rot.len; at += seeds_stride(7)) {
            rot.live[at] ^= (uint8_t)(1u << at % 8);
            assert_int_equal(try_damage(&rot, (unsigned)at), LOAM_CORRUPT);
            rot.live[at] ^= 0xff;
            assert_int_equal(try_damage(&rot, (unsigned)at + 5), LOAM_CORRUPT);
        }
        free_rot(&rot);
    }
}

static void every_truncation_is_noticed(void **state)
{
    struct rot rot;
    (void)state;
    make_rot(&rot, LOAM_UNCOMPRESSED);
    for (size_t len = 0; len < rot.len; len += seeds_stride(29)) {
        char name[OBJECT_NAME_BYTES];
        struct table_meta meta = rot.meta;
        sst_put_object(&rot.lab, loam_bytes(rot.bytes, len), &meta.object);
        assert_int_equal(read_damaged(&rot, &meta, (unsigned)len), LOAM_CORRUPT);
        object_name_make(OBJECT_TABLES, meta.object, name);
        assert_ok(store_delete(rot.lab.store, name));
    }
    free_rot(&rot);
}

/* A wrong byte under a right checksum: what a bug or malice would write. */
static void bytes_changed_under_their_checksums_never_crash(void **state)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x80, 0xff};
    (void)state;
    for (unsigned kind = 0; kind < ROT_KINDS; kind++) {
        struct rot rot;
        make_rot_of(&rot, (loam_compression)(kind / 2), kind % 2 == 0);
        for (size_t at = 0; at < rot.len; at += seeds_stride(3)) {
            struct table *table = NULL;
            struct iter *iter = NULL;
            rot.live[at] ^= masks[at % sizeof masks];
            sst_fix_sums(rot.live, rot.len, ROT_UID);
            assert_ok(sst_table(&rot.lab, &rot.meta, &table));
            for (size_t i = 0; i < rot.rows.count; i++) {
                const loam_slice key = rot.rows.at[i].key;
                struct table_hit hit;
                if (table_get(table, key, hash_key(key), SEQ_MAX, &hit) == LOAM_OK)
                    table_hit_release(&hit);
            }
            if (table_iter_new(table, TABLE_ITER_BULK, &iter) == LOAM_OK) {
                loam_status rc = iter->ops->first(iter);
                while (rc == LOAM_OK)
                    rc = iter->ops->next(iter);
                iter_close(iter);
            }
            const loam_status found = table_verify(table, NULL, NULL);
            if (found != LOAM_OK && found != LOAM_TOONEW) assert_int_equal(found, LOAM_CORRUPT);
            table_unref(table);
            memcpy(rot.live, rot.bytes, rot.len);
        }
        free_rot(&rot);
    }
}

static void a_newer_format_is_too_new_and_an_unknown_type_corrupt(void **state)
{
    struct rot rot;
    size_t frames = 0;
    (void)state;
    make_rot(&rot, LOAM_UNCOMPRESSED);
    for (size_t at = 0; at < rot.len; frames++) {
        static const struct {
            size_t byte;
            uint8_t value;
            loam_status rc;
        } cases[] = {{5, BLOCK_FORMAT + 1, LOAM_TOONEW},
                     {5, 0, LOAM_CORRUPT},
                     {4, 9, LOAM_CORRUPT},
                     {4, 0, LOAM_CORRUPT},
                     {6, 3, LOAM_CORRUPT},
                     {7, 1, LOAM_CORRUPT}};
        const size_t next = at + BLOCK_HEADER_BYTES + get_u32(rot.live + at + 12);
        /* What stands in front of the pages is read at the first use, and says its own status. */
        const bool is_early = at >= rot.len - FOOTER_BYTES || rot.bytes[at + 4] == BLOCK_INDEX ||
                              rot.bytes[at + 4] == BLOCK_FILTER;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            rot.live[at + cases[i].byte] = cases[i].value;
            sst_fix_sum(rot.live, at, ROT_UID);
            assert_int_equal(try_damage(&rot, 1), is_early ? cases[i].rc : LOAM_CORRUPT);
        }
        at = next;
    }
    assert_true(frames > 10);
    free_rot(&rot);
}

static void sound_bytes_in_the_wrong_place_are_noticed(void **state)
{
    struct rot rot;
    size_t second = 0;
    (void)state;
    make_rot(&rot, LOAM_UNCOMPRESSED);
    const size_t first_len = BLOCK_HEADER_BYTES + get_u32(rot.bytes + 12);
    second = first_len;
    const size_t second_len = BLOCK_HEADER_BYTES + get_u32(rot.bytes + second + 12);
    const size_t len = first_len < second_len ? first_len : second_len;
    memcpy(rot.live, rot.bytes + second, len); /* a misdirected write */
    assert_int_equal(try_damage(&rot, 1), LOAM_CORRUPT);
    sst_fix_sums(rot.live, rot.len, ROT_UID + 1); /* another table of the same shape */
    assert_int_equal(try_damage(&rot, 1), LOAM_CORRUPT);
    free_rot(&rot);
}

static void a_missing_object_is_corruption_by_name(void **state)
{
    struct rot rot;
    struct table *table = NULL;
    struct table_hit hit;
    (void)state;
    make_rot(&rot, LOAM_UNCOMPRESSED);
    struct table_meta meta = rot.meta;
    meta.object.number = 0xabc;
    assert_ok(sst_table(&rot.lab, &meta, &table));
    assert_int_equal(table_get(table, loam_str("k1"), 1, SEQ_MAX, &hit), LOAM_CORRUPT);
    assert_non_null(strstr(loam_errmsg(), "00000001-00000abc.sst"));
    table_unref(table);
    free_rot(&rot);
}

static void count_lines(void *ctx, const char *text)
{
    assert_non_null(strstr(text, ".sst"));
    ++*(int *)ctx;
}

static void verify_says_each_fault(void **state)
{
    struct rot rot;
    struct table *table = NULL;
    int lines = 0;
    (void)state;
    make_rot(&rot, LOAM_UNCOMPRESSED);
    size_t at = 0;
    for (int i = 0; i < 3; i++) { /* three pages */
        rot.live[at + 40] ^= 1;
        at += BLOCK_HEADER_BYTES + get_u32(rot.live + at + 12);
    }
    assert_ok(sst_table(&rot.lab, &rot.meta, &table));
    assert_int_equal(table_verify(table, count_lines, &lines), LOAM_CORRUPT);
    assert_int_equal(lines, 3);
    table_unref(table);
    free_rot(&rot);
}

/* ---- a locator that lies, under a right checksum: what a bug or malice would write ---- */

struct liar {
    struct rot rot;
    size_t filter, first, end; /* its block, its buckets */
    uint32_t place_mask;
};

static void make_liar(struct liar *liar)
{
    make_rot(&liar->rot, LOAM_UNCOMPRESSED);
    const uint8_t *bytes = liar->rot.bytes;
    liar->filter = 0;
    while (bytes[liar->filter + 4] != BLOCK_FILTER)
        liar->filter += BLOCK_HEADER_BYTES + get_u32(bytes + liar->filter + 12);
    const uint8_t *header = bytes + liar->filter + BLOCK_HEADER_BYTES;
    liar->first = liar->filter + BLOCK_HEADER_BYTES + FILTER_HEADER_BYTES;
    liar->end = liar->first + (size_t)get_u32(header + 4) * LOCATOR_BUCKET_BYTES;
    liar->place_mask = (UINT32_C(1) << (header[1] + header[2])) - 1;
}

/* How many rows with keys of that tag there are, after all of them were read right. */
static size_t read_tagged(struct liar *liar, uint8_t tag)
{
    struct rot *rot = &liar->rot;
    struct table *table = NULL;
    size_t count = 0;
    sst_fix_sum(rot->live, liar->filter, ROT_UID);
    assert_ok(sst_table(&rot->lab, &rot->meta, &table));
    for (size_t i = 0; i < rot->rows.count; i++) {
        const struct entry *row = &rot->rows.at[i];
        if ((uint8_t)hash_key(row->key) != tag) continue;
        assert_int_equal(sst_check_get(table, &rot->rows, row->key, SEQ_MAX), SST_RIGHT);
        assert_int_equal(sst_check_get(table, &rot->rows, row->key, row->seq), SST_RIGHT);
        count++;
    }
    table_unref(table);
    return count;
}

static void verify_finds_every_wrong_place(void **state)
{
    struct liar liar;
    unsigned places = 0;
    (void)state;
    make_liar(&liar);
    struct rot *rot = &liar.rot;
    for (size_t at = liar.first; at < liar.end; at += LOCATOR_BUCKET_BYTES) {
        const uint8_t count = rot->bytes[at + LOCATOR_COUNT_AT];
        for (size_t i = 0; i < count; i++, places++) {
            rot->live[at + LOCATOR_PLACES_AT + 4 * i] ^= 1;
            sst_fix_sum(rot->live, liar.filter, ROT_UID);
            assert_int_equal(try_damage(rot, places), LOAM_CORRUPT);
        }
        if (count == LOCATOR_BUCKET_KEYS) continue;
        rot->live[at + LOCATOR_COUNT_AT]++; /* of a key that the table does not have */
        rot->live[at + count] ^= 1;
        sst_fix_sum(rot->live, liar.filter, ROT_UID);
        assert_int_equal(try_damage(rot, places), LOAM_CORRUPT);
    }
    assert_true(places > 15);
    free_rot(rot);
}

/* All keys of a bucket have one tag: each but one stands at a place of another, and that one is found among them. */
static void a_place_of_another_key_is_passed_over(void **state)
{
    struct liar liar;
    size_t read_count = 0;
    (void)state;
    make_liar(&liar);
    struct rot *rot = &liar.rot;
    for (size_t at = liar.first; at < liar.end; at += LOCATOR_BUCKET_BYTES)
        for (size_t i = 0; i < rot->bytes[at + LOCATOR_COUNT_AT]; i++) {
            const uint8_t tag = rot->bytes[at + i], *places = rot->bytes + at + LOCATOR_PLACES_AT;
            const uint32_t more = get_u32(places + 4 * i) & ~liar.place_mask;
            for (size_t j = 0; j < rot->bytes[at + LOCATOR_COUNT_AT]; j++) {
                rot->live[at + j] = tag;
                put_u32(rot->live + at + LOCATOR_PLACES_AT + 4 * j,
                        (get_u32(places + 4 * j) & liar.place_mask) | more);
            }
            read_count += read_tagged(&liar, tag);
            memcpy(rot->live, rot->bytes, rot->len);
        }
    assert_true(read_count >= rot->rows.count);
    free_rot(rot);
}

/* Behind the last page, behind the page's end, in front of its entries: then the key is searched for. */
static void a_place_that_is_none_is_not_asked(void **state)
{
    struct liar liar;
    size_t read_count = 0;
    (void)state;
    make_liar(&liar);
    struct rot *rot = &liar.rot;
    const uint32_t offset_mask =
        (UINT32_C(1) << rot->bytes[liar.filter + BLOCK_HEADER_BYTES + 1]) - 1;
    for (size_t at = liar.first; at < liar.end; at += LOCATOR_BUCKET_BYTES)
        for (size_t i = 0; i < rot->bytes[at + LOCATOR_COUNT_AT]; i++) {
            uint8_t *place = rot->live + at + LOCATOR_PLACES_AT + 4 * i;
            const uint32_t was = get_u32(place);
            const uint32_t lies[] = {was | liar.place_mask, was | offset_mask, was & ~offset_mask,
                                     (was & ~offset_mask) | PAGE_HEADER_BYTES};
            for (size_t k = 0; k < sizeof lies / sizeof lies[0]; k++) {
                put_u32(place, lies[k]);
                read_count += read_tagged(&liar, rot->bytes[at + i]);
            }
            put_u32(place, was);
        }
    assert_true(read_count >= 4 * rot->rows.count);
    free_rot(rot);
}

/* A page that cannot be read costs the keys that stand in it alone, though the tags of others lead there first. */
static void damage_costs_the_keys_of_its_page(void **state)
{
    struct liar liar;
    struct table *table = NULL;
    size_t right = 0, refused = 0;
    (void)state;
    make_liar(&liar);
    struct rot *rot = &liar.rot;
    for (size_t at = liar.first; at < liar.end; at += LOCATOR_BUCKET_BYTES)
        for (size_t i = 0; i < rot->bytes[at + LOCATOR_COUNT_AT]; i++) { /* into the first page */
            uint8_t *place = rot->live + at + LOCATOR_PLACES_AT + 4 * i;
            put_u32(place, get_u32(place) & ~liar.place_mask);
        }
    rot->live[40] ^= 1;
    sst_fix_sum(rot->live, liar.filter, ROT_UID);
    assert_ok(sst_table(&rot->lab, &rot->meta, &table));
    for (size_t i = 0; i < rot->rows.count; i++) {
        const enum sst_answer answer =
            sst_check_get(table, &rot->rows, rot->rows.at[i].key, rot->rows.at[i].seq);
        right += answer == SST_RIGHT;
        refused += answer == SST_REFUSED;
    }
    assert_int_equal(right + refused, rot->rows.count);
    assert_true(right > rot->rows.count / 2 && refused > 0);
    table_unref(table);
    free_rot(rot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(bytes_changed_under_their_checksums_never_crash),
        cmocka_unit_test(a_newer_format_is_too_new_and_an_unknown_type_corrupt),
        cmocka_unit_test(sound_bytes_in_the_wrong_place_are_noticed),
        cmocka_unit_test(a_missing_object_is_corruption_by_name),
        cmocka_unit_test(verify_says_each_fault),
        cmocka_unit_test(verify_finds_every_wrong_place),
        cmocka_unit_test(a_place_of_another_key_is_passed_over),
        cmocka_unit_test(a_place_that_is_none_is_not_asked),
        cmocka_unit_test(damage_costs_the_keys_of_its_page),
    };
    return cmocka_run_group_tests_name("sstable/rot", tests, NULL, NULL);
}
