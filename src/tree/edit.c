/*
 * edit.c - one atomic change of what the store consists of, as bytes; see edit.h.
 *
 * One table says which fields a tag has, in which order and where they stand in struct change;
 * writing, reading and measuring walk over it, so they cannot disagree.
 */
#include "tree/edit.h"

#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "record/range_set.h"

#include "base/poison.h"

enum field_kind { FIELD_END, FIELD_U8, FIELD_U32, FIELD_U64, FIELD_BYTES };

struct field {
    uint8_t kind;
    uint16_t offset; /* in struct change */
};

#define FIELD(kind, member)                                                                        \
    {                                                                                              \
        kind, (uint16_t)offsetof(struct change, member)                                            \
    }

static const struct field coll_fields[] = {FIELD(FIELD_U32, coll), {0, 0}};
static const struct field create_fields[] = {
    FIELD(FIELD_U32, coll), FIELD(FIELD_BYTES, name), FIELD(FIELD_U8, compression), {0, 0}};
static const struct field option_fields[] = {FIELD(FIELD_U32, coll),
                                             FIELD(FIELD_U8, compression),
                                             FIELD(FIELD_U64, ttl_ms),
                                             FIELD(FIELD_BYTES, merge_operator),
                                             {0, 0}};
static const struct field clone_fields[] = {FIELD(FIELD_U32, coll),
                                            FIELD(FIELD_BYTES, name),
                                            FIELD(FIELD_U32, source),
                                            FIELD(FIELD_U64, seq),
                                            {0, 0}};
static const struct field rename_fields[] = {
    FIELD(FIELD_U32, coll), FIELD(FIELD_BYTES, name), {0, 0}};
#define ADD_FIELDS                                                                                 \
    FIELD(FIELD_U32, coll), FIELD(FIELD_U32, level), FIELD(FIELD_U64, run),                        \
        FIELD(FIELD_U32, meta.object.epoch), FIELD(FIELD_U32, meta.object.number),                 \
        FIELD(FIELD_U64, meta.offset), FIELD(FIELD_U64, meta.bytes), FIELD(FIELD_U64, meta.uid),   \
        FIELD(FIELD_BYTES, meta.smallest), FIELD(FIELD_BYTES, meta.largest),                       \
        FIELD(FIELD_U64, meta.seq_min), FIELD(FIELD_U64, meta.seq_max),                            \
        FIELD(FIELD_U64, meta.entry_count), FIELD(FIELD_U64, meta.tombstone_count),                \
        FIELD(FIELD_U64, meta.payload_bytes), FIELD(FIELD_U64, meta.page_count),                   \
        FIELD(FIELD_U64, meta.dense_count), FIELD(FIELD_BYTES, from), FIELD(FIELD_BYTES, to)
static const struct field add_fields[] = {ADD_FIELDS, {0, 0}};
static const struct field add_swept_fields[] = {
    ADD_FIELDS, FIELD(FIELD_U64, meta.swept_seq), {0, 0}};
static const struct field add_expiring_fields[] = {ADD_FIELDS,
                                                   FIELD(FIELD_U64, meta.swept_seq),
                                                   FIELD(FIELD_U64, meta.expiring_count),
                                                   FIELD(FIELD_U64, meta.expires_first_ms),
                                                   FIELD(FIELD_U64, meta.expires_last_ms),
                                                   {0, 0}};
static const struct field add_shifted_fields[] = {ADD_FIELDS,
                                                  FIELD(FIELD_U64, meta.swept_seq),
                                                  FIELD(FIELD_U64, meta.expiring_count),
                                                  FIELD(FIELD_U64, meta.expires_first_ms),
                                                  FIELD(FIELD_U64, meta.expires_last_ms),
                                                  FIELD(FIELD_U64, meta.seq_shift),
                                                  {0, 0}};
static const struct field range_fields[] = {
    FIELD(FIELD_U32, coll), FIELD(FIELD_BYTES, ranges), {0, 0}};
static const struct field remove_fields[] = {FIELD(FIELD_U32, coll),
                                             FIELD(FIELD_U32, level),
                                             FIELD(FIELD_U64, run),
                                             FIELD(FIELD_U64, uid),
                                             {0, 0}};
