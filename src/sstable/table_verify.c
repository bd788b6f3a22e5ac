/*
 * table_verify.c - reads every byte of a table and says what is wrong with it; see table.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "sstable/table.h"
#include "sstable/table_extent.h"
#include "sstable/table_inner.h"
#include "sstable/table_page.h"
#include "sstable/table_stream.h"

#include "base/poison.h"

enum { VERIFY_LINE_BYTES = 640 };

struct verify {
    struct table *table;
    struct table_loaded *loaded;
    void (*line)(void *ctx, const char *text);
    void *ctx;
    uint64_t fault_count;
    uint64_t page;
    uint8_t *frame; /* of a page */
    struct page_space space;
    loam_buf last_key; /* and last_seq: of the entry before, if has_last */
    uint64_t last_seq;
    bool has_last; /* false at the first entry, and behind a page that could not be read */
    struct table_meta found; /* counts; no keys */
    uint64_t key_count;
    bool complete; /* no page was unreadable, so counts can be compared */
};

static void say(struct verify *verify, const char *text)
{
    verify->fault_count++;
    if (verify->line != NULL) verify->line(verify->ctx, text);
}

/* Says what is wrong with the current page. */
static void say_page(struct verify *verify, const char *what)
{
    char text[VERIFY_LINE_BYTES];
    const struct block_source *source = &verify->loaded->source;
    const uint64_t at = index_page_start(&verify->loaded->index, verify->page);
    (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": page %" PRIu64 ": %s",
                   object_name(source->object), source->base + at, verify->page, what);
    say(verify, text);
}

/* The filter knows all keys; a locator knows where each begins, of which a page that could not be read leaves one in doubt. */
static bool filter_knows(struct verify *verify, const struct entry *entry, uint32_t offset)
{
    const loam_slice last = loam_bytes(verify->last_key.data, verify->last_key.len);
    const struct table_filter *filter = &verify->loaded->filter;
    const uint64_t hash = hash_key(entry->key);
    const bool begins = verify->has_last ? !bytes_equal(last, entry->key) : verify->page == 0;
    verify->key_count += begins;
    return begins
               ? table_filter_knows(filter, hash, (struct located){(uint32_t)verify->page, offset})
               : !table_filter_denies(filter, hash);
}

/* offset: where it begins in its page in memory; 0: it is an extent. */
static loam_status verify_entry(struct verify *verify, const struct entry *entry, uint32_t offset)
{
    const struct table_index *index = &verify->loaded->index;
    const loam_slice last = loam_bytes(verify->last_key.data, verify->last_key.len);
    struct table_meta *found = &verify->found;
    if (verify->has_last && entry_compare(last, verify->last_seq, entry->key, entry->seq) >= 0)
        say_page(verify, "an entry is not behind the one before it");
    if (index_separator_compare(index, verify->page, entry->key) < 0)
        say_page(verify, "a key is above the page's separator");
    if (verify->page > 0) {
        const int order = index_separator_compare(index, verify->page - 1, entry->key);
        if (order > 0 || (order == 0 && verify->has_last && !bytes_equal(last, entry->key)))
            say_page(verify, "a key is not above the separator before the page");
    }
    if (!filter_knows(verify, entry, offset)) say_page(verify, "the filter denies a key");
    if (verify->complete && found->entry_count == 0 &&
        !bytes_equal(entry->key, verify->table->meta.smallest))
        say_page(verify, "the first key is not the table's smallest");
    table_meta_count(found, entry);
    verify->last_seq = entry->seq;
    verify->has_last = true;
    return buf_set(&verify->last_key, entry->key.data, entry->key.len);
}

static loam_status verify_entries(struct verify *verify)
{
    const struct page page = page_view(verify->space.bytes.data);
    uint32_t tombstones = 0;
    for (uint32_t i = 0; i < page.entry_count; i++) {
        struct entry entry;
        const uint32_t offset = page_entry_offset(&page, i);
        page_entry_at(&page, page.bytes + offset, &entry);
        tombstones += entry.kind == ENTRY_DELETE;
        const loam_status rc = verify_entry(verify, &entry, offset);
        if (rc < 0) return rc;
    }
    verify->found.dense_count += tombstones > page.entry_count / 2;
    return LOAM_OK;
}

static loam_status verify_extent(struct verify *verify, uint64_t start, uint64_t end)
{
    const struct block_source *source = &verify->loaded->source;
    struct extent extent;
    loam_status rc = extent_read_key(source, start, end, &extent);
    if (rc < 0) return rc;
    rc = extent_read_value(source, &extent);
    if (rc == LOAM_OK) rc = verify_entry(verify, &extent.entry, 0);
    verify->found.dense_count += extent.entry.kind == ENTRY_DELETE;
    extent_clear(&extent);
    return rc;
}

static loam_status verify_page(struct verify *verify)
{
    const struct table_loaded *loaded = verify->loaded;
    const uint64_t start = index_page_start(&loaded->index, verify->page);
    const uint64_t end = index_page_end(&loaded->index, verify->page);
    struct block_head head = {0};
    if (index_is_extent(&loaded->index, verify->page)) return verify_extent(verify, start, end);
    loam_status rc = object_read(loaded->source.object, loaded->source.base + start, verify->frame,
                                 (size_t)(end - start));
    if (rc == LOAM_OK) rc = table_check_frame(loaded, (uint32_t)verify->page, verify->frame, &head);
    if (rc == LOAM_OK)
        rc = table_open_page(loaded, (uint32_t)verify->page, &head, verify->frame, &verify->space);
    return rc == LOAM_OK ? verify_entries(verify) : rc;
}

