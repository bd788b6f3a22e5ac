/*
 * history.c - a short life of a store from a seed; see history.h.
 */
#include "lib/history.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/last_words.h"
#include "lib/told.h"

enum { COLLS = HISTORY_COLLS, KEYS = 40, BATCH_MAX = 12, HISTORY_SECONDS_MAX = 20 };

#define SYNC_INTERVAL_NS UINT64_C(100000000) /* the default, of PERIODIC commits */
#define SYNC_ANYWAY_NS UINT64_C(1000000000)  /* whatever the commits asked for */

static const char *const NAMES[COLLS] = {"default", "one", "two", "three"};

static loam_slice key_of(uint8_t key, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "key%03u", key * 7u % 256));
}

static loam_slice value_of(const struct step *step, uint8_t *bytes)
{
    memset(bytes, step->value_byte, step->value_bytes);
    return loam_bytes(bytes, step->value_bytes);
}

static uint8_t value_room[UINT16_MAX];

/* Every fourth has no upper bound. None is empty: a transaction of nothing else would be no commit, and promise nothing. */
static loam_range range_of(const struct step *step, char from[static 16], char to[static 16])
{
    const loam_slice a = key_of(step->key, from), b = key_of(step->to, to);
    const int order = bytes_compare(a, b);
    const bool is_open = step->to % 4 == 0 || order == 0;
    return (loam_range){.from = order < 0 ? a : b,
                        .to = is_open     ? loam_bytes(NULL, 0)
                              : order < 0 ? b
                                          : a};
}

static void apply(struct model *model, const struct step *step)
{
    char text[16], to[16];
    const loam_range range = range_of(step, text, to);
    const bool is_range = step->what == 'x';
    const loam_slice key = is_range ? range.from : key_of(step->key, text);
    const loam_slice value = is_range ? range.to : value_of(step, value_room);
    const struct model_words words = {step->what, NAMES[step->coll], NAMES[step->to % COLLS], key,
                                      value,      step->expires_ms};
    model_step(model, &words);
}

/* The wall clock never falls here, so it is the store's. */
static uint64_t clock_of(const struct history *h)
{
    return h->world.sys.calls->wall_ms(h->world.sys.ctx);
}

/* ---- one run ---------------------------------------------------------------------------------- */

loam_status history_open(struct history *h)
{
    last_words(HISTORY_SECONDS_MAX, "SEED=%llu CUT=%llu AGAIN=%llu", (unsigned long long)h->seed,
               (unsigned long long)h->cut, (unsigned long long)h->again);
    return db_open_in(&h->world, "db", &h->options, &h->db);
}

/* The engine's calls know the table of functions alone; there is one history at a time. */
static struct history *calling;

static void tell_of_change(void)
{
    if (calling->before_change != NULL) calling->before_change(calling);
}

static int sync_seen(void *ctx, int fd)
{
    tell_of_change();
    return calling->below.calls->sync(ctx, fd);
}

static int rename_seen(void *ctx, int dir, const char *from, const char *to)
{
    tell_of_change();
    return calling->below.calls->rename(ctx, dir, from, to);
}

static int unlink_seen(void *ctx, int dir, const char *name)
{
    tell_of_change();
    return calling->below.calls->unlink(ctx, dir, name);
}

static int truncate_seen(void *ctx, int fd, uint64_t bytes)
{
    tell_of_change();
    return calling->below.calls->truncate(ctx, fd, bytes);
}

static int open_seen(void *ctx, int dir, const char *name, enum sys_open how)
{
    if (how == SYS_CREATE) tell_of_change();
    const int fd = calling->below.calls->open(ctx, dir, name, how);
    const char *end = strrchr(name, '.');
    struct history *h = calling;
    /* The number went to another file. */
    if (fd == h->table_fd) h->table_fd = -1;
    for (int i = 0; i < 2; i++)
        if (fd == h->manifest_fds[i]) h->manifest_fds[i] = -1;
    if (how != SYS_CREATE || fd < 0 || end == NULL) return fd;
    if (strcmp(end, ".sst") == 0) h->table_fd = fd;
    if (strcmp(end, ".manifest") == 0) {
        h->manifest_fds[1] = h->manifest_fds[0];
        h->manifest_fds[0] = fd;
    }
    return fd;
}

