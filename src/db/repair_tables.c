/*
 * repair_tables.c - the tables' part in a repair; see repair.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/repair.h"
#include "record/operands.h"
#include "sstable/table_salvage.h"

#include "base/poison.h"

enum { LOG_PASSES_MAX = 64 }; /* how often the log is read again for what belongs between tables */

/* ---- one source ---------------------------------------------------------------------------------- */

/* Of a key whose newest version is an operand: the versions that it goes on in, the newest first. */
struct table_link {
    uint8_t kind;
    uint64_t seq;
    size_t len; /* of the value or operand, in link_bytes */
};

struct table_taking {
    struct repair *repair;
    struct repair_source *source;
    bool is_surveying, has_last, is_quiet;
    loam_buf last_key;
    loam_buf links, link_bytes;
    uint64_t since; /* the next version that counts is older; 0: none does */
};

static bool is_in_source(const struct repair_source *source, loam_slice key)
{
    if (source->from.len > 0 && bytes_compare(key, source->from) < 0) return false;
    return source->to.len == 0 || bytes_compare(key, source->to) < 0;
}

static loam_status give_entry(struct table_taking *taking, const struct entry *entry)
{
    /* Where an orphan's entries go is decided when all orphans are known. */
    if (!taking->is_surveying || !taking->source->is_orphan)
        return repair_take(taking->repair, taking->source->target, entry);
    taking->repair->stats.entry_count++;
    taking->repair->stats.entry_bytes += entry->key.len + entry->value.len;
    return LOAM_OK;
}

/* Gives what was gathered of a key, the oldest first. */
static loam_status give_links(struct table_taking *taking)
{
    const struct table_link *links = taking->links.data;
    size_t at = taking->link_bytes.len;
    loam_status rc = LOAM_OK;
    for (size_t i = taking->links.len / sizeof *links; rc == LOAM_OK && i-- > 0;) {
        at -= links[i].len;
        const struct entry entry = {
            .key = loam_bytes(taking->last_key.data, taking->last_key.len),
            .value = loam_bytes((const uint8_t *)taking->link_bytes.data + at, links[i].len),
            .seq = links[i].seq,
            .kind = links[i].kind};
        rc = give_entry(taking, &entry);
    }
    taking->links.len = taking->link_bytes.len = 0;
    return rc;
}

static loam_status add_link(struct table_taking *taking, const struct entry *entry)
{
    loam_slice operand = entry->value;
    taking->since = 0;
    if (entry->kind == ENTRY_MERGE && !operand_get(entry, &taking->since, &operand))
        return failed(LOAM_CORRUPT, "an operand that begins nowhere");
    const struct table_link link = {entry->kind, entry->seq, operand.len};
    loam_status rc = buf_append(&taking->link_bytes, operand.data, operand.len);
    if (rc == LOAM_OK) rc = buf_append(&taking->links, &link, sizeof link);
    return rc;
}

/* Of each key the newest version that is intact comes first; the others are older, and count where operands go on in them. */
static loam_status take_table_entry(void *ctx, const struct entry *entry)
{
    struct table_taking *taking = ctx;
    struct repair_source *source = taking->source;
    const loam_slice last = loam_bytes(taking->last_key.data, taking->last_key.len);
    loam_status rc = repair_tick(taking->repair, 0);
    if (rc != LOAM_OK) return rc;
    if (taking->has_last && bytes_equal(last, entry->key))
        return entry->seq < taking->since ? add_link(taking, entry) : LOAM_OK;
    rc = give_links(taking);
    if (rc != LOAM_OK) return rc;
    taking->since = 0;
    rc = buf_set(&taking->last_key, entry->key.data, entry->key.len);
    if (rc == LOAM_OK && taking->is_surveying && source->is_orphan) {
        if (!taking->has_last) rc = buf_set(&source->smallest, entry->key.data, entry->key.len);
        if (rc == LOAM_OK) rc = buf_set(&source->largest, entry->key.data, entry->key.len);
    }
    taking->has_last = true;
    if (rc < 0 || !is_in_source(source, entry->key)) return rc;
    return entry->kind == ENTRY_MERGE ? add_link(taking, entry) : give_entry(taking, entry);
}

