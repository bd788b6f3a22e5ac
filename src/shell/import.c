/*
 * import.c - stores the entries of a file.
 *
 * Role: reads items, collects them in batches of bounded size, writes these and
 *   says how far it came. What of a file goes to a collection that is empty is
 *   loaded in bulk, all of it at the end, unless --from-line is given.
 * Invariants: `stored up to line N` speaks of what the database has
 *   committed with its durability, and of all lines before N: --from-line N+1
 *   continues without a gap. What was read well before a bad line is stored.
 * In the picture: shell layer; on source and format.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/exit_code.h"
#include "shell/file_format.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/signals.h"
#include "shell/source.h"

enum { BATCH_ITEMS_MAX = 1000, BATCH_BYTES_MAX = 1 << 20 };

struct import {
    struct session *session;
    const char *path;
    enum format format;
    uint64_t from_line;
    struct source source;
    struct item_reader reader;

    loam_batch *batch;
    size_t batch_items, batch_bytes;
    struct tally stored, read;
    uint64_t expired;     /* passed over */
    uint64_t line;        /* lines consumed */
    uint64_t stored_line; /* lines whose items are committed */
    double spoke;         /* when progress was last shown */
    bool on_terminal, line_open;
    bool refilled; /* the source has been read since progress was considered */
    bool is_file;  /* and can be read again, from its beginning on */
    bool is_bulk;  /* some collection is loaded in bulk: nothing is safe before the end */
    bool was_bulk;

    struct import_target { /* collections met so far; without --all the session's alone */
        char *name;        /* of --all */
        loam_coll *coll;
        loam_ingest *ingest; /* NULL: it takes batches */
    } * target;
    size_t targets_count, target_last;
};

static void show_progress(struct import *import, bool final)
{
    if (import->session->quiet) return;
    const bool is_read = import->is_bulk && !final;
    import->spoke = seconds_now();
    (void)fprintf(stderr, "%s%s up to line %" PRIu64 "%s", import->on_terminal ? "\r" : "",
                  is_read ? "read" : "stored", is_read ? import->line : import->stored_line,
                  import->on_terminal && !final ? "" : "\n");
    import->line_open = import->on_terminal && !final;
}

/* Messages begin on a line of their own. */
static void end_progress_line(struct import *import)
{
    if (import->line_open) (void)fputc('\n', stderr);
    import->line_open = false;
}

static int complain_import(struct import *import, loam_status rc)
{
    end_progress_line(import);
    return complain_status(rc);
}

static int write_batch(struct import *import)
{
    if (import->batch_items > 0) {
        const loam_status rc = loam_write(import->session->db, import->batch, LOAM_DURABLE_DEFAULT);
        if (rc != LOAM_OK) {
            end_progress_line(import);
            return complain_status(rc);
        }
    }
    loam_batch_clear(import->batch);
    import->batch_items = import->batch_bytes = 0;
    if (import->is_bulk) return CODE_DONE;
    import->stored = import->read;
    import->stored_line = import->line;
    return CODE_DONE;
}

/* All that was read so far. */
static int store_all(struct import *import)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < import->targets_count; i++) {
        struct import_target *target = &import->target[i];
        if (target->ingest != NULL) rc = loam_ingest_commit(target->ingest);
        if (rc < 0) break;
        loam_ingest_close(target->ingest);
        target->ingest = NULL;
    }
    if (rc < 0) return complain_import(import, rc);
    import->is_bulk = false;
    return write_batch(import);
}

static loam_status is_empty(const struct import *import, loam_coll *coll, bool *empty)
{
    const loam_range keys = {.flags = LOAM_KEYS_ONLY};
    loam_iter *it;
    loam_status rc = loam_iter_open(import->session->db, coll, &keys, &it);
    if (rc == LOAM_OK) {
        rc = loam_iter_first(it);
        loam_iter_close(it);
    }
    *empty = rc == LOAM_NOTFOUND;
    return rc < 0 ? rc : LOAM_OK;
}

