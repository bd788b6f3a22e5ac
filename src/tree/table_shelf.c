/*
 * table_shelf.c - two hash tables, of tables by uid and of objects by id; see table_shelf.h.
 */
#include "tree/table_shelf.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/thread.h"

#include "base/poison.h"

struct shelf_node { /* the head of what is chained in a hash */
    struct shelf_node *next;
    uint64_t key;
};

struct shelf_hash { /* chained; a power of two of slots */
    struct shelf_node **slots;
    size_t slot_count, count;
};

struct shelved_table {
    struct shelf_node node; /* key: uid */
    struct table *table;    /* referenced */
    uint64_t place_count;
    bool joins; /* an object that was pinned before: is that still the file of this name? */
};

struct shelved_object {
    struct shelf_node node; /* key: epoch << 32 | number */
    uint64_t table_count;   /* not gone */
    struct object *pinned;  /* or NULL */
    uint64_t bytes;         /* to the end of its last table that was ever here */
};

struct table_shelf {
    struct shelf_config config;
    struct shelf_hash tables;
    bool armed;
    uint32_t refs;
    struct mutex lock; /* what follows */
    struct shelf_hash objects;
    uint64_t object_bytes;
    uint64_t entry_count; /* of all tables that are not gone */
};

/* ---- the hash -------------------------------------------------------------------------------- */

enum { SLOTS_LEAST = 16 };

static size_t shelf_slot(const struct shelf_hash *hash, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (hash->slot_count - 1);
}

static struct shelf_node *shelf_find(const struct shelf_hash *hash, uint64_t key)
{
    struct shelf_node *node = hash->slot_count == 0 ? NULL : hash->slots[shelf_slot(hash, key)];
    while (node != NULL && node->key != key)
        node = node->next;
    return node;
}

static loam_status shelf_grow(struct shelf_hash *hash)
{
    if (hash->count < hash->slot_count) return LOAM_OK;
    struct shelf_hash grown = {.slot_count =
                                   hash->slot_count == 0 ? SLOTS_LEAST : hash->slot_count * 2,
                               .count = hash->count};
    grown.slots = mem_alloc_array(grown.slot_count, sizeof(struct shelf_node *));
    if (grown.slots == NULL) return LOAM_NOMEM;
    for (size_t i = 0; i < grown.slot_count; i++)
        grown.slots[i] = NULL;
    for (size_t i = 0; i < hash->slot_count; i++) {
        for (struct shelf_node *node = hash->slots[i], *next; node != NULL; node = next) {
            struct shelf_node **slot = &grown.slots[shelf_slot(&grown, node->key)];
            next = node->next;
            node->next = *slot;
            *slot = node;
        }
    }
    mem_free(hash->slots);
    *hash = grown;
    return LOAM_OK;
}

/* There is a slot for it: shelf_grow() was called. */
static void shelf_insert(struct shelf_hash *hash, struct shelf_node *node)
{
    struct shelf_node **slot = &hash->slots[shelf_slot(hash, node->key)];
    node->next = *slot;
    *slot = node;
    hash->count++;
}

