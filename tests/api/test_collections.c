/*
 * test_collections.c - names, and what happens to a collection under its name.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ----------------------------------------------------------------------------------- */

static void names_are_1_to_255_bytes(void **state)
{
    struct fixture *f = *state;
    char name[300];
    loam_coll *coll;
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    expect_ok(loam_create(f->db, name, NULL, &coll));
    expect_ok(loam_collection(f->db, name, &coll));
    name[255] = 'n';
    name[256] = '\0';
    expect_failure(LOAM_TOOBIG, "255", loam_create(f->db, name, NULL, &coll));
    expect_status(LOAM_TOOBIG, loam_collection(f->db, name, &coll));
    expect_status(LOAM_TOOBIG, loam_rename(f->db, "default", name));
    name[1] = '\0';
    expect_ok(loam_create(f->db, name, NULL, &coll));
    expect_failure(LOAM_INVALID, "empty", loam_create(f->db, "", NULL, &coll));
}

static void utf8_blanks_and_punctuation_are_names(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {
        " ",
        "a b",
        ".",
        "..",
        "-rf *",
        "Default",
        "\"quoted\"",
        "back\\slash",
        "\xc3\xa9t\xc3\xa9",
        "\xe6\x97\xa5\xe6\x9c\xac",
        "\xf0\x9f\x90\xa6",
        "\xc2\xa0",                 /* the first after the controls of Latin-1 */
        "\xed\x9f\xbf\xee\x80\x80", /* around the surrogates */
        "\xf4\x8f\xbf\xbf",         /* the last of all */
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        loam_coll *coll;
        expect_ok(loam_create(f->db, good[i], NULL, &coll));
        put_text(f->db, coll, "k", good[i]);
    }
    fixture_reopen(f);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        loam_coll *coll;
        expect_ok(loam_collection(f->db, good[i], &coll));
        expect_text(f->db, coll, "k", good[i]);
    }
}

static void bytes_that_are_no_text_are_refused_in_every_call(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "a\nb", /* controls */
        "\x01",
        "\x1f",
        "tab\there",
        "\x7f",
        "a/b", /* a path */
        "/",
        "\xc2\x80", /* controls of Latin-1 */
        "\xc2\x9f",
        "\x80", /* a continuation without a beginning */
        "\xbf tail",
        "\xc3", /* cut short */
        "\xe6\x97",
        "\xf0\x9f\x90",
        "\xc3(",
        "\xc0\x80", /* overlong */
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", /* beyond the last */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
    };
    expect_ok(loam_create(f->db, "there", NULL, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        loam_coll *coll;
        expect_failure(LOAM_INVALID, "name", loam_create(f->db, bad[i], NULL, &coll));
        expect_status(LOAM_INVALID, loam_collection(f->db, bad[i], &coll));
        expect_status(LOAM_INVALID, loam_rename(f->db, "there", bad[i]));
        expect_status(LOAM_INVALID, loam_drop(f->db, bad[i]));
    }
}

/* ---- default ---------------------------------------------------------------------------------- */

static void default_is_always_there_and_is_what_null_means(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll, *again;
    expect_ok(loam_collection(f->db, "default", &coll));
    put_text(f->db, coll, "k", "v");
    expect_text(f->db, NULL, "k", "v");
    expect_status(LOAM_EXISTS, loam_create(f->db, "default", NULL, &again));
    assert_ptr_equal(coll, again);
    expect_failure(LOAM_INVALID, "default", loam_drop(f->db, "default"));
    expect_failure(LOAM_INVALID, "default", loam_rename(f->db, "default", "else"));
    expect_ok(loam_create(f->db, "other", NULL, NULL));
    expect_status(LOAM_EXISTS, loam_rename(f->db, "other", "default"));
    expect_text(f->db, NULL, "k", "v");
}

/* ---- create, rename, drop ---------------------------------------------------------------------- */

static void create_gives_the_one_that_is_there_with_exists(void **state)
{
    struct fixture *f = *state;
    loam_coll *first, *second;
    expect_ok(loam_create(f->db, "c", NULL, &first));
    put_text(f->db, first, "k", "v");
    expect_status(LOAM_EXISTS, loam_create(f->db, "c", NULL, &second));
    assert_ptr_equal(first, second);
    expect_text(f->db, second, "k", "v");
    expect_ok(loam_collection(f->db, "c", &second));
    assert_ptr_equal(first, second);
}

