/*
 * test_fault_calls.c - each public call by itself: every storage call and every allocation inside it fails, once and for good.
 *
 * The store that it is called on was killed with tables on several levels, versions and tombstones, and a tail in the log. Whatever is inside
 * a call fails while it runs and never before or after. It answers what loam.h says it may; what it refused is not there, and asked for
 * again it succeeds in the same handle; then the store is closed, killed or loses power, and holds what was acknowledged.
 * A function that loam.h declares and the table below does not have fails the test. CALL=name is one of them, CUT=n one fault of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/fault.h"
#include "lib/seeds.h"

enum { KEYS = 40, VALUE_BYTES = 300 };

struct bench {
    struct simdisk *disk;
    struct db_world world;
    loam_options options;
    loam_db *db;
    loam_coll *coll;
    loam_snapshot *snap;
    loam_iter *it;
    loam_batch *batch;
    loam_buf buf;
    char repaired[16]; /* the new store of a repair that went well */
    unsigned repairs;
    struct model *before, *after; /* what the store holds without the call, and with it */
};

enum answers { NOTHING, READS, MOVES, WRITES, OPENS, CLOSES, BATCH, REPAIRS };

struct call {
    const char *name;
    const char *how; /* which of several rows, or NULL */
    enum answers may;
    loam_status (*make)(struct bench *b);
    void (*prepare)(struct bench *b);    /* more than every bench has, or NULL */
    void (*change)(struct model *after); /* what the call does to the store, or NULL */
    bool on_closed, on_nothing;          /* no database is open; there is no store */
};

static loam_slice key_of(int i, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "k%03d", i));
}

static loam_slice value_of(int version)
{
    static char bytes[VALUE_BYTES];
    memset(bytes, 'a' + version, sizeof bytes);
    return loam_bytes(bytes, sizeof bytes);
}

static void ok(loam_status rc)
{
    if (rc != LOAM_OK) fail_msg("%s: %s", loam_status_name(rc), loam_errmsg());
}

/* ---- the calls ------------------------------------------------------------------------------------ */

static loam_status make_words(struct bench *b)
{
    (void)b;
    assert_string_equal(loam_status_name(LOAM_OK), "LOAM_OK");
    assert_non_null(loam_errmsg());
    (void)loam_errno();
    assert_int_equal(loam_version_number(), LOAM_VERSION_NUMBER);
    return LOAM_OK;
}

static loam_status make_buf_free(struct bench *b)
{
    loam_buf_free(&b->buf);
    return LOAM_OK;
}

static loam_status make_open(struct bench *b)
{
    const loam_status rc = db_open_in(&b->world, "db", &b->options, &b->db);
    if (rc < 0) assert_null(b->db);
    return rc;
}

static void will_only_read(struct bench *b)
{
    b->options.read_only = true;
}

static void close_children(struct bench *b)
{
    loam_iter_close(b->it);
    loam_snapshot_close(b->snap);
    b->it = NULL;
    b->snap = NULL;
}

static loam_status make_close(struct bench *b)
{
    const loam_status rc = loam_close(b->db);
    b->db = NULL;
    return rc;
}

static loam_status make_create(struct bench *b)
{
    loam_coll *coll;
    const loam_status rc = loam_create(b->db, "fresh", NULL, &coll);
    assert_true((rc == LOAM_OK) == (coll != NULL));
    return rc;
}

static void change_create(struct model *after)
{
    model_create(after, "fresh");
}

static loam_status make_rename(struct bench *b)
{
    return loam_rename(b->db, "other", "renamed");
}

static void change_rename(struct model *after)
{
    model_rename(after, "other", "renamed");
}

static loam_status make_drop(struct bench *b)
{
    return loam_drop(b->db, "other");
}

static void change_drop(struct model *after)
{
    model_drop(after, "other");
}

