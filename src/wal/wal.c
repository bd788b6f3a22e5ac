/*
 * wal.c - one endless sequence of records over many segments; see wal.h.
 *
 * Locks: prepare (making segments; held over I/O) -> lock (the list, the spares, the sticky failure; short).
 *   The lane owns `active` and is the only one that moves `end`.
 */
#include "wal/wal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/status.h"
#include "os/thread.h"

#include "base/poison.h"

enum {
    WAL_SEGMENT_BYTES_MOST = 64 << 20,
    PART_BYTES_MIN = 4096, /* a rest smaller than this is left unused */
    LOOK_BYTES = 16 << 10, /* after so many the writer looks whether the log wants tending */
    SPARES_MAX = 64, /* a commit is at most 2 GiB, a large segment 64 MiB: 33 and the small ones */
    COMMIT_PIECES_MAX = 6,
    FREE_SHARE = 8,  /* a segment takes at most this share of what is free */
    REST_SHARE = 16, /* the segment of a log at rest is this share of the largest */
    RECYCLED_COUNT =
        8 /* dead segments that are kept: their pages are in memory, a fresh one's are not */
};

struct wal_file {
    struct log *log; /* NULL: an earlier opener's */
    struct object_id id;
    uint64_t start, end; /* end: UINT64_MAX while it is active */
    uint32_t refs;       /* waiters inside log_wait or log_sync */
    bool synced;         /* closed and durable as a whole */
    struct wal_file *newer;
};

struct wal {
    struct wal_config config;
    struct mutex prepare, lock;
    struct wal_file *oldest, *newest; /* newest is the active one; NULL: none is yet */
    struct wal_hold *holds;           /* under lock, as passed: below it recovery needs nothing */
    uint64_t passed;
    struct wal_file *spares[SPARES_MAX]; /* oldest first */
    _Atomic unsigned spare_count;        /* changed under lock */
    uint32_t next_number;
    uint64_t next_bytes;
    struct segment active; /* lane; log NULL before the first append */
    uint64_t look_at;      /* lane: the position from which on it looks again */
    _Atomic uint64_t end, data_end, synced, attested, live_start, floor, written_bytes;
    _Atomic bool wants_spare, wants_tending; /* the writer stores them */
    _Atomic bool wants_release;              /* who read has moved on */
    _Atomic uint32_t pins;   /* while there are any, dead segments are not used again */
    _Atomic int failed_code; /* loam_status; set once */
    char failed_text[STATUS_TEXT_MAX];
};

/* Behind all others. Lock held, or nobody else knows the wal. */
static void link_file(struct wal *wal, struct wal_file *file)
{
    struct wal_file **link = wal->newest != NULL ? &wal->newest->newer : &wal->oldest;
    while (*link != NULL)
        link = &(*link)->newer;
    *link = file;
}

/* Earlier openers' segments. */
static loam_status take_past(struct wal *wal)
{
    for (size_t i = 0; i < wal->config.past_count; i++) {
        const struct wal_extent *extent = &wal->config.past[i];
        struct wal_file *file = mem_zalloc(sizeof *file);
        if (file == NULL) return LOAM_NOMEM;
        *file = (struct wal_file){
            .id = extent->id, .start = extent->start, .end = extent->end, .synced = true};
        link_file(wal, file);
    }
    if (wal->oldest != NULL) atomic_store(&wal->live_start, wal->oldest->start);
    wal->config.past = NULL;
    return LOAM_OK;
}

