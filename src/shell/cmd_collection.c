/* cmd_collection.c - create, alter, clone, use, close, collections, rename and drop; see handlers.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/format_jsonl.h"
#include "shell/grid.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/name_list.h"
#include "shell/signals.h"
#include "shell/words.h"

static void say_about(struct session *session, const char *what, const char *name)
{
    if (session->quiet) return;
    sink_text(&session->out, what);
    word_show(&session->out, loam_str(name));
    sink_byte(&session->out, '\n');
}

static int complain_taken(const char *name)
{
    complain("%s: there already; drop it first or choose another name", shown_text(name).text);
    return CODE_EXISTS;
}

/* Those that were given, over what they were. */
static void take_options(const struct args *args, loam_coll_options *options)
{
    if (args->compression != NULL) (void)compression_find(args->compression, &options->compression);
    if (args_have(args, OPTION_TTL)) options->ttl_ms = args->ttl_ms;
    if (args_have(args, OPTION_MERGE)) options->merge_operator = args->merge.data;
}

int cmd_create(struct session *session, const struct args *args)
{
    loam_coll *coll = NULL;
    const char *name = args->arg[0].data;
    const int code = session_no_txn(session);
    loam_coll_options options = loam_coll_options_default();
    if (code != CODE_DONE) return code;
    take_options(args, &options);
    const loam_status rc = loam_create(session->db, name, &options, &coll);
    if (rc == LOAM_EXISTS) {
        complain("%s: there already; `use` makes it the current one", shown_text(name).text);
        return CODE_EXISTS;
    }
    if (rc != LOAM_OK) return complain_status(rc);
    say_about(session, "created ", name);
    return CODE_DONE;
}

