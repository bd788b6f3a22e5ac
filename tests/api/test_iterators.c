/*
 * test_iterators.c - moves, ends, turning round, bounds and prefixes, over memtables and tables alike.
 */
#include "../lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* a c e g i, spread over a table, a memtable, older versions and tombstones in between. */
static void fill(struct fixture *f)
{
    put_text(f->db, NULL, "a", "old");
    put_text(f->db, NULL, "b", "deleted later");
    put_text(f->db, NULL, "e", "E");
    put_text(f->db, NULL, "h", "deleted later");
    expect_ok(loam_flush(f->db, NULL));
    put_text(f->db, NULL, "a", "A");
    put_text(f->db, NULL, "c", "C");
    expect_ok(loam_delete(f->db, NULL, loam_str("b")));
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_delete(f->db, NULL, loam_str("h")));
    put_text(f->db, NULL, "g", "old");
    put_text(f->db, NULL, "g", "G");
    put_text(f->db, NULL, "i", "I");
    put_text(f->db, NULL, "j", "deleted at once");
    expect_ok(loam_delete(f->db, NULL, loam_str("j")));
}

static int set_up(void **state)
{
    fixture_set_up_open(state);
    fill(*state);
    return 0;
}

static loam_iter *open_over(struct fixture *f, const loam_range *range)
{
    loam_iter *it = NULL;
    expect_ok(loam_iter_open(f->db, NULL, range, &it));
    return it;
}

/* The iterator stands on this key, whose value is its capital; or, with NULL, nowhere. */
#define expect_at(it, key) check_at(it, key, __FILE__, __LINE__)
static void check_at(const loam_iter *it, const char *key, const char *file, int line)
{
    const loam_slice found = loam_iter_key(it), value = loam_iter_value(it);
    bool as_expected = key == NULL ? found.data == NULL && found.len == 0 && value.data == NULL
                                   : found.len == strlen(key);
    if (as_expected && key != NULL)
        as_expected = memcmp(found.data, key, found.len) == 0 && value.len == 1 &&
                      *(const char *)value.data == key[0] - 'a' + 'A';
    if (as_expected) return;
    print_error("at '%.*s', not at '%s'\n", (int)found.len, (const char *)found.data,
                key == NULL ? "nowhere" : key);
    _fail(file, line);
}

/* A script of moves: n next, p prev, f first, l last, s? seek, b? seek_back; then what is found: a key or . */
static void play(loam_iter *it, const char *script)
{
    for (const char *at = script; *at != '\0';) {
        const char move = *at++;
        loam_slice key = {NULL, 0};
        loam_status rc = LOAM_INVALID;
        if (move == ' ') continue;
        if (move == 's' || move == 'b') key = loam_bytes(at++, 1);
        if (move == 'n') rc = loam_iter_next(it);
        if (move == 'p') rc = loam_iter_prev(it);
        if (move == 'f') rc = loam_iter_first(it);
        if (move == 'l') rc = loam_iter_last(it);
        if (move == 's') rc = loam_iter_seek(it, key);
        if (move == 'b') rc = loam_iter_seek_back(it, key);
        const char expected[2] = {*at++, '\0'};
        const bool nowhere = expected[0] == '.';
        if (rc != (nowhere ? LOAM_NOTFOUND : LOAM_OK))
            fail_msg("'%s', before '%s': %s", script, at, loam_status_name(rc));
        check_at(it, nowhere ? NULL : expected, script, (int)(at - script));
    }
}

static void play_alone(struct fixture *f, const loam_range *range, const char *script)
{
    loam_iter *it = open_over(f, range);
    expect_at(it, NULL);
    play(it, script);
    loam_iter_close(it);
}

