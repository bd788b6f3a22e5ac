/*
 * fuzz_batch.c - whatever batch_next() takes from bytes lies within them and is written back as the same bytes; so is what a commit
 *   begins with.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "record/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Answers how many bytes the entry takes. */
static size_t check_entry(const uint8_t *at, size_t left, uint32_t coll_id,
                          const struct entry *entry)
{
    uint8_t head[BATCH_HEAD_BYTES_MAX];
    const size_t head_bytes =
        batch_head_put(head, entry->kind, coll_id, entry->key.len, entry->value.len);
    check(entry->kind == ENTRY_DELETE_RANGE || entry_fault(entry->kind, entry->value.len) == NULL);
    check(entry->key.len <= KEY_BYTES_MAX && entry_value(entry).len <= VALUE_BYTES_MAX);
    check(head_bytes + entry->key.len + entry->value.len <= left);
    check(memcmp(at, head, head_bytes) == 0);
    check(entry->key.data == at + head_bytes);
    if (entry_has_value(entry->kind))
        check(entry->value.data == at + head_bytes + entry->key.len);
    else
        check(entry->value.data == NULL && entry->value.len == 0);
    return head_bytes + entry->key.len + entry->value.len;
}

static void check_head(loam_slice bytes, bool has_index)
{
    uint8_t head[COMMIT_HEAD_BYTES_MAX];
    struct commit_body body;
    if (!commit_body_open(bytes, has_index, &body)) return;
    const size_t len = commit_head_put(head, body.entry_count, body.caller_index);
    check(body.entry_count > 0 && has_index == (body.caller_index > 0) && len <= bytes.len);
    check(memcmp(bytes.data, head, len) == 0);
    check(body.entries.at == (const uint8_t *)bytes.data + len);
    check(body.entries.end == (const uint8_t *)bytes.data + bytes.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) return 0;
    if (size > 0) memcpy(exact, data, size);
    check_head(loam_bytes(exact, size), false);
    check_head(loam_bytes(exact, size), true);
    struct batch_reader reader = batch_reader_over(loam_bytes(exact, size));
    struct entry entry;
    uint32_t coll_id;
    size_t at = 0;
    loam_status rc;
    while ((rc = batch_next(&reader, &coll_id, &entry)) == LOAM_OK) {
        at += check_entry(exact + at, size - at, coll_id, &entry);
        check(reader.at == exact + at);
    }
    check(rc == LOAM_NOTFOUND ? at == size : rc == LOAM_CORRUPT && at < size);
    free(exact);
    return 0;
}
