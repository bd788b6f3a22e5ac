/*
 * test_threads_stall.c - writers who must wait: for a flush that is held up, and on a disk that is full for a while.
 *
 * The table of system calls is the kernel's with a gate: while it is closed, what the background workers write waits, or fails as
 * on a full disk. Writers then come to a stand, which must be said and must hinder no reader; when the gate opens, all
 * of them go on, and what was answered LOAM_OK is there.
 */
#include "../lib/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { WRITERS = 4, VALUE_BYTES = 2000, KEYS_MAX = 1 << 20 };

/* ---- the gate --------------------------------------------------------------------------------------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moves = PTHREAD_COND_INITIALIZER;
static bool gate_is_closed, gate_is_full;

static void set_gate(bool closed, bool full)
{
    pthread_mutex_lock(&gate);
    gate_is_closed = closed;
    gate_is_full = full;
    pthread_cond_broadcast(&gate_moves);
    pthread_mutex_unlock(&gate);
}

/* Waits while the gate is closed; -ENOSPC while the disk is full. */
static int pass_gate(void)
{
    pthread_mutex_lock(&gate);
    while (gate_is_closed)
        pthread_cond_wait(&gate_moves, &gate);
    const bool full = gate_is_full;
    pthread_mutex_unlock(&gate);
    return full ? -ENOSPC : 0;
}

/* Flushes and merges, and nobody else, are at the gate. */
static bool is_worker(void)
{
    char name[16] = "";
    return pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
           strcmp(name, "loam-work") == 0;
}

/* What was allocated has its blocks: only what grows a file can find the disk full. */
static int64_t write_at_gate(void *ctx, int fd, uint64_t offset, const struct sys_piece *pieces,
                             unsigned piece_count, bool durable)
{
    const struct sys *kernel = sys_posix().calls;
    uint64_t size = 0;
    (void)durable;
    if (is_worker() && kernel->size(ctx, fd, &size) == 0 && offset >= size) {
        const int rc = pass_gate();
        if (rc < 0) return rc;
    }
    return kernel->write(ctx, fd, offset, pieces, piece_count, false);
}

/* ---- writers and readers ---------------------------------------------------------------------------- */

struct load {
    _Atomic uint32_t returned[WRITERS]; /* how many keys each has written for sure */
    _Atomic uint64_t refused;
};

static loam_slice key_text(char text[static 24], int writer, uint32_t number)
{
    return loam_bytes(text, (size_t)snprintf(text, 24, "%d/%07u", writer, number));
}

/* Puts key after key; one that is refused for want of room is not there, and is tried again. */
static void write_on(struct hand *hand)
{
    struct load *load = hand->ctx;
    static const char value[VALUE_BYTES];
    char text[24];
    for (uint32_t number = 0; crew_goes_on(hand) && number < KEYS_MAX;) {
        const loam_slice key = key_text(text, hand->number, number);
        const loam_status rc = loam_put(hand->crew->db, NULL, key, loam_bytes(value, sizeof value));
        if (!crew_expect(hand, rc == LOAM_OK || rc == LOAM_FULL)) return;
        if (rc == LOAM_FULL) {
            crew_expect(hand, loam_exists(hand->crew->db, NULL, key) == LOAM_NOTFOUND);
            atomic_fetch_add(&load->refused, 1);
            crew_rest(1);
            continue;
        }
        atomic_store(&load->returned[hand->number], ++number);
    }
}

static void read_on(struct hand *hand)
{
    const struct load *load = hand->ctx;
    loam_buf found = {0};
    char text[24];
    while (crew_goes_on(hand)) {
        const int writer = (int)rand_below(&hand->rand, WRITERS);
        const uint32_t count = atomic_load(&load->returned[writer]);
        if (count == 0) continue;
        const loam_slice key = key_text(text, writer, (uint32_t)rand_below(&hand->rand, count));
        crew_expect(hand, loam_get(hand->crew->db, NULL, key, &found) == LOAM_OK);
        crew_expect(hand, found.len == VALUE_BYTES);
        atomic_fetch_add(&hand->crew->did, 1);
    }
    loam_buf_free(&found);
}

static uint64_t written(const struct load *load)
{
    uint64_t sum = 0;
    for (int i = 0; i < WRITERS; i++)
        sum += atomic_load(&load->returned[i]);
    return sum;
}

static loam_stats stats_now(loam_db *db)
{
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(db, &stats));
    return stats;
}

/* Waits until all writers stand: until the store says that they wait, and nobody has written for half a second. */
static void wait_for_standstill(struct crew *crew, const struct load *load)
{
    uint64_t before = 0;
    for (int tries = 0, still = 0; tries < 10000; tries++) {
        crew_rest(20);
        const bool waits = stats_now(crew->db).stall_reason != NULL;
        still = waits && written(load) == before ? still + 1 : 0;
        before = written(load);
        if (still == 25) return;
    }
    crew_complain(crew, "the writers go on without end");
}

