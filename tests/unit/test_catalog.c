/*
 * test_catalog.c - edits apply whole or not at all, and an object is deleted once, when nothing
 * needs it any more.
 *
 * Two catalogs are the same when their snapshots are: the snapshot's bytes are the fingerprint of
 * a state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/mem.h"
#include "base/rand.h"
#include "tree/catalog.h"

enum { OBJECTS_MAX = 4096 };

static struct page_cache *cache;
static struct catalog *catalog;
static struct edit edit; /* the one being made */
static pthread_mutex_t deleted_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned deleted[OBJECTS_MAX]; /* by number: how often */

static void note_deleted(void *ctx, struct object_id id)
{
    assert_ptr_equal(ctx, deleted);
    pthread_mutex_lock(&deleted_lock);
    deleted[id.number]++;
    pthread_mutex_unlock(&deleted_lock);
}

static struct catalog *new_catalog(void)
{
    const struct catalog_config config = {
        .cache = cache, .delete_object = note_deleted, .ctx = deleted};
    struct catalog *made;
    assert_int_equal(catalog_new(&config, &made), LOAM_OK);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    memset(deleted, 0, sizeof deleted);
    assert_int_equal(page_cache_new(1 << 20, &cache), LOAM_OK);
    catalog = new_catalog();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_free(catalog);
    page_cache_free(cache);
    edit_deinit(&edit);
    return 0;
}

/* ---- making edits ---------------------------------------------------------------------------- */

static void put(struct change change)
{
    assert_int_equal(edit_add(&edit, &change), LOAM_OK);
}

static void create(uint32_t coll, const char *name)
{
    put((struct change){.tag = CHANGE_COLL_CREATE, .coll = coll, .name = loam_str(name)});
}

static void clone_coll(uint32_t coll, const char *name, uint32_t source, uint64_t seq)
{
    assert_int_equal(edit_clone_coll(&edit, coll, loam_str(name), source, seq), LOAM_OK);
}

static void drop(uint32_t coll)
{
    put((struct change){.tag = CHANGE_COLL_DROP, .coll = coll});
}

struct table_spec {
    uint32_t coll, level;
    uint64_t run, uid; /* sequence numbers are uid * 10 + 0..9 */
    uint32_t object;
    const char *smallest, *largest;
};

static struct table_meta meta_of(const struct table_spec *spec)
{
    return (struct table_meta){.object = {1, spec->object},
                               .offset = spec->uid * 1000,
                               .bytes = 1000,
                               .uid = spec->uid,
                               .smallest = loam_str(spec->smallest),
                               .largest = loam_str(spec->largest),
                               .seq_min = spec->uid * 10,
                               .seq_max = spec->uid * 10 + 9,
                               .entry_count = 10,
                               .page_count = 1};
}

static void add(struct table_spec spec)
{
    const struct table_meta meta = meta_of(&spec);
    assert_int_equal(edit_add_table(&edit, spec.coll, spec.level, spec.run, &meta), LOAM_OK);
}

static void take(uint32_t coll, uint32_t level, uint64_t run, uint64_t uid)
{
    assert_int_equal(edit_remove_table(&edit, coll, level, run, uid), LOAM_OK);
}

static loam_status apply(void)
{
    const loam_status rc = catalog_apply(catalog, loam_bytes(edit.bytes.data, edit.bytes.len));
    edit.bytes.len = 0;
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

static loam_status append_edit_bytes(void *ctx, loam_slice bytes)
{
    return buf_append(ctx, bytes.data, bytes.len);
}

static loam_buf fingerprint(const struct catalog *of)
{
    loam_buf bytes = {0};
    assert_int_equal(catalog_snapshot(of, append_edit_bytes, &bytes), LOAM_OK);
    return bytes;
}

static bool looks_like(const loam_buf *before)
{
    loam_buf now = fingerprint(catalog);
    const bool same =
        bytes_equal(loam_bytes(now.data, now.len), loam_bytes(before->data, before->len));
    loam_buf_free(&now);
    return same;
}

static unsigned deleted_in_all(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < OBJECTS_MAX; i++)
        count += deleted[i];
    return count;
}

