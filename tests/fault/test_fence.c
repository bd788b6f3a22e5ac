/*
 * test_fence.c - a durable commit whose write or sync fails: nobody sees it, nothing follows it, everything says why.
 *
 * Each storage call that the commit makes fails in turn, in a store that holds volatile commits already. After opening again the
 * commit may be there, whole, or not; no other may be missing. SEED=n replays one.
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

enum { SEEDS = 12, CALLS_MAX = 100, SECONDS_MAX = 20 };

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

static void open_lab(struct lab *lab)
{
    const struct db_world world = {.sys = simdisk_table(lab->disk),
                                   .mapped_log = lab->seed % 2 == 0,
                                   .log_bytes_least = 16 << 10,
                                   .seed = lab->seed};
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
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
    open_lab(&lab);
    expect(&lab, loam_put(lab.db, NULL, loam_str("before"), loam_str("v")) == LOAM_OK);
    const uint64_t before = simdisk_call_count(lab.disk);
    simdisk_fail_at(lab.disk, call, ERRORS[seed % 3], seed / 3 % 2 == 0);
    const loam_status rc = commit_durably(&lab);
    const bool met = simdisk_call_count(lab.disk) - before >= call;
    simdisk_fail_at(lab.disk, 0, 0, false);
    expect(&lab, met == (rc == LOAM_IOERR));
    if (met) check_fenced(&lab);
    expect(&lab, (loam_close(lab.db) == LOAM_OK) == !met);
    open_lab(&lab);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_whose_sync_fails_is_not_seen_and_is_the_last)};
    return cmocka_run_group_tests_name("fault: fence", tests, NULL, NULL);
}
