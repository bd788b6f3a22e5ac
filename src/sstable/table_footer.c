/*
 * table_footer.c - the last bytes of a table; see table_footer.h.
 *
 *   raw: uid | table bytes | entry count | tombstone count | payload bytes | page count | dense count
 *        | smallest sequence | largest sequence, u64 each
 *        | smallest key bytes u32 | largest key bytes u32
 *        | XXH3-64 of the smallest, then the largest key, seeded with uid
 *        | index, filter, bounds: offset, stored bytes, raw bytes, u64 each
 *        | "loam.sst"
 */
#include "sstable/table_footer.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "sstable/table_stream.h"

#include "base/poison.h"

enum { FOOTER_COUNTS = 9, FOOTER_PLACES_AT = 8 * FOOTER_COUNTS + 16, FOOTER_MAGIC_AT = 160 };

_Static_assert(FOOTER_PLACES_AT + 3 * 24 == FOOTER_MAGIC_AT, "the magic follows the places");
_Static_assert(FOOTER_MAGIC_AT + 8 == FOOTER_RAW_BYTES, "the magic ends the footer");

static const uint8_t footer_magic[8] = {'l', 'o', 'a', 'm', '.', 's', 's', 't'};

/* The meta owns its keys; a slice is read-only for everybody else. */
static void free_owned_slice(loam_slice slice)
{
    union {
        const void *borrowed;
        void *owned;
    } data = {slice.data};
    mem_free(data.owned);
}

void table_meta_deinit(struct table_meta *meta)
{
    free_owned_slice(meta->smallest);
    free_owned_slice(meta->largest);
    memset(meta, 0, sizeof *meta);
}

void table_meta_count(struct table_meta *meta, const struct entry *entry)
{
    if (meta->entry_count == 0) meta->seq_min = meta->seq_max = entry->seq;
    if (entry->seq < meta->seq_min) meta->seq_min = entry->seq;
    if (entry->seq > meta->seq_max) meta->seq_max = entry->seq;
    meta->entry_count++;
    meta->tombstone_count += entry->kind == ENTRY_DELETE;
    meta->payload_bytes += entry->key.len + entry->value.len;
    if (entry->kind != ENTRY_PUT_EXPIRING) return;
    const uint64_t at = entry_expires_ms(entry);
    if (meta->expiring_count == 0) meta->expires_first_ms = meta->expires_last_ms = at;
    if (at < meta->expires_first_ms) meta->expires_first_ms = at;
    if (at > meta->expires_last_ms) meta->expires_last_ms = at;
    meta->expiring_count++;
}

loam_status table_meta_copy(const struct table_meta *from, struct table_meta *to)
{
    struct table_meta copy = *from;
    copy.smallest.data = mem_copy(from->smallest.data, from->smallest.len);
    copy.largest.data = mem_copy(from->largest.data, from->largest.len);
    if (copy.smallest.data == NULL || copy.largest.data == NULL) {
        table_meta_deinit(&copy);
        return LOAM_NOMEM;
    }
    *to = copy;
    return LOAM_OK;
}

/* All of the raw footer before the places follows from the meta. */
static void put_facts(uint8_t *raw, const struct table_meta *meta)
{
    const uint64_t counts[FOOTER_COUNTS] = {meta->uid,
                                            meta->bytes,
                                            meta->entry_count,
                                            meta->tombstone_count,
                                            meta->payload_bytes,
                                            meta->page_count,
                                            meta->dense_count,
                                            meta->seq_min - meta->seq_shift,
                                            meta->seq_max - meta->seq_shift};
    const loam_slice bounds[2] = {meta->smallest, meta->largest};
    for (size_t i = 0; i < FOOTER_COUNTS; i++)
        put_u64(raw + 8 * i, counts[i]);
    put_u32(raw + 72, (uint32_t)meta->smallest.len);
    put_u32(raw + 76, (uint32_t)meta->largest.len);
    put_u64(raw + 80, hash_seeded_pieces(bounds, 2, meta->uid));
}

