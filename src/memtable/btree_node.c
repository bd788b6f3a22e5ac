/*
 * btree_node.c - one node of the memtable's tree; see btree_node.h.
 */
#include "memtable/btree_node.h"

#include "os/thread.h"

#include "base/poison.h"

/* A reader that meets a change spins this often (a change takes well under a microsecond) before
   it lets the writer have the core. */
#define SPINS_MAX 200

/* Heads that have this many useful bytes fewer than they could are left as they are: renewing
   them costs a cache miss per key. */
#define PREFIX_SLACK_BYTES 4

uint32_t node_version_slowly(const struct btree_node *node)
{
    for (unsigned spins = 1;; spins++) {
        const uint32_t version = atomic_load_explicit(&node->version, memory_order_acquire);
        if (version % 2 == 0) return version;
        if (spins % SPINS_MAX == 0) thread_yield();
    }
}

static uint64_t node_head(const struct btree_node *node, uint32_t index)
{
    return atomic_load_explicit(&node->heads[index], memory_order_acquire);
}

static void set_head(struct btree_node *node, uint32_t index, uint64_t head)
{
    atomic_store_explicit(&node->heads[index], head, memory_order_release);
}

/* How many of count heads are smaller: branch-free halving. */
static uint32_t rank_of_head(const struct btree_node *node, uint32_t count, uint64_t head)
{
    uint32_t base = 0;
    while (count > 1) {
        const uint32_t half = count / 2;
        base += node_head(node, base + half - 1) < head ? half : 0;
        count -= half;
    }
    return base + (count == 1 && node_head(node, base) < head);
}

