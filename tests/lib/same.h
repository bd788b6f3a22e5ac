/*
 * same.h - whether two open databases show the same.
 *
 * Role: collections by their names, entries forward, the caller's index; for who follows, and for what was recovered.
 * In the picture: tests only; sees loam.h alone.
 */
#ifndef LOAM_TESTS_LIB_SAME_H
#define LOAM_TESTS_LIB_SAME_H

#include <loam.h>

/* NULL: they do; else a sentence about the first difference, in static storage. */
const char *same_differs(loam_db *a, loam_db *b);

#endif
