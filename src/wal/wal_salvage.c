/*
 * wal_salvage.c - what of a damaged log is intact; see wal_salvage.h.
 */
#include "wal/wal_salvage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

#include "base/poison.h"

enum {
    SALVAGE_HEADER_BYTES = 128,
    SALVAGE_COPY_BYTES = 4096,
    SEGMENT_READ_MAX = 65 << 20, /* the largest has 64 MiB */
    HOLE_TEXT_MAX = 160
};

struct found_segment {
    struct object_id id, file; /* what it says it is, and what its file is called */
    struct segment_header header;
    bool has_header;
    bool is_foreign;
    bool is_double; /* another one says the same, and its file is called so */
    bool is_unread; /* it is there, and the device does not open it */
    bool is_blank;  /* nothing but zeros: never begun */
    uint64_t limit; /* where a later opener's log begins: what stands behind is dead */
    uint64_t bytes;
};

struct wal_salvage {
    struct wal_clues clues;
    uint8_t store_id[STORE_ID_BYTES];
    struct found_segment *segments;
    size_t count;
    uint64_t durable; /* the log was durable below */
};

/* ---- loading --------------------------------------------------------------------------------- */

static loam_status load_hurt_segment(const struct wal_salvage *salvage,
                                     const struct found_segment *segment, struct segment_view *view,
                                     size_t *lost)
{
    struct object_load load = {.lost = 0};
    memset(view, 0, sizeof *view);
    object_name_make(OBJECT_SEGMENT, segment->file, view->name);
    view->header = segment->header;
    const loam_status rc =
        object_load_salvage(salvage->clues.store, view->name, SEGMENT_READ_MAX, &load);
    view->bytes = load.bytes;
    *lost = load.lost;
    if (rc != LOAM_OK) segment_view_deinit(view);
    return rc;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* A copy that names its own file is preferred; one that names another may have been exchanged. */
static loam_status choose_hurt_header(const loam_buf *bytes, struct found_segment *segment)
{
    struct segment_header header;
    bool too_new;
    for (size_t at = 0; at + SALVAGE_HEADER_BYTES <= bytes->len && at < SEGMENT_HEADER_BYTES;
         at += SALVAGE_COPY_BYTES) {
        const uint8_t *copy = (const uint8_t *)bytes->data + at;
        const bool valid = segment_header_get(copy, &header, &too_new);
        const bool own = valid && object_id_equal(header.id, segment->file);
        if (too_new) {
            char name[OBJECT_NAME_BYTES];
            object_name_make(OBJECT_SEGMENT, segment->file, name);
            return failed(LOAM_TOONEW, "%s: format %u; this library knows %u; use a newer loam",
                          name, copy[5], SEGMENT_FORMAT);
        }
        if (own || (valid && !segment->has_header)) segment->header = header;
        segment->has_header |= valid;
        if (own) break;
    }
    if (segment->has_header) segment->id = segment->header.id;
    return LOAM_OK;
}

/* LOAM_NOTFOUND: it is gone meanwhile. */
static loam_status look_at_segment(const struct wal_salvage *salvage, struct found_segment *segment)
{
    const struct wal_clues *clues = &salvage->clues;
    const struct segment_header *header = &segment->header;
    char name[OBJECT_NAME_BYTES];
    struct object_load load = {.lost = 0};
    object_name_make(OBJECT_SEGMENT, segment->file, name);
    loam_status rc = object_load_salvage(clues->store, name, SEGMENT_HEADER_BYTES, &load);
    segment->is_unread = rc == LOAM_CORRUPT;
    if (segment->is_unread) rc = LOAM_NOTFOUND;
    segment->bytes = load.size;
    if (rc == LOAM_OK) rc = choose_hurt_header(&load.bytes, segment);
    if (rc == LOAM_OK && load.lost == 0 && segment_is_blank(&load.bytes)) {
        rc = object_load_salvage(clues->store, name, SEGMENT_READ_MAX, &load);
        segment->bytes = load.size;
        segment->is_blank = rc == LOAM_OK && load.lost == 0 && segment_is_blank(&load.bytes);
        if (rc == LOAM_CORRUPT) rc = LOAM_OK; /* the walk will say so */
    }
    loam_buf_free(&load.bytes);
    if (segment->is_unread) return LOAM_OK;
    if (rc != LOAM_OK || !segment->has_header) return rc;
    segment->is_foreign = (clues->store_id != NULL &&
                           memcmp(header->store_id, clues->store_id, STORE_ID_BYTES) != 0) ||
                          (header->id.epoch == clues->epoch && header->log_key != clues->log_key);
    return LOAM_OK;
}

/* ---- which segments count -------------------------------------------------------------------- */

static int compare_segments(const void *a, const void *b)
{
    const struct found_segment *left = a, *right = b;
    return object_id_before(right->id, left->id) - object_id_before(left->id, right->id);
}

/* Of several headers that say the same, the one whose file is called so counts. */
static void mark_doubles(struct wal_salvage *salvage)
{
    struct found_segment *kept = NULL;
    for (size_t i = 0; i < salvage->count; i++) {
        struct found_segment *segment = &salvage->segments[i];
        if (segment->is_foreign || !segment->has_header) continue;
        if (kept == NULL || !object_id_equal(kept->id, segment->id)) {
            kept = segment;
            continue;
        }
        struct found_segment *other = segment;
        if (object_id_equal(segment->file, segment->id)) {
            other = kept;
            kept = segment;
        }
        other->is_double = true;
    }
}

static void set_limits(struct wal_salvage *salvage)
{
    const struct wal_clues *clues = &salvage->clues;
    uint64_t behind = UINT64_MAX; /* where the openers behind this one begin */
    uint64_t here = UINT64_MAX;   /* where this one does */
    uint32_t epoch = UINT32_MAX;
    for (size_t i = salvage->count; i > 0; i--) {
        struct found_segment *segment = &salvage->segments[i - 1];
        if (segment->id.epoch != epoch && here < behind) behind = here;
        epoch = segment->id.epoch;
        segment->limit = behind;
        if (clues->has_bounds && clues->start_epoch > epoch && clues->start < segment->limit)
            segment->limit = clues->start;
        if (clues->sealed && clues->epoch == epoch && clues->seal_end < segment->limit)
            segment->limit = clues->seal_end;
        if (segment->has_header && !segment->is_foreign && segment->header.start < here)
            here = segment->header.start;
    }
}

/* The key of an opener is in each of its headers, and the last one's in the root. */
static void lend_keys(struct wal_salvage *salvage)
{
    const struct found_segment *lender = NULL;
    for (size_t i = 0; i < salvage->count; i++) {
        struct found_segment *segment = &salvage->segments[i];
        if (segment->has_header) {
            if (!segment->is_foreign) lender = segment;
            continue;
        }
        if (segment->id.epoch == salvage->clues.epoch) {
            segment->header.id = segment->id;
            segment->header.log_key = salvage->clues.log_key;
            continue;
        }
        if (lender == NULL || lender->id.epoch != segment->id.epoch)
            for (size_t k = i + 1;
                 k < salvage->count && salvage->segments[k].id.epoch == segment->id.epoch; k++)
                if (salvage->segments[k].has_header) lender = &salvage->segments[k];
        if (lender != NULL && lender->id.epoch == segment->id.epoch)
            segment->header = lender->header;
        segment->header.id = segment->id;
    }
}

/* ---- how far the log was durable ------------------------------------------------------------- */

static void raise_to(uint64_t *bound, uint64_t position)
{
    if (position > *bound) *bound = position;
}

static loam_status find_durable(struct wal_salvage *salvage)
{
    const struct wal_clues *clues = &salvage->clues;
    uint32_t epoch = 0;
    loam_status rc = LOAM_OK;
    if (clues->has_bounds) raise_to(&salvage->durable, clues->attested);
    if (clues->has_bounds) raise_to(&salvage->durable, clues->start);
    if (clues->sealed) raise_to(&salvage->durable, clues->seal_end);
    for (size_t i = 0; rc >= 0 && i < salvage->count; i++) {
        const struct found_segment *segment = &salvage->segments[i];
        struct segment_view view;
        struct record record;
        if (!segment->has_header || segment->is_foreign) continue;
        if (segment->header.start >= segment->limit) continue;
        /* A later opener has made all before its own log durable. */
        if (segment->id.epoch != epoch) raise_to(&salvage->durable, segment->header.start);
        epoch = segment->id.epoch;
        raise_to(&salvage->durable, segment->header.synced_upto);
        size_t lost;
        rc = load_hurt_segment(salvage, segment, &view, &lost);
        if (rc == LOAM_CORRUPT) rc = LOAM_NOTFOUND; /* the walk will say so */
        if (rc != LOAM_OK) continue;
        const uint64_t last = segment->header.start + view.bytes.len;
        for (uint64_t at = segment->header.start; at < last && at < segment->limit;) {
            const bool valid = segment_record_at(&view, at, NULL, &record) == LOAM_OK;
            if (valid) raise_to(&salvage->durable, record.synced_upto);
            at = valid ? record.end : at + 8;
        }
        segment_view_deinit(&view);
    }
    return rc < 0 ? rc : LOAM_OK;
}

loam_status wal_salvage_new(const struct wal_clues *clues, struct wal_salvage **out)
{
    struct object_id *ids = NULL;
    size_t count = 0;
    struct wal_salvage *salvage = mem_zalloc(sizeof *salvage);
    if (salvage == NULL) return LOAM_NOMEM;
    salvage->clues = *clues;
    if (clues->store_id != NULL) {
        memcpy(salvage->store_id, clues->store_id, STORE_ID_BYTES);
        salvage->clues.store_id = salvage->store_id;
    }
    loam_status rc = store_objects(clues->store, OBJECT_SEGMENT, &ids, &count);
    if (rc == LOAM_OK) {
        salvage->segments = mem_alloc_array(count + 1, sizeof *salvage->segments);
        if (salvage->segments == NULL) rc = LOAM_NOMEM;
    }
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        struct found_segment *segment = &salvage->segments[salvage->count];
        memset(segment, 0, sizeof *segment);
        segment->id = segment->file = ids[i];
        rc = look_at_segment(salvage, segment);
        salvage->count += rc == LOAM_OK;
        if (rc == LOAM_NOTFOUND) rc = LOAM_OK;
    }
    mem_free(ids);
    if (rc == LOAM_OK) {
        if (salvage->count > 0)
            qsort(salvage->segments, salvage->count, sizeof *salvage->segments, compare_segments);
        mark_doubles(salvage);
        set_limits(salvage);
        lend_keys(salvage);
        rc = find_durable(salvage);
    }
    if (rc < 0) {
        wal_salvage_free(salvage);
        return rc;
    }
    *out = salvage;
    return LOAM_OK;
}

