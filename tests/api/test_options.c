/*
 * test_options.c - structs of every age, each bad value, and what the good ones do.
 */
#include "../lib/fixture.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- struct_size ------------------------------------------------------------------------------ */

static void defaults_are_what_null_means(void **state)
{
    struct fixture *f = *state;
    const loam_options options = loam_options_default();
    assert_int_equal(options.struct_size, sizeof options);
    expect_ok(loam_open(f->store, NULL, &f->db));
    fixture_close(f);
    fixture_open(f, &options);
}

static void a_size_of_zero_is_invalid(void **state)
{
    struct fixture *f = *state;
    loam_options options;
    loam_coll_options coll_options;
    loam_db *db;
    memset(&options, 0, sizeof options);
    memset(&coll_options, 0, sizeof coll_options);
    expect_failure(LOAM_INVALID, "struct_size", loam_open(f->store, &options, &db));
    fixture_open(f, NULL);
    expect_failure(LOAM_INVALID, "struct_size", loam_create(f->db, "c", &coll_options, NULL));
    expect_status(LOAM_NOTFOUND, loam_drop(f->db, "c"));
}

static void a_shorter_struct_gets_defaults_for_the_rest(void **state)
{
    struct fixture *f = *state;
    loam_options options = loam_options_default();
    loam_coll_options coll_options = loam_coll_options_default();
    options.struct_size = offsetof(loam_options, durability);
    options.must_not_exist = true;
    options.durability = (loam_durability)77; /* beyond what it says it is */
    options.runs_per_level = UINT32_MAX;
    fixture_open(f, &options);
    coll_options.struct_size = sizeof(size_t);
    coll_options.compression = (loam_compression)77;
    expect_ok(loam_create(f->db, "c", &coll_options, NULL));
}

union older_and_newer {
    loam_options known;
    unsigned char bytes[sizeof(loam_options) + 64];
};

static void a_longer_struct_must_be_zero_beyond_what_is_known(void **state)
{
    struct fixture *f = *state;
    union older_and_newer options;
    memset(&options, 0, sizeof options);
    options.known.struct_size = sizeof options;
    expect_ok(loam_open(f->store, &options.known, &f->db));
    fixture_close(f);
    for (size_t at = sizeof(loam_options); at < sizeof options; at += 9) {
        options.bytes[at] = 1;
        expect_status(LOAM_INVALID, loam_open(f->store, &options.known, &f->db));
        options.bytes[at] = 0;
    }
}

static void a_longer_collection_struct_must_be_zero_beyond_what_is_known(void **state)
{
    struct fixture *f = *state;
    union {
        loam_coll_options known;
        unsigned char bytes[sizeof(loam_coll_options) + 32];
    } options;
    memset(&options, 0, sizeof options);
    options.known.struct_size = sizeof options;
    options.bytes[sizeof options - 1] = 1;
    expect_status(LOAM_INVALID, loam_create(f->db, "c", &options.known, NULL));
    options.bytes[sizeof options - 1] = 0;
    expect_ok(loam_create(f->db, "c", &options.known, NULL));
}

/* ---- values ---------------------------------------------------------------------------------- */

struct bad_value {
    const char *word;
    size_t offset, size;
    uint64_t value;
};
#define BAD(field, value)                                                                          \
    {                                                                                              \
#field, offsetof(loam_options, field), sizeof((loam_options *)0)->field, value             \
    }

static void every_bad_value_is_refused_by_name_before_anything_is_made(void **state)
{
    struct fixture *f = *state;
    static const struct bad_value bad[] = {
        BAD(durability, 4),
        BAD(durability, UINT_MAX),
        BAD(memory_bytes, 1),
        BAD(memory_bytes, (4 << 20) - 1),
        BAD(memtable_bytes, 1),
        BAD(runs_per_level, UINT_MAX),
        BAD(filter_bits_per_key, 1000),
        BAD(filter_bits_per_key, LOAM_NO_FILTER - 1),
        BAD(background_threads, UINT_MAX),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        loam_options options = loam_options_default();
        loam_db *db;
        if (bad[i].size == 4) {
            const uint32_t narrow = (uint32_t)bad[i].value;
            memcpy((char *)&options + bad[i].offset, &narrow, sizeof narrow);
        } else {
            memcpy((char *)&options + bad[i].offset, &bad[i].value, sizeof bad[i].value);
        }
        expect_failure(LOAM_INVALID, bad[i].word, loam_open(f->store, &options, &db));
    }
    assert_int_equal(fixture_file_count(f->home), 0);
}

static void the_least_and_the_most_of_each_value_open(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 2; round++) {
        loam_options options = loam_options_default();
        options.durability = round == 0 ? LOAM_DURABLE_COMMIT : LOAM_DURABLE_PERIODIC;
        options.sync_interval_ms = round == 0 ? 1 : UINT32_MAX;
        options.memory_bytes = round == 0 ? 4 << 20 : UINT64_C(1) << 40;
        options.memtable_bytes = round == 0 ? 64 << 10 : 1 << 30;
        options.runs_per_level = round == 0 ? 1 : 64;
        options.filter_bits_per_key = round == 0 ? LOAM_NO_FILTER : 20;
        options.background_threads = round == 0 ? 1 : 4;
        fixture_open(f, &options);
        for (int i = 0; i < 50; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            put_text(f->db, NULL, key, key);
        }
        expect_ok(loam_flush(f->db, NULL));
        expect_text(f->db, NULL, "49", "49");
        fixture_close(f);
    }
}

