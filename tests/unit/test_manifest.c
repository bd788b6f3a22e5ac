/*
 * test_manifest.c - whatever is cut, fails, fills up or rots: the manifest says the state before an edit or after it.
 *
 * A script of commits runs on the simulated disk. states[n] is the fingerprint (the snapshot's bytes) after n of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/seeds.h"
#include "../lib/simdisk.h"
#include "base/mem.h"
#include "tree/manifest.h"

enum { STEPS = 7, LARGE_KEY = 5800, LOG_BYTES = 32 << 10 };

static loam_buf states[STEPS + 1];
static char large_key[LARGE_KEY];

struct world {
    struct simdisk *disk;
    struct store *store;
    struct page_cache *cache;
    struct catalog *catalog;
    struct manifest *manifest;
    struct root root;
    size_t done;        /* commits that answered LOAM_OK */
    uint64_t log_bytes; /* of a manifest; 0: as stores have it */
};

/* ---- catalogs -------------------------------------------------------------------------------- */

static void delete_nothing(void *ctx, struct object_id id)
{
    (void)ctx;
    (void)id;
}

static void fresh_catalog(struct world *world)
{
    const struct catalog_config config = {.cache = world->cache, .delete_object = delete_nothing};
    catalog_free(world->catalog);
    assert_int_equal(catalog_new(&config, &world->catalog), LOAM_OK);
}

static loam_status append_bytes(void *ctx, loam_slice bytes)
{
    return buf_append(ctx, bytes.data, bytes.len);
}

static bool is_in_state(const struct world *world, size_t n)
{
    loam_buf now = {0};
    assert_int_equal(catalog_snapshot(world->catalog, append_bytes, &now), LOAM_OK);
    const bool same =
        bytes_equal(loam_bytes(now.data, now.len), loam_bytes(states[n].data, states[n].len));
    loam_buf_free(&now);
    return same;
}

/* ---- the script ------------------------------------------------------------------------------ */

static void put(struct edit *edit, struct change change)
{
    assert_int_equal(edit_add(edit, &change), LOAM_OK);
}

/* Odd steps add a table with large keys, even ones remove it again: two of them outgrow a file. */
static void make_step(struct edit *edit, size_t step)
{
    const struct table_meta meta = {.object = {1, (uint32_t)step},
                                    .bytes = 1000,
                                    .uid = step,
                                    .smallest = loam_bytes(large_key, LARGE_KEY - 1),
                                    .largest = loam_bytes(large_key, LARGE_KEY),
                                    .seq_min = 1,
                                    .seq_max = 9,
                                    .entry_count = 9,
                                    .page_count = 1};
    if (step == 1)
        put(edit, (struct change){.tag = CHANGE_COLL_CREATE, .coll = 1, .name = loam_str("fruit")});
    if (step % 2 == 1) {
        assert_int_equal(edit_add_table(edit, 1, 0, step, &meta), LOAM_OK);
    } else {
        assert_int_equal(edit_remove_table(edit, 1, 0, step - 1, step - 1), LOAM_OK);
    }
    put(edit, (struct change){.tag = CHANGE_COUNTERS, .next_coll = 2, .next_run = step + 1});
}

static int make_states(void **state)
{
    struct world world = {0};
    (void)state;
    memset(large_key, 'k', sizeof large_key);
    assert_int_equal(page_cache_new(1 << 20, &world.cache), LOAM_OK);
    fresh_catalog(&world);
    for (size_t step = 0; step <= STEPS; step++) {
        struct edit edit = {0};
        if (step > 0) {
            make_step(&edit, step);
            assert_int_equal(
                catalog_apply(world.catalog, loam_bytes(edit.bytes.data, edit.bytes.len)), LOAM_OK);
        }
        assert_int_equal(catalog_snapshot(world.catalog, append_bytes, &states[step]), LOAM_OK);
        edit_deinit(&edit);
    }
    catalog_free(world.catalog);
    page_cache_free(world.cache);
    return 0;
}