static struct version *pin(uint32_t coll)
{
    struct version *version = catalog_coll_by_id(catalog, coll)->version;
    version_ref(version);
    return version;
}

/* ---- collections ----------------------------------------------------------------------------- */

static void default_is_always_there(void **state)
{
    (void)state;
    assert_int_equal(catalog_coll_count(catalog), 1);
    assert_string_equal(catalog_coll_by_id(catalog, 0)->name, "default");
    assert_false(catalog_snapshot_complete(catalog));
    drop(0);
    assert_int_equal(apply(), LOAM_CORRUPT);
    put((struct change){.tag = CHANGE_COLL_RENAME, .coll = 0, .name = loam_str("other")});
    assert_int_equal(apply(), LOAM_CORRUPT);
    create(0, "again");
    assert_int_equal(apply(), LOAM_CORRUPT);
    assert_string_equal(catalog_coll_by_id(catalog, 0)->name, "default");
}

static void collections_come_and_go_in_order_of_ids(void **state)
{
    static const uint32_t expected[] = {0, 2, 5, 7, 9};
    (void)state;
    create(9, "nine");
    create(2, "two");
    create(7, "seven");
    assert_int_equal(apply(), LOAM_OK);
    create(5, "five");
    create(3, "three");
    create(12, "twelve");
    assert_int_equal(apply(), LOAM_OK);
    drop(3);
    put((struct change){.tag = CHANGE_COLL_RENAME, .coll = 7, .name = loam_str("sept")});
    drop(12);
    create(4, "short-lived");
    drop(4);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(catalog_coll_count(catalog), 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(catalog_coll_at(catalog, i)->id, expected[i]);
    assert_string_equal(catalog_coll_by_id(catalog, 7)->name, "sept");
    assert_null(catalog_coll_by_id(catalog, 3));
    assert_null(catalog_coll_by_id(catalog, 4));
    assert_null(catalog_coll_by_id(catalog, 13));
}

static void options_are_told_by_a_snapshot_and_the_operator_stays(void **state)
{
    const loam_coll_options all = {sizeof all, LOAM_ZSTD, "add", 9}, ttl = {.ttl_ms = 5};
    (void)state;
    assert_int_equal(edit_create_coll(&edit, 4, loam_str("four"), &all), LOAM_OK);
    assert_int_equal(edit_set_options(&edit, 0, &ttl), LOAM_OK);
    assert_int_equal(apply(), LOAM_OK);
    assert_string_equal(catalog_coll_by_id(catalog, 4)->options.merge_operator, "add");
    loam_buf before = fingerprint(catalog);
    assert_int_equal(edit_set_options(&edit, 4, &ttl), LOAM_OK);
    assert_int_equal(apply(), LOAM_CORRUPT);
    assert_true(looks_like(&before));
    catalog_free(catalog);
    catalog = new_catalog();
    assert_int_equal(buf_append(&edit.bytes, before.data, before.len), LOAM_OK);
    assert_int_equal(apply(), LOAM_OK);
    assert_true(looks_like(&before));
    loam_buf_free(&before);
}

static void a_change_costs_the_same_beside_ten_thousand_collections(void **state)
{
    uint64_t allocations[2] = {0};
    char name[16];
    (void)state;
    for (uint32_t id = 1, round = 0; round < 2; round++) {
        for (; id <= (round == 0 ? 10 : 10000); id++) {
            snprintf(name, sizeof name, "c%u", id);
            create(id, name);
        }
        assert_int_equal(apply(), LOAM_OK);
        add((struct table_spec){7, 0, 10 + round, 100 + round, 1, "a", "z"});
        mem_fail_at(0, 0); /* counts from here */
        assert_int_equal(apply(), LOAM_OK);
        allocations[round] = mem_alloc_count();
    }
    assert_in_range(allocations[1], 1, allocations[0] + 8);
    assert_int_equal(catalog_coll_by_id(catalog, 7)->version->levels[0].run_count, 2);
}

/* ---- contradictions -------------------------------------------------------------------------- */

static void put_base(void)
{
    create(1, "fruit");
    create(2, "nuts");
    add((struct table_spec){1, 0, 10, 20, 1, "a", "m"});
    add((struct table_spec){1, 0, 10, 21, 1, "n", "z"});
    add((struct table_spec){1, 7, 5, 3, 2, "a", "z"});
    add((struct table_spec){2, 0, 11, 22, 1, "a", "z"});
    put((struct change){.tag = CHANGE_FLUSHED, .coll = 1, .seq = 219});
    put((struct change){.tag = CHANGE_TABLE_CLIP,
                        .coll = 2,
                        .level = 0,
                        .run = 11,
                        .uid = 22,
                        .from = loam_str("c"),
                        .to = loam_str("d")});
    put((struct change){.tag = CHANGE_LOG_START, .position = 4096, .running = 5, .object = {3, 0}});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 1}, .position = 1024, .position_end = 2048});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 2}, .position = 2048, .position_end = 4096});
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 1024, .object = {3, 0}});
    put((struct change){.tag = CHANGE_LOG_ATTEST, .position = 4096});
    put((struct change){
        .tag = CHANGE_COUNTERS, .next_coll = 3, .next_run = 12, .seq = 7, .time_ms = 9});
    assert_int_equal(apply(), LOAM_OK);
}

