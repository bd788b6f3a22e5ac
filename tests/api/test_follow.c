/*
 * test_follow.c - a database that follows another one's writing, in real directories and in one process: it is opened beside a
 * writer, stands still, and shows after loam_refresh() all that the writer has committed.
 */
#include "../lib/fixture.h"
#include "../lib/same.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

static loam_options follow_options(void)
{
    loam_options options = fixture_options();
    options.follow = true;
    return options;
}

static loam_db *follow(struct fixture *f)
{
    loam_db *db = NULL;
    const loam_options options = follow_options();
    expect_ok(loam_open(f->store, &options, &db));
    return db;
}

static loam_coll *coll_of(loam_db *db, const char *name)
{
    loam_coll *coll;
    expect_ok(loam_collection(db, name, &coll));
    return coll;
}

/* Nobody writes meanwhile. */
static void expect_same(loam_db *a, loam_db *b)
{
    const char *differs = same_differs(a, b);
    if (differs != NULL) fail_msg("%s", differs);
}

static void expect_caught_up(struct fixture *f, loam_db *db)
{
    expect_ok(loam_refresh(db));
    expect_same(f->db, db);
}

static void fill(loam_db *db, loam_coll *coll, unsigned from, unsigned count, size_t value_bytes)
{
    uint8_t *value = fixture_bytes(value_bytes, from);
    for (unsigned i = from; i < from + count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%07u", i);
        expect_ok(loam_put(db, coll, loam_str(key), loam_bytes(value, value_bytes)));
    }
    free(value);
}

/* ---- standing still and going on ------------------------------------------------------------ */

static void what_is_committed_is_seen_after_a_refresh_and_not_before(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "1");
    loam_db *db = follow(f);
    expect_text(db, NULL, "a", "1");
    put_text(f->db, NULL, "a", "2");
    put_text(f->db, NULL, "b", "1");
    expect_text(db, NULL, "a", "1");
    expect_text(db, NULL, "b", NULL);
    expect_ok(loam_refresh(db));
    expect_text(db, NULL, "a", "2");
    expect_text(db, NULL, "b", "1");
    expect_ok(loam_refresh(db));
    expect_caught_up(f, db);
    expect_ok(loam_close(db));
}

static void it_opens_before_the_first_commit_and_after_a_close(void **state)
{
    struct fixture *f = *state;
    loam_db *db = follow(f);
    expect_same(f->db, db);
    expect_caught_up(f, db);
    put_text(f->db, NULL, "a", "1");
    expect_caught_up(f, db);
    fixture_close(f);
    expect_ok(loam_refresh(db));
    expect_text(db, NULL, "a", "1");
    loam_db *later = follow(f);
    expect_text(later, NULL, "a", "1");
    expect_ok(loam_close(later));
    expect_ok(loam_close(db));
}

static void each_durability_is_seen_at_once(void **state)
{
    struct fixture *f = *state;
    loam_db *db = follow(f);
    const loam_durability all[] = {LOAM_DURABLE_COMMIT, LOAM_DURABLE_PERIODIC,
                                   LOAM_DURABLE_PROCESS};
    for (unsigned i = 0; i < 3; i++) {
        loam_batch *batch = loam_batch_new();
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        expect_ok(loam_batch_put(batch, NULL, loam_str(key), loam_str("x")));
        expect_ok(loam_batch_put(batch, NULL, loam_str("last"), loam_str(key)));
        expect_ok(loam_batch_set_index(batch, 100 + i));
        expect_ok(loam_write(f->db, batch, all[i]));
        loam_batch_free(batch);
        expect_caught_up(f, db);
    }
    expect_ok(loam_close(db));
}

static size_t append_text(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    (void)ctx;
    memcpy(result, older.data, older.len);
    memcpy((char *)result + older.len, newer.data, newer.len);
    return older.len + newer.len;
}