static int free_states(void **state)
{
    (void)state;
    for (size_t i = 0; i <= STEPS; i++)
        loam_buf_free(&states[i]);
    return 0;
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void open_world(struct world *world, uint64_t seed)
{
    *world = (struct world){.disk = simdisk_new(seed), .log_bytes = LOG_BYTES};
    assert_int_equal(page_cache_new(1 << 20, &world->cache), LOAM_OK);
    fresh_catalog(world);
}

static loam_status open_store(struct world *world, bool *is_new)
{
    const struct store_options options = {.log_bytes_least = world->log_bytes};
    return store_open(simdisk_table(world->disk), "db", &options, is_new, &world->store);
}

/* As an opener of epoch n begins. */
static loam_status begin(struct world *world)
{
    world->root.epoch++;
    world->root.log_key = 77 + world->root.epoch;
    world->root.sealed = false;
    memcpy(world->root.store_id, "a store's own id", STORE_ID_BYTES);
    return manifest_create(world->store, &world->root, world->catalog, &world->manifest);
}

static loam_status commit_step(struct world *world, size_t step)
{
    struct edit edit = {0};
    make_step(&edit, step);
    const loam_status rc = manifest_commit(world->manifest, &edit);
    if (rc == LOAM_OK) world->done = step;
    edit_deinit(&edit);
    return rc;
}

/* From an empty directory to the first failure, or the end. */
static loam_status run_script(struct world *world)
{
    bool is_new;
    loam_status rc = open_store(world, &is_new);
    if (rc == LOAM_OK) rc = begin(world);
    for (size_t step = 1; rc == LOAM_OK && step <= STEPS; step++)
        rc = commit_step(world, step);
    return rc;
}

static void leave(struct world *world)
{
    manifest_close(world->manifest);
    world->manifest = NULL;
    store_close(world->store);
    world->store = NULL;
}

static void close_world(struct world *world)
{
    leave(world);
    catalog_free(world->catalog);
    page_cache_free(world->cache);
    simdisk_free(world->disk);
}

/* Into a fresh catalog, from what is on the disk. */
static loam_status load(struct world *world)
{
    loam_buf bytes = {0};
    fresh_catalog(world);
    loam_status rc = store_root_read(world->store, &bytes);
    if (rc == LOAM_OK) rc = root_decode(loam_bytes(bytes.data, bytes.len), "root", &world->root);
    if (rc == LOAM_OK) rc = manifest_load(world->store, &world->root, world->catalog, NULL);
    loam_buf_free(&bytes);
    return rc;
}

/* Opens, loads and takes over again; what is there is one of states[least..most]. */
static void expect_reload(struct world *world, size_t least, size_t most)
{
    bool is_new, found = false;
    leave(world);
    if (open_store(world, &is_new) != LOAM_OK) fail_msg("%s", loam_errmsg());
    if (is_new) {
        assert_int_equal(least, 0);
        fresh_catalog(world);
        world->root = (struct root){0};
    } else if (load(world) != LOAM_OK) {
        fail_msg("%s", loam_errmsg());
    }
    for (size_t n = least; n <= most; n++)
        found |= is_in_state(world, n);
    if (!found) fail_msg("neither state %zu nor %zu", least, most);
    if (begin(world) != LOAM_OK) fail_msg("%s", loam_errmsg());
    leave(world);
    assert_int_equal(open_store(world, &is_new), LOAM_OK);
    assert_false(is_new);
    loam_buf before = {0};
    assert_int_equal(catalog_snapshot(world->catalog, append_bytes, &before), LOAM_OK);
    assert_int_equal(load(world), LOAM_OK);
    loam_buf after = {0};
    assert_int_equal(catalog_snapshot(world->catalog, append_bytes, &after), LOAM_OK);
    assert_true(
        bytes_equal(loam_bytes(before.data, before.len), loam_bytes(after.data, after.len)));
    loam_buf_free(&before);
    loam_buf_free(&after);
}

/* ---- the files ------------------------------------------------------------------------------- */

struct listing {
    char names[8][OBJECT_NAME_BYTES];
    size_t count;
};

static void note_name(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    assert_true(listing->count < 8);
    snprintf(listing->names[listing->count++], OBJECT_NAME_BYTES, "%s", name);
}

static struct listing list(struct world *world)
{
    struct listing listing = {.count = 0};
    assert_int_equal(store_list(world->store, note_name, &listing), LOAM_OK);
    return listing;
}

static uint8_t *manifest_bytes(struct world *world, uint64_t *len)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_MANIFEST, world->root.manifest, name);
    return simdisk_bytes(world->disk, "db", name, len);
}

