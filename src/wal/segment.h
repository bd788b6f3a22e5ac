/*
 * segment.h - one file of a log: a header and records, each knowing where it belongs.
 *
 * Role: the framing that the write-ahead log and the manifest share. Carries bytes it does
 *   not understand. A position is a byte count over the life of a log; headers of segments do not count.
 *
 *   segment:   header at 0 and again at 4096, each 128 bytes, zero-filled to 4096; records from 8192
 *   header:    0 check u32 | 4 type u8 'S' | 5 format u8 | 6 zero u16 | 8 store id 16 bytes |
 *              24 epoch u32 | 28 number u32 | 32 start u64 | 40 running u64 | 48 synced_upto u64 |
 *              56 log key u64 | 64 base time, ms since 1970 u64 | 72..128 zero
 *   record:    0 head check u32 | 4 body check u32 | 8 body bytes u32 | 12 kind u8 | 13 flags u8 | 14 zero u16 |
 *              16 seq u64 | 24 ms since base time u32 | 28 distance back to synced_upto u32, in units of 8 |
 *              32 body, zero-filled to a multiple of 8
 *
 *   A record at position p stands at byte 8192 + p - start. Both checks are the low 32 bits of XXH3-64
 *   seeded with log key ^ p: the body's over the body, the head's over bytes 4 to 31, so it covers the body check.
 *   running is a checksum over the head checks of all records before start: a segment knows its past.
 *
 * Invariants: (1) a commit that does not fit a segment's rest is cut into parts, FIRST to LAST, and counts only when
 *   its LAST is there. (2) synced_upto: all bytes of the log below it were durable when the record was
 *   written; it is what tells a torn tail (normal) from damage (LOAM_CORRUPT). (3) No segment is appended
 *   to after the open that created it.
 * In the picture: wal layer, on os/log.h; wal.h makes a log of many segments, tree/manifest one of one.
 */
#ifndef LOAM_WAL_SEGMENT_H
#define LOAM_WAL_SEGMENT_H

#include "os/log.h"
#include "os/names.h"

enum {
    SEGMENT_HEADER_BYTES = 8192,
    SEGMENT_BLOCK_BYTES = 4096, /* a file has whole ones, until a close cuts it to its end */
    RECORD_HEAD_BYTES = 32,
    SEGMENT_FORMAT = 1,
    STORE_ID_BYTES = 16
};

enum record_flags { RECORD_FIRST = 1, RECORD_LAST = 2, RECORD_CALLER_INDEX = 4 };

/* Kinds, for all users of the framing; 0 is never valid. */
enum record_kind {
    RECORD_COMMIT = 1, /* entries of record/batch.h */
    RECORD_CHANGE = 2, /* a change of collections: a tree/edit.h edit */
    RECORD_ATTEST = 3, /* empty: its synced_upto is the message */
    RECORD_EDIT = 4    /* in a manifest: a tree/edit.h edit */
};

struct segment_header {
    uint8_t store_id[STORE_ID_BYTES];
    struct object_id id;
    uint64_t start;       /* position of the first record = end of the predecessor */
    uint64_t running;     /* checksum of all that came before */
    uint64_t synced_upto; /* durable below this position when the header was written */
    uint64_t log_key;
    uint64_t base_ms;
};

#define RECORD_BODY_BYTES_MAX ((UINT32_C(1) << 30))

struct record {
    uint64_t position, end; /* end: of the record with its padding */
    uint64_t seq;
    uint64_t time_ms;     /* base time + offset */
    uint64_t synced_upto; /* 0 when the record says none */
    uint8_t kind, flags;
    loam_slice body;
};

struct wal_extent { /* a segment and the positions of it that count */
    struct object_id id;
    uint64_t start, end;
};

/* Bytes a record with such a body takes. */
static inline uint64_t record_bytes(uint64_t body_bytes)
{
    return RECORD_HEAD_BYTES + ((body_bytes + 7) & ~UINT64_C(7));
}

/* ---- writing ---- */

struct segment {
    struct log *log;
    struct segment_header header;
    uint64_t end;     /* position */
    uint64_t running; /* over all records up to end */
};

/* Starts a segment on a fresh or recycled log: appends the header (volatile). Borrows log. */
LOAM_MUST loam_status segment_start(struct segment *segment, struct log *log,
                                    const struct segment_header *header);

