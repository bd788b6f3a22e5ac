/*
 * loam_inspect.h - looking inside a store: how a read went, what the tree looks like, what stands in a file.
 *
 * Everything is told as *findings*: a kind, a depth and named facts. A finding of depth n + 1 belongs to the latest one of
 *   depth n. One printer can show them all, as text or as JSON; the program `loam` does. The first finding of a call has
 *   depth 0 and the fact "schema". Kinds and names of facts are only ever added while that number stays.
 * Results, ownership, threads: as in loam.h. What a finding points to is borrowed for the call of found(), which must not call
 *   loam; when it answers false, the call ends with LOAM_CONFLICT. A failure comes after what was found before it.
 */
#ifndef LOAM_INSPECT_H
#define LOAM_INSPECT_H

#include "loam.h"

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define LOAM_INSPECT_SCHEMA 1

typedef enum loam_fact_kind {
    LOAM_FACT_COUNT = 1, /* number: how many, or which */
    LOAM_FACT_SIZE,      /* number, in bytes */
    LOAM_FACT_NS,        /* number: a duration */
    LOAM_FACT_TIME_MS,   /* number: a moment, ms since 1970 */
    LOAM_FACT_FLAG,      /* number: 0 or 1 */
    LOAM_FACT_TEXT,      /* bytes: words, UTF-8 */
    LOAM_FACT_DATA       /* bytes: a user's, of keys and values */
} loam_fact_kind;

typedef struct loam_fact {
    const char *name; /* a-z, 0-9 and _; static */
    loam_fact_kind kind;
    uint64_t number;
    loam_slice bytes;
} loam_fact;

typedef struct loam_finding {
    const char *kind; /* words, static: "table" */
    uint32_t depth;
    size_t fact_count;
    const loam_fact *facts;
} loam_finding;

typedef bool (*loam_found)(void *ctx, const loam_finding *finding);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* LOAM_INSPECT_H */
