/*
 * fuzz_root.c - any bytes as a root, with and without a right checksum: refused, or encoded again
 * as they were.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "tree/root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_and_encode(const uint8_t *data, size_t size)
{
    uint8_t again[ROOT_BYTES];
    struct root root;
    const loam_status rc = root_decode(loam_bytes(data, size), "root", &root);
    if (rc == LOAM_CORRUPT || rc == LOAM_TOONEW) return;
    if (rc != LOAM_OK || size != ROOT_BYTES) abort();
    root_encode(&root, again);
    if (memcmp(data, again, ROOT_BYTES) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_and_encode(data, size);
    if (size < 8) return 0;
    uint8_t *summed = malloc(size);
    if (summed == NULL) return 0;
    memcpy(summed, data, size);
    put_u64(summed, hash_seeded(summed + 8, size - 8, 0));
    decode_and_encode(summed, size);
    free(summed);
    return 0;
}
