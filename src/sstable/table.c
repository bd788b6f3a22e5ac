/*
 * table.c - a table's life, and point reads; see table.h and table_inner.h.
 */
#include "sstable/table.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "sstable/frames.h"
#include "sstable/table_extent.h"
#include "sstable/table_inner.h"
#include "sstable/table_page.h"
#include "sstable/table_stream.h"

#include "base/poison.h"

enum { CACHE_LINE = 64 };

static bool trim_table(struct cache_client *client);

/* ---- life ---- */

loam_status table_new(const struct table_owner *owner, const struct table_meta *meta,
                      struct table **out)
{
    struct table *table = mem_zalloc(sizeof *table);
    if (table == NULL) return LOAM_NOMEM;
    const loam_status rc = table_meta_copy(meta, &table->meta);
    if (rc < 0) {
        mem_free(table);
        return rc;
    }
    table->client.trim = trim_table;
    table->owner = *owner;
    mutex_init(&table->lock);
    atomic_store_explicit(&table->ref_count, 1, memory_order_relaxed);
    *out = table;
    return LOAM_OK;
}

void table_ref(struct table *table)
{
    atomic_fetch_add_explicit(&table->ref_count, 1, memory_order_relaxed);
}

/* Frees what was loaded, but does not uncharge it. */
static void free_loaded(struct table *table, struct table_loaded *loaded)
{
    if (loaded == NULL) return;
    if (loaded->slots != NULL)
        page_slots_drop(table->owner.cache, loaded->slots, (uint32_t)table->meta.page_count);
    mem_free(loaded->slots);
    mem_free(loaded->memory);
    if (loaded->source.object != table->pinned) object_close(loaded->source.object);
    mem_free(loaded);
}

void table_unref(struct table *table)
{
    if (table == NULL) return;
    /* Releases this user's work, and the last one acquires everybody's. */
    if (atomic_fetch_sub_explicit(&table->ref_count, 1, memory_order_acq_rel) != 1) return;
    page_cache_leave(table->owner.cache, &table->client);
    struct table_loaded *loaded = atomic_load_explicit(&table->loaded, memory_order_acquire);
    const int64_t charged = loaded == NULL ? 0 : loaded->charged_bytes;
    free_loaded(table, loaded);
    page_cache_charge(table->owner.cache, -charged);
    if (atomic_load_explicit(&table->doomed, memory_order_relaxed) && table->owner.doomed != NULL)
        table->owner.doomed(table->owner.ctx, &table->meta);
    mutex_deinit(&table->lock);
    table_meta_deinit(&table->meta);
    mem_free(table);
}

void table_doom(struct table *table)
{
    atomic_store_explicit(&table->doomed, true, memory_order_relaxed);
}

uint64_t table_mark(struct table *table, uint64_t mark)
{
    return atomic_exchange(&table->mark, mark);
}

const struct table_meta *table_meta(const struct table *table)
{
    return &table->meta;
}

/* ---- loading ---- */

static loam_status read_place(const struct block_source *source, enum block_type type,
                              const struct footer_place *place, uint8_t *dst)
{
    struct stream_reader reader;
    object_will_need(source->object, source->base + place->at, place->stored_bytes);
    loam_status rc = stream_open(&reader, source, type, place->at, place->at + place->stored_bytes);
    if (rc == LOAM_OK) rc = stream_rest(&reader, dst, (size_t)place->raw_bytes);
    stream_close(&reader);
    return rc;
}

