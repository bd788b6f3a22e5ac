/*
 * screen.h - what the terminal can show, if it is one.
 *
 * Role: width, colour, and how much text fits into how many columns.
 * In the picture: shell layer; on libc's locale.
 */
#ifndef LOAM_SHELL_SCREEN_H
#define LOAM_SHELL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include <loam.h>

/* Columns of the terminal at fd; 80 when nobody knows. */
size_t screen_columns(int fd);

/* fd is a terminal that takes escape sequences. */
bool screen_is_capable(int fd);
/* The same, and the user has not set NO_COLOR. */
bool screen_takes_colour(int fd);

/* How many leading bytes of text fit into columns; *used is how many columns they take. */
size_t screen_fit(loam_slice text, size_t columns, size_t *used);

#endif
