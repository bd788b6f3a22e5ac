/*
 * inspect_tables.c - what stands in an object of tables; see inspect.h.
 *
 * Tables are found by their footers, from the end of the object to its front, and where a footer is lost, by what the manifest says.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/inspect.h"
#include "sstable/table_filter.h"
#include "sstable/table_footer.h"
#include "sstable/table_index.h"
#include "sstable/table_salvage.h"

#include "base/poison.h"

struct told_table {
    struct table_meta meta; /* without keys */
    struct table_footer footer;
    bool has_footer;
};

struct object_telling {
    struct inspect *inspect;
    const char *file;
    struct object *object;
    struct told_table *tables;
    size_t count, cap;
    uint32_t depth;      /* of tables */
    uint64_t page_count; /* of the object, so far */
    bool is_shown;       /* the page at hand */
};

/* ---- which tables --------------------------------------------------------------------------------- */

static loam_status add_told_table(struct object_telling *telling, const struct told_table *table)
{
    if (telling->count == telling->cap) {
        const size_t cap = telling->cap == 0 ? 16 : telling->cap * 2;
        struct told_table *grown = mem_realloc(telling->tables, cap * sizeof *grown);
        if (grown == NULL) return LOAM_NOMEM;
        telling->tables = grown;
        telling->cap = cap;
    }
    telling->tables[telling->count++] = *table;
    return LOAM_OK;
}

static loam_status find_by_footers(struct object_telling *telling)
{
    struct told_table table = {.has_footer = true};
    uint64_t end = object_bytes(telling->object);
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK && end > 0) {
        rc = table_salvage_find(telling->object, &end, &table.meta);
        if (rc == LOAM_OK)
            rc = table_footer_probe(telling->object, end, &table.meta, &table.footer);
        if (rc == LOAM_OK) rc = add_told_table(telling, &table);
        end = table.meta.offset;
    }
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

static loam_status find_by_manifest(struct object_telling *telling, struct object_id id)
{
    const struct salvage_facts *facts = &telling->inspect->facts;
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < facts->table_count; i++) {
        const struct table_meta *meta = &facts->tables[i].meta;
        const struct told_table table = {.meta = *meta};
        size_t known = 0;
        if (facts->tables[i].is_gone || !object_id_equal(meta->object, id)) continue;
        while (known < telling->count && telling->tables[known].meta.uid != meta->uid)
            known++;
        if (known == telling->count) rc = add_told_table(telling, &table);
    }
    return rc;
}

static int compare_told_tables(const void *a, const void *b)
{
    const struct told_table *left = a, *right = b;
    return (left->meta.offset > right->meta.offset) - (left->meta.offset < right->meta.offset);
}

/* ---- one table ------------------------------------------------------------------------------------------ */

static void hurt_table(struct object_telling *telling, uint32_t depth, uint64_t at, uint64_t bytes,
                       const char *what)
{
    inspect_damage(telling->inspect, depth, (struct inspect_place){telling->file, at, bytes}, what);
}

/* Where the manifest has it: once for each collection. */
static void tell_places(struct object_telling *telling, uint64_t uid)
{
    struct findings *findings = &telling->inspect->findings;
    const struct salvage_facts *facts = &telling->inspect->facts;
    const size_t max = telling->inspect->options.data_bytes_max;
    for (size_t i = 0; i < facts->table_count; i++) {
        const struct salvage_table *place = &facts->tables[i];
        if (place->meta.uid != uid || place->is_gone) continue;
        finding_begin(findings, "place", telling->depth + 1);
        fact_count(findings, "collection", place->coll);
        fact_count(findings, "level", place->level);
        fact_count(findings, "run", place->run);
        fact_data(findings, "from", place->from, max, "from_bytes");
        fact_data(findings, "to", place->to, max, "to_bytes");
        fact_count(findings, "swept_seq", place->meta.swept_seq);
        fact_count(findings, "expiring", place->meta.expiring_count);
        finding_send(findings);
    }
}

