/*
 * model_steps.h - what a random history writes: keys, values, and steps that a model takes as well.
 *
 * In the picture: tests only; the vocabulary of model/test_model.
 */
#ifndef LOAM_TESTS_LIB_MODEL_STEPS_H
#define LOAM_TESTS_LIB_MODEL_STEPS_H

#include "base/rand.h"
#include "lib/model.h"

enum { STEP_COLLS = 6 };
extern const char *const step_names[STEP_COLLS];

/* One entry of a commit, to be applied to a model again; key and value are malloc's. */
struct step {
    char what; /* see model_step() */
    bool last; /* of its commit */
    uint8_t coll, to;
    loam_slice key, value;
    uint64_t ttl_ms; /* of a put: its own, or TTL_OF_COLL */
    uint64_t expires_ms;
    uint64_t caller_index; /* of its commit; 0: none, or another step of it says so */
};

/* A fresh one. Of keys there are about as many as key_space says, of several kinds. */
loam_slice random_key(struct rand *rand, size_t key_space);
loam_slice random_value(struct rand *rand);
/* Of a put: mostly none of its own. */
uint64_t random_ttl(struct rand *rand);
/* A put that is committed by this clock: when it expires. */
void step_stamp(struct step *step, const struct model *model, uint64_t clock_ms);
/* Of a put, perhaps, makes a merge that the model's collection takes. */
void perhaps_merge(struct rand *rand, const struct model *model, struct step *step);
/* A deletion of a range: mostly of a few keys that are there, seldom of all. */
struct step random_range(struct rand *rand, const struct model *model, uint8_t coll,
                         size_t key_space);

struct step random_options(struct rand *rand, uint8_t coll);

void step_apply(struct model *model, const struct step *step);
void step_free(const struct step *step); /* its key and value */
/* A put, a delete or a deletion of a range, by each of the ways. */
loam_status step_write(loam_db *db, loam_coll *coll, const struct step *step);
loam_status step_write_if(loam_db *db, loam_coll *coll, const struct step *step,
                          const loam_if *condition, uint64_t *seq); /* no range */
loam_status step_to_batch(loam_batch *batch, loam_coll *coll, const struct step *step);
loam_status step_to_ingest(loam_ingest *ingest, const struct step *step); /* a put */
loam_status step_to_txn(loam_txn *txn, loam_coll *coll, const struct step *step);
/* Of a deletion of a range: the range; whether it is empty, and nothing happens; whether it holds the key. */
loam_range step_range(const struct step *step);
bool step_is_empty_range(const struct step *step);
bool step_holds(const struct step *step, loam_slice key);

#endif
