/* cmd_ttl.c - ttl, expire and persist; see handlers.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/file_format.h"
#include "shell/format_jsonl.h"
#include "shell/handlers.h"
#include "shell/message.h"

enum { SECONDS_FROM_MS = 10000 }; /* shorter times are told in milliseconds */

/* The entry as it is now, its value too if that is wanted; CODE_ABSENT: there is none. */
static int look(const struct session *session, loam_lookup *lookup, uint32_t flags)
{
    const int code = session_no_txn(session);
    if (code != CODE_DONE) return code;
    const loam_status rc = loam_multi_get(session->db, session->coll, NULL, lookup, 1, flags);
    if (rc < 0) return complain_status(rc);
    if (lookup->answer == LOAM_OK) return CODE_DONE;
    if (!session->quiet) (void)fputs("(not found)\n", stderr);
    return CODE_ABSENT;
}

int cmd_ttl(struct session *session, const struct args *args)
{
    loam_lookup lookup = {.key = args_bytes(args, 0)};
    char text[TEXT_DURATION_BYTES_MAX];
    const int code = look(session, &lookup, LOAM_KEYS_ONLY);
    if (code != CODE_DONE) return code;
    if (session->json || args_have(args, OPTION_JSON)) {
        sink_byte(&session->out, '{');
        json_write_field(&session->out, "key", lookup.key);
        sink_printf(&session->out, ",\"expires_ms\":%" PRIu64 "}\n", lookup.expires_ms);
        return CODE_DONE;
    }
    const uint64_t now = wall_ms_now();
    uint64_t left = lookup.expires_ms > now ? lookup.expires_ms - now : 0;
    if (left >= SECONDS_FROM_MS) left = (left + 999) / 1000 * 1000;
    sink_printf(&session->out, "%s\n",
                lookup.expires_ms == 0 ? "never" : text_format_duration(text, left));
    return CODE_DONE;
}

/* Puts the value again with another ttl, until nobody has come between. */
static int put_again(struct session *session, loam_slice key, uint64_t ttl_ms)
{
    loam_lookup lookup = {.key = key};
    loam_status rc = LOAM_CONFLICT;
    int code = CODE_DONE;
    while (code == CODE_DONE && rc == LOAM_CONFLICT) {
        code = look(session, &lookup, 0);
        if (code != CODE_DONE) break;
        const loam_if same = {.kind = LOAM_IF_SEQ, .seq = lookup.seq};
        rc = loam_put_if_ttl(session->db, session->coll, key,
                             loam_bytes(lookup.value.data, lookup.value.len), ttl_ms, &same, NULL);
        if (rc < 0) code = complain_status(rc);
    }
    loam_buf_free(&lookup.value);
    if (code == CODE_DONE) session_say(session, "OK");
    return code;
}

int cmd_expire(struct session *session, const struct args *args)
{
    uint64_t ttl_ms;
    if (!text_parse_duration(args->arg[1].data, &ttl_ms)) {
        complain("expire: %s is no time; say 500ms, 90s, 5m, 1h or 2d",
                 shown_text(args->arg[1].data).text);
        return CODE_USAGE;
    }
    return put_again(session, args_bytes(args, 0), ttl_ms);
}

int cmd_persist(struct session *session, const struct args *args)
{
    return put_again(session, args_bytes(args, 0), 0);
}
