/*
 * test_inspect.c - what stands in the files of a store is shown as it is: against the store's own answers, and damaged everywhere.
 */
#include "../lib/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <loam_inspect.h>

#include "../lib/seeds.h"

#define GOLDEN "tests/format/golden/"

enum { KEYS = 3000, LOGGED = 40, FILES_MAX = 32, SUMS_MAX = 400, LOG_FILE_UNIT = 256 << 10 };

static const char *const golden_stores[] = {
    "store-1",         "store-1-killed", "clones-1",        "clones-1-killed", "merges-1",
    "merges-1-killed", "ranges-1",       "ranges-1-killed", "expiring-1",      "expiring-1-killed"};

/* ---- what was found ------------------------------------------------------------------------------------ */

struct seen {
    struct {
        const char *kind, *fact; /* fact NULL: how many findings of the kind */
        uint64_t sum;
    } sums[SUMS_MAX];
    size_t sum_count;
    uint64_t count, stop_at; /* stop_at 0: never */
    uint32_t depth;
    char damage[300]; /* the first */
    char first_key[100];
};

static uint64_t *sum_of(struct seen *seen, const char *kind, const char *fact)
{
    for (size_t i = 0; i < seen->sum_count; i++)
        if (strcmp(seen->sums[i].kind, kind) == 0 &&
            (fact == NULL ? seen->sums[i].fact == NULL
                          : seen->sums[i].fact != NULL && strcmp(seen->sums[i].fact, fact) == 0))
            return &seen->sums[i].sum;
    assert_true(seen->sum_count < SUMS_MAX);
    seen->sums[seen->sum_count].kind = kind;
    seen->sums[seen->sum_count].fact = fact;
    return &seen->sums[seen->sum_count++].sum;
}

