/*
 * batch.c - many writes as bytes; see batch.h.
 */
#include "record/batch.h"

#include "base/codec.h"
#include "base/status.h"
#include "record/operands.h"
#include "record/range_set.h"

#include "base/poison.h"

/* May a value have so many bytes? */
static bool is_length(uint8_t kind, uint32_t bytes)
{
    if (kind == ENTRY_DELETE_RANGE) return bytes <= KEY_BYTES_MAX;
    if (kind == ENTRY_MERGE) return bytes <= OPERAND_BYTES_MAX;
    return entry_fault(kind, bytes) == NULL;
}

size_t batch_head_put(uint8_t head[static BATCH_HEAD_BYTES_MAX], uint8_t kind, uint32_t coll_id,
                      size_t key_bytes, size_t value_bytes)
{
    uint8_t *at = head;
    *at++ = kind;
    at = put_varint64(at, coll_id);
    at = put_varint64(at, key_bytes);
    if (entry_has_value(kind)) at = put_varint64(at, value_bytes);
    return (size_t)(at - head);
}

size_t commit_head_put(uint8_t head[static COMMIT_HEAD_BYTES_MAX], uint32_t entry_count,
                       uint64_t caller_index)
{
    uint8_t *at = put_varint64(head, entry_count);
    if (caller_index != 0) at = put_varint64(at, caller_index);
    return (size_t)(at - head);
}

bool commit_body_open(loam_slice bytes, bool has_index, struct commit_body *body)
{
    const uint8_t *from = bytes.data, *end = from + bytes.len;
    *body = (struct commit_body){.entry_count = 0};
    const uint8_t *at = get_varint32(from, end, &body->entry_count);
    if (at != NULL && has_index) at = get_varint64(at, end, &body->caller_index);
    body->entries = (struct batch_reader){at, end};
    return at != NULL && body->entry_count > 0 && has_index == (body->caller_index > 0);
}

loam_status batch_next(struct batch_reader *reader, uint32_t *coll_id, struct entry *entry)
{
    const uint8_t *at = reader->at;
    uint32_t key_bytes, value_bytes = 0;
    if (at == reader->end) return LOAM_NOTFOUND;
    const uint8_t kind = *at++;
    if (kind < ENTRY_PUT || kind > ENTRY_PUT_EXPIRING)
        return failed(LOAM_CORRUPT, "an entry of unknown kind %u", kind);
    at = get_varint32(at, reader->end, coll_id);
    if (at != NULL) at = get_varint32(at, reader->end, &key_bytes);
    if (at != NULL && entry_has_value(kind)) at = get_varint32(at, reader->end, &value_bytes);
    if (at == NULL) return failed(LOAM_CORRUPT, "an entry's head is cut short");
    if (key_bytes > KEY_BYTES_MAX || !is_length(kind, value_bytes))
        return failed(LOAM_CORRUPT, "an entry of %u + %u bytes", key_bytes, value_bytes);
    const size_t left = (size_t)(reader->end - at);
    if (left < key_bytes || left - key_bytes < value_bytes)
        return failed(LOAM_CORRUPT, "an entry of %u + %u bytes where %zu are left", key_bytes,
                      value_bytes, left);
    entry->kind = kind;
    entry->key = loam_bytes(at, key_bytes);
    entry->value = loam_bytes(entry_has_value(kind) ? at + key_bytes : NULL, value_bytes);
    if (kind == ENTRY_DELETE_RANGE && range_is_empty(entry->key, entry->value))
        return failed(LOAM_CORRUPT, "a range that ends before it begins");
    reader->at = at + key_bytes + value_bytes;
    return LOAM_OK;
}
