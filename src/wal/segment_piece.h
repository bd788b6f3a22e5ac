/*
 * segment_piece.h - a segment that is read by pieces while it is written, record by record.
 *
 * Role: keeps one segment open and a piece of it in memory; a record is read from there if the piece holds it whole, else from a new
 *   piece. For who reads little, or often, of what segment.h loads whole.
 * Invariants: (1) the view's header is that of the segment that is open, and its bytes are the piece, no whole object. (2) No record is
 *   answered whose checks, which are seeded with the position, do not hold. (3) What was read before it was written is read again.
 * Threads: one at a time.
 * In the picture: wal layer, on segment.h; used by wal_cursor.c and wal_follow.c.
 */
#ifndef LOAM_WAL_SEGMENT_PIECE_H
#define LOAM_WAL_SEGMENT_PIECE_H

#include "wal/segment.h"

struct segment_piece {
    struct store *store;
    struct segment_view view;
    struct object *object;   /* NULL: none is open */
    uint64_t bytes_position; /* where the piece begins */
    uint64_t ahead_bytes;    /* that are read at a time */
};

/* Opens the segment of that id, unless it is open. LOAM_NOTFOUND: there is none, or it was never begun. */
LOAM_MUST loam_status piece_enter(struct segment_piece *piece, struct object_id id);
void piece_leave(struct segment_piece *piece);
void piece_deinit(struct segment_piece *piece);

uint64_t piece_offset(const struct segment_piece *piece, uint64_t position); /* in the file */

/* Reads so many bytes from position on, more if there are more, fewer where the file ends; none behind `end`, where no record is yet. */
LOAM_MUST loam_status piece_read(struct segment_piece *piece, uint64_t position, uint64_t bytes,
                                 uint64_t end);
/* The head of the record at position, if the piece holds a valid one; and the record, if it holds all of it. */
const uint8_t *piece_head(const struct segment_piece *piece, uint64_t position,
                          struct record *record);
bool piece_holds(const struct segment_piece *piece, uint64_t position, struct record *record);
/* The record at position in the segment that is open. LOAM_NOTFOUND: there is none, or not yet. */
LOAM_MUST loam_status piece_record(struct segment_piece *piece, uint64_t position, uint64_t end,
                                   struct record *record);

#endif
