/*
 * loam_inspect.h - looking inside a store: how a read went, what the tree looks like, what stands in a file.
 *
 * Everything is told as *findings*: a kind, a depth and named facts. A finding of depth n + 1 belongs to the latest one of
 *   depth n. One printer can show them all, as text or as JSON; the program `loam` does. In its JSON a fact is a field of
 *   that name; of bytes that are no UTF-8, hold a NUL, or are longer than a line of text may be, it
 *   is NAME_b64 instead, in base64. The first finding of a call has
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

/* What is found, by kind, indented as it belongs together. A file's own findings come alone, or below those of its directory.
   Facts in brackets are there when there is something to say. Of keys and values longer than data_bytes_max, NAME_bytes has the whole
   length. `at` and `bytes` are of the file; `uid`s and the like are 16 hexadecimal digits; times are of the writer's clock.

   A directory:
   `store`         path, files, unsealed (it was not closed), [owner: a pid], [note]
     `root`        file, bytes, store_id, store_id_rest, epoch (which opening), manifest, manifest_end, manifest_running, log_key, sealed,
                   log_end, log_running
     `file`        name, role, [bytes], [start, room_end: of the log]; role in words: "tables", "log, not needed any more",
                   "left over", "a socket, no part of the store"
     `collection`  id, [name], compression, ttl_ms, [merge_operator], flushed_seq, deletions (of ranges), runs, tables, entries,
                   tombstones, bytes
       `level`     level, and the same sums
         `run`     run, and the same sums
           `table` file, at, bytes, uid, [smallest, largest], [from, to: what is shown of it], entries, tombstones, pages, seq_min,
                   seq_max, [expiring]
     `log`         bytes, [start, floor, durable: positions], end, commits, changes (of collections), entries, seq_first, seq_last, [time]
   A log segment or a manifest:
   `segment`, or `manifest`  file, bytes, begun, [store_id, store_id_rest, epoch, number, start, running, synced_upto, log_key,
                   base_time]
     `header copy` at, valid
     `record`      of a segment: number, what (commit, change, attest), at, position, bytes, seq, time, synced_upto, [entries,
                   caller_index], [part: first, middle, last]; below it, with options.entries:
       `entry`     [collection], seq, what (put, delete, delete range, merge), key, [value], [expires], [since: of an operand];
                   of a range from and to instead
     `edit`        of a manifest: number, what (snapshot, flush, merge, move, sweep, ranges, collections, tables, log), at,
                   position, bytes, time, synced_upto, changes; below it, and below records of changes:
       `change`    what ("table added", "collection renamed", ...), tag, and those that it has of: collection, source, name, compression, ttl_ms,
                   merge_operator, level, run, uid, epoch, number, offset, bytes, smallest, largest, from, to, entries, tombstones, pages,
                   payload_bytes, dense_pages, seq_min, seq_max, seq_shift, swept_seq, expiring, expires_first, expires_last, seq, caller_index,
                   position, position_end, running, time, next_collection, next_run
         `deletion` from, to, seq: of a range
     `end`         at, position, [running], records or edits, beyond (what stands there, in words)
   A file of tables:
   `tables`        file, bytes, tables
     `table`       at, bytes, uid, entries, tombstones, payload_bytes, pages, dense_pages, seq_min, seq_max, footer (is it whole?)
       `place`     collection, level, run, from, to, swept_seq, expiring: where the manifest has it
       `index`     at, bytes, raw_bytes, [pages, prefix]
       `filter`    at, bytes, raw_bytes, [blocks], [buckets: it is a locator]
       `bounds`    at, bytes, raw_bytes, [smallest, largest]
       `page`, or `extent`  number, at, bytes, raw_bytes, compression, format, entries, first, last; below it, with options.entries, each `entry`
   Anywhere:
   `damaged`       file, at, [bytes], what (in words), below what it is found in */

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
