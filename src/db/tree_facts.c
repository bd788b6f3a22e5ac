/*
 * tree_facts.c - what a collection is made of, told from the outside in; see loam_inspect.h.
 *
 * Role: loam_tree(), and the forms in which memtables, runs and tables are told by all explaining calls.
 * In the picture: db layer; of one view, from what is in memory anyway.
 */
#include <inttypes.h>
#include <stdio.h>

#include "db/explain.h"

#include "base/poison.h"

/* ---- forms ----------------------------------------------------------------------------------- */

void fact_coll(struct findings *findings, loam_coll *coll, char room[static COLL_NAME_ROOM])
{
    coll_tell_name(coll, room);
    fact_text(findings, "collection", room);
}

void facts_of_memtable(struct findings *findings, const struct view *view,
                       const struct memtable *memtable)
{
    uint32_t number = 0;
    while (number < view->memrun_count && view->memruns[number]->memtable != memtable)
        number++;
    fact_count(findings, "memtable", number);
    fact_text(findings, "state", number == 0 ? "active" : "frozen");
    fact_count(findings, "entries", memtable_entry_count(memtable));
}

void facts_of_run(struct findings *findings, uint32_t level, const struct run *run)
{
    fact_count(findings, "level", level);
    fact_count(findings, "run", run->number);
}

void facts_of_table(struct findings *findings, const struct table *table, struct table_words *words)
{
    const struct table_meta *meta = table_meta(table);
    object_name_make(OBJECT_TABLES, meta->object, words->file);
    (void)snprintf(words->uid, sizeof words->uid, "%016" PRIx64, meta->uid);
    fact_text(findings, "file", words->file);
    fact_count(findings, "offset", meta->offset);
    fact_text(findings, "table", words->uid);
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Of a run, or of a table. */
struct sums {
    uint64_t bytes, entries, tombstones, expiring, seq_min, seq_max;
};

static void facts_of_sums(struct findings *findings, const struct sums *sums, uint64_t visible)
{
    fact_number(findings, "bytes", LOAM_FACT_SIZE, sums->bytes);
    fact_count(findings, "entries", sums->entries);
    fact_count(findings, "tombstones", sums->tombstones);
    fact_count(findings, "expiring", sums->expiring);
    fact_count(findings, "seq_first", sums->seq_min);
    fact_count(findings, "seq_last", sums->seq_max);
    fact_count(findings, "age", visible > sums->seq_max ? visible - sums->seq_max : 0);
}

static void tell_memruns(struct findings *findings, const struct view *view, uint64_t full_bytes)
{
    for (uint32_t i = 0; i < view->memrun_count; i++) {
        const struct memtable *memtable = view->memruns[i]->memtable;
        const struct memtable_stats stats = memtable_stats(memtable);
        finding_begin(findings, "memtable", 1);
        facts_of_memtable(findings, view, memtable);
        fact_number(findings, "bytes", LOAM_FACT_SIZE, stats.arena_bytes);
        fact_number(findings, "full_bytes", LOAM_FACT_SIZE, full_bytes);
        fact_number(findings, "payload_bytes", LOAM_FACT_SIZE, stats.payload_bytes);
        fact_number(findings, "range_deletion_bytes", LOAM_FACT_SIZE,
                    memtable_range_bytes(memtable));
        fact_count(findings, "seq_first", stats.seq_min);
        fact_count(findings, "seq_last", stats.seq_max);
        finding_send(findings);
    }
}

static void tell_ref(struct findings *findings, const struct table_ref *ref, uint64_t visible)
{
    const struct table_meta *meta = table_meta(ref->table);
    const bool is_cut = ref->to.len > 0 && bytes_compare(ref->to, meta->largest) <= 0;
    const bool is_begun = bytes_compare(ref->from, meta->smallest) > 0;
    const struct sums sums = {ref->bytes,           meta->entry_count, meta->tombstone_count,
                              meta->expiring_count, meta->seq_min,     meta->seq_max};
    struct table_words words;
    finding_begin(findings, "table", 3);
    facts_of_table(findings, ref->table, &words);
    fact_bytes(findings, "from", LOAM_FACT_DATA, table_ref_smallest(ref));
    fact_bytes(findings, "to", LOAM_FACT_DATA, is_cut ? ref->to : meta->largest);
    fact_number(findings, "clipped", LOAM_FACT_FLAG, is_cut || is_begun);
    facts_of_sums(findings, &sums, visible);
    fact_number(findings, "table_bytes", LOAM_FACT_SIZE, meta->bytes);
    fact_number(findings, "payload_bytes", LOAM_FACT_SIZE, meta->payload_bytes);
    fact_count(findings, "pages", meta->page_count);
    fact_count(findings, "dense_pages", meta->dense_count);
    if (meta->expiring_count > 0) {
        fact_number(findings, "expires_first_ms", LOAM_FACT_TIME_MS, meta->expires_first_ms);
        fact_number(findings, "expires_last_ms", LOAM_FACT_TIME_MS, meta->expires_last_ms);
    }
    finding_send(findings);
}

static void tell_whole_run(struct findings *findings, uint32_t level, const struct run *run,
                           uint64_t visible)
{
    const struct sums sums = {run->bytes,          run->entry_count, run->tombstone_count,
                              run->expiring_count, run->seq_min,     run->seq_max};
    finding_begin(findings, "run", 2);
    facts_of_run(findings, level, run);
    fact_count(findings, "tables", run->table_count);
    facts_of_sums(findings, &sums, visible);
    finding_send(findings);
    for (uint32_t i = 0; i < run->table_count; i++)
        tell_ref(findings, &run->tables[i], visible);
}

static void tell_levels(struct findings *findings, const struct version *version, uint64_t visible)
{
    for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
        const struct level *runs = &version->levels[level];
        uint64_t tables = 0;
        if (runs->run_count == 0) continue;
        for (uint32_t i = 0; i < runs->run_count; i++)
            tables += runs->runs[i]->table_count;
        finding_begin(findings, "level", 1);
        fact_count(findings, "level", level);
        fact_count(findings, "runs", runs->run_count);
        fact_count(findings, "tables", tables);
        fact_number(findings, "bytes", LOAM_FACT_SIZE, runs->bytes);
        finding_send(findings);
        for (uint32_t i = 0; i < runs->run_count; i++)
            tell_whole_run(findings, level, runs->runs[i], visible);
    }
}

