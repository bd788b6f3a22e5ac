/*
 * coll_map.c - handles of collections, found by id and by name; see db.h.
 *
 * Two chained hashes: by id for the lane, which meets ids in batches, and by name for the calls. A handle lives as long as its database.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "db/merges.h"

#include "base/poison.h"

enum { MAP_SLOTS_FIRST = 64 };

/* ---- the maps ------------------------------------------------------------------------------ */

loam_status coll_map_init(struct coll_map *map)
{
    map->slots = mem_zalloc(MAP_SLOTS_FIRST * sizeof(struct loam_coll *));
    if (map->slots == NULL) return LOAM_NOMEM;
    map->slot_count = MAP_SLOTS_FIRST;
    map->count = 0;
    return LOAM_OK;
}

static struct loam_coll **id_slot(const struct coll_map *map, uint32_t id)
{
    return &map->slots[(id * UINT64_C(0x9e3779b9)) & (map->slot_count - 1)];
}

static struct loam_coll **name_slot(const struct coll_map *map, const char *name)
{
    return &map->slots[hash_key(loam_str(name)) & (map->slot_count - 1)];
}

struct loam_coll *coll_by_id(loam_db *db, uint32_t id)
{
    struct loam_coll *coll = *id_slot(&db->by_id, id);
    while (coll != NULL && coll->id != id)
        coll = coll->id_next;
    return coll;
}

struct loam_coll *coll_by_name(loam_db *db, const char *name)
{
    struct loam_coll *coll = *name_slot(&db->by_name, name);
    while (coll != NULL && strcmp(coll->name, name) != 0)
        coll = coll->name_next;
    return coll;
}

static void put_id(struct coll_map *map, struct loam_coll *coll)
{
    struct loam_coll **slot = id_slot(map, coll->id);
    coll->id_next = *slot;
    *slot = coll;
}

static void put_name(struct coll_map *map, struct loam_coll *coll)
{
    struct loam_coll **slot = name_slot(map, coll->name);
    coll->name_next = *slot;
    *slot = coll;
}

/* Doubles a map that is full. A map that cannot grow is slower and still right. */
static void grow(struct coll_map *map, bool ids)
{
    struct coll_map bigger = {.slot_count = map->slot_count * 2, .count = map->count};
    if (map->count < map->slot_count) return;
    bigger.slots = mem_zalloc(bigger.slot_count * sizeof(struct loam_coll *));
    if (bigger.slots == NULL) return;
    for (size_t i = 0; i < map->slot_count; i++) {
        for (struct loam_coll *coll = map->slots[i], *next; coll != NULL; coll = next) {
            next = ids ? coll->id_next : coll->name_next;
            if (ids)
                put_id(&bigger, coll);
            else
                put_name(&bigger, coll);
        }
    }
    mem_free(map->slots);
    *map = bigger;
}

static void take_id(struct coll_map *map, struct loam_coll *coll)
{
    struct loam_coll **link = id_slot(map, coll->id);
    while (*link != coll)
        link = &(*link)->id_next;
    *link = coll->id_next;
    map->count--;
}

static void take_name(struct coll_map *map, struct loam_coll *coll)
{
    struct loam_coll **link = name_slot(map, coll->name);
    while (*link != coll)
        link = &(*link)->name_next;
    *link = coll->name_next;
    map->count--;
}

/* ---- handles -------------------------------------------------------------------------------- */

char *coll_copy_name(const char *name)
{
    return mem_copy(name, strlen(name) + 1);
}

void coll_tell_name(struct loam_coll *coll, char name[static COLL_NAME_ROOM])
{
    mutex_lock(&coll->db->names);
    const size_t len = strlen(coll->name);
    memcpy(name, coll->name, len < COLL_NAME_ROOM ? len + 1 : COLL_NAME_ROOM);
    mutex_unlock(&coll->db->names);
    name[COLL_NAME_ROOM - 1] = '\0';
}

