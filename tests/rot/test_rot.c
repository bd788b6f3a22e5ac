/*
 * test_rot.c - no damage to the files of a store gives a wrong answer: all of it is right, or refused with file and byte.
 *
 * A store is a seed (lib/rot_store.h). Each of its files is changed in turn: every byte, every length, longer, empty, gone, exchanged for
 * another of its kind, replaced by what it was earlier or by another store's. The damaged store is opened, everything in it is read,
 * forward, backward and by key, and held against the model, and verifying must find what is damaged even where all answers were right.
 * FILES=n says how many damaged files of many stores are opened; SEED and SOAK as in lib/seeds.h.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "lib/last_words.h"
#include "lib/rot_store.h"
#include "lib/seeds.h"

enum {
    DISK_OPENINGS = 50, /* of one disk: descriptors are never given twice */
    STORE_FILES = 2000, /* damaged files that are drawn of one store */
    WRITABLE_EACH = 16
};

struct damage {
    const char *what;
    uint64_t at;
    bool
        is_marked; /* bytes that carry information are changed or gone, and what is there now is nothing sound: it must be
                       found, and the file named */
    struct rot_change changes[2];
    size_t change_count;
};

struct lab {
    struct rot_store *store;
    struct simdisk *disk;
    unsigned openings;
    struct rand rand;
    const struct damage *damage;
    unsigned turn;
};

static struct {
    uint64_t files, refused_at_open, refused_in_part, right, torn, found_by_verify, written;
} done;

/* ---- one damaged store ------------------------------------------------------------------------- */

static void complain(const struct lab *lab, const char *what, loam_status rc)
{
    static const char *const ends[] = {"closed", "killed", "powerless"};
    const struct damage *damage = lab->damage;
    fail_msg("SEED=%llu (%s): %s, %s at %llu: %s: %s %s", (unsigned long long)lab->store->seed,
             ends[lab->store->how], damage->changes[0].file->name, damage->what,
             (unsigned long long)damage->at, what, loam_status_name(rc),
             rc < 0 ? loam_errmsg() : "");
}

static void lay(struct lab *lab)
{
    if (lab->disk != NULL) simdisk_free(lab->disk);
    lab->disk = rot_store_disk(lab->store);
    lab->openings = 0;
}

static void replace(struct lab *lab, bool damaged)
{
    for (size_t i = 0; i < lab->damage->change_count; i++) {
        const struct rot_change *change = &lab->damage->changes[i];
        const struct rot_file *file = change->file;
        uint64_t len;
        uint8_t *live = simdisk_bytes(lab->disk, "db", file->name, &len);
        const uint8_t *bytes = damaged ? change->bytes : file->bytes;
        const size_t wanted = damaged ? change->len : file->len;
        if (live != NULL && bytes != NULL && len == wanted)
            memcpy(live, bytes, wanted);
        else
            rot_put(lab->disk, file->name, bytes, wanted);
    }
}

/* A refusal says where: the file that is damaged, and a byte. */
static void check_refusal(const struct lab *lab, loam_status rc)
{
    const struct damage *damage = lab->damage;
    const char *text = loam_errmsg(), *name = damage->changes[0].file->name;
    if (rc != LOAM_CORRUPT) complain(lab, "not the status of damage", rc);
    /* What the last edits took away is looked for where they are gone. */
    const bool blames_manifest = strstr(name, ".manifest") != NULL &&
                                 strstr(text, "or the manifest has lost its end") != NULL;
    const bool names_file =
        damage->is_marked ? strstr(text, name) != NULL || blames_manifest
                          : strstr(text, ".sst") != NULL || strstr(text, ".wal") != NULL ||
                                strstr(text, ".manifest") != NULL || strstr(text, "root") != NULL;
    if (!names_file) complain(lab, "the file is not named", rc);
    if (strstr(text, "byte ") == NULL && strstr(text, "root: is missing") == NULL)
        complain(lab, "no byte is named", rc);
}

/* ---- reading all of it ----------------------------------------------------------------------------- */

struct reading {
    const struct lab *lab;
    const struct model *model;
    loam_db *db;
    bool refused;
    const char *wrong; /* static */
    char coll[32];
};

/* True when the call answered; false when it refused, or wrongly. */
static bool answers(struct reading *reading, loam_status rc, loam_status wanted, const char *what)
{
    if (rc < 0) {
        check_refusal(reading->lab, rc);
        reading->refused = true;
        return false;
    }
    if (rc != wanted) reading->wrong = what;
    return rc == wanted;
}