static loam_status make_collection(struct bench *b)
{
    return loam_collection(b->db, "other", &b->coll);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

static loam_status make_collections(struct bench *b)
{
    int count = 0;
    const loam_status rc = loam_collections(b->db, count_name, &count);
    if (rc == LOAM_OK) assert_int_equal(count, 2);
    return rc;
}

static loam_status make_put(struct bench *b)
{
    return loam_put(b->db, NULL, loam_str("k007"), loam_str("new"));
}

static void change_put(struct model *after)
{
    model_put(after, "default", loam_str("k007"), loam_str("new"));
}

static loam_status make_delete(struct bench *b)
{
    return loam_delete(b->db, NULL, loam_str("k007"));
}

static void change_delete(struct model *after)
{
    model_delete(after, "default", loam_str("k007"));
}

static void check_value(const struct bench *b, const char *key)
{
    loam_slice value;
    assert_true(model_get(b->before, "default", loam_str(key), &value));
    assert_int_equal(b->buf.len, value.len);
    assert_memory_equal(b->buf.data, value.data, value.len);
}

static loam_status make_get(struct bench *b)
{
    const loam_status rc = loam_get(b->db, NULL, loam_str("k031"), &b->buf);
    if (rc == LOAM_OK) check_value(b, "k031");
    return rc;
}

static loam_status make_get_at(struct bench *b)
{
    const loam_status rc = loam_get_at(b->db, NULL, b->snap, loam_str("k032"), &b->buf);
    if (rc == LOAM_OK) check_value(b, "k032");
    return rc;
}

static loam_status make_exists(struct bench *b)
{
    return loam_exists(b->db, NULL, loam_str("k033"));
}

static loam_status make_multi_get(struct bench *b)
{
    loam_lookup lookups[] = {{.key = loam_str("k031")}, {.key = loam_str("nobody")}};
    const loam_status rc = loam_multi_get(b->db, NULL, NULL, lookups, 2, 0);
    if (rc == LOAM_OK) {
        const loam_buf kept = b->buf;
        assert_int_equal(lookups[0].answer, LOAM_OK);
        assert_int_equal(lookups[1].answer, LOAM_NOTFOUND);
        b->buf = lookups[0].value;
        check_value(b, "k031");
        b->buf = kept;
    }
    loam_buf_free(&lookups[0].value);
    return rc;
}

static loam_status make_batch_new(struct bench *b)
{
    loam_batch_free(b->batch);
    b->batch = loam_batch_new();
    return b->batch != NULL ? LOAM_OK : LOAM_NOMEM;
}

static loam_status make_batch_free(struct bench *b)
{
    loam_batch_free(b->batch);
    b->batch = NULL;
    return LOAM_OK;
}

static loam_status make_batch_clear(struct bench *b)
{
    loam_batch_clear(b->batch);
    return LOAM_OK;
}

/* An add that failed is remembered; a batch that is cleared is as new. */
static loam_status settle_batch(struct bench *b, loam_status rc)
{
    if (rc < 0) {
        assert_int_equal(loam_write(b->db, b->batch, LOAM_DURABLE_DEFAULT), rc);
        loam_batch_clear(b->batch);
    }
    return rc;
}

static loam_status make_batch_put(struct bench *b)
{
    return settle_batch(b, loam_batch_put(b->batch, b->coll, loam_str("k"), value_of(9)));
}

static loam_status make_batch_delete(struct bench *b)
{
    return settle_batch(b, loam_batch_delete(b->batch, b->coll, loam_str("k")));
}

static void fill_batch(struct bench *b)
{
    ok(loam_batch_put(b->batch, NULL, loam_str("k001"), loam_str("in a batch")));
    ok(loam_batch_delete(b->batch, b->coll, loam_str("k002")));
    ok(loam_batch_put(b->batch, b->coll, loam_str("k003"), value_of(20)));
}

static loam_status make_write(struct bench *b)
{
    return loam_write(b->db, b->batch, LOAM_DURABLE_COMMIT);
}

static void change_write(struct model *after)
{
    model_put(after, "default", loam_str("k001"), loam_str("in a batch"));
    model_delete(after, "other", loam_str("k002"));
    model_put(after, "other", loam_str("k003"), value_of(20));
}

static loam_status make_sync(struct bench *b)
{
    return loam_sync(b->db);
}

static void write_weakly(struct bench *b)
{
    ok(loam_batch_put(b->batch, NULL, loam_str("weak"), value_of(3)));
    ok(loam_write(b->db, b->batch, LOAM_DURABLE_PROCESS));
    model_put(b->before, "default", loam_str("weak"), value_of(3));
}

static void write_weakly_and_let_go(struct bench *b)
{
    write_weakly(b);
    close_children(b);
}

static loam_status make_snapshot_open(struct bench *b)
{
    loam_snapshot_close(b->snap);
    return loam_snapshot_open(b->db, &b->snap);
}

static loam_status make_snapshot_close(struct bench *b)
{
    loam_snapshot_close(b->snap);
    b->snap = NULL;
    return LOAM_OK;
}

/* What the iterator and the snapshot hold is replaced, so that closing them deletes files. */
static void compact(struct bench *b)
{
    ok(loam_compact(b->db, NULL, NULL));
}

static loam_status make_iter_open(struct bench *b)
{
    const loam_range range = {.from = loam_str("k000"), .to = loam_str("k9"), .at = b->snap};
    loam_iter_close(b->it);
    return loam_iter_open(b->db, NULL, &range, &b->it);
}

/* Stands on the entry of the model at `index`, or failed. */
static loam_status stands_at(struct bench *b, loam_status rc, size_t index)
{
    loam_slice key, value;
    if (rc < 0) {
        assert_null(loam_iter_key(b->it).data);
        return rc;
    }
    assert_int_equal(rc, LOAM_OK);
    model_at(b->before, "default", index, &key, &value);
    assert_int_equal(loam_iter_key(b->it).len, key.len);
    assert_memory_equal(loam_iter_key(b->it).data, key.data, key.len);
    assert_int_equal(loam_iter_value(b->it).len, value.len);
    assert_memory_equal(loam_iter_value(b->it).data, value.data, value.len);
    return rc;
}

static size_t entries(const struct bench *b)
{
    return model_count(b->before, "default");
}

static loam_status make_first(struct bench *b)
{
    return stands_at(b, loam_iter_first(b->it), 0);
}

static loam_status make_last(struct bench *b)
{
    return stands_at(b, loam_iter_last(b->it), entries(b) - 1);
}

static loam_status make_seek(struct bench *b)
{
    return stands_at(b, loam_iter_seek(b->it, loam_str("k0205")),
                     model_lower(b->before, "default", loam_str("k0205")));
}

static loam_status make_seek_back(struct bench *b)
{
    return stands_at(b, loam_iter_seek_back(b->it, loam_str("k0205")),
                     model_lower(b->before, "default", loam_str("k0205")) - 1);
}

/* From nowhere over all entries to the end. */
static loam_status make_next(struct bench *b)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < entries(b); i++)
        rc = stands_at(b, loam_iter_next(b->it), i);
    if (rc == LOAM_OK) rc = loam_iter_next(b->it);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static loam_status make_prev(struct bench *b)
{
    loam_status rc = LOAM_OK;
    for (size_t i = entries(b); rc == LOAM_OK && i-- > 0;)
        rc = stands_at(b, loam_iter_prev(b->it), i);
    if (rc == LOAM_OK) rc = loam_iter_prev(b->it);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static loam_status make_iter_look(struct bench *b)
{
    assert_null(loam_iter_key(b->it).data);
    assert_null(loam_iter_value(b->it).data);
    return LOAM_OK;
}

static loam_status make_iter_close(struct bench *b)
{
    loam_iter_close(b->it);
    b->it = NULL;
    return LOAM_OK;
}

static loam_status make_stats(struct bench *b)
{
    loam_stats stats = {.struct_size = sizeof stats};
    return loam_stats_get(b->db, &stats);
}

static loam_status make_coll_stats(struct bench *b)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    return loam_coll_stats_get(b->db, b->coll, &stats);
}

