/*
 * told.h - findings of loam_inspect.h, kept to be asked, and held to what the header promises of all of them.
 *
 * Role: a loam_found that keeps each finding as a line of text, "kind|name=value|name=value|", and the bytes of the answer's value.
 * Invariants: fails the test when a depth jumps, the first finding has no schema, or a name is none.
 * In the picture: tests only; of tests/api, tests/unit and lib/calls_inspect.
 */
#ifndef LOAM_TESTS_LIB_TOLD_H
#define LOAM_TESTS_LIB_TOLD_H

#include <loam_inspect.h>

struct told { /* all-zero is empty */
    char *text;
    size_t len, cap;
    uint32_t depth;
    unsigned count;
    unsigned stop_at; /* found() says stop at this one; 0: never */
    loam_buf value;   /* of the fact "value" */
};

bool told_take(void *ctx, const loam_finding *finding);
bool told_nothing(void *ctx, const loam_finding *finding); /* keeps none; ctx is not looked at */
void told_free(struct told *told);                         /* empty again, but for stop_at */

/* The nth finding of a kind, from 0; NULL: there is none. */
const char *told_line(const struct told *told, const char *kind, unsigned nth);
unsigned told_count(const struct told *told, const char *kind);
/* Of a line: has it this fact, as text; and its number, UINT64_MAX when there is none. */
bool told_is(const char *line, const char *name, const char *value);
uint64_t told_number(const char *line, const char *name);
/* The first finding of this kind with that fact; NULL. */
const char *told_find(const struct told *told, const char *kind, const char *name,
                      const char *value);

#endif
