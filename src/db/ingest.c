/*
 * ingest.c - bulk loads: tables written directly, and published as one commit; see loam.h.
 *
 *   in order  --------------------------------------------> tables ---------------> published
 *   backwards -> buffer -> spills -> merges of equal ones ---^ all merged once more
 *
 *   publish:  flush -> gate closed -> flush -> lane [ number, log, view, gate open ] -> manifest
 *
 * Role: loam_ingest_*. Nobody knows of the tables before they are published, so until then they need no log, and a crash leaves
 *   them to the next opening, which deletes them.
 * Invariants: (1) tables hold one entry of a key. Those that are published were written with the sequence number 1; what is added
 *   to that, once the number is known, stands in the manifest (table_meta.seq_shift). Others hold the numbers of their order.
 *   (2) What came in order is older than what the buffer or a spill has of the same key. (3) When the tables come into view, all
 *   that is older in the collection is in tables, in the manifest too, and the memtable that was written before is written no more:
 *   who has the old view sees nothing newer. (4) The gate is closed only while the collection's memtable is flushed.
 * In the picture: db layer; on run_writer.c; coll.c makes the change, recover.c repeats it.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "db/merges.h"
#include "memtable/sorter.h"
#include "record/merge.h"

#include "base/poison.h"

enum {
    BUFFER_SHARE = 16, /* of memory_bytes that what came backwards may take before it is spilled */
    SPILLS_MERGED_LEAST = 8, /* so many of one generation, or more, become one of the next */
    SPILLS_MERGED_MOST = 64,
    SPILL_READ_BYTES = 512 << 10 /* of memory, which one of them takes while it is read */
};

struct spill {
    struct run_writer *writer;
    uint32_t generation;
};

struct loam_ingest {
    loam_db *db;
    loam_coll *coll;
    struct run_writer *sorted; /* what came in order; when nothing can come any more, all of it */
    struct sorter *buffer;     /* what came backwards, and is not spilled */
    uint64_t order;            /* of the latest that did; 1: none has */
    struct spill *spills;      /* in order of age */
    size_t spill_count, spill_cap;
    loam_buf middle;  /* a key about in the middle of them, going by the last one */
    loam_buf stamped; /* room for a value with its expiry */
    uint64_t put_count, payload_bytes;
    loam_status failure; /* to write tables: it cannot be committed */
    bool is_whole;       /* all is in `sorted`, which is finished */
    bool is_over;
    struct view *spare; /* while it is published */
};

/* ---- life ------------------------------------------------------------------------------------ */

static loam_status new_writer(const struct loam_ingest *ingest, bool is_settled,
                              struct run_writer **out)
{
    const struct run_writer_spec spec = {.coll = ingest->coll, .is_settled = is_settled};
    return run_writer_new(&spec, out);
}

loam_status loam_ingest_begin(loam_db *db, loam_coll *coll, loam_ingest **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_status rc = db_check_coll(db, &coll);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    loam_ingest *ingest = mem_zalloc(sizeof *ingest);
    if (ingest == NULL) return LOAM_NOMEM;
    ingest->db = db;
    ingest->coll = coll;
    ingest->order = 1;
    rc = new_writer(ingest, true, &ingest->sorted);
    if (rc < 0) {
        mem_free(ingest);
        return rc;
    }
    atomic_fetch_add(&db->ingest_count, 1);
    *out = ingest;
    return LOAM_OK;
}

static void drop_spills(struct loam_ingest *ingest, size_t first)
{
    while (ingest->spill_count > first)
        run_writer_free(ingest->spills[--ingest->spill_count].writer);
}

static void drop_buffer(struct loam_ingest *ingest)
{
    sorter_free(ingest->buffer);
    ingest->buffer = NULL;
}

void loam_ingest_close(loam_ingest *ingest)
{
    if (ingest == NULL) return;
    run_writer_free(ingest->sorted);
    drop_spills(ingest, 0);
    drop_buffer(ingest);
    mem_free(ingest->spills);
    loam_buf_free(&ingest->middle);
    loam_buf_free(&ingest->stamped);
    atomic_fetch_sub(&ingest->db->ingest_count, 1);
    mem_free(ingest);
}

