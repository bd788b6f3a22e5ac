/*
 * run.c - one sorted run of clipped tables: building, checking, finding, walking it; see version.h.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "tree/version.h"

#include "base/poison.h"

/* ---- references ------------------------------------------------------------------------------ */

loam_slice table_ref_smallest(const struct table_ref *ref)
{
    const loam_slice smallest = table_meta(ref->table)->smallest;
    return bytes_compare(ref->from, smallest) > 0 ? ref->from : smallest;
}

static bool lies_above(const struct table_ref *ref, loam_slice key)
{
    return bytes_compare(key, table_ref_smallest(ref)) < 0;
}

/* The whole reference lies below the key. */
static bool lies_below(const struct table_ref *ref, loam_slice key)
{
    if (ref->to.len > 0 && bytes_compare(ref->to, key) <= 0) return true;
    return bytes_compare(table_meta(ref->table)->largest, key) < 0;
}

bool table_ref_before(const struct table_ref *a, const struct table_ref *b)
{
    return lies_below(a, table_ref_smallest(b));
}

bool table_ref_is_hidden(const struct table_ref *ref, const struct cover_source *source)
{
    const struct table_meta *meta = table_meta(ref->table);
    loam_slice key = table_ref_smallest(ref);
    for (;;) {
        const struct cover cover = source->ask(source->ctx, key);
        if (cover.seq <= meta->seq_max) return false;
        if (cover.high.len == 0 || lies_below(ref, cover.high)) return true;
        key = cover.high;
    }
}

/* What part of the table's keys lies from `from` on and before `to` (empty: no bound), judged by the keys' heads alone: no page is
   read for it. */
static double share_between(const struct table_meta *meta, loam_slice from, loam_slice to)
{
    const bool is_begun = bytes_compare(from, meta->smallest) > 0;
    const bool is_cut = to.len > 0 && bytes_compare(to, meta->largest) <= 0;
    if (!is_begun && !is_cut) return 1;
    const size_t skip = bytes_common(meta->smallest, meta->largest);
    const uint64_t low = bytes_head(meta->smallest, skip);
    const uint64_t high = bytes_head(meta->largest, skip);
    const uint64_t begin = is_begun ? bytes_head(from, skip) : low;
    const uint64_t end = is_cut ? bytes_head(to, skip) : high;
    if (high <= low || end <= begin) return 0.001;
    return (double)(end - begin) / (double)(high - low);
}

static uint64_t share_of(uint64_t whole, double share)
{
    if (share >= 1) return whole;
    const uint64_t part = (uint64_t)((double)whole * share);
    return part > 0 || whole == 0 ? part : 1;
}

struct hidden version_hidden_in(const struct version *version, const struct table_ref *ref,
                                uint64_t oldest_seq)
{
    const struct table_meta *meta = table_meta(ref->table);
    struct hidden hidden = {0};
    double share = 0;
    loam_slice key = table_ref_smallest(ref);
    if (!version_is_unswept(version, ref, oldest_seq)) return hidden;
    for (bool goes_on = true; goes_on;) {
        struct cover cover = cover_nothing();
        range_set_meet(version->ranges, &cover, key, oldest_seq);
        goes_on = cover.high.len > 0 && !lies_below(ref, cover.high);
        if (cover.seq > meta->seq_min && cover.seq > meta->swept_seq) hidden.pieces++;
        if (cover.seq > meta->seq_max)
            share += share_between(meta, key, goes_on ? cover.high : ref->to);
        key = cover.high;
    }
    hidden.entry_count = (uint64_t)(share * (double)meta->entry_count);
    return hidden;
}

/* ---- building -------------------------------------------------------------------------------- */

static loam_status copy_bound(loam_slice from, loam_slice *to)
{
    *to = (loam_slice){0};
    if (from.len == 0) return LOAM_OK;
    void *copy = mem_copy(from.data, from.len);
    if (copy == NULL) return LOAM_NOMEM;
    *to = loam_bytes(copy, from.len);
    return LOAM_OK;
}

static void free_bound(loam_slice bound)
{
    void *bytes;
    memcpy(&bytes, &bound.data, sizeof bytes); /* ours, and const only to readers */
    mem_free(bytes);
}