static loam_status make_flush(struct bench *b)
{
    return loam_flush(b->db, NULL);
}

static loam_status make_compact(struct bench *b)
{
    return loam_compact(b->db, NULL, NULL);
}

static loam_status make_verify(struct bench *b)
{
    return db_verify_in(&b->world, "db", NULL, NULL);
}

static loam_status make_verify_open(struct bench *b)
{
    return loam_verify_open(b->db, NULL, NULL);
}

static loam_status make_look(struct bench *b)
{
    return db_repair_in(&b->world, "db", NULL, NULL, NULL);
}

/* What a failed one has begun is of no use, so each has a place of its own. */
static loam_status make_repair(struct bench *b)
{
    char target[16];
    snprintf(target, sizeof target, "repaired%u", b->repairs++);
    const loam_status rc = db_repair_in(&b->world, "db", target, NULL, NULL);
    if (rc == LOAM_OK) memcpy(b->repaired, target, sizeof target);
    return rc;
}

static const struct call CALLS[] = {
    {"loam_status_name", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_errmsg", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_errno", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_version_number", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_buf_free", NULL, NOTHING, make_buf_free, NULL, NULL, false, false},
    {"loam_open", "a new store", OPENS, make_open, NULL, NULL, true, true},
    {"loam_open", "after a crash", OPENS, make_open, NULL, NULL, true, false},
    {"loam_open", "to read", OPENS, make_open, will_only_read, NULL, true, false},
    {"loam_close", NULL, CLOSES, make_close, close_children, NULL, false, false},
    {"loam_close", "with bytes to sync", CLOSES, make_close, write_weakly_and_let_go, NULL, false,
     false},
    {"loam_create", NULL, WRITES, make_create, NULL, change_create, false, false},
    {"loam_rename", NULL, WRITES, make_rename, NULL, change_rename, false, false},
    {"loam_drop", NULL, WRITES, make_drop, NULL, change_drop, false, false},
    {"loam_collection", NULL, READS, make_collection, NULL, NULL, false, false},
    {"loam_collections", NULL, READS, make_collections, NULL, NULL, false, false},
    {"loam_put", NULL, WRITES, make_put, NULL, change_put, false, false},
    {"loam_delete", NULL, WRITES, make_delete, NULL, change_delete, false, false},
    {"loam_get", NULL, READS, make_get, NULL, NULL, false, false},
    {"loam_get_at", NULL, READS, make_get_at, NULL, NULL, false, false},
    {"loam_exists", NULL, READS, make_exists, NULL, NULL, false, false},
    {"loam_multi_get", NULL, READS, make_multi_get, NULL, NULL, false, false},
    {"loam_batch_new", NULL, BATCH, make_batch_new, NULL, NULL, false, false},
    {"loam_batch_free", NULL, NOTHING, make_batch_free, fill_batch, NULL, false, false},
    {"loam_batch_clear", NULL, NOTHING, make_batch_clear, fill_batch, NULL, false, false},
    {"loam_batch_put", NULL, BATCH, make_batch_put, NULL, NULL, false, false},
    {"loam_batch_delete", NULL, BATCH, make_batch_delete, NULL, NULL, false, false},
    {"loam_write", NULL, WRITES, make_write, fill_batch, change_write, false, false},
    {"loam_sync", NULL, WRITES, make_sync, write_weakly, NULL, false, false},
    {"loam_snapshot_open", NULL, READS, make_snapshot_open, NULL, NULL, false, false},
    {"loam_snapshot_close", NULL, NOTHING, make_snapshot_close, compact, NULL, false, false},
    {"loam_iter_open", NULL, READS, make_iter_open, NULL, NULL, false, false},
    {"loam_iter_first", NULL, MOVES, make_first, NULL, NULL, false, false},
    {"loam_iter_last", NULL, MOVES, make_last, NULL, NULL, false, false},
    {"loam_iter_seek", NULL, MOVES, make_seek, NULL, NULL, false, false},
    {"loam_iter_seek_back", NULL, MOVES, make_seek_back, NULL, NULL, false, false},
    {"loam_iter_next", NULL, MOVES, make_next, NULL, NULL, false, false},
    {"loam_iter_prev", NULL, MOVES, make_prev, NULL, NULL, false, false},
    {"loam_iter_key", NULL, NOTHING, make_iter_look, NULL, NULL, false, false},
    {"loam_iter_value", NULL, NOTHING, make_iter_look, NULL, NULL, false, false},
    {"loam_iter_close", NULL, NOTHING, make_iter_close, compact, NULL, false, false},
    {"loam_stats_get", NULL, NOTHING, make_stats, NULL, NULL, false, false},
    {"loam_coll_stats_get", NULL, NOTHING, make_coll_stats, NULL, NULL, false, false},
    {"loam_flush", NULL, WRITES, make_flush, NULL, NULL, false, false},
    {"loam_compact", NULL, WRITES, make_compact, NULL, NULL, false, false},
    {"loam_verify", NULL, OPENS, make_verify, NULL, NULL, true, false},
    {"loam_verify_open", NULL, READS, make_verify_open, NULL, NULL, false, false},
    {"loam_repair", "to look", REPAIRS, make_look, NULL, NULL, true, false},
    {"loam_repair", "into a new store", REPAIRS, make_repair, NULL, NULL, true, false},
};

