/* binary_text.c - see binary_text.h. */
#include "shell/binary_text.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

bool hex_decode(struct grow *decoded, loam_slice text)
{
    const char *at = text.data;
    if (text.len % 2 != 0) return false;
    char *target = grow_reserve(decoded, text.len / 2);
    for (size_t i = 0; i < text.len; i += 2) {
        const int high = hex_value(at[i]), low = hex_value(at[i + 1]);
        if (high < 0 || low < 0) return false;
        *target++ = (char)(high * 16 + low);
    }
    decoded->len += text.len / 2;
    return true;
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z') return digit - 'A';
    if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9') return digit - '0' + 52;
    if (digit == '+') return 62;
    return digit == '/' ? 63 : -1;
}

/* Four digits to up to three bytes; returns how many, or 0 when they are malformed. */
static size_t base64_decode_group(const char *digits, bool final, char bytes[3])
{
    size_t len = 3;
    if (final && digits[3] == '=') len = digits[2] == '=' ? 1 : 2;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        const int value = i <= len ? base64_value(digits[i]) : 0;
        if (value < 0) return 0;
        bits = bits << 6 | (uint32_t)value;
    }
    const uint32_t spare = len == 3 ? 0 : len == 2 ? 0xff : 0xffff;
    if ((bits & spare) != 0) return 0;
    bytes[0] = (char)(bits >> 16);
    bytes[1] = (char)(bits >> 8);
    bytes[2] = (char)bits;
    return len;
}

bool base64_decode(struct grow *decoded, loam_slice text)
{
    const char *at = text.data;
    if (text.len % 4 != 0) return false;
    (void)grow_reserve(decoded, text.len / 4 * 3);
    for (size_t i = 0; i < text.len; i += 4) {
        char bytes[3];
        const size_t len = base64_decode_group(at + i, i + 4 == text.len, bytes);
        if (len == 0) return false;
        grow_add(decoded, bytes, len);
    }
    return true;
}

void base64_write(struct sink *sink, loam_slice bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < bytes.len; i += 3) {
        const size_t left = bytes.len - i;
        const uint32_t bits = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
                              (left > 2 ? at[i + 2] : 0);
        char digits[4] = {base64_digits[bits >> 18], base64_digits[bits >> 12 & 63],
                          base64_digits[bits >> 6 & 63], base64_digits[bits & 63]};
        if (left < 3) digits[3] = '=';
        if (left < 2) digits[2] = '=';
        sink_write(sink, digits, 4);
    }
}
