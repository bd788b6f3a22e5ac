/* message.c - see message.h. */
#include "shell/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "shell/exit_code.h"

static uint64_t script_line;
static bool speaks_unnamed;

struct shown shown_bytes(loam_slice bytes)
{
    struct shown shown = {{0}};
    (void)text_escape(shown.text, sizeof shown.text, bytes);
    return shown;
}

struct shown shown_text(const char *text)
{
    return shown_bytes(loam_str(text));
}

struct sentence shown_sentence(const char *text)
{
    struct sentence shown = {""};
    if (text_plain_prefix(loam_str(text), false) < strlen(text))
        (void)text_escape(shown.text, sizeof shown.text, loam_str(text));
    else
        (void)snprintf(shown.text, sizeof shown.text, "%s", text);
    return shown;
}

void message_set_line(uint64_t line)
{
    script_line = line;
}

void message_set_interactive(bool interactive)
{
    speaks_unnamed = interactive;
}

void complain(const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (script_line > 0)
        (void)fprintf(stderr, "loam: line %" PRIu64 ": %s\n", script_line, text);
    else
        (void)fprintf(stderr, "%s%s\n", speaks_unnamed ? "" : "loam: ", text);
}

const char *advice_for_status(loam_status rc)
{
    switch (rc) {
    case LOAM_LOCKED:
        return "close it there or wait";
    case LOAM_CORRUPT:
        return "`verify` lists every fault";
    case LOAM_FULL:
        return "make room on the disk and repeat";
    case LOAM_TOONEW:
        return "use a newer loam";
    case LOAM_READONLY:
        return "open it for writing, without --readonly or --follow";
    case LOAM_NOMEM:
        if (loam_errno() == EMFILE) return "allow it more open files, see `ulimit -n`";
        return "give it more memory or a smaller --memory";
    case LOAM_TOOBIG:
        return "keys have up to 65535 bytes, values up to 1 GiB, names up to 255 bytes";
    case LOAM_CONFLICT:
    case LOAM_BUSY:
        return "try again";
    case LOAM_IOERR:
        if (loam_errno() == EACCES || loam_errno() == EPERM) return "check its permissions";
        break;
    case LOAM_OK:
    case LOAM_NOTFOUND:
    case LOAM_EXISTS:
    case LOAM_INVALID:
    case LOAM_MISUSE:
        break;
    }
    return NULL;
}

int code_for_status(loam_status rc)
{
    switch (rc) {
    case LOAM_OK:
        return CODE_DONE;
    case LOAM_NOTFOUND:
        return CODE_ABSENT;
    case LOAM_CONFLICT:
    case LOAM_EXISTS:
        return CODE_EXISTS;
    case LOAM_CORRUPT:
        return CODE_CORRUPT;
    case LOAM_LOCKED:
        return CODE_LOCKED;
    case LOAM_FULL:
        return CODE_FULL;
    case LOAM_IOERR:
        return loam_errno() == EEXIST ? CODE_EXISTS : CODE_FAILED;
    case LOAM_NOMEM:
    case LOAM_INVALID:
    case LOAM_MISUSE:
    case LOAM_BUSY:
    case LOAM_READONLY:
    case LOAM_TOOBIG:
    case LOAM_TOONEW:
        break;
    }
    return CODE_FAILED;
}

int complain_status(loam_status rc)
{
    const struct sentence cause =
        shown_sentence(rc == LOAM_CONFLICT ? "another writer was first" : loam_errmsg());
    const char *advice = advice_for_status(rc);
    /* The library may know better what helps. */
    if (advice == NULL || strstr(cause.text, "; ") != NULL)
        complain("%s", cause.text);
    else
        complain("%s; %s", cause.text, advice);
    return code_for_status(rc);
}

bool is_missing_store(const char *dir, loam_status rc)
{
    return rc == LOAM_IOERR && loam_errno() == ENOENT &&
           strncmp(loam_errmsg(), dir, strlen(dir)) == 0;
}

int complain_open(const char *dir, loam_status rc, bool reads)
{
    if (rc == LOAM_LOCKED && reads) {
        complain("%s, or read beside it with --follow", shown_sentence(loam_errmsg()).text);
        return CODE_LOCKED;
    }
    if (!is_missing_store(dir, rc)) return complain_status(rc);
    complain("%s; `loam DIR` creates a store there", shown_sentence(loam_errmsg()).text);
    return CODE_FAILED;
}

int complain_file(const char *path, int error)
{
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    const char *advice = "check the path and its permissions";
    if (full) advice = "make room on the disk and repeat";
    if (error == EBADF) advice = "it is closed; open or redirect it";
    complain("%s: %s; %s", shown_text(path).text, strerror(error), advice);
    return full ? CODE_FULL : CODE_FAILED;
}
