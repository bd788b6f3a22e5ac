/* cmd_inspect.c - tells what stands in the files of a store, as text, as JSON, or as a page; see handlers.h. */
#include <stdio.h>
#include <sys/stat.h>

#include "shell/exit_code.h"
#include "shell/handlers.h"
#include "shell/inspect_page.h"
#include "shell/message.h"
#include "shell/out_file.h"
#include "shell/tell.h"

/* Of keys in the page: as many bytes as tell tables apart. */
enum { PAGE_DATA_BYTES_MAX = 256 };

/* How it went, once all was told. */
static int say_end(struct session *session, loam_status rc)
{
    if (rc == LOAM_OK) return CODE_DONE;
    const int stop = session_stop(session);
    if (rc == LOAM_CONFLICT) return stop != 0 ? stop : CODE_FAILED;
    return complain_status(rc);
}

/* ---- the page -------------------------------------------------------------------------------------- */

struct page {
    struct tell tell;
    bool is_first, is_damaged;
    char manifest[64]; /* its name, once it was told */
};

static bool add_to_page(void *ctx, const loam_finding *finding)
{
    struct page *page = ctx;
    const loam_fact *role = tell_fact(finding, "role"), *name = tell_fact(finding, "name");
    if (role != NULL && name != NULL && role->bytes.len == strlen("manifest") &&
        memcmp(role->bytes.data, "manifest", role->bytes.len) == 0)
        (void)snprintf(page->manifest, sizeof page->manifest, "%.*s", (int)name->bytes.len,
                       (const char *)name->bytes.data);
    if (!page->is_first) sink_byte(page->tell.out, ',');
    page->is_first = false;
    return tell_finding(&page->tell, finding);
}

/* Damage is part of the picture. */
static loam_status add_findings(struct page *page, const char *path)
{
    loam_inspect_options options = loam_inspect_options_default();
    options.data_bytes_max = PAGE_DATA_BYTES_MAX;
    page->is_first = true;
    sink_text(page->tell.out, "[\n");
    const loam_status rc = loam_inspect(path, &options, add_to_page, page);
    sink_byte(page->tell.out, ']');
    page->is_damaged |= rc == LOAM_CORRUPT;
    return rc == LOAM_CORRUPT ? LOAM_OK : rc;
}

static loam_status write_page(struct sink *out, const char *dir, bool *is_damaged)
{
    const char *store = strstr(inspect_page, "@STORE@"), *history = strstr(store, "@HISTORY@");
    struct page page = {.tell = {out, true}};
    out->in_html = true;
    sink_write(out, inspect_page, (size_t)(store - inspect_page));
    loam_status rc = add_findings(&page, dir);
    store += strlen("@STORE@");
    sink_write(out, store, (size_t)(history - store));
    if (rc == LOAM_OK && page.manifest[0] != '\0') {
        char *path = grow_join_path(dir, page.manifest);
        rc = add_findings(&page, path);
        grow_free(&(struct grow){.data = path});
    } else {
        sink_text(out, "[]");
    }
    sink_text(out, history + strlen("@HISTORY@"));
    *is_damaged = page.is_damaged;
    return rc;
}

static int inspect_to_page(struct session *session, const struct args *args)
{
    struct out_file file;
    bool is_damaged;
    if (args->count > 0 || args_have(args, OPTION_JSON)) {
        complain("inspect: --html shows the whole store; it takes no PATH and no --json");
        return CODE_USAGE;
    }
    int code = out_file_open(&file, args->html.data, session->dir,
                             session->yes || args_have(args, OPTION_YES));
    if (code != CODE_DONE) return code;
    code =
        out_file_finish(&file, say_end(session, write_page(&file.sink, session->dir, &is_damaged)));
    if (code != CODE_DONE || !is_damaged) return code;
    complain("%s: damaged; the page says where", shown_text(session->dir).text);
    return CODE_CORRUPT;
}

/* ---- lines -------------------------------------------------------------------------------------------- */

int cmd_inspect(struct session *session, const struct args *args)
{
    struct tell tell = {&session->out, session->json || args_have(args, OPTION_JSON)};
    loam_inspect_options options = loam_inspect_options_default();
    if (args_have(args, OPTION_HTML)) return inspect_to_page(session, args);
    options.entries = options.files = args_have(args, OPTION_ALL_ENTRIES);
    if (args_have(args, OPTION_LIMIT)) options.limit = args->limit;
    if (args->count == 0)
        return say_end(session, loam_inspect(session->dir, &options, tell_finding, &tell));
    char *inside = grow_join_path(session->dir, args->arg[0].data);
    struct stat about;
    const char *path = lstat(inside, &about) == 0 ? inside : args->arg[0].data;
    const int code = say_end(session, loam_inspect(path, &options, tell_finding, &tell));
    grow_free(&(struct grow){.data = inside});
    return code;
}
