/*
 * table_writer.c - sorted entries in, an SSTable out; see table_writer.h.
 */
#include "sstable/table_writer.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "record/operands.h"
#include "sstable/table_block.h"
#include "sstable/table_filter.h"
#include "sstable/table_footer.h"
#include "sstable/table_index.h"
#include "sstable/table_page.h"
#include "sstable/table_page_builder.h"
#include "sstable/table_stream.h"

#include "base/poison.h"

struct table_writer {
    struct block_sink sink;
    struct page_builder page;
    struct index_builder index;
    loam_buf hashes; /* of the distinct keys, u64 each */
    /* And where they begin, u32 each, while located_max is not 0; those of the page that is built are still without what will stand
       before its entries. */
    loam_buf places;
    loam_buf first_key, last_key;
    uint64_t last_seq;
    uint64_t
        page_end; /* with INDEX_EXTENT_BIT: of a page that waits for its separator; 0: none does */
    uint32_t bits_per_key;
    uint64_t located_max;
    struct table_meta meta; /* its keys are not set before the end */
};

/* With header and slack, pages fill frames. A point read that misses unpacks and lays out a whole page, which is what it waits for,
   so pages are small; who chooses zstd wants little space, and patterns that repeat within a page are what it saves. */
static struct page_limits page_limits_for(const struct table_writer_options *options)
{
    const uint32_t exact = options->page_bytes;
    const uint32_t alone = 60000; /* late, because an extent costs a read of the disk each time */
    if (exact > 0) return (struct page_limits){exact, exact, 4 * exact < alone ? 4 * exact : alone};
    const uint32_t grown = 16384 - PAGE_SLACK_BYTES;
    const uint32_t least = options->compression == LOAM_ZSTD ? grown : 4096 - PAGE_SLACK_BYTES;
    return (struct page_limits){least, grown, alone};
}

loam_status table_writer_new(struct object_writer *object, struct object_id id, uint64_t uid,
                             const struct table_writer_options *options, struct table_writer **out)
{
    struct table_writer *writer = mem_zalloc(sizeof *writer);
    if (writer == NULL) return LOAM_NOMEM;
    const struct page_limits limits = page_limits_for(options);
    loam_status rc = block_sink_init(&writer->sink, object, uid, options->compression);
    if (rc == LOAM_OK) rc = page_builder_init(&writer->page, &limits);
    if (rc < 0) {
        table_writer_free(writer);
        return rc;
    }
    writer->bits_per_key = options->filter_bits_per_key;
    writer->located_max = options->filter_bits_per_key > 0 ? options->located_max : 0;
    writer->meta.object = id;
    writer->meta.offset = object_written(object);
    writer->meta.uid = uid;
    *out = writer;
    return LOAM_OK;
}

void table_writer_free(struct table_writer *writer)
{
    if (writer == NULL) return;
    block_sink_deinit(&writer->sink);
    page_builder_deinit(&writer->page);
    index_builder_deinit(&writer->index);
    loam_buf_free(&writer->hashes);
    loam_buf_free(&writer->places);
    loam_buf_free(&writer->first_key);
    loam_buf_free(&writer->last_key);
    mem_free(writer);
}

static loam_slice last_key(const struct table_writer *writer)
{
    return loam_bytes(writer->last_key.data, writer->last_key.len);
}

/* Gives the page that waits for it its separator, now that the key behind it is known (NULL: none). */
static loam_status separate_page(struct table_writer *writer, const loam_slice *next)
{
    if (writer->page_end == 0) return LOAM_OK;
    const loam_status rc =
        index_builder_add(&writer->index, writer->page_end, last_key(writer), next);
    if (rc == LOAM_OK) writer->page_end = 0;
    return rc;
}

static loam_status count_page(struct table_writer *writer, uint64_t end, bool is_dense)
{
    if (writer->meta.page_count == UINT32_MAX)
        return failed(LOAM_TOOBIG, "a table of more than %u pages", UINT32_MAX);
    writer->page_end = end;
    writer->meta.page_count++;
    writer->meta.dense_count += is_dense;
    return LOAM_OK;
}

