/*
 * sst_lab.c - tables and their models; see sst_lab.h.
 */
#include "sst_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rand.h"
#include "os/names.h"
#include "sstable/table_format.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

void sst_lab_open(struct sst_lab *lab, uint64_t cache_bytes)
{
    const struct store_options options = {0};
    bool is_new;
    memset(lab, 0, sizeof *lab);
    lab->disk = simdisk_new(1);
    assert_ok(store_open(simdisk_table(lab->disk), "db", &options, &is_new, &lab->store));
    assert_ok(page_cache_new(cache_bytes, &lab->cache));
}

void sst_lab_close(struct sst_lab *lab)
{
    const struct page_cache_stats stats = page_cache_stats(lab->cache);
    assert_int_equal(stats.charged_bytes, 0);
    page_cache_free(lab->cache);
    store_close(lab->store);
    simdisk_free(lab->disk);
}

static void *copy_bytes(loam_slice bytes)
{
    void *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    return copy;
}

void sst_rows_add(struct sst_rows *rows, loam_slice key, uint64_t seq, uint8_t kind,
                  loam_slice value)
{
    if (rows->count == rows->cap) {
        rows->cap = rows->cap * 2 + 16;
        rows->at = realloc(rows->at, rows->cap * sizeof *rows->at);
        assert_non_null(rows->at);
    }
    rows->at[rows->count++] = (struct entry){
        .key = loam_bytes(copy_bytes(key), key.len),
        .value = loam_bytes(kind == ENTRY_PUT ? copy_bytes(value) : NULL, value.len),
        .seq = seq,
        .kind = kind,
    };
}

static void free_row(struct entry *row)
{
    free((void *)(uintptr_t)row->key.data);
    free((void *)(uintptr_t)row->value.data);
}

void sst_rows_free(struct sst_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free_row(&rows->at[i]);
    free(rows->at);
    memset(rows, 0, sizeof *rows);
}

static int compare_rows(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return entry_compare(x->key, x->seq, y->key, y->seq);
}

void sst_rows_sort(struct sst_rows *rows)
{
    size_t kept = 0;
    qsort(rows->at, rows->count, sizeof *rows->at, compare_rows);
    for (size_t i = 0; i < rows->count; i++) {
        if (kept > 0 && compare_rows(&rows->at[kept - 1], &rows->at[i]) == 0)
            free_row(&rows->at[i]);
        else
            rows->at[kept++] = rows->at[i];
    }
    rows->count = kept;
}

static size_t make_key(struct rand *rand, enum sst_keys keys, uint8_t key[static 64])
{
    size_t len = 0;
    switch (keys) {
    case SST_KEYS_BINARY: /* short ones, so that prefixes of each other and the empty key occur */
        len = (size_t)rand_below(rand, 20);
        for (size_t i = 0; i < len; i++)
            key[i] = rand_below(rand, 3) == 0 ? (uint8_t)(0 - rand_below(rand, 2))
                                              : (uint8_t)rand_next(rand);
        break;
    case SST_KEYS_DECIMAL:
        len = (size_t)snprintf((char *)key, 64, "%016u", (unsigned)rand_below(rand, 100000));
        break;
    case SST_KEYS_SHARED: /* whole heads in common */
        len = (size_t)snprintf((char *)key, 64, "https://example.org/%c/aaaaaaaaaaaa/%u",
                               (char)('a' + rand_below(rand, 3)), (unsigned)rand_below(rand, 3000));
        break;
    case SST_KEYS_FEW: /* many versions of each */
        len = (size_t)snprintf((char *)key, 64, "k%u", (unsigned)rand_below(rand, 7));
        break;
    }
    return len;
}

void sst_rows_make(struct sst_rows *rows, const struct sst_recipe *recipe)
{
    struct rand rand = {recipe->seed};
    uint8_t key[64];
    const size_t room = recipe->value_bytes_most > recipe->large_bytes_most
                            ? recipe->value_bytes_most
                            : recipe->large_bytes_most;
    uint8_t *value = malloc(room + 1);
    assert_non_null(value);
    for (size_t i = 0; i < recipe->count; i++) {
        const bool is_large = i < recipe->large_count;
        const size_t most = is_large ? recipe->large_bytes_most : recipe->value_bytes_most;
        const size_t key_bytes = make_key(&rand, recipe->keys, key);
        size_t value_bytes = (size_t)rand_below(&rand, most + 1);
        if (is_large && i == 0) value_bytes = most;
        const bool is_noise = rand_below(&rand, 2) == 0;
        for (size_t j = 0; j < value_bytes; j++)
            value[j] = is_noise ? (uint8_t)rand_next(&rand) : (uint8_t)(i + j / 50);
        const bool is_delete = !is_large && rand_below(&rand, 5) == 0;
        const uint64_t seq = rand_below(&rand, 50) == 0 ? 1 + rand_below(&rand, SEQ_MAX)
                                                        : 1 + rand_below(&rand, 5000);
        sst_rows_add(rows, loam_bytes(key, key_bytes), seq, is_delete ? ENTRY_DELETE : ENTRY_PUT,
                     loam_bytes(value, is_delete ? 0 : value_bytes));
    }
    free(value);
    sst_rows_sort(rows);
}