static void expect_refused(const loam_buf *before, const char *what)
{
    create(99, "rides along");
    if (apply() != LOAM_CORRUPT) fail_msg("accepted: %s", what);
    if (!looks_like(before)) fail_msg("something changed: %s", what);
}

static void contradictions_are_refused_and_change_nothing(void **state)
{
    (void)state;
    put_base();
    loam_buf before = fingerprint(catalog);
    create(1, "again");
    expect_refused(&before, "a collection created twice");
    create(3, "x");
    create(3, "x");
    expect_refused(&before, "a collection created twice in one edit");
    drop(5);
    expect_refused(&before, "an unknown collection dropped");
    drop(1);
    add((struct table_spec){1, 0, 12, 30, 4, "a", "b"});
    expect_refused(&before, "a table in a dropped collection");
    take(1, 0, 10, 22);
    expect_refused(&before, "a table that is elsewhere removed");
    take(1, 0, 10, 20);
    take(1, 0, 10, 20);
    expect_refused(&before, "a table removed twice");
    add((struct table_spec){1, 0, 10, 20, 1, "a", "m"});
    expect_refused(&before, "a table twice in a run");
    add((struct table_spec){1, 0, 12, 20, 1, "a", "l"});
    expect_refused(&before, "a uid with another meta");
    add((struct table_spec){1, 0, 12, 9, 4, "c", "d"});
    expect_refused(&before, "old entries on top");
    add((struct table_spec){1, 7, 6, 9, 4, "zz", "zzz"});
    expect_refused(&before, "two runs in the last level");
    put((struct change){.tag = CHANGE_FLUSHED, .coll = 1, .seq = 218});
    expect_refused(&before, "less flushed than before");
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 1016});
    expect_refused(&before, "a floor that falls");
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 3}, .position = 4000, .position_end = 4096});
    expect_refused(&before, "segments that overlap");
    put((struct change){.tag = CHANGE_LOG_START, .position = 4096, .object = {2, 0}});
    expect_refused(&before, "an epoch that falls");
    clone_coll(4, "copy", 3, 0);
    expect_refused(&before, "a clone of nothing");
    clone_coll(1, "copy", 2, 0);
    expect_refused(&before, "a clone in another's place");
    clone_coll(4, "copy", 1, 218);
    expect_refused(&before, "a clone of an earlier state");
    take(1, 7, 5, 3);
    clone_coll(4, "copy", 1, 219);
    expect_refused(&before, "a clone of what the edit changes");
    drop(1);
    clone_coll(4, "copy", 1, 219);
    expect_refused(&before, "a clone of what is dropped");
    assert_int_equal(deleted_in_all(), 0);
    loam_buf_free(&before);
}