/* ---- without accidents ----------------------------------------------------------------------- */

static void edits_come_back_after_a_seal_and_after_a_kill(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world world;
        open_world(&world, 1);
        assert_int_equal(run_script(&world), LOAM_OK);
        assert_true(world.root.manifest.number > 1); /* it has begun a new file on the way */
        assert_true(list(&world).count <= 2);
        if (sealed) {
            assert_int_equal(manifest_seal(world.manifest, 4096, 99), LOAM_OK);
            world.manifest = NULL;
            assert_int_equal(list(&world).count, 1);
            assert_int_equal(load(&world), LOAM_OK);
            assert_true(world.root.sealed);
            assert_int_equal(world.root.log_end, 4096);
            assert_int_equal(world.root.log_running, 99);
            uint64_t len;
            assert_non_null(manifest_bytes(&world, &len));
            assert_int_equal(len, SEGMENT_HEADER_BYTES + world.root.manifest_end);
        } else {
            simdisk_kill(world.disk);
        }
        expect_reload(&world, STEPS, STEPS);
        close_world(&world);
    }
}

static void a_long_life_takes_no_more_than_two_small_files(void **state)
{
    struct world world;
    bool is_new;
    (void)state;
    open_world(&world, 1);
    world.log_bytes = 0;
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    for (uint64_t i = 1; i <= 30000; i++) {
        struct edit edit = {0};
        put(&edit, (struct change){.tag = CHANGE_FLUSHED, .coll = 0, .seq = i});
        assert_int_equal(manifest_commit(world.manifest, &edit), LOAM_OK);
        edit_deinit(&edit);
    }
    assert_true(manifest_written_bytes(world.manifest) > 30000 * 40);
    assert_true(world.root.manifest.number >= 5);
    const struct listing listing = list(&world);
    assert_in_range(listing.count, 1, 2);
    for (size_t i = 0; i < listing.count; i++) {
        uint64_t len;
        assert_non_null(simdisk_bytes(world.disk, "db", listing.names[i], &len));
        assert_int_equal(len, 256 << 10);
    }
    leave(&world);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(load(&world), LOAM_OK);
    assert_int_equal(catalog_coll_by_id(world.catalog, 0)->flushed_seq, 30000);
    close_world(&world);
}

static void an_edit_larger_than_the_file_gets_a_larger_one(void **state)
{
    struct world world;
    struct edit edit = {0};
    bool is_new;
    (void)state;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    for (uint32_t id = 1; id <= 5000; id++) {
        char name[16];
        snprintf(name, sizeof name, "coll%u", id);
        put(&edit, (struct change){.tag = CHANGE_COLL_CREATE, .coll = id, .name = loam_str(name)});
    }
    assert_true(edit.bytes.len > LOG_BYTES);
    assert_int_equal(manifest_commit(world.manifest, &edit), LOAM_OK);
    edit_deinit(&edit);
    leave(&world);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(load(&world), LOAM_OK);
    assert_int_equal(catalog_coll_count(world.catalog), 5001);
    close_world(&world);
}

