/*
 * btree_node.h - one node of the memtable's tree: sorted keys with their heads.
 *
 * Role: finds a key among up to 64, makes room for one, splits. A head is the key's 8 bytes after
 *   a prefix that all keys of the node share, so most searches touch the heads and one cell. In a
 *   leaf a key is the newest cell of its chain; in an inner node a cell whose key separates two
 *   children. A closed node (both fences known) takes the prefix its fences share: every key that
 *   is led there has it. A node on the left or right spine, the root above all, takes what its
 *   own keys share, and a witness, one of the keys, tells whether a searched key has it too;
 *   without that, keys such as zero-padded numbers would all have equal heads at the root.
 * Invariants: (1) one writer. It makes `version` odd, changes, and makes it the next even number;
 *   only three changes go without: a key behind the last (slot first, then the count), a newer
 *   cell of the same key, and `prev`. (2) Every word that readers see is written with release and
 *   read with acquire, so a reader that saw any part of a change sees the version that announced
 *   it (no fences are needed, which ThreadSanitizer would not understand). On x86 both are plain
 *   moves. (3) Slots below the count always hold a valid pointer, also for a reader that saw half
 *   of a change.
 * In the picture: memtable layer, under btree.c alone.
 */
#ifndef LOAM_MEMTABLE_BTREE_NODE_H
#define LOAM_MEMTABLE_BTREE_NODE_H

#include <stdatomic.h>

#include "memtable/cell.h"

#define NODE_KEYS_MAX 64u

struct btree_node {
    _Atomic uint32_t version;
    _Atomic uint32_t count;        /* of keys */
    _Atomic uint32_t prefix_bytes; /* that heads leave out */
    uint32_t level;                /* 0: a leaf */
    _Atomic(const struct cell *) witness;
    const struct cell *low, *high;           /* low <= keys < high; NULL: open. The writer's. */
    _Atomic(struct btree_node *) next, prev; /* among leaves */
    uint64_t unused;
    _Atomic uint64_t heads[NODE_KEYS_MAX];
    _Atomic(const struct cell *) keys[NODE_KEYS_MAX];
};

/* A leaf is a btree_node; an inner node has, in addition, a child to the left of each key and one
   behind the last. */
struct btree_inner {
    struct btree_node node;
    _Atomic(struct btree_node *) children[NODE_KEYS_MAX + 1];
    uint64_t unused[7];
};

_Static_assert(sizeof(struct btree_node) % 64 == 0, "leaves fill cache lines");
_Static_assert(sizeof(struct btree_inner) % 64 == 0, "inner nodes fill cache lines");

static inline uint32_t node_count(const struct btree_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_acquire);
}

static inline const struct cell *node_key(const struct btree_node *node, uint32_t index)
{
    return atomic_load_explicit(&node->keys[index], memory_order_acquire);
}

static inline struct btree_node *node_next(const struct btree_node *node)
{
    return atomic_load_explicit(&node->next, memory_order_acquire);
}

static inline struct btree_node *node_prev(const struct btree_node *node)
{
    return atomic_load_explicit(&node->prev, memory_order_acquire);
}

static inline struct btree_node *node_child(const struct btree_node *node, uint32_t index)
{
    const struct btree_inner *inner = (const struct btree_inner *)(const void *)node;
    return atomic_load_explicit(&inner->children[index], memory_order_acquire);
}

/* Readers: whether nothing has moved since node_version() answered this. */
static inline bool node_is_at(const struct btree_node *node, uint32_t version)
{
    return atomic_load_explicit(&node->version, memory_order_acquire) == version;
}

uint32_t node_version_slowly(const struct btree_node *node);

/* Readers: the version between changes; waits for a change to end. */
static inline uint32_t node_version(const struct btree_node *node)
{
    const uint32_t version = atomic_load_explicit(&node->version, memory_order_acquire);
    return version % 2 == 0 ? version : node_version_slowly(node);
}

/* How many keys of the node are smaller; *found says whether the next one is the same. A reader
   believes it after node_is_at(). */
uint32_t node_rank(const struct btree_node *node, loam_slice key, bool *found);

/* The writer's from here on. Makes an empty node out of memory with any contents. */
void node_init(struct btree_node *node, uint32_t level);

static inline void node_lock(struct btree_node *node)
{
    const uint32_t version = atomic_load_explicit(&node->version, memory_order_relaxed);
    atomic_store_explicit(&node->version, version + 1, memory_order_relaxed);
}

static inline void node_unlock(struct btree_node *node)
{
    const uint32_t version = atomic_load_explicit(&node->version, memory_order_relaxed);
    atomic_store_explicit(&node->version, version + 1, memory_order_release);
}

static inline bool node_is_full(const struct btree_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_relaxed) == NODE_KEYS_MAX;
}

static inline void node_set_key(struct btree_node *node, uint32_t index, const struct cell *cell)
{
    atomic_store_explicit(&node->keys[index], cell, memory_order_release);
}

static inline void node_set_child(struct btree_node *node, uint32_t index, struct btree_node *child)
{
    struct btree_inner *inner = (struct btree_inner *)(void *)node;
    atomic_store_explicit(&inner->children[index], child, memory_order_release);
}

/* Whether node_insert() at index changes what readers rely on, so that the node must be locked. */
bool node_insert_moves(const struct btree_node *node, uint32_t index, const struct cell *cell);

/* Puts cell at index, in an inner node with the child behind it (in a leaf child is NULL). The
   node is not full. */
void node_insert(struct btree_node *node, uint32_t index, const struct cell *cell,
                 struct btree_node *child);

/* Moves the keys from `at` on to right, an empty node of the same level. Of an inner node the key
   at `at` goes to neither; it is returned, as is right's first key for a leaf. (at == count of a
   leaf: NULL, nothing moves.) Fences and fits are left to the caller. */
const struct cell *node_split(struct btree_node *left, struct btree_node *right, uint32_t at);

/* After low, high or the keys have changed: chooses prefix and witness, renews the heads when
   that gains or must be. */
void node_fit(struct btree_node *node);

#endif
