/*
 * repair_log.c - the log's part in a repair; see repair.h.
 */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/status.h"
#include "db/repair.h"
#include "record/batch.h"

#include "base/poison.h"

loam_status repair_open_log(struct repair *repair)
{
    const struct wal_clues clues =
        salvage_clues(&repair->facts, repair->store, repair->has_root ? &repair->root : NULL);
    return wal_salvage_new(&clues, &repair->log);
}

/* ---- what collections there are, and what is missing ------------------------------------------- */

struct log_survey {
    struct repair *repair;
    uint64_t expected_seq; /* 0: not known */
    bool in_hole;
};

/* A segment is deleted only when the manifest has passed it: one that is gone was lost, or the manifest was put back to what it
   was before. Then it does not name all tables. */
static void doubt_manifest(struct repair *repair)
{
    struct salvage_facts *facts = &repair->facts;
    char name[OBJECT_NAME_BYTES];
    if (!facts->has_manifest || !facts->is_whole) return;
    facts->is_whole = false;
    repair->is_lossy = true;
    object_name_make(OBJECT_MANIFEST, facts->manifest, name);
    repair_say(
        repair,
        "%s: byte 0: does not fit the log, of which it asks for a segment that is gone: it may "
        "be an older one, so tables that it does not name are taken too",
        name);
}

static void meet_log_hole(void *ctx, const struct wal_hole *hole)
{
    struct log_survey *survey = ctx;
    struct repair *repair = survey->repair;
    repair->log_seq = 0;
    if (hole->text == NULL) { /* of what is not needed any more */
        survey->expected_seq = 0;
        return;
    }
    survey->in_hole |= hole->bytes > 0;
    repair->stats.lost_bytes += hole->bytes;
    repair_say(repair, "%s", hole->text);
    if (hole->misses_file) doubt_manifest(repair);
}

/* Sequence numbers go up by one: what is not there is known. */
static void check_seq(struct log_survey *survey, const struct wal_commit *commit)
{
    struct repair *repair = survey->repair;
    const uint64_t expected = survey->expected_seq;
    if (repair->log_seq == 0) repair->log_seq = commit->seq;
    if (expected == 0) {
        repair->is_lossy |= survey->in_hole;
        repair->has_endless_hole |= survey->in_hole; /* how much was in it nobody knows */
    } else if (commit->seq > expected) {
        const uint64_t missing = commit->seq - expected;
        repair->is_lossy = true;
        repair->log_seq = commit->seq;
        repair->stats.lost_record_count += missing;
        repair_say(repair,
                   "%s: byte %" PRIu64 ": before it %" PRIu64
                   " entries or changes are lost: sequence numbers %" PRIu64 " to %" PRIu64,
                   commit->name, commit->offset, missing, expected, commit->seq - 1);
    }
    survey->in_hole = false;
}

/* Where the manifest is not whole, a table may have been merged into others since. */
static bool is_still_there(const struct repair *repair, struct object_id id)
{
    struct object *object = NULL;
    char name[OBJECT_NAME_BYTES];
    object_name_make(OBJECT_TABLES, id, name);
    const loam_status rc = object_open(repair->store, name, &object);
    object_close(object);
    return rc != LOAM_NOTFOUND;
}

/* A change of an ingest: what the manifest knows of its tables is newer. */
static loam_status survey_ingest(struct repair *repair, const struct change *change)
{
    struct salvage_facts *facts = &repair->facts;
    if (change->tag == CHANGE_TABLE_ADD &&
        (salvage_knows_table(facts, change->meta.uid) ||
         (!facts->is_whole && !is_still_there(repair, change->meta.object))))
        return LOAM_OK;
    return salvage_change(facts, change);
}

/* The log knows later changes than the manifest, and, where that is damaged, earlier ones that it has lost. */
static loam_status survey_change(struct repair *repair, const struct wal_commit *commit)
{
    struct salvage_facts *facts = &repair->facts;
    struct edit_reader reader = edit_reader_over(commit->body);
    struct change change;
    loam_status rc = edit_next(&reader, &change);
    if (rc == LOAM_TOONEW) return rc;
    if (rc != LOAM_OK) return LOAM_OK;
    const struct salvage_coll *coll = salvage_coll_find(facts, change.coll);
    const bool is_news = commit->seq > facts->change_seq ||
                         (!facts->is_whole && (coll == NULL || coll->name == NULL));
    if (!is_news && change.tag != CHANGE_COLL_DROP) return LOAM_OK;
    if (coll == NULL && change.tag == CHANGE_COLL_DROP && facts->is_whole) return LOAM_OK;
    const bool ingests = change.tag == CHANGE_INGEST;
    do
        rc = ingests ? survey_ingest(repair, &change) : salvage_coll_change(facts, &change);
    while (rc == LOAM_OK && (rc = edit_next(&reader, &change)) == LOAM_OK);
    return rc == LOAM_NOTFOUND || rc == LOAM_CORRUPT ? LOAM_OK : rc;
}