static void an_edit_that_contradicts_is_not_written(void **state)
{
    struct world world;
    struct edit edit = {0};
    (void)state;
    open_world(&world, 1);
    assert_int_equal(run_script(&world), LOAM_OK);
    put(&edit, (struct change){.tag = CHANGE_COLL_DROP, .coll = 9});
    const uint64_t written = manifest_written_bytes(world.manifest);
    assert_int_equal(manifest_commit(world.manifest, &edit), LOAM_CORRUPT);
    assert_int_equal(manifest_written_bytes(world.manifest), written);
    edit_deinit(&edit);
    assert_true(is_in_state(&world, STEPS));
    expect_reload(&world, STEPS, STEPS);
    close_world(&world);
}

/* ---- power ----------------------------------------------------------------------------------- */

static uint64_t calls_of_script(void)
{
    struct world world;
    open_world(&world, 1);
    assert_int_equal(run_script(&world), LOAM_OK);
    const uint64_t calls = simdisk_call_count(world.disk);
    close_world(&world);
    return calls;
}

static void power_cut_at_any_call_leaves_the_state_before_or_after(void **state)
{
    const uint64_t calls = calls_of_script();
    (void)state;
    for (uint64_t nth = 1; nth <= calls + 1; nth++) {
        for (unsigned variant = 0; variant < SIMDISK_LOSSES + 4; variant++) {
            struct world world;
            const enum simdisk_loss loss =
                variant < SIMDISK_LOSSES ? (enum simdisk_loss)variant : SIMDISK_KEEP_RANDOM;
            open_world(&world, nth * 100 + variant);
            simdisk_cut_at(world.disk, nth);
            const loam_status rc = run_script(&world);
            const size_t done = world.done;
            if (rc == LOAM_FULL || rc == LOAM_NOMEM) fail_msg("the machine is off, not full");
            leave(&world);
            simdisk_power_loss(world.disk, loss);
            expect_reload(&world, done, done < STEPS ? done + 1 : done);
            close_world(&world);
        }
    }
}

/* The second opener's taking over is cut as well. */
static void power_cut_while_taking_over_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct world world;
        bool is_new;
        open_world(&world, nth);
        assert_int_equal(run_script(&world), LOAM_OK);
        leave(&world);
        simdisk_power_loss(world.disk, SIMDISK_LOSE_ALL);
        simdisk_cut_at(world.disk, nth);
        loam_status rc = open_store(&world, &is_new);
        if (rc == LOAM_OK) rc = load(&world);
        if (rc == LOAM_OK) rc = begin(&world);
        leave(&world);
        const bool was_cut = simdisk_is_off(world.disk);
        simdisk_power_loss(world.disk, (enum simdisk_loss)(nth % SIMDISK_LOSSES));
        expect_reload(&world, STEPS, STEPS);
        close_world(&world);
        if (!was_cut) break;
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

static void fail_and_lose_power(uint64_t nth, int error, bool forever, enum simdisk_loss loss)
{
    struct world world;
    open_world(&world, nth);
    simdisk_fail_at(world.disk, nth, error, forever);
    const loam_status rc = run_script(&world);
    const size_t done = world.done;
    const bool unchanged = rc == LOAM_FULL || rc == LOAM_NOMEM;
    simdisk_fail_at(world.disk, 0, 0, false);
    leave(&world);
    simdisk_power_loss(world.disk, loss);
    const size_t most = done < STEPS && rc != LOAM_OK && !unchanged ? done + 1 : done;
    expect_reload(&world, done, most);
    close_world(&world);
}

static void after_any_failing_call_nothing_acknowledged_is_missing(void **state)
{
    static const int errors[] = {EIO, ENOSPC, SIMDISK_SHORT};
    const uint64_t calls = calls_of_script();
    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth++)
        for (unsigned variant = 0; variant < 6 * SIMDISK_LOSSES; variant++)
            fail_and_lose_power(nth, errors[variant % 3], variant / 3 % 2 == 1,
                                (enum simdisk_loss)(variant / 6));
}

