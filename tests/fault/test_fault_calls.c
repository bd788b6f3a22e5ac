/*
 * test_fault_calls.c - each public call by itself: every storage call and every allocation inside it fails, once and for good.
 *
 * The store that it is called on was killed with tables on several levels, versions and tombstones, and a tail in the log. Whatever is inside
 * a call fails while it runs and never before or after. It answers what loam.h says it may; what it refused is not there, and asked for
 * again it succeeds in the same handle; then the store is closed, killed or loses power, and holds what was acknowledged.
 * A function that loam.h or loam_inspect.h declares and the table in lib/calls.c does not have fails the test. CALL=name is one of them, CUT=n one fault of it.
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
#include "lib/calls.h"
#include "lib/fault.h"
#include "lib/seeds.h"

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
    bench_ok(loam_collection(db, name, &coll));
    for (int i = 0; i < BENCH_KEYS; i += step) {
        const loam_slice key = bench_key(i, text);
        const bool deletes = version > 0 && i % 5 == 4;
        bench_ok(deletes ? loam_delete(db, coll, key)
                         : loam_put(db, coll, key, bench_value(version)));
        if (deletes)
            model_delete(store_model, name, key);
        else
            model_put(store_model, name, key, bench_value(version));
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
    bench_ok(db_open_in(&world, "db", &options, &db));
    loam_coll_options with_operator = loam_coll_options_default();
    with_operator.merge_operator = "append";
    bench_ok(loam_create(db, "other", &with_operator, NULL));
    model_create(store_model, "other");
    for (int version = 0; version < 3; version++) {
        fill_coll(db, "default", 1 + version, version);
        bench_ok(loam_flush(db, NULL));
    }
    fill_coll(db, "other", 1, 3);
    bench_ok(loam_flush(db, NULL));
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
        bench_ok(bench_open(b));
        bench_ok(loam_collection(b->db, "other", &b->coll));
        bench_ok(loam_snapshot_open(b->db, &b->snap));
        bench_ok(loam_iter_open(b->db, NULL, NULL, &b->it));
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
    case READS_AND_WRITES:
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
        bench_ok(loam_iter_open(b->db, NULL, NULL, &b->it));
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
    loam_txn_close(b->txn);
    loam_feed_close(b->feed);
    const char *shown = b->shown != NULL ? model_differs(b->shown, b->follower, NULL) : NULL;
    if (shown != NULL) wrong(fault, "%s, and the follower: %s", loam_status_name(rc), shown);
    if (loam_close(b->follower) < 0) wrong(fault, "closing a follower: %s", loam_errmsg());
    if (b->shown != NULL) model_free(b->shown);
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
    bench_ok(bench_open(b));
    check_content(b, fault, rc, !uncertain);
    bench_ok(loam_verify_open(b->db, NULL, NULL));
    bench_ok(loam_put(b->db, NULL, loam_str("z"), loam_str("z")));
    bench_ok(loam_close(b->db));
    if (b->repaired[0] != '\0') {
        bench_ok(db_open_in(&b->world, b->repaired, &b->options, &b->db));
        check_content(b, fault, LOAM_OK, true);
        bench_ok(loam_close(b->db));
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
    uint64_t met = 0, allocations = 0;
    (void)state;
    for (size_t i = 0; i < calls_count; i++) {
        call = &calls[i];
        if (only != NULL && strcmp(only, call->name) != 0) continue;
        met += fault_sweep(FAULTS, FAULT_ERRORS, meet, i);
        allocations += fault_sweep(none, 1, meet, i);
    }
    figures_print((const struct figure[]){{"public_calls", calls_count},
                                          {"failing_calls", met},
                                          {"failing_allocations", allocations},
                                          {"noticed", noticed}},
                  4);
}

/* ---- is the table whole? ------------------------------------------------------------------------------ */

static bool has_row(const char *name, size_t len)
{
    for (size_t i = 0; i < calls_count; i++)
        if (strlen(calls[i].name) == len && memcmp(calls[i].name, name, len) == 0) return true;
    return false;
}

static unsigned find_rows_of(const char *header)
{
    static char text[100000];
    FILE *file = fopen(header, "r");
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
    return count;
}

static void every_function_of_the_headers_is_called(void **state)
{
    (void)state;
    assert_in_range(find_rows_of("include/loam.h"), 30, 100);
    assert_in_range(find_rows_of("include/loam_inspect.h"), 5, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_of_the_headers_is_called),
        cmocka_unit_test_setup_teardown(every_fault_inside_every_call, make_store, free_store),
    };
    return cmocka_run_group_tests_name("fault: calls", tests, NULL, NULL);
}
