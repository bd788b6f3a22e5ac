/*
 * test_segment.c - records in a segment: what is written is read at its place, and nothing else is a record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/simdisk.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "wal/segment.h"

enum { CAPACITY = 256 << 10, START = 4096 * 8 };

static const struct object_id ID = {3, 7};

struct bench {
    struct simdisk *disk;
    struct store *store;
    struct log *log;
    struct segment segment;
    struct segment_header header;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    const struct store_options options = {0};
    char name[OBJECT_NAME_BYTES];
    bool is_new;
    bench->disk = simdisk_new(1);
    assert_int_equal(store_open(simdisk_table(bench->disk), "db", &options, &is_new, &bench->store),
                     LOAM_OK);
    assert_int_equal(store_root_swap(bench->store, loam_str("a root")), LOAM_OK);
    object_name_make(OBJECT_SEGMENT, ID, name);
    assert_int_equal(log_create(bench->store, name, CAPACITY, LOG_MAPPED, &bench->log), LOAM_OK);
    bench->header = (struct segment_header){.store_id = "sixteen bytes id",
                                            .id = ID,
                                            .start = START,
                                            .running = 99,
                                            .synced_upto = START - 8,
                                            .log_key = 0x123456789abcdef0,
                                            .base_ms = 1000000};
    assert_int_equal(segment_start(&bench->segment, bench->log, &bench->header), LOAM_OK);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    if (bench->log != NULL) assert_int_equal(log_close(bench->log, false), LOAM_OK);
    store_close(bench->store);
    simdisk_free(bench->disk);
    free(bench);
    return 0;
}

static void append(struct bench *bench, const struct record_spec *spec, size_t len)
{
    uint8_t *body = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(spec->seq + i);
    const struct sys_piece pieces[3] = {
        {body, len / 3}, {body + len / 3, 0}, {body + len / 3, len - len / 3}};
    assert_int_equal(segment_append(&bench->segment, spec, pieces, 3, LOG_VOLATILE), LOAM_OK);
    free(body);
}

static void check_body(const struct record *record, size_t len)
{
    assert_int_equal(record->body.len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(((const uint8_t *)record->body.data)[i], (uint8_t)(record->seq + i));
}

static uint8_t *disk_bytes(struct bench *bench)
{
    uint64_t len;
    uint8_t *bytes = simdisk_bytes(bench->disk, "db", "00000003-00000007.wal", &len);
    assert_int_equal(len, CAPACITY);
    return bytes;
}

static void load(struct bench *bench, struct segment_view *view)
{
    assert_int_equal(segment_load(bench->store, OBJECT_SEGMENT, ID, view), LOAM_OK);
}

/* ---- records ---------------------------------------------------------------------------------- */

static void records_come_back_with_all_they_carry(void **state)
{
    struct bench *bench = *state;
    static const size_t lengths[] = {0, 1, 7, 8, 9, 100, 2039, 2040, 2041, 2048, 5000, 100000};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    struct segment_view view;
    struct record record;
    for (uint64_t i = 0; i < COUNT; i++) {
        const struct record_spec spec = {.kind = (uint8_t)(1 + i % 4),
                                         .flags = RECORD_FIRST | RECORD_LAST,
                                         .seq = 1000 + i,
                                         .time_ms = 1000000 + i * 1000,
                                         .synced_upto = bench->segment.end - 8 * i};
        append(bench, &spec, lengths[i]);
    }
    load(bench, &view);
    uint64_t position = START, running = 99;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(segment_record_at(&view, position, &running, &record), LOAM_OK);
        assert_int_equal(record.position, position);
        assert_int_equal(record.end, position + record_bytes(lengths[i]));
        assert_int_equal(record.kind, 1 + i % 4);
        assert_int_equal(record.flags, RECORD_FIRST | RECORD_LAST);
        assert_int_equal(record.seq, 1000 + i);
        assert_int_equal(record.time_ms, 1000000 + i * 1000);
        assert_int_equal(record.synced_upto, position - 8 * i);
        check_body(&record, lengths[i]);
        position = record.end;
    }
    assert_int_equal(position, bench->segment.end);
    assert_true(running == bench->segment.running);
    assert_int_equal(segment_record_at(&view, position, &running, &record), LOAM_NOTFOUND);
    assert_true(running == bench->segment.running);
    segment_view_deinit(&view);
}

static void a_segment_can_be_filled_to_its_last_byte(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct record record;
    const struct record_spec spec = {.kind = RECORD_COMMIT, .seq = 5};
    const uint64_t room = segment_capacity_end(&bench->segment) - START;
    assert_int_equal(room, CAPACITY - SEGMENT_HEADER_BYTES);
    append(bench, &spec, (size_t)room - RECORD_HEAD_BYTES);
    assert_int_equal(bench->segment.end, segment_capacity_end(&bench->segment));
    load(bench, &view);
    assert_int_equal(segment_record_at(&view, START, NULL, &record), LOAM_OK);
    check_body(&record, (size_t)room - RECORD_HEAD_BYTES);
    assert_int_equal(segment_record_at(&view, record.end, NULL, &record), LOAM_NOTFOUND);
    segment_view_deinit(&view);
}

