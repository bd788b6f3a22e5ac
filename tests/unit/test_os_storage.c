/*
 * test_os_storage.c - stores: their lock, their root, their objects, and what a crash leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/simdisk.h"
#include "base/mem.h"
#include "os/store.h"

#define TABLE_NAME "00000001-00000002.sst"

static const struct store_options writing, reading = {.read_only = true};
static const struct store_options existing = {.must_exist = true};
static const struct store_options fresh = {.must_not_exist = true};

static struct simdisk *disk;
static struct sys_table sys;

static int set_up(void **state)
{
    (void)state;
    disk = simdisk_new(1);
    sys = simdisk_table(disk);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    simdisk_free(disk);
    return 0;
}

/* ---- helpers ---- */

static struct store *open_store(struct sys_table table, const char *path,
                                const struct store_options *options, bool expect_new)
{
    struct store *store = NULL;
    bool is_new = !expect_new;
    const loam_status rc = store_open(table, path, options, &is_new, &store);
    if (rc != LOAM_OK) fail_msg("store_open: %s", loam_errmsg());
    assert_int_equal(is_new, expect_new);
    return store;
}

static void assert_open_fails(const char *path, const struct store_options *options,
                              loam_status status, const char *word)
{
    struct store *store = NULL;
    bool is_new;
    assert_int_equal(store_open(sys, path, options, &is_new, &store), status);
    assert_null(store);
    if (strstr(loam_errmsg(), word) == NULL) fail_msg("no `%s` in: %s", word, loam_errmsg());
}

static void swap_root(struct store *store, const char *text)
{
    assert_int_equal(store_root_swap(store, loam_str(text)), LOAM_OK);
}

static void assert_root(struct store *store, const char *text)
{
    loam_buf buf = {NULL, 0, 0};
    assert_int_equal(store_root_read(store, &buf), LOAM_OK);
    assert_int_equal(buf.len, strlen(text));
    assert_memory_equal(buf.data, text, buf.len);
    loam_buf_free(&buf);
}

static void make_store(const char *path, const char *root)
{
    struct store *store = open_store(sys, path, &writing, true);
    swap_root(store, root);
    store_close(store);
}

static loam_status write_object(struct store *store, const char *name, const void *bytes,
                                size_t len)
{
    struct object_writer *writer = NULL;
    loam_status rc = object_create(store, name, &writer);
    if (rc < 0) return rc;
    rc = object_append(writer, bytes, len);
    if (rc == LOAM_OK) rc = object_finish(writer);
    if (rc < 0) object_abandon(writer);
    return rc;
}

static void make_file(const char *dir, const char *name, const char *text)
{
    const int fd = sys.calls->open_dir(disk, dir);
    const int file = sys.calls->open(disk, fd, name, SYS_CREATE);
    const struct sys_piece piece = {text, strlen(text)};
    assert_true(file >= 0);
    if (piece.len > 0) assert_true(sys.calls->write(disk, file, 0, &piece, 1, false) > 0);
    assert_int_equal(sys.calls->close(disk, file), 0);
    assert_int_equal(sys.calls->close(disk, fd), 0);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
}

static unsigned count_objects(struct store *store)
{
    unsigned count = 0;
    assert_int_equal(store_list(store, count_name, &count), LOAM_OK);
    return count;
}

/* ---- opening ---- */

static void a_new_store_has_no_root_until_one_is_swapped_in(void **state)
{
    loam_buf buf = {NULL, 0, 0};
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(store_root_read(store, &buf), LOAM_NOTFOUND);
    swap_root(store, "first");
    swap_root(store, "second");
    assert_root(store, "second");
    store_close(store);
    store = open_store(sys, "d", &existing, false);
    assert_root(store, "second");
    assert_string_equal(store_path(store), "d");
    store_close(store);
}

static void a_second_open_of_this_process_is_refused_with_its_pid(void **state)
{
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    swap_root(store, "root");
    assert_open_fails("d", &writing, LOAM_LOCKED, "4711");
    assert_open_fails("d/", &reading, LOAM_LOCKED, "4711");
    store_close(store);
    store_close(open_store(sys, "d", &writing, false));
}

