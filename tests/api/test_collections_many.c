/*
 * test_collections_many.c - ten thousand collections (a thousand in a slow build): what they cost and what they do not.
 */
#include "../lib/fixture.h"
#include "../lib/seeds.h"

#include <stdio.h>
#include <time.h>

enum { MANY = 10000 };

/* Of the processor: what others do on this machine does not count. */
static double used_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void name_of(int number, char name[static 32])
{
    snprintf(name, 32, "collection %d", number);
}

struct seen {
    unsigned count;
    char last[256];
};

static void count_in_order(void *ctx, const char *name)
{
    struct seen *seen = ctx;
    if (strcmp(seen->last, name) < 0) seen->count++;
    snprintf(seen->last, sizeof seen->last, "%s", name);
}

/* Creating is durable, so its time is the disk's: no bound on it. */
static void ten_thousand_open_at_once_and_cost_nothing_untouched(void **state)
{
    struct fixture *f = *state;
    const int many = MANY / (int)seeds_stride(10);
    struct seen seen = {0};
    char name[32];
    loam_coll *coll;
    for (int i = 0; i < many; i++) {
        name_of(i, name);
        expect_ok(loam_create(f->db, name, NULL, &coll));
        if (i % 100 == 0) put_text(f->db, coll, "k", name);
    }
    fixture_close(f);
    const double before = used_s();
    fixture_open(f, NULL);
    const double passed = used_s() - before;
    print_message("reopened in %.3f s\n", passed);
    assert_true(passed < 5.0);
    assert_true(fixture_memory_of(f->db) < 8 << 20);
    expect_ok(loam_collections(f->db, count_in_order, &seen));
    assert_int_equal(seen.count, many + 1);
    for (int i = 0; i < many; i += 50) {
        name_of(i, name);
        expect_ok(loam_collection(f->db, name, &coll));
        expect_text(f->db, coll, "k", i % 100 == 0 ? name : NULL);
    }
}

/* Small memtables are flushed packed: files do not grow with collections. */
static void a_thousand_touched_ones_share_few_files(void **state)
{
    struct fixture *f = *state;
    char name[32];
    loam_coll *coll = NULL;
    for (int i = 0; i < 1000; i++) {
        name_of(i, name);
        expect_ok(loam_create(f->db, name, NULL, &coll));
        put_text(f->db, coll, "k", name);
    }
    fixture_reopen(f);
    for (int i = 0; i < 1000; i++) {
        name_of(i, name);
        expect_ok(loam_collection(f->db, name, &coll));
        put_text(f->db, coll, "k2", name);
    }
    expect_ok(loam_flush(f->db, coll));
    assert_true(fixture_file_count(f->store) < 200);
    for (int i = 0; i < 1000; i += 7) {
        name_of(i, name);
        expect_ok(loam_collection(f->db, name, &coll));
        expect_text(f->db, coll, "k", name);
        expect_text(f->db, coll, "k2", name);
    }
}

/* Whoever looks for a name must find it, however many others went before it or changed theirs. */
static void any_of_many_can_be_dropped_or_renamed(void **state)
{
    enum { COUNT = 400 };
    struct fixture *f = *state;
    char name[32];
    loam_coll *coll = NULL;
    for (int i = 0; i < COUNT; i++) {
        name_of(i, name);
        expect_ok(loam_create(f->db, name, NULL, &coll));
        put_text(f->db, coll, "k", name);
    }
    /* 7 and COUNT have no common factor: each is met once, in an order that is not that of their making. */
    for (int i = 0; i < COUNT; i++) {
        char other[32];
        const int number = i * 7 % COUNT;
        name_of(number, name);
        name_of(number + COUNT, other);
        if (i % 3 == 0) expect_ok(loam_drop(f->db, name));
        if (i % 3 == 1) expect_ok(loam_rename(f->db, name, other));
    }
    for (int opening = 0; opening < 2; opening++) {
        for (int i = 0; i < COUNT; i++) {
            char was[32];
            const int number = i * 7 % COUNT;
            name_of(number, was);
            name_of(number + COUNT, name);
            expect_status(i % 3 == 2 ? LOAM_OK : LOAM_NOTFOUND, loam_collection(f->db, was, &coll));
            if (i % 3 == 2) expect_text(f->db, coll, "k", was);
            expect_status(i % 3 == 1 ? LOAM_OK : LOAM_NOTFOUND,
                          loam_collection(f->db, name, &coll));
            if (i % 3 == 1) expect_text(f->db, coll, "k", was);
        }
        fixture_reopen(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(ten_thousand_open_at_once_and_cost_nothing_untouched),
        test_open(a_thousand_touched_ones_share_few_files),
        test_open(any_of_many_can_be_dropped_or_renamed),
    };
    return cmocka_run_group_tests_name("api/collections_many", tests, NULL, NULL);
}
