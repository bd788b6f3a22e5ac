/*
 * test_limits.c - the library in a process whose limits come and go, and whose system calls are interrupted.
 *
 * The program under limits is in `process`; here the limit is lifted while the database stays open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/fixture.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 1000, PUTS_MAX = 30000, SECONDS_MAX = 30 };

static loam_status put_number(loam_db *db, int number)
{
    static const char value[VALUE_BYTES];
    char key[16];
    snprintf(key, sizeof key, "%08d", number);
    return loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value));
}

/* Writes until a failure or a count; answers how many are there. */
static int put_until(loam_db *db, int from, int to, loam_status *rc)
{
    int i = from;
    for (*rc = LOAM_OK; *rc == LOAM_OK && i < to; i += *rc == LOAM_OK)
        *rc = put_number(db, i);
    return i;
}

/* A background job may have to notice that there is room again; it tries twice a second. */
static int put_when_it_heals(loam_db *db, int from, int to)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    loam_status rc = LOAM_OK;
    for (int tries = 0; from < to && tries < SECONDS_MAX * 20; tries++) {
        from = put_until(db, from, to, &rc);
        if (rc != LOAM_OK && rc != LOAM_FULL && rc != LOAM_NOMEM) break;
        if (rc != LOAM_OK) nanosleep(&pause, NULL);
    }
    expect_ok(rc);
    return from;
}

static void expect_numbers(struct fixture *f, int count)
{
    char key[16];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%08d", i);
        expect_ok(loam_exists(f->db, NULL, loam_str(key)));
    }
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

static void set_soft_limit(int which, rlim_t soft)
{
    struct rlimit limit;
    assert_int_equal(getrlimit((__rlimit_resource_t)which, &limit), 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    assert_int_equal(setrlimit((__rlimit_resource_t)which, &limit), 0);
}

static void expect_to_heal(struct fixture *f, int which, rlim_t soft, uint64_t memory_bytes,
                           loam_status want)
{
    loam_options options = fixture_options();
    loam_status rc;
    options.memory_bytes = memory_bytes;
    fixture_open(f, &options);
    const int before = put_until(f->db, 0, 10, &rc);
    set_soft_limit(which, soft);
    const int first = put_until(f->db, before, PUTS_MAX, &rc);
    char said[600];
    snprintf(said, sizeof said, "%s", loam_errmsg());
    const loam_status read = loam_exists(f->db, NULL, loam_str("00000003"));
    set_soft_limit(which, RLIM_INFINITY);
    if (rc != want) fail_msg("%s: %s", loam_status_name(rc), said);
    if (want == LOAM_FULL && strstr(said, "File too large") == NULL) fail_msg("%s", said);
    /* What a read wants may be in a table already, and the frame for its page may be what there is no room for. */
    if (want != LOAM_NOMEM || read != LOAM_NOMEM) expect_ok(read);

    const int all = put_when_it_heals(f->db, first, first + 3000);
    expect_ok(loam_flush(f->db, NULL));
    expect_numbers(f, all);
    fixture_reopen(f);
    expect_numbers(f, all);
}

static void writes_go_on_when_files_may_be_larger_again(void **state)
{
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    expect_to_heal(*state, RLIMIT_FSIZE, 300 * 1000, 4 << 20, LOAM_FULL);
}

static rlim_t address_space_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL && fscanf(file, "%lu", &pages) != 1) pages = 0;
    if (file != NULL) fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void writes_go_on_when_there_is_address_space_again(void **state)
{
    const char *slowdown = getenv("SLOWDOWN");
    /* A sanitizer wants all of the address space for itself. */
    if (address_space_bytes() == 0 || (slowdown != NULL && atoi(slowdown) > 4)) skip();
    /* A memtable grows to 16 MiB: smaller ones find what they need in what others have freed, and every fourth time nothing fails. */
    expect_to_heal(*state, RLIMIT_AS, address_space_bytes() + (6 << 20), 64 << 20, LOAM_NOMEM);
}

static void ignore_signal(int number)
{
    (void)number;
}

static void interrupt_every(suseconds_t microseconds)
{
    const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ignore_signal; /* without SA_RESTART: calls answer EINTR */
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void interrupted_system_calls_are_not_seen(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    options.durability = LOAM_DURABLE_COMMIT;
    int count = 0;
    loam_status rc;
    interrupt_every(300);
    for (int round = 0; round < 4; round++) {
        fixture_open(f, &options);
        count = put_until(f->db, count, count + 400, &rc);
        expect_ok(rc);
        assert_true(loam_create(f->db, round % 2 == 0 ? "even" : "odd", NULL, NULL) >= 0);
        expect_ok(loam_flush(f->db, NULL));
        expect_ok(loam_compact(f->db, NULL, NULL));
        expect_numbers(f, count);
        fixture_close(f);
        expect_ok(loam_verify(f->store, NULL, NULL));
    }
    interrupt_every(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(writes_go_on_when_files_may_be_larger_again),
        test_closed(writes_go_on_when_there_is_address_space_again),
        test_closed(interrupted_system_calls_are_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