static void readers_share_a_store_and_keep_writers_out(void **state)
{
    (void)state;
    make_store("d", "root");
    struct store *first = open_store(sys, "d", &reading, false);
    struct store *second = open_store(sys, "d", &reading, false);
    assert_open_fails("d", &writing, LOAM_LOCKED, "d: locked by process 4711");
    store_close(first);
    assert_open_fails("d", &writing, LOAM_LOCKED, "d: locked by process 4711");
    store_close(second);
    store_close(open_store(sys, "d", &writing, false));
}

static void another_process_is_named_by_its_pid(void **state)
{
    (void)state;
    make_store("d", "root");
    make_file("d", "owner", "999\n");
    const int other = sys.calls->open_dir(disk, "d");
    assert_int_equal(sys.calls->lock_dir(disk, other, true), 0);
    assert_open_fails("d", &writing, LOAM_LOCKED, "d: locked by process 999; close it there");
    assert_open_fails("d", &reading, LOAM_LOCKED, "d: locked by process 999; close it there");
    assert_int_equal(sys.calls->close(disk, other), 0);
}

static void a_reader_elsewhere_is_not_taken_for_a_dead_owner(void **state)
{
    (void)state;
    make_store("d", "root");
    make_file("d", "owner", "999\n");
    const int other = sys.calls->open_dir(disk, "d");
    assert_int_equal(sys.calls->lock_dir(disk, other, false), 0);
    assert_open_fails("d", &writing, LOAM_LOCKED, "by a process that reads it");
    store_close(open_store(sys, "d", &reading, false));
    assert_int_equal(sys.calls->close(disk, other), 0);
}

static void rubbish_in_owner_does_no_harm(void **state)
{
    (void)state;
    make_store("d", "root");
    make_file("d", "owner", "99999999999999999999999999999999 and more");
    const int other = sys.calls->open_dir(disk, "d");
    assert_int_equal(sys.calls->lock_dir(disk, other, true), 0);
    assert_open_fails("d", &writing, LOAM_LOCKED, "d: locked by");
    assert_int_equal(sys.calls->close(disk, other), 0);
}

static void options_say_what_must_be_there(void **state)
{
    (void)state;
    assert_open_fails("d", &existing, LOAM_IOERR, "d: ");
    assert_int_equal(loam_errno(), ENOENT);
    assert_open_fails("d", &reading, LOAM_IOERR, "d: ");
    assert_int_equal(loam_errno(), ENOENT);
    assert_int_equal(sys.calls->open_dir(disk, "d"), -ENOENT);
    assert_open_fails("no/d", &writing, LOAM_IOERR, "the directory above it is missing");

    struct store *store = open_store(sys, "d", &fresh, true);
    store_close(store);
    assert_open_fails("d", &existing, LOAM_IOERR, "no store");
    assert_int_equal(loam_errno(), ENOENT);
    assert_open_fails("d", &reading, LOAM_IOERR, "no store");
    make_store("d", "root");
    assert_open_fails("d", &fresh, LOAM_IOERR, "already");
    assert_int_equal(loam_errno(), EEXIST);
    store_close(open_store(sys, "d", &writing, false));
}

static void a_directory_with_something_else_is_no_store(void **state)
{
    (void)state;
    assert_int_equal(sys.calls->make_dir(disk, "d"), 0);
    make_file("d", "owner", "a user's own");
    make_file("d", "letter.txt", "");
    assert_open_fails("d", &writing, LOAM_INVALID,
                      "d: is not a loam store (it holds `letter.txt`)");
    uint64_t len;
    assert_non_null(simdisk_bytes(disk, "d", "owner", &len));
    assert_int_equal(len, 12);
}

static void objects_without_a_root_are_corrupt_and_never_a_new_store(void **state)
{
    (void)state;
    assert_int_equal(sys.calls->make_dir(disk, "d"), 0);
    make_file("d", TABLE_NAME, "");
    assert_open_fails("d", &writing, LOAM_CORRUPT, "d/root: is missing, but " TABLE_NAME);
}

