/* name_list.c - see name_list.h. */
#include "shell/name_list.h"

#include <stdlib.h>

#include "shell/grow.h"

void name_list_add(void *ctx, const char *name)
{
    struct name_list *list = ctx;
    list->name = grow_array(list->name, list->count + 1, sizeof *list->name);
    list->name[list->count++] = grow_copy_text(name);
}

void name_list_free(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->name[i]);
    free(list->name);
    *list = (struct name_list){0};
}
