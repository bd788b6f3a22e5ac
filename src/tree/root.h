/*
 * root.h - the one value from which everything else is found.
 *
 * Role: encodes and decodes the store's root: who the store is, who owns it, where its manifest
 *   is, and, after a clean close, the seal.
 *
 *   0 check u64, XXH3-64 of bytes 8 to the end | 8 "loam" | 12 type u8 'R' | 13 format u8 | 14 flags u8 (1: sealed) | 15 zero |
 *   16 store id 16 bytes | 32 epoch u32 | 36 manifest number u32 | 40 manifest epoch u32 | 44 zero u32 | 48 log key u64 |
 *   56 manifest attested end u64 | 64 manifest running u64 | 72 log end u64 | 80 log running u64 | 88..128 zero
 *
 * In the picture: tree layer; replaced atomically through os/storage.h.
 */
#ifndef LOAM_TREE_ROOT_H
#define LOAM_TREE_ROOT_H

#include "os/names.h"
#include "wal/segment.h"

enum { ROOT_BYTES = 128, ROOT_FORMAT = 1 };

struct root {
    uint8_t store_id[STORE_ID_BYTES];
    uint32_t epoch;
    uint64_t log_key;
    struct object_id manifest;
    uint64_t manifest_end,
        manifest_running; /* durable when the root was swapped; the exact end when sealed */
    bool sealed;          /* closed cleanly: the log ends exactly here */
    uint64_t log_end, log_running;
};

void root_encode(const struct root *root, uint8_t bytes[static ROOT_BYTES]);
/* The fields as they stand, right or not. */
void root_take(const uint8_t bytes[static ROOT_BYTES], struct root *root);
/* LOAM_CORRUPT or LOAM_TOONEW; path goes into the message. */
LOAM_MUST loam_status root_decode(loam_slice bytes, const char *path, struct root *root);

#endif
