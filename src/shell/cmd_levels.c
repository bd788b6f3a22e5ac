/* cmd_levels.c - levels, once or again and again; see handlers.h. */
#include <langinfo.h>
#include <poll.h>

#include "shell/exit_code.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/screen.h"
#include "shell/signals.h"
#include "shell/tell.h"
#include "shell/tree_map.h"

enum { PIPE_COLUMNS = 100, INTERVAL_MS = 1000 };

static int tell_levels_json(struct session *session)
{
    struct tell tell = {&session->out, true};
    const loam_status rc = loam_tree(session->db, session->coll, tell_finding, &tell);
    if (rc == LOAM_CONFLICT) return session_stop(session);
    return rc == LOAM_OK ? CODE_DONE : complain_status(rc);
}

/* On the screen each line ends what was there before. */
static void write_lines(struct sink *out, const struct grow *text, bool is_live)
{
    const char *at = text->data, *end = text->data + text->len;
    if (is_live) sink_text(out, "\033[H");
    for (; at < end; at++) {
        if (is_live && *at == '\n') sink_text(out, "\033[K");
        sink_byte(out, *at);
    }
    if (is_live) sink_text(out, "\033[J");
}

static int draw_levels(struct session *session, bool is_live)
{
    struct tree_map map = {0};
    struct grow text = {0};
    const size_t columns = session_columns(session);
    const struct map_look look = {.columns = columns > 0 ? columns : PIPE_COLUMNS,
                                  .colour = session_colour(session),
                                  .utf8 =
                                      columns > 0 && strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    const loam_status rc = loam_tree(session->db, session->coll, tree_map_take, &map);
    if (rc == LOAM_OK) {
        tree_map_draw(&map, &look, &text);
        write_lines(&session->out, &text, is_live);
    }
    grow_free(&text);
    tree_map_deinit(&map);
    return rc == LOAM_OK ? CODE_DONE : complain_status(rc);
}

/* Until Ctrl-C. */
static int watch_levels(struct session *session, bool json, uint64_t interval_ms)
{
    const bool is_live =
        !json && session_columns(session) > 0 && screen_is_capable(session->out.fd);
    int code = CODE_DONE;
    if (is_live) sink_text(&session->out, "\033[2J");
    while (code == CODE_DONE && signals_stop() == 0) {
        if (session->refresh != NULL) code = session->refresh(session);
        if (code == CODE_DONE)
            code = json ? tell_levels_json(session) : draw_levels(session, is_live);
        if (code == CODE_DONE) code = session_flush(session);
        if (code == CODE_DONE && signals_stop() == 0) (void)poll(NULL, 0, (int)interval_ms);
    }
    return code != CODE_DONE ? code : signals_stop();
}

int cmd_levels(struct session *session, const struct args *args)
{
    const bool json = session->json || args_have(args, OPTION_JSON);
    const uint64_t interval_ms = args_have(args, OPTION_INTERVAL) ? args->interval_ms : INTERVAL_MS;
    if (interval_ms == 0 || interval_ms > 86400000) {
        complain("levels: --interval is 1 to 86400000 milliseconds");
        return CODE_USAGE;
    }
    if (args_have(args, OPTION_WATCH)) return watch_levels(session, json, interval_ms);
    return json ? tell_levels_json(session) : draw_levels(session, false);
}
