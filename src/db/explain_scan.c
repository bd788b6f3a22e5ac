/*
 * explain_scan.c - how the rows of a range came together, told afterwards; see loam_inspect.h.
 *
 *   dbiter -> merge -> scan_input -> memtable's iterator
 *                   -> scan_input -> run's iterator -> table's iterators, which count pages (record/watch.h)
 *
 * Role: walks a public iterator over whose inputs something is put that passes everything on and counts what is taken.
 * Invariants: an entry counts for its input when the merge, which has shown it, leaves it: then it was passed over as a whole, and the one
 *   before it, of whatever input, says whether it is an older version of the same key.
 * In the picture: db layer, beside dbiter.c.
 */
#include "base/mem.h"
#include "base/status.h"
#include "db/explain.h"

#include "base/poison.h"

struct scan_counts {
    uint64_t entries, values, tombstones, operands, old_versions, newer, expired;
};

struct scan_input {
    struct iter iter; /* first */
    struct iter *input;
    struct scan_telling *telling;
    struct scan_input
        *next; /* in the order in which they were opened: memtables, then runs, newest first */
    const struct memtable *memtable;
    const struct run *run;
    struct tally tally;
    struct scan_counts counts;
    uint64_t seeks, ns;
};

struct scan_telling {
    struct dbiter_watch watch; /* first */
    struct findings findings;
    loam_db *db;
    struct dbiter_place at;
    struct scan_input *inputs, **last;
    loam_buf passed; /* the key of the entry that was left last */
    bool has_passed;
    loam_status failure; /* to remember it */
};

static struct scan_input *scan_input_of(struct iter *iter)
{
    return (struct scan_input *)iter;
}

static void count_kind(const struct scan_telling *telling, struct scan_counts *counts,
                       const struct entry *at)
{
    if (at->kind == ENTRY_DELETE)
        counts->tombstones++;
    else if (at->kind == ENTRY_MERGE)
        counts->operands++;
    else if (!entry_shows(at, telling->at.clock->ms))
        counts->expired++;
    else
        counts->values++;
}

/* The entry goes by. */
static void pass(struct scan_telling *telling, struct scan_counts *counts, const struct entry *at)
{
    counts->entries++;
    if (at->seq > telling->at.seq) {
        counts->newer++;
        return;
    }
    if (telling->has_passed &&
        bytes_equal(at->key, loam_bytes(telling->passed.data, telling->passed.len))) {
        counts->old_versions++;
        return;
    }
    count_kind(telling, counts, at);
    const loam_status rc = buf_set(&telling->passed, at->key.data, at->key.len);
    if (rc < 0) telling->failure = rc;
    telling->has_passed = rc == LOAM_OK;
}

/* Is what the input holds what the merge of all shows? */
static bool is_foremost(const struct scan_input *it)
{
    return it->iter.at != NULL && it->iter.at == it->telling->at.inner->at;
}

static loam_status show_passed_on(struct scan_input *it, loam_status rc)
{
    it->iter.at =
        rc == LOAM_OK ? it->input->at : NULL; /* is_foremost() looks at it afterwards too */
    it->iter.keeps = it->input->keeps;
    return rc;
}

static loam_status scan_input_next(struct iter *iter)
{
    struct scan_input *it = scan_input_of(iter);
    pass(it->telling, &it->counts, it->iter.at);
    return show_passed_on(it, it->input->ops->next(it->input));
}

static loam_status scan_input_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    struct scan_input *it = scan_input_of(iter);
    if (is_foremost(it)) pass(it->telling, &it->counts, it->iter.at);
    const uint64_t since = db_now_ns(it->telling->db);
    const loam_status rc = it->input->ops->seek(it->input, key, seq);
    it->ns += db_now_ns(it->telling->db) - since;
    it->seeks++;
    return show_passed_on(it, rc);
}

