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

#include "base/bytes.h"
#include "base/rand.h"
#include "lib/last_words.h"
#include "lib/model_restore.h"
#include "lib/model_run.h"
#include "lib/option_sets.h"
#include "lib/seeds.h"
#include "lib/told.h"

enum {
    COLLS = STEP_COLLS,
    HISTORY_OPS = 3000,
    HISTORY_SECONDS_MAX = 40,
    CHECKPOINTS_MAX = 40 /* a simulated disk has few directories */
};

#define OPS UINT64_C(5000000)

#define NAMES step_names

/* ---- operations ------------------------------------------------------------------------------ */

static uint8_t random_coll(struct model_run *h)
{
    for (;;) {
        const uint8_t coll = (uint8_t)rand_below(&h->rand, COLLS);
        if (model_has(h->model, NAMES[coll])) return coll;
    }
}

static loam_coll *handle(struct model_run *h, uint8_t coll)
{
    loam_coll *out;
    expect(h, loam_collection(h->db, NAMES[coll], &out) == LOAM_OK);
    return out;
}

static bool commits_durably(const struct model_run *h, loam_durability how)
{
    return (how == LOAM_DURABLE_DEFAULT ? h->options.durability : how) == LOAM_DURABLE_COMMIT;
}

static void write_one(struct model_run *h)
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
    step_stamp(&step, h->model, model_run_clock(h));
    expect(h, step_write(h->db, handle(h, step.coll), &step) == LOAM_OK);
    model_run_committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

static void write_batch(struct model_run *h)
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
    if (rand_below(&h->rand, 3) == 0 && !step_is_empty_range(&steps[0])) {
        steps[0].caller_index = 1 + rand_below(&h->rand, 1000000);
        expect(h, loam_batch_set_index(batch, steps[0].caller_index) == LOAM_OK);
    }
    if (rand_below(&h->rand, 4) == 0) { /* what counts is when it commits */
        h->world.sys.calls->sleep_ns(h->disk, rand_below(&h->rand, 3000000));
        model_expire(h->model, model_run_clock(h));
    }
    for (size_t i = 0; i < count; i++)
        step_stamp(&steps[i], h->model, model_run_clock(h));
    expect(h, loam_write(h->db, batch, how) == LOAM_OK);
    loam_batch_free(batch);
    h->ops += count - 1; /* each of its entries is one */
    model_run_committed(h, steps, count, commits_durably(h, how));
}

static int compare_step_keys(const void *a, const void *b)
{
    return bytes_compare(((const struct step *)a)->key, ((const struct step *)b)->key);
}

/* Some of what others may do while it is open. */
static void work_meanwhile(struct model_run *h)
{
    const uint64_t choice = rand_below(&h->rand, 40);
    if (choice == 0) (void)jobs_run_one(h->db);
    if (choice == 1) write_one(h);
    if (choice == 2) write_batch(h);
    if (choice == 3) expect(h, loam_flush(h->db, handle(h, random_coll(h))) == LOAM_OK);
    if (choice == 4) h->world.sys.calls->sleep_ns(h->disk, rand_below(&h->rand, 3000000));
    if (choice == 4) model_expire(h->model, model_run_clock(h));
}