enum { CALL_COUNT = sizeof CALLS / sizeof CALLS[0] };

/* ---- the store they are made on --------------------------------------------------------------------- */

static struct simdisk *store_disk, *empty_disk; /* dead: twins are made of them */
static struct model *store_model;

static struct db_world world_on(struct simdisk *disk, bool mapped)
{
    return (struct db_world){.sys = simdisk_table(disk),
                             .mapped_log = mapped,
                             .page_bytes = 256,
                             .log_bytes_least = 16384,
                             .seed = 1};
}

static loam_options options_of_all(void)
{
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 16 << 10;
    options.runs_per_level = 2;
    return options;
}

static void fill_coll(loam_db *db, const char *name, int step, int version)
{
    char text[16];
    loam_coll *coll;
    ok(loam_collection(db, name, &coll));
    for (int i = 0; i < KEYS; i += step) {
        const loam_slice key = key_of(i, text);
        const bool deletes = version > 0 && i % 5 == 4;
        ok(deletes ? loam_delete(db, coll, key) : loam_put(db, coll, key, value_of(version)));
        if (deletes)
            model_delete(store_model, name, key);
        else
            model_put(store_model, name, key, value_of(version));
    }
}

static int make_store(void **state)
{
    loam_db *db;
    const loam_options options = options_of_all();
    (void)state;
    empty_disk = simdisk_new(1);
    store_disk = simdisk_new(2);
    store_model = model_new();
    const struct db_world world = world_on(store_disk, true);
    ok(db_open_in(&world, "db", &options, &db));
    ok(loam_create(db, "other", NULL, NULL));
    model_create(store_model, "other");
    for (int version = 0; version < 3; version++) {
        fill_coll(db, "default", 1 + version, version);
        ok(loam_flush(db, NULL));
    }
    fill_coll(db, "other", 1, 3);
    ok(loam_flush(db, NULL));
    fill_coll(db, "other", 3, 4);
    fill_coll(db, "default", 7, 5);
    simdisk_kill(store_disk);
    const loam_status rc = loam_close(db);
    (void)rc; /* the process is gone; this only frees its memory */
    simdisk_settle(store_disk);
    mem_fail_at(0, false);
    return 0;
}

