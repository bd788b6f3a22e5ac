/*
 * inspect_store.c - what a store's directory holds: files, the present state, the log; see inspect.h.
 *
 * The state is that of manifest_salvage.h, the log's what wal_salvage.h finds: what repair would begin with. Of tables the footers are
 * read, and where they are damaged, the manifest speaks for them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/inspect.h"
#include "sstable/table_footer.h"

#include "base/poison.h"

/* ---- files ---------------------------------------------------------------------------------------------- */

struct file_names {
    char **names; /* owned, each */
    size_t count, cap;
    bool no_memory;
};

static void add_file_name(void *ctx, const char *name)
{
    struct file_names *files = ctx;
    if (files->count == files->cap) {
        const size_t cap = files->cap == 0 ? 16 : files->cap * 2;
        char **grown = mem_realloc(files->names, cap * sizeof *grown);
        files->no_memory |= grown == NULL;
        if (grown == NULL) return;
        files->names = grown;
        files->cap = cap;
    }
    char *copy = mem_copy(name, strlen(name) + 1);
    files->no_memory |= copy == NULL;
    if (copy != NULL) files->names[files->count++] = copy;
}

static int compare_file_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Those of the store first. */
static loam_status list_files(struct inspect *inspect, struct file_names *files, size_t *own_count)
{
    loam_status rc = store_list(inspect->store, add_file_name, files);
    *own_count = files->count;
    if (rc == LOAM_OK) rc = store_list_foreign(inspect->store, add_file_name, files);
    if (rc == LOAM_OK && files->no_memory) rc = LOAM_NOMEM;
    if (files->count > 0) {
        qsort(files->names, *own_count, sizeof *files->names, compare_file_names);
        qsort(files->names + *own_count, files->count - *own_count, sizeof *files->names,
              compare_file_names);
    }
    return rc;
}

static void free_files(struct file_names *files)
{
    for (size_t i = 0; i < files->count; i++)
        mem_free(files->names[i]);
    mem_free(files->names);
}

static const char *role_of_segment(const struct inspect *inspect,
                                   const struct segment_header *header, uint64_t bytes)
{
    const struct salvage_facts *facts = &inspect->facts;
    if (header == NULL) return "not begun";
    if (!inspect->has_facts || !facts->has_log) return "log";
    if (header->id.epoch < facts->log_epoch) return "log of an earlier opening";
    return header->start + bytes <= facts->log_floor ? "log, not needed any more" : "log";
}

static const char *role_of_tables(const struct inspect *inspect, struct object_id id)
{
    const struct salvage_facts *facts = &inspect->facts;
    for (size_t i = 0; i < facts->table_count; i++)
        if (!facts->tables[i].is_gone && object_id_equal(facts->tables[i].meta.object, id))
            return "tables";
    return facts->has_manifest ? "left over" : "tables, of whom is not known";
}

static const char *role_of_manifest(const struct inspect *inspect, struct object_id id,
                                    bool has_header)
{
    const struct salvage_facts *facts = &inspect->facts;
    if (facts->has_manifest && object_id_equal(facts->manifest, id)) return "manifest";
    return has_header ? "another manifest" : "not begun";
}

static void tell_own_file(struct inspect *inspect, const char *name, uint64_t bytes)
{
    struct findings *findings = &inspect->findings;
    struct segment_header header;
    enum object_kind kind = OBJECT_TABLES;
    struct object_id id = {0, 0};
    const bool is_ours = object_name_parse(name, &kind, &id);
    const bool has_header = is_ours && kind != OBJECT_TABLES &&
                            segment_peek(inspect->store, kind, id, &header) == LOAM_OK;
    const char *role = !is_ours                  ? "no part of the store"
                       : kind == OBJECT_MANIFEST ? role_of_manifest(inspect, id, has_header)
                       : kind == OBJECT_TABLES
                           ? role_of_tables(inspect, id)
                           : role_of_segment(inspect, has_header ? &header : NULL, bytes);
    finding_begin(findings, "file", 1);
    fact_text(findings, "name", name);
    fact_text(findings, "role", role);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, bytes);
    if (has_header && kind == OBJECT_SEGMENT) {
        fact_count(findings, "start", header.start);
        fact_count(findings, "room_end", header.start + bytes - SEGMENT_HEADER_BYTES);
    }
    finding_send(findings);
}

