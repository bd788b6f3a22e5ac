/*
 * test_checkpoint.c - checkpoints, backups and their restoring, in real directories.
 */
#include "../lib/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 3000 };

static void put_numbers(loam_db *db, loam_coll *coll, int from, int to, const char *what)
{
    char key[16], value[64];
    for (int i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "%06d", i);
        (void)snprintf(value, sizeof value, "%s %d", what, i);
        put_text(db, coll, key, value);
    }
}

static void expect_numbers(loam_db *db, loam_coll *coll, int count, const char *what)
{
    char key[16], value[64];
    int found = 0;
    loam_iter *it;
    expect_ok(loam_iter_open(db, coll, NULL, &it));
    while (loam_iter_next(it) == LOAM_OK)
        found++;
    loam_iter_close(it);
    assert_int_equal(found, count);
    for (int i = 0; i < count; i += 7) {
        (void)snprintf(key, sizeof key, "%06d", i);
        (void)snprintf(value, sizeof value, "%s %d", what, i);
        expect_text(db, coll, key, value);
    }
}

static loam_db *open_at(const char *dir, bool read_only)
{
    loam_db *db;
    loam_options options = fixture_options();
    options.read_only = read_only;
    options.must_exist = true;
    expect_ok(loam_open(dir, &options, &db));
    return db;
}

static void expect_store(const char *dir, int count, const char *what)
{
    expect_ok(loam_verify(dir, NULL, NULL));
    loam_db *db = open_at(dir, true);
    expect_numbers(db, NULL, count, what);
    expect_ok(loam_close(db));
}

/* How many table files a directory has, and how many of them have another name elsewhere. */
static void count_tables(const char *dir, int *all, int *shared)
{
    char path[512];
    struct stat facts;
    DIR *entries = opendir(dir);
    *all = *shared = 0;
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strstr(entry->d_name, ".sst") == NULL) continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        assert_int_equal(stat(path, &facts), 0);
        ++*all;
        *shared += facts.st_nlink > 1;
    }
    (void)closedir(entries);
}

static bool is_empty(const char *dir)
{
    int count = 0;
    DIR *entries = opendir(dir);
    if (entries == NULL) return true;
    while (readdir(entries) != NULL)
        count++;
    (void)closedir(entries);
    return count == 2;
}

/* ---- what it holds -------------------------------------------------------------------------- */

static void it_holds_what_was_there_and_goes_its_own_way(void **state)
{
    struct fixture *f = *state;
    loam_coll *other;
    char dir[300];
    (void)snprintf(dir, sizeof dir, "%s", fixture_path(f, "copy"));
    expect_ok(loam_create(f->db, "other", NULL, &other));
    put_numbers(f->db, NULL, 0, KEYS, "first");
    put_numbers(f->db, other, 0, 10, "other");
    expect_ok(loam_flush(f->db, NULL));
    put_numbers(f->db, NULL, 0, 100, "first"); /* in the log alone */
    expect_ok(loam_checkpoint(f->db, dir, NULL));

    put_numbers(f->db, NULL, 0, KEYS, "second");
    expect_ok(loam_drop(f->db, "other"));
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_store(dir, KEYS, "first");

    loam_db *copy = open_at(dir, false);
    expect_ok(loam_collection(copy, "other", &other));
    expect_numbers(copy, other, 10, "other");
    put_numbers(copy, NULL, 0, KEYS, "third");
    expect_ok(loam_compact(copy, NULL, NULL));
    expect_ok(loam_close(copy));
    expect_store(dir, KEYS, "third");

    expect_numbers(f->db, NULL, KEYS, "second");
    fixture_reopen(f);
    expect_numbers(f->db, NULL, KEYS, "second");
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void one_of_an_empty_store_is_empty(void **state)
{
    struct fixture *f = *state;
    const char *dir = fixture_path(f, "copy");
    expect_ok(loam_checkpoint(f->db, dir, NULL));
    expect_store(dir, 0, "");
}

static void tables_are_shared_unless_copies_are_asked_for(void **state)
{
    struct fixture *f = *state;
    char first[300], second[300], third[300];
    int all, shared;
    (void)snprintf(first, sizeof first, "%s", fixture_path(f, "linked"));
    (void)snprintf(second, sizeof second, "%s", fixture_path(f, "copied"));
    (void)snprintf(third, sizeof third, "%s", fixture_path(f, "more"));
    put_numbers(f->db, NULL, 0, KEYS, "first");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_checkpoint(f->db, first, NULL));
    count_tables(first, &all, &shared);
    assert_true(all >= 1 && shared == all);

    loam_checkpoint_options options = loam_checkpoint_options_default();
    options.copy = true;
    expect_ok(loam_checkpoint(f->db, second, &options));
    count_tables(second, &all, &shared);
    assert_true(all >= 1 && shared == 0);

    put_numbers(f->db, NULL, KEYS, KEYS + 10, "first");
    expect_ok(loam_flush(f->db, NULL));
    options.base = second;
    expect_ok(loam_checkpoint(f->db, third, &options));
    count_tables(third, &all, &shared);
    assert_true(all >= 2 && shared >= 1 && shared < all); /* the new table is a copy */
    expect_store(first, KEYS, "first");
    expect_store(second, KEYS, "first");
    expect_store(third, KEYS + 10, "first");
}

