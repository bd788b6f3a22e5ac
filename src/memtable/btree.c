/*
 * btree.c - the memtable's tree; see btree.h.
 */
#include "memtable/btree.h"

#include "base/poison.h"

/* A walk asks for cells this many steps ahead: a miss takes as long as about twelve steps. */
#define CELLS_AHEAD 12u

/* Asks for the head of a node and for one of its arrays, which begins `offset` bytes into it. */
static void prefetch_node(const struct btree_node *node, size_t offset)
{
    const uint8_t *from = (const uint8_t *)node;
    __builtin_prefetch(from);
    for (size_t i = 0; i < NODE_KEYS_MAX; i += 8)
        __builtin_prefetch(from + offset + i * 8);
}

struct btree_node *btree_approach(const struct btree *tree, loam_slice key,
                                  const struct cell **high)
{
    struct btree_node *node = atomic_load_explicit(&tree->root, memory_order_relaxed);
    struct btree_node *last = atomic_load_explicit(&tree->last, memory_order_relaxed);
    *high = NULL;
    if (node == NULL) return NULL;
    if (bytes_compare(cell_key(node_key(last, node_count(last) - 1)), key) < 0) return last;
    for (uint32_t level = node->level; level > 0; level--) {
        bool found;
        const uint32_t rank = node_rank(node, key, &found);
        node = node_child(node, rank + found);
        prefetch_node(node, offsetof(struct btree_node, heads));
    }
    *high = node->high;
    return node;
}

/* Where the key stands in this leaf, to which it was led, if nothing above need change. */
static bool locate_in_leaf(struct btree_node *leaf, loam_slice key, struct btree_spot *spot)
{
    bool found;
    const uint32_t count = node_count(leaf), rank = node_rank(leaf, key, &found);
    if (!found && count == NODE_KEYS_MAX) return false;
    spot->depth = 1;
    spot->nodes[0] = leaf;
    spot->indexes[0] = rank;
    if (found)
        spot->newest = node_key(leaf, rank);
    else /* those behind it will be moved up */
        for (uint32_t i = rank; i < count; i += 8)
            __builtin_prefetch(&leaf->keys[i], 1);
    return true;
}

void btree_locate(const struct btree *tree, struct btree_node *leaf, const struct cell *high,
                  loam_slice key, struct btree_spot *spot)
{
    struct btree_node *node = atomic_load_explicit(&tree->root, memory_order_relaxed);
    spot->depth = 0;
    spot->newest = NULL;
    if (node == NULL) return;
    /* A leaf that was split meanwhile ends earlier than it did, and the key may belong behind it. */
    if (leaf != NULL && leaf->high == high && locate_in_leaf(leaf, key, spot)) return;
    for (;;) {
        bool found;
        uint32_t index = node_rank(node, key, &found);
        check(spot->depth < BTREE_LEVELS_MAX);
        if (node->level == 0 && found) spot->newest = node_key(node, index);
        if (node->level > 0 && found) index++;
        spot->nodes[spot->depth] = node;
        spot->indexes[spot->depth++] = index;
        if (node->level == 0) break;
        node = node_child(node, index);
        prefetch_node(node, offsetof(struct btree_node, heads));
    }
}

static struct btree_node *new_node(struct btree *tree, struct arena *arena, uint32_t level)
{
    struct btree_node *node =
        arena_take_lines(arena, level > 0 ? sizeof(struct btree_inner) : sizeof(struct btree_node));
    node_init(node, level);
    if (level > 0)
        tree->inner_count++;
    else
        tree->leaf_count++;
    return node;
}

static void plant(struct btree *tree, struct arena *arena, const struct cell *cell)
{
    struct btree_node *leaf = new_node(tree, arena, 0);
    node_insert(leaf, 0, cell, NULL);
    atomic_store_explicit(&tree->first, leaf, memory_order_release);
    atomic_store_explicit(&tree->last, leaf, memory_order_release);
    atomic_store_explicit(&tree->root, leaf, memory_order_release);
}

