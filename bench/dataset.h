/*
 * dataset.h - the keys and values of the benchmark, and the proof that they came back.
 *
 * Role: entry i has the key 2 * i in 16 decimal digits and a value of 100 bytes that
 *   follows from i and halves under LZ4 and Snappy; odd numbers are keys that are not there.
 * Invariants: a value can be checked without being stored anywhere, in a few
 *   nanoseconds, so that every byte read is verified inside the measured time.
 * In the picture: used by the workloads only; engines see bytes.
 */
#ifndef BENCH_DATASET_H
#define BENCH_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

enum { KEY_BYTES = 16, VALUE_BYTES = 100 };

void dataset_key(char key[KEY_BYTES], uint64_t number);
void dataset_key_up(char key[KEY_BYTES]);   /* to the number two above, the next entry's */
void dataset_key_down(char key[KEY_BYTES]); /* to the number two below */
void dataset_value(char value[VALUE_BYTES], uint64_t entry);
bool dataset_value_holds(struct bytes_view value, uint64_t entry);

/* 0 .. count-1 in an order that follows from the seed; the caller frees it. */
uint32_t *dataset_shuffled(uint32_t count, uint64_t seed);

#endif
