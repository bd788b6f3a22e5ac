/*
 * test_restore.c - archives of the log, and stores of earlier moments that are made of them, in real directories.
 */
#include "../lib/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 1500, VALUE_BYTES = 1000, BASE = 100 };

struct places {
    char archive[300], base[300], target[300];
};

static struct places places_of(const struct fixture *f)
{
    struct places places;
    (void)snprintf(places.archive, sizeof places.archive, "%s/archive", f->home);
    (void)snprintf(places.base, sizeof places.base, "%s/base", f->home);
    (void)snprintf(places.target, sizeof places.target, "%s/target", f->home);
    return places;
}

static loam_options archiving(const struct places *places)
{
    loam_options options = fixture_options();
    options.memtable_bytes = 64 << 10;
    options.archive = places->archive;
    return options;
}

/* Keys in order; each has its own sequence number, which is one more than its number. */
static void put_numbers(loam_db *db, int from, int to)
{
    static char value[VALUE_BYTES];
    char key[16];
    for (int i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "%06d", i);
        expect_ok(loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value)));
    }
}

static int count_keys(loam_db *db)
{
    int count = 0;
    loam_iter *it;
    expect_ok(loam_iter_open(db, NULL, NULL, &it));
    while (loam_iter_next(it) == LOAM_OK)
        count++;
    loam_iter_close(it);
    return count;
}

/* A store of KEYS keys, closed, with a checkpoint of the first BASE. */
static struct places make_all(struct fixture *f)
{
    const struct places places = places_of(f);
    const loam_options options = archiving(&places);
    fixture_open(f, &options);
    put_numbers(f->db, 0, BASE);
    expect_ok(loam_checkpoint(f->db, places.base, NULL));
    put_numbers(f->db, BASE, KEYS / 2);
    fixture_close(f);
    fixture_open(f, &options);
    put_numbers(f->db, KEYS / 2, KEYS);
    fixture_close(f);
    return places;
}

static loam_status restore_seq(const struct places *places, uint64_t seq, loam_moment *reached)
{
    const loam_restore_options options = {
        .struct_size = sizeof options, .archive = places->archive, .to = {.seq = seq}};
    return loam_restore(places->base, places->target, &options, reached);
}

static void remove_store(const char *dir)
{
    char path[600];
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(entries);
    assert_int_equal(rmdir(dir), 0);
}

static bool is_empty(const char *dir)
{
    return access(dir, F_OK) != 0 || fixture_file_count(dir) == 0;
}

static void expect_restored(const struct places *places, int count)
{
    loam_db *db;
    loam_options options = fixture_options();
    options.read_only = true;
    expect_ok(loam_verify(places->target, NULL, NULL));
    expect_ok(loam_open(places->target, &options, &db));
    assert_int_equal(count_keys(db), count);
    expect_ok(loam_close(db));
    remove_store(places->target);
}

/* The name of segment `index` of the archive, in order; false: there are not so many. */
static bool segment_at(const struct places *places, int index, char path[static 600])
{
    struct dirent **entries;
    const int count = scandir(places->archive, &entries, NULL, alphasort);
    bool found = false;
    for (int i = 0; i < count; i++) {
        if (strstr(entries[i]->d_name, ".wal") != NULL && index-- == 0) {
            (void)snprintf(path, 600, "%s/%s", places->archive, entries[i]->d_name);
            found = true;
        }
        free(entries[i]);
    }
    free(entries);
    return found;
}

/* ---- moments -------------------------------------------------------------------------------- */

static void every_moment_can_be_restored(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    loam_moment reached;
    for (int count = BASE; count <= KEYS; count += 233) {
        expect_ok(restore_seq(&places, (uint64_t)count, &reached));
        assert_int_equal(reached.seq, count);
        expect_restored(&places, count);
    }
    expect_ok(restore_seq(&places, 0, &reached));
    assert_int_equal(reached.seq, KEYS);
    assert_true(reached.ms > UINT64_C(1500000000000));
    expect_restored(&places, KEYS);
    const loam_restore_options by_time = {
        .struct_size = sizeof by_time, .archive = places.archive, .to = {.ms = reached.ms}};
    expect_ok(loam_restore(places.base, places.target, &by_time, NULL));
    expect_restored(&places, KEYS);
}

