/*
 * segment_piece.c - a segment that is read by pieces; see segment_piece.h.
 */
#include "wal/segment_piece.h"

#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

void piece_leave(struct segment_piece *piece)
{
    object_close(piece->object);
    piece->object = NULL;
    piece->view.bytes.len = 0;
}

void piece_deinit(struct segment_piece *piece)
{
    piece_leave(piece);
    segment_view_deinit(&piece->view);
}

loam_status piece_enter(struct segment_piece *piece, struct object_id id)
{
    struct segment_view *view = &piece->view;
    if (piece->object != NULL && object_id_equal(view->header.id, id)) return LOAM_OK;
    piece_leave(piece);
    object_name_make(OBJECT_SEGMENT, id, view->name);
    const loam_status rc = segment_peek(piece->store, OBJECT_SEGMENT, id, &view->header);
    return rc == LOAM_OK ? object_open(piece->store, view->name, &piece->object) : rc;
}

uint64_t piece_offset(const struct segment_piece *piece, uint64_t position)
{
    return SEGMENT_HEADER_BYTES + (position - piece->view.header.start);
}

loam_status piece_read(struct segment_piece *piece, uint64_t position, uint64_t bytes, uint64_t end)
{
    loam_buf *held = &piece->view.bytes;
    const uint64_t offset = piece_offset(piece, position), size = object_bytes(piece->object);
    uint64_t len = size > offset ? size - offset : 0, most = piece->ahead_bytes;
    if (end - position < most) most = end - position;
    if (bytes > most) most = bytes;
    if (most < len) len = most;
    held->len = 0;
    loam_status rc = buf_reserve(held, len > 0 ? (size_t)len : 1);
    if (rc == LOAM_OK) rc = object_read(piece->object, offset, held->data, (size_t)len);
    if (rc < 0) return rc;
    held->len = (size_t)len;
    piece->bytes_position = position;
    return LOAM_OK;
}

const uint8_t *piece_head(const struct segment_piece *piece, uint64_t position,
                          struct record *record)
{
    const struct segment_view *view = &piece->view;
    if (position < piece->bytes_position) return NULL;
    const uint64_t at = position - piece->bytes_position;
    if (at > view->bytes.len || view->bytes.len - at < RECORD_HEAD_BYTES) return NULL;
    const uint8_t *head = (const uint8_t *)view->bytes.data + at;
    return record_head_get(&view->header, head, position, record) ? head : NULL;
}

bool piece_holds(const struct segment_piece *piece, uint64_t position, struct record *record)
{
    const uint8_t *head = piece_head(piece, position, record);
    const uint64_t piece_end = piece->bytes_position + piece->view.bytes.len;
    return head != NULL && record->end <= piece_end &&
           record_body_get(&piece->view.header, head, record);
}

loam_status piece_record(struct segment_piece *piece, uint64_t position, uint64_t end,
                         struct record *record)
{
    if (piece_holds(piece, position, record)) return LOAM_OK;
    loam_status rc = piece_read(piece, position, RECORD_HEAD_BYTES, end);
    if (rc == LOAM_OK && piece_head(piece, position, record) != NULL &&
        record->end - position > piece->view.bytes.len)
        rc = piece_read(piece, position, record->end - position, end);
    if (rc < 0) return rc;
    return piece_holds(piece, position, record) ? LOAM_OK : LOAM_NOTFOUND;
}
