/*
 * restore.c - a store of an earlier moment, from a checkpoint and an archive; see restore.h and loam.h.
 *
 *   open `from`, survey: how far, which clones -> copy -> an ordinary recovery of it, which reads on in the archive -> all in tables, new id -> verified
 */
#include "db/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/mem.h"
#include "base/sized.h"
#include "base/text.h"

#include "base/poison.h"

enum { NOTE_BYTES = 256 << 10 }; /* of the log, between two words of how far it is */

/* ---- how far --------------------------------------------------------------------------------- */

static loam_status tell(struct restore *restore, uint64_t done, uint64_t total)
{
    const loam_restore_options *options = &restore->options;
    if (options->progress == NULL || options->progress(options->ctx, done, total)) return LOAM_OK;
    (void)failed(LOAM_CONFLICT, "the restore was told to stop");
    return LOAM_CONFLICT;
}

loam_status restore_note(struct restore *restore, const struct wal_commit *commit)
{
    const uint64_t begin = restore->begin;
    if (commit->end < restore->noted + NOTE_BYTES || commit->end <= begin) return LOAM_OK;
    restore->noted = commit->end;
    return tell(restore, restore->copied_bytes + (commit->end - begin),
                restore->copied_bytes + (restore->limit - begin));
}

/* ---- the survey ------------------------------------------------------------------------------ */

static bool is_beyond(const loam_moment *to, const loam_moment *moment)
{
    return (to->seq != 0 && moment->seq > to->seq) || (to->ms != 0 && moment->ms > to->ms);
}

static loam_status note_clone(struct restore *restore, const struct wal_commit *commit,
                              const struct change *change)
{
    struct logged_clone *grown =
        mem_realloc(restore->clones, (restore->clone_count + 1) * sizeof *grown);
    if (grown == NULL) return LOAM_NOMEM;
    restore->clones = grown;
    struct logged_clone *clone = &grown[restore->clone_count];
    *clone = (struct logged_clone){.commit = *commit, .source = change->source, .seq = change->seq};
    (void)snprintf(clone->name, sizeof clone->name, "%s", commit->name);
    const loam_status rc = buf_set(&clone->body, commit->body.data, commit->body.len);
    if (rc == LOAM_OK) restore->clone_count++;
    return rc;
}

/* What does not parse the replay will name. */
static loam_status survey_logged_change(struct restore *restore, const struct wal_commit *commit)
{
    struct change change = {.coll = 0};
    struct edit_reader reader = edit_reader_over(commit->body);
    if (commit->seq <= restore->known_seq) return LOAM_OK;
    if (edit_next(&reader, &change) != LOAM_OK) return LOAM_OK;
    if (change.tag == CHANGE_COLL_CLONE) return note_clone(restore, commit, &change);
    if (change.tag == CHANGE_COLL_CREATE || change.tag == CHANGE_COLL_RENAME ||
        change.tag == CHANGE_COLL_DROP || change.tag == CHANGE_COLL_OPTIONS)
        return LOAM_OK;
    return failed(LOAM_INVALID,
                  "%s: byte %" PRIu64
                  ": %s, whose tables no archive holds; restore from a backup made after it",
                  commit->name, commit->offset,
                  change.tag == CHANGE_INGEST ? "a bulk load" : "a change");
}

/* LOAM_NOTFOUND: nothing more is wanted. */
static loam_status survey_logged(void *ctx, const struct wal_commit *commit)
{
    struct restore *restore = ctx;
    const loam_moment *to = &restore->options.to;
    loam_moment moment = {.seq = commit->seq, .ms = commit->time_ms};
    uint32_t count = 1;
    if (commit->kind == RECORD_ATTEST) return LOAM_OK;
    const uint8_t *body = commit->body.data;
    if (commit->kind == RECORD_COMMIT &&
        (get_varint32(body, body + commit->body.len, &count) == NULL || count == 0))
        return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": a commit without a count", commit->name,
                      commit->offset);
    moment.seq += count - 1;
    if (moment.ms < restore->reached.ms) moment.ms = restore->reached.ms;
    if (restore->in_archive && is_beyond(to, &moment)) return LOAM_NOTFOUND;
    const loam_status rc =
        commit->kind == RECORD_CHANGE ? survey_logged_change(restore, commit) : LOAM_OK;
    if (rc < 0) return rc;
    if (moment.seq > restore->reached.seq) restore->reached.seq = moment.seq;
    restore->reached.ms = moment.ms;
    restore->limit = commit->end;
    if (commit->end >= restore->noted + NOTE_BYTES) {
        restore->noted = commit->end;
        if (tell(restore, 0, commit->end) != LOAM_OK && restore->in_archive) return LOAM_CONFLICT;
    }
    return restore->in_archive && moment.seq == to->seq ? LOAM_NOTFOUND : LOAM_OK;
}