/* A bulk load, in order or not, and seldom more than its buffer takes. It may be given up. */
static void ingest(struct model_run *h)
{
    enum { MOST = 60, LARGE_BYTES = 40000 };
    struct step steps[MOST];
    const size_t count = (size_t)rand_below(&h->rand, MOST + 1);
    const uint8_t coll = random_coll(h);
    const bool is_large = rand_below(&h->rand, 16) == 0;
    loam_ingest *ingest;
    expect(h, loam_ingest_begin(h->db, handle(h, coll), &ingest) == LOAM_OK);
    for (size_t i = 0; i < count; i++) {
        steps[i] = (struct step){.what = 'p',
                                 .coll = coll,
                                 .key = random_key(&h->rand, h->key_space),
                                 .value = random_value(&h->rand),
                                 .ttl_ms = random_ttl(&h->rand)};
        if (!is_large) continue;
        free((void *)(uintptr_t)steps[i].value.data);
        steps[i].value = loam_bytes(calloc(1, LARGE_BYTES + i), LARGE_BYTES + i);
    }
    if (rand_below(&h->rand, 2) == 0) qsort(steps, count, sizeof *steps, compare_step_keys);
    for (size_t i = 0; i < count; i++) {
        work_meanwhile(h);
        step_stamp(&steps[i], h->model, model_run_clock(h));
        expect(h, step_to_ingest(ingest, &steps[i]) == LOAM_OK);
    }
    h->ops += count;
    const bool commits = rand_below(&h->rand, 5) > 0;
    if (commits) expect(h, loam_ingest_commit(ingest) == LOAM_OK);
    loam_ingest_close(ingest);
    if (commits && count > 0) {
        model_run_committed(h, steps, count, true);
        model_restore_passed(h);
        return;
    }
    for (size_t i = 0; i < count; i++)
        step_free(&steps[i]);
}

/* More and fewer than are looked for together; some twice, some without their values. */
static void read_many(struct model_run *h)
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

/* The same by a read that is looked on. */
static void explain_one(struct model_run *h, uint8_t coll, loam_slice key)
{
    struct told told = {0};
    loam_slice expected;
    const bool there = model_get(h->model, NAMES[coll], key, &expected);
    const loam_status rc = loam_explain_get(h->db, handle(h, coll), NULL, key, told_take, &told);
    expect(h, rc == (there ? LOAM_OK : LOAM_NOTFOUND));
    if (there)
        expect(h, told.value.len == expected.len &&
                      (expected.len == 0 ||
                       memcmp(told.value.data, expected.data, expected.len) == 0));
    told_free(&told);
}

static void read_one(struct model_run *h)
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
    if (rand_below(&h->rand, 16) == 0) explain_one(h, coll, key);
    loam_buf_free(&value);
    free((void *)(uintptr_t)key.data);
}

/* A walk with turns, within bounds, against an index into the model. */
static void walk(struct model_run *h)
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

static void seek_back(struct model_run *h)
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

static void use_snapshot(struct model_run *h)
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
    if (rand_below(&h->rand, 2) == 0) model_run_close_snapshot(h, i);
}

/* ---- conditions and transactions ---- */

static void write_if(struct model_run *h)
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
    step_stamp(&step, h->model, model_run_clock(h));
    const loam_status rc = step_write_if(h->db, coll, &step, condition, &seq);
    expect(h, rc == (holds ? LOAM_OK : LOAM_CONFLICT));
    if (holds) {
        expect(h, step.what == 'd' || seq > lookup.seq);
        model_run_committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
        return;
    }
    step_free(&step);
}

/* Every key of a collection, as the transaction sees it. */
static void check_seen(struct model_run *h, loam_txn *txn, const struct model *seen, uint8_t coll)
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

static void read_in_txn(struct model_run *h, struct work *work)
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

static void write_in_txn(struct model_run *h, struct work *work)
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

static void roll_back(struct model_run *h, struct work *work, const struct model *beginning)
{
    expect(h, loam_txn_rollback(work->txn) == LOAM_OK);
    free_work_steps(work, work->kept);
    work->kept = 0;
    model_free(work->seen);
    work->seen = model_copy(beginning);
    for (size_t i = 0; i < work->count; i++)
        step_apply(work->seen, &work->steps[i]);
}

static void others_delete_range(struct model_run *h, struct work *work)
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
    model_run_committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

static void others_write(struct model_run *h, struct work *work)
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
    step_stamp(&step, h->model, model_run_clock(h));
    expect(h,
           loam_put_ttl(h->db, handle(h, step.coll), step.key, step.value, step.ttl_ms) == LOAM_OK);
    work->others[step.coll] = true;
    if (step.coll == work->read_coll && step.key.len == read.len &&
        memcmp(step.key.data, read.data, read.len) == 0)
        work->key_written = true;
    model_run_committed(h, &step, 1, commits_durably(h, LOAM_DURABLE_DEFAULT));
}

