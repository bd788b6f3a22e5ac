/* complete.c - see complete.h. */
#include "shell/complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/text.h"
#include "shell/command.h"
#include "shell/command_line.h"
#include "shell/name_list.h"
#include "shell/words.h"

/* What kind of word the cursor stands in. */
struct cursor_place {
    const struct command *command; /* NULL: the command's name itself is being typed */
    enum option_id option;         /* whose value it is, or OPTIONS_COUNT */
    size_t argument;               /* how many arguments stand before it */
    bool options_ended;            /* by -- */
    const struct word *word;
};

static bool takes_value(const struct command *command, const struct word *word, enum option_id *id)
{
    *id = word->quoted ? OPTIONS_COUNT : option_find(word->text, command->options);
    return *id < OPTIONS_COUNT && (command->options & OPTION_BIT(*id)) != 0 &&
           option_infos[*id].value != VALUE_NONE;
}

static bool is_option_word(const struct command *command, const struct word *word)
{
    if (word->quoted || word->text.len < 3) return false;
    const char *equals = memchr(word->text.data, '=', word->text.len);
    loam_slice name = word->text;
    if (equals != NULL) name.len = (size_t)(equals - (const char *)name.data);
    const enum option_id id = option_find(name, command->options);
    return id < OPTIONS_COUNT && (command->options & OPTION_BIT(id)) != 0;
}

/* The last of words is the one at the cursor. False when nothing can be said about it. */
static bool find_place(const struct words *words, struct cursor_place *place)
{
    *place = (struct cursor_place){.option = OPTIONS_COUNT, .word = &words->word[words->count - 1]};
    if (words->count == 1) return true;
    place->command = command_find(words->word[0].text);
    if (place->command == NULL) return false;
    for (size_t i = 1; i + 1 < words->count; i++) {
        const struct word *word = &words->word[i];
        enum option_id id = OPTIONS_COUNT;
        const bool ends =
            !word->quoted && word->text.len == 2 && memcmp(word->text.data, "--", 2) == 0;
        if (place->options_ended || !(ends || is_option_word(place->command, word))) {
            place->argument++;
        } else if (ends) {
            place->options_ended = true;
        } else if (takes_value(place->command, word, &id)) {
            if (i + 2 == words->count) place->option = id;
            i++;
        }
    }
    return true;
}

static void add_candidate(struct completion *completion, loam_slice typed, loam_slice bytes)
{
    if (bytes.len < typed.len) return;
    if (typed.len > 0 && memcmp(bytes.data, typed.data, typed.len) != 0) return;
    if (completion->count == CANDIDATES_MAX) {
        completion->more = true;
        return;
    }
    struct grow *candidate = &completion->candidate[completion->count++];
    grow_add(candidate, bytes.data, bytes.len);
}

static void note_common(struct completion *completion, loam_slice bytes)
{
    struct grow *common = &completion->common;
    if (common->data == NULL) {
        (void)grow_reserve(common, bytes.len + 1);
        grow_add(common, bytes.data, bytes.len);
        return;
    }
    size_t len = 0;
    while (len < common->len && len < bytes.len &&
           common->data[len] == ((const char *)bytes.data)[len])
        len++;
    common->len = len;
}

static void offer_commands(struct completion *completion, loam_slice typed)
{
    for (size_t i = 0; i < commands_count; i++) {
        const char *name = commands[i].name;
        if (typed.len <= strlen(name) &&
            (typed.len == 0 || strncasecmp(name, typed.data, typed.len) == 0))
            add_candidate(completion, loam_bytes(NULL, 0), loam_str(name));
    }
}

/* Of explain. */
static void offer_words(struct completion *completion, loam_slice typed)
{
    static const char *const words[] = {"get", "put", "scan"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        add_candidate(completion, typed, loam_str(words[i]));
}

static void offer_options(struct completion *completion, const struct command *command,
                          loam_slice typed)
{
    completion->verbatim = true;
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        if ((command->options & OPTION_BIT(id)) != 0 && id != OPTION_MAN)
            add_candidate(completion, typed, loam_str(option_infos[id].name));
    }
}

static void offer_choices(struct completion *completion, enum option_id id, loam_slice typed)
{
    for (size_t i = 0; i < 4 && option_infos[id].choices[i] != NULL; i++)
        add_candidate(completion, typed, loam_str(option_infos[id].choices[i]));
}

