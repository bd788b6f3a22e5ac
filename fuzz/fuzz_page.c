/*
 * fuzz_page.c - bytes that page_lay_out() accepts, of either format and with numbers shifted or not, are safe to search and to walk, and behave as a page.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "sstable/table_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_entry(const struct page *page, uint32_t index)
{
    struct entry entry, found;
    page_entry(page, index, &entry);
    check(page_seek(page, entry.key, entry.seq) == index);
    check(page_seek(page, entry.key, SEQ_MAX) <= index);
    check(page_seek(page, entry.key, 0) > index);
    check(page_find(page->bytes, page->bytes, entry.key, hash_key(entry.key), entry.seq, &found));
    check(found.seq <= entry.seq && bytes_equal(found.key, entry.key));
    volatile uint8_t last = 0; /* every byte it points to is read */
    for (size_t i = 0; i < entry.key.len; i++)
        last = ((const uint8_t *)entry.key.data)[i];
    for (size_t i = 0; i < entry.value.len; i++)
        last = ((const uint8_t *)entry.value.data)[i];
    (void)last;
}

static void use_as(const uint8_t *data, size_t size, unsigned format, uint64_t seq_shift)
{
    size_t bytes;
    if (page_measure(data, size, format, &bytes) != NULL) return;
    uint8_t *laid_out = malloc(bytes + PAGE_SLACK_BYTES), *stored = malloc(size + PAGE_SLACK_BYTES);
    if (laid_out == NULL || stored == NULL) abort();
    memset(laid_out, 0xa5, bytes + PAGE_SLACK_BYTES);
    memset(stored, 0x5a, size + PAGE_SLACK_BYTES);
    memcpy(stored, data, size);
    if (page_lay_out(laid_out, stored, size, format, seq_shift, true) == NULL) {
        const struct page page = page_view(laid_out);
        for (uint32_t i = 0; i < page.entry_count; i++)
            use_entry(&page, i);
        const loam_slice half = loam_bytes(data, size / 2 < 40 ? size / 2 : 40);
        check(page_seek(&page, half, SEQ_MAX) <= page.entry_count);
    }
    free(stored);
    free(laid_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_as(data, size, BLOCK_FORMAT, 0);
    use_as(data, size, BLOCK_FORMAT, UINT64_C(1) << 40);
    use_as(data, size, BLOCK_FORMAT_FULL_PAGES, 0);
    return 0;
}
