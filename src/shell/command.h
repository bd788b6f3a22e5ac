/*
 * command.h - the one table of commands.
 *
 * Role: names, syntax, options, access and help of every command; the parser,
 *   help, the manual, completion and hints all read it and know nothing else.
 * In the picture: shell layer; on the contract of handlers.h.
 */
#ifndef LOAM_SHELL_COMMAND_H
#define LOAM_SHELL_COMMAND_H

#include <stddef.h>

#include "shell/args.h"
#include "shell/handlers.h"
#include "shell/session.h"

enum arg_kind {
    ARG_NONE,
    ARG_KEY,
    ARG_VALUE,
    ARG_NAME,
    ARG_NEW_NAME,
    ARG_FILE,
    ARG_COMMAND,
    ARG_WORD
};

enum option_value {
    VALUE_NONE,
    VALUE_BYTES,
    VALUE_TEXT,
    VALUE_NUMBER,
    VALUE_DURATION,
    VALUE_CHOICE
};

struct option_info {
    const char *name; /* with its dashes */
    enum option_value value;
    const char *label;      /* what the value is called */
    const char *choices[4]; /* of VALUE_CHOICE, ended by NULL */
    const char *text;
};

struct command {
    const char *name, *alias; /* alias may be NULL */
    const char *syntax;       /* of the arguments */
    enum arg_kind args[ARGS_MAX];
    size_t args_min;
    uint32_t options; /* OPTION_BIT()s */
    enum session_access access;
    bool in_collection; /* works on the current collection, which must be there */
    int (*run)(struct session *session, const struct args *args);
    const char *summary; /* half a line */
    const char *detail;  /* or NULL */
};

extern const struct command commands[];
extern const size_t commands_count;
extern const struct option_info option_infos[OPTIONS_COUNT];

size_t command_args_max(const struct command *command);

/* By name or alias, in any case; NULL when there is none. */
const struct command *command_find(loam_slice name);
/* The command whose name is nearest to what was typed, or NULL when none is near. */
const struct command *command_nearest(loam_slice name);

/* By its name with dashes, exactly; the one in `options`, if several commands have one of that name. OPTIONS_COUNT when there is none. */
enum option_id option_find(loam_slice name, uint32_t options);
/* Among those in `options`: the nearest. */
enum option_id option_nearest(loam_slice name, uint32_t options);

/* Says that name is no command, and which is nearest. */
int complain_unknown_command(loam_slice name);

#endif
