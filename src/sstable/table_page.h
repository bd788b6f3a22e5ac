/*
 * table_page.h - a flat page of entries: found by fingerprint, sought by head, decoded by offset.
 *
 * Role: the layout that point reads, seeks and both directions of a scan share, made of what is stored, which is
 *   entries alone: fingerprints, offsets and heads follow from them, and cost less to make than to read and check.
 *   Header, fingerprints and offsets are a page's front: a point read looks there, and goes straight to its entry.
 * Invariants: (1) page_lay_out() has made and checked the bytes before anything else here sees them; from then on
 *   nothing is bounds-checked. (2) At least PAGE_SLACK_BYTES readable bytes follow a page, and what is stored of one: fingerprints
 *   are compared 32 at a time, and the head of an entry is read as one word. What they are decides nothing.
 * In the picture: sstable layer; knows no file. Bytes: table_format.h.
 */
#ifndef LOAM_SSTABLE_TABLE_PAGE_H
#define LOAM_SSTABLE_TABLE_PAGE_H

#include <stdbool.h>

#include <loam.h>

#include "base/codec.h"
#include "record/entry.h"
#include "sstable/table_format.h"

enum {
    PAGE_SLACK_BYTES = 32,
    PAGE_FRONT_BYTES = 128, /* of a page of 4 KiB with entries of 116 bytes */
    ENTRY_AHEAD_BYTES = 192 /* with the value, which will be copied: 120 bytes on three lines */
};

struct page { /* a page's header, decoded */
    const uint8_t *bytes;
    uint64_t seq_base;
    uint32_t entry_count, prefix_bytes, offsets_at, heads_at, page_bytes;
};

/* Where things stand in a page of that many entries: of the format, too, for locators say where an entry begins in memory. */
static inline uint32_t page_offsets_at(uint32_t entry_count)
{
    return PAGE_HEADER_BYTES + ((entry_count + 1) & ~1u);
}

static inline uint32_t page_heads_at(uint32_t entry_count)
{
    return (page_offsets_at(entry_count) + 2 * entry_count + 7) & ~7u;
}

static inline uint32_t page_entries_at(uint32_t entry_count)
{
    return page_heads_at(entry_count) + 8 * entry_count;
}

static inline struct page page_view(const uint8_t *bytes)
{
    const uint32_t count = get_u16(bytes);
    return (struct page){
        .bytes = bytes,
        .seq_base = get_u64(bytes + 8),
        .entry_count = count,
        .prefix_bytes = get_u16(bytes + 2),
        .offsets_at = page_offsets_at(count),
        .heads_at = page_heads_at(count),
        .page_bytes = get_u32(bytes + 4),
    };
}

/* Asks for lines that will be needed, before the first one says so: the misses overlap. */
static inline void page_prefetch(const uint8_t *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(from + at);
}

/* A varint of a checked page. */
static inline const uint8_t *page_varint(const uint8_t *at, uint64_t *value)
{
    uint64_t got = *at++;
    if (got >= 0x80) {
        got &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            const uint64_t byte = *at++;
            got |= (byte & 0x7f) << shift;
            if (byte < 0x80) break;
        }
    }
    *value = got;
    return at;
}

static inline uint64_t zigzag_from(uint64_t coded)
{
    return (coded >> 1) ^ (0 - (coded & 1));
}

/* The lengths of most keys and values, in the word that an entry begins with: a byte each, behind the kind. */
static inline bool page_lengths_are_short(uint64_t word)
{
    return __builtin_expect((word & 0x808000) == 0, 1);
}

/* How many bytes the varint at the word's beginning has, if that is up to five; else 0. No branch among them. */
static inline unsigned page_varint_word(uint64_t word, uint64_t *value)
{
    const uint64_t last = ~word & UINT64_C(0x8080808080);
    if (__builtin_expect(last == 0, 0)) return 0;
    const unsigned bits = (unsigned)__builtin_ctzll(last) + 1;
    const uint64_t low = word & (UINT64_MAX >> (64 - bits));
    *value = (low & 0x7f) | (low >> 1 & 0x3f80) | (low >> 2 & 0x1fc000) | (low >> 3 & 0xfe00000) |
             (low >> 4 & 0x7f0000000);
    return bits / 8;
}

