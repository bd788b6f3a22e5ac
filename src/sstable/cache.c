/*
 * cache.c - pages in memory, within one budget; see cache.h.
 */
#include "sstable/cache.h"

#include "base/check.h"
#include "base/mem.h"
#include "os/thread.h"
#include "sstable/frames.h"

#include "base/poison.h"

enum {
    LOADER_STRIPES = 64,
    /* A miss looks at so many blocks at most; what it could not free, the next ones will. */
    CLOCK_VISITS_MAX = 1024,
    HAND_AHEAD_UNITS =
        8 /* a slot is asked for so long before the hand comes to its frame, if pages are small */
};

/* Of a slot's word, below the frame's index. */
#define SLOT_USED (UINT64_C(1) << 31) /* since the clock's hand last passed */
#define SLOT_PINS (SLOT_USED - 1)

struct page_cache {
    struct frames frames; /* changed under frames_lock; read by who has a pin */
    uint64_t capacity_bytes;
    _Atomic int64_t charged_bytes;
    _Atomic uint64_t lent_bytes;

    struct mutex frames_lock;
    uint32_t hand; /* a unit; this and the next two: frames_lock */
    uint64_t miss_count, evicted_count;

    struct mutex clients_lock;
    struct cache_client clients; /* a ring; guarded by clients_lock */

    struct loader_stripe {
        struct mutex lock;
        char apart[64]; /* from the next one's cache line */
    } stripes[LOADER_STRIPES];
};

loam_status page_cache_new(uint64_t capacity_bytes, struct page_cache **out)
{
    struct page_cache *cache = mem_zalloc(sizeof *cache);
    if (cache == NULL) return LOAM_NOMEM;
    cache->capacity_bytes = capacity_bytes;
    frames_init(&cache->frames, capacity_bytes);
    mutex_init(&cache->frames_lock);
    mutex_init(&cache->clients_lock);
    cache->clients.next = cache->clients.prev = &cache->clients;
    for (unsigned i = 0; i < LOADER_STRIPES; i++)
        mutex_init(&cache->stripes[i].lock);
    *out = cache;
    return LOAM_OK;
}

void page_cache_free(struct page_cache *cache)
{
    if (cache == NULL) return;
    check(cache->clients.next == &cache->clients);
    for (unsigned i = 0; i < LOADER_STRIPES; i++)
        mutex_deinit(&cache->stripes[i].lock);
    mutex_deinit(&cache->clients_lock);
    mutex_deinit(&cache->frames_lock);
    frames_deinit(&cache->frames);
    mem_free(cache);
}

/* ---- frames ---- */

static bool over_budget(struct page_cache *cache, uint64_t wanted) REQUIRES(cache->frames_lock)
{
    const int64_t charged = atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    const uint64_t all = cache->frames.resident_bytes + wanted +
                         (charged > 0 ? (uint64_t)charged : 0) +
                         atomic_load_explicit(&cache->lent_bytes, memory_order_relaxed);
    return all > cache->capacity_bytes;
}

