/*
 * test_open.c - which directories open, which are refused, and with what words.
 */
#include "../lib/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static loam_options with(bool must_exist, bool must_not_exist)
{
    loam_options options = fixture_options();
    options.must_exist = must_exist;
    options.must_not_exist = must_not_exist;
    return options;
}

static void a_missing_directory_is_created_but_not_its_parent(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    loam_db *db;
    fixture_open(f, NULL);
    assert_int_equal(stat(f->store, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    expect_failure(LOAM_IOERR, "a/b", loam_open(fixture_path(f, "a/b"), NULL, &db));
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_equal(stat(fixture_path(f, "a"), &info), -1);
}

static void an_empty_directory_becomes_a_store(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->store, 0777), 0);
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_reopen(f);
    expect_text(f->db, NULL, "k", "v");
}

static void what_was_written_is_there_after_reopening_with_or_without_a_slash(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    expect_ok(loam_open(fixture_path(f, "store/"), NULL, &f->db));
    expect_text(f->db, NULL, "k", "v");
}

static void a_relative_path_works(void **state)
{
    struct fixture *f = *state;
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(f->home), 0);
    expect_ok(loam_open("store", NULL, &f->db));
    assert_int_equal(chdir(before), 0);
    free(before);
    put_text(f->db, NULL, "k", "v"); /* the store does not depend on where the process stands */
    expect_ok(loam_flush(f->db, NULL));
    fixture_close(f);
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
}

static void must_exist_refuses_what_is_missing_and_creates_nothing(void **state)
{
    struct fixture *f = *state;
    const loam_options options = with(true, false);
    struct stat info;
    loam_db *db;
    expect_failure(LOAM_IOERR, f->store, loam_open(f->store, &options, &db));
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_equal(stat(f->store, &info), -1);
    assert_int_equal(mkdir(f->store, 0777), 0);
    expect_status(LOAM_IOERR, loam_open(f->store, &options, &db));
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_equal(fixture_file_count(f->store), 0);
    fixture_open(f, NULL);
    fixture_close(f);
    fixture_open(f, &options);
}

static void must_not_exist_refuses_what_is_there_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const loam_options options = with(false, true);
    loam_db *db;
    fixture_open(f, &options);
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    char *before = fixture_listing(f->store);
    expect_failure(LOAM_IOERR, f->store, loam_open(f->store, &options, &db));
    assert_int_equal(loam_errno(), EEXIST);
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
}

static void must_exist_and_must_not_exist_contradict_each_other(void **state)
{
    struct fixture *f = *state;
    const loam_options options = with(true, true);
    loam_db *db;
    expect_status(LOAM_INVALID, loam_open(f->store, &options, &db));
}

static void a_file_is_no_store(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    fixture_make_file(f->store, "text");
    expect_failure(LOAM_INVALID, f->store, loam_open(f->store, NULL, &db));
}

static void a_directory_that_holds_something_else_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    assert_int_equal(mkdir(f->store, 0777), 0);
    fixture_make_file(fixture_path(f, "store/letter.txt"), "Dear reader");
    expect_failure(LOAM_INVALID, "letter.txt", loam_open(f->store, NULL, &db));
    assert_int_equal(fixture_file_count(f->store), 1);
}

static void foreign_files_beside_a_store_are_left_alone(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    fixture_make_file(fixture_path(f, "store/letter.txt"), "Dear reader");
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
    fixture_close(f);
    assert_int_equal(access(fixture_path(f, "store/letter.txt"), F_OK), 0);
}

static void tables_without_a_root_are_damage_and_no_new_store(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    assert_int_equal(unlink(fixture_path(f, "store/root")), 0);
    expect_failure(LOAM_CORRUPT, "root", loam_open(f->store, NULL, &db));
}

static void a_store_without_permission_says_so(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    if (geteuid() == 0) skip();
    assert_int_equal(mkdir(f->store, 0), 0);
    expect_failure(LOAM_IOERR, f->store, loam_open(f->store, NULL, &db));
    assert_int_equal(loam_errno(), EACCES);
    assert_int_equal(chmod(f->store, 0700), 0);
}

