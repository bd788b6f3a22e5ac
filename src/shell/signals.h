/*
 * signals.h - what the user and the system ask of a running command.
 *
 * Role: handlers set flags and nothing else; loops and system calls that were
 *   woken up ask signals_stop() and leave in order.
 * Invariants: (1) system calls are not restarted, so a wait always ends. (2) In
 *   scripts a second Ctrl-C ends the program at once: the store recovers.
 * In the picture: shell layer; includes nothing of ours but the exit codes.
 */
#ifndef LOAM_SHELL_SIGNALS_H
#define LOAM_SHELL_SIGNALS_H

#include <stdbool.h>

void signals_init(bool interactive);

/* 0, CODE_INTERRUPTED or CODE_TERMINATED. The first stays until it is forgotten, the second for
   good. */
int signals_stop(void);
void signals_forget_interrupt(void);

/* True once after the terminal changed its size or we came back from the background. */
bool signals_take_resize(void);
bool signals_take_resume(void);

#endif
