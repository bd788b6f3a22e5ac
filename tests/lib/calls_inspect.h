/*
 * calls_inspect.h - rows of calls.c: the calls of loam_inspect.h.
 *
 * In the picture: tests only.
 */
#ifndef LOAM_TESTS_LIB_CALLS_INSPECT_H
#define LOAM_TESTS_LIB_CALLS_INSPECT_H

#include "lib/calls.h"

loam_status make_explain_get(struct bench *b);
loam_status make_explain_merged(struct bench *b);
loam_status make_explain_scan(struct bench *b);
loam_status make_explain_put(struct bench *b);
loam_status make_tree(struct bench *b);
loam_status make_doctor(struct bench *b);

#endif
