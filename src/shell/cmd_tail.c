/* cmd_tail.c - tail: what was written lately, from the change feed; see handlers.h. */
#include <inttypes.h>

#include "shell/exit_code.h"
#include "shell/format_jsonl.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/signals.h"
#include "shell/words.h"

enum { FOLLOW_MS = 100 /* until Ctrl-C is looked for again */ };

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [LOAM_EVENT_PUT] = "put",       [LOAM_EVENT_DELETE] = "delete",
        [LOAM_EVENT_MERGE] = "merge",   [LOAM_EVENT_DELETE_RANGE] = "delete-range",
        [LOAM_EVENT_CREATE] = "create", [LOAM_EVENT_RENAME] = "rename",
        [LOAM_EVENT_DROP] = "drop",     [LOAM_EVENT_CLONE] = "clone",
        [LOAM_EVENT_OPTIONS] = "alter", [LOAM_EVENT_INGEST] = "ingest"};
    const bool is_known = kind < sizeof names / sizeof *names && names[kind] != NULL;
    return is_known ? names[kind] : "other";
}

static bool has_value(const loam_event *event)
{
    return event->kind == LOAM_EVENT_PUT || event->kind == LOAM_EVENT_MERGE ||
           event->kind == LOAM_EVENT_DELETE_RANGE || event->kind == LOAM_EVENT_INGEST;
}

static void print_json_event(struct sink *out, const loam_event *event)
{
    const bool is_range = event->kind == LOAM_EVENT_DELETE_RANGE;
    const bool is_ingest = event->kind == LOAM_EVENT_INGEST;
    sink_printf(out, "{\"seq\":%" PRIu64 ",\"kind\":\"%s\",\"collection_id\":%u", event->seq,
                kind_name(event->kind), event->coll_id);
    if (event->coll_name != NULL) {
        sink_byte(out, ',');
        json_write_field(out, "collection", loam_str(event->coll_name));
    }
    if (event->kind < LOAM_EVENT_CREATE || is_ingest) {
        sink_byte(out, ',');
        json_write_field(out, is_range ? "from" : is_ingest ? "first" : "key", event->key);
    }
    if (has_value(event)) {
        sink_byte(out, ',');
        json_write_field(out, is_range ? "to" : is_ingest ? "last" : "value", event->value);
    }
    if (event->kind == LOAM_EVENT_CLONE)
        sink_printf(out, ",\"source_id\":%u,\"source_seq\":%" PRIu64, event->source_id,
                    event->source_seq);
    if (event->expires_ms > 0) sink_printf(out, ",\"expires_ms\":%" PRIu64, event->expires_ms);
    if (event->caller_index > 0) sink_printf(out, ",\"index\":%" PRIu64, event->caller_index);
    sink_printf(out, ",\"time_ms\":%" PRIu64 ",\"ends_commit\":%s}\n", event->time_ms,
                event->ends_commit ? "true" : "false");
}

static void print_event(struct sink *out, const loam_event *event)
{
    sink_printf(out, "%" PRIu64 "\t%s\t", event->seq, kind_name(event->kind));
    if (event->coll_name != NULL)
        word_show(out, loam_str(event->coll_name));
    else
        sink_printf(out, "#%u", event->coll_id);
    if (event->kind < LOAM_EVENT_CREATE) {
        sink_byte(out, '\t');
        word_show(out, event->key);
    }
    if (has_value(event)) {
        sink_byte(out, '\t');
        word_show(out, event->value);
    }
    if (event->kind == LOAM_EVENT_CLONE) sink_printf(out, "\tof #%u", event->source_id);
    sink_byte(out, '\n');
}

/* What --since asks for, or from the oldest that there is on. *first is read already, if there is one. */
static loam_status open_feed(const struct session *session, const struct args *args,
                             loam_feed **feed, loam_event *first)
{
    loam_status rc = loam_feed_open(session->db, args->since, feed);
    if (rc == LOAM_OK) rc = loam_feed_next(*feed, 0, first);
    if (rc != LOAM_CONFLICT || args_have(args, OPTION_SINCE)) return rc;
    loam_feed_close(*feed);
    rc = loam_feed_open(session->db, first->seq - 1, feed);
    return rc == LOAM_OK ? loam_feed_next(*feed, 0, first) : rc;
}

int cmd_tail(struct session *session, const struct args *args)
{
    loam_feed *feed = NULL;
    loam_event event = {.struct_size = sizeof event};
    const bool json = session->json || args_have(args, OPTION_JSON);
    const bool follow = args_have(args, OPTION_FOLLOW);
    uint64_t left = args_have(args, OPTION_LIMIT) ? args->limit : UINT64_MAX;
    int code = CODE_DONE;
    loam_status rc = left > 0 ? open_feed(session, args, &feed, &event) : LOAM_NOTFOUND;
    while (code == CODE_DONE && left > 0 && (rc == LOAM_OK || (rc == LOAM_NOTFOUND && follow))) {
        if (rc == LOAM_OK) {
            (json ? print_json_event : print_event)(&session->out, &event);
            left--;
        } else {
            code = session_flush(session); /* whoever follows sees it now */
        }
        if (code == CODE_DONE) code = session_stop(session);
        if (code == CODE_DONE && left > 0)
            rc = loam_feed_next(feed, follow && rc == LOAM_NOTFOUND ? FOLLOW_MS : 0, &event);
    }
    if (rc == LOAM_CONFLICT) {
        complain("tail: the log begins with sequence number %" PRIu64 "; --since %" PRIu64
                 " is the earliest",
                 event.seq, event.seq - 1);
        code = CODE_FAILED;
    } else if (rc < 0) {
        code = complain_status(rc);
    }
    loam_feed_close(feed);
    return code;
}
