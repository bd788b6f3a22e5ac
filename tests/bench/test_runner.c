/*
 * test_runner.c - a benchmark that believes its engines measures nothing: each lie is noticed.
 *
 * An engine in memory does what it is asked, except for one thing. A child process runs a workload
 * on it, which must end with a complaint, and runs the same on the honest one, which must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/runner.h"

enum { ENTRIES = 300, SLOTS = 2 * ENTRIES, KEY_BYTES = 16, VALUE_BYTES = 150 };

enum lie {
    HONEST,
    CHANGES_A_BYTE,
    CUTS_A_VALUE,
    GIVES_ANOTHER_VALUE,
    LOSES_A_KEY,
    FINDS_WHAT_IS_NOT_THERE,
    FORGETS_AN_OVERWRITE,
    FORGETS_A_DELETE,
    FORGETS_HALF_A_BATCH,
    SCAN_LEAVES_OUT_A_ROW,
    SCAN_REPEATS_A_ROW,
    SCAN_ENDS_EARLY,
    SCAN_NEVER_ENDS,
    SCAN_CHANGES_A_BYTE,
    SCAN_CHANGES_A_KEY,
    SCAN_SEEKS_ONE_TOO_FAR
};

static const struct dataset set = {ENTRIES, KEY_BYTES, VALUE_BYTES};

static struct {
    enum lie lie;
    bool there[SLOTS];
    char value[SLOTS][VALUE_BYTES];
    char answer[VALUE_BYTES], key[KEY_BYTES];
    int64_t at; /* of the scan; -1 and SLOTS are beyond the ends */
} fake;

/* The lie that is told, about a slot in the middle of everything. */
static bool tells(enum lie lie, int64_t slot)
{
    return fake.lie == lie && slot / 2 == ENTRIES / 2;
}

static uint32_t slot_of(struct bytes_view key)
{
    uint32_t slot = 0;
    assert_true(dataset_key_slot(&set, key, &slot));
    assert_true(slot < SLOTS);
    return slot;
}

static void put_fake(void *session, struct bytes_view key, struct bytes_view value)
{
    const uint32_t slot = slot_of(key);
    (void)session;
    assert_int_equal(value.len, VALUE_BYTES);
    if (tells(FORGETS_AN_OVERWRITE, slot) && fake.there[slot]) return;
    fake.there[slot] = true;
    memcpy(fake.value[slot], value.data, VALUE_BYTES);
}

static void remove_fake(void *session, struct bytes_view key)
{
    (void)session;
    if (!tells(FORGETS_A_DELETE, slot_of(key))) fake.there[slot_of(key)] = false;
}

static void put_fake_batch(void *session, const struct bytes_view *keys,
                           const struct bytes_view *values, size_t count)
{
    const size_t half = fake.lie == FORGETS_HALF_A_BATCH ? count / 2 : count;
    for (size_t i = 0; i < half; i++)
        put_fake(session, keys[i], values[i]);
}

static bool get_fake(void *session, struct bytes_view key, struct bytes_view *value)
{
    const uint32_t slot = slot_of(key);
    (void)session;
    if (tells(LOSES_A_KEY, slot)) return false;
    if (!fake.there[slot] && !tells(FINDS_WHAT_IS_NOT_THERE, slot)) return false;
    memcpy(fake.answer, fake.value[tells(GIVES_ANOTHER_VALUE, slot) ? slot - 2 : slot],
           VALUE_BYTES);
    if (tells(CHANGES_A_BYTE, slot)) fake.answer[VALUE_BYTES - 1] ^= 1;
    *value = (struct bytes_view){fake.answer, VALUE_BYTES - (size_t)tells(CUTS_A_VALUE, slot)};
    return true;
}

/* ---- scans --------------------------------------------------------------------------------------- */

static bool give_row(struct bytes_view row[2], int step)
{
    while (fake.at >= 0 && fake.at < SLOTS &&
           (!fake.there[fake.at] || tells(SCAN_LEAVES_OUT_A_ROW, fake.at)))
        fake.at += step;
    if (fake.lie == SCAN_NEVER_ENDS && fake.at >= SLOTS) fake.at = 0;
    if (fake.at < 0 || fake.at >= SLOTS || tells(SCAN_ENDS_EARLY, fake.at)) return false;
    const uint32_t slot = (uint32_t)fake.at;
    dataset_key(&set, fake.key, tells(SCAN_CHANGES_A_KEY, slot) ? slot + 1 : slot);
    memcpy(fake.answer, fake.value[slot], VALUE_BYTES);
    if (tells(SCAN_CHANGES_A_BYTE, slot)) fake.answer[VALUE_BYTES / 2] ^= 64;
    row[0] = (struct bytes_view){fake.key, KEY_BYTES};
    row[1] = (struct bytes_view){fake.answer, VALUE_BYTES};
    return true;
}

static bool seek_fake(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    (void)scan;
    fake.at = slot_of(key);
    if (fake.lie == SCAN_SEEKS_ONE_TOO_FAR) fake.at++;
    return give_row(row, 1);
}