static void wait_for_reads(struct crew *crew, uint64_t than)
{
    for (int tries = 0; tries < 10000 && atomic_load(&crew->did) <= than; tries++)
        crew_rest(5);
    if (atomic_load(&crew->did) <= than) crew_complain(crew, "the readers stand, too");
}

static void wait_for_more(struct crew *crew, const struct load *load, uint64_t than)
{
    for (int tries = 0; tries < 20000 && written(load) < than; tries++)
        crew_rest(5);
    if (written(load) < than) crew_complain(crew, "the writers do not go on");
}

static void check_all_there(struct fixture *f, const struct load *load)
{
    for (int round = 0; round < 2; round++) {
        loam_iter *it;
        char text[24];
        expect_ok(loam_iter_open(f->db, NULL, NULL, &it));
        for (int writer = 0; writer < WRITERS; writer++) {
            for (uint32_t i = 0; i < load->returned[writer]; i++) {
                const loam_slice key = key_text(text, writer, i);
                expect_ok(loam_iter_next(it));
                assert_memory_equal(loam_iter_key(it).data, text, key.len);
            }
        }
        expect_status(LOAM_NOTFOUND, loam_iter_next(it));
        loam_iter_close(it);
        fixture_reopen(f);
    }
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void open_gated(struct fixture *f)
{
    static struct sys calls;
    loam_options options = fixture_options();
    options.memory_bytes = 4 << 20;
    options.memtable_bytes = 64 << 10;
    options.runs_per_level = 2;
    calls = crew_hasty_calls();
    calls.write = write_at_gate;
    set_gate(false, false);
    crew_open_mapped(f, &options, (struct sys_table){&calls, sys_posix().ctx});
}

static const struct crew_job WRITING_AND_READING[] = {{write_on, WRITERS}, {read_on, 2}, {NULL, 0}};

static void writers_wait_for_a_flush_and_readers_do_not(void **state)
{
    struct fixture *f = *state;
    struct load load = {.refused = 0};
    struct crew crew = {.ctx = &load, .seed = crew_seed()};
    open_gated(f);
    crew.db = f->db;
    set_gate(true, false);
    crew_start(&crew, WRITING_AND_READING);
    wait_for_standstill(&crew, &load);
    const uint64_t stood = written(&load), reads = atomic_load(&crew.did);
    const loam_stats stats = stats_now(f->db);
    wait_for_reads(&crew, reads);
    const uint64_t later = written(&load);
    set_gate(false, false);
    wait_for_more(&crew, &load, stood * 2);
    crew_end(&crew);
    assert_int_equal(later, stood);
    assert_non_null(stats.stall_reason);
    assert_true(stats.memtable_bytes <= 4 << 20);
    assert_true(stats_now(f->db).stall_total_ms > 0 && stats_now(f->db).stall_max_ms > 0);
    assert_null(stats_now(f->db).stall_reason);
    assert_int_equal(atomic_load(&load.refused), 0);
    print_message("# writers stood at %llu; %llu were written in the end: %s\n",
                  (unsigned long long)stood, (unsigned long long)written(&load),
                  stats.stall_reason);
    check_all_there(f, &load);
}

static void a_full_disk_refuses_and_heals(void **state)
{
    struct fixture *f = *state;
    struct load load = {.refused = 0};
    struct crew crew = {.ctx = &load, .seed = crew_seed()};
    open_gated(f);
    crew.db = f->db;
    crew_start(&crew, WRITING_AND_READING);
    wait_for_more(&crew, &load, 500);
    for (int round = 0; round < 2; round++) {
        const uint64_t refused = atomic_load(&load.refused);
        set_gate(false, true);
        for (int tries = 0; tries < 10000 && atomic_load(&load.refused) == refused; tries++)
            crew_rest(2);
        set_gate(false, false);
        if (atomic_load(&load.refused) == refused) crew_complain(&crew, "nobody was refused");
        wait_for_more(&crew, &load, written(&load) + 500);
    }
    crew_end(&crew);
    assert_int_equal(stats_now(f->db).fenced, LOAM_OK);
    print_message("# %llu refused, %llu written\n", (unsigned long long)atomic_load(&load.refused),
                  (unsigned long long)written(&load));
    check_all_there(f, &load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_closed(writers_wait_for_a_flush_and_readers_do_not),
        test_closed(a_full_disk_refuses_and_heals),
    };
    return cmocka_run_group_tests_name("threads/stall", tests, NULL, NULL);
}
