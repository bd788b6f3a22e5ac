/* engine_lmdb.c - LMDB as a benchmark engine; see bench/engine.h. */
#include "engines.h"

#ifdef HAVE_LMDB
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { READERS_MAX = 512 };

struct lmdb_handle {
    MDB_env *env;
    MDB_dbi dbi;
};

struct lmdb_session {
    struct lmdb_handle *handle;
    MDB_txn *reading; /* kept and renewed, as its manual advises */
    MDB_cursor *cursor;
    bool in_read;
};

static int must(const char *what, int rc)
{
    if (rc != 0 && rc != MDB_NOTFOUND) bench_die("lmdb: %s: %s", what, mdb_strerror(rc));
    return rc;
}

static void describe_lmdb(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}

/* Without sync, what a commit wrote is in the page cache through the mapping: a kill leaves it. */
static void *open_lmdb(const char *dir, const struct engine_options *options)
{
    struct lmdb_handle *handle = bench_alloc(sizeof *handle);
    const unsigned flags =
        MDB_NOTLS | MDB_NORDAHEAD | MDB_WRITEMAP | (options->sync ? 0 : MDB_NOSYNC);
    const size_t room = (size_t)1 << 30; /* it does not grow by itself; what is unused is a hole */
    MDB_txn *txn = NULL;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) bench_die("lmdb: %s: no directory", dir);
    must("create", mdb_env_create(&handle->env));
    must("mapsize", mdb_env_set_mapsize(handle->env, (size_t)options->data_bytes * 4 + room));
    must("maxreaders", mdb_env_set_maxreaders(handle->env, READERS_MAX));
    must("open", mdb_env_open(handle->env, dir, flags, 0666));
    must("begin", mdb_txn_begin(handle->env, NULL, 0, &txn));
    must("dbi", mdb_dbi_open(txn, NULL, 0, &handle->dbi));
    must("commit", mdb_txn_commit(txn));
    return handle;
}

static void close_lmdb(void *db)
{
    struct lmdb_handle *handle = db;
    mdb_env_close(handle->env);
    free(handle);
}

static void *open_lmdb_session(void *db)
{
    struct lmdb_session *session = bench_alloc(sizeof *session);
    session->handle = db;
    must("begin", mdb_txn_begin(session->handle->env, NULL, MDB_RDONLY, &session->reading));
    must("cursor", mdb_cursor_open(session->reading, session->handle->dbi, &session->cursor));
    mdb_txn_reset(session->reading);
    return session;
}

static void close_lmdb_session(void *state)
{
    struct lmdb_session *session = state;
    mdb_cursor_close(session->cursor);
    mdb_txn_abort(session->reading);
    free(session);
}

/* A value is in the map for as long as the transaction is: until the session's next call. */
static void end_read(struct lmdb_session *session)
{
    if (session->in_read) mdb_txn_reset(session->reading);
    session->in_read = false;
}

static void begin_read(struct lmdb_session *session)
{
    end_read(session);
    must("renew", mdb_txn_renew(session->reading));
    session->in_read = true;
}

static MDB_val val_of(struct bytes_view bytes)
{
    return (MDB_val){.mv_size = bytes.len, .mv_data = (void *)(uintptr_t)bytes.data};
}

static void put_lmdb_batch(void *state, const struct bytes_view *keys,
                           const struct bytes_view *values, size_t count)
{
    struct lmdb_session *session = state;
    MDB_txn *txn = NULL;
    end_read(session);
    must("begin", mdb_txn_begin(session->handle->env, NULL, 0, &txn));
    for (size_t i = 0; i < count; i++) {
        MDB_val key = val_of(keys[i]), value = val_of(values[i]);
        must("put", mdb_put(txn, session->handle->dbi, &key, &value, 0));
    }
    must("commit", mdb_txn_commit(txn));
}

static void put_lmdb(void *state, struct bytes_view key, struct bytes_view value)
{
    put_lmdb_batch(state, &key, &value, 1);
}

static void remove_lmdb(void *state, struct bytes_view key)
{
    struct lmdb_session *session = state;
    MDB_txn *txn = NULL;
    MDB_val old = val_of(key);
    end_read(session);
    must("begin", mdb_txn_begin(session->handle->env, NULL, 0, &txn));
    must("delete", mdb_del(txn, session->handle->dbi, &old, NULL));
    must("commit", mdb_txn_commit(txn));
}

static bool get_lmdb(void *state, struct bytes_view key, struct bytes_view *value)
{
    struct lmdb_session *session = state;
    MDB_val wanted = val_of(key), found;
    begin_read(session);
    if (must("get", mdb_get(session->reading, session->handle->dbi, &wanted, &found)) != 0)
        return false;
    *value = (struct bytes_view){found.mv_data, found.mv_size};
    return true;
}

static void *open_lmdb_scan(void *state)
{
    struct lmdb_session *session = state;
    begin_read(session);
    must("renew", mdb_cursor_renew(session->reading, session->cursor));
    return session;
}

static bool take_row(struct lmdb_session *session, MDB_val *key, MDB_cursor_op op,
                     struct bytes_view row[2])
{
    MDB_val value;
    if (must("move", mdb_cursor_get(session->cursor, key, &value, op)) != 0) return false;
    row[0] = (struct bytes_view){key->mv_data, key->mv_size};
    row[1] = (struct bytes_view){value.mv_data, value.mv_size};
    return true;
}

static bool seek_lmdb(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    MDB_val wanted = val_of(key);
    return take_row(scan, &wanted, MDB_SET_RANGE, row);
}

static bool move_lmdb(void *scan, enum engine_move move, struct bytes_view row[2])
{
    static const MDB_cursor_op ops[] = {
        [MOVE_FIRST] = MDB_FIRST,
        [MOVE_LAST] = MDB_LAST,
        [MOVE_NEXT] = MDB_NEXT,
        [MOVE_PREV] = MDB_PREV,
    };
    MDB_val key;
    return take_row(scan, &key, ops[move], row);
}

static void close_lmdb_scan(void *scan)
{
    end_read(scan);
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .settings =
        "MDB_WRITEMAP, MDB_NOSYNC (sync rows: without), MDB_NORDAHEAD, readers renewed; it has "
        "no cache but the system's, no compression and no filters",
    .version = describe_lmdb,
    .open = open_lmdb,
    .close = close_lmdb,
    .session_open = open_lmdb_session,
    .session_close = close_lmdb_session,
    .put = put_lmdb,
    .remove = remove_lmdb,
    .put_batch = put_lmdb_batch,
    .get = get_lmdb,
    .scan_open = open_lmdb_scan,
    .scan_seek = seek_lmdb,
    .scan_move = move_lmdb,
    .scan_close = close_lmdb_scan,
};
#endif
