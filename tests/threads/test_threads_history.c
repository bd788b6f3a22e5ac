/*
 * test_threads_history.c - what threads did to single keys can be put in an order that explains every answer.
 *
 * Each thread notes its calls with a number of a shared counter before and after. Afterwards each key's calls are
 * replayed in the order of these numbers, keeping every state the key can be in: its value, and which of the
 * calls under way have taken effect. A call that ends must have taken effect in a state that remains; when none
 * remains, the answers are not linearizable. Every value is written once, so an answer names its writer. Writes
 * in a batch, reads in a snapshot and in an iterator are calls on each of their keys. What is found after closing and
 * opening is one more read. (Wing and Gong's check, in Lowe's just-in-time form, for registers.)
 */
#include "../lib/crew.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    THREADS = 6,
    COLLS = 3,
    KEYS = 12, /* of each collection: few, so that calls meet */
    SLOTS = COLLS * KEYS,
    CALLS_MAX = 150000, /* of a thread */
    VALUE_MAX = 40000
};

enum call_kind { CALL_WRITE, CALL_READ, CALL_EXISTS };

struct call {
    uint64_t begun, ended, value; /* value 0: not there; of exists: 0 or 1 */
    uint32_t slot;
    enum call_kind kind;
};

struct record { /* one thread's */
    struct call *calls;
    size_t count;
    uint64_t next_value;
    loam_batch *batch;
    loam_buf found;
    char bytes[VALUE_MAX];
};

struct history {
    loam_coll *colls[COLLS];
    _Atomic uint64_t clock;
    struct record records[THREADS + 1]; /* the last: reads after opening again */
    uint64_t reads, writes, seen_in_views;
};

static uint64_t tick(struct history *h)
{
    return atomic_fetch_add_explicit(&h->clock, 1, CREW_ORDER);
}

static void note(struct record *record, struct call call)
{
    if (record->count < CALLS_MAX) record->calls[record->count++] = call;
}

/* ---- keys and values ------------------------------------------------------------------------------ */

static loam_slice key_of(uint32_t slot, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "key/%02u", slot % KEYS));
}

/* A number and, behind it, filler that follows from it; now and then longer than pages or memtables like. */
static loam_slice value_of(struct hand *hand, struct record *record, uint64_t number)
{
    const uint64_t choice = rand_below(&hand->rand, 100);
    const size_t len = 8 + (size_t)(choice < 90   ? rand_below(&hand->rand, 60)
                                    : choice < 98 ? rand_below(&hand->rand, 3000)
                                                  : rand_below(&hand->rand, VALUE_MAX - 8));
    memcpy(record->bytes, &number, sizeof number);
    memset(record->bytes + 8, (char)('a' + number % 23), len - 8);
    return loam_bytes(record->bytes, len);
}

static uint64_t number_in(struct hand *hand, loam_slice value)
{
    uint64_t number;
    if (!crew_expect(hand, value.len >= sizeof number)) return 0;
    memcpy(&number, value.data, sizeof number);
    for (size_t i = sizeof number; i < value.len; i++)
        if (((const char *)value.data)[i] != (char)('a' + number % 23)) {
            crew_complain(hand->crew, "a value whose bytes are not its own");
            break;
        }
    return number;
}

static uint64_t fresh_value(struct hand *hand, struct record *record)
{
    return ((uint64_t)hand->number + 1) << 40 | ++record->next_value;
}

/* ---- calls ----------------------------------------------------------------------------------------- */

static void write_slot(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    char text[16];
    struct call call = {.slot = (uint32_t)rand_below(&hand->rand, SLOTS)};
    const loam_slice key = key_of(call.slot, text);
    loam_coll *coll = h->colls[call.slot / KEYS];
    if (rand_below(&hand->rand, 4) > 0) {
        call.value = fresh_value(hand, record);
        const loam_slice value = value_of(hand, record, call.value);
        call.begun = tick(h);
        crew_expect(hand, loam_put(hand->crew->db, coll, key, value) == LOAM_OK);
    } else {
        call.begun = tick(h);
        crew_expect(hand, loam_delete(hand->crew->db, coll, key) == LOAM_OK);
    }
    call.ended = tick(h);
    note(record, call);
}