struct loam_coll *coll_handle_prepare(loam_db *db, const char *name, const char *merge_operator)
{
    struct loam_coll *coll = mem_zalloc(sizeof *coll);
    if (coll == NULL) return NULL;
    coll->db = db;
    coll->name = coll_copy_name(name);
    if (merge_operator != NULL) coll->merge_operator = coll_copy_name(merge_operator);
    const bool is_short =
        coll->name == NULL || (merge_operator != NULL && coll->merge_operator == NULL);
    struct view *view = is_short ? NULL : view_spare();
    atomic_init(&coll->view, view);
    if (view != NULL) return coll;
    coll_handle_free(coll);
    return NULL;
}

void coll_handle_free(struct loam_coll *coll)
{
    if (coll == NULL) return;
    struct view *view = atomic_load(&coll->view);
    if (view != NULL) view_unref(view);
    mem_free(coll->name);
    mem_free(coll->merge_operator);
    mem_free(coll);
}

/* Its name is there, or there is none. */
static void show_operator(struct loam_coll *coll)
{
    if (coll->merge_operator == NULL) return;
    const loam_merge_operator *merger = operator_find(coll->db, coll->merge_operator);
    atomic_store_explicit(&coll->merger, merger, memory_order_release);
    if (merger == NULL && !coll->db->takes_any_operand) atomic_store(&coll->is_shut, true);
}

void coll_handle_show(struct loam_coll *coll, const struct coll_state *state)
{
    loam_db *db = coll->db;
    coll->id = state->id;
    atomic_init(&coll->compression, state->options.compression);
    atomic_init(&coll->ttl_ms, state->options.ttl_ms);
    show_operator(coll);
    version_ref(state->version);
    atomic_load(&coll->view)->version = state->version; /* nobody sees it yet */
    mutex_lock(&db->lane);
    grow(&db->by_id, true);
    put_id(&db->by_id, coll);
    db->by_id.count++;
    mutex_lock(&db->names);
    grow(&db->by_name, false);
    put_name(&db->by_name, coll);
    db->by_name.count++;
    coll->all_next = db->all;
    db->all = coll;
    if (coll->id == 0) db->default_coll = coll;
    mutex_unlock(&db->names);
    mutex_unlock(&db->lane);
}

loam_status coll_handle_new(loam_db *db, const struct coll_state *state)
{
    struct loam_coll *coll = coll_handle_prepare(db, state->name, state->options.merge_operator);
    if (coll == NULL) return LOAM_NOMEM;
    coll_handle_show(coll, state);
    return LOAM_OK;
}

void coll_forget(struct loam_coll *coll)
{
    mutex_lock(&coll->db->names);
    take_name(&coll->db->by_name, coll);
    mutex_unlock(&coll->db->names);
    take_id(&coll->db->by_id, coll);
    atomic_store(&coll->dropped, true);
    atomic_store(&coll->is_shut, true);
}

void coll_free_all(loam_db *db)
{
    for (struct loam_coll *coll = db->all, *next; coll != NULL; coll = next) {
        next = coll->all_next;
        coll_handle_free(coll);
    }
    mem_free(db->by_id.slots);
    mem_free(db->by_name.slots);
}

static void forget_absent(loam_db *db, loam_db *fresh, struct view **spares)
{
    for (struct loam_coll *coll = db->all; coll != NULL; coll = coll->all_next) {
        if (atomic_load(&coll->dropped) || coll_by_id(fresh, coll->id) != NULL) continue;
        atomic_store(&coll->dropped, true);
        atomic_store(&coll->is_shut, true);
        view_replace(coll, *spares++);
        coll->active = NULL;
    }
}

/* What changes of it; what it had goes with `from`. */
static void take_over_handle(struct loam_coll *coll, struct loam_coll *from)
{
    char *name = coll->name;
    coll->name = from->name;
    from->name = name;
    coll->named_seq = from->named_seq;
    atomic_store(&coll->compression, atomic_load(&from->compression));
    atomic_store(&coll->ttl_ms, atomic_load(&from->ttl_ms));
    if (coll->merge_operator == NULL && from->merge_operator != NULL) {
        coll->merge_operator = from->merge_operator;
        from->merge_operator = NULL;
        show_operator(coll);
    }
    view_replace(coll, atomic_load(&from->view));
    atomic_store(&from->view, NULL);
    coll->active = from->active;
}