static void leftovers_of_a_creation_are_an_empty_directory(void **state)
{
    (void)state;
    assert_int_equal(sys.calls->make_dir(disk, "d"), 0);
    make_file("d", "root.new", "half of a ro");
    make_file("d", "owner", "17\n");
    make_store("d", "root");
}

static void network_file_systems_are_refused(void **state)
{
    (void)state;
    simdisk_set_fs(disk, SYS_FS_NETWORK);
    assert_open_fails("d", &writing, LOAM_IOERR, "network");
}

static void a_root_that_is_too_long_is_corrupt(void **state)
{
    char text[STORE_ROOT_BYTES_MAX + 2];
    loam_buf buf = {NULL, 0, 0};
    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(sys.calls->make_dir(disk, "d"), 0);
    make_file("d", "root", text);
    struct store *store = open_store(sys, "d", &writing, false);
    assert_int_equal(store_root_read(store, &buf), LOAM_CORRUPT);
    text[sizeof text - 2] = '\0';
    swap_root(store, text);
    assert_root(store, text);
    store_close(store);
}

/* ---- objects ---- */

static void a_finished_object_survives_every_power_loss(void **state)
{
    (void)state;
    for (unsigned loss = 0; loss < SIMDISK_LOSSES; loss++) {
        char text[8] = "";
        char path[8];
        snprintf(path, sizeof path, "d%u", loss);
        struct store *store = open_store(sys, path, &writing, true);
        swap_root(store, "root");
        assert_int_equal(write_object(store, TABLE_NAME, "durable", 7), LOAM_OK);
        simdisk_power_loss(disk, loss);
        store_close(store);

        struct object *object = NULL;
        store = open_store(sys, path, &existing, false);
        assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
        assert_int_equal(object_bytes(object), 7);
        assert_string_equal(object_name(object), TABLE_NAME);
        object_will_need(object, 0, 7);
        assert_int_equal(object_read(object, 0, text, 7), LOAM_OK);
        assert_string_equal(text, "durable");
        object_close(object);
        store_close(store);
    }
}

static void objects_larger_than_the_buffer_come_back_whole(void **state)
{
    const size_t len = (3 << 20) + 12345;
    uint8_t *bytes = malloc(len), *back = calloc(1, len);
    struct object *object = NULL;
    struct object_writer *writer = NULL;
    (void)state;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(object_create(store, TABLE_NAME, &writer), LOAM_OK);
    for (size_t at = 0, step = 1; at < len; at += step, step = step * 3 + 1) {
        if (step > len - at) step = len - at;
        assert_int_equal(object_append(writer, bytes + at, step), LOAM_OK);
        assert_int_equal(object_written(writer), at + step);
    }
    simdisk_fail_at(disk, 1, SIMDISK_SHORT, true);
    assert_int_equal(object_finish(writer), LOAM_OK);
    simdisk_fail_at(disk, 0, 0, false);
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
    simdisk_fail_at(disk, 1, SIMDISK_SHORT, true);
    assert_int_equal(object_read(object, 0, back, len), LOAM_OK);
    assert_memory_equal(back, bytes, len);
    object_close(object);
    store_close(store);
    free(bytes);
    free(back);
}

static void reading_past_the_end_is_corrupt_and_says_where_it_ends(void **state)
{
    char text[8];
    struct object *object = NULL;
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_NOTFOUND);
    assert_int_equal(write_object(store, TABLE_NAME, "1234", 4), LOAM_OK);
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
    static const uint64_t offsets[] = {1, 4, 5, UINT64_MAX, UINT64_MAX - 3, INT64_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        assert_int_equal(object_read(object, offsets[i], text, 4), LOAM_CORRUPT);
        assert_string_equal(loam_errmsg(), "d/" TABLE_NAME ": ends at byte 4");
    }
    assert_int_equal(object_read(object, 4, text, 0), LOAM_OK);
    object_close(object);
    store_close(store);
}

