/*
 * engine_loam.c - loam as a benchmark engine; see engine.h.
 */
#include "engine.h"

#include <loam.h>
#include <stdio.h>
#include <stdlib.h>

struct loam_handle {
    loam_db *db;
    loam_buf value;
};

struct loam_scan {
    loam_iter *it;
    loam_status (*move)(loam_iter *it);
};

static loam_status must(const char *what, loam_status rc)
{
    if (rc < 0) bench_die("loam: %s: %s", what, loam_errmsg());
    return rc;
}

static void describe_loam(char *text, size_t text_bytes)
{
    const uint32_t number = loam_version_number();
    snprintf(text, text_bytes, "%u.%u.%u", number / 1000000, number / 1000 % 1000, number % 1000);
}

static void *open_loam(const char *dir, const struct engine_budget *budget)
{
    struct loam_handle *handle = bench_alloc(sizeof *handle);
    loam_options opts = loam_options_default();
    opts.memory_bytes = budget->write_buffer_bytes + budget->cache_bytes;
    opts.memtable_bytes = budget->write_buffer_bytes;
    opts.filter_bits_per_key = (uint32_t)budget->filter_bits_per_key;
    opts.durability = LOAM_DURABLE_PROCESS;
    must("open", loam_open(dir, &opts, &handle->db));
    return handle;
}

static void close_loam(void *db)
{
    struct loam_handle *handle = db;
    loam_buf_free(&handle->value);
    must("close", loam_close(handle->db));
    free(handle);
}

static void put_loam(void *db, struct bytes_view key, struct bytes_view value)
{
    struct loam_handle *handle = db;
    must("put", loam_put(handle->db, NULL, loam_bytes(key.data, key.len),
                         loam_bytes(value.data, value.len)));
}

static bool get_loam(void *db, struct bytes_view key, struct bytes_view *value)
{
    struct loam_handle *handle = db;
    const loam_slice wanted = loam_bytes(key.data, key.len);
    if (must("get", loam_get(handle->db, NULL, wanted, &handle->value)) != LOAM_OK) return false;
    *value = (struct bytes_view){handle->value.data, handle->value.len};
    return true;
}

static void *open_loam_scan(void *db, bool backward)
{
    struct loam_handle *handle = db;
    struct loam_scan *scan = bench_alloc(sizeof *scan);
    scan->move = backward ? loam_iter_prev : loam_iter_next;
    must("iterator", loam_iter_open(handle->db, NULL, NULL, &scan->it));
    return scan;
}

static bool move_loam_scan(void *scan_state, struct bytes_view *key, struct bytes_view *value)
{
    struct loam_scan *scan = scan_state;
    if (must("move", scan->move(scan->it)) != LOAM_OK) return false;
    const loam_slice k = loam_iter_key(scan->it);
    const loam_slice v = loam_iter_value(scan->it);
    *key = (struct bytes_view){k.data, k.len};
    *value = (struct bytes_view){v.data, v.len};
    return true;
}

static void close_loam_scan(void *scan_state)
{
    struct loam_scan *scan = scan_state;
    loam_iter_close(scan->it);
    free(scan);
}

const struct engine engine_loam = {
    .name = "loam",
    .version = describe_loam,
    .open = open_loam,
    .close = close_loam,
    .put = put_loam,
    .get = get_loam,
    .scan_open = open_loam_scan,
    .scan_next = move_loam_scan,
    .scan_close = close_loam_scan,
};
