/*
 * test_edit.c - edits: every change round-trips, and nothing is accepted that no writer makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "tree/edit.h"

static const struct table_meta a_meta = {
    .object = {3, 7},
    .offset = 4096,
    .bytes = 70000,
    .uid = UINT64_C(0xfedcba9876543210),
    .smallest = {"apple", 5},
    .largest = {"pear", 4},
    .seq_min = 100,
    .seq_max = 299,
    .entry_count = 150,
    .tombstone_count = 20,
    .payload_bytes = 65000,
    .page_count = 17,
    .dense_count = 2,
};

static struct change one_of_each(enum change_tag tag)
{
    return (struct change){
        .tag = tag,
        .coll = 5,
        .source = 4,
        .level = 2,
        .run = 300,
        .uid = a_meta.uid,
        .seq = SEQ_MAX,
        .position = 8192,
        .position_end = 16384,
        .running = UINT64_MAX,
        .time_ms = 1700000000000,
        .caller_index = UINT64_MAX,
        .next_coll = UINT32_MAX,
        .next_run = 301,
        .object = {3, UINT32_MAX},
        .name = loam_str("fruit"),
        .compression = LOAM_ZSTD,
        .ttl_ms = UINT64_MAX,
        .merge_operator = loam_str("add_u64"),
        .meta = a_meta,
        .from = loam_str("b"),
        .to = loam_str("c"),
        .ranges = loam_bytes("\x01"
                             "a\x02\x09\x04\x01"
                             "f\x00",
                             8),
    };
}

static void put_one_of_each(struct edit *edit)
{
    for (unsigned tag = CHANGE_COLL_CREATE; tag <= CHANGE_CALLER_INDEX; tag++) {
        struct change change = one_of_each((enum change_tag)tag);
        if (tag == CHANGE_TABLE_ADD_SWEPT) {
            change.tag = CHANGE_TABLE_ADD;
            change.meta.swept_seq = 300;
        }
        if (tag == CHANGE_TABLE_ADD_EXPIRING) {
            change.tag = CHANGE_TABLE_ADD;
            change.meta.expiring_count = 1;
            change.meta.expires_first_ms = 300;
            change.meta.expires_last_ms = 301;
        }
        if (tag == CHANGE_TABLE_ADD_SHIFTED) {
            change.tag = CHANGE_TABLE_ADD;
            change.meta.seq_shift = a_meta.seq_min - 1;
        }
        assert_int_equal(edit_add(edit, &change), LOAM_OK);
    }
}

static loam_slice bytes_of(const struct edit *edit)
{
    return loam_bytes(edit->bytes.data, edit->bytes.len);
}

/* Decodes all, encodes again what was understood; the first answer that is not LOAM_OK. */
static loam_status recode(loam_slice bytes, struct edit *again)
{
    struct edit_reader reader = edit_reader_over(bytes);
    struct change change;
    loam_status rc;
    while ((rc = edit_next(&reader, &change)) == LOAM_OK)
        assert_int_equal(edit_add(again, &change), LOAM_OK);
    return rc;
}

static void every_change_comes_back_as_the_same_bytes(void **state)
{
    struct edit edit = {0}, again = {0};
    (void)state;
    put_one_of_each(&edit);
    assert_int_equal(recode(bytes_of(&edit), &again), LOAM_NOTFOUND);
    assert_true(bytes_equal(bytes_of(&edit), bytes_of(&again)));
    edit_deinit(&edit);
    edit_deinit(&again);
}

static void a_table_comes_back_with_all_its_fields(void **state)
{
    struct edit edit = {0};
    struct change change;
    (void)state;
    assert_int_equal(edit_add_table(&edit, 5, 7, 9, &a_meta), LOAM_OK);
    struct edit_reader reader = edit_reader_over(bytes_of(&edit));
    assert_int_equal(edit_next(&reader, &change), LOAM_OK);
    assert_int_equal(change.tag, CHANGE_TABLE_ADD);
    assert_int_equal(change.coll, 5);
    assert_int_equal(change.level, 7);
    assert_int_equal(change.run, 9);
    assert_true(object_id_equal(change.meta.object, a_meta.object));
    assert_int_equal(change.meta.offset, a_meta.offset);
    assert_int_equal(change.meta.bytes, a_meta.bytes);
    assert_true(change.meta.uid == a_meta.uid);
    assert_true(bytes_equal(change.meta.smallest, a_meta.smallest));
    assert_true(bytes_equal(change.meta.largest, a_meta.largest));
    assert_int_equal(change.meta.seq_min, a_meta.seq_min);
    assert_int_equal(change.meta.seq_max, a_meta.seq_max);
    assert_int_equal(change.meta.entry_count, a_meta.entry_count);
    assert_int_equal(change.meta.tombstone_count, a_meta.tombstone_count);
    assert_int_equal(change.meta.payload_bytes, a_meta.payload_bytes);
    assert_int_equal(change.meta.page_count, a_meta.page_count);
    assert_int_equal(change.meta.dense_count, a_meta.dense_count);
    assert_int_equal(change.from.len + change.to.len, 0);
    assert_int_equal(edit_next(&reader, &change), LOAM_NOTFOUND);
    edit_deinit(&edit);
}

