/*
 * memtable.c - the newest entries, sorted, in memory; see memtable.h.
 */
#include "memtable/memtable.h"

#include "base/hash.h"
#include "base/mem.h"
#include "memtable/arena.h"
#include "memtable/btree.h"
#include "memtable/key_filter.h"
#include "memtable/memtable_iter.h"

#include "base/poison.h"

/* From this many bytes of keys and values on a filter pays. */
#define FILTER_FROM_BYTES (UINT64_C(256) << 10)
/* What an entry takes beside its key and value: its head, its share of nodes two thirds full. */
#define ENTRY_OVERHEAD_BYTES 40
/* What a cell takes beside its key and value, when it was rounded up. */
#define CELL_EXTRA_BYTES_MAX (CELL_HEAD_BYTES_MAX + 8)
/* Far above every batch; keeps the sums of memtable_reserve() from wrapping. */
#define RESERVE_ENTRIES_MAX (UINT64_C(1) << 32)
#define RESERVE_PAYLOAD_BYTES_MAX (UINT64_C(1) << 48)

struct memtable {
    struct btree tree;
    struct arena arena;
    _Atomic(struct key_filter *) filter; /* set once, filled before */
    size_t bytes_hint;
    _Atomic uint32_t refs;
    _Atomic uint64_t entry_count, payload_bytes, seq_min, seq_max; /* written by the writer alone */
};

struct memtable *memtable_new(struct arena_pool *pool, size_t bytes_hint)
{
    struct memtable *memtable = mem_zalloc(sizeof *memtable);
    if (memtable == NULL) return NULL;
    arena_init(&memtable->arena, pool);
    memtable->bytes_hint = bytes_hint;
    atomic_init(&memtable->refs, 1);
    return memtable;
}

void memtable_ref(struct memtable *memtable)
{
    atomic_fetch_add_explicit(&memtable->refs, 1, memory_order_relaxed);
}

void memtable_unref(struct memtable *memtable)
{
    if (memtable == NULL) return;
    /* Pairs with the other unrefs: the last one sees all that was done under the others'
       references. */
    const uint32_t refs = atomic_fetch_sub_explicit(&memtable->refs, 1, memory_order_acq_rel);
    check(refs > 0);
    if (refs > 1) return;
    key_filter_free(atomic_load_explicit(&memtable->filter, memory_order_relaxed));
    arena_deinit(&memtable->arena);
    mem_free(memtable);
}

static uint64_t load_stat(const _Atomic uint64_t *stat)
{
    return atomic_load_explicit(stat, memory_order_relaxed);
}

static void store_stat(_Atomic uint64_t *stat, uint64_t value)
{
    atomic_store_explicit(stat, value, memory_order_relaxed);
}

static void add_all_keys(const struct btree *tree, struct key_filter *filter)
{
    struct btree_place place;
    const struct cell *chain;
    if (!btree_front(tree, &place)) return;
    for (; btree_settle(&place, &chain) == BTREE_STEPPED; place.index++)
        key_filter_add(filter, hash_key(cell_key(chain)));
}

static loam_status start_filter(struct memtable *memtable)
{
    const uint64_t entry_bytes =
        load_stat(&memtable->payload_bytes) / load_stat(&memtable->entry_count) +
        ENTRY_OVERHEAD_BYTES;
    struct key_filter *filter = key_filter_new(memtable->bytes_hint / entry_bytes);
    if (filter == NULL) return LOAM_NOMEM;
    add_all_keys(&memtable->tree, filter);
    /* Pairs with the load in memtable_get(). */
    atomic_store_explicit(&memtable->filter, filter, memory_order_release);
    return LOAM_OK;
}

loam_status memtable_reserve(struct memtable *memtable, size_t entry_count, size_t payload_bytes)
{
    check(entry_count <= RESERVE_ENTRIES_MAX);
    check(payload_bytes <= RESERVE_PAYLOAD_BYTES_MAX);
    if (load_stat(&memtable->payload_bytes) >= FILTER_FROM_BYTES &&
        atomic_load_explicit(&memtable->filter, memory_order_relaxed) == NULL) {
        const loam_status rc = start_filter(memtable);
        if (rc < 0) return rc;
    }
    return arena_reserve(&memtable->arena, payload_bytes + entry_count * CELL_EXTRA_BYTES_MAX +
                                               btree_growth_bytes(&memtable->tree, entry_count));
}

