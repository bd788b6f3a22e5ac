/*
 * wal_cursor.c - reads the log of a running database; see wal_cursor.h.
 */
#include "wal/wal_cursor.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

enum { CURSOR_BYTES = 256 << 10 /* that are read at a time */ };

static void leave_segment(struct wal_cursor *cursor)
{
    object_close(cursor->object);
    cursor->object = NULL;
    cursor->view.bytes.len = 0;
}

/* Is the segment that a position lies in still there? Then it has been all the time. */
static bool is_there(const struct wal_cursor *cursor, uint64_t position)
{
    struct object_id id;
    uint64_t start;
    return wal_segment_of(cursor->wal, position, &id, &start);
}

/* Opens the segment of that id, unless it is open. LOAM_NOTFOUND: it was never begun. */
static loam_status enter_segment(struct wal_cursor *cursor, struct object_id id, uint64_t start)
{
    struct segment_view *view = &cursor->view;
    if (cursor->object != NULL && object_id_equal(view->header.id, id)) return LOAM_OK;
    leave_segment(cursor);
    object_name_make(OBJECT_SEGMENT, id, view->name);
    loam_status rc = segment_peek(cursor->store, OBJECT_SEGMENT, id, &view->header);
    if (rc == LOAM_OK && view->header.start != start)
        rc = failed(LOAM_CORRUPT, "%s: byte 32: starts at %" PRIu64 ", and should at %" PRIu64,
                    view->name, view->header.start, start);
    if (rc == LOAM_OK) rc = object_open(cursor->store, view->name, &cursor->object);
    return rc;
}

static uint64_t offset_of(const struct wal_cursor *cursor, uint64_t position)
{
    return SEGMENT_HEADER_BYTES + (position - cursor->view.header.start);
}

/* Reads so many bytes from position on, more if there are more, fewer where the file ends. */
static loam_status read_piece(struct wal_cursor *cursor, uint64_t position, uint64_t bytes)
{
    loam_buf *piece = &cursor->view.bytes;
    const uint64_t offset = offset_of(cursor, position), size = object_bytes(cursor->object);
    const uint64_t written = wal_end(cursor->wal) - position; /* behind it are no records yet */
    uint64_t len = size > offset ? size - offset : 0, most = CURSOR_BYTES;
    if (written < most) most = written;
    if (bytes > most) most = bytes;
    if (most < len) len = most;
    piece->len = 0;
    loam_status rc = buf_reserve(piece, len > 0 ? (size_t)len : 1);
    if (rc == LOAM_OK) rc = object_read(cursor->object, offset, piece->data, (size_t)len);
    if (rc < 0) return rc;
    piece->len = (size_t)len;
    cursor->bytes_position = position;
    return LOAM_OK;
}

/* The head of the record at position, if the piece holds a valid one; and the record, if it holds all of it. */
static const uint8_t *head_in_piece(const struct wal_cursor *cursor, uint64_t position,
                                    struct record *record)
{
    const struct segment_view *view = &cursor->view;
    if (position < cursor->bytes_position) return NULL;
    const uint64_t at = position - cursor->bytes_position;
    if (at > view->bytes.len || view->bytes.len - at < RECORD_HEAD_BYTES) return NULL;
    const uint8_t *head = (const uint8_t *)view->bytes.data + at;
    return record_head_get(&view->header, head, position, record) ? head : NULL;
}

static bool is_in_piece(const struct wal_cursor *cursor, uint64_t position, struct record *record)
{
    const uint8_t *head = head_in_piece(cursor, position, record);
    const uint64_t piece_end = cursor->bytes_position + cursor->view.bytes.len;
    return head != NULL && record->end <= piece_end &&
           record_body_get(&cursor->view.header, head, record);
}

/* The record at position in the segment that is open; what was read earlier may be from before it was written. */
static loam_status read_record(struct wal_cursor *cursor, uint64_t position, struct record *record)
{
    if (is_in_piece(cursor, position, record)) return LOAM_OK;
    loam_status rc = read_piece(cursor, position, RECORD_HEAD_BYTES);
    if (rc == LOAM_OK && head_in_piece(cursor, position, record) != NULL &&
        record->end - position > cursor->view.bytes.len)
        rc = read_piece(cursor, position, record->end - position);
    if (rc < 0) return rc;
    return is_in_piece(cursor, position, record) ? LOAM_OK : LOAM_NOTFOUND;
}

