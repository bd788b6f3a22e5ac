/* format_jsonl.c - see format_jsonl.h. */
#include "shell/format_jsonl.h"

#include <inttypes.h>
#include <jansson.h>

#include "base/text.h"
#include "shell/binary_text.h"
#include "shell/message.h"

/* Room for the largest value in base64, and for any text of up to a quarter of it. */
#define JSONL_LINE_BYTES_MAX ((size_t)3 << 29)
/* Text that could become longer than that, with six bytes for one, is written in base64. */
#define JSONL_TEXT_BYTES_MAX (JSONL_LINE_BYTES_MAX / 6 - ITEM_KEY_BYTES_MAX * 7)

static bool is_blank_line(loam_slice line)
{
    const char *at = line.data;
    for (size_t i = 0; i < line.len; i++) {
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r') return false;
    }
    return true;
}

/* A string field, from NAME or NAME_b64. READING_NOTHING: it is not there. */
static enum reading jsonl_field(struct item_reader *reader, const char *name, struct grow *decoded,
                                loam_slice *bytes)
{
    char encoded_name[24];
    (void)snprintf(encoded_name, sizeof encoded_name, "%s_b64", name);
    const json_t *plain = json_object_get(reader->json, name);
    const json_t *encoded = json_object_get(reader->json, encoded_name);
    if (plain != NULL && encoded != NULL)
        return item_is_bad(reader, "has both %s and %s", name, encoded_name);
    const json_t *field = plain != NULL ? plain : encoded;
    if (field == NULL) return READING_NOTHING;
    if (!json_is_string(field))
        return item_is_bad(reader, "%s is not a string", plain != NULL ? name : encoded_name);
    *bytes = loam_bytes(json_string_value(field), json_string_length(field));
    if (plain != NULL) return READING_ITEM;
    decoded->len = 0;
    if (!base64_decode(decoded, *bytes))
        return item_is_bad(reader, "%s is not base64 with its padding", encoded_name);
    *bytes = grow_slice(decoded);
    return READING_ITEM;
}

static enum reading jsonl_collection(struct item_reader *reader)
{
    struct item *item = &reader->item;
    const enum reading got = jsonl_field(reader, "collection", &reader->name, &item->collection);
    if (got == READING_BAD) return got;
    if (got == READING_NOTHING)
        return reader->all ? item_is_bad(reader, "collection is missing") : READING_ITEM;
    if (!reader->all)
        return item_is_bad(reader, "has a field collection; `import --all` reads such files");
    if (item->collection.len < 1 || item->collection.len > ITEM_NAME_BYTES_MAX ||
        memchr(item->collection.data, 0, item->collection.len) != NULL)
        return item_is_bad(reader, "the collection's name must have 1 to 255 bytes without NUL");
    return READING_ITEM;
}

static enum reading jsonl_expiry(struct item_reader *reader)
{
    const json_t *field = json_object_get(reader->json, "expires_ms");
    if (field == NULL) return READING_ITEM;
    if (!json_is_integer(field) || json_integer_value(field) < 0)
        return item_is_bad(reader,
                           "expires_ms is no time, in milliseconds since 1970, or 0: never");
    reader->item.has_expiry = true;
    reader->item.expires_ms = (uint64_t)json_integer_value(field);
    return READING_ITEM;
}