/* ---- clones ---- */

static void a_clone_shares_tables_and_each_keeps_them(void **state)
{
    (void)state;
    put_base();
    catalog_arm(catalog);
    const uint64_t bytes = catalog_table_bytes(catalog);
    clone_coll(4, "copy", 1, 219);
    clone_coll(5, "clipped", 2, 0);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(catalog_coll_by_id(catalog, 4)->flushed_seq, 219);
    assert_ptr_equal(catalog_coll_by_id(catalog, 4)->version,
                     catalog_coll_by_id(catalog, 1)->version);
    const struct version *clipped = catalog_coll_by_id(catalog, 5)->version;
    const struct table_ref *ref = clipped->levels[0].runs[0]->tables;
    assert_true(bytes_equal(ref->from, loam_str("c")) && bytes_equal(ref->to, loam_str("d")));
    assert_int_equal(catalog_table_bytes(catalog), bytes);
    loam_buf before = fingerprint(catalog);
    struct catalog *first = catalog;
    catalog = new_catalog(); /* a fresh manifest names each table as often as it is somewhere */
    assert_int_equal(buf_append(&edit.bytes, before.data, before.len), LOAM_OK);
    assert_int_equal(apply(), LOAM_OK);
    assert_true(looks_like(&before));
    assert_int_equal(catalog_table_bytes(catalog), bytes);
    catalog_free(catalog);
    catalog = first;
    loam_buf_free(&before);

    take(1, 7, 5, 3); /* merged away on one side, then on the other */
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted_in_all(), 0);
    take(4, 7, 5, 3);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted[2], 1);
    for (uint32_t id = 1; id <= 5; id++) {
        assert_int_equal(deleted[1], 0);
        if (id == 3) continue;
        drop(id);
        assert_int_equal(apply(), LOAM_OK);
    }
    assert_int_equal(deleted[1], 1);
}

static void an_edit_may_clone_and_then_change_or_drop_either(void **state)
{
    (void)state;
    put_base();
    catalog_arm(catalog);
    clone_coll(4, "dropped at once", 1, 219);
    clone_coll(5, "kept", 1, 219);
    drop(4);
    drop(1);
    take(5, 0, 10, 20);
    add((struct table_spec){5, 0, 13, 40, 6, "a", "b"});
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted_in_all(), 0);
    assert_null(catalog_coll_by_id(catalog, 4));
    assert_int_equal(version_run_count(catalog_coll_by_id(catalog, 5)->version), 3);
    drop(5);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted[2] + deleted[6], 2);
    assert_int_equal(deleted_in_all(), 2); /* another collection has one of object 1 */
}

static void a_table_is_twice_in_a_run_even_where_clips_keep_it_apart(void **state)
{
    const struct table_spec spec = {0, 0, 4, 9, 1, "a", "z"};
    (void)state;
    put((struct change){
        .tag = CHANGE_TABLE_ADD, .run = 4, .meta = meta_of(&spec), .to = loam_str("k")});
    put((struct change){
        .tag = CHANGE_TABLE_ADD, .run = 4, .meta = meta_of(&spec), .from = loam_str("k")});
    assert_int_equal(apply(), LOAM_CORRUPT);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void put_large_change(void)
{
    clone_coll(6, "a clone", 0, 0);
    create(3, "seeds");
    add((struct table_spec){3, 0, 12, 30, 5, "a", "z"});
    take(1, 0, 10, 20);
    take(1, 0, 10, 21);
    take(1, 7, 5, 3);
    add((struct table_spec){1, 7, 13, 14, 6, "a", "m"});
    add((struct table_spec){1, 7, 13, 15, 7, "n", "z"});
    drop(2);
    put((struct change){.tag = CHANGE_COLL_RENAME, .coll = 1, .name = loam_str("frutta")});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 3}, .position = 4096, .position_end = 5000});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 4}, .position = 5000, .position_end = 6000});
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 2048, .object = {3, 0}});
}