void wal_salvage_free(struct wal_salvage *salvage)
{
    if (salvage == NULL) return;
    mem_free(salvage->segments);
    mem_free(salvage);
}

uint64_t wal_salvage_bytes(const struct wal_salvage *salvage)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < salvage->count; i++)
        bytes += salvage->segments[i].bytes;
    return bytes;
}

/* ---- walking --------------------------------------------------------------------------------- */

/* A file that is damaged so that nobody knows whether the log went on in it. */
struct doubt {
    char name[OBJECT_NAME_BYTES];
    char what[HOLE_TEXT_MAX / 2]; /* empty: there is none */
    uint64_t at, bytes;
};

struct log_walk {
    const struct wal_salvage *salvage;
    loam_status (*each)(void *ctx, const struct wal_commit *commit);
    wal_salvage_hole *hole;
    void *ctx;
    uint64_t position; /* behind the last valid record, and at or above the floor */
    uint64_t reached;  /* behind the last valid record */
    struct doubt doubt;
    bool in_parts;
    loam_buf parts;
    uint64_t previous_bytes; /* of the segment before */
    uint64_t parts_end;      /* where the next part must stand */
    struct wal_commit first;
};

static void say_log(struct log_walk *walk, const char *name, uint64_t at, const char *what,
                    struct wal_hole hole)
{
    char text[HOLE_TEXT_MAX];
    if (walk->hole == NULL) return;
    (void)snprintf(text, sizeof text, "%s: byte %" PRIu64 ": %s", name, at, what);
    hole.text = text;
    walk->hole(walk->ctx, &hole);
}

