/* cmd_explain.c - explain and doctor; see handlers.h. */
#include <stdlib.h>

#include "base/findings.h"
#include "shell/exit_code.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/tell.h"

bool explain_writes(const struct args *args)
{
    return args->count > 0 && strcmp(args->arg[0].data, "put") == 0;
}

static struct tell tell_of(struct session *session, const struct args *args)
{
    return (struct tell){&session->out, session->json || args_have(args, OPTION_JSON)};
}

/* A signal, or output that did not arrive, made found() say stop. */
static int code_of(const struct session *session, loam_status rc)
{
    const int stop = session_stop(session);
    if (rc == LOAM_CONFLICT && stop != 0) return stop;
    if (rc == LOAM_NOTFOUND) return CODE_ABSENT;
    return rc == LOAM_OK ? CODE_DONE : complain_status(rc);
}

static int complain_explain(const char *problem)
{
    complain("explain: %s; usage: explain get KEY, explain scan [FROM [TO]], explain put KEY VALUE",
             problem);
    return CODE_USAGE;
}

int cmd_explain(struct session *session, const struct args *args)
{
    struct tell tell = tell_of(session, args);
    const char *what = args->arg[0].data;
    const bool is_get = strcmp(what, "get") == 0, is_scan = strcmp(what, "scan") == 0;
    const loam_slice first = args_bytes(args, 1), second = args_bytes(args, 2);
    if (!is_get && !is_scan && !explain_writes(args)) return complain_explain("get, scan or put?");
    if (!is_scan && args->count != (is_get ? 2 : 3))
        return complain_explain(args->count < 3 ? "something is missing" : "too many arguments");
    if (!is_scan && (args_have(args, OPTION_PREFIX) || args_have(args, OPTION_LIMIT)))
        return complain_explain("--prefix and --limit are for scan");
    const int code = session_no_txn(session);
    if (code != CODE_DONE) return code;
    if (is_get)
        return code_of(session, loam_explain_get(session->db, session->coll, NULL, first,
                                                 tell_finding, &tell));
    if (!is_scan)
        return code_of(session, loam_explain_put(session->db, session->coll, first, second,
                                                 tell_finding, &tell));
    const loam_range range = {.from = first, .to = second, .prefix = grow_slice(&args->prefix)};
    return code_of(session, loam_explain_scan(session->db, session->coll, &range, args->limit,
                                              tell_finding, &tell));
}

/* ---- doctor ---------------------------------------------------------------------------------- */

struct consultation {
    struct tell tell;
    uint64_t damage_count, advice_count;
};

/* A sentence on a line of its own. */
static void say_fact(struct sink *out, const char *before, const loam_finding *finding,
                     const char *name)
{
    const loam_fact *fact = tell_fact(finding, name);
    struct grow text = {0};
    if (fact == NULL) return;
    grow_add(&text, fact->bytes.data, fact->bytes.len);
    *grow_reserve(&text, 1) = '\0';
    sink_printf(out, "  %s: %s\n", before, shown_sentence(text.data).text);
    grow_free(&text);
}

static bool take_finding(void *ctx, const loam_finding *finding)
{
    struct consultation *consultation = ctx;
    struct sink *out = consultation->tell.out;
    const loam_fact *text = tell_fact(finding, "text");
    consultation->damage_count += strcmp(finding->kind, "damage") == 0;
    consultation->advice_count += strcmp(finding->kind, "advice") == 0;
    if (consultation->tell.json || text == NULL) return tell_finding(&consultation->tell, finding);
    say_fact(out, finding->kind, finding, "text");
    say_fact(out, "    what to do", finding, "remedy");
    return out->error == 0;
}

/* ---- a store that does not open -------------------------------------------------------------- */

struct diagnosis {
    struct findings findings;
    uint64_t damage_count, advice_count;
};

static void diagnose(struct diagnosis *diagnosis, const char *kind, const char *name,
                     const char *text, const char *remedy)
{
    struct findings *findings = &diagnosis->findings;
    finding_begin(findings, kind, 1);
    fact_text(findings, "name", name);
    fact_text(findings, "text", text);
    if (remedy != NULL) fact_text(findings, "remedy", remedy);
    finding_send(findings);
}

static void take_fault(void *ctx, const char *text)
{
    struct diagnosis *diagnosis = ctx;
    diagnosis->damage_count++;
    diagnose(diagnosis, "damage", "damage", text,
             "`restore` a backup into a new directory, or `repair` what is intact into one");
}

static const char *name_of_refusal(const char *dir, loam_status rc)
{
    if (is_missing_store(dir, rc) || rc == LOAM_INVALID) return "no_store";
    if (rc == LOAM_LOCKED) return "locked";
    if (rc == LOAM_TOONEW) return "too_new";
    return rc == LOAM_NOMEM ? "no_memory" : "not_readable";
}

/* The library's sentence may end with what to do. */
static void tell_refusal(struct diagnosis *diagnosis, const char *dir, loam_status rc)
{
    const char *remedy = is_missing_store(dir, rc)
                             ? "check the path; `loam DIR` creates a store there"
                             : advice_for_status(rc);
    char *text = grow_copy_text(loam_errmsg()), *better = strstr(text, "; ");
    if (better != NULL) *better = '\0';
    if (better != NULL && remedy == NULL) remedy = better + 2;
    if (rc == LOAM_INVALID) remedy = "give the directory of a store";
    if (rc == LOAM_LOCKED)
        remedy = "close it there, or wait; --follow reads beside it, and `inspect` needs no lock";
    diagnosis->advice_count++;
    diagnose(diagnosis, "advice", name_of_refusal(dir, rc), text, remedy);
    free(text);
}

static int tell_unopened(struct session *session, struct consultation *consultation,
                         loam_status refusal)
{
    struct diagnosis diagnosis = {.damage_count = 0};
    struct findings *findings = &diagnosis.findings;
    loam_status rc = findings_init(findings, take_finding, consultation);
    if (rc != LOAM_OK) return code_of(session, rc);
    finding_begin(findings, "doctor", 0);
    fact_text(findings, "directory", session->dir);
    finding_send(findings);
    if (refusal == LOAM_CORRUPT) rc = loam_verify(session->dir, take_fault, &diagnosis);
    if (rc < 0) refusal = rc; /* the same, but for what has happened meanwhile */
    if (diagnosis.damage_count == 0) tell_refusal(&diagnosis, session->dir, refusal);
    finding_begin(findings, "verdict", 1);
    fact_number(findings, "healthy", LOAM_FACT_FLAG, 0);
    fact_count(findings, "damage", diagnosis.damage_count);
    fact_count(findings, "advice", diagnosis.advice_count);
    finding_send(findings);
    const int stop = session_stop(session);
    return stop != 0 ? stop : code_for_status(refusal);
}

int cmd_doctor(struct session *session, const struct args *args)
{
    struct consultation consultation = {.tell = tell_of(session, args)};
    loam_status rc = LOAM_OK;
    if (session->db == NULL) rc = session_try_open(session, ACCESS_READ);
    if (rc < 0) return tell_unopened(session, &consultation, rc);
    rc = loam_doctor(session->db, take_finding, &consultation);
    if (rc != LOAM_OK && (rc != LOAM_CORRUPT || consultation.damage_count == 0))
        return code_of(session, rc);
    if (consultation.damage_count > 0) return CODE_CORRUPT;
    return consultation.advice_count > 0 ? CODE_ABSENT : CODE_DONE;
}
