/*
 * frames.c - the memory that pages stand in; see frames.h.
 */
#include "sstable/frames.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/pages.h"

#include "base/poison.h"

enum { PIECES_LEAST = 32 };

void frames_init(struct frames *frames, uint64_t capacity_bytes)
{
    *frames = (struct frames){.piece_order = FRAME_ORDERS - 1};
    while (frames->piece_order > FRAME_ORDER_LEAST &&
           frames_piece_bytes(frames) * PIECES_LEAST > capacity_bytes)
        frames->piece_order--;
}

static size_t piece_struct_bytes(const struct frames *frames)
{
    return sizeof(struct frame_piece) + ((size_t)1 << frames->piece_order) * sizeof(struct frame);
}

void frames_deinit(struct frames *frames)
{
    check(frames->taken_bytes == 0);
    for (uint32_t i = 0; i < frames->piece_count; i++) {
        struct frame_piece *piece = frames_piece(frames, i);
        pages_free(piece->bytes, (size_t)frames_piece_bytes(frames));
        mem_free(piece);
    }
    for (unsigned i = 0; i < FRAME_LEVELS; i++)
        mem_free(atomic_load_explicit(&frames->levels[i], memory_order_relaxed));
}

unsigned frames_order_for(uint64_t bytes)
{
    unsigned order = 0;
    while (((uint64_t)FRAME_UNIT_BYTES << order) < bytes)
        order++;
    return order;
}

/* ---- free blocks ---- */

static void push_free(struct frames *frames, uint32_t index, unsigned order)
{
    struct frame *frame = frames_at(frames, index);
    const uint32_t next = frames->free[order];
    frame->state = FRAME_FREE;
    frame->order = (uint8_t)order;
    frame->slot = NULL;
    frame->prev = 0;
    frame->next = next;
    if (next != 0) frames_at(frames, next)->prev = index;
    frames->free[order] = index;
}

/* It becomes an inner unit, until somebody says otherwise. */
static void remove_free(struct frames *frames, uint32_t index)
{
    struct frame *frame = frames_at(frames, index);
    check(frame->state == FRAME_FREE);
    if (frame->prev != 0)
        frames_at(frames, frame->prev)->next = frame->next;
    else
        frames->free[frame->order] = frame->next;
    if (frame->next != 0) frames_at(frames, frame->next)->prev = frame->prev;
    frame->state = FRAME_INNER;
}

uint32_t frames_take(struct frames *frames, unsigned order)
{
    unsigned from = order;
    while (from < FRAME_ORDERS && frames->free[from] == 0)
        from++;
    if (from >= FRAME_ORDERS) return 0;
    const uint32_t index = frames->free[from];
    remove_free(frames, index);
    while (from > order) {
        from--;
        push_free(frames, index + (UINT32_C(1) << from), from);
    }
    struct frame *frame = frames_at(frames, index);
    frame->state = FRAME_TAKEN;
    frame->order = (uint8_t)order;
    frames->taken_bytes += (uint64_t)FRAME_UNIT_BYTES << order;
    return index;
}

void frames_give(struct frames *frames, uint32_t index)
{
    struct frame *frame = frames_at(frames, index);
    unsigned order = frame->order;
    check(frame->state == FRAME_TAKEN);
    frames->taken_bytes -= (uint64_t)FRAME_UNIT_BYTES << order;
    frame->state = FRAME_INNER;
    const uint32_t start = (index - 1) >> frames->piece_order << frames->piece_order;
    uint32_t unit = index - 1 - start;
    for (; order < frames->piece_order; order++) {
        const uint32_t buddy = unit ^ (UINT32_C(1) << order);
        const struct frame *other = frames_at(frames, start + buddy + 1);
        if (other->state != FRAME_FREE || other->order != order) break;
        remove_free(frames, start + buddy + 1);
        unit &= buddy;
    }
    push_free(frames, start + unit + 1, order);
}

/* ---- pieces ---- */

/* The place of one more piece in the directory. */
static loam_status make_place(struct frames *frames, _Atomic(struct frame_piece *) **out)
{
    const uint32_t place = frames->piece_count + 64;
    const unsigned level = 25u - (unsigned)__builtin_clz(place);
    if (level >= FRAME_LEVELS || (place >> (31 - frames->piece_order)) != 0)
        return failed(LOAM_NOMEM, "the page cache has no frame left");
    _Atomic(struct frame_piece *) *pieces =
        atomic_load_explicit(&frames->levels[level], memory_order_relaxed);
    if (pieces == NULL) {
        pieces = mem_zalloc(((size_t)64 << level) * sizeof *pieces);
        if (pieces == NULL) return LOAM_NOMEM;
        atomic_store_explicit(&frames->levels[level], pieces, memory_order_relaxed);
    }
    *out = &pieces[place - (UINT32_C(64) << level)];
    return LOAM_OK;
}

/* A piece whose memory was given back is as good as a new one. */
static struct frame_piece *absent_piece(const struct frames *frames, uint32_t *number)
{
    if (frames->resident_bytes == frames->piece_count * frames_piece_bytes(frames)) return NULL;
    for (uint32_t i = 0; i < frames->piece_count; i++) {
        struct frame_piece *piece = frames_piece(frames, i);
        *number = i;
        if (!piece->is_resident) return piece;
    }
    return NULL;
}

loam_status frames_grow(struct frames *frames)
{
    uint32_t number = frames->piece_count;
    struct frame_piece *piece = absent_piece(frames, &number);
    if (piece == NULL) {
        _Atomic(struct frame_piece *) *place;
        number = frames->piece_count;
        const loam_status rc = make_place(frames, &place);
        if (rc < 0) return rc;
        piece = mem_zalloc(piece_struct_bytes(frames));
        if (piece == NULL) return LOAM_NOMEM;
        piece->bytes = pages_alloc((size_t)frames_piece_bytes(frames));
        if (piece->bytes == NULL) {
            mem_free(piece);
            return LOAM_NOMEM;
        }
        atomic_store_explicit(place, piece, memory_order_relaxed);
        frames->piece_count++;
    }
    piece->is_resident = true;
    frames->resident_bytes += frames_piece_bytes(frames);
    push_free(frames, (number << frames->piece_order) + 1, frames->piece_order);
    return LOAM_OK;
}

bool frames_shrink(struct frames *frames, uint32_t number)
{
    struct frame_piece *piece = frames_piece(frames, number);
    const struct frame *whole = &piece->frames[0];
    if (!piece->is_resident || whole->state != FRAME_FREE || whole->order != frames->piece_order)
        return false;
    remove_free(frames, (number << frames->piece_order) + 1);
    piece->is_resident = false;
    frames->resident_bytes -= frames_piece_bytes(frames);
    pages_discard(piece->bytes, (size_t)frames_piece_bytes(frames));
    return true;
}