/* It stays closed. One that has the name of a file of the store is in that file's place. */
static void tell_odd_file(struct inspect *inspect, const char *name, const char *kind)
{
    struct findings *findings = &inspect->findings;
    enum object_kind named;
    struct object_id id;
    char text[64];
    const bool is_ours = object_name_parse(name, &named, &id);
    (void)snprintf(text, sizeof text, is_ours ? "is %s, and no file" : "%s, no part of the store",
                   kind);
    if (is_ours) {
        inspect_damage(inspect, 1, (struct inspect_place){.file = name}, text);
        return;
    }
    finding_begin(findings, "file", 1);
    fact_text(findings, "name", name);
    fact_text(findings, "role", text);
    finding_send(findings);
}

static loam_status tell_listed(struct inspect *inspect, const char *name)
{
    struct object *object = NULL;
    const char *odd = store_odd_kind(inspect->store, name);
    if (odd != NULL) {
        tell_odd_file(inspect, name, odd);
        return LOAM_OK;
    }
    loam_status rc = object_open(inspect->store, name, &object);
    if (rc == LOAM_OK) tell_own_file(inspect, name, object_bytes(object));
    object_close(object);
    if (rc == LOAM_NOTFOUND) rc = LOAM_OK; /* it is gone meanwhile */
    return inspect_meet(inspect, 1, name, rc);
}

static loam_status tell_files(struct inspect *inspect, const struct file_names *files)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < files->count; i++) {
        rc = tell_listed(inspect, files->names[i]);
        if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
    }
    return rc;
}

/* ---- the state ------------------------------------------------------------------------------------------- */

struct state_table { /* a table in its place */
    const struct salvage_table *place;
    struct table_footer footer;
    loam_buf bounds;
    loam_slice smallest, largest; /* in bounds */
    const char *fault;
};

struct state_sums {
    uint64_t tables, entries, tombstones, bytes, runs;
};

static void add_to_sums(struct state_sums *sums, const struct state_table *table)
{
    sums->tables++;
    sums->entries += table->place->meta.entry_count;
    sums->tombstones += table->place->meta.tombstone_count;
    sums->bytes += table->place->meta.bytes;
}

static void tell_sums(struct findings *findings, const struct state_sums *sums)
{
    fact_count(findings, "runs", sums->runs);
    fact_count(findings, "tables", sums->tables);
    fact_count(findings, "entries", sums->entries);
    fact_count(findings, "tombstones", sums->tombstones);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, sums->bytes);
}

/* The newest run of a level first. */
static int compare_state_tables(const void *a, const void *b)
{
    const struct state_table *left = a, *right = b;
    const struct salvage_table *x = left->place, *y = right->place;
    if (x->coll != y->coll) return x->coll < y->coll ? -1 : 1;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->run != y->run) return x->run > y->run ? -1 : 1;
    return bytes_compare(left->smallest, right->smallest);
}

/* What the object says of the table: its keys, and whether it is another one. */
static loam_status load_bounds(struct inspect *inspect, struct state_table *table)
{
    const struct table_meta *known = &table->place->meta;
    struct table_meta meta = {.uid = 0};
    struct object *object = NULL;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, known->object, name);
    loam_status rc = object_open(inspect->store, name, &object);
    if (rc == LOAM_OK)
        rc = table_footer_probe(object, known->offset + known->bytes, &meta, &table->footer);
    if (rc == LOAM_OK && (meta.uid != known->uid || meta.bytes != known->bytes)) rc = LOAM_NOTFOUND;
    if (rc == LOAM_OK) {
        const struct block_source source = {object, known->offset, known->uid, known->seq_shift};
        rc = table_footer_stream(&source, BLOCK_BOUNDS, &table->footer.bounds, &table->bounds);
    }
    const loam_slice bounds = loam_bytes(table->bounds.data, table->bounds.len);
    if (rc == LOAM_OK &&
        !table_footer_keys(&table->footer, bounds, &table->smallest, &table->largest))
        rc = LOAM_CORRUPT;
    table->fault = rc == LOAM_OK         ? NULL
                   : object == NULL      ? "the file is missing or cannot be opened"
                   : rc == LOAM_NOTFOUND ? "the table's footer is damaged, or another's"
                   : rc == LOAM_TOONEW   ? "the table is of a newer format"
                                         : "the table's bounds are damaged";
    object_close(object);
    return rc == LOAM_NOMEM ? rc : LOAM_OK;
}