/* Of a line that names a collection alone. */
static enum reading jsonl_options(struct item_reader *reader)
{
    const json_t *compression = json_object_get(reader->json, "compression");
    const json_t *ttl = json_object_get(reader->json, "ttl_ms");
    const json_t *merge = json_object_get(reader->json, "merge_operator");
    if (compression == NULL && ttl == NULL && merge == NULL) return READING_ITEM;
    if (!reader->item.only_collection)
        return item_is_bad(reader, "options of a collection stand in a line without a key");
    reader->options = loam_coll_options_default();
    reader->item.options = &reader->options;
    if (compression != NULL &&
        (!json_is_string(compression) ||
         !compression_find(json_string_value(compression), &reader->options.compression)))
        return item_is_bad(reader, "compression is not lz4, zstd or none");
    if (ttl != NULL && (!json_is_integer(ttl) || json_integer_value(ttl) < 0))
        return item_is_bad(reader, "ttl_ms is no number of milliseconds");
    if (merge != NULL && !json_is_string(merge))
        return item_is_bad(reader, "merge_operator is not a string");
    if (ttl != NULL) reader->options.ttl_ms = (uint64_t)json_integer_value(ttl);
    if (merge != NULL) reader->options.merge_operator = json_string_value(merge);
    return READING_ITEM;
}

static bool is_known_field(const char *name)
{
    static const char *const known[] = {"key",        "key_b64",        "value",      "value_b64",
                                        "collection", "collection_b64", "expires_ms", "compression",
                                        "ttl_ms",     "merge_operator"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i]) == 0) return true;
    }
    return false;
}

static enum reading jsonl_fields(struct item_reader *reader)
{
    struct item *item = &reader->item;
    for (void *at = json_object_iter(reader->json); at != NULL;
         at = json_object_iter_next(reader->json, at)) {
        if (!is_known_field(json_object_iter_key(at)))
            return item_is_bad(reader, "unknown field %.60s",
                               shown_text(json_object_iter_key(at)).text);
    }
    if (jsonl_collection(reader) == READING_BAD) return READING_BAD;
    const enum reading key = jsonl_field(reader, "key", &reader->key, &item->key);
    const enum reading value = key == READING_BAD
                                   ? READING_BAD
                                   : jsonl_field(reader, "value", &reader->value, &item->value);
    if (key == READING_BAD || value == READING_BAD) return READING_BAD;
    if (reader->all && key == READING_NOTHING && value == READING_NOTHING) {
        item->only_collection = true;
        return jsonl_options(reader);
    }
    if (jsonl_options(reader) == READING_BAD) return READING_BAD;
    if (key == READING_NOTHING) return item_is_bad(reader, "key is missing");
    if (value == READING_NOTHING) return item_is_bad(reader, "value is missing");
    if (jsonl_expiry(reader) == READING_BAD) return READING_BAD;
    return item_check_limits(reader);
}

/* A string at *at that holds no escape and no control character: most of what is imported. */
static bool take_plain_string(const char **at, const char *end, loam_slice *text)
{
    if (*at == end || **at != '"') return false;
    const char *start = ++*at;
    const char *quote = memchr(start, '"', (size_t)(end - start));
    if (quote == NULL) return false;
    const loam_slice bytes = loam_bytes(start, (size_t)(quote - start));
    /* Stops at a backslash and at whatever is not printable; then jansson decides. */
    if (text_plain_prefix(bytes, false) < bytes.len) return false;
    *text = bytes;
    *at = quote + 1;
    return true;
}

static bool take_exactly(const char **at, const char *end, const char *text)
{
    const size_t len = strlen(text);
    if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0) return false;
    *at += len;
    return true;
}

/* {"key":"..","value":".."} without escapes, or with a blank after colon and comma, is taken from
   the line as it stands. jansson reads a byte at a time and would take half of an import. */
static bool take_plain_line(struct item_reader *reader, loam_slice line)
{
    if (line.len == 0) return false;
    const char *at = line.data;
    const char *end = at + line.len;
    struct item item = {0};
    if (!take_exactly(&at, end, "{")) return false;
    if (reader->all) {
        if (!take_exactly(&at, end, "\"collection\":")) return false;
        if (!take_plain_string(&at, end, &item.collection)) return false;
        if (item.collection.len < 1 || item.collection.len > ITEM_NAME_BYTES_MAX) return false;
        if (!take_exactly(&at, end, ",")) return false;
    }
    if (!take_exactly(&at, end, "\"key\":")) return false;
    (void)take_exactly(&at, end, " ");
    if (!take_plain_string(&at, end, &item.key) || !take_exactly(&at, end, ",")) return false;
    (void)take_exactly(&at, end, " ");
    if (!take_exactly(&at, end, "\"value\":")) return false;
    (void)take_exactly(&at, end, " ");
    if (!take_plain_string(&at, end, &item.value) || !take_exactly(&at, end, "}")) return false;
    if (at != end) return false;
    reader->item = item;
    return true;
}

