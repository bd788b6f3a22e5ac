/*
 * test_feed.c - the change feed and the caller's log index, in real directories.
 */
#include "../lib/fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MIB = 1 << 20 };

static loam_feed *open_feed(struct fixture *f, uint64_t since)
{
    loam_feed *feed;
    expect_ok(loam_feed_open(f->db, since, &feed));
    return feed;
}

static loam_event next_event(loam_feed *feed)
{
    loam_event event = {.struct_size = sizeof event};
    expect_ok(loam_feed_next(feed, 0, &event));
    return event;
}

static void expect_end(loam_feed *feed)
{
    loam_event event = {.struct_size = sizeof event};
    expect_status(LOAM_NOTFOUND, loam_feed_next(feed, 0, &event));
}

static void expect_slice(loam_slice got, const char *text)
{
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.data, text, got.len);
}

/* "KIND SEQ COLL KEY=VALUE", and a point where a commit ends. */
static const char *told(loam_feed *feed)
{
    static char text[200];
    static const char *const kinds[] = {
        [LOAM_EVENT_PUT] = "put",         [LOAM_EVENT_DELETE] = "delete",
        [LOAM_EVENT_MERGE] = "merge",     [LOAM_EVENT_DELETE_RANGE] = "range",
        [LOAM_EVENT_CREATE] = "create",   [LOAM_EVENT_RENAME] = "rename",
        [LOAM_EVENT_DROP] = "drop",       [LOAM_EVENT_CLONE] = "clone",
        [LOAM_EVENT_OPTIONS] = "options", [LOAM_EVENT_INGEST] = "ingest"};
    const loam_event event = next_event(feed);
    const char *name = event.coll_name != NULL ? event.coll_name : "?";
    (void)snprintf(text, sizeof text, "%s %" PRIu64 " %s %.*s=%.*s%s", kinds[event.kind], event.seq,
                   name, (int)event.key.len, (const char *)event.key.data, (int)event.value.len,
                   (const char *)event.value.data, event.ends_commit ? "." : "");
    return text;
}

/* ---- what it tells -------------------------------------------------------------------------- */

static void each_kind_is_told_in_its_order(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    loam_feed *feed = open_feed(f, 0);
    loam_coll_options options = loam_coll_options_default();
    options.merge_operator = "append";
    options.compression = LOAM_ZSTD;
    expect_ok(loam_create(f->db, "fruit", &options, &coll));
    put_text(f->db, NULL, "a", "1");
    expect_ok(loam_delete(f->db, NULL, loam_str("a")));
    expect_ok(loam_merge(f->db, coll, loam_str("m"), loam_str("more")));
    const loam_range range = {.from = loam_str("b"), .to = loam_str("c")};
    expect_ok(loam_delete_range(f->db, NULL, &range));
    expect_ok(loam_put_ttl(f->db, NULL, loam_str("t"), loam_str("5"), 3600000));
    expect_ok(loam_rename(f->db, "fruit", "food"));
    expect_ok(loam_clone(f->db, "food", "copy", NULL));
    options.ttl_ms = 7000;
    expect_ok(loam_coll_options_set(f->db, coll, &options));
    expect_ok(loam_drop(f->db, "food"));

    loam_event event = next_event(feed);
    assert_int_equal(event.kind, LOAM_EVENT_CREATE);
    assert_string_equal(event.coll_name, "fruit");
    assert_string_equal(event.options->merge_operator, "append");
    assert_int_equal(event.options->compression, LOAM_ZSTD);
    assert_true(event.ends_commit && event.seq == 1 && event.coll_id == 1);
    assert_string_equal(told(feed), "put 2 default a=1.");
    assert_string_equal(told(feed), "delete 3 default a=.");
    assert_string_equal(told(feed), "merge 4 fruit m=more.");
    assert_string_equal(told(feed), "range 5 default b=c.");
    event = next_event(feed);
    assert_int_equal(event.kind, LOAM_EVENT_PUT);
    expect_slice(event.value, "5");
    assert_true(event.expires_ms > event.time_ms && event.time_ms > 0);
    assert_string_equal(told(feed), "rename 7 food =.");
    event = next_event(feed);
    assert_int_equal(event.kind, LOAM_EVENT_CLONE);
    assert_string_equal(event.coll_name, "copy");
    assert_true(event.source_id == 1 && event.source_seq == 4 && event.coll_id == 2);
    event = next_event(feed);
    assert_int_equal(event.kind, LOAM_EVENT_OPTIONS);
    assert_int_equal(event.options->ttl_ms, 7000);
    assert_string_equal(told(feed), "drop 10 food =.");
    expect_end(feed);
    loam_feed_close(feed);
}

