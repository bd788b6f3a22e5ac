/*
 * test_threads_txn.c - transactions of many threads leave the store as if each had run alone.
 *
 * The bank: money is moved between accounts, accounts are opened and closed, and whoever adds all of them up, in a transaction or
 * in a snapshot, finds the same sum. The checker: transactions read keys and ranges and write some of what they read, each
 * value naming its writer; so each version of a key has one successor, and of what was recorded a graph can be
 * drawn: writer to reader, version to next version, reader to the writer of the next version. If it has a cycle, no order of the
 * transactions explains what they saw (Adya's thesis, 1999; Kingsbury and Alvaro's Elle, 2020, checks so). Flushes and merges go on
 * beside both.
 */
#include "../lib/crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 4,
    ACCOUNTS = 24, /* places for accounts: some are closed */
    BALANCE = 100,
    KEYS = 10,
    READS_MAX = 12,
    TXNS_MAX = 40000 /* of a thread */
};

static loam_slice key_text(char text[static 16], unsigned number)
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "key %04u", number));
}

static bool number_of(loam_slice value, uint64_t *number)
{
    if (value.len != sizeof *number) return false;
    memcpy(number, value.data, sizeof *number);
    return true;
}

static void upkeep(struct hand *hand)
{
    while (crew_goes_on(hand)) {
        const loam_status rc = rand_below(&hand->rand, 4) == 0
                                   ? loam_compact(hand->crew->db, NULL, NULL)
                                   : loam_flush(hand->crew->db, NULL);
        crew_expect(hand, rc == LOAM_OK);
        crew_rest(1);
    }
}

/* ---- the bank -------------------------------------------------------------------------------- */