static void move_handle(loam_db *db, struct loam_coll *coll)
{
    coll->db = db;
    coll->is_dirty = false;
    coll->dirty_prev = coll->dirty_next = NULL;
    coll->all_next = db->all;
    db->all = coll;
    if (coll->id == 0) db->default_coll = coll;
}

void coll_adopt_all(loam_db *db, loam_db *fresh, struct view **spares)
{
    struct loam_coll *left = NULL;
    forget_absent(db, fresh, spares);
    for (struct loam_coll *from = fresh->all, *next; from != NULL; from = next) {
        struct loam_coll *coll = coll_by_id(db, from->id);
        const bool is_gone = atomic_load(&from->dropped); /* its drop was replayed */
        next = from->all_next;
        if (coll == NULL && !is_gone) {
            move_handle(db, from);
            continue;
        }
        if (coll != NULL && !is_gone) take_over_handle(coll, from);
        from->all_next = left;
        left = from;
    }
    fresh->all = left;
    const struct coll_map ids = db->by_id, names = db->by_name;
    db->by_id = fresh->by_id;
    db->by_name = fresh->by_name;
    fresh->by_id = ids; /* to be freed */
    fresh->by_name = names;
    memset(db->by_id.slots, 0, db->by_id.slot_count * sizeof(struct loam_coll *));
    memset(db->by_name.slots, 0, db->by_name.slot_count * sizeof(struct loam_coll *));
    for (struct loam_coll *coll = db->all; coll != NULL; coll = coll->all_next) {
        if (atomic_load(&coll->dropped)) continue;
        put_id(&db->by_id, coll);
        put_name(&db->by_name, coll);
    }
}

bool coll_name_since(loam_db *db, uint32_t id, char name[static COLL_NAME_ROOM], uint64_t *seq)
{
    mutex_lock(&db->names);
    const struct loam_coll *coll = db->all;
    while (coll != NULL && coll->id != id)
        coll = coll->all_next;
    if (coll != NULL) {
        (void)snprintf(name, COLL_NAME_ROOM, "%s", coll->name);
        *seq = coll->named_seq;
    }
    mutex_unlock(&db->names);
    return coll != NULL;
}

uint64_t coll_doubt_name(struct loam_coll *coll, uint64_t seq)
{
    mutex_lock(&coll->db->names);
    const uint64_t before = coll->named_seq;
    coll->named_seq = seq;
    mutex_unlock(&coll->db->names);
    return before;
}

void coll_show_name(loam_coll *coll, char *name, uint64_t seq)
{
    loam_db *db = coll->db;
    mutex_lock(&db->names);
    take_name(&db->by_name, coll);
    mem_free(coll->name);
    coll->name = name;
    coll->named_seq = seq;
    put_name(&db->by_name, coll);
    db->by_name.count++;
    mutex_unlock(&db->names);
}

loam_status coll_copy_operator(const loam_coll *coll, const char *name, char **out)
{
    *out = NULL;
    if (name == NULL || coll->merge_operator != NULL) return LOAM_OK;
    *out = coll_copy_name(name);
    return *out == NULL ? LOAM_NOMEM : LOAM_OK;
}

void coll_show_options(loam_coll *coll, const struct coll_options *options, char *merge_operator)
{
    mutex_lock(&coll->db->names);
    atomic_store(&coll->compression, options->compression);
    atomic_store(&coll->ttl_ms, options->ttl_ms);
    if (merge_operator != NULL) coll->merge_operator = merge_operator;
    show_operator(coll);
    mutex_unlock(&coll->db->names);
}

loam_status coll_rename_handle(loam_coll *coll, const char *to, uint64_t seq)
{
    char *name = coll_copy_name(to);
    if (name == NULL) return LOAM_NOMEM;
    coll_show_name(coll, name, seq);
    return LOAM_OK;
}
