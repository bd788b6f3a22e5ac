/*
 * rot_store.c - a small store from a seed, and what damage to it may do; see rot_store.h.
 */
#include "lib/rot_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

enum { COLLS = 4, KEYS = 60, BATCH_MAX = 8 };

static const char *const NAMES[COLLS] = {"default", "packed", "raw", "tight"};
static const loam_compression COMPRESSIONS[COLLS] = {LOAM_LZ4, LOAM_LZ4, LOAM_UNCOMPRESSED,
                                                     LOAM_ZSTD};

#define must(call)                                                                                 \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("SEED=%llu: %s: %s", (unsigned long long)store->seed, #call, loam_errmsg());  \
    } while (0)

/* ---- files ------------------------------------------------------------------------------------- */

static void keep_file(struct rot_file *file, const char *name, const uint8_t *bytes, size_t len)
{
    snprintf(file->name, sizeof file->name, "%s", name);
    file->bytes = malloc(len + 1);
    file->len = len;
    check(file->bytes != NULL);
    memcpy(file->bytes, bytes, len);
    file->marked = NULL;
}

struct taking {
    struct rot_store *store;
    bool is_end;
};

static void take_name(void *ctx, const char *name)
{
    const struct taking *taking = ctx;
    struct rot_store *store = taking->store;
    uint64_t len = 0;
    enum object_kind kind;
    struct object_id id;
    if (strcmp(name, "root") != 0 && !object_name_parse(name, &kind, &id)) return;
    const uint8_t *bytes = simdisk_bytes(store->disk, "db", name, &len);
    check(bytes != NULL);
    if (taking->is_end) {
        check(store->file_count < ROT_FILES_MAX);
        keep_file(&store->files[store->file_count++], name, bytes, (size_t)len);
        return;
    }
    for (size_t i = store->stale_count; i-- > 0;) {
        const struct rot_file *old = &store->stale[i];
        if (strcmp(old->name, name) != 0) continue;
        if (old->len == len && memcmp(old->bytes, bytes, len) == 0) return;
        break;
    }
    if (store->stale_count < ROT_STALE_MAX)
        keep_file(&store->stale[store->stale_count++], name, bytes, (size_t)len);
}

static void take_files(struct rot_store *store, bool is_end)
{
    struct taking taking = {store, is_end};
    const struct sys_table sys = simdisk_table(store->disk);
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    check(dir >= 0);
    check(sys.calls->list(sys.ctx, dir, take_name, &taking) == 0);
    (void)sys.calls->close(sys.ctx, dir);
}

/* What is kept of earlier moments are other bytes of files that are there at the end. Where the power went, an earlier segment may hold
   more than what is left, and be right. */
static void sift_stale(struct rot_store *store)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->stale_count; i++) {
        bool differs = false;
        const bool may_hold_more =
            store->how == ROT_POWERLESS && strstr(store->stale[i].name, ".wal") != NULL;
        for (size_t k = 0; k < store->file_count; k++) {
            const struct rot_file *file = &store->files[k];
            if (strcmp(file->name, store->stale[i].name) != 0) continue;
            differs = file->len != store->stale[i].len ||
                      memcmp(file->bytes, store->stale[i].bytes, file->len) != 0;
        }
        if (differs && !may_hold_more)
            store->stale[kept++] = store->stale[i];
        else
            free(store->stale[i].bytes);
    }
    store->stale_count = kept;
}

void rot_put(struct simdisk *disk, const char *name, const uint8_t *bytes, size_t len)
{
    const struct sys_table sys = simdisk_table(disk);
    const struct sys_piece piece = {bytes, len};
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    check(dir >= 0);
    if (bytes == NULL) {
        check(sys.calls->unlink(sys.ctx, dir, name) == 0);
    } else {
        int fd = sys.calls->open(sys.ctx, dir, name, SYS_READ_WRITE);
        if (fd < 0) fd = sys.calls->open(sys.ctx, dir, name, SYS_CREATE);
        check(fd >= 0 && sys.calls->truncate(sys.ctx, fd, len) == 0);
        if (len > 0) check(sys.calls->write(sys.ctx, fd, 0, &piece, 1, false) == (int64_t)len);
        (void)sys.calls->close(sys.ctx, fd);
    }
    (void)sys.calls->close(sys.ctx, dir);
}

