/*
 * status.c - the thread-local failure record behind loam_errmsg(); see status.h.
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    WHOLE_TEXT_BYTES = 3500, /* of a message that is too long, before it is shortened */
    FRONT_BYTES = 160,       /* what stays of its beginning */
    REASON_BYTES = 80        /* for the system's own words */
};

static _Thread_local char status_text[STATUS_TEXT_MAX];
static _Thread_local int status_errno;

static void keep_both_ends(size_t room, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void set_text(size_t room, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* A path may be longer than the message that it begins: the middle goes, and the end, which has the reason, stays. */
static void keep_both_ends(size_t room, const char *format, va_list args)
{
    char whole[WHOLE_TEXT_BYTES];
    (void)vsnprintf(whole, sizeof whole, format, args);
    const size_t len = strlen(whole), rear = room - 1 - FRONT_BYTES - 3;
    whole[FRONT_BYTES] = 0;
    (void)snprintf(status_text, room, "%s...%s", whole, whole + len - rear);
}

static void set_text(size_t room, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    if (vsnprintf(status_text, room, format, args) >= (int)room)
        keep_both_ends(room, format, again);
    va_end(again);
}

const char *loam_errmsg(void)
{
    return status_text;
}

int loam_errno(void)
{
    return status_errno;
}

loam_status failed(loam_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(sizeof status_text, format, args);
    va_end(args);
    status_errno = 0;
    return code;
}

loam_status failed_errno(int os_error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_text(sizeof status_text - REASON_BYTES, format, args);
    va_end(args);
    const size_t used = strlen(status_text);
    /* glibc and musl keep these texts in constants or for each thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    (void)snprintf(status_text + used, sizeof status_text - used, ": %s", strerror(os_error));
    status_errno = os_error;
    /* A process without a free descriptor is like one without memory: it may have one soon. */
    if (os_error == ENOMEM || os_error == EMFILE || os_error == ENFILE) return LOAM_NOMEM;
    if (os_error == ENOSPC || os_error == EDQUOT || os_error == EFBIG) return LOAM_FULL;
    return LOAM_IOERR;
}

void failed_keep(char *text, size_t size)
{
    const size_t len = strlen(status_text);
    const size_t kept = len < size ? len : size - 1;
    memcpy(text, status_text, kept);
    text[kept] = 0;
}

void failure_save(struct failure *failure)
{
    memcpy(failure->text, status_text, sizeof status_text);
    failure->os_error = status_errno;
}

void failure_restore(const struct failure *failure)
{
    memcpy(status_text, failure->text, sizeof status_text);
    status_errno = failure->os_error;
}

loam_status failed_in(loam_status code, const char *where)
{
    struct failure failure;
    failure_save(&failure);
    const loam_status ignored = failed(code, "%s: %s", where, failure.text);
    (void)ignored; /* it is code */
    status_errno = failure.os_error;
    return code;
}

const char *loam_status_name(loam_status rc)
{
    switch (rc) {
    case LOAM_OK:
        return "LOAM_OK";
    case LOAM_NOTFOUND:
        return "LOAM_NOTFOUND";
    case LOAM_CONFLICT:
        return "LOAM_CONFLICT";
    case LOAM_EXISTS:
        return "LOAM_EXISTS";
    case LOAM_NOMEM:
        return "LOAM_NOMEM";
    case LOAM_INVALID:
        return "LOAM_INVALID";
    case LOAM_MISUSE:
        return "LOAM_MISUSE";
    case LOAM_IOERR:
        return "LOAM_IOERR";
    case LOAM_CORRUPT:
        return "LOAM_CORRUPT";
    case LOAM_LOCKED:
        return "LOAM_LOCKED";
    case LOAM_BUSY:
        return "LOAM_BUSY";
    case LOAM_READONLY:
        return "LOAM_READONLY";
    case LOAM_TOOBIG:
        return "LOAM_TOOBIG";
    case LOAM_FULL:
        return "LOAM_FULL";
    case LOAM_TOONEW:
        return "LOAM_TOONEW";
    }
    return "LOAM_UNKNOWN";
}

uint32_t loam_version_number(void)
{
    return LOAM_VERSION_NUMBER;
}