static void options_may_differ_from_open_to_open(void **state)
{
    struct fixture *f = *state;
    char key[24];
    for (unsigned round = 0; round < 6; round++) {
        loam_options options = fixture_options();
        options.memory_bytes = 4 << 20;
        options.memtable_bytes = round % 2 == 0 ? 64 << 10 : 1 << 20;
        options.runs_per_level = 1 + round % 3;
        options.filter_bits_per_key = round % 3 == 0 ? LOAM_NO_FILTER : 4 * round;
        fixture_open(f, &options);
        for (unsigned i = 0; i < 2000; i++) {
            snprintf(key, sizeof key, "%06u", i * 7919 % 100003 + round);
            put_text(f->db, NULL, key, "a value that takes some room in the memtable");
        }
        for (unsigned i = 0; i < 2000; i += 17) {
            snprintf(key, sizeof key, "%06u", i * 7919 % 100003);
            expect_text(f->db, NULL, key, "a value that takes some room in the memtable");
        }
        fixture_close(f);
    }
}

static void compression_is_one_of_three(void **state)
{
    struct fixture *f = *state;
    loam_coll_options options = loam_coll_options_default();
    static const char *const names[] = {"lz4", "zstd", "plain"};
    for (unsigned i = 0; i < 3; i++) {
        loam_coll *coll;
        options.compression = (loam_compression)i;
        expect_ok(loam_create(f->db, names[i], &options, &coll));
        for (unsigned k = 0; k < 3000; k++) {
            char key[16];
            snprintf(key, sizeof key, "%05u", k);
            put_text(f->db, coll, key, "well compressible, well compressible, well compressible");
        }
        expect_ok(loam_compact(f->db, coll, NULL));
        expect_text(f->db, coll, "02999",
                    "well compressible, well compressible, well compressible");
    }
    uint64_t bytes[3];
    for (unsigned i = 0; i < 3; i++) {
        loam_coll_stats stats = {.struct_size = sizeof stats};
        loam_coll *coll;
        expect_ok(loam_collection(f->db, names[i], &coll));
        expect_ok(loam_coll_stats_get(f->db, coll, &stats));
        bytes[i] = stats.bytes;
    }
    assert_true(bytes[0] < bytes[2] / 2);
    assert_true(bytes[1] < bytes[2] / 2);
    options.compression = (loam_compression)3;
    expect_failure(LOAM_INVALID, "compression", loam_create(f->db, "d", &options, NULL));
}

/* ---- the log callback -------------------------------------------------------------------------- */

static const char *const EVENTS[] = {"flush ", "compaction ", "recovery ", "stall "};
enum { EVENT_COUNT = sizeof EVENTS / sizeof EVENTS[0] };

struct heard { /* by any thread */
    pthread_mutex_t lock;
    unsigned events[EVENT_COUNT], others;
    bool all_are_lines, all_are_pairs;
};

/* name=value, or name="text", behind each blank that is not in a text. */
static bool holds_pairs(const char *at)
{
    while (*at == ' ') {
        const size_t name = strspn(++at, "abcdefghijklmnopqrstuvwxyz_");
        if (name == 0 || at[name] != '=') return false;
        at += name + 1;
        if (*at == '"') {
            at = strchr(at + 1, '"');
            if (at++ == NULL) return false;
        } else {
            at += strspn(at, "0123456789");
        }
    }
    return *at == 0;
}

static void hear(void *ctx, loam_log_level level, const char *line)
{
    struct heard *heard = ctx;
    pthread_mutex_lock(&heard->lock);
    heard->all_are_lines &= level <= LOAM_LOG_INFO && line[0] != 0 && strchr(line, '\n') == NULL;
    if (level == LOAM_LOG_INFO) {
        size_t event = 0;
        while (event < EVENT_COUNT && strncmp(line, EVENTS[event], strlen(EVENTS[event])) != 0)
            event++;
        heard->all_are_pairs &= holds_pairs(line + strcspn(line, " "));
        if (event < EVENT_COUNT)
            heard->events[event]++;
        else
            heard->others++;
    }
    pthread_mutex_unlock(&heard->lock);
}

static void the_log_callback_gets_events(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .all_are_lines = true, .all_are_pairs = true};
    loam_options options = fixture_options();
    char value[1000] = {0};
    options.log = hear;
    options.log_ctx = &heard;
    options.memory_bytes = 4 << 20; /* more is written than that: writers wait */
    options.memtable_bytes = 64 << 10;
    fixture_open(f, &options);
    for (int i = 0; i < 20000; i++)
        expect_ok(loam_put(f->db, NULL, loam_bytes(&i, sizeof i), loam_bytes(value, sizeof value)));
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_compact(f->db, NULL, NULL));
    put_text(f->db, NULL, "k", "v");
    fixture_close(f);
    fixture_open(f, &options); /* it says what it replayed */
    fixture_close(f);
    for (size_t i = 0; i < 3; i++) /* the fourth depends on the machine */
        assert_true(heard.events[i] > 0);
    assert_int_equal(heard.others, 0);
    assert_true(heard.all_are_lines && heard.all_are_pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(defaults_are_what_null_means),
        test_closed(a_size_of_zero_is_invalid),
        test_closed(a_shorter_struct_gets_defaults_for_the_rest),
        test_closed(a_longer_struct_must_be_zero_beyond_what_is_known),
        test_open(a_longer_collection_struct_must_be_zero_beyond_what_is_known),
        test_closed(every_bad_value_is_refused_by_name_before_anything_is_made),
        test_closed(the_least_and_the_most_of_each_value_open),
        test_closed(options_may_differ_from_open_to_open),
        test_open(compression_is_one_of_three),
        test_closed(the_log_callback_gets_events),
    };
    return cmocka_run_group_tests_name("api/options", tests, NULL, NULL);
}
