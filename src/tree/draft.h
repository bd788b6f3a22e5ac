/*
 * draft.h - a version while an edit changes it.
 *
 * Role: takes the changes of one collection's tables, one after the other, and makes a new version
 *   that shares every run that was not touched.
 * Invariants: (1) the base is never changed. (2) A draft is discarded, or built, checked and then
 *   settled; only draft_settle() counts places on the shelf, and it cannot fail.
 * Threads: the caller's manifest lock.
 * In the picture: tree layer; used by catalog.c.
 */
#ifndef LOAM_TREE_DRAFT_H
#define LOAM_TREE_DRAFT_H

#include "tree/edit.h"
#include "tree/table_shelf.h"
#include "tree/version.h"

struct draft_run;

struct draft {            /* zero with a base is an untouched one */
    struct version *base; /* borrowed */
    struct draft_run *runs;
    size_t run_count;
    struct range_set *ranges; /* if they were touched; owned */
    bool has_ranges;
};

void draft_deinit(struct draft *draft);

/* The three changes of tables; slices of `change` are borrowed until the draft is built.
   LOAM_CORRUPT when it contradicts what is there. table: from the shelf. */
LOAM_MUST loam_status draft_add(struct draft *draft, const struct change *change,
                                struct table *table);
LOAM_MUST loam_status draft_remove(struct draft *draft, const struct change *change);
LOAM_MUST loam_status draft_clip(struct draft *draft, const struct change *change);

/* Its deletions of ranges are these now; takes the reference. */
void draft_set_ranges(struct draft *draft, struct range_set *ranges);

/* The new version, checked, with one reference; the base itself, referenced, when nothing was
   touched. */
LOAM_MUST loam_status draft_build(struct draft *draft, struct version **out);

/* The highest swept_seq of the tables that it adds. */
uint64_t draft_swept_seq(const struct draft *draft);

/* Counts places: first, over all drafts of an edit, what is added, then what is gone. */
void draft_settle_added(const struct draft *draft, struct table_shelf *shelf);
void draft_settle_gone(const struct draft *draft, struct table_shelf *shelf);
/* The whole base is another's, too: its collection is a clone; or is gone: its collection was dropped. */
void draft_settle_cloned(const struct draft *draft, struct table_shelf *shelf);
void draft_settle_dropped(const struct draft *draft, struct table_shelf *shelf);
/* Nor is any of a version that goes with its catalog, while another one goes on. */
void version_unplace(const struct version *version, struct table_shelf *shelf);
LOAM_MUST loam_status version_pin(const struct version *version, struct table_shelf *shelf);

#endif