/* Position up to which the segment has room. */
uint64_t segment_capacity_end(const struct segment *segment);

struct record_spec {
    uint8_t kind, flags;
    uint64_t seq, time_ms, synced_upto;
};

/* Appends one record (there is room: check); moves end and running. pieces are the body; at most 6. */
LOAM_MUST loam_status segment_append(struct segment *segment, const struct record_spec *spec,
                                     const struct sys_piece *pieces, unsigned piece_count,
                                     enum log_how how);

/* ---- reading ---- */

struct segment_view { /* a segment's bytes in memory, owned by whoever loaded them */
    struct segment_header header;
    loam_buf bytes; /* the whole object */
    char name[32];
};

/* Reads an object whole. LOAM_NOTFOUND: no such object, or no valid copy of the header in it (both
   mean: never begun; a caller who knows better makes it LOAM_CORRUPT). LOAM_TOONEW for another format;
   LOAM_CORRUPT for a later segment's header: files have been exchanged. */
LOAM_MUST loam_status segment_load(struct store *store, enum object_kind kind, struct object_id id,
                                   struct segment_view *view);
/* The same into memory that a segment before it was in, which becomes the view's, or empty. */
LOAM_MUST loam_status segment_load_over(struct store *store, enum object_kind kind,
                                        struct object_id id, loam_buf *memory,
                                        struct segment_view *view);
/* The same for a file of which it is known what its header would say: where no copy of it is valid, the view gets `known`, and
   *has_header is false. LOAM_NOTFOUND: no such object. */
LOAM_MUST loam_status segment_load_known(struct store *store, enum object_kind kind,
                                         const struct segment_header *known,
                                         struct segment_view *view, bool *has_header);
/* Both copies of a header. */
void segment_header_copies(uint8_t bytes[static SEGMENT_HEADER_BYTES],
                           const struct segment_header *header);
/* The header alone, from the first 8 KiB. */
LOAM_MUST loam_status segment_peek(struct store *store, enum object_kind kind, struct object_id id,
                                   struct segment_header *header);
void segment_view_deinit(struct segment_view *view);

/* The valid record at this position: LOAM_OK, or LOAM_NOTFOUND when the bytes there are none. Also
   moves *running over it. Never touches errmsg. */
loam_status segment_record_at(const struct segment_view *view, uint64_t position, uint64_t *running,
                              struct record *record);

/* For salvage: the first valid record at or behind `at` and before limit, and where it stands; UINT64_MAX: none. Moves *running over
   it, if that is not NULL. */
uint64_t segment_next_record(const struct segment_view *view, uint64_t at, uint64_t limit,
                             uint64_t *running, struct record *record);

/* For a segment whose header is lost but for its key: finds where it begins, from low up to high, by its first record. */
bool segment_find_start(struct segment_view *view, uint64_t low, uint64_t high);
/* Of a record at position, what its first RECORD_HEAD_BYTES say, the length of its body among that, but no data; false: they are none.
   Then the same with its body, from all of its bytes; false: they are not its own. For who has not loaded the whole segment. */
bool record_head_get(const struct segment_header *header, const uint8_t *head, uint64_t position,
                     struct record *record);
bool record_body_get(const struct segment_header *header, const uint8_t *bytes,
                     struct record *record);

/* The largest synced_upto of any valid record that stands at or beyond position, found in steps
   of 8 bytes, and where it was found; 0 when there is none. */
uint64_t segment_attested_beyond(const struct segment_view *view, uint64_t position,
                                 uint64_t *found_at);

/* For verifying. Is any byte of the two copies of the header, or of the zeros behind each, not what was written? And of the zeros
   from the position end to the end of the file? (In a recycled segment old bytes stand there.) *at is the first one. */
bool segment_header_is_spoilt(const struct segment_view *view, uint64_t *at);
bool segment_rest_is_spoilt(const struct segment_view *view, uint64_t end, uint64_t *at);

/* Nothing but zeros: a file that was made ready and never begun. For salvage, which has the whole of it. */
bool segment_is_blank(const loam_buf *bytes);

/* Decodes a header from 128 bytes; false when it is none. For fuzzing and inspection too. */
bool segment_header_get(const uint8_t *bytes, struct segment_header *header, bool *too_new);

#endif
