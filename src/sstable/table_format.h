/*
 * table_format.h - the bytes of an SSTable.
 *
 * Role: constants of the format; the same in prose, with its reasons, is docs/format.md.
 *
 *   table   = (page | extent)* index filter bounds footer; no padding between them
 *   block   = check u32 | type u8 | format u8 | codec u8 | zero u8 | raw bytes u32 | stored bytes u32 | stored
 *             check = low 32 bits of XXH3-64 of all that follows it, seeded with uid ^ offset in the table.
 *   page    = one block. Raw:
 *             entry count n u16 | prefix bytes u16 | zero u32 | sequence base u64 | entry [n]
 *             In memory, and in blocks of format 1 also here, arrays that follow from the entries stand before them:
 *             | fingerprint u8 [n], padded to 2 | offset u16 [n], padded to 8 | head u64 [n] | entry [n]
 *   entry   = kind u8 | key bytes varint | value bytes varint | key | sequence varint | value
 *             The sequence is a zigzag difference from the page's base. In an extent, and in blocks of format 1, the
 *             sequence stands before the key; in an extent it is itself.
 *   stream  = blocks of CHUNK_BYTES raw each, the last one less: extents, index, filter and bounds are streams.
 *   extent  = stream of one entry, for an entry that is too large for a page.
 *   index   = page count n u64 | separator bytes u64 | prefix bytes u32 | zero u32
 *             | top u64 [(n + 63) / 64] | head u64 [n] | page end u64 [n] | separator end u64 [n] | prefix | separators
 *             Separators stand without the prefix. A page end with INDEX_EXTENT_BIT is an extent's.
 *   filter  = type u8 | probes u8 | zero u16 | block count u32 | zero [56] | block [64] [count]; absent: 0 bytes
 *             or a locator:
 *             type u8 | offset bits u8 | page bits u8 | zero u8 | bucket count u32 | zero [56] | bucket [count]
 *   bucket  = tag u8 [12] | keys u8 | whether some went on to the next bucket u8 | zero u16 | place u32 [12]
 *             tag = low byte of the key's hash. place, from below: offset in the page in memory, page, next bits of the hash.
 *   bounds  = smallest key | largest key
 *   footer  = one block, FOOTER_BYTES in all, the last bytes of the table; table_footer.c has its fields.
 *
 * Invariants: (1) little-endian, position-independent: offsets count from the table's first byte. (2) A block of a
 *   format above ours is LOAM_TOONEW, of an unknown type or codec LOAM_CORRUPT. (3) A number here never changes its meaning.
 * In the picture: sstable layer; every file of it that touches bytes.
 */
#ifndef LOAM_SSTABLE_TABLE_FORMAT_H
#define LOAM_SSTABLE_TABLE_FORMAT_H

#include <stdint.h>

enum block_type { /* 0 is never valid */
                  BLOCK_PAGE = 1,
                  BLOCK_EXTENT = 2,
                  BLOCK_INDEX = 3,
                  BLOCK_FILTER = 4,
                  BLOCK_BOUNDS = 5,
                  BLOCK_FOOTER = 6
};

enum block_codec { CODEC_RAW = 0, CODEC_LZ4 = 1, CODEC_ZSTD = 2 };

enum {
    BLOCK_FORMAT = 2,
    BLOCK_FORMAT_FULL_PAGES = 1,
    BLOCK_HEADER_BYTES = 16,

    PAGE_HEADER_BYTES = 16,
    PAGE_BYTES_MAX = 65535, /* in memory, and so also stored: offsets are u16 */
    ENTRY_HEAD_BYTES_MAX = 1 + 3 + 5 + 10,

    CHUNK_BYTES = 65536,

    INDEX_HEADER_BYTES = 32,
    INDEX_GROUP = 64,

    FILTER_HEADER_BYTES = 64,
    FILTER_BLOCK_BYTES = 64,
    FILTER_BLOOM = 1, /* type */
    FILTER_BLOOM_PROBES = 6,
    FILTER_LOCATOR = 2, /* type */
    LOCATOR_BUCKET_BYTES = 64,
    LOCATOR_BUCKET_KEYS = 12,
    LOCATOR_WALK_BUCKETS = 32, /* so far from its own bucket a key may be */
    LOCATOR_COUNT_AT = 12,
    LOCATOR_SPILLED_AT = 13,
    LOCATOR_PLACES_AT = 16,

    FOOTER_RAW_BYTES = 168,
    FOOTER_BYTES = BLOCK_HEADER_BYTES + FOOTER_RAW_BYTES
};

#define INDEX_EXTENT_BIT (UINT64_C(1) << 63)

_Static_assert(CHUNK_BYTES > PAGE_BYTES_MAX, "a chunk's buffers serve pages as well");

#endif
