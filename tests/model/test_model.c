/*
 * test_model.c - random histories against a sorted array, on a simulated disk, with tiny memtables and pages.
 *
 * A history is a seed: options, operations, the order of background work, deaths and losses of power all follow from it. SEED=n
 * replays one; OPS=n sets the operations in all, the entries of batches counted one by one. After a death every commit must be there; after a loss of power, a prefix of the
 * commits that reaches at least to the last one that was promised.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "db/db.h"
#include "lib/last_words.h"
#include "lib/model_steps.h"
#include "lib/option_sets.h"
#include "lib/seeds.h"
#include "lib/simdisk.h"

enum {
    COLLS = STEP_COLLS,
    SNAPSHOTS = 3,
    HISTORY_OPS = 3000,
    PENDING_MAX = 4000,
    HISTORY_SECONDS_MAX = 40,
    CHECKPOINTS_MAX = 40, /* a simulated disk has few directories */
    DIR_BYTES = 20
};

#define OPS UINT64_C(5000000)

#define NAMES step_names

struct history {
    uint64_t seed;
    struct rand rand;
    struct simdisk *disk;
    loam_db *db;
    loam_options options;
    struct db_world world;
    struct model *model;   /* all that was acknowledged */
    struct model *durable; /* what must survive a loss of power; pending brings it to model */
    struct step pending[PENDING_MAX];
    size_t pending_count;
    loam_snapshot *snaps[SNAPSHOTS];
    struct model *snap_models[SNAPSHOTS];
    size_t key_space;
    uint64_t
        logged_ms; /* what the store last took the time for before a commit: no death may lose that */
    uint64_t ops, deaths, losses, reopens;
    char dir[DIR_BYTES],
        base[DIR_BYTES]; /* base: of the latest checkpoint or what it was made of; empty: none */
    unsigned checkpoints;
};

#define expect(h, condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("SEED=%llu after %llu operations: %s (%s)", (unsigned long long)(h)->seed,    \
                     (unsigned long long)(h)->ops, #condition, loam_errmsg());                     \
    } while (0)

/* ---- time -------------------------------------------------------------------------------------- */

/* What the store takes the time for: it stands still while the wall clock is behind. */
static uint64_t clock_of(const struct history *h)
{
    const uint64_t wall_ms = h->world.sys.calls->wall_ms(h->disk), seen_ms = h->db->clock_ms;
    return wall_ms > seen_ms ? wall_ms : seen_ms;
}

/* ---- the two pictures ------------------------------------------------------------------------ */

static void free_steps(struct history *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        step_free(&h->pending[i]);
    memmove(h->pending, h->pending + count, (h->pending_count - count) * sizeof *h->pending);
    h->pending_count -= count;
}

/* All that was committed so far is now promised to survive a loss of power. */
static void now_durable(struct history *h)
{
    for (size_t i = 0; i < h->pending_count; i++)
        step_apply(h->durable, &h->pending[i]);
    free_steps(h, h->pending_count);
}

static void committed(struct history *h, const struct step *steps, size_t count, bool durable)
{
    if (h->pending_count + count > PENDING_MAX) {
        expect(h, loam_sync(h->db) == LOAM_OK);
        now_durable(h);
    }
    h->logged_ms = h->db->clock_ms;
    for (size_t i = 0; i < count; i++) {
        step_apply(h->model, &steps[i]);
        h->pending[h->pending_count] = steps[i];
        h->pending[h->pending_count++].last = i + 1 == count;
    }
    if (durable) now_durable(h);
}

/* ---- opening, dying -------------------------------------------------------------------------- */

static void choose_options(struct history *h)
{
    static const uint32_t runs[] = {1, 2, 3, 8};
    static const uint64_t memtables[] = {16 << 10, 24 << 10, 64 << 10, 1 << 20};
    h->options = loam_options_default();
    h->options.memory_bytes = 4 << 20;
    h->options.memtable_bytes = memtables[rand_below(&h->rand, 4)];
    h->options.runs_per_level = runs[rand_below(&h->rand, 4)];
    h->options.filter_bits_per_key = rand_below(&h->rand, 3) == 0 ? LOAM_NO_FILTER : 10;
    h->options.durability = (loam_durability)(1 + rand_below(&h->rand, 3));
    h->options.merge_operators = &model_tail;
    h->options.merge_operator_count = 1;
    h->world = (struct db_world){.sys = simdisk_table(h->disk),
                                 .threaded = false,
                                 .mapped_log = rand_below(&h->rand, 2) == 0,
                                 .page_bytes = rand_below(&h->rand, 2) == 0 ? 256 : 4096,
                                 .log_bytes_least = UINT64_C(16384) << rand_below(&h->rand, 3),
                                 .seed = rand_next(&h->rand)};
}

