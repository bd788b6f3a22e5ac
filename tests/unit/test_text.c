/*
 * test_text.c - bytes and sizes as people read them: nothing is lost, nothing drives a terminal.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/text.h"

enum { ROUNDS = 20000, BYTES_MAX = 24 };

/* Bytes of every kind that matters: letters, controls, quotes, UTF-8 whole, broken and invisible. */
static size_t draw_bytes(struct rand *rand, char *bytes)
{
    static const char *const pieces[] = {
        "a",        "z9",           "\n",           "\x01",         "\x7f",  "\\",
        "\"",       "\xc3\xa9",     "\xe2\x82\xac", "\xf0\x9f\xa6", "\xff",  "\xc0\x80",
        "\xc2\x85", "\xed\xa0\x80", "\xe2\x80\xae", "\xf4\x90\x80", "\\x41", "...",
    };
    size_t len = 0;
    while (len < BYTES_MAX - 4 && rand_below(rand, 12) > 0) {
        const char *piece = pieces[rand_below(rand, sizeof pieces / sizeof pieces[0])];
        memcpy(bytes + len, piece, strlen(piece));
        len += strlen(piece);
        if (rand_below(rand, 16) == 0) bytes[len++] = 0;
    }
    return len;
}

/* Undoes the escapes of text[0 .. len). */
static size_t unescape(const char *text, size_t len, char *bytes)
{
    size_t count = 0;
    for (size_t at = 0; at < len;) {
        uint8_t byte = (uint8_t)text[at];
        const size_t taken = byte == '\\' ? text_unescape_byte(text + at, text + len, &byte) : 1;
        assert_int_not_equal(taken, 0);
        bytes[count++] = (char)byte;
        at += taken;
    }
    return count;
}

static void assert_harmless(const char *text)
{
    assert_true(text_is_utf8(loam_str(text)));
    for (const char *at = text; *at != '\0'; at++)
        assert_true((uint8_t)*at >= 0x20 && *at != 0x7f);
}

static void escaped_bytes_come_back_and_are_harmless(void **state)
{
    const char *seed = getenv("SEED");
    struct rand rand = {seed != NULL ? strtoull(seed, NULL, 10) : 4711};
    (void)state;
    print_message("# SEED=%" PRIu64 "\n", rand.state);
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[BYTES_MAX * 2], text[BYTES_MAX * 8], again[BYTES_MAX * 8];
        const size_t len = draw_bytes(&rand, bytes);
        const char *shown = text_escape(text, sizeof text, loam_bytes(bytes, len));
        assert_ptr_equal(shown, text);
        assert_harmless(shown);
        assert_int_equal(unescape(shown, strlen(shown), again), len);
        assert_memory_equal(again, bytes, len);
    }
}

static void what_does_not_fit_is_cut_between_escapes(void **state)
{
    struct rand rand = {4712};
    (void)state;
    for (int round = 0; round < ROUNDS / 20; round++) {
        char bytes[BYTES_MAX * 2], whole[BYTES_MAX * 8], text[BYTES_MAX * 8], again[BYTES_MAX * 8];
        const size_t len = draw_bytes(&rand, bytes);
        const size_t whole_len = strlen(text_escape(whole, sizeof whole, loam_bytes(bytes, len)));
        for (size_t capacity = 8; capacity <= whole_len; capacity++) {
            const char *shown = text_escape(text, capacity, loam_bytes(bytes, len));
            const size_t shown_len = strlen(shown);
            assert_true(shown_len < capacity && shown_len >= 3);
            assert_string_equal(shown + shown_len - 3, "...");
            assert_memory_equal(shown, whole, shown_len - 3);
            assert_harmless(shown);
            const size_t kept = unescape(shown, shown_len - 3, again);
            assert_memory_equal(again, bytes, kept);
            assert_true(shown_len + TEXT_ESCAPE_BYTES_MAX >=
                        capacity); /* no more than needed goes */
        }
        assert_string_equal(text_escape(text, whole_len + 1, loam_bytes(bytes, len)), whole);
    }
}

static void sizes_are_read_as_people_write_them(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"7b", 7},
        {"64K", 64 << 10},
        {"64 KiB", 64 << 10},
        {"64kb", 64000},
        {"3MiB", 3 << 20},
        {"2gb", 2000000000},
        {"1T", UINT64_C(1) << 40},
        {"1pib", UINT64_C(1) << 50},
        {"18446744073709551615", UINT64_MAX},
        {"16383P", UINT64_C(16383) << 50},
    };
    static const char *const bad[] = {
        "",
        " 1",
        "-1",
        "K",
        "1x",
        "1.5K",
        "1 K ",
        "1KiBs",
        "1kbb",
        "1iB",
        "1KB1",
        "18446744073709551616",
        "99999999999999999999",
        "16384P",
        "1E",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 42;
        if (!text_parse_size(good[i].text, &bytes)) fail_msg("refused: %s", good[i].text);
        if (bytes != good[i].bytes) fail_msg("%s is read as %" PRIu64, good[i].text, bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes = 42;
        if (text_parse_size(bad[i], &bytes)) fail_msg("accepted: \"%s\"", bad[i]);
        assert_int_equal(bytes, 42);
    }
}

static void sizes_are_shown_with_the_unit_that_fits(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {(1 << 20) - 1, "1.0 MiB"}, /* and not 1024.0 KiB */
        {64 << 20, "64.0 MiB"},
        {UINT64_C(5) << 30, "5.0 GiB"},
        {UINT64_C(6) << 40, "6.0 TiB"},
        {UINT64_C(7) << 50, "7.0 PiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TEXT_SIZE_BYTES_MAX];
        assert_string_equal(text_format_size(text, cases[i].bytes), cases[i].text);
    }
}

static void a_moment_is_written_in_utc_whatever_it_is(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                 {UINT64_C(1795752312345), "2026-11-27T04:05:12.345Z"},
                 {UINT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
                 {UINT64_C(253402300800000), "253402300800000 ms"},
                 {UINT64_MAX, "18446744073709551615 ms"}};
    char text[TEXT_TIME_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(text_format_time(text, cases[i].ms), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escaped_bytes_come_back_and_are_harmless),
        cmocka_unit_test(what_does_not_fit_is_cut_between_escapes),
        cmocka_unit_test(sizes_are_read_as_people_write_them),
        cmocka_unit_test(sizes_are_shown_with_the_unit_that_fits),
        cmocka_unit_test(a_moment_is_written_in_utc_whatever_it_is),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