/* A transaction, others' writes in its midst, and whether it must or must not commit. */
static void transact(struct model_run *h)
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
        step_stamp(&work.steps[i], h->model, model_run_clock(h));
    const loam_status rc = loam_txn_commit(work.txn, how);
    expect(h, rc == (conflicts ? LOAM_CONFLICT : LOAM_OK) || (rc == LOAM_CONFLICT && may_conflict));
    conflicts = rc == LOAM_CONFLICT;
    loam_txn_close(work.txn);
    if (!conflicts && work.count > 0) {
        h->ops += work.count;
        model_run_committed(h, work.steps, work.count, commits_durably(h, how));
        work.count = 0;
    }
    free_work_steps(&work, 0);
    free((void *)(uintptr_t)work.read_key.data);
    model_free(work.seen);
    model_free(beginning);
}

/* What is cloned again and again has tables that several have, with bounds of their own. */
static void clone_one(struct model_run *h)
{
    const struct step step = {
        .what = 'c', .coll = random_coll(h), .to = (uint8_t)rand_below(&h->rand, COLLS)};
    const char *name = NAMES[step.coll], *to = NAMES[step.to];
    const bool taken = model_has(h->model, to);
    expect(h, loam_clone(h->db, name, to, NULL) == (taken ? LOAM_EXISTS : LOAM_OK));
    if (taken) return;
    model_run_close_snapshots(h);
    model_run_committed(h, &step, 1, true);
}

static void change_collections(struct model_run *h)
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
    model_run_close_snapshots(
        h); /* a model's snapshot knows collections by name, a store's does not */
    model_run_committed(h, &step, 1, true);
}