static void an_object_larger_than_memory_is_named(void **state)
{
    struct object_load load = {.lost = 0};
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(write_object(store, TABLE_NAME, "1234", 4), LOAM_OK);
    mem_fail_at(2, false); /* the first is the object itself */
    assert_int_equal(object_load_salvage(store, TABLE_NAME, UINT64_MAX, &load), LOAM_NOMEM);
    mem_fail_at(0, false);
    assert_string_equal(loam_errmsg(),
                        "d/" TABLE_NAME ": has 4 bytes, for which there is no memory");
    loam_buf_free(&load.bytes);
    store_close(store);
}

static void an_abandoned_object_is_gone_and_an_old_one_is_replaced(void **state)
{
    struct object_writer *writer = NULL;
    struct object *object = NULL;
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(object_create(store, TABLE_NAME, &writer), LOAM_OK);
    assert_int_equal(object_append(writer, "text", 4), LOAM_OK);
    object_abandon(writer);
    object_abandon(NULL);
    assert_int_equal(count_objects(store), 0);
    assert_int_equal(write_object(store, TABLE_NAME, "longer", 6), LOAM_OK);
    assert_int_equal(write_object(store, TABLE_NAME, "new", 3), LOAM_OK);
    assert_int_equal(count_objects(store), 1);
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
    assert_int_equal(object_bytes(object), 3);
    object_close(object);
    assert_int_equal(store_delete(store, TABLE_NAME), LOAM_OK);
    assert_int_equal(store_delete(store, TABLE_NAME), LOAM_OK);
    assert_int_equal(count_objects(store), 0);
    store_close(store);
}

static void rewriting_heals_bytes_that_a_failed_writeback_left_in_the_cache(void **state)
{
    char text[8] = "";
    struct object *object = NULL;
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    swap_root(store, "root");
    assert_int_equal(write_object(store, TABLE_NAME, "", 0), LOAM_OK);
    /* The program that wrote it never heard of the failure. */
    const int dir = sys.calls->open_dir(disk, "d");
    const int fd = sys.calls->open(disk, dir, TABLE_NAME, SYS_READ_WRITE);
    const struct sys_piece piece = {"cached", 6};
    assert_int_equal(sys.calls->write(disk, fd, 0, &piece, 1, false), 6);
    simdisk_fail_at(disk, 1, EIO, false);
    assert_int_equal(sys.calls->sync(disk, fd), -EIO);
    assert_int_equal(object_rewrite(store, TABLE_NAME, 0, 6, (loam_slice){0}), LOAM_OK);
    assert_int_equal(object_rewrite(store, TABLE_NAME, 3, 4, (loam_slice){0}), LOAM_CORRUPT);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    store_close(store);
    store = open_store(sys, "d", &writing, false);
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
    assert_int_equal(object_read(object, 0, text, 6), LOAM_OK);
    assert_string_equal(text, "cached");
    object_close(object);
    store_close(store);
}

static void a_failed_sync_of_the_directory_is_never_tried_again(void **state)
{
    struct object_writer *writer = NULL;
    (void)state;
    struct store *store = open_store(sys, "d", &writing, true);
    assert_int_equal(object_create(store, TABLE_NAME, &writer), LOAM_OK);
    simdisk_fail_at(disk, 3, EIO, false); /* sync, close, then this */
    assert_int_equal(object_finish(writer), LOAM_IOERR);
    object_abandon(writer);
    assert_int_equal(write_object(store, TABLE_NAME, "x", 1), LOAM_IOERR);
    assert_int_equal(store_root_swap(store, loam_str("root")), LOAM_IOERR);
    store_close(store);
}

static void a_full_disk_is_said_to_be_full_and_heals(void **state)
{
    static uint8_t bytes[3 << 20];
    (void)state;
    make_store("d", "root");
    struct store *store = open_store(sys, "d", &writing, false);
    uint64_t room = 0;
    simdisk_full(disk, 1 << 20);
    assert_int_equal(write_object(store, TABLE_NAME, bytes, sizeof bytes), LOAM_FULL);
    assert_int_equal(count_objects(store), 0);
    assert_int_equal(store_free_bytes(store, &room), LOAM_OK);
    assert_true(room > 0 && room < 1 << 20);
    simdisk_full(disk, 8 << 20);
    assert_int_equal(write_object(store, TABLE_NAME, bytes, sizeof bytes), LOAM_OK);
    store_close(store);
}

