/*
 * test_impossible.c - what no writer makes, under right checksums: an opening refuses it, or goes on, and never stops the process;
 * and a clone and an ingest whose records a crash left in the log alone.
 *
 * The bytes are written by the engine's own log and manifest, past the calls that would not say such things.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "db/db.h"
#include "lib/last_words.h"
#include "lib/simdisk.h"
#include "record/batch.h"

enum { LOG_BYTES = 16 << 10, SECONDS_MAX = 20 };

struct lab {
    struct simdisk *disk;
    loam_db *db;
    uint64_t memory_bytes; /* 0: the least */
    bool read_only;
};

static loam_status lab_open(struct lab *lab)
{
    const struct db_world world = {.sys = simdisk_table(lab->disk),
                                   .mapped_log = true,
                                   .log_bytes_least = LOG_BYTES,
                                   .seed = 1};
    loam_options options = loam_options_default();
    options.memory_bytes = lab->memory_bytes > 0 ? lab->memory_bytes : 4 << 20;
    options.read_only = lab->read_only;
    options.durability = LOAM_DURABLE_PROCESS;
    return db_open_in(&world, "db", &options, &lab->db);
}

static struct lab lab_new(void)
{
    last_words(SECONDS_MAX, "SEED=1");
    struct lab lab = {.disk = simdisk_new(1)};
    assert_int_equal(lab_open(&lab), LOAM_OK);
    return lab;
}

static void lab_die(struct lab *lab)
{
    simdisk_kill(lab->disk);
    const loam_status rc = loam_close(lab->db);
    (void)rc; /* the process is gone; this only frees its memory */
}

/* The store dies, and is not opened any more. */
static void expect_refusal(struct lab *lab, const char *text)
{
    lab_die(lab);
    const loam_status rc = lab_open(lab);
    if (rc != LOAM_CORRUPT || strstr(loam_errmsg(), text) == NULL)
        fail_msg("%s, %s; not \"%s\"", loam_status_name(rc), loam_errmsg(), text);
    simdisk_free(lab->disk);
    last_words_none();
}

/* A record past the commit lane. */
static void log_record(struct lab *lab, uint8_t kind, uint64_t seq, const void *body, size_t len)
{
    const struct record_spec spec = {.kind = kind, .seq = seq};
    const struct sys_piece piece = {body, len};
    uint64_t end;
    assert_int_equal(wal_reserve(lab->db->wal, len), LOAM_OK);
    assert_int_equal(wal_append(lab->db->wal, &spec, &piece, 1, LOG_VOLATILE, &end), LOAM_OK);
}

/* A commit of so many puts of one key. */
static void log_puts(struct lab *lab, uint64_t seq, unsigned count)
{
    uint8_t body[100];
    size_t len = 0;
    body[len++] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        len += batch_head_put(body + len, ENTRY_PUT, 0, 1, 1);
        body[len++] = 'k';
        body[len++] = 'v';
    }
    log_record(lab, RECORD_COMMIT, seq, body, len);
}

static struct change created(uint32_t id, const char *name)
{
    return (struct change){.tag = CHANGE_COLL_CREATE, .coll = id, .name = loam_str(name)};
}

static void log_changes(struct lab *lab, uint64_t seq, const struct change *changes, size_t count)
{
    struct edit edit = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(edit_add(&edit, &changes[i]), LOAM_OK);
    log_record(lab, RECORD_CHANGE, seq, edit.bytes.data, edit.bytes.len);
    edit_deinit(&edit);
}

static void say_in_manifest(struct lab *lab, const struct change *changes, size_t count)
{
    struct edit edit = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(edit_add(&edit, &changes[i]), LOAM_OK);
    assert_int_equal(manifest_commit(lab->db->manifest, &edit), LOAM_OK);
    edit_deinit(&edit);
}

/* ---- the log -------------------------------------------------------------------------------------- */