static void each_kind_of_change_is_seen(void **state)
{
    struct fixture *f = *state;
    const loam_merge_operator own = {"own", append_text, NULL};
    loam_options options = fixture_options(), following = follow_options();
    loam_coll_options coll_options = loam_coll_options_default();
    loam_coll *coll, *copy;
    loam_db *db;
    loam_ingest *ingest;
    options.merge_operators = following.merge_operators = &own;
    options.merge_operator_count = following.merge_operator_count = 1;
    fixture_close(f);
    fixture_open(f, &options);
    expect_ok(loam_open(f->store, &following, &db));
    coll_options.merge_operator = "own";
    expect_ok(loam_create(f->db, "fruit", &coll_options, &coll));
    expect_caught_up(f, db);
    loam_coll *seen = coll_of(db, "fruit");
    for (int i = 0; i < 5; i++) {
        expect_ok(loam_merge(f->db, coll, loam_str("m"), loam_str("more")));
        put_text(f->db, coll, "p", "1");
        expect_caught_up(f, db);
        if (i == 2) expect_ok(loam_flush(f->db, NULL));
        if (i == 3) expect_ok(loam_compact(f->db, coll, NULL));
    }
    expect_ok(loam_rename(f->db, "fruit", "food"));
    expect_text(db, seen, "p", "1");
    expect_caught_up(f, db);
    assert_ptr_equal(seen, coll_of(db, "food"));
    put_text(f->db, coll, "q", "1");
    expect_ok(loam_clone(f->db, "food", "copy", &copy));
    put_text(f->db, copy, "only", "here");
    expect_caught_up(f, db);
    coll_options.ttl_ms = 3600000;
    coll_options.compression = LOAM_ZSTD;
    expect_ok(loam_coll_options_set(f->db, copy, &coll_options));
    expect_ok(loam_refresh(db));
    loam_coll_options shown = loam_coll_options_default();
    expect_ok(loam_coll_options_get(db, coll_of(db, "copy"), &shown));
    assert_int_equal(shown.ttl_ms, 3600000);
    assert_string_equal(shown.merge_operator, "own");
    expect_ok(loam_ingest_begin(f->db, copy, &ingest));
    expect_ok(loam_ingest_put(ingest, loam_str("i1"), loam_str("x")));
    expect_ok(loam_ingest_put(ingest, loam_str("i2"), loam_str("x")));
    expect_caught_up(f, db);
    expect_ok(loam_ingest_commit(ingest));
    loam_ingest_close(ingest);
    expect_caught_up(f, db);
    fill(f->db, NULL, 0, 100, 20);
    const loam_range range = {.from = loam_str("k0000010"), .to = loam_str("k0000090")};
    expect_ok(loam_delete_range(f->db, NULL, &range));
    expect_ok(loam_delete(f->db, NULL, loam_str("k0000005")));
    expect_caught_up(f, db);
    expect_ok(loam_delete_range(f->db, copy, NULL));
    expect_caught_up(f, db);
    expect_ok(loam_drop(f->db, "food"));
    expect_text(db, seen, "p", "1");
    expect_caught_up(f, db);
    expect_status(LOAM_MISUSE, loam_exists(db, seen, loam_str("p")));
    expect_ok(loam_create(f->db, "food", NULL, &coll));
    put_text(f->db, coll, "new", "1");
    expect_caught_up(f, db);
    expect_ok(loam_close(db));
}

static void an_entry_that_expires_does_so_for_who_follows(void **state)
{
    struct fixture *f = *state;
    loam_db *db = follow(f);
    expect_ok(loam_put_ttl(f->db, NULL, loam_str("short"), loam_str("1"), 1));
    expect_ok(loam_put_ttl(f->db, NULL, loam_str("long"), loam_str("1"), 3600000));
    expect_ok(loam_refresh(db));
    await_expiry(db, NULL, loam_str("short"));
    expect_text(db, NULL, "short", NULL);
    expect_text(db, NULL, "long", "1");
    expect_ok(loam_close(db));
}

/* ---- the store goes back -------------------------------------------------------------------- */

