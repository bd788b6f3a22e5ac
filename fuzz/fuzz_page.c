/*
 * fuzz_page.c - bytes that page_check() accepts are safe to search and to walk, and behave as a page.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "sstable/table_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_entry(const struct page *page, uint32_t index)
{
    struct entry entry, found;
    page_entry(page, index, &entry);
    check(page_seek(page, entry.key, entry.seq) == index);
    check(page_seek(page, entry.key, SEQ_MAX) <= index);
    check(page_seek(page, entry.key, 0) > index);
    const uint64_t hash = (uint64_t)page->bytes[PAGE_HEADER_BYTES + index] << 56;
    check(page_find(page->bytes, entry.key, hash, entry.seq, &found));
    check(found.seq <= entry.seq && bytes_equal(found.key, entry.key));
    volatile uint8_t last = 0; /* every byte it points to is read */
    for (size_t i = 0; i < entry.key.len; i++)
        last = ((const uint8_t *)entry.key.data)[i];
    for (size_t i = 0; i < entry.value.len; i++)
        last = ((const uint8_t *)entry.value.data)[i];
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *raw = malloc(size + PAGE_SLACK_BYTES);
    if (raw == NULL) return 0;
    memcpy(raw, data, size);
    memset(raw + size, 0xa5, PAGE_SLACK_BYTES);
    if (page_check(raw, size) == NULL) {
        const struct page page = page_view(raw);
        for (uint32_t i = 0; i < page.entry_count; i++)
            use_entry(&page, i);
        const loam_slice half = loam_bytes(raw, size / 2 < 40 ? size / 2 : 40);
        check(page_seek(&page, half, SEQ_MAX) <= page.entry_count);
    }
    free(raw);
    return 0;
}
