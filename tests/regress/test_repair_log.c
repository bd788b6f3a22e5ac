/*
 * test_repair_log.c - repair says what a log has lost, and loses nothing of what stands in it.
 *
 * Where nothing said that the log was durable beyond a fault, repair took the fault for its torn end, whatever stood behind
 * it: a killed store with a segment cut off, exchanged, emptied or gone was repaired to what stood before that one, "lost:
 * nothing". And a segment without its header passed for one that was never begun.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <unistd.h>

enum { ENTRIES = 1000, VALUE_BYTES = 1900, HEADER_BYTES = 8192, BLOCK_BYTES = 4096 };

/* 256 KiB, 512 KiB, 1 MiB, the half of 2 MiB, and one that is only prepared. */
enum { SEGMENTS = 4 };

static int write_and_die(struct fixture *f)
{
    uint8_t *value = fixture_bytes(VALUE_BYTES, 1);
    char key[16];
    fixture_open(f, NULL);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        if (loam_put(f->db, NULL, loam_str(key), loam_bytes(value, VALUE_BYTES)) != LOAM_OK)
            return 1;
    }
    return 0; /* and no close */
}

static const char *segment(const struct fixture *f, unsigned number)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/00000001-%08x.wal", f->store, number);
    return path;
}

static int set_up_killed(void **state)
{
    if (fixture_set_up(state) != 0) return -1;
    struct fixture *f = *state;
    struct fixture_child child = fixture_child_start(f, write_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    assert_int_equal(access(segment(f, SEGMENTS), F_OK), 0);
    return 0;
}

/* ---- what repair says ------------------------------------------------------------------------- */

struct said {
    loam_repair_stats stats;
    char text[4000];
};

static void hear(void *ctx, const char *text)
{
    struct said *said = ctx;
    const size_t len = strlen(said->text);
    snprintf(said->text + len, sizeof said->text - len, "%s\n", text);
}

static struct said repair(const struct fixture *f, loam_status want)
{
    struct said said = {.stats = {.struct_size = sizeof said.stats}};
    loam_repair_options options = loam_repair_options_default();
    options.line = hear;
    options.ctx = &said;
    const loam_status rc = loam_repair(f->store, NULL, &options, &said.stats);
    if (rc != want) fail_msg("%d instead of %d: %s", rc, want, said.text);
    return said;
}

static void expect_said(const struct said *said, const char *text)
{
    if (strstr(said->text, text) == NULL) fail_msg("not said: %s: %s", text, said->text);
}

/* Something in the middle is lost, how much is known, and all behind it is there. */
static void expect_hole(const struct fixture *f, const char *name)
{
    const struct said said = repair(f, LOAM_CORRUPT);
    expect_said(&said, name);
    assert_true(said.stats.lost_record_count > 0 && said.stats.lost_bytes > 0);
    assert_int_equal(said.stats.entry_count + said.stats.lost_record_count, ENTRIES);
    if (strstr(said.text, "unknown extent") != NULL) fail_msg("it is known: %s", said.text);
}

static uint64_t bytes_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long bytes = ftell(file);
    (void)fclose(file);
    return (uint64_t)bytes;
}

static void write_zeros(const char *path, uint64_t from, size_t len)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)from, SEEK_SET), 0);
    while (len-- > 0)
        assert_int_equal(fputc(0, file), 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- damage in the middle ----------------------------------------------------------------------- */

static void a_killed_store_without_damage_has_lost_nothing(void **state)
{
    const struct said said = repair(*state, LOAM_OK);
    assert_int_equal(said.stats.fault_count, 0);
    assert_int_equal(said.stats.entry_count, ENTRIES);
}

static void a_segment_that_is_gone_is_a_hole(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(unlink(segment(f, 2)), 0);
    expect_hole(f, "00000001-00000003.wal: byte 8192: ");
}

static void a_segment_that_is_empty_is_a_hole(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(truncate(segment(f, 2), 0), 0);
    expect_hole(f, "00000001-00000003.wal: byte 8192: ");
}

static void a_segment_that_is_cut_is_a_hole(void **state)
{
    const struct fixture *f = *state;
    static const off_t sizes[] = {437576, 25 * BLOCK_BYTES, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(segment(f, 2), sizes[i]), 0);
        expect_hole(f, "00000001-00000003.wal: byte 8192: ");
    }
}

static void copy_segment(const struct fixture *f, unsigned from_number, unsigned to_number)
{
    FILE *from = fopen(segment(f, from_number), "rb"), *to = fopen(segment(f, to_number), "wb");
    assert_true(from != NULL && to != NULL);
    for (int byte; (byte = fgetc(from)) != EOF;)
        assert_int_equal(fputc(byte, to), byte);
    (void)fclose(from);
    assert_int_equal(fclose(to), 0);
}

