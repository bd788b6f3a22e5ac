/*
 * test_threads_archive.c - a log is archived while it is written, collections are cloned, flushed and merged, and checkpoints are taken; then all
 * of it is restored from each of those, and nothing may differ.
 *
 * Commits fall between the flush of a clone's source and the clone: they are the source's alone, also in what is restored.
 */
#include "../lib/crew.h"

#include <stdio.h>

enum { WRITERS = 2, CLONES_MAX = 12, CHECKPOINTS_MAX = 3, KEYS = 500, PADDING = 300 };

struct yard {
    struct fixture *f;
    loam_coll *source;
    _Atomic int checkpoints;
};

static void write_all_the_time(struct hand *hand)
{
    static const char padding[PADDING];
    struct yard *yard = hand->ctx;
    char text[32];
    while (crew_goes_on(hand)) {
        const uint64_t key = rand_below(&hand->rand, KEYS), len = rand_below(&hand->rand, PADDING);
        const loam_slice slice =
            loam_bytes(text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)key));
        const loam_status rc =
            len % 5 == 0 ? loam_delete(hand->crew->db, yard->source, slice)
                         : loam_put(hand->crew->db, yard->source, slice, loam_bytes(padding, len));
        crew_expect(hand, rc == LOAM_OK);
    }
}

static void clone_now_and_then(struct hand *hand)
{
    char from[32] = "source", to[32];
    for (int i = 0; i < CLONES_MAX && crew_goes_on(hand); i++) {
        snprintf(to, sizeof to, "clone %d", i);
        crew_expect(hand, loam_clone(hand->crew->db, from, to, NULL) == LOAM_OK);
        if (i % 3 == 2) snprintf(from, sizeof from, "clone %d", i);
        if (i % 3 == 0) snprintf(from, sizeof from, "source");
        if (i % 4 == 3) crew_expect(hand, loam_compact(hand->crew->db, NULL, NULL) == LOAM_OK);
        crew_rest(20);
        atomic_fetch_add(&hand->crew->did, 1);
    }
}

static void take_checkpoints(struct hand *hand)
{
    struct yard *yard = hand->ctx;
    char dir[300];
    for (int i = 0; i < CHECKPOINTS_MAX && crew_goes_on(hand); i++) {
        snprintf(dir, sizeof dir, "%s/copy %d", yard->f->home, i);
        if (crew_expect(hand, loam_checkpoint(hand->crew->db, dir, NULL) == LOAM_OK))
            atomic_fetch_add(&yard->checkpoints, 1);
        crew_rest(150);
    }
}

struct pair {
    loam_db *original, *restored;
};

static void compare_coll(void *ctx, const char *name)
{
    const struct pair *pair = ctx;
    loam_db *const dbs[2] = {pair->original, pair->restored};
    loam_coll *colls[2];
    loam_iter *its[2];
    loam_status rc;
    for (int i = 0; i < 2; i++) {
        expect_ok(loam_collection(dbs[i], name, &colls[i]));
        expect_ok(loam_iter_open(dbs[i], colls[i], NULL, &its[i]));
    }
    do {
        rc = loam_iter_next(its[0]);
        assert_int_equal(loam_iter_next(its[1]), rc);
        if (rc != LOAM_OK) break;
        const loam_slice keys[2] = {loam_iter_key(its[0]), loam_iter_key(its[1])};
        if (keys[0].len != keys[1].len || memcmp(keys[0].data, keys[1].data, keys[0].len) != 0)
            fail_msg("%s: another key", name);
        if (loam_iter_value(its[0]).len != loam_iter_value(its[1]).len)
            fail_msg("%s: another value of %.*s", name, (int)keys[0].len,
                     (const char *)keys[0].data);
    } while (rc == LOAM_OK);
    assert_int_equal(rc, LOAM_NOTFOUND);
    loam_iter_close(its[0]);
    loam_iter_close(its[1]);
}

static void restore_and_compare(struct fixture *f, const char *archive, int checkpoint)
{
    char from[300], target[300];
    struct pair pair;
    loam_options open = fixture_options();
    loam_restore_options options = {
        .struct_size = sizeof options, .archive = archive, .options = &open};
    snprintf(from, sizeof from, "%s/copy %d", f->home, checkpoint);
    snprintf(target, sizeof target, "%s/restored %d", f->home, checkpoint);
    expect_ok(loam_restore(from, target, &options, NULL));
    open.read_only = true;
    expect_ok(loam_open(f->store, &open, &pair.original));
    expect_ok(loam_open(target, &open, &pair.restored));
    expect_ok(loam_collections(pair.original, compare_coll, &pair));
    expect_ok(loam_close(pair.original));
    expect_ok(loam_close(pair.restored));
}

static void what_was_archived_beside_everything_restores_all(void **state)
{
    struct fixture *f = *state;
    struct yard yard = {.f = f};
    struct crew crew = {.ctx = &yard, .seed = crew_seed()};
    const struct crew_job jobs[] = {
        {write_all_the_time, WRITERS}, {clone_now_and_then, 1}, {take_checkpoints, 1}, {NULL, 0}};
    char archive[300];
    snprintf(archive, sizeof archive, "%s/archive", f->home);
    loam_options options = crew_options(crew.seed);
    options.archive = archive;
    crew_open_as(f, &options, crew.seed, crew_hasty());
    crew.db = f->db;
    expect_ok(loam_create(f->db, "source", NULL, &yard.source));
    crew_run(&crew, jobs, 2000);
    expect_ok(loam_close(f->db));
    f->db = NULL;
    const int checkpoints = atomic_load(&yard.checkpoints);
    assert_true(checkpoints > 0);
    for (int i = 0; i < checkpoints; i++)
        restore_and_compare(f, archive, i);
    print_message("# %llu clones, %zu segments\n", (unsigned long long)atomic_load(&crew.did),
                  fixture_file_count(archive));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(what_was_archived_beside_everything_restores_all),
    };
    return cmocka_run_group_tests_name("threads/archive", tests, NULL, NULL);
}
