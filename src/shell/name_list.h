/*
 * name_list.h - the names of collections, taken down while the library lists them.
 *
 * Role: lets commands ask about each collection after the listing has ended.
 * In the picture: shell layer; collections, export and completion use it.
 */
#ifndef LOAM_SHELL_NAME_LIST_H
#define LOAM_SHELL_NAME_LIST_H

#include <stddef.h>

struct name_list {
    char **name;
    size_t count;
};

/* Fits loam_collections(): ctx is the struct name_list. */
void name_list_add(void *ctx, const char *name);
void name_list_free(struct name_list *list);

#endif
