/*
 * doctor.c - what is wrong with a store and its surroundings, and what to do; see loam_inspect.h.
 *
 * Role: loam_verify_open() says what is damaged; what is looked at besides is the shape of each collection, what keeps deleted entries
 *   on the disk, and whether machine and settings fit what the store holds. Bounds stand with the advice that they belong to.
 * In the picture: db layer; changes nothing. To time a sync it writes a file of its own, and deletes it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/findings.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

enum {
    SNAPSHOT_OLD_MS = 10 * 60 * 1000,
    HELD_PERCENT = 25,  /* the same share for which merges go out of their way */
    FILES_BESIDES = 64, /* descriptors beside those of tables */
    SYNC_SLOW_MS = 20,
    TINY_COUNT = 1000,     /* collections */
    TINY_BYTES = 64 << 10, /* of each, on average */
    JOINS_MANY = 3,
    PROBE_BYTES = 4096,
    INDEX_BYTES_OF_PAGE = 48,
    LOCATOR_BITS = 57
};

/* Counts them; the number is the mark of a table that was counted. verify.c leaves marks, too, from 1 on. */
static _Atomic uint64_t examinations = UINT64_C(1) << 63;

struct examination {
    struct findings findings;
    loam_db *db;
    struct pick_policy policy;
    uint64_t damage_count, advice_count, note_count;
    uint64_t coll_count, run_count, table_count, bytes, entry_count, tombstone_count, page_count;
    uint64_t largest_table_bytes;
    uint64_t merge_bytes; /* what one merge of any collection takes for a while, at most */
    uint64_t machine_bytes, file_limit, file_bytes_limit, free_bytes;
    uint64_t sync_ns; /* 0: not measured */
    bool has_snapshot;
    uint64_t mark;
};

/* ---- saying ---------------------------------------------------------------------------------- */