/* Of an account that is not there: none. */
static loam_status balance_in(loam_txn *txn, unsigned account, bool *is_open, uint64_t *balance)
{
    char text[16];
    loam_buf value = {0};
    const loam_status rc = loam_txn_get(txn, NULL, key_text(text, account), &value);
    *balance = 0;
    *is_open = rc == LOAM_OK && number_of(loam_bytes(value.data, value.len), balance);
    loam_buf_free(&value);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static loam_status set_balance(loam_txn *txn, unsigned account, uint64_t balance)
{
    char text[16];
    return loam_txn_put(txn, NULL, key_text(text, account), loam_bytes(&balance, sizeof balance));
}

/* Moves money; an account that is left with none may be closed, and one that is closed is opened by what it is given. */
static void move_money(struct hand *hand)
{
    const unsigned from = (unsigned)rand_below(&hand->rand, ACCOUNTS);
    const unsigned to = (from + 1 + (unsigned)rand_below(&hand->rand, ACCOUNTS - 1)) % ACCOUNTS;
    const bool closes = rand_below(&hand->rand, 3) == 0;
    bool from_open, to_open;
    uint64_t from_has, to_has;
    char text[16];
    loam_txn *txn;
    if (!crew_expect(hand, loam_txn_begin(hand->crew->db, &txn) == LOAM_OK)) return;
    crew_expect(hand, balance_in(txn, from, &from_open, &from_has) == LOAM_OK);
    crew_expect(hand, balance_in(txn, to, &to_open, &to_has) == LOAM_OK);
    const uint64_t amount = closes ? from_has : rand_below(&hand->rand, from_has + 1);
    if (from_open && closes)
        crew_expect(hand, loam_txn_delete(txn, NULL, key_text(text, from)) == LOAM_OK);
    else if (from_open)
        crew_expect(hand, set_balance(txn, from, from_has - amount) == LOAM_OK);
    if (from_open && amount > 0)
        crew_expect(hand, set_balance(txn, to, to_has + amount) == LOAM_OK);
    const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
    crew_expect(hand, rc == LOAM_OK || rc == LOAM_CONFLICT);
    loam_txn_close(txn);
    if (rc == LOAM_OK) atomic_fetch_add_explicit(&hand->crew->did, 1, memory_order_relaxed);
}

static void clerk(struct hand *hand)
{
    while (crew_goes_on(hand))
        move_money(hand);
}

/* Sums up, and writes the sum down in the same transaction: phantoms would make it wrong. */
static void audit(struct hand *hand, bool writes)
{
    uint64_t sum = 0, balance;
    const loam_range range = {.prefix = loam_str("key ")};
    loam_txn *txn;
    loam_iter *it;
    if (!crew_expect(hand, loam_txn_begin(hand->crew->db, &txn) == LOAM_OK)) return;
    if (crew_expect(hand, loam_txn_iter_open(txn, NULL, &range, &it) == LOAM_OK)) {
        loam_status rc;
        while ((rc = loam_iter_next(it)) == LOAM_OK)
            if (crew_expect(hand, number_of(loam_iter_value(it), &balance))) sum += balance;
        crew_expect(hand, rc == LOAM_NOTFOUND);
        loam_iter_close(it);
    }
    crew_expect(hand, sum == ACCOUNTS * BALANCE);
    if (writes)
        crew_expect(hand, loam_txn_put(txn, NULL, loam_str("sum"), loam_bytes(&sum, sizeof sum)) ==
                              LOAM_OK);
    const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
    crew_expect(hand, rc == LOAM_OK || (writes && rc == LOAM_CONFLICT));
    loam_txn_close(txn);
}

static void auditor(struct hand *hand)
{
    while (crew_goes_on(hand))
        audit(hand, rand_below(&hand->rand, 2) == 0);
}

static void the_sum_of_accounts_stays(void **state)
{
    const struct crew_job jobs[] = {{clerk, THREADS}, {auditor, 1}, {upkeep, 1}, {NULL, 0}};
    struct fixture *f = *state;
    struct crew crew = {.seed = crew_seed()};
    char text[16];
    crew_open(f, crew.seed, crew_hasty());
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        const uint64_t balance = BALANCE;
        expect_ok(loam_put(f->db, NULL, key_text(text, i), loam_bytes(&balance, sizeof balance)));
    }
    crew.db = f->db;
    crew_run(&crew, jobs, 1500);
    fixture_close(f);
    crew_open(f, crew.seed + 1, crew_hasty());
    struct hand hand = {.crew = &crew};
    crew.db = f->db;
    audit(&hand, true);
    assert_int_equal(atomic_load(&crew.wrong), 0);
    assert_true(atomic_load(&crew.did) > 0);
    print_message("# %llu transfers\n", (unsigned long long)atomic_load(&crew.did));
}

/* ---- the checker ----------------------------------------------------------------------------- */

struct done {            /* a transaction that committed */
    uint32_t seen[KEYS]; /* 1 + whose version of the key it read; 0: it did not */
    bool wrote[KEYS];
};

struct ledger {
    struct done *done[THREADS];
    uint32_t count[THREADS];
};

/* Versions are named by their writer: thread and number; the first ones by 0. */
static uint32_t name_of(int thread, uint32_t number)
{
    return 1 + (uint32_t)thread * TXNS_MAX + number;
}

