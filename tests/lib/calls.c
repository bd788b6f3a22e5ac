/*
 * calls.c - each call of loam.h once; see calls.h.
 */
#include "lib/calls.h"
#include "lib/calls_feed.h"
#include "lib/calls_follow.h"
#include "lib/calls_ingest.h"
#include "lib/calls_inspect.h"
#include "lib/calls_merge.h"
#include "lib/calls_restore.h"
#include "lib/calls_ttl.h"

#include "db/inspect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

loam_slice bench_key(int i, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "k%03d", i));
}

loam_slice bench_value(int version)
{
    static char bytes[BENCH_VALUE_BYTES];
    memset(bytes, 'a' + version, sizeof bytes);
    return loam_bytes(bytes, sizeof bytes);
}

void bench_ok(loam_status rc)
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

loam_status bench_open(struct bench *b)
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

static loam_status make_clone(struct bench *b)
{
    loam_coll *coll;
    const loam_status rc = loam_clone(b->db, "other", "clone", &coll);
    assert_true((rc == LOAM_OK) == (coll != NULL));
    return rc;
}

static void change_clone(struct model *after)
{
    model_clone(after, "other", "clone");
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

static loam_status make_options_get(struct bench *b)
{
    loam_coll_options options = {.struct_size = sizeof options};
    const loam_status rc = loam_coll_options_get(b->db, b->coll, &options);
    assert_int_equal(options.compression, LOAM_LZ4);
    return rc;
}

static loam_status make_options_set(struct bench *b)
{
    loam_coll_options options = model_options(4);
    return loam_coll_options_set(b->db, NULL, &options);
}

static void change_options(struct model *after)
{
    const struct model_words words = {.what = 'o', .coll = "default", .value = loam_bytes("\4", 1)};
    model_step(after, &words);
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

static loam_status make_delete_range(struct bench *b)
{
    const loam_range range = {.from = loam_str("k007"), .to = loam_str("k012")};
    return loam_delete_range(b->db, NULL, &range);
}

static void change_delete_range(struct model *after)
{
    model_delete_range(after, "default", loam_str("k007"), loam_str("k012"));
}

/* Of deletions that are in memory, in a run of their own, and in one with what they hide. */
static void delete_some(struct bench *b)
{
    const loam_range first = {.prefix = loam_str("k00")}, last = {.from = loam_str("k035")};
    bench_ok(loam_delete_range(b->db, NULL, &first));
    bench_ok(loam_put(b->db, NULL, loam_str("k005"), bench_value(7)));
    bench_ok(loam_flush(b->db, NULL));
    bench_ok(loam_delete_range(b->db, NULL, &last));
    model_delete_range(b->before, "default", loam_str("k00"), loam_str("k01"));
    model_put(b->before, "default", loam_str("k005"), bench_value(7));
    model_delete_range(b->before, "default", loam_str("k035"), loam_str(""));
}

static void check_value(const struct bench *b, const char *key)
{
    bench_check_value(b, "default", key);
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
loam_status bench_settle_batch(struct bench *b, loam_status rc)
{
    if (rc < 0) {
        assert_int_equal(loam_write(b->db, b->batch, LOAM_DURABLE_DEFAULT), rc);
        loam_batch_clear(b->batch);
    }
    return rc;
}

static loam_status make_batch_put(struct bench *b)
{
    return bench_settle_batch(b, loam_batch_put(b->batch, b->coll, loam_str("k"), bench_value(9)));
}

static loam_status make_batch_delete(struct bench *b)
{
    return bench_settle_batch(b, loam_batch_delete(b->batch, b->coll, loam_str("k")));
}

static loam_status make_batch_delete_range(struct bench *b)
{
    const loam_range range = {.prefix = loam_str("k")};
    return bench_settle_batch(b, loam_batch_delete_range(b->batch, b->coll, &range));
}

static void fill_batch(struct bench *b)
{
    bench_ok(loam_batch_put(b->batch, NULL, loam_str("k001"), loam_str("in a batch")));
    bench_ok(loam_batch_delete(b->batch, b->coll, loam_str("k002")));
    bench_ok(loam_batch_put(b->batch, b->coll, loam_str("k003"), bench_value(20)));
}

static loam_status make_write(struct bench *b)
{
    return loam_write(b->db, b->batch, LOAM_DURABLE_COMMIT);
}

static void change_write(struct model *after)
{
    model_put(after, "default", loam_str("k001"), loam_str("in a batch"));
    model_delete(after, "other", loam_str("k002"));
    model_put(after, "other", loam_str("k003"), bench_value(20));
}

static loam_status make_sync(struct bench *b)
{
    return loam_sync(b->db);
}

static void write_weakly(struct bench *b)
{
    bench_ok(loam_batch_put(b->batch, NULL, loam_str("weak"), bench_value(3)));
    bench_ok(loam_write(b->db, b->batch, LOAM_DURABLE_PROCESS));
    model_put(b->before, "default", loam_str("weak"), bench_value(3));
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
    bench_ok(loam_compact(b->db, NULL, NULL));
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

/* The bench's own iterator is older than what was prepared. */
static loam_status make_next_anew(struct bench *b)
{
    loam_iter_close(b->it);
    const loam_status rc = loam_iter_open(b->db, NULL, NULL, &b->it);
    return rc < 0 ? rc : make_next(b);
}

static loam_status make_iter_look(struct bench *b)
{
    assert_null(loam_iter_key(b->it).data);
    assert_null(loam_iter_value(b->it).data);
    assert_int_equal(loam_iter_expires_ms(b->it), 0);
    return LOAM_OK;
}

static loam_status make_iter_close(struct bench *b)
{
    loam_iter_close(b->it);
    b->it = NULL;
    return LOAM_OK;
}

/* ---- conditions and transactions ---- */

loam_if bench_equals_old(const struct bench *b)
{
    loam_if condition = {.kind = LOAM_IF_EQUAL};
    assert_true(model_get(b->before, "default", loam_str("k007"), &condition.value));
    return condition;
}

static loam_status make_put_if(struct bench *b)
{
    const loam_if condition = bench_equals_old(b);
    return loam_put_if(b->db, NULL, loam_str("k007"), loam_str("new"), &condition, NULL);
}

static loam_status make_delete_if(struct bench *b)
{
    const loam_if condition = bench_equals_old(b);
    return loam_delete_if(b->db, NULL, loam_str("k007"), &condition);
}

static loam_status make_txn_begin(struct bench *b)
{
    loam_txn_close(b->txn);
    return loam_txn_begin(b->db, &b->txn);
}

void bench_begin_txn(struct bench *b)
{
    bench_ok(loam_txn_begin(b->db, &b->txn));
}

static loam_status make_txn_get(struct bench *b)
{
    const loam_status rc = loam_txn_get(b->txn, NULL, loam_str("k031"), &b->buf);
    if (rc == LOAM_OK) check_value(b, "k031");
    return rc;
}

static loam_status make_txn_put(struct bench *b)
{
    return loam_txn_put(b->txn, b->coll, loam_str("k003"), bench_value(20));
}

static loam_status make_txn_delete(struct bench *b)
{
    return loam_txn_delete(b->txn, b->coll, loam_str("k002"));
}

static loam_status make_txn_delete_range(struct bench *b)
{
    const loam_range range = {.prefix = loam_str("k00")};
    return loam_txn_delete_range(b->txn, b->coll, &range);
}

static loam_status make_txn_iter_open(struct bench *b)
{
    loam_iter_close(b->it);
    return loam_txn_iter_open(b->txn, NULL, NULL, &b->it);
}

static loam_status make_txn_savepoint(struct bench *b)
{
    return loam_txn_savepoint(b->txn);
}

/* What change_write() says, and something that a rollback takes away. */
static loam_status write_in_txn(struct bench *b)
{
    loam_status rc = loam_txn_put(b->txn, NULL, loam_str("k001"), loam_str("in a batch"));
    if (rc == LOAM_OK) rc = make_txn_delete(b);
    if (rc == LOAM_OK) rc = make_txn_put(b);
    if (rc == LOAM_OK) rc = loam_txn_savepoint(b->txn);
    if (rc == LOAM_OK) rc = loam_txn_delete(b->txn, NULL, loam_str("k009"));
    return rc;
}

static void begin_and_write_txn(struct bench *b)
{
    bench_begin_txn(b);
    bench_ok(write_in_txn(b));
}

static loam_status make_txn_rollback(struct bench *b)
{
    return loam_txn_rollback(b->txn);
}

static loam_status read_in_txn(struct bench *b)
{
    loam_iter *it;
    const loam_range range = {.from = loam_str("k010"), .to = loam_str("k013")};
    loam_status rc = loam_txn_get(b->txn, b->coll, loam_str("k030"), NULL);
    if (rc >= 0) rc = loam_txn_get(b->txn, NULL, loam_str("nobody"), NULL);
    if (rc >= 0) rc = loam_txn_iter_open(b->txn, NULL, &range, &it);
    if (rc < 0) return rc;
    while ((rc = loam_iter_next(it)) == LOAM_OK) {
    }
    loam_iter_close(it);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static void work_in_txn(struct bench *b)
{
    begin_and_write_txn(b);
    bench_ok(loam_txn_rollback(b->txn));
    bench_ok(read_in_txn(b));
    bench_ok(loam_put(b->db, NULL, loam_str("z"),
                      loam_str("later"))); /* there is something to look through */
    model_put(b->before, "default", loam_str("z"), loam_str("later"));
    bench_ok(loam_flush(b->db, NULL));
}

static loam_status make_txn_commit(struct bench *b)
{
    return loam_txn_commit(b->txn, LOAM_DURABLE_COMMIT);
}

/* From the beginning, each time. */
static loam_status make_whole_txn(struct bench *b)
{
    loam_status rc = make_txn_begin(b);
    if (rc == LOAM_OK) rc = write_in_txn(b);
    if (rc == LOAM_OK) rc = loam_txn_rollback(b->txn);
    if (rc == LOAM_OK) rc = read_in_txn(b);
    return rc == LOAM_OK ? make_txn_commit(b) : rc;
}

static loam_status make_txn_close(struct bench *b)
{
    loam_txn_close(b->txn);
    b->txn = NULL;
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

static loam_status make_estimate(struct bench *b)
{
    uint64_t entry_count, bytes;
    const loam_range range = {.from = loam_str("k010"), .to = loam_str("k020")};
    return loam_estimate(b->db, NULL, &range, &entry_count, &bytes);
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

static bool hear_finding(void *ctx, const loam_finding *finding)
{
    (void)ctx;
    return finding->kind != NULL;
}

static loam_status make_inspect(struct bench *b)
{
    loam_inspect_options options = loam_inspect_options_default();
    options.files = options.entries = true;
    return inspect_in(b->world.sys, "db", &options, hear_finding, NULL);
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

const struct call calls[] = {
    {"loam_status_name", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_errmsg", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_errno", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_version_number", NULL, NOTHING, make_words, NULL, NULL, false, false},
    {"loam_buf_free", NULL, NOTHING, make_buf_free, NULL, NULL, false, false},
    {"loam_open", "a new store", OPENS, bench_open, NULL, NULL, true, true},
    {"loam_open", "after a crash", OPENS, bench_open, NULL, NULL, true, false},
    {"loam_open", "to read", OPENS, bench_open, will_only_read, NULL, true, false},
    {"loam_open", "with an archive", OPENS, bench_open, will_archive, NULL, true, false},
    {"loam_open", "to follow", OPENS, make_open_to_follow, NULL, NULL, false, false},
    {"loam_refresh", "of nothing", READS, make_refresh, follow_on, NULL, false, false},
    {"loam_refresh", "of a commit", READS, make_refresh, follow_and_write_once, NULL, false, false},
    {"loam_refresh", "of commits", READS, make_refresh, follow_and_write, NULL, false, false},
    {"loam_refresh", "of all anew", READS, make_refresh, follow_and_change, NULL, false, false},
    {"loam_close", NULL, CLOSES, make_close, close_children, NULL, false, false},
    {"loam_close", "with bytes to sync", CLOSES, make_close, write_weakly_and_let_go, NULL, false,
     false},
    {"loam_create", NULL, WRITES, make_create, NULL, change_create, false, false},
    {"loam_clone", NULL, WRITES, make_clone, NULL, change_clone, false, false},
    {"loam_rename", NULL, WRITES, make_rename, NULL, change_rename, false, false},
    {"loam_drop", NULL, WRITES, make_drop, NULL, change_drop, false, false},
    {"loam_coll_options_get", NULL, NOTHING, make_options_get, NULL, NULL, false, false},
    {"loam_coll_options_set", NULL, WRITES, make_options_set, NULL, change_options, false, false},
    {"loam_collection", NULL, READS, make_collection, NULL, NULL, false, false},
    {"loam_collections", NULL, READS, make_collections, NULL, NULL, false, false},
    {"loam_put", NULL, WRITES, make_put, NULL, change_put, false, false},
    {"loam_put_ttl", NULL, WRITES, make_put_ttl, NULL, change_put_ttl, false, false},
    {"loam_delete", NULL, WRITES, make_delete, NULL, change_delete, false, false},
    {"loam_delete_range", NULL, WRITES, make_delete_range, NULL, change_delete_range, false, false},
    {"loam_merge", NULL, WRITES, make_merge, NULL, change_merge, false, false},
    {"loam_merge", "on operands", WRITES, make_merge, merge_some, change_merge, false, false},
    {"loam_get", "of operands", READS, make_get_merged, merge_some, NULL, false, false},
    {"loam_put_if", "of operands", READS_AND_WRITES, make_put_if_merged, merge_some,
     change_put_merged, false, false},
    {"loam_iter_next", "of operands", READS, make_next_merged, merge_some, NULL, false, false},
    {"loam_iter_prev", "of operands", READS, make_prev_merged, merge_some, NULL, false, false},
    {"loam_flush", "of operands", WRITES, make_flush_merged, merge_some, NULL, false, false},
    {"loam_compact", "of operands", WRITES, make_compact_merged, merge_some, NULL, false, false},
    {"loam_get", NULL, READS, make_get, NULL, NULL, false, false},
    {"loam_get_at", NULL, READS, make_get_at, NULL, NULL, false, false},
    {"loam_exists", NULL, READS, make_exists, NULL, NULL, false, false},
    {"loam_multi_get", NULL, READS, make_multi_get, NULL, NULL, false, false},
    {"loam_batch_new", NULL, BATCH, make_batch_new, NULL, NULL, false, false},
    {"loam_batch_free", NULL, NOTHING, make_batch_free, fill_batch, NULL, false, false},
    {"loam_batch_clear", NULL, NOTHING, make_batch_clear, fill_batch, NULL, false, false},
    {"loam_batch_put", NULL, BATCH, make_batch_put, NULL, NULL, false, false},
    {"loam_batch_put_ttl", NULL, BATCH, make_batch_put_ttl, NULL, NULL, false, false},
    {"loam_batch_delete", NULL, BATCH, make_batch_delete, NULL, NULL, false, false},
    {"loam_batch_merge", NULL, BATCH, make_batch_merge, NULL, NULL, false, false},
    {"loam_batch_delete_range", NULL, BATCH, make_batch_delete_range, NULL, NULL, false, false},
    {"loam_write", NULL, WRITES, make_write, fill_batch, change_write, false, false},
    {"loam_write", "with ttls", WRITES, make_write, fill_batch_ttl, change_put_ttl, false, false},
    {"loam_ingest_begin", NULL, WRITES, make_ingest_begin, NULL, NULL, false, false},
    {"loam_ingest_put", NULL, WRITES, make_ingest_put, NULL, NULL, false, false},
    {"loam_ingest_put_ttl", NULL, WRITES, make_ingest_put_ttl, NULL, change_put_ttl, false, false},
    {"loam_ingest_commit", NULL, WRITES, make_ingest, NULL, change_ingest, false, false},
    {"loam_ingest_commit", "of the first", WRITES, make_first_ingest, create_for_ingest,
     change_first_ingest, false, false},
    {"loam_ingest_close", "after spills", WRITES, make_ingest_of_all, NULL, change_ingest_of_all,
     false, false},
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
    {"loam_iter_expires_ms", NULL, NOTHING, make_iter_look, NULL, NULL, false, false},
    {"loam_iter_close", NULL, NOTHING, make_iter_close, compact, NULL, false, false},
    {"loam_put_if", NULL, READS_AND_WRITES, make_put_if, NULL, change_put, false, false},
    {"loam_put_if_ttl", NULL, READS_AND_WRITES, make_put_if_ttl, NULL, change_put_ttl, false,
     false},
    {"loam_delete_if", NULL, READS_AND_WRITES, make_delete_if, NULL, change_delete, false, false},
    {"loam_txn_begin", NULL, READS, make_txn_begin, NULL, NULL, false, false},
    {"loam_txn_get", NULL, READS, make_txn_get, bench_begin_txn, NULL, false, false},
    {"loam_txn_put", NULL, BATCH, make_txn_put, bench_begin_txn, NULL, false, false},
    {"loam_txn_put_ttl", NULL, BATCH, make_txn_put_ttl, bench_begin_txn, NULL, false, false},
    {"loam_txn_delete", NULL, BATCH, make_txn_delete, bench_begin_txn, NULL, false, false},
    {"loam_txn_merge", NULL, BATCH, make_txn_merge, bench_begin_txn, NULL, false, false},
    {"loam_txn_get", "of operands", READS, make_txn_get_merged, merge_in_txn, NULL, false, false},
    {"loam_txn_delete_range", NULL, BATCH, make_txn_delete_range, bench_begin_txn, NULL, false,
     false},
    {"loam_txn_iter_open", NULL, READS, make_txn_iter_open, begin_and_write_txn, NULL, false,
     false},
    {"loam_txn_savepoint", NULL, BATCH, make_txn_savepoint, bench_begin_txn, NULL, false, false},
    {"loam_txn_rollback", NULL, BATCH, make_txn_rollback, begin_and_write_txn, NULL, false, false},
    {"loam_txn_commit", NULL, READS_AND_WRITES, make_txn_commit, work_in_txn, change_write, false,
     false},
    {"loam_txn_commit", "and all before", READS_AND_WRITES, make_whole_txn, NULL, change_write,
     false, false},
    {"loam_txn_close", NULL, NOTHING, make_txn_close, begin_and_write_txn, NULL, false, false},
    {"loam_batch_set_index", NULL, NOTHING, make_batch_set_index, NULL, NULL, false, false},
    {"loam_write", "with an index", WRITES, make_write, fill_batch_with_index, change_put, false,
     false},
    {"loam_flush", "with an index", WRITES, make_flush, write_with_index, NULL, false, false},
    {"loam_index", NULL, READS, make_index, write_with_index, NULL, false, false},
    {"loam_feed_open", NULL, READS, make_feed_open, NULL, NULL, false, false},
    {"loam_feed_next", NULL, READS, make_feed_next, open_feed_at_oldest, NULL, false, false},
    {"loam_feed_close", NULL, NOTHING, make_feed_close, open_feed_at_oldest, NULL, false, false},
    {"loam_flush", "under a feed", WRITES, make_flush, open_feed_at_oldest, NULL, false, false},
    {"loam_stats_get", NULL, NOTHING, make_stats, NULL, NULL, false, false},
    {"loam_coll_stats_get", NULL, NOTHING, make_coll_stats, NULL, NULL, false, false},
    {"loam_estimate", NULL, READS, make_estimate, NULL, NULL, false, false},
    {"loam_flush", NULL, WRITES, make_flush, NULL, NULL, false, false},
    {"loam_flush", "of ranges", WRITES, make_flush, delete_some, NULL, false, false},
    {"loam_compact", NULL, WRITES, make_compact, NULL, NULL, false, false},
    {"loam_compact", "under ranges", WRITES, make_compact, delete_some, NULL, false, false},
    {"loam_compact", "of what has expired", WRITES, make_compact, expire_some, NULL, false, false},
    {"loam_iter_next", "over what has expired", READS, make_next_anew, expire_some, NULL, false,
     false},
    {"loam_iter_open", "over ranges", READS, make_iter_open, delete_some, NULL, false, false},
    {"loam_iter_next", "over ranges", READS, make_next_anew, delete_some, NULL, false, false},
    {"loam_verify", NULL, OPENS, make_verify, NULL, NULL, true, false},
    {"loam_verify_open", NULL, READS, make_verify_open, NULL, NULL, false, false},
    {"loam_checkpoint", "of links", READS_AND_WRITES, make_checkpoint, NULL, NULL, false, false},
    {"loam_checkpoint", "of copies", READS_AND_WRITES, make_copy, NULL, NULL, false, false},
    {"loam_inspect", "after a close", REPAIRS, make_inspect, NULL, NULL, true, false},
    {"loam_inspect", "while it is open", REPAIRS, make_inspect, NULL, NULL, false, false},
    {"loam_explain_get", NULL, READS, make_explain_get, NULL, NULL, false, false},
    {"loam_explain_get", "under ranges", READS, make_explain_get, delete_some, NULL, false, false},
    {"loam_explain_get", "of operands", READS, make_explain_merged, merge_some, NULL, false, false},
    {"loam_explain_scan", NULL, READS, make_explain_scan, NULL, NULL, false, false},
    {"loam_explain_scan", "over ranges", READS, make_explain_scan, delete_some, NULL, false, false},
    {"loam_explain_put", NULL, WRITES, make_explain_put, NULL, change_put, false, false},
    {"loam_tree", NULL, NOTHING, make_tree, NULL, NULL, false, false},
    {"loam_doctor", NULL, READS_AND_WRITES, make_doctor, NULL, NULL, false, false},
    {"loam_restore", NULL, OPENS, make_restore, archive_some, NULL, true, false},
    {"loam_repair", "to look", REPAIRS, make_look, NULL, NULL, true, false},
    {"loam_repair", "into a new store", REPAIRS, make_repair, NULL, NULL, true, false},
};

const size_t calls_count = sizeof calls / sizeof calls[0];
