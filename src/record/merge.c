/*
 * merge.c - several sorted inputs as one; see merge.h.
 */
#include "record/merge.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

/* Longer prefixes are cut: heads then say less, whole keys decide. */
#define PREFIX_BYTES_MAX 128

/* The prefix stays this many bytes behind what the two foremost keys share, or the next key would
   leave it. One that is left within so many moves was too long: the slack grows by a step. */
#define SLACK_BYTES_STEP 4
#define MOVES_PER_PREFIX_MIN 64

/* One input in the heap. Its head is complemented when going backwards, so that the least head is
   always the next entry. */
struct merge_leg {
    uint64_t head;
    struct iter *input;
};

struct merge_iter {
    struct iter iter;
    size_t input_count, live_count; /* live: the legs in the heap */
    uint64_t turned;                /* 0 forward, UINT64_MAX backward: what heads are xored with */
    size_t second;                  /* the leg behind the first, if live_count > 1 */
    size_t prefix_bytes, slack_bytes;
    uint64_t moves; /* since the prefix was chosen */
    /* A prefix of up to 16 bytes as its first 8 and its last 8 (of fewer, those under the mask). */
    uint64_t prefix_first, prefix_last, prefix_mask;
    size_t prefix_last_at;
    uint8_t prefix[PREFIX_BYTES_MAX];
    struct merge_leg *legs; /* a heap; those behind live_count have ended */
};

/* Negative when a's entry comes before b's in the direction of the merge. */
static int compare_whole_entries(const struct merge_iter *merge, const struct merge_leg *a,
                                 const struct merge_leg *b)
{
    const struct entry *x = a->input->at, *y = b->input->at;
    const int order = entry_compare(x->key, x->seq, y->key, y->seq);
    return merge->turned == 0 ? order : -order;
}

static bool comes_before(const struct merge_iter *merge, const struct merge_leg *a,
                         const struct merge_leg *b)
{
    if (a->head != b->head) return a->head < b->head;
    return compare_whole_entries(merge, a, b) < 0;
}

static int compare_to_merge_prefix(const struct merge_iter *merge, loam_slice key)
{
    const size_t len = key.len < merge->prefix_bytes ? key.len : merge->prefix_bytes;
    return bytes_compare(loam_bytes(key.data, len), loam_bytes(merge->prefix, merge->prefix_bytes));
}

static uint64_t head_of_any_key(const struct merge_iter *merge, loam_slice key)
{
    const int side = compare_to_merge_prefix(merge, key);
    if (side != 0) return (side < 0 ? 0 : UINT64_MAX) ^ merge->turned;
    return bytes_head(key, merge->prefix_bytes) ^ merge->turned;
}

/* Every step asks this, so for short prefixes two words say whether the key has it. */
static inline uint64_t head_of_key(const struct merge_iter *merge, loam_slice key)
{
    const uint8_t *from = key.data;
    if (merge->prefix_bytes > 16 || key.len < merge->prefix_bytes + 8)
        return head_of_any_key(merge, key);
    const uint64_t first = get_u64(from) ^ merge->prefix_first;
    const uint64_t last = get_u64(from + merge->prefix_last_at) ^ merge->prefix_last;
    if (((first | last) & merge->prefix_mask) != 0) return head_of_any_key(merge, key);
    return get_u64_big_endian(from + merge->prefix_bytes) ^ merge->turned;
}

/* Puts leg where it belongs, `at` being free and nothing below it out of order. */
static void sift_down(struct merge_iter *merge, size_t at, struct merge_leg leg)
{
    struct merge_leg *legs = merge->legs;
    const size_t count = merge->live_count;
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && comes_before(merge, &legs[child + 1], &legs[child])) child++;
        if (!comes_before(merge, &legs[child], &leg)) break;
        legs[at] = legs[child];
        at = child;
    }
    legs[at] = leg;
}

static void choose_second(struct merge_iter *merge)
{
    merge->second = 1;
    if (merge->live_count > 2 && comes_before(merge, &merge->legs[2], &merge->legs[1]))
        merge->second = 2;
}

static void set_prefix(struct merge_iter *merge, const void *prefix, size_t len)
{
    merge->prefix_bytes = len;
    merge->moves = 0;
    memset(merge->prefix, 0, 8);
    if (len > 0) memcpy(merge->prefix, prefix, len);
    merge->prefix_mask = len < 8 ? (UINT64_C(1) << 8 * len) - 1 : UINT64_MAX;
    merge->prefix_last_at = len > 8 ? len - 8 : 0;
    merge->prefix_first = get_u64(merge->prefix);
    merge->prefix_last = get_u64(merge->prefix + merge->prefix_last_at);
    for (size_t i = 0; i < merge->live_count; i++)
        merge->legs[i].head = head_of_key(merge, merge->legs[i].input->at->key);
}

