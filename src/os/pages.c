/*
 * pages.c - large pieces of memory, in huge pages where the system has them; see pages.h.
 */
#include "os/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"

enum {
    PAGES_MAPPED_BYTES = 256 << 10, /* less is cheaper to clear than to map and unmap */
    PAGES_HUGE_BYTES = 2 << 20
};

/* 0 when bytes is too large to be rounded. */
static size_t round_to_pages(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return bytes == 0 ? page : (bytes + page - 1) / page * page;
}

static void *reserve_pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* mmap() aligns to small pages only, so more is reserved and what sticks out is given back. */
static void *reserve_huge(size_t bytes)
{
    size_t total;
    if (__builtin_add_overflow(bytes, (size_t)PAGES_HUGE_BYTES, &total)) return NULL;
    uint8_t *at = reserve_pages(total);
    if (at == NULL) return NULL;
    const size_t before = (size_t)(-(uintptr_t)at & (PAGES_HUGE_BYTES - 1));
    const size_t after = PAGES_HUGE_BYTES - before;
    if (before > 0) check(munmap(at, before) == 0);
    if (after > 0) check(munmap(at + before + bytes, after) == 0);
    /* Without huge pages the memory is slower and as good. */
    (void)madvise(at + before, bytes, MADV_HUGEPAGE);
    return at + before;
}

void *pages_alloc(size_t bytes)
{
    if (bytes < PAGES_MAPPED_BYTES) return mem_zalloc_lines(bytes);
    /* The probe lets mem_fail_at() count and fail these allocations like all others. */
    void *probe = mem_alloc(1);
    if (probe == NULL) return NULL;
    mem_free(probe);
    const size_t whole = round_to_pages(bytes);
    void *at = NULL;
    if (whole >= bytes) at = whole >= PAGES_HUGE_BYTES ? reserve_huge(whole) : reserve_pages(whole);
    if (at == NULL) (void)failed(LOAM_NOMEM, "out of memory: %zu bytes", bytes);
    return at;
}

void pages_prefer_huge(void *memory, size_t bytes)
{
    const size_t before = (size_t)(-(uintptr_t)memory & (PAGES_HUGE_BYTES - 1));
    if (bytes < before + PAGES_HUGE_BYTES) return;
    const size_t whole = (bytes - before) & ~(size_t)(PAGES_HUGE_BYTES - 1);
    (void)madvise((uint8_t *)memory + before, whole, MADV_HUGEPAGE);
}

void pages_populate(void *pages, size_t bytes)
{
    (void)madvise(pages, bytes, MADV_POPULATE_WRITE); /* if it cannot, the first touch will */
}

void pages_discard(void *pages, size_t bytes)
{
    if (bytes >= PAGES_MAPPED_BYTES) (void)madvise(pages, bytes, MADV_DONTNEED);
}

void pages_free(void *pages, size_t bytes)
{
    if (pages == NULL) return;
    if (bytes < PAGES_MAPPED_BYTES) {
        mem_free(pages);
        return;
    }
    check(munmap(pages, round_to_pages(bytes)) == 0);
}
