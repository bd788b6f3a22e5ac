/*
 * model.h - what a store must hold, as plainly as it can be said: named sorted arrays.
 *
 * Role: the oracle of the model, crash and kill suites. Every operation is a scan or a memmove; nothing here is clever.
 *   What expires is there until model_expire() takes it away.
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_MODEL_H
#define LOAM_TESTS_LIB_MODEL_H

#include <loam.h>

struct model;

struct model *model_new(void); /* holds an empty "default" */
struct model *model_copy(const struct model *model);
void model_free(struct model *model);

bool model_has(const struct model *model, const char *coll);
void model_create(struct model *model, const char *coll);
void model_drop(struct model *model, const char *coll);
void model_rename(struct model *model, const char *from, const char *to);
void model_clone(struct model *model, const char *from, const char *to);
size_t model_coll_count(const struct model *model);
const char *model_coll_at(const struct model *model, size_t index); /* in order of names */

void model_put(struct model *model, const char *coll, loam_slice key, loam_slice value);
void model_put_until(struct model *model, const char *coll, loam_slice key, loam_slice value,
                     uint64_t expires_ms); /* 0: never */
#define MODEL_SOME_TIME UINT64_MAX         /* it expires, and nobody says when */
/* Takes away what has expired by then. */
void model_expire(struct model *model, uint64_t clock_ms);
/* The ttl of puts that say nothing, of a collection's options. */
uint64_t model_ttl(const struct model *model, const char *coll);
void model_delete(struct model *model, const char *coll, loam_slice key);
void model_delete_range(struct model *model, const char *coll, loam_slice from,
                        loam_slice to); /* to empty: no bound */
void model_merge(struct model *model, const char *coll, loam_slice key, loam_slice operand);
/* One step of a history: p put, m merge, d delete, x delete the range [key, value), + create, - drop, r rename to `to`, c clone as `to`, o options that the first
   byte of value stands for. */
struct model_words {
    char what;
    const char *coll, *to;
    loam_slice key, value;
    uint64_t expires_ms; /* of a put */
};
void model_step(struct model *model, const struct model_words *step);
/* The options that a byte stands for: a compression, and a time to live: none, half a minute at most, or ages. */
loam_coll_options model_options(uint8_t byte);
/* Sets them, but for the operator, which stays. Where nothing changes, nothing is written and nothing synced. */
loam_status model_alter(loam_db *db, loam_coll *coll, uint8_t byte, bool *changes);
/* What histories open with: an operator of their own, which keeps the last MODEL_TAIL_BYTES of what was appended. */
enum { MODEL_TAIL_BYTES = 30 };
extern const loam_merge_operator model_tail;
/* The merge operator that a collection is created with, by its first name; NULL: none, as "default" has. It keeps it. */
const loam_merge_operator *model_merger_for(const char *coll);
const loam_merge_operator *model_merger(const struct model *model, const char *coll);
void model_set_merger(struct model *model, const char *coll, const char *built_in);
/* NULL data when it is not there. */
bool model_get(const struct model *model, const char *coll, loam_slice key, loam_slice *value);

/* Entries of a collection in order of keys; lower is the first index with key >= key. */
size_t model_count(const struct model *model, const char *coll);
void model_at(const struct model *model, const char *coll, size_t index, loam_slice *key,
              loam_slice *value);
/* When it expires; 0: never, or it is not there. */
uint64_t model_expiry(const struct model *model, const char *coll, loam_slice key);
uint64_t model_expires_at(const struct model *model, const char *coll, size_t index);
size_t model_lower(const struct model *model, const char *coll, loam_slice key);

/* NULL when the database, at snap or now, holds exactly what the model does, read forward, backward and key by key; else a
   sentence about the first difference, in static storage. */
const char *model_differs(const struct model *model, loam_db *db, const loam_snapshot *snap);
/* The same, of what has not expired by then. */
const char *model_differs_by(const struct model *model, loam_db *db, uint64_t clock_ms);
/* The same of a store that is being hurt: a read that fails, for want of memory or by an error of the disk, contradicts nothing. */
const char *model_contradicts(const struct model *model, loam_db *db, const loam_snapshot *snap);

#endif
