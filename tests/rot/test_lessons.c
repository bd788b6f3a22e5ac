/*
 * test_lessons.c - what other engines learned from damage, each as a case of its own; tests/rot/test_rot.c meets the rest by chance.
 *
 * (That a torn tail is normal and a hole below what was synced is not, and that used segments do not speak, is in unit/test_wal
 * and crash/test_recovery.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/rot_store.h"
#include "lib/seeds.h"
#include "record/entry.h"

/* ---- values that mean "none" in memory -------------------------------------------------------------- */

static void check_numbers(const struct rot_file *file, const struct change *change)
{
    const uint64_t wide[] = {change->run,        change->position,   change->position_end,
                             change->time_ms,    change->next_run,   change->meta.entry_count,
                             change->meta.bytes, change->meta.offset};
    const uint32_t narrow[] = {change->coll,
                               change->level,
                               change->next_coll,
                               change->object.epoch,
                               change->object.number,
                               change->meta.object.epoch,
                               change->meta.object.number};
    const uint64_t seqs[] = {change->seq, change->meta.seq_min, change->meta.seq_max};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (wide[i] > UINT64_MAX / 2) fail_msg("%s: a change %d", file->name, (int)change->tag);
    for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
        if (narrow[i] > UINT32_MAX / 2) fail_msg("%s: a change %d", file->name, (int)change->tag);
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++)
        if (seqs[i] > SEQ_MAX) fail_msg("%s: a change %d", file->name, (int)change->tag);
}

/* Answers how many records there are. */
static unsigned check_segment(const struct rot_file *file)
{
    struct segment_view view = {.bytes = {file->bytes, file->len, file->len}};
    struct record record;
    struct change change;
    bool too_new;
    unsigned count = 0;
    if (file->len < SEGMENT_HEADER_BYTES) return 0;
    if (!segment_header_get(file->bytes, &view.header, &too_new)) return 0;
    assert_true(view.header.start < UINT64_MAX / 2 && view.header.synced_upto < UINT64_MAX / 2);
    assert_true(view.header.base_ms < UINT64_MAX / 2 && view.header.id.number < UINT32_MAX / 2);
    for (uint64_t at = view.header.start; segment_record_at(&view, at, NULL, &record) == LOAM_OK;
         at = record.end, count++) {
        assert_true(record.seq <= SEQ_MAX && record.synced_upto <= record.position);
        if (record.kind != RECORD_EDIT && record.kind != RECORD_CHANGE) continue;
        struct edit_reader reader = edit_reader_over(record.body);
        loam_status rc;
        while ((rc = edit_next(&reader, &change)) == LOAM_OK)
            check_numbers(file, &change);
        assert_int_equal(rc, LOAM_NOTFOUND);
    }
    return count;
}

static void sentinels_of_memory_never_reach_the_disk(void **state)
{
    struct seeds seeds = seeds_begin("STORES", 40);
    uint64_t records = 0;
    (void)state;
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct rot_store *store = rot_store_new(seed, (enum rot_end)(seed % ROT_ENDS), 60);
        for (size_t i = 0; i < store->file_count; i++)
            if (strstr(store->files[i].name, ".sst") == NULL)
                records += check_segment(&store->files[i]);
        for (size_t i = 0; i < store->stale_count; i++)
            if (strstr(store->stale[i].name, ".sst") == NULL)
                records += check_segment(&store->stale[i]);
        rot_store_free(store);
    }
    assert_true(records > 0);
    print_message("# %llu records\n", (unsigned long long)records);
}

/* ---- what the manifest knows must not outlive the log that it stands on ------------------------------ */

struct highest {
    uint32_t number;
};

static void note_highest(void *ctx, const char *name)
{
    struct highest *highest = ctx;
    enum object_kind kind;
    struct object_id id;
    if (object_name_parse(name, &kind, &id) && kind == OBJECT_SEGMENT &&
        id.number > highest->number)
        highest->number = id.number;
}

static void a_collection_does_not_outlive_the_commits_before_it(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct db_world world = {.sys = simdisk_table(disk), .log_bytes_least = 16 << 10, .seed = 1};
    loam_options options = loam_options_default();
    static const char value[1000];
    char key[16], name[OBJECT_NAME_BYTES];
    loam_db *db = NULL;
    struct highest highest = {0};
    (void)state;
    options.memory_bytes = 4 << 20;
    options.durability = LOAM_DURABLE_PROCESS;
    assert_int_equal(db_open_in(&world, "db", &options, &db), LOAM_OK);
    for (int i = 0; highest.number < 3; i++) {
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(loam_put(db, NULL, loam_str(key), loam_bytes(value, sizeof value)),
                         LOAM_OK);
        assert_int_equal(store_list(db->store, note_highest, &highest), LOAM_OK);
    }
    assert_int_equal(loam_create(db, "late", NULL, NULL), LOAM_OK);
    simdisk_kill(disk);
    const loam_status rc = loam_close(db);
    (void)rc; /* the process is gone; this only frees its memory */
    object_name_make(OBJECT_SEGMENT, (struct object_id){1, highest.number}, name);
    rot_put(disk, name, NULL, 0);
    for (int i = 0; i < 2; i++) {
        options.read_only = i == 0;
        assert_int_equal(db_open_in(&world, "db", &options, &db), LOAM_CORRUPT);
        assert_non_null(strstr(loam_errmsg(), name));
    }
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentinels_of_memory_never_reach_the_disk),
        cmocka_unit_test(a_collection_does_not_outlive_the_commits_before_it),
    };
    return cmocka_run_group_tests_name("lessons of damage", tests, NULL, NULL);
}
