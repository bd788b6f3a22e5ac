/* text.c - see text.h. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The second byte carries what the lead byte leaves open: overlong forms, surrogates, the end of
   the code space. */
static bool second_byte_fits(uint8_t lead, uint8_t second)
{
    if (lead == 0xe0) return second >= 0xa0 && second <= 0xbf;
    if (lead == 0xed) return second >= 0x80 && second <= 0x9f;
    if (lead == 0xf0) return second >= 0x90 && second <= 0xbf;
    if (lead == 0xf4) return second >= 0x80 && second <= 0x8f;
    return is_continuation(second);
}

size_t text_character_bytes(const uint8_t *at, const uint8_t *end)
{
    if (at >= end) return 0;
    const size_t left = (size_t)(end - at);
    const uint8_t lead = at[0];
    if (lead < 0x80) return 1;
    size_t len = 0;
    if (lead >= 0xc2 && lead <= 0xdf) len = 2;
    if (lead >= 0xe0 && lead <= 0xef) len = 3;
    if (lead >= 0xf0 && lead <= 0xf4) len = 4;
    if (len == 0 || len > left) return 0;
    if (!second_byte_fits(lead, at[1])) return 0;
    for (size_t i = 2; i < len; i++) {
        if (!is_continuation(at[i])) return 0;
    }
    return len;
}

/* True when none of the eight bytes is NUL or beyond ASCII. */
static bool eight_are_ascii(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return (((word - ones) | word) & (ones << 7)) == 0;
}

bool text_is_utf8(loam_slice bytes)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.len > 0 ? at + bytes.len : at;
    while (at < end) {
        if (end - at >= 8 && eight_are_ascii(at)) {
            at += 8;
            continue;
        }
        const size_t len = text_character_bytes(at, end);
        if (len == 0 || *at == 0) return false;
        at += len;
    }
    return true;
}

size_t text_plain_prefix(loam_slice bytes, bool quotes)
{
    const uint8_t *start = bytes.data;
    const uint8_t *at = start;
    const uint8_t *end = bytes.len > 0 ? start + bytes.len : start;
    while (at < end) {
        const uint8_t lead = *at;
        if (lead < 0x20 || lead == 0x7f || lead == '\\' || (quotes && lead == '"')) break;
        if (lead < 0x80) {
            at++;
            continue;
        }
        const size_t len = text_character_bytes(at, end);
        /* U+0080 to U+009F are control characters that terminals obey. */
        if (len == 0 || (lead == 0xc2 && at[1] < 0xa0)) break;
        at += len;
    }
    return bytes.len > 0 ? (size_t)(at - start) : 0;
}

size_t text_escape_byte(char target[TEXT_ESCAPE_BYTES_MAX], uint8_t byte)
{
    static const char named[] = "\nn\rr\tt\\\\\"\"";
    target[0] = '\\';
    if (byte == 0) {
        target[1] = '0';
        return 2;
    }
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if ((uint8_t)named[i] != byte) continue;
        target[1] = named[i + 1];
        return 2;
    }
    target[1] = 'x';
    target[2] = "0123456789abcdef"[byte >> 4];
    target[3] = "0123456789abcdef"[byte & 15];
    return 4;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

size_t text_unescape_byte(const char *at, const char *end, uint8_t *byte)
{
    static const char named[] = "n\nr\rt\t\\\\\"\"";
    if (end - at < 2) return 0;
    if (at[1] == '0') {
        *byte = 0;
        return 2;
    }
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if (named[i] != at[1]) continue;
        *byte = (uint8_t)named[i + 1];
        return 2;
    }
    if (at[1] != 'x' || end - at < 4) return 0;
    const int high = hex_digit(at[2]), low = hex_digit(at[3]);
    if (high < 0 || low < 0) return 0;
    *byte = (uint8_t)(high * 16 + low);
    return 4;
}

const char *text_escape(char *target, size_t capacity, loam_slice bytes)
{
    const uint8_t *from = bytes.data;
    size_t len = 0, at = 0;
    size_t fitting = 0; /* How much stays if the rest has to be cut. */
    while (at < bytes.len) {
        char escaped[TEXT_ESCAPE_BYTES_MAX];
        const void *piece = from + at;
        size_t piece_len = 1, taken = 1;
        if (text_plain_prefix(loam_bytes(from + at, 1), true) == 0) {
            taken = text_character_bytes(from + at, from + bytes.len);
            if (taken > 1 && text_plain_prefix(loam_bytes(from + at, taken), true) == taken) {
                piece_len = taken;
            } else {
                piece = escaped;
                taken = 1;
                piece_len = text_escape_byte(escaped, from[at]);
            }
        }
        if (len + piece_len >= capacity) break;
        memcpy(target + len, piece, piece_len);
        len += piece_len;
        at += taken;
        if (len + 3 < capacity) fitting = len;
    }
    if (at < bytes.len) {
        memcpy(target + fitting, "...", 3);
        len = fitting + 3;
    }
    target[len] = '\0';
    return target;
}

