/* signals.c - see signals.h. */
#include "shell/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "shell/exit_code.h"

static volatile sig_atomic_t interrupted, terminated, resized, resumed;

static void note_signal(int number)
{
    if (number == SIGINT) interrupted = 1;
    if (number == SIGTERM || number == SIGHUP) terminated = 1;
    if (number == SIGWINCH) resized = 1;
    if (number == SIGCONT) resumed = 1;
}

static void handle_signal(int number, int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = flags;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

void signals_init(bool interactive)
{
    struct sigaction ignored;
    memset(&ignored, 0, sizeof ignored);
    ignored.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &ignored, NULL);
    (void)sigaction(SIGXFSZ, &ignored, NULL); /* a file at its limit is a failure with a name */
    handle_signal(SIGINT, interactive ? 0 : (int)SA_RESETHAND);
    handle_signal(SIGTERM, (int)SA_RESETHAND); /* asked twice, it ends at once */
    handle_signal(SIGHUP, 0);
    if (!interactive) return;
    handle_signal(SIGWINCH, 0);
    handle_signal(SIGCONT, 0);
}

int signals_stop(void)
{
    if (terminated) return CODE_TERMINATED;
    return interrupted ? CODE_INTERRUPTED : 0;
}

void signals_forget_interrupt(void)
{
    interrupted = 0;
}

bool signals_take_resize(void)
{
    const bool taken = resized != 0;
    resized = 0;
    return taken;
}

bool signals_take_resume(void)
{
    const bool taken = resumed != 0;
    resumed = 0;
    return taken;
}
