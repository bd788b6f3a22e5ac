/*
 * test_batch.c - entries of a commit as bytes: what is written is read, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "record/batch.h"

static void append(loam_buf *buf, uint8_t kind, uint32_t coll_id, loam_slice key, loam_slice value)
{
    uint8_t head[BATCH_HEAD_BYTES_MAX];
    const size_t len = batch_head_put(head, kind, coll_id, key.len, value.len);
    assert_true(len <= sizeof head);
    assert_int_equal(buf_append(buf, head, len), LOAM_OK);
    assert_int_equal(buf_append(buf, key.data, key.len), LOAM_OK);
    if (entry_has_value(kind)) assert_int_equal(buf_append(buf, value.data, value.len), LOAM_OK);
}

static void the_bytes_are_as_documented(void **state)
{
    (void)state;
    loam_buf buf = {0};
    append(&buf, ENTRY_PUT, 0, loam_str("key"), loam_str("value"));
    append(&buf, ENTRY_DELETE, 300, loam_str("k"), loam_bytes(NULL, 0));
    append(&buf, ENTRY_PUT, UINT32_MAX, loam_bytes(NULL, 0), loam_bytes(NULL, 0));
    append(&buf, ENTRY_DELETE_RANGE, 1, loam_str("from"), loam_str("to"));
    append(&buf, ENTRY_DELETE_RANGE, 1, loam_str(""), loam_str(""));
    append(&buf, ENTRY_PUT_EXPIRING, 1, loam_str("k"), loam_str("\1\2\3\4\5\6\7\10value"));
    append(&buf, ENTRY_MERGE, 2, loam_str("key"), loam_str("+1"));
    static const char expected[] = "\x01\x00\x03\x05keyvalue"
                                   "\x02\xac\x02\x01k"
                                   "\x01\xff\xff\xff\xff\x0f\x00\x00"
                                   "\x03\x01\x04\x02"
                                   "fromto"
                                   "\x03\x01\x00\x00"
                                   "\x05\x01\x01\x0dk\x01\x02\x03\x04\x05\x06\x07\x08value"
                                   "\x04\x02\x03\x02"
                                   "key+1";
    assert_int_equal(buf.len, sizeof expected - 1);
    assert_memory_equal(buf.data, expected, buf.len);
    loam_buf_free(&buf);
}

static void entries_come_back_in_order(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 65535};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    static uint8_t bytes[1 << 17];
    loam_buf buf = {0};
    struct entry entry;
    uint32_t coll_id;
    memset(bytes, 'b', sizeof bytes);
    for (uint32_t i = 0; i < COUNT; i++) {
        append(&buf, ENTRY_PUT, i * 1000003, loam_bytes(bytes, lengths[i]),
               loam_bytes(bytes, lengths[COUNT - 1 - i] * 2));
        append(&buf, ENTRY_DELETE, i, loam_bytes(bytes, lengths[i]), loam_bytes(NULL, 0));
        append(&buf, ENTRY_DELETE_RANGE, i, loam_bytes(bytes, lengths[i] / 2),
               loam_bytes(bytes, lengths[i]));
    }
    struct batch_reader reader = batch_reader_over(loam_bytes(buf.data, buf.len));
    for (uint32_t i = 0; i < COUNT; i++) {
        entry.seq = 77;
        assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_OK);
        assert_int_equal(entry.kind, ENTRY_PUT);
        assert_int_equal(coll_id, i * 1000003);
        assert_int_equal(entry.key.len, lengths[i]);
        assert_int_equal(entry.value.len, lengths[COUNT - 1 - i] * 2);
        assert_int_equal(entry.seq, 77);
        assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_OK);
        assert_int_equal(entry.kind, ENTRY_DELETE);
        assert_int_equal(entry.key.len, lengths[i]);
        assert_null(entry.value.data);
        assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_OK);
        assert_int_equal(entry.kind, ENTRY_DELETE_RANGE);
        assert_int_equal(entry.key.len, lengths[i] / 2);
        assert_int_equal(entry.value.len, lengths[i]);
    }
    assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_NOTFOUND);
    assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_NOTFOUND);
    loam_buf_free(&buf);
}

static void no_bytes_are_no_entries(void **state)
{
    (void)state;
    struct entry entry;
    uint32_t coll_id;
    struct batch_reader reader = batch_reader_over(loam_bytes(NULL, 0));
    assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_NOTFOUND);
    reader = batch_reader_over(loam_bytes("", 0));
    assert_int_equal(batch_next(&reader, &coll_id, &entry), LOAM_NOTFOUND);
}

static void what_no_writer_makes_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *why, *bytes;
        size_t len;
    } cases[] = {
        {"kind 0", "\x00\x00\x00\x00", 4},
        {"an operand over 1 GiB less 8 bytes", "\x04\x00\x00\xf9\xff\xff\xff\x03", 8},
        {"an operand cut short", "\x04\x00\x01\x02kv", 6},
        {"a range that ends where it begins", "\x03\x00\x01\x01kk", 6},
        {"a range that ends before it begins", "\x03\x00\x02\x01kkk", 7},
        {"a range's end of 65536 bytes", "\x03\x00\x00\x80\x80\x04", 6},
        {"an expiry cut short", "\x05\x00\x00\x07vvvvvvv", 11},
        {"kind 6", "\x06\x00\x00\x00", 4},
        {"kind 255", "\xff\x00\x00\x00", 4},
        {"a kind alone", "\x01", 1},
        {"no key length", "\x01\x00", 2},
        {"no value length", "\x01\x00\x00", 3},
        {"a varint that is not minimal", "\x02\x80\x00\x00", 4},
        {"a collection beyond 32 bits", "\x02\x80\x80\x80\x80\x10\x00", 7},
        {"a varint without an end", "\x02\xff\xff\xff", 4},
        {"a key of 65536 bytes", "\x02\x00\x80\x80\x04", 5},
        {"a value over 1 GiB", "\x01\x00\x00\x81\x80\x80\x80\x04", 8},
        {"a value length beyond 32 bits", "\x01\x00\x00\xff\xff\xff\xff\xff\x01", 9},
        {"a key cut short", "\x02\x00\x05kkkk", 7},
        {"a value cut short", "\x01\x00\x01\x02kv", 6},
        {"a value that is not there", "\x01\x00\x01\x01k", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry entry;
        uint32_t coll_id;
        /* An exact copy, so that a read beyond it is seen by a sanitizer. */
        uint8_t *exact = mem_copy(cases[i].bytes, cases[i].len);
        struct batch_reader reader = batch_reader_over(loam_bytes(exact, cases[i].len));
        if (batch_next(&reader, &coll_id, &entry) != LOAM_CORRUPT) fail_msg("%s", cases[i].why);
        mem_free(exact);
    }
}