/* There is room without waiting for the job that is under way. */
static bool may_let_in(const struct history *h)
{
    const loam_db *db = h->db;
    if (!h->lets_in || db == NULL || db_log_is_long(db)) return false;
    if (atomic_load(&db->memtable_bytes) > db->options.memory_bytes / 4) return false;
    for (const loam_coll *coll = db->all; coll != NULL; coll = coll->all_next)
        if (atomic_load(&coll->memrun_count) + 2 > MEMRUNS_MAX) return false;
    return true;
}

static int64_t write_seen(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                          unsigned piece_count, bool durable)
{
    struct history *h = calling;
    const bool is_manifest = fd == h->manifest_fds[0] || fd == h->manifest_fds[1];
    tell_of_change();
    const bool is_seen = fd == h->table_fd || (is_manifest && durable); /* an edit */
    if (is_seen && may_let_in(h) && rand_below(&h->rand, 2) == 0) {
        h->lets_in = false;
        h->let_in = history_write(h);
    }
    return h->below.calls->write(ctx, fd, offset, pieces, piece_count, durable);
}

/* The disk's calls, and in some of them a commit. */
static struct sys_table watched_calls(struct history *h)
{
    calling = h;
    h->table_fd = h->manifest_fds[0] = h->manifest_fds[1] = -1;
    h->below = simdisk_table(h->disk);
    h->calls = *h->below.calls;
    h->calls.open = open_seen;
    h->calls.write = write_seen;
    h->calls.sync = sync_seen;
    h->calls.rename = rename_seen;
    h->calls.unlink = unlink_seen;
    h->calls.truncate = truncate_seen;
    return (struct sys_table){&h->calls, h->below.ctx};
}

static void choose_options(struct history *h)
{
    static const uint32_t runs[] = {1, 2, 8};
    h->options = loam_options_default();
    h->options.memory_bytes = 4 << 20;
    h->options.memtable_bytes = rand_below(&h->rand, 2) == 0 ? 16 << 10 : 128 << 10;
    h->options.runs_per_level = runs[rand_below(&h->rand, 3)];
    h->options.durability = (loam_durability)(1 + rand_below(&h->rand, 3));
    h->options.feed_bytes = rand_below(&h->rand, 2) == 0 ? 0 : 64 << 10;
    h->options.merge_operators = &model_tail;
    h->options.merge_operator_count = 1;
    if (rand_below(&h->rand, 3) == 0) h->options.archive = "archive";
    h->world = (struct db_world){.sys = watched_calls(h),
                                 .mapped_log = rand_below(&h->rand, 2) == 0,
                                 .page_bytes = 256,
                                 .log_bytes_least = UINT64_C(16384) << rand_below(&h->rand, 2),
                                 .seed = rand_next(&h->rand)};
}

/* Certainly not there: said so, or the store goes on without it. What fences it may be there or not. */
static bool was_refused(struct history *h, loam_status rc)
{
    if (rc >= 0) return false;
    return rc == LOAM_FULL || rc == LOAM_NOMEM || rc == LOAM_READONLY ||
           db_writable(h->db) == LOAM_OK;
}

static void note_for_watch(struct history *h, size_t from, loam_status rc)
{
    if (rc < 0 && h->maybe == NULL) h->maybe = model_copy(h->now);
    for (size_t i = from; i < h->step_count; i++)
        apply(rc < 0 ? h->maybe : h->now, &h->steps[i]);
}

static uint64_t now_ns(const struct history *h)
{
    return h->world.sys.calls->mono_ns(h->world.sys.ctx);
}

