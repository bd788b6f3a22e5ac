/*
 * command_line.h - from the words of a command to its checked arguments.
 *
 * Role: tells options from arguments, applies the decode prefixes, counts.
 * Invariants: (1) only words that the command declares are options, and none after `--`. (2) What looks like another one is
 *   refused, so that a range is never what nobody meant; but where a KEY or a VALUE must stand, bytes are bytes.
 * In the picture: shell layer; on words and the table of commands.
 */
#ifndef LOAM_SHELL_COMMAND_LINE_H
#define LOAM_SHELL_COMMAND_LINE_H

#include "shell/args.h"
#include "shell/command.h"
#include "shell/words.h"

struct command_line {
    const struct word *word; /* the first is the command's name */
    size_t count;
    bool decode;      /* words that are not quoted may have decode prefixes */
    bool stdin_taken; /* by the script: it cannot be a value as well */
};

/* Fills args, which the caller frees in either case. Complains and returns CODE_USAGE for wrong
   usage, CODE_FAILED for a file that cannot be read. */
int command_line_parse(const struct command_line *line, struct args *args);
void args_free(struct args *args);

/* "scan [FROM [TO]] [--prefix P] ..", for messages, help and hints. */
void command_write_syntax(struct grow *text, const struct command *command, bool with_name);

#endif