struct simdisk *rot_store_disk(const struct rot_store *store)
{
    struct simdisk *disk =
        simdisk_new(~store->seed); /* other random numbers than it was made with */
    const struct sys_table sys = simdisk_table(disk);
    check(sys.calls->make_dir(sys.ctx, "db") == 0);
    for (size_t i = 0; i < store->file_count; i++)
        rot_put(disk, store->files[i].name, store->files[i].bytes, store->files[i].len);
    return disk;
}

/* ---- its life ---------------------------------------------------------------------------------- */

static void note_moment(struct rot_store *store)
{
    const uint64_t end = wal_end(store->db->wal);
    if (store->moment_count > 0 && store->moments[store->moment_count - 1].end == end) return;
    check(store->moment_count < ROT_MOMENTS_MAX);
    store->moments[store->moment_count++] = (struct rot_moment){end, model_copy(store->model)};
}

static loam_slice draw_key(struct rot_store *store, char text[static 24])
{
    const unsigned number = (unsigned)rand_below(&store->rand, KEYS) * 7 % KEYS;
    return loam_bytes(text,
                      (size_t)snprintf(text, 24, number % 5 == 0 ? "%u" : "key/%04u", number));
}

static loam_slice draw_value(struct rot_store *store, uint8_t bytes[static 8192])
{
    const uint64_t kind = rand_below(&store->rand, 24);
    const size_t len = (size_t)(kind == 0   ? 1200 + rand_below(&store->rand, 2500)
                                : kind == 1 ? 0
                                            : rand_below(&store->rand, 90));
    const bool dull = rand_below(&store->rand, 3) != 0;
    for (size_t i = 0; i < len; i++)
        bytes[i] = dull ? (uint8_t)('a' + i / 16 % 3) : (uint8_t)rand_next(&store->rand);
    return loam_bytes(bytes, len);
}

static loam_coll *draw_coll(struct rot_store *store, const char **name)
{
    loam_coll *coll = NULL;
    do {
        *name = NAMES[rand_below(&store->rand, COLLS)];
    } while (!model_has(store->model, *name));
    must(loam_collection(store->db, *name, &coll));
    return coll;
}

/* Entries of a store expire ages from now, or not at all: what is to be found must not depend on when it is looked at. */
enum { AGES_BITS = 42 };

static void delete_some(struct rot_store *store, loam_batch *batch, loam_coll *coll,
                        const char *name)
{
    char text[2][24];
    loam_range range = {.from = draw_key(store, text[0]), .to = draw_key(store, text[1])};
    must(loam_batch_delete_range(batch, coll, &range));
    model_delete_range(store->model, name, range.from, range.to);
}

static void merge_some(struct rot_store *store, loam_batch *batch, loam_coll *coll,
                       const char *name, loam_slice key)
{
    uint8_t bytes[8192];
    loam_slice operand = draw_value(store, bytes);
    const loam_merge_operator *merger = model_merger(store->model, name);
    if (merger == NULL) return;
    if (strcmp(merger->name, "add_i64") == 0) operand = loam_bytes("\1\2\3\0\0\0\0\0", 8);
    must(loam_batch_merge(batch, coll, key, operand));
    model_merge(store->model, name, key, operand);
}

static void put_some(struct rot_store *store, loam_batch *batch, loam_coll *coll, const char *name,
                     loam_slice key)
{
    uint8_t bytes[8192];
    const loam_slice value = draw_value(store, bytes);
    if (rand_below(&store->rand, 6) == 0) {
        must(loam_batch_put_ttl(batch, coll, key, value, UINT64_C(1) << AGES_BITS));
        model_put_until(store->model, name, key, value, MODEL_SOME_TIME);
        return;
    }
    must(loam_batch_put(batch, coll, key, value));
    model_put(store->model, name, key, value);
}

