/*
 * test_lib_last_words.c - a test that dies or hangs says from which seed, and dies all the same.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/last_words.h"

static void die(void)
{
    abort();
}

static void hang(void)
{
    for (;;)
        (void)pause();
}

/* What a child says that does this, and the signal it ends by. */
static int listen_to(void (*act)(void), char said[static 100])
{
    int ends[2], status = 0;
    size_t len = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)dup2(ends[1], STDOUT_FILENO);
        for (size_t i = 0; i < 2; i++)
            (void)close(ends[i]);
        (void)signal(SIGABRT, SIG_DFL); /* sanitizers may listen */
        last_words(1, "SEED=%d", 4711);
        act();
        _exit(0);
    }
    (void)close(ends[1]);
    for (ssize_t got; len < 99 && (got = read(ends[0], said + len, 99 - len)) > 0;)
        len += (size_t)got;
    said[len] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void who_aborts_says_the_seed(void **state)
{
    char said[100];
    (void)state;
    assert_int_equal(listen_to(die, said), SIGABRT);
    assert_string_equal(said, "# dies: SEED=4711\n");
}

static void who_hangs_says_the_seed(void **state)
{
    char said[100];
    (void)state;
    setenv("SLOWDOWN", "1", 1);
    assert_int_equal(listen_to(hang, said), SIGALRM);
    assert_string_equal(said, "# hangs: SEED=4711\n");
}

static void who_ends_well_says_nothing(void **state)
{
    char said[100];
    (void)state;
    assert_int_equal(listen_to(last_words_none, said), 0);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_aborts_says_the_seed),
        cmocka_unit_test(who_hangs_says_the_seed),
        cmocka_unit_test(who_ends_well_says_nothing),
    };
    return cmocka_run_group_tests_name("last words", tests, NULL, NULL);
}