static const struct field clip_fields[] = {FIELD(FIELD_U32, coll),
                                           FIELD(FIELD_U32, level),
                                           FIELD(FIELD_U64, run),
                                           FIELD(FIELD_U64, uid),
                                           FIELD(FIELD_BYTES, from),
                                           FIELD(FIELD_BYTES, to),
                                           {0, 0}};
static const struct field flushed_fields[] = {
    FIELD(FIELD_U32, coll), FIELD(FIELD_U64, seq), {0, 0}};
static const struct field segment_fields[] = {FIELD(FIELD_U32, object.epoch),
                                              FIELD(FIELD_U32, object.number),
                                              FIELD(FIELD_U64, position),
                                              FIELD(FIELD_U64, position_end),
                                              {0, 0}};
static const struct field start_fields[] = {
    FIELD(FIELD_U64, position), FIELD(FIELD_U64, running), FIELD(FIELD_U32, object.epoch), {0, 0}};
static const struct field floor_fields[] = {FIELD(FIELD_U64, position),
                                            FIELD(FIELD_U32, object.epoch),
                                            FIELD(FIELD_U32, object.number),
                                            {0, 0}};
static const struct field attest_fields[] = {FIELD(FIELD_U64, position), {0, 0}};
static const struct field counter_fields[] = {FIELD(FIELD_U32, next_coll),
                                              FIELD(FIELD_U64, next_run),
                                              FIELD(FIELD_U64, seq),
                                              FIELD(FIELD_U64, time_ms),
                                              {0, 0}};
static const struct field index_fields[] = {
    FIELD(FIELD_U64, caller_index), FIELD(FIELD_U64, seq), {0, 0}};
static const struct field no_fields[] = {{0, 0}};

static const struct field *const fields_of[] = {
    [CHANGE_COLL_CREATE] = create_fields,
    [CHANGE_COLL_RENAME] = rename_fields,
    [CHANGE_COLL_DROP] = coll_fields,
    [CHANGE_TABLE_ADD] = add_fields,
    [CHANGE_TABLE_REMOVE] = remove_fields,
    [CHANGE_TABLE_CLIP] = clip_fields,
    [CHANGE_FLUSHED] = flushed_fields,
    [CHANGE_LOG_SEGMENT] = segment_fields,
    [CHANGE_LOG_START] = start_fields,
    [CHANGE_LOG_FLOOR] = floor_fields,
    [CHANGE_LOG_ATTEST] = attest_fields,
    [CHANGE_COUNTERS] = counter_fields,
    [CHANGE_SNAPSHOT_END] = no_fields,
    [CHANGE_TABLE_ADD_SWEPT] = add_swept_fields,
    [CHANGE_RANGES] = range_fields,
    [CHANGE_COLL_OPTIONS] = option_fields,
    [CHANGE_TABLE_ADD_EXPIRING] = add_expiring_fields,
    [CHANGE_COLL_CLONE] = clone_fields,
    [CHANGE_CALLER_INDEX] = index_fields,
    [CHANGE_TABLE_ADD_SHIFTED] = add_shifted_fields,
    [CHANGE_INGEST] = flushed_fields,
};

#define CHANGE_TAG_COUNT (sizeof fields_of / sizeof fields_of[0])

/* ---- what a change may hold ------------------------------------------------------------------ */

/* What no writer makes, in words; NULL when all is well. */
static const char *fault_in_clip(loam_slice from, loam_slice to)
{
    if (from.len > KEY_BYTES_MAX || to.len > KEY_BYTES_MAX) return "a bound is too long for a key";
    if (to.len > 0 && bytes_compare(from, to) >= 0) return "a clip ends before it begins";
    return NULL;
}

static const char *fault_in_meta(const struct table_meta *meta)
{
    if (meta->smallest.len > KEY_BYTES_MAX || meta->largest.len > KEY_BYTES_MAX)
        return "a table's key is too long";
    if (bytes_compare(meta->smallest, meta->largest) > 0) return "a table's keys are out of order";
    if (meta->bytes == 0 || meta->bytes > UINT64_MAX / 2 - meta->offset)
        return "a table's place is none";
    if (meta->offset > UINT64_MAX / 2) return "a table's place is none";
    if (meta->seq_min <= meta->seq_shift || meta->seq_min > meta->seq_max ||
        meta->seq_max > SEQ_MAX)
        return "a table's sequence numbers are none";
    if (meta->entry_count == 0 || meta->entry_count > SEQ_MAX ||
        meta->tombstone_count > meta->entry_count)
        return "a table's entry counts are none";
    if (meta->expiring_count > meta->entry_count - meta->tombstone_count ||
        meta->expires_first_ms > meta->expires_last_ms)
        return "a table's expiries are none";
    if (meta->page_count == 0 || meta->page_count > UINT32_MAX ||
        meta->dense_count > meta->page_count)
        return "a table's page counts are none";
    return NULL;
}