static int add_target(struct import *import, struct import_target target)
{
    bool empty = false;
    loam_status rc = LOAM_OK;
    /* What is loaded in bulk no archive holds. */
    if (import->is_file && import->from_line == 0 && import->session->archive == NULL)
        rc = is_empty(import, target.coll, &empty);
    if (empty) {
        rc = loam_ingest_begin(import->session->db, target.coll, &target.ingest);
        import->is_bulk = import->was_bulk = true;
    }
    import->target = grow_array(import->target, import->targets_count + 1, sizeof *import->target);
    import->target_last = import->targets_count;
    import->target[import->targets_count++] = target;
    return rc < 0 ? complain_import(import, rc) : CODE_DONE;
}

/* An empty one gets those of the file; one that holds something keeps its own. */
static loam_status take_options(const struct import *import, loam_coll *coll,
                                const loam_coll_options *options)
{
    loam_coll_options taken = loam_coll_options_default();
    bool empty = false;
    loam_status rc = is_empty(import, coll, &empty);
    if (rc < 0 || !empty) return rc;
    rc = loam_coll_options_get(import->session->db, coll, &taken);
    taken.compression = options->compression;
    taken.ttl_ms = options->ttl_ms;
    if (options->merge_operator != NULL) taken.merge_operator = options->merge_operator;
    return rc == LOAM_OK ? loam_coll_options_set(import->session->db, coll, &taken) : rc;
}

static int find_target(struct import *import, const struct item *item)
{
    const loam_slice name = item->collection;
    if (!import->reader.all)
        return import->targets_count > 0
                   ? CODE_DONE
                   : add_target(import, (struct import_target){.coll = import->session->coll});
    for (size_t i = 0; i < import->targets_count; i++) {
        /* Entries of a collection come together: begin with the last one used. */
        const size_t at = (import->target_last + i) % import->targets_count;
        struct import_target *target = &import->target[at];
        if (strlen(target->name) != name.len || memcmp(target->name, name.data, name.len) != 0)
            continue;
        import->target_last = at;
        return CODE_DONE;
    }
    char *text = grow_array(NULL, name.len + 1, 1);
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    loam_coll *coll = NULL;
    loam_status rc = loam_create(import->session->db, text, NULL, &coll);
    if (rc >= 0 && item->options != NULL) rc = take_options(import, coll, item->options);
    if (rc >= 0) return add_target(import, (struct import_target){text, coll, NULL});
    free(text);
    return complain_import(import, rc);
}

static loam_status put_item(struct import *import, const struct item *item, uint64_t ttl_ms)
{
    const struct import_target *target = &import->target[import->target_last];
    if (target->ingest != NULL)
        return item->has_expiry
                   ? loam_ingest_put_ttl(target->ingest, item->key, item->value, ttl_ms)
                   : loam_ingest_put(target->ingest, item->key, item->value);
    import->batch_items++;
    import->batch_bytes += item->key.len + item->value.len;
    return item->has_expiry
               ? loam_batch_put_ttl(import->batch, target->coll, item->key, item->value, ttl_ms)
               : loam_batch_put(import->batch, target->coll, item->key, item->value);
}

static int add_item(struct import *import)
{
    const struct item *item = &import->reader.item;
    const int code = find_target(import, item);
    if (code != CODE_DONE || item->only_collection) return code;
    const uint64_t now = item->expires_ms > 0 ? wall_ms_now() : 0;
    if (item->expires_ms > 0 && item->expires_ms <= now) {
        import->expired++;
        return CODE_DONE;
    }
    const loam_status rc = put_item(import, item, item->expires_ms - now); /* both 0: never */
    if (rc < 0) return complain_import(import, rc);
    import->read.items++;
    import->read.bytes += item->key.len + item->value.len;
    return CODE_DONE;
}

static int complain_line(struct import *import, uint64_t line)
{
    const int code = store_all(import);
    end_progress_line(import);
    if (code != CODE_DONE) return code;
    const struct shown path = shown_text(import->path);
    if (import->stored_line == 0)
        complain("%s: line %" PRIu64 ": %s; nothing is stored", path.text, line,
                 import->reader.error);
    else
        complain("%s: line %" PRIu64 ": %s; stored up to line %" PRIu64 ", and --from-line %" PRIu64
                 " goes on there",
                 path.text, line, import->reader.error, import->stored_line,
                 import->stored_line + 1);
    return CODE_DATA;
}

