/*
 * test_threads_calls.c - every call of loam.h, from many threads, against every other.
 *
 * Each thread has keys of its own in collections that all share, and knows what they hold: whatever the others do meanwhile, its
 * answers are exactly its model's. Beside that it draws from all other calls. A snapshot of the beginning is read by
 * all, and shows the beginning. Messages of failures stay with their thread. In the end the store is closed and opened,
 * and holds what the models hold. (What is called here is held against loam.h by tests/build/texts.)
 */
#include "../lib/crew.h"

#include <loam_inspect.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 5, COLLS = 2, KEYS = 60, BIG = 70000, HOUR_MS = 3600000 };

struct own { /* of one thread: 0 is not there, else 1 + the length of the value */
    uint32_t model[COLLS][KEYS];
    loam_buf found;
    loam_batch *batch;
};

struct site {
    struct fixture *f;
    loam_coll *colls[COLLS];
    loam_snapshot *beginning;
    struct own owns[THREADS];
};

static char bytes[BIG]; /* of all values */

static loam_slice key_text(char text[static 24], int thread, uint32_t key)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "%d/%04u", thread, key));
}

static uint32_t random_len(struct hand *hand)
{
    const uint64_t choice = rand_below(&hand->rand, 200);
    return (uint32_t)rand_below(&hand->rand, choice == 0 ? BIG : choice < 20 ? 3000 : 80);
}

/* ---- own keys ---------------------------------------------------------------------------------------- */

static void write_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), len = random_len(hand);
    const bool put = rand_below(&hand->rand, 3) > 0;
    char text[24];
    const loam_slice slice = key_text(text, hand->number, key);
    const loam_status rc =
        !put          ? loam_delete(hand->crew->db, site->colls[coll], slice)
        : len % 2 > 0 ? loam_put(hand->crew->db, site->colls[coll], slice, loam_bytes(bytes, len))
                      : loam_put_ttl(hand->crew->db, site->colls[coll], slice,
                                     loam_bytes(bytes, len), HOUR_MS);
    crew_expect(hand, rc == LOAM_OK);
    own->model[coll][key] = put ? len + 1 : 0;
}

