/*
 * run_writer.c - sorted entries into the tables of one run; see db.h.
 *
 * A table is cut between keys, so that all versions of a key are in one. Tables of a compaction are objects of their own, so
 * that the disk comes back piece by piece; a flush packs the tables of all its collections into one object.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

enum {
    TABLE_BYTES_MAX = 64 << 20,
    POLL_ENTRIES = 512 /* how often go_on is asked */
};

struct run_writer {
    struct run_writer_spec spec;
    loam_db *db;
    struct object_writer *object; /* of the table that is being written; spec.into if that is set */
    struct object_id object_id;
    struct table_writer *table;
    struct table_meta *metas;
    size_t meta_count, meta_cap;
    loam_buf last_key;
    uint64_t table_bytes_max, written_bytes;
};

uint64_t run_writer_table_bytes(const loam_db *db)
{
    const uint64_t memtable_bytes = db->options.memtable_bytes;
    return memtable_bytes < TABLE_BYTES_MAX ? memtable_bytes : TABLE_BYTES_MAX;
}

loam_status run_writer_new(const struct run_writer_spec *spec, struct run_writer **out)
{
    struct run_writer *writer = mem_zalloc(sizeof *writer);
    if (writer == NULL) return LOAM_NOMEM;
    writer->spec = *spec;
    writer->db = spec->coll->db;
    writer->table_bytes_max = run_writer_table_bytes(writer->db);
    *out = writer;
    return LOAM_OK;
}

static uint64_t entries_written(const struct run_writer *writer)
{
    uint64_t count = 0;
    for (size_t i = 0; i < writer->meta_count; i++)
        count += writer->metas[i].entry_count;
    return count;
}

/* How many keys the next table may have for a locator. It stays in memory, and is worth that where most of the store does, and where
   most keys are found. Of the runs that flushes and merges leave above the last level most keys are not, and a filter says so with less of
   the processor's cache. What other jobs are about to write is not counted. */
static uint64_t located_max(const struct run_writer *writer)
{
    const loam_options *options = &writer->db->options;
    const uint64_t most = options->memory_bytes / LOCATED_SHARE;
    const uint64_t there = catalog_entry_count(writer->db->catalog);
    const uint64_t replaced = writer->spec.replaced_count;
    const uint64_t before = (there > replaced ? there - replaced : 0) + entries_written(writer);
    const bool may_locate = writer->spec.is_settled && options->filter_bits_per_key == 0;
    return may_locate && most > before ? most - before : 0;
}

static loam_status begin_table(struct run_writer *writer)
{
    loam_db *db = writer->db;
    uint64_t uid;
    const struct table_writer_options options = {
        .compression = writer->spec.is_settled ? atomic_load(&writer->spec.coll->compression)
                                               : LOAM_UNCOMPRESSED,
        .filter_bits_per_key = db_filter_bits(db),
        .located_max = located_max(writer),
        .page_bytes = db->page_bytes,
    };
    loam_status rc = db_random_u64(db, &uid);
    if (rc < 0) return rc;
    if (writer->spec.into != NULL) {
        writer->object = writer->spec.into;
        writer->object_id = writer->spec.into_id;
    } else {
        char name[OBJECT_NAME_BYTES];
        writer->object_id = db_new_object(db);
        object_name_make(OBJECT_TABLES, writer->object_id, name);
        rc = object_create(db->store, name, &writer->object);
    }
    if (rc == LOAM_OK)
        rc = table_writer_new(writer->object, writer->object_id, uid, &options, &writer->table);
    return rc;
}

static loam_status reserve_metas(struct run_writer *writer, size_t count)
{
    size_t cap = writer->meta_cap == 0 ? 4 : writer->meta_cap;
    while (cap < count)
        cap *= 2;
    if (cap == writer->meta_cap) return LOAM_OK;
    struct table_meta *grown = mem_realloc(writer->metas, cap * sizeof *grown);
    if (grown == NULL) return LOAM_NOMEM;
    writer->metas = grown;
    writer->meta_cap = cap;
    return LOAM_OK;
}

static loam_status end_table(struct run_writer *writer)
{
    loam_status rc = reserve_metas(writer, writer->meta_count + 1);
    if (rc < 0) return rc;
    rc = table_writer_finish(writer->table, &writer->metas[writer->meta_count]);
    if (rc < 0) return rc;
    writer->metas[writer->meta_count].swept_seq = writer->spec.swept_seq;
    writer->written_bytes += writer->metas[writer->meta_count++].bytes;
    table_writer_free(writer->table);
    writer->table = NULL;
    if (writer->spec.into == NULL) {
        struct object_writer *object = writer->object;
        writer->object = NULL; /* finish frees it when it succeeds */
        rc = object_finish(object);
        if (rc < 0) writer->object = object;
    }
    return rc;
}

static bool run_is_begun(const struct run_writer *writer)
{
    return writer->table != NULL || writer->meta_count > 0;
}

bool run_writer_takes(const struct run_writer *writer, loam_slice key)
{
    return !run_is_begun(writer) ||
           bytes_compare(loam_bytes(writer->last_key.data, writer->last_key.len), key) < 0;
}

loam_status run_writer_add(struct run_writer *writer, const struct entry *entry)
{
    loam_status rc = LOAM_OK;
    if (writer->table != NULL && table_writer_bytes(writer->table) >= writer->table_bytes_max &&
        !bytes_equal(entry->key, loam_bytes(writer->last_key.data, writer->last_key.len)))
        rc = end_table(writer);
    if (rc == LOAM_OK && writer->table == NULL) rc = begin_table(writer);
    if (rc == LOAM_OK) rc = table_writer_add(writer->table, entry);
    if (rc == LOAM_OK) rc = buf_set(&writer->last_key, entry->key.data, entry->key.len);
    return rc;
}