static void tell_table(struct object_telling *telling, const struct told_table *table)
{
    struct findings *findings = &telling->inspect->findings;
    const struct table_meta *meta = &table->meta;
    finding_begin(findings, "table", telling->depth);
    fact_count(findings, "at", meta->offset);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, meta->bytes);
    fact_id(findings, "uid", meta->uid);
    fact_count(findings, "entries", meta->entry_count);
    fact_count(findings, "tombstones", meta->tombstone_count);
    fact_number(findings, "payload_bytes", LOAM_FACT_SIZE, meta->payload_bytes);
    fact_count(findings, "pages", meta->page_count);
    fact_count(findings, "dense_pages", meta->dense_count);
    fact_count(findings, "seq_min", meta->seq_min);
    fact_count(findings, "seq_max", meta->seq_max);
    fact_number(findings, "footer", LOAM_FACT_FLAG, table->has_footer);
    finding_send(findings);
    tell_places(telling, meta->uid);
    if (!table->has_footer)
        hurt_table(telling, telling->depth + 1, meta->offset + meta->bytes - FOOTER_BYTES,
                   FOOTER_BYTES, "the footer is damaged or missing; the manifest knows the table");
}

/* What a stream says of itself; NULL: all is well. */
static const char *tell_stream_facts(struct object_telling *telling, const struct told_table *table,
                                     enum block_type type, loam_slice bytes)
{
    struct findings *findings = &telling->inspect->findings;
    const size_t max = telling->inspect->options.data_bytes_max;
    struct table_index index;
    struct table_filter filter;
    const char *fault = NULL;
    if (type == BLOCK_INDEX) {
        fault = index_open(&index, bytes, table->footer.index.at);
        if (fault != NULL) return fault;
        fact_count(findings, "pages", index.page_count);
        fact_data(findings, "prefix", loam_bytes(index.prefix, index.prefix_bytes), max,
                  "prefix_bytes");
    } else if (type == BLOCK_FILTER) {
        fault = table_filter_open(&filter, bytes);
        if (fault != NULL) return fault;
        if (filter.block_count > 0) fact_count(findings, "blocks", filter.block_count);
        if (table_filter_locates(&filter))
            fact_count(findings, "buckets", filter.locator.bucket_count);
    } else {
        loam_slice smallest, largest;
        if (!table_footer_keys(&table->footer, bytes, &smallest, &largest))
            return "bounds of another length than the footer says";
        fact_data(findings, "smallest", smallest, max, "smallest_bytes");
        fact_data(findings, "largest", largest, max, "largest_bytes");
    }
    return fault;
}

static loam_status tell_stream(struct object_telling *telling, const struct told_table *table,
                               enum block_type type)
{
    struct inspect *inspect = telling->inspect;
    struct findings *findings = &inspect->findings;
    const struct footer_place *place = type == BLOCK_INDEX    ? &table->footer.index
                                       : type == BLOCK_FILTER ? &table->footer.filter
                                                              : &table->footer.bounds;
    const struct block_source source = {telling->object, table->meta.offset, table->meta.uid, 0};
    loam_buf bytes = {0};
    const char *fault = NULL;
    if (place->stored_bytes == 0) return LOAM_OK;
    loam_status rc = table_footer_stream(&source, type, place, &bytes);
    finding_begin(findings,
                  type == BLOCK_INDEX    ? "index"
                  : type == BLOCK_FILTER ? "filter"
                                         : "bounds",
                  telling->depth + 1);
    fact_count(findings, "at", table->meta.offset + place->at);
    fact_count(findings, "bytes", place->stored_bytes);
    fact_count(findings, "raw_bytes", place->raw_bytes);
    if (rc == LOAM_OK)
        fault = tell_stream_facts(telling, table, type, loam_bytes(bytes.data, bytes.len));
    finding_send(findings);
    loam_buf_free(&bytes);
    if (rc == LOAM_OK && fault == NULL) return findings_rc(findings);
    if (rc == LOAM_OK)
        hurt_table(telling, telling->depth + 2, table->meta.offset + place->at, place->stored_bytes,
                   fault);
    return inspect_meet(inspect, telling->depth + 2, telling->file, rc);
}

/* ---- pages -------------------------------------------------------------------------------------------- */

static loam_status tell_salvaged_page(void *ctx, const struct salvaged_page *page)
{
    static const char *const codecs[] = {
        [CODEC_RAW] = "none", [CODEC_LZ4] = "lz4", [CODEC_ZSTD] = "zstd"};
    struct object_telling *telling = ctx;
    struct findings *findings = &telling->inspect->findings;
    const size_t max = telling->inspect->options.data_bytes_max;
    telling->is_shown = inspect_shows(telling->inspect, telling->page_count++);
    if (!telling->is_shown) return LOAM_OK;
    finding_begin(findings, page->is_extent ? "extent" : "page", telling->depth + 1);
    fact_count(findings, "number", telling->page_count - 1);
    fact_count(findings, "at", page->at);
    fact_count(findings, "bytes", page->bytes);
    fact_count(findings, "raw_bytes", page->head.raw_bytes);
    fact_text(findings, "compression", codecs[page->head.codec]);
    fact_count(findings, "format", page->head.format);
    fact_count(findings, "entries", page->entry_count);
    fact_data(findings, "first", page->first, max, "first_bytes");
    fact_data(findings, "last", page->last, max, "last_bytes");
    finding_send(findings);
    return findings_rc(findings);
}

