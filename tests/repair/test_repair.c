/*
 * test_repair.c - random stores, hurt at random: what repair makes of them.
 *
 * Every value says which collection and key it was written to, so what a repaired store holds can be judged without
 * knowing what the damage was. What is there exactly is judged where the damage allows it: none at all, a lost root, a
 * page, an index; and wherever a read-only opening of the damaged store still answers.
 * SEED=n replays one store with all its damages; STORES=n says how many stores.
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

#include "db/db.h"
#include "lib/fixture.h"
#include "lib/model.h"
#include "lib/seeds.h"
#include "lib/simdisk.h"

enum {
    COLLS = 4,
    KEYS = 40,
    OPS = 160,
    FILES_MAX = 400,
    NAME_BYTES = 32,
    LIVES_MAX = 64,
    VALUE_BYTES_MOST = 140000,
    STORES = 40,
    DAMAGES = 12
};
#define TTL_AGES_MS (UINT64_C(1) << 42)

static const char *const NAMES[COLLS] = {"default", "one", "two", "three"};

/* A merge that makes a whole value, so that it can be judged as those that were put. */
static size_t take_newer(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    (void)ctx, (void)older;
    memcpy(result, newer.data, newer.len);
    return newer.len;
}
static const loam_merge_operator newest = {.name = "newest", .combine = take_newer};

static loam_options small_options(void)
{
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.merge_operators = &newest;
    options.merge_operator_count = 1;
    return options;
}

/* ---- a store and its past -------------------------------------------------------------------------- */

struct file {
    char name[NAME_BYTES];
    uint8_t *bytes;
    uint64_t len;
};

struct image { /* a directory */
    struct file files[FILES_MAX];
    size_t count;
};

struct past {
    uint64_t seed;
    struct rand rand;
    struct simdisk *disk;
    struct db_world world;
    loam_options options;
    loam_db *db;
    struct model *model;
    bool has[COLLS];
    unsigned life[COLLS]; /* which creation bears the name now */
    unsigned life_count;
    uint32_t names_of[LIVES_MAX]; /* bits: names that this creation bore, and those of its clones */
    uint64_t lives_in[COLLS];     /* bits: creations that may have written what is in it now */
    unsigned version;
};

static uint8_t value_room[VALUE_BYTES_MOST + 64];

static void gather_name(void *ctx, const char *name)
{
    struct image *image = ctx;
    assert_true(image->count < FILES_MAX);
    snprintf(image->files[image->count++].name, NAME_BYTES, "%s", name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void image_take(struct image *image, struct simdisk *disk, const char *dir)
{
    const struct sys_table sys = simdisk_table(disk);
    memset(image, 0, sizeof *image);
    const int fd = sys.calls->open_dir(sys.ctx, dir);
    assert_true(fd >= 0);
    assert_int_equal(sys.calls->list(sys.ctx, fd, gather_name, image), 0);
    (void)sys.calls->close(sys.ctx, fd);
    qsort(image->files, image->count, sizeof image->files[0], by_name);
    for (size_t i = 0; i < image->count; i++) {
        struct file *file = &image->files[i];
        const uint8_t *bytes = simdisk_bytes(disk, dir, file->name, &file->len);
        assert_non_null(bytes);
        file->bytes = malloc(file->len + 1);
        assert_non_null(file->bytes);
        memcpy(file->bytes, bytes, file->len);
    }
}

static void image_free(struct image *image)
{
    for (size_t i = 0; i < image->count; i++)
        free(image->files[i].bytes);
    image->count = 0;
}

static void image_write(const struct image *image, struct simdisk *disk, const char *dir)
{
    const struct sys_table sys = simdisk_table(disk);
    assert_int_equal(sys.calls->make_dir(sys.ctx, dir), 0);
    const int fd = sys.calls->open_dir(sys.ctx, dir);
    assert_true(fd >= 0);
    for (size_t i = 0; i < image->count; i++) {
        const struct file *file = &image->files[i];
        const int to = sys.calls->open(sys.ctx, fd, file->name, SYS_CREATE);
        assert_true(to >= 0);
        const struct sys_piece piece = {file->bytes, file->len};
        if (file->len > 0)
            assert_int_equal(sys.calls->write(sys.ctx, to, 0, &piece, 1, false), file->len);
        (void)sys.calls->close(sys.ctx, to);
    }
    (void)sys.calls->close(sys.ctx, fd);
}

static bool image_equal(const struct image *a, const struct image *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->files[i].name, b->files[i].name) != 0) return false;
        if (a->files[i].len != b->files[i].len) return false;
        if (memcmp(a->files[i].bytes, b->files[i].bytes, a->files[i].len) != 0) return false;
    }
    return true;
}

