/*
 * engine_leveldb.c - LevelDB, through its C interface, as a benchmark engine; see engine.h.
 */
#include "engine.h"

#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

struct leveldb_handle {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *reading;
    leveldb_writeoptions_t *writing; /* sync stays off, its default */
    char *value;
};

struct leveldb_scan {
    leveldb_iterator_t *it;
    bool backward, started;
};

static void must_succeed(const char *what, const char *error)
{
    if (error) bench_die("leveldb: %s: %s", what, error);
}

static void describe_leveldb(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%d.%d", leveldb_major_version(), leveldb_minor_version());
}

static void *open_leveldb(const char *dir, const struct engine_budget *budget)
{
    struct leveldb_handle *handle = bench_alloc(sizeof *handle);
    handle->options = leveldb_options_create();
    handle->cache = leveldb_cache_create_lru(budget->cache_bytes);
    handle->filter = leveldb_filterpolicy_create_bloom(budget->filter_bits_per_key);
    handle->reading = leveldb_readoptions_create();
    handle->writing = leveldb_writeoptions_create();
    leveldb_options_set_create_if_missing(handle->options, 1);
    leveldb_options_set_write_buffer_size(handle->options, budget->write_buffer_bytes);
    leveldb_options_set_cache(handle->options, handle->cache);
    leveldb_options_set_filter_policy(handle->options, handle->filter);
    leveldb_options_set_compression(handle->options, leveldb_snappy_compression);
    char *error = NULL;
    handle->db = leveldb_open(handle->options, dir, &error);
    must_succeed("open", error);
    return handle;
}

static void close_leveldb(void *db)
{
    struct leveldb_handle *handle = db;
    leveldb_free(handle->value);
    leveldb_close(handle->db);
    leveldb_options_destroy(handle->options);
    leveldb_cache_destroy(handle->cache);
    leveldb_filterpolicy_destroy(handle->filter);
    leveldb_readoptions_destroy(handle->reading);
    leveldb_writeoptions_destroy(handle->writing);
    free(handle);
}

static void put_leveldb(void *db, struct bytes_view key, struct bytes_view value)
{
    const struct leveldb_handle *handle = db;
    char *error = NULL;
    leveldb_put(handle->db, handle->writing, key.data, key.len, value.data, value.len, &error);
    must_succeed("put", error);
}

static bool get_leveldb(void *db, struct bytes_view key, struct bytes_view *value)
{
    struct leveldb_handle *handle = db;
    char *error = NULL;
    leveldb_free(handle->value);
    handle->value =
        leveldb_get(handle->db, handle->reading, key.data, key.len, &value->len, &error);
    must_succeed("get", error);
    value->data = handle->value;
    return handle->value;
}

static void *open_leveldb_scan(void *db, bool backward)
{
    const struct leveldb_handle *handle = db;
    struct leveldb_scan *scan = bench_alloc(sizeof *scan);
    scan->backward = backward;
    scan->it = leveldb_create_iterator(handle->db, handle->reading);
    return scan;
}

static bool move_leveldb_scan(void *scan_state, struct bytes_view *key, struct bytes_view *value)
{
    struct leveldb_scan *scan = scan_state;
    if (!scan->started && scan->backward)
        leveldb_iter_seek_to_last(scan->it);
    else if (!scan->started)
        leveldb_iter_seek_to_first(scan->it);
    else if (scan->backward)
        leveldb_iter_prev(scan->it);
    else
        leveldb_iter_next(scan->it);
    scan->started = true;
    if (!leveldb_iter_valid(scan->it)) {
        char *error = NULL;
        leveldb_iter_get_error(scan->it, &error);
        must_succeed("move", error);
        return false;
    }
    key->data = leveldb_iter_key(scan->it, &key->len);
    value->data = leveldb_iter_value(scan->it, &value->len);
    return true;
}

static void close_leveldb_scan(void *scan_state)
{
    struct leveldb_scan *scan = scan_state;
    leveldb_iter_destroy(scan->it);
    free(scan);
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .version = describe_leveldb,
    .open = open_leveldb,
    .close = close_leveldb,
    .put = put_leveldb,
    .get = get_leveldb,
    .scan_open = open_leveldb_scan,
    .scan_next = move_leveldb_scan,
    .scan_close = close_leveldb_scan,
};
