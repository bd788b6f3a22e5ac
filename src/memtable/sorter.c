/*
 * sorter.c - entries in whatever order they come, sorted all at once; see sorter.h.
 *
 * Sorting goes by heads (base/bytes.h), digit by digit, and moves pairs of a head and a pointer. Those that share a head are sorted by
 * the next one, behind all that they share; a few are compared.
 */
#include "memtable/sorter.h"

#include "base/mem.h"
#include "memtable/arena.h"
#include "memtable/cell.h"
#include "os/pages.h"

#include "base/poison.h"

enum {
    HEAD_BYTES = sizeof(uint64_t),
    DIGIT_VALUES = 256,
    FEW = 24,        /* which are compared */
    PREFETCHED = 16, /* cells ahead of the one that is shown */
    CELL_LINES = 3   /* of them, that is */
};

/* Stands in front of its cell. */
struct sorter_link {
    const struct sorter_link *before; /* that came; NULL: none */
};

struct sorter_item {
    uint64_t head;
    const struct cell *cell;
};

struct sorter {
    struct arena arena;
    const struct sorter_link *latest;
    size_t count;
    struct sorter_item *items; /* sorted; NULL: something was added since */
};

struct sorter_part { /* of what is sorted: from where the part within it ends */
    size_t end;
    size_t shared; /* bytes, by those that have one head */
};

struct sorting {
    struct sorter_item *spare; /* as many as there are */
    uint32_t counts[HEAD_BYTES][DIGIT_VALUES];
    struct sorter_part parts[KEY_BYTES_MAX / HEAD_BYTES + 2]; /* each within the one before it */
};

struct sorter *sorter_new(struct arena_pool *pool)
{
    struct sorter *sorter = mem_zalloc(sizeof *sorter);
    if (sorter != NULL) arena_init(&sorter->arena, pool);
    return sorter;
}

void sorter_free(struct sorter *sorter)
{
    if (sorter == NULL) return;
    arena_deinit(&sorter->arena);
    mem_free(sorter->items);
    mem_free(sorter);
}

loam_status sorter_add(struct sorter *sorter, const struct entry *entry)
{
    const loam_slice no_head = {0};
    const size_t bytes = sizeof(struct sorter_link) + cell_bytes(entry, no_head, NULL);
    check(sorter->count < UINT32_MAX);
    const loam_status rc = arena_reserve(&sorter->arena, arena_rounded(bytes));
    if (rc < 0) return rc;
    struct sorter_link *link = arena_take(&sorter->arena, bytes);
    link->before = sorter->latest;
    (void)cell_put(link + 1, entry, no_head, NULL);
    sorter->latest = link;
    sorter->count++;
    mem_free(sorter->items);
    sorter->items = NULL;
    return LOAM_OK;
}

size_t sorter_bytes(const struct sorter *sorter)
{
    return arena_bytes(&sorter->arena) + sorter->count * 2 * sizeof(struct sorter_item);
}

/* ---- sorting: by all stable steps, so that of one key the newest, which is first, stays first ------- */

static void sort_few(struct sorter_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct sorter_item item = items[i];
        size_t at = i;
        for (; at > 0 && bytes_compare(cell_key(items[at - 1].cell), cell_key(item.cell)) > 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* How many bytes all share, of which `skip` are known; and how long the longest is. */
static size_t share(const struct sorter_item *items, size_t count, size_t skip, size_t *longest)
{
    const loam_slice first = cell_key(items[0].cell);
    size_t shared = first.len;
    *longest = first.len;
    for (size_t i = 1; i < count; i++) {
        const loam_slice key = cell_key(items[i].cell);
        if (key.len > *longest) *longest = key.len;
        if (shared > skip) shared = bytes_common(loam_bytes(first.data, shared), key);
    }
    return shared > skip ? shared : skip;
}

static void sort_by_digit(struct sorter_item *to, const struct sorter_item *from, size_t count,
                          uint32_t starts[DIGIT_VALUES], unsigned shift)
{
    uint32_t start = 0;
    for (unsigned value = 0; value < DIGIT_VALUES; value++) {
        const uint32_t here = starts[value];
        starts[value] = start;
        start += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].head >> shift & (DIGIT_VALUES - 1)]++] = from[i];
}

static void sort_by_head(struct sorting *sorting, struct sorter_item *items, size_t count)
{
    struct sorter_item *from = items, *to = sorting->spare;
    memset(sorting->counts, 0, sizeof sorting->counts);
    for (size_t i = 0; i < count; i++)
        for (unsigned digit = 0; digit < HEAD_BYTES; digit++)
            sorting->counts[digit][items[i].head >> 8 * digit & (DIGIT_VALUES - 1)]++;
    for (unsigned digit = 0; digit < HEAD_BYTES; digit++) {
        uint32_t *counts = sorting->counts[digit];
        if (counts[items[0].head >> 8 * digit & (DIGIT_VALUES - 1)] == count) continue;
        sort_by_digit(to, from, count, counts, 8 * digit);
        struct sorter_item *turned = from;
        from = to;
        to = turned;
    }
    if (from != items) memcpy(items, from, count * sizeof *items);
}

