/*
 * explain.c - how a get went, told while it goes; see loam_inspect.h.
 *
 * Role: listens to the watch of record/watch.h. The pages of a run are told below it, so they are kept until that is done.
 * Invariants: (1) the read is that of loam_get(): here is nothing that finds, only what tells. (2) The view is held by a count and not in an
 *   epoch: found() may take its time.
 * In the picture: db layer, beside read.c.
 */
#include "db/explain.h"

#include "base/hash.h"
#include "base/status.h"
#include "db/merges.h"

#include "base/poison.h"

enum { PAGES_TOLD = 16 }; /* of one run; hardly ever more than one is read */

struct page_visit {
    uint64_t number, bytes, ns;
    bool is_cached, is_extent, is_found;
};

struct get_telling {
    struct watch watch; /* first */
    struct findings findings;
    struct stopwatch clock;
    const struct view *view;
    struct run_visit { /* of the run that is being asked */
        enum watch_filter filter;
        uint64_t filter_ns;
        uint32_t page_count;
        struct page_visit pages[PAGES_TOLD];
    } visit;
    struct last_found {
        uint8_t kind; /* 0: nothing */
        bool is_range;
    } last;
    uint64_t covered; /* a deletion of a range hides what the tables hold of the key up to this */
    uint64_t memtables_asked, runs_asked, filters_no, false_positives, pages_cached, pages_read,
        operands;
};

static const char *const filter_words[] = {
    [FILTER_NONE] = "none", [FILTER_DENIES] = "no", [FILTER_PASSES] = "maybe"};

static const char *outcome_of(const struct entry *found, bool is_range)
{
    if (found == NULL) return "absent";
    if (is_range) return "range_deletion";
    if (found->kind == ENTRY_DELETE) return "tombstone";
    return found->kind == ENTRY_MERGE ? "operand" : "value";
}

static void send_step(struct get_telling *telling)
{
    finding_send(&telling->findings);
    stopwatch_go(&telling->clock);
}

static void fact_entry(struct findings *findings, const struct entry *entry)
{
    if (entry == NULL) return;
    fact_count(findings, "sequence", entry->seq);
    if (entry->kind == ENTRY_PUT_EXPIRING)
        fact_number(findings, "expires_ms", LOAM_FACT_TIME_MS, entry_expires_ms(entry));
}

static void note_found(struct get_telling *telling, const struct watch_step *step)
{
    if (step->found == NULL || step->found->seq <= telling->covered) return;
    telling->last = (struct last_found){step->found->kind, step->is_range};
    telling->covered = 0; /* another look is another question */
    telling->operands += step->found->kind == ENTRY_MERGE;
}

static void tell_memtable(struct get_telling *telling, const struct watch_step *step)
{
    struct findings *findings = &telling->findings;
    const uint64_t ns = stopwatch_lap(&telling->clock);
    telling->memtables_asked++;
    note_found(telling, step);
    finding_begin(findings, "memtable", 1);
    facts_of_memtable(findings, telling->view, step->of);
    fact_text(findings, "filter", filter_words[step->filter]);
    fact_text(findings, "outcome", outcome_of(step->found, step->is_range));
    fact_entry(findings, step->found);
    fact_number(findings, "ns", LOAM_FACT_NS, ns);
    send_step(telling);
}

static void note_page(struct get_telling *telling, const struct watch_step *step)
{
    struct run_visit *visit = &telling->visit;
    const uint64_t ns = stopwatch_lap(&telling->clock);
    if (step->is_cached)
        telling->pages_cached++;
    else
        telling->pages_read++;
    if (visit->page_count++ < PAGES_TOLD)
        visit->pages[visit->page_count - 1] = (struct page_visit){
            step->number, step->bytes, ns, step->is_cached, step->is_extent, step->found != NULL};
    stopwatch_go(&telling->clock);
}

