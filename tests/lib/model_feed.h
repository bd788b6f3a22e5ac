/*
 * model_feed.h - a feed of a random history, from which a second model is made: it must come to what the store holds.
 *
 * Role: begins with a copy of the model where the feed begins, and applies event after event, across reopenings and deaths.
 * In the picture: tests only; a part of model_run.h.
 */
#ifndef LOAM_TESTS_LIB_MODEL_FEED_H
#define LOAM_TESTS_LIB_MODEL_FEED_H

#include "lib/model.h"

enum { MODEL_FEED_COLLS_MAX = 4096 };

struct model_feed {
    loam_feed *feed;   /* NULL: closed for now */
    struct model *fed; /* NULL: there is none */
    uint64_t seq;      /* of the last event */
    bool in_commit;
    const char *names[MODEL_FEED_COLLS_MAX]; /* by id */
};

struct model_run;

/* Opens one, or takes all that there is and compares. */
void model_feed_use(struct model_run *h);
/* Before the store is closed or dies; the next use goes on where it was. */
void model_feed_suspend(struct model_run *h);
void model_feed_forget(struct model_run *h);

#endif