/* An older copy is put in its place, and opened and written so many times. */
static void expect_seen_that_it_went_back(struct fixture *f, int openings)
{
    char command[1200];
    fill(f->db, NULL, 0, 10, 10);
    fixture_close(f);
    snprintf(command, sizeof command, "cp -R '%s' '%s/older'", f->store, f->home);
    assert_int_equal(system(command), 0);
    fixture_open(f, NULL);
    fill(f->db, NULL, 10, 10, 10);
    expect_ok(loam_flush(f->db, NULL));
    loam_db *db = follow(f);
    fixture_close(f);
    snprintf(command, sizeof command, "rm '%s'/* && cp '%s/older'/* '%s/'", f->store, f->home,
             f->store);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < openings; i++) {
        fixture_open(f, NULL);
        fill(f->db, NULL, 20, 1000, 10);
        expect_ok(loam_flush(f->db, NULL));
        fixture_close(f);
    }
    expect_status(LOAM_CORRUPT, loam_refresh(db));
    expect_ok(loam_close(db));
    db = follow(f);
    fixture_open(f, NULL);
    expect_same(f->db, db);
    expect_ok(loam_close(db));
}

static void an_older_copy_in_its_place_is_told(void **state)
{
    expect_seen_that_it_went_back(*state, 1);
}

/* Epochs have caught up then: the files of tables have the names of others that are open. */
static void an_older_copy_that_went_on_is_told(void **state)
{
    expect_seen_that_it_went_back(*state, 2);
}

/* ---- the writer goes far ahead, closes, opens ------------------------------------------------ */

static loam_options small_options(void)
{
    loam_options options = fixture_options();
    options.memtable_bytes = 64 << 10;
    return options;
}

static void it_catches_up_over_flushes_and_merges(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options();
    loam_coll *other;
    fixture_close(f);
    fixture_open(f, &options);
    loam_db *db = follow(f);
    expect_ok(loam_create(f->db, "other", NULL, &other));
    for (unsigned i = 0; i < 30; i++) {
        fill(f->db, NULL, i * 37 % 700, 40 + i * 17, 500);
        fill(f->db, other, i * 11, 30, 900);
        if (i % 7 == 5) expect_ok(loam_compact(f->db, NULL, NULL));
        if (i % 3 == 0) expect_caught_up(f, db);
    }
    expect_caught_up(f, db);
    fixture_close(f);
    fixture_open(f, &options);
    expect_caught_up(f, db);
    expect_ok(loam_close(db));
}

static void it_follows_the_writer_over_restarts(void **state)
{
    struct fixture *f = *state;
    loam_db *db = follow(f);
    for (unsigned i = 0; i < 12; i++) {
        fill(f->db, NULL, i * 10, 10, 100);
        if (i % 2 == 0) expect_ok(loam_refresh(db));
        if (i % 3 == 0) expect_ok(loam_flush(f->db, NULL));
        fixture_close(f);
        if (i % 4 == 0) expect_ok(loam_refresh(db));
        fixture_open(f, NULL);
        expect_caught_up(f, db);
    }
    expect_ok(loam_close(db));
}

/* Its tables are deleted, and its log is used again, while it stands still. */
static void what_it_shows_stays_when_the_writer_deletes_it(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options();
    fixture_close(f);
    fixture_open(f, &options);
    fill(f->db, NULL, 0, 500, 500);
    expect_ok(loam_flush(f->db, NULL));
    fill(f->db, NULL, 500, 20, 500);
    loam_db *db = follow(f);
    loam_iter *it;
    expect_ok(loam_iter_open(db, NULL, NULL, &it));
    expect_ok(loam_iter_next(it));
    expect_ok(loam_delete_range(f->db, NULL, NULL));
    fill(f->db, NULL, 2000, 1500, 500);
    expect_ok(loam_compact(f->db, NULL, NULL));
    unsigned count = 1;
    for (; loam_iter_next(it) == LOAM_OK; count++) {
    }
    assert_int_equal(count, 520);
    expect_ok(loam_exists(db, NULL, loam_str("k0000499")));
    expect_ok(loam_iter_first(it));
    expect_caught_up(f, db);
    for (count = 1; loam_iter_next(it) == LOAM_OK; count++) {
    }
    assert_int_equal(count, 520);
    loam_iter_close(it);
    expect_status(LOAM_NOTFOUND, loam_exists(db, NULL, loam_str("k0000499")));
    expect_ok(loam_close(db));
}