/* The same wherever it stands. */
static loam_status find_record(struct wal_cursor *cursor, uint64_t position, struct record *record)
{
    struct object_id id;
    uint64_t start;
    if (cursor->object != NULL && is_in_piece(cursor, position, record)) return LOAM_OK;
    if (!wal_segment_of(cursor->wal, position, &id, &start)) return LOAM_CONFLICT;
    loam_status rc = enter_segment(cursor, id, start);
    if (rc == LOAM_OK) rc = read_record(cursor, position, record);
    if (rc == LOAM_NOTFOUND && cursor->object != NULL)
        rc = failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": a record that was there is damaged",
                    cursor->view.name, offset_of(cursor, position));
    if (rc == LOAM_NOTFOUND)
        rc = failed(LOAM_CORRUPT, "%s: byte 0: missing, or without a valid header",
                    cursor->view.name);
    if (rc == LOAM_OK) return rc;
    leave_segment(cursor);
    return is_there(cursor, position) ? rc : LOAM_CONFLICT; /* one that is gone answers anything */
}

loam_status wal_cursor_next(struct wal_cursor *cursor, struct wal_commit *commit)
{
    struct record record = {.kind = 0};
    uint64_t position = cursor->position;
    loam_status rc;
    cursor->parts.is_open = false;
    do {
        rc = find_record(cursor, position, &record);
        if (rc != LOAM_OK) return rc;
        position = record.end;
        rc = wal_parts_take(&cursor->parts, &cursor->view, &record, commit);
    } while (rc == LOAM_NOTFOUND || (rc == LOAM_OK && commit->kind == RECORD_ATTEST));
    if (rc < 0) return rc;
    cursor->position = position;
    if (cursor->hold.position < cursor->view.header.start)
        wal_hold_move(cursor->wal, &cursor->hold, position);
    return LOAM_OK;
}

/* ---- finding the place ---------------------------------------------------------------------- */

/* The first record of a segment that begins a commit; what stands before it ends one. LOAM_NOTFOUND: none does, or not yet. */
static loam_status read_first(struct wal_cursor *cursor, struct object_id id, uint64_t start,
                              struct record *record)
{
    loam_status rc = enter_segment(cursor, id, start);
    *record = (struct record){.end = start};
    while (rc == LOAM_OK && (record->flags & RECORD_FIRST) == 0) {
        const uint64_t at = record->end;
        rc = read_piece(cursor, at, RECORD_HEAD_BYTES);
        if (rc == LOAM_OK && head_in_piece(cursor, at, record) == NULL) rc = LOAM_NOTFOUND;
    }
    if (rc != LOAM_OK) leave_segment(cursor);
    return rc;
}

/* The commit of *seq stands behind the first one of the newest segment in which that is not newer. */
static loam_status find_place(struct wal_cursor *cursor, struct wal_place end, uint64_t *seq)
{
    struct object_id id;
    struct record record = {.kind = 0};
    uint64_t start = UINT64_MAX, oldest = end.seq;
    cursor->position = end.position;
    if (*seq == end.seq) return LOAM_OK;
    while (wal_segment_before(cursor->wal, start, &id, &start)) {
        const loam_status rc = read_first(cursor, id, start, &record);
        if (rc < 0 && is_there(cursor, start)) return rc;
        if (rc < 0) break;
        if (rc == LOAM_NOTFOUND) continue;
        oldest = record.seq;
        cursor->position = record.position;
        if (oldest <= *seq) return LOAM_OK;
    }
    *seq = oldest;
    return LOAM_CONFLICT;
}

void wal_cursor_open(struct wal *wal, struct store *store, struct wal_cursor *cursor)
{
    *cursor = (struct wal_cursor){.wal = wal, .store = store};
    wal_hold(wal, &cursor->hold, UINT64_MAX);
}

loam_status wal_cursor_seek(struct wal_cursor *cursor, struct wal_place end, uint64_t *seq)
{
    wal_hold_move(cursor->wal, &cursor->hold, 0); /* nothing goes meanwhile */
    const loam_status rc = find_place(cursor, end, seq);
    wal_hold_move(cursor->wal, &cursor->hold, rc == LOAM_OK ? cursor->position : UINT64_MAX);
    return rc;
}

void wal_cursor_close(struct wal_cursor *cursor)
{
    wal_unhold(cursor->wal, &cursor->hold);
    leave_segment(cursor);
    segment_view_deinit(&cursor->view);
    loam_buf_free(&cursor->parts.bytes);
}