/* A page that cannot be read is said and passed over; everything else that fails ends the work. */
static loam_status verify_pages(struct verify *verify)
{
    const struct block_source *source = &verify->loaded->source;
    object_will_need(source->object, source->base, verify->table->meta.bytes);
    for (; verify->page < verify->loaded->index.page_count; verify->page++) {
        const loam_status rc = verify_page(verify);
        if (rc >= 0) continue;
        if (rc != LOAM_CORRUPT && rc != LOAM_TOONEW) return rc;
        say(verify, loam_errmsg());
        verify->complete = verify->has_last = false;
    }
    return LOAM_OK;
}

static void verify_counts(struct verify *verify)
{
    const struct table_meta *meta = &verify->table->meta, *found = &verify->found;
    const struct {
        const char *what;
        uint64_t stated, found;
    } counts[] = {
        {"entries", meta->entry_count, found->entry_count},
        {"tombstones", meta->tombstone_count, found->tombstone_count},
        {"payload bytes", meta->payload_bytes, found->payload_bytes},
        {"tombstone-dense pages", meta->dense_count, found->dense_count},
        {"the smallest sequence", meta->seq_min, found->seq_min},
        {"the largest sequence", meta->seq_max, found->seq_max},
        {"expiring entries", meta->expiring_count, found->expiring_count},
        {"the first expiry", meta->expires_first_ms, found->expires_first_ms},
        {"the last expiry", meta->expires_last_ms, found->expires_last_ms},
    };
    char text[VERIFY_LINE_BYTES];
    const char *name = object_name(verify->loaded->source.object);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].stated == counts[i].found) continue;
        (void)snprintf(text, sizeof text,
                       "%s: byte %" PRIu64 ": %s: the manifest says %" PRIu64
                       ", the pages %" PRIu64,
                       name, meta->offset, counts[i].what, counts[i].stated, counts[i].found);
        say(verify, text);
    }
    if (!table_filter_counts(&verify->loaded->filter, verify->key_count)) {
        (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": the filter has other keys", name,
                       meta->offset + verify->loaded->footer.filter.at);
        say(verify, text);
    }
    const loam_slice last = loam_bytes(verify->last_key.data, verify->last_key.len);
    if (bytes_equal(last, meta->largest)) return;
    (void)snprintf(text, sizeof text,
                   "%s: byte %" PRIu64 ": the last key is not the table's largest", name,
                   meta->offset);
    say(verify, text);
}

static loam_status verify_bounds(struct verify *verify)
{
    const struct block_source *source = &verify->loaded->source;
    const struct footer_place *place = &verify->loaded->footer.bounds;
    const struct table_meta *meta = &verify->table->meta;
    struct stream_reader reader = {0};
    loam_status rc = LOAM_NOMEM;
    uint8_t *keys = mem_alloc((size_t)place->raw_bytes);
    if (keys == NULL) return rc;
    rc = stream_open(&reader, source, BLOCK_BOUNDS, place->at, place->at + place->stored_bytes);
    if (rc == LOAM_OK) rc = stream_rest(&reader, keys, (size_t)place->raw_bytes);
    if (rc == LOAM_OK &&
        (place->raw_bytes != meta->smallest.len + meta->largest.len ||
         !bytes_equal(loam_bytes(keys, meta->smallest.len), meta->smallest) ||
         !bytes_equal(loam_bytes(keys + meta->smallest.len, meta->largest.len), meta->largest)))
        rc = block_fault(source, place->at, "the bounds are not the table's smallest and largest");
    if (rc == LOAM_CORRUPT || rc == LOAM_TOONEW) {
        say(verify, loam_errmsg());
        rc = LOAM_OK;
    }
    stream_close(&reader);
    mem_free(keys);
    return rc;
}

loam_status table_verify(struct table *table, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct verify verify = {.table = table, .line = line, .ctx = ctx, .complete = true};
    struct table_hold hold = {0};
    loam_status rc = table_hold(table, &hold);
    if (rc < 0) {
        if (line != NULL && (rc == LOAM_CORRUPT || rc == LOAM_TOONEW)) line(ctx, loam_errmsg());
        return rc;
    }
    verify.loaded = hold.loaded;
    verify.frame = mem_alloc(BLOCK_HEADER_BYTES + PAGE_BYTES_MAX + PAGE_SLACK_BYTES);
    if (verify.frame == NULL) rc = LOAM_NOMEM;
    if (rc == LOAM_OK) rc = verify_pages(&verify);
    if (rc == LOAM_OK) rc = verify_bounds(&verify);
    if (rc == LOAM_OK && verify.complete) verify_counts(&verify);
    if (rc == LOAM_OK && verify.fault_count > 0)
        rc =
            failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": a table with %" PRIu64 " faults",
                   object_name(hold.loaded->source.object), table->meta.offset, verify.fault_count);
    mem_free(verify.frame);
    page_space_deinit(&verify.space);
    loam_buf_free(&verify.last_key);
    table_release(&hold);
    return rc;
}
