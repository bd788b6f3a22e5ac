/* findings.c - see findings.h. */
#include "base/findings.h"

#include "base/check.h"
#include "base/status.h"

#include "base/poison.h"

loam_status findings_init(struct findings *findings, loam_found found, void *ctx)
{
    *findings = (struct findings){.found = found, .ctx = ctx};
    return found != NULL ? LOAM_OK : failed(LOAM_INVALID, "found is NULL");
}

loam_status findings_rc(const struct findings *findings)
{
    return findings->is_stopped ? LOAM_CONFLICT : LOAM_OK;
}

void finding_begin(struct findings *findings, const char *kind, uint32_t depth)
{
    check(findings->is_begun ? depth <= findings->now.depth + 1 : depth == 0);
    findings->now = (loam_finding){.kind = kind, .depth = depth, .facts = findings->facts};
    if (!findings->is_begun) fact_count(findings, "schema", LOAM_INSPECT_SCHEMA);
    findings->is_begun = true;
}

void fact_number(struct findings *findings, const char *name, loam_fact_kind kind, uint64_t number)
{
    check(findings->now.fact_count < FACTS_MAX);
    findings->facts[findings->now.fact_count++] =
        (loam_fact){.name = name, .kind = kind, .number = number};
}

void fact_bytes(struct findings *findings, const char *name, loam_fact_kind kind, loam_slice bytes)
{
    check(findings->now.fact_count < FACTS_MAX);
    findings->facts[findings->now.fact_count++] =
        (loam_fact){.name = name, .kind = kind, .bytes = bytes};
}

void fact_id(struct findings *findings, const char *name, uint64_t id)
{
    char *hex = findings->hex[findings->now.fact_count % FACTS_MAX];
    for (unsigned i = 0; i < 16; i++)
        hex[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
    fact_bytes(findings, name, LOAM_FACT_TEXT, loam_bytes(hex, 16));
}

void fact_data(struct findings *findings, const char *name, loam_slice bytes, size_t max,
               const char *length_name)
{
    const size_t shown = bytes.len < max ? bytes.len : max;
    fact_bytes(findings, name, LOAM_FACT_DATA, loam_bytes(bytes.data, shown));
    if (shown < bytes.len) fact_count(findings, length_name, bytes.len);
}

void finding_send(struct findings *findings)
{
    if (!findings->is_stopped && !findings->found(findings->ctx, &findings->now))
        findings->is_stopped = true;
}