/* Bytes in memory of exactly their length, so that a sanitizer sees one read too many. */
static loam_status decode_exactly(const uint8_t *bytes, size_t len, struct edit *again)
{
    void *copy = mem_copy(bytes, len);
    assert_non_null(copy);
    again->bytes.len = 0;
    const loam_status rc = recode(loam_bytes(copy, len), again);
    mem_free(copy);
    return rc;
}

static void an_edit_cut_anywhere_within_a_change_is_refused(void **state)
{
    struct edit edit = {0}, again = {0};
    size_t whole = 0;
    (void)state;
    put_one_of_each(&edit);
    for (size_t len = 0; len < edit.bytes.len; len++) {
        const loam_status rc = decode_exactly(edit.bytes.data, len, &again);
        if (rc == LOAM_NOTFOUND) {
            assert_int_equal(again.bytes.len, len);
            whole++;
        } else {
            assert_int_equal(rc, LOAM_CORRUPT);
        }
    }
    assert_int_equal(whole, CHANGE_CALLER_INDEX); /* the ends of changes, and nothing at all */
    edit_deinit(&edit);
    edit_deinit(&again);
}

static void what_is_accepted_is_what_the_encoder_makes(void **state)
{
    struct edit edit = {0}, again = {0};
    struct rand rand = {1};
    uint8_t bytes[1024];
    (void)state;
    put_one_of_each(&edit);
    assert_true(edit.bytes.len <= sizeof bytes);
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, edit.bytes.data, edit.bytes.len);
        for (uint64_t flips = 1 + rand_below(&rand, 3); flips > 0; flips--)
            bytes[rand_below(&rand, edit.bytes.len)] = (uint8_t)rand_next(&rand);
        const loam_status rc = decode_exactly(bytes, edit.bytes.len, &again);
        assert_true(rc == LOAM_NOTFOUND || rc == LOAM_CORRUPT || rc == LOAM_TOONEW);
        if (rc == LOAM_NOTFOUND)
            assert_true(bytes_equal(loam_bytes(bytes, edit.bytes.len), bytes_of(&again)));
    }
    edit_deinit(&edit);
    edit_deinit(&again);
}

static void tags_of_the_future_are_too_new_and_no_tag_is_corrupt(void **state)
{
    struct edit again = {0};
    (void)state;
    assert_int_equal(decode_exactly((const uint8_t *)"\x16", 1, &again), LOAM_TOONEW);
    assert_int_equal(decode_exactly((const uint8_t *)"\xff", 1, &again), LOAM_TOONEW);
    assert_int_equal(decode_exactly((const uint8_t *)"\x00", 1, &again), LOAM_CORRUPT);
}

static void impossible_changes_are_refused(void **state)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
    } cases[] = {
        {"an empty name", "\x01\x05\x00\x00", 4},
        {"a name with a zero",
         "\x01\x05\x02"
         "a\0\x00",
         6},
        {"a name with a tab", "\x01\x05\x02\x09z\x00", 6},
        {"a name that is not UTF-8", "\x02\x05\x02\xc3(", 5},
        {"a name with a slash", "\x02\x05\x03u/v", 6},
        {"compression 3",
         "\x01\x05\x01"
         "a\x03",
         5},
        {"level 8", "\x05\x00\x08\x01\x01", 5},
        {"a clip that ends where it begins", "\x06\x00\x00\x01\x01\x01x\x01x", 9},
        {"a varint that is not minimal", "\x03\x85\x00", 3},
        {"a segment that ends before it begins", "\x08\x01\x01\x09\x08", 5},
        {"ranges out of order",
         "\x0f\x05\x08\x01"
         "b\x01\x03\x01"
         "a\x01\x04",
         11},
        {"a table that is swept up to 0",
         "\x0e\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x01\x01\x01\x00\x00\x01\x00\x00\x00\x00",
         21},
        {"a table with expiries of nothing",
         "\x11\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x01\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00"
         "\x00\x00",
         24},
        {"more expiries than entries",
         "\x11\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x01\x01\x01\x00\x00\x01\x00\x00\x00\x00\x02"
         "\x01\x01",
         24},
        {"expiries out of order",
         "\x11\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x01\x01\x01\x00\x00\x01\x00\x00\x00\x00\x01"
         "\x02\x01",
         24},
        {"a table that is shifted by 0",
         "\x13\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x01\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00"
         "\x00\x00\x00",
         25},
        {"a table that is shifted to its least number",
         "\x13\x00\x02\x03\x01\x00\x00\x01\x01\x00\x00\x05\x05\x01\x00\x00\x01\x00\x00\x00\x00\x00"
         "\x00\x00\x05",
         25},
        {"a length beyond the end",
         "\x02\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
         "a",
         13},
    };
    struct edit again = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (decode_exactly((const uint8_t *)cases[i].bytes, cases[i].len, &again) != LOAM_CORRUPT)
            fail_msg("accepted: %s", cases[i].why);
    edit_deinit(&again);
}