/* The factor that a unit stands for, or 0. */
static uint64_t size_unit(const char *unit)
{
    static const char *const letters = "kmgtp";
    char lower[4] = {0};
    for (size_t i = 0; unit[i] != '\0'; i++) {
        if (i == 3) return 0;
        lower[i] = unit[i];
        if (unit[i] >= 'A' && unit[i] <= 'Z') lower[i] = (char)(unit[i] - 'A' + 'a');
    }
    if (lower[0] == '\0' || strcmp(lower, "b") == 0) return 1;
    const char *letter = strchr(letters, lower[0]);
    if (letter == NULL) return 0;
    const bool binary = lower[1] == '\0' || strcmp(lower + 1, "ib") == 0;
    if (!binary && strcmp(lower + 1, "b") != 0) return 0;
    uint64_t factor = 1;
    for (const char *each = letters; each <= letter; each++)
        factor *= binary ? 1024 : 1000;
    return factor;
}

/* The digits that text begins with; *at is behind them. False: there are none, or too many. */
static bool parse_digits(const char *text, const char **at, uint64_t *number)
{
    *number = 0;
    for (*at = text; **at >= '0' && **at <= '9'; ++*at) {
        const uint64_t digit = (uint64_t)(**at - '0');
        if (*number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return *at != text;
}

bool text_parse_size(const char *text, uint64_t *bytes)
{
    uint64_t number;
    const char *at;
    if (!parse_digits(text, &at, &number)) return false;
    while (*at == ' ')
        at++;
    const uint64_t factor = size_unit(at);
    if (factor == 0 || number > UINT64_MAX / factor) return false;
    *bytes = number * factor;
    return true;
}

const char *text_format_size(char target[TEXT_SIZE_BYTES_MAX], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(target, TEXT_SIZE_BYTES_MAX, "%u B", (unsigned)bytes);
        return target;
    }
    double scaled = (double)bytes / 1024;
    size_t unit = 0;
    /* 1023.95 would print as 1024.0. */
    for (; scaled >= 1023.95 && unit < 5; unit++)
        scaled /= 1024;
    (void)snprintf(target, TEXT_SIZE_BYTES_MAX, "%.1f %s", scaled, units[unit]);
    return target;
}

static const struct {
    const char *name;
    uint64_t ms;
} time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
enum { TIME_UNITS = sizeof time_units / sizeof time_units[0] };

bool text_parse_duration(const char *text, uint64_t *ms)
{
    uint64_t number;
    const char *at;
    if (!parse_digits(text, &at, &number)) return false;
    for (size_t i = 0; i < TIME_UNITS; i++) {
        if (strcasecmp(at, time_units[i].name) != 0) continue;
        if (number > UINT64_MAX / time_units[i].ms) return false;
        *ms = number * time_units[i].ms;
        return true;
    }
    if (*at != 0 || number != 0) return false;
    *ms = 0;
    return true;
}

const char *text_format_duration(char target[TEXT_DURATION_BYTES_MAX], uint64_t ms)
{
    size_t unit = 0;
    while (ms % time_units[unit].ms != 0)
        unit++;
    (void)snprintf(target, TEXT_DURATION_BYTES_MAX, "%llu%s",
                   (unsigned long long)(ms / time_units[unit].ms), time_units[unit].name);
    return target;
}

const char *text_format_time(char target[TEXT_TIME_BYTES_MAX], uint64_t ms)
{
    enum { YEARS_SHOWN = 9999 - 1900 };
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year > YEARS_SHOWN) {
        (void)snprintf(target, TEXT_TIME_BYTES_MAX, "%llu ms", (unsigned long long)ms);
        return target;
    }
    const size_t len = strftime(target, TEXT_TIME_BYTES_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(target + len, TEXT_TIME_BYTES_MAX - len, ".%03uZ", (unsigned)(ms % 1000));
    return target;
}