static void write_some(struct rot_store *store)
{
    char text[24];
    const char *name;
    loam_batch *batch = loam_batch_new();
    const uint64_t count = 1 + rand_below(&store->rand, BATCH_MAX);
    for (uint64_t i = 0; i < count; i++) {
        loam_coll *coll = draw_coll(store, &name);
        const loam_slice key = draw_key(store, text);
        const uint64_t choice = rand_below(&store->rand, 24);
        if (choice < 5) {
            must(loam_batch_delete(batch, coll, key));
            model_delete(store->model, name, key);
        } else if (choice < 6) {
            delete_some(store, batch, coll, name);
        } else if (choice < 10) {
            merge_some(store, batch, coll, name, key);
        } else {
            put_some(store, batch, coll, name, key);
        }
    }
    must(loam_write(store->db, batch, (loam_durability)(1 + rand_below(&store->rand, 3))));
    loam_batch_free(batch);
}

static void change_collections(struct rot_store *store)
{
    const size_t at = 1 + (size_t)rand_below(&store->rand, COLLS - 1);
    if (model_has(store->model, NAMES[at])) {
        if (rand_below(&store->rand, 3) != 0) return;
        must(loam_drop(store->db, NAMES[at]));
        model_drop(store->model, NAMES[at]);
        note_moment(store);
    }
    loam_coll_options options = loam_coll_options_default();
    options.compression = COMPRESSIONS[at];
    options.merge_operator = model_merger_for(NAMES[at])->name;
    if (rand_below(&store->rand, 3) == 0) {
        const char *name;
        (void)draw_coll(store, &name);
        must(loam_clone(store->db, name, NAMES[at], NULL));
        model_clone(store->model, name, NAMES[at]);
        return;
    }
    must(loam_create(store->db, NAMES[at], &options, NULL));
    model_create(store->model, NAMES[at]);
    model_set_merger(store->model, NAMES[at], options.merge_operator);
}

static void live_a_moment(struct rot_store *store)
{
    const uint64_t choice = rand_below(&store->rand, 100);
    const char *name;
    if (choice < 70)
        write_some(store);
    else if (choice < 76)
        change_collections(store);
    else if (choice < 80)
        must(loam_sync(store->db));
    else if (choice < 86)
        must(loam_flush(store->db, draw_coll(store, &name)));
    else if (choice < 88)
        must(loam_compact(store->db, draw_coll(store, &name), NULL));
    else
        (void)jobs_run_one(store->db);
    note_moment(store);
    if (rand_below(&store->rand, 12) == 0) take_files(store, false);
}

static void open_store(struct rot_store *store)
{
    store->world.sys = simdisk_table(store->disk);
    must(db_open_in(&store->world, "db", &store->options, &store->db));
}

static void die(struct rot_store *store)
{
    simdisk_kill(store->disk);
    const loam_status rc = loam_close(store->db);
    (void)rc; /* the process is gone; this only frees its memory */
    if (store->how == ROT_POWERLESS)
        simdisk_power_loss(store->disk,
                           (enum simdisk_loss)rand_below(&store->rand, SIMDISK_LOSSES));
}

static void live(struct rot_store *store)
{
    const uint64_t openings = 1 + rand_below(&store->rand, 3);
    for (uint64_t i = 0; i < openings; i++) {
        loam_snapshot *snapshot = NULL;
        open_store(store);
        note_moment(store);
        if (i == 0)
            for (size_t k = 1; k < COLLS; k++) {
                change_collections(store);
                note_moment(store);
            }
        if (rand_below(&store->rand, 2) == 0) must(loam_snapshot_open(store->db, &snapshot));
        const uint64_t count = 8 + rand_below(&store->rand, store->moments_max);
        for (uint64_t k = 0; k < count; k++)
            live_a_moment(store);
        take_files(store, false);
        loam_snapshot_close(snapshot);
        if (i + 1 == openings && store->how != ROT_CLOSED)
            die(store);
        else
            must(loam_close(store->db));
        store->db = NULL;
        if (i + 1 < openings) take_files(store, false);
    }
}

static void choose_world(struct rot_store *store)
{
    store->options = loam_options_default();
    store->options.memory_bytes = 4 << 20;
    store->options.memtable_bytes = 16 << 10;
    store->options.runs_per_level = 1 + (uint32_t)rand_below(&store->rand, 2);
    store->options.filter_bits_per_key =
        rand_below(&store->rand, 4) == 0
            ? LOAM_NO_FILTER
            : (uint32_t)rand_below(&store->rand, 2) * (1 + (uint32_t)rand_below(&store->rand, 12));
    store->world = (struct db_world){.mapped_log = rand_below(&store->rand, 2) == 0,
                                     .page_bytes = 256,
                                     .log_bytes_least = 16 << 10,
                                     .seed = rand_next(&store->rand)};
}

