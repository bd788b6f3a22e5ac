/*
 * model_steps.c - what a random history writes; see model_steps.h.
 */
#include "lib/model_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "db/db.h"
#include "lib/told.h"
#include "record/operands.h"

const char *const step_names[STEP_COLLS] = {"default", "a",  "b",
                                            "users",   "zz", "\xc3\xa9t\xc3\xa9"};

/* ---- keys, values ---- */

static uint8_t *random_bytes(struct rand *rand, size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    const uint64_t pattern = rand_next(rand);
    for (size_t i = 0; i <= len; i++) /* one more, for who wants a byte in any case */
        bytes[i] = (uint8_t)(pattern >> (i % 8 * 8)) ^ (uint8_t)(i / 8);
    return bytes;
}

loam_slice random_key(struct rand *rand, size_t key_space)
{
    const uint64_t number = rand_below(rand, key_space);
    char *text = malloc(700);
    size_t len;
    switch (number % 11) {
    case 0:
        len = (size_t)snprintf(text, 700, "%08llu", (unsigned long long)number);
        break;
    case 1: /* long, with a long common prefix */
        memset(text, 'x', 500);
        len = 500 + (size_t)snprintf(text + 500, 100, "%llu", (unsigned long long)number);
        break;
    case 2: /* short and binary, the empty one among them */
        len = (size_t)(number / 11 % 4);
        memset(text, (int)(number / 44 % 3) * 127 + (number % 2 ? 1 : 0), 4);
        break;
    case 3: /* runs of keys under beginnings of their own, some of which begin others */
    case 4:
    case 5:
        len = (size_t)snprintf(text, 700, "customer-%llu/%04llx",
                               (unsigned long long)(number / 300 % 12),
                               (unsigned long long)(number * 7919 % 65536));
        break;
    default:
        len = (size_t)snprintf(text, 700, "key/%06llu",
                               (unsigned long long)(number * 7919 % 1000000));
    }
    return loam_bytes(text, len);
}

loam_slice random_value(struct rand *rand)
{
    const uint64_t kind = rand_below(rand, 2000);
    const size_t len = kind == 0   ? (size_t)rand_below(rand, 200000)
                       : kind < 30 ? (size_t)rand_below(rand, 9000)
                                   : (size_t)rand_below(rand, 120);
    return loam_bytes(random_bytes(rand, len), len);
}

void perhaps_merge(struct rand *rand, const struct model *model, struct step *step)
{
    const loam_merge_operator *merger = model_merger(model, step_names[step->coll]);
    if (step->what != 'p' || merger == NULL || rand_below(rand, 2) == 0) return;
    free((void *)(uintptr_t)step->value.data);
    step->what = 'm';
    step->value.len = operator_wants_i64(merger) ? 8 : (size_t)rand_below(rand, 40);
    step->value.data = random_bytes(rand, step->value.len);
}

/* ---- steps ---- */

void step_apply(struct model *model, const struct step *step)
{
    const struct model_words words = {step->what,           step_names[step->coll],
                                      step_names[step->to], step->key,
                                      step->value,          step->expires_ms};
    model_step(model, &words);
}

void step_free(const struct step *step)
{
    free((void *)(uintptr_t)step->key.data);
    free((void *)(uintptr_t)step->value.data);
}

loam_status step_write(loam_db *db, loam_coll *coll, const struct step *step)
{
    const loam_range range = step_range(step);
    if (step->what == 'x') return loam_delete_range(db, coll, &range);
    if (step->what == 'd') return loam_delete(db, coll, step->key);
    if (step->what == 'm') return loam_merge(db, coll, step->key, step->value);
    if (step->ttl_ms == TTL_OF_COLL && step->value.len % 8 == 5)
        return loam_explain_put(db, coll, step->key, step->value, told_nothing, NULL);
    return step->ttl_ms == TTL_OF_COLL
               ? loam_put(db, coll, step->key, step->value)
               : loam_put_ttl(db, coll, step->key, step->value, step->ttl_ms);
}

loam_status step_write_if(loam_db *db, loam_coll *coll, const struct step *step,
                          const loam_if *condition, uint64_t *seq)
{
    if (step->what == 'd') return loam_delete_if(db, coll, step->key, condition);
    return step->ttl_ms == TTL_OF_COLL
               ? loam_put_if(db, coll, step->key, step->value, condition, seq)
               : loam_put_if_ttl(db, coll, step->key, step->value, step->ttl_ms, condition, seq);
}

