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
#include "record/operands.h"

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

/* Beyond so many deletions of ranges, or entries that one of them hides, it is ripe. */
#define RANGES_RIPE 1024
#define HIDDEN_RIPE 4096
/* So many, and a quarter of those there are, are added to the list before a set is made of it, unless that had more than so many
   numbers. */
#define RANGES_LISTED 32
#define RANGE_SET_WEIGHT_MAX (UINT64_C(1) << 20)

struct range_node { /* in the arena; immutable once a reader can reach it */
    const struct range_node *older;
    uint64_t seq;
    uint32_t from_bytes, to_bytes;
    uint8_t bytes[]; /* from, to */
};

/* The list up to a node, to be searched. Kept until the end, as readers may be in it; keys are those in the nodes. */
struct range_index {
    struct range_set *set;
    const struct range_node *newest;
    struct range_index *older;
};

struct memtable {
    struct btree tree;
    struct arena arena;
    _Atomic(struct key_filter *) filter;       /* set once, filled before */
    _Atomic(const struct range_node *) ranges; /* newest first */
    _Atomic(struct range_index *)
        range_index; /* of those that are not newer than its newest; may be NULL */
    size_t bytes_hint;
    _Atomic uint32_t refs;
    _Atomic uint64_t entry_count, payload_bytes, seq_min, seq_max; /* written by the writer alone */
    _Atomic uint64_t newest_entry;
    _Atomic uint64_t index_bytes, range_bytes;
    uint32_t range_count, index_at; /* index_at: the count at which the next set is made */
    bool is_ripe;
};

_Static_assert(sizeof(struct range_node) + 7 <= CELL_EXTRA_BYTES_MAX, "reserved like an entry");

struct memtable *memtable_new(struct arena_pool *pool, size_t bytes_hint)
{
    struct memtable *memtable = mem_zalloc(sizeof *memtable);
    if (memtable == NULL) return NULL;
    arena_init(&memtable->arena, pool);
    memtable->bytes_hint = bytes_hint;
    atomic_init(&memtable->refs, 1);
    return memtable;
}

static void free_range_indexes(struct range_index *index)
{
    while (index != NULL) {
        struct range_index *older = index->older;
        range_set_unref(index->set);
        mem_free(index);
        index = older;
    }
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
    free_range_indexes(atomic_load_explicit(&memtable->range_index, memory_order_relaxed));
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
    if (entry->kind != ENTRY_DELETE_RANGE) store_stat(&memtable->newest_entry, entry->seq);
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

static void add_entry(struct memtable *memtable, const struct entry *entry, loam_slice head,
                      uint64_t hash, struct memtable_near near)
{
    struct btree_spot spot;
    check(entry->key.len <= KEY_BYTES_MAX);
    check(head.len + entry->value.len <= VALUE_BYTES_MAX + EXPIRY_BYTES);
    debug_check(entry->seq > 0 && entry->seq <= SEQ_MAX);
    struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_relaxed);
    btree_locate(&memtable->tree, near.leaf, near.high, entry->key, &spot);
    debug_check(spot.newest == NULL || cell_seq(spot.newest) < entry->seq);
    if (filter != NULL && spot.newest == NULL) key_filter_add(filter, hash);
    void *memory = arena_take(&memtable->arena, cell_bytes(entry, head, spot.newest));
    btree_add(&memtable->tree, &memtable->arena, &spot, cell_put(memory, entry, head, spot.newest));
    count_added_entry(memtable, entry);
}

void memtable_add(struct memtable *memtable, const struct entry *entry, uint64_t hash,
                  struct memtable_near near)
{
    add_entry(memtable, entry, loam_bytes(NULL, 0), hash, near);
}

void memtable_add_merge(struct memtable *memtable, const struct entry *entry, uint64_t since,
                        uint64_t hash, struct memtable_near near)
{
    uint8_t head[OPERAND_HEAD_BYTES_MAX];
    add_entry(memtable, entry, loam_bytes(head, operand_head_put(head, since)), hash, near);
}

/* ---- deletions of ranges ---- */

