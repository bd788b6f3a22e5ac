/* item.c - see item.h. */
#include "shell/item.h"

#include <stdarg.h>
#include <stdio.h>

const char *const compression_names[] = {
    [LOAM_LZ4] = "lz4", [LOAM_ZSTD] = "zstd", [LOAM_UNCOMPRESSED] = "none"};

bool compression_find(const char *name, loam_compression *compression)
{
    for (unsigned i = 0; i <= LOAM_UNCOMPRESSED; i++) {
        if (strcmp(name, compression_names[i]) != 0) continue;
        *compression = (loam_compression)i;
        return true;
    }
    return false;
}

enum reading item_is_bad(struct item_reader *reader, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(reader->error, sizeof reader->error, format, list);
    va_end(list);
    return READING_BAD;
}

enum reading item_take_line(struct item_reader *reader, loam_slice input, size_t bytes_max,
                            loam_slice *line)
{
    const char *start = input.data;
    const char *end = input.len > 0 ? memchr(start, '\n', input.len) : NULL;
    const size_t len = end != NULL ? (size_t)(end - start) : input.len;
    if (len > bytes_max) return item_is_bad(reader, "longer than %zu bytes", bytes_max);
    if (end == NULL && !reader->last) return READING_MORE;
    *line = loam_bytes(start, len);
    reader->used = end != NULL ? len + 1 : len;
    reader->lines = 1;
    return READING_ITEM;
}

enum reading item_check_limits(struct item_reader *reader)
{
    const struct item *item = &reader->item;
    if (item->key.len > ITEM_KEY_BYTES_MAX)
        return item_is_bad(reader, "the key has %zu bytes and the limit is %zu", item->key.len,
                           ITEM_KEY_BYTES_MAX);
    if (item->value.len > ITEM_VALUE_BYTES_MAX)
        return item_is_bad(reader, "the value has %zu bytes and the limit is %zu", item->value.len,
                           ITEM_VALUE_BYTES_MAX);
    return READING_ITEM;
}

void item_reader_deinit(struct item_reader *reader)
{
    grow_free(&reader->key);
    grow_free(&reader->value);
    grow_free(&reader->name);
}
