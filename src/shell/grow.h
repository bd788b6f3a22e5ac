/*
 * grow.h - a byte string that grows.
 *
 * Role: what the shell collects, from lines to decoded values.
 * Invariants: all-zero is empty; when memory runs out the program says so and
 *   ends: the store is made for that, and no command could go on.
 * In the picture: shell layer; includes nothing of ours but the public types.
 */
#ifndef LOAM_SHELL_GROW_H
#define LOAM_SHELL_GROW_H

#include <stddef.h>

#include <loam.h>

struct grow {
    char *data;
    size_t len, cap;
};

/* Room for more bytes after len; returns where they go. */
char *grow_reserve(struct grow *grow, size_t more);
void grow_add(struct grow *grow, const void *bytes, size_t len);
void grow_add_byte(struct grow *grow, char byte);
void grow_add_text(struct grow *grow, const char *text);
void grow_free(struct grow *grow);
loam_slice grow_slice(const struct grow *grow);

/* As realloc(3) for arrays, and copies; they do not return NULL. */
void *grow_array(void *array, size_t count, size_t size);
char *grow_copy_text(const char *text);
char *grow_join_path(const char *dir, const char *name); /* the caller frees it */

_Noreturn void out_of_memory(void);

#endif
