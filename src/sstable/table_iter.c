/*
 * table_iter.c - walks a table in both directions; see table.h and record/iter.h.
 *
 * Role: a position is (page, entry); moving within a page is an offset and three varints.
 *   A merge, and a scan that has driven some pages out of a full cache, read many pages with one call into a buffer of
 *   their own, so that a long scan leaves the cache to others.
 * Invariants: (1) the page under the iterator is pinned, or lies in a buffer of the iterator's own.
 *   (2) an extent's value is read only when the iterator comes to stand on it.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "os/pages.h"
#include "sstable/table.h"
#include "sstable/table_extent.h"
#include "sstable/table_inner.h"
#include "sstable/table_page.h"

#include "base/poison.h"

enum {
    BULK_BYTES = 512 * 1024,
    SCAN_BYTES = 256 * 1024,
    SCAN_BYTES_FIRST = 16 * 1024, /* of one read; the next has twice as many */
    SCAN_SPARED = 4,              /* pages for which a scan may drive others out */
    RUN_PASSES_MOST = 8 /* neighbours that are in memory, and read in vain before a run ends */
};
_Static_assert(SCAN_BYTES >= BLOCK_HEADER_BYTES + PAGE_BYTES_MAX, "any page has room");

struct table_iter {
    struct iter iter;
    struct table *table;
    struct table_hold hold;
    unsigned flags;
    bool is_extent; /* page_index is one, and `extent` holds it */
    bool has_page;  /* page_index is loaded */
    uint64_t page_index;
    uint32_t entry_index, entry_count;
    struct entry entry; /* at the position */
    struct page page;
    struct page_pin pin;
    struct tally *tally; /* NULL: nobody asks */
    const uint8_t
        *ahead; /* the next page, if it is in memory, else this one; not pinned, never read */
    struct extent extent;
    uint32_t driving_count; /* pages that drove others out, since one comes after the other */
    /* Many at once: the stored bytes [run_from, run_end) of the table, and room for one page. */
    uint8_t *run;
    struct page_space space;
    uint64_t run_from, run_end;
    size_t run_room;
    size_t run_bytes; /* which the last read took at most; 0: none yet in this walk */
    bool run_backward;
};

static inline struct table_iter *as_table_iter(struct iter *iter)
{
    return (struct table_iter *)iter;
}

static inline const struct table_index *iter_index(const struct table_iter *it)
{
    return &it->hold.loaded->index;
}

static void leave_page(struct table_iter *it)
{
    page_unpin(&it->pin);
    extent_clear(&it->extent);
    it->has_page = it->is_extent = false;
    it->entry_count = 0;
}

/* ---- many pages at once ---- */

static loam_status run_reserve(struct table_iter *it)
{
    const uint64_t stored = it->hold.loaded->footer.index.at;
    const uint64_t most = it->flags & TABLE_ITER_BULK ? BULK_BYTES : SCAN_BYTES;
    if (it->run != NULL) return LOAM_OK;
    it->run_room = (size_t)(stored < most ? stored : most) + PAGE_SLACK_BYTES;
    it->run = pages_alloc(it->run_room);
    return it->run != NULL ? LOAM_OK : LOAM_NOMEM;
}

static bool is_in_memory(const struct table_iter *it, uint64_t page)
{
    return !(it->flags & TABLE_ITER_BULK) &&
           page_peek(it->table->owner.cache, it->hold.loaded->slots, (uint32_t)page, NULL) != NULL;
}

/* What one read takes: page, and those behind it in the direction of the walk that have room, no extents. */
static void find_run(const struct table_iter *it, uint64_t page, uint64_t *start, uint64_t *end)
{
    const struct table_index *index = iter_index(it);
    const uint64_t room = it->run_room - PAGE_SLACK_BYTES;
    const uint64_t most = it->run_bytes < room ? it->run_bytes : room;
    const uint64_t step = it->run_backward ? UINT64_MAX : 1; /* modulo 2^64 */
    unsigned passed = 0;
    for (page += step; page < index->page_count && !index_is_extent(index, page); page += step) {
        const uint64_t low = it->run_backward ? index_page_start(index, page) : *start;
        const uint64_t high = it->run_backward ? *end : index_page_end(index, page);
        if (high - low > most) break;
        if (is_in_memory(it, page)) {
            if (++passed == RUN_PASSES_MOST) break;
            continue;
        }
        passed = 0;
        *start = low;
        *end = high;
    }
}

