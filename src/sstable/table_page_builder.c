/*
 * table_page_builder.c - flat pages, written; see table_page_builder.h.
 */
#include "sstable/table_page_builder.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "sstable/table_page.h"

#include "base/poison.h"

enum {
    PAGE_BYTES_LEAST = 64,
    PAGE_BYTES_MOST = 32768,
    PAGE_ALONE_FACTOR = 4, /* an extent costs a read of the disk each time, so not too early */
    PAGE_ALONE_BYTES_MAX = 60000
};

struct page_item {
    uint16_t at, key_at, key_bytes;
    uint8_t fingerprint;
};

loam_status page_builder_init(struct page_builder *builder, uint32_t page_bytes)
{
    memset(builder, 0, sizeof *builder);
    if (page_bytes < PAGE_BYTES_LEAST) page_bytes = PAGE_BYTES_LEAST;
    if (page_bytes > PAGE_BYTES_MOST) page_bytes = PAGE_BYTES_MOST;
    const uint32_t alone = PAGE_ALONE_FACTOR * page_bytes;
    builder->page_bytes = page_bytes;
    builder->alone_bytes = alone < PAGE_ALONE_BYTES_MAX ? alone : PAGE_ALONE_BYTES_MAX;
    const size_t items = page_bytes / (PAGE_ENTRY_BYTES_MIN + PAGE_SLOT_BYTES) + 1;
    builder->frame = mem_alloc(BLOCK_HEADER_BYTES + builder->alone_bytes);
    builder->entries = mem_alloc(builder->alone_bytes);
    builder->items = mem_alloc_array(items, sizeof *builder->items);
    if (builder->frame == NULL || builder->entries == NULL || builder->items == NULL) {
        page_builder_deinit(builder);
        return LOAM_NOMEM;
    }
    return LOAM_OK;
}

void page_builder_deinit(struct page_builder *builder)
{
    mem_free(builder->frame);
    mem_free(builder->entries);
    mem_free(builder->items);
    memset(builder, 0, sizeof *builder);
}

static uint64_t zigzag_to(uint64_t difference)
{
    return (difference << 1) ^ (0 - (difference >> 63));
}

static uint64_t coded_seq(const struct page_builder *builder, const struct entry *entry)
{
    return builder->entry_count == 0 ? 0 : zigzag_to(entry->seq - builder->seq_base);
}

/* An entry's bytes in this page. */
static uint64_t entry_bytes(const struct page_builder *builder, const struct entry *entry)
{
    return 1 + varint64_bytes(entry->key.len) + varint64_bytes(entry->value.len) +
           varint64_bytes(coded_seq(builder, entry)) + entry->key.len + entry->value.len;
}

bool page_builder_takes(const struct page_builder *builder, const struct entry *entry)
{
    const uint64_t head_most = ENTRY_HEAD_BYTES_MAX + page_entries_at(1);
    return head_most + entry->key.len + entry->value.len <= builder->alone_bytes;
}

bool page_builder_has_room(const struct page_builder *builder, const struct entry *entry)
{
    if (builder->entry_count == 0) return true;
    return page_entries_at(builder->entry_count + 1) + builder->entries_bytes +
               entry_bytes(builder, entry) <=
           builder->page_bytes;
}

void page_builder_add(struct page_builder *builder, const struct entry *entry, uint64_t hash)
{
    uint8_t *at = builder->entries + builder->entries_bytes;
    struct page_item *item = &builder->items[builder->entry_count];
    if (builder->entry_count == 0) builder->seq_base = entry->seq;
    item->at = (uint16_t)builder->entries_bytes;
    item->fingerprint = page_fingerprint(hash);
    *at++ = entry->kind;
    at = put_varint64(at, entry->key.len);
    at = put_varint64(at, entry->value.len);
    at = put_varint64(at, coded_seq(builder, entry));
    item->key_at = (uint16_t)(at - builder->entries);
    item->key_bytes = (uint16_t)entry->key.len;
    if (entry->key.len > 0) memcpy(at, entry->key.data, entry->key.len);
    at += entry->key.len;
    if (entry->value.len > 0) memcpy(at, entry->value.data, entry->value.len);
    builder->entries_bytes = (uint32_t)(at + entry->value.len - builder->entries);
    builder->entry_count++;
    if (entry->kind == ENTRY_DELETE) builder->tombstone_count++;
}

static loam_slice item_key(const struct page_builder *builder, uint32_t index)
{
    const struct page_item *item = &builder->items[index];
    return loam_bytes(builder->entries + item->key_at, item->key_bytes);
}

size_t page_builder_finish(struct page_builder *builder)
{
    uint8_t *raw = builder->frame + BLOCK_HEADER_BYTES;
    const uint32_t count = builder->entry_count, entries_at = page_entries_at(count);
    const uint32_t offsets_at = page_offsets_at(count), heads_at = page_heads_at(count);
    check(count > 0);
    check(entries_at + builder->entries_bytes <= builder->alone_bytes);
    const size_t prefix = bytes_common(item_key(builder, 0), item_key(builder, count - 1));
    memset(raw, 0, heads_at);
    put_u16(raw, (uint16_t)count);
    put_u16(raw + 2, (uint16_t)prefix);
    put_u64(raw + 8, builder->seq_base);
    for (uint32_t i = 0; i < count; i++) {
        raw[PAGE_HEADER_BYTES + i] = builder->items[i].fingerprint;
        put_u16(raw + offsets_at + (size_t)2 * i, (uint16_t)(entries_at + builder->items[i].at));
        put_u64(raw + heads_at + (size_t)8 * i, bytes_head(item_key(builder, i), prefix));
    }
    memcpy(raw + entries_at, builder->entries, builder->entries_bytes);
    const size_t raw_bytes = entries_at + builder->entries_bytes;
    builder->entry_count = builder->entries_bytes = builder->tombstone_count = 0;
    return raw_bytes;
}
