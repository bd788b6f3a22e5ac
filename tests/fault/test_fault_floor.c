/*
 * test_fault_floor.c - a change of collections that the manifest did not take, beside a flush, is still in the log.
 *
 * A flush has written its tables; a drop is in the log, durably; a commit follows it, in the next segment; the flush takes the log's
 * new floor; the drop's edit fails; the flush installs its own. Were the floor above the drop, the next opening would keep the
 * commit and bring the collection back, without its entries. All of it in this order, by means of the storage calls: the flush stops
 * where it has written its object, and what happens next happens in the drop's write to the manifest.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "lib/last_words.h"
#include "lib/simdisk.h"

enum { SECONDS_MAX = 20, LOG_BYTES = 64 << 10, LARGE = 4000, REST = 1000, FDS = 1024, ASLEEP = 5 };

static struct stage {
    struct sys calls; /* the disk's, with two stops */
    const struct sys *disk_calls;
    struct simdisk *disk;
    loam_db *db;
    loam_coll *doomed;
    bool is_manifest[FDS]; /* by descriptor; none is given twice */
    sem_t is_parked, may_go;
    atomic_int flusher; /* its thread's number, once it goes on */
    bool was_met;
} stage;

static _Thread_local bool is_flusher;

/* ---- the stops --------------------------------------------------------------------------------- */

static int open_and_note(void *ctx, int dir, const char *name, enum sys_open how)
{
    const int fd = stage.disk_calls->open(ctx, dir, name, how);
    if (fd >= 0 && fd < FDS) stage.is_manifest[fd] = strstr(name, ".manifest") != NULL;
    return fd;
}

/* The flush has its object, and knows nothing of the floor. */
static int sync_dir_and_park(void *ctx, int dir)
{
    const int rc = stage.disk_calls->sync_dir(ctx, dir);
    if (!is_flusher || atomic_load(&stage.flusher) != 0) return rc;
    sem_post(&stage.is_parked);
    while (sem_wait(&stage.may_go) != 0) {
    }
    atomic_store(&stage.flusher, gettid());
    return rc;
}

static bool is_asleep(int thread)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
    if (file != NULL) fclose(file);
    return state == 'S';
}

/* Until the flush waits for the manifest's lock, which the drop holds: with the floor in its hand. */
static void let_flush_take_its_floor(void)
{
    sem_post(&stage.may_go);
    for (int seen = 0; seen < ASLEEP; usleep(1000)) {
        const int thread = atomic_load(&stage.flusher);
        seen = thread != 0 && is_asleep(thread) ? seen + 1 : 0;
    }
}

static int64_t write_or_fail(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                             unsigned piece_count, bool durable)
{
    static const char large[LARGE];
    if (is_flusher || !stage.is_manifest[fd] || stage.was_met || stage.doomed == NULL ||
        !atomic_load(&stage.doomed->dropped))
        return stage.disk_calls->write(ctx, fd, offset, pieces, piece_count, durable);
    stage.was_met = true;
    assert_int_equal(loam_put(stage.db, NULL, loam_str("after"), loam_bytes(large, LARGE)),
                     LOAM_OK);
    assert_int_equal(loam_sync(stage.db), LOAM_OK);
    let_flush_take_its_floor();
    return -EIO;
}

/* ---- the play ---------------------------------------------------------------------------------- */

static void open_stage(struct sys_table sys)
{
    const struct db_world world = {.sys = sys, .log_bytes_least = LOG_BYTES};
    loam_options options = loam_options_default();
    options.memory_bytes = 8 << 20;
    options.durability = LOAM_DURABLE_PROCESS;
    if (db_open_in(&world, "db", &options, &stage.db) != LOAM_OK) fail_msg("%s", loam_errmsg());
}

/* Fills the log's first segment, but for the change, so that the commit behind the change begins the next one. */
static void fill_segment(void)
{
    static const char value[LOG_BYTES];
    uint64_t bytes = 0;
    assert_non_null(simdisk_bytes(stage.disk, "db", "00000001-00000001.wal", &bytes));
    const uint64_t room = bytes - SEGMENT_HEADER_BYTES - wal_end(stage.db->wal);
    assert_true(room > REST);
    assert_int_equal(
        loam_put(stage.db, NULL, loam_str("before"), loam_bytes(value, (size_t)room - REST)),
        LOAM_OK);
}

static void freeze(loam_coll *coll)
{
    mutex_lock(&stage.db->lane);
    assert_int_equal(view_freeze(coll), LOAM_OK);
    mutex_unlock(&stage.db->lane);
}

static void *flush(void *arg)
{
    is_flusher = true;
    *(loam_status *)arg = flush_run(stage.db, FLUSH_DUE);
    return NULL;
}

/* The process ends, and then the power: what was synced is what there is. */
static void die(void)
{
    simdisk_kill(stage.disk);
    const loam_status rc = loam_close(stage.db);
    (void)rc; /* this only frees its memory */
    simdisk_power_loss(stage.disk, SIMDISK_LOSE_ALL);
}

static void a_drop_stays_in_the_log_until_the_manifest_has_it(void **state)
{
    (void)state;
    pthread_t flusher;
    loam_status flushed;
    loam_coll *found;
    last_words(SECONDS_MAX, "drop and flush wait for each other");
    stage.disk = simdisk_new(1);
    const struct sys_table sys = simdisk_table(stage.disk);
    stage.disk_calls = sys.calls;
    stage.calls = *sys.calls;
    stage.calls.open = open_and_note;
    stage.calls.sync_dir = sync_dir_and_park;
    stage.calls.write = write_or_fail;
    open_stage((struct sys_table){&stage.calls, sys.ctx});
    assert_int_equal(loam_create(stage.db, "doomed", NULL, &stage.doomed), LOAM_OK);
    assert_int_equal(loam_put(stage.db, stage.doomed, loam_str("k"), loam_str("v")), LOAM_OK);
    fill_segment();
    freeze(stage.doomed);
    freeze(stage.db->default_coll);

    assert_int_equal(sem_init(&stage.is_parked, 0, 0) | sem_init(&stage.may_go, 0, 0), 0);
    assert_int_equal(pthread_create(&flusher, NULL, flush, &flushed), 0);
    while (sem_wait(&stage.is_parked) != 0) {
    }
    assert_int_equal(loam_drop(stage.db, "doomed"), LOAM_IOERR);
    assert_true(stage.was_met);
    assert_int_equal(pthread_join(flusher, NULL), 0);
    assert_int_equal(flushed, LOAM_OK);
    assert_int_equal(loam_put(stage.db, NULL, loam_str("k"), loam_str("v")), LOAM_READONLY);
    die();

    open_stage(sys);
    assert_int_equal(loam_exists(stage.db, NULL, loam_str("before")), LOAM_OK);
    assert_int_equal(loam_exists(stage.db, NULL, loam_str("after")), LOAM_OK);
    assert_int_equal(loam_collection(stage.db, "doomed", &found), LOAM_NOTFOUND);
    assert_int_equal(loam_verify_open(stage.db, NULL, NULL), LOAM_OK);
    assert_int_equal(loam_close(stage.db), LOAM_OK);
    simdisk_free(stage.disk);
    last_words_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drop_stays_in_the_log_until_the_manifest_has_it),
    };
    return cmocka_run_group_tests_name("fault: floor", tests, NULL, NULL);
}
