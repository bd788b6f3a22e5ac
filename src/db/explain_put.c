/*
 * explain_put.c - does a put and tells what it took, and what it will cost; see loam_inspect.h.
 *
 * Role: the put is that of write.c, which leaves a trace of its times and places; the rest is read off afterwards.
 * In the picture: db layer, beside write.c.
 */
#include "base/status.h"
#include "db/explain.h"

#include "base/poison.h"

struct put_telling {
    struct findings findings;
    struct commit_trace trace;
    uint64_t begun_ns, done_ns, seq;
};

static void tell_throttle(struct put_telling *telling, loam_coll *coll)
{
    struct findings *findings = &telling->findings;
    struct view *view = view_acquire(coll);
    const struct pick_policy policy = compact_policy(coll->db);
    finding_begin(findings, "throttle", 1);
    fact_number(findings, "debt_bytes", LOAM_FACT_SIZE, pick_debt_bytes(view->version, &policy));
    fact_number(findings, "delay_per_kib_ns", LOAM_FACT_NS,
                atomic_load_explicit(&coll->delay_ns, memory_order_relaxed));
    fact_number(findings, "ns", LOAM_FACT_NS, telling->trace.throttled_ns);
    finding_send(findings);
    view_unref(view);
}

static void tell_log_and_memtable(struct put_telling *telling, const struct loam_coll *coll,
                                  const struct view *view)
{
    struct findings *findings = &telling->findings;
    const struct commit_trace *trace = &telling->trace;
    uint32_t at = 0;
    finding_begin(findings, "log", 1);
    fact_count(findings, "sequence", telling->seq);
    fact_count(findings, "position", trace->from);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, trace->end - trace->from);
    if (trace->wait != NULL) fact_text(findings, "waited_for", trace->wait);
    fact_number(findings, "ns", LOAM_FACT_NS,
                trace->logged_ns - telling->begun_ns - trace->throttled_ns);
    finding_send(findings);
    while (at < view->memrun_count &&
           memtable_stats(view->memruns[at]->memtable).seq_min > telling->seq)
        at++;
    if (at == view->memrun_count) return; /* flushed already */
    const uint64_t full = coll->db->options.memtable_bytes;
    const uint64_t bytes = memtable_bytes(view->memruns[at]->memtable);
    finding_begin(findings, "memtable", 1);
    facts_of_memtable(findings, view, view->memruns[at]->memtable);
    fact_number(findings, "bytes", LOAM_FACT_SIZE, bytes);
    fact_number(findings, "full_bytes", LOAM_FACT_SIZE, full);
    fact_count(findings, "percent_full", bytes * 100 / full);
    finding_send(findings);
}

static void tell_durability(struct put_telling *telling, const loam_db *db)
{
    static const char *const names[] = {[LOAM_DURABLE_COMMIT] = "commit",
                                        [LOAM_DURABLE_PERIODIC] = "periodic",
                                        [LOAM_DURABLE_PROCESS] = "process"};
    struct findings *findings = &telling->findings;
    finding_begin(findings, "durability", 1);
    fact_text(findings, "durability", names[db->options.durability]);
    fact_number(findings, "survives_kill", LOAM_FACT_FLAG, true);
    fact_number(findings, "survives_power_loss", LOAM_FACT_FLAG,
                wal_synced(db->wal) >= telling->trace.end);
    fact_number(findings, "ns", LOAM_FACT_NS, telling->done_ns - telling->trace.logged_ns);
    finding_send(findings);
}

/* The log and a flush write it once each; then a join each, and one merge into the last level, with what that rewrites besides. */
static void tell_later(struct put_telling *telling, const loam_coll *coll, const struct view *view)
{
    struct findings *findings = &telling->findings;
    const struct pick_policy policy = compact_policy(coll->db);
    const struct pick_path path =
        pick_path_down(view->version, &policy, coll->db->options.memtable_bytes);
    const double times = 3 + path.joins + path.last_per_byte;
    finding_begin(findings, "later", 1);
    fact_count(findings, "flushes", 1);
    fact_count(findings, "joins", path.joins);
    fact_count(findings, "merges_into_last", 1);
    fact_count(findings, "times_written", (uint64_t)(times + 0.5));
    finding_send(findings);
}

static void tell_put(struct put_telling *telling, loam_coll *coll, loam_slice key, loam_slice value)
{
    struct findings *findings = &telling->findings;
    char name[COLL_NAME_ROOM];
    finding_begin(findings, "put", 0);
    fact_coll(findings, coll, name);
    fact_bytes(findings, "key", LOAM_FACT_DATA, key);
    fact_number(findings, "value_bytes", LOAM_FACT_SIZE, value.len);
    finding_send(findings);
    tell_throttle(telling, coll);
    struct view *view = view_acquire(coll);
    tell_log_and_memtable(telling, coll, view);
    tell_durability(telling, coll->db);
    tell_later(telling, coll, view);
    view_unref(view);
    finding_begin(findings, "answer", 1);
    fact_text(findings, "status", loam_status_name(LOAM_OK));
    fact_count(findings, "sequence", telling->seq);
    fact_number(findings, "ns", LOAM_FACT_NS, telling->done_ns - telling->begun_ns);
    finding_send(findings);
}

loam_status loam_explain_put(loam_db *db, loam_coll *coll, loam_slice key, loam_slice value,
                             loam_found found, void *ctx)
{
    struct put_telling telling = {.seq = 0};
    const struct commit_wish wish = {.seq = &telling.seq, .trace = &telling.trace};
    struct entry entry = {.key = key, .value = value, .kind = ENTRY_PUT};
    loam_status rc = findings_init(&telling.findings, found, ctx);
    if (rc == LOAM_OK) rc = db_check_coll(db, &coll);
    if (rc < 0) return rc;
    telling.begun_ns = db_now_ns(db);
    rc = write_entry(db, coll, &entry, TTL_OF_COLL, &wish);
    if (rc < 0) return rc;
    telling.done_ns = db_now_ns(db);
    tell_put(&telling, coll, key, value);
    return findings_rc(&telling.findings);
}
