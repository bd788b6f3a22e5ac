/*
 * test_memory.c - who has memory_bytes: pages have nearly all of it while nobody writes, and make room for who does.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <time.h>

enum { KEYS = 20000, VALUE_BYTES = 3000, MEMORY_BYTES = 32 << 20, ROUNDS_MAX = 1000 };

/* Nothing that packs. */
static void put_noise(loam_db *db, uint32_t number)
{
    char key[16];
    uint8_t value[VALUE_BYTES];
    uint64_t noise = number + 1;
    for (size_t i = 0; i < sizeof value; i++) {
        noise = noise * UINT64_C(6364136223846793005) + 1442695040888963407;
        value[i] = (uint8_t)(noise >> 56);
    }
    const int len = snprintf(key, sizeof key, "%08u", number);
    expect_ok(loam_put(db, NULL, loam_bytes(key, (size_t)len), loam_bytes(value, sizeof value)));
}

static void read_all(loam_db *db)
{
    char key[16];
    loam_buf value = {0};
    for (uint32_t i = 0; i < KEYS; i++) {
        const int len = snprintf(key, sizeof key, "%08u", i);
        expect_ok(loam_get(db, NULL, loam_bytes(key, (size_t)len), &value));
        assert_int_equal(value.len, VALUE_BYTES);
    }
    loam_buf_free(&value);
}

static void pages_have_what_nobody_writes_with(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    const uint64_t busy = MEMORY_BYTES - MEMORY_BYTES / 8,
                   at_rest = MEMORY_BYTES - MEMORY_BYTES / 32;
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000}; /* it takes ten seconds of quiet */
    unsigned round;
    options.memory_bytes = MEMORY_BYTES;
    options.memtable_bytes = 1 << 20;
    fixture_open(f, &options);
    for (uint32_t i = 0; i < KEYS; i++)
        put_noise(f->db, i);
    expect_ok(loam_compact(f->db, NULL, NULL));
    for (round = 0; round < ROUNDS_MAX && fixture_memory_of(f->db) <= busy; round++) {
        read_all(f->db);
        nanosleep(&pause, NULL);
    }
    assert_in_range(fixture_memory_of(f->db), busy + 1, at_rest);
    /* Somebody writes: soon pages have given back what they borrowed. */
    for (round = 0; round < ROUNDS_MAX && fixture_memory_of(f->db) > busy; round++)
        for (uint32_t i = 0; i < 100; i++)
            put_noise(f->db, i);
    assert_true(fixture_memory_of(f->db) <= busy);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(pages_have_what_nobody_writes_with),
    };
    return cmocka_run_group_tests_name("api/memory", tests, NULL, NULL);
}
