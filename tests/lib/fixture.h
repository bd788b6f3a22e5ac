/*
 * fixture.h - a store in a directory of its own, and what every test of the interface says of it.
 *
 * Role: makes and removes real directories, opens and closes a database in them, and states results with
 *   the library's own words when they differ. Sees loam.h and POSIX only, as users do.
 * In the picture: tests only; used by tests/api.
 */
#ifndef LOAM_TESTS_LIB_FIXTURE_H
#define LOAM_TESTS_LIB_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <loam.h>
#include <sys/types.h>

struct fixture {
    char home[200];  /* a fresh directory; removed with all that is in it */
    char store[216]; /* home/store: not made yet */
    loam_db *db;
};

/* cmocka's set-up and tear-down; *state becomes a struct fixture. _open opens the store too, with the
   options of fixture_options(). */
int fixture_set_up(void **state);
int fixture_set_up_open(void **state);
int fixture_tear_down(void **state);

/* Rows of a cmocka table: a test on a closed store, and on an open one. */
#define test_closed(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
#define test_open(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, fixture_set_up_open, fixture_tear_down)

/* All defaults, but no wait for the disk: durability is LOAM_DURABLE_PROCESS, memory 32 MiB. */
loam_options fixture_options(void);
void fixture_open(struct fixture *f, const loam_options *options); /* NULL: fixture_options() */
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f);

/* home/name, in static storage until the next call. */
const char *fixture_path(const struct fixture *f, const char *name);

/* Fails the test where got is not want, with loam_errmsg(). */
#define expect_status(want, call) fixture_expect_status(want, call, #call, __FILE__, __LINE__)
#define expect_ok(call) expect_status(LOAM_OK, call)
void fixture_expect_status(loam_status want, loam_status got, const char *call, const char *file,
                           int line);

/* loam_errmsg() holds the text. */
#define expect_message(text) fixture_expect_message(text, __FILE__, __LINE__)
void fixture_expect_message(const char *text, const char *file, int line);

/* The failure and a word of its message. */
#define expect_failure(want, text, call)                                                           \
    do {                                                                                           \
        expect_status(want, call);                                                                 \
        expect_message(text);                                                                      \
    } while (0)

/* Text in, text out. expect_text: value NULL means that the key must not be there. */
void put_text(loam_db *db, loam_coll *coll, const char *key, const char *value);
#define expect_text(db, coll, key, value)                                                          \
    fixture_expect_text((struct fixture_place){db, coll, NULL}, key, value, __FILE__, __LINE__)
#define expect_text_at(db, coll, snap, key, value)                                                 \
    fixture_expect_text((struct fixture_place){db, coll, snap}, key, value, __FILE__, __LINE__)
struct fixture_place {
    loam_db *db;
    loam_coll *coll;
    const loam_snapshot *snap;
};
void fixture_expect_text(struct fixture_place place, const char *key, const char *value,
                         const char *file, int line);

/* Returns when the entry, put with a ttl of a moment, has expired. Later than by a thread's own sleep: the clock of a store
   moves with the system's ticks. */
void await_expiry(loam_db *db, loam_coll *coll, loam_slice key);
/* The number whose decimal digits the bytes begin with; UINT64_MAX if with none. */
uint64_t number_at(loam_slice bytes);

/* All keys of a range, forward, joined by blanks, in static storage. */
const char *keys_forward(loam_db *db, loam_coll *coll, const loam_range *range);
const char *keys_backward(loam_db *db, loam_coll *coll, const loam_range *range);

/* Bytes that can be told from their seed and length; the caller frees them. */
uint8_t *fixture_bytes(size_t len, uint64_t seed);

/* Another process, forked now, that runs body(f) and ends with its answer as exit status. _ready returns when
   body has called fixture_child_ready(), which itself returns when the parent calls fixture_child_end(). */
struct fixture_child {
    pid_t pid;
    int to_child, from_child;
};
struct fixture_child fixture_child_start(struct fixture *f, int (*body)(struct fixture *f));
void fixture_child_ready(void);
int fixture_child_end(struct fixture_child *child); /* its exit status; -1 killed by a signal */

uint64_t fixture_memory_of(loam_db *db); /* memtables, pages and metadata, as the statistics say */

/* Files: their number in a directory (without . and ..), the whole of one, and changing one byte. */
size_t fixture_file_count(const char *dir);
void fixture_make_file(const char *path, const char *text);
void fixture_flip_byte(const char *path, uint64_t offset);
/* The path of the largest file of the store whose name ends so; false when there is none. */
bool fixture_find_file(const struct fixture *f, const char *ending, char path[static 512]);
/* Names, sizes and times of change of all files of the store, as text; the caller frees it. */
char *fixture_listing(const char *dir);

#endif
