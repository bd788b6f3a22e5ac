/*
 * operands.c - operands of merges; see operands.h.
 */
#include "record/operands.h"

#include "base/check.h"
#include "base/mem.h"

#include "base/poison.h"

bool operand_get(const struct entry *entry, uint64_t *since, loam_slice *operand)
{
    const uint8_t *from = entry->value.data;
    if (from == NULL) return false;
    const uint8_t *end = from + entry->value.len, *at = get_varint64(from, end, since);
    if (at == NULL || *since == 0 || *since > entry->seq) return false;
    *operand = loam_bytes(at, (size_t)(end - at));
    return true;
}

/* ---- operators that are built in --------------------------------------------------------------- */

static size_t give(void *result, loam_slice one)
{
    if (one.len > 0) memcpy(result, one.data, one.len);
    return one.len;
}

/* What is no integer counts as absent: true, and the other one is the result. */
static bool lacks_one(loam_slice older, loam_slice newer, void *result, size_t *len)
{
    if (older.len == sizeof(uint64_t) && newer.len == sizeof(uint64_t)) return false;
    *len = give(result, newer.len == sizeof(uint64_t) ? newer : older);
    return true;
}

static size_t add_i64(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    size_t len;
    (void)ctx;
    if (lacks_one(older, newer, result, &len)) return len;
    put_u64(result, get_u64(older.data) + get_u64(newer.data));
    return sizeof(uint64_t);
}

static size_t max_i64(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    size_t len;
    (void)ctx;
    if (lacks_one(older, newer, result, &len)) return len;
    const bool is_newer = (int64_t)get_u64(newer.data) > (int64_t)get_u64(older.data);
    return give(result, is_newer ? newer : older);
}

static size_t append(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    (void)ctx;
    const size_t len = give(result, older);
    return len + give((uint8_t *)result + len, newer);
}

const loam_merge_operator *operator_built_in(const char *name)
{
    static const loam_merge_operator all[] = {
        {"add_i64", add_i64, NULL}, {"max_i64", max_i64, NULL}, {"append", append, NULL}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    return NULL;
}

bool operator_wants_i64(const loam_merge_operator *merger)
{
    return merger->combine == add_i64 || merger->combine == max_i64;
}

/* ---- joining --------------------------------------------------------------------------------------- */

void joining_begin(struct joining *joining, const loam_merge_operator *merger)
{
    joining->merger = merger;
    joining->part_count = 0;
    joining->bytes.len = 0;
}

void joining_deinit(struct joining *joining)
{
    loam_buf_free(&joining->bytes);
    loam_buf_free(&joining->spare);
}

static loam_slice part_at(const struct joining *joining, uint32_t index)
{
    const size_t from = index > 0 ? joining->ends[index - 1] : 0;
    return loam_bytes((const uint8_t *)joining->bytes.data + from, joining->ends[index] - from);
}

/* The two oldest parts become one. */
static loam_status join_oldest(struct joining *joining)
{
    const loam_merge_operator *merger = joining->merger;
    const uint32_t into = joining->part_count - 2;
    const loam_slice newer = part_at(joining, into), older = part_at(joining, into + 1);
    const size_t room = newer.len + older.len;
    const loam_status rc = buf_reserve(&joining->spare, room + 1);
    if (rc < 0) return rc;
    const size_t len = merger->combine(merger->ctx, older, newer, joining->spare.data);
    check(len <= room);
    const size_t from = joining->ends[into] - newer.len;
    if (len > 0) memcpy((uint8_t *)joining->bytes.data + from, joining->spare.data, len);
    joining->ends[into] = joining->bytes.len = from + len;
    joining->part_count--;
    return LOAM_OK;
}

loam_status joining_join(struct joining *joining, loam_slice *joined)
{
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK && joining->part_count > 1)
        rc = join_oldest(joining);
    if (rc == LOAM_OK) *joined = part_at(joining, 0);
    return rc;
}

loam_status joining_has_room(struct joining *joining, size_t more_bytes, size_t bytes_max,
                             bool *has_room)
{
    loam_slice joined;
    loam_status rc = LOAM_OK;
    if (joining->part_count > 1 && joining->bytes.len + more_bytes > bytes_max)
        rc = joining_join(joining, &joined);
    *has_room = joining->bytes.len + more_bytes <= bytes_max;
    return rc;
}

loam_status joining_add_older(struct joining *joining, loam_slice operand)
{
    loam_status rc = buf_reserve(&joining->bytes, joining->bytes.len + operand.len + 1);
    if (rc == LOAM_OK) rc = buf_append(&joining->bytes, operand.data, operand.len);
    if (rc < 0) return rc;
    check(joining->part_count < JOINING_PARTS_MAX);
    joining->ends[joining->part_count++] = joining->bytes.len;
    while (rc == LOAM_OK && joining->part_count > 1 &&
           part_at(joining, joining->part_count - 2).len <=
               2 * part_at(joining, joining->part_count - 1).len)
        rc = join_oldest(joining);
    return rc;
}
