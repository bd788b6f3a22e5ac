/* command_line.c - see command_line.h. */
#include "shell/command_line.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/item.h"
#include "shell/message.h"
#include "shell/signals.h"

void command_write_syntax(struct grow *text, const struct command *command, bool with_name)
{
    const char *blank = "";
    if (with_name) {
        grow_add_text(text, command->name);
        blank = " ";
    }
    if (command->syntax[0] != '\0') {
        grow_add_text(text, blank);
        grow_add_text(text, command->syntax);
        blank = " ";
    }
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        if ((command->options & OPTION_BIT(id)) == 0 || id == OPTION_MAN) continue;
        const struct option_info *info = &option_infos[id];
        grow_add_text(text, blank);
        grow_add_text(text, "[");
        grow_add_text(text, info->name);
        for (size_t i = 0; i < 4 && info->choices[i] != NULL; i++) {
            grow_add_text(text, i == 0 ? " " : "|");
            grow_add_text(text, info->choices[i]);
        }
        if (info->value != VALUE_NONE && info->value != VALUE_CHOICE) {
            grow_add_text(text, " ");
            grow_add_text(text, info->label);
        }
        grow_add_text(text, "]");
        blank = " ";
    }
}

static int complain_usage(const struct command *command, const char *problem)
{
    struct grow syntax = {0};
    command_write_syntax(&syntax, command, true);
    grow_add_byte(&syntax, '\0');
    complain("%s: %s; usage: %s", command->name, problem, syntax.data);
    grow_free(&syntax);
    return CODE_USAGE;
}

static int read_whole_file(const char *path, int fd, struct grow *bytes)
{
    for (;;) {
        const ssize_t got = read(fd, grow_reserve(bytes, 65536), 65536);
        if (got == 0) return CODE_DONE;
        if (got > 0) bytes->len += (size_t)got;
        if (got < 0 && errno == EINTR && signals_stop() != 0) return signals_stop();
        if (got < 0 && errno != EINTR) return complain_file(path, errno);
        if (bytes->len > ITEM_VALUE_BYTES_MAX) {
            complain("%s: longer than 1 GiB, the limit of values; use a smaller one",
                     shown_text(path).text);
            return CODE_FAILED;
        }
    }
}

static int decode_from_file(struct grow *target)
{
    grow_add_byte(target, '\0');
    const struct grow path = *target;
    *target = (struct grow){0};
    const int fd = open(path.data, O_RDONLY | O_CLOEXEC);
    int code = CODE_FAILED;
    if (fd >= 0) {
        code = read_whole_file(path.data, fd, target);
        (void)close(fd);
    } else {
        const struct shown shown = shown_text(path.data);
        complain("%s: %s; check the path, and quote what is no @file", shown.text, strerror(errno));
    }
    struct grow freed = path;
    grow_free(&freed);
    return code;
}

/* Appends what a word means, and a NUL behind it. */
static int take_bytes(const struct command_line *line, const struct command *command,
                      loam_slice text, bool quoted, struct grow *target)
{
    const char *error = NULL;
    enum word_form form = WORD_LITERAL;
    int code = CODE_DONE;
    if (line->decode && !quoted) form = word_decode(text, target, &error);
    switch (form) {
    case WORD_LITERAL:
        grow_add(target, text.data, text.len);
        break;
    case WORD_DECODED:
        break;
    case WORD_FILE:
        code = decode_from_file(target);
        break;
    case WORD_STDIN:
        if (line->stdin_taken)
            return complain_usage(command, "- is standard input, which holds the script");
        code = read_whole_file("standard input", STDIN_FILENO, target);
        break;
    case WORD_BAD:
        return complain_usage(command, error);
    }
    *grow_reserve(target, 1) = '\0';
    return code;
}