/* Asks for what a run after this one would have; a scan only after a long one, for short ones often are the last. */
static void announce(const struct table_iter *it)
{
    const uint64_t room = it->run_room - PAGE_SLACK_BYTES;
    const struct block_source *source = &it->hold.loaded->source;
    const uint64_t pages_end = it->hold.loaded->footer.index.at;
    const uint64_t left = it->run_backward ? it->run_from : pages_end - it->run_end;
    const uint64_t bytes = left < room ? left : room;
    const bool is_long = (it->flags & TABLE_ITER_BULK) || it->run_end - it->run_from > room / 2;
    if (!is_long || bytes == 0) return;
    object_will_need(source->object,
                     source->base + (it->run_backward ? it->run_from - bytes : it->run_end), bytes);
}

static loam_status read_stored(struct table_iter *it, uint64_t start, uint64_t end)
{
    const struct block_source *source = &it->hold.loaded->source;
    const loam_status rc =
        object_read(source->object, source->base + start, it->run, (size_t)(end - start));
    it->run_from = rc == LOAM_OK ? start : 0;
    it->run_end = rc == LOAM_OK ? end : 0;
    return rc;
}

/* Who came from the page behind this one is taken to go backward; after a seek that is a guess, which may cost one more read. */
static loam_status read_run(struct table_iter *it, uint64_t page)
{
    const uint64_t page_start = index_page_start(iter_index(it), page);
    const uint64_t page_end = index_page_end(iter_index(it), page);
    uint64_t start = page_start, end = page_end;
    const bool backward = page + 1 == it->page_index;
    if (it->flags & TABLE_ITER_BULK)
        it->run_bytes = BULK_BYTES;
    else if (it->run_bytes == 0 || it->run_backward != backward)
        it->run_bytes = SCAN_BYTES_FIRST;
    else if (it->run_bytes < SCAN_BYTES)
        it->run_bytes *= 2;
    it->run_backward = backward;
    find_run(it, page, &start, &end);
    const loam_status rc = read_stored(it, start, end);
    if (rc == LOAM_OK) announce(it);
    /* What cannot be read may be any of them. */
    return rc < 0 && end - start > page_end - page_start ? read_stored(it, page_start, page_end)
                                                         : rc;
}

static loam_status open_own_page(struct table_iter *it, uint64_t page)
{
    const struct table_index *index = iter_index(it);
    const uint64_t start = index_page_start(index, page), end = index_page_end(index, page);
    struct block_head head = {0};
    loam_status rc = run_reserve(it);
    if (rc == LOAM_OK && (start < it->run_from || end > it->run_end)) rc = read_run(it, page);
    if (rc < 0) return rc;
    const uint8_t *frame = it->run + (start - it->run_from);
    rc = table_check_frame(it->hold.loaded, (uint32_t)page, frame, &head);
    if (rc == LOAM_OK)
        rc = table_open_page(it->hold.loaded, (uint32_t)page, &head, frame, &it->space);
    if (rc < 0) it->run_from = it->run_end = 0; /* read anew, if asked again */
    return rc;
}

/* ---- positions ---- */

static void tally_page(const struct table_iter *it, uint64_t page)
{
    const struct table_index *index = iter_index(it);
    struct tally *tally = it->tally;
    tally->page_bytes += index_page_end(index, page) - index_page_start(index, page);
    if (index_is_extent(index, page))
        tally->extents++;
    else if (page_peek(it->table->owner.cache, it->hold.loaded->slots, (uint32_t)page, NULL))
        tally->cached_pages++;
    else
        tally->read_pages++;
}

static loam_status open_page(struct table_iter *it, uint64_t page, const uint8_t **bytes)
{
    struct page_cache *cache = it->table->owner.cache;
    struct table_loaded *loaded = it->hold.loaded;
    bool is_own = (it->flags & TABLE_ITER_BULK) != 0;
    loam_status rc = LOAM_OK;
    if (page != it->page_index + 1 && page + 1 != it->page_index)
        it->run_bytes = it->driving_count = 0;
    if (!is_own && it->driving_count == SCAN_SPARED &&
        !page_pin_cached(cache, loaded->slots, (uint32_t)page, &it->pin))
        is_own = run_reserve(it) == LOAM_OK;
    if (is_own)
        rc = open_own_page(it, page);
    else if (it->pin.slot == NULL)
        rc = page_pin(cache, loaded->slots, (uint32_t)page, table_load_page, loaded, &it->pin);
    if (it->pin.drove_out && it->driving_count < SCAN_SPARED) it->driving_count++;
    *bytes = is_own ? it->space.bytes.data : it->pin.bytes;
    return rc;
}

