/*
 * table_block.c - the frame around every piece of a table; see table_block.h.
 */
#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of ours */
#include "sstable/table_block.h"

#include <inttypes.h>

#include <lz4.h>
#include <zstd.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

enum { ZSTD_LEVEL = 3 };

loam_status block_fault(const struct block_source *source, uint64_t at, const char *what)
{
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s", object_name(source->object),
                  source->base + at, what);
}

static uint32_t frame_checksum(const uint8_t *frame, size_t stored_bytes, uint64_t seed)
{
    return (uint32_t)hash_seeded(frame + 4, BLOCK_HEADER_BYTES - 4 + stored_bytes, seed);
}

loam_status block_check(const struct block_source *source, enum block_type type, uint64_t at,
                        loam_slice frame, struct block_head *head)
{
    const uint8_t *bytes = frame.data;
    if (frame.len < BLOCK_HEADER_BYTES) return block_fault(source, at, "a block is cut short");
    const uint32_t stored = get_u32(bytes + 12);
    if (frame.len - BLOCK_HEADER_BYTES < stored)
        return block_fault(source, at, "a block is longer than its place");
    if (get_u32(bytes) != frame_checksum(bytes, stored, source->uid ^ at))
        return block_fault(source, at, "checksum mismatch");
    if (bytes[5] > BLOCK_FORMAT)
        return failed(LOAM_TOONEW, "%s: byte %" PRIu64 ": block format %u; this library knows %d",
                      object_name(source->object), source->base + at, bytes[5], BLOCK_FORMAT);
    if (bytes[4] != (uint8_t)type) return block_fault(source, at, "a block of another type");
    if (bytes[5] == 0 || bytes[6] > CODEC_ZSTD || bytes[7] != 0)
        return block_fault(source, at, "unknown block header");
    head->format = bytes[5];
    head->codec = bytes[6];
    head->raw_bytes = get_u32(bytes + 8);
    head->stored_bytes = stored;
    if (head->codec == CODEC_RAW && head->raw_bytes != stored)
        return block_fault(source, at, "a raw block of two lengths");
    if (head->raw_bytes == 0 || head->raw_bytes > CHUNK_BYTES || stored > CHUNK_BYTES)
        return block_fault(source, at, "impossible block length");
    return LOAM_OK;
}

/* What of a frame can be told without its checksum: it is asked at every byte of damaged places. */
static bool may_be_block(const uint8_t *bytes, size_t len)
{
    if (bytes[4] < BLOCK_PAGE || bytes[4] > BLOCK_FOOTER || bytes[5] == 0) return false;
    if (bytes[5] <= BLOCK_FORMAT && (bytes[6] > CODEC_ZSTD || bytes[7] != 0)) return false;
    const uint32_t stored = get_u32(bytes + 12);
    return stored > 0 && stored <= CHUNK_BYTES && stored <= len - BLOCK_HEADER_BYTES;
}

loam_status block_probe(const struct block_source *source, uint64_t at, loam_slice frame,
                        enum block_type *type, struct block_head *head)
{
    const uint8_t *bytes = frame.data;
    if (frame.len < BLOCK_HEADER_BYTES || !may_be_block(bytes, frame.len)) return LOAM_NOTFOUND;
    const loam_status rc = block_check(source, (enum block_type)bytes[4], at, frame, head);
    *type = (enum block_type)bytes[4];
    return rc == LOAM_CORRUPT ? LOAM_NOTFOUND : rc;
}

static loam_status unpack_zstd(const struct block_head *head, const uint8_t *stored, uint8_t *dst,
                               bool *fits)
{
    const size_t state_bytes = ZSTD_estimateDCtxSize();
    void *state = mem_alloc(state_bytes);
    if (state == NULL) return LOAM_NOMEM;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(state, state_bytes);
    check(context != NULL);
    *fits = ZSTD_decompressDCtx(context, dst, head->raw_bytes, stored, head->stored_bytes) ==
            head->raw_bytes;
    mem_free(state);
    return LOAM_OK;
}

