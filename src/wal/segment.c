/*
 * segment.c - one file of a log: a header and records; see segment.h.
 */
#include "wal/segment.h"

#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/pages.h"

#include "base/poison.h"

enum {
    HEADER_BYTES = 128,
    HEADER_BLOCK_BYTES = 4096,
    HEADER_TYPE = 'S',
    PIECES_MAX = 6,
    BODY_GATHER_BYTES = 2048 /* a body up to this size is copied together before it is hashed */
};

_Static_assert(2 * HEADER_BLOCK_BYTES == SEGMENT_HEADER_BYTES, "two copies in different blocks");

/* ---- header -------------------------------------------------------------------------------- */

static void segment_header_put(uint8_t bytes[static HEADER_BLOCK_BYTES],
                               const struct segment_header *header)
{
    memset(bytes, 0, HEADER_BLOCK_BYTES);
    bytes[4] = HEADER_TYPE;
    bytes[5] = SEGMENT_FORMAT;
    memcpy(bytes + 8, header->store_id, STORE_ID_BYTES);
    put_u32(bytes + 24, header->id.epoch);
    put_u32(bytes + 28, header->id.number);
    put_u64(bytes + 32, header->start);
    put_u64(bytes + 40, header->running);
    put_u64(bytes + 48, header->synced_upto);
    put_u64(bytes + 56, header->log_key);
    put_u64(bytes + 64, header->base_ms);
    put_u32(bytes, (uint32_t)hash_seeded(bytes + 4, HEADER_BYTES - 4, HEADER_TYPE));
}

void segment_header_copies(uint8_t bytes[static SEGMENT_HEADER_BYTES],
                           const struct segment_header *header)
{
    segment_header_put(bytes, header);
    memcpy(bytes + HEADER_BLOCK_BYTES, bytes, HEADER_BLOCK_BYTES);
}

bool segment_header_get(const uint8_t *bytes, struct segment_header *header, bool *too_new)
{
    *too_new = false;
    if (get_u32(bytes) != (uint32_t)hash_seeded(bytes + 4, HEADER_BYTES - 4, HEADER_TYPE))
        return false;
    if (bytes[4] != HEADER_TYPE) return false;
    *too_new = bytes[5] > SEGMENT_FORMAT;
    if (bytes[5] != SEGMENT_FORMAT) return false;
    memcpy(header->store_id, bytes + 8, STORE_ID_BYTES);
    header->id = (struct object_id){get_u32(bytes + 24), get_u32(bytes + 28)};
    header->start = get_u64(bytes + 32);
    header->running = get_u64(bytes + 40);
    header->synced_upto = get_u64(bytes + 48);
    header->log_key = get_u64(bytes + 56);
    header->base_ms = get_u64(bytes + 64);
    return header->start % 8 == 0 && header->start < UINT64_MAX / 2;
}

bool segment_is_blank(const loam_buf *bytes)
{
    const char *at = bytes->data, *end = at + bytes->len;
    while (at < end && *at == 0)
        at++;
    return at == end;
}

/* A recycled file holds an earlier segment's header until its own is written; a later one's was never its own. */
static bool is_later(struct object_id found, struct object_id id)
{
    return found.epoch != id.epoch ? found.epoch > id.epoch : found.number > id.number;
}

/* The first valid copy of two; LOAM_NOTFOUND when there is none that names id. */
static loam_status choose_header(const uint8_t *bytes, size_t len, const char *name,
                                 struct object_id id, struct segment_header *header)
{
    bool too_new;
    for (size_t at = 0; at + HEADER_BYTES <= len && at < SEGMENT_HEADER_BYTES;
         at += HEADER_BLOCK_BYTES) {
        const bool valid = segment_header_get(bytes + at, header, &too_new);
        if (valid && object_id_equal(header->id, id)) return LOAM_OK;
        if (valid && is_later(header->id, id))
            return failed(LOAM_CORRUPT,
                          "%s: byte %zu: is segment %u of opening %u; it has been exchanged", name,
                          at + 24, header->id.number, header->id.epoch);
        if (too_new)
            return failed(LOAM_TOONEW, "%s: format %u; this library knows %u; use a newer loam",
                          name, bytes[at + 5], SEGMENT_FORMAT);
    }
    return LOAM_NOTFOUND;
}

/* ---- writing ------------------------------------------------------------------------------- */