/* Takes the prefix from the two foremost keys and renews all heads. Their order stays. */
static void choose_prefix(struct merge_iter *merge)
{
    const loam_slice first = merge->legs[0].input->at->key;
    const loam_slice second = merge->legs[merge->second].input->at->key;
    const size_t shared = bytes_common(first, second);
    size_t len = shared > merge->slack_bytes ? shared - merge->slack_bytes : 0;
    if (len > PREFIX_BYTES_MAX) len = PREFIX_BYTES_MAX;
    /* A head beyond the key's end would know nothing more and be slower to take. */
    if (first.len >= 8 && len > first.len - 8) len = first.len - 8;
    set_prefix(merge, first.data, len);
}

/* A saturated head may also be eight bytes of 255. */
static bool has_left_prefix(const struct merge_iter *merge, const struct merge_leg *leg)
{
    return leg->head == UINT64_MAX && compare_to_merge_prefix(merge, leg->input->at->key) != 0;
}

/* The heap is in order: shows its first entry. */
static loam_status stand_on_first_leg(struct merge_iter *merge)
{
    if (merge->live_count == 0) return LOAM_NOTFOUND;
    const struct merge_leg *first = &merge->legs[0];
    if (merge->live_count > 1) {
        choose_second(merge);
        if (has_left_prefix(merge, first)) {
            if (merge->moves < MOVES_PER_PREFIX_MIN) merge->slack_bytes += SLACK_BYTES_STEP;
            choose_prefix(merge);
        }
        const struct merge_leg *second = &merge->legs[merge->second];
        if (first->head == second->head && compare_whole_entries(merge, first, second) == 0)
            return failed(LOAM_CORRUPT, "version %" PRIu64 " of a key is there twice",
                          first->input->at->seq);
    }
    merge->iter.at = first->input->at;
    merge->iter.keeps = first->input->keeps;
    return LOAM_OK;
}

/* Builds the heap of inputs that have just been placed. */
static loam_status start_merge(struct merge_iter *merge)
{
    merge->slack_bytes = SLACK_BYTES_STEP;
    set_prefix(merge, NULL, 0);
    for (size_t i = merge->live_count / 2; i-- > 0;)
        sift_down(merge, i, merge->legs[i]);
    if (merge->live_count > 1) {
        choose_second(merge);
        choose_prefix(merge);
    }
    return stand_on_first_leg(merge);
}

/* Where all inputs go. */
struct merge_target {
    enum { MERGE_FIRST, MERGE_LAST, MERGE_SEEK, MERGE_SEEK_BACK } kind;
    loam_slice key;
    uint64_t seq;
};

static loam_status place_input(struct iter *input, const struct merge_target *target)
{
    switch (target->kind) {
    case MERGE_FIRST:
        return input->ops->first(input);
    case MERGE_LAST:
        return input->ops->last(input);
    case MERGE_SEEK:
        return input->ops->seek(input, target->key, target->seq);
    case MERGE_SEEK_BACK:
        return input->ops->seek_back(input, target->key, target->seq);
    }
    check(false);
    return LOAM_NOTFOUND;
}

/* Sorts a leg that has answered rc into the live or the ended ones; `next` is the first not
   sorted. */
static void sort_leg(struct merge_iter *merge, size_t next, loam_status rc)
{
    if (rc != LOAM_OK) return;
    const struct merge_leg leg = merge->legs[next];
    merge->legs[next] = merge->legs[merge->live_count];
    merge->legs[merge->live_count++] = leg;
}

static loam_status place_merge(struct merge_iter *merge, const struct merge_target *target)
{
    const bool is_backward = target->kind == MERGE_LAST || target->kind == MERGE_SEEK_BACK;
    merge->turned = is_backward ? UINT64_MAX : 0;
    merge->live_count = 0;
    for (size_t i = 0; i < merge->input_count; i++) {
        const loam_status rc = place_input(merge->legs[i].input, target);
        if (rc < 0) return rc;
        sort_leg(merge, i, rc);
    }
    return start_merge(merge);
}

static loam_status step_input(const struct merge_iter *merge, struct iter *input)
{
    return merge->turned == 0 ? input->ops->next(input) : input->ops->prev(input);
}