static void collections_are_separate_key_spaces(void **state)
{
    struct fixture *f = *state;
    loam_coll *a, *b;
    expect_ok(loam_create(f->db, "a", NULL, &a));
    expect_ok(loam_create(f->db, "b", NULL, &b));
    put_text(f->db, a, "k", "in a");
    put_text(f->db, b, "k", "in b");
    expect_ok(loam_delete(f->db, a, loam_str("k")));
    expect_text(f->db, a, "k", NULL);
    expect_text(f->db, b, "k", "in b");
    expect_text(f->db, NULL, "k", NULL);
}

static void a_handle_follows_a_rename(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll, *found;
    expect_ok(loam_create(f->db, "old", NULL, &coll));
    put_text(f->db, coll, "k", "v");
    expect_ok(loam_rename(f->db, "old", "new"));
    expect_text(f->db, coll, "k", "v");
    put_text(f->db, coll, "k2", "v2");
    expect_status(LOAM_NOTFOUND, loam_collection(f->db, "old", &found));
    expect_ok(loam_collection(f->db, "new", &found));
    assert_ptr_equal(coll, found);
    expect_ok(loam_create(f->db, "old", NULL, &found)); /* the name is free again */
    expect_text(f->db, found, "k", NULL);
    fixture_reopen(f);
    expect_ok(loam_collection(f->db, "new", &coll));
    expect_text(f->db, coll, "k2", "v2");
}

static void rename_answers_what_it_finds(void **state)
{
    struct fixture *f = *state;
    expect_ok(loam_create(f->db, "a", NULL, NULL));
    expect_ok(loam_create(f->db, "b", NULL, NULL));
    expect_status(LOAM_NOTFOUND, loam_rename(f->db, "c", "d"));
    expect_status(LOAM_EXISTS, loam_rename(f->db, "a", "b"));
    expect_ok(loam_rename(f->db, "a", "a"));
}

static void a_dropped_collection_is_misuse_and_its_name_is_free(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll, *again;
    loam_buf value = {0};
    loam_iter *it;
    loam_coll_stats stats = {.struct_size = sizeof stats};
    const loam_slice k = loam_str("k");
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    put_text(f->db, coll, "k", "v");
    expect_ok(loam_drop(f->db, "c"));
    expect_status(LOAM_NOTFOUND, loam_drop(f->db, "c"));
    expect_failure(LOAM_MISUSE, "dropped", loam_put(f->db, coll, k, k));
    expect_status(LOAM_MISUSE, loam_delete(f->db, coll, k));
    expect_status(LOAM_MISUSE, loam_get(f->db, coll, k, &value));
    expect_status(LOAM_MISUSE, loam_exists(f->db, coll, k));
    expect_status(LOAM_MISUSE, loam_iter_open(f->db, coll, NULL, &it));
    expect_status(LOAM_MISUSE, loam_flush(f->db, coll));
    expect_status(LOAM_MISUSE, loam_compact(f->db, coll, NULL));
    expect_status(LOAM_MISUSE, loam_coll_stats_get(f->db, coll, &stats));
    expect_ok(loam_create(f->db, "c", NULL, &again));
    assert_ptr_not_equal(coll, again);
    expect_text(f->db, again, "k", NULL);
    expect_status(LOAM_MISUSE, loam_exists(f->db, coll, k));
    fixture_reopen(f);
    expect_ok(loam_collection(f->db, "c", &coll));
    expect_text(f->db, coll, "k", NULL);
}

static void iterators_opened_before_a_drop_go_on(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    loam_iter *it;
    char key[16];
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%05d", i);
        put_text(f->db, coll, key, key);
        if (i == 999) expect_ok(loam_flush(f->db, coll));
    }
    expect_ok(loam_iter_open(f->db, coll, NULL, &it));
    for (int i = 0; i < 500; i++)
        expect_ok(loam_iter_next(it));
    expect_ok(loam_drop(f->db, "c"));
    put_text(f->db, NULL, "after", "v");
    expect_ok(loam_flush(f->db, NULL));
    for (int i = 500; i < 2000; i++) {
        snprintf(key, sizeof key, "%05d", i);
        expect_ok(loam_iter_next(it));
        assert_memory_equal(loam_iter_key(it).data, key, 5);
        assert_memory_equal(loam_iter_value(it).data, key, 5);
    }
    expect_status(LOAM_NOTFOUND, loam_iter_next(it));
    expect_ok(loam_iter_first(it));
    loam_iter_close(it);
}

