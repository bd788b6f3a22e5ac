/*
 * wal_reader.c - what of a log counts, and where it ends; see wal_reader.h.
 */
#include "wal/wal_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

struct reading {
    const struct wal_past *past;
    loam_status (*each)(void *ctx, const struct wal_commit *commit);
    void *ctx;
    uint64_t position, running; /* behind the last valid record */
    uint64_t attested;
    struct wal_tail *tail;
    bool begun; /* a commit's beginning was met; parts before it belong to what the floor passed */
    struct wal_parts parts; /* of a commit that is cut over several records */
    loam_buf
        memory; /* of the segment before, for the next: its first touch took longer than reading it */
};

static loam_status damaged(const char *name, const struct segment_header *header, uint64_t position,
                           const char *what)
{
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s", name,
                  SEGMENT_HEADER_BYTES + (position - header->start), what);
}

/* ---- commits from records ------------------------------------------------------------------ */

struct wal_commit wal_commit_from(const struct segment_view *view, const struct record *record)
{
    return (struct wal_commit){
        .kind = record->kind,
        .flags = record->flags,
        .seq = record->seq,
        .time_ms = record->time_ms,
        .position = record->position,
        .end = record->end,
        .body = record->body,
        .name = view->name,
        .offset = SEGMENT_HEADER_BYTES + (record->position - view->header.start),
    };
}

loam_status wal_parts_take(struct wal_parts *parts, const struct segment_view *view,
                           const struct record *record, struct wal_commit *commit)
{
    const bool first = record->flags & RECORD_FIRST, last = record->flags & RECORD_LAST;
    *commit = wal_commit_from(view, record);
    if (record->kind == RECORD_EDIT || first == parts->is_open)
        return damaged(view->name, &view->header, record->position, "a record out of place");
    if (first && last) return LOAM_OK;
    if (first) {
        parts->first = *commit;
        memcpy(parts->first_name, view->name, OBJECT_NAME_BYTES);
        parts->is_open = true;
        const loam_status rc = buf_set(&parts->bytes, record->body.data, record->body.len);
        return rc < 0 ? rc : LOAM_NOTFOUND;
    }
    if (record->seq != parts->first.seq || record->kind != parts->first.kind)
        return damaged(view->name, &view->header, record->position, "a part of another commit");
    const loam_status rc = buf_append(&parts->bytes, record->body.data, record->body.len);
    if (rc < 0 || !last) return rc < 0 ? rc : LOAM_NOTFOUND;
    commit->body = loam_bytes(parts->bytes.data, parts->bytes.len);
    commit->position = parts->first.position;
    parts->is_open = false;
    return LOAM_OK;
}

static loam_status hand_over(struct reading *reading, const struct wal_commit *commit)
{
    reading->tail->end = commit->end;
    reading->tail->running = reading->running;
    if (commit->kind != RECORD_ATTEST) reading->tail->commit_count++;
    if (commit->end <= reading->past->floor) return LOAM_OK;
    return reading->each(reading->ctx, commit);
}

static loam_status take_record(struct reading *reading, const struct segment_view *view,
                               const struct record *record)
{
    struct wal_commit commit;
    if (record->flags & RECORD_FIRST) reading->begun = true;
    if (!reading->begun) {
        reading->tail->end = record->end;
        reading->tail->running = reading->running;
        return LOAM_OK;
    }
    const loam_status rc = wal_parts_take(&reading->parts, view, record, &commit);
    if (rc == LOAM_NOTFOUND) return LOAM_OK;
    return rc < 0 ? rc : hand_over(reading, &commit);
}

/* Takes records until one is invalid or `until` is reached. */
static loam_status take_records(struct reading *reading, const struct segment_view *view,
                                uint64_t until)
{
    struct record record;
    while (reading->position < until &&
           segment_record_at(view, reading->position, &reading->running, &record) == LOAM_OK) {
        if (record.end > until)
            return damaged(view->name, &view->header, record.position,
                           "a record passes the segment's stated end");
        reading->position = record.end;
        if (record.synced_upto > reading->attested) reading->attested = record.synced_upto;
        const loam_status rc = take_record(reading, view, &record);
        if (rc != LOAM_OK) return rc;
    }
    return LOAM_OK;
}