static void a_record_of_several_changes_is_refused(void **state)
{
    (void)state;
    struct lab lab = lab_new();
    const struct change changes[2] = {created(5, "x"), {.tag = CHANGE_COLL_DROP, .coll = 5}};
    log_changes(&lab, 1, changes, 2);
    expect_refusal(&lab, "00000001-00000001.wal: byte 8192: more than one change");
    const struct change others[2] = {created(5, "x"), {.tag = CHANGE_COLL_OPTIONS, .coll = 0}};
    lab = lab_new();
    log_changes(&lab, 1, others, 2);
    expect_refusal(&lab, "00000001-00000001.wal: byte 8192: more than one change");
}

static void another_merge_operator_is_refused(void **state)
{
    (void)state;
    struct lab lab = lab_new();
    const struct change add = {.tag = CHANGE_COLL_OPTIONS, .merge_operator = {"add", 3}};
    const struct change none = {.tag = CHANGE_COLL_OPTIONS};
    log_changes(&lab, 1, &add, 1);
    log_changes(&lab, 2, &none, 1);
    expect_refusal(&lab, "collection 0 gets another merge operator than it has");
}

static void a_change_of_something_else_is_refused(void **state)
{
    (void)state;
    struct lab lab = lab_new();
    const struct change change = {.tag = CHANGE_FLUSHED, .seq = 100};
    log_changes(&lab, 1, &change, 1);
    expect_refusal(&lab, "00000001-00000001.wal: byte 8192: a change that is none of collections");
}

static void a_name_given_twice_in_the_log_is_refused(void **state)
{
    (void)state;
    const struct change first = created(1, "x"), second = created(2, "y");
    const struct change cases[3] = {
        created(3, "x"),
        created(3, "default"),
        {.tag = CHANGE_COLL_RENAME, .coll = 2, .name = loam_str("x")},
    };
    for (size_t i = 0; i < 3; i++) {
        struct lab lab = lab_new();
        log_changes(&lab, 1, &first, 1);
        log_changes(&lab, 2, &second, 1);
        log_changes(&lab, 3, &cases[i], 1);
        expect_refusal(&lab, "a name that another collection has");
    }
}

static void sequence_numbers_beyond_the_last_are_refused(void **state)
{
    (void)state;
    const uint64_t none[] = {0, SEQ_MAX + 1, UINT64_MAX - 1, UINT64_MAX};
    const struct change change = created(1, "x");
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct lab lab = lab_new();
        log_puts(&lab, none[i], 2);
        expect_refusal(&lab, "00000001-00000001.wal: byte 8192: its sequence number is none");
        lab = lab_new();
        log_changes(&lab, none[i], &change, 1);
        expect_refusal(&lab, none[i] == 0 ? "none" : "byte 8192: its sequence number is none");
        lab = lab_new();
        log_record(&lab, RECORD_ATTEST, none[i], NULL, 0);
        expect_refusal(&lab, "byte 8192: its sequence number is none");
    }
    struct lab lab = lab_new();
    log_puts(&lab, SEQ_MAX, 2);
    expect_refusal(&lab, "00000001-00000001.wal: byte 8192: its sequence numbers are too high");
}

static void a_log_that_leaves_no_sequence_numbers_is_refused(void **state)
{
    (void)state;
    struct lab lab = lab_new();
    log_puts(&lab, SEQ_MAX - 1, 2);
    expect_refusal(&lab, "sequence numbers leave no room");
}

