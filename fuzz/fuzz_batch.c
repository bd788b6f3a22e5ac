/*
 * fuzz_batch.c - whatever batch_next() takes from bytes lies within them and is written back as the same bytes.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) return 0;
    if (size > 0) memcpy(exact, data, size);
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
