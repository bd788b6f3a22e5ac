/*
 * db.h - the engine's own picture of an open database; private to this folder.
 *
 * Role: struct loam_db and loam_coll, the lock map, and what the files of this folder call of each other.
 *
 *   loam_put -> write.c: throttle -> lane [ make room -> wal append -> memtable add ] -> wait for sync -> visible
 *   loam_get -> read.c:  epoch [ view -> memtables, newest first -> version ]
 *   behind:     jobs.c runs flush.c (memtables -> a run of level 0) and compact.c (runs -> one run below)
 *
 * Locks, in the order in which they are taken:
 *   refreshing  (struct follow) one loam_refresh() at a time; held over I/O
 *   changes     one change of collections at a time; held over I/O
 *   manifest    catalog and manifest; held over I/O
 *   lane        the commit lane: next_seq, durable_end, wal append, adding to memtables, freezing them, by_id
 *   views       replacing a collection's view; the list of dirty collections; short
 *   names       name -> collection; short
 *   snapshots   the list of snapshots; `visible` is read under it for jobs; short
 *   jobs        the queue and its waits; short
 *   feeds       nothing but waiting for a commit to be visible; short
 *   fence_lock  the reason for being read-only; short
 * No I/O and no user callback under views, names, snapshots, jobs, feeds or fence_lock.
 * Invariants: (1) visible moves only forward, only to commit ends, and never past a commit whose own durability is not
 *   met. (2) A reader takes its view first and its sequence second. (3) A memtable is flushed only when visible >= its
 *   last sequence, and only after the log is durable up to its last commit. (4) Jobs take visible and the snapshots
 *   under the lock under which snapshots are opened.
 * In the picture: db layer; every loam_* function is in one of its files.
 */
#ifndef LOAM_DB_DB_H
#define LOAM_DB_DB_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "base/rand.h"
#include "base/status.h"
#include "db/epoch.h"
#include "db/recent.h"
#include "memtable/memtable.h"
#include "os/thread.h"
#include "record/batch.h"
#include "record/operands.h"
#include "tree/manifest.h"
#include "tree/pick.h"
#include "wal/wal.h"
#include "wal/wal_reader.h"

enum {
    MEMRUNS_MAX = 8, /* memtables a collection may have at a time, the active one included */
    LOG_MEMTABLES_MAX =
        4, /* the log holds at most this many times memtable_bytes (or least segments) */
    SEGMENT_BYTES_MOST = 8 << 20, /* a writer may wait for one: some 10 ms in fresh memory */
    SEGMENTS_OF_MEMTABLE = 4,
    RECENT_HALF_BYTES = 256 << 10 /* some ten thousand commits */
};

/* A memtable and its place in the log. Counted by the views that show it. */
struct memrun {
    _Atomic uint32_t refs;
    struct memtable *memtable;
    uint64_t first_position; /* where its first commit begins; lane */
    uint64_t end_position;   /* where its last commit ends; lane, fixed once frozen */
    uint64_t last_seq;
    _Atomic uint64_t counted_bytes; /* in db->memtable_bytes; written in the lane */
};

/* What a reader of one collection sees: memtables, newest first (the first one is being written), then tables.
   Immutable but for the first memtable; shared by reference count. */
struct view {
    struct epoch_node node; /* first; for retiring */
    _Atomic uint32_t refs;
    uint32_t memrun_count;
    struct memrun *memruns[MEMRUNS_MAX];
    struct version *version;
};

struct loam_coll {
    loam_db *db;
    uint32_t id;
    _Atomic(loam_compression) compression; /* an option, as ttl_ms; changed under names */
    char *name;                            /* names lock */
    _Atomic(struct view *) view;   /* replaced under views; read under it, or within an epoch */
    struct memrun *active;         /* lane: the memtable that is written; kept alive by the view */
    _Atomic uint32_t memrun_count; /* of the present view */
    _Atomic(const loam_merge_operator *)
        merger; /* set once; NULL: none, or its name is not known */
    _Atomic bool dropped;
    _Atomic bool
        is_shut;   /* dropped, or its merge operator is not known: neither read nor written */
    bool is_dirty; /* views lock: on db->dirty */
    bool is_gated; /* lane: who writes to it waits, for an ingest is being published */
    _Atomic uint64_t ttl_ms;
    struct loam_coll *dirty_prev, *dirty_next;
    struct loam_coll *id_next,
        *name_next;                 /* hash chains: lane and names; under changes both are stable */
    struct loam_coll *all_next;     /* every handle there ever was, to be freed at close */
    _Atomic uint32_t delay_ns;      /* back-pressure: what a commit of 1 KiB waits */
    char *merge_operator;           /* set once, and kept as long as the handle; names lock */
    struct loam_coll *compact_next; /* jobs lock */
    bool compact_idle;       /* it is queued only because there is nothing else to do; jobs lock */
    uint32_t compact_claims; /* callers who wait for their turn; jobs lock */
    struct loam_coll *room_next; /* follow.c: of what one commit adds to; and how much that is */
    uint64_t room_entries, room_bytes;
    bool compact_queued, compact_running,
        compact_stuck; /* jobs lock; stuck: its input is corrupt */
    uint64_t
        named_seq; /* names lock: its name is what it was called from here on; UINT64_MAX: it is being renamed */
};

