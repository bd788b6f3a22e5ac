/*
 * table_page.c - flat pages, read; see table_page.h.
 */
#include "sstable/table_page.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/bytes.h"

#include "base/poison.h"

/* A bit for each of the 32 bytes at `bytes` that equals wanted. */
#if defined(__SSE2__)
static inline uint32_t match_bytes(const uint8_t *bytes, uint8_t wanted)
{
    const __m128i all = _mm_set1_epi8((char)wanted);
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(low, all)) |
           (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(high, all)) << 16;
}
#else
static inline uint32_t match_bytes(const uint8_t *bytes, uint8_t wanted)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < 32; i++)
        mask |= (uint32_t)(bytes[i] == wanted) << i;
    return mask;
}
#endif

bool page_find(const uint8_t *raw, loam_slice key, uint64_t hash, uint64_t seq, struct entry *entry)
{
    page_prefetch(raw, PAGE_PREFETCH_BYTES);
    const struct page page = page_view(raw);
    const uint8_t *fingerprints = raw + PAGE_HEADER_BYTES;
    for (uint32_t from = 0; from < page.entry_count; from += 32) {
        uint32_t mask = match_bytes(fingerprints + from, page_fingerprint(hash));
        if (page.entry_count - from < 32) mask &= (UINT32_C(1) << (page.entry_count - from)) - 1;
        for (; mask != 0; mask &= mask - 1) {
            const uint32_t index = from + (uint32_t)__builtin_ctz(mask);
            const uint8_t *at = raw + get_u16(raw + page.offsets_at + (size_t)2 * index);
            page_prefetch(at, 128); /* the value, too, which will be copied */
            page_entry_at(&page, at, entry);
            if (entry->key.len == key.len && entry->seq <= seq && bytes_equal(entry->key, key))
                return true;
        }
    }
    return false;
}

/* Negative when key is below all keys of the page's prefix, positive when above them, 0 within. */
static int compare_prefix(const struct page *page, loam_slice key)
{
    struct entry first;
    if (page->prefix_bytes == 0) return 0;
    page_entry(page, 0, &first);
    const size_t len = key.len < page->prefix_bytes ? key.len : page->prefix_bytes;
    const int order = len > 0 ? memcmp(key.data, first.key.data, len) : 0;
    if (order != 0) return order;
    return key.len < page->prefix_bytes ? -1 : 0;
}

uint32_t page_seek(const struct page *page, loam_slice key, uint64_t seq)
{
    const uint8_t *heads = page->bytes + page->heads_at;
    const int order = compare_prefix(page, key);
    if (order != 0) return order < 0 ? 0 : page->entry_count;
    const uint64_t head = bytes_head(key, page->prefix_bytes);
    uint32_t low = (uint32_t)heads_lower_bound(heads, page->entry_count, head);
    uint32_t high = page->entry_count;
    while (low < high) { /* among equal heads whole keys decide */
        struct entry entry;
        const uint32_t middle = low + (high - low) / 2;
        bool before = false;
        if (get_u64(heads + (size_t)8 * middle) == head) {
            page_entry(page, middle, &entry);
            before = entry_compare(entry.key, entry.seq, key, seq) < 0;
        }
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The entry that starts at *at and must end within the page; *at moves behind it. */
static const char *check_entry(const struct page *page, const uint8_t **at, const uint8_t *end,
                               struct entry *entry)
{
    const uint8_t *from = *at;
    uint32_t key_bytes = 0, value_bytes = 0;
    uint64_t seq = 0;
    if (from == end) return "an entry is missing";
    entry->kind = *from++;
    from = get_varint32(from, end, &key_bytes);
    if (from != NULL) from = get_varint32(from, end, &value_bytes);
    if (from != NULL) from = get_varint64(from, end, &seq);
    if (from == NULL) return "an entry's head is malformed";
    if (entry->kind != ENTRY_PUT && entry->kind != ENTRY_DELETE) return "an entry of unknown kind";
    if (entry->kind == ENTRY_DELETE && value_bytes > 0) return "a delete with a value";
    const size_t left = (size_t)(end - from);
    if (left < key_bytes || left - key_bytes < value_bytes) return "an entry passes the page's end";
    entry->seq = page->seq_base + zigzag_from(seq);
    if (entry->seq == 0 || entry->seq > SEQ_MAX) return "an impossible sequence number";
    entry->key = loam_bytes(from, key_bytes);
    *at = from + key_bytes + value_bytes;
    return NULL;
}

static const char *check_entries(const struct page *page, size_t len)
{
    const uint8_t *at = page->bytes + page_entries_at(page->entry_count), *end = page->bytes + len;
    const uint8_t *heads = page->bytes + page->heads_at;
    struct entry entry, last = {0};
    uint64_t last_head = 0;
    for (uint32_t i = 0; i < page->entry_count; i++) {
        if (get_u16(page->bytes + page->offsets_at + (size_t)2 * i) != (uint64_t)(at - page->bytes))
            return "an offset is not where an entry starts";
        const char *fault = check_entry(page, &at, end, &entry);
        if (fault != NULL) return fault;
        if (entry.key.len < page->prefix_bytes) return "a key is shorter than the prefix";
        if (i > 0 && page->prefix_bytes > 0 &&
            memcmp(entry.key.data, last.key.data, page->prefix_bytes) != 0)
            return "a key leaves the prefix";
        const uint64_t head = get_u64(heads + (size_t)8 * i);
        if (head != bytes_head(entry.key, page->prefix_bytes)) return "a head is not its key's";
        if (i > 0 && head <= last_head &&
            (head < last_head || entry_compare(last.key, last.seq, entry.key, entry.seq) >= 0))
            return "entries out of order";
        last = entry;
        last_head = head;
    }
    return at == end ? NULL : "bytes behind the last entry";
}

const char *page_check(const uint8_t *raw, size_t len)
{
    if (len < PAGE_HEADER_BYTES || len > PAGE_RAW_BYTES_MAX) return "impossible page length";
    const struct page page = page_view(raw);
    if (page.entry_count == 0) return "an empty page";
    if (get_u32(raw + 4) != 0) return "unknown page flags";
    if (page_entries_at(page.entry_count) > len) return "more entries than bytes";
    return check_entries(&page, len);
}