static void a_batch_is_there_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    const struct places places = places_of(f);
    const loam_options options = archiving(&places);
    loam_moment reached;
    fixture_open(f, &options);
    put_numbers(f->db, 0, 3);
    expect_ok(loam_checkpoint(f->db, places.base, NULL));
    loam_batch *batch = loam_batch_new();
    for (const char *key = "abcd"; *key != '\0'; key++)
        assert_int_equal(loam_batch_put(batch, NULL, loam_bytes(key, 1), loam_str("v")), LOAM_OK);
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    put_numbers(f->db, 3, 4);
    fixture_close(f);
    for (uint64_t seq = 3; seq < 7; seq++) {
        expect_ok(restore_seq(&places, seq, &reached));
        assert_int_equal(reached.seq, 3);
        expect_restored(&places, 3);
    }
    expect_ok(restore_seq(&places, 7, &reached));
    expect_restored(&places, 7);
    expect_ok(restore_seq(&places, 8, &reached));
    expect_restored(&places, 8);
}

static void moments_that_cannot_be_reached_are_named(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    expect_failure(LOAM_INVALID, "later moment (sequence number 100,",
                   restore_seq(&places, BASE - 1, NULL));
    expect_failure(LOAM_INVALID, "up to sequence number 1500,",
                   restore_seq(&places, KEYS + 1, NULL));
    assert_true(is_empty(places.target));
}

static void a_bulk_load_needs_a_checkpoint_made_after_it(void **state)
{
    struct fixture *f = *state;
    struct places places = places_of(f);
    const loam_options options = archiving(&places);
    loam_ingest *ingest;
    loam_moment reached = {0};
    fixture_open(f, &options);
    put_numbers(f->db, 0, BASE);
    expect_ok(loam_checkpoint(f->db, places.base, NULL));
    put_numbers(f->db, BASE, BASE + 1);
    expect_ok(loam_ingest_begin(f->db, NULL, &ingest));
    expect_ok(loam_ingest_put(ingest, loam_str("loaded"), loam_str("v")));
    expect_ok(loam_ingest_commit(ingest));
    loam_ingest_close(ingest);
    char after[320];
    (void)snprintf(after, sizeof after, "%s after", places.base);
    expect_ok(loam_checkpoint(f->db, after, NULL));
    put_numbers(f->db, BASE + 1, BASE + 2);
    fixture_close(f);
    assert_int_equal(restore_seq(&places, 0, &reached), LOAM_INVALID);
    assert_non_null(strstr(loam_errmsg(),
                           "a bulk load, whose tables no archive holds; restore "
                           "from a backup made after it; before it, sequence number 101,"));
    assert_true(is_empty(places.target));
    expect_ok(restore_seq(&places, BASE + 1, &reached));
    expect_restored(&places, BASE + 1);
    memcpy(places.base, after, sizeof places.base);
    expect_ok(restore_seq(&places, 0, &reached));
    expect_restored(&places, BASE + 3);
}

static void what_is_restored_goes_its_own_way(void **state)
{
    struct fixture *f = *state;
    struct places places = make_all(f);
    loam_options options = archiving(&places);
    loam_db *db;
    expect_ok(restore_seq(&places, KEYS / 2, NULL));
    expect_failure(LOAM_INVALID, "another store", loam_open(places.target, &options, &db));
    (void)snprintf(places.archive, sizeof places.archive, "%s/its own", f->home);
    expect_ok(loam_open(places.target, &options, &db));
    expect_ok(loam_checkpoint(db, fixture_path(f, "its base"), NULL));
    put_numbers(db, KEYS / 2, KEYS / 2 + 10);
    expect_ok(loam_close(db));
    remove_store(places.target);
    (void)snprintf(places.base, sizeof places.base, "%s/its base", f->home);
    expect_ok(restore_seq(&places, 0, NULL));
    expect_restored(&places, KEYS / 2 + 10);
}

/* ---- the archive ---------------------------------------------------------------------------- */

