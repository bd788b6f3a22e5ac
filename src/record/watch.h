/*
 * watch.h - who is told how a read goes, while it goes.
 *
 * Role: a read has one implementation. Functions on its way that have something to tell are WATCHED: inlined into two, of which one
 *   has a watch and the other a constant NULL, so that who does not ask pays for nothing. An iterator counts in a tally, if
 *   it has one.
 * Invariants: a step points to what lives until tell() returns, and no longer.
 * In the picture: record layer; memtable/, sstable/ and tree/ tell, db/explain.c listens.
 */
#ifndef LOAM_RECORD_WATCH_H
#define LOAM_RECORD_WATCH_H

#include "record/entry.h"

#define WATCHED static inline __attribute__((always_inline))

enum watch_filter { FILTER_NONE, FILTER_DENIES, FILTER_PASSES };

enum watch_skip { SKIP_NOT, SKIP_DELETED, SKIP_NEWER, SKIP_OUTSIDE };

enum watch_kind {
    WATCH_MEMTABLE, /* one was asked: of, filter, found, is_range */
    WATCH_RANGE,    /* in tables, a deletion of a range holds the key: number is its sequence */
    WATCH_FILTER,   /* of a table was asked: filter */
    WATCH_PAGE,     /* was looked through: number, bytes, is_cached, is_extent, found */
    WATCH_RUN,      /* is done: of, level, table and found, or skip */
    WATCH_VERSION   /* an older one was joined to operands: found */
};

struct watch_step {
    enum watch_kind kind;
    const void *of;
    const struct table *table;
    uint32_t level;
    enum watch_skip skip;
    enum watch_filter filter;
    uint64_t number, bytes;
    bool is_cached, is_extent;
    bool is_range;             /* found is a deletion of a range that holds the key */
    const struct entry *found; /* NULL: nothing */
};

struct watch {
    void (*tell)(struct watch *watch, const struct watch_step *step);
};

/* What an iterator over a run has opened and read. */
struct tally {
    uint64_t tables_opened,
        tables_hidden; /* hidden: passed unread, deletions of ranges hide them */
    uint64_t cached_pages, read_pages, extents;
    uint64_t page_bytes; /* stored, of all of them */
};

#endif
