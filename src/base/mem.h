/*
 * mem.h - the only allocator of the engine.
 *
 * Role: every heap byte passes through here, so that it can be counted and so
 *   that tests can make the nth allocation fail.
 * Invariants: (1) a failure returns NULL and has called failed(LOAM_NOMEM).
 *   (2) sizes of arrays are multiplied with an overflow check.
 * In the picture: base layer; loam_buf_free() and loam_batch live on it too.
 */
#ifndef LOAM_BASE_MEM_H
#define LOAM_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include <loam.h>

/* NULL and a recorded LOAM_NOMEM when out of memory; the caller frees with mem_free(). A size of
   0 gives a unique pointer. mem_zalloc() zeroes. */
void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_zalloc(size_t size) __attribute__((malloc));
void *mem_alloc_array(size_t count, size_t size);
/* Zeroed, and aligned to a cache line (64 bytes). */
void *mem_zalloc_lines(size_t size) __attribute__((malloc));

/* As realloc(3): on failure the old block stays valid and NULL is returned. */
void *mem_realloc(void *block, size_t size);
void mem_free(void *block);

/* A copy of len bytes, or NULL. Copying 0 bytes gives a unique pointer. */
void *mem_copy(const void *bytes, size_t len);

/* Makes sure that buf can hold cap bytes in all; the contents and len stay. */
LOAM_MUST loam_status buf_reserve(loam_buf *buf, size_t cap);
LOAM_MUST loam_status buf_append(loam_buf *buf, const void *bytes, size_t len);
/* Replaces the contents. */
LOAM_MUST loam_status buf_set(loam_buf *buf, const void *bytes, size_t len);

/* Tests only: the nth allocation from now (1 = the next) fails; if forever, all after it too.
   0 switches it off. mem_live_count() is the number of blocks that are not freed. */
void mem_fail_at(uint64_t nth, int forever);
uint64_t mem_alloc_count(void);
int64_t mem_live_count(void);

#endif
