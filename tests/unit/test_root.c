/*
 * test_root.c - the root: it round-trips, and no damaged byte of it passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tree/root.h"

static const struct root a_root = {
    .store_id = "0123456789abcde",
    .epoch = 7,
    .log_key = UINT64_C(0x1122334455667788),
    .manifest = {7, 2},
    .manifest_end = 4096,
    .manifest_running = UINT64_MAX,
    .sealed = true,
    .log_end = 1 << 20,
    .log_running = 99,
};

static loam_status decode(const uint8_t *bytes, size_t len, struct root *root)
{
    void *exact = mem_copy(bytes, len);
    assert_non_null(exact);
    const loam_status rc = root_decode(loam_bytes(exact, len), "root", root);
    mem_free(exact);
    return rc;
}

static void a_root_comes_back_as_it_was(void **state)
{
    uint8_t bytes[ROOT_BYTES], again[ROOT_BYTES];
    struct root root;
    (void)state;
    root_encode(&a_root, bytes);
    assert_int_equal(decode(bytes, sizeof bytes, &root), LOAM_OK);
    assert_memory_equal(root.store_id, a_root.store_id, STORE_ID_BYTES);
    assert_int_equal(root.epoch, 7);
    assert_true(root.log_key == a_root.log_key);
    assert_true(object_id_equal(root.manifest, a_root.manifest));
    assert_int_equal(root.manifest_end, 4096);
    assert_true(root.manifest_running == UINT64_MAX);
    assert_true(root.sealed);
    assert_int_equal(root.log_end, 1 << 20);
    assert_int_equal(root.log_running, 99);
    root_encode(&root, again);
    assert_memory_equal(bytes, again, sizeof bytes);
}

static void every_changed_bit_is_noticed(void **state)
{
    uint8_t bytes[ROOT_BYTES];
    struct root root;
    (void)state;
    root_encode(&a_root, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode(bytes, sizeof bytes, &root) != LOAM_CORRUPT) fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void every_other_length_is_refused(void **state)
{
    uint8_t bytes[ROOT_BYTES + 1] = {0};
    struct root root;
    (void)state;
    root_encode(&a_root, bytes);
    for (size_t len = 0; len <= sizeof bytes; len++)
        if (len != ROOT_BYTES) assert_int_equal(decode(bytes, len, &root), LOAM_CORRUPT);
}

/* Sets a byte and makes the checksum right again. */
static loam_status decode_with(size_t at, uint8_t value, size_t len)
{
    uint8_t bytes[2 * ROOT_BYTES] = {0};
    struct root root;
    root_encode(&a_root, bytes);
    bytes[at] = value;
    put_u64(bytes, hash_seeded(bytes + 8, len - 8, 0));
    return decode(bytes, len, &root);
}

static void a_newer_format_of_any_length_is_too_new(void **state)
{
    (void)state;
    assert_int_equal(decode_with(13, ROOT_FORMAT + 1, ROOT_BYTES), LOAM_TOONEW);
    assert_int_equal(decode_with(13, ROOT_FORMAT + 1, 2 * ROOT_BYTES), LOAM_TOONEW);
    assert_int_equal(decode_with(13, 0, ROOT_BYTES), LOAM_CORRUPT);
    assert_int_equal(decode_with(13, ROOT_FORMAT, 2 * ROOT_BYTES), LOAM_CORRUPT);
}

static void what_must_be_zero_is_looked_at(void **state)
{
    static const size_t places[] = {15, 44, 47, 88, 127};
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        assert_int_equal(decode_with(places[i], 1, ROOT_BYTES), LOAM_CORRUPT);
    assert_int_equal(decode_with(14, 2, ROOT_BYTES), LOAM_CORRUPT);
    assert_int_equal(decode_with(12, 'S', ROOT_BYTES), LOAM_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_comes_back_as_it_was),
        cmocka_unit_test(every_changed_bit_is_noticed),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(a_newer_format_of_any_length_is_too_new),
        cmocka_unit_test(what_must_be_zero_is_looked_at),
    };
    return cmocka_run_group_tests_name("tree/root", tests, NULL, NULL);
}
