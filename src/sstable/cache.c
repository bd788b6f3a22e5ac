/*
 * cache.c - pages in memory, within one budget; see cache.h.
 */
#include "sstable/cache.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/thread.h"

#include "base/poison.h"

enum {
    LOADER_STRIPES = 64,
    /* Frames stand in pieces of doubling size, so that they never move and small caches stay small. */
    FRAME_PIECE_LEAST = 1024,
    FRAME_PIECES = 22,
    FRAME_OVERHEAD_BYTES = 64,
    /* A miss looks at so many frames at most; what it could not free, the next ones will. */
    CLOCK_VISITS_MAX = 1024
};

struct frame {
    page_slot *slot;          /* NULL: free. Guarded by frames_lock */
    _Atomic(uint8_t *) bytes; /* atomic for page_prefetch(), which looks without a pin */
    _Atomic uint32_t len;
    uint32_t next_free; /* guarded by frames_lock */
    _Atomic bool used;  /* since the clock's hand last passed */
};

struct page_cache {
    _Atomic(struct frame *) pieces[FRAME_PIECES]; /* set once, under frames_lock */
    uint64_t capacity_bytes;
    _Atomic int64_t charged_bytes;

    struct mutex frames_lock;
    uint32_t frame_count, first_free,
        hand; /* indexes from 1; these and the next two: frames_lock */
    uint64_t frame_bytes, miss_count, evicted_count;

    struct mutex clients_lock;
    struct cache_client clients; /* a ring; guarded by clients_lock */

    struct loader_stripe {
        struct mutex lock;
        char apart[64]; /* from the next one's cache line */
    } stripes[LOADER_STRIPES];
};

static struct frame *frame_at(struct page_cache *cache, uint32_t index)
{
    const uint32_t place = index - 1 + FRAME_PIECE_LEAST;
    const unsigned piece = 31u - (unsigned)__builtin_clz(place / FRAME_PIECE_LEAST);
    /* Whoever knows an index got it by an acquire that follows the piece's store. */
    struct frame *frames = atomic_load_explicit(&cache->pieces[piece], memory_order_relaxed);
    return frames + (place - ((uint32_t)FRAME_PIECE_LEAST << piece));
}

loam_status page_cache_new(uint64_t capacity_bytes, struct page_cache **out)
{
    struct page_cache *cache = mem_zalloc(sizeof *cache);
    if (cache == NULL) return LOAM_NOMEM;
    cache->capacity_bytes = capacity_bytes;
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
    check(cache->frame_bytes == 0);
    check(cache->clients.next == &cache->clients);
    for (unsigned i = 0; i < LOADER_STRIPES; i++)
        mutex_deinit(&cache->stripes[i].lock);
    mutex_deinit(&cache->clients_lock);
    mutex_deinit(&cache->frames_lock);
    for (unsigned i = 0; i < FRAME_PIECES; i++)
        mem_free(atomic_load_explicit(&cache->pieces[i], memory_order_relaxed));
    mem_free(cache);
}

/* ---- frames ---- */

static uint8_t *frame_bytes(const struct frame *frame)
{
    return atomic_load_explicit(&frame->bytes, memory_order_relaxed);
}

static uint32_t frame_len(const struct frame *frame)
{
    return atomic_load_explicit(&frame->len, memory_order_relaxed);
}

static bool over_budget(struct page_cache *cache, uint64_t wanted) REQUIRES(cache->frames_lock)
{
    const int64_t charged = atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    const uint64_t all = cache->frame_bytes + wanted + (charged > 0 ? (uint64_t)charged : 0);
    return all > cache->capacity_bytes;
}

/* Frees the page of a frame that no slot points to any more, and the frame. */
static void release_frame(struct page_cache *cache, uint32_t index) REQUIRES(cache->frames_lock)
{
    struct frame *frame = frame_at(cache, index);
    cache->frame_bytes -= frame_len(frame) + FRAME_OVERHEAD_BYTES;
    mem_free(frame_bytes(frame));
    frame->slot = NULL;
    atomic_store_explicit(&frame->bytes, NULL, memory_order_relaxed);
    frame->next_free = cache->first_free;
    cache->first_free = index;
}

/* Moves the clock's hand until there is room for wanted bytes, or it has gone far enough. */
static void make_frame_room(struct page_cache *cache, uint64_t wanted) REQUIRES(cache->frames_lock)
{
    if (cache->frame_count == 0) return;
    for (unsigned visits = 0; visits < CLOCK_VISITS_MAX && over_budget(cache, wanted); visits++) {
        cache->hand = cache->hand % cache->frame_count + 1;
        struct frame *frame = frame_at(cache, cache->hand);
        if (frame->slot == NULL) continue;
        if (atomic_exchange_explicit(&frame->used, false, memory_order_relaxed)) continue;
        uint64_t unpinned = (uint64_t)cache->hand << 32;
        /* Acquires what the last unpin released: its reader is done with the bytes. */
        if (!atomic_compare_exchange_strong_explicit(frame->slot, &unpinned, 0,
                                                     memory_order_acq_rel, memory_order_relaxed))
            continue;
        release_frame(cache, cache->hand);
        cache->evicted_count++;
    }
}