loam_status wal_new(const struct wal_config *config, struct wal **out)
{
    struct wal *wal = mem_zalloc(sizeof *wal);
    if (wal == NULL) return LOAM_NOMEM;
    wal->config = *config;
    wal->passed = config->floor;
    wal->next_number = 1;
    wal->next_bytes = store_log_bytes_least(config->store);
    mutex_init(&wal->prepare);
    mutex_init(&wal->lock);
    wal->active.end = config->start;
    wal->active.running = config->running;
    atomic_init(&wal->end, config->start);
    atomic_init(&wal->data_end, config->start);
    atomic_init(&wal->attested, config->start);
    atomic_init(&wal->synced, config->start);
    atomic_init(&wal->live_start, config->start);
    check(config->floor <= config->start);
    atomic_init(&wal->floor, config->floor);
    const loam_status rc = take_past(wal);
    if (rc < 0)
        wal_free(wal);
    else
        *out = wal;
    return rc;
}

/* ---- failing for good ---------------------------------------------------------------------- */

/* Remembers the calling thread's failure as everybody's. Room was taken before, so a full disk that shows only here is a device
   that does not keep its word, and what was being written may be there or not: no refusal. */
static loam_status wal_fail(struct wal *wal, loam_status rc)
{
    if (rc == LOAM_FULL || rc == LOAM_NOMEM) rc = LOAM_IOERR;
    mutex_lock(&wal->lock);
    if (atomic_load(&wal->failed_code) == LOAM_OK) {
        failed_keep(wal->failed_text, sizeof wal->failed_text);
        atomic_store(&wal->failed_code, rc);
    }
    mutex_unlock(&wal->lock);
    return rc;
}

static loam_status wal_health(struct wal *wal)
{
    const int code = atomic_load_explicit(&wal->failed_code, memory_order_acquire);
    if (code == LOAM_OK) return LOAM_OK;
    return failed((loam_status)code, "%s", wal->failed_text);
}

/* ---- preparing segments -------------------------------------------------------------------- */

/* A commit that is larger than a segment gets larger ones, so that it is not cut into too many parts. */
static uint64_t bytes_for_next(struct wal *wal, uint64_t missing)
{
    uint64_t bytes = wal->next_bytes, free_bytes;
    const uint64_t wanted =
        (missing < WAL_SEGMENT_BYTES_MOST ? missing : WAL_SEGMENT_BYTES_MOST) & ~UINT64_C(4095);
    if (bytes < wanted) bytes = wanted;
    if (store_free_bytes(wal->config.store, &free_bytes) == LOAM_OK) {
        const uint64_t share = free_bytes / FREE_SHARE & ~UINT64_C(4095);
        if (bytes > share) bytes = share;
    }
    const uint64_t least = store_log_bytes_least(wal->config.store);
    return bytes < least ? least : bytes;
}

static void push_spare(struct wal *wal, struct wal_file *file) REQUIRES(&wal->prepare)
{
    mutex_lock(&wal->lock);
    check(wal->spare_count < SPARES_MAX);
    wal->spares[wal->spare_count++] = file;
    wal->next_number++;
    mutex_unlock(&wal->lock);
}

/* Everything a segment needs is allocated here: a switch in the lane must not fail for memory. */
static struct wal_file *new_file(struct wal *wal, char name[static OBJECT_NAME_BYTES])
{
    struct wal_file *file = mem_zalloc(sizeof *file);
    if (file == NULL) return NULL;
    file->id = (struct object_id){wal->config.epoch, wal->next_number};
    file->end = UINT64_MAX;
    object_name_make(OBJECT_SEGMENT, file->id, name);
    return file;
}

static loam_status prepare_spare(struct wal *wal, uint64_t missing) REQUIRES(&wal->prepare)
{
    char name[OBJECT_NAME_BYTES];
    if (wal->spare_count >= SPARES_MAX)
        return failed(LOAM_FULL, "the log cannot grow that much for one commit");
    struct wal_file *file = new_file(wal, name);
    if (file == NULL) return LOAM_NOMEM;
    const loam_status rc = log_create(wal->config.store, name, bytes_for_next(wal, missing),
                                      wal->config.use, &file->log);
    if (rc < 0) {
        mem_free(file);
        return rc;
    }
    if (wal->next_bytes < wal->config.segment_bytes_max) wal->next_bytes *= 2;
    push_spare(wal, file);
    return LOAM_OK;
}

