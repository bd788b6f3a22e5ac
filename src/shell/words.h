/*
 * words.h - a command line as words: quoting and decode prefixes, both ways.
 *
 * Role: splits a line; decodes hex:, b64:, @file and -; writes bytes as a word.
 *   A word that starts with ' or " ends at the matching quote. '..' has no
 *   escapes, ".." has \n \r \t \0 \\ \" \xNN. Elsewhere quotes and backslashes
 *   are ordinary bytes, so that {"a":1} can be typed as it is; only the value of
 *   --option="..." may be quoted as well.
 * Invariants: word_quote() of any bytes is read back as exactly these bytes.
 * In the picture: shell layer; used by scripts, the editor and completion.
 */
#ifndef LOAM_SHELL_WORDS_H
#define LOAM_SHELL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include <loam.h>

#include "shell/grow.h"
#include "shell/sink.h"

struct word {
    loam_slice text;
    size_t at;         /* where it starts in the line */
    bool quoted;       /* literal, and no option */
    bool value_quoted; /* of --option="value": what follows = is literal */
};

struct words {
    struct word *word;
    size_t count;
    struct grow text;  /* what the words point into */
    const char *error; /* static; NULL when the line was understood */
    bool open;         /* the line ends within a quoted word, which is the last one */
};

/* False with words->error when the line is not well formed; the words before it, and what there is
   of the last one, are there all the same. */
bool words_split(struct words *words, loam_slice line);
void words_free(struct words *words);

/* What a word that is not quoted stands for. WORD_DECODED: the bytes are appended to decoded.
   WORD_FILE: the path is. WORD_BAD: *error says why, static text. */
enum word_form { WORD_LITERAL, WORD_DECODED, WORD_FILE, WORD_STDIN, WORD_BAD };
enum word_form word_decode(loam_slice text, struct grow *decoded, const char **error);

/* True when the bytes can be typed and mean themselves without quotes. */
bool word_is_bare(loam_slice bytes);

/* For people: as it can be typed back, bare where that is possible and else between double
   quotes, which are not written. */
void word_show(struct sink *sink, loam_slice bytes);
void word_escape(struct grow *target, loam_slice bytes);

/* Appends bytes as a word that means them; `close` writes the closing quote too. */
void word_quote(struct grow *target, loam_slice bytes, bool force_quotes, bool close);

#endif