static void a_clone_of_what_is_not_so_is_refused(void **state)
{
    (void)state;
    const struct change cases[] = {
        {.tag = CHANGE_COLL_CLONE, .coll = 5, .name = {"x", 1}, .source = 4},
        {.tag = CHANGE_COLL_CLONE, .coll = 5, .name = {"x", 1}, .source = 5},
        {.tag = CHANGE_COLL_CLONE, .coll = 5, .name = {"x", 1}, .seq = 1},
        {.tag = CHANGE_COLL_CLONE, .coll = 0, .name = {"x", 1}},
        {.tag = CHANGE_COLL_CLONE, .coll = 5, .name = {"default", 7}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lab lab = lab_new();
        log_changes(&lab, 1, &cases[i], 1);
        expect_refusal(&lab, "00000001-00000001.wal: byte 8192: ");
    }
}

/* ---- bulk loads ------------------------------------------------------------------------------------- */

static struct change ingested(uint32_t coll, uint64_t run, uint64_t seq)
{
    return (struct change){.tag = CHANGE_TABLE_ADD,
                           .coll = coll,
                           .level = 7,
                           .run = run,
                           .meta = {.object = {1, 9},
                                    .bytes = 1000,
                                    .uid = seq,
                                    .smallest = loam_str("a"),
                                    .largest = loam_str("b"),
                                    .seq_min = seq,
                                    .seq_max = seq,
                                    .seq_shift = seq - 1,
                                    .entry_count = 2,
                                    .page_count = 1}};
}

static void an_ingest_that_is_not_so_is_refused(void **state)
{
    (void)state;
    const struct change ingest = {.tag = CHANGE_INGEST, .seq = 1},
                        later = {.tag = CHANGE_INGEST, .seq = 2},
                        nowhere = {.tag = CHANGE_INGEST, .coll = 5, .seq = 1};
    const struct {
        struct change changes[3];
        size_t count;
        const char *text;
    } cases[] = {
        {{ingest}, 1, "an ingest whose tables do not parse"},
        {{later, ingested(0, 1, 2)}, 2, "an ingest of another number"},
        {{ingest, ingested(0, 1, 2)}, 2, "an ingest of other tables than its own"},
        {{ingest, ingested(5, 1, 1)}, 2, "an ingest of other tables than its own"},
        {{ingest, ingested(0, 1, 1), created(5, "x")}, 3, "an ingest of other tables"},
        {{ingest, ingested(0, 1, 1), ingested(0, 2, 1)}, 3, "byte 8192: "},
        {{ingest, ingested(0, UINT64_MAX, 1)}, 2, "numbers of runs leave no room"},
        {{nowhere, ingested(5, 1, 1)}, 2, "collection 5, which is not there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lab lab = lab_new();
        log_changes(&lab, 1, cases[i].changes, cases[i].count);
        expect_refusal(&lab, cases[i].text);
    }
    struct lab lab = lab_new();
    const struct change over[2] = {later, ingested(0, 1, 2)};
    log_puts(&lab, 1, 1);
    log_changes(&lab, 2, over, 2);
    expect_refusal(&lab, "an ingest over entries that are in no table");
}

/* ---- a clone of which the log alone knows, and commits that came between it and its flush ------------ */

enum { BETWEEN = 3000 };

static size_t count_keys(struct lab *lab, const char *name)
{
    size_t count = 0;
    loam_coll *coll;
    loam_iter *it;
    assert_int_equal(loam_collection(lab->db, name, &coll), LOAM_OK);
    assert_int_equal(loam_iter_open(lab->db, coll, NULL, &it), LOAM_OK);
    while (loam_iter_next(it) == LOAM_OK)
        count++;
    loam_iter_close(it);
    return count;
}

/* ---- an ingest of which the log alone knows ---------------------------------------------------------- */

/* Its table, and the record. */
static void ingest_in_log(struct lab *lab, const char *const *keys, size_t count)
{
    const uint64_t seq = lab->db->next_seq;
    const struct run_writer_spec spec = {
        .coll = lab->db->default_coll, .level = 0, .run = lab->db->next_run};
    const struct change ingest = {.tag = CHANGE_INGEST, .seq = seq};
    struct run_writer *writer;
    struct edit edit = {0};
    assert_int_equal(run_writer_new(&spec, &writer), LOAM_OK);
    for (size_t i = 0; i < count; i++) {
        const struct entry entry = {loam_str(keys[i]), loam_str("ingested"), 1, ENTRY_PUT};
        assert_int_equal(run_writer_add(writer, &entry), LOAM_OK);
    }
    assert_int_equal(run_writer_end(writer), LOAM_OK);
    run_writer_shift(writer, seq - 1);
    assert_int_equal(edit_add(&edit, &ingest), LOAM_OK);
    assert_int_equal(run_writer_describe(writer, &edit), LOAM_OK);
    run_writer_keep(writer);
    run_writer_free(writer);
    log_record(lab, RECORD_CHANGE, seq, edit.bytes.data, edit.bytes.len);
    edit_deinit(&edit);
}

static void must_hold(struct lab *lab, const char *key, const char *value)
{
    loam_buf got = {0};
    assert_int_equal(loam_get(lab->db, NULL, loam_str(key), &got), LOAM_OK);
    assert_int_equal(got.len, strlen(value));
    assert_memory_equal(got.data, value, got.len);
    loam_buf_free(&got);
}

static void an_ingest_in_the_log_alone_is_repeated_and_runs_go_on_behind_it(void **state)
{
    static const char *const keys[] = {"b", "c"};
    (void)state;
    struct lab lab = lab_new();
    for (char key[2] = "a"; key[0] <= 'd'; key[0]++)
        assert_int_equal(loam_put(lab.db, NULL, loam_str(key), loam_str("old")), LOAM_OK);
    assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
    ingest_in_log(&lab, keys, 2);
    lab_die(&lab);
    for (int round = 0; round < 4; round++) {
        lab.read_only = round == 0;
        assert_int_equal(lab_open(&lab), LOAM_OK);
        must_hold(&lab, "a", round < 2 ? "old" : "new");
        must_hold(&lab, "b", "ingested");
        must_hold(&lab, "c", round < 2 ? "ingested" : "new");
        assert_int_equal(loam_verify_open(lab.db, NULL, NULL), LOAM_OK);
        for (const char *at = "acd"; round == 1 && *at != '\0'; at++)
            assert_int_equal(loam_put(lab.db, NULL, loam_bytes(at, 1), loam_str("new")), LOAM_OK);
        if (round == 1) assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
        lab_die(&lab);
    }
    simdisk_free(lab.disk);
    last_words_none();
}

/* So many keys in tables; as many between; the record. Between, all is in batches of 500. */
static struct lab clone_in_log(void)
{
    char key[500];
    memset(key, 'k', sizeof key);
    struct lab lab = {.disk = simdisk_new(1), .memory_bytes = 64 << 20};
    last_words(SECONDS_MAX, "SEED=1");
    assert_int_equal(lab_open(&lab), LOAM_OK);
    for (int round = 0; round < 2; round++) {
        loam_batch *batch = loam_batch_new();
        for (int i = 0; i < BETWEEN; i++) {
            (void)snprintf(key, 10, "%d/%06d", round, i);
            const loam_slice slice = loam_bytes(key, sizeof key);
            assert_int_equal(loam_batch_put(batch, NULL, slice, slice), LOAM_OK);
            if (i % 500 != 499) continue;
            assert_int_equal(loam_write(lab.db, batch, LOAM_DURABLE_PROCESS), LOAM_OK);
            loam_batch_clear(batch);
        }
        loam_batch_free(batch);
        if (round == 0) assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
    }
    const struct change clone = {
        .tag = CHANGE_COLL_CLONE, .coll = 1, .name = {"clone", 5}, .seq = BETWEEN};
    log_changes(&lab, lab.db->next_seq, &clone, 1);
    lab_die(&lab);
    return lab;
}

static void expect_clone(struct lab *lab, size_t keys)
{
    assert_int_equal(lab_open(lab), LOAM_OK);
    assert_int_equal(count_keys(lab, "default"), 2 * BETWEEN);
    assert_int_equal(count_keys(lab, "clone"), keys);
    assert_int_equal(loam_verify_open(lab->db, NULL, NULL), LOAM_OK);
}

static void a_clone_in_the_log_shares_what_was_in_tables_then(void **state)
{
    (void)state;
    struct lab lab = clone_in_log();
    for (int round = 0; round < 4; round++) {
        lab.read_only = round % 2 == 0;
        expect_clone(&lab, BETWEEN);
        lab_die(&lab);
    }
    simdisk_free(lab.disk);
    last_words_none();
}

/* That recovery flushes as its memory fills, in the midst of batches: all that was before the record then, and no half of one. */
static void a_clone_in_the_log_behind_a_recovery_that_flushed_holds_whole_commits(void **state)
{
    (void)state;
    struct lab lab = clone_in_log();
    lab.memory_bytes = 0;
    for (int round = 0; round < 3; round++) {
        expect_clone(&lab, 2 * BETWEEN);
        lab_die(&lab);
    }
    simdisk_free(lab.disk);
    last_words_none();
}

/* ---- the manifest ----------------------------------------------------------------------------------- */

static void a_manifest_that_leaves_no_numbers_is_refused(void **state)
{
    (void)state;
    const struct change flushed = {.tag = CHANGE_FLUSHED, .seq = SEQ_MAX};
    const struct change runs = {.tag = CHANGE_COUNTERS, .next_run = UINT64_MAX};
    struct lab lab = lab_new();
    say_in_manifest(&lab, &flushed, 1);
    expect_refusal(&lab, "sequence numbers leave no room");
    lab = lab_new();
    say_in_manifest(&lab, &runs, 1);
    expect_refusal(&lab, "numbers of runs leave no room");
}

static void a_name_given_twice_in_the_manifest_is_refused(void **state)
{
    (void)state;
    const struct change changes[2] = {created(1, "x"), created(2, "x")};
    struct lab lab = lab_new();
    say_in_manifest(&lab, changes, 2);
    expect_refusal(&lab, ".manifest: collection 2 has the name of another, \"x\"");
}

/* Its counter would begin again at 0, which is the default collection's. */
static void when_all_ids_are_given_out_creating_fails(void **state)
{
    (void)state;
    const struct change counters = {.tag = CHANGE_COUNTERS, .next_coll = UINT32_MAX};
    struct lab lab = lab_new();
    say_in_manifest(&lab, &counters, 1);
    lab_die(&lab);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lab_open(&lab), LOAM_OK);
        assert_int_equal(loam_create(lab.db, "x", NULL, NULL), LOAM_TOOBIG);
        assert_int_equal(loam_put(lab.db, NULL, loam_str("k"), loam_str("v")), LOAM_OK);
        assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
        assert_int_equal(loam_close(lab.db), LOAM_OK);
    }
    simdisk_free(lab.disk);
    last_words_none();
}