static void say_log_fault(struct log_walk *walk, const char *name, uint64_t at, uint64_t bytes,
                          const char *what)
{
    say_log(walk, name, at, what, (struct wal_hole){.bytes = bytes});
}

static void say_log_hole(struct log_walk *walk, const char *name, uint64_t at, struct wal_hole hole,
                         const char *what)
{
    char text[HOLE_TEXT_MAX / 2];
    (void)snprintf(text, sizeof text, "%" PRIu64 " bytes of the log are %s", hole.bytes, what);
    say_log(walk, name, at, text, hole);
}

/* What follows in the log, or that nothing does, settles what it is worth. */
static void settle_doubt(struct log_walk *walk, bool is_end)
{
    const struct doubt *doubt = &walk->doubt;
    if (doubt->what[0] == 0) return;
    say_log_fault(walk, doubt->name, doubt->at, is_end ? doubt->bytes : 0, doubt->what);
    walk->doubt.what[0] = 0;
}

static void doubt_file(struct log_walk *walk, const struct segment_view *view, uint64_t at,
                       uint64_t bytes)
{
    settle_doubt(walk, false);
    memcpy(walk->doubt.name, view->name, sizeof walk->doubt.name);
    walk->doubt.at = at;
    walk->doubt.bytes = bytes;
}

