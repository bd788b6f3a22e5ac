/*
 * binary_text.h - hex and base64, strict in reading.
 *
 * Role: the two ways to write any bytes in text: on the command line and in
 *   import and export files.
 * Invariants: only what the encoder can have written is decoded, in either case
 *   for hex; base64 is that of RFC 4648 with padding and zero spare bits.
 * In the picture: shell layer.
 */
#ifndef LOAM_SHELL_BINARY_TEXT_H
#define LOAM_SHELL_BINARY_TEXT_H

#include <stdbool.h>

#include <loam.h>

#include "shell/grow.h"
#include "shell/sink.h"

/* Append to decoded; false, with some bytes appended, when text is malformed. */
bool hex_decode(struct grow *decoded, loam_slice text);
bool base64_decode(struct grow *decoded, loam_slice text);

void base64_write(struct sink *sink, loam_slice bytes);

#endif