static bool move_fake(void *scan, enum engine_move move, struct bytes_view row[2])
{
    (void)scan;
    switch (move) {
    case MOVE_FIRST:
        fake.at = 0;
        return give_row(row, 1);
    case MOVE_LAST:
        fake.at = SLOTS - 1;
        return give_row(row, -1);
    case MOVE_NEXT:
        fake.at += tells(SCAN_REPEATS_A_ROW, fake.at) ? 0 : 1;
        return give_row(row, 1);
    case MOVE_PREV:
        fake.at -= tells(SCAN_REPEATS_A_ROW, fake.at) ? 0 : 1;
        return give_row(row, -1);
    }
    return false;
}

static void *open_fake(void *owner)
{
    return owner;
}

static void close_fake(void *owner)
{
    (void)owner;
}

static const struct engine engine_fake = {
    .name = "fake",
    .session_open = open_fake,
    .session_close = close_fake,
    .put = put_fake,
    .remove = remove_fake,
    .put_batch = put_fake_batch,
    .get = get_fake,
    .scan_open = open_fake,
    .scan_seek = seek_fake,
    .scan_move = move_fake,
    .scan_close = close_fake,
};

/* ---- the facts ------------------------------------------------------------------------------------- */

static const struct workload *find(const char *name)
{
    const struct workload *workload = workload_find(name, strlen(name));
    assert_non_null(workload);
    return workload;
}

/* As a trial does it: fill, run, read everything again. */
static void run_whole(const struct workload *workload, enum lie lie)
{
    struct oracle oracle;
    struct team_result result;
    oracle_init(&oracle, &set, workload->from != FROM_EMPTY, workload_writes(workload));
    struct team team = {
        .engine = &engine_fake, .workload = workload, .oracle = &oracle, .threads = 1};
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        dataset_value(&set, fake.value[slot], slot, 1);
        fake.there[slot] = workload->from != FROM_EMPTY && slot % 2 == 0;
    }
    fake.lie = lie;
    team_prepare(&team);
    team_run(&team, &result);
    if (workload_writes(workload)) team_scan_all(&team, false);
    team_release(&team);
    oracle_deinit(&oracle);
}

static bool comes_through(const char *name, enum lie lie)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        if (lie != HONEST && freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        run_whole(find(name), lie);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return WEXITSTATUS(status) == 0;
}

static void honest_engines_come_through_every_workload(void **state)
{
    (void)state;
    for (size_t i = 0; i < workloads_count; i++) {
        /* The engine in memory has one place for everybody, and nothing to be opened. */
        if (workloads[i].threads > 1 || workloads[i].beside_writer) continue;
        if (workloads[i].kind == WORKLOAD_OPEN_KILLED) continue;
        if (!comes_through(workloads[i].name, HONEST)) fail_msg("%s", workloads[i].name);
    }
}

static void every_lie_is_noticed(void **state)
{
    static const struct {
        const char *workload;
        enum lie lie;
    } cases[] = {
        {"readrandom", CHANGES_A_BYTE},           {"readrandom", CUTS_A_VALUE},
        {"readrandom", GIVES_ANOTHER_VALUE},      {"readrandom", LOSES_A_KEY},
        {"readmissing", FINDS_WHAT_IS_NOT_THERE}, {"overwrite", FORGETS_AN_OVERWRITE},
        {"deleterandom", FORGETS_A_DELETE},       {"fillbatch", FORGETS_HALF_A_BATCH},
        {"fillrandom", SCAN_LEAVES_OUT_A_ROW},    {"readseq", SCAN_LEAVES_OUT_A_ROW},
        {"readreverse", SCAN_LEAVES_OUT_A_ROW},   {"readseq", SCAN_REPEATS_A_ROW},
        {"readreverse", SCAN_REPEATS_A_ROW},      {"readseq", SCAN_ENDS_EARLY},
        {"readreverse", SCAN_ENDS_EARLY},         {"readseq", SCAN_NEVER_ENDS},
        {"readseq", SCAN_CHANGES_A_BYTE},         {"readreverse", SCAN_CHANGES_A_KEY},
        {"seek100", SCAN_CHANGES_A_KEY},          {"seek100", SCAN_LEAVES_OUT_A_ROW},
        {"seek100", SCAN_REPEATS_A_ROW},          {"seek100", SCAN_ENDS_EARLY},
        {"seek100", SCAN_CHANGES_A_BYTE},         {"ycsb-e", SCAN_LEAVES_OUT_A_ROW},
        {"seek10", SCAN_SEEKS_ONE_TOO_FAR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (comes_through(cases[i].workload, cases[i].lie))
            fail_msg("%s believes lie %d", cases[i].workload, (int)cases[i].lie);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_engines_come_through_every_workload),
        cmocka_unit_test(every_lie_is_noticed),
    };
    return cmocka_run_group_tests_name("bench/runner", tests, NULL, NULL);
}