static loam_status gather_tables(struct inspect *inspect, struct state_table **out, size_t *count)
{
    const struct salvage_facts *facts = &inspect->facts;
    loam_status rc = LOAM_OK;
    struct state_table *tables = mem_alloc_array(facts->table_count + 1, sizeof *tables);
    *out = tables;
    *count = 0;
    if (tables == NULL) return LOAM_NOMEM;
    for (size_t i = 0; rc == LOAM_OK && i < facts->table_count; i++) {
        const struct salvage_coll *coll = salvage_coll_find(facts, facts->tables[i].coll);
        if (facts->tables[i].is_gone || coll == NULL || coll->is_dropped) continue;
        tables[*count] = (struct state_table){.place = &facts->tables[i]};
        rc = load_bounds(inspect, &tables[(*count)++]);
    }
    if (*count > 0) qsort(tables, *count, sizeof *tables, compare_state_tables);
    return rc;
}

static void tell_state_table(struct inspect *inspect, const struct state_table *table)
{
    struct findings *findings = &inspect->findings;
    const struct table_meta *meta = &table->place->meta;
    const size_t max = inspect->options.data_bytes_max;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, meta->object, name);
    finding_begin(findings, "table", 4);
    fact_text(findings, "file", name);
    fact_count(findings, "at", meta->offset);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, meta->bytes);
    fact_id(findings, "uid", meta->uid);
    if (table->smallest.data != NULL) {
        fact_data(findings, "smallest", table->smallest, max, "smallest_bytes");
        fact_data(findings, "largest", table->largest, max, "largest_bytes");
    }
    if (table->place->from.len > 0)
        fact_data(findings, "from", table->place->from, max, "from_bytes");
    if (table->place->to.len > 0) fact_data(findings, "to", table->place->to, max, "to_bytes");
    fact_count(findings, "entries", meta->entry_count);
    fact_count(findings, "tombstones", meta->tombstone_count);
    fact_count(findings, "pages", meta->page_count);
    fact_count(findings, "seq_min", meta->seq_min);
    fact_count(findings, "seq_max", meta->seq_max);
    if (meta->expiring_count > 0) fact_count(findings, "expiring", meta->expiring_count);
    finding_send(findings);
    if (table->fault != NULL)
        inspect_damage(inspect, 5, (struct inspect_place){name, meta->offset, meta->bytes},
                       table->fault);
}

/* The level that begins at *tables; answers how many it has. */
static size_t tell_level(struct inspect *inspect, const struct state_table *tables, size_t count)
{
    struct findings *findings = &inspect->findings;
    struct state_sums level = {.runs = 0};
    size_t end = 0;
    for (; end < count && tables[end].place->level == tables[0].place->level; end++) {
        add_to_sums(&level, &tables[end]);
        level.runs += end == 0 || tables[end].place->run != tables[end - 1].place->run;
    }
    finding_begin(findings, "level", 2);
    fact_count(findings, "level", tables[0].place->level);
    tell_sums(findings, &level);
    finding_send(findings);
    for (size_t i = 0; i < end; i++) {
        const uint64_t run = tables[i].place->run;
        struct state_sums sums = {.runs = 1};
        for (size_t k = i; k < end && tables[k].place->run == run; k++)
            add_to_sums(&sums, &tables[k]);
        if (i == 0 || tables[i - 1].place->run != run) {
            finding_begin(findings, "run", 3);
            fact_count(findings, "run", run);
            tell_sums(findings, &sums);
            finding_send(findings);
        }
        tell_state_table(inspect, &tables[i]);
    }
    return end;
}

