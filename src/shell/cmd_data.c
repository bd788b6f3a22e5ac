/* cmd_data.c - put, get, delete, exists, scan and count; see handlers.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/format_jsonl.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/screen.h"
#include "shell/words.h"

static loam_status put(const struct session *session, loam_slice key, loam_slice value,
                       const uint64_t *ttl_ms)
{
    loam_txn *txn = session->txn;
    loam_coll *coll = session->coll;
    if (txn != NULL)
        return ttl_ms != NULL ? loam_txn_put_ttl(txn, coll, key, value, *ttl_ms)
                              : loam_txn_put(txn, coll, key, value);
    return ttl_ms != NULL ? loam_put_ttl(session->db, coll, key, value, *ttl_ms)
                          : loam_put(session->db, coll, key, value);
}

int cmd_put(struct session *session, const struct args *args)
{
    const uint64_t *ttl_ms = args_have(args, OPTION_TTL) ? &args->ttl_ms : NULL;
    const loam_status rc = put(session, args_bytes(args, 0), args_bytes(args, 1), ttl_ms);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

/* In the transaction, if one is open; value NULL: only whether it is there. */
static loam_status look_up(const struct session *session, loam_slice key, loam_buf *value)
{
    if (session->txn != NULL) return loam_txn_get(session->txn, session->coll, key, value);
    if (value == NULL) return loam_exists(session->db, session->coll, key);
    return loam_get(session->db, session->coll, key, value);
}

static loam_status open_range(const struct session *session, const loam_range *range,
                              loam_iter **out)
{
    return session->txn != NULL ? loam_txn_iter_open(session->txn, session->coll, range, out)
                                : loam_iter_open(session->db, session->coll, range, out);
}

static void print_json_entry(struct session *session, loam_slice key, loam_slice value, bool keys)
{
    sink_byte(&session->out, '{');
    json_write_field(&session->out, "key", key);
    if (!keys) {
        sink_byte(&session->out, ',');
        json_write_field(&session->out, "value", value);
    }
    sink_text(&session->out, "}\n");
}

int cmd_get(struct session *session, const struct args *args)
{
    loam_buf value = {0};
    const loam_slice key = args_bytes(args, 0);
    const loam_status rc = look_up(session, key, &value);
    int code = CODE_DONE;
    if (rc < 0) {
        code = complain_status(rc);
    } else if (rc == LOAM_NOTFOUND) {
        if (!session->quiet) (void)fputs("(not found)\n", stderr);
        code = CODE_ABSENT;
    } else {
        const loam_slice bytes = loam_bytes(value.data, value.len);
        const bool raw = args->mode != NULL ? strcmp(args->mode, "raw") == 0 : session->raw;
        if (session->json || args_have(args, OPTION_JSON)) {
            print_json_entry(session, key, bytes, false);
        } else if (raw) {
            sink_write(&session->out, bytes.data, bytes.len);
        } else {
            word_show(&session->out, bytes);
            sink_byte(&session->out, '\n');
        }
    }
    loam_buf_free(&value);
    return code;
}

static loam_range range_of(const struct args *args)
{
    loam_range range = {0};
    range.from = args_bytes(args, 0);
    range.to = args_bytes(args, 1);
    range.prefix = grow_slice(&args->prefix);
    return range;
}

