/* cmd_backup.c - checkpoint, backup and restore; see handlers.h. All are loam_checkpoint(), but for a restore to a moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/progress.h"

enum { NUMBER_DIGITS = 6, NUMBERS_MAX = 999999 };

/* ---- one copy ------------------------------------------------------------------------------- */

static int say_copied(const struct session *session, loam_status rc)
{
    if (rc == LOAM_OK) return CODE_DONE;
    if (rc != LOAM_CONFLICT) return complain_status(rc);
    const int stop = session_stop(session);
    complain("stopped; nothing is left of it");
    return stop != 0 ? stop : CODE_FAILED;
}

static loam_status copy_store(struct session *session, loam_db *db, const char *target, bool copy,
                              const char *base)
{
    struct progress progress = progress_begin(session);
    loam_checkpoint_options options = loam_checkpoint_options_default();
    options.copy = copy;
    options.base = base;
    options.progress = progress_show;
    options.ctx = &progress;
    const loam_status rc = loam_checkpoint(db, target, &options);
    progress_end(&progress);
    return rc;
}

static void print_fault(void *ctx, const char *text)
{
    (void)ctx;
    complain("%s", shown_sentence(text).text);
}

static int verify_copy(const char *target)
{
    const loam_status rc = loam_verify(target, print_fault, NULL);
    return rc == LOAM_OK ? CODE_DONE : complain_status(rc);
}

int cmd_checkpoint(struct session *session, const struct args *args)
{
    const int code =
        say_copied(session, copy_store(session, session->db, args->arg[0].data, false, NULL));
    if (code == CODE_DONE) session_say(session, "OK");
    return code;
}

/* ---- a directory of backups ----------------------------------------------------------------- */

/* The largest number in it; 0: there is none. */
static int latest_number(const char *backups, unsigned *latest)
{
    DIR *dir = opendir(backups);
    *latest = 0;
    if (dir == NULL) {
        complain("%s: %s", shown_text(backups).text, strerror(errno));
        return CODE_FAILED;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        unsigned number = 0;
        const char *at = entry->d_name;
        while (*at >= '0' && *at <= '9' && number <= NUMBERS_MAX)
            number = number * 10 + (unsigned)(*at++ - '0');
        if (*at != '\0' || at - entry->d_name != NUMBER_DIGITS) continue;
        if (number > *latest) *latest = number;
    }
    (void)closedir(dir);
    return CODE_DONE;
}

static char *numbered(const char *backups, unsigned number, const char *end)
{
    char name[16 + NUMBER_DIGITS];
    struct grow path = {0};
    (void)snprintf(name, sizeof name, "/%0*u%s", NUMBER_DIGITS, number, end);
    grow_add_text(&path, backups);
    while (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    grow_add(&path, name, strlen(name) + 1);
    return path.data;
}

static bool is_of_a_store(const char *name)
{
    static const char *const ends[] = {".sst", ".wal", ".manifest", "root", "root.new", "owner"};
    const size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t end = strlen(ends[i]);
        if (len >= end && strcmp(name + len - end, ends[i]) == 0) return true;
    }
    return false;
}

/* What an interrupted backup left goes. False: something else is there. */
static bool clear_part(const char *part)
{
    const int fd = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (is_of_a_store(entry->d_name)) (void)unlinkat(fd, entry->d_name, 0);
    (void)closedir(dir);
    return rmdir(part) == 0;
}

/* A name in it is there after a loss of power. */
static bool sync_names(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) (void)close(fd);
    return synced;
}

static int copy_and_verify(struct session *session, const char *part, const char *base,
                           loam_status *copied)
{
    *copied = copy_store(session, session->db, part, true, base);
    int code = say_copied(session, *copied);
    if (code == CODE_DONE) code = verify_copy(part);
    if (code != CODE_DONE) (void)clear_part(part);
    return code;
}

/* It gets its number when it is whole, so one that was interrupted is never taken for a backup. What is wrong with the one before may be
   in what they share. */