static void open_db(struct history *h)
{
    choose_options(h);
    option_sets_note(&h->options, &h->world);
    expect(h, db_open_in(&h->world, h->dir, &h->options, &h->db) == LOAM_OK);
}

static void close_snapshot(struct history *h, size_t i)
{
    loam_snapshot_close(h->snaps[i]);
    model_free(h->snap_models[i]);
    h->snaps[i] = NULL;
    h->snap_models[i] = NULL;
}

static void close_snapshots(struct history *h)
{
    for (size_t i = 0; i < SNAPSHOTS; i++)
        close_snapshot(h, i);
}

static void check_all(struct history *h)
{
    const char *differs = model_differs_by(h->model, h->db, clock_of(h));
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
}

static void reopen(struct history *h)
{
    close_snapshots(h);
    const uint64_t clock_ms = clock_of(h);
    const bool asks = h->db->may_expire;
    expect(h, loam_close(h->db) == LOAM_OK);
    now_durable(h);
    if (rand_below(&h->rand, 3) == 0) {
        simdisk_kill(h->disk);
        simdisk_power_loss(h->disk, (enum simdisk_loss)rand_below(&h->rand, SIMDISK_LOSSES));
    }
    h->reopens++;
    open_db(h);
    expect(h, !asks || clock_of(h) >= clock_ms);
    check_all(h);
}

/* The process is gone: what is left of the handle is freed on a dead disk. */
static void die(struct history *h)
{
    simdisk_kill(h->disk);
    close_snapshots(h);
    const loam_status rc = loam_close(h->db);
    (void)rc;
}

/* The clock may be where it was earlier: of what has expired since, the store has said nothing, or nothing that it had to
   remember. */
static void clock_fell(struct history *h)
{
    model_free(h->model);
    h->model = model_copy(h->durable);
    for (size_t i = 0; i < h->pending_count; i++)
        step_apply(h->model, &h->pending[i]);
}

static void killed(struct history *h)
{
    die(h);
    h->deaths++;
    open_db(h);
    expect(h, clock_of(h) >= h->logged_ms);
    clock_fell(h);
    check_all(h);
}

/* Finds the commit up to which the store came back, and goes on from there. */
static void power_lost(struct history *h)
{
    die(h);
    simdisk_power_loss(h->disk, (enum simdisk_loss)rand_below(&h->rand, SIMDISK_LOSSES));
    h->losses++;
    open_db(h);
    h->logged_ms = 0;
    const char *differs = model_differs_by(h->durable, h->db, clock_of(h));
    size_t at = 0;
    while (differs != NULL && at < h->pending_count) {
        do {
            step_apply(h->durable, &h->pending[at]);
        } while (!h->pending[at++].last);
        differs = model_differs_by(h->durable, h->db, clock_of(h));
    }
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: no commit fits: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
    model_free(h->model);
    h->model = model_copy(h->durable);
    free_steps(h, h->pending_count);
    /* What was read is shown; from now on it has to stay. */
}

/* ---- operations ------------------------------------------------------------------------------ */

static uint8_t random_coll(struct history *h)
{
    for (;;) {
        const uint8_t coll = (uint8_t)rand_below(&h->rand, COLLS);
        if (model_has(h->model, NAMES[coll])) return coll;
    }
}

static loam_coll *handle(struct history *h, uint8_t coll)
{
    loam_coll *out;
    expect(h, loam_collection(h->db, NAMES[coll], &out) == LOAM_OK);
    return out;
}

static bool commits_durably(const struct history *h, loam_durability how)
{
    return (how == LOAM_DURABLE_DEFAULT ? h->options.durability : how) == LOAM_DURABLE_COMMIT;
}