/* The steps after `from` are one commit; it is promised when it was acknowledged and durable. */
static loam_status committed(struct history *h, size_t from, loam_status rc, loam_durability how)
{
    const bool refused = was_refused(h, rc);
    if (h->watch != NULL && !refused) note_for_watch(h, from, rc);
    if (refused)
        h->step_count = from;
    else
        h->steps[h->step_count - 1].last = true;
    /* Stores through a mapping need no call, and so succeed on a machine that is off. */
    if (rc != LOAM_OK || simdisk_is_off(h->disk)) return rc;
    h->acknowledged = h->step_count;
    if (how == LOAM_DURABLE_COMMIT) h->promised = h->step_count;
    if (how == LOAM_DURABLE_COMMIT) return rc;
    h->awaited[h->awaited_count].durable_ns =
        now_ns(h) + (how == LOAM_DURABLE_PERIODIC ? SYNC_INTERVAL_NS : SYNC_ANYWAY_NS);
    h->awaited[h->awaited_count++].step_count = h->step_count;
    return rc;
}

/* NULL when a change that failed, and fenced the store, has taken it out of sight. */
static loam_coll *handle(struct history *h, uint8_t coll)
{
    loam_coll *out;
    const loam_status rc = loam_collection(h->db, NAMES[coll], &out);
    if (rc != LOAM_OK) assert_true(rc == LOAM_NOTFOUND && db_writable(h->db) < 0);
    return out;
}

static uint8_t random_coll(struct history *h)
{
    uint8_t coll;
    do {
        coll = (uint8_t)rand_below(&h->rand, COLLS);
    } while (!h->has[coll]);
    return coll;
}

static struct step *add_step(struct history *h, char what)
{
    struct step *step = &h->steps[h->step_count++];
    *step = (struct step){
        .what = what,
        .coll = random_coll(h),
        .key = (uint8_t)rand_below(&h->rand, KEYS),
        .to = (uint8_t)rand_below(&h->rand, KEYS),
        .value_bytes = (uint16_t)rand_below(&h->rand, rand_below(&h->rand, 12) == 0 ? 12000 : 300),
        .value_byte = (uint8_t)rand_next(&h->rand),
        .ttl_ms = rand_below(&h->rand, 3) == 0 ? rand_below(&h->rand, 3000) : TTL_OF_COLL};
    return step;
}

/* The steps from `from` on commit now. */
static void stamp(struct history *h, size_t from)
{
    for (size_t i = from; i < h->step_count; i++) {
        struct step *step = &h->steps[i];
        const loam_coll *coll = handle(h, step->coll);
        if (step->what != 'p' || coll == NULL) continue;
        const uint64_t ttl_ms = step->ttl_ms == TTL_OF_COLL ? coll->ttl_ms : step->ttl_ms;
        step->expires_ms = ttl_ms > 0 ? clock_of(h) + ttl_ms : 0;
    }
}

/* A put may become a merge, where there is an operator for it. */
static void perhaps_merge(struct history *h, struct step *step, loam_coll *coll)
{
    loam_coll_options options = {.struct_size = sizeof options};
    if (step->what != 'p' || coll == NULL || rand_below(&h->rand, 2) == 0) return;
    assert_int_equal(loam_coll_options_get(h->db, coll, &options), LOAM_OK);
    if (options.merge_operator == NULL) return;
    step->what = 'm';
    step->value_bytes %= 40;
    if (strcmp(options.merge_operator, "add_i64") == 0) step->value_bytes = 8;
}

/* What an entry does. */
static char random_write(struct history *h)
{
    const uint64_t choice = rand_below(&h->rand, 24);
    return choice < 5 ? 'd' : choice < 6 ? 'x' : 'p';
}