static void a_commit_that_found_no_room_is_tried_again_and_succeeds(void **state)
{
    const uint64_t calls = calls_of_script();
    size_t refused = 0, stuck = 0;
    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        struct world world;
        open_world(&world, nth);
        simdisk_fail_at(world.disk, nth, ENOSPC, false);
        loam_status rc = run_script(&world);
        if (rc == LOAM_FULL && world.manifest != NULL) {
            refused++;
            assert_true(is_in_state(&world, world.done));
            for (rc = LOAM_OK; rc == LOAM_OK && world.done < STEPS;)
                rc = commit_step(&world, world.done + 1);
            const size_t done = world.done;
            if (rc == LOAM_FULL)
                stuck++; /* a directory that could not be synced is not tried again */
            else
                assert_int_equal(rc, LOAM_OK);
            leave(&world);
            simdisk_power_loss(world.disk, SIMDISK_LOSE_ALL);
            expect_reload(&world, done, done);
        }
        close_world(&world);
    }
    assert_true(refused > 2 * stuck);
}

static void a_write_that_failed_is_never_seen_again(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, 1);
    bool is_new;
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    assert_int_equal(commit_step(&world, 1), LOAM_OK);
    const struct object_id before = world.root.manifest;
    simdisk_fail_at(world.disk, 1, EIO, false);
    assert_int_equal(commit_step(&world, 2), LOAM_IOERR);
    assert_int_equal(loam_errno(), EIO);
    assert_false(object_id_equal(before, world.root.manifest)); /* settled: a new file without it */
    assert_true(is_in_state(&world, 1));
    leave(&world);
    simdisk_kill(world.disk);
    expect_reload(&world, 1, 1);
    close_world(&world);
}

static void a_manifest_whose_end_is_uncertain_takes_no_more(void **state)
{
    struct world world;
    bool is_new;
    (void)state;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    assert_int_equal(commit_step(&world, 1), LOAM_OK);
    simdisk_fail_at(world.disk, 1, EIO, true);
    assert_int_equal(commit_step(&world, 2), LOAM_IOERR);
    simdisk_fail_at(world.disk, 0, 0, false);
    assert_int_equal(commit_step(&world, 2), LOAM_IOERR);
    assert_int_equal(manifest_seal(world.manifest, 0, 0), LOAM_IOERR);
    world.manifest = NULL;
    expect_reload(&world, 1, 2);
    close_world(&world);
}

static void on_a_full_disk_edits_go_on_while_the_file_has_room(void **state)
{
    struct world world;
    bool is_new;
    (void)state;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    simdisk_full(world.disk, LOG_BYTES); /* not a page more */
    size_t commits = 0;
    loam_status rc = LOAM_OK;
    for (; rc == LOAM_OK; commits++) {
        struct edit edit = {0};
        put(&edit, (struct change){.tag = CHANGE_FLUSHED, .coll = 0, .seq = commits + 1});
        rc = manifest_commit(world.manifest, &edit);
        edit_deinit(&edit);
    }
    assert_int_equal(rc, LOAM_FULL);
    assert_true(commits > 500);
    simdisk_full(world.disk, 0);
    assert_int_equal(catalog_coll_by_id(world.catalog, 0)->flushed_seq, commits - 1);
    for (size_t step = 1; step <= 2; step++)
        assert_int_equal(commit_step(&world, step), LOAM_OK);
    leave(&world);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(load(&world), LOAM_OK);
    assert_int_equal(catalog_coll_by_id(world.catalog, 0)->flushed_seq, commits - 1);
    assert_string_equal(catalog_coll_by_id(world.catalog, 1)->name, "fruit");
    close_world(&world);
}