static void tell_page_visit(struct get_telling *telling, const struct page_visit *page)
{
    struct findings *findings = &telling->findings;
    finding_begin(findings, "page", 2);
    fact_count(findings, "page", page->number);
    fact_text(findings, "from", page->is_cached ? "cache" : "disk");
    fact_number(findings, "bytes", LOAM_FACT_SIZE, page->bytes);
    fact_number(findings, "extent", LOAM_FACT_FLAG, page->is_extent);
    fact_text(findings, "outcome", page->is_found ? "found" : "absent");
    fact_number(findings, "ns", LOAM_FACT_NS, page->ns);
    finding_send(findings);
}

static const char *outcome_in_run(const struct get_telling *telling, const struct watch_step *step)
{
    static const char *const skips[] = {
        [SKIP_DELETED] = "deleted", [SKIP_NEWER] = "newer", [SKIP_OUTSIDE] = "outside"};
    if (step->skip != SKIP_NOT) return skips[step->skip];
    if (step->found != NULL && step->found->seq <= telling->covered) return "deleted";
    if (step->found == NULL && telling->visit.filter == FILTER_PASSES) return "false_positive";
    return outcome_of(step->found, false);
}

static void tell_run_visit(struct get_telling *telling, const struct watch_step *step)
{
    struct findings *findings = &telling->findings;
    struct run_visit *visit = &telling->visit;
    struct table_words words;
    uint64_t ns = stopwatch_lap(&telling->clock) + visit->filter_ns;
    for (uint32_t i = 0; i < visit->page_count && i < PAGES_TOLD; i++)
        ns += visit->pages[i].ns;
    finding_begin(findings, "run", 1);
    facts_of_run(findings, step->level, step->of);
    if (step->table != NULL) {
        facts_of_table(findings, step->table, &words);
        fact_text(findings, "filter", filter_words[visit->filter]);
        fact_count(findings, "pages", visit->page_count);
        telling->runs_asked++;
        telling->filters_no += visit->filter == FILTER_DENIES;
        telling->false_positives += visit->filter == FILTER_PASSES && step->found == NULL;
    }
    fact_text(findings, "outcome", outcome_in_run(telling, step));
    fact_entry(findings, step->found);
    note_found(telling, step);
    fact_number(findings, "ns", LOAM_FACT_NS, ns);
    finding_send(findings);
    for (uint32_t i = 0; i < visit->page_count && i < PAGES_TOLD; i++)
        tell_page_visit(telling, &visit->pages[i]);
    *visit = (struct run_visit){.page_count = 0};
    stopwatch_go(&telling->clock);
}

static void tell_get(struct watch *watch, const struct watch_step *step)
{
    struct get_telling *telling = (struct get_telling *)watch;
    struct findings *findings = &telling->findings;
    switch (step->kind) {
    case WATCH_MEMTABLE:
        tell_memtable(telling, step);
        break;
    case WATCH_RANGE:
        telling->last = (struct last_found){ENTRY_DELETE, true};
        telling->covered = step->number;
        finding_begin(findings, "range_deletion", 1);
        fact_count(findings, "sequence", step->number);
        fact_number(findings, "ns", LOAM_FACT_NS, stopwatch_lap(&telling->clock));
        send_step(telling);
        break;
    case WATCH_FILTER:
        telling->visit.filter = step->filter;
        telling->visit.filter_ns = stopwatch_lap(&telling->clock);
        break;
    case WATCH_PAGE:
        note_page(telling, step);
        break;
    case WATCH_RUN:
        tell_run_visit(telling, step);
        break;
    case WATCH_VERSION:
        finding_begin(findings, "operand", 1);
        fact_text(findings, "joins", outcome_of(step->found, false));
        fact_entry(findings, step->found);
        fact_number(findings, "bytes", LOAM_FACT_SIZE, step->found->value.len);
        fact_number(findings, "ns", LOAM_FACT_NS, stopwatch_lap(&telling->clock));
        send_step(telling);
        break;
    }
}

