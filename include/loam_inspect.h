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

/* ---- what stands in a file ------------------------------------------------------------------------ */

typedef struct loam_inspect_options {
    size_t struct_size;
    bool files;            /* of a directory: each file of the store, too, as if it was named */
    bool entries;          /* those of the log and of tables, too */
    size_t data_bytes_max; /* so many bytes of each key and value are told; 64 */
    uint64_t from,
        limit; /* of a file's records, edits or pages so many are passed over, and then at
                              most so many told; 0, and all */
} loam_inspect_options;

static inline loam_inspect_options loam_inspect_options_default(void)
{
    loam_inspect_options opts;
    memset(&opts, 0, sizeof opts);
    opts.struct_size = sizeof opts;
    opts.data_bytes_max = 64;
    opts.limit = UINT64_MAX;
    return opts;
}

/* Tells what stands in a store's directory, or in one file of it: root, manifest, log segment or tables, which its name tells,
   or else its first and last bytes. What is damaged is a finding, "damaged", with file, at, bytes and what; then reading
   goes on where it can. Of a directory: its files, the present state as the manifest has it, what the log holds;
   pages are not read, unless files asks for it. Takes no lock and changes nothing: beside a writer it may meet what is half
   written, or be told of files that are gone (the fact "unsealed": it was not closed). Costs reading the
   file; a segment or a manifest is in memory as a whole. opts may be NULL.
   LOAM_OK: nothing damaged was met; LOAM_CORRUPT: something was; LOAM_INVALID: path is no file of a store, or found is
   NULL; LOAM_TOONEW, LOAM_NOMEM, LOAM_CONFLICT: found() said stop; LOAM_IOERR (ENOENT: there is no such path). */
LOAM_MUST loam_status loam_inspect(const char *path, const loam_inspect_options *opts,
                                   loam_found found, void *ctx);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* LOAM_INSPECT_H */
