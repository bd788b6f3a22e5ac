/* cmd_help.c - help, version, exit and the manual page; see handlers.h. */
#include "shell/cmd_help.h"

#include <stdio.h>

#include "shell/command.h"
#include "shell/command_line.h"
#include "shell/exit_code.h"
#include "shell/message.h"

/* Pairs of what is typed and what it does. */
static const char *const global_options[][2] = {
    {"-c, --collection NAME", "begin in this collection"},
    {"--durability MODE", "commit (default): each write survives power loss when it is answered; "
                          "periodic: after a moment; process: when the system writes it"},
    {"--archive DIR",
     "complete segments of the log go there, for `restore` to a moment; say it each "
     "time that the store is written to"},
    {"--memory SIZE", "memory for writes and caches, such as 512MiB"},
    {"--readonly", "open without writing anything"},
    {"--follow",
     "read beside the process that has it open for writing; each command sees what was committed "
     "before it"},
    {"--decode", "hex:6b65, b64:a2U=, @file and - in arguments mean bytes"},
    {"--mode MODE", "escaped (default), or raw: `get` writes the bytes alone"},
    {"--json", "tables and entries as JSON"},
    {"--quiet", "no progress and no remarks"},
    {"--yes", "do not ask"},
};

static const char *const exit_statuses[][2] = {
    {"0", "done; also when the reader of a pipe went away"},
    {"1", "the key or collection is not there; `exists` is false"},
    {"2", "anything else that went wrong"},
    {"3", "bytes on disk are damaged"},
    {"4", "another process has the store open"},
    {"5", "there already, or a conflict"},
    {"64", "wrong usage"},
    {"65", "bad data in an imported file"},
    {"74", "the disk is full"},
    {"130, 143",
     "Ctrl-C, which also ends --watch and --follow; terminated; both after a clean close"},
};

#define PAIRS(pairs) (pairs), sizeof(pairs) / sizeof *(pairs)

static const char quoting_text[] =
    "Words are separated by blanks. '..' quotes literally, \"..\" knows \\n \\r \\t \\0 \\\\ \\\" "
    "\\xNN; both only at the start of a word, and elsewhere quotes and backslashes are themselves. "
    "Words without quotes may be hex:.., b64:.., @file or - (standard input). Arguments of the "
    "command line are literal unless --decode is given.";

/* Text in lines of up to 80 columns, indented. */
static void print_wrapped(struct sink *out, const char *text, size_t indent, size_t column)
{
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (column + len > 80 && column > indent) {
            sink_byte(out, '\n');
            column = 0;
        }
        if (column < indent) sink_printf(out, "%*s", (int)(indent - column), "");
        column = column < indent ? indent : column;
        sink_write(out, text, len);
        column += len;
        text += len;
        if (*text != ' ') break;
        text++;
        if (column + 1 + strcspn(text, " ") <= 80) {
            sink_byte(out, ' ');
            column++;
        } else {
            column = 81;
        }
    }
    sink_byte(out, '\n');
}

static void print_pair(struct sink *out, const char *typed, const char *does, size_t indent)
{
    const size_t len = strlen(typed);
    sink_printf(out, "  %s", typed);
    if (len + 4 > indent) sink_byte(out, '\n');
    print_wrapped(out, does, indent, len + 4 > indent ? 0 : len + 2);
}

static void print_pairs(struct sink *out, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_pair(out, pairs[i][0], pairs[i][1], 26);
}

static void print_commands(struct sink *out)
{
    for (size_t i = 0; i < commands_count; i++) {
        struct grow syntax = {0};
        grow_add_text(&syntax, commands[i].name);
        if (commands[i].syntax[0] != '\0') grow_add_byte(&syntax, ' ');
        grow_add_text(&syntax, commands[i].syntax);
        grow_add_byte(&syntax, '\0');
        print_pair(out, syntax.data, commands[i].summary, 26);
        grow_free(&syntax);
    }
}

static void write_option(char *typed, size_t size, const struct option_info *info)
{
    (void)snprintf(typed, size, "%s%s%s", info->name, info->label != NULL ? " " : "",
                   info->label != NULL ? info->label : "");
}

static void print_command_help(struct sink *out, const struct command *command)
{
    struct grow syntax = {0};
    command_write_syntax(&syntax, command, false);
    grow_add_byte(&syntax, '\0');
    sink_text(out, command->name);
    print_wrapped(out, syntax.data, strlen(command->name) + 1, strlen(command->name));
    sink_printf(out, "  %s", command->summary);
    sink_text(out, command->alias != NULL ? " (also: " : "");
    sink_text(out, command->alias != NULL ? command->alias : "");
    sink_text(out, command->alias != NULL ? ")\n" : "\n");
    if (command->detail != NULL) print_wrapped(out, command->detail, 2, 0);
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        if ((command->options & OPTION_BIT(id)) == 0) continue;
        const struct option_info *info = &option_infos[id];
        char typed[48];
        write_option(typed, sizeof typed, info);
        print_pair(out, typed, info->text, 26);
    }
    grow_free(&syntax);
}

