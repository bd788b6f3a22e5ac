/*
 * item.h - one entry on its way between a file and a collection.
 *
 * Role: what the three formats read and write, and the limits that they check.
 * Invariants: a reader answers for the bytes that it was shown and nothing else,
 *   so that it can be called on any memory; it never looks beyond them.
 * In the picture: shell layer; format_jsonl, format_csv and format_tsv implement
 *   it, format chooses among them, import and export use that.
 */
#ifndef LOAM_SHELL_ITEM_H
#define LOAM_SHELL_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include <loam.h>

#include "shell/grow.h"
#include "shell/sink.h"

#define ITEM_KEY_BYTES_MAX ((size_t)65535)
#define ITEM_VALUE_BYTES_MAX ((size_t)1 << 30)
#define ITEM_NAME_BYTES_MAX ((size_t)255)
struct item {
    loam_slice key, value;
    loam_slice collection;            /* import and export of all collections only */
    bool only_collection;             /* the line names a collection, and no entry of it */
    const loam_coll_options *options; /* of the collection, in such a line; NULL: it does not say */
    bool has_expiry;                  /* the file says when it expires: */
    uint64_t expires_ms;              /* since 1970; 0: never */
};

/* As create takes them. */
extern const char *const compression_names[LOAM_UNCOMPRESSED + 1];
bool compression_find(const char *name, loam_compression *compression);

enum reading {
    READING_ITEM,    /* reader->item is filled until the next call */
    READING_NOTHING, /* a blank line, a header, a line that was to be skipped */
    READING_MORE,    /* the input ends within an item, and more follows */
    READING_BAD      /* reader->error says why; the line is the one it starts on, plus lines */
};

struct item_reader {
    bool all;      /* lines name their collection */
    bool skipping; /* pass over the next item without decoding it */
    bool last;     /* nothing follows the input that is shown */

    struct item item;
    loam_coll_options options; /* item.options */
    size_t used;               /* bytes of the input that were consumed, unless more is wanted */
    uint64_t lines;            /* and how many lines ended in them */
    char error[200];

    struct grow key, value, name;
    void *json; /* what the slices of item point into */
    bool header_seen, key_base64, value_base64;
};

struct item_writer {
    struct sink *sink;
    struct grow scratch;
    bool all;
    bool key_base64, value_base64; /* csv: the whole file */
};

/* READING_BAD, with a formatted explanation. */
enum reading item_is_bad(struct item_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Looks for the end of the line at the start of input. READING_ITEM: *line has no line end, and
   used and lines are set. READING_BAD: it is longer than bytes_max. */
enum reading item_take_line(struct item_reader *reader, loam_slice input, size_t bytes_max,
                            loam_slice *line);

/* READING_ITEM when key and value are within the limits of the store. */
enum reading item_check_limits(struct item_reader *reader);

void item_reader_deinit(struct item_reader *reader);

#endif