loam_status table_footer_put(struct block_sink *sink, struct table_footer *footer,
                             struct table_meta *meta)
{
    uint8_t frame[FOOTER_BYTES];
    uint8_t *raw = frame + BLOCK_HEADER_BYTES;
    const loam_slice bounds[2] = {meta->smallest, meta->largest};
    footer->bounds.at = sink->at;
    footer->bounds.raw_bytes = meta->smallest.len + meta->largest.len;
    const loam_status rc = stream_put(sink, BLOCK_BOUNDS, bounds, 2, false);
    if (rc < 0) return rc;
    footer->bounds.stored_bytes = sink->at - footer->bounds.at;
    meta->bytes = sink->at + FOOTER_BYTES;
    put_facts(raw, meta);
    const struct footer_place *places[3] = {&footer->index, &footer->filter, &footer->bounds};
    for (size_t i = 0; i < 3; i++) {
        put_u64(raw + FOOTER_PLACES_AT + 24 * i, places[i]->at);
        put_u64(raw + FOOTER_PLACES_AT + 24 * i + 8, places[i]->stored_bytes);
        put_u64(raw + FOOTER_PLACES_AT + 24 * i + 16, places[i]->raw_bytes);
    }
    memcpy(raw + FOOTER_MAGIC_AT, footer_magic, 8);
    return block_put(sink, BLOCK_FOOTER, frame, FOOTER_RAW_BYTES, false);
}

/* A stream starts at *at, and what it would become in memory is no more than its blocks could hold. */
static bool place_is_sane(const struct footer_place *place, uint64_t *at, uint64_t end)
{
    if (place->at != *at || place->stored_bytes > end - *at) return false;
    /* None of these is packed. */
    if (place->raw_bytes > place->stored_bytes) return false;
    if (stream_bytes(place->raw_bytes) != place->stored_bytes) return false;
    *at += place->stored_bytes;
    return true;
}

static const char *check_places(const struct table_footer *footer, uint64_t footer_at)
{
    uint64_t at = footer->index.at;
    if (at > footer_at) return "footer: the pages pass the footer";
    if (!place_is_sane(&footer->index, &at, footer_at)) return "footer: the index is out of place";
    if (!place_is_sane(&footer->filter, &at, footer_at))
        return "footer: the filter is out of place";
    if (!place_is_sane(&footer->bounds, &at, footer_at))
        return "footer: the bounds are out of place";
    return at == footer_at ? NULL : "footer: a gap before the footer";
}

static const char *get_places(const uint8_t *raw, uint64_t footer_at, struct table_footer *footer)
{
    struct footer_place *places[3] = {&footer->index, &footer->filter, &footer->bounds};
    for (size_t i = 0; i < 3; i++) {
        places[i]->at = get_u64(raw + FOOTER_PLACES_AT + 24 * i);
        places[i]->stored_bytes = get_u64(raw + FOOTER_PLACES_AT + 24 * i + 8);
        places[i]->raw_bytes = get_u64(raw + FOOTER_PLACES_AT + 24 * i + 16);
    }
    footer->smallest_bytes = get_u32(raw + 72);
    footer->largest_bytes = get_u32(raw + 76);
    return check_places(footer, footer_at);
}