static void without_memory_an_edit_changes_nothing_at_every_allocation(void **state)
{
    loam_status rc = LOAM_NOMEM;
    uint64_t nth = 0;
    (void)state;
    put_base();
    catalog_arm(catalog);
    loam_buf before = fingerprint(catalog);
    const uint64_t bytes = catalog_table_bytes(catalog);
    while (rc == LOAM_NOMEM) {
        put_large_change();
        nth++;
        mem_fail_at(nth, nth % 2 == 0);
        rc = apply();
        mem_fail_at(0, 0);
        if (rc == LOAM_OK) break;
        assert_int_equal(rc, LOAM_NOMEM);
        assert_true(looks_like(&before));
        assert_int_equal(catalog_table_bytes(catalog), bytes);
        assert_false(catalog_uses_object(catalog, (struct object_id){1, 5}));
        assert_int_equal(deleted_in_all(), 0);
    }
    assert_int_equal(rc, LOAM_OK);
    assert_true(nth > 20);
    assert_int_equal(deleted[1], 1);
    assert_int_equal(deleted[2], 1);
    assert_int_equal(deleted_in_all(), 2);
    loam_buf_free(&before);
}

static void a_prepared_edit_is_not_to_be_seen_until_it_is_installed(void **state)
{
    struct catalog_stage *stage;
    (void)state;
    put_base();
    catalog_arm(catalog);
    loam_buf before = fingerprint(catalog);
    put_large_change();
    const loam_slice bytes = loam_bytes(edit.bytes.data, edit.bytes.len);
    assert_int_equal(catalog_prepare(catalog, bytes, &stage), LOAM_OK);
    assert_true(looks_like(&before));
    catalog_discard(stage);
    assert_true(looks_like(&before));
    assert_int_equal(deleted_in_all(), 0);
    assert_int_equal(catalog_prepare(catalog, bytes, &stage), LOAM_OK);
    memset(edit.bytes.data, 0xff, edit.bytes.len); /* not needed any more */
    catalog_install(stage);
    edit.bytes.len = 0;
    assert_string_equal(catalog_coll_by_id(catalog, 1)->name, "frutta");
    assert_int_equal(catalog_coll_by_id(catalog, 1)->version->levels[7].runs[0]->number, 13);
    assert_int_equal(deleted_in_all(), 2);
    loam_buf_free(&before);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void an_object_goes_when_all_its_tables_are_gone_and_read_no_more(void **state)
{
    (void)state;
    catalog_arm(catalog);
    create(1, "fruit");
    add((struct table_spec){0, 0, 1, 1, 5, "a", "z"});
    add((struct table_spec){1, 0, 2, 2, 5, "a", "z"});
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(catalog_table_bytes(catalog), 3000); /* from 0 to the end of the second */
    struct version *reader = pin(1);
    take(1, 0, 2, 2);
    assert_int_equal(apply(), LOAM_OK);
    take(0, 0, 1, 1);
    assert_int_equal(apply(), LOAM_OK);
    assert_true(catalog_uses_object(catalog, (struct object_id){1, 5}));
    assert_int_equal(deleted_in_all(), 0);
    version_unref(reader);
    assert_int_equal(deleted[5], 1);
    assert_false(catalog_uses_object(catalog, (struct object_id){1, 5}));
    assert_int_equal(catalog_table_bytes(catalog), 0);
}

static void a_table_that_moves_or_is_shared_stays(void **state)
{
    (void)state;
    catalog_arm(catalog);
    create(1, "clone");
    add((struct table_spec){0, 0, 1, 1, 5, "a", "z"});
    add((struct table_spec){1, 0, 1, 1, 5, "a", "z"});
    assert_int_equal(apply(), LOAM_OK);
    assert_ptr_equal(catalog_coll_by_id(catalog, 0)->version->levels[0].runs[0]->tables[0].table,
                     catalog_coll_by_id(catalog, 1)->version->levels[0].runs[0]->tables[0].table);
    take(0, 0, 1, 1); /* down */
    add((struct table_spec){0, 7, 2, 1, 5, "a", "z"});
    assert_int_equal(apply(), LOAM_OK);
    add((struct table_spec){0, 7, 2, 2, 6, "zz", "zzz"}); /* beside it, in the same run */
    assert_int_equal(apply(), LOAM_OK);
    drop(1);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted_in_all(), 0);
    take(0, 7, 2, 1);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted[5], 1);
    assert_int_equal(deleted_in_all(), 1);
}

