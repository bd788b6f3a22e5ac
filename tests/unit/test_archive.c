/*
 * test_archive.c - archives that are full, gone or on another file system, and moments by the clock, on the simulated disk.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "db/db.h"
#include "lib/simdisk.h"

enum { VALUE_BYTES = 200, SECOND_MS = 1000 };

static struct sys calls, below;
static bool is_gone, is_elsewhere;
static int warnings;

static int open_dir_seen(void *ctx, const char *path)
{
    if (is_gone && strcmp(path, "archive") == 0) return -EACCES;
    return below.open_dir(ctx, path);
}

static int link_seen(void *ctx, int dir, const char *name, int other_dir)
{
    return is_elsewhere ? -EXDEV : below.link(ctx, dir, name, other_dir);
}

static void count_warning(void *ctx, loam_log_level level, const char *line)
{
    (void)ctx;
    warnings += level == LOAM_LOG_WARNING && strstr(line, "not archived") != NULL;
}

struct lab {
    struct simdisk *disk;
    struct db_world world;
    loam_db *db;
    int put_count;
};

static void must(loam_status rc)
{
    if (rc != LOAM_OK) fail_msg("%s: %s", loam_status_name(rc), loam_errmsg());
}

static void open_lab(struct lab *lab)
{
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 16 << 10;
    options.archive = "archive";
    options.log = count_warning;
    must(db_open_in(&lab->world, "db", &options, &lab->db));
}

static struct lab lab_new(void)
{
    struct lab lab = {.disk = simdisk_new(1)};
    struct sys_table table = simdisk_table(lab.disk);
    below = calls = *table.calls;
    calls.open_dir = open_dir_seen;
    calls.link = link_seen;
    is_gone = is_elsewhere = false;
    warnings = 0;
    lab.world = (struct db_world){
        .sys = {&calls, table.ctx}, .page_bytes = 256, .log_bytes_least = 16 << 10, .seed = 1};
    simdisk_set_wall_ms(lab.disk, UINT64_C(1700000000000));
    open_lab(&lab);
    must(loam_checkpoint(lab.db, "base", NULL));
    return lab;
}

static void lab_end(struct lab *lab)
{
    must(loam_close(lab->db));
    lab->db = NULL;
    simdisk_free(lab->disk);
}

static void put_some(struct lab *lab, int count)
{
    static char value[VALUE_BYTES];
    char key[16];
    while (count-- > 0) {
        (void)snprintf(key, sizeof key, "k%05d", lab->put_count++);
        must(loam_put(lab->db, NULL, loam_str(key), loam_bytes(value, sizeof value)));
    }
}

static void work(struct lab *lab)
{
    lab->world.sys.calls->sleep_ns(lab->disk, UINT64_C(1100000000));
    jobs_tend_once(lab->db);
    while (jobs_run_one(lab->db)) {
    }
    jobs_tend_once(lab->db);
}

static int restore_count(struct lab *lab, const char *target, loam_moment to)
{
    const loam_restore_options options = {
        .struct_size = sizeof options, .archive = "archive", .to = to};
    loam_options open = loam_options_default();
    loam_db *db;
    loam_iter *it;
    int count = 0;
    must(db_restore_in(&lab->world, "base", target, &options, NULL));
    open.memory_bytes = 4 << 20;
    must(db_open_in(&lab->world, target, &open, &db));
    must(loam_iter_open(db, NULL, NULL, &it));
    while (loam_iter_next(it) == LOAM_OK)
        count++;
    loam_iter_close(it);
    must(loam_close(db));
    return count;
}

struct counting {
    int segments, others;
};

static void count_name(void *ctx, const char *name)
{
    struct counting *counting = ctx;
    if (strstr(name, ".wal") != NULL)
        counting->segments++;
    else if (name[0] != '.')
        counting->others++;
}

static struct counting count_names(struct lab *lab, const char *dir)
{
    struct counting counting = {0};
    const int fd = below.open_dir(lab->disk, dir);
    assert_true(fd >= 0);
    assert_int_equal(below.list(lab->disk, fd, count_name, &counting), 0);
    below.close(lab->disk, fd);
    return counting;
}

static void a_commit_is_within_a_time_by_its_own(void **state)
{
    struct lab lab = lab_new();
    (void)state;
    const uint64_t begin = lab.world.sys.calls->wall_ms(lab.disk) + 100 * SECOND_MS;
    for (uint64_t i = 1; i <= 5; i++) {
        simdisk_set_wall_ms(lab.disk, begin + i * SECOND_MS);
        put_some(&lab, 1);
    }
    simdisk_set_wall_ms(lab.disk, begin); /* set back: what comes is not earlier */
    put_some(&lab, 1);
    simdisk_set_wall_ms(lab.disk, begin + 7 * SECOND_MS);
    put_some(&lab, 1);
    must(loam_close(lab.db));
    for (uint64_t i = 0; i < 5; i++) {
        char target[8];
        (void)snprintf(target, sizeof target, "at%d", (int)i);
        const loam_moment to = {.ms = begin + i * SECOND_MS + SECOND_MS / 2};
        assert_int_equal(restore_count(&lab, target, to), i);
    }
    assert_int_equal(restore_count(&lab, "six", (loam_moment){.ms = begin + 6 * SECOND_MS}), 6);
    assert_int_equal(restore_count(&lab, "all", (loam_moment){.ms = begin + 90 * SECOND_MS}), 7);
    assert_int_equal(
        restore_count(&lab, "both", (loam_moment){.seq = 3, .ms = begin + 6 * SECOND_MS}), 3);
    open_lab(&lab);
    lab_end(&lab);
}