static loam_durability random_durability(struct hand *hand)
{
    const uint64_t choice = rand_below(&hand->rand, 40);
    return choice == 0   ? LOAM_DURABLE_COMMIT
           : choice < 10 ? LOAM_DURABLE_DEFAULT
           : choice < 25 ? LOAM_DURABLE_PERIODIC
                         : LOAM_DURABLE_PROCESS;
}

static void write_batch(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    struct call calls[8];
    const uint32_t count = 2 + (uint32_t)rand_below(&hand->rand, 7);
    const uint32_t first = (uint32_t)rand_below(&hand->rand, SLOTS);
    char text[16];
    loam_batch_clear(record->batch);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t slot = (first + i * 5) % SLOTS; /* in several collections, each once */
        const bool put = rand_below(&hand->rand, 4) > 0;
        calls[i] = (struct call){.slot = slot, .value = put ? fresh_value(hand, record) : 0};
        const loam_slice key = key_of(slot, text);
        loam_coll *coll = h->colls[slot / KEYS];
        const loam_status rc =
            put ? loam_batch_put(record->batch, coll, key, value_of(hand, record, calls[i].value))
                : loam_batch_delete(record->batch, coll, key);
        crew_expect(hand, rc == LOAM_OK);
    }
    const uint64_t begun = tick(h);
    crew_expect(hand,
                loam_write(hand->crew->db, record->batch, random_durability(hand)) == LOAM_OK);
    const uint64_t ended = tick(h);
    for (uint32_t i = 0; i < count; i++) {
        calls[i].begun = begun;
        calls[i].ended = ended;
        note(record, calls[i]);
    }
}

static void read_slot(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    char text[16];
    struct call call = {.slot = (uint32_t)rand_below(&hand->rand, SLOTS), .kind = CALL_READ};
    const loam_slice key = key_of(call.slot, text);
    loam_coll *coll = h->colls[call.slot / KEYS];
    call.begun = tick(h);
    const loam_status rc = loam_get(hand->crew->db, coll, key, &record->found);
    call.ended = tick(h);
    crew_expect(hand, rc == LOAM_OK || rc == LOAM_NOTFOUND);
    if (rc == LOAM_OK)
        call.value = number_in(hand, loam_bytes(record->found.data, record->found.len));
    note(record, call);
}

static void ask_slot(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    char text[16];
    struct call call = {.slot = (uint32_t)rand_below(&hand->rand, SLOTS), .kind = CALL_EXISTS};
    const loam_slice key = key_of(call.slot, text);
    call.begun = tick(h);
    const loam_status rc = loam_exists(hand->crew->db, h->colls[call.slot / KEYS], key);
    call.ended = tick(h);
    crew_expect(hand, rc == LOAM_OK || rc == LOAM_NOTFOUND);
    call.value = rc == LOAM_OK;
    note(record, call);
}

static void read_snapshot(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    loam_snapshot *snap;
    char text[16];
    const uint64_t begun = tick(h);
    if (!crew_expect(hand, loam_snapshot_open(hand->crew->db, &snap) == LOAM_OK)) return;
    const uint64_t ended = tick(h);
    if (rand_below(&hand->rand, 20) == 0) crew_expect(hand, loam_flush(hand->crew->db, NULL) >= 0);
    for (uint32_t slot = (uint32_t)rand_below(&hand->rand, 4); slot < SLOTS; slot += 3) {
        const loam_status rc = loam_get_at(hand->crew->db, h->colls[slot / KEYS], snap,
                                           key_of(slot, text), &record->found);
        crew_expect(hand, rc == LOAM_OK || rc == LOAM_NOTFOUND);
        const loam_slice value = loam_bytes(record->found.data, record->found.len);
        note(record, (struct call){begun, ended, rc == LOAM_OK ? number_in(hand, value) : 0, slot,
                                   CALL_READ});
    }
    loam_snapshot_close(snap);
}