static void every_truncation_is_corrupt_or_a_shorter_batch(void **state)
{
    (void)state;
    loam_buf buf = {0};
    size_t ends[20], count = 0;
    struct rand rand = {3};
    for (; count < 20; count++) {
        const uint64_t kind = 1 + rand_below(&rand, 2);
        append(
            &buf, (uint8_t)kind, (uint32_t)rand_next(&rand),
            loam_bytes("kkkkkkkkkkkkkkk", (size_t)rand_below(&rand, 15)),
            loam_bytes("vvvvvvvvvvvvvvv", kind == ENTRY_PUT ? (size_t)rand_below(&rand, 15) : 0));
        ends[count] = buf.len;
    }
    for (size_t len = 0; len <= buf.len; len++) {
        uint8_t *exact = mem_copy(buf.data, len);
        struct batch_reader reader = batch_reader_over(loam_bytes(exact, len));
        struct entry entry;
        uint32_t coll_id;
        loam_status rc;
        size_t read = 0;
        while ((rc = batch_next(&reader, &coll_id, &entry)) == LOAM_OK)
            read++;
        assert_true(read == 0 || ends[read - 1] <= len);
        assert_true(read == count || ends[read] > len);
        const bool at_an_end = len == 0 || (read > 0 && ends[read - 1] == len);
        assert_int_equal(rc, at_an_end ? LOAM_NOTFOUND : LOAM_CORRUPT);
        mem_free(exact);
    }
    loam_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_as_documented),
        cmocka_unit_test(entries_come_back_in_order),
        cmocka_unit_test(no_bytes_are_no_entries),
        cmocka_unit_test(what_no_writer_makes_is_corrupt),
        cmocka_unit_test(every_truncation_is_corrupt_or_a_shorter_batch),
    };
    return cmocka_run_group_tests_name("record/batch", tests, NULL, NULL);
}
