/*
 * engines.h - the engines that this program was built with.
 *
 * Role: the list of adapters; a package that is not installed is left out, with a word.
 * Invariants: loam stands first, and what is no store last.
 * In the picture: the benchmark's own folder; on bench/engine.h, used by bench_main.
 */
#ifndef BENCH_ENGINES_H
#define BENCH_ENGINES_H

#include "bench/engine.h"

#if __has_include(<rocksdb/c.h>)
#define HAVE_ROCKSDB
#endif
#if __has_include(<leveldb/c.h>)
#define HAVE_LEVELDB
#endif
#if __has_include(<lmdb.h>)
#define HAVE_LMDB
#endif
#if __has_include(<wiredtiger.h>)
#define HAVE_WIREDTIGER
#endif
#if __has_include(<sqlite3.h>)
#define HAVE_SQLITE
#endif

extern const struct engine engine_rocksdb, engine_leveldb, engine_lmdb, engine_wiredtiger,
    engine_sqlite, engine_bare;

struct engine_choice {
    const char *name;
    const struct engine *engine; /* NULL: it was not there when this program was built */
};

extern const struct engine_choice engine_choices[];
extern const size_t engine_choices_count;

#endif