static void what_is_archived_is_never_touched_again(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    const loam_options options = archiving(&places);
    char path[600];
    struct stat first, later;
    assert_true(segment_at(&places, 0, path));
    assert_int_equal(stat(path, &first), 0);
    fixture_open(f, &options);
    put_numbers(f->db, 0, KEYS);
    expect_ok(loam_compact(f->db, NULL, NULL));
    fixture_close(f);
    assert_int_equal(stat(path, &later), 0);
    assert_int_equal(later.st_ino, first.st_ino);
    assert_int_equal(later.st_mtim.tv_sec, first.st_mtim.tv_sec);
    assert_int_equal(later.st_mtim.tv_nsec, first.st_mtim.tv_nsec);
    expect_ok(restore_seq(&places, KEYS, NULL));
    expect_restored(&places, KEYS);
}

static void an_archive_is_of_one_store(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    loam_options options = archiving(&places);
    char other[300];
    loam_db *db;
    (void)snprintf(other, sizeof other, "%s/other", f->home);
    expect_failure(LOAM_INVALID, "another store", loam_open(other, &options, &db));
    assert_null(db);
    /* A copy of this one, once both were written to. */
    loam_options alone = options;
    alone.archive = NULL;
    expect_ok(loam_open(places.base, &alone, &db));
    put_numbers(db, 0, 10);
    expect_ok(loam_close(db));
    expect_failure(LOAM_INVALID, "another copy", loam_open(places.base, &options, &db));
    const char *inside = fixture_path(f, "store/archive");
    options.archive = inside;
    expect_failure(LOAM_INVALID, "is in the store itself", loam_open(f->store, &options, &db));
    options.archive = "";
    expect_failure(LOAM_INVALID, "name is empty", loam_open(f->store, &options, &db));
    options.archive = fixture_path(f, "not/there");
    expect_failure(LOAM_IOERR, "not/there", loam_open(f->store, &options, &db));
    options.read_only = true; /* it is not asked for */
    expect_ok(loam_open(f->store, &options, &db));
    expect_ok(loam_close(db));
}

static void an_archive_that_was_emptied_goes_on(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    const loam_options options = archiving(&places);
    char path[600];
    while (segment_at(&places, 0, path))
        assert_int_equal(unlink(path), 0);
    expect_failure(LOAM_INVALID, "holds no segment", restore_seq(&places, 0, NULL));
    fixture_open(f, &options);
    put_numbers(f->db, 0, 10);
    expect_ok(loam_checkpoint(f->db, fixture_path(f, "later"), NULL));
    put_numbers(f->db, KEYS, KEYS + 10);
    fixture_close(f);
    expect_failure(LOAM_CORRUPT, "are missing", restore_seq(&places, 0, NULL));
    struct places later = places;
    (void)snprintf(later.base, sizeof later.base, "%s/later", f->home);
    expect_ok(restore_seq(&later, 0, NULL));
    expect_restored(&later, KEYS + 10);
}

struct warned {
    int gone, behind;
};

static void note_warning(void *ctx, loam_log_level level, const char *line)
{
    struct warned *warned = ctx;
    if (level != LOAM_LOG_WARNING) return;
    warned->gone += strstr(line, "is not archived, and kept") != NULL;
    warned->behind += strstr(line, "make a backup") != NULL;
}

static void await_segments(const struct places *places, int count)
{
    char path[600];
    while (!segment_at(places, count - 1, path))
        (void)usleep(1000);
}