static uint64_t active_room(const struct wal *wal)
{
    return wal->active.log == NULL ? 0 : segment_capacity_end(&wal->active) - wal->active.end;
}

/* What commits can still take, less what cutting them into parts may cost. */
static uint64_t room_for_bodies(struct wal *wal)
{
    const uint64_t rest = active_room(wal);
    uint64_t room = rest > PART_BYTES_MIN + RECORD_HEAD_BYTES ? rest - RECORD_HEAD_BYTES - 8 : 0;
    mutex_lock(&wal->lock);
    for (unsigned i = 0; i < wal->spare_count; i++)
        room += log_capacity(wal->spares[i]->log) - SEGMENT_HEADER_BYTES - RECORD_HEAD_BYTES - 8 -
                PART_BYTES_MIN;
    mutex_unlock(&wal->lock);
    return room;
}

/* Takes back what was prepared for a commit that is refused; its numbers are for the next ones. Lane. */
static loam_status unprepare(struct wal *wal, unsigned keep_count) REQUIRES(&wal->prepare)
{
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK && wal->spare_count > keep_count) {
        mutex_lock(&wal->lock);
        struct wal_file *file = wal->spares[--wal->spare_count];
        wal->next_number--;
        mutex_unlock(&wal->lock);
        rc = log_delete(file->log);
        mem_free(file);
    }
    return rc < 0 ? wal_fail(wal, rc) : rc; /* the number is taken, and numbers have no holes */
}

/* Segments for a commit of so many bytes, or none. */
static loam_status prepare_for(struct wal *wal, uint64_t bytes) REQUIRES(&wal->prepare)
{
    const unsigned before = wal->spare_count;
    const uint64_t next_bytes = wal->next_bytes;
    uint64_t room = room_for_bodies(wal), free_bytes;
    loam_status rc = LOAM_OK;
    if (room < bytes && store_free_bytes(wal->config.store, &free_bytes) == LOAM_OK &&
        bytes - room > free_bytes)
        return failed_errno(ENOSPC, "%s: the log needs %" PRIu64 " bytes more",
                            store_path(wal->config.store), bytes - room);
    for (; rc == LOAM_OK && room < bytes; room = room_for_bodies(wal))
        rc = prepare_spare(wal, bytes - room);
    if (rc == LOAM_OK || wal->spare_count == before) return rc;
    wal->next_bytes = next_bytes;
    const loam_status undone = unprepare(wal, before);
    return undone < 0 ? undone : rc;
}

loam_status wal_reserve(struct wal *wal, uint64_t body_bytes)
{
    loam_status rc = wal_health(wal);
    if (rc < 0 || active_room(wal) >= record_bytes(body_bytes)) return rc;
    if (room_for_bodies(wal) >= body_bytes + 8) return LOAM_OK;
    mutex_lock(&wal->prepare);
    rc = prepare_for(wal, body_bytes + 8);
    mutex_unlock(&wal->prepare);
    return rc;
}

/* Whether segments of so many bytes are too few: one may be written faster than the next one is made. */
static bool lacks_spare(const struct wal *wal, uint64_t bytes)
{
    return wal->spare_count < (bytes == wal->config.segment_bytes_max ? 2 : 1);
}

static void want_tending(struct wal *wal)
{
    const uint64_t capacity = log_capacity(wal->active.log);
    const bool spare = lacks_spare(wal, capacity) && active_room(wal) < capacity / 4 * 3;
    const bool any = spare || log_wants_tending(wal->active.log);
    if (spare != atomic_load_explicit(&wal->wants_spare, memory_order_relaxed))
        atomic_store_explicit(&wal->wants_spare, spare, memory_order_relaxed);
    if (any != atomic_load_explicit(&wal->wants_tending, memory_order_relaxed))
        atomic_store_explicit(&wal->wants_tending, any, memory_order_relaxed);
}