static void meet_table_hole(void *ctx, uint64_t at, uint64_t bytes, bool harmless)
{
    const struct table_taking *taking = ctx;
    struct repair *repair = taking->repair;
    char name[OBJECT_NAME_BYTES];
    if (!taking->is_surveying || taking->is_quiet) return;
    object_name_make(OBJECT_TABLES, taking->source->object, name);
    repair->stats.lost_bytes += bytes;
    repair_say(repair, "%s: byte %" PRIu64 ": %" PRIu64 " bytes are damaged or missing%s", name, at,
               bytes, harmless ? "; they hold no entries" : "");
}

static loam_status walk_source(struct table_taking *taking, struct table_found *found)
{
    const struct repair_source *source = taking->source;
    struct object *object = NULL;
    char name[OBJECT_NAME_BYTES];
    memset(found, 0, sizeof *found);
    object_name_make(OBJECT_TABLES, source->object, name);
    loam_status rc = object_open(taking->repair->store, name, &object);
    if (rc == LOAM_NOTFOUND || (rc == LOAM_IOERR && !object_was_refused())) {
        meet_table_hole(taking, source->offset, source->bytes, false);
        found->lost_bytes = source->bytes;
        return LOAM_OK;
    }
    if (rc < 0) return rc;
    const struct table_salvage salvage = {.object = object,
                                          .offset = source->offset,
                                          .bytes = source->bytes,
                                          .uid = source->uid,
                                          .seq_shift = source->seq_shift,
                                          .each = take_table_entry,
                                          .hole = meet_table_hole,
                                          .ctx = taking};
    rc = table_salvage_walk(&salvage, found);
    if (rc == LOAM_OK) rc = give_links(taking);
    loam_buf_free(&taking->links);
    loam_buf_free(&taking->link_bytes);
    taking->repair->stats.done_bytes += source->bytes;
    loam_buf_free(&taking->last_key);
    object_close(object);
    return rc;
}

/* ---- the survey -------------------------------------------------------------------------------- */

static loam_status add_source(struct repair *repair, const struct repair_source *source)
{
    if (repair->source_count == repair->source_cap) {
        const size_t cap = repair->source_cap == 0 ? 16 : repair->source_cap * 2;
        struct repair_source *grown = mem_realloc(repair->sources, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        repair->sources = grown;
        repair->source_cap = cap;
    }
    repair->sources[repair->source_count++] = *source;
    return LOAM_OK;
}

/* Says how much of a table is lost, if anything is. */
static void count_losses(struct repair *repair, const struct repair_source *source,
                         const struct table_meta *meta, const struct table_found *found)
{
    char name[OBJECT_NAME_BYTES];
    const uint64_t pages =
        meta->page_count > found->page_count ? meta->page_count - found->page_count : 0;
    const uint64_t entries =
        meta->entry_count > found->entry_count ? meta->entry_count - found->entry_count : 0;
    if (pages == 0 && entries == 0) return;
    object_name_make(OBJECT_TABLES, source->object, name);
    repair->is_lossy = true;
    repair->stats.lost_page_count += pages;
    repair->stats.lost_entry_count += entries;
    repair_say(repair,
               "%s: byte %" PRIu64 ": of this table %" PRIu64 " of %" PRIu64
               " pages are lost, and %" PRIu64 " of %" PRIu64 " entries",
               name, source->offset, pages, meta->page_count, entries, meta->entry_count);
}

static loam_status survey_source(struct repair *repair, struct repair_source *source,
                                 const struct table_meta *meta, bool is_double)
{
    struct table_found found;
    struct table_taking taking = {
        .repair = repair, .source = source, .is_surveying = true, .is_quiet = is_double};
    const loam_status rc = walk_source(&taking, &found);
    if (rc != LOAM_OK) return rc;
    source->seq_max = found.seq_max;
    if (!source->is_orphan) {
        struct repair_target *target = &repair->targets[source->target];
        if (found.seq_max > target->tabled_seq) target->tabled_seq = found.seq_max;
        target->has_losses |= found.entry_count < meta->entry_count;
    }
    if (!is_double) count_losses(repair, source, meta, &found);
    return LOAM_OK;
}

static loam_status survey_known_tables(struct repair *repair)
{
    const struct salvage_facts *facts = &repair->facts;
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < facts->table_count; i++) {
        const struct salvage_table *place = &facts->tables[i];
        const struct salvage_coll *coll = salvage_coll_find(facts, place->coll);
        if (place->is_gone || coll == NULL || coll->is_dropped) continue;
        struct repair_source source = {.target = (size_t)(coll - facts->colls),
                                       .object = place->meta.object,
                                       .offset = place->meta.offset,
                                       .bytes = place->meta.bytes,
                                       .uid = place->meta.uid,
                                       .seq_shift = place->meta.seq_shift,
                                       .from = place->from,
                                       .to = place->to};
        rc = survey_source(repair, &source, &place->meta, salvage_is_double(facts, i));
        if (rc == LOAM_OK && source.seq_max > 0) rc = add_source(repair, &source);
    }
    return rc;
}

