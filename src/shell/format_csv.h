/*
 * format_csv.h - comma-separated values as in RFC 4180.
 *
 * Role: a header, key,value or with key_b64 or value_b64, then a record each;
 *   fields with commas, quotes or line ends stand in double quotes.
 * Invariants: lines end with CR LF when written, with LF or CR LF when read. Line
 *   numbers count lines of the file, also those within a quoted field.
 * In the picture: shell layer; format chooses it.
 */
#ifndef LOAM_SHELL_FORMAT_CSV_H
#define LOAM_SHELL_FORMAT_CSV_H

#include "shell/item.h"

enum reading csv_read(struct item_reader *reader, loam_slice input);
void csv_write_header(struct item_writer *writer);
void csv_write(struct item_writer *writer, const struct item *item);

#endif