static void check_fact(const loam_fact *fact)
{
    assert_true(strspn(fact->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(fact->name));
    assert_true(fact->bytes.len == 0 || fact->bytes.data != NULL);
    if (fact->kind == LOAM_FACT_FLAG) assert_true(fact->number <= 1);
    for (size_t i = 0; i < fact->bytes.len; i++) /* every byte is there to be read */
        if (((const char *)fact->bytes.data)[i] == fact->name[0]) break;
}

static bool take_finding(void *ctx, const loam_finding *finding)
{
    struct seen *seen = ctx;
    assert_true(seen->count > 0 ? finding->depth <= seen->depth + 1 : finding->depth == 0);
    assert_int_equal(seen->count == 0, strcmp(finding->facts[0].name, "schema") == 0);
    seen->count++;
    seen->depth = finding->depth;
    ++*sum_of(seen, finding->kind, NULL);
    for (size_t i = 0; i < finding->fact_count; i++) {
        const loam_fact *fact = &finding->facts[i];
        check_fact(fact);
        *sum_of(seen, finding->kind, fact->name) += fact->number;
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(finding->facts[k].name, fact->name);
        if (strcmp(finding->kind, "damaged") == 0 && strcmp(fact->name, "what") == 0 &&
            seen->damage[0] == '\0')
            (void)snprintf(seen->damage, sizeof seen->damage, "%.*s", (int)fact->bytes.len,
                           (const char *)fact->bytes.data);
        if (strcmp(fact->name, "key") == 0 && seen->first_key[0] == '\0')
            (void)snprintf(seen->first_key, sizeof seen->first_key, "%.*s", (int)fact->bytes.len,
                           (const char *)fact->bytes.data);
    }
    return seen->count != seen->stop_at;
}

static loam_status look(const char *path, const loam_inspect_options *options, struct seen *seen)
{
    const uint64_t stop_at = seen->stop_at;
    *seen = (struct seen){.stop_at = stop_at};
    return loam_inspect(path, options, take_finding, seen);
}

static loam_inspect_options all_options(void)
{
    loam_inspect_options options = loam_inspect_options_default();
    options.files = options.entries = true;
    return options;
}

static void expect_undamaged(const char *path, struct seen *seen)
{
    const loam_inspect_options options = all_options();
    const loam_status rc = look(path, &options, seen);
    if (rc != LOAM_OK || *sum_of(seen, "damaged", NULL) != 0)
        fail_msg("%s: %s: %s", path, loam_errmsg(), seen->damage);
}

/* ---- a store that is known ---------------------------------------------------------------------------- */

static void put_numbered(struct fixture *f, loam_coll *coll, int from, int to)
{
    char key[32], value[100];
    for (int i = from; i < to; i++) {
        (void)snprintf(key, sizeof key, "key %06d", i);
        (void)snprintf(value, sizeof value, "value %d%070d", i, i);
        put_text(f->db, coll, key, value);
    }
}

/* Tables in two collections, and LOGGED entries that are in the log alone. */
static void make_known(struct fixture *f)
{
    loam_coll *other;
    expect_ok(loam_create(f->db, "other", NULL, &other));
    put_numbered(f, NULL, 0, KEYS);
    expect_ok(loam_compact(f->db, NULL, NULL));
    put_numbered(f, other, 0, 500);
    expect_ok(loam_flush(f->db, other));
    put_numbered(f, NULL, KEYS, KEYS + LOGGED);
}

/* Of a store that is opened with these options, written to, compacted and closed: buckets and blocks of its filters. */
static void write_with(struct fixture *f, const loam_options *options, int from, int to,
                       uint64_t *buckets, uint64_t *blocks)
{
    struct seen seen = {0};
    loam_inspect_options inspect = loam_inspect_options_default();
    inspect.files = true;
    fixture_open(f, options);
    put_numbered(f, NULL, from, to);
    expect_ok(loam_compact(f->db, NULL, NULL));
    fixture_close(f);
    expect_ok(look(f->store, &inspect, &seen));
    *buckets = *sum_of(&seen, "filter", "buckets");
    *blocks = *sum_of(&seen, "filter", "blocks");
}

static void tables_say_where_keys_are_while_memory_allows(void **state)
{
    struct fixture *f = *state;
    loam_options options = fixture_options();
    uint64_t buckets, blocks;
    options.memory_bytes = 4 << 20; /* for 32,768 entries */
    write_with(f, &options, 0, 30000, &buckets, &blocks);
    assert_in_range(buckets, 30000 / 9, 30000 / 9 + 100);
    assert_int_equal(blocks, 0);
    write_with(f, &options, 0, 40000, &buckets, &blocks);
    assert_true(buckets <= 32768 / 9 + 100);
    assert_in_range(blocks, (40000 - 32768) * 10 / 512, 40000 * 10 / 512 + 100);
    options.memory_bytes = 64 << 20;
    write_with(f, &options, 0, 40000, &buckets, &blocks);
    assert_in_range(buckets, 40000 / 9, 40000 / 9 + 100);
    assert_int_equal(blocks, 0);
    options.filter_bits_per_key = 10;
    write_with(f, &options, 0, 40000, &buckets, &blocks);
    assert_int_equal(buckets, 0);
    assert_in_range(blocks, 40000 * 10 / 512, 40000 * 10 / 512 + 100);
}

static const char *largest(const struct fixture *f, const char *ending)
{
    static char path[512];
    assert_true(fixture_find_file(f, ending, path));
    return path;
}

static void the_overview_says_what_the_store_says(void **state)
{
    struct fixture *f = *state;
    loam_coll_stats here = {.struct_size = sizeof here}, there = {.struct_size = sizeof there};
    loam_coll *other;
    struct seen seen = {.stop_at = 0};
    uint64_t tables = 0, bytes = 0;
    make_known(f);
    expect_ok(loam_collection(f->db, "other", &other));
    expect_ok(loam_coll_stats_get(f->db, NULL, &here));
    expect_ok(loam_coll_stats_get(f->db, other, &there));
    for (int level = 0; level < LOAM_LEVELS_MAX; level++) {
        tables += here.level[level].table_count + there.level[level].table_count;
        bytes += here.level[level].bytes + there.level[level].bytes;
    }
    expect_ok(look(f->store, NULL, &seen));
    assert_int_equal(*sum_of(&seen, "store", "unsealed"), 1);
    assert_int_equal(*sum_of(&seen, "collection", NULL), 2);
    assert_int_equal(*sum_of(&seen, "collection", "tables"), tables);
    assert_int_equal(*sum_of(&seen, "table", NULL), tables);
    assert_int_equal(*sum_of(&seen, "level", "bytes"), bytes);
    assert_int_equal(*sum_of(&seen, "run", "entries"), KEYS + 500);
    assert_int_equal(*sum_of(&seen, "table", "entries"), KEYS + 500);
    assert_int_equal(*sum_of(&seen, "page", NULL), 0);
    assert_true(*sum_of(&seen, "log", "entries") >= LOGGED);
    assert_int_equal(*sum_of(&seen, "damaged", NULL), 0);
    fixture_close(f);
    expect_ok(look(f->store, NULL, &seen));
    assert_int_equal(*sum_of(&seen, "store", "unsealed"), 0);
    assert_int_equal(*sum_of(&seen, "root", "sealed"), 1);
}

static void each_kind_of_file_is_shown(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.stop_at = 0};
    make_known(f);
    fixture_close(f);
    expect_undamaged(largest(f, ".sst"), &seen);
    assert_int_equal(*sum_of(&seen, "entry", NULL), KEYS);
    assert_int_equal(*sum_of(&seen, "page", "entries"), KEYS);
    assert_int_equal(*sum_of(&seen, "table", "entries"), KEYS);
    assert_int_equal(*sum_of(&seen, "index", "pages"), *sum_of(&seen, "page", NULL));
    assert_int_equal(*sum_of(&seen, "bounds", NULL), *sum_of(&seen, "table", NULL));
    assert_int_equal(*sum_of(&seen, "place", NULL), *sum_of(&seen, "table", NULL));
    assert_string_equal(seen.first_key, "key 000000");
    expect_undamaged(largest(f, ".wal"), &seen);
    assert_true(*sum_of(&seen, "entry", NULL) >= LOGGED);
    assert_int_equal(*sum_of(&seen, "record", "entries"), *sum_of(&seen, "entry", NULL));
    assert_int_equal(*sum_of(&seen, "end", "records"), *sum_of(&seen, "record", NULL));
    assert_int_equal(*sum_of(&seen, "header copy", "valid"), 2);
    expect_undamaged(largest(f, ".manifest"), &seen);
    assert_true(*sum_of(&seen, "edit", NULL) > 3);
    assert_int_equal(*sum_of(&seen, "edit", "changes"), *sum_of(&seen, "change", NULL));
    assert_true(*sum_of(&seen, "change", "entries") >= KEYS + 500); /* before merges, too */
    expect_undamaged(fixture_path(f, "store/root"), &seen);
    assert_int_equal(*sum_of(&seen, "root", "sealed"), 1);
    assert_int_equal(*sum_of(&seen, "root", "epoch"), 1);
}

