/*
 * manifest_salvage.c - what of a damaged manifest can still be read; see manifest_salvage.h.
 */
#include "tree/manifest_salvage.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

enum { LINE_BYTES = 640 };

static void free_slice(loam_slice slice)
{
    void *owned;
    memcpy(&owned, &slice.data, sizeof owned); /* ours, and const only to readers */
    mem_free(owned);
}

void salvage_facts_deinit(struct salvage_facts *facts)
{
    for (size_t i = 0; i < facts->coll_count; i++) {
        mem_free(facts->colls[i].name);
        mem_free(facts->colls[i].options.merge_operator);
        range_set_unref(facts->colls[i].ranges);
    }
    for (size_t i = 0; i < facts->table_count; i++) {
        free_slice(facts->tables[i].from);
        free_slice(facts->tables[i].to);
    }
    mem_free(facts->colls);
    mem_free(facts->tables);
    mem_free(facts->buckets);
    memset(facts, 0, sizeof *facts);
}

/* ---- collections ----------------------------------------------------------------------------- */

static size_t coll_place(const struct salvage_facts *facts, uint32_t id)
{
    size_t low = 0, high = facts->coll_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (facts->colls[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct salvage_coll *salvage_coll_find(const struct salvage_facts *facts, uint32_t id)
{
    const size_t at = coll_place(facts, id);
    return at < facts->coll_count && facts->colls[at].id == id ? &facts->colls[at] : NULL;
}

loam_status salvage_coll_take(struct salvage_facts *facts, uint32_t id, struct salvage_coll **out)
{
    const size_t at = coll_place(facts, id);
    if (at >= facts->coll_count || facts->colls[at].id != id) {
        if (facts->coll_count == facts->coll_cap) {
            const size_t cap = facts->coll_cap == 0 ? 16 : facts->coll_cap * 2;
            struct salvage_coll *grown = mem_realloc(facts->colls, cap * sizeof *grown);
            if (grown == NULL) return LOAM_NOMEM;
            facts->colls = grown;
            facts->coll_cap = cap;
        }
        memmove(facts->colls + at + 1, facts->colls + at,
                (facts->coll_count - at) * sizeof *facts->colls);
        facts->colls[at] = (struct salvage_coll){.id = id};
        facts->coll_count++;
    }
    *out = &facts->colls[at];
    return LOAM_OK;
}

static loam_status set_name(struct salvage_coll *coll, loam_slice name)
{
    char *copy = mem_zalloc(name.len + 1);
    if (copy == NULL) return LOAM_NOMEM;
    memcpy(copy, name.data, name.len);
    mem_free(coll->name);
    coll->name = copy;
    return LOAM_OK;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct salvage_facts *facts, uint64_t uid)
{
    return &facts->buckets[hash_seeded(&uid, sizeof uid, 0) & (facts->bucket_count - 1)];
}

static loam_status grow_buckets(struct salvage_facts *facts)
{
    const uint32_t count = facts->bucket_count == 0 ? 64 : facts->bucket_count * 2;
    uint32_t *buckets = mem_zalloc(count * sizeof *buckets);
    if (buckets == NULL) return LOAM_NOMEM;
    mem_free(facts->buckets);
    facts->buckets = buckets;
    facts->bucket_count = count;
    for (uint32_t i = 0; i < facts->table_count; i++) {
        uint32_t *bucket = bucket_of(facts, facts->tables[i].meta.uid);
        facts->tables[i].next = *bucket;
        *bucket = i + 1;
    }
    return LOAM_OK;
}

static struct salvage_table *next_place(const struct salvage_facts *facts, uint64_t uid,
                                        const struct salvage_table *last)
{
    uint32_t at = last != NULL ? last->next : facts->bucket_count > 0 ? *bucket_of(facts, uid) : 0;
    while (at != 0 && facts->tables[at - 1].meta.uid != uid)
        at = facts->tables[at - 1].next;
    return at == 0 ? NULL : &facts->tables[at - 1];
}

bool salvage_is_double(const struct salvage_facts *facts, size_t index)
{
    const struct salvage_table *place = NULL;
    const uint64_t uid = facts->tables[index].meta.uid;
    while ((place = next_place(facts, uid, place)) != NULL)
        if (place < &facts->tables[index] && !place->is_gone) return true;
    return false;
}

bool salvage_knows_table(const struct salvage_facts *facts, uint64_t uid)
{
    return next_place(facts, uid, NULL) != NULL;
}

static struct salvage_table *place_of(const struct salvage_facts *facts,
                                      const struct change *change)
{
    struct salvage_table *place = NULL;
    const uint64_t uid = change->tag == CHANGE_TABLE_ADD ? change->meta.uid : change->uid;
    while ((place = next_place(facts, uid, place)) != NULL)
        if (place->coll == change->coll && place->level == change->level &&
            place->run == change->run)
            return place;
    return NULL;
}

static loam_status set_clip(struct salvage_table *place, loam_slice from, loam_slice to)
{
    loam_slice copies[2] = {from, to};
    for (size_t i = 0; i < 2; i++) {
        copies[i].data = mem_copy(copies[i].data, copies[i].len);
        if (copies[i].data != NULL) continue;
        if (i > 0) free_slice(copies[0]);
        return LOAM_NOMEM;
    }
    free_slice(place->from);
    free_slice(place->to);
    place->from = copies[0];
    place->to = copies[1];
    return LOAM_OK;
}

loam_status salvage_table_add(struct salvage_facts *facts, const struct change *change)
{
    loam_status rc = LOAM_OK;
    struct salvage_table *place = place_of(facts, change);
    if (place == NULL && facts->table_count == facts->table_cap) {
        const size_t cap = facts->table_cap == 0 ? 16 : facts->table_cap * 2;
        struct salvage_table *grown = mem_realloc(facts->tables, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        facts->tables = grown;
        facts->table_cap = cap;
    }
    if (place == NULL && facts->table_count >= facts->bucket_count) rc = grow_buckets(facts);
    if (rc < 0) return rc;
    if (place == NULL) {
        uint32_t *bucket = bucket_of(facts, change->meta.uid);
        place = &facts->tables[facts->table_count++];
        *place = (struct salvage_table){
            .coll = change->coll, .level = change->level, .run = change->run, .next = *bucket};
        place->meta.uid = change->meta.uid; /* it is in the bucket, whatever follows */
        *bucket = (uint32_t)facts->table_count;
    }
    place->meta = change->meta;
    place->meta.smallest = place->meta.largest = loam_bytes(NULL, 0);
    place->is_gone = false;
    return set_clip(place, change->from, change->to);
}

/* The tables that it shares with its source, of which only those that were there then: later ones may be known already. */
static loam_status share_tables(struct salvage_facts *facts, const struct change *change)
{
    loam_status rc = LOAM_OK;
    const size_t count = facts->table_count;
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        const struct salvage_table place = facts->tables[i];
        if (place.coll != change->source || place.is_gone || place.meta.seq_max > change->seq)
            continue;
        const struct change shared = {.tag = CHANGE_TABLE_ADD,
                                      .coll = change->coll,
                                      .level = place.level,
                                      .run = place.run,
                                      .meta = place.meta,
                                      .from = place.from,
                                      .to = place.to};
        rc = salvage_table_add(facts, &shared);
    }
    return rc;
}

/* What its source is now, but for the tables of a clone that was known before: those it may have lost since. */
static loam_status take_clone(struct salvage_facts *facts, const struct change *change)
{
    struct salvage_coll *coll;
    struct change options = {.coll = change->coll};
    const bool is_new = salvage_coll_find(facts, change->coll) == NULL;
    loam_status rc = salvage_coll_take(facts, change->coll, &coll);
    if (rc < 0) return rc;
    const struct salvage_coll *source = salvage_coll_find(facts, change->source);
    if (source != NULL && is_new) {
        const loam_coll_options given = coll_options_public(&source->options);
        change_set_options(&options, &given);
        rc = coll_options_take(&coll->options, &options);
        coll->flushed_seq = change->seq;
        if (source->flushed_seq <= change->seq) {
            range_set_ref(source->ranges);
            coll->ranges = source->ranges;
        }
        if (rc == LOAM_OK) rc = share_tables(facts, change);
    }
    return rc < 0 ? rc : set_name(coll, change->name);
}

loam_status salvage_coll_change(struct salvage_facts *facts, const struct change *change)
{
    struct salvage_coll *coll;
    const bool creates = change->tag == CHANGE_COLL_CREATE;
    const bool drops = change->tag == CHANGE_COLL_DROP;
    const bool alters = change->tag == CHANGE_COLL_OPTIONS;
    if (change->coll == 0 && !alters)
        return LOAM_OK; /* "default" is always there, and is called so */
    if (change->tag == CHANGE_COLL_CLONE) return take_clone(facts, change);
    if (!creates && !drops && !alters && change->tag != CHANGE_COLL_RENAME) return LOAM_OK;
    loam_status rc = salvage_coll_take(facts, change->coll, &coll);
    if (rc == LOAM_OK && (creates || alters)) rc = coll_options_take(&coll->options, change);
    if (rc < 0 || alters) return rc;
    if (!drops) return set_name(coll, change->name);
    coll->is_dropped = true;
    for (size_t i = 0; i < facts->table_count; i++)
        if (facts->tables[i].coll == change->coll) facts->tables[i].is_gone = true;
    return LOAM_OK;
}

/* ---- edits ----------------------------------------------------------------------------------- */

static loam_status take_log_change(struct salvage_facts *facts, const struct change *change)
{
    if (change->tag == CHANGE_LOG_START) {
        facts->has_log = true;
        facts->log_epoch = change->object.epoch;
        facts->log_start = facts->log_attested = change->position;
        facts->log_floor = 0;
    } else if (change->tag == CHANGE_LOG_FLOOR) {
        facts->log_floor = change->position;
    } else if (change->tag == CHANGE_LOG_ATTEST && change->position > facts->log_attested) {
        facts->log_attested = change->position;
    } else if (change->tag == CHANGE_COUNTERS) {
        if (change->seq > facts->change_seq) facts->change_seq = change->seq;
        if (change->time_ms > facts->time_ms) facts->time_ms = change->time_ms;
    } else if (change->tag == CHANGE_SNAPSHOT_END) {
        facts->is_complete = true;
    }
    return LOAM_OK;
}

static loam_status take_ranges(struct salvage_coll *coll, loam_slice bytes)
{
    struct range_set *set;
    const loam_status rc = range_set_decode(bytes, &set);
    if (rc < 0) return rc;
    range_set_unref(coll->ranges);
    coll->ranges = set;
    return LOAM_OK;
}

loam_status salvage_change(struct salvage_facts *facts, const struct change *change)
{
    struct salvage_table *place = NULL;
    struct salvage_coll *coll;
    loam_status rc = LOAM_OK;
    switch (change->tag) {
    case CHANGE_COLL_CREATE:
    case CHANGE_COLL_RENAME:
    case CHANGE_COLL_DROP:
    case CHANGE_COLL_OPTIONS:
    case CHANGE_COLL_CLONE:
        return salvage_coll_change(facts, change);
    case CHANGE_TABLE_ADD:
        rc = salvage_coll_take(facts, change->coll, &coll);
        return rc < 0 ? rc : salvage_table_add(facts, change);
    case CHANGE_TABLE_REMOVE:
        place = place_of(facts, change);
        if (place != NULL) place->is_gone = true;
        return LOAM_OK;
    case CHANGE_TABLE_CLIP:
        place = place_of(facts, change);
        return place == NULL ? LOAM_OK : set_clip(place, change->from, change->to);
    case CHANGE_FLUSHED:
    case CHANGE_INGEST:
        rc = salvage_coll_take(facts, change->coll, &coll);
        if (rc == LOAM_OK && change->seq > coll->flushed_seq) coll->flushed_seq = change->seq;
        return rc;
    case CHANGE_RANGES:
        rc = salvage_coll_take(facts, change->coll, &coll);
        return rc < 0 ? rc : take_ranges(coll, change->ranges);
    case CHANGE_TABLE_ADD_SWEPT: /* edit_next() says CHANGE_TABLE_ADD */
    case CHANGE_TABLE_ADD_EXPIRING:
    case CHANGE_TABLE_ADD_SHIFTED:
        break;
    case CHANGE_LOG_SEGMENT:
    case CHANGE_LOG_START:
    case CHANGE_LOG_FLOOR:
    case CHANGE_LOG_ATTEST:
    case CHANGE_COUNTERS:
    case CHANGE_CALLER_INDEX: /* what is lost may be from before it */
    case CHANGE_SNAPSHOT_END:
        return take_log_change(facts, change);
    }
    return LOAM_OK;
}

struct wal_clues salvage_clues(const struct salvage_facts *facts, struct store *store,
                               const struct root *root)
{
    struct wal_clues clues = {.store = store};
    if (root != NULL) {
        clues.store_id = root->store_id;
        clues.epoch = root->epoch;
        clues.log_key = root->log_key;
        clues.sealed = root->sealed;
        clues.seal_end = root->log_end;
    } else if (facts->has_manifest) {
        clues.store_id = facts->store_id;
    }
    if (facts->has_log) {
        clues.has_bounds = true;
        clues.start_epoch = facts->log_epoch;
        clues.start = facts->log_start;
        clues.floor = facts->log_floor;
        clues.attested = facts->log_attested;
    }
    return clues;
}

struct facts_reading {
    struct salvage_facts *facts;
    manifest_salvage_line *line;
    void *ctx;
    struct segment_view view;
};

static void say_edits(struct facts_reading *reading, uint64_t at, uint64_t lost_bytes,
                      const char *what)
{
    char text[LINE_BYTES];
    (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": %s", reading->view.name, at, what);
    reading->line(reading->ctx, text, lost_bytes);
}

static loam_status take_edit(struct facts_reading *reading, const struct record *record)
{
    struct edit_reader reader = edit_reader_over(record->body);
    struct change change;
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK) {
        rc = edit_next(&reader, &change);
        if (rc == LOAM_OK) rc = salvage_change(reading->facts, &change);
    }
    if (rc == LOAM_CORRUPT) {
        reading->facts->is_whole = false;
        say_edits(reading, SEGMENT_HEADER_BYTES + record->position, 0, loam_errmsg());
        return LOAM_OK;
    }
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

/* Takes all edits that are there. root, if any, names this manifest. */
static loam_status take_edits(struct facts_reading *reading, const struct root *root)
{
    struct record record;
    loam_status rc = LOAM_OK;
    const uint64_t limit = root != NULL && root->sealed ? root->manifest_end : UINT64_MAX;
    const uint64_t stated = root != NULL ? root->manifest_end : 0;
    uint64_t position = 0;
    reading->facts->is_whole = true;
    while (rc == LOAM_OK) {
        const uint64_t at = segment_next_record(&reading->view, position, limit, NULL, &record);
        if (at == UINT64_MAX) break;
        if (at > position) {
            reading->facts->is_whole = false;
            say_edits(reading, SEGMENT_HEADER_BYTES + position, at - position,
                      "edits of the manifest are damaged here; it is read on behind them");
        }
        if (record.kind == RECORD_EDIT) rc = take_edit(reading, &record);
        position = record.end;
    }
    if (rc < 0) return rc;
    if (position < stated) {
        reading->facts->is_whole = false;
        say_edits(reading, SEGMENT_HEADER_BYTES + position, stated - position,
                  "the rest of the manifest is damaged or missing");
    }
    if (!reading->facts->is_complete) {
        reading->facts->is_whole = false;
        say_edits(reading, SEGMENT_HEADER_BYTES, 0,
                  "the state that the manifest begins with is not whole");
    }
    return LOAM_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The whole file, with zeros where the device gives none. LOAM_NOTFOUND: it is of no use; *is_blank: it never was. */
static loam_status load_hurt_manifest(struct store *store, struct object_id id,
                                      struct segment_view *view, bool *is_blank)
{
    struct object_load load = {.lost = 0};
    bool too_new = false, found = false;
    *is_blank = false;
    memset(view, 0, sizeof *view);
    object_name_make(OBJECT_MANIFEST, id, view->name);
    loam_status rc = object_load_salvage(store, view->name, UINT64_MAX, &load);
    if (rc == LOAM_CORRUPT) rc = LOAM_NOTFOUND;
    view->bytes = load.bytes;
    const size_t len = load.bytes.len;
    *is_blank = rc == LOAM_OK && load.lost == 0 && segment_is_blank(&view->bytes);
    const uint8_t *bytes = view->bytes.data;
    for (size_t at = 0; rc == LOAM_OK && !found && at < SEGMENT_HEADER_BYTES; at += 4096) {
        if (at + 128 > len) break;
        found = segment_header_get(bytes + at, &view->header, &too_new) && view->header.start == 0;
        if (too_new)
            rc = failed(LOAM_TOONEW, "%s: format %u; this library knows %u; use a newer loam",
                        view->name, bytes[at + 5], SEGMENT_FORMAT);
    }
    if (rc == LOAM_OK && !found) rc = LOAM_NOTFOUND;
    if (rc != LOAM_OK) loam_buf_free(&view->bytes);
    return rc;
}

static loam_status empty_facts(struct salvage_facts *facts)
{
    struct salvage_coll *coll;
    memset(facts, 0, sizeof *facts);
    const loam_status rc = salvage_coll_take(facts, 0, &coll);
    return rc < 0 ? rc : set_name(coll, loam_str("default"));
}

/* LOAM_OK: facts are what this manifest says; LOAM_NOTFOUND: it says nothing. */
static loam_status try_manifest(struct facts_reading *reading, struct store *store,
                                struct object_id id, const struct root *root)
{
    struct salvage_facts *facts = reading->facts;
    const struct root *named = NULL;
    bool is_blank;
    loam_status rc = load_hurt_manifest(store, id, &reading->view, &is_blank);
    if (rc != LOAM_OK) return rc;
    if (root != NULL && object_id_equal(root->manifest, id)) named = root;
    const uint8_t *store_id = reading->view.header.store_id;
    if (root != NULL && memcmp(store_id, root->store_id, STORE_ID_BYTES) != 0) {
        say_edits(reading, 8, 0, "belongs to another store than the root");
        rc = LOAM_NOTFOUND;
    }
    uint64_t spoilt;
    if (rc == LOAM_OK && segment_header_is_spoilt(&reading->view, &spoilt))
        say_edits(reading, spoilt, 0, "a copy of the header is damaged; the other serves");
    if (rc == LOAM_OK) rc = take_edits(reading, named);
    if (rc == LOAM_OK) {
        facts->has_manifest = true;
        facts->manifest = id;
        memcpy(facts->store_id, store_id, STORE_ID_BYTES);
    }
    loam_buf_free(&reading->view.bytes);
    return rc;
}

static void say_nothing(void *ctx, const char *text, uint64_t lost_bytes)
{
    (void)ctx;
    (void)text;
    (void)lost_bytes;
}

/* The newest that begins with a whole state, or failing that, the newest. LOAM_NOTFOUND: none says anything. */
static loam_status choose_manifest(struct store *store, const struct root *root,
                                   const struct object_id *ids, size_t count,
                                   struct object_id *chosen)
{
    struct salvage_facts facts;
    struct facts_reading quiet = {.facts = &facts, .line = say_nothing};
    bool found = false, is_complete = false;
    loam_status rc = LOAM_OK;
    for (size_t i = count; rc >= 0 && !is_complete && i > 0; i--) {
        if (root != NULL && object_id_equal(ids[i - 1], root->manifest)) continue; /* was tried */
        rc = empty_facts(&facts);
        if (rc == LOAM_OK) rc = try_manifest(&quiet, store, ids[i - 1], root);
        is_complete = rc == LOAM_OK && facts.is_complete;
        if (rc == LOAM_OK && (is_complete || !found)) {
            *chosen = ids[i - 1];
            found = true;
        }
        salvage_facts_deinit(&facts);
    }
    if (rc < 0) return rc;
    return found ? LOAM_OK : LOAM_NOTFOUND;
}

/* A file newer than the one that is used: named, unless it is the one in reserve, which was never begun. */
static loam_status pass_over_newer(struct facts_reading *reading, struct store *store,
                                   struct object_id id, bool *is_passed_over)
{
    struct segment_view view;
    bool is_blank;
    const loam_status rc = load_hurt_manifest(store, id, &view, &is_blank);
    if (rc == LOAM_OK) loam_buf_free(&view.bytes);
    if (rc < 0 || is_blank) return rc;
    object_name_make(OBJECT_MANIFEST, id, reading->view.name);
    say_edits(reading, 0, 0, "cannot be read from its beginning; an older manifest is used");
    *is_passed_over = true;
    return LOAM_OK;
}

static loam_status newest_manifest(struct facts_reading *reading, struct store *store,
                                   const struct root *root)
{
    struct object_id *ids = NULL, chosen = {0, 0};
    size_t count = 0;
    bool is_older = false;
    loam_status rc = store_objects(store, OBJECT_MANIFEST, &ids, &count);
    if (rc < 0) return rc;
    rc = choose_manifest(store, root, ids, count, &chosen);
    const bool found = rc == LOAM_OK;
    for (size_t i = count; found && rc >= 0 && !object_id_equal(ids[i - 1], chosen); i--)
        if (root == NULL || !object_id_equal(ids[i - 1], root->manifest)) /* that was said */
            rc = pass_over_newer(reading, store, ids[i - 1], &is_older);
    mem_free(ids);
    if (!found || rc < 0) return rc;
    rc = try_manifest(reading, store, chosen, root);
    if (rc == LOAM_OK && is_older) reading->facts->is_whole = false;
    return rc;
}

loam_status manifest_salvage(struct store *store, const struct root *root,
                             manifest_salvage_line *line, void *ctx, struct salvage_facts *facts)
{
    struct facts_reading reading = {.facts = facts, .line = line, .ctx = ctx};
    loam_status rc = empty_facts(facts);
    if (rc == LOAM_OK && root != NULL && root->manifest.number == 0) {
        facts->is_complete = facts->is_whole = true; /* its creation was cut short: it is empty */
        return LOAM_OK;
    }
    if (rc == LOAM_OK && root != NULL) {
        rc = try_manifest(&reading, store, root->manifest, root);
        if (rc == LOAM_OK) return rc;
        object_name_make(OBJECT_MANIFEST, root->manifest, reading.view.name);
        if (rc == LOAM_NOTFOUND)
            say_edits(&reading, 0, 0, "the manifest is missing or has no header");
        if (rc == LOAM_NOTFOUND) rc = LOAM_OK;
    }
    if (rc == LOAM_OK) rc = newest_manifest(&reading, store, root);
    if (rc == LOAM_NOTFOUND) return LOAM_OK;                    /* there is none */
    if (rc == LOAM_OK && root != NULL) facts->is_whole = false; /* an older one */
    if (rc < 0) salvage_facts_deinit(facts);
    return rc;
}
