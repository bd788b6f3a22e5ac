/*
 * repair.c - from a damaged store to a new one with all that is intact; see loam.h and repair.h.
 */
#include "db/repair.h"
#include "db/batches.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "base/status.h"

#include "base/poison.h"

enum { COPY_ENTRIES_MAX = 4096, COPY_BYTES_MAX = 1 << 20, TICKS_A_WORD = 1024 };

/* ---- what is said ------------------------------------------------------------------------------ */

static void say_text(struct repair *repair, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void say_line(struct repair *repair, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say_text(struct repair *repair, const char *format, va_list args)
{
    char text[REPAIR_LINE_BYTES];
    if (repair->options.line == NULL) return;
    (void)vsnprintf(text, sizeof text, format, args);
    repair->options.line(repair->options.ctx, text);
}

static void say_line(struct repair *repair, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_text(repair, format, args);
    va_end(args);
}

void repair_say(struct repair *repair, const char *format, ...)
{
    va_list args;
    repair->stats.fault_count++;
    va_start(args, format);
    say_text(repair, format, args);
    va_end(args);
}

loam_status repair_tick(struct repair *repair, uint64_t done_bytes)
{
    loam_repair_stats *stats = &repair->stats;
    stats->done_bytes += done_bytes;
    if (repair->options.progress == NULL || ++repair->ticks % TICKS_A_WORD != 0) return LOAM_OK;
    loam_repair_stats so_far = *stats;
    if (so_far.done_bytes > so_far.total_bytes) so_far.done_bytes = so_far.total_bytes;
    if (repair->options.progress(repair->options.ctx, &so_far)) return LOAM_OK;
    (void)failed(LOAM_CONFLICT, "the repair was told to stop");
    return LOAM_CONFLICT;
}

static void say_summary(struct repair *repair)
{
    const loam_repair_stats *stats = &repair->stats;
    say_line(repair,
             "intact: %" PRIu64 " entries, replaced and deleted ones included, with %" PRIu64
             " bytes in %" PRIu64 " collection%s",
             stats->entry_count, stats->entry_bytes, stats->collection_count,
             stats->collection_count == 1 ? "" : "s");
    if (!repair->is_lossy) {
        say_line(repair, "lost: nothing");
        return;
    }
    say_line(repair,
             "lost, as far as is known: of tables %" PRIu64 " entries (pages: %" PRIu64
             "), of the log %" PRIu64 "%s; bytes damaged or missing: %" PRIu64,
             stats->lost_entry_count, stats->lost_page_count, stats->lost_record_count,
             repair->has_endless_hole ? " and what was in a hole of unknown extent" : "",
             stats->lost_bytes);
}

/* ---- the new store ----------------------------------------------------------------------------- */

static loam_status write_copies(struct repair *repair)
{
    if (repair->batch_entries == 0) return LOAM_OK;
    const loam_status rc = loam_write(repair->db, repair->batch, LOAM_DURABLE_PROCESS);
    loam_batch_clear(repair->batch);
    repair->batch_entries = repair->batch_bytes = 0;
    return rc;
}

/* By a deletion of a range that the manifest knows. Those that it does not know come from the log, in their turn. */
static bool is_in_deleted_range(const struct repair *repair, size_t target,
                                const struct entry *entry)
{
    struct cover cover = cover_nothing();
    if (target >= repair->facts.coll_count || entry->kind == ENTRY_DELETE_RANGE) return false;
    range_set_meet(repair->facts.colls[target].ranges, &cover, entry->key, SEQ_MAX);
    return entry->seq < cover.seq;
}

loam_status repair_take(struct repair *repair, size_t target, const struct entry *entry)
{
    struct repair_target *into = &repair->targets[target];
    if (into->is_dropped || is_in_deleted_range(repair, target, entry)) return LOAM_OK;
    if (!repair->is_copying) {
        into->entry_count++;
        repair->stats.entry_count++;
        repair->stats.entry_bytes += entry->key.len + entry->value.len;
        return LOAM_OK;
    }
    repair->copied_count++;
    if (into->coll == NULL) /* the survey found nothing in it */
        return failed(LOAM_IOERR, "%s: reads otherwise a second time", repair->dir);
    const loam_status rc =
        batch_add(repair->batch, into->coll, entry, 0); /* expiries as they are, and no others */
    if (rc < 0) return rc;
    repair->batch_entries++;
    repair->batch_bytes += entry->key.len + entry->value.len;
    const bool is_full =
        repair->batch_entries >= COPY_ENTRIES_MAX || repair->batch_bytes >= COPY_BYTES_MAX;
    return is_full ? write_copies(repair) : LOAM_OK;
}

static loam_status make_collections(struct repair *repair)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < repair->target_count; i++) {
        struct repair_target *target = &repair->targets[i];
        if (target->is_dropped || (target->is_needed && target->entry_count == 0)) continue;
        rc = loam_create(repair->db, target->name, &target->options, &target->coll);
        if (rc == LOAM_EXISTS) /* "default" */
            rc = loam_coll_options_set(repair->db, target->coll, &target->options);
    }
    return rc;
}

