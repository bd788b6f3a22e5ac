/*
 * fuzz_import.c - any file, read in each format; what was read, written and read back.
 *
 * Role: the readers stay within the input, however it is cut into pieces, and
 *   what the writers make of an item is read as the same item.
 * In the picture: fuzz target; on shell/format. The first byte chooses the format,
 *   whether lines name collections, and how the input is cut.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) abort();
}

static bool same(loam_slice a, loam_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Writes the item into a sink that is never flushed, and reads it from its buffer. */
static void write_and_read_back(enum format format, const struct item_reader *source)
{
    struct sink sink;
    const struct item *item = &source->item;
    /* Six bytes for one, and names: what fits the buffer is not flushed. */
    if ((item->key.len + item->value.len + item->collection.len) * 6 + 256 > SINK_BYTES) return;
    sink_init(&sink, -1);
    struct item_writer writer = {.sink = &sink,
                                 .all = source->all && format == FORMAT_JSONL,
                                 .key_base64 = !text_is_utf8(item->key),
                                 .value_base64 = !text_is_utf8(item->value)};
    struct item_reader reader = {.all = writer.all, .last = true};
    format_write_header(format, &writer);
    format_write(format, &writer, item);
    loam_slice rest = loam_bytes(sink.buffer, sink.len);
    enum reading got = READING_NOTHING;
    while (got == READING_NOTHING && rest.len > 0) {
        got = format_read(format, &reader, rest);
        demand(got == READING_ITEM || got == READING_NOTHING);
        rest = loam_bytes((const char *)rest.data + reader.used, rest.len - reader.used);
    }
    demand(got == READING_ITEM && rest.len == 0);
    demand(same(reader.item.key, item->key) && same(reader.item.value, item->value));
    demand(reader.item.only_collection == item->only_collection);
    if (writer.all) demand(same(reader.item.collection, item->collection));
    format_reader_deinit(&reader);
    sink_deinit(&sink);
}

/* The items of input, of which `step` more bytes are shown whenever more are wanted. */
static size_t read_items(enum format format, bool all, loam_slice input, size_t step)
{
    struct item_reader reader = {.all = all};
    const char *at = input.data;
    const char *end = at + input.len;
    size_t shown = step < input.len ? step : input.len;
    size_t count = 0;
    while (at < end) {
        reader.last = shown == (size_t)(end - at);
        /* A copy of its own, so that a look beyond it is noticed. */
        char *copy = grow_array(NULL, shown, 1);
        memcpy(copy, at, shown);
        const enum reading got = format_read(format, &reader, loam_bytes(copy, shown));
        if (got == READING_ITEM) write_and_read_back(format, &reader);
        free(copy);
        if (got == READING_BAD) break;
        if (got == READING_MORE) {
            demand(!reader.last);
            shown = (size_t)(end - at) - shown > step ? shown + step : (size_t)(end - at);
            continue;
        }
        count += got == READING_ITEM;
        demand(reader.used > 0 && reader.used <= shown && reader.lines > 0);
        at += reader.used;
        shown -= reader.used;
        if (shown == 0) shown = (size_t)(end - at) > step ? step : (size_t)(end - at);
    }
    format_reader_deinit(&reader);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum format formats[] = {FORMAT_JSONL, FORMAT_CSV, FORMAT_TSV};
    if (size < 2) return 0;
    const enum format format = formats[data[0] % 3];
    const bool all = (data[0] & 64) != 0 && format == FORMAT_JSONL;
    const loam_slice input = loam_bytes(data + 1, size - 1);
    const size_t whole = read_items(format, all, input, input.len);
    /* How the input arrives makes no difference. */
    demand(read_items(format, all, input, data[0] / 3 % 16 + 1) == whole);
    return 0;
}