/* Index and filter, each from a cache line's begin on, in one piece of memory. */
static loam_status load_blocks(struct table_loaded *loaded, const struct table_meta *meta)
{
    const struct footer_place *index = &loaded->footer.index, *filter = &loaded->footer.filter;
    const size_t filter_at =
        ((size_t)index->raw_bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    loaded->memory = mem_alloc(filter_at + (size_t)filter->raw_bytes + CACHE_LINE);
    loaded->slots = NULL;
    if (loaded->memory == NULL) return LOAM_NOMEM;
    uint8_t *base = loaded->memory;
    base += (CACHE_LINE - (uintptr_t)base % CACHE_LINE) % CACHE_LINE;
    loam_status rc = read_place(&loaded->source, BLOCK_INDEX, index, base);
    if (rc == LOAM_OK) rc = read_place(&loaded->source, BLOCK_FILTER, filter, base + filter_at);
    if (rc < 0) return rc;
    const char *fault =
        index_open(&loaded->index, loam_bytes(base, (size_t)index->raw_bytes), index->at);
    if (fault != NULL) return block_fault(&loaded->source, index->at, fault);
    if (loaded->index.page_count != meta->page_count)
        return block_fault(&loaded->source, index->at, "the index has another number of pages");
    fault =
        table_filter_open(&loaded->filter, loam_bytes(base + filter_at, (size_t)filter->raw_bytes));
    if (fault != NULL) return block_fault(&loaded->source, filter->at, fault);
    loaded->slots = mem_zalloc((size_t)meta->page_count * sizeof(page_slot));
    loaded->charged_bytes = (int64_t)(filter_at + filter->raw_bytes +
                                      meta->page_count * sizeof(page_slot) + sizeof *loaded);
    return loaded->slots == NULL ? LOAM_NOMEM : LOAM_OK;
}

static loam_status open_table_object(const struct table *table, struct object **out)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, table->meta.object, name);
    const loam_status rc = object_open(table->owner.store, name, out);
    if (rc != LOAM_NOTFOUND) return rc;
    return failed(LOAM_CORRUPT,
                  "%s: byte 0: the object is missing: somebody removed it, or the manifest has "
                  "lost its end",
                  name);
}

loam_status table_pin(struct table *table, struct object **object)
{
    const loam_status rc = *object != NULL ? LOAM_OK : open_table_object(table, object);
    mutex_lock(&table->lock);
    if (rc == LOAM_OK) table->pinned = *object;
    mutex_unlock(&table->lock);
    return rc;
}

loam_status table_check_pinned(const struct table *table)
{
    struct table_footer footer;
    const struct block_source source = {.object = table->pinned,
                                        .base = table->meta.offset,
                                        .uid = table->meta.uid,
                                        .seq_shift = table->meta.seq_shift};
    const loam_status rc = table_footer_read(&source, &table->meta, &footer);
    if (rc != LOAM_CORRUPT) return rc;
    return failed(rc, "%s: is another file than before", object_name(table->pinned));
}

static loam_status load_table(struct table *table, struct table_loaded **out)
{
    struct table_loaded *loaded = mem_zalloc(sizeof *loaded);
    if (loaded == NULL) return LOAM_NOMEM;
    loaded->source.base = table->meta.offset;
    loaded->source.uid = table->meta.uid;
    loaded->source.seq_shift = table->meta.seq_shift;
    loaded->source.object = table->pinned;
    loam_status rc =
        table->pinned != NULL ? LOAM_OK : open_table_object(table, &loaded->source.object);
    if (rc < 0) {
        mem_free(loaded);
        return rc;
    }
    rc = table_footer_read(&loaded->source, &table->meta, &loaded->footer);
    if (rc == LOAM_OK) rc = load_blocks(loaded, &table->meta);
    if (rc < 0) {
        free_loaded(table, loaded);
        return rc;
    }
    *out = loaded;
    return LOAM_OK;
}

/* Makes sure that it is loaded while the caller is counted as a holder. */
static loam_status hold_loaded(struct table *table, struct table_loaded **out)
{
    loam_status rc = LOAM_OK;
    mutex_lock(&table->lock);
    struct table_loaded *loaded = atomic_load_explicit(&table->loaded, memory_order_acquire);
    const bool is_there = loaded != NULL;
    if (!is_there) rc = load_table(table, &loaded);
    if (rc == LOAM_OK) atomic_store_explicit(&table->loaded, loaded, memory_order_release);
    mutex_unlock(&table->lock);
    if (rc < 0) return rc;
    if (!is_there) {
        page_cache_join(table->owner.cache, &table->client);
        page_cache_charge(table->owner.cache, loaded->charged_bytes);
    }
    *out = loaded;
    return LOAM_OK;
}