static void offer_collections(const struct session *session, struct completion *completion,
                              loam_slice typed)
{
    struct name_list names = {0};
    if (loam_collections(session->db, name_list_add, &names) == LOAM_OK) {
        for (size_t i = 0; i < names.count; i++)
            add_candidate(completion, typed, loam_str(names.name[i]));
    }
    name_list_free(&names);
}

/* Keys come in order: the first and the last one begin as all of them do. */
static void offer_keys(const struct session *session, struct completion *completion,
                       loam_slice typed)
{
    loam_range range = {.prefix = typed, .flags = LOAM_KEYS_ONLY};
    loam_iter *entry = NULL;
    if (loam_iter_open(session->db, session->coll, &range, &entry) != LOAM_OK) return;
    while (!completion->more && loam_iter_next(entry) == LOAM_OK)
        add_candidate(completion, typed, loam_iter_key(entry));
    if (completion->more && loam_iter_last(entry) == LOAM_OK)
        note_common(completion, loam_iter_key(entry));
    loam_iter_close(entry);
}

static void offer_file(struct completion *completion, loam_slice typed, struct grow *path,
                       size_t directory_len, const char *name)
{
    struct stat info;
    path->len = directory_len;
    grow_add_text(path, name);
    grow_add_byte(path, '\0');
    const bool directory = stat(path->data, &info) == 0 && S_ISDIR(info.st_mode);
    path->len--;
    if (directory) grow_add_byte(path, '/');
    add_candidate(completion, typed, grow_slice(path));
}

static void offer_files(struct completion *completion, loam_slice typed)
{
    struct grow path = {0};
    const char *slash = typed.len > 0 ? memrchr(typed.data, '/', typed.len) : NULL;
    if (slash != NULL) grow_add(&path, typed.data, (size_t)(slash + 1 - (const char *)typed.data));
    const size_t directory_len = path.len;
    const bool hidden =
        typed.len > directory_len && ((const char *)typed.data)[directory_len] == '.';
    grow_add_byte(&path, '\0');
    DIR *directory = opendir(directory_len > 0 ? path.data : ".");
    const struct dirent *each = NULL;
    while (directory != NULL && (each = readdir(directory)) != NULL) {
        if (each->d_name[0] == '.' && !hidden) continue;
        offer_file(completion, typed, &path, directory_len, each->d_name);
    }
    if (directory != NULL) (void)closedir(directory);
    grow_free(&path);
}

static void offer_for_place(const struct session *session, const struct cursor_place *place,
                            struct completion *completion)
{
    const loam_slice typed = place->word->text;
    const struct command *command = place->command;
    if (command == NULL) {
        offer_commands(completion, typed);
        return;
    }
    if (place->option != OPTIONS_COUNT) {
        if (option_infos[place->option].value == VALUE_CHOICE)
            offer_choices(completion, place->option, typed);
        if (option_infos[place->option].value == VALUE_BYTES)
            offer_keys(session, completion, typed);
        return;
    }
    const bool dashes = typed.len > 0 && *(const char *)typed.data == '-' && !place->word->quoted;
    const bool complete = place->argument >= command_args_max(command);
    if (!place->options_ended && (dashes || complete)) {
        offer_options(completion, command, typed);
        return;
    }
    switch (complete ? ARG_NONE : command->args[place->argument]) {
    case ARG_KEY:
        offer_keys(session, completion, typed);
        break;
    case ARG_NAME:
        offer_collections(session, completion, typed);
        break;
    case ARG_FILE:
        offer_files(completion, typed);
        break;
    case ARG_COMMAND:
        offer_commands(completion, typed);
        break;
    case ARG_WORD:
        offer_words(completion, typed);
        break;
    case ARG_NONE:
    case ARG_VALUE:
    case ARG_NEW_NAME:
        break;
    }
}