static void write_one(struct history *h)
{
    struct step step = {.what = rand_below(&h->rand, 4) == 0 ? 'd' : 'p', .coll = random_coll(h)};
    if (rand_below(&h->rand, 16) == 0) {
        step = random_range(&h->rand, h->model, step.coll, h->key_space);
    } else {
        step.key = random_key(&h->rand, h->key_space);
        step.ttl_ms = random_ttl(&h->rand);
        if (step.what == 'p') step.value = random_value(&h->rand);
        perhaps_merge(&h->rand, h->model, &step);
    }
    step_stamp(&step, h->model, clock_of(h));
    expect(h, step_write(h->db, handle(h, step.coll), &step) == LOAM_OK);
    committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

static void write_batch(struct history *h)
{
    enum { MOST = 30 };
    struct step steps[MOST];
    const size_t count = 1 + (size_t)rand_below(&h->rand, MOST);
    const loam_durability how = (loam_durability)rand_below(&h->rand, 4);
    loam_batch *batch = loam_batch_new();
    for (size_t i = 0; i < count; i++) {
        steps[i] = (struct step){.what = rand_below(&h->rand, 3) == 0 ? 'd' : 'p',
                                 .coll = random_coll(h),
                                 .key = random_key(&h->rand, h->key_space)};
        if (steps[i].what == 'p') steps[i].value = random_value(&h->rand);
        steps[i].ttl_ms = random_ttl(&h->rand);
        perhaps_merge(&h->rand, h->model, &steps[i]);
        if (rand_below(&h->rand, 40) == 0) {
            step_free(&steps[i]);
            steps[i] = random_range(&h->rand, h->model, random_coll(h), h->key_space);
        }
        expect(h, step_to_batch(batch, handle(h, steps[i].coll), &steps[i]) == LOAM_OK);
    }
    if (rand_below(&h->rand, 4) == 0) { /* what counts is when it commits */
        h->world.sys.calls->sleep_ns(h->disk, rand_below(&h->rand, 3000000));
        model_expire(h->model, clock_of(h));
    }
    for (size_t i = 0; i < count; i++)
        step_stamp(&steps[i], h->model, clock_of(h));
    expect(h, loam_write(h->db, batch, how) == LOAM_OK);
    loam_batch_free(batch);
    h->ops += count - 1; /* each of its entries is one */
    committed(h, steps, count, commits_durably(h, how));
}

/* More and fewer than are looked for together; some twice, some without their values. */
static void read_many(struct history *h)
{
    enum { MANY = 80 };
    const uint8_t coll = random_coll(h);
    const size_t count = (size_t)rand_below(&h->rand, MANY + 1);
    const uint32_t flags = rand_below(&h->rand, 4) == 0 ? LOAM_KEYS_ONLY : 0;
    loam_lookup lookups[MANY] = {{.answer = LOAM_OK}};
    loam_slice expected;
    for (size_t i = 0; i < count; i++)
        lookups[i].key = random_key(&h->rand, h->key_space);
    expect(h, loam_multi_get(h->db, handle(h, coll), NULL, lookups, count, flags) == LOAM_OK);
    for (size_t i = 0; i < count; i++) {
        const loam_buf *value = &lookups[i].value;
        const bool there = model_get(h->model, NAMES[coll], lookups[i].key, &expected);
        expect(h, lookups[i].answer == (there ? LOAM_OK : LOAM_NOTFOUND));
        expect(h, lookups[i].expires_ms == model_expiry(h->model, NAMES[coll], lookups[i].key));
        if (there && flags == 0)
            expect(h, value->len == expected.len &&
                          memcmp(value->data, expected.data, expected.len) == 0);
        loam_buf_free(&lookups[i].value);
        free((void *)(uintptr_t)lookups[i].key.data);
    }
}

static void read_one(struct history *h)
{
    if (rand_below(&h->rand, 32) == 0) read_many(h);
    const uint8_t coll = random_coll(h);
    const loam_slice key = random_key(&h->rand, h->key_space);
    loam_slice expected;
    loam_buf value = {0};
    const bool there = model_get(h->model, NAMES[coll], key, &expected);
    const loam_status rc = loam_get(h->db, handle(h, coll), key, &value);
    expect(h, rc == (there ? LOAM_OK : LOAM_NOTFOUND));
    expect(h, loam_exists(h->db, handle(h, coll), key) == rc);
    if (there)
        expect(h, value.len == expected.len && memcmp(value.data, expected.data, value.len) == 0);
    loam_buf_free(&value);
    free((void *)(uintptr_t)key.data);
}

/* A walk with turns, within bounds, against an index into the model. */
static void walk(struct history *h)
{
    const uint8_t coll = random_coll(h);
    const char *name = NAMES[coll];
    const loam_slice from = random_key(&h->rand, h->key_space),
                     to = random_key(&h->rand, h->key_space),
                     target = random_key(&h->rand, h->key_space);
    const bool bounded = rand_below(&h->rand, 2) == 0;
    const loam_range range = {.from = bounded ? from : loam_bytes(NULL, 0),
                              .to = bounded ? to : loam_bytes(NULL, 0),
                              .flags = rand_below(&h->rand, 4) == 0 ? LOAM_KEYS_ONLY : 0};
    const size_t low = bounded ? model_lower(h->model, name, from) : 0;
    size_t high =
        bounded && to.len > 0 ? model_lower(h->model, name, to) : model_count(h->model, name);
    if (high < low) high = low;
    loam_iter *it;
    expect(h, loam_iter_open(h->db, handle(h, coll), &range, &it) == LOAM_OK);
    size_t at = model_lower(h->model, name, target); /* where a seek must land */
    if (at < low) at = low;
    loam_status rc = loam_iter_seek(it, target);
    for (int moves = 0; moves < 40; moves++) {
        if (at < low || at >= high || at == SIZE_MAX) {
            expect(h, rc == LOAM_NOTFOUND);
            break;
        }
        loam_slice key, value;
        model_at(h->model, name, at, &key, &value);
        expect(h, rc == LOAM_OK && loam_iter_key(it).len == key.len &&
                      memcmp(loam_iter_key(it).data, key.data, key.len) == 0);
        expect(h, loam_iter_expires_ms(it) == model_expires_at(h->model, name, at));
        if (range.flags == 0)
            expect(h, loam_iter_value(it).len == value.len &&
                          memcmp(loam_iter_value(it).data, value.data, value.len) == 0);
        const bool forward = rand_below(&h->rand, 8) != 0;
        at = forward ? at + 1 : at - 1;
        rc = forward ? loam_iter_next(it) : loam_iter_prev(it);
    }
    loam_iter_close(it);
    free((void *)(uintptr_t)from.data);
    free((void *)(uintptr_t)to.data);
    free((void *)(uintptr_t)target.data);
}

static void seek_back(struct history *h)
{
    const uint8_t coll = random_coll(h);
    const loam_slice target = random_key(&h->rand, h->key_space);
    loam_slice key, value;
    loam_iter *it;
    size_t at = model_lower(h->model, NAMES[coll], target);
    const bool exact = model_get(h->model, NAMES[coll], target, &value);
    expect(h, loam_iter_open(h->db, handle(h, coll), NULL, &it) == LOAM_OK);
    const loam_status rc = loam_iter_seek_back(it, target);
    if (!exact && at == 0) {
        expect(h, rc == LOAM_NOTFOUND);
    } else {
        model_at(h->model, NAMES[coll], exact ? at : at - 1, &key, &value);
        expect(h, rc == LOAM_OK && loam_iter_key(it).len == key.len &&
                      memcmp(loam_iter_key(it).data, key.data, key.len) == 0);
    }
    loam_iter_close(it);
    free((void *)(uintptr_t)target.data);
}

static void use_snapshot(struct history *h)
{
    const size_t i = (size_t)rand_below(&h->rand, SNAPSHOTS);
    if (h->snaps[i] == NULL) {
        expect(h, loam_snapshot_open(h->db, &h->snaps[i]) == LOAM_OK);
        h->snap_models[i] = model_copy(h->model);
        return;
    }
    const char *differs = model_differs(h->snap_models[i], h->db, h->snaps[i]);
    if (differs != NULL)
        fail_msg("SEED=%llu after %llu operations: snapshot: %s", (unsigned long long)h->seed,
                 (unsigned long long)h->ops, differs);
    if (rand_below(&h->rand, 2) == 0) close_snapshot(h, i);
}

/* ---- conditions and transactions ---- */

static void write_if(struct history *h)
{
    struct step step = {.what = rand_below(&h->rand, 3) == 0 ? 'd' : 'p', .coll = random_coll(h)};
    loam_slice old;
    uint64_t seq = 0;
    step.key = random_key(&h->rand, h->key_space);
    if (step.what == 'p') step.value = random_value(&h->rand);
    loam_coll *coll = handle(h, step.coll);
    const bool there = model_get(h->model, NAMES[step.coll], step.key, &old);
    loam_lookup lookup = {.key = step.key};
    expect(h, loam_multi_get(h->db, coll, NULL, &lookup, 1, LOAM_KEYS_ONLY) == LOAM_OK);
    expect(h, (lookup.seq > 0) == there);
    const loam_if conditions[] = {
        {.kind = LOAM_IF_ABSENT},
        {.kind = LOAM_IF_EQUAL, .value = there ? old : loam_str("")},
        {.kind = LOAM_IF_SEQ, .seq = lookup.seq + (rand_below(&h->rand, 4) == 0)},
    };
    const loam_if *condition = &conditions[rand_below(&h->rand, 3)];
    const bool holds =
        condition->kind == LOAM_IF_ABSENT
            ? !there
            : there && (condition->kind == LOAM_IF_EQUAL || condition->seq == lookup.seq);
    step.ttl_ms = random_ttl(&h->rand);
    step_stamp(&step, h->model, clock_of(h));
    const loam_status rc = step_write_if(h->db, coll, &step, condition, &seq);
    expect(h, rc == (holds ? LOAM_OK : LOAM_CONFLICT));
    if (holds) {
        expect(h, step.what == 'd' || seq > lookup.seq);
        committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
        return;
    }
    step_free(&step);
}

/* Every key of a collection, as the transaction sees it. */
static void check_seen(struct history *h, loam_txn *txn, const struct model *seen, uint8_t coll)
{
    loam_iter *it;
    const size_t count = model_count(seen, NAMES[coll]);
    const bool backward = rand_below(&h->rand, 2) == 0;
    expect(h, loam_txn_iter_open(txn, handle(h, coll), NULL, &it) == LOAM_OK);
    for (size_t i = 0; i < count; i++) {
        loam_slice key, value;
        model_at(seen, NAMES[coll], backward ? count - 1 - i : i, &key, &value);
        expect(h, (backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK);
        expect(h, loam_iter_key(it).len == key.len &&
                      memcmp(loam_iter_key(it).data, key.data, key.len) == 0);
        expect(h, loam_iter_value(it).len == value.len &&
                      memcmp(loam_iter_value(it).data, value.data, value.len) == 0);
    }
    expect(h, (backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_NOTFOUND);
    loam_iter_close(it);
}

struct work { /* a transaction under way */
    loam_txn *txn;
    struct model *seen; /* what it must see */
    struct step steps[12];
    size_t count, kept; /* kept: of the savepoint */
    uint8_t read_coll;
    loam_slice read_key;
    bool scanned[COLLS], others[COLLS]; /* whole collections: read; written to by others */
    bool key_written;                   /* by others */
    bool may_conflict; /* others deleted, by a range, what was not there: that may be noticed */
};

static void free_work_steps(struct work *work, size_t keep)
{
    while (work->count > keep)
        step_free(&work->steps[--work->count]);
}

static void read_in_txn(struct history *h, struct work *work)
{
    loam_slice expected;
    loam_buf value = {0};
    work->read_coll = random_coll(h);
    work->read_key = random_key(&h->rand, h->key_space);
    const bool there = model_get(work->seen, NAMES[work->read_coll], work->read_key, &expected);
    expect(h, loam_txn_get(work->txn, handle(h, work->read_coll), work->read_key, &value) ==
                  (there ? LOAM_OK : LOAM_NOTFOUND));
    if (there)
        expect(h, value.len == expected.len && memcmp(value.data, expected.data, value.len) == 0);
    loam_buf_free(&value);
}

static void write_in_txn(struct history *h, struct work *work)
{
    struct step *step = &work->steps[work->count++];
    *step = (struct step){.what = rand_below(&h->rand, 3) == 0 ? 'd' : 'p', .coll = random_coll(h)};
    step->key = random_key(&h->rand, h->key_space);
    if (step->what == 'p') step->value = random_value(&h->rand);
    if (step->value.len > 4000) step->value.len = 4000; /* all must fit into a transaction */
    step->ttl_ms = random_ttl(&h->rand);
    perhaps_merge(&h->rand, h->model, step);
    if (rand_below(&h->rand, 8) == 0) {
        step_free(step);
        *step = random_range(&h->rand, h->model, random_coll(h), h->key_space);
    }
    expect(h, step_to_txn(work->txn, handle(h, step->coll), step) == LOAM_OK);
    step_apply(work->seen, step);
    if (step_is_empty_range(step)) free_work_steps(work, work->count - 1);
}

static void roll_back(struct history *h, struct work *work, const struct model *beginning)
{
    expect(h, loam_txn_rollback(work->txn) == LOAM_OK);
    free_work_steps(work, work->kept);
    work->kept = 0;
    model_free(work->seen);
    work->seen = model_copy(beginning);
    for (size_t i = 0; i < work->count; i++)
        step_apply(work->seen, &work->steps[i]);
}

static void others_delete_range(struct history *h, struct work *work)
{
    const struct step step = random_range(&h->rand, h->model, random_coll(h), h->key_space);
    const loam_range range = step_range(&step);
    const char *name = step_names[step.coll];
    const size_t low = model_lower(h->model, name, range.from);
    const size_t high =
        range.to.len > 0 ? model_lower(h->model, name, range.to) : model_count(h->model, name);
    loam_slice value;
    expect(h, step_write(h->db, handle(h, step.coll), &step) == LOAM_OK);
    work->others[step.coll] |= low < high;
    work->may_conflict |= !step_is_empty_range(&step);
    if (step.coll == work->read_coll && step_holds(&step, work->read_key) &&
        model_get(h->model, name, work->read_key, &value))
        work->key_written = true;
    committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

static void others_write(struct history *h, struct work *work)
{
    if (rand_below(&h->rand, 4) == 0) {
        others_delete_range(h, work);
        return;
    }
    struct step step = {.what = 'p', .coll = random_coll(h), .ttl_ms = random_ttl(&h->rand)};
    const loam_slice read = work->read_key;
    step.key = random_key(&h->rand, h->key_space);
    if (rand_below(&h->rand, 3) == 0) {
        free((void *)(uintptr_t)step.key.data);
        step.key = loam_bytes(memcpy(malloc(read.len + 1), read.data, read.len), read.len);
    }
    step.value = random_value(&h->rand);
    if (step.ttl_ms == TTL_OF_COLL) step.ttl_ms = 0;
    step_stamp(&step, h->model, clock_of(h));
    expect(h,
           loam_put_ttl(h->db, handle(h, step.coll), step.key, step.value, step.ttl_ms) == LOAM_OK);
    work->others[step.coll] = true;
    if (step.coll == work->read_coll && step.key.len == read.len &&
        memcmp(step.key.data, read.data, read.len) == 0)
        work->key_written = true;
    committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

/* A transaction, others' writes in its midst, and whether it must or must not commit. */
static void transact(struct history *h)
{
    struct work work = {.seen = model_copy(h->model)};
    struct model *beginning = model_copy(h->model);
    bool has_savepoint = false;
    expect(h, loam_txn_begin(h->db, &work.txn) == LOAM_OK);
    read_in_txn(h, &work);
    for (uint64_t moves = rand_below(&h->rand, 12); moves > 0; moves--) {
        const uint64_t what = rand_below(&h->rand, 20);
        const uint8_t coll = random_coll(h);
        if (what < 12) {
            write_in_txn(h, &work);
        } else if (what < 14) {
            work.scanned[coll] = true;
            check_seen(h, work.txn, work.seen, coll);
        } else if (what < 16 && !has_savepoint) {
            expect(h, loam_txn_savepoint(work.txn) == LOAM_OK);
            has_savepoint = true;
            work.kept = work.count;
        } else if (what < 17) {
            roll_back(h, &work, beginning);
            has_savepoint = false;
        } else if (what < 18) {
            others_write(h, &work);
        } else if (what < 19) {
            h->world.sys.calls->sleep_ns(h->disk, rand_below(&h->rand, 5000000));
            expect(h, loam_flush(h->db, handle(h, coll)) == LOAM_OK);
        } else {
            (void)jobs_run_one(h->db);
        }
    }
    bool conflicts = work.key_written;
    for (int i = 0; i < COLLS; i++)
        conflicts = conflicts || (work.scanned[i] && work.others[i]);
    conflicts = conflicts && work.count > 0; /* one that only reads never does */
    const bool may_conflict = work.may_conflict && work.count > 0;
    const loam_durability how = (loam_durability)rand_below(&h->rand, 4);
    for (size_t i = 0; i < work.count; i++)
        step_stamp(&work.steps[i], h->model, clock_of(h));
    const loam_status rc = loam_txn_commit(work.txn, how);
    expect(h, rc == (conflicts ? LOAM_CONFLICT : LOAM_OK) || (rc == LOAM_CONFLICT && may_conflict));
    conflicts = rc == LOAM_CONFLICT;
    loam_txn_close(work.txn);
    if (!conflicts && work.count > 0) {
        h->ops += work.count;
        committed(h, work.steps, work.count, commits_durably(h, how));
        work.count = 0;
    }
    free_work_steps(&work, 0);
    free((void *)(uintptr_t)work.read_key.data);
    model_free(work.seen);
    model_free(beginning);
}

/* What is cloned again and again has tables that several have, with bounds of their own. */
static void clone_one(struct history *h)
{
    const struct step step = {
        .what = 'c', .coll = random_coll(h), .to = (uint8_t)rand_below(&h->rand, COLLS)};
    const char *name = NAMES[step.coll], *to = NAMES[step.to];
    const bool taken = model_has(h->model, to);
    expect(h, loam_clone(h->db, name, to, NULL) == (taken ? LOAM_EXISTS : LOAM_OK));
    if (taken) return;
    close_snapshots(h);
    committed(h, &step, 1, true);
}

static void change_collections(struct history *h)
{
    struct step step = {.coll = (uint8_t)(1 + rand_below(&h->rand, COLLS - 1)),
                        .to = (uint8_t)(1 + rand_below(&h->rand, COLLS - 1))};
    const char *name = NAMES[step.coll], *to = NAMES[step.to];
    if (!model_has(h->model, name)) {
        expect(h, loam_drop(h->db, name) == LOAM_NOTFOUND);
        expect(h, loam_rename(h->db, name, "new") == LOAM_NOTFOUND);
        loam_coll_options options = loam_coll_options_default();
        options.merge_operator = model_merger_for(name)->name;
        expect(h, loam_create(h->db, name, &options, NULL) == LOAM_OK);
        step.what = '+';
    } else if (rand_below(&h->rand, 2) == 0 && step.to != step.coll) {
        const bool taken = model_has(h->model, to);
        expect(h, loam_rename(h->db, name, to) == (taken ? LOAM_EXISTS : LOAM_OK));
        if (taken) return;
        step.what = 'r';
    } else {
        expect(h, loam_create(h->db, name, NULL, NULL) == LOAM_EXISTS);
        expect(h, loam_drop(h->db, name) == LOAM_OK);
        step.what = '-';
    }
    close_snapshots(h); /* a model's snapshot knows collections by name, a store's does not */
    committed(h, &step, 1, true);
}

/* Looks at a copy, or moves into it. */
static void use_checkpoint(struct history *h, const char *dir)
{
    loam_db *first = h->db;
    loam_options options = h->options;
    options.read_only = rand_below(&h->rand, 2) == 0;
    close_snapshots(h);
    if (rand_below(&h->rand, 2) == 0) {
        expect(h, loam_close(h->db) == LOAM_OK);
        memcpy(h->base, h->dir, sizeof h->base);
        memcpy(h->dir, dir, sizeof h->dir);
        open_db(h);
        clock_fell(h);
        check_all(h);
        return;
    }
    expect(h, db_open_in(&h->world, dir, &options, &h->db) == LOAM_OK);
    clock_fell(h);
    check_all(h);
    if (options.read_only && h->checkpoints < CHECKPOINTS_MAX) {
        (void)snprintf(h->base, sizeof h->base, "again %u", h->checkpoints++);
        expect(h, loam_checkpoint(h->db, h->base, NULL) == LOAM_OK);
        expect(h, db_verify_in(&h->world, h->base, NULL, NULL) == LOAM_OK);
    } else {
        memcpy(h->base, dir, sizeof h->base);
    }
    expect(h, loam_close(h->db) == LOAM_OK);
    h->db = first;
}

static void checkpoint(struct history *h)
{
    loam_checkpoint_options options = loam_checkpoint_options_default();
    char dir[DIR_BYTES];
    if (h->checkpoints == CHECKPOINTS_MAX) return;
    (void)snprintf(dir, sizeof dir, "copy %u", h->checkpoints++);
    options.copy = rand_below(&h->rand, 2) == 0;
    if (h->base[0] != '\0' && rand_below(&h->rand, 2) == 0) options.base = h->base;
    expect(h, loam_checkpoint(h->db, dir, &options) == LOAM_OK);
    now_durable(h);
    expect(h, db_verify_in(&h->world, dir, NULL, NULL) == LOAM_OK);
    use_checkpoint(h, dir);
}

/* A ttl among them, which is for puts from then on. */
static void alter(struct history *h)
{
    const struct step step = random_options(&h->rand, random_coll(h));
    bool changes;
    expect(h, model_alter(h->db, handle(h, step.coll), *(const uint8_t *)step.value.data,
                          &changes) == LOAM_OK);
    committed(h, &step, 1, changes); /* else nothing is written, and nothing synced */
}

static void operate(struct history *h)
{
    const uint64_t choice = rand_below(&h->rand, 1000);
    h->ops++;
    model_expire(h->model, clock_of(h));
    if (choice < 460) {
        write_one(h);
    } else if (choice < 490) {
        write_if(h);
    } else if (choice < 500) {
        transact(h);
    } else if (choice < 600) {
        write_batch(h);
    } else if (choice < 750) {
        read_one(h);
    } else if (choice < 830) {
        walk(h);
    } else if (choice < 850) {
        seek_back(h);
    } else if (choice < 860) {
        use_snapshot(h);
    } else if (choice < 895) {
        expect(h, loam_flush(h->db, handle(h, random_coll(h))) == LOAM_OK);
    } else if (choice < 900) {
        expect(h, loam_compact(h->db, handle(h, random_coll(h)), NULL) == LOAM_OK);
    } else if (choice < 920) {
        h->world.sys.calls->sleep_ns(h->disk, rand_below(&h->rand, 200000000));
        jobs_tend_once(h->db);
        expect(h, db_writable(h->db) == LOAM_OK);
    } else if (choice < 960) {
        (void)jobs_run_one(h->db);
    } else if (choice < 968) {
        change_collections(h);
    } else if (choice < 974) {
        clone_one(h);
    } else if (choice < 976) {
        alter(h);
    } else if (choice < 980) {
        expect(h, loam_sync(h->db) == LOAM_OK);
        now_durable(h);
    } else if (choice < 984) {
        reopen(h);
    } else if (choice < 988) {
        killed(h);
    } else if (choice < 994) {
        power_lost(h);
    } else if (choice < 995) {
        expect(h, loam_verify_open(h->db, NULL, NULL) == LOAM_OK);
    } else if (choice < 996) { /* clocks are set, also back */
        simdisk_set_wall_ms(h->disk, rand_below(&h->rand, UINT64_C(4) << 40));
    } else if (choice < 998) {
        checkpoint(h);
    } else if (choice < 998) { /* clocks are set, also back */
        const uint64_t span_ms = UINT64_C(1) << rand_below(&h->rand, 20);
        simdisk_set_wall_ms(h->disk, h->world.sys.calls->wall_ms(h->disk) - span_ms / 2 +
                                         rand_below(&h->rand, span_ms));
        clock_fell(h);
    } else {
        check_all(h);
    }
}

static struct history *history_new(uint64_t seed)
{
    struct history *h = calloc(1, sizeof *h);
    last_words(HISTORY_SECONDS_MAX, "SEED=%llu", (unsigned long long)seed);
    h->seed = seed;
    h->rand.state = seed;
    h->disk = simdisk_new(seed);
    h->model = model_new();
    h->durable = model_new();
    (void)snprintf(h->dir, sizeof h->dir, "db");
    h->key_space = 20 + (size_t)(rand_below(&h->rand, 3000) / (1 + rand_below(&h->rand, 12)));
    open_db(h);
    return h;
}

static void history_end(struct history *h)
{
    check_all(h);
    close_snapshots(h);
    expect(h, loam_close(h->db) == LOAM_OK);
    free_steps(h, h->pending_count);
    model_free(h->model);
    model_free(h->durable);
    simdisk_free(h->disk);
    free(h);
    last_words_none();
}

static void random_histories_equal_a_sorted_array(void **state)
{
    (void)state;
    const uint64_t budget = environment_number("OPS", OPS / environment_number("SLOWDOWN", 1));
    uint64_t done = 0, histories = 0, deaths = 0, losses = 0, reopens = 0, seed;
    struct seeds seeds = seeds_begin("HISTORIES", UINT32_MAX);
    while (seeds_go_on(&seeds, done, budget) && seeds_next(&seeds, &seed)) {
        struct history *h = history_new(seed);
        for (int i = 0; i < HISTORY_OPS; i++)
            operate(h);
        done += h->ops;
        deaths += h->deaths;
        losses += h->losses;
        reopens += h->reopens;
        histories++;
        history_end(h);
    }
    figures_print((const struct figure[]){{"model_operations", done},
                                          {"model_histories", histories},
                                          {"option_sets", option_sets_count()},
                                          {"reopenings", reopens},
                                          {"model_kills", deaths},
                                          {"power_losses", losses}},
                  6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_equal_a_sorted_array)};
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
