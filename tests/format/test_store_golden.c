/*
 * test_store_golden.c - stores written by format 1 open and hold what they held, for ever.
 *
 * store-1 was closed; store-1-killed was not, and its files stand here without the zeros at their ends; likewise ranges-1 and
 * ranges-1-killed, in whose logs and manifests deletions of ranges stand, clones-1 and clones-1-killed, which hold clones and
 * options of collections, merges-1 and merges-1-killed with operands, expiring-1 and expiring-1-killed with entries that
 * expire, indexed-1 and indexed-1-killed with commits that have a caller's log index, and ingested-1 and ingested-1-killed with bulk loads. The files are never made anew: a difference is a change
 * of the format. What made them are the plays below; with GOLDEN_DIR=dir they are written there, which a new format number
 * will want.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/model.h"
#include "../lib/simdisk.h"
#include "base/hash.h"
#include "db/db.h"

#define GOLDEN "tests/format/golden/"

enum { FILES_MAX = 32, FILE_BYTES_MAX = 4 << 20, LOG_FILE_UNIT = 256 << 10 };

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

/* ---- the contents, in the store and in the model alike ------------------------------------------- */

struct maker {
    loam_db *db; /* NULL: the model alone */
    struct model *model;
    loam_snapshot *snap;
};

static loam_coll *coll_of(const struct maker *maker, const char *name)
{
    loam_coll *coll;
    assert_ok(loam_collection(maker->db, name, &coll));
    return coll;
}

static void put(const struct maker *maker, const char *coll, loam_slice key, loam_slice value)
{
    model_put(maker->model, coll, key, value);
    if (maker->db != NULL) assert_ok(loam_put_ttl(maker->db, coll_of(maker, coll), key, value, 0));
}

static void erase(const struct maker *maker, const char *coll, loam_slice key)
{
    model_delete(maker->model, coll, key);
    if (maker->db != NULL) assert_ok(loam_delete(maker->db, coll_of(maker, coll), key));
}

static void create_as(const struct maker *maker, const char *name, const loam_coll_options *options)
{
    model_create(maker->model, name);
    if (maker->db != NULL) assert_ok(loam_create(maker->db, name, options, NULL));
}

static void create(const struct maker *maker, const char *name, loam_compression compression)
{
    loam_coll_options options = loam_coll_options_default();
    options.compression = compression;
    create_as(maker, name, &options);
}

static void drop(const struct maker *maker, const char *name)
{
    model_drop(maker->model, name);
    if (maker->db != NULL) assert_ok(loam_drop(maker->db, name));
}

static void rename_to(const struct maker *maker, const char *from, const char *to)
{
    model_rename(maker->model, from, to);
    if (maker->db != NULL) assert_ok(loam_rename(maker->db, from, to));
}

static void flush(const struct maker *maker, const char *name)
{
    if (maker->db != NULL) assert_ok(loam_flush(maker->db, coll_of(maker, name)));
}

static void compact(const struct maker *maker, const char *name)
{
    if (maker->db != NULL) assert_ok(loam_compact(maker->db, coll_of(maker, name), NULL));
}

/* Entries first .. last of a kind that follows from their number and round. */
static void fill(const struct maker *maker, const char *coll, unsigned round, unsigned count)
{
    char key[64], value[64];
    for (unsigned i = 0; i < count; i++) {
        const unsigned number = (i * 37 + round * 11) % 1000;
        const int key_bytes =
            snprintf(key, sizeof key, i % 3 == 0 ? "user:%05u" : "item/%u", number);
        if ((i + round) % 9 == 0) {
            erase(maker, coll, loam_bytes(key, (size_t)key_bytes));
            continue;
        }
        const int value_bytes =
            snprintf(value, sizeof value, "value %u of round %u", number, round);
        put(maker, coll, loam_bytes(key, (size_t)key_bytes),
            loam_bytes(value, (size_t)value_bytes - i % 7));
    }
}