static void read_keys(struct reading *reading, loam_coll *coll)
{
    loam_buf value = {0};
    loam_slice key, wanted;
    const size_t count = model_count(reading->model, reading->coll);
    for (size_t i = 0; i < count && reading->wrong == NULL; i++) {
        model_at(reading->model, reading->coll, i, &key, &wanted);
        if (answers(reading, loam_get(reading->db, coll, key, &value), LOAM_OK, "a key is gone") &&
            !bytes_equal(loam_bytes(value.data, value.len), wanted))
            reading->wrong = "another value";
    }
    static const char *const absent[] = {"", "00", "key/0001x", "key/9999", "z"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0] && reading->wrong == NULL; i++)
        (void)answers(reading, loam_get(reading->db, coll, loam_str(absent[i]), &value),
                      LOAM_NOTFOUND, "a key that was never there");
    loam_buf_free(&value);
}

static void walk(struct reading *reading, loam_coll *coll, bool backward)
{
    loam_iter *it;
    loam_slice key, value;
    const size_t count = model_count(reading->model, reading->coll);
    if (!answers(reading, loam_iter_open(reading->db, coll, NULL, &it), LOAM_OK, "no iterator"))
        return;
    for (size_t i = 0; i <= count && reading->wrong == NULL; i++) {
        const loam_status rc = backward ? loam_iter_prev(it) : loam_iter_next(it);
        if (!answers(reading, rc, i < count ? LOAM_OK : LOAM_NOTFOUND,
                     "the end comes too early or late"))
            break;
        if (i == count) break;
        model_at(reading->model, reading->coll, backward ? count - 1 - i : i, &key, &value);
        if (!bytes_equal(loam_iter_key(it), key)) reading->wrong = "a walk meets another key";
        if (!bytes_equal(loam_iter_value(it), value)) reading->wrong = "a walk meets another value";
    }
    loam_iter_close(it);
}

static void take_coll(void *ctx, const char *name)
{
    struct reading *reading = ctx;
    if (!model_has(reading->model, name)) reading->wrong = "a collection that should not be there";
}

/* NULL, or what is wrong. */
static const char *read_all(const struct lab *lab, loam_db *db, const struct model *model,
                            bool *refused)
{
    struct reading reading = {.lab = lab, .model = model, .db = db};
    loam_coll *coll;
    if (loam_collections(db, take_coll, &reading) != LOAM_OK) reading.wrong = "no collections";
    for (size_t i = 0; i < model_coll_count(model) && reading.wrong == NULL; i++) {
        snprintf(reading.coll, sizeof reading.coll, "%s", model_coll_at(model, i));
        if (loam_collection(db, reading.coll, &coll) != LOAM_OK) return "a collection is gone";
        read_keys(&reading, coll);
        if (reading.wrong == NULL) walk(&reading, coll, false);
        if (reading.wrong == NULL) walk(&reading, coll, true);
    }
    *refused = reading.refused;
    return reading.wrong;
}

static void judge(struct lab *lab, loam_db *db, const struct model *torn)
{
    bool refused = false, is_torn = false;
    const char *wrong = read_all(lab, db, lab->store->present->model, &refused);
    if (wrong != NULL && torn != NULL) {
        is_torn = true;
        wrong = read_all(lab, db, torn, &refused);
    }
    if (wrong != NULL) complain(lab, wrong, LOAM_OK);
    if (!db->options.read_only) return;
    const loam_status rc = loam_verify_open(db, NULL, NULL);
    if (rc != LOAM_OK && rc != LOAM_CORRUPT) complain(lab, "verifying", rc);
    if (rc == LOAM_OK && refused) complain(lab, "what refuses answers verifies clean", rc);
    if (rc == LOAM_OK && lab->damage->is_marked && torn == NULL)
        complain(lab, "verifying finds nothing", rc);
    if (is_torn)
        done.torn++;
    else if (refused)
        done.refused_in_part++;
    else
        done.right++;
    if (rc == LOAM_CORRUPT && !refused) done.found_by_verify++;
}

/* For writing: merges, writes and reopens. What is damaged must not be lost in that without a word. */
static void try_writing(struct lab *lab, const struct model *torn)
{
    struct simdisk *disk = lab->disk;
    loam_options options = lab->store->options;
    struct db_world world = lab->store->world;
    loam_db *db;
    lab->disk = NULL;
    lay(lab);
    replace(lab, true);
    world.sys = simdisk_table(lab->disk);
    options.read_only = false;
    loam_status rc = db_open_in(&world, "db", &options, &db);
    if (rc == LOAM_OK) {
        judge(lab, db, torn);
        rc = loam_compact(db, NULL, NULL);
        if (rc < 0) check_refusal(lab, rc);
        for (int i = 0; i < 20 && jobs_run_one(db); i++) {
        }
        judge(lab, db, torn);
        rc = loam_close(db);
        if (rc < 0) complain(lab, "closing", rc);
        rc = db_open_in(&world, "db", &options, &db);
        if (rc < 0) complain(lab, "opening again", rc);
        judge(lab, db, torn);
        rc = loam_close(db);
        if (rc < 0) complain(lab, "closing again", rc);
    } else {
        check_refusal(lab, rc);
    }
    simdisk_free(lab->disk);
    lab->disk = disk;
    done.written++;
}

