/*
 * test_archive.c - the power goes at every call while a log is archived, and while a moment is restored: what is in the archive leads from the
 * last checkpoint to all that was in completed segments, and a target is whole, or no store, or still the checkpoint.
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

enum { BEFORE = 40, KEYS = 400, VALUE_BYTES = 200, STEP = 20, SECONDS_MAX = 60, SEEDS = 10 };

struct lab {
    uint64_t seed, cut;
    struct simdisk *disk;
    struct db_world world;
    loam_db *db;
    int put_count;      /* of keys in order, each a commit */
    int archived_count; /* of which the archive has certainly so many */
};

#define expect_in(lab, condition)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("SEED=%llu CUT=%llu: %s (%s)", (unsigned long long)(lab)->seed,               \
                     (unsigned long long)(lab)->cut, #condition, loam_errmsg());                   \
    } while (0)

static loam_status open_at(struct lab *lab, const char *dir, bool must_exist)
{
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 16 << 10;
    options.durability = lab->seed % 2 == 0 ? LOAM_DURABLE_PROCESS : LOAM_DURABLE_COMMIT;
    options.must_exist = must_exist;
    options.archive = strcmp(dir, "db") == 0 ? "archive" : NULL;
    return db_open_in(&lab->world, dir, &options, &lab->db);
}

static loam_status put_next(struct lab *lab)
{
    char key[16], value[VALUE_BYTES];
    memset(value, 'v', sizeof value);
    (void)snprintf(key, sizeof key, "k%05d", lab->put_count);
    const loam_status rc = loam_put(lab->db, NULL, loam_str(key), loam_bytes(value, sizeof value));
    if (rc == LOAM_OK) lab->put_count++;
    return rc;
}

/* Keys are consecutive: a store is a prefix. */
static int count_all(struct lab *lab)
{
    loam_iter *it;
    char key[16];
    int count = 0;
    loam_status rc;
    expect_in(lab, loam_iter_open(lab->db, NULL, NULL, &it) == LOAM_OK);
    while ((rc = loam_iter_next(it)) == LOAM_OK) {
        (void)snprintf(key, sizeof key, "k%05d", count++);
        expect_in(lab, memcmp(loam_iter_key(it).data, key, 6) == 0);
    }
    expect_in(lab, rc == LOAM_NOTFOUND);
    loam_iter_close(it);
    return count;
}

static struct lab lab_new(uint64_t seed, uint64_t cut)
{
    struct lab lab = {.seed = seed, .cut = cut, .disk = simdisk_new(seed)};
    lab.world = (struct db_world){.sys = simdisk_table(lab.disk),
                                  .mapped_log = seed % 3 == 0,
                                  .page_bytes = 256,
                                  .log_bytes_least = 16 << 10,
                                  .seed = seed};
    last_words(SECONDS_MAX, "SEED=%llu CUT=%llu", (unsigned long long)seed,
               (unsigned long long)cut);
    expect_in(&lab, open_at(&lab, "db", false) == LOAM_OK);
    while (lab.put_count < BEFORE)
        expect_in(&lab, put_next(&lab) == LOAM_OK);
    expect_in(&lab, loam_checkpoint(lab.db, "base", NULL) == LOAM_OK);
    jobs_tend_once(lab.db); /* an archive without a segment is taken for a mistake */
    expect_in(&lab, loam_sync(lab.db) == LOAM_OK);
    simdisk_settle(lab.disk);
    return lab;
}

/* Puts, the work behind them, and an opening in the midst; until the machine is off. */
static void live(struct lab *lab)
{
    uint64_t ends[BEFORE + KEYS + 1] = {0};
    for (int i = 0; i < KEYS && !simdisk_is_off(lab->disk); i++) {
        if (put_next(lab) != LOAM_OK || simdisk_is_off(lab->disk)) return;
        ends[lab->put_count] = wal_end(lab->db->wal);
        if (i % STEP != 0) continue;
        lab->world.sys.calls->sleep_ns(lab->disk, 1100000000);
        jobs_tend_once(lab->db);
        while (jobs_run_one(lab->db) && !simdisk_is_off(lab->disk)) {
        }
        if (simdisk_is_off(lab->disk)) return;
        const uint64_t upto = atomic_load(&lab->db->archived_upto);
        while (ends[lab->archived_count + 1] <= upto && lab->archived_count < lab->put_count)
            lab->archived_count++;
        if (i != KEYS / 2 / STEP * STEP) continue;
        const loam_status rc = loam_close(lab->db);
        lab->db = NULL;
        if (rc != LOAM_OK || simdisk_is_off(lab->disk)) return;
        lab->archived_count = lab->put_count;
        if (open_at(lab, "db", true) != LOAM_OK) return;
    }
}

static void die(struct lab *lab, int loss)
{
    simdisk_kill(lab->disk);
    if (lab->db != NULL) {
        const loam_status rc = loam_close(lab->db);
        (void)rc; /* the process is gone */
    }
    lab->db = NULL;
    if (loss >= 0) simdisk_power_loss(lab->disk, (enum simdisk_loss)loss);
}

