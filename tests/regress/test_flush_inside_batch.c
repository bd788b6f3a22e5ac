/*
 * test_flush_inside_batch.c - a flush makes whole batches visible.
 *
 * It published the last sequence number of the memtables that it wrote. Of a batch over two collections that is the middle,
 * and until the writer published the rest, snapshots saw the first half of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/simdisk.h"
#include "db/batches.h"
#include "db/db.h"

enum { ROOM_BYTES = 4096 };

static loam_db *open_on(struct simdisk *disk)
{
    const struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true};
    loam_options options = loam_options_default();
    loam_db *db;
    options.memory_bytes = 8 << 20;
    if (db_open_in(&world, "db", &options, &db) != LOAM_OK) fail_msg("%s", loam_errmsg());
    return db;
}

/* Logs a batch and adds it to the memtables, as a writer does who has not come to publishing it yet; and freezes the memtable of the
   first collection. */
static void commit_unpublished(loam_db *db, const loam_batch *batch, loam_coll *second)
{
    struct batch_facts facts;
    uint64_t seq, wait_position;
    assert_int_equal(batch_facts(batch, db, &facts), LOAM_OK);
    uint8_t count = (uint8_t)facts.entry_count;
    const struct sys_piece pieces[2] = {{&count, 1}, {facts.bytes.data, facts.bytes.len}};
    const struct commit commit = {.pieces = pieces,
                                  .piece_count = 2,
                                  .body_bytes = 1 + facts.bytes.len,
                                  .record_kind = RECORD_COMMIT,
                                  .entry_count = facts.entry_count,
                                  .payload_bytes = facts.payload_bytes,
                                  .entries = facts.bytes,
                                  .batch = batch};
    mutex_lock(&db->lane);
    assert_int_equal(memrun_reserve(db, db->default_coll->active, 2, ROOM_BYTES), LOAM_OK);
    assert_int_equal(memrun_reserve(db, second->active, 2, ROOM_BYTES), LOAM_OK);
    assert_int_equal(wal_reserve(db->wal, commit.body_bytes), LOAM_OK);
    assert_int_equal(commit_locked(db, &commit, LOAM_DURABLE_COMMIT, &seq, &wait_position),
                     LOAM_OK);
    assert_int_equal(view_freeze(db->default_coll), LOAM_OK);
    mutex_unlock(&db->lane);
}

static void a_snapshot_sees_both_halves_of_a_batch_that_a_flush_published(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    loam_db *db = open_on(disk);
    loam_batch *batch = loam_batch_new();
    loam_coll *second;
    loam_snapshot *snap;
    assert_int_equal(loam_create(db, "second", NULL, &second), LOAM_OK);
    assert_int_equal(loam_put(db, NULL, loam_str("before"), loam_str("")), LOAM_OK);
    assert_int_equal(loam_put(db, second, loam_str("before"), loam_str("")), LOAM_OK);
    assert_int_equal(loam_batch_put(batch, NULL, loam_str("k"), loam_str("1")), LOAM_OK);
    assert_int_equal(loam_batch_put(batch, second, loam_str("k"), loam_str("1")), LOAM_OK);
    commit_unpublished(db, batch, second);

    assert_int_equal(flush_run(db, FLUSH_DUE), LOAM_OK);
    loam_buf value = {0};
    assert_int_equal(loam_snapshot_open(db, &snap), LOAM_OK);
    const loam_status in_first = loam_get_at(db, NULL, snap, loam_str("k"), &value);
    const loam_status in_second = loam_get_at(db, second, snap, loam_str("k"), &value);
    assert_int_equal(in_first, LOAM_OK);
    assert_int_equal(in_second, LOAM_OK);

    loam_buf_free(&value);
    loam_snapshot_close(snap);
    loam_batch_free(batch);
    assert_int_equal(loam_close(db), LOAM_OK);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_sees_both_halves_of_a_batch_that_a_flush_published),
    };
    return cmocka_run_group_tests_name("a flush inside a batch", tests, NULL, NULL);
}