static int free_store(void **state)
{
    (void)state;
    simdisk_free(empty_disk);
    simdisk_free(store_disk);
    model_free(store_model);
    return 0;
}

/* ---- one call, one fault ---------------------------------------------------------------------------- */

static const struct call *call;
static uint64_t noticed;

#define wrong(fault, ...)                                                                          \
    do {                                                                                           \
        char said[700];                                                                            \
        snprintf(said, sizeof said, __VA_ARGS__);                                                  \
        fail_msg("CALL=%s %s %s: %s", call->name, call->how == NULL ? "" : call->how,              \
                 fault_text(fault), said);                                                         \
    } while (0)

static void set_up(struct bench *b, uint64_t nth)
{
    b->disk = simdisk_twin(call->on_nothing ? empty_disk : store_disk);
    b->world = world_on(b->disk, nth % 2 == 0);
    b->options = options_of_all();
    b->before = call->on_nothing ? model_new() : model_copy(store_model);
    if (!call->on_closed) {
        ok(make_open(b));
        ok(loam_collection(b->db, "other", &b->coll));
        ok(loam_snapshot_open(b->db, &b->snap));
        ok(loam_iter_open(b->db, NULL, NULL, &b->it));
    }
    b->batch = loam_batch_new();
    if (call->prepare != NULL) call->prepare(b);
    b->after = model_copy(b->before);
    if (call->change != NULL) call->change(b->after);
}

