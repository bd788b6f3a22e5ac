/*
 * coll.c - collections: finding, creating, cloning, options, renaming, dropping; see loam.h and db.h.
 *
 * A change of collections is a commit: a durable log record that holds the manifest's edit, then that edit in the manifest.
 * Recovery repeats an edit that the log has and the manifest has not.
 */
#include <string.h>

#include "base/mem.h"
#include "base/sized.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

enum {
    MANIFESTS_PART_BYTES_MAX = 64 /* two tags and five numbers */
};

static const char DEFAULT_NAME[] = "default";

/* ---- names ---------------------------------------------------------------------------------- */

static loam_status check_name(const char *name)
{
    if (name == NULL || name[0] == 0)
        return failed(LOAM_INVALID, "a collection's name is 1 to 255 bytes; this one is empty");
    size_t at;
    const loam_slice text = loam_str(name);
    if (text.len > COLL_NAME_BYTES_MAX)
        return failed(LOAM_TOOBIG, "a collection's name is 1 to 255 bytes; this one has %zu",
                      text.len);
    if (coll_name_holds(text, &at)) return LOAM_OK;
    return failed(LOAM_INVALID,
                  "a collection's name is UTF-8 without control characters or '/'; byte %zu is not",
                  at);
}

loam_status loam_collection(loam_db *db, const char *name, loam_coll **out)
{
    if (out == NULL) return failed(LOAM_INVALID, "out is NULL");
    *out = NULL;
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = check_name(name);
    if (rc < 0) return rc;
    mutex_lock(&db->names);
    *out = coll_by_name(db, name);
    mutex_unlock(&db->names);
    return *out != NULL ? LOAM_OK : LOAM_NOTFOUND;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorting goes without qsort's hidden allocations: a plain heap sort over pointers. */
static void sift(char **names, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare_names(&names[child], &names[child + 1]) < 0) child++;
        if (compare_names(&names[root], &names[child]) >= 0) return;
        char *held = names[root];
        names[root] = names[child];
        names[child] = held;
    }
}

static void sort_names(char **names, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(names, i, count);
    for (size_t end = count; end > 1; end--) {
        char *held = names[0];
        names[0] = names[end - 1];
        names[end - 1] = held;
        sift(names, 0, end - 1);
    }
}

static loam_status copy_names(loam_db *db, char ***out, size_t *out_count)
{
    size_t count = 0;
    mutex_lock(&db->names);
    char **names = mem_alloc_array(db->by_name.count + 1, sizeof *names);
    bool ok = names != NULL;
    for (size_t i = 0; ok && i < db->by_name.slot_count; i++) {
        for (struct loam_coll *coll = db->by_name.slots[i]; ok && coll != NULL;
             coll = coll->name_next) {
            names[count] = coll_copy_name(coll->name);
            ok = names[count] != NULL;
            if (ok) count++;
        }
    }
    mutex_unlock(&db->names);
    *out = names;
    *out_count = count;
    return ok ? LOAM_OK : LOAM_NOMEM;
}