/* Appends to what is there, if it stays short, alone, in a batch or in a transaction. */
static void merge_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS);
    const uint32_t has = own->model[coll][key], len = (uint32_t)rand_below(&hand->rand, 50);
    char text[24];
    const loam_slice slice = key_text(text, hand->number, key), operand = loam_bytes(bytes, len);
    loam_db *db = hand->crew->db;
    loam_txn *txn;
    if (has > 3000) return;
    switch (rand_below(&hand->rand, 3)) {
    case 0:
        crew_expect(hand, loam_merge(db, site->colls[coll], slice, operand) == LOAM_OK);
        break;
    case 1:
        loam_batch_clear(own->batch);
        crew_expect(hand, loam_batch_merge(own->batch, site->colls[coll], slice, operand) == 0);
        crew_expect(hand, loam_write(db, own->batch, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        break;
    default:
        if (!crew_expect(hand, loam_txn_begin(db, &txn) == LOAM_OK)) return;
        crew_expect(hand, loam_txn_merge(txn, site->colls[coll], slice, operand) == LOAM_OK);
        crew_expect(hand, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        loam_txn_close(txn);
    }
    own->model[coll][key] = (has > 0 ? has : 1) + len;
}

static void write_own_batch(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    char text[24];
    loam_batch_clear(own->batch);
    for (uint64_t count = rand_below(&hand->rand, 12); count > 0; count--) {
        const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
        const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), len = random_len(hand);
        const loam_slice slice = key_text(text, hand->number, key);
        const bool put = rand_below(&hand->rand, 3) > 0;
        const loam_status rc =
            !put ? loam_batch_delete(own->batch, site->colls[coll], slice)
            : len % 2 > 0
                ? loam_batch_put(own->batch, site->colls[coll], slice, loam_bytes(bytes, len))
                : loam_batch_put_ttl(own->batch, site->colls[coll], slice, loam_bytes(bytes, len),
                                     HOUR_MS);
        crew_expect(hand, rc == LOAM_OK);
        own->model[coll][key] = put ? len + 1 : 0;
    }
    const loam_durability how = (loam_durability)rand_below(&hand->rand, LOAM_DURABLE_PROCESS + 1);
    crew_expect(hand, loam_write(hand->crew->db, own->batch, how) == LOAM_OK);
}

/* Puts that are gone in a moment, by any call that knows when. */
static void expire_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS);
    const loam_slice value = loam_bytes(bytes, random_len(hand));
    char text[24];
    const loam_slice slice = key_text(text, hand->number, key);
    const loam_if absent = {.kind = LOAM_IF_ABSENT};
    loam_coll *in = site->colls[coll];
    loam_db *db = hand->crew->db;
    loam_txn *txn;
    switch (rand_below(&hand->rand, 3)) {
    case 0:
        crew_expect(hand, loam_put_ttl(db, in, slice, value, 2) == LOAM_OK);
        break;
    case 1:
        crew_expect(hand, loam_delete(db, in, slice) == LOAM_OK);
        crew_expect(hand, loam_put_if_ttl(db, in, slice, value, 2, &absent, NULL) == LOAM_OK);
        break;
    default:
        if (!crew_expect(hand, loam_txn_begin(db, &txn) == LOAM_OK)) return;
        crew_expect(hand, loam_txn_put_ttl(txn, in, slice, value, 2) == LOAM_OK);
        crew_expect(hand, loam_txn_get(txn, in, slice, NULL) == LOAM_OK);
        crew_expect(hand, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        loam_txn_close(txn);
    }
    await_expiry(db, in, slice);
    crew_expect(hand, loam_exists(db, in, slice) == LOAM_NOTFOUND);
    own->model[coll][key] = 0;
}

/* Some of its keys, by their common beginning. */
static void delete_own_range(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    uint32_t from = (uint32_t)rand_below(&hand->rand, KEYS);
    uint32_t to = (uint32_t)rand_below(&hand->rand, KEYS);
    char text[2][24];
    const loam_range range = {.from = key_text(text[0], hand->number, from),
                              .to = key_text(text[1], hand->number, to)};
    loam_db *db = hand->crew->db;
    loam_txn *txn;
    switch (rand_below(&hand->rand, 3)) {
    case 0:
        crew_expect(hand, loam_delete_range(db, site->colls[coll], &range) == LOAM_OK);
        break;
    case 1:
        loam_batch_clear(own->batch);
        crew_expect(hand, loam_batch_delete_range(own->batch, site->colls[coll], &range) == 0);
        crew_expect(hand, loam_write(db, own->batch, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        break;
    default:
        if (!crew_expect(hand, loam_txn_begin(db, &txn) == LOAM_OK)) return;
        crew_expect(hand, loam_txn_delete_range(txn, site->colls[coll], &range) == LOAM_OK);
        crew_expect(hand, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT) == LOAM_OK);
        loam_txn_close(txn);
    }
    for (; from < to; from++)
        own->model[coll][from] = 0;
}

static void read_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), want = own->model[coll][key];
    const loam_status there = want > 0 ? LOAM_OK : LOAM_NOTFOUND;
    char text[24];
    const loam_slice slice = key_text(text, hand->number, key);
    loam_db *db = hand->crew->db;
    crew_expect(hand, loam_exists(db, site->colls[coll], slice) == there);
    crew_expect(hand, loam_get(db, site->colls[coll], slice, &own->found) == there);
    if (want > 0) crew_expect(hand, own->found.len == want - 1);
    const loam_status rc = loam_get_at(db, site->colls[coll], site->beginning, slice, &own->found);
    crew_expect(hand, rc == LOAM_OK && own->found.len == key);
    loam_lookup both[] = {{.key = slice}, {.key = slice}};
    const loam_status all = loam_multi_get(db, site->colls[coll], NULL, both, 2, LOAM_KEYS_ONLY);
    crew_expect(hand, all == LOAM_OK && both[0].answer == there && both[1].answer == there);
    if (rand_below(&hand->rand, 50) == 0) loam_buf_free(&own->found);
}

