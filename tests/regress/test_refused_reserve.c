/*
 * test_refused_reserve.c - a batch that was refused left the memory that it had reserved in an empty memtable. Where that was over half of
 * memory_bytes, nothing could be flushed to give it back: the next commit tried a million times, and then a check ended the process.
 */
#include <stdlib.h>

#include "lib/fixture.h"

static void writes_go_on_after_a_large_batch_was_refused(void **state)
{
    struct fixture *f = *state;
    const size_t large = 3 << 20;
    uint8_t *bytes = fixture_bytes(large, 1);
    loam_coll *gone;
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    fixture_open(f, &options);
    expect_ok(loam_create(f->db, "gone", NULL, &gone));
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put(batch, NULL, loam_str("large"), loam_bytes(bytes, large)));
    expect_ok(loam_batch_put(batch, gone, loam_str("small"), loam_str("v")));
    expect_ok(loam_drop(f->db, "gone"));
    for (int i = 0; i < 3; i++) {
        expect_status(LOAM_MISUSE, loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
        put_text(f->db, NULL, "small", "v");
    }
    expect_text(f->db, NULL, "large", NULL);
    loam_batch_free(batch);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(writes_go_on_after_a_large_batch_was_refused),
    };
    return cmocka_run_group_tests_name("regress/refused_reserve", tests, NULL, NULL);
}
