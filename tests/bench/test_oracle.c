/*
 * test_oracle.c - what the benchmark knows of its data: every wrong byte, version and row is wrong.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/latency.h"
#include "bench/oracle.h"
#include "bench/plan.h"

enum { ENTRIES = 50, KEY_BYTES = 16 };

static struct dataset set_of(uint32_t entries, uint32_t value_bytes)
{
    return (struct dataset){entries, KEY_BYTES, value_bytes};
}

static void every_changed_byte_and_every_other_length_is_wrong(void **state)
{
    (void)state;
    for (uint32_t bytes = DATASET_VALUE_BYTES_MIN; bytes < 300; bytes++) {
        const struct dataset set = set_of(ENTRIES, bytes);
        char value[301] = {0};
        uint16_t version = 0;
        dataset_value(&set, value, 7, 3);
        assert_true(dataset_value_version(&set, (struct bytes_view){value, bytes}, 7, &version));
        assert_int_equal(version, 3);
        assert_false(dataset_value_version(&set, (struct bytes_view){value, bytes}, 8, &version));
        assert_false(
            dataset_value_version(&set, (struct bytes_view){value, bytes - 1}, 7, &version));
        assert_false(
            dataset_value_version(&set, (struct bytes_view){value, bytes + 1}, 7, &version));
        for (uint32_t i = 0; i < bytes; i++) {
            value[i] ^= 1;
            assert_false(
                dataset_value_version(&set, (struct bytes_view){value, bytes}, 7, &version));
            value[i] ^= 1;
        }
    }
}

static void keys_move_as_their_numbers_do(void **state)
{
    (void)state;
    for (uint32_t bytes = DATASET_KEY_BYTES_MIN; bytes < 30; bytes++) {
        const struct dataset set = {600, bytes, 100};
        char key[30], moved[30];
        uint32_t slot = 0;
        dataset_key(&set, moved, 0);
        for (uint32_t i = 0; i < 1199; i++) {
            dataset_key(&set, key, i);
            assert_memory_equal(key, moved, bytes);
            assert_true(dataset_key_slot(&set, (struct bytes_view){key, bytes}, &slot));
            assert_int_equal(slot, i);
            dataset_key_move(&set, moved, 1);
        }
        for (uint32_t i = 1199; i >= 2; i -= 2) {
            dataset_key(&set, key, i);
            assert_memory_equal(key, moved, bytes);
            dataset_key_move(&set, moved, -2);
        }
    }
}

static const char *judge_version(const struct oracle *oracle, uint16_t version,
                                 struct oracle_window window)
{
    char value[100];
    dataset_value(oracle->set, value, 4, version);
    return oracle_judge_get(oracle, 4, window, true, (struct bytes_view){value, 100});
}

static void who_is_alone_gets_the_newest_version_and_no_other(void **state)
{
    const struct dataset set = set_of(ENTRIES, 100);
    struct oracle oracle;
    (void)state;
    oracle_init(&oracle, &set, true, true);
    const struct oracle_window noted = {5, 5}, nothing = {0, 0};
    assert_null(judge_version(&oracle, 5, noted));
    assert_non_null(judge_version(&oracle, 4, noted));
    assert_non_null(judge_version(&oracle, 6, noted));
    assert_non_null(judge_version(&oracle, 1, nothing));
    assert_null(oracle_judge_get(&oracle, 4, nothing, false, (struct bytes_view){NULL, 0}));
    assert_non_null(oracle_judge_get(&oracle, 4, noted, false, (struct bytes_view){NULL, 0}));
    oracle_deinit(&oracle);
}

static void beside_a_writer_what_was_there_before_or_comes_next_is_right(void **state)
{
    const struct dataset set = set_of(ENTRIES, 100);
    struct oracle oracle;
    (void)state;
    oracle_init(&oracle, &set, true, true);
    oracle.concurrent = true;
    for (uint16_t version = 1; version < 12; version++) {
        const bool right = version >= 5 && version <= 9;
        const struct oracle_window window = {5, 8};
        assert_int_equal(judge_version(&oracle, version, window) == NULL, right);
    }
    const struct oracle_window round = {UINT16_MAX, 1};
    assert_null(judge_version(&oracle, UINT16_MAX, round));
    assert_null(judge_version(&oracle, 2, round));
    assert_non_null(judge_version(&oracle, 3, round));
    assert_non_null(judge_version(&oracle, 0, round));
    assert_non_null(judge_version(&oracle, UINT16_MAX - 1, round));
    const struct oracle_window last = {UINT16_MAX, UINT16_MAX};
    assert_null(judge_version(&oracle, 1, last));
    assert_non_null(judge_version(&oracle, 2, last));
    oracle_deinit(&oracle);
}

/* Judges a whole scan over these slots, and says whether it was right to the end. */
static bool scan_is_right(const struct oracle *oracle, const uint32_t *slots, size_t count,
                          uint32_t from, bool backward)
{
    struct oracle_scan scan;
    char key[KEY_BYTES], value[100];
    const struct bytes_view row[2] = {{key, KEY_BYTES}, {value, 100}};
    oracle_scan_begin(oracle, &scan, from, backward);
    for (size_t i = 0; i < count; i++) {
        dataset_key(oracle->set, key, slots[i]);
        dataset_value(oracle->set, value, slots[i], 1);
        if (oracle_judge_row(oracle, &scan, true, row) != NULL) return false;
    }
    return oracle_judge_row(oracle, &scan, false, row) == NULL;
}

