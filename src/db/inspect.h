/*
 * inspect.h - what the files of inspect share.
 *
 * Role: one call of loam_inspect(): whom to tell, what to show, and what root and manifest of the directory say, as far as they can
 *   be read.
 *
 *   path -> which kind; the root; an entry      inspect.c
 *   log segment, manifest                       inspect_log.c
 *   object of tables                            inspect_tables.c
 *   a directory                                 inspect_store.c
 *
 * Invariants: (1) bytes are read by who reads them otherwise: segment.h, edit.h, table_salvage.h, the salvages of log and manifest. (2) What
 *   is damaged is told, and no failure; those are no memory, a newer format, and being told to stop. (3) Nothing is written or locked.
 * In the picture: db layer; nobody else includes it, but tests, which bring their own disk.
 */
#ifndef LOAM_DB_INSPECT_H
#define LOAM_DB_INSPECT_H

#include "base/findings.h"
#include "tree/manifest_salvage.h"

struct inspect {
    loam_inspect_options options;
    struct findings findings;
    struct store *store;
    const char *path; /* as given */
    bool is_damaged;
    bool has_root, has_facts;
    struct root root;
    struct salvage_facts facts;
};

/* loam_inspect() on such a disk. */
LOAM_MUST loam_status inspect_in(struct sys_table sys, const char *path,
                                 const loam_inspect_options *options, loam_found found, void *ctx);

struct inspect_place { /* of damage */
    const char *file;
    uint64_t at, bytes; /* bytes 0: nobody knows */
};
void inspect_damage(struct inspect *inspect, uint32_t depth, struct inspect_place place,
                    const char *what);
/* What a reader answered: damage is told with the recorded message, and the answer is to go on. */
LOAM_MUST loam_status inspect_meet(struct inspect *inspect, uint32_t depth, const char *file,
                                   loam_status rc);
/* Is the item of that number, of a file's, to be told? */
bool inspect_shows(const struct inspect *inspect, uint64_t number);
/* coll NULL: in a table. Its value is as tables have it only there. */
void inspect_entry(struct inspect *inspect, uint32_t depth, const uint32_t *coll,
                   const struct entry *entry);

/* One file each, and all below it. LOAM_NOTFOUND: there is no such file. */
LOAM_MUST loam_status inspect_file(struct inspect *inspect, uint32_t depth, const char *name);
LOAM_MUST loam_status inspect_root(struct inspect *inspect, uint32_t depth, const char *name);
/* id: what the file should be, by its name; NULL: not known. */
LOAM_MUST loam_status inspect_segment(struct inspect *inspect, uint32_t depth, const char *name,
                                      const struct object_id *id);
LOAM_MUST loam_status inspect_tables(struct inspect *inspect, uint32_t depth, const char *name,
                                     const struct object_id *id);

LOAM_MUST loam_status inspect_store(struct inspect *inspect);

#endif
