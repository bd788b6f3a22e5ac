/* engine.c - what adapters and workloads do when nothing can be done; see engine.h. */
#include "bench/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Without atexit handlers: this may be a fork of a program that has some. */
void bench_die(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "bench: %s\n", text);
    _exit(1);
}

void *bench_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    if (memory == NULL) bench_die("out of memory");
    return memory;
}