static loam_status restore_to(struct lab *lab, const char *target, loam_moment *reached)
{
    const loam_restore_options options = {.struct_size = sizeof options, .archive = "archive"};
    return db_restore_in(&lab->world, "base", target, &options, reached);
}

static int count_restored(struct lab *lab, const char *target)
{
    expect_in(lab, open_at(lab, target, true) == LOAM_OK);
    const int count = count_all(lab);
    expect_in(lab, loam_close(lab->db) == LOAM_OK);
    lab->db = NULL;
    return count;
}

/* -1: the process alone has died. */
static int loss_of(uint64_t seed, uint64_t cut)
{
    struct rand rand = {seed << 32 | cut};
    return (int)rand_below(&rand, SIMDISK_LOSSES + 1) - 1;
}

/* False when the life ended before the cut. */
static bool cut_life(uint64_t seed, uint64_t cut)
{
    struct lab lab = lab_new(seed, cut);
    const int loss = loss_of(seed, cut);
    simdisk_cut_at(lab.disk, cut);
    live(&lab);
    const bool is_cut = simdisk_is_off(lab.disk);
    die(&lab, loss);
    /* The machine is lost, and the archive is not. */
    expect_in(&lab, restore_to(&lab, "other", NULL) == LOAM_OK);
    const int rescued = count_restored(&lab, "other");
    expect_in(&lab, rescued >= lab.archived_count && rescued >= BEFORE);
    /* It is not lost, and goes on. */
    expect_in(&lab, open_at(&lab, "db", true) == LOAM_OK);
    lab.put_count = count_all(&lab);
    expect_in(&lab, lab.put_count >= rescued);
    for (int i = 0; i < 3; i++)
        expect_in(&lab, put_next(&lab) == LOAM_OK);
    expect_in(&lab, loam_close(lab.db) == LOAM_OK);
    lab.db = NULL;
    expect_in(&lab, db_verify_in(&lab.world, "db", NULL, NULL) == LOAM_OK);
    loam_moment reached;
    expect_in(&lab, restore_to(&lab, "all", &reached) == LOAM_OK);
    expect_in(&lab, count_restored(&lab, "all") == lab.put_count);
    expect_in(&lab, reached.seq == (uint64_t)lab.put_count);
    simdisk_free(lab.disk);
    return is_cut;
}

/* Every call would be too many: a life has some thousands. SEED and CUT are one of them. */
static uint64_t cut_all(bool (*cut_one)(uint64_t seed, uint64_t cut), uint64_t seeds, uint64_t step)
{
    const uint64_t only = environment_number("SEED", 0), one = environment_number("CUT", 0);
    uint64_t cuts = 0;
    for (uint64_t seed = only > 0 ? only : 1; seed <= (only > 0 ? only : seeds); seed++) {
        struct rand rand = {seed};
        for (uint64_t cut = one > 0 ? one : 1; cut_one(seed, cut); cuts++) {
            if (one > 0) break;
            cut += 1 + rand_below(&rand, step);
        }
    }
    last_words_none();
    return cuts;
}

static void the_archive_leads_to_all_that_was_complete(void **state)
{
    (void)state;
    const uint64_t seeds = 1 + SEEDS / environment_number("SLOWDOWN", 1);
    figures_print((const struct figure[]){{"cut_archives", cut_all(cut_life, seeds, 24)}}, 1);
}

/* False when the restore ended before the cut. */
static bool cut_restore(uint64_t seed, uint64_t cut)
{
    struct lab lab = lab_new(seed, cut);
    const int loss = loss_of(seed, cut);
    live(&lab);
    expect_in(&lab, loam_close(lab.db) == LOAM_OK);
    lab.db = NULL;
    simdisk_cut_at(lab.disk, cut);
    const loam_status rc = restore_to(&lab, "target", NULL);
    const bool is_cut = simdisk_is_off(lab.disk);
    expect_in(&lab, is_cut || rc == LOAM_OK);
    die(&lab, loss);
    const loam_status there = open_at(&lab, "target", true);
    if (there == LOAM_OK) {
        const int count = count_all(&lab);
        expect_in(&lab, count == BEFORE || count == lab.put_count);
        expect_in(&lab, rc != LOAM_OK || count == lab.put_count);
        expect_in(&lab, loam_close(lab.db) == LOAM_OK);
        lab.db = NULL;
    } else {
        expect_in(&lab, rc != LOAM_OK && (there == LOAM_CORRUPT || there == LOAM_IOERR));
    }
    expect_in(&lab, restore_to(&lab, "again", NULL) == LOAM_OK);
    expect_in(&lab, count_restored(&lab, "again") == lab.put_count);
    simdisk_free(lab.disk);
    return is_cut;
}

static void a_restore_that_is_cut_leaves_a_whole_store_or_none(void **state)
{
    (void)state;
    figures_print(
        (const struct figure[]){
            {"cut_restores", cut_all(cut_restore, 2, 3 * environment_number("SLOWDOWN", 1))}},
        1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_archive_leads_to_all_that_was_complete),
        cmocka_unit_test(a_restore_that_is_cut_leaves_a_whole_store_or_none)};
    return cmocka_run_group_tests_name("crash/archive", tests, NULL, NULL);
}