/* ---- living ------------------------------------------------------------------------------------------ */

static loam_slice key_of(uint32_t key, char text[static 16])
{
    return loam_bytes(text, (size_t)snprintf(text, 16, "key%03u", key * 7u % 256));
}

/* "life/key/version/" and a filling that follows from it. */
static loam_slice value_of(struct past *past, unsigned life, loam_slice key)
{
    const uint64_t dice = rand_below(&past->rand, 100);
    size_t len = (size_t)rand_below(&past->rand, 120);
    if (dice < 8) len = 1500 + (size_t)rand_below(&past->rand, 3000);
    if (dice < 2) len = 60000 + (size_t)rand_below(&past->rand, 80000);
    int head = snprintf((char *)value_room, 64, "%u/%.*s/%u/", life, (int)key.len,
                        (const char *)key.data, past->version++);
    if (len < (size_t)head) len = (size_t)head;
    for (size_t i = (size_t)head; i < len; i++)
        value_room[i] = (uint8_t)(past->version * 31 + i * (i % 7 == 0) + i / 64);
    return loam_bytes(value_room, len);
}

static loam_coll *coll_at(struct past *past, unsigned coll)
{
    loam_coll *handle = NULL;
    assert_int_equal(loam_collection(past->db, NAMES[coll], &handle), LOAM_OK);
    return handle;
}

static void past_open(struct past *past)
{
    const loam_status rc = db_open_in(&past->world, "db", &past->options, &past->db);
    if (rc != LOAM_OK) fail_msg("SEED=%llu: %s", (unsigned long long)past->seed, loam_errmsg());
}

/* What is in it may be found under its name. */
static void bear_name(struct past *past, unsigned coll)
{
    for (unsigned life = 0; life < LIVES_MAX; life++)
        if ((past->lives_in[coll] >> life & 1) != 0) past->names_of[life] |= 1u << coll;
}

static void change_collections(struct past *past)
{
    const unsigned coll = 1 + (unsigned)rand_below(&past->rand, COLLS - 1);
    const unsigned to = 1 + (unsigned)rand_below(&past->rand, COLLS - 1);
    if (past->has[coll] && !past->has[to] && past->life_count < LIVES_MAX &&
        rand_below(&past->rand, 2) == 0) {
        const unsigned source = rand_below(&past->rand, 2) == 0 ? coll : 0;
        assert_int_equal(loam_clone(past->db, NAMES[source], NAMES[to], NULL), LOAM_OK);
        model_clone(past->model, NAMES[source], NAMES[to]);
        past->life[to] = past->life_count++;
        past->has[to] = true;
        past->lives_in[to] = past->lives_in[source] | UINT64_C(1) << past->life[to];
        bear_name(past, to);
    } else if (!past->has[coll] && past->life_count < LIVES_MAX) {
        loam_coll_options options = loam_coll_options_default();
        options.compression = (loam_compression)rand_below(&past->rand, 3);
        if (rand_below(&past->rand, 2) == 0) options.merge_operator = newest.name;
        assert_int_equal(loam_create(past->db, NAMES[coll], &options, NULL), LOAM_OK);
        model_create(past->model, NAMES[coll]);
        past->life[coll] = past->life_count++;
        past->has[coll] = true;
        past->lives_in[coll] = UINT64_C(1) << past->life[coll];
        bear_name(past, coll);
    } else if (past->has[coll] && !past->has[to] && rand_below(&past->rand, 2) == 0) {
        assert_int_equal(loam_rename(past->db, NAMES[coll], NAMES[to]), LOAM_OK);
        model_rename(past->model, NAMES[coll], NAMES[to]);
        past->life[to] = past->life[coll];
        past->lives_in[to] = past->lives_in[coll];
        past->has[coll] = false;
        past->has[to] = true;
        bear_name(past, to);
    } else if (past->has[coll] && rand_below(&past->rand, 3) == 0) {
        assert_int_equal(loam_drop(past->db, NAMES[coll]), LOAM_OK);
        model_drop(past->model, NAMES[coll]);
        past->has[coll] = false;
    }
}

