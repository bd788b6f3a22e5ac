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

/* ---- how an operation went, what the tree is like ---------------------------------------------------- */

/* How a get at a snapshot (NULL: now) goes: `get` (key, sequence, what there is to be asked); then in the order in which they are asked
   `memtable`, `range_deletion`, `run` (with its `page`s), and `operand` for what is joined; `answer` (status, value, sums) at
   last. Each step has its ns, without found()'s. filter: none, no (the key is not there: nothing else is read) or maybe; outcome:
   absent, value, tombstone, range_deletion, operand, false_positive (the filter said maybe in vain), or why a run was not
   asked: outside, newer, deleted. Answers as loam_get_at(), whose implementation it is. */
LOAM_MUST loam_status loam_explain_get(loam_db *db, loam_coll *coll, const loam_snapshot *snap,
                                       loam_slice key, loam_found found, void *ctx);

/* Walks the first `limit` (0: all) rows of a range (NULL: all) and tells what it took: `scan`; of each input `memtable` or `run`, how
   many of its entries were taken, and as what: values, tombstones, operands, old_versions (the key has a newer one),
   newer (than the snapshot), expired; of a run its tables and pages, from the cache and read; `answer` with rows, bytes and times. Costs the scan
   and some. Answers LOAM_OK or a failure of loam_iter_next(). */
LOAM_MUST loam_status loam_explain_scan(loam_db *db, loam_coll *coll, const loam_range *range,
                                        uint64_t limit, loam_found found, void *ctx);

/* Does the put, and tells what it took: `put`, `throttle` (what back-pressure asks of writers), `log` (where and how much), `memtable` (how full),
   `durability` (and the wait for it), `later` (how often flushes and merges will write it again, judged by the shape of the tree), `answer`. Answers as
   loam_put(); LOAM_CONFLICT: found() said stop, and the put is done. */
LOAM_MUST loam_status loam_explain_put(loam_db *db, loam_coll *coll, loam_slice key,
                                       loam_slice value, loam_found found, void *ctx);

/* What the collection is made of: `tree`; `memtable`s, newest first; `range_deletions`; `level`s that hold any run, their `run`s, newest
   first, and of these the `table`s in the order of keys: files, bounds (from and to; clipped: a part is shown by another
   table), sizes, counts of entries, tombstones and what expires, sequence numbers, and `age`: writes to the store since its newest entry.
   Costs no read of a table. */
LOAM_MUST loam_status loam_tree(loam_db *db, loam_coll *coll, loam_found found, void *ctx);

/* Examines the store and its surroundings: `doctor`, `machine`, `settings`; then what is wrong: `damage` (each fault that
   loam_verify_open() finds), `advice`, `note` (no fault), each with name, text and remedy; `store` and `verdict` (healthy,
   and how many of each) at last. Names of advice: fenced, merge_debt, old_snapshot, tombstones_held, runs_many,
   files_limit, file_size_limit, disk_room, memory_above_machine, memory_below_tables, memtable_small, no_filters, slow_sync,
   tiny_collections, log_long, operator_unknown. Reads every byte of the store; of one that is open for writing, with commits that wait
   for syncs, it times one, in a file of its own. LOAM_OK, with or without advice; LOAM_CORRUPT after damage; or a failure. */
LOAM_MUST loam_status loam_doctor(loam_db *db, loam_found found, void *ctx);

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