static void tell_collection(struct inspect *inspect, const struct salvage_coll *coll,
                            const struct state_table *tables, size_t count)
{
    static const char *const codecs[] = {"lz4", "zstd", "none"};
    struct findings *findings = &inspect->findings;
    struct state_sums sums = {.runs = 0};
    for (size_t i = 0; i < count; i++) {
        add_to_sums(&sums, &tables[i]);
        sums.runs += i == 0 || tables[i].place->run != tables[i - 1].place->run ||
                     tables[i].place->level != tables[i - 1].place->level;
    }
    finding_begin(findings, "collection", 1);
    fact_count(findings, "id", coll->id);
    if (coll->name != NULL) fact_text(findings, "name", coll->name);
    fact_text(findings, "compression", codecs[coll->options.compression]);
    fact_count(findings, "ttl_ms", coll->options.ttl_ms);
    if (coll->options.merge_operator != NULL)
        fact_text(findings, "merge_operator", coll->options.merge_operator);
    fact_count(findings, "flushed_seq", coll->flushed_seq);
    fact_count(findings, "deletions", range_set_weight(coll->ranges));
    tell_sums(findings, &sums);
    finding_send(findings);
    for (size_t i = 0; i < count && !findings->is_stopped;)
        i += tell_level(inspect, tables + i, count - i);
}

static loam_status tell_state(struct inspect *inspect)
{
    const struct salvage_facts *facts = &inspect->facts;
    struct state_table *tables = NULL;
    size_t count = 0, at = 0;
    loam_status rc = gather_tables(inspect, &tables, &count);
    for (size_t i = 0; rc == LOAM_OK && i < facts->coll_count; i++) {
        const struct salvage_coll *coll = &facts->colls[i];
        size_t end = at;
        while (end < count && tables[end].place->coll == coll->id)
            end++;
        if (!coll->is_dropped) tell_collection(inspect, coll, tables + at, end - at);
        at = end;
        rc = findings_rc(&inspect->findings);
    }
    for (size_t i = 0; i < count; i++)
        loam_buf_free(&tables[i].bounds);
    mem_free(tables);
    return rc;
}

static void hurt_manifest(void *ctx, const char *text, uint64_t lost_bytes)
{
    char name[OBJECT_NAME_BYTES] = "";
    struct inspect *inspect = ctx;
    if (inspect->has_root) object_name_make(OBJECT_MANIFEST, inspect->root.manifest, name);
    inspect_damage(inspect, 1, (struct inspect_place){name, 0, lost_bytes}, text);
}

/* Once more than learn_facts(), to hear what is wrong with it. */
static loam_status hear_manifest(struct inspect *inspect)
{
    struct salvage_facts again;
    const loam_status rc = manifest_salvage(
        inspect->store, inspect->has_root ? &inspect->root : NULL, hurt_manifest, inspect, &again);
    if (rc == LOAM_OK) salvage_facts_deinit(&again);
    return inspect_meet(inspect, 1, "manifest", rc);
}

/* ---- the log ---------------------------------------------------------------------------------------------- */

struct log_sums {
    struct inspect *inspect;
    uint64_t commits, changes, entries, seq_first, seq_last, time_ms, end;
};

static loam_status sum_commit(void *ctx, const struct wal_commit *commit)
{
    struct log_sums *sums = ctx;
    const uint8_t *body = commit->body.data;
    uint32_t count = 1;
    const bool is_commit = commit->kind == RECORD_COMMIT;
    if (is_commit && get_varint32(body, body + commit->body.len, &count) == NULL) count = 0;
    sums->commits += is_commit;
    sums->changes += !is_commit;
    if (is_commit) sums->entries += count;
    if (sums->seq_first == 0) sums->seq_first = commit->seq;
    if (count > 0 && commit->seq + count - 1 > sums->seq_last)
        sums->seq_last = commit->seq + count - 1;
    if (commit->time_ms > sums->time_ms) sums->time_ms = commit->time_ms;
    if (commit->end > sums->end) sums->end = commit->end;
    return LOAM_OK;
}

