/*
 * test_fence.c - what fails for good ends all writing, at once: a durable commit whose write or sync fails, a directory
 * that cannot be synced.
 *
 * Each storage call that a commit makes fails in turn, in a store that holds volatile commits already: nobody sees it, nothing follows
 * it, everything says why. After opening again it may be there, whole, or not; no other may be missing. SEED=n replays one. And
 * each sync of the directory in a small life fails in turn, whatever it was for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "db/db.h"
#include "lib/last_words.h"
#include "lib/seeds.h"
#include "lib/simdisk.h"

enum { SEEDS = 12, CALLS_MAX = 100, LIFE = 64, SECONDS_MAX = 20 };

static const int ERRORS[] = {EIO, ENOSPC, EDQUOT};

struct lab {
    uint64_t seed, call;
    struct simdisk *disk;
    loam_db *db;
};

#define expect(lab, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("SEED=%llu, call %llu: %s (%s)", (unsigned long long)(lab)->seed,             \
                     (unsigned long long)(lab)->call, #condition, loam_errmsg());                  \
    } while (0)

static void open_lab(struct lab *lab, struct sys_table sys)
{
    const struct db_world world = {.sys = sys,
                                   .mapped_log = lab->seed % 2 == 0,
                                   .log_bytes_least = 16 << 10,
                                   .seed = lab->seed};
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    if (lab->seed % 4 < 2)
        options.memtable_bytes = 16 << 10; /* segments of one size, so that they are recycled */
    options.durability = LOAM_DURABLE_PROCESS;
    expect(lab, db_open_in(&world, "db", &options, &lab->db) == LOAM_OK);
}

static loam_status get(struct lab *lab, const loam_snapshot *snap, const char *key)
{
    loam_buf value = {0};
    const loam_status rc = loam_get_at(lab->db, NULL, snap, loam_str(key), &value);
    loam_buf_free(&value);
    return rc;
}

/* Two keys, so that half of it could be seen. */
static loam_status commit_durably(struct lab *lab)
{
    loam_batch *batch = loam_batch_new();
    expect(lab, loam_batch_put(batch, NULL, loam_str("one"), loam_str("v")) == LOAM_OK);
    expect(lab, loam_batch_put(batch, NULL, loam_str("two"), loam_str("v")) == LOAM_OK);
    const loam_status rc = loam_write(lab->db, batch, LOAM_DURABLE_COMMIT);
    loam_batch_free(batch);
    return rc;
}

static void check_fenced(struct lab *lab)
{
    loam_snapshot *snap;
    loam_iter *it;
    expect(lab, loam_snapshot_open(lab->db, &snap) == LOAM_OK);
    expect(lab, loam_iter_open(lab->db, NULL, NULL, &it) == LOAM_OK);
    expect(lab, loam_iter_first(it) == LOAM_OK && loam_iter_next(it) == LOAM_NOTFOUND);
    for (int i = 0; i < 2; i++) {
        const loam_snapshot *at = i == 0 ? NULL : snap;
        expect(lab, get(lab, at, "before") == LOAM_OK);
        expect(lab, get(lab, at, "one") == LOAM_NOTFOUND && get(lab, at, "two") == LOAM_NOTFOUND);
    }
    loam_iter_close(it);
    loam_snapshot_close(snap);
    expect(lab, loam_put(lab->db, NULL, loam_str("k"), loam_str("v")) == LOAM_READONLY);
    expect(lab, strstr(loam_errmsg(), "read-only since a failure") != NULL);
    expect(lab, loam_sync(lab->db) == LOAM_READONLY);
    expect(lab, loam_flush(lab->db, NULL) == LOAM_READONLY);
    expect(lab, loam_create(lab->db, "c", NULL, NULL) == LOAM_READONLY);
}