loam_status table_hold(struct table *table, struct table_hold *hold)
{
    _Atomic uint32_t *holders = &table->stripes[thread_stripe() % TABLE_STRIPES].holders;
    atomic_fetch_add_explicit(holders, 1, memory_order_seq_cst);
    struct table_loaded *loaded = atomic_load_explicit(&table->loaded, memory_order_seq_cst);
    if (loaded == NULL) {
        const loam_status rc = hold_loaded(table, &loaded);
        if (rc < 0) {
            atomic_fetch_sub_explicit(holders, 1, memory_order_release);
            return rc;
        }
    }
    if (!atomic_load_explicit(&table->used, memory_order_relaxed))
        atomic_store_explicit(&table->used, true, memory_order_relaxed);
    *hold = (struct table_hold){loaded, holders};
    return LOAM_OK;
}

void table_release(struct table_hold *hold)
{
    if (hold->holders == NULL) return;
    atomic_fetch_sub_explicit(hold->holders, 1, memory_order_release);
    *hold = (struct table_hold){0};
}

static bool is_held(struct table *table)
{
    for (unsigned i = 0; i < TABLE_STRIPES; i++) {
        if (atomic_load_explicit(&table->stripes[i].holders, memory_order_seq_cst) != 0)
            return true;
    }
    return false;
}

static bool trim_table(struct cache_client *client)
{
    struct table *table = (struct table *)client;
    bool trimmed = false;
    if (atomic_exchange_explicit(&table->used, false, memory_order_relaxed)) return false;
    mutex_lock(&table->lock);
    /* Hidden first, counted second; table_hold() counts first and looks second. */
    struct table_loaded *loaded =
        atomic_exchange_explicit(&table->loaded, NULL, memory_order_seq_cst);
    check(loaded != NULL);
    if (is_held(table) || page_slots_pinned(loaded->slots, (uint32_t)table->meta.page_count)) {
        atomic_store_explicit(&table->loaded, loaded, memory_order_release);
    } else {
        page_cache_charge(table->owner.cache, -loaded->charged_bytes);
        free_loaded(table, loaded);
        trimmed = true;
    }
    mutex_unlock(&table->lock);
    return trimmed;
}

/* ---- pages ---- */

loam_status table_check_frame(const struct table_loaded *loaded, uint32_t page_index,
                              const uint8_t *frame, struct block_head *head)
{
    const uint64_t at = index_page_start(&loaded->index, page_index);
    const size_t frame_bytes = (size_t)(index_page_end(&loaded->index, page_index) - at);
    const loam_status rc =
        block_check(&loaded->source, BLOCK_PAGE, at, loam_bytes(frame, frame_bytes), head);
    if (rc < 0) return rc;
    if (head->stored_bytes != frame_bytes - BLOCK_HEADER_BYTES)
        return block_fault(&loaded->source, at, "a page is shorter than its place");
    if (head->raw_bytes > PAGE_BYTES_MAX)
        return block_fault(&loaded->source, at, "a page is too long");
    return LOAM_OK;
}

enum { SCRATCH_BYTES = 4096 + BLOCK_HEADER_BYTES + 2 * PAGE_SLACK_BYTES };

/* Memory for one function: the heap's only for pages larger than most. A miss has two of them on the reader's stack. */
struct scratch {
    uint8_t *bytes;
    uint8_t here[SCRATCH_BYTES];
};

static loam_status scratch_take(struct scratch *scratch, size_t bytes)
{
    scratch->bytes = bytes <= sizeof scratch->here ? scratch->here : mem_alloc(bytes);
    return scratch->bytes != NULL ? LOAM_OK : LOAM_NOMEM;
}