static int make_backup(struct session *session, const char *backups, unsigned latest)
{
    char *base = latest > 0 ? numbered(backups, latest, "") : NULL;
    char *part = numbered(backups, latest + 1, ".part"), *path = numbered(backups, latest + 1, "");
    int code = CODE_FAILED;
    if (!clear_part(part)) {
        complain("%s: is in the way, and is not what a backup leaves", shown_text(part).text);
        goto out;
    }
    loam_status copied;
    code = copy_and_verify(session, part, base, &copied);
    if (copied == LOAM_INVALID && base != NULL) { /* it is another store's */
        complain("name another directory for this one");
    } else if (code != CODE_DONE && base != NULL && session_stop(session) == 0) {
        complain("%s: not used, as it does not help: all is copied", shown_text(base).text);
        code = copy_and_verify(session, part, NULL, &copied);
    }
    if (code == CODE_DONE && (rename(part, path) != 0 || !sync_names(backups))) {
        complain("%s: %s", shown_text(path).text, strerror(errno));
        code = CODE_FAILED;
    }
    if (code == CODE_DONE) {
        sink_text(&session->out, path);
        sink_byte(&session->out, '\n');
    }
out:
    free(base);
    free(part);
    free(path);
    return code;
}

static bool is_store(const char *dir)
{
    char *root = grow_join_path(dir, "root");
    const bool has_root = access(root, F_OK) == 0;
    free(root);
    return has_root;
}