static void extremes_of_time_and_distance_are_saturated(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct record record;
    const struct record_spec early = {.kind = RECORD_ATTEST, .time_ms = 5};
    const struct record_spec late = {.kind = RECORD_ATTEST, .time_ms = UINT64_MAX};
    append(bench, &early, 0); /* a clock that went backwards */
    append(bench, &late, 0);
    load(bench, &view);
    assert_int_equal(segment_record_at(&view, START, NULL, &record), LOAM_OK);
    assert_int_equal(record.time_ms, 1000000);
    assert_int_equal(record.synced_upto, 0);
    assert_int_equal(segment_record_at(&view, record.end, NULL, &record), LOAM_OK);
    assert_int_equal(record.time_ms, UINT64_C(1000000) + UINT32_MAX);
    segment_view_deinit(&view);
}

static void a_record_is_none_anywhere_else(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct record record;
    const struct record_spec spec = {.kind = RECORD_COMMIT, .seq = 1};
    append(bench, &spec, 40);
    append(bench, &spec, 40);
    load(bench, &view);
    uint8_t *bytes = view.bytes.data;
    for (uint64_t at = 0; at < START + CAPACITY + 100; at++) {
        if (at == START || at == START + 72) continue;
        if (segment_record_at(&view, at, NULL, &record) != LOAM_NOTFOUND)
            fail_msg("position %u", (unsigned)at);
    }
    assert_int_equal(segment_record_at(&view, UINT64_MAX, NULL, &record), LOAM_NOTFOUND);
    memcpy(bytes + SEGMENT_HEADER_BYTES + 144, bytes + SEGMENT_HEADER_BYTES, 72);
    assert_int_equal(segment_record_at(&view, START + 144, NULL, &record), LOAM_NOTFOUND);
    view.header.log_key ^= 1; /* a recycled segment's old records */
    assert_int_equal(segment_record_at(&view, START, NULL, &record), LOAM_NOTFOUND);
    segment_view_deinit(&view);
}

static void a_change_of_any_bit_makes_it_none(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct record record;
    const struct record_spec spec = {
        .kind = RECORD_COMMIT, .flags = RECORD_FIRST, .seq = 77, .synced_upto = START};
    append(bench, &spec, 50);
    load(bench, &view);
    uint8_t *bytes = (uint8_t *)view.bytes.data + SEGMENT_HEADER_BYTES;
    for (unsigned bit = 0; bit < 8 * (RECORD_HEAD_BYTES + 50); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint64_t running = 99;
        if (segment_record_at(&view, START, &running, &record) != LOAM_NOTFOUND)
            fail_msg("bit %u", bit);
        assert_int_equal(running, 99);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(segment_record_at(&view, START, NULL, &record), LOAM_OK);
    segment_view_deinit(&view);
}

static void a_file_cut_at_any_length_ends_before_the_cut(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct record record;
    const struct record_spec spec = {.kind = RECORD_COMMIT, .seq = 1};
    for (int i = 0; i < 4; i++)
        append(bench, &spec, 43); /* 32 + 43 + 5 */
    load(bench, &view);
    uint8_t *whole = view.bytes.data;
    for (size_t len = 0; len <= SEGMENT_HEADER_BYTES + 330; len++) {
        view.bytes.data = mem_copy(whole, len); /* exact, for the sanitizers */
        view.bytes.len = len;
        size_t count = 0;
        for (uint64_t at = START; segment_record_at(&view, at, NULL, &record) == LOAM_OK;
             at = record.end)
            count++;
        const size_t fits = len < SEGMENT_HEADER_BYTES ? 0 : (len - SEGMENT_HEADER_BYTES) / 80;
        assert_int_equal(count, fits > 4 ? 4 : fits);
        uint64_t found_at;
        (void)segment_attested_beyond(&view, START, &found_at);
        mem_free(view.bytes.data);
    }
    mem_free(whole);
}

/* ---- attesting ---------------------------------------------------------------------------------- */

static void what_stands_beyond_damage_is_found(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    uint64_t found_at = 0, positions[6];
    for (uint64_t i = 0; i < 6; i++) {
        positions[i] = bench->segment.end;
        const struct record_spec spec = {
            .kind = RECORD_COMMIT, .seq = i, .synced_upto = i < 4 ? positions[i] : START};
        append(bench, &spec, 100 + i);
    }
    load(bench, &view);
    uint8_t *bytes = (uint8_t *)view.bytes.data + SEGMENT_HEADER_BYTES;
    bytes[positions[1] - START + 40] ^= 1;
    assert_int_equal(segment_attested_beyond(&view, positions[1], &found_at), positions[3]);
    assert_int_equal(found_at, positions[3]);
    assert_int_equal(segment_attested_beyond(&view, positions[4], &found_at), START);
    assert_int_equal(segment_attested_beyond(&view, bench->segment.end, &found_at), 0);
    assert_int_equal(segment_attested_beyond(&view, UINT64_MAX - 7, &found_at), 0);
    segment_view_deinit(&view);
}

/* ---- headers ------------------------------------------------------------------------------------ */

static void the_header_comes_back(void **state)
{
    struct bench *bench = *state;
    struct segment_header header;
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_OK);
    assert_memory_equal(header.store_id, "sixteen bytes id", STORE_ID_BYTES);
    assert_true(object_id_equal(header.id, ID));
    assert_int_equal(header.start, START);
    assert_int_equal(header.running, 99);
    assert_int_equal(header.synced_upto, START - 8);
    assert_true(header.log_key == 0x123456789abcdef0);
    assert_int_equal(header.base_ms, 1000000);
}