bool wal_wants_tending(const struct wal *wal)
{
    return atomic_load_explicit(&wal->wants_tending, memory_order_relaxed);
}

/* ---- appending ----------------------------------------------------------------------------- */

static uint64_t now_ms(const struct wal *wal)
{
    const struct sys_table sys = store_sys(wal->config.store);
    return sys.calls->wall_ms(sys.ctx);
}

static struct segment_header header_for(const struct wal *wal, struct object_id id)
{
    struct segment_header header = {
        .id = id,
        .start = wal->active.end,
        .running = wal->active.running,
        .synced_upto = atomic_load(&wal->synced),
        .log_key = wal->config.log_key,
        .base_ms = now_ms(wal),
    };
    memcpy(header.store_id, wal->config.store_id, STORE_ID_BYTES);
    return header;
}

/* Goes on in the oldest spare. */
static loam_status switch_segment(struct wal *wal)
{
    static const struct sys_piece nothing = {"", 0};
    if (wal->active.log !=
        NULL) { /* a hole must not open below a volatile commit in the next one */
        const loam_status rc = log_append(wal->active.log, &nothing, 1, LOG_VOLATILE);
        if (rc < 0) return rc;
    }
    mutex_lock(&wal->lock);
    check(wal->spare_count > 0);
    struct wal_file *file = wal->spares[0];
    wal->spare_count--;
    for (unsigned i = 0; i < wal->spare_count; i++)
        wal->spares[i] = wal->spares[i + 1];
    file->start = wal->active.end;
    if (wal->newest != NULL) wal->newest->end = wal->active.end;
    link_file(wal, file);
    wal->newest = file;
    mutex_unlock(&wal->lock);
    if (wal->active.log != NULL) log_follow(file->log, wal->active.log);
    const struct segment_header header = header_for(wal, file->id);
    return segment_start(&wal->active, file->log, &header);
}

/* The part [from, from + len) of pieces; answers how many pieces it has. */
static unsigned cut_pieces(const struct sys_piece *pieces, unsigned piece_count, uint64_t from,
                           uint64_t len, struct sys_piece out[static COMMIT_PIECES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < piece_count && len > 0; i++) {
        if (from >= pieces[i].len) {
            from -= pieces[i].len;
            continue;
        }
        const uint64_t have = pieces[i].len - from;
        const size_t take = (size_t)(have < len ? have : len);
        out[count++] = (struct sys_piece){(const uint8_t *)pieces[i].data + from, take};
        from = 0;
        len -= take;
    }
    return count;
}

static loam_status append_parts(struct wal *wal, struct record_spec *spec,
                                const struct sys_piece *pieces, unsigned piece_count,
                                enum log_how how)
{
    const uint8_t caller_flags = spec->flags;
    uint64_t total = 0, done = 0;
    for (unsigned i = 0; i < piece_count; i++)
        total += pieces[i].len;
    do {
        const uint64_t rest = active_room(wal), left = total - done;
        const uint64_t room =
            rest > RECORD_HEAD_BYTES ? (rest - RECORD_HEAD_BYTES) & ~UINT64_C(7) : 0;
        if (wal->active.log == NULL || (room < left && room < PART_BYTES_MIN) ||
            rest < RECORD_HEAD_BYTES) {
            const loam_status rc = switch_segment(wal);
            if (rc < 0) return rc;
            continue;
        }
        const uint64_t part = left < room ? left : room;
        spec->flags = (uint8_t)(caller_flags | (done == 0 ? RECORD_FIRST : 0) |
                                (part == left ? RECORD_LAST : 0));
        loam_status rc;
        if (part == total) {
            rc = segment_append(&wal->active, spec, pieces, piece_count, how);
        } else {
            struct sys_piece cut[COMMIT_PIECES_MAX];
            const unsigned cut_count = cut_pieces(pieces, piece_count, done, part, cut);
            rc = segment_append(&wal->active, spec, cut, cut_count, how);
        }
        if (rc < 0) return rc;
        done += part;
    } while ((spec->flags & RECORD_LAST) == 0);
    return LOAM_OK;
}

