/*
 * dataset.c - keys by long division, values from one multiplicative hash; see dataset.h.
 */
#include "dataset.h"

#include <string.h>

enum {
    WORDS = 6,
    HALF_BYTES = WORDS * 8,
    TAIL_AT = 2 * HALF_BYTES,
    TAIL_BYTES = VALUE_BYTES - TAIL_AT
};

static const uint64_t word_factor[WORDS] = {
    UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xc2b2ae3d27d4eb4f), UINT64_C(0x165667b19e3779f9),
    UINT64_C(0xd6e8feb86659fd93), UINT64_C(0xff51afd7ed558ccd), UINT64_C(0x2545f4914f6cdd1d),
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t value_seed(uint64_t entry)
{
    return mix(entry + UINT64_C(0x9e3779b97f4a7c15));
}

void dataset_key(char key[KEY_BYTES], uint64_t number)
{
    for (int i = KEY_BYTES - 1; i >= 0; i--) {
        key[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

void dataset_key_up(char key[KEY_BYTES])
{
    int i = KEY_BYTES - 1;
    if ((key[i] = (char)(key[i] + 2)) <= '9') return;
    key[i] = (char)(key[i] - 10);
    while (i > 0 && ++key[--i] > '9')
        key[i] = '0';
}

void dataset_key_down(char key[KEY_BYTES])
{
    int i = KEY_BYTES - 1;
    if ((key[i] = (char)(key[i] - 2)) >= '0') return;
    key[i] = (char)(key[i] + 10);
    while (i > 0 && --key[--i] < '0')
        key[i] = '9';
}

void dataset_value(char value[VALUE_BYTES], uint64_t entry)
{
    const uint64_t seed = value_seed(entry);
    for (size_t i = 0; i < WORDS; i++) {
        const uint64_t word = seed * word_factor[i];
        memcpy(value + i * 8, &word, 8);
    }
    memcpy(value + HALF_BYTES, value, HALF_BYTES);
    memcpy(value + TAIL_AT, &seed, TAIL_BYTES);
}

bool dataset_value_holds(struct bytes_view value, uint64_t entry)
{
    if (value.len != VALUE_BYTES) return false;
    const uint64_t seed = value_seed(entry);
    uint64_t wrong = 0;
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t first, second;
        memcpy(&first, value.data + i * 8, 8);
        memcpy(&second, value.data + HALF_BYTES + i * 8, 8);
        wrong |= (first ^ second) | (first ^ (seed * word_factor[i]));
    }
    return !wrong && !memcmp(value.data + TAIL_AT, &seed, TAIL_BYTES);
}

uint32_t *dataset_shuffled(uint32_t count, uint64_t seed)
{
    uint32_t *order = bench_alloc(((size_t)count + 1) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = (uint32_t)(mix(seed + i) % ((uint64_t)i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}