struct reads;

struct loam_snapshot {
    loam_db *db;
    uint64_t seq, opened_ms;
    uint64_t clock_ms; /* what has expired by then is not seen; 0: nothing that it sees ever does */
    struct loam_snapshot *prev, *next; /* snapshots lock */
};

struct coll_map { /* chained hash; grows */
    struct loam_coll **slots;
    size_t slot_count, count;
};

struct latencies { /* of one operation in so many; any thread */
    _Atomic uint64_t max_ns;
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
};
enum { LATENCY_SAMPLED_OF = 64 };

struct jobs {
    struct mutex lock;
    struct cond work, done, tend, archive;
    struct thread tender, archiver, *workers;
    uint32_t worker_count;
    bool threaded;
    _Atomic bool stopping;
    struct rand rand;                 /* which job next, when the callers run them */
    bool flush_wanted, flush_running; /* one flush at a time keeps runs in commit order */
    uint32_t running_count;           /* flushes and compactions */
    uint32_t claimed_count;           /* collections that jobs_claim() gave to callers */
    uint64_t ended_count;
    struct loam_coll *queue; /* to be compacted, linked by compact_next */
    size_t queue_count;
    bool look_wanted;   /* at all collections */
    uint64_t idle_seen; /* ended_count when an idle worker last looked at all collections */
    bool rest_wanted;   /* a flush of everything */
    uint64_t rested_at; /* `visible` when one was last asked for */
    uint64_t flush_retry_ms,
        compact_retry_ms; /* after a full disk or memory, not before; monotonic; 0: the last went well */
    loam_status flush_failure; /* why the last flush is to be tried again */
    char flush_failure_text[STATUS_TEXT_MAX];
    _Atomic bool tend_asked; /* changed under lock */
};

struct caller_index {         /* of the newest commit that has one */
    uint64_t index, seq, end; /* 0: none; the commit's last; where it ends in the log, or 0 */
};
struct restore;
struct follow;

struct loam_db {
    struct sys_table sys;
    struct store *store;
    /* Resolved: no zeros, but filter_bits_per_key, where 0 lets tables choose. */
    loam_options options;
    struct follow *follow;   /* NULL: it is none of another's writing; follow.h */
    char *archive_name;      /* options.archive, owned */
    struct restore *restore; /* an opening that goes on in an archive; NULL: none, or no more */
    uint32_t page_bytes;     /* 0: by compression; tests use tiny ones */
    loam_merge_operator *operators; /* registered; names are owned */
    size_t operator_count;
    bool takes_any_operand; /* a repair copies what it cannot join */
    struct root root;
    struct page_cache *cache;
    struct arena_pool *arenas;
    struct epoch *epoch;

    struct mutex changes;

    struct mutex lane;
    struct wal *wal; /* NULL: read-only */
    uint64_t next_seq;
    uint64_t
        durable_end; /* of the last commit that must be durable before it, or any behind it, is visible */
    uint64_t
        change_position; /* of the change of collections that is not in the manifest yet: the log's floor stays
                                 below it; UINT64_MAX: none */
    struct coll_map by_id;
    struct recent recent; /* what was committed lately, for transactions */
    struct caller_index caller_index;

    struct mutex manifest_lock;
    struct catalog *catalog;
    struct manifest *manifest; /* NULL: read-only */
    uint64_t next_run;
    uint32_t next_coll;
    struct object_id log_floor; /* as in the manifest */
    uint32_t object_epoch;      /* of objects that this opener makes */
    _Atomic uint32_t next_object;

    struct mutex views;
    struct loam_coll *dirty; /* with something in a memtable */

    struct mutex names;
    struct coll_map by_name;
    struct loam_coll *all, *default_coll;

    struct mutex snapshots;
    struct loam_snapshot *snapshot_oldest, *snapshot_newest;
    uint32_t snapshot_count;

    struct jobs jobs;

    struct mutex feeds; /* with nothing of its own: who waits for visible to move */
    struct cond feeds_shown;
    _Atomic uint32_t feed_count;
    struct object_id archived,            /* the last segment that is in the archive; archive.c */
        archive_seen,                     /* and up to where it has looked */
        archive_active;                   /* the one that is written, */
    struct segment_header archive_newest; /* that is there; its number is 0: none is */
    uint64_t archive_since_ns;            /* and since when there has been anything in it */
    uint64_t archive_retry_ns;            /* after a failure, not before; monotonic */
    bool archive_fails;
    _Atomic uint64_t
        archived_upto; /* position: the log below is in the archive; UINT64_MAX: there is none */
    _Atomic bool floor_waits; /* for a flush: it may move, without anything to flush */

    struct mutex fence_lock;
    _Atomic int fenced;            /* loam_status; set once */
    _Atomic uint32_t feed_waiters; /* beside what every writer reads, and hardly ever written */
    char fence_text[STATUS_TEXT_MAX];