static void moves_do_as_the_header_says(void **state)
{
    struct fixture *f = *state;
    /* A fresh one: next goes to the first, prev to the last. */
    play_alone(f, NULL, "na nc ne ng ni");
    play_alone(f, NULL, "pi pg pe pc pa");
    play_alone(f, NULL, "na nc ne ng ni n. n. n. pi pg");
    play_alone(f, NULL, "pi pg pe pc pa p. p. p. na nc");
    play_alone(f, NULL, "fa fa li li fa");
    play_alone(f, NULL, "li n. pi n. n. pi pg");
    play_alone(f, NULL, "fa p. na p. p. na nc");
    play_alone(f, NULL, "fa nc pa nc ne pc pa p. na");
    play_alone(f, NULL, "li pg ni pg pe ng ni n. pi");
}

static void seek_finds_the_first_at_or_after(void **state)
{
    struct fixture *f = *state;
    play_alone(f, NULL, "saa sbc scc sde see sfg sgg shi sii sj. sz.");
    play_alone(f, NULL, "sbc ne pc pa p.");
    play_alone(f, NULL, "sz. pi");
    play_alone(f, NULL, "sz. n. pi");
}

static void seek_back_finds_the_last_at_or_before(void **state)
{
    struct fixture *f = *state;
    play_alone(f, NULL, "baa bba bcc bdc bee bfe bgg bhg bii bji bzi");
    play_alone(f, NULL, "bba nc");
    play_alone(f, NULL, "bfe ng");
    play_alone(f, NULL, "bfe pc ne");
    play_alone(f, NULL, "b@. na");
    play_alone(f, NULL, "b@. p. na");
}

static void a_range_is_from_inclusive_to_exclusive(void **state)
{
    struct fixture *f = *state;
    const loam_range ce = {.from = loam_str("c"), .to = loam_str("g")};
    const loam_range bf = {.from = loam_str("b"), .to = loam_str("f")};
    const loam_range from = {.from = loam_str("f")}, to = {.to = loam_str("d")};
    const loam_range none = {.from = loam_str("c"), .to = loam_str("c")};
    const loam_range inverted = {.from = loam_str("g"), .to = loam_str("b")};
    play_alone(f, &ce, "nc ne n. pe pc p. nc");
    play_alone(f, &bf, "pe pc p. nc ne n.");
    play_alone(f, &from, "fg ni n. pi pg p.");
    play_alone(f, &to, "lc pa p. na nc n. pc");
    play_alone(f, &none, "n. p. f. l. sa. bz.");
    play_alone(f, &inverted, "n. p. f. l. sa. bz. sg. bg.");
}

static void seeks_stay_within_the_range(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.from = loam_str("b"), .to = loam_str("g")};
    play_alone(f, &range, "sac see sf. sz. pe");
    play_alone(f, &range, "bze bge bee bdc ba. nc");
    play_alone(f, &range, "sac p. nc ne n. pe");
}

static void a_null_range_and_a_zero_range_are_the_whole_collection(void **state)
{
    struct fixture *f = *state;
    loam_range zero;
    memset(&zero, 0, sizeof zero);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a c e g i");
    assert_string_equal(keys_forward(f->db, NULL, &zero), "a c e g i");
    assert_string_equal(keys_backward(f->db, NULL, &zero), "i g e c a");
}

static void the_bounds_are_borrowed_for_the_call_only(void **state)
{
    struct fixture *f = *state;
    char from[] = "b", to[] = "h";
    const loam_range range = {.from = loam_str(from), .to = loam_str(to)};
    loam_iter *it = open_over(f, &range);
    from[0] = to[0] = 'z';
    play(it, "nc ne ng n. lg fc");
    loam_iter_close(it);
}