static bool may_answer(struct fault fault, loam_status rc)
{
    /* What cannot be read is lost to a repair, and said to be. */
    if (rc == LOAM_CORRUPT)
        return call->may == REPAIRS && fault.error != FAULT_NO_MEMORY &&
               fault.error != SIMDISK_SHORT;
    if (!fault_answer_is_fair(fault, rc)) return false;
    switch (call->may) {
    case NOTHING:
        return false;
    case BATCH:
        return rc == LOAM_NOMEM;
    case READS:
    case MOVES:
        return rc == LOAM_NOMEM || rc == LOAM_IOERR;
    case WRITES: /* read-only: background work that it waited for has fenced */
        return rc == LOAM_NOMEM || rc == LOAM_IOERR || rc == LOAM_FULL || rc == LOAM_READONLY;
    case OPENS:
    case CLOSES:
    case REPAIRS:
        return rc == LOAM_NOMEM || rc == LOAM_IOERR || rc == LOAM_FULL;
    }
    return false;
}

/* certain: it is known which of the two. */
static void check_content(struct bench *b, struct fault fault, loam_status rc, bool certain)
{
    char first[400];
    const char *differs = model_differs(rc == LOAM_OK ? b->after : b->before, b->db, NULL);
    if (differs == NULL) return;
    snprintf(first, sizeof first, "%s", differs);
    if (certain || model_differs(b->after, b->db, NULL) != NULL)
        wrong(fault, "%s, and then %s", loam_status_name(rc), first);
}

static bool is_fenced(const struct bench *b)
{
    return b->db != NULL && atomic_load(&b->db->fenced) != LOAM_OK;
}

/* What failed once and is well again. */
static loam_status make_again(struct bench *b, struct fault fault, loam_status rc)
{
    loam_status again = call->make(b);
    if (call->may == MOVES) { /* a failed iterator stays failed; another one does not */
        if (again != rc) wrong(fault, "%s, and then %s", loam_status_name(rc), loam_errmsg());
        loam_iter_close(b->it);
        ok(loam_iter_open(b->db, NULL, NULL, &b->it));
        again = call->make(b);
    }
    /* A failed sync of names that nobody waited for ends the store's writing with the next name. */
    if (is_fenced(b) && strstr(b->db->fence_text, "syncing the directory") != NULL) return rc;
    if (again != LOAM_OK)
        wrong(fault, "%s, and again: %s: %s", loam_status_name(rc), loam_status_name(again),
              loam_errmsg());
    return again;
}