static loam_status write_table(struct object_writer *object, struct object_id id,
                               const struct sst_rows *rows,
                               const struct table_writer_options *options, struct table_meta *meta)
{
    struct table_writer *writer = NULL;
    loam_status rc = table_writer_new(object, id, UINT64_C(0x1234567890abcdef), options, &writer);
    for (size_t i = 0; i < rows->count && rc == LOAM_OK; i++)
        rc = table_writer_add(writer, &rows->at[i]);
    if (rc == LOAM_OK) rc = table_writer_finish(writer, meta);
    table_writer_free(writer);
    return rc;
}

loam_status sst_build(struct sst_lab *lab, const struct sst_rows *rows,
                      const struct table_writer_options *options, struct table_meta *meta)
{
    const struct object_id id = {1, ++lab->object_number};
    char name[OBJECT_NAME_BYTES];
    struct object_writer *object = NULL;
    object_name_make(OBJECT_TABLES, id, name);
    loam_status rc = object_create(lab->store, name, &object);
    if (rc < 0) return rc;
    rc = write_table(object, id, rows, options, meta);
    if (rc < 0) {
        object_abandon(object);
        return rc;
    }
    rc = object_finish(object);
    if (rc < 0) {
        object_abandon(object);
        table_meta_deinit(meta);
    }
    return rc;
}

void sst_put_object(struct sst_lab *lab, loam_slice bytes, struct object_id *id)
{
    char name[OBJECT_NAME_BYTES];
    struct object_writer *object = NULL;
    *id = (struct object_id){1, ++lab->object_number};
    object_name_make(OBJECT_TABLES, *id, name);
    assert_ok(object_create(lab->store, name, &object));
    assert_ok(object_append(object, bytes.data, bytes.len));
    assert_ok(object_finish(object));
}

uint8_t *sst_table_bytes(struct sst_lab *lab, const struct table_meta *meta)
{
    char name[OBJECT_NAME_BYTES];
    struct object *object = NULL;
    uint8_t *bytes = malloc((size_t)meta->bytes);
    assert_non_null(bytes);
    object_name_make(OBJECT_TABLES, meta->object, name);
    assert_ok(object_open(lab->store, name, &object));
    assert_ok(object_read(object, meta->offset, bytes, (size_t)meta->bytes));
    object_close(object);
    return bytes;
}

void sst_fix_sum(uint8_t *bytes, size_t at, uint64_t uid)
{
    const size_t covered = BLOCK_HEADER_BYTES - 4 + get_u32(bytes + at + 12);
    put_u32(bytes + at, (uint32_t)hash_seeded(bytes + at + 4, covered, uid ^ at));
}

static bool frame_fits(const uint8_t *bytes, size_t len, size_t at)
{
    return len >= BLOCK_HEADER_BYTES && at <= len - BLOCK_HEADER_BYTES &&
           get_u32(bytes + at + 12) <= len - BLOCK_HEADER_BYTES - at;
}

void sst_fix_sums(uint8_t *bytes, size_t len, uint64_t uid)
{
    for (size_t at = 0; frame_fits(bytes, len, at);) {
        sst_fix_sum(bytes, at, uid);
        at += BLOCK_HEADER_BYTES + get_u32(bytes + at + 12);
    }
    if (len >= FOOTER_BYTES && frame_fits(bytes, len, len - FOOTER_BYTES))
        sst_fix_sum(bytes, len - FOOTER_BYTES, uid);
}

loam_status sst_table(struct sst_lab *lab, const struct table_meta *meta, struct table **table)
{
    const struct table_owner owner = {.store = lab->store, .cache = lab->cache};
    return table_new(&owner, meta, table);
}

/* ---- tables against models ---- */

