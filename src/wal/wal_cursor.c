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
    const loam_status rc = piece_enter(&cursor->piece, id);
    const struct segment_view *view = &cursor->piece.view;
    if (rc != LOAM_OK || view->header.start == start) return rc;
    return failed(LOAM_CORRUPT, "%s: byte 32: starts at %" PRIu64 ", and should at %" PRIu64,
                  view->name, view->header.start, start);
}

/* The record at position, wherever that stands. */
static loam_status find_record(struct wal_cursor *cursor, uint64_t position, struct record *record)
{
    struct object_id id;
    uint64_t start;
    if (cursor->piece.object != NULL && piece_holds(&cursor->piece, position, record))
        return LOAM_OK;
    if (!wal_segment_of(cursor->wal, position, &id, &start)) return LOAM_CONFLICT;
    loam_status rc = enter_segment(cursor, id, start);
    if (rc == LOAM_OK) rc = piece_record(&cursor->piece, position, wal_end(cursor->wal), record);
    if (rc == LOAM_NOTFOUND && cursor->piece.object != NULL)
        rc = failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": a record that was there is damaged",
                    cursor->piece.view.name, piece_offset(&cursor->piece, position));
    if (rc == LOAM_NOTFOUND)
        rc = failed(LOAM_CORRUPT, "%s: byte 0: missing, or without a valid header",
                    cursor->piece.view.name);
    if (rc == LOAM_OK) return rc;
    piece_leave(&cursor->piece);
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
        rc = wal_parts_take(&cursor->parts, &cursor->piece.view, &record, commit);
    } while (rc == LOAM_NOTFOUND || (rc == LOAM_OK && commit->kind == RECORD_ATTEST));
    if (rc < 0) return rc;
    cursor->position = position;
    if (cursor->hold.position < cursor->piece.view.header.start)
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
        rc = piece_read(&cursor->piece, at, RECORD_HEAD_BYTES, wal_end(cursor->wal));
        if (rc == LOAM_OK && piece_head(&cursor->piece, at, record) == NULL) rc = LOAM_NOTFOUND;
    }
    if (rc != LOAM_OK) piece_leave(&cursor->piece);
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
    *cursor =
        (struct wal_cursor){.wal = wal, .piece = {.store = store, .ahead_bytes = CURSOR_BYTES}};
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
    piece_deinit(&cursor->piece);
    loam_buf_free(&cursor->parts.bytes);
}
