/* format_tsv.c - see format_tsv.h. */
#include "shell/format_tsv.h"

#include "base/text.h"

/* Every byte as \xNN. */
#define TSV_LINE_BYTES_MAX (4 * (ITEM_KEY_BYTES_MAX + ITEM_VALUE_BYTES_MAX) + 2)

/* *bytes stays a view of the line where there is nothing to undo. */
static bool tsv_unescape(loam_slice field, struct grow *decoded, loam_slice *bytes)
{
    const char *at = field.data;
    const char *end = field.len > 0 ? at + field.len : at;
    *bytes = field;
    if (field.len == 0 || memchr(at, '\\', field.len) == NULL) return true;
    decoded->len = 0;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *stop = escape != NULL ? escape : end;
        grow_add(decoded, at, (size_t)(stop - at));
        at = stop;
        if (at == end) break;
        uint8_t byte = 0;
        const size_t len = text_unescape_byte(at, end, &byte);
        if (len == 0) return false;
        grow_add_byte(decoded, (char)byte);
        at += len;
    }
    *bytes = grow_slice(decoded);
    return true;
}

enum reading tsv_read(struct item_reader *reader, loam_slice input)
{
    loam_slice line;
    const enum reading got = item_take_line(reader, input, TSV_LINE_BYTES_MAX, &line);
    if (got != READING_ITEM) return got;
    const char *start = line.data;
    if (line.len > 0 && start[line.len - 1] == '\r') line.len--;
    if (reader->skipping || line.len == 0) return READING_NOTHING;
    const char *tab = memchr(start, '\t', line.len);
    const size_t key_len = tab != NULL ? (size_t)(tab - start) : line.len;
    const loam_slice key = loam_bytes(start, key_len);
    const loam_slice value =
        tab != NULL ? loam_bytes(tab + 1, line.len - key_len - 1) : loam_bytes(NULL, 0);
    reader->item = (struct item){0};
    if (!tsv_unescape(key, &reader->key, &reader->item.key) ||
        !tsv_unescape(value, &reader->value, &reader->item.value))
        return item_is_bad(reader, "unknown escape, and a backslash itself is \\\\");
    return item_check_limits(reader);
}

static void tsv_write_field(struct sink *sink, loam_slice bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.len; left > 0;) {
        const size_t plain = text_plain_prefix(loam_bytes(at, left), false);
        sink_write(sink, at, plain);
        at += plain;
        left -= plain;
        if (left == 0) break;
        char escape[TEXT_ESCAPE_BYTES_MAX];
        sink_write(sink, escape, text_escape_byte(escape, *at++));
        left--;
    }
}

void tsv_write(struct item_writer *writer, const struct item *item)
{
    tsv_write_field(writer->sink, item->key);
    sink_byte(writer->sink, '\t');
    tsv_write_field(writer->sink, item->value);
    sink_byte(writer->sink, '\n');
}
