/*
 * test_lost_segments.c - a log that lost a segment's file, or the header of its last one, is damaged and does not end there.
 *
 * A file that was gone or empty while later ones were there, and a last file whose records had all been synced but whose header was
 * unreadable, passed for the end of the log. Commits that had been durable were silently gone, and the next opening deleted
 * what was left of them.
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
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE_BYTES = 20000, HEADER_BYTES = 8192 };

static void put_some(struct fixture *f, int count)
{
    char key[16];
    uint8_t *value = fixture_bytes(VALUE_BYTES, 1);
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%08d", i);
        expect_ok(loam_put(f->db, NULL, loam_str(key), loam_bytes(value, VALUE_BYTES)));
    }
    free(value);
}

/* Four segments of the log. */
static int write_much_and_die(struct fixture *f)
{
    fixture_open(f, NULL);
    put_some(f, 150);
    return 0;
}

static int write_durably_and_die(struct fixture *f, int count)
{
    loam_options options = fixture_options();
    options.durability = LOAM_DURABLE_COMMIT;
    fixture_open(f, &options);
    put_some(f, count);
    return 0;
}

static int write_two_segments_and_die(struct fixture *f)
{
    return write_durably_and_die(f, 20);
}

static int write_one_segment_and_die(struct fixture *f)
{
    return write_durably_and_die(f, 5);
}

static void after(struct fixture *f, int (*life)(struct fixture *f))
{
    struct fixture_child child = fixture_child_start(f, life);
    assert_int_equal(fixture_child_end(&child), 0);
}

static const char *segment_path(const struct fixture *f, unsigned number)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/00000001-%08x.wal", f->store, number);
    return path;
}

static void expect_corrupt(struct fixture *f, const char *text)
{
    loam_options options = fixture_options();
    for (int read_only = 0; read_only < 2; read_only++) {
        options.read_only = read_only == 1;
        expect_failure(LOAM_CORRUPT, text, loam_open(f->store, &options, &f->db));
    }
}

static void a_segment_that_is_gone_before_others_is_corruption(void **state)
{
    struct fixture *f = *state;
    after(f, write_much_and_die);
    assert_int_equal(access(segment_path(f, 4), F_OK), 0);
    assert_int_equal(unlink(segment_path(f, 2)), 0);
    expect_corrupt(f, "00000001-00000002.wal: byte 0: missing or cut off");
}

static void a_segment_that_is_cut_off_before_others_is_corruption(void **state)
{
    static const off_t lengths[] = {0, 100, 4096, HEADER_BYTES, 20 * 4096, 20 * 4096 + 8};
    struct fixture *f = *state;
    after(f, write_much_and_die);
    for (size_t i = sizeof lengths / sizeof lengths[0]; i-- > 0;) {
        assert_int_equal(truncate(segment_path(f, 2), lengths[i]), 0);
        expect_corrupt(f, "00000001-00000002.wal: byte ");
    }
}

/* Both copies of a header, by a bit in each or whole. */
static void spoil_header(const char *path, bool whole)
{
    static const uint8_t zeros[HEADER_BYTES];
    fixture_flip_byte(path, 32);
    fixture_flip_byte(path, 4096 + 32);
    if (!whole) return;
    const int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 0), sizeof zeros);
    close(fd);
}

static void a_last_segment_without_a_header_is_corruption(void **state)
{
    struct fixture *f = *state;
    after(f, write_two_segments_and_die);
    for (int whole = 0; whole < 2; whole++) {
        spoil_header(segment_path(f, 2), whole == 1);
        expect_corrupt(f, "00000001-00000002.wal: byte 0: without a valid header");
    }
}

static void an_only_segment_without_a_header_is_corruption(void **state)
{
    struct fixture *f = *state;
    after(f, write_one_segment_and_die);
    for (int whole = 0; whole < 2; whole++) {
        spoil_header(segment_path(f, 1), whole == 1);
        expect_corrupt(f, "00000001-00000001.wal: byte 0: without a valid header");
    }
}

/* What a power cut may leave of a header whose segment nothing says to be durable; opening for writing makes it whole. */
static void mend_half_a_header(struct fixture *f, off_t at)
{
    static const uint8_t zeros[4096];
    after(f, write_much_and_die);
    const int fd = open(segment_path(f, 4), O_WRONLY);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, at), sizeof zeros);
    close(fd);
    fixture_open(f, NULL);
    put_text(f->db, NULL, "more", "v");
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    fixture_close(f);
    expect_ok(loam_verify(f->store, NULL, NULL));
}

static void the_first_copy_of_an_unsynced_header_is_mended(void **state)
{
    mend_half_a_header(*state, 0);
}

static void the_second_copy_of_an_unsynced_header_is_mended(void **state)
{
    mend_half_a_header(*state, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(a_segment_that_is_gone_before_others_is_corruption),
        test_closed(a_segment_that_is_cut_off_before_others_is_corruption),
        test_closed(a_last_segment_without_a_header_is_corruption),
        test_closed(an_only_segment_without_a_header_is_corruption),
        test_closed(the_first_copy_of_an_unsynced_header_is_mended),
        test_closed(the_second_copy_of_an_unsynced_header_is_mended),
    };
    return cmocka_run_group_tests_name("regress/lost_segments", tests, NULL, NULL);
}
