/* engines.c - the Makefile defines WITH_name for each package that is there; see engines.h. */
#include "engines.h"

#ifdef WITH_rocksdb
#define ROCKSDB &engine_rocksdb
#else
#define ROCKSDB NULL
#endif
#ifdef WITH_leveldb
#define LEVELDB &engine_leveldb
#else
#define LEVELDB NULL
#endif
#ifdef WITH_lmdb
#define LMDB &engine_lmdb
#else
#define LMDB NULL
#endif
#ifdef WITH_wiredtiger
#define WIREDTIGER &engine_wiredtiger
#else
#define WIREDTIGER NULL
#endif
#ifdef WITH_sqlite
#define SQLITE &engine_sqlite
#else
#define SQLITE NULL
#endif

const struct engine_choice engine_choices[] = {
    {"loam", &engine_loam},     {"rocksdb", ROCKSDB}, {"leveldb", LEVELDB},   {"lmdb", LMDB},
    {"wiredtiger", WIREDTIGER}, {"sqlite", SQLITE},   {"bare", &engine_bare},
};
const size_t engine_choices_count = sizeof engine_choices / sizeof *engine_choices;