struct segments { /* of the log: names and what they name */
    struct {
        char name[32];
        ino_t inode;
    } at[64];
    size_t count;
};

static void list_segments(const struct fixture *f, struct segments *out)
{
    DIR *dir = opendir(f->store);
    assert_non_null(dir);
    out->count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strstr(entry->d_name, ".wal") == NULL || out->count == 64) continue;
        snprintf(out->at[out->count].name, sizeof out->at[0].name, "%.31s", entry->d_name);
        out->at[out->count++].inode = entry->d_ino;
    }
    closedir(dir);
}

static bool has_other_name(const struct segments *before, const struct segments *now)
{
    for (size_t i = 0; i < before->count; i++)
        for (size_t k = 0; k < now->count; k++)
            if (before->at[i].inode == now->at[k].inode &&
                strcmp(before->at[i].name, now->at[k].name) != 0)
                return true;
    return false;
}

/* What it reads gets another name and other bytes, under its open descriptor. */
static void a_segment_that_is_used_again_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct segments before, now;
    const loam_options options = small_options();
    fixture_close(f);
    fixture_open(f, &options);
    fill(f->db, NULL, 0, 10, 500);
    loam_db *db = follow(f);
    unsigned key = 10, times = 0;
    for (; times < 3; times++) {
        fill(f->db, NULL, key, 10, 500);
        key += 10;
        expect_caught_up(f, db);
        list_segments(f, &before);
        now = before;
        for (unsigned i = 0; i < 400 && !has_other_name(&before, &now); i++) {
            fill(f->db, NULL, key, 100, 1000);
            key += 100;
            list_segments(f, &now);
        }
        assert_true(has_other_name(&before, &now));
        expect_caught_up(f, db);
    }
    expect_ok(loam_close(db));
}

/* Files are kept open as long as anything of them is shown, and each once. */
static void it_keeps_a_descriptor_for_each_file_and_gives_all_back(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    char name[16];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "c%u", i);
        expect_ok(loam_create(f->db, name, NULL, &coll));
        put_text(f->db, coll, "a", name);
    }
    expect_ok(loam_flush(f->db, NULL)); /* one file */
    const size_t before = fixture_file_count("/proc/self/fd");
    loam_db *db = follow(f);
    expect_same(f->db, db);
    assert_in_range(fixture_file_count("/proc/self/fd") - before, 1, 20);
    for (unsigned i = 0; i < 20; i++) {
        put_text(f->db, NULL, "a", "1");
        expect_ok(loam_flush(f->db, NULL));
        expect_ok(loam_compact(f->db, NULL, NULL));
        expect_caught_up(f, db);
    }
    assert_in_range(fixture_file_count("/proc/self/fd") - before, 1, 30);
    fixture_close(f);
    expect_ok(loam_close(db));
    assert_true(fixture_file_count("/proc/self/fd") <= before);
}

/* ---- what it refuses ------------------------------------------------------------------------- */

static void a_snapshot_or_transaction_keeps_it_where_it_is(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "1");
    loam_db *db = follow(f);
    loam_snapshot *snap;
    loam_txn *txn;
    expect_ok(loam_snapshot_open(db, &snap));
    put_text(f->db, NULL, "a", "2");
    expect_failure(LOAM_BUSY, "1 snapshots", loam_refresh(db));
    expect_text(db, NULL, "a", "1");
    loam_snapshot_close(snap);
    expect_ok(loam_txn_begin(db, &txn));
    expect_failure(LOAM_BUSY, "1 snapshots or transactions", loam_refresh(db));
    loam_txn_close(txn);
    expect_ok(loam_refresh(db));
    expect_text(db, NULL, "a", "2");
    expect_ok(loam_close(db));
}

