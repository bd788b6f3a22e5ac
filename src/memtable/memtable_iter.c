/*
 * memtable_iter.c - walks the cells of a memtable's tree; see memtable_iter.h.
 */
#include "memtable/memtable_iter.h"

#include "base/mem.h"

#include "base/poison.h"

struct memtable_iter {
    struct iter iter;
    const struct btree *tree;
    struct btree_place place; /* of cell's chain */
    const struct cell *cell;
    struct entry entry; /* what it says */
};

static loam_status stand_on_cell(struct memtable_iter *it, const struct cell *cell)
{
    it->cell = cell;
    cell_get(cell, &it->entry);
    return LOAM_OK;
}

/* After a step backwards: the last entry of a chain is its oldest cell. */
static loam_status stand_on_oldest(struct memtable_iter *it, const struct cell *chain)
{
    return stand_on_cell(it, cell_above(chain, 0));
}

/* The cell's place, found again; its chain cannot have gone. */
static const struct cell *find_place_again(struct memtable_iter *it)
{
    const struct cell *chain = btree_find(it->tree, cell_key(it->cell), &it->place);
    check(chain != NULL);
    return chain;
}

static loam_status memtable_iter_first(struct iter *iter)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    const struct cell *chain;
    enum btree_step step;
    do {
        if (!btree_front(it->tree, &it->place)) return LOAM_NOTFOUND;
        step = btree_settle(&it->place, &chain);
    } while (step == BTREE_MOVED);
    return step == BTREE_END ? LOAM_NOTFOUND : stand_on_cell(it, chain);
}

static loam_status memtable_iter_last(struct iter *iter)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    const struct cell *chain;
    enum btree_step step;
    do {
        if (!btree_back(it->tree, &it->place)) return LOAM_NOTFOUND;
        step = btree_retreat(&it->place, &chain);
    } while (step == BTREE_MOVED);
    return step == BTREE_END ? LOAM_NOTFOUND : stand_on_oldest(it, chain);
}

static loam_status memtable_iter_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    enum btree_step step;
    const struct cell *chain, *cell;
    do {
        chain = btree_find(it->tree, key, &it->place);
        if (it->place.leaf == NULL) return LOAM_NOTFOUND;
        cell = chain != NULL ? cell_at_most(chain, seq) : NULL;
        if (cell != NULL) return stand_on_cell(it, cell);
        if (chain != NULL) it->place.index++;
        step = btree_settle(&it->place, &chain);
        /* Behind a leaf's last key a smaller one than ours may have been put since. */
    } while (step == BTREE_MOVED ||
             (step == BTREE_STEPPED && bytes_compare(cell_key(chain), key) < 0));
    return step == BTREE_END ? LOAM_NOTFOUND : stand_on_cell(it, chain);
}

static loam_status memtable_iter_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    enum btree_step step;
    const struct cell *chain;
    do {
        chain = btree_find(it->tree, key, &it->place);
        if (it->place.leaf == NULL) return LOAM_NOTFOUND;
        if (chain != NULL && cell_seq(chain) >= seq)
            return stand_on_cell(it, cell_above(chain, seq > 0 ? seq - 1 : 0));
        step = btree_retreat(&it->place, &chain);
    } while (step == BTREE_MOVED);
    return step == BTREE_END ? LOAM_NOTFOUND : stand_on_oldest(it, chain);
}

static loam_status memtable_iter_next(struct iter *iter)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    const struct cell *chain = cell_older(it->cell);
    if (chain != NULL) return stand_on_cell(it, chain);
    it->place.index++;
    enum btree_step step = btree_settle(&it->place, &chain);
    while (step == BTREE_MOVED) {
        (void)find_place_again(it);
        it->place.index++;
        step = btree_settle(&it->place, &chain);
    }
    return step == BTREE_END ? LOAM_NOTFOUND : stand_on_cell(it, chain);
}

static loam_status memtable_iter_prev(struct iter *iter)
{
    struct memtable_iter *it = (struct memtable_iter *)iter;
    const struct cell *chain = node_key(it->place.leaf, it->place.index);
    if (!node_is_at(it->place.leaf, it->place.version)) chain = find_place_again(it);
    for (;;) {
        if (chain != it->cell) return stand_on_cell(it, cell_above(chain, cell_seq(it->cell)));
        const enum btree_step step = btree_retreat(&it->place, &chain);
        if (step == BTREE_END) return LOAM_NOTFOUND;
        if (step == BTREE_STEPPED) return stand_on_oldest(it, chain);
        chain = find_place_again(it);
    }
}

static void memtable_iter_close(struct iter *iter)
{
    mem_free(iter);
}

struct iter *btree_iter_new(const struct btree *tree)
{
    static const struct iter_ops ops = {
        .first = memtable_iter_first,
        .last = memtable_iter_last,
        .seek = memtable_iter_seek,
        .seek_back = memtable_iter_seek_back,
        .next = memtable_iter_next,
        .prev = memtable_iter_prev,
        .close = memtable_iter_close,
    };
    struct memtable_iter *it = mem_zalloc(sizeof *it);
    if (it == NULL) return NULL;
    it->iter.ops = &ops;
    it->iter.at = &it->entry;
    it->iter.keeps = true; /* cells stay where they are */
    it->tree = tree;
    return &it->iter;
}