static void a_batch_is_told_whole_and_begun_in_its_midst(void **state)
{
    struct fixture *f = *state;
    loam_coll *other;
    expect_ok(loam_create(f->db, "other", NULL, &other));
    loam_feed *feed = open_feed(f, UINT64_MAX);
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put(batch, NULL, loam_str("a"), loam_str("1")));
    expect_ok(loam_batch_put(batch, other, loam_str("b"), loam_str("2")));
    expect_ok(loam_batch_delete(batch, NULL, loam_str("c")));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_COMMIT));
    loam_batch_free(batch);
    loam_txn *txn;
    expect_ok(loam_txn_begin(f->db, &txn));
    expect_ok(loam_txn_put(txn, other, loam_str("t"), loam_str("3")));
    expect_ok(loam_txn_put(txn, other, loam_str("u"), loam_str("4")));
    expect_ok(loam_txn_commit(txn, LOAM_DURABLE_DEFAULT));
    loam_txn_close(txn);
    assert_string_equal(told(feed), "put 2 default a=1");
    assert_string_equal(told(feed), "put 3 other b=2");
    assert_string_equal(told(feed), "delete 4 default c=.");
    assert_string_equal(told(feed), "put 5 other t=3");
    assert_string_equal(told(feed), "put 6 other u=4.");
    expect_end(feed);
    loam_feed_close(feed);
    feed = open_feed(f, 3);
    assert_string_equal(told(feed), "delete 4 default c=.");
    assert_string_equal(told(feed), "put 5 other t=3");
    loam_feed_close(feed);
}

static void names_are_those_of_the_moment_or_none(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "first", NULL, &coll));
    put_text(f->db, coll, "a", "1");
    expect_ok(loam_rename(f->db, "first", "second"));
    put_text(f->db, coll, "b", "2");
    expect_ok(loam_drop(f->db, "second"));
    expect_ok(loam_create(f->db, "first", NULL, NULL));
    loam_feed *feed = open_feed(f, 0);
    assert_string_equal(told(feed), "create 1 first =.");
    assert_string_equal(told(feed), "put 2 first a=1.");
    assert_string_equal(told(feed), "rename 3 second =.");
    assert_string_equal(told(feed), "put 4 second b=2.");
    assert_string_equal(told(feed), "drop 5 second =.");
    assert_string_equal(told(feed), "create 6 first =.");
    loam_feed_close(feed);
    feed = open_feed(f, 1); /* without its creation nobody can know */
    assert_string_equal(told(feed), "put 2 ? a=1.");
    assert_string_equal(told(feed), "rename 3 second =.");
    loam_feed_close(feed);
    feed = open_feed(f, 3);
    assert_string_equal(told(feed), "put 4 second b=2.");
    loam_feed_close(feed);
}

static void values_of_megabytes_come_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = fixture_bytes(5 * MIB, 7);
    loam_feed *feed = open_feed(f, 0);
    for (size_t len = 100; len < 5 * MIB; len *= 3) {
        expect_ok(loam_put(f->db, NULL, loam_str("k"), loam_bytes(bytes, len)));
        put_text(f->db, NULL, "between", "x");
    }
    for (size_t len = 100; len < 5 * MIB; len *= 3) {
        const loam_event event = next_event(feed);
        assert_int_equal(event.value.len, len);
        assert_memory_equal(event.value.data, bytes, len);
        expect_slice(next_event(feed).key, "between");
    }
    expect_end(feed);
    loam_feed_close(feed);
    free(bytes);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nothing_comes_within_the_time(void **state)
{
    struct fixture *f = *state;
    loam_feed *feed = open_feed(f, UINT64_MAX);
    loam_event event = {.struct_size = sizeof event};
    const uint64_t since = now_ms();
    expect_status(LOAM_NOTFOUND, loam_feed_next(feed, 50, &event));
    assert_true(now_ms() - since >= 49);
    loam_feed_close(feed);
}

static void *put_later(void *arg)
{
    const struct timespec pause = {0, 30000000};
    (void)nanosleep(&pause, NULL);
    struct fixture *f = arg;
    return loam_put(f->db, NULL, loam_str("late"), loam_str("v")) == LOAM_OK ? NULL : arg;
}

