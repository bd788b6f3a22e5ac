/*
 * test_wal.c - the log over segments on a disk that loses power: what is read back, where it ends, what is damage.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "lib/simdisk.h"
#include "wal/wal.h"
#include "wal/wal_reader.h"

static const uint8_t STORE_ID[STORE_ID_BYTES] = "store of a test";

struct fixture {
    struct simdisk *disk;
    struct store *store;
    struct wal *wal;
    uint64_t next_seq;
    struct wal_past past;
};

static void open_store(struct fixture *f)
{
    bool is_new;
    const struct store_options options = {0};
    assert_int_equal(store_open(simdisk_table(f->disk), "db", &options, &is_new, &f->store),
                     LOAM_OK);
    if (is_new) assert_int_equal(store_root_swap(f->store, loam_str("a root")), LOAM_OK);
    f->past.store = f->store;
}

static void start(struct fixture *f, uint64_t seed)
{
    static const enum log_use uses[] = {LOG_MAPPED, LOG_WRITTEN, LOG_MAPPED_HUGE, LOG_WRITTEN};
    memset(f, 0, sizeof *f);
    f->disk = simdisk_new(seed);
    f->next_seq = 1;
    open_store(f);
    struct wal_config config = {.store = f->store,
                                .epoch = 1,
                                .log_key = 42,
                                .segment_bytes_max = 512 << 10,
                                .use = uses[seed % 4]};
    memcpy(config.store_id, STORE_ID, sizeof STORE_ID);
    assert_int_equal(wal_new(&config, &f->wal), LOAM_OK);
    f->past = (struct wal_past){.store = f->store, .store_id = STORE_ID, .epoch = 1, .log_key = 42};
}

static void stop(struct fixture *f)
{
    wal_free(f->wal);
    store_close(f->store);
    simdisk_free(f->disk);
}

/* A commit whose body can be told from its sequence. */
static size_t body_bytes_of(uint64_t seq)
{
    struct rand rand = {seq};
    return (size_t)(rand_below(&rand, 40) == 0 ? rand_below(&rand, 700 << 10)
                                               : rand_below(&rand, 3000));
}

static uint8_t *body_of(uint64_t seq, size_t *len)
{
    struct rand rand = {seq * 7};
    *len = body_bytes_of(seq);
    uint8_t *body = malloc(*len + 1);
    for (size_t i = 0; i < *len; i++)
        body[i] = (uint8_t)rand_next(&rand);
    return body;
}

static uint64_t append(struct fixture *f, enum log_how how)
{
    size_t len;
    uint64_t end = 0;
    uint8_t *body = body_of(f->next_seq, &len);
    const struct sys_piece pieces[2] = {{body, len / 3}, {body + len / 3, len - len / 3}};
    const struct record_spec spec = {.kind = RECORD_COMMIT, .seq = f->next_seq};
    assert_int_equal(wal_reserve(f->wal, len), LOAM_OK);
    assert_int_equal(wal_append(f->wal, &spec, pieces, 2, how, &end), LOAM_OK);
    if (how == LOG_DURABLE) assert_int_equal(wal_wait(f->wal, end), LOAM_OK);
    f->next_seq++;
    free(body);
    return end;
}

static loam_status check_commit(void *ctx, const struct wal_commit *commit)
{
    uint64_t *expected = ctx;
    size_t len;
    assert_int_equal(commit->seq, *expected);
    uint8_t *body = body_of(commit->seq, &len);
    assert_int_equal(commit->body.len, len);
    assert_memory_equal(commit->body.data, body, len);
    free(body);
    (*expected)++;
    return LOAM_OK;
}

/* The number of commits that are there; they are 1, 2, ... without a gap. */
static uint64_t read_back(struct fixture *f, loam_status expected_rc)
{
    uint64_t next = 1;
    struct wal_tail tail;
    const loam_status rc = wal_read(&f->past, check_commit, &next, &tail);
    if (rc != expected_rc) fail_msg("%s: %s", loam_status_name(rc), loam_errmsg());
    if (rc == LOAM_OK) {
        assert_int_equal(tail.commit_count, next - 1);
        wal_tail_deinit(&tail);
    }
    return next - 1;
}

/* The process dies; the machine may lose power too. */
static void die(struct fixture *f, int loss)
{
    simdisk_kill(f->disk);
    wal_free(f->wal);
    f->wal = NULL;
    store_close(f->store);
    if (loss >= 0) simdisk_power_loss(f->disk, (enum simdisk_loss)loss);
    open_store(f);
}

