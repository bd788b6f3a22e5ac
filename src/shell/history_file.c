/* history_file.c - see history_file.h. */
#include "shell/history_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/grow.h"

static bool make_directory(const char *path)
{
    struct stat info;
    return mkdir(path, 0700) == 0 || (stat(path, &info) == 0 && S_ISDIR(info.st_mode));
}

/* Creates the directories on the way to path, which is absolute. */
static bool make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool made = make_directory(path);
        *slash = '/';
        if (!made) return false;
    }
    return true;
}

static char *find_history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int len = -1;
    if (state != NULL && state[0] == '/')
        len = asprintf(&path, "%s/loam/history", state);
    else if (home != NULL && home[0] == '/')
        len = asprintf(&path, "%s/.local/state/loam/history", home);
    if (len < 0) return NULL;
    if (make_parents(path)) return path;
    free(path);
    return NULL;
}

static size_t show_lines(FILE *stream, size_t skip, void (*line)(void *ctx, const char *text),
                         void *ctx)
{
    char *text = NULL;
    size_t cap = 0, count = 0;
    ssize_t len = 0;
    while ((len = getline(&text, &cap, stream)) > 0) {
        if (text[len - 1] == '\n') text[len - 1] = '\0';
        if (count++ >= skip && text[0] != '\0' && line != NULL) line(ctx, text);
    }
    free(text);
    return count;
}

static void write_line(void *ctx, const char *text)
{
    (void)fprintf(ctx, "%s\n", text);
}

/* Keeps the last HISTORY_LINES_MAX of the count lines in stream. */
static void shorten_history(const struct history_file *file, FILE *stream, size_t count)
{
    char *aside = NULL;
    if (asprintf(&aside, "%s.tmp-%ld", file->path, (long)getpid()) < 0) return;
    const int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *target = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (target != NULL) {
        rewind(stream);
        (void)show_lines(stream, count - HISTORY_LINES_MAX, write_line, target);
        const bool written = ferror(target) == 0;
        if (fclose(target) == 0 && written) (void)rename(aside, file->path);
    }
    if (fd >= 0) (void)unlink(aside);
    free(aside);
}

void history_file_open(struct history_file *file, void (*line)(void *ctx, const char *text),
                       void *ctx)
{
    file->path = find_history_path();
    FILE *stream = file->path != NULL ? fopen(file->path, "re") : NULL;
    if (stream == NULL) return;
    const size_t count = show_lines(stream, 0, NULL, NULL);
    const size_t skip = count > HISTORY_LINES_MAX ? count - HISTORY_LINES_MAX : 0;
    rewind(stream);
    (void)show_lines(stream, skip, line, ctx);
    if (count > (size_t)HISTORY_LINES_MAX * 2) shorten_history(file, stream, count);
    (void)fclose(stream);
}

void history_file_add(struct history_file *file, loam_slice line)
{
    if (file->path == NULL || line.len == 0 || *(const char *)line.data == ' ') return;
    const int fd = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    /* An older file may be open to others. */
    (void)fchmod(fd, 0600);
    struct grow text = {0};
    grow_add(&text, line.data, line.len);
    grow_add_byte(&text, '\n');
    /* In one piece, so that sessions side by side do not mix within a line. */
    if (write(fd, text.data, text.len) < 0) {
        free(file->path);
        file->path = NULL;
    }
    (void)close(fd);
    grow_free(&text);
}

void history_file_close(struct history_file *file)
{
    free(file->path);
    file->path = NULL;
}
