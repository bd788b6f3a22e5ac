/*
 * test_verify_goes_on.c - a damaged log does not keep verify from the tables.
 *
 * Verifying opens a store, and what keeps it from being opened was the only fault that it named. The tables beside a damaged log were
 * restored, or not, by chance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"

enum { ENTRIES = 1000, IN_A_PAGE = 500, IN_A_RECORD = 8192 + 40 };

struct said {
    unsigned tables, logs, others;
};

static void hear(void *ctx, const char *text)
{
    struct said *said = ctx;
    if (strstr(text, ".sst: byte ") != NULL)
        said->tables++;
    else if (strstr(text, ".wal: byte ") != NULL)
        said->logs++;
    else
        said->others++;
}

static void write_some(struct fixture *f)
{
    char key[16];
    fixture_open(f, NULL);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        put_text(f->db, NULL, key, "a value");
        if (i == ENTRIES / 2) expect_ok(loam_flush(f->db, NULL));
    }
    fixture_close(f);
}

static struct said verify(const struct fixture *f)
{
    struct said said = {0};
    expect_failure(LOAM_CORRUPT, f->store, loam_verify(f->store, hear, &said));
    return said;
}

static void tables_beside_a_damaged_log_are_verified(void **state)
{
    struct fixture *f = *state;
    char path[512];
    write_some(f);
    assert_true(fixture_find_file(f, ".wal", path));
    fixture_flip_byte(path, IN_A_RECORD);
    struct said said = verify(f);
    assert_true(said.logs == 1 && said.tables == 0 && said.others == 0);
    assert_true(fixture_find_file(f, ".sst", path));
    fixture_flip_byte(path, IN_A_PAGE);
    said = verify(f);
    assert_true(said.logs == 1 && said.tables > 0 && said.others == 0);
}

/* Without a manifest nobody knows them. */
static void a_damaged_manifest_is_said_once(void **state)
{
    struct fixture *f = *state;
    char path[512];
    write_some(f);
    assert_true(fixture_find_file(f, ".manifest", path));
    fixture_flip_byte(path, IN_A_RECORD);
    const struct said said = verify(f);
    assert_true(said.logs == 0 && said.tables == 0 && said.others == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(tables_beside_a_damaged_log_are_verified),
        test_closed(a_damaged_manifest_is_said_once),
    };
    return cmocka_run_group_tests_name("verify goes on", tests, NULL, NULL);
}