/* Where the entries of the page will stand in memory is known when it is complete. */
static void move_places(struct table_writer *writer)
{
    const uint64_t page = writer->meta.page_count;
    uint32_t *places = writer->places.data;
    for (size_t i = writer->places.len / sizeof *places; i > 0 && places[i - 1] >> 16 == page; i--)
        places[i - 1] += page_entries_at(writer->page.entry_count);
}

static loam_status close_page(struct table_writer *writer)
{
    struct page_builder *page = &writer->page;
    if (page->entry_count == 0) return LOAM_OK;
    move_places(writer);
    const bool is_dense = page->tombstone_count > page->entry_count / 2;
    const size_t raw_bytes = page_builder_finish(page);
    const loam_status rc = block_put(&writer->sink, BLOCK_PAGE, page->frame, raw_bytes, true);
    return rc < 0 ? rc : count_page(writer, writer->sink.at, is_dense);
}

static loam_status put_extent(struct table_writer *writer, const struct entry *entry)
{
    uint8_t head[ENTRY_HEAD_BYTES_MAX];
    uint8_t *at = head;
    *at++ = entry->kind;
    at = put_varint64(at, entry->key.len);
    at = put_varint64(at, entry->value.len);
    at = put_varint64(at, entry->seq);
    const loam_slice pieces[3] = {loam_bytes(head, (size_t)(at - head)), entry->key, entry->value};
    const loam_status rc = stream_put(&writer->sink, BLOCK_EXTENT, pieces, 3, true);
    if (rc < 0) return rc;
    return count_page(writer, writer->sink.at | INDEX_EXTENT_BIT, entry->kind == ENTRY_DELETE);
}

static uint64_t key_count(const struct table_writer *writer)
{
    return writer->hashes.len / sizeof(uint64_t);
}

/* Beyond what places can say, and memory has room for, the table has a filter after all. */
static loam_status note_place(struct table_writer *writer)
{
    const uint64_t page = writer->meta.page_count;
    if (page >= LOCATOR_PAGES_MAX || key_count(writer) > writer->located_max) {
        writer->located_max = 0;
        loam_buf_free(&writer->places);
        return LOAM_OK;
    }
    const uint32_t place = (uint32_t)page << 16 | writer->page.entries_bytes;
    return buf_append(&writer->places, &place, sizeof place);
}

/* Remembers the key, and its hash; the same key again (another version) is in the filter already. */
static loam_status note_key(struct table_writer *writer, const struct entry *entry)
{
    const bool is_first = writer->meta.entry_count == 0;
    if (!is_first && bytes_equal(last_key(writer), entry->key)) return LOAM_OK;
    loam_status rc = LOAM_OK;
    if (writer->bits_per_key > 0) {
        const uint64_t hash = hash_key(entry->key);
        rc = buf_append(&writer->hashes, &hash, sizeof hash);
    }
    if (rc == LOAM_OK && writer->located_max > 0) rc = note_place(writer);
    if (rc == LOAM_OK && is_first)
        rc = buf_set(&writer->first_key, entry->key.data, entry->key.len);
    if (rc == LOAM_OK) rc = buf_set(&writer->last_key, entry->key.data, entry->key.len);
    return rc;
}

loam_status table_writer_add(struct table_writer *writer, const struct entry *entry)
{
    struct page_builder *page = &writer->page;
    check(entry->key.len <= KEY_BYTES_MAX && entry_fault(entry->kind, entry->value.len) == NULL);
    check(entry->seq > 0 && entry->seq <= SEQ_MAX);
    check(operand_is_sound(entry));
    if (writer->meta.entry_count > 0)
        check(entry_compare(last_key(writer), writer->last_seq, entry->key, entry->seq) < 0);
    const bool fits = page_builder_takes(page, entry);
    loam_status rc = LOAM_OK;
    if (!fits || !page_builder_has_room(page, entry)) rc = close_page(writer);
    if (rc == LOAM_OK) rc = separate_page(writer, &entry->key);
    if (rc == LOAM_OK) rc = note_key(writer, entry);
    if (rc == LOAM_OK && fits) page_builder_add(page, entry);
    if (rc == LOAM_OK && !fits) rc = put_extent(writer, entry);
    if (rc < 0) return rc;
    writer->last_seq = entry->seq;
    table_meta_count(&writer->meta, entry);
    return LOAM_OK;
}

