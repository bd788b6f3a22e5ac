/*
 * exit_code.h - the exit statuses of the program, which commands return as well.
 *
 * Role: one meaning per number; CODE_PIPE never leaves the program, it is the
 *   quiet end after the reader of our output has gone.
 * In the picture: shell layer; everybody includes it.
 */
#ifndef LOAM_SHELL_EXIT_CODE_H
#define LOAM_SHELL_EXIT_CODE_H

enum exit_code {
    CODE_PIPE = -1,
    CODE_DONE = 0,
    CODE_ABSENT = 1,
    CODE_FAILED = 2,
    CODE_CORRUPT = 3,
    CODE_LOCKED = 4,
    CODE_EXISTS = 5,
    CODE_USAGE = 64,
    CODE_DATA = 65,
    CODE_FULL = 74,
    CODE_INTERRUPTED = 130,
    CODE_TERMINATED = 143
};

#endif
