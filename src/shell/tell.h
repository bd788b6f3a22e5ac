/*
 * tell.h - findings of loam_inspect.h as people and programs read them.
 *
 * Role: the one printer of explain, inspect, levels and doctor.
 * Invariants: with JSON each finding is an object on a line of its own: "kind", "depth", then its facts; numbers are numbers, flags are
 *   true or false, data that is no text has _b64 behind its name. Otherwise a finding is a line, moved in by its depth.
 * In the picture: shell layer; on sink and format_jsonl.
 */
#ifndef LOAM_SHELL_TELL_H
#define LOAM_SHELL_TELL_H

#include <loam_inspect.h>

#include "shell/sink.h"

struct tell {
    struct sink *out;
    bool json;
};

/* ctx is a struct tell. A loam_found: false when a signal asks to stop, or the output ended. */
bool tell_finding(void *ctx, const loam_finding *finding);
/* One fact's value as text for people. */
void tell_value(struct sink *out, const loam_fact *fact);
const loam_fact *tell_fact(const loam_finding *finding, const char *name); /* NULL: it has none */

#endif
