/*
 * inspect.c - tells what stands in a store and in its files; see loam_inspect.h and inspect.h.
 */
#include "db/inspect.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/sized.h"
#include "base/status.h"
#include "db/db.h"
#include "record/operands.h"
#include "sstable/table_salvage.h"

#include "base/poison.h"

enum { FRONT_BYTES = SEGMENT_HEADER_BYTES, ROOT_MAGIC_AT = 8 };

/* ---- what is told --------------------------------------------------------------------------------- */

void inspect_damage(struct inspect *inspect, uint32_t depth, struct inspect_place place,
                    const char *what)
{
    struct findings *findings = &inspect->findings;
    inspect->is_damaged = true;
    finding_begin(findings, "damaged", depth);
    fact_text(findings, "file", place.file);
    fact_count(findings, "at", place.at);
    if (place.bytes > 0) fact_count(findings, "bytes", place.bytes);
    fact_text(findings, "what", what);
    finding_send(findings);
}

loam_status inspect_meet(struct inspect *inspect, uint32_t depth, const char *file, loam_status rc)
{
    if (rc != LOAM_CORRUPT && (rc != LOAM_IOERR || depth == 0)) return rc;
    inspect_damage(inspect, depth, (struct inspect_place){.file = file}, loam_errmsg());
    return findings_rc(&inspect->findings);
}

bool inspect_shows(const struct inspect *inspect, uint64_t number)
{
    const loam_inspect_options *options = &inspect->options;
    return number >= options->from && number - options->from < options->limit;
}

void inspect_entry(struct inspect *inspect, uint32_t depth, const uint32_t *coll,
                   const struct entry *entry)
{
    static const char *const kinds[] = {[ENTRY_PUT] = "put",
                                        [ENTRY_DELETE] = "delete",
                                        [ENTRY_DELETE_RANGE] = "delete range",
                                        [ENTRY_MERGE] = "merge",
                                        [ENTRY_PUT_EXPIRING] = "put"};
    struct findings *findings = &inspect->findings;
    const size_t max = inspect->options.data_bytes_max;
    loam_slice value = entry_value(entry);
    uint64_t since = 0;
    finding_begin(findings, "entry", depth);
    if (coll != NULL) fact_count(findings, "collection", *coll);
    fact_count(findings, "seq", entry->seq);
    fact_text(findings, "what", kinds[entry->kind]);
    const bool is_range = entry->kind == ENTRY_DELETE_RANGE;
    fact_data(findings, is_range ? "from" : "key", entry->key, max,
              is_range ? "from_bytes" : "key_bytes");
    if (entry->kind == ENTRY_PUT_EXPIRING)
        fact_number(findings, "expires", LOAM_FACT_TIME_MS, entry_expires_ms(entry));
    if (entry->kind == ENTRY_MERGE && coll == NULL && operand_get(entry, &since, &value))
        fact_count(findings, "since", since);
    if (is_range)
        fact_data(findings, "to", value, max, "to_bytes");
    else if (entry_is_put(entry->kind))
        fact_data(findings, "value", value, max, "value_bytes");
    finding_send(findings);
}

/* ---- the root --------------------------------------------------------------------------------------- */

static void tell_root(struct inspect *inspect, uint32_t depth, const char *name, uint64_t bytes,
                      const struct root *root)
{
    struct findings *findings = &inspect->findings;
    char manifest[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_MANIFEST, root->manifest, manifest);
    finding_begin(findings, "root", depth);
    fact_text(findings, "file", name);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, bytes);
    fact_id(findings, "store_id", get_u64_big_endian(root->store_id));
    fact_id(findings, "store_id_rest", get_u64_big_endian(root->store_id + 8));
    fact_count(findings, "epoch", root->epoch);
    fact_text(findings, "manifest", root->manifest.number != 0 ? manifest : "none yet");
    fact_count(findings, "manifest_end", root->manifest_end);
    fact_id(findings, "manifest_running", root->manifest_running);
    fact_id(findings, "log_key", root->log_key);
    fact_number(findings, "sealed", LOAM_FACT_FLAG, root->sealed);
    fact_count(findings, "log_end", root->log_end);
    fact_id(findings, "log_running", root->log_running);
    finding_send(findings);
}

loam_status inspect_root(struct inspect *inspect, uint32_t depth, const char *name)
{
    struct object_load load = {.lost = 0};
    struct root root;
    loam_status rc = object_load_salvage(inspect->store, name, STORE_ROOT_BYTES_MAX, &load);
    if (rc == LOAM_OK) {
        const loam_slice bytes = loam_bytes(load.bytes.data, load.bytes.len);
        memset(&root, 0, sizeof root);
        if (bytes.len >= ROOT_BYTES) root_take(bytes.data, &root);
        tell_root(inspect, depth, name, load.size, &root);
        if (load.size > STORE_ROOT_BYTES_MAX)
            rc = failed(LOAM_CORRUPT, "%s: byte %d: has more bytes than any root", name,
                        STORE_ROOT_BYTES_MAX);
        if (rc == LOAM_OK) rc = root_decode(bytes, name, &root);
        depth++;
    }
    loam_buf_free(&load.bytes);
    rc = inspect_meet(inspect, depth, name, rc);
    return rc == LOAM_OK ? findings_rc(&inspect->findings) : rc;
}

/* ---- which kind of file ---------------------------------------------------------------------------- */

enum file_kind { FILE_ROOT, FILE_SEGMENT, FILE_TABLES, FILE_FOREIGN };