loam_status step_to_batch(loam_batch *batch, loam_coll *coll, const struct step *step)
{
    const loam_range range = step_range(step);
    if (step->what == 'x') return loam_batch_delete_range(batch, coll, &range);
    if (step->what == 'd') return loam_batch_delete(batch, coll, step->key);
    if (step->what == 'm') return loam_batch_merge(batch, coll, step->key, step->value);
    return step->ttl_ms == TTL_OF_COLL
               ? loam_batch_put(batch, coll, step->key, step->value)
               : loam_batch_put_ttl(batch, coll, step->key, step->value, step->ttl_ms);
}

loam_status step_to_ingest(loam_ingest *ingest, const struct step *step)
{
    return step->ttl_ms == TTL_OF_COLL
               ? loam_ingest_put(ingest, step->key, step->value)
               : loam_ingest_put_ttl(ingest, step->key, step->value, step->ttl_ms);
}

loam_status step_to_txn(loam_txn *txn, loam_coll *coll, const struct step *step)
{
    const loam_range range = step_range(step);
    if (step->what == 'x') return loam_txn_delete_range(txn, coll, &range);
    if (step->what == 'd') return loam_txn_delete(txn, coll, step->key);
    if (step->what == 'm') return loam_txn_merge(txn, coll, step->key, step->value);
    return step->ttl_ms == TTL_OF_COLL
               ? loam_txn_put(txn, coll, step->key, step->value)
               : loam_txn_put_ttl(txn, coll, step->key, step->value, step->ttl_ms);
}

uint64_t random_ttl(struct rand *rand)
{
    const uint64_t kind = rand_below(rand, 16);
    if (kind < 9) return TTL_OF_COLL;
    return kind == 9 ? 0 : 1 + rand_below(rand, UINT64_C(1) << (2 * (kind - 6)));
}

void step_stamp(struct step *step, const struct model *model, uint64_t clock_ms)
{
    const uint64_t ttl_ms =
        step->ttl_ms == TTL_OF_COLL ? model_ttl(model, step_names[step->coll]) : step->ttl_ms;
    step->expires_ms = step->what != 'p' || ttl_ms == 0 ? 0 : clock_ms + ttl_ms;
}

loam_range step_range(const struct step *step)
{
    return (loam_range){.from = step->key, .to = step->value};
}

bool step_is_empty_range(const struct step *step)
{
    return step->what == 'x' && step->value.len > 0 && bytes_compare(step->key, step->value) >= 0;
}

bool step_holds(const struct step *step, loam_slice key)
{
    return bytes_compare(key, step->key) >= 0 &&
           (step->value.len == 0 || bytes_compare(key, step->value) < 0);
}

static loam_slice copy_of(loam_slice slice)
{
    char *copy = malloc(slice.len + 1);
    if (slice.len > 0) memcpy(copy, slice.data, slice.len);
    return loam_bytes(copy, slice.len);
}

struct step random_options(struct rand *rand, uint8_t coll)
{
    uint8_t *byte = malloc(1);
    *byte = (uint8_t)rand_next(rand);
    return (struct step){
        .what = 'o', .coll = coll, .key = copy_of(loam_str("")), .value = loam_bytes(byte, 1)};
}

struct step random_range(struct rand *rand, const struct model *model, uint8_t coll,
                         size_t key_space)
{
    struct step step = {.what = 'x', .coll = coll, .key = random_key(rand, key_space)};
    const char *name = step_names[step.coll];
    const uint64_t kind = rand_below(rand, 40);
    const size_t end = model_lower(model, name, step.key) + (size_t)rand_below(rand, 12);
    loam_slice key, value;
    if (kind == 0) {
        free((void *)(uintptr_t)step.key.data);
        step.key = copy_of(loam_str(""));
        step.value = copy_of(loam_str(""));
    } else if (kind < 4) {
        step.value =
            random_key(rand, key_space); /* may be before it, and empty, which is no bound */
    } else if (end < model_count(model, name)) {
        model_at(model, name, end, &key, &value);
        step.value = copy_of(key);
    } else {
        step.value = copy_of(loam_str("kf"));
    }
    return step;
}
