/* tell.c - see tell.h. */
#include "shell/tell.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "shell/format_jsonl.h"
#include "shell/signals.h"
#include "shell/words.h"

enum { DATA_SHOWN = 200 };

const loam_fact *tell_fact(const loam_finding *finding, const char *name)
{
    for (size_t i = 0; i < finding->fact_count; i++)
        if (strcmp(finding->facts[i].name, name) == 0) return &finding->facts[i];
    return NULL;
}

static void tell_duration(struct sink *out, uint64_t ns)
{
    if (ns < 10000)
        sink_printf(out, "%" PRIu64 " ns", ns);
    else if (ns < 10000000)
        sink_printf(out, "%.1f us", (double)ns / 1e3);
    else
        sink_printf(out, "%.1f ms", (double)ns / 1e6);
}

void tell_value(struct sink *out, const loam_fact *fact)
{
    char size[TEXT_SIZE_BYTES_MAX], time[TEXT_TIME_BYTES_MAX];
    switch (fact->kind) {
    case LOAM_FACT_COUNT:
        sink_printf(out, "%" PRIu64, fact->number);
        break;
    case LOAM_FACT_SIZE:
        sink_text(out, text_format_size(size, fact->number));
        break;
    case LOAM_FACT_NS:
        tell_duration(out, fact->number);
        break;
    case LOAM_FACT_TIME_MS:
        sink_text(out, text_format_time(time, fact->number));
        break;
    case LOAM_FACT_FLAG:
        sink_text(out, fact->number != 0 ? "yes" : "no");
        break;
    case LOAM_FACT_TEXT:
    case LOAM_FACT_DATA:
        if (fact->bytes.len == 0)
            sink_text(out, "\"\"");
        else
            word_show(out, fact->bytes);
        break;
    }
}

/* Of long data, as much as people look at; programs get all of it. */
static void tell_shortly(struct sink *out, const loam_fact *fact)
{
    loam_fact front = *fact;
    if (fact->kind == LOAM_FACT_DATA && fact->bytes.len > DATA_SHOWN) front.bytes.len = DATA_SHOWN;
    tell_value(out, &front);
    if (front.bytes.len < fact->bytes.len) sink_text(out, "...");
}

static void tell_line(struct sink *out, const loam_finding *finding)
{
    for (uint32_t i = 0; i < finding->depth; i++)
        sink_text(out, "  ");
    bool is_first = true;
    sink_text(out, finding->kind);
    for (size_t i = 0; i < finding->fact_count; i++) {
        if (strcmp(finding->facts[i].name, "schema") == 0) continue;
        sink_text(out, "  ");
        if (!is_first || strcmp(finding->facts[i].name, finding->kind) != 0) /* "level 3" says it */
            sink_printf(out, "%s ", finding->facts[i].name);
        tell_shortly(out, &finding->facts[i]);
        is_first = false;
    }
    sink_byte(out, '\n');
}

static void tell_json(struct sink *out, const loam_finding *finding)
{
    sink_text(out, "{\"kind\":");
    json_write_string(out, loam_str(finding->kind));
    sink_printf(out, ",\"depth\":%u", finding->depth);
    for (size_t i = 0; i < finding->fact_count; i++) {
        const loam_fact *fact = &finding->facts[i];
        sink_byte(out, ',');
        if (fact->kind == LOAM_FACT_TEXT || fact->kind == LOAM_FACT_DATA)
            json_write_field(out, fact->name, fact->bytes);
        else if (fact->kind == LOAM_FACT_FLAG)
            sink_printf(out, "\"%s\":%s", fact->name, fact->number != 0 ? "true" : "false");
        else
            sink_printf(out, "\"%s\":%" PRIu64, fact->name, fact->number);
    }
    sink_text(out, "}\n");
}

bool tell_finding(void *ctx, const loam_finding *finding)
{
    const struct tell *tell = ctx;
    if (tell->json)
        tell_json(tell->out, finding);
    else
        tell_line(tell->out, finding);
    return tell->out->error == 0 && signals_stop() == 0;
}