static void tell_tree(struct findings *findings, loam_coll *coll, const struct view *view)
{
    const struct pick_policy policy = compact_policy(coll->db);
    const uint64_t visible = atomic_load(&coll->db->visible);
    char name[COLL_NAME_ROOM];
    finding_begin(findings, "tree", 0);
    fact_coll(findings, coll, name);
    fact_count(findings, "sequence", visible);
    fact_count(findings, "oldest_reader", policy.oldest_seq);
    fact_count(findings, "memtables", view->memrun_count);
    fact_count(findings, "runs", version_run_count(view->version));
    fact_count(findings, "runs_per_level", policy.runs_per_level);
    fact_number(findings, "debt_bytes", LOAM_FACT_SIZE, pick_debt_bytes(view->version, &policy));
    finding_send(findings);
    tell_memruns(findings, view, coll->db->options.memtable_bytes);
    if (view->version->ranges != NULL) {
        const struct range_set *ranges = view->version->ranges;
        finding_begin(findings, "range_deletions", 1);
        fact_count(findings, "pieces", ranges->mark_count);
        fact_number(findings, "bytes", LOAM_FACT_SIZE, range_set_bytes(ranges));
        fact_count(findings, "seq_last", ranges->seq_max);
        finding_send(findings);
    }
    tell_levels(findings, view->version, visible);
}

loam_status loam_tree(loam_db *db, loam_coll *coll, loam_found found, void *ctx)
{
    struct findings findings;
    loam_status rc = findings_init(&findings, found, ctx);
    if (rc == LOAM_OK) rc = db_check_handle(db, &coll);
    if (rc < 0) return rc;
    struct view *view = view_acquire(coll);
    tell_tree(&findings, coll, view);
    view_unref(view);
    return findings_rc(&findings);
}
