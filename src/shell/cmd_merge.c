/* cmd_merge.c - merge and incr; see handlers.h. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "shell/exit_code.h"
#include "shell/handlers.h"
#include "shell/message.h"

/* The current collection has an operator, and this one if it is named. */
static int check_merger(const struct session *session, const char *verb, const char *wanted)
{
    loam_coll_options options = {.struct_size = sizeof options};
    const loam_status rc = loam_coll_options_get(session->db, session->coll, &options);
    if (rc != LOAM_OK) return complain_status(rc);
    const struct shown name =
        shown_text(session->coll_name != NULL ? session->coll_name : "default");
    const char *got = options.merge_operator;
    if (got == NULL) {
        complain("%s: %s has no merge operator; `alter %s --merge %s` sets one", verb, name.text,
                 name.text, wanted != NULL ? wanted : "append");
        return CODE_FAILED;
    }
    if (wanted == NULL || strcmp(got, wanted) == 0) return CODE_DONE;
    complain(
        "%s: %s merges with %s, and this wants %s; `create NAME --merge %s` makes one that does",
        verb, name.text, got, wanted, wanted);
    return CODE_FAILED;
}

static loam_status merge_operand(const struct session *session, loam_slice key, loam_slice operand)
{
    return session->txn != NULL ? loam_txn_merge(session->txn, session->coll, key, operand)
                                : loam_merge(session->db, session->coll, key, operand);
}

int cmd_merge(struct session *session, const struct args *args)
{
    const int code = check_merger(session, "merge", NULL);
    if (code != CODE_DONE) return code;
    const loam_status rc = merge_operand(session, args_bytes(args, 0), args_bytes(args, 1));
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

/* Digits, and perhaps a sign before them. */
static bool parse_i64(loam_slice text, int64_t *number)
{
    const char *at = text.data;
    const bool negative = text.len > 0 && at[0] == '-';
    const uint64_t most = (uint64_t)INT64_MAX + negative;
    const size_t first = negative || (text.len > 0 && at[0] == '+');
    uint64_t value = 0;
    for (size_t i = first; i < text.len; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        const uint64_t digit = (uint64_t)(at[i] - '0');
        if (value > (most - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *number = (int64_t)(negative ? 0 - value : value);
    return text.len > first;
}

int cmd_incr(struct session *session, const struct args *args)
{
    uint8_t operand[sizeof(uint64_t)];
    int64_t by = 1;
    loam_buf value = {0};
    const loam_slice key = args_bytes(args, 0);
    if (args->count > 1 && !parse_i64(args_bytes(args, 1), &by)) {
        complain("incr: N is a whole number from -2^63 to 2^63 - 1");
        return CODE_USAGE;
    }
    const int code = check_merger(session, "incr", "add_i64");
    if (code != CODE_DONE) return code;
    put_u64(operand, (uint64_t)by);
    loam_status rc = merge_operand(session, key, loam_bytes(operand, sizeof operand));
    if (rc == LOAM_OK)
        rc = session->txn != NULL ? loam_txn_get(session->txn, session->coll, key, &value)
                                  : loam_get(session->db, session->coll, key, &value);
    if (rc == LOAM_OK && value.len == sizeof operand)
        sink_printf(&session->out, "%" PRId64 "\n", (int64_t)get_u64(value.data));
    loam_buf_free(&value);
    return rc != LOAM_OK ? complain_status(rc) : CODE_DONE;
}
