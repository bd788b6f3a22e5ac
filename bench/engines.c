/* engines.c - see engines.h. */
#include "engines.h"

#ifdef HAVE_ROCKSDB
#define ROCKSDB &engine_rocksdb
#else
#define ROCKSDB NULL
#endif
#ifdef HAVE_LEVELDB
#define LEVELDB &engine_leveldb
#else
#define LEVELDB NULL
#endif
#ifdef HAVE_LMDB
#define LMDB &engine_lmdb
#else
#define LMDB NULL
#endif
#ifdef HAVE_WIREDTIGER
#define WIREDTIGER &engine_wiredtiger
#else
#define WIREDTIGER NULL
#endif
#ifdef HAVE_SQLITE
#define SQLITE &engine_sqlite
#else
#define SQLITE NULL
#endif

const struct engine_choice engine_choices[] = {
    {"loam", &engine_loam},     {"rocksdb", ROCKSDB}, {"leveldb", LEVELDB},   {"lmdb", LMDB},
    {"wiredtiger", WIREDTIGER}, {"sqlite", SQLITE},   {"bare", &engine_bare},
};
const size_t engine_choices_count = sizeof engine_choices / sizeof *engine_choices;