/* ---- crashes and failures ---- */

/* Creates a store and swaps its root twice; returns how many swaps answered LOAM_OK. */
static unsigned create_and_swap(void)
{
    struct store *store = NULL;
    bool is_new;
    unsigned swapped = 0;
    if (store_open(sys, "d", &writing, &is_new, &store) < 0) return 0;
    if (store_root_swap(store, loam_str("one")) == LOAM_OK) {
        swapped++;
        swapped += write_object(store, TABLE_NAME, "x", 1) == LOAM_OK &&
                   store_root_swap(store, loam_str("two")) == LOAM_OK;
    }
    store_close(store);
    return swapped;
}

static void check_after_crash(unsigned swapped)
{
    struct store *store = NULL;
    struct object *object = NULL;
    loam_buf root = {NULL, 0, 0};
    bool is_new = false;
    if (store_open(sys, "d", &writing, &is_new, &store) < 0)
        fail_msg("after %u swaps: %s", swapped, loam_errmsg());
    if (is_new) {
        assert_int_equal(swapped, 0);
        swap_root(store, "again");
    } else {
        assert_int_equal(store_root_read(store, &root), LOAM_OK);
        assert_int_equal(root.len, 3);
        const bool is_two = memcmp(root.data, "two", 3) == 0;
        assert_true(is_two || memcmp(root.data, "one", 3) == 0);
        assert_true(is_two || swapped < 2);
        if (is_two) {
            assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
            assert_int_equal(object_bytes(object), 1);
            object_close(object);
        }
    }
    loam_buf_free(&root);
    store_close(store);
}

static void a_crash_at_any_call_leaves_an_empty_or_a_valid_store(void **state)
{
    (void)state;
    bool completed = false;
    for (uint64_t nth = 1; !completed; nth++) {
        for (unsigned seed = 0; seed < 4 * (SIMDISK_LOSSES + 1); seed++) {
            simdisk_free(disk);
            disk = simdisk_new(seed);
            sys = simdisk_table(disk);
            simdisk_cut_at(disk, nth);
            const unsigned swapped = create_and_swap();
            completed = !simdisk_is_off(disk);
            if (seed % (SIMDISK_LOSSES + 1) == SIMDISK_LOSSES)
                simdisk_kill(disk);
            else
                simdisk_power_loss(disk, seed % (SIMDISK_LOSSES + 1));
            check_after_crash(swapped);
        }
    }
}

static void any_failing_call_is_reported_or_harmless(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EINTR, EMFILE, EDQUOT, SIMDISK_SHORT};
    (void)state;
    for (unsigned e = 0; e < 2 * sizeof errors / sizeof errors[0]; e++) {
        bool completed = false;
        for (uint64_t nth = 1; !completed; nth++) {
            simdisk_free(disk);
            disk = simdisk_new(nth);
            sys = simdisk_table(disk);
            simdisk_fail_at(disk, nth, errors[e / 2], e % 2 == 1);
            const unsigned swapped = create_and_swap();
            completed = simdisk_call_count(disk) < nth;
            simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
            check_after_crash(swapped);
        }
    }
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    bool completed = false;
    for (uint64_t nth = 1; !completed; nth++) {
        simdisk_free(disk);
        disk = simdisk_new(nth);
        sys = simdisk_table(disk);
        mem_fail_at(nth, false);
        const int64_t live = mem_live_count();
        const unsigned swapped = create_and_swap();
        completed = mem_alloc_count() < nth;
        assert_int_equal(mem_live_count(), live);
        mem_fail_at(0, false);
        check_after_crash(swapped);
    }
}

/* ---- the real kernel ---- */

static char real_dir[256];

static int set_up_real(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(real_dir, sizeof real_dir, "%s/loam-storage-XXXXXX", tmp != NULL ? tmp : "/tmp");
    sys = sys_posix();
    return mkdtemp(real_dir) == NULL ? -1 : 0;
}

