/*
 * seeds.c - which seeds a suite runs, and for how long; see seeds.h.
 */
#include "lib/seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t environment_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct seeds seeds_few(const char *variable, uint64_t count)
{
    const uint64_t only = environment_number("SEED", 0);
    const uint64_t first = environment_number("FIRST_SEED", 1);
    const uint64_t slowed = count / environment_number("SLOWDOWN", 1);
    if (only > 0) return (struct seeds){only, only + 1, 0};
    return (struct seeds){first, first + environment_number(variable, slowed > 0 ? slowed : 1), 0};
}

struct seeds seeds_begin(const char *variable, uint64_t count)
{
    const uint64_t soak = environment_number("SOAK", 0);
    struct seeds seeds = seeds_few(variable, count);
    if (soak == 0 || environment_number("SEED", 0) > 0) return seeds;
    return (struct seeds){seeds.next, UINT64_MAX, now_ms() + soak * 1000};
}

bool seeds_next(struct seeds *seeds, uint64_t *seed)
{
    if (seeds->next >= seeds->end) return false;
    if (seeds->ends_at_ms > 0 && now_ms() >= seeds->ends_at_ms) return false;
    *seed = seeds->next++;
    return true;
}

uint64_t seeds_stride(uint64_t slow)
{
    return environment_number("SLOWDOWN", 1) > 1 ? slow : 1;
}

bool seeds_go_on(const struct seeds *seeds, uint64_t done, uint64_t budget)
{
    return seeds->ends_at_ms > 0 ? now_ms() < seeds->ends_at_ms : done < budget;
}

void figures_print(const struct figure *figures, unsigned count)
{
    printf("# figures");
    for (unsigned i = 0; i < count; i++)
        printf(" %s=%" PRIu64, figures[i].name, figures[i].value);
    printf("\n");
    fflush(stdout);
}