/* The entry that starts at the given byte of a checked page. */
static inline void page_entry_at(const struct page *page, const uint8_t *at, struct entry *entry)
{
    uint64_t key_bytes, value_bytes, seq;
    const uint64_t head = get_u64(at);
    entry->kind = (uint8_t)head;
    if (page_lengths_are_short(head)) {
        key_bytes = head >> 8 & 0x7f;
        value_bytes = head >> 16 & 0x7f;
        at += 3;
    } else {
        at = page_varint(at + 1, &key_bytes);
        at = page_varint(at, &value_bytes);
    }
    entry->key = (loam_slice){at, key_bytes};
    at += key_bytes;
    const unsigned used = page_varint_word(get_u64(at), &seq);
    at = used > 0 ? at + used : page_varint(at, &seq);
    entry->seq = page->seq_base + zigzag_from(seq);
    entry->value = (loam_slice){entry->kind != ENTRY_DELETE ? at : NULL, value_bytes};
}

static inline uint32_t page_entry_offset(const struct page *page, uint32_t index)
{
    return get_u16(page->bytes + page->offsets_at + (size_t)2 * index);
}

static inline void page_entry(const struct page *page, uint32_t index, struct entry *entry)
{
    page_entry_at(page, page->bytes + page_entry_offset(page, index), entry);
}

static inline uint8_t page_fingerprint(uint64_t hash)
{
    return (uint8_t)(hash >> 56);
}

/* How many bytes the page takes in memory whose raw bytes, of a block of that format, are stored. NULL, or what is wrong. */
const char *page_measure(const uint8_t *stored, size_t len, unsigned format, size_t *bytes);
/* Lays it out at bytes, with seq_shift added to its sequence numbers; both it and what is stored have PAGE_SLACK_BYTES more, and may
   be anything there. The entries are looked at where they are stored, which the processor still has at hand. page_find() needs the
   fingerprints, and a walk does not. NULL, or what is wrong. */
const char *page_lay_out(uint8_t *bytes, const uint8_t *stored, size_t len, unsigned format,
                         uint64_t seq_shift, bool with_fingerprints);

/* How much of a page page_find() reads before it goes to an entry: header, fingerprints and offsets. */
static inline size_t page_front_bytes(const uint8_t *bytes)
{
    const uint32_t count = get_u16(bytes);
    return page_offsets_at(count) + 2 * (size_t)count;
}

/* The newest version of key with sequence <= seq. front: bytes, or a copy of its first page_front_bytes(). */
bool page_find(const uint8_t *bytes, const uint8_t *front, loam_slice key, uint64_t hash,
               uint64_t seq, struct entry *entry);

/* The entry at that byte of the page; front: as for page_find(). False: none that fits begins there. Who says that one does is not
   believed, so what is found may be another entry, or none that was ever written, but lies within the page. */
bool page_entry_located(const uint8_t *bytes, const uint8_t *front, uint32_t offset,
                        struct entry *entry);

/* The index of the first entry at or after (key, seq); entry_count if there is none. */
uint32_t page_seek(const struct page *page, loam_slice key, uint64_t seq);

/* The first of count ascending little-endian u64 at `heads` that is >= head; count if there is none. */
static inline uint64_t heads_lower_bound(const uint8_t *heads, uint64_t count, uint64_t head)
{
    const uint8_t *base = heads;
    if (count == 0) return 0;
    while (count > 1) {
        const uint64_t half = count / 2;
        base += get_u64(base + 8 * (half - 1)) < head ? 8 * half : 0;
        count -= half;
    }
    return (uint64_t)(base - heads) / 8 + (get_u64(base) < head);
}

#endif
