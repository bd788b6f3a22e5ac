/* cmd_care.c - stats, flush, compact and verify; see handlers.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "shell/exit_code.h"
#include "shell/format_jsonl.h"
#include "shell/grid.h"
#include "shell/handlers.h"
#include "shell/message.h"
#include "shell/screen.h"
#include "shell/signals.h"
#include "shell/words.h"

enum figure_unit { UNIT_COUNT, UNIT_BYTES, UNIT_MS, UNIT_NS };

/* One line of stats. */
struct figure {
    const char *name; /* as in --json and in a pipe */
    const char *title;
    enum figure_unit unit;
    uint64_t number;
};

enum { FIGURES_COUNT = 29 };

static void fill_figures(struct figure figures[FIGURES_COUNT], const loam_stats *all,
                         const loam_coll_stats *here)
{
    const struct figure filled[FIGURES_COUNT] = {
        {"entry_count", "entries here, about", UNIT_COUNT, here->entry_count},
        {"bytes", "bytes here, about", UNIT_BYTES, here->bytes},
        {"disk_bytes", "on disk", UNIT_BYTES, all->disk_bytes},
        {"memtable_bytes", "memory for writes", UNIT_BYTES, all->memtable_bytes},
        {"cache_bytes", "memory for pages", UNIT_BYTES, all->cache_bytes},
        {"metadata_bytes", "memory for tables", UNIT_BYTES, all->metadata_bytes},
        {"get_count", "gets", UNIT_COUNT, all->get_count},
        {"put_count", "puts", UNIT_COUNT, all->put_count},
        {"delete_count", "deletes", UNIT_COUNT, all->delete_count},
        {"flush_count", "flushes", UNIT_COUNT, all->flush_count},
        {"compaction_count", "compactions", UNIT_COUNT, all->compaction_count},
        {"user_written_bytes", "written by users", UNIT_BYTES, all->user_written_bytes},
        {"disk_written_bytes", "written to disk", UNIT_BYTES, all->disk_written_bytes},
        {"log_written_bytes", "written to the log", UNIT_BYTES, all->log_written_bytes},
        {"compaction_debt_bytes", "compaction to be done", UNIT_BYTES, all->compaction_debt_bytes},
        {"stall_total_ms", "writers waited", UNIT_MS, all->stall_total_ms},
        {"stall_max_ms", "the longest wait", UNIT_MS, all->stall_max_ms},
        {"snapshot_oldest_ms", "age of the oldest snapshot", UNIT_MS, all->snapshot_oldest_ms},
        {"fenced", "fenced (1: read-only after a failure)", UNIT_COUNT, all->fenced != LOAM_OK},
        {"stalled", "writers wait now", UNIT_COUNT, all->stall_reason != NULL},
        {"get_p50_ns", "a get, of 64 one: median", UNIT_NS, all->get_latency.p50_ns},
        {"get_p99_ns", "  of 100 the slowest", UNIT_NS, all->get_latency.p99_ns},
        {"get_max_ns", "  of all the slowest", UNIT_NS, all->get_latency.max_ns},
        {"write_p50_ns", "a commit, of 64 one: median", UNIT_NS, all->write_latency.p50_ns},
        {"write_p99_ns", "  of 100 the slowest", UNIT_NS, all->write_latency.p99_ns},
        {"write_max_ns", "  of all the slowest", UNIT_NS, all->write_latency.max_ns},
        {"seek_p50_ns", "a seek, of 64 one: median", UNIT_NS, all->seek_latency.p50_ns},
        {"seek_p99_ns", "  of 100 the slowest", UNIT_NS, all->seek_latency.p99_ns},
        {"seek_max_ns", "  of all the slowest", UNIT_NS, all->seek_latency.max_ns},
    };
    memcpy(figures, filled, sizeof filled);
}

static void format_figure(const struct figure *figure, char text[32])
{
    char size[TEXT_SIZE_BYTES_MAX];
    switch (figure->unit) {
    case UNIT_COUNT:
        (void)snprintf(text, 32, "%" PRIu64, figure->number);
        break;
    case UNIT_BYTES:
        (void)snprintf(text, 32, "%s", text_format_size(size, figure->number));
        break;
    case UNIT_MS:
        (void)snprintf(text, 32, "%" PRIu64 " ms", figure->number);
        break;
    case UNIT_NS:
        (void)snprintf(text, 32, "%.1f us", (double)figure->number / 1000);
        break;
    }
}