/* ---- runs that nobody knows yet -------------------------------------------------------------- */

static loam_status end_writer(struct loam_ingest *ingest, struct run_writer *writer)
{
    const loam_status rc = run_writer_end(writer);
    if (rc == LOAM_OK) atomic_fetch_add(&ingest->db->disk_written_bytes, run_writer_bytes(writer));
    return rc;
}

/* A part of all keys; NULL: no bound. */
struct key_part {
    const loam_slice *from, *to;
};

/* Of each key the newest, with that number, or (0) its own. */
static loam_status write_newest(struct loam_ingest *ingest, struct iter *iter, struct key_part part,
                                uint64_t seq, struct run_writer *writer)
{
    loam_status rc =
        part.from != NULL ? iter->ops->seek(iter, *part.from, SEQ_MAX) : iter->ops->first(iter);
    while (rc == LOAM_OK) {
        struct entry entry = *iter->at;
        if (part.to != NULL && bytes_compare(entry.key, *part.to) >= 0) break;
        if (seq > 0) entry.seq = seq;
        if (run_writer_takes(writer, entry.key)) rc = run_writer_add(writer, &entry);
        if (rc == LOAM_OK) rc = iter->ops->next(iter);
    }
    return rc < 0 ? rc : end_writer(ingest, writer);
}

static loam_status open_run(const struct run_writer *writer, struct iter **iters, size_t *count)
{
    struct run *run = NULL;
    loam_status rc = run_writer_run(writer, &run);
    if (rc == LOAM_OK) rc = run_iter_new(run, TABLE_ITER_BULK, NULL, &iters[*count]);
    run_unref(run);
    if (rc == LOAM_OK) (*count)++;
    return rc;
}

static loam_status open_rest(const struct loam_ingest *ingest, struct iter **iters, size_t *count)
{
    loam_status rc = open_run(ingest->sorted, iters, count);
    if (rc < 0 || ingest->buffer == NULL) return rc;
    rc = sorter_iter_new(ingest->buffer, &iters[*count]);
    if (rc == LOAM_OK) (*count)++;
    return rc;
}

/* The spills from `first` on, or, with all else, that part of them. */
static loam_status merge_runs(struct loam_ingest *ingest, size_t first,
                              const struct key_part *whole, struct run_writer *into)
{
    struct iter **iters = mem_alloc_array(ingest->spill_count - first + 2, sizeof(struct iter *));
    struct iter *merged = NULL;
    size_t count = 0;
    loam_status rc = iters == NULL ? LOAM_NOMEM : LOAM_OK;
    for (size_t i = first; rc == LOAM_OK && i < ingest->spill_count; i++)
        rc = open_run(ingest->spills[i].writer, iters, &count);
    if (rc == LOAM_OK && whole != NULL) rc = open_rest(ingest, iters, &count);
    if (rc == LOAM_OK) {
        rc = merge_iter_new(iters, count, &merged);
    } else {
        while (count > 0)
            iter_close(iters[--count]);
    }
    mem_free(iters);
    if (rc == LOAM_OK)
        rc = whole != NULL ? write_newest(ingest, merged, *whole, 1, into)
                           : write_newest(ingest, merged, (struct key_part){0}, 0, into);
    iter_close(merged);
    return rc;
}

/* ---- what came backwards --------------------------------------------------------------------- */

static loam_status make_room_for_spill(struct loam_ingest *ingest)
{
    if (ingest->spill_count < ingest->spill_cap) return LOAM_OK;
    const size_t cap = ingest->spill_cap + SPILLS_MERGED_LEAST;
    struct spill *grown = mem_realloc(ingest->spills, cap * sizeof *grown);
    if (grown == NULL) return LOAM_NOMEM;
    ingest->spills = grown;
    ingest->spill_cap = cap;
    return LOAM_OK;
}