static void draw_entry(struct past *past, loam_batch *batch, unsigned coll)
{
    char text[16], to[16];
    loam_coll_options options = loam_coll_options_default();
    loam_coll *handle = coll_at(past, coll);
    const char *name = NAMES[coll];
    const loam_slice key = key_of((uint32_t)rand_below(&past->rand, KEYS), text);
    const uint64_t dice = rand_below(&past->rand, 24);
    if (dice < 6) {
        assert_int_equal(loam_batch_delete(batch, handle, key), LOAM_OK);
        model_delete(past->model, name, key);
        return;
    }
    if (dice == 6) {
        const loam_range range = {.from = key,
                                  .to = key_of((uint32_t)rand_below(&past->rand, KEYS), to)};
        assert_int_equal(loam_batch_delete_range(batch, handle, &range), LOAM_OK);
        model_delete_range(past->model, name, range.from, range.to);
        return;
    }
    assert_int_equal(loam_coll_options_get(past->db, handle, &options), LOAM_OK);
    const loam_slice value = value_of(past, past->life[coll], key);
    if (dice < 12 && options.merge_operator != NULL) {
        assert_int_equal(loam_batch_merge(batch, handle, key, value), LOAM_OK);
        model_put(past->model, name, key, value);
    } else if (dice < 15) {
        assert_int_equal(loam_batch_put_ttl(batch, handle, key, value, TTL_AGES_MS), LOAM_OK);
        model_put_until(past->model, name, key, value, MODEL_SOME_TIME);
    } else {
        assert_int_equal(loam_batch_put(batch, handle, key, value), LOAM_OK);
        model_put(past->model, name, key, value);
    }
}

static void write_entries(struct past *past)
{
    loam_batch *batch = loam_batch_new();
    const uint64_t count = rand_below(&past->rand, 3) == 0 ? 1 + rand_below(&past->rand, 20) : 1;
    for (uint64_t i = 0; i < count; i++) {
        const unsigned coll = (unsigned)rand_below(&past->rand, COLLS);
        if (past->has[coll]) draw_entry(past, batch, coll);
    }
    assert_int_equal(loam_write(past->db, batch, LOAM_DURABLE_DEFAULT), LOAM_OK);
    loam_batch_free(batch);
}

static void live(struct past *past)
{
    loam_snapshot *snapshot = NULL;
    past_open(past);
    for (unsigned op = 0; op < OPS; op++) {
        const uint64_t dice = rand_below(&past->rand, 100);
        const unsigned coll = (unsigned)rand_below(&past->rand, COLLS);
        if (dice < 70) {
            write_entries(past);
        } else if (dice < 80) {
            change_collections(past);
        } else if (dice < 84 && past->has[coll]) {
            assert_int_equal(loam_flush(past->db, coll_at(past, coll)), LOAM_OK);
        } else if (dice < 86 && past->has[coll]) {
            assert_int_equal(loam_compact(past->db, coll_at(past, coll), NULL), LOAM_OK);
        } else if (dice < 90 && snapshot == NULL) {
            assert_int_equal(loam_snapshot_open(past->db, &snapshot), LOAM_OK);
        } else if (dice < 94) {
            loam_snapshot_close(snapshot);
            snapshot = NULL;
        } else if (dice < 96) {
            loam_snapshot_close(snapshot);
            snapshot = NULL;
            assert_int_equal(loam_close(past->db), LOAM_OK);
            past_open(past);
        } else {
            (void)jobs_run_one(past->db);
        }
    }
    loam_snapshot_close(snapshot);
}

/* The machine stops with the store open or closed; *image is what it leaves. */
static struct past *past_new(uint64_t seed, bool closes, struct image *image)
{
    static const uint32_t runs[] = {1, 2, 8};
    struct past *past = calloc(1, sizeof *past);
    assert_non_null(past);
    past->seed = seed;
    past->rand = (struct rand){seed};
    past->disk = simdisk_new(seed);
    past->model = model_new();
    past->has[0] = true;
    past->life_count = 1;
    past->lives_in[0] = 1;
    past->names_of[0] = 1;
    past->options = small_options();
    past->options.memtable_bytes = 16 << 10;
    past->options.runs_per_level = runs[rand_below(&past->rand, 3)];
    past->options.durability = (loam_durability)(1 + rand_below(&past->rand, 3));
    past->world = (struct db_world){.sys = simdisk_table(past->disk),
                                    .mapped_log = rand_below(&past->rand, 2) == 0,
                                    .page_bytes = rand_below(&past->rand, 2) == 0 ? 256 : 0,
                                    .seed = rand_next(&past->rand)};
    live(past);
    if (closes) {
        assert_int_equal(loam_close(past->db), LOAM_OK);
        image_take(image, past->disk, "db");
    } else {
        image_take(image, past->disk, "db"); /* as a kill leaves it */
        assert_int_equal(loam_close(past->db), LOAM_OK);
    }
    past->db = NULL;
    return past;
}