static loam_status copy_entries(struct repair *repair)
{
    loam_options options = loam_options_default();
    options.must_not_exist = true;
    options.durability = LOAM_DURABLE_PROCESS; /* closing makes all of it durable */
    options.memory_bytes = repair->options.memory_bytes;
    loam_status rc = db_open_in(repair->world, repair->path, &options, &repair->db);
    if (rc < 0) return rc;
    repair->is_copying = repair->db->takes_any_operand = true;
    expiry_note_time(repair->db, repair->facts.time_ms); /* what has expired stays so */
    repair->batch = loam_batch_new();
    if (repair->batch == NULL) rc = LOAM_NOMEM;
    if (rc == LOAM_OK) rc = make_collections(repair);
    if (rc == LOAM_OK) rc = repair_take_tables(repair);
    if (rc == LOAM_OK) rc = write_copies(repair);
    if (rc == LOAM_OK && repair->copied_count != repair->stats.entry_count)
        rc = failed(LOAM_IOERR,
                    "%s: reads otherwise a second time: %" PRIu64 " entries instead of %" PRIu64,
                    repair->dir, repair->copied_count, repair->stats.entry_count);
    struct failure first;
    failure_save(&first);
    loam_batch_free(repair->batch);
    const loam_status closed = loam_close(repair->db);
    if (rc != LOAM_OK) failure_restore(&first);
    return rc == LOAM_OK ? closed : rc;
}

/* ---- collections ---------------------------------------------------------------------------------- */

static const struct repair_target *target_by_name(const struct repair *repair, const char *name)
{
    for (size_t i = 0; i < repair->target_count; i++)
        if (repair->targets[i].name != NULL && strcmp(repair->targets[i].name, name) == 0)
            return &repair->targets[i];
    return NULL;
}

static loam_status set_recovered_name(struct repair *repair, struct repair_target *target)
{
    char name[32];
    do
        (void)snprintf(name, sizeof name, "recovered-%u", ++repair->recovered_count);
    while (target_by_name(repair, name) != NULL);
    target->is_needed = true;
    target->name = mem_copy(name, strlen(name) + 1);
    return target->name == NULL ? LOAM_NOMEM : LOAM_OK;
}

loam_status repair_add_recovered(struct repair *repair)
{
    struct repair_target *grown =
        mem_realloc(repair->targets, (repair->target_count + 1) * sizeof *grown);
    if (grown == NULL) return LOAM_NOMEM;
    repair->targets = grown;
    struct repair_target target = {.options = loam_coll_options_default()};
    const loam_status rc = set_recovered_name(repair, &target);
    if (rc == LOAM_OK) repair->targets[repair->target_count++] = target;
    return rc;
}

/* Two collections cannot have one name, but two facts can, when what was between them is lost: the younger collection keeps it. */
static bool is_taken_by_younger(const struct salvage_facts *facts, size_t index)
{
    if (facts->is_whole) return false;
    for (size_t i = 0; i < facts->coll_count; i++) {
        const struct salvage_coll *other = &facts->colls[i];
        if (i == index || other->is_dropped || other->name == NULL) continue;
        if ((i > index || i == 0) && strcmp(other->name, facts->colls[index].name) == 0)
            return true;
    }
    return false;
}

