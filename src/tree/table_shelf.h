/*
 * table_shelf.h - one struct table per uid, and the moment when an object is needed no more.
 *
 * Role: hands out tables by what the manifest says of them; counts in how many places of present
 *   versions, of all collections, each stands, and how many tables of each object are not gone yet.
 *
 *   staged by an edit -> placed by it (places > 0) -> in no place any more: doomed, off the shelf
 *     -> last reader lets go: gone -> all tables of its object gone: delete_object
 *
 * Invariants: (1) a uid is on the shelf at most once, and the shelf holds one reference on it. (2)
 *   Before shelf_arm() tables leave without being doomed, and nothing is deleted. (3)
 *   delete_object is called once for an object, when the last of its tables is gone and was
 *   doomed.
 * Threads: the caller's manifest lock, but that tables may be let go of anywhere, so the count of
 *   each object's tables has a mutex of its own; delete_object is called without it.
 * In the picture: tree layer; held by catalog.c, used by draft.c.
 */
#ifndef LOAM_TREE_TABLE_SHELF_H
#define LOAM_TREE_TABLE_SHELF_H

#include "sstable/table.h"

struct table_shelf;

struct shelf_config {
    struct store *store;
    struct page_cache *cache;
    void (*delete_object)(void *ctx, struct object_id id);
    void *ctx;
};

LOAM_MUST loam_status shelf_new(const struct shelf_config *config, struct table_shelf **out);
/* Catalogs may share a shelf; a place is one in any of them. */
struct table_shelf *shelf_ref(struct table_shelf *shelf);
bool shelf_is_shared(const struct table_shelf *shelf);
/* The last one: no table is referenced any more but by the shelf; accepts NULL. */
void shelf_unref(struct table_shelf *shelf);
void shelf_arm(struct table_shelf *shelf);

/* The table of meta->uid, made if need be: then it is in no place, and is_new. LOAM_CORRUPT when
   that uid is there with another meta. The table is borrowed from the shelf. */
LOAM_MUST loam_status shelf_take(struct table_shelf *shelf, const struct table_meta *meta,
                                 struct table **out, bool *is_new);
/* One more, and one less, place. A table whose last place goes leaves the shelf, so an edit first
   places all that it adds. */
void shelf_place(struct table_shelf *shelf, struct table *table);
void shelf_unplace(struct table_shelf *shelf, struct table *table);
/* A new table that the edit in the end did not place leaves the shelf. */
void shelf_sweep(struct table_shelf *shelf, struct table *table);
/* Takes a new table that was not placed off the shelf, as if it had never been there. */
void shelf_forget(struct table_shelf *shelf, struct table *table);

/* Before it is shown: its object is opened, and stays open until the last of its tables is gone. For a shelf that is armed. */
LOAM_MUST loam_status shelf_pin(struct table_shelf *shelf, struct table *table);
bool shelf_uses_object(struct table_shelf *shelf, struct object_id id);
uint64_t shelf_object_bytes(struct table_shelf *shelf); /* of all objects with tables */
uint64_t shelf_entry_count(struct table_shelf *shelf);  /* of all tables; any thread */

#endif