static void count_table(struct run *run, struct table_ref *ref)
{
    const struct table_meta *meta = table_meta(ref->table);
    const double share = share_between(meta, ref->from, ref->to);
    ref->bytes = share_of(meta->bytes, share);
    run->bytes += ref->bytes;
    run->entry_count += share_of(meta->entry_count, share);
    run->tombstone_count += share_of(meta->tombstone_count, share);
    run->expiring_count += meta->expiring_count;
    if (meta->seq_min < run->seq_min) run->seq_min = meta->seq_min;
    if (meta->seq_max > run->seq_max) run->seq_max = meta->seq_max;
}

struct run *run_new(uint64_t number, const struct table_ref *refs, uint32_t count)
{
    check(count > 0);
    struct run *run = mem_zalloc(sizeof *run + (size_t)count * sizeof run->tables[0]);
    if (run == NULL) return NULL;
    atomic_init(&run->refs, 1);
    run->number = number;
    run->seq_min = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct table_ref *ref = &run->tables[i];
        ref->table = refs[i].table;
        table_ref(ref->table);
        run->table_count = i + 1; /* so far, for run_unref() */
        if (copy_bound(refs[i].from, &ref->from) < 0 || copy_bound(refs[i].to, &ref->to) < 0) {
            run_unref(run);
            return NULL;
        }
        count_table(run, ref);
    }
    return run;
}

void run_ref(struct run *run)
{
    atomic_fetch_add_explicit(&run->refs, 1, memory_order_relaxed);
}

