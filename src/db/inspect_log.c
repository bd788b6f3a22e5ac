/*
 * inspect_log.c - what stands in a log segment and in a manifest; see inspect.h.
 *
 * Both are one file of records. Which of the two a file is, its first record tells, where its name does not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/inspect.h"
#include "record/batch.h"

#include "base/poison.h"

enum {
    COPY_BYTES = 4096,
    COPY_HEADER_BYTES = 128,
    INSPECT_SEGMENT_BYTES_MAX = 65 << 20, /* the largest has 64 MiB */
    WHAT_BYTES = 160
};

struct log_telling {
    struct inspect *inspect;
    const char *file;
    struct segment_view view;
    bool has_header, is_manifest;
    bool copies[2]; /* of the header: valid */
    uint32_t depth; /* of records */
    uint64_t count; /* of records */
    bool is_begun;  /* the state that a manifest begins with is complete */
    bool has_hole;
    loam_buf parts; /* of a commit that began in this file */
    uint64_t parts_end, parts_seq;
    bool in_parts;
};

static uint64_t byte_of(const struct log_telling *telling, uint64_t position)
{
    return SEGMENT_HEADER_BYTES + (position - telling->view.header.start);
}

static void hurt_log(struct log_telling *telling, uint64_t at, uint64_t bytes, const char *what)
{
    inspect_damage(telling->inspect, telling->depth,
                   (struct inspect_place){telling->file, at, bytes}, what);
}

/* ---- the header -------------------------------------------------------------------------------------- */

static loam_status take_copies(struct log_telling *telling)
{
    struct segment_view *view = &telling->view;
    struct segment_header header;
    bool too_new;
    for (size_t i = 0; i < 2 && i * COPY_BYTES + COPY_HEADER_BYTES <= view->bytes.len; i++) {
        const uint8_t *copy = (const uint8_t *)view->bytes.data + i * COPY_BYTES;
        telling->copies[i] = segment_header_get(copy, &header, &too_new);
        if (too_new)
            return failed(LOAM_TOONEW, "%s: format %u; this library knows %u; use a newer loam",
                          telling->file, copy[5], SEGMENT_FORMAT);
        if (telling->copies[i] && !telling->has_header) view->header = header;
        telling->has_header |= telling->copies[i];
    }
    return LOAM_OK;
}

static uint64_t log_bytes(struct inspect *inspect, struct object_id id)
{
    struct object_load load = {.lost = 0};
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_SEGMENT, id, name);
    const loam_status rc = object_load_salvage(inspect->store, name, 0, &load);
    loam_buf_free(&load.bytes);
    return rc == LOAM_OK && load.size < INSPECT_SEGMENT_BYTES_MAX ? load.size : 0;
}

/* Without a header: the key is the root's, or in the headers of its opener's other segments; where it begins its own records tell. */
static loam_status lend_header(struct log_telling *telling, struct object_id id, bool *is_lent)
{
    struct inspect *inspect = telling->inspect;
    struct segment_header *header = &telling->view.header, other;
    const struct salvage_facts *facts = &inspect->facts;
    struct object_id *ids = NULL;
    size_t count = 0;
    bool has_key = inspect->has_root && inspect->root.epoch == id.epoch;
    uint64_t low = 0, room = telling->view.bytes.len; /* it begins within one of about its size */
    *is_lent = false;
    if (has_key) header->log_key = inspect->root.log_key;
    if (inspect->has_facts && facts->has_log && facts->log_epoch == id.epoch)
        low = facts->log_start;
    loam_status rc = store_objects(inspect->store, OBJECT_SEGMENT, &ids, &count);
    for (size_t i = 0; rc == LOAM_OK && i < count; i++) {
        if (ids[i].epoch != id.epoch || object_id_equal(ids[i], id)) continue;
        if (segment_peek(inspect->store, OBJECT_SEGMENT, ids[i], &other) != LOAM_OK) continue;
        header->log_key = other.log_key;
        has_key = true;
        if (ids[i].number + 1 != id.number) continue;
        low = other.start;
        room = telling->view.bytes.len + log_bytes(inspect, ids[i]);
    }
    mem_free(ids);
    header->id = id;
    *is_lent = rc == LOAM_OK && has_key && segment_find_start(&telling->view, low, low + room);
    return rc == LOAM_NOMEM ? rc : LOAM_OK;
}