static struct range range_of(const struct range_node *node)
{
    return (struct range){loam_bytes(node->bytes, node->from_bytes),
                          loam_bytes(node->bytes + node->from_bytes, node->to_bytes), node->seq};
}

static const struct range_node *newest_range(const struct memtable *memtable)
{
    /* Pairs with the store in memtable_add_range(). */
    return atomic_load_explicit(&memtable->ranges, memory_order_acquire);
}

static loam_status gather_range(void *ctx, const struct range *range)
{
    return buf_append(ctx, range, sizeof *range);
}

/* Where that fails, the list alone goes on. */
static void index_ranges(struct memtable *memtable)
{
    loam_buf ranges = {0};
    struct range_index *index = mem_zalloc(sizeof *index);
    if (index == NULL) return;
    loam_status rc = memtable_each_range(memtable, gather_range, &ranges);
    if (rc == LOAM_OK)
        rc = range_set_new_whole(ranges.data, ranges.len / sizeof(struct range),
                                 RANGE_SET_WEIGHT_MAX, &index->set);
    loam_buf_free(&ranges);
    if (rc < 0) {
        mem_free(index);
        return;
    }
    store_stat(&memtable->index_bytes,
               load_stat(&memtable->index_bytes) + sizeof *index + range_set_bytes(index->set));
    index->newest = newest_range(memtable);
    index->older = atomic_load_explicit(&memtable->range_index, memory_order_relaxed);
    /* Pairs with the load in memtable_meet(). */
    atomic_store_explicit(&memtable->range_index, index, memory_order_release);
}

void memtable_add_range(struct memtable *memtable, const struct entry *entry)
{
    const size_t bytes = entry->key.len + entry->value.len;
    struct range_node *node = arena_take(&memtable->arena, sizeof *node + bytes);
    node->older = newest_range(memtable);
    node->seq = entry->seq;
    node->from_bytes = (uint32_t)entry->key.len;
    node->to_bytes = (uint32_t)entry->value.len;
    if (entry->key.len > 0) memcpy(node->bytes, entry->key.data, entry->key.len);
    if (entry->value.len > 0)
        memcpy(node->bytes + entry->key.len, entry->value.data, entry->value.len);
    const double upto =
        entry->value.len == 0 ? 1 : btree_share_before(&memtable->tree, entry->value);
    const double share = upto - btree_share_before(&memtable->tree, entry->key);
    const double hidden = share * (double)load_stat(&memtable->entry_count);
    memtable->is_ripe |= ++memtable->range_count >= RANGES_RIPE || hidden > HIDDEN_RIPE;
    store_stat(&memtable->range_bytes, load_stat(&memtable->range_bytes) + bytes);
    atomic_store_explicit(&memtable->ranges, node, memory_order_release);
    count_added_entry(memtable, entry);
    if (memtable->range_count >= memtable->index_at) {
        if (memtable->index_at > 0) index_ranges(memtable);
        memtable->index_at = memtable->range_count + RANGES_LISTED + memtable->range_count / 4;
    }
}

bool memtable_is_ripe(const struct memtable *memtable)
{
    return memtable->is_ripe;
}

uint64_t memtable_newest_range(const struct memtable *memtable)
{
    const struct range_node *newest = newest_range(memtable);
    return newest != NULL ? newest->seq : 0;
}

uint64_t memtable_range_bytes(const struct memtable *memtable)
{
    return load_stat(&memtable->range_bytes);
}

void memtable_meet(const struct memtable *memtable, struct cover *cover, loam_slice key,
                   uint64_t seq)
{
    const struct range_index *index =
        atomic_load_explicit(&memtable->range_index, memory_order_acquire);
    const struct range_node *indexed = index != NULL ? index->newest : NULL;
    /* The list is loaded after the index, so it leads to what that knows. */
    for (const struct range_node *node = newest_range(memtable); node != indexed;
         node = node->older) {
        const struct range range = range_of(node);
        cover_meet_range(cover, &range, key, seq);
    }
    if (index != NULL) range_set_meet(index->set, cover, key, seq);
}