static loam_status note_middle(struct loam_ingest *ingest)
{
    const loam_slice key = sorter_middle(ingest->buffer);
    return buf_set(&ingest->middle, key.data, key.len);
}

/* Those from `first` on, or (first: how many there are) the buffer, become one. */
static loam_status make_spill(struct loam_ingest *ingest, size_t first, uint32_t generation)
{
    struct run_writer *writer = NULL;
    struct iter *iter = NULL;
    const bool is_buffer = first == ingest->spill_count;
    loam_status rc = make_room_for_spill(ingest);
    if (rc == LOAM_OK) rc = new_writer(ingest, false, &writer);
    if (rc == LOAM_OK && is_buffer) {
        rc = sorter_sort(ingest->buffer);
        if (rc == LOAM_OK) rc = note_middle(ingest);
        if (rc == LOAM_OK) rc = sorter_iter_new(ingest->buffer, &iter);
        if (rc == LOAM_OK) rc = write_newest(ingest, iter, (struct key_part){0}, 0, writer);
        iter_close(iter);
    } else if (rc == LOAM_OK) {
        rc = merge_runs(ingest, first, NULL, writer);
    }
    if (rc < 0) {
        run_writer_free(writer);
        return rc;
    }
    if (is_buffer)
        drop_buffer(ingest);
    else
        drop_spills(ingest, first);
    ingest->spills[ingest->spill_count++] = (struct spill){writer, generation};
    return LOAM_OK;
}

/* How many are merged at a time: as many as can be read in the memory of a buffer. */
static size_t spills_merged(const loam_db *db)
{
    const uint64_t count = db->options.memory_bytes / BUFFER_SHARE / SPILL_READ_BYTES;
    if (count < SPILLS_MERGED_LEAST) return SPILLS_MERGED_LEAST;
    return count < SPILLS_MERGED_MOST ? (size_t)count : SPILLS_MERGED_MOST;
}

/* Generations never rise along the spills: so each entry is written again once for each of them, and they stay few. */
static loam_status spill_buffer(struct loam_ingest *ingest)
{
    const size_t merged_count = spills_merged(ingest->db);
    loam_status rc = make_spill(ingest, ingest->spill_count, 0);
    while (rc == LOAM_OK && ingest->spill_count >= merged_count) {
        const size_t first = ingest->spill_count - merged_count;
        const uint32_t generation = ingest->spills[ingest->spill_count - 1].generation;
        if (ingest->spills[first].generation != generation) break;
        rc = make_spill(ingest, first, generation + 1);
    }
    return rc;
}

/* ---- putting --------------------------------------------------------------------------------- */

static loam_status check_ingest(loam_ingest *ingest)
{
    if (ingest == NULL) return failed(LOAM_INVALID, "the ingest is NULL");
    loam_status rc = db_check_coll(ingest->db, &ingest->coll);
    if (rc == LOAM_OK) rc = db_writable(ingest->db);
    if (rc < 0) return rc;
    if (ingest->is_over) return failed(LOAM_MISUSE, "the ingest is over");
    if (ingest->failure == LOAM_OK) return LOAM_OK;
    return failed(ingest->failure, "its tables could not be written: begin another ingest");
}

/* What is written is of no use after a failure. */
static loam_status note_tables(struct loam_ingest *ingest, loam_status rc)
{
    if (rc < 0) ingest->failure = rc;
    return rc == LOAM_IOERR ? db_fence(ingest->db, rc) : rc;
}

static loam_status add_backwards(struct loam_ingest *ingest, struct entry *entry)
{
    loam_db *db = ingest->db;
    if (ingest->buffer == NULL) ingest->buffer = sorter_new(db->arenas);
    if (ingest->buffer == NULL) return LOAM_NOMEM;
    entry->seq = ingest->order + 1;
    loam_status rc = sorter_add(ingest->buffer, entry);
    if (rc < 0) return rc;
    ingest->order++;
    if (sorter_bytes(ingest->buffer) >= db->options.memory_bytes / BUFFER_SHARE)
        rc = note_tables(ingest, spill_buffer(ingest));
    return rc;
}