/* The lengths at which something changes: nothing, a page, an extent. */
static void fill_odd_lengths(const struct maker *maker, const char *coll)
{
    static const size_t lengths[] = {0, 1, 255, 4097, 70001};
    static uint8_t bytes[70001];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i / 512 + i % 3);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const size_t key_bytes = lengths[i] > 5000 ? i : lengths[i];
        put(maker, coll, loam_bytes(bytes + i, key_bytes), loam_bytes(bytes, lengths[i]));
    }
    put(maker, coll, loam_bytes("\xff\x00\xff", 3), loam_str("binary"));
}

/* One commit over three collections, the last entry of which counts. */
static void write_batch(const struct maker *maker)
{
    static const char *const names[] = {"default", "t\xc3\xa9l\xc3\xa9phones", "plain", "default"};
    loam_batch *batch = loam_batch_new();
    for (unsigned i = 0; i < 4; i++) {
        const loam_slice value = loam_str(i == 3 ? "the later" : names[i]);
        model_put(maker->model, names[i], loam_str("in a batch"), value);
        loam_coll *coll = maker->db == NULL ? NULL : coll_of(maker, names[i]);
        assert_ok(loam_batch_put(batch, coll, loam_str("in a batch"), value));
    }
    if (maker->db != NULL) assert_ok(loam_write(maker->db, batch, LOAM_DURABLE_COMMIT));
    loam_batch_free(batch);
}

/* Before the reopening: tables on two levels, and a log that a second opener keeps for a while. */
static void play_first(struct maker *maker)
{
    create(maker, "phones", LOAM_ZSTD);
    create(maker, "plain", LOAM_UNCOMPRESSED);
    create(maker, "gone", LOAM_LZ4);
    create(maker, "empty", LOAM_LZ4);
    fill(maker, "default", 1, 900);
    fill(maker, "phones", 1, 400);
    fill(maker, "gone", 1, 50);
    compact(maker, "default");
    fill_odd_lengths(maker, "plain");
    flush(maker, "plain");
    fill(maker, "plain", 2, 30);
}

static void play_second(struct maker *maker)
{
    rename_to(maker, "phones", "t\xc3\xa9l\xc3\xa9phones");
    drop(maker, "gone");
    fill(maker, "default", 2, 300);
    flush(maker, "default");
    fill(maker, "default", 3, 100);
    flush(maker, "default");
    fill(maker, "default", 4, 40);
    create(maker, "late", LOAM_ZSTD);
    fill(maker, "late", 5, 10);
    write_batch(maker);
    erase(maker, "plain", loam_str("item/37"));
}

/* ---- deletions of ranges ---- */

static void erase_range(const struct maker *maker, const char *from, const char *to)
{
    const loam_range range = {.from = loam_str(from), .to = loam_str(to)};
    model_delete_range(maker->model, "default", range.from, range.to);
    if (maker->db != NULL) assert_ok(loam_delete_range(maker->db, NULL, &range));
}

/* Tables with parts that are hidden, some swept; the snapshot keeps all of them. */
static void delete_first(struct maker *maker)
{
    fill(maker, "default", 1, 900);
    flush(maker, "default");
    erase_range(maker, "item/2", "item/3");
    if (maker->db != NULL) assert_ok(loam_snapshot_open(maker->db, &maker->snap));
    fill(maker, "default", 2, 100);
    erase_range(maker, "item/25", "item/4");
    erase_range(maker, "user:00800", "");
    flush(maker, "default");
    compact(maker, "default");
    fill(maker, "default", 3, 100);
    loam_snapshot_close(maker->snap);
}

static void delete_second(struct maker *maker)
{
    erase_range(maker, "item/5", "item/50");
    fill(maker, "default", 4, 50);
    flush(maker, "default");
    fill(maker, "default", 5, 30);
    erase_range(maker, "user:001", "user:002");
    erase_range(maker, "", "item/1");
}