static void hurt_log_hole(void *ctx, const struct wal_hole *hole)
{
    const struct log_sums *sums = ctx;
    if (hole->text == NULL) return; /* of what is not needed any more */
    inspect_damage(sums->inspect, 1, (struct inspect_place){"the log", 0, hole->bytes}, hole->text);
}

static loam_status tell_log(struct inspect *inspect)
{
    struct findings *findings = &inspect->findings;
    const struct salvage_facts *facts = &inspect->facts;
    const struct wal_clues clues =
        salvage_clues(facts, inspect->store, inspect->has_root ? &inspect->root : NULL);
    struct wal_salvage *salvage = NULL;
    struct log_sums sums = {.inspect = inspect};
    loam_status rc = wal_salvage_new(&clues, &salvage);
    if (rc == LOAM_OK) rc = wal_salvage_walk(salvage, sum_commit, hurt_log_hole, &sums);
    const uint64_t bytes = salvage != NULL ? wal_salvage_bytes(salvage) : 0;
    wal_salvage_free(salvage);
    if (rc != LOAM_OK) return inspect_meet(inspect, 1, "the log", rc);
    finding_begin(findings, "log", 1);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, bytes);
    if (facts->has_log) {
        fact_count(findings, "start", facts->log_start);
        fact_count(findings, "floor", facts->log_floor);
        fact_count(findings, "durable", facts->log_attested);
    }
    fact_count(findings, "end", sums.end);
    fact_count(findings, "commits", sums.commits);
    fact_count(findings, "changes", sums.changes);
    fact_count(findings, "entries", sums.entries);
    fact_count(findings, "seq_first", sums.seq_first);
    fact_count(findings, "seq_last", sums.seq_last);
    if (sums.time_ms > 0) fact_number(findings, "time", LOAM_FACT_TIME_MS, sums.time_ms);
    finding_send(findings);
    return findings_rc(findings);
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static void tell_store(struct inspect *inspect, size_t file_count)
{
    struct findings *findings = &inspect->findings;
    struct object_load owner = {.lost = 0};
    const char *pid = "";
    finding_begin(findings, "store", 0);
    fact_text(findings, "path", store_path(inspect->store));
    fact_count(findings, "files", file_count);
    fact_number(findings, "unsealed", LOAM_FACT_FLAG, !inspect->has_root || !inspect->root.sealed);
    if (object_load_salvage(inspect->store, "owner", 16, &owner) == LOAM_OK &&
        owner.bytes.len > 1) {
        pid = owner.bytes.data; /* decimal, and a newline */
        fact_bytes(findings, "owner", LOAM_FACT_TEXT, loam_bytes(pid, owner.bytes.len - 1));
        if (!inspect->has_root || !inspect->root.sealed)
            fact_text(
                findings, "note",
                "a process has it open, or was killed; what it writes meanwhile may look torn");
    }
    finding_send(findings);
    loam_buf_free(&owner.bytes);
}

loam_status inspect_store(struct inspect *inspect)
{
    struct file_names files = {.names = NULL};
    size_t own_count = 0;
    loam_status rc = list_files(inspect, &files, &own_count);
    if (rc == LOAM_OK && own_count == 0 && !inspect->has_root)
        rc = failed(LOAM_INVALID, "%s: is no store: it holds no file of one",
                    store_path(inspect->store));
    if (rc == LOAM_OK) {
        tell_store(inspect, files.count);
        rc = inspect_root(inspect, 1, "root");
        if (rc == LOAM_NOTFOUND)
            rc = inspect_meet(inspect, 1, "root", failed(LOAM_CORRUPT, "root: byte 0: is missing"));
    }
    if (rc == LOAM_OK) rc = tell_files(inspect, &files);
    if (rc == LOAM_OK) rc = hear_manifest(inspect);
    if (rc == LOAM_OK && inspect->has_facts) rc = tell_state(inspect);
    if (rc == LOAM_OK && inspect->has_facts) rc = tell_log(inspect);
    for (size_t i = 0; rc == LOAM_OK && inspect->options.files && i < own_count; i++) {
        rc = inspect_file(inspect, 1, files.names[i]);
        if (rc == LOAM_NOTFOUND) rc = LOAM_OK; /* it is gone meanwhile */
    }
    free_files(&files);
    return rc;
}