static loam_status tell_table_entry(void *ctx, const struct entry *entry)
{
    const struct object_telling *telling = ctx;
    if (!telling->is_shown || !telling->inspect->options.entries) return LOAM_OK;
    inspect_entry(telling->inspect, telling->depth + 2, NULL, entry);
    return findings_rc(&telling->inspect->findings);
}

static void meet_hole(void *ctx, uint64_t at, uint64_t bytes, bool harmless)
{
    struct object_telling *telling = ctx;
    hurt_table(telling, telling->depth + 1, at, bytes,
               harmless ? "damaged or missing; no entries are lost by it" : "damaged or missing");
}

static loam_status walk_table(struct object_telling *telling, const struct told_table *table)
{
    struct table_found found = {.entry_count = 0};
    const struct table_salvage salvage = {.object = telling->object,
                                          .offset = table->meta.offset,
                                          .bytes = table->meta.bytes,
                                          .uid = table->meta.uid,
                                          .each = tell_table_entry,
                                          .page = tell_salvaged_page,
                                          .hole = meet_hole,
                                          .ctx = telling};
    tell_table(telling, table);
    loam_status rc = findings_rc(&telling->inspect->findings);
    for (enum block_type type = BLOCK_INDEX; rc == LOAM_OK && table->has_footer;
         type = (enum block_type)(type + 1)) {
        if (type == BLOCK_FOOTER) break;
        rc = tell_stream(telling, table, type);
    }
    if (rc == LOAM_OK) rc = table_salvage_walk(&salvage, &found);
    if (rc != LOAM_OK || found.entry_count == table->meta.entry_count) return rc;
    hurt_table(telling, telling->depth + 1, table->meta.offset, 0,
               found.entry_count < table->meta.entry_count ? "some of its entries are lost"
                                                           : "has more entries than it should");
    return findings_rc(&telling->inspect->findings);
}

/* ---- the object ---------------------------------------------------------------------------------------- */

static loam_status walk_object(struct object_telling *telling)
{
    struct inspect *inspect = telling->inspect;
    const uint64_t size = object_bytes(telling->object);
    uint64_t end = 0;
    loam_status rc = LOAM_OK;
    if (telling->count > 0)
        qsort(telling->tables, telling->count, sizeof *telling->tables, compare_told_tables);
    finding_begin(&inspect->findings, "tables", telling->depth - 1);
    fact_text(&inspect->findings, "file", telling->file);
    fact_number(&inspect->findings, "bytes", LOAM_FACT_SIZE, size);
    fact_count(&inspect->findings, "tables", telling->count);
    finding_send(&inspect->findings);
    for (size_t i = 0; rc == LOAM_OK && i <= telling->count; i++) {
        const struct table_meta *meta = i < telling->count ? &telling->tables[i].meta : NULL;
        const uint64_t next = meta != NULL ? meta->offset : size;
        if (next > end)
            hurt_table(telling, telling->depth, end, next - end,
                       "belongs to no table that is known");
        if (meta == NULL) break;
        rc = walk_table(telling, &telling->tables[i]);
        if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
        if (meta->offset + meta->bytes > end) end = meta->offset + meta->bytes;
    }
    return rc == LOAM_OK ? findings_rc(&inspect->findings) : rc;
}

loam_status inspect_tables(struct inspect *inspect, uint32_t depth, const char *name,
                           const struct object_id *id)
{
    struct object_telling telling = {.inspect = inspect, .file = name, .depth = depth + 1};
    loam_status rc = object_open(inspect->store, name, &telling.object);
    if (rc != LOAM_OK) return inspect_meet(inspect, depth, name, rc);
    rc = find_by_footers(&telling);
    if (rc == LOAM_OK && id != NULL && inspect->has_facts) rc = find_by_manifest(&telling, *id);
    if (rc == LOAM_OK) rc = walk_object(&telling);
    mem_free(telling.tables);
    object_close(telling.object);
    return rc;
}
