/*
 * test_threads_steps.c - a call is halted after each of its instructions, while another thread acts.
 *
 * What two threads do to each other between two instructions a stress test meets by luck. Here the processor's trap
 * flag stops the call under test after every instruction; at each stop the other thread acts once, and the call
 * goes on when that is done, or after a while, since it may hold the lock that the other waits for. So every
 * place is met, in every run: what a reader takes first, its view or its sequence number; whether a
 * sequence number is published before its records are in.
 *
 * STRIDE=n stops at every nth instruction. x86-64 alone; not under ThreadSanitizer, whose own locks it would halt.
 */
#include "../lib/crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CAN_STEP 1
#else
#define CAN_STEP 0
#endif

enum {
    PATIENCE_MS = 300,
    VISITS_MAX =
        2, /* halts at one instruction: a loop that starts again when the world moves must end */
    PLACES = 1 << 14,
    KEYS = 4,
    LOOKS_MAX = 20000
};

struct stage {
    struct fixture *f;
    struct crew crew; /* complaints */
    loam_coll *other_coll;
    loam_coll *doomed;
    uint64_t round; /* what the other thread has written last */
    loam_buf found;
    struct look { /* what a snapshot showed while the call was halted */
        loam_snapshot *snap;
        uint64_t seen[KEYS];
    } * looks;
    size_t look_count;
};

/* ---- halting ----------------------------------------------------------------------------------- */

static int to_other[2], from_other[2]; /* pipes: they may be used in a signal handler */
static volatile sig_atomic_t stepping;
static volatile uint64_t steps, stops, late, stride; /* late: halts that were not waited out */
static volatile uint64_t only_step;                  /* the one at which to halt; 0: at all */
static volatile bool other_is_busy;
static uint8_t visits[PLACES]; /* by the instruction's address */

static void hear_other(int wait_ms)
{
    struct pollfd other = {.fd = from_other[0], .events = POLLIN};
    char word;
    if (poll(&other, 1, wait_ms) == 1 && read(from_other[0], &word, 1) == 1) other_is_busy = false;
}

#if CAN_STEP
enum { TRAP_FLAG = 0x100 };