static void say_end(struct log_walk *walk, uint64_t from, uint64_t bytes)
{
    const struct wal_salvage *salvage = walk->salvage;
    char name[OBJECT_NAME_BYTES] = "the log";
    uint64_t at = 0;
    if (salvage->count > 0) {
        const struct found_segment *last = &salvage->segments[salvage->count - 1];
        object_name_make(OBJECT_SEGMENT, last->file, name);
        if (from >= last->header.start) at = SEGMENT_HEADER_BYTES + (from - last->header.start);
    }
    say_log_hole(walk, name, at, (struct wal_hole){.bytes = bytes},
                 "missing from here on, and were durable");
}

/* Might this file of an earlier opener hold the position? One without a header may. */
static bool may_hold(const struct found_segment *segment, uint64_t position)
{
    const uint64_t start = segment->header.start;
    if (!segment->has_header) return !segment->is_blank;
    return start <= position &&
           position - start < segment->bytes - SEGMENT_HEADER_BYTES; /* it has a header: no less */
}

/* Is the file of the segment before this one gone, where the log should go on at `from`? */
static bool misses_file(const struct wal_salvage *salvage, struct object_id id, uint64_t from)
{
    if (id.number <= 1 && (!salvage->clues.has_bounds || from != salvage->clues.floor))
        return false;
    for (size_t i = 0; i < salvage->count; i++) {
        const struct found_segment *segment = &salvage->segments[i];
        const struct object_id file = segment->file;
        if (id.number > 1 && file.epoch == id.epoch && file.number + 1 == id.number) return false;
        if (id.number <= 1 && file.epoch < id.epoch && may_hold(segment, from)) return false;
    }
    return true;
}

/* From walk->position up to `to` there is no valid record, and there the log goes on, or was durable. */
static void pass_hole(struct log_walk *walk, const struct segment_view *view, uint64_t to)
{
    const uint64_t from = walk->position;
    walk->position = walk->reached = to; /* what is missing in between is said */
    struct wal_hole hole = {.bytes = to - from};
    if (view == NULL) {
        say_end(walk, from, hole.bytes);
    } else if (from < view->header.start) {
        hole.misses_file = misses_file(walk->salvage, view->header.id, from);
        say_log_hole(walk, view->name, SEGMENT_HEADER_BYTES, hole, "missing before it");
    } else {
        say_log_hole(walk, view->name, SEGMENT_HEADER_BYTES + (from - view->header.start), hole,
                     "damaged");
    }
}

