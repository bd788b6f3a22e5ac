/*
 * test_near_leaf.c - a put went into the wrong leaf of the memtable, and was lost: the leaf was looked up some entries ahead, an entry
 * before it split that leaf, and the left half, whose heads begin behind a longer prefix, took the key for one of its own.
 */
#include "lib/fixture.h"

#include <stdio.h>

static void put_keys(loam_db *db, const char *prefix, int count, int step)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "%s%02d", prefix, step * i);
        put_text(db, NULL, key, "v");
    }
}

/* Two leaves: "a...", and "b..." with "c...", which is full. */
static void fill_two_leaves(loam_db *db)
{
    put_keys(db, "aaaaaaaa", 64, 1);
    put_keys(db, "bbbbbbbb", 33, 1);
    put_keys(db, "cccccccc", 31, 2);
}

static void a_batch_that_splits_a_leaf_puts_all_keys_in_their_places(void **state)
{
    struct fixture *f = *state;
    fill_two_leaves(f->db);
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put(batch, NULL, loam_str("bbbbbbbb10x"), loam_str("v")));
    expect_ok(loam_batch_put(batch, NULL, loam_str("cccccccc15"), loam_str("v")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    expect_text(f->db, NULL, "cccccccc15", "v");
    expect_ok(loam_flush(f->db, NULL));
    expect_text(f->db, NULL, "cccccccc15", "v");
}

static void recovery_puts_all_keys_in_their_places(void **state)
{
    struct fixture *f = *state;
    fill_two_leaves(f->db);
    put_text(f->db, NULL, "bbbbbbbb10x", "v");
    put_text(f->db, NULL, "cccccccc15", "v");
    fixture_reopen(f);
    expect_text(f->db, NULL, "cccccccc15", "v");
    expect_ok(loam_flush(f->db, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(a_batch_that_splits_a_leaf_puts_all_keys_in_their_places),
        test_open(recovery_puts_all_keys_in_their_places),
    };
    return cmocka_run_group_tests_name("regress/near_leaf", tests, NULL, NULL);
}