static void scratch_give(struct scratch *scratch)
{
    if (scratch->bytes != scratch->here) mem_free(scratch->bytes);
}

/* The bytes of a checked page as they were before packing, and how many it takes in memory. */
struct stored {
    const uint8_t *raw;
    size_t page_bytes;
};

/* unpacked: room for them, if they are packed. */
static loam_status stored_page(const struct table_loaded *loaded, uint64_t at,
                               const struct block_head *head, const uint8_t *frame,
                               uint8_t *unpacked, struct stored *stored)
{
    *stored = (struct stored){.raw = frame + BLOCK_HEADER_BYTES};
    if (head->codec != CODEC_RAW) {
        const loam_status rc = block_unpack(&loaded->source, at, head, frame, unpacked);
        if (rc < 0) return rc;
        stored->raw = unpacked;
    }
    const char *fault =
        page_measure(stored->raw, head->raw_bytes, head->format, &stored->page_bytes);
    return fault == NULL ? LOAM_OK : block_fault(&loaded->source, at, fault);
}

loam_status table_open_page(const struct table_loaded *loaded, uint32_t page_index,
                            const struct block_head *head, const uint8_t *frame,
                            struct page_space *space)
{
    const uint64_t at = index_page_start(&loaded->index, page_index);
    struct stored stored = {0};
    loam_status rc = LOAM_OK;
    if (head->codec != CODEC_RAW)
        rc = buf_reserve(&space->unpacked, head->raw_bytes + PAGE_SLACK_BYTES);
    if (rc == LOAM_OK) rc = stored_page(loaded, at, head, frame, space->unpacked.data, &stored);
    if (rc == LOAM_OK) rc = buf_reserve(&space->bytes, stored.page_bytes + PAGE_SLACK_BYTES);
    if (rc < 0) return rc;
    const char *fault = page_lay_out(space->bytes.data, stored.raw, head->raw_bytes, head->format,
                                     loaded->source.seq_shift, false);
    return fault == NULL ? LOAM_OK : block_fault(&loaded->source, at, fault);
}

void page_space_deinit(struct page_space *space)
{
    loam_buf_free(&space->unpacked);
    loam_buf_free(&space->bytes);
}

static loam_status read_frame(const struct table_loaded *loaded, uint32_t page_index,
                              uint8_t *frame, struct block_head *head)
{
    const uint64_t at = index_page_start(&loaded->index, page_index);
    const size_t frame_bytes = (size_t)(index_page_end(&loaded->index, page_index) - at);
    const loam_status rc =
        object_read(loaded->source.object, loaded->source.base + at, frame, frame_bytes);
    return rc < 0 ? rc : table_check_frame(loaded, page_index, frame, head);
}

/* The front of a page of many tiny entries does not fit; a count of no entries, which no page has, says so. */
static void fill_side(struct page_room *room)
{
    const size_t front_bytes = page_front_bytes(room->bytes);
    if (front_bytes <= room->side_bytes)
        memcpy(room->side, room->bytes, front_bytes);
    else
        put_u16(room->side, 0);
}

static const uint8_t *page_front(const struct page_pin *pin)
{
    return get_u16(pin->side) != 0 ? pin->side : pin->bytes;
}

_Static_assert(PAGE_BYTES_MAX + PAGE_SLACK_BYTES <= FRAME_UNIT_BYTES << FRAME_ORDER_LEAST,
               "a page of any length that is checked has room");

static loam_status lay_out_page(const struct table_loaded *loaded, uint32_t page_index,
                                const struct block_head *head, const uint8_t *frame,
                                struct page_room *room)
{
    const uint64_t at = index_page_start(&loaded->index, page_index);
    struct stored stored;
    struct scratch unpacked;
    const bool is_packed = head->codec != CODEC_RAW;
    loam_status rc = scratch_take(&unpacked, is_packed ? head->raw_bytes + PAGE_SLACK_BYTES : 0);
    if (rc == LOAM_OK) rc = stored_page(loaded, at, head, frame, unpacked.bytes, &stored);
    if (rc == LOAM_OK) rc = page_room_take(room, stored.page_bytes + PAGE_SLACK_BYTES);
    if (rc == LOAM_OK) {
        const char *fault = page_lay_out(room->bytes, stored.raw, head->raw_bytes, head->format,
                                         loaded->source.seq_shift, true);
        if (fault != NULL) rc = block_fault(&loaded->source, at, fault);
    }
    scratch_give(&unpacked);
    return rc;
}