static loam_status take_log_record(struct log_walk *walk, const struct segment_view *view,
                                   const struct record *record)
{
    const bool first = record->flags & RECORD_FIRST, last = record->flags & RECORD_LAST;
    struct wal_commit commit = wal_commit_from(view, record);
    if (record->kind != RECORD_COMMIT && record->kind != RECORD_CHANGE) return LOAM_OK;
    if (first) walk->in_parts = false;
    if (first && last) return walk->each(walk->ctx, &commit);
    const bool follows = record->position == walk->parts_end;
    walk->parts_end = record->end;
    if (first) {
        walk->first = commit;
        walk->in_parts = true;
        return buf_set(&walk->parts, record->body.data, record->body.len);
    }
    if (!follows || record->seq != walk->first.seq || record->kind != walk->first.kind)
        walk->in_parts = false;
    if (!walk->in_parts) return LOAM_OK; /* its beginning is lost: the sequence numbers will tell */
    const loam_status rc = buf_append(&walk->parts, record->body.data, record->body.len);
    if (rc < 0 || !last) return rc;
    commit.body = loam_bytes(walk->parts.data, walk->parts.len);
    commit.position = walk->first.position;
    walk->in_parts = false;
    return walk->each(walk->ctx, &commit);
}

/* A segment without a header: its records know their position, so the first one is tried at all that there can be. */
static bool find_start(const struct log_walk *walk, struct segment_view *view, uint64_t limit)
{
    struct record record;
    if (view->bytes.len < SEGMENT_HEADER_BYTES + RECORD_HEAD_BYTES) return false;
    /* It begins within the one before, or, if that file is gone, within one of about this size; the first that is needed
       may begin below the floor. */
    uint64_t most = walk->previous_bytes + view->bytes.len;
    if (most > SEGMENT_READ_MAX) most = SEGMENT_READ_MAX;
    view->header.start = walk->position;
    if (segment_next_record(view, walk->position, limit, NULL, &record) != UINT64_MAX) return true;
    uint64_t start = walk->position;
    if (walk->reached == 0) start = start > most ? start - most : 0;
    return segment_find_start(view, start, walk->position + most);
}

/* *end: of the last valid record in it. */
static loam_status walk_records(struct log_walk *walk, const struct segment_view *view,
                                uint64_t limit, uint64_t *end)
{
    struct record record;
    loam_status rc = LOAM_OK;
    *end = view->header.start;
    if (*end > walk->position) pass_hole(walk, view, *end);
    while (rc == LOAM_OK) {
        const uint64_t next = segment_next_record(view, *end, limit, NULL, &record);
        if (next == UINT64_MAX) break;
        if (next > walk->position)
            pass_hole(walk, view, next);
        else if (next != walk->reached && walk->hole != NULL)
            walk->hole(walk->ctx, &(struct wal_hole){0});
        rc = take_log_record(walk, view, &record);
        *end = walk->reached = record.end;
        if (record.end > walk->position) walk->position = record.end;
    }
    return rc;
}

/* A segment has whole blocks until a close cuts it to the end of its last record. */
static void check_hurt_length(struct log_walk *walk, const struct segment_view *view, uint64_t end)
{
    struct doubt *doubt = &walk->doubt;
    const uint64_t len = view->bytes.len;
    const uint64_t whole = SEGMENT_HEADER_BYTES + (end - view->header.start);
    if (len >= SEGMENT_HEADER_BYTES && (len % SEGMENT_BLOCK_BYTES == 0 || len == whole)) return;
    doubt_file(walk, view, len, len > whole ? len - whole : len);
    (void)snprintf(doubt->what, sizeof doubt->what,
                   len < whole ? "cut off before its first record"
                               : "cut off; its last whole record ends at byte %" PRIu64,
                   whole);
}

