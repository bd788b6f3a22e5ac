/*
 * engine.h - what the benchmark asks of a storage engine.
 *
 * Role: one table of functions per engine; the workloads know nothing else, so
 *   adding an engine is one file bench/engine_NAME.c and one line in bench/engines.c.
 * Invariants: (1) An adapter never returns after an error: it calls bench_die().
 *   (2) A db is shared by threads, a session belongs to one. (3) What get and the
 *   moves of a scan hand out stays valid until the next call on that session.
 *   (4) A write that returned survives kill -9; with options.sync, a loss of power.
 * In the picture: bench layer; an adapter sees its engine's public header, as any
 *   user of it does.
 */
#ifndef LOAM_BENCH_ENGINE_H
#define LOAM_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes_view {
    const char *data;
    size_t len;
};

/* The same for every engine; each adapter maps it to the nearest options of its own. */
struct engine_options {
    uint64_t write_buffer_bytes;
    uint64_t cache_bytes;
    uint64_t data_bytes; /* about what will be stored, for engines that must know their size */
    uint32_t filter_bits_per_key; /* where an engine has to be told; loam keeps its default */
    bool sync;
};

enum engine_move { MOVE_FIRST, MOVE_LAST, MOVE_NEXT, MOVE_PREV };

struct engine {
    const char *name;
    const char *settings; /* what the adapter sets, and what the engine has not */
    bool is_device;       /* no store, but what the machine can do: takes writes only */
    void (*version)(char *text, size_t text_bytes);

    void *(*open)(const char *dir, const struct engine_options *options); /* creates it too */
    void (*close)(void *db);
    void *(*session_open)(void *db);
    void (*session_close)(void *session);

    void (*put)(void *session, struct bytes_view key, struct bytes_view value);
    void (*remove)(void *session, struct bytes_view key);
    /* One commit: all or nothing. */
    void (*put_batch)(void *session, const struct bytes_view *keys, const struct bytes_view *values,
                      size_t count);
    bool (*get)(void *session, struct bytes_view key, struct bytes_view *value);

    void *(*scan_open)(void *session); /* sees what is committed now; one at a time in a session */
    bool (*scan_seek)(void *scan, struct bytes_view key, struct bytes_view row[2]); /* >= key */
    bool (*scan_move)(void *scan, enum engine_move move, struct bytes_view row[2]);
    void (*scan_close)(void *scan);
};

extern const struct engine engine_loam;

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *bench_alloc(size_t bytes); /* zeroed; dies when there is none */

#endif