loam_status block_unpack(const struct block_source *source, uint64_t at,
                         const struct block_head *head, const uint8_t *frame, uint8_t *dst)
{
    const uint8_t *stored = frame + BLOCK_HEADER_BYTES;
    bool fits = true;
    switch ((enum block_codec)head->codec) {
    case CODEC_RAW:
        memcpy(dst, stored, head->raw_bytes);
        break;
    case CODEC_LZ4:
        fits = LZ4_decompress_safe((const char *)stored, (char *)dst, (int)head->stored_bytes,
                                   (int)head->raw_bytes) == (int)head->raw_bytes;
        break;
    case CODEC_ZSTD: {
        const loam_status rc = unpack_zstd(head, stored, dst, &fits);
        if (rc < 0) return rc;
        break;
    }
    }
    return fits ? LOAM_OK : block_fault(source, at, "a block does not decompress");
}

loam_status block_sink_init(struct block_sink *sink, struct object_writer *object, uint64_t uid,
                            loam_compression compression)
{
    size_t state_bytes = 0;
    memset(sink, 0, sizeof *sink);
    sink->object = object;
    sink->uid = uid;
    switch (compression) {
    case LOAM_UNCOMPRESSED:
        sink->codec = CODEC_RAW;
        break;
    case LOAM_LZ4:
        sink->codec = CODEC_LZ4;
        state_bytes = (size_t)LZ4_sizeofState();
        break;
    case LOAM_ZSTD:
        sink->codec = CODEC_ZSTD;
        state_bytes = ZSTD_estimateCCtxSize(ZSTD_LEVEL);
        break;
    }
    sink->state = mem_alloc(state_bytes);
    sink->packed = mem_alloc(BLOCK_HEADER_BYTES + CHUNK_BYTES);
    sink->chunk = mem_alloc(BLOCK_HEADER_BYTES + CHUNK_BYTES);
    if (sink->state == NULL || sink->packed == NULL || sink->chunk == NULL) {
        block_sink_deinit(sink);
        return LOAM_NOMEM;
    }
    return LOAM_OK;
}

void block_sink_deinit(struct block_sink *sink)
{
    mem_free(sink->state);
    mem_free(sink->packed);
    mem_free(sink->chunk);
    memset(sink, 0, sizeof *sink);
}

/* How many bytes the raw ones became behind the header of sink->packed; 0 if they are better left raw. */
static size_t pack_block(struct block_sink *sink, const uint8_t *raw, size_t raw_bytes)
{
    uint8_t *dst = sink->packed + BLOCK_HEADER_BYTES;
    const size_t room = raw_bytes - raw_bytes / 8;
    if (sink->codec == CODEC_LZ4)
        return (size_t)LZ4_compress_fast_extState(sink->state, (const char *)raw, (char *)dst,
                                                  (int)raw_bytes, (int)room, 1);
    const size_t state_bytes = ZSTD_estimateCCtxSize(ZSTD_LEVEL);
    ZSTD_CCtx *context = ZSTD_initStaticCCtx(sink->state, state_bytes);
    check(context != NULL);
    const size_t got = ZSTD_compressCCtx(context, dst, room, raw, raw_bytes, ZSTD_LEVEL);
    return ZSTD_isError(got) ? 0 : got;
}

loam_status block_put(struct block_sink *sink, enum block_type type, uint8_t *frame,
                      size_t raw_bytes, bool pack)
{
    check(raw_bytes > 0 && raw_bytes <= CHUNK_BYTES);
    size_t stored = 0;
    if (pack && sink->codec != CODEC_RAW && raw_bytes >= 64)
        stored = pack_block(sink, frame + BLOCK_HEADER_BYTES, raw_bytes);
    uint8_t *out = stored > 0 ? sink->packed : frame;
    out[4] = (uint8_t)type;
    out[5] = BLOCK_FORMAT;
    out[6] = stored > 0 ? sink->codec : CODEC_RAW;
    out[7] = 0;
    if (stored == 0) stored = raw_bytes;
    put_u32(out + 8, (uint32_t)raw_bytes);
    put_u32(out + 12, (uint32_t)stored);
    put_u32(out, frame_checksum(out, stored, sink->uid ^ sink->at));
    const loam_status rc = object_append(sink->object, out, BLOCK_HEADER_BYTES + stored);
    if (rc < 0) return rc;
    sink->at += BLOCK_HEADER_BYTES + stored;
    return LOAM_OK;
}
