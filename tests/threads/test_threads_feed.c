/*
 * test_threads_feed.c - feeds are read while writers commit, collections come and go, and the log is flushed and used again.
 *
 * Each writer commits pairs of ascending numbers, both of a pair in one batch, and tells before and after how far it is; one of
 * them numbers its commits for itself as well. A feed tells sequence numbers without a gap, both halves of a pair together, and when it says
 * that nothing came, all that was acknowledged before it was asked has been told. What fell behind begins again where it is told to.
 */
#include "../lib/crew.h"

#include <stdio.h>
#include <stdlib.h>

enum { WRITERS = 3, READERS = 3, PADDING = 600 };

struct yard {
    _Atomic uint32_t begun[WRITERS], done[WRITERS]; /* pairs */
    _Atomic uint64_t behind;
};

static void write_pairs(struct hand *hand)
{
    static const char padding[PADDING];
    struct yard *yard = hand->ctx;
    loam_batch *batch = loam_batch_new();
    char text[24];
    for (uint32_t number = 1; crew_goes_on(hand); number++) {
        loam_batch_clear(batch);
        for (int half = 0; half < 2; half++) {
            const int len = snprintf(text, sizeof text, "%d/%08u/%d", hand->number, number, half);
            crew_expect(hand, loam_batch_put(batch, NULL, loam_bytes(text, (size_t)len),
                                             loam_bytes(padding, number % PADDING)) == LOAM_OK);
        }
        if (hand->number == 0) crew_expect(hand, loam_batch_set_index(batch, number) == LOAM_OK);
        const bool syncs = rand_below(&hand->rand, 50) == 0;
        atomic_store_explicit(&yard->begun[hand->number], number, CREW_ORDER);
        crew_expect(hand,
                    loam_write(hand->crew->db, batch,
                               syncs ? LOAM_DURABLE_COMMIT : LOAM_DURABLE_DEFAULT) == LOAM_OK);
        atomic_store_explicit(&yard->done[hand->number], number, CREW_ORDER);
    }
    loam_batch_free(batch);
}

static void change_all_the_time(struct hand *hand)
{
    loam_db *db = hand->crew->db;
    loam_coll *coll;
    while (crew_goes_on(hand)) {
        crew_expect(hand, loam_create(db, "first", NULL, &coll) == LOAM_OK);
        crew_expect(hand, loam_put(db, coll, loam_str("in it"), loam_str("v")) == LOAM_OK);
        crew_expect(hand, loam_rename(db, "first", "second") == LOAM_OK);
        crew_expect(hand, loam_put(db, coll, loam_str("in it"), loam_str("v")) == LOAM_OK);
        crew_expect(hand, loam_flush(db, NULL) == LOAM_OK);
        crew_expect(hand, loam_drop(db, "second") == LOAM_OK);
    }
}

static void ask_for_the_index(struct hand *hand)
{
    struct yard *yard = hand->ctx;
    uint64_t index;
    while (crew_goes_on(hand)) {
        const uint32_t done = atomic_load_explicit(&yard->done[0], CREW_ORDER);
        crew_expect(hand, loam_index(hand->crew->db, &index) == LOAM_OK);
        crew_expect(hand,
                    index >= done && index <= atomic_load_explicit(&yard->begun[0], CREW_ORDER));
    }
}

struct listener {
    loam_feed *feed;
    uint64_t seq;           /* of the last event */
    uint32_t told[WRITERS]; /* pairs; 0: none since it began */
    bool in_pair;
};

static bool is_called(const loam_event *event, const char *name)
{
    return event->coll_name == NULL || strcmp(event->coll_name, name) == 0;
}