static loam_status put_checked(loam_ingest *ingest, struct entry *entry, uint64_t ttl_ms)
{
    loam_status rc = check_ingest(ingest);
    if (rc == LOAM_OK && ingest->is_whole)
        rc = failed(LOAM_MISUSE, "the ingest is being committed: nothing is put any more");
    if (rc == LOAM_OK) rc = db_check_entry(entry);
    if (rc < 0) return rc;
    const uint64_t payload_bytes = entry->key.len + entry->value.len;
    ingest->stamped.len = 0;
    rc = expiry_stamp(ingest->coll, ttl_ms, entry, &ingest->stamped);
    if (rc < 0) return rc;
    entry->seq = 1;
    if (run_writer_takes(ingest->sorted, entry->key))
        rc = note_tables(ingest, run_writer_add(ingest->sorted, entry));
    else
        rc = add_backwards(ingest, entry);
    if (rc < 0) return rc;
    ingest->put_count++;
    ingest->payload_bytes += payload_bytes;
    return LOAM_OK;
}

loam_status loam_ingest_put(loam_ingest *ingest, loam_slice key, loam_slice value)
{
    struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return put_checked(ingest, &entry, TTL_OF_COLL);
}

loam_status loam_ingest_put_ttl(loam_ingest *ingest, loam_slice key, loam_slice value,
                                uint64_t ttl_ms)
{
    struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    return put_checked(ingest, &entry, ttl_capped(ttl_ms));
}

/* ---- all of it --------------------------------------------------------------------------------- */

struct upper_half {
    struct loam_ingest *ingest;
    struct key_part part;
    struct run_writer *into;
    loam_status rc;
    char text[STATUS_TEXT_MAX];
};

static void merge_upper_half(void *arg)
{
    struct upper_half *upper = arg;
    upper->rc = merge_runs(upper->ingest, 0, &upper->part, upper->into);
    if (upper->rc < 0) failed_keep(upper->text, sizeof upper->text);
}

/* By two threads, if it is much: one writes up to a key, the other what is behind it. */
static loam_status merge_all(struct loam_ingest *ingest, struct run_writer *into)
{
    const loam_slice middle = loam_bytes(ingest->middle.data, ingest->middle.len);
    const struct key_part all = {0}, lower = {.to = &middle};
    struct upper_half upper = {.ingest = ingest, .part = {.from = &middle}};
    struct thread thread = {0};
    loam_status rc = ingest->buffer != NULL ? sorter_sort(ingest->buffer) : LOAM_OK;
    if (rc < 0) return rc;
    if (ingest->spill_count == 0 || !ingest->db->jobs.threaded)
        return merge_runs(ingest, 0, &all, into);
    rc = new_writer(ingest, true, &upper.into);
    if (rc == LOAM_OK) rc = thread_start(&thread, "loam-ingest", merge_upper_half, &upper);
    if (rc == LOAM_OK) rc = merge_runs(ingest, 0, &lower, into);
    thread_join(&thread);
    if (rc == LOAM_OK && upper.rc < 0) rc = failed(upper.rc, "%s", upper.text);
    if (rc == LOAM_OK) rc = run_writer_append(into, upper.into);
    run_writer_free(upper.into);
    return rc;
}

