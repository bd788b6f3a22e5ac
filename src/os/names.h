/*
 * names.h - what the objects of a store are called.
 *
 * Role: "EEEEEEEE-NNNNNNNN.kind" in hexadecimal: the epoch of the opener that made it, and a number
 *   that this opener gave out. Two owners can never mean different objects by one name.
 * In the picture: os layer; on-disk names are part of the format.
 */
#ifndef LOAM_OS_NAMES_H
#define LOAM_OS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

enum object_kind { OBJECT_TABLES, OBJECT_SEGMENT, OBJECT_MANIFEST }; /* .sst .wal .manifest */

struct object_id {
    uint32_t epoch, number;
};

static inline bool object_id_equal(struct object_id a, struct object_id b)
{
    return a.epoch == b.epoch && a.number == b.number;
}

/* Older openers' first; of one opener in the order in which it gave out the numbers. */
static inline bool object_id_before(struct object_id a, struct object_id b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.number < b.number;
}

void object_name_make(enum object_kind kind, struct object_id id, char name[static 32]);

/* False when name is none that object_name_make() makes. */
bool object_name_parse(const char *name, enum object_kind *kind, struct object_id *id);

#endif
