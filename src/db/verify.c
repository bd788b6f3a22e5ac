/*
 * verify.c - reads every byte of a store and says what is wrong with it; see loam.h.
 *
 * Opening has already read root, manifest and log, and checked every checksum in them and how they refer to each other; what is left are the
 * tables: their bytes, their order, and their places in the levels.
 */

#include "base/status.h"
#include "db/db.h"

#include "base/poison.h"

struct report {
    void (*line)(void *ctx, const char *text);
    void *ctx;
    loam_status worst;
};

static void say_fault(struct report *report, loam_status rc, const char *text)
{
    if (rc == LOAM_OK) return;
    if (report->worst == LOAM_OK || rc == LOAM_CORRUPT) report->worst = rc;
    if (text != NULL && report->line != NULL) report->line(report->ctx, text);
}

static void table_fault(void *ctx, const char *text)
{
    say_fault(ctx, LOAM_CORRUPT, text);
}

static void verify_view(struct report *report, const struct view *view)
{
    const loam_status rc = version_check(view->version);
    if (rc < 0) say_fault(report, rc, loam_errmsg());
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &view->version->levels[level];
        for (uint32_t i = 0; i < runs->run_count; i++) {
            for (uint32_t t = 0; t < runs->runs[i]->table_count; t++) {
                const loam_status found =
                    table_verify(runs->runs[i]->tables[t].table, table_fault, report);
                /* A fault was said by the table itself; what kept it from being read was not. */
                if (found < 0)
                    say_fault(report, found, found == LOAM_CORRUPT ? NULL : loam_errmsg());
            }
        }
    }
}

loam_status loam_verify_open(loam_db *db, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct report report = {.line = line, .ctx = ctx, .worst = LOAM_OK};
    const loam_status rc = db_check(db);
    if (rc < 0) return rc;
    mutex_lock(&db->names);
    loam_coll *coll = db->all; /* handles are only ever added in front, and live as long as db */
    mutex_unlock(&db->names);
    for (; coll != NULL; coll = coll->all_next) {
        struct view *view = view_acquire(coll);
        verify_view(&report, view);
        view_unref(view);
    }
    if (report.worst == LOAM_CORRUPT)
        return failed(LOAM_CORRUPT, "%s: damaged; see the faults that were listed",
                      store_path(db->store));
    return report.worst;
}

loam_status db_verify_in(const struct db_world *world, const char *dir,
                         void (*line)(void *ctx, const char *text), void *ctx)
{
    loam_db *db;
    loam_options options = loam_options_default();
    options.read_only = true;
    loam_status rc = db_open_in(world, dir, &options, &db);
    if (rc == LOAM_CORRUPT && line != NULL) line(ctx, loam_errmsg());
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