/* ---- clones and options ---- */

static void clone_as(const struct maker *maker, const char *from, const char *to)
{
    model_clone(maker->model, from, to);
    if (maker->db != NULL) assert_ok(loam_clone(maker->db, from, to, NULL));
}

static void alter(const struct maker *maker, const char *coll, uint8_t byte)
{
    const loam_coll_options options = model_options(byte);
    const struct model_words words = {.what = 'o', .coll = coll, .value = loam_bytes(&byte, 1)};
    model_step(maker->model, &words);
    if (maker->db != NULL)
        assert_ok(loam_coll_options_set(maker->db, coll_of(maker, coll), &options));
}

/* Tables that several have, and that one has left; deletions of ranges that came along. */
static void clone_first(struct maker *maker)
{
    create(maker, "plain", LOAM_LZ4);
    alter(maker, "default", 4);
    alter(maker, "plain", 2);
    fill(maker, "default", 1, 900);
    compact(maker, "default");
    clone_as(maker, "default", "one");
    fill(maker, "one", 2, 200);
    if (maker->db != NULL) assert_ok(loam_snapshot_open(maker->db, &maker->snap));
    erase_range(maker, "item/2", "item/3");
    clone_as(maker, "default", "two");
    loam_snapshot_close(maker->snap);
    fill(maker, "two", 3, 100);
    clone_as(maker, "one", "three");
    drop(maker, "one");
    compact(maker, "two");
}

static void clone_second(struct maker *maker)
{
    clone_as(maker, "default", "late");
    fill(maker, "late", 4, 50);
    alter(maker, "late", 7);
    erase_range(maker, "user:001", "user:002");
    clone_as(maker, "plain", "empty");
    clone_as(maker, "late", "last");
    rename_to(maker, "two", "second");
    drop(maker, "late");
}

/* ---- entries that expire ---- */

#define FIRST_MS UINT64_C(1700000000000)
#define SECOND_MS UINT64_C(1700000100000)
#define SHORT_MS UINT64_C(50000)    /* from the first to before the second */
#define AGES_MS (UINT64_C(1) << 42) /* whoever reads this test will not see the end of it */

static void put_ttl(const struct maker *maker, loam_slice key, uint64_t now_ms, uint64_t ttl_ms)
{
    const loam_slice value = loam_str(ttl_ms == SHORT_MS ? "short" : "for ages");
    model_put_until(maker->model, "default", key, value, now_ms + ttl_ms);
    if (maker->db != NULL) assert_ok(loam_put_ttl(maker->db, NULL, key, value, ttl_ms));
}

static void fill_expiring(const struct maker *maker, const char *prefix, uint64_t now_ms,
                          uint64_t ttl_ms)
{
    char key[64];
    for (int i = 0; i < 150; i++)
        put_ttl(maker, loam_bytes(key, (size_t)snprintf(key, sizeof key, "%s%d", prefix, i * 7)),
                now_ms, ttl_ms);
}

/* A table of nothing else, one where others are among them, and the log. */
static void expire_first(struct maker *maker)
{
    fill(maker, "default", 1, 300);
    fill_expiring(maker, "user:00", FIRST_MS, AGES_MS);
    compact(maker, "default");
    fill_expiring(maker, "item/", FIRST_MS, SHORT_MS);
    flush(maker, "default");
    fill_expiring(maker, "logged", FIRST_MS, SHORT_MS);
}

static void expire_second(struct maker *maker)
{
    model_expire(maker->model, SECOND_MS);
    fill_expiring(maker, "item/1", SECOND_MS, AGES_MS);
    fill(maker, "default", 2, 50);
    flush(maker, "default");
    fill_expiring(maker, "logged1", SECOND_MS, AGES_MS);
}

/* ---- a caller's log index ---- */

