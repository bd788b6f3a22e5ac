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
};

/* A fresh one. Of keys there are about as many as key_space says, of several kinds. */
loam_slice random_key(struct rand *rand, size_t key_space);
loam_slice random_value(struct rand *rand);
/* Of a put, perhaps, makes a merge that the model's collection takes. */
void perhaps_merge(struct rand *rand, const struct model *model, struct step *step);
/* A deletion of a range: mostly of a few keys that are there, seldom of all. */
struct step random_range(struct rand *rand, const struct model *model, uint8_t coll,
                         size_t key_space);

void step_apply(struct model *model, const struct step *step);
/* Of a deletion of a range: the range; whether it is empty, and nothing happens; whether it holds the key. */
loam_range step_range(const struct step *step);
bool step_is_empty_range(const struct step *step);
bool step_holds(const struct step *step, loam_slice key);

#endif