loam_status table_footer_read(const struct block_source *source, const struct table_meta *meta,
                              struct table_footer *footer)
{
    uint8_t frame[FOOTER_BYTES], facts[FOOTER_PLACES_AT];
    const uint8_t *raw = frame + BLOCK_HEADER_BYTES;
    struct block_head head;
    if (meta->bytes < FOOTER_BYTES) return block_fault(source, 0, "too short for a table");
    const uint64_t at = meta->bytes - FOOTER_BYTES;
    loam_status rc = object_read(source->object, source->base + at, frame, sizeof frame);
    if (rc < 0) return rc;
    rc = block_check(source, BLOCK_FOOTER, at, loam_bytes(frame, sizeof frame), &head);
    if (rc < 0) return rc;
    if (head.codec != CODEC_RAW || head.raw_bytes != FOOTER_RAW_BYTES)
        return block_fault(source, at, "footer: impossible length");
    if (memcmp(raw + FOOTER_MAGIC_AT, footer_magic, 8) != 0)
        return block_fault(source, at, "footer: no table ends here");
    put_facts(facts, meta);
    if (memcmp(raw, facts, sizeof facts) != 0)
        return block_fault(source, at, "footer: the manifest describes another table");
    const char *fault = get_places(raw, at, footer);
    return fault == NULL ? LOAM_OK : block_fault(source, at, fault);
}

/* The counterpart of put_facts(), but for the keys. */
static void get_facts(const uint8_t *raw, struct table_meta *meta)
{
    uint64_t *const counts[FOOTER_COUNTS] = {
        &meta->uid,           &meta->bytes,      &meta->entry_count, &meta->tombstone_count,
        &meta->payload_bytes, &meta->page_count, &meta->dense_count, &meta->seq_min,
        &meta->seq_max};
    for (size_t i = 0; i < FOOTER_COUNTS; i++)
        *counts[i] = get_u64(raw + 8 * i);
}

loam_status table_footer_probe(struct object *object, uint64_t end, struct table_meta *meta,
                               struct table_footer *footer)
{
    uint8_t frame[FOOTER_BYTES];
    const uint8_t *raw = frame + BLOCK_HEADER_BYTES;
    struct block_head head;
    size_t lost;
    memset(meta, 0, sizeof *meta);
    if (end < FOOTER_BYTES || end > object_bytes(object)) return LOAM_NOTFOUND;
    loam_status rc = object_read_salvage(object, end - FOOTER_BYTES, frame, sizeof frame, &lost);
    if (rc < 0) return rc;
    if (memcmp(raw + FOOTER_MAGIC_AT, footer_magic, 8) != 0) return LOAM_NOTFOUND;
    get_facts(raw, meta);
    if (meta->bytes < FOOTER_BYTES || meta->bytes > end) return LOAM_NOTFOUND;
    meta->offset = end - meta->bytes;
    const struct block_source source = {object, meta->offset, meta->uid, 0};
    const uint64_t at = meta->bytes - FOOTER_BYTES;
    rc = block_check(&source, BLOCK_FOOTER, at, loam_bytes(frame, sizeof frame), &head);
    if (rc == LOAM_CORRUPT) return LOAM_NOTFOUND;
    if (rc < 0) return rc;
    if (head.raw_bytes != FOOTER_RAW_BYTES || head.codec != CODEC_RAW) return LOAM_NOTFOUND;
    return get_places(raw, at, footer) == NULL ? LOAM_OK : LOAM_NOTFOUND;
}

loam_status table_footer_stream(const struct block_source *source, enum block_type type,
                                const struct footer_place *place, loam_buf *bytes)
{
    struct stream_reader reader = {0};
    const size_t len = (size_t)place->raw_bytes;
    bytes->len = 0;
    loam_status rc = buf_reserve(bytes, len > 0 ? len : 1);
    if (rc == LOAM_OK)
        rc = stream_open(&reader, source, type, place->at, place->at + place->stored_bytes);
    if (rc == LOAM_OK) rc = stream_rest(&reader, bytes->data, len);
    if (rc == LOAM_OK) bytes->len = len;
    stream_close(&reader);
    return rc;
}

bool table_footer_keys(const struct table_footer *footer, loam_slice bounds, loam_slice *smallest,
                       loam_slice *largest)
{
    const size_t small = footer->smallest_bytes, large = footer->largest_bytes;
    if (small > bounds.len || large != bounds.len - small) return false;
    *smallest = loam_bytes(bounds.data, small);
    *largest = loam_bytes((const uint8_t *)bounds.data + small, large);
    return true;
}