/* ---- what carries information -------------------------------------------------------------------- */

static struct rot_file *file_of(struct rot_store *store, enum object_kind kind, struct object_id id)
{
    char name[OBJECT_NAME_BYTES];
    object_name_make(kind, id, name);
    for (size_t i = 0; i < store->file_count; i++)
        if (strcmp(store->files[i].name, name) == 0) return &store->files[i];
    return NULL;
}

static void mark(struct rot_file *file, uint64_t from, uint64_t to, enum rot_mark as)
{
    check(from <= to && to <= file->len);
    memset(file->marked + from, (int)as, (size_t)(to - from));
}

static bool view_of(const struct rot_file *file, struct segment_view *view)
{
    bool too_new;
    *view = (struct segment_view){.bytes = {file->bytes, file->len, file->len}};
    return file->len >= SEGMENT_HEADER_BYTES &&
           segment_header_get(file->bytes, &view->header, &too_new);
}

/* Marks the records of a segment and notes those of the last opening. Answers where they end. */
static uint64_t mark_records(struct rot_store *store, struct rot_file *file, uint64_t until,
                             bool note)
{
    struct segment_view view;
    struct record record;
    check(view_of(file, &view));
    uint64_t at = view.header.start;
    while (at < until && segment_record_at(&view, at, NULL, &record) == LOAM_OK) {
        const uint64_t offset = SEGMENT_HEADER_BYTES + (at - view.header.start);
        mark(file, offset, offset + (record.end - at), ROT_SPEAKS);
        if (note) {
            check(store->record_count < ROT_RECORDS_MAX);
            store->records[store->record_count++] =
                (struct rot_record){file, offset, record.end - at, at, record.synced_upto};
        }
        at = record.end;
    }
    return at;
}

static loam_status pass_over(void *ctx, const struct wal_commit *commit)
{
    (void)ctx, (void)commit;
    return LOAM_OK;
}

/* A first segment is never a used one, so zeros behind its records are its own, unless a crash may have torn something there. */
static void mark_segment(struct rot_store *store, const struct wal_extent *extent, bool is_last,
                         bool is_durable, bool note)
{
    struct rot_file *file = file_of(store, OBJECT_SEGMENT, extent->id);
    check(file != NULL);
    if (is_durable) mark(file, 0, SEGMENT_HEADER_BYTES, ROT_SPEAKS);
    const uint64_t end = mark_records(store, file, extent->end, note);
    check(end == extent->end || !is_durable);
    if (!is_last && extent->id.number == 1)
        mark(file, SEGMENT_HEADER_BYTES + (end - extent->start), file->len, ROT_ZERO);
}

static void mark_log(struct rot_store *store)
{
    struct wal_past past;
    struct wal_tail tail;
    must(db_wal_past(store->db, &past));
    must(wal_read(&past, pass_over, NULL, &tail));
    store->attested = past.attested;
    store->log_key = past.log_key;
    for (size_t i = 0; i < past.listed_count; i++) {
        const bool is_last =
            i + 1 == past.listed_count || past.listed[i].id.epoch != past.listed[i + 1].id.epoch;
        if (past.listed[i].end > past.floor) /* else only readers of the log would want it */
            mark_segment(store, &past.listed[i], is_last, true, false);
    }
    for (size_t i = 0; i < tail.extent_count; i++) {
        const bool is_last = i + 1 == tail.extent_count && !past.sealed;
        mark_segment(store, &tail.extents[i], is_last, tail.attested > tail.extents[i].start, true);
    }
    wal_tail_deinit(&tail);
    wal_past_deinit(&past);
}