/* Sorts those that share `skip` bytes, where a key that has ended counts as zeros, by what comes behind all that they share. Answers how many
   bytes those share that have one head then; 0: they are sorted, for length was all the difference. */
static size_t sort_group(struct sorting *sorting, struct sorter_item *items, size_t count,
                         size_t skip)
{
    size_t longest;
    const size_t shared = share(items, count, skip, &longest);
    const bool by_length = longest <= shared;
    for (size_t i = 0; i < count; i++) {
        const loam_slice key = cell_key(items[i].cell);
        items[i].head = by_length ? key.len : bytes_head(key, shared);
    }
    sort_by_head(sorting, items, count);
    return by_length ? 0 : shared + HEAD_BYTES;
}

/* From left to right: a group that shares a head is sorted as a part of its own, and what is behind it in its part comes afterwards. Begins
   with heads that are all one. */
static void sort_items(struct sorting *sorting, struct sorter_item *items, size_t count)
{
    struct sorter_part *part = sorting->parts;
    *part = (struct sorter_part){.end = count};
    for (size_t at = 0, end; at < count; at = end) {
        for (end = at + 1; end < part->end && items[end].head == items[at].head;)
            end++;
        if (end - at <= FEW) {
            sort_few(items + at, end - at);
        } else {
            const size_t shared = sort_group(sorting, items + at, end - at, part->shared);
            if (shared > 0 && end < part->end) part++; /* else nothing is left of that one */
            if (shared > 0) *part = (struct sorter_part){end, shared};
            if (shared > 0) end = at;
        }
        while (end == part->end && part > sorting->parts)
            part--;
    }
}

/* The latest first. */
static void list_items(const struct sorter *sorter, struct sorter_item *items)
{
    for (const struct sorter_link *link = sorter->latest; link != NULL; link = link->before)
        *items++ = (struct sorter_item){.cell = (const struct cell *)(const void *)(link + 1)};
}

loam_status sorter_sort(struct sorter *sorter)
{
    const size_t bytes = sorter->count * sizeof(struct sorter_item);
    if (sorter->items != NULL) return LOAM_OK;
    struct sorting *sorting = mem_alloc(sizeof *sorting);
    struct sorter_item *spare = sorting != NULL ? mem_alloc(bytes) : NULL;
    struct sorter_item *items = spare != NULL ? mem_alloc(bytes) : NULL;
    if (items != NULL) {
        pages_prefer_huge(items, bytes);
        pages_prefer_huge(spare, bytes);
        sorting->spare = spare;
        list_items(sorter, items);
        sort_items(sorting, items, sorter->count);
        sorter->items = items;
    }
    mem_free(spare);
    mem_free(sorting);
    return items != NULL ? LOAM_OK : LOAM_NOMEM;
}

loam_slice sorter_middle(const struct sorter *sorter)
{
    check(sorter->items != NULL && sorter->count > 0);
    return cell_key(sorter->items[sorter->count / 2].cell);
}

/* ---- walking ------------------------------------------------------------------------------------- */

struct sorter_iter {
    struct iter iter;
    const struct sorter *sorter;
    size_t at;
    struct entry entry; /* there */
};

static loam_status stand_on_item(struct sorter_iter *it, size_t at)
{
    const struct sorter_item *items = it->sorter->items;
    const size_t count = it->sorter->count;
    if (at >= count) return LOAM_NOTFOUND;
    if (at + PREFETCHED < count) {
        const uint8_t *ahead = (const uint8_t *)items[at + PREFETCHED].cell;
        for (size_t i = 0; i < CELL_LINES; i++)
            __builtin_prefetch(ahead + i * ARENA_LINE_BYTES);
    }
    it->at = at;
    cell_get(items[at].cell, &it->entry);
    it->iter.keeps = true;
    return LOAM_OK;
}

static loam_status sorter_iter_first(struct iter *iter)
{
    return stand_on_item((struct sorter_iter *)iter, 0);
}

static loam_status sorter_iter_next(struct iter *iter)
{
    struct sorter_iter *it = (struct sorter_iter *)iter;
    return stand_on_item(it, it->at + 1);
}

static loam_status sorter_iter_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct sorter_iter *it = (struct sorter_iter *)iter;
    size_t first = 0, count = it->sorter->count;
    while (count > 0) {
        const size_t half = count / 2;
        const struct cell *cell = it->sorter->items[first + half].cell;
        if (entry_compare(cell_key(cell), cell_seq(cell), key, seq) < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return stand_on_item(it, first);
}

static void sorter_iter_close(struct iter *iter)
{
    mem_free(iter);
}

loam_status sorter_iter_new(const struct sorter *sorter, struct iter **out)
{
    static const struct iter_ops ops = {.first = sorter_iter_first,
                                        .seek = sorter_iter_seek,
                                        .next = sorter_iter_next,
                                        .close = sorter_iter_close};
    struct sorter_iter *it = mem_zalloc(sizeof *it);
    check(sorter->items != NULL);
    if (it == NULL) return LOAM_NOMEM;
    it->iter.ops = &ops;
    it->iter.at = &it->entry;
    it->sorter = sorter;
    *out = &it->iter;
    return LOAM_OK;
}