static int tear_down_real(void **state)
{
    static const char *const names[] = {"root", "root.new", "owner", TABLE_NAME, "file"};
    char path[300];
    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/s/%s", real_dir, names[i]);
        (void)unlink(path);
    }
    snprintf(path, sizeof path, "%s/s", real_dir);
    (void)rmdir(path);
    return rmdir(real_dir);
}

static void the_kernel_keeps_a_store(void **state)
{
    char path[300], text[8] = "";
    struct object *object = NULL;
    uint64_t room = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/s/", real_dir);
    struct store *store = open_store(sys, path, &fresh, true);
    swap_root(store, "one");
    swap_root(store, "two");
    assert_int_equal(write_object(store, TABLE_NAME, "durable", 7), LOAM_OK);
    assert_int_equal(object_rewrite(store, TABLE_NAME, 0, 7, (loam_slice){0}), LOAM_OK);
    assert_int_equal(count_objects(store), 1);
    assert_int_equal(store_free_bytes(store, &room), LOAM_OK);
    assert_true(room > 0);
    assert_open_fails(path, &writing, LOAM_LOCKED, "which is this one");
    store_close(store);
    store = open_store(sys, path, &reading, false);
    assert_root(store, "two");
    assert_int_equal(object_open(store, TABLE_NAME, &object), LOAM_OK);
    assert_int_equal(object_read(object, 0, text, 7), LOAM_OK);
    assert_string_equal(text, "durable");
    object_close(object);
    store_close(store);
}

static void a_file_where_the_directory_should_be_is_refused(void **state)
{
    char path[300];
    (void)state;
    snprintf(path, sizeof path, "%s/s", real_dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_open_fails(path, &writing, LOAM_INVALID, "not a directory");
    assert_int_equal(unlink(path), 0);
}

/* Runs check in a child and passes on whether it held. */
static void assert_in_child(bool (*holds)(const char *path, struct store *parents),
                            const char *path, struct store *parents)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(holds(path, parents) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool child_can_do_nothing(const char *path, struct store *parents)
{
    struct store *own = NULL;
    bool is_new;
    char pid[24];
    snprintf(pid, sizeof pid, "process %ld;", (long)getppid());
    const bool is_useless = store_is_child(parents) &&
                            store_root_swap(parents, loam_str("mine")) == LOAM_MISUSE &&
                            store_delete(parents, TABLE_NAME) == LOAM_MISUSE;
    store_close(parents);
    /* Locked by the parent still, although the child has closed its copy. */
    return is_useless && store_open(sys, path, &writing, &is_new, &own) == LOAM_LOCKED &&
           strstr(loam_errmsg(), pid) != NULL;
}

static void a_forked_child_cannot_use_or_unlock_its_parents_store(void **state)
{
    char path[300];
    (void)state;
    snprintf(path, sizeof path, "%s/s", real_dir);
    struct store *store = open_store(sys, path, &writing, true);
    swap_root(store, "root");
    assert_in_child(child_can_do_nothing, path, store);
    assert_false(store_is_child(store));
    assert_in_child(child_can_do_nothing, path, store);
    swap_root(store, "still mine");
    store_close(store);
}

static void a_child_that_lives_on_does_not_hold_the_lock(void **state)
{
    char path[300];
    int pipes[2];
    (void)state;
    snprintf(path, sizeof path, "%s/s", real_dir);
    struct store *store = open_store(sys, path, &writing, true);
    swap_root(store, "root");
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) == 0 ? 0 : 1);
    }
    store_close(store);
    store_close(open_store(sys, path, &writing, false));
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---- writing beside commits ---- */

static struct pieces { /* that were handed to the device */
    unsigned count, waited;
    uint64_t largest_bytes, slept_ns;
    int answer;
} sent;

static int count_write_out(void *ctx, int fd, uint64_t offset, uint64_t len, bool wait)
{
    const struct sys_table below = simdisk_table(disk);
    (void)ctx;
    sent.count++;
    sent.waited += wait;
    if (len > sent.largest_bytes) sent.largest_bytes = len;
    if (wait) below.calls->sleep_ns(below.ctx, 1000000); /* that is what the device takes */
    const int result = below.calls->write_out(below.ctx, fd, offset, len, wait);
    return sent.answer < 0 ? sent.answer : result;
}

