/*
 * pages.h - large pieces of memory, in huge pages where the system has them.
 *
 * Role: memtable arenas and cache frames come from here: a dependent load outside the
 *   caches costs half as much in 2 MiB pages, and a first-touch fault costs 2 us per 4 KiB,
 *   so pieces are kept by their owner and used again.
 * In the picture: os layer; counts as an allocation for mem_fail_at().
 */
#ifndef LOAM_OS_PAGES_H
#define LOAM_OS_PAGES_H

#include <stddef.h>

/* NULL and LOAM_NOMEM recorded when out of memory. Zero-filled. Aligned to a cache line; to 2 MiB, and
   advised MADV_HUGEPAGE, where bytes is at least that. */
void *pages_alloc(size_t bytes);
/* Memory of any other origin that will be touched as a whole: huge pages for what is aligned of it. */
void pages_prefer_huge(void *memory, size_t bytes);
void pages_populate(void *pages, size_t bytes); /* what the first touch would do, at once */
void pages_discard(void *pages, size_t bytes);  /* gives the memory back; what it holds is lost */
void pages_free(void *pages, size_t bytes);

#endif