/* The next file was allocated before the disk was full: turning over works, and frees the old one. */
static void the_reserve_carries_a_full_disk_over(void **state)
{
    struct world world;
    bool is_new;
    (void)state;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    assert_int_equal(commit_step(&world, 1), LOAM_OK);
    assert_int_equal(list(&world).count, 2);
    simdisk_full(world.disk, 2 * LOG_BYTES + (16 << 10)); /* both files, and roots */
    for (uint64_t i = 1; i <= 5000; i++) {
        struct edit edit = {0};
        put(&edit, (struct change){.tag = CHANGE_FLUSHED, .coll = 0, .seq = i});
        assert_int_equal(manifest_commit(world.manifest, &edit), LOAM_OK);
        edit_deinit(&edit);
    }
    assert_true(world.root.manifest.number > 2);
    assert_int_equal(manifest_seal(world.manifest, 0, 0), LOAM_OK);
    world.manifest = NULL;
    close_world(&world);
}

static void without_memory_a_commit_changes_nothing(void **state)
{
    struct world world;
    bool is_new;
    (void)state;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    assert_int_equal(begin(&world), LOAM_OK);
    for (size_t step = 1; step <= STEPS; step++) {
        loam_status rc = LOAM_NOMEM;
        struct edit edit = {0};
        make_step(&edit, step);
        for (uint64_t nth = 1; rc == LOAM_NOMEM; nth++) {
            mem_fail_at(nth, nth % 2 == 0);
            rc = manifest_commit(world.manifest, &edit);
            mem_fail_at(0, 0);
            if (rc == LOAM_NOMEM) assert_true(is_in_state(&world, step - 1));
        }
        edit_deinit(&edit);
        assert_int_equal(rc, LOAM_OK);
        assert_true(is_in_state(&world, step));
    }
    expect_reload(&world, STEPS, STEPS);
    close_world(&world);
}

/* ---- rot ------------------------------------------------------------------------------------- */

/* A manifest of three small edits behind its snapshot; ends[n] is the byte where the nth begins. */
static void make_small(struct world *world, bool sealed, uint64_t ends[4])
{
    bool is_new;
    open_world(world, 1);
    assert_int_equal(open_store(world, &is_new), LOAM_OK);
    assert_int_equal(begin(world), LOAM_OK);
    const uint64_t start = SEGMENT_HEADER_BYTES + world->root.manifest_end;
    const uint64_t snapshot = manifest_written_bytes(world->manifest);
    for (uint64_t i = 0; i < 3; i++) {
        struct edit edit = {0};
        ends[i] = start + manifest_written_bytes(world->manifest) - snapshot;
        put(&edit, (struct change){.tag = CHANGE_FLUSHED, .coll = 0, .seq = i + 1});
        assert_int_equal(manifest_commit(world->manifest, &edit), LOAM_OK);
        edit_deinit(&edit);
    }
    ends[3] = start + manifest_written_bytes(world->manifest) - snapshot;
    if (sealed) {
        assert_int_equal(manifest_seal(world->manifest, 0, 0), LOAM_OK);
        world->manifest = NULL;
    }
    leave(world);
    assert_int_equal(open_store(world, &is_new), LOAM_OK);
    assert_int_equal(load(world), LOAM_OK);
}

static uint64_t flushed(const struct world *world)
{
    return catalog_coll_by_id(world->catalog, 0)->flushed_seq;
}

static bool is_refused_or_right(struct world *world, bool may_be_torn, uint64_t at)
{
    const loam_status rc = load(world);
    if (rc == LOAM_CORRUPT) {
        assert_non_null(strstr(loam_errmsg(), "00000001-00000001.manifest: byte "));
        return true;
    }
    assert_int_equal(rc, LOAM_OK);
    const uint64_t seq = flushed(world);
    if (seq != 3 && !(seq == 2 && may_be_torn))
        fail_msg("byte %u of the manifest: state %u", (unsigned)at, (unsigned)seq);
    return false;
}