/* A walk over a whole collection, either way, is a read of each of its keys at the moment of opening. */
static void read_walk(struct hand *hand, struct record *record)
{
    struct history *h = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const bool backward = rand_below(&hand->rand, 2) == 0;
    const loam_range range = {.prefix = rand_below(&hand->rand, 2) ? loam_str("key/")
                                                                   : loam_bytes(NULL, 0)};
    uint64_t numbers[KEYS] = {0};
    loam_iter *it;
    loam_status rc;
    const uint64_t begun = tick(h);
    if (!crew_expect(hand, loam_iter_open(hand->crew->db, h->colls[coll], &range, &it) == LOAM_OK))
        return;
    const uint64_t ended = tick(h);
    uint32_t last = backward ? KEYS : UINT32_MAX;
    while ((rc = backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK) {
        const char *key = loam_iter_key(it).data;
        if (!crew_expect(hand, loam_iter_key(it).len == 6)) break;
        const uint32_t number = (uint32_t)(key[4] - '0') * 10 + (uint32_t)(key[5] - '0');
        crew_expect(hand, number < KEYS && (backward ? number < last : number + 1 > last + 1));
        numbers[number % KEYS] = number_in(hand, loam_iter_value(it));
        last = number;
    }
    crew_expect(hand, rc == LOAM_NOTFOUND);
    loam_iter_close(it);
    for (uint32_t i = 0; i < KEYS; i++)
        note(record, (struct call){begun, ended, numbers[i], coll * KEYS + i, CALL_READ});
}

static void tidy(struct hand *hand)
{
    struct history *h = hand->ctx;
    loam_coll *coll = h->colls[rand_below(&hand->rand, COLLS)];
    const loam_range range = {.from = loam_str("key/03"), .to = loam_str("key/07")};
    const uint64_t choice = rand_below(&hand->rand, 8);
    const loam_status rc = choice < 3 ? loam_flush(hand->crew->db, coll)
                           : choice < 5
                               ? loam_compact(hand->crew->db, coll, choice == 3 ? NULL : &range)
                           : choice == 5 ? loam_sync(hand->crew->db)
                                         : loam_verify_open(hand->crew->db, NULL, NULL);
    crew_expect(hand, rc == LOAM_OK);
}

static void live(struct hand *hand)
{
    struct history *h = hand->ctx;
    struct record *record = &h->records[hand->number];
    while (crew_goes_on(hand) && record->count + SLOTS < CALLS_MAX) {
        const uint64_t choice = rand_below(&hand->rand, 1000);
        if (choice < 400)
            write_slot(hand, record);
        else if (choice < 470)
            write_batch(hand, record);
        else if (choice < 800)
            read_slot(hand, record);
        else if (choice < 880)
            ask_slot(hand, record);
        else if (choice < 930)
            read_snapshot(hand, record);
        else if (choice < 990)
            read_walk(hand, record);
        else
            tidy(hand);
    }
}

/* ---- the check --------------------------------------------------------------------------------------- */

struct event {
    uint64_t at;
    const struct call *call;
    uint32_t thread;
    bool ends;
};

struct state {
    uint64_t value;
    uint32_t done; /* a bit for each thread whose call under way has taken effect */
};

struct states {
    struct state *at;
    size_t count, cap;
};

struct replay {
    const struct call *pending[THREADS + 1];
    struct states states;
};

static bool answers(const struct call *call, uint64_t value)
{
    return call->kind == CALL_EXISTS ? (value != 0) == (call->value != 0) : value == call->value;
}

/* Reads that the value answers take effect at once: that forbids nothing to come. */
static void settle_reads(const struct replay *replay, struct state *state)
{
    for (uint32_t thread = 0; thread <= THREADS; thread++) {
        const struct call *call = replay->pending[thread];
        if (call != NULL && call->kind != CALL_WRITE && answers(call, state->value))
            state->done |= 1u << thread;
    }
}

static void add_state(struct states *states, struct state state)
{
    for (size_t i = 0; i < states->count; i++)
        if (states->at[i].value == state.value && states->at[i].done == state.done) return;
    if (states->count == states->cap) {
        states->cap = states->cap == 0 ? 64 : states->cap * 2;
        states->at = realloc(states->at, states->cap * sizeof *states->at);
        assert_non_null(states->at);
    }
    states->at[states->count++] = state;
}

/* What the key can be once the thread's call has taken effect; calls that end later may have before it. False: nothing. */
static bool end_call(struct replay *replay, uint32_t thread)
{
    struct states *states = &replay->states;
    size_t kept = 0;
    for (size_t i = 0; i < states->count; i++) {
        for (uint32_t other = 0; other <= THREADS; other++) {
            const struct call *call = replay->pending[other];
            struct state next = states->at[i];
            if (next.done & 1u << thread) break;
            if (call == NULL || call->kind != CALL_WRITE || next.done & 1u << other) continue;
            next = (struct state){call->value, next.done | 1u << other};
            settle_reads(replay, &next);
            add_state(states, next);
        }
    }
    replay->pending[thread] = NULL;
    for (size_t i = 0; i < states->count; i++) {
        struct state state = states->at[i];
        if (!(state.done & 1u << thread)) continue;
        state.done &= ~(1u << thread);
        states->at[kept++] = state;
    }
    states->count = kept;
    return kept > 0;
}

static bool replay_event(struct replay *replay, const struct event *event)
{
    if (event->ends) return end_call(replay, event->thread);
    replay->pending[event->thread] = event->call;
    for (size_t i = 0; i < replay->states.count; i++)
        settle_reads(replay, &replay->states.at[i]);
    return true;
}

static void say_calls(const struct event *events, size_t end)
{
    static const char *const words[] = {"writes", "reads", "exists"};
    for (size_t i = end < 24 ? 0 : end - 24; i <= end; i++)
        fprintf(stderr, "# %llu thread %u %s %s %llx\n", (unsigned long long)events[i].at,
                events[i].thread,
                events[i].ends ? "ended: " : "begins:", words[events[i].call->kind],
                (unsigned long long)events[i].call->value);
}

static int compare_events(const void *a, const void *b)
{
    const struct event *left = a, *right = b;
    return (left->at > right->at) - (left->at < right->at);
}

/* Events with one number are of one batch, snapshot or iterator, and here of different slots. */
static void check_slot(const struct event *events, size_t count, uint32_t slot, uint64_t seed)
{
    struct replay replay = {.pending = {NULL}};
    add_state(&replay.states, (struct state){0, 0});
    for (size_t i = 0; i < count; i++) {
        if (replay_event(&replay, &events[i])) continue;
        say_calls(events, i);
        fail_msg("SEED=%llu: no order of the calls on slot %u explains the last answer",
                 (unsigned long long)seed, slot);
    }
    free(replay.states.at);
}

static void check_history(struct history *h, uint64_t seed)
{
    size_t total = 0;
    for (uint32_t thread = 0; thread <= THREADS; thread++)
        total += h->records[thread].count;
    struct event *events = calloc(2 * total + 1, sizeof *events);
    assert_non_null(events);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        size_t count = 0;
        for (uint32_t thread = 0; thread <= THREADS; thread++) {
            for (size_t i = 0; i < h->records[thread].count; i++) {
                const struct call *call = &h->records[thread].calls[i];
                if (call->slot != slot) continue;
                events[count++] = (struct event){call->begun, call, thread, false};
                events[count++] = (struct event){call->ended, call, thread, true};
                h->writes += call->kind == CALL_WRITE;
                h->reads += call->kind != CALL_WRITE;
            }
        }
        qsort(events, count, sizeof *events, compare_events);
        check_slot(events, count, slot, seed);
    }
    free(events);
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void open_colls(struct fixture *f, struct history *h)
{
    static const char *const names[COLLS] = {"default", "one", "two"};
    static const loam_compression compressions[COLLS] = {LOAM_LZ4, LOAM_ZSTD, LOAM_UNCOMPRESSED};
    for (int i = 0; i < COLLS; i++) {
        loam_coll_options options = loam_coll_options_default();
        options.compression = compressions[i];
        const loam_status rc = loam_create(f->db, names[i], &options, &h->colls[i]);
        assert_true(rc == LOAM_OK || rc == LOAM_EXISTS);
    }
}

static void read_all_again(struct fixture *f, struct history *h, uint64_t seed)
{
    struct crew crew = {.db = f->db, .ctx = h, .seed = seed};
    struct hand hand = {.crew = &crew, .ctx = h, .number = THREADS, .rand = {1}};
    struct record *record = &h->records[THREADS];
    char text[16];
    const uint64_t begun = tick(h), ended = tick(h);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const loam_status rc =
            loam_get(f->db, h->colls[slot / KEYS], key_of(slot, text), &record->found);
        assert_true(rc == LOAM_OK || rc == LOAM_NOTFOUND);
        const loam_slice value = loam_bytes(record->found.data, record->found.len);
        note(record, (struct call){begun, ended, rc == LOAM_OK ? number_in(&hand, value) : 0, slot,
                                   CALL_READ});
    }
    assert_int_equal(crew.wrong, 0);
}