/* Conditions on what only this thread writes are known to hold or not. */
static void write_own_if(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), len = random_len(hand);
    const uint32_t has = own->model[coll][key];
    const bool right = rand_below(&hand->rand, 2) == 0, put = rand_below(&hand->rand, 2) == 0;
    char text[24];
    uint64_t seq;
    const loam_slice slice = key_text(text, hand->number, key);
    const loam_if absent = {.kind = LOAM_IF_ABSENT};
    const loam_if equal = {.kind = LOAM_IF_EQUAL,
                           .value = loam_bytes(bytes, has > 0 ? has - 1 : 0)};
    const loam_if *condition = right == (has > 0) ? &equal : &absent;
    loam_db *db = hand->crew->db;
    const loam_status rc =
        put ? loam_put_if(db, site->colls[coll], slice, loam_bytes(bytes, len), condition, &seq)
            : loam_delete_if(db, site->colls[coll], slice, condition);
    crew_expect(hand, rc == (right ? LOAM_OK : LOAM_CONFLICT));
    if (right) own->model[coll][key] = put ? len + 1 : 0;
    if (!right || !put) return;
    const loam_if same = {.kind = LOAM_IF_SEQ, .seq = seq};
    crew_expect(hand, loam_delete_if(db, site->colls[coll], slice, &same) == LOAM_OK);
    own->model[coll][key] = 0;
}

/* What it reads is its own, so nothing conflicts. */
static void transact_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), len = random_len(hand);
    const bool keep = rand_below(&hand->rand, 4) > 0;
    char text[24], prefix[8];
    const loam_slice slice = key_text(text, hand->number, key);
    const uint32_t has = own->model[coll][key];
    loam_coll *in = site->colls[coll];
    loam_txn *txn;
    loam_iter *it;
    if (!crew_expect(hand, loam_txn_begin(hand->crew->db, &txn) == LOAM_OK)) return;
    crew_expect(hand, loam_txn_get(txn, in, slice, &own->found) == (has ? LOAM_OK : LOAM_NOTFOUND));
    if (has > 0) crew_expect(hand, own->found.len == has - 1);
    crew_expect(hand, loam_txn_put(txn, in, slice, loam_bytes(bytes, len)) == LOAM_OK);
    crew_expect(hand, loam_txn_savepoint(txn) == LOAM_OK);
    crew_expect(hand, loam_txn_delete(txn, in, slice) == LOAM_OK);
    crew_expect(hand, loam_txn_get(txn, in, slice, NULL) == LOAM_NOTFOUND);
    crew_expect(hand, loam_txn_rollback(txn) == LOAM_OK);
    snprintf(prefix, sizeof prefix, "%d/", hand->number);
    const loam_range range = {.prefix = loam_str(prefix)};
    uint32_t count = 0, want = 0;
    if (crew_expect(hand, loam_txn_iter_open(txn, in, &range, &it) == LOAM_OK)) {
        while (loam_iter_next(it) == LOAM_OK)
            count++;
        loam_iter_close(it);
    }
    if (keep) own->model[coll][key] = len + 1;
    for (uint32_t i = 0; i < KEYS; i++)
        want += i == key || own->model[coll][i] > 0;
    crew_expect(hand, count == want);
    if (keep) crew_expect(hand, loam_txn_commit(txn, LOAM_DURABLE_DEFAULT) == LOAM_OK);
    loam_txn_close(txn);
}

