/*
 * table_page_builder.c - flat pages, written; see table_page_builder.h.
 */
#include "sstable/table_page_builder.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "sstable/frames.h"
#include "sstable/table_page.h"

#include "base/poison.h"

loam_status page_builder_init(struct page_builder *builder, const struct page_limits *limits)
{
    memset(builder, 0, sizeof *builder);
    builder->limits = *limits;
    check(limits->page_bytes <= limits->grown_bytes && limits->grown_bytes <= limits->alone_bytes);
    check(limits->alone_bytes <= PAGE_BYTES_MAX - PAGE_SLACK_BYTES);
    builder->frame = mem_alloc(BLOCK_HEADER_BYTES + builder->limits.alone_bytes);
    return builder->frame == NULL ? LOAM_NOMEM : LOAM_OK;
}

void page_builder_deinit(struct page_builder *builder)
{
    mem_free(builder->frame);
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
    return head_most + entry->key.len + entry->value.len <= builder->limits.alone_bytes;
}

bool page_builder_has_room(const struct page_builder *builder, const struct entry *entry)
{
    const uint64_t then = page_entries_at(builder->entry_count + 1) + builder->entries_bytes +
                          entry_bytes(builder, entry);
    if (builder->entry_count == 0 || then <= builder->limits.page_bytes) return true;
    if (then > builder->limits.grown_bytes) return false;
    /* A page that would leave much of its frame empty grows into the next larger one. */
    const uint64_t now = page_entries_at(builder->entry_count) + builder->entries_bytes;
    const unsigned order = frames_order_for(now + PAGE_SLACK_BYTES);
    const uint64_t frame = ((uint64_t)FRAME_UNIT_BYTES << order) - PAGE_SLACK_BYTES;
    return then <= frame || now < frame - frame / 8;
}

/* What of the page's raw bytes is behind its header. */
static uint8_t *page_entries(const struct page_builder *builder)
{
    return builder->frame + BLOCK_HEADER_BYTES + PAGE_HEADER_BYTES;
}

void page_builder_add(struct page_builder *builder, const struct entry *entry)
{
    uint8_t *entries = page_entries(builder), *at = entries + builder->entries_bytes;
    if (builder->entry_count == 0) builder->seq_base = entry->seq;
    *at++ = entry->kind;
    at = put_varint64(at, entry->key.len);
    at = put_varint64(at, entry->value.len);
    builder->last_key_at = (uint32_t)(at - entries);
    builder->last_key_bytes = (uint32_t)entry->key.len;
    if (builder->entry_count == 0) {
        builder->first_key_at = builder->last_key_at;
        builder->first_key_bytes = builder->last_key_bytes;
    }
    if (entry->key.len > 0) memcpy(at, entry->key.data, entry->key.len);
    at = put_varint64(at + entry->key.len, coded_seq(builder, entry));
    if (entry->value.len > 0) memcpy(at, entry->value.data, entry->value.len);
    builder->entries_bytes = (uint32_t)(at + entry->value.len - entries);
    builder->entry_count++;
    if (entry->kind == ENTRY_DELETE) builder->tombstone_count++;
}

size_t page_builder_finish(struct page_builder *builder)
{
    const uint8_t *entries = page_entries(builder);
    uint8_t *raw = builder->frame + BLOCK_HEADER_BYTES;
    check(builder->entry_count > 0);
    check(page_entries_at(builder->entry_count) + builder->entries_bytes <=
          builder->limits.alone_bytes);
    const size_t prefix =
        bytes_common(loam_bytes(entries + builder->first_key_at, builder->first_key_bytes),
                     loam_bytes(entries + builder->last_key_at, builder->last_key_bytes));
    put_u16(raw, (uint16_t)builder->entry_count);
    put_u16(raw + 2, (uint16_t)prefix);
    put_u32(raw + 4, 0);
    put_u64(raw + 8, builder->seq_base);
    const size_t raw_bytes = PAGE_HEADER_BYTES + builder->entries_bytes;
    builder->entry_count = builder->entries_bytes = builder->tombstone_count = 0;
    return raw_bytes;
}