static const char *why_not_there(const struct get_telling *telling)
{
    if (telling->last.is_range) return "a deletion of a range holds the key";
    switch (telling->last.kind) {
    case ENTRY_DELETE:
        return "it was deleted";
    case ENTRY_PUT_EXPIRING:
        return "it has expired";
    default:
        return "no memtable and no table holds it";
    }
}

static void tell_answer(struct get_telling *telling, loam_status rc, const loam_lookup *lookup)
{
    struct findings *findings = &telling->findings;
    (void)stopwatch_lap(&telling->clock);
    finding_begin(findings, "answer", 1);
    fact_text(findings, "status", loam_status_name(rc));
    if (rc == LOAM_NOTFOUND) fact_text(findings, "why", why_not_there(telling));
    if (rc == LOAM_OK) {
        fact_count(findings, "sequence", lookup->seq);
        if (lookup->expires_ms > 0)
            fact_number(findings, "expires_ms", LOAM_FACT_TIME_MS, lookup->expires_ms);
        fact_number(findings, "value_bytes", LOAM_FACT_SIZE, lookup->value.len);
        fact_bytes(findings, "value", LOAM_FACT_DATA,
                   loam_bytes(lookup->value.data, lookup->value.len));
    }
    fact_count(findings, "memtables_asked", telling->memtables_asked);
    fact_count(findings, "runs_asked", telling->runs_asked);
    fact_count(findings, "filters_no", telling->filters_no);
    fact_count(findings, "false_positives", telling->false_positives);
    fact_count(findings, "pages_cached", telling->pages_cached);
    fact_count(findings, "pages_read", telling->pages_read);
    fact_count(findings, "operands", telling->operands);
    fact_number(findings, "ns", LOAM_FACT_NS, telling->clock.spent_ns);
    finding_send(findings);
}

static void tell_question(struct get_telling *telling, loam_coll *coll, loam_slice key,
                          const struct merge_source *source)
{
    struct findings *findings = &telling->findings;
    char name[COLL_NAME_ROOM];
    finding_begin(findings, "get", 0);
    fact_coll(findings, coll, name);
    fact_bytes(findings, "key", LOAM_FACT_DATA, key);
    fact_count(findings, "sequence", source->seq);
    fact_count(findings, "memtables", telling->view->memrun_count);
    fact_count(findings, "runs", version_run_count(telling->view->version));
    finding_send(findings);
}

loam_status loam_explain_get(loam_db *db, loam_coll *coll, const loam_snapshot *snap,
                             loam_slice key, loam_found found, void *ctx)
{
    struct get_telling telling = {.watch.tell = tell_get, .clock.db = db};
    loam_lookup lookup = {.seq = 0};
    loam_status rc = findings_init(&telling.findings, found, ctx);
    if (rc == LOAM_OK) rc = read_check(db, &coll, snap);
    if (rc < 0) return rc;
    struct view *view = view_acquire(coll);
    struct reader_clock clock = {db, snap != NULL ? snap->clock_ms : 0};
    const struct merge_source source = {.coll = coll,
                                        .view = view,
                                        .seq = snap != NULL ? snap->seq : atomic_load(&db->visible),
                                        .clock = &clock,
                                        .watch = &telling.watch};
    telling.view = view;
    rc = db_check_there(coll);
    if (rc == LOAM_OK) rc = read_check_key(key);
    if (rc >= 0) {
        tell_question(&telling, coll, key, &source);
        stopwatch_go(&telling.clock);
    }
    if (rc == LOAM_OK) rc = read_watched(&source, key, &lookup);
    if (rc >= 0) tell_answer(&telling, rc, &lookup);
    if (rc >= 0 && findings_rc(&telling.findings) != LOAM_OK) rc = LOAM_CONFLICT;
    loam_buf_free(&lookup.value);
    view_unref(view);
    return rc;
}