static void take_event(struct hand *hand, struct listener *l, const loam_event *event)
{
    int writer, half;
    unsigned number;
    char text[24] = "";
    crew_expect(hand, event->seq == l->seq + 1);
    l->seq = event->seq;
    atomic_fetch_add(&hand->crew->did, 1);
    if (event->kind != LOAM_EVENT_PUT || event->coll_id != 0) {
        crew_expect(hand, event->ends_commit && !l->in_pair);
        const bool is_first = event->kind == LOAM_EVENT_CREATE;
        const bool is_second = event->kind == LOAM_EVENT_RENAME || event->kind == LOAM_EVENT_DROP;
        if (is_first) crew_expect(hand, is_called(event, "first"));
        if (is_second) crew_expect(hand, is_called(event, "second"));
        return;
    }
    crew_expect(hand, event->key.len < sizeof text);
    memcpy(text, event->key.data, event->key.len);
    crew_expect(hand, sscanf(text, "%d/%u/%d", &writer, &number, &half) == 3);
    crew_expect(hand, (half == 1) == event->ends_commit && (half == 1) == l->in_pair);
    crew_expect(hand, l->told[writer] == 0 || number == l->told[writer] + (half == 0));
    crew_expect(hand, event->caller_index == (writer == 0 ? number : 0));
    crew_expect(hand, event->value.len == number % PADDING);
    l->told[writer] = number;
    l->in_pair = half == 0;
}

static void listen(struct hand *hand, struct listener *l)
{
    struct yard *yard = hand->ctx;
    loam_event event = {.struct_size = sizeof event};
    const bool naps = rand_below(&hand->rand, 3) == 0;
    for (int i = 0; i < 3000 && crew_goes_on(hand); i++) {
        uint32_t done[WRITERS];
        for (int w = 0; w < WRITERS; w++)
            done[w] = atomic_load_explicit(&yard->done[w], CREW_ORDER);
        const loam_status rc =
            loam_feed_next(l->feed, (uint32_t)rand_below(&hand->rand, 3), &event);
        if (rc == LOAM_OK) take_event(hand, l, &event);
        for (int w = 0; rc == LOAM_NOTFOUND && w < WRITERS; w++)
            crew_expect(hand, l->told[w] == 0 || l->told[w] >= done[w]);
        if (rc == LOAM_CONFLICT) { /* begin again */
            atomic_fetch_add(&yard->behind, 1);
            crew_expect(hand, event.seq > l->seq + 1);
            loam_feed_close(l->feed);
            *l = (struct listener){.seq = event.seq - 1};
            if (!crew_expect(hand, loam_feed_open(hand->crew->db, l->seq, &l->feed) == LOAM_OK))
                return;
        } else if (!crew_expect(hand, rc == LOAM_OK || rc == LOAM_NOTFOUND)) {
            return;
        }
        if (naps && rand_below(&hand->rand, 300) == 0) crew_rest(60);
    }
}

static void read_feeds(struct hand *hand)
{
    struct listener l = {.seq = 0};
    while (crew_goes_on(hand)) {
        /* Where the last one ended, or anew. */
        if (rand_below(&hand->rand, 3) == 0) l = (struct listener){.seq = 0};
        if (!crew_expect(hand, loam_feed_open(hand->crew->db, l.seq, &l.feed) == LOAM_OK)) return;
        listen(hand, &l);
        loam_feed_close(l.feed);
        l.feed = NULL;
    }
}

static void feeds_tell_all_that_is_committed_beside_them(void **state)
{
    struct fixture *f = *state;
    struct yard yard = {.behind = 0};
    struct crew crew = {.ctx = &yard, .seed = crew_seed()};
    const struct crew_job jobs[] = {{write_pairs, WRITERS},
                                    {change_all_the_time, 1},
                                    {ask_for_the_index, 1},
                                    {read_feeds, READERS},
                                    {NULL, 0}};
    loam_options options = crew_options(crew.seed);
    options.feed_bytes = crew.seed % 2 * (256 << 10);
    crew_open_as(f, &options, crew.seed, crew_hasty());
    crew.db = f->db;
    crew_run(&crew, jobs, 3000);
    print_message("# %llu events, %llu times behind\n", (unsigned long long)atomic_load(&crew.did),
                  (unsigned long long)atomic_load(&yard.behind));
    assert_true(atomic_load(&crew.did) > 0);
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    expect_ok(loam_close(f->db));
    f->db = NULL;
    expect_ok(loam_verify(f->store, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(feeds_tell_all_that_is_committed_beside_them),
    };
    return cmocka_run_group_tests_name("threads/feed", tests, NULL, NULL);
}
