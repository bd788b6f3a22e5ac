/*
 * model_restore.c - moments of a random history are restored; see model_restore.h.
 */
#include "lib/model_restore.h"
#include "lib/model_feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void name_archive(struct model_run *h)
{
    (void)snprintf(h->archive.name, sizeof h->archive.name, "archive %u", h->archive.names++);
}

void model_restore_begin(struct model_run *h)
{
    if (rand_below(&h->rand, 2) == 0) name_archive(h);
}

/* Nothing of it has expired: whoever opens it is told another time. */
static struct model *present(const struct model_run *h)
{
    struct model *model = model_copy(h->durable);
    for (size_t i = 0; i < h->pending_count; i++)
        step_apply(model, &h->pending[i]);
    return model;
}

static void forget_moment(struct model_run *h, size_t i)
{
    struct moment_noted *moments = h->archive.moments;
    model_free(moments[i].model);
    moments[i] = moments[--h->archive.moment_count];
}

void model_restore_note(struct model_run *h)
{
    const uint64_t seq = commit_last_seq(h->db);
    if (h->archive.from[0] == '\0' || seq == 0) return;
    if (h->archive.moment_count == MOMENTS_MAX)
        forget_moment(h, (size_t)rand_below(&h->rand, MOMENTS_MAX));
    h->archive.moments[h->archive.moment_count++] = (struct moment_noted){seq, present(h)};
}

void model_restore_from(struct model_run *h, const char *dir)
{
    if (h->archive.name[0] == '\0') return;
    if (h->archive.from[0] != '\0' && rand_below(&h->rand, 2) == 0) return; /* older ones do, too */
    memcpy(h->archive.from, dir, sizeof h->archive.from);
    h->archive.from_seq = commit_last_seq(h->db);
}

static void forget_above(struct model_run *h, uint64_t seq)
{
    for (size_t i = h->archive.moment_count; i-- > 0;)
        if (h->archive.moments[i].seq > seq) forget_moment(h, i);
}

void model_restore_lost(struct model_run *h)
{
    forget_above(h, commit_last_seq(h->db));
}

void model_restore_passed(struct model_run *h)
{
    forget_above(h, 0);
    h->archive.from[0] = '\0';
}

void model_restore_moved(struct model_run *h)
{
    if (h->archive.name[0] == '\0') return;
    model_restore_passed(h);
    name_archive(h);
}

void model_restore_end(struct model_run *h)
{
    forget_above(h, 0);
}

static void check_restored(struct model_run *h, const char *target, const struct model *model)
{
    loam_db *db;
    loam_options options = h->options;
    options.archive = rand_below(&h->rand, 8) == 0 ? h->archive.name : NULL;
    if (options.archive != NULL) { /* it is another store */
        expect(h, db_open_in(&h->world, target, &options, &db) == LOAM_INVALID);
        options.archive = NULL;
    }
    options.read_only = rand_below(&h->rand, 2) == 0;
    expect(h, db_open_in(&h->world, target, &options, &db) == LOAM_OK);
    const uint64_t wall_ms = h->world.sys.calls->wall_ms(h->disk), seen_ms = db->clock_ms;
    const char *differs = model_differs_by(model, db, wall_ms > seen_ms ? wall_ms : seen_ms);
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: restored: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
    expect(h, loam_close(db) == LOAM_OK);
}

/* Also a moment within a batch, which is then not there. */
static void restore_moment(struct model_run *h, const char *target, bool is_complete)
{
    struct moment_noted wanted = {commit_last_seq(h->db), present(h)};
    const size_t choice = (size_t)rand_below(&h->rand, h->archive.moment_count + 1);
    if (choice < h->archive.moment_count) {
        model_free(wanted.model);
        wanted = h->archive.moments[choice];
        wanted.model = model_copy(wanted.model);
    }
    loam_options open = h->options;
    loam_moment reached = {0};
    loam_restore_options options = {.struct_size = sizeof options,
                                    .archive = h->archive.name,
                                    .to = {.seq = wanted.seq},
                                    .options = &open};
    if (is_complete) {
        expect(h, loam_close(h->db) == LOAM_OK);
        model_run_durable(h);
    }
    const loam_status rc = db_restore_in(&h->world, h->archive.from, target, &options, &reached);
    /* What is not closed may not be archived yet, or nothing of it. */
    const bool is_late = rc == LOAM_INVALID && (strstr(loam_errmsg(), "ends before") != NULL ||
                                                strstr(loam_errmsg(), "holds no segment") != NULL);
    const bool is_early = rc == LOAM_INVALID && wanted.seq < h->archive.from_seq;
    expect(h, rc == LOAM_OK || (is_late && !is_complete) || is_early);
    if (rc == LOAM_OK) {
        expect(h, reached.seq == wanted.seq);
        check_restored(h, target, wanted.model);
        h->restores++;
    }
    model_free(wanted.model);
}

void model_restore_try(struct model_run *h, const char *target)
{
    if (h->archive.from[0] == '\0') return;
    const bool closes = rand_below(&h->rand, 3) > 0;
    if (closes) {
        model_run_close_snapshots(h);
        model_feed_suspend(h);
    }
    restore_moment(h, target, closes);
    if (!closes) return;
    model_run_open(h);
    model_run_clock_fell(h);
    model_run_check(h);
}
