/*
 * fuzz_edit.c - any bytes as an edit: refused, or made by the encoder again as they were, and
 * applied whole or not at all.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sstable/cache.h"
#include "tree/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds) abort();
}

static void no_object_is_deleted(void *ctx, struct object_id id)
{
    (void)ctx;
    (void)id;
    abort();
}

static loam_status fit_again(void *ctx, loam_slice bytes)
{
    struct catalog *copy = ctx;
    return catalog_apply(copy, bytes);
}

static void apply_to_catalog(loam_slice bytes)
{
    struct catalog *catalog, *copy;
    struct page_cache *cache;
    expect(page_cache_new(1 << 20, &cache) == LOAM_OK);
    const struct catalog_config config = {.cache = cache, .delete_object = no_object_is_deleted};
    expect(catalog_new(&config, &catalog) == LOAM_OK);
    expect(catalog_new(&config, &copy) == LOAM_OK);
    const loam_status rc = catalog_apply(catalog, bytes);
    expect(rc == LOAM_OK || rc == LOAM_CORRUPT || rc == LOAM_TOONEW);
    if (rc == LOAM_OK) {
        expect(catalog_snapshot(catalog, fit_again, copy) == LOAM_OK);
        expect(catalog_snapshot_complete(copy));
        expect(catalog_coll_count(copy) == catalog_coll_count(catalog));
        expect(catalog_table_bytes(copy) <= catalog_table_bytes(catalog));
    } else {
        expect(catalog_coll_count(catalog) == 1 && catalog_table_bytes(catalog) == 0);
    }
    catalog_free(copy);
    catalog_free(catalog);
    page_cache_free(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const loam_slice bytes = loam_bytes(data, size);
    struct edit_reader reader = edit_reader_over(bytes);
    struct edit again = {0};
    struct change change;
    loam_status rc;
    while ((rc = edit_next(&reader, &change)) == LOAM_OK)
        expect(edit_add(&again, &change) == LOAM_OK);
    expect(rc == LOAM_NOTFOUND || rc == LOAM_CORRUPT || rc == LOAM_TOONEW);
    if (rc == LOAM_NOTFOUND)
        expect(bytes_equal(bytes, loam_bytes(again.bytes.data, again.bytes.len)));
    edit_deinit(&again);
    apply_to_catalog(bytes);
    return 0;
}
