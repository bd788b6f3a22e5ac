/*
 * verify.c - reads every byte of a store and says what is wrong with it; see loam.h.
 *
 * Opening has already read root, manifest and log, and checked every checksum in them and how they refer to each other. What is left are the
 * tables: their bytes, their order, and their places in the levels; and, while nobody writes, what opening can do without in log and manifest,
 * and the files that nothing refers to. These are lawful: a crash leaves them behind. What does not open for its log has its tables
 * verified all the same.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

enum { UNOPENED_CACHE_BYTES = 4 << 20 };

static _Atomic uint64_t
    walks; /* counts them; the number is the mark of a table that was verified */

struct report {
    void (*line)(void *ctx, const char *text);
    void *ctx;
    loam_status worst;
    uint64_t walk;
};

static void say_fault(struct report *report, loam_status rc, const char *text)
{
    if (rc == LOAM_OK) return;
    if (report->worst == LOAM_OK || rc == LOAM_CORRUPT) report->worst = rc;
    if (text != NULL && report->line != NULL) report->line(report->ctx, text);
}

static void file_fault(void *ctx, const char *text)
{
    say_fault(ctx, LOAM_CORRUPT, text);
}

/* ---- the log, the manifest, and what nothing refers to --------------------------------------- */

static loam_status pass_over(void *ctx, const struct wal_commit *commit)
{
    (void)ctx, (void)commit;
    return LOAM_OK;
}

static loam_status verify_log(struct report *report, const loam_db *db)
{
    struct wal_past past;
    struct wal_tail tail;
    loam_status rc = db_wal_past(db, &past);
    if (rc < 0) return rc;
    rc = wal_read(&past, pass_over, NULL, &tail);
    if (rc == LOAM_OK) {
        rc = wal_verify(&past, &tail, file_fault, report);
        wal_tail_deinit(&tail);
    }
    wal_past_deinit(&past);
    return rc;
}

struct leftovers {
    struct report *report;
    loam_db *db;
};

static void note_leftover(void *ctx, const char *name)
{
    const struct leftovers *leftovers = ctx;
    const struct report *report = leftovers->report;
    char text[OBJECT_NAME_BYTES + 120];
    enum object_kind kind;
    struct object_id id;
    if (!object_name_parse(name, &kind, &id)) return;
    if (db_wants_object(leftovers->db, kind, id)) return;
    const struct log_bounds bounds = catalog_log_bounds(leftovers->db->catalog);
    if (kind == OBJECT_SEGMENT && id.epoch == bounds.epoch &&
        id.number >= bounds.floor_segment.number)
        return; /* of the log, or made ready for it */
    (void)snprintf(text, sizeof text,
                   "%s: no fault: nothing refers to it; the next opening that writes deletes it",
                   name);
    if (report->line != NULL) report->line(report->ctx, text);
}

static void note_foreign(void *ctx, const char *name)
{
    const struct leftovers *leftovers = ctx;
    const struct report *report = leftovers->report;
    char text[STATUS_TEXT_MAX];
    const char *odd = store_odd_kind(leftovers->db->store, name);
    (void)snprintf(text, sizeof text, "%.255s: no fault: it is %s%sno part of the store", name,
                   odd != NULL ? odd : "", odd != NULL ? ", and " : "");
    if (report->line != NULL) report->line(report->ctx, text);
}

/* What stands still only while nobody writes. */
static void verify_files(struct report *report, loam_db *db)
{
    struct leftovers leftovers = {report, db};
    loam_status rc = manifest_verify(db->store, &db->root, file_fault, report);
    if (rc >= 0) rc = verify_log(report, db);
    if (rc >= 0) rc = store_list(db->store, note_leftover, &leftovers);
    if (rc >= 0) rc = store_list_foreign(db->store, note_foreign, &leftovers);
    if (rc < 0) say_fault(report, rc, loam_errmsg());
}

/* ---- tables ----------------------------------------------------------------------------------- */