static bool read_some(struct hand *hand, loam_txn *txn, struct done *done)
{
    uint64_t writer;
    char text[16];
    loam_iter *it;
    for (uint64_t i = 1 + rand_below(&hand->rand, 3); i > 0; i--) {
        const unsigned key = (unsigned)rand_below(&hand->rand, KEYS);
        loam_buf value = {0};
        const loam_status rc = loam_txn_get(txn, NULL, key_text(text, key), &value);
        if (!crew_expect(hand, rc == LOAM_OK)) return false;
        if (crew_expect(hand, number_of(loam_bytes(value.data, value.len), &writer)))
            done->seen[key] = (uint32_t)writer + 1;
        loam_buf_free(&value);
    }
    if (rand_below(&hand->rand, 3) > 0) return true;
    unsigned key = (unsigned)rand_below(&hand->rand, KEYS);
    const bool backward = rand_below(&hand->rand, 2) == 0;
    if (!crew_expect(hand, loam_txn_iter_open(txn, NULL, NULL, &it) == LOAM_OK)) return false;
    loam_status rc = backward ? loam_iter_seek_back(it, key_text(text, key))
                              : loam_iter_seek(it, key_text(text, key));
    for (int i = 0; i < 3 && rc == LOAM_OK; i++) {
        if (crew_expect(hand, number_of(loam_iter_value(it), &writer) && key < KEYS))
            done->seen[key] = (uint32_t)writer + 1;
        key += backward ? UINT32_MAX : 1;
        rc = backward ? loam_iter_prev(it) : loam_iter_next(it);
    }
    crew_expect(hand, rc >= 0);
    loam_iter_close(it);
    return true;
}

static void record_one(struct hand *hand)
{
    struct ledger *ledger = hand->ctx;
    struct done done = {.seen = {0}};
    const uint64_t name = name_of(hand->number, ledger->count[hand->number]);
    char text[16];
    loam_txn *txn;
    if (!crew_expect(hand, loam_txn_begin(hand->crew->db, &txn) == LOAM_OK)) return;
    if (rand_below(&hand->rand, 4) == 0) crew_rest(1); /* so that others come between */
    bool all_right = read_some(hand, txn, &done);
    for (unsigned key = 0; all_right && key < KEYS; key++) {
        if (done.seen[key] == 0 || rand_below(&hand->rand, 2) == 0) continue;
        done.wrote[key] = true;
        all_right = crew_expect(hand, loam_txn_put(txn, NULL, key_text(text, key),
                                                   loam_bytes(&name, sizeof name)) == LOAM_OK);
    }
    const loam_status rc = loam_txn_commit(txn, LOAM_DURABLE_DEFAULT);
    crew_expect(hand, rc == LOAM_OK || rc == LOAM_CONFLICT);
    loam_txn_close(txn);
    if (rc != LOAM_OK) return;
    ledger->done[hand->number][ledger->count[hand->number]++] = done;
}

static void recorder(struct hand *hand)
{
    const struct ledger *ledger = hand->ctx;
    while (crew_goes_on(hand) && ledger->count[hand->number] < TXNS_MAX)
        record_one(hand);
}

static struct done *done_of(const struct ledger *ledger, uint32_t name)
{
    return &ledger->done[(name - 1) / TXNS_MAX][(name - 1) % TXNS_MAX];
}

/* next[key][name]: who wrote over that version. */
static uint32_t *next_of[KEYS];

static void find_successors(const struct ledger *ledger)
{
    for (unsigned key = 0; key < KEYS; key++)
        next_of[key] = calloc(1 + THREADS * TXNS_MAX, sizeof(uint32_t));
    for (int thread = 0; thread < THREADS; thread++)
        for (uint32_t i = 0; i < ledger->count[thread]; i++)
            for (unsigned key = 0; key < KEYS; key++) {
                const struct done *done = &ledger->done[thread][i];
                if (!done->wrote[key]) continue;
                uint32_t *next = &next_of[key][done->seen[key] - 1];
                if (*next != 0) fail_msg("an update of key %u was lost", key);
                *next = name_of(thread, i);
            }
}

/* Who must come after a transaction; answers how many. */
static unsigned followers(const struct ledger *ledger, uint32_t name, uint32_t out[2 * KEYS])
{
    const struct done *done = done_of(ledger, name);
    unsigned count = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        uint32_t next = 0;
        if (done->wrote[key])
            next = next_of[key][name]; /* who wrote over what it wrote, having read it */
        else if (done->seen[key] > 0)
            next = next_of[key][done->seen[key] - 1]; /* who wrote over what it read */
        if (next != 0) out[count++] = next;
    }
    return count;
}