/* Its own keys are a range of each collection; at the beginning they all were there. */
static void walk_own(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const bool then = rand_below(&hand->rand, 2) == 0, backward = rand_below(&hand->rand, 2) == 0;
    char prefix[8], text[24];
    snprintf(prefix, sizeof prefix, "%d/", hand->number);
    const loam_range range = {.prefix = loam_str(prefix),
                              .at = then ? site->beginning : NULL,
                              .flags = rand_below(&hand->rand, 3) == 0 ? LOAM_KEYS_ONLY : 0};
    loam_iter *it;
    if (!crew_expect(hand, loam_iter_open(hand->crew->db, site->colls[coll], &range, &it) == 0))
        return;
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint32_t key = backward ? KEYS - 1 - i : i;
        const uint32_t want = then ? key + 1 : own->model[coll][key];
        if (want == 0) continue;
        const loam_slice slice = key_text(text, hand->number, key);
        if (!crew_expect(hand, (backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_OK))
            break;
        crew_expect(hand, memcmp(loam_iter_key(it).data, text, slice.len) == 0);
        crew_expect(hand, loam_iter_value(it).len == (range.flags == 0 ? want - 1 : 0));
        crew_expect(hand, (loam_iter_expires_ms(it) == 0 || !then));
        if (rand_below(&hand->rand, 16) > 0) continue;
        crew_expect(hand, loam_iter_first(it) == LOAM_OK && loam_iter_last(it) == LOAM_OK);
        const loam_status rc =
            backward ? loam_iter_seek_back(it, slice) : loam_iter_seek(it, slice);
        crew_expect(hand, rc == LOAM_OK && memcmp(loam_iter_key(it).data, text, slice.len) == 0);
    }
    crew_expect(hand, (backward ? loam_iter_prev(it) : loam_iter_next(it)) == LOAM_NOTFOUND);
    loam_iter_close(it);
}

/* ---- all the other calls --------------------------------------------------------------------------------- */

/* A failure's message is the thread's own until its next failure. */
static void fail_alone(struct hand *hand)
{
    char want[32];
    const size_t len = 65536 + (size_t)hand->number;
    snprintf(want, sizeof want, "key of %zu bytes", len);
    crew_expect(hand, loam_put(hand->crew->db, NULL, loam_bytes(bytes, len), loam_str("")) ==
                          LOAM_TOOBIG);
    for (int i = 0; i < 200; i++)
        crew_expect(hand, loam_exists(hand->crew->db, NULL, loam_str("none")) == LOAM_NOTFOUND);
    crew_expect(hand, strstr(loam_errmsg(), want) != NULL);
    crew_expect(hand, strcmp(loam_status_name(LOAM_TOOBIG), "LOAM_TOOBIG") == 0);
    crew_expect(hand, loam_version_number() == LOAM_VERSION_NUMBER);
}

static void open_others(struct hand *hand)
{
    const struct site *site = hand->ctx;
    loam_options options = loam_options_default();
    loam_db *db;
    options.memory_bytes = 4 << 20;
    options.must_exist = true;
    crew_expect(hand, loam_open(site->f->store, &options, &db) == LOAM_LOCKED && db == NULL);
    crew_expect(hand, loam_verify(site->f->store, NULL, NULL) == LOAM_LOCKED);
    crew_expect(hand, loam_refresh(hand->crew->db) == LOAM_MISUSE);
    char dir[300];
    snprintf(dir, sizeof dir, "%s/none", site->f->home);
    crew_expect(hand, loam_open(dir, &options, &db) == LOAM_IOERR && loam_errno() != 0);
    options.must_exist = false;
    snprintf(dir, sizeof dir, "%s/of %d", site->f->home, hand->number);
    if (!crew_expect(hand, loam_open(dir, &options, &db) == LOAM_OK)) return;
    crew_expect(hand, loam_put(db, NULL, loam_str("k"), loam_str("v")) == LOAM_OK);
    crew_expect(hand, loam_close(db) == LOAM_OK);
    crew_expect(hand, loam_verify(dir, NULL, NULL) == LOAM_OK);
    loam_repair_options look = loam_repair_options_default();
    look.memory_bytes = 4 << 20;
    crew_expect(hand, loam_repair(dir, NULL, &look, NULL) == LOAM_OK);
    crew_expect(hand, loam_repair(site->f->store, NULL, &look, NULL) == LOAM_LOCKED);
    const loam_restore_options restore = {.struct_size = sizeof restore, .archive = site->f->store};
    crew_expect(hand, loam_restore(site->f->store, dir, &restore, NULL) == LOAM_LOCKED);
}