static void everything_survives_kill(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct fixture f;
        start(&f, seed);
        for (int i = 0; i < 200; i++)
            append(&f, LOG_VOLATILE);
        die(&f, -1);
        assert_int_equal(read_back(&f, LOAM_OK), 200);
        stop(&f);
    }
}

static void a_prefix_with_all_durable_commits_survives_power_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 120; seed++) {
        struct fixture f;
        struct rand rand = {seed};
        uint64_t durable = 0;
        start(&f, seed);
        const uint64_t count = 1 + rand_below(&rand, 60);
        for (uint64_t i = 0; i < count; i++) {
            const bool sync = rand_below(&rand, 6) == 0;
            append(&f, sync ? LOG_DURABLE : LOG_VOLATILE);
            if (sync) durable = f.next_seq - 1;
            if (rand_below(&rand, 10) == 0) assert_int_equal(wal_tend(f.wal), LOAM_OK);
            if (rand_below(&rand, 20) == 0) {
                assert_int_equal(wal_sync(f.wal), LOAM_OK);
                durable = f.next_seq - 1;
            }
        }
        die(&f, (int)(seed % SIMDISK_LOSSES));
        const uint64_t there = read_back(&f, LOAM_OK);
        assert_true(there >= durable && there <= f.next_seq - 1);
        stop(&f);
    }
}

static void a_clean_close_ends_exactly_at_its_seal(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    for (int i = 0; i < 50; i++)
        append(&f, LOG_VOLATILE);
    assert_int_equal(wal_close(f.wal, &f.past.seal_end, &f.past.seal_running), LOAM_OK);
    f.wal = NULL;
    f.past.sealed = true;
    simdisk_power_loss(f.disk, SIMDISK_LOSE_ALL);
    store_close(f.store);
    open_store(&f);
    assert_int_equal(read_back(&f, LOAM_OK), 50);
    f.past.seal_end += 8;
    read_back(&f, LOAM_CORRUPT);
    stop(&f);
}

static void damage_below_what_was_synced_is_corruption(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fixture f;
        struct rand rand = {seed};
        start(&f, seed);
        for (int i = 0; i < 20; i++)
            append(&f, LOG_VOLATILE);
        const uint64_t damaged_end = append(&f, LOG_DURABLE);
        for (int i = 0; i < 5; i++)
            append(&f, LOG_DURABLE); /* these attest it */
        die(&f, SIMDISK_LOSE_ALL);
        uint64_t len;
        uint8_t *bytes = simdisk_bytes(f.disk, "db", "00000001-00000001.wal", &len);
        const uint64_t most =
            damaged_end < len - SEGMENT_HEADER_BYTES ? damaged_end : len - SEGMENT_HEADER_BYTES;
        bytes[SEGMENT_HEADER_BYTES + rand_below(&rand, most / 2)] ^= (uint8_t)(1 << seed % 8);
        const uint64_t before = read_back(&f, LOAM_CORRUPT);
        assert_true(before <= 21);
        assert_non_null(strstr(loam_errmsg(), "00000001-00000001.wal: byte "));
        stop(&f);
    }
}

static loam_status check_from_any(void *ctx, const struct wal_commit *commit)
{
    uint64_t *expected = ctx;
    if (*expected == 0) *expected = commit->seq;
    return check_commit(ctx, commit);
}

static void released_segments_are_used_again_and_do_not_speak(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 4);
    uint64_t floor = 0;
    struct object_id id = {0, 0};
    for (int i = 0; i < 2000; i++) {
        const uint64_t end = append(&f, i % 50 == 0 ? LOG_DURABLE : LOG_VOLATILE);
        if (i % 100 != 99) continue;
        assert_true(wal_segment_of(f.wal, end, &id, &floor));
        assert_int_equal(wal_release(f.wal, floor, floor), LOAM_OK);
        assert_int_equal(wal_tend(f.wal), LOAM_OK);
        assert_true(wal_live_bytes(f.wal) < 3 << 20);
    }
    f.past.floor = floor;
    f.past.floor_number = id.number;
    die(&f, SIMDISK_LOSE_NOTHING);
    struct wal_tail tail;
    uint64_t next = 0;
    assert_int_equal(wal_read(&f.past, check_from_any, &next, &tail), LOAM_OK);
    assert_int_equal(next, f.next_seq);
    assert_true(id.number > 3);
    wal_tail_deinit(&tail);
    stop(&f);
}

