/*
 * export.c - writes all entries of a collection, or of all of them, to a file.
 *
 * Role: chooses where the bytes go and writes them there.
 * Invariants: all entries are those of one snapshot.
 * In the picture: shell layer; on format, sink and out_file.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/file_format.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/name_list.h"
#include "shell/out_file.h"
#include "shell/signals.h"

struct export
{
    struct session *session;
    enum format format;
    struct item_writer writer;
    struct out_file file; /* unless it is standard output */
    loam_snapshot *snapshot;
    struct tally written;
    uint64_t expiring; /* of these, in a format that cannot say so */
};

static int open_iterator(struct export *export, loam_coll *coll, loam_iter **entry)
{
    loam_range range = {0};
    range.at = export->snapshot;
    const loam_status rc = loam_iter_open(export->session->db, coll, &range, entry);
    return rc < 0 ? complain_status(rc) : CODE_DONE;
}

static int export_stop(const struct export *export)
{
    const int stop = signals_stop();
    if (stop != 0) return stop;
    return export->writer.sink->error != 0 ? CODE_FAILED : 0;
}

/* A line of its own for each collection but `default` as it is everywhere. */
static void export_head(struct export *export, const char *name, const loam_coll_options *options)
{
    const struct item item = {
        .collection = loam_str(name), .only_collection = true, .options = options};
    if (strcmp(name, "default") == 0 && options->ttl_ms == 0 && options->merge_operator == NULL &&
        options->compression == LOAM_LZ4)
        return;
    format_write(export->format, &export->writer, &item);
}

static int export_collection(struct export *export, const char *name, loam_coll *coll)
{
    loam_iter *entry = NULL;
    struct item item = {.collection = loam_str(name)};
    loam_coll_options options = loam_coll_options_default();
    loam_status rc = loam_coll_options_get(export->session->db, coll, &options);
    int code = rc < 0 ? complain_status(rc) : open_iterator(export, coll, &entry);
    if (code == CODE_DONE && export->writer.all) export_head(export, name, &options);
    while (code == CODE_DONE && (rc = loam_iter_next(entry)) == LOAM_OK) {
        item.key = loam_iter_key(entry);
        item.value = loam_iter_value(entry);
        item.expires_ms = loam_iter_expires_ms(entry);
        item.has_expiry = item.expires_ms > 0 || options.ttl_ms > 0;
        export->expiring += item.expires_ms > 0 && export->format != FORMAT_JSONL;
        format_write(export->format, &export->writer, &item);
        export->written.items++;
        export->written.bytes += item.key.len + item.value.len;
        code = export_stop(export);
    }
    if (rc < 0) code = complain_status(rc);
    loam_iter_close(entry);
    return code;
}

static int export_collections(struct export *export)
{
    struct name_list names = {0};
    const loam_status rc = loam_collections(export->session->db, name_list_add, &names);
    int code = rc < 0 ? complain_status(rc) : CODE_DONE;
    for (size_t i = 0; i < names.count && code == CODE_DONE; i++) {
        loam_coll *coll = NULL;
        code = session_find(export->session, names.name[i], &coll);
        if (code == CODE_DONE) code = export_collection(export, names.name[i], coll);
    }
    name_list_free(&names);
    return code;
}

/* The header of csv says for the whole file whether a column is text: look first. */
static int choose_columns(struct export *export)
{
    loam_iter *entry = NULL;
    int code = open_iterator(export, export->session->coll, &entry);
    loam_status rc = LOAM_OK;
    while (code == CODE_DONE && (rc = loam_iter_next(entry)) == LOAM_OK) {
        if (!text_is_utf8(loam_iter_key(entry))) export->writer.key_base64 = true;
        if (!text_is_utf8(loam_iter_value(entry))) export->writer.value_base64 = true;
        code = signals_stop();
    }
    if (rc < 0) code = complain_status(rc);
    loam_iter_close(entry);
    return code;
}

static int export_items(struct export *export)
{
    const loam_status rc = loam_snapshot_open(export->session->db, &export->snapshot);
    if (rc < 0) return complain_status(rc);
    int code = export->format == FORMAT_CSV ? choose_columns(export) : CODE_DONE;
    if (code == CODE_DONE) format_write_header(export->format, &export->writer);
    if (code == CODE_DONE && export->writer.all)
        code = export_collections(export);
    else if (code == CODE_DONE)
        code = export_collection(export, export->session->coll_name, export->session->coll);
    loam_snapshot_close(export->snapshot);
    return code;
}

int cmd_export(struct session *session, const struct args *args)
{
    struct export export = {.session = session,
                            .writer.all = args_have(args, OPTION_ALL),
                            .written.started = seconds_now()};
    const char *file = args->arg[0].data;
    const bool standard = strcmp(file, "-") == 0;
    int code = file_format_choose(args, &export.format);
    if (code != CODE_DONE) return code;
    if (standard) {
        export.writer.sink = &session->out;
        code = export_items(&export);
    } else {
        const bool replace = session->yes || args_have(args, OPTION_YES);
        code = out_file_open(&export.file, file, session->dir, replace);
        export.writer.sink = &export.file.sink;
        if (code == CODE_DONE) code = out_file_finish(&export.file, export_items(&export));
        if (code == CODE_DONE && !session->quiet) tally_print(&export.written, "", &session->out);
    }
    if (code == CODE_DONE && export.expiring > 0 && !session->quiet)
        (void)fprintf(stderr, "%" PRIu64 " of these entries expire, which only jsonl can say\n",
                      export.expiring);
    return code;
}