static void grow_root(struct btree *tree, struct arena *arena, const struct cell *separator,
                      struct btree_node *right)
{
    struct btree_node *left = atomic_load_explicit(&tree->root, memory_order_relaxed);
    struct btree_node *root = new_node(tree, arena, left->level + 1);
    node_set_child(root, 0, left);
    node_insert(root, 0, separator, right);
    tree->inner_levels++;
    check(tree->inner_levels < BTREE_LEVELS_MAX);
    atomic_store_explicit(&tree->root, root, memory_order_release);
}

static void link_leaf(struct btree *tree, struct btree_node *left, struct btree_node *right)
{
    struct btree_node *next = node_next(left);
    atomic_store_explicit(&right->next, next, memory_order_relaxed);
    atomic_store_explicit(&right->prev, left, memory_order_relaxed);
    if (next != NULL)
        atomic_store_explicit(&next->prev, right, memory_order_release);
    else
        atomic_store_explicit(&tree->last, right, memory_order_release);
    atomic_store_explicit(&left->next, right, memory_order_release);
}

/* Splits the full node (which is locked) and puts cell, with child behind it, at index. Returns the
   new right half and the key between the halves. */
static struct btree_node *split_for(struct btree *tree, struct arena *arena,
                                    const struct btree_spot *spot, uint32_t depth,
                                    const struct cell **cell_to_separator, struct btree_node *child)
{
    struct btree_node *left = spot->nodes[depth];
    struct btree_node *right = new_node(tree, arena, left->level);
    const struct cell *cell = *cell_to_separator;
    const uint32_t index = spot->indexes[depth], is_inner = left->level > 0;
    /* Behind everything: keys that come in order leave full nodes. */
    const bool is_append = left->high == NULL && index == NODE_KEYS_MAX;
    const uint32_t at = is_append ? NODE_KEYS_MAX - is_inner : NODE_KEYS_MAX / 2;
    const struct cell *separator = node_split(left, right, at);
    if (is_append || index > at)
        node_insert(right, index - at - is_inner, cell, child);
    else
        node_insert(left, index, cell, child);
    if (separator == NULL) separator = cell;
    right->low = separator;
    right->high = left->high;
    left->high = separator;
    node_fit(left);
    node_fit(right);
    if (!is_inner) link_leaf(tree, left, right);
    *cell_to_separator = separator;
    return right;
}

/* Locks the leaf, the full nodes above it and the first that is not; returns the depth of the
   last locked. */
static uint32_t lock_upwards(const struct btree_spot *spot)
{
    uint32_t depth = spot->depth - 1;
    node_lock(spot->nodes[depth]);
    while (depth > 0 && node_is_full(spot->nodes[depth])) {
        depth--;
        node_lock(spot->nodes[depth]);
    }
    return depth;
}

static void split_and_add(struct btree *tree, struct arena *arena, const struct btree_spot *spot,
                          const struct cell *cell)
{
    const uint32_t locked_from = lock_upwards(spot);
    struct btree_node *child = NULL;
    const struct cell *key = cell;
    uint32_t depth = spot->depth;
    bool is_done = false;
    while (!is_done && depth > 0) {
        depth--;
        if (node_is_full(spot->nodes[depth])) {
            child = split_for(tree, arena, spot, depth, &key, child);
        } else {
            node_insert(spot->nodes[depth], spot->indexes[depth], key, child);
            is_done = true;
        }
    }
    if (!is_done) grow_root(tree, arena, key, child);
    for (depth = locked_from; depth < spot->depth; depth++)
        node_unlock(spot->nodes[depth]);
}