static void what_is_removed_before_arming_is_not_deleted(void **state)
{
    (void)state;
    add((struct table_spec){0, 0, 1, 1, 5, "a", "z"});
    add((struct table_spec){0, 0, 2, 2, 6, "a", "z"});
    add((struct table_spec){0, 0, 3, 3, 6, "a", "z"});
    assert_int_equal(apply(), LOAM_OK);
    take(0, 0, 1, 1);
    take(0, 0, 2, 2);
    assert_int_equal(apply(), LOAM_OK);
    assert_false(catalog_uses_object(catalog, (struct object_id){1, 5}));
    assert_true(catalog_uses_object(catalog, (struct object_id){1, 6}));
    catalog_arm(catalog);
    assert_int_equal(deleted_in_all(), 0);
    take(0, 0, 3, 3);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted[6], 1);
    assert_int_equal(deleted_in_all(), 1);
}

static void a_table_added_and_removed_in_one_edit_is_deleted_too(void **state)
{
    (void)state;
    catalog_arm(catalog);
    add((struct table_spec){0, 0, 1, 1, 5, "a", "z"});
    take(0, 0, 1, 1);
    assert_int_equal(apply(), LOAM_OK);
    assert_int_equal(deleted[5], 1);
}

/* Flushes into packed objects, merges, moves, drops and readers, at random; then everything goes.
   */
static void objects_are_deleted_once_in_random_lives(void **state)
{
    struct rand rand = {11};
    struct version *readers[16] = {0};
    uint64_t uid = 1, run = 1;
    uint32_t object = 1;
    (void)state;
    catalog_arm(catalog);
    create(1, "one");
    create(2, "two");
    assert_int_equal(apply(), LOAM_OK);
    for (int step = 0; step < 3000; step++) {
        const uint32_t coll = (uint32_t)rand_below(&rand, 3);
        const struct version *version = catalog_coll_by_id(catalog, coll)->version;
        const struct level *top = &version->levels[0], *last = &version->levels[7];
        const uint64_t move = rand_below(&rand, 8);
        if (move < 3 && object < OBJECTS_MAX - 1) { /* flush two collections into one object */
            add((struct table_spec){coll, 0, run++, uid++, object, "a", "m"});
            add((struct table_spec){(coll + 1) % 3, 0, run++, uid++, object++, "a", "m"});
        } else if (move == 3) { /* merge all */
            for (uint32_t i = 0; i < top->run_count; i++)
                take(coll, 0, top->runs[i]->number, table_meta(top->runs[i]->tables[0].table)->uid);
            for (uint32_t t = 0; last->run_count > 0 && t < last->runs[0]->table_count; t++)
                take(coll, 7, last->runs[0]->number,
                     table_meta(last->runs[0]->tables[t].table)->uid);
            if (object < OBJECTS_MAX - 1)
                add((struct table_spec){coll, 7, run++, uid++, object++, "a", "z"});
        } else if (move == 4 && top->run_count == 1 && last->run_count == 0) { /* move */
            const struct table_ref *ref = &top->runs[0]->tables[0];
            take(coll, 0, top->runs[0]->number, table_meta(ref->table)->uid);
            assert_int_equal(edit_add_table(&edit, coll, 7, run++, table_meta(ref->table)),
                             LOAM_OK);
        } else {
            struct version **reader = &readers[rand_below(&rand, 16)];
            version_unref(*reader);
            *reader = pin(coll);
        }
        assert_int_equal(apply(), LOAM_OK);
        for (uint32_t i = 1; i < object; i++)
            assert_int_equal(deleted[i],
                             catalog_uses_object(catalog, (struct object_id){1, i}) ? 0 : 1);
    }
    for (size_t i = 0; i < 16; i++)
        version_unref(readers[i]);
    drop(1);
    drop(2);
    const struct version *rest = catalog_coll_by_id(catalog, 0)->version;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < rest->levels[level].run_count; i++)
            for (uint32_t t = 0; t < rest->levels[level].runs[i]->table_count; t++)
                take(0, level, rest->levels[level].runs[i]->number,
                     table_meta(rest->levels[level].runs[i]->tables[t].table)->uid);
    assert_int_equal(apply(), LOAM_OK);
    for (uint32_t i = 1; i < object; i++)
        assert_int_equal(deleted[i], 1);
    assert_int_equal(catalog_table_bytes(catalog), 0);
}

