/*
 * range_set.c - ranges of keys that were deleted; see range_set.h.
 *
 * Building is a sweep over the ends of all ranges: between two neighbouring ends, the same ranges hold every key.
 */
#include "record/range_set.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

/* ---- covers ---------------------------------------------------------------------------------- */

static void raise_low(struct cover *cover, loam_slice key)
{
    if (bytes_compare(key, cover->low) > 0) cover->low = key;
}

static void lessen_high(struct cover *cover, loam_slice key)
{
    if (cover->high.len == 0 || bytes_compare(key, cover->high) < 0) cover->high = key;
}

void cover_meet_range(struct cover *cover, const struct range *range, loam_slice key, uint64_t seq)
{
    if (range->seq > seq) return;
    if (bytes_compare(key, range->from) < 0) {
        lessen_high(cover, range->from);
        return;
    }
    if (range->to.len > 0 && bytes_compare(key, range->to) >= 0) {
        raise_low(cover, range->to);
        return;
    }
    raise_low(cover, range->from);
    if (range->to.len > 0) lessen_high(cover, range->to);
    if (range->seq > cover->seq) cover->seq = range->seq;
}

/* ---- life ------------------------------------------------------------------------------------ */

void range_set_ref(struct range_set *set)
{
    if (set != NULL) atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
}

void range_set_unref(struct range_set *set)
{
    if (set == NULL) return;
    /* Releases this user's reads, and the last one acquires everybody's. */
    if (atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) == 1) mem_free(set);
}

/* Marks in the making; keys are borrowed. */
struct marks {
    loam_buf marks, seqs; /* struct range_mark without seqs; uint64_t */
    size_t key_bytes;
};

static void free_marks(struct marks *marks)
{
    loam_buf_free(&marks->marks);
    loam_buf_free(&marks->seqs);
}

static size_t mark_count(const struct marks *marks)
{
    return marks->marks.len / sizeof(struct range_mark);
}

static const uint64_t *seqs_end(const struct marks *marks)
{
    const uint64_t *seqs = marks->seqs.data;
    return seqs == NULL ? NULL : seqs + marks->seqs.len / sizeof(uint64_t);
}

/* A mark, unless it says what the one before it does. */
static loam_status add_mark(struct marks *marks, loam_slice key, const uint64_t *seqs,
                            uint32_t count)
{
    const size_t known = mark_count(marks);
    const struct range_mark *last =
        known == 0 ? NULL : (const struct range_mark *)marks->marks.data + known - 1;
    const uint32_t last_count = last == NULL ? 0 : last->seq_count;
    if (count == last_count &&
        (count == 0 || memcmp(seqs_end(marks) - count, seqs, count * sizeof *seqs) == 0))
        return LOAM_OK;
    const struct range_mark mark = {.key = key, .seq_count = count};
    loam_status rc = buf_append(&marks->marks, &mark, sizeof mark);
    if (rc == LOAM_OK) rc = buf_append(&marks->seqs, seqs, count * sizeof *seqs);
    marks->key_bytes += key.len;
    return rc;
}

/* All in one block: the marks, their sequence numbers, and, if they are copied, their keys. */
static loam_status make_set(const struct marks *marks, bool copies, struct range_set **out)
{
    const size_t count = mark_count(marks);
    *out = NULL;
    if (count == 0) return LOAM_OK;
    if (count > UINT32_MAX) return failed(LOAM_TOOBIG, "more than 2^32 ranges");
    const size_t bytes = sizeof(struct range_set) + marks->marks.len + marks->seqs.len +
                         (copies ? marks->key_bytes : 0);
    struct range_set *set = mem_zalloc(bytes);
    if (set == NULL) return LOAM_NOMEM;
    set->bytes = bytes;
    set->weight = count + marks->seqs.len / sizeof(uint64_t);
    uint64_t *seqs = (uint64_t *)(void *)(set->marks + count);
    if (marks->seqs.len > 0) memcpy(seqs, marks->seqs.data, marks->seqs.len);
    uint8_t *keys = (uint8_t *)seqs + marks->seqs.len;
    atomic_init(&set->refs, 1);
    set->mark_count = (uint32_t)count;
    const struct range_mark *from = marks->marks.data;
    for (size_t i = 0; i < count; i++) {
        loam_slice key = from[i].key;
        if (copies && key.len > 0) {
            memcpy(keys, key.data, key.len);
            key.data = keys;
            keys += key.len;
        }
        set->marks[i] = (struct range_mark){key, seqs, from[i].seq_count};
        if (from[i].seq_count > 0 && seqs[0] > set->seq_max) set->seq_max = seqs[0];
        seqs += from[i].seq_count;
    }
    *out = set;
    return LOAM_OK;
}

