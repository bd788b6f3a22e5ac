/*
 * repair.h - what the files of repair share.
 *
 * Role: a repair in two passes over the damaged store. The survey reads everything, says every fault and counts; then the
 *   same sources are read again, oldest first, and what they hold is written into the new store through its public calls.
 *
 *   root, manifest -> facts: collections, places of tables     repair.c
 *   log   -> changes of collections, entries                   repair_log.c
 *   tables -> entries; tables that no manifest knows            repair_tables.c
 *   both  -> repair_take() -> batches -> the new store
 *
 * Invariants: (1) of two sources of one collection that hold a key, the one with the higher largest sequence number is
 *   the newer: so it is in every intact version (tree/version.h), and every flush and merge keeps it so. Written in
 *   this order, the last one wins. (2) Both passes take the same entries, or the repair fails. (3) Nothing of the source is
 *   written. (4) Memory does not grow with entries; it does with tables, collections and the largest entry.
 * In the picture: db layer; nobody else includes it.
 */
#ifndef LOAM_DB_REPAIR_H
#define LOAM_DB_REPAIR_H

#include "db/db.h"
#include "tree/manifest_salvage.h"
#include "wal/wal_salvage.h"

enum { REPAIR_LINE_BYTES = 640 };

struct repair_target {         /* a collection of the new store */
    char *name;                /* owned */
    loam_coll_options options; /* the operator's name is borrowed of the facts */
    bool is_dropped;           /* nothing of it is taken */
    bool is_needed;            /* only if it holds something: its name is not its own */
    loam_coll *coll;
    uint64_t entry_count; /* of the survey; 0 or not is all that matters */
    uint64_t tabled_seq;  /* its entries up to this sequence number are in tables */
    bool has_losses;      /* some of those tables are damaged: the log may know better */
};

struct repair_source { /* a table within the bounds of one place */
    size_t target;
    struct object_id object;
    uint64_t offset, bytes, uid;
    uint64_t seq_shift;  /* of an orphan 0: lost with the manifest */
    loam_slice from, to; /* borrowed of the facts; to empty: no bound */
    uint64_t seq_max;    /* found */
    bool is_orphan;
    loam_buf smallest, largest; /* found, of an orphan */
};

struct repair {
    const struct db_world *world;
    const char *dir, *path; /* path: of the new store; NULL: dry run */
    loam_repair_options options;
    loam_repair_stats stats;
    bool is_lossy;         /* something is or may be lost */
    bool has_endless_hole; /* in the log, so that lost_record_count is not all */
    bool is_copying;
    struct store *store;
    bool has_root;
    struct root root;
    struct salvage_facts facts;
    struct wal_salvage *log;
    struct repair_target *targets; /* those of facts.colls in their order, then those of orphans */
    size_t target_count;
    uint32_t recovered_count;
    struct repair_source *sources;
    size_t source_count, source_cap;
    uint64_t log_seq; /* the log is without a gap from this sequence number on */
    loam_db *db;
    loam_batch *batch;
    uint64_t batch_entries, batch_bytes;
    uint64_t copied_count, ticks;
};

/* ---- repair.c */

/* Says a fault. */
void repair_say(struct repair *repair, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Progress: now and then. LOAM_CONFLICT: stop. */
LOAM_MUST loam_status repair_tick(struct repair *repair, uint64_t done_bytes);
/* An entry of a target's collection: counted in the survey, then written. */
LOAM_MUST loam_status repair_take(struct repair *repair, size_t target, const struct entry *entry);
/* One more target, with the next free name recovered-N. */
LOAM_MUST loam_status repair_add_recovered(struct repair *repair);

/* ---- repair_log.c */

LOAM_MUST loam_status repair_open_log(struct repair *repair);
/* First: what collections there are, and what is missing. */
LOAM_MUST loam_status repair_survey_log(struct repair *repair);
/* Takes what tables do not have: sequence numbers in (above, upto] of collections with losses, or, upto being UINT64_MAX,
   all the rest. */
LOAM_MUST loam_status repair_take_log(struct repair *repair, uint64_t above, uint64_t upto);

/* ---- repair_tables.c */

LOAM_MUST loam_status repair_survey_tables(struct repair *repair);
/* Takes all tables, and of the log what belongs between them. */
LOAM_MUST loam_status repair_take_tables(struct repair *repair);

#endif