/* False when the commit made fewer calls. */
static bool fail_call(uint64_t seed, uint64_t call)
{
    struct lab lab = {seed, call, simdisk_new(seed), NULL};
    last_words(SECONDS_MAX, "SEED=%llu", (unsigned long long)seed);
    open_lab(&lab, simdisk_table(lab.disk));
    expect(&lab, loam_put(lab.db, NULL, loam_str("before"), loam_str("v")) == LOAM_OK);
    const uint64_t before = simdisk_call_count(lab.disk);
    simdisk_fail_at(lab.disk, call, ERRORS[seed % 3], seed / 3 % 2 == 0);
    const loam_status rc = commit_durably(&lab);
    const bool met = simdisk_call_count(lab.disk) - before >= call;
    simdisk_fail_at(lab.disk, 0, 0, false);
    expect(&lab, met == (rc == LOAM_IOERR));
    if (met) check_fenced(&lab);
    expect(&lab, (loam_close(lab.db) == LOAM_OK) == !met);
    open_lab(&lab, simdisk_table(lab.disk));
    expect(&lab, get(&lab, NULL, "before") == LOAM_OK);
    expect(&lab, get(&lab, NULL, "one") == get(&lab, NULL, "two"));
    expect(&lab, met || get(&lab, NULL, "one") == LOAM_OK);
    expect(&lab, loam_close(lab.db) == LOAM_OK);
    simdisk_free(lab.disk);
    last_words_none();
    return met;
}

static void a_commit_whose_sync_fails_is_not_seen_and_is_the_last(void **state)
{
    (void)state;
    struct seeds seeds = seeds_begin("SEEDS", SEEDS);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        uint64_t call = 1;
        while (fail_call(seed, call))
            assert_true(++call < CALLS_MAX);
        assert_true(call > 1);
    }
}

/* ---- the directory ------------------------------------------------------------------------------- */

static struct {
    struct sys calls; /* those of the disk, but for one sync of a directory */
    int (*sync_dir)(void *ctx, int dir);
    uint64_t nth, count;
} hurt;

static int sync_dir_but_once(void *ctx, int dir)
{
    return ++hurt.count == hurt.nth ? -ENOSPC : hurt.sync_dir(ctx, dir);
}

static struct sys_table hurt_table(struct simdisk *disk, uint64_t nth)
{
    const struct sys_table sys = simdisk_table(disk);
    hurt.calls = *sys.calls;
    hurt.sync_dir = sys.calls->sync_dir;
    hurt.calls.sync_dir = sync_dir_but_once;
    hurt.nth = nth;
    hurt.count = 0;
    return (struct sys_table){&hurt.calls, sys.ctx};
}

/* Writes, flushes, changes of collections and the tender's work, which make tables, segments of the log and manifests, some of them
   in reserve. Answers what the last operation left: is the store read-only? */
static loam_status live_until_hurt(struct lab *lab)
{
    static const char value[3000];
    for (unsigned at = 0; at < LIFE; at++) {
        const bool flushes = at % 8 == 6, changes = at % 8 == 7;
        const loam_status rc =
            flushes ? loam_flush(lab->db, NULL)
            : changes
                ? (at % 16 == 7 ? loam_create(lab->db, "c", NULL, NULL) : loam_drop(lab->db, "c"))
                : loam_put(lab->db, NULL, loam_str("k"), loam_bytes(value, sizeof value));
        if (changes) jobs_tend_once(lab->db);
        if (hurt.count >= hurt.nth) break;
        expect(lab, rc == LOAM_OK);
    }
    return db_writable(lab->db);
}

/* False when the life made fewer. Openings that fail are not meant here. */
static bool fail_dir_sync(uint64_t seed, uint64_t nth)
{
    struct lab lab = {seed, nth, simdisk_new(seed), NULL};
    last_words(SECONDS_MAX, "SEED=%llu", (unsigned long long)seed);
    open_lab(&lab, hurt_table(lab.disk, UINT64_MAX));
    hurt.nth = hurt.count + nth;
    const loam_status rc = live_until_hurt(&lab);
    const bool met = hurt.count >= hurt.nth;
    expect(&lab, rc == (met ? LOAM_READONLY : LOAM_OK));
    if (met) expect(&lab, strstr(loam_errmsg(), "syncing the directory") != NULL);
    hurt.nth = UINT64_MAX;
    expect(&lab, (loam_close(lab.db) == LOAM_OK) == !met);
    simdisk_free(lab.disk);
    last_words_none();
    return met;
}

static void a_sync_of_the_directory_that_fails_ends_all_writing_at_once(void **state)
{
    (void)state;
    struct seeds seeds = seeds_few("SEEDS", 4);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        uint64_t nth = 1;
        while (fail_dir_sync(seed, nth))
            nth++;
        assert_true(nth > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_whose_sync_fails_is_not_seen_and_is_the_last),
        cmocka_unit_test(a_sync_of_the_directory_that_fails_ends_all_writing_at_once),
    };
    return cmocka_run_group_tests_name("fault: fence", tests, NULL, NULL);
}
