/*
 * btree.h - the memtable's tree: chains of cells by key, one writer, readers without locks.
 *
 * Role: leads a key to its leaf, splits what is full, walks leaves both ways.
 * Invariants: (1) a change that concerns several nodes locks them all before it begins and
 *   unlocks them when the last link is set; a reader takes a child's version and then looks again
 *   at the parent's (at the root: at the root pointer), so it never descends past a split it has
 *   not seen. (2) A leaf's `next` is always right. `prev` may lag behind a split and is believed
 *   only if that leaf's `next` leads back. (3) No leaf that readers reach is empty. (4) Nothing
 *   is ever removed: keys once found stay.
 * In the picture: memtable layer; memtable.c writes and reads it, memtable_iter.c walks it.
 */
#ifndef LOAM_MEMTABLE_BTREE_H
#define LOAM_MEMTABLE_BTREE_H

#include "memtable/arena.h"
#include "memtable/btree_node.h"

/* Half-full nodes of the greatest height hold 32^12 keys. */
#define BTREE_LEVELS_MAX 12u

struct btree {
    _Atomic(struct btree_node *) root;        /* NULL: empty */
    _Atomic(struct btree_node *) first, last; /* leaves; first never changes once set */
    uint32_t inner_levels; /* from here on the writer's: levels above the leaves */
    uint64_t leaf_count, inner_count;
};

/* Where the writer would put a key. */
struct btree_spot {
    struct btree_node *nodes[BTREE_LEVELS_MAX]; /* from the root; the leaf is the last of depth */
    uint32_t indexes[BTREE_LEVELS_MAX];
    uint32_t depth;
    const struct cell *newest; /* of the key's chain, or NULL */
};

/* Writer. The leaf that key leads to, NULL in an empty tree, and where it ends; asks for it without waiting for it. */
struct btree_node *btree_approach(const struct btree *tree, loam_slice key,
                                  const struct cell **high);

/* Writer. leaf, high: what btree_approach() answered, other keys may have been added since; or NULL. The spot is good until
   the next change. */
void btree_locate(const struct btree *tree, struct btree_node *leaf, const struct cell *high,
                  loam_slice key, struct btree_spot *spot);

/* Writer. Makes cell the newest version of its key: it was put in front of spot->newest. */
void btree_add(struct btree *tree, struct arena *arena, const struct btree_spot *spot,
               const struct cell *cell);

/* Writer. No more than this is taken from the arena by adding `count` cells, whatever splits. */
size_t btree_growth_bytes(const struct btree *tree, uint64_t count);

/* Any thread. The newest cell of key's chain, or NULL. */
const struct cell *btree_get(const struct btree *tree, loam_slice key);

/* A reader's place: at the key with this index of a leaf, good while the leaf has this version. */
struct btree_place {
    const struct btree_node *leaf;
    uint32_t version, index;
};

/* At the first key >= key; possibly behind the last key of its leaf, where by the time of
   btree_settle() the writer may have put one that is smaller than key. The chain if the keys are
   equal, else NULL; also for an empty tree, and place->leaf is then NULL. */
const struct cell *btree_find(const struct btree *tree, loam_slice key, struct btree_place *place);

/* Before the first key, and behind the last. False when the tree is empty. */
bool btree_front(const struct btree *tree, struct btree_place *place);
bool btree_back(const struct btree *tree, struct btree_place *place);

enum btree_step { BTREE_STEPPED, BTREE_END, BTREE_MOVED /* the place is stale: find again */ };

/* Goes to the place's own key, or, if it is behind a leaf's last, to the next leaf's first:
   *chain. */
enum btree_step btree_settle(struct btree_place *place, const struct cell **chain);

/* Goes to the key in front of the place: *chain. */
enum btree_step btree_retreat(struct btree_place *place, const struct cell **chain);

/* About what share of all keys stand before key: 0 to 1. */
double btree_share_before(const struct btree *tree, loam_slice key);

#endif