loam_status table_load_page(void *ctx, uint32_t page_index, struct page_room *room)
{
    const struct table_loaded *loaded = ctx;
    const uint64_t at = index_page_start(&loaded->index, page_index);
    const size_t frame_bytes = (size_t)(index_page_end(&loaded->index, page_index) - at);
    struct block_head head = {0};
    struct scratch frame;
    loam_status rc = scratch_take(&frame, frame_bytes + PAGE_SLACK_BYTES);
    if (rc == LOAM_OK) rc = read_frame(loaded, page_index, frame.bytes, &head);
    if (rc == LOAM_OK) rc = lay_out_page(loaded, page_index, &head, frame.bytes, room);
    if (rc == LOAM_OK) fill_side(room);
    scratch_give(&frame);
    return rc;
}

/* ---- point reads ---- */

void table_hit_release(struct table_hit *hit)
{
    page_unpin(&hit->pin);
    mem_free(hit->owned);
    memset(hit, 0, sizeof *hit);
}

static loam_status get_from_extent(const struct table_loaded *loaded, uint64_t page, loam_slice key,
                                   uint64_t seq, struct table_hit *hit)
{
    struct extent extent;
    loam_status rc = extent_read_key(&loaded->source, index_page_start(&loaded->index, page),
                                     index_page_end(&loaded->index, page), &extent);
    if (rc < 0) return rc;
    rc = LOAM_NOTFOUND;
    if (extent.entry.seq <= seq && bytes_equal(extent.entry.key, key))
        rc = extent_read_value(&loaded->source, &extent);
    if (rc == LOAM_OK) {
        hit->entry = extent.entry;
        hit->owned = extent.bytes;
        extent.bytes = NULL; /* now the hit's */
    }
    extent_clear(&extent);
    return rc;
}

struct table_wanted {
    loam_slice key;
    uint64_t hash, seq;
};

/* Asks for what a get will read of a page that is in memory: its front, or what a locator says. False: it is not. To be asked before the
   pin, whose atomic operation waits for all misses before it, the filter's among them. */
static bool expect_page(struct table *table, struct table_loaded *loaded, const struct located *at)
{
    const uint8_t *side;
    const uint8_t *bytes = page_peek(table->owner.cache, loaded->slots, at->page, &side);
    if (bytes == NULL) return false;
    page_prefetch(side, at->offset == 0 ? PAGE_FRONT_BYTES : PAGE_HEADER_BYTES);
    if (at->offset != 0) page_prefetch(bytes + at->offset, ENTRY_AHEAD_BYTES);
    return true;
}

/* *is_cached: the page was in memory. */
WATCHED loam_status get_from_page(struct table *table, struct table_loaded *loaded, uint32_t page,
                                  const struct table_wanted *wanted, bool *is_cached,
                                  struct table_hit *hit)
{
    if (index_is_extent(&loaded->index, page))
        return get_from_extent(loaded, page, wanted->key, wanted->seq, hit);
    *is_cached = expect_page(table, loaded, &(struct located){page, 0});
    const loam_status rc =
        page_pin(table->owner.cache, loaded->slots, page, table_load_page, loaded, &hit->pin);
    if (rc < 0) return rc;
    if (page_find(hit->pin.bytes, page_front(&hit->pin), wanted->key, wanted->hash, wanted->seq,
                  &hit->entry))
        return LOAM_OK;
    page_unpin(&hit->pin);
    return LOAM_NOTFOUND;
}