/* ---- tables that no manifest knows ------------------------------------------------------------- */

static loam_status survey_orphan(struct repair *repair, struct object_id id,
                                 const struct table_meta *meta)
{
    struct repair_source source = {.object = id,
                                   .offset = meta->offset,
                                   .bytes = meta->bytes,
                                   .uid = meta->uid,
                                   .is_orphan = true};
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, id, name);
    loam_status rc = survey_source(repair, &source, meta, false);
    if (rc == LOAM_OK && source.seq_max > 0) {
        repair->is_lossy = true;
        repair_say(repair, "%s: byte %" PRIu64 ": nothing says whose table this is%s", name,
                   meta->offset, meta->seq_max == 1 ? ", nor how old it is" : "");
        rc = add_source(repair, &source);
    }
    if (rc != LOAM_OK || source.seq_max == 0) {
        loam_buf_free(&source.smallest);
        loam_buf_free(&source.largest);
    }
    return rc;
}

/* Tables stand one behind the other, each with its footer last. What stands between two footers that do not meet has
   lost its own. */
static loam_status survey_object(struct repair *repair, struct object_id id)
{
    struct object *object = NULL;
    struct table_meta meta;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, id, name);
    loam_status rc = object_open(repair->store, name, &object);
    if (rc == LOAM_IOERR && object_was_refused()) return rc;
    if (rc == LOAM_IOERR && !repair->facts.has_manifest) {
        repair->is_lossy = true;
        repair_say(repair, "%s", loam_errmsg());
    }
    if (rc == LOAM_NOTFOUND || rc == LOAM_IOERR) return LOAM_OK;
    if (rc < 0) return rc;
    uint64_t end = object_bytes(object);
    while (rc == LOAM_OK && end > 0) {
        const uint64_t expected = end;
        rc = table_salvage_find(object, &end, &meta);
        const bool found = rc == LOAM_OK;
        if (rc < 0) break;
        const uint64_t gap = expected - (found ? end : 0);
        if (gap > 0 && !repair->facts.has_manifest) {
            repair->is_lossy = true;
            repair->stats.lost_bytes += gap;
            repair_say(repair,
                       "%s: byte %" PRIu64 ": %" PRIu64 " bytes belong to no table that is known",
                       name, expected - gap, gap);
        }
        if (found && !salvage_knows_table(&repair->facts, meta.uid))
            rc = survey_orphan(repair, id, &meta);
        end = found ? meta.offset : 0;
    }
    object_close(object);
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