/* Clones share tables: each is read once. */
static void verify_table(struct report *report, struct table *table)
{
    if (table_mark(table, report->walk) == report->walk) return;
    const loam_status found = table_verify(table, file_fault, report);
    /* A fault was said by the table itself; what kept it from being read was not. */
    if (found < 0) say_fault(report, found, found == LOAM_CORRUPT ? NULL : loam_errmsg());
}

static void verify_version(struct report *report, const struct version *version)
{
    const loam_status rc = version_check(version);
    if (rc < 0) say_fault(report, rc, loam_errmsg());
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &version->levels[level];
        for (uint32_t i = 0; i < runs->run_count; i++) {
            for (uint32_t t = 0; t < runs->runs[i]->table_count; t++)
                verify_table(report, runs->runs[i]->tables[t].table);
        }
    }
}

loam_status loam_verify_open(loam_db *db, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct report report = {.line = line, .ctx = ctx, .walk = atomic_fetch_add(&walks, 1) + 1};
    const loam_status rc = db_check(db);
    if (rc < 0) return rc;
    if (db->options.read_only && !db->options.follow) verify_files(&report, db);
    mutex_lock(&db->names);
    loam_coll *coll = db->all; /* handles are only ever added in front, and live as long as db */
    mutex_unlock(&db->names);
    for (; coll != NULL; coll = coll->all_next) {
        struct view *view = view_acquire(coll);
        verify_version(&report, view->version);
        view_unref(view);
    }
    if (report.worst == LOAM_CORRUPT)
        return failed(LOAM_CORRUPT, "%s: damaged; see the faults that were listed",
                      store_path(db->store));
    return report.worst;
}

/* ---- a store that does not open ----------------------------------------------------------------- */

static void delete_nothing(void *ctx, struct object_id id)
{
    (void)ctx, (void)id;
}

/* Where root and manifest are whole, the tables are known, whatever became of the log. */
static void verify_known_tables(struct report *report, struct store *store, struct catalog *catalog)
{
    struct root root;
    loam_status rc = db_read_root(store, &root);
    if (rc == LOAM_OK) rc = manifest_load(store, &root, catalog, NULL);
    if (rc == LOAM_OK) rc = manifest_verify(store, &root, file_fault, report);
    for (size_t i = 0; rc == LOAM_OK && i < catalog_coll_count(catalog); i++)
        verify_version(report, catalog_coll_at(catalog, i)->version);
}

/* What keeps a store from being opened was said, and is the answer; what else is wrong with it is only said. */
static void verify_unopened(struct report *report, const struct db_world *world, const char *dir)
{
    const struct store_options options = {.read_only = true, .must_exist = true};
    struct catalog_config config = {.delete_object = delete_nothing};
    struct catalog *catalog = NULL;
    bool is_new;
    loam_status rc = store_open(world->sys, dir, &options, &is_new, &config.store);
    if (rc == LOAM_OK) rc = page_cache_new(UNOPENED_CACHE_BYTES, &config.cache);
    if (rc == LOAM_OK) rc = catalog_new(&config, &catalog);
    if (rc == LOAM_OK) verify_known_tables(report, config.store, catalog);
    if (catalog != NULL) catalog_free(catalog);
    if (config.cache != NULL) page_cache_free(config.cache);
    store_close(config.store);
}

loam_status db_verify_in(const struct db_world *world, const char *dir,
                         void (*line)(void *ctx, const char *text), void *ctx)
{
    loam_db *db;
    loam_options options = loam_options_default();
    options.read_only = true;
    loam_status rc = db_open_in(world, dir, &options, &db);
    if (rc == LOAM_CORRUPT && line != NULL) {
        struct report report = {.line = line, .ctx = ctx, .walk = atomic_fetch_add(&walks, 1) + 1};
        struct failure first;
        failure_save(&first);
        line(ctx, loam_errmsg());
        verify_unopened(&report, world, dir);
        failure_restore(&first);
    }
    if (rc < 0) return rc;
    rc = loam_verify_open(db, line, ctx);
    const loam_status closed = loam_close(db);
    return rc < 0 ? rc : closed;
}

loam_status loam_verify(const char *dir, void (*line)(void *ctx, const char *text), void *ctx)
{
    const struct db_world world = db_world_real();
    return db_verify_in(&world, dir, line, ctx);
}
