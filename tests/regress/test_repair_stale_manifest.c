/*
 * test_repair_stale_manifest.c - where a log does not fit its manifest, repair takes the tables that the manifest does not name.
 *
 * The manifest of a killed store as it was earlier asks for a log that is gone, for its entries are in tables that it does not
 * name. Repair believed it: those tables lay there whole, and it passed over them without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"

enum { ROUNDS = 6, EARLY_ROUND = 2, ENTRIES = 400, VALUE_BYTES = 1000 };

static loam_options small(void)
{
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    return options;
}

static void copy_file(const char *from_path, const char *to_path)
{
    FILE *from = fopen(from_path, "rb"), *to = fopen(to_path, "wb");
    assert_true(from != NULL && to != NULL);
    for (int byte; (byte = fgetc(from)) != EOF;)
        assert_int_equal(fputc(byte, to), byte);
    (void)fclose(from);
    assert_int_equal(fclose(to), 0);
}

/* All that is written is flushed but for the last round, so that the log of earlier ones goes. */
static int write_and_die(struct fixture *f)
{
    const loam_options options = small();
    uint8_t *value = fixture_bytes(VALUE_BYTES, 1);
    char key[16], manifest[512];
    fixture_open(f, &options);
    for (int i = 0; i < ROUNDS * ENTRIES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        if (loam_put(f->db, NULL, loam_str(key), loam_bytes(value, VALUE_BYTES)) != LOAM_OK)
            return 1;
        if (i % ENTRIES == 0 && i > 0 && loam_flush(f->db, NULL) != LOAM_OK) return 1;
        if (i == EARLY_ROUND * ENTRIES) {
            if (!fixture_find_file(f, "00000001.manifest", manifest)) return 1;
            copy_file(manifest, fixture_path(f, "early"));
        }
    }
    return 0; /* and no close */
}

static void hear(void *ctx, const char *text)
{
    char *said = ctx;
    snprintf(said + strlen(said), 4000 - strlen(said), "%s\n", text);
}

struct counting {
    loam_db *db;
    uint8_t seen[ROUNDS * ENTRIES];
};

static void count_collection(void *ctx, const char *name)
{
    struct counting *counting = ctx;
    loam_coll *coll = NULL;
    loam_iter *it = NULL;
    expect_ok(loam_collection(counting->db, name, &coll));
    expect_ok(loam_iter_open(counting->db, coll, NULL, &it));
    while (loam_iter_next(it) == LOAM_OK) {
        const uint64_t key = number_at(loam_iter_key(it));
        assert_in_range(key, 0, ROUNDS * ENTRIES - 1);
        counting->seen[key] = 1;
    }
    loam_iter_close(it);
}

static unsigned repair_and_count(struct fixture *f, loam_status want, char *said)
{
    struct counting counting = {0};
    unsigned count = 0;
    loam_repair_options options = loam_repair_options_default();
    options.line = hear;
    options.ctx = said;
    const char *target = fixture_path(f, "repaired");
    const loam_status rc = loam_repair(f->store, target, &options, NULL);
    if (rc != want) fail_msg("%d instead of %d: %s", rc, want, said);
    expect_ok(loam_open(target, NULL, &counting.db));
    expect_ok(loam_collections(counting.db, count_collection, &counting));
    expect_ok(loam_close(counting.db));
    for (int i = 0; i < ROUNDS * ENTRIES; i++)
        count += counting.seen[i];
    return count;
}

static int set_up_killed(void **state)
{
    if (fixture_set_up(state) != 0) return -1;
    struct fixture *f = *state;
    struct fixture_child child = fixture_child_start(f, write_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    return 0;
}

static void tables_that_a_stale_manifest_does_not_name_are_taken(void **state)
{
    struct fixture *f = *state;
    char path[512], early[512], said[4000] = "";
    assert_true(fixture_find_file(f, "00000001.manifest", path));
    snprintf(early, sizeof early, "%s", fixture_path(f, "early"));
    copy_file(early, path);
    assert_int_equal(loam_verify(f->store, NULL, NULL), LOAM_CORRUPT);
    const unsigned count = repair_and_count(f, LOAM_CORRUPT, said);
    if (count != ROUNDS * ENTRIES) fail_msg("%u of %d: %s", count, ROUNDS * ENTRIES, said);
    if (strstr(said, strrchr(path, '/') + 1) == NULL) fail_msg("not named: %s", said);
}

static void with_its_own_manifest_nothing_is_said(void **state)
{
    char said[4000] = "";
    assert_int_equal(repair_and_count(*state, LOAM_OK, said), ROUNDS * ENTRIES);
    if (strstr(said, ": byte ") != NULL) fail_msg("%s", said);
}

/* Two openings; what the first one wrote is still in its log alone. */
static int write_twice_and_die(struct fixture *f)
{
    loam_coll *coll = NULL;
    fixture_open(f, NULL);
    if (loam_put(f->db, NULL, loam_str("00000001"), loam_str("v")) != LOAM_OK) return 1;
    fixture_reopen(f);
    if (loam_create(f->db, "c", NULL, &coll) != LOAM_OK) return 1;
    if (loam_put(f->db, coll, loam_str("00000002"), loam_str("v")) != LOAM_OK) return 1;
    return loam_flush(f->db, coll) == LOAM_OK ? 0 : 1; /* and no close */
}

static void a_damaged_segment_is_no_missing_one(void **state)
{
    struct fixture *f = *state;
    char path[512], said[4000] = "";
    loam_repair_options options = loam_repair_options_default();
    options.line = hear;
    options.ctx = said;
    struct fixture_child child = fixture_child_start(f, write_twice_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    assert_true(fixture_find_file(f, "00000001-00000001.wal", path));
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 8192 + 28, SEEK_SET), 0);
    assert_int_equal(fputc('U', file), 'U');
    assert_int_equal(fclose(file), 0);
    expect_status(LOAM_CORRUPT, loam_repair(f->store, fixture_path(f, "repaired"), &options, NULL));
    if (strstr(said, "is gone") != NULL || strstr(said, "recovered-") != NULL) fail_msg("%s", said);
}

#define test_killed(test) cmocka_unit_test_setup_teardown(test, set_up_killed, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_killed(tables_that_a_stale_manifest_does_not_name_are_taken),
        test_killed(with_its_own_manifest_nothing_is_said),
        test_closed(a_damaged_segment_is_no_missing_one),
    };
    return cmocka_run_group_tests_name("repair by a stale manifest", tests, NULL, NULL);
}