/* All of it becomes one finished run. */
static loam_status make_whole(struct loam_ingest *ingest)
{
    struct run_writer *all = NULL;
    loam_status rc = ingest->is_whole ? LOAM_OK : end_writer(ingest, ingest->sorted);
    if (rc == LOAM_OK && ingest->order > 1 && !ingest->is_whole) {
        rc = new_writer(ingest, true, &all);
        if (rc == LOAM_OK) rc = merge_all(ingest, all);
        struct run_writer *unused = rc < 0 ? all : ingest->sorted;
        if (rc == LOAM_OK) ingest->sorted = all;
        run_writer_free(unused);
        drop_spills(ingest, 0);
        drop_buffer(ingest);
    }
    ingest->is_whole = rc == LOAM_OK;
    return note_tables(ingest, rc);
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* Waits for nobody else, so that writers wait only for the flush of what they wrote since the one before. */
static loam_status close_gate(struct loam_coll *coll)
{
    loam_status rc = loam_flush(coll->db, coll);
    if (rc < 0) return rc;
    mutex_lock(&coll->db->lane);
    coll->is_gated = true;
    mutex_unlock(&coll->db->lane);
    return loam_flush(coll->db, coll);
}

/* Lane. */
static void open_gate(struct loam_coll *coll)
{
    coll->is_gated = false;
    jobs_wake_writers(coll->db);
}

static loam_status describe_ingest(void *ctx, uint64_t seq, struct edit *edit)
{
    const struct loam_ingest *ingest = ctx;
    const struct change change = {.tag = CHANGE_INGEST, .coll = ingest->coll->id, .seq = seq};
    const loam_status rc = edit_add(edit, &change);
    run_writer_shift(ingest->sorted, seq - 1);
    return rc < 0 ? rc : run_writer_describe(ingest->sorted, edit);
}

/* No commit is in between, and none is visible before this one. */
static void show_ingest(void *ctx, uint64_t seq, const struct catalog_stage *stage)
{
    struct loam_ingest *ingest = ctx;
    struct loam_coll *coll = ingest->coll;
    loam_db *db = coll->db;
    const struct view *view = atomic_load(&coll->view);
    for (uint32_t i = 0; i < view->memrun_count; i++)
        check(memtable_entry_count(view->memruns[i]->memtable) == 0);
    view_install(coll, ingest->spare, catalog_staged_version(stage, coll->id), view->memrun_count);
    coll->active = NULL;
    ingest->spare = NULL;
    recent_pass_over(&db->recent, seq);
    atomic_fetch_add(&db->put_count, ingest->put_count);
    atomic_fetch_add(&db->user_written_bytes, ingest->payload_bytes);
    open_gate(coll);
}

/* Into the last level, where nothing else is there; else above all. */
static loam_status commit_tables(struct loam_ingest *ingest)
{
    loam_db *db = ingest->db;
    struct edit edit = {0};
    const struct coll_change change = {
        .edit = &edit, .fill = describe_ingest, .show = show_ingest, .ctx = ingest};
    ingest->spare = view_spare();
    if (ingest->spare == NULL) return LOAM_NOMEM;
    mutex_lock(&db->manifest_lock);
    const struct version *version = catalog_coll_by_id(db->catalog, ingest->coll->id)->version;
    const bool is_first = version_run_count(version) == 0;
    run_writer_place(ingest->sorted, is_first ? LEVEL_LAST : 0, db->next_run++);
    const loam_status rc = coll_change_commit(db, &change);
    mutex_unlock(&db->manifest_lock);
    mem_free(ingest->spare);
    ingest->spare = NULL;
    edit_deinit(&edit);
    return rc;
}

static loam_status publish(struct loam_ingest *ingest)
{
    struct loam_coll *coll = ingest->coll;
    loam_db *db = ingest->db;
    loam_status rc = close_gate(coll);
    if (rc == LOAM_OK) rc = commit_tables(ingest);
    mutex_lock(&db->lane);
    if (coll->is_gated) open_gate(coll);
    mutex_unlock(&db->lane);
    /* The log may have it, and the next opening want its tables. */
    if (rc == LOAM_OK || atomic_load(&db->fenced) != LOAM_OK) run_writer_keep(ingest->sorted);
    if (rc == LOAM_OK) compact_consider(coll);
    return rc;
}

loam_status loam_ingest_commit(loam_ingest *ingest)
{
    loam_status rc = check_ingest(ingest);
    if (rc == LOAM_OK) rc = make_whole(ingest);
    if (rc == LOAM_OK && ingest->put_count > 0) {
        mutex_lock(&ingest->db->changes);
        rc = publish(ingest);
        mutex_unlock(&ingest->db->changes);
    }
    if (rc == LOAM_OK) ingest->is_over = true;
    return rc;
}
