/*
 * catalog.h - all that the manifest says: collections, their versions, the log's bounds, counters.
 *
 * Role: applies edits. Replaying a manifest and committing an edit are the same call.
 * Invariants: (1) an edit is applied whole or not at all: every touched collection gets a new
 *   checked version, and only when all of them stand are they put in place. (2) A table is one
 *   struct per (uid), however many versions refer to it; when no collection's current version
 *   does, it is doomed, and its object is deleted once the last reader lets go of it and all other
 *   tables of that object are doomed and gone too. (3) Collection ids are never used again; id 0
 *   is "default", always there. (4) No deletion of a range, and no number that a table is swept up to, is above its
 *   collection's flushed_seq.
 * Threads: none of its own: the caller's manifest lock, and for catalogs that share tables one of them all. Versions, once taken with a reference, may
 *   be read anywhere.
 * In the picture: tree layer; owned by db/.
 */
#ifndef LOAM_TREE_CATALOG_H
#define LOAM_TREE_CATALOG_H

#include "tree/edit.h"
#include "tree/version.h"

struct catalog;

struct coll_state { /* read-only to others; valid until the next catalog_apply() */
    uint32_t id;
    char *name;
    struct coll_options options;
    uint64_t flushed_seq;
    struct version *version;
};

struct log_segment {
    struct object_id id;
    uint64_t start, end;
};

struct log_bounds {
    /* Earlier openers', oldest first; those that end at or below the floor are there for readers of the log, or are gone. */
    const struct log_segment *segments;
    size_t segment_count;
    uint32_t epoch;                /* of this opener */
    uint64_t start, start_running; /* of this opener's log */
    uint64_t floor;                /* position */
    struct object_id
        floor_segment; /* first of this opener's segments that is needed; number 0: its first */
    uint64_t attested;
};

struct catalog_counters {
    uint32_t next_coll;
    uint64_t next_run;
    uint64_t change_seq; /* collections' changes up to this sequence are in */
    uint64_t time_ms;    /* newest time seen */
    uint64_t caller_index,
        caller_index_seq; /* of the newest commit with one that was told; 0: none */
};

/* delete_object(ctx, id) is called, from whatever thread drops the last reference, for objects
   that no table needs any more. */
struct catalog_config {
    struct store *store;
    struct page_cache *cache;
    void (*delete_object)(void *ctx, struct object_id id);
    void *ctx;
    struct catalog *beside; /* another one, whose tables it shares, or NULL; the rest is as there */
};

LOAM_MUST loam_status catalog_new(const struct catalog_config *config, struct catalog **out);
void catalog_free(
    struct catalog
        *catalog); /* deletes no object; no version is referenced any more but by itself */

/* LOAM_CORRUPT: the edit contradicts the state (unknown collection, table twice, broken layout,
   ...), nothing changed. LOAM_NOMEM likewise. */
LOAM_MUST loam_status catalog_apply(struct catalog *catalog, loam_slice edit_bytes);

/* The same in two steps, for who must make the edit durable in between: all that can fail, then
   what cannot. Between them nothing is to be seen of it. */
struct catalog_stage;
LOAM_MUST loam_status catalog_prepare(struct catalog *catalog, loam_slice edit_bytes,
                                      struct catalog_stage **out);
void catalog_install(struct catalog_stage *stage); /* frees it */
/* What a collection that the edit changes will be; borrowed. */
struct version *catalog_staged_version(const struct catalog_stage *stage, uint32_t coll);
void catalog_discard(struct catalog_stage *stage); /* frees it; accepts NULL */

/* From now on removed tables doom their objects (after replay: what a replayed edit removed is
   long gone or is cleaned up by listing). */
void catalog_arm(struct catalog *catalog);

/* Opens the object of every table that there is now, and keeps it open: of an armed catalog. LOAM_CORRUPT: one is missing. */
LOAM_MUST loam_status catalog_pin(const struct catalog *catalog);

size_t catalog_coll_count(const struct catalog *catalog);
const struct coll_state *catalog_coll_at(const struct catalog *catalog,
                                         size_t index); /* in order of ids */
const struct coll_state *catalog_coll_by_id(const struct catalog *catalog,
                                            uint32_t id); /* NULL: none */
struct log_bounds catalog_log_bounds(const struct catalog *catalog);
struct catalog_counters catalog_counters(const struct catalog *catalog);
bool catalog_snapshot_complete(const struct catalog *catalog);
bool catalog_uses_object(const struct catalog *catalog, struct object_id id);
uint64_t catalog_table_bytes(const struct catalog *catalog); /* on disk, each object's bytes once */
uint64_t catalog_entry_count(const struct catalog *catalog); /* each table's once; any thread */

/* Edits that rebuild the present state from nothing, each at most about 64 KiB, the last with
   CHANGE_SNAPSHOT_END. emit's failure ends it. */
LOAM_MUST loam_status catalog_snapshot(const struct catalog *catalog,
                                       loam_status (*emit)(void *ctx, loam_slice edit_bytes),
                                       void *ctx);

#endif