static loam_status make_targets(struct repair *repair)
{
    const struct salvage_facts *facts = &repair->facts;
    const size_t count = facts->coll_count;
    loam_status rc = LOAM_OK;
    repair->targets = mem_alloc_array(count + 1, sizeof *repair->targets);
    if (repair->targets == NULL) return LOAM_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct salvage_coll *coll = &facts->colls[i];
        struct repair_target *target = &repair->targets[repair->target_count++];
        *target = (struct repair_target){.options = coll_options_public(&coll->options),
                                         .is_dropped = coll->is_dropped,
                                         .tabled_seq = coll->flushed_seq,
                                         .has_losses = !facts->is_whole};
        if (coll->is_dropped || coll->name == NULL || is_taken_by_younger(facts, i)) continue;
        target->name = mem_copy(coll->name, strlen(coll->name) + 1);
        if (target->name == NULL) return LOAM_NOMEM;
    }
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        struct repair_target *target = &repair->targets[i];
        if (!target->is_dropped && target->name == NULL) rc = set_recovered_name(repair, target);
    }
    return rc;
}

static void count_collections(struct repair *repair)
{
    for (size_t i = 0; i < repair->target_count; i++) {
        const struct repair_target *target = &repair->targets[i];
        if (target->is_dropped || (target->is_needed && target->entry_count == 0)) continue;
        repair->stats.collection_count++;
        if (!target->is_needed) continue;
        repair->is_lossy = true;
        say_line(repair, "%s: a collection whose name is lost", target->name);
    }
}

/* ---- root and manifest ---------------------------------------------------------------------------- */

static void note_object(void *ctx, const char *name)
{
    bool *has_objects = ctx;
    (void)name;
    *has_objects = true;
}

static loam_status read_root(struct repair *repair)
{
    loam_buf bytes = {0};
    bool has_objects = false;
    loam_status rc = store_list(repair->store, note_object, &has_objects);
    if (rc < 0) return rc;
    rc = store_root_read(repair->store, &bytes);
    if (rc == LOAM_NOTFOUND && !has_objects)
        return failed_errno(ENOENT, "%s: there is no store in it", repair->dir);
    if (rc == LOAM_NOTFOUND) rc = failed(LOAM_CORRUPT, "root: byte 0: is missing");
    if (rc == LOAM_OK) rc = root_decode(loam_bytes(bytes.data, bytes.len), "root", &repair->root);
    loam_buf_free(&bytes);
    repair->has_root = rc == LOAM_OK;
    if (rc != LOAM_CORRUPT && (rc != LOAM_IOERR || object_was_refused())) return rc;
    repair_say(repair, "%s; the newest manifest speaks for it", loam_errmsg());
    return LOAM_OK;
}

static void meet_manifest_fault(void *ctx, const char *text, uint64_t lost_bytes)
{
    struct repair *repair = ctx;
    repair->stats.lost_bytes += lost_bytes;
    repair_say(repair, "%s", text);
}