static void a_symbolic_link_to_a_store_is_that_store(void **state)
{
    struct fixture *f = *state;
    char path[512];
    loam_db *second;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    snprintf(path, sizeof path, "%s", fixture_path(f, "link"));
    assert_int_equal(symlink(f->store, path), 0);
    expect_status(LOAM_LOCKED, loam_open(path, NULL, &second));
    fixture_close(f);
    expect_ok(loam_open(path, NULL, &second));
    expect_text(second, NULL, "k", "v");
    expect_ok(loam_close(second));
}

/* Byte 13 of the root is its format; its first 8 bytes check the rest. */
static void patch_root_format(const struct fixture *f, uint8_t format)
{
    uint8_t bytes[4096];
    const int fd = open(fixture_path(f, "store/root"), O_RDWR);
    const ssize_t len = read(fd, bytes, sizeof bytes);
    assert_true(len > 16);
    bytes[13] = format;
    const uint64_t sum = XXH3_64bits(bytes + 8, (size_t)len - 8);
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(sum >> 8 * i);
    assert_int_equal(pwrite(fd, bytes, (size_t)len, 0), len);
    close(fd);
}

static void a_newer_format_is_too_new_and_not_corrupt(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    fixture_open(f, NULL);
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    patch_root_format(f, 99);
    char *before = fixture_listing(f->store);
    expect_failure(LOAM_TOONEW, "99", loam_open(f->store, NULL, &db));
    expect_message(f->store);
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
    patch_root_format(f, 1);
    fixture_open(f, NULL);
    expect_text(f->db, NULL, "k", "v");
}

static void a_damaged_root_is_corrupt_and_named(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    fixture_open(f, NULL);
    fixture_close(f);
    fixture_flip_byte(fixture_path(f, "store/root"), 40);
    expect_failure(LOAM_CORRUPT, "root", loam_open(f->store, NULL, &db));
    expect_message(f->store);
    fixture_make_file(fixture_path(f, "store/root"), "");
    expect_failure(LOAM_CORRUPT, "root", loam_open(f->store, NULL, &db));
}

static void a_missing_table_manifest_or_segment_is_corrupt_and_named(void **state)
{
    struct fixture *f = *state;
    static const char *const endings[] = {".sst", ".manifest", ".wal"};
    fixture_open(f, NULL);
    put_text(f->db, NULL, "in a table", "v");
    expect_ok(loam_flush(f->db, NULL));
    put_text(f->db, NULL, "in the log", "v");
    fixture_close(f);
    for (size_t i = 0; i < 3; i++) {
        char path[512], aside[520];
        loam_db *db = NULL;
        assert_true(fixture_find_file(f, endings[i], path));
        snprintf(aside, sizeof aside, "%s", fixture_path(f, "aside"));
        assert_int_equal(rename(path, aside), 0);
        loam_status rc = loam_open(f->store, NULL, &db);
        if (rc == LOAM_OK) { /* tables are opened when they are needed */
            loam_buf value = {0};
            rc = loam_get(db, NULL, loam_str("in a table"), &value);
            loam_buf_free(&value);
        }
        expect_failure(LOAM_CORRUPT, strrchr(path, '/') + 1, rc);
        expect_ok(loam_close(db));
        assert_int_equal(rename(aside, path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(a_missing_directory_is_created_but_not_its_parent),
        test_closed(an_empty_directory_becomes_a_store),
        test_closed(what_was_written_is_there_after_reopening_with_or_without_a_slash),
        test_closed(a_relative_path_works),
        test_closed(must_exist_refuses_what_is_missing_and_creates_nothing),
        test_closed(must_not_exist_refuses_what_is_there_and_changes_nothing),
        test_closed(must_exist_and_must_not_exist_contradict_each_other),
        test_closed(a_file_is_no_store),
        test_closed(a_directory_that_holds_something_else_is_refused_and_left_alone),
        test_closed(foreign_files_beside_a_store_are_left_alone),
        test_closed(tables_without_a_root_are_damage_and_no_new_store),
        test_closed(a_store_without_permission_says_so),
        test_closed(a_symbolic_link_to_a_store_is_that_store),
        test_closed(a_newer_format_is_too_new_and_not_corrupt),
        test_closed(a_damaged_root_is_corrupt_and_named),
        test_closed(a_missing_table_manifest_or_segment_is_corrupt_and_named),
    };
    return cmocka_run_group_tests_name("api/open", tests, NULL, NULL);
}