/* Makes page the current one; of an extent, only its key. */
static loam_status enter_page(struct table_iter *it, uint64_t page)
{
    struct table_loaded *loaded = it->hold.loaded;
    const uint8_t *raw = NULL;
    loam_status rc;
    if (it->has_page && it->page_index == page) return LOAM_OK;
    leave_page(it);
    if (it->tally != NULL) tally_page(it, page);
    if (index_is_extent(&loaded->index, page)) {
        rc = extent_read_key(&loaded->source, index_page_start(&loaded->index, page),
                             index_page_end(&loaded->index, page), &it->extent);
        if (rc < 0) return rc;
        it->is_extent = true;
        it->entry_count = 1;
    } else {
        rc = open_page(it, page, &raw);
        if (rc < 0) return rc;
        it->page = page_view(raw);
        it->ahead = raw; /* until look_ahead() knows better */
        it->entry_count = it->page.entry_count;
    }
    it->page_index = page;
    it->has_page = true;
    return LOAM_OK;
}

/* Shows the entry at the position, in a page. */
static inline void show(struct table_iter *it)
{
    page_entry(&it->page, it->entry_index, &it->entry);
    it->iter.keeps = it->entry_index > 0 && it->entry_index + 1 < it->entry_count;
}

/* The same; an extent gets its value now. */
static loam_status stand(struct table_iter *it)
{
    if (!it->is_extent) {
        show(it);
        return LOAM_OK;
    }
    it->iter.keeps = false;
    if (!(it->flags & TABLE_ITER_KEYS_ONLY)) {
        const loam_status rc = extent_read_value(&it->hold.loaded->source, &it->extent);
        if (rc < 0) return rc;
    }
    it->entry = it->extent.entry;
    if (it->flags & TABLE_ITER_KEYS_ONLY) it->entry.value = extent_expiry(&it->extent);
    return LOAM_OK;
}

/* Finds the page that will be next (it may not exist) for prefetch_ahead(), and asks for its front. */
static void look_ahead(struct table_iter *it, uint64_t page)
{
    const uint8_t *ahead = NULL;
    if (!(it->flags & TABLE_ITER_BULK) && page < iter_index(it)->page_count)
        ahead = page_peek(it->table->owner.cache, it->hold.loaded->slots, (uint32_t)page, NULL);
    if (ahead != NULL) page_prefetch(ahead, PAGE_FRONT_BYTES);
    it->ahead = ahead != NULL ? ahead : it->page.bytes;
}

/* Pages lie anywhere in memory, which defeats the processor's own prefetcher: the next page's lines are
   asked for at the pace at which this one is walked. For a page that is stale or missing they come in vain. */
static inline void prefetch_ahead(const struct table_iter *it)
{
    const uint8_t *ahead = it->ahead + ((const uint8_t *)it->entry.key.data - it->page.bytes);
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + 64);
}

/* Stands on the first entry of page, or answers that there is no such page. */
static loam_status stand_first(struct table_iter *it, uint64_t page)
{
    if (page >= iter_index(it)->page_count) return LOAM_NOTFOUND;
    const loam_status rc = enter_page(it, page);
    if (rc < 0) return rc;
    look_ahead(it, page + 1);
    it->entry_index = 0;
    return stand(it);
}

/* Stands on the last entry before page. */
static loam_status stand_last_before(struct table_iter *it, uint64_t page)
{
    if (page == 0) return LOAM_NOTFOUND;
    const loam_status rc = enter_page(it, page - 1);
    if (rc < 0) return rc;
    look_ahead(it, page - 2);
    it->entry_index = it->entry_count - 1;
    return stand(it);
}