/* While the store is open the archive is renamed, and nothing, or an empty directory, or another store's archive bears its name. */
static void expect_kept_meanwhile(struct fixture *f, const char *instead)
{
    const struct places places = places_of(f);
    struct warned warned = {0};
    char away[400];
    loam_options options = archiving(&places);
    options.log = note_warning;
    options.log_ctx = &warned;
    (void)snprintf(away, sizeof away, "%s.away", places.archive);
    fixture_open(f, &options);
    put_numbers(f->db, 0, BASE);
    expect_ok(loam_checkpoint(f->db, places.base, NULL));
    put_numbers(f->db, BASE, KEYS / 2);
    await_segments(&places, 2);
    assert_int_equal(rename(places.archive, away), 0);
    if (instead != NULL) assert_int_equal(rename(instead, places.archive), 0);
    const size_t had = instead != NULL ? fixture_file_count(places.archive) : 0;
    put_numbers(f->db, KEYS / 2, KEYS);
    fixture_close(f);
    assert_int_equal(warned.gone, 1);
    assert_int_equal(warned.behind, 0);
    if (instead == NULL) assert_int_not_equal(access(places.archive, F_OK), 0);
    if (instead != NULL) assert_int_equal(fixture_file_count(places.archive), had);
    if (instead != NULL) assert_int_equal(rename(places.archive, instead), 0);
    assert_int_equal(rename(away, places.archive), 0);
    fixture_open(f, &options);
    fixture_close(f);
    assert_int_equal(warned.behind, 0);
    expect_ok(restore_seq(&places, 0, NULL));
    expect_restored(&places, KEYS);
}

static void an_archive_that_goes_is_not_made_anew(void **state)
{
    expect_kept_meanwhile(*state, NULL);
}

static void another_directory_is_given_nothing(void **state)
{
    struct fixture *f = *state;
    char instead[300];
    (void)snprintf(instead, sizeof instead, "%s/instead", f->home);
    assert_int_equal(mkdir(instead, 0777), 0);
    expect_kept_meanwhile(f, instead);
}

static void the_archive_of_another_store_is_given_nothing(void **state)
{
    struct fixture *f = *state;
    const struct places places = places_of(f);
    loam_options options = archiving(&places);
    char other[300], instead[300];
    loam_db *db;
    (void)snprintf(other, sizeof other, "%s/other", f->home);
    (void)snprintf(instead, sizeof instead, "%s/instead", f->home);
    options.archive = instead;
    expect_ok(loam_open(other, &options, &db));
    put_numbers(db, 0, KEYS);
    expect_ok(loam_close(db));
    expect_kept_meanwhile(f, instead);
}

/* Whoever opened it without its archive left a gap: said at the next opening with it, and no more once it has gone on. */
static void a_gap_is_said_at_the_next_opening(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    struct warned warned = {0};
    loam_options options = archiving(&places), alone = options;
    options.log = note_warning;
    options.log_ctx = &warned;
    alone.archive = NULL;
    fixture_open(f, &options);
    fixture_close(f);
    assert_int_equal(warned.behind, 0);
    fixture_open(f, &alone);
    put_numbers(f->db, 0, KEYS);
    expect_ok(loam_flush(f->db, NULL));
    fixture_close(f);
    fixture_open(f, &options);
    put_numbers(f->db, 0, 1);
    fixture_close(f);
    assert_int_equal(warned.behind, 1);
    fixture_open(f, &options);
    fixture_close(f);
    assert_int_equal(warned.behind, 1);
    assert_int_equal(warned.gone, 0);
}

/* ---- damage --------------------------------------------------------------------------------- */

static void damage_is_named_and_what_is_before_it_restored(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    char path[600];
    const char *name;
    unsigned long long reachable;
    assert_true(segment_at(&places, 2, path));
    name = strrchr(path, '/') + 1;
    fixture_flip_byte(path, 8192 + 100000);
    expect_failure(LOAM_CORRUPT, name, restore_seq(&places, 0, NULL));
    const char *before = strstr(loam_errmsg(), "before it, sequence number ");
    assert_non_null(before);
    assert_int_equal(sscanf(before, "before it, sequence number %llu", &reachable), 1);
    assert_true(reachable > BASE && reachable < KEYS);
    assert_true(is_empty(places.target));
    expect_failure(LOAM_CORRUPT, name, restore_seq(&places, reachable + 1, NULL));
    assert_true(is_empty(places.target));
    expect_ok(restore_seq(&places, reachable, NULL));
    expect_restored(&places, (int)reachable);
}