/* Takes the page from its slot, and gives the frame back, unless somebody has it pinned. */
static bool evict(struct page_cache *cache, uint32_t index) REQUIRES(cache->frames_lock)
{
    struct frame *frame = frames_at(&cache->frames, index);
    uint64_t unpinned = (uint64_t)index << 32;
    if (frame->slot == NULL) return false; /* is being loaded */
    /* Acquires what the last unpin released: its reader is done with the bytes. */
    if (!atomic_compare_exchange_strong_explicit(frame->slot, &unpinned, 0, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    frame->slot = NULL;
    frames_give(&cache->frames, index);
    cache->evicted_count++;
    return true;
}

/* Whether a page in the block of units from `first` on was used since the last look. */
static bool was_used(struct page_cache *cache, uint32_t first, uint32_t units)
    REQUIRES(cache->frames_lock)
{
    bool used = false;
    for (uint32_t unit = first; unit < first + units; unit++) {
        struct frame *frame = frames_at(&cache->frames, unit + 1);
        if (frame->state == FRAME_TAKEN && frame->slot != NULL)
            used |= (atomic_fetch_and_explicit(frame->slot, ~SLOT_USED, memory_order_relaxed) &
                     SLOT_USED) != 0;
    }
    return used;
}

/* True if all of the block is free then. */
static bool evict_block(struct page_cache *cache, uint32_t first, uint32_t units)
    REQUIRES(cache->frames_lock)
{
    bool all = true;
    for (uint32_t unit = first; unit < first + units; unit++) {
        if (frames_at(&cache->frames, unit + 1)->state == FRAME_TAKEN)
            all &= evict(cache, unit + 1);
    }
    return all;
}

/* Slots lie anywhere: one that is asked for some misses before its turn is not waited for then. */
static void expect_slot(struct page_cache *cache, uint64_t unit, uint64_t all)
    REQUIRES(cache->frames_lock)
{
    if (unit >= all) return;
    const struct frame *frame = frames_at(&cache->frames, (uint32_t)unit + 1);
    if (frame->state == FRAME_TAKEN) __builtin_prefetch(frame->slot, 1);
}

/* Moves the clock's hand over blocks of that size until one is free, or it has gone far enough. */
static bool make_block(struct page_cache *cache, unsigned order) REQUIRES(cache->frames_lock)
{
    const uint32_t units = UINT32_C(1) << order;
    const uint32_t piece_units = UINT32_C(1) << cache->frames.piece_order;
    const uint64_t all = (uint64_t)cache->frames.piece_count * piece_units;
    for (unsigned visits = 0; visits < CLOCK_VISITS_MAX && all > 0; visits++) {
        const uint32_t first = cache->hand >= all ? 0 : cache->hand & ~(units - 1);
        cache->hand = first + units;
        expect_slot(cache, first + HAND_AHEAD_UNITS, all);
        if (!frames_piece(&cache->frames, first / piece_units)->is_resident) continue;
        if (frames_at(&cache->frames, first + 1)->state == FRAME_INNER) continue; /* of a larger */
        if (!was_used(cache, first, units) && evict_block(cache, first, units)) return true;
    }
    return false;
}

/* Gives whole pieces back while there are more than the budget has room for. */
static void shrink(struct page_cache *cache) REQUIRES(cache->frames_lock)
{
    const uint32_t units = UINT32_C(1) << cache->frames.piece_order;
    for (uint32_t i = cache->frames.piece_count; i > 0 && over_budget(cache, 0); i--) {
        if (!frames_piece(&cache->frames, i - 1)->is_resident) continue;
        (void)was_used(cache, (i - 1) * units, units); /* or not: the memory is needed */
        if (evict_block(cache, (i - 1) * units, units)) (void)frames_shrink(&cache->frames, i - 1);
    }
}

/* A block, evicting what nobody used when the budget, or the system, has no room; when all is in use, beyond the budget. */
static loam_status claim_block(struct page_cache *cache, unsigned order, uint32_t *index)
    REQUIRES(cache->frames_lock)
{
    loam_status rc = LOAM_OK;
    check(order <= cache->frames.piece_order);
    if (over_budget(cache, 0)) shrink(cache); /* what was pinned beyond it may not be any more */
    *index = frames_take(&cache->frames, order);
    if (*index != 0) return LOAM_OK;
    const bool may_grow = !over_budget(cache, frames_piece_bytes(&cache->frames));
    if (may_grow || !make_block(cache, order)) rc = frames_grow(&cache->frames);
    if (rc < 0 && may_grow && make_block(cache, order))
        rc = LOAM_OK; /* it has to do with what it has */
    if (rc == LOAM_OK) *index = frames_take(&cache->frames, order);
    return rc;
}

loam_status page_room_take(struct page_room *room, uint64_t bytes)
{
    struct page_cache *cache = room->cache;
    check(room->index == 0);
    const unsigned order = frames_order_for(bytes);
    mutex_lock(&cache->frames_lock);
    const uint64_t evicted_count = cache->evicted_count;
    const loam_status rc = claim_block(cache, order, &room->index);
    room->drove_out = cache->evicted_count != evicted_count;
    if (rc == LOAM_OK) frames_at(&cache->frames, room->index)->slot = NULL;
    mutex_unlock(&cache->frames_lock);
    if (rc < 0) return rc;
    room->bytes = frames_bytes(&cache->frames, room->index, &room->side);
    room->side_bytes = (size_t)FRAME_SIDE_BYTES << order;
    return LOAM_OK;
}

/* Puts the loaded page behind its slot, which the caller has pinned. */
static void install_page(struct page_cache *cache, page_slot *slot, uint32_t index)
{
    mutex_lock(&cache->frames_lock);
    frames_at(&cache->frames, index)->slot = slot;
    cache->miss_count++;
    /* Read once is not used: what a scan passes goes before what is asked for again. */
    atomic_fetch_add_explicit(slot, (uint64_t)index << 32, memory_order_release);
    mutex_unlock(&cache->frames_lock);
}

static void give_block(struct page_cache *cache, uint32_t index)
{
    mutex_lock(&cache->frames_lock);
    frames_give(&cache->frames, index);
    mutex_unlock(&cache->frames_lock);
}

/* ---- pins ---- */

/* word: what the slot held before the pin. */
static inline void fill_pin(struct page_cache *cache, page_slot *slot, uint64_t word,
                            struct page_pin *pin)
{
    if ((word & SLOT_USED) == 0) atomic_fetch_or_explicit(slot, SLOT_USED, memory_order_relaxed);
    uint8_t *side;
    const uint8_t *bytes = frames_bytes(&cache->frames, (uint32_t)(word >> 32), &side);
    *pin = (struct page_pin){slot, bytes, side, false};
}

static loam_status load_page(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                             page_load *load, void *ctx, struct page_pin *pin)
{
    page_slot *slot = &slots[page_index];
    const uint64_t spread = ((uintptr_t)slot / sizeof *slot) * UINT64_C(0x9e3779b97f4a7c15);
    struct mutex *lock = &cache->stripes[spread >> 58].lock;
    struct page_room room = {.cache = cache};
    loam_status rc = LOAM_OK;
    mutex_lock(lock);
    const uint64_t word = atomic_fetch_add_explicit(slot, 1, memory_order_acquire);
    if (word >> 32 != 0) { /* somebody was faster */
        fill_pin(cache, slot, word, pin);
        goto out;
    }
    rc = load(ctx, page_index, &room);
    if (rc < 0) {
        if (room.index != 0) give_block(cache, room.index);
        atomic_fetch_sub_explicit(slot, 1, memory_order_release);
        goto out;
    }
    install_page(cache, slot, room.index);
    *pin = (struct page_pin){slot, room.bytes, room.side, room.drove_out};
out:
    mutex_unlock(lock);
    return rc;
}

_Static_assert(LOADER_STRIPES == 64, "load_page() takes six bits");

bool page_pin_cached(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                     struct page_pin *pin)
{
    page_slot *slot = &slots[page_index];
    const uint64_t word = atomic_fetch_add_explicit(slot, 1, memory_order_acquire);
    if (word >> 32 == 0) {
        atomic_fetch_sub_explicit(slot, 1, memory_order_release);
        return false;
    }
    fill_pin(cache, slot, word, pin);
    return true;
}

loam_status page_pin(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                     page_load *load, void *ctx, struct page_pin *pin)
{
    if (page_pin_cached(cache, slots, page_index, pin)) return LOAM_OK;
    return load_page(cache, slots, page_index, load, ctx, pin);
}

const uint8_t *page_peek(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                         const uint8_t **side)
{
    const uint64_t word = atomic_load_explicit(&slots[page_index], memory_order_acquire);
    if (word >> 32 == 0) return NULL;
    uint8_t *its_side;
    const uint8_t *bytes = frames_bytes(&cache->frames, (uint32_t)(word >> 32), &its_side);
    if (side != NULL) *side = its_side;
    return bytes;
}

void page_unpin(struct page_pin *pin)
{
    if (pin->slot == NULL) return;
    atomic_fetch_sub_explicit(pin->slot, 1, memory_order_release);
    *pin = (struct page_pin){0};
}

bool page_slots_pinned(page_slot *slots, uint32_t page_count)
{
    for (uint32_t i = 0; i < page_count; i++) {
        if ((atomic_load_explicit(&slots[i], memory_order_acquire) & SLOT_PINS) != 0) return true;
    }
    return false;
}

void page_slots_drop(struct page_cache *cache, page_slot *slots, uint32_t page_count)
{
    for (uint32_t i = 0; i < page_count; i++) {
        const uint64_t word = atomic_load_explicit(&slots[i], memory_order_acquire);
        check((word & SLOT_PINS) == 0);
        if (word >> 32 == 0) continue;
        mutex_lock(&cache->frames_lock);
        const uint64_t now = atomic_exchange_explicit(&slots[i], 0, memory_order_acq_rel);
        if (now >> 32 != 0)
            frames_give(&cache->frames, (uint32_t)(now >> 32)); /* else evicted meanwhile */
        mutex_unlock(&cache->frames_lock);
    }
}

/* ---- what is not a frame ---- */

static void trim_clients(struct page_cache *cache)
{
    const int64_t half = (int64_t)(cache->capacity_bytes / 2);
    mutex_lock(&cache->clients_lock);
    struct cache_client *ring = &cache->clients, *first_kept = NULL;
    while (atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed) > half) {
        struct cache_client *client = ring->next;
        if (client == ring || client == first_kept) break;
        client->prev->next = client->next;
        client->next->prev = client->prev;
        client->next = client->prev = NULL;
        if (client->trim(client)) continue;
        client->next = ring;
        client->prev = ring->prev;
        ring->prev->next = client;
        ring->prev = client;
        if (first_kept == NULL) first_kept = client;
    }
    mutex_unlock(&cache->clients_lock);
}

void page_cache_charge(struct page_cache *cache, int64_t bytes)
{
    const int64_t charged =
        atomic_fetch_add_explicit(&cache->charged_bytes, bytes, memory_order_relaxed) + bytes;
    check(charged >= 0);
    if (bytes <= 0) return;
    mutex_lock(&cache->frames_lock);
    shrink(cache);
    mutex_unlock(&cache->frames_lock);
    if ((uint64_t)charged > cache->capacity_bytes / 2) trim_clients(cache);
}

void page_cache_lend(struct page_cache *cache, uint64_t bytes)
{
    atomic_store_explicit(&cache->lent_bytes, bytes, memory_order_relaxed);
    mutex_lock(&cache->frames_lock);
    if (over_budget(cache, 0)) shrink(cache);
    mutex_unlock(&cache->frames_lock);
}

void page_cache_join(struct page_cache *cache, struct cache_client *client)
{
    mutex_lock(&cache->clients_lock);
    check(client->next == NULL);
    client->next = &cache->clients;
    client->prev = cache->clients.prev;
    client->prev->next = client;
    cache->clients.prev = client;
    mutex_unlock(&cache->clients_lock);
}

void page_cache_leave(struct page_cache *cache, struct cache_client *client)
{
    mutex_lock(&cache->clients_lock);
    if (client->next != NULL) {
        client->prev->next = client->next;
        client->next->prev = client->prev;
        client->next = client->prev = NULL;
    }
    mutex_unlock(&cache->clients_lock);
}

struct page_cache_stats page_cache_stats(struct page_cache *cache)
{
    struct page_cache_stats stats = {0};
    mutex_lock(&cache->frames_lock);
    const uint32_t units = cache->frames.piece_count << cache->frames.piece_order;
    stats.frame_bytes = cache->frames.resident_bytes;
    stats.miss_count = cache->miss_count;
    stats.evicted_count = cache->evicted_count;
    for (uint32_t i = 1; i <= units; i++) {
        const struct frame *frame = frames_at(&cache->frames, i);
        if (frame->state == FRAME_TAKEN && frame->slot != NULL &&
            (atomic_load_explicit(frame->slot, memory_order_relaxed) & SLOT_PINS) != 0)
            stats.pinned_count++;
    }
    mutex_unlock(&cache->frames_lock);
    stats.charged_bytes =
        (uint64_t)atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    return stats;
}