static void scans_see_what_was_inserted_and_not_what_was_deleted(void **state)
{
    static const uint32_t forward[] = {0, 5, 6, 8}, backward[] = {8, 6, 5, 0};
    const struct dataset set = set_of(5, 100);
    struct oracle oracle;
    (void)state;
    oracle_init(&oracle, &set, true, true);
    oracle_note(&oracle, 2, 0);
    oracle_note(&oracle, 4, 0);
    oracle_note(&oracle, 5, 1);
    assert_true(scan_is_right(&oracle, forward, 4, 0, false));
    assert_true(scan_is_right(&oracle, forward + 1, 3, 1, false));
    assert_true(scan_is_right(&oracle, backward, 4, 9, true));
    assert_true(scan_is_right(&oracle, backward + 2, 2, 5, true));
    assert_false(scan_is_right(&oracle, forward, 3, 0, false));
    assert_false(scan_is_right(&oracle, forward + 1, 3, 0, false));
    assert_false(scan_is_right(&oracle, backward, 3, 9, true));
    oracle_deinit(&oracle);
}

static void beside_inserts_odd_rows_may_be_there_or_not_and_even_ones_are(void **state)
{
    static const uint32_t with[] = {0, 2, 3, 4, 6, 7, 8}, without[] = {0, 2, 4, 6, 8};
    static const uint32_t hole[] = {0, 2, 6, 8}, twice[] = {0, 2, 3, 3, 4, 6, 8};
    static const uint32_t back[] = {0, 2, 4, 3, 6, 8};
    const struct dataset set = set_of(5, 100);
    struct oracle oracle;
    (void)state;
    oracle_init(&oracle, &set, true, true);
    oracle_note(&oracle, 7, 1);
    oracle_note(&oracle, 9, 1);
    oracle.concurrent = true;
    assert_true(scan_is_right(&oracle, with, 7, 0, false));
    assert_true(scan_is_right(&oracle, without, 5, 0, false));
    assert_false(scan_is_right(&oracle, hole, 4, 0, false));
    assert_false(scan_is_right(&oracle, twice, 7, 0, false));
    assert_false(scan_is_right(&oracle, back, 6, 0, false));
    assert_false(scan_is_right(&oracle, without, 4, 0, false));
    oracle_deinit(&oracle);
}

static void a_percentile_is_within_three_percent(void **state)
{
    struct latency *latency = calloc(1, sizeof *latency);
    (void)state;
    assert_non_null(latency);
    for (uint64_t ns = 1; ns <= 1000000; ns++)
        latency_add(latency, ns);
    assert_true(fabs(latency_percentile(latency, 50) / 500000 - 1) < 0.03);
    assert_true(fabs(latency_percentile(latency, 99) / 990000 - 1) < 0.03);
    assert_true(latency_percentile(latency, 100) <= 1000000);
    assert_int_equal(latency->max_ns, 1000000);
    latency_add(latency, UINT64_MAX);
    assert_true(latency_percentile(latency, 100) > 1e18);
    free(latency);
}

static void no_two_threads_write_one_slot(void **state)
{
    enum { THREADS = 3 };
    const struct dataset set = set_of(1000, 100);
    (void)state;
    for (size_t w = 0; w < workloads_count; w++) {
        uint32_t owner[2000] = {0};
        for (uint32_t t = 0; t < THREADS; t++) {
            struct plan plan = plan_make(&workloads[w], &set, t, THREADS);
            for (uint32_t i = 0; i < plan.count; i++) {
                const struct step *step = &plan.step[i];
                assert_true(step->slot < 2000);
                if (step->kind == STEP_READ || step->kind == STEP_SCAN) continue;
                assert_true(owner[step->slot] == 0 || owner[step->slot] == t + 1);
                owner[step->slot] = t + 1;
            }
            free(plan.step);
        }
    }
}

/* With theta 0.99 over 10,000 entries, the most popular one has 1 / zeta(10000, 0.99) = 9.8%. */
static void zipfian_draws_are_as_skewed_as_they_should_be(void **state)
{
    const struct dataset set = set_of(10000, 100);
    const struct workload *workload = workload_find("ycsb-c", strlen("ycsb-c"));
    uint32_t *count = calloc(20000, sizeof *count), most = 0;
    struct plan plan = plan_make(workload, &set, 0, 1);
    (void)state;
    assert_int_equal(plan.count, 10000);
    for (uint32_t i = 0; i < plan.count; i++) {
        if (++count[plan.step[i].slot] > most) most = count[plan.step[i].slot];
    }
    assert_in_range(most, 850, 1150);
    free(plan.step);
    free(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_and_every_other_length_is_wrong),
        cmocka_unit_test(keys_move_as_their_numbers_do),
        cmocka_unit_test(who_is_alone_gets_the_newest_version_and_no_other),
        cmocka_unit_test(beside_a_writer_what_was_there_before_or_comes_next_is_right),
        cmocka_unit_test(scans_see_what_was_inserted_and_not_what_was_deleted),
        cmocka_unit_test(beside_inserts_odd_rows_may_be_there_or_not_and_even_ones_are),
        cmocka_unit_test(a_percentile_is_within_three_percent),
        cmocka_unit_test(no_two_threads_write_one_slot),
        cmocka_unit_test(zipfian_draws_are_as_skewed_as_they_should_be),
    };
    return cmocka_run_group_tests_name("bench/oracle", tests, NULL, NULL);
}
