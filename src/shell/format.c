/* format.c - see format.h. */
#include "shell/format.h"

#include <strings.h>

#include "shell/format_csv.h"
#include "shell/format_jsonl.h"
#include "shell/format_tsv.h"

enum format format_named(const char *name)
{
    if (strcasecmp(name, "jsonl") == 0) return FORMAT_JSONL;
    if (strcasecmp(name, "csv") == 0) return FORMAT_CSV;
    if (strcasecmp(name, "tsv") == 0) return FORMAT_TSV;
    return FORMAT_UNKNOWN;
}

enum format format_of_path(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? format_named(dot + 1) : FORMAT_UNKNOWN;
}

enum reading format_read(enum format format, struct item_reader *reader, loam_slice input)
{
    switch (format) {
    case FORMAT_JSONL:
        return jsonl_read(reader, input);
    case FORMAT_CSV:
        return csv_read(reader, input);
    case FORMAT_TSV:
        return tsv_read(reader, input);
    case FORMAT_UNKNOWN:
        break;
    }
    return item_is_bad(reader, "has no known format");
}

void format_reader_deinit(struct item_reader *reader)
{
    jsonl_reader_deinit(reader);
    item_reader_deinit(reader);
}

void format_write_header(enum format format, struct item_writer *writer)
{
    if (format == FORMAT_CSV) csv_write_header(writer);
}

void format_write(enum format format, struct item_writer *writer, const struct item *item)
{
    switch (format) {
    case FORMAT_JSONL:
        jsonl_write(writer, item);
        break;
    case FORMAT_CSV:
        csv_write(writer, item);
        break;
    case FORMAT_TSV:
        tsv_write(writer, item);
        break;
    case FORMAT_UNKNOWN:
        break;
    }
}
