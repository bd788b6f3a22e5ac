/* oracle.c - see oracle.h. */
#include "bench/oracle.h"

#include <stdlib.h>
#include <string.h>

static uint32_t slots_count(const struct oracle *oracle)
{
    return 2 * oracle->set->entries;
}

void oracle_init(struct oracle *oracle, const struct dataset *set, bool filled, bool writes)
{
    *oracle = (struct oracle){.set = set};
    if (!writes) return;
    oracle->slots = bench_alloc((size_t)slots_count(oracle) * sizeof *oracle->slots);
    for (uint32_t slot = 0; slot < slots_count(oracle); slot++)
        oracle_note(oracle, slot, filled && slot % 2 == 0);
}

void oracle_deinit(struct oracle *oracle)
{
    free(oracle->slots);
    oracle->slots = NULL;
}

/* ---- one key --------------------------------------------------------------------------------- */

static bool is_within(struct oracle_window window, uint16_t version)
{
    /* Versions go round. */
    const uint16_t span = (uint16_t)(oracle_version_after(window.high) - window.low);
    return version != 0 && (uint16_t)(version - window.low) <= span;
}

const char *oracle_judge_get(const struct oracle *oracle, uint32_t slot,
                             struct oracle_window window, bool found, struct bytes_view value)
{
    uint16_t version = 0;
    if (!found) return window.low == 0 ? NULL : "is not there";
    if (!oracle->concurrent && window.low == 0) return "is there, and should not be";
    if (!dataset_value_version(oracle->set, value, slot, &version)) return "has a wrong value";
    if (oracle->concurrent)
        return is_within(window, version) ? NULL : "has a value of another time";
    return version == window.low ? NULL : "has a value of another time";
}

/* ---- scans ----------------------------------------------------------------------------------- */

/* Moves to the next slot that holds something; the slot itself counts only if `here`. */
static void find_expected(const struct oracle *oracle, struct oracle_scan *scan, bool here)
{
    const int step = oracle->slots == NULL && !here ? 2 : 1;
    bool move = !here;
    while (scan->slot != ORACLE_SLOT_NONE) {
        if (move) {
            const uint32_t room =
                scan->backward ? scan->slot : slots_count(oracle) - 1 - scan->slot;
            if (room < (uint32_t)step) {
                scan->slot = ORACLE_SLOT_NONE;
                return;
            }
            scan->slot += (uint32_t)(scan->backward ? -step : step);
            dataset_key_move(oracle->set, scan->key, scan->backward ? -step : step);
        }
        if (oracle_version(oracle, scan->slot) != 0) return;
        move = true;
    }
}

void oracle_scan_begin(const struct oracle *oracle, struct oracle_scan *scan, uint32_t slot,
                       bool backward)
{
    scan->slot = slot;
    scan->last = ORACLE_SLOT_NONE;
    scan->backward = backward;
    dataset_key(oracle->set, scan->key, slot);
    find_expected(oracle, scan, true);
}

static bool comes_before(const struct oracle_scan *scan, uint32_t a, uint32_t b)
{
    return scan->backward ? a > b : a < b;
}

/* Beside writers that insert odd slots: one that was noted meanwhile may be missing, and one that
   was not may be there. */
static const char *judge_odd_row(const struct oracle *oracle, struct oracle_scan *scan,
                                 const struct bytes_view row[2])
{
    uint32_t slot = 0;
    uint16_t version = 0;
    if (!dataset_key_slot(oracle->set, row[0], &slot) || slot >= slots_count(oracle))
        return "comes to a key that was never stored";
    if (scan->last != ORACLE_SLOT_NONE && !comes_before(scan, scan->last, slot))
        return "goes the wrong way";
    while (scan->slot % 2 == 1 && scan->slot != ORACLE_SLOT_NONE &&
           comes_before(scan, scan->slot, slot))
        find_expected(oracle, scan, false);
    if (scan->slot != ORACLE_SLOT_NONE && comes_before(scan, scan->slot, slot))
        return "leaves out a row";
    if (slot != scan->slot && slot % 2 == 0) return "comes to a key that should not be there";
    if (!dataset_value_version(oracle->set, row[1], slot, &version) || version != 1)
        return "has a wrong value";
    if (slot == scan->slot) find_expected(oracle, scan, false);
    scan->last = slot;
    return NULL;
}

/* In words, like values: a call of memcmp() for each row would be a sixth of what is measured. */
static bool is_key(const struct oracle_scan *scan, uint32_t key_bytes, struct bytes_view key)
{
    uint64_t wrong = 0, got, wanted;
    uint32_t at = 0;
    if (key.len != key_bytes) return false;
    for (; at + 8 <= key_bytes; at += 8) {
        memcpy(&got, key.data + at, 8);
        memcpy(&wanted, scan->key + at, 8);
        wrong |= got ^ wanted;
    }
    for (; at < key_bytes; at++)
        wrong |= (uint64_t)(key.data[at] != scan->key[at]);
    return wrong == 0;
}

const char *oracle_judge_row(const struct oracle *oracle, struct oracle_scan *scan, bool got,
                             const struct bytes_view row[2])
{
    uint16_t version = 0;
    while (!got && oracle->concurrent && scan->slot != ORACLE_SLOT_NONE && scan->slot % 2 == 1)
        find_expected(oracle, scan, false);
    if (!got) return scan->slot == ORACLE_SLOT_NONE ? NULL : "ends too early";
    if (oracle->concurrent) return judge_odd_row(oracle, scan, row);
    if (scan->slot == ORACLE_SLOT_NONE) return "goes on beyond the end";
    if (!is_key(scan, oracle->set->key_bytes, row[0])) return "comes to another key";
    if (!dataset_value_version(oracle->set, row[1], scan->slot, &version))
        return "has a wrong value";
    if (version != oracle_version(oracle, scan->slot)) return "has a value of another time";
    scan->last = scan->slot;
    find_expected(oracle, scan, false);
    return NULL;
}