void memtable_unreserve(struct memtable *memtable)
{
    check(memtable_entry_count(memtable) == 0); /* so no reader has met anything of the arena */
    arena_deinit(&memtable->arena);
}

static void count_added_entry(struct memtable *memtable, const struct entry *entry)
{
    const uint64_t count = load_stat(&memtable->entry_count);
    const uint64_t payload = load_stat(&memtable->payload_bytes);
    if (count == 0 || entry->seq < load_stat(&memtable->seq_min))
        store_stat(&memtable->seq_min, entry->seq);
    if (entry->seq > load_stat(&memtable->seq_max)) store_stat(&memtable->seq_max, entry->seq);
    store_stat(&memtable->payload_bytes, payload + entry->key.len + entry->value.len);
    store_stat(&memtable->entry_count, count + 1);
}

struct memtable_near memtable_approach(const struct memtable *memtable, loam_slice key,
                                       uint64_t hash)
{
    const struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_relaxed);
    if (filter != NULL) key_filter_prefetch(filter, hash);
    struct memtable_near near;
    near.leaf = btree_approach(&memtable->tree, key, &near.high);
    return near;
}

void memtable_add(struct memtable *memtable, const struct entry *entry, uint64_t hash,
                  struct memtable_near near)
{
    struct btree_spot spot;
    check(entry->key.len <= KEY_BYTES_MAX);
    check(entry->value.len <= VALUE_BYTES_MAX);
    debug_check(entry->seq > 0 && entry->seq <= SEQ_MAX);
    struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_relaxed);
    btree_locate(&memtable->tree, near.leaf, near.high, entry->key, &spot);
    debug_check(spot.newest == NULL || cell_seq(spot.newest) < entry->seq);
    if (filter != NULL && spot.newest == NULL) key_filter_add(filter, hash);
    void *memory = arena_take(&memtable->arena, cell_bytes(entry, spot.newest));
    btree_add(&memtable->tree, &memtable->arena, &spot, cell_put(memory, entry, spot.newest));
    count_added_entry(memtable, entry);
}

bool memtable_get(const struct memtable *memtable, loam_slice key, uint64_t hash, uint64_t seq,
                  struct entry *out)
{
    const struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_acquire);
    if (filter != NULL && !key_filter_may_hold(filter, hash)) return false;
    const struct cell *cell = btree_get(&memtable->tree, key);
    if (cell != NULL) cell = cell_at_most(cell, seq);
    if (cell != NULL) cell_get(cell, out);
    return cell != NULL;
}

loam_status memtable_iter_new(const struct memtable *memtable, struct iter **out)
{
    struct iter *iter = btree_iter_new(&memtable->tree);
    if (iter == NULL) return LOAM_NOMEM;
    *out = iter;
    return LOAM_OK;
}

uint64_t memtable_entry_count(const struct memtable *memtable)
{
    return load_stat(&memtable->entry_count);
}

double memtable_share_before(const struct memtable *memtable, loam_slice key)
{
    return btree_share_before(&memtable->tree, key);
}

uint64_t memtable_seq_max(const struct memtable *memtable)
{
    return load_stat(&memtable->seq_max);
}

uint64_t memtable_bytes(const struct memtable *memtable)
{
    const struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_acquire);
    return arena_bytes(&memtable->arena) + (filter != NULL ? key_filter_bytes(filter) : 0);
}

struct memtable_stats memtable_stats(const struct memtable *memtable)
{
    return (struct memtable_stats){
        .entry_count = load_stat(&memtable->entry_count),
        .payload_bytes = load_stat(&memtable->payload_bytes),
        .arena_bytes = memtable_bytes(memtable),
        .seq_min = load_stat(&memtable->seq_min),
        .seq_max = load_stat(&memtable->seq_max),
    };
}