static void a_changed_byte_is_noticed_or_does_not_matter(void **state)
{
    const uint64_t step = seeds_stride(8); /* 8: one bit of each byte */
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world world;
        uint64_t ends[4], len, refused = 0;
        make_small(&world, sealed, ends);
        uint8_t *bytes = manifest_bytes(&world, &len);
        assert_non_null(bytes);
        for (uint64_t at = 0; at < ends[3] + 100 && at < len; at++) {
            for (uint64_t bit = at % step; bit < 8; bit += step) {
                bytes[at] ^= (uint8_t)(1u << bit);
                refused += is_refused_or_right(&world, !sealed && at >= ends[2], at);
                bytes[at] ^= (uint8_t)(1u << bit);
            }
            if (at == 200) at = SEGMENT_HEADER_BYTES - 100; /* zeros that nobody reads */
        }
        assert_true(refused > 8 / step * (ends[sealed ? 3 : 2] - SEGMENT_HEADER_BYTES) * 9 / 10);
        assert_int_equal(load(&world), LOAM_OK);
        assert_int_equal(flushed(&world), 3);
        close_world(&world);
    }
}

static void both_headers_gone_is_damage_and_one_is_not(void **state)
{
    struct world world;
    uint64_t ends[4], len;
    (void)state;
    make_small(&world, true, ends);
    uint8_t *bytes = manifest_bytes(&world, &len);
    memset(bytes, 0, 512);
    assert_int_equal(load(&world), LOAM_OK);
    memset(bytes + 4096, 0, 512);
    assert_int_equal(load(&world), LOAM_CORRUPT);
    close_world(&world);
}

static void a_manifest_cut_short_is_noticed_or_torn(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct world world;
        uint64_t ends[4];
        make_small(&world, sealed, ends);
        struct sys_table sys = simdisk_table(world.disk);
        const int dir = sys.calls->open_dir(sys.ctx, "db");
        char name[OBJECT_NAME_BYTES];
        object_name_make(OBJECT_MANIFEST, world.root.manifest, name);
        const int fd = sys.calls->open(sys.ctx, dir, name, SYS_READ_WRITE);
        assert_true(fd >= 0);
        for (uint64_t len = ends[3]; len-- > 0;) {
            if (len < ends[0] && len > 300 && len % 97 != 0) continue;
            assert_int_equal(sys.calls->truncate(sys.ctx, fd, len), 0);
            assert_int_equal(load(&world), LOAM_CORRUPT);
            if (sealed || len < ends[0]) continue;
            assert_int_equal(sys.calls->truncate(sys.ctx, fd, 64 << 10), 0); /* torn by a crash */
            assert_int_equal(load(&world), LOAM_OK);
            const uint64_t found = flushed(&world); /* an edit's padding is zero, and not missed */
            assert_true(found >= (len >= ends[2] ? 2 : len >= ends[1] ? 1 : 0));
            assert_true(found <= (len + 7 >= ends[3] ? 3 : len + 7 >= ends[2] ? 2 : 1));
        }
        close_world(&world);
    }
}

static void a_missing_or_foreign_manifest_is_damage(void **state)
{
    struct world world;
    uint64_t ends[4];
    (void)state;
    make_small(&world, true, ends);
    struct root root = world.root;
    root.store_id[3] ^= 1;
    fresh_catalog(&world);
    assert_int_equal(manifest_load(world.store, &root, world.catalog, NULL), LOAM_CORRUPT);
    root = world.root;
    root.manifest.number++;
    fresh_catalog(&world);
    assert_int_equal(manifest_load(world.store, &root, world.catalog, NULL), LOAM_CORRUPT);
    assert_non_null(strstr(loam_errmsg(), "00000001-00000002.manifest"));
    root.manifest.number = 0; /* none: a creation that was cut short */
    fresh_catalog(&world);
    assert_int_equal(manifest_load(world.store, &root, world.catalog, NULL), LOAM_OK);
    close_world(&world);
}