static loam_status take_frame(struct page_cache *cache, uint32_t *index)
    REQUIRES(cache->frames_lock)
{
    if (cache->first_free != 0) {
        *index = cache->first_free;
        cache->first_free = frame_at(cache, *index)->next_free;
        return LOAM_OK;
    }
    const uint32_t place = cache->frame_count + FRAME_PIECE_LEAST;
    const unsigned piece = 31u - (unsigned)__builtin_clz(place / FRAME_PIECE_LEAST);
    if (piece >= FRAME_PIECES) return failed(LOAM_NOMEM, "the page cache has no frame left");
    if (atomic_load_explicit(&cache->pieces[piece], memory_order_relaxed) == NULL) {
        struct frame *frames =
            mem_zalloc(((size_t)FRAME_PIECE_LEAST << piece) * sizeof(struct frame));
        if (frames == NULL) return LOAM_NOMEM;
        atomic_store_explicit(&cache->pieces[piece], frames, memory_order_relaxed);
    }
    *index = ++cache->frame_count;
    return LOAM_OK;
}

/* Puts a loaded page behind its slot, which the caller has pinned. */
static loam_status install_page(struct page_cache *cache, page_slot *slot, void *bytes,
                                uint32_t len)
{
    uint32_t index = 0;
    mutex_lock(&cache->frames_lock);
    make_frame_room(cache, (uint64_t)len + FRAME_OVERHEAD_BYTES);
    const loam_status rc = take_frame(cache, &index);
    if (rc == LOAM_OK) {
        struct frame *frame = frame_at(cache, index);
        frame->slot = slot;
        atomic_store_explicit(&frame->bytes, bytes, memory_order_relaxed);
        atomic_store_explicit(&frame->len, len, memory_order_relaxed);
        /* Read once is not used: what a scan passes goes before what is asked for again. */
        atomic_store_explicit(&frame->used, false, memory_order_relaxed);
        cache->frame_bytes += (uint64_t)len + FRAME_OVERHEAD_BYTES;
        cache->miss_count++;
        atomic_fetch_add_explicit(slot, (uint64_t)index << 32, memory_order_release);
    }
    mutex_unlock(&cache->frames_lock);
    return rc;
}

/* ---- pins ---- */

static inline void fill_pin(struct page_cache *cache, page_slot *slot, uint32_t index,
                            struct page_pin *pin)
{
    struct frame *frame = frame_at(cache, index);
    if (!atomic_load_explicit(&frame->used, memory_order_relaxed))
        atomic_store_explicit(&frame->used, true, memory_order_relaxed);
    pin->slot = slot;
    pin->bytes = frame_bytes(frame);
    pin->len = frame_len(frame);
}

static loam_status load_page(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                             page_load *load, void *ctx, struct page_pin *pin)
{
    page_slot *slot = &slots[page_index];
    const uint64_t spread = ((uintptr_t)slot / sizeof *slot) * UINT64_C(0x9e3779b97f4a7c15);
    struct mutex *lock = &cache->stripes[spread >> 58].lock;
    uint8_t *bytes = NULL;
    uint32_t len = 0;
    loam_status rc = LOAM_OK;
    mutex_lock(lock);
    const uint32_t index =
        (uint32_t)(atomic_fetch_add_explicit(slot, 1, memory_order_acquire) >> 32);
    if (index != 0) { /* somebody was faster */
        fill_pin(cache, slot, index, pin);
        goto out;
    }
    rc = load(ctx, page_index, &bytes, &len);
    if (rc == LOAM_OK) rc = install_page(cache, slot, bytes, len);
    if (rc < 0) {
        mem_free(bytes);
        atomic_fetch_sub_explicit(slot, 1, memory_order_release);
        goto out;
    }
    *pin = (struct page_pin){slot, bytes, len};
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
    fill_pin(cache, slot, (uint32_t)(word >> 32), pin);
    return true;
}

loam_status page_pin(struct page_cache *cache, page_slot *slots, uint32_t page_index,
                     page_load *load, void *ctx, struct page_pin *pin)
{
    if (page_pin_cached(cache, slots, page_index, pin)) return LOAM_OK;
    return load_page(cache, slots, page_index, load, ctx, pin);
}

const uint8_t *page_peek(struct page_cache *cache, page_slot *slots, uint32_t page_index)
{
    const uint64_t word = atomic_load_explicit(&slots[page_index], memory_order_acquire);
    return word >> 32 == 0 ? NULL : frame_bytes(frame_at(cache, (uint32_t)(word >> 32)));
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
        if ((uint32_t)atomic_load_explicit(&slots[i], memory_order_acquire) != 0) return true;
    }
    return false;
}

void page_slots_drop(struct page_cache *cache, page_slot *slots, uint32_t page_count)
{
    for (uint32_t i = 0; i < page_count; i++) {
        const uint64_t word = atomic_load_explicit(&slots[i], memory_order_acquire);
        check((uint32_t)word == 0);
        if (word == 0) continue;
        mutex_lock(&cache->frames_lock);
        const uint64_t now = atomic_exchange_explicit(&slots[i], 0, memory_order_acq_rel);
        if (now != 0) release_frame(cache, (uint32_t)(now >> 32)); /* else evicted meanwhile */
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
    make_frame_room(cache, 0);
    mutex_unlock(&cache->frames_lock);
    if ((uint64_t)charged > cache->capacity_bytes / 2) trim_clients(cache);
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
    stats.frame_bytes = cache->frame_bytes;
    stats.miss_count = cache->miss_count;
    stats.evicted_count = cache->evicted_count;
    for (uint32_t i = 1; i <= cache->frame_count; i++) {
        const struct frame *frame = frame_at(cache, i);
        if (frame->slot != NULL &&
            (uint32_t)atomic_load_explicit(frame->slot, memory_order_relaxed) != 0)
            stats.pinned_count++;
    }
    mutex_unlock(&cache->frames_lock);
    stats.charged_bytes =
        (uint64_t)atomic_load_explicit(&cache->charged_bytes, memory_order_relaxed);
    return stats;
}