/* ---- building -------------------------------------------------------------------------------- */

/* Numbers 0 .. of the ranges by age, the newest first; which are in, and quickly the next one that is. Words of 64 bits, over them
   words that say which of those are not empty, and so on. */
enum { RANK_LEVELS = 6 };

struct ranks {
    uint64_t *levels[RANK_LEVELS];
    size_t count;
};

static loam_status ranks_init(struct ranks *ranks, size_t count)
{
    size_t bits = ranks->count = count;
    for (int i = 0; i < RANK_LEVELS; i++) {
        const size_t words = bits / 64 + 1;
        ranks->levels[i] = mem_zalloc(words * sizeof(uint64_t));
        if (ranks->levels[i] == NULL) return LOAM_NOMEM;
        bits = words;
    }
    return LOAM_OK;
}

static void ranks_deinit(struct ranks *ranks)
{
    for (int i = 0; i < RANK_LEVELS; i++)
        mem_free(ranks->levels[i]);
}

static void ranks_put(struct ranks *ranks, size_t rank, bool is_in)
{
    for (int i = 0; i < RANK_LEVELS; i++, rank /= 64) {
        uint64_t *word = &ranks->levels[i][rank / 64];
        const uint64_t bit = UINT64_C(1) << rank % 64;
        *word = is_in ? *word | bit : *word & ~bit;
        if (!is_in && *word != 0) return;
    }
}

/* The first that is in from `rank` on; count: none is. */
static size_t ranks_next(const struct ranks *ranks, size_t rank)
{
    int level = 0;
    while (rank / 64 <= ranks->count >> 6 * level >> 6) {
        const uint64_t rest = ranks->levels[level][rank / 64] >> rank % 64;
        if (rest != 0) {
            rank += (size_t)__builtin_ctzll(rest);
            while (level-- > 0)
                rank = rank * 64 + (size_t)__builtin_ctzll(ranks->levels[level][rank]);
            return rank;
        }
        if (++level == RANK_LEVELS) break;
        rank = rank / 64 + 1;
    }
    return ranks->count;
}

struct sweep {
    const struct range **by_from, **by_to,
        **by_age; /* by_to: of those that end; by_age: the newest first */
    size_t count, ending_count;
    loam_slice *ends;
    size_t end_count;
    struct ranks in; /* of those that hold the keys at hand, by their places in by_age */
    uint64_t *seqs;  /* of those, as the mark will have them */
    const uint64_t *bounds;
    size_t bound_count;
    bool takes_all; /* also what nobody can tell apart */
    uint64_t weight_max;
};

static int compare_froms(const void *a, const void *b)
{
    return bytes_compare((*(const struct range *const *)a)->from,
                         (*(const struct range *const *)b)->from);
}

static int compare_tos(const void *a, const void *b)
{
    return bytes_compare((*(const struct range *const *)a)->to,
                         (*(const struct range *const *)b)->to);
}

static int compare_ages(const void *a, const void *b)
{
    const struct range *x = *(const struct range *const *)a, *y = *(const struct range *const *)b;
    if (x->seq != y->seq) return x->seq > y->seq ? -1 : 1;
    return (x > y) - (x < y); /* pieces of one deletion */
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const loam_slice *)a, *(const loam_slice *)b);
}