static void write_indexed(const struct maker *maker, uint64_t index, const char *value)
{
    static const char *const names[] = {"default", "log"};
    loam_batch *batch = loam_batch_new();
    for (unsigned i = 0; i < 2; i++) {
        char key[32];
        const loam_slice number =
            loam_bytes(key, (size_t)snprintf(key, sizeof key, "%llu", (unsigned long long)index));
        model_put(maker->model, names[i], number, loam_str(value));
        loam_coll *coll = maker->db == NULL ? NULL : coll_of(maker, names[i]);
        assert_ok(loam_batch_put(batch, coll, number, loam_str(value)));
    }
    assert_ok(loam_batch_set_index(batch, index));
    if (maker->db != NULL) assert_ok(loam_write(maker->db, batch, LOAM_DURABLE_COMMIT));
    loam_batch_free(batch);
}

/* One in the manifest, then a greater one and a smaller one in the log; each varint that is a byte longer. */
static void index_first(struct maker *maker)
{
    create(maker, "log", LOAM_LZ4);
    write_indexed(maker, 127, "first");
    write_indexed(maker, 128, "second");
    flush(maker, "default");
    flush(maker, "log");
    fill(maker, "default", 1, 50);
}

static void index_second(struct maker *maker)
{
    write_indexed(maker, UINT64_MAX, "third");
    fill(maker, "log", 2, 30);
    flush(maker, "log");
    write_indexed(maker, 300, "fourth");
    fill(maker, "default", 3, 10);
}

/* ---- bulk loads ---- */

/* In order, or backwards; every fifth expires in ages. */
static void ingest(const struct maker *maker, const char *coll, unsigned round, bool backwards,
                   uint64_t now_ms)
{
    static char large[70001];
    char key[32], value[32];
    loam_ingest *ingest = NULL;
    if (maker->db != NULL) assert_ok(loam_ingest_begin(maker->db, coll_of(maker, coll), &ingest));
    for (unsigned i = 0; i < 400; i++) {
        const unsigned number = (backwards ? 399 - i : i) * 2 + round;
        const uint64_t ttl_ms = i % 5 == 0 ? AGES_MS : 0;
        snprintf(key, sizeof key, "item/%05u", number);
        const int len = snprintf(value, sizeof value, "loaded %u in round %u", number, round);
        const loam_slice bytes =
            loam_bytes(i == 7 ? large : value, i == 7 ? sizeof large : (size_t)len);
        model_put_until(maker->model, coll, loam_str(key), bytes, ttl_ms > 0 ? now_ms + ttl_ms : 0);
        if (ingest != NULL) assert_ok(loam_ingest_put_ttl(ingest, loam_str(key), bytes, ttl_ms));
    }
    if (ingest != NULL) assert_ok(loam_ingest_commit(ingest));
    loam_ingest_close(ingest);
}

/* The first tables of a collection, others over them, some that a merge has given their numbers, and a clone's. */
static void ingest_first(struct maker *maker)
{
    create(maker, "merged", LOAM_ZSTD);
    ingest(maker, "default", 0, false, FIRST_MS);
    ingest(maker, "default", 1, true, FIRST_MS);
    fill(maker, "default", 1, 100);
    ingest(maker, "merged", 1, true, FIRST_MS);
    ingest(maker, "merged", 2, false, FIRST_MS);
    compact(maker, "merged");
    ingest(maker, "merged", 3, false, FIRST_MS);
    clone_as(maker, "default", "copy");
    erase_range(maker, "item/001", "item/003");
}

static void ingest_second(struct maker *maker)
{
    fill(maker, "copy", 2, 100);
    ingest(maker, "copy", 2, false, SECOND_MS);
    fill(maker, "copy", 3, 50);
    erase_range(maker, "item/005", "item/006");
    ingest(maker, "default", 4, true, SECOND_MS);
}

/* ---- operands ---- */