static void tell_header(struct log_telling *telling, uint32_t depth, uint64_t file_bytes)
{
    struct findings *findings = &telling->inspect->findings;
    const struct segment_header *header = &telling->view.header;
    finding_begin(findings, telling->is_manifest ? "manifest" : "segment", depth);
    fact_text(findings, "file", telling->file);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, file_bytes);
    fact_number(findings, "begun", LOAM_FACT_FLAG, !segment_is_blank(&telling->view.bytes));
    if (telling->has_header) {
        fact_id(findings, "store_id", get_u64_big_endian(header->store_id));
        fact_id(findings, "store_id_rest", get_u64_big_endian(header->store_id + 8));
        fact_count(findings, "epoch", header->id.epoch);
        fact_count(findings, "number", header->id.number);
        fact_count(findings, "start", header->start);
        fact_id(findings, "running", header->running);
        fact_count(findings, "synced_upto", header->synced_upto);
        fact_id(findings, "log_key", header->log_key);
        fact_number(findings, "base_time", LOAM_FACT_TIME_MS, header->base_ms);
    }
    finding_send(findings);
    for (size_t i = 0; i < 2 && telling->view.bytes.len > 0; i++) {
        if (segment_is_blank(&telling->view.bytes)) break;
        finding_begin(findings, "header copy", depth + 1);
        fact_count(findings, "at", i * COPY_BYTES);
        fact_number(findings, "valid", LOAM_FACT_FLAG, telling->copies[i]);
        finding_send(findings);
    }
}

/* A file that is used again holds an earlier segment's header until it is begun; a later one's was never its own. */
static void judge_header(struct log_telling *telling, const struct object_id *id)
{
    char what[WHAT_BYTES];
    uint64_t at;
    const struct object_id own = telling->view.header.id;
    if (id != NULL && object_id_before(*id, own)) {
        (void)snprintf(what, sizeof what, "is segment %u of opening %u; it has been exchanged",
                       own.number, own.epoch);
        hurt_log(telling, 24, 8, what);
    }
    if (segment_header_is_spoilt(&telling->view, &at))
        hurt_log(telling, at, 0, "a copy of the header is damaged; the other serves");
}

/* ---- a commit's entries --------------------------------------------------------------------------------- */