int cmd_alter(struct session *session, const struct args *args)
{
    loam_coll_options options = loam_coll_options_default();
    loam_coll *coll = NULL;
    if (args->given == 0) {
        complain("alter: nothing to change; give --compression, --ttl or --merge");
        return CODE_USAGE;
    }
    int code = session_no_txn(session);
    if (code == CODE_DONE) code = session_find(session, args->arg[0].data, &coll);
    if (code != CODE_DONE) return code;
    loam_status rc = loam_coll_options_get(session->db, coll, &options);
    take_options(args, &options);
    if (rc == LOAM_OK) rc = loam_coll_options_set(session->db, coll, &options);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

int cmd_clone(struct session *session, const struct args *args)
{
    const char *from = args->arg[0].data, *to = args->arg[1].data;
    loam_coll *coll = NULL;
    int code = session_no_txn(session);
    if (code == CODE_DONE) code = session_find(session, from, &coll);
    if (code != CODE_DONE) return code;
    const loam_status rc = loam_clone(session->db, from, to, NULL);
    if (rc == LOAM_EXISTS) return complain_taken(to);
    if (rc != LOAM_OK) return complain_status(rc);
    say_about(session, "created ", to);
    return CODE_DONE;
}

int cmd_use(struct session *session, const struct args *args)
{
    return session_use(session, args->arg[0].data);
}

int cmd_close(struct session *session, const struct args *args)
{
    (void)args;
    return session_use(session, "default");
}

struct collection_row {
    loam_coll *coll;
    const char *name;
    loam_coll_stats stats;
    loam_coll_options options;
};

static int read_row(struct session *session, const char *name, struct collection_row *row)
{
    *row = (struct collection_row){.name = name,
                                   .stats.struct_size = sizeof row->stats,
                                   .options.struct_size = sizeof row->options};
    const int code = session_find(session, name, &row->coll);
    if (code != CODE_DONE) return code;
    loam_status rc = loam_coll_stats_get(session->db, row->coll, &row->stats);
    if (rc == LOAM_OK) rc = loam_coll_options_get(session->db, row->coll, &row->options);
    return rc != LOAM_OK ? complain_status(rc) : CODE_DONE;
}

static void print_row_json(struct session *session, const struct collection_row *row)
{
    sink_byte(&session->out, '{');
    json_write_field(&session->out, "name", loam_str(row->name));
    sink_printf(&session->out, ",\"entry_count\":%" PRIu64 ",\"bytes\":%" PRIu64,
                row->stats.entry_count, row->stats.bytes);
    json_write_options(&session->out, &row->options);
    sink_byte(&session->out, '}');
}

/* As `create` takes them. */
static void add_options(struct grid *grid, const loam_coll_options *options)
{
    char duration[TEXT_DURATION_BYTES_MAX];
    struct grow text = {0};
    grow_add_text(&text, compression_names[options->compression]);
    if (options->ttl_ms > 0) {
        grow_add_text(&text, " ttl=");
        grow_add_text(&text, text_format_duration(duration, options->ttl_ms));
    }
    if (options->merge_operator != NULL) {
        grow_add_text(&text, " merge=");
        grow_add_text(&text, options->merge_operator);
    }
    grow_add_byte(&text, '\0');
    grid_add(grid, text.data);
    grow_free(&text);
}

static void add_row(struct grid *grid, const struct collection_row *row, bool for_people)
{
    struct grow name = {0};
    char size[TEXT_SIZE_BYTES_MAX];
    word_escape(&name, loam_str(row->name));
    grow_add_byte(&name, '\0');
    grid_add(grid, name.data);
    grid_add_number(grid, row->stats.entry_count);
    if (for_people)
        grid_add(grid, text_format_size(size, row->stats.bytes));
    else
        grid_add_number(grid, row->stats.bytes);
    add_options(grid, &row->options);
    grow_free(&name);
}

int cmd_collections(struct session *session, const struct args *args)
{
    static const char *const titles[] = {"collection", "entries", "bytes", "options"};
    const bool json = session->json || args_have(args, OPTION_JSON);
    const size_t columns = session_columns(session);
    struct name_list names = {0};
    struct grid grid;
    grid_init(&grid, titles, "lrrl");
    const loam_status rc = loam_collections(session->db, name_list_add, &names);
    int code = rc < 0 ? complain_status(rc) : CODE_DONE;
    if (json && code == CODE_DONE) sink_byte(&session->out, '[');
    for (size_t i = 0; i < names.count && code == CODE_DONE; i++) {
        struct collection_row row;
        code = read_row(session, names.name[i], &row);
        if (code != CODE_DONE) break;
        if (json && i > 0) sink_byte(&session->out, ',');
        if (json)
            print_row_json(session, &row);
        else
            add_row(&grid, &row, columns > 0);
    }
    if (json && code == CODE_DONE) sink_text(&session->out, "]\n");
    if (!json) grid_print(&grid, &session->out, columns, session_colour(session));
    grid_deinit(&grid);
    name_list_free(&names);
    return code;
}

int cmd_rename(struct session *session, const struct args *args)
{
    const char *from = args->arg[0].data, *to = args->arg[1].data;
    loam_coll *coll = NULL;
    int code = session_no_txn(session);
    if (code == CODE_DONE) code = session_find(session, from, &coll);
    if (code != CODE_DONE) return code;
    const loam_status rc = loam_rename(session->db, from, to);
    if (rc == LOAM_EXISTS) return complain_taken(to);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    if (strcmp(session->coll_name, from) != 0) return CODE_DONE;
    return session_use(session, to);
}

/* Reads one line of the terminal, of which the first byte counts. */
static bool answers_yes(void)
{
    char first = '\0', byte = '\0';
    bool fresh = true;
    while (byte != '\n') {
        const ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR && signals_stop() == 0) continue;
        if (got <= 0) return false;
        if (fresh) first = byte;
        fresh = false;
    }
    return first == 'y' || first == 'Y';
}

static int confirm_removal(const struct session *session, const struct args *args,
                           const char *command, const char *coll_name, const char *before,
                           const char *after)
{
    if (session->yes || args_have(args, OPTION_YES)) return CODE_DONE;
    const struct shown name = shown_text(coll_name);
    if (session->script || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        complain("%s %s: would remove all that is in it; say --yes to do so", command, name.text);
        return CODE_USAGE;
    }
    (void)fprintf(stderr, "%s %s%s? [y/N] ", before, name.text, after);
    if (answers_yes()) return CODE_DONE;
    const int stop = signals_stop();
    if (stop == 0) (void)fputs("kept\n", stderr);
    return stop != 0 ? stop : CODE_ABSENT;
}

int cmd_truncate(struct session *session, const struct args *args)
{
    const int code =
        confirm_removal(session, args, "truncate", session->coll_name, "Remove all that is in", "");
    return code == CODE_DONE ? delete_keys(session, NULL) : code;
}

int cmd_drop(struct session *session, const struct args *args)
{
    const char *name = args->arg[0].data;
    loam_coll *coll = NULL;
    int code = session_no_txn(session);
    if (code == CODE_DONE) code = session_find(session, name, &coll);
    /* "default" is refused below, whatever the answer would be. */
    if (code == CODE_DONE && strcmp(name, "default") != 0)
        code = confirm_removal(session, args, "drop", name, "Drop", " and all that is in it");
    if (code != CODE_DONE) return code;
    const loam_status rc = loam_drop(session->db, name);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    if (strcmp(session->coll_name, name) != 0) return CODE_DONE;
    return session_use(session, "default");
}