void btree_add(struct btree *tree, struct arena *arena, const struct btree_spot *spot,
               const struct cell *cell)
{
    if (spot->depth == 0) {
        plant(tree, arena, cell);
        return;
    }
    struct btree_node *leaf = spot->nodes[spot->depth - 1];
    const uint32_t index = spot->indexes[spot->depth - 1];
    if (spot->newest != NULL) {
        node_set_key(leaf, index, cell);
    } else if (node_is_full(leaf)) {
        split_and_add(tree, arena, spot, cell);
    } else if (node_insert_moves(leaf, index, cell)) {
        node_lock(leaf);
        node_insert(leaf, index, cell, NULL);
        node_unlock(leaf);
    } else {
        node_insert(leaf, index, cell, NULL);
    }
}

/*
 * Splitting takes a full node, and between two splits of what was one node 31 keys must come; the
 * nodes that are full already may split at once. So a level of c nodes that gets n keys splits at
 * most n times, and at most c + n/16 + 3 times. A key splits no more than one node a level and
 * adds one root.
 */
size_t btree_growth_bytes(const struct btree *tree, uint64_t count)
{
    if (count <= 1)
        return sizeof(struct btree_node) + (tree->inner_levels + 1) * sizeof(struct btree_inner);
    const uint64_t levels = tree->inner_levels + 2 + count / 62;
    uint64_t leaves = tree->leaf_count + count / 16 + 3;
    if (leaves > count) leaves = count;
    leaves += 1; /* the first of all */
    uint64_t inner = tree->inner_count + leaves / 15 + 4 * levels;
    if (levels < inner / count) inner = count * levels;
    return leaves * sizeof(struct btree_node) + inner * sizeof(struct btree_inner);
}

/* Leads to the leaf for key and its version; NULL when the tree is empty. */
static const struct btree_node *descend(const struct btree *tree, loam_slice key, uint32_t *version)
{
    for (;;) {
        const struct btree_node *node = atomic_load_explicit(&tree->root, memory_order_acquire);
        if (node == NULL) return NULL;
        *version = node_version(node);
        if (node != atomic_load_explicit(&tree->root, memory_order_acquire)) continue;
        bool is_sound = true;
        while (is_sound && node->level > 0) {
            bool found;
            const uint32_t rank = node_rank(node, key, &found);
            const struct btree_node *child = node_child(node, rank + found);
            prefetch_node(child, offsetof(struct btree_node, heads));
            const uint32_t child_version = node_version(child);
            is_sound = node_is_at(node, *version);
            node = child;
            *version = child_version;
        }
        if (is_sound) return node;
    }
}

const struct cell *btree_find(const struct btree *tree, loam_slice key, struct btree_place *place)
{
    for (;;) {
        bool found;
        place->leaf = descend(tree, key, &place->version);
        if (place->leaf == NULL) return NULL;
        place->index = node_rank(place->leaf, key, &found);
        const struct cell *chain = found ? node_key(place->leaf, place->index) : NULL;
        if (node_is_at(place->leaf, place->version)) return chain;
    }
}

const struct cell *btree_get(const struct btree *tree, loam_slice key)
{
    struct btree_place place;
    return btree_find(tree, key, &place);
}

bool btree_front(const struct btree *tree, struct btree_place *place)
{
    place->leaf = atomic_load_explicit(&tree->first, memory_order_acquire);
    if (place->leaf == NULL) return false;
    place->version = node_version(place->leaf);
    place->index = 0;
    return true;
}

bool btree_back(const struct btree *tree, struct btree_place *place)
{
    const struct btree_node *next;
    do {
        place->leaf = atomic_load_explicit(&tree->last, memory_order_acquire);
        if (place->leaf == NULL) return false;
        place->version = node_version(place->leaf);
        place->index = node_count(place->leaf);
        next = node_next(place->leaf);
    } while (next != NULL || !node_is_at(place->leaf, place->version));
    return true;
}

/* Whoever walks wants the value, too. */
static void prefetch_cell(const struct cell *cell)
{
    const uint8_t *line = (const uint8_t *)cell;
    __builtin_prefetch(line);
    __builtin_prefetch(line + 64);
    __builtin_prefetch(line + 128);
}

