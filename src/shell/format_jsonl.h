/*
 * format_jsonl.h - one JSON object a line: {"key":..,"value":..}.
 *
 * Role: bytes that are not UTF-8, or hold NUL, stand in key_b64 and value_b64,
 *   chosen for each field; with all collections "collection" comes first, and a line of its own
 *   without a key has the options of each. An entry that expires has "expires_ms", milliseconds since 1970, at the end; 0 is one
 *   that never does, in a collection where others do.
 * Invariants: what is written is canonical: the same entries give the same bytes.
 *   Reading takes any JSON object with these fields and no other.
 * In the picture: shell layer; jansson reads, except for lines of the plain form
 *   that we write ourselves.
 */
#ifndef LOAM_SHELL_FORMAT_JSONL_H
#define LOAM_SHELL_FORMAT_JSONL_H

#include "shell/item.h"

enum reading jsonl_read(struct item_reader *reader, loam_slice input);
void jsonl_write(struct item_writer *writer, const struct item *item);
void jsonl_reader_deinit(struct item_reader *reader);

/* A string with its quotes. bytes are UTF-8. */
void json_write_string(struct sink *sink, loam_slice bytes);
/* "NAME":"..", or "NAME_b64":".." for what is no text. */
void json_write_field(struct sink *sink, const char *name, loam_slice bytes);
/* ,"ttl_ms":..,"compression":..[,"merge_operator":..] */
void json_write_options(struct sink *sink, const loam_coll_options *options);

#endif