loam_status wal_append(struct wal *wal, const struct record_spec *spec,
                       const struct sys_piece *pieces, unsigned piece_count, enum log_how how,
                       uint64_t *end)
{
    loam_status rc = wal_health(wal);
    if (rc < 0) return rc;
    check(piece_count <= COMMIT_PIECES_MAX);
    const uint64_t before = wal->active.end;
    struct record_spec filled = *spec;
    const uint64_t time_ms = now_ms(wal);
    if (filled.time_ms < time_ms) filled.time_ms = time_ms;
    filled.synced_upto = atomic_load_explicit(&wal->synced, memory_order_relaxed);
    filled.flags = (uint8_t)(spec->flags & RECORD_CALLER_INDEX);
    rc = append_parts(wal, &filled, pieces, piece_count, how);
    if (rc < 0) return wal_fail(wal, rc);
    atomic_store_explicit(&wal->end, wal->active.end, memory_order_release);
    atomic_store_explicit(&wal->attested, filled.synced_upto, memory_order_relaxed);
    if (spec->kind != RECORD_ATTEST)
        atomic_store_explicit(&wal->data_end, wal->active.end, memory_order_release);
    const uint64_t written = atomic_load_explicit(&wal->written_bytes, memory_order_relaxed);
    atomic_store_explicit(&wal->written_bytes, written + (wal->active.end - before),
                          memory_order_relaxed);
    if (wal->active.end >= wal->look_at) {
        want_tending(wal);
        wal->look_at = wal->active.end + LOOK_BYTES;
    }
    *end = wal->active.end;
    return LOAM_OK;
}

/* ---- syncing ------------------------------------------------------------------------------- */

/* The oldest file that keeps position from being durable, referenced; NULL when none does. *last: position is in it, at
   *bytes of its log. */
static struct wal_file *next_unsynced(struct wal *wal, uint64_t position, bool *last,
                                      uint64_t *bytes)
{
    struct wal_file *file = NULL;
    *last = false;
    mutex_lock(&wal->lock);
    if (atomic_load(&wal->synced) < position) {
        file = wal->oldest;
        while (file != NULL && file->synced)
            file = file->newer;
        if (file != NULL) {
            file->refs++;
            *last = position > file->start && position <= file->end;
            *bytes = SEGMENT_HEADER_BYTES + (position - file->start);
        }
    }
    mutex_unlock(&wal->lock);
    return file;
}

static void note_synced(struct wal *wal, struct wal_file *file, bool ok)
{
    mutex_lock(&wal->lock);
    file->refs--;
    if (ok) {
        const uint64_t bytes = log_synced(file->log);
        uint64_t upto =
            file->start + (bytes > SEGMENT_HEADER_BYTES ? bytes - SEGMENT_HEADER_BYTES : 0);
        if (upto >=
            file->end) { /* closed: a newer one may have begun with its bytes still unsynced */
            upto = file->end;
            file->synced = true;
        }
        if (upto > atomic_load(&wal->synced)) atomic_store(&wal->synced, upto);
    }
    mutex_unlock(&wal->lock);
}

/* company: wait as one of a group for the newest bytes, or sync alone. */
static loam_status make_durable(struct wal *wal, uint64_t position, bool company)
{
    loam_status rc = LOAM_OK;
    while (rc == LOAM_OK && atomic_load_explicit(&wal->synced, memory_order_acquire) < position) {
        rc = wal_health(wal);
        bool last = false;
        uint64_t bytes = 0;
        struct wal_file *file = rc == LOAM_OK ? next_unsynced(wal, position, &last, &bytes) : NULL;
        if (file == NULL) break;
        if (company && last)
            rc = log_wait(file->log, bytes);
        else
            rc = log_sync(file->log);
        if (rc < 0) rc = wal_fail(wal, rc);
        note_synced(wal, file, rc == LOAM_OK);
    }
    return rc;
}