/* A manifest that the engine does not write, of records as given. */
static loam_status load_made(uint8_t kind, const struct change *changes, size_t count)
{
    struct world world;
    struct log *log = NULL;
    struct segment segment;
    bool is_new;
    open_world(&world, 1);
    assert_int_equal(open_store(&world, &is_new), LOAM_OK);
    struct root root = {.epoch = 1, .manifest = {1, 1}};
    const struct segment_header header = {.id = root.manifest, .log_key = 5};
    assert_int_equal(
        log_create(world.store, "00000001-00000001.manifest", 65536, LOG_WRITTEN, &log), LOAM_OK);
    assert_int_equal(segment_start(&segment, log, &header), LOAM_OK);
    for (size_t i = 0; i < count; i++) {
        struct edit edit = {0};
        put(&edit, changes[i]);
        const struct sys_piece piece = {edit.bytes.data, edit.bytes.len};
        const struct record_spec spec = {.kind = kind, .flags = RECORD_FIRST | RECORD_LAST};
        assert_int_equal(segment_append(&segment, &spec, &piece, 1, LOG_VOLATILE), LOAM_OK);
        edit_deinit(&edit);
    }
    root.manifest_end = segment.end;
    root.manifest_running = segment.running;
    assert_int_equal(log_close(log, false), LOAM_OK);
    const loam_status rc = manifest_load(world.store, &root, world.catalog, NULL);
    close_world(&world);
    return rc;
}

static void records_that_no_manifest_holds_are_refused(void **state)
{
    const struct change end = {.tag = CHANGE_SNAPSHOT_END};
    const struct change counters = {.tag = CHANGE_COUNTERS, .next_coll = 1};
    const struct change drops[2] = {{.tag = CHANGE_COLL_DROP, .coll = 4}, end};
    (void)state;
    assert_int_equal(load_made(RECORD_EDIT, &end, 1), LOAM_OK);
    assert_int_equal(load_made(RECORD_COMMIT, &end, 1), LOAM_CORRUPT);
    assert_int_equal(load_made(RECORD_EDIT, &counters, 1), LOAM_CORRUPT); /* never complete */
    assert_int_equal(load_made(RECORD_EDIT, drops, 2), LOAM_CORRUPT);
    assert_non_null(strstr(loam_errmsg(), "00000001-00000001.manifest: byte 8192: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_come_back_after_a_seal_and_after_a_kill),
        cmocka_unit_test(a_long_life_takes_no_more_than_two_small_files),
        cmocka_unit_test(an_edit_larger_than_the_file_gets_a_larger_one),
        cmocka_unit_test(an_edit_that_contradicts_is_not_written),
        cmocka_unit_test(power_cut_at_any_call_leaves_the_state_before_or_after),
        cmocka_unit_test(power_cut_while_taking_over_loses_nothing),
        cmocka_unit_test(after_any_failing_call_nothing_acknowledged_is_missing),
        cmocka_unit_test(a_commit_that_found_no_room_is_tried_again_and_succeeds),
        cmocka_unit_test(a_write_that_failed_is_never_seen_again),
        cmocka_unit_test(a_manifest_whose_end_is_uncertain_takes_no_more),
        cmocka_unit_test(on_a_full_disk_edits_go_on_while_the_file_has_room),
        cmocka_unit_test(the_reserve_carries_a_full_disk_over),
        cmocka_unit_test(without_memory_a_commit_changes_nothing),
        cmocka_unit_test(a_changed_byte_is_noticed_or_does_not_matter),
        cmocka_unit_test(both_headers_gone_is_damage_and_one_is_not),
        cmocka_unit_test(a_manifest_cut_short_is_noticed_or_torn),
        cmocka_unit_test(a_missing_or_foreign_manifest_is_damage),
        cmocka_unit_test(records_that_no_manifest_holds_are_refused),
    };
    return cmocka_run_group_tests_name("tree/manifest", tests, make_states, free_states);
}