/* The index of the first entry of the current page at or after (key, seq); entry_count if none is. */
static uint32_t seek_in_page(const struct table_iter *it, loam_slice key, uint64_t seq)
{
    if (!it->is_extent) return page_seek(&it->page, key, seq);
    const struct entry *entry = &it->extent.entry;
    return entry_compare(entry->key, entry->seq, key, seq) < 0 ? 1 : 0;
}

enum {
    SEEK_PREFETCH_BYTES = 384
}; /* all before the entries of a page of 4 KiB: a search visits much of it */

static void prefetch_for_seek(const struct table_iter *it, uint64_t page)
{
    if (it->has_page && it->page_index == page) return;
    const uint8_t *side,
        *there = page_peek(it->table->owner.cache, it->hold.loaded->slots, (uint32_t)page, &side);
    if (there != NULL) page_prefetch(there, SEEK_PREFETCH_BYTES);
}

/* Moves the position to the first entry at or after (key, seq) without standing on it; LOAM_NOTFOUND if
   all are before it. */
static loam_status find_position(struct table_iter *it, loam_slice key, uint64_t seq)
{
    const uint64_t count = iter_index(it)->page_count;
    for (uint64_t page = index_find(iter_index(it), key); page < count; page++) {
        prefetch_for_seek(it, page);
        const loam_status rc = enter_page(it, page);
        if (rc < 0) return rc;
        it->entry_index = seek_in_page(it, key, seq);
        if (it->entry_index < it->entry_count) return LOAM_OK;
    }
    return LOAM_NOTFOUND;
}

/* ---- the interface ---- */

static loam_status table_iter_first(struct iter *iter)
{
    return stand_first(as_table_iter(iter), 0);
}

static loam_status table_iter_last(struct iter *iter)
{
    struct table_iter *it = as_table_iter(iter);
    return stand_last_before(it, iter_index(it)->page_count);
}

static loam_status table_iter_next(struct iter *iter)
{
    struct table_iter *it = as_table_iter(iter);
    if (++it->entry_index < it->entry_count) {
        show(it);
        prefetch_ahead(it);
        return LOAM_OK;
    }
    return stand_first(it, it->page_index + 1);
}

static loam_status table_iter_prev(struct iter *iter)
{
    struct table_iter *it = as_table_iter(iter);
    if (it->entry_index > 0) {
        it->entry_index--;
        show(it);
        prefetch_ahead(it);
        return LOAM_OK;
    }
    return stand_last_before(it, it->page_index);
}

static loam_status table_iter_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct table_iter *it = as_table_iter(iter);
    const loam_status rc = find_position(it, key, seq);
    if (rc != LOAM_OK) return rc;
    look_ahead(it, it->page_index + 1);
    return stand(it);
}

static loam_status table_iter_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct table_iter *it = as_table_iter(iter);
    /* What is behind (key, seq) starts at (key, seq - 1), for versions descend; no version is 0. */
    const loam_status rc = find_position(it, key, seq > 0 ? seq - 1 : 0);
    if (rc < 0) return rc;
    return rc == LOAM_OK ? table_iter_prev(iter) : table_iter_last(iter);
}

static void table_iter_close(struct iter *iter)
{
    struct table_iter *it = as_table_iter(iter);
    if (it->hold.loaded != NULL) leave_page(it);
    table_release(&it->hold);
    table_unref(it->table);
    pages_free(it->run, it->run_room);
    page_space_deinit(&it->space);
    mem_free(it);
}

static const struct iter_ops table_iter_ops = {
    .first = table_iter_first,
    .last = table_iter_last,
    .seek = table_iter_seek,
    .seek_back = table_iter_seek_back,
    .next = table_iter_next,
    .prev = table_iter_prev,
    .close = table_iter_close,
};

loam_status table_iter_new(struct table *table, unsigned flags, struct iter **out)
{
    struct table_iter *it = mem_zalloc(sizeof *it);
    if (it == NULL) return LOAM_NOMEM;
    it->iter.ops = &table_iter_ops;
    it->iter.at = &it->entry;
    it->table = table;
    it->flags = flags;
    table_ref(table);
    loam_status rc = table_hold(table, &it->hold);
    if (rc < 0) {
        table_iter_close(&it->iter);
        return rc;
    }
    *out = &it->iter;
    return LOAM_OK;
}

void table_iter_count(struct iter *iter, struct tally *tally)
{
    as_table_iter(iter)->tally = tally;
}
