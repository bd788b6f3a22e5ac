/* cmd_txn.c - begin, savepoint, rollback, commit and cas; see handlers.h. */
#include "shell/exit_code.h"
#include "shell/handlers.h"
#include "shell/message.h"

static int complain_none(void)
{
    complain("no transaction is open; `begin` opens one");
    return CODE_FAILED;
}

int cmd_begin(struct session *session, const struct args *args)
{
    (void)args;
    if (!session->interactive && !session->script) {
        complain("begin: a transaction is made of several commands; give them on standard input");
        return CODE_USAGE;
    }
    if (session->txn != NULL) {
        complain("a transaction is open already; `savepoint` begins a part of it");
        return CODE_FAILED;
    }
    const loam_status rc = loam_txn_begin(session->db, &session->txn);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

int cmd_savepoint(struct session *session, const struct args *args)
{
    (void)args;
    if (session->txn == NULL) return complain_none();
    const loam_status rc = loam_txn_savepoint(session->txn);
    if (rc != LOAM_OK) return complain_status(rc);
    session->savepoint_count++;
    session_say(session, "OK");
    return CODE_DONE;
}

static void end_txn(struct session *session)
{
    loam_txn_close(session->txn);
    session->txn = NULL;
    session->savepoint_count = 0;
}

/* Without a savepoint nothing would be left of it. */
int cmd_rollback(struct session *session, const struct args *args)
{
    (void)args;
    if (session->txn == NULL) return complain_none();
    if (session->savepoint_count == 0) {
        end_txn(session);
    } else {
        const loam_status rc = loam_txn_rollback(session->txn);
        if (rc != LOAM_OK) return complain_status(rc);
        session->savepoint_count--;
    }
    session_say(session, "OK");
    return CODE_DONE;
}

int cmd_commit(struct session *session, const struct args *args)
{
    (void)args;
    if (session->txn == NULL) return complain_none();
    const loam_status rc = loam_txn_commit(session->txn, LOAM_DURABLE_DEFAULT);
    if (rc < 0) return complain_status(rc); /* it may be tried again */
    end_txn(session);
    if (rc == LOAM_CONFLICT) {
        complain(
            "conflict: what the transaction has read was written meanwhile, so nothing of it is "
            "stored; begin it again");
        return CODE_EXISTS;
    }
    session_say(session, "OK");
    return CODE_DONE;
}

/* KEY NEW: only if KEY is not there. KEY OLD NEW: only if it has the value OLD. */
int cmd_cas(struct session *session, const struct args *args)
{
    const bool has_old = args->count == 3;
    const loam_if condition = {.kind = has_old ? LOAM_IF_EQUAL : LOAM_IF_ABSENT,
                               .value = args_bytes(args, 1)}; /* looked at with OLD */
    const int code = session_no_txn(session);
    if (code != CODE_DONE) return code;
    const loam_status rc = loam_put_if(session->db, session->coll, args_bytes(args, 0),
                                       args_bytes(args, has_old ? 2 : 1), &condition, NULL);
    if (rc < 0) return complain_status(rc);
    if (rc == LOAM_CONFLICT) {
        complain(has_old ? "KEY has another value, or none; `get` shows it"
                         : "KEY is there already; `get` shows its value");
        return CODE_EXISTS;
    }
    session_say(session, "OK");
    return CODE_DONE;
}
