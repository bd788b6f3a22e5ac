/*
 * test_recovery.c - what recovery must not believe, made on purpose where histories meet it by luck.
 *
 * A log with a hole, behind which whole records stand that nobody was promised; a log in which a segment is another's: of a copy
 * of the store that lived on by itself, or of a twin that did the same with other values. SEED=n replays one.
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

enum { SEEDS = 40, COMMITS = 30, LOG_BYTES = 16 << 10, SECONDS_MAX = 20 };

struct lab {
    uint64_t seed;
    struct rand rand;
    struct simdisk *disk;
    loam_db *db;
};

static struct lab lab_new(uint64_t seed)
{
    last_words(SECONDS_MAX, "SEED=%llu", (unsigned long long)seed);
    return (struct lab){.seed = seed, .rand = {seed}, .disk = simdisk_new(seed)};
}

static void lab_free(struct lab *lab)
{
    simdisk_free(lab->disk);
    last_words_none();
}

static void expect(const struct lab *lab, loam_status expected, loam_status rc, const char *what)
{
    if (rc != expected)
        fail_msg("SEED=%llu: %s: %s, not %s: %s", (unsigned long long)lab->seed, what,
                 loam_status_name(rc), loam_status_name(expected), loam_errmsg());
}

static void for_each_seed(void (*show)(uint64_t seed))
{
    struct seeds seeds = seeds_begin("SEEDS", SEEDS);
    for (uint64_t seed; seeds_next(&seeds, &seed);)
        show(seed);
}

static loam_status lab_open(struct lab *lab)
{
    const struct db_world world = {.sys = simdisk_table(lab->disk),
                                   .mapped_log = lab->seed % 2 == 0,
                                   .log_bytes_least = LOG_BYTES,
                                   .seed = lab->seed};
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.durability = LOAM_DURABLE_PROCESS;
    return db_open_in(&world, "db", &options, &lab->db);
}

static void lab_die(struct lab *lab)
{
    simdisk_kill(lab->disk);
    const loam_status rc = loam_close(lab->db);
    (void)rc; /* the process is gone; this only frees its memory */
}

/* Entry n, of a length of its own, with a value that begins with `first`. */
static void put(struct lab *lab, unsigned n, char first, size_t value_bytes)
{
    char key[16], value[3000];
    memset(value, 'v', sizeof value);
    value[0] = first;
    snprintf(key, sizeof key, "%06u", n);
    expect(lab, LOAM_OK, loam_put(lab->db, NULL, loam_str(key), loam_bytes(value, value_bytes)),
           "a put");
}

/* What entry n begins with; 0 when it is not there. */
static char first_of(struct lab *lab, unsigned n)
{
    char key[16];
    loam_buf value = {0};
    snprintf(key, sizeof key, "%06u", n);
    const loam_status rc = loam_get(lab->db, NULL, loam_str(key), &value);
    const char first = rc == LOAM_OK ? ((const char *)value.data)[0] : 0;
    if (rc != LOAM_NOTFOUND) expect(lab, LOAM_OK, rc, "a get");
    loam_buf_free(&value);
    return first;
}

/* ---- a hole ------------------------------------------------------------------------------------- */

/* The head of a record that holds this entry is gone, as if its sector had not been written. */
static void make_hole(struct lab *lab, const char *name, unsigned n)
{
    char key[16];
    uint64_t len = 0;
    uint8_t *bytes = simdisk_bytes(lab->disk, "db", name, &len);
    const size_t key_bytes = (size_t)snprintf(key, sizeof key, "%06u", n);
    assert_non_null(bytes);
    for (uint64_t at = SEGMENT_HEADER_BYTES; at + key_bytes < len; at++)
        if (memcmp(bytes + at, key, key_bytes) == 0) {
            memset(bytes + at - RECORD_HEAD_BYTES, 0, RECORD_HEAD_BYTES);
            simdisk_settle(lab->disk);
            return;
        }
    fail_msg("SEED=%llu: entry %u is not in %s", (unsigned long long)lab->seed, n, name);
}