/* A file that is not called as those of a store are. */
static loam_status guess_kind(struct inspect *inspect, const char *name, enum file_kind *kind)
{
    struct object_load load = {.lost = 0};
    struct segment_header header;
    struct object *object = NULL;
    struct table_meta meta;
    bool too_new = false, is_segment = false;
    *kind = FILE_FOREIGN;
    loam_status rc = object_load_salvage(inspect->store, name, FRONT_BYTES, &load);
    const uint8_t *bytes = load.bytes.data;
    for (size_t at = 0; rc == LOAM_OK && at + 128 <= load.bytes.len && !is_segment; at += 4096)
        is_segment = segment_header_get(bytes + at, &header, &too_new) || too_new;
    if (is_segment)
        *kind = FILE_SEGMENT;
    else if (load.bytes.len == ROOT_BYTES && memcmp(bytes + ROOT_MAGIC_AT, "loamR", 5) == 0)
        *kind = FILE_ROOT;
    loam_buf_free(&load.bytes);
    if (rc != LOAM_OK || *kind != FILE_FOREIGN) return rc;
    rc = object_open(inspect->store, name, &object);
    if (rc != LOAM_OK) return rc;
    uint64_t end = object_bytes(object);
    rc = table_salvage_find(object, &end, &meta);
    object_close(object);
    if (rc == LOAM_OK) *kind = FILE_TABLES;
    return rc == LOAM_NOTFOUND ? LOAM_OK : rc;
}

loam_status inspect_file(struct inspect *inspect, uint32_t depth, const char *name)
{
    enum file_kind kind = FILE_FOREIGN;
    enum object_kind named;
    struct object_id id, *known = NULL;
    const char *odd = store_odd_kind(inspect->store, name);
    loam_status rc = LOAM_OK;
    if (odd != NULL && depth > 0) return LOAM_OK; /* the list of files has said so */
    if (odd != NULL)
        return failed(LOAM_INVALID, "%s: is %s, and no file of a store", inspect->path, odd);
    if (object_name_parse(name, &named, &id)) {
        known = &id;
        kind = named == OBJECT_TABLES ? FILE_TABLES : FILE_SEGMENT;
    } else if (strcmp(name, "root") == 0 || strcmp(name, "root.new") == 0) {
        kind = FILE_ROOT;
    } else {
        rc = guess_kind(inspect, name, &kind);
    }
    if (rc != LOAM_OK) return rc;
    switch (kind) {
    case FILE_ROOT:
        return inspect_root(inspect, depth, name);
    case FILE_SEGMENT:
        return inspect_segment(inspect, depth, name, known);
    case FILE_TABLES:
        return inspect_tables(inspect, depth, name, known);
    case FILE_FOREIGN:
        break;
    }
    return failed(
        LOAM_INVALID,
        "%s: is no file of a store: neither its name nor its bytes are those of a root, a "
        "manifest, a log segment or tables",
        depth == 0 ? inspect->path : name);
}

/* ---- the call ------------------------------------------------------------------------------------------ */

static void hear_nothing(void *ctx, const char *text, uint64_t lost_bytes)
{
    (void)ctx, (void)text, (void)lost_bytes;
}

/* What the directory says of itself; a file may also stand alone. Who inspects root and manifest tells what is wrong with them. */
static loam_status learn_facts(struct inspect *inspect)
{
    loam_buf bytes = {0};
    loam_status rc = store_root_read(inspect->store, &bytes);
    if (rc == LOAM_OK) rc = root_decode(loam_bytes(bytes.data, bytes.len), "root", &inspect->root);
    loam_buf_free(&bytes);
    inspect->has_root = rc == LOAM_OK;
    if (rc == LOAM_NOMEM) return rc;
    rc = manifest_salvage(inspect->store, inspect->has_root ? &inspect->root : NULL, hear_nothing,
                          NULL, &inspect->facts);
    inspect->has_facts = rc == LOAM_OK;
    return rc == LOAM_NOMEM ? rc : LOAM_OK;
}

static loam_status run_inspect(struct inspect *inspect, const char *path, const char *name)
{
    const bool is_directory = name[0] == '\0';
    loam_status rc = learn_facts(inspect);
    if (rc == LOAM_OK) rc = is_directory ? inspect_store(inspect) : inspect_file(inspect, 0, name);
    if (rc == LOAM_NOTFOUND) return failed_errno(ENOENT, "%s: there is no such file", path);
    if (rc == LOAM_OK) rc = findings_rc(&inspect->findings);
    if (rc == LOAM_CONFLICT) return failed(rc, "%s: inspecting it was stopped", path);
    if (rc != LOAM_OK || !inspect->is_damaged) return rc;
    return failed(LOAM_CORRUPT, "%s: damaged; see the findings", path);
}

loam_status inspect_in(struct sys_table sys, const char *path, const loam_inspect_options *options,
                       loam_found found, void *ctx)
{
    struct inspect inspect = {.options = loam_inspect_options_default(), .path = path};
    const char *name = NULL;
    struct failure why;
    if (path == NULL || path[0] == '\0') return failed(LOAM_INVALID, "the path is empty");
    loam_status rc = findings_init(&inspect.findings, found, ctx);
    if (rc == LOAM_OK)
        rc = sized_take(&inspect.options, sizeof inspect.options, options,
                        "loam_inspect_options_default");
    if (rc == LOAM_OK) rc = store_look(sys, path, &name, &inspect.store);
    if (rc != LOAM_OK) return rc;
    rc = run_inspect(&inspect, path, name);
    failure_save(&why);
    if (inspect.has_facts) salvage_facts_deinit(&inspect.facts);
    store_close(inspect.store);
    if (rc != LOAM_OK) failure_restore(&why);
    return rc;
}

loam_status loam_inspect(const char *path, const loam_inspect_options *opts, loam_found found,
                         void *ctx)
{
    return inspect_in(db_world_real().sys, path, opts, found, ctx);
}
