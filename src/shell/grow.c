/* grow.c - see grow.h. */
#include "shell/grow.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "shell/exit_code.h"

void out_of_memory(void)
{
    (void)fputs("loam: out of memory; give it more or use smaller values\n", stderr);
    exit(CODE_FAILED);
}

char *grow_reserve(struct grow *grow, size_t more)
{
    if (more > SIZE_MAX / 2 - grow->len) out_of_memory();
    const size_t wanted = grow->len + more;
    if (wanted > grow->cap || grow->data == NULL) {
        size_t cap = grow->cap < 64 ? 64 : grow->cap * 2;
        if (cap < wanted) cap = wanted;
        char *data = realloc(grow->data, cap);
        if (data == NULL) out_of_memory();
        grow->data = data;
        grow->cap = cap;
    }
    return grow->data + grow->len;
}

void grow_add(struct grow *grow, const void *bytes, size_t len)
{
    if (len == 0) return;
    memcpy(grow_reserve(grow, len), bytes, len);
    grow->len += len;
}

void grow_add_byte(struct grow *grow, char byte)
{
    *grow_reserve(grow, 1) = byte;
    grow->len++;
}

void grow_add_text(struct grow *grow, const char *text)
{
    grow_add(grow, text, strlen(text));
}

void grow_free(struct grow *grow)
{
    free(grow->data);
    *grow = (struct grow){0};
}

loam_slice grow_slice(const struct grow *grow)
{
    return loam_bytes(grow->data, grow->len);
}

void *grow_array(void *array, size_t count, size_t size)
{
    void *larger = reallocarray(array, count, size);
    if (larger == NULL) out_of_memory();
    return larger;
}

char *grow_copy_text(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) out_of_memory();
    return copy;
}

char *grow_join_path(const char *dir, const char *name)
{
    struct grow path = {0};
    grow_add_text(&path, dir);
    grow_add_byte(&path, '/');
    grow_add(&path, name, strlen(name) + 1);
    return path.data;
}
