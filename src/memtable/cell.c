/*
 * cell.c - one version of one key in the memory of a memtable; see cell.h.
 */
#include "memtable/cell.h"

#include "base/poison.h"

static uint64_t count_older(const struct cell *cell)
{
    return cell->has_older != 0 ? cell_links(cell)->older_count : 0;
}

/* The last of a chain jumps to itself, which ends every search. */
static const struct cell *jump_of(const struct cell *cell)
{
    return cell->has_older != 0 ? cell_links(cell)->jump : cell;
}

static struct cell_links links_to(const struct cell *older)
{
    const struct cell *near = jump_of(older), *far = jump_of(near);
    const bool equal_strides =
        count_older(older) - count_older(near) == count_older(near) - count_older(far);
    return (struct cell_links){
        .older = older,
        .jump = equal_strides ? far : older,
        .older_count = count_older(older) + 1,
    };
}

const struct cell *cell_put(void *memory, const struct entry *entry, loam_slice head,
                            const struct cell *older)
{
    uint8_t *at = memory;
    if (older != NULL) {
        const struct cell_links links = links_to(older);
        memcpy(at, &links, sizeof links);
        at += sizeof links;
    }
    struct cell *cell = (struct cell *)(void *)at;
    cell->seq_kind = entry->seq << 8 | entry->kind;
    cell->value_bytes = (uint32_t)(head.len + entry->value.len);
    cell->key_bytes = (uint16_t)entry->key.len;
    cell->has_older = older != NULL;
    uint8_t *to = cell->key;
    if (entry->key.len > 0) memcpy(to, entry->key.data, entry->key.len);
    to += entry->key.len;
    if (head.len > 0) memcpy(to, head.data, head.len);
    if (entry->value.len > 0) memcpy(to + head.len, entry->value.data, entry->value.len);
    return cell;
}

const struct cell *cell_at_most(const struct cell *newest, uint64_t seq)
{
    const struct cell *cell = newest;
    while (cell_seq(cell) > seq) {
        if (cell->has_older == 0) return NULL;
        const struct cell_links *links = cell_links(cell);
        cell = cell_seq(links->jump) > seq ? links->jump : links->older;
    }
    return cell;
}

const struct cell *cell_above(const struct cell *newest, uint64_t seq)
{
    const struct cell *cell = newest;
    while (cell->has_older != 0) {
        const struct cell_links *links = cell_links(cell);
        if (cell_seq(links->jump) > seq)
            cell = links->jump;
        else if (cell_seq(links->older) > seq)
            cell = links->older;
        else
            break;
    }
    return cell;
}