static void count_sleep(void *ctx, uint64_t ns)
{
    const struct sys_table below = simdisk_table(disk);
    (void)ctx;
    sent.slept_ns += ns;
    below.calls->sleep_ns(below.ctx, ns);
}

static loam_status write_large(struct store *store)
{
    static const uint8_t zeros[4 << 20];
    sent = (struct pieces){.answer = sent.answer};
    return write_object(store, TABLE_NAME, zeros, sizeof zeros);
}

static void background_writing_leaves_half_of_the_device_to_commits(void **state)
{
    (void)state;
    struct sys calls = *sys.calls;
    calls.write_out = count_write_out;
    calls.sleep_ns = count_sleep;
    struct store *store = open_store((struct sys_table){&calls, sys.ctx}, "db", &writing, true);
    assert_int_equal(write_large(store), LOAM_OK);
    assert_int_equal(sent.waited, 0);
    assert_int_equal(sent.slept_ns, 0);

    store_note_commit(store);
    assert_int_equal(write_large(store), LOAM_OK);
    assert_true(sent.waited >= 16);
    assert_in_range(sent.largest_bytes, 1, 256 << 10);
    assert_in_range(sent.slept_ns, sent.waited * UINT64_C(1000000),
                    sent.waited * UINT64_C(1100000));

    sys.calls->sleep_ns(sys.ctx, 1000000000); /* nobody commits any more */
    assert_int_equal(write_large(store), LOAM_OK);
    assert_int_equal(sent.waited, 0);

    store_note_commit(store);
    sent.answer = -EIO; /* a sync might not hear of it again */
    assert_int_equal(write_large(store), LOAM_IOERR);
    sent.answer = 0;
    store_close(store);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define REAL_FACT(name) cmocka_unit_test_setup_teardown(name, set_up_real, tear_down_real)
    const struct CMUnitTest tests[] = {
        FACT(a_new_store_has_no_root_until_one_is_swapped_in),
        FACT(a_second_open_of_this_process_is_refused_with_its_pid),
        FACT(readers_share_a_store_and_keep_writers_out),
        FACT(another_process_is_named_by_its_pid),
        FACT(a_reader_elsewhere_is_not_taken_for_a_dead_owner),
        FACT(rubbish_in_owner_does_no_harm),
        FACT(options_say_what_must_be_there),
        FACT(a_directory_with_something_else_is_no_store),
        FACT(objects_without_a_root_are_corrupt_and_never_a_new_store),
        FACT(leftovers_of_a_creation_are_an_empty_directory),
        FACT(network_file_systems_are_refused),
        FACT(a_root_that_is_too_long_is_corrupt),
        FACT(a_finished_object_survives_every_power_loss),
        FACT(objects_larger_than_the_buffer_come_back_whole),
        FACT(reading_past_the_end_is_corrupt_and_says_where_it_ends),
        FACT(an_object_larger_than_memory_is_named),
        FACT(an_abandoned_object_is_gone_and_an_old_one_is_replaced),
        FACT(background_writing_leaves_half_of_the_device_to_commits),
        FACT(rewriting_heals_bytes_that_a_failed_writeback_left_in_the_cache),
        FACT(a_failed_sync_of_the_directory_is_never_tried_again),
        FACT(a_full_disk_is_said_to_be_full_and_heals),
        FACT(a_crash_at_any_call_leaves_an_empty_or_a_valid_store),
        FACT(any_failing_call_is_reported_or_harmless),
        FACT(any_failing_allocation_is_reported_and_leaks_nothing),
        REAL_FACT(the_kernel_keeps_a_store),
        REAL_FACT(a_file_where_the_directory_should_be_is_refused),
        REAL_FACT(a_forked_child_cannot_use_or_unlock_its_parents_store),
        REAL_FACT(a_child_that_lives_on_does_not_hold_the_lock),
    };
    return cmocka_run_group_tests_name("os/storage", tests, NULL, NULL);
}