static void shelf_remove(struct shelf_hash *hash, struct shelf_node *node)
{
    struct shelf_node **at = &hash->slots[shelf_slot(hash, node->key)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    hash->count--;
}

/* ---- objects --------------------------------------------------------------------------------- */

static uint64_t object_key(struct object_id id)
{
    return (uint64_t)id.epoch << 32 | id.number;
}

static loam_status add_object_locked(struct table_shelf *shelf, const struct table_meta *meta,
                                     bool *joins) REQUIRES(shelf->lock)
{
    const uint64_t key = object_key(meta->object), end = meta->offset + meta->bytes;
    struct shelved_object *object = (struct shelved_object *)shelf_find(&shelf->objects, key);
    if (object == NULL) {
        loam_status rc = shelf_grow(&shelf->objects);
        if (rc != LOAM_OK) return rc;
        object = mem_zalloc(sizeof *object);
        if (object == NULL) return LOAM_NOMEM;
        object->node.key = key;
        shelf_insert(&shelf->objects, &object->node);
    }
    object->table_count++;
    shelf->entry_count += meta->entry_count;
    *joins = object->pinned != NULL;
    if (end > object->bytes) {
        shelf->object_bytes += end - object->bytes;
        object->bytes = end;
    }
    return LOAM_OK;
}

static loam_status add_object(struct table_shelf *shelf, const struct table_meta *meta, bool *joins)
{
    mutex_lock(&shelf->lock);
    const loam_status rc = add_object_locked(shelf, meta, joins);
    mutex_unlock(&shelf->lock);
    return rc;
}

/* That table of its object less; true when it was the last. */
static bool drop_from_object(struct table_shelf *shelf, const struct table_meta *meta)
{
    mutex_lock(&shelf->lock);
    struct shelved_object *object =
        (struct shelved_object *)shelf_find(&shelf->objects, object_key(meta->object));
    check(object != NULL);
    check(object->table_count > 0);
    shelf->entry_count -= meta->entry_count;
    const bool was_last = --object->table_count == 0;
    if (was_last) {
        shelf_remove(&shelf->objects, &object->node);
        shelf->object_bytes -= object->bytes;
    }
    mutex_unlock(&shelf->lock);
    if (was_last) {
        object_close(object->pinned);
        mem_free(object);
    }
    return was_last;
}

/* Called by the table when its last reference goes, on whatever thread. */
static void lose_doomed_table(void *ctx, const struct table_meta *meta)
{
    struct table_shelf *shelf = ctx;
    if (drop_from_object(shelf, meta)) shelf->config.delete_object(shelf->config.ctx, meta->object);
}

bool shelf_uses_object(struct table_shelf *shelf, struct object_id id)
{
    mutex_lock(&shelf->lock);
    const bool uses = shelf_find(&shelf->objects, object_key(id)) != NULL;
    mutex_unlock(&shelf->lock);
    return uses;
}

uint64_t shelf_object_bytes(struct table_shelf *shelf)
{
    mutex_lock(&shelf->lock);
    const uint64_t bytes = shelf->object_bytes;
    mutex_unlock(&shelf->lock);
    return bytes;
}

uint64_t shelf_entry_count(struct table_shelf *shelf)
{
    mutex_lock(&shelf->lock);
    const uint64_t count = shelf->entry_count;
    mutex_unlock(&shelf->lock);
    return count;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool metas_equal(const struct table_meta *a, const struct table_meta *b)
{
    return object_id_equal(a->object, b->object) && a->offset == b->offset &&
           a->bytes == b->bytes && bytes_equal(a->smallest, b->smallest) &&
           bytes_equal(a->largest, b->largest) && a->seq_min == b->seq_min &&
           a->seq_max == b->seq_max && a->seq_shift == b->seq_shift &&
           a->entry_count == b->entry_count && a->tombstone_count == b->tombstone_count &&
           a->payload_bytes == b->payload_bytes && a->page_count == b->page_count &&
           a->dense_count == b->dense_count && a->swept_seq == b->swept_seq;
}

static loam_status make_table(struct table_shelf *shelf, const struct table_meta *meta,
                              struct table **out)
{
    const struct table_owner owner = {.store = shelf->config.store,
                                      .cache = shelf->config.cache,
                                      .doomed = lose_doomed_table,
                                      .ctx = shelf};
    struct shelved_table *shelved = mem_zalloc(sizeof *shelved);
    loam_status rc = shelved == NULL ? LOAM_NOMEM : shelf_grow(&shelf->tables);
    if (rc == LOAM_OK) rc = table_new(&owner, meta, &shelved->table);
    if (rc == LOAM_OK) rc = add_object(shelf, meta, &shelved->joins);
    if (rc != LOAM_OK) {
        if (shelved != NULL) table_unref(shelved->table);
        mem_free(shelved);
        return rc;
    }
    shelved->node.key = meta->uid;
    shelf_insert(&shelf->tables, &shelved->node);
    *out = shelved->table;
    return LOAM_OK;
}

loam_status shelf_take(struct table_shelf *shelf, const struct table_meta *meta, struct table **out,
                       bool *is_new)
{
    struct shelved_table *shelved = (struct shelved_table *)shelf_find(&shelf->tables, meta->uid);
    *is_new = shelved == NULL;
    if (shelved == NULL) return make_table(shelf, meta, out);
    if (!metas_equal(table_meta(shelved->table), meta))
        return failed(LOAM_CORRUPT, "table %016" PRIx64 " is described in two ways", meta->uid);
    *out = shelved->table;
    return LOAM_OK;
}

static struct shelved_table *shelved_of(const struct table_shelf *shelf, const struct table *table)
{
    struct shelved_table *shelved =
        (struct shelved_table *)shelf_find(&shelf->tables, table_meta(table)->uid);
    check(shelved != NULL);
    check(shelved->table == table);
    return shelved;
}

loam_status shelf_pin(struct table_shelf *shelf, struct table *table)
{
    check(shelf->armed); /* else the object is forgotten while the table is still read */
    mutex_lock(&shelf->lock);
    struct shelved_object *object =
        (struct shelved_object *)shelf_find(&shelf->objects, object_key(table_meta(table)->object));
    check(object != NULL);
    loam_status rc = table_pin(table, &object->pinned);
    mutex_unlock(&shelf->lock);
    struct shelved_table *shelved = shelved_of(shelf, table);
    if (rc == LOAM_OK && shelved->joins) rc = table_check_pinned(table);
    if (rc == LOAM_OK) shelved->joins = false;
    return rc;
}

void shelf_place(struct table_shelf *shelf, struct table *table)
{
    shelved_of(shelf, table)->place_count++;
}

static void leave_shelf(struct table_shelf *shelf, struct shelved_table *shelved, bool dooming)
{
    struct table *table = shelved->table;
    shelf_remove(&shelf->tables, &shelved->node);
    mem_free(shelved);
    if (dooming)
        table_doom(table);
    else
        (void)drop_from_object(shelf, table_meta(table));
    table_unref(table);
}

void shelf_unplace(struct table_shelf *shelf, struct table *table)
{
    struct shelved_table *shelved = shelved_of(shelf, table);
    check(shelved->place_count > 0);
    if (--shelved->place_count == 0) leave_shelf(shelf, shelved, shelf->armed);
}

void shelf_sweep(struct table_shelf *shelf, struct table *table)
{
    struct shelved_table *shelved = shelved_of(shelf, table);
    if (shelved->place_count == 0) leave_shelf(shelf, shelved, shelf->armed);
}

void shelf_forget(struct table_shelf *shelf, struct table *table)
{
    struct shelved_table *shelved = shelved_of(shelf, table);
    check(shelved->place_count == 0);
    leave_shelf(shelf, shelved, false);
}

/* ---- life ------------------------------------------------------------------------------------ */

loam_status shelf_new(const struct shelf_config *config, struct table_shelf **out)
{
    struct table_shelf *shelf = mem_zalloc(sizeof *shelf);
    if (shelf == NULL) return LOAM_NOMEM;
    shelf->config = *config;
    shelf->refs = 1;
    mutex_init(&shelf->lock);
    *out = shelf;
    return LOAM_OK;
}

void shelf_arm(struct table_shelf *shelf)
{
    shelf->armed = true;
}

static void free_hash(struct shelf_hash *hash)
{
    for (size_t i = 0; i < hash->slot_count; i++) {
        for (struct shelf_node *node = hash->slots[i], *next; node != NULL; node = next) {
            next = node->next;
            mem_free(node);
        }
    }
    mem_free(hash->slots);
}

struct table_shelf *shelf_ref(struct table_shelf *shelf)
{
    shelf->refs++;
    return shelf;
}

bool shelf_is_shared(const struct table_shelf *shelf)
{
    return shelf != NULL && shelf->refs > 1;
}

void shelf_unref(struct table_shelf *shelf)
{
    if (shelf == NULL || --shelf->refs > 0) return;
    for (size_t i = 0; i < shelf->tables.slot_count; i++)
        for (struct shelf_node *node = shelf->tables.slots[i]; node != NULL; node = node->next)
            table_unref(((struct shelved_table *)node)->table);
    for (size_t i = 0; i < shelf->objects.slot_count; i++)
        for (struct shelf_node *node = shelf->objects.slots[i]; node != NULL; node = node->next)
            object_close(((struct shelved_object *)node)->pinned);
    free_hash(&shelf->tables);
    free_hash(&shelf->objects);
    mutex_deinit(&shelf->lock);
    mem_free(shelf);
}
