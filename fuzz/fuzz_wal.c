/*
 * fuzz_wal.c - any bytes as the segments of a log: reading ends, is repeatable, and never trusts a byte.
 *
 * Input, for each of at most 4 segments: a byte of repairs (segments.h), a u16 length, and so many bytes
 *   of a header and records. A first byte says what manifest and root know of the log.
 */
#include <stdint.h>

#include "../tests/lib/simdisk.h"
#include "base/check.h"
#include "base/mem.h"
#include "segments.h"
#include "wal/wal_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS_MAX = 4, EPOCH = 2 };

enum { PAST_SEALED = 1, PAST_LISTED = 2, PAST_ATTESTED = 4, PAST_FLOOR = 8 };

static struct chain write_segments(struct store *store, uint8_t *data, size_t size)
{
    struct chain chain = {0, 0};
    for (uint32_t number = 1; number <= SEGMENTS_MAX && size >= 3; number++) {
        size_t part = 3 + (size_t)get_u16(data + 1), len;
        if (part > size) part = size;
        const struct object_id id = {EPOCH, number};
        uint8_t *bytes = make_linked(data, part, id, &chain, &len);
        if (bytes != NULL) write_segment(store, id, bytes, len);
        free(bytes);
        data += part;
        size -= part;
    }
    return chain;
}

struct seen {
    uint64_t count, end, sum;
};

static loam_status see_commit(void *ctx, const struct wal_commit *commit)
{
    struct seen *seen = ctx;
    check(commit->end > commit->position && commit->position >= seen->end);
    seen->end = commit->end;
    seen->count++;
    seen->sum = hash_seeded(commit->body.data, commit->body.len, seen->sum ^ commit->seq);
    return LOAM_OK;
}

static void read_twice(const struct wal_past *past)
{
    struct wal_tail tail, again;
    struct seen seen = {0}, seen_again = {0};
    const loam_status rc = wal_read(past, see_commit, &seen, &tail);
    check(rc == LOAM_OK || rc == LOAM_CORRUPT || rc == LOAM_TOONEW);
    if (rc != LOAM_OK) return;
    for (size_t i = 0; i < tail.extent_count; i++) {
        check(tail.extents[i].start <= tail.extents[i].end && tail.extents[i].end <= tail.end);
        check(i == 0 || tail.extents[i].start == tail.extents[i - 1].end);
    }
    check(wal_rewrite_tail(past->store, &tail) == LOAM_OK);
    check(wal_read(past, see_commit, &seen_again, &again) == LOAM_OK);
    check(seen.count == seen_again.count && seen.sum == seen_again.sum);
    check(tail.end == again.end && tail.running == again.running);
    wal_tail_deinit(&tail);
    wal_tail_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct store_options options;
    struct wal_extent listed = {{EPOCH, 1}, 0, 64};
    bool is_new;
    struct store *store;
    if (size < 1) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    struct simdisk *disk = simdisk_new(1);
    check(store_open(simdisk_table(disk), "db", &options, &is_new, &store) == LOAM_OK);
    check(store_root_swap(store, loam_str("a root")) == LOAM_OK);
    const struct chain chain = write_segments(store, copy + 1, size - 1);
    const unsigned knows = copy[0];
    const struct wal_past past = {.store = store,
                                  .store_id = FUZZ_STORE_ID,
                                  .epoch = EPOCH,
                                  .log_key = FUZZ_LOG_KEY,
                                  .listed = &listed,
                                  .listed_count = knows & PAST_LISTED ? 1 : 0,
                                  .start = knows & PAST_LISTED ? 64 : 0,
                                  .floor_number = knows & PAST_FLOOR ? 2 : 0,
                                  .floor = knows & PAST_FLOOR ? 64 : 0,
                                  .attested = knows & PAST_ATTESTED ? knows & 0xf0 : 0,
                                  .sealed = knows & PAST_SEALED,
                                  .seal_end = chain.end,
                                  .seal_running = chain.running};
    read_twice(&past);
    store_close(store);
    simdisk_free(disk);
    free(copy);
    return 0;
}