int cmd_delete(struct session *session, const struct args *args)
{
    const loam_slice key = args_bytes(args, 0);
    const loam_status rc = session->txn != NULL ? loam_txn_delete(session->txn, session->coll, key)
                                                : loam_delete(session->db, session->coll, key);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

int delete_keys(struct session *session, const loam_range *range)
{
    const loam_status rc = session->txn != NULL
                               ? loam_txn_delete_range(session->txn, session->coll, range)
                               : loam_delete_range(session->db, session->coll, range);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

int cmd_delete_range(struct session *session, const struct args *args)
{
    const loam_range range = range_of(args);
    if (range.from.len > 0 || range.to.len > 0 || range.prefix.len > 0)
        return delete_keys(session, &range);
    complain("delete-range: would remove everything; name a range, or say truncate");
    return CODE_USAGE;
}

int cmd_exists(struct session *session, const struct args *args)
{
    const loam_status rc = look_up(session, args_bytes(args, 0), NULL);
    if (rc < 0) return complain_status(rc);
    sink_text(&session->out, rc == LOAM_OK ? "true\n" : "false\n");
    return rc == LOAM_OK ? CODE_DONE : CODE_ABSENT;
}

/* How the lines of a scan look. */
struct scan_lines {
    bool keys, json, colour;
    size_t columns; /* 0 = not cut */
    struct grow text;
};

/* What cannot fit a line need not be escaped first. */
static loam_slice shortened(loam_slice bytes, size_t columns)
{
    const size_t most = columns * 4;
    return bytes.len > most ? loam_bytes(bytes.data, most) : bytes;
}

static void print_terminal_line(struct session *session, struct scan_lines *lines, loam_slice key,
                                loam_slice value)
{
    struct sink *out = &session->out;
    struct grow *text = &lines->text;
    text->len = 0;
    size_t used = 0, value_used = 0;
    word_escape(text, shortened(key, lines->columns));
    size_t fitting = screen_fit(grow_slice(text), lines->columns, &used);
    if (lines->colour) sink_text(out, "\033[36m");
    sink_write(out, text->data, fitting);
    if (lines->colour) sink_text(out, "\033[0m");
    if (!lines->keys && used + 4 < lines->columns) {
        text->len = 0;
        word_escape(text, shortened(value, lines->columns));
        const size_t left = lines->columns - used - 2;
        fitting = screen_fit(grow_slice(text), left, &value_used);
        const bool cut = fitting < text->len;
        if (cut) fitting = screen_fit(grow_slice(text), left - 3, &value_used);
        sink_text(out, "  ");
        sink_write(out, text->data, fitting);
        if (cut) sink_text(out, "...");
    }
    sink_byte(out, '\n');
}

static void print_scan_line(struct session *session, struct scan_lines *lines,
                            const loam_iter *entry)
{
    const loam_slice key = loam_iter_key(entry), value = loam_iter_value(entry);
    if (lines->json) {
        print_json_entry(session, key, value, lines->keys);
        return;
    }
    if (lines->columns > 0) {
        print_terminal_line(session, lines, key, value);
        return;
    }
    word_show(&session->out, key);
    if (!lines->keys) {
        sink_byte(&session->out, '\t');
        word_show(&session->out, value);
    }
    sink_byte(&session->out, '\n');
}

int cmd_scan(struct session *session, const struct args *args)
{
    loam_iter *entry = NULL;
    loam_range range = range_of(args);
    struct scan_lines lines = {.keys = args_have(args, OPTION_KEYS),
                               .json = session->json || args_have(args, OPTION_JSON),
                               .colour = session_colour(session),
                               .columns = session_columns(session)};
    uint64_t left = args_have(args, OPTION_LIMIT) ? args->limit : UINT64_MAX;
    int code = CODE_DONE;
    if (lines.keys) range.flags = LOAM_KEYS_ONLY;
    loam_status rc = open_range(session, &range, &entry);
    for (; rc == LOAM_OK && left > 0 && code == CODE_DONE; left--) {
        rc = args_have(args, OPTION_REVERSE) ? loam_iter_prev(entry) : loam_iter_next(entry);
        if (rc != LOAM_OK) break;
        print_scan_line(session, &lines, entry);
        code = session_stop(session);
    }
    if (rc < 0) code = complain_status(rc);
    loam_iter_close(entry);
    grow_free(&lines.text);
    return code;
}

int cmd_count(struct session *session, const struct args *args)
{
    loam_iter *entry = NULL;
    loam_range range = range_of(args);
    uint64_t count = 0;
    int code = CODE_DONE;
    range.flags = LOAM_KEYS_ONLY;
    loam_status rc = open_range(session, &range, &entry);
    while (rc == LOAM_OK && code == CODE_DONE) {
        rc = loam_iter_next(entry);
        count += rc == LOAM_OK;
        code = session_stop(session);
    }
    if (rc < 0) code = complain_status(rc);
    if (code == CODE_DONE) sink_printf(&session->out, "%" PRIu64 "\n", count);
    loam_iter_close(entry);
    return code;
}

int cmd_estimate(struct session *session, const struct args *args)
{
    char size[TEXT_SIZE_BYTES_MAX];
    uint64_t count, bytes;
    const loam_range range = range_of(args);
    const loam_status rc = loam_estimate(session->db, session->coll, &range, &count, &bytes);
    if (rc != LOAM_OK) return complain_status(rc);
    if (session->json || args_have(args, OPTION_JSON))
        sink_printf(&session->out, "{\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n", count,
                    bytes);
    else
        sink_printf(&session->out, "about %" PRIu64 " %s, %s\n", count,
                    count == 1 ? "entry" : "entries", text_format_size(size, bytes));
    return CODE_DONE;
}
