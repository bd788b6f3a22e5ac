/* dataset.c - keys by long division, values from one multiplicative hash; see dataset.h. */
#include "bench/dataset.h"

#include <string.h>

enum { WORDS = 6, HALF_BYTES = WORDS * 8, CHUNK_BYTES = 2 * HALF_BYTES, VERSION_BYTES = 2 };

static const uint64_t word_factor[WORDS] = {
    UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f), UINT64_C(0x165667b19e3779f9),
    UINT64_C(0xd6e8feb86659fd93), UINT64_C(0xff51afd7ed558ccd), UINT64_C(0x2545f4914f6cdd1d),
};

uint64_t dataset_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void dataset_key(const struct dataset *set, char *key, uint32_t slot)
{
    memset(key, '0', set->key_bytes);
    for (uint32_t i = set->key_bytes; slot > 0 && i-- > 0; slot /= 10)
        key[i] = (char)('0' + slot % 10);
}

void dataset_key_move(const struct dataset *set, char *key, int step)
{
    uint32_t i = set->key_bytes - 1;
    key[i] = (char)(key[i] + step);
    while (key[i] > '9' && i > 0) {
        key[i] = (char)(key[i] - 10);
        key[--i]++;
    }
    while (key[i] < '0' && i > 0) {
        key[i] = (char)(key[i] + 10);
        key[--i]--;
    }
}

bool dataset_key_slot(const struct dataset *set, struct bytes_view key, uint32_t *slot)
{
    uint64_t number = 0;
    if (key.len != set->key_bytes) return false;
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] < '0' || key.data[i] > '9') return false;
        number = number * 10 + (uint64_t)(key.data[i] - '0');
        if (number > UINT32_MAX) return false;
    }
    *slot = (uint32_t)number;
    return true;
}

/* ---- values: the version, then chunks of noise that each stand there twice ------------------- */

static uint64_t chunk_seed(uint32_t slot, uint16_t version, size_t at)
{
    return dataset_mix(((uint64_t)slot << 16 | version) + at * word_factor[0]);
}

static void fill_words(char *target, size_t words, uint64_t seed)
{
    for (size_t i = 0; i < words; i++) {
        const uint64_t word = seed * word_factor[i];
        memcpy(target + i * 8, &word, 8);
    }
}

/* The last chunk, of which there is but the beginning. */
static void fill_rest(char rest[CHUNK_BYTES], size_t bytes, uint64_t seed)
{
    const size_t words = bytes < HALF_BYTES ? (bytes + 7) / 8 : WORDS;
    fill_words(rest, words, seed);
    if (words == WORDS) memcpy(rest + HALF_BYTES, rest, HALF_BYTES);
}

void dataset_value(const struct dataset *set, char *value, uint32_t slot, uint16_t version)
{
    size_t at = VERSION_BYTES;
    memcpy(value, &version, VERSION_BYTES);
    for (; at + CHUNK_BYTES <= set->value_bytes; at += CHUNK_BYTES) {
        fill_words(value + at, WORDS, chunk_seed(slot, version, at));
        memcpy(value + at + HALF_BYTES, value + at, HALF_BYTES);
    }
    char rest[CHUNK_BYTES];
    fill_rest(rest, set->value_bytes - at, chunk_seed(slot, version, at));
    memcpy(value + at, rest, set->value_bytes - at);
}

static uint64_t compare_chunk(const char *chunk, uint64_t seed)
{
    uint64_t wrong = 0;
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t first, second;
        memcpy(&first, chunk + i * 8, 8);
        memcpy(&second, chunk + HALF_BYTES + i * 8, 8);
        wrong |= (first ^ second) | (first ^ (seed * word_factor[i]));
    }
    return wrong;
}

/* No call of memcmp() for the two bytes that are left of a value of 100. */
static uint64_t compare_rest(const char *rest, size_t bytes, uint64_t seed)
{
    uint64_t wrong = 0, word;
    size_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        memcpy(&word, rest + at, 8);
        wrong |= word ^ (seed * word_factor[at / 8 % WORDS]);
    }
    uint8_t image[8];
    word = seed * word_factor[at / 8 % WORDS];
    memcpy(image, &word, 8);
    for (size_t i = at; i < bytes; i++)
        wrong |= (uint64_t)((uint8_t)rest[i] ^ image[i - at]);
    return wrong;
}

bool dataset_value_version(const struct dataset *set, struct bytes_view value, uint32_t slot,
                           uint16_t *version)
{
    if (value.len != set->value_bytes) return false;
    memcpy(version, value.data, VERSION_BYTES);
    size_t at = VERSION_BYTES;
    uint64_t wrong = 0;
    for (; at + CHUNK_BYTES <= value.len; at += CHUNK_BYTES)
        wrong |= compare_chunk(value.data + at, chunk_seed(slot, *version, at));
    wrong |= compare_rest(value.data + at, value.len - at, chunk_seed(slot, *version, at));
    return wrong == 0;
}

uint32_t *dataset_shuffled(uint32_t count, uint64_t seed)
{
    uint32_t *order = bench_alloc(((size_t)count + 1) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = (uint32_t)(dataset_mix(seed + i) % ((uint64_t)i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}