/* Two at a time would take one number. */
static int lock_backups(const char *backups)
{
    const int fd = open(backups, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    complain("%s: %s", shown_text(backups).text,
             errno == EWOULDBLOCK ? "another backup is being made in it" : strerror(errno));
    if (fd >= 0) (void)close(fd);
    return -1;
}

static char *parent_of(const char *path)
{
    struct grow text = {0};
    grow_add_text(&text, path);
    while (text.len > 1 && text.data[text.len - 1] == '/')
        text.len--;
    while (text.len > 0 && text.data[text.len - 1] != '/')
        text.len--;
    grow_add(&text, ".", sizeof ".");
    return text.data;
}

static bool make_dir(const char *path, bool *is_new)
{
    *is_new = mkdir(path, 0777) == 0;
    if (!*is_new) return errno == EEXIST;
    char *parent = parent_of(path);
    const bool synced = sync_names(parent);
    free(parent);
    return synced;
}

int cmd_backup(struct session *session, const struct args *args)
{
    const char *backups = args->arg[0].data;
    unsigned latest;
    bool is_new;
    if (is_store(backups)) {
        complain("%s: is a store, and no directory of backups; name another one",
                 shown_text(backups).text);
        return CODE_FAILED;
    }
    if (!make_dir(backups, &is_new)) {
        complain("%s: %s", shown_text(backups).text, strerror(errno));
        return CODE_FAILED;
    }
    const int lock = lock_backups(backups);
    if (lock < 0) return CODE_FAILED;
    int code = latest_number(backups, &latest);
    if (code == CODE_DONE && latest == NUMBERS_MAX) {
        complain("%s: all numbers are given; begin another directory", shown_text(backups).text);
        code = CODE_FAILED;
    }
    if (code == CODE_DONE) code = make_backup(session, backups, latest);
    if (code != CODE_DONE && is_new) (void)rmdir(backups);
    (void)close(lock);
    return code;
}

/* ---- restoring ------------------------------------------------------------------------------ */

static int restore_from(struct session *session, const char *backup)
{
    loam_db *db = NULL;
    loam_options options = loam_options_default();
    options.read_only = true;
    options.must_exist = true;
    options.memory_bytes = session->memory_bytes;
    loam_status rc = loam_open(backup, &options, &db);
    if (rc != LOAM_OK) return complain_status(rc);
    int code = say_copied(session, copy_store(session, db, session->dir, true, NULL));
    rc = loam_close(db);
    if (code == CODE_DONE && rc != LOAM_OK) code = complain_status(rc);
    if (code == CODE_DONE) code = verify_copy(session->dir);
    if (code == CODE_DONE) session_say(session, "OK");
    return code;
}

/* "2026-11-26T12:00:00Z"; seconds may be missing, or have a fraction; a blank may stand for T. Without Z it is local time. */
static bool parse_time(const char *text, uint64_t *ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d %H:%M"};
    struct tm parts = {0};
    const char *at = NULL;
    unsigned unit = 100, fraction = 0;
    for (size_t i = 0; at == NULL && i < sizeof forms / sizeof forms[0]; i++) {
        parts = (struct tm){.tm_isdst = -1};
        at = strptime(text, forms[i], &parts);
    }
    if (at == NULL) return false;
    for (at += *at == '.'; *at >= '0' && *at <= '9'; at++, unit /= 10)
        fraction += unit * (unsigned)(*at - '0');
    const bool is_utc = *at == 'Z' || *at == 'z';
    if (at[is_utc] != '\0') return false;
    const time_t seconds = is_utc ? timegm(&parts) : mktime(&parts);
    if (seconds < 0) return false;
    *ms = (uint64_t)seconds * 1000 + fraction;
    return true;
}

/* NULL: none. Before DIR or behind the command: it says the same. */
static const char *archive_of(const struct session *session, const struct args *args)
{
    return args_have(args, OPTION_ARCHIVE) ? args->archive.data : session->archive;
}

static int restore_to_moment(struct session *session, const char *backup, const struct args *args)
{
    struct progress progress = progress_begin(session);
    loam_options open = loam_options_default();
    loam_restore_options options = {.struct_size = sizeof options};
    loam_moment reached;
    char text[TEXT_TIME_BYTES_MAX];
    open.memory_bytes = session->memory_bytes;
    options.archive = archive_of(session, args);
    options.to.seq = args->to_seq;
    options.options = &open;
    options.progress = progress_show;
    options.ctx = &progress;
    if (args_have(args, OPTION_TO_TIME) && !parse_time(args->to_time.data, &options.to.ms)) {
        complain("restore: %s is no time; say 2026-11-26T12:00:00Z, or without Z for local time",
                 shown_text(args->to_time.data).text);
        return CODE_USAGE;
    }
    if ((args_have(args, OPTION_TO_SEQ) && options.to.seq == 0) ||
        (args_have(args, OPTION_TO_TIME) && options.to.ms == 0)) {
        complain("restore: nothing was there at 0; without --to-seq and --to-time all is restored");
        return CODE_USAGE;
    }
    const loam_status rc = loam_restore(backup, session->dir, &options, &reached);
    progress_end(&progress);
    const int code = say_copied(session, rc);
    if (code == CODE_DONE)
        sink_printf(&session->out, "sequence number %" PRIu64 ", %s\n", reached.seq,
                    text_format_time(text, reached.ms));
    return code;
}

static int restore_backup(struct session *session, const char *backup, const struct args *args)
{
    if (archive_of(session, args) != NULL) return restore_to_moment(session, backup, args);
    return restore_from(session, backup);
}

/* The number of a backup, as it was typed; 0: it is none. */
static unsigned number_of(const char *text)
{
    char *end;
    const unsigned long number = strtoul(text, &end, 10);
    return *end == '\0' && text[0] >= '0' && text[0] <= '9' && number <= NUMBERS_MAX
               ? (unsigned)number
               : 0;
}

int cmd_restore(struct session *session, const struct args *args)
{
    const char *backup = args->arg[0].data;
    const bool to_moment = args_have(args, OPTION_TO_SEQ) || args_have(args, OPTION_TO_TIME);
    unsigned number;
    if (session->db != NULL) {
        complain("restore: this store is open here; leave, and say `loam NEWDIR restore BACKUP`");
        return CODE_USAGE;
    }
    if (session->read_only) {
        complain("restore: would write, and --readonly forbids it");
        return CODE_USAGE;
    }
    if (to_moment && archive_of(session, args) == NULL) {
        complain("restore: a moment after the backup is found in the archive; add --archive DIR");
        return CODE_USAGE;
    }
    int code = latest_number(backup, &number);
    if (code != CODE_DONE) return code;
    if (args->count > 1) {
        number = number_of(args->arg[1].data);
        if (number == 0) {
            complain("restore: %s is no number of a backup", shown_text(args->arg[1].data).text);
            return CODE_USAGE;
        }
    }
    if (number == 0) return restore_backup(session, backup, args);
    char *path = numbered(backup, number, "");
    code = restore_backup(session, path, args);
    free(path);
    return code;
}