static void who_waits_is_woken(void **state)
{
    struct fixture *f = *state;
    loam_feed *feed = open_feed(f, UINT64_MAX);
    loam_event event = {.struct_size = sizeof event};
    pthread_t writer;
    void *answer;
    const uint64_t since = now_ms();
    assert_int_equal(pthread_create(&writer, NULL, put_later, f), 0);
    expect_ok(loam_feed_next(feed, 10000, &event));
    assert_true(now_ms() - since < 9000);
    expect_slice(event.key, "late");
    assert_int_equal(pthread_join(writer, &answer), 0);
    assert_null(answer);
    loam_feed_close(feed);
}

/* ---- how long the log stays ------------------------------------------------------------------ */

static loam_options small_options(uint64_t feed_bytes)
{
    loam_options options = fixture_options();
    options.memory_bytes = 4 * MIB;
    options.memtable_bytes = 16 << 10;
    options.feed_bytes = feed_bytes;
    return options;
}

/* Puts of 1000 bytes that overwrite each other, and a flush now and then. */
static void churn(struct fixture *f, int count)
{
    static const char padding[1000];
    for (int i = 0; i < count; i++)
        expect_ok(loam_put(f->db, NULL, loam_str("churn"), loam_bytes(padding, sizeof padding)));
    expect_ok(loam_flush(f->db, NULL));
}

static uint64_t newest_seq(struct fixture *f)
{
    loam_lookup lookup = {.key = loam_str("churn")};
    expect_ok(loam_multi_get(f->db, NULL, NULL, &lookup, 1, LOAM_KEYS_ONLY));
    loam_buf_free(&lookup.value);
    return lookup.seq;
}

static void expect_all_until(loam_feed *feed, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++)
        assert_int_equal(next_event(feed).seq, seq);
    expect_end(feed);
}

static void the_log_stays_for_who_reads_it(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options(0);
    fixture_open(f, &options);
    churn(f, 1);
    loam_feed *feed = open_feed(f, 0);
    for (int i = 0; i < 8; i++)
        churn(f, 100); /* 800 KB; the log's own bound is 1 MiB */
    expect_all_until(feed, 1, newest_seq(f));
    loam_feed_close(feed);
}

/* Once the log is at rest: until then more of it goes. */
static uint64_t oldest_at_rest(struct fixture *f)
{
    const struct timespec longer_than_a_rest = {.tv_nsec = 400 * 1000 * 1000};
    loam_event event = {.struct_size = sizeof event};
    uint64_t oldest;
    do {
        oldest = event.seq;
        (void)nanosleep(&longer_than_a_rest, NULL);
        loam_feed *feed = open_feed(f, 0);
        expect_status(LOAM_CONFLICT, loam_feed_next(feed, 0, &event));
        loam_feed_close(feed);
    } while (event.seq != oldest);
    return oldest;
}

static void who_falls_behind_is_told_the_oldest_there_is(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options(0);
    fixture_open(f, &options);
    churn(f, 1);
    loam_feed *feed = open_feed(f, 0), *quick = open_feed(f, 0);
    loam_event event = {.struct_size = sizeof event};
    assert_int_equal(next_event(feed).seq, 1);
    for (int i = 0; i < 50; i++) {
        churn(f, 100);
        while (loam_feed_next(quick, 0, &event) == LOAM_OK) {
        }
        assert_int_equal(event.seq, 0);
    }
    for (int i = 0; i < 100; i++) { /* what was read ahead may still come */
        const loam_status rc = loam_feed_next(feed, 0, &event);
        if (rc == LOAM_CONFLICT) break;
        expect_ok(rc);
    }
    while (loam_feed_next(feed, 0, &event) == LOAM_OK) {
    }
    expect_status(LOAM_CONFLICT, loam_feed_next(feed, 0, &event));
    expect_message("feed_bytes");
    assert_true(event.seq > 1000 && event.seq < newest_seq(f));
    loam_feed_close(feed);
    const uint64_t oldest = oldest_at_rest(f);
    feed = open_feed(f, oldest - 1);
    expect_all_until(feed, oldest, newest_seq(f));
    loam_feed_close(feed);
    feed = open_feed(f, oldest - 2); /* gone already when it begins */
    expect_status(LOAM_CONFLICT, loam_feed_next(feed, 0, &event));
    loam_feed_close(feed);
    loam_feed_close(quick);
}