static loam_status is_of_store(const struct reading *reading, const struct segment_view *view)
{
    if (memcmp(view->header.store_id, reading->past->store_id, STORE_ID_BYTES) == 0) return LOAM_OK;
    return failed(LOAM_CORRUPT, "%s: byte 8: belongs to another store", view->name);
}

static loam_status header_fits(const struct reading *reading, const struct segment_view *view)
{
    const struct segment_header *header = &view->header;
    const loam_status rc = is_of_store(reading, view);
    if (rc < 0) return rc;
    if (header->id.epoch == reading->past->epoch && header->log_key != reading->past->log_key)
        return failed(LOAM_CORRUPT, "%s: byte 56: belongs to another copy of this store",
                      view->name);
    return LOAM_OK;
}

/* ---- earlier openers' segments: all of it must be there ------------------------------------- */

static loam_status read_listed(struct reading *reading, const struct wal_extent *extent)
{
    struct segment_view view;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_SEGMENT, extent->id, name);
    loam_status rc = segment_load_over(reading->past->store, OBJECT_SEGMENT, extent->id,
                                       &reading->memory, &view);
    if (rc == LOAM_NOTFOUND)
        return failed(LOAM_CORRUPT,
                      "%s: byte 0: missing, or without a valid header, and the log needs it", name);
    if (rc < 0) return rc;
    rc = header_fits(reading, &view);
    if (rc == LOAM_OK && view.header.start != extent->start)
        rc = failed(LOAM_CORRUPT, "%s: byte 32: starts at %" PRIu64 ", the manifest says %" PRIu64,
                    name, view.header.start, extent->start);
    if (rc == LOAM_OK) {
        reading->position = extent->start;
        reading->running = view.header.running;
        rc = take_records(reading, &view, extent->end);
    }
    if (rc == LOAM_OK && reading->position != extent->end)
        rc = damaged(name, &view.header, reading->position, "a durable record is damaged");
    reading->memory = view.bytes;
    return rc;
}

/* ---- the last opener's segments: up to the cut ---------------------------------------------- */

static loam_status keep_extent(struct wal_tail *tail, const struct segment_view *view, uint64_t end)
{
    struct wal_extent *grown =
        mem_realloc(tail->extents, (tail->extent_count + 1) * sizeof *tail->extents);
    if (grown == NULL) return LOAM_NOMEM;
    tail->extents = grown;
    grown[tail->extent_count++] = (struct wal_extent){view->header.id, view->header.start, end};
    return LOAM_OK;
}

/* The log was durable beyond its end at the cut. Where no next segment is to be seen, that one may be what is missing. */
static loam_status ends_too_early(const struct reading *reading, const struct segment_view *view,
                                  bool has_next, const char *why)
{
    const struct object_id id = view->header.id;
    char next[OBJECT_NAME_BYTES];
    if (has_next) return damaged(view->name, &view->header, reading->position, why);
    object_name_make(OBJECT_SEGMENT, (struct object_id){id.epoch, id.number + 1}, next);
    return failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": %s; or %s is missing or has no header",
                  view->name, SEGMENT_HEADER_BYTES + (reading->position - view->header.start), why,
                  next);
}

/* Where the reading stopped: number is of the segment that it stopped in, which has no view where it was never begun. */
struct cut {
    const struct segment_view *view;
    uint32_t number;
    bool has_next;
    uint32_t hole; /* the first number behind it whose file is missing or cut off; 0: none so far */
};

static loam_status damaged_file(const struct reading *reading, uint32_t number, const char *what)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_SEGMENT, (struct object_id){reading->past->epoch, number}, name);
    return failed(LOAM_CORRUPT, "%s: byte 0: %s", name, what);
}

/* Does this file say that the log was durable beyond the cut, or is one before it lost? Without a header it has records of the log only if
   it is the one that goes on at the cut. */
