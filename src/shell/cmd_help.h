/*
 * cmd_help.h - the text of `loam --help`.
 *
 * Role: help beyond the command of that name; all of it comes from the table.
 * In the picture: shell layer; shell_main prints it.
 */
#ifndef LOAM_SHELL_CMD_HELP_H
#define LOAM_SHELL_CMD_HELP_H

#include "shell/sink.h"

void help_print_usage(struct sink *out);

#endif
