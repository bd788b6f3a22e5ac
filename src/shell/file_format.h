/*
 * file_format.h - which format a FILE argument has, and how long it took.
 *
 * Role: what import and export share.
 * In the picture: shell layer.
 */
#ifndef LOAM_SHELL_FILE_FORMAT_H
#define LOAM_SHELL_FILE_FORMAT_H

#include "shell/args.h"
#include "shell/format.h"

/* By --format, --all or the file's ending. Complains and returns CODE_USAGE when none fits. */
int file_format_choose(const struct args *args, enum format *format);

/* Seconds on a clock that only goes forward. */
double seconds_now(void);

/* What time it is, ms since 1970. */
uint64_t wall_ms_now(void);

/* "N entries, B bytes, T s", and how */
struct tally {
    uint64_t items, bytes;
    double started;
};
void tally_print(const struct tally *tally, const char *how, struct sink *sink);

#endif