static void count_name(void *ctx, const char *name)
{
    *(int *)ctx += name[0] != '\0';
}

static void change_collections(struct hand *hand)
{
    loam_db *db = hand->crew->db;
    loam_coll_options options = loam_coll_options_default();
    char name[32], other[32];
    loam_coll *coll, *same;
    int count = 0;
    snprintf(name, sizeof name, "of %d", hand->number);
    snprintf(other, sizeof other, "other of %d", hand->number);
    crew_expect(hand, loam_create(db, name, &options, &coll) == LOAM_OK);
    crew_expect(hand, loam_put(db, coll, loam_str("k"), loam_str("v")) == LOAM_OK);
    crew_expect(hand, loam_clone(db, name, other, &same) == LOAM_OK && same != coll);
    crew_expect(hand, loam_exists(db, same, loam_str("k")) == LOAM_OK);
    crew_expect(hand, loam_drop(db, other) == LOAM_OK);
    loam_ingest *ingest;
    if (crew_expect(hand, loam_ingest_begin(db, coll, &ingest) == LOAM_OK)) {
        crew_expect(hand, loam_ingest_put(ingest, loam_str("l"), loam_str("v")) == LOAM_OK);
        crew_expect(hand, loam_ingest_put_ttl(ingest, loam_str("k"), loam_str("v"), 1) == LOAM_OK);
        crew_expect(hand, loam_ingest_commit(ingest) == LOAM_OK);
        crew_expect(hand, loam_exists(db, coll, loam_str("l")) == LOAM_OK);
    }
    loam_ingest_close(ingest);
    options.compression = LOAM_ZSTD;
    crew_expect(hand, loam_coll_options_set(db, coll, &options) == LOAM_OK);
    crew_expect(hand, loam_rename(db, name, other) == LOAM_OK);
    crew_expect(hand, loam_collection(db, other, &coll) == LOAM_OK);
    crew_expect(hand, loam_collections(db, count_name, &count) == LOAM_OK && count > COLLS);
    crew_expect(hand, loam_drop(db, other) == LOAM_OK);
    crew_expect(hand, loam_put(db, coll, loam_str("k"), loam_str("v")) == LOAM_MISUSE);
}