static void copy_file(const char *from, const char *to, size_t unit)
{
    static char bytes[4 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    size_t len = fread(bytes, 1, sizeof bytes, in);
    assert_true(len < sizeof bytes);
    const size_t whole = unit > 0 ? (len + unit - 1) / unit * unit : len;
    memset(bytes + len, 0, whole - len);
    assert_int_equal(fwrite(bytes, 1, whole, out), whole);
    assert_int_equal(fclose(out), 0);
    (void)fclose(in);
}

static void a_file_of_another_name_is_known_by_its_bytes(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[][2] = {
        {".sst", "table"}, {".wal", "record"}, {".manifest", "edit"}, {"root", "root"}};
    char path[300];
    struct seen seen = {.stop_at = 0};
    make_known(f);
    fixture_close(f);
    (void)snprintf(path, sizeof path, "%s",
                   fixture_path(f, "a file whose name is a long one and says nothing of its kind"));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        copy_file(largest(f, kinds[i][0]), path, 0);
        expect_undamaged(path, &seen);
        assert_true(*sum_of(&seen, kinds[i][1], NULL) > 0);
    }
}

static void limits_are_kept(void **state)
{
    struct fixture *f = *state;
    loam_inspect_options options = all_options();
    struct seen seen = {.stop_at = 0};
    make_known(f);
    fixture_close(f);
    options.data_bytes_max = 3;
    options.from = 2;
    options.limit = 5;
    expect_ok(look(largest(f, ".wal"), &options, &seen));
    assert_int_equal(*sum_of(&seen, "record", NULL), 5);
    assert_int_equal(*sum_of(&seen, "record", "number"), 2 + 3 + 4 + 5 + 6);
    assert_true(*sum_of(&seen, "end", "records") >= LOGGED);
    assert_string_equal(seen.first_key, "key");
    assert_true(*sum_of(&seen, "entry", "value_bytes") > 0);
    expect_ok(look(largest(f, ".sst"), &options, &seen));
    assert_int_equal(*sum_of(&seen, "page", NULL), 5);
    assert_int_equal(*sum_of(&seen, "entry", NULL), *sum_of(&seen, "page", "entries"));
    options.limit = 0;
    expect_ok(look(largest(f, ".manifest"), &options, &seen));
    assert_int_equal(*sum_of(&seen, "edit", NULL) + *sum_of(&seen, "change", NULL), 0);
    assert_true(*sum_of(&seen, "end", "edits") > 0);
}

