/* words.c - see words.h. */
#include "shell/words.h"

#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "shell/binary_text.h"

struct line_cursor {
    const char *start, *at, *end;
};

static bool is_blank_byte(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Reads a quoted piece whose opening quote stands at cursor->at. */
static const char *read_quoted(struct line_cursor *cursor, struct words *words)
{
    const char quote = *cursor->at++;
    while (cursor->at < cursor->end && *cursor->at != quote) {
        if (quote == '"' && *cursor->at == '\\') {
            uint8_t byte = 0;
            const size_t len = text_unescape_byte(cursor->at, cursor->end, &byte);
            if (len == 0) return "unknown escape; use \\n \\r \\t \\0 \\\\ \\\" or \\xNN";
            grow_add_byte(&words->text, (char)byte);
            cursor->at += len;
        } else {
            grow_add_byte(&words->text, *cursor->at++);
        }
    }
    if (cursor->at == cursor->end) {
        words->open = true;
        return quote == '"' ? "a closing \" is missing" : "a closing ' is missing";
    }
    cursor->at++;
    if (cursor->at < cursor->end && !is_blank_byte(*cursor->at))
        return "a blank must follow a closing quote; within double quotes \\\" means a quote";
    return NULL;
}

static bool opens_quote(const struct line_cursor *cursor)
{
    return cursor->at < cursor->end && (*cursor->at == '\'' || *cursor->at == '"');
}

static bool ends_option_name(const struct line_cursor *cursor, const char *word)
{
    return cursor->at - word > 3 && word[0] == '-' && word[1] == '-' && cursor->at[-1] == '=' &&
           memchr(word, '=', (size_t)(cursor->at - word - 1)) == NULL;
}

static const char *read_word(struct line_cursor *cursor, struct words *words, struct word *word)
{
    if (opens_quote(cursor)) {
        word->quoted = true;
        return read_quoted(cursor, words);
    }
    const char *start = cursor->at;
    while (cursor->at < cursor->end && !is_blank_byte(*cursor->at)) {
        if (opens_quote(cursor) && ends_option_name(cursor, start)) {
            word->value_quoted = true;
            return read_quoted(cursor, words);
        }
        grow_add_byte(&words->text, *cursor->at++);
    }
    return NULL;
}

bool words_split(struct words *words, loam_slice line)
{
    *words = (struct words){0};
    struct line_cursor cursor = {line.data, line.data, line.data};
    if (line.len > 0) cursor.end += line.len;
    /* A word never becomes longer than what was typed: the text does not move. */
    (void)grow_reserve(&words->text, line.len + 1);
    while (words->error == NULL) {
        while (cursor.at < cursor.end && is_blank_byte(*cursor.at))
            cursor.at++;
        if (cursor.at == cursor.end) break;
        words->word = grow_array(words->word, words->count + 1, sizeof *words->word);
        struct word *word = &words->word[words->count++];
        *word = (struct word){.at = (size_t)(cursor.at - cursor.start)};
        const size_t start = words->text.len;
        words->error = read_word(&cursor, words, word);
        word->text = loam_bytes(words->text.data + start, words->text.len - start);
    }
    return words->error == NULL;
}

void words_free(struct words *words)
{
    free(words->word);
    grow_free(&words->text);
    *words = (struct words){0};
}

static bool starts_with(loam_slice text, const char *prefix)
{
    const size_t len = strlen(prefix);
    return text.len >= len && strncasecmp(text.data, prefix, len) == 0;
}

enum word_form word_decode(loam_slice text, struct grow *decoded, const char **error)
{
    const char *at = text.data;
    const bool hex = starts_with(text, "hex:");
    if (hex || starts_with(text, "b64:")) {
        const loam_slice digits = loam_bytes(at + 4, text.len - 4);
        if (hex ? hex_decode(decoded, digits) : base64_decode(decoded, digits)) return WORD_DECODED;
        *error = hex ? "hex: wants an even number of digits 0-9 a-f"
                     : "b64: wants base64 with its padding";
        return WORD_BAD;
    }
    if (text.len == 1 && at[0] == '-') return WORD_STDIN;
    if (text.len == 0 || at[0] != '@') return WORD_LITERAL;
    grow_add(decoded, at + 1, text.len - 1);
    return WORD_FILE;
}

bool word_is_bare(loam_slice bytes)
{
    const char *at = bytes.data;
    if (bytes.len == 0 || memchr(at, ' ', bytes.len) != NULL) return false;
    if (text_plain_prefix(bytes, false) < bytes.len) return false;
    if (bytes.len == 1 && at[0] == '-') return false;
    if (strchr("'\"@#", at[0]) != NULL) return false;
    return !starts_with(bytes, "--") && !starts_with(bytes, "hex:") && !starts_with(bytes, "b64:");
}

static void escape_into(struct grow *target, loam_slice bytes, bool quotes)
{
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.len; left > 0;) {
        const size_t plain = text_plain_prefix(loam_bytes(at, left), quotes);
        grow_add(target, at, plain);
        at += plain;
        left -= plain;
        if (left == 0) break;
        char escape[TEXT_ESCAPE_BYTES_MAX];
        grow_add(target, escape, text_escape_byte(escape, *at++));
        left--;
    }
}

void word_escape(struct grow *target, loam_slice bytes)
{
    escape_into(target, bytes, !word_is_bare(bytes));
}

/* In pieces, because the escapes of a large value would take four times its memory. */
void word_show(struct sink *sink, loam_slice bytes)
{
    const bool quotes = !word_is_bare(bytes);
    const uint8_t *at = bytes.data;
    size_t left = bytes.len;
    while (left > 0 && sink->error == 0) {
        const size_t plain = text_plain_prefix(loam_bytes(at, left), quotes);
        sink_write(sink, at, plain);
        at += plain;
        left -= plain;
        if (left == 0) break;
        char escape[TEXT_ESCAPE_BYTES_MAX];
        sink_write(sink, escape, text_escape_byte(escape, *at++));
        left--;
    }
}

void word_quote(struct grow *target, loam_slice bytes, bool force_quotes, bool close)
{
    if (!force_quotes && word_is_bare(bytes)) {
        grow_add(target, bytes.data, bytes.len);
        return;
    }
    grow_add_byte(target, '"');
    escape_into(target, bytes, true);
    if (close) grow_add_byte(target, '"');
}