static void past_free(struct past *past)
{
    simdisk_free(past->disk);
    model_free(past->model);
    free(past);
}

/* ---- a repair and what it made ------------------------------------------------------------------------- */

struct said {
    unsigned lines;
    bool has_log_hole;
    char text[16][640];
};

static void hear(void *ctx, const char *text)
{
    struct said *said = ctx;
    snprintf(said->text[said->lines % 16], sizeof said->text[0], "%s", text);
    said->has_log_hole |= strstr(text, "bytes of the log are") != NULL;
    said->lines++;
}

struct outcome {
    struct simdisk *disk;
    struct db_world world;
    loam_status rc;
    loam_repair_stats stats;
    struct said said;
};

static void give_up(const struct past *past, const struct outcome *outcome, const char *what)
{
    for (unsigned i = 0; i < outcome->said.lines && i < 16; i++)
        print_message("# said: %s\n", outcome->said.text[i]);
    fail_msg("SEED=%llu: %s (%s)", (unsigned long long)past->seed, what, loam_errmsg());
}

/* Repairs the directory on a disk of its own: first to see, then in earnest. Nothing of it may change. */
static struct outcome *repair(const struct past *past, const struct image *image)
{
    struct outcome *outcome = calloc(1, sizeof *outcome);
    struct image after;
    struct said rehearsed = {0};
    assert_non_null(outcome);
    outcome->disk = simdisk_new(past->seed);
    outcome->world = (struct db_world){
        .sys = simdisk_table(outcome->disk), .mapped_log = true, .seed = past->seed};
    outcome->stats.struct_size = sizeof outcome->stats;
    image_write(image, outcome->disk, "db");
    loam_repair_options options = loam_repair_options_default();
    options.memory_bytes = 4 << 20;
    options.line = hear;
    options.ctx = &rehearsed;
    const loam_status dry = db_repair_in(&outcome->world, "db", NULL, &options, NULL);
    options.ctx = &outcome->said;
    outcome->rc = db_repair_in(&outcome->world, "db", "new", &options, &outcome->stats);
    if (outcome->rc != LOAM_OK && outcome->rc != LOAM_CORRUPT && outcome->rc != LOAM_IOERR)
        give_up(past, outcome, "an answer that there should not be");
    if (dry != outcome->rc || rehearsed.lines != outcome->said.lines ||
        memcmp(rehearsed.text, outcome->said.text, sizeof rehearsed.text) != 0)
        give_up(past, outcome, "the dry run said something else");
    image_take(&after, outcome->disk, "db");
    if (!image_equal(image, &after)) give_up(past, outcome, "the damaged store was changed");
    image_free(&after);
    return outcome;
}

static void outcome_free(struct outcome *outcome)
{
    simdisk_free(outcome->disk);
    free(outcome);
}

static loam_db *open_new(const struct past *past, const struct outcome *outcome)
{
    loam_db *db = NULL;
    loam_options options = small_options();
    options.must_exist = true;
    if (db_open_in(&outcome->world, "new", &options, &db) != LOAM_OK)
        give_up(past, outcome, "the new store does not open");
    if (loam_verify_open(db, NULL, NULL) != LOAM_OK)
        give_up(past, outcome, "the new store does not verify");
    return db;
}

/* Was this value ever written to this key of a collection of that name? */
static bool was_written(const struct past *past, const char *coll, loam_slice key, loam_slice value)
{
    char head[64];
    const uint64_t life = number_at(value);
    if (life >= past->life_count) return false;
    const int len = snprintf(head, sizeof head, "%u/%.*s/", (unsigned)life, (int)key.len,
                             (const char *)key.data);
    if (value.len < (size_t)len || memcmp(value.data, head, (size_t)len) != 0) return false;
    if (strncmp(coll, "recovered-", 10) == 0) return true;
    for (unsigned i = 0; i < COLLS; i++)
        if (strcmp(coll, NAMES[i]) == 0) return (past->names_of[life] & 1u << i) != 0;
    return false;
}