/* Looks at a copy, or moves into it. */
static void use_checkpoint(struct model_run *h, const char *dir)
{
    loam_db *first = h->db;
    loam_options options = h->options;
    model_feed_forget(h);
    options.read_only = rand_below(&h->rand, 2) == 0;
    options.archive = NULL;
    model_run_close_snapshots(h);
    if (rand_below(&h->rand, 2) == 0) {
        expect(h, loam_close(h->db) == LOAM_OK);
        model_follow_forget(h);
        model_restore_moved(h);
        memcpy(h->base, h->dir, sizeof h->base);
        memcpy(h->dir, dir, sizeof h->dir);
        model_run_open(h);
        model_run_clock_fell(h);
        model_run_check(h);
        return;
    }
    expect(h, db_open_in(&h->world, dir, &options, &h->db) == LOAM_OK);
    model_run_clock_fell(h);
    model_run_check(h);
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

static void checkpoint(struct model_run *h)
{
    loam_checkpoint_options options = loam_checkpoint_options_default();
    char dir[DIR_BYTES];
    if (h->checkpoints == CHECKPOINTS_MAX) return;
    (void)snprintf(dir, sizeof dir, "copy %u", h->checkpoints++);
    options.copy = rand_below(&h->rand, 2) == 0;
    if (h->base[0] != '\0' && rand_below(&h->rand, 2) == 0) options.base = h->base;
    expect(h, loam_checkpoint(h->db, dir, &options) == LOAM_OK);
    model_run_durable(h);
    expect(h, db_verify_in(&h->world, dir, NULL, NULL) == LOAM_OK);
    model_restore_from(h, dir);
    use_checkpoint(h, dir);
}

static void restore(struct model_run *h)
{
    char dir[DIR_BYTES];
    if (h->checkpoints == CHECKPOINTS_MAX || h->archive.name[0] == '\0') return;
    (void)snprintf(dir, sizeof dir, "restored %u", h->checkpoints++);
    if (h->archive.from[0] != '\0') {
        model_restore_try(h, dir);
        return;
    }
    expect(h, loam_checkpoint(h->db, dir, NULL) == LOAM_OK);
    model_run_durable(h);
    model_restore_from(h, dir);
}

/* A ttl among them, which is for puts from then on. */
static void alter(struct model_run *h)
{
    const struct step step = random_options(&h->rand, random_coll(h));
    bool changes;
    expect(h, model_alter(h->db, handle(h, step.coll), *(const uint8_t *)step.value.data,
                          &changes) == LOAM_OK);
    model_run_committed(h, &step, 1, changes); /* else nothing is written, and nothing synced */
}

static void operate(struct model_run *h)
{
    const uint64_t choice = rand_below(&h->rand, 1000);
    h->ops++;
    model_expire(h->model, model_run_clock(h));
    if (choice < 460) {
        write_one(h);
    } else if (choice < 490) {
        write_if(h);
    } else if (choice < 500) {
        transact(h);
    } else if (choice < 590) {
        write_batch(h);
    } else if (choice < 600) {
        ingest(h);
    } else if (choice < 740) {
        read_one(h);
    } else if (choice < 750) {
        model_follow_use(h);
    } else if (choice < 830) {
        walk(h);
    } else if (choice < 850) {
        seek_back(h);
    } else if (choice < 854) {
        model_feed_use(h);
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
        model_run_durable(h);
    } else if (choice < 984) {
        model_run_reopen(h);
    } else if (choice < 988) {
        model_run_kill(h);
    } else if (choice < 994) {
        model_run_lose_power(h);
        model_restore_lost(h);
    } else if (choice < 995) {
        expect(h, loam_verify_open(h->db, NULL, NULL) == LOAM_OK);
    } else if (choice < 997) {
        checkpoint(h);
    } else if (rand_below(&h->rand, 2) == 0) {
        rand_below(&h->rand, 2) == 0 ? restore(h) : model_restore_note(h);
    } else if (choice < 998) { /* clocks are set, also back */
        const uint64_t span_ms = UINT64_C(1) << rand_below(&h->rand, 20);
        simdisk_set_wall_ms(h->disk, h->world.sys.calls->wall_ms(h->disk) - span_ms / 2 +
                                         rand_below(&h->rand, span_ms));
        model_run_clock_fell(h);
    } else {
        model_run_check(h);
    }
}

static struct model_run *history_new(uint64_t seed)
{
    struct model_run *h = calloc(1, sizeof *h);
    last_words(HISTORY_SECONDS_MAX, "SEED=%llu", (unsigned long long)seed);
    h->seed = seed;
    h->rand.state = seed;
    h->disk = simdisk_new(seed);
    h->model = model_new();
    h->durable = model_new();
    (void)snprintf(h->dir, sizeof h->dir, "db");
    h->key_space = 20 + (size_t)(rand_below(&h->rand, 3000) / (1 + rand_below(&h->rand, 12)));
    model_restore_begin(h);
    model_run_open(h);
    return h;
}

static void history_end(struct model_run *h)
{
    model_feed_use(h);
    model_feed_forget(h);
    model_follow_use(h);
    model_follow_forget(h);
    model_run_check(h);
    model_run_close_snapshots(h);
    model_restore_end(h);
    expect(h, loam_close(h->db) == LOAM_OK);
    model_run_free_steps(h, h->pending_count);
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
    uint64_t done = 0, histories = 0, deaths = 0, losses = 0, reopens = 0, equal = 0, behind = 0;
    uint64_t restores = 0, follows = 0, seed;
    struct seeds seeds = seeds_begin("HISTORIES", UINT32_MAX);
    while (seeds_go_on(&seeds, done, budget) && seeds_next(&seeds, &seed)) {
        struct model_run *h = history_new(seed);
        for (int i = 0; i < HISTORY_OPS; i++)
            operate(h);
        done += h->ops;
        deaths += h->deaths;
        losses += h->losses;
        restores += h->restores;
        follows += h->follows;
        reopens += h->reopens;
        equal += h->feeds_equal;
        behind += h->feeds_behind;
        histories++;
        history_end(h);
    }
    figures_print((const struct figure[]){{"model_operations", done},
                                          {"model_histories", histories},
                                          {"option_sets", option_sets_count()},
                                          {"reopenings", reopens},
                                          {"model_kills", deaths},
                                          {"power_losses", losses},
                                          {"feeds_compared", equal},
                                          {"feeds_behind", behind},
                                          {"restored_moments", restores},
                                          {"follows", follows}},
                  10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_equal_a_sorted_array)};
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
