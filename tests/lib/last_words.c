/*
 * last_words.c - a test that dies or hangs says from which seed; see last_words.h.
 */
#include "lib/last_words.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/seeds.h"

static const int SIGNALS[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};

enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof SIGNALS[0] };

static char words[200]; /* empty: none */
static struct sigaction before[SIGNAL_COUNT];

/* Whoever listened before, cmocka or a sanitizer, hears the signal after this. */
static void speak(int signal)
{
    static const char hang[] = "# hangs: ", death[] = "# dies: ";
    const char *how = signal == SIGALRM ? hang : death;
    ssize_t said = write(STDOUT_FILENO, how, strlen(how));
    said += write(STDOUT_FILENO, words, strlen(words));
    (void)said;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (SIGNALS[i] == signal) (void)sigaction(signal, &before[i], NULL);
    (void)raise(signal);
}

static void listen_once(void)
{
    struct sigaction action = {.sa_handler = speak};
    (void)sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNAL_COUNT; i++)
        (void)sigaction(SIGNALS[i], &action, &before[i]);
}

void last_words(unsigned seconds, const char *format, ...)
{
    va_list args;
    if (words[0] == '\0') listen_once();
    va_start(args, format);
    const int len = vsnprintf(words, sizeof words - 1, format, args);
    va_end(args);
    if (len > 0) memcpy(words + strlen(words), "\n", 2);
    (void)alarm(seconds * (unsigned)environment_number("SLOWDOWN", 1));
}

void last_words_none(void)
{
    (void)alarm(0);
    for (int i = 0; words[0] != '\0' && i < SIGNAL_COUNT; i++)
        (void)sigaction(SIGNALS[i], &before[i], NULL);
    words[0] = '\0';
}