static void a_drop_gives_the_disk_back_by_itself(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    loam_stats full = {.struct_size = sizeof full}, empty = {.struct_size = sizeof empty};
    uint8_t *bytes = fixture_bytes(4 << 20, 3);
    expect_ok(loam_create(f->db, "c", NULL, &coll));
    expect_ok(loam_put(f->db, coll, loam_str("k"), loam_bytes(bytes, 4 << 20)));
    expect_ok(loam_flush(f->db, coll));
    expect_ok(loam_stats_get(f->db, &full));
    expect_ok(loam_drop(f->db, "c"));
    char path[512];
    fixture_reopen(f);
    expect_ok(loam_stats_get(f->db, &empty));
    assert_true(empty.disk_bytes + (4 << 20) <= full.disk_bytes);
    assert_false(fixture_find_file(f, ".sst", path));
    free(bytes);
}

/* ---- listing ---------------------------------------------------------------------------------- */

static void join_name(void *ctx, const char *name)
{
    strcat(ctx, name);
    strcat(ctx, " ");
}

static void listing_is_in_order_of_names(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"zebra", "b", "a", "aa", "Z", "\xc3\xa9", "e"};
    char joined[256] = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_ok(loam_create(f->db, names[i], NULL, NULL));
    expect_ok(loam_rename(f->db, "b", "y"));
    expect_ok(loam_drop(f->db, "e"));
    expect_ok(loam_collections(f->db, join_name, joined));
    assert_string_equal(joined, "Z a aa default y zebra \xc3\xa9 ");
    joined[0] = '\0';
    fixture_reopen(f);
    expect_ok(loam_collections(f->db, join_name, joined));
    assert_string_equal(joined, "Z a aa default y zebra \xc3\xa9 ");
}

static int change_and_die(struct fixture *f)
{
    loam_coll *coll;
    fixture_open(f, NULL);
    expect_ok(loam_create(f->db, "a", NULL, &coll));
    put_text(f->db, coll, "k", "v");
    expect_ok(loam_create(f->db, "b", NULL, NULL));
    expect_ok(loam_rename(f->db, "a", "c"));
    expect_ok(loam_drop(f->db, "b"));
    return 0;
}

static void changes_survive_the_death_of_their_process(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    struct fixture_child child = fixture_child_start(f, change_and_die);
    assert_int_equal(fixture_child_end(&child), 0);
    fixture_open(f, NULL);
    expect_ok(loam_collection(f->db, "c", &coll));
    expect_text(f->db, coll, "k", "v");
    expect_status(LOAM_NOTFOUND, loam_collection(f->db, "a", &coll));
    expect_status(LOAM_NOTFOUND, loam_collection(f->db, "b", &coll));
}

static void a_collection_of_another_database_is_invalid(void **state)
{
    struct fixture *f = *state;
    loam_db *other;
    loam_coll *theirs;
    loam_buf value = {0};
    expect_ok(loam_open(fixture_path(f, "other"), NULL, &other));
    expect_ok(loam_create(other, "c", NULL, &theirs));
    expect_failure(LOAM_INVALID, "another database",
                   loam_put(f->db, theirs, loam_str("k"), loam_str("v")));
    expect_status(LOAM_INVALID, loam_get(f->db, theirs, loam_str("k"), &value));
    expect_ok(loam_close(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(names_are_1_to_255_bytes),
        test_open(utf8_blanks_and_punctuation_are_names),
        test_open(bytes_that_are_no_text_are_refused_in_every_call),
        test_open(default_is_always_there_and_is_what_null_means),
        test_open(create_gives_the_one_that_is_there_with_exists),
        test_open(collections_are_separate_key_spaces),
        test_open(a_handle_follows_a_rename),
        test_open(rename_answers_what_it_finds),
        test_open(a_dropped_collection_is_misuse_and_its_name_is_free),
        test_open(iterators_opened_before_a_drop_go_on),
        test_open(a_drop_gives_the_disk_back_by_itself),
        test_open(listing_is_in_order_of_names),
        test_closed(changes_survive_the_death_of_their_process),
        test_open(a_collection_of_another_database_is_invalid),
    };
    return cmocka_run_group_tests_name("api/collections", tests, NULL, NULL);
}
