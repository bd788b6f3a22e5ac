/*
 * fuzz_shell_words.c - any line, split and decoded; any bytes, quoted and read back.
 *
 * Role: words_split() and word_decode() stay within the line and say no to what
 *   they do not understand; word_quote() and word_escape() are undone exactly.
 * In the picture: fuzz target; on shell/words.
 */
#include <stdlib.h>

#include "base/text.h"
#include "shell/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) abort();
}

static bool same(loam_slice a, loam_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void split_line(loam_slice line)
{
    struct words words;
    const bool understood = words_split(&words, line);
    demand(understood == (words.error == NULL));
    for (size_t i = 0; i < words.count; i++) {
        struct grow decoded = {0};
        const char *error = NULL;
        demand(words.word[i].at < line.len);
        const enum word_form form = word_decode(words.word[i].text, &decoded, &error);
        demand((form == WORD_BAD) == (error != NULL));
        grow_free(&decoded);
    }
    words_free(&words);
}

/* A line that holds exactly the word that means bytes. */
static void check_line(const struct grow *line, loam_slice bytes)
{
    struct words words;
    demand(words_split(&words, grow_slice(line)));
    demand(words.count == 1);
    demand(same(words.word[0].text, bytes));
    if (!words.word[0].quoted) {
        struct grow decoded = {0};
        const char *error = NULL;
        demand(word_decode(bytes, &decoded, &error) == WORD_LITERAL);
        grow_free(&decoded);
    }
    words_free(&words);
}

static void quote_bytes(loam_slice bytes)
{
    struct grow line = {0}, shown = {0};
    for (int forced = 0; forced < 2; forced++) {
        line.len = 0;
        word_quote(&line, bytes, forced != 0, true);
        demand(text_is_utf8(grow_slice(&line)));
        check_line(&line, bytes);
    }
    word_escape(&shown, bytes);
    line.len = 0;
    if (!word_is_bare(bytes)) grow_add_byte(&line, '"');
    grow_add(&line, shown.data, shown.len);
    if (!word_is_bare(bytes)) grow_add_byte(&line, '"');
    check_line(&line, bytes);
    grow_free(&line);
    grow_free(&shown);
}

static void shorten_bytes(loam_slice bytes)
{
    char text[24];
    (void)text_escape(text, sizeof text, bytes);
    demand(strlen(text) < sizeof text);
    demand(text_is_utf8(loam_str(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    split_line(loam_bytes(data, size));
    quote_bytes(loam_bytes(data, size));
    shorten_bytes(loam_bytes(data, size));
    return 0;
}
