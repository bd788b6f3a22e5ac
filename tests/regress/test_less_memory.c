/*
 * test_less_memory.c - a store of many collections is opened with less memory than it was written with, and soon.
 *
 * Recovery, when its memory was full, froze and flushed only the collection of the entry at hand. The others' memtables kept memory
 * full, so each further entry became a flush and a file: an opening that should take a second took minutes.
 */
#include <stdio.h>
#include <string.h>

#include "lib/fixture.h"

enum { COLLS = 500, ROUNDS = 12, VALUE_BYTES = 100 };

static const char *name_of(int coll)
{
    static char name[16];
    snprintf(name, sizeof name, "c%d", coll);
    return name;
}

static const char *key_of(int round)
{
    static char key[16];
    snprintf(key, sizeof key, "key%07d", round);
    return key;
}

static int write_and_end(struct fixture *f)
{
    static const uint8_t value[VALUE_BYTES];
    static loam_coll *colls[COLLS];
    loam_options options = fixture_options();
    options.memory_bytes = 256 << 20;
    fixture_open(f, &options);
    for (int i = 0; i < COLLS; i++)
        expect_ok(loam_create(f->db, name_of(i), NULL, &colls[i]));
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < COLLS; i++)
            expect_ok(loam_put(f->db, colls[i], loam_str(key_of(round)),
                               loam_bytes(value, sizeof value)));
    return 0;
}

static void many_collections_are_opened_with_less_memory(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    loam_stats stats = {.struct_size = sizeof stats};
    loam_buf value = {0};
    loam_coll *coll;
    struct fixture_child child = fixture_child_start(f, write_and_end);
    assert_int_equal(fixture_child_end(&child), 0);
    options.memory_bytes = 4 << 20;
    options.background_threads = 1;
    fixture_open(f, &options);
    expect_ok(loam_stats_get(f->db, &stats));
    assert_true(stats.flush_count > 0 && stats.flush_count < COLLS * ROUNDS / 50);
    for (int i = 0; i < COLLS; i++) {
        expect_ok(loam_collection(f->db, name_of(i), &coll));
        for (int round = 0; round < ROUNDS; round++) {
            expect_ok(loam_get(f->db, coll, loam_str(key_of(round)), &value));
            assert_int_equal(value.len, VALUE_BYTES);
        }
    }
    loam_buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(many_collections_are_opened_with_less_memory),
    };
    return cmocka_run_group_tests_name("regress/less_memory", tests, NULL, NULL);
}
