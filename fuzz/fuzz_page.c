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

static void *allocated(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) abort();
    return memory;
}

/* The page, or NULL; `behind` fills what lies behind the bytes, here and there. */
static uint8_t *laid_out_with(uint8_t behind, const uint8_t *data, size_t size, unsigned format,
                              uint64_t seq_shift, size_t bytes)
{
    uint8_t *stored = allocated(size + PAGE_SLACK_BYTES),
            *page = allocated(bytes + PAGE_SLACK_BYTES);
    memset(page, behind, bytes + PAGE_SLACK_BYTES);
    memset(stored, behind, size + PAGE_SLACK_BYTES);
    memcpy(stored, data, size);
    const char *fault = page_lay_out(page, stored, size, format, seq_shift, true);
    free(stored);
    if (fault == NULL) return page;
    free(page);
    return NULL;
}

/* What of a page means something: not the bytes that align its parts. */
static void check_same(const struct page *a, const struct page *b, size_t bytes)
{
    const size_t heads_at = a->heads_at, count = a->entry_count;
    check(memcmp(a->bytes, b->bytes, PAGE_HEADER_BYTES + count) == 0);
    check(memcmp(a->bytes + a->offsets_at, b->bytes + a->offsets_at, 2 * count) == 0);
    check(memcmp(a->bytes + heads_at, b->bytes + heads_at, bytes - heads_at) == 0);
}

static void use_as(const uint8_t *data, size_t size, unsigned format, uint64_t seq_shift)
{
    size_t bytes;
    if (page_measure(data, size, format, &bytes) != NULL) return;
    uint8_t *laid_out = laid_out_with(0, data, size, format, seq_shift, bytes);
    uint8_t *again = laid_out_with(0xff, data, size, format, seq_shift, bytes);
    check((laid_out == NULL) == (again == NULL));
    if (laid_out != NULL) {
        const struct page page = page_view(laid_out), same = page_view(again);
        check_same(&page, &same, bytes);
        for (uint32_t i = 0; i < page.entry_count; i++)
            use_entry(&page, i);
        const loam_slice half = loam_bytes(data, size / 2 < 40 ? size / 2 : 40);
        check(page_seek(&page, half, SEQ_MAX) <= page.entry_count);
    }
    free(again);
    free(laid_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_as(data, size, BLOCK_FORMAT, 0);
    use_as(data, size, BLOCK_FORMAT, UINT64_C(1) << 40);
    use_as(data, size, BLOCK_FORMAT_FULL_PAGES, 0);
    use_as(data, size, BLOCK_FORMAT_FULL_PAGES, UINT64_C(1) << 40);
    return 0;
}
