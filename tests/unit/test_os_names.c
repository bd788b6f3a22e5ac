/*
 * test_os_names.c - names of objects: one spelling for each, and nothing else passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/names.h"

static void a_name_is_epoch_number_and_kind(void **state)
{
    char name[32];
    (void)state;
    object_name_make(OBJECT_TABLES, (struct object_id){1, 0xabc}, name);
    assert_string_equal(name, "00000001-00000abc.sst");
    object_name_make(OBJECT_SEGMENT, (struct object_id){0, 0}, name);
    assert_string_equal(name, "00000000-00000000.wal");
    object_name_make(OBJECT_MANIFEST, (struct object_id){UINT32_MAX, UINT32_MAX}, name);
    assert_string_equal(name, "ffffffff-ffffffff.manifest");
}

static void a_name_parses_to_what_made_it(void **state)
{
    static const struct object_id ids[] = {
        {0, 0}, {1, 2}, {0x12345678, 0x9abcdef0}, {UINT32_MAX, 0}, {0, UINT32_MAX}};
    static const enum object_kind kinds[] = {OBJECT_TABLES, OBJECT_SEGMENT, OBJECT_MANIFEST};
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            char name[32];
            enum object_kind kind = OBJECT_TABLES;
            struct object_id id = {7, 7};
            object_name_make(kinds[k], ids[i], name);
            assert_true(object_name_parse(name, &kind, &id));
            assert_int_equal(kind, kinds[k]);
            assert_true(object_id_equal(id, ids[i]));
        }
    }
}

static void other_names_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "0",
        "root",
        "owner",
        "00000001",
        "00000001-",
        "00000001-0000000",
        "00000001-00000002",
        "00000001-00000002.",
        "00000001-00000002.ss",
        "00000001-00000002.sst2",
        "00000001-00000002.SST",
        "00000001-00000002.log",
        "0000000A-00000002.sst",
        "00000001_00000002.sst",
        "0000001-00000002.sst",
        "000000001-00000002.sst",
        "00000001-00000002.manifest~",
        " 0000001-00000002.sst",
        "+0000001-00000002.sst",
        "0x000001-00000002.sst",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        enum object_kind kind;
        struct object_id id;
        if (object_name_parse(names[i], &kind, &id)) fail_msg("accepted: `%s`", names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_epoch_number_and_kind),
        cmocka_unit_test(a_name_parses_to_what_made_it),
        cmocka_unit_test(other_names_are_refused),
    };
    return cmocka_run_group_tests_name("os/names", tests, NULL, NULL);
}
