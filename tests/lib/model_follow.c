/*
 * model_follow.c - who follows a random history; see model_follow.h.
 */
#include "lib/model_follow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/model_run.h"

static void compare(struct model_run *h, const char *when)
{
    const struct model_follow *follow = &h->follow;
    uint64_t index;
    expect(h, loam_index(follow->db, &index) == LOAM_OK && index == follow->index);
    const char *differs = model_differs_by(follow->model, follow->db, model_run_clock(h));
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: the follower %s: %s",
                 (unsigned long long)h->seed, (unsigned long long)h->ops, when, differs);
}

/* Both tell the time alike, also where a clock was set back. */
static void tell_time(struct model_run *h)
{
    expiry_note_time(h->follow.db, model_run_clock(h));
}

static void take_picture(struct model_run *h)
{
    if (h->follow.model != NULL) model_free(h->follow.model);
    h->follow.model = model_copy(h->model);
    h->follow.index = h->index;
}

static void open_follower(struct model_run *h)
{
    loam_options options = loam_options_default();
    struct db_world world = h->world;
    options.memory_bytes = 4 << 20;
    options.merge_operators = &model_tail;
    options.merge_operator_count = 1;
    options.follow = true;
    expect(h, db_open_in(&world, h->dir, &options, &h->follow.db) == LOAM_OK);
}

void model_follow_use(struct model_run *h)
{
    struct model_follow *follow = &h->follow;
    simdisk_beside(h->disk, true);
    if (follow->db == NULL) {
        open_follower(h);
    } else {
        tell_time(h);
        compare(h, "does not stand still");
        expect(h, loam_refresh(follow->db) == LOAM_OK);
    }
    tell_time(h);
    take_picture(h);
    compare(h, "differs");
    h->follows++;
    if (rand_below(&h->rand, 12) == 0) model_follow_forget(h);
    simdisk_beside(h->disk, false);
}

void model_follow_forget(struct model_run *h)
{
    struct model_follow *follow = &h->follow;
    if (follow->db == NULL) return;
    expect(h, loam_close(follow->db) == LOAM_OK);
    model_free(follow->model);
    *follow = (struct model_follow){0};
}
