/*
 * option_sets.c - which combinations of options have been opened; see option_sets.h.
 */
#include "lib/option_sets.h"

#include <string.h>

enum { OPTION_SETS_MAX = 2000 };

static struct option_set {
    uint64_t memtable_bytes, log_bytes_least;
    uint32_t runs_per_level, filter_bits_per_key, page_bytes;
    loam_durability durability;
    bool mapped_log;
} sets[OPTION_SETS_MAX];
static size_t count;

void option_sets_note(const loam_options *options, const struct db_world *world)
{
    struct option_set set;
    memset(&set, 0, sizeof set); /* compared as bytes */
    set.memtable_bytes = options->memtable_bytes;
    set.log_bytes_least = world->log_bytes_least;
    set.runs_per_level = options->runs_per_level;
    set.filter_bits_per_key = options->filter_bits_per_key;
    set.page_bytes = world->page_bytes;
    set.durability = options->durability;
    set.mapped_log = world->mapped_log;
    for (size_t i = 0; i < count; i++)
        if (memcmp(&sets[i], &set, sizeof set) == 0) return;
    if (count < OPTION_SETS_MAX) sets[count++] = set;
}

size_t option_sets_count(void)
{
    return count;
}
