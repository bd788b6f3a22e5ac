/*
 * hash.c - XXH3, the one hash; see hash.h.
 */
#define XXH_STATIC_LINKING_ONLY /* the streaming state on the stack */
#include "base/hash.h"

#include <xxhash.h>

uint64_t hash_key(loam_slice key)
{
    return XXH3_64bits(key.data, key.len);
}

uint64_t hash_seeded(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

uint64_t hash_seeded_pieces(const loam_slice *pieces, size_t count, uint64_t seed)
{
    XXH3_state_t state;
    XXH3_64bits_reset_withSeed(&state, seed);
    for (size_t i = 0; i < count; i++)
        XXH3_64bits_update(&state, pieces[i].data, pieces[i].len);
    return XXH3_64bits_digest(&state);
}
