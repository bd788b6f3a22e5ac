/*
 * fuzz_segment.c - any bytes as a segment: its header, its records, and what attests beyond a place.
 *
 * Input: a byte of repairs (segments.h), 128 bytes of a header, records.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/mem.h"
#include "segments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct segment_view *view, uint64_t position,
                         const struct record *record)
{
    const uint8_t *bytes = view->bytes.data, *body = record->body.data;
    check(record->position == position && record->end > position);
    check(record->end - view->header.start <= view->bytes.len - SEGMENT_HEADER_BYTES);
    check(record->end == position + record_bytes(record->body.len));
    check(body ==
          bytes + SEGMENT_HEADER_BYTES + (position - view->header.start) + RECORD_HEAD_BYTES);
    check(record->kind != 0);
    check(record->synced_upto <= position);
    volatile uint8_t last = 0;
    for (size_t i = 0; i < record->body.len; i++)
        last = body[i];
    (void)last;
}

static void walk(const struct segment_view *view)
{
    struct record record, again;
    uint64_t position = view->header.start, running = view->header.running, found_at = 0;
    uint64_t most = 0;
    while (segment_record_at(view, position, &running, &record) == LOAM_OK) {
        check_record(view, position, &record);
        check(segment_record_at(view, position, NULL, &again) == LOAM_OK);
        check(again.end == record.end && again.seq == record.seq);
        if (record.synced_upto > most) most = record.synced_upto;
        position = record.end;
    }
    const uint64_t before = running;
    check(segment_record_at(view, position, &running, &record) == LOAM_NOTFOUND);
    check(running == before);
    check(segment_attested_beyond(view, view->header.start, &found_at) >= most);
    const uint64_t beyond = segment_attested_beyond(view, position, &found_at);
    if (beyond == 0) return;
    check(segment_record_at(view, found_at, NULL, &record) == LOAM_OK);
    check(found_at >= position && record.synced_upto == beyond);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    bool too_new;
    struct segment_view view = {.name = "fuzz"};
    uint8_t *bytes = size == 0 ? NULL : make_segment(data + 1, size - 1, data[0], &len);
    if (bytes == NULL) return 0;
    view.bytes = (loam_buf){.data = bytes, .len = len, .cap = len};
    if (segment_header_get(bytes, &view.header, &too_new)) {
        check(!too_new && view.header.start % 8 == 0);
        walk(&view);
    } else { /* its bytes under a header that is made up, as a cut file would have them */
        view.header =
            (struct segment_header){.start = get_u64(bytes + 32) & ~UINT64_C(7) & UINT64_MAX / 4,
                                    .log_key = get_u64(bytes + 56)};
        walk(&view);
    }
    free(bytes);
    return 0;
}
