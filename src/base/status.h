/*
 * status.h - how a failure is recorded at the place where it is understood.
 *
 * Role: failed() stores a formatted message for this thread and returns the code,
 *   so that the origin writes `return failed(LOAM_CORRUPT, ...)` and everybody
 *   above it just passes rc along.
 * Invariants: never allocates; the message is at most STATUS_TEXT_MAX - 1 bytes.
 * In the picture: base layer; the public loam_errmsg() reads what failed() wrote.
 */
#ifndef LOAM_BASE_STATUS_H
#define LOAM_BASE_STATUS_H

#include <loam.h>

#define STATUS_TEXT_MAX 512

loam_status failed(loam_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));
/* ENOMEM is LOAM_NOMEM; ENOSPC, EDQUOT and EFBIG are LOAM_FULL; all else is LOAM_IOERR. */
loam_status failed_errno(int os_error, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Keeps a copy of the recorded message, cut to size, for who has to say it again later. */
void failed_keep(char *text, size_t size);

/* Sets a failure aside while cleaning up, and makes it the latest again. */
struct failure {
    char text[STATUS_TEXT_MAX];
    int os_error;
};
void failure_save(struct failure *failure);
void failure_restore(const struct failure *failure);

/* Puts "where: " before the message that is recorded; code and errno stay. */
loam_status failed_in(loam_status code, const char *where) __attribute__((cold));

#endif