static bool refused(loam_status rc)
{
    if (rc >= 0) return false;
    if (rc != LOAM_CORRUPT && rc != LOAM_TOONEW) fail_msg("answered %d: %s", rc, loam_errmsg());
    return true;
}

/* The index of the first row at or after (key, seq). */
static size_t model_seek(const struct sst_rows *rows, loam_slice key, uint64_t seq)
{
    size_t low = 0, high = rows->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (entry_compare(rows->at[middle].key, rows->at[middle].seq, key, seq) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool same_entry(const struct entry *got, const struct entry *row, unsigned flags)
{
    if (got->seq != row->seq || got->kind != row->kind) return false;
    if (!bytes_equal(got->key, row->key)) return false;
    if ((flags & TABLE_ITER_KEYS_ONLY) && got->value.data == NULL) return got->value.len == 0;
    return bytes_equal(got->value, row->value);
}

enum sst_answer sst_check_get(struct table *table, const struct sst_rows *rows, loam_slice key,
                              uint64_t seq)
{
    struct table_hit hit;
    const size_t at = model_seek(rows, key, seq);
    const bool is_there = at < rows->count && bytes_equal(rows->at[at].key, key);
    const loam_status rc = table_get(table, key, hash_key(key), seq, &hit);
    if (refused(rc)) return SST_REFUSED;
    assert_int_equal(rc, is_there ? LOAM_OK : LOAM_NOTFOUND);
    if (rc != LOAM_OK) return SST_RIGHT;
    assert_true(same_entry(&hit.entry, &rows->at[at], 0));
    table_hit_release(&hit);
    return SST_RIGHT;
}

enum sst_answer sst_check_scan(struct table *table, const struct sst_rows *rows, unsigned flags,
                               bool backward)
{
    struct iter *iter = NULL;
    size_t seen = 0;
    loam_status rc = table_iter_new(table, flags, &iter);
    if (refused(rc)) return SST_REFUSED;
    rc = backward ? iter->ops->last(iter) : iter->ops->first(iter);
    for (; rc == LOAM_OK; rc = backward ? iter->ops->prev(iter) : iter->ops->next(iter)) {
        assert_true(seen < rows->count);
        const size_t at = backward ? rows->count - 1 - seen : seen;
        assert_true(same_entry(iter->at, &rows->at[at], flags));
        seen++;
    }
    iter_close(iter);
    if (refused(rc)) return SST_REFUSED;
    assert_int_equal(seen, rows->count);
    return SST_RIGHT;
}

/* Holds a move's answer against the row it should stand on (count and more: none). */
static enum sst_answer check_move(loam_status rc, const struct iter *iter,
                                  const struct sst_rows *rows, size_t at)
{
    if (refused(rc)) return SST_REFUSED;
    assert_int_equal(rc, at < rows->count ? LOAM_OK : LOAM_NOTFOUND);
    if (rc == LOAM_OK) assert_true(same_entry(iter->at, &rows->at[at], 0));
    return SST_RIGHT;
}

enum sst_answer sst_check_seek(struct table *table, const struct sst_rows *rows, loam_slice key,
                               uint64_t seq)
{
    struct iter *iter = NULL;
    const size_t at = model_seek(rows, key, seq);
    const bool is_exact =
        at < rows->count && entry_compare(rows->at[at].key, rows->at[at].seq, key, seq) == 0;
    const size_t back = is_exact ? at : at - 1; /* wraps to none */
    enum sst_answer answer = SST_REFUSED;
    if (refused(table_iter_new(table, 0, &iter))) return SST_REFUSED;
    const struct iter_ops *ops = iter->ops;
    if (check_move(ops->seek(iter, key, seq), iter, rows, at) != SST_RIGHT) goto out;
    if (at < rows->count) {
        if (check_move(ops->prev(iter), iter, rows, at - 1) != SST_RIGHT) goto out;
        if (at > 0 && check_move(ops->next(iter), iter, rows, at) != SST_RIGHT) goto out;
        if (at > 0 && check_move(ops->next(iter), iter, rows, at + 1) != SST_RIGHT) goto out;
    }
    if (check_move(ops->seek_back(iter, key, seq), iter, rows, back) != SST_RIGHT) goto out;
    if (back < rows->count) {
        if (check_move(ops->next(iter), iter, rows, back + 1) != SST_RIGHT) goto out;
        if (back + 1 < rows->count && check_move(ops->prev(iter), iter, rows, back) != SST_RIGHT)
            goto out;
    }
    answer = SST_RIGHT;
out:
    iter_close(iter);
    return answer;
}
