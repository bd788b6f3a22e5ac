/*
 * format.h - the file formats by name.
 *
 * Role: chooses a format, by its name or a file's ending, and passes on to it.
 * In the picture: shell layer; import and export see only this of the formats.
 */
#ifndef LOAM_SHELL_FORMAT_H
#define LOAM_SHELL_FORMAT_H

#include "shell/item.h"

enum format { FORMAT_UNKNOWN, FORMAT_JSONL, FORMAT_CSV, FORMAT_TSV };

/* FORMAT_UNKNOWN when no format has that name, or the path no such ending. */
enum format format_named(const char *name);
enum format format_of_path(const char *path);

/* Reads what stands at the start of input, which is not empty. After READING_ITEM and
   READING_NOTHING the caller goes on behind reader->used bytes. */
enum reading format_read(enum format format, struct item_reader *reader, loam_slice input);
void format_reader_deinit(struct item_reader *reader);

void format_write_header(enum format format, struct item_writer *writer);
void format_write(enum format format, struct item_writer *writer, const struct item *item);

#endif