static void moment_text(const loam_moment *moment, char text[static 80])
{
    char when[TEXT_TIME_BYTES_MAX];
    (void)snprintf(text, 80, "sequence number %" PRIu64 ", %s", moment->seq,
                   text_format_time(when, moment->ms));
}

static loam_status say_reachable(const struct restore *restore, loam_status rc)
{
    char why[STATUS_TEXT_MAX], moment[80];
    failed_keep(why, sizeof why);
    moment_text(&restore->reached, moment);
    return failed(rc, "%s: %s; before it, %s can be restored", store_path(restore->archive), why,
                  moment);
}

static loam_status survey_archive(struct restore *restore, const struct wal_past *past,
                                  struct wal_tail *tail)
{
    const loam_moment *to = &restore->options.to;
    char moment[80];
    moment_text(&restore->reached, moment);
    if (is_beyond(to, &restore->reached))
        return failed(
            LOAM_INVALID,
            "the checkpoint is of a later moment (%s) than is asked for; take an older one",
            moment);
    restore->begin = restore->limit = tail->end;
    restore->in_archive = true;
    if (to->seq != 0 && restore->reached.seq == to->seq) return LOAM_OK;
    const loam_status rc =
        wal_read_on(past, restore->archive, UINT64_MAX, survey_logged, restore, tail);
    if (rc == LOAM_CORRUPT || rc == LOAM_TOONEW || rc == LOAM_INVALID)
        return say_reachable(restore, rc);
    if (rc != LOAM_OK || restore->reached.seq >= to->seq) return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
    moment_text(&restore->reached, moment);
    return failed(LOAM_INVALID, "%s: ends before what is asked for; up to %s can be restored",
                  store_path(restore->archive), moment);
}

/* Is it an archive at all, and this store's? */
static loam_status check_archive(const struct restore *restore, const loam_db *db)
{
    struct object_id *ids = NULL;
    struct segment_header header;
    size_t count = 0;
    loam_status rc = store_objects(restore->archive, OBJECT_SEGMENT, &ids, &count);
    if (rc == LOAM_OK && count == 0)
        rc = failed(LOAM_INVALID, "%s: holds no segment of a log; is it the archive?",
                    store_path(restore->archive));
    if (rc == LOAM_OK) rc = archive_check(restore->archive, db->root.store_id, ids[0], &header);
    mem_free(ids);
    return rc;
}

loam_status restore_survey(struct restore *restore, loam_db *db, const struct wal_past *past)
{
    struct wal_tail tail = {0};
    loam_status rc = check_archive(restore, db);
    if (rc < 0) return rc;
    restore->reached = (loam_moment){.seq = highest_flushed(db->catalog),
                                     .ms = catalog_counters(db->catalog).time_ms};
    restore->known_seq = catalog_counters(db->catalog).change_seq;
    rc = wal_read(past, survey_logged, restore, &tail);
    if (rc < 0) return rc;
    rc = survey_archive(restore, past, &tail);
    restore->noted = 0;
    wal_tail_deinit(&tail);
    return rc;
}