struct judging {
    const struct past *past;
    const struct outcome *outcome;
    loam_db *db;
    uint64_t count;
};

static loam_status judge_entries(struct judging *judging, const char *name, loam_coll *coll)
{
    loam_iter *iter = NULL;
    loam_status rc;
    assert_int_equal(loam_iter_open(judging->db, coll, NULL, &iter), LOAM_OK);
    while ((rc = loam_iter_next(iter)) == LOAM_OK) {
        judging->count++;
        if (!was_written(judging->past, name, loam_iter_key(iter), loam_iter_value(iter)))
            give_up(judging->past, judging->outcome, "an entry that nobody wrote there");
    }
    loam_iter_close(iter);
    return rc;
}

/* With a manifest options are lost, too: where there are operands, whoever knows what they meant says so. */
static void judge_collection(void *ctx, const char *name)
{
    struct judging *judging = ctx;
    loam_coll *coll = NULL;
    loam_coll_options options = loam_coll_options_default();
    assert_int_equal(loam_collection(judging->db, name, &coll), LOAM_OK);
    loam_status rc = judge_entries(judging, name, coll);
    assert_int_equal(loam_coll_options_get(judging->db, coll, &options), LOAM_OK);
    if (rc == LOAM_INVALID && options.merge_operator == NULL) {
        options.merge_operator = newest.name;
        assert_int_equal(loam_coll_options_set(judging->db, coll, &options), LOAM_OK);
        rc = judge_entries(judging, name, coll);
    }
    if (rc != LOAM_NOTFOUND) give_up(judging->past, judging->outcome, name);
}

/* All that a read-only opening of the damaged store still answers must be so; but where an opening may take a hole in the log for
   its end, repair says it and goes on behind it. */
static void judge_by_reader(const struct past *past, const struct outcome *outcome, loam_db *db)
{
    loam_db *reader = NULL;
    loam_options options = small_options();
    options.read_only = true;
    if (db_open_in(&outcome->world, "db", &options, &reader) != LOAM_OK) return;
    loam_buf value = {0}, found = {0};
    for (unsigned i = 0; i < COLLS; i++) {
        loam_coll *from = NULL, *to = NULL;
        const loam_status there = loam_collection(reader, NAMES[i], &from);
        if (loam_collection(db, NAMES[i], &to) != there)
            give_up(past, outcome, "another set of collections");
        for (uint32_t k = 0; there == LOAM_OK && k < KEYS; k++) {
            char text[16];
            const loam_slice key = key_of(k, text);
            const loam_status want = loam_get(reader, from, key, &value);
            if (want < 0) continue;
            const loam_status got = loam_get(db, to, key, &found);
            if (got != want || (got == LOAM_OK && (value.len != found.len ||
                                                   memcmp(value.data, found.data, found.len) != 0)))
                give_up(past, outcome, "not what the damaged store still answers");
        }
    }
    loam_buf_free(&value);
    loam_buf_free(&found);
    assert_int_equal(loam_close(reader), LOAM_OK);
}

static void judge(const struct past *past, const struct outcome *outcome)
{
    if (outcome->rc == LOAM_IOERR) return; /* no store was left: no file of it */
    struct judging judging = {past, outcome, open_new(past, outcome), 0};
    assert_int_equal(loam_collections(judging.db, judge_collection, &judging), LOAM_OK);
    if (!outcome->said.has_log_hole) judge_by_reader(past, outcome, judging.db);
    assert_int_equal(loam_close(judging.db), LOAM_OK);
}

