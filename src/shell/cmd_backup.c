/* cmd_backup.c - checkpoint, backup and restore; see handlers.h. All are loam_checkpoint(). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/progress.h"

enum { NUMBER_DIGITS = 6, NUMBERS_MAX = 999999 };

/* ---- one copy ------------------------------------------------------------------------------- */

static int copy_store(struct session *session, loam_db *db, const char *target, bool copy,
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
    if (rc == LOAM_OK) return CODE_DONE;
    if (rc != LOAM_CONFLICT) return complain_status(rc);
    const int stop = session_stop(session);
    complain("stopped; nothing is left of it");
    return stop != 0 ? stop : CODE_FAILED;
}

static int verify_copy(const char *target)
{
    const loam_status rc = loam_verify(target, NULL, NULL);
    if (rc == LOAM_OK) return CODE_DONE;
    const int code = complain_status(rc);
    complain("%s: reads otherwise than it was written; delete it, and look at the disk",
             shown_text(target).text);
    return code;
}

int cmd_checkpoint(struct session *session, const struct args *args)
{
    const int code = copy_store(session, session->db, args->arg[0].data, false, NULL);
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

/* What an interrupted backup left: files alone, none of which anybody needs. */
static void remove_part(const char *part)
{
    DIR *dir = opendir(part);
    if (dir == NULL) return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    (void)closedir(dir);
    (void)rmdir(part);
}

/* It gets its number when it is whole, so one that was interrupted is never taken for a backup. */
static int make_backup(struct session *session, const char *backups, unsigned latest)
{
    char *base = latest > 0 ? numbered(backups, latest, "") : NULL;
    char *part = numbered(backups, latest + 1, ".part"), *path = numbered(backups, latest + 1, "");
    remove_part(part);
    int code = copy_store(session, session->db, part, true, base);
    if (code != CODE_DONE) remove_part(part);
    if (code == CODE_DONE) code = verify_copy(part);
    if (code == CODE_DONE && rename(part, path) != 0) {
        complain("%s: %s", shown_text(path).text, strerror(errno));
        code = CODE_FAILED;
    }
    if (code == CODE_DONE) {
        sink_text(&session->out, path);
        sink_byte(&session->out, '\n');
    }
    free(base);
    free(part);
    free(path);
    return code;
}

int cmd_backup(struct session *session, const struct args *args)
{
    const char *backups = args->arg[0].data;
    unsigned latest;
    if (mkdir(backups, 0777) != 0 && errno != EEXIST) {
        complain("%s: %s", shown_text(backups).text, strerror(errno));
        return CODE_FAILED;
    }
    const int code = latest_number(backups, &latest);
    if (code != CODE_DONE) return code;
    if (latest == NUMBERS_MAX) {
        complain("%s: all numbers are given; begin another directory", shown_text(backups).text);
        return CODE_FAILED;
    }
    return make_backup(session, backups, latest);
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
    int code = copy_store(session, db, session->dir, true, NULL);
    rc = loam_close(db);
    if (code == CODE_DONE && rc != LOAM_OK) code = complain_status(rc);
    if (code == CODE_DONE) code = verify_copy(session->dir);
    if (code == CODE_DONE) session_say(session, "OK");
    return code;
}

int cmd_restore(struct session *session, const struct args *args)
{
    const char *backup = args->arg[0].data;
    unsigned latest;
    if (session->db != NULL) {
        complain("restore: this store is open here; leave, and say `loam NEWDIR restore BACKUP`");
        return CODE_USAGE;
    }
    int code = latest_number(backup, &latest);
    if (code != CODE_DONE) return code;
    if (latest == 0) return restore_from(session, backup);
    char *path = numbered(backup, latest, "");
    code = restore_from(session, path);
    free(path);
    return code;
}