static void after_reopening_it_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    put_text(f->db, NULL, "a", "1");
    fixture_reopen(f);
    put_text(f->db, NULL, "b", "2");
    fixture_reopen(f);
    put_text(f->db, NULL, "c", "3");
    loam_feed *feed = open_feed(f, 0);
    assert_string_equal(told(feed), "put 1 default a=1.");
    assert_string_equal(told(feed), "put 2 default b=2.");
    assert_string_equal(told(feed), "put 3 default c=3.");
    expect_end(feed);
    loam_feed_close(feed);
}

static void feed_bytes_are_kept_for_who_comes_later(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options(16 * MIB), none = small_options(0);
    fixture_open(f, &options);
    loam_feed *feed;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 6; i++)
            churn(f, 100);
        feed = open_feed(f, 0);
        expect_all_until(feed, 1, newest_seq(f));
        loam_feed_close(feed);
        fixture_close(f);
        expect_ok(loam_verify(f->store, NULL, NULL));
        fixture_open(f, &options);
        feed = open_feed(f, 0);
        expect_all_until(feed, 1, newest_seq(f));
        loam_feed_close(feed);
    }
    fixture_close(f);
    fixture_open(f, &none);
    churn(f, 1);
    feed = open_feed(f, 0);
    loam_event event = {.struct_size = sizeof event};
    expect_status(LOAM_CONFLICT, loam_feed_next(feed, 0, &event));
    loam_feed_close(feed);
}

static void more_than_feed_bytes_is_not_kept(void **state)
{
    struct fixture *f = *state;
    const loam_options options = small_options(MIB);
    fixture_open(f, &options);
    for (int i = 0; i < 60; i++)
        churn(f, 100);
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(f->db, &stats));
    assert_in_range(stats.disk_bytes, MIB, 3 * MIB);
    loam_feed *feed = open_feed(f, 0);
    loam_event event = {.struct_size = sizeof event};
    expect_status(LOAM_CONFLICT, loam_feed_next(feed, 0, &event));
    assert_true(newest_seq(f) - event.seq > 800);
    loam_feed_close(feed);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void bad_calls_are_refused_in_words(void **state)
{
    struct fixture *f = *state;
    loam_feed *feed;
    loam_event event = {.struct_size = sizeof event}, without = {.struct_size = 0};
    expect_failure(LOAM_INVALID, "NULL", loam_feed_open(NULL, 0, &feed));
    assert_null(feed);
    expect_failure(LOAM_INVALID, "NULL", loam_feed_open(f->db, 0, NULL));
    expect_failure(LOAM_INVALID, "no sequence number 9", loam_feed_open(f->db, 9, &feed));
    expect_failure(LOAM_INVALID, "NULL", loam_feed_next(NULL, 0, &event));
    feed = open_feed(f, 0);
    expect_failure(LOAM_INVALID, "NULL", loam_feed_next(feed, 0, NULL));
    expect_failure(LOAM_INVALID, "struct_size", loam_feed_next(feed, 0, &without));
    expect_failure(LOAM_BUSY, "1 feeds are open", loam_close(f->db));
    loam_feed_close(feed);
    loam_feed_close(NULL);
    loam_options options = fixture_options();
    fixture_close(f);
    options.read_only = true;
    fixture_open(f, &options);
    expect_failure(LOAM_READONLY, "read-only", loam_feed_open(f->db, 0, &feed));
}

static void a_shorter_event_is_filled_as_far_as_it_goes(void **state)
{
    struct fixture *f = *state;
    loam_feed *feed = open_feed(f, 0);
    put_text(f->db, NULL, "a", "1");
    loam_event event;
    memset(&event, 0xee, sizeof event);
    event.struct_size = offsetof(loam_event, coll_name);
    expect_ok(loam_feed_next(feed, 0, &event));
    assert_int_equal(event.seq, 1);
    assert_int_equal(event.key.len, (size_t)0xeeeeeeeeeeeeeeeeu);
    loam_feed_close(feed);
}

/* ---- the caller's log index ------------------------------------------------------------------ */

static uint64_t index_of(loam_db *db)
{
    uint64_t index = 77;
    expect_ok(loam_index(db, &index));
    return index;
}

static void write_with_index(struct fixture *f, uint64_t index, size_t value_bytes)
{
    uint8_t *bytes = fixture_bytes(value_bytes, index);
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put(batch, NULL, loam_str("k"), loam_bytes(bytes, value_bytes)));
    expect_ok(loam_batch_put(batch, NULL, loam_str("l"), loam_bytes(bytes, 3)));
    expect_ok(loam_batch_set_index(batch, index));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    free(bytes);
}