loam_status history_write(struct history *h)
{
    char text[16], to[16];
    const size_t from = h->step_count;
    struct step *step = add_step(h, random_write(h));
    const loam_range range = range_of(step, text, to);
    loam_coll *coll = handle(h, step->coll);
    perhaps_merge(h, step, coll);
    if (coll == NULL) return committed(h, from, LOAM_READONLY, LOAM_DURABLE_PROCESS);
    const loam_slice key = key_of(step->key, text);
    stamp(h, from);
    const loam_slice value = value_of(step, value_room);
    const loam_status rc = step->what == 'x'   ? loam_delete_range(h->db, coll, &range)
                           : step->what == 'd' ? loam_delete(h->db, coll, key)
                           : step->what == 'm' ? loam_merge(h->db, coll, key, value)
                           : step->ttl_ms == TTL_OF_COLL && value.len % 4 == 1
                               ? loam_explain_put(h->db, coll, key, value, told_nothing, NULL)
                           : step->ttl_ms == TTL_OF_COLL
                               ? loam_put(h->db, coll, key, value)
                               : loam_put_ttl(h->db, coll, key, value, step->ttl_ms);
    return committed(h, from, rc, h->options.durability);
}

static loam_status write_batch(struct history *h)
{
    char text[16], to[16];
    loam_batch *batch = loam_batch_new();
    loam_status added = LOAM_OK;
    const size_t from = h->step_count;
    if (batch == NULL) return LOAM_NOMEM;
    const uint64_t count = 1 + rand_below(&h->rand, BATCH_MAX);
    const loam_durability how = (loam_durability)(1 + rand_below(&h->rand, 3));
    for (uint64_t i = 0; i < count; i++) {
        struct step *step = add_step(h, random_write(h));
        const loam_range range = range_of(step, text, to);
        loam_coll *coll = handle(h, step->coll);
        perhaps_merge(h, step, coll);
        const loam_slice key = key_of(step->key, text);
        const loam_status rc =
            step->what == 'x'   ? loam_batch_delete_range(batch, coll, &range)
            : step->what == 'd' ? loam_batch_delete(batch, coll, key)
            : step->what == 'm' ? loam_batch_merge(batch, coll, key, value_of(step, value_room))
            : step->ttl_ms == TTL_OF_COLL
                ? loam_batch_put(batch, coll, key, value_of(step, value_room))
                : loam_batch_put_ttl(batch, coll, key, value_of(step, value_room), step->ttl_ms);
        if (rc != LOAM_OK && added == LOAM_OK) added = rc;
    }
    stamp(h, from);
    if (rand_below(&h->rand, 2) == 0) {
        h->steps[from].index = from + 1;
        assert_int_equal(loam_batch_set_index(batch, from + 1), LOAM_OK);
    }
    const loam_status rc = loam_write(h->db, batch, how);
    loam_batch_free(batch);
    if (added != LOAM_OK) assert_true(added == LOAM_NOMEM && rc == LOAM_NOMEM);
    return committed(h, from, rc, how);
}

/* A transaction that reads a key and a range besides; nobody is there to conflict with. */
static loam_status write_txn(struct history *h)
{
    char text[16];
    loam_txn *txn;
    loam_iter *it;
    const size_t from = h->step_count;
    const uint64_t count = 1 + rand_below(&h->rand, BATCH_MAX);
    const loam_durability how = (loam_durability)(1 + rand_below(&h->rand, 3));
    const loam_slice key = key_of((uint8_t)rand_below(&h->rand, KEYS), text);
    const loam_range range = {.from = key};
    h->reads = true;
    loam_status rc = loam_txn_begin(h->db, &txn);
    if (rc < 0) return rc;
    rc = loam_txn_get(txn, NULL, key, NULL);
    if (rc >= 0) rc = loam_txn_iter_open(txn, NULL, &range, &it);
    if (rc >= 0) {
        rc = loam_iter_next(it);
        loam_iter_close(it);
    }
    for (uint64_t i = 0; i < count; i++) {
        char own_text[16], to[16];
        struct step *step = add_step(h, random_write(h));
        const loam_range deleted = range_of(step, own_text, to);
        loam_coll *coll = handle(h, step->coll);
        perhaps_merge(h, step, coll);
        const loam_slice own = key_of(step->key, own_text);
        if (rc < 0) continue;
        rc = step->what == 'x'   ? loam_txn_delete_range(txn, coll, &deleted)
             : step->what == 'd' ? loam_txn_delete(txn, coll, own)
             : step->what == 'm' ? loam_txn_merge(txn, coll, own, value_of(step, value_room))
             : step->ttl_ms == TTL_OF_COLL
                 ? loam_txn_put(txn, coll, own, value_of(step, value_room))
                 : loam_txn_put_ttl(txn, coll, own, value_of(step, value_room), step->ttl_ms);
    }
    const bool is_asked_for = rc >= 0;
    stamp(h, from);
    if (is_asked_for) rc = loam_txn_commit(txn, how);
    assert_int_not_equal(rc, LOAM_CONFLICT);
    loam_txn_close(txn);
    if (is_asked_for) return committed(h, from, rc, how);
    h->step_count = from;
    return rc;
}