const struct wal_commit *restore_due_clone(struct restore *restore, uint32_t source, uint64_t seq)
{
    for (size_t i = 0; i < restore->clone_count; i++) {
        struct logged_clone *clone = &restore->clones[i];
        if (clone->is_made || clone->source != source || clone->seq >= seq) continue;
        clone->is_made = true;
        clone->commit.body = loam_bytes(clone->body.data, clone->body.len);
        clone->commit.name = clone->name;
        return &clone->commit;
    }
    return NULL;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool note_copied(void *ctx, uint64_t done, uint64_t total)
{
    struct restore *restore = ctx;
    restore->copied_bytes = total;
    return tell(restore, done, total + (restore->limit - restore->begin)) == LOAM_OK;
}

static loam_status copy_store(struct restore *restore, const struct db_world *world,
                              const char *from, const char *target)
{
    loam_db *db = NULL;
    struct db_world surveying = *world;
    loam_options opening = loam_options_default();
    loam_checkpoint_options options = loam_checkpoint_options_default();
    loam_status rc =
        sized_take(&opening, sizeof opening, restore->options.options, "loam_options_default");
    opening.read_only = opening.must_exist = true;
    opening.must_not_exist = false;
    surveying.restore = restore;
    if (rc == LOAM_OK) rc = db_open_in(&surveying, from, &opening, &db);
    if (rc != LOAM_OK) return rc;
    options.copy = true;
    options.progress = note_copied;
    options.ctx = restore;
    rc = loam_checkpoint(db, target, &options);
    const loam_status closed = loam_close(db);
    return rc == LOAM_OK ? closed : rc;
}

static loam_status replay_archive(struct restore *restore, const struct db_world *world,
                                  const char *target)
{
    loam_db *db = NULL;
    struct db_world restoring = *world;
    loam_options opening = loam_options_default();
    loam_status rc =
        sized_take(&opening, sizeof opening, restore->options.options, "loam_options_default");
    opening.read_only = opening.must_not_exist = false;
    opening.must_exist = true;
    opening.archive = NULL;
    restoring.restore = restore;
    if (rc == LOAM_OK) rc = db_open_in(&restoring, target, &opening, &db);
    if (rc == LOAM_OK) rc = loam_close(db);
    return rc == LOAM_OK ? db_verify_in(world, target, NULL, NULL) : rc;
}

/* What is there is a store of another moment: it would be taken for the one that was asked for. */
static void clear_target(const struct db_world *world, const char *target)
{
    const struct store_options options = {.bare = true, .must_exist = true};
    struct store *store = NULL;
    struct failure first;
    bool is_new;
    failure_save(&first);
    if (store_open(world->sys, target, &options, &is_new, &store) == LOAM_OK) store_clear(store);
    store_close(store);
    failure_restore(&first);
}

static loam_status restore_store(struct restore *restore, const struct db_world *world,
                                 const char *from, const char *target)
{
    const struct store_options options = {.read_only = true, .must_exist = true, .bare = true};
    bool is_new;
    loam_status rc =
        store_open(world->sys, restore->options.archive, &options, &is_new, &restore->archive);
    if (rc == LOAM_OK) rc = db_check_place(restore->archive, target, "the archive");
    if (rc == LOAM_OK) rc = copy_store(restore, world, from, target);
    if (rc != LOAM_OK) return rc; /* nothing is left of it */
    rc = replay_archive(restore, world, target);
    if (rc != LOAM_OK) clear_target(world, target);
    return rc;
}

loam_status db_restore_in(const struct db_world *world, const char *from, const char *target,
                          const loam_restore_options *options, loam_moment *reached)
{
    struct restore restore = {.options = {.struct_size = sizeof restore.options}};
    if (reached != NULL) *reached = (loam_moment){0};
    if (from == NULL || target == NULL || from[0] == '\0' || target[0] == '\0')
        return failed(LOAM_INVALID, "the name of a directory is empty");
    if (options != NULL && options->struct_size == 0)
        return failed(LOAM_INVALID, "struct_size is 0; it is sizeof(loam_restore_options)");
    loam_status rc = sized_take(&restore.options, sizeof restore.options, options, "sizeof");
    if (rc == LOAM_OK && restore.options.archive == NULL)
        rc = failed(LOAM_INVALID, "no archive is named; a checkpoint of a read-only database "
                                  "restores without one");
    if (rc == LOAM_OK) rc = restore_store(&restore, world, from, target);
    if (rc == LOAM_OK && reached != NULL) *reached = restore.reached;
    for (size_t i = 0; i < restore.clone_count; i++)
        loam_buf_free(&restore.clones[i].body);
    mem_free(restore.clones);
    store_close(restore.archive);
    return rc;
}

loam_status loam_restore(const char *from, const char *target, const loam_restore_options *opts,
                         loam_moment *reached)
{
    const struct db_world world = db_world_real();
    return db_restore_in(&world, from, target, opts, reached);
}
