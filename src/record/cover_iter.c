/*
 * cover_iter.c - sorted entries without those that deletions of ranges hide; see cover_iter.h.
 */
#include "record/cover_iter.h"

#include "base/mem.h"

#include "base/poison.h"

struct cover_iter {
    struct iter iter;
    struct iter *input;
    const struct cover_source *source;
    uint64_t (*newest)(const void *holder);
    const void *holder;
    struct cover cover; /* of the latest key that was asked for */
};

static struct cover_iter *cover_iter_of(struct iter *iter)
{
    return (struct cover_iter *)iter;
}

static bool is_covered_here(struct cover_iter *it)
{
    const struct entry *at = it->input->at;
    if (!cover_holds(&it->cover, at->key)) it->cover = it->source->ask(it->source->ctx, at->key);
    return at->seq < it->cover.seq;
}

/* All that the input holds where the cover holds is hidden. */
static bool hides_all(const struct cover_iter *it)
{
    return it->newest(it->holder) < it->cover.seq;
}

static loam_status show_input(struct cover_iter *it)
{
    it->iter.at = it->input->at; /* a step may be several of the input's: it keeps nothing */
    return LOAM_OK;
}

static loam_status pass_forward(struct cover_iter *it, loam_status rc)
{
    const struct iter_ops *ops = it->input->ops;
    while (rc == LOAM_OK && is_covered_here(it)) {
        if (!hides_all(it))
            rc = ops->next(it->input);
        else if (it->cover.high.len == 0)
            rc = LOAM_NOTFOUND;
        else
            rc = ops->seek(it->input, it->cover.high, SEQ_MAX);
    }
    return rc == LOAM_OK ? show_input(it) : rc;
}

static loam_status pass_backward(struct cover_iter *it, loam_status rc)
{
    const struct iter_ops *ops = it->input->ops;
    while (rc == LOAM_OK && is_covered_here(it))
        rc = hides_all(it) ? ops->seek_back(it->input, it->cover.low, SEQ_MAX)
                           : ops->prev(it->input);
    return rc == LOAM_OK ? show_input(it) : rc;
}

static loam_status cover_iter_first(struct iter *iter)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_forward(it, it->input->ops->first(it->input));
}

static loam_status cover_iter_last(struct iter *iter)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_backward(it, it->input->ops->last(it->input));
}

static loam_status cover_iter_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_forward(it, it->input->ops->seek(it->input, key, seq));
}

static loam_status cover_iter_seek_back(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_backward(it, it->input->ops->seek_back(it->input, key, seq));
}

static loam_status cover_iter_next(struct iter *iter)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_forward(it, it->input->ops->next(it->input));
}

static loam_status cover_iter_prev(struct iter *iter)
{
    struct cover_iter *it = cover_iter_of(iter);
    return pass_backward(it, it->input->ops->prev(it->input));
}

static void cover_iter_close(struct iter *iter)
{
    iter_close(cover_iter_of(iter)->input);
    mem_free(iter);
}

loam_status cover_iter_new(struct iter *input, const struct cover_source *source,
                           uint64_t (*newest)(const void *holder), const void *holder,
                           struct iter **out)
{
    static const struct iter_ops ops = {
        .first = cover_iter_first,
        .last = cover_iter_last,
        .seek = cover_iter_seek,
        .seek_back = cover_iter_seek_back,
        .next = cover_iter_next,
        .prev = cover_iter_prev,
        .close = cover_iter_close,
    };
    struct cover_iter *it = mem_zalloc(sizeof *it);
    if (it == NULL) {
        iter_close(input);
        return LOAM_NOMEM;
    }
    *it = (struct cover_iter){
        .iter.ops = &ops, .input = input, .source = source, .newest = newest, .holder = holder};
    *out = &it->iter;
    return LOAM_OK;
}