static void merge(const struct maker *maker, const char *coll, const char *key, loam_slice operand)
{
    model_merge(maker->model, coll, loam_str(key), operand);
    if (maker->db != NULL)
        assert_ok(loam_merge(maker->db, coll_of(maker, coll), loam_str(key), operand));
}

/* Short ones, which memtables join; longer ones, which they leave; one in a page of its own, one in an extent. */
static void merge_all(const struct maker *maker, unsigned round)
{
    static char bytes[70001];
    static const size_t lengths[] = {1, 90, 700, 5000, 70001};
    char key[32];
    for (unsigned i = 0; i < 60; i++) {
        const uint8_t one[8] = {(uint8_t)(round + i)};
        snprintf(key, sizeof key, "counter %u", i % 7);
        merge(maker, "counters", key, loam_bytes(one, sizeof one));
        memset(bytes, (int)('a' + (i + round) % 26), sizeof bytes);
        snprintf(key, sizeof key, "list %u", i % 5);
        if (i < 50 || round == 1)
            merge(maker, "lists", key, loam_bytes(bytes, i < 55 ? 1 + i * 2 : lengths[i % 5]));
    }
    merge(maker, "lists", "no list", loam_bytes(bytes, 0));
}

static void merge_first(struct maker *maker)
{
    loam_coll_options options = loam_coll_options_default();
    options.merge_operator = "add_i64";
    create_as(maker, "counters", &options);
    options.merge_operator = "append";
    options.compression = LOAM_UNCOMPRESSED;
    create_as(maker, "lists", &options);
    model_set_merger(maker->model, "counters", "add_i64");
    model_set_merger(maker->model, "lists", "append");
    put(maker, "lists", loam_str("list 1"), loam_str("in the beginning "));
    put(maker, "counters", loam_str("counter 2"), loam_str("no number"));
    merge_all(maker, 1);
    flush(maker, "lists");
    erase(maker, "lists", loam_str("list 2"));
    merge_all(maker, 2);
    if (maker->db != NULL) assert_ok(loam_snapshot_open(maker->db, &maker->snap));
    merge_all(maker, 3);
    flush(maker, "lists");
    flush(maker, "counters");
    merge_all(maker, 4);
    loam_snapshot_close(maker->snap);
}

static void merge_second(struct maker *maker)
{
    merge_all(maker, 5);
    flush(maker, "counters");
    flush(maker, "lists");
    merge_all(maker, 6);
}

/* What a store's life was. The sum is of all names, keys and values, in order: it holds the play and the model to what was true
   when the files were made. */
struct play {
    const char *name;
    void (*first)(struct maker *maker), (*second)(struct maker *maker);
    uint64_t sum, index;
};

static const struct play plays[] = {
    {"store-1", play_first, play_second, UINT64_C(0x74ac4fb90b342cf9), 0},
    {"clones-1", clone_first, clone_second, UINT64_C(0xdc2ffcc2605efb8e), 0},
    {"merges-1", merge_first, merge_second, UINT64_C(0x6a04a8d2ea38629c), 0},
    {"ranges-1", delete_first, delete_second, UINT64_C(0x7bf8637844cf7a87), 0},
    {"expiring-1", expire_first, expire_second, UINT64_C(0xadc035a2ef50039b), 0},
    {"indexed-1", index_first, index_second, UINT64_C(0x1f9a633921ca4e62), 300},
    {"ingested-1", ingest_first, ingest_second, UINT64_C(0x4e8152bbd9cf7098), 0},
};
enum { PLAYS = sizeof plays / sizeof plays[0] };

static struct model *contents(const struct play *play)
{
    struct maker maker = {.model = model_new()};
    play->first(&maker);
    play->second(&maker);
    return maker.model;
}

static uint64_t sum_of(const struct model *model)
{
    uint64_t sum = 0;
    for (size_t c = 0; c < model_coll_count(model); c++) {
        const char *name = model_coll_at(model, c);
        sum = hash_seeded(name, strlen(name), sum);
        for (size_t i = 0; i < model_count(model, name); i++) {
            loam_slice key, value;
            model_at(model, name, i, &key, &value);
            sum = hash_seeded(key.data, key.len, sum);
            sum = hash_seeded(value.data, value.len, sum);
        }
    }
    return sum;
}