static void a_backup_is_restored_by_a_checkpoint_of_it(void **state)
{
    struct fixture *f = *state;
    char backup[300], restored[300];
    loam_checkpoint_options options = loam_checkpoint_options_default();
    (void)snprintf(backup, sizeof backup, "%s", fixture_path(f, "backup"));
    (void)snprintf(restored, sizeof restored, "%s", fixture_path(f, "restored"));
    put_numbers(f->db, NULL, 0, KEYS, "first");
    options.copy = true;
    expect_ok(loam_checkpoint(f->db, backup, &options));
    loam_db *from = open_at(backup, true);
    expect_ok(loam_checkpoint(from, restored, &options));
    expect_ok(loam_close(from));
    expect_store(restored, KEYS, "first");

    fixture_close(f); /* a store that was closed has a seal, which its copy keeps */
    from = open_at(f->store, true);
    expect_ok(loam_checkpoint(from, fixture_path(f, "sealed"), NULL));
    expect_ok(loam_close(from));
    expect_store(fixture_path(f, "sealed"), KEYS, "first");
}

struct meddler {
    loam_db *db;
    int calls;
};

/* Everything is written over, flushed and merged while the checkpoint is being copied: the log's segments go, and all tables. */
static bool meddle(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    struct meddler *meddler = ctx;
    (void)done_bytes;
    (void)total_bytes;
    if (meddler->calls++ > 1) return true;
    for (int round = 0; round < 12; round++)
        put_numbers(meddler->db, NULL, 0, KEYS, "meanwhile");
    expect_ok(loam_flush(meddler->db, NULL));
    expect_ok(loam_compact(meddler->db, NULL, NULL));
    for (int round = 0; round < 12; round++)
        put_numbers(meddler->db, NULL, 0, KEYS, "later");
    return true;
}

static void what_it_holds_stays_until_it_is_copied(void **state)
{
    struct fixture *f = *state;
    loam_options small = fixture_options();
    loam_checkpoint_options options = loam_checkpoint_options_default();
    struct meddler meddler = {0};
    small.memtable_bytes = 1 << 20; /* segments are as small as they get, and used again */
    fixture_close(f);
    fixture_open(f, &small);
    for (int round = 0; round < 12; round++)
        put_numbers(f->db, NULL, 0, KEYS, "before");
    expect_ok(loam_flush(f->db, NULL));
    for (int round = 0; round < 4; round++)
        put_numbers(f->db, NULL, 0, KEYS, "first");
    meddler.db = f->db;
    options.copy = true;
    options.progress = meddle;
    options.ctx = &meddler;
    const char *dir = fixture_path(f, "copy");
    expect_ok(loam_checkpoint(f->db, dir, &options));
    assert_true(meddler.calls > 2);
    expect_store(dir, KEYS, "first");
    expect_numbers(f->db, NULL, KEYS, "later");
}

/* ---- what it refuses ------------------------------------------------------------------------ */

static bool say_stop(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    int *left = ctx;
    assert_true(done_bytes <= total_bytes);
    return --*left > 0;
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    char there[300], inside[300];
    loam_checkpoint_options options = loam_checkpoint_options_default();
    put_numbers(f->db, NULL, 0, KEYS, "first");
    expect_ok(loam_flush(f->db, NULL));
    (void)snprintf(there, sizeof there, "%s", fixture_path(f, "there"));
    (void)snprintf(inside, sizeof inside, "%s/inside", f->store);
    expect_ok(loam_checkpoint(f->db, there, NULL));
    expect_status(LOAM_IOERR, loam_checkpoint(f->db, there, NULL));
    expect_failure(LOAM_INVALID, "in the store itself", loam_checkpoint(f->db, inside, NULL));
    expect_failure(LOAM_INVALID, "in the store itself", loam_checkpoint(f->db, f->store, NULL));
    expect_status(LOAM_INVALID, loam_checkpoint(f->db, NULL, NULL));
    expect_status(LOAM_INVALID, loam_checkpoint(NULL, there, NULL));
    options.base = fixture_path(f, "nowhere");
    expect_status(LOAM_IOERR, loam_checkpoint(f->db, fixture_path(f, "new"), &options));
    char in_base[320];
    (void)snprintf(in_base, sizeof in_base, "%s/new", there);
    options.base = there;
    expect_failure(LOAM_INVALID, "in the base itself", loam_checkpoint(f->db, in_base, &options));
    loam_db *other;
    expect_ok(loam_open(fixture_path(f, "other"), NULL, &other));
    expect_failure(LOAM_INVALID, "there: is a copy of another store",
                   loam_checkpoint(other, fixture_path(f, "new"), &options));
    assert_int_not_equal(access(fixture_path(f, "new"), F_OK), 0);
    expect_ok(loam_close(other));
    options.base = NULL;
    for (int calls = 1; calls < 4; calls++) {
        const char *dir = fixture_path(f, "stopped");
        int left = calls;
        options.copy = true;
        options.progress = say_stop;
        options.ctx = &left;
        const loam_status rc = loam_checkpoint(f->db, dir, &options);
        if (rc == LOAM_OK) break;
        expect_status(LOAM_CONFLICT, rc);
        assert_true(is_empty(dir));
    }
    expect_numbers(f->db, NULL, KEYS, "first");
    put_numbers(f->db, NULL, 0, 10, "first"); /* nothing of all that fences */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(it_holds_what_was_there_and_goes_its_own_way),
        test_open(one_of_an_empty_store_is_empty),
        test_open(tables_are_shared_unless_copies_are_asked_for),
        test_open(what_it_holds_stays_until_it_is_copied),
        test_open(a_backup_is_restored_by_a_checkpoint_of_it),
        test_open(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("api/checkpoint", tests, NULL, NULL);
}