static loam_status take_entry(void *ctx, const struct entry *entry)
{
    return run_writer_add(ctx, entry);
}

loam_status run_writer_end(struct run_writer *writer)
{
    return writer->table != NULL ? end_table(writer) : LOAM_OK;
}

loam_status run_writer_drain(struct run_writer *writer, struct iter *iter,
                             struct survival *survival, bool (*go_on)(void *), void *go_on_ctx)
{
    unsigned passed = 0;
    survival->merger = coll_operator(writer->spec.coll);
    survival->put = take_entry;
    survival->ctx = writer;
    loam_status rc = iter->ops->first(iter);
    while (rc == LOAM_OK) {
        struct entry entry = *iter->at;
        survival_expire(survival, &entry);
        rc = survival_take(survival, &entry);
        if (rc < 0) return rc;
        if (go_on != NULL && ++passed % POLL_ENTRIES == 0 && !go_on(go_on_ctx))
            return LOAM_CONFLICT;
        rc = iter->ops->next(iter);
    }
    if (rc == LOAM_NOTFOUND) rc = survival_end(survival);
    if (rc == LOAM_OK) rc = run_writer_end(writer);
    if (rc == LOAM_OK)
        check(entries_written(writer) + survival->dropped_count == survival->seen_count);
    return rc;
}

uint64_t run_writer_bytes(const struct run_writer *writer)
{
    return writer->written_bytes;
}

loam_status run_writer_run(const struct run_writer *writer, struct run **out)
{
    const struct table_owner owner = {.store = writer->db->store, .cache = writer->db->cache};
    struct table_ref *refs = mem_zalloc((writer->meta_count + 1) * sizeof *refs);
    loam_status rc = refs == NULL ? LOAM_NOMEM : LOAM_OK;
    uint32_t count = 0;
    check(writer->table == NULL && writer->meta_count > 0 && writer->meta_count < UINT32_MAX);
    while (rc == LOAM_OK && count < writer->meta_count) {
        rc = table_new(&owner, &writer->metas[count], &refs[count].table);
        count += rc == LOAM_OK;
    }
    if (rc == LOAM_OK) {
        *out = run_new(writer->spec.run, refs, count);
        if (*out == NULL) rc = LOAM_NOMEM;
    }
    while (count > 0)
        table_unref(refs[--count].table);
    mem_free(refs);
    return rc;
}

loam_status run_writer_append(struct run_writer *writer, struct run_writer *behind)
{
    const loam_status rc = reserve_metas(writer, writer->meta_count + behind->meta_count);
    if (rc < 0) return rc;
    check(writer->table == NULL && behind->table == NULL);
    if (behind->meta_count > 0) {
        memcpy(writer->metas + writer->meta_count, behind->metas,
               behind->meta_count * sizeof *behind->metas);
        const loam_buf last_key = writer->last_key;
        writer->last_key = behind->last_key;
        behind->last_key = last_key;
    }
    writer->meta_count += behind->meta_count;
    writer->written_bytes += behind->written_bytes;
    behind->meta_count = 0;
    return LOAM_OK;
}

void run_writer_place(struct run_writer *writer, uint32_t level, uint64_t run)
{
    writer->spec.level = level;
    writer->spec.run = run;
}

void run_writer_shift(struct run_writer *writer, uint64_t seq_shift)
{
    for (size_t i = 0; i < writer->meta_count; i++) {
        struct table_meta *meta = &writer->metas[i];
        meta->seq_min += seq_shift - meta->seq_shift;
        meta->seq_max += seq_shift - meta->seq_shift;
        meta->seq_shift = seq_shift;
    }
}

loam_status run_writer_describe(const struct run_writer *writer, struct edit *edit)
{
    check(writer->table == NULL);
    for (size_t i = 0; i < writer->meta_count; i++) {
        const loam_status rc = edit_add_table(edit, writer->spec.coll->id, writer->spec.level,
                                              writer->spec.run, &writer->metas[i]);
        if (rc < 0) return rc;
    }
    return LOAM_OK;
}

void run_writer_keep(struct run_writer *writer)
{
    for (size_t i = 0; i < writer->meta_count; i++)
        table_meta_deinit(&writer->metas[i]);
    writer->meta_count = 0;
}

loam_status run_writer_finish(struct run_writer *writer, struct edit *edit, uint64_t *written_bytes)
{
    const loam_status rc = run_writer_describe(writer, edit);
    if (rc < 0) return rc;
    *written_bytes = writer->written_bytes;
    run_writer_keep(writer);
    return LOAM_OK;
}

void run_writer_free(struct run_writer *writer)
{
    if (writer == NULL) return;
    table_writer_free(writer->table);
    if (writer->spec.into == NULL) {
        object_abandon(writer->object);
        for (size_t i = 0; i < writer->meta_count; i++) {
            char name[OBJECT_NAME_BYTES];
            object_name_make(OBJECT_TABLES, writer->metas[i].object, name);
            if (store_delete(writer->db->store, name) < 0)
                db_log(writer->db, LOAM_LOG_WARNING, "%s", loam_errmsg());
        }
    }
    for (size_t i = 0; i < writer->meta_count; i++)
        table_meta_deinit(&writer->metas[i]);
    mem_free(writer->metas);
    loam_buf_free(&writer->last_key);
    mem_free(writer);
}
