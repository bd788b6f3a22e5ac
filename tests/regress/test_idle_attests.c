/*
 * test_idle_attests.c - commits that were durable by themselves stayed unattested while the store was idle: only a sync of the tender's own was
 * followed by a record that speaks for it. Damage to the last of them then passed for a torn write, though seconds had gone by.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fixture.h"

static const char WORD[] = "acknowledged, and long ago";

static int write_wait_and_die(struct fixture *f)
{
    loam_options options = fixture_options();
    options.durability = LOAM_DURABLE_COMMIT;
    if (loam_open(f->store, &options, &f->db) != LOAM_OK) return 1;
    if (loam_put(f->db, NULL, loam_str("key"), loam_str(WORD)) != LOAM_OK) return 2;
    usleep(1500 * 1000); /* the tender looks once a second */
    return 0;
}

/* Changes a byte of the value where the log has it. */
static void damage_the_log(const char *path)
{
    static char bytes[64 << 20];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    const size_t len = fread(bytes, 1, sizeof bytes, file);
    const char *at = memmem(bytes, len, WORD, sizeof WORD - 1);
    assert_non_null(at);
    assert_int_equal(fseek(file, at - bytes, SEEK_SET), 0);
    assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
}

static void damage_to_the_last_durable_commit_of_an_idle_store_is_noticed(void **state)
{
    struct fixture *f = *state;
    char path[512];
    loam_options options = fixture_options();
    struct fixture_child child = fixture_child_start(f, write_wait_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    snprintf(path, sizeof path, "%s/00000001-00000001.wal", f->store);
    damage_the_log(path);
    expect_failure(LOAM_CORRUPT, "00000001-00000001.wal", loam_open(f->store, &options, &f->db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(damage_to_the_last_durable_commit_of_an_idle_store_is_noticed),
    };
    return cmocka_run_group_tests_name("regress/idle_attests", tests, NULL, NULL);
}
