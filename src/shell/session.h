/*
 * session.h - the open store, the current collection and how to behave.
 *
 * Role: what all commands share; opens and closes the store once.
 * Invariants: (1) coll belongs to coll_name; NULL is "default". (2) After a
 *   failed session_use() the session is lost until one succeeds: a script ends
 *   rather than writing to the wrong collection.
 * In the picture: shell layer; shell_main fills it, commands use it.
 */
#ifndef LOAM_SHELL_SESSION_H
#define LOAM_SHELL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <loam.h>

#include "shell/sink.h"

enum session_access {
    ACCESS_NONE,     /* needs no store */
    ACCESS_DIR,      /* works on a closed store */
    ACCESS_READ,     /* opens it read-only */
    ACCESS_EXISTING, /* writes to a store that is there */
    ACCESS_CREATE    /* creates it where it is missing */
};

struct session {
    const char *dir;
    const char *start_name; /* -c, or NULL */
    const char *archive;    /* of the store, or NULL */
    loam_durability durability;
    uint64_t memory_bytes;
    bool interactive, script;
    bool read_only, follow, decode, raw, json, quiet, yes;

    loam_db *db;
    loam_coll *coll;
    char *coll_name;
    unsigned savepoint_count;
    loam_txn *txn; /* or NULL: data commands work in it */
    bool lost, leaving;
    int (*refresh)(
        struct session *session); /* before a command looks again; NULL: there is nothing to do */
    struct sink out;              /* standard output */
};

/* These complain themselves and return an exit status. */
int session_open(struct session *session, enum session_access access);
loam_status session_try_open(struct session *session, enum session_access access); /* silent */
int session_close(struct session *session);
int session_use(struct session *session, const char *name);
int session_find(struct session *session, const char *name, loam_coll **coll);

/* For commands that are commits of their own: refuses while a transaction is open. */
int session_no_txn(const struct session *session);

/* Flushes standard output. CODE_DONE, CODE_PIPE, a signal's status, or a failure. */
int session_flush(struct session *session);

/* 0, or why a loop must end: a signal or output that does not arrive. */
int session_stop(const struct session *session);

/* How wide tables may be on standard output; 0 when it is no terminal. */
size_t session_columns(const struct session *session);
bool session_colour(const struct session *session);

/* `OK` and the like: only for those who type. */
void session_say(struct session *session, const char *text);

#endif
