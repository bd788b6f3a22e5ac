/* engine_sqlite.c - SQLite, a table of blobs, as a benchmark engine; see bench/engine.h. */
#include "engines.h"

#ifdef HAVE_SQLITE
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4200 };

struct sqlite_handle {
    char path[PATH_BYTES];
    sqlite3 *first; /* while it is open, closing a session does not make a checkpoint */
    struct engine_options options;
};

struct sqlite_session {
    sqlite3 *db;
    sqlite3_stmt *put, *remove, *get, *forward, *backward, *begin, *commit;
    sqlite3_stmt *reading; /* one of these, that holds a transaction open */
};

static int must(sqlite3 *db, const char *what, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
        bench_die("sqlite: %s: %s", what, sqlite3_errmsg(db));
    return rc;
}

static void describe_sqlite(char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%s", sqlite3_libversion());
}

static void say(sqlite3 *db, const char *sql)
{
    must(db, sql, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3 *connect_to(const struct sqlite_handle *handle)
{
    char sql[128];
    sqlite3 *db = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(handle->path, &db, flags, NULL) != SQLITE_OK)
        bench_die("sqlite: %s: %s", handle->path, sqlite3_errmsg(db));
    const uint64_t cache = handle->options.cache_bytes + handle->options.write_buffer_bytes;
    must(db, "timeout", sqlite3_busy_timeout(db, 600000));
    say(db, "PRAGMA journal_mode=WAL");
    say(db, handle->options.sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
    snprintf(sql, sizeof sql, "PRAGMA cache_size=-%" PRIu64, cache / 1024);
    say(db, sql);
    return db;
}

static void *open_sqlite(const char *dir, const struct engine_options *options)
{
    struct sqlite_handle *handle = bench_alloc(sizeof *handle);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) bench_die("sqlite: %s: no directory", dir);
    handle->options = *options;
    snprintf(handle->path, sizeof handle->path, "%s/db", dir);
    handle->first = connect_to(handle);
    say(handle->first,
        "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID");
    return handle;
}

static void close_sqlite(void *db)
{
    struct sqlite_handle *handle = db;
    must(handle->first, "close", sqlite3_close(handle->first));
    free(handle);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    must(db, sql, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static void *open_sqlite_session(void *db)
{
    struct sqlite_session *session = bench_alloc(sizeof *session);
    session->db = connect_to(db);
    session->put = prepare(session->db, "INSERT OR REPLACE INTO kv VALUES (?, ?)");
    session->remove = prepare(session->db, "DELETE FROM kv WHERE k = ?");
    session->get = prepare(session->db, "SELECT v FROM kv WHERE k = ?");
    session->forward = prepare(session->db, "SELECT k, v FROM kv WHERE k >= ? ORDER BY k");
    session->backward = prepare(session->db, "SELECT k, v FROM kv ORDER BY k DESC");
    session->begin = prepare(session->db, "BEGIN IMMEDIATE");
    session->commit = prepare(session->db, "COMMIT");
    return session;
}

/* A statement that has not been reset keeps its transaction, and with it the log, from going on. */
static void end_read(struct sqlite_session *session)
{
    if (session->reading != NULL) must(session->db, "reset", sqlite3_reset(session->reading));
    session->reading = NULL;
}

static void close_sqlite_session(void *state)
{
    struct sqlite_session *session = state;
    sqlite3_stmt *const all[] = {session->put,     session->remove,   session->get,
                                 session->forward, session->backward, session->begin,
                                 session->commit};
    end_read(session);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        must(session->db, "finalize", sqlite3_finalize(all[i]));
    must(session->db, "close", sqlite3_close(session->db));
    free(session);
}

static void bind(struct sqlite_session *session, sqlite3_stmt *statement, int index,
                 struct bytes_view bytes)
{
    must(session->db, "bind",
         sqlite3_bind_blob64(statement, index, bytes.data, bytes.len, SQLITE_STATIC));
}

static void finish(struct sqlite_session *session, sqlite3_stmt *statement)
{
    must(session->db, sqlite3_sql(statement), sqlite3_step(statement));
    must(session->db, sqlite3_sql(statement), sqlite3_reset(statement));
}

static void put_sqlite(void *state, struct bytes_view key, struct bytes_view value)
{
    struct sqlite_session *session = state;
    end_read(session);
    bind(session, session->put, 1, key);
    bind(session, session->put, 2, value);
    finish(session, session->put);
}

static void remove_sqlite(void *state, struct bytes_view key)
{
    struct sqlite_session *session = state;
    end_read(session);
    bind(session, session->remove, 1, key);
    finish(session, session->remove);
}

static void put_sqlite_batch(void *state, const struct bytes_view *keys,
                             const struct bytes_view *values, size_t count)
{
    struct sqlite_session *session = state;
    end_read(session);
    finish(session, session->begin);
    for (size_t i = 0; i < count; i++)
        put_sqlite(session, keys[i], values[i]);
    finish(session, session->commit);
}

static struct bytes_view column(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);
    return (struct bytes_view){data, (size_t)sqlite3_column_bytes(statement, index)};
}

static bool get_sqlite(void *state, struct bytes_view key, struct bytes_view *value)
{
    struct sqlite_session *session = state;
    end_read(session);
    bind(session, session->get, 1, key);
    session->reading = session->get;
    if (must(session->db, "get", sqlite3_step(session->get)) != SQLITE_ROW) return false;
    *value = column(session->get, 0);
    return true;
}

static void *open_sqlite_scan(void *state)
{
    end_read(state);
    return state;
}

static bool take_row(struct sqlite_session *session, struct bytes_view row[2])
{
    if (must(session->db, "move", sqlite3_step(session->reading)) != SQLITE_ROW) return false;
    row[0] = column(session->reading, 0);
    row[1] = column(session->reading, 1);
    return true;
}

static bool seek_sqlite(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    struct sqlite_session *session = scan;
    end_read(session);
    bind(session, session->forward, 1, key);
    session->reading = session->forward;
    return take_row(session, row);
}

/* A scan keeps its direction, which the workloads do. */
static bool move_sqlite(void *scan, enum engine_move move, struct bytes_view row[2])
{
    struct sqlite_session *session = scan;
    switch (move) {
    case MOVE_FIRST:
        return seek_sqlite(scan, (struct bytes_view){"", 0}, row);
    case MOVE_LAST:
        end_read(session);
        session->reading = session->backward;
        break;
    case MOVE_NEXT:
    case MOVE_PREV:
        break;
    }
    return take_row(session, row);
}

static void close_sqlite_scan(void *scan)
{
    end_read(scan);
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .settings =
        "a table WITHOUT ROWID, WAL, synchronous=OFF (sync rows: FULL), cache_size = cache + "
        "write buffer for each connection; it has no compression and no filters",
    .version = describe_sqlite,
    .open = open_sqlite,
    .close = close_sqlite,
    .session_open = open_sqlite_session,
    .session_close = close_sqlite_session,
    .put = put_sqlite,
    .remove = remove_sqlite,
    .put_batch = put_sqlite_batch,
    .get = get_sqlite,
    .scan_open = open_sqlite_scan,
    .scan_seek = seek_sqlite,
    .scan_move = move_sqlite,
    .scan_close = close_sqlite_scan,
};
#endif