static loam_status look_into(const struct reading *reading, struct cut *cut, uint32_t number)
{
    const uint64_t position = reading->position;
    const struct segment_header known = {
        .id = {reading->past->epoch, number}, .start = position, .log_key = reading->past->log_key};
    struct segment_view view;
    uint64_t found_at = 0;
    bool begun = false;
    const loam_status rc =
        segment_load_known(reading->past->store, OBJECT_SEGMENT, &known, &view, &begun);
    if (rc == LOAM_NOTFOUND && cut->hole == 0) cut->hole = number; /* a link to nowhere */
    if (rc != LOAM_OK) return rc < 0 ? rc : LOAM_OK;
    const bool attests = view.header.synced_upto > position ||
                         segment_attested_beyond(&view, view.header.start, &found_at) > position;
    const bool whole =
        view.bytes.len > SEGMENT_HEADER_BYTES && view.bytes.len % SEGMENT_BLOCK_BYTES == 0;
    segment_view_deinit(&view);
    if (!begun && !whole && cut->hole == 0) cut->hole = number;
    if (begun && cut->hole != 0)
        return damaged_file(reading, cut->hole,
                            "missing or cut off, and the log went on behind it");
    if (!attests) return LOAM_OK;
    if (!begun)
        return damaged_file(reading, number,
                            "without a valid header, and its records say that it was durable");
    if (cut->view == NULL)
        return damaged_file(reading, cut->number,
                            "without a valid header, and a later segment says it was durable");
    return ends_too_early(reading, cut->view, cut->has_next,
                          "damaged or cut off, and a later segment says it was durable");
}

/* Numbers have no holes, each file has its full length before the next one is made, and it is deleted only when the manifest has
   passed it. So one that is absent or cut off below one that was begun was lost, or the manifest lost what it said. A file without a
   valid header that has its length may be what a power cut left. */
static loam_status look_into_later(const struct reading *reading, struct cut *cut)
{
    const uint32_t epoch = reading->past->epoch;
    uint32_t next = cut->view == NULL ? cut->number : cut->number + 1;
    struct object_id *ids = NULL;
    size_t count = 0;
    loam_status rc = store_objects(reading->past->store, OBJECT_SEGMENT, &ids, &count);
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        if (ids[i].epoch != epoch || ids[i].number < next) continue;
        if (ids[i].number > next && cut->hole == 0) cut->hole = next;
        rc = look_into(reading, cut, ids[i].number);
        next = ids[i].number + 1;
    }
    mem_free(ids);
    return rc;
}

/* Is there a word, in this segment or a later one, that the log was durable beyond the cut? */
static loam_status look_beyond(const struct reading *reading, struct cut cut)
{
    const struct segment_view *view = cut.view;
    const uint64_t position = reading->position;
    uint64_t found_at = 0;
    if (view != NULL && segment_attested_beyond(view, position, &found_at) > position)
        return damaged(view->name, &view->header, position,
                       "damaged, and later records say it was durable");
    if (reading->attested > position && view != NULL)
        return ends_too_early(reading, view, cut.has_next,
                              "damaged or cut off, and it was durable");
    if (reading->attested > position)
        return damaged_file(reading, cut.number,
                            "missing or without a valid header, and it was durable");
    return look_into_later(reading, &cut);
}

/* A segment has whole blocks until a close cuts it to the end of its last record, and room for all that stands before the next one. */
static loam_status check_length(const struct reading *reading, const struct segment_view *view,
                                const struct segment_header *next)
{
    const uint64_t len = view->bytes.len, from = view->header.start;
    const uint64_t end = SEGMENT_HEADER_BYTES + (reading->position - from);
    if (next != NULL && SEGMENT_HEADER_BYTES + (next->start - from) > len)
        return damaged(view->name, &view->header, reading->position,
                       "cut off, and the log went on behind it");
    if (len % SEGMENT_BLOCK_BYTES == 0 || len == end) return LOAM_OK;
    return failed(LOAM_CORRUPT,
                  "%s: byte %" PRIu64 ": cut off; its last whole record ends at byte %" PRIu64,
                  view->name, len, end);
}