static loam_status ingest_step(struct history *h, loam_ingest *ingest, struct step *step)
{
    char text[16];
    const loam_coll *coll = handle(h, step->coll);
    const uint64_t ttl_ms = step->ttl_ms != TTL_OF_COLL ? step->ttl_ms
                            : coll == NULL              ? 0
                                                        : coll->ttl_ms;
    step->expires_ms = ttl_ms > 0 ? clock_of(h) + ttl_ms : 0;
    const loam_slice key = key_of(step->key, text), value = value_of(step, value_room);
    return step->ttl_ms == TTL_OF_COLL ? loam_ingest_put(ingest, key, value)
                                       : loam_ingest_put_ttl(ingest, key, value, step->ttl_ms);
}

/* A bulk load, mostly backwards, and now and then more than its buffer takes; others write meanwhile, from within its writes, too. It
   may be given up. */
static loam_status ingest(struct history *h)
{
    struct step steps[2 * BATCH_MAX];
    const size_t begin = h->step_count, count = 1 + rand_below(&h->rand, 2 * BATCH_MAX);
    const uint8_t which = random_coll(h);
    const bool is_large = rand_below(&h->rand, 8) == 0, gives_up = rand_below(&h->rand, 5) == 0;
    loam_ingest *ingest = NULL;
    for (size_t i = 0; i < count; i++) {
        struct step *step = add_step(h, 'p');
        step->coll = which;
        if (is_large) step->value_bytes = (uint16_t)(40000 + step->value_bytes);
        steps[i] = *step;
        h->step_count = begin;
    }
    loam_coll *coll = handle(h, which);
    loam_status rc = coll == NULL ? LOAM_READONLY : loam_ingest_begin(h->db, coll, &ingest);
    h->lets_in = true;
    h->let_in = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        rc = ingest_step(h, ingest, &steps[i]);
        if (rc == LOAM_OK && rand_below(&h->rand, 12) == 0) rc = history_write(h);
    }
    h->lets_in = false;
    if (rc == LOAM_OK) rc = h->let_in;
    const size_t from = h->step_count;
    const bool is_asked_for = rc == LOAM_OK && !gives_up;
    if (is_asked_for) {
        rc = loam_ingest_commit(ingest);
        memcpy(&h->steps[from], steps, count * sizeof *steps);
        h->step_count += count;
        rc = committed(h, from, rc, LOAM_DURABLE_COMMIT);
    }
    loam_ingest_close(ingest);
    return rc;
}

void history_forget_snapshot(struct history *h)
{
    loam_snapshot_close(h->snap);
    model_free(h->then);
    h->snap = NULL;
    h->then = NULL;
}

/* Other options for a collection; those of "default" change too. */
static loam_status alter(struct history *h)
{
    const size_t from = h->step_count;
    struct step *step = add_step(h, 'o');
    step->value_bytes = 1;
    loam_coll *coll = handle(h, step->coll);
    bool changes = true;
    const loam_status rc =
        coll == NULL ? LOAM_READONLY : model_alter(h->db, coll, step->value_byte, &changes);
    if (!changes) {
        h->step_count = from;
        return rc;
    }
    return committed(h, from, rc, LOAM_DURABLE_COMMIT);
}

