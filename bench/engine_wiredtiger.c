/* engine_wiredtiger.c - WiredTiger as a benchmark engine; see bench/engine.h. */
#include "engines.h"

#ifdef HAVE_WIREDTIGER
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wiredtiger.h>

#define TABLE "table:kv"

struct wiredtiger_session {
    WT_SESSION *session;
    WT_CURSOR *cursor, *scan;
};

static int must(const char *what, int rc)
{
    if (rc != 0 && rc != WT_NOTFOUND && rc != WT_ROLLBACK)
        bench_die("wiredtiger: %s: %s", what, wiredtiger_strerror(rc));
    return rc;
}

static void describe_wiredtiger(char *text, size_t text_bytes)
{
    int major = 0, minor = 0, patch = 0;
    (void)wiredtiger_version(&major, &minor, &patch);
    snprintf(text, text_bytes, "%d.%d.%d", major, minor, patch);
}

/* method=none: a commit has handed its log record to the system. With transaction_sync off it
   would only be in the process, and a kill would lose it. */
static void *open_wiredtiger(const char *dir, const struct engine_options *options)
{
    char config[512];
    WT_CONNECTION *connection = NULL;
    WT_SESSION *session = NULL;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) bench_die("wiredtiger: %s: no directory", dir);
    snprintf(config, sizeof config,
             "create,cache_size=%" PRIu64 "MB,session_max=600,log=(enabled=true),"
             "transaction_sync=(enabled=true,method=%s),checkpoint=(wait=60),"
             "extensions=[libwiredtiger_snappy.so]",
             (options->cache_bytes + options->write_buffer_bytes) >> 20,
             options->sync ? "fsync" : "none");
    must("open", wiredtiger_open(dir, NULL, config, &connection));
    must("session", connection->open_session(connection, NULL, NULL, &session));
    must("create",
         session->create(session, TABLE, "key_format=u,value_format=u,block_compressor=snappy"));
    must("session", session->close(session, NULL));
    return connection;
}

static void close_wiredtiger(void *db)
{
    WT_CONNECTION *connection = db;
    must("close", connection->close(connection, "leak_memory=false"));
}

static void *open_wiredtiger_session(void *db)
{
    WT_CONNECTION *connection = db;
    struct wiredtiger_session *own = bench_alloc(sizeof *own);
    must("session", connection->open_session(connection, NULL, NULL, &own->session));
    must("cursor", own->session->open_cursor(own->session, TABLE, NULL, NULL, &own->cursor));
    must("cursor", own->session->open_cursor(own->session, TABLE, NULL, NULL, &own->scan));
    return own;
}

static void close_wiredtiger_session(void *state)
{
    struct wiredtiger_session *own = state;
    must("session", own->session->close(own->session, NULL));
    free(own);
}

static void set_key(WT_CURSOR *cursor, struct bytes_view key)
{
    const WT_ITEM item = {.data = key.data, .size = key.len};
    cursor->set_key(cursor, &item);
}

static int insert(WT_CURSOR *cursor, struct bytes_view key, struct bytes_view value)
{
    const WT_ITEM item = {.data = value.data, .size = value.len};
    set_key(cursor, key);
    cursor->set_value(cursor, &item);
    return must("put", cursor->insert(cursor));
}

static void put_wiredtiger(void *state, struct bytes_view key, struct bytes_view value)
{
    const struct wiredtiger_session *own = state;
    while (insert(own->cursor, key, value) == WT_ROLLBACK) {
    }
    must("reset", own->cursor->reset(own->cursor));
}

static void remove_wiredtiger(void *state, struct bytes_view key)
{
    const struct wiredtiger_session *own = state;
    do {
        set_key(own->cursor, key);
    } while (must("delete", own->cursor->remove(own->cursor)) == WT_ROLLBACK);
    must("reset", own->cursor->reset(own->cursor));
}

static void put_wiredtiger_batch(void *state, const struct bytes_view *keys,
                                 const struct bytes_view *values, size_t count)
{
    const struct wiredtiger_session *own = state;
    for (;;) {
        int rc = 0;
        must("begin", own->session->begin_transaction(own->session, NULL));
        for (size_t i = 0; i < count && rc == 0; i++)
            rc = insert(own->cursor, keys[i], values[i]);
        must("reset", own->cursor->reset(own->cursor));
        if (rc == 0 && must("commit", own->session->commit_transaction(own->session, NULL)) == 0)
            return;
        if (rc != 0) must("rollback", own->session->rollback_transaction(own->session, NULL));
    }
}

static bool take_row(WT_CURSOR *cursor, struct bytes_view row[2])
{
    WT_ITEM key, value;
    must("key", cursor->get_key(cursor, &key));
    must("value", cursor->get_value(cursor, &value));
    row[0] = (struct bytes_view){key.data, key.size};
    row[1] = (struct bytes_view){value.data, value.size};
    return true;
}

static bool get_wiredtiger(void *state, struct bytes_view key, struct bytes_view *value)
{
    const struct wiredtiger_session *own = state;
    WT_ITEM item;
    set_key(own->cursor, key);
    if (must("get", own->cursor->search(own->cursor)) != 0) return false;
    must("value", own->cursor->get_value(own->cursor, &item));
    *value = (struct bytes_view){item.data, item.size};
    return true;
}

static void *open_wiredtiger_scan(void *state)
{
    struct wiredtiger_session *own = state;
    must("reset", own->cursor->reset(own->cursor));
    must("begin", own->session->begin_transaction(own->session, "isolation=snapshot"));
    return own;
}

static bool seek_wiredtiger(void *scan, struct bytes_view key, struct bytes_view row[2])
{
    const struct wiredtiger_session *own = scan;
    int side = 0;
    set_key(own->scan, key);
    if (must("seek", own->scan->search_near(own->scan, &side)) != 0) return false;
    if (side < 0 && must("seek", own->scan->next(own->scan)) != 0) return false;
    return take_row(own->scan, row);
}

static bool move_wiredtiger(void *scan, enum engine_move move, struct bytes_view row[2])
{
    const struct wiredtiger_session *own = scan;
    const bool forward = move == MOVE_FIRST || move == MOVE_NEXT;
    if (move == MOVE_FIRST || move == MOVE_LAST) must("reset", own->scan->reset(own->scan));
    const int rc = forward ? own->scan->next(own->scan) : own->scan->prev(own->scan);
    return must("move", rc) == 0 && take_row(own->scan, row);
}

static void close_wiredtiger_scan(void *scan)
{
    const struct wiredtiger_session *own = scan;
    must("reset", own->scan->reset(own->scan));
    must("rollback", own->session->rollback_transaction(own->session, NULL));
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .settings =
        "B-tree, cache_size = cache + write buffer, log on, transaction_sync method none (sync "
        "rows: fsync), a checkpoint each 60 s, Snappy (Debian's has no LZ4), no filters",
    .version = describe_wiredtiger,
    .open = open_wiredtiger,
    .close = close_wiredtiger,
    .session_open = open_wiredtiger_session,
    .session_close = close_wiredtiger_session,
    .put = put_wiredtiger,
    .remove = remove_wiredtiger,
    .put_batch = put_wiredtiger_batch,
    .get = get_wiredtiger,
    .scan_open = open_wiredtiger_scan,
    .scan_seek = seek_wiredtiger,
    .scan_move = move_wiredtiger,
    .scan_close = close_wiredtiger_scan,
};
#endif