static void check_contents(const struct play *play, loam_db *db)
{
    struct model *model = contents(play);
    const char *differs = model_differs(model, db, NULL);
    uint64_t index;
    if (differs != NULL) fail_msg("%s", differs);
    model_free(model);
    assert_ok(loam_index(db, &index));
    assert_int_equal(index, play->index);
}

/* ---- a store on a simulated disk ------------------------------------------------------------------- */

static loam_db *open_on(struct simdisk *disk, bool read_only)
{
    const struct db_world world = {.sys = simdisk_table(disk), .mapped_log = true, .seed = 1};
    loam_options options = loam_options_default();
    loam_db *db;
    options.read_only = read_only;
    options.memory_bytes = 8 << 20;
    options.memtable_bytes = 256 << 10;
    assert_ok(db_open_in(&world, "db", &options, &db));
    return db;
}

static struct simdisk *make_store(const struct play *play, bool closed)
{
    struct simdisk *disk = simdisk_new(20240101);
    simdisk_set_wall_ms(disk, FIRST_MS);
    struct maker maker = {.db = open_on(disk, false), .model = model_new()};
    play->first(&maker);
    assert_ok(loam_close(maker.db));
    simdisk_set_wall_ms(disk, SECOND_MS);
    maker.db = open_on(disk, false);
    play->second(&maker);
    const char *differs = model_differs(maker.model, maker.db, NULL);
    if (differs != NULL) fail_msg("%s", differs);
    model_free(maker.model);
    if (!closed) simdisk_kill(disk);
    const loam_status rc = loam_close(maker.db);
    assert_int_equal(rc == LOAM_OK, closed);
    if (!closed) simdisk_kill(disk); /* the page cache stays, as after kill -9 */
    return disk;
}

static void check_store(const struct play *play, struct simdisk *disk)
{
    for (int round = 0; round < 3; round++) { /* read, taken over, read */
        loam_db *db = open_on(disk, round != 1);
        check_contents(play, db);
        assert_ok(loam_verify_open(db, NULL, NULL));
        assert_ok(loam_close(db));
    }
}

/* ---- files ------------------------------------------------------------------------------------------ */

struct names {
    char at[FILES_MAX][64];
    size_t count;
};

static void take_file_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    assert_true(names->count < FILES_MAX);
    if (strcmp(name, "owner") != 0) /* is no part of a store */
        snprintf(names->at[names->count++], sizeof names->at[0], "%s", name);
}

static struct names names_on(struct simdisk *disk)
{
    const struct sys_table sys = simdisk_table(disk);
    struct names names = {.count = 0};
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    assert_true(dir >= 0);
    assert_int_equal(sys.calls->list(sys.ctx, dir, take_file_name, &names), 0);
    sys.calls->close(sys.ctx, dir);
    return names;
}

static bool is_log(const char *name)
{
    const char *kind = strrchr(name, '.');
    return kind != NULL && strcmp(kind, ".sst") != 0;
}

static void save_file(struct simdisk *disk, const char *name, const char *dir, bool cut)
{
    char path[512];
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "db", name, &len);
    while (cut && is_log(name) && len > 0 && bytes[len - 1] == 0)
        len--;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void save_store(struct simdisk *disk, const char *dir, bool cut)
{
    const struct names names = names_on(disk);
    for (size_t i = 0; i < names.count; i++)
        save_file(disk, names.at[i], dir, cut);
}