static void mark_tables(struct rot_store *store)
{
    const struct catalog *catalog = store->db->catalog;
    for (size_t i = 0; i < catalog_coll_count(catalog); i++) {
        const struct version *version = catalog_coll_at(catalog, i)->version;
        for (uint32_t level = 0; level < LEVEL_COUNT; level++) {
            for (uint32_t r = 0; r < version->levels[level].run_count; r++) {
                const struct run *run = version->levels[level].runs[r];
                for (uint32_t t = 0; t < run->table_count; t++) {
                    const struct table_meta *meta = table_meta(run->tables[t].table);
                    struct rot_file *file = file_of(store, OBJECT_TABLES, meta->object);
                    check(file != NULL);
                    mark(file, meta->offset, meta->offset + meta->bytes, ROT_SPEAKS);
                }
            }
        }
    }
}

/* Each edit says that those before it were durable; what nobody says it of is the last one, if there is no seal. */
static void mark_manifest(struct rot_file *file, const struct root *root)
{
    struct segment_view view;
    struct record record;
    uint64_t last = 0, end = 0;
    check(view_of(file, &view));
    while (segment_record_at(&view, end, NULL, &record) == LOAM_OK) {
        last = record.position;
        end = record.end;
    }
    if (last < root->manifest_end) last = root->manifest_end;
    if (root->sealed) mark(file, 0, file->len, ROT_ZERO);
    mark(file, 0, SEGMENT_HEADER_BYTES + (root->sealed ? end : last), ROT_SPEAKS);
}

static void mark_all(struct rot_store *store)
{
    for (size_t i = 0; i < store->file_count; i++) {
        store->files[i].marked = calloc(store->files[i].len + 1, 1);
        check(store->files[i].marked != NULL);
        if (strcmp(store->files[i].name, "root") == 0)
            mark(&store->files[i], 0, store->files[i].len, ROT_SPEAKS);
    }
    struct rot_file *manifest = file_of(store, OBJECT_MANIFEST, store->db->root.manifest);
    check(manifest != NULL);
    mark_manifest(manifest, &store->db->root);
    mark_log(store);
    mark_tables(store);
}

/* Which of the moments does an undamaged opening find? After a loss of power not always the last. */
static void find_present(struct rot_store *store)
{
    size_t at = store->moment_count;
    const char *differs = "no moment";
    while (differs != NULL && at > 0)
        differs = model_differs(store->moments[--at].model, store->db, NULL);
    if (differs != NULL || (store->how != ROT_POWERLESS && at + 1 != store->moment_count))
        fail_msg("SEED=%llu: undamaged, and finds moment %zu of %zu: %s",
                 (unsigned long long)store->seed, at, store->moment_count, differs);
    store->present = &store->moments[at];
}

static void look_at_end(struct rot_store *store)
{
    struct simdisk *disk = rot_store_disk(store);
    simdisk_free(store->disk);
    store->disk = disk;
    store->options.read_only = true;
    open_store(store);
    find_present(store);
    mark_all(store);
    must(loam_close(store->db));
    store->db = NULL;
}

struct rot_store *rot_store_new(uint64_t seed, enum rot_end how, unsigned moments_max)
{
    struct rot_store *store = calloc(1, sizeof *store);
    check(store != NULL);
    store->seed = seed;
    store->how = how;
    store->moments_max = moments_max;
    store->rand.state = seed;
    store->disk = simdisk_new(seed);
    store->model = model_new();
    choose_world(store);
    live(store);
    take_files(store, true);
    sift_stale(store);
    look_at_end(store);
    return store;
}

void rot_store_free(struct rot_store *store)
{
    for (size_t i = 0; i < store->file_count; i++) {
        free(store->files[i].bytes);
        free(store->files[i].marked);
    }
    for (size_t i = 0; i < store->stale_count; i++)
        free(store->stale[i].bytes);
    for (size_t i = 0; i < store->moment_count; i++)
        model_free(store->moments[i].model);
    model_free(store->model);
    simdisk_free(store->disk);
    free(store);
}

/* ---- what damage may do ---------------------------------------------------------------------------- */

/* Is a copy of the header left that names this file? */
static bool has_header(const struct rot_file *file, const uint8_t *bytes, size_t len,
                       struct segment_header *header)
{
    enum object_kind kind;
    struct object_id id;
    bool too_new;
    if (!object_name_parse(file->name, &kind, &id) || kind != OBJECT_SEGMENT) return false;
    for (size_t at = 0; bytes != NULL && at + 128 <= len && at < SEGMENT_HEADER_BYTES; at += 4096)
        if (segment_header_get(bytes + at, header, &too_new) && object_id_equal(header->id, id))
            return true;
    return false;
}

