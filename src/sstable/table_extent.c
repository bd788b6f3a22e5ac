/*
 * table_extent.c - entries larger than a page; see table_extent.h.
 */
#include "sstable/table_extent.h"

#include "base/codec.h"
#include "base/mem.h"
#include "record/operands.h"
#include "sstable/table_stream.h"

#include "base/poison.h"

void extent_clear(struct extent *extent)
{
    mem_free(extent->bytes);
    memset(extent, 0, sizeof *extent);
}

loam_slice extent_expiry(const struct extent *extent)
{
    const struct entry *entry = &extent->entry;
    if (entry->kind != ENTRY_PUT_EXPIRING) return loam_bytes(NULL, 0);
    return loam_bytes((const uint8_t *)entry->key.data + entry->key.len, EXPIRY_BYTES);
}

/* Decodes what stands before the key; *key_at becomes its length. NULL or what is wrong. */
static const char *decode_extent_head(struct extent *extent, uint64_t seq_shift,
                                      uint64_t stored_bytes, size_t *key_at)
{
    const uint8_t *at = extent->bytes, *end = at + extent->got_bytes;
    uint32_t key_bytes = 0, value_bytes = 0;
    struct entry *entry = &extent->entry;
    entry->kind = *at++;
    at = get_varint32(at, end, &key_bytes);
    if (at != NULL) at = get_varint32(at, end, &value_bytes);
    if (at != NULL) at = get_varint64(at, end, &entry->seq);
    if (at == NULL) return "an extent's head is malformed";
    const char *fault = entry_fault(entry->kind, value_bytes);
    if (fault != NULL) return fault;
    if (entry->seq == 0 || entry->seq > SEQ_MAX - seq_shift) return "an impossible sequence number";
    entry->seq += seq_shift;
    if (key_bytes > KEY_BYTES_MAX) return "an entry beyond the limits";
    *key_at = (size_t)(at - extent->bytes);
    extent->raw_bytes = *key_at + key_bytes + (size_t)value_bytes;
    entry->key.len = key_bytes;
    entry->value.len = value_bytes;
    /* Each chunk takes a header and a byte at least. */
    const uint64_t chunks = (extent->raw_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
    if (chunks * (BLOCK_HEADER_BYTES + 1) > stored_bytes) return "an entry longer than its extent";
    const size_t first = extent->raw_bytes < CHUNK_BYTES ? extent->raw_bytes : CHUNK_BYTES;
    return extent->got_bytes == first ? NULL : "an extent's first chunk has another length";
}

/* The entry's slices, wherever the bytes are now. */
static void point_entry(struct extent *extent, size_t key_at)
{
    struct entry *entry = &extent->entry;
    entry->key.data = extent->bytes + key_at;
    const bool whole = extent->got_bytes == extent->raw_bytes;
    entry->value.data =
        whole && entry->kind != ENTRY_DELETE ? extent->bytes + key_at + entry->key.len : NULL;
}

/* Reads chunks until that many raw bytes are there. */
static loam_status read_chunks(struct stream_reader *reader, struct extent *extent, size_t until)
{
    while (extent->got_bytes < until) {
        const size_t left = extent->raw_bytes - extent->got_bytes;
        const size_t want = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        const uint64_t at = reader->at;
        size_t got = 0;
        const loam_status rc = stream_chunk(reader, extent->bytes + extent->got_bytes, want, &got);
        if (rc < 0) return rc;
        if (got != want) return block_fault(reader->source, at, "a chunk is too short");
        extent->got_bytes += got;
    }
    return LOAM_OK;
}

static loam_status grow_extent(struct extent *extent, size_t bytes)
{
    uint8_t *grown = mem_realloc(extent->bytes, bytes);
    if (grown == NULL) return LOAM_NOMEM;
    extent->bytes = grown;
    return LOAM_OK;
}

loam_status extent_read_key(const struct block_source *source, uint64_t at, uint64_t end,
                            struct extent *extent)
{
    struct stream_reader reader;
    size_t key_at = 0;
    memset(extent, 0, sizeof *extent);
    loam_status rc = stream_open(&reader, source, BLOCK_EXTENT, at, end);
    if (rc == LOAM_OK) rc = grow_extent(extent, CHUNK_BYTES);
    if (rc == LOAM_OK) rc = stream_chunk(&reader, extent->bytes, CHUNK_BYTES, &extent->got_bytes);
    if (rc < 0) goto out;
    const char *fault = decode_extent_head(extent, source->seq_shift, end - at, &key_at);
    if (fault != NULL) {
        rc = block_fault(source, at, fault);
        goto out;
    }
    const size_t expiry = extent->entry.kind == ENTRY_PUT_EXPIRING ? EXPIRY_BYTES : 0;
    const size_t key_end =
        key_at + extent->entry.key.len + expiry; /* which a walk over keys reads, too */
    if (key_end > extent->got_bytes) {           /* a key of 64 KiB passes into the second chunk */
        rc = grow_extent(extent, (size_t)2 * CHUNK_BYTES);
        if (rc == LOAM_OK) rc = read_chunks(&reader, extent, key_end);
        if (rc < 0) goto out;
    }
    extent->next_at = reader.at;
    extent->at = at;
    extent->end = end;
    if (extent->got_bytes == extent->raw_bytes && reader.at != end)
        rc = block_fault(source, reader.at, "more chunks than bytes");
    point_entry(extent, key_at);
out:
    stream_close(&reader);
    if (rc < 0) extent_clear(extent);
    return rc;
}

static loam_status read_rest(const struct block_source *source, struct extent *extent)
{
    struct stream_reader reader;
    const size_t key_at = (size_t)((const uint8_t *)extent->entry.key.data - extent->bytes);
    if (extent->got_bytes == extent->raw_bytes) return LOAM_OK;
    loam_status rc = grow_extent(extent, extent->raw_bytes);
    if (rc < 0) return rc;
    point_entry(extent, key_at);
    object_will_need(source->object, source->base + extent->next_at, extent->end - extent->next_at);
    rc = stream_open(&reader, source, BLOCK_EXTENT, extent->next_at, extent->end);
    if (rc == LOAM_OK)
        rc = stream_rest(&reader, extent->bytes + extent->got_bytes,
                         extent->raw_bytes - extent->got_bytes);
    stream_close(&reader);
    if (rc < 0) return rc;
    extent->got_bytes = extent->raw_bytes;
    point_entry(extent, key_at);
    return LOAM_OK;
}

loam_status extent_read_value(const struct block_source *source, struct extent *extent)
{
    const loam_status rc = read_rest(source, extent);
    if (rc < 0 || operand_is_sound(&extent->entry)) return rc;
    return block_fault(source, extent->at, "an operand that begins nowhere");
}