static pthread_mutex_t pin_lock = PTHREAD_MUTEX_INITIALIZER;
static bool readers_go_on;

static void *read_versions(void *arg)
{
    for (bool on = true; on;) {
        pthread_mutex_lock(&pin_lock);
        struct version *version = pin(0);
        on = readers_go_on;
        pthread_mutex_unlock(&pin_lock);
        for (uint32_t i = 0; i < version->levels[0].run_count; i++)
            assert_int_equal(table_meta(version->levels[0].runs[i]->tables[0].table)->bytes, 1000);
        version_unref(version);
    }
    return arg;
}

static void readers_may_drop_the_last_reference_while_edits_go_on(void **state)
{
    pthread_t readers[3];
    (void)state;
    catalog_arm(catalog);
    readers_go_on = true;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_versions, NULL), 0);
    for (uint32_t i = 1; i < 1500; i++) {
        add((struct table_spec){0, 0, i, i, i, "a", "z"});
        if (i > 3) take(0, 0, i - 3, i - 3);
        pthread_mutex_lock(&pin_lock);
        const loam_status rc = apply();
        pthread_mutex_unlock(&pin_lock);
        assert_int_equal(rc, LOAM_OK);
    }
    pthread_mutex_lock(&pin_lock);
    readers_go_on = false;
    pthread_mutex_unlock(&pin_lock);
    for (size_t i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    for (uint32_t i = 1; i < 1500; i++)
        assert_int_equal(deleted[i], i < 1497 ? 1 : 0);
}

/* ---- the log and the counters ---------------------------------------------------------------- */

static void the_floor_leaves_listed_what_readers_may_want(void **state)
{
    (void)state;
    put_base();
    struct log_bounds bounds = catalog_log_bounds(catalog);
    assert_int_equal(bounds.segment_count, 2);
    assert_int_equal(bounds.start, 4096);
    assert_int_equal(bounds.start_running, 5);
    assert_int_equal(bounds.epoch, 3);
    assert_int_equal(bounds.attested, 4096);
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 2048, .object = {3, 0}});
    put((struct change){.tag = CHANGE_LOG_ATTEST, .position = 100});
    assert_int_equal(apply(), LOAM_OK);
    bounds = catalog_log_bounds(catalog);
    assert_int_equal(bounds.segment_count, 2);
    assert_int_equal(bounds.segments[1].id.number, 2);
    assert_int_equal(bounds.floor, 2048);
    assert_int_equal(bounds.attested, 4096);
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 9000, .object = {3, 4}});
    assert_int_equal(apply(), LOAM_OK);
    bounds = catalog_log_bounds(catalog);
    assert_int_equal(bounds.segment_count, 2);
    assert_int_equal(bounds.floor_segment.number, 4);
}