/* Reads one segment; *more when the log goes on in the next. */
static loam_status read_current(struct reading *reading, uint32_t number, bool *more)
{
    struct segment_view view;
    struct segment_header next;
    const struct object_id id = {reading->past->epoch, number};
    *more = false;
    loam_status rc =
        segment_load_over(reading->past->store, OBJECT_SEGMENT, id, &reading->memory, &view);
    if (rc < 0) return rc;
    const bool begun = rc == LOAM_OK && view.header.start == reading->position;
    if (rc == LOAM_OK && begun) rc = header_fits(reading, &view);
    if (rc == LOAM_OK && begun && view.header.running != reading->running)
        rc = failed(LOAM_CORRUPT, "%s: byte 40: the log before it is not what it was", view.name);
    if (rc < 0) goto out;
    if (!begun) { /* never begun, or a later one whose predecessor is torn */
        rc = LOAM_OK;
        if (!reading->past->live) rc = look_beyond(reading, (struct cut){.number = number});
        goto out;
    }
    if (view.header.synced_upto > reading->attested) reading->attested = view.header.synced_upto;
    rc = segment_peek(reading->past->store, OBJECT_SEGMENT,
                      (struct object_id){id.epoch, number + 1}, &next);
    if (rc < 0) goto out;
    const bool has_next = rc == LOAM_OK && next.start >= view.header.start;
    rc = take_records(reading, &view, has_next ? next.start : UINT64_MAX);
    if (rc < 0) goto out;
    if (reading->position > view.header.start)
        rc = keep_extent(reading->tail, &view, reading->position);
    if (rc < 0) goto out;
    *more = has_next && reading->position == next.start;
    const bool ends_here = !*more && !reading->past->live;
    if (ends_here) rc = look_beyond(reading, (struct cut){&view, number, has_next, 0});
    if (rc == LOAM_OK && ends_here && !reading->past->sealed)
        rc = check_length(reading, &view, has_next ? &next : NULL);
out:
    reading->memory = view.bytes;
    return rc;
}

/* Cuts the extents to the end of the last whole commit. */
static void cut_extents(struct wal_tail *tail)
{
    while (tail->extent_count > 0 && tail->extents[tail->extent_count - 1].start >= tail->end)
        tail->extent_count--;
    if (tail->extent_count > 0) tail->extents[tail->extent_count - 1].end = tail->end;
}

/* A log that ends elsewhere is named by the place where it ends: in its last segment, or in the first where it has none. */
static loam_status check_seal(const struct reading *reading)
{
    const struct wal_past *past = reading->past;
    const struct wal_tail *tail = reading->tail;
    char name[OBJECT_NAME_BYTES], next[OBJECT_NAME_BYTES];
    if (!past->sealed || (tail->end == past->seal_end && tail->running == past->seal_running))
        return LOAM_OK;
    if (tail->extent_count == 0) {
        const uint32_t first = past->floor_number > 0 ? past->floor_number : 1;
        object_name_make(OBJECT_SEGMENT, (struct object_id){past->epoch, first}, name);
        return failed(LOAM_CORRUPT, "%s: byte 0: missing or without a valid header", name);
    }
    const struct wal_extent *last = &tail->extents[tail->extent_count - 1];
    object_name_make(OBJECT_SEGMENT, last->id, name);
    object_name_make(OBJECT_SEGMENT, (struct object_id){last->id.epoch, last->id.number + 1}, next);
    return failed(LOAM_CORRUPT,
                  "%s: byte %" PRIu64 ": the log ends here at position %" PRIu64
                  ", but was closed at %" PRIu64 "; or %s is missing or has no header",
                  name, SEGMENT_HEADER_BYTES + (last->end - last->start), tail->end, past->seal_end,
                  next);
}

static loam_status read_last_opener(struct reading *reading)
{
    const struct wal_past *past = reading->past;
    const uint32_t first = past->floor_number > 0 ? past->floor_number : 1;
    loam_status rc = LOAM_OK;
    reading->position = past->floor_number > 1 ? past->floor : past->start;
    if (first == 1) reading->running = past->start_running;
    if (first > 1) { /* the floor's segment speaks for those before it, which are gone */
        struct segment_header header;
        rc = segment_peek(past->store, OBJECT_SEGMENT, (struct object_id){past->epoch, first},
                          &header);
        if (rc == LOAM_OK) reading->running = header.running;
    }
    reading->tail->end = reading->position;
    reading->tail->running = reading->running;
    bool more = rc >= 0;
    if (rc == LOAM_NOTFOUND) rc = LOAM_OK;
    for (uint32_t number = first; rc == LOAM_OK && more; number++)
        rc = read_current(reading, number, &more);
    return rc;
}