static void tell_filter(struct watch *watch, const struct table_filter *filter, uint64_t hash)
{
    const enum watch_filter said = table_filter_denies(filter, hash) ? FILTER_DENIES
                                   : table_filter_is_absent(filter)  ? FILTER_NONE
                                                                     : FILTER_PASSES;
    watch->tell(watch, &(struct watch_step){.kind = WATCH_FILTER, .filter = said});
}

static void tell_page(struct watch *watch, const struct table_index *index, uint64_t page,
                      bool is_cached, const struct entry *found)
{
    watch->tell(watch, &(struct watch_step){.kind = WATCH_PAGE,
                                            .number = page,
                                            .bytes = index_page_end(index, page) -
                                                     index_page_start(index, page),
                                            .is_cached = is_cached,
                                            .is_extent = index_is_extent(index, page),
                                            .found = found});
}

WATCHED loam_status search_pages(struct table *table, struct table_loaded *loaded,
                                 const struct table_wanted *wanted, struct watch *watch,
                                 struct table_hit *hit)
{
    loam_status rc = LOAM_NOTFOUND;
    for (uint64_t page = index_find(&loaded->index, wanted->key); page < loaded->index.page_count;
         page++) {
        bool is_cached = false;
        rc = get_from_page(table, loaded, (uint32_t)page, wanted, &is_cached, hit);
        if (watch != NULL)
            tell_page(watch, &loaded->index, page, is_cached, rc == LOAM_OK ? &hit->entry : NULL);
        if (rc != LOAM_NOTFOUND) break;
        /* Older versions may stand in the next page, but only of a key that ends this one. */
        if (!index_separator_is(&loaded->index, page, wanted->key)) break;
    }
    return rc;
}

enum located_there { THERE_IT_IS, THERE_IS_ANOTHER, THERE_IS_NO_TELLING };

/* Is it there that the key begins, and in the wanted version? An older one, an entry that is larger than a page, a page that cannot be
   read, a place that is none: what is more than a look is the search's. */
WATCHED enum located_there look_there(struct table *table, struct table_loaded *loaded,
                                      const struct located *at, const struct table_wanted *wanted,
                                      struct watch *watch, struct table_hit *hit)
{
    enum located_there there = THERE_IS_NO_TELLING;
    if (at->page >= loaded->index.page_count || index_is_extent(&loaded->index, at->page))
        return there;
    const bool is_cached = expect_page(table, loaded, at);
    if (page_pin(table->owner.cache, loaded->slots, at->page, table_load_page, loaded, &hit->pin) <
        0)
        return there;
    if (page_entry_located(hit->pin.bytes, page_front(&hit->pin), at->offset, &hit->entry)) {
        if (!bytes_equal(hit->entry.key, wanted->key))
            there = THERE_IS_ANOTHER;
        else if (hit->entry.seq <= wanted->seq)
            there = THERE_IT_IS;
    }
    if (watch != NULL && there != THERE_IS_NO_TELLING)
        tell_page(watch, &loaded->index, at->page, is_cached,
                  there == THERE_IT_IS ? &hit->entry : NULL);
    if (there != THERE_IT_IS) page_unpin(&hit->pin);
    return there;
}

WATCHED loam_status get_by_locator(struct table *table, struct table_loaded *loaded,
                                   const struct table_wanted *wanted, struct watch *watch,
                                   struct table_hit *hit)
{
    const struct table_locator *locator = &loaded->filter.locator;
    struct locator_walk walk = locator_begin(locator, wanted->hash);
    struct located at;
    while (locator_next(locator, wanted->hash, &walk, &at)) {
        const enum located_there there = look_there(table, loaded, &at, wanted, watch, hit);
        if (there == THERE_IT_IS) return LOAM_OK;
        if (there == THERE_IS_NO_TELLING) return search_pages(table, loaded, wanted, watch, hit);
    }
    return LOAM_NOTFOUND;
}

