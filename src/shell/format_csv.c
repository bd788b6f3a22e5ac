/* format_csv.c - see format_csv.h. */
#include "shell/format_csv.h"

#include "base/text.h"
#include "shell/binary_text.h"

/* Nothing but quotes, each of them doubled. */
#define CSV_RECORD_BYTES_MAX (2 * (ITEM_KEY_BYTES_MAX + ITEM_VALUE_BYTES_MAX) + 8)

struct csv_cursor {
    const char *at, *end;
    uint64_t lines;
};

/* Consumes a quoted field, from its opening quote to its closing one. */
static enum reading csv_quoted(struct item_reader *reader, struct csv_cursor *cursor,
                               struct grow *field)
{
    cursor->at++;
    for (;;) {
        const size_t left = (size_t)(cursor->end - cursor->at);
        const char *quote = left > 0 ? memchr(cursor->at, '"', left) : NULL;
        if (quote == NULL && !reader->last) return READING_MORE;
        if (quote == NULL) return item_is_bad(reader, "a closing quote is missing");
        for (const char *at = cursor->at; at < quote; at++)
            cursor->lines += *at == '\n';
        grow_add(field, cursor->at, (size_t)(quote - cursor->at));
        cursor->at = quote + 1;
        /* Two quotes are one; only the next byte tells. */
        if (cursor->at == cursor->end) return reader->last ? READING_ITEM : READING_MORE;
        if (*cursor->at != '"') return READING_ITEM;
        grow_add_byte(field, '"');
        cursor->at++;
    }
}

static enum reading csv_field(struct item_reader *reader, struct csv_cursor *cursor,
                              struct grow *field)
{
    field->len = 0;
    if (cursor->at < cursor->end && *cursor->at == '"') return csv_quoted(reader, cursor, field);
    const char *start = cursor->at;
    while (cursor->at < cursor->end && strchr(",\r\n\"", *cursor->at) == NULL)
        cursor->at++;
    /* strchr() finds the NUL that ends its set as well. */
    while (cursor->at < cursor->end && *cursor->at == '\0') {
        cursor->at++;
        while (cursor->at < cursor->end && strchr(",\r\n\"", *cursor->at) == NULL)
            cursor->at++;
    }
    if (cursor->at == cursor->end && !reader->last) return READING_MORE;
    if (cursor->at < cursor->end && *cursor->at == '"')
        return item_is_bad(reader, "a quote stands within a field that does not start with one");
    grow_add(field, start, (size_t)(cursor->at - start));
    return READING_ITEM;
}

/* Consumes LF, CR LF or the end of the input. */
static enum reading csv_line_end(struct item_reader *reader, struct csv_cursor *cursor)
{
    if (cursor->at < cursor->end && *cursor->at == '\r') {
        cursor->at++;
        if (cursor->at == cursor->end && !reader->last) return READING_MORE;
        if (cursor->at < cursor->end && *cursor->at != '\n')
            return item_is_bad(reader, "a carriage return stands outside of quotes");
    }
    if (cursor->at == cursor->end && !reader->last) return READING_MORE;
    if (cursor->at < cursor->end && *cursor->at != '\n')
        return item_is_bad(reader, "wants two fields, and text after a closing quote is not one");
    if (cursor->at < cursor->end) cursor->at++;
    cursor->lines++;
    return READING_ITEM;
}

static enum reading csv_record(struct item_reader *reader, struct csv_cursor *cursor)
{
    enum reading got = csv_field(reader, cursor, &reader->key);
    if (got != READING_ITEM) return got;
    if (cursor->at == cursor->end && !reader->last) return READING_MORE;
    if (cursor->at == cursor->end || *cursor->at == '\r' || *cursor->at == '\n')
        return item_is_bad(reader, "has one field and wants two, key and value");
    if (*cursor->at != ',') return item_is_bad(reader, "a comma must follow a closing quote");
    cursor->at++;
    got = csv_field(reader, cursor, &reader->value);
    if (got != READING_ITEM) return got;
    if (cursor->at < cursor->end && *cursor->at == ',')
        return item_is_bad(reader, "has more than the two fields key and value");
    return csv_line_end(reader, cursor);
}