loam_status wal_read(const struct wal_past *past,
                     loam_status (*each)(void *ctx, const struct wal_commit *commit), void *ctx,
                     struct wal_tail *tail)
{
    struct reading reading = {
        .past = past, .each = each, .ctx = ctx, .tail = tail, .attested = past->attested};
    loam_status rc = LOAM_OK;
    memset(tail, 0, sizeof *tail);
    for (size_t i = 0; rc == LOAM_OK && i < past->listed_count; i++)
        if (past->listed[i].end > past->floor) rc = read_listed(&reading, &past->listed[i]);
    if (rc == LOAM_OK &&
        reading.parts.is_open) /* they were listed up to the end of a whole commit */
        rc = failed(LOAM_CORRUPT, "%s: byte %" PRIu64 ": the rest of this commit is missing",
                    reading.parts.first_name, reading.parts.first.offset);
    if (rc == LOAM_OK) rc = read_last_opener(&reading);
    if (rc == LOAM_OK) rc = check_seal(&reading);
    if (past->sealed && past->seal_end > reading.attested) reading.attested = past->seal_end;
    tail->attested = reading.attested;
    cut_extents(tail);
    loam_buf_free(&reading.parts.bytes);
    loam_buf_free(&reading.memory);
    if (rc < 0) wal_tail_deinit(tail);
    return rc;
}

/* Loads the segment; *goes_on: there is a record at the position by now. LOAM_NOTFOUND: it was never begun, or begins behind. */
static loam_status load_end(const struct reading *reading, uint32_t number,
                            struct segment_view *view, bool *goes_on)
{
    struct record record;
    const struct object_id id = {reading->past->epoch, number};
    const loam_status rc = segment_load(reading->past->store, OBJECT_SEGMENT, id, view);
    *goes_on =
        rc == LOAM_OK && segment_record_at(view, reading->position, NULL, &record) == LOAM_OK;
    if (rc != LOAM_OK || view->header.start <= reading->position) return rc;
    segment_view_deinit(view);
    return LOAM_NOTFOUND;
}

loam_status wal_check_end(const struct wal_past *past, uint32_t number, uint64_t position)
{
    const struct reading reading = {.past = past, .position = position, .attested = past->attested};
    struct segment_view view, again;
    struct segment_header next;
    bool goes_on;
    loam_status rc = load_end(&reading, number, &view, &goes_on);
    if (rc < 0) return rc;
    const bool begun = rc == LOAM_OK;
    rc = LOAM_OK;
    if (!goes_on) {
        rc = segment_peek(past->store, OBJECT_SEGMENT, (struct object_id){past->epoch, number + 1},
                          &next);
        if (rc >= 0)
            rc =
                look_beyond(&reading, (struct cut){begun ? &view : NULL, number, rc == LOAM_OK, 0});
    }
    if (begun) segment_view_deinit(&view);
    if (rc != LOAM_CORRUPT) return rc;
    struct failure failure; /* what was looked into later may have been written later */
    failure_save(&failure);
    const bool is_there = load_end(&reading, number, &again, &goes_on) == LOAM_OK;
    if (is_there) segment_view_deinit(&again);
    failure_restore(&failure);
    return goes_on ? LOAM_OK : LOAM_CORRUPT;
}

void wal_past_deinit(struct wal_past *past)
{
    mem_free(past->listed);
    past->listed = NULL;
}

void wal_tail_deinit(struct wal_tail *tail)
{
    mem_free(tail->extents);
    memset(tail, 0, sizeof *tail);
}

/* ---- an archive: segments of one opener after the other --------------------------------------- */

/* Where the segment behind ids[i] begins; UINT64_MAX where there is none, or where its own reading will say what is wrong with it. */
static loam_status start_behind(struct store *archive, const struct object_id *ids, size_t i,
                                size_t count, uint64_t *start)
{
    struct segment_header header;
    char name[OBJECT_NAME_BYTES];
    *start = UINT64_MAX;
    if (i + 1 == count) return LOAM_OK;
    const loam_status rc = segment_peek(archive, OBJECT_SEGMENT, ids[i + 1], &header);
    if (rc == LOAM_OK) *start = header.start;
    if (rc != LOAM_NOTFOUND || ids[i].epoch == ids[i + 1].epoch) return rc < 0 ? rc : LOAM_OK;
    /* Only it knows where a later opener cut the one before. */
    object_name_make(OBJECT_SEGMENT, ids[i + 1], name);
    return failed(LOAM_CORRUPT, "%s: byte 0: without a valid header", name);
}