bool memtable_ranges_newer_in(const struct memtable *memtable, loam_slice from,
                              const loam_slice *to, uint64_t since)
{
    for (const struct range_node *node = newest_range(memtable); node != NULL && node->seq > since;
         node = node->older) {
        const struct range range = range_of(node);
        const bool ends_before = range.to.len > 0 && bytes_compare(range.to, from) <= 0;
        if (!ends_before && (to == NULL || bytes_compare(range.from, *to) <= 0)) return true;
    }
    return false;
}

loam_status memtable_each_range(const struct memtable *memtable,
                                loam_status (*each)(void *ctx, const struct range *range),
                                void *ctx)
{
    loam_status rc = LOAM_OK;
    for (const struct range_node *node = newest_range(memtable); rc == LOAM_OK && node != NULL;
         node = node->older) {
        const struct range range = range_of(node);
        rc = each(ctx, &range);
    }
    return rc;
}

/* ---- reading ---- */

WATCHED bool get_entry(const struct memtable *memtable, loam_slice key, uint64_t hash, uint64_t seq,
                       enum watch_filter *said, struct entry *out)
{
    const struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_acquire);
    *said = filter == NULL ? FILTER_NONE : FILTER_DENIES;
    if (filter != NULL && !key_filter_may_hold(filter, hash)) return false;
    if (filter != NULL) *said = FILTER_PASSES;
    const struct cell *cell = btree_get(&memtable->tree, key);
    if (cell != NULL) cell = cell_at_most(cell, seq);
    if (cell != NULL) cell_get(cell, out);
    return cell != NULL;
}

/* A deletion of a range as the tombstone that it is for the key, if it is newer than what was found. */
static bool get_cover(const struct memtable *memtable, loam_slice key, uint64_t seq, bool found,
                      struct entry *out)
{
    struct cover cover = cover_nothing();
    memtable_meet(memtable, &cover, key, seq);
    if (cover.seq == 0 || (found && out->seq > cover.seq)) return found;
    *out = (struct entry){.key = key, .seq = cover.seq, .kind = ENTRY_DELETE};
    return true;
}

bool memtable_newest(const struct memtable *memtable, loam_slice key, struct memtable_near near,
                     struct entry *out)
{
    struct btree_spot spot;
    btree_locate(&memtable->tree, near.leaf, near.high, key, &spot);
    const bool found = spot.newest != NULL;
    if (found) cell_get(spot.newest, out);
    return newest_range(memtable) != NULL ? get_cover(memtable, key, SEQ_MAX, found, out) : found;
}

WATCHED bool get_telling(const struct memtable *memtable, loam_slice key, uint64_t hash,
                         uint64_t seq, struct watch *watch, struct entry *out)
{
    enum watch_filter said;
    bool found = get_entry(memtable, key, hash, seq, &said, out);
    const uint64_t own_seq = found ? out->seq : 0;
    if (newest_range(memtable) != NULL) found = get_cover(memtable, key, seq, found, out);
    if (watch != NULL)
        watch->tell(watch, &(struct watch_step){.kind = WATCH_MEMTABLE,
                                                .of = memtable,
                                                .filter = said,
                                                .is_range = found && out->seq != own_seq,
                                                .found = found ? out : NULL});
    return found;
}

bool memtable_get(const struct memtable *memtable, loam_slice key, uint64_t hash, uint64_t seq,
                  struct entry *out)
{
    return get_telling(memtable, key, hash, seq, NULL, out);
}

bool memtable_get_watched(const struct memtable *memtable, loam_slice key, uint64_t hash,
                          uint64_t seq, struct watch *watch, struct entry *out)
{
    return get_telling(memtable, key, hash, seq, watch, out);
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

uint64_t memtable_newest_entry(const struct memtable *memtable)
{
    return load_stat(&memtable->newest_entry);
}

uint64_t memtable_bytes(const struct memtable *memtable)
{
    const struct key_filter *filter = atomic_load_explicit(&memtable->filter, memory_order_acquire);
    return arena_bytes(&memtable->arena) + (filter != NULL ? key_filter_bytes(filter) : 0) +
           load_stat(&memtable->index_bytes);
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
