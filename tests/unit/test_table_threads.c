/*
 * test_table_threads.c - many readers, a cache much too small, tables that lose their metadata meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/sst_lab.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/rand.h"
#include "os/thread.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != LOAM_OK) fail_msg("%s: %s", #call, loam_errmsg());                           \
    } while (0)

enum { THREADS = 8, TABLES = 6, ROUNDS = 3000 };

struct reader {
    struct thread thread;
    struct table **tables;
    const struct sst_rows *rows;
    uint64_t seed, wrong;
};

static bool is_row(const struct entry *entry, const struct entry *row)
{
    return entry->seq == row->seq && bytes_equal(entry->key, row->key) &&
           bytes_equal(entry->value, row->value);
}

static void read_at_random(void *arg)
{
    struct reader *reader = arg;
    struct rand rand = {reader->seed};
    const struct sst_rows *rows = reader->rows;
    for (int round = 0; round < ROUNDS; round++) {
        /* One table for a while, then another: the rest is idle. */
        struct table *table = reader->tables[((unsigned)round / 200 + reader->seed) % TABLES];
        const size_t at = (size_t)rand_below(&rand, rows->count);
        const struct entry *row = &rows->at[at];
        struct table_hit hit;
        if (round % 16 != 0) {
            if (table_get(table, row->key, hash_key(row->key), row->seq, &hit) != LOAM_OK) {
                reader->wrong++;
                continue;
            }
            if (!is_row(&hit.entry, row)) reader->wrong++;
            table_hit_release(&hit);
            continue;
        }
        struct iter *iter = NULL;
        if (table_iter_new(table, 0, &iter) != LOAM_OK) {
            reader->wrong++;
            continue;
        }
        loam_status rc = iter->ops->seek(iter, row->key, row->seq);
        for (size_t i = at; i < rows->count && i < at + 100; i++) {
            if (rc != LOAM_OK || !is_row(iter->at, &rows->at[i])) reader->wrong++;
            rc = iter->ops->next(iter);
        }
        iter_close(iter);
    }
}

static void readers_agree_with_the_model_while_tables_come_and_go(void **state)
{
    struct sst_lab lab;
    struct sst_rows rows = {0};
    struct table_meta metas[2]; /* with a filter, with a locator */
    struct table *tables[TABLES];
    static struct reader readers[THREADS];
    (void)state;
    sst_lab_open(&lab, 150000); /* holds the metadata of four tables or less in its half */
    sst_rows_make(&rows, &(struct sst_recipe){SST_KEYS_DECIMAL, 3000, 60, 2, 5000, 1});
    for (size_t i = 0; i < 2; i++) {
        const struct table_writer_options options = {LOAM_LZ4, 10, 512, i == 0 ? 0 : UINT64_MAX};
        assert_ok(sst_build(&lab, &rows, &options, &metas[i]));
    }
    for (size_t i = 0; i < TABLES; i++)
        assert_ok(sst_table(&lab, &metas[i % 2], &tables[i]));
    for (size_t i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.tables = tables, .rows = &rows, .seed = i};
        assert_ok(thread_start(&readers[i].thread, "reader", read_at_random, &readers[i]));
    }
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(&readers[i].thread);
        assert_int_equal(readers[i].wrong, 0);
    }
    assert_true(page_cache_stats(lab.cache).evicted_count > 100);
    assert_int_equal(page_cache_stats(lab.cache).pinned_count, 0);
    for (size_t i = 0; i < TABLES; i++)
        table_unref(tables[i]);
    table_meta_deinit(&metas[0]);
    table_meta_deinit(&metas[1]);
    sst_rows_free(&rows);
    sst_lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_agree_with_the_model_while_tables_come_and_go),
    };
    return cmocka_run_group_tests_name("sstable/table threads", tests, NULL, NULL);
}