static void what_is_no_file_of_a_store_is_refused(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.stop_at = 0};
    loam_inspect_options options = {.struct_size = 0};
    expect_failure(LOAM_INVALID, "found is NULL", loam_inspect(f->home, NULL, NULL, NULL));
    expect_failure(LOAM_INVALID, "the path is empty", loam_inspect("", NULL, take_finding, &seen));
    expect_status(LOAM_INVALID, loam_inspect(NULL, NULL, take_finding, &seen));
    expect_status(LOAM_INVALID, loam_inspect(f->home, &options, take_finding, &seen));
    expect_failure(LOAM_INVALID, "is no store", look(f->home, NULL, &seen));
    expect_failure(LOAM_IOERR, "no such file", look(fixture_path(f, "missing"), NULL, &seen));
    assert_int_equal(loam_errno(), ENOENT);
    fixture_make_file(fixture_path(f, "letter"), "dear reader");
    expect_failure(LOAM_INVALID, "is no file of a store",
                   look(fixture_path(f, "letter"), NULL, &seen));
    fixture_make_file(fixture_path(f, "empty"), "");
    expect_status(LOAM_INVALID, look(fixture_path(f, "empty"), NULL, &seen));
    assert_int_equal(seen.count, 0);
}

static void found_may_stop_it_at_each_finding(void **state)
{
    struct fixture *f = *state;
    const loam_inspect_options options = all_options();
    struct seen seen = {.stop_at = 0};
    expect_ok(look(GOLDEN "ranges-1", &options, &seen));
    const uint64_t all = seen.count, stride = 1 + all / 100;
    assert_true(all > 1000);
    (void)f;
    for (uint64_t n = 1; n < all; n += n < 60 ? 1 : stride) {
        seen.stop_at = n;
        expect_failure(LOAM_CONFLICT, "stopped", look(GOLDEN "ranges-1", &options, &seen));
        assert_int_equal(seen.count, n);
    }
}

/* ---- beside a writer ----------------------------------------------------------------------------------- */

struct writer {
    struct fixture *f;
    _Atomic bool is_done;
};

static void *write_on(void *ctx)
{
    struct writer *writer = ctx;
    for (int round = 0; round < 400 && !writer->is_done; round++) {
        put_numbered(writer->f, NULL, round % 50 * 100, round % 50 * 100 + 100);
        if (round % 8 == 0) expect_ok(loam_flush(writer->f->db, NULL));
    }
    return NULL;
}

static void a_live_store_is_looked_at_and_none_the_worse(void **state)
{
    struct fixture *f = *state;
    const loam_inspect_options options = all_options();
    struct writer writer = {.f = f};
    struct seen seen = {.stop_at = 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (uint64_t i = 0; i < 30; i += seeds_stride(6)) {
        const loam_status rc = look(f->store, &options, &seen);
        if (rc != LOAM_OK && rc != LOAM_CORRUPT) fail_msg("%s", loam_errmsg());
        assert_int_equal(*sum_of(&seen, "store", "unsealed"), 1);
    }
    writer.is_done = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    fixture_close(f);
    char *before = fixture_listing(f->store);
    expect_undamaged(f->store, &seen);
    char *after = fixture_listing(f->store);
    assert_string_equal(before, after);
    free(before);
    free(after);
    fixture_open(f, NULL);
    expect_ok(loam_verify_open(f->db, NULL, NULL));
}

/* ---- damage ---------------------------------------------------------------------------------------------- */

struct golden {
    char names[FILES_MAX][64];
    size_t count;
};

/* The store as it was, with the zeros at the ends of its logs. */
static void lay_out_golden(const struct fixture *f, const char *name, struct golden *golden)
{
    char from[512], to[600];
    (void)snprintf(from, sizeof from, GOLDEN "%s", name);
    DIR *dir = opendir(from);
    if (dir == NULL) fail_msg("%s is missing (tests run in the project's root)", from);
    golden->count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char *file = golden->names[golden->count++];
        (void)snprintf(file, sizeof golden->names[0], "%.60s", entry->d_name);
        (void)snprintf(from, sizeof from, GOLDEN "%s/%s", name, file);
        (void)snprintf(to, sizeof to, "%s/%s", f->store, file);
        const bool is_log = strstr(file, ".wal") != NULL || strstr(file, ".manifest") != NULL;
        const bool is_killed = strstr(name, "killed") != NULL;
        copy_file(from, to, is_log && is_killed ? LOG_FILE_UNIT : 0);
    }
    (void)closedir(dir);
}