static bool parse_number(loam_slice text, uint64_t *number)
{
    const char *at = text.data;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        const uint64_t digit = (uint64_t)(at[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *number = value;
    return text.len > 0;
}

static const char *find_choice(const struct option_info *info, loam_slice text)
{
    for (size_t i = 0; i < 4 && info->choices[i] != NULL; i++) {
        if (text.len == strlen(info->choices[i]) &&
            strncasecmp(text.data, info->choices[i], text.len) == 0)
            return info->choices[i];
    }
    return NULL;
}

static int complain_option(const struct args *args, enum option_id id, const char *problem)
{
    struct grow text = {0};
    grow_add_text(&text, option_infos[id].name);
    grow_add_byte(&text, ' ');
    grow_add_text(&text, problem);
    grow_add_byte(&text, '\0');
    const int code = complain_usage(args->command, text.data);
    grow_free(&text);
    return code;
}

/* "is a, b or c" */
static int complain_choice(const struct args *args, enum option_id id)
{
    const char *const *choices = option_infos[id].choices;
    struct grow text = {0};
    grow_add_text(&text, "is ");
    for (size_t i = 0; i < 4 && choices[i] != NULL; i++) {
        const bool is_last = i == 3 || choices[i + 1] == NULL;
        if (i > 0) grow_add_text(&text, is_last ? " or " : ", ");
        grow_add_text(&text, choices[i]);
    }
    grow_add_byte(&text, '\0');
    const int code = complain_option(args, id, text.data);
    grow_free(&text);
    return code;
}

/* Appends text that is to be a C string. */
static int take_text(const struct args *args, enum option_id id, loam_slice text,
                     struct grow *target)
{
    target->len = 0;
    if (text.len > 0 && memchr(text.data, 0, text.len) != NULL)
        return complain_option(args, id, "holds no NUL");
    grow_add(target, text.data, text.len);
    *grow_reserve(target, 1) = '\0';
    return CODE_DONE;
}

static int take_duration(const struct args *args, enum option_id id, loam_slice text, uint64_t *ms)
{
    struct grow copy = {0};
    int code = take_text(args, id, text, &copy);
    if (code == CODE_DONE && !text_parse_duration(copy.data, ms))
        code = complain_option(args, id, "wants a time such as 500ms, 90s, 5m, 1h or 2d");
    grow_free(&copy);
    return code;
}

static const char **choice_for(struct args *args, enum option_id id)
{
    if (id == OPTION_COMPRESSION) return &args->compression;
    return id == OPTION_FORMAT ? &args->format : &args->mode;
}

static uint64_t *number_for(struct args *args, enum option_id id)
{
    if (id == OPTION_LIMIT) return &args->limit;
    if (id == OPTION_SINCE) return &args->since;
    if (id == OPTION_INTERVAL) return &args->interval_ms;
    if (id == OPTION_TO_SEQ) return &args->to_seq;
    return id == OPTION_ENTRIES ? &args->entries : &args->from_line;
}

static struct grow *text_for(struct args *args, enum option_id id)
{
    if (id == OPTION_MERGE) return &args->merge;
    if (id == OPTION_HTML) return &args->html;
    if (id == OPTION_ARCHIVE) return &args->archive;
    return id == OPTION_TO_TIME ? &args->to_time : &args->workloads;
}

static int take_option(const struct command_line *line, struct args *args, enum option_id id,
                       const struct word *value)
{
    switch (option_infos[id].value) {
    case VALUE_NONE:
        break;
    case VALUE_BYTES:
        args->prefix.len = 0;
        return take_bytes(line, args->command, value->text, value->quoted, &args->prefix);
    case VALUE_TEXT:
        return take_text(args, id, value->text, text_for(args, id));
    case VALUE_DURATION:
        return take_duration(args, id, value->text, &args->ttl_ms);
    case VALUE_NUMBER:
        if (!parse_number(value->text, number_for(args, id)))
            return complain_option(args, id, "wants a number");
        break;
    case VALUE_CHOICE: {
        const char *choice = find_choice(&option_infos[id], value->text);
        if (choice == NULL) return complain_choice(args, id);
        *choice_for(args, id) = choice;
        break;
    }
    }
    return CODE_DONE;
}

/* Must a KEY or a VALUE stand here? Then what begins with a dash may be one. */
static bool wants_bytes(const struct args *args)
{
    const struct command *command = args->command;
    if (args->count >= command->args_min) return false;
    const enum arg_kind kind = command->args[args->count];
    return kind == ARG_KEY || kind == ARG_VALUE;
}

/* What looks like an option and is none of this command. False: it is meant. */
static bool complain_mistyped(const struct args *args, loam_slice name)
{
    const struct command *command = args->command;
    const bool is_others = option_find(name, UINT32_MAX) != OPTIONS_COUNT,
               bytes = wants_bytes(args);
    const enum option_id nearest =
        is_others ? OPTIONS_COUNT : option_nearest(name, command->options);
    const char *after =
        args->count < command_args_max(command) ? ". After -- it is an argument" : "";
    if (bytes && (nearest == OPTIONS_COUNT || command->access == ACCESS_CREATE)) return false;
    if (bytes_equal(name, loam_str("-c")) || bytes_equal(name, loam_str("--collection")))
        complain("%s: no option %s; it stands before DIR, and in the shell there is `use`%s",
                 command->name, shown_bytes(name).text, after);
    else if (nearest != OPTIONS_COUNT)
        complain("%s: no option %s; did you mean %s?%s", command->name, shown_bytes(name).text,
                 option_infos[nearest].name, after + (*after != '\0'));
    else
        complain("%s: no option %s; `help %s` lists its options%s", command->name,
                 shown_bytes(name).text, command->name, after);
    return true;
}

/* -x or --x; numbers may be negative, and a dash alone is a file. */
static bool is_like_option(const struct word *word)
{
    const char *text = word->text.data;
    if (word->quoted || word->text.len < 2 || text[0] != '-') return false;
    return text[1] == '-' ? word->text.len > 2 : isalpha((unsigned char)text[1]) != 0;
}

/* Consumes the option at *index, with its value. CODE_ABSENT: it is none. */
static int take_if_option(const struct command_line *line, struct args *args, size_t *index)
{
    const struct word *word = &line->word[*index];
    const char *start = word->text.data;
    if (!is_like_option(word)) return CODE_ABSENT;
    const char *equals = memchr(start, '=', word->text.len);
    loam_slice name = word->text;
    if (equals != NULL) name.len = (size_t)(equals - start);
    const enum option_id id = option_find(name, args->command->options);
    if (id == OPTIONS_COUNT || (args->command->options & OPTION_BIT(id)) == 0)
        return complain_mistyped(args, name) ? CODE_USAGE : CODE_ABSENT;
    struct word value = {.quoted = word->value_quoted};
    if (equals != NULL) value.text = loam_bytes(equals + 1, word->text.len - name.len - 1);
    const bool wants_value = option_infos[id].value != VALUE_NONE;
    if (equals != NULL && !wants_value) return complain_option(args, id, "takes no value");
    if (equals == NULL && wants_value) {
        if (*index + 1 == line->count) return complain_option(args, id, "wants a value");
        value = line->word[++*index];
    }
    args->given |= OPTION_BIT(id);
    return take_option(line, args, id, &value);
}

/* Names and files are text for libc. */
static int take_argument(const struct command_line *line, struct args *args,
                         const struct word *word)
{
    const struct command *command = args->command;
    if (args->count == command_args_max(command))
        return complain_usage(command, "too many arguments");
    const enum arg_kind kind = command->args[args->count];
    struct grow *target = &args->arg[args->count++];
    if (kind == ARG_KEY || kind == ARG_VALUE)
        return take_bytes(line, command, word->text, word->quoted, target);
    if (word->text.len > 0 && memchr(word->text.data, 0, word->text.len) != NULL)
        return complain_usage(command, "names hold no NUL");
    grow_add(target, word->text.data, word->text.len);
    *grow_reserve(target, 1) = '\0';
    return CODE_DONE;
}

/* Names the first argument that is not there, as the syntax does. */
static int complain_missing(const struct args *args)
{
    const char *name = args->command->syntax;
    struct grow text = {0};
    for (size_t i = 0; i < args->count; i++)
        name += strcspn(name, " ") + 1;
    grow_add(&text, name, strcspn(name, " "));
    grow_add_text(&text, " is missing");
    grow_add_byte(&text, '\0');
    const int code = complain_usage(args->command, text.data);
    grow_free(&text);
    return code;
}

int command_line_parse(const struct command_line *line, struct args *args)
{
    bool options_ended = false;
    int code = CODE_DONE;
    *args = (struct args){.command = command_find(line->word[0].text)};
    if (args->command == NULL) return complain_unknown_command(line->word[0].text);
    for (size_t i = 1; i < line->count && code == CODE_DONE; i++) {
        const struct word *word = &line->word[i];
        if (!options_ended && !word->quoted && bytes_equal(word->text, loam_str("--"))) {
            options_ended = true;
            continue;
        }
        code = options_ended ? CODE_ABSENT : take_if_option(line, args, &i);
        if (code == CODE_ABSENT) code = take_argument(line, args, word);
    }
    if (code != CODE_DONE) return code;
    if (args->count < args->command->args_min) return complain_missing(args);
    const size_t before = args->command->args[0] == ARG_WORD; /* the range */
    if (args_have(args, OPTION_PREFIX) && args->count > before)
        return complain_usage(args->command, "--prefix takes the place of FROM and TO");
    return CODE_DONE;
}

void args_free(struct args *args)
{
    for (size_t i = 0; i < ARGS_MAX; i++)
        grow_free(&args->arg[i]);
    grow_free(&args->prefix);
    grow_free(&args->workloads);
    grow_free(&args->merge);
    grow_free(&args->html);
    grow_free(&args->archive);
    grow_free(&args->to_time);
}