/* The neighbour's slots are asked for when a leaf is entered, so that its cells can be when it
   ends. */
static void prefetch_forward(const struct btree_node *leaf, uint32_t index, uint32_t count)
{
    const uint32_t ahead = index + CELLS_AHEAD;
    if (ahead < count) {
        prefetch_cell(node_key(leaf, ahead));
        if (index > 0) return;
    }
    const struct btree_node *next = node_next(leaf);
    if (next == NULL) return;
    if (index == 0)
        prefetch_node(next, offsetof(struct btree_node, keys));
    else if (ahead - count < node_count(next))
        prefetch_cell(node_key(next, ahead - count));
}

static void prefetch_backward(const struct btree_node *leaf, uint32_t index, bool is_entered)
{
    if (index >= CELLS_AHEAD) {
        prefetch_cell(node_key(leaf, index - CELLS_AHEAD));
        if (!is_entered) return;
    }
    const struct btree_node *prev = node_prev(leaf);
    if (prev == NULL) return;
    if (is_entered) {
        prefetch_node(prev, offsetof(struct btree_node, keys));
        return;
    }
    const uint32_t count = node_count(prev), behind = CELLS_AHEAD - index;
    if (behind <= count) prefetch_cell(node_key(prev, count - behind));
}

enum btree_step btree_settle(struct btree_place *place, const struct cell **chain)
{
    const struct btree_node *leaf = place->leaf;
    uint32_t count = node_count(leaf);
    if (place->index >= count) {
        const struct btree_node *next = node_next(leaf);
        if (!node_is_at(leaf, place->version)) return BTREE_MOVED;
        if (next == NULL) return BTREE_END;
        leaf = next;
        *place = (struct btree_place){.leaf = leaf, .version = node_version(leaf), .index = 0};
        count = node_count(leaf);
    }
    *chain = node_key(leaf, place->index);
    if (!node_is_at(leaf, place->version)) return BTREE_MOVED;
    prefetch_forward(leaf, place->index, count);
    return BTREE_STEPPED;
}

/* Makes the place stand behind the last key of the leaf in front. */
static enum btree_step enter_previous_leaf(struct btree_place *place)
{
    const struct btree_node *leaf = node_prev(place->leaf);
    if (!node_is_at(place->leaf, place->version)) return BTREE_MOVED;
    if (leaf == NULL) return BTREE_END;
    const uint32_t version = node_version(leaf);
    if (node_next(leaf) != place->leaf) return BTREE_MOVED;
    *place = (struct btree_place){.leaf = leaf, .version = version, .index = node_count(leaf)};
    return BTREE_STEPPED;
}

enum btree_step btree_retreat(struct btree_place *place, const struct cell **chain)
{
    bool is_entered = place->index == node_count(place->leaf);
    if (place->index == 0) {
        const enum btree_step step = enter_previous_leaf(place);
        if (step != BTREE_STEPPED) return step;
        is_entered = true;
    }
    *chain = node_key(place->leaf, place->index - 1);
    if (!node_is_at(place->leaf, place->version)) return BTREE_MOVED;
    place->index--;
    prefetch_backward(place->leaf, place->index, is_entered);
    return BTREE_STEPPED;
}

/* Each node's children are taken to be of one weight. A reader that meets a change counts a little wrong. */
double btree_share_before(const struct btree *tree, loam_slice key)
{
    const struct btree_node *node = atomic_load_explicit(&tree->root, memory_order_acquire);
    double share = 0, width = 1;
    while (node != NULL) {
        bool found;
        const uint32_t is_inner = node->level > 0, rank = node_rank(node, key, &found);
        const uint32_t index = is_inner ? rank + found : rank;
        width /= node_count(node) + is_inner;
        share += width * index;
        node = is_inner ? node_child(node, index) : NULL;
    }
    return share < 1 ? share : 1;
}
