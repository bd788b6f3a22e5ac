/*
 * test_empty_key.c - loam_compact() never returned when the empty key's tombstone had to stay: the rewriting of tables with tombstones
 * goes on behind the last key it has done, and "behind the empty key" was read as "from the beginning".
 */
#include "lib/fixture.h"

static void compacting_ends_though_the_empty_keys_tombstone_stays(void **state)
{
    struct fixture *f = *state;
    loam_snapshot *snapshot;
    loam_buf value = {0};
    put_text(f->db, NULL, "", "seen by the snapshot");
    expect_ok(loam_snapshot_open(f->db, &snapshot));
    expect_ok(loam_delete(f->db, NULL, loam_str("")));
    expect_ok(loam_compact(f->db, NULL, NULL));
    expect_status(LOAM_NOTFOUND, loam_get(f->db, NULL, loam_str(""), &value));
    loam_snapshot_close(snapshot);
    loam_buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(compacting_ends_though_the_empty_keys_tombstone_stays),
    };
    return cmocka_run_group_tests_name("regress/empty_key", tests, NULL, NULL);
}
