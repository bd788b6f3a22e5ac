/*
 * table_page.c - flat pages, read; see table_page.h.
 */
#include "sstable/table_page.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/match.h"
#include "record/operands.h"

#include "base/poison.h"

enum { CANDIDATES_MAX = 8 };

/* A bit for each entry of the 32 from `from` on whose fingerprint is that of hash. */
static inline uint32_t matches_from(const struct page *front, uint32_t from, uint64_t hash)
{
    const uint32_t left = front->entry_count - from;
    const uint8_t wanted = page_fingerprint(hash), *at = front->bytes + PAGE_HEADER_BYTES + from;
    const uint32_t mask = match_16_bytes(at, wanted) | match_16_bytes(at + 16, wanted) << 16;
    return left < 32 ? mask & ((UINT32_C(1) << left) - 1) : mask;
}

static inline const uint8_t *entry_from(const struct page *front, const uint8_t *bytes,
                                        uint32_t index)
{
    const uint8_t *at = bytes + page_entry_offset(front, index);
    page_prefetch(at, ENTRY_AHEAD_BYTES);
    return at;
}

static bool is_among(const struct page *page, const uint8_t *const *candidates, unsigned count,
                     loam_slice key, uint64_t seq, struct entry *entry)
{
    for (unsigned i = 0; i < count; i++) {
        page_entry_at(page, candidates[i], entry);
        if (entry->key.len == key.len && entry->seq <= seq && bytes_equal(entry->key, key))
            return true;
    }
    return false;
}

