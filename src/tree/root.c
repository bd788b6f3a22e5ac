/*
 * root.c - the one value from which everything else is found; see root.h.
 */
#include "tree/root.h"

#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"

#include "base/poison.h"

enum { ROOT_TYPE = 'R', ROOT_SEALED = 1, ROOT_HEAD_BYTES = 16 };

static const char root_magic[4] = {'l', 'o', 'a', 'm'};

void root_encode(const struct root *root, uint8_t bytes[static ROOT_BYTES])
{
    memset(bytes, 0, ROOT_BYTES);
    memcpy(bytes + 8, root_magic, sizeof root_magic);
    bytes[12] = ROOT_TYPE;
    bytes[13] = ROOT_FORMAT;
    bytes[14] = root->sealed ? ROOT_SEALED : 0;
    memcpy(bytes + 16, root->store_id, STORE_ID_BYTES);
    put_u32(bytes + 32, root->epoch);
    put_u32(bytes + 36, root->manifest.number);
    put_u32(bytes + 40, root->manifest.epoch);
    put_u64(bytes + 48, root->log_key);
    put_u64(bytes + 56, root->manifest_end);
    put_u64(bytes + 64, root->manifest_running);
    put_u64(bytes + 72, root->log_end);
    put_u64(bytes + 80, root->log_running);
    put_u64(bytes, hash_seeded(bytes + 8, ROOT_BYTES - 8, 0));
}

static bool is_zero(const uint8_t *from, const uint8_t *end)
{
    while (from < end && *from == 0)
        from++;
    return from == end;
}

void root_take(const uint8_t bytes[static ROOT_BYTES], struct root *root)
{
    *root = (struct root){
        .epoch = get_u32(bytes + 32),
        .log_key = get_u64(bytes + 48),
        .manifest = {.epoch = get_u32(bytes + 40), .number = get_u32(bytes + 36)},
        .manifest_end = get_u64(bytes + 56),
        .manifest_running = get_u64(bytes + 64),
        .sealed = (bytes[14] & ROOT_SEALED) != 0,
        .log_end = get_u64(bytes + 72),
        .log_running = get_u64(bytes + 80),
    };
    memcpy(root->store_id, bytes + 16, STORE_ID_BYTES);
}

loam_status root_decode(loam_slice slice, const char *path, struct root *root)
{
    const uint8_t *bytes = slice.data;
    if (slice.len < ROOT_HEAD_BYTES || memcmp(bytes + 8, root_magic, sizeof root_magic) != 0 ||
        bytes[12] != ROOT_TYPE)
        return failed(LOAM_CORRUPT, "%s: byte 8: this is no root of a store", path);
    if (get_u64(bytes) != hash_seeded(bytes + 8, slice.len - 8, 0))
        return failed(LOAM_CORRUPT, "%s: byte 0: the checksum does not match", path);
    if (bytes[13] > ROOT_FORMAT)
        return failed(LOAM_TOONEW, "%s: format %u; this library knows %u; use a newer loam", path,
                      bytes[13], ROOT_FORMAT);
    if (slice.len != ROOT_BYTES || bytes[13] != ROOT_FORMAT)
        return failed(LOAM_CORRUPT, "%s: byte 13: format %u in %zu bytes", path, bytes[13],
                      slice.len);
    if ((bytes[14] & ~ROOT_SEALED) != 0 || bytes[15] != 0 || !is_zero(bytes + 44, bytes + 48) ||
        !is_zero(bytes + 88, bytes + ROOT_BYTES))
        return failed(LOAM_CORRUPT, "%s: byte 14: what must be zero is not", path);
    root_take(bytes, root);
    return LOAM_OK;
}