/* A collection of which there is no word was dropped, unless words are lost. */
static loam_status survey_coll(struct repair *repair, uint32_t id)
{
    struct salvage_coll *coll;
    if (repair->facts.is_whole) return LOAM_OK;
    return salvage_coll_take(&repair->facts, id, &coll);
}

static loam_status survey_commit(void *ctx, const struct wal_commit *commit)
{
    struct log_survey *survey = ctx;
    uint32_t coll_id = 0, last_id = 0;
    struct commit_body body;
    struct entry entry;
    loam_status rc = LOAM_OK;
    if (survey->expected_seq != 0 && commit->seq < survey->expected_seq) return LOAM_OK;
    check_seq(survey, commit);
    survey->expected_seq = commit->seq + 1;
    if (commit->time_ms > survey->repair->facts.time_ms)
        survey->repair->facts.time_ms = commit->time_ms;
    if (commit->kind == RECORD_CHANGE) return survey_change(survey->repair, commit);
    const bool opens =
        commit_body_open(commit->body, (commit->flags & RECORD_CALLER_INDEX) != 0, &body);
    for (uint64_t seq = commit->seq; opens && rc == LOAM_OK; seq++) {
        if (batch_next(&body.entries, &coll_id, &entry) != LOAM_OK) break;
        if (coll_id != last_id) rc = survey_coll(survey->repair, coll_id);
        last_id = coll_id;
        survey->expected_seq = seq + 1;
    }
    if (rc < 0 || (opens && body.entries.at == body.entries.end)) return rc;
    survey->repair->is_lossy = true;
    repair_say(survey->repair, "%s: byte %" PRIu64 ": its entries do not parse", commit->name,
               commit->offset);
    return LOAM_OK;
}

loam_status repair_survey_log(struct repair *repair)
{
    struct log_survey survey = {.repair = repair};
    const loam_status rc = wal_salvage_walk(repair->log, survey_commit, meet_log_hole, &survey);
    if (survey.in_hole) { /* and nothing behind it */
        repair->is_lossy = repair->has_endless_hole = true;
        repair->log_seq = UINT64_MAX;
    }
    return rc;
}

/* ---- entries ------------------------------------------------------------------------------------- */

struct log_taking {
    struct repair *repair;
    uint64_t above, upto, expected_seq;
};

/* An operand that is in tables is not taken a second time: which of them hold it already nobody could say. */
static bool log_is_wanted(const struct log_taking *taking, const struct repair_target *target,
                          const struct entry *entry)
{
    const struct repair *repair = taking->repair;
    const uint64_t seq = entry->seq;
    if (target->is_dropped) return false;
    const bool is_tabled = seq <= target->tabled_seq;
    if (taking->upto == UINT64_MAX && !is_tabled) return true;
    if (entry->kind == ENTRY_MERGE) return false;
    return is_tabled && target->has_losses && seq >= repair->log_seq && seq > taking->above &&
           seq <= taking->upto;
}

static loam_status take_log_commit(void *ctx, const struct wal_commit *commit)
{
    struct log_taking *taking = ctx;
    struct repair *repair = taking->repair;
    uint32_t coll_id = 0;
    struct commit_body body;
    struct entry entry;
    loam_status rc = LOAM_OK;
    if (commit->seq < taking->expected_seq) return LOAM_OK;
    taking->expected_seq = commit->seq + 1;
    if (commit->kind != RECORD_COMMIT ||
        !commit_body_open(commit->body, (commit->flags & RECORD_CALLER_INDEX) != 0, &body))
        return LOAM_OK;
    for (uint64_t seq = commit->seq; rc == LOAM_OK; seq++) {
        if (batch_next(&body.entries, &coll_id, &entry) != LOAM_OK) break;
        taking->expected_seq = seq + 1;
        const struct salvage_coll *coll = salvage_coll_find(&repair->facts, coll_id);
        if (coll == NULL) continue;
        const size_t target = (size_t)(coll - repair->facts.colls);
        entry.seq = seq;
        if (log_is_wanted(taking, &repair->targets[target], &entry))
            rc = repair_take(repair, target, &entry);
    }
    return rc < 0 ? rc : repair_tick(repair, commit->body.len);
}

loam_status repair_take_log(struct repair *repair, uint64_t above, uint64_t upto)
{
    struct log_taking taking = {.repair = repair, .above = above, .upto = upto};
    return wal_salvage_walk(repair->log, take_log_commit, NULL, &taking);
}
