/*
 * test_results.c - statuses, messages, out-parameters and buffers.
 */
#include "../lib/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

static void success_is_zero_answers_are_positive_failures_negative(void **state)
{
    (void)state;
    static const loam_status answers[] = {LOAM_NOTFOUND, LOAM_CONFLICT, LOAM_EXISTS};
    static const loam_status failures[] = {LOAM_NOMEM,   LOAM_INVALID, LOAM_MISUSE, LOAM_IOERR,
                                           LOAM_CORRUPT, LOAM_LOCKED,  LOAM_BUSY,   LOAM_READONLY,
                                           LOAM_TOOBIG,  LOAM_FULL,    LOAM_TOONEW};
    assert_int_equal(LOAM_OK, 0);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        assert_true(answers[i] > 0);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        assert_true(failures[i] < 0);
}

static void every_status_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(loam_status_name(LOAM_OK), "LOAM_OK");
    assert_string_equal(loam_status_name(LOAM_EXISTS), "LOAM_EXISTS");
    assert_string_equal(loam_status_name(LOAM_CORRUPT), "LOAM_CORRUPT");
    assert_string_equal(loam_status_name(LOAM_TOONEW), "LOAM_TOONEW");
    for (int rc = LOAM_TOONEW; rc <= (int)LOAM_EXISTS; rc++)
        assert_string_not_equal(loam_status_name((loam_status)rc), "LOAM_UNKNOWN");
    assert_non_null(loam_status_name((loam_status)-1000));
    assert_non_null(loam_status_name((loam_status)1000));
}

static void the_linked_library_is_of_the_header(void **state)
{
    char text[32];
    (void)state;
    snprintf(text, sizeof text, "%d.%d.%d", LOAM_VERSION_NUMBER / 1000000,
             LOAM_VERSION_NUMBER / 1000 % 1000, LOAM_VERSION_NUMBER % 1000);
    assert_int_equal(loam_version_number(), LOAM_VERSION_NUMBER);
    assert_string_equal(text, LOAM_VERSION);
}

static void errno_stands_behind_an_ioerr_only(void **state)
{
    struct fixture *f = *state;
    loam_db *db;
    char path[512];
    snprintf(path, sizeof path, "%s/missing/store", f->home);
    expect_failure(LOAM_IOERR, path, loam_open(path, NULL, &db));
    assert_int_equal(loam_errno(), ENOENT);
    expect_status(LOAM_INVALID, loam_open("", NULL, &db));
    assert_int_equal(loam_errno(), 0);
}

static void an_answer_or_a_success_leaves_the_message_of_the_latest_failure(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    expect_status(LOAM_INVALID, loam_get(f->db, NULL, loam_str("k"), NULL));
    char said[600];
    snprintf(said, sizeof said, "%s", loam_errmsg());
    assert_true(said[0] != '\0');
    expect_status(LOAM_NOTFOUND, loam_get(f->db, NULL, loam_str("k"), &value));
    put_text(f->db, NULL, "k", "v");
    assert_string_equal(loam_errmsg(), said);
}

static void *fail_elsewhere(void *arg)
{
    loam_db *db;
    bool *own = arg;
    *own = loam_errmsg()[0] == '\0' && loam_open(NULL, NULL, &db) == LOAM_INVALID &&
           loam_errmsg()[0] != '\0';
    return NULL;
}

static void each_thread_has_a_message_of_its_own(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    bool own = false;
    char said[600];
    expect_status(LOAM_TOOBIG, loam_create(f->db,
                                           "12345678901234567890123456789012345678901234567890"
                                           "12345678901234567890123456789012345678901234567890"
                                           "12345678901234567890123456789012345678901234567890"
                                           "12345678901234567890123456789012345678901234567890"
                                           "12345678901234567890123456789012345678901234567890"
                                           "123456",
                                           NULL, NULL));
    snprintf(said, sizeof said, "%s", loam_errmsg());
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &own), 0);
    pthread_join(thread, NULL);
    assert_true(own);
    assert_string_equal(loam_errmsg(), said);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void ignore_name(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
}