static loam_status tell_entries(struct log_telling *telling, const struct record *record,
                                loam_slice bytes)
{
    struct inspect *inspect = telling->inspect;
    struct entry entry;
    struct commit_body body;
    uint32_t coll = 0;
    loam_status rc = LOAM_OK;
    if (!commit_body_open(bytes, (record->flags & RECORD_CALLER_INDEX) != 0, &body))
        rc = failed(LOAM_CORRUPT, "a commit without a count, or without its index");
    for (uint32_t i = 0; rc == LOAM_OK; i++) {
        rc = batch_next(&body.entries, &coll, &entry);
        if (rc == LOAM_NOTFOUND && i != body.entry_count)
            rc = failed(LOAM_CORRUPT, "%u entries, where %u were announced", i, body.entry_count);
        entry.seq = record->seq + i;
        if (rc == LOAM_OK) inspect_entry(inspect, telling->depth + 1, &coll, &entry);
        if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
    }
    if (rc == LOAM_CORRUPT) {
        hurt_log(telling, byte_of(telling, record->position), 0, loam_errmsg());
        rc = LOAM_NOTFOUND;
    }
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

/* A commit in parts is told with the last of them, if all of them stand in this file. */
static loam_status take_part(struct log_telling *telling, const struct record *record,
                             loam_slice *whole)
{
    const bool is_first = record->flags & RECORD_FIRST, is_last = record->flags & RECORD_LAST;
    *whole = loam_bytes(NULL, 0);
    if (is_first && is_last) *whole = record->body;
    if (is_first) telling->parts.len = 0;
    telling->in_parts = is_first || (telling->in_parts && record->position == telling->parts_end &&
                                     record->seq == telling->parts_seq);
    telling->parts_end = record->end;
    telling->parts_seq = record->seq;
    if (!telling->in_parts || (is_first && is_last)) return LOAM_OK;
    const loam_status rc = buf_append(&telling->parts, record->body.data, record->body.len);
    if (rc == LOAM_OK && is_last) *whole = loam_bytes(telling->parts.data, telling->parts.len);
    return rc;
}

/* ---- an edit ------------------------------------------------------------------------------------------- */

struct edit_sum {
    uint64_t changes, adds, removes, flushes, collections, ranges, starts;
    uint64_t uids; /* of what is added and of what is removed: 0 where they are the same */
    bool ends_snapshot;
};

static struct edit_sum sum_edit(loam_slice body)
{
    struct edit_sum sum = {.changes = 0};
    struct edit_reader reader = edit_reader_over(body);
    struct change change;
    while (edit_next(&reader, &change) == LOAM_OK) {
        const bool adds = change.tag == CHANGE_TABLE_ADD,
                   removes = change.tag == CHANGE_TABLE_REMOVE;
        sum.changes++;
        sum.adds += adds;
        sum.removes += removes;
        if (adds || removes) sum.uids ^= adds ? change.meta.uid : change.uid;
        sum.flushes += change.tag == CHANGE_FLUSHED;
        sum.collections += change.tag <= CHANGE_COLL_DROP || change.tag == CHANGE_COLL_OPTIONS ||
                           change.tag == CHANGE_COLL_CLONE;
        sum.ranges += change.tag == CHANGE_RANGES;
        sum.ends_snapshot |= change.tag == CHANGE_SNAPSHOT_END;
    }
    return sum;
}

/* What the edit was made for, by what it changes. */
static const char *name_edit(const struct edit_sum *sum, bool is_begun)
{
    if (!is_begun) return "snapshot";
    if (sum->collections > 0) return "collections";
    if (sum->flushes > 0) return "flush";
    if (sum->adds > 0 && sum->removes > 0) return sum->uids == 0 ? "move" : "merge";
    if (sum->adds > 0) return "tables";
    if (sum->removes > 0) return "sweep";
    return sum->ranges > 0 ? "ranges" : "log";
}

static loam_status tell_changes(struct log_telling *telling, uint64_t at, loam_slice body)
{
    struct inspect *inspect = telling->inspect;
    struct edit_reader reader = edit_reader_over(body);
    struct change change;
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK) {
        rc = edit_next(&reader, &change);
        if (rc == LOAM_OK)
            change_tell(&inspect->findings, telling->depth + 1, &change,
                        inspect->options.data_bytes_max);
        if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
    }
    if (rc == LOAM_CORRUPT) {
        hurt_log(telling, at, 0, loam_errmsg());
        rc = LOAM_NOTFOUND;
    }
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

/* ---- records ----------------------------------------------------------------------------------------- */

static const char *name_record(const struct record *record)
{
    static const char *const kinds[] = {[RECORD_COMMIT] = "commit",
                                        [RECORD_CHANGE] = "change",
                                        [RECORD_ATTEST] = "attest",
                                        [RECORD_EDIT] = "edit"};
    return kinds[record->kind];
}

static void tell_head(struct log_telling *telling, const struct record *record,
                      const struct edit_sum *sum)
{
    struct findings *findings = &telling->inspect->findings;
    struct commit_body body;
    const bool is_edit = record->kind == RECORD_EDIT;
    finding_begin(findings, is_edit ? "edit" : "record", telling->depth);
    fact_count(findings, "number", telling->count);
    fact_text(findings, "what", is_edit ? name_edit(sum, telling->is_begun) : name_record(record));
    fact_count(findings, "at", byte_of(telling, record->position));
    fact_count(findings, "position", record->position);
    fact_count(findings, "bytes", record->end - record->position);
    if (!is_edit) fact_count(findings, "seq", record->seq);
    fact_number(findings, "time", LOAM_FACT_TIME_MS, record->time_ms);
    fact_count(findings, "synced_upto", record->synced_upto);
    if (is_edit) fact_count(findings, "changes", sum->changes);
    const bool has_index = record->flags & RECORD_CALLER_INDEX;
    if (record->kind == RECORD_COMMIT && (record->flags & RECORD_FIRST) &&
        commit_body_open(record->body, has_index, &body)) {
        fact_count(findings, "entries", body.entry_count);
        if (has_index) fact_count(findings, "caller_index", body.caller_index);
    }
    const unsigned ends = record->flags & (RECORD_FIRST | RECORD_LAST);
    if (record->kind != RECORD_ATTEST && ends != (RECORD_FIRST | RECORD_LAST))
        fact_text(findings, "part",
                  ends == RECORD_FIRST  ? "first"
                  : ends == RECORD_LAST ? "last"
                                        : "middle");
    finding_send(findings);
}

static loam_status tell_record(struct log_telling *telling, const struct record *record)
{
    struct inspect *inspect = telling->inspect;
    const bool is_edit = record->kind == RECORD_EDIT;
    const bool is_change = is_edit || record->kind == RECORD_CHANGE;
    const bool is_shown = inspect_shows(inspect, telling->count);
    const uint64_t at = byte_of(telling, record->position);
    const struct edit_sum sum = is_edit ? sum_edit(record->body) : (struct edit_sum){.changes = 0};
    loam_slice whole = {NULL, 0};
    loam_status rc = LOAM_OK;
    if (is_shown) tell_head(telling, record, &sum);
    telling->is_begun |= sum.ends_snapshot;
    telling->count++;
    if (record->kind == RECORD_COMMIT && inspect->options.entries)
        rc = take_part(telling, record, &whole);
    if (rc != LOAM_OK || !is_shown) return rc;
    if (is_change) return tell_changes(telling, at, record->body);
    return whole.data == NULL ? LOAM_OK : tell_entries(telling, record, whole);
}

static void tell_log_end(struct log_telling *telling, uint64_t end, uint64_t running)
{
    struct findings *findings = &telling->inspect->findings;
    const uint64_t at = byte_of(telling, end), size = telling->view.bytes.len;
    uint64_t other;
    const char *beyond = "nothing: the file ends here";
    if (at < size)
        beyond = segment_rest_is_spoilt(&telling->view, end, &other)
                     ? "no valid record: a torn one, or what an earlier use of the file left"
                     : "zeros";
    finding_begin(findings, "end", telling->depth);
    fact_count(findings, "at", at);
    fact_count(findings, "position", end);
    if (!telling->has_hole) fact_id(findings, "running", running);
    fact_count(findings, telling->is_manifest ? "edits" : "records", telling->count);
    fact_text(findings, "beyond", beyond);
    finding_send(findings);
}

static loam_status tell_records(struct log_telling *telling)
{
    struct inspect *inspect = telling->inspect;
    const struct root *root = NULL;
    struct record record;
    uint64_t end = telling->view.header.start, running = telling->view.header.running;
    loam_status rc = LOAM_OK;
    if (telling->is_manifest && inspect->has_root &&
        object_id_equal(inspect->root.manifest, telling->view.header.id))
        root = &inspect->root;
    const uint64_t limit = root != NULL && root->sealed ? root->manifest_end : UINT64_MAX;
    while (rc == LOAM_OK) {
        const uint64_t at = segment_next_record(&telling->view, end, limit, &running, &record);
        if (at == UINT64_MAX) break;
        telling->has_hole |= at > end;
        if (at > end)
            hurt_log(telling, byte_of(telling, end), at - end,
                     "no valid record, but there are behind it: damage, or what a power cut tore");
        rc = tell_record(telling, &record);
        if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
        end = record.end;
    }
    if (rc != LOAM_OK) return rc;
    tell_log_end(telling, end, running);
    if (root != NULL && end < root->manifest_end)
        hurt_log(telling, byte_of(telling, end), root->manifest_end - end,
                 "the rest, which the root says was durable, is damaged or missing");
    if (telling->is_manifest && !telling->is_begun)
        hurt_log(telling, SEGMENT_HEADER_BYTES, 0, "the state that it begins with is not whole");
    return findings_rc(&inspect->findings);
}

static loam_status tell_file(struct log_telling *telling, uint32_t depth, uint64_t file_bytes,
                             const struct object_id *id)
{
    struct inspect *inspect = telling->inspect;
    struct record record;
    bool is_lent = false;
    loam_status rc = take_copies(telling);
    const bool is_blank = segment_is_blank(&telling->view.bytes);
    if (rc != LOAM_OK) return rc;
    if (id == NULL && telling->has_header)
        telling->is_manifest = segment_next_record(&telling->view, telling->view.header.start,
                                                   UINT64_MAX, NULL, &record) != UINT64_MAX &&
                               record.kind == RECORD_EDIT;
    tell_header(telling, depth, file_bytes);
    if (is_blank) return findings_rc(&inspect->findings);
    if (telling->has_header) {
        judge_header(telling, id);
        return tell_records(telling);
    }
    if (id != NULL && !telling->is_manifest) rc = lend_header(telling, *id, &is_lent);
    if (rc != LOAM_OK) return rc;
    telling->has_hole = true; /* what was before it is not known */
    hurt_log(telling, 0, SEGMENT_HEADER_BYTES,
             is_lent ? "both copies of the header are damaged; its records are intact"
                     : "both copies of the header are damaged, and no record can be told");
    return is_lent ? tell_records(telling) : findings_rc(&inspect->findings);
}

loam_status inspect_segment(struct inspect *inspect, uint32_t depth, const char *name,
                            const struct object_id *id)
{
    struct log_telling telling = {.inspect = inspect, .file = name, .depth = depth + 1};
    struct object_load load = {.lost = 0};
    enum object_kind kind;
    struct object_id named;
    telling.is_manifest = object_name_parse(name, &kind, &named) && kind == OBJECT_MANIFEST;
    loam_status rc = object_load_salvage(
        inspect->store, name, telling.is_manifest ? UINT64_MAX : INSPECT_SEGMENT_BYTES_MAX, &load);
    telling.view.bytes = load.bytes;
    (void)snprintf(telling.view.name, sizeof telling.view.name, "%s", name);
    if (rc != LOAM_OK) {
        loam_buf_free(&telling.view.bytes);
        return inspect_meet(inspect, depth, name, rc);
    }
    rc = tell_file(&telling, depth, load.size, id);
    if (rc == LOAM_OK && load.lost > 0) hurt_log(&telling, 0, load.lost, "not given by the device");
    loam_buf_free(&telling.view.bytes);
    loam_buf_free(&telling.parts);
    return rc;
}
