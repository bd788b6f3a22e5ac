/*
 * test_cut_manifest.c - a manifest that lost its end does not take the log's beginning with it.
 *
 * Flushes move the log's floor, in the manifest, and delete segments. When the manifest of a crashed store was cut to before
 * that, the log seemed to begin with a segment that is gone; two more were looked for, and then the log counted as empty, and
 * everything was silently gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 8000, VALUE_BYTES = 500, HEADER_BYTES = 8192, STEP_BYTES = 1000 };

static void key_of(int i, char key[static 16])
{
    snprintf(key, 16, "%08d", i);
}

static loam_options small(bool read_only)
{
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 64 << 10;
    options.read_only = read_only;
    return options;
}

static int write_and_die(struct fixture *f)
{
    static const char value[VALUE_BYTES];
    const loam_options options = small(false);
    char key[16];
    fixture_open(f, &options);
    for (int i = 0; i < ENTRIES; i++) {
        key_of(i, key);
        if (loam_put(f->db, NULL, loam_str(key), loam_bytes(value, sizeof value)) != LOAM_OK)
            return 1;
    }
    return loam_flush(f->db, NULL) == LOAM_OK ? 0 : 1; /* and no close */
}

/* Everything is there, or it is said that it is not. */
static void expect_all_or_corrupt(struct fixture *f)
{
    const loam_options options = small(true);
    loam_status rc = loam_open(f->store, &options, &f->db);
    char key[16];
    for (int i = 0; rc == LOAM_OK && i < ENTRIES; i++) {
        key_of(i, key);
        rc = loam_exists(f->db, NULL, loam_str(key));
    }
    if (rc != LOAM_OK) assert_int_equal(rc, LOAM_CORRUPT);
    if (f->db != NULL) fixture_close(f);
}

static void a_manifest_cut_anywhere_is_corruption_or_enough(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct stat info;
    struct fixture_child child = fixture_child_start(f, write_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    assert_true(fixture_find_file(f, ".manifest", path));
    assert_int_equal(stat(path, &info), 0);
    for (off_t size = info.st_size; size >= HEADER_BYTES; size -= STEP_BYTES) {
        assert_int_equal(truncate(path, size), 0);
        expect_all_or_corrupt(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(a_manifest_cut_anywhere_is_corruption_or_enough),
    };
    return cmocka_run_group_tests_name("a cut manifest", tests, NULL, NULL);
}
