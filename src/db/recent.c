/*
 * recent.c - the keys of the latest commits; see recent.h.
 */
#include "db/recent.h"

#include <string.h>

#include "base/mem.h"

#include "base/poison.h"

struct recent_head { /* before each key */
    uint64_t seq;
    uint32_t coll_id, key_bytes;
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

void recent_add_slowly(struct recent *recent, uint64_t seq, uint32_t coll_id, loam_slice key)
{
    const struct recent_head head = {seq, coll_id, (uint32_t)key.len};
    const size_t bytes = sizeof head + key.len;
    if (bytes > recent->half_bytes) { /* nobody can be told about this one: all validate again */
        recent->halves[0].len = recent->halves[1].len = 0;
        recent->complete_from = recent->half_from = seq + 1;
        return;
    }
    if (recent->halves[1].len + bytes > recent->half_bytes) turn_over(recent, seq);
    loam_buf *half = &recent->halves[1];
    uint8_t *at = (uint8_t *)half->data + half->len;
    memcpy(at, &head, sizeof head);
    if (key.len > 0) memcpy(at + sizeof head, key.data, key.len);
    half->len += bytes;
}

loam_status recent_check(const struct recent *recent, uint64_t since,
                         bool (*is_read)(const void *ctx, uint32_t coll_id, loam_slice key),
                         const void *ctx)
{
    if (since + 1 < recent->complete_from) return LOAM_NOTFOUND;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *bytes = recent->halves[i].data;
        for (size_t at = 0; at < recent->halves[i].len;) {
            struct recent_head head;
            memcpy(&head, bytes + at, sizeof head);
            const loam_slice key = loam_bytes(bytes + at + sizeof head, head.key_bytes);
            if (head.seq > since && is_read(ctx, head.coll_id, key)) return LOAM_CONFLICT;
            at += sizeof head + head.key_bytes;
        }
    }
    return LOAM_OK;
}