static bool names_column(const struct grow *field, const char *name, bool *base64)
{
    const size_t len = strlen(name);
    if (field->len < len || memcmp(field->data, name, len) != 0) return false;
    *base64 = field->len == len + 4 && memcmp(field->data + len, "_b64", 4) == 0;
    return *base64 || field->len == len;
}

static enum reading csv_header(struct item_reader *reader)
{
    struct grow *key = &reader->key;
    /* Spreadsheets put a byte order mark in front. */
    if (key->len >= 3 && memcmp(key->data, "\xef\xbb\xbf", 3) == 0) {
        key->len -= 3;
        memmove(key->data, key->data + 3, key->len);
    }
    if (!names_column(key, "key", &reader->key_base64) ||
        !names_column(&reader->value, "value", &reader->value_base64))
        return item_is_bad(reader, "the header must be key,value (or key_b64, value_b64)");
    reader->header_seen = true;
    return READING_NOTHING;
}

/* Decodes the field in place of itself. */
static bool decode_column(struct grow *field, struct grow *scratch)
{
    scratch->len = 0;
    if (!base64_decode(scratch, grow_slice(field))) return false;
    const struct grow decoded = *scratch;
    *scratch = *field;
    *field = decoded;
    return true;
}

enum reading csv_read(struct item_reader *reader, loam_slice input)
{
    struct csv_cursor cursor = {input.data, input.data, 0};
    if (input.len > 0) cursor.end += input.len;
    enum reading got = READING_NOTHING;
    reader->lines = 0;
    const bool blank = input.len > 0 && (cursor.at[0] == '\n' || cursor.at[0] == '\r');
    if (blank || input.len == 0) {
        got = csv_line_end(reader, &cursor);
        if (got == READING_ITEM) got = READING_NOTHING;
    } else {
        got = csv_record(reader, &cursor);
    }
    if (got == READING_MORE && input.len > CSV_RECORD_BYTES_MAX)
        return item_is_bad(reader, "longer than %zu bytes", CSV_RECORD_BYTES_MAX);
    if (got == READING_MORE || got == READING_BAD) return got;
    reader->used = (size_t)(cursor.at - (const char *)input.data);
    reader->lines = cursor.lines;
    if (got == READING_NOTHING) return got;
    if (!reader->header_seen) return csv_header(reader);
    if (reader->skipping) return READING_NOTHING;
    if (reader->key_base64 && !decode_column(&reader->key, &reader->name))
        return item_is_bad(reader, "key_b64 is not base64 with its padding");
    if (reader->value_base64 && !decode_column(&reader->value, &reader->name))
        return item_is_bad(reader, "value_b64 is not base64 with its padding");
    reader->item =
        (struct item){.key = grow_slice(&reader->key), .value = grow_slice(&reader->value)};
    return item_check_limits(reader);
}

static void csv_write_field(struct sink *sink, loam_slice bytes, bool base64)
{
    if (base64) {
        base64_write(sink, bytes);
        return;
    }
    const char *at = bytes.data;
    const char *end = bytes.len > 0 ? at + bytes.len : at;
    bool quoted = false;
    for (const char *each = at; each < end && !quoted; each++)
        quoted = *each == ',' || *each == '"' || *each == '\n' || *each == '\r';
    if (!quoted) {
        sink_write(sink, at, bytes.len);
        return;
    }
    sink_byte(sink, '"');
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *stop = quote != NULL ? quote + 1 : end;
        sink_write(sink, at, (size_t)(stop - at));
        if (quote != NULL) sink_byte(sink, '"');
        at = stop;
    }
    sink_byte(sink, '"');
}

void csv_write_header(struct item_writer *writer)
{
    sink_printf(writer->sink, "%s,%s\r\n", writer->key_base64 ? "key_b64" : "key",
                writer->value_base64 ? "value_b64" : "value");
}

void csv_write(struct item_writer *writer, const struct item *item)
{
    csv_write_field(writer->sink, item->key, writer->key_base64);
    sink_byte(writer->sink, ',');
    csv_write_field(writer->sink, item->value, writer->value_base64);
    sink_text(writer->sink, "\r\n");
}