static void halt_here(int signal, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    const int error = errno;
    (void)signal;
    (void)info;
    if (!stepping) {
        at->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    at->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    if (other_is_busy) hear_other(1); /* it waits for a lock that the call holds, or did */
    uint8_t *here = &visits[(uint64_t)at->uc_mcontext.gregs[REG_RIP] % PLACES];
    if (!other_is_busy && *here < VISITS_MAX &&
        (only_step == 0 ? steps++ % stride == 0 : ++steps == only_step)) {
        ++*here;
        stops++;
        other_is_busy = write(to_other[1], "g", 1) == 1;
        hear_other(PATIENCE_MS);
        late += other_is_busy;
        if (only_step != 0) stepping = 0;
    }
    errno = error;
}
#endif

struct other {
    struct stage *stage;
    void (*act)(struct stage *stage);
};

static void *other_main(void *arg)
{
    const struct other *other = arg;
    char word;
    while (read(to_other[0], &word, 1) == 1 && word == 'g') {
        other->act(other->stage);
        if (write(from_other[1], "d", 1) != 1) abort();
    }
    return NULL;
}

static void halt_call(struct stage *stage, void (*call)(struct stage *stage),
                      void (*act)(struct stage *stage))
{
    struct other other = {stage, act};
    pthread_t thread;
    assert_int_equal(pipe(to_other), 0);
    assert_int_equal(pipe(from_other), 0);
    assert_int_equal(pthread_create(&thread, NULL, other_main, &other), 0);
    steps = stops = late = 0;
    memset(visits, 0, sizeof visits);
    stepping = 1;
    raise(SIGTRAP);
    call(stage);
    stepping = 0;
    while (other_is_busy)
        hear_other(-1);
    assert_int_equal(write(to_other[1], "e", 1), 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        close(to_other[i]);
        close(from_other[i]);
    }
}

/* Runs call(stage), and act(stage) on the other thread after each of its instructions. */
static void halt_everywhere(struct stage *stage, const char *name,
                            void (*call)(struct stage *stage), void (*act)(struct stage *stage))
{
    call(stage); /* what happens at the first time only, like binding of symbols, is over */
    only_step = 0;
    const uint64_t slowdown = crew_number("SLOWDOWN", 1);
    stride = crew_number("STRIDE", slowdown > 1 ? 4 * slowdown : 1);
    halt_call(stage, call, act);
    print_message("# %s: halted %llu times, %llu of them too short for the other\n", name,
                  (unsigned long long)stops, (unsigned long long)late);
    if (atomic_load(&stage->crew.wrong) > 0) fail_msg("%s", name);
    assert_true(stops > 100 / stride);
}

/* ---- the stage ---------------------------------------------------------------------------------- */

static const char *const KEY[KEYS] = {"a", "b", "c", "d"};

static loam_coll *coll_of(const struct stage *stage, int key)
{
    return key % 2 == 0 ? NULL : stage->other_coll;
}

/* One batch that sets all keys, in both collections, to one number. */
static void write_all(struct stage *stage, uint64_t number)
{
    loam_batch *batch = loam_batch_new();
    for (int i = 0; i < KEYS; i++)
        (void)loam_batch_put(batch, coll_of(stage, i), loam_str(KEY[i]),
                             loam_bytes(&number, sizeof number));
    if (loam_write(stage->f->db, batch, LOAM_DURABLE_PROCESS) != LOAM_OK)
        crew_complain(&stage->crew, "write: %s", loam_errmsg());
    loam_batch_free(batch);
}

static uint64_t read_key(struct stage *stage, int key, const loam_snapshot *snap, loam_buf *found)
{
    uint64_t number = 0;
    const loam_status rc =
        loam_get_at(stage->f->db, coll_of(stage, key), snap, loam_str(KEY[key]), found);
    if (rc != LOAM_OK || found->len != sizeof number)
        crew_complain(&stage->crew, "%s, which was always there: %s", KEY[key],
                      loam_status_name(rc));
    else
        memcpy(&number, found->data, sizeof number);
    return number;
}

static void set_up_stage(struct stage *stage, struct fixture *f)
{
    *stage = (struct stage){.f = f, .round = 1};
#if CAN_STEP
    struct sigaction action = {.sa_sigaction = halt_here, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
#else
    skip();
#endif
    crew_open(f, crew_seed(), crew_hasty());
    expect_ok(loam_create(f->db, "other", NULL, &stage->other_coll));
    write_all(stage, stage->round);
}

/* ---- a reader is halted: what it may see is overwritten, flushed, and merged away ----------------- */

static void move_the_world(struct stage *stage)
{
    write_all(stage, ++stage->round);
    if (loam_compact(stage->f->db, NULL, NULL) != LOAM_OK)
        crew_complain(&stage->crew, "compact: %s", loam_errmsg());
}

static void get(struct stage *stage)
{
    (void)read_key(stage, 0, NULL, &stage->found);
}

static void open_a_snapshot(struct stage *stage)
{
    loam_snapshot *snap;
    if (loam_snapshot_open(stage->f->db, &snap) != LOAM_OK)
        crew_complain(&stage->crew, "snapshot: %s", loam_errmsg());
    stepping = 0;
    move_the_world(stage); /* what it needs stays */
    const uint64_t number = read_key(stage, 0, snap, &stage->found);
    for (int i = 1; i < KEYS; i++)
        if (read_key(stage, i, snap, &stage->found) != number)
            crew_complain(&stage->crew, "a snapshot shows half a batch");
    loam_snapshot_close(snap);
}

static void open_an_iterator(struct stage *stage)
{
    loam_iter *it;
    if (loam_iter_open(stage->f->db, NULL, NULL, &it) != LOAM_OK)
        crew_complain(&stage->crew, "iterator: %s", loam_errmsg());
    stepping = 0;
    move_the_world(stage); /* what it needs stays */
    uint64_t numbers[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        if (loam_iter_next(it) != LOAM_OK || loam_iter_value(it).len != sizeof numbers[0])
            crew_complain(&stage->crew, "the iterator misses what was always there");
        else
            memcpy(&numbers[i], loam_iter_value(it).data, sizeof numbers[0]);
    }
    if (numbers[0] != numbers[1]) crew_complain(&stage->crew, "an iterator shows half a batch");
    if (loam_iter_prev(it) != LOAM_OK || loam_iter_next(it) != LOAM_OK ||
        loam_iter_next(it) != LOAM_NOTFOUND)
        crew_complain(&stage->crew, "the iterator's turn");
    loam_iter_close(it);
}

static void halted_reader(struct fixture *f, const char *name, void (*call)(struct stage *stage))
{
    struct stage stage;
    set_up_stage(&stage, f);
    halt_everywhere(&stage, name, call, move_the_world);
    loam_buf_free(&stage.found);
}

static void a_get_takes_its_view_before_its_sequence(void **state)
{
    halted_reader(*state, "get", get);
}

static void a_snapshot_keeps_what_it_saw(void **state)
{
    halted_reader(*state, "snapshot", open_a_snapshot);
}

static void an_iterator_takes_its_view_before_its_sequence(void **state)
{
    halted_reader(*state, "iterator", open_an_iterator);
}

/* ---- a writer is halted: what others see of it is nothing, until it is all ------------------------- */

static void look(struct stage *stage)
{
    static loam_buf found;
    if (stage->look_count == LOOKS_MAX) return;
    struct look *look = &stage->looks[stage->look_count];
    if (loam_snapshot_open(stage->f->db, &look->snap) != LOAM_OK) {
        crew_complain(&stage->crew, "snapshot: %s", loam_errmsg());
        return;
    }
    stage->look_count++;
    for (int i = 0; i < KEYS; i++) {
        look->seen[i] = read_key(stage, i, look->snap, &found);
        if (look->seen[i] != look->seen[0]) crew_complain(&stage->crew, "half a batch is seen");
    }
    if (stage->look_count > 1 && look->seen[0] < look[-1].seen[0])
        crew_complain(&stage->crew, "what was seen is gone");
    loam_buf_free(&found);
}

/* With all halts behind: each snapshot still shows what it showed. */
static void look_again(struct stage *stage)
{
    for (size_t at = 0; at < stage->look_count; at++) {
        const struct look *look = &stage->looks[at];
        for (int i = 0; i < KEYS; i++)
            if (read_key(stage, i, look->snap, &stage->found) != look->seen[i])
                crew_complain(&stage->crew, "a snapshot shows what it did not show before");
        loam_snapshot_close(look->snap);
    }
}

static void write_once(struct stage *stage)
{
    write_all(stage, ++stage->round);
}

static void flush_once(struct stage *stage)
{
    if (loam_flush(stage->f->db, NULL) != LOAM_OK)
        crew_complain(&stage->crew, "flush: %s", loam_errmsg());
}

static void halt_writer(struct stage *stage, const char *name, void (*call)(struct stage *stage))
{
    stage->looks = calloc(LOOKS_MAX, sizeof *stage->looks);
    assert_non_null(stage->looks);
    halt_everywhere(stage, name, call, look);
    look_again(stage);
    assert_int_equal(stage->crew.wrong, 0);
    assert_int_equal(read_key(stage, 0, NULL, &stage->found), stage->round);
    loam_buf_free(&stage->found);
    free(stage->looks);
}

static void halted_writer(struct fixture *f, const char *name, void (*call)(struct stage *stage))
{
    struct stage stage;
    set_up_stage(&stage, f);
    halt_writer(&stage, name, call);
}

static void a_batch_is_seen_when_all_of_it_is_in(void **state)
{
    halted_writer(*state, "write", write_once);
}

static void a_flush_changes_nothing_that_is_seen(void **state)
{
    halted_writer(*state, "flush", flush_once);
}

/* ---- bulk loads, of all keys of one collection ------------------------------------------------------ */

static loam_ingest *put_all(struct stage *stage, uint64_t number)
{
    loam_ingest *ingest;
    loam_status rc = loam_ingest_begin(stage->f->db, NULL, &ingest);
    for (int i = 0; rc == LOAM_OK && i < KEYS; i++)
        rc = loam_ingest_put(ingest, loam_str(KEY[i]), loam_bytes(&number, sizeof number));
    if (rc != LOAM_OK) crew_complain(&stage->crew, "ingest: %s", loam_errmsg());
    return ingest;
}

/* Only what publishes it is halted. */
static void ingest_once(struct stage *stage)
{
    const sig_atomic_t halts = stepping;
    stepping = 0;
    loam_ingest *ingest = put_all(stage, ++stage->round);
    stepping = halts;
    if (halts) raise(SIGTRAP);
    const loam_status rc = loam_ingest_commit(ingest);
    stepping = 0;
    loam_ingest_close(ingest);
    if (rc != LOAM_OK) crew_complain(&stage->crew, "ingest: %s", loam_errmsg());
}

/* And then one of the keys once more: who sees that sees the ingest. The memtable that readers know is left empty for the next one. */
static void ingest_and_put(struct stage *stage)
{
    const uint64_t number = ++stage->round;
    loam_ingest *ingest = put_all(stage, number);
    loam_status rc = loam_ingest_commit(ingest);
    loam_ingest_close(ingest);
    if (rc == LOAM_OK)
        rc = loam_put(stage->f->db, NULL, loam_str(KEY[0]), loam_bytes(&number, sizeof number));
    if (rc == LOAM_OK) rc = loam_flush(stage->f->db, NULL);
    if (rc != LOAM_OK) crew_complain(&stage->crew, "ingest: %s", loam_errmsg());
}

static void walk_all(struct stage *stage)
{
    uint64_t first = 0, number;
    loam_iter *it;
    if (loam_iter_open(stage->f->db, NULL, NULL, &it) != LOAM_OK)
        crew_complain(&stage->crew, "iterator: %s", loam_errmsg());
    stepping = 0;
    for (int i = 0; i < KEYS && loam_iter_next(it) == LOAM_OK; i++) {
        memcpy(&number, loam_iter_value(it).data, sizeof number);
        if (i == 0) first = number;
        if (number != first) crew_complain(&stage->crew, "an iterator shows half an ingest");
    }
    loam_iter_close(it);
}

static void an_ingest_is_seen_when_all_of_it_is_in(void **state)
{
    struct stage stage;
    set_up_stage(&stage, *state);
    stage.other_coll = NULL;
    write_all(&stage, stage.round);
    halt_writer(&stage, "ingest", ingest_once);
}

static void who_sees_a_commit_behind_an_ingest_sees_that(void **state)
{
    struct stage stage;
    set_up_stage(&stage, *state);
    stage.other_coll = NULL;
    write_all(&stage, stage.round);
    halt_everywhere(&stage, "iterator over an ingest", walk_all, ingest_and_put);
    assert_int_equal(stage.crew.wrong, 0);
}

/* ---- a reader is halted once: its collection is dropped ----------------------------------------------- */

static void drop_it(struct stage *stage)
{
    if (loam_drop(stage->f->db, "doomed") != LOAM_OK)
        crew_complain(&stage->crew, "drop: %s", loam_errmsg());
}

static void get_doomed(struct stage *stage)
{
    const loam_status rc = loam_get(stage->f->db, stage->doomed, loam_str("a"), &stage->found);
    if (rc != LOAM_OK && rc != LOAM_MISUSE)
        crew_complain(&stage->crew, "a get while its collection is dropped: %s",
                      loam_status_name(rc));
}

static void walk_doomed(struct stage *stage)
{
    loam_iter *it;
    const loam_status rc = loam_iter_open(stage->f->db, stage->doomed, NULL, &it);
    if (rc != LOAM_OK && rc != LOAM_MISUSE)
        crew_complain(&stage->crew, "iterator: %s", loam_status_name(rc));
    if (rc == LOAM_OK && loam_iter_next(it) != LOAM_OK)
        crew_complain(&stage->crew, "an iterator on a collection that is dropped shows nothing");
    loam_iter_close(it);
}

/* At every fifth instruction or so of the first ones; the drop itself happens once only. */
static void halted_while_dropped(struct fixture *f, void (*call)(struct stage *stage))
{
    struct stage stage;
    set_up_stage(&stage, f);
    for (uint64_t step = 1; step < 450 && stage.crew.wrong == 0; step += 5) {
        expect_ok(loam_create(f->db, "doomed", NULL, &stage.doomed));
        put_text(f->db, stage.doomed, "a", "there");
        if (step == 1) call(&stage);
        only_step = step;
        halt_call(&stage, call, drop_it);
        if (stops == 0) expect_ok(loam_drop(f->db, "doomed"));
    }
    loam_buf_free(&stage.found);
    assert_int_equal(stage.crew.wrong, 0);
}

static void a_get_never_misses_what_is_there_until_the_drop(void **state)
{
    halted_while_dropped(*state, get_doomed);
}

static void an_iterator_never_misses_what_is_there_until_the_drop(void **state)
{
    halted_while_dropped(*state, walk_doomed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(a_get_takes_its_view_before_its_sequence),
        test_closed(a_snapshot_keeps_what_it_saw),
        test_closed(an_iterator_takes_its_view_before_its_sequence),
        test_closed(a_batch_is_seen_when_all_of_it_is_in),
        test_closed(a_flush_changes_nothing_that_is_seen),
        test_closed(who_sees_a_commit_behind_an_ingest_sees_that),
        test_closed(an_ingest_is_seen_when_all_of_it_is_in),
        test_closed(a_get_never_misses_what_is_there_until_the_drop),
        test_closed(an_iterator_never_misses_what_is_there_until_the_drop),
    };
    return cmocka_run_group_tests_name("threads/steps", tests, NULL, NULL);
}
