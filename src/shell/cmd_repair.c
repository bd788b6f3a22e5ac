/* cmd_repair.c - salvages a damaged store into a new one; see handlers.h. */
#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/progress.h"

struct repair {
    struct session *session;
    struct progress progress;
};

/* A sentence is the library's; only names in it can be odd. */
static void print_line(void *ctx, const char *text)
{
    struct repair *repair = ctx;
    char escaped[2048];
    const bool plain = text_plain_prefix(loam_str(text), false) == strlen(text);
    progress_end(&repair->progress);
    sink_text(&repair->session->out,
              plain ? text : text_escape(escaped, sizeof escaped, loam_str(text)));
    sink_byte(&repair->session->out, '\n');
}

static bool show_progress(void *ctx, const loam_repair_stats *so_far)
{
    struct repair *repair = ctx;
    return progress_show(&repair->progress, so_far->done_bytes, so_far->total_bytes);
}

/* DIR.repaired. False: DIR has no name of its own that could be added to. */
static bool default_target(const char *dir, struct grow *target)
{
    size_t len = strlen(dir);
    while (len > 0 && dir[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && dir[start - 1] != '/')
        start--;
    const loam_slice last = loam_bytes(dir + start, len - start);
    if (last.len == 0 || (last.len <= 2 && memcmp(last.data, "..", last.len) == 0)) return false;
    grow_add(target, dir, len);
    grow_add(target, ".repaired", sizeof ".repaired"); /* with its end */
    return true;
}

static int say_outcome(struct repair *repair, loam_status rc, const char *target)
{
    const struct session *session = repair->session;
    progress_end(&repair->progress);
    if (rc == LOAM_OK) return CODE_DONE;
    const struct shown dir = shown_text(session->dir);
    if (rc == LOAM_CONFLICT) {
        if (target != NULL)
            complain("stopped; %s is not complete, delete it", shown_text(target).text);
        const int stop = session_stop(session);
        return stop != 0 ? stop : CODE_FAILED;
    }
    if (rc != LOAM_CORRUPT) {
        const int code = complain_status(rc);
        if (rc == LOAM_FULL && target != NULL) /* only writing it takes room */
            complain("%s is not complete; delete it before you repeat", shown_text(target).text);
        return code;
    }
    if (target != NULL)
        complain(
            "%s: not all of it is intact; what is stands in %s; where what was lost was newer, "
            "older values of its keys, or keys that it deleted, may be back",
            dir.text, shown_text(target).text);
    else
        complain("%s: not all of it is intact; without --dry-run, repair saves the rest", dir.text);
    return CODE_CORRUPT;
}

int cmd_repair(struct session *session, const struct args *args)
{
    struct repair repair = {session, progress_begin(session)};
    struct grow target = {0};
    const bool dry = args_have(args, OPTION_DRY_RUN);
    if (session->db != NULL) {
        complain("repair: this store is open here; leave, and say `loam DIR repair`");
        return CODE_USAGE;
    }
    const char *to = args->count > 0 ? args->arg[0].data : NULL;
    if (to == NULL && !dry) {
        if (!default_target(session->dir, &target)) {
            complain("repair: %s has no name to add .repaired to; name a TARGET",
                     shown_text(session->dir).text);
            return CODE_USAGE;
        }
        to = target.data;
    }
    loam_repair_options options = loam_repair_options_default();
    options.memory_bytes = session->memory_bytes;
    options.line = print_line;
    options.progress = show_progress;
    options.ctx = &repair;
    const loam_status rc = loam_repair(session->dir, dry ? NULL : to, &options, NULL);
    const int code = say_outcome(&repair, rc, dry ? NULL : to);
    grow_free(&target);
    return code;
}