static loam_status change(struct history *h)
{
    const uint8_t coll = (uint8_t)(1 + rand_below(&h->rand, COLLS - 1));
    const uint8_t to = (uint8_t)(1 + rand_below(&h->rand, COLLS - 1));
    const bool rename = rand_below(&h->rand, 2) == 0;
    const size_t from = h->step_count;
    struct step *step = &h->steps[h->step_count];
    *step = (struct step){.coll = coll, .to = to};
    history_forget_snapshot(h);
    loam_status rc;
    if (!h->has[coll] && rename) {
        *step = (struct step){.what = 'c', .coll = random_coll(h), .to = coll};
        rc = loam_clone(h->db, NAMES[step->coll], NAMES[coll], NULL);
    } else if (!h->has[coll]) {
        step->what = '+';
        loam_coll_options options = loam_coll_options_default();
        options.merge_operator = model_merger_for(NAMES[coll])->name;
        rc = loam_create(h->db, NAMES[coll], &options, NULL);
    } else if (rename && !h->has[to]) {
        step->what = 'r';
        rc = loam_rename(h->db, NAMES[coll], NAMES[to]);
    } else {
        step->what = '-';
        rc = loam_drop(h->db, NAMES[coll]);
    }
    h->step_count++;
    if (rc == LOAM_OK) h->has[coll] = step->what == '+' || step->what == 'c';
    if (rc == LOAM_OK && step->what == 'r') h->has[to] = true;
    return committed(h, from, rc, LOAM_DURABLE_COMMIT);
}

static loam_status sync_all(struct history *h)
{
    const loam_status rc = loam_sync(h->db);
    if (rc == LOAM_OK) h->promised = h->step_count;
    return rc;
}

/* Time passes, and the tender wakes: what was acknowledged its interval ago must survive from now on. */
static loam_status tend(struct history *h)
{
    const struct sys_table sys = h->world.sys;
    sys.calls->sleep_ns(sys.ctx,
                        rand_below(&h->rand, rand_below(&h->rand, 4) == 0 ? 2 * SYNC_ANYWAY_NS
                                                                          : 3 * SYNC_INTERVAL_NS));
    const uint64_t now = now_ns(h);
    jobs_tend_once(h->db);
    const loam_status rc = db_writable(h->db);
    if (rc < 0 || simdisk_is_off(h->disk)) return rc;
    for (size_t i = 0; i < h->awaited_count; i++)
        if (h->awaited[i].durable_ns <= now && h->awaited[i].step_count > h->promised)
            h->promised = h->awaited[i].step_count;
    return LOAM_OK;
}

static void close_feed(struct history *h)
{
    loam_feed_close(h->feed);
    h->feed = NULL;
}

/* All that has come, without a gap, whatever failed since the last time. */
static loam_status read_feed(struct history *h)
{
    loam_event event = {.struct_size = sizeof event};
    loam_status rc = LOAM_OK;
    h->reads = true;
    if (h->feed == NULL) {
        h->feed_seq = rand_below(&h->rand, atomic_load(&h->db->visible) + 1);
        rc = loam_feed_open(h->db, h->feed_seq, &h->feed);
    }
    while (rc == LOAM_OK && (rc = loam_feed_next(h->feed, 0, &event)) == LOAM_OK)
        if (event.seq != ++h->feed_seq)
            fail_msg("SEED=%llu CUT=%llu: the feed has %llu where %llu follows",
                     (unsigned long long)h->seed, (unsigned long long)h->cut,
                     (unsigned long long)event.seq, (unsigned long long)h->feed_seq);
    if (rc == LOAM_CONFLICT) close_feed(h);
    return rc < 0 ? rc : LOAM_OK;
}

void history_let_go(struct history *h)
{
    history_forget_snapshot(h);
    close_feed(h);
}

static loam_status reopen(struct history *h)
{
    history_let_go(h);
    loam_status rc = loam_close(h->db);
    h->db = NULL;
    if (rc < 0) return rc;
    h->promised = h->step_count;
    return history_open(h);
}

