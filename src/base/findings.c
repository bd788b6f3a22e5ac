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

void finding_send(struct findings *findings)
{
    if (!findings->is_stopped && !findings->found(findings->ctx, &findings->now))
        findings->is_stopped = true;
}