static void expect_all(const struct past *past, const struct outcome *outcome, loam_status rc)
{
    if (outcome->rc != rc) give_up(past, outcome, "another answer than expected");
    loam_db *db = open_new(past, outcome);
    const char *difference = model_differs(past->model, db, NULL);
    if (difference != NULL) give_up(past, outcome, difference);
    assert_int_equal(loam_close(db), LOAM_OK);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

static void remove_file(struct image *image, size_t at)
{
    free(image->files[at].bytes);
    memmove(&image->files[at], &image->files[at + 1],
            (image->count - at - 1) * sizeof image->files[0]);
    image->count--;
}

static void copy_image(const struct image *from, struct image *to)
{
    *to = *from;
    for (size_t i = 0; i < to->count; i++) {
        to->files[i].bytes = malloc(from->files[i].len + 1);
        assert_non_null(to->files[i].bytes);
        memcpy(to->files[i].bytes, from->files[i].bytes, from->files[i].len);
    }
}

static bool is_of_kind(const struct file *file, const char *ending)
{
    const size_t len = strlen(file->name), ends = strlen(ending);
    return len >= ends && strcmp(file->name + len - ends, ending) == 0;
}

static void hurt(struct image *image, struct rand *rand, char *what, size_t size)
{
    const size_t at = (size_t)rand_below(rand, image->count);
    const size_t other = (size_t)rand_below(rand, image->count);
    struct file *file = &image->files[at];
    switch (rand_below(rand, 7)) {
    case 0:
        snprintf(what, size, "%s removed", file->name);
        remove_file(image, at);
        return;
    case 1:
        snprintf(what, size, "%s emptied", file->name);
        file->len = 0;
        return;
    case 2:
        file->len = rand_below(rand, file->len + 1);
        snprintf(what, size, "%s cut to %llu", file->name, (unsigned long long)file->len);
        return;
    case 3: {
        const struct file kept = *file;
        file->bytes = image->files[other].bytes;
        file->len = image->files[other].len;
        image->files[other].bytes = kept.bytes;
        image->files[other].len = kept.len;
        snprintf(what, size, "%s and %s exchanged", file->name, image->files[other].name);
        return;
    }
    case 4:
        snprintf(what, size, "a stretch of %s zeroed", file->name);
        if (file->len > 0) {
            const uint64_t from = rand_below(rand, file->len);
            const uint64_t len = rand_below(rand, file->len - from + 1);
            memset(file->bytes + from, 0, len);
        }
        return;
    default:
        if (file->len == 0) return;
        const uint64_t byte =
            rand_below(rand, is_of_kind(file, ".wal") && file->len > 20000 ? 20000 : file->len);
        file->bytes[byte] ^= (uint8_t)(1u << rand_below(rand, 8));
        snprintf(what, size, "%s: byte %llu flipped", file->name, (unsigned long long)byte);
    }
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void a_store_without_damage_is_copied_exactly(void **state)
{
    (void)state;
    struct seeds seeds = seeds_few("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        struct past *past = past_new(seed, seed % 2 == 0, &image);
        struct outcome *outcome = repair(past, &image);
        expect_all(past, outcome, LOAM_OK);
        assert_int_equal(outcome->stats.fault_count, 0);
        outcome_free(outcome);
        image_free(&image);
        past_free(past);
    }
}

/* Also of one that was killed, in which a manifest in reserve stands that was not begun. */
static void without_its_root_nothing_is_lost(void **state)
{
    (void)state;
    struct seeds seeds = seeds_few("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        struct past *past = past_new(seed, seed % 3 != 0, &image);
        for (size_t i = 0; i < image.count; i++) {
            if (strcmp(image.files[i].name, "root") != 0) continue;
            if (seed % 2 == 0)
                remove_file(&image, i);
            else
                image.files[i].bytes[rand_below(&past->rand, image.files[i].len)] ^= 0x10;
        }
        struct outcome *outcome = repair(past, &image);
        expect_all(past, outcome, LOAM_OK);
        assert_int_equal(outcome->stats.fault_count, 1);
        outcome_free(outcome);
        image_free(&image);
        past_free(past);
    }
}

/* Nobody can tell whether the one that cannot be read held more. */
static void a_manifest_that_is_passed_over_for_an_older_one_is_named(void **state)
{
    (void)state;
    struct seeds seeds = seeds_few("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        struct past *past = past_new(seed, true, &image);
        for (size_t i = image.count; i-- > 0;)
            if (strcmp(image.files[i].name, "root") == 0) remove_file(&image, i);
        image.files[image.count] = (struct file){"00ffffff-00000001.manifest", calloc(1, 300), 300};
        image.files[image.count++].bytes[299] = 1;
        struct outcome *outcome = repair(past, &image);
        expect_all(past, outcome, LOAM_CORRUPT);
        assert_int_equal(outcome->stats.fault_count, 2);
        if (strstr(outcome->said.text[1], "00ffffff-00000001.manifest") == NULL)
            give_up(past, outcome, "the manifest is not named");
        outcome_free(outcome);
        image_free(&image);
        past_free(past);
    }
}

/* The manifest knows the table, and pages know themselves. */
static void without_a_footer_nothing_of_a_table_is_lost(void **state)
{
    (void)state;
    uint64_t hurt_count = 0;
    struct seeds seeds = seeds_few("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        struct past *past = past_new(seed, true, &image);
        for (size_t i = 0; i < image.count; i++) {
            struct file *file = &image.files[i];
            if (!is_of_kind(file, ".sst")) continue;
            file->bytes[file->len - 1 - rand_below(&past->rand, 184)] ^= 1;
            hurt_count++;
        }
        struct outcome *outcome = repair(past, &image);
        expect_all(past, outcome, LOAM_OK);
        outcome_free(outcome);
        image_free(&image);
        past_free(past);
    }
    assert_true(hurt_count > 0);
}

static const struct sys *disk_calls;
static const char *forbidden;

static int open_unless_forbidden(void *ctx, int dir, const char *name, enum sys_open how)
{
    if (strcmp(name, forbidden) == 0) return -EACCES;
    return disk_calls->open(ctx, dir, name, how);
}

/* Who may not read a file has not found it damaged. */
static void a_file_that_may_not_be_read_is_no_damage(void **state)
{
    (void)state;
    struct seeds seeds = seeds_few("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        unsigned refused = 0;
        struct past *past = past_new(seed, seed % 2 == 0, &image);
        struct simdisk *disk = simdisk_new(seed);
        struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true, .seed = seed};
        struct sys calls = *world.sys.calls;
        disk_calls = world.sys.calls;
        calls.open = open_unless_forbidden;
        world.sys.calls = &calls;
        image_write(&image, disk, "db");
        for (size_t i = 0; i < image.count; i++) {
            loam_repair_stats stats = {.struct_size = sizeof stats};
            forbidden = image.files[i].name;
            loam_status rc = db_repair_in(&world, "db", NULL, NULL, &stats);
            if (rc == LOAM_OK && stats.fault_count == 0) continue; /* it is no part of the store */
            rc = db_repair_in(&world, "db", "new", NULL, NULL);
            if (rc != LOAM_IOERR || loam_errno() != EACCES ||
                strstr(loam_errmsg(), forbidden) == NULL)
                fail_msg("SEED=%llu: %s: %s %s", (unsigned long long)seed, forbidden,
                         loam_status_name(rc), loam_errmsg());
            assert_true(world.sys.calls->open_dir(world.sys.ctx, "new") < 0);
            refused++;
        }
        assert_true(refused > 2);
        simdisk_free(disk);
        image_free(&image);
        past_free(past);
    }
}

static void of_any_damage_only_what_was_written_comes_out(void **state)
{
    (void)state;
    uint64_t damaged = 0, kept = 0;
    struct seeds seeds = seeds_begin("STORES", STORES);
    for (uint64_t seed; seeds_next(&seeds, &seed);) {
        struct image image;
        struct past *past = past_new(seed, seed % 2 == 0, &image);
        for (unsigned i = 0; i < DAMAGES; i++) {
            struct image broken;
            char what[2][200] = {"", ""};
            copy_image(&image, &broken);
            hurt(&broken, &past->rand, what[0], sizeof what[0]);
            if (i % 4 == 0 && broken.count > 0) hurt(&broken, &past->rand, what[1], sizeof what[1]);
            struct outcome *outcome = repair(past, &broken);
            snprintf(outcome->said.text[15], sizeof outcome->said.text[15], "[%s; %s]", what[0],
                     what[1]);
            if (outcome->said.lines < 16) outcome->said.lines = 16;
            judge(past, outcome);
            /* Of a log of which nobody knows that it was closed the last records may go without a trace. */
            if (outcome->rc == LOAM_OK && seed % 2 == 0 && i % 4 != 0)
                expect_all(past, outcome, LOAM_OK);
            damaged++;
            kept += outcome->stats.entry_count > 0;
            outcome_free(outcome);
            image_free(&broken);
        }
        image_free(&image);
        past_free(past);
    }
    figures_print(
        (const struct figure[]){{"repaired_stores", damaged}, {"repaired_with_entries", kept}}, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_without_damage_is_copied_exactly),
        cmocka_unit_test(without_its_root_nothing_is_lost),
        cmocka_unit_test(a_manifest_that_is_passed_over_for_an_older_one_is_named),
        cmocka_unit_test(without_a_footer_nothing_of_a_table_is_lost),
        cmocka_unit_test(a_file_that_may_not_be_read_is_no_damage),
        cmocka_unit_test(of_any_damage_only_what_was_written_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