/* The log that was read so far must lead into this segment, wherever in it that is. LOAM_NOTFOUND: the last one ends before that. */
static loam_status join_segment(const struct reading *reading, const struct segment_view *view,
                                bool is_last)
{
    const struct segment_header *header = &view->header;
    uint64_t at = header->start, running = header->running, found_at = 0;
    struct record record;
    if (at > reading->position)
        return failed(LOAM_CORRUPT,
                      "%s: byte 32: begins at position %" PRIu64
                      " of the log, and what was there before it ends at %" PRIu64
                      ": segments in between are missing",
                      view->name, at, reading->position);
    while (at < reading->position && segment_record_at(view, at, &running, &record) == LOAM_OK)
        at = record.end;
    if (at < reading->position && is_last && segment_attested_beyond(view, at, &found_at) <= at)
        return LOAM_NOTFOUND;
    if (at < reading->position)
        return damaged(view->name, header, at, "damaged, or what followed it is missing");
    if (at == reading->position && running == reading->running) return LOAM_OK;
    return failed(LOAM_CORRUPT, "%s: byte 40: the log before it is not what it was", view->name);
}

static loam_status read_archived(struct reading *reading, struct store *archive,
                                 struct object_id id, uint64_t until, bool is_last)
{
    struct segment_view view;
    char name[OBJECT_NAME_BYTES];
    uint64_t found_at = 0;
    loam_status rc = segment_load_over(archive, OBJECT_SEGMENT, id, &reading->memory, &view);
    object_name_make(OBJECT_SEGMENT, id, name);
    if (rc == LOAM_NOTFOUND)
        return failed(LOAM_CORRUPT, "%s: byte 0: without a valid header", name);
    if (rc < 0) return rc;
    rc = is_of_store(reading, &view);
    if (rc == LOAM_OK) rc = join_segment(reading, &view, is_last);
    const bool joins = rc == LOAM_OK;
    if (rc == LOAM_NOTFOUND) rc = LOAM_OK;
    if (joins) rc = take_records(reading, &view, until);
    const uint64_t position = reading->position;
    if (joins && rc == LOAM_OK && position < until) {
        if (!is_last)
            rc =
                damaged(name, &view.header, position, "damaged, or a segment behind it is missing");
        else if (segment_attested_beyond(&view, position, &found_at) > position)
            rc = damaged(name, &view.header, position, "damaged, and it was durable");
        else
            rc = check_length(reading, &view, NULL);
    }
    reading->memory = view.bytes;
    return rc;
}

loam_status wal_read_on(const struct wal_past *past, struct store *archive, uint64_t limit,
                        loam_status (*each)(void *ctx, const struct wal_commit *commit), void *ctx,
                        struct wal_tail *tail)
{
    struct reading reading = {.past = past,
                              .each = each,
                              .ctx = ctx,
                              .tail = tail,
                              .position = tail->end,
                              .running = tail->running,
                              .begun = true};
    struct object_id *ids = NULL;
    size_t count = 0;
    loam_status rc = store_objects(archive, OBJECT_SEGMENT, &ids, &count);
    for (size_t i = 0; rc == LOAM_OK && i < count && reading.position < limit; i++) {
        uint64_t next;
        rc = start_behind(archive, ids, i, count, &next);
        if (rc != LOAM_OK || next <= reading.position) continue; /* all of it was read */
        rc = read_archived(&reading, archive, ids[i], next < limit ? next : limit,
                           next == UINT64_MAX);
    }
    mem_free(ids);
    loam_buf_free(&reading.parts.bytes);
    loam_buf_free(&reading.memory);
    return rc;
}

/* ---- verifying ------------------------------------------------------------------------------ */