static void remove_golden(const struct fixture *f, const struct golden *golden)
{
    char path[600];
    for (size_t i = 0; i < golden->count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->store, golden->names[i]);
        assert_int_equal(unlink(path), 0);
    }
}

static void make_store_dir(struct fixture *f)
{
    fixture_open(f, NULL); /* the directory, with nothing in it */
    fixture_close(f);
    DIR *dir = opendir(f->store);
    char path[600];
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", f->store, entry->d_name);
        if (entry->d_name[0] != '.') assert_int_equal(unlink(path), 0);
    }
    (void)closedir(dir);
}

static void stores_of_all_features_are_shown_whole(void **state)
{
    struct fixture *f = *state;
    struct golden golden;
    struct seen seen = {.stop_at = 0};
    make_store_dir(f);
    for (size_t i = 0; i < sizeof golden_stores / sizeof golden_stores[0]; i++) {
        lay_out_golden(f, golden_stores[i], &golden);
        expect_undamaged(f->store, &seen);
        assert_true(*sum_of(&seen, "entry", NULL) > 100);
        assert_int_equal(*sum_of(&seen, "collection", "tables"), *sum_of(&seen, "run", "tables"));
        remove_golden(f, &golden);
    }
}

static void count_fault(void *ctx, const char *text)
{
    char *first = ctx;
    if (first[0] == '\0' && strncmp(text, "intact:", 7) != 0 && strncmp(text, "lost:", 5) != 0)
        (void)snprintf(first, 200, "%s", text);
}

static void check_damaged(struct fixture *f, const char *name, uint64_t at)
{
    const loam_inspect_options options = all_options();
    struct seen seen = {.stop_at = 0};
    char first[200] = "";
    loam_repair_options repair = loam_repair_options_default();
    loam_repair_stats stats = {.struct_size = sizeof stats};
    repair.line = count_fault;
    repair.ctx = first;
    const loam_status rc = look(f->store, &options, &seen);
    if (rc != LOAM_OK && rc != LOAM_CORRUPT && rc != LOAM_TOONEW)
        fail_msg("%s, byte %llu: %s", name, (unsigned long long)at, loam_errmsg());
    assert_int_equal(rc == LOAM_CORRUPT || *sum_of(&seen, "damaged", NULL) > 0,
                     *sum_of(&seen, "damaged", NULL) > 0);
    const loam_status repaired = loam_repair(f->store, NULL, &repair, &stats);
    if (repaired < 0 && repaired != LOAM_CORRUPT) return;
    if (stats.fault_count > 0 && rc == LOAM_OK)
        fail_msg("%s, byte %llu: repair says `%s`, and inspect says nothing", name,
                 (unsigned long long)at, first);
}

static void what_repair_finds_is_shown_whatever_byte_is_changed(void **state)
{
    struct fixture *f = *state;
    struct golden golden;
    char path[600];
    const uint64_t stride = 701 * seeds_stride(4);
    make_store_dir(f);
    for (size_t i = 0; i < sizeof golden_stores / sizeof golden_stores[0]; i += 1 + i % 3) {
        lay_out_golden(f, golden_stores[i], &golden);
        for (size_t k = 0; k < golden.count; k++) {
            (void)snprintf(path, sizeof path, "%s/%s", f->store, golden.names[k]);
            FILE *file = fopen(path, "rb");
            assert_non_null(file);
            (void)fseek(file, 0, SEEK_END);
            uint64_t size = (uint64_t)ftell(file);
            (void)fclose(file);
            if (size > 12000) size = 12000; /* what stands behind is of the same kinds */
            for (uint64_t at = k + i; at < size; at += size < 200 ? 5 : stride) {
                fixture_flip_byte(path, at);
                check_damaged(f, path, at);
                fixture_flip_byte(path, at);
            }
        }
        remove_golden(f, &golden);
    }
}

