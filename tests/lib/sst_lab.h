/*
 * sst_lab.h - a store, a cache and sorted entries, for the tests of tables.
 *
 * Role: makes random entries (the model is the array), tables of them on a simulated disk, and holds a
 *   table against its model in every way in which one can be read.
 * In the picture: tests only; used by tests/unit, tests/format and fuzz.
 */
#ifndef LOAM_TESTS_LIB_SST_LAB_H
#define LOAM_TESTS_LIB_SST_LAB_H

#include "simdisk.h"
#include "sstable/table.h"

struct sst_lab {
    struct simdisk *disk;
    struct store *store;
    struct page_cache *cache;
    uint32_t object_number; /* of the newest object */
};
void sst_lab_open(struct sst_lab *lab, uint64_t cache_bytes);
void sst_lab_close(struct sst_lab *lab);

struct sst_rows { /* entries in order; keys and values are owned */
    struct entry *at;
    size_t count, cap;
};
void sst_rows_add(struct sst_rows *rows, loam_slice key, uint64_t seq, uint8_t kind,
                  loam_slice value);
void sst_rows_sort(struct sst_rows *rows); /* and drops those of equal key and sequence */
void sst_rows_free(struct sst_rows *rows);

enum sst_keys { SST_KEYS_BINARY, SST_KEYS_DECIMAL, SST_KEYS_SHARED, SST_KEYS_FEW };
struct sst_recipe {
    enum sst_keys keys;
    size_t count;
    size_t value_bytes_most;
    size_t large_count, large_bytes_most; /* how many values are that large */
    uint64_t seed;
};
void sst_rows_make(struct sst_rows *rows, const struct sst_recipe *recipe);

/* Writes a table into an object of its own. */
loam_status sst_build(struct sst_lab *lab, const struct sst_rows *rows,
                      const struct table_writer_options *options, struct table_meta *meta);
/* Makes an object of these bytes. */
void sst_put_object(struct sst_lab *lab, loam_slice bytes, struct object_id *id);
/* The bytes of a table; the caller frees them. */
uint8_t *sst_table_bytes(struct sst_lab *lab, const struct table_meta *meta);
/* Recomputes the checksums of all frames that follow each other from the first byte on, and of the footer. */
void sst_fix_sums(uint8_t *bytes, size_t len, uint64_t uid);
void sst_fix_sum(uint8_t *bytes, size_t at,
                 uint64_t uid); /* of the frame there, whose length is sane */
loam_status sst_table(struct sst_lab *lab, const struct table_meta *meta, struct table **table);

/* What reading found: all answers right, right ones and refusals (CORRUPT, TOONEW), or, with the
   test failed, something else. */
enum sst_answer { SST_RIGHT, SST_REFUSED };
enum sst_answer sst_check_get(struct table *table, const struct sst_rows *rows, loam_slice key,
                              uint64_t seq);
enum sst_answer sst_check_scan(struct table *table, const struct sst_rows *rows, unsigned flags,
                               bool backward);
enum sst_answer sst_check_seek(struct table *table, const struct sst_rows *rows, loam_slice key,
                               uint64_t seq);

#endif