static void run_history(struct fixture *f, uint64_t seed, struct sys_table sys)
{
    static struct history history;
    struct history *h = &history;
    const struct crew_job jobs[] = {{live, THREADS}, {NULL, 0}};
    struct crew crew = {.ctx = h, .seed = seed};
    *h = (struct history){.clock = 1};
    for (int i = 0; i <= THREADS; i++) {
        h->records[i].calls = calloc(CALLS_MAX, sizeof(struct call));
        h->records[i].batch = loam_batch_new();
        assert_true(h->records[i].calls != NULL && h->records[i].batch != NULL);
    }
    crew_open(f, seed, sys);
    open_colls(f, h);
    crew.db = f->db;
    crew_run(&crew, jobs, 1200);
    fixture_close(f);
    crew_open(f, seed + 1, sys);
    open_colls(f, h);
    read_all_again(f, h, seed);
    check_history(h, seed);
    print_message("# %llu writes and %llu reads of %d keys have an order\n",
                  (unsigned long long)h->writes, (unsigned long long)h->reads, SLOTS);
    for (int i = 0; i <= THREADS; i++) {
        free(h->records[i].calls);
        loam_batch_free(h->records[i].batch);
        loam_buf_free(&h->records[i].found);
    }
}

static void every_answer_fits_one_order_of_the_calls(void **state)
{
    run_history(*state, crew_seed(), crew_hasty());
}