    _Atomic uint64_t visible;
    _Atomic uint64_t clock_ms;      /* expiry.c; only rises */
    _Atomic uint64_t expiry_due_ms; /* when expiry alone may ask for a merge; UINT64_MAX: never */
    _Atomic bool
        may_expire; /* some entry does; set before the first is visible, and then for ever */
    _Atomic uint32_t iter_count, ingest_count;
    _Atomic uint64_t
        memtable_bytes; /* arenas of all memtables, as last seen by the writer and flush */
    _Atomic uint64_t put_count, delete_count, user_written_bytes, flush_count, compaction_count;
    _Atomic uint64_t disk_written_bytes, stall_total_ns, stall_max_ns;
    struct latencies get_latencies, write_latencies, seek_latencies;
    _Atomic(const char *) stall_reason;
    _Atomic bool
        ranges_pending; /* a memtable holds deletions of ranges: what they hide waits to go */
    _Atomic bool periodic_pending; /* a PERIODIC commit is not synced yet */
    uint64_t synced_at_ns, tended_at,
        quiet_since_ns; /* tender; tended_at: `visible` at its last round */
    uint64_t quiet_ns;  /* tender: for so long nobody has committed; 0 before it looked */
};

/* ---- open.c -------------------------------------------------------------------------------- */

struct db_world { /* what tests inject */
    struct sys_table sys;
    bool threaded;       /* false: jobs run on the callers' threads, in an order drawn from seed */
    bool mapped_log;     /* false: the log goes through write */
    uint32_t page_bytes; /* 0: as usual */
    uint64_t log_bytes_least; /* likewise */
    uint64_t seed;
    struct restore *restore; /* restore.c's; else NULL */
};
LOAM_MUST loam_status db_open_in(const struct db_world *world, const char *dir,
                                 const loam_options *options, loam_db **out);
struct db_world db_world_real(void);
/* Of a database in the making; and with all that it has but for what free_db() in open.c frees. */
void db_init_locks(loam_db *db);
void db_deinit_locks(loam_db *db);
/* verify.c: loam_verify() in a world. */
LOAM_MUST loam_status db_verify_in(const struct db_world *world, const char *dir,
                                   void (*line)(void *ctx, const char *text), void *ctx);

/* ---- archive.c ------------------------------------------------------------------------------ */

/* Is this segment of an archive this store's? LOAM_INVALID: another one's. */
LOAM_MUST loam_status archive_check(struct store *archive, const uint8_t *store_id,
                                    struct object_id id, struct segment_header *header);
/* At an opening, before anything is changed: LOAM_INVALID where the archive cannot be this store's. Sets `archived`. */
LOAM_MUST loam_status archive_begin(loam_db *db);
/* The log that is not there yet begins at start. Warns where something is missing before that. */
LOAM_MUST loam_status archive_go_on(loam_db *db, uint64_t start);
/* Gives what is complete and not there yet; for the archive's thread. archive_end(): all, of a closed log. */
void archive_once(loam_db *db);
void archive_end(loam_db *db);

/* ---- restore.c, checkpoint.c ----------------------------------------------------------------- */

/* loam_restore() in such a world. */
LOAM_MUST loam_status db_restore_in(const struct db_world *world, const char *from,
                                    const char *target, const loam_restore_options *options,
                                    loam_moment *reached);
/* LOAM_INVALID where dir is in a store, which the message calls `of`. */
LOAM_MUST loam_status db_check_place(const struct store *store, const char *dir, const char *of);

/* ---- repair.c ------------------------------------------------------------------------------- */

/* loam_repair() in such a world; see loam.h. */
LOAM_MUST loam_status db_repair_in(const struct db_world *world, const char *dir,
                                   const char *target, const loam_repair_options *options,
                                   loam_repair_stats *out);

/* ---- db.c ------------------------------------------------------------------------------------ */

/* Refuses calls from a forked child, and tells the default collection and foreign handles. */
LOAM_MUST loam_status db_check(const loam_db *db);
LOAM_MUST loam_status db_check_handle(loam_db *db, loam_coll **coll); /* NULL becomes "default" */
LOAM_MUST loam_status db_check_coll(loam_db *db,
                                    loam_coll **coll); /* and is to be read or written */
/* LOAM_MISUSE once it is dropped; LOAM_INVALID without its merge operator. Who has taken a view asks again: a drop marks the collection and then empties its
   view, and "nothing is there" would be a wrong answer. */
