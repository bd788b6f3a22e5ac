/* out_file.c - see out_file.h. */
#include "shell/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/message.h"
#include "shell/signals.h"

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
static bool is_inside_store(const struct out_file *out)
{
    struct stat store, target;
    const int fd = open_directory_of(out->path);
    if (fd < 0) return false; /* creating the file will say why */
    const bool known = fstat(fd, &target) == 0 && stat(out->store_dir, &store) == 0;
    (void)close(fd);
    return known && target.st_dev == store.st_dev && target.st_ino == store.st_ino;
}

/* Finds out what FILE is: new, a file to be replaced, or something to write to as it is. */
static int examine_target(struct out_file *out, const char *file)
{
    struct stat info;
    out->mode = 0666;
    if (stat(file, &info) != 0) {
        if (errno != ENOENT) return complain_file(file, errno);
        out->path = grow_copy_text(file);
    } else if (!S_ISREG(info.st_mode)) {
        out->path = grow_copy_text(file);
        return CODE_DONE;
    } else {
        if (!out->replace) {
            complain("%s: there already; --yes replaces it", shown_text(file).text);
            return CODE_EXISTS;
        }
        out->path = realpath(file, NULL);
        if (out->path == NULL) return complain_file(file, errno);
        out->mode = info.st_mode & 0777;
    }
    if (is_inside_store(out)) {
        complain("%s: is inside the store; name another directory", shown_text(file).text);
        return CODE_FAILED;
    }
    if (asprintf(&out->aside, "%s.tmp-%ld", out->path, (long)getpid()) < 0) out_of_memory();
    return CODE_DONE;
}

static int open_target(struct out_file *out)
{
    const bool aside = out->aside != NULL;
    const char *path = aside ? out->aside : out->path;
    const int flags = O_WRONLY | O_CLOEXEC | (aside ? O_CREAT | O_EXCL : 0);
    const int fd = open(path, flags, out->mode);
    if (fd < 0) return complain_file(out->path, errno);
    if (aside && out->mode != 0666) (void)fchmod(fd, out->mode);
    sink_init(&out->sink, fd);
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
static int publish_target(struct out_file *out)
{
    const unsigned flags = out->replace ? 0 : RENAME_NOREPLACE;
    int failed = renameat2(AT_FDCWD, out->aside, AT_FDCWD, out->path, flags);
    if (failed != 0 && errno == EINVAL) failed = rename(out->aside, out->path);
    if (failed != 0 && errno == EEXIST) {
        complain("%s: there already; --yes replaces it", shown_text(out->path).text);
        return CODE_EXISTS;
    }
    if (failed != 0) return complain_file(out->path, errno);
    free(out->aside);
    out->aside = NULL;
    const int error = sync_directory(out->path);
    return error != 0 ? complain_file(out->path, error) : CODE_DONE;
}

/* Flushes, syncs and closes. code is how writing went, and goes before what happens here. */
static int finish_target(struct out_file *out, int code)
{
    sink_flush(&out->sink);
    const int fd = out->sink.fd;
    int error = out->sink.error;
    if (error == EINTR && signals_stop() != 0) code = signals_stop();
    const bool asked_to_stop = code == CODE_INTERRUPTED || code == CODE_TERMINATED;
    if (error == 0 && code == CODE_DONE && out->aside != NULL && fsync(fd) != 0) error = errno;
    if (close(fd) != 0 && error == 0) error = errno;
    if (error == EPIPE && out->aside == NULL) return CODE_PIPE;
    if (error != 0 && !asked_to_stop) return complain_file(out->path, error);
    if (code == CODE_DONE && out->aside != NULL) code = publish_target(out);
    return code;
}

static void forget_target(struct out_file *out)
{
    sink_deinit(&out->sink);
    free(out->path);
    free(out->aside);
    *out = (struct out_file){.path = NULL};
}

int out_file_open(struct out_file *out, const char *file, const char *store_dir, bool replace)
{
    *out = (struct out_file){.store_dir = store_dir, .replace = replace};
    int code = examine_target(out, file);
    if (code == CODE_DONE) code = open_target(out);
    if (code != CODE_DONE) forget_target(out);
    return code;
}

int out_file_finish(struct out_file *out, int code)
{
    code = finish_target(out, code);
    if (out->aside != NULL) (void)unlink(out->aside);
    forget_target(out);
    return code;
}
