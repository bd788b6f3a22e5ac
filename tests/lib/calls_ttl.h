/*
 * calls_ttl.h - rows of calls.c: what expires.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_TTL_H
#define LOAM_TESTS_LIB_CALLS_TTL_H

#include "lib/calls.h"

loam_status make_put_ttl(struct bench *b);
void change_put_ttl(struct model *after);
void expire_some(struct bench *b);
loam_status make_batch_put_ttl(struct bench *b);
void fill_batch_ttl(struct bench *b);
loam_status make_put_if_ttl(struct bench *b);
loam_status make_txn_put_ttl(struct bench *b);

#endif
