/*
 * complete.h - what could come next on the line that is being typed.
 *
 * Role: candidates for Tab, and the syntax that the grey hint shows; both from
 *   the table of commands, the collections and the live keys.
 * Invariants: looks at a bounded number of keys, and says nothing rather than
 *   complain.
 * In the picture: shell layer; the line editor draws what comes from here.
 */
#ifndef LOAM_SHELL_COMPLETE_H
#define LOAM_SHELL_COMPLETE_H

#include "shell/grow.h"
#include "shell/session.h"

enum { CANDIDATES_MAX = 100 };

struct completion {
    struct grow candidate[CANDIDATES_MAX]; /* bytes, not quoted */
    size_t count;
    bool more;          /* than are listed */
    size_t at;          /* where in the line the word starts */
    struct grow common; /* what all candidates begin with, also those beyond the list */
    bool verbatim;      /* candidates are no bytes that may need quotes */
    struct grow insert; /* what to put in place of the word; empty = nothing new */
};

/* line is what stands before the cursor. */
void complete_line(const struct session *session, loam_slice line, struct completion *completion);
void completion_free(struct completion *completion);

/* Appends what may follow the line. */
void complete_hint(loam_slice line, struct grow *hint);

#endif
