/*
 * shell_main.c - the program `loam`: options, modes and exit statuses.
 *
 * Role: decides between one command, a script and the interactive shell, opens
 *   the store accordingly, runs commands and closes it in every case.
 * Invariants: (1) wrong usage of a single command is found before anything is
 *   opened or created. (2) The store is closed before the program ends, whatever
 *   ended it, and the first failure is the exit status.
 * In the picture: shell layer; begin reading here, then command.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/cmd_help.h"
#include "shell/command.h"
#include "shell/command_line.h"
#include "shell/exit_code.h"
#include "shell/item.h"
#include "shell/line_editor.h"
#include "shell/message.h"
#include "shell/session.h"
#include "shell/signals.h"
#include "shell/source.h"
#include "shell/words.h"

/* A descriptor that is closed at the start would be given to the first file that we open. It is
   opened the wrong way round, so that using it stays an error. */
static void fill_standard_descriptors(void)
{
    static const int flags[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        if (open("/dev/null", flags[fd]) != fd) exit(CODE_FAILED);
    }
}

/* Text is UTF-8, also where the locale does not say so. */
static void choose_locale(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) (void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* ---- running commands ------------------------------------------------------------------- */

/* What did not reach standard output goes before what the command says about itself. */
static int run_command(struct session *session, const struct args *args)
{
    int code = CODE_DONE;
    if (session->refresh != NULL && session->db != NULL) code = session->refresh(session);
    if (code == CODE_DONE) code = args->command->run(session, args);
    const int flushed = session_flush(session);
    return flushed != CODE_DONE ? flushed : code;
}

static bool is_skipped(loam_slice line)
{
    const char *at = line.data;
    size_t blank = 0;
    while (blank < line.len && (at[blank] == ' ' || (at[blank] >= '\t' && at[blank] <= '\r')))
        blank++;
    return blank == line.len || at[blank] == '#';
}

/* One line of a script or of the terminal. */
static int run_line(struct session *session, loam_slice line)
{
    struct words words;
    struct args args = {0};
    int code = CODE_USAGE;
    if (is_skipped(line)) return CODE_DONE;
    if (words_split(&words, line)) {
        const struct command_line parsed = {.word = words.word,
                                            .count = words.count,
                                            .decode = true,
                                            .stdin_taken = session->script};
        code = command_line_parse(&parsed, &args);
        if (code == CODE_DONE) code = run_command(session, &args);
        args_free(&args);
    } else {
        complain("%s; nothing was done", words.error);
    }
    words_free(&words);
    return code;
}

/* ---- scripts ---------------------------------------------------------------------------- */

/* The next line of the script. CODE_ABSENT: the end. */
static int read_script_line(struct source *source, loam_slice *line)
{
    size_t searched = 0;
    for (;;) {
        const loam_slice rest = source_rest(source);
        const char *start = rest.data;
        const char *end = memchr(start + searched, '\n', rest.len - searched);
        if (end != NULL || (source->last && rest.len > 0)) {
            const size_t len = end != NULL ? (size_t)(end - start) : rest.len;
            *line = loam_bytes(start, len);
            source_skip(source, end != NULL ? len + 1 : len);
            return CODE_DONE;
        }
        if (source->last) return CODE_ABSENT;
        searched = rest.len;
        if (searched > ITEM_VALUE_BYTES_MAX * 2) {
            complain("a line is longer than 2 GiB; use put with @file");
            return CODE_DATA;
        }
        const int error = source_fill(source);
        if (signals_stop() != 0) return signals_stop();
        if (error != 0) return complain_file("standard input", error);
    }
}

/* Not there and false go on; a lost collection does not, or what follows would go elsewhere. */
static bool ends_script(const struct session *session, int code)
{
    return session->leaving || session->lost || (code != CODE_DONE && code != CODE_ABSENT);
}

static int run_script(struct session *session)
{
    struct source source = {.fd = STDIN_FILENO};
    int code = CODE_DONE;
    for (uint64_t number = 1;; number++) {
        loam_slice line = {0};
        message_set_line(number);
        code = read_script_line(&source, &line);
        if (code == CODE_ABSENT)
            code = CODE_DONE;
        else if (code == CODE_DONE) {
            code = run_line(session, line);
            if (signals_stop() != 0) code = signals_stop();
            if (!ends_script(session, code)) continue;
        }
        break;
    }
    message_set_line(0);
    source_deinit(&source);
    return code;
}

/* ---- the interactive shell ------------------------------------------------------------------- */

static void greet(struct session *session)
{
    if (session->quiet) return;
    const size_t len = strlen(session->dir);
    const bool slash = len > 0 && session->dir[len - 1] == '/';
    sink_printf(&session->out, "loam %s, %s%s. Type help; Tab completes.\n", LOAM_VERSION,
                shown_text(session->dir).text, slash ? "" : "/");
}

static int run_shell(struct session *session)
{
    struct line_editor *editor = line_editor_open(session);
    if (editor == NULL) {
        complain("this terminal cannot be used; give commands on standard input or as arguments");
        return CODE_FAILED;
    }
    greet(session);
    int code = session_flush(session);
    while (!session->leaving && code != CODE_PIPE && signals_stop() != CODE_TERMINATED) {
        loam_slice line = {0};
        signals_forget_interrupt();
        const enum edited edited = line_editor_read(editor, &line);
        if (edited == EDITED_END) break;
        if (edited == EDITED_NOTHING) continue;
        code = run_line(session, line);
        if (code == CODE_INTERRUPTED) (void)fputs("\ninterrupted\n", stderr);
    }
    line_editor_close(editor);
    if (signals_stop() == CODE_TERMINATED) return CODE_TERMINATED;
    return code == CODE_PIPE ? CODE_PIPE : CODE_DONE;
}

static int run_session(struct session *session)
{
    int code = session_open(session, ACCESS_CREATE);
    if (code != CODE_DONE) return code;
    if (session->start_name != NULL) code = session_use(session, session->start_name);
    if (code == CODE_DONE) code = session->script ? run_script(session) : run_shell(session);
    return code;
}

/* ---- one command ---------------------------------------------------------------------------- */

static int open_for(struct session *session, const struct args *args)
{
    const struct command *command = args->command;
    const bool writes = command->run == cmd_explain && explain_writes(args);
    if (command->access == ACCESS_NONE || command->access == ACCESS_DIR) return CODE_DONE;
    int code = session_open(session, writes ? ACCESS_CREATE : command->access);
    if (code == CODE_DONE && command->in_collection && session->start_name != NULL)
        code = session_use(session, session->start_name);
    return code;
}

static int run_arguments(struct session *session, char **argument, size_t count)
{
    struct args args = {0};
    struct word *word = grow_array(NULL, count, sizeof *word);
    for (size_t i = 0; i < count; i++)
        word[i] = (struct word){.text = loam_str(argument[i])};
    const struct command_line line = {.word = word, .count = count, .decode = session->decode};
    int code = command_line_parse(&line, &args);
    if (code == CODE_DONE) code = open_for(session, &args);
    if (code == CODE_DONE) code = run_command(session, &args);
    args_free(&args);
    free(word);
    return code;
}

/* ---- options ---------------------------------------------------------------------------- */

enum long_option {
    LONG_ARCHIVE = 256,
    LONG_DURABILITY,
    LONG_MEMORY,
    LONG_READONLY,
    LONG_FOLLOW,
    LONG_DECODE,
    LONG_MODE,
    LONG_JSON,
    LONG_QUIET,
    LONG_YES,
    LONG_HELP,
    LONG_VERSION
};

static int complain_about_option(const char *name, const char *value, const char *wanted)
{
    complain("%s %s: wants %s; `loam --help` lists the options", name, shown_text(value).text,
             wanted);
    return CODE_USAGE;
}

static int take_durability(struct session *session, const char *value)
{
    static const struct {
        const char *name;
        loam_durability durability;
    } known[] = {{"commit", LOAM_DURABLE_COMMIT},
                 {"periodic", LOAM_DURABLE_PERIODIC},
                 {"process", LOAM_DURABLE_PROCESS}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcasecmp(value, known[i].name) != 0) continue;
        session->durability = known[i].durability;
        return CODE_DONE;
    }
    return complain_about_option("--durability", value, "commit, periodic or process");
}

