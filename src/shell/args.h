/*
 * args.h - the arguments and options of one command, checked and decoded.
 *
 * Role: what a command's handler gets to see of the line.
 * In the picture: shell layer; command_line fills it, cmd_*, import and export
 *   read it.
 */
#ifndef LOAM_SHELL_ARGS_H
#define LOAM_SHELL_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include <loam.h>

#include "shell/grow.h"

enum { ARGS_MAX = 3 };

enum option_id {
    OPTION_PREFIX,
    OPTION_LIMIT,
    OPTION_REVERSE,
    OPTION_KEYS,
    OPTION_FORMAT,
    OPTION_FROM_LINE,
    OPTION_ALL,
    OPTION_MODE,
    OPTION_JSON,
    OPTION_YES,
    OPTION_DRY_RUN,
    OPTION_MAN,
    OPTION_ENTRIES,
    OPTION_WORKLOADS,
    OPTION_COMPRESSION,
    OPTION_TTL,
    OPTION_MERGE,
    OPTION_ALL_ENTRIES,
    OPTION_HTML,
    OPTION_SINCE,
    OPTION_FOLLOW,
    OPTION_WATCH,
    OPTION_INTERVAL,
    OPTION_ARCHIVE,
    OPTION_TO_SEQ,
    OPTION_TO_TIME,
    OPTIONS_COUNT
};

#define OPTION_BIT(id) (1u << (id))

struct command;

struct args {
    const struct command *command;
    struct grow arg[ARGS_MAX]; /* NUL-terminated behind len */
    size_t count;
    uint32_t given; /* OPTION_BIT()s */
    struct grow prefix, workloads, merge, html, archive, to_time;
    uint64_t limit, from_line, entries, ttl_ms, since, interval_ms, to_seq;
    const char *format, *mode, *compression; /* static */
};

static inline bool args_have(const struct args *args, enum option_id id)
{
    return (args->given & OPTION_BIT(id)) != 0;
}

static inline loam_slice args_bytes(const struct args *args, size_t index)
{
    return index < args->count ? grow_slice(&args->arg[index]) : loam_bytes(NULL, 0);
}

#endif
