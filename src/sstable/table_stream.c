/*
 * table_stream.c - rows of blocks; see table_stream.h.
 */
#include "sstable/table_stream.h"

#include "base/check.h"
#include "base/mem.h"

#include "base/poison.h"

enum { STREAM_FRAME_BYTES_MAX = BLOCK_HEADER_BYTES + CHUNK_BYTES };

loam_status stream_put(struct block_sink *sink, enum block_type type, const loam_slice *pieces,
                       size_t count, bool pack)
{
    uint8_t *raw = sink->chunk + BLOCK_HEADER_BYTES;
    size_t filled = 0;
    loam_status rc = LOAM_OK;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = pieces[i].data;
        for (size_t left = pieces[i].len; left > 0;) {
            const size_t room = CHUNK_BYTES - filled, part = left < room ? left : room;
            memcpy(raw + filled, from, part);
            from += part;
            left -= part;
            filled += part;
            if (filled < CHUNK_BYTES) continue;
            rc = block_put(sink, type, sink->chunk, filled, pack);
            if (rc < 0) return rc;
            filled = 0;
        }
    }
    return filled > 0 ? block_put(sink, type, sink->chunk, filled, pack) : rc;
}

loam_status stream_open(struct stream_reader *reader, const struct block_source *source,
                        enum block_type type, uint64_t at, uint64_t end)
{
    check(at <= end);
    memset(reader, 0, sizeof *reader);
    reader->source = source;
    reader->type = type;
    reader->at = at;
    reader->end = end;
    reader->window_cap = (size_t)2 * STREAM_FRAME_BYTES_MAX;
    if (end - at < reader->window_cap) reader->window_cap = (size_t)(end - at);
    reader->window = mem_alloc(reader->window_cap);
    return reader->window != NULL ? LOAM_OK : LOAM_NOMEM;
}

/* Makes sure that the window holds the next block whole, if the stream does. */
static loam_status fill_window(struct stream_reader *reader)
{
    const uint64_t left = reader->end - reader->at;
    if (reader->window_len >= STREAM_FRAME_BYTES_MAX || reader->window_len >= left) return LOAM_OK;
    memmove(reader->window, reader->window + reader->window_from, reader->window_len);
    reader->window_from = 0;
    /* The first read is one block: a reader of keys wants no more. */
    size_t want = reader->window_len == 0 ? STREAM_FRAME_BYTES_MAX : reader->window_cap;
    if (want > left) want = (size_t)left;
    const loam_status rc =
        object_read(reader->source->object, reader->source->base + reader->at + reader->window_len,
                    reader->window + reader->window_len, want - reader->window_len);
    if (rc < 0) return rc;
    reader->window_len = want;
    return LOAM_OK;
}

loam_status stream_chunk(struct stream_reader *reader, uint8_t *dst, size_t cap, size_t *raw_bytes)
{
    struct block_head head = {0};
    loam_status rc = fill_window(reader);
    if (rc < 0) return rc;
    const uint8_t *frame = reader->window + reader->window_from;
    rc = block_check(reader->source, reader->type, reader->at,
                     loam_bytes(frame, reader->window_len), &head);
    if (rc < 0) return rc;
    if (head.raw_bytes > cap) return block_fault(reader->source, reader->at, "a chunk is too long");
    rc = block_unpack(reader->source, reader->at, &head, frame, dst);
    if (rc < 0) return rc;
    const size_t used = BLOCK_HEADER_BYTES + head.stored_bytes;
    reader->at += used;
    reader->window_from += used;
    reader->window_len -= used;
    *raw_bytes = head.raw_bytes;
    return LOAM_OK;
}

loam_status stream_rest(struct stream_reader *reader, uint8_t *dst, size_t len)
{
    while (len > 0) {
        const size_t want = len < CHUNK_BYTES ? len : CHUNK_BYTES;
        const uint64_t at = reader->at;
        size_t got = 0;
        const loam_status rc = stream_chunk(reader, dst, want, &got);
        if (rc < 0) return rc;
        if (got != want) return block_fault(reader->source, at, "a chunk is too short");
        dst += got;
        len -= got;
    }
    if (reader->at != reader->end)
        return block_fault(reader->source, reader->at, "more chunks than bytes");
    return LOAM_OK;
}

void stream_close(struct stream_reader *reader)
{
    mem_free(reader->window);
    memset(reader, 0, sizeof *reader);
}