static void advise(struct examination *exam, const char *name, const char *remedy,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void advise(struct examination *exam, const char *name, const char *remedy,
                   const char *format, ...)
{
    struct findings *findings = &exam->findings;
    char text[STATUS_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    exam->advice_count++;
    finding_begin(findings, "advice", 1);
    fact_text(findings, "name", name);
    fact_text(findings, "text", text);
    fact_text(findings, "remedy", remedy);
    finding_send(findings);
}

/* A sentence of loam_verify_open(). */
static void take_sentence(void *ctx, const char *text)
{
    struct examination *exam = ctx;
    struct findings *findings = &exam->findings;
    const bool is_fault = strstr(text, ": no fault: ") == NULL;
    exam->damage_count += is_fault;
    exam->note_count += !is_fault;
    finding_begin(findings, is_fault ? "damage" : "note", 1);
    fact_text(findings, "name", is_fault ? "damage" : "stray_file");
    fact_text(findings, "text", text);
    if (is_fault)
        fact_text(findings, "remedy",
                  "restore a backup, or `repair` what is intact into a new store");
    finding_send(findings);
}

/* ---- one collection --------------------------------------------------------------------------- */

/* Counts the collection's tables; answers how many of its deleted and expired entries are held by who reads as of before. */
static uint64_t count_tables(struct examination *exam, const struct version *version)
{
    uint64_t held = 0;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            exam->run_count++;
            exam->bytes += run->bytes;
            exam->entry_count += run->entry_count;
            exam->tombstone_count += run->tombstone_count;
            for (uint32_t t = 0; t < run->table_count; t++) {
                const struct table_meta *meta = table_meta(run->tables[t].table);
                /* Clones share tables. */
                exam->table_count += table_mark(run->tables[t].table, exam->mark) != exam->mark;
                exam->page_count += meta->page_count;
                held += pick_held_in(&run->tables[t], &exam->policy);
                if (meta->bytes > exam->largest_table_bytes)
                    exam->largest_table_bytes = meta->bytes;
            }
        }
    return held;
}

/* A level is joined as a whole; the last is merged by the slice. */
static void count_merge_room(struct examination *exam, const struct version *version)
{
    uint64_t most = exam->policy.slice_bytes;
    for (uint32_t level = 0; level < LEVEL_WAITING; level++)
        if (version->levels[level].bytes > most) most = version->levels[level].bytes;
    if (most > exam->merge_bytes) exam->merge_bytes = most;
}

static void examine_shape(struct examination *exam, const char *name, const struct version *version)
{
    const loam_options *options = &exam->db->options;
    const size_t runs = version_run_count(version);
    const uint64_t debt = pick_debt_bytes(version, &exam->policy);
    const struct pick_path path = pick_path_down(version, &exam->policy, options->memtable_bytes);
    if (compact_delay_ns(exam->db, version, debt) > 0)
        advise(exam, "merge_debt",
               "write less for a while, or give it more background_threads or a faster disk",
               "\"%s\": merges are %" PRIu64 " bytes behind, so writers are slowed down", name,
               debt);
    if (runs > (size_t)3 * options->runs_per_level)
        advise(exam, "runs_many", "let it run open for writing and idle, or compact it",
               "\"%s\" has %zu sorted runs, and a read may have to ask each of them", name, runs);
    if (options->filter_bits_per_key == LOAM_NO_FILTER && runs > 1)
        advise(exam, "no_filters", "open it with filter_bits_per_key 0 and compact it",
               "\"%s\" is opened without filters, so a get reads a page in each of %zu runs", name,
               runs);
    if (path.joins >= JOINS_MANY)
        advise(exam, "memtable_small", "open it with larger memtable_bytes",
               "memtables of %" PRIu64
               " bytes are small for \"%s\": each entry is written %u times "
               "before it comes to the last level",
               options->memtable_bytes, name, path.joins + 1);
}

static void examine_coll(struct examination *exam, loam_coll *coll)
{
    char name[COLL_NAME_ROOM];
    if (atomic_load(&coll->dropped)) return;
    struct view *view = view_acquire(coll);
    const uint64_t entries_before = exam->entry_count;
    const uint64_t held = count_tables(exam, view->version);
    const uint64_t entries = exam->entry_count - entries_before;
    coll_tell_name(coll, name);
    exam->coll_count++;
    count_merge_room(exam, view->version);
    if (atomic_load(&coll->is_shut) && !atomic_load(&coll->dropped))
        advise(exam, "operator_unknown", "open it with its merge operator, or drop it",
               "\"%s\" has a merge operator that is not registered: it is neither read nor written",
               name);
    if (exam->has_snapshot && held > 0 && held * 100 >= entries * HELD_PERCENT)
        advise(exam, "tombstones_held", "close snapshots and transactions that are open for long",
               "\"%s\": %" PRIu64 " of %" PRIu64 " entries are deleted or expired, and stay "
               "because somebody reads as of before",
               name, held, entries);
    examine_shape(exam, name, view->version);
    view_unref(view);
}

static void examine_colls(struct examination *exam)
{
    loam_db *db = exam->db;
    mutex_lock(&db->names);
    loam_coll *coll = db->all; /* handles are only ever added in front, and live as long as db */
    mutex_unlock(&db->names);
    for (; coll != NULL; coll = coll->all_next)
        examine_coll(exam, coll);
    if (exam->coll_count >= TINY_COUNT && exam->bytes / exam->coll_count < TINY_BYTES)
        advise(exam, "tiny_collections", "put them into one, each with a prefix of its own",
               "%" PRIu64 " collections hold %" PRIu64 " bytes on average, and each takes tables "
               "of its own",
               exam->coll_count, exam->bytes / exam->coll_count);
}

/* ---- the whole store -------------------------------------------------------------------------- */

static void examine_readers(struct examination *exam)
{
    loam_db *db = exam->db;
    uint64_t age_ms = 0;
    mutex_lock(&db->snapshots);
    exam->has_snapshot = db->snapshot_oldest != NULL;
    if (exam->has_snapshot) age_ms = db_now_ns(db) / 1000000 - db->snapshot_oldest->opened_ms;
    mutex_unlock(&db->snapshots);
    if (age_ms > SNAPSHOT_OLD_MS)
        advise(exam, "old_snapshot", "close snapshots and transactions that are open for long",
               "the oldest snapshot or transaction is open for %" PRIu64 " minutes; what has been "
               "replaced or deleted since stays on the disk",
               age_ms / 60000);
}

static void examine_log(struct examination *exam)
{
    loam_db *db = exam->db;
    const uint64_t memtables = atomic_load(&db->memtable_bytes);
    if (atomic_load(&db->fenced) != LOAM_OK)
        advise(exam, "fenced", "see to the disk, and open the store again",
               "it is read-only since a failure: %s", db->fence_text);
    if (db->wal != NULL && db_log_is_long(db))
        advise(exam, "log_long", "give it more memory_bytes or a faster disk",
               "the log is as long as it may be: writers wait for flushes");
    if (db->wal == NULL && memtables > 2 * db->options.memtable_bytes)
        advise(exam, "log_long", "open it for writing and flush it",
               "%" PRIu64 " bytes of memtables are made of the log whenever it is opened",
               memtables);
}

/* Two syncs, of a file and of the directory, halved. A full disk has its own advice. */
static loam_status time_sync(struct examination *exam)
{
    static const uint8_t zeros[PROBE_BYTES];
    loam_db *db = exam->db;
    char name[OBJECT_NAME_BYTES];
    struct object_writer *writer = NULL;
    object_name_make(OBJECT_TABLES, db_new_object(db), name);
    loam_status rc = object_create(db->store, name, &writer);
    if (rc < 0) return rc == LOAM_FULL ? LOAM_OK : rc;
    rc = object_append(writer, zeros, sizeof zeros);
    const uint64_t since = db_now_ns(db);
    if (rc == LOAM_OK) rc = object_finish(writer);
    exam->sync_ns = (db_now_ns(db) - since) / 2;
    if (rc < 0) {
        object_abandon(writer);
        exam->sync_ns = 0;
        return rc == LOAM_FULL ? LOAM_OK : rc;
    }
    return store_delete(db->store, name);
}

static loam_status measure(struct examination *exam)
{
    loam_db *db = exam->db;
    const struct sys_table sys = db->sys;
    loam_status rc = store_free_bytes(db->store, &exam->free_bytes);
    exam->machine_bytes = sys.calls->memory_bytes(sys.ctx);
    exam->file_limit = sys.calls->limit(sys.ctx, SYS_LIMIT_FILES);
    exam->file_bytes_limit = sys.calls->limit(sys.ctx, SYS_LIMIT_FILE_BYTES);
    if (rc == LOAM_OK && db->wal != NULL && db->options.durability == LOAM_DURABLE_COMMIT &&
        atomic_load(&db->fenced) == LOAM_OK)
        rc = time_sync(exam);
    return rc;
}

static void examine_limits(struct examination *exam)
{
    const loam_options *options = &exam->db->options;
    const uint64_t quarter = options->memtable_bytes / SEGMENTS_OF_MEMTABLE;
    const uint64_t segment = quarter < SEGMENT_BYTES_MOST ? quarter : SEGMENT_BYTES_MOST;
    const uint64_t largest =
        exam->largest_table_bytes > segment ? exam->largest_table_bytes : segment;
    const uint64_t room = exam->merge_bytes + options->memtable_bytes;
    if (exam->table_count + FILES_BESIDES > exam->file_limit)
        advise(exam, "files_limit", "raise it: ulimit -n, RLIMIT_NOFILE or LimitNOFILE",
               "%" PRIu64 " tables, each a descriptor when it is in use, and a limit of %" PRIu64,
               exam->table_count, exam->file_limit);
    if (exam->file_bytes_limit < largest)
        advise(exam, "file_size_limit", "raise it: ulimit -f or RLIMIT_FSIZE",
               "files may have %" PRIu64 " bytes, and need up to %" PRIu64, exam->file_bytes_limit,
               largest);
    if (exam->free_bytes < room)
        advise(exam, "disk_room", "make room on the disk, or move the store",
               "%" PRIu64 " bytes are free, and a merge may take %" PRIu64 " for a while",
               exam->free_bytes, room);
}

/* Of most tables, if they were written with this memory. */
static uint64_t filter_bits(const struct examination *exam)
{
    const loam_options *options = &exam->db->options;
    const bool locates = options->filter_bits_per_key == 0 &&
                         exam->entry_count < options->memory_bytes / LOCATED_SHARE;
    return locates ? LOCATOR_BITS : db_filter_bits(exam->db);
}

static void examine_settings(struct examination *exam)
{
    const loam_options *options = &exam->db->options;
    const uint64_t filters = exam->entry_count * filter_bits(exam) / 8;
    const uint64_t metadata = filters + exam->page_count * INDEX_BYTES_OF_PAGE;
    if (options->memory_bytes > exam->machine_bytes / 4 * 3)
        advise(exam, "memory_above_machine",
               "open it with less memory_bytes: a quarter is the default",
               "memory_bytes is %" PRIu64 ", and the machine or the cgroup has %" PRIu64,
               options->memory_bytes, exam->machine_bytes);
    if (metadata > options->memory_bytes / 2)
        advise(exam, "memory_below_tables", "open it with more memory_bytes",
               "indexes and filters of all tables take about %" PRIu64
               " bytes, and memory_bytes is "
               "%" PRIu64 ": they are read again and again",
               metadata, options->memory_bytes);
    if (exam->sync_ns > (uint64_t)SYNC_SLOW_MS * 1000000)
        advise(exam, "slow_sync",
               "write in batches, from several threads, or with LOAM_DURABLE_PERIODIC",
               "a sync takes %" PRIu64 " ms, and each commit waits for one",
               exam->sync_ns / 1000000);
}

/* ---- what was looked at ------------------------------------------------------------------------ */

static void tell_surroundings(struct examination *exam)
{
    static const char *const durabilities[] = {[LOAM_DURABLE_COMMIT] = "commit",
                                               [LOAM_DURABLE_PERIODIC] = "periodic",
                                               [LOAM_DURABLE_PROCESS] = "process"};
    struct findings *findings = &exam->findings;
    const loam_options *options = &exam->db->options;
    finding_begin(findings, "machine", 1);
    fact_number(findings, "memory_bytes", LOAM_FACT_SIZE, exam->machine_bytes);
    fact_number(findings, "free_bytes", LOAM_FACT_SIZE, exam->free_bytes);
    if (exam->file_limit != UINT64_MAX) fact_count(findings, "files_limit", exam->file_limit);
    if (exam->file_bytes_limit != UINT64_MAX)
        fact_number(findings, "file_size_limit", LOAM_FACT_SIZE, exam->file_bytes_limit);
    fact_number(findings, "log_can_be_mapped", LOAM_FACT_FLAG, store_is_mappable(exam->db->store));
    finding_send(findings);
    finding_begin(findings, "settings", 1);
    fact_text(findings, "durability", durabilities[options->durability]);
    if (exam->sync_ns > 0) fact_number(findings, "sync_ns", LOAM_FACT_NS, exam->sync_ns);
    fact_number(findings, "memory_bytes", LOAM_FACT_SIZE, options->memory_bytes);
    fact_number(findings, "memtable_bytes", LOAM_FACT_SIZE, options->memtable_bytes);
    fact_count(findings, "runs_per_level", options->runs_per_level);
    fact_count(findings, "filter_bits_per_key", filter_bits(exam));
    fact_count(findings, "background_threads", options->background_threads);
    finding_send(findings);
}

static void tell_verdict(struct examination *exam)
{
    struct findings *findings = &exam->findings;
    finding_begin(findings, "store", 1);
    fact_count(findings, "collections", exam->coll_count);
    fact_count(findings, "runs", exam->run_count);
    fact_count(findings, "tables", exam->table_count);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, exam->bytes);
    fact_count(findings, "entries", exam->entry_count);
    fact_count(findings, "tombstones", exam->tombstone_count);
    finding_send(findings);
    finding_begin(findings, "verdict", 1);
    fact_number(findings, "healthy", LOAM_FACT_FLAG, exam->damage_count + exam->advice_count == 0);
    fact_count(findings, "damage", exam->damage_count);
    fact_count(findings, "advice", exam->advice_count);
    fact_count(findings, "notes", exam->note_count);
    finding_send(findings);
}

