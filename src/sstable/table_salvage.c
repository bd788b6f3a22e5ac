/*
 * table_salvage.c - what of a damaged table is intact; see table_salvage.h.
 */
#include "sstable/table_salvage.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/mem.h"
#include "sstable/table_extent.h"
#include "sstable/table_footer.h"
#include "sstable/table_index.h"
#include "sstable/table_page.h"

#include "base/poison.h"

enum {
    FRAME_BYTES_MAX = BLOCK_HEADER_BYTES + CHUNK_BYTES,
    WINDOW_BYTES = 4 * FRAME_BYTES_MAX,
    FIND_BYTES = 64 << 10
};

struct walk {
    const struct table_salvage *salvage;
    struct table_found *found;
    struct block_source source;
    uint64_t at, end;             /* in the table; end: of what the object holds of it */
    uint64_t pages_end;           /* where no entries are behind; UINT64_MAX: not known */
    uint64_t hole_at;             /* where damage began; UINT64_MAX: no damage at hand */
    bool in_doubt;                /* the next extent's block may be from the middle of one */
    uint8_t *window, *raw, *page; /* bytes from window_at on; a raw block; a page laid out */
    uint64_t window_at;
    size_t window_len;
    struct table_index index; /* page_count 0: there is none */
    loam_buf index_bytes;
};

/* ---- bytes ---- */

/* Makes the window hold [at, at + FRAME_BYTES_MAX), as far as the table goes. */
static loam_status look_at(struct walk *walk, uint64_t at, loam_slice *frame)
{
    const uint64_t left = walk->end - at;
    const size_t want = left < FRAME_BYTES_MAX ? (size_t)left : FRAME_BYTES_MAX;
    size_t lost;
    if (at < walk->window_at || at + want > walk->window_at + walk->window_len) {
        const size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        const loam_status rc = object_read_salvage(walk->source.object, walk->source.base + at,
                                                   walk->window, len, &lost);
        if (rc < 0) return rc;
        walk->window_at = at;
        walk->window_len = len;
    }
    *frame = loam_bytes(walk->window + (at - walk->window_at), want);
    return LOAM_OK;
}

/* ---- damage ---- */

static void begin_table_hole(struct walk *walk, uint64_t at)
{
    if (walk->hole_at == UINT64_MAX) walk->hole_at = at;
    walk->in_doubt = true;
}

static void say_table_hole(struct walk *walk, uint64_t from, uint64_t to, bool harmless)
{
    const struct table_salvage *salvage = walk->salvage;
    if (from == to) return;
    if (!harmless) walk->found->lost_bytes += to - from;
    if (salvage->hole != NULL)
        salvage->hole(salvage->ctx, walk->source.base + from, to - from, harmless);
}

static void end_table_hole(struct walk *walk, uint64_t at)
{
    const uint64_t from = walk->hole_at, border = walk->pages_end;
    if (from == UINT64_MAX) return;
    walk->hole_at = UINT64_MAX;
    if (from < border) say_table_hole(walk, from, at < border ? at : border, false);
    if (at > border) say_table_hole(walk, from > border ? from : border, at, true);
}

/* ---- entries ---- */

static loam_status yield(struct walk *walk, const struct entry *entry)
{
    struct table_found *found = walk->found;
    if (found->entry_count == 0 || entry->seq < found->seq_min) found->seq_min = entry->seq;
    if (entry->seq > found->seq_max) found->seq_max = entry->seq;
    found->entry_count++;
    return walk->salvage->each(walk->salvage->ctx, entry);
}

static loam_status take_page(struct walk *walk, const struct block_head *head, loam_slice frame,
                             bool *intact)
{
    size_t bytes;
    loam_status rc = block_unpack(&walk->source, walk->at, head, frame.data, walk->raw);
    *intact = rc == LOAM_OK &&
              page_measure(walk->raw, head->raw_bytes, head->format, &bytes) == NULL &&
              page_lay_out(walk->page, walk->raw, head->raw_bytes, head->format,
                           walk->source.seq_shift, false) == NULL;
    if (!*intact) return rc == LOAM_CORRUPT ? LOAM_OK : rc;
    const struct page page = page_view(walk->page);
    struct entry entry, last;
    page_entry(&page, 0, &entry);
    page_entry(&page, page.entry_count - 1, &last);
    const struct salvaged_page told = {.at = walk->source.base + walk->at,
                                       .bytes = BLOCK_HEADER_BYTES + head->stored_bytes,
                                       .head = *head,
                                       .entry_count = page.entry_count,
                                       .first = entry.key,
                                       .last = last.key};
    if (walk->salvage->page != NULL) rc = walk->salvage->page(walk->salvage->ctx, &told);
    for (uint32_t i = 0; rc == LOAM_OK && i < page.entry_count; i++) {
        page_entry(&page, i, &entry);
        rc = yield(walk, &entry);
    }
    walk->found->page_count++;
    return rc;
}

