/*
 * test_threads_views.c - snapshots and iterators show one moment; a killed process leaves one.
 *
 * Each writer counts its commits. A commit is a batch that stamps the writer's count into every collection and puts the
 * count into a window of keys, of which the oldest goes. A stamp also holds how many commits each writer had been
 * told of when this one began. What a reader sees is therefore a vector, one count for each writer, and it must be
 * the same in all collections and by every way of reading; hold whole windows; hold what its own stamps knew of;
 * lie between what had returned before and what had begun after. And of two vectors that were ever seen, by whomever,
 * one holds the other: then all views are prefixes of one order of commits.
 */
#include "../lib/crew.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WRITERS = 3,
    READERS = 3,
    COLLS = 3,
    WINDOW = 40,
    HELD = 3,
    SEEN_MAX = 200000,
    CHECKPOINTS_MAX = 100,
    SAID_BYTES = 4 * (WRITERS + 1) /* of a stamp: its count, and what was known */
};

static const char *const coll_names[COLLS] = {"default", "one", "two"};

struct moment {
    uint32_t counts[WRITERS];
};

struct counts { /* shared with the process that is killed */
    _Atomic uint32_t begun[WRITERS], returned[WRITERS];
};

struct watch {
    loam_coll *colls[COLLS];
    struct counts *counts;
    struct moment *seen; /* of all readers */
    _Atomic size_t seen_count;
    const char *home; /* for checkpoints */
};

/* ---- writers ------------------------------------------------------------------------------------ */

static struct moment what_returned(const struct watch *watch)
{
    struct moment moment;
    for (int i = 0; i < WRITERS; i++)
        moment.counts[i] = atomic_load_explicit(&watch->counts->returned[i], CREW_ORDER);
    return moment;
}

static struct moment what_began(const struct watch *watch)
{
    struct moment moment;
    for (int i = 0; i < WRITERS; i++)
        moment.counts[i] = atomic_load_explicit(&watch->counts->begun[i], CREW_ORDER);
    return moment;
}

static loam_slice stamp_key(char text[static 24], int writer)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "stamp/%d", writer));
}

static loam_slice window_key(char text[static 24], int writer, uint32_t count)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "window/%d/%08u", writer, count));
}

static void fill_batch(struct hand *hand, loam_batch *batch, int writer, uint32_t count)
{
    const struct watch *watch = hand->ctx;
    const struct moment known = what_returned(watch);
    uint8_t value[3000];
    char text[24];
    memset(value, 'v', sizeof value);
    memcpy(value, &count, sizeof count);
    memcpy(value + sizeof count, &known, sizeof known);
    loam_batch_clear(batch);
    for (int i = 0; i < COLLS; i++) {
        const size_t len = SAID_BYTES + (rand_below(&hand->rand, 50) == 0 ? 2900 : 20);
        const loam_slice bytes = loam_bytes(value, len);
        crew_expect(hand,
                    loam_batch_put(batch, watch->colls[i], stamp_key(text, writer), bytes) == 0);
        crew_expect(hand, loam_batch_put(batch, watch->colls[i], window_key(text, writer, count),
                                         bytes) == 0);
        if (count > WINDOW)
            crew_expect(hand, loam_batch_delete(batch, watch->colls[i],
                                                window_key(text, writer, count - WINDOW)) == 0);
    }
}

static void write_commits(struct hand *hand)
{
    struct watch *watch = hand->ctx;
    const int writer = hand->number;
    uint32_t count = atomic_load_explicit(&watch->counts->returned[writer], CREW_ORDER);
    loam_batch *batch = loam_batch_new();
    while (crew_goes_on(hand)) {
        const uint64_t choice = rand_below(&hand->rand, 40);
        const loam_durability how = choice == 0   ? LOAM_DURABLE_COMMIT
                                    : choice < 20 ? LOAM_DURABLE_PROCESS
                                                  : LOAM_DURABLE_PERIODIC;
        fill_batch(hand, batch, writer, ++count);
        atomic_store_explicit(&watch->counts->begun[writer], count, CREW_ORDER);
        if (!crew_expect(hand, loam_write(hand->crew->db, batch, how) == LOAM_OK)) break;
        atomic_store_explicit(&watch->counts->returned[writer], count, CREW_ORDER);
        atomic_fetch_add_explicit(&hand->crew->did, 1, memory_order_relaxed);
    }
    loam_batch_free(batch);
}