static void it_writes_nothing_and_refuses_to(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "1");
    fixture_close(f);
    char *before = fixture_listing(f->store);
    loam_db *db = follow(f);
    expect_status(LOAM_READONLY, loam_put(db, NULL, loam_str("a"), loam_str("2")));
    expect_status(LOAM_READONLY, loam_create(db, "x", NULL, NULL));
    expect_ok(loam_refresh(db));
    expect_ok(loam_close(db));
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
    loam_options options = fixture_options();
    options.read_only = true;
    fixture_open(f, &options);
    expect_status(LOAM_MISUSE, loam_refresh(f->db));
    fixture_close(f);
    expect_status(LOAM_IOERR,
                  loam_open(fixture_path(f, "nothing"),
                            &(loam_options){.struct_size = sizeof(loam_options), .follow = true},
                            &db));
    assert_null(db);
}

static void a_forked_child_may_not_follow_on(void **state)
{
    struct fixture *f = *state;
    loam_db *db = follow(f);
    int status = 0;
    const pid_t child = fork();
    if (child == 0) _exit(loam_refresh(db) == LOAM_MISUSE ? 7 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    put_text(f->db, NULL, "a", "1");
    expect_caught_up(f, db);
    expect_ok(loam_close(db));
}

static void nobody_waits_for_who_follows(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "1");
    loam_db *first = follow(f), *second = follow(f);
    fixture_close(f);
    fixture_open(f, NULL); /* for writing */
    put_text(f->db, NULL, "a", "2");
    expect_ok(loam_refresh(first));
    expect_ok(loam_refresh(second));
    expect_text(second, NULL, "a", "2");
    expect_ok(loam_close(first));
    put_text(f->db, NULL, "a", "3");
    expect_caught_up(f, second);
    expect_ok(loam_close(second));
}

/* ---- torn and damaged logs ------------------------------------------------------------------- */

static void a_damaged_log_is_told_and_what_was_shown_stays(void **state)
{
    struct fixture *f = *state;
    char path[512];
    loam_options options = fixture_options();
    options.durability = LOAM_DURABLE_COMMIT;
    fixture_close(f);
    fixture_open(f, &options);
    fill(f->db, NULL, 0, 10, 100);
    loam_db *db = follow(f);
    assert_true(fixture_find_file(f, ".wal", path));
    fill(f->db, NULL, 10, 1, 100);
    fill(f->db, NULL, 11, 50, 100);
    /* The record of k0000010 has its key once. */
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    static char bytes[MIB];
    const ssize_t len = pread(fd, bytes, sizeof bytes, 0);
    assert_true(len > 0);
    char *at = memmem(bytes, (size_t)len, "k0000010", 8);
    assert_non_null(at);
    assert_int_equal(pwrite(fd, "K", 1, at - bytes), 1);
    loam_status rc = LOAM_OK;
    for (int i = 0; i < 40 && rc == LOAM_OK; i++)
        rc = loam_refresh(db);
    expect_status(LOAM_CORRUPT, rc);
    expect_message(".wal: byte ");
    expect_ok(loam_exists(db, NULL, loam_str("k0000009")));
    expect_status(LOAM_NOTFOUND, loam_exists(db, NULL, loam_str("k0000010")));
    assert_int_equal(pwrite(fd, "k", 1, at - bytes), 1);
    close(fd);
    expect_caught_up(f, db);
    expect_ok(loam_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(what_is_committed_is_seen_after_a_refresh_and_not_before),
        test_open(it_opens_before_the_first_commit_and_after_a_close),
        test_open(each_durability_is_seen_at_once),
        test_open(each_kind_of_change_is_seen),
        test_open(an_entry_that_expires_does_so_for_who_follows),
        test_open(an_older_copy_in_its_place_is_told),
        test_open(an_older_copy_that_went_on_is_told),
        test_open(it_catches_up_over_flushes_and_merges),
        test_open(it_follows_the_writer_over_restarts),
        test_open(what_it_shows_stays_when_the_writer_deletes_it),
        test_open(a_segment_that_is_used_again_is_not_believed),
        test_open(it_keeps_a_descriptor_for_each_file_and_gives_all_back),
        test_open(a_snapshot_or_transaction_keeps_it_where_it_is),
        test_open(it_writes_nothing_and_refuses_to),
        test_open(a_forked_child_may_not_follow_on),
        test_open(nobody_waits_for_who_follows),
        test_open(a_damaged_log_is_told_and_what_was_shown_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