static void reading_begins_at_the_floor(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 6);
    uint64_t floor = 0, next = 0;
    struct object_id id = {0, 0};
    for (int i = 0; i < 1500; i++)
        append(&f, LOG_VOLATILE);
    assert_true(wal_segment_of(f.wal, wal_end(f.wal), &id, &floor));
    assert_int_equal(wal_release(f.wal, floor, floor), LOAM_OK);
    for (int i = 0; i < 100; i++)
        append(&f, LOG_VOLATILE);
    f.past.floor = floor;
    f.past.floor_number = id.number;
    die(&f, -1);
    struct wal_tail tail;
    assert_int_equal(wal_read(&f.past, check_from_any, &next, &tail), LOAM_OK);
    assert_int_equal(next, f.next_seq);
    wal_tail_deinit(&tail);
    stop(&f);
}

static void a_full_disk_refuses_before_anything_is_written(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 8);
    for (int i = 0; i < 3; i++)
        append(&f, LOG_DURABLE);
    simdisk_full(f.disk, 1 << 20);
    const uint64_t used = simdisk_used(f.disk);
    assert_int_equal(wal_reserve(f.wal, 8 << 20), LOAM_FULL);
    assert_int_equal(simdisk_used(f.disk), used);
    simdisk_full(f.disk, 0);
    append(&f, LOG_DURABLE);
    die(&f, SIMDISK_LOSE_ALL);
    assert_int_equal(read_back(&f, LOAM_OK), f.next_seq - 1);
    stop(&f);
}

/* It kept what it had prepared for a commit that was refused, so that nothing else fitted on the disk. */
static void a_refused_commit_gives_its_segments_back(void **state)
{
    (void)state;
    uint64_t refused = 0;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        struct fixture f;
        start(&f, 8);
        append(&f, LOG_DURABLE);
        const uint64_t used = simdisk_used(f.disk);
        simdisk_fail_at(f.disk, nth, ENOSPC, false);
        const loam_status rc = wal_reserve(f.wal, 8 << 20);
        simdisk_fail_at(f.disk, 0, 0, false);
        refused += rc == LOAM_FULL;
        if (rc == LOAM_FULL) assert_int_equal(simdisk_used(f.disk), used);
        for (int i = 0; i < 300; i++)
            append(&f, LOG_VOLATILE);
        append(&f, LOG_DURABLE);
        die(&f, SIMDISK_LOSE_ALL);
        assert_int_equal(read_back(&f, LOAM_OK), f.next_seq - 1);
        stop(&f);
    }
    assert_true(refused > 10);
}

/* Into a small segment, through those that were prepared; also when the power goes before the next commit, or right behind it. */
static void a_switch_leaves_no_hole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fixture f;
        start(&f, seed);
        for (int i = 0; i < 100; i++)
            append(&f, i % 10 == 9 ? LOG_DURABLE : LOG_VOLATILE);
        assert_int_equal(wal_reserve(f.wal, 1 << 20), LOAM_OK);
        assert_int_equal(wal_shrink(f.wal, WAL_SMALL), LOAM_OK);
        assert_int_equal(wal_switch(f.wal), LOAM_OK);
        for (uint64_t i = 0; i < seed % 3; i++)
            append(&f, LOG_DURABLE);
        const bool sealed = seed % 2 == 0;
        if (sealed) {
            assert_int_equal(wal_close(f.wal, &f.past.seal_end, &f.past.seal_running), LOAM_OK);
            f.wal = NULL;
        }
        f.past.sealed = sealed;
        die(&f, (int)(seed % SIMDISK_LOSSES));
        assert_int_equal(read_back(&f, LOAM_OK), f.next_seq - 1);
        stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_survives_kill),
        cmocka_unit_test(a_prefix_with_all_durable_commits_survives_power_loss),
        cmocka_unit_test(a_clean_close_ends_exactly_at_its_seal),
        cmocka_unit_test(damage_below_what_was_synced_is_corruption),
        cmocka_unit_test(released_segments_are_used_again_and_do_not_speak),
        cmocka_unit_test(reading_begins_at_the_floor),
        cmocka_unit_test(a_full_disk_refuses_before_anything_is_written),
        cmocka_unit_test(a_refused_commit_gives_its_segments_back),
        cmocka_unit_test(a_switch_leaves_no_hole),
    };
    return cmocka_run_group_tests_name("wal/wal", tests, NULL, NULL);
}