loam_status wal_wait(struct wal *wal, uint64_t position)
{
    return make_durable(wal, position, true);
}

loam_status wal_sync(struct wal *wal)
{
    return make_durable(wal, wal_end(wal), false);
}

bool wal_has_unsynced(const struct wal *wal)
{
    return atomic_load(&wal->synced) < atomic_load(&wal->data_end);
}

bool wal_is_unattested(const struct wal *wal)
{
    const uint64_t synced = atomic_load(&wal->synced), data_end = atomic_load(&wal->data_end);
    return atomic_load(&wal->attested) < (synced < data_end ? synced : data_end);
}

/* ---- letting go ---------------------------------------------------------------------------- */

static uint64_t bytes_before(uint64_t position, uint64_t bytes)
{
    return position > bytes ? position - bytes : 0;
}

/* Below this, nobody reads: neither recovery nor who holds the log, within his bound. Lock held. */
static uint64_t kept_from(const struct wal *wal)
{
    const uint64_t least = bytes_before(wal->passed, wal->config.held_bytes_max);
    uint64_t from = bytes_before(wal->passed, wal->config.kept_bytes);
    for (const struct wal_hold *hold = wal->holds; hold != NULL; hold = hold->next)
        if (hold->position < from) from = hold->position;
    return from > least ? from : least;
}

/* Takes the oldest file off the list if nobody needs it any more. */
static struct wal_file *take_dead(struct wal *wal)
{
    mutex_lock(&wal->lock);
    struct wal_file *file = wal->oldest;
    if (file == NULL || file == wal->newest || file->end > kept_from(wal) || file->refs > 0) {
        file = NULL;
    } else {
        wal->oldest = file->newer;
        atomic_store(&wal->live_start,
                     wal->oldest != NULL ? wal->oldest->start : wal->config.start);
    }
    mutex_unlock(&wal->lock);
    return file;
}

static loam_status recycle_or_delete(struct wal *wal, const struct wal_file *dead)
    REQUIRES(&wal->prepare)
{
    char name[OBJECT_NAME_BYTES];
    struct wal_file *file = NULL;
    struct log *log = dead->log;
    if (log == NULL) {
        object_name_make(OBJECT_SEGMENT, dead->id, name);
        return store_delete(wal->config.store, name);
    }
    /* Not while the log grows, or is at rest: it would come to hold what it does not need. */
    const uint64_t most = wal->config.segment_bytes_max;
    const bool wanted = wal->spare_count < RECYCLED_COUNT && wal->next_bytes == most &&
                        log_capacity(log) == most && atomic_load(&wal->pins) == 0;
    if (wanted) file = new_file(wal, name);
    if (file == NULL) return log_delete(log);
    const loam_status rc = log_recycle(log, name, &file->log);
    if (rc == LOAM_OK)
        push_spare(wal, file);
    else
        mem_free(file);
    return rc;
}

static loam_status release_dead(struct wal *wal) REQUIRES(&wal->prepare)
{
    loam_status rc = LOAM_OK;
    atomic_store(&wal->wants_release, false);
    for (struct wal_file *file; rc == LOAM_OK && (file = take_dead(wal)) != NULL;) {
        rc = recycle_or_delete(wal, file);
        mem_free(file);
    }
    return rc;
}

loam_status wal_release(struct wal *wal, uint64_t floor, uint64_t passed)
{
    mutex_lock(&wal->prepare);
    if (floor > atomic_load(&wal->floor)) atomic_store(&wal->floor, floor);
    mutex_lock(&wal->lock);
    if (passed > wal->passed) wal->passed = passed;
    mutex_unlock(&wal->lock);
    const loam_status rc = release_dead(wal);
    mutex_unlock(&wal->prepare);
    return rc;
}

