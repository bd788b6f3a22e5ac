/*
 * merges.h - merge operators of a database, adding operands to memtables, and values made of them.
 *
 * Role: where a merge is written and read. A writer joins what he can without looking further than the memtable that he writes to; a
 *   reader gathers what is left.
 * In the picture: db layer, on record/operands.h; survive.c has the third part, joining for good.
 */
#ifndef LOAM_DB_MERGES_H
#define LOAM_DB_MERGES_H

#include "db/db.h"
#include "record/operands.h"

/* Copies the operators of the options; LOAM_INVALID names a bad one. */
LOAM_MUST loam_status operators_init(loam_db *db, const loam_options *options);
void operators_deinit(loam_db *db);
/* Registered or built in; NULL: none of that name. */
const loam_merge_operator *operator_find(const loam_db *db, const char *name);

/* The collection's, for who has seen something that was written to it. NULL: it has none, or an unknown one. */
static inline const loam_merge_operator *coll_operator(const loam_coll *coll)
{
    return atomic_load_explicit(&coll->merger, memory_order_acquire);
}

/* May such an operand be merged? has_odd: one whose length is not that of an integer. */
LOAM_MUST loam_status merge_check(loam_coll *coll, bool has_odd);

/* What an entry may take of a memtable when it is added, beside what memtable_reserve() knows: joined operands may be longer than the
   one that is given. */
enum { JOINED_BYTES_MAX = 64, MERGE_ROOM_BYTES = JOINED_BYTES_MAX + OPERAND_HEAD_BYTES_MAX };
static inline uint64_t entry_room_bytes(const struct entry *entry)
{
    return entry->key.len + entry->value.len + (entry->kind == ENTRY_MERGE ? MERGE_ROOM_BYTES : 0);
}

/* Adds any entry as the log has it to a memtable with room. An operand is joined with the key's newest version there, if the result is
   short: a hot counter costs its readers one step. */
void merge_add_other(const loam_coll *coll, struct memtable *memtable, const struct entry *entry,
                     uint64_t hash, struct memtable_near near);
static inline void merge_add(const loam_coll *coll, struct memtable *memtable,
                             const struct entry *entry, uint64_t hash, struct memtable_near near)
{
    if (entry->kind != ENTRY_MERGE && entry->kind != ENTRY_DELETE_RANGE)
        memtable_add(memtable, entry, hash, near);
    else
        merge_add_other(coll, memtable, entry, hash, near);
}

/* Where older versions of a key are. */
struct merge_source {
    loam_coll *coll;
    const struct view *view;
    uint64_t seq;               /* nothing newer of the view counts */
    const struct memtable *own; /* of a transaction: newer than all of the view; or NULL */
    struct reader_clock *clock;
    struct watch *watch; /* or NULL */
};
/* A get of source, which is watched, into lookup->value; lookup->answer stays. read.c has it and what it begins with. */
LOAM_MUST loam_status read_watched(const struct merge_source *source, loam_slice key,
                                   loam_lookup *lookup);
LOAM_MUST loam_status read_check(loam_db *db, loam_coll **coll, const loam_snapshot *snap);
LOAM_MUST loam_status read_check_key(loam_slice key); /* LOAM_NOTFOUND: longer than keys are */

/* The value of a key whose newest version is this one, which is no tombstone and has not expired. */
LOAM_MUST loam_status merge_read(const struct merge_source *source, const struct entry *newest,
                                 loam_buf *value);

#endif