static void a_segment_that_is_another_is_a_hole(void **state)
{
    const struct fixture *f = *state;
    copy_segment(f, 3, 2);
    expect_hole(f, "00000001-00000003.wal: byte 8192: ");
}

static void a_last_segment_that_is_another_is_said(void **state)
{
    const struct fixture *f = *state;
    copy_segment(f, SEGMENTS - 1, SEGMENTS);
    const struct said said = repair(f, LOAM_CORRUPT);
    expect_said(&said, "it has been exchanged");
    assert_true(said.stats.lost_bytes > 0);
}

static void a_record_that_is_damaged_is_a_hole(void **state)
{
    const struct fixture *f = *state;
    fixture_flip_byte(segment(f, 1), 100000);
    expect_hole(f, "00000001-00000001.wal: byte ");
    fixture_flip_byte(segment(f, SEGMENTS), 100000);
    expect_hole(f, "00000001-00000004.wal: byte ");
}

/* ---- damage at the end -------------------------------------------------------------------------- */

/* A file has whole blocks until a close cuts it. */
static void a_last_segment_that_is_cut_is_said(void **state)
{
    const struct fixture *f = *state;
    static const off_t sizes[] = {100003, HEADER_BYTES + 3, 5000, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(segment(f, SEGMENTS), sizes[i]), 0);
        const struct said said = repair(f, LOAM_CORRUPT);
        expect_said(&said, "00000001-00000004.wal: byte ");
        expect_said(&said, "unknown extent");
        assert_true(said.stats.entry_count > 0 && said.stats.entry_count < ENTRIES);
    }
}

static void records_without_a_header_are_found(void **state)
{
    const struct fixture *f = *state;
    for (unsigned number = SEGMENTS; number >= 1; number--) {
        write_zeros(segment(f, number), 0, HEADER_BYTES);
        const struct said said = repair(f, LOAM_OK);
        expect_said(&said, strrchr(segment(f, number), '/') + 1);
        assert_int_equal(said.stats.entry_count, ENTRIES);
        assert_int_equal(said.stats.fault_count, SEGMENTS + 1 - number);
    }
}

static void records_without_a_header_and_the_first_of_them_are_found(void **state)
{
    const struct fixture *f = *state;
    write_zeros(segment(f, SEGMENTS), 0, (size_t)HEADER_BYTES + BLOCK_BYTES);
    expect_hole(f, "00000001-00000004.wal: byte ");
}

static void a_last_segment_of_rubbish_is_said(void **state)
{
    const struct fixture *f = *state;
    const uint64_t bytes = bytes_of(segment(f, SEGMENTS));
    FILE *file = fopen(segment(f, SEGMENTS), "r+b");
    assert_non_null(file);
    for (uint64_t i = 0; i < bytes; i++)
        assert_true(fputc('x', file) != EOF);
    assert_int_equal(fclose(file), 0);
    const struct said said = repair(f, LOAM_CORRUPT);
    expect_said(&said, "00000001-00000004.wal: byte ");
    expect_said(&said, "unknown extent");
}

/* ---- what is lost by nobody ---------------------------------------------------------------------- */

/* As verify says it. */
static void a_damaged_copy_of_a_header_is_said(void **state)
{
    struct fixture *f = *state;
    static const char *const endings[] = {".wal", ".manifest"};
    fixture_open(f, NULL);
    put_text(f->db, NULL, "key", "value");
    fixture_close(f);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[512];
        assert_true(fixture_find_file(f, endings[i], path));
        for (uint64_t at = 100; at < HEADER_BYTES; at += BLOCK_BYTES) {
            fixture_flip_byte(path, at);
            const struct said said = repair(f, LOAM_OK);
            expect_said(&said, strrchr(path, '/') + 1);
            assert_int_equal(said.stats.fault_count, 1);
            fixture_flip_byte(path, at);
        }
    }
    const struct said said = repair(f, LOAM_OK);
    assert_int_equal(said.stats.fault_count, 0);
}

#define test_killed(test) cmocka_unit_test_setup_teardown(test, set_up_killed, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_killed(a_killed_store_without_damage_has_lost_nothing),
        test_killed(a_segment_that_is_gone_is_a_hole),
        test_killed(a_segment_that_is_empty_is_a_hole),
        test_killed(a_segment_that_is_cut_is_a_hole),
        test_killed(a_segment_that_is_another_is_a_hole),
        test_killed(a_last_segment_that_is_another_is_said),
        test_killed(a_record_that_is_damaged_is_a_hole),
        test_killed(a_last_segment_that_is_cut_is_said),
        test_killed(records_without_a_header_are_found),
        test_killed(records_without_a_header_and_the_first_of_them_are_found),
        test_killed(a_last_segment_of_rubbish_is_said),
        test_closed(a_damaged_copy_of_a_header_is_said),
    };
    return cmocka_run_group_tests_name("repair of a log", tests, NULL, NULL);
}
