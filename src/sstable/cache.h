/*
 * cache.h - pages in memory, within one budget, behind pin and unpin by page slot.
 *
 * Role: a verified, decompressed page is loaded once and shared. It is reached by *swizzling* (LeanStore's idea):
 *   a table's page array holds, for each page, one atomic word {u32 frame index, 0 = absent; used bit; 31 bits of pins},
 *   so a hit costs one fetch_add and no hash table, no lock.
 * Invariants: (1) pin is fetch_add(1); if the frame index is 0 the page is loaded, by one loader per stripe of slots,
 *   which installs by fetch_add(index << 32) on the word. (2) Eviction is CAS {i, unused, 0} -> 0, CLOCK over
 *   blocks of frames of the wanted size, under the frames' mutex, which is never held during a load. (3) A slot array that goes away takes its
 *   frames back first (page_slots_drop), when no pins are left (check). (4) Pinned frames may exceed the budget, are
 *   counted, and never fail a read. (5) Charged bytes (table metadata) and frames together stay within the capacity as
 *   far as eviction can see to it; when charged bytes pass half of it, idle clients are asked to give theirs back.
 * Threads: any number. Locks: stripe -> frames; clients -> (a client's own) -> frames.
 * Memory order: a frame is filled before the release of its index in the slot, which pin acquires; unpin releases,
 *   and eviction acquires the zero of the pins before it frees the bytes.
 * In the picture: sstable layer; knows no table, only slots, a loader and clients.
 */
#ifndef LOAM_SSTABLE_CACHE_H
#define LOAM_SSTABLE_CACHE_H

#include <stdatomic.h>

#include <loam.h>

struct page_cache;

typedef _Atomic uint64_t page_slot; /* zero = absent, no pins */

struct page_pin { /* all-zero pins nothing */
    page_slot *slot;
    const uint8_t *bytes; /* the page */
    const uint8_t *side;  /* what its loader put there */
    bool drove_out;       /* it was loaded now, and others had to go for it */
};

/* Where a page that is being loaded comes to stand. */
struct page_room {
    struct page_cache *cache;
    uint32_t index; /* 0: not taken yet */
    uint8_t *bytes;
    uint8_t *side; /* dense beside those of other pages: for what is looked at first */
    size_t side_bytes;
    bool drove_out; /* others had to go for it */
};

/* Once for each room; sets all of it. LOAM_NOMEM. */
LOAM_MUST loam_status page_room_take(struct page_room *room, uint64_t bytes);

/* Loads the page of a slot, raw and verified, into the room, which it takes when it knows how large. */
typedef loam_status page_load(void *ctx, uint32_t page_index, struct page_room *room);

LOAM_MUST loam_status page_cache_new(uint64_t capacity_bytes, struct page_cache **out);
void page_cache_free(struct page_cache *cache); /* after all slots are dropped */

/* Pins the page of slots[page_index], loading it if need be. */
LOAM_MUST loam_status page_pin(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                               page_load *load, void *ctx, struct page_pin *pin);
/* The same if the page is there; false, and nothing pinned, if it is not. */
bool page_pin_cached(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                     struct page_pin *pin);
/* Where the page and its side are, or were a moment ago, for prefetching: nothing keeps them. NULL if absent.
   side may be NULL. */
const uint8_t *page_peek(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                         const uint8_t **side);
void page_unpin(struct page_pin *pin); /* zeroes it; nothing for an empty one */

/* Whether any slot of the array is pinned at this moment. */
bool page_slots_pinned(page_slot *slots, uint32_t page_count);
/* Takes the frames of a slot array back before it is freed. No pins are left on it (check). */
void page_slots_drop(struct page_cache *cache, page_slot *slots, uint32_t page_count);

/* Accounts for memory outside frames; frames, then idle clients, make room for it. The caller holds no lock
   that a client's trim takes. */
void page_cache_charge(struct page_cache *cache, int64_t bytes);

/* So much of the capacity is somebody else's for now: pages make room for it. */
void page_cache_lend(struct page_cache *cache, uint64_t bytes);

/* Somebody who has charged memory and can give it back. trim(client) is one step of a clock: it gives all back
   (uncharging it) and returns true, which ends the membership, or returns false and will be idle the next time if
   nobody used it meanwhile. It must not join, leave or charge more. */
struct cache_client {
    struct cache_client *next, *prev; /* the cache's; NULL outside of a membership */
    bool (*trim)(struct cache_client *client);
};
void page_cache_join(struct page_cache *cache, struct cache_client *client);
void page_cache_leave(struct page_cache *cache,
                      struct cache_client *client); /* also of no member */

struct page_cache_stats {
    uint64_t frame_bytes, charged_bytes, pinned_count;
    uint64_t hit_count, miss_count, evicted_count; /* hits are not counted on the hot path: 0 */
};
struct page_cache_stats page_cache_stats(struct page_cache *cache);

#endif