void help_print_usage(struct sink *out)
{
    sink_text(out,
              "loam - an ordered key-value store\n\n"
              "  loam [options] DIR                    a shell, or a script on standard input\n"

              "  loam [options] DIR COMMAND [ARG...]   one command\n"
              "  loam [options] bench DIR              how fast it is here\n"
              "  loam help [COMMAND] | version\n\nCommands\n");
    print_commands(out);
    sink_text(out, "\nOptions, before DIR\n");
    print_pairs(out, PAIRS(global_options));
    sink_text(out, "\nQuoting\n");
    print_wrapped(out, quoting_text, 2, 0);
    sink_text(out, "\nExit status\n");
    print_pairs(out, PAIRS(exit_statuses));
}

/* roff takes a line that starts with a dot or an apostrophe, and every backslash, for its own. */
static void roff_text(struct sink *out, const char *text)
{
    if (*text == '.' || *text == '\'') sink_text(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            sink_text(out, "\\e");
        else if (*text == '-')
            sink_text(out, "\\-");
        else
            sink_byte(out, *text);
    }
    sink_byte(out, '\n');
}

static void roff_pairs(struct sink *out, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sink_text(out, ".TP\n.B ");
        roff_text(out, pairs[i][0]);
        roff_text(out, pairs[i][1]);
    }
}

static void roff_command(struct sink *out, const struct command *command)
{
    struct grow syntax = {0};
    command_write_syntax(&syntax, command, true);
    grow_add_byte(&syntax, '\0');
    sink_text(out, ".TP\n.B ");
    roff_text(out, syntax.data);
    sink_printf(out, "%c%s.\n.br\n", command->summary[0] - ('a' - 'A'), command->summary + 1);
    if (command->alias != NULL) sink_printf(out, "Also: \\fB%s\\fR.\n", command->alias);
    if (command->detail != NULL) roff_text(out, command->detail);
    grow_free(&syntax);
}

static void print_manual(struct sink *out)
{
    sink_text(out, ".TH LOAM 1 \"\" \"loam " LOAM_VERSION "\" \"User Commands\"\n"
                   ".SH NAME\nloam \\- an ordered key-value store\n.SH SYNOPSIS\n"
                   ".B loam\n[options] DIR\n.br\n.B loam\n[options] DIR COMMAND [ARG...]\n.br\n"
                   ".B loam\n[options] bench DIR\n.br\n"
                   ".B loam\nhelp [COMMAND] | version\n.SH DESCRIPTION\n"
                   "Opens the store in the directory DIR and reads commands: from the terminal, "
                   "from a script on\nstandard input, or one from its arguments. "
                   "Keys and values are any bytes, and keys are\nordered by them. The shell, "
                   "scripts, create, import and commands that put something\nmake a store that is "
                   "missing; commands that "
                   "only read open it read\\-only.\n.SH COMMANDS\n"
                   "Command words may be written in any case.\n");
    for (size_t i = 0; i < commands_count; i++)
        roff_command(out, &commands[i]);
    sink_text(out, ".SH OPTIONS\nThey stand before DIR.\n");
    roff_pairs(out, PAIRS(global_options));
    sink_text(out, ".SH COMMAND OPTIONS\nThey stand after COMMAND, where its syntax has them. "
                   "After \\-\\- all words are arguments.\n");
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_info *info = &option_infos[id];
        char typed[48];
        write_option(typed, sizeof typed, info);
        const char *const pair[1][2] = {{typed, info->text}};
        roff_pairs(out, pair, 1);
    }
    sink_text(out, ".SH QUOTING\n");
    roff_text(out, quoting_text);
    sink_text(out, ".SH SCRIPTS\nOne command a line; blank lines and lines that start with # are "
                   "skipped. What is not there does\nnot end a script; an error does, and its line "
                   "number is named.\n.SH EXIT STATUS\n");
    roff_pairs(out, PAIRS(exit_statuses));
    sink_text(out, ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colour, and no hints in the shell.\n"
                   ".TP\n.B XDG_STATE_HOME\nWhere loam/history is kept; ~/.local/state when "
                   "unset.\n.SH FILES\n.TP\n.B $XDG_STATE_HOME/loam/history\n"
                   "What was typed into the shell, readable by its user only. Lines that start "
                   "with a blank are not kept.\n");
}

int cmd_help(struct session *session, const struct args *args)
{
    struct sink *out = &session->out;
    if (args_have(args, OPTION_MAN)) {
        print_manual(out);
        return CODE_DONE;
    }
    if (args->count > 0) {
        const struct command *command = command_find(args_bytes(args, 0));
        if (command == NULL) return complain_unknown_command(args_bytes(args, 0));
        print_command_help(out, command);
        return CODE_DONE;
    }
    if (session->dir == NULL) {
        help_print_usage(out);
        return CODE_DONE;
    }
    print_commands(out);
    sink_byte(out, '\n');
    print_wrapped(out, quoting_text, 0, 0);
    sink_text(out, "`help COMMAND` tells all about it.\n");
    return CODE_DONE;
}

int cmd_version(struct session *session, const struct args *args)
{
    (void)args;
    sink_text(&session->out, "loam " LOAM_VERSION "\n");
    return CODE_DONE;
}

int cmd_exit(struct session *session, const struct args *args)
{
    (void)args;
    session->leaving = true;
    return CODE_DONE;
}
