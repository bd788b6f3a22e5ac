/*
 * test_checkpoint.c - the power goes at every call of a checkpoint: the store is none the worse, and a copy is whole or no store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "db/db.h"
#include "lib/last_words.h"
#include "lib/seeds.h"
#include "lib/simdisk.h"

enum { KEYS = 300, SECONDS_MAX = 60, SEEDS = 28 };

struct lab {
    struct simdisk *disk;
    struct db_world world;
    loam_db *db;
};

static loam_status open_store(struct lab *lab, const char *dir, bool must_exist)
{
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 16 << 10;
    options.durability = LOAM_DURABLE_PROCESS;
    options.must_exist = must_exist;
    return db_open_in(&lab->world, dir, &options, &lab->db);
}

static void put_all(struct lab *lab, int from, int to)
{
    char key[16], value[100];
    memset(value, 'v', sizeof value);
    for (int i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "k%05d", i);
        assert_int_equal(loam_put(lab->db, NULL, loam_str(key), loam_bytes(value, sizeof value)),
                         LOAM_OK);
    }
}

static int count_all(loam_db *db)
{
    loam_iter *it;
    int count = 0;
    loam_status rc;
    assert_int_equal(loam_iter_open(db, NULL, NULL, &it), LOAM_OK);
    while ((rc = loam_iter_next(it)) == LOAM_OK)
        count++;
    assert_int_equal(rc, LOAM_NOTFOUND);
    loam_iter_close(it);
    return count;
}

/* Some of it in tables, one with a name in an earlier copy, some in the log. */
static struct lab lab_new(uint64_t seed)
{
    struct lab lab = {.disk = simdisk_new(seed)};
    lab.world = (struct db_world){.sys = simdisk_table(lab.disk),
                                  .mapped_log = seed % 2 == 0,
                                  .page_bytes = 256,
                                  .log_bytes_least = 16 << 10,
                                  .seed = seed};
    assert_int_equal(open_store(&lab, "db", false), LOAM_OK);
    put_all(&lab, 0, KEYS / 2);
    assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
    assert_int_equal(loam_checkpoint(lab.db, "base", NULL), LOAM_OK);
    put_all(&lab, KEYS / 2, KEYS - 10);
    assert_int_equal(loam_flush(lab.db, NULL), LOAM_OK);
    put_all(&lab, KEYS - 10, KEYS);
    assert_int_equal(loam_sync(lab.db), LOAM_OK);
    simdisk_settle(lab.disk);
    return lab;
}

static void expect_whole(struct lab *lab, const char *dir, int count)
{
    assert_int_equal(db_verify_in(&lab->world, dir, NULL, NULL), LOAM_OK);
    assert_int_equal(open_store(lab, dir, true), LOAM_OK);
    assert_int_equal(count_all(lab->db), count);
    put_all(lab, KEYS, KEYS + 1);
    assert_int_equal(loam_close(lab->db), LOAM_OK);
    assert_int_equal(db_verify_in(&lab->world, dir, NULL, NULL), LOAM_OK);
}

/* False when the checkpoint ended before the cut. */
static bool cut_once(uint64_t seed, uint64_t cut, int loss, uint64_t *whole)
{
    struct lab lab = lab_new(seed);
    loam_checkpoint_options options = loam_checkpoint_options_default();
    options.copy = seed % 3 == 0;
    if (seed % 5 < 2) options.base = "base";
    simdisk_cut_at(lab.disk, cut);
    const loam_status rc = loam_checkpoint(lab.db, "copy", &options);
    const bool is_cut = simdisk_is_off(lab.disk);
    simdisk_kill(lab.disk);
    const loam_status closed = loam_close(lab.db);
    (void)closed; /* the process is gone */
    if (loss >= 0) simdisk_power_loss(lab.disk, (enum simdisk_loss)loss);
    last_words(SECONDS_MAX, "SEED=%llu CUT=%llu", (unsigned long long)seed,
               (unsigned long long)cut);
    lab.db = NULL;
    const loam_status there = open_store(&lab, "copy", true);
    if (there == LOAM_OK) {
        *whole += is_cut;
        assert_int_equal(loam_close(lab.db), LOAM_OK);
        expect_whole(&lab, "copy", KEYS);
    } else if (rc == LOAM_OK || (there != LOAM_CORRUPT && there != LOAM_IOERR)) {
        fail_msg("SEED=%llu CUT=%llu: %s: %s", (unsigned long long)seed, (unsigned long long)cut,
                 loam_status_name(there), loam_errmsg());
    }
    expect_whole(&lab, "db", KEYS);
    expect_whole(&lab, "base", KEYS / 2);
    simdisk_free(lab.disk);
    return is_cut;
}

static void a_cut_leaves_the_store_and_a_whole_copy_or_none(void **state)
{
    (void)state;
    uint64_t cuts = 0, whole = 0;
    const uint64_t seeds = 2 + SEEDS / environment_number("SLOWDOWN", 1);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rand rand = {seed};
        for (uint64_t cut = 1;; cut++) {
            const int loss = (int)rand_below(&rand, SIMDISK_LOSSES + 1) - 1;
            if (!cut_once(seed, cut, loss, &whole)) break;
            cuts++;
        }
    }
    figures_print((const struct figure[]){{"cut_checkpoints", cuts}, {"whole_all_the_same", whole}},
                  2);
    last_words_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_leaves_the_store_and_a_whole_copy_or_none)};
    return cmocka_run_group_tests_name("crash/checkpoint", tests, NULL, NULL);
}