/* Half a character at the end would be inserted as an escape. */
static void trim_to_character(struct grow *text)
{
    const uint8_t *bytes = (const uint8_t *)text->data;
    size_t start = text->len;
    while (start > 0 && text->len - start < 3 && (bytes[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || bytes[start - 1] < 0xc0) return;
    if (text_character_bytes(bytes + start - 1, bytes + text->len) == 0) text->len = start - 1;
}

static int compare_candidates(const void *left, const void *right)
{
    const struct grow *a = left, *b = right;
    const size_t len = a->len < b->len ? a->len : b->len;
    const int order = len > 0 ? memcmp(a->data, b->data, len) : 0;
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void choose_insert(struct completion *completion, const struct words *words,
                          const struct word *word)
{
    if (completion->count == 0) return;
    for (size_t i = 0; i < completion->count; i++)
        note_common(completion, grow_slice(&completion->candidate[i]));
    struct grow *common = &completion->common;
    const bool unique = completion->count == 1;
    if (!unique) trim_to_character(common);
    const bool directory = common->len > 0 && common->data[common->len - 1] == '/';
    const bool nothing_new = common->len == word->text.len;
    if (!unique && nothing_new) return;
    const bool finished = unique && !directory;
    if (completion->verbatim)
        grow_add(&completion->insert, common->data, common->len);
    else
        word_quote(&completion->insert, grow_slice(common), words->open || word->quoted, finished);
    if (finished) grow_add_byte(&completion->insert, ' ');
}

/* A word of its own for the cursor when it stands behind a blank. */
static void add_empty_word(struct words *words, loam_slice line)
{
    const char *text = line.data;
    const bool behind_blank = line.len == 0 || strchr(" \t", text[line.len - 1]) != NULL;
    if (words->open || (words->count > 0 && !behind_blank)) return;
    words->word = grow_array(words->word, words->count + 1, sizeof *words->word);
    words->word[words->count++] = (struct word){.text = loam_bytes("", 0), .at = line.len};
}

void complete_line(const struct session *session, loam_slice line, struct completion *completion)
{
    struct words words;
    struct cursor_place place;
    memset(completion, 0, sizeof *completion);
    const bool understood = words_split(&words, line) || words.open;
    add_empty_word(&words, line);
    if (understood && find_place(&words, &place)) {
        completion->at = place.word->at;
        /* A closed quote ends the word: there is nothing to add to it. */
        if (!place.word->quoted || words.open) offer_for_place(session, &place, completion);
        qsort(completion->candidate, completion->count, sizeof *completion->candidate,
              compare_candidates);
        choose_insert(completion, &words, place.word);
    }
    words_free(&words);
}

void completion_free(struct completion *completion)
{
    for (size_t i = 0; i < completion->count; i++)
        grow_free(&completion->candidate[i]);
    grow_free(&completion->common);
    grow_free(&completion->insert);
    memset(completion, 0, sizeof *completion);
}

/* The rest of the only command that begins so, and its syntax. */
static void hint_command(loam_slice typed, struct grow *hint)
{
    const struct command *found = command_find(typed);
    for (size_t i = 0; i < commands_count && found == NULL; i++) {
        if (strncasecmp(commands[i].name, typed.data, typed.len) != 0) continue;
        found = &commands[i];
        for (size_t j = i + 1; j < commands_count; j++) {
            if (strncasecmp(commands[j].name, typed.data, typed.len) == 0) return;
        }
    }
    if (found == NULL) return;
    if (typed.len < strlen(found->name)) grow_add_text(hint, found->name + typed.len);
    grow_add_byte(hint, ' ');
    command_write_syntax(hint, found, false);
}

/* What follows the first `skip` words of the syntax. */
static void hint_rest(const struct command *command, size_t skip, struct grow *hint)
{
    const char *syntax = command->syntax;
    const size_t count = command_args_max(command);
    struct grow all = {0};
    command_write_syntax(&all, command, false);
    grow_add_byte(&all, '\0');
    const char *options = all.data + strlen(syntax);
    for (size_t i = 0; i < skip && i < count && *syntax != '\0'; i++) {
        syntax += strcspn(syntax, " ");
        syntax += strspn(syntax, " ");
    }
    if (skip >= count) syntax = "";
    /* [FROM [TO]] without its beginning has a bracket too many. */
    size_t len = strlen(syntax);
    if (skip > 0 && len >= 2 && syntax[0] == '[' && memcmp(syntax + len - 2, "]]", 2) == 0) len--;
    grow_add(hint, syntax, len);
    while (*options == ' ')
        options++;
    if (len > 0 && *options != '\0') grow_add_byte(hint, ' ');
    grow_add_text(hint, options);
    grow_free(&all);
}

void complete_hint(loam_slice line, struct grow *hint)
{
    struct words words;
    struct cursor_place place;
    const bool understood = words_split(&words, line) && words.count > 0;
    add_empty_word(&words, line);
    if (understood && find_place(&words, &place)) {
        const bool between = place.word->text.len == 0 && !place.word->quoted;
        if (place.command == NULL)
            hint_command(place.word->text, hint);
        else if (between && place.option != OPTIONS_COUNT)
            grow_add_text(hint, option_infos[place.option].label);
        else if (between)
            hint_rest(place.command, place.argument, hint);
    }
    words_free(&words);
}