static bool is_hit(const struct rot_record *record, const struct rot_change *change)
{
    return change->bytes == NULL || record->offset + record->len > change->len ||
           memcmp(change->bytes + record->offset, record->file->bytes + record->offset,
                  (size_t)record->len) != 0;
}

static struct rot_change change_of(const struct rot_file *file, const struct rot_change *changes,
                                   size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (changes[i].file == file) return changes[i];
    return (struct rot_change){file, file->bytes, file->len};
}

/* Does the file begin at the cut, so that its records are found without its header? */
static bool goes_on_at(const struct rot_record *record, uint64_t cut)
{
    return record->position - (record->offset - SEGMENT_HEADER_BYTES) == cut;
}

/* The first position of the log that is not there any more; UINT64_MAX: all is. Also what the records that are left attest. */
static uint64_t find_cut(const struct rot_store *store, const struct rot_change *changes,
                         size_t count, uint64_t *attested)
{
    struct segment_header header;
    uint64_t cut = UINT64_MAX;
    for (size_t i = 0; i < store->record_count; i++) {
        const struct rot_record *record = &store->records[i];
        const struct rot_change change = change_of(record->file, changes, count);
        const bool changed = change.bytes != record->file->bytes;
        const bool hit = changed && (!has_header(record->file, change.bytes, change.len, &header) ||
                                     is_hit(record, &change));
        if (hit && record->position < cut) cut = record->position;
        if (!hit && record->synced_upto > *attested) *attested = record->synced_upto;
    }
    for (size_t i = 0; i < store->record_count; i++) {
        const struct rot_record *record = &store->records[i];
        const struct rot_change change = change_of(record->file, changes, count);
        if (goes_on_at(record, cut) && !is_hit(record, &change) && record->synced_upto > *attested)
            *attested = record->synced_upto;
    }
    return cut;
}

/* Is a file of the last opening gone or shorter than it was, and one behind it was begun? */
static bool lacks_before_another(const struct rot_store *store, const struct rot_change *changes,
                                 size_t count)
{
    struct segment_header hurt, later;
    for (size_t i = 0; i < count; i++) {
        const struct rot_file *file = changes[i].file;
        if (!has_header(file, file->bytes, file->len, &hurt) || hurt.log_key != store->log_key ||
            (changes[i].bytes != NULL && changes[i].len >= file->len))
            continue;
        for (size_t k = 0; k < store->file_count; k++) {
            const struct rot_change other = change_of(&store->files[k], changes, count);
            if (has_header(other.file, other.bytes, other.len, &later) &&
                later.log_key == store->log_key && later.id.number > hurt.id.number)
                return true;
        }
    }
    return false;
}

const struct model *rot_torn_model(const struct rot_store *store, const struct rot_change *changes,
                                   size_t count)
{
    struct segment_header header;
    uint64_t attested = store->attested;
    if (store->how == ROT_CLOSED) return NULL;
    const uint64_t cut = find_cut(store, changes, count, &attested);
    for (size_t i = 0; i < store->file_count; i++) {
        const struct rot_change change = change_of(&store->files[i], changes, count);
        if (has_header(change.file, change.bytes, change.len, &header) &&
            header.log_key == store->log_key && header.synced_upto > attested)
            attested = header.synced_upto;
    }
    if (cut == UINT64_MAX || attested > cut || lacks_before_another(store, changes, count))
        return NULL;
    size_t at = store->moment_count;
    while (at > 0 && store->moments[at - 1].end > cut)
        at--;
    check(at > 0);
    /* A change of collections stands in the manifest as well: where the log is cut just before its record, it has been made. */
    if (at < store->moment_count && store->moments[at - 1].end == cut &&
        model_coll_count(store->moments[at].model) !=
            model_coll_count(store->moments[at - 1].model))
        at++;
    return store->moments[at - 1].model;
}

size_t rot_marked_end(const struct rot_file *file)
{
    size_t end = file->len;
    while (end > 0 && file->marked[end - 1] != ROT_SPEAKS)
        end--;
    return end;
}
