/*
 * epoch.c - deferred release for lock-free readers; see epoch.h.
 */
#include "db/epoch.h"

#include "os/pages.h"
#include "os/thread.h"

#include "base/poison.h"

struct stripe {
    _Alignas(64) _Atomic uint64_t readers[2];
    _Atomic uint64_t count;
};

struct epoch {
    struct stripe stripes[EPOCH_STRIPES];
    _Alignas(64) _Atomic uint64_t phase;
    struct mutex lock;
    struct epoch_node *retired; /* newest first */
};

loam_status epoch_new(struct epoch **out)
{
    struct epoch *epoch = pages_alloc(sizeof *epoch); /* aligned to more than a cache line */
    if (epoch == NULL) return LOAM_NOMEM;
    mutex_init(&epoch->lock);
    atomic_init(&epoch->phase, 2);
    *out = epoch;
    return LOAM_OK;
}

struct epoch_ticket epoch_enter(struct epoch *epoch)
{
    struct stripe *stripe = &epoch->stripes[thread_stripe() % EPOCH_STRIPES];
    for (;;) {
        const uint64_t phase = atomic_load(&epoch->phase);
        _Atomic uint64_t *counter = &stripe->readers[phase & 1];
        atomic_fetch_add(counter, 1);
        if (atomic_load(&epoch->phase) == phase) return (struct epoch_ticket){counter};
        atomic_fetch_sub(counter, 1);
    }
}

static bool has_readers(const struct epoch *epoch, uint64_t parity)
{
    for (unsigned i = 0; i < EPOCH_STRIPES; i++)
        if (atomic_load(&epoch->stripes[i].readers[parity]) != 0) return true;
    return false;
}

/* The part of the list that may go, taken off it. */
static struct epoch_node *take_ripe(struct epoch *epoch, uint64_t phase)
{
    struct epoch_node **link = &epoch->retired;
    while (*link != NULL && (*link)->phase + 2 > phase)
        link = &(*link)->next;
    struct epoch_node *ripe = *link; /* newest first: all behind are riper */
    *link = NULL;
    return ripe;
}

static void release_all(struct epoch_node *node)
{
    while (node != NULL) {
        struct epoch_node *next = node->next;
        node->release(node);
        node = next;
    }
}

void epoch_retire(struct epoch *epoch, struct epoch_node *node)
{
    mutex_lock(&epoch->lock);
    uint64_t phase = atomic_load(&epoch->phase);
    node->phase = phase;
    node->next = epoch->retired;
    epoch->retired = node;
    for (int step = 0; step < 2 && !has_readers(epoch, (phase - 1) & 1); step++)
        atomic_store(&epoch->phase, ++phase);
    struct epoch_node *ripe = take_ripe(epoch, phase);
    mutex_unlock(&epoch->lock);
    release_all(ripe);
}

void epoch_free(struct epoch *epoch)
{
    if (epoch == NULL) return;
    release_all(epoch->retired);
    mutex_deinit(&epoch->lock);
    pages_free(epoch, sizeof *epoch);
}

uint64_t epoch_count(struct epoch *epoch)
{
    struct stripe *stripe = &epoch->stripes[thread_stripe() % EPOCH_STRIPES];
    return atomic_fetch_add_explicit(&stripe->count, 1, memory_order_relaxed);
}

uint64_t epoch_count_sum(const struct epoch *epoch)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < EPOCH_STRIPES; i++)
        sum += atomic_load_explicit(&epoch->stripes[i].count, memory_order_relaxed);
    return sum;
}
