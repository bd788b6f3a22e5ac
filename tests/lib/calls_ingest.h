/*
 * calls_ingest.h - rows of calls.c: bulk loads.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_INGEST_H
#define LOAM_TESTS_LIB_CALLS_INGEST_H

#include "lib/calls.h"

/* Each a whole ingest, since one that failed is of no use: given up at once; after puts; and committed, in order and not. */
loam_status make_ingest_begin(struct bench *b);
loam_status make_ingest_put(struct bench *b);
loam_status make_ingest_put_ttl(struct bench *b);
loam_status make_ingest(struct bench *b);
void change_ingest(struct model *after);
loam_status make_ingest_of_all(struct bench *b);
void change_ingest_of_all(struct model *after);
loam_status make_first_ingest(struct bench *b);
void create_for_ingest(struct bench *b);
void change_first_ingest(struct model *after);

#endif