/* Nobody goes backward here, or to an end. */
static loam_status scan_input_never(struct iter *iter)
{
    (void)iter;
    return failed(LOAM_MISUSE, "an explained scan goes forward");
}

static loam_status scan_input_never_seek(struct iter *iter, loam_slice key, uint64_t seq)
{
    (void)key, (void)seq;
    return scan_input_never(iter);
}

static void scan_input_close(struct iter *iter)
{
    struct scan_input *it = scan_input_of(iter);
    iter_close(it->input); /* what was counted is told after that */
}

static loam_status put_around(struct dbiter_watch *watch, const struct memtable *memtable,
                              const struct run *run, struct iter **input)
{
    static const struct iter_ops ops = {.first = scan_input_never,
                                        .last = scan_input_never,
                                        .seek = scan_input_seek,
                                        .seek_back = scan_input_never_seek,
                                        .next = scan_input_next,
                                        .prev = scan_input_never,
                                        .close = scan_input_close};
    struct scan_telling *telling = (struct scan_telling *)watch;
    struct scan_input *it = mem_zalloc(sizeof *it);
    if (it == NULL) {
        iter_close(*input);
        *input = NULL;
        return LOAM_NOMEM;
    }
    *it = (struct scan_input){
        .iter.ops = &ops, .input = *input, .telling = telling, .memtable = memtable, .run = run};
    if (run != NULL) run_iter_count(*input, &it->tally);
    *telling->last = it;
    telling->last = &it->next;
    *input = &it->iter;
    return LOAM_OK;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void facts_of_counts(struct findings *findings, const struct scan_input *input)
{
    const struct scan_counts *counts = &input->counts;
    fact_count(findings, "taken", counts->entries);
    fact_count(findings, "values", counts->values);
    fact_count(findings, "tombstones", counts->tombstones);
    fact_count(findings, "operands", counts->operands);
    fact_count(findings, "old_versions", counts->old_versions);
    fact_count(findings, "newer", counts->newer);
    fact_count(findings, "expired", counts->expired);
    fact_count(findings, "seeks", input->seeks);
    fact_number(findings, "seek_ns", LOAM_FACT_NS, input->ns);
}

static void facts_of_tally(struct findings *findings, const struct run *run,
                           const struct tally *tally)
{
    const uint64_t touched = tally->tables_opened + tally->tables_hidden;
    fact_count(findings, "tables", run->table_count);
    fact_count(findings, "tables_opened", tally->tables_opened);
    fact_count(findings, "tables_hidden", tally->tables_hidden);
    fact_count(findings, "tables_outside",
               run->table_count > touched ? run->table_count - touched : 0);
    fact_count(findings, "pages_cached", tally->cached_pages);
    fact_count(findings, "pages_read", tally->read_pages);
    fact_count(findings, "extents", tally->extents);
    fact_number(findings, "page_bytes", LOAM_FACT_SIZE, tally->page_bytes);
}

static uint32_t level_of(const struct version *version, uint64_t run_number)
{
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        for (uint32_t i = 0; i < version->levels[level].run_count; i++)
            if (version->levels[level].runs[i]->number == run_number) return level;
    return LEVEL_COUNT;
}

static void tell_input(struct scan_telling *telling, const struct scan_input *input)
{
    const struct view *view = telling->at.view;
    struct findings *findings = &telling->findings;
    finding_begin(findings, input->run != NULL ? "run" : "memtable", 1);
    if (input->run != NULL)
        facts_of_run(findings, level_of(view->version, input->run->number), input->run);
    else
        facts_of_memtable(findings, view, input->memtable);
    facts_of_counts(findings, input);
    if (input->run != NULL) facts_of_tally(findings, input->run, &input->tally);
    finding_send(findings);
}

struct scan_sums {
    uint64_t rows, key_bytes, value_bytes, open_ns, seek_ns, walk_ns;
};

static void tell_scan(struct scan_telling *telling, loam_coll *coll, const struct scan_sums *sums,
                      loam_status rc)
{
    struct findings *findings = &telling->findings;
    char name[COLL_NAME_ROOM];
    uint64_t taken = 0;
    finding_begin(findings, "scan", 0);
    fact_coll(findings, coll, name);
    fact_count(findings, "sequence", telling->at.seq);
    fact_count(findings, "memtables", telling->at.view->memrun_count);
    fact_count(findings, "runs", version_run_count(telling->at.view->version));
    finding_send(findings);
    for (const struct scan_input *input = telling->inputs; input != NULL; input = input->next) {
        tell_input(telling, input);
        taken += input->counts.entries;
    }
    finding_begin(findings, "answer", 1);
    fact_text(findings, "status", loam_status_name(rc));
    fact_count(findings, "rows", sums->rows);
    fact_count(findings, "taken", taken);
    fact_number(findings, "key_bytes", LOAM_FACT_SIZE, sums->key_bytes);
    fact_number(findings, "value_bytes", LOAM_FACT_SIZE, sums->value_bytes);
    fact_number(findings, "open_ns", LOAM_FACT_NS, sums->open_ns);
    fact_number(findings, "seek_ns", LOAM_FACT_NS, sums->seek_ns);
    fact_number(findings, "walk_ns", LOAM_FACT_NS, sums->walk_ns);
    finding_send(findings);
}

/* ---- walking --------------------------------------------------------------------------------- */

/* The entry under the iterator is not left any more. */
static void pass_last(struct scan_telling *telling)
{
    struct scan_input *input = telling->inputs;
    while (input != NULL && !is_foremost(input))
        input = input->next;
    if (input != NULL) pass(telling, &input->counts, input->iter.at);
}

static loam_status walk(struct scan_telling *telling, loam_iter *it, uint64_t limit,
                        struct scan_sums *sums)
{
    struct stopwatch clock = {.db = telling->db};
    stopwatch_go(&clock);
    loam_status rc = loam_iter_next(it);
    sums->seek_ns = stopwatch_lap(&clock);
    while (rc == LOAM_OK) {
        sums->rows++;
        sums->key_bytes += loam_iter_key(it).len;
        sums->value_bytes += loam_iter_value(it).len;
        if (sums->rows == limit) {
            pass_last(telling);
            break;
        }
        rc = loam_iter_next(it);
    }
    sums->walk_ns = stopwatch_lap(&clock);
    return rc == LOAM_NOTFOUND ? telling->failure : rc;
}

static void free_inputs_of(struct scan_telling *telling)
{
    while (telling->inputs != NULL) {
        struct scan_input *next = telling->inputs->next;
        mem_free(telling->inputs);
        telling->inputs = next;
    }
    loam_buf_free(&telling->passed);
}

loam_status loam_explain_scan(loam_db *db, loam_coll *coll, const loam_range *range, uint64_t limit,
                              loam_found found, void *ctx)
{
    struct scan_telling telling = {.watch.around = put_around, .db = db};
    struct scan_sums sums = {0};
    struct stopwatch clock = {.db = db};
    struct failure why;
    loam_iter *it = NULL;
    telling.last = &telling.inputs;
    loam_status rc = findings_init(&telling.findings, found, ctx);
    if (rc == LOAM_OK) rc = db_check_coll(db, &coll);
    if (rc < 0) return rc;
    stopwatch_go(&clock);
    rc = dbiter_open(db, coll, range, NULL, &telling.watch, &it);
    sums.open_ns = stopwatch_lap(&clock);
    if (rc == LOAM_OK) {
        telling.at = dbiter_place(it);
        rc = walk(&telling, it, limit, &sums);
        failure_save(&why);
        tell_scan(&telling, coll, &sums, rc); /* what was found until then, too */
        loam_iter_close(it);
        if (rc < 0) failure_restore(&why);
    }
    free_inputs_of(&telling);
    if (rc >= 0) rc = findings_rc(&telling.findings);
    return rc;
}