static int take_mode(struct session *session, const char *value)
{
    session->raw = strcasecmp(value, "raw") == 0;
    if (session->raw || strcasecmp(value, "escaped") == 0) return CODE_DONE;
    return complain_about_option("--mode", value, "escaped or raw");
}

static int take_global_option(struct session *session, int option)
{
    switch (option) {
    case 'c':
        session->start_name = optarg;
        break;
    case LONG_ARCHIVE:
        session->archive = optarg;
        break;
    case LONG_DURABILITY:
        return take_durability(session, optarg);
    case LONG_MEMORY:
        if (!text_parse_size(optarg, &session->memory_bytes) || session->memory_bytes == 0)
            return complain_about_option("--memory", optarg, "a size such as 512MiB");
        break;
    case LONG_READONLY:
        session->read_only = true;
        break;
    case LONG_FOLLOW:
        session->follow = true;
        break;
    case LONG_DECODE:
        session->decode = true;
        break;
    case LONG_MODE:
        return take_mode(session, optarg);
    case LONG_JSON:
        session->json = true;
        break;
    case LONG_QUIET:
        session->quiet = true;
        break;
    case LONG_YES:
        session->yes = true;
        break;
    default:
        return CODE_USAGE;
    }
    return CODE_DONE;
}

/* CODE_ABSENT: there is nothing more to do. */
static int take_options(struct session *session, int argc, char **argv)
{
    static const struct option known[] = {{"collection", required_argument, NULL, 'c'},
                                          {"archive", required_argument, NULL, LONG_ARCHIVE},
                                          {"durability", required_argument, NULL, LONG_DURABILITY},
                                          {"memory", required_argument, NULL, LONG_MEMORY},
                                          {"readonly", no_argument, NULL, LONG_READONLY},
                                          {"follow", no_argument, NULL, LONG_FOLLOW},
                                          {"decode", no_argument, NULL, LONG_DECODE},
                                          {"mode", required_argument, NULL, LONG_MODE},
                                          {"json", no_argument, NULL, LONG_JSON},
                                          {"quiet", no_argument, NULL, LONG_QUIET},
                                          {"yes", no_argument, NULL, LONG_YES},
                                          {"help", no_argument, NULL, LONG_HELP},
                                          {"version", no_argument, NULL, LONG_VERSION},
                                          {NULL, 0, NULL, 0}};
    int option = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:c:h", known, NULL)) != -1) {
        if (option == LONG_HELP || option == 'h') {
            help_print_usage(&session->out);
            return CODE_ABSENT;
        }
        if (option == LONG_VERSION) {
            sink_text(&session->out, "loam " LOAM_VERSION "\n");
            return CODE_ABSENT;
        }
        if (option == ':' || option == '?') {
            complain("%s: %s; `loam --help` lists the options", shown_text(argv[optind - 1]).text,
                     option == ':' ? "wants a value" : "no such option");
            return CODE_USAGE;
        }
        const int code = take_global_option(session, option);
        if (code != CODE_DONE) return code;
    }
    return CODE_DONE;
}