static void take_care(struct hand *hand)
{
    const struct site *site = hand->ctx;
    loam_db *db = hand->crew->db;
    loam_coll *coll = site->colls[rand_below(&hand->rand, COLLS)];
    loam_coll_options options = {.struct_size = sizeof options};
    const loam_range range = {.from = loam_str("1/"), .to = loam_str("2/")};
    loam_stats stats = {.struct_size = sizeof stats};
    loam_coll_stats coll_stats = {.struct_size = sizeof coll_stats};
    loam_snapshot *snap;
    switch (rand_below(&hand->rand, 7)) {
    case 0:
        crew_expect(hand, loam_coll_options_get(db, coll, &options) == LOAM_OK);
        options.compression = (loam_compression)rand_below(&hand->rand, 3);
        crew_expect(hand, loam_coll_options_set(db, coll, &options) == LOAM_OK);
        break;
    case 6:
        crew_expect(hand, loam_flush(db, coll) == LOAM_OK);
        break;
    case 1:
        crew_expect(hand, loam_compact(db, coll, rand_below(&hand->rand, 2) ? &range : NULL) == 0);
        break;
    case 2:
        crew_expect(hand, loam_sync(db) == LOAM_OK);
        break;
    case 3:
        crew_expect(hand, loam_verify_open(db, NULL, NULL) == LOAM_OK);
        break;
    case 4:
        crew_expect(hand, loam_stats_get(db, &stats) == LOAM_OK && stats.fenced == LOAM_OK);
        crew_expect(hand, loam_coll_stats_get(db, coll, &coll_stats) == LOAM_OK);
        uint64_t count;
        crew_expect(hand, loam_estimate(db, coll, &range, &count, NULL) == LOAM_OK);
        crew_expect(hand, stats.get_count + stats.put_count > 0 && coll_stats.entry_count > 0);
        break;
    default:
        if (crew_expect(hand, loam_snapshot_open(db, &snap) == LOAM_OK)) loam_snapshot_close(snap);
    }
}

/* ---- looking inside ---- */

struct looked {
    uint64_t findings, len; /* len: of the value that was told; else UINT64_MAX */
    bool ends_well;
};

static bool look_on(void *ctx, const loam_finding *finding)
{
    struct looked *looked = ctx;
    looked->findings++;
    looked->ends_well =
        strcmp(finding->kind, "answer") == 0 || strcmp(finding->kind, "verdict") == 0;
    for (size_t i = 0; i < finding->fact_count; i++)
        if (strcmp(finding->facts[i].name, "value") == 0) looked->len = finding->facts[i].bytes.len;
    return true;
}

static void look_inside(struct hand *hand, struct own *own)
{
    const struct site *site = hand->ctx;
    const uint32_t coll = (uint32_t)rand_below(&hand->rand, COLLS);
    const uint32_t key = (uint32_t)rand_below(&hand->rand, KEYS), want = own->model[coll][key];
    char text[24];
    const loam_slice slice = key_text(text, hand->number, key);
    const loam_range range = {.from = loam_str("1/"), .to = loam_str("3/")};
    struct looked looked = {.len = UINT64_MAX};
    loam_db *db = hand->crew->db;
    loam_coll *in = site->colls[coll];
    switch (rand_below(&hand->rand, 8)) {
    case 0:
        crew_expect(hand, loam_explain_scan(db, in, &range, 100, look_on, &looked) == LOAM_OK);
        crew_expect(hand, looked.ends_well);
        break;
    case 1:
        crew_expect(hand, loam_tree(db, in, look_on, &looked) == LOAM_OK && looked.findings > 0);
        break;
    case 2:
        crew_expect(hand, loam_explain_put(db, in, slice, loam_bytes(bytes, key), look_on,
                                           &looked) == LOAM_OK);
        crew_expect(hand, looked.ends_well);
        own->model[coll][key] = key + 1;
        break;
    default:
        crew_expect(hand, loam_explain_get(db, in, NULL, slice, look_on, &looked) ==
                              (want > 0 ? LOAM_OK : LOAM_NOTFOUND));
        crew_expect(hand, looked.ends_well && looked.len == (want > 0 ? want - 1 : UINT64_MAX));
    }
    if (rand_below(&hand->rand, 100) == 0)
        crew_expect(hand, loam_doctor(db, look_on, &looked) == LOAM_OK && looked.ends_well);
    if (rand_below(&hand->rand, 100) == 0) {
        const loam_inspect_options options = loam_inspect_options_default();
        const loam_status rc = loam_inspect(site->f->store, &options, look_on, &looked);
        crew_expect(hand, rc == LOAM_OK || rc == LOAM_CORRUPT || rc == LOAM_IOERR); /* it moves */
    }
}