/* A file that is used again holds an earlier segment's header until it is begun; a later one's was never its own. */
static void say_exchanged(struct log_walk *walk, const struct found_segment *segment,
                          const char *name)
{
    char what[HOLE_TEXT_MAX / 2];
    const struct object_id id = segment->id;
    if (!segment->has_header || segment->is_foreign) return;
    if (!segment->is_double && !object_id_before(segment->file, id)) return;
    (void)snprintf(what, sizeof what, "is segment %u of opening %u; it has been exchanged",
                   id.number, id.epoch);
    /* Of two that say the same, what the one had of its own is gone, and nobody knows how much that was. */
    say_log_fault(walk, name, 24, segment->is_double ? segment->bytes : 0, what);
}

static loam_status walk_segment(struct log_walk *walk, const struct found_segment *segment)
{
    const struct wal_clues *clues = &walk->salvage->clues;
    struct segment_view view;
    char name[OBJECT_NAME_BYTES];
    if (segment->is_blank) return LOAM_OK;
    object_name_make(OBJECT_SEGMENT, segment->file, name);
    say_exchanged(walk, segment, name);
    if (segment->is_double) return LOAM_OK;
    if (segment->is_foreign) {
        say_log_fault(walk, name, 0, 0, "belongs to another store, or to another copy of this one");
        return LOAM_OK;
    }
    size_t lost = 0;
    loam_status rc =
        segment->is_unread ? LOAM_CORRUPT : load_hurt_segment(walk->salvage, segment, &view, &lost);
    if (rc == LOAM_CORRUPT) lost = segment->bytes > 0 ? (size_t)segment->bytes : 1; /* or more */
    if (lost > 0)
        say_log_hole(walk, name, 0, (struct wal_hole){.bytes = lost}, "not given by the device");
    if (rc == LOAM_CORRUPT) return LOAM_OK;
    if (rc != LOAM_OK) return rc < 0 ? rc : LOAM_OK;
    const bool usable = segment->has_header || find_start(walk, &view, segment->limit);
    const bool behind = clues->has_bounds && view.header.start + view.bytes.len <= clues->floor;
    if (usable && !segment->has_header && !behind)
        say_log_fault(walk, name, 0, 0,
                      "both copies of the header are damaged; its records are intact");
    uint64_t spoilt;
    if (segment->has_header && !behind && view.header.start < walk->salvage->durable &&
        segment_header_is_spoilt(&view, &spoilt))
        say_log_fault(walk, name, spoilt, 0, "a copy of the header is damaged; the other serves");
    if (!usable) {
        doubt_file(walk, &view, 0, view.bytes.len);
        (void)snprintf(walk->doubt.what, sizeof walk->doubt.what,
                       "both copies of the header are damaged, and no record is found");
    }
    if (usable && view.header.start < segment->limit) {
        uint64_t end;
        settle_doubt(walk, false);
        rc = walk_records(walk, &view, segment->limit, &end);
        if (rc == LOAM_OK && segment->limit == UINT64_MAX) check_hurt_length(walk, &view, end);
    }
    segment_view_deinit(&view);
    return rc;
}

static uint64_t first_position(const struct wal_salvage *salvage)
{
    if (salvage->clues.has_bounds) return salvage->clues.floor;
    for (size_t i = 0; i < salvage->count; i++)
        if (salvage->segments[i].has_header && !salvage->segments[i].is_foreign)
            return salvage->segments[i].header.start;
    return 0;
}

loam_status wal_salvage_walk(const struct wal_salvage *salvage,
                             loam_status (*each)(void *ctx, const struct wal_commit *commit),
                             wal_salvage_hole *hole, void *ctx)
{
    struct log_walk walk = {.salvage = salvage, .each = each, .hole = hole, .ctx = ctx};
    loam_status rc = LOAM_OK;
    walk.position = first_position(salvage);
    for (size_t i = 0; rc == LOAM_OK && i < salvage->count; i++) {
        rc = walk_segment(&walk, &salvage->segments[i]);
        walk.previous_bytes = salvage->segments[i].bytes;
    }
    settle_doubt(&walk, walk.position >= salvage->durable);
    if (rc == LOAM_OK && walk.position < salvage->durable) pass_hole(&walk, NULL, salvage->durable);
    loam_buf_free(&walk.parts);
    return rc;
}
