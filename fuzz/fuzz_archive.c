/*
 * fuzz_archive.c - any bytes as the segments of an archive: reading on in it ends, is repeatable, and may be done in two steps.
 *
 * Input, for each of at most 5 segments: a byte of repairs (segments.h, and below), a u16 length, and so many bytes of a header and
 *   records. A first byte says after which commit the second step begins.
 */
#include <stdint.h>

#include "../tests/lib/simdisk.h"
#include "base/check.h"
#include "segments.h"
#include "wal/wal_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS_MAX = 5, NEXT_OPENER = 32 }; /* a repair: the segment is the first of another one */

static void write_archive(struct store *archive, uint8_t *data, size_t size)
{
    struct chain chain = {0, 0};
    struct object_id id = {1, 0};
    for (unsigned i = 0; i < SEGMENTS_MAX && size >= 3; i++) {
        size_t part = 3 + (size_t)get_u16(data + 1), len;
        if (part > size) part = size;
        id = data[0] & NEXT_OPENER ? (struct object_id){id.epoch + 1, 1}
                                   : (struct object_id){id.epoch, id.number + 1};
        uint8_t *bytes = make_linked(data, part, id, &chain, &len);
        if (bytes != NULL) write_segment(archive, id, bytes, len);
        free(bytes);
        data += part;
        size -= part;
    }
}

struct seen {
    uint64_t count, end, sum;
    uint64_t turn_count, turn; /* where so many have been seen */
};

static loam_status see_commit(void *ctx, const struct wal_commit *commit)
{
    struct seen *seen = ctx;
    check(commit->end > commit->position && commit->position == seen->end);
    seen->end = commit->end;
    seen->sum = hash_seeded(commit->body.data, commit->body.len, seen->sum ^ commit->seq);
    if (++seen->count == seen->turn_count) seen->turn = seen->end;
    return LOAM_OK;
}

static loam_status read_on(struct store *archive, uint64_t limit, struct wal_tail *tail,
                           struct seen *seen)
{
    const struct wal_past past = {.store_id = FUZZ_STORE_ID};
    const loam_status rc = wal_read_on(&past, archive, limit, see_commit, seen, tail);
    check(rc == LOAM_OK || rc == LOAM_CORRUPT || rc == LOAM_TOONEW);
    check(tail->end == seen->end);
    return rc;
}

static void read_in_steps(struct store *archive, uint64_t turn_count)
{
    struct wal_tail tail = {0}, tail_again = {0};
    struct seen seen = {.turn_count = turn_count}, seen_again = {0};
    const loam_status rc = read_on(archive, UINT64_MAX, &tail, &seen);
    if (seen.turn > 0) {
        check(read_on(archive, seen.turn, &tail_again, &seen_again) == LOAM_OK);
        check(seen_again.end == seen.turn && seen_again.count == turn_count);
    }
    check(read_on(archive, UINT64_MAX, &tail_again, &seen_again) == rc);
    check(seen.count == seen_again.count && seen.sum == seen_again.sum);
    check(tail.end == tail_again.end && tail.running == tail_again.running);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct store_options options = {.bare = true};
    bool is_new;
    struct store *archive;
    if (size < 1) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    struct simdisk *disk = simdisk_new(1);
    check(store_open(simdisk_table(disk), "archive", &options, &is_new, &archive) == LOAM_OK);
    write_archive(archive, copy + 1, size - 1);
    read_in_steps(archive, copy[0]);
    store_close(archive);
    simdisk_free(disk);
    free(copy);
    return 0;
}