static void either_copy_of_the_header_is_enough(void **state)
{
    struct bench *bench = *state;
    struct segment_header header;
    uint8_t *bytes = disk_bytes(bench);
    for (unsigned copy = 0; copy < 2; copy++) {
        for (unsigned byte = 0; byte < 128; byte++) {
            bytes[copy * 4096 + byte] ^= 0x10;
            assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_OK);
            assert_int_equal(header.start, START);
            bytes[copy * 4096 + byte] ^= 0x10;
        }
    }
    bytes[9] ^= 1;
    bytes[4096 + 77] ^= 1;
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_NOTFOUND);
    struct segment_view view;
    assert_int_equal(segment_load(bench->store, OBJECT_SEGMENT, ID, &view), LOAM_NOTFOUND);
}

/* Changes a byte of both copies and makes their checks right again. */
static void patch_header(struct bench *bench, unsigned at, uint8_t value)
{
    uint8_t *bytes = disk_bytes(bench);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t *header = bytes + copy * 4096;
        header[at] = value;
        put_u32(header, (uint32_t)hash_seeded(header + 4, 124, 'S'));
    }
}

static void a_newer_format_is_too_new(void **state)
{
    struct bench *bench = *state;
    struct segment_header header;
    patch_header(bench, 5, SEGMENT_FORMAT + 1);
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_TOONEW);
    assert_non_null(strstr(loam_errmsg(), "00000003-00000007.wal"));
    patch_header(bench, 5, 0);
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_NOTFOUND);
}

static void a_header_of_another_segment_is_none(void **state)
{
    struct bench *bench = *state;
    struct segment_header header;
    patch_header(bench, 28, 6); /* its number: a recycled file whose new header never came */
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_NOTFOUND);
    patch_header(bench, 28, 8); /* no recycled file: exchanged */
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_CORRUPT);
    patch_header(bench, 28, 7);
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_OK);
    patch_header(bench, 4, 'T');
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_NOTFOUND);
    patch_header(bench, 4, 'S');
    patch_header(bench, 32, 4); /* a start that is not aligned */
    assert_int_equal(segment_peek(bench->store, OBJECT_SEGMENT, ID, &header), LOAM_NOTFOUND);
}

static void a_missing_or_short_file_is_not_found(void **state)
{
    struct bench *bench = *state;
    struct segment_view view;
    struct object_writer *writer;
    const struct object_id other = {3, 8};
    assert_int_equal(segment_load(bench->store, OBJECT_SEGMENT, other, &view), LOAM_NOTFOUND);
    for (size_t len = 0; len < 200; len += 66) {
        uint8_t zeros[200] = {0};
        assert_int_equal(object_create(bench->store, "00000003-00000008.wal", &writer), LOAM_OK);
        assert_int_equal(object_append(writer, zeros, len), LOAM_OK);
        assert_int_equal(object_finish(writer), LOAM_OK);
        assert_int_equal(segment_load(bench->store, OBJECT_SEGMENT, other, &view), LOAM_NOTFOUND);
    }
}

#define test_bench(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_bench(records_come_back_with_all_they_carry),
        test_bench(a_segment_can_be_filled_to_its_last_byte),
        test_bench(extremes_of_time_and_distance_are_saturated),
        test_bench(a_record_is_none_anywhere_else),
        test_bench(a_change_of_any_bit_makes_it_none),
        test_bench(a_file_cut_at_any_length_ends_before_the_cut),
        test_bench(what_stands_beyond_damage_is_found),
        test_bench(the_header_comes_back),
        test_bench(either_copy_of_the_header_is_enough),
        test_bench(a_newer_format_is_too_new),
        test_bench(a_header_of_another_segment_is_none),
        test_bench(a_missing_or_short_file_is_not_found),
    };
    return cmocka_run_group_tests_name("wal/segment", tests, NULL, NULL);
}