static void print_stats_json(struct session *session, const struct figure *figures,
                             const loam_stats *all)
{
    struct sink *out = &session->out;
    sink_byte(out, '{');
    json_write_field(out, "collection", loam_str(session->coll_name));
    for (size_t i = 0; i < FIGURES_COUNT; i++)
        sink_printf(out, ",\"%s\":%" PRIu64, figures[i].name, figures[i].number);
    if (all->stall_reason != NULL) {
        sink_byte(out, ',');
        json_write_field(out, "stall_reason", loam_str(all->stall_reason));
    }
    if (all->fenced != LOAM_OK) {
        sink_byte(out, ',');
        json_write_field(out, "fenced_by", loam_str(loam_status_name(all->fenced)));
    }
    sink_text(out, "}\n");
}

static void print_stats_grid(struct session *session, const struct figure *figures,
                             const loam_stats *all)
{
    static const char *const titles[] = {"what", "how much"};
    const size_t columns = session_columns(session);
    struct grid grid;
    grid_init(&grid, titles, "lr");
    for (size_t i = 0; i < FIGURES_COUNT; i++) {
        char text[32];
        format_figure(&figures[i], text);
        grid_add(&grid, columns > 0 ? figures[i].title : figures[i].name);
        if (columns > 0)
            grid_add(&grid, text);
        else
            grid_add_number(&grid, figures[i].number);
    }
    grid_print(&grid, &session->out, columns, session_colour(session));
    grid_deinit(&grid);
    if (all->stall_reason != NULL) complain("writers wait: %s", all->stall_reason);
    if (all->fenced != LOAM_OK)
        complain("read-only since %s; reopen the store", loam_status_name(all->fenced));
}

int cmd_stats(struct session *session, const struct args *args)
{
    loam_stats all = {.struct_size = sizeof all};
    loam_coll_stats here = {.struct_size = sizeof here};
    loam_status rc = loam_stats_get(session->db, &all);
    if (rc == LOAM_OK) rc = loam_coll_stats_get(session->db, session->coll, &here);
    if (rc != LOAM_OK) return complain_status(rc);
    struct figure figures[FIGURES_COUNT];
    fill_figures(figures, &all, &here);
    if (session->json || args_have(args, OPTION_JSON))
        print_stats_json(session, figures, &all);
    else
        print_stats_grid(session, figures, &all);
    return CODE_DONE;
}

int cmd_flush(struct session *session, const struct args *args)
{
    (void)args;
    const loam_status rc = loam_flush(session->db, session->coll);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

int cmd_compact(struct session *session, const struct args *args)
{
    (void)args;
    const loam_status rc = loam_compact(session->db, session->coll, NULL);
    if (rc != LOAM_OK) return complain_status(rc);
    session_say(session, "OK");
    return CODE_DONE;
}

struct fault_lines {
    struct session *session;
    uint64_t count;
};

/* What a line says of a file that is no part of the store is no fault; see loam.h. */
static void print_fault(void *ctx, const char *text)
{
    struct fault_lines *faults = ctx;
    if (strstr(text, ": no fault: ") == NULL) faults->count++;
    sink_text(&faults->session->out, shown_sentence(text).text);
    sink_byte(&faults->session->out, '\n');
}

int cmd_verify(struct session *session, const struct args *args)
{
    (void)args;
    struct fault_lines faults = {.session = session};
    const loam_status rc = session->db != NULL ? loam_verify_open(session->db, print_fault, &faults)
                                               : loam_verify(session->dir, print_fault, &faults);
    if (rc == LOAM_OK) {
        sink_text(&session->out, "ok\n");
        return CODE_DONE;
    }
    if (rc == LOAM_CORRUPT && faults.count > 0) {
        complain("%" PRIu64
                 " fault%s; restore what they name from a backup or an export, or `repair` "
                 "what is intact",
                 faults.count, faults.count == 1 ? "" : "s");
        return CODE_CORRUPT;
    }
    return complain_status(rc);
}
