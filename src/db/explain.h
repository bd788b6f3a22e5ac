/*
 * explain.h - what the calls of loam_inspect.h in this folder share.
 *
 * Role: facts about memtables, runs and tables have one form, whoever tells them; and a clock that runs while the engine works, and not
 *   while what it did is told.
 * In the picture: db layer; explain.c, explain_scan.c, explain_put.c and tree_facts.c.
 */
#ifndef LOAM_DB_EXPLAIN_H
#define LOAM_DB_EXPLAIN_H

#include "base/findings.h"
#include "db/db.h"

struct stopwatch {
    const loam_db *db;
    uint64_t since_ns, spent_ns;
};

static inline void stopwatch_go(struct stopwatch *watch)
{
    watch->since_ns = db_now_ns(watch->db);
}

/* Since it was last asked or told to go; *spent_ns grows by it. */
static inline uint64_t stopwatch_lap(struct stopwatch *watch)
{
    const uint64_t now = db_now_ns(watch->db), lap = now - watch->since_ns;
    watch->since_ns = now;
    watch->spent_ns += lap;
    return lap;
}

/* The name of a collection as a fact; room outlives the sending. */
void fact_coll(struct findings *findings, loam_coll *coll, char room[static COLL_NAME_ROOM]);
/* Which memtable of the view it is (0: the newest), and what it holds. */
void facts_of_memtable(struct findings *findings, const struct view *view,
                       const struct memtable *memtable);
void facts_of_run(struct findings *findings, uint32_t level, const struct run *run);
/* Which file it stands in. */
struct table_words {
    char file[OBJECT_NAME_BYTES], uid[17];
};
void facts_of_table(struct findings *findings, const struct table *table,
                    struct table_words *words);

#endif
