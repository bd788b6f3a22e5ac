/*
 * crew.c - threads that work on one store; see crew.h.
 */
#include "crew.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "db/db.h"

enum { COMPLAINTS_SHOWN = 8 };

static struct hand hands[CREW_MAX];
static pthread_t threads[CREW_MAX];
static void (*works[CREW_MAX])(struct hand *hand);
static int hand_count;

uint64_t crew_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

uint64_t crew_seed(void)
{
    static uint64_t seed;
    struct timespec now;
    if (seed != 0) return seed;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = crew_number("SEED", 1 + (uint64_t)now.tv_nsec / 1000 % 1000000);
    print_message("# SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- stores ---------------------------------------------------------------------------------- */

loam_options crew_options(uint64_t seed)
{
    static const uint32_t filters[] = {0, 0, 10, LOAM_NO_FILTER};
    struct rand rand = {seed};
    loam_options options = loam_options_default();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = (UINT64_C(16) << 10) << rand_below(&rand, 3);
    options.runs_per_level = 1 + (uint32_t)rand_below(&rand, 4);
    options.background_threads = 1 + (uint32_t)rand_below(&rand, 3);
    options.durability = LOAM_DURABLE_PERIODIC + (loam_durability)rand_below(&rand, 2);
    options.sync_interval_ms = 1 + (uint32_t)rand_below(&rand, 20);
    options.filter_bits_per_key = filters[rand_below(&rand, 4)];
    return options;
}

void crew_open_as(struct fixture *f, const loam_options *options, uint64_t seed,
                  struct sys_table sys)
{
    struct rand rand = {~seed};
    const struct db_world world = {.sys = sys,
                                   .threaded = true,
                                   .mapped_log = rand_below(&rand, 3) > 0,
                                   .page_bytes = 256u << rand_below(&rand, 4)};
    assert_null(f->db);
    expect_ok(db_open_in(&world, f->store, options, &f->db));
}

void crew_open_mapped(struct fixture *f, const loam_options *options, struct sys_table sys)
{
    const struct db_world world = {.sys = sys, .threaded = true, .mapped_log = true};
    assert_null(f->db);
    expect_ok(db_open_in(&world, f->store, options, &f->db));
}

void crew_open(struct fixture *f, uint64_t seed, struct sys_table sys)
{
    const loam_options options = crew_options(seed);
    crew_open_as(f, &options, seed, sys);
}

static int sync_hastily(void *ctx, int fd)
{
    (void)ctx;
    (void)fd;
    return 0;
}

static int64_t write_hastily(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                             unsigned piece_count, bool durable)
{
    (void)durable;
    return sys_posix().calls->write(ctx, fd, offset, pieces, piece_count, false);
}

struct sys crew_hasty_calls(void)
{
    struct sys calls = *sys_posix().calls;
    calls.sync = sync_hastily;
    calls.sync_dir = sync_hastily;
    calls.write = write_hastily;
    return calls;
}

struct sys_table crew_hasty(void)
{
    static struct sys calls;
    if (calls.sync == NULL) calls = crew_hasty_calls();
    return (struct sys_table){&calls, sys_posix().ctx};
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *run_hand(void *arg)
{
    struct hand *hand = arg;
    works[hand - hands](hand);
    return NULL;
}

void crew_start(struct crew *crew, const struct crew_job *jobs)
{
    hand_count = 0;
    atomic_store(&crew->stop, false);
    for (; jobs->count > 0; jobs++) {
        for (int i = 0; i < jobs->count; i++) {
            assert_true(hand_count < CREW_MAX);
            works[hand_count] = jobs->work;
            hands[hand_count] = (struct hand){.crew = crew,
                                              .ctx = crew->ctx,
                                              .number = hand_count,
                                              .rand = {crew->seed * 1000 + (uint64_t)hand_count}};
            assert_int_equal(
                pthread_create(&threads[hand_count], NULL, run_hand, &hands[hand_count]), 0);
            hand_count++;
        }
    }
}

void crew_rest(uint64_t ms)
{
    const struct timespec rest = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&rest, NULL);
}

void crew_end(struct crew *crew)
{
    atomic_store(&crew->stop, true);
    for (int i = 0; i < hand_count; i++)
        pthread_join(threads[i], NULL);
    const int wrong = atomic_load(&crew->wrong);
    if (wrong > 0) fail_msg("%d complaints; SEED=%llu", wrong, (unsigned long long)crew->seed);
}

void crew_run(struct crew *crew, const struct crew_job *jobs, uint64_t ms)
{
    const uint64_t seconds = crew_number("SECONDS_EACH", 0);
    crew_start(crew, jobs);
    crew_rest(seconds > 0 ? seconds * 1000 : ms);
    crew_end(crew);
}

void crew_complain(struct crew *crew, const char *format, ...)
{
    char line[600];
    va_list args;
    if (atomic_fetch_add(&crew->wrong, 1) >= COMPLAINTS_SHOWN) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "# %s\n", line);
}
