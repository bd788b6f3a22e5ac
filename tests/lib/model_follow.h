/*
 * model_follow.h - of a random history: who follows it, in a process of its own, across the writer's closings, deaths and openings.
 *
 * Role: opens a follower at some moment; later looks whether it still shows what it showed, refreshes it, and compares it with the model.
 * In the picture: tests only; beside model_run.h.
 */
#ifndef LOAM_TESTS_LIB_MODEL_FOLLOW_H
#define LOAM_TESTS_LIB_MODEL_FOLLOW_H

#include "lib/model.h"

struct model_follow {
    loam_db *db;         /* NULL: there is none */
    struct model *model; /* what it shows */
    uint64_t index;
};

struct model_run;

/* Opens one, or refreshes the one that there is. */
void model_follow_use(struct model_run *h);
/* Before the machine loses power, or the history goes on elsewhere. */
void model_follow_forget(struct model_run *h);

#endif