static void what_is_cut_or_gone_is_shown(void **state)
{
    struct fixture *f = *state;
    struct golden golden;
    char path[600], whole[600];
    (void)snprintf(whole, sizeof whole, "%s", fixture_path(f, "whole"));
    make_store_dir(f);
    lay_out_golden(f, "clones-1", &golden);
    for (size_t k = 0; k < golden.count; k++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->store, golden.names[k]);
        copy_file(path, whole, 0);
        for (off_t len = 0; len < 9000; len += len < 200 ? 70 : 2777) {
            assert_int_equal(truncate(path, len), 0);
            check_damaged(f, path, (uint64_t)len);
            copy_file(whole, path, 0);
        }
        assert_int_equal(unlink(path), 0);
        check_damaged(f, path, 0);
        copy_file(whole, path, 0);
    }
    remove_golden(f, &golden);
}

/* Each file alone: what stands before and behind the damage. */
static void what_is_intact_behind_damage_is_shown(void **state)
{
    struct fixture *f = *state;
    struct golden golden;
    static const struct {
        const char *ending, *kind;
        int lost;
        bool at_end;
    } cases[] = {
        {".wal", "record", 1, false}, {".manifest", "edit", 1, false}, {".sst", "entry", 0, true}};
    make_store_dir(f);
    lay_out_golden(f, "clones-1", &golden);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen whole = {.stop_at = 0}, seen = {.stop_at = 0};
        char path[512];
        (void)snprintf(path, sizeof path, "%s", largest(f, cases[i].ending));
        expect_undamaged(path, &whole);
        const uint64_t size = *sum_of(&whole, "tables", "bytes");
        const uint64_t at = cases[i].at_end ? size - 20 : 8192 + 20;
        fixture_flip_byte(path, at);
        const loam_inspect_options options = all_options();
        expect_failure(LOAM_CORRUPT, "damaged; see the findings", look(path, &options, &seen));
        assert_int_equal(*sum_of(&seen, cases[i].kind, NULL) + (uint64_t)cases[i].lost,
                         *sum_of(&whole, cases[i].kind, NULL));
        assert_true(*sum_of(&seen, "damaged", NULL) > 0);
        fixture_flip_byte(path, at);
    }
    remove_golden(f, &golden);
}

static void a_segment_without_a_header_is_read_on(void **state)
{
    struct fixture *f = *state;
    struct golden golden;
    struct seen whole = {.stop_at = 0}, seen = {.stop_at = 0};
    const loam_inspect_options options = all_options();
    make_store_dir(f);
    lay_out_golden(f, "clones-1-killed", &golden);
    char path[512];
    (void)snprintf(path, sizeof path, "%s", largest(f, ".wal"));
    expect_ok(look(path, &options, &whole));
    assert_true(*sum_of(&whole, "entry", NULL) > 0);
    fixture_flip_byte(path, 40);
    expect_status(LOAM_CORRUPT, look(path, &options, &seen));
    assert_int_equal(*sum_of(&seen, "entry", NULL), *sum_of(&whole, "entry", NULL));
    fixture_flip_byte(path, 4096 + 40);
    expect_status(LOAM_CORRUPT, look(path, &options, &seen));
    assert_int_equal(*sum_of(&seen, "entry", NULL), *sum_of(&whole, "entry", NULL));
    remove_golden(f, &golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_open(the_overview_says_what_the_store_says),
        test_open(each_kind_of_file_is_shown),
        test_open(a_file_of_another_name_is_known_by_its_bytes),
        test_open(limits_are_kept),
        test_closed(what_is_no_file_of_a_store_is_refused),
        test_closed(tables_say_where_keys_are_while_memory_allows),
        test_closed(found_may_stop_it_at_each_finding),
        test_open(a_live_store_is_looked_at_and_none_the_worse),
        test_closed(stores_of_all_features_are_shown_whole),
        test_closed(what_repair_finds_is_shown_whatever_byte_is_changed),
        test_closed(what_is_cut_or_gone_is_shown),
        test_closed(what_is_intact_behind_damage_is_shown),
        test_closed(a_segment_without_a_header_is_read_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