WATCHED loam_status get_from_table(struct table *table, loam_slice key, uint64_t hash, uint64_t seq,
                                   struct watch *watch, struct table_hit *hit)
{
    const struct table_wanted wanted = {key, hash, seq};
    struct table_hold hold;
    loam_status rc = table_hold(table, &hold);
    if (rc < 0) return rc;
    struct table_loaded *loaded = hold.loaded;
    memset(hit, 0, sizeof *hit);
    rc = LOAM_NOTFOUND;
    if (watch != NULL) tell_filter(watch, &loaded->filter, hash);
    if (table_filter_locates(&loaded->filter))
        rc = get_by_locator(table, loaded, &wanted, watch, hit);
    else if (!table_filter_denies(&loaded->filter, hash))
        rc = search_pages(table, loaded, &wanted, watch, hit);
    table_release(&hold);
    if (rc < 0) memset(hit, 0, sizeof *hit);
    return rc;
}

loam_status table_get(struct table *table, loam_slice key, uint64_t hash, uint64_t seq,
                      struct table_hit *hit)
{
    return get_from_table(table, key, hash, seq, NULL, hit);
}

loam_status table_get_watched(struct table *table, loam_slice key, uint64_t hash, uint64_t seq,
                              struct watch *watch, struct table_hit *hit)
{
    return get_from_table(table, key, hash, seq, watch, hit);
}

static void look_ahead_at_page(struct table *table, struct table_loaded *loaded, loam_slice key,
                               uint64_t hash)
{
    const struct table_index *index = &loaded->index;
    const struct table_locator *locator = &loaded->filter.locator;
    uint64_t page = index->page_count;
    struct located at = {0};
    if (table_filter_locates(&loaded->filter)) {
        struct locator_walk walk = locator_begin(locator, hash);
        if (locator_next(locator, hash, &walk, &at)) page = at.page;
    } else if (!table_filter_denies(&loaded->filter, hash)) {
        page = index_find(index, key);
        at.page = (uint32_t)page;
    }
    if (page >= index->page_count || expect_page(table, loaded, &at)) return;
    const uint64_t start = index_page_start(index, page);
    object_will_need(loaded->source.object, loaded->source.base + start,
                     index_page_end(index, page) - start);
}

void table_look_ahead(struct table *table, loam_slice key, uint64_t hash, enum table_ahead what)
{
    struct table_hold hold;
    if (table_hold(table, &hold) < 0) return;
    if (what == TABLE_AHEAD_FILTER)
        table_filter_prefetch(&hold.loaded->filter, hash);
    else
        look_ahead_at_page(table, hold.loaded, key, hash);
    table_release(&hold);
}

/* ---- estimates ---- */

/* Where the key would stand among the stored pages; in the middle of its page. */
static uint64_t stored_before(const struct table_index *index, loam_slice key)
{
    const uint64_t page = index_find(index, key);
    if (page == index->page_count) return index_page_end(index, page - 1);
    const uint64_t start = index_page_start(index, page);
    return start + (index_page_end(index, page) - start) / 2;
}

loam_status table_estimate(struct table *table, loam_slice from, loam_slice to, uint64_t *bytes)
{
    struct table_hold hold;
    const loam_status rc = table_hold(table, &hold);
    if (rc < 0) return rc;
    const struct table_meta *meta = &table->meta;
    const struct table_index *index = &hold.loaded->index;
    const uint64_t stored = index_page_end(index, index->page_count - 1);
    const bool is_open = to.len == 0;
    /* Keys that bound the whole are worth their page, not half of it. */
    uint64_t low = 0, high = stored;
    if (bytes_compare(from, meta->smallest) > 0) low = stored_before(index, from);
    if (!is_open && bytes_compare(to, meta->largest) <= 0) high = stored_before(index, to);
    const double share = high > low ? (double)(high - low) / (double)stored : 0;
    *bytes = (uint64_t)(share * (double)meta->payload_bytes);
    table_release(&hold);
    return LOAM_OK;
}