struct verifying {
    const struct wal_past *past;
    void (*fault)(void *ctx, const char *text);
    void *ctx;
    struct object_id previous; /* of the log, in its order */
    bool previous_is_fresh;
};

/* Has this file had no earlier life as another segment? One is used again only when it was passed, so all that came before
   it in its opening must still be there. */
static bool is_fresh(const struct verifying *verifying, struct object_id id)
{
    const struct object_id previous = verifying->previous;
    return id.number == 1 || (verifying->previous_is_fresh && previous.epoch == id.epoch &&
                              previous.number + 1 == id.number);
}

static void say_spoilt(struct verifying *verifying, const char *name, uint64_t at, const char *what)
{
    char text[OBJECT_NAME_BYTES + 120];
    (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": %s", name, at, what);
    verifying->fault(verifying->ctx, text);
}

/* is_last: of its opening; a crash may have left anything behind its records. */
static loam_status verify_extent_rest(struct verifying *verifying, const struct wal_extent *extent,
                                      bool is_durable, bool is_last)
{
    struct segment_view view;
    uint64_t at = 0;
    const loam_status rc = segment_load(verifying->past->store, OBJECT_SEGMENT, extent->id, &view);
    if (rc < 0) return rc;
    const bool fresh = is_fresh(verifying, extent->id);
    if (rc == LOAM_OK && is_durable && segment_header_is_spoilt(&view, &at))
        say_spoilt(verifying, view.name, at, "a copy of the header is damaged; the other serves");
    if (rc == LOAM_OK && fresh && !is_last && segment_rest_is_spoilt(&view, extent->end, &at))
        say_spoilt(verifying, view.name, at, "behind the last record something was written");
    verifying->previous = extent->id;
    verifying->previous_is_fresh = fresh;
    segment_view_deinit(&view);
    return LOAM_OK;
}

loam_status wal_verify(const struct wal_past *past, const struct wal_tail *tail,
                       void (*fault)(void *ctx, const char *text), void *ctx)
{
    struct verifying verifying = {.past = past, .fault = fault, .ctx = ctx};
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < past->listed_count; i++) {
        const bool is_last =
            i + 1 == past->listed_count || past->listed[i + 1].id.epoch != past->listed[i].id.epoch;
        if (past->listed[i].end > past->floor)
            rc = verify_extent_rest(&verifying, &past->listed[i], true, is_last);
    }
    for (size_t i = 0; rc == LOAM_OK && i < tail->extent_count; i++) {
        const struct wal_extent *extent = &tail->extents[i];
        const bool is_last = i + 1 == tail->extent_count && !past->sealed;
        rc = verify_extent_rest(&verifying, extent, tail->attested > extent->start, is_last);
    }
    return rc;
}

/* After a power cut one copy of a header may be there and not the other: both are written, for from now on they are durable. */
static loam_status rewrite_extent(struct store *store, const struct wal_extent *extent,
                                  uint64_t from)
{
    uint8_t copies[SEGMENT_HEADER_BYTES];
    char name[OBJECT_NAME_BYTES];
    loam_slice front = {0};
    loam_status rc = LOAM_OK;
    if (from == 0) {
        struct segment_header header;
        rc = segment_peek(store, OBJECT_SEGMENT, extent->id, &header);
        if (rc == LOAM_OK) segment_header_copies(copies, &header);
        front = loam_bytes(copies, sizeof copies);
    }
    object_name_make(OBJECT_SEGMENT, extent->id, name);
    if (rc == LOAM_NOTFOUND)
        return failed(LOAM_CORRUPT, "%s: byte 0: its header was there, and is not", name);
    if (rc < 0) return rc;
    return object_rewrite(store, name, from,
                          SEGMENT_HEADER_BYTES + (extent->end - extent->start) - from, front);
}

loam_status wal_rewrite_tail(struct store *store, const struct wal_tail *tail)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < tail->extent_count; i++) {
        const struct wal_extent *extent = &tail->extents[i];
        if (extent->end <= tail->attested) continue;
        const uint64_t from = tail->attested > extent->start
                                  ? SEGMENT_HEADER_BYTES + (tail->attested - extent->start)
                                  : 0;
        rc = rewrite_extent(store, extent, from);
    }
    return rc;
}
