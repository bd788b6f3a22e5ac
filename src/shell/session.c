/* session.c - see session.h. */
#include "shell/session.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/message.h"
#include "shell/screen.h"
#include "shell/signals.h"

static void log_engine_line(void *ctx, loam_log_level level, const char *line)
{
    const struct session *session = ctx;
    if (level == LOAM_LOG_INFO || (session->quiet && level != LOAM_LOG_ERROR)) return;
    complain("%s", shown_sentence(line).text);
}

/* What the writer has committed by now is what the command sees; a transaction keeps what it sees. */
static int refresh_session(struct session *session)
{
    if (session->txn != NULL) return CODE_DONE;
    const loam_status rc = loam_refresh(session->db);
    return rc < 0 ? complain_status(rc) : CODE_DONE;
}

loam_status session_try_open(struct session *session, enum session_access access)
{
    loam_options options = loam_options_default();
    options.read_only = session->read_only || access == ACCESS_READ;
    options.must_exist = options.read_only || access != ACCESS_CREATE;
    options.follow = session->follow;
    options.durability = session->durability;
    options.memory_bytes = session->memory_bytes;
    options.archive = session->archive;
    options.log = log_engine_line;
    options.log_ctx = session;
    const loam_status rc = loam_open(session->dir, &options, &session->db);
    if (rc < 0) return rc;
    if (session->follow) session->refresh = refresh_session;
    session->coll_name = grow_copy_text("default");
    return LOAM_OK;
}

int session_open(struct session *session, enum session_access access)
{
    const loam_status rc = session_try_open(session, access);
    if (rc >= 0) return CODE_DONE;
    const bool reads = session->read_only || access == ACCESS_READ;
    const int code = complain_open(session->dir, rc, reads);
    return code == CODE_ABSENT ? CODE_FAILED : code;
}

int session_close(struct session *session)
{
    int code = CODE_DONE;
    free(session->coll_name);
    session->coll_name = NULL;
    if (session->db == NULL) return CODE_DONE;
    if (session->txn != NULL) {
        loam_txn_close(session->txn);
        session->txn = NULL;
        complain(
            "the transaction was not committed, so nothing of it is stored; `commit` stores it");
        if (session->script) code = CODE_FAILED;
    }
    const loam_status rc = loam_close(session->db);
    session->db = NULL;
    return rc < 0 ? complain_status(rc) : code;
}

int session_no_txn(const struct session *session)
{
    if (session->txn == NULL) return CODE_DONE;
    complain("this cannot be part of a transaction; `commit` or `rollback` first");
    return CODE_FAILED;
}

int session_find(struct session *session, const char *name, loam_coll **coll)
{
    *coll = NULL;
    if (strcmp(name, "default") == 0) return CODE_DONE;
    const loam_status rc = loam_collection(session->db, name, coll);
    if (rc < 0) return complain_status(rc);
    if (rc == LOAM_OK) return CODE_DONE;
    const struct shown shown = shown_text(name);
    complain("%s: no such collection; `collections` lists them, `create %s` makes it", shown.text,
             shown.text);
    return CODE_ABSENT;
}

int session_use(struct session *session, const char *name)
{
    loam_coll *coll = NULL;
    const int code = session_find(session, name, &coll);
    session->lost = code != CODE_DONE;
    if (code != CODE_DONE) return code;
    char *copy = grow_copy_text(name);
    free(session->coll_name);
    session->coll_name = copy;
    session->coll = coll;
    return CODE_DONE;
}

int session_flush(struct session *session)
{
    sink_flush(&session->out);
    const int error = session->out.error;
    if (error == 0) return CODE_DONE;
    if (error == EPIPE) return CODE_PIPE;
    if (error == EINTR && signals_stop() != 0) {
        session->out.error = 0;
        return signals_stop();
    }
    /* The shell goes on when, for example, a full disk has room again. */
    session->out.error = 0;
    return complain_file("standard output", error);
}

int session_stop(const struct session *session)
{
    const int stop = signals_stop();
    if (stop != 0) return stop;
    return session->out.error != 0 ? CODE_FAILED : 0;
}

size_t session_columns(const struct session *session)
{
    return isatty(session->out.fd) ? screen_columns(session->out.fd) : 0;
}

bool session_colour(const struct session *session)
{
    return screen_takes_colour(session->out.fd);
}

void session_say(struct session *session, const char *text)
{
    if (!session->interactive || session->quiet) return;
    sink_text(&session->out, text);
    sink_byte(&session->out, '\n');
}
