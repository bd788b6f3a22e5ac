/*
 * wal_follow.c - reads a log on that another process writes; see wal_follow.h.
 */
#include "wal/wal_follow.h"

#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

/* Mostly there is little; who finds much reads more at a time. */
enum { AHEAD_BYTES_LEAST = 4 << 10, AHEAD_BYTES_MOST = 256 << 10 };

static struct object_id segment_id(const struct wal_follow *follow, uint32_t number)
{
    return (struct object_id){follow->epoch, number};
}

/* Files that changed hands while they were read answer anything. */
static loam_status as_conflict(loam_status rc)
{
    return rc == LOAM_CORRUPT ? LOAM_CONFLICT : rc;
}

static loam_status enter_here(struct wal_follow *follow, uint64_t position)
{
    struct segment_piece *piece = &follow->piece;
    const loam_status rc = piece_enter(piece, segment_id(follow, follow->number));
    if (rc != LOAM_OK) return as_conflict(rc);
    const struct segment_header *header = &piece->view.header;
    if (header->log_key == follow->log_key && header->start <= position) return LOAM_OK;
    piece_leave(piece);
    return LOAM_CONFLICT;
}

/* A close cuts the file that is open to the end of its last record. */
static loam_status read_here(struct wal_follow *follow, uint64_t position, struct record *record)
{
    struct segment_piece *piece = &follow->piece;
    loam_status rc = enter_here(follow, position);
    if (rc == LOAM_OK) rc = piece_record(piece, position, UINT64_MAX, record);
    if (rc != LOAM_CORRUPT) return rc;
    piece_leave(piece);
    rc = enter_here(follow, position);
    if (rc == LOAM_OK) rc = piece_record(piece, position, UINT64_MAX, record);
    return as_conflict(rc);
}

/* Numbers have no holes: where there is a later segment and not this one, this one is gone. */
static loam_status is_current(const struct wal_follow *follow)
{
    struct segment_header header;
    struct object_id *ids = NULL;
    size_t count = 0;
    loam_status rc = segment_peek(follow->piece.store, OBJECT_SEGMENT,
                                  segment_id(follow, follow->number), &header);
    if (rc == LOAM_OK) return LOAM_OK;
    if (rc < 0) return as_conflict(rc);
    if (follow->piece.object != NULL) return LOAM_CONFLICT;
    rc = store_objects(follow->piece.store, OBJECT_SEGMENT, &ids, &count);
    if (rc < 0) return rc;
    bool is_there = false, is_later = false;
    for (size_t i = 0; i < count; i++) {
        is_there |= object_id_equal(ids[i], segment_id(follow, follow->number));
        is_later |= ids[i].epoch == follow->epoch && ids[i].number > follow->number;
    }
    mem_free(ids);
    return is_later && !is_there ? LOAM_CONFLICT : LOAM_OK;
}

/* There was no record at position: does the log go on in the next segment? LOAM_NOTFOUND: nowhere yet. */
static loam_status enter_next(struct wal_follow *follow, uint64_t position)
{
    struct segment_header next;
    struct record record;
    loam_status rc = segment_peek(follow->piece.store, OBJECT_SEGMENT,
                                  segment_id(follow, follow->number + 1), &next);
    if (rc == LOAM_NOTFOUND) {
        rc = is_current(follow);
        return rc == LOAM_OK ? LOAM_NOTFOUND : rc;
    }
    if (rc < 0) return as_conflict(rc);
    if (next.log_key != follow->log_key || follow->piece.object == NULL) return LOAM_CONFLICT;
    if (next.start == position) {
        follow->number++;
        piece_leave(&follow->piece);
        return LOAM_OK;
    }
    /* It may have been written since we looked, and the next segment begun behind it. */
    rc = read_here(follow, position, &record);
    return rc == LOAM_NOTFOUND ? LOAM_CONFLICT : rc;
}

static loam_status find_next(struct wal_follow *follow, uint64_t position, struct record *record)
{
    loam_status rc;
    while ((rc = read_here(follow, position, record)) == LOAM_NOTFOUND) {
        rc = enter_next(follow, position);
        if (rc != LOAM_OK) break;
    }
    return rc;
}

void wal_follow_begin(struct wal_follow *follow, struct store *store)
{
    *follow = (struct wal_follow){.piece = {.store = store, .ahead_bytes = AHEAD_BYTES_LEAST}};
}

loam_status wal_follow_next(struct wal_follow *follow, struct wal_commit *commit)
{
    struct record record = {.kind = 0};
    uint64_t position = follow->position;
    uint32_t number = follow->number;
    loam_status rc;
    follow->parts.is_open = false;
    do {
        rc = find_next(follow, position, &record);
        if (rc != LOAM_OK) break;
        position = record.end;
        rc = wal_parts_take(&follow->parts, &follow->piece.view, &record, commit);
        if (rc != LOAM_OK || commit->kind != RECORD_ATTEST) continue;
        follow->position = position;
        number = follow->number;
    } while (rc == LOAM_NOTFOUND || (rc == LOAM_OK && commit->kind == RECORD_ATTEST));
    if (rc == LOAM_OK) {
        follow->position = position;
        if (follow->piece.ahead_bytes < AHEAD_BYTES_MOST) follow->piece.ahead_bytes *= 2;
        return LOAM_OK;
    }
    follow->number = number;
    follow->piece.ahead_bytes = AHEAD_BYTES_LEAST;
    return as_conflict(rc);
}

void wal_follow_end(struct wal_follow *follow)
{
    piece_deinit(&follow->piece);
    loam_buf_free(&follow->parts.bytes);
}