/* How many raw bytes an extent has whose first block is in walk->raw; 0: it is none. */
static uint64_t extent_raw_bytes(const uint8_t *raw, size_t len)
{
    const uint8_t *at = raw + 1, *end = raw + len;
    uint32_t key_bytes = 0, value_bytes = 0;
    uint64_t seq = 0;
    at = get_varint32(at, end, &key_bytes);
    if (at != NULL) at = get_varint32(at, end, &value_bytes);
    if (at != NULL) at = get_varint64(at, end, &seq);
    if (at == NULL || key_bytes > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX) return 0;
    return (uint64_t)(at - raw) + key_bytes + value_bytes;
}

/* Follows the blocks of the extent at walk->at to its end. LOAM_NOTFOUND: *end is where it breaks. */
static loam_status measure_extent(struct walk *walk, const struct block_head *head,
                                  loam_slice frame, uint64_t *end)
{
    enum block_type type = BLOCK_EXTENT;
    struct block_head next = *head;
    *end = walk->at;
    loam_status rc = block_unpack(&walk->source, walk->at, head, frame.data, walk->raw);
    if (rc < 0) return rc == LOAM_CORRUPT ? LOAM_NOTFOUND : rc;
    uint64_t left = extent_raw_bytes(walk->raw, head->raw_bytes);
    if (left == 0) return LOAM_NOTFOUND;
    for (;;) {
        const uint32_t want = left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES;
        if (type != BLOCK_EXTENT || next.raw_bytes != want) return LOAM_NOTFOUND;
        *end += BLOCK_HEADER_BYTES + next.stored_bytes;
        left -= want;
        if (left == 0) return LOAM_OK;
        rc = look_at(walk, *end, &frame);
        if (rc == LOAM_OK) rc = block_probe(&walk->source, *end, frame, &type, &next);
        if (rc != LOAM_OK) return rc;
    }
}

static loam_status take_extent(struct walk *walk, const struct block_head *head, loam_slice frame,
                               uint64_t *end)
{
    struct extent extent;
    loam_status rc = measure_extent(walk, head, frame, end);
    if (rc != LOAM_OK) return rc;
    rc = extent_read_key(&walk->source, walk->at, *end, &extent);
    if (rc == LOAM_OK) {
        rc = extent_read_value(&walk->source, &extent);
        if (rc == LOAM_OK) {
            const struct salvaged_page told = {.at = walk->source.base + walk->at,
                                               .bytes = *end - walk->at,
                                               .head = *head,
                                               .is_extent = true,
                                               .entry_count = 1,
                                               .first = extent.entry.key,
                                               .last = extent.entry.key};
            walk->found->page_count++;
            if (walk->salvage->page != NULL) rc = walk->salvage->page(walk->salvage->ctx, &told);
            if (rc == LOAM_OK) rc = yield(walk, &extent.entry);
        } else if (rc == LOAM_IOERR || rc == LOAM_CORRUPT) {
            rc = LOAM_NOTFOUND;
        }
        extent_clear(&extent);
        return rc;
    }
    return rc == LOAM_IOERR || rc == LOAM_CORRUPT ? LOAM_NOTFOUND : rc;
}

/* ---- the index, as a witness of where pages begin ---- */

/* A damaged or missing one is no failure. */
static loam_status load_witness(struct walk *walk)
{
    const struct table_salvage *salvage = walk->salvage;
    struct table_meta meta;
    struct table_footer footer;
    loam_status rc =
        table_footer_probe(salvage->object, salvage->offset + salvage->bytes, &meta, &footer);
    if (rc != LOAM_OK) return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
    if (meta.uid != salvage->uid || meta.bytes != salvage->bytes) return LOAM_OK;
    walk->pages_end = footer.index.at;
    rc = table_footer_stream(&walk->source, BLOCK_INDEX, &footer.index, &walk->index_bytes);
    const loam_slice bytes = loam_bytes(walk->index_bytes.data, walk->index_bytes.len);
    if (rc == LOAM_OK && index_open(&walk->index, bytes, footer.index.at) != NULL)
        walk->index.page_count = 0;
    return rc == LOAM_CORRUPT || rc == LOAM_IOERR ? LOAM_OK : rc;
}