static void load_file(struct simdisk *disk, const char *from, const char *name, bool pad)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    const struct sys_table sys = simdisk_table(disk);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("%s is missing (tests run in the project's root)", path);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    if (pad && is_log(name)) {
        const size_t whole = (len + LOG_FILE_UNIT - 1) / LOG_FILE_UNIT * LOG_FILE_UNIT;
        memset(bytes + len, 0, whole - len);
        len = whole;
    }
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    const int fd = sys.calls->open(sys.ctx, dir, name, SYS_CREATE);
    const struct sys_piece piece = {bytes, len};
    assert_true(fd >= 0);
    assert_int_equal(sys.calls->write(sys.ctx, fd, 0, &piece, 1, false), len);
    sys.calls->close(sys.ctx, fd);
    sys.calls->close(sys.ctx, dir);
}

static struct simdisk *load_store(const char *from, bool pad)
{
    struct simdisk *disk = simdisk_new(1);
    const struct sys_table posix = sys_posix(), sys = simdisk_table(disk);
    struct names names = {.count = 0};
    const int dir = posix.calls->open_dir(posix.ctx, from);
    if (dir < 0) fail_msg("%s is missing (tests run in the project's root)", from);
    assert_int_equal(posix.calls->list(posix.ctx, dir, take_file_name, &names), 0);
    posix.calls->close(posix.ctx, dir);
    assert_int_equal(sys.calls->make_dir(sys.ctx, "db"), 0);
    for (size_t i = 0; i < names.count; i++)
        load_file(disk, from, names.at[i], pad);
    simdisk_settle(disk);
    return disk;
}

/* ---- facts ------------------------------------------------------------------------------------------- */

static void the_contents_are_what_they_were(void **state)
{
    (void)state;
    for (int i = 0; i < PLAYS; i++) {
        struct model *model = contents(&plays[i]);
        if (sum_of(model) != plays[i].sum)
            fail_msg("%s: the sum is 0x%016llx", plays[i].name, (unsigned long long)sum_of(model));
        model_free(model);
    }
}

static void a_closed_store_opens_where_it_lies_and_is_not_written(void **state)
{
    (void)state;
    for (int i = 0; i < PLAYS; i++) {
        loam_options options = loam_options_default();
        loam_db *db;
        char path[400];
        snprintf(path, sizeof path, GOLDEN "%s", plays[i].name);
        options.read_only = true;
        assert_ok(loam_open(path, &options, &db));
        check_contents(&plays[i], db);
        assert_ok(loam_close(db));
        assert_ok(loam_verify(path, NULL, NULL));
    }
}

static void stores_are_taken_over(const char *suffix, bool pad)
{
    for (int i = 0; i < PLAYS; i++) {
        char path[400];
        snprintf(path, sizeof path, GOLDEN "%s%s", plays[i].name, suffix);
        struct simdisk *disk = load_store(path, pad);
        check_store(&plays[i], disk);
        simdisk_free(disk);
    }
}

static void a_closed_store_is_taken_over(void **state)
{
    (void)state;
    stores_are_taken_over("", false);
}

static void a_killed_store_is_recovered(void **state)
{
    (void)state;
    stores_are_taken_over("-killed", true);
}

static void what_made_them_still_makes_the_same_contents(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * PLAYS; i++) {
        const struct play *play = &plays[i / 2];
        const bool closed = i % 2 != 0;
        struct simdisk *disk = make_store(play, closed);
        const char *into = getenv("GOLDEN_DIR");
        char path[400];
        snprintf(path, sizeof path, "%s/%s%s", into, play->name, closed ? "" : "-killed");
        if (into != NULL) save_store(disk, path, !closed);
        check_store(play, disk);
        simdisk_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contents_are_what_they_were),
        cmocka_unit_test(what_made_them_still_makes_the_same_contents),
        cmocka_unit_test(a_closed_store_opens_where_it_lies_and_is_not_written),
        cmocka_unit_test(a_closed_store_is_taken_over),
        cmocka_unit_test(a_killed_store_is_recovered),
    };
    return cmocka_run_group_tests_name("format/store_golden", tests, NULL, NULL);
}
