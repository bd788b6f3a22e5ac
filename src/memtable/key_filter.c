/*
 * key_filter.c - says fast that a memtable does not hold a key; see key_filter.h.
 */
#include "memtable/key_filter.h"

#include "base/mem.h"
#include "os/pages.h"

#include "base/poison.h"

#define KEYS_PER_BLOCK 32 /* 16 bits a key */

struct key_filter *key_filter_new(uint64_t key_count)
{
    struct key_filter *filter = mem_alloc(sizeof *filter);
    if (filter == NULL) return NULL;
    filter->block_count = key_count / KEYS_PER_BLOCK + 1;
    if (filter->block_count > UINT32_MAX) filter->block_count = UINT32_MAX;
    filter->blocks = pages_alloc(filter->block_count * sizeof(struct key_filter_block));
    if (filter->blocks != NULL) return filter;
    mem_free(filter);
    return NULL;
}

void key_filter_free(struct key_filter *filter)
{
    if (filter == NULL) return;
    pages_free(filter->blocks, filter->block_count * sizeof(struct key_filter_block));
    mem_free(filter);
}

size_t key_filter_bytes(const struct key_filter *filter)
{
    return filter->block_count * sizeof(struct key_filter_block);
}