static bool index_begins_at(const struct table_index *index, uint64_t at)
{
    uint64_t low = 0, high = index->page_count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (index_page_start(index, middle) < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->page_count && index_page_start(index, low) == at &&
           index_is_extent(index, low);
}

/* ---- the walk ---- */

/* The block at walk->at is of this table; where it goes on. */
static loam_status take_block(struct walk *walk, enum block_type type,
                              const struct block_head *head, loam_slice frame)
{
    const uint64_t at = walk->at, behind = at + BLOCK_HEADER_BYTES + head->stored_bytes;
    uint64_t next = behind;
    bool intact = true;
    loam_status rc = LOAM_OK;
    if (type == BLOCK_EXTENT && walk->in_doubt && !index_begins_at(&walk->index, at)) {
        begin_table_hole(walk, at);
        walk->at = behind;
        /* The last block of an extent is the shorter one; what follows it is a beginning. */
        walk->in_doubt = walk->index.page_count > 0 || head->raw_bytes == CHUNK_BYTES;
        return LOAM_OK;
    }
    end_table_hole(walk, at);
    if (type == BLOCK_PAGE) rc = take_page(walk, head, frame, &intact);
    if (type == BLOCK_EXTENT) rc = take_extent(walk, head, frame, &next);
    if (type != BLOCK_PAGE && type != BLOCK_EXTENT && at < walk->pages_end) walk->pages_end = at;
    if (rc != LOAM_OK && rc != LOAM_NOTFOUND) return rc;
    if (rc == LOAM_NOTFOUND && next == at) next = behind;
    walk->in_doubt = false;
    if (rc == LOAM_NOTFOUND || !intact) begin_table_hole(walk, at);
    walk->at = next;
    return LOAM_OK;
}

static loam_status walk_blocks(struct walk *walk)
{
    loam_status rc = LOAM_OK;
    while ((rc == LOAM_OK || rc == LOAM_NOTFOUND) && walk->at < walk->end) {
        loam_slice frame;
        enum block_type type = BLOCK_PAGE;
        struct block_head head;
        rc = look_at(walk, walk->at, &frame);
        if (rc == LOAM_OK) rc = block_probe(&walk->source, walk->at, frame, &type, &head);
        if (rc == LOAM_OK) rc = take_block(walk, type, &head, frame);
        if (rc != LOAM_NOTFOUND) continue;
        begin_table_hole(walk, walk->at);
        walk->at++;
    }
    if (rc != LOAM_OK && rc != LOAM_NOTFOUND) return rc;
    const uint64_t stated = walk->salvage->bytes;
    if (stated > walk->end) begin_table_hole(walk, walk->end); /* the object was cut off */
    end_table_hole(walk, stated > walk->end ? stated : walk->end);
    return LOAM_OK;
}

loam_status table_salvage_walk(const struct table_salvage *salvage, struct table_found *found)
{
    const uint64_t size = object_bytes(salvage->object);
    struct walk walk = {
        .salvage = salvage,
        .found = found,
        .source = {salvage->object, salvage->offset, salvage->uid, salvage->seq_shift},
        .pages_end = UINT64_MAX,
        .hole_at = UINT64_MAX};
    memset(found, 0, sizeof *found);
    if (size > salvage->offset)
        walk.end =
            size - salvage->offset < salvage->bytes ? size - salvage->offset : salvage->bytes;
    walk.window = mem_alloc(WINDOW_BYTES);
    walk.raw = mem_alloc(CHUNK_BYTES + PAGE_SLACK_BYTES);
    walk.page = mem_alloc(PAGE_BYTES_MAX + PAGE_SLACK_BYTES);
    loam_status rc = LOAM_NOMEM;
    if (walk.window != NULL && walk.raw != NULL && walk.page != NULL) rc = load_witness(&walk);
    if (rc == LOAM_OK) rc = walk_blocks(&walk);
    mem_free(walk.window);
    mem_free(walk.raw);
    mem_free(walk.page);
    loam_buf_free(&walk.index_bytes);
    return rc;
}

/* ---- finding tables ---- */

loam_status table_salvage_find(struct object *object, uint64_t *end, struct table_meta *meta)
{
    static const char magic[] = "loam.sst";
    enum { MAGIC_BYTES = sizeof magic - 1 };
    struct table_footer footer;
    loam_status rc = table_footer_probe(object, *end, meta, &footer);
    uint8_t *bytes = rc == LOAM_NOTFOUND ? mem_alloc(FIND_BYTES) : NULL;
    if (rc == LOAM_NOTFOUND && bytes == NULL) return LOAM_NOMEM;
    uint64_t to = *end > 0 ? *end - 1 : 0;
    while (rc == LOAM_NOTFOUND && to >= FOOTER_BYTES) {
        const size_t len = to < FIND_BYTES ? (size_t)to : FIND_BYTES;
        size_t lost;
        rc = object_read_salvage(object, to - len, bytes, len, &lost);
        if (rc == LOAM_OK) rc = LOAM_NOTFOUND;
        for (size_t at = len; rc == LOAM_NOTFOUND && at >= MAGIC_BYTES; at--) {
            if (memcmp(bytes + at - MAGIC_BYTES, magic, MAGIC_BYTES) != 0) continue;
            *end = to - len + at;
            rc = table_footer_probe(object, *end, meta, &footer);
        }
        if (to == len) break;
        to -= len - (MAGIC_BYTES - 1); /* a magic may lie across */
    }
    mem_free(bytes);
    return rc;
}