static void a_record_behind_the_hole_stays_away(uint64_t seed)
{
    struct lab lab = lab_new(seed);
    const size_t value_bytes = 1 + (size_t)rand_below(&lab.rand, 200);
    const unsigned hole = (unsigned)rand_below(&lab.rand, COMMITS - 1);
    expect(&lab, LOAM_OK, lab_open(&lab), "opening");
    for (unsigned n = 0; n < COMMITS; n++)
        put(&lab, n, 'a', value_bytes);
    lab_die(&lab);
    make_hole(&lab, "00000001-00000001.wal", hole);
    /* Whatever is written now, and however long it is: what stood behind the hole is gone for good. */
    for (unsigned round = 0; round < 2; round++) {
        expect(&lab, LOAM_OK, lab_open(&lab), "opening");
        if (round == 0) put(&lab, hole, 'b', value_bytes);
        for (unsigned n = 0; n < COMMITS; n++) {
            const char found = first_of(&lab, n), wanted = n < hole ? 'a' : n == hole ? 'b' : 0;
            if (found != wanted)
                fail_msg("SEED=%llu: a hole at entry %u, and entry %u is %d",
                         (unsigned long long)seed, hole, n, found);
        }
        lab_die(&lab);
    }
    lab_free(&lab);
}

static void what_stood_behind_a_hole_does_not_come_back(void **state)
{
    (void)state;
    for_each_seed(a_record_behind_the_hole_stays_away);
}

/* ---- another's segment ---------------------------------------------------------------------------- */

/* Two disks with the same store; the first of them writes values that begin with 'a', the other with 'b'. */
static void write_log(struct lab *lab, char first, unsigned count)
{
    expect(lab, LOAM_OK, lab_open(lab), "opening");
    for (unsigned n = 0; n < count; n++)
        put(lab, n, first, 1 + n * 37 % 1000);
    expect(lab, LOAM_OK, loam_sync(lab->db), "a sync");
    lab_die(lab);
}

static void take_file(struct lab *to, struct lab *from, const char *name)
{
    uint64_t to_len = 0, from_len = 0;
    uint8_t *to_bytes = simdisk_bytes(to->disk, "db", name, &to_len);
    const uint8_t *from_bytes = simdisk_bytes(from->disk, "db", name, &from_len);
    assert_non_null(to_bytes);
    assert_non_null(from_bytes);
    assert_int_equal(to_len, from_len);
    assert_memory_not_equal(to_bytes, from_bytes, to_len);
    memcpy(to_bytes, from_bytes, to_len);
    simdisk_settle(to->disk);
}

/* With a file of the other's, the store does not open. Frees both. */
static void refuses_file_of(struct lab *lab, struct lab *other, const char *name)
{
    take_file(lab, other, name);
    expect(lab, LOAM_CORRUPT, lab_open(lab), "opening with another's segment");
    simdisk_free(other->disk);
    lab_free(lab);
}

static void a_log_of_a_copy_is_refused(uint64_t seed)
{
    struct lab original = lab_new(seed), copy = {.seed = seed};
    char drawn;
    write_log(&original, 'a', 3);
    copy.disk = simdisk_twin(original.disk);
    /* In another process, the copy draws other numbers. */
    const struct sys_table sys = simdisk_table(copy.disk);
    assert_int_equal(sys.calls->random(sys.ctx, &drawn, 1), 0);
    write_log(&original, 'a', 20);
    write_log(&copy, 'b', 20);
    refuses_file_of(&original, &copy, "00000002-00000001.wal");
}

static void the_log_of_a_copy_that_lived_on_is_refused(void **state)
{
    (void)state;
    for_each_seed(a_log_of_a_copy_is_refused);
}

/* The first segment is the twin's: the same key, the same places, valid records; but the second knows what stood there. */
static void a_segment_of_a_twin_is_refused(uint64_t seed)
{
    struct lab lab = lab_new(seed), twin = {.seed = seed, .disk = simdisk_new(seed)};
    write_log(&lab, 'a', 100);
    write_log(&twin, 'b', 100);
    refuses_file_of(&lab, &twin, "00000001-00000001.wal");
}

static void a_segment_that_the_next_one_does_not_know_is_refused(void **state)
{
    (void)state;
    for_each_seed(a_segment_of_a_twin_is_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stood_behind_a_hole_does_not_come_back),
        cmocka_unit_test(the_log_of_a_copy_that_lived_on_is_refused),
        cmocka_unit_test(a_segment_that_the_next_one_does_not_know_is_refused),
    };
    return cmocka_run_group_tests_name("crash: recovery", tests, NULL, NULL);
}
