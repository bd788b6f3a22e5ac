/*
 * model.c - what a store must hold; see model.h.
 */
#include "lib/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "record/operands.h"

struct pair {
    loam_slice key, value;
    uint64_t expires_ms; /* of what was put; 0: never */
    loam_slice alone;    /* what has been merged since, if that expires */
};

struct table_of {
    char *name;
    struct pair *pairs;
    size_t count, cap;
    uint8_t options;  /* see model_options() */
    bool has_options; /* else nothing is known of them */
    const loam_merge_operator *merger;
};

struct model {
    struct table_of *tables;
    size_t count;
};

static char message[400];
static bool forgives; /* reads that fail */

static void *keep(const void *bytes, size_t len)
{
    void *copy = malloc(len + 1);
    if (copy == NULL) abort();
    if (len > 0) memcpy(copy, bytes, len);
    return copy;
}

static struct table_of *find(const struct model *model, const char *coll)
{
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->tables[i].name, coll) == 0) return &model->tables[i];
    return NULL;
}

struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL) abort();
    model_create(model, "default");
    model->tables[0].has_options = true;
    return model;
}

static void free_values(const struct pair *pair)
{
    free((void *)(uintptr_t)pair->value.data);
    free((void *)(uintptr_t)pair->alone.data);
}

static void clear_table(struct table_of *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free((void *)(uintptr_t)table->pairs[i].key.data);
        free_values(&table->pairs[i]);
    }
    free(table->pairs);
    free(table->name);
}

void model_free(struct model *model)
{
    if (model == NULL) return;
    for (size_t i = 0; i < model->count; i++)
        clear_table(&model->tables[i]);
    free(model->tables);
    free(model);
}

static void copy_table(struct model *into, const char *name, const struct table_of *from)
{
    model_create(into, name);
    struct table_of *table = find(into, name);
    table->options = from->options;
    table->has_options = from->has_options;
    table->merger = from->merger;
    for (size_t p = 0; p < from->count; p++) {
        const loam_slice alone = from->pairs[p].alone;
        model_put_until(into, name, from->pairs[p].key, from->pairs[p].value,
                        from->pairs[p].expires_ms);
        if (alone.data != NULL)
            table->pairs[p].alone = loam_bytes(keep(alone.data, alone.len), alone.len);
    }
}

struct model *model_copy(const struct model *model)
{
    struct model *copy = calloc(1, sizeof *copy);
    if (copy == NULL) abort();
    for (size_t i = 0; i < model->count; i++)
        copy_table(copy, model->tables[i].name, &model->tables[i]);
    return copy;
}

bool model_has(const struct model *model, const char *coll)
{
    return find(model, coll) != NULL;
}

void model_create(struct model *model, const char *coll)
{
    size_t at = 0;
    while (at < model->count && strcmp(model->tables[at].name, coll) < 0)
        at++;
    model->tables = realloc(model->tables, (model->count + 1) * sizeof *model->tables);
    if (model->tables == NULL) abort();
    memmove(model->tables + at + 1, model->tables + at,
            (model->count - at) * sizeof *model->tables);
    model->tables[at] = (struct table_of){.name = keep(coll, strlen(coll) + 1)};
    model->count++;
}

static struct table_of take_out(struct model *model, const char *coll)
{
    struct table_of *table = find(model, coll), taken = *table;
    const size_t at = (size_t)(table - model->tables);
    model->count--;
    memmove(table, table + 1, (model->count - at) * sizeof *table);
    return taken;
}

void model_drop(struct model *model, const char *coll)
{
    struct table_of table = take_out(model, coll);
    clear_table(&table);
}

void model_rename(struct model *model, const char *from, const char *to)
{
    struct table_of table = take_out(model, from);
    model_create(model, to);
    struct table_of *renamed = find(model, to);
    free(table.name);
    table.name = renamed->name;
    *renamed = table;
}

void model_clone(struct model *model, const char *from, const char *to)
{
    struct model *copy = model_copy(model); /* the tables move when there is one more */
    copy_table(model, to, find(copy, from));
    model_free(copy);
}

size_t model_coll_count(const struct model *model)
{
    return model->count;
}

const char *model_coll_at(const struct model *model, size_t index)
{
    return model->tables[index].name;
}

