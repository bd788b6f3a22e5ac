/*
 * fuzz_table.c - whatever the bytes of a table are, under right checksums, reading it ends and stays within them.
 *
 * The input is a whole table. Its checksums are made right, and the manifest's word is taken from its
 * footer, so that mutations get past both.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/lib/sst_lab.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "sstable/table_format.h"
#include "sstable/table_salvage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 20, FOOTER_BOUNDS_AT = 136 };

static struct sst_lab lab;
static volatile uint64_t all_hashes;

/* The input, as the one file there is: a simulated disk below it would cost most of the time. */
static const uint8_t *file_bytes;
static size_t file_len;
static struct sys calls;
enum { FILE_DESCRIPTOR = 1 << 20 };

static int open_input(void *ctx, int dir, const char *name, enum sys_open how)
{
    (void)ctx, (void)dir, (void)name, (void)how;
    return FILE_DESCRIPTOR;
}

static int close_input(void *ctx, int fd)
{
    return fd == FILE_DESCRIPTOR ? 0 : simdisk_table(lab.disk).calls->close(ctx, fd);
}

static int size_input(void *ctx, int fd, uint64_t *bytes)
{
    (void)ctx, (void)fd;
    *bytes = file_len;
    return 0;
}

static int64_t read_input(void *ctx, int fd, uint64_t offset, void *dst, size_t len)
{
    (void)ctx, (void)fd;
    if (offset >= file_len) return 0;
    if (len > file_len - offset) len = (size_t)(file_len - offset);
    memcpy(dst, file_bytes + offset, len);
    return (int64_t)len;
}

static void will_need_input(void *ctx, int fd, uint64_t offset, uint64_t len)
{
    (void)ctx, (void)fd, (void)offset, (void)len;
}

static void open_lab(void)
{
    const struct store_options options = {0};
    bool is_new;
    lab.disk = simdisk_new(1);
    struct sys_table sys = simdisk_table(lab.disk);
    calls = *sys.calls;
    sys.calls = &calls;
    check(store_open(sys, "db", &options, &is_new, &lab.store) == LOAM_OK);
    check(page_cache_new(1 << 20, &lab.cache) == LOAM_OK);
    calls.open = open_input;
    calls.close = close_input;
    calls.size = size_input;
    calls.read = read_input;
    calls.will_need = will_need_input;
}

/* The meta that would go with the footer; the footer's lengths and hash of keys are made to fit. */
static void take_meta(uint8_t *bytes, size_t len, struct table_meta *meta)
{
    uint8_t *raw = bytes + len - FOOTER_RAW_BYTES;
    uint64_t *const counts[] = {&meta->entry_count, &meta->tombstone_count, &meta->payload_bytes,
                                &meta->page_count,  &meta->dense_count,     &meta->seq_min,
                                &meta->seq_max};
    memset(meta, 0, sizeof *meta);
    meta->uid = get_u64(raw);
    meta->bytes = len;
    put_u64(raw + 8, len);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        *counts[i] = get_u64(raw + 16 + 8 * i);
    const uint64_t at = get_u64(raw + FOOTER_BOUNDS_AT);
    const uint64_t small = get_u32(raw + 72), large = get_u32(raw + 76);
    const uint64_t room = len - FOOTER_BYTES;
    if (at < room && room - at > BLOCK_HEADER_BYTES &&
        room - at - BLOCK_HEADER_BYTES >= small + large) {
        meta->smallest = loam_bytes(bytes + at + BLOCK_HEADER_BYTES, (size_t)small);
        meta->largest = loam_bytes(bytes + at + BLOCK_HEADER_BYTES + small, (size_t)large);
    }
    const loam_slice bounds[2] = {meta->smallest, meta->largest};
    put_u32(raw + 72, (uint32_t)meta->smallest.len);
    put_u32(raw + 76, (uint32_t)meta->largest.len);
    put_u64(raw + 80, hash_seeded_pieces(bounds, 2, meta->uid));
}

static void walk(struct table *table, unsigned flags, bool backward)
{
    struct iter *iter = NULL;
    uint64_t steps = 0;
    if (table_iter_new(table, flags, &iter) != LOAM_OK) return;
    loam_status rc = backward ? iter->ops->last(iter) : iter->ops->first(iter);
    while (rc == LOAM_OK) {
        struct table_hit hit;
        check(steps++ <= INPUT_BYTES_MAX);
        if (steps < 100 && table_get(table, iter->at->key, hash_key(iter->at->key), iter->at->seq,
                                     &hit) == LOAM_OK) {
            all_hashes ^= hash_key(hit.entry.value); /* all of it is there to be read */
            table_hit_release(&hit);
        }
        rc = backward ? iter->ops->prev(iter) : iter->ops->next(iter);
    }
    rc = iter->ops->seek(iter, loam_str("k3"), 1000);
    if (rc == LOAM_OK) rc = iter->ops->seek_back(iter, loam_str("0000000000050000"), 0);
    check(rc <= LOAM_NOTFOUND);
    iter_close(iter);
}

static loam_status count_entry(void *ctx, const struct entry *entry)
{
    uint64_t *count = ctx;
    check(entry->key.len <= KEY_BYTES_MAX && entry->seq > 0 && entry->seq <= SEQ_MAX);
    check(++*count <= INPUT_BYTES_MAX);
    return LOAM_OK;
}

/* What repair does with the same bytes. */
static void salvage(const struct table_meta *meta)
{
    struct object *object = NULL;
    struct table_meta met;
    struct table_found found;
    uint64_t count = 0, end = meta->bytes;
    check(object_open(lab.store, "00000001-00000001.sst", &object) == LOAM_OK);
    const struct table_salvage salvage = {.object = object,
                                          .bytes = meta->bytes,
                                          .uid = meta->uid,
                                          .each = count_entry,
                                          .ctx = &count};
    const loam_status rc = table_salvage_walk(&salvage, &found);
    check(rc == LOAM_TOONEW || (rc == LOAM_OK && found.entry_count == count));
    const loam_status looked = table_salvage_find(object, &end, &met);
    check(looked != LOAM_OK || (end <= meta->bytes && met.offset + met.bytes == end));
    object_close(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table_meta meta;
    struct table *table = NULL;
    uint64_t estimate = 0;
    if (size < FOOTER_BYTES || size > INPUT_BYTES_MAX) return 0;
    if (lab.store == NULL) open_lab();
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) return 0;
    memcpy(bytes, data, size);
    take_meta(bytes, size, &meta);
    sst_fix_sums(bytes, size, meta.uid);
    file_bytes = bytes;
    file_len = size;
    if (sst_table(&lab, &meta, &table) == LOAM_OK) {
        for (int backward = 0; backward < 2; backward++) {
            walk(table, 0, backward);
            walk(table, TABLE_ITER_BULK | TABLE_ITER_KEYS_ONLY, backward);
        }
        loam_status rc = table_estimate(table, loam_str("a"), loam_str("k5"), &estimate);
        rc = table_verify(table, NULL, NULL);
        check(rc <= LOAM_OK);
        table_unref(table);
    }
    salvage(&meta);
    free(bytes);
    return 0;
}
