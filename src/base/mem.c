/*
 * mem.c - the only allocator of the engine; see mem.h.
 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { MEM_LINE_BYTES = 64 };

/* Counting every allocation would put two shared atomics on hot paths of all threads, so it is
   switched on by the first mem_fail_at() and otherwise costs one relaxed load. */
static _Atomic int counting;
static _Atomic uint64_t alloc_count;
static _Atomic int64_t live_count;
static _Atomic uint64_t fail_nth;
static _Atomic int fail_forever;

static int must_fail(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed)) return 0;
    const uint64_t number = atomic_fetch_add(&alloc_count, 1) + 1;
    const uint64_t nth = atomic_load(&fail_nth);
    return nth != 0 && (number == nth || (number > nth && atomic_load(&fail_forever)));
}

static void *counted(void *block, size_t size)
{
    if (block == NULL) {
        (void)failed(LOAM_NOMEM, "out of memory: %zu bytes", size);
        return NULL;
    }
    if (atomic_load_explicit(&counting, memory_order_relaxed)) atomic_fetch_add(&live_count, 1);
    return block;
}

void *mem_alloc(size_t size)
{
    return counted(must_fail() ? NULL : malloc(size > 0 ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return counted(must_fail() ? NULL : calloc(1, size > 0 ? size : 1), size);
}

void *mem_zalloc_lines(size_t size)
{
    size_t bytes;
    if (__builtin_add_overflow(size, (size_t)(MEM_LINE_BYTES - 1), &bytes))
        return counted(NULL, size);
    bytes -= bytes % MEM_LINE_BYTES;
    void *block =
        must_fail() ? NULL : aligned_alloc(MEM_LINE_BYTES, bytes > 0 ? bytes : MEM_LINE_BYTES);
    if (block != NULL) memset(block, 0, bytes);
    return counted(block, size);
}

void *mem_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return counted(NULL, SIZE_MAX);
    return mem_alloc(bytes);
}

void *mem_realloc(void *block, size_t size)
{
    if (block == NULL) return mem_alloc(size);
    void *grown = must_fail() ? NULL : realloc(block, size > 0 ? size : 1);
    if (grown == NULL) (void)failed(LOAM_NOMEM, "out of memory: %zu bytes", size);
    return grown;
}

void mem_free(void *block)
{
    if (block == NULL) return;
    if (atomic_load_explicit(&counting, memory_order_relaxed)) atomic_fetch_sub(&live_count, 1);
    free(block);
}

void *mem_copy(const void *bytes, size_t len)
{
    void *copy = mem_alloc(len);
    if (copy != NULL && len > 0) memcpy(copy, bytes, len);
    return copy;
}

void loam_buf_free(loam_buf *buf)
{
    if (buf == NULL) return;
    mem_free(buf->data);
    memset(buf, 0, sizeof *buf);
}

loam_status buf_reserve(loam_buf *buf, size_t cap)
{
    if (cap <= buf->cap) return LOAM_OK;
    size_t grown = buf->cap < 64 ? 64 : buf->cap;
    while (grown < cap) {
        if (__builtin_mul_overflow(grown, (size_t)2, &grown)) grown = cap;
    }
    void *data = mem_realloc(buf->data, grown);
    if (data == NULL) return LOAM_NOMEM;
    buf->data = data;
    buf->cap = grown;
    return LOAM_OK;
}

loam_status buf_append(loam_buf *buf, const void *bytes, size_t len)
{
    size_t total;
    if (__builtin_add_overflow(buf->len, len, &total))
        return failed(LOAM_NOMEM, "out of memory: a buffer would pass the address space");
    const loam_status rc = buf_reserve(buf, total);
    if (rc < 0) return rc;
    if (len > 0) memcpy((uint8_t *)buf->data + buf->len, bytes, len);
    buf->len = total;
    return LOAM_OK;
}

loam_status buf_set(loam_buf *buf, const void *bytes, size_t len)
{
    const loam_status rc = buf_reserve(buf, len > 0 ? len : 1);
    if (rc < 0) return rc;
    if (len > 0) memcpy(buf->data, bytes, len);
    buf->len = len;
    return LOAM_OK;
}

void mem_fail_at(uint64_t nth, int forever)
{
    atomic_store(&counting, 1);
    atomic_store(&alloc_count, 0);
    atomic_store(&fail_forever, forever);
    atomic_store(&fail_nth, nth);
}

uint64_t mem_alloc_count(void)
{
    return atomic_load(&alloc_count);
}

int64_t mem_live_count(void)
{
    return atomic_load(&live_count);
}