static void do_anything(struct hand *hand)
{
    struct own *own = &((struct site *)hand->ctx)->owns[hand->number];
    while (crew_goes_on(hand)) {
        const uint64_t choice = rand_below(&hand->rand, 1000);
        if (choice < 220)
            write_own(hand, own);
        else if (choice < 300)
            merge_own(hand, own);
        else if (choice < 350)
            write_own_if(hand, own);
        else if (choice < 390)
            transact_own(hand, own);
        else if (choice < 400)
            delete_own_range(hand, own);
        else if (choice < 404)
            expire_own(hand, own);
        else if (choice < 480)
            write_own_batch(hand, own);
        else if (choice < 850)
            read_own(hand, own);
        else if (choice < 950)
            walk_own(hand, own);
        else if (choice < 970)
            take_care(hand);
        else if (choice < 980)
            look_inside(hand, own);
        else if (choice < 990)
            fail_alone(hand);
        else if (choice < 997)
            change_collections(hand);
        else
            open_others(hand);
        atomic_fetch_add_explicit(&hand->crew->did, 1, memory_order_relaxed);
    }
}

/* ---- the test --------------------------------------------------------------------------------------------- */

static void open_site(struct site *site, uint64_t seed)
{
    crew_open(site->f, seed, crew_hasty());
    for (int i = 0; i < COLLS; i++) {
        const loam_status rc =
            loam_create(site->f->db, i == 0 ? "default" : "shared", NULL, &site->colls[i]);
        assert_true(rc == LOAM_OK || rc == LOAM_EXISTS);
        loam_coll_options options = loam_coll_options_default();
        options.merge_operator = "append";
        expect_ok(loam_coll_options_set(site->f->db, site->colls[i], &options));
    }
}

/* Each thread's key k begins with a value of k bytes. */
static void begin_models(struct site *site)
{
    char text[24];
    for (int thread = 0; thread < THREADS; thread++) {
        site->owns[thread].batch = loam_batch_new();
        for (int coll = 0; coll < COLLS; coll++)
            for (uint32_t key = 0; key < KEYS; key++) {
                expect_ok(loam_put(site->f->db, site->colls[coll], key_text(text, thread, key),
                                   loam_bytes(bytes, key)));
                site->owns[thread].model[coll][key] = key + 1;
            }
    }
    expect_ok(loam_snapshot_open(site->f->db, &site->beginning));
}

static void check_models(struct site *site)
{
    for (int thread = 0; thread < THREADS; thread++) {
        struct own *own = &site->owns[thread];
        for (int coll = 0; coll < COLLS; coll++)
            for (uint32_t key = 0; key < KEYS; key++) {
                char text[24];
                const uint32_t want = own->model[coll][key];
                expect_status(want > 0 ? LOAM_OK : LOAM_NOTFOUND,
                              loam_get(site->f->db, site->colls[coll], key_text(text, thread, key),
                                       &own->found));
                if (want > 0) assert_int_equal(own->found.len, want - 1);
            }
        loam_batch_free(own->batch);
        loam_buf_free(&own->found);
    }
    expect_ok(loam_verify_open(site->f->db, NULL, NULL));
}

static void every_call_stands_beside_every_other(void **state)
{
    const struct crew_job jobs[] = {{do_anything, THREADS}, {NULL, 0}};
    static struct site site;
    site = (struct site){.f = *state};
    struct crew crew = {.ctx = &site, .seed = crew_seed()};
    memset(bytes, 'b', sizeof bytes);
    open_site(&site, crew.seed);
    begin_models(&site);
    crew.db = site.f->db;
    crew_run(&crew, jobs, 2500);
    loam_snapshot_close(site.beginning);
    fixture_close(site.f);
    open_site(&site, crew.seed + 1);
    check_models(&site);
    print_message("# %llu calls or groups of them\n", (unsigned long long)atomic_load(&crew.did));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(every_call_stands_beside_every_other),
    };
    return cmocka_run_group_tests_name("threads/calls", tests, NULL, NULL);
}
