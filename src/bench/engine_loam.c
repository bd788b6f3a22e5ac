/* engine_loam.c - loam as a benchmark engine; see engine.h. */
#include <stdio.h>
#include <stdlib.h>

#include <loam.h>

#include "bench/engine.h"

struct loam_session {
    loam_db *db;
    loam_buf value;
    loam_batch *batch;
    loam_iter *it;
};

static loam_status must(const char *what, loam_status rc)
{
    if (rc < 0) bench_die("loam: %s: %s", what, loam_errmsg());
    return rc;
}

static loam_slice slice_of(struct bytes_view bytes)
{
    return loam_bytes(bytes.data, bytes.len);
}

static void describe_loam(char *text, size_t text_bytes)
{
    const uint32_t number = loam_version_number();
    (void)snprintf(text, text_bytes, "%u.%u.%u", number / 1000000, number / 1000 % 1000,
                   number % 1000);
}

/* memory_bytes is all that loam takes: what the others get for cache and write buffer. */
static void *open_loam(const char *dir, const struct engine_options *options)
{
    loam_db *db = NULL;
    loam_options opts = loam_options_default();
    opts.memory_bytes = options->write_buffer_bytes + options->cache_bytes;
    opts.memtable_bytes = options->write_buffer_bytes;
    opts.durability = options->sync ? LOAM_DURABLE_COMMIT : LOAM_DURABLE_PROCESS;
    must("open", loam_open(dir, &opts, &db));
    return db;
}

static void close_loam(void *db)
{
    must("close", loam_close(db));
}

static void *open_loam_session(void *db)
{
    struct loam_session *session = bench_alloc(sizeof *session);
    session->db = db;
    session->batch = loam_batch_new();
    if (session->batch == NULL) bench_die("loam: out of memory");
    return session;
}

static void close_loam_session(void *state)
{
    struct loam_session *session = state;
    loam_batch_free(session->batch);
    loam_buf_free(&session->value);
    free(session);
}

static void put_loam(void *state, struct bytes_view key, struct bytes_view value)
{
    const struct loam_session *session = state;
    must("put", loam_put(session->db, NULL, slice_of(key), slice_of(value)));
}

static void remove_loam(void *state, struct bytes_view key)
{
    const struct loam_session *session = state;
    must("delete", loam_delete(session->db, NULL, slice_of(key)));
}

static void put_loam_batch(void *state, const struct bytes_view *keys,
                           const struct bytes_view *values, size_t count)
{
    const struct loam_session *session = state;
    loam_batch_clear(session->batch);
    for (size_t i = 0; i < count; i++)
        must("batch", loam_batch_put(session->batch, NULL, slice_of(keys[i]), slice_of(values[i])));
    must("write", loam_write(session->db, session->batch, LOAM_DURABLE_DEFAULT));
}

static bool get_loam(void *state, struct bytes_view key, struct bytes_view *value)
{
    struct loam_session *session = state;
    if (must("get", loam_get(session->db, NULL, slice_of(key), &session->value)) != LOAM_OK)
        return false;
    *value = (struct bytes_view){session->value.data, session->value.len};
    return true;
}

static void *open_loam_scan(void *state)
{
    struct loam_session *session = state;
    must("iterator", loam_iter_open(session->db, NULL, NULL, &session->it));
    return session;
}

static bool take_row(const loam_iter *it, loam_status rc, struct bytes_view row[2])
{
    if (must("move", rc) != LOAM_OK) return false;
    const loam_slice key = loam_iter_key(it), value = loam_iter_value(it);
    row[0] = (struct bytes_view){key.data, key.len};
    row[1] = (struct bytes_view){value.data, value.len};
    return true;
}

static bool seek_loam(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    const struct loam_session *session = scan;
    return take_row(session->it, loam_iter_seek(session->it, slice_of(key)), row);
}

static bool move_loam(void *scan, enum engine_move move, struct bytes_view row[2])
{
    static loam_status (*const moves[])(loam_iter * it) = {
        [MOVE_FIRST] = loam_iter_first,
        [MOVE_LAST] = loam_iter_last,
        [MOVE_NEXT] = loam_iter_next,
        [MOVE_PREV] = loam_iter_prev,
    };
    const struct loam_session *session = scan;
    return take_row(session->it, moves[move](session->it), row);
}

static void close_loam_scan(void *scan)
{
    struct loam_session *session = scan;
    loam_iter_close(session->it);
    session->it = NULL;
}

const struct engine engine_loam = {
    .name = "loam",
    .settings = "memory_bytes = cache + write buffer, memtable_bytes = write buffer, "
                "LOAM_DURABLE_PROCESS (sync rows: LOAM_DURABLE_COMMIT), LZ4, filters by default",
    .version = describe_loam,
    .open = open_loam,
    .close = close_loam,
    .session_open = open_loam_session,
    .session_close = close_loam_session,
    .put = put_loam,
    .remove = remove_loam,
    .put_batch = put_loam_batch,
    .get = get_loam,
    .scan_open = open_loam_scan,
    .scan_seek = seek_loam,
    .scan_move = move_loam,
    .scan_close = close_loam_scan,
};