/* Background work, or a wait for it, into which a commit may fall. */
static loam_status upkeep(struct history *h, uint64_t choice)
{
    const uint8_t which = random_coll(h);
    loam_status rc = LOAM_OK;
    h->lets_in = true;
    h->let_in = LOAM_OK;
    if (choice < 95) {
        /* A rest: by itself one comes seldom in so short a life. */
        if (choice < 91) h->db->jobs.rest_wanted = true;
        (void)jobs_run_one(h->db);
        rc = db_writable(h->db);
    } else {
        loam_coll *coll = handle(h, which);
        if (coll == NULL)
            rc = LOAM_READONLY;
        else
            rc = choice < 98 ? loam_flush(h->db, coll) : loam_compact(h->db, coll, NULL);
    }
    h->lets_in = false;
    return rc < 0 ? rc : h->let_in;
}

static loam_status operate(struct history *h)
{
    const uint64_t choice = rand_below(&h->rand, 100);
    h->reads = false;
    h->doing = choice < 45 ? "write" : choice < 65 ? "batch" : choice < 75 ? "change" : "upkeep";
    if (choice < 45) return history_write(h);
    if (choice < 58) return write_batch(h);
    if (choice < 64) return write_txn(h);
    if (choice < 67) return ingest(h);
    if (choice < 73) return change(h);
    if (choice < 75) return alter(h);
    if (choice < 80) return sync_all(h);
    if (choice < 83 && !h->has_failed) return reopen(h);
    if (choice < 83) return LOAM_OK;
    if (choice < 86) return tend(h);
    if (choice < 88) return read_feed(h);
    return upkeep(h, choice);
}

void history_pass_time(struct history *h)
{
    model_expire(h->now, clock_of(h));
    if (h->maybe != NULL) model_expire(h->maybe, clock_of(h));
}

loam_status history_run(struct history *h)
{
    loam_status worst = LOAM_OK;
    h->rand.state = h->seed;
    h->has[0] = true;
    choose_options(h);
    h->doing = "open";
    loam_status rc = history_open(h);
    if (rc < 0) return rc;
    for (int i = 0; (rc >= 0 || h->goes_on) && h->db != NULL && i < HISTORY_OPS; i++) {
        rc = operate(h);
        if (rc < 0 && worst == LOAM_OK) worst = rc;
        h->has_failed = worst < 0;
        history_pass_time(h);
        if (h->watch != NULL) h->watch(h, rc);
    }
    if (worst < 0 || h->db == NULL) return worst;
    h->doing = "close";
    history_let_go(h);
    rc = loam_close(h->db);
    h->db = NULL;
    if (rc == LOAM_OK) h->promised = h->step_count;
    return rc;
}

/* ---- what is found afterwards ------------------------------------------------------------------- */

void history_die(struct history *h, int loss)
{
    simdisk_kill(h->disk);
    history_let_go(h);
    if (h->db != NULL) {
        const loam_status rc = loam_close(h->db);
        (void)rc; /* the process is gone; this only frees its memory */
    }
    h->db = NULL;
    if (loss >= 0) simdisk_power_loss(h->disk, (enum simdisk_loss)loss);
    h->power_lost = h->power_lost || loss >= 0;
}

void history_move(struct history *h, struct simdisk *disk)
{
    h->disk = disk;
    h->world.sys = watched_calls(h);
}

static void must(const struct history *h, const char *what, loam_status rc)
{
    if (rc != LOAM_OK)
        fail_msg("SEED=%llu CUT=%llu AGAIN=%llu (%s): %s: %s %s", (unsigned long long)h->seed,
                 (unsigned long long)h->cut, (unsigned long long)h->again, h->doing, what,
                 loam_status_name(rc), loam_errmsg());
}

static uint64_t present_index(const struct history *h)
{
    uint64_t index = 0;
    must(h, "the index", loam_index(h->db, &index));
    return index;
}

/* Of the newest of the first steps that has one. */
static uint64_t index_after(const struct history *h, size_t count)
{
    while (count > 0 && h->steps[count - 1].index == 0)
        count--;
    return count > 0 ? h->steps[count - 1].index : 0;
}