void wal_hold(struct wal *wal, struct wal_hold *hold, uint64_t position)
{
    mutex_lock(&wal->lock);
    *hold = (struct wal_hold){position, wal->holds};
    wal->holds = hold;
    mutex_unlock(&wal->lock);
}

void wal_hold_move(struct wal *wal, struct wal_hold *hold, uint64_t position)
{
    mutex_lock(&wal->lock);
    hold->position = position;
    mutex_unlock(&wal->lock);
    atomic_store(&wal->wants_release, true);
}

void wal_unhold(struct wal *wal, struct wal_hold *hold)
{
    mutex_lock(&wal->lock);
    struct wal_hold **link = &wal->holds;
    while (*link != hold)
        link = &(*link)->next;
    *link = hold->next;
    mutex_unlock(&wal->lock);
    atomic_store(&wal->wants_release, true);
}

void wal_pin(struct wal *wal)
{
    atomic_fetch_add(&wal->pins, 1);
}

void wal_unpin(struct wal *wal)
{
    atomic_fetch_sub(&wal->pins, 1);
}

/* ---- in the background --------------------------------------------------------------------- */

loam_status wal_tend(struct wal *wal)
{
    loam_status rc = LOAM_OK;
    atomic_store_explicit(&wal->wants_tending, false, memory_order_relaxed);
    if (atomic_load_explicit(&wal->wants_spare, memory_order_relaxed)) {
        mutex_lock(&wal->prepare);
        if (lacks_spare(wal, wal->next_bytes)) rc = prepare_spare(wal, 0);
        if (rc == LOAM_OK) atomic_store(&wal->wants_spare, false);
        mutex_unlock(&wal->prepare);
    }
    if (rc == LOAM_OK && atomic_load(&wal->wants_release)) {
        mutex_lock(&wal->prepare);
        rc = release_dead(wal);
        mutex_unlock(&wal->prepare);
    }
    mutex_lock(&wal->lock);
    struct wal_file *file = wal->newest;
    if (file != NULL) file->refs++;
    mutex_unlock(&wal->lock);
    if (file != NULL) {
        log_tend(file->log);
        mutex_lock(&wal->lock);
        file->refs--;
        mutex_unlock(&wal->lock);
    }
    return rc;
}

static uint64_t rest_bytes(const struct wal *wal)
{
    const uint64_t least = store_log_bytes_least(wal->config.store);
    const uint64_t share = wal->config.segment_bytes_max / REST_SHARE & ~UINT64_C(4095);
    return share > least ? share : least;
}

/* Not: an active segment of a log at rest with a spare of twice its size; nor what is kept for readers. */
bool wal_is_large(struct wal *wal)
{
    const uint64_t floor = atomic_load(&wal->floor), own = wal->config.start;
    uint64_t bytes = own > floor ? own - floor : 0; /* earlier openers' */
    mutex_lock(&wal->lock);
    for (const struct wal_file *file = wal->oldest; file != NULL; file = file->newer)
        if (file->log != NULL && file->end > wal->passed) bytes += log_capacity(file->log);
    for (unsigned i = 0; i < wal->spare_count; i++)
        bytes += log_capacity(wal->spares[i]->log);
    mutex_unlock(&wal->lock);
    return bytes > 4 * rest_bytes(wal);
}

loam_status wal_shrink(struct wal *wal, enum wal_rest rest)
{
    loam_status rc = wal_health(wal);
    if (rc < 0) return rc;
    mutex_lock(&wal->prepare);
    mutex_lock(&wal->lock);
    const bool begun = wal->newest != NULL;
    mutex_unlock(&wal->lock);
    wal->next_bytes =
        rest == WAL_LEAST ? store_log_bytes_least(wal->config.store) : rest_bytes(wal);
    if (begun) rc = prepare_spare(wal, 0);
    mutex_unlock(&wal->prepare);
    return rc;
}

