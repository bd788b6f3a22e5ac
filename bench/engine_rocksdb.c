/* engine_rocksdb.c - RocksDB, by its C interface, as a benchmark engine; see bench/engine.h. */
#include "engines.h"

#ifdef HAVE_ROCKSDB
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

enum { BACKGROUND_JOBS = 2 };

struct rocksdb_handle {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *reading;
    rocksdb_writeoptions_t *writing;
};

struct rocksdb_session {
    struct rocksdb_handle *handle;
    rocksdb_writebatch_t *batch;
    rocksdb_iterator_t *it;
    rocksdb_pinnableslice_t *value;
};

static void must_succeed(const char *what, const char *error)
{
    if (error) bench_die("rocksdb: %s: %s", what, error);
}

/* Its C interface does not say; the Makefile asks the package. */
static void describe_rocksdb(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%s", ROCKSDB_VERSION);
}

static void *open_rocksdb(const char *dir, const struct engine_options *options)
{
    struct rocksdb_handle *handle = bench_alloc(sizeof *handle);
    handle->options = rocksdb_options_create();
    handle->table = rocksdb_block_based_options_create();
    handle->cache = rocksdb_cache_create_lru(options->cache_bytes);
    handle->reading = rocksdb_readoptions_create();
    handle->writing = rocksdb_writeoptions_create();
    rocksdb_block_based_options_set_block_cache(handle->table, handle->cache);
    rocksdb_block_based_options_set_filter_policy(
        handle->table, rocksdb_filterpolicy_create_bloom_full(options->filter_bits_per_key));
    rocksdb_options_set_block_based_table_factory(handle->options, handle->table);
    rocksdb_options_set_create_if_missing(handle->options, 1);
    rocksdb_options_set_write_buffer_size(handle->options, options->write_buffer_bytes);
    rocksdb_options_set_compression(handle->options, rocksdb_lz4_compression);
    rocksdb_options_set_max_background_jobs(handle->options, BACKGROUND_JOBS);
    rocksdb_writeoptions_set_sync(handle->writing, options->sync);
    char *error = NULL;
    handle->db = rocksdb_open(handle->options, dir, &error);
    must_succeed("open", error);
    return handle;
}

static void close_rocksdb(void *db)
{
    struct rocksdb_handle *handle = db;
    rocksdb_close(handle->db);
    rocksdb_options_destroy(handle->options);
    rocksdb_block_based_options_destroy(handle->table);
    rocksdb_cache_destroy(handle->cache);
    rocksdb_readoptions_destroy(handle->reading);
    rocksdb_writeoptions_destroy(handle->writing);
    free(handle);
}

static void *open_rocksdb_session(void *db)
{
    struct rocksdb_session *session = bench_alloc(sizeof *session);
    session->handle = db;
    session->batch = rocksdb_writebatch_create();
    return session;
}

static void forget_value(struct rocksdb_session *session)
{
    if (session->value) rocksdb_pinnableslice_destroy(session->value);
    session->value = NULL;
}

static void close_rocksdb_session(void *state)
{
    struct rocksdb_session *session = state;
    forget_value(session);
    rocksdb_writebatch_destroy(session->batch);
    free(session);
}

static void put_rocksdb(void *state, struct bytes_view key, struct bytes_view value)
{
    const struct rocksdb_session *session = state;
    char *error = NULL;
    rocksdb_put(session->handle->db, session->handle->writing, key.data, key.len, value.data,
                value.len, &error);
    must_succeed("put", error);
}

static void remove_rocksdb(void *state, struct bytes_view key)
{
    const struct rocksdb_session *session = state;
    char *error = NULL;
    rocksdb_delete(session->handle->db, session->handle->writing, key.data, key.len, &error);
    must_succeed("delete", error);
}

static void put_rocksdb_batch(void *state, const struct bytes_view *keys,
                              const struct bytes_view *values, size_t count)
{
    const struct rocksdb_session *session = state;
    char *error = NULL;
    rocksdb_writebatch_clear(session->batch);
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(session->batch, keys[i].data, keys[i].len, values[i].data,
                               values[i].len);
    rocksdb_write(session->handle->db, session->handle->writing, session->batch, &error);
    must_succeed("write", error);
}

/* Pinned: without a copy of the value, where its block is in the cache. */
static bool get_rocksdb(void *state, struct bytes_view key, struct bytes_view *value)
{
    struct rocksdb_session *session = state;
    char *error = NULL;
    forget_value(session);
    session->value = rocksdb_get_pinned(session->handle->db, session->handle->reading, key.data,
                                        key.len, &error);
    must_succeed("get", error);
    if (!session->value) return false;
    value->data = rocksdb_pinnableslice_value(session->value, &value->len);
    return true;
}

static void *open_rocksdb_scan(void *state)
{
    struct rocksdb_session *session = state;
    session->it = rocksdb_create_iterator(session->handle->db, session->handle->reading);
    return session;
}

static bool take_row(const rocksdb_iterator_t *it, struct bytes_view row[2])
{
    if (!rocksdb_iter_valid(it)) {
        char *error = NULL;
        rocksdb_iter_get_error(it, &error);
        must_succeed("move", error);
        return false;
    }
    row[0].data = rocksdb_iter_key(it, &row[0].len);
    row[1].data = rocksdb_iter_value(it, &row[1].len);
    return true;
}

static bool seek_rocksdb(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    const struct rocksdb_session *session = scan;
    rocksdb_iter_seek(session->it, key.data, key.len);
    return take_row(session->it, row);
}

static bool move_rocksdb(void *scan, enum engine_move move, struct bytes_view row[2])
{
    static void (*const moves[])(rocksdb_iterator_t * it) = {
        [MOVE_FIRST] = rocksdb_iter_seek_to_first,
        [MOVE_LAST] = rocksdb_iter_seek_to_last,
        [MOVE_NEXT] = rocksdb_iter_next,
        [MOVE_PREV] = rocksdb_iter_prev,
    };
    const struct rocksdb_session *session = scan;
    moves[move](session->it);
    return take_row(session->it, row);
}

static void close_rocksdb_scan(void *scan)
{
    struct rocksdb_session *session = scan;
    rocksdb_iter_destroy(session->it);
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .settings = "write_buffer_size, LRU block cache, full Bloom filter, LZ4 on all levels, 2 "
                "background jobs, log on, sync off (sync rows: on), pinned gets",
    .version = describe_rocksdb,
    .open = open_rocksdb,
    .close = close_rocksdb,
    .session_open = open_rocksdb_session,
    .session_close = close_rocksdb_session,
    .put = put_rocksdb,
    .remove = remove_rocksdb,
    .put_batch = put_rocksdb_batch,
    .get = get_rocksdb,
    .scan_open = open_rocksdb_scan,
    .scan_seek = seek_rocksdb,
    .scan_move = move_rocksdb,
    .scan_close = close_rocksdb_scan,
};
#endif
