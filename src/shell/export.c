/*
 * export.c - writes all entries of a collection, or of all of them, to a file.
 *
 * Role: chooses where the bytes go, writes them there and makes them last.
 * Invariants: (1) FILE is replaced by a complete, synced file or not at all: a
 *   new one is written beside it and renamed. What is no regular file is written
 *   directly. (2) All entries are those of one snapshot.
 * In the picture: shell layer; on format and sink.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/file_format.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/name_list.h"
#include "shell/signals.h"

struct export
{
    struct session *session;
    enum format format;
    struct item_writer writer;
    struct sink file; /* unless it is standard output */
    loam_snapshot *snapshot;
    struct tally written;
    uint64_t expiring; /* of these, in a format that cannot say so */

    char *path;  /* what FILE is in the end, behind links; NULL = standard output */
    char *aside; /* what is written and renamed; NULL = path itself is written */
    mode_t mode;
    bool replace;
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

static int export_collection(struct export *export, const char *name, loam_coll *coll)
{
    loam_iter *entry = NULL;
    struct item item = {.collection = loam_str(name)};
    const uint64_t items_before = export->written.items;
    int code = open_iterator(export, coll, &entry);
    loam_status rc = LOAM_OK;
    while (code == CODE_DONE && (rc = loam_iter_next(entry)) == LOAM_OK) {
        item.key = loam_iter_key(entry);
        item.value = loam_iter_value(entry);
        item.expires_ms = loam_iter_expires_ms(entry);
        export->expiring += item.expires_ms > 0 && export->format != FORMAT_JSONL;
        format_write(export->format, &export->writer, &item);
        export->written.items++;
        export->written.bytes += item.key.len + item.value.len;
        code = export_stop(export);
    }
    if (rc < 0) code = complain_status(rc);
    loam_iter_close(entry);
    item.only_collection = true;
    const bool unseen = export->written.items == items_before && strcmp(name, "default") != 0;
    if (code == CODE_DONE && export->writer.all && unseen)
        format_write(export->format, &export->writer, &item);
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

/* The directory that path stands in; -1 with errno. */
static int open_directory_of(const char *path)
{
    char *copy = grow_copy_text(path);
    char *slash = strrchr(copy, '/');
    if (slash != NULL) slash[slash == copy ? 1 : 0] = '\0';
    const int fd = open(slash != NULL ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    return fd;
}

/* The files of a store are nobody's to replace, not even with --yes. */
static bool is_inside_store(const struct export *export)
{
    struct stat store, target;
    const int fd = open_directory_of(export->path);
    if (fd < 0) return false; /* creating the file will say why */
    const bool known = fstat(fd, &target) == 0 && stat(export->session->dir, &store) == 0;
    (void)close(fd);
    return known && target.st_dev == store.st_dev && target.st_ino == store.st_ino;
}

/* Finds out what FILE is: new, a file to be replaced, or something to write to as it is. */
static int examine_target(struct export *export, const char *file)
{
    struct stat info;
    export->mode = 0666;
    if (stat(file, &info) != 0) {
        if (errno != ENOENT) return complain_file(file, errno);
        export->path = grow_copy_text(file);
    } else if (!S_ISREG(info.st_mode)) {
        export->path = grow_copy_text(file);
        return CODE_DONE;
    } else {
        if (!export->replace) {
            complain("%s: there already; --yes replaces it", shown_text(file).text);
            return CODE_EXISTS;
        }
        export->path = realpath(file, NULL);
        if (export->path == NULL) return complain_file(file, errno);
        export->mode = info.st_mode & 0777;
    }
    if (is_inside_store(export)) {
        complain("%s: is inside the store; export to another directory", shown_text(file).text);
        return CODE_FAILED;
    }
    if (asprintf(&export->aside, "%s.tmp-%ld", export->path, (long)getpid()) < 0) out_of_memory();
    return CODE_DONE;
}

static int open_target(struct export *export)
{
    const bool aside = export->aside != NULL;
    const char *path = aside ? export->aside : export->path;
    const int flags = O_WRONLY | O_CLOEXEC | (aside ? O_CREAT | O_EXCL : 0);
    const int fd = open(path, flags, export->mode);
    if (fd < 0) return complain_file(path, errno);
    if (aside && export->mode != 0666) (void)fchmod(fd, export->mode);
    sink_init(&export->file, fd);
    return CODE_DONE;
}

static int sync_directory(const char *path)
{
    const int fd = open_directory_of(path);
    if (fd < 0) return errno;
    /* Some file systems cannot sync a directory; then there is nothing more to be done. */
    const int error = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    (void)close(fd);
    return error;
}

/* Gives the finished file its name, without replacing one that has appeared meanwhile. */
static int publish_target(struct export *export)
{
    const unsigned flags = export->replace ? 0 : RENAME_NOREPLACE;
    int failed = renameat2(AT_FDCWD, export->aside, AT_FDCWD, export->path, flags);
    if (failed != 0 && errno == EINVAL) failed = rename(export->aside, export->path);
    if (failed != 0 && errno == EEXIST) {
        complain("%s: there already; --yes replaces it", shown_text(export->path).text);
        return CODE_EXISTS;
    }
    if (failed != 0) return complain_file(export->path, errno);
    free(export->aside);
    export->aside = NULL;
    const int error = sync_directory(export->path);
    return error != 0 ? complain_file(export->path, error) : CODE_DONE;
}

/* Flushes, syncs and closes. code is how writing went, and goes before what happens here. */
static int finish_target(struct export *export, int code)
{
    sink_flush(&export->file);
    const int fd = export->file.fd;
    int error = export->file.error;
    if (error == EINTR && signals_stop() != 0) code = signals_stop();
    const bool asked_to_stop = code == CODE_INTERRUPTED || code == CODE_TERMINATED;
    if (error == 0 && code == CODE_DONE && export->aside != NULL && fsync(fd) != 0) error = errno;
    if (close(fd) != 0 && error == 0) error = errno;
    if (error == EPIPE && export->aside == NULL) return CODE_PIPE;
    if (error != 0 && !asked_to_stop) return complain_file(export->path, error);
    if (code == CODE_DONE && export->aside != NULL) code = publish_target(export);
    return code;
}

static int export_to_file(struct export *export, const char *file)
{
    int code = examine_target(export, file);
    if (code == CODE_DONE) code = open_target(export);
    if (code != CODE_DONE) {
        free(export->aside);
        export->aside = NULL;
        return code;
    }
    export->writer.sink = &export->file;
    code = finish_target(export, export_items(export));
    if (export->aside != NULL) (void)unlink(export->aside);
    free(export->aside);
    return code;
}

int cmd_export(struct session *session, const struct args *args)
{
    struct export export = {.session = session,
                            .replace = session->yes || args_have(args, OPTION_YES),
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
        code = export_to_file(&export, file);
        if (code == CODE_DONE && !session->quiet) tally_print(&export.written, &session->out);
        sink_deinit(&export.file);
        free(export.path);
    }
    if (code == CODE_DONE && export.expiring > 0 && !session->quiet)
        (void)fprintf(stderr, "%" PRIu64 " of these entries expire, which only jsonl can say\n",
                      export.expiring);
    return code;
}
