/*
 * model_run.c - one random history against the model; see model_run.h.
 */
#include "lib/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/option_sets.h"

/* ---- time -------------------------------------------------------------------------------------- */

/* What the store takes the time for: it stands still while the wall clock is behind. */
uint64_t model_run_clock(const struct model_run *h)
{
    const uint64_t wall_ms = h->world.sys.calls->wall_ms(h->disk), seen_ms = h->db->clock_ms;
    return wall_ms > seen_ms ? wall_ms : seen_ms;
}

/* ---- the two pictures ------------------------------------------------------------------------ */

void model_run_free_steps(struct model_run *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        step_free(&h->pending[i]);
    memmove(h->pending, h->pending + count, (h->pending_count - count) * sizeof *h->pending);
    h->pending_count -= count;
}

static void apply_durably(struct model_run *h, const struct step *step)
{
    step_apply(h->durable, step);
    if (step->caller_index > 0) h->durable_index = step->caller_index;
}

/* All that was committed so far is now promised to survive a loss of power. */
void model_run_durable(struct model_run *h)
{
    for (size_t i = 0; i < h->pending_count; i++)
        apply_durably(h, &h->pending[i]);
    model_run_free_steps(h, h->pending_count);
}

void model_run_committed(struct model_run *h, const struct step *steps, size_t count, bool durable)
{
    if (h->pending_count + count > PENDING_MAX) {
        expect(h, loam_sync(h->db) == LOAM_OK);
        model_run_durable(h);
    }
    h->logged_ms = h->db->clock_ms;
    for (size_t i = 0; i < count; i++) {
        step_apply(h->model, &steps[i]);
        if (steps[i].caller_index > 0) h->index = steps[i].caller_index;
        h->pending[h->pending_count] = steps[i];
        h->pending[h->pending_count++].last = i + 1 == count;
    }
    if (durable) model_run_durable(h);
}

/* ---- opening, dying -------------------------------------------------------------------------- */

static void choose_options(struct model_run *h)
{
    static const uint32_t runs[] = {1, 2, 3, 8};
    static const uint64_t memtables[] = {16 << 10, 24 << 10, 64 << 10, 1 << 20};
    static const uint32_t filters[] = {0, 10, LOAM_NO_FILTER};
    h->options = loam_options_default();
    h->options.memory_bytes = 4 << 20;
    h->options.memtable_bytes = memtables[rand_below(&h->rand, 4)];
    h->options.runs_per_level = runs[rand_below(&h->rand, 4)];
    h->options.filter_bits_per_key = filters[rand_below(&h->rand, 3)];
    h->options.durability = (loam_durability)(1 + rand_below(&h->rand, 3));
    h->options.feed_bytes =
        rand_below(&h->rand, 2) == 0 ? 0 : UINT64_C(16384) << rand_below(&h->rand, 8);
    h->options.merge_operators = &model_tail;
    h->options.merge_operator_count = 1;
    h->options.archive = h->archive.name[0] != '\0' ? h->archive.name : NULL;
    h->world = (struct db_world){.sys = simdisk_table(h->disk),
                                 .threaded = false,
                                 .mapped_log = rand_below(&h->rand, 2) == 0,
                                 .page_bytes = rand_below(&h->rand, 2) == 0 ? 256 : 0,
                                 .log_bytes_least = UINT64_C(16384) << rand_below(&h->rand, 3),
                                 .seed = rand_next(&h->rand)};
}

void model_run_open(struct model_run *h)
{
    choose_options(h);
    option_sets_note(&h->options, &h->world);
    expect(h, db_open_in(&h->world, h->dir, &h->options, &h->db) == LOAM_OK);
}

void model_run_close_snapshot(struct model_run *h, size_t i)
{
    loam_snapshot_close(h->snaps[i]);
    model_free(h->snap_models[i]);
    h->snaps[i] = NULL;
    h->snap_models[i] = NULL;
}

void model_run_close_snapshots(struct model_run *h)
{
    for (size_t i = 0; i < SNAPSHOTS; i++)
        model_run_close_snapshot(h, i);
}

static uint64_t present_index(struct model_run *h)
{
    uint64_t index;
    expect(h, loam_index(h->db, &index) == LOAM_OK);
    return index;
}

void model_run_check(struct model_run *h)
{
    expect(h, present_index(h) == h->index);
    const char *differs = model_differs_by(h->model, h->db, model_run_clock(h));
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
}

void model_run_reopen(struct model_run *h)
{
    model_run_close_snapshots(h);
    model_feed_suspend(h);
    const uint64_t clock_ms = model_run_clock(h);
    const bool asks = h->db->may_expire;
    expect(h, loam_close(h->db) == LOAM_OK);
    model_run_durable(h);
    if (rand_below(&h->rand, 3) == 0) {
        model_follow_forget(h);
        simdisk_kill(h->disk);
        simdisk_power_loss(h->disk, (enum simdisk_loss)rand_below(&h->rand, SIMDISK_LOSSES));
    }
    h->reopens++;
    model_run_open(h);
    expect(h, !asks || model_run_clock(h) >= clock_ms);
    model_run_check(h);
}

/* The process is gone: what is left of the handle is freed on a dead disk. */
static void die(struct model_run *h)
{
    simdisk_kill(h->disk);
    model_run_close_snapshots(h);
    model_feed_suspend(h);
    const loam_status rc = loam_close(h->db);
    (void)rc;
}

/* The clock may be where it was earlier: of what has expired since, the store has said nothing, or nothing that it had to
   remember. */
void model_run_clock_fell(struct model_run *h)
{
    model_free(h->model);
    h->model = model_copy(h->durable);
    for (size_t i = 0; i < h->pending_count; i++)
        step_apply(h->model, &h->pending[i]);
}

void model_run_kill(struct model_run *h)
{
    die(h);
    h->deaths++;
    model_run_open(h);
    expect(h, model_run_clock(h) >= h->logged_ms);
    model_run_clock_fell(h);
    model_run_check(h);
}

/* One commit more. */
static void apply_next(struct model_run *h, size_t *at)
{
    do {
        apply_durably(h, &h->pending[*at]);
    } while (!h->pending[(*at)++].last);
}

/* Finds the commit up to which the store came back, and goes on from there. What one commit changes, the next may change back: the
   index tells such apart. */
void model_run_lose_power(struct model_run *h)
{
    model_follow_forget(h);
    die(h);
    model_feed_forget(h);
    simdisk_power_loss(h->disk, (enum simdisk_loss)rand_below(&h->rand, SIMDISK_LOSSES));
    h->losses++;
    model_run_open(h);
    h->logged_ms = 0;
    const char *differs = model_differs_by(h->durable, h->db, model_run_clock(h));
    size_t at = 0;
    while ((differs != NULL || present_index(h) != h->durable_index) && at < h->pending_count) {
        apply_next(h, &at);
        differs = model_differs_by(h->durable, h->db, model_run_clock(h));
    }
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: no commit fits: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
    expect(h, present_index(h) == h->durable_index);
    model_free(h->model);
    h->model = model_copy(h->durable);
    h->index = h->durable_index;
    model_run_free_steps(h, h->pending_count);
    /* What was read is shown; from now on it has to stay. */
}