bool coll_name_holds(loam_slice name, size_t *at)
{
    const uint8_t *bytes = name.data;
    for (*at = 0; *at < name.len;) {
        const uint8_t *from = bytes + *at;
        const size_t len = text_character_bytes(from, bytes + name.len);
        const bool control = len == 1 && (*from < 0x20 || *from == 0x7f || *from == '/');
        const bool control_c1 = len == 2 && from[0] == 0xc2 && from[1] < 0xa0;
        if (len == 0 || control || control_c1) return false;
        *at += len;
    }
    return true;
}

static const char *fault_in_name(loam_slice name)
{
    size_t at;
    if (name.len == 0 || name.len > COLL_NAME_BYTES_MAX) return "a name's length is none";
    return coll_name_holds(name, &at) ? NULL : "a name is not UTF-8 without control characters";
}

bool operator_name_holds(loam_slice name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    const char *bytes = name.data;
    for (size_t i = 0; i < name.len; i++)
        if (memchr(letters, bytes[i], sizeof letters - 1) == NULL) return false;
    return name.len > 0 && name.len <= OPERATOR_NAME_BYTES_MAX;
}

static const char *fault_in_options(const struct change *change)
{
    if (change->compression > LOAM_UNCOMPRESSED) return "a compression is none";
    const bool holds =
        change->merge_operator.len == 0 || operator_name_holds(change->merge_operator);
    return holds ? NULL : "a merge operator's name is none";
}

static const char *fault_in_ranges(loam_slice bytes)
{
    struct range_set *set;
    const loam_status rc = range_set_decode(bytes, &set);
    range_set_unref(set);
    return rc == LOAM_CORRUPT ? "its ranges are none" : NULL;
}

static const char *fault_in_change(const struct change *change)
{
    const char *fault = NULL;
    switch (change->tag) {
    case CHANGE_COLL_CREATE:
    case CHANGE_COLL_CLONE:
        if (change->coll == UINT32_MAX) return "an id leaves none for the next collection";
        if (change->seq > SEQ_MAX) return "a sequence number is too high";
        fault = fault_in_options(change);
        return fault != NULL ? fault : fault_in_name(change->name);
    case CHANGE_COLL_OPTIONS:
        return fault_in_options(change);
    case CHANGE_COLL_RENAME:
        return fault_in_name(change->name);
    case CHANGE_TABLE_ADD:
    case CHANGE_TABLE_ADD_SWEPT:
    case CHANGE_TABLE_ADD_EXPIRING:
    case CHANGE_TABLE_ADD_SHIFTED:
        if (change->meta.swept_seq > SEQ_MAX) return "a sequence number is too high";
        fault = fault_in_meta(&change->meta);
        if (fault == NULL) fault = fault_in_clip(change->from, change->to);
        return fault != NULL || change->level < LOAM_LEVELS_MAX ? fault : "a level is none";
    case CHANGE_TABLE_CLIP:
        fault = fault_in_clip(change->from, change->to);
        return fault != NULL || change->level < LOAM_LEVELS_MAX ? fault : "a level is none";
    case CHANGE_TABLE_REMOVE:
        return change->level < LOAM_LEVELS_MAX ? NULL : "a level is none";
    case CHANGE_FLUSHED:
    case CHANGE_INGEST:
    case CHANGE_COUNTERS:
        return change->seq <= SEQ_MAX ? NULL : "a sequence number is too high";
    case CHANGE_CALLER_INDEX:
        if (change->caller_index == 0 || change->seq == 0) return "a number that is 0";
        return change->seq <= SEQ_MAX ? NULL : "a sequence number is too high";
    case CHANGE_LOG_SEGMENT:
        return change->position <= change->position_end ? NULL : "a segment ends before it begins";
    case CHANGE_RANGES:
        return fault_in_ranges(change->ranges);
    case CHANGE_COLL_DROP:
    case CHANGE_LOG_START:
    case CHANGE_LOG_FLOOR:
    case CHANGE_LOG_ATTEST:
    case CHANGE_SNAPSHOT_END:
        return NULL;
    }
    return "a tag is none";
}