/* The store equals the model after some commit, at or behind the promised one, and has the index of that: that model. */
static struct model *check_prefix(struct history *h)
{
    struct model *model = model_new();
    const size_t promised = h->power_lost ? h->promised : h->acknowledged;
    const uint64_t index = present_index(h);
    size_t at = 0;
    while (at < promised)
        apply(model, &h->steps[at++]);
    const char *differs = model_differs_by(model, h->db, clock_of(h));
    while ((differs != NULL || index_after(h, at) != index) && at < h->step_count) {
        do {
            apply(model, &h->steps[at]);
        } while (!h->steps[at++].last);
        differs = model_differs_by(model, h->db, clock_of(h));
    }
    if (differs == NULL && index_after(h, at) != index) differs = "the index is another commit's";
    if (differs != NULL)
        fail_msg("SEED=%llu CUT=%llu AGAIN=%llu (%s): %zu steps promised of %zu, none fits: %s",
                 (unsigned long long)h->seed, (unsigned long long)h->cut,
                 (unsigned long long)h->again, h->doing, promised, h->step_count, differs);
    return model;
}

/* One more durable write, and the power goes: what was recovered is there with it, and nothing else comes back. */
static void check_writable(struct history *h, struct model *model)
{
    const uint64_t index = present_index(h);
    must(h, "a write afterwards",
         loam_put_ttl(h->db, NULL, loam_str("afterwards"), loam_str("v"), 0));
    must(h, "a sync afterwards", loam_sync(h->db));
    history_die(h, SIMDISK_LOSE_ALL);
    must(h, "opening once more", history_open(h));
    model_put(model, "default", loam_str("afterwards"), loam_str("v"));
    const char *differs = model_differs_by(model, h->db, clock_of(h));
    if (present_index(h) != index) differs = "the index is another";
    if (differs != NULL)
        fail_msg("SEED=%llu CUT=%llu AGAIN=%llu (%s): after one more write: %s",
                 (unsigned long long)h->seed, (unsigned long long)h->cut,
                 (unsigned long long)h->again, h->doing, differs);
    must(h, "closing", loam_close(h->db));
    h->db = NULL;
}

void history_check_reading(struct history *h)
{
    const uint64_t digest = simdisk_digest(h->disk);
    h->options.read_only = true;
    const loam_status rc = history_open(h);
    h->options.read_only = false;
    if (rc == LOAM_IOERR && loam_errno() == ENOENT && h->acknowledged == 0)
        return; /* not made yet */
    must(h, "opening to read", rc);
    model_free(check_prefix(h));
    must(h, "closing the reader", loam_close(h->db));
    h->db = NULL;
    if (simdisk_digest(h->disk) != digest)
        fail_msg("SEED=%llu CUT=%llu AGAIN=%llu: a reader changed the store",
                 (unsigned long long)h->seed, (unsigned long long)h->cut,
                 (unsigned long long)h->again);
}

/* What a crash left is gone. */
static void must_be_wanted(void *ctx, const char *name)
{
    struct history *h = ctx;
    enum object_kind kind;
    struct object_id id;
    if (!object_name_parse(name, &kind, &id) || kind != OBJECT_TABLES ||
        db_wants_object(h->db, kind, id))
        return;
    fail_msg("SEED=%llu CUT=%llu AGAIN=%llu (%s): %s is left", (unsigned long long)h->seed,
             (unsigned long long)h->cut, (unsigned long long)h->again, h->doing, name);
}

void history_check(struct history *h)
{
    struct model *model = check_prefix(h);
    must(h, "listing", store_list(h->db->store, must_be_wanted, h));
    must(h, "verifying", loam_verify_open(h->db, NULL, NULL));
    check_writable(h, model);
    model_free(model);
}

struct history *history_new(uint64_t seed, uint64_t cut)
{
    struct history *h = calloc(1, sizeof *h);
    h->seed = seed;
    h->cut = cut;
    h->disk = simdisk_new(seed ^ cut << 32);
    h->now = model_new();
    return h;
}

void history_free(struct history *h)
{
    last_words_none();
    simdisk_free(h->disk);
    model_free(h->now);
    model_free(h->maybe);
    free(h);
}