static void try_damage(struct lab *lab, const struct damage *damage)
{
    struct db_world world = lab->store->world;
    loam_db *db;
    lab->damage = damage;
    if (lab->disk == NULL || lab->openings++ >= DISK_OPENINGS) lay(lab);
    const struct model *torn = rot_torn_model(lab->store, damage->changes, damage->change_count);
    replace(lab, true);
    world.sys = simdisk_table(lab->disk);
    const loam_status rc = db_open_in(&world, "db", &lab->store->options, &db);
    if (rc == LOAM_OK) {
        judge(lab, db, torn);
        assert_int_equal(loam_close(db), LOAM_OK);
    } else {
        check_refusal(lab, rc);
        done.refused_at_open++;
    }
    replace(lab, false);
    done.files++;
    if (rand_below(&lab->rand, WRITABLE_EACH) == 0) try_writing(lab, torn);
}

/* ---- kinds of damage --------------------------------------------------------------------------------- */

static void one_change(struct lab *lab, const char *what, uint64_t at, bool is_marked,
                       struct rot_change change)
{
    const struct damage damage = {what, at, is_marked, {change}, 1};
    try_damage(lab, &damage);
}

/* One bit, or all of them, as chance has it. */
static void change_byte(struct lab *lab, const struct rot_file *file, size_t at, uint8_t *bytes)
{
    const uint8_t mask =
        rand_below(&lab->rand, 2) == 0 ? 0xff : (uint8_t)(1u << rand_below(&lab->rand, 8));
    bytes[at] ^= mask;
    one_change(lab, mask == 0xff ? "a byte changed" : "a bit changed", at, file->marked[at],
               (struct rot_change){file, bytes, file->len});
    bytes[at] ^= mask;
}

static void change_and_cut(struct lab *lab, const struct rot_file *file, size_t step)
{
    uint8_t *bytes = malloc(file->len + 1);
    assert_non_null(bytes);
    memcpy(bytes, file->bytes, file->len);
    for (size_t at = (size_t)rand_below(&lab->rand, step); at < file->len; at += step)
        change_byte(lab, file, at, bytes);
    for (size_t at = (size_t)rand_below(&lab->rand, step); at < file->len; at += step)
        one_change(lab, "cut", at, at < rot_marked_end(file), (struct rot_change){file, bytes, at});
    free(bytes);
}

static void lengthen(struct lab *lab, const struct rot_file *file)
{
    const size_t more = 1 + (size_t)rand_below(&lab->rand, 9000);
    uint8_t *bytes = calloc(1, file->len + more);
    assert_non_null(bytes);
    memcpy(bytes, file->bytes, file->len);
    one_change(lab, "longer by zeros", more, false,
               (struct rot_change){file, bytes, file->len + more});
    for (size_t i = 0; i < more; i++)
        bytes[file->len + i] = (uint8_t)rand_next(&lab->rand);
    one_change(lab, "longer", more, false, (struct rot_change){file, bytes, file->len + more});
    free(bytes);
}

static bool is_of_kind(const struct rot_file *a, const struct rot_file *b)
{
    const char *ending = strrchr(a->name, '.'), *other = strrchr(b->name, '.');
    return ending == NULL || other == NULL ? ending == other : strcmp(ending, other) == 0;
}

static void exchange(struct lab *lab, const struct rot_file *a, const struct rot_file *b)
{
    const struct damage damage = {
        "exchanged", (uint64_t)(b - a), false, {{a, b->bytes, b->len}, {b, a->bytes, a->len}}, 2};
    try_damage(lab, &damage);
}

