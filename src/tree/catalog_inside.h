/*
 * catalog_inside.h - what catalog.c and catalog_change.c share.
 *
 * Role: the catalog's state, and a stage: the part of it that an edit is changing.
 * Invariants: (1) a collection is in catalog->colls, or in the one stage that creates it, in order
 *   of ids. (2) There is at most one stage at a time; coll->draft is set only while it exists.
 * In the picture: tree layer; nobody else includes it.
 */
#ifndef LOAM_TREE_CATALOG_INSIDE_H
#define LOAM_TREE_CATALOG_INSIDE_H

#include "tree/catalog.h"
#include "tree/draft.h"

struct coll_draft;

struct coll {
    struct coll_state state; /* first; owns name, options and a reference on version */
    struct coll_draft *draft;
};

struct coll_list { /* in order of ids */
    struct coll **at;
    size_t count, cap;
};

/* Everything that is small: copied for a stage, and copied back. */
struct catalog_small {
    struct log_bounds log; /* segments: owned */
    struct catalog_counters counters;
    bool snapshot_complete;
};

struct catalog {
    struct table_shelf *shelf;
    struct coll_list colls;
    struct catalog_small small;
    struct catalog_stage *stage;
};

struct coll_draft {
    struct coll *coll;
    struct draft draft;
    struct version *version; /* built */
    char *name;              /* NULL: as it is */
    struct coll_options options;
    uint64_t flushed_seq;
    bool is_created, is_cloned, is_dropped;
    bool has_options; /* they were touched */
};

struct catalog_stage {
    struct catalog *catalog;
    struct coll_draft **drafts;
    size_t draft_count, draft_cap;
    struct coll_list created;
    struct table **fresh; /* made for this edit */
    size_t fresh_count, fresh_cap;
    struct catalog_small small;
    size_t segment_cap;
};

/* The index of the first collection with an id of at least this. */
size_t coll_list_find(const struct coll_list *list, uint32_t id);
LOAM_MUST loam_status coll_list_reserve(struct coll_list *list, size_t count);

/* A collection without tables. */
LOAM_MUST loam_status coll_new(const struct change *created, struct coll **out);
void coll_free(struct coll *coll); /* accepts NULL */

/* Into the stage; nothing in the catalog changes but coll->draft and the shelf. */
LOAM_MUST loam_status stage_change(struct catalog_stage *stage, const struct change *change);

#endif