static void what_the_archive_cannot_take_stays_in_the_log(void **state)
{
    struct lab lab = lab_new();
    (void)state;
    put_some(&lab, 400);
    work(&lab);
    const int usual = count_names(&lab, "db").segments;
    const int archived = count_names(&lab, "archive").segments;
    assert_true(archived > 2);
    is_gone = true;
    for (int i = 0; i < 4; i++) {
        put_some(&lab, 200);
        work(&lab);
    }
    assert_int_equal(warnings, 1);
    assert_int_equal(count_names(&lab, "archive").segments, archived);
    assert_true(count_names(&lab, "db").segments > usual + 8);
    /* Also across a death and a close. */
    simdisk_kill(lab.disk);
    const loam_status died = loam_close(lab.db);
    (void)died;
    is_gone = false;
    open_lab(&lab);
    is_gone = true;
    put_some(&lab, 200);
    must(loam_close(lab.db));
    assert_int_equal(warnings, 2);
    is_gone = false;
    open_lab(&lab);
    put_some(&lab, 200);
    work(&lab);
    work(&lab);
    assert_true(count_names(&lab, "db").segments <= usual + 2);
    must(loam_close(lab.db));
    assert_int_equal(restore_count(&lab, "all", (loam_moment){0}), lab.put_count);
    open_lab(&lab);
    lab_end(&lab);
}

static void an_archive_on_another_file_system_gets_copies(void **state)
{
    struct lab lab = lab_new();
    (void)state;
    is_elsewhere = true;
    put_some(&lab, 400);
    work(&lab);
    must(loam_close(lab.db));
    const struct counting there = count_names(&lab, "archive");
    assert_true(there.segments > 2);
    assert_int_equal(there.others, 0);
    assert_int_equal(restore_count(&lab, "all", (loam_moment){0}), lab.put_count);
    open_lab(&lab);
    lab_end(&lab);
}

static void work_for(struct lab *lab, int seconds)
{
    for (; seconds > 0; seconds--) /* and a little more */
        work(lab);
}

/* Not at all where nothing is written. */
static void a_segment_that_is_not_full_is_archived_after_a_minute(void **state)
{
    struct lab lab = lab_new();
    (void)state;
    const int before = count_names(&lab, "archive").segments;
    for (int round = 1; round <= 2; round++) {
        char target[8];
        put_some(&lab, 3);
        work_for(&lab, 45);
        assert_int_equal(count_names(&lab, "archive").segments, before + round - 1);
        work_for(&lab, 15);
        assert_int_equal(count_names(&lab, "archive").segments, before + round);
        (void)snprintf(target, sizeof target, "lost%d", round);
        assert_int_equal(restore_count(&lab, target, (loam_moment){0}), 3 * round);
        work_for(&lab, 300);
        assert_int_equal(count_names(&lab, "archive").segments, before + round);
    }
    lab_end(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_within_a_time_by_its_own),
        cmocka_unit_test(what_the_archive_cannot_take_stays_in_the_log),
        cmocka_unit_test(an_archive_on_another_file_system_gets_copies),
        cmocka_unit_test(a_segment_that_is_not_full_is_archived_after_a_minute),
    };
    return cmocka_run_group_tests_name("unit/archive", tests, NULL, NULL);
}