/* Among the keys from index on whose heads equal head: whole keys decide. */
static uint32_t rank_among_equal_heads(const struct btree_node *node, uint32_t index,
                                       uint32_t count, loam_slice key, bool *found)
{
    const uint64_t head = node_head(node, index);
    uint32_t low = index, high = index + 1;
    while (high < count && node_head(node, high) == head)
        high++;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = bytes_compare(cell_key(node_key(node, middle)), key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where key stands to the prefix of an open node: before it, in it (0), behind it. */
static int compare_to_prefix(loam_slice key, const struct cell *witness, uint32_t prefix_bytes)
{
    /* A reader may see a prefix and a witness that do not belong together. */
    const size_t prefix = prefix_bytes < witness->key_bytes ? prefix_bytes : witness->key_bytes;
    return bytes_compare(loam_bytes(key.data, key.len < prefix ? key.len : prefix),
                         loam_bytes(witness->key, prefix));
}

uint32_t node_rank(const struct btree_node *node, loam_slice key, bool *found)
{
    const uint32_t count = node_count(node);
    const uint32_t prefix_bytes = atomic_load_explicit(&node->prefix_bytes, memory_order_acquire);
    const struct cell *witness = atomic_load_explicit(&node->witness, memory_order_acquire);
    *found = false;
    if (witness != NULL && prefix_bytes > 0) {
        const int side = compare_to_prefix(key, witness, prefix_bytes);
        if (side != 0) return side < 0 ? 0 : count;
    }
    const uint64_t head = bytes_head(key, prefix_bytes);
    const uint32_t rank = rank_of_head(node, count, head);
    if (rank == count || node_head(node, rank) != head) return rank;
    return rank_among_equal_heads(node, rank, count, key, found);
}

void node_init(struct btree_node *node, uint32_t level)
{
    atomic_init(&node->version, 0);
    atomic_init(&node->count, 0);
    atomic_init(&node->prefix_bytes, UINT32_MAX); /* the first key says */
    node->level = level;
    atomic_init(&node->witness, NULL);
    node->low = NULL;
    node->high = NULL;
    atomic_init(&node->next, NULL);
    atomic_init(&node->prev, NULL);
}

static void renew_heads(struct btree_node *node, uint32_t prefix_bytes)
{
    const uint32_t count = node_count(node);
    atomic_store_explicit(&node->prefix_bytes, prefix_bytes, memory_order_release);
    for (uint32_t i = 0; i < count; i++)
        set_head(node, i, bytes_head(cell_key(node_key(node, i)), prefix_bytes));
}

/* The prefix that an open node has after cell joins it. */
static uint32_t prefix_with(const struct btree_node *node, const struct cell *cell)
{
    const uint32_t prefix = atomic_load_explicit(&node->prefix_bytes, memory_order_relaxed);
    const struct cell *witness = atomic_load_explicit(&node->witness, memory_order_relaxed);
    if (node_count(node) == 0) return prefix < cell->key_bytes ? prefix : cell->key_bytes;
    if (witness == NULL || prefix == 0) return prefix;
    const loam_slice key =
        loam_bytes(cell->key, prefix < cell->key_bytes ? prefix : cell->key_bytes);
    return (uint32_t)bytes_common(cell_key(witness), key);
}

bool node_insert_moves(const struct btree_node *node, uint32_t index, const struct cell *cell)
{
    return index < node_count(node) ||
           prefix_with(node, cell) !=
               atomic_load_explicit(&node->prefix_bytes, memory_order_relaxed);
}

static void join_prefix(struct btree_node *node, const struct cell *cell)
{
    const uint32_t prefix = prefix_with(node, cell);
    if (prefix != atomic_load_explicit(&node->prefix_bytes, memory_order_relaxed))
        renew_heads(node, prefix);
    if (node_count(node) == 0) atomic_store_explicit(&node->witness, cell, memory_order_release);
}

void node_insert(struct btree_node *node, uint32_t index, const struct cell *cell,
                 struct btree_node *child)
{
    const uint32_t count = node_count(node);
    join_prefix(node, cell);
    const uint32_t prefix = atomic_load_explicit(&node->prefix_bytes, memory_order_relaxed);
    for (uint32_t i = count; i > index; i--) {
        set_head(node, i, node_head(node, i - 1));
        node_set_key(node, i, node_key(node, i - 1));
    }
    set_head(node, index, bytes_head(cell_key(cell), prefix));
    node_set_key(node, index, cell);
    if (child != NULL) {
        for (uint32_t i = count + 1; i > index + 1; i--)
            node_set_child(node, i, node_child(node, i - 1));
        node_set_child(node, index + 1, child);
    }
    atomic_store_explicit(&node->count, count + 1, memory_order_release);
}

const struct cell *node_split(struct btree_node *left, struct btree_node *right, uint32_t at)
{
    const uint32_t count = node_count(left);
    const uint32_t from = left->level > 0 ? at + 1 : at;
    const struct cell *separator = at < count ? node_key(left, at) : NULL;
    for (uint32_t i = from; i < count; i++) {
        set_head(right, i - from, node_head(left, i));
        node_set_key(right, i - from, node_key(left, i));
    }
    for (uint32_t i = from; left->level > 0 && i <= count; i++)
        node_set_child(right, i - from, node_child(left, i));
    const bool is_open = atomic_load_explicit(&left->witness, memory_order_relaxed) != NULL;
    atomic_store_explicit(&right->prefix_bytes,
                          atomic_load_explicit(&left->prefix_bytes, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&right->witness, is_open && from < count ? node_key(right, 0) : NULL,
                          memory_order_relaxed);
    atomic_store_explicit(&right->count, count - from, memory_order_relaxed);
    atomic_store_explicit(&left->count, at, memory_order_release);
    return separator;
}

void node_fit(struct btree_node *node)
{
    const bool is_closed = node->low != NULL && node->high != NULL;
    const struct cell *first = is_closed ? node->low : node_key(node, 0);
    const struct cell *last = is_closed ? node->high : node_key(node, node_count(node) - 1);
    const uint32_t shared = (uint32_t)bytes_common(cell_key(first), cell_key(last));
    const uint32_t prefix = atomic_load_explicit(&node->prefix_bytes, memory_order_relaxed);
    atomic_store_explicit(&node->witness, is_closed ? NULL : first, memory_order_release);
    if (shared < prefix || shared - prefix > PREFIX_SLACK_BYTES) renew_heads(node, shared);
}
