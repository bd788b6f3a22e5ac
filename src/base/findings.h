/*
 * findings.h - tells findings, as loam_inspect.h has them, to whoever asked.
 *
 * Role: one finding at a time is begun, given facts and sent; the first one gets the schema's number.
 * Invariants: (1) what is sent is as loam_inspect.h promises: a depth is at most one more than that before. (2) Once found() has said
 *   no, nothing more is sent, and findings_rc() is LOAM_CONFLICT.
 * In the picture: base layer; all calls of loam_inspect.h end here.
 */
#ifndef LOAM_BASE_FINDINGS_H
#define LOAM_BASE_FINDINGS_H

#include <loam_inspect.h>

enum { FACTS_MAX = 32 };

struct findings {
    loam_found found;
    void *ctx;
    bool is_begun, is_stopped;
    loam_finding now;
    loam_fact facts[FACTS_MAX];
    char hex[FACTS_MAX][17]; /* of the facts that are identities */
};

LOAM_MUST loam_status findings_init(struct findings *findings, loam_found found,
                                    void *ctx); /* LOAM_INVALID: found is NULL */
loam_status findings_rc(const struct findings *findings);

void finding_begin(struct findings *findings, const char *kind, uint32_t depth);
void fact_number(struct findings *findings, const char *name, loam_fact_kind kind, uint64_t number);
void fact_bytes(struct findings *findings, const char *name, loam_fact_kind kind, loam_slice bytes);
/* Which one, as 16 hexadecimal digits: of 64 bits that mean nothing as a number. */
void fact_id(struct findings *findings, const char *name, uint64_t id);
/* A user's bytes, the first max of them; where that is not all, their length, as named. */
void fact_data(struct findings *findings, const char *name, loam_slice bytes, size_t max,
               const char *length_name);
static inline void fact_count(struct findings *findings, const char *name, uint64_t number)
{
    fact_number(findings, name, LOAM_FACT_COUNT, number);
}
static inline void fact_text(struct findings *findings, const char *name, const char *text)
{
    fact_bytes(findings, name, LOAM_FACT_TEXT, loam_str(text));
}
void finding_send(struct findings *findings);

#endif
