/*
 * rand.h - a small generator for everything that wants chance and not secrecy.
 *
 * Role: splitmix64; a seed reproduces its sequence. Secrets (store id, log key,
 *   table uid) come from the system through os/, never from here.
 * In the picture: base layer.
 */
#ifndef LOAM_BASE_RAND_H
#define LOAM_BASE_RAND_H

#include <stdint.h>

struct rand {
    uint64_t state;
};

static inline uint64_t rand_next(struct rand *rand)
{
    uint64_t z = (rand->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in [0, bound); bound is at least 1. */
static inline uint64_t rand_below(struct rand *rand, uint64_t bound)
{
    return rand_next(rand) % bound;
}

#endif