loam_status loam_collections(loam_db *db, void (*each)(void *ctx, const char *name), void *ctx)
{
    char **names;
    size_t count;
    loam_status rc = db_check(db);
    if (rc < 0) return rc;
    if (each == NULL) return failed(LOAM_INVALID, "each is NULL");
    rc = copy_names(db, &names, &count);
    if (rc == LOAM_OK) {
        sort_names(names, count);
        for (size_t i = 0; i < count; i++)
            each(ctx, names[i]);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
    return rc;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* What only the manifest gets: counters, and that the log before the change is durable, which it is before the manifest has this. Without
   that word a log that loses its end, the change with it, would pass for a torn one, and the change would stand on commits that are not
   there. */
static loam_status add_manifests_part(loam_db *db, struct edit *edit) REQUIRES(&db->lane)
{
    const struct change attest = {.tag = CHANGE_LOG_ATTEST, .position = wal_end(db->wal)};
    const loam_status rc = edit_add(edit, &attest);
    return rc < 0 ? rc : db_counters_to_edit(db, edit, db->next_seq);
}

/* Logs the edit, durably, and adds what only the manifest gets; *stage is what the manifest's part will install. */
static loam_status log_change(loam_db *db, const struct coll_change *change,
                              struct catalog_stage **stage)
{
    uint64_t seq = 0, wait_position = 0;
    struct edit *edit = change->edit;
    loam_status rc = LOAM_OK;
    mutex_lock(&db->lane);
    if (change->fill != NULL) {
        edit->bytes.len = 0;
        rc = change->fill(change->ctx, db->next_seq, edit);
    }
    const size_t logged_bytes = edit->bytes.len;
    if (rc == LOAM_OK) rc = add_manifests_part(db, edit);
    if (rc == LOAM_OK)
        rc = catalog_prepare(db->catalog, loam_bytes(edit->bytes.data, edit->bytes.len), stage);
    if (rc == LOAM_OK) rc = wal_reserve(db->wal, logged_bytes);
    const struct sys_piece piece = {edit->bytes.data, logged_bytes};
    const struct commit commit = {.pieces = &piece,
                                  .piece_count = 1,
                                  .body_bytes = logged_bytes,
                                  .record_kind = RECORD_CHANGE,
                                  .entry_count = 1};
    if (rc == LOAM_OK) rc = commit_locked(db, &commit, LOAM_DURABLE_COMMIT, &seq, &wait_position);
    if (rc == LOAM_OK && change->show != NULL) change->show(change->ctx, seq, *stage);
    mutex_unlock(&db->lane);
    if (rc == LOAM_OK) rc = commit_publish(db, seq, wait_position);
    return rc;
}

loam_status coll_change_commit(loam_db *db, const struct coll_change *change)
{
    struct edit *edit = change->edit;
    struct catalog_stage *stage = NULL;
    loam_status rc =
        change->fill == NULL ? LOAM_OK : change->fill(change->ctx, SEQ_MAX, edit); /* to measure */
    if (rc == LOAM_OK)
        rc = manifest_reserve(db->manifest, edit->bytes.len + MANIFESTS_PART_BYTES_MAX);
    if (rc == LOAM_OK) rc = log_change(db, change, &stage);
    if (rc == LOAM_OK) {
        rc = manifest_append(db->manifest, edit, stage);
        if (rc == LOAM_FULL || rc == LOAM_NOMEM) rc = LOAM_IOERR;
        if (rc < 0) return db_fence(db, rc);
        mutex_lock(&db->lane);
        db->change_position = UINT64_MAX;
        mutex_unlock(&db->lane);
        return LOAM_OK;
    }
    catalog_discard(stage);
    return rc == LOAM_IOERR ? db_fence(db, rc) : rc;
}

static loam_status commit_edit(loam_db *db, struct edit *edit)
{
    const struct coll_change change = {.edit = edit};
    return coll_change_commit(db, &change);
}

static loam_coll_options present_options(loam_db *db, const loam_coll *coll)
{
    mutex_lock(&db->names);
    const struct coll_options options = {atomic_load(&coll->compression),
                                         atomic_load(&coll->ttl_ms), coll->merge_operator};
    mutex_unlock(&db->names);
    return coll_options_public(&options);
}

/* source: what it is to be a clone of, with its options, or NULL. */
static loam_status create_locked(loam_db *db, const char *name, const loam_coll_options *options,
                                 const loam_coll *source, loam_coll **out)
{
    struct edit edit = {0};
    const uint32_t id = db->next_coll;
    if (id == UINT32_MAX)
        return failed(LOAM_TOOBIG, "all 2^32 - 1 ids of collections have been given out");
    struct loam_coll *coll = coll_handle_prepare(db, name, options->merge_operator);
    if (coll == NULL) return LOAM_NOMEM;
    mutex_lock(&db->manifest_lock);
    loam_status rc =
        source == NULL ? edit_create_coll(&edit, id, loam_str(name), options)
                       : edit_clone_coll(&edit, id, loam_str(name), source->id,
                                         catalog_coll_by_id(db->catalog, source->id)->flushed_seq);
    db->next_coll = id + 1; /* the counters in the edit say so */
    if (rc == LOAM_OK) rc = commit_edit(db, &edit);
    if (rc == LOAM_OK) {
        coll_handle_show(coll, catalog_coll_by_id(db->catalog, id));
        *out = coll;
    } else {
        coll_handle_free(coll);
        if (atomic_load(&db->fenced) == LOAM_OK) db->next_coll = id;
    }
    mutex_unlock(&db->manifest_lock);
    edit_deinit(&edit);
    return rc;
}

static loam_status check_operator(const loam_db *db, const char *name)
{
    if (name == NULL || db->takes_any_operand || operator_find(db, name) != NULL) return LOAM_OK;
    return failed(LOAM_INVALID,
                  "there is no merge operator \"%s\": built in are add_i64, max_i64 "
                  "and append, others are given to loam_open()",
                  name);
}

/* What was given, over what `options` is before. Its name is the caller's. */
static loam_status read_coll_options(const loam_coll_options *given, loam_coll_options *options)
{
    const loam_status rc = sized_take(options, sizeof *options, given, "loam_coll_options_default");
    if (rc < 0) return rc;
    if ((unsigned)options->compression > LOAM_UNCOMPRESSED)
        return failed(LOAM_INVALID, "compression %d is none", (int)options->compression);
    if (options->merge_operator != NULL && !operator_name_holds(loam_str(options->merge_operator)))
        return failed(LOAM_INVALID, "a merge operator's name is 1 to 63 bytes of a-z, 0-9 and _");
    return LOAM_OK;
}

loam_status loam_create(loam_db *db, const char *name, const loam_coll_options *opts,
                        loam_coll **out)
{
    loam_coll_options options = loam_coll_options_default();
    loam_coll *ignored;
    if (out == NULL) out = &ignored;
    *out = NULL;
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = check_name(name);
    if (rc == LOAM_OK) rc = read_coll_options(opts, &options);
    if (rc == LOAM_OK) rc = check_operator(db, options.merge_operator);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    mutex_lock(&db->changes);
    mutex_lock(&db->names);
    *out = coll_by_name(db, name);
    mutex_unlock(&db->names);
    rc = *out != NULL ? LOAM_EXISTS : create_locked(db, name, &options, NULL, out);
    mutex_unlock(&db->changes);
    return rc;
}

/* All that is in its memtables goes to tables; then the clone shares them. What is committed to the source in between, it does
   not hold. */
static loam_status clone_locked(loam_db *db, loam_coll *source, const char *to, loam_coll **out)
{
    const loam_coll_options options = present_options(db, source);
    loam_status rc = loam_flush(db, source);
    if (rc == LOAM_OK) rc = create_locked(db, to, &options, source, out);
    if (rc == LOAM_OK) compact_consider(*out);
    return rc;
}

loam_status loam_clone(loam_db *db, const char *from, const char *to, loam_coll **out)
{
    loam_coll *ignored;
    if (out == NULL) out = &ignored;
    *out = NULL;
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = check_name(from);
    if (rc == LOAM_OK) rc = check_name(to);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    mutex_lock(&db->changes);
    mutex_lock(&db->names);
    loam_coll *source = coll_by_name(db, from);
    if (source != NULL) *out = coll_by_name(db, to);
    mutex_unlock(&db->names);
    if (source == NULL)
        rc = LOAM_NOTFOUND;
    else
        rc = *out != NULL ? LOAM_EXISTS : clone_locked(db, source, to, out);
    mutex_unlock(&db->changes);
    return rc;
}

/* ---- options -------------------------------------------------------------------------------- */

loam_status loam_coll_options_get(loam_db *db, loam_coll *coll, loam_coll_options *out)
{
    loam_status rc = sized_check(out);
    if (rc == LOAM_OK) rc = db_check(db);
    if (rc == LOAM_OK) rc = db_check_handle(db, &coll);
    if (rc < 0) return rc;
    const loam_coll_options options = present_options(db, coll);
    sized_give(out, &options, sizeof options);
    return LOAM_OK;
}

static bool names_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static loam_status alter_locked(loam_db *db, loam_coll *coll, const loam_coll_options *options)
{
    struct edit edit = {0};
    char *name;
    loam_status rc = coll_copy_operator(coll, options->merge_operator, &name);
    if (rc == LOAM_OK) rc = edit_set_options(&edit, coll->id, options);
    mutex_lock(&db->manifest_lock);
    if (rc == LOAM_OK) rc = commit_edit(db, &edit);
    if (rc == LOAM_OK) {
        coll_show_options(coll, &catalog_coll_by_id(db->catalog, coll->id)->options, name);
        name = NULL;
    }
    mutex_unlock(&db->manifest_lock);
    mem_free(name);
    edit_deinit(&edit);
    return rc;
}

loam_status loam_coll_options_set(loam_db *db, loam_coll *coll, const loam_coll_options *opts)
{
    loam_status rc = db_check(db);
    if (rc == LOAM_OK && opts == NULL) rc = failed(LOAM_INVALID, "opts is NULL");
    if (rc == LOAM_OK) rc = db_check_handle(db, &coll);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    mutex_lock(&db->changes);
    const loam_coll_options before = present_options(db, coll);
    loam_coll_options options = before;
    rc = db_check_handle(db, &coll);
    if (rc == LOAM_OK) rc = read_coll_options(opts, &options);
    const bool keeps_operator = names_equal(before.merge_operator, options.merge_operator);
    if (rc == LOAM_OK && before.merge_operator != NULL && !keeps_operator)
        rc = failed(LOAM_INVALID, "its merge operator is \"%s\" and cannot be changed",
                    before.merge_operator);
    if (rc == LOAM_OK && !keeps_operator) rc = check_operator(db, options.merge_operator);
    const bool is_same = keeps_operator && before.compression == options.compression &&
                         before.ttl_ms == options.ttl_ms;
    if (rc == LOAM_OK && !is_same) rc = alter_locked(db, coll, &options);
    mutex_unlock(&db->changes);
    return rc;
}

/* ---- renaming, dropping ---------------------------------------------------------------------- */

/* The collection that is to be changed; "default" cannot be. */
static loam_status changeable(loam_db *db, const char *name, const char *verb, loam_coll **out)
{
    loam_status rc = db_check(db);
    if (rc == LOAM_OK) rc = check_name(name);
    if (rc == LOAM_OK) rc = db_writable(db);
    if (rc < 0) return rc;
    if (strcmp(name, DEFAULT_NAME) == 0)
        return failed(LOAM_INVALID, "\"default\" cannot be %s", verb);
    mutex_lock(&db->names);
    loam_coll *coll = coll_by_name(db, name);
    mutex_unlock(&db->names);
    if (coll == NULL) return LOAM_NOTFOUND;
    *out = coll;
    return LOAM_OK;
}

static loam_status rename_locked(loam_db *db, loam_coll *coll, const char *to)
{
    struct edit edit = {0};
    char *name = coll_copy_name(to);
    const struct change change = {
        .tag = CHANGE_COLL_RENAME, .coll = coll->id, .name = loam_str(to)};
    loam_status rc = name == NULL ? LOAM_NOMEM : edit_add(&edit, &change);
    const uint64_t named_seq = coll_doubt_name(coll, UINT64_MAX);
    mutex_lock(&db->manifest_lock);
    if (rc == LOAM_OK) rc = commit_edit(db, &edit);
    mutex_unlock(&db->manifest_lock);
    if (rc == LOAM_OK) {
        coll_show_name(coll, name, commit_last_seq(db));
        name = NULL;
    } else {
        (void)coll_doubt_name(coll, named_seq);
    }
    mem_free(name);
    edit_deinit(&edit);
    return rc;
}

loam_status loam_rename(loam_db *db, const char *from, const char *to)
{
    loam_coll *coll = NULL, *taken;
    loam_status rc = check_name(to);
    if (rc < 0) return rc;
    rc = db_check(db);
    if (rc < 0) return rc;
    mutex_lock(&db->changes);
    rc = changeable(db, from, "renamed", &coll);
    if (rc == LOAM_OK) {
        mutex_lock(&db->names);
        taken = coll_by_name(db, to);
        mutex_unlock(&db->names);
        if (taken == coll)
            rc = LOAM_OK; /* it has that name */
        else
            rc = taken != NULL ? LOAM_EXISTS : rename_locked(db, coll, to);
    }
    mutex_unlock(&db->changes);
    return rc;
}

/* Its memtables and tables go as soon as no iterator holds them. */
static void empty_view(loam_coll *coll, struct view *spare, struct version *empty)
{
    const uint32_t all = atomic_load(&coll->memrun_count);
    view_install(coll, spare, empty, all);
}

/* Out of reach for later commits from the moment of logging. */
static void forget_dropped(void *ctx, uint64_t seq, const struct catalog_stage *stage)
{
    (void)seq, (void)stage;
    coll_forget(ctx);
}

static loam_status drop_locked(loam_db *db, loam_coll *coll)
{
    struct edit edit = {0};
    const struct coll_change drop = {.edit = &edit, .show = forget_dropped, .ctx = coll};
    const struct change change = {.tag = CHANGE_COLL_DROP, .coll = coll->id};
    struct view *spare = view_spare();
    struct version *empty = version_new();
    loam_status rc = spare == NULL || empty == NULL ? LOAM_NOMEM : edit_add(&edit, &change);
    mutex_lock(&db->manifest_lock); /* a flush that is installing has ended or will see it */
    if (rc == LOAM_OK) rc = coll_change_commit(db, &drop);
    if (rc == LOAM_OK) {
        mutex_lock(&db->lane); /* flush walks the list of dirty collections under it */
        empty_view(coll, spare, empty);
        mutex_unlock(&db->lane);
        spare = NULL;
    }
    mutex_unlock(&db->manifest_lock);
    if (rc == LOAM_OK) jobs_want_flush(db); /* the log may be free now */
    mem_free(spare);
    version_unref(empty);
    edit_deinit(&edit);
    return rc;
}

loam_status loam_drop(loam_db *db, const char *name)
{
    loam_coll *coll = NULL;
    loam_status rc = db_check(db);
    if (rc < 0) return rc;
    mutex_lock(&db->changes);
    rc = changeable(db, name, "dropped", &coll);
    if (coll != NULL) rc = drop_locked(db, coll);
    mutex_unlock(&db->changes);
    return rc;
}
