/*
 * manifest_salvage.h - what of a damaged manifest can still be read, without contradicting anything.
 *
 * Role: applies the edits that are intact, one change at a time, to a plain list of what there is, and keeps going where
 *   the catalog, which applies an edit whole or not at all, would refuse.
 * Invariants: (1) without damage the list says what the catalog would. (2) Edits are taken in order of position; behind a
 *   hole they are still taken, and the facts are known not to be whole.
 * In the picture: tree layer; db/repair.c and db/inspect.c call it.
 */
#ifndef LOAM_TREE_MANIFEST_SALVAGE_H
#define LOAM_TREE_MANIFEST_SALVAGE_H

#include "tree/edit.h"
#include "tree/root.h"
#include "wal/wal_salvage.h"

struct salvage_coll {
    uint32_t id;
    char *name;                  /* owned; NULL: not known */
    struct coll_options options; /* owned */
    bool is_dropped;
    uint64_t flushed_seq;
    struct range_set
        *ranges; /* deletions that hide something in its tables; referenced; may be NULL */
};

struct salvage_table { /* one place of a table */
    uint32_t coll, level;
    uint64_t run;
    struct table_meta meta; /* without keys */
    loam_slice from, to;    /* owned */
    bool is_gone;           /* removed, or its collection dropped; still known to be ours */
    uint32_t next;          /* in its bucket */
};

struct salvage_facts {
    struct salvage_coll *colls; /* by id */
    size_t coll_count, coll_cap;
    struct salvage_table *tables;
    size_t table_count, table_cap;
    uint32_t *buckets; /* by uid: index + 1 */
    uint32_t bucket_count;
    bool has_manifest;
    struct object_id manifest;
    uint8_t store_id[STORE_ID_BYTES];
    bool is_complete; /* the state it begins with was read whole */
    bool is_whole;    /* and every later edit that there is word of */
    uint64_t change_seq;
    uint64_t time_ms; /* the newest */
    bool has_log;     /* where the last opener's log begins, and what is needed of it */
    uint32_t log_epoch;
    uint64_t log_start, log_floor, log_attested;
};

typedef void manifest_salvage_line(void *ctx, const char *text, uint64_t lost_bytes);

/* Reads the root's manifest, or else (root NULL, or that one is of no use) the newest that is. Always holds "default". LOAM_TOONEW,
   LOAM_NOMEM, or what listing the store answered; *facts is then empty. */
LOAM_MUST loam_status manifest_salvage(struct store *store, const struct root *root,
                                       manifest_salvage_line *line, void *ctx,
                                       struct salvage_facts *facts);
void salvage_facts_deinit(struct salvage_facts *facts);
/* What root (NULL: it is not readable), which is borrowed, and facts say of the log. */
struct wal_clues salvage_clues(const struct salvage_facts *facts, struct store *store,
                               const struct root *root);

struct salvage_coll *salvage_coll_find(const struct salvage_facts *facts,
                                       uint32_t id); /* or NULL */
/* Finds or adds it. */
LOAM_MUST loam_status salvage_coll_take(struct salvage_facts *facts, uint32_t id,
                                        struct salvage_coll **out);
/* Any change of the manifest. */
LOAM_MUST loam_status salvage_change(struct salvage_facts *facts, const struct change *change);
/* A creation, clone, renaming, dropping or change of options. Others are passed over. */
LOAM_MUST loam_status salvage_coll_change(struct salvage_facts *facts, const struct change *change);
/* Is a table of this uid known, in whatever place? */
bool salvage_knows_table(const struct salvage_facts *facts, uint64_t uid);
/* Is the table of this place in an earlier one too? */
bool salvage_is_double(const struct salvage_facts *facts, size_t index);
/* Adds a place; copies from and to. */
LOAM_MUST loam_status salvage_table_add(struct salvage_facts *facts, const struct change *change);

#endif