/* The same entry, the other direction: the other inputs go to their neighbours of it, and the one
   that holds it, whose bytes the target is, steps last. */
static loam_status turn_merge(struct merge_iter *merge)
{
    const struct merge_target target = {
        .kind = merge->turned == 0 ? MERGE_SEEK_BACK : MERGE_SEEK,
        .key = merge->iter.at->key,
        .seq = merge->iter.at->seq,
    };
    const struct merge_leg holder = merge->legs[0];
    merge->turned = ~merge->turned;
    merge->legs[0] = merge->legs[merge->input_count - 1];
    merge->legs[merge->input_count - 1] = holder;
    merge->live_count = 0;
    for (size_t i = 0; i < merge->input_count; i++) {
        struct iter *input = merge->legs[i].input;
        const loam_status rc =
            input == holder.input ? step_input(merge, input) : place_input(input, &target);
        if (rc < 0) return rc;
        sort_leg(merge, i, rc);
    }
    return start_merge(merge);
}

static loam_status step_merge(struct merge_iter *merge)
{
    struct merge_leg leg = merge->legs[0];
    const loam_status rc = step_input(merge, leg.input);
    if (rc < 0) return rc;
    if (rc == LOAM_NOTFOUND) {
        const struct merge_leg last = merge->legs[--merge->live_count];
        merge->legs[merge->live_count] = leg;
        if (merge->live_count > 0) sift_down(merge, 0, last);
        return stand_on_first_leg(merge);
    }
    merge->moves++;
    if (merge->live_count > 1) {
        leg.head = head_of_key(merge, leg.input->at->key);
        merge->legs[0].head = leg.head;
        if (leg.head >= merge->legs[merge->second].head) {
            sift_down(merge, 0, leg);
            return stand_on_first_leg(merge);
        }
    }
    merge->iter.at = leg.input->at;
    merge->iter.keeps = leg.input->keeps;
    return LOAM_OK;
}

static loam_status merge_first(struct iter *iter)
{
    return place_merge((struct merge_iter *)iter, &(struct merge_target){.kind = MERGE_FIRST});
}

static loam_status merge_last(struct iter *iter)
{
    return place_merge((struct merge_iter *)iter, &(struct merge_target){.kind = MERGE_LAST});
}

static loam_status merge_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    const struct merge_target target = {MERGE_SEEK, key, seq};
    return place_merge((struct merge_iter *)iter, &target);
}

static loam_status merge_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    const struct merge_target target = {MERGE_SEEK_BACK, key, seq};
    return place_merge((struct merge_iter *)iter, &target);
}

static loam_status merge_next(struct iter *iter)
{
    struct merge_iter *merge = (struct merge_iter *)iter;
    return merge->turned == 0 ? step_merge(merge) : turn_merge(merge);
}

static loam_status merge_prev(struct iter *iter)
{
    struct merge_iter *merge = (struct merge_iter *)iter;
    return merge->turned != 0 ? step_merge(merge) : turn_merge(merge);
}

static void merge_close(struct iter *iter)
{
    struct merge_iter *merge = (struct merge_iter *)iter;
    for (size_t i = 0; i < merge->input_count; i++)
        iter_close(merge->legs[i].input);
    mem_free(merge->legs);
    mem_free(merge);
}

/* NULL: out of memory. */
static struct merge_iter *new_merge(struct iter **inputs, size_t count)
{
    static const struct iter_ops ops = {
        .first = merge_first,
        .last = merge_last,
        .seek = merge_seek,
        .seek_back = merge_seek_back,
        .next = merge_next,
        .prev = merge_prev,
        .close = merge_close,
    };
    struct merge_iter *merge = mem_zalloc(sizeof *merge);
    struct merge_leg *legs = merge != NULL ? mem_alloc_array(count, sizeof *legs) : NULL;
    if (legs == NULL) {
        mem_free(merge);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        legs[i] = (struct merge_leg){.input = inputs[i]};
    merge->iter.ops = &ops;
    merge->legs = legs;
    merge->input_count = count;
    return merge;
}

loam_status merge_iter_new(struct iter **inputs, size_t count, struct iter **out)
{
    if (count == 1) {
        *out = inputs[0];
        return LOAM_OK;
    }
    struct merge_iter *merge = new_merge(inputs, count);
    for (size_t i = 0; merge == NULL && i < count; i++)
        iter_close(inputs[i]);
    if (merge == NULL) return LOAM_NOMEM;
    *out = &merge->iter;
    return LOAM_OK;
}