static void tidy(struct hand *hand)
{
    struct watch *watch = hand->ctx;
    while (crew_goes_on(hand)) {
        loam_coll *coll = watch->colls[rand_below(&hand->rand, COLLS)];
        const loam_range range = {.prefix = loam_str("window/1")};
        const uint64_t choice = rand_below(&hand->rand, 10);
        const loam_status rc = choice < 5 ? loam_flush(hand->crew->db, coll)
                               : choice < 9
                                   ? loam_compact(hand->crew->db, coll, choice == 8 ? &range : NULL)
                                   : loam_sync(hand->crew->db);
        crew_expect(hand, rc == LOAM_OK);
    }
}

/* ---- what a view shows ---------------------------------------------------------------------------- */

struct view_of { /* one collection at one moment */
    struct hand *hand;
    loam_coll *coll;
    const loam_snapshot *snap;
};

/* Notes the count of a stamp; *known becomes at least what the stamp knew. */
static void take_stamp(struct hand *hand, int writer, loam_slice value, struct moment *moment,
                       struct moment *known)
{
    struct moment then;
    if (!crew_expect(hand, value.len >= SAID_BYTES)) return;
    memcpy(&moment->counts[writer], value.data, sizeof(uint32_t));
    memcpy(&then, (const uint8_t *)value.data + sizeof(uint32_t), sizeof then);
    for (int i = 0; i < WRITERS; i++)
        if (then.counts[i] > known->counts[i]) known->counts[i] = then.counts[i];
}

static bool is_within(const struct moment *less, const struct moment *more)
{
    for (int i = 0; i < WRITERS; i++)
        if (less->counts[i] > more->counts[i]) return false;
    return true;
}

