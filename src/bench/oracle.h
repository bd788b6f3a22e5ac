/*
 * oracle.h - what the store must hold, and whether an answer agrees with it.
 *
 * Role: remembers the version of each slot, 0 where nothing is; judges what a get and
 *   what each move of a scan answered.
 * Invariants: (1) A judge says NULL if the answer is right, else what is wrong: there is
 *   no third way, and whoever reads calls one. (2) A slot has one writer at a time. It
 *   notes a version when its put has returned, so a reader beside it may see what was
 *   noted before its get began, or anything up to one version after what was noted when
 *   the get had ended. (3) Who is alone must get exactly what was noted.
 * In the picture: bench layer; on dataset, used by runner. Without a workload that
 *   writes it needs no memory: then even slots have version 1.
 */
#ifndef LOAM_BENCH_ORACLE_H
#define LOAM_BENCH_ORACLE_H

#include <stdatomic.h>

#include "bench/dataset.h"

#define ORACLE_SLOT_NONE UINT32_MAX
_Static_assert(2u * DATASET_ENTRIES_MAX < ORACLE_SLOT_NONE, "");

struct oracle_slot {
    _Atomic uint16_t version;
};

struct oracle {
    const struct dataset *set;
    struct oracle_slot *slots; /* 2 * entries of them; NULL: nobody writes */
    bool concurrent;           /* others write while somebody reads */
};

struct oracle_window { /* of the versions that a get may see */
    uint16_t low, high;
};

void oracle_init(struct oracle *oracle, const struct dataset *set, bool filled, bool writes);
void oracle_deinit(struct oracle *oracle);

/* Pairs with the release of oracle_note(): what was put before is there for a get that follows. */
static inline uint16_t oracle_version(const struct oracle *oracle, uint32_t slot)
{
    if (oracle->slots == NULL) return slot % 2 == 0;
    return atomic_load_explicit(&oracle->slots[slot].version, memory_order_acquire);
}
/* A slot that will be asked about soon: the driver should not wait for its own memory while it measures. */
static inline void oracle_expect(const struct oracle *oracle, uint32_t slot)
{
    if (oracle->slots != NULL) __builtin_prefetch(&oracle->slots[slot], 1);
}
static inline void oracle_note(struct oracle *oracle, uint32_t slot, uint16_t version)
{
    if (oracle->slots == NULL) return;
    atomic_store_explicit(&oracle->slots[slot].version, version, memory_order_release);
}
static inline uint16_t oracle_version_after(uint16_t version)
{
    return version == UINT16_MAX ? 1 : (uint16_t)(version + 1);
}

const char *oracle_judge_get(const struct oracle *oracle, uint32_t slot,
                             struct oracle_window window, bool found, struct bytes_view value);

struct oracle_scan {
    char key[DATASET_KEY_BYTES_MAX]; /* of slot */
    uint32_t slot;                   /* that must come next, or ORACLE_SLOT_NONE */
    uint32_t last;                   /* that came last, or ORACLE_SLOT_NONE */
    bool backward;
};

/* A scan that begins at slot or at the next one that holds something, in its direction. */
void oracle_scan_begin(const struct oracle *oracle, struct oracle_scan *scan, uint32_t slot,
                       bool backward);
/* got: a move had a row. False: it came to the end. */
const char *oracle_judge_row(const struct oracle *oracle, struct oracle_scan *scan, bool got,
                             const struct bytes_view row[2]);

#endif