static void with_a_disk_that_is_waited_for_too(void **state)
{
    run_history(*state, crew_seed() + 7, sys_posix());
}

/* The check itself: what it must refuse, it refuses. */
static void the_check_knows_stale_and_unwritten_values(void **state)
{
    (void)state;
    const struct {
        struct call calls[4];
        bool fits;
    } cases[] = {
        {{{1, 2, 10, 0, CALL_WRITE}, {3, 4, 11, 0, CALL_WRITE}, {5, 6, 10, 0, CALL_READ}}, false},
        {{{1, 2, 10, 0, CALL_WRITE}, {3, 6, 11, 0, CALL_WRITE}, {4, 5, 10, 0, CALL_READ}}, true},
        {{{1, 2, 10, 0, CALL_WRITE}, {3, 4, 12, 0, CALL_READ}}, false},
        {{{1, 8, 10, 0, CALL_WRITE}, {2, 3, 10, 0, CALL_READ}, {4, 5, 0, 0, CALL_READ}}, false},
        {{{1, 8, 10, 0, CALL_WRITE}, {2, 3, 0, 0, CALL_READ}, {4, 5, 10, 0, CALL_READ}}, true},
        {{{1, 4, 10, 0, CALL_WRITE}, {2, 5, 11, 0, CALL_WRITE}, {6, 7, 0, 0, CALL_EXISTS}}, false},
        {{{1, 9, 10, 0, CALL_WRITE}, {2, 3, 1, 0, CALL_EXISTS}, {5, 6, 0, 0, CALL_READ}}, false},
        {{{1, 2, 10, 0, CALL_WRITE}, {3, 8, 0, 0, CALL_WRITE}, {4, 7, 10, 0, CALL_READ}}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct event events[8];
        struct replay replay = {.pending = {NULL}};
        size_t count = 0;
        bool fits = true;
        for (uint32_t thread = 0; thread < 4 && cases[i].calls[thread].ended > 0; thread++) {
            const struct call *call = &cases[i].calls[thread];
            events[count++] = (struct event){call->begun, call, thread, false};
            events[count++] = (struct event){call->ended, call, thread, true};
        }
        qsort(events, count, sizeof *events, compare_events);
        add_state(&replay.states, (struct state){0, 0});
        for (size_t at = 0; at < count && fits; at++)
            fits = replay_event(&replay, &events[at]);
        free(replay.states.at);
        if (fits != cases[i].fits) fail_msg("case %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_knows_stale_and_unwritten_values),
        test_closed(every_answer_fits_one_order_of_the_calls),
        test_closed(with_a_disk_that_is_waited_for_too),
    };
    return cmocka_run_group_tests_name("threads/history", tests, NULL, NULL);
}