/* Takes one item, or whatever stands between items, off the source. CODE_ABSENT: the end. */
static int import_next(struct import *import)
{
    struct item_reader *reader = &import->reader;
    for (;;) {
        const loam_slice rest = source_rest(&import->source);
        reader->last = import->source.last;
        if (rest.len == 0 && reader->last) return CODE_ABSENT;
        reader->skipping = import->line + 1 < import->from_line;
        enum reading got = READING_MORE;
        if (rest.len > 0) got = format_read(import->format, reader, rest);
        if (got == READING_BAD) return complain_line(import, import->line + 1);
        if (got != READING_MORE) {
            import->line += reader->lines;
            const int code = got == READING_ITEM ? add_item(import) : CODE_DONE;
            source_skip(&import->source, reader->used);
            return code;
        }
        const int error = source_fill(&import->source);
        import->refilled = true;
        if (signals_stop() != 0) return signals_stop();
        if (error == 0) continue;
        end_progress_line(import);
        return complain_file(import->path, error);
    }
}

static int import_all(struct import *import)
{
    int code = CODE_DONE;
    while (code == CODE_DONE) {
        code = import_next(import);
        if (code == CODE_DONE) code = signals_stop();
        if (code != CODE_DONE) break;
        const bool full =
            import->batch_items >= BATCH_ITEMS_MAX || import->batch_bytes >= BATCH_BYTES_MAX;
        if (!full && !import->refilled) continue;
        import->refilled = false;
        if (full) code = write_batch(import);
        if (code == CODE_DONE && seconds_now() - import->spoke >= 1) {
            code = write_batch(import);
            if (code == CODE_DONE) show_progress(import, false);
        }
    }
    const bool stopped = code == CODE_INTERRUPTED || code == CODE_TERMINATED;
    const int written = code == CODE_ABSENT ? store_all(import)
                        : stopped           ? write_batch(import)
                                            : CODE_DONE;
    /* The message about bad data has said it. */
    if (code != CODE_DATA) show_progress(import, true);
    if (written != CODE_DONE) return written;
    return code == CODE_ABSENT ? CODE_DONE : code;
}

static void import_deinit(struct import *import)
{
    for (size_t i = 0; i < import->targets_count; i++) {
        loam_ingest_close(import->target[i].ingest);
        free(import->target[i].name);
    }
    free(import->target);
    loam_batch_free(import->batch);
    source_deinit(&import->source);
    format_reader_deinit(&import->reader);
}

static int import_open(struct import *import, const struct args *args)
{
    const bool standard = strcmp(import->path, "-") == 0;
    if (standard && import->session->script) {
        complain("import: - is standard input, which holds the script; name a file");
        return CODE_USAGE;
    }
    const int code = file_format_choose(args, &import->format);
    if (code != CODE_DONE) return code;
    import->source.fd = standard ? STDIN_FILENO : open(import->path, O_RDONLY | O_CLOEXEC);
    if (import->source.fd < 0) return complain_file(import->path, errno);
    struct stat file;
    import->is_file = fstat(import->source.fd, &file) == 0 && S_ISREG(file.st_mode);
    import->batch = loam_batch_new();
    if (import->batch == NULL) out_of_memory();
    return CODE_DONE;
}

int cmd_import(struct session *session, const struct args *args)
{
    struct import import = {.session = session,
                            .path = args->arg[0].data,
                            .from_line = args->from_line,
                            .source.fd = -1,
                            .reader.all = args_have(args, OPTION_ALL),
                            .spoke = seconds_now(),
                            .on_terminal = isatty(STDERR_FILENO) != 0};
    import.read.started = import.stored.started = import.spoke;
    int code = session_no_txn(session);
    if (code == CODE_DONE) code = import_open(&import, args);
    if (code == CODE_DONE) code = import_all(&import);
    if (code == CODE_DONE && !session->quiet)
        tally_print(&import.stored, import.was_bulk ? ", bulk" : "", &session->out);
    if (code == CODE_DONE && import.expired > 0 && !session->quiet)
        (void)fprintf(stderr, "%" PRIu64 " %s expired and %s left out\n", import.expired,
                      import.expired == 1 ? "entry has" : "entries have",
                      import.expired == 1 ? "is" : "are");
    if (import.source.fd > STDERR_FILENO) (void)close(import.source.fd);
    import_deinit(&import);
    return code;
}
