/*
 * dataset.h - the keys and values of the benchmark, and the proof that they came back.
 *
 * Role: a slot is a number; its key is the number in decimal digits, its value follows
 *   from the number and a version. Entry i of a data set lives in slot 2 * i; odd
 *   slots are keys that are not there, or that a workload inserts.
 * Invariants: (1) a value can be checked without being stored anywhere, in a few
 *   nanoseconds, so that every byte read is verified inside the measured time.
 *   (2) Each stretch of 96 bytes of a value is 48 bytes of noise, twice: LZ4 and
 *   Snappy halve it.
 * In the picture: bench layer; used by the workloads only, engines see bytes.
 */
#ifndef LOAM_BENCH_DATASET_H
#define LOAM_BENCH_DATASET_H

#include "bench/engine.h"

enum {
    DATASET_KEY_BYTES_MIN = 10, /* every slot has that many digits at most */
    DATASET_KEY_BYTES_MAX = 255,
    DATASET_VALUE_BYTES_MIN = 8,
    DATASET_VALUE_BYTES_MAX = 1 << 20,
    DATASET_ENTRIES_MAX = 1000000000
};

struct dataset {
    uint32_t entries;
    uint32_t key_bytes, value_bytes;
};

void dataset_key(const struct dataset *set, char *key, uint32_t slot);
/* From the key of a slot to that of slot + step, a digit in size. */
void dataset_key_move(const struct dataset *set, char *key, int step);
/* False if these are not the bytes of the key of any slot. */
bool dataset_key_slot(const struct dataset *set, struct bytes_view key, uint32_t *slot);

void dataset_value(const struct dataset *set, char *value, uint32_t slot, uint16_t version);
/* False if these are not the bytes of that slot's value in any version. */
bool dataset_value_version(const struct dataset *set, struct bytes_view value, uint32_t slot,
                           uint16_t *version);

uint64_t dataset_mix(uint64_t x); /* a hash of an integer */

/* 0 .. count-1 in an order that follows from the seed; the caller frees it. */
uint32_t *dataset_shuffled(uint32_t count, uint64_t seed);

#endif
