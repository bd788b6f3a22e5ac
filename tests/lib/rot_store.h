/*
 * rot_store.h - a small store from a seed, its files as bytes, and what must be read from it when some of them are other ones.
 *
 * Role: lives a short life on the simulated disk: several openings, collections of every compression, levels, extents, tombstones, versions,
 *   deletions of ranges, operands of merges, entries that expire, packed objects, a log over several segments. It ends closed, killed or without power. Keeps the files as they were at its end, and
 *   as they were at earlier moments, and the model after each commit.
 * Invariants: (1) what is read is right, or refused. (2) Only in a log that was not closed, and only where nothing that is left says that it was durable, may
 *   damage look like a torn end: then exactly the commits before it are there. (3) A byte is marked where it carries information: there
 *   verifying must find damage, even if all answers are right.
 * In the picture: tests only, on simdisk.h and model.h; tests/rot damages what it makes.
 */
#ifndef LOAM_TESTS_LIB_ROT_STORE_H
#define LOAM_TESTS_LIB_ROT_STORE_H

#include "base/rand.h"
#include "db/db.h"
#include "lib/model.h"
#include "lib/simdisk.h"

enum { ROT_FILES_MAX = 64, ROT_STALE_MAX = 512, ROT_MOMENTS_MAX = 1024, ROT_RECORDS_MAX = 4096 };

enum rot_end { ROT_CLOSED, ROT_KILLED, ROT_POWERLESS, ROT_ENDS };

enum rot_mark {
    ROT_SILENT,
    ROT_SPEAKS, /* a byte that carries information */
    ROT_ZERO /* one that nothing but damage can make other than zero; that it is there says nothing */
};

struct rot_file {
    char name[OBJECT_NAME_BYTES];
    uint8_t *bytes;
    size_t len;
    uint8_t *marked; /* a rot_mark for each byte; NULL in what is stale */
};

struct rot_moment { /* after a commit */
    uint64_t end;   /* of the log */
    struct model *model;
};

struct rot_record { /* of the last opening's log */
    const struct rot_file *file;
    uint64_t offset, len, position, synced_upto;
};

struct rot_store {
    uint64_t seed;
    enum rot_end how;
    unsigned moments_max; /* of one opening */
    struct rand rand;
    struct simdisk *disk;
    loam_options options;
    struct db_world world;
    loam_db *db; /* while it lives */
    struct model *model;
    struct rot_file files[ROT_FILES_MAX]; /* at the end */
    size_t file_count;
    struct rot_file stale[ROT_STALE_MAX]; /* other contents that files of such a name had before */
    size_t stale_count;
    struct rot_moment moments[ROT_MOMENTS_MAX];
    size_t moment_count;
    const struct rot_moment *present; /* what an undamaged opening finds */
    struct rot_record records[ROT_RECORDS_MAX];
    size_t record_count;
    uint64_t attested, log_key; /* of the last opening's log, says the manifest; and the root */
};

/* moments_max: the fewer, the smaller it is. */
struct rot_store *rot_store_new(uint64_t seed, enum rot_end how, unsigned moments_max);
void rot_store_free(struct rot_store *store);

/* The files on a fresh disk. */
struct simdisk *rot_store_disk(const struct rot_store *store);
/* Makes the file of that name have these bytes; NULL takes it away. */
void rot_put(struct simdisk *disk, const char *name, const uint8_t *bytes, size_t len);

struct rot_change { /* of a file: other bytes, or NULL: it is gone */
    const struct rot_file *file;
    const uint8_t *bytes;
    size_t len;
};

/* After these changes: the other model that may be found, where damage looks like a torn end; NULL: there is none. */
const struct model *rot_torn_model(const struct rot_store *store, const struct rot_change *changes,
                                   size_t count);
/* Behind the last byte that carries information. */
size_t rot_marked_end(const struct rot_file *file);

#endif