static loam_status decode_meta(const struct table_meta *good, size_t offset, uint64_t value)
{
    /* The fields are written out here, because edit_add() would refuse to. */
    const uint64_t fields[][2] = {
        {offsetof(struct table_meta, offset), good->offset},
        {offsetof(struct table_meta, bytes), good->bytes},
        {offsetof(struct table_meta, uid), good->uid},
        {offsetof(struct table_meta, smallest), 0},
        {offsetof(struct table_meta, largest), 0},
        {offsetof(struct table_meta, seq_min), good->seq_min},
        {offsetof(struct table_meta, seq_max), good->seq_max},
        {offsetof(struct table_meta, entry_count), good->entry_count},
        {offsetof(struct table_meta, tombstone_count), good->tombstone_count},
        {offsetof(struct table_meta, payload_bytes), good->payload_bytes},
        {offsetof(struct table_meta, page_count), good->page_count},
        {offsetof(struct table_meta, dense_count), good->dense_count},
    };
    uint8_t bytes[256] = {CHANGE_TABLE_ADD, 0, 0, 1, 3, 7}, *at = bytes + 6;
    struct edit again = {0};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        at = put_varint64(at, fields[i][0] == offset ? value : fields[i][1]);
    *at++ = 0;
    *at++ = 0;
    const loam_status rc = decode_exactly(bytes, (size_t)(at - bytes), &again);
    edit_deinit(&again);
    return rc;
}

static void impossible_tables_are_refused(void **state)
{
    static const struct {
        size_t offset;
        uint64_t value;
    } cases[] = {
        {offsetof(struct table_meta, offset), UINT64_MAX},
        {offsetof(struct table_meta, offset), UINT64_MAX / 2 + 1},
        {offsetof(struct table_meta, bytes), 0},
        {offsetof(struct table_meta, bytes), UINT64_MAX},
        {offsetof(struct table_meta, bytes), UINT64_MAX / 2},
        {offsetof(struct table_meta, seq_min), 0},
        {offsetof(struct table_meta, seq_min), 300},
        {offsetof(struct table_meta, seq_max), SEQ_MAX + 1},
        {offsetof(struct table_meta, entry_count), 0},
        {offsetof(struct table_meta, entry_count), 19},
        {offsetof(struct table_meta, entry_count), SEQ_MAX + 1},
        {offsetof(struct table_meta, page_count), 0},
        {offsetof(struct table_meta, page_count), UINT64_C(1) << 32},
        {offsetof(struct table_meta, dense_count), 18},
    };
    (void)state;
    assert_int_equal(decode_meta(&a_meta, offsetof(struct table_meta, uid), 1), LOAM_NOTFOUND);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (decode_meta(&a_meta, cases[i].offset, cases[i].value) != LOAM_CORRUPT)
            fail_msg("accepted case %zu", i);
}

static void running_out_of_memory_leaves_the_edit_as_it_was(void **state)
{
    struct edit edit = {0};
    (void)state;
    put_one_of_each(&edit);
    const size_t len = edit.bytes.len;
    struct change change = one_of_each(CHANGE_COLL_RENAME);
    do { /* fill up what is reserved */
        mem_fail_at(1, 0);
    } while (edit_add(&edit, &change) == LOAM_OK);
    mem_fail_at(0, 0);
    struct edit again = {0};
    assert_true(edit.bytes.len >= len);
    assert_int_equal(recode(bytes_of(&edit), &again), LOAM_NOTFOUND);
    edit_deinit(&edit);
    edit_deinit(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_comes_back_as_the_same_bytes),
        cmocka_unit_test(a_table_comes_back_with_all_its_fields),
        cmocka_unit_test(an_edit_cut_anywhere_within_a_change_is_refused),
        cmocka_unit_test(what_is_accepted_is_what_the_encoder_makes),
        cmocka_unit_test(tags_of_the_future_are_too_new_and_no_tag_is_corrupt),
        cmocka_unit_test(impossible_changes_are_refused),
        cmocka_unit_test(impossible_tables_are_refused),
        cmocka_unit_test(running_out_of_memory_leaves_the_edit_as_it_was),
    };
    return cmocka_run_group_tests_name("tree/edit", tests, NULL, NULL);
}