/* The file as a whole: gone, empty, longer, another. */
static void replace_whole(struct lab *lab, const struct rot_file *file,
                          const struct rot_store *other)
{
    const struct rot_store *store = lab->store;
    static const uint8_t nothing[1];
    one_change(lab, "gone", 0, rot_marked_end(file) > 0, (struct rot_change){file, NULL, 0});
    one_change(lab, "empty", 0, rot_marked_end(file) > 0, (struct rot_change){file, nothing, 0});
    lengthen(lab, file);
    for (const struct rot_file *next = file + 1; next < store->files + store->file_count; next++)
        if (is_of_kind(file, next)) exchange(lab, file, next);
    for (size_t i = 0; i < store->stale_count; i++) {
        const struct rot_file *old = &store->stale[i];
        if (strcmp(old->name, file->name) == 0)
            one_change(lab, "as it was earlier", i, false,
                       (struct rot_change){file, old->bytes, old->len});
    }
    for (size_t i = 0; other != NULL && i < other->file_count; i++) {
        const struct rot_file *its = &other->files[i];
        if (is_of_kind(file, its))
            one_change(lab, "another store's", i, false,
                       (struct rot_change){file, its->bytes, its->len});
    }
}

static size_t all_bytes(const struct rot_store *store)
{
    size_t bytes = 0;
    for (size_t i = 0; i < store->file_count; i++)
        bytes += store->files[i].len;
    return bytes;
}

/* An undamaged store is right, and verifies clean: else nothing below means anything. */
static void check_sound(struct lab *lab)
{
    const struct rot_change none = {lab->store->files, lab->store->files->bytes,
                                    lab->store->files->len};
    const struct damage damage = {"nothing", 0, false, {none}, 1};
    const uint64_t right = done.right, found = done.found_by_verify;
    try_damage(lab, &damage);
    assert_int_equal(done.right, right + 1);
    assert_int_equal(done.found_by_verify, found);
}

static void damage_store(struct rot_store *store, const struct rot_store *other, size_t step)
{
    struct lab lab = {.store = store, .rand = {store->seed}};
    last_words(300, "SEED=%llu: damaging a store", (unsigned long long)store->seed);
    check_sound(&lab);
    for (size_t i = 0; i < store->file_count; i++)
        replace_whole(&lab, &store->files[i], other);
    for (size_t i = 0; i < store->file_count; i++)
        change_and_cut(&lab, &store->files[i], step);
    simdisk_free(lab.disk);
    last_words_none();
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void print_done(const char *what)
{
    print_message(
        "# %s: %llu refused at opening, %llu in part, %llu right (in %llu of them verifying "
        "found it), %llu as torn\n",
        what, (unsigned long long)done.refused_at_open, (unsigned long long)done.refused_in_part,
        (unsigned long long)done.right, (unsigned long long)done.found_by_verify,
        (unsigned long long)done.torn);
    figures_print((const struct figure[]){{"damaged_files", done.files},
                                          {"damaged_files_opened_for_writing", done.written}},
                  2);
    memset(&done, 0, sizeof done);
}

static void every_byte_of_small_stores_is_right_or_refused(void **state)
{
    (void)state;
    if (environment_number("SOAK", 0) > 0) skip(); /* chance reaches them, and more of others */
    const uint64_t seed = environment_number("SEED", 2);
    const uint64_t slowdown = environment_number("SLOWDOWN", 1);
    for (int how = ROT_CLOSED; how <= ROT_KILLED; how++) {
        struct rot_store *store = rot_store_new(seed, (enum rot_end)how, 12);
        print_message("# SEED=%llu: %zu files of %zu bytes\n", (unsigned long long)seed,
                      store->file_count, all_bytes(store));
        damage_store(store, NULL, slowdown > 1 ? 20 * (size_t)slowdown + 1 : 1);
        rot_store_free(store);
        print_done(how == ROT_CLOSED ? "closed" : "killed");
    }
}

static void damaged_files_of_many_stores_are_right_or_refused(void **state)
{
    struct rot_store *other = NULL;
    struct seeds seeds = seeds_begin("STORES", UINT32_MAX);
    (void)state;
    const uint64_t files = environment_number("FILES", 20000 / environment_number("SLOWDOWN", 1));
    for (uint64_t seed; seeds_go_on(&seeds, done.files, files) && seeds_next(&seeds, &seed);) {
        static const enum rot_end ends[] = {ROT_CLOSED, ROT_KILLED, ROT_CLOSED, ROT_POWERLESS};
        struct rot_store *store = rot_store_new(seed, ends[seed % 4], 60);
        damage_store(store, other, 1 + 2 * all_bytes(store) / STORE_FILES);
        if (other != NULL) rot_store_free(other);
        other = store;
    }
    if (other != NULL) rot_store_free(other);
    print_done("many");
}

int main(void)
{
    /* Opening takes and gives back large blocks thousands of times a second; the system need not hear of it. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_small_stores_is_right_or_refused),
        cmocka_unit_test(damaged_files_of_many_stores_are_right_or_refused),
    };
    return cmocka_run_group_tests_name("rot", tests, NULL, NULL);
}