/* Writers come before their readers: that is one edge more, from the reader's side. */
static unsigned forerunners(const struct ledger *ledger, uint32_t name, uint32_t out[2 * KEYS])
{
    const struct done *done = done_of(ledger, name);
    unsigned count = 0;
    for (unsigned key = 0; key < KEYS; key++)
        if (done->seen[key] > 1) out[count++] = done->seen[key] - 1;
    return count;
}

/* Kahn's algorithm: takes away whoever nobody must come before, until nothing is left. */
static uint64_t left_in_cycles(const struct ledger *ledger)
{
    const size_t names = 1 + THREADS * TXNS_MAX;
    uint32_t *before = calloc(names, sizeof *before), *queue = calloc(names, sizeof *queue);
    uint32_t *first_reader = calloc(names, sizeof *first_reader);
    struct edge {
        uint32_t to, next;
    } *edges = calloc(names * KEYS, sizeof *edges);
    uint32_t edge_count = 1, some[2 * KEYS];
    uint64_t left = 0, queued = 0;
    for (int thread = 0; thread < THREADS; thread++)
        for (uint32_t i = 0; i < ledger->count[thread]; i++) {
            const uint32_t name = name_of(thread, i);
            for (unsigned k = followers(ledger, name, some); k > 0; k--)
                before[some[k - 1]]++;
            for (unsigned k = forerunners(ledger, name, some); k > 0; k--) {
                before[name]++;
                edges[edge_count] = (struct edge){name, first_reader[some[k - 1]]};
                first_reader[some[k - 1]] = edge_count++;
            }
            left++;
        }
    for (int thread = 0; thread < THREADS; thread++)
        for (uint32_t i = 0; i < ledger->count[thread]; i++)
            if (before[name_of(thread, i)] == 0) queue[queued++] = name_of(thread, i);
    for (uint64_t at = 0; at < queued; at++, left--) {
        for (unsigned k = followers(ledger, queue[at], some); k > 0; k--)
            if (--before[some[k - 1]] == 0) queue[queued++] = some[k - 1];
        for (uint32_t edge = first_reader[queue[at]]; edge != 0; edge = edges[edge].next)
            if (--before[edges[edge].to] == 0) queue[queued++] = edges[edge].to;
    }
    free(before);
    free(queue);
    free(first_reader);
    free(edges);
    return left;
}

static void what_was_seen_has_an_order(void **state)
{
    const struct crew_job jobs[] = {{recorder, THREADS}, {upkeep, 1}, {NULL, 0}};
    struct fixture *f = *state;
    struct ledger ledger = {.count = {0}};
    struct crew crew = {.ctx = &ledger, .seed = crew_seed()};
    const uint64_t none = 0;
    uint64_t count = 0;
    char text[16];
    crew_open(f, crew.seed, crew_hasty());
    for (unsigned i = 0; i < KEYS; i++)
        expect_ok(loam_put(f->db, NULL, key_text(text, i), loam_bytes(&none, sizeof none)));
    for (int i = 0; i < THREADS; i++)
        ledger.done[i] = calloc(TXNS_MAX, sizeof(struct done));
    crew.db = f->db;
    crew_run(&crew, jobs, 1500);
    find_successors(&ledger);
    const uint64_t left = left_in_cycles(&ledger);
    if (left > 0) fail_msg("%llu transactions have no order", (unsigned long long)left);
    for (int i = 0; i < THREADS; i++) {
        count += ledger.count[i];
        free(ledger.done[i]);
    }
    for (unsigned key = 0; key < KEYS; key++)
        free(next_of[key]);
    assert_true(count > 0);
    print_message("# %llu transactions in an order\n", (unsigned long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(the_sum_of_accounts_stays),
        test_closed(what_was_seen_has_an_order),
    };
    return cmocka_run_group_tests_name("threads/txn", tests, NULL, NULL);
}