loam_status segment_start(struct segment *segment, struct log *log,
                          const struct segment_header *header)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_copies(bytes, header);
    check(log_end(log) == 0 && log_capacity(log) > SEGMENT_HEADER_BYTES);
    *segment = (struct segment){
        .log = log, .header = *header, .end = header->start, .running = header->running};
    const struct sys_piece copies = {bytes, sizeof bytes};
    return log_append(log, &copies, 1, LOG_VOLATILE);
}

uint64_t segment_capacity_end(const struct segment *segment)
{
    return segment->header.start + (log_capacity(segment->log) - SEGMENT_HEADER_BYTES);
}

/* The chain over all records: cheap, and different after any change of any head check. */
static uint64_t running_over(uint64_t running, uint32_t head_check)
{
    return (running ^ head_check) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static uint32_t back_distance(uint64_t position, uint64_t synced_upto)
{
    const uint64_t distance = (position - synced_upto) / 8;
    return distance < UINT32_MAX ? (uint32_t)distance : UINT32_MAX;
}

static void record_head_put(uint8_t head[static RECORD_HEAD_BYTES], const struct segment *segment,
                            const struct record_spec *spec, uint32_t body_check,
                            uint32_t body_bytes)
{
    const uint64_t base = segment->header.base_ms;
    const uint64_t passed = spec->time_ms > base ? spec->time_ms - base : 0;
    put_u32(head + 4, body_check);
    put_u32(head + 8, body_bytes);
    head[12] = spec->kind;
    head[13] = spec->flags;
    put_u16(head + 14, 0);
    put_u64(head + 16, spec->seq);
    put_u32(head + 24, passed < UINT32_MAX ? (uint32_t)passed : UINT32_MAX);
    put_u32(head + 28, back_distance(segment->end, spec->synced_upto));
    const uint64_t seed = segment->header.log_key ^ segment->end;
    put_u32(head, (uint32_t)hash_seeded(head + 4, RECORD_HEAD_BYTES - 4, seed));
}

/* A body on its way to the log: what to append behind the head, and its check. */
struct body {
    struct sys_piece pieces[8]; /* the first is the head's */
    unsigned count;
    uint32_t check;
    uint8_t gathered[BODY_GATHER_BYTES];
};

/* Small bodies are copied together first: one hash over bytes in the first-level cache is cheaper than the
   streaming one. */
static void gather_small(struct body *body, const struct sys_piece *pieces, unsigned piece_count,
                         uint64_t seed)
{
    size_t at = 0;
    for (unsigned i = 0; i < piece_count; i++) {
        if (pieces[i].len > 0) memcpy(body->gathered + at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
    }
    memset(body->gathered + at, 0, 8);
    body->check = (uint32_t)hash_seeded(body->gathered, at, seed);
    body->pieces[1] = (struct sys_piece){body->gathered, (at + 7) & ~(size_t)7};
    body->count = 2;
}

static void gather_large(struct body *body, const struct sys_piece *pieces, unsigned piece_count,
                         uint64_t seed)
{
    static const uint8_t zeros[8];
    loam_slice slices[PIECES_MAX];
    size_t len = 0;
    for (unsigned i = 0; i < piece_count; i++) {
        slices[i] = loam_bytes(pieces[i].data, pieces[i].len);
        body->pieces[1 + i] = pieces[i];
        len += pieces[i].len;
    }
    body->check = (uint32_t)hash_seeded_pieces(slices, piece_count, seed);
    body->pieces[1 + piece_count] = (struct sys_piece){zeros, (size_t)(-len & 7)};
    body->count = 2 + piece_count;
}

loam_status segment_append(struct segment *segment, const struct record_spec *spec,
                           const struct sys_piece *pieces, unsigned piece_count, enum log_how how)
{
    uint8_t head[RECORD_HEAD_BYTES];
    struct body body;
    size_t body_bytes = 0;
    check(piece_count <= PIECES_MAX && spec->kind != 0 && spec->synced_upto <= segment->end);
    for (unsigned i = 0; i < piece_count; i++)
        body_bytes += pieces[i].len;
    check(body_bytes <= RECORD_BODY_BYTES_MAX);
    check(segment->end + record_bytes(body_bytes) <= segment_capacity_end(segment));

    const uint64_t seed = segment->header.log_key ^ segment->end;
    if (body_bytes + 8 <= BODY_GATHER_BYTES)
        gather_small(&body, pieces, piece_count, seed);
    else
        gather_large(&body, pieces, piece_count, seed);
    record_head_put(head, segment, spec, body.check, (uint32_t)body_bytes);
    body.pieces[0] = (struct sys_piece){head, sizeof head};
    const loam_status rc = log_append(segment->log, body.pieces, body.count, how);
    if (rc < 0) return rc;
    segment->running = running_over(segment->running, get_u32(head));
    segment->end += record_bytes(body_bytes);
    return LOAM_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Opens and reads up to limit bytes of an object. */
static loam_status read_front(struct store *store, const char *name, uint64_t limit,
                              loam_buf *bytes)
{
    struct object *object = NULL;
    loam_status rc = object_open(store, name, &object);
    if (rc != LOAM_OK) return rc;
    const uint64_t size = object_bytes(object);
    const size_t len = (size_t)(size < limit ? size : limit);
    if (bytes->cap < len) loam_buf_free(bytes); /* nothing in it is worth moving */
    rc = buf_reserve(bytes, len > 0 ? len : 1);
    if (rc == LOAM_OK) {
        pages_prefer_huge(bytes->data, len); /* the first touch would cost more than the reading */
        rc = object_read(object, 0, bytes->data, len);
    }
    if (rc == LOAM_OK) bytes->len = len;
    object_close(object);
    return rc;
}

loam_status segment_load(struct store *store, enum object_kind kind, struct object_id id,
                         struct segment_view *view)
{
    loam_buf none = {0};
    return segment_load_over(store, kind, id, &none, view);
}

loam_status segment_load_over(struct store *store, enum object_kind kind, struct object_id id,
                              loam_buf *memory, struct segment_view *view)
{
    *view = (struct segment_view){.bytes = *memory};
    *memory = (loam_buf){0};
    object_name_make(kind, id, view->name);
    loam_status rc = read_front(store, view->name, UINT64_MAX, &view->bytes);
    if (rc == LOAM_OK)
        rc = choose_header(view->bytes.data, view->bytes.len, view->name, id, &view->header);
    if (rc != LOAM_OK) segment_view_deinit(view);
    return rc;
}

loam_status segment_load_known(struct store *store, enum object_kind kind,
                               const struct segment_header *known, struct segment_view *view,
                               bool *has_header)
{
    *view = (struct segment_view){.header = *known};
    object_name_make(kind, known->id, view->name);
    loam_status rc = read_front(store, view->name, UINT64_MAX, &view->bytes);
    if (rc == LOAM_OK) {
        rc = choose_header(view->bytes.data, view->bytes.len, view->name, known->id, &view->header);
        *has_header = rc == LOAM_OK;
        if (rc == LOAM_NOTFOUND) { /* a copy of another segment may have been read */
            view->header = *known;
            rc = LOAM_OK;
        }
    }
    if (rc != LOAM_OK) segment_view_deinit(view);
    return rc;
}

loam_status segment_peek(struct store *store, enum object_kind kind, struct object_id id,
                         struct segment_header *header)
{
    char name[OBJECT_NAME_BYTES];
    loam_buf bytes = {0};
    object_name_make(kind, id, name);
    loam_status rc = read_front(store, name, SEGMENT_HEADER_BYTES, &bytes);
    if (rc == LOAM_OK) rc = choose_header(bytes.data, bytes.len, name, id, header);
    loam_buf_free(&bytes);
    return rc;
}

void segment_view_deinit(struct segment_view *view)
{
    loam_buf_free(&view->bytes);
}

static bool head_is_sane(const uint8_t *head)
{
    const uint8_t kind = head[12], flags = head[13];
    return kind >= RECORD_COMMIT && kind <= RECORD_EDIT && get_u16(head + 14) == 0 &&
           (flags & ~(RECORD_FIRST | RECORD_LAST | RECORD_CALLER_INDEX)) == 0 &&
           get_u32(head + 8) <= RECORD_BODY_BYTES_MAX;
}

/* The zeros that fill a body up to a multiple of 8 share its last sector, so that a torn write cannot spoil them alone. */
static bool padding_is_zero(const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        if (bytes[i] != 0) return false;
    return true;
}

bool record_head_get(const struct segment_header *header, const uint8_t *head, uint64_t position,
                     struct record *record)
{
    if (!head_is_sane(head)) return false;
    const uint64_t seed = header->log_key ^ position;
    if (get_u32(head) != (uint32_t)hash_seeded(head + 4, RECORD_HEAD_BYTES - 4, seed)) return false;
    const uint32_t body_bytes = get_u32(head + 8), distance = get_u32(head + 28);
    const uint64_t back = (uint64_t)distance * 8;
    if (distance != UINT32_MAX && back > position) return false;
    *record = (struct record){
        .position = position,
        .end = position + record_bytes(body_bytes),
        .seq = get_u64(head + 16),
        .time_ms = header->base_ms + get_u32(head + 24),
        .synced_upto = distance == UINT32_MAX ? 0 : position - back,
        .kind = head[12],
        .flags = head[13],
        .body = {NULL, body_bytes},
    };
    return true;
}

bool record_body_get(const struct segment_header *header, const uint8_t *bytes,
                     struct record *record)
{
    const uint64_t seed = header->log_key ^ record->position;
    const uint8_t *body = bytes + RECORD_HEAD_BYTES;
    const size_t len = record->body.len;
    if (get_u32(bytes + 4) != (uint32_t)hash_seeded(body, len, seed)) return false;
    record->body.data = body;
    return padding_is_zero(body + len, -len & 7);
}

loam_status segment_record_at(const struct segment_view *view, uint64_t position, uint64_t *running,
                              struct record *record)
{
    const struct segment_header *header = &view->header;
    const uint64_t room = view->bytes.len - SEGMENT_HEADER_BYTES;
    struct record found;
    if (view->bytes.len < SEGMENT_HEADER_BYTES || position < header->start) return LOAM_NOTFOUND;
    const uint64_t offset = position - header->start;
    if (offset > room || room - offset < RECORD_HEAD_BYTES) return LOAM_NOTFOUND;

    const uint8_t *head = (const uint8_t *)view->bytes.data + SEGMENT_HEADER_BYTES + offset;
    if (!record_head_get(header, head, position, &found)) return LOAM_NOTFOUND;
    if (room - offset < record_bytes(found.body.len)) return LOAM_NOTFOUND;
    if (!record_body_get(header, head, &found)) return LOAM_NOTFOUND;
    *record = found;
    if (running != NULL) *running = running_over(*running, get_u32(head));
    return LOAM_OK;
}

uint64_t segment_next_record(const struct segment_view *view, uint64_t at, uint64_t limit,
                             uint64_t *running, struct record *record)
{
    const uint64_t last = view->header.start + view->bytes.len;
    for (; at < last && at < limit; at += 8)
        if (segment_record_at(view, at, running, record) == LOAM_OK) return at;
    return UINT64_MAX;
}

bool segment_find_start(struct segment_view *view, uint64_t low, uint64_t high)
{
    struct record record;
    for (uint64_t start = low; start <= high; start += 8) {
        view->header.start = start;
        if (segment_record_at(view, start, NULL, &record) == LOAM_OK) return true;
    }
    return false;
}

uint64_t segment_attested_beyond(const struct segment_view *view, uint64_t position,
                                 uint64_t *found_at)
{
    struct record record;
    uint64_t most = 0;
    if (view->bytes.len < SEGMENT_HEADER_BYTES) return 0;
    const uint64_t last = view->header.start + view->bytes.len - SEGMENT_HEADER_BYTES;
    for (uint64_t at = position; at < last; at += 8) {
        if (segment_record_at(view, at, NULL, &record) != LOAM_OK) continue;
        if (record.synced_upto > most) {
            most = record.synced_upto;
            *found_at = at;
        }
    }
    return most;
}

/* ---- verifying ----------------------------------------------------------------------------- */

bool segment_header_is_spoilt(const struct segment_view *view, uint64_t *at)
{
    uint8_t block[HEADER_BLOCK_BYTES];
    const uint8_t *bytes = view->bytes.data;
    segment_header_put(block, &view->header);
    if (view->bytes.len >= SEGMENT_HEADER_BYTES && memcmp(bytes, block, sizeof block) == 0 &&
        memcmp(bytes + HEADER_BLOCK_BYTES, block, sizeof block) == 0)
        return false;
    *at = 0;
    while (*at < view->bytes.len && bytes[*at] == block[*at % HEADER_BLOCK_BYTES])
        ++*at;
    return true;
}

bool segment_rest_is_spoilt(const struct segment_view *view, uint64_t end, uint64_t *at)
{
    const uint8_t *bytes = view->bytes.data;
    for (uint64_t i = SEGMENT_HEADER_BYTES + (end - view->header.start); i < view->bytes.len; i++) {
        if (bytes[i] == 0) continue;
        *at = i;
        return true;
    }
    return false;
}
