/*
 * format_tsv.h - a key, a tab and a value a line.
 *
 * Role: no header; the first tab splits; \t \n \r \\ \0 \xNN; a line without a tab
 *   is a key with an empty value, so that a word list can be imported as it is.
 * Invariants: what is written is UTF-8 text; whatever is not, is escaped.
 * In the picture: shell layer; format chooses it.
 */
#ifndef LOAM_SHELL_FORMAT_TSV_H
#define LOAM_SHELL_FORMAT_TSV_H

#include "shell/item.h"

enum reading tsv_read(struct item_reader *reader, loam_slice input);
void tsv_write(struct item_writer *writer, const struct item *item);

#endif
