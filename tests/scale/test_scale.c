/*
 * test_scale.c - many entries in random order: levels come and go, and every read is right meanwhile and after.
 *
 * ENTRIES sets how many keys there are (500,000 in a plain build), MEMTABLE_MIB the size of a memtable (1), so that a small
 * number of keys crosses as many levels as a large one does. A fifth of the keys is written again, one in twenty deleted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <loam.h>

enum { KEY_BYTES = 16, KEY_TEXT_BYTES = 24, VALUE_BYTES = 100 };

static uint64_t entry_count;
static uint8_t *versions; /* of each key: 0 absent, else what its value says */
static uint64_t chance = 42;

static uint64_t draw(uint64_t bound)
{
    chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (chance >> 33) % bound;
}

static void make_key(uint64_t number, char key[static KEY_TEXT_BYTES])
{
    snprintf(key, KEY_TEXT_BYTES, "%016llu", (unsigned long long)number);
}

static void make_value(uint64_t number, uint8_t version, uint8_t value[static VALUE_BYTES])
{
    memset(value, (int)(number % 251), VALUE_BYTES);
    memcpy(value, &number, sizeof number);
    value[VALUE_BYTES / 2] = version;
}

static void expect_ok(loam_status rc)
{
    if (rc != LOAM_OK) fail_msg("%s: %s", loam_status_name(rc), loam_errmsg());
}

static void write_key(loam_db *db, uint64_t number, uint8_t version)
{
    char key[KEY_TEXT_BYTES];
    uint8_t value[VALUE_BYTES];
    make_key(number, key);
    make_value(number, version, value);
    const loam_slice name = loam_bytes(key, KEY_BYTES);
    expect_ok(version == 0 ? loam_delete(db, NULL, name)
                           : loam_put(db, NULL, name, loam_bytes(value, VALUE_BYTES)));
    versions[number] = version;
}

static void read_key(loam_db *db, uint64_t number, loam_buf *buf)
{
    char key[KEY_TEXT_BYTES];
    uint8_t value[VALUE_BYTES];
    make_key(number, key);
    const loam_status rc = loam_get(db, NULL, loam_bytes(key, KEY_BYTES), buf);
    if (rc < 0) expect_ok(rc);
    assert_int_equal(rc, versions[number] == 0 ? LOAM_NOTFOUND : LOAM_OK);
    if (rc != LOAM_OK) return;
    make_value(number, versions[number], value);
    assert_int_equal(buf->len, VALUE_BYTES);
    assert_memory_equal(buf->data, value, VALUE_BYTES);
}

/* All of it, in one direction. */
static void scan(loam_db *db, bool backward)
{
    loam_iter *it;
    char key[KEY_TEXT_BYTES];
    uint8_t value[VALUE_BYTES];
    expect_ok(loam_iter_open(db, NULL, NULL, &it));
    for (uint64_t i = 0; i < entry_count; i++) {
        const uint64_t number = backward ? entry_count - 1 - i : i;
        if (versions[number] == 0) continue;
        expect_ok(backward ? loam_iter_prev(it) : loam_iter_next(it));
        make_key(number, key);
        make_value(number, versions[number], value);
        assert_memory_equal(loam_iter_key(it).data, key, KEY_BYTES);
        assert_memory_equal(loam_iter_value(it).data, value, VALUE_BYTES);
    }
    assert_int_equal(backward ? loam_iter_prev(it) : loam_iter_next(it), LOAM_NOTFOUND);
    loam_iter_close(it);
}

static void print_levels(loam_db *db, const char *when)
{
    loam_coll_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_coll_stats_get(db, NULL, &stats));
    print_message("# %s:", when);
    for (int level = 0; level < LOAM_LEVELS_MAX; level++)
        if (stats.level[level].run_count > 0)
            print_message(" level %d: %llu runs, %llu tables, %llu MiB;", level,
                          (unsigned long long)stats.level[level].run_count,
                          (unsigned long long)stats.level[level].table_count,
                          (unsigned long long)(stats.level[level].bytes >> 20));
    print_message("\n");
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static loam_db *open_store(const char *dir)
{
    loam_db *db;
    loam_options options = loam_options_default();
    options.durability = LOAM_DURABLE_PROCESS;
    options.memory_bytes = UINT64_C(256) << 20;
    options.memtable_bytes = number_from("MEMTABLE_MIB", 1) << 20;
    options.runs_per_level = (uint32_t)number_from("RUNS", 3);
    expect_ok(loam_open(dir, &options, &db));
    return db;
}

/* A key in random order, each once: a step that shares no factor with the count. */
static uint64_t permuted(uint64_t i)
{
    uint64_t step = UINT64_C(2654435761) % entry_count | 1;
    while (step % 5 == 0 || entry_count % step == 0)
        step += 2;
    return i * step % entry_count;
}

static void write_all(loam_db *db)
{
    loam_buf buf = {0};
    for (uint64_t i = 0; i < entry_count; i++) {
        write_key(db, permuted(i), 1);
        if (i % 5 == 0) write_key(db, draw(entry_count), (uint8_t)(2 + draw(200)));
        if (i % 20 == 0) write_key(db, draw(entry_count), 0);
        if (i % 50 == 0) read_key(db, draw(entry_count), &buf);
        if (i % (entry_count / 4) == entry_count / 8) print_levels(db, "meanwhile");
    }
    loam_buf_free(&buf);
}

static void many_entries_in_random_order_are_all_right(void **state)
{
    char dir[] = "/tmp/loam-scale-XXXXXX", command[64];
    loam_buf buf = {0};
    (void)state;
    entry_count = number_from("ENTRIES", 500000 / number_from("SLOWDOWN", 1));
    versions = calloc(entry_count, 1);
    assert_non_null(mkdtemp(dir));
    loam_db *db = open_store(dir);
    write_all(db);
    print_levels(db, "written");
    scan(db, false);
    scan(db, true);
    expect_ok(loam_close(db));
    db = open_store(dir);
    for (uint64_t i = 0; i < entry_count; i++)
        read_key(db, permuted(i), &buf);
    expect_ok(loam_verify_open(db, NULL, NULL));
    expect_ok(loam_compact(db, NULL, NULL));
    print_levels(db, "compacted");
    scan(db, false);
    scan(db, true);
    expect_ok(loam_close(db));
    expect_ok(loam_verify(dir, NULL, NULL));
    loam_buf_free(&buf);
    free(versions);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_entries_in_random_order_are_all_right)};
    return cmocka_run_group_tests_name("scale", tests, NULL, NULL);
}