static void a_new_opener_lists_anew_what_it_needs(void **state)
{
    (void)state;
    put_base();
    put((struct change){.tag = CHANGE_LOG_START, .position = 8192, .running = 6, .object = {4, 0}});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {2, 2}, .position = 2048, .position_end = 4096});
    put((struct change){
        .tag = CHANGE_LOG_SEGMENT, .object = {3, 1}, .position = 4096, .position_end = 8192});
    put((struct change){.tag = CHANGE_LOG_FLOOR, .position = 2048, .object = {4, 0}});
    assert_int_equal(apply(), LOAM_OK);
    const struct log_bounds bounds = catalog_log_bounds(catalog);
    assert_int_equal(bounds.segment_count, 2);
    assert_int_equal(bounds.segments[0].id.epoch, 2);
    assert_int_equal(bounds.segments[1].end, 8192);
    assert_int_equal(bounds.floor, 2048);
    assert_int_equal(bounds.floor_segment.epoch, 4);
    assert_int_equal(bounds.floor_segment.number, 0);
}

static void counters_only_rise(void **state)
{
    (void)state;
    put_base();
    put((struct change){
        .tag = CHANGE_COUNTERS, .next_coll = 2, .next_run = 50, .seq = 6, .time_ms = 8});
    assert_int_equal(apply(), LOAM_OK);
    const struct catalog_counters counters = catalog_counters(catalog);
    assert_int_equal(counters.next_coll, 3);
    assert_int_equal(counters.next_run, 50);
    assert_int_equal(counters.change_seq, 7);
    assert_int_equal(counters.time_ms, 9);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static loam_status apply_to(void *ctx, loam_slice bytes)
{
    assert_in_range(bytes.len, 1, 64 << 10);
    return catalog_apply(ctx, bytes);
}

static void a_snapshot_rebuilds_the_state_in_small_edits(void **state)
{
    char name[16];
    (void)state;
    put_base();
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "coll%u", i);
        create(100 + i, name);
        add((struct table_spec){100 + i, i % 8, 20, 100 + i, 9, "a", "z"});
    }
    assert_int_equal(apply(), LOAM_OK);
    struct catalog *copy = new_catalog();
    assert_int_equal(catalog_snapshot(catalog, apply_to, copy), LOAM_OK);
    assert_true(catalog_snapshot_complete(copy));
    loam_buf bytes = fingerprint(copy);
    assert_true(looks_like(&bytes));
    loam_buf_free(&bytes);
    catalog_free(copy);
}

static loam_status refuse(void *ctx, loam_slice bytes)
{
    (void)ctx;
    (void)bytes;
    return LOAM_FULL;
}

static void a_snapshot_ends_with_the_failure_of_its_sink(void **state)
{
    (void)state;
    assert_int_equal(catalog_snapshot(catalog, refuse, NULL), LOAM_FULL);
}

#define row(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        row(default_is_always_there),
        row(collections_come_and_go_in_order_of_ids),
        row(options_are_told_by_a_snapshot_and_the_operator_stays),
        row(a_change_costs_the_same_beside_ten_thousand_collections),
        row(contradictions_are_refused_and_change_nothing),
        row(a_clone_shares_tables_and_each_keeps_them),
        row(an_edit_may_clone_and_then_change_or_drop_either),
        row(a_table_is_twice_in_a_run_even_where_clips_keep_it_apart),
        row(without_memory_an_edit_changes_nothing_at_every_allocation),
        row(a_prepared_edit_is_not_to_be_seen_until_it_is_installed),
        row(an_object_goes_when_all_its_tables_are_gone_and_read_no_more),
        row(a_table_that_moves_or_is_shared_stays),
        row(what_is_removed_before_arming_is_not_deleted),
        row(a_table_added_and_removed_in_one_edit_is_deleted_too),
        row(objects_are_deleted_once_in_random_lives),
        row(readers_may_drop_the_last_reference_while_edits_go_on),
        row(the_floor_leaves_listed_what_readers_may_want),
        row(a_new_opener_lists_anew_what_it_needs),
        row(counters_only_rise),
        row(a_snapshot_rebuilds_the_state_in_small_edits),
        row(a_snapshot_ends_with_the_failure_of_its_sink),
    };
    return cmocka_run_group_tests_name("tree/catalog", tests, NULL, NULL);
}