static size_t lower(const struct table_of *table, loam_slice key)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (bytes_compare(table->pairs[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void model_put_until(struct model *model, const char *coll, loam_slice key, loam_slice value,
                     uint64_t expires_ms)
{
    struct table_of *table = find(model, coll);
    const size_t at = lower(table, key);
    const loam_slice kept = loam_bytes(keep(value.data, value.len), value.len);
    if (at < table->count && bytes_equal(table->pairs[at].key, key)) {
        free_values(&table->pairs[at]);
        table->pairs[at].value = kept;
        table->pairs[at].alone = loam_bytes(NULL, 0);
        table->pairs[at].expires_ms = expires_ms;
        return;
    }
    if (table->count == table->cap) {
        table->cap = table->cap == 0 ? 64 : table->cap * 2;
        table->pairs = realloc(table->pairs, table->cap * sizeof *table->pairs);
        if (table->pairs == NULL) abort();
    }
    memmove(table->pairs + at + 1, table->pairs + at, (table->count - at) * sizeof *table->pairs);
    table->pairs[at] = (struct pair){loam_bytes(keep(key.data, key.len), key.len), kept, expires_ms,
                                     loam_bytes(NULL, 0)};
    table->count++;
}

/* What is joined with an operand, or the operand alone. Of malloc. */
static loam_slice joined(const struct table_of *table, loam_slice older, loam_slice operand)
{
    if (older.data == NULL) return loam_bytes(keep(operand.data, operand.len), operand.len);
    void *result = malloc(older.len + operand.len + 1);
    if (result == NULL) abort();
    const size_t len = table->merger->combine(table->merger->ctx, older, operand, result);
    return loam_bytes(result, len);
}

/* A value that expires stays what it is under the operands, which are there alone when it has. */
void model_merge(struct model *model, const char *coll, loam_slice key, loam_slice operand)
{
    struct table_of *table = find(model, coll);
    const size_t at = lower(table, key);
    if (at == table->count || !bytes_equal(table->pairs[at].key, key)) {
        model_put(model, coll, key, operand);
        return;
    }
    struct pair *pair = &table->pairs[at];
    const loam_slice value = joined(table, pair->value, operand);
    const loam_slice alone =
        pair->expires_ms > 0 ? joined(table, pair->alone, operand) : loam_bytes(NULL, 0);
    free_values(pair);
    pair->value = value;
    pair->alone = alone;
}

void model_put(struct model *model, const char *coll, loam_slice key, loam_slice value)
{
    model_put_until(model, coll, key, value, 0);
}

/* Takes [low, end) out. */
static void take_pairs(struct table_of *table, size_t low, size_t end)
{
    if (end <= low) return;
    for (size_t i = low; i < end; i++) {
        free((void *)(uintptr_t)table->pairs[i].key.data);
        free_values(&table->pairs[i]);
    }
    memmove(table->pairs + low, table->pairs + end, (table->count - end) * sizeof *table->pairs);
    table->count -= end - low;
}

void model_delete(struct model *model, const char *coll, loam_slice key)
{
    struct table_of *table = find(model, coll);
    const size_t at = lower(table, key);
    if (at < table->count && bytes_equal(table->pairs[at].key, key)) take_pairs(table, at, at + 1);
}

void model_delete_range(struct model *model, const char *coll, loam_slice from, loam_slice to)
{
    struct table_of *table = find(model, coll);
    take_pairs(table, lower(table, from), to.len == 0 ? table->count : lower(table, to));
}

static void expire_pair(struct table_of *table, size_t at)
{
    struct pair *pair = &table->pairs[at];
    if (pair->alone.data == NULL) {
        take_pairs(table, at, at + 1);
        return;
    }
    free((void *)(uintptr_t)pair->value.data);
    pair->value = pair->alone;
    pair->alone = loam_bytes(NULL, 0);
    pair->expires_ms = 0;
}

void model_expire(struct model *model, uint64_t clock_ms)
{
    for (size_t i = 0; i < model->count; i++)
        for (size_t at = model->tables[i].count; at-- > 0;) {
            const uint64_t expires_ms = model->tables[i].pairs[at].expires_ms;
            if (expires_ms > 0 && expires_ms <= clock_ms) expire_pair(&model->tables[i], at);
        }
}

uint64_t model_ttl(const struct model *model, const char *coll)
{
    return model_options(find(model, coll)->options).ttl_ms;
}

void model_step(struct model *model, const struct model_words *step)
{
    switch (step->what) {
    case 'p':
        model_put_until(model, step->coll, step->key, step->value, step->expires_ms);
        break;
    case 'm':
        model_merge(model, step->coll, step->key, step->value);
        break;
    case 'd':
        model_delete(model, step->coll, step->key);
        break;
    case 'x':
        model_delete_range(model, step->coll, step->key, step->value);
        break;
    case '+':
        model_create(model, step->coll);
        find(model, step->coll)->has_options = true;
        find(model, step->coll)->merger = model_merger_for(step->coll);
        break;
    case '-':
        model_drop(model, step->coll);
        break;
    case 'c':
        model_clone(model, step->coll, step->to);
        break;
    case 'o':
        find(model, step->coll)->options = *(const uint8_t *)step->value.data;
        find(model, step->coll)->has_options = true;
        break;
    default:
        model_rename(model, step->coll, step->to);
    }
}

loam_coll_options model_options(uint8_t byte)
{
    loam_coll_options options = loam_coll_options_default();
    options.compression = (loam_compression)(byte % 3);
    if (byte < 12) options.ttl_ms = (uint64_t)(byte / 3) << 42; /* of a store that is kept */
    if (byte >= 12 && byte % 4 > 0) options.ttl_ms = UINT64_C(1) << byte / 4 % 16;
    return options;
}

/* ---- merge operators ---- */

static size_t keep_tail(void *ctx, loam_slice older, loam_slice newer, void *result)
{
    const size_t room = *(const size_t *)ctx;
    const size_t new_len = newer.len < room ? newer.len : room;
    const size_t old_len = older.len < room - new_len ? older.len : room - new_len;
    if (old_len > 0) memcpy(result, (const uint8_t *)older.data + older.len - old_len, old_len);
    if (new_len > 0)
        memcpy((uint8_t *)result + old_len, (const uint8_t *)newer.data + newer.len - new_len,
               new_len);
    return old_len + new_len;
}

static size_t tail_bytes = MODEL_TAIL_BYTES;
const loam_merge_operator model_tail = {"tail", keep_tail, &tail_bytes};

const loam_merge_operator *model_merger_for(const char *coll)
{
    if (strcmp(coll, "default") == 0) return NULL;
    switch ((strlen(coll) + (uint8_t)coll[0]) % 3) {
    case 0:
        return operator_built_in("append");
    case 1:
        return operator_built_in("add_i64");
    default:
        return &model_tail;
    }
}

void model_set_merger(struct model *model, const char *coll, const char *built_in)
{
    find(model, coll)->merger = operator_built_in(built_in);
}

const loam_merge_operator *model_merger(const struct model *model, const char *coll)
{
    return find(model, coll)->merger;
}

loam_status model_alter(loam_db *db, loam_coll *coll, uint8_t byte, bool *changes)
{
    loam_coll_options options = model_options(byte), before = options;
    *changes = true;
    const loam_status rc = loam_coll_options_get(db, coll, &before);
    if (rc < 0) return rc;
    options.merge_operator = before.merge_operator;
    *changes = options.compression != before.compression || options.ttl_ms != before.ttl_ms;
    return loam_coll_options_set(db, coll, &options);
}

bool model_get(const struct model *model, const char *coll, loam_slice key, loam_slice *value)
{
    const struct table_of *table = find(model, coll);
    const size_t at = lower(table, key);
    if (at == table->count || !bytes_equal(table->pairs[at].key, key)) return false;
    *value = table->pairs[at].value;
    return true;
}

size_t model_count(const struct model *model, const char *coll)
{
    return find(model, coll)->count;
}

void model_at(const struct model *model, const char *coll, size_t index, loam_slice *key,
              loam_slice *value)
{
    const struct table_of *table = find(model, coll);
    *key = table->pairs[index].key;
    *value = table->pairs[index].value;
}

/* What is joined does not expire as a whole. */
static uint64_t shown_expiry(const struct pair *pair)
{
    return pair->alone.data == NULL ? pair->expires_ms : 0;
}

uint64_t model_expires_at(const struct model *model, const char *coll, size_t index)
{
    return shown_expiry(&find(model, coll)->pairs[index]);
}

uint64_t model_expiry(const struct model *model, const char *coll, loam_slice key)
{
    loam_slice value;
    return model_get(model, coll, key, &value)
               ? model_expires_at(model, coll, model_lower(model, coll, key))
               : 0;
}

size_t model_lower(const struct model *model, const char *coll, loam_slice key)
{
    return lower(find(model, coll), key);
}

/* ---- comparing with a database --------------------------------------------------------------- */

struct names {
    const struct model *model;
    size_t index;
    bool differ;
};

static void take_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (names->index >= names->model->count ||
        strcmp(names->model->tables[names->index].name, name) != 0)
        names->differ = true;
    names->index++;
}

static const char *complain(const char *coll, const char *what, size_t at, loam_status rc)
{
    if (forgives && (rc == LOAM_IOERR || rc == LOAM_NOMEM)) return NULL;
    snprintf(message, sizeof message, "%s: %s at %zu: %s %s", coll, what, at, loam_status_name(rc),
             rc < 0 ? loam_errmsg() : "");
    return message;
}

static const char *walk(const struct table_of *table, loam_iter *it, bool backward)
{
    for (size_t i = 0; i <= table->count; i++) {
        const loam_status rc = backward ? loam_iter_prev(it) : loam_iter_next(it);
        if (i == table->count)
            return rc == LOAM_NOTFOUND ? NULL : complain(table->name, "no end", i, rc);
        const struct pair *pair = &table->pairs[backward ? table->count - 1 - i : i];
        if (rc != LOAM_OK) return complain(table->name, "early end", i, rc);
        if (!bytes_equal(loam_iter_key(it), pair->key))
            return complain(table->name, backward ? "key backward" : "key forward", i, rc);
        if (!bytes_equal(loam_iter_value(it), pair->value))
            return complain(table->name, backward ? "value backward" : "value forward", i, rc);
        const uint64_t expires_ms = loam_iter_expires_ms(it);
        const uint64_t want_ms = shown_expiry(pair);
        if (want_ms == MODEL_SOME_TIME ? expires_ms == 0 : expires_ms != want_ms)
            return complain(table->name, "expiry", i, rc);
    }
    return NULL;
}

static const char *get_each(const struct table_of *table, loam_db *db, loam_coll *coll,
                            const loam_snapshot *snap)
{
    loam_buf value = {0};
    const char *differs = NULL;
    for (size_t i = 0; i < table->count && differs == NULL; i++) {
        const loam_status rc = loam_get_at(db, coll, snap, table->pairs[i].key, &value);
        if (rc != LOAM_OK || !bytes_equal(loam_bytes(value.data, value.len), table->pairs[i].value))
            differs = complain(table->name, "get", i, rc);
    }
    loam_buf_free(&value);
    return differs;
}

static bool options_differ(const struct table_of *table, loam_db *db, loam_coll *coll)
{
    const loam_coll_options want = model_options(table->options);
    loam_coll_options got = {.struct_size = sizeof got};
    if (!table->has_options) return false;
    return loam_coll_options_get(db, coll, &got) != LOAM_OK ||
           (got.merge_operator == NULL) != (table->merger == NULL) ||
           (table->merger != NULL && strcmp(got.merge_operator, table->merger->name) != 0) ||
           got.compression != want.compression || got.ttl_ms != want.ttl_ms;
}

static const char *table_differs(const struct table_of *table, loam_db *db,
                                 const loam_snapshot *snap)
{
    loam_coll *coll;
    loam_iter *it;
    const loam_range range = {.at = snap};
    loam_status rc = loam_collection(db, table->name, &coll);
    if (rc != LOAM_OK) return complain(table->name, "missing", 0, rc);
    if (snap == NULL && options_differ(table, db, coll))
        return complain(table->name, "options", 0, LOAM_OK);
    rc = loam_iter_open(db, coll, &range, &it);
    if (rc != LOAM_OK) return complain(table->name, "iterator", 0, rc);
    const char *differs = walk(table, it, false);
    if (differs == NULL) differs = walk(table, it, true);
    loam_iter_close(it);
    return differs != NULL ? differs : get_each(table, db, coll, snap);
}

const char *model_differs(const struct model *model, loam_db *db, const loam_snapshot *snap)
{
    struct names names = {.model = model};
    if (snap == NULL) { /* collections are not part of snapshots */
        const loam_status rc = loam_collections(db, take_name, &names);
        if (rc != LOAM_OK) {
            const char *differs = complain("collections", "list", 0, rc);
            if (differs != NULL) return differs;
        } else if (names.differ || names.index != model->count) {
            return complain("collections", "differ", names.index, LOAM_OK);
        }
    }
    for (size_t i = 0; i < model->count; i++) {
        const char *differs = table_differs(&model->tables[i], db, snap);
        if (differs != NULL) return differs;
    }
    return NULL;
}

const char *model_differs_by(const struct model *model, loam_db *db, uint64_t clock_ms)
{
    struct model *shown = model_copy(model);
    model_expire(shown, clock_ms);
    const char *differs = model_differs(shown, db, NULL);
    model_free(shown);
    return differs;
}

const char *model_contradicts(const struct model *model, loam_db *db, const loam_snapshot *snap)
{
    forgives = true;
    const char *contradicts = model_differs(model, db, snap);
    forgives = false;
    return contradicts;
}