static loam_status examine(struct examination *exam)
{
    struct findings *findings = &exam->findings;
    loam_status rc = measure(exam);
    if (rc < 0) return rc;
    finding_begin(findings, "doctor", 0);
    fact_text(findings, "directory", store_path(exam->db->store));
    fact_number(findings, "read_only", LOAM_FACT_FLAG, exam->db->options.read_only);
    finding_send(findings);
    tell_surroundings(exam);
    rc = loam_verify_open(exam->db, take_sentence, exam);
    if (rc < 0 && (rc != LOAM_CORRUPT || exam->damage_count == 0)) return rc;
    examine_readers(exam);
    exam->policy = compact_policy(exam->db);
    examine_colls(exam);
    examine_log(exam);
    examine_limits(exam);
    examine_settings(exam);
    tell_verdict(exam);
    if (findings_rc(findings) != LOAM_OK) return LOAM_CONFLICT;
    if (rc == LOAM_CORRUPT)
        rc = failed(rc, "%s: damaged; see what was found", store_path(exam->db->store));
    return rc;
}

loam_status loam_doctor(loam_db *db, loam_found found, void *ctx)
{
    struct examination exam = {.db = db, .mark = atomic_fetch_add(&examinations, 1) + 1};
    loam_status rc = findings_init(&exam.findings, found, ctx);
    if (rc == LOAM_OK) rc = db_check(db);
    if (rc < 0) return rc;
    return examine(&exam);
}