static bool is_same(const struct moment *a, const struct moment *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct moment read_by_key(const struct view_of *view)
{
    struct moment moment = {{0}}, known = {{0}};
    loam_buf found = {0};
    char text[24];
    for (int i = 0; i < WRITERS; i++) {
        const loam_status rc =
            loam_get_at(view->hand->crew->db, view->coll, view->snap, stamp_key(text, i), &found);
        crew_expect(view->hand, rc == LOAM_OK || rc == LOAM_NOTFOUND);
        if (rc == LOAM_OK)
            take_stamp(view->hand, i, loam_bytes(found.data, found.len), &moment, &known);
    }
    crew_expect(view->hand, is_within(&known, &moment));
    loam_buf_free(&found);
    return moment;
}

/* The windows of a full walk, either way: whole, and ending where the stamps say. */
static struct moment read_by_walk(const struct view_of *view, bool backward)
{
    struct moment moment = {{0}}, known = {{0}};
    uint32_t least[WRITERS], most[WRITERS] = {0}, held[WRITERS] = {0};
    const loam_range range = {.at = view->snap};
    loam_iter *it;
    loam_status rc;
    if (!crew_expect(view->hand,
                     loam_iter_open(view->hand->crew->db, view->coll, &range, &it) == 0))
        return moment;
    memset(least, 0xff, sizeof least);
    while ((rc = backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK) {
        char text[24] = "";
        int writer = 0;
        uint32_t count = 0;
        memcpy(text, loam_iter_key(it).data, loam_iter_key(it).len % sizeof text);
        if (sscanf(text, "stamp/%d", &writer) == 1) {
            take_stamp(view->hand, writer % WRITERS, loam_iter_value(it), &moment, &known);
        } else if (crew_expect(view->hand, sscanf(text, "window/%d/%u", &writer, &count) == 2)) {
            if (count < least[writer % WRITERS]) least[writer % WRITERS] = count;
            if (count > most[writer % WRITERS]) most[writer % WRITERS] = count;
            held[writer % WRITERS]++;
        }
    }
    crew_expect(view->hand, rc == LOAM_NOTFOUND);
    loam_iter_close(it);
    crew_expect(view->hand, is_within(&known, &moment));
    for (int i = 0; i < WRITERS; i++) {
        const uint32_t count = moment.counts[i], want = count < WINDOW ? count : WINDOW;
        crew_expect(view->hand, held[i] == want && most[i] == count);
        crew_expect(view->hand, want == 0 || least[i] == count - want + 1);
    }
    return moment;
}

/* The ends of each window and a place in it, by prefix, seeks and turns, keys alone. */
static struct moment read_by_seeks(const struct view_of *view)
{
    struct moment moment = {{0}};
    struct hand *hand = view->hand;
    for (int i = 0; i < WRITERS; i++) {
        char prefix[16], text[24];
        loam_iter *it;
        snprintf(prefix, sizeof prefix, "window/%d/", i);
        const loam_range range = {
            .at = view->snap, .prefix = loam_str(prefix), .flags = LOAM_KEYS_ONLY};
        if (!crew_expect(hand, loam_iter_open(hand->crew->db, view->coll, &range, &it) == 0)) break;
        if (loam_iter_last(it) == LOAM_OK) {
            memcpy(text, loam_iter_key(it).data, 17);
            text[17] = '\0';
            const uint32_t count = moment.counts[i] = (uint32_t)strtoul(text + 9, NULL, 10);
            const uint32_t size = count < WINDOW ? count : WINDOW;
            const uint32_t at = count - (uint32_t)rand_below(&hand->rand, size);
            const loam_slice key = window_key(text, i, at);
            crew_expect(hand, loam_iter_seek(it, key) == LOAM_OK);
            crew_expect(hand, memcmp(loam_iter_key(it).data, text, key.len) == 0);
            crew_expect(hand, loam_iter_prev(it) == (at + size > count + 1 ? 0 : LOAM_NOTFOUND));
            crew_expect(hand, loam_iter_next(it) == LOAM_OK);
            crew_expect(hand, memcmp(loam_iter_key(it).data, text, key.len) == 0);
            crew_expect(hand, loam_iter_seek_back(it, key) == LOAM_OK);
            crew_expect(hand, loam_iter_value(it).data == NULL);
            crew_expect(hand, loam_iter_next(it) == (at < count ? LOAM_OK : LOAM_NOTFOUND));
            crew_expect(hand, loam_iter_first(it) == LOAM_OK);
            window_key(text, i, count - size + 1);
            crew_expect(hand, memcmp(loam_iter_key(it).data, text, key.len) == 0);
        }
        loam_iter_close(it);
    }
    return moment;
}

static struct moment read_view(const struct view_of *view)
{
    switch (rand_below(&view->hand->rand, 4)) {
    case 0:
        return read_by_key(view);
    case 1:
        return read_by_walk(view, false);
    case 2:
        return read_by_walk(view, true);
    default:
        return read_by_seeks(view);
    }
}

/* ---- readers --------------------------------------------------------------------------------------- */

static void note_seen(struct watch *watch, const struct moment *moment)
{
    const size_t at = atomic_fetch_add_explicit(&watch->seen_count, 1, memory_order_relaxed);
    if (at < SEEN_MAX) watch->seen[at] = *moment;
}

/* All collections at one snapshot show one moment. */
static struct moment read_snapshot(struct hand *hand, const loam_snapshot *snap)
{
    const struct watch *watch = hand->ctx;
    struct moment first = {{0}};
    const uint64_t start = rand_below(&hand->rand, COLLS);
    for (uint64_t i = 0; i < COLLS; i++) {
        const struct view_of view = {hand, watch->colls[(start + i) % COLLS], snap};
        const struct moment moment = read_view(&view);
        if (i == 0) first = moment;
        crew_expect(hand, is_same(&first, &moment));
    }
    return first;
}

/* An iterator without a snapshot shows the moment of its opening. */
static void look_now(struct hand *hand)
{
    struct watch *watch = hand->ctx;
    const struct view_of view = {hand, watch->colls[rand_below(&hand->rand, COLLS)], NULL};
    const struct moment before = what_returned(watch);
    const struct moment moment = read_by_walk(&view, rand_below(&hand->rand, 2));
    const struct moment after = what_began(watch);
    crew_expect(hand, is_within(&before, &moment) && is_within(&moment, &after));
    note_seen(watch, &moment);
}

static void read_moments(struct hand *hand)
{
    struct watch *watch = hand->ctx;
    loam_snapshot *snaps[HELD] = {NULL};
    struct moment moments[HELD], last = {{0}};
    while (crew_goes_on(hand)) {
        const size_t at = (size_t)rand_below(&hand->rand, HELD);
        if (rand_below(&hand->rand, 3) == 0) look_now(hand);
        if (snaps[at] == NULL) {
            const struct moment before = what_returned(watch);
            if (!crew_expect(hand, loam_snapshot_open(hand->crew->db, &snaps[at]) == 0)) break;
            const struct moment after = what_began(watch);
            moments[at] = read_snapshot(hand, snaps[at]);
            crew_expect(hand, is_within(&before, &moments[at]) && is_within(&moments[at], &after));
            crew_expect(hand, is_within(&last, &moments[at]));
            last = moments[at];
            note_seen(watch, &last);
            continue;
        }
        const struct moment again = read_snapshot(hand, snaps[at]);
        crew_expect(hand, is_same(&again, &moments[at]));
        if (rand_below(&hand->rand, 2) > 0) continue;
        loam_snapshot_close(snaps[at]);
        snaps[at] = NULL;
    }
    for (size_t i = 0; i < HELD; i++)
        loam_snapshot_close(snaps[i]);
}

/* What is in the store now, read by every way. */
static struct moment read_all(struct fixture *f, struct watch *watch, uint64_t seed)
{
    struct crew crew = {.db = f->db, .ctx = watch, .seed = seed};
    struct hand hand = {.crew = &crew, .ctx = watch, .rand = {seed}};
    const struct view_of first = {&hand, watch->colls[0], NULL};
    const struct moment moment = read_by_key(&first);
    for (int i = 0; i < COLLS; i++) {
        const struct view_of view = {&hand, watch->colls[i], NULL};
        const struct moment walked[] = {read_by_key(&view), read_by_walk(&view, false),
                                        read_by_walk(&view, true), read_by_seeks(&view)};
        for (size_t way = 0; way < sizeof walked / sizeof walked[0]; way++)
            crew_expect(&hand, is_same(&moment, &walked[way]));
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
    assert_int_equal(crew.wrong, 0);
    return moment;
}

/* So does a checkpoint, also by the calls that know no snapshots. */
static void take_checkpoints(struct hand *hand)
{
    struct watch *watch = hand->ctx;
    char dir[256];
    for (int i = 0; i < CHECKPOINTS_MAX && crew_goes_on(hand); i++) {
        loam_checkpoint_options options = loam_checkpoint_options_default();
        snprintf(dir, sizeof dir, "%s/copy %d", watch->home, i);
        options.copy = rand_below(&hand->rand, 2) == 0;
        const struct moment before = what_returned(watch);
        if (!crew_expect(hand, loam_checkpoint(hand->crew->db, dir, &options) == LOAM_OK)) break;
        const struct moment after = what_began(watch);
        struct fixture copy = {0};
        struct watch inside = {.counts = watch->counts};
        loam_options read_only = fixture_options();
        read_only.read_only = true;
        crew_expect(hand, loam_open(dir, &read_only, &copy.db) == LOAM_OK);
        if (copy.db == NULL) break;
        for (int c = 0; c < COLLS; c++)
            crew_expect(hand, loam_collection(copy.db, coll_names[c], &inside.colls[c]) == LOAM_OK);
        const struct moment moment = read_all(&copy, &inside, hand->rand.state);
        crew_expect(hand, is_within(&before, &moment) && is_within(&moment, &after));
        note_seen(watch, &moment);
        crew_expect(hand, loam_close(copy.db) == LOAM_OK);
    }
}

static int compare_moments(const void *a, const void *b)
{
    const struct moment *left = a, *right = b;
    uint64_t left_sum = 0, right_sum = 0;
    for (int i = 0; i < WRITERS; i++) {
        left_sum += left->counts[i];
        right_sum += right->counts[i];
    }
    return (left_sum > right_sum) - (left_sum < right_sum);
}

static void check_chain(struct watch *watch)
{
    const size_t seen = atomic_load(&watch->seen_count);
    const size_t count = seen < SEEN_MAX ? seen : SEEN_MAX;
    qsort(watch->seen, count, sizeof *watch->seen, compare_moments);
    for (size_t i = 1; i < count; i++)
        if (!is_within(&watch->seen[i - 1], &watch->seen[i]))
            fail_msg("two views of which neither holds the other");
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void open_watch(struct fixture *f, struct watch *watch, uint64_t seed, struct sys_table sys)
{
    crew_open(f, seed, sys);
    for (int i = 0; i < COLLS; i++) {
        const loam_status rc = loam_create(f->db, coll_names[i], NULL, &watch->colls[i]);
        assert_true(rc == LOAM_OK || rc == LOAM_EXISTS);
    }
}

static struct counts *new_counts(void)
{
    void *shared = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    return shared;
}

static void every_view_is_a_prefix_of_one_order(void **state)
{
    const struct crew_job jobs[] = {{write_commits, WRITERS},
                                    {read_moments, READERS},
                                    {tidy, 1},
                                    {take_checkpoints, 1},
                                    {NULL, 0}};
    const uint64_t seed = crew_seed();
    struct watch watch = {.counts = new_counts(), .seen = calloc(SEEN_MAX, sizeof *watch.seen)};
    struct crew crew = {.ctx = &watch, .seed = seed};
    assert_non_null(watch.seen);
    watch.home = ((struct fixture *)*state)->home;
    open_watch(*state, &watch, seed, crew_hasty());
    crew.db = ((struct fixture *)*state)->db;
    crew_run(&crew, jobs, 2000);
    fixture_close(*state);
    open_watch(*state, &watch, seed + 1, sys_posix());
    const struct moment now = read_all(*state, &watch, seed), returned = what_returned(&watch);
    assert_true(is_same(&now, &returned));
    note_seen(&watch, &now);
    check_chain(&watch);
    print_message("# %llu commits; %zu views are prefixes of them\n",
                  (unsigned long long)atomic_load(&crew.did), atomic_load(&watch.seen_count));
    munmap(watch.counts, sizeof *watch.counts);
    free(watch.seen);
}

/* The child's whole life: it is killed in the middle. */
static void live_until_killed(struct fixture *f, struct watch *watch, uint64_t seed)
{
    const struct crew_job jobs[] = {{write_commits, WRITERS}, {tidy, 1}, {NULL, 0}};
    struct crew crew = {.ctx = watch, .seed = seed};
    open_watch(f, watch, seed, sys_posix());
    crew.db = f->db;
    crew_start(&crew, jobs);
    while (atomic_load(&crew.wrong) == 0)
        crew_rest(5);
    _exit(1);
}

/* The child is at work; a slow machine takes its time. */
static void wait_for_commits(const struct watch *watch, uint32_t count)
{
    for (int tries = 0; tries < 6000 && atomic_load(&watch->counts->returned[0]) < count; tries++)
        crew_rest(10);
    assert_true(atomic_load(&watch->counts->returned[0]) >= count);
}

static void a_killed_process_leaves_a_prefix_with_all_that_returned(void **state)
{
    enum { KILLS = 6 };
    struct fixture *f = *state;
    struct watch watch = {.counts = new_counts()};
    struct moment last = {{0}};
    struct rand chance = {crew_seed()};
    int status;
    for (uint64_t kill_number = 0; kill_number < KILLS; kill_number++) {
        const uint64_t seed = crew_seed() + kill_number;
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) live_until_killed(f, &watch, seed);
        wait_for_commits(&watch, last.counts[0] + 3);
        crew_rest(rand_below(&chance, 200));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* not ended by itself, with a complaint */
        const struct moment returned = what_returned(&watch), began = what_began(&watch);
        open_watch(f, &watch, seed, sys_posix());
        last = read_all(f, &watch, seed);
        assert_true(is_within(&returned, &last) && is_within(&last, &began));
        fixture_close(f);
        for (int i = 0; i < WRITERS; i++) {
            atomic_store(&watch.counts->returned[i], last.counts[i]);
            atomic_store(&watch.counts->begun[i], last.counts[i]);
        }
    }
    print_message("# %d kills; %u commits of the first writer were there at the end\n", KILLS,
                  last.counts[0]);
    munmap(watch.counts, sizeof *watch.counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(every_view_is_a_prefix_of_one_order),
        test_closed(a_killed_process_leaves_a_prefix_with_all_that_returned),
    };
    return cmocka_run_group_tests_name("threads/views", tests, NULL, NULL);
}
