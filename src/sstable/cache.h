/*
 * cache.h - pages in memory, within one budget, behind pin and unpin by page slot.
 *
 * Role: a verified, decompressed page is loaded once and shared. It is reached by *swizzling* (LeanStore's idea):
 *   a table's page array holds, for each page, one atomic word {u32 frame index, 0 = absent; u32 pins},
 *   so a hit costs one fetch_add and no hash table, no lock.
 * Invariants: (1) pin is fetch_add(1); if the frame index is 0 the pin is undone and the page is loaded, by one loader
 *   per stripe, which installs by fetch_add(index << 32) on the word. (2) Eviction is CAS {i, 0} -> {0, 0}, CLOCK over the
 *   frames, only under the frame's lock bit. (3) A slot array that goes away takes its frames back first (page_slots_drop), when no pins are left (check).
 *   (4) Pinned frames may exceed the budget, are counted, and never fail a read. (5) Charged bytes (table metadata) and frames
 *   together stay within the capacity as far as eviction can see to it.
 * Threads: any number.
 * In the picture: sstable layer; knows no table, only slots and a loader.
 */
#ifndef LOAM_SSTABLE_CACHE_H
#define LOAM_SSTABLE_CACHE_H

#include <stdatomic.h>

#include <loam.h>

struct page_cache;

typedef _Atomic uint64_t page_slot; /* zero = absent, no pins */

struct page_pin { /* all-zero pins nothing */
    page_slot *slot;
    const uint8_t *bytes; /* the raw page */
    uint32_t len;
};

/* Loads the page of a slot: *bytes from mem_alloc, raw and verified; the cache takes it. */
typedef loam_status page_load(void *ctx, uint32_t page_index, uint8_t **bytes, uint32_t *len);

LOAM_MUST loam_status page_cache_new(uint64_t capacity_bytes, struct page_cache **out);
void page_cache_free(struct page_cache *cache); /* after all slots are dropped */

/* Pins the page of slots[page_index], loading it if need be. */
LOAM_MUST loam_status page_pin(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                               page_load *load, void *ctx, struct page_pin *pin);
void page_unpin(struct page_pin *pin); /* zeroes it; nothing for an empty one */

/* Takes the frames of a slot array back before it is freed. No pins are left on it (check). */
void page_slots_drop(struct page_cache *cache, page_slot *slots, uint32_t page_count);

/* Accounts for memory outside frames; frames make room for it. */
void page_cache_charge(struct page_cache *cache, int64_t bytes);

struct page_cache_stats {
    uint64_t frame_bytes, charged_bytes, pinned_count;
    uint64_t hit_count, miss_count, evicted_count; /* hits are not counted on the hot path: 0 */
};
struct page_cache_stats page_cache_stats(struct page_cache *cache);

#endif
