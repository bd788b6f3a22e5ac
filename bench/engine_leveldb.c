/* engine_leveldb.c - LevelDB, by its C interface, as a benchmark engine; see bench/engine.h. */
#include "engines.h"

#ifdef HAVE_LEVELDB
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

struct leveldb_handle {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *reading;
    leveldb_writeoptions_t *writing;
};

struct leveldb_session {
    struct leveldb_handle *handle;
    leveldb_writebatch_t *batch;
    leveldb_iterator_t *it;
    char *value;
};

static void must_succeed(const char *what, const char *error)
{
    if (error) bench_die("leveldb: %s: %s", what, error);
}

static void describe_leveldb(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%d.%d", leveldb_major_version(), leveldb_minor_version());
}

static void *open_leveldb(const char *dir, const struct engine_options *options)
{
    struct leveldb_handle *handle = bench_alloc(sizeof *handle);
    handle->options = leveldb_options_create();
    handle->cache = leveldb_cache_create_lru(options->cache_bytes);
    handle->filter = leveldb_filterpolicy_create_bloom((int)options->filter_bits_per_key);
    handle->reading = leveldb_readoptions_create();
    handle->writing = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(handle->options, 1);
    leveldb_options_set_write_buffer_size(handle->options, options->write_buffer_bytes);
    leveldb_options_set_cache(handle->options, handle->cache);
    leveldb_options_set_filter_policy(handle->options, handle->filter);
    leveldb_options_set_compression(handle->options, leveldb_snappy_compression);
    leveldb_writeoptions_set_sync(handle->writing, options->sync);
    char *error = NULL;
    handle->db = leveldb_open(handle->options, dir, &error);
    must_succeed("open", error);
    return handle;
}

static void close_leveldb(void *db)
{
    struct leveldb_handle *handle = db;
    leveldb_close(handle->db);
    leveldb_options_destroy(handle->options);
    leveldb_cache_destroy(handle->cache);
    leveldb_filterpolicy_destroy(handle->filter);
    leveldb_readoptions_destroy(handle->reading);
    leveldb_writeoptions_destroy(handle->writing);
    free(handle);
}

static void *open_leveldb_session(void *db)
{
    struct leveldb_session *session = bench_alloc(sizeof *session);
    session->handle = db;
    session->batch = leveldb_writebatch_create();
    return session;
}

static void close_leveldb_session(void *state)
{
    struct leveldb_session *session = state;
    leveldb_writebatch_destroy(session->batch);
    leveldb_free(session->value);
    free(session);
}

static void put_leveldb(void *state, struct bytes_view key, struct bytes_view value)
{
    const struct leveldb_session *session = state;
    char *error = NULL;
    leveldb_put(session->handle->db, session->handle->writing, key.data, key.len, value.data,
                value.len, &error);
    must_succeed("put", error);
}

static void remove_leveldb(void *state, struct bytes_view key)
{
    const struct leveldb_session *session = state;
    char *error = NULL;
    leveldb_delete(session->handle->db, session->handle->writing, key.data, key.len, &error);
    must_succeed("delete", error);
}

static void put_leveldb_batch(void *state, const struct bytes_view *keys,
                              const struct bytes_view *values, size_t count)
{
    const struct leveldb_session *session = state;
    char *error = NULL;
    leveldb_writebatch_clear(session->batch);
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(session->batch, keys[i].data, keys[i].len, values[i].data,
                               values[i].len);
    leveldb_write(session->handle->db, session->handle->writing, session->batch, &error);
    must_succeed("write", error);
}

static bool get_leveldb(void *state, struct bytes_view key, struct bytes_view *value)
{
    struct leveldb_session *session = state;
    char *error = NULL;
    leveldb_free(session->value);
    session->value = leveldb_get(session->handle->db, session->handle->reading, key.data, key.len,
                                 &value->len, &error);
    must_succeed("get", error);
    value->data = session->value;
    return session->value;
}

static void *open_leveldb_scan(void *state)
{
    struct leveldb_session *session = state;
    session->it = leveldb_create_iterator(session->handle->db, session->handle->reading);
    return session;
}

static bool take_row(const leveldb_iterator_t *it, struct bytes_view row[2])
{
    if (!leveldb_iter_valid(it)) {
        char *error = NULL;
        leveldb_iter_get_error(it, &error);
        must_succeed("move", error);
        return false;
    }
    row[0].data = leveldb_iter_key(it, &row[0].len);
    row[1].data = leveldb_iter_value(it, &row[1].len);
    return true;
}

static bool seek_leveldb(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    const struct leveldb_session *session = scan;
    leveldb_iter_seek(session->it, key.data, key.len);
    return take_row(session->it, row);
}

static bool move_leveldb(void *scan, enum engine_move move, struct bytes_view row[2])
{
    static void (*const moves[])(leveldb_iterator_t * it) = {
        [MOVE_FIRST] = leveldb_iter_seek_to_first,
        [MOVE_LAST] = leveldb_iter_seek_to_last,
        [MOVE_NEXT] = leveldb_iter_next,
        [MOVE_PREV] = leveldb_iter_prev,
    };
    const struct leveldb_session *session = scan;
    moves[move](session->it);
    return take_row(session->it, row);
}

static void close_leveldb_scan(void *scan)
{
    struct leveldb_session *session = scan;
    leveldb_iter_destroy(session->it);
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .settings = "write_buffer_size, LRU block cache, Bloom filter, Snappy (it has no LZ4), log on, "
                "sync off (sync rows: on)",
    .version = describe_leveldb,
    .open = open_leveldb,
    .close = close_leveldb,
    .session_open = open_leveldb_session,
    .session_close = close_leveldb_session,
    .put = put_leveldb,
    .remove = remove_leveldb,
    .put_batch = put_leveldb_batch,
    .get = get_leveldb,
    .scan_open = open_leveldb_scan,
    .scan_seek = seek_leveldb,
    .scan_move = move_leveldb,
    .scan_close = close_leveldb_scan,
};
#endif