static uint64_t filter_bytes(const struct table_writer *writer)
{
    return writer->located_max > 0 ? locator_bytes(key_count(writer))
                                   : table_filter_bytes(key_count(writer), writer->bits_per_key);
}

uint64_t table_writer_bytes(const struct table_writer *writer)
{
    return writer->sink.at + writer->page.entries_bytes + index_builder_bytes(&writer->index) +
           filter_bytes(writer) + FOOTER_BYTES;
}

uint64_t table_writer_entry_count(const struct table_writer *writer)
{
    return writer->meta.entry_count;
}

static loam_status put_index(struct table_writer *writer, struct footer_place *place)
{
    loam_buf bytes = {0};
    loam_status rc = index_builder_finish(&writer->index, &bytes);
    if (rc < 0) return rc;
    const loam_slice piece = loam_bytes(bytes.data, bytes.len);
    place->at = writer->sink.at;
    place->raw_bytes = bytes.len;
    rc = stream_put(&writer->sink, BLOCK_INDEX, &piece, 1, false);
    place->stored_bytes = writer->sink.at - place->at;
    loam_buf_free(&bytes);
    return rc;
}

/* A locator, or a filter. */
static loam_status build_filter(const struct table_writer *writer, loam_buf *out)
{
    const struct locator_source source = {writer->hashes.data, writer->places.data,
                                          key_count(writer)};
    const uint64_t bytes = table_filter_bytes(source.count, writer->bits_per_key);
    out->len = 0;
    if (writer->located_max > 0) {
        const loam_status rc = buf_reserve(out, (size_t)locator_bytes(source.count));
        if (rc < 0) return rc;
        if (locator_build(out->data, &source)) {
            out->len = (size_t)locator_bytes(source.count);
            return LOAM_OK;
        }
    }
    const loam_status rc = buf_reserve(out, (size_t)bytes);
    if (rc < 0 || bytes == 0) return rc;
    table_filter_build(out->data, bytes, source.hashes, source.count);
    out->len = (size_t)bytes;
    return LOAM_OK;
}

static loam_status put_filter(struct table_writer *writer, struct footer_place *place)
{
    loam_buf filter = {0};
    loam_status rc = build_filter(writer, &filter);
    const loam_slice piece = loam_bytes(filter.data, filter.len);
    place->at = writer->sink.at;
    place->raw_bytes = filter.len;
    if (rc == LOAM_OK && filter.len > 0)
        rc = stream_put(&writer->sink, BLOCK_FILTER, &piece, 1, false);
    place->stored_bytes = writer->sink.at - place->at;
    loam_buf_free(&filter);
    return rc;
}

loam_status table_writer_finish(struct table_writer *writer, struct table_meta *meta)
{
    struct table_footer footer;
    check(writer->meta.entry_count > 0);
    loam_status rc = close_page(writer);
    if (rc == LOAM_OK) rc = separate_page(writer, NULL);
    if (rc == LOAM_OK) rc = put_index(writer, &footer.index);
    if (rc == LOAM_OK) rc = put_filter(writer, &footer.filter);
    if (rc < 0) return rc;
    writer->meta.smallest = loam_bytes(writer->first_key.data, writer->first_key.len);
    writer->meta.largest = last_key(writer);
    rc = table_footer_put(&writer->sink, &footer, &writer->meta);
    return rc < 0 ? rc : table_meta_copy(&writer->meta, meta);
}
