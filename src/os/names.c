/*
 * names.c - what the objects of a store are called; see names.h.
 */
#include "os/names.h"

#include <string.h>

enum { NAME_DIGITS = 8, NAME_STEM = 2 * NAME_DIGITS + 1 };

static const char *const object_suffixes[] = {
    [OBJECT_TABLES] = ".sst",
    [OBJECT_SEGMENT] = ".wal",
    [OBJECT_MANIFEST] = ".manifest",
};

static void put_hex(char *dst, uint32_t value)
{
    for (unsigned i = 0; i < NAME_DIGITS; i++)
        dst[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
}

/* Upper case is refused: one object has one name. */
static bool get_hex(const char *src, uint32_t *value)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < NAME_DIGITS; i++) {
        const char c = src[i];
        if (c >= '0' && c <= '9')
            sum = sum << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            sum = sum << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *value = sum;
    return true;
}

void object_name_make(enum object_kind kind, struct object_id id, char name[static 32])
{
    const char *suffix = object_suffixes[kind];
    put_hex(name, id.epoch);
    name[NAME_DIGITS] = '-';
    put_hex(name + NAME_DIGITS + 1, id.number);
    memcpy(name + NAME_STEM, suffix, strlen(suffix) + 1);
}

bool object_name_parse(const char *name, enum object_kind *kind, struct object_id *id)
{
    struct object_id found;
    /* A short name ends in its terminator, which is no digit, so nothing is read behind it. */
    if (!get_hex(name, &found.epoch)) return false;
    if (name[NAME_DIGITS] != '-') return false;
    if (!get_hex(name + NAME_DIGITS + 1, &found.number)) return false;
    for (unsigned i = 0; i < sizeof object_suffixes / sizeof object_suffixes[0]; i++) {
        if (strcmp(name + NAME_STEM, object_suffixes[i]) != 0) continue;
        *kind = (enum object_kind)i;
        *id = found;
        return true;
    }
    return false;
}