bool page_find(const uint8_t *bytes, const uint8_t *front, loam_slice key, uint64_t hash,
               uint64_t seq, struct entry *entry)
{
    const struct page page = page_view(front);
    const uint8_t *candidates[CANDIDATES_MAX];
    unsigned count = 0;
    /* All that have the fingerprint are asked for before the first is looked at: every fourth time it is another key's. */
    for (uint32_t from = 0; from < page.entry_count; from += 32) {
        for (uint32_t mask = matches_from(&page, from, hash); mask != 0; mask &= mask - 1) {
            if (count == CANDIDATES_MAX) {
                if (is_among(&page, candidates, count, key, seq, entry)) return true;
                count = 0;
            }
            candidates[count++] = entry_from(&page, bytes, from + (uint32_t)__builtin_ctz(mask));
        }
    }
    return is_among(&page, candidates, count, key, seq, entry);
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

/* The lengths that an entry begins with; the key begins behind them. NULL: they do not fit. */
static inline const uint8_t *get_lengths(const uint8_t *at, const uint8_t *end, uint32_t *key_bytes,
                                         uint32_t *value_bytes)
{
    const uint64_t head = get_u64(at);
    if (page_lengths_are_short(head) && end - at >= 3) {
        *key_bytes = (uint32_t)(head >> 8) & 0x7f;
        *value_bytes = (uint32_t)(head >> 16) & 0x7f;
        return at + 3;
    }
    at = get_varint32(at + 1, end, key_bytes);
    return at == NULL ? NULL : get_varint32(at, end, value_bytes);
}

/* As get_varint64(), but reads the word at `at`, also behind the end, and leaves anything in *seq when it refuses. */
static inline const uint8_t *get_seq(const uint8_t *at, const uint8_t *end, uint64_t *seq)
{
    const unsigned used = page_varint_word(get_u64(at), seq);
    if (used == 0 || (size_t)(end - at) < used) return get_varint64(at, end, seq);
    return used > 1 && at[used - 1] == 0 ? NULL : at + used;
}

/* The entry that starts at *at and must end within the page; *at moves behind it. Words are read, some of them into the slack. */
static inline const char *check_entry(const struct page *page, const uint8_t **at,
                                      const uint8_t *end, struct entry *entry)
{
    uint32_t key_bytes = 0, value_bytes = 0;
    uint64_t seq = 0;
    if (*at == end) return "an entry is missing";
    entry->kind = **at;
    const uint8_t *key = get_lengths(*at, end, &key_bytes, &value_bytes);
    if (key == NULL || (size_t)(end - key) < key_bytes) return "an entry's head is malformed";
    const uint8_t *value = get_seq(key + key_bytes, end, &seq);
    if (value == NULL) return "an entry's sequence number is malformed";
    const char *fault = entry_fault(entry->kind, value_bytes);
    if (fault != NULL) return fault;
    if ((size_t)(end - value) < value_bytes) return "an entry passes the page's end";
    entry->seq = page->seq_base + zigzag_from(seq);
    if (entry->seq == 0 || entry->seq > SEQ_MAX) return "an impossible sequence number";
    entry->key = loam_bytes(key, key_bytes);
    entry->value = loam_bytes(value, value_bytes);
    if (!operand_is_sound(entry)) return "an operand that begins nowhere";
    *at = value + value_bytes;
    return NULL;
}

bool page_entry_located(const uint8_t *bytes, const uint8_t *front, uint32_t offset,
                        struct entry *entry)
{
    const struct page page = page_view(front);
    const uint8_t *end = bytes + page.page_bytes, *at = bytes + offset;
    if (offset < page_entries_at(page.entry_count) || offset >= page.page_bytes) return false;
    return check_entry(&page, &at, end, entry) == NULL;
}

/* Blocks of format 1 have an entry's sequence number before its key: exchanges the two. What does not parse is left to
   check_entry(). */
static void take_seq_behind_key(uint8_t *at, const uint8_t *end)
{
    uint32_t key_bytes = 0, value_bytes = 0;
    uint64_t seq = 0;
    uint8_t coded[VARINT64_BYTES_MAX];
    const uint8_t *head_end = at == end ? NULL : get_lengths(at, end, &key_bytes, &value_bytes);
    if (head_end == NULL) return;
    uint8_t *from = at + (head_end - at);
    const uint8_t *key = get_varint64(from, end, &seq);
    if (key == NULL || (size_t)(end - key) < key_bytes) return;
    const size_t seq_bytes = (size_t)(key - from);
    memcpy(coded, from, seq_bytes);
    memmove(from, key, key_bytes);
    memcpy(from + key_bytes, coded, seq_bytes);
}

/* Whether the first len bytes of both are the same; reads whole words of them. */
static inline bool starts_alike(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (; len >= 8; a += 8, b += 8, len -= 8) {
        if (get_u64(a) != get_u64(b)) return false;
    }
    return len == 0 || (get_u64(a) ^ get_u64(b)) << (64 - 8 * len) == 0;
}

/* Blocks of format 1 as the others are. What does not parse is left as it is. */
static void take_seqs_behind_keys(const struct page *page, uint8_t *from, const uint8_t *end)
{
    const uint8_t *at = from;
    struct entry entry;
    for (uint32_t i = 0; i < page->entry_count; i++) {
        take_seq_behind_key(from + (at - from), end);
        if (check_entry(page, &at, end, &entry) != NULL) return;
    }
}

/* Walks the entries from `from` to end, checks them, and writes what stands before them in the page at bytes. */
static const char *index_entries(const struct page *page, uint8_t *bytes, const uint8_t *from,
                                 const uint8_t *end, bool with_fingerprints)
{
    const size_t entries_at = page_entries_at(page->entry_count);
    const uint8_t *at = from;
    struct entry entry, last = {0};
    uint64_t last_head = 0;
    for (uint32_t i = 0; i < page->entry_count; i++) {
        const uint16_t offset = (uint16_t)(entries_at + (size_t)(at - from));
        put_u16(bytes + page->offsets_at + (size_t)2 * i, offset);
        const char *fault = check_entry(page, &at, end, &entry);
        if (fault != NULL) return fault;
        if (entry.key.len < page->prefix_bytes) return "a key is shorter than the prefix";
        if (i > 0 && !starts_alike(entry.key.data, last.key.data, page->prefix_bytes))
            return "a key leaves the prefix";
        const uint64_t head = bytes_head(entry.key, page->prefix_bytes);
        put_u64(bytes + page->heads_at + (size_t)8 * i, head);
        if (i > 0 && head <= last_head &&
            (head < last_head || entry_compare(last.key, last.seq, entry.key, entry.seq) >= 0))
            return "entries out of order";
        if (with_fingerprints) bytes[PAGE_HEADER_BYTES + i] = page_fingerprint(hash_key(entry.key));
        last = entry;
        last_head = head;
    }
    return at == end ? NULL : "bytes behind the last entry";
}

static size_t stored_entries_at(const uint8_t *stored, unsigned format)
{
    return format == BLOCK_FORMAT_FULL_PAGES ? page_entries_at(get_u16(stored)) : PAGE_HEADER_BYTES;
}

const char *page_measure(const uint8_t *stored, size_t len, unsigned format, size_t *bytes)
{
    *bytes = 0;
    if (len < PAGE_HEADER_BYTES) return "impossible page length";
    const size_t entries_at = stored_entries_at(stored, format);
    if (get_u16(stored) == 0) return "an empty page";
    if (get_u32(stored + 4) != 0) return "unknown page flags";
    if (entries_at > len) return "more entries than bytes";
    *bytes = page_entries_at(get_u16(stored)) + (len - entries_at);
    return *bytes <= PAGE_BYTES_MAX ? NULL : "a page is too long";
}

const char *page_lay_out(uint8_t *bytes, const uint8_t *stored, size_t len, unsigned format,
                         uint64_t seq_shift, bool with_fingerprints)
{
    const uint8_t *from = stored + stored_entries_at(stored, format), *end = stored + len;
    memcpy(bytes, stored, PAGE_HEADER_BYTES);
    put_u64(bytes + 8, get_u64(bytes + 8) + seq_shift);
    const struct page page = page_view(bytes);
    uint8_t *entries = bytes + page_entries_at(page.entry_count);
    put_u32(bytes + 4, (uint32_t)(entries - bytes) + (uint32_t)(end - from));
    memcpy(entries, from, (size_t)(end - from));
    if (format == BLOCK_FORMAT_FULL_PAGES) {
        end = entries + (end - from);
        from = entries;
        take_seqs_behind_keys(&page, entries, end);
    }
    return index_entries(&page, bytes, from, end, with_fingerprints);
}
