/*
 * model_feed.c - a feed of a random history; see model_feed.h.
 */
#include "lib/model_feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/model_run.h"

static const char *known_name(struct model_run *h, const char *name)
{
    size_t at = 0;
    while (at < STEP_COLLS && strcmp(step_names[at], name) != 0)
        at++;
    expect(h, at < STEP_COLLS);
    return step_names[at];
}

static void begin(struct model_run *h)
{
    struct model_feed *feed = &h->feed;
    memset(feed, 0, sizeof *feed);
    feed->fed = model_copy(h->model);
    feed->seq = atomic_load(&h->db->visible);
    for (size_t i = 0; i < STEP_COLLS; i++) {
        loam_coll *coll;
        if (!model_has(h->model, step_names[i])) continue;
        expect(h, loam_collection(h->db, step_names[i], &coll) == LOAM_OK);
        feed->names[coll->id] = step_names[i];
    }
}

/* By the byte that stands for them. */
static void apply_options(struct model_run *h, const char *coll, const loam_coll_options *options)
{
    uint8_t byte = 0;
    loam_coll_options those = model_options(byte);
    while (byte < UINT8_MAX &&
           (those.compression != options->compression || those.ttl_ms != options->ttl_ms))
        those = model_options(++byte);
    const struct model_words words = {.what = 'o', .coll = coll, .value = loam_bytes(&byte, 1)};
    model_step(h->feed.fed, &words);
}

static void apply_change(struct model_run *h, const loam_event *event)
{
    struct model_feed *feed = &h->feed;
    struct model_words words = {.coll = feed->names[event->coll_id]};
    if (event->kind == LOAM_EVENT_OPTIONS) {
        apply_options(h, words.coll, event->options);
        return;
    }
    if (event->kind != LOAM_EVENT_DROP)
        feed->names[event->coll_id] = known_name(h, event->coll_name);
    if (event->kind == LOAM_EVENT_DROP) words.what = '-';
    if (event->kind == LOAM_EVENT_RENAME) words.what = 'r';
    if (event->kind == LOAM_EVENT_CLONE) words.what = 'c';
    if (event->kind == LOAM_EVENT_CREATE) words.what = '+';
    if (event->kind == LOAM_EVENT_CREATE) words.coll = feed->names[event->coll_id];
    if (event->kind == LOAM_EVENT_CLONE) words.coll = feed->names[event->source_id];
    words.to = feed->names[event->coll_id];
    model_step(feed->fed, &words);
}

static void apply_event(struct model_run *h, const loam_event *event)
{
    struct model_feed *feed = &h->feed;
    expect(h, event->seq == feed->seq + 1 && event->coll_id < MODEL_FEED_COLLS_MAX);
    feed->seq = event->seq;
    feed->in_commit = !event->ends_commit;
    model_expire(feed->fed, event->time_ms);
    if (event->kind >= LOAM_EVENT_CREATE) {
        apply_change(h, event);
        return;
    }
    const char *name = feed->names[event->coll_id];
    expect(h, name != NULL);
    expect(h, event->coll_name == NULL || strcmp(event->coll_name, name) == 0);
    if (event->kind == LOAM_EVENT_PUT)
        model_put_until(feed->fed, name, event->key, event->value, event->expires_ms);
    else if (event->kind == LOAM_EVENT_DELETE)
        model_delete(feed->fed, name, event->key);
    else if (event->kind == LOAM_EVENT_MERGE)
        model_merge(feed->fed, name, event->key, event->value);
    else
        model_delete_range(feed->fed, name, event->key, event->value);
}

void model_feed_use(struct model_run *h)
{
    struct model_feed *feed = &h->feed;
    loam_event event = {.struct_size = sizeof event};
    loam_status rc = LOAM_OK;
    if (feed->fed == NULL) begin(h);
    if (feed->feed == NULL) expect(h, loam_feed_open(h->db, feed->seq, &feed->feed) == LOAM_OK);
    while ((rc = loam_feed_next(feed->feed, 0, &event)) == LOAM_OK) {
        if (event.kind == LOAM_EVENT_INGEST) { /* its entries are in no log */
            expect(h, event.seq == feed->seq + 1 && event.ends_commit && event.key.data != NULL);
            model_feed_forget(h);
            return;
        }
        apply_event(h, &event);
    }
    expect(h, rc == LOAM_NOTFOUND || rc == LOAM_CONFLICT);
    expect(h, !feed->in_commit);
    h->feeds_behind += rc == LOAM_CONFLICT;
    h->feeds_equal += rc == LOAM_NOTFOUND;
    if (rc == LOAM_CONFLICT) {
        expect(h, event.seq > feed->seq + 1 && event.seq <= atomic_load(&h->db->visible) + 1);
        model_feed_forget(h);
        return;
    }
    expect(h, feed->seq == atomic_load(&h->db->visible));
    const char *differs = model_differs_by(feed->fed, h->db, model_run_clock(h));
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: the feed: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
    if (rand_below(&h->rand, 4) == 0) model_feed_suspend(h);
}

void model_feed_suspend(struct model_run *h)
{
    loam_feed_close(h->feed.feed);
    h->feed.feed = NULL;
}

void model_feed_forget(struct model_run *h)
{
    model_feed_suspend(h);
    if (h->feed.fed != NULL) model_free(h->feed.fed);
    h->feed.fed = NULL;
}