static void a_missing_segment_is_named(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    char path[600];
    assert_true(segment_at(&places, 2, path));
    assert_int_equal(unlink(path), 0);
    expect_failure(LOAM_CORRUPT, "missing", restore_seq(&places, 0, NULL));
    assert_true(is_empty(places.target));
    expect_ok(restore_seq(&places, BASE + 1, NULL));
    expect_restored(&places, BASE + 1);
}

static void headers_and_ends_are_held_against_each_other(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    char path[600], last[600];
    int count = 0;
    while (segment_at(&places, count, last))
        count++;
    assert_true(segment_at(&places, 1, path));
    fixture_flip_byte(path, 40);
    expect_ok(restore_seq(&places, 0, NULL)); /* there are two copies */
    expect_restored(&places, KEYS);
    fixture_flip_byte(path, 4096 + 40);
    expect_failure(LOAM_CORRUPT, "without a valid header", restore_seq(&places, 0, NULL));
    fixture_flip_byte(path, 40);
    assert_int_equal(truncate(last, 8192 + 5000), 0);
    expect_failure(LOAM_CORRUPT, "cut off", restore_seq(&places, 0, NULL));
    assert_true(is_empty(places.target));
}

/* ---- arguments ------------------------------------------------------------------------------ */

static void bad_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    loam_restore_options options = {.archive = places.archive};
    const char *from = places.base, *to = places.target;
    expect_failure(LOAM_INVALID, "struct_size", loam_restore(from, to, &options, NULL));
    options.struct_size = sizeof options;
    expect_failure(LOAM_INVALID, "empty", loam_restore(NULL, to, &options, NULL));
    expect_failure(LOAM_INVALID, "empty", loam_restore(from, NULL, &options, NULL));
    expect_failure(LOAM_INVALID, "no archive", loam_restore(from, to, NULL, NULL));
    expect_failure(LOAM_IOERR, "nowhere",
                   loam_restore(fixture_path(f, "nowhere"), to, &options, NULL));
    options.archive = fixture_path(f, "no archive");
    expect_failure(LOAM_IOERR, "no archive", loam_restore(from, to, &options, NULL));
    options.archive = places.archive;
    expect_failure(LOAM_IOERR, "a store already", loam_restore(from, f->store, &options, NULL));
    expect_failure(LOAM_INVALID, "not a loam store", loam_restore(from, f->home, &options, NULL));
    assert_true(is_empty(places.target));
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    int *calls = ctx;
    assert_true(done <= total);
    return --*calls > 0;
}

static void it_can_be_stopped(void **state)
{
    struct fixture *f = *state;
    const struct places places = make_all(f);
    int calls, left = 0;
    loam_restore_options options = {.struct_size = sizeof options,
                                    .archive = places.archive,
                                    .progress = stop_at_once,
                                    .ctx = &left};
    for (calls = 1; left <= 0 && calls < 100; calls++) {
        left = calls;
        const loam_status rc = loam_restore(places.base, places.target, &options, NULL);
        if (rc == LOAM_OK) break;
        expect_status(LOAM_CONFLICT, rc);
        assert_true(is_empty(places.target));
    }
    assert_true(calls > 5);
    expect_restored(&places, KEYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(every_moment_can_be_restored),
        test_closed(a_batch_is_there_whole_or_not_at_all),
        test_closed(moments_that_cannot_be_reached_are_named),
        test_closed(a_bulk_load_needs_a_checkpoint_made_after_it),
        test_closed(what_is_restored_goes_its_own_way),
        test_closed(what_is_archived_is_never_touched_again),
        test_closed(an_archive_is_of_one_store),
        test_closed(an_archive_that_was_emptied_goes_on),
        test_closed(an_archive_that_goes_is_not_made_anew),
        test_closed(another_directory_is_given_nothing),
        test_closed(the_archive_of_another_store_is_given_nothing),
        test_closed(a_gap_is_said_at_the_next_opening),
        test_closed(damage_is_named_and_what_is_before_it_restored),
        test_closed(a_missing_segment_is_named),
        test_closed(headers_and_ends_are_held_against_each_other),
        test_closed(bad_arguments_are_refused),
        test_closed(it_can_be_stopped),
    };
    return cmocka_run_group_tests_name("api/restore", tests, NULL, NULL);
}