static void unknown_flags_fields_and_mixtures_are_invalid(void **state)
{
    struct fixture *f = *state;
    loam_iter *it;
    const loam_slice a = loam_str("a"), broken = {NULL, 2};
    const loam_range bad[] = {
        {.flags = 2},           {.reserved = {0, 0, 0, 1}}, {.prefix = a, .from = a},
        {.prefix = a, .to = a}, {.from = broken},           {.to = broken},
        {.prefix = broken}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_status(LOAM_INVALID, loam_iter_open(f->db, NULL, &bad[i], &it));
}

static void keys_only_reads_no_values(void **state)
{
    struct fixture *f = *state;
    const loam_range range = {.flags = LOAM_KEYS_ONLY};
    for (int round = 0; round < 2; round++) {
        loam_iter *it = open_over(f, &range);
        assert_string_equal(keys_forward(f->db, NULL, &range), "a c e g i");
        assert_string_equal(keys_backward(f->db, NULL, &range), "i g e c a");
        expect_ok(loam_iter_next(it));
        assert_null(loam_iter_value(it).data);
        assert_int_equal(loam_iter_value(it).len, 0);
        expect_ok(loam_iter_last(it));
        assert_null(loam_iter_value(it).data);
        loam_iter_close(it);
        expect_ok(loam_flush(f->db, NULL));
    }
}

static void an_iterator_sees_the_moment_of_its_opening(void **state)
{
    struct fixture *f = *state;
    loam_iter *it = open_over(f, NULL);
    put_text(f->db, NULL, "a", "Z");
    put_text(f->db, NULL, "d", "D");
    expect_ok(loam_delete(f->db, NULL, loam_str("e")));
    play(it, "na nc ne");
    expect_ok(loam_flush(f->db, NULL));
    expect_ok(loam_compact(f->db, NULL, NULL));
    play(it, "ng ni n. pi pg pe pc pa p. na");
    loam_iter_close(it);
    assert_string_equal(keys_forward(f->db, NULL, NULL), "a c d g i");
}

static void an_empty_collection_has_two_ends_and_nothing_between(void **state)
{
    struct fixture *f = *state;
    loam_coll *coll;
    loam_iter *it;
    expect_ok(loam_create(f->db, "empty", NULL, &coll));
    expect_ok(loam_iter_open(f->db, coll, NULL, &it));
    play(it, "n. n. p. p. n. f. l. sa. ba. s\xff. b\xff.");
    loam_iter_close(it);
}

static void the_accessors_of_null_stand_nowhere(void **state)
{
    (void)state;
    assert_null(loam_iter_key(NULL).data);
    assert_null(loam_iter_value(NULL).data);
    expect_status(LOAM_INVALID, loam_iter_prev(NULL));
    expect_status(LOAM_INVALID, loam_iter_seek(NULL, loam_str("a")));
}

static void a_seek_takes_any_slice(void **state)
{
    struct fixture *f = *state;
    uint8_t *long_key = fixture_bytes(100000, 1);
    const loam_slice broken = {NULL, 2};
    loam_iter *it = open_over(f, NULL);
    memset(long_key, 'c', 100000);
    expect_ok(loam_iter_seek(it, loam_bytes(NULL, 0)));
    expect_at(it, "a");
    expect_status(LOAM_NOTFOUND, loam_iter_seek_back(it, loam_bytes(NULL, 0)));
    expect_ok(loam_iter_seek(it, loam_bytes(long_key, 100000)));
    expect_at(it, "e");
    expect_ok(loam_iter_seek_back(it, loam_bytes(long_key, 100000)));
    expect_at(it, "c");
    expect_status(LOAM_INVALID, loam_iter_seek(it, broken));
    expect_status(LOAM_INVALID, loam_iter_seek_back(it, broken));
    loam_iter_close(it);
    free(long_key);
}

#define test_filled(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_filled(moves_do_as_the_header_says),
        test_filled(seek_finds_the_first_at_or_after),
        test_filled(seek_back_finds_the_last_at_or_before),
        test_filled(a_range_is_from_inclusive_to_exclusive),
        test_filled(seeks_stay_within_the_range),
        test_filled(a_null_range_and_a_zero_range_are_the_whole_collection),
        test_filled(the_bounds_are_borrowed_for_the_call_only),
        test_filled(unknown_flags_fields_and_mixtures_are_invalid),
        test_filled(keys_only_reads_no_values),
        test_filled(an_iterator_sees_the_moment_of_its_opening),
        test_filled(an_empty_collection_has_two_ends_and_nothing_between),
        test_filled(the_accessors_of_null_stand_nowhere),
        test_filled(a_seek_takes_any_slice),
    };
    return cmocka_run_group_tests_name("api/iterators", tests, NULL, NULL);
}