enum reading jsonl_read(struct item_reader *reader, loam_slice input)
{
    loam_slice line;
    jsonl_reader_deinit(reader);
    const enum reading got = item_take_line(reader, input, JSONL_LINE_BYTES_MAX, &line);
    if (got != READING_ITEM) return got;
    if (reader->skipping || is_blank_line(line)) return READING_NOTHING;
    if (take_plain_line(reader, line)) return item_check_limits(reader);
    json_error_t error;
    reader->json = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (reader->json == NULL) return item_is_bad(reader, "%.150s", shown_text(error.text).text);
    reader->item = (struct item){0};
    if (!json_is_object((json_t *)reader->json))
        return item_is_bad(reader, "is not an object {\"key\":..,\"value\":..}");
    return jsonl_fields(reader);
}

void jsonl_reader_deinit(struct item_reader *reader)
{
    json_decref(reader->json);
    reader->json = NULL;
}

static bool stands_for_itself(char byte)
{
    return (uint8_t)byte >= 0x20 && byte != '"' && byte != '\\';
}

void json_write_string(struct sink *sink, loam_slice bytes)
{
    const char *at = bytes.data;
    const char *end = bytes.len > 0 ? at + bytes.len : at;
    sink_byte(sink, '"');
    while (at < end) {
        const char *run = at;
        while (at < end && stands_for_itself(*at) && !(sink->in_html && *at == '<'))
            at++;
        sink_write(sink, run, (size_t)(at - run));
        if (at == end) break;
        static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
        const char *name = named;
        while (*name != '\0' && *name != *at)
            name += 2;
        if (*name != '\0')
            sink_printf(sink, "\\%c", name[1]);
        else
            sink_printf(sink, "\\u%04x", (unsigned)(uint8_t)*at);
        at++;
    }
    sink_byte(sink, '"');
}

void json_write_field(struct sink *sink, const char *name, loam_slice bytes)
{
    const bool text = bytes.len <= JSONL_TEXT_BYTES_MAX && text_is_utf8(bytes);
    sink_printf(sink, text ? "\"%s\":" : "\"%s_b64\":", name);
    if (text) {
        json_write_string(sink, bytes);
        return;
    }
    sink_byte(sink, '"');
    base64_write(sink, bytes);
    sink_byte(sink, '"');
}

void json_write_options(struct sink *sink, const loam_coll_options *options)
{
    sink_printf(sink, ",\"ttl_ms\":%" PRIu64 ",\"compression\":\"%s\"", options->ttl_ms,
                compression_names[options->compression]);
    if (options->merge_operator == NULL) return;
    sink_byte(sink, ',');
    json_write_field(sink, "merge_operator", loam_str(options->merge_operator));
}

void jsonl_write(struct item_writer *writer, const struct item *item)
{
    struct sink *sink = writer->sink;
    sink_byte(sink, '{');
    if (writer->all) {
        json_write_field(sink, "collection", item->collection);
        if (!item->only_collection) sink_byte(sink, ',');
    }
    if (item->options != NULL) json_write_options(sink, item->options);
    if (!item->only_collection) {
        json_write_field(sink, "key", item->key);
        sink_byte(sink, ',');
        json_write_field(sink, "value", item->value);
        if (item->has_expiry) sink_printf(sink, ",\"expires_ms\":%" PRIu64, item->expires_ms);
    }
    sink_text(sink, "}\n");
}