/* An id that the counters do not know of is not given out again. */
static void ids_go_on_behind_the_highest(void **state)
{
    (void)state;
    const struct change change = created(7, "x");
    struct lab lab = lab_new();
    say_in_manifest(&lab, &change, 1);
    lab_die(&lab);
    assert_int_equal(lab_open(&lab), LOAM_OK);
    assert_int_equal(lab.db->next_coll, 8);
    assert_int_equal(loam_close(lab.db), LOAM_OK);
    simdisk_free(lab.disk);
    last_words_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_of_several_changes_is_refused),
        cmocka_unit_test(another_merge_operator_is_refused),
        cmocka_unit_test(a_clone_of_what_is_not_so_is_refused),
        cmocka_unit_test(an_ingest_that_is_not_so_is_refused),
        cmocka_unit_test(an_ingest_in_the_log_alone_is_repeated_and_runs_go_on_behind_it),
        cmocka_unit_test(a_clone_in_the_log_shares_what_was_in_tables_then),
        cmocka_unit_test(a_clone_in_the_log_behind_a_recovery_that_flushed_holds_whole_commits),
        cmocka_unit_test(a_change_of_something_else_is_refused),
        cmocka_unit_test(a_name_given_twice_in_the_log_is_refused),
        cmocka_unit_test(sequence_numbers_beyond_the_last_are_refused),
        cmocka_unit_test(a_log_that_leaves_no_sequence_numbers_is_refused),
        cmocka_unit_test(a_manifest_that_leaves_no_numbers_is_refused),
        cmocka_unit_test(a_name_given_twice_in_the_manifest_is_refused),
        cmocka_unit_test(when_all_ids_are_given_out_creating_fails),
        cmocka_unit_test(ids_go_on_behind_the_highest),
    };
    return cmocka_run_group_tests_name("crash: impossible", tests, NULL, NULL);
}