static void end(struct bench *b, struct fault fault, loam_status rc, bool uncertain)
{
    loam_iter_close(b->it);
    loam_snapshot_close(b->snap);
    loam_batch_free(b->batch);
    loam_buf_free(&b->buf);
    const uint64_t how = fault.nth % 3;
    const bool fenced = is_fenced(b);
    if (how > 0) simdisk_kill(b->disk);
    const loam_status closed = loam_close(b->db);
    if (how == 0 && !fenced && closed < 0) wrong(fault, "closing: %s", loam_errmsg());
    if (how == 0) simdisk_kill(b->disk);
    if (how == 2) simdisk_power_loss(b->disk, SIMDISK_LOSE_ALL);
    b->options.read_only = false;
    b->db = NULL;
    ok(make_open(b));
    check_content(b, fault, rc, !uncertain);
    ok(loam_verify_open(b->db, NULL, NULL));
    ok(loam_put(b->db, NULL, loam_str("z"), loam_str("z")));
    ok(loam_close(b->db));
    if (b->repaired[0] != '\0') {
        ok(db_open_in(&b->world, b->repaired, &b->options, &b->db));
        check_content(b, fault, LOAM_OK, true);
        ok(loam_close(b->db));
    }
    model_free(b->before);
    model_free(b->after);
    simdisk_free(b->disk);
}

static bool meet(uint64_t seed, struct fault fault)
{
    struct bench b = {0};
    const int64_t live = mem_live_count();
    (void)seed;
    set_up(&b, fault.nth);
    fault_arm(b.disk, fault);
    loam_status rc = call->make(&b);
    const bool met = fault_disarm(b.disk);
    noticed += rc < 0;
    if (rc < 0 && !may_answer(fault, rc))
        wrong(fault, "answers %s: %s", loam_status_name(rc), loam_errmsg());
    if (rc < 0 && loam_errmsg()[0] == '\0') wrong(fault, "fails without a word");
    const bool uncertain = is_fenced(&b) || (rc < 0 && call->may == CLOSES);
    if (rc == LOAM_IOERR && call->may == WRITES && !uncertain)
        wrong(fault, "LOAM_IOERR without a fence: %s", loam_errmsg());
    if (b.db != NULL && !b.options.read_only) fault_settle(b.disk, b.db);
    if (b.db != NULL) check_content(&b, fault, rc, !uncertain);
    if (rc < 0 && !uncertain) rc = make_again(&b, fault, rc);
    if (b.db != NULL) check_content(&b, fault, rc, !uncertain);
    end(&b, fault, rc, uncertain);
    if (mem_live_count() != live)
        wrong(fault, "%lld blocks of memory leak", (long long)(mem_live_count() - live));
    return met;
}

static void every_fault_inside_every_call(void **state)
{
    static const int none[] = {FAULT_NO_MEMORY};
    const char *only = getenv("CALL");
    uint64_t calls = 0, allocations = 0;
    (void)state;
    for (size_t i = 0; i < CALL_COUNT; i++) {
        call = &CALLS[i];
        if (only != NULL && strcmp(only, call->name) != 0) continue;
        calls += fault_sweep(FAULTS, FAULT_ERRORS, meet, i);
        allocations += fault_sweep(none, 1, meet, i);
    }
    figures_print((const struct figure[]){{"public_calls", CALL_COUNT},
                                          {"failing_calls", calls},
                                          {"failing_allocations", allocations},
                                          {"noticed", noticed}},
                  4);
}

/* ---- is the table whole? ------------------------------------------------------------------------------ */

static bool has_row(const char *name, size_t len)
{
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (strlen(CALLS[i].name) == len && memcmp(CALLS[i].name, name, len) == 0) return true;
    return false;
}

static void every_function_of_the_header_is_called(void **state)
{
    static char text[100000];
    (void)state;
    FILE *file = fopen("include/loam.h", "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "loam_")) != NULL;) {
        const size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        const char *line = at;
        while (line > text && line[-1] != '\n')
            line--;
        if (at[len] == '(' && strncmp(line, "static inline", 13) != 0 && line[0] != ' ') {
            if (!has_row(at, len)) fail_msg("no row for %.*s", (int)len, at);
            count++;
        }
        at += len;
    }
    assert_in_range(count, 30, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_of_the_header_is_called),
        cmocka_unit_test_setup_teardown(every_fault_inside_every_call, make_store, free_store),
    };
    return cmocka_run_group_tests_name("fault: calls", tests, NULL, NULL);
}