static void an_index_is_where_its_commit_is(void **state)
{
    struct fixture *f = *state;
    char dir[300];
    assert_int_equal(index_of(f->db), 0);
    loam_feed *feed = open_feed(f, 0);
    write_with_index(f, 500, 10);
    assert_int_equal(index_of(f->db), 500);
    put_text(f->db, NULL, "a", "1");
    assert_int_equal(next_event(feed).caller_index, 500);
    const loam_event second = next_event(feed);
    assert_true(second.caller_index == 500 && second.ends_commit);
    assert_int_equal(next_event(feed).caller_index, 0);
    loam_feed_close(feed);
    fixture_reopen(f); /* from the log */
    assert_int_equal(index_of(f->db), 500);
    write_with_index(f, 3, 5 * MIB); /* they need not rise; in parts */
    assert_int_equal(index_of(f->db), 3);
    fixture_reopen(f);
    assert_int_equal(index_of(f->db), 3);
    expect_ok(loam_flush(f->db, NULL)); /* from the manifest */
    put_text(f->db, NULL, "a", "2");
    for (int i = 0; i < 3; i++) {
        fixture_reopen(f);
        assert_int_equal(index_of(f->db), 3);
    }
    (void)snprintf(dir, sizeof dir, "%s", fixture_path(f, "copy"));
    write_with_index(f, UINT64_MAX, 10);
    expect_ok(loam_checkpoint(f->db, dir, NULL));
    loam_db *copy;
    loam_options options = fixture_options();
    options.read_only = true;
    expect_ok(loam_open(dir, &options, &copy));
    assert_true(index_of(copy) == UINT64_MAX);
    expect_ok(loam_close(copy));
    fixture_close(f);
    expect_ok(loam_repair(f->store, fixture_path(f, "repaired"), NULL, NULL));
    expect_ok(loam_open(fixture_path(f, "repaired"), NULL, &copy));
    assert_int_equal(index_of(copy), 0);
    expect_text(copy, NULL, "a", "2");
    expect_ok(loam_close(copy));
}

static void an_index_is_a_number_and_stands_with_an_entry(void **state)
{
    struct fixture *f = *state;
    loam_batch *batch = loam_batch_new();
    expect_failure(LOAM_INVALID, "NULL", loam_batch_set_index(NULL, 1));
    expect_failure(LOAM_INVALID, "index 0", loam_batch_set_index(batch, 0));
    expect_failure(LOAM_INVALID, "NULL", loam_index(f->db, NULL));
    expect_ok(loam_batch_set_index(batch, 5));
    expect_failure(LOAM_INVALID, "no entry", loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_clear(batch);
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT)); /* it has gone, too */
    expect_ok(loam_batch_put_ttl(batch, NULL, loam_str("k"), loam_str("v"), 3600000));
    expect_ok(loam_batch_set_index(batch, 6)); /* and stays when what expires is stamped */
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    assert_int_equal(index_of(f->db), 6);
    loam_batch_free(batch);
}

static void an_index_of_a_dropped_collection_stays(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    expect_ok(loam_create(f->db, "gone", NULL, &coll));
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_batch_put(batch, coll, loam_str("k"), loam_str("v")));
    expect_ok(loam_batch_set_index(batch, 9));
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    expect_ok(loam_drop(f->db, "gone"));
    put_text(f->db, NULL, "a", "1");
    expect_ok(loam_flush(f->db, NULL));
    fixture_reopen(f);
    assert_int_equal(index_of(f->db), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(each_kind_is_told_in_its_order),
        test_open(a_batch_is_told_whole_and_begun_in_its_midst),
        test_open(names_are_those_of_the_moment_or_none),
        test_open(values_of_megabytes_come_whole),
        test_open(nothing_comes_within_the_time),
        test_open(who_waits_is_woken),
        test_closed(the_log_stays_for_who_reads_it),
        test_closed(who_falls_behind_is_told_the_oldest_there_is),
        test_open(after_reopening_it_goes_on_where_it_was),
        test_closed(feed_bytes_are_kept_for_who_comes_later),
        test_closed(more_than_feed_bytes_is_not_kept),
        test_open(bad_calls_are_refused_in_words),
        test_open(a_shorter_event_is_filled_as_far_as_it_goes),
        test_open(an_index_is_where_its_commit_is),
        test_open(an_index_is_a_number_and_stands_with_an_entry),
        test_open(an_index_of_a_dropped_collection_stays),
    };
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
