/*
 * engine.h - what the benchmark asks of a storage engine.
 *
 * Role: one table of functions per engine; the workloads know nothing else, so
 *   adding an engine is one file engine_NAME.c and one line in bench_main.c.
 * Invariants: (1) An adapter never returns after an error: it calls bench_die().
 *   (2) Slices that scan_next hands out stay valid until the next move.
 *   (3) A put that returned survives kill -9; no sync per put is asked for.
 * In the picture: the benchmark's own folder; adapters see their engine's public
 *   header, as any user of it does.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes_view {
    const char *data;
    size_t len;
};

/* The same for every engine; each adapter maps it to the nearest options of its own. */
struct engine_budget {
    uint64_t write_buffer_bytes;
    uint64_t cache_bytes;
    int filter_bits_per_key;
};

struct engine {
    const char *name;
    void (*version)(char *text, size_t text_bytes);
    void *(*open)(const char *dir, const struct engine_budget *budget); /* creates it too */
    void (*close)(void *db);
    void (*put)(void *db, struct bytes_view key, struct bytes_view value);
    bool (*get)(void *db, struct bytes_view key, struct bytes_view *value); /* until the next */
    void *(*scan_open)(void *db, bool backward); /* stands before the first, or behind the last */
    bool (*scan_next)(void *scan, struct bytes_view *key, struct bytes_view *value);
    void (*scan_close)(void *scan);
};

extern const struct engine engine_loam;
extern const struct engine engine_leveldb;

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *bench_alloc(size_t bytes); /* zeroed; dies when there is none */

#endif