static void a_null_database_is_invalid_everywhere(void **state)
{
    (void)state;
    loam_coll *coll;
    loam_snapshot *snap;
    loam_iter *it;
    loam_buf value = {0};
    loam_batch *batch = loam_batch_new();
    loam_stats stats = {.struct_size = sizeof stats};
    loam_coll_stats coll_stats = {.struct_size = sizeof coll_stats};
    const loam_slice k = loam_str("k");
    expect_failure(LOAM_INVALID, "NULL", loam_create(NULL, "c", NULL, &coll));
    expect_status(LOAM_INVALID, loam_collection(NULL, "c", &coll));
    expect_status(LOAM_INVALID, loam_rename(NULL, "c", "d"));
    expect_status(LOAM_INVALID, loam_drop(NULL, "c"));
    expect_status(LOAM_INVALID, loam_collections(NULL, ignore_name, NULL));
    expect_status(LOAM_INVALID, loam_put(NULL, NULL, k, k));
    expect_status(LOAM_INVALID, loam_delete(NULL, NULL, k));
    expect_status(LOAM_INVALID, loam_get(NULL, NULL, k, &value));
    expect_status(LOAM_INVALID, loam_get_at(NULL, NULL, NULL, k, &value));
    expect_status(LOAM_INVALID, loam_exists(NULL, NULL, k));
    expect_status(LOAM_INVALID, loam_write(NULL, batch, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_INVALID, loam_sync(NULL));
    expect_status(LOAM_INVALID, loam_snapshot_open(NULL, &snap));
    expect_status(LOAM_INVALID, loam_iter_open(NULL, NULL, NULL, &it));
    expect_status(LOAM_INVALID, loam_stats_get(NULL, &stats));
    expect_status(LOAM_INVALID, loam_coll_stats_get(NULL, NULL, &coll_stats));
    expect_status(LOAM_INVALID, loam_flush(NULL, NULL));
    expect_status(LOAM_INVALID, loam_compact(NULL, NULL, NULL));
    expect_status(LOAM_INVALID, loam_verify_open(NULL, NULL, NULL));
    loam_batch_free(batch);
}

static void other_null_arguments_are_invalid(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    const loam_slice k = loam_str("k"), broken = {NULL, 3};
    loam_buf value = {0};
    expect_status(LOAM_INVALID, loam_open(f->store, NULL, NULL));
    expect_status(LOAM_INVALID, loam_collection(f->db, NULL, &coll));
    expect_status(LOAM_INVALID, loam_collection(f->db, "c", NULL));
    expect_status(LOAM_INVALID, loam_create(f->db, NULL, NULL, &coll));
    expect_status(LOAM_INVALID, loam_rename(f->db, NULL, "a"));
    expect_status(LOAM_INVALID, loam_rename(f->db, "a", NULL));
    expect_status(LOAM_INVALID, loam_drop(f->db, NULL));
    expect_status(LOAM_INVALID, loam_collections(f->db, NULL, NULL));
    expect_status(LOAM_INVALID, loam_get(f->db, NULL, k, NULL));
    expect_status(LOAM_INVALID, loam_snapshot_open(f->db, NULL));
    expect_status(LOAM_INVALID, loam_iter_open(f->db, NULL, NULL, NULL));
    expect_status(LOAM_INVALID, loam_write(f->db, NULL, LOAM_DURABLE_DEFAULT));
    expect_status(LOAM_INVALID, loam_batch_put(NULL, NULL, k, k));
    expect_status(LOAM_INVALID, loam_batch_delete(NULL, NULL, k));
    expect_status(LOAM_INVALID, loam_stats_get(f->db, NULL));
    expect_status(LOAM_INVALID, loam_coll_stats_get(f->db, NULL, NULL));
    expect_status(LOAM_INVALID, loam_verify(NULL, NULL, NULL));
    expect_status(LOAM_INVALID, loam_iter_next(NULL));
    expect_status(LOAM_INVALID, loam_put(f->db, NULL, broken, k));
    expect_status(LOAM_INVALID, loam_put(f->db, NULL, k, broken));
    expect_status(LOAM_INVALID, loam_delete(f->db, NULL, broken));
    expect_status(LOAM_INVALID, loam_get(f->db, NULL, broken, &value));
    expect_status(LOAM_INVALID, loam_exists(f->db, NULL, broken));
    assert_string_equal(keys_forward(f->db, NULL, NULL), "");
}

static void an_out_parameter_is_null_after_a_failure(void **state)
{
    struct fixture *f = *state;
    loam_db *db = (loam_db *)state;
    loam_coll *coll = (loam_coll *)state;
    loam_iter *it = (loam_iter *)state;
    loam_snapshot *snap = (loam_snapshot *)state;
    const loam_range range = {.flags = 1u << 31};
    expect_status(LOAM_INVALID, loam_open("", NULL, &db));
    assert_null(db);
    db = (loam_db *)state;
    expect_status(LOAM_LOCKED, loam_open(f->store, NULL, &db));
    assert_null(db);
    expect_status(LOAM_INVALID, loam_create(f->db, "", NULL, &coll));
    assert_null(coll);
    coll = (loam_coll *)state;
    expect_status(LOAM_NOTFOUND, loam_collection(f->db, "not there", &coll));
    assert_null(coll);
    coll = (loam_coll *)state;
    expect_status(LOAM_INVALID, loam_collection(f->db, "", &coll));
    assert_null(coll);
    expect_status(LOAM_INVALID, loam_iter_open(f->db, NULL, &range, &it));
    assert_null(it);
    expect_status(LOAM_INVALID, loam_snapshot_open(NULL, &snap));
    assert_null(snap);
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void a_buffer_grows_is_replaced_and_can_be_used_again(void **state)
{
    struct fixture *f = *state;
    loam_buf value = {0};
    put_text(f->db, NULL, "long", "a longer value than the other one");
    put_text(f->db, NULL, "short", "s");
    expect_ok(loam_get(f->db, NULL, loam_str("short"), &value));
    assert_int_equal(value.len, 1);
    expect_ok(loam_get(f->db, NULL, loam_str("long"), &value));
    assert_int_equal(value.len, 33);
    assert_true(value.cap >= value.len);
    expect_ok(loam_get(f->db, NULL, loam_str("short"), &value));
    assert_int_equal(value.len, 1);
    assert_memory_equal(value.data, "s", 1);
    loam_buf_free(&value);
    assert_null(value.data);
    assert_int_equal(value.len + value.cap, 0);
    expect_ok(loam_get(f->db, NULL, loam_str("long"), &value));
    assert_memory_equal(value.data, "a longer", 8);
    loam_buf_free(&value);
    loam_buf_free(&value);
    loam_buf_free(NULL);
}

static void a_slice_is_borrowed_for_the_call_only(void **state)
{
    struct fixture *f = *state;
    char key[] = "key", value[] = "value";
    loam_batch *batch = loam_batch_new();
    expect_ok(loam_put(f->db, NULL, loam_str(key), loam_str(value)));
    key[0] = 'b';
    expect_ok(loam_batch_put(batch, NULL, loam_str(key), loam_str(value)));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    expect_ok(loam_write(f->db, batch, LOAM_DURABLE_DEFAULT));
    loam_batch_free(batch);
    expect_text(f->db, NULL, "key", "value");
    expect_text(f->db, NULL, "bey", "value");
    expect_text(f->db, NULL, "xxx", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_zero_answers_are_positive_failures_negative),
        cmocka_unit_test(every_status_has_its_name),
        cmocka_unit_test(the_linked_library_is_of_the_header),
        test_closed(errno_stands_behind_an_ioerr_only),
        test_open(an_answer_or_a_success_leaves_the_message_of_the_latest_failure),
        test_open(each_thread_has_a_message_of_its_own),
        cmocka_unit_test(a_null_database_is_invalid_everywhere),
        test_open(other_null_arguments_are_invalid),
        test_open(an_out_parameter_is_null_after_a_failure),
        test_open(a_buffer_grows_is_replaced_and_can_be_used_again),
        test_open(a_slice_is_borrowed_for_the_call_only),
    };
    return cmocka_run_group_tests_name("api/results", tests, NULL, NULL);
}
