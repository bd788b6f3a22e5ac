/*
 * message.h - what the program says on standard error.
 *
 * Role: one sentence per message that names the cause, then what to do; in a
 *   script with the number of the line.
 * Invariants: bytes of the user appear in messages only escaped.
 * In the picture: shell layer; every command speaks through it.
 */
#ifndef LOAM_SHELL_MESSAGE_H
#define LOAM_SHELL_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <loam.h>

enum { SHOWN_BYTES = 120 };

/* An escaped and, if need be, shortened copy for a message. */
struct shown {
    char text[SHOWN_BYTES];
};
struct shown shown_bytes(loam_slice bytes);
struct shown shown_text(const char *text);

/* A sentence of the library, in which only names of files can be odd: escaped if one is. */
struct sentence {
    char text[1024];
};
struct sentence shown_sentence(const char *text);

/* The line of the script that the messages are about; 0 = none. */
void message_set_line(uint64_t line);
/* An interactive shell need not be told who speaks. */
void message_set_interactive(bool interactive);

void complain(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* Says what the library said, adds what can be done, and returns the exit status. rc is no
   success. */
int complain_status(loam_status rc);
/* The same of opening a store, which may not be there yet. */
int complain_open(const char *dir, loam_status rc, bool reads);
/* The parts of these: the exit status, what can be done (NULL: nobody knows), and whether there is no such store. */
int code_for_status(loam_status rc);
const char *advice_for_status(loam_status rc);
bool is_missing_store(const char *dir, loam_status rc);

/* The same for an errno of a file that we opened ourselves. */
int complain_file(const char *path, int error);

#endif