LOAM_MUST loam_status db_check_there(const loam_coll *coll);
void db_log(const loam_db *db, loam_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t db_now_ms(const loam_db *db); /* wall */
uint64_t db_now_ns(const loam_db *db); /* monotonic */
LOAM_MUST loam_status db_random_u64(const loam_db *db, uint64_t *out);
struct object_id db_new_object(loam_db *db);
uint64_t db_log_bound(const loam_db *db); /* bytes that the log may hold */
bool db_log_is_long(const loam_db *db);   /* it is needed for more than that */

/* Makes the database read-only for the calling thread's latest failure; answers rc. */
loam_status db_fence(loam_db *db, loam_status rc);
LOAM_MUST loam_status db_writable(loam_db *db); /* LOAM_READONLY with the reason */

/* Limits of keys and values, and slices without data. */
LOAM_MUST loam_status db_check_entry(const struct entry *entry);
/* A number for a run, higher than all before. Takes the manifest lock. */
uint64_t db_next_run(loam_db *db);
/* Adds the counters' present values to an edit. manifest lock. */
LOAM_MUST loam_status db_counters_to_edit(loam_db *db, struct edit *edit, uint64_t change_seq);

/* ---- recover.c ----------------------------------------------------------------------------- */

/* From the root on: manifest, log, memtables; for a writing open also the fresh manifest and the new epoch. */
LOAM_MUST loam_status db_recover(loam_db *db, bool is_new, bool mapped_log);
/* What manifest and root know of the log; wal_past_deinit() it. */
LOAM_MUST loam_status db_wal_past(const loam_db *db, struct wal_past *past);
/* The parts of a commit, and of a change of collections. more->tag is CHANGE_COLL_OPTIONS where a creation has such, and CHANGE_TABLE_ADD of an
   ingest: from its first key to its last. LOAM_CORRUPT: no writer makes such a record. */
LOAM_MUST loam_status db_open_commit(const struct wal_commit *commit, struct commit_body *body);
LOAM_MUST loam_status db_read_change(const struct wal_commit *commit, struct change *change,
                                     struct change *more);
LOAM_MUST loam_status db_read_root(struct store *store, struct root *root);
/* Up to where some collection is flushed: so far commits go at least. */
uint64_t highest_flushed(const struct catalog *catalog);
/* Does the manifest, or the root, refer to such a file? */
bool db_wants_object(loam_db *db, enum object_kind kind, struct object_id id);

/* ---- view.c -------------------------------------------------------------------------------- */

void memrun_unref(struct memrun *memrun);
void view_ref(struct view *view);
void view_unref(struct view *view);

/* Adds what the log has of the commit at [from, to), with its key's hash, to the active memtable; room was reserved. Lane. */
void memrun_add(struct loam_coll *coll, const struct entry *entry, uint64_t hash,
                struct memtable_near near, uint64_t from, uint64_t to);
/* Reserves in the active memtable and keeps count of memory; bytes: entry_room_bytes() of all. Lane. */
LOAM_MUST loam_status memrun_reserve(loam_db *db, struct memrun *memrun, size_t entry_count,
                                     uint64_t payload_bytes);
/* Is another memtable to be written? Lane. */
bool memrun_is_full(const loam_db *db, const struct memrun *memrun);
/* Gives back what was reserved in one without entries. Lane. */
void memrun_unreserve(loam_db *db, struct memrun *memrun);

/* Deletions of ranges: whether there are any; and what those hide that are not newer than seq. */
bool view_has_ranges(const struct view *view);
void view_meet(const struct view *view, struct cover *cover, loam_slice key, uint64_t seq);

/* The newest version of key at seq, a tombstone perhaps: in memory, if it is there; or anywhere: LOAM_OK and
   *hit to release, LOAM_NOTFOUND, or a failure. watch may be NULL. */
bool view_get_in_memory(const struct view *view, loam_slice key, uint64_t hash, uint64_t seq,
                        struct entry *entry);
LOAM_MUST loam_status view_get(const struct view *view, loam_slice key, uint64_t hash, uint64_t seq,
                               struct watch *watch, struct table_hit *hit);

/* A counted reference on the present view; NULL never: a dropped collection's is empty. */
struct view *view_acquire(struct loam_coll *coll);

/* Puts a fresh memtable in front. Lane. */
LOAM_MUST loam_status view_add_memtable(struct loam_coll *coll);
/* Freezes the active memtable if it holds anything. Lane. */
LOAM_MUST loam_status view_freeze(struct loam_coll *coll);
/* Freezes every memtable that is at least of half the average size: together they hold half of the memory or more, be they one or
   ten thousand. Empty ones, whose commit was refused after it had reserved in them, give that back. Lane held. */
LOAM_MUST loam_status view_freeze_large(loam_db *db);
/* Replaces the version, and takes the memrun_count oldest memtables (those that were flushed) away. `spare` is a view to
   use, allocated before the point of no return by view_spare(). */
struct view *view_spare(void);
void view_install(struct loam_coll *coll, struct view *spare, struct version *version,
                  uint32_t flushed_count);

/* Puts `fresh` in place; it has its own references already. views lock. */
void view_replace(struct loam_coll *coll, struct view *fresh);

/* ---- coll_map.c -------------------------------------------------------------------------------- */

LOAM_MUST loam_status coll_map_init(struct coll_map *map);
struct loam_coll *coll_by_id(loam_db *db, uint32_t id); /* lane; NULL: dropped or never there */
struct loam_coll *coll_by_name(loam_db *db, const char *name); /* names lock; NULL: none */
/* A handle in two steps: what needs memory (NULL: none left), then what cannot fail. free is for one that is not shown. */
struct loam_coll *coll_handle_prepare(loam_db *db, const char *name, const char *merge_operator);
void coll_handle_show(struct loam_coll *coll, const struct coll_state *state);
void coll_handle_free(struct loam_coll *coll);
LOAM_MUST loam_status coll_handle_new(loam_db *db, const struct coll_state *state);
char *coll_copy_name(const char *name); /* NULL: out of memory */
/* The present name, for messages. A rename frees the old one: without the names lock, nobody may look at it. */
enum { COLL_NAME_ROOM = 256 };
void coll_tell_name(struct loam_coll *coll, char name[static COLL_NAME_ROOM]);
/* Takes name, which is its own from this sequence number on. */
void coll_show_name(struct loam_coll *coll, char *name, uint64_t seq);
/* The name that a collection has, or had when it was dropped in this opening, and since when. False: there is none. */
bool coll_name_since(loam_db *db, uint32_t id, char name[static COLL_NAME_ROOM], uint64_t *seq);
/* Sets since when, for while it is renamed; answers what it was. */
uint64_t coll_doubt_name(struct loam_coll *coll, uint64_t seq);
/* A copy of the name of the merge operator that it is to have; NULL if it has that, or is to have none. */
LOAM_MUST loam_status coll_copy_operator(const struct loam_coll *coll, const char *name,
                                         char **out);
/* Takes that copy. */
void coll_show_options(struct loam_coll *coll, const struct coll_options *options,
                       char *merge_operator);
LOAM_MUST loam_status coll_rename_handle(struct loam_coll *coll, const char *to,
                                         uint64_t seq); /* recovery */
void coll_forget(struct loam_coll *coll);               /* off the maps; the handle stays */
void coll_free_all(loam_db *db);
/* Makes db's collections what fresh's are, which was read anew from the same store and goes then: by ids, so that handles stay. spares: an empty view for
   each that is not there any more. Lane, views and names lock. */
void coll_adopt_all(loam_db *db, loam_db *fresh, struct view **spares);

/* ---- coll.c ------------------------------------------------------------------------------------ */

/* A change of collections, in the log and in the manifest. */
struct coll_change {
    struct edit *edit;
    /* In the lane, when its sequence number is known: makes the edit, which is never longer than with SEQ_MAX. NULL: it is made. */
    loam_status (*fill)(void *ctx, uint64_t seq, struct edit *edit);
    /* In the lane, when the log has it: what later commits are to find. NULL: nothing. */
    void (*show)(void *ctx, uint64_t seq, const struct catalog_stage *stage);
    void *ctx;
};
/* All that can be refused is refused before the log has it: once it has, the change will be there after the next opening, so
   if then the manifest fails, nothing may follow. manifest lock. */
LOAM_MUST loam_status coll_change_commit(loam_db *db, const struct coll_change *change);

/* ---- write.c ------------------------------------------------------------------------------- */

enum compact_how { COMPACT_DUE, COMPACT_IDLE };

struct commit_trace {                 /* what a commit met on its way, for who explains it */
    uint64_t throttled_ns, logged_ns; /* logged_ns: when it was in the log and in its memtable */
    uint64_t from, end;               /* its record's place in the log */
    const char *wait;                 /* static: for what it waited; NULL: for nothing */
};

struct commit { /* what is to be committed, as the log will hold it */
    const struct sys_piece *pieces;
    unsigned piece_count;
    uint64_t body_bytes;
    uint8_t record_kind; /* RECORD_COMMIT or RECORD_CHANGE */
    uint64_t caller_index;
    uint32_t entry_count, put_count;
    uint64_t payload_bytes;
    struct loam_coll *debtor; /* for whose merges it waits */
    loam_slice entries;       /* of a batch; else: */
    const loam_batch *batch;
    struct loam_coll *coll;
    struct entry entry; /* of a single write */
    uint64_t hash;      /* of its key */
    /* What must not have changed since then, or NULL. reads_check() has looked, up to there. */
    struct reads *reads;
    uint64_t since;
    struct commit_trace *trace; /* or NULL */
};
struct commit_wish { /* what else is asked of a single write; all-zero: nothing */
    struct reads *reads;
    uint64_t since, *seq;
    struct commit_trace *trace;
};
#define COMMIT_STALE LOAM_NOTFOUND /* nothing written: reads_check() must look again */
/* Throttles, waits for room, commits, waits for what the durability asks. *seq, if not NULL, becomes the last sequence
   number. With reads: LOAM_CONFLICT, COMMIT_STALE. wish may be NULL. */
LOAM_MUST loam_status commit_entry(loam_db *db, loam_coll *coll, const struct entry *entry,
                                   const struct commit_wish *wish);
/* The same with all that a user's arguments need before. */
LOAM_MUST loam_status write_entry(loam_db *db, loam_coll *coll, struct entry *entry,
                                  uint64_t ttl_ms, const struct commit_wish *wish);
LOAM_MUST loam_status commit_batch(loam_db *db, const loam_batch *batch, loam_durability how,
                                   struct reads *reads, uint64_t since);
/* The entry that deletes a range (NULL: everything), over bounds[0] and bounds[1], which the caller frees. is_empty: no key can be in
   it, and it is none. */
LOAM_MUST loam_status range_entry(const loam_db *db, const loam_range *range, loam_buf *bounds,
                                  struct entry *entry, bool *is_empty);
/* A deletion of a range was added: what it hides in tables waits for a flush, if there is any. */
void commit_note_range(struct loam_coll *coll, const struct entry *entry);
/* Has the lane remember the keys of commits until commit_forget(). */
LOAM_MUST loam_status commit_remember(loam_db *db);
void commit_forget(loam_db *db);
/* Of the last commit in memtables, visible already or not. */
uint64_t commit_last_seq(loam_db *db);
/* Lane held: appends to the log and the memtables; *seq is the first. Room was made. */
LOAM_MUST loam_status commit_locked(loam_db *db, const struct commit *commit, loam_durability how,
                                    uint64_t *seq, uint64_t *wait_position) REQUIRES(&db->lane);
/* Waits for the position and moves visible. */
LOAM_MUST loam_status commit_publish(loam_db *db, uint64_t last_seq, uint64_t wait_position);

/* ---- feed.c ---------------------------------------------------------------------------------- */

void feeds_wake(loam_db *db); /* visible has moved */
/* Adds the index of the newest commit that has one to an edit after which the log may let that go; makes it durable before. manifest lock. */
LOAM_MUST loam_status feed_index_to_edit(loam_db *db, struct edit *edit);

/* ---- survive.c: which entries a flush or a compaction may leave out --------------------------- */

struct survival {
    uint64_t
        *bounds; /* sequences at which somebody reads, ascending: the snapshots, then visible */
    const uint64_t *clocks; /* theirs; NULL: nothing expires */
    size_t bound_count;
    bool has_key;
    loam_buf key; /* of the group that is passing */
    uint64_t newer_seq;
    uint64_t seen_count, dropped_count;
    const struct version
        *version;        /* asked for what lies below the oldest input; NULL: nothing does */
    uint32_t level;      /* of the oldest input */
    uint64_t run_number; /* its number; UINT64_MAX - flush: everything lies below */
    struct range_set
        *covers;        /* deletions of ranges, all that may be applied; referenced; may be NULL */
    struct cover cover; /* the latest, as of cover_seq */
    uint64_t cover_seq;
    const loam_merge_operator *merger; /* NULL: operands are not joined */
    struct pending_merge { /* the newest operand that stays, until it is known what is below */
        bool is_there;
        uint64_t seq, since;
        struct joining joining;
        loam_buf key, value;
    } pending;
    uint64_t continued_at; /* where the latest operand that went out goes on: it reads there */
    /* Gets what goes into the output: of each entry that comes in none, it, or another. */
    loam_status (*put)(void *ctx, const struct entry *entry);
    void *ctx;
};
LOAM_MUST loam_status survival_init(struct survival *survival, loam_db *db);
void survival_deinit(struct survival *survival);
/* An entry that has expired for whoever may see it becomes a tombstone, of which the same holds as of others. To be asked first. */
void survival_expire(const struct survival *survival, struct entry *entry);
/* Entries come in entry order; then the end. Fails as put does, too. */
LOAM_MUST loam_status survival_take(struct survival *survival, const struct entry *entry);
LOAM_MUST loam_status survival_end(struct survival *survival);

/* ---- ranges.c: deletions of ranges on their way from memtables to where nothing is left of them --- */

/* Those of the version and, from the first on, of the view's memtables (view NULL: none), as one set. Pieces that `wanted` says no to are left
   out; NULL: none are. */
LOAM_MUST loam_status ranges_join(loam_db *db, const struct version *version,
                                  const struct view *view, uint32_t first_memrun,
                                  bool (*wanted)(const struct version *version,
                                                 const struct range *range),
                                  struct range_set **out);
/* Adds to a flush's edit the collection's deletions with those of the view's frozen memtables. manifest lock. */
LOAM_MUST loam_status ranges_flush(loam_db *db, const struct loam_coll *coll,
                                   const struct view *view, struct edit *edit);
/* The edit that PLAN_SWEEP asks for. manifest lock. */
LOAM_MUST loam_status ranges_sweep(loam_db *db, const struct loam_coll *coll, struct edit *edit);
enum {
    RANGES_BYTES_MOST = 64 << 20
}; /* of a collection's deletions of ranges, until they hide nothing any more */
/* LOAM_FULL: no room for so many more bytes of them. */
LOAM_MUST loam_status ranges_room(struct loam_coll *coll, uint64_t bytes);
/* Up to where a flush or merge with this survival applies all deletions of ranges that there are. */
uint64_t ranges_swept_seq(const struct survival *survival);

/* ---- expiry.c: what time it is for entries that expire, and when a put does --------------------- */

#define TTL_OF_COLL UINT64_MAX /* what the collection says */

static inline uint64_t ttl_capped(uint64_t ttl_ms) /* of a user's */
{
    return ttl_ms < TTL_OF_COLL ? ttl_ms : TTL_OF_COLL - 1;
}

/* The clock, in ms since 1970; it only rises, also by what is noted. For a reader who begins now, after he has taken his sequence:
   0 as long as nothing expires. */
uint64_t expiry_clock_ms(loam_db *db);
uint64_t expiry_reader_clock_ms(loam_db *db);
void expiry_note_time(loam_db *db, uint64_t time_ms);
/* Before an entry that expires is visible. */
void expiry_expect(loam_db *db);
/* By which clock somebody reads who may not have asked for the time yet (ms: 0), and does not for an entry that does not expire. */
struct reader_clock {
    loam_db *db;
    uint64_t ms;
};
static inline bool reader_sees(struct reader_clock *clock, const struct entry *entry)
{
    if (entry->kind == ENTRY_PUT_EXPIRING && clock->ms == 0) clock->ms = expiry_clock_ms(clock->db);
    return entry_shows(entry, clock->ms);
}
/* When a put that commits now expires; 0: never. */
uint64_t expiry_of_ttl(const loam_coll *coll, uint64_t ttl_ms);
/* Makes a put one that expires, over buf, where its ttl or its collection asks for that. */
LOAM_MUST loam_status expiry_stamp(const loam_coll *coll, uint64_t ttl_ms, struct entry *entry,
                                   loam_buf *buf);
/* Has all collections be considered again when the clock gets there; true once when it is there. */
void expiry_schedule(loam_db *db, uint64_t at_ms);
bool expiry_is_due(loam_db *db);

/* ---- run_writer.c: sorted entries into the tables of a run ------------------------------------ */

struct run_writer;
struct run_writer_spec {
    struct loam_coll *coll;
    uint32_t level;
    uint64_t run;
    bool is_settled;            /* packed as the collection says, may have locators; else raw */
    struct object_writer *into; /* several runs in one object; NULL: an object per table */
    struct object_id into_id;
    uint64_t swept_seq;      /* of its tables */
    uint64_t replaced_count; /* about as many entries leave the catalog for it */
};
/* Tables have locators, of 7.1 bytes a key, while memory_bytes has so many bytes for each entry of the store. */
enum { LOCATED_SHARE = 128 };
/* Of the filters that tables get; 0: they get none. */
static inline uint32_t db_filter_bits(const loam_db *db)
{
    const uint32_t bits = db->options.filter_bits_per_key;
    return bits == LOAM_NO_FILTER ? 0 : bits == 0 ? 10 : bits;
}
uint64_t run_writer_table_bytes(const loam_db *db); /* what a table of a compaction is cut at */
LOAM_MUST loam_status run_writer_new(const struct run_writer_spec *spec, struct run_writer **out);
/* Drains iter (from where first() puts it) through survival into tables. go_on, if any, is asked now
   and then: LOAM_CONFLICT when it says no. */
LOAM_MUST loam_status run_writer_drain(struct run_writer *writer, struct iter *iter,
                                       struct survival *survival, bool (*go_on)(void *),
                                       void *go_on_ctx);
/* Or one entry after the other, in entry order, and then the end. takes: is key behind all that came? */
bool run_writer_takes(const struct run_writer *writer, loam_slice key);
LOAM_MUST loam_status run_writer_add(struct run_writer *writer, const struct entry *entry);
LOAM_MUST loam_status run_writer_end(struct run_writer *writer);
uint64_t run_writer_bytes(const struct run_writer *writer); /* in finished tables */
/* Takes the finished tables of another, all of whose keys are behind its own. LOAM_NOMEM changes nothing. */
LOAM_MUST loam_status run_writer_append(struct run_writer *writer, struct run_writer *behind);
/* The finished tables, of which there are some, as a run with one reference, to be read before anybody else knows them. */
LOAM_MUST loam_status run_writer_run(const struct run_writer *writer, struct run **out);
/* Where they will be after all, and what is to be added to the sequence numbers that they were written with. */
void run_writer_place(struct run_writer *writer, uint32_t level, uint64_t run);
void run_writer_shift(struct run_writer *writer, uint64_t seq_shift);
/* Adds them to edit, and takes them from the writer, who else deletes them; finish does both. */
LOAM_MUST loam_status run_writer_describe(const struct run_writer *writer, struct edit *edit);
void run_writer_keep(struct run_writer *writer);
LOAM_MUST loam_status run_writer_finish(struct run_writer *writer, struct edit *edit,
                                        uint64_t *written_bytes);
void run_writer_free(struct run_writer *writer); /* deletes what was not finished; accepts NULL */

/* ---- stats.c ----------------------------------------------------------------------------------- */

/* Notes an operation that began at since_ns; nothing when that is 0. */
void latencies_note(struct latencies *latencies, const loam_db *db, uint64_t since_ns);

/* ---- snapshot.c -------------------------------------------------------------------------------- */

struct horizon snapshot_horizon(loam_db *db); /* of all who read, or will */

/* ---- read.c ------------------------------------------------------------------------------------ */

/* loam_get_at(); value may be NULL. */
LOAM_MUST loam_status read_entry(loam_db *db, loam_coll *coll, const loam_snapshot *snap,
                                 loam_slice key, loam_buf *value);

/* ---- dbiter.c ---------------------------------------------------------------------------------- */

LOAM_MUST loam_status dbiter_check_range(const loam_db *db, const loam_range *range);
/* What a range, or NULL, means: from `from` on and before `to`, which empty is no bound. The caller frees both. */
LOAM_MUST loam_status dbiter_bounds(const loam_range *range, loam_buf *from, loam_buf *to);

/* A transaction's own entries have sequence numbers from here on; no commit ever gets that far. */
#define OWN_SEQ (UINT64_C(1) << 55)
struct dbiter_span { /* every key that an iterator showed or found missing lies in [low, high] */
    loam_buf low, high;
    bool is_begun, is_open; /* is_open: there is no high */
    loam_status failure;    /* to keep account */
};
struct dbiter_own {
    const struct memtable *memtable; /* of own entries, or NULL */
    uint64_t seq;                    /* of the last that is seen */
    void (*closed)(void *ctx, const struct dbiter_span *span);
    void *ctx;
};
/* Is put around an iterator's inputs, and sees what goes through: memtable or run. Takes the input, also when it fails. */
struct dbiter_watch {
    loam_status (*around)(struct dbiter_watch *watch, const struct memtable *memtable,
                          const struct run *run, struct iter **input);
};
/* loam_iter_open(); own and watch may be NULL. */
LOAM_MUST loam_status dbiter_open(loam_db *db, loam_coll *coll, const loam_range *range,
                                  const struct dbiter_own *own, struct dbiter_watch *watch,
                                  loam_iter **out);
/* Where and when it reads, and what it stands on; for who watches it, as long as it is open. */
struct dbiter_place {
    const struct view *view;
    uint64_t seq;
    const struct reader_clock *clock;
    const struct iter *inner;
};
struct dbiter_place dbiter_place(const loam_iter *it);

/* ---- flush.c, compact.c ------------------------------------------------------------------------ */

enum flush_how {
    FLUSH_DUE, /* what is frozen, and what pins a log that is too long */
    FLUSH_ALL  /* everything; nobody writes, so the log begins anew in a small segment */
};
/* Flushes every collection's frozen memtables, packed into one object. While db->manifest is NULL (recovery), into the catalog
   alone: the fresh manifest is written afterwards. */
LOAM_MUST loam_status flush_run(loam_db *db, enum flush_how how);
/* The log goes on in a small segment, so that the one that is written is complete. LOAM_FULL and LOAM_NOMEM change nothing. */
LOAM_MUST loam_status flush_switch_log(loam_db *db, enum wal_rest rest);
/* One merge that pick asks for: because a level is over its bound, because there is nothing else to do, or towards one run. *did says whether there was one. The caller holds the
   collection's compact_running. LOAM_CONFLICT: given up, because the database closes or the collection was dropped. */
LOAM_MUST loam_status compact_run(struct loam_coll *coll, enum compact_how how, bool *did);
/* After a change of shape: queues what is due and sets the collection's delay. */
void compact_consider(struct loam_coll *coll);
/* Queues what is worth doing when nobody is writing. */
void compact_consider_idle(struct loam_coll *coll);
struct pick_policy compact_policy(loam_db *db);
/* What a commit of 1 KiB is to wait for. */
uint32_t compact_delay_ns(const loam_db *db, const struct version *version, uint64_t debt_bytes);

/* ---- jobs.c ------------------------------------------------------------------------------------- */

LOAM_MUST loam_status jobs_start(loam_db *db, bool threaded, uint64_t seed);
void jobs_stop(loam_db *db); /* what runs ends or gives up; what is queued is dropped */
/* Answers how many jobs have ended so far: what jobs_wait_for_flush() wants to know. */
uint64_t jobs_want_flush(loam_db *db);
void jobs_want_compact(struct loam_coll *coll, enum compact_how how);
/* All collections are to be considered again: a snapshot that kept tombstones is gone. */
void jobs_want_look(loam_db *db);
void jobs_wake_tender(loam_db *db);
void jobs_wake_writers(loam_db *db); /* what somebody waits for may be there, without a job */
/* Waits until a job ended, or runs one (when the callers run jobs); at once if more than ended_count have, or if nobody
   will do anything any more because the database is read-only. A failure, which says why: nothing is running or runnable, for the
   flush failed and waits to be tried again. A flush has been asked for. */
LOAM_MUST loam_status jobs_wait_for_flush(loam_db *db, uint64_t ended_count, const char *reason);
/* For callers who run them: one job, chosen by the seed; false when there is none. */
bool jobs_run_one(loam_db *db);
/* What the tender does each time it wakes: prepares the log's next segment, and syncs when that is due. A failure fences. */
void jobs_tend_once(loam_db *db);
/* So much of memory_bytes is for what nobody counts: staged commits, buffers of merges, the mapped end of the log; and less when nobody
   has written for ten seconds and nothing is merged. */
enum { UNCOUNTED_SHARE = 8, UNCOUNTED_SHARE_AT_REST = 32 };
/* What neither that nor memtables need is for pages. The tender says so from time to time; writers do not stop for it. */
void jobs_lend_memory(loam_db *db);
/* Takes and gives back the right to compact a collection, for callers outside the queue. */
void jobs_claim(struct loam_coll *coll);
void jobs_unclaim(struct loam_coll *coll);
/* Compaction calls this between entries: a flush goes first. */
void jobs_yield_to_flush(loam_db *db);

#endif
