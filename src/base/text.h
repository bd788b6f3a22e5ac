/*
 * text.h - bytes and sizes in the form in which people read and type them.
 *
 * Role: decides what is UTF-8, which bytes can be printed as they are and how
 *   the others are escaped; parses and prints sizes such as 64MiB and times
 *   such as 90s.
 * Invariants: (1) escaped text is valid UTF-8 without control characters, so it
 *   never drives a terminal and never breaks a line. (2) Undoing the escapes
 *   gives the bytes back.
 * In the picture: base layer; allocates nothing and uses nothing of ours, so
 *   that programs can link it beside the library.
 */
#ifndef LOAM_BASE_TEXT_H
#define LOAM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loam.h>

enum {
    TEXT_ESCAPE_BYTES_MAX = 4,
    TEXT_SIZE_BYTES_MAX = 16,
    TEXT_DURATION_BYTES_MAX = 24,
    TEXT_TIME_BYTES_MAX = 32
};

/* The length of the well-formed UTF-8 sequence that starts at `at` and ends before `end`, or 0:
   overlong forms, surrogates and what lies beyond U+10FFFF are not well formed. */
size_t text_character_bytes(const uint8_t *at, const uint8_t *end);

/* Strict UTF-8 without NUL: what other programs take for text. */
bool text_is_utf8(loam_slice bytes);

/* How many leading bytes stand for themselves in escaped text: printable UTF-8, no backslash and,
   if quotes, no double quote. */
size_t text_plain_prefix(loam_slice bytes, bool quotes);

/* Writes the escape of one byte, \n \r \t \0 \\ \" or \xNN, and returns its length. */
size_t text_escape_byte(char target[TEXT_ESCAPE_BYTES_MAX], uint8_t byte);

/* Reads the escape that starts at at[0] == '\\'. Returns its length, or 0 if it is none. */
size_t text_unescape_byte(const char *at, const char *end, uint8_t *byte);

/* All of bytes, escaped and NUL-terminated; cut with "..." where it does not fit capacity, which
   is at least 8. Returns target. */
const char *text_escape(char *target, size_t capacity, loam_slice bytes);

/* "4096", "64K", "64KiB" (powers of 1024), "64KB" (powers of 1000); in any case, B alone is bytes.
   False, and *bytes untouched, for anything else or what does not fit. */
bool text_parse_size(const char *text, uint64_t *bytes);

/* "2026-11-26T12:00:00.000Z", from ms since 1970; in UTC, so that what is printed does not depend on where. Returns target. */
const char *text_format_time(char target[TEXT_TIME_BYTES_MAX], uint64_t ms);

/* "512 B", "1.5 KiB", "64.0 MiB". Returns target. */
const char *text_format_size(char target[TEXT_SIZE_BYTES_MAX], uint64_t bytes);

/* "500ms", "90s", "5m", "1h", "2d", in any case, or "0". False, and *ms untouched, for anything else or what does not fit. */
bool text_parse_duration(const char *text, uint64_t *ms);

/* The same, in the largest unit that tells it exactly. Returns target. */
const char *text_format_duration(char target[TEXT_DURATION_BYTES_MAX], uint64_t ms);

#endif