/* Through those that were prepared before, which stay empty: the reader goes from number to number. */
loam_status wal_switch(struct wal *wal)
{
    loam_status rc = wal_health(wal);
    if (rc < 0 || wal->active.log == NULL) return rc;
    while (rc == LOAM_OK && wal->spare_count > 0)
        rc = switch_segment(wal);
    return rc < 0 ? wal_fail(wal, rc) : rc;
}

/* ---- the rest ------------------------------------------------------------------------------ */

uint64_t wal_end(const struct wal *wal)
{
    return atomic_load_explicit(&wal->end, memory_order_acquire);
}

uint64_t wal_synced(const struct wal *wal)
{
    return atomic_load_explicit(&wal->synced, memory_order_acquire);
}

uint64_t wal_live_bytes(const struct wal *wal)
{
    const uint64_t start = atomic_load(&wal->live_start);
    return wal_end(wal) - start;
}

uint64_t wal_needed_bytes(const struct wal *wal)
{
    const uint64_t floor = atomic_load(&wal->floor);
    return wal_end(wal) - floor;
}

uint64_t wal_written_bytes(const struct wal *wal)
{
    return atomic_load_explicit(&wal->written_bytes, memory_order_relaxed);
}

static bool tell_segment(const struct wal_file *file, struct object_id *id, uint64_t *start)
{
    if (file == NULL) return false;
    *id = file->id;
    *start = file->start;
    return true;
}

bool wal_segment_of(struct wal *wal, uint64_t position, struct object_id *id, uint64_t *start)
{
    mutex_lock(&wal->lock);
    const struct wal_file *file = wal->oldest;
    if (file != NULL && position < file->start) file = NULL;
    while (file != NULL && position >= file->end)
        file = file->newer;
    const bool found = tell_segment(file, id, start);
    mutex_unlock(&wal->lock);
    return found;
}

bool wal_segment_before(struct wal *wal, uint64_t position, struct object_id *id, uint64_t *start)
{
    const struct wal_file *before = NULL;
    mutex_lock(&wal->lock);
    for (const struct wal_file *file = wal->oldest; file != NULL && file->start < position;
         file = file->newer)
        before = file;
    const bool found = tell_segment(before, id, start);
    mutex_unlock(&wal->lock);
    return found;
}

static loam_status close_files(struct wal *wal, bool trim)
{
    loam_status rc = LOAM_OK;
    for (struct wal_file *file = wal->oldest, *newer; file != NULL; file = newer) {
        newer = file->newer;
        const loam_status one =
            file->log == NULL ? LOAM_OK : log_close(file->log, trim && file == wal->newest);
        if (rc == LOAM_OK) rc = one;
        mem_free(file);
    }
    for (unsigned i = 0; i < wal->spare_count; i++) {
        const loam_status one = log_delete(wal->spares[i]->log);
        if (rc == LOAM_OK) rc = one;
        mem_free(wal->spares[i]);
    }
    mutex_deinit(&wal->prepare);
    mutex_deinit(&wal->lock);
    mem_free(wal);
    return rc;
}

loam_status wal_close(struct wal *wal, uint64_t *end, uint64_t *running)
{
    loam_status rc = wal_health(wal);
    if (rc == LOAM_OK) rc = wal_sync(wal);
    /* A segment without a record has nothing to sync but its header, which the seal needs. */
    if (rc == LOAM_OK && wal->active.log != NULL) rc = log_sync(wal->active.log);
    *end = wal->active.end;
    *running = wal->active.running;
    const loam_status closed = close_files(wal, rc == LOAM_OK);
    return rc == LOAM_OK ? closed : rc;
}

void wal_free(struct wal *wal)
{
    if (wal == NULL) return;
    const loam_status rc = close_files(wal, false);
    (void)rc; /* a fenced database has said already what it lost */
}
