/*
 * limit.h - a bound on the memory of what is measured, page cache included.
 *
 * Role: a control group (version 1 or 2) of its own for the trials, below that of this process.
 * Invariants: what cannot be set up changes nothing and says why; what was set up is
 *   taken away again.
 * In the picture: the benchmark's own folder; used by bench_main.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* False: not allowed here, and *why says so. */
bool limit_set_up(uint64_t bytes, const char **why);
void limit_enter(void); /* the calling process, for good; nothing where none was set up */
void limit_take_down(void);

#endif