void run_unref(struct run *run)
{
    if (run == NULL) return;
    /* Releases this user's reads, and the last one acquires everybody's. */
    if (atomic_fetch_sub_explicit(&run->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < run->table_count; i++) {
        free_bound(run->tables[i].from);
        free_bound(run->tables[i].to);
        table_unref(run->tables[i].table);
    }
    mem_free(run);
}

loam_status run_check(const struct run *run)
{
    for (uint32_t i = 0; i < run->table_count; i++) {
        const struct table_ref *ref = &run->tables[i];
        const uint64_t uid = table_meta(ref->table)->uid;
        if (lies_below(ref, table_ref_smallest(ref)))
            return failed(LOAM_CORRUPT, "run %" PRIu64 ": table %016" PRIx64 " shows nothing",
                          run->number, uid);
        if (i > 0 && !table_ref_before(&run->tables[i - 1], ref))
            return failed(LOAM_CORRUPT,
                          "run %" PRIu64 ": table %016" PRIx64 " overlaps the one before",
                          run->number, uid);
    }
    return LOAM_OK;
}

/* ---- finding --------------------------------------------------------------------------------- */

uint32_t run_find(const struct run *run, loam_slice key)
{
    uint32_t first = 0, count = run->table_count;
    while (count > 0) {
        const uint32_t half = count / 2;
        if (lies_below(&run->tables[first + half], key)) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

struct table *run_table_for(const struct run *run, loam_slice key)
{
    const uint32_t at = run_find(run, key);
    return at == run->table_count || lies_above(&run->tables[at], key) ? NULL
                                                                       : run->tables[at].table;
}

/* The last table that shows keys at or before key, if any are: table_count when there is none. */
static uint32_t find_last_at(const struct run *run, loam_slice key)
{
    uint32_t first = 0, count = run->table_count;
    while (count > 0) {
        const uint32_t half = count / 2;
        if (!lies_above(&run->tables[first + half], key)) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first > 0 ? first - 1 : run->table_count;
}

bool run_overlaps(const struct run *run, const struct table_ref *ref)
{
    const uint32_t at = run_find(run, table_ref_smallest(ref));
    return at < run->table_count && !table_ref_before(ref, &run->tables[at]);
}

/* ---- what is new ---- */

/* In what one reference shows. */
static loam_status newer_in_ref(const struct table_ref *ref, loam_slice from, const loam_slice *to,
                                uint64_t since)
{
    struct iter *iter = NULL;
    loam_status rc = table_iter_new(ref->table, TABLE_ITER_KEYS_ONLY, &iter);
    if (rc < 0) return rc;
    rc = iter->ops->seek(iter, bytes_compare(from, ref->from) > 0 ? from : ref->from, SEQ_MAX);
    while (rc == LOAM_OK) {
        const loam_slice key = iter->at->key;
        if (to != NULL && bytes_compare(key, *to) > 0) break;
        if (ref->to.len > 0 && bytes_compare(key, ref->to) >= 0) break;
        rc = iter->at->seq > since ? LOAM_CONFLICT : iter->ops->next(iter);
    }
    iter_close(iter);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

loam_status run_newer_in(const struct run *run, loam_slice from, const loam_slice *to,
                         uint64_t since)
{
    loam_status rc = LOAM_OK;
    if (run->seq_max <= since) return LOAM_OK;
    for (uint32_t i = run_find(run, from); rc == LOAM_OK && i < run->table_count; i++) {
        const struct table_ref *ref = &run->tables[i];
        if (to != NULL && lies_above(ref, *to)) break;
        if (table_meta(ref->table)->seq_max > since) rc = newer_in_ref(ref, from, to, since);
    }
    return rc;
}

/* ---- estimating ---- */

loam_status run_estimate(const struct run *run, loam_slice from, loam_slice to, uint64_t covered,
                         struct amount *sum)
{
    for (uint32_t i = run_find(run, from); i < run->table_count; i++) {
        const struct table_ref *ref = &run->tables[i];
        const struct table_meta *meta = table_meta(ref->table);
        const bool ends_first = ref->to.len > 0 && (to.len == 0 || bytes_compare(ref->to, to) < 0);
        uint64_t bytes;
        if (to.len > 0 && bytes_compare(to, table_ref_smallest(ref)) <= 0) break;
        if (meta->seq_max <= covered) continue;
        const loam_status rc =
            table_estimate(ref->table, bytes_compare(ref->from, from) > 0 ? ref->from : from,
                           ends_first ? ref->to : to, &bytes);
        if (rc < 0) return rc;
        sum->bytes += bytes;
        if (meta->payload_bytes > 0)
            sum->entry_count +=
                (uint64_t)((double)bytes / (double)meta->payload_bytes * (double)meta->entry_count);
    }
    return LOAM_OK;
}

/* ---- walking --------------------------------------------------------------------------------- */

struct run_iter {
    struct iter iter;
    struct run *run; /* referenced */
    unsigned flags;
    const struct cover_source *source; /* may be NULL */
    uint32_t index;                    /* of the table that is open */
    bool is_clipped;                   /* that one */
    struct iter *table;                /* NULL: none is */
    struct tally *tally;               /* NULL: nobody asks */
};

static struct run_iter *run_iter_of(struct iter *iter)
{
    return (struct run_iter *)iter;
}

static uint64_t newest_of_table(const void *table)
{
    return table_meta(table)->seq_max;
}

/* LOAM_NOTFOUND: it is hidden as a whole. */
static loam_status open_table_at(struct run_iter *it, uint32_t index)
{
    const struct table_ref *ref = &it->run->tables[index];
    struct table *table = ref->table;
    struct tally *tally = it->tally;
    if (it->table != NULL && it->index == index) return LOAM_OK;
    if (it->source != NULL && table_ref_is_hidden(ref, it->source)) {
        if (tally != NULL) tally->tables_hidden++;
        return LOAM_NOTFOUND;
    }
    struct iter *opened = NULL;
    loam_status rc = table_iter_new(table, it->flags, &opened);
    if (rc == LOAM_OK && tally != NULL) {
        tally->tables_opened++;
        table_iter_count(opened, tally);
    }
    if (rc == LOAM_OK && it->source != NULL)
        rc = cover_iter_new(opened, it->source, newest_of_table, table, &opened);
    if (rc < 0) return rc;
    iter_close(it->table);
    it->table = opened;
    it->index = index;
    it->is_clipped = ref->from.len > 0 || ref->to.len > 0;
    return LOAM_OK;
}

static bool is_in_clip(const struct table_ref *ref, loam_slice key)
{
    if (ref->from.len > 0 && bytes_compare(key, ref->from) < 0) return false;
    return ref->to.len == 0 || bytes_compare(key, ref->to) < 0;
}

/* Takes over where the open table stands, if its clip shows that. */
static inline loam_status show_clipped(struct run_iter *it, loam_status rc)
{
    if (rc != LOAM_OK) return rc;
    if (it->is_clipped && !is_in_clip(&it->run->tables[it->index], it->table->at->key))
        return LOAM_NOTFOUND;
    it->iter.at = it->table->at;
    /* Behind a clip's edge lies another table, and to open that one unpins this one's page. */
    it->iter.keeps = it->table->keeps && !it->is_clipped;
    return LOAM_OK;
}

static loam_status first_in_table(struct run_iter *it)
{
    const loam_slice from = it->run->tables[it->index].from;
    const struct iter_ops *ops = it->table->ops;
    return show_clipped(it,
                        from.len > 0 ? ops->seek(it->table, from, SEQ_MAX) : ops->first(it->table));
}

static loam_status last_in_table(struct run_iter *it)
{
    const loam_slice to = it->run->tables[it->index].to;
    const struct iter_ops *ops = it->table->ops;
    return show_clipped(it,
                        to.len > 0 ? ops->seek_back(it->table, to, SEQ_MAX) : ops->last(it->table));
}

/* The first entry of the tables from index on. A clip may show none of its table's entries, though
   its bounds allow some. */
static loam_status first_from(struct run_iter *it, uint32_t index)
{
    loam_status rc = LOAM_NOTFOUND;
    for (; rc == LOAM_NOTFOUND && index < it->run->table_count; index++) {
        rc = open_table_at(it, index);
        if (rc == LOAM_OK) rc = first_in_table(it);
    }
    return rc;
}

/* The last entry of the first count tables. */
static loam_status last_of(struct run_iter *it, uint32_t count)
{
    loam_status rc = LOAM_NOTFOUND;
    while (rc == LOAM_NOTFOUND && count > 0) {
        rc = open_table_at(it, --count);
        if (rc == LOAM_OK) rc = last_in_table(it);
    }
    return rc;
}

static loam_status run_iter_first(struct iter *iter)
{
    return first_from(run_iter_of(iter), 0);
}

static loam_status run_iter_last(struct iter *iter)
{
    struct run_iter *it = run_iter_of(iter);
    return last_of(it, it->run->table_count);
}

static loam_status run_iter_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct run_iter *it = run_iter_of(iter);
    const uint32_t index = run_find(it->run, key);
    if (index == it->run->table_count) return LOAM_NOTFOUND;
    loam_status rc = open_table_at(it, index);
    if (rc == LOAM_OK && bytes_compare(key, it->run->tables[index].from) < 0)
        rc = first_in_table(it);
    else if (rc == LOAM_OK)
        rc = show_clipped(it, it->table->ops->seek(it->table, key, seq));
    return rc == LOAM_NOTFOUND ? first_from(it, index + 1) : rc;
}

static loam_status run_iter_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct run_iter *it = run_iter_of(iter);
    const uint32_t index = find_last_at(it->run, key);
    if (index == it->run->table_count) return LOAM_NOTFOUND;
    loam_status rc = open_table_at(it, index);
    const loam_slice to = it->run->tables[index].to;
    if (rc == LOAM_OK && to.len > 0 && bytes_compare(key, to) >= 0)
        rc = last_in_table(it);
    else if (rc == LOAM_OK)
        rc = show_clipped(it, it->table->ops->seek_back(it->table, key, seq));
    return rc == LOAM_NOTFOUND ? last_of(it, index) : rc;
}

static loam_status run_iter_next(struct iter *iter)
{
    struct run_iter *it = run_iter_of(iter);
    const loam_status rc = show_clipped(it, it->table->ops->next(it->table));
    return rc == LOAM_NOTFOUND ? first_from(it, it->index + 1) : rc;
}

static loam_status run_iter_prev(struct iter *iter)
{
    struct run_iter *it = run_iter_of(iter);
    const loam_status rc = show_clipped(it, it->table->ops->prev(it->table));
    return rc == LOAM_NOTFOUND ? last_of(it, it->index) : rc;
}

static void run_iter_close(struct iter *iter)
{
    struct run_iter *it = run_iter_of(iter);
    iter_close(it->table);
    run_unref(it->run);
    mem_free(it);
}

loam_status run_iter_new(struct run *run, unsigned flags, const struct cover_source *source,
                         struct iter **out)
{
    static const struct iter_ops ops = {
        .first = run_iter_first,
        .last = run_iter_last,
        .seek = run_iter_seek,
        .seek_back = run_iter_seek_back,
        .next = run_iter_next,
        .prev = run_iter_prev,
        .close = run_iter_close,
    };
    struct run_iter *it = mem_zalloc(sizeof *it);
    if (it == NULL) return LOAM_NOMEM;
    it->iter.ops = &ops;
    it->run = run;
    it->flags = flags;
    it->source = source;
    run_ref(run);
    *out = &it->iter;
    return LOAM_OK;
}

void run_iter_count(struct iter *iter, struct tally *tally)
{
    run_iter_of(iter)->tally = tally;
}