static loam_status read_manifest(struct repair *repair)
{
    loam_status rc = manifest_salvage(repair->store, repair->has_root ? &repair->root : NULL,
                                      meet_manifest_fault, repair, &repair->facts);
    if (rc == LOAM_OK && repair->has_root && repair->root.manifest.number != 0 &&
        !repair->facts.has_manifest) {
        /* Is it the root that does not belong here? */
        struct salvage_facts other;
        rc = manifest_salvage(repair->store, NULL, meet_manifest_fault, repair, &other);
        if (rc < 0) return rc;
        struct salvage_facts unused = other;
        if (other.has_manifest) {
            unused = repair->facts;
            repair->facts = other;
            repair->has_root = false;
            repair_say(repair,
                       "root: byte 16: is another store's; the newest manifest speaks for it");
        }
        salvage_facts_deinit(&unused);
    }
    if (rc == LOAM_OK && !repair->facts.has_manifest && !repair->facts.is_whole)
        repair_say(repair,
                   "%s: there is no manifest: what the names of collections and the owners "
                   "of tables are is known from the log alone",
                   repair->dir);
    if (rc == LOAM_OK && !repair->facts.is_whole) repair->is_lossy = true;
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------ */

/* Better now than after hours of reading. */
static loam_status check_target(const struct repair *repair)
{
    const struct store_options options = {.read_only = true, .must_exist = true};
    struct store *store;
    bool is_new, is_inside;
    loam_status rc = store_holds(repair->store, repair->path, &is_inside);
    if (rc < 0) return rc;
    if (is_inside)
        return failed(LOAM_INVALID, "%s: is in the damaged store; name another place",
                      repair->path);
    rc = store_open(repair->world->sys, repair->path, &options, &is_new, &store);
    if (rc == LOAM_IOERR && loam_errno() == ENOENT) return LOAM_OK;
    if (rc < 0) return rc;
    store_close(store);
    return failed_errno(EEXIST, "%s: there is a store already; name another place", repair->path);
}

static void estimate_work(struct repair *repair)
{
    uint64_t bytes = wal_salvage_bytes(repair->log);
    for (size_t i = 0; i < repair->facts.table_count; i++)
        if (!repair->facts.tables[i].is_gone) bytes += repair->facts.tables[i].meta.bytes;
    repair->stats.total_bytes = repair->path == NULL ? bytes : 2 * bytes;
}

static loam_status survey_store(struct repair *repair)
{
    const struct store_options options = {.read_only = true, .must_exist = true, .salvage = true};
    bool is_new;
    loam_status rc = store_open(repair->world->sys, repair->dir, &options, &is_new, &repair->store);
    if (rc < 0) return rc;
    if (repair->path != NULL) rc = check_target(repair);
    if (rc == LOAM_OK) rc = read_root(repair);
    if (rc == LOAM_OK) rc = read_manifest(repair);
    if (rc == LOAM_OK) rc = repair_open_log(repair);
    if (rc != LOAM_OK) return rc;
    estimate_work(repair);
    rc = repair_survey_log(repair);
    if (rc == LOAM_OK) rc = make_targets(repair);
    if (rc == LOAM_OK) rc = repair_survey_tables(repair);
    if (rc == LOAM_OK) rc = repair_take_log(repair, 0, UINT64_MAX);
    if (rc == LOAM_OK) count_collections(repair);
    return rc;
}

static void free_repair(struct repair *repair)
{
    for (size_t i = 0; i < repair->target_count; i++)
        mem_free(repair->targets[i].name);
    for (size_t i = 0; i < repair->source_count; i++) {
        loam_buf_free(&repair->sources[i].smallest);
        loam_buf_free(&repair->sources[i].largest);
    }
    mem_free(repair->targets);
    mem_free(repair->sources);
    wal_salvage_free(repair->log);
    salvage_facts_deinit(&repair->facts);
    store_close(repair->store);
}

static loam_status run_repair(struct repair *repair)
{
    loam_status rc = survey_store(repair);
    if (rc == LOAM_OK && repair->path != NULL) rc = copy_entries(repair);
    if (rc != LOAM_OK) return rc;
    repair->stats.done_bytes = repair->stats.total_bytes;
    say_summary(repair);
    if (!repair->is_lossy) return LOAM_OK;
    return failed(LOAM_CORRUPT, "%s: not all of it is intact; see what was listed", repair->dir);
}

loam_status db_repair_in(const struct db_world *world, const char *dir, const char *target,
                         const loam_repair_options *options, loam_repair_stats *out)
{
    struct repair repair = {
        .world = world, .dir = dir, .path = target, .options = loam_repair_options_default()};
    struct failure why;
    if (dir == NULL || dir[0] == 0 || (target != NULL && target[0] == 0))
        return failed(LOAM_INVALID, "the directory's name is empty");
    loam_status rc = out == NULL ? LOAM_OK : sized_check(out);
    if (rc == LOAM_OK)
        rc = sized_take(&repair.options, sizeof repair.options, options,
                        "loam_repair_options_default");
    if (rc < 0) return rc;
    rc = run_repair(&repair);
    failure_save(&why);
    if (out != NULL) sized_give(out, &repair.stats, sizeof repair.stats);
    free_repair(&repair);
    if (rc != LOAM_OK) failure_restore(&why);
    return rc;
}

loam_status loam_repair(const char *dir, const char *target, const loam_repair_options *opts,
                        loam_repair_stats *out)
{
    const struct db_world world = {.sys = sys_posix(), .threaded = true, .mapped_log = true};
    return db_repair_in(&world, dir, target, opts, out);
}