static size_t rank_of(const struct sweep *sweep, const struct range *range)
{
    size_t first = 0, count = sweep->count;
    while (count > 0) {
        const size_t half = count / 2;
        if (compare_ages(&sweep->by_age[first + half], &range) < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/* The first rank behind `rank` that some reader tells from it: who reads below it, and not below that. */
static size_t told_apart(const struct sweep *sweep, size_t rank)
{
    const uint64_t seq = sweep->by_age[rank]->seq;
    size_t below = 0, count = sweep->bound_count;
    if (sweep->takes_all) return rank + 1;
    while (count > 0) { /* how many bounds are below seq */
        const size_t half = count / 2;
        if (sweep->bounds[below + half] < seq) {
            below += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    if (below == 0) return sweep->count;
    const struct range reader = {.seq = sweep->bounds[below - 1]};
    size_t first = rank_of(sweep, &reader);
    while (first > 0 && sweep->by_age[first - 1]->seq <= reader.seq) /* whatever their addresses */
        first--;
    return first > rank ? first : rank + 1;
}

static uint32_t gather_seqs(const struct sweep *sweep)
{
    uint32_t count = 0;
    for (size_t rank = ranks_next(&sweep->in, 0); rank < sweep->count;
         rank = ranks_next(&sweep->in, told_apart(sweep, rank))) {
        const uint64_t seq = sweep->by_age[rank]->seq;
        if (count == 0 || sweep->seqs[count - 1] != seq) sweep->seqs[count++] = seq;
    }
    return count;
}

static loam_status sweep_over(struct sweep *sweep, struct marks *marks)
{
    loam_status rc = LOAM_OK;
    size_t begun = 0, ended = 0;
    for (size_t i = 0; rc == LOAM_OK && i < sweep->end_count; i++) {
        const loam_slice key = sweep->ends[i];
        if (i > 0 && bytes_equal(key, sweep->ends[i - 1])) continue;
        for (; begun < sweep->count && bytes_compare(sweep->by_from[begun]->from, key) <= 0;
             begun++)
            ranks_put(&sweep->in, rank_of(sweep, sweep->by_from[begun]), true);
        for (; ended < sweep->ending_count && bytes_compare(sweep->by_to[ended]->to, key) <= 0;
             ended++)
            ranks_put(&sweep->in, rank_of(sweep, sweep->by_to[ended]), false);
        rc = add_mark(marks, key, sweep->seqs, gather_seqs(sweep));
        if (mark_count(marks) + marks->seqs.len / sizeof(uint64_t) > sweep->weight_max)
            return failed(LOAM_TOOBIG, "too many ranges in each other");
    }
    return rc;
}

static loam_status sweep_init(struct sweep *sweep, const struct range *ranges, size_t count)
{
    sweep->by_from = mem_alloc_array(count, sizeof(struct range *));
    sweep->by_to = mem_alloc_array(count, sizeof(struct range *));
    sweep->by_age = mem_alloc_array(count, sizeof(struct range *));
    sweep->ends = mem_alloc_array(count, 2 * sizeof(loam_slice));
    sweep->seqs = mem_alloc_array(count, sizeof(uint64_t));
    if (sweep->by_from == NULL || sweep->by_to == NULL || sweep->by_age == NULL ||
        sweep->ends == NULL || sweep->seqs == NULL)
        return LOAM_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct range *range = &ranges[i];
        if (range_is_empty(range->from, range->to)) continue;
        sweep->by_from[sweep->count] = sweep->by_age[sweep->count] = range;
        sweep->count++;
        sweep->ends[sweep->end_count++] = range->from;
        if (range->to.len == 0) continue;
        sweep->by_to[sweep->ending_count++] = range;
        sweep->ends[sweep->end_count++] = range->to;
    }
    if (sweep->count > 0) {
        qsort(sweep->by_from, sweep->count, sizeof(struct range *), compare_froms);
        qsort(sweep->by_to, sweep->ending_count, sizeof(struct range *), compare_tos);
        qsort(sweep->by_age, sweep->count, sizeof(struct range *), compare_ages);
        qsort(sweep->ends, sweep->end_count, sizeof(loam_slice), compare_keys);
    }
    return ranks_init(&sweep->in, sweep->count);
}

static loam_status build_set(struct sweep *sweep, const struct range *ranges, size_t count,
                             struct range_set **out)
{
    struct marks marks = {0};
    *out = NULL;
    if (count == 0) return LOAM_OK;
    loam_status rc = sweep_init(sweep, ranges, count);
    if (rc == LOAM_OK) rc = sweep_over(sweep, &marks);
    if (rc == LOAM_OK) rc = make_set(&marks, !sweep->takes_all, out);
    free_marks(&marks);
    ranks_deinit(&sweep->in);
    mem_free(sweep->by_from);
    mem_free(sweep->by_to);
    mem_free(sweep->by_age);
    mem_free(sweep->ends);
    mem_free(sweep->seqs);
    return rc;
}

loam_status range_set_new(const struct range *ranges, size_t count, const uint64_t *bounds,
                          size_t bound_count, struct range_set **out)
{
    struct sweep sweep = {.bounds = bounds, .bound_count = bound_count, .weight_max = UINT64_MAX};
    return build_set(&sweep, ranges, count, out);
}

loam_status range_set_new_whole(const struct range *ranges, size_t count, uint64_t weight_max,
                                struct range_set **out)
{
    struct sweep sweep = {.takes_all = true, .weight_max = weight_max};
    return build_set(&sweep, ranges, count, out);
}

/* ---- looking --------------------------------------------------------------------------------- */

static loam_slice end_of_mark(const struct range_set *set, uint32_t at)
{
    return at + 1 < set->mark_count ? set->marks[at + 1].key : loam_bytes(NULL, 0);
}

loam_status range_set_each(const struct range_set *set,
                           loam_status (*each)(void *ctx, const struct range *range), void *ctx)
{
    loam_status rc = LOAM_OK;
    for (uint32_t i = 0; set != NULL && i < set->mark_count; i++)
        for (uint32_t k = 0; rc == LOAM_OK && k < set->marks[i].seq_count; k++) {
            const struct range range = {set->marks[i].key, end_of_mark(set, i),
                                        set->marks[i].seqs[k]};
            rc = each(ctx, &range);
        }
    return rc;
}

/* How many marks begin at or before key. */
static uint32_t marks_upto(const struct range_set *set, loam_slice key)
{
    uint32_t first = 0, count = set->mark_count;
    while (count > 0) {
        const uint32_t half = count / 2;
        if (bytes_compare(set->marks[first + half].key, key) <= 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/* The newest of a mark that is not newer than seq; 0: there is none. */
static uint64_t newest_upto(const struct range_mark *mark, uint64_t seq)
{
    uint32_t at = 0;
    while (at < mark->seq_count && mark->seqs[at] > seq)
        at++;
    return at < mark->seq_count ? mark->seqs[at] : 0;
}

void range_set_meet(const struct range_set *set, struct cover *cover, loam_slice key, uint64_t seq)
{
    if (set == NULL) return;
    const uint32_t upto = marks_upto(set, key);
    if (upto < set->mark_count) lessen_high(cover, set->marks[upto].key);
    if (upto == 0) return;
    const struct range_mark *mark = &set->marks[upto - 1];
    raise_low(cover, mark->key);
    const uint64_t newest = newest_upto(mark, seq);
    if (newest > cover->seq) cover->seq = newest;
}

bool range_set_holds(const struct range_set *set, loam_slice from, const loam_slice *to,
                     uint64_t above, uint64_t upto_seq)
{
    if (set == NULL || set->seq_max <= above) return false;
    const uint32_t upto = marks_upto(set, from);
    for (uint32_t i = upto > 0 ? upto - 1 : 0; i < set->mark_count; i++) {
        const struct range_mark *mark = &set->marks[i];
        if (to != NULL && bytes_compare(mark->key, *to) > 0) return false;
        if (newest_upto(mark, upto_seq) > above) return true;
    }
    return false;
}

uint64_t range_set_weight(const struct range_set *set)
{
    return set != NULL ? set->weight : 0;
}

uint64_t range_set_bytes(const struct range_set *set)
{
    return set != NULL ? set->bytes : 0;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

loam_status range_set_encode(const struct range_set *set, loam_buf *out)
{
    for (uint32_t i = 0; set != NULL && i < set->mark_count; i++) {
        const struct range_mark *mark = &set->marks[i];
        const size_t most = mark->key.len + ((size_t)mark->seq_count + 2) * VARINT64_BYTES_MAX;
        const loam_status rc = buf_reserve(out, out->len + most);
        if (rc < 0) return rc;
        uint8_t *const start = out->data, *at = start + out->len;
        at = put_varint64(at, mark->key.len);
        if (mark->key.len > 0) memcpy(at, mark->key.data, mark->key.len);
        at = put_varint64(at + mark->key.len, mark->seq_count);
        for (uint32_t k = 0; k < mark->seq_count; k++)
            at = put_varint64(at, mark->seqs[k]);
        out->len = (size_t)(at - start);
    }
    return LOAM_OK;
}

/* The sequence numbers of a mark, into seqs. NULL: they are none. */
static const uint8_t *decode_seqs(const uint8_t *at, const uint8_t *end, uint32_t count,
                                  uint64_t *seqs)
{
    for (uint32_t k = 0; k < count; k++) {
        at = get_varint64(at, end, &seqs[k]);
        if (at == NULL || seqs[k] == 0 || seqs[k] > SEQ_MAX) return NULL;
        if (k > 0 && seqs[k] >= seqs[k - 1]) return NULL;
    }
    return at;
}

/* One mark, behind the others; *at moves on. */
static loam_status decode_mark(const uint8_t **at, const uint8_t *end, struct marks *marks,
                               loam_slice *last, loam_buf *seqs)
{
    uint32_t key_bytes, count;
    const size_t known = mark_count(marks);
    const uint8_t *next = get_varint32(*at, end, &key_bytes);
    if (next == NULL || key_bytes > KEY_BYTES_MAX || key_bytes > (size_t)(end - next))
        return failed(LOAM_CORRUPT, "a range's key is cut short or too long");
    const loam_slice key = loam_bytes(next, key_bytes);
    if (known > 0 && bytes_compare(key, *last) <= 0)
        return failed(LOAM_CORRUPT, "ranges are out of order");
    next = get_varint32(next + key_bytes, end, &count);
    if (next == NULL || count > (size_t)(end - next)) /* each has a byte at least */
        return failed(LOAM_CORRUPT, "a range is cut short");
    loam_status rc = buf_reserve(seqs, (count + (size_t)1) * sizeof(uint64_t));
    if (rc < 0) return rc;
    next = decode_seqs(next, end, count, seqs->data);
    if (next == NULL) return failed(LOAM_CORRUPT, "a range's sequence numbers are none");
    rc = add_mark(marks, key, seqs->data, count);
    if (rc == LOAM_OK && mark_count(marks) == known)
        rc = failed(LOAM_CORRUPT, "two ranges that are one");
    *last = key;
    *at = next;
    return rc;
}

loam_status range_set_decode(loam_slice bytes, struct range_set **out)
{
    const uint8_t *at = bytes.data, *end = bytes.len == 0 ? at : at + bytes.len;
    struct marks marks = {0};
    loam_buf seqs = {0};
    loam_slice last = {0};
    loam_status rc = LOAM_OK;
    *out = NULL;
    while (rc == LOAM_OK && at != end)
        rc = decode_mark(&at, end, &marks, &last, &seqs);
    if (rc == LOAM_OK) rc = make_set(&marks, true, out);
    free_marks(&marks);
    loam_buf_free(&seqs);
    return rc;
}
