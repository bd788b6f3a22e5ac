/*
 * recent.c - the keys of the latest commits; see recent.h.
 */
#include "db/recent.h"

#include <string.h>

#include "base/mem.h"

#include "base/poison.h"

struct recent_head { /* before each key, and the end of each range */
    uint64_t seq;
    uint32_t coll_id, key_bytes, end_bytes;
    uint8_t kind;
};

loam_status recent_begin(struct recent *recent, uint64_t next_seq)
{
    if (recent->user_count == 0) {
        for (unsigned i = 0; i < 2; i++) {
            const loam_status rc = buf_reserve(&recent->halves[i], recent->half_bytes);
            if (rc < 0) return rc;
            recent->halves[i].len = 0;
        }
        recent->complete_from = recent->half_from = next_seq;
    }
    recent->user_count++;
    return LOAM_OK;
}

void recent_end(struct recent *recent)
{
    recent->user_count--;
}

void recent_deinit(struct recent *recent)
{
    loam_buf_free(&recent->halves[0]);
    loam_buf_free(&recent->halves[1]);
}

/* Forgets the older half; the newer becomes it. */
static void turn_over(struct recent *recent, uint64_t next_seq)
{
    const loam_buf older = recent->halves[0];
    recent->halves[0] = recent->halves[1];
    recent->halves[1] = older;
    recent->halves[1].len = 0;
    recent->complete_from = recent->half_from;
    recent->half_from = next_seq;
}

void recent_pass_over(struct recent *recent, uint64_t seq)
{
    recent->halves[0].len = recent->halves[1].len = 0;
    recent->complete_from = recent->half_from = seq + 1;
}

void recent_add_slowly(struct recent *recent, uint32_t coll_id, const struct entry *entry)
{
    const loam_slice key = entry->key;
    const loam_slice end = entry->kind == ENTRY_DELETE_RANGE ? entry->value : loam_bytes(NULL, 0);
    const struct recent_head head = {.seq = entry->seq,
                                     .coll_id = coll_id,
                                     .key_bytes = (uint32_t)key.len,
                                     .end_bytes = (uint32_t)end.len,
                                     .kind = entry->kind};
    const size_t bytes = sizeof head + key.len + end.len;
    const uint64_t seq = entry->seq;
    if (bytes > recent->half_bytes) {
        recent_pass_over(recent, seq);
        return;
    }
    if (recent->halves[1].len + bytes > recent->half_bytes) turn_over(recent, seq);
    loam_buf *half = &recent->halves[1];
    uint8_t *at = (uint8_t *)half->data + half->len;
    memcpy(at, &head, sizeof head);
    if (key.len > 0) memcpy(at + sizeof head, key.data, key.len);
    if (end.len > 0) memcpy(at + sizeof head + key.len, end.data, end.len);
    half->len += bytes;
}

loam_status recent_check(const struct recent *recent, uint64_t since,
                         bool (*is_read)(void *ctx, uint32_t coll_id, const struct entry *entry),
                         void *ctx)
{
    if (since + 1 < recent->complete_from) return LOAM_NOTFOUND;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *bytes = recent->halves[i].data;
        for (size_t at = 0; at < recent->halves[i].len;) {
            struct recent_head head;
            memcpy(&head, bytes + at, sizeof head);
            const uint8_t *key = bytes + at + sizeof head;
            const struct entry entry = {.key = loam_bytes(key, head.key_bytes),
                                        .value = loam_bytes(key + head.key_bytes, head.end_bytes),
                                        .seq = head.seq,
                                        .kind = head.kind};
            if (head.seq > since && is_read(ctx, head.coll_id, &entry)) return LOAM_CONFLICT;
            at += sizeof head + head.key_bytes + head.end_bytes;
        }
    }
    return LOAM_OK;
}