/* ---- writing --------------------------------------------------------------------------------- */

void edit_deinit(struct edit *edit)
{
    loam_buf_free(&edit->bytes);
}

static uint64_t number_field(const struct change *change, struct field field)
{
    const uint8_t *at = (const uint8_t *)change + field.offset;
    uint32_t narrow;
    uint64_t wide;
    if (field.kind == FIELD_U8) return *at;
    if (field.kind == FIELD_U32) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static loam_slice bytes_field(const struct change *change, struct field field)
{
    loam_slice slice;
    memcpy(&slice, (const uint8_t *)change + field.offset, sizeof slice);
    return slice;
}

static enum change_tag tag_on_disk(const struct change *change)
{
    if (change->tag != CHANGE_TABLE_ADD) return change->tag;
    if (change->meta.seq_shift > 0) return CHANGE_TABLE_ADD_SHIFTED;
    if (change->meta.expiring_count > 0) return CHANGE_TABLE_ADD_EXPIRING;
    return change->meta.swept_seq > 0 ? CHANGE_TABLE_ADD_SWEPT : CHANGE_TABLE_ADD;
}

static size_t change_bytes_max(const struct change *change)
{
    size_t bytes = 1;
    for (const struct field *field = fields_of[tag_on_disk(change)]; field->kind != FIELD_END;
         field++) {
        bytes += VARINT64_BYTES_MAX;
        if (field->kind == FIELD_BYTES) bytes += bytes_field(change, *field).len;
    }
    return bytes;
}

loam_status edit_add(struct edit *edit, const struct change *change)
{
    const enum change_tag tag = tag_on_disk(change);
    check(tag >= CHANGE_COLL_CREATE && (size_t)tag < CHANGE_TAG_COUNT);
    check(fault_in_change(change) == NULL);
    const loam_status rc = buf_reserve(&edit->bytes, edit->bytes.len + change_bytes_max(change));
    if (rc < 0) return rc;
    uint8_t *const start = edit->bytes.data, *at = start + edit->bytes.len;
    *at++ = (uint8_t)tag;
    for (const struct field *field = fields_of[tag]; field->kind != FIELD_END; field++) {
        if (field->kind != FIELD_BYTES) {
            at = put_varint64(at, number_field(change, *field));
            continue;
        }
        const loam_slice slice = bytes_field(change, *field);
        at = put_varint64(at, slice.len);
        if (slice.len > 0) memcpy(at, slice.data, slice.len);
        at += slice.len;
    }
    edit->bytes.len = (size_t)(at - start);
    return LOAM_OK;
}

loam_status edit_add_table(struct edit *edit, uint32_t coll, uint32_t level, uint64_t run,
                           const struct table_meta *meta)
{
    const struct change change = {
        .tag = CHANGE_TABLE_ADD, .coll = coll, .level = level, .run = run, .meta = *meta};
    return edit_add(edit, &change);
}

loam_status edit_remove_table(struct edit *edit, uint32_t coll, uint32_t level, uint64_t run,
                              uint64_t uid)
{
    const struct change change = {
        .tag = CHANGE_TABLE_REMOVE, .coll = coll, .level = level, .run = run, .uid = uid};
    return edit_add(edit, &change);
}

loam_status edit_set_ranges(struct edit *edit, uint32_t coll, const struct range_set *set)
{
    loam_buf bytes = {0};
    loam_status rc = range_set_encode(set, &bytes);
    const struct change change = {
        .tag = CHANGE_RANGES, .coll = coll, .ranges = loam_bytes(bytes.data, bytes.len)};
    if (rc == LOAM_OK) rc = edit_add(edit, &change);
    loam_buf_free(&bytes);
    return rc;
}

loam_status edit_clone_coll(struct edit *edit, uint32_t coll, loam_slice name, uint32_t source,
                            uint64_t flushed_seq)
{
    const struct change change = {
        .tag = CHANGE_COLL_CLONE, .coll = coll, .name = name, .source = source, .seq = flushed_seq};
    return edit_add(edit, &change);
}

loam_coll_options coll_options_public(const struct coll_options *options)
{
    return (loam_coll_options){.struct_size = sizeof(loam_coll_options),
                               .compression = options->compression,
                               .merge_operator = options->merge_operator,
                               .ttl_ms = options->ttl_ms};
}

void change_set_options(struct change *change, const loam_coll_options *options)
{
    const char *name = options->merge_operator;
    change->compression = (uint8_t)options->compression;
    change->ttl_ms = options->ttl_ms;
    change->merge_operator = name != NULL ? loam_str(name) : loam_bytes(NULL, 0);
}

loam_status edit_set_options(struct edit *edit, uint32_t coll, const loam_coll_options *options)
{
    struct change change = {.tag = CHANGE_COLL_OPTIONS, .coll = coll};
    change_set_options(&change, options);
    return edit_add(edit, &change);
}

loam_status edit_create_coll(struct edit *edit, uint32_t coll, loam_slice name,
                             const loam_coll_options *options)
{
    const struct change create = {.tag = CHANGE_COLL_CREATE,
                                  .coll = coll,
                                  .name = name,
                                  .compression = (uint8_t)options->compression};
    const bool is_told = coll != 0 || options->compression == LOAM_LZ4; /* by the creation */
    const loam_status rc = coll == 0 ? LOAM_OK : edit_add(edit, &create);
    if (rc < 0 || (is_told && options->ttl_ms == 0 && options->merge_operator == NULL)) return rc;
    return edit_set_options(edit, coll, options);
}

loam_status coll_options_take(struct coll_options *into, const struct change *change)
{
    const loam_slice given = change->merge_operator;
    char *name = given.len == 0 ? NULL : mem_zalloc(given.len + 1);
    if (given.len > 0 && name == NULL) return LOAM_NOMEM;
    if (given.len > 0) memcpy(name, given.data, given.len);
    mem_free(into->merge_operator);
    *into = (struct coll_options){(loam_compression)change->compression, change->ttl_ms, name};
    return LOAM_OK;
}

loam_status edit_set_flushed(struct edit *edit, uint32_t coll, uint64_t seq)
{
    const struct change change = {.tag = CHANGE_FLUSHED, .coll = coll, .seq = seq};
    return edit_add(edit, &change);
}

/* ---- reading --------------------------------------------------------------------------------- */

static const uint8_t *read_number(const uint8_t *at, const uint8_t *end, struct field field,
                                  struct change *change)
{
    uint8_t *target = (uint8_t *)change + field.offset;
    uint64_t wide = 0;
    if (field.kind == FIELD_U64) {
        at = get_varint64(at, end, &wide);
        memcpy(target, &wide, sizeof wide);
        return at;
    }
    uint32_t narrow = 0;
    at = get_varint32(at, end, &narrow);
    if (field.kind == FIELD_U32)
        memcpy(target, &narrow, sizeof narrow);
    else
        *target = (uint8_t)narrow;
    return field.kind == FIELD_U8 && narrow > UINT8_MAX ? NULL : at;
}

static const uint8_t *read_bytes(const uint8_t *at, const uint8_t *end, struct field field,
                                 struct change *change)
{
    uint64_t len;
    at = get_varint64(at, end, &len);
    if (at == NULL || len > (uint64_t)(end - at)) return NULL;
    const loam_slice slice = loam_bytes(at, (size_t)len);
    memcpy((uint8_t *)change + field.offset, &slice, sizeof slice);
    return at + len;
}

loam_status edit_next(struct edit_reader *reader, struct change *change)
{
    const uint8_t *at = reader->at;
    if (at == reader->end) return LOAM_NOTFOUND;
    memset(change, 0, sizeof *change);
    const uint8_t tag = *at++;
    if (tag == 0) return failed(LOAM_CORRUPT, "a change without a tag");
    if (tag >= CHANGE_TAG_COUNT || fields_of[tag] == NULL)
        return failed(LOAM_TOONEW,
                      "a change of kind %u, which this library does not know; use a "
                      "newer loam",
                      tag);
    change->tag = (enum change_tag)tag;
    for (const struct field *field = fields_of[tag]; field->kind != FIELD_END && at != NULL;
         field++)
        at = field->kind == FIELD_BYTES ? read_bytes(at, reader->end, *field, change)
                                        : read_number(at, reader->end, *field, change);
    if (at == NULL) return failed(LOAM_CORRUPT, "a change of kind %u is cut short", tag);
    const char *fault = fault_in_change(change);
    const bool adds = tag == CHANGE_TABLE_ADD_SWEPT || tag == CHANGE_TABLE_ADD_EXPIRING ||
                      tag == CHANGE_TABLE_ADD_SHIFTED;
    if (adds) change->tag = CHANGE_TABLE_ADD;
    if (adds && fault == NULL && tag_on_disk(change) != tag) fault = "a number that is 0";
    if (fault != NULL) return failed(LOAM_CORRUPT, "a change of kind %u: %s", tag, fault);
    reader->at = at;
    return LOAM_OK;
}

/* ---- telling ----------------------------------------------------------------------------------- */

enum told_as {
    TELL_COUNT,
    TELL_SIZE,
    TELL_TIME,
    TELL_ID,
    TELL_NAME,
    TELL_KEY,
    TELL_CODEC,
    TELL_NOT
};

struct told_member { /* of struct change, in whatever change */
    uint16_t offset;
    uint8_t as;
    const char *name, *length_name;
};

#define TOLD(member, as, name)                                                                     \
    {                                                                                              \
        (uint16_t) offsetof(struct change, member), as, name, name "_bytes"                        \
    }

static const struct told_member told_members[] = {
    TOLD(coll, TELL_COUNT, "collection"),
    TOLD(source, TELL_COUNT, "source"),
    TOLD(level, TELL_COUNT, "level"),
    TOLD(run, TELL_COUNT, "run"),
    TOLD(uid, TELL_ID, "uid"),
    TOLD(seq, TELL_COUNT, "seq"),
    TOLD(caller_index, TELL_COUNT, "caller_index"),
    TOLD(position, TELL_COUNT, "position"),
    TOLD(position_end, TELL_COUNT, "position_end"),
    TOLD(running, TELL_ID, "running"),
    TOLD(time_ms, TELL_TIME, "time"),
    TOLD(next_coll, TELL_COUNT, "next_collection"),
    TOLD(next_run, TELL_COUNT, "next_run"),
    TOLD(object.epoch, TELL_COUNT, "epoch"),
    TOLD(object.number, TELL_COUNT, "number"),
    TOLD(name, TELL_NAME, "name"),
    TOLD(compression, TELL_CODEC, "compression"),
    TOLD(ttl_ms, TELL_COUNT, "ttl_ms"),
    TOLD(merge_operator, TELL_NAME, "merge_operator"),
    TOLD(meta.object.epoch, TELL_COUNT, "epoch"),
    TOLD(meta.object.number, TELL_COUNT, "number"),
    TOLD(meta.offset, TELL_COUNT, "offset"),
    TOLD(meta.bytes, TELL_SIZE, "bytes"),
    TOLD(meta.uid, TELL_ID, "uid"),
    TOLD(meta.smallest, TELL_KEY, "smallest"),
    TOLD(meta.largest, TELL_KEY, "largest"),
    TOLD(meta.seq_min, TELL_COUNT, "seq_min"),
    TOLD(meta.seq_max, TELL_COUNT, "seq_max"),
    TOLD(meta.entry_count, TELL_COUNT, "entries"),
    TOLD(meta.tombstone_count, TELL_COUNT, "tombstones"),
    TOLD(meta.payload_bytes, TELL_SIZE, "payload_bytes"),
    TOLD(meta.page_count, TELL_COUNT, "pages"),
    TOLD(meta.dense_count, TELL_COUNT, "dense_pages"),
    TOLD(meta.swept_seq, TELL_COUNT, "swept_seq"),
    TOLD(meta.seq_shift, TELL_COUNT, "seq_shift"),
    TOLD(meta.expiring_count, TELL_COUNT, "expiring"),
    TOLD(meta.expires_first_ms, TELL_TIME, "expires_first"),
    TOLD(meta.expires_last_ms, TELL_TIME, "expires_last"),
    TOLD(from, TELL_KEY, "from"),
    TOLD(to, TELL_KEY, "to"),
    TOLD(ranges, TELL_NOT, "ranges"), /* its deletions are findings of their own */
};

static const char *const change_names[CHANGE_TAG_COUNT] = {
    [CHANGE_COLL_CREATE] = "collection created",
    [CHANGE_COLL_RENAME] = "collection renamed",
    [CHANGE_COLL_DROP] = "collection dropped",
    [CHANGE_TABLE_ADD] = "table added",
    [CHANGE_TABLE_REMOVE] = "table removed",
    [CHANGE_TABLE_CLIP] = "table clipped",
    [CHANGE_FLUSHED] = "flushed",
    [CHANGE_LOG_SEGMENT] = "log segment",
    [CHANGE_LOG_START] = "log start",
    [CHANGE_LOG_FLOOR] = "log floor",
    [CHANGE_LOG_ATTEST] = "log attest",
    [CHANGE_COUNTERS] = "counters",
    [CHANGE_SNAPSHOT_END] = "snapshot end",
    [CHANGE_TABLE_ADD_SWEPT] = "table added",
    [CHANGE_TABLE_ADD_EXPIRING] = "table added",
    [CHANGE_RANGES] = "ranges",
    [CHANGE_COLL_OPTIONS] = "collection options",
    [CHANGE_COLL_CLONE] = "collection cloned",
    [CHANGE_TABLE_ADD_SHIFTED] = "table added",
    [CHANGE_INGEST] = "ingest",
    [CHANGE_CALLER_INDEX] = "caller's index",
};

static void tell_field(struct findings *findings, const struct change *change, struct field field,
                       size_t data_bytes_max)
{
    static const char *const codecs[] = {"lz4", "zstd", "none"};
    size_t at = 0;
    while (at < sizeof told_members / sizeof told_members[0] &&
           told_members[at].offset != field.offset)
        at++;
    check(at < sizeof told_members / sizeof told_members[0]);
    const struct told_member *told = &told_members[at];
    const loam_slice bytes =
        field.kind == FIELD_BYTES ? bytes_field(change, field) : loam_bytes(NULL, 0);
    const uint64_t number = field.kind == FIELD_BYTES ? 0 : number_field(change, field);
    switch ((enum told_as)told->as) {
    case TELL_COUNT:
        fact_count(findings, told->name, number);
        break;
    case TELL_SIZE:
        fact_number(findings, told->name, LOAM_FACT_SIZE, number);
        break;
    case TELL_TIME:
        fact_number(findings, told->name, LOAM_FACT_TIME_MS, number);
        break;
    case TELL_ID:
        fact_id(findings, told->name, number);
        break;
    case TELL_NAME:
        fact_bytes(findings, told->name, LOAM_FACT_TEXT, bytes);
        break;
    case TELL_KEY:
        fact_data(findings, told->name, bytes, data_bytes_max, told->length_name);
        break;
    case TELL_CODEC:
        fact_text(findings, told->name, codecs[number]);
        break;
    case TELL_NOT:
        break;
    }
}

struct range_telling {
    struct findings *findings;
    uint32_t depth;
    size_t data_bytes_max;
};

static loam_status tell_range(void *ctx, const struct range *range)
{
    const struct range_telling *telling = ctx;
    struct findings *findings = telling->findings;
    finding_begin(findings, "deletion", telling->depth);
    fact_data(findings, "from", range->from, telling->data_bytes_max, "from_bytes");
    fact_data(findings, "to", range->to, telling->data_bytes_max, "to_bytes");
    fact_count(findings, "seq", range->seq);
    finding_send(findings);
    return findings_rc(findings);
}

void change_tell(struct findings *findings, uint32_t depth, const struct change *change,
                 size_t data_bytes_max)
{
    struct range_telling telling = {findings, depth + 1, data_bytes_max};
    struct range_set *set = NULL;
    const enum change_tag tag = tag_on_disk(change);
    check(change_names[tag] != NULL);
    finding_begin(findings, "change", depth);
    fact_text(findings, "what", change_names[tag]);
    fact_count(findings, "tag", tag);
    for (const struct field *field = fields_of[tag]; field->kind != FIELD_END; field++)
        tell_field(findings, change, *field, data_bytes_max);
    finding_send(findings);
    if (tag != CHANGE_RANGES || range_set_decode(change->ranges, &set) != LOAM_OK || set == NULL)
        return;
    const loam_status stopped = range_set_each(set, tell_range, &telling);
    (void)stopped; /* findings_rc() says it, too */
    range_set_unref(set);
}