/* What stood there before a whole state was written down, and is not in it, is dead. */
static loam_status survey_orphans(struct repair *repair)
{
    const struct salvage_facts *facts = &repair->facts;
    struct object_id *ids = NULL;
    size_t count = 0;
    if (facts->is_whole) return LOAM_OK;
    loam_status rc = store_objects(repair->store, OBJECT_TABLES, &ids, &count);
    for (size_t i = 0; rc == LOAM_OK && i < count; i++)
        if (!facts->is_complete || ids[i].epoch >= facts->manifest.epoch)
            rc = survey_object(repair, ids[i]);
    mem_free(ids);
    return rc;
}

static bool orphans_overlap(const struct repair_source *a, const struct repair_source *b)
{
    const loam_slice a_first = loam_bytes(a->smallest.data, a->smallest.len);
    const loam_slice a_last = loam_bytes(a->largest.data, a->largest.len);
    const loam_slice b_first = loam_bytes(b->smallest.data, b->smallest.len);
    const loam_slice b_last = loam_bytes(b->largest.data, b->largest.len);
    return bytes_compare(a_first, b_last) <= 0 && bytes_compare(b_first, a_last) <= 0;
}

static int compare_sources(const void *a, const void *b)
{
    const struct repair_source *left = a, *right = b;
    return (left->seq_max > right->seq_max) - (left->seq_max < right->seq_max);
}

/* Nothing tells which of them belong together: those that share no keys go into one collection, the newest into the
   first in which nothing newer lies over them. Nothing is lost, and the lower number is the newer. */
static loam_status place_orphans(struct repair *repair)
{
    const size_t first = repair->target_count;
    loam_status rc = LOAM_OK;
    for (size_t i = repair->source_count; rc == LOAM_OK && i > 0; i--) {
        struct repair_source *source = &repair->sources[i - 1];
        size_t target = first;
        if (!source->is_orphan) continue;
        for (size_t k = i; k < repair->source_count; k++) {
            const struct repair_source *newer = &repair->sources[k];
            if (newer->is_orphan && newer->target >= target && orphans_overlap(source, newer))
                target = newer->target + 1;
        }
        if (target == repair->target_count) rc = repair_add_recovered(repair);
        source->target = target;
        if (rc == LOAM_OK) repair->targets[target].entry_count++;
    }
    return rc;
}

loam_status repair_survey_tables(struct repair *repair)
{
    loam_status rc = survey_known_tables(repair);
    if (rc == LOAM_OK) rc = survey_orphans(repair);
    if (rc != LOAM_OK) return rc;
    if (repair->source_count > 0)
        qsort(repair->sources, repair->source_count, sizeof *repair->sources, compare_sources);
    return place_orphans(repair);
}

/* ---- taking ------------------------------------------------------------------------------------- */

static bool log_may_help(const struct repair *repair)
{
    for (size_t i = 0; i < repair->target_count; i++)
        if (repair->targets[i].has_losses && !repair->targets[i].is_dropped) return true;
    return false;
}

/* From the oldest to the newest; what the log knows better than a damaged table comes where it would have been. */
loam_status repair_take_tables(struct repair *repair)
{
    const bool asks_log = log_may_help(repair) && repair->log_seq > 0;
    uint64_t above = 0;
    size_t step = 0, newer = 0;
    loam_status rc = LOAM_OK;
    for (size_t i = 0; i < repair->source_count; i++)
        newer += repair->sources[i].seq_max >= repair->log_seq;
    for (size_t i = 0; rc == LOAM_OK && i < repair->source_count; i++) {
        struct repair_source *source = &repair->sources[i];
        struct table_found found;
        struct table_taking taking = {.repair = repair, .source = source};
        const bool is_step = step++ % (newer / LOG_PASSES_MAX + 1) == 0;
        if (asks_log && is_step && source->seq_max >= repair->log_seq &&
            source->seq_max > above + 1) {
            rc = repair_take_log(repair, above, source->seq_max);
            above = source->seq_max;
        }
        if (rc == LOAM_OK) rc = walk_source(&taking, &found);
    }
    return rc == LOAM_OK ? repair_take_log(repair, above, UINT64_MAX) : rc;
}
