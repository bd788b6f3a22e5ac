/*
 * sized.h - public structs whose first member is struct_size, so that a caller and a library of
 *   different ages meet: the one of the two that is older does not know the last fields.
 *
 * Role: every call of the public interface that takes options or fills in statistics reads and writes
 *   them here.
 * Invariants: what the caller did not give keeps its default; what the library does not know must be
 *   zero; nothing is written beyond the caller's size.
 * In the picture: base layer.
 */
#ifndef LOAM_BASE_SIZED_H
#define LOAM_BASE_SIZED_H

#include <loam.h>

/* options holds the defaults. given may be NULL. LOAM_INVALID: its size is 0, or it asks for what is
 * unknown. name is of the function that makes the defaults, for the message. */
LOAM_MUST loam_status sized_take(void *options, size_t size, const void *given, const char *name);

/* LOAM_INVALID: the caller's struct is NULL or has no size. */
LOAM_MUST loam_status sized_check(const void *given);
void sized_give(void *given, const void *filled, size_t size); /* was checked */

#endif