static bool is_word(const char *argument, const char *word)
{
    return strcasecmp(argument, word) == 0;
}

/* `loam repair DIR` instead of `loam DIR repair`: it would be taken for a store that is to be created. */
static bool is_misplaced_command(const char *dir, const char *next)
{
    return command_find(loam_str(dir)) != NULL && access(dir, F_OK) != 0 &&
           (next == NULL || command_find(loam_str(next)) == NULL);
}

/* `loam bench DIR`: no command follows, as it would if a store were called bench. */
static bool is_benchmark(const char *first, const char *next)
{
    return is_word(first, "bench") && next != NULL && command_find(loam_str(next)) == NULL;
}

static int run_program(struct session *session, int argc, char **argv)
{
    const int taken = take_options(session, argc, argv);
    if (taken != CODE_DONE) return taken == CODE_ABSENT ? CODE_DONE : taken;
    if (optind == argc) {
        complain("no DIR; usage: loam [options] DIR [COMMAND [ARG...]], or loam --help");
        return CODE_USAGE;
    }
    const size_t left = (size_t)(argc - optind);
    if (is_word(argv[optind], "help") || (is_word(argv[optind], "version") && left == 1))
        return run_arguments(session, argv + optind, left);
    if (is_benchmark(argv[optind], argv[optind + 1]))
        return run_arguments(session, argv + optind, left);
    session->dir = argv[optind];
    if (is_misplaced_command(session->dir, argv[optind + 1])) {
        complain("%s: the directory comes first, as in `loam DIR %s`; one of that name is ./%s",
                 session->dir, session->dir, session->dir);
        return CODE_USAGE;
    }
    if (left > 1) {
        signals_init(false);
        return run_arguments(session, argv + optind + 1, left - 1);
    }
    session->script = !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
    session->interactive = !session->script;
    signals_init(session->interactive);
    message_set_interactive(session->interactive);
    return run_session(session);
}

int main(int argc, char **argv)
{
    struct session session = {0};
    fill_standard_descriptors();
    choose_locale();
    signals_init(false);
    sink_init(&session.out, STDOUT_FILENO);
    int code = run_program(&session, argc, argv);
    const int closed = session_close(&session);
    const int flushed = session_flush(&session);
    sink_deinit(&session.out);
    if (code == CODE_DONE) code = closed != CODE_DONE ? closed : flushed;
    return code == CODE_PIPE ? CODE_DONE : code;
}
